"""Plain records of what happens on a line: flips, what was found at one gate, and in all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import flint

    from polygeom.lines.nodes import Nodes

__all__ = ["Events", "Located", "Swept"]


@dataclass(frozen=True, eq=False)
class Events:
    """Flips of units, as (F,) integer arrays: node, unit (a column of the code), letter before and after."""

    node: np.ndarray
    unit: np.ndarray
    before: np.ndarray
    after: np.ndarray

    def __getitem__(self, index: np.ndarray | slice) -> Events:
        return Events(self.node[index], self.unit[index], self.before[index], self.after[index])

    def __len__(self) -> int:
        return len(self.node)

    @classmethod
    def joined(cls, parts: list[Events]) -> Events:
        """Return the flips of several lists, one after another."""
        none = cls(*(np.zeros(0, dtype=np.intp) for _ in range(4)))
        fields = ("node", "unit", "before", "after")
        return cls(*(np.concatenate([getattr(p, field) for p in (none, *parts)]) for field in fields))

    def netted(self) -> tuple[Events, np.ndarray]:
        """Return the flips with those of one unit at one node made one, and the positions that are kept.

        The letters that a unit passes through at a node form a path, in whatever order its flips are listed; what
        counts are its two ends. A path that comes back is no flip.
        """
        width = int(self.unit.max(initial=0)) + 1
        _, number, count = np.unique(self.node * width + self.unit, return_inverse=True, return_counts=True)
        if (count == 1).all():
            return self, np.arange(len(self))
        before, after = self.before.copy(), self.after.copy()
        kept = np.ones(len(self), dtype=bool)
        for group in np.flatnonzero(count > 1).tolist():
            path = np.flatnonzero(number == group)
            left, entered = (Counter(a[path].tolist()) for a in (before, after))
            kept[path] = False
            for start, end in zip(left - entered, entered - left, strict=True):
                before[path[0]], after[path[0]], kept[path[0]] = start, end, True
        positions = np.flatnonzero(kept)
        return Events(self.node, self.unit, before, after)[positions], positions

    def merged(self) -> Events:
        """Return, of flips sorted by node, one per node and unit: its first letter before and its last after.

        A unit passes several breakpoints at one node if they coincide; one that comes back does not flip.
        """
        begins = np.append(True, self.node[1:] != self.node[:-1])[: len(self)]
        if begins.all():
            return self
        place = np.cumsum(begins)
        order = np.lexsort((self.unit, place))
        sorted_, place = self[order], place[order]
        fresh = np.append(True, (place[1:] != place[:-1]) | (sorted_.unit[1:] != sorted_.unit[:-1]))
        firsts = np.flatnonzero(fresh)
        lasts = np.append(firsts[1:], len(order)) - 1
        one = Events(sorted_.node[firsts], sorted_.unit[firsts], sorted_.before[firsts], sorted_.after[lasts])
        return one[one.before != one.after]


@dataclass(frozen=True, eq=False)
class Located:
    """What was found at one gate.

    Attributes
    ----------
    letters : (K, size) array
        Letters where each piece begins.
    roots : (F, 3) array
        Places inside pieces, and intervals that hold them.
    owners : (F, 4) integer array
        Piece, unit, letter before and letter after.
    doubts : (D, 2) integer array
        Piece and unit where floats could not tell, settled or not.
    exact : list
        Exact places of the last roots, where rationals found them.
    errors : (2, *input shape) array or None
        What is added to the error bounds of value and rate.
    open : (size,) bool array or None
        Which units are not decided on some piece.
    """

    letters: np.ndarray
    roots: np.ndarray
    owners: np.ndarray
    doubts: np.ndarray
    exact: tuple[flint.fmpq, ...] = ()
    errors: np.ndarray | None = None
    open: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Swept:
    """Everything found on a line, from left to right.

    Attributes
    ----------
    nodes : Nodes
    letters : (n_units,) array
        Letters where the line begins.
    events : Events
        All flips, sorted by node; the nodes stand in order.
    undecided : list of (float, float, int)
        Intervals of t in which a unit stays within its rounding errors.
    parts : int
        In how many parts memory allowed the line to be swept.
    last : int
        The node that the sweep came to.
    stopped : str or None
        Why it is not the end of the line.
    """

    nodes: Nodes
    letters: np.ndarray
    events: Events
    undecided: list[tuple[float, float, int]]
    parts: int
    last: int
    stopped: str | None

    def code(self, passed: np.ndarray, n_units: int) -> np.ndarray:
        """Return the letters behind all nodes that are passed."""
        letters, kept = self.letters.copy(), passed[self.events.node]
        letters[self.events.unit[kept]] = self.events.after[kept]
        return letters[:n_units]
