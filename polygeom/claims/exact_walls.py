"""The half-spaces of a cell from its code alone, in rationals: no floats, no enclosures, no complex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polygeom.gates import Gate, MaxGate
from polygeom.network import Network
from polygeom.rows import Arrival, RowLabels, drawn_rows

if TYPE_CHECKING:
    import flint

__all__ = ["Wall", "has_code", "normals_between", "walls"]


@dataclass(frozen=True)
class Wall:
    """The half-space ``normal . x <= offset`` that a unit draws; the normal is not zero."""

    unit: int
    normal: tuple[flint.fmpq, ...]
    offset: flint.fmpq

    def rate(self, direction: Sequence[flint.fmpq]) -> flint.fmpq:
        """Return ``normal . direction``."""
        return sum(a * v for a, v in zip(self.normal, direction, strict=True))


def walls(network: Network, code: np.ndarray) -> list[Wall]:
    """Return all half-spaces of the cell with a code; units that are constant on it draw none.

    Examples
    --------
    >>> net = Network.from_layers([([[1, 0], [2, 0]], [0, -1]), ([[1, 1]], [0])])
    >>> [(wall.unit, wall.normal, wall.offset) for wall in walls(net, np.array([1, 0]))]
    [(0, (-1, 0), 0), (1, (2, 0), 1)]
    """
    everything = tuple(Arrival(np.ones(_arriving(gate), dtype=bool), None) for gate in network.gates)
    labels = drawn_rows(network, code, everything)
    exact = network.exact()
    normals = _rows(network, code, labels)
    offsets = exact.offsets(code, labels.units, labels.sides)
    return [
        Wall(unit, tuple(normal), offset)
        for unit, normal, offset in zip(labels.units.tolist(), normals, offsets, strict=True)
        if any(normal)
    ]


def normals_between(
    network: Network, code: np.ndarray, other: np.ndarray
) -> list[tuple[int, list[flint.fmpq]]]:
    """Return, for every unit in which two codes differ, the first cell's normal towards the other's letter.

    It is zero where the pre-activation (or the difference of two entries of a window) is constant on that cell.
    """
    units = np.flatnonzero(code != other)
    is_max = np.concatenate([np.full(g.size, isinstance(g, MaxGate)) for g in network.gates] or [units > 0])
    sides = np.where(is_max[units], other[units], np.minimum(code, other)[units]).astype(np.intp)
    return list(zip(units.tolist(), _rows(network, code, RowLabels(units, sides)), strict=True))


def has_code(network: Network, code: np.ndarray, point: Sequence[object]) -> bool:
    """Tell whether the letters at a point, floats or rationals, are exactly these."""
    exact = network.exact()
    return np.array_equal(exact.letters(exact.point(point)), code)


def _rows(network: Network, code: np.ndarray, labels: RowLabels) -> list[list[flint.fmpq]]:
    if not len(labels):
        return []
    return network.exact().rows(code, labels.units, labels.sides).to_rational().table()


def _arriving(gate: Gate) -> int:
    return int(np.prod(gate.shapes[0], dtype=np.int64))
