r"""Proofs about where a polyhedron goes to infinity, and their checker.

Of :math:`P = \{x : A x \le b\}` only A matters: if P is not empty, its directions at infinity are the
recession cone :math:`\{y : A y \le 0\}`, and P is bounded iff that cone is {0} (Schrijver 1986, section 8.2).
The empty polyhedron is bounded, whatever A is: its proof is that of emptiness (Farkas), and UNBOUNDED takes a
point of P besides the ray.

Gordan and Stiemke (Schrijver 1986, section 7.8) supply both kinds of proof:

- :math:`\lambda > 0` on rows S of rank d with :math:`A_S'\lambda = 0`: for y in the cone all terms of
  :math:`\sum \lambda_i a_i \cdot y = 0` are :math:`\le 0`, so :math:`A_S y = 0` and y = 0. BOUNDED.
- :math:`y \ne 0` with :math:`A y \le 0`. UNBOUNDED, if not empty.

Between the two lie lower-dimensional cones. A row is an *implicit equality* of the cone if
:math:`a_i \cdot y = 0` on all of it; :math:`\lambda > 0` on those rows I with :math:`A_I'\lambda = 0` proves
that they are, a single y with :math:`A_I y = 0` and all other products negative proves that no others are.
Then dim = d - rank A_I, and y is a relative interior point. The lineality space is the kernel of A.

No solver is used here. Every sign is the sign for the true rows: floats beyond their bound, else rationals.
"""

from __future__ import annotations

from dataclasses import dataclass

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
from polygeom.certificates.feasibility import Farkas, FeasiblePoint
from polygeom.errors import UndecidedError
from polygeom.exact import is_exact_array, rational_matrix
from polygeom.polyhedron import UNKNOWN, Polyhedron
from polygeom.ranks import rank
from polygeom.verified import repair, sigma_min

__all__ = ["Boundedness", "PositiveSpan", "RecessionCone", "RecessionRay", "recession_signs"]


@dataclass(frozen=True, eq=False)
class PositiveSpan:
    r"""Proof that the recession cone is {0}: :math:`\lambda > 0`, :math:`A_S'\lambda = 0`, rank A_S = d.

    Attributes
    ----------
    multipliers : (k,) array
        :math:`\lambda`. Floats need to solve the equation only up to the repair lemma; Fractions exactly.
    support : (k,) array of int
        S, the rows they belong to.

    Examples
    --------
    >>> square = Polyhedron.box(-1, 1, dim=2)
    >>> bool(PositiveSpan(np.ones(4), np.arange(4)).holds(square))
    True
    >>> bool(PositiveSpan(np.ones(2), np.array([0, 2])).holds(square))
    False
    """

    multipliers: np.ndarray
    support: np.ndarray

    __repr__ = brief_repr

    def holds(self, P: Polyhedron) -> Check:
        """Re-verify for all matrices within the row errors of P, or for its exact rows.

        Cost: one product and the Cholesky factors of `polygeom.verified.sigma_min` for floats.
        """
        multipliers = _positive_on(self.support, self.multipliers, P)
        if multipliers is None:
            return REFUTED
        support = np.asarray(self.support, dtype=np.intp)
        residual = float("inf")
        if not is_exact_array(multipliers):
            error = None if P.A_error is None else P.A_error[support]
            with np.errstate(over="ignore", invalid="ignore"):
                repaired = repair(multipliers, P.A[support], np.zeros(P.dim), error)
            if repaired and repaired.rank == P.dim:
                return PROVED
            residual = repaired.residual
        if not P.has_exact_rows:
            return Check(False, Level.CERTIFIED, residual)
        A, _ = P.exact_rows(support)
        combination = A.transpose() * rational_matrix(multipliers)
        if not any(combination.entries()) and rank(A) == P.dim:
            return PROVED
        return Check(False, Level.EXACT, residual)


def _positive_on(support: object, multipliers: object, P: Polyhedron) -> np.ndarray | None:
    """Return the multipliers of some rows of P, or None unless they are positive and the rows are rows of P."""
    numbers = finite_numbers(multipliers, -1)
    if numbers is None or not are_rows(support, P.n_rows, len(numbers)) or not all(v > 0 for v in numbers):
        return None
    return numbers


@dataclass(frozen=True, eq=False)
class RecessionRay:
    r"""Proof that a non-empty polyhedron is unbounded: :math:`y \ne 0` with :math:`A y \le 0`.

    Attributes
    ----------
    direction : (d,) array of floats or Fractions
        y. Also a proof that the recession cone contains more than 0.

    Examples
    --------
    >>> bool(RecessionRay(np.array([-1.0, 0.0])).holds(Polyhedron([[1, 2]], [3])))
    True
    """

    direction: np.ndarray

    __repr__ = brief_repr

    def holds(self, P: Polyhedron) -> Check:
        """Re-verify the sign of every product. Cost: two products with A, rationals for the ties."""
        direction = finite_numbers(self.direction, P.dim)
        if direction is None or not any(v != 0 for v in direction):
            return REFUTED
        signs = recession_signs(P, direction)
        if (signs == 1).any():
            return REFUTED
        unknown = np.flatnonzero(signs == UNKNOWN)
        if not unknown.size:
            return PROVED
        slack, error = P.select(unknown).homogeneous().slack_enclosure(nearest_floats(direction)[None])
        return Check(False, Level.CERTIFIED, float((error - slack).max()))


def recession_signs(P: Polyhedron, direction: np.ndarray) -> np.ndarray:
    """Return the exact signs of A y, (m,) int8; UNKNOWN for rounded rows without an exact source.

    Parameters
    ----------
    P : Polyhedron
        Only A and its errors are read.
    direction : (d,) array of floats or Fractions

    Notes
    -----
    The slacks of the recession cone at -y. Rows that the direction does not touch have only zero terms.
    """
    moving = np.array([v != 0 for v in direction], dtype=bool)
    touched = P.A[:, moving].any(axis=1)
    if P.A_error is not None:
        touched |= P.A_error[:, moving].any(axis=1)
    signs = np.zeros(P.n_rows, dtype=np.int8)
    if touched.any():
        signs[touched] = P.select(touched).homogeneous().slack_signs(-direction[None])[0]
    return signs


@dataclass(frozen=True, eq=False)
class Boundedness:
    """Whether a polyhedron is bounded, with the proof. The empty one is.

    Attributes
    ----------
    bounded : bool or None
        None: undecided; `reason` says what stands in the way.
    certificate : PositiveSpan, Farkas, RecessionRay or None
        Positive multipliers of rows that span, or the proof that P is empty, or a ray. A ray alone, without
        `point`, proves that P is unbounded or empty.
    reason : str
        Why it is undecided; empty otherwise.
    point : FeasiblePoint or None
        With a ray: the proof that P is not empty.
    """

    bounded: bool | None
    certificate: PositiveSpan | Farkas | RecessionRay | None
    reason: str = ""
    point: FeasiblePoint | None = None

    __repr__ = brief_repr

    def __bool__(self) -> bool:
        if self.bounded is None:
            raise UndecidedError(f"Boundedness was neither proved nor refuted: {self.reason}")
        return self.bounded

    def holds(self, P: Polyhedron) -> Check:
        """Re-verify the certificates against P, and that they prove this answer."""
        if self.bounded is None:
            return OPEN
        if self.bounded:
            return (
                self.certificate.holds(P) if isinstance(self.certificate, PositiveSpan | Farkas) else REFUTED
            )
        if not (isinstance(self.certificate, RecessionRay) and isinstance(self.point, FeasiblePoint)):
            return REFUTED
        check = self.certificate.holds(P)
        return self.point.holds(P) if check else check


@dataclass(frozen=True, eq=False)
class RecessionCone:
    r"""The cone :math:`\{y : A y \le 0\}` of a polyhedron: dimension, relative interior, lineality.

    Attributes
    ----------
    dim : int
        Its dimension, d - rank A_I. A non-empty P is bounded iff it is 0; of an empty P it says nothing.
    direction : (d,) array of floats or Fractions
        A relative interior point; 0 where the cone is a linear space.
    implicit : (k,) array of int
        I: the rows with product 0 on the whole cone, zero rows included.
    multipliers : (k,) array
        Positive, :math:`A_I'\lambda = 0`: floats under the repair lemma if rank A_I = d, else Fractions
        (or any floats if all those rows are zero).
    lineality : (l, d) array
        A basis of the kernel of A as rows of Fractions; (0, d) when the cone is pointed.

    Examples
    --------
    >>> from polygeom.predicates.boundedness import recession_cone
    >>> strip = Polyhedron([[1, 0], [-1, 0]], [1, 1])
    >>> cone = recession_cone(strip)
    >>> cone.dim, len(cone.lineality), cone.implicit
    (1, 1, array([0, 1]))
    """

    dim: int
    direction: np.ndarray
    implicit: np.ndarray
    multipliers: np.ndarray
    lineality: np.ndarray

    __repr__ = brief_repr

    @property
    def is_pointed(self) -> bool:
        """Whether the cone contains no line."""
        return len(self.lineality) == 0

    def holds(self, P: Polyhedron) -> Check:
        """Re-verify all four statements: implicit rows, strict rows, dimension, lineality.

        Cost: that of the certificates above, and exact ranks where rank A < d.
        """
        direction, lineality = (
            finite_numbers(self.direction, P.dim),
            finite_numbers(self.lineality, -1, P.dim),
        )
        multipliers = _positive_on(self.implicit, self.multipliers, P)
        if direction is None or lineality is None or multipliers is None:
            return REFUTED
        implicit = np.asarray(self.implicit, dtype=np.intp)
        for check in (
            self._implicit_holds(P, implicit, multipliers),
            self._direction_holds(P, implicit, direction),
            _spans_kernel(P, lineality),
        ):
            if not check:
                return check
        return PROVED

    def _implicit_holds(self, P: Polyhedron, implicit: np.ndarray, multipliers: np.ndarray) -> Check:
        """Check that the rows I vanish on the cone, and that d - rank A_I is the dimension."""
        if self.dim == 0:
            return PositiveSpan(multipliers, implicit).holds(P)
        if not P.A[implicit].any() and (P.A_error is None or not P.A_error[implicit].any()):
            return PROVED if self.dim == P.dim else REFUTED
        if not P.has_exact_rows:
            return OPEN
        A, _ = P.exact_rows(implicit)
        vanish = not any((A.transpose() * rational_matrix(multipliers)).entries())
        return PROVED if vanish and P.dim - rank(A) == self.dim else REFUTED

    def _direction_holds(self, P: Polyhedron, implicit: np.ndarray, direction: np.ndarray) -> Check:
        """Check products 0 on I and negative elsewhere."""
        expected = np.full(P.n_rows, -1, dtype=np.int8)
        expected[implicit] = 0
        if self.dim == 0:
            right = not expected.any() and not any(v != 0 for v in direction)
        else:
            signs = recession_signs(P, direction)
            if (signs == UNKNOWN).any():
                return OPEN
            right = bool((signs == expected).all())
        return PROVED if right else REFUTED


def _spans_kernel(P: Polyhedron, lineality: np.ndarray) -> Check:
    """Check that a basis L spans the kernel of A: A L' = 0 and rank A + rank L = d."""
    if not len(lineality) and sigma_min(P.A, P.A_error) > 0.0:
        return PROVED
    if not P.has_exact_rows:
        return OPEN
    A, _ = P.exact_rows(np.arange(P.n_rows))
    basis = rational_matrix(lineality)
    spans = rank(A) + len(lineality) == P.dim and rank(basis) == len(lineality)
    return PROVED if spans and not any((A * basis.transpose()).entries()) else REFUTED
