"""Boundaries on a line by walking it in rationals, one boundary at a time, without the code of polygeom.lines.

Behind a point t every value is ``v + s r`` for small s > 0. The letters follow from the pairs (v, r) in
lexicographic order, and the piece ends at the least s > 0 at which a pre-activation meets a breakpoint, or a rival
the winner of its window. Quadratic in time, but hardly more than the definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import flint
import numpy as np

from polygeom.affine import AffineMap
from polygeom.exact import fraction, rational
from polygeom.gates import Gate, MaxGate
from polygeom.network import Network

Pair = tuple[flint.fmpq, flint.fmpq]
"""Value and rate of one entry."""


@dataclass(frozen=True)
class Walk:
    """Every boundary: its place, the code before the first and behind each, and the units that change there."""

    t: list[Fraction]
    codes: list[np.ndarray]

    @property
    def units(self) -> list[list[int]]:
        """The units that change at each boundary."""
        return [np.flatnonzero(a != b).tolist() for a, b in zip(self.codes[:-1], self.codes[1:], strict=True)]


class ExactWalk:
    """A network whose parameters are rationals."""

    def __init__(self, net: Network) -> None:
        self._net = net
        self._maps: dict[int, tuple[list[list[tuple[int, int, flint.fmpq]]], list[flint.fmpq]]] = {}

    def along(self, line: AffineMap, first: float = 0.0, last: float = 1.0) -> Walk:
        """Return all boundaries with first < t < last."""
        t, end = rational(first), rational(last)
        code, step = self._behind(line, t)
        places, codes = [], [code]
        while step is not None and t + step < end:
            t += step
            code, step = self._behind(line, t)
            if (code != codes[-1]).any():
                places.append(fraction(t))
                codes.append(code)
        return Walk(places, codes)

    def _behind(self, line: AffineMap, t: flint.fmpq) -> tuple[np.ndarray, flint.fmpq | None]:
        """Return the letters just behind t, and how far they hold at least (None: for ever)."""
        rates = [rational(float(r)) for r in line.matrix[:, 0]]
        start = [rational(float(v)) for v in line.offset]
        values: list[list[Pair]] = [[(v + t * r, r) for v, r in zip(start, rates, strict=True)]]
        letters, steps = np.zeros(self._net.n_units, dtype=int), []
        for k, step in enumerate(self._net.steps):
            if isinstance(step, Gate):
                read = _read_window if isinstance(step, MaxGate) else _read_unit
                units = [read(step, u, values[step.inputs[0]]) for u in range(step.size)]
                letters[step.columns] = [letter for letter, _, _ in units]
                values.append([pair for _, pair, _ in units])
                steps += [s for _, _, found in units for s in found if s > 0]
            else:
                values.append(self._linear(k, values))
        return letters, min(steps, default=None)

    def _linear(self, k: int, values: list[list[Pair]]) -> list[Pair]:
        """Return the image of a linear step."""
        if k not in self._maps:
            self._maps[k] = _sparse_rows(self._net.steps[k])
        rows, constant = self._maps[k]
        image = []
        for row, c in zip(rows, constant, strict=True):
            value, rate = c, flint.fmpq(0)
            for i, j, weight in row:
                value, rate = value + weight * values[i][j][0], rate + weight * values[i][j][1]
            image.append((value, rate))
        return image


def _sparse_rows(step: object) -> tuple[list[list[tuple[int, int, flint.fmpq]]], list[flint.fmpq]]:
    """Return the rows (value, entry, weight) of a linear step, and its constant."""
    rows: list[list[tuple[int, int, flint.fmpq]]] = [[] for _ in range(step.size)]
    divisors = step.divisors()
    for i, matrix in zip(step.inputs, step.matrices(), strict=True):
        for row, column in zip(*np.nonzero(matrix), strict=True):
            weight = rational(float(matrix[row, column]))
            rows[row].append((i, int(column), weight if divisors is None else weight / int(divisors[row])))
    constant = np.zeros(step.size) if step.constant is None else np.broadcast_to(step.constant, step.shape)
    return rows, [rational(float(c)) for c in constant.ravel()]


def _read_unit(gate: Gate, unit: int, values: list[Pair]) -> tuple[int, Pair, list[flint.fmpq]]:
    """Return the letter, the value behind the gate, and where the letter may change."""
    levels, slopes, offsets = (
        [rational(float(v)) for v in gate.table(a).reshape(len(a), -1)[:, unit]]
        for a in (gate.breakpoints, gate.slopes, gate.offsets)
    )
    value, rate = values[unit]
    letter = sum((value, rate) > (level, 0) for level in levels)
    pair = slopes[letter] * value + offsets[letter], slopes[letter] * rate
    return letter, pair, [(level - value) / rate for level in levels if rate != 0]


def _read_window(gate: MaxGate, unit: int, values: list[Pair]) -> tuple[int, Pair, list[flint.fmpq]]:
    """Return the first position of the largest, its value, and where a steeper rival draws level."""
    rivals = {p: values[i] for p, i in enumerate(gate.index[unit]) if i >= 0}
    best = max(rivals.values())
    letter = min(p for p, pair in rivals.items() if pair == best)
    return letter, best, [(best[0] - v) / (r - best[1]) for v, r in rivals.values() if r > best[1]]
