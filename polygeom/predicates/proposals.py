r"""Judge what floats propose about emptiness: margins, interior points, Farkas multipliers.

The widest margin of P is the program

.. math:: \max\ t \quad\text{subject to}\quad A x + w t \le b,\ t \le T,

with w the row norms, so x is the Chebyshev center and t the radius. A point with t > 0 is an interior point; a
negative maximum comes with Farkas multipliers.
"""

from __future__ import annotations

import numpy as np

from polygeom.certificates.chebyshev import norm_interval
from polygeom.certificates.check import Check, Level
from polygeom.certificates.feasibility import Farkas, Feasibility, FeasiblePoint, InteriorPoint
from polygeom.exact import fractions_array, rational_matrix
from polygeom.lp import LpSolution, maximize
from polygeom.polyhedron import Polyhedron
from polygeom.ranks import solve_near

__all__ = [
    "EXACT_DIM",
    "UNDECIDED",
    "exact_multipliers",
    "from_a_point",
    "from_farkas",
    "from_interior_point",
    "judged_margin",
    "proves",
    "widest_margin",
]

EXACT_DIM = 60
"""Largest dimension for the exact simplex method (a step costs 10 ms at 50 and grows like d^3)."""

UNDECIDED = Feasibility(None, None, None)


def proves(check: Check) -> bool:
    """Tell whether a certificate holds and is a proof, not only within rounding."""
    return bool(check) and check.level is Level.EXACT


def from_interior_point(P: Polyhedron, point: np.ndarray) -> Feasibility | None:
    """Return that P is full-dimensional, if the point proves it."""
    certificate = InteriorPoint(point)
    return Feasibility(True, P.dim, certificate) if proves(certificate.holds(P)) else None


def from_farkas(P: Polyhedron, multipliers: np.ndarray) -> Feasibility | None:
    """Return that P is empty, if the multipliers, or exact ones near them, prove it."""
    for candidate in (multipliers, exact_multipliers(P, multipliers)):
        if candidate is not None and proves(Farkas(candidate).holds(P)):
            return Feasibility(False, -1, Farkas(candidate))
    return None


def from_a_point(P: Polyhedron, proposal: LpSolution) -> Feasibility:
    """Return that P is not empty, its dimension unknown, if the origin or the proposed center proves it."""
    centers = [np.zeros(P.dim)] if proposal.point is None else [np.zeros(P.dim), proposal.point[:-1]]
    for point in centers:
        if proves(FeasiblePoint(point).holds(P)):
            return Feasibility(True, None, FeasiblePoint(point))
    return UNDECIDED


def exact_multipliers(
    P: Polyhedron, multipliers: np.ndarray, target: np.ndarray | None = None
) -> np.ndarray | None:
    r"""Return Fractions near float multipliers with :math:`A'\lambda = q` exactly; None where none is found.

    Needed where the rows of the support do not span R^d, so that the repair lemma is silent. q is 0, or
    Fractions (d,). Cost: one exact solve of the size of the support, tried up to `EXACT_DIM`.
    """
    support = np.flatnonzero(multipliers > 0)
    if not support.size or not P.has_exact_rows or min(support.size, P.dim) > EXACT_DIM:
        return None
    A, _ = P.exact_rows(support)
    goal = rational_matrix(np.zeros(P.dim) if target is None else target)
    solution = solve_near(A.transpose(), goal, np.asarray(multipliers[support], dtype=np.float64))
    if solution is None or any(v < 0 for v in solution.entries()):
        return None
    exact = fractions_array([0] * P.n_rows)
    exact[support] = fractions_array(solution.entries())
    return exact


def widest_margin(P: Polyhedron, method: str) -> LpSolution:
    """Propose the point with the widest margin, in floats: point (x, t), multipliers of the rows and of t <= T.

    T is the largest distance of a hyperplane from the origin: any positive number would do, this one has
    the size of the problem.
    """
    norms = np.where(P.A.any(axis=1), norm_interval(P)[1], 0.0)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        distances = np.abs(P.b / norms)
    cap = float(distances[np.isfinite(distances) & (distances > 0)].max(initial=0.0)) or 1.0
    axis = np.append(np.zeros(P.dim), 1.0)
    return maximize(axis, np.vstack([np.column_stack([P.A, norms]), axis]), np.append(P.b, cap), method)


def judged_margin(P: Polyhedron, proposal: LpSolution) -> Feasibility:
    """Return what a proposed widest margin proves, if anything."""
    found = None
    if proposal.status == "optimal" and proposal.value > 0:
        found = from_interior_point(P, proposal.point[:-1])
    elif proposal.multipliers is not None:
        found = from_farkas(P, proposal.multipliers[:-1])
    return found or UNDECIDED
