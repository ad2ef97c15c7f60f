r"""Solve linear programs exactly in rationals: maximize :math:`c \cdot x` over :math:`A x \le b`.

A basis is a set B of linearly independent rows, as many as the rank. It names the point where its rows are
tight, :math:`A_B x = b_B`, and the multipliers :math:`A_B'\lambda = c`; the slacks b - A x and lambda decide:

- both non-negative: optimal, and (x, lambda) is the proof;
- *dual simplex* while :math:`\lambda \ge 0` but a slack k is negative: with :math:`A_B' y = a_k`, the row
  minimizing :math:`\lambda_j / y_j` over :math:`y_j > 0` leaves for k; no such j proves P empty,
  because :math:`a_k - A_B' y = 0` and :math:`b_k - b_B \cdot y` is the negative slack (Farkas);
- *primal simplex* while x is feasible but some :math:`\lambda_k < 0`: along :math:`A_B u = -e_k` the first
  row met replaces k; none met proves that u is a ray on which c grows.

Where neither holds, the dual method runs with the objective :math:`A_B' 1`, for which lambda = 1 at the
start, until x is feasible. After a step without progress Bland's least-index rule chooses until there is progress
again, so a cycle would consist of Bland steps only, and there is none (Bland 1977).

Every iterate is solved afresh from the integer rows (Dixon lifting in FLINT) instead of updating a tableau
of rationals, whose entries are as long as d of the given ones: a step costs 0.4 ms at (m, d) = (50, 10),
15 ms at (200, 50), 60 ms at (400, 100). A basis from a float solver usually needs no or a few steps.

A of rank r < d is restricted to r independent columns: the other coordinates of points are then 0.

Sources: R. G. Bland 1977, New finite pivoting rules for the simplex method; A. Schrijver 1986, Theory of
Linear and Integer Programming, chapter 11; D. Applegate, W. Cook, S. Dash, D. Espinoza 2007, Exact solutions
to linear programming problems (floats propose the basis, rationals judge it).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import freeze
from polygeom.exact import fraction, fractions_array, is_exact_array, rational, rational_matrix
from polygeom.lp import LpSolution
from polygeom.ranks import PRIMES, pivot_columns

if TYPE_CHECKING:
    import flint

__all__ = ["RationalLp", "independent_columns", "integer_rows", "maximize"]


def maximize(objective: object, A: object, b: object, basis_hint: Sequence[int] | None = None) -> LpSolution:
    r"""Maximize :math:`c \cdot x` over :math:`A x \le b`, x free, exactly.

    Parameters
    ----------
    objective : (d,) array of floats or Fractions, or (d, 1) fmpq_mat
    A : (m, d) array of floats or Fractions, or fmpq_mat
        Any rank; zero rows and m = 0 are allowed.
    b : (m,) array, or (m, 1) fmpq_mat
    basis_hint : sequence of int, optional
        Rows likely to be tight at the optimum (`LpSolution.basis` of a float solver): where to start.

    Returns
    -------
    LpSolution
        With Fractions in object arrays; all its relations hold exactly.

    Examples
    --------
    >>> import numpy as np
    >>> A, b = np.array([[1.0, 2.0], [-1.0, 0.0], [0.0, -3.0]]), np.array([1.0, 0.0, 0.0])
    >>> maximize(np.array([0.0, 1.0]), A, b).value
    Fraction(1, 2)
    >>> maximize(np.array([0.0, 1.0]), A, -b - 1).status
    'infeasible'
    """
    return RationalLp(A, b).maximize(objective, basis_hint)


def independent_columns(matrix: flint.fmpz_mat) -> list[int]:
    """Return the indices of the first linearly independent columns, as many as the rank.

    Cost: one elimination modulo a prime (word-size arithmetic); an exact rank only if that is not full.
    """
    import flint

    rows, columns = matrix.nrows(), matrix.ncols()
    if rows == 0 or columns == 0:
        return []
    for prime in PRIMES:
        reduced, rank = flint.nmod_mat(matrix, prime).rref()
        # Reduction can only lose rank; if it lost none, its pivots are a basis of the true column space.
        if rank == min(rows, columns) or rank == matrix.rank():
            return pivot_columns(reduced, rank)
    reduced, _, rank = matrix.rref()
    return pivot_columns(reduced, rank)


class RationalLp:
    r"""The exact program over one :math:`\{x : A x \le b\}`, for many objectives.

    Parameters
    ----------
    A, b
        As in `maximize`.

    Notes
    -----
    Each row of [A | b] is scaled by a positive number to integers; multipliers are scaled back.
    """

    def __init__(self, A: object, b: object) -> None:
        A, self._b, self._scales = integer_rows(A, b)
        self.n_rows, self.dim = A.nrows(), A.ncols()
        self._full = A
        self._columns = independent_columns(A)
        self._A = A if self.rank == self.dim else _columns_of(A, self._columns)

    @property
    def rank(self) -> int:
        """The rank of A."""
        return len(self._columns)

    def maximize(self, objective: object, basis_hint: Sequence[int] | None = None) -> LpSolution:
        """Maximize an objective (d,) exactly; see the function `maximize`. Cost: 2 solves a step."""
        c, scale = _as_column(objective).numer_denom()  # the scale comes back with the multipliers
        walk = _Walk(self._A, self._b, _rows_of(c, self._columns), self._start(basis_hint))
        farkas = self._make_feasible(walk)
        if farkas is not None:
            return LpSolution("infeasible", -np.inf, multipliers=self._multipliers(farkas, 1))
        ray = self._level_direction(c, walk)
        if ray is None:
            along = walk.to_optimal()
            ray = None if along is None else self._padded(along)
        point, basis = self._padded(walk.point()), tuple(walk.basis)
        if ray is not None:
            return LpSolution("unbounded", np.inf, point, ray, None, basis)
        found = dict(zip(walk.basis, walk.multipliers, strict=True))
        value = sum((rational(self._b[i, 0]) * v for i, v in found.items()), rational(0)) / scale
        return LpSolution("optimal", fraction(value), point, None, self._multipliers(found, scale), basis)

    def _start(self, hint: Sequence[int] | None) -> list[int]:
        """Return a basis: the independent rows of the hint first, then the first that complete it."""
        order = [int(i) for i in hint] if hint is not None else []
        if order:
            chosen = independent_columns(_rows_of(self._A, order).transpose())
            if len(chosen) == self.rank:
                return [order[k] for k in chosen]
            order = list(dict.fromkeys(order)) + [i for i in range(self.n_rows) if i not in set(order)]
            return [order[k] for k in independent_columns(_rows_of(self._A, order).transpose())]
        return independent_columns(self._A.transpose())

    def _make_feasible(self, walk: _Walk) -> dict[int, flint.fmpq] | None:
        """Walk to a feasible basis; return Farkas multipliers (of the integer rows) if there is none."""
        if all(v >= 0 for v in walk.multipliers):
            return walk.to_feasible()
        if all(s >= 0 for s in walk.slacks):
            return None
        detour = _Walk(self._A, self._b, walk.sum_of_basis_rows(), walk.basis)
        farkas = detour.to_feasible()
        if farkas is None:
            walk.move_to(detour.basis)
        return farkas

    def _level_direction(self, c: flint.fmpz_mat, walk: _Walk) -> np.ndarray | None:
        """Return v with A v = 0 and c . v > 0, if c is not a combination of the rows; None if it is.

        With the columns split into C (independent) and the rest, v_f = 1 and A_BC v_C = -A_Bf for a column
        f of the rest give A v = 0, and c . v = c_f - A_Bf . lambda.
        """
        import flint

        rest = [f for f in range(self.dim) if f not in set(self._columns)]
        if not rest:
            return None
        tight = _rows_of(self._full, walk.basis)
        explained = _columns_of(tight, rest).transpose() * walk.multiplier_column()
        shortfall = flint.fmpq_mat(_rows_of(c, rest)) - explained
        for f, growth in zip(rest, shortfall.entries(), strict=True):
            if growth != 0:
                sign = 1 if growth > 0 else -1
                inside = _columns_of(tight, self._columns).solve(_columns_of(tight, [f]) * -sign)
                ray = self._padded(inside.entries()).copy()
                ray[f] = fraction(sign)
                return freeze(ray)
        return None

    def _padded(self, entries: list[flint.fmpq]) -> np.ndarray:
        """Return coordinates on the independent columns as a vector of Fractions in R^d, 0 elsewhere."""
        vector = fractions_array([0] * self.dim)
        vector[self._columns] = fractions_array(entries)
        return freeze(vector)

    def _multipliers(self, found: dict[int, flint.fmpq], scale: object) -> np.ndarray:
        """Return multipliers of integer rows as multipliers (m,) of the rows given."""
        vector = fractions_array([0] * self.n_rows)
        for row, value in found.items():
            vector[row] = fraction(value * self._scales[row] / scale)
        return freeze(vector)


class _Walk:
    """A basis that walks: integer rows A x <= b with A of full column rank r, and one objective.

    Invariants after each step: ``x / denominator`` solves A_B x = b_B, ``slacks / denominator`` = b - A x,
    ``multipliers`` solves A_B' lambda = c, in the order of `basis`.
    """

    def __init__(self, A: flint.fmpz_mat, b: flint.fmpz_mat, c: flint.fmpz_mat, basis: list[int]) -> None:
        self.A, self.b, self.c = A, b, c
        self.move_to(basis)

    def move_to(self, basis: list[int]) -> None:
        """Solve for the point, the slacks and the multipliers of a basis."""
        self.basis = list(basis)
        self.tight = _rows_of(self.A, self.basis)
        self._stand_at(self.tight.solve(_rows_of(self.b, self.basis)))
        self.multipliers = self.tight.transpose().solve(self.c).entries()

    def _stand_at(self, point: flint.fmpq_mat) -> None:
        self.x, self.denominator = point.numer_denom()
        self.slacks = (self.b * self.denominator - self.A * self.x).entries()

    def point(self) -> list[flint.fmpq]:
        """Return the coordinates of the present point."""
        return [rational(v) / self.denominator for v in self.x.entries()]

    def multiplier_column(self) -> flint.fmpq_mat:
        """Return the multipliers of the basis as a column."""
        import flint

        return flint.fmpq_mat(len(self.basis), 1, self.multipliers)

    def sum_of_basis_rows(self) -> flint.fmpz_mat:
        """Return A_B' 1, an objective for which this basis is dual feasible."""
        import flint

        return self.tight.transpose() * flint.fmpz_mat(len(self.basis), 1, [1] * len(self.basis))

    def to_feasible(self) -> dict[int, flint.fmpq] | None:
        """Run the dual simplex method from multipliers >= 0; return Farkas multipliers if infeasible."""
        import flint

        stalled = False
        while True:
            negative = [i for i, s in enumerate(self.slacks) if s < 0]
            if not negative:
                return None
            entering = negative[0] if stalled else min(negative, key=self.slacks.__getitem__)
            row = _rows_of(self.A, [entering]).transpose()
            weights = self.tight.transpose().solve(row).entries()
            ratios = [(self.multipliers[j] / w, self.basis[j], j) for j, w in enumerate(weights) if w > 0]
            if not ratios:
                farkas = {i: -w for i, w in zip(self.basis, weights, strict=True) if w < 0}
                return farkas | {entering: flint.fmpq(1)}
            ratio, _, leaving = min(ratios)
            stalled = ratio == 0
            self.multipliers = [v - ratio * w for v, w in zip(self.multipliers, weights, strict=True)]
            self.multipliers[leaving] = ratio
            self.basis[leaving] = entering
            self.tight = _rows_of(self.A, self.basis)
            self._stand_at(self.tight.solve(_rows_of(self.b, self.basis)))

    def to_optimal(self) -> list[flint.fmpq] | None:
        """Run the primal simplex method from slacks >= 0; return a ray if the objective is unbounded."""
        import flint

        stalled = False
        while True:
            negative = [
                (v, i, j) for j, (v, i) in enumerate(zip(self.multipliers, self.basis, strict=True)) if v < 0
            ]
            if not negative:
                return None
            leaving = min(negative, key=lambda entry: entry[1] if stalled else entry)[2]
            unit = flint.fmpz_mat(len(self.basis), 1)
            unit[leaving, 0] = -1
            direction = self.tight.solve(unit)
            forward, _ = direction.numer_denom()
            rates = (self.A * forward).entries()
            ratios = [(flint.fmpq(self.slacks[i], r), i) for i, r in enumerate(rates) if r > 0]
            if not ratios:
                return direction.entries()
            ratio, entering = min(ratios)
            stalled = ratio == 0
            # slack and rate have the denominators of x and of `forward`, which therefore cancel here
            self._stand_at((flint.fmpq_mat(self.x) + flint.fmpq_mat(forward) * ratio) / self.denominator)
            self.basis[leaving] = entering
            self.tight = _rows_of(self.A, self.basis)
            self.multipliers = self.tight.transpose().solve(self.c).entries()


# -- integer matrices --------------------------------------------------------------------------------------


def _rows_of(matrix: flint.fmpz_mat, rows: Sequence[int]) -> flint.fmpz_mat:
    import flint

    width = matrix.ncols()
    return flint.fmpz_mat(len(rows), width, [matrix[i, j] for i in rows for j in range(width)])


def _columns_of(matrix: flint.fmpz_mat, columns: Sequence[int]) -> flint.fmpz_mat:
    import flint

    height = matrix.nrows()
    return flint.fmpz_mat(height, len(columns), [matrix[i, j] for i in range(height) for j in columns])


def _as_column(values: object) -> flint.fmpq_mat:
    """Return a vector of floats or Fractions, or a column of rationals, as a column of rationals."""
    import flint

    if isinstance(values, flint.fmpq_mat):
        return values
    return rational_matrix(
        np.asarray(values) if is_exact_array(np.asarray(values)) else np.asarray(values, float)
    )


def integer_rows(A: object, b: object) -> tuple[flint.fmpz_mat, flint.fmpz_mat, list[object]]:
    """Return integer rows, right-hand sides and the positive factor that made each of them."""
    import flint

    if isinstance(A, flint.fmpq_mat) or is_exact_array(np.asarray(A)) or is_exact_array(np.asarray(b)):
        rows, scales = _rows_from_rationals(A, b)
    else:
        rows, scales = _rows_from_floats(np.column_stack([A, b]))
    m, d = len(rows), A.ncols() if isinstance(A, flint.fmpq_mat) else np.shape(A)[1]
    left = flint.fmpz_mat(m, d, [v for row in rows for v in row[:d]])
    return left, flint.fmpz_mat(m, 1, [row[d] for row in rows]), scales


def _rows_from_rationals(A: object, b: object) -> tuple[list[list[flint.fmpz]], list[flint.fmpz]]:
    """Clear the denominators of each row of [A | b]."""
    import flint

    def entries(values: object) -> list[flint.fmpq]:
        if isinstance(values, flint.fmpq_mat):
            return values.entries()
        return [rational(v) for v in np.asarray(values).ravel()]

    sides, flat = entries(b), entries(A)
    width = len(flat) // len(sides) if sides else 0
    rows, scales = [], []
    for i, side in enumerate(sides):
        row = [*flat[i * width : (i + 1) * width], side]
        scale = flint.fmpz(1)
        for value in row:
            scale = scale.lcm(value.q)
        rows.append([value.p * (scale // value.q) for value in row])
        scales.append(scale)
    return rows, scales


def _rows_from_floats(matrix: np.ndarray) -> tuple[list[list[int]], list[flint.fmpq]]:
    """Scale each row of floats to integers by the power of two that makes its lowest set bit a one."""
    import flint

    mantissa, exponent = np.frexp(matrix)
    integers = (mantissa * 2.0**53).astype(np.int64)
    lowest_bit = np.frexp((integers & -integers).astype(np.float64))[1] - 1
    exponents = exponent.astype(np.int64) - 53
    nonzero = integers != 0
    floor = np.where(nonzero, exponents + lowest_bit, np.iinfo(np.int64).max).min(axis=1, initial=2**62)
    floor[~nonzero.any(axis=1)] = 0
    shifts = exponents - floor[:, None]
    rows = [
        [0 if i == 0 else i << s if s >= 0 else i >> -s for i, s in zip(row, shift, strict=True)]
        for row, shift in zip(integers.tolist(), shifts.tolist(), strict=True)
    ]
    one = flint.fmpz(1)
    scales = [flint.fmpq(one << f, 1) ** -1 if f > 0 else flint.fmpq(one << -f, 1) for f in floor.tolist()]
    return rows, scales
