"""Claims on single layers and cells: power diagrams, and facets told by leverage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from polygeom.certificates import Check, Level
from polygeom.certificates.check import PROVED, REFUTED
from polygeom.claims.exact_cells import ExactCells, is_multiple
from polygeom.claims.instance import Instance
from polygeom.claims.registry import claim
from polygeom.claims.verdict import Outcome, Verdict, Witness, fails, holds, not_applicable
from polygeom.complexes import PolyhedralComplex
from polygeom.models.toy import NAMED

if TYPE_CHECKING:
    import flint

__all__ = ["leverage", "power_diagram"]

MOST_CELLS = 100
"""Cells whose hat matrices are computed; of more a sample is drawn."""


# -- power diagrams ------------------------------------------------------------------------------------------


def _separates_by_power(K: PolyhedralComplex) -> Check:
    r"""Check that every facet between cells p and q is where their powers are equal.

    The sum of a layer's convex units is :math:`\max_q A_q \cdot x + B_q` over all codes. Let :math:`P_q` be the
    listed cells, :math:`D_q \subseteq P_q` the cells of the power diagram: if each facet of :math:`P_q` is the
    half-space :math:`A_q x + B_q \ge A_p x + B_p` of a neighbor p, then :math:`D_q \subseteq P_q`; both families
    tile the space, so they are equal.
    """
    cells = ExactCells(K)
    powers = [_power(cells, i) for i in range(K.n_regions)]
    for i, j, units in cells.edges():
        facet = next(row for row in cells.boundary(i, j, units).table() if any(row[:-1]))
        *normal, offset = (p - q for p, q in zip(powers[j], powers[i], strict=True))
        if not any(normal) or not is_multiple([*normal, -offset], facet):
            return REFUTED
    return PROVED


def _power(cells: ExactCells, i: int) -> list[flint.fmpq]:
    """Return gradient and constant of the sum of all units on cell i."""
    rows = cells.map_of(i).table()
    return [sum(column) for column in zip(*rows, strict=True)]


@claim(
    "power-diagram",
    statement="The partition of the input space of one layer of convex units is a power diagram.",
    hypothesis="the network begins with a layer of convex elementwise units; the whole space",
    source="Balestriero, Cosentino, Aazhang, Baraniuk 2019, Theorem 2",
    settled_by="every facet beside the hyperplane on which two powers are equal, in rationals",
    expects={
        **dict.fromkeys(set(NAMED) - {"hardtanh", "maxima"}, Outcome.HOLDS),
        "hardtanh": Outcome.NOT_APPLICABLE,
    },
)
def power_diagram(instance: Instance) -> Verdict:
    """Judge the first layer alone; centers are the gradients of the sum of its units.

    A cell with gradient A and constant B has center A and squared radius |A|^2 + 2 B, which may be negative.
    """
    first = instance.first_layer
    if first is None:
        return not_applicable("The network does not begin with a layer of elementwise units.")
    if instance.domain is not None:
        return not_applicable("The whole space is divided; a domain was given.")
    gate = first.net.gates[0]
    if not (np.diff(gate.table(gate.slopes), axis=0) > 0).all():
        return not_applicable(f"The units ({gate.name}) are not convex, with a bend at every breakpoint.")
    K = first.complex
    witness = Witness({"K": K}, _separates_by_power)
    n, edges = K.n_regions, len(K.edges)
    if not witness.holds():
        return fails(
            Level.EXACT, "On some facet the powers of its cells differ.", witness.opposite, regions=n
        )
    text = f"All {edges} facets between the {n} cells lie where the powers of their cells are equal."
    return holds(Level.EXACT, text, witness, regions=n, facets=edges)


# -- leverage ------------------------------------------------------------------------------------------------


def _hit_first(K: PolyhedralComplex, claimed: dict[int, list[int]]) -> Check:
    r"""Check for every row of leverage above 1/2 that a ray meets it strictly before all others.

    With rows scaled to :math:`\tilde a_j \cdot (x - x_0) \le 1` and the hat matrix G, the ray
    :math:`x_0 + s (\tilde A' \tilde A)^{-1} \tilde a_i` meets row j where :math:`s G_{ij} = 1`, and
    :math:`G_{ij}^2 \le G_{ii} - G_{ii}^2 < G_{ii}^2` if :math:`G_{ii} > 1/2`. So row i is a facet.
    """
    cells = ExactCells(K)
    flipping = _flipping(cells)
    for region, listed in claimed.items():
        leverages = _hat_matrix(cells, region)
        if leverages is None:
            return REFUTED
        hat, units = leverages
        table = hat.table()
        high = [i for i in range(len(table)) if 2 * table[i][i] > 1]
        if sorted(units[high].tolist()) != sorted(listed):
            return REFUTED
        if any(table[i][j] >= table[i][i] for i in high for j in range(len(table)) if j != i):
            return REFUTED
        if not flipping[region].issuperset(listed):
            return REFUTED
    return PROVED


def _flipping(cells: ExactCells) -> dict[int, set[int]]:
    """Return the units that flip on some facet of each region."""
    found: dict[int, set[int]] = {region: set() for region in range(cells.K.n_regions)}
    for i, j, units in cells.edges():
        for region in (i, j):
            found[region] |= set(units.tolist())
    return found


def _hat_matrix(cells: ExactCells, region: int) -> tuple[flint.fmpq_mat, np.ndarray] | None:
    """Return the exact hat matrix of a cell scaled at its interior point, and its units; None if rank < d."""
    import flint

    rows, units = cells.all_rows(region)
    d, inside = cells.K.dim, cells.interior(region)
    if not rows.nrows() or rows.rank() < d:
        return None
    scaled = []
    for *normal, side in rows.table():
        slack = side - sum(a * x for a, x in zip(normal, inside, strict=True))
        scaled += [a / slack for a in normal]
    A = flint.fmpq_mat(rows.nrows(), d, scaled)
    gram = A.transpose() * A
    return (A * gram.inv() * A.transpose(), units) if gram.rank() == d else None


@claim(
    "leverage",
    statement="With the hat matrix G of a cell scaled at an interior point, rows i with G_ii > 1/2 are facets.",
    hypothesis="some cell has normals that span the space",
    source="docs/claims.md",
    settled_by="the exact hat matrix of every cell; the ray that meets the row before all others",
    expects=dict.fromkeys(("quick", "one-layer", "orthants", "three-axes", "grid"), Outcome.HOLDS),
)
def leverage(instance: Instance) -> Verdict:
    """Judge cell by cell: rows of high leverage are listed as facets, and a ray proves each."""
    if instance.domain is not None:
        return not_applicable("Cells of the whole space are looked at; a domain was given.")
    K = instance.complex
    cells, claimed = ExactCells(K), {}
    for region in instance.some_regions("leverage", MOST_CELLS):
        found = _hat_matrix(cells, region)
        if found is not None:
            hat, units = found
            claimed[region] = [int(u) for i, u in enumerate(units) if 2 * hat[i, i] > 1]
    if not claimed:
        return not_applicable("No cell has normals that span the space.")
    everywhere = K.n_regions <= MOST_CELLS
    witness = Witness({"K": K, "claimed": claimed}, _hit_first)
    told, all_facets = sum(map(len, claimed.values())), int(K.n_facets[list(claimed)].sum())
    numbers = {"cells": len(claimed), "told": told, "facets": all_facets}
    if not witness.holds():
        return fails(Level.EXACT, "A row of leverage above 1/2 is no facet.", witness.opposite, **numbers)
    which = "cells" if everywhere else f"of {K.n_regions} cells, drawn at random,"
    text = f"In {len(claimed)} {which} leverage tells {told} of {all_facets} facets, rightly."
    return holds(Level.EXACT if everywhere else Level.SAMPLED, text, witness, **numbers)
