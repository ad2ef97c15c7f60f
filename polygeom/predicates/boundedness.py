r"""Boundedness and recession cones: does a polyhedron go to infinity, and in which directions.

`polygeom.predicates.cone_search` proposes, in floats: a ray in the interior of the cone :math:`A y \le 0`, or
positive multipliers of all rows, or a ray together with the rows I whose products with it should be 0. Here the
proposals become proofs. The first two hold beyond rounding, the multipliers by the repair lemma. The third
belongs to lower-dimensional cones, where :math:`A_I y = 0` is solved in rationals near the proposed ray and the
other products are checked to be negative; the same for multipliers on I, if the whole cone is asked for. Where
all proposals fail, an exact linear program decides.

Sources: P. Gordan 1873, E. Stiemke 1915 (Schrijver 1986, section 7.8).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from polygeom.arrays import as_vector
from polygeom.certificates.boundedness import Boundedness, PositiveSpan, RecessionCone, RecessionRay
from polygeom.certificates.check import nearest_floats
from polygeom.certificates.feasibility import FeasiblePoint
from polygeom.errors import SolverError, UndecidedError
from polygeom.exact import fraction, fractions_array
from polygeom.pieces import AffinePiece
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.boundedness_lp import cone_by_programs, span_or_ray_by_program
from polygeom.predicates.cone_search import ConeSearch, Proposal
from polygeom.predicates.feasibility import feasibility
from polygeom.predicates.proposals import UNDECIDED, proves
from polygeom.predicates.subject import about_polyhedra, check_method, polyhedron_of
from polygeom.ranks import pivot_columns, solve_near
from polygeom.threads import one_blas_thread
from polygeom.verified import sigma_min

__all__ = ["boundedness", "is_bounded", "recession_cone"]

EXACT_DIMENSION = 250
"""Largest d for which an exact linear program is run when guesses fail (each step solves d equations)."""


def boundedness(P: Polyhedron | AffinePiece, method: str = "auto", point: object = None) -> Boundedness:
    r"""Decide whether :math:`\{x : A x \le b\}` is bounded, with a proof. The empty polyhedron is bounded.

    Parameters
    ----------
    P : Polyhedron or AffinePiece
        Zero rows, no rows, any row or column scaling are allowed.
    method : {"auto", "lp"}
        "lp" asks float programs only: a slow second opinion (`polygeom.predicates.boundedness_lp`).
    point : (d,) array, optional
        A point of P, which then need not be searched; a piece brings its witness.

    Returns
    -------
    Boundedness
        EXACT: for all matrices within the row errors, or for the exact rows. Undecided for rounded rows without
        an exact source, for a lower-dimensional cone in dimension > 250 whose guess failed, and for a P of
        which neither a point nor emptiness was proved.

    Notes
    -----
    Cost: one to ten factorizations of a (d, d) matrix and as many products :math:`m d^2`; 0.3 s at
    (m, d) = (3072, 768). Emptiness is asked only if the recession cone is more than {0}, and 0, `point` and the
    multiples of the ray are not in P; then `feasibility` is asked.

    Raises
    ------
    InputError
        On anything but a polyhedron or piece, another method, or a point of another dimension.

    Examples
    --------
    >>> result = boundedness(Polyhedron([[1, 0], [0, 1], [-1, -1]], [1, 1, 1]))
    >>> result.bounded, type(result.certificate).__name__
    (True, 'PositiveSpan')
    >>> boundedness(Polyhedron([[1, 0], [-1, 0]], [1, 1])).certificate.direction
    array([0., 1.])
    >>> empty = boundedness(Polyhedron([[1, 0], [-1, 0]], [-1, -1]))
    >>> empty.bounded, type(empty.certificate).__name__
    (True, 'Farkas')
    """
    check_method(method)
    if isinstance(P, AffinePiece) and point is None:
        point = P.witness
    P = polyhedron_of(P)
    known = None if point is None else as_vector(point, "point", P.dim)
    certificate, reason = _span_or_ray(P, method)
    if isinstance(certificate, PositiveSpan):
        return Boundedness(True, certificate)
    for x in _likely_points(P, certificate, known):
        inside = FeasiblePoint(x)
        if proves(inside.holds(P)):
            return _with_a_point(certificate, reason, inside)
    try:
        found = feasibility(P, method)
    except SolverError:
        found = UNDECIDED
    if found.feasible is False:
        return Boundedness(True, found.certificate)
    return _with_a_point(certificate, reason, FeasiblePoint(found.point) if found.feasible else None)


def _with_a_point(ray: RecessionRay | None, reason: str, inside: FeasiblePoint | None) -> Boundedness:
    """Return the answer for a ray of a P that is not empty, as far as either is proved."""
    if ray is None:
        return Boundedness(None, None, reason)
    if inside is None:
        return Boundedness(
            None, ray, "it is unbounded or empty, and neither a point nor emptiness was proved"
        )
    return Boundedness(False, ray, point=inside)


def _likely_points(P: Polyhedron, ray: RecessionRay | None, known: np.ndarray | None) -> Iterator[np.ndarray]:
    """Yield the known point, 0 if all b >= 0, and a far multiple of the ray: inside all rows it leaves behind."""
    if known is not None:
        yield known
    if (P.b >= 0).all():
        yield np.zeros(P.dim)
    if ray is None:
        return
    with np.errstate(all="ignore"):
        rates = P.A @ nearest_floats(ray.direction)
        steps = P.b / rates
    behind = (P.b < 0) & (rates < 0)
    farthest = float(steps[behind].max(initial=0.0))
    if 0.0 < farthest < float("inf"):
        step = Fraction(2) ** (int(np.frexp(farthest)[1]) + 1)
        yield _floats_if_exact([step * fraction(v) for v in ray.direction])


def _span_or_ray(P: Polyhedron, method: str) -> tuple[PositiveSpan | RecessionRay | None, str]:
    """Return what is proved about the recession cone, or why nothing is."""
    if P.dim == 0:
        return PositiveSpan(np.empty(0), np.empty(0, dtype=np.intp)), ""
    dead = _dead_columns(P)
    if dead.any():
        return RecessionRay(dead.astype(np.float64) * (np.cumsum(dead) == 1)), ""
    if method == "lp":
        return _span_or_ray_by_programs(P)
    rows = np.flatnonzero(P.A.any(axis=1))
    with one_blas_thread(P.A.size):
        for proposal in ConeSearch(P.A[rows]).proposals():
            certificate = _proved(P, rows, proposal)
            if certificate is not None:
                return certificate, ""
    return _span_or_ray_in_rationals(P)


def is_bounded(P: Polyhedron | AffinePiece, method: str = "auto") -> bool:
    """Tell whether a polyhedron is bounded; the empty one is. See `boundedness`.

    Raises
    ------
    UndecidedError
        If neither answer was proved.

    Examples
    --------
    >>> is_bounded(Polyhedron.box(0, 1, dim=3)), is_bounded(Polyhedron.orthant(3))
    (True, False)
    >>> is_bounded(Polyhedron([[1, 0], [-1, 0]], [-1, -1]))  # empty
    True
    """
    return bool(boundedness(P, method))


def _dead_columns(P: Polyhedron) -> np.ndarray:
    """Return which coordinates no true row can depend on."""
    touched = P.A.any(axis=0)
    return ~touched if P.A_error is None else ~(touched | P.A_error.any(axis=0))


# -- from proposals to proofs --------------------------------------------------------------------------------


def _proved(P: Polyhedron, rows: np.ndarray, proposal: Proposal) -> PositiveSpan | RecessionRay | None:
    """Turn a proposal into a certificate that holds, or None."""
    if proposal.direction is None:
        span = PositiveSpan(proposal.multipliers, rows)
        return span if span.holds(P) else None
    ray = RecessionRay(proposal.direction)
    if ray.holds(P):
        return ray
    if proposal.level is None or not P.has_exact_rows:
        return None
    exact = _on_level_rows(P, rows[proposal.level], proposal.direction)
    ray = None if exact is None else RecessionRay(exact)
    return ray if ray is not None and ray.holds(P) else None


def _on_level_rows(P: Polyhedron, level: np.ndarray, direction: np.ndarray) -> np.ndarray | None:
    """Return a direction near a float one with products exactly 0 on some rows, or None."""
    A, _ = P.exact_rows(level)
    exact = solve_near(A, _zeros(A.nrows()), direction)
    return None if exact is None else _simplest(exact)


def _zeros(size: int):
    import flint

    return flint.fmpq_mat(size, 1)


def _simplest(vector) -> np.ndarray:
    """Return an fmpq column as floats where these are exact, as Fractions otherwise."""
    return _floats_if_exact([fraction(v) for v in vector.entries()])


def _floats_if_exact(numbers: list[Fraction]) -> np.ndarray:
    exact = fractions_array(numbers)
    floats = nearest_floats(exact)
    return floats if all(f == v for f, v in zip(floats.tolist(), numbers, strict=True)) else exact


def _span_or_ray_in_rationals(P: Polyhedron) -> tuple[PositiveSpan | RecessionRay | None, str]:
    """Decide by exact linear programs, where rows are exact and few enough."""
    if not P.has_exact_rows:
        return None, "the rows are rounded, and the answer depends on the rounding"
    if P.dim > EXACT_DIMENSION:
        return None, f"a lower-dimensional cone in dimension {P.dim} > {EXACT_DIMENSION}"
    return _read_off(_cone_in_rationals(P)), ""


def _span_or_ray_by_programs(P: Polyhedron) -> tuple[PositiveSpan | RecessionRay | None, str]:
    """Decide by float linear programs."""
    certificate = span_or_ray_by_program(P)
    if certificate is not None:
        return certificate, ""
    lineality = _kernel(P)
    cone = None if lineality is None else cone_by_programs(P, lineality)
    return (None, "float programs led to no proof") if cone is None else (_read_off(cone), "")


def _read_off(cone: RecessionCone) -> PositiveSpan | RecessionRay:
    """Return the proof that a cone is {0}, or a ray of it."""
    if cone.dim == 0:
        return PositiveSpan(cone.multipliers, cone.implicit)
    moving = any(v != 0 for v in cone.direction)
    return RecessionRay(cone.direction if moving else cone.lineality[0])


# -- the whole cone ------------------------------------------------------------------------------------------


@about_polyhedra
def recession_cone(P: Polyhedron, method: str = "auto") -> RecessionCone:
    r"""Return dimension, relative interior point, implicit equalities and lineality of :math:`A y \le 0`.

    Parameters
    ----------
    P : Polyhedron
        Only A matters: the cone of an empty P is that of its rows.
    method : {"auto", "lp"}
        "lp" finds dimension, point and equalities by float programs only (`polygeom.predicates.boundedness_lp`);
        the lineality space, a kernel, is no linear program.

    Returns
    -------
    RecessionCone
        With everything needed to re-verify it.

    Raises
    ------
    UndecidedError
        If the rows are rounded without an exact source and the cone depends on the rounding (it is
        lower-dimensional, or contains a line), an exact program would be needed in dimension > 250, or
        float programs led to no proof.

    Notes
    -----
    Cost: that of `boundedness`; exact kernels or programs where the cone is lower-dimensional or has lines.

    Examples
    --------
    >>> quadrant = recession_cone(Polyhedron([[-1, 0], [0, -1], [0, -2]], [0, 0, 5]))
    >>> quadrant.dim, quadrant.is_pointed, quadrant.implicit.size
    (2, True, 0)
    """
    check_method(method)
    if method == "lp":
        return _cone_by_programs(P)
    rows = np.flatnonzero(P.A.any(axis=1))
    zero = np.setdiff1d(np.arange(P.n_rows), rows)
    if P.dim > 0:
        with one_blas_thread(P.A.size):
            for proposal in ConeSearch(P.A[rows]).proposals():
                cone = _cone_from(P, rows, zero, proposal)
                if cone is not None:
                    return cone
    if not P.has_exact_rows:
        raise UndecidedError(
            "The rows are rounded, have no exact source, and the recession cone depends on the rounding."
        )
    if P.dim > EXACT_DIMENSION:
        raise UndecidedError(
            f"The recession cone is lower-dimensional or has lines, in dimension {P.dim} > {EXACT_DIMENSION}."
        )
    return _cone_in_rationals(P)


def _cone_by_programs(P: Polyhedron) -> RecessionCone:
    """Return the cone that float programs lead to, or raise UndecidedError."""
    pointed = sigma_min(P.A, P.A_error) > 0.0
    lineality = np.empty((0, P.dim)) if pointed else _kernel(P)
    cone = None if lineality is None else cone_by_programs(P, lineality)
    if cone is None:
        raise UndecidedError("Float programs led to no proof about the recession cone; try method='auto'.")
    return cone


def _cone_from(P: Polyhedron, rows: np.ndarray, zero: np.ndarray, proposal: Proposal) -> RecessionCone | None:
    """Turn a proposal into a proved recession cone, or None."""
    pointed = np.empty((0, P.dim))
    if proposal.direction is None:
        everything = np.concatenate([rows, zero])
        multipliers = np.concatenate([proposal.multipliers, np.ones(len(zero))])
        cone = RecessionCone(0, np.zeros(P.dim), everything, multipliers, pointed)
        return cone if cone.holds(P) else None
    if proposal.level is None:
        lineality = pointed if sigma_min(P.A, P.A_error) > 0.0 else _kernel(P)
        if lineality is None:
            return None
        cone = RecessionCone(P.dim, proposal.direction, zero, np.ones(len(zero)), lineality)
        return cone if cone.holds(P) else None
    if proposal.multipliers is None or not P.has_exact_rows:
        return None
    return _lower_dimensional(P, rows[proposal.level], zero, proposal)


def _lower_dimensional(
    P: Polyhedron, level: np.ndarray, zero: np.ndarray, proposal: Proposal
) -> RecessionCone | None:
    """Return the cone whose implicit equalities are guessed to be `level`, if rationals agree."""
    direction = _on_level_rows(P, level, proposal.direction)
    A, _ = P.exact_rows(level)
    multipliers = solve_near(A.transpose(), _zeros(P.dim), proposal.multipliers)
    lineality = None if direction is None or multipliers is None else _kernel(P)
    if lineality is None:
        return None
    weights = fractions_array(multipliers.entries() + [1] * len(zero))
    implicit = np.concatenate([level, zero])
    order = np.argsort(implicit)
    dim = P.dim - A.rank()
    cone = RecessionCone(dim, direction, implicit[order], weights[order], lineality)
    return cone if cone.holds(P) else None


def _kernel(P: Polyhedron) -> np.ndarray | None:
    """Return an exact basis of the kernel of the true A as rows of Fractions, (l, d); None if not available.

    From the reduced row echelon form: one basis vector for each column without a pivot.
    """
    if not P.has_exact_rows or P.dim > EXACT_DIMENSION:
        return None
    reduced, rank = P.exact_rows(np.arange(P.n_rows))[0].rref()
    pivots = pivot_columns(reduced, rank)
    free = [j for j in range(P.dim) if j not in set(pivots)]
    basis = np.zeros((len(free), P.dim), dtype=object)
    basis[:] = fraction(0)
    for k, j in enumerate(free):
        basis[k, j] = fraction(1)
        for i, pivot in enumerate(pivots):
            basis[k, pivot] = fraction(-reduced[i, j])
    return basis if len(free) else np.empty((0, P.dim))


def _cone_in_rationals(P: Polyhedron) -> RecessionCone:
    r"""Find the cone by exact linear programs: at most one more than the dimension of the cone.

    With K the rows not yet seen strictly negative, maximize :math:`-\sum_K a_i \cdot y` over the cone, at
    most 1. A maximum of 1 shows some of K negative at y; the sum of all these y is a relative interior point.
    A maximum of 0 with :math:`A'\mu = -\sum_K a_i` ends it: the multipliers of the rows seen negative are 0
    (multiply by that sum), and :math:`\lambda_K = 1 + \mu_K > 0`.
    """
    import flint

    from polygeom.predicates.rational import maximize

    m, d = P.n_rows, P.dim
    A, _ = P.exact_rows(np.arange(m))
    direction, left = flint.fmpq_mat(d, 1), np.arange(m)
    multipliers = fractions_array([])
    while len(left):
        total = [-sum((A[i, j] for i in left.tolist()), flint.fmpq(0)) for j in range(d)]
        bounded = flint.fmpq_mat(m + 1, d, A.entries() + total)
        found = maximize(flint.fmpq_mat(d, 1, total), bounded, flint.fmpq_mat(m + 1, 1, [0] * m + [1]))
        if found.value == 0:
            multipliers = fractions_array([1 + found.multipliers[i] for i in left])
            break
        y = flint.fmpq_mat(d, 1, [flint.fmpq(v.numerator, v.denominator) for v in found.point])
        direction += y
        products = (A * y).entries()
        left = np.array([i for i in left.tolist() if products[i] == 0], dtype=np.intp)
    dim = d - (P.exact_rows(left)[0].rank() if len(left) else 0)
    lineality = _kernel(P)
    return RecessionCone(dim, _simplest(direction), left, multipliers, lineality)
