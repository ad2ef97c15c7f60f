r"""Proofs about the nearest point and the largest ellipsoid of a polyhedron.

Nearest point
-------------
For x in P and any :math:`\lambda \ge 0` put :math:`r = x - p + A'\lambda` and s = b - A x. Weak duality for
:math:`\min \frac12 |x - p|^2`, whose dual function is :math:`\lambda \cdot (A p - b) - \frac12 |A'\lambda|^2`,
leaves the gap :math:`\frac12 |r|^2 + \lambda \cdot s`, and strong convexity turns it into a distance:

.. math:: |x - x^*|^2 \le |r|^2 + 2 \lambda \cdot s .

All terms are small and non-negative, so nothing cancels; r = 0 and :math:`\lambda \cdot s = 0` are the
Karush-Kuhn-Tucker conditions.

Largest ellipsoid
-----------------
:math:`\{c + B u : |u| \le 1\}`, B symmetric, lies in P if and only if :math:`|B a_i| + a_i \cdot c \le b_i`.
For :math:`\lambda \ge 0` with :math:`A'\lambda = 0` and unit vectors :math:`u_i`, :math:`|B a_i| \ge u_i \cdot
B a_i` gives :math:`\mathrm{tr}(B M) \le b \cdot \lambda`, M the symmetric part of
:math:`\sum_i \lambda_i a_i u_i'`, and maximizing log det under that bound

.. math:: \log\det B \le b \cdot \lambda - d - \log\det M .

Sources: S. Boyd, L. Vandenberghe 2004, Convex Optimization, sections 5.5.3 (Karush-Kuhn-Tucker), 8.1 and 8.4.2
(the largest inscribed ellipsoid).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from polygeom.arrays import brief_repr
from polygeom.certificates.chebyshev import rounded
from polygeom.certificates.check import OPEN, REFUTED, Check, Level, finite_numbers, nearest_floats
from polygeom.certificates.feasibility import FeasiblePoint, InteriorPoint, zero_rows
from polygeom.exact import fraction, is_exact_array, rational_matrix
from polygeom.polyhedron import Polyhedron
from polygeom.rounding import TINY, dot_error, round_up
from polygeom.verified import norm_bound

__all__ = ["InscribedEllipsoid", "Projection"]


@dataclass(frozen=True, eq=False)
class Projection:
    """A point of P close to the point of P that is nearest to `target`.

    Attributes
    ----------
    target : (d,) array of floats
    point : (d,) array
        In P. Fractions: the nearest point itself (error 0).
    multipliers : (m,) array
        Non-negative, of the kind of `point`.
    error : float
        Bound on the Euclidean distance from `point` to the nearest point.
    """

    target: np.ndarray
    point: np.ndarray
    multipliers: np.ndarray
    error: float

    __repr__ = brief_repr

    @property
    def distance(self) -> float:
        """The distance from `target` to `point`, at least that to P and at most `error` more."""
        return float(np.linalg.norm(nearest_floats(self.point - self.target)))

    def holds(self, P: Polyhedron) -> Check:
        """Check that the point is in P and as near as stated. Cost: two products with A."""
        target, point = finite_numbers(self.target, P.dim), finite_numbers(self.point, P.dim)
        multipliers = finite_numbers(self.multipliers, P.n_rows)
        if target is None or point is None or multipliers is None or not all(v >= 0 for v in multipliers):
            return REFUTED
        inside = FeasiblePoint(point).holds(P)
        if not inside:
            return inside
        read = Projection(target, point, multipliers, self.error)
        exact = any(is_exact_array(numbers) for numbers in (target, point, multipliers))
        return (
            inside if (read._is_near_exactly(P) if exact else read.error_bound(P) <= self.error) else REFUTED
        )

    def _is_near_exactly(self, P: Polyhedron) -> bool:
        """Tell whether the bound is proved in rationals."""
        near = P.has_exact_rows and np.isfinite(self.error) and self.error >= 0
        return near and self._exact_square(P) <= fraction(self.error) ** 2

    def _exact_square(self, P: Polyhedron) -> Fraction:
        """Return |r|^2 + 2 lambda . s in rationals."""
        A, b = P.exact_rows(np.arange(P.n_rows))
        point, weights = rational_matrix(self.point), rational_matrix(self.multipliers)
        r = point - rational_matrix(self.target) + A.transpose() * weights
        return fraction((r.transpose() * r)[0, 0] + 2 * (weights.transpose() * (b - A * point))[0, 0])

    @np.errstate(over="ignore", invalid="ignore")
    def error_bound(self, P: Polyhedron) -> float:
        """Return a rigorous upper bound on the distance to the nearest point, for a float point in P.

        The residual r: the enclosure of A'lambda and two additions; the sum lambda . s: its m terms are bounded
        above by lambda (slack + error), rounded up.
        """
        normal, normal_error, _, _ = P.combination_enclosure(self.multipliers)
        moved = np.abs(self.point) + np.abs(self.target) + np.abs(normal)
        r = np.abs(self.point - self.target + normal) + normal_error + dot_error(moved, 3)
        slack, error = P.slack_enclosure(self.point[None])
        gap = round_up(float(self.multipliers @ np.maximum(slack + error, 0.0)[0]), 2 * P.n_rows + 4)
        return float(round_up(np.hypot(norm_bound(round_up(r, 4)), np.sqrt(2.0 * gap)), 6))


@dataclass(frozen=True, eq=False)
class InscribedEllipsoid:
    """An ellipsoid ``{center + shape u : |u| <= 1}`` in P, with a bound on the volume of any other.

    Attributes
    ----------
    center : (d,) array
        Floats, or Fractions where P is too thin for them.
    shape : (d, d) array
        Symmetric positive definite.
    multipliers : (m,) array
        Non-negative; the dual solution.
    gap : float
        No ellipsoid in P has a logarithm of volume larger by more than this, up to the residual of the check.
    """

    center: np.ndarray
    shape: np.ndarray
    multipliers: np.ndarray
    gap: float

    __repr__ = brief_repr

    def holds(self, P: Polyhedron) -> Check:
        """Check that the ellipsoid is inside (proved) and optimal up to `gap` (CERTIFIED).

        The residual is the largest entry of A'lambda with its rounding: the proof of optimality wants 0.
        """
        center, shape = finite_numbers(self.center, P.dim), finite_numbers(self.shape, P.dim, P.dim)
        multipliers = finite_numbers(self.multipliers, P.n_rows)
        if center is None or any(a is None or is_exact_array(a) for a in (shape, multipliers)):
            return REFUTED
        if is_exact_array(center) and not P.has_exact_rows:
            return OPEN
        read = InscribedEllipsoid(center, shape, multipliers, self.gap)
        if not (multipliers >= 0).all() or not read._is_inside(P):
            return REFUTED
        with np.errstate(over="ignore", invalid="ignore"):
            residual, error, _, _ = P.combination_enclosure(multipliers)
            worst = float((np.abs(residual) + error).max(initial=0.0))
            near = read.optimality_gap(P) <= self.gap
        return Check(bool(near), Level.CERTIFIED, worst) if np.isfinite(worst) else OPEN

    def _is_inside(self, P: Polyhedron) -> bool:
        inside = InteriorPoint(self.center).holds(P)
        proved = bool(inside) and inside.level is Level.EXACT
        return proved and bool((self.shape == self.shape.T).all()) and self.room(P) >= 1.0

    @np.errstate(over="ignore", divide="ignore", invalid="ignore")
    def room(self, P: Polyhedron) -> float:
        """Return a lower bound on the factor by which the ellipsoid may be stretched about its center."""
        rows = ~zero_rows(P, np.arange(P.n_rows))
        factors = self._slacks(P)[rows] / self.reach(P)[rows]
        factor = float(factors.min(initial=np.inf))
        return factor - float(dot_error(abs(factor), 2)) if np.isfinite(factor) else factor

    def _slacks(self, P: Polyhedron) -> np.ndarray:
        """Return lower bounds (m,) on the slacks of the true rows at the center."""
        if is_exact_array(self.center):
            exact = [fraction(s) for s in P.exact_slacks(self.center, np.arange(P.n_rows))]
            return np.array([rounded(s, -np.inf) for s in exact], dtype=np.float64)
        slack, error = P.slack_enclosure(self.center[None])
        return (slack - error)[0]

    @np.errstate(over="ignore", invalid="ignore")
    def reach(self, P: Polyhedron) -> np.ndarray:
        """Return upper bounds (m,) on ``|B a_i|``, how far the ellipsoid extends along each true row."""
        spread = np.abs(P.A) @ np.abs(self.shape)
        wide = np.abs(P.A @ self.shape) + dot_error(spread, P.dim)
        if P.A_error is not None:
            wide += round_up(P.A_error @ np.abs(self.shape), 2 * P.dim + 2)
        return np.array([norm_bound(row) for row in round_up(wide, 3)])

    @np.errstate(over="ignore", invalid="ignore")
    def optimality_gap(self, P: Polyhedron) -> float:
        """Return b . lambda - d - log det M - log det B in floats, b and A taken relative to the center."""
        reach = P.A @ self.shape
        units = reach / np.maximum([norm_bound(row) for row in reach], TINY)[:, None]
        M = (self.multipliers[:, None] * P.A).T @ units
        sign_m, log_m = np.linalg.slogdet((M + M.T) / 2)
        sign_b, log_b = np.linalg.slogdet(self.shape)
        if not (sign_m > 0 and sign_b > 0):
            return float("inf")
        return float(self.multipliers @ self._slacks(P) - P.dim - log_m - log_b)
