"""Origin tests: what ties a cell to the origin, hence to directions (THEORY, question Q1)."""

from __future__ import annotations

import numpy as np

from polygeom.certificates.boundedness import recession_signs
from polygeom.certificates.chebyshev import norm_interval
from polygeom.certificates.check import nearest_floats
from polygeom.certificates.facets import FacetReport
from polygeom.certificates.feasibility import Inclusion
from polygeom.certificates.origin import (
    RATIONAL_ENTRIES,
    Apex,
    Escape,
    OriginTest,
    are_independent,
    beside,
    distance_bounds,
    level_cone,
    level_rows,
    offset_signs,
    rate_signs,
    share_no_point,
)
from polygeom.errors import InputError, UndecidedError
from polygeom.exact import as_point, fractions_array
from polygeom.pieces import AffinePiece
from polygeom.polyhedron import UNKNOWN, Polyhedron
from polygeom.predicates.facets import facets
from polygeom.predicates.inclusion import inclusion
from polygeom.predicates.subject import polyhedron_of

__all__ = ["apex", "is_cone", "origin_test"]


def origin_test(P: Polyhedron | AffinePiece, point: object = None) -> OriginTest:
    """Decide whether 0 is in the closed cell, which hyperplanes pass through 0, and whether it is a cone.

    Parameters
    ----------
    P : Polyhedron or AffinePiece
        A piece too large to be materialized is asked through two passes of its network.
    point : (d,) array, optional
        A point of P, tried first as the direction that refutes a cone; a piece brings its witness.

    Returns
    -------
    OriginTest
        With exact signs; `result.holds(P)` re-checks it without a solver.

    Notes
    -----
    Signs of b cost nothing; whether P is a cone with apex 0 is one inclusion of cones, usually refuted by the
    first direction tried. For rounded rows every statement is about the true rows.

    Examples
    --------
    >>> o = origin_test(Polyhedron([[-1, 0], [0, -1], [1, 1]], [0, 0, 1]))
    >>> o.contains_origin, o.is_cone, o.through_origin
    (True, False, array([0, 1]))
    >>> origin_test(Polyhedron([[-1, 0], [0, -1], [-1, -1]], [0, 0, 1])).is_cone
    True
    """
    if isinstance(P, AffinePiece):
        if P.is_large:
            return _matrix_free(P)
        point = P.witness if point is None else point
    P = polyhedron_of(P)
    point = None if point is None else nearest_floats(as_point(point, "point", P.dim))
    signs = offset_signs(P)
    undecided = np.flatnonzero(signs == UNKNOWN)
    common = (level_rows(P, signs), _distances(P), undecided)
    outside = np.flatnonzero(signs == -1)
    if outside.size:
        return OriginTest(False, False, *common, violated=int(outside[0]))
    if undecided.size:
        return OriginTest(None, None, *common)
    verdict, proof = _cone_proof(P, signs, point)
    return OriginTest(True, verdict, *common, cone=proof)


def _distances(P: Polyhedron) -> np.ndarray:
    """Return the signed distances ``b / |a|``, inf for zero rows, within their rigorous bounds."""
    low, high = norms = norm_interval(P)
    nearest, farthest = distance_bounds(P, norms)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        quotient = np.nan_to_num(P.b / (0.5 * low + 0.5 * high), nan=np.inf, posinf=np.inf, neginf=-np.inf)
    return np.clip(quotient, nearest, farthest)


def _matrix_free(piece: AffinePiece) -> OriginTest:
    """Return the origin test of a piece whose rows cannot all be written down, without distances.

    The slacks of all rows at 0 are b, one enclosed pass; the rates along the witness are A x, another. They
    prove that the origin is inside or outside, and refute a cone; they prove one only where every b is 0.
    """
    signs = offset_signs(piece)
    undecided = np.flatnonzero(signs == UNKNOWN)
    common = (level_rows(piece, signs), None, undecided)
    outside = np.flatnonzero(signs == -1)
    if outside.size:
        return OriginTest(False, False, *common, violated=int(outside[0]))
    if undecided.size:
        return OriginTest(None, None, *common)
    if not signs.any():
        return OriginTest(True, True, *common)
    rates = rate_signs(piece, piece.witness)
    left = np.flatnonzero((signs == 1) & (rates == 1))
    if left.size and (rates[signs == 0] <= 0).all():
        return OriginTest(True, False, *common, cone=Escape(piece.witness, int(left[0])))
    return OriginTest(True, None, *common)


def _cone_proof(
    P: Polyhedron, signs: np.ndarray, point: np.ndarray | None
) -> tuple[bool | None, Inclusion | Escape | None]:
    """Prove or refute that the rows with b > 0 hold on the whole cone of the rows with b = 0."""
    off = np.flatnonzero(signs == 1)
    guesses = [] if point is None else [point]
    if not (signs == 0).any() and P.A[off].any():
        guesses.append(P.A[off[np.flatnonzero(P.A[off].any(axis=1))[0]]])
    for guess in guesses:
        rates = recession_signs(P, guess)
        left = np.flatnonzero((signs == 1) & (rates == 1))
        if left.size and (rates[signs == 0] <= 0).all():
            return False, Escape(guess, int(left[0]))
    cone, others = level_cone(P, signs)
    proof = inclusion(cone, others)
    if proof.included is False:
        outlier = proof.certificates[0]
        return False, Escape(outlier.point, int(off[outlier.row]))
    return proof.included, proof


def is_cone(P: Polyhedron | AffinePiece) -> bool:
    """Tell whether P is a cone with apex 0.

    Raises
    ------
    UndecidedError
        If that is neither proved nor refuted.

    Examples
    --------
    >>> is_cone(Polyhedron.orthant(3)), is_cone(Polyhedron.box(0, 1, dim=3))
    (True, False)
    """
    verdict = origin_test(P).is_cone
    if verdict is None:
        raise UndecidedError("Whether the polyhedron is a cone with apex 0 was neither proved nor refuted.")
    return verdict


def apex(P: Polyhedron | AffinePiece, report: FacetReport | None = None) -> Apex:
    """Decide whether a full-dimensional P is a cone with some apex, from its facets.

    Parameters
    ----------
    report : FacetReport, optional
        The facets of P, if they are known; computed otherwise.

    Notes
    -----
    The facet hyperplanes share a point if ``rank A_F = |F|`` (always so), and share none if
    ``rank [A_F | b_F]`` exceeds d; both are proved modulo a prime, or by a singular value for rounded rows. What
    is left is solved in rationals up to `RATIONAL_ENTRIES` entries.

    Examples
    --------
    >>> apex(Polyhedron([[-1, 0], [0, -1]], [-1, -2])).point
    array([Fraction(1, 1), Fraction(2, 1)], dtype=object)
    >>> apex(Polyhedron.box(0, 1, dim=2)).exists
    False
    """
    P = polyhedron_of(P)
    report = facets(P) if report is None else report
    if not isinstance(report, FacetReport):
        raise InputError(f"report is a {type(report).__name__}, wanted the FacetReport of facets(P).")
    walls = P.select(report.facets)
    if share_no_point(walls):
        return Apex(False, None, report)
    if len(report.undecided):
        return Apex(None, None, report)
    if P.has_exact_rows and walls.A.size <= RATIONAL_ENTRIES:
        return Apex(True, _shared_point(walls), report)
    if are_independent(walls):
        return Apex(True, np.linalg.lstsq(walls.A, walls.b, rcond=None)[0], report)
    return Apex(None, None, report)


def _shared_point(P: Polyhedron) -> np.ndarray:
    """Return the exact solution of A x = b, known to exist, with free coordinates 0."""
    import flint

    reduced, n = beside(*P.exact_rows(np.arange(P.n_rows))).rref()
    point = [flint.fmpq(0)] * P.dim
    for i in range(n):
        pivot = next(j for j in range(P.dim) if reduced[i, j] != 0)
        point[pivot] = reduced[i, P.dim]
    return fractions_array(point)
