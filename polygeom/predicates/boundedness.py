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

import numpy as np

from polygeom.certificates.boundedness import Boundedness, PositiveSpan, RecessionCone, RecessionRay
from polygeom.errors import InputError, UndecidedError
from polygeom.exact import fraction, fractions_array
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.cone_search import ConeSearch, Proposal, lp_proposals
from polygeom.predicates.feasibility import is_empty
from polygeom.ranks import solve_near
from polygeom.threads import one_blas_thread
from polygeom.verified import sigma_min

__all__ = ["boundedness", "is_bounded", "recession_cone"]

EXACT_DIMENSION = 250
"""Largest d for which an exact linear program is run when guesses fail (each step solves d equations)."""


def boundedness(P: Polyhedron, method: str = "auto") -> Boundedness:
    r"""Decide whether :math:`\{x : A x \le b\}` is bounded, with a proof.

    Parameters
    ----------
    P : Polyhedron
        Only A matters. If P is empty, it is bounded even where the answer here is False: feasibility is a
        question of its own. Zero rows, no rows, any row or column scaling are allowed.
    method : {"auto", "lp"}
        The method of this module, or one float linear program as a second opinion (same proofs).

    Returns
    -------
    Boundedness
        EXACT: for all matrices within the row errors, or for the exact rows. Undecided only for rounded rows
        without an exact source, or a lower-dimensional cone in dimension > 250 whose guess failed.

    Notes
    -----
    Cost: one to ten factorizations of a (d, d) matrix and as many products :math:`m d^2`; 0.3 s at
    (m, d) = (3072, 768).

    Examples
    --------
    >>> result = boundedness(Polyhedron([[1, 0], [0, 1], [-1, -1]], [1, 1, 1]))
    >>> result.bounded, type(result.certificate).__name__
    (True, 'PositiveSpan')
    >>> boundedness(Polyhedron([[1, 0], [-1, 0]], [1, 1])).certificate.direction
    array([0., 1.])
    """
    if method not in ("auto", "lp"):
        raise InputError(f"method is {method!r}, wanted 'auto' or 'lp'.")
    if P.dim == 0:
        return Boundedness(True, PositiveSpan(np.empty(0), np.empty(0, dtype=np.intp)))
    dead = _dead_columns(P)
    if dead.any():
        return Boundedness(False, RecessionRay(dead.astype(np.float64) * (np.cumsum(dead) == 1)))
    rows = np.flatnonzero(P.A.any(axis=1))
    proposals = lp_proposals(P.A[rows]) if method == "lp" else ConeSearch(P.A[rows]).proposals()
    with one_blas_thread(P.A.size):
        for proposal in proposals:
            certificate = _proved(P, rows, proposal)
            if certificate is not None:
                return Boundedness(isinstance(certificate, PositiveSpan), certificate)
    return _boundedness_in_rationals(P)


def is_bounded(P: Polyhedron) -> bool:
    """Tell whether a polyhedron is bounded; the empty one is.

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
    return bool(boundedness(P)) or is_empty(P)


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
    exact = fractions_array(vector.entries())
    floats = np.array([float(v) for v in exact])
    return floats if all(fraction(f) == v for f, v in zip(floats, exact, strict=True)) else exact


def _boundedness_in_rationals(P: Polyhedron) -> Boundedness:
    """Decide by exact linear programs, where rows are exact and few enough."""
    if not P.has_exact_rows:
        return Boundedness(None, None, "the rows are rounded, and the answer depends on the rounding")
    if P.dim > EXACT_DIMENSION:
        return Boundedness(None, None, f"a lower-dimensional cone in dimension {P.dim} > {EXACT_DIMENSION}")
    cone = _cone_in_rationals(P)
    if cone.dim == 0:
        return Boundedness(True, PositiveSpan(cone.multipliers, cone.implicit))
    moving = any(v != 0 for v in cone.direction)
    return Boundedness(False, RecessionRay(cone.direction if moving else cone.lineality[0]))


# -- the whole cone ------------------------------------------------------------------------------------------


def recession_cone(P: Polyhedron) -> RecessionCone:
    r"""Return dimension, relative interior point, implicit equalities and lineality of :math:`A y \le 0`.

    Parameters
    ----------
    P : Polyhedron
        Only A matters.

    Returns
    -------
    RecessionCone
        With everything needed to re-verify it.

    Raises
    ------
    UndecidedError
        If the rows are rounded without an exact source and the cone depends on the rounding (it is
        lower-dimensional, or contains a line), or an exact program would be needed in dimension > 250.

    Notes
    -----
    Cost: that of `boundedness`; exact kernels or programs where the cone is lower-dimensional or has lines.

    Examples
    --------
    >>> quadrant = recession_cone(Polyhedron([[-1, 0], [0, -1], [0, -2]], [0, 0, 5]))
    >>> quadrant.dim, quadrant.is_pointed, quadrant.implicit.size
    (2, True, 0)
    """
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
    reduced, pivots = _echelon(P)
    free = [j for j in range(P.dim) if j not in set(pivots)]
    basis = np.zeros((len(free), P.dim), dtype=object)
    basis[:] = fraction(0)
    for k, j in enumerate(free):
        basis[k, j] = fraction(1)
        for i, pivot in enumerate(pivots):
            basis[k, pivot] = fraction(-reduced[i, j])
    return basis if len(free) else np.empty((0, P.dim))


def _echelon(P: Polyhedron) -> tuple[object, list[int]]:
    """Return the reduced row echelon form of the true A and its pivot columns."""
    reduced, rank = P.exact_rows(np.arange(P.n_rows))[0].rref()
    pivots, column = [], 0
    for row in range(rank):
        while reduced[row, column] == 0:
            column += 1
        pivots.append(column)
    return reduced, pivots


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
