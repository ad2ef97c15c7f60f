r"""Solve what is not a linear program: the nearest point of a polyhedron, its largest ellipsoid.

cvxpy proposes (interior-point methods on second-order and semidefinite cones). The nearest point is then made
exact: the rows that carry multipliers determine it by a linear system, solved in rationals, and where they do not,
an active-set method in rationals goes all the way (`polygeom.predicates.active_set`); where d is too large
for that, the proposal is drawn inside P and its distance to the nearest point is bounded
(`polygeom.certificates.convex`). The ellipsoid is shrunk until it is proved to be inside.

Cost: conic programs, one to four for a projection: 10 ms at (m, d) = (50, 10), 0.2 s at (200, 50), rationals
included; an ellipsoid takes 20 ms at (10, 2), 70 ms at (50, 10), and its semidefinite cone grows like d^6.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from polygeom.arrays import as_vector, freeze
from polygeom.certificates.check import nearest_floats
from polygeom.certificates.convex import InscribedEllipsoid, Projection
from polygeom.certificates.feasibility import FeasiblePoint
from polygeom.errors import InputError, SolverError, UndecidedError
from polygeom.exact import fraction, fractions_array, is_exact_array, rational_matrix
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.active_set import nearest_point
from polygeom.predicates.boundedness import is_bounded
from polygeom.predicates.chebyshev import chebyshev_ball
from polygeom.predicates.feasibility import decided, feasibility, measured
from polygeom.predicates.proposals import EXACT_DIM, proves, with_margins
from polygeom.predicates.subject import about_polyhedra
from polygeom.rounding import TINY, U

__all__ = ["inscribed_ellipsoid", "project"]

ROUNDS = 4
"""Proposals of a projection: the first has about 8 digits of the distance, each further one 3 more."""

FINER = 2**12
"""How many times finer the units of each further proposal are."""


@about_polyhedra
def project(P: Polyhedron, point: object) -> Projection:
    """Return the point of P nearest to a point (d,) in the Euclidean norm: a quadratic program, no linear one.

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
    try:
        projection = _nearest(P, target, nearest_floats(found.point), exact)
    except SolverError:
        if not exact:
            raise
        projection = None
    return projection or _nearest_by_active_set(P, target)


@dataclass(frozen=True, eq=False)
class _UnitRows:
    """The non-zero rows of P divided by their lengths, in floats: what solvers see.

    Each length is norms * 2^scales.
    """

    A: np.ndarray
    b: np.ndarray
    index: np.ndarray
    norms: np.ndarray
    scales: np.ndarray

    @classmethod
    def of(cls, P: Polyhedron) -> _UnitRows:
        """Read them off P."""
        rows, b, scales = with_margins(P)
        index = np.flatnonzero(rows[:, -1])
        norms = rows[index, -1]
        return cls(rows[index, :-1] / norms[:, None], b[index] / norms, index, norms, scales[index])

    @np.errstate(over="ignore", under="ignore")
    def multipliers(self, weights: np.ndarray, n_rows: int) -> np.ndarray:
        """Return multipliers of the rows of P from those of the unit rows."""
        found = np.zeros(n_rows)
        found[self.index] = np.ldexp(weights / self.norms, -self.scales)
        return found


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def _nearest(P: Polyhedron, target: np.ndarray, inner: np.ndarray, exact: bool) -> Projection | None:
    """Propose, judge, and propose again in finer units: far targets leave too few digits for the rows.

    Returns the first exact projection, or None, if it may be exact; else the floats with the least error.
    """
    rows = _UnitRows.of(P)
    origin = target
    unit = max(float((rows.A @ target - rows.b).max(initial=0.0)), TINY)
    best = None
    for _ in range(ROUNDS):
        nearest, tight = _propose_nearest(rows, target, origin, unit)
        weights = _conic_weights(rows, target - nearest, tight)
        if exact:
            projection = _exact_projection(P, target, rows.index[weights > 0])
            if projection is not None:
                return projection
        else:
            projection = _float_projection(P, rows, (target, nearest, inner), weights)
            if best is not None and not (projection is not None and projection.error < best.error):
                break
            best = projection or best
        origin, unit = nearest, unit / FINER
    if best is None and not exact:
        raise UndecidedError("No float point near the projection could be proved to lie in the polyhedron.")
    return best


def _nearest_by_active_set(P: Polyhedron, target: np.ndarray) -> Projection:
    """Return the exact projection by the dual active-set method; P is known to have a point."""
    A, b = P.exact_rows(np.arange(P.n_rows))
    found = nearest_point(A, b, rational_matrix(target))
    if found is None:
        raise SolverError("The active-set method found no point in a polyhedron proved to have one.")
    point, multipliers = found
    return Projection(target, freeze(point), freeze(multipliers), 0.0)


def _propose_nearest(
    rows: _UnitRows, target: np.ndarray, origin: np.ndarray, unit: float
) -> tuple[np.ndarray, np.ndarray]:
    r"""Ask cvxpy for the nearest point x = origin + unit y and the rows that hold it.

    :math:`|x - p|^2` is, up to a constant and a factor, :math:`|y|^2 + 2 g \cdot y` with g = (origin - p) / unit.
    At strict complementarity, where interior-point methods go, exactly the tight rows have multipliers that
    exceed their slacks. Rows far away are divided by their distance.
    """
    import cvxpy

    b = (rows.b - rows.A @ origin) / unit
    far = np.maximum(np.abs(b), 1.0)
    A, b = rows.A / far[:, None], b / far
    g = (origin - target) / unit
    weight = 1.0 / max(1.0, float(np.linalg.norm(g)))
    step = cvxpy.Variable(len(target))
    _finite("projection", A, b, g)
    inside = A @ step <= b
    goal = weight * cvxpy.sum_squares(step) + 2 * (weight * g) @ step
    _solve(cvxpy.Problem(cvxpy.Minimize(goal), [inside]), "projection")
    tight = np.flatnonzero(inside.dual_value > b - A @ step.value)
    return origin + unit * step.value, tight


def _finite(name: str, *numbers: np.ndarray) -> None:
    """Refuse numbers that a solver cannot take."""
    if not all(np.isfinite(n).all() for n in numbers):
        raise SolverError(
            f"The numbers of the {name} leave the range of floats. Likely cause: extreme scales."
        )


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


def _conic_weights(rows: _UnitRows, normal: np.ndarray, tight: np.ndarray) -> np.ndarray:
    """Return non-negative weights of the tight rows whose combination is as close to the normal as possible.

    Non-negative least squares (Lawson and Hanson) leaves positive weights on independent rows only.
    """
    from scipy.optimize import nnls

    weights = np.zeros(len(rows.index))
    if tight.size and np.isfinite(normal).all():
        try:
            weights[tight] = nnls(rows.A[tight].T, normal)[0]
        except RuntimeError as error:
            raise SolverError(f"Non-negative least squares gave up: {error}.") from None
    return weights


def _exact_projection(P: Polyhedron, target: np.ndarray, support: np.ndarray) -> Projection | None:
    """Return the exact point nearest to the target on the planes of some rows, if it is nearest in P.

    x = p - A_S' lambda with A_S x = b_S: the Gram system (A_S A_S') lambda = A_S p - b_S.
    """
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
    P: Polyhedron, rows: _UnitRows, points: tuple[np.ndarray, np.ndarray, np.ndarray], weights: np.ndarray
) -> Projection | None:
    """Draw the proposal towards an inner point until it is proved to be in P; state the error that remains."""
    target, nearest, inner = points
    nearest, weights = _polished(rows, target, nearest, weights)
    multipliers = rows.multipliers(weights, P.n_rows)
    for k in range(52, -1, -1):
        point = nearest + np.ldexp(1.0, -k) * (inner - nearest)
        if proves(FeasiblePoint(point).holds(P)):
            loose = Projection(target, freeze(point), freeze(multipliers), float("inf"))
            return Projection(target, loose.point, loose.multipliers, loose.error_bound(P))
    return None


def _polished(
    rows: _UnitRows, target: np.ndarray, nearest: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Solve the Gram system of `_exact_projection` in floats: from the solver's precision to that of floats."""
    support = np.flatnonzero(weights)
    A = rows.A[support]
    found, *_ = np.linalg.lstsq(A @ A.T, A @ target - rows.b[support], rcond=None)
    if not (found > 0).all():
        return nearest, weights
    polished = np.zeros_like(weights)
    polished[support] = found
    return target - found @ A, polished


@about_polyhedra
def inscribed_ellipsoid(P: Polyhedron) -> InscribedEllipsoid:
    """Return the ellipsoid of largest volume in P (unique, John 1948), proved to be inside: no linear program.

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
    found = measured(feasibility(P))
    if not P.dim or found.dim < P.dim:
        what = "has no interior" if found.feasible else "is empty"
        raise InputError(f"The polyhedron {what} and holds no ellipsoid.")
    ball = chebyshev_ball(P)
    if not np.isfinite(ball.radius) or not is_bounded(P):
        raise InputError(
            "The polyhedron is unbounded: no ellipsoid in it is largest. Intersect it with a box."
        )
    if ball.radius == 0.0:
        raise UndecidedError("The polyhedron is too thin for a ball whose radius is a float.")
    return _drawn_inside(P, _propose_ellipsoid(P, ball.center, ball.radius))


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def _propose_ellipsoid(P: Polyhedron, center: np.ndarray, radius: float) -> InscribedEllipsoid:
    """Ask cvxpy for the ellipsoid, in coordinates where the Chebyshev ball is the unit ball.

    Each row is divided by its distance from the center.
    """
    import cvxpy

    rows = _UnitRows.of(P)
    distances = _distances(P, rows, center) / radius
    A = rows.A / distances[:, None]
    _finite("ellipsoid", A)
    shape = cvxpy.Variable((P.dim, P.dim), PSD=True)
    shift = cvxpy.Variable(P.dim)
    inside = cvxpy.norm(A @ shape, axis=1) + A @ shift <= 1.0
    _solve(cvxpy.Problem(cvxpy.Maximize(cvxpy.log_det(shape)), [inside]), "ellipsoid")
    multipliers = rows.multipliers(np.maximum(inside.dual_value, 0.0) / (radius * distances), P.n_rows)
    symmetric = radius * (shape.value + shape.value.T) / 2
    moved = fractions_array(radius * shift.value) if is_exact_array(center) else radius * shift.value
    return InscribedEllipsoid(center + moved, symmetric, multipliers, float("inf"))


def _distances(P: Polyhedron, rows: _UnitRows, center: np.ndarray) -> np.ndarray:
    """Return how far the planes of the unit rows are from a point, in floats."""
    if not is_exact_array(center):
        return rows.b - rows.A @ center
    slacks = P.exact_slacks(center, rows.index)
    scaled = [fraction(s) / Fraction(2) ** int(k) for s, k in zip(slacks, rows.scales, strict=True)]
    return nearest_floats(np.array(scaled, dtype=object)) / rows.norms


def _drawn_inside(P: Polyhedron, proposal: InscribedEllipsoid) -> InscribedEllipsoid:
    """Shrink an ellipsoid about its center until it is proved to be inside, and state its optimality gap."""
    _finite("ellipsoid", proposal.shape, proposal.multipliers)
    # 128 d unit roundoffs pay for scaling the shape and for bounding its reach again (a few roundings an entry)
    factor = min(proposal.room(P), 1.0) * (1.0 - 128 * P.dim * U)
    if not factor > 0.0:
        raise SolverError("The proposed ellipsoid has its center outside. Likely cause: badly scaled rows.")
    shape = factor * proposal.shape
    loose = InscribedEllipsoid(
        freeze(proposal.center), freeze(shape), freeze(proposal.multipliers), float("inf")
    )
    return InscribedEllipsoid(loose.center, loose.shape, loose.multipliers, loose.optimality_gap(P))
