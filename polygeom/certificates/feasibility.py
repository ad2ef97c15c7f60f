r"""Proofs about emptiness, interior, dimension and inclusion of :math:`P = \{x : A x \le b\}`.

Everything rests on points and on one kind of combination. If :math:`\lambda \ge 0`, :math:`A'\lambda = q` and
:math:`b \cdot \lambda \le \beta`, then :math:`q \cdot x \le \beta` on P. With q = 0:

- :math:`b \cdot \lambda < 0` proves P empty (Farkas; completeness: Schrijver 1986, Corollary 7.1e);
- :math:`b \cdot \lambda = 0` proves :math:`a_i \cdot x = b_i` on P for every i with :math:`\lambda_i > 0`.

Multipliers are Fractions, checked exactly, or floats. Floats are approximate, and the repair lemma of
`polygeom.verified` proves that exact ones exist nearby with :math:`b \cdot \lambda'` still on the right side,
for every matrix within the row errors. Where the lemma does not apply, floats are taken at their word and
checked as rationals. What then holds only up to rounding is CERTIFIED, not EXACT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import brief_repr
from polygeom.certificates.check import (
    OPEN,
    PROVED,
    REFUTED,
    Check,
    Level,
    are_rows,
    finite_numbers,
    nearest_floats,
)
from polygeom.exact import is_exact_array, rational_matrix
from polygeom.polyhedron import UNKNOWN, Polyhedron
from polygeom.ranks import rank
from polygeom.rounding import dot_error, round_up
from polygeom.verified import repair

if TYPE_CHECKING:
    import flint

__all__ = [
    "Farkas",
    "Feasibility",
    "FeasiblePoint",
    "ImpliedRow",
    "ImplicitEquality",
    "Inclusion",
    "InteriorPoint",
    "Outlier",
    "implies",
    "zero_rows",
]

# -- points ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class FeasiblePoint:
    """A point of the closed polyhedron: it is not empty.

    Attributes
    ----------
    point : (d,) array
        Floats or Fractions.
    """

    point: np.ndarray

    __repr__ = brief_repr

    def holds(self, P: Polyhedron) -> Check:
        """Check A x <= b for the true rows. Cost: one product with A; rationals for rows near a tie."""
        point = finite_numbers(self.point, P.dim)
        return REFUTED if point is None else _has_slacks(P, point, strict=False)


@dataclass(frozen=True, eq=False)
class InteriorPoint:
    """A point of the topological interior: the polyhedron has dimension d.

    Every non-zero row must be strict; a zero row needs only b_i >= 0.

    Attributes
    ----------
    point : (d,) array
        Floats or Fractions.
    """

    point: np.ndarray

    __repr__ = brief_repr

    def holds(self, P: Polyhedron) -> Check:
        """Check A x < b for the true rows. Cost: one product with A; rationals for rows near a tie."""
        point = finite_numbers(self.point, P.dim)
        return REFUTED if point is None else _has_slacks(P, point, strict=True)


def _has_slacks(P: Polyhedron, point: np.ndarray, strict: bool) -> Check:
    """Check that all slacks at a point are non-negative, or positive but for zero rows.

    Slacks that are known only up to rounding are certified by the most they can be violated.
    """
    signs = P.slack_signs(point[None])[0]
    if (signs == -1).any() or (strict and not zero_rows(P, np.flatnonzero(signs == 0)).all()):
        return REFUTED
    unknown = np.flatnonzero(signs == UNKNOWN)
    if not unknown.size:
        return PROVED
    with np.errstate(over="ignore", invalid="ignore"):
        slack, error = (values[0, unknown] for values in P.slack_enclosure(nearest_floats(point)[None]))
        worst = float((error - slack).max())
    within = bool((slack > 0).all()) if strict else True
    return Check(within, Level.CERTIFIED, worst) if np.isfinite(worst) else OPEN


def zero_rows(P: Polyhedron, rows: np.ndarray) -> np.ndarray:
    """Tell which of some rows have a normal that is exactly zero; where that is not known, False."""
    if P.A_error is None:
        return ~P.A[rows].any(axis=1)
    zero = np.zeros(len(rows), dtype=bool)
    possible = np.arange(len(rows))
    for columns in (slice(1), slice(None)):  # the first column rules out nearly all
        near = np.abs(P.A[rows[possible], columns]) <= P.A_error[rows[possible], columns]
        possible = possible[near.all(axis=1)]
    if P.has_exact_rows:
        for k in possible:
            zero[k] = not any(P.exact_rows(rows[k : k + 1])[0].entries())
    else:
        zero[possible] = ~P.A_error[rows[possible]].any(axis=1)
    return zero


# -- combinations of rows ----------------------------------------------------------------------------------


@np.errstate(over="ignore", invalid="ignore")
def implies(P: Polyhedron, multipliers: np.ndarray, Q: Polyhedron, strict: bool = False) -> Check:
    r"""Check that :math:`\lambda` proves the single row of Q on P: :math:`q \cdot x \le \beta` (< if strict).

    Parameters
    ----------
    P : Polyhedron
    multipliers : (m,) array
        Non-negative floats or Fractions.
    Q : Polyhedron
        One row, possibly rounded.
    strict : bool
        Whether :math:`b \cdot \lambda < \beta` is wanted.

    Notes
    -----
    Floats: `polygeom.verified.repair` on the support gives :math:`\lambda' > 0` exact there, with
    :math:`b \cdot \lambda' \le fl(b \cdot \lambda) + e + c`, e its rounding (`dot_error`) and c the change made
    by the repair. Cost: :math:`s d^2` for s rows in the support; exact: one product of integers.
    """
    multipliers = finite_numbers(multipliers, P.n_rows)
    if multipliers is None or P.dim != Q.dim or not all(v >= 0 for v in multipliers):
        return REFUTED
    support = np.flatnonzero(multipliers != 0)
    if not is_exact_array(multipliers) and _implies_after_repair(P.select(support), multipliers[support], Q):
        return PROVED
    if P.has_exact_rows and Q.has_exact_rows:
        normal, offset = _exact_combination(P, multipliers, support)
        target, bound = Q.exact_rows(np.arange(1))
        gap = bound[0, 0] - offset
        if normal == target and (gap > 0 if strict else gap >= 0):
            return PROVED
        if is_exact_array(multipliers):
            return REFUTED
    return _implies_up_to_rounding(P, nearest_floats(multipliers), Q, strict)


def _implies_after_repair(P: Polyhedron, weights: np.ndarray, Q: Polyhedron) -> bool:
    """Tell whether the repair lemma proves q . x < beta from positive float weights on all rows of P."""
    if not P.n_rows:
        return False
    repaired = repair(weights, P.A, Q.A[0], P.A_error, None if Q.A_error is None else Q.A_error[0])
    if not repaired.holds:
        return False
    _, _, offset, error = P.combination_enclosure(weights)
    change = repaired.offset_change(P.b, P.b_error)
    bound_error = 0.0 if Q.b_error is None else float(Q.b_error[0])
    gap = float(Q.b[0]) - offset
    # `gap` is one subtraction; the three errors are non-negative and added with three roundings.
    return gap > round_up(error + change + bound_error + dot_error(abs(gap), 1), 4)


def _exact_combination(
    P: Polyhedron, multipliers: np.ndarray, support: np.ndarray
) -> tuple[flint.fmpq_mat, flint.fmpq]:
    """Return A' lambda as a row and b . lambda, exactly."""
    import flint

    if not support.size:
        return flint.fmpq_mat(1, P.dim), flint.fmpq(0)
    A, b = P.exact_rows(support)
    weights = rational_matrix(multipliers[support]).transpose()
    return weights * A, (weights * b)[0, 0]


def _implies_up_to_rounding(P: Polyhedron, weights: np.ndarray, Q: Polyhedron, strict: bool) -> Check:
    """Certify a combination whose residual is within its own rounding error.

    A strict bound must hold beyond the rounding error, so that only A' lambda = q is left in doubt.
    """
    normal, normal_error, offset, offset_error = P.combination_enclosure(weights)
    if Q.A_error is not None:
        normal_error = normal_error + Q.A_error[0]
    if Q.b_error is not None:
        offset_error = offset_error + float(Q.b_error[0])
    residual = np.abs(normal - Q.A[0])
    excess = offset - float(Q.b[0])
    violation = max(float((residual + normal_error).max(initial=0.0)), excess + offset_error, 0.0)
    bounded = excess < -offset_error if strict else excess <= offset_error
    within = bool((residual <= normal_error).all() and bounded)
    return Check(within, Level.CERTIFIED, float(round_up(violation, 4))) if np.isfinite(violation) else OPEN


def _never(dim: int) -> Polyhedron:
    """Return the row 0 . x <= 0, which strict Farkas multipliers contradict."""
    return Polyhedron(np.zeros((1, dim)), np.zeros(1))


@dataclass(frozen=True, eq=False)
class Farkas:
    r"""Multipliers :math:`\lambda \ge 0`, :math:`A'\lambda = 0`, :math:`b \cdot \lambda < 0`: P is empty.

    Attributes
    ----------
    multipliers : (m,) array
        Fractions (checked exactly) or floats (repaired).

    Examples
    --------
    >>> gap = Polyhedron([[1.0], [-1.0]], [0.0, -1.0])
    >>> bool(Farkas(np.array([1.0, 1.0])).holds(gap))
    True
    """

    multipliers: np.ndarray

    __repr__ = brief_repr

    def holds(self, P: Polyhedron) -> Check:
        """Check the contradiction; see `implies`."""
        return implies(P, self.multipliers, _never(P.dim), strict=True)


@dataclass(frozen=True, eq=False)
class ImplicitEquality:
    r"""Multipliers that make row i an equality on all of P.

    :math:`\lambda \ge 0`, :math:`\lambda_i > 0`, :math:`A'\lambda = 0`, :math:`b \cdot \lambda = 0`.

    Attributes
    ----------
    row : int
    multipliers : (m,) array
        An equality needs exact numbers: Fractions, or floats that satisfy it exactly.
    """

    row: int
    multipliers: np.ndarray

    __repr__ = brief_repr

    def holds(self, P: Polyhedron) -> Check:
        """Check in rationals. Cost: one product of integers with the rows of the support."""
        multipliers = finite_numbers(self.multipliers, P.n_rows)
        if multipliers is None or not are_rows(self.row, P.n_rows) or not multipliers[self.row] > 0:
            return REFUTED
        return implies(P, multipliers, _never(P.dim))


# -- results -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Feasibility:
    """Whether a polyhedron is empty, lower-dimensional or full-dimensional, with the proof.

    Attributes
    ----------
    feasible : bool or None
        None: neither proved nor refuted.
    dim : int or None
        Dimension of the affine hull: d with an interior point, -1 when empty, None when not known.
    certificate : InteriorPoint, FeasiblePoint, Farkas or None
        With equalities, a point of the relative interior.
    equalities : tuple of ImplicitEquality
        All rows that are equalities on a lower-dimensional P.
    """

    feasible: bool | None
    dim: int | None
    certificate: InteriorPoint | FeasiblePoint | Farkas | None
    equalities: tuple[ImplicitEquality, ...] = ()

    __repr__ = brief_repr

    @property
    def point(self) -> np.ndarray | None:
        """The proving point, in the (relative) interior; None when empty or undecided."""
        return getattr(self.certificate, "point", None)

    @property
    def interior(self) -> np.ndarray | None:
        """A point of the topological interior, or None."""
        return self.point if isinstance(self.certificate, InteriorPoint) else None

    @property
    def is_decided(self) -> bool:
        """Whether emptiness is proved or refuted."""
        return self.feasible is not None

    def holds(self, P: Polyhedron) -> Check:
        """Check the statement: emptiness, and the dimension where it is given.

        The dimension of a lower-dimensional P is d - rank(A_E), E the rows of `equalities`: the point lies
        on them and strictly inside all other rows (zero rows aside), so it can move freely within A_E y = 0.
        """
        if self.certificate is None:
            return OPEN
        if (self.feasible is False) != isinstance(self.certificate, Farkas):
            return REFUTED
        check = self.certificate.holds(P)
        expected = {Farkas: -1, InteriorPoint: P.dim}.get(type(self.certificate))
        if expected is not None or self.dim is None or not check:
            agrees = self.dim is None or expected is None or self.dim == expected
            return check if agrees else REFUTED
        check = _weakest([check, *(e.holds(P) for e in self.equalities)])
        return _weakest([check, self._check_dim(P)]) if check else check

    def _check_dim(self, P: Polyhedron) -> Check:
        """Check the dimension, given that the point and the equalities hold."""
        if not P.has_exact_rows:
            return OPEN
        rows = np.array(sorted({e.row for e in self.equalities}), dtype=np.intp)
        tight = np.flatnonzero(P.slack_signs(finite_numbers(self.point, P.dim)[None])[0] == 0)
        free = np.setdiff1d(tight, rows)
        if not zero_rows(P, free).all() or self.dim != P.dim - rank(P.exact_rows(rows)[0]):
            return REFUTED
        return PROVED


@dataclass(frozen=True, eq=False)
class ImpliedRow:
    r"""Multipliers that prove a row :math:`q \cdot x \le \beta` of Q on P.

    :math:`\lambda \ge 0`, :math:`A'\lambda = q`, :math:`b \cdot \lambda \le \beta`.

    Attributes
    ----------
    row : int
        The row of Q.
    multipliers : (m,) array
        One per row of P; Fractions or floats.
    """

    row: int
    multipliers: np.ndarray

    __repr__ = brief_repr

    def holds(self, P: Polyhedron, Q: Polyhedron) -> Check:
        """Check the combination; see `implies`."""
        if not are_rows(self.row, Q.n_rows):
            return REFUTED
        return implies(P, self.multipliers, Q.select([self.row]))


@dataclass(frozen=True, eq=False)
class Outlier:
    """A point of P outside one row of Q: P is not a subset of Q.

    Attributes
    ----------
    row : int
        The row of Q that it violates.
    point : (d,) array
    """

    row: int
    point: np.ndarray

    __repr__ = brief_repr

    def holds(self, P: Polyhedron, Q: Polyhedron) -> Check:
        """Check that the point is in P and strictly outside the row of Q."""
        point = finite_numbers(self.point, Q.dim)
        if point is None or not are_rows(self.row, Q.n_rows):
            return REFUTED
        sign = Q.select([self.row]).slack_signs(point[None])[0, 0]
        if sign != -1:
            return OPEN if sign == UNKNOWN else REFUTED
        return FeasiblePoint(point).holds(P)


@dataclass(frozen=True, eq=False)
class Inclusion:
    """Whether P is a subset of Q, with the proof.

    Attributes
    ----------
    included : bool or None
        None: neither proved nor refuted.
    certificates : tuple
        Farkas of P (the empty set is everywhere), or one ImpliedRow per row of Q, or one Outlier.
    undecided : tuple of int
        Rows of Q that were neither proved nor refuted.
    """

    included: bool | None
    certificates: tuple[Farkas | ImpliedRow | Outlier, ...]
    undecided: tuple[int, ...] = ()

    __repr__ = brief_repr

    def holds(self, P: Polyhedron, Q: Polyhedron) -> Check:
        """Check every certificate, and that they cover all rows of Q."""
        if self.included is None:
            return OPEN
        if P.dim != Q.dim:
            return REFUTED
        first = self.certificates[0] if self.certificates else None
        if self.included is False:
            return first.holds(P, Q) if isinstance(first, Outlier) else REFUTED
        if isinstance(first, Farkas):
            return first.holds(P)
        implied = [c for c in self.certificates if isinstance(c, ImpliedRow)]
        if {c.row for c in implied} != set(range(Q.n_rows)) or len(implied) != len(self.certificates):
            return REFUTED
        return _weakest([c.holds(P, Q) for c in implied])


def _weakest(checks: list[Check]) -> Check:
    """Return the conjunction of checks: failing if one fails, CERTIFIED if one is."""
    if not all(checks):
        return next(c for c in checks if not c)
    exact = all(c.level is Level.EXACT for c in checks)
    return Check(
        True, Level.EXACT if exact else Level.CERTIFIED, max((c.residual for c in checks), default=0.0)
    )
