"""Doubts on a line where rationals are out of reach: bands and wider bounds (`polygeom.lines.doubts`)."""

from __future__ import annotations

import numpy as np

from polygeom.gates import Gate, MaxGate
from polygeom.lines.events import Located
from polygeom.lines.nodes import Nodes
from polygeom.lines.states import LineState
from polygeom.rounding import gamma

__all__ = ["Fallback"]

Line = tuple[float, float, float, float, float]
"""Value, rate, bounds on their errors, and the size of what the value was computed from."""


class Fallback:
    """Settles the doubts of one gate by floats.

    Attributes
    ----------
    moved : bool
        Whether a node was widened or joined, so that the gate must be looked at again.
    undecided : list of (float, float, int)
        Intervals of t in which a unit (a column of the code) is not decided.
    """

    def __init__(self, gate: Gate, state: LineState, located: Located, nodes: Nodes) -> None:
        self.moved = False
        self.undecided: list[tuple[float, float, int]] = []
        self._gate, self._state, self._found, self._nodes = gate, state, located, nodes
        self._roots: list[tuple[float, float, float]] = []
        self._owners: list[tuple[int, int, int, int]] = []
        self._value, self._rate = state.lines.reshape(2, state.lines.shape[1], -1)
        self._spread, self._drift = state.errors.reshape(2, -1)
        self._more = np.zeros((2, self._spread.size))
        self._open = np.zeros(gate.size, dtype=bool)
        self._clipped = np.zeros(self._spread.size, dtype=bool) if state.clipped is None else state.clipped

    def located(self) -> Located:
        """Return what was found at the gate, doubts settled."""
        found = self._found
        return Located(
            found.letters,
            np.concatenate([found.roots, np.array(self._roots).reshape(-1, 3)]),
            np.concatenate([found.owners, np.array(self._owners, dtype=np.intp).reshape(-1, 4)]),
            found.doubts[:0],
            errors=self._more.reshape(self._state.errors.shape),
            open=self._open,
        )

    def take(self, k: int, unit: int) -> None:
        """Settle one doubtful unit on one piece."""
        if isinstance(self._gate, MaxGate):
            self._take_window(k, unit)
        else:
            self._take_unit(k, unit)

    # -- elementwise units -----------------------------------------------------------------------------------

    def _take_unit(self, k: int, unit: int) -> None:
        levels = self._gate.table(self._gate.breakpoints).reshape(len(self._gate.breakpoints), -1)[:, unit]
        p, g = float(self._value[k, unit]), float(self._rate[k, unit])
        letter = 0
        met = list(enumerate(levels.tolist()))
        for s, level in met if g > 0 else reversed(met):
            line = p - level, g, float(self._spread[unit]), float(self._drift[unit]), abs(p) + abs(level)
            begin, end = (self._sign(line, node) for node in self._state.cuts[k : k + 2])
            letter += begin > 0 or (begin == 0 and end > 0)
            if begin * end < 0:
                self._emit(k, unit, s + (begin > 0), s + (end > 0), self._root(k, line))
            elif begin * end == 0:
                self._doubt(k, unit, line, begin, end, [unit])
        self._found.letters[k, unit] = letter

    # -- windows ---------------------------------------------------------------------------------------------

    def _take_window(self, k: int, unit: int) -> None:
        """Follow the winner by floats; roots that overlap become bands when they are put in order.

        So do those of rivals that perhaps overtake just before the first one.
        """
        window = self._gate.index[unit]
        rivals = [w for w in range(len(window)) if window[w] >= 0]
        if all(self._clipped[window[w]] for w in rivals):  # zeros are below all others
            rivals = [w for w in rivals if not self._is_zero(k, window[w])] or rivals[:1]
        now = float(self._nodes.high[self._state.cuts[k]])
        winner = max(rivals, key=lambda w: (self._at(k, window[w], now), self._rate[k, window[w]], -w))
        self._found.letters[k, unit], begin_is_node = winner, True
        while True:
            rivals.remove(winner)
            ahead = []
            for w in rivals:
                if self._are_one(k, window[winner], window[w]):
                    continue
                line = self._difference(k, window[winner], window[w])
                begin, end = (self._sign(line, node) for node in self._state.cuts[k : k + 2])
                begin = begin if begin_is_node else 1
                if begin > 0 and end < 0:
                    ahead.append((self._root(k, line), w))
                elif begin <= 0 or end == 0:
                    self._doubt(k, unit, line, max(begin, 0), end, [window[winner], window[w]])
            if not ahead:
                return
            ahead.sort()
            (first, overtaker), *others = ahead
            at_once = [(root, w) for root, w in others if root[1] <= first[2]]
            for root, w in [*at_once, (first, overtaker)]:
                self._emit(k, unit, winner, w, root)
                winner = w
            begin_is_node = False

    def _is_zero(self, k: int, entry: int) -> bool:
        return self._value[k, entry] == 0.0 and self._rate[k, entry] == 0.0

    def _are_one(self, k: int, i: int, j: int) -> bool:
        """Tell whether two entries are known to be one function on piece k."""
        if self._state.source is not None and self._state.source[k, i] == self._state.source[k, j]:
            return True
        is_exact = not (self._spread[[i, j]].any() or self._drift[[i, j]].any())
        same = self._value[k, i] == self._value[k, j] and self._rate[k, i] == self._rate[k, j]
        return i == j or (is_exact and same)

    def _at(self, k: int, entry: int, t: float) -> float:
        return float(self._value[k, entry] + t * self._rate[k, entry])

    def _difference(self, k: int, i: int, j: int) -> Line:
        """Return the line of entry i minus entry j."""
        p, q, g, h = (float(a[k, e]) for a in (self._value, self._rate) for e in (i, j))
        drift = float(self._drift[i] + self._drift[j]) + gamma(8) * (abs(g) + abs(h))
        return p - q, g - h, float(self._spread[i] + self._spread[j]), drift, abs(p) + abs(q)

    # -- decisions -------------------------------------------------------------------------------------------

    def _sign(self, line: Line, node: int) -> int:
        from polygeom.kernels.line_events import sign_over

        value, rate, spread, drift, size = line
        return sign_over(value, rate, self._nodes.low[node], self._nodes.high[node], spread, drift, size)

    def _root(self, k: int, line: Line) -> tuple[float, float, float]:
        """Return the root of a line with an interval, clipped to a piece and its nodes."""
        from polygeom.kernels.line_events import root_interval

        value, rate, spread, drift, size = line
        first, last = self._state.cuts[k : k + 2]
        return root_interval(value, rate, spread, drift, size, self._nodes.low[first], self._nodes.high[last])

    def _emit(self, k: int, unit: int, before: int, after: int, root: tuple[float, float, float]) -> None:
        self._roots.append(root)
        self._owners.append((k, unit, before, after))

    def _doubt(self, k: int, unit: int, line: Line, begin: int, end: int, entries: list[int]) -> None:
        """Settle a line whose sign is 0 at the first or the last node of piece k, or at both."""
        first, last = self._state.cuts[k : k + 2].tolist()
        if begin != 0 or end != 0:
            _, low, high = self._root(k, line) if line[1] != 0.0 else (0.0, *self._reach(first, last))
            self._widen(first if begin == 0 else last, low, high)
        elif abs(line[1]) > line[3] and self._state.n_pieces > 1:
            self._nodes.joined(np.array([first, last]))
            self.moved = True
        else:
            # either slope may hold, on either side of the breakpoint
            self._more[0, entries] += 2.0 * abs(line[0])
            self._more[1, entries] += 2.0 * abs(line[1])
            self._open[unit] = True
            self.undecided.append((*self._reach(first, last), unit + self._gate.first_column))

    def _reach(self, first: int, last: int) -> tuple[float, float]:
        return float(self._nodes.low[first]), float(self._nodes.high[last])

    def _widen(self, node: int, low: float, high: float) -> None:
        """Make a node a band that reaches over an interval."""
        before = self._reach(node, node)
        self._nodes.widen(node, low, high)
        self.moved |= self._reach(node, node) != before
