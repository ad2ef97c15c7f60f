"""The nodes of a line: where units flip, each with an interval that holds it, and with rationals where floats tie.

Nodes are numbered as they are found. Two whose intervals overlap are compared exactly; if that is out of reach
they become one *band*: an interval inside which the order of its flips is not known, and is not claimed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from polygeom.exact import nearest_float, rational

if TYPE_CHECKING:
    import flint

__all__ = ["Nodes", "place_around"]


def place_around(t: flint.fmpq) -> tuple[float, float, float]:
    """Return the float nearest to an exact place, and the narrowest interval of floats that holds it."""
    nearest = nearest_float(t)
    exact = rational(nearest)
    low = nearest if exact <= t else float(np.nextafter(nearest, -np.inf))
    high = nearest if exact >= t else float(np.nextafter(nearest, np.inf))
    return nearest, low, high


class Nodes:
    """All nodes found so far; the first two are the ends of the line.

    Attributes
    ----------
    exact : dict
        The exact place of a node, where it was needed.
    bands : set of int
        Nodes that stand for an interval in which something is not decided.
    """

    def __init__(self, first: float, last: float) -> None:
        self._places = np.zeros((64, 3))
        self._names = np.arange(64)
        self._count = 0
        self.exact: dict[int, flint.fmpq] = {0: rational(first), 1: rational(last)}
        self.bands: set[int] = set()
        self.add(np.array([[first] * 3, [last] * 3]))

    @property
    def t(self) -> np.ndarray:
        """Float place of every node."""
        return self._places[: self._count, 0]

    @property
    def low(self) -> np.ndarray:
        """Where the interval of every node begins."""
        return self._places[: self._count, 1]

    @property
    def high(self) -> np.ndarray:
        """Where the interval of every node ends."""
        return self._places[: self._count, 2]

    def add(self, places: np.ndarray) -> np.ndarray:
        """Add nodes (m, 3): place, and an interval that holds it; return their numbers."""
        count = self._count + len(places)
        if count > len(self._places):
            self._places = np.resize(self._places, (2 * count, 3))
            self._names = np.append(self._names, np.arange(len(self._names), 2 * count))
        self._places[self._count : count] = places
        numbers = np.arange(self._count, count)
        self._count = count
        return numbers

    def add_exact(self, t: flint.fmpq) -> int:
        """Add a node whose place is known exactly; return its number."""
        node = int(self.add(np.zeros((1, 3)))[0])
        self.fix(node, t)
        return node

    def fix(self, node: int, t: flint.fmpq) -> None:
        """Keep the exact place of a node; its float place and interval follow, so that floats stand in order."""
        self.exact[node] = t
        self._places[node] = place_around(t)

    def named(self, nodes: np.ndarray) -> np.ndarray:
        """Return the nodes that stand for these: equal places, and bands, share one."""
        return self._names[nodes]

    def precedes(self, node: int) -> np.ndarray:
        """Return which of all nodes lie before a node (all but bands are decided by intervals or rationals)."""
        before = self.t < self.t[node]
        for other in np.flatnonzero((self.low <= self.high[node]) & (self.high >= self.low[node])):
            if other in self.exact and node in self.exact:
                before[other] = self.exact[other] < self.exact[node]
        return before

    def in_order(self, nodes: np.ndarray, find: Callable[[int], flint.fmpq | None]) -> np.ndarray:
        """Return the distinct nodes among these from left to right; overlaps are settled on the way.

        `find` returns the exact place of a node, or None where it is out of reach.
        """
        nodes = np.unique(self.named(nodes))
        nodes = nodes[np.argsort(self.t[nodes], kind="stable")]
        overlaps = self.low[nodes][1:] <= np.maximum.accumulate(self.high[nodes])[:-1]
        if not overlaps.any():
            return nodes
        runs = np.split(nodes, np.flatnonzero(~overlaps) + 1)
        return np.concatenate([self._settled(run, find) if len(run) > 1 else run for run in runs])

    def _settled(self, run: np.ndarray, find: Callable[[int], flint.fmpq | None]) -> np.ndarray:
        """Return the distinct nodes of a run of overlapping ones, in order; undecided ones become a band."""
        for node in run.tolist():
            if node not in self.exact:
                place = find(node)
                if place is None:
                    return self.joined(run)
                self.fix(node, place)
        ordered = sorted(run.tolist(), key=self.exact.__getitem__)
        kept = ordered[:1]
        for node in ordered[1:]:
            if self.exact[node] == self.exact[kept[-1]]:
                self._rename(node, kept[-1])
            else:
                kept.append(node)
        return np.array(kept)

    def joined(self, run: np.ndarray) -> np.ndarray:
        """Make one band of overlapping nodes; an end of the line keeps its place."""
        low, high = self.low[run].min(), self.high[run].max()
        ends = [node for node in run.tolist() if node in self.exact]
        kept = ends[0] if ends else int(run[len(run) // 2])
        self._places[kept] = self._places[kept, 0], low, high
        self.bands.add(kept)
        for node in run.tolist():
            self._rename(node, kept)
        return np.array([kept])

    def _rename(self, node: int, to: int) -> None:
        """Let one node stand for another from now on."""
        self._names[: self._count][self._names[: self._count] == node] = to
        if node != to and node in self.bands:
            self.bands.add(to)

    def widen(self, node: int, low: float, high: float) -> None:
        """Make a node a band that reaches from low to high."""
        self._places[node, 1:] = min(low, self._places[node, 1]), max(high, self._places[node, 2])
        self.bands.add(int(node))
