r"""Find the largest ball in a polyhedron, with a bound that no ball exceeds.

One linear program: the center x and radius r maximizing r under :math:`A x + r |a_i| \le b`. Floats propose;
the ball is then shrunk until it is proved to be inside, and the multipliers of the program bound every radius.

Cost: `feasibility` and one float LP: 5 ms at (m, d) = (50, 10), 30 ms at (200, 50), 70 ms at (400, 100).
"""

from __future__ import annotations

import numpy as np

from polygeom.certificates.chebyshev import ChebyshevBall, largest_radius_at, norm_interval, radius_bound
from polygeom.certificates.feasibility import InteriorPoint
from polygeom.errors import InputError, UndecidedError
from polygeom.lp import maximize
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.feasibility import decided, feasibility
from polygeom.predicates.proposals import exact_multipliers, proves
from polygeom.predicates.subject import about_polyhedra

__all__ = ["chebyshev_ball"]


@about_polyhedra
def chebyshev_ball(P: Polyhedron) -> ChebyshevBall:
    """Return the largest ball in P: a ball proved to be inside, and a bound that no ball exceeds.

    The largest radius lies in [radius, upper], relative width about 1e-15 times the size of P over the
    radius. Radius 0 for a P without interior; inf when P holds balls of every size, with the direction in
    which they grow.

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
    found = decided(feasibility(P))
    if not found.feasible:
        raise InputError("The polyhedron is empty and holds no ball. Ask feasibility(P) first.")
    if found.dim is None:
        return ChebyshevBall(found.point, 0.0, float("inf"))
    if found.interior is None:
        flat = found.equalities[0].multipliers
        return ChebyshevBall(found.point, 0.0, radius_bound(P, flat), flat)
    norms = norm_interval(P)[1] * P.A.any(axis=1)
    axis = np.append(np.zeros(P.dim), 1.0)
    proposal = maximize(axis, np.column_stack([P.A, norms]), P.b)
    if proposal.status == "optimal":
        return _ball_at(P, proposal.point[:-1], proposal.multipliers)
    # A ray (y, r) with r > 0 has A y <= -r |a|: balls grow along y.
    if proposal.ray is not None and proves(InteriorPoint(proposal.ray[:-1]).holds(P.homogeneous())):
        return ChebyshevBall(found.point, float("inf"), float("inf"), None, proposal.ray[:-1])
    return _ball_at(P, found.point.astype(np.float64), None)


def _ball_at(P: Polyhedron, center: np.ndarray, multipliers: np.ndarray | None) -> ChebyshevBall:
    """Return the largest provable ball around a center, and the better of two bounds from the multipliers."""
    radius = largest_radius_at(P, center)
    if radius <= 0.0:
        raise UndecidedError("The interior is too thin for a ball with floating-point center.")
    if multipliers is None:
        return ChebyshevBall(center, radius, float("inf"))
    choices = [m for m in (multipliers, exact_multipliers(P, multipliers)) if m is not None]
    bounds = [radius_bound(P, m) for m in choices]
    best = int(np.argmin(bounds))
    return ChebyshevBall(center, radius, bounds[best], choices[best] if np.isfinite(bounds[best]) else None)
