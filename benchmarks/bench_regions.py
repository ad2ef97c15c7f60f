"""All regions beside the prototypes, regioncam and relucent; the adjacency graph and the memory of counting.

Processor time of one process (`time.process_time`), medians of runs that take turns with the peers, after one run
of each that compiles. The prototypes only count, so ``store="count"`` stands beside them and what it costs to keep
codes, witnesses and facets (``store="regions"``) is printed next to it. Exact signs are on, as always.

``python -m benchmarks.bench_regions`` prints the table; under pytest the ratios are asserted as well.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import polygeom as pg
from benchmarks import region_peers as peers
from benchmarks.region_peers import Counted, Layers, MissingPeerError

pytestmark = pytest.mark.bench

SHORTEST = 0.05
"""Seconds that one timed run lasts at least: a short one is repeated."""

MEGABYTE = 2**20


@dataclass(frozen=True)
class Row:
    """One line of the table in ALGORITHMS.md, section 3.

    ``box`` is the half-width of the cube around 0, None for the whole space; ``kinds`` the prototypes that can do
    it; ``at_least`` thousands of regions a second to reach besides.
    """

    widths: tuple[int, ...]
    box: float | None
    regions: int | None
    kinds: tuple[str, ...]
    runs: int = 5
    at_least: float = 0.0

    @property
    def name(self) -> str:
        domain = f"R^{self.widths[0]}" if self.box is None else f"box {self.box:g}"
        return f"[{','.join(map(str, self.widths))}] {domain}"

    def domain(self) -> pg.Polyhedron | None:
        return None if self.box is None else pg.Polyhedron.box(-self.box, self.box, dim=self.widths[0])


# The last three boxes are small enough for the numbers of regions in the table, of which only the order is given.
ROWS = [
    Row((2, 32, 32), 1.0, 1_382, ("polygons", "rays"), runs=9),
    Row((2, 32, 32), None, 2_034, ("rays", "programs"), runs=9),
    Row((2, 64, 64, 64), 1.0, 11_285, ("polygons", "rays"), runs=9),
    Row((2, 64, 64, 64), None, 16_123, ("rays", "programs")),
    Row((2, 256, 256, 256), 1.0, 198_081, ("polygons",)),
    Row((2, 3072), 1.0, 3_483_948, ("polygons",)),
    Row((3, 64, 64), None, 334_936, ("rays", "programs"), at_least=800),
    Row((4, 12, 12), None, 13_373, ("rays", "programs"), runs=9),
    Row((6, 10, 10), None, 38_538, ("rays", "programs"), at_least=100),
    Row((10, 14), None, 15_914, ("rays", "programs"), at_least=100),
    Row((10, 12, 6), None, 123_757, ("rays", "programs"), runs=3, at_least=100),
    Row((20, 64), 0.035, None, ("programs",), runs=3),
    Row((50, 64, 64), 0.01, None, ("programs",), runs=3),
    Row((100, 128), 0.0055, None, ("programs",), runs=3),
]


def as_network(layers: Layers) -> pg.Network:
    """Return the peers' layers with a head that has no gate, so all units are those of the peers."""
    return pg.Network.from_layers([*zip(*layers, strict=True), (np.ones((1, len(layers[1][-1]))), None)])


# -- time ----------------------------------------------------------------------------------------------------


def medians(
    works: dict[str, Callable[[], object]], runs: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Let all take turns; return the median seconds of one call of each."""
    calls = {name: max(1, round(SHORTEST / _seconds(work, 1, clock))) for name, work in works.items()}
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            spent[name].append(_seconds(work, calls[name], clock))
    return {name: float(np.median(seconds)) for name, seconds in spent.items()}


def _seconds(work: Callable[[], object], calls: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(calls):
        work()
    return (clock() - start) / calls


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


# -- the prototypes ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """Regions, seconds of everybody, and how much faster polygeom counts than the fastest prototype."""

    regions: int
    seconds: dict[str, float]
    doubtful: int

    @property
    def ratio(self) -> float:
        best = min(seconds for name, seconds in self.seconds.items() if name in peers.KINDS)
        return best / self.seconds["count"]

    @property
    def rate(self) -> float:
        """Thousands of regions a second, counted."""
        return self.regions / self.seconds["count"] / 1e3


def measure(row: Row) -> Line:
    """Compare the counts, then time everybody.

    A leaf whose witness fails its own forward pass is left out by the prototype with programs, and may have been a
    region or not: its count may be that much too small.
    """
    layers = peers.prototype_layers(row.widths)
    network, domain = as_network(layers), row.domain()
    works: dict[str, Callable[[], object]] = {
        store: lambda store=store: pg.enumerate_regions(network, domain, store=store)
        for store in ("count", "regions")
    }
    works |= {kind: peers.KINDS[kind](layers, row.box) for kind in row.kinds}
    found = {name: work() for name, work in works.items()}
    count, kept = found.pop("count"), found.pop("regions")
    assert count.complete
    assert count.exactness.undecided == 0
    assert count.n_regions == kept.n_regions
    assert row.regions in (None, count.n_regions)
    for kind, peer in found.items():
        assert isinstance(peer, Counted)
        assert peer.regions <= count.n_regions <= peer.regions + peer.doubtful, (kind, peer, count)
    doubtful = max(peer.doubtful for peer in found.values())
    return Line(count.n_regions, medians(works, row.runs, time.process_time), doubtful)


HEADER = (
    f"{'thousands of regions a second':30} {'regions':>8} {'count':>9} {'stored':>9}  "
    f"{'polygons':>9} {'rays':>9} {'programs':>9}  count/fastest prototype"
)


def formatted(row: Row, line: Line) -> str:
    """Return one line of the table."""
    rates = {name: f"{line.regions / seconds / 1e3:.4g}" for name, seconds in line.seconds.items()}
    doubt = f", prototype doubts {line.doubtful} of its leaves" if line.doubtful else ""
    return (
        f"{row.name:30} {line.regions:8} {rates['count']:>9} {rates['regions']:>9}  "
        + " ".join(f"{rates.get(kind, '-'):>9}" for kind in peers.KINDS)
        + f"  {line.ratio:6.2f}  ({load()}{doubt})"
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_prototypes(row: Row):
    try:
        peers.prototype_folder()
    except MissingPeerError as why:
        pytest.skip(str(why))
    line = measure(row)
    print(f"\n{HEADER}\n{formatted(row, line)}")
    assert line.ratio >= 1.0
    assert line.rate >= row.at_least


# -- peers ---------------------------------------------------------------------------------------------------


def gaussian_layers(widths: tuple[int, ...], seed: int = 0) -> Layers:
    """Return weights of variance 2/n and biases of deviation 0.3: the prototypes' network, without them."""
    rng = np.random.default_rng(seed)
    pairs = [
        (rng.standard_normal((n, m)) * np.sqrt(2 / m), rng.standard_normal(n) * 0.3)
        for m, n in pairwise(widths)
    ]
    return [W for W, _ in pairs], [b for _, b in pairs]


def against_regioncam() -> tuple[str, float]:
    """Return a line and the ratio: polygons with vertices here and there; regioncam also keeps all activations."""
    layers = gaussian_layers((2, 64, 64, 64))
    network, square = as_network(layers), pg.Polyhedron.box(-1.0, 1.0, dim=2)
    peer = peers.regioncam(layers, 1.0)
    cells, faces = pg.enumerate_regions(network, square, store="cells"), peer()
    graph = cells.adjacency
    works = {
        store: lambda store=store: pg.enumerate_regions(network, square, store=store)
        for store in ("count", "regions", "cells")
    }
    works["graph"] = lambda: pg.enumerate_regions(network, square, store="cells").adjacency
    seconds = medians(works | {"regioncam": peer}, 9, time.process_time)
    ratios = ", ".join(f"{name} {seconds['regioncam'] / seconds[name]:.1f}" for name in works)
    text = (
        f"regioncam [2,64,64,64] box 1: {faces} faces in float32 ({cells.n_regions} regions, "
        f"{graph.nnz // 2} edges, exact), {seconds['regioncam'] * 1e3:.1f} ms; times faster: {ratios} ({load()})"
    )
    return text, seconds["regioncam"] / seconds["cells"]


def against_relucent() -> tuple[str, float]:
    """Return a line and the ratio of seconds per region; on the wall clock, for relucent starts processes."""
    layers = gaussian_layers((2, 16, 16))
    network = as_network(layers)
    peer = peers.relucent(layers)
    own, found = pg.enumerate_regions(network), peer()
    works = {"regions": lambda: pg.enumerate_regions(network).adjacency, "relucent": peer}
    seconds = medians(works, 3, time.perf_counter)
    ratio = (seconds["relucent"] / found) / (seconds["regions"] / own.n_regions)
    return (
        f"relucent [2,16,16] R^2: {found} regions ({own.n_regions} here), {ratio:.0f} times ({load()})",
        ratio,
    )


@pytest.mark.parametrize(("against", "times"), [(against_regioncam, 10.0), (against_relucent, 1000.0)])
def test_peers(against: Callable[[], tuple[str, float]], times: float):
    try:
        text, ratio = against()
    except MissingPeerError as why:
        pytest.skip(str(why))
    print(f"\n{text}")
    assert ratio >= times


# -- graph and memory ----------------------------------------------------------------------------------------


def from_nothing_to_graph() -> tuple[str, float]:
    """Return a line and the median seconds to the adjacency matrix of [3,64,64] in all of R^3."""
    network = as_network(gaussian_layers((3, 64, 64)))
    found = pg.enumerate_regions(network)
    assert found.n_regions == 334_936
    assert found.adjacency.nnz == 2 * 996_896
    assert found.exactness.undecided == 0
    works = {
        "graph": lambda: pg.enumerate_regions(network).adjacency,
        "regions": lambda: pg.enumerate_regions(network),
    }
    seconds = medians(works, 5, time.process_time)
    text = (
        f"graph [3,64,64] R^3: {found.n_regions} regions, {found.adjacency.nnz // 2} edges in CSR: "
        f"{seconds['graph']:.2f} s, of which regions {seconds['regions']:.2f} s ({load()})"
    )
    return text, seconds["graph"]


def test_graph():
    text, seconds = from_nothing_to_graph()
    print(f"\n{text}")
    assert seconds < 2.0


# The peak of this very process image: `ru_maxrss` would inherit that of the process which started it.
COUNTING = """
def peak():
    status = open("/proc/self/status", encoding="ascii").read()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

import polygeom as pg
from benchmarks.bench_regions import as_network, gaussian_layers
imported = peak()
square = pg.Polyhedron.box(-1.0, 1.0, dim=2)
pg.enumerate_regions(as_network(gaussian_layers((2, 8))), square, store="count")
warm = peak()
found = pg.enumerate_regions(as_network(gaussian_layers((2, 3072))), square, store="count")
print(found.n_regions, imported, warm, peak())
"""


def memory_of_counting() -> tuple[str, int]:
    """Return a line and by how many bytes a fresh process grows over its imports while it counts."""
    root = Path(__file__).parents[1]
    answer = subprocess.run(
        [sys.executable, "-c", COUNTING], capture_output=True, text=True, check=True, cwd=root
    )
    regions, imported, warm, peak = map(int, answer.stdout.split())
    assert regions == 3_483_948
    text = (
        f"memory [2,3072] box 1, {regions} regions counted: {(peak - imported) / MEGABYTE:.0f} MB over the "
        f"imports, {(peak - warm) / MEGABYTE:.0f} MB over a small network, {peak / MEGABYTE:.0f} MB in all"
    )
    return text, peak - imported


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads peaks of memory from /proc")
def test_memory_of_counting():
    text, growth = memory_of_counting()
    print(f"\n{text}")
    assert growth < 300e6


def main(names: list[str]) -> None:
    """Print the table, or the rows whose name holds one of some words."""
    print(HEADER)
    for row in ROWS:
        if not names or any(name in row.name for name in names):
            print(formatted(row, measure(row)), flush=True)
    for work in (
        () if names else (against_regioncam, against_relucent, from_nothing_to_graph, memory_of_counting)
    ):
        try:
            print(work()[0], flush=True)
        except MissingPeerError as why:
            print(f"{work.__name__} left out: {why}")


if __name__ == "__main__":
    main(sys.argv[1:])
