r"""Proofs that tie a polyhedron to the origin: does it contain 0, is it a cone, with which apex.

A closed polyhedron P that contains 0 (:math:`b \ge 0`) is a cone with apex 0 if and only if it equals its
recession cone. With L the rows with :math:`b_i = 0`, near the origin P looks like
:math:`C = \{v : A_L v \le 0\}`, so P is a cone if and only if every other row is satisfied on all of C,
:math:`a_i \cdot v \le 0`: proved by multipliers of the rows in L, refuted by an escape, a v in C with
:math:`a_i \cdot v > 0`, along which small multiples of v lie in P and large ones do not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from polygeom.arrays import brief_repr
from polygeom.certificates.boundedness import recession_signs
from polygeom.certificates.chebyshev import norm_interval
from polygeom.certificates.check import OPEN, PROVED, REFUTED, Check, are_rows, finite_numbers
from polygeom.certificates.facets import FacetReport
from polygeom.certificates.feasibility import Inclusion, zero_rows
from polygeom.exact import is_exact_array
from polygeom.polyhedron import UNKNOWN, Polyhedron
from polygeom.ranks import has_full_rank, rank
from polygeom.rounding import LARGEST, TINY, gamma
from polygeom.verified import sigma_min

if TYPE_CHECKING:
    import flint

__all__ = [
    "RATIONAL_ENTRIES",
    "Apex",
    "Escape",
    "OriginTest",
    "are_independent",
    "beside",
    "level_cone",
    "offset_signs",
    "share_no_point",
]

RATIONAL_ENTRIES = 20_000
"""Most entries of a facet system that is taken to the rationals (a second or so)."""


class EnclosedCell(Protocol):
    """A cell too large for its rows to be written down, which encloses the slacks and rates of all of them."""

    dim_in: int

    def slacks(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...

    def rates(self, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


Cell = Polyhedron | EnclosedCell


def offset_signs(P: Cell) -> np.ndarray:
    """Return the exact signs of b, (m,) int8: 1 where 0 is strictly inside, UNKNOWN where undecided."""
    if not isinstance(P, Polyhedron):
        return _enclosed_signs(*P.slacks(np.zeros((1, P.dim_in))))
    signs = np.sign(P.b).astype(np.int8)
    if P.b_error is not None:
        open_ = np.flatnonzero(np.abs(P.b) <= P.b_error)
        signs[open_] = P.select(open_).slack_signs(np.zeros((1, P.dim)))[0]
    return signs


def rate_signs(P: Cell, direction: np.ndarray) -> np.ndarray:
    """Return the exact signs of A v, (m,) int8, UNKNOWN where undecided."""
    if not isinstance(P, Polyhedron):
        return _enclosed_signs(*P.rates(direction))
    return recession_signs(P, direction)


def _enclosed_signs(value: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return signs (m,) of one row of enclosed numbers (1, m)."""
    decided = (np.abs(value) > error) | (error == 0)
    return np.where(decided, np.sign(value), UNKNOWN)[0].astype(np.int8)


def distance_bounds(
    P: Polyhedron, norms: tuple[np.ndarray, np.ndarray] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return rigorous bounds (m,) on the signed distances ``b / |a|`` of 0 to the hyperplanes, inf for zero rows.

    A quotient of enclosed numbers, rounded outward by one relative gamma; a norm that may be 0 bounds nothing.
    """
    b_error = 0.0 if P.b_error is None else P.b_error
    low, high = norm_interval(P) if norms is None else norms
    zero = zero_rows(P, np.arange(P.n_rows))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        least, most = P.b - b_error, P.b + b_error
        nearest = np.where(least >= 0, least / high, np.where(low > 0, least / low, -np.inf))
        farthest = np.where(most <= 0, most / high, np.where(low > 0, most / low, np.inf))
        # an overflow only says that the quotient is at least the largest float
        nearest, farthest = np.minimum(nearest, LARGEST), np.maximum(farthest, -LARGEST)
        nearest -= gamma(4) * np.abs(nearest) + TINY
        farthest += gamma(4) * np.abs(farthest) + TINY
    return np.where(zero, np.inf, nearest), np.where(zero, np.inf, farthest)


def level_rows(P: Cell, signs: np.ndarray) -> np.ndarray:
    """Return the rows whose hyperplane passes exactly through 0; zero rows draw none."""
    level = np.flatnonzero(signs == 0)
    return level[~zero_rows(P, level)] if isinstance(P, Polyhedron) else level


def level_cone(P: Polyhedron, signs: np.ndarray) -> tuple[Polyhedron, Polyhedron]:
    """Return the cone C of the rows through 0 and the cone of the other rows (module docstring)."""
    cone = P.homogeneous()
    return cone.select(signs == 0), cone.select(signs == 1)


@dataclass(frozen=True, eq=False)
class Escape:
    """A direction that stays in P for small multiples and leaves it for large ones: P is no cone with apex 0.

    Attributes
    ----------
    direction : (d,) array
    row : int
        A row with b > 0 that it leaves through.
    """

    direction: np.ndarray
    row: int

    __repr__ = brief_repr

    def holds(self, P: Cell) -> Check:
        """Check b >= 0, A_L v <= 0 on the rows with b = 0, and a_row . v > 0 with b_row > 0, exactly."""
        direction = finite_numbers(self.direction, P.dim if isinstance(P, Polyhedron) else P.dim_in)
        offsets = offset_signs(P)
        if direction is None or not are_rows(self.row, len(offsets)):
            return REFUTED
        rates = rate_signs(P, direction)
        if (offsets == UNKNOWN).any() or (rates[offsets == 0] == UNKNOWN).any():
            return OPEN
        stays = (offsets >= 0).all() and (rates[offsets == 0] <= 0).all()
        return PROVED if stays and offsets[self.row] == 1 and rates[self.row] == 1 else REFUTED


@dataclass(frozen=True, eq=False)
class OriginTest:
    """How a polyhedron lies to the origin; made by `polygeom.origin_test`.

    Attributes
    ----------
    contains_origin : bool or None
        Whether 0 is in the closed polyhedron, b >= 0.
    is_cone : bool or None
        Whether it is a cone with apex 0.
    through_origin : array of int
        Rows whose hyperplane passes exactly through 0 (b = 0; zero rows draw no hyperplane).
    distances : (m,) array or None
        Signed distance ``b / |a|`` of 0 to every hyperplane, positive when 0 is inside that half-space; inf for a
        zero row. Floats; the signs are exact where `undecided` is empty. None for a piece too large for its
        rows to be written down (`polygeom.nearest_boundaries` measures the nearest).
    undecided : array of int
        Rows whose sign of b is unknown (rounded rows without exact source).
    violated : int or None
        A row with b < 0, where 0 is outside.
    cone : Inclusion, Escape or None
        The proof that it is, or is not, a cone with apex 0, where 0 is inside.
    """

    contains_origin: bool | None
    is_cone: bool | None
    through_origin: np.ndarray
    distances: np.ndarray | None
    undecided: np.ndarray
    violated: int | None = None
    cone: Inclusion | Escape | None = field(default=None, repr=False)

    __repr__ = brief_repr

    def holds(self, P: Cell) -> Check:
        """Re-check every statement without a solver; not proved if something is undecided.

        P is the polyhedron, or the piece itself where it was too large for one.
        """
        signs = offset_signs(P)
        if not np.array_equal(self.through_origin, level_rows(P, signs)) or not self._distances_hold(P):
            return REFUTED
        if self.contains_origin is False:
            outside = are_rows(self.violated, len(signs)) and signs[self.violated] == -1
            return PROVED if outside and self.is_cone is False else REFUTED
        if self.contains_origin is None or self.is_cone is None:
            return OPEN
        if (signs < 0).any() or (signs == UNKNOWN).any():
            return REFUTED
        if not self.is_cone:
            return self.cone.holds(P) if isinstance(self.cone, Escape) else REFUTED
        if isinstance(self.cone, Inclusion) and isinstance(P, Polyhedron):
            return self.cone.holds(*level_cone(P, signs))
        # without a proof: where every hyperplane passes through 0
        return REFUTED if signs.any() or self.cone is not None else PROVED

    def _distances_hold(self, P: Cell) -> bool:
        """Tell whether every distance is within its rigorous bounds; a large piece has none."""
        if not isinstance(P, Polyhedron):
            return self.distances is None
        nearest, farthest = distance_bounds(P)
        if np.shape(self.distances) != nearest.shape:
            return False
        return bool(((nearest <= self.distances) & (self.distances <= farthest)).all())


@dataclass(frozen=True, eq=False)
class Apex:
    """Whether a full-dimensional polyhedron is a cone with some apex: all facet hyperplanes share a point.

    Attributes
    ----------
    exists : bool or None
    point : (d,) array or None
        An apex: Fractions where rationals gave it, floats otherwise (then within the rounding error of the
        rows from every facet hyperplane).
    report : FacetReport
        Which rows are facets, with the proofs.
    """

    exists: bool | None
    point: np.ndarray | None
    report: FacetReport = field(repr=False)

    __repr__ = brief_repr

    def holds(self, P: Polyhedron) -> Check:
        """Check the facets, and that the point is on every facet hyperplane, or the ranks that speak of one."""
        if self.exists is None:
            return OPEN
        facets_hold = self.report.holds(P)
        if not facets_hold:
            return facets_hold
        if self.exists and len(self.report.undecided):
            return OPEN  # any undecided row may be a facet that misses the point
        walls = P.select(self.report.facets)
        if self.exists and finite_numbers(self.point, P.dim) is None:
            return REFUTED
        if self.exists is False:
            return PROVED if share_no_point(walls) else OPEN
        if is_exact_array(self.point):
            return PROVED if (walls.slack_signs(self.point[None]) == 0).all() else REFUTED
        slack, error = walls.slack_enclosure(np.asarray(self.point)[None])
        if (np.abs(slack) > error).any():
            return REFUTED
        return PROVED if are_independent(walls) else OPEN


def are_independent(P: Polyhedron) -> bool:
    """Tell whether the rows are proved linearly independent: then their hyperplanes share a point."""
    if P.n_rows > P.dim:
        return False
    return has_full_rank(P.A) if P.A_error is None else sigma_min(P.A.T, P.A_error.T) > 0


def share_no_point(P: Polyhedron) -> bool:
    """Tell whether the hyperplanes a . x = b are proved to share no point: rank [A | b] exceeds rank A.

    Rank d + 1 is enough, proved modulo a prime or, for rounded rows, by a singular value; where it is less,
    both ranks are taken in rationals, up to `RATIONAL_ENTRIES` entries.
    """
    augmented = np.column_stack([P.A, P.b])
    if P.n_rows > P.dim:
        if not P.is_rounded and has_full_rank(augmented):
            return True
        if P.is_rounded and sigma_min(augmented, np.column_stack(P.errors)) > 0:
            return True
    if not P.has_exact_rows or P.A.size > RATIONAL_ENTRIES:
        return False
    A, b = P.exact_rows(np.arange(P.n_rows))
    return rank(beside(A, b)) > rank(A)


def beside(A: flint.fmpq_mat, b: flint.fmpq_mat) -> flint.fmpq_mat:
    """Return [A | b]."""
    import flint

    rows = zip(A.table(), b.table(), strict=True)
    return flint.fmpq_mat(A.nrows(), A.ncols() + 1, [v for a, s in rows for v in (*a, *s)])
