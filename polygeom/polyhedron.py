r"""The polyhedron :math:`\{x : A x \le b\}`: arrays, exact signs, no solver.

Closed sets; points are rows. Everything here is arithmetic on the fields; whatever needs an optimization
(emptiness, boundedness, facets) is a function in `polygeom.predicates`.

Rounded rows
------------
Rows of deeper layers are compositions of floats, known only up to rounding. Such a polyhedron carries
entrywise bounds `A_error`, `b_error` and, where it can be had, a `row_source` that gives its true rows as
rationals. Every sign decided here is the sign for the true rows: floats decide beyond the rounding bound,
rationals decide ties, and what neither decides is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from polygeom.affine import AffineMap, as_slice
from polygeom.arrays import as_array, as_matrix, as_points, as_rows, as_vector, freeze
from polygeom.errors import InputError, UndecidedError
from polygeom.exact import fraction, is_exact_array, rational_matrix
from polygeom.intervals import RayInterval, stopping_bounds
from polygeom.rounding import dot_error, round_up, smallest_nonzero, unbounded_where_overflown

if TYPE_CHECKING:
    import flint

__all__ = ["UNKNOWN", "Polyhedron", "RowSource"]

UNKNOWN = np.int8(2)
"""The sign of a number that neither floats nor rationals could decide."""

RowSource = Callable[[np.ndarray], "tuple[flint.fmpq_mat, flint.fmpq_mat]"]
"""Row indices -> the exact rows (k, d) and right-hand sides (k, 1)."""


@dataclass(frozen=True, eq=False)
class Polyhedron:
    r"""The closed polyhedron :math:`\{x \in R^d : A x \le b\}`.

    Parameters
    ----------
    A : (m, d) array
        Outward normals, one a row. Zero rows and m = 0 (all of R^d) are allowed.
    b : (m,) array
        Right-hand sides.
    A_error, b_error : arrays of the shapes of A and b, optional
        Bounds on the distance of each entry from its true value (module docstring). None: the numbers given
        are the polyhedron.
    row_source : callable, optional
        Exact rows of a rounded polyhedron, by index.

    Raises
    ------
    InputError
        On NaN, infinities, or shapes that do not match.

    Examples
    --------
    >>> square = Polyhedron.box(-1, 1, dim=2)
    >>> square.contains([[0, 0], [1, 1], [2, 0]])
    array([ True,  True, False])
    >>> square.ray_interval([1, 2]).upper
    Fraction(1, 2)
    """

    A: np.ndarray
    b: np.ndarray
    A_error: np.ndarray | None = None
    b_error: np.ndarray | None = None
    row_source: RowSource | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        A = as_matrix(self.A, "A")
        b = as_vector(self.b, "b")
        if A.shape[0] != b.shape[0]:
            raise InputError(f"A has {A.shape[0]} rows and b has {b.shape[0]} entries; they must agree.")
        object.__setattr__(self, "A", A)
        object.__setattr__(self, "b", b)
        for name, like in (("A_error", A), ("b_error", b)):
            bound = getattr(self, name)
            if bound is None:
                continue
            bound = np.asarray(bound, dtype=np.float64)
            if bound.shape != like.shape or not (bound >= 0).all():  # an infinite bound: nothing is known
                raise InputError(f"{name} must be non-negative with shape {like.shape}, got {bound.shape}.")
            object.__setattr__(self, name, freeze(bound.copy()) if bound.any() else None)

    def __repr__(self) -> str:
        rounded = ", rounded rows" if self.is_rounded else ""
        return f"Polyhedron({self.n_rows} half-spaces in R^{self.dim}{rounded})"

    # -- makers ------------------------------------------------------------------------------------------

    @classmethod
    def box(cls, lower: object, upper: object, dim: int | None = None) -> Polyhedron:
        """Return {x : lower <= x <= upper}; scalars need `dim`. Rows: upper bounds, then lower bounds."""
        lo, hi = as_array(lower, "lower"), as_array(upper, "upper")
        if dim is None:
            if lo.ndim == 0 and hi.ndim == 0:
                raise InputError("box got two scalars; give dim=, or vectors of bounds.")
            dim = max(lo.size, hi.size)
        try:
            lo, hi = np.broadcast_to(lo, (dim,)), np.broadcast_to(hi, (dim,))
        except ValueError:
            raise InputError(f"box bounds have shapes {lo.shape} and {hi.shape}, wanted ({dim},).") from None
        eye = np.eye(dim)
        return cls(np.vstack([eye, -eye]), np.concatenate([hi, -lo]))

    @classmethod
    def whole(cls, dim: int) -> Polyhedron:
        """Return all of R^dim: no rows."""
        return cls(np.empty((0, dim)), np.empty(0))

    @classmethod
    def orthant(cls, dim: int) -> Polyhedron:
        """Return {x >= 0} in R^dim, where the inputs of a layer after a ReLU live."""
        return cls(-np.eye(dim), np.zeros(dim))

    # -- shape -------------------------------------------------------------------------------------------

    @property
    def n_rows(self) -> int:
        """Number of half-spaces m."""
        return self.A.shape[0]

    @property
    def dim(self) -> int:
        """Dimension d of the ambient space."""
        return self.A.shape[1]

    @property
    def is_rounded(self) -> bool:
        """Whether the rows are known only up to A_error, b_error."""
        return self.A_error is not None or self.b_error is not None

    @property
    def errors(self) -> tuple[np.ndarray, np.ndarray]:
        """The bounds A_error and b_error, as zeros where they are None."""
        A_error = np.zeros_like(self.A) if self.A_error is None else self.A_error
        return A_error, np.zeros_like(self.b) if self.b_error is None else self.b_error

    @property
    def has_exact_rows(self) -> bool:
        """Whether `exact_rows` can give the true rows."""
        return self.row_source is not None or not self.is_rounded

    @cached_property
    def _smallest_entry(self) -> float:
        return smallest_nonzero(self.A)

    # -- exact and enclosed arithmetic -------------------------------------------------------------------

    def exact_rows(self, rows: np.ndarray) -> tuple[flint.fmpq_mat, flint.fmpq_mat]:
        """Return the true rows (k, d) and right-hand sides (k, 1) as rationals.

        Raises
        ------
        UndecidedError
            If the rows are rounded and no source of exact rows is known.
        """
        rows = np.asarray(rows, dtype=np.intp)
        if self.row_source is not None:
            return self.row_source(rows)
        if self.is_rounded:
            raise UndecidedError(
                "The rows are known only up to rounding and no exact rows are available: "
                "the network is too large for rational arithmetic."
            )
        return rational_matrix(self.A[rows]), rational_matrix(self.b[rows])

    def slack_enclosure(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r"""Return float slacks b - A x and rigorous bounds on their errors.

        Parameters
        ----------
        points : (N, d) float64 array

        Returns
        -------
        slack, error : (N, m) arrays
            The true slack of the true row lies in ``[slack - error, slack + error]``.

        Notes
        -----
        A sum of d products and one subtraction: `dot_error` with n = d + 1 on :math:`|x| \cdot |a| + |b|`,
        plus :math:`|x| \cdot A_{error} + b_{error}` rounded up for rounded rows. Cost: 2 or 3 products.
        """
        spread = np.abs(points)
        products = smallest_nonzero(spread) * self._smallest_entry
        with np.errstate(over="ignore", invalid="ignore"):
            slack = self.b - points @ self.A.T
            error = dot_error(spread @ np.abs(self.A).T + np.abs(self.b), self.dim + 1, products)
            if self.A_error is not None:
                error += round_up(spread @ self.A_error.T, 2 * self.dim + 2)
            if self.b_error is not None:
                error += self.b_error
            error = round_up(error, 2) if self.is_rounded else error
        return unbounded_where_overflown(slack, error)

    def combination_enclosure(self, multipliers: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
        r"""Return :math:`A'\lambda`, its error bound, :math:`b \cdot \lambda` and its error bound.

        `multipliers` is an (m,) float64 vector. Same derivation as `slack_enclosure`, with n = m + 1.
        """
        spread = np.abs(multipliers)
        with np.errstate(over="ignore", invalid="ignore"):
            normal, offset = multipliers @ self.A, np.array(multipliers @ self.b)
            normal_error = dot_error(spread @ np.abs(self.A), self.n_rows + 1)
            offset_error = dot_error(np.array(spread @ np.abs(self.b)), self.n_rows + 1)
            if self.A_error is not None:
                normal_error = round_up(normal_error + spread @ self.A_error, 2 * self.n_rows + 3)
            if self.b_error is not None:
                offset_error = round_up(offset_error + spread @ self.b_error, 2 * self.n_rows + 3)
        normal, normal_error = unbounded_where_overflown(normal, normal_error)
        offset, offset_error = unbounded_where_overflown(offset, offset_error)
        return normal, normal_error, float(offset), float(offset_error)

    def exact_slacks(self, point: np.ndarray, rows: np.ndarray) -> list[flint.fmpq]:
        """Return the true slacks of some rows at one point (d,) of floats or Fractions, as rationals."""
        A, b = self.exact_rows(rows)
        return (b - A * rational_matrix(point)).entries()

    def slack_signs(self, points: np.ndarray) -> np.ndarray:
        """Return the exact signs of all slacks: 1 inside, 0 on the hyperplane, -1 outside, UNKNOWN.

        Parameters
        ----------
        points : (N, d) array
            Floats, or Fractions (then every sign is decided in rationals).

        Returns
        -------
        (N, m) int8 array
            UNKNOWN only where the rows are rounded and have no exact source.
        """
        if is_exact_array(points):
            signs = np.zeros((len(points), self.n_rows), dtype=np.int8)
            undecided = np.ones_like(signs, dtype=bool)
        else:
            slack, error = self.slack_enclosure(points)
            signs = (slack > error).astype(np.int8) - (slack < -error).astype(np.int8)
            # an error of 0 (every product is zero, nothing can underflow) leaves an exact zero
            undecided = (signs == 0) & (error != 0)
        for k in np.flatnonzero(undecided.any(axis=1)):
            rows = np.flatnonzero(undecided[k])
            if not self.has_exact_rows:
                signs[k, rows] = UNKNOWN
                continue
            exact = self.exact_slacks(points[k], rows)
            signs[k, rows] = [(s > 0) - (s < 0) for s in exact]
        return signs

    # -- geometry without a solver -----------------------------------------------------------------------

    def slack(self, points: object) -> np.ndarray:
        """Return b - A x in floats, (m,) for one point or (N, m): positive inside, 0 on the hyperplane."""
        values = self.b - as_points(points, "points", self.dim) @ self.A.T
        return values[0] if np.ndim(points) == 1 else values

    def contains(self, points: object) -> np.ndarray | bool:
        """Tell exactly which points lie in the closed polyhedron; a bool for a single point.

        Raises
        ------
        UndecidedError
            If a point is within rounding distance of a rounded row that has no exact source.
        """
        signs = self.slack_signs(as_points(points, "points", self.dim))
        outside = (signs == -1).any(axis=1)
        unknown = (signs == UNKNOWN).any(axis=1) & ~outside
        if unknown.any():
            raise UndecidedError(
                f"Point {int(np.flatnonzero(unknown)[0])} lies within the rounding error of a row of this "
                "polyhedron, whose rows are known only up to rounding."
            )
        return bool(~outside[0]) if np.ndim(points) == 1 else ~outside

    def recedes(self, direction: object) -> bool:
        """Tell exactly whether A direction <= 0: moving that way never leaves a non-empty polyhedron.

        Raises
        ------
        UndecidedError
            If a product is within the rounding error of a rounded row without exact source.
        """
        vector = as_vector(direction, "direction", self.dim)
        return self.homogeneous().contains(vector)

    def homogeneous(self) -> Polyhedron:
        """Return the recession cone {x : A x <= 0} with the same row errors and exact rows."""
        source = None
        if self.has_exact_rows:

            def source(rows: np.ndarray) -> tuple[flint.fmpq_mat, flint.fmpq_mat]:
                A, b = self.exact_rows(rows)
                return A, b * 0

        return Polyhedron(self.A, np.zeros(self.n_rows), self.A_error, None, source)

    def ray_interval(self, direction: object) -> RayInterval:
        """Return the exact interval of t with t * direction inside (t may be negative).

        Rows with a positive (negative) product bound t from above (below) at b_i / (a_i . direction); rows
        with product 0 and b_i < 0 empty it. Floats with their enclosures discard the rows that cannot stop
        the line; the few left are compared in rationals. Cost: one product with A.

        Raises
        ------
        UndecidedError
            If deciding needs exact rows that are not available.
        """
        vector = as_vector(direction, "direction", self.dim)
        if not vector.any():
            raise InputError("direction is the zero vector: t * 0 stays at the origin for every t.")
        rate, error = Polyhedron(-self.A, np.zeros(self.n_rows), self.A_error).slack_enclosure(vector[None])
        rate, error = rate[0], error[0]
        upper, upper_rows = self._stopping_rows(vector, rate, error, +1)
        lower, lower_rows = self._stopping_rows(vector, -rate, error, -1)
        blocked = [r for r, s in self._level_rows(vector, rate, error) if s < 0]
        if blocked:
            return RayInterval(float("inf"), float("-inf"), (blocked[0],), (blocked[0],))
        return RayInterval(lower, upper, lower_rows, upper_rows)

    def _stopping_rows(
        self, vector: np.ndarray, rate: np.ndarray, error: np.ndarray, side: int
    ) -> tuple[Fraction | float, tuple[int, ...]]:
        """Return the exact smallest b_i / rate_i over rows with positive rate (times side), with its rows.

        A row whose earliest possible stop lies beyond the latest possible stop of another cannot be first.
        """
        earliest, latest = stopping_bounds(self.b, self.errors[1], rate, error)
        candidates = np.flatnonzero((rate > -error) & (earliest <= latest.min(initial=np.inf)))
        if not candidates.size:
            return side * float("inf"), ()
        A, b = self.exact_rows(candidates)
        rates = (A * rational_matrix(vector)).entries()
        quotients = {
            int(i): s / (side * r)
            for i, r, s in zip(candidates, rates, b.entries(), strict=True)
            if side * r > 0
        }
        if not quotients:
            return side * float("inf"), ()
        first = min(quotients.values())
        return fraction(side * first), tuple(i for i, q in quotients.items() if q == first)

    def _level_rows(
        self, vector: np.ndarray, rate: np.ndarray, error: np.ndarray
    ) -> list[tuple[int, flint.fmpq]]:
        """Return rows exactly parallel to the direction, each with its exact right-hand side."""
        rows = np.flatnonzero(np.abs(rate) <= error)
        if not rows.size:
            return []
        A, b = self.exact_rows(rows)
        rates = (A * rational_matrix(vector)).entries()
        return [(int(i), s) for i, r, s in zip(rows, rates, b.entries(), strict=True) if r == 0]

    # -- new polyhedra from old --------------------------------------------------------------------------

    def pullback(self, along: AffineMap) -> Polyhedron:
        r"""Return :math:`\{w : M w + c \in P\}` for the affine map w -> M w + c.

        The new rows A M and b - A c are rounded; the result carries their error bounds (`dot_error` with
        n = d, resp. d + 1) and, where P has exact rows, exact rows of its own. Cost: 2 to 4 products.
        """
        as_slice(along, self.dim)
        spread = np.abs(self.A)
        with np.errstate(over="ignore", invalid="ignore"):
            A, b = self.A @ along.matrix, self.b - self.A @ along.offset
            A_error = dot_error(spread @ np.abs(along.matrix), self.dim)
            b_error = dot_error(spread @ np.abs(along.offset) + np.abs(self.b), self.dim + 1)
            if self.A_error is not None:
                A_error += round_up(self.A_error @ np.abs(along.matrix), 2 * self.dim + 2)
                b_error += round_up(self.A_error @ np.abs(along.offset), 2 * self.dim + 2)
            if self.b_error is not None:
                b_error += self.b_error
            A, A_error = unbounded_where_overflown(A, round_up(A_error, 3))
            b, b_error = unbounded_where_overflown(b, round_up(b_error, 3))
        source = None
        if self.has_exact_rows:
            matrix, offset = rational_matrix(along.matrix), rational_matrix(along.offset)

            def source(rows: np.ndarray) -> tuple[flint.fmpq_mat, flint.fmpq_mat]:
                exact_A, exact_b = self.exact_rows(rows)
                return exact_A * matrix, exact_b - exact_A * offset

        return Polyhedron(A, b, A_error, b_error, source)

    def intersect(self, other: Polyhedron) -> Polyhedron:
        """Return the intersection: the rows of self, then the rows of other."""
        if not isinstance(other, Polyhedron) or other.dim != self.dim:
            raise InputError(
                f"Cannot intersect {self} with {other!r:.80}: wanted a Polyhedron in R^{self.dim}."
            )

        source = None
        if (self.is_rounded or other.is_rounded) and self.has_exact_rows and other.has_exact_rows:

            def source(rows: np.ndarray) -> tuple[flint.fmpq_mat, flint.fmpq_mat]:
                return _interleaved(self, other, rows)

        A, b = np.vstack([self.A, other.A]), np.concatenate([self.b, other.b])
        (A_error, b_error), (other_A, other_b) = self.errors, other.errors
        return Polyhedron(A, b, np.vstack([A_error, other_A]), np.concatenate([b_error, other_b]), source)

    def select(self, rows: object) -> Polyhedron:
        """Return the polyhedron of some rows only, in the given order."""
        index = as_rows(rows, self.n_rows)
        source = None
        if self.row_source is not None:

            def source(chosen: np.ndarray) -> tuple[flint.fmpq_mat, flint.fmpq_mat]:
                return self.exact_rows(index[chosen])

        return Polyhedron(
            self.A[index],
            self.b[index],
            None if self.A_error is None else self.A_error[index],
            None if self.b_error is None else self.b_error[index],
            source,
        )


def _interleaved(
    first: Polyhedron, second: Polyhedron, rows: np.ndarray
) -> tuple[flint.fmpq_mat, flint.fmpq_mat]:
    """Return exact rows of an intersection, in the order asked for: those of each part at once."""
    import flint

    entries: list[list[flint.fmpq]] = [[]] * len(rows)
    sides: list[flint.fmpq] = [flint.fmpq(0)] * len(rows)
    for owner, places, local in (
        (first, np.flatnonzero(rows < first.n_rows), rows),
        (second, np.flatnonzero(rows >= first.n_rows), rows - first.n_rows),
    ):
        if len(places):
            A, b = owner.exact_rows(local[places])
            for place, row, side in zip(places, A.table(), b.entries(), strict=True):
                entries[place], sides[place] = row, side
    flat = [entry for row in entries for entry in row]
    return flint.fmpq_mat(len(rows), first.dim, flat), flint.fmpq_mat(len(rows), 1, sides)
