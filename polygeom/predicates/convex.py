r"""Solve what is not a linear program: the nearest point of a polyhedron, its largest ellipsoid.

cvxpy proposes (interior-point methods on second-order and semidefinite cones). The nearest point is then made
exact: the rows that carry multipliers determine it by a linear system, solved in rationals; where d is too large
for that, the proposal is drawn inside P and its distance to the nearest point is bounded
(`polygeom.certificates.convex`). The ellipsoid is shrunk until it is proved to be inside.

Cost: conic programs, one to four for a projection: 10 ms at (m, d) = (50, 10), 0.2 s at (200, 50), rationals
included; an ellipsoid takes 20 ms at (10, 2), 70 ms at (50, 10), and its semidefinite cone grows like d^6.
"""

from __future__ import annotations

import warnings

import numpy as np

from polygeom.arrays import as_vector, freeze
from polygeom.certificates.convex import InscribedEllipsoid, Projection
from polygeom.certificates.feasibility import FeasiblePoint
from polygeom.errors import InputError, SolverError, UndecidedError
from polygeom.exact import fractions_array, rational_matrix
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.boundedness import is_bounded
from polygeom.predicates.chebyshev import chebyshev_ball
from polygeom.predicates.feasibility import decided, feasibility
from polygeom.predicates.proposals import EXACT_DIM, proves
from polygeom.predicates.subject import about_polyhedra
from polygeom.rounding import TINY, U

__all__ = ["inscribed_ellipsoid", "project"]

ROUNDS = 4
"""Proposals of a projection: the first has about 8 digits of the distance, each further one 3 more."""

FINER = 2**12
"""How many times finer the units of each further proposal are."""


@about_polyhedra
def project(P: Polyhedron, point: object) -> Projection:
    """Return the point of P nearest to a point (d,) in the Euclidean norm.

    Returns
    -------
    Projection
        Fractions with error 0 up to `EXACT_DIM` dimensions; beyond, or for rounded rows without exact source,
        floats with a proved bound on the distance to the nearest point.

    Raises
    ------
    InputError
        If P is empty.
    UndecidedError
        If no float point could be proved to be in P (flat polyhedra in many dimensions).

    Examples
    --------
    >>> nearest = project(Polyhedron.box(0, 1, dim=2), [3.0, 0.5])
    >>> nearest.point, nearest.error
    (array([Fraction(1, 1), Fraction(1, 2)], dtype=object), 0.0)
    """
    target = as_vector(point, "point", P.dim)
    found = decided(feasibility(P))
    if not found.feasible:
        raise InputError("The polyhedron is empty: no point is nearest. Ask feasibility(P) first.")
    exact = P.has_exact_rows and P.dim <= EXACT_DIM
    if proves(FeasiblePoint(target).holds(P)):
        zero = np.zeros(P.n_rows)
        if exact:
            return Projection(target, freeze(fractions_array(target)), freeze(fractions_array(zero)), 0.0)
        return Projection(target, target, freeze(zero), 0.0)
    return _nearest(P, target, found.point.astype(np.float64), exact)


def _nearest(P: Polyhedron, target: np.ndarray, inner: np.ndarray, exact: bool) -> Projection:
    """Propose, judge, and propose again in finer units: far targets leave too few digits for the rows.

    Returns the first exact projection, else the floats with the least error.
    """
    sizes = np.linalg.norm(P.A, axis=1)
    rows = sizes > 0
    origin = target
    unit = max(float((-P.slack(target)[rows] / sizes[rows]).max(initial=0.0)), TINY)
    best = None
    for _ in range(ROUNDS):
        nearest, tight = _propose_nearest(P, target, origin, unit)
        multipliers = _conic_multipliers(P, target - nearest, tight)
        if exact:
            projection = _exact_projection(P, target, multipliers)
            if projection is not None:
                return projection
        projection = _float_projection(P, target, (nearest, inner), multipliers)
        if projection is not None and (best is None or projection.error < best.error):
            best = projection
        elif best is not None and not exact:
            break
        origin, unit = nearest, unit / FINER
    if best is None:
        raise UndecidedError("No float point near the projection could be proved to lie in the polyhedron.")
    return best


def _propose_nearest(
    P: Polyhedron, target: np.ndarray, origin: np.ndarray, unit: float
) -> tuple[np.ndarray, np.ndarray]:
    r"""Ask cvxpy for the nearest point x = origin + unit y and the rows that hold it.

    :math:`|x - p|^2` is, up to a constant and a factor, :math:`|y|^2 + 2 g \cdot y` with g = (origin - p) / unit.
    At strict complementarity, where interior-point methods go, exactly the tight rows have multipliers that
    exceed their slacks.
    """
    import cvxpy

    sizes = np.linalg.norm(P.A, axis=1)
    rows = np.flatnonzero(sizes)
    A, b = P.A[rows] / sizes[rows, None], P.slack(origin)[rows] / (sizes[rows] * unit)
    g = (origin - target) / unit
    weight = 1.0 / max(1.0, float(np.linalg.norm(g)))
    step = cvxpy.Variable(P.dim)
    inside = A @ step <= b
    goal = weight * cvxpy.sum_squares(step) + 2 * (weight * g) @ step
    _solve(cvxpy.Problem(cvxpy.Minimize(goal), [inside]), "projection")
    tight = rows[inside.dual_value > b - A @ step.value]
    return origin + unit * step.value, tight


def _solve(problem: object, name: str) -> None:
    """Run cvxpy on one thread; its failures become SolverError."""
    import cvxpy

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": every answer is judged anyway
            problem.solve(solver=cvxpy.CLARABEL, max_threads=1)
    except (cvxpy.error.SolverError, cvxpy.error.DCPError, ValueError) as error:
        raise SolverError(f"cvxpy found no {name}: {error}. Likely cause: badly scaled rows.") from None
    if problem.status not in ("optimal", "optimal_inaccurate"):
        raise SolverError(
            f"cvxpy stopped with {problem.status!r} on the {name}. Likely cause: badly scaled rows."
        )


def _conic_multipliers(P: Polyhedron, normal: np.ndarray, tight: np.ndarray) -> np.ndarray:
    """Return non-negative multipliers of the tight rows with A' lambda as close to the normal as possible.

    Non-negative least squares (Lawson and Hanson) leaves positive multipliers on independent rows only.
    """
    from scipy.optimize import nnls

    multipliers = np.zeros(P.n_rows)
    if tight.size:
        sizes = np.linalg.norm(P.A[tight], axis=1)
        weights, _ = nnls((P.A[tight] / sizes[:, None]).T, normal)
        multipliers[tight] = weights / sizes
    return multipliers


def _exact_projection(P: Polyhedron, target: np.ndarray, multipliers: np.ndarray) -> Projection | None:
    """Return the exact point nearest to the target on the planes that carry multipliers, if it is nearest in P.

    x = p - A_S' lambda with A_S x = b_S: the Gram system (A_S A_S') lambda = A_S p - b_S.
    """
    support = np.flatnonzero(multipliers)
    A, b = P.exact_rows(support)
    goal = rational_matrix(target)
    try:
        weights = (A * A.transpose()).solve(A * goal - b)
    except ZeroDivisionError:  # dependent rows
        return None
    exact = fractions_array([0] * P.n_rows)
    exact[support] = fractions_array(weights.entries())
    point = fractions_array((goal - A.transpose() * weights).entries())
    projection = Projection(target, freeze(point), freeze(exact), 0.0)
    return projection if proves(projection.holds(P)) else None


def _float_projection(
    P: Polyhedron, target: np.ndarray, points: tuple[np.ndarray, np.ndarray], multipliers: np.ndarray
) -> Projection | None:
    """Draw the proposal towards an inner point until it is proved to be in P; state the error that remains."""
    nearest, inner = points
    nearest, multipliers = _polished(P, target, nearest, multipliers)
    for k in range(52, -1, -1):
        point = nearest + np.ldexp(1.0, -k) * (inner - nearest)
        if proves(FeasiblePoint(point).holds(P)):
            loose = Projection(target, freeze(point), freeze(multipliers), float("inf"))
            return Projection(target, freeze(point), freeze(multipliers), loose.error_bound(P))
    return None


def _polished(
    P: Polyhedron, target: np.ndarray, nearest: np.ndarray, multipliers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Solve the Gram system of `_exact_projection` in floats: from the solver's precision to that of floats."""
    support = np.flatnonzero(multipliers)
    A = P.A[support]
    weights, *_ = np.linalg.lstsq(A @ A.T, -P.slack(target)[support], rcond=None)
    if not (weights > 0).all():
        return nearest, multipliers
    polished = np.zeros(P.n_rows)
    polished[support] = weights
    return target - weights @ A, polished


@about_polyhedra
def inscribed_ellipsoid(P: Polyhedron) -> InscribedEllipsoid:
    """Return the ellipsoid of largest volume in P (unique, John 1948), proved to be inside.

    Raises
    ------
    InputError
        If P is unbounded (no ellipsoid is largest) or has no interior.
    UndecidedError
        If one of these was not decided.

    Examples
    --------
    >>> found = inscribed_ellipsoid(Polyhedron.box([0, 0], [2, 4]))
    >>> found.center.round(6), found.shape.round(6)
    (array([1., 2.]), array([[1., 0.],
           [0., 2.]]))
    """
    ball = chebyshev_ball(P)
    if ball.radius == 0.0 or not P.dim:
        raise InputError("The polyhedron has no interior and holds no ellipsoid.")
    if not np.isfinite(ball.radius) or not is_bounded(P):
        raise InputError(
            "The polyhedron is unbounded: no ellipsoid in it is largest. Intersect it with a box."
        )
    proposal = _propose_ellipsoid(P, ball.center, ball.radius)
    return _drawn_inside(P, proposal)


def _propose_ellipsoid(P: Polyhedron, center: np.ndarray, radius: float) -> InscribedEllipsoid:
    """Ask cvxpy for the ellipsoid, in coordinates where the Chebyshev ball is the unit ball."""
    import cvxpy

    sizes = np.linalg.norm(P.A, axis=1)
    rows = np.flatnonzero(sizes > 0)
    A, b = P.A[rows] / sizes[rows, None], P.slack(center)[rows] / (radius * sizes[rows])
    shape = cvxpy.Variable((P.dim, P.dim), PSD=True)
    shift = cvxpy.Variable(P.dim)
    inside = cvxpy.norm(A @ shape, axis=1) + A @ shift <= b
    _solve(cvxpy.Problem(cvxpy.Maximize(cvxpy.log_det(shape)), [inside]), "ellipsoid")
    multipliers = np.zeros(P.n_rows)
    multipliers[rows] = np.maximum(inside.dual_value, 0.0) / (radius * sizes[rows])
    symmetric = radius * (shape.value + shape.value.T) / 2
    return InscribedEllipsoid(center + radius * shift.value, symmetric, multipliers, float("inf"))


def _drawn_inside(P: Polyhedron, proposal: InscribedEllipsoid) -> InscribedEllipsoid:
    """Shrink an ellipsoid about its center until it is proved to be inside, and state its optimality gap."""
    # 128 d unit roundoffs pay for scaling the shape and for bounding its reach again (a few roundings an entry)
    factor = min(proposal.room(P), 1.0) * (1.0 - 128 * P.dim * U)
    if not factor > 0.0:
        raise SolverError("The proposed ellipsoid has its center outside. Likely cause: badly scaled rows.")
    shape = factor * proposal.shape
    loose = InscribedEllipsoid(
        freeze(proposal.center), freeze(shape), freeze(proposal.multipliers), float("inf")
    )
    return InscribedEllipsoid(loose.center, loose.shape, loose.multipliers, loose.optimality_gap(P))
