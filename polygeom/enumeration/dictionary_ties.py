"""Exact answers about one cell of a chain: rows along its letters, and linear programs in rationals over them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from polygeom.enumeration.chain import DenseChain
from polygeom.exact import ScaledMatrix, fraction, nearest_float, rational
from polygeom.predicates.rational import RationalLp

if TYPE_CHECKING:
    import flint

__all__ = ["ExactCells", "ExactDomain"]


@dataclass(frozen=True, eq=False)
class ExactDomain:
    """Rows ``A y <= b`` in the coordinates kept: A (m, r) fmpq_mat, b (m, 1) fmpq_mat; None without rows."""

    A: flint.fmpq_mat
    b: flint.fmpq_mat


@dataclass(frozen=True, eq=False)
class ExactCells:
    """Cells of a chain over the rationals, named by the signs of its units.

    Signs (M,) are those of the units in the order of the chain: 1, -1, 0 where undecided, `nothing` where the
    unit is 0 on the whole cell. Units that are multiples of an earlier one carry the sign of their own z.

    Attributes
    ----------
    columns : list of int
        The coordinates y kept (`polygeom.enumeration.dictionary_start`).
    nothing : int
        The sign of a unit that is 0 on the cell.
    """

    chain: DenseChain
    columns: list[int]
    domain: ExactDomain | None
    nothing: int

    def sides(
        self, signs: np.ndarray, layer: int, unit: int, hint: list[int], guess: int
    ) -> tuple[bool, bool] | None:
        """Tell whether unit z of a layer is positive, and negative, inside a cell; None if it has no interior.

        `hint` numbers rows of the cell (domain first, then units) that are tight at a vertex, `guess` is the
        likely sign. A function that is not 0 takes a sign inside a cell with interior if not the other one,
        so the usual answer costs one exact linear program, from its optimum.
        """
        cell = self._cell(signs, layer)
        if cell is None:
            return None
        function = cell.functions[unit]
        if not any(function):
            return False, False
        tight = [cell.index[i] for i in hint if i in cell.index]
        for side in (-guess, guess):
            best = cell.maximum(function, side, tight)
            if best == -np.inf:
                return None
            if best <= 0:
                return side < 0, side > 0
        return None if cell.interior_point() is None else (True, True)

    def interior_point(self, signs: np.ndarray) -> list[flint.fmpq] | None:
        """Return a point strictly inside a cell all of whose units are decided, or None if there is none."""
        cell = self._cell(signs, len(self.chain.layers) - 1)
        return None if cell is None else cell.interior_point()

    def is_inside(self, signs: np.ndarray, point: list[flint.fmpq]) -> bool:
        """Tell whether an exact point is strictly inside a cell."""
        cell = self._cell(signs, len(self.chain.layers) - 1)
        return cell is not None and cell.is_inside(point)

    def _functions(self, signs: np.ndarray, layer: int) -> list[ScaledMatrix]:
        """Return the rows (n, r + 1) of the units of every layer up to one, constant last."""
        import flint

        r, start, found = len(self.columns), 0, []
        last = ScaledMatrix(flint.fmpz_mat(1, r + 1, [0] * r + [1]), flint.fmpz(1))
        carried = self._coordinates
        for level in range(layer + 1):
            weight, bias = self.chain.exact_maps[level]
            found.append(weight @ carried + bias @ last)
            units = self.chain.layers[level]
            on = (signs[start : start + units.width] == 1).astype(int)
            slopes = units.slopes[on, np.arange(units.width)]
            carried = ScaledMatrix.from_floats(np.diag(slopes)) @ found[-1]
            start += units.width
        return found

    @cached_property
    def _coordinates(self) -> ScaledMatrix:
        """The map from the coordinates kept, and 1, to y."""
        embedding = np.zeros((self.chain.dim, len(self.columns) + 1))
        embedding[self.columns, np.arange(len(self.columns))] = 1.0
        return ScaledMatrix.from_floats(embedding)

    def _cell(self, signs: np.ndarray, layer: int) -> _Cell | None:
        """Return the rows of a cell, as far as they are decided; None if a constant row is negative."""
        functions = [row for matrix in self._functions(signs, layer) for row in _rational_rows(matrix)]
        rows, index = [], {}
        if self.domain is not None:
            A, b = self.domain.A, self.domain.b
            for i in range(A.nrows()):
                index[i] = len(rows)
                rows.append([-A[i, j] for j in range(A.ncols())] + [b[i, 0]])
        before = len(rows)
        for unit, function in enumerate(functions):
            sign = int(signs[unit])
            if sign not in (1, -1):
                continue
            if any(v != 0 for v in function[:-1]):
                index[before + unit] = len(rows)
                rows.append([v * sign for v in function])
            elif function[-1] * sign <= 0:
                return None
        return _Cell(rows, index, functions, len(self.columns))


@dataclass(frozen=True, eq=False)
class _Cell:
    """Functions n >= 0 over r coordinates, as lists of rationals with the constant last."""

    rows: list[list[flint.fmpq]]
    index: dict[int, int]
    functions: list[list[flint.fmpq]]
    dim: int

    @cached_property
    def program(self) -> RationalLp:
        """The exact linear program over the cell."""
        import flint

        A = flint.fmpq_mat(len(self.rows), self.dim, [-v for row in self.rows for v in row[:-1]])
        return RationalLp(A, flint.fmpq_mat(len(self.rows), 1, [row[-1] for row in self.rows]))

    def maximum(self, function: list[flint.fmpq], sign: int, hint: list[int]) -> Fraction | float:
        """Return the supremum of ``sign * function`` over the cell."""
        import flint

        if self.dim == 0 or not any(v != 0 for v in function[:-1]):
            return fraction(function[-1] * sign)
        objective = flint.fmpq_mat(self.dim, 1, [v * sign for v in function[:-1]])
        found = self.program.maximize(objective, hint)
        return found.value if found.status == "unbounded" else found.value + fraction(function[-1] * sign)

    def interior_point(self) -> list[flint.fmpq] | None:
        """Return a point where every row is at least t times its largest coefficient, for the largest t <= 1."""
        import flint

        if not self.rows:
            return [rational(0)] * self.dim
        entries = [v for row in self.rows for v in [*(-c for c in row[:-1]), max(abs(c) for c in row[:-1])]]
        entries += [rational(0)] * self.dim + [rational(1)]
        A = flint.fmpq_mat(len(self.rows) + 1, self.dim + 1, entries)
        b = flint.fmpq_mat(len(self.rows) + 1, 1, [row[-1] for row in self.rows] + [rational(1)])
        found = RationalLp(A, b).maximize(np.array([0.0] * self.dim + [1.0]))
        if found.status != "optimal" or found.value <= 0:
            return None
        return [rational(v) for v in found.point[:-1]]

    def is_inside(self, point: list[flint.fmpq]) -> bool:
        """Tell whether all rows are positive at a point."""
        return all(sum((c * v for c, v in zip(row, point, strict=False)), row[-1]) > 0 for row in self.rows)


def rounded(point: list[flint.fmpq]) -> np.ndarray:
    """Return the nearest float64 point."""
    return np.array([nearest_float(v) for v in point])


def _rational_rows(matrix: ScaledMatrix) -> list[list[flint.fmpq]]:
    """Return the rows of a scaled matrix as lists of rationals."""
    return [[rational(v) / matrix.denominator for v in row] for row in matrix.numerators.table()]
