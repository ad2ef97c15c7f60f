"""Claims on the partition itself: it covers, the network is affine on every cell and continuous between them."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from polygeom.certificates import Check, Level
from polygeom.certificates.check import OPEN, PROVED, REFUTED
from polygeom.claims.exact_cells import ExactCells, stacked_rank
from polygeom.claims.instance import Instance
from polygeom.claims.registry import claim
from polygeom.claims.verdict import Outcome, Verdict, Witness, fails, holds, undecided
from polygeom.complex_checks import check_complex
from polygeom.complexes import PolyhedralComplex
from polygeom.exact import fraction, rational
from polygeom.models.toy import NAMED
from polygeom.network import Network

if TYPE_CHECKING:
    import flint

__all__ = ["affine", "continuity", "one_flip", "partition"]

EVERYWHERE = dict.fromkeys(NAMED, Outcome.HOLDS)

MOST_CELLS = 500
"""Regions that are evaluated in rationals one by one; of more a sample is drawn."""


# -- it covers -----------------------------------------------------------------------------------------------


def _rechecked(K: PolyhedralComplex) -> Check:
    """Check a complex again, every region."""
    report = check_complex(K, sample=None)
    if not report:
        return REFUTED if report.refuted else OPEN
    return Check(True, report.level, 0.0)


@claim(
    "partition",
    statement="The regions cover the domain and have disjoint interiors.",
    source="Zaslavsky 1975; Hanin and Rolnick 2019",
    settled_by="every facet leads to a listed region, proved again one by one; exact volumes where it is bounded",
    expects=EVERYWHERE,
)
def partition(instance: Instance) -> Verdict:
    """Judge by `check_complex`: distinct codes, proved facets, neighbors that are listed, exact volumes."""
    K, report = instance.complex, instance.report
    witness = Witness({"K": K}, _rechecked, K.witnesses)
    if report.refuted:
        return fails(Level.EXACT, str(report.refuted[0]), witness.opposite)
    if report.open:
        return undecided(str(report.open[0]))
    text = f"{K.n_regions} regions. {report['completeness'].text}"
    return holds(report.level, text, witness, regions=K.n_regions)


# -- it is affine on every cell --------------------------------------------------------------------------------


def _simplices_agree(network: Network, codes: np.ndarray, simplices: list) -> Check:
    """Check that on every simplex, one per code, the network has that code and is that code's affine map.

    The corners, affinely independent, and the midpoints of the edges are evaluated in rationals.
    """
    rational_net = network.exact()
    if len(simplices) != len(codes):
        return REFUTED
    for code, corners in zip(codes, simplices, strict=True):
        if len(corners) != network.dim_in + 1 or not _independent(corners):
            return REFUTED
        matrix, offset = (m.to_rational() for m in rational_net.affine_map(code))
        between = [[(v + w) / 2 for v, w in zip(x, y, strict=True)] for x, y in combinations(corners, 2)]
        for x in (*corners, *between):
            point = rational_net.point(x)
            if not np.array_equal(rational_net.letters(point), code):
                return REFUTED
            if [fraction(v) for v in (matrix * point.to_rational() + offset).entries()] != rational_net(x):
                return REFUTED
    return PROVED


def _independent(corners: list) -> bool:
    """Tell whether points are affinely independent."""
    import flint

    d = len(corners) - 1
    edges = [v - w for x in corners[1:] for v, w in zip(x, corners[0], strict=True)]
    return flint.fmpq_mat(d, d, edges).rank() == d


@claim(
    "affine",
    statement="On its region the network equals its affine map, and a segment between two points stays there.",
    source="Montufar, Pascanu, Cho, Bengio 2014",
    settled_by="a full-dimensional simplex inside every region, evaluated in rationals, corners and between",
    expects=EVERYWHERE,
)
def affine(instance: Instance) -> Verdict:
    """Judge by a simplex in every region: two affine maps that agree at its corners are one."""
    cells, chosen = ExactCells(instance.complex), instance.some_regions("affine", MOST_CELLS)
    simplices = [_simplex(cells, i) for i in chosen]
    data = {"network": instance.net, "codes": cells.K.codes.letters[chosen], "simplices": simplices}
    witness = Witness(data, _simplices_agree, cells.K.witnesses[chosen])
    n, corners = len(simplices), instance.net.dim_in + 1
    if not witness.holds():
        return fails(
            Level.EXACT, "In some region the network is not its affine map.", witness.opposite, regions=n
        )
    everywhere = n == cells.K.n_regions
    which = f"all {n}" if everywhere else f"{n} of {cells.K.n_regions}"
    text = (
        f"In {which} regions the network is the region's map at {corners} corners of a simplex and between."
    )
    return holds(Level.EXACT if everywhere else Level.SAMPLED, text, witness, regions=n)


def _simplex(cells: ExactCells, i: int) -> list[list[flint.fmpq]]:
    """Return corners of a simplex inside cell i: its interior point, and a step from it along every axis."""
    start = cells.interior(i)
    rows, _ = cells.all_rows(i)
    corners = [start]
    for k in range(cells.K.dim):
        step = rational(1)
        for row in rows.table():
            slack = row[-1] - sum(a * x for a, x in zip(row[:-1], start, strict=True))
            step = min(step, slack / abs(row[k])) if row[k] else step
        corner = [x + step / 2 * (c == k) for c, x in enumerate(start)]
        corners.append(corner)
    return corners


# -- across a facet ----------------------------------------------------------------------------------------------


def _jumps_vanish(K: PolyhedralComplex) -> Check:
    """Check that across every edge of the complex the map jumps by a term that vanishes on the facet."""
    cells = ExactCells(K)
    for i, j, units in cells.edges():
        facet = cells.boundary(i, j, units)
        if stacked_rank(facet) != 1 or stacked_rank(facet, _jump(cells, i, j)) != 1:
            return REFUTED
    return PROVED


def _jump(cells: ExactCells, i: int, j: int) -> flint.fmpq_mat:
    """Return the rows ``(a, b)`` of what the output gains from cell i to cell j: a.x - b."""
    import flint

    gain = cells.map_of(j) - cells.map_of(i)
    d = gain.ncols() - 1
    return flint.fmpq_mat(
        gain.nrows(), d + 1, [-v if c == d else v for row in gain.table() for c, v in enumerate(row)]
    )


@claim(
    "continuity",
    statement="Across a facet the affine map jumps by a term of rank at most one that vanishes on the facet.",
    source="standard; see Berzins 2023",
    settled_by="rational ranks, facet by facet",
    expects=EVERYWHERE,
)
def continuity(instance: Instance) -> Verdict:
    """Judge by ranks: the jump of matrix and offset is a multiple of the facet's own row."""
    K = instance.complex
    witness = Witness({"K": K}, _jumps_vanish)
    check, n = witness.holds(), len(K.edges)
    if not check:
        return fails(Level.EXACT, "The map jumps on some facet.", witness.opposite, facets=n)
    return holds(Level.EXACT, f"On all {n} facets the jump vanishes.", witness, facets=n)


def _flips_vanish(K: PolyhedralComplex) -> Check:
    """Check that the rows of all units that flip on an edge span one hyperplane."""
    cells = ExactCells(K)
    for i, j, units in cells.edges():
        if not len(units) or stacked_rank(cells.boundary(i, j, units)) != 1:
            return REFUTED
    return PROVED


@claim(
    "one-flip",
    statement="Codes of neighbors differ only in units whose pre-activation vanishes on the common facet, in one "
    "alone where no two units share a boundary.",
    source="standard",
    settled_by="rational ranks of the rows of the units that flip",
    expects=EVERYWHERE,
)
def one_flip(instance: Instance) -> Verdict:
    """Judge by ranks: all that flip on a facet is zero on its hyperplane, seen from one side."""
    K = instance.complex
    witness = Witness({"K": K}, _flips_vanish)
    n, several = len(K.edges), int((np.diff(K.edge_units.indptr) > 1).sum())
    if not witness.holds():
        return fails(
            Level.EXACT, "A unit flips on a facet where it does not vanish.", witness.opposite, facets=n
        )
    alone = (
        "one unit alone flips"
        if not several
        else f"one unit alone flips, but on {several}: there units share it"
    )
    return holds(Level.EXACT, f"On all {n} facets {alone}.", witness, facets=n, shared=several)
