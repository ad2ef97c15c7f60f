"""The cells of a complex in rationals: boundary rows, affine maps, points inside. What claims compare."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from polygeom.complexes import PolyhedralComplex
from polygeom.errors import TooLargeError
from polygeom.exact import rational
from polygeom.gates import MaxGate

if TYPE_CHECKING:
    import flint

__all__ = ["ExactCells", "is_multiple", "stacked_rank"]


class ExactCells:
    """Exact rows and maps of the cells of a complex over the whole input space.

    Raises
    ------
    TooLargeError
        If the network is too large for rational arithmetic.
    """

    def __init__(self, K: PolyhedralComplex) -> None:
        self.K, self.rational_net = K, K.network.exact()
        if not self.rational_net.is_feasible:
            raise TooLargeError(
                f"This compares cells in rationals; the network has {self.rational_net.n_entries} matrix entries, "
                "too many for them. Cut a smaller part with start=/stop=."
            )

    def edges(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yield every pair of neighbors and the units in which their codes differ."""
        units = self.K.edge_units
        for e, (i, j) in enumerate(self.K.edges.tolist()):
            yield i, j, units.indices[units.indptr[e] : units.indptr[e + 1]]

    def boundary(self, i: int, j: int, units: np.ndarray) -> flint.fmpq_mat:
        """Return the rows (len(units), d + 1) of ``(a, b)``: what cell i has towards the letters of cell j.

        Where a pre-activation is constant on cell i its normal a is zero.
        """
        code, other = self.K.code(i), self.K.code(j)
        sides = np.where(self._is_max[units], other[units], np.minimum(code, other)[units]).astype(np.intp)
        return self._with_sides(code, units, sides)

    def all_rows(self, i: int) -> tuple[flint.fmpq_mat, np.ndarray]:
        """Return all rows ``(a, b)`` of cell i with a non-zero normal, and the unit of each."""
        piece = self.K.piece(i)
        rows = self._with_sides(self.K.code(i), piece.units, piece.labels.sides)
        kept = [k for k in range(rows.nrows()) if any(rows[k, c] for c in range(self.K.dim))]
        return _chosen(rows, kept), piece.units[kept]

    def map_of(self, i: int) -> flint.fmpq_mat:
        """Return the affine map of cell i, (dim_out, d + 1), the offset last."""
        matrix, offset = (m.to_rational() for m in self.rational_net.affine_map(self.K.code(i)))
        return _beside(matrix, offset)

    def interior(self, i: int) -> list[flint.fmpq]:
        """Return a point strictly inside cell i."""
        return [rational(v) for v in self.K.interior(i)]

    @cached_property
    def _is_max(self) -> np.ndarray:
        return np.concatenate([np.full(g.size, isinstance(g, MaxGate)) for g in self.K.network.gates])

    def _with_sides(self, code: np.ndarray, units: np.ndarray, sides: np.ndarray) -> flint.fmpq_mat:
        import flint

        A = self.rational_net.rows(code, units, sides).to_rational()
        return _beside(A, flint.fmpq_mat(len(units), 1, self.rational_net.offsets(code, units, sides)))


def stacked_rank(*matrices: flint.fmpq_mat) -> int:
    """Return the rank of matrices over one another.

    Examples
    --------
    >>> import flint
    >>> stacked_rank(flint.fmpq_mat([[1, 2]]), flint.fmpq_mat([[2, 4], [0, 0]]))
    1
    """
    import flint

    rows = [row for m in matrices for row in m.table()]
    return flint.fmpq_mat(len(rows), matrices[0].ncols(), [v for row in rows for v in row]).rank()


def is_multiple(row: list[flint.fmpq], other: list[flint.fmpq]) -> bool:
    """Tell whether a row is a positive multiple of another one that is not zero.

    Examples
    --------
    >>> import flint
    >>> one, two, minus = ([flint.fmpq(s * v) for v in (1, 0, 3)] for s in (1, 2, -1))
    >>> is_multiple(two, one), is_multiple(minus, one)
    (True, False)
    """
    k = next(k for k, v in enumerate(other) if v)
    factor = row[k] / other[k]
    return factor > 0 and all(v == factor * w for v, w in zip(row, other, strict=True))


def _beside(A: flint.fmpq_mat, b: flint.fmpq_mat) -> flint.fmpq_mat:
    import flint

    entries = [v for row, (last,) in zip(A.table(), b.table(), strict=True) for v in (*row, last)]
    return flint.fmpq_mat(A.nrows(), A.ncols() + 1, entries)


def _chosen(matrix: flint.fmpq_mat, rows: list[int]) -> flint.fmpq_mat:
    import flint

    table = matrix.table()
    return flint.fmpq_mat(len(rows), matrix.ncols(), [v for k in rows for v in table[k]])
