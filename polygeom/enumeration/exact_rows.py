"""Exact rows of units on cells of any network graph, over the rationals."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from polygeom.enumeration.exact_signs import Row, integer_row
from polygeom.exact import ScaledMatrix, rational
from polygeom.gates import Elementwise, Gate, MaxGate
from polygeom.network import Network
from polygeom.rational_network import apply_letters
from polygeom.steps import Step

__all__ = ["GraphRows", "float_row", "rounded_row"]

KEPT = 64
"""Arrivals kept, by the letters before the gate."""

States = dict[int, ScaledMatrix]


@dataclass(frozen=True, eq=False)
class GraphRows:
    """Exact rows (y, t) of the units of a network, up to positive factors.

    Attributes
    ----------
    network : Network
    matrix : (dim_in, k), offset : (dim_in,)
        The input as an exact map of y.
    """

    network: Network
    matrix: np.ndarray
    offset: np.ndarray
    _arrivals: OrderedDict[tuple[int, bytes], States] = field(default_factory=OrderedDict, repr=False)

    @property
    def is_feasible(self) -> bool:
        """Whether the network is small enough for rational arithmetic."""
        return self.network.exact().is_feasible

    def row(self, unit: int, key: int, letters: np.ndarray) -> Row:
        """Return the row of a unit with the letters of the units before its gate.

        The key of an elementwise unit is the breakpoint that is subtracted; of a window of K entries it is
        K p + q for entry p minus entry q.
        """
        net = self.network
        g = int(net.units.gate_of(unit))
        gate, local = net.gates[g], unit - net.gates[g].first_column
        arriving = self._states(g, letters)[gate.inputs[0]]
        if isinstance(gate, MaxGate):
            first, second = (int(gate.index[local, p]) for p in divmod(key, gate.index.shape[1]))
            ahead, behind = _entry(arriving, first), _entry(arriving, second)
            return [a - b for a, b in zip(ahead, behind, strict=True)]
        level = rational(float(gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1)[key, local]))
        *slopes, offset = _entry(arriving, local)
        denominator = level.q
        return [*(denominator * v for v in slopes), denominator * offset - level.p * arriving.denominator]

    def _states(self, g: int, letters: np.ndarray) -> States:
        """Return the values alive at gate g, for letters of the units before it; kept."""
        net = self.network
        gate = net.gates[g]
        key = g, letters[: gate.first_column].tobytes()
        if key in self._arrivals:
            self._arrivals.move_to_end(key)
            return self._arrivals[key]
        at = net.steps.index(gate)
        if g == 0:
            first, states = 0, {0: self._start()}
        else:
            before = net.gates[g - 1]
            first = net.steps.index(before)
            states = dict(self._states(g - 1, letters))
            states[first + 1] = apply_letters(before, letters[before.columns], states[before.inputs[0]])
            first += 1
        for k in range(first, at):
            step = net.steps[k]
            states[k + 1] = net.exact().linear(step, *(states[i] for i in step.inputs))
        read = {i for step in net.steps[at:] for i in step.inputs}
        self._arrivals[key] = {i: state for i, state in states.items() if i in read}
        if len(self._arrivals) > KEPT:
            self._arrivals.popitem(last=False)
        return self._arrivals[key]

    def _start(self) -> ScaledMatrix:
        """Return the input, the offset first: constants join the first column."""
        return ScaledMatrix.from_floats(np.column_stack([self.offset, self.matrix]))

    def drawn_hyperplanes(self) -> list[tuple[int, int, Row]]:
        """Return unit, key and row of hyperplanes in y that are boundaries all along, before any gate is passed.

        Windows with more than two entries have none: where a third one is larger, nothing changes across.
        """
        letters = np.zeros(self.network.n_units, dtype=self.network.letter_dtype)
        return [
            (gate.first_column + local, key, self.row(gate.first_column + local, key, letters))
            for gate, _ in self._first_readers()
            for local in range(gate.size if isinstance(gate, Gate) else 0)
            for key in _keys(gate, local)
        ]

    def first_normals(self) -> list[Row]:
        """Return normals in y of all that is read by gates, or added to what they give, before any gate is passed.

        Along directions in their kernel nothing ever changes.
        """
        normals: list[Row] = []
        values = {0: self._start()}
        for _, read in self._first_readers():
            for i in read:
                values = self._linear_to(i, values)
                columns = range(1, values[i].shape[1])
                normals += [[values[i].numerators[j, c] for c in columns] for j in range(values[i].shape[0])]
        return normals

    def _linear_to(self, number: int, values: States) -> States:
        """Return values with one more, which no gate comes before."""
        if number in values:
            return values
        step = self.network.steps[number - 1]
        for i in step.inputs:
            values = self._linear_to(i, values)
        return {**values, number: self.network.exact().linear(step, *(values[i] for i in step.inputs))}

    def _first_readers(self) -> list[tuple[Step, list[int]]]:
        """Return the gates and mixing steps that read values no gate comes before, with those values."""
        behind: set[int] = set()
        found = []
        for k, step in enumerate(self.network.steps, start=1):
            free = [i for i in step.inputs if i not in behind]
            if isinstance(step, Gate) or len(free) < len(step.inputs):
                behind.add(k)
                if free:
                    found.append((step, free))
        return found


def _keys(gate: Gate, local: int) -> list[int]:
    """Return the keys of the rows of a unit that are boundaries all along."""
    if isinstance(gate, Elementwise):
        return list(range(len(gate.breakpoints)))
    K = gate.index.shape[1]
    inside = np.flatnonzero(gate.valid[local]).tolist()
    return [K * inside[1] + inside[0]] if len(inside) == 2 else []


def _entry(arriving: ScaledMatrix, i: int) -> Row:
    """Return the row of an entry, t last."""
    D = arriving.shape[1]
    return [arriving.numerators[i, c] for c in (*range(1, D), 0)]


def rounded_row(row: Row) -> np.ndarray:
    """Return a row as floats, scaled to largest absolute coefficient 1, each correctly rounded."""
    largest = int(max(abs(v) for v in row)) or 1
    return np.array([int(v) / largest for v in row])


def float_row(row: np.ndarray) -> Row:
    """Return a row of floats that is exact."""
    return integer_row([rational(float(v)) for v in row])
