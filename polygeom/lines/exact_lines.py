"""The lines of single units over the rationals: where floats cannot tell what happens at a node."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from polygeom.affine import AffineMap
from polygeom.exact import ScaledMatrix, rational
from polygeom.gates import Gate, MaxGate
from polygeom.network import Network

if TYPE_CHECKING:
    import flint

__all__ = ["ExactLine", "Root"]

KEPT = 32
"""Pieces whose exact lines are kept: neighbouring doubts ask for the same ones."""

Root = tuple["flint.fmpq", int, int]
"""Place of a flip, letter before and letter after."""


class ExactLine:
    """A line through a network, in rational arithmetic; pieces are given by their letters."""

    def __init__(self, net: Network, line: AffineMap) -> None:
        self._net = net
        self._line = line
        self._kept: OrderedDict[bytes, list[ScaledMatrix]] = OrderedDict()

    @cached_property
    def _columns(self) -> ScaledMatrix:
        return ScaledMatrix.from_floats(np.column_stack([self._line.offset, self._line.matrix]))

    def entry(self, letters: np.ndarray, gate: Gate, position: int) -> tuple[flint.fmpq, flint.fmpq]:
        """Return value at 0 and rate of an entry that arrives at a gate."""
        import flint

        key = letters.tobytes()
        if key not in self._kept:
            self._kept[key] = self._net.exact().arrivals(self._columns, letters)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        arrival = self._kept[key][self._net.gates.index(gate)]
        value, rate = (arrival.numerators[int(position), c] for c in range(2))
        return flint.fmpq(value, arrival.denominator), flint.fmpq(rate, arrival.denominator)

    def place(self, letters: np.ndarray, gate: Gate, unit: int, before: int, after: int) -> flint.fmpq:
        """Return where a unit of a gate flips between two letters, on the piece with these letters."""
        if isinstance(gate, MaxGate):
            (p, g), (q, h) = (self.entry(letters, gate, gate.index[unit, w]) for w in (before, after))
            return (q - p) / (g - h)
        p, g = self.entry(letters, gate, unit)
        return (_level(gate, unit, min(before, after)) - p) / g

    def follow(
        self, letters: np.ndarray, gate: Gate, unit: int, begin: flint.fmpq, end: flint.fmpq
    ) -> tuple[int, list[Root]]:
        """Return a unit's letter where a piece begins and its flips inside (begin, end)."""
        if isinstance(gate, MaxGate):
            return _follow_window(gate.index[unit], lambda i: self.entry(letters, gate, i), begin, end)
        p, g = self.entry(letters, gate, unit)
        letter, passed = 0, []
        sides = range(len(gate.breakpoints))
        for s in sides if g > 0 else reversed(sides):  # in the order in which the line meets them
            level = _level(gate, unit, s)
            first, last = p + begin * g - level, p + end * g - level
            letter += first > 0 or (first == 0 and last > 0)
            if (first < 0 and last > 0) or (first > 0 and last < 0):
                passed.append(((level - p) / g, s))
        step = 1 if g > 0 else 0
        return letter, [(t, s + 1 - step, s + step) for t, s in passed]


def _level(gate: Gate, unit: int, side: int) -> flint.fmpq:
    return rational(float(gate.table(gate.breakpoints)[side].ravel()[unit]))


def _follow_window(
    window: np.ndarray,
    entry: Callable[[int], tuple[flint.fmpq, flint.fmpq]],
    begin: flint.fmpq,
    end: flint.fmpq,
) -> tuple[int, list[Root]]:
    """Return the first position of the largest line just after `begin`, and the flips of that position."""
    lines = {w: entry(int(i)) for w, i in enumerate(window) if i >= 0}

    def largest(t: flint.fmpq) -> int:
        """Return the first position among the lines that are largest just after t."""
        return max(lines, key=lambda w: (lines[w][0] + t * lines[w][1], lines[w][1], -w))

    winner = largest(begin)
    first, roots, now = winner, [], begin
    while True:
        p, g = lines[winner]
        meetings = [(p - q) / (h - g) for q, h in lines.values() if h > g]
        ahead = [t for t in meetings if now < t < end]
        if not ahead:
            return first, roots
        now = min(ahead)
        previous, winner = winner, largest(now)
        roots.append((now, previous, winner))
