"""All boundaries on segments beside a plain numpy sweep, the prototype and regioncam in one dimension.

Processor time of one process, medians over several segments of runs that take turns with the peers, after one run
of each that compiles. polygeom proves every boundary; the peers prove nothing.

``python -m benchmarks.bench_lines`` prints the table; under pytest the ratios are asserted as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

import polygeom as pg
from benchmarks import line_peers as peers
from benchmarks.region_peers import MissingPeerError

pytestmark = pytest.mark.bench

SHORTEST = 0.05
"""Seconds that one timed run lasts at least: a short one is repeated."""

SEGMENTS = 5
PEERS = {
    "numpy": peers.numpy_sweep,
    "prototype": peers.prototype_sweep,
    "regioncam": peers.regioncam_line,
}


@dataclass(frozen=True)
class Row:
    """A network, and thousands of flips a second to reach on one core."""

    widths: tuple[int, ...]
    at_least: float


ROWS = (Row((784, 256, 256, 10), 80.0), Row((784, 1024, 1024, 1024, 10), 13.0))


@dataclass(frozen=True)
class Outcome:
    """Thousands of flips a second of each tool (median over segments), and their counts of flips."""

    rates: dict[str, float]
    counts: dict[str, list[int]]


def measure(row: Row) -> Outcome:
    """Time all tools on the same segments."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(n, m)) * (2 / m) ** 0.5 for m, n in pairwise(row.widths)]
    biases = [0.1 * rng.normal(size=len(w)) for w in weights]
    net = pg.Network.from_layers(list(zip(weights, biases, strict=True)))
    hidden = weights[:-1], biases[:-1]
    seconds: dict[str, list[float]] = {}
    counts: dict[str, list[int]] = {}
    for _ in range(SEGMENTS):
        points = tuple(rng.random((2, row.widths[0])))
        runs: dict[str, Callable[[], int]] = {"polygeom": lambda p=points: pg.line_crossings(net, *p).n_flips}
        for name, peer in PEERS.items():
            try:
                runs[name] = peer(hidden, points)
            except MissingPeerError as reason:
                print(f"{name} is left out: {reason}")
        for name, run in runs.items():
            counts.setdefault(name, []).append(run())
            seconds.setdefault(name, []).append(_seconds(run) / counts["polygeom"][-1])
    return Outcome({name: 1e-3 / float(np.median(s)) for name, s in seconds.items()}, counts)


def _seconds(run: Callable[[], int]) -> float:
    """Return processor seconds of one run: the median of three blocks of repetitions."""
    blocks = []
    for _ in range(3):
        repeats, begin = 0, time.process_time()
        while (spent := time.process_time() - begin) < SHORTEST or not repeats:
            run()
            repeats += 1
        blocks.append(spent / repeats)
    return float(np.median(blocks))


def described(row: Row, outcome: Outcome) -> str:
    """Return one line of the table."""
    own = outcome.rates["polygeom"]
    ratios = [f"{own / rate:.2f} x {name}" for name, rate in outcome.rates.items() if name != "polygeom"]
    flips = int(np.median(outcome.counts["polygeom"]))
    return f"{list(row.widths)}: {flips} flips, {own:.1f} k/s (asked {row.at_least:g}), " + ", ".join(ratios)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(list(row.widths)))
def test_all_boundaries_come_faster_than_from_float_sweeps(row: Row) -> None:
    outcome = measure(row)
    print("\n" + described(row, outcome))
    own = outcome.rates["polygeom"]
    assert own >= row.at_least
    assert outcome.counts["numpy"] == outcome.counts["polygeom"]
    for name in ("numpy", "regioncam"):
        assert own > outcome.rates.get(name, 0.0), name


if __name__ == "__main__":
    for row in ROWS:
        print(described(row, measure(row)))
