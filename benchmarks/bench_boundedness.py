"""Boundedness with proofs beside one HiGHS program per question, and cells of real trained weights.

Times are of one process on one core (`time.process_time`), the best of a few runs, proofs included. HiGHS
answers without a proof; at (768, 3072) it would take minutes, so it is left out there.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks import minilm
from benchmarks.cells import FAMILIES
from polygeom.certificates.check import Level
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.boundedness import boundedness
from polygeom.predicates.facets_large import large_facets
from polygeom.threads import one_blas_thread

pytestmark = pytest.mark.bench

LARGE = (768, 3072)
SIZES = [(10, 50), (50, 200), (100, 400), (200, 800), (400, 1600), LARGE]
GIGABYTE = 2**30


def cpu_seconds(work: Callable[[], object], runs: int = 3) -> tuple[float, object]:
    """Return the least processor time of some runs, and the last result."""
    best, result = np.inf, None
    for _ in range(runs):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    return best, result


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("d", "m"), SIZES)
def test_boundedness(family, d, m):
    P = Polyhedron(*FAMILIES[family](d, m, seed=0))
    seconds, result = cpu_seconds(lambda: boundedness(P))
    checking, check = cpu_seconds(lambda: result.holds(P))
    assert check
    assert check.level is Level.EXACT
    line = f"boundedness {family:10} ({d}, {m}): {result.bounded!s:5} {seconds * 1e3:8.2f} ms"
    line += f", check {checking * 1e3:.2f} ms"
    if d <= 200:
        peer, answer = cpu_seconds(lambda: boundedness(P, method="lp"), runs=1)
        assert answer.bounded == result.bounded
        line += f", one HiGHS program {peer * 1e3:.1f} ms: {peer / seconds:.0f} times longer"
    print(line)
    assert seconds < 3.0


@pytest.mark.parametrize("family", FAMILIES)
def test_facets_of_a_large_cell(family):
    P = Polyhedron(*FAMILIES[family](*LARGE, seed=0))
    with one_blas_thread(P.A.size):
        seconds, found = cpu_seconds(lambda: large_facets(P, np.zeros(P.dim)), runs=2)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"facets {family} {LARGE}: {len(found.facets)} proved in {seconds:.2f} s, {memory / GIGABYTE:.2f} GB"
    )
    assert len(found.facets) == P.n_rows
    assert seconds < 3.0
    assert memory < 2 * GIGABYTE


def test_cells_of_trained_weights():
    """Every row of the six feed-forward layers of MiniLM at one real token: a facet or redundant, proved."""
    if minilm.folder() is None:
        pytest.skip(f"the package {minilm.PACKAGE} with the weights is not installed")
    for block, (P, x) in enumerate(minilm.cells()):
        seconds, found = cpu_seconds(lambda P=P, x=x: large_facets(P, x), runs=1)
        cone_seconds, cone = cpu_seconds(lambda P=P: boundedness(P), runs=1)
        print(
            f"MiniLM block {block} {P.A.shape[::-1]}: {len(found.facets)} facets, {len(found.redundant)} "
            f"redundant, {len(found.undecided)} undecided in {seconds:.2f} s; "
            f"bounded {cone.bounded} in {cone_seconds:.2f} s"
        )
        assert found.undecided.size == 0
        assert cone.holds(P)
        assert seconds < 10.0
