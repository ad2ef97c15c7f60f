"""Which unit draws which half-space of a cell: labels, slacks and normals of rows, gate by gate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.enclosures import Enclosed
from polygeom.gates import Gate, MaxGate
from polygeom.network import Network
from polygeom.rounding import round_up, unbounded_where_overflown

__all__ = ["Arrival", "RowLabels", "drawn_rows", "row_functions", "row_seeds", "row_slacks"]


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


def row_functions(
    net: Network, code: np.ndarray, labels: RowLabels, arrivals: tuple[Arrival, ...]
) -> np.ndarray:
    """Return (m, 4) integers that name the function behind each row: equal names are the same half-space.

    The value read, the source of the entry (of the winner), and the breakpoint and side, or the source of the
    rival. Different names say nothing.
    """
    names = np.zeros((len(labels), 4), dtype=np.int64)
    owners = net.units.gate_of(labels.units)
    for g in np.unique(owners):
        gate, rows = net.gates[g], np.flatnonzero(owners == g)
        local, side = labels.units[rows] - gate.first_column, labels.sides[rows]
        letter = code[labels.units[rows]].astype(np.intp)
        source = arrivals[g].source
        source = np.arange(arrivals[g].live.size) if source is None else source
        if isinstance(gate, MaxGate):
            first, second = source[gate.index[local, letter]], source[gate.index[local, side]]
            names[rows] = np.column_stack([np.full(len(rows), gate.inputs[0]), first, second, 0 * first])
        else:  # breakpoints may differ from unit to unit: the unit itself is the name
            names[rows] = np.column_stack([np.full(len(rows), -1 - g), local, side, side < letter])
    return names


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
        gate, rows = net.gates[g], np.flatnonzero(owners == g)
        local, side = labels.units[rows] - gate.first_column, labels.sides[rows]
        letter = code[labels.units[rows]].astype(np.intp)
        z, e = (a.reshape(n, -1) for a in (arrivals[g].value, arrivals[g].error))
        if isinstance(gate, MaxGate):
            winner, rival = gate.index[local, letter], gate.index[local, side]
            gap, lost = _difference(z[:, winner], z[:, rival])
            spread = e[:, winner] + e[:, rival]
        else:
            level = gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1)[side, local]
            gap, lost = _difference(z[:, local], 0.0 * level if homogeneous else level)
            gap, spread = np.where(side < letter, gap, -gap), e[:, local]
        spread = spread + lost
        spread = np.where(spread > 0, round_up(spread, 3), spread)
        value[:, rows], error[:, rows] = unbounded_where_overflown(gap, spread)
    return value, error


def _difference(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return left - right in floats and the absolute value of its rounding error, exactly (Knuth's two-sum)."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = left - right
        part = total - left
        return total, np.abs((left - (total - part)) - (right + part))


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
