"""Doubts on a line where rationals are out of reach: bands and wider bounds (`polygeom.lines.doubts`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np

from polygeom.gates import Gate, MaxGate
from polygeom.lines.events import Located
from polygeom.lines.nodes import Nodes
from polygeom.lines.states import LineState
from polygeom.rounding import gamma

__all__ = ["Fallback"]

Line = tuple[float, float, float, float, float]
"""Value, rate, bounds on their errors, and the size of what the value was computed from."""

Root = tuple[float, float, float]
"""Place, and an interval that holds the exact one."""


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
        self._roots: list[Root] = []
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
            begin, end = self._signs(k, line, [unit], ([p, -level], [g]))
            letter += begin > 0 or (begin == 0 and end > 0)
            if begin * end < 0:
                self._emit(k, unit, s + (begin > 0), s + (end > 0), self._root(k, line))
            elif begin * end == 0:
                self._doubt(k, unit, line, begin, end, [unit])
        self._found.letters[k, unit] = letter

    # -- windows ---------------------------------------------------------------------------------------------

    def _take_window(self, k: int, unit: int) -> None:
        """Follow the winner of a window by floats from boundary to boundary."""
        window = self._gate.index[unit]
        rivals = [w for w in range(len(window)) if window[w] >= 0]
        if all(self._clipped[window[w]] for w in rivals):  # zeros are below all others
            rivals = [w for w in rivals if not self._is_zero(k, window[w])] or rivals[:1]
        rivals = [
            w for w in rivals if not any(self._are_one(k, window[w], window[v]) for v in rivals if v < w)
        ]  # of several that are one function the first wins
        now = float(self._nodes.high[self._state.cuts[k]])
        winner = self._best(k, window, rivals, now)
        self._found.letters[k, unit], begins = winner, True
        while True:
            rivals.remove(winner)
            ahead = []
            for w in rivals:
                pair = window[[winner, w]]
                line = self._difference(k, *pair)
                terms = self._value[k, pair] * (1, -1), self._rate[k, pair] * (1, -1)
                begin, end = self._signs(k, line, pair, terms)
                begin = begin if begins else 1
                if begin > 0 and end < 0:
                    ahead.append((self._root(k, line), w))
                elif begin <= 0 or end == 0:
                    self._doubt(k, unit, line, max(begin, 0), end, pair.tolist())
            if not ahead:
                return
            winner, begins = self._overtaken(k, unit, winner, ahead), False

    def _overtaken(self, k: int, unit: int, winner: int, ahead: list[tuple[Root, int]]) -> int:
        """Emit the next flip of a window, and return who wins then; `ahead` lists who overtakes the winner where.

        Rivals that perhaps overtake at once, in an order that is not known, are passed in one band: it ends where
        one of them is certainly the largest, but for those that it has not yet met for certain.
        """
        window = self._gate.index[unit]
        ahead.sort(key=lambda rival: rival[0][1])
        (t, low, high), at_once = ahead[0][0], [ahead[0][1]]
        for root, w in ahead[1:]:
            if root[1] > high:
                break
            at_once.append(w)
            high = max(high, root[2])
        if len(at_once) == 1:
            self._emit(k, unit, winner, at_once[0], (t, low, high))
            return at_once[0]
        while True:
            best = self._best(k, window, at_once, high)
            lines = [self._difference(k, window[best], window[w]) for w in at_once if w != best]
            late = [self._root(k, line)[2] for line in lines if self._is_met_late(k, line, high)]
            if max(late, default=high) <= high:
                break
            high = max(late)
        between = next(w for w in at_once if w != best)
        self._emit(k, unit, winner, between, (t, low, high))
        self._emit(k, unit, between, best, (t, low, high))  # overlapping roots become a band
        return best

    def _is_met_late(self, k: int, line: Line, t: float) -> bool:
        """Tell whether a line is certainly positive where piece k ends, but not yet at t."""
        return self._sign(line, self._state.cuts[k + 1]) > 0 and _sign_over(line, t, t) <= 0

    def _best(self, k: int, window: np.ndarray, positions: list[int], t: float) -> int:
        """Return the first position among some of a window whose float is the largest just behind t."""
        return max(
            positions,
            key=lambda w: (
                float(self._value[k, window[w]] + t * self._rate[k, window[w]]),
                self._rate[k, window[w]],
                -w,
            ),
        )

    def _is_zero(self, k: int, entry: int) -> bool:
        return self._value[k, entry] == 0.0 and self._rate[k, entry] == 0.0

    def _are_one(self, k: int, i: int, j: int) -> bool:
        """Tell whether two entries are known to be one function on piece k."""
        source = self._state.source
        if source is not None and np.equal(*source[k if len(source) > 1 else 0, [i, j]]):
            return True
        same = self._value[k, i] == self._value[k, j] and self._rate[k, i] == self._rate[k, j]
        return i == j or (same and self._is_exact([i, j]))

    def _is_exact(self, entries: Sequence[int]) -> bool:
        return not (self._spread[entries].any() or self._drift[entries].any())

    def _difference(self, k: int, i: int, j: int) -> Line:
        """Return the line of entry i minus entry j."""
        p, q, g, h = (float(a[k, e]) for a in (self._value, self._rate) for e in (i, j))
        drift = float(self._drift[i] + self._drift[j]) + gamma(8) * (abs(g) + abs(h))
        return p - q, g - h, float(self._spread[i] + self._spread[j]), drift, abs(p) + abs(q)

    # -- decisions -------------------------------------------------------------------------------------------

    def _signs(
        self, k: int, line: Line, entries: Sequence[int], terms: tuple[Iterable[float], Iterable[float]]
    ) -> tuple[int, int]:
        """Return the signs of a line just inside the ends of piece k, 0 where they are not certain.

        `terms` of some entries add up to its value and rate. If these have no errors, signs at nodes that are
        floats are exact: entries that tie at an end of the segment tie there, and nowhere near it.
        """
        first, last = self._state.cuts[k : k + 2].tolist()
        begin, end = self._sign(line, first), self._sign(line, last)
        if (begin and end) or not self._is_exact(entries):
            return begin, end
        value, rate = (sum(map(Fraction, map(float, part)), Fraction(0)) for part in terms)
        return begin or self._exact_sign(value, rate, first, 1), end or self._exact_sign(
            value, rate, last, -1
        )

    def _exact_sign(self, value: Fraction, rate: Fraction, node: int, inward: int) -> int:
        """Return the sign of an exact line at a node, or beside it if it vanishes there; 0 at no float."""
        low, high = self._reach(node, node)
        if low != high:
            return 0
        at_node = value + Fraction(low) * rate
        return _sign_of(at_node) or inward * _sign_of(rate)

    def _sign(self, line: Line, node: int) -> int:
        return _sign_over(line, self._nodes.low[node], self._nodes.high[node])

    def _root(self, k: int, line: Line) -> Root:
        """Return the root of a line with an interval, clipped to a piece and its nodes."""
        from polygeom.kernels.line_events import root_interval

        value, rate, spread, drift, size = line
        first, last = self._state.cuts[k : k + 2]
        return root_interval(value, rate, spread, drift, size, self._nodes.low[first], self._nodes.high[last])

    def _emit(self, k: int, unit: int, before: int, after: int, root: Root) -> None:
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


def _sign_of(value: Fraction) -> int:
    return (value > 0) - (value < 0)


def _sign_over(line: Line, low: float, high: float) -> int:
    """Return the certain sign of a line on an interval, or 0."""
    from polygeom.kernels.line_events import sign_over

    value, rate, spread, drift, size = line
    return sign_over(value, rate, low, high, spread, drift, size)
