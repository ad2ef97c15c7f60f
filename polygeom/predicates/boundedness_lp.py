r"""Decide boundedness and recession cones by float linear programs: a slow second opinion.

One program tells in which direction to look:

.. math:: \max\ -\textstyle\sum_i a_i \cdot y \quad\text{subject to}\quad A y \le 0,\ -\sum_i a_i \cdot y \le 1.

Its maximum is 1 at a ray, or 0 with :math:`A'\mu = -\sum_i a_i`, so that :math:`\lambda = 1 + \mu` is positive
with :math:`A'\lambda = 0`. Where neither is beyond rounding, the cone is lower-dimensional or nearly so, and its
dimension is asked like that of any polyhedron, by one program for each row (`polygeom.predicates.feasibility_lp`).
Neither Newton's method nor the exact simplex method of `polygeom.predicates.boundedness` has a part in it.
"""

from __future__ import annotations

import numpy as np

from polygeom.certificates.boundedness import PositiveSpan, RecessionCone, RecessionRay
from polygeom.errors import SolverError
from polygeom.exact import fraction, fractions_array
from polygeom.lp import maximize
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.cone_search import balance
from polygeom.predicates.feasibility_lp import feasibility_by_programs
from polygeom.predicates.proposals import proves, unscaled

__all__ = ["cone_by_programs", "span_or_ray_by_program"]


def span_or_ray_by_program(P: Polyhedron) -> PositiveSpan | RecessionRay | None:
    """Return what the program of the module docstring proves, if anything. Cost: one LP."""
    rows = np.flatnonzero(P.A.any(axis=1))
    if not rows.size:
        return None
    scaled, heights, exponents = balance(P.A[rows])
    total = -scaled.sum(axis=0)
    try:
        found = maximize(total, np.vstack([scaled, total]), np.append(np.zeros(len(rows)), 1.0))
    except SolverError:
        return None
    candidates: list[PositiveSpan | RecessionRay] = []
    with np.errstate(over="ignore"):
        if found.multipliers is not None:
            candidates.append(PositiveSpan(unscaled(1.0 + found.multipliers[:-1], heights), rows))
        if found.point is not None:
            candidates.append(RecessionRay(np.ldexp(found.point, -exponents)))
    return next((certificate for certificate in candidates if proves(certificate.holds(P))), None)


def cone_by_programs(P: Polyhedron, lineality: np.ndarray) -> RecessionCone | None:
    """Return the recession cone with a given lineality space, or None where floats do not lead to a proof.

    The dimension is that of the polyhedron {A y <= 0}; the sum of the multipliers of its implicit equalities is
    positive on all of them, and on no other row. Cost: one LP, and one for each row in a tie.
    """
    try:
        found = feasibility_by_programs(P.homogeneous())
    except SolverError:
        return None
    if found.dim is None:
        return None
    implicit = np.flatnonzero(~P.A.any(axis=1))
    weights = fractions_array([0] * P.n_rows)
    weights[implicit] = fraction(1)
    for equality in found.equalities:
        weights = weights + equality.multipliers
    implicit = np.flatnonzero([w != 0 for w in weights])
    multipliers = weights[implicit] if found.equalities else np.ones(len(implicit))
    cone = RecessionCone(found.dim, found.point, implicit, multipliers, lineality)
    return cone if proves(cone.holds(P)) else None
