"""Facets with proofs beside daqp's `minrep` and warm HiGHS, both without proofs, in one run.

Times are of one process on one core, the median of a few runs. Ours include finding and checking every
certificate. Cells are normally distributed rows around 0, the same ones for everybody, and their points are
given. HiGHS keeps one model and asks one program per row, the row in question relaxed; where that takes long it
answers a sample of the rows and the time is extrapolated, and says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import daqp
import highspy
import numpy as np
import pytest

from benchmarks.bench_boundedness import FAMILIES, LARGE, gaussian
from polygeom.certificates.check import Level
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.facets import facets, facets_batch

pytestmark = pytest.mark.bench

BATCHES = [(10, 50), (5, 60)]
CELLS = 1000
SINGLES = [(50, 200), (100, 400), (200, 800), (16, 1024), (50, 1500)]
SAMPLE = {
    (50, 200): 200,
    (100, 400): 60,
    (200, 800): 8,
    (16, 1024): 200,
    (50, 1500): 20,
}
"""Rows that HiGHS is asked about."""


def median_seconds(work: Callable[[], object], runs: int = 5) -> tuple[float, object]:
    """Return the median processor time of some runs after one to warm up, and the last result."""
    result, times = work(), []
    for _ in range(runs):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return float(np.median(times)), result


class WarmHighs:
    """One HiGHS model for all rows of a cell; `is_facet` relaxes a row and maximizes its normal."""

    def __init__(self, P: Polyhedron) -> None:
        self.P, self.solver = P, highspy.Highs()
        self.solver.setOptionValue("output_flag", False)
        self.solver.setOptionValue("threads", 1)
        model, free = highspy.HighsLp(), np.full(P.dim, np.inf)
        model.num_col_, model.num_row_ = P.dim, P.n_rows
        model.col_cost_, model.col_lower_, model.col_upper_ = np.zeros(P.dim), -free, free
        model.row_lower_, model.row_upper_ = np.full(P.n_rows, -np.inf), P.b
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_ = np.arange(0, P.A.size + 1, P.dim)
        model.a_matrix_.index_ = np.tile(np.arange(P.dim), P.n_rows)
        model.a_matrix_.value_ = P.A.ravel()
        model.sense_ = highspy.ObjSense.kMaximize
        self.solver.passModel(model)

    def is_facet(self, row: int) -> bool:
        """Tell whether relaxing the row by 1 lets its normal grow beyond its bound."""
        columns = np.arange(self.P.dim, dtype=np.int32)
        self.solver.changeColsCost(self.P.dim, columns, self.P.A[row])
        self.solver.changeRowBounds(row, -np.inf, self.P.b[row] + 1.0)
        self.solver.run()
        value = self.solver.getInfo().objective_function_value
        self.solver.changeRowBounds(row, -np.inf, self.P.b[row])
        return value > self.P.b[row] + self.solver.getOptionValue("primal_feasibility_tolerance")[1]


def highs_seconds(P: Polyhedron, rows: int) -> tuple[float, np.ndarray]:
    """Return the time for all rows, extrapolated from the first `rows`, and the answers of these."""
    start = time.process_time()
    peer = WarmHighs(P)
    answers = np.array([peer.is_facet(row) for row in range(rows)])
    return (time.process_time() - start) * P.n_rows / rows, answers


def line(name: str, ours: float, peers: dict[str, float]) -> str:
    """Return one line of the table, in milliseconds and ratios."""
    compared = ", ".join(f"{peer} {s * 1e3:.4g} ms ({s / ours:.3g} x ours)" for peer, s in peers.items())
    return f"facets {name}: {ours * 1e3:.4g} ms with proofs; {compared}"


@pytest.mark.parametrize(("d", "m"), BATCHES)
def test_batches(d, m):
    cells = [gaussian(d, m, seed) for seed in range(CELLS)]
    A, b = np.stack([P.A for P in cells]), np.stack([P.b for P in cells])
    ours, batch = median_seconds(lambda: facets_batch(A, b, np.zeros((CELLS, d))))
    copies = [(P.A.copy(), P.b.copy()) for P in cells]  # daqp wants writable arrays
    theirs, answers = median_seconds(lambda: [daqp.minrep(*copy) for copy in copies], runs=3)
    highs, _ = highs_seconds(cells[0], m)
    for k, P in enumerate(cells):
        assert batch[k].holds(P).level is Level.EXACT
        assert np.array_equal(np.flatnonzero(answers[k] == 0), batch[k].facets)
    peers = {"daqp": theirs / CELLS, "warm HiGHS (one cell)": highs}
    print(line(f"({d}, {m}), a cell of {CELLS}", ours / CELLS, peers))


@pytest.mark.parametrize(("d", "m"), SINGLES)
def test_single_cells(d, m):
    P = gaussian(d, m)
    ours, report = median_seconds(lambda: facets(P, interior=np.zeros(d)))
    assert report.holds(P).level is Level.EXACT
    assert not len(report.undecided)
    copy = P.A.copy(), P.b.copy()
    theirs, answer = median_seconds(lambda: daqp.minrep(*copy), runs=3)
    assert np.array_equal(np.flatnonzero(answer == 0), report.facets)
    rows = SAMPLE[d, m]
    highs, answers = highs_seconds(P, rows)
    assert np.array_equal(np.flatnonzero(answers), report.facets[report.facets < rows])
    label = "warm HiGHS" if rows == m else f"warm HiGHS (extrapolated from {rows} rows)"
    print(line(f"({d}, {m}), {len(report.facets)} facets", ours, {"daqp": theirs, label: highs}))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_size_of_gpt2(family):
    d, m = LARGE
    P = FAMILIES[family](d, m)
    ours, report = median_seconds(lambda: facets(P, interior=np.zeros(d)), runs=3)
    assert report.holds(P).level is Level.EXACT
    assert len(report.facets) + len(report.redundant) == m
    copy = P.A.copy(), P.b.copy()
    start = time.process_time()
    daqp.minrep(*copy)
    print(
        line(f"({d}, {m}) {family}, {len(report.facets)} facets", ours, {"daqp": time.process_time() - start})
    )
    assert ours < 3.0
