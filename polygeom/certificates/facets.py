r"""Proofs that rows of :math:`P = \{x : A x \le b\}` are facets, redundant, or equal to another row.

P has an interior point. Two rows *coincide* if one is a positive multiple of the other, right-hand sides
included; all rows that coincide with a facet row draw the same facet, and the lowest stands for them.

- Row i is a facet iff some y violates row i and strictly satisfies every row that does not coincide with it.
- Row i is redundant iff it is no facet: the other rows imply it, :math:`a_i = A'\lambda`,
  :math:`b \cdot \lambda \le b_i` with :math:`\lambda \ge 0` on rows that do not coincide with it (Farkas;
  Schrijver 1986, Corollary 7.1h). A row that only touches P in a lower-dimensional face is redundant.
- A zero row constrains nothing: redundant if b_i >= 0.

Nothing here calls a solver.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from polygeom.arrays import brief_repr
from polygeom.certificates.check import OPEN, PROVED, REFUTED, Check, Level, are_rows, finite_numbers
from polygeom.certificates.facet_stack import FACET, REDUNDANT, UNDECIDED, CellStack, FacetProofs, prove_stack
from polygeom.certificates.feasibility import InteriorPoint, implies, zero_rows
from polygeom.errors import InputError
from polygeom.exact import fractions_array, is_exact_array, rational_matrix
from polygeom.polyhedron import UNKNOWN, Polyhedron
from polygeom.ranks import solve_near

__all__ = ["CoincidentRow", "FacetBatch", "FacetReport", "FacetWitness", "RedundantRow", "canonical_rows"]


@dataclass(frozen=True, eq=False)
class FacetWitness:
    """A point beyond one row and strictly inside all rows that do not coincide with it.

    Attributes
    ----------
    row : int
    point : (d,) array
        Floats or Fractions.
    """

    row: int
    point: np.ndarray

    __repr__ = brief_repr

    def holds(self, P: Polyhedron) -> Check:
        """Check the signs of all slacks exactly. Cost: one product with A; rationals for rows near a tie.

        Examples
        --------
        >>> square = Polyhedron.box(0, 1, dim=2)
        >>> bool(FacetWitness(0, np.array([2.0, 0.5])).holds(square))
        True
        >>> bool(FacetWitness(0, np.array([2.0, 2.0])).holds(square))
        False
        """
        point = finite_numbers(self.point, P.dim)
        if point is None or not are_rows(self.row, P.n_rows):
            return REFUTED
        signs = P.slack_signs(point[None])[0]
        if (signs == UNKNOWN).any():
            return OPEN
        if signs[self.row] != -1:
            return REFUTED
        stopped = np.flatnonzero(signs != 1)
        others = stopped[(stopped != self.row) & ~((signs[stopped] == 0) & zero_rows(P, stopped))]
        if others.size and not _coincide(P, np.append(others, self.row)):
            return REFUTED
        return PROVED


@dataclass(frozen=True, eq=False)
class RedundantRow:
    r"""Multipliers with which other rows imply one row.

    Attributes
    ----------
    row : int
    support : (k,) array of int
        Rows that do not coincide with `row`; none for a zero row.
    multipliers : (k,) array
        Non-negative Fractions with :math:`A'\lambda = a_i`, :math:`b \cdot \lambda \le b_i` exactly, or floats
        near such multipliers.
    center : (d,) array or None
        A point of P; right-hand sides are taken relative to it, which sharpens the rounding bounds.
    """

    row: int
    support: np.ndarray
    multipliers: np.ndarray
    center: np.ndarray | None = None

    __repr__ = brief_repr

    def holds(self, P: Polyhedron) -> Check:
        """Check the combination: exactly for Fractions, by the repair lemma for floats.

        Floats the lemma is too weak for are replaced by the exact solution nearest to them.

        Examples
        --------
        >>> P = Polyhedron([[1, 0], [0, 1], [1, 1]], [1, 1, 3])
        >>> bool(RedundantRow(2, np.array([0, 1]), np.array([1.0, 1.0])).holds(P))
        True
        """
        multipliers = finite_numbers(self.multipliers, -1)
        center = None if self.center is None else finite_numbers(self.center, P.dim)
        if multipliers is None or (center is None) != (self.center is None):
            return REFUTED
        if not are_rows(self.row, P.n_rows) or not are_rows(self.support, P.n_rows, len(multipliers)):
            return REFUTED
        support = np.asarray(self.support, dtype=np.intp)
        if (support == self.row).any() or any(_coincide(P, np.array([self.row, j])) for j in support):
            return REFUTED
        rows, own = _centered(P, support, center), _centered(P, np.array([self.row]), center)
        check = implies(rows, multipliers, own)
        if check and check.level is Level.EXACT:
            return check
        nearest = self._nearest_exact(P, support, multipliers)
        return check if nearest is None else implies(P.select(support), nearest, P.select([self.row]))

    def _nearest_exact(self, P: Polyhedron, support: np.ndarray, given: np.ndarray) -> np.ndarray | None:
        """Return non-negative Fractions near float multipliers that combine the row exactly, if there are."""
        if is_exact_array(given) or not P.has_exact_rows or not support.size or not (given >= 0).all():
            return None
        A, _ = P.exact_rows(support)
        own, _ = P.exact_rows(np.array([self.row]))
        solution = solve_near(A.transpose(), own.transpose(), given)
        if solution is None or any(v < 0 for v in solution.entries()):
            return None
        return fractions_array(solution.entries())


@dataclass(frozen=True)
class CoincidentRow:
    """A row that is a positive multiple of a lower one, and so draws the same boundary.

    Attributes
    ----------
    row, representative : int
        ``representative < row``.
    """

    row: int
    representative: int

    def holds(self, P: Polyhedron) -> Check:
        """Check in rationals that the two rows are positive multiples of each other.

        Examples
        --------
        >>> bool(CoincidentRow(1, 0).holds(Polyhedron([[1, 2], [3, 6]], [1, 3])))
        True
        """
        rows = are_rows([self.representative, self.row], P.n_rows, 2)
        ordered = rows and self.representative < self.row
        return PROVED if ordered and _coincide(P, np.array([self.representative, self.row])) else REFUTED


# -- exact comparisons of rows -------------------------------------------------------------------------------


def canonical_rows(P: Polyhedron, rows: np.ndarray) -> list[tuple] | None:
    """Return for each row (a, b) its multiple whose first non-zero normal entry is +-1, as rationals.

    Rows coincide iff these are equal; None if exact rows are not available and the rows are rounded.
    """
    if P.is_rounded and not P.has_exact_rows:
        errors = [e is not None and e[rows].any() for e in (P.A_error, P.b_error)]
        if any(errors):
            return None
        A, b = rational_matrix(P.A[rows]), rational_matrix(P.b[rows])
    else:
        A, b = P.exact_rows(rows)
    d, normals, sides = P.dim, A.entries(), b.entries()
    canonical = []
    for k, side in enumerate(sides):
        normal = normals[k * d : (k + 1) * d]
        scale = next((abs(v) for v in normal if v != 0), None)
        canonical.append((*normal, side) if scale is None else tuple(v / scale for v in (*normal, side)))
    return canonical


def _coincide(P: Polyhedron, rows: np.ndarray) -> bool:
    """Tell whether rows are proved to be positive multiples of each other; floats rule out most."""
    signs = np.sign(P.A[rows])
    if P.A_error is None and (signs != signs[0]).any():
        return False
    canonical = canonical_rows(P, rows)
    return canonical is not None and all(c == canonical[0] for c in canonical[1:])


def _centered(P: Polyhedron, rows: np.ndarray, center: np.ndarray | None) -> Polyhedron:
    """Return some rows of P translated so that `center` becomes the origin."""
    part = P.select(rows)
    if center is None or not part.n_rows:
        return part
    slack, error = part.slack_enclosure(np.asarray(center, dtype=np.float64)[None])
    source = None
    if P.has_exact_rows:

        def source(chosen: np.ndarray) -> tuple:
            A, b = part.exact_rows(chosen)
            return A, b - A * rational_matrix(center)

    return Polyhedron(part.A, slack[0], part.A_error, error[0], source)


# -- reports -------------------------------------------------------------------------------------------------

Certificate = FacetWitness | RedundantRow | CoincidentRow


@dataclass(frozen=True, eq=False)
class FacetReport:
    """Which rows of a polyhedron are facets, which are redundant, each with its certificate.

    Attributes
    ----------
    proofs : FacetProofs
        The float proofs, as arrays with a leading axis of length 1.
    exact : mapping of int to certificate
        Certificates that replace those of the arrays: rational ones, and those of zero rows.
    center : (d,) array of Fractions or None
        The interior point, if P is so thin that no point of floats was found in it.
    """

    proofs: FacetProofs = field(repr=False)
    exact: Mapping[int, Certificate] = field(repr=False)
    center: np.ndarray | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        counts = f"{self.facets.size} facets, {self.redundant.size} redundant"
        return f"FacetReport({counts}, {self.undecided.size} undecided, of {self._status.size} rows)"

    @property
    def _status(self) -> np.ndarray:
        return self.proofs.status[0]

    @property
    def _representative(self) -> np.ndarray:
        return self.proofs.representative[0]

    def _leads(self) -> np.ndarray:
        return self._representative == np.arange(self._representative.size)

    @property
    def interior(self) -> np.ndarray:
        """The interior point (d,) the proofs are relative to, floats or Fractions."""
        return self.proofs.interior[0] if self.center is None else self.center

    @property
    def facets(self) -> np.ndarray:
        """Rows that are facets, ascending; of coincident rows only the lowest."""
        return np.flatnonzero((self._status == FACET) & self._leads())

    @property
    def redundant(self) -> np.ndarray:
        """Rows implied by others, ascending; every one of coincident redundant rows."""
        return np.flatnonzero(self._status == REDUNDANT)

    @property
    def undecided(self) -> np.ndarray:
        """Rows that neither floats nor rationals decided; never any where exact rows are available."""
        return np.flatnonzero(self._status == UNDECIDED)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The sets of two or more coincident rows, the lowest (the representative) first."""
        members: dict[int, list[int]] = {}
        for row in np.flatnonzero(~self._leads()).tolist():
            lead = int(self._representative[row])
            members.setdefault(lead, [lead]).append(row)
        return tuple(tuple(members[lead]) for lead in sorted(members))

    @property
    def certificates(self) -> Mapping[int, Certificate]:
        """The certificate of every decided row, made when asked for."""
        return _Certificates(self)

    def holds(self, P: Polyhedron) -> Check:
        """Re-check everything without a solver: interior point, float proofs in bulk, the others one by one.

        Cost: one product of m^2 d flops, and the exact certificates.
        """
        if self._status.shape != (P.n_rows,) or self.interior.shape != (P.dim,):
            return REFUTED
        leads = self._leads()
        if not InteriorPoint(self.interior).holds(P) or not self._groups_hold(P, leads):
            return REFUTED
        if any(self._kind(c) != self._status[row] or c.row != row for row, c in self.exact.items()):
            return REFUTED
        weakest = PROVED
        for certificate in self.exact.values():
            check = certificate.holds(P)
            if not check:
                return check
            weakest = check if check.level is not Level.EXACT else weakest
        claimed = leads & (self._status != UNDECIDED)
        claimed[list(self.exact)] = False
        if claimed.any():
            active = leads & ~zero_rows(P, np.arange(P.n_rows))
            proved = prove_stack(CellStack.of(P), self.proofs, active[None])[0]
            for row in np.flatnonzero(claimed & ~proved).tolist():
                # bulk bounds serve all witnesses of a cell; one that needs sharper bounds is checked by itself
                if self._status[row] != FACET or not self.certificates[row].holds(P):
                    return REFUTED
        return weakest

    @staticmethod
    def _kind(certificate: Certificate) -> int:
        return FACET if isinstance(certificate, FacetWitness) else REDUNDANT

    def _groups_hold(self, P: Polyhedron, leads: np.ndarray) -> bool:
        """Check that every row coincides with its representative and shares its status."""
        lead = self._representative
        if not leads[lead].all() or (self._status != self._status[lead]).any():
            return False
        return all(
            bool(CoincidentRow(row, int(lead[row])).holds(P)) for row in np.flatnonzero(~leads).tolist()
        )


class _Certificates(Mapping):
    """The certificates of a report by row, built lazily from its arrays."""

    def __init__(self, report: FacetReport) -> None:
        self._report = report

    def __len__(self) -> int:
        return int(np.count_nonzero(self._report._status != UNDECIDED))

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self._report._status != UNDECIDED).tolist())

    def __getitem__(self, row: int) -> Certificate:
        report = self._report
        if not 0 <= row < report._status.size or report._status[row] == UNDECIDED:
            raise KeyError(row)
        if row in report.exact:
            return report.exact[row]
        if report._representative[row] != row:
            return CoincidentRow(int(row), int(report._representative[row]))
        if report._status[row] == FACET:
            return FacetWitness(int(row), report.proofs.witness[0, row])
        return _redundant_row(report.proofs, int(row))


def _redundant_row(proofs: FacetProofs, row: int) -> RedundantRow:
    """Return one row's multipliers with the weight of the reference and the closing rows folded in."""
    rows = np.concatenate([proofs.support[0, row], proofs.reference[0], proofs.closing[0]])
    pull = np.concatenate([proofs.reference_weight[0], proofs.closing_multipliers[0]])
    multipliers = np.concatenate([proofs.multipliers[0, row], proofs.weight[0, row] * pull])
    used = (rows >= 0) & (multipliers > 0)
    support, place = np.unique(rows[used], return_inverse=True)
    total = np.bincount(place, multipliers[used], support.size)
    return RedundantRow(row, support, total, proofs.interior[0])


@dataclass(frozen=True, eq=False)
class FacetBatch:
    """The facets of many cells with the same number of rows.

    Attributes
    ----------
    proofs : FacetProofs
        Float proofs of all cells, as stacked arrays.
    exact : mapping of int to mapping
        For some cells, the certificates that replace those of the arrays (`FacetReport.exact`).
    centers : mapping of int to array
        For some cells, the interior point in Fractions (`FacetReport.center`).

    Examples
    --------
    ``batch[i]`` is the `FacetReport` of cell i, ``len(batch)`` the number of cells.
    """

    proofs: FacetProofs = field(repr=False)
    exact: Mapping[int, Mapping[int, Certificate]] = field(repr=False)
    centers: Mapping[int, np.ndarray] = field(repr=False)

    def __len__(self) -> int:
        return self.proofs.status.shape[0]

    def __getitem__(self, cell: int) -> FacetReport:
        if not -len(self) <= cell < len(self):
            raise IndexError(f"cell {cell} of {len(self)}")
        cell %= len(self)
        part = self.proofs.part(slice(cell, cell + 1))
        return FacetReport(part, self.exact.get(cell, {}), self.centers.get(cell))

    @property
    def is_facet(self) -> np.ndarray:
        """Which rows are facets, (N, m) bool; of coincident rows only the lowest."""
        leads = self.proofs.representative == np.arange(self.proofs.status.shape[1])
        return (self.proofs.status == FACET) & leads

    @property
    def is_decided(self) -> np.ndarray:
        """Which rows are decided, (N, m) bool."""
        return self.proofs.status != UNDECIDED

    def holds(self, A: np.ndarray, b: np.ndarray) -> Check:
        """Re-check every cell (`FacetReport.holds`), the float proofs of all cells in bulk.

        Parameters
        ----------
        A : (N, m, d) array
        b : (N, m) array
        """
        if np.shape(A) != self.proofs.witness.shape or np.shape(b) != self.proofs.status.shape:
            raise InputError(f"A has shape {np.shape(A)}, wanted {self.proofs.witness.shape}.")
        leads = self.proofs.representative == np.arange(self.proofs.status.shape[1])
        zero = ~np.any(A, axis=2)
        special = (
            set(self.exact) | set(self.centers) | set(np.flatnonzero((~leads | zero).any(axis=1)).tolist())
        )
        proved = prove_stack(CellStack(A, b), self.proofs, leads & ~zero)
        low, _ = CellStack(A, b).slacks(self.proofs.interior)
        simple = (proved | ~self.is_decided).all(axis=1) & (low > 0).all(axis=1)
        for cell in np.flatnonzero(~simple).tolist() + sorted(special):
            check = self[cell].holds(Polyhedron(A[cell], b[cell]))
            if not check:
                return check
        return PROVED
