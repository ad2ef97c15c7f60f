"""Facets with certificates beside DAQP (`minrep`, no proofs) and a warm persistent HiGHS (no proofs).

Processor time of one process (`time.process_time`), medians of runs that take turns with the peers. HiGHS keeps
one model per cell: a row is relaxed, maximized from the last basis, and dropped for good if it is redundant. At
the larger sizes it is asked about some rows only and its time is extrapolated to all of them.

``python -m benchmarks.bench_facets`` prints the table; under pytest the ratios are asserted as well.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import daqp
import highspy
import numpy as np
import pytest

from benchmarks.cells import FAMILIES, Cell
from polygeom.certificates.facets import FacetBatch, FacetReport
from polygeom.polyhedron import Polyhedron
from polygeom.predicates import facets, facets_batch
from polygeom.threads import one_blas_thread

pytestmark = pytest.mark.bench


@dataclass(frozen=True)
class Size:
    """One line of the table, and what it must reach: times faster than DAQP and than HiGHS."""

    d: int
    m: int
    cells: int
    runs: int
    highs_rows: int
    over_daqp: float
    over_highs: float


SIZES = [
    Size(5, 60, 1000, 7, 10**6, 1.0, 1.0),
    Size(10, 50, 1000, 7, 10**6, 1.0, 100.0),
    Size(50, 200, 1, 15, 40, 1.0, 100.0),
    Size(100, 400, 1, 9, 10, 1.0, 1.0),
    Size(200, 800, 1, 5, 3, 1.0, 1.0),
    Size(16, 1024, 1, 5, 40, 1 / 1.5, 1.0),
    Size(50, 1500, 1, 3, 10, 1 / 1.5, 1.0),
    Size(768, 3072, 1, 1, 0, 1.0, 1.0),
]


@dataclass(frozen=True)
class Line:
    """Seconds per cell of everybody, and how many rows of one cell are facets."""

    ours: float
    checking: float
    daqp: float
    highs: float
    n_facets: float


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of one run."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(size: Size, family: Callable[[int, int, int], Cell]) -> Line:
    """Let all take turns on the same cells, and compare their answers."""
    cells = [family(size.d, size.m, seed) for seed in range(size.cells)]
    ours = _ours(cells)
    report = ours()
    # minrep alone takes minutes at (768, 3072)
    peer = [daqp.minrep(A, b) for A, b in cells] if size.d < 768 else []
    agree(report, peer, size.m)
    own, other = [], []
    with one_blas_thread(2**30):
        for _ in range(size.runs):
            own.append(seconds(ours))
            other.append(seconds(lambda: [daqp.minrep(A, b) for A, b in cells]) if size.d < 768 else np.nan)
        checking = seconds(lambda: _holds(report, cells))
    highs = (
        np.median([highs_seconds(A, b, size.highs_rows) for A, b in cells[:3]]) if size.highs_rows else np.nan
    )
    n_facets = np.mean([np.count_nonzero(np.asarray(p) == 0) for p in peer]) if peer else report.facets.size
    per_cell = 1.0 / size.cells
    return Line(np.median(own) * per_cell, checking * per_cell, np.median(other) * per_cell, highs, n_facets)


def _ours(cells: list[Cell]) -> Callable[[], FacetBatch | FacetReport]:
    if len(cells) == 1:
        P = Polyhedron(*cells[0])
        return lambda: facets(P, np.zeros(P.dim))
    A, b = np.array([A for A, _ in cells]), np.array([b for _, b in cells])
    return lambda: facets_batch(A, b, np.zeros((len(A), A.shape[2])))


def _holds(report: FacetBatch | FacetReport, cells: list[Cell]) -> None:
    if isinstance(report, FacetReport):
        check = report.holds(Polyhedron(*cells[0]))
    else:
        check = report.holds(np.array([A for A, _ in cells]), np.array([b for _, b in cells]))
    if not check:
        raise SystemExit("a certificate does not hold")


def agree(report: FacetBatch | FacetReport, peer: list[np.ndarray], m: int) -> None:
    """Stop if a row is undecided; count rows where DAQP, which proves nothing, differs."""
    reports = [report] if isinstance(report, FacetReport) else [report[i] for i in range(len(report))]
    differ = 0
    if any(own.undecided.size for own in reports):
        raise SystemExit("undecided rows")
    for own, other in zip(reports, peer, strict=bool(peer)):
        differ += np.setxor1d(own.facets, np.flatnonzero(np.asarray(other) == 0)).size
    if differ:
        print(f"  DAQP differs in {differ} of {m * len(peer)} rows (its answers carry no proof)")


def highs_seconds(A: np.ndarray, b: np.ndarray, rows: int) -> float:
    """Return the time a warm HiGHS takes for all rows of one cell, extrapolated from the first rows."""
    m, d = A.shape
    asked = min(m, rows)
    start = time.process_time()
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = d, m
    program.col_cost_ = np.zeros(d)
    program.col_lower_, program.col_upper_ = np.full(d, -np.inf), np.full(d, np.inf)
    program.row_lower_, program.row_upper_ = np.full(m, -np.inf), b
    program.sense_ = highspy.ObjSense.kMaximize
    program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    program.a_matrix_.start_ = np.arange(m + 1) * d
    program.a_matrix_.index_, program.a_matrix_.value_ = np.tile(np.arange(d), m), A.ravel()
    highs.passModel(program)
    columns = np.arange(d, dtype=np.int32)
    for i in range(asked):
        highs.changeRowBounds(i, -np.inf, b[i] + 1.0)
        highs.changeColsCost(d, columns, A[i])
        highs.run()
        redundant = highs.getInfo().objective_function_value <= b[i]
        highs.changeRowBounds(i, -np.inf, np.inf if redundant else b[i])
    return (time.process_time() - start) * m / asked


def formatted(size: Size, name: str, line: Line) -> str:
    """Return one line of the table."""
    unit = 1e6 if line.ours < 1e-3 else 1e3
    label = "us" if unit == 1e6 else "ms"
    sampled = "*" if size.highs_rows < size.m else " "
    return (
        f"{name:10} {size.d:4} {size.m:5} x{size.cells:<5} {line.n_facets:6.0f}  "
        f"{line.ours * unit:9.2f} {line.checking * unit:9.2f} {line.daqp * unit:9.2f} {label}  "
        f"{line.highs * 1e3:10.1f} ms{sampled}  {line.daqp / line.ours:7.2f}  {line.highs / line.ours:9.0f}"
    )


HEADER = (
    "cells         d     m cells  facets    polygeom     check      daqp            HiGHS        "
    "daqp/ours  HiGHS/ours   (* extrapolated from some rows)"
)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s.d}x{s.m}")
def test_facets(size: Size, family: str):
    line = measure(size, FAMILIES[family])
    print(f"\n{HEADER}\n{formatted(size, family, line)}")
    assert not line.daqp / line.ours < size.over_daqp
    assert not line.highs / line.ours < size.over_highs


if __name__ == "__main__":
    print(HEADER)
    for chosen in SIZES:
        if len(sys.argv) > 1 and str(chosen.d) not in sys.argv[1:]:
            continue
        for title, maker in FAMILIES.items():
            print(formatted(chosen, title, measure(chosen, maker)), flush=True)
