r"""Proofs about where a polyhedron goes to infinity, and their checker.

Of :math:`P = \{x : A x \le b\}` only A matters: if P is not empty, its directions at infinity are the
recession cone :math:`\{y : A y \le 0\}`, and P is bounded iff that cone is {0} (Schrijver 1986, section 8.2).
The empty polyhedron is bounded, whatever A is; whether P is empty is another question with its own proofs.

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

from polygeom.certificates.check import PROVED, Check, Level
from polygeom.errors import UndecidedError
from polygeom.exact import is_exact_array, rational_matrix
from polygeom.polyhedron import UNKNOWN, Polyhedron
from polygeom.ranks import rank
from polygeom.rounding import TINY, U, round_up
from polygeom.verified import repair, sigma_min

__all__ = ["Boundedness", "PositiveSpan", "RecessionCone", "RecessionRay", "recession_signs"]

REFUTED = Check(False, Level.EXACT, float("inf"))
"""The certificate does not even have the right form, or a sign is wrong."""


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

    def holds(self, P: Polyhedron) -> Check:
        """Re-verify for all matrices within the row errors of P, or for its exact rows.

        Cost: one product and the Cholesky factors of `polygeom.verified.sigma_min` for floats.
        """
        support = np.asarray(self.support)
        if not _are_rows(support, P, len(self.multipliers)) or not all(v > 0 for v in self.multipliers):
            return REFUTED
        residual = float("inf")
        if not is_exact_array(self.multipliers):
            error = None if P.A_error is None else P.A_error[support]
            repaired = repair(self.multipliers, P.A[support], np.zeros(P.dim), error)
            if repaired and repaired.rank == P.dim:
                return PROVED
            residual = repaired.residual
        if not P.has_exact_rows:
            return Check(False, Level.CERTIFIED, residual)
        A, _ = P.exact_rows(support)
        combination = A.transpose() * rational_matrix(self.multipliers)
        if not any(combination.entries()) and rank(A) == P.dim:
            return PROVED
        return Check(False, Level.EXACT, residual)


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

    def holds(self, P: Polyhedron) -> Check:
        """Re-verify the sign of every product. Cost: two products with A, rationals for the ties."""
        if len(self.direction) != P.dim or not any(v != 0 for v in self.direction):
            return REFUTED
        signs = recession_signs(P, self.direction)
        if (signs == 1).any():
            return REFUTED
        return PROVED if not (signs == UNKNOWN).any() else Check(False, Level.CERTIFIED, _largest(P, self))


def _largest(P: Polyhedron, ray: RecessionRay) -> float:
    """Return the largest value that a product with the true rows can have."""
    product, error = _product_enclosure(P, ray.direction, np.arange(P.n_rows))
    return float((product + error).max())


def recession_signs(P: Polyhedron, direction: np.ndarray) -> np.ndarray:
    """Return the exact signs of A y, (m,) int8; UNKNOWN for rounded rows without an exact source.

    Parameters
    ----------
    P : Polyhedron
        Only A and its errors are read.
    direction : (d,) array of floats or Fractions
    """
    signs = np.zeros(P.n_rows, dtype=np.int8)
    moving = np.array([v != 0 for v in direction], dtype=bool)
    touched = (P.A[:, moving] != 0).any(axis=1)
    if P.A_error is not None:
        touched |= P.A_error[:, moving].any(axis=1)
    rows = np.flatnonzero(touched)  # products of all other rows have only zero terms
    product, error = _product_enclosure(P, direction, rows)
    signs[rows] = (product > error).astype(np.int8) - (product < -error).astype(np.int8)
    ties = rows[np.abs(product) <= error]
    if ties.size == 0:
        return signs
    if not P.has_exact_rows:
        signs[ties] = UNKNOWN
        return signs
    exact = (P.exact_rows(ties)[0] * rational_matrix(direction)).entries()
    signs[ties] = [(value > 0) - (value < 0) for value in exact]
    return signs


def _product_enclosure(
    P: Polyhedron, direction: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return A y in floats for some rows, and error bounds.

    `Polyhedron.slack_enclosure` with b = 0. A Fraction is first rounded to a float, within U relatively:
    that adds |A| (2 U |y| + TINY).
    """
    floats = np.array([float(v) for v in direction])
    A_error = None if P.A_error is None else P.A_error[rows]
    cone = Polyhedron(-P.A[rows], np.zeros(len(rows)), A_error)
    product, error = cone.slack_enclosure(floats[None])
    product, error = product[0], error[0]
    if is_exact_array(direction):
        size = np.abs(P.A[rows]) if A_error is None else np.abs(P.A[rows]) + A_error
        error = round_up(error + size @ (2.0 * U * np.abs(floats) + TINY), 2 * P.dim + 4)
    return product, error


def _are_rows(support: np.ndarray, P: Polyhedron, count: int) -> bool:
    """Tell whether support is a list of `count` row indices of P."""
    if support.ndim != 1 or len(support) != count or support.dtype.kind not in "iu":
        return False
    return count == 0 or (support.min() >= 0 and support.max() < P.n_rows)


@dataclass(frozen=True, eq=False)
class Boundedness:
    """Whether a polyhedron is bounded, with the proof.

    Attributes
    ----------
    bounded : bool or None
        True: bounded. False: the recession cone is more than {0}, so P is unbounded unless empty.
        None: undecided, which happens only for rounded rows that have no exact source.
    certificate : PositiveSpan, RecessionRay or None
    reason : str
        Why it is undecided; empty otherwise.
    """

    bounded: bool | None
    certificate: PositiveSpan | RecessionRay | None
    reason: str = ""

    def __bool__(self) -> bool:
        if self.bounded is None:
            raise UndecidedError(f"Boundedness was neither proved nor refuted: {self.reason}")
        return self.bounded

    def holds(self, P: Polyhedron) -> Check:
        """Re-verify the certificate against P, and that it proves this answer."""
        wanted = {True: PositiveSpan, False: RecessionRay}.get(self.bounded)
        if wanted is None or not isinstance(self.certificate, wanted):
            return Check(False, Level.CERTIFIED, float("inf"))
        return self.certificate.holds(P)


@dataclass(frozen=True, eq=False)
class RecessionCone:
    r"""The cone :math:`\{y : A y \le 0\}` of a polyhedron: dimension, relative interior, lineality.

    Attributes
    ----------
    dim : int
        Its dimension, d - rank A_I; 0 iff the polyhedron is bounded or empty.
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

    @property
    def is_pointed(self) -> bool:
        """Whether the cone contains no line."""
        return len(self.lineality) == 0

    def holds(self, P: Polyhedron) -> Check:
        """Re-verify all four statements: implicit rows, strict rows, dimension, lineality.

        Cost: that of the certificates above, and exact ranks where rank A < d.
        """
        checks = [self._implicit_holds(P), self._direction_holds(P), self._lineality_holds(P)]
        failed = [check for check in checks if not check]
        return failed[0] if failed else PROVED

    def _implicit_holds(self, P: Polyhedron) -> Check:
        """Check that the rows I vanish on the cone, and that d - rank A_I is the dimension."""
        if self.dim == 0:
            return PositiveSpan(self.multipliers, self.implicit).holds(P)
        if not _are_rows(self.implicit, P, len(self.multipliers)):
            return REFUTED
        if not all(v > 0 for v in self.multipliers):
            return REFUTED
        if not P.A[self.implicit].any() and (P.A_error is None or not P.A_error[self.implicit].any()):
            return PROVED if self.dim == P.dim else REFUTED
        if not P.has_exact_rows:
            return Check(False, Level.CERTIFIED, float("inf"))
        A, _ = P.exact_rows(self.implicit)
        vanish = not any((A.transpose() * rational_matrix(self.multipliers)).entries())
        return PROVED if vanish and P.dim - rank(A) == self.dim else REFUTED

    def _direction_holds(self, P: Polyhedron) -> Check:
        """Check products 0 on I and negative elsewhere."""
        if len(self.direction) != P.dim:
            return REFUTED
        expected = np.full(P.n_rows, -1, dtype=np.int8)
        expected[self.implicit] = 0
        if self.dim == 0:
            right = len(self.implicit) == P.n_rows and not any(v != 0 for v in self.direction)
        else:
            signs = recession_signs(P, self.direction)
            if (signs == UNKNOWN).any():
                return Check(False, Level.CERTIFIED, float("inf"))
            right = bool((signs == expected).all())
        return PROVED if right else REFUTED

    def _lineality_holds(self, P: Polyhedron) -> Check:
        """Check that the basis spans the kernel of A: A L' = 0 and rank A + rank L = d."""
        if self.lineality.shape[1:] != (P.dim,):
            return REFUTED
        if self.is_pointed and sigma_min(P.A, P.A_error) > 0.0:
            return PROVED
        if not P.has_exact_rows:
            return Check(False, Level.CERTIFIED, float("inf"))
        A, _ = P.exact_rows(np.arange(P.n_rows))
        basis = rational_matrix(self.lineality)
        spans = rank(A) + len(self.lineality) == P.dim and rank(basis) == len(self.lineality)
        return PROVED if spans and not any((A * basis.transpose()).entries()) else REFUTED
