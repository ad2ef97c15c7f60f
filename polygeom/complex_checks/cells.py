r"""One listed cell, proved again from nothing but its code: facets, redundant rows, neighbors, volume.

Let P be the closed cell, all rows of the piece with the listed code and of the domain, and :math:`Q \supseteq P`
the polyhedron of the rows that are claimed to be facets. In low dimension the exact vertices, rays and lines of Q
are found and proved complete; if all of them satisfy all rows of P, then Q = P, and a row is a facet if the
generators on it span dimension k - 1. In higher dimension `polygeom.facets` gives a certificate for every row of
P, which is re-verified without a solver.

A point in the relative interior of a facet has exactly one cell behind it, whose letters are read exactly: values
first, one-sided derivatives along the outward normal where they tie. (Cells form a polyhedral complex: each layer
cuts each cell by hyperplanes, and pre-activations are continuous. So two cells meet in a common face.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from polygeom.certificates import Level
from polygeom.certificates.check import nearest_floats
from polygeom.certificates.vertices import Vertices
from polygeom.complex_checks.listing import Listing
from polygeom.exact import fractions_array, is_exact_array, rational_matrix
from polygeom.pieces import AffinePiece
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.boundedness import boundedness
from polygeom.predicates.facets import facets
from polygeom.predicates.volumes import vertices, volume
from polygeom.rounding import TINY, U, round_up, unbounded_where_overflown

__all__ = ["CellCheck", "check_cell"]

VERTEX_DIMENSION = 3
"""Cells of up to this dimension are proved by their vertices, others by a certificate for each row."""


@dataclass(frozen=True)
class CellCheck:
    """What became of one cell.

    Attributes
    ----------
    faults, doubts : tuple of (item, sentence)
        What is wrong, and what was neither proved nor refuted.
    n_facets, n_redundant : int
        Facets that units draw, and rows of units that are none.
    n_leaving : int
        Facets whose other side is not listed.
    volume : Fraction or None
        If it was asked for and the cell is bounded.
    """

    faults: tuple[tuple[str, str], ...]
    doubts: tuple[tuple[str, str], ...] = ()
    n_facets: int = 0
    n_redundant: int = 0
    n_leaving: int = 0
    volume: Fraction | None = None


@dataclass(frozen=True, eq=False)
class _Facet:
    """A facet: the rows of P that draw it, a point of its relative interior, the outward normal."""

    rows: frozenset[int]
    point: np.ndarray
    normal: np.ndarray


@dataclass(frozen=True, eq=False)
class _Shape:
    """A cell as it was proved to be."""

    facets: tuple[_Facet, ...]
    bounded: bool
    volume: Fraction | None = None


def check_cell(listing: Listing, region: int, with_volume: bool) -> CellCheck:
    """Prove one cell again. Cost: 5 ms (200 rows in the plane) to 50 ms."""
    piece = listing.piece(region)
    P = piece.polyhedron if listing.domain is None else piece.polyhedron.intersect(listing.domain)
    if listing.claimed_units(region) is not None and listing.dim <= VERTEX_DIMENSION:
        shape = _by_vertices(listing, region, piece, P, with_volume)
    else:
        shape = _by_certificates(listing, region, P)
    if isinstance(shape, CellCheck):
        return shape
    on_domain = [f for f in shape.facets if max(f.rows) >= len(piece.units)]
    drawn = [f for f in shape.facets if max(f.rows) < len(piece.units)]
    owners = [{int(piece.units[row]) for row in f.rows} for f in drawn]
    faults = [*_facet_faults(listing, region, owners, len(on_domain))]
    if (flag := listing.claimed_bounded(region)) is not None and flag != shape.bounded:
        faults.append(("boundedness", f"Region {region} is {'' if shape.bounded else 'not '}bounded."))
    leaving, more = _neighbor_faults(listing, region, drawn, owners)
    n_redundant = len(piece.units) - sum(len(f.rows) for f in drawn)
    return CellCheck((*faults, *more), (), len(drawn), n_redundant, leaving, shape.volume)


def _broken(item: str, sentence: str) -> CellCheck:
    """Return the check of a cell that is not what was claimed."""
    return CellCheck(((item, sentence),))


def _open(item: str, sentence: str) -> CellCheck:
    """Return the check of a cell about which a question stayed open."""
    return CellCheck((), ((item, sentence),))


# -- the claims ----------------------------------------------------------------------------------------------


def _facet_faults(
    listing: Listing, region: int, owners: list[set[int]], n_domain: int
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the claimed facets, given the units that draw each true one."""
    n_claimed = listing.n_claimed_facets(region)
    if n_claimed != len(owners):
        yield "facets", f"Region {region} has {len(owners)} facets, {n_claimed} are listed."
    units = listing.claimed_units(region)
    for unit in () if units is None else sorted(set(units.tolist()) - set().union(*owners)):
        yield "facets", f"Unit {unit} draws no facet of region {region}."
    claimed = listing.claimed.arrays.domain_facets
    if claimed is not None and int(claimed[region]) != n_domain:
        yield (
            "facets",
            f"Region {region} has {n_domain} facets on the domain's boundary, {int(claimed[region])} are listed.",
        )


def _neighbor_faults(
    listing: Listing, region: int, drawn: list[_Facet], owners: list[set[int]]
) -> tuple[int, list[tuple[str, str]]]:
    """Return how many facets leave the list, and what is wrong with the listed neighbors."""
    own, faults, leaving = listing.letters[region], [], 0
    alone, found = Counter(), set()
    for facet, units in zip(drawn, owners, strict=True):
        beyond = listing.exact_letters(facet.point, facet.normal)
        neighbor = int(listing.find(beyond[None])[0])
        flips = set(np.flatnonzero(beyond != own).tolist())
        where = f"across the facet of unit {min(units)} of region {region}"
        alone.update(flips if len(flips) == 1 else ())
        if neighbor >= 0:
            found.add(neighbor)
            continue
        leaving += 1
        if listing.claimed.finished:
            faults.append(("neighbors", f"The code {where} is not listed."))
    for unit, n in (listing.untied_units(region) - alone).items():
        faults.append(("neighbors", f"Unit {unit} does not flip alone across {n} facets of region {region}."))
    if found != listing.claimed_neighbors(region):
        faults.append(
            ("neighbors", f"Region {region} has the neighbors {sorted(found)}; the adjacency differs.")
        )
    return leaving, faults


# -- low dimension: exact vertices -----------------------------------------------------------------------------


def _by_vertices(
    listing: Listing, region: int, piece: AffinePiece, P: Polyhedron, with_volume: bool
) -> _Shape | CellCheck:
    """Prove the cell from the exact vertices of its claimed facets (module docstring)."""
    claimed = np.isin(piece.units, listing.claimed_units(region))
    rows = np.concatenate([np.flatnonzero(claimed), np.arange(len(piece.units), P.n_rows)])
    Q = P.select(rows)
    V = vertices(Q)
    if not V.holds(Q):
        return _open("facets", f"The vertices of region {region} could not be proved complete.")
    if not len(V):
        return _broken("facets", f"The facets listed for region {region} bound the empty set.")
    cut = _violated_rows(P, V)
    if len(cut):
        names = sorted({int(piece.units[row]) for row in cut if row < len(piece.units)})
        return _broken(
            "facets", f"Units {names} cut the polyhedron of the facets listed for region {region}."
        )
    size = volume(Q) if with_volume and V.is_bounded else None
    return _Shape(tuple(_facets_of(Q, V, rows)), V.is_bounded, size)


def _violated_rows(P: Polyhedron, V: Vertices) -> np.ndarray:
    """Return the rows of P that some vertex, ray or line violates, exactly."""
    level = P.homogeneous()
    everywhere = np.concatenate([V.rays, V.lines, -V.lines]) if len(V.lines) else V.rays
    outside = _violated_at(P, V.exact) | (_violated_at(level, everywhere) if len(everywhere) else False)
    return np.flatnonzero(outside)


def _violated_at(P: Polyhedron, exact: np.ndarray) -> np.ndarray:
    r"""Return which rows are violated at some point (N, k) of Fractions, (m,).

    A nearest float is within :math:`u|x| + \mathrm{TINY}` of the point, which moves a slack by at most that times
    :math:`|a| + \mathrm{error}`. Rows not satisfied beyond this and the rounding bound are decided in rationals.
    """
    near = nearest_floats(exact)
    A_error, _ = P.errors
    with np.errstate(over="ignore", invalid="ignore"):
        slack, error = P.slack_enclosure(near)
        moved = (U * np.abs(near) + TINY) @ (np.abs(P.A) + A_error).T
        slack, error = unbounded_where_overflown(slack, round_up(error + moved, P.dim + 6))
    unclear = np.flatnonzero((slack <= error).any(axis=0))
    violated = np.zeros(P.n_rows, dtype=bool)
    if len(unclear):
        A, b = P.exact_rows(unclear)
        products = (A * rational_matrix(exact).transpose()).table()
        violated[unclear] = [
            any(v > side for v in row) for row, side in zip(products, b.entries(), strict=True)
        ]
    return violated


def _facets_of(Q: Polyhedron, V: Vertices, rows: np.ndarray) -> Iterator[_Facet]:
    """Yield the facets of Q from its generators; rows of P are named by `rows`."""
    import flint

    A, _ = Q.exact_rows(np.arange(Q.n_rows))
    level = (A * rational_matrix(V.rays).transpose()).table() if len(V.rays) else [[]] * Q.n_rows
    drawn: dict[tuple, list[int]] = {}
    for row, normal in enumerate(A.table()):
        if any(normal):
            on_points = tuple(p for p, tight in enumerate(V.tight_rows) if row in tight)
            on_rays = tuple(r for r, rate in enumerate(level[row]) if rate == 0)
            drawn.setdefault((on_points, on_rays), []).append(row)
    for (points, rays), members in drawn.items():
        spread = [[*V.exact[p], Fraction(1)] for p in points]
        spread += [[*v, Fraction(0)] for v in (*V.rays[list(rays)], *V.lines)]
        flat = [flint.fmpq(v.numerator, v.denominator) for line in spread for v in line]
        if not points or flint.fmpq_mat(len(spread), Q.dim + 1, flat).rank() < Q.dim:
            continue
        point = V.exact[list(points)].sum(axis=0) / len(points) + V.rays[list(rays)].sum(axis=0)
        normal = fractions_array([A[members[0], j] for j in range(Q.dim)])
        yield _Facet(frozenset(rows[members].tolist()), point, normal)


# -- higher dimension: a certificate for every row ---------------------------------------------------------------


def _by_certificates(listing: Listing, region: int, P: Polyhedron) -> _Shape | CellCheck:
    """Prove the cell by certificates of all rows, re-verified here."""
    inside = listing.witness(region)
    if not (P.slack_signs(inside[None]) == 1).all():
        return _broken("facets", f"The witness of region {region} is not inside its cell.")
    report = facets(P, interior=inside)
    check = report.holds(P)
    if len(report.undecided) or not check or check.level is not Level.EXACT:
        return _open("facets", f"The facets of region {region} could not be proved.")
    groups = {group[0]: group for group in report.groups}
    found = []
    for row in report.facets.tolist():
        point = _crossing(P, row, inside, report.certificates[row].point)
        normal = fractions_array(P.exact_rows(np.array([row]))[0].entries())
        found.append(_Facet(frozenset(groups.get(row, (row,))), point, normal))
    answer = boundedness(P, point=None if is_exact_array(inside) else inside)
    if answer.bounded is None or not answer.holds(P):
        return _open("boundedness", f"Whether region {region} is bounded could not be proved.")
    return _Shape(tuple(found), answer.bounded)


def _crossing(P: Polyhedron, row: int, inside: np.ndarray, beyond: np.ndarray) -> np.ndarray:
    """Return where the segment between two points meets a row: in the relative interior of its facet."""
    a, b = fractions_array(inside), fractions_array(beyond)
    (start,), (stop,) = (fractions_array(P.exact_slacks(x, np.array([row]))) for x in (a, b))
    return a + start / (start - stop) * (b - a)
