"""Decide emptiness and dimension by float programs, one per question: a slow second opinion.

The widest margin is asked of cvxpy. In a tie every row gets a program of its own in HiGHS: is it an equality on
P? The proofs are the same as those of `polygeom.predicates.feasibility`, found another way: exact numbers come
from linear systems near the float answers, never from the exact simplex method.
"""

from __future__ import annotations

import numpy as np

from polygeom.certificates.feasibility import Feasibility, FeasiblePoint, ImplicitEquality
from polygeom.errors import SolverError
from polygeom.exact import fractions_array
from polygeom.lp import maximize
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.proposals import (
    EXACT_DIM,
    UNDECIDED,
    exact_multipliers,
    from_a_point,
    from_farkas,
    judged_margin,
    proves,
    widest_margin,
)
from polygeom.ranks import rank, solve_near

__all__ = ["feasibility_by_programs"]


def feasibility_by_programs(P: Polyhedron) -> Feasibility:
    """Decide P by one float program, and one for each non-zero row in a tie.

    Undecided where a program ends without an answer, or no exact numbers are found near the float ones (rows with
    nearly dependent ties).
    """
    try:
        return _by_programs(P)
    except SolverError:
        return UNDECIDED


def _by_programs(P: Polyhedron) -> Feasibility:
    """Ask for the widest margin, and in a tie for the minimum of each non-zero row."""
    proposal = widest_margin(P, "cvxpy")
    found = judged_margin(P, proposal)
    if found.is_decided:
        return found
    if not P.has_exact_rows or P.dim > EXACT_DIM:
        return from_a_point(P, proposal)
    points, equalities = [], {}
    for row in np.flatnonzero(P.A.any(axis=1)):
        lowest = maximize(-P.A[row], P.A, P.b)
        if lowest.status == "infeasible":
            return from_farkas(P, lowest.multipliers) or UNDECIDED
        equality = _equality(P, int(row), lowest.multipliers)
        if equality is not None:
            equalities[int(row)] = equality
        else:
            points.append((lowest.point, np.zeros(P.dim) if lowest.ray is None else lowest.ray))
    return _around(P, points, equalities)


def _equality(P: Polyhedron, row: int, multipliers: np.ndarray | None) -> ImplicitEquality | None:
    """Return the proof that a row is an equality, if the multipliers of its minimum give one.

    They say -a_i . x <= b . lambda; together with the row itself, lambda + e_i combines to 0 <= b . lambda + b_i.
    """
    if multipliers is None:
        return None
    weights = np.array(multipliers)
    weights[row] += 1.0
    exact = exact_multipliers(P, weights)
    if exact is None:
        return None
    equality = ImplicitEquality(row, exact)
    return equality if proves(equality.holds(P)) else None


def _around(
    P: Polyhedron, points: list[tuple[np.ndarray, np.ndarray]], equalities: dict[int, ImplicitEquality]
) -> Feasibility:
    """Return the dimension, with an exact point on the equalities near the mean of the points plus rays."""
    center = np.zeros(P.dim)
    with np.errstate(over="ignore", invalid="ignore"):
        for point, ray in points:
            center = center + (point + ray) / len(points)
    if not np.isfinite(center).all():
        return UNDECIDED
    A, b = P.exact_rows(np.array(sorted(equalities), dtype=np.intp))
    exact = solve_near(A, b, center) if equalities else None
    if exact is None:
        return UNDECIDED
    proofs = tuple(equalities[i] for i in sorted(equalities))
    point = FeasiblePoint(fractions_array(exact.entries()))
    found = Feasibility(True, P.dim - rank(A), point, proofs)
    return found if proves(found.holds(P)) else UNDECIDED
