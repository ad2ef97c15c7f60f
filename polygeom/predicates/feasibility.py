r"""Decide whether :math:`\{x : A x \le b\}` is empty, flat or full-dimensional.

Floats propose, certificates judge. One linear program asks for the widest margin,

.. math:: \max\ t \quad\text{subject to}\quad A x + w t \le b,\ t \le T,

with w the row norms, so x is the Chebyshev center and t the radius. A point with t > 0 is an interior point; a
negative maximum comes with Farkas multipliers. What floats cannot prove goes to the exact simplex method
(`polygeom.predicates.rational`), started from their basis: t = 0 gives multipliers with
:math:`A'\lambda = 0`, :math:`b \cdot \lambda = 0`, whose rows are implicit equalities. They are exempted from
the margin and the question is asked again: at most d rounds, ending in a relative interior point.

Cost: floats, one LP: 1-3 ms at (m, d) = (50, 10), 20 ms at (200, 50). Rationals, where needed: 1-3 ms a round at
(50, 10), 20 ms at (200, 50). Beyond `EXACT_DIM` no rationals are tried and ties stay undecided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from polygeom.certificates.chebyshev import norm_interval
from polygeom.certificates.check import Check, Level
from polygeom.certificates.feasibility import (
    Farkas,
    Feasibility,
    FeasiblePoint,
    ImplicitEquality,
    InteriorPoint,
    zero_rows,
)
from polygeom.errors import InputError, SolverError, UndecidedError
from polygeom.exact import fractions_array, rational_matrix
from polygeom.lp import LpSolution, maximize
from polygeom.polyhedron import Polyhedron
from polygeom.predicates import rational
from polygeom.ranks import rank, solve_near

if TYPE_CHECKING:
    import flint

__all__ = [
    "decided",
    "exact_kernel",
    "proves",
    "dimension",
    "feasibility",
    "implicit_equalities",
    "interior_point",
    "is_empty",
]

EXACT_DIM = 60
"""Largest dimension for the exact simplex method (a step costs 10 ms at 50 and grows like d^3)."""

UNDECIDED = Feasibility(None, None, None)


def feasibility(P: Polyhedron, method: str = "auto") -> Feasibility:
    """Decide whether P is empty, lower-dimensional or full-dimensional, with a certificate.

    Parameters
    ----------
    P : Polyhedron
    method : {"auto", "lp"}
        "lp" asks one program of cvxpy, without shortcuts and without rationals: a slow second opinion that
        leaves ties undecided.

    Returns
    -------
    Feasibility
        Decided only with a certificate that holds EXACT for the true rows. Undecided (None): a tie beyond
        `EXACT_DIM`, or within the error of rounded rows that have no exact source.

    Examples
    --------
    >>> feasibility(Polyhedron.box(0, 1, dim=3)).dim
    3
    >>> flat = Polyhedron([[1, 0], [-1, 0], [0, 1]], [1, -1, 5])
    >>> found = feasibility(flat)
    >>> found.dim, found.interior is None, bool(found.holds(flat))
    (1, True, True)
    >>> feasibility(Polyhedron([[1], [-1]], [0, -1])).feasible
    False
    """
    if method not in ("auto", "lp"):
        raise InputError(f"method is {method!r}, wanted 'auto' or 'lp'.")
    if method == "lp":
        return _judged(P, _widest_margin(P, "cvxpy"))
    if (P.b >= 0).all():
        origin = _interior(P, np.zeros(P.dim))
        if origin is not None:
            return origin
    exact = P.has_exact_rows and P.dim <= EXACT_DIM
    try:
        proposal = _widest_margin(P, "highs")
    except SolverError:
        if not exact:
            raise
        return _decide_exactly(P, ())
    found = _judged(P, proposal)
    if found.is_decided:
        return found
    return _decide_exactly(P, proposal.basis) if exact else _by_a_point(P, proposal)


def is_empty(P: Polyhedron) -> bool:
    """Tell whether P has no point; see `feasibility`.

    Raises
    ------
    UndecidedError
        If neither was proved.

    Examples
    --------
    >>> is_empty(Polyhedron([[1.0], [-1.0]], [0.0, -1e-300]))
    True
    """
    return not decided(feasibility(P)).feasible


def interior_point(P: Polyhedron) -> np.ndarray | None:
    """Return a point strictly inside every non-zero row, or None if P is proved to have none.

    Floats wherever a float point can be proved interior, Fractions otherwise.

    Raises
    ------
    UndecidedError
        If neither was proved.

    Examples
    --------
    >>> interior_point(Polyhedron.box(0, 2, dim=2))
    array([1., 1.])
    """
    return _measured(feasibility(P)).interior


def dimension(P: Polyhedron) -> int:
    """Return the dimension of the affine hull of P; -1 if P is empty.

    Raises
    ------
    UndecidedError
        If it was not proved.

    Examples
    --------
    >>> dimension(Polyhedron([[1, 1], [-1, -1]], [1, -1]))
    1
    """
    return _measured(feasibility(P)).dim


def implicit_equalities(P: Polyhedron) -> tuple[ImplicitEquality, ...]:
    """Return all non-zero rows that hold with equality on all of P, each with its multipliers.

    None for a full-dimensional P. Every row of an empty P qualifies, and means nothing: an error.

    Raises
    ------
    InputError
        If P is empty.
    UndecidedError
        If the dimension was not proved.
    """
    found = _measured(feasibility(P))
    if not found.feasible:
        raise InputError("The polyhedron is empty: every row is an equality on it. Ask feasibility(P) first.")
    return found.equalities


def decided(found: Feasibility) -> Feasibility:
    """Return a result whose emptiness is proved or refuted, or raise UndecidedError."""
    if not found.is_decided:
        raise UndecidedError(f"Neither a point nor a contradiction could be proved: {_TIE}")
    return found


def _measured(found: Feasibility) -> Feasibility:
    """Return a result whose dimension is proved, or raise UndecidedError."""
    if decided(found).dim is None:
        raise UndecidedError(f"The polyhedron is not empty, but its dimension could not be proved: {_TIE}")
    return found


_TIE = (
    "the question is tied within rounding. "
    f"Likely cause: a lower-dimensional polyhedron in more than {EXACT_DIM} dimensions, or rounded rows without "
    "exact source. Remedy: restrict it to its affine hull, or give it exact rows."
)


# -- floats ------------------------------------------------------------------------------------------------


def _widest_margin(P: Polyhedron, method: str) -> LpSolution:
    """Propose the point with the widest margin, in floats: point (x, t), multipliers of the rows and of t <= T.

    T is the largest distance of a hyperplane from the origin: any positive number would do, this one has
    the size of the problem.
    """
    norms = norm_interval(P)[1]
    norms = np.where(P.A.any(axis=1), norms, 0.0)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        distances = np.abs(P.b / norms)
    cap = float(distances[np.isfinite(distances) & (distances > 0)].max(initial=0.0)) or 1.0
    axis = np.append(np.zeros(P.dim), 1.0)
    return maximize(axis, np.vstack([np.column_stack([P.A, norms]), axis]), np.append(P.b, cap), method)


def _judged(P: Polyhedron, proposal: LpSolution) -> Feasibility:
    """Return what a proposed widest margin proves, if anything."""
    if proposal.status == "optimal" and proposal.value > 0:
        return _interior(P, proposal.point[:-1]) or UNDECIDED
    if proposal.multipliers is None:
        return UNDECIDED
    for multipliers in (proposal.multipliers[:-1], exact_kernel(P, proposal.multipliers[:-1])):
        if multipliers is not None:
            farkas = Farkas(multipliers)
            if proves(farkas.holds(P)):
                return Feasibility(False, -1, farkas)
    return UNDECIDED


def _by_a_point(P: Polyhedron, proposal: LpSolution) -> Feasibility:
    """Return that P is not empty, its dimension unknown, if the origin or the proposed center proves it."""
    candidates = [np.zeros(P.dim)]
    if proposal.point is not None:
        candidates.append(proposal.point[:-1])
    for point in candidates:
        if proves(FeasiblePoint(point).holds(P)):
            return Feasibility(True, None, FeasiblePoint(point))
    return UNDECIDED


def _interior(P: Polyhedron, point: np.ndarray) -> Feasibility | None:
    certificate = InteriorPoint(point)
    return Feasibility(True, P.dim, certificate) if proves(certificate.holds(P)) else None


def proves(check: Check) -> bool:
    """Tell whether a certificate holds and is a proof, not only within rounding."""
    return bool(check) and check.level is Level.EXACT


def exact_kernel(P: Polyhedron, multipliers: np.ndarray) -> np.ndarray | None:
    r"""Return Fractions near float multipliers with :math:`A'\lambda = 0` exactly; None where none is found.

    Needed where the rows of the support do not span R^d, so that the repair lemma is silent.
    """
    support = np.flatnonzero(multipliers > 0)
    if not support.size or not P.has_exact_rows or min(support.size, P.dim) > EXACT_DIM:
        return None
    A, _ = P.exact_rows(support)
    solution = solve_near(A.transpose(), rational_matrix(np.zeros(P.dim)), multipliers[support])
    if solution is None or any(v < 0 for v in solution.entries()):
        return None
    exact = fractions_array([0] * P.n_rows)
    exact[support] = fractions_array(solution.entries())
    return exact


# -- rationals ---------------------------------------------------------------------------------------------


def _decide_exactly(P: Polyhedron, basis: tuple[int, ...]) -> Feasibility:
    """Decide by exact programs for the widest margin; see the module docstring.

    Farkas: t = 0 exempted, the optimum t < 0 <= T leaves the row t <= T slack, so its multiplier is 0.
    """
    m = P.n_rows
    A, b = P.exact_rows(np.arange(m))
    zero = zero_rows(P, np.arange(m))
    margins = np.where(zero, 0.0, np.ldexp(1.0, np.frexp(np.abs(P.A).max(axis=1, initial=0.0))[1]))
    equalities: dict[int, np.ndarray] = {}
    while True:
        found = _exact_margin(A, b, margins, basis)
        if found.status == "infeasible" or found.value < 0:
            return Feasibility(False, -1, Farkas(found.multipliers[:m]))
        if found.value > 0:
            return _located(P, found.point[:-1], equalities)
        tied = [i for i in range(m) if found.multipliers[i] > 0 and not zero[i] and i not in equalities]
        equalities |= dict.fromkeys(tied, found.multipliers[:m])
        margins[tied] = 0.0
        basis = _margin_basis(P, margins) or found.basis


def _margin_basis(P: Polyhedron, margins: np.ndarray) -> tuple[int, ...]:
    """Propose in floats where the next exact program should start; a step of it costs as much as this."""
    axis = np.append(np.zeros(P.dim), 1.0)
    try:
        return maximize(axis, np.vstack([np.column_stack([P.A, margins]), axis]), np.append(P.b, 1.0)).basis
    except SolverError:
        return ()


def _exact_margin(
    A: flint.fmpq_mat, b: flint.fmpq_mat, margins: np.ndarray, basis: tuple[int, ...]
) -> LpSolution:
    """Maximize t subject to A x + margins t <= b and t <= 1, exactly; only the sign of the maximum matters."""
    import flint

    m, d = A.nrows(), A.ncols()
    entries, width = A.entries(), rational_matrix(margins).entries() if m else []
    rows = [v for i in range(m) for v in (*entries[i * d : (i + 1) * d], width[i])]
    axis = [flint.fmpq(0)] * d + [flint.fmpq(1)]
    extended = flint.fmpq_mat(m + 1, d + 1, rows + axis)
    sides = flint.fmpq_mat(m + 1, 1, [*b.entries(), flint.fmpq(1)])
    return rational.maximize(flint.fmpq_mat(d + 1, 1, axis), extended, sides, basis)


def _located(P: Polyhedron, point: np.ndarray, equalities: dict[int, np.ndarray]) -> Feasibility:
    """Return the result for a point strictly inside all rows but the equalities."""
    if not equalities:
        rounded = _interior(P, point.astype(np.float64)) if P.dim else None
        return rounded or Feasibility(True, P.dim, InteriorPoint(point))
    dim = P.dim - rank(P.exact_rows(np.array(sorted(equalities)))[0])
    proofs = tuple(ImplicitEquality(i, equalities[i]) for i in sorted(equalities))
    return Feasibility(True, dim, FeasiblePoint(point), proofs)
