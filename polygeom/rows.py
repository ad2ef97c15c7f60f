"""Which unit draws which half-space of a cell: labels, slacks and normals of rows, gate by gate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.doubled import Doubled
from polygeom.enclosures import Enclosed
from polygeom.error_free import doubled_difference, two_sum
from polygeom.gates import Gate, MaxGate
from polygeom.network import Network
from polygeom.rounding import round_up, unbounded_where_overflown
from polygeom.steps import LinearStep

__all__ = ["Arrival", "RowLabels", "drawn_rows", "gate_slacks", "row_functions", "row_seeds", "row_slacks"]


@dataclass(frozen=True, eq=False)
class RowLabels:
    """Which unit draws each half-space, in column order.

    Attributes
    ----------
    units : (m,) integer array
        The owning unit (column) of every row.
    sides : (m,) integer array
        For an elementwise unit the breakpoint the row keeps its pre-activation away from; for a max-pooling
        unit the rival window position that the row keeps below the winner.
    """

    units: np.ndarray
    sides: np.ndarray

    def __len__(self) -> int:
        return len(self.units)

    def __getitem__(self, rows: object) -> RowLabels:
        return RowLabels(self.units[rows], self.sides[rows])


@dataclass(frozen=True, eq=False)
class Arrival:
    """What is known of the entries that arrive at one gate, on the whole cell.

    Attributes
    ----------
    live : (size,) bool array
        Which entries depend on the coordinates at all.
    source : (size,) integer array or None
        Entries with equal numbers are equal; None: no two are known to be.
    """

    live: np.ndarray
    source: np.ndarray | None

    @classmethod
    def of(cls, state: Enclosed) -> Arrival:
        """Return what an enclosed pass of one point saw."""
        return cls(state.live[0].ravel(), None if state.source is None else state.source[0])


def drawn_rows(net: Network, code: np.ndarray, arrivals: tuple[Arrival, ...]) -> RowLabels:
    """Return the rows that the units of a piece draw, in column order.

    No row where the pre-activation is a constant of the cell, or where a rival is the same entry as the
    winner. A few of the rows returned may still vanish by cancellation.
    """
    units, sides = [np.zeros(0, dtype=np.intp)], [np.zeros(0, dtype=np.intp)]
    for gate, arrival in zip(net.gates, arrivals, strict=True):
        own, side = _gate_rows(gate, code[gate.columns], arrival)
        units.append(gate.first_column + own)
        sides.append(side)
    return RowLabels(np.concatenate(units), np.concatenate(sides))


def _gate_rows(gate: Gate, letters: np.ndarray, arrival: Arrival) -> tuple[np.ndarray, np.ndarray]:
    """Return local unit and side of the rows one gate draws, sorted by unit then side."""
    alive = arrival.live
    if isinstance(gate, MaxGate):
        winner = gate.index[np.arange(gate.size), letters.astype(np.intp)]
        draws = gate.valid & (alive[np.maximum(gate.index, 0)] | alive[winner][:, None])
        if arrival.source is None:
            draws[np.arange(gate.size), letters.astype(np.intp)] = False
        else:
            draws &= arrival.source[gate.index] != arrival.source[winner][:, None]
        return np.nonzero(draws)
    sides = np.arange(len(gate.breakpoints))
    letter = letters[:, None].astype(np.intp)
    adjacent = (sides[None] == letter) | (sides[None] == letter - 1)
    return np.nonzero(adjacent & alive[:, None])


def row_functions(net: Network, code: np.ndarray, labels: RowLabels) -> np.ndarray:
    """Return (m, 2) integers that name the functions f, g of each row g <= f: equal names, same half-space.

    Functions are followed from value to value of a piece: steps that only move entries, open gates and winners of
    windows pass them on, closed gates make the zero function. So the boundary of a unit and the rows of windows in
    which it beats a unit that is off have one name. Different names say nothing.
    """
    arriving, levels = _entry_functions(net, code)
    names = np.zeros((len(labels), 2), dtype=np.int64)
    owners = net.units.gate_of(labels.units)
    for g in np.unique(owners):
        gate, rows = net.gates[g], np.flatnonzero(owners == g)
        local, side = labels.units[rows] - gate.first_column, labels.sides[rows]
        letter = code[labels.units[rows]].astype(np.intp)
        if isinstance(gate, MaxGate):
            pair = arriving[g][gate.index[local, letter]], arriving[g][gate.index[local, side]]
            names[rows] = np.stack(pair, axis=1)
        else:
            table = gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1)
            level = -np.searchsorted(levels, table[side, local]) - 1
            pair = arriving[g][local], np.where(table[side, local] == 0, 0, level)
            names[rows] = np.where(
                (side < letter)[:, None], np.stack(pair, axis=1), np.stack(pair[::-1], axis=1)
            )
    return names


def _entry_functions(net: Network, code: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Return for each gate a number for the function of each arriving entry, and the levels of breakpoints.

    0 is the zero function. New numbers are made where a step computes something; they stay below 2**53, so that
    steps can move them as floats.
    """
    arriving: list[np.ndarray] = []
    made = net.dim_in

    def new(keys: np.ndarray) -> np.ndarray:
        """Give the distinct rows of keys new numbers."""
        _, number = np.unique(keys, axis=0, return_inverse=True)
        return fresh(len(keys))[number.ravel()]

    def fresh(count: int) -> np.ndarray:
        """Return so many new numbers."""
        nonlocal made
        first, made = made + 1, made + count
        return np.arange(first, made + 1, dtype=np.float64)

    def linear(step: LinearStep, *numbers: np.ndarray) -> np.ndarray:
        if step.moves_only and step.constant is None:
            return step.linear(*numbers)
        return fresh(step.size).reshape(1, *step.shape)

    def gate(step: Gate, numbers: np.ndarray) -> np.ndarray:
        arriving.append(numbers.ravel().astype(np.int64))
        letters = code[step.columns].reshape(1, *step.shape)
        if isinstance(step, MaxGate):
            return numbers.reshape(1, -1)[:, step.winners(letters)[0]].reshape(numbers.shape[:1] + step.shape)
        slope, offset = (step.chosen(a, letters).ravel() for a in (step.slopes, step.offsets))
        entry = numbers.ravel()
        is_zero = (offset == 0) & ((slope == 0) | (entry == 0))
        passed = np.where(is_zero, 0.0, entry)
        others = np.flatnonzero(~is_zero & ((slope != 1) | (offset != 0)))
        passed[others] = new(np.stack([a[others] for a in (entry, slope, offset)], axis=1))
        return passed.reshape(1, *step.shape)

    net.fold(np.arange(1.0, net.dim_in + 1).reshape(1, *net.input_shape), linear, gate)
    elementwise = [g.breakpoints.ravel() for g in net.gates if not isinstance(g, MaxGate)]
    return arriving, np.unique(np.concatenate([np.zeros(0), *elementwise]))


def row_slacks(
    net: Network, code: np.ndarray, labels: RowLabels, arrivals: tuple[Enclosed, ...], *, homogeneous: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return slacks of rows (N, m) and error bounds from what arrives at the gates; derivatives if homogeneous.

    An elementwise row keeps z above (slack z - t) or below (slack t - z) a breakpoint t; a max row keeps the
    winner above a rival. One subtraction each, its rounding known exactly, on top of the arrivals' errors.
    """
    n = len(arrivals[0].value) if arrivals else 1
    value, error = np.zeros((n, len(labels))), np.zeros((n, len(labels)))
    owners = net.units.gate_of(labels.units)
    for g in np.unique(owners):
        rows = np.flatnonzero(owners == g)
        own = gate_slacks(net.gates[g], code, labels[rows], arrivals[g], homogeneous=homogeneous)
        value[:, rows], error[:, rows] = own
    return value, error


def gate_slacks(
    gate: Gate, code: np.ndarray, labels: RowLabels, arrival: Enclosed | Doubled, *, homogeneous: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return slacks of rows of one gate, as `row_slacks`; doubled arrivals are subtracted in full."""
    local, side = labels.units - gate.first_column, labels.sides
    letter = code[labels.units].astype(np.intp)
    n = len(arrival.value)
    z, e = arrival.value.reshape(n, -1), arrival.error.reshape(n, -1)
    rest = arrival.rest.reshape(n, -1) if isinstance(arrival, Doubled) else None

    def difference(left: np.ndarray, right: np.ndarray | None, level: np.ndarray | float = 0.0) -> Difference:
        there = level if right is None else z[:, right]
        if rest is None:
            return _difference(z[:, left], there)
        beyond = np.zeros(1) if right is None else rest[:, right]
        return doubled_difference((z[:, left], rest[:, left]), (there, beyond))

    if isinstance(gate, MaxGate):
        winner, rival = gate.index[local, letter], gate.index[local, side]
        gap, lost = difference(winner, rival)
        spread = e[:, winner] + e[:, rival]
    else:
        level = gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1)[side, local]
        gap, lost = difference(local, None, 0.0 * level if homogeneous else level)
        gap, spread = np.where(side < letter, gap, -gap), e[:, local]
    spread = spread + lost
    return unbounded_where_overflown(gap, np.where(spread > 0, round_up(spread, 3), spread))


Difference = tuple[np.ndarray, np.ndarray]
"""A difference in floats, and a bound on its rounding error."""


def _difference(left: np.ndarray, right: np.ndarray) -> Difference:
    """Return left - right in floats and the absolute value of its rounding error, exactly (Knuth's two-sum)."""
    with np.errstate(over="ignore", invalid="ignore"):
        total, lost = two_sum(left, -right)
        return total, np.abs(lost)


def row_seeds(gate: Gate, code: np.ndarray, labels: RowLabels) -> np.ndarray:
    """Return outward normals over the gate's input entries (r, *input shape), exact."""
    local, letter = labels.units - gate.first_column, code[labels.units].astype(np.intp)
    seed = np.zeros((len(labels), int(np.prod(gate.shapes[0], dtype=np.int64))))
    row = np.arange(len(labels))
    if isinstance(gate, MaxGate):
        seed[row, gate.index[local, labels.sides]] += 1.0
        seed[row, gate.index[local, letter]] -= 1.0
    else:
        seed[row, local] = np.where(labels.sides < letter, -1.0, 1.0)
    return seed.reshape(len(labels), *gate.shapes[0])
