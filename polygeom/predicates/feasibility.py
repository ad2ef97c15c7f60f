r"""Is :math:`\{x : A x \le b\}` empty, lower-dimensional, contained in another; what is its largest ball?

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

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polygeom.certificates.check import Level
from polygeom.certificates.chebyshev import ChebyshevBall, largest_radius_at, norm_interval, radius_bound
from polygeom.certificates.feasibility import (
    Farkas,
    Feasibility,
    FeasiblePoint,
    ImplicitEquality,
    ImpliedRow,
    Inclusion,
    InteriorPoint,
    Outlier,
    zero_rows,
)
from polygeom.errors import InputError, SolverError, UndecidedError
from polygeom.exact import fraction, fractions_array, rational_matrix
from polygeom.lp import LpSolution, WarmLp, maximize
from polygeom.polyhedron import Polyhedron
from polygeom.predicates import rational
from polygeom.rounding import round_up
from polygeom.verified import rank, solve_near

if TYPE_CHECKING:
    import flint

__all__ = [
    "chebyshev_ball",
    "dimension",
    "feasibility",
    "implicit_equalities",
    "inclusion",
    "interior_point",
    "is_empty",
    "is_equal",
    "is_subset",
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
    return _decide_exactly(P, proposal.basis) if exact and not found.is_decided else found


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
    return not _decided(feasibility(P)).feasible


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
    return _decided(feasibility(P)).interior


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
    return _decided(feasibility(P)).dim


def implicit_equalities(P: Polyhedron) -> tuple[ImplicitEquality, ...]:
    """Return all non-zero rows that hold with equality on all of P, each with its multipliers.

    None for a full-dimensional P. Every row of an empty P qualifies, and means nothing: an error.

    Raises
    ------
    InputError
        If P is empty.
    UndecidedError
        If it was not proved.
    """
    found = _decided(feasibility(P))
    if not found.feasible:
        raise InputError("The polyhedron is empty: every row is an equality on it. Ask feasibility(P) first.")
    return found.equalities


def _decided(found: Feasibility) -> Feasibility:
    if not found.is_decided:
        raise UndecidedError(
            "Neither a point nor a contradiction could be proved: the question is tied within rounding. "
            f"Likely cause: a lower-dimensional polyhedron in more than {EXACT_DIM} dimensions, or rounded rows "
            "without exact source."
        )
    return found


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
    for multipliers in (proposal.multipliers[:-1], _exact_kernel(P, proposal.multipliers[:-1])):
        if multipliers is not None:
            farkas = Farkas(multipliers)
            if _proves(farkas.holds(P)):
                return Feasibility(False, -1, farkas)
    return UNDECIDED


def _interior(P: Polyhedron, point: np.ndarray) -> Feasibility | None:
    certificate = InteriorPoint(point)
    return Feasibility(True, P.dim, certificate) if _proves(certificate.holds(P)) else None


def _proves(check: object) -> bool:
    return bool(check) and check.level is Level.EXACT


def _exact_kernel(P: Polyhedron, multipliers: np.ndarray) -> np.ndarray | None:
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
        margins[list(equalities)] = 0.0
        found = _exact_margin(A, b, margins, basis)
        if found.status == "infeasible" or found.value < 0:
            return Feasibility(False, -1, Farkas(found.multipliers[:m]))
        if found.value > 0:
            return _located(P, found.point[:-1], equalities)
        tied = [i for i in range(m) if found.multipliers[i] > 0 and not zero[i] and i not in equalities]
        equalities |= {i: found.multipliers[:m] for i in tied}
        basis = found.basis


def _exact_margin(A: flint.fmpq_mat, b: flint.fmpq_mat, margins: np.ndarray, basis: tuple[int, ...]) -> LpSolution:
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


# -- inclusion ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Start:
    """What deciding a row of Q needs to know about P: a point of it, and its programs."""

    P: Polyhedron
    point: np.ndarray | None
    warm: WarmLp
    exact: rational.RationalLp | None


def inclusion(P: Polyhedron, Q: Polyhedron) -> Inclusion:
    """Decide whether P is a subset of Q, row by row of Q: multipliers of P, or a point of P outside.

    Cost: one warm LP for each row of Q, judged in floats (repair lemma), else in rationals.

    Examples
    --------
    >>> small, large = Polyhedron.box(0, 1, dim=2), Polyhedron.box(0, 2, dim=2)
    >>> inclusion(small, large).included, inclusion(large, small).included
    (True, False)
    """
    if P.dim != Q.dim:
        raise InputError(f"P lives in R^{P.dim} and Q in R^{Q.dim}; inclusion needs one space.")
    found = feasibility(P)
    if found.feasible is False:
        return Inclusion(True, (found.certificate,))
    exact = None
    if P.has_exact_rows and Q.has_exact_rows and P.dim <= EXACT_DIM:
        exact = rational.RationalLp(*P.exact_rows(np.arange(P.n_rows)))
    start = _Start(P, found.point, WarmLp(P.A, P.b), exact)
    proofs, undecided = [], []
    for row in range(Q.n_rows):
        proof = _decide_row(start, Q, row)
        if isinstance(proof, Outlier):
            return Inclusion(False, (proof,))
        if proof is None:
            undecided.append(row)
        else:
            proofs.append(proof)
    return Inclusion(None if undecided else True, tuple(proofs), tuple(undecided))


def is_subset(P: Polyhedron, Q: Polyhedron) -> bool:
    """Tell whether every point of P lies in Q; see `inclusion`.

    Raises
    ------
    UndecidedError
        If neither was proved.

    Examples
    --------
    >>> is_subset(Polyhedron.box(0, 1, dim=2), Polyhedron.orthant(2))
    True
    """
    found = inclusion(P, Q)
    if found.included is None:
        raise UndecidedError(f"Rows {found.undecided[:5]} of Q were neither proved nor refuted on P.")
    return found.included


def is_equal(P: Polyhedron, Q: Polyhedron) -> bool:
    """Tell whether P and Q are the same set of points, whatever rows describe them.

    Raises
    ------
    UndecidedError
        If neither was proved.

    Examples
    --------
    >>> is_equal(Polyhedron([[1.0]], [2.0]), Polyhedron([[2.0], [0.0]], [4.0, 1.0]))
    True
    """
    return is_subset(P, Q) and is_subset(Q, P)


def _decide_row(start: _Start, Q: Polyhedron, row: int) -> ImpliedRow | Outlier | None:
    """Decide one row of Q on P."""
    P, basis = start.P, ()
    try:
        proposal = start.warm.maximize(Q.A[row])
    except SolverError:
        proposal = LpSolution("none", np.nan)
    if proposal.status == "optimal":
        basis = proposal.basis
        implied = ImpliedRow(row, proposal.multipliers)
        if _proves(implied.holds(P, Q)):
            return implied
        # Towards the interior from the float vertex: 1 - 2^-k of the way out.
        steps = 1.0 - np.ldexp(1.0, -np.arange(1, 53))
        outlier = _outlier(start, Q, row, (steps, proposal.point))
    elif proposal.status == "unbounded":
        outlier = _outlier(start, Q, row, (np.ldexp(1.0, np.arange(64)), proposal.ray))
    else:
        outlier = None
    if outlier is not None or start.exact is None:
        return outlier
    return _decide_row_exactly(start.exact, Q, row, basis)


def _outlier(start: _Start, Q: Polyhedron, row: int, path: tuple[np.ndarray, np.ndarray]) -> Outlier | None:
    """Return the first point of a path from the known point that is proved in P and outside the row of Q.

    The path is x + s (end - x) for a vertex, whose s end below 1, and x + s ray for a ray.
    """
    steps, end = path
    if start.point is None or start.point.dtype == object:
        return None
    direction = end - start.point if steps[-1] < 1.0 else end
    points = start.point + steps[:, None] * direction
    outside = Q.select([row]).slack_signs(points)[:, 0] == -1
    for point in points[outside]:
        outlier = Outlier(row, point)
        if _proves(outlier.holds(start.P, Q)):
            return outlier
    return None


def _decide_row_exactly(
    program: rational.RationalLp, Q: Polyhedron, row: int, basis: tuple[int, ...]
) -> ImpliedRow | Outlier:
    """Decide one row of Q by an exact program: its maximum against its bound."""
    normal, bound = Q.exact_rows(np.array([row]))
    found = program.maximize(normal.transpose(), basis)
    if found.status == "unbounded":
        target = fractions_array(normal.entries())
        missing = fraction(bound[0, 0]) - target @ found.point
        step = max(missing / (target @ found.ray), 0) + 1
        return Outlier(row, found.point + step * found.ray)
    if found.status == "infeasible":
        # The empty set satisfies every row: q = q + 0 with the contradiction added often enough is not needed,
        # because emptiness has been decided before.
        raise UndecidedError("The exact program contradicts the proof that P is not empty.")
    if found.value <= fraction(bound[0, 0]):
        return ImpliedRow(row, found.multipliers)
    return Outlier(row, found.point)


# -- the largest ball --------------------------------------------------------------------------------------


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
    found = _decided(feasibility(P))
    if not found.feasible:
        raise InputError("The polyhedron is empty and holds no ball. Ask feasibility(P) first.")
    if found.interior is None:
        flat = found.equalities[0].multipliers
        return ChebyshevBall(found.point, 0.0, radius_bound(P, flat), flat)
    direction = _widening_direction(P)
    if direction is not None:
        return ChebyshevBall(found.point, float("inf"), float("inf"), None, direction)
    norms = norm_interval(P)[1] * P.A.any(axis=1)
    axis = np.append(np.zeros(P.dim), 1.0)
    proposal = maximize(axis, np.column_stack([P.A, norms]), P.b)
    if proposal.status != "optimal":
        return _ball_at(P, found.point.astype(np.float64), None)
    return _ball_at(P, proposal.point[:-1], proposal.multipliers)


def _ball_at(P: Polyhedron, center: np.ndarray, multipliers: np.ndarray | None) -> ChebyshevBall:
    """Return the largest provable ball around a center, and the better of two bounds from the multipliers."""
    radius = largest_radius_at(P, center)
    if radius <= 0.0:
        raise UndecidedError("The interior is too thin for a ball with floating-point center.")
    if multipliers is None:
        return ChebyshevBall(center, radius, float("inf"))
    choices = [m for m in (multipliers, _exact_kernel(P, multipliers)) if m is not None]
    bounds = [radius_bound(P, m) for m in choices]
    best = int(np.argmin(bounds))
    return ChebyshevBall(center, radius, bounds[best], choices[best] if np.isfinite(bounds[best]) else None)


def _widening_direction(P: Polyhedron) -> np.ndarray | None:
    """Return y with A y < 0 on all non-zero rows, if floats find one: then balls of every size fit."""
    cone = P._homogeneous()
    if not cone.A.any():
        return np.zeros(P.dim)
    norms = norm_interval(cone)[1] * cone.A.any(axis=1)
    box = np.eye(P.dim)
    rows = np.vstack([np.column_stack([cone.A, norms]), *(np.column_stack([s * box, np.zeros(P.dim)]) for s in (1, -1))])
    axis = np.append(np.zeros(P.dim), 1.0)
    found = maximize(axis, rows, np.concatenate([np.zeros(P.n_rows), np.ones(2 * P.dim)]))
    if found.status != "optimal" or found.value <= 0:
        return None
    return found.point[:-1] if _proves(InteriorPoint(found.point[:-1]).holds(cone)) else None
