r"""Decide which rows of :math:`\{x : A x \le b\}` are facets and which are redundant, with proofs.

A cascade, each step for what the one before left open:

1. zero rows, and rows that are positive multiples of a lower one: exact comparisons, made only where a
   hash of the normalized rows agrees;
2. in low and middle dimension the kernel of `polygeom.kernels.redundancy` (hat test, Clarkson's method), in
   high dimension `polygeom.predicates.facets_large`;
3. `polygeom.certificates.facet_stack` proves what they propose, in bulk;
4. exact linear programs, started from the floats' last vertex, decide the rows that touch the polyhedron
   without being facets, and all others that are too close for floats.

Undecided are only rows known up to rounding without exact source.
"""

from __future__ import annotations

import numpy as np

from polygeom.arrays import as_array
from polygeom.certificates.check import Level, nearest_floats
from polygeom.certificates.facet_stack import (
    FACET,
    REDUNDANT,
    UNDECIDED,
    CellStack,
    FacetProofs,
    prove_stack,
)
from polygeom.certificates.facets import (
    Certificate,
    FacetBatch,
    FacetReport,
    FacetWitness,
    RedundantRow,
)
from polygeom.certificates.feasibility import InteriorPoint, zero_rows
from polygeom.errors import InputError, UndecidedError
from polygeom.exact import as_point, fraction, fractions_array, is_exact_array
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.coincidence import cells_with_like_rows, representatives
from polygeom.predicates.facets_large import EXACT_SUPPORT, large_facets
from polygeom.predicates.proposals import EXACT_DIM
from polygeom.predicates.subject import about_polyhedra, check_method
from polygeom.rounding import TINY, U

__all__ = ["facets", "facets_batch"]

ROOM = 2.0**33 * U
"""Share of its slack that a redundant row of a bounded cell lends to its rounding errors, at first."""

LARGE_DIMENSION, LARGE_EXCESS = 100, 6
"""`large_facets` is faster from this dimension on, while there are at most so many rows per dimension: with
more, many rows are redundant, and it takes ten factorizations for each of them."""


@about_polyhedra
def facets(P: Polyhedron, interior: object = None, method: str = "auto") -> FacetReport:
    """Decide for every row whether it is a facet or redundant, with certificates.

    Parameters
    ----------
    P : Polyhedron
        Closed, with an interior point. Zero rows, coincident rows and m = 0 are allowed.
    interior : (d,) array, optional
        A point strictly inside every non-zero row. None: `polygeom.predicates.feasibility` finds one.
    method : {"auto", "lp"}
        "lp" asks one linear program per row (HiGHS): the slow second opinion. Its answers are proved alike.

    Returns
    -------
    FacetReport
        `undecided` is empty wherever exact rows are available, in up to 250 dimensions; beyond, rows that touch P
        in a lower-dimensional face may be left.

    Raises
    ------
    InputError
        If P is empty or has no interior point, or the given point is not interior.
    UndecidedError
        If no interior point could be proved or refuted.

    Notes
    -----
    Cost, proofs included: 0.1 ms at (d, m) = (10, 50), 4 ms at (50, 200), 0.2 s at (50, 1500). A row that
    touches P in a lower-dimensional face costs an exact linear program: 1 ms at (10, 50), 20 ms at (50, 200).
    Beyond 60 dimensions a program in floats comes first: 10 s at (383, 1536) for a row.

    Examples
    --------
    >>> corner = Polyhedron([[-1, 0], [0, -1], [-1, -1], [0, -2]], [0, 0, 0, 0])
    >>> report = facets(corner)
    >>> report.facets, report.redundant, report.groups
    (array([0, 1]), array([2]), ((1, 3),))
    >>> bool(report.holds(corner))
    True
    """
    check_method(method)
    center, rational_center = _interior(P, interior)
    zero = zero_rows(P, np.arange(P.n_rows))
    representative = representatives(P, ~zero)
    active = ~zero & (representative == np.arange(P.n_rows))
    thin = is_exact_array(rational_center)
    exact: dict[int, Certificate] = {}
    by_floats = method == "auto" and not thin and active.any()
    proofs = _no_proofs(center[None], representative[None], P.dim)
    many_facets = P.dim >= LARGE_DIMENSION and active.sum() <= LARGE_EXCESS * P.dim
    if by_floats and not many_facets:
        stack = CellStack.of(P)
        _search(stack, stack.slacks(center[None]), proofs, active[None])
    elif by_floats:
        _search_large(P, proofs, active, exact)
    _decide_rest(P, proofs, 0, active, exact, rational_center, method)
    return FacetReport(proofs, exact, rational_center if thin else None)


def facets_batch(A: object, b: object, interior: object = None) -> FacetBatch:
    """Decide the facets of many polyhedra with the same number of rows; see `facets`.

    Parameters
    ----------
    A : (N, m, d) array
    b : (N, m) array
    interior : (N, d) array, optional
        Points strictly inside every non-zero row of their cell.

    Returns
    -------
    FacetBatch
        Indexed by cell; the certificates stay in stacked arrays. Cost: 0.1 ms a cell at (d, m) = (10, 50).

    Raises
    ------
    InputError
        On other shapes, NaN or infinities; if a cell has no interior, or a point is not strictly inside its cell.

    Examples
    --------
    >>> A = np.array([[[1.0], [-1.0], [1.0]], [[1.0], [-1.0], [2.0]]])
    >>> batch = facets_batch(A, np.array([[1.0, 1.0, 2.0], [1.0, 0.0, 2.0]]))
    >>> batch[0].redundant, batch[1].groups
    (array([2]), ((0, 2),))
    """
    A, b = as_array(A, "A"), as_array(b, "b")
    if A.ndim != 3 or b.shape != A.shape[:2]:
        raise InputError(f"A and b have shapes {A.shape} and {b.shape}, wanted (N, m, d) and (N, m).")
    N, m, d = A.shape
    thin: dict[int, np.ndarray] = {}
    if interior is None:
        found = [_interior(Polyhedron(A[n], b[n]), None) for n in range(N)]
        interior = np.array([point for point, _ in found]).reshape(N, d)
        thin = {n: exact for n, (_, exact) in enumerate(found) if is_exact_array(exact)}
    centers = as_array(interior, "interior")
    if centers.shape != (N, d):
        raise InputError(f"interior has shape {centers.shape}, wanted {(N, d)}.")
    stack = CellStack(A, b)
    zero = ~A.any(axis=2)
    slacks = stack.slacks(centers)
    for n in np.flatnonzero((~(slacks[0] > 0) & ~(zero & (b >= 0))).any(axis=1)).tolist():
        if n not in thin:
            _interior(Polyhedron(A[n], b[n]), centers[n])
    representative = np.broadcast_to(np.arange(m), (N, m)).copy()
    for n in cells_with_like_rows(A, b).tolist():
        representative[n] = representatives(Polyhedron(A[n], b[n]), ~zero[n])
    active = ~zero & (representative == np.arange(m))
    proofs = _no_proofs(centers, representative, d)
    if active.any():
        _search(stack, slacks, proofs, active)
    exact: dict[int, dict[int, Certificate]] = {}
    for n in np.flatnonzero((proofs.status == UNDECIDED).any(axis=1)).tolist():
        exact[n] = {}
        center = thin.get(n, centers[n])
        _decide_rest(Polyhedron(A[n], b[n]), proofs, n, active[n], exact[n], center, "auto")
    return FacetBatch(proofs, exact, thin)


# -- preparation ---------------------------------------------------------------------------------------------


def _interior(P: Polyhedron, given: object) -> tuple[np.ndarray, np.ndarray]:
    """Return an interior point as floats and as it is proved (floats, or Fractions where floats fail)."""
    if given is not None:
        point = as_point(given, "interior", P.dim)
        check = InteriorPoint(point).holds(P)
        if not check or check.level is not Level.EXACT:
            raise InputError(
                "The given interior point is not strictly inside every row of the polyhedron. Remedy: leave "
                "interior=None to have one found, or pass a point with A x < b."
            )
        return nearest_floats(point), point
    from polygeom.predicates.feasibility import feasibility

    found = feasibility(P)
    if found.interior is not None:
        return nearest_floats(found.interior), found.interior
    if found.feasible is None or found.dim is None:
        raise UndecidedError(
            "No interior point was found and none was excluded: the polyhedron is empty, lower-dimensional, or "
            "thinner than the rounding errors of its rows. Remedy: pass interior=, or give it exact rows."
        )
    if not found.feasible:
        raise InputError(
            "The polyhedron is empty: it has no facets. Ask feasibility(P) for the contradiction."
        )
    raise InputError(
        f"The polyhedron has dimension {found.dim} in R^{P.dim}: facets are defined here for polyhedra with an "
        "interior point. Remedy: pull it back to its affine hull (implicit_equalities(P) lists the equations)."
    )


def _no_proofs(centers: np.ndarray, representative: np.ndarray, d: int) -> FacetProofs:
    """Return proofs of nothing."""
    N, m = representative.shape
    return FacetProofs(
        interior=centers,
        status=np.zeros((N, m), np.int8),
        representative=representative,
        witness=np.zeros((N, m, d)),
        support=np.full((N, m, d), -1, np.int32),
        multipliers=np.zeros((N, m, d)),
        weight=np.zeros((N, m)),
        reference=np.full((N, d), -1, np.int32),
        reference_weight=np.zeros((N, d)),
        inverse=np.zeros((N, d, d)),
        closing=np.full((N, d), -1, np.int32),
        closing_multipliers=np.zeros((N, d)),
    )


# -- floats --------------------------------------------------------------------------------------------------


@np.errstate(over="ignore", invalid="ignore")
def _search(
    stack: CellStack, slacks: tuple[np.ndarray, np.ndarray], proofs: FacetProofs, active: np.ndarray
) -> None:
    """Fill in what the kernel finds and `prove_stack` proves; the rest stays UNDECIDED, overflows included."""
    from polygeom.kernels import redundancy

    slack = np.where(active, np.maximum(0.5 * (slacks[0] + slacks[1]), TINY), 1.0)
    found = redundancy.Candidates(*(getattr(proofs, name) for name in redundancy.Candidates._fields))
    redundancy.search_stack(stack.A, slack, active, found)
    proofs.witness[...] += proofs.interior[:, None, :]
    h = np.einsum("nk,nk->n", proofs.closing_multipliers, np.take_along_axis(slack, proofs.closing, 1))
    share = np.where(proofs.closing[:, 0] >= 0, ROOM / (slack.shape[1] + h), redundancy.WEIGHT)
    np.multiply(slack, share[:, None], out=proofs.weight)
    reference = np.take_along_axis(slack, np.maximum(proofs.reference, 0), 1)
    np.divide(1.0, reference, out=proofs.reference_weight, where=proofs.reference >= 0)
    proved = prove_stack(stack, proofs, active)
    again = (proofs.status == REDUNDANT) & active & ~proved & (proofs.closing[:, :1] >= 0)
    for n in np.flatnonzero(again.any(axis=1)).tolist():
        cell = slice(n, n + 1)
        _rebalance(proofs.part(cell), slack[n], again[n])
        proved[cell] |= prove_stack(stack.part(cell), proofs.part(cell), active[cell])
    proofs.status[~proved] = UNDECIDED


def _rebalance(proofs: FacetProofs, slack: np.ndarray, rows: np.ndarray) -> None:
    """Let rounding errors of some rows of one bounded cell take a quarter of the room they have.

    The combination g that vanishes there costs its right-hand side h per unit of weight; the room is what the
    multipliers leave of the row's slack.
    """
    used = proofs.support[0, rows] >= 0
    spent = np.where(used, slack[proofs.support[0, rows]], 0.0) * proofs.multipliers[0, rows]
    room = slack[rows] - spent.sum(axis=1)
    h = proofs.reference.shape[1] + proofs.closing_multipliers[0] @ slack[proofs.closing[0]]
    proofs.weight[0, rows] = np.maximum(room / (4.0 * h), 0.0)


def _search_large(
    P: Polyhedron, proofs: FacetProofs, active: np.ndarray, exact: dict[int, Certificate]
) -> None:
    """Fill in what `large_facets` proves about the active rows."""
    rows = np.flatnonzero(active)
    found = large_facets(P.select(rows), proofs.interior[0])
    proofs.status[0, rows[found.facets]] = FACET
    proofs.witness[0, rows[found.facets]] = found.witnesses
    for k, support, multipliers in zip(found.redundant, found.supports, found.multipliers, strict=True):
        row = int(rows[k])
        proofs.status[0, row] = REDUNDANT
        exact[row] = RedundantRow(row, rows[support], multipliers)


# -- the rest ------------------------------------------------------------------------------------------------


def _decide_rest(
    P: Polyhedron,
    proofs: FacetProofs,
    cell: int,
    active: np.ndarray,
    exact: dict[int, Certificate],
    center: np.ndarray,
    method: str,
) -> None:
    """Decide the rows left undecided one by one, then pass the statuses on to zero and coincident rows."""
    status, lead = proofs.status[cell], proofs.representative[cell]
    one_by_one = _RowByRow(P, center, active, method)
    strictly_redundant = (status == REDUNDANT) & active
    for row in np.flatnonzero(active & (status == UNDECIDED)).tolist():
        hint = proofs.support[cell, row]
        certificate = one_by_one.decide(row, strictly_redundant, hint[hint >= 0])
        if certificate is not None:
            exact[row] = certificate
            status[row] = FACET if isinstance(certificate, FacetWitness) else REDUNDANT
    for row in np.flatnonzero(~active & (lead == np.arange(P.n_rows))).tolist():
        # zero rows: an interior point exists, so b >= 0
        exact[row] = RedundantRow(row, np.empty(0, np.intp), fractions_array([]))
        status[row] = REDUNDANT
    status[:] = status[lead]


class _RowByRow:
    """One linear program per row: in floats if asked for or in many dimensions, in rationals where they fail.

    Rows that floats proved redundant are left out of the programs of the others (Clarkson 1994): the proof is
    strict, so no point of P touches such a row and P is the same without all of them.
    """

    def __init__(self, P: Polyhedron, center: np.ndarray, active: np.ndarray, method: str) -> None:
        self.P, self.center, self.active, self.method = P, center, active, method
        self.program = None

    def decide(self, row: int, dropped: np.ndarray, hint: np.ndarray) -> Certificate | None:
        """Return a proof for one row, or None if its exact rows are not known or too many to solve for."""
        if self.method == "lp" or self.P.dim > EXACT_DIM:
            proposal, hint = self._by_floats(row)
            if proposal is not None:
                check = proposal.holds(self.P)
                if check and check.level is Level.EXACT:
                    return proposal
        if not self.P.has_exact_rows or self.P.dim > EXACT_SUPPORT:
            return None
        return self._by_rationals(row, dropped, hint)

    def _by_floats(self, row: int) -> tuple[Certificate | None, np.ndarray]:
        """Maximize the row over the other active rows with HiGHS."""
        from polygeom.errors import SolverError
        from polygeom.lp import WarmLp

        if self.program is None:
            self.rows = np.flatnonzero(self.active)
            self.program = WarmLp(self.P.A[self.rows], self.P.b[self.rows])
        place = int(np.searchsorted(self.rows, row))
        self.program.relax(place)
        try:
            found = self.program.maximize(self.P.A[row])
        except SolverError:
            return None, np.empty(0, np.intp)
        finally:
            self.program.restore(place)
        hint = self.rows[[i for i in found.basis if i != place]]
        if found.status == "optimal" and found.value <= self.P.b[row]:
            support = np.flatnonzero(found.multipliers > 0)
            support = support[support != place]
            center = self.center.astype(np.float64)
            return RedundantRow(row, self.rows[support], found.multipliers[support], center), hint
        if found.point is None:
            return None, hint
        point = found.point
        if found.ray is not None:
            lift = float(self.P.A[row] @ found.ray)
            missing = max(float(self.P.b[row] - self.P.A[row] @ point), 0.0)
            point = point + (1.0 + 2.0 * missing / lift) * found.ray
        return FacetWitness(row, self._between(row, point)), hint

    def _between(self, row: int, point: np.ndarray) -> np.ndarray:
        """Return the middle between where the way from the center to a point leaves P and where it ends."""
        center = self.center.astype(np.float64)
        inside = self.P.b[row] - self.P.A[row] @ center
        rate = self.P.A[row] @ (point - center)
        leaves = inside / rate if rate > inside else 1.0
        return center + 0.5 * (1.0 + leaves) * (point - center)

    def _by_rationals(self, row: int, dropped: np.ndarray, hint: np.ndarray) -> Certificate:
        """Maximize the row exactly over the active rows not dropped: a proof in any case."""
        from polygeom.predicates.rational import maximize

        kept = self.active & ~dropped
        kept[row] = False
        others = np.flatnonzero(kept)
        own, side = self.P.exact_rows(np.array([row]))
        A, b = self.P.exact_rows(others)
        start = np.searchsorted(others, hint[kept[hint]]).tolist()
        found = maximize(own.transpose(), A, b, start)
        bound = fraction(side[0, 0])
        if found.status == "optimal" and found.value <= bound:
            support = np.flatnonzero([v != 0 for v in found.multipliers])
            return RedundantRow(row, others[support], found.multipliers[support])
        normal = fractions_array(own.entries())
        point = found.point
        if found.status == "unbounded":
            missing = max(bound - normal @ point, 0)
            point = point + (1 + missing / (normal @ found.ray)) * found.ray
        return FacetWitness(row, self._beyond(row, point))

    def _beyond(self, row: int, point: np.ndarray) -> np.ndarray:
        """Return an exact point just beyond the row, on the way from the center to a point beyond it.

        The way leaves P through the row, before it reaches any other: half-way to the next one, or to the end.
        """
        rows = np.flatnonzero(self.active)
        center = fractions_array(self.center)
        start = fractions_array(self.P.exact_slacks(center, rows))
        end = fractions_array(self.P.exact_slacks(point, rows))
        leaves = [s / (s - e) if e < s else None for s, e in zip(start, end, strict=True)]
        own = leaves[int(np.searchsorted(rows, row))]
        after = min(
            (t for t, i in zip(leaves, rows, strict=True) if i != row and t is not None), default=own + 1
        )
        return center + (own + min(after, own + 1)) / 2 * (point - center)
