"""Exact signs of units at the vertices of cells, over the integers.

A vertex is the intersection of its facets; a facet's row is a unit's pre-activation on the cell, a product of
integer matrices along the letters of the layers before. Rows are kept up to positive factors, homogeneous in
(y, t).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from polygeom.enumeration.chain import DenseChain
from polygeom.exact import ScaledMatrix
from polygeom.rounding import LARGEST, TINY

if TYPE_CHECKING:
    import flint

__all__ = ["ExactRows", "crossing", "dot", "integer_row", "nearest_ray", "unscaled"]

KEPT = 256
"""Layer maps kept, by the letters before the layer."""

Row: TypeAlias = "list[flint.fmpz]"


@dataclass(frozen=True, eq=False)
class ExactRows:
    """Exact rows of units, of the domain and of the facet at infinity.

    Attributes
    ----------
    chain : DenseChain
    domain : (m, D) fmpq_mat
        Inner homogeneous rows of the domain.
    """

    chain: DenseChain
    domain: flint.fmpq_mat
    _maps: OrderedDict[tuple[int, bytes], list[Row]] = field(default_factory=OrderedDict, repr=False)

    def row(self, unit: int, letters: np.ndarray) -> Row:
        """Return the row of a unit (then domain rows, then infinity) for a cell with these letters."""
        import flint

        n, m, D = len(letters), self.domain.nrows(), self.chain.dim + 1
        if unit == n + m:
            return [flint.fmpz(0)] * (D - 1) + [flint.fmpz(1)]
        if unit >= n:
            return integer_row([self.domain[unit - n, c] for c in range(D)])
        layer = next(i for i, part in enumerate(self.chain.layers) if unit < part.first_column + part.width)
        return self._layer(layer, letters)[unit - self.chain.layers[layer].first_column]

    def _layer(self, layer: int, letters: np.ndarray) -> list[Row]:
        """Return all rows of a layer, the row of t after them; kept."""
        import flint

        first = self.chain.layers[layer].first_column
        key = layer, letters[:first].tobytes()
        if key in self._maps:
            self._maps.move_to_end(key)
            return self._maps[key]
        weight, bias = self.chain.exact_maps[layer]
        step = _homogeneous(weight, bias)
        if layer > 0:
            part = self.chain.layers[layer - 1]
            chosen = letters[part.first_column : first].astype(np.intp)
            slopes = ScaledMatrix.from_floats(
                np.append(part.slopes[chosen, np.arange(part.width)], 1.0)[:, None]
            )
            before = self._layer(layer - 1, letters)
            bent = [[s * v for v in row] for s, row in zip(slopes.numerators.entries(), before, strict=True)]
            step = step * flint.fmpz_mat(bent)
        self._maps[key] = step.table()
        if len(self._maps) > KEPT:
            self._maps.popitem(last=False)
        return self._maps[key]


def _homogeneous(weight: ScaledMatrix, bias: ScaledMatrix) -> flint.fmpz_mat:
    """Return [[weight, bias], [0, 1]] times a positive integer."""
    import flint

    common = weight.denominator.lcm(bias.denominator)
    a, b = common // weight.denominator, common // bias.denominator
    rows = [
        [*(a * v for v in row), b * offset]
        for row, offset in zip(weight.numerators.table(), bias.numerators.entries(), strict=True)
    ]
    return flint.fmpz_mat([*rows, [flint.fmpz(0)] * weight.shape[1] + [common]])


def integer_row(row: list[flint.fmpq]) -> Row:
    """Return a rational row times the least positive integer that clears its denominators."""
    import flint

    common = flint.fmpz(1)
    for value in row:
        common = common.lcm(value.q)
    return [value.p * (common // value.q) for value in row]


def dot(row: Row, point: Row) -> flint.fmpz:
    """Return the inner product of two integer vectors."""
    return sum((a * b for a, b in zip(row[1:], point[1:], strict=True)), row[0] * point[0])


def crossing(rows: list[Row], inside: Row | None) -> Row:
    """Return the ray on which all rows vanish, where `inside` is positive (or t, if it is not zero).

    In the plane (D = 3) `rows` are the two edges around the vertex, counterclockwise, and tell the side alone.
    A cell without coordinates (D = 1) is one point, on no facet.
    """
    import flint

    if not rows:
        return [flint.fmpz(1)]
    D = len(rows[0])
    if D == 3:
        (a, b, c), (d, e, f) = rows
        return [b * f - c * e, c * d - a * f, a * e - b * d]
    echelon, _, rank = flint.fmpz_mat(rows).rref()
    ray = _null_vector(echelon, rank, D)
    positive = ray[-1] if ray[-1] != 0 else dot(inside, ray)
    return ray if positive > 0 else [-v for v in ray]


def _null_vector(echelon: flint.fmpz_mat, rank: int, D: int) -> Row:
    """Return the vector that spans the kernel of a fraction-free echelon form of rank D - 1."""
    import flint

    pivots = []
    for i in range(rank):
        pivots.append(next(j for j in range(D) if echelon[i, j] != 0))
    (free,) = set(range(D)) - set(pivots)
    denominator = echelon[0, pivots[0]]
    ray = [flint.fmpz(0)] * D
    ray[free] = denominator
    for i, j in enumerate(pivots):
        ray[j] = -echelon[i, free]
    return ray


def nearest_ray(ray: Row) -> list[float]:
    """Return a ray scaled to largest absolute coordinate 1, each coordinate correctly rounded."""
    largest = int(max(abs(v) for v in ray))
    floats = [int(v) / largest for v in ray]
    floats[-1] = max(floats[-1], TINY) if ray[-1] > 0 else 0.0  # t tells points from directions
    return floats


def unscaled(y: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Return points scale * y, and which of them powers of two take out of the range of floats (then clipped)."""
    with np.errstate(over="ignore", under="ignore"):
        points = y * scale
        same = points / scale == y
        if same.all():
            return points, []
        moved = np.flatnonzero(~same.all(axis=1))
    return np.clip(points, -LARGEST, LARGEST), moved.tolist()
