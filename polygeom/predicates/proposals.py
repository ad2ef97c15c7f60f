r"""Judge what floats propose about emptiness: margins, interior points, Farkas multipliers.

The widest margin of P is the program

.. math:: \max\ t \quad\text{subject to}\quad A x + w t \le b,\ t \le T,

with w the row norms, so x is the Chebyshev center and t the radius. A point with t > 0 is an interior point; a
negative maximum comes with Farkas multipliers.
"""

from __future__ import annotations

from dataclasses import replace

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
    "unscaled",
    "widest_margin",
    "with_margins",
]

EXACT_DIM = 60
"""Largest dimension for the exact simplex method (a step costs 10 ms at 50 and grows like d^3)."""

LARGEST_OFFSET = 1000
"""Exponent of the largest right-hand side kept in float programs."""

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
    if not np.isfinite(multipliers).all():
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
    rows, b, scales = with_margins(P)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        distances = np.abs(b / rows[:, -1])
    cap = float(distances[np.isfinite(distances) & (distances > 0)].max(initial=0.0)) or 1.0
    axis = np.append(np.zeros(P.dim), 1.0)
    found = maximize(axis, np.vstack([rows, axis]), np.append(b, cap), method)
    if found.multipliers is None:
        return found
    return replace(found, multipliers=np.append(unscaled(found.multipliers[:-1], scales), 0.0))


def with_margins(P: Polyhedron) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows [A | norms], b, and the exponents of the powers of two that both were divided by.

    Nothing overflows: the largest entry of a row of A comes to [1/2, 1), unless its b would be out of range.
    """
    sizes, offsets = np.frexp(np.abs(P.A).max(axis=1, initial=0.0))[1], np.frexp(P.b)[1]
    moving = P.A.any(axis=1)
    scales = np.where(moving, np.maximum(sizes, offsets - LARGEST_OFFSET), offsets)
    with np.errstate(under="ignore"):
        scaled = Polyhedron(np.ldexp(P.A, -scales[:, None]), np.ldexp(P.b, -scales))
    norms = np.where(moving, norm_interval(scaled)[1], 0.0)
    return np.column_stack([scaled.A, norms]), scaled.b, scales


def unscaled(multipliers: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return multipliers of the rows themselves, times a power of two that keeps them in the range of floats."""
    used = scales[multipliers > 0]
    middle = (int(used.max(initial=0)) + int(used.min(initial=0))) // 2
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(multipliers, middle - scales)


def judged_margin(P: Polyhedron, proposal: LpSolution) -> Feasibility:
    """Return what a proposed widest margin proves, if anything."""
    found = None
    if proposal.status == "optimal" and proposal.value > 0:
        found = from_interior_point(P, proposal.point[:-1])
    elif proposal.multipliers is not None:
        found = from_farkas(P, proposal.multipliers[:-1])
    return found or UNDECIDED
