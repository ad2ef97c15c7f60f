r"""Decide whether :math:`\{x : A x \le b\}` is empty, flat or full-dimensional.

Floats propose, certificates judge. First Newton's method on the homogenized cone (`ConeSearch`), which finds an
interior point or positive Farkas multipliers without a solver; then one linear program for the widest margin
(`polygeom.predicates.proposals`). What floats cannot prove goes to the exact simplex method
(`polygeom.predicates.rational`), started from their basis: a margin of 0 gives multipliers with
:math:`A'\lambda = 0`, :math:`b \cdot \lambda = 0`, whose rows are implicit equalities. They are exempted from
the margin and the question is asked again: at most d rounds, ending in a relative interior point.

Cost, seconds of one core: 1 ms at (m, d) = (50, 10), 3 ms at (200, 50), 20 ms at (400, 100), 2-3 s at (3072, 768),
full-dimensional or empty, by Newton's method; 0.05 s and 0.25 s for flat ones at (50, 10) and (200, 50), in
rationals. Beyond `EXACT_DIM` no exact program is run and ties stay undecided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from polygeom.certificates.check import nearest_floats
from polygeom.certificates.feasibility import (
    Farkas,
    Feasibility,
    FeasiblePoint,
    ImplicitEquality,
    InteriorPoint,
    zero_rows,
)
from polygeom.errors import InputError, SolverError, UndecidedError
from polygeom.exact import rational_matrix
from polygeom.lp import LpSolution, maximize
from polygeom.polyhedron import Polyhedron
from polygeom.predicates import rational
from polygeom.predicates.cone_search import ConeSearch
from polygeom.predicates.feasibility_lp import feasibility_by_programs
from polygeom.predicates.proposals import (
    EXACT_DIM,
    from_a_point,
    from_interior_point,
    judged_margin,
    proves,
    widest_margin,
)
from polygeom.predicates.subject import about_polyhedra, check_method
from polygeom.ranks import rank
from polygeom.threads import one_blas_thread

if TYPE_CHECKING:
    import flint

__all__ = [
    "decided",
    "dimension",
    "feasibility",
    "implicit_equalities",
    "interior_point",
    "is_empty",
    "measured",
]


@about_polyhedra
def feasibility(P: Polyhedron, method: str = "auto") -> Feasibility:
    """Decide whether P is empty, lower-dimensional or full-dimensional, with a certificate.

    Parameters
    ----------
    P : Polyhedron
    method : {"auto", "lp"}
        "lp" asks float programs only, one per question: a slow second opinion
        (`polygeom.predicates.feasibility_lp`).

    Returns
    -------
    Feasibility
        Decided only with a certificate that holds EXACT for the true rows. Undecided (None): a tie beyond
        `EXACT_DIM`, or within the error of rounded rows that have no exact source.

    Raises
    ------
    InputError
        On anything but a polyhedron or piece, or another method.

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
    check_method(method)
    if method == "lp":
        return feasibility_by_programs(P)
    origin = from_interior_point(P, np.zeros(P.dim)) if (P.b >= 0).all() else None
    if origin is not None:
        return origin
    with one_blas_thread(P.A.size):
        found = _by_newton(P)
    return found if found is not None else _by_margins(P)


def _by_margins(P: Polyhedron) -> Feasibility:
    """Ask for the widest margin in floats, and in rationals where that is a tie."""
    exact = P.has_exact_rows and P.dim <= EXACT_DIM
    try:
        proposal = widest_margin(P, "highs")
    except SolverError:
        if not exact:
            raise
        return _decide_exactly(P, ())
    found = judged_margin(P, proposal)
    if found.is_decided:
        return found
    return _decide_exactly(P, proposal.basis) if exact else from_a_point(P, proposal)


@about_polyhedra
def is_empty(P: Polyhedron, method: str = "auto") -> bool:
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
    return not decided(feasibility(P, method)).feasible


@about_polyhedra
def interior_point(P: Polyhedron, method: str = "auto") -> np.ndarray | None:
    """Return a point strictly inside every non-zero row, or None if P is proved to have none.

    See `feasibility`. Floats wherever a float point can be proved interior, Fractions otherwise.

    Raises
    ------
    UndecidedError
        If neither was proved.

    Examples
    --------
    >>> square = Polyhedron.box(0, 2, dim=2)
    >>> bool((square.slack(interior_point(square)) > 0).all())
    True
    """
    return measured(feasibility(P, method)).interior


@about_polyhedra
def dimension(P: Polyhedron, method: str = "auto") -> int:
    """Return the dimension of the affine hull of P; -1 if P is empty. See `feasibility`.

    Raises
    ------
    UndecidedError
        If it was not proved.

    Examples
    --------
    >>> dimension(Polyhedron([[1, 1], [-1, -1]], [1, -1]))
    1
    """
    return measured(feasibility(P, method)).dim


@about_polyhedra
def implicit_equalities(P: Polyhedron, method: str = "auto") -> tuple[ImplicitEquality, ...]:
    """Return all non-zero rows that hold with equality on all of P, each with its multipliers.

    See `feasibility`. None for a full-dimensional P. Every row of an empty P qualifies, and means nothing: an
    error.

    Raises
    ------
    InputError
        If P is empty.
    UndecidedError
        If the dimension was not proved.

    Examples
    --------
    >>> segment = Polyhedron([[1, 0], [-1, 0], [0, 1], [0, -1]], [1, -1, 5, 5])
    >>> [equality.row for equality in implicit_equalities(segment)]
    [0, 1]
    """
    found = measured(feasibility(P, method))
    if not found.feasible:
        raise InputError("The polyhedron is empty: every row is an equality on it. Ask feasibility(P) first.")
    return found.equalities


def decided(found: Feasibility) -> Feasibility:
    """Return a result whose emptiness is proved or refuted, or raise UndecidedError."""
    if not found.is_decided:
        raise UndecidedError(f"Neither a point nor a contradiction could be proved: {_TIE}")
    return found


def measured(found: Feasibility) -> Feasibility:
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


def _by_newton(P: Polyhedron) -> Feasibility | None:
    r"""Search the homogenized cone :math:`\{(y, t) : A y \le b t, t \ge 0\}` by Newton's method.

    A ray in its interior is an interior point y / t; positive multipliers :math:`(\lambda, \mu)` give
    :math:`A'\lambda = 0`, :math:`b \cdot \lambda = -\mu < 0`. All :math:`\lambda_i` are positive, as the
    repair lemma likes it. What it guesses about lower-dimensional cones is passed over: thin cells look like
    that on the way.
    """
    rows = np.flatnonzero(P.A.any(axis=1) | (P.b != 0))
    last = np.append(np.zeros(P.dim), -1.0)
    cone = np.vstack([np.column_stack([P.A[rows], -P.b[rows]]), last])
    for proposal in ConeSearch(cone).proposals():
        if proposal.level is not None:
            continue
        if proposal.direction is None:
            multipliers = np.zeros(P.n_rows)
            multipliers[rows] = proposal.multipliers[:-1]
            farkas = Farkas(multipliers)
            if proves(farkas.holds(P)):
                return Feasibility(False, -1, farkas)
        elif proposal.direction[-1] > 0:
            with np.errstate(over="ignore", under="ignore"):
                point = proposal.direction[:-1] / proposal.direction[-1]
            found = from_interior_point(P, point) if np.isfinite(point).all() else None
            if found is not None:
                return found
    return None


# -- rationals ---------------------------------------------------------------------------------------------


def _decide_exactly(P: Polyhedron, basis: tuple[int, ...]) -> Feasibility:
    """Decide by exact programs for the widest margin; see the module docstring.

    Farkas: t = 0 exempted, the optimum t < 0 <= T leaves the row t <= T slack, so its multiplier is 0.
    """
    m = P.n_rows
    A, b = P.exact_rows(np.arange(m))
    zero = zero_rows(P, np.arange(m))
    margins = np.where(zero, 0.0, np.ldexp(0.5, np.frexp(np.abs(P.A).max(axis=1, initial=0.0))[1]))
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
        rounded = from_interior_point(P, nearest_floats(point))
        return rounded or Feasibility(True, P.dim, InteriorPoint(point))
    dim = P.dim - rank(P.exact_rows(np.array(sorted(equalities)))[0])
    proofs = tuple(ImplicitEquality(i, equalities[i]) for i in sorted(equalities))
    return Feasibility(True, dim, FeasiblePoint(point), proofs)
