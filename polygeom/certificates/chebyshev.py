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
from fractions import Fraction
from math import inf, isqrt, nextafter

import numpy as np

from polygeom.arrays import brief_repr
from polygeom.certificates.check import OPEN, PROVED, REFUTED, Check, finite_numbers
from polygeom.certificates.feasibility import FeasiblePoint, zero_rows
from polygeom.exact import fraction, is_exact_array, rational_matrix
from polygeom.polyhedron import Polyhedron
from polygeom.rounding import dot_error, round_up
from polygeom.verified import repair

__all__ = ["ChebyshevBall", "largest_radius_at", "norm_interval", "norms_below", "radius_bound", "rounded"]

ROOT_BITS = 64
"""Bits of rational bounds on square roots: more than a float has."""


@np.errstate(over="ignore", under="ignore", invalid="ignore")
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


@np.errstate(over="ignore", invalid="ignore")
def largest_radius_at(P: Polyhedron, center: np.ndarray) -> float:
    """Return a lower bound on the radius of the largest ball around a point; negative if it is outside.

    The smallest slack / norm over the rows that are not zero, rounded down: in floats (slack - error) for a
    float center, in rationals for Fractions. Zero rows must hold.
    """
    zero = zero_rows(P, np.arange(P.n_rows))
    if (P.slack_signs(center[None])[0][zero] == -1).any():
        return -inf
    if is_exact_array(center):
        return _exact_radius_at(P, center, np.flatnonzero(~zero)) if P.has_exact_rows else -inf
    slack, error = P.slack_enclosure(center[None])
    _, norms = norm_interval(P)
    radii = (slack - error)[0][~zero] / norms[~zero]
    radius = float(radii.min(initial=inf))
    if np.isnan(radius):
        return -inf
    return radius if not np.isfinite(radius) else radius - float(dot_error(abs(radius), 4))


def _exact_radius_at(P: Polyhedron, center: np.ndarray, rows: np.ndarray) -> float:
    """Return the smallest slack / norm over some rows, rounded down, from the squares of both."""
    slacks = [fraction(s) for s in P.exact_slacks(center, rows)]
    if any(s < 0 for s in slacks):
        return -inf
    squares = [s * s / size for s, size in zip(slacks, _squared_norms(P, rows), strict=True)]
    return rounded(_root_below(min(squares)), -inf) if squares else inf


def norms_below(P: Polyhedron) -> list[Fraction]:
    """Return rational lower bounds on the lengths of all true rows, with `ROOT_BITS` correct bits."""
    return [_root_below(square) for square in _squared_norms(P, np.arange(P.n_rows))]


def _squared_norms(P: Polyhedron, rows: np.ndarray) -> list[Fraction]:
    """Return the squared lengths of some true rows."""
    return [fraction(sum(v * v for v in row)) for row in P.exact_rows(rows)[0].table()]


def _root_below(square: Fraction) -> Fraction:
    """Return a lower bound on a square root, with `ROOT_BITS` correct bits."""
    bits = square.denominator.bit_length() - square.numerator.bit_length()
    shift = max(0, ROOT_BITS + bits // 2 + 1)
    return Fraction(isqrt((square.numerator << 2 * shift) // square.denominator), 1 << shift)


def rounded(value: Fraction, towards: float) -> float:
    """Return the nearest float that is not on the wrong side of the exact value."""
    try:
        nearest = float(value)
    except OverflowError:
        return inf if towards > 0 else nextafter(inf, 0.0)
    wrong = nearest < value if towards > 0 else nearest > value
    return nextafter(nearest, towards) if wrong else nearest


@np.errstate(over="ignore", invalid="ignore")
def radius_bound(P: Polyhedron, multipliers: np.ndarray) -> float:
    r"""Return an upper bound on the radius of every ball in P; infinity if the multipliers prove none.

    Floats are repaired: exact :math:`\lambda'` lie within a relative distance `change` of each other, so the
    denominator shrinks by at most that factor and the numerator moves by `offset_change`. Fractions, and floats
    where the repair lemma does not apply (fewer than d independent rows), are taken at their word.
    """
    multipliers = finite_numbers(multipliers, P.n_rows)
    if multipliers is None or not all(v >= 0 for v in multipliers):
        return inf
    support = np.flatnonzero(multipliers != 0)
    part, weights = P.select(support), multipliers[support]
    bound = inf if is_exact_array(weights) else _float_radius_bound(part, weights)
    return bound if np.isfinite(bound) or not part.has_exact_rows else _exact_radius_bound(part, weights)


def _float_radius_bound(P: Polyhedron, weights: np.ndarray) -> float:
    """Return the bound from positive float weights on all rows, or infinity where they cannot be repaired."""
    repaired = repair(weights, P.A, np.zeros(P.dim), P.A_error)
    if not repaired.holds:
        return inf
    total = float(weights @ norm_interval(P)[0])
    total -= float(dot_error(total, len(weights) + 1))
    denominator = total * (1.0 - repaired.change)
    denominator -= float(dot_error(denominator, 4)) if denominator > 0 else 0.0
    _, _, offset, error = P.combination_enclosure(weights)
    numerator = max(offset, 0.0) + error + repaired.offset_change(P.b, P.b_error)
    if not (denominator > 0 and np.isfinite(numerator)):
        return inf
    return float(round_up(numerator, 4) / denominator * (1 + dot_error(1.0, 2)))


def _exact_radius_bound(P: Polyhedron, weights: np.ndarray) -> float:
    r"""Return the bound from positive weights on all rows, rounded up, if :math:`A'\lambda = 0` exactly."""
    if not P.n_rows:
        return inf
    rows = np.arange(P.n_rows)
    A, b = P.exact_rows(rows)
    weight = rational_matrix(weights).transpose()
    if any((weight * A).entries()):
        return inf
    total = sum(fraction(w) * norm for w, norm in zip(weight.entries(), norms_below(P), strict=True))
    return rounded(max(fraction((weight * b)[0, 0]), Fraction(0)) / total, inf) if total else inf


@dataclass(frozen=True, eq=False)
class ChebyshevBall:
    """A ball inside P, with an upper bound on the radius of any ball inside P.

    Attributes
    ----------
    center : (d,) array
        Floats or Fractions.
    radius : float
        A ball of this radius around the center is inside; 0 where P has no interior (or one too thin for
        the smallest float), inf where P holds balls of every size.
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

    __repr__ = brief_repr

    def holds(self, P: Polyhedron) -> Check:
        """Check that the ball is inside and `upper` a bound. Cost: two products with A, one repair."""
        center = finite_numbers(self.center, P.dim)
        if center is None or not (self.radius >= 0 and self.upper >= 0):
            return REFUTED
        inside = self._check_inside(P, center)
        if not inside:
            return inside
        if self.multipliers is None or np.isinf(self.upper):
            return inside if np.isinf(self.upper) else REFUTED
        return inside if radius_bound(P, self.multipliers) <= self.upper else REFUTED

    def _check_inside(self, P: Polyhedron, center: np.ndarray) -> Check:
        """Check that the ball, or balls of every size along the direction, are inside."""
        if self.radius == 0.0:
            return FeasiblePoint(center).holds(P)
        if np.isfinite(self.radius):
            if is_exact_array(center) and not P.has_exact_rows:
                return OPEN
            return PROVED if largest_radius_at(P, center) >= self.radius else REFUTED
        direction = finite_numbers(self.direction, P.dim)
        if direction is None:
            return REFUTED
        strict = P.homogeneous().slack_signs(direction[None])[0] == 1
        grows = zero_rows(P, np.flatnonzero(~strict)).all()
        return FeasiblePoint(center).holds(P) if grows else REFUTED
