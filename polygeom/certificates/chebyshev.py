r"""Proof of the largest ball in a polyhedron: where it lies, and that no ball is larger than stated.

A ball of radius r around x lies in P if and only if :math:`r |a_i| \le b_i - a_i \cdot x` for all i. If
:math:`\lambda \ge 0`, :math:`A'\lambda = 0` and :math:`\lambda` is not 0 on the non-zero rows, then weighting
these inequalities gives

.. math:: r \le \frac{b \cdot \lambda}{\sum_i \lambda_i |a_i|},

with equality at the best ball for the right :math:`\lambda` (linear programming duality). Norms are irrational,
so the largest radius is proved to lie in an interval of floats, not to be a number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.certificates.check import PROVED, Check, Level
from polygeom.certificates.feasibility import FeasiblePoint, zero_rows
from polygeom.errors import InputError
from polygeom.exact import is_exact_array, rational_matrix
from polygeom.polyhedron import Polyhedron
from polygeom.rounding import dot_error, round_up
from polygeom.verified import repair

__all__ = ["ChebyshevBall", "largest_radius_at", "norm_interval", "radius_bound"]


def norm_interval(P: Polyhedron) -> tuple[np.ndarray, np.ndarray]:
    """Return rigorous lower and upper bounds (m,) on the Euclidean norms of the true rows.

    Rows are scaled by powers of two to entries below 1, so nothing overflows; squares, their sum, the root
    and the scaling make d + 2 roundings.
    """
    exponents = np.frexp(np.abs(P.A).max(axis=1, initial=0.0))[1]
    scaled = np.ldexp(P.A, -exponents[:, None])
    norms = np.sqrt((scaled**2).sum(axis=1))
    slop = dot_error(norms, P.dim + 4)
    # |error|_2 <= |error|_1, which cannot underflow
    spread = 0.0 if P.A_error is None else round_up(P.A_error.sum(axis=1), P.dim + 2)
    lower = np.maximum(np.ldexp(norms - slop, exponents) - spread, 0.0)
    return lower - dot_error(lower, 2), round_up(np.ldexp(norms + slop, exponents) + spread, 4)


def largest_radius_at(P: Polyhedron, center: np.ndarray) -> float:
    """Return a lower bound on the radius of the largest ball around a float point; negative if outside.

    The smallest of (slack - error) / norm over the rows that are not zero, rounded down. Zero rows must hold.
    """
    slack, error = P.slack_enclosure(center[None])
    low = (slack - error)[0]
    _, norms = norm_interval(P)
    zero = zero_rows(P, np.arange(P.n_rows))
    if (P.slack_signs(center[None])[0][zero] == -1).any():
        return float("-inf")
    with np.errstate(over="ignore"):
        radii = low[~zero] / norms[~zero]
    radius = float(radii.min(initial=np.inf))
    return radius if not np.isfinite(radius) else radius - float(dot_error(abs(radius), 4))


def radius_bound(P: Polyhedron, multipliers: np.ndarray) -> float:
    r"""Return an upper bound on the radius of every ball in P; infinity if the multipliers prove none.

    Floats are repaired: exact :math:`\lambda'` lie within a relative distance `change` of each other, so the
    denominator shrinks by at most that factor and the numerator moves by `offset_change`. Where the repair
    lemma does not apply (fewer than d independent rows), :math:`A'\lambda = 0` must hold exactly.
    """
    if not all(v >= 0 for v in multipliers) or any(v == float("inf") for v in multipliers):
        return float("inf")
    support = np.flatnonzero(multipliers != 0)
    part = P.select(support)
    weights = np.asarray(multipliers[support], dtype=np.float64)
    lower, _ = norm_interval(part)
    total = float(weights @ lower)
    total -= float(dot_error(total, len(weights) + 2))  # the float copy of a Fraction is one more rounding
    change, moved = 0.0, 0.0
    if (
        is_exact_array(multipliers)
        or not (fixed := repair(weights, part.A, np.zeros(P.dim), part.A_error)).holds
    ):
        if not part.has_exact_rows:
            return float("inf")
        A, _ = part.exact_rows(np.arange(len(support)))
        if any((rational_matrix(multipliers[support]).transpose() * A).entries()):
            return float("inf")
    else:
        change, moved = fixed.change, fixed.offset_change(part.b, part.b_error)
    _, _, offset, error = part.combination_enclosure(weights)
    # one rounding of each weight changes b . lambda by at most u |b| . lambda, less than this error
    error = 2.0 * error
    denominator = total * (1.0 - change)
    denominator -= float(dot_error(denominator, 4)) if denominator > 0 else 0.0
    numerator = max(offset, 0.0) + error + moved
    return (
        float(round_up(numerator, 4) / denominator * (1 + dot_error(1.0, 2)))
        if denominator > 0
        else float("inf")
    )


@dataclass(frozen=True, eq=False)
class ChebyshevBall:
    """A ball inside P, with an upper bound on the radius of any ball inside P.

    Attributes
    ----------
    center : (d,) array
        Floats or Fractions.
    radius : float
        A ball of this radius around the center is inside; 0 where P has no interior, inf where P holds
        balls of every size.
    upper : float
        No ball in P has a larger radius; inf if nothing was proved.
    multipliers : (m,) array or None
        The proof of `upper`.
    direction : (d,) array or None
        When the radius is inf: A direction < 0 for every non-zero row, so balls grow along it for ever.
    """

    center: np.ndarray
    radius: float
    upper: float
    multipliers: np.ndarray | None = None
    direction: np.ndarray | None = None

    def holds(self, P: Polyhedron) -> Check:
        """Check that the ball is inside and `upper` a bound. Cost: two products with A, one repair."""
        if np.shape(self.center) != (P.dim,):
            raise InputError(f"The center has shape {np.shape(self.center)}, wanted ({P.dim},).")
        inside = self._check_inside(P)
        if not inside:
            return inside
        if self.multipliers is None or np.isinf(self.upper):
            return inside if np.isinf(self.upper) else Check(False, Level.EXACT, float("inf"))
        proved = radius_bound(P, self.multipliers) <= self.upper
        return inside if proved else Check(False, Level.EXACT, float("inf"))

    def _check_inside(self, P: Polyhedron) -> Check:
        if np.isinf(self.radius):
            signs = P.homogeneous().slack_signs(self.direction[None])[0]
            strict = signs == 1
            grows = zero_rows(P, np.flatnonzero(~strict)).all()
            return FeasiblePoint(self.center).holds(P) if grows else Check(False, Level.EXACT, float("inf"))
        if self.radius == 0.0:
            return FeasiblePoint(self.center).holds(P)
        if is_exact_array(self.center) or largest_radius_at(P, self.center) < self.radius:
            return Check(False, Level.EXACT, float("inf"))
        return PROVED
