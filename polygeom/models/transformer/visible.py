r"""Which facets of a gate cell LayerNorm's image reaches, with proofs.

With :math:`\epsilon > 0` the image is the open ball :math:`|y|^2 < d` of the hyperplane orthogonal to ones. A
facet is *visible* if some of its points lie in the ball.

- Visible: an interior point c of the cell and a witness w beyond row i alone, both in the ball. The segment
  between them meets the facet i in its relative interior, and the ball is convex.
- Invisible: multipliers :math:`\lambda_j \ge 0` (:math:`\lambda_i` free) with :math:`b'\lambda < 0` and
  :math:`(b'\lambda)^2 \ge d\, |A'\lambda|^2`. A point y of the facet has :math:`\lambda'A y \le b'\lambda < 0`, so
  :math:`|A'\lambda| |y| \ge |b'\lambda|`. With :math:`\lambda_i` alone this is the distance of the hyperplane.

The nearest point of a facet to 0 gives one or the other: by the duality of that quadratic program nothing stays
open but facets that touch the sphere, up to the floats' precision. `polygeom.models.transformer.visible_search`
proposes. For :math:`\epsilon = 0` the image is the sphere itself, and what is said here is said of the ball
inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from polygeom.arrays import freeze
from polygeom.certificates.check import PROVED, REFUTED, Check
from polygeom.certificates.facets import FacetReport
from polygeom.models.transformer.gate_cells import GateCell
from polygeom.models.transformer.hyperplane import Hyperplane
from polygeom.models.transformer.visible_search import (
    BEYOND,
    Found,
    hat_points,
    least_norm_by_program,
    least_norms,
)
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.facets_large import witnesses_hold
from polygeom.rounding import TINY, gamma, round_up
from polygeom.threads import one_blas_thread

__all__ = ["VisibleFacets", "inside_ball", "is_beyond_ball", "visible_facets"]

CENTERS = 0.9, 0.5, 0.1
"""Where interior points are taken between the foot of the ray through the token and the token, as shares."""


@dataclass(frozen=True, eq=False)
class VisibleFacets:
    """Which facets of a gate cell meet the open ball of radius sqrt(d); rows are those of the cell's polyhedron.

    Attributes
    ----------
    visible, invisible, undecided : arrays
        Facets, ascending (of coincident rows the lowest).
    interior : (d - 1,) array or None
        A point of the cell's interior in the ball; None if none was found, and nothing is proved visible then.
    witnesses : (k, d - 1) array
        For each visible facet a point in the ball beyond its row alone.
    multipliers : mapping of int to (support, numbers)
        For each invisible facet.
    report : FacetReport
        The facets of the cell.
    """

    visible: np.ndarray
    invisible: np.ndarray
    undecided: np.ndarray
    interior: np.ndarray | None
    witnesses: np.ndarray = field(repr=False)
    multipliers: dict[int, tuple[np.ndarray, np.ndarray]] = field(repr=False)
    report: FacetReport = field(repr=False)

    def __repr__(self) -> str:
        open_ = f", {len(self.undecided)} undecided" if len(self.undecided) else ""
        return f"VisibleFacets({len(self.visible)} visible, {len(self.invisible)} invisible{open_})"

    def holds(self, cell: GateCell) -> Check:
        """Re-check everything without a solver: the facets, all witnesses and all multipliers."""
        told = np.sort(np.concatenate([self.visible, self.invisible, self.undecided]))
        if not np.array_equal(told, self.report.facets) or set(self.multipliers) != set(
            self.invisible.tolist()
        ):
            return REFUTED
        check = self.report.holds(cell.polyhedron)
        if not check:
            return check
        rows, Q = _kept(cell, self.report)
        if len(self.visible):
            if self.interior is None or not _is_center(Q, cell.plane, self.interior):
                return REFUTED
            place = np.searchsorted(rows, self.visible)
            if not _see(Q, cell.plane, place, self.witnesses).all():
                return REFUTED
        for row, (support, numbers) in self.multipliers.items():
            if not is_beyond_ball(cell.polyhedron, cell.plane, row, support, numbers):
                return REFUTED
        return PROVED


def visible_facets(cell: GateCell, report: FacetReport | None = None, programs: int = 0) -> VisibleFacets:
    """Decide which facets of a gate cell meet the ball that is the image of LayerNorm, with proofs.

    Parameters
    ----------
    cell : GateCell
    report : FacetReport, optional
        Its facets, if they are known; found otherwise.
    programs : int
        How many second-order cone programs may be spent on what the sweeps leave, in order of rows.

    Returns
    -------
    VisibleFacets
        Undecided are facets that touch the sphere up to rounding, or for which the sweeps ended too early.

    Notes
    -----
    Cost at (768, 3072): one second for each of three interior points, whose hat directions see most facets, and up
    to 2000 sweeps of two products for the rest; half a minute a program.

    Examples
    --------
    >>> from polygeom.models.transformer import NormedMLP, gate_cell
    >>> W = [[1, -1, 0], [-1, 1, 0], [0, 1, -1]]
    >>> block = NormedMLP([1, 1, 1], [0, 0, 0], 0.1, W, [1, 1, 3], "gelu", [[1, 1, 1]], [0])
    >>> visible_facets(gate_cell(block, [0.1, 0, 0]))
    VisibleFacets(2 visible, 1 invisible)
    """
    found = cell.facets() if report is None else report
    search = _Search(cell, found)
    with one_blas_thread(cell.polyhedron.A.size), np.errstate(all="ignore"):  # what overflows proves nothing
        search.run(programs)
    return search.result()


class _Search:
    """Collects what is proved about one cell; rows here are those of Q, facets and undecided rows."""

    def __init__(self, cell: GateCell, report: FacetReport) -> None:
        self.cell, self.report, self.plane = cell, report, cell.plane
        self.rows, self.Q = _kept(cell, report)
        self.asked = np.flatnonzero(np.isin(self.rows, report.facets))
        self.is_visible = np.zeros(len(self.rows), dtype=bool)
        self.witnesses = np.empty(self.Q.A.shape)
        self.proofs: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.interior: np.ndarray | None = None

    def run(self, programs: int) -> None:
        """Search: single hyperplanes, interior points along the ray, nearest points."""
        for row in self.left().tolist():
            self.accept_multipliers(row, np.array([row]), np.array([-1.0 if self.Q.b[row] > 0 else 1.0]))
        for center, slack in self.centers():
            self.interior = center
            if not len(self.left()):
                return
            points = hat_points(self.Q.A, slack, center)
            self.accept_points(self.left(), points[self.left()])
        if self.interior is None:
            return
        known = self.report.proofs.witness[0][self.rows]
        self.accept_points(self.left(), self.cut(self.left(), known))
        for found, done in least_norms(self.Q.A, self.Q.b, self.interior, self.left()):
            self.accept(found)
            done[:] = ~np.isin(found.rows, self.left())
        for row in self.left()[:programs].tolist():
            proposal = least_norm_by_program(self.Q.A, self.Q.b, self.interior, row)
            if proposal is not None:
                self.accept(proposal)

    def left(self) -> np.ndarray:
        """Return the facets not decided yet."""
        open_ = ~self.is_visible
        open_[list(self.proofs)] = False
        return self.asked[open_[self.asked]]

    def centers(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield proved interior points in the ball, the deepest last, with their slacks."""
        token = self.cell.witness
        if not (self.cell.polyhedron.slack_signs(token[None]) == 1).all():
            return
        rate = self.Q.A @ token
        stops = np.where(rate < 0, self.Q.b / rate, 0.0)
        foot = min(max(0.0, float(stops.max(initial=0.0))), 1.0)
        for share in CENTERS:
            center = (foot + share * (1.0 - foot)) * token
            if _is_center(self.Q, self.plane, center):
                yield center, self.Q.slack(center)

    def cut(self, rows: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Return points a little beyond some rows on the segments from the interior point to known witnesses."""
        ends, A = ends[rows], self.Q.A[rows]
        inside = self.Q.b[rows] - A @ self.interior
        beyond = np.einsum("ij,ij->i", A, ends) - self.Q.b[rows]
        share = (1.0 + BEYOND) * inside / np.maximum(inside + beyond, inside)
        return self.interior + share[:, None] * (ends - self.interior)

    def accept(self, found: Found) -> None:
        """Keep what holds of a proposal: points where they do, multipliers of what is left."""
        self.accept_points(found.rows, found.points)
        values = found.multipliers @ self.Q.b
        normals = found.multipliers @ self.Q.A
        far = (values < 0) & (values**2 >= self.plane.d * np.einsum("ij,ij->i", normals, normals))
        for k in np.flatnonzero(far & ~self.is_visible[found.rows]).tolist():
            row, numbers = int(found.rows[k]), found.multipliers[k].astype(np.float64)
            support = np.flatnonzero(numbers)
            self.accept_multipliers(row, support, numbers[support])

    def accept_points(self, rows: np.ndarray, points: np.ndarray) -> None:
        """Keep the witnesses that hold."""
        candidates = np.flatnonzero(np.einsum("ij,ij->i", points, points) < self.plane.d)
        rows, points = rows[candidates], points[candidates]
        holds = _see(self.Q, self.plane, rows, points)
        self.is_visible[rows[holds]] = True
        self.witnesses[rows[holds]] = points[holds]

    def accept_multipliers(self, row: int, support: np.ndarray, numbers: np.ndarray) -> None:
        """Keep multipliers that hold."""
        if is_beyond_ball(self.Q, self.plane, row, support, numbers):
            self.proofs[row] = support, numbers

    def result(self) -> VisibleFacets:
        """Return everything in the numbers of the cell's rows."""
        return VisibleFacets(
            freeze(self.rows[self.is_visible]),
            freeze(self.rows[sorted(self.proofs)]),
            freeze(self.rows[self.left()]),
            self.interior,
            freeze(self.witnesses[self.is_visible]),
            {int(self.rows[row]): (self.rows[s], numbers) for row, (s, numbers) in self.proofs.items()},
            self.report,
        )


# -- proofs --------------------------------------------------------------------------------------------------


def _kept(cell: GateCell, report: FacetReport) -> tuple[np.ndarray, Polyhedron]:
    """Return the rows that describe the cell, facets and undecided ones, and their polyhedron."""
    rows = np.union1d(report.facets, report.undecided).astype(np.intp)
    return rows, cell.polyhedron.select(rows)


def _is_center(Q: Polyhedron, plane: Hyperplane, point: np.ndarray) -> bool:
    slack, error = Q.slack_enclosure(point[None])
    return bool((slack > error).all() and inside_ball(plane, point[None])[0])


def _see(Q: Polyhedron, plane: Hyperplane, rows: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Tell which points are proved to lie in the ball, beyond their own row and strictly inside all others."""
    inside = inside_ball(plane, points)
    holds = np.zeros(len(rows), dtype=bool)
    holds[inside] = witnesses_hold(Q, rows[inside], points[inside])
    return holds


def inside_ball(plane: Hyperplane, points: np.ndarray) -> np.ndarray:
    """Tell which points u (k, d - 1) are proved to satisfy |M u|^2 < d.

    The sum of squares errs by gamma(d) of itself, lengths over u by the distortion of the coordinates.
    """
    with np.errstate(over="ignore"):
        squares = np.einsum("ij,ij->i", points, points)
        return round_up(squares, plane.d + 2) * (1.0 + 3.0 * plane.distortion) < plane.d


@np.errstate(over="ignore")
def is_beyond_ball(
    P: Polyhedron, plane: Hyperplane, row: int, support: np.ndarray, numbers: np.ndarray
) -> bool:
    r"""Tell whether multipliers prove that no point of P on one row lies in the ball (module docstring).

    Both sides of :math:`|b'\lambda| \ge \sqrt d\, |A'\lambda|` come with bounds from `combination_enclosure`; the
    length over u is that in the hyperplane up to the distortion.
    """
    support, numbers = np.asarray(support, dtype=np.intp), np.asarray(numbers, dtype=np.float64)
    if not np.isfinite(numbers).all() or (numbers[support != row] < 0).any():
        return False
    normal, normal_error, offset, offset_error = P.select(support).combination_enclosure(numbers)
    reach = -(offset + offset_error)
    longest = np.abs(normal) + normal_error
    length = round_up(float(np.sqrt(longest @ longest)), plane.d + 6) + plane.d * np.sqrt(TINY)
    needed = round_up(np.sqrt(plane.d) * length * (1.0 + 2.0 * plane.distortion), 6)
    return bool(np.isfinite(needed) and reach * (1.0 - gamma(4)) > 0 and reach * (1.0 - gamma(4)) >= needed)
