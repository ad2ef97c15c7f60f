r"""Find the largest ball in a polyhedron, with a bound that no ball exceeds.

One linear program: the center x and radius r maximizing r under :math:`A x + r |a_i| \le b`. Floats propose;
the ball is then shrunk until it is proved to be inside, and the multipliers of the program bound every radius.
Cells too thin for a float center get the center of an exact program, with norms rounded to rationals.

Cost: `feasibility` and one float LP: 5 ms at (m, d) = (50, 10), 30 ms at (200, 50), 70 ms at (400, 100).
"""

from __future__ import annotations

from operator import itemgetter

import numpy as np

from polygeom.certificates.chebyshev import ChebyshevBall, largest_radius_at, norms_below, radius_bound
from polygeom.certificates.feasibility import InteriorPoint
from polygeom.errors import InputError, SolverError
from polygeom.exact import fractions_array, is_exact_array, rational
from polygeom.lp import LpSolution, maximize
from polygeom.polyhedron import Polyhedron
from polygeom.predicates import rational as rational_lp
from polygeom.predicates.feasibility import decided, feasibility
from polygeom.predicates.proposals import EXACT_DIM, exact_multipliers, proves, unscaled, with_margins
from polygeom.predicates.subject import about_polyhedra

__all__ = ["chebyshev_ball"]


@about_polyhedra
def chebyshev_ball(P: Polyhedron, method: str = "auto") -> ChebyshevBall:
    """Return the largest ball in P: a ball proved to be inside, and a bound that no ball exceeds.

    The largest radius lies in [radius, upper], relative width about 1e-15 times the size of P over the
    radius; where a float center is too coarse for that, the center is made of Fractions. Radius 0 for a P
    without interior; inf when P holds balls of every size, with the direction in which they grow.

    Parameters
    ----------
    P : Polyhedron
    method : {"auto", "lp"}
        "lp" asks cvxpy, and no exact program: a slow second opinion.

    Raises
    ------
    InputError
        If P is empty.
    UndecidedError
        If no point of P could be proved.

    Examples
    --------
    >>> ball = chebyshev_ball(Polyhedron.box(0, 2, dim=2))
    >>> ball.center, round(ball.radius, 9), round(ball.upper, 9)
    (array([1., 1.]), 1.0, 1.0)
    >>> chebyshev_ball(Polyhedron.orthant(2)).radius
    inf
    """
    found = decided(feasibility(P, method))
    if not found.feasible:
        raise InputError("The polyhedron is empty and holds no ball. Ask feasibility(P) first.")
    if found.dim is None:
        return ChebyshevBall(found.point, 0.0, float("inf"))
    if found.interior is None:
        flat = found.equalities[0].multipliers
        return ChebyshevBall(found.point, 0.0, radius_bound(P, flat), flat)
    exact = method == "auto" and P.has_exact_rows and P.dim <= EXACT_DIM
    best = _float_ball(P, found.point, method)
    # floats lost half of the ball: the center needs more digits than they have
    if exact and not 2.0 * best.radius > best.upper and np.isfinite(best.radius):
        return _exact_ball(P, found.point)
    return best


def _float_ball(P: Polyhedron, inner: np.ndarray, method: str) -> ChebyshevBall:
    """Return the ball that floats propose; around the given interior point where they propose none inside."""
    rows, b, scales = with_margins(P)
    axis = np.append(np.zeros(P.dim), 1.0)
    try:
        proposal = maximize(axis, rows, b, "cvxpy" if method == "lp" else "highs")
    except SolverError:
        proposal = LpSolution("none", np.nan)
    # A ray (y, r) with r > 0 has A y <= -r |a|: balls grow along y.
    if proposal.ray is not None and proves(InteriorPoint(proposal.ray[:-1]).holds(P.homogeneous())):
        return ChebyshevBall(inner, float("inf"), float("inf"), None, proposal.ray[:-1])
    upper, multipliers = float("inf"), None
    if proposal.multipliers is not None:
        near = unscaled(proposal.multipliers, scales)
        choices = [m for m in (near, exact_multipliers(P, near)) if m is not None]
        upper, multipliers = min(((radius_bound(P, m), m) for m in choices), key=itemgetter(0))
    centers = [inner]
    if proposal.status == "optimal" and np.isfinite(proposal.point).all():
        centers.append(proposal.point[:-1])
    radius, center = max((_ball_around(P, c) for c in centers), key=itemgetter(0))
    return ChebyshevBall(center, radius, upper, multipliers if np.isfinite(upper) else None)


def _ball_around(P: Polyhedron, center: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the radius proved around a center, 0 if it is not inside; exact where floats prove none."""
    radius = largest_radius_at(P, center)
    if not radius > 0.0 and P.has_exact_rows and not is_exact_array(center):
        center = fractions_array(center)
        radius = largest_radius_at(P, center)
    return max(radius, 0.0), center


def _exact_ball(P: Polyhedron, inner: np.ndarray) -> ChebyshevBall:
    """Return the ball of an exact program whose norms are rational to `ROOT_BITS` bits."""
    import flint

    A, b = P.exact_rows(np.arange(P.n_rows))
    norms = [rational(norm) for norm in norms_below(P)]
    rows = [v for row, norm in zip(A.table(), norms, strict=True) for v in (*row, norm)]
    axis = flint.fmpq_mat(P.dim + 1, 1, [0] * P.dim + [1])
    found = rational_lp.maximize(axis, flint.fmpq_mat(P.n_rows, P.dim + 1, rows), b)
    if found.status == "unbounded":
        return ChebyshevBall(inner, float("inf"), float("inf"), None, found.ray[:-1])
    center = found.point[:-1]
    radius = largest_radius_at(P, center)
    return ChebyshevBall(center, radius, radius_bound(P, found.multipliers), found.multipliers)
