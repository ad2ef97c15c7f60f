"""Check all regions of a network again, independently of how they were found.

What is trusted: forward passes with running error bounds, rationals, certificates that are re-verified without
a solver. What is not: anything that the enumeration says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import as_count, as_generator
from polygeom.complex_checks import partition, regionwise
from polygeom.complex_checks.cells import VERTEX_DIMENSION, check_cell
from polygeom.complex_checks.listing import Listing
from polygeom.complex_checks.report import ComplexCheck, Item, Outcome
from polygeom.errors import InputError

if TYPE_CHECKING:
    from polygeom.complexes import PolyhedralComplex

__all__ = ["ComplexCheck", "Item", "Outcome", "check_complex"]

SEED = 0


def check_complex(
    K: PolyhedralComplex, sample: int | None = 1000, rng: np.random.Generator | None = None
) -> ComplexCheck:
    r"""Check a complex again: witnesses, facets, neighbors, counts, volumes, completeness.

    Parameters
    ----------
    K : PolyhedralComplex
        From `enumerate_regions`, with its regions stored.
    sample : int or None
        How many regions, drawn at random, have their facets, redundant rows and neighbors proved again one by
        one. None: all regions.
    rng : numpy.random.Generator, optional
        Draws the sample and the points that are located; seeded with 0 by default.

    Returns
    -------
    ComplexCheck
        True if nothing is refuted and nothing is open. Its items:

        - *witnesses*, *distinct codes*: every witness is strictly inside the cell of its code and the domain;
          no code comes twice. So every region listed is one, and there are no two of the same.
        - *adjacency*: symmetric, an entry for every facet; units that flip alone lead to listed codes.
        - *facets*, *neighbors*: the listed facets bound the cell, all other rows are redundant; the letters
          read exactly across each facet are those of a listed, adjacent region.
        - *boundedness*: the flags are those of the cells.
        - *connected*; *points*: random points are in listed regions.
        - *volumes*: sum to that of a bounded domain, in rationals.
        - *Zaslavsky's theorem*, *Buck's formula*: one-layer networks have as many regions, bounded regions and
          faces as their hyperplanes say, in general position or not.
        - *Euler's relation*: where vertices are stored.
        - *completeness*: what all this proves together. Open for a complex whose enumeration was stopped.

        Items that say nothing about K are NOT_APPLICABLE; those that would, but cost too much or need vertices or
        cells that are not there, are NOT_CHECKED, with the reason. Items about a sample are SAMPLED, their
        residual is the share of faults that the sample excludes with 95 % confidence.

    Raises
    ------
    InputError
        If K is no complex, or holds counts only; if sample is no positive integer.

    Notes
    -----
    Cost: a forward pass for each region, 5 to 50 ms for each region of the sample, at most some seconds for
    counting an arrangement. Whatever the sample, a witness within rounding of a boundary takes a rational pass,
    too: these are all witnesses where entries of a window are equal everywhere, 12 ms each with 600 units.

    Examples
    --------
    >>> from polygeom import Network, enumerate_regions
    >>> net = Network.from_layers([([[1, 0], [0, 1], [1, 1]], [0, 0, -1]), ([[1, 1, 1]], [0])])
    >>> report = check_complex(enumerate_regions(net))
    >>> bool(report), report["Zaslavsky's theorem"].text
    (True, '3 distinct hyperplanes in R^2 make 7 regions, 1 of them bounded.')
    >>> report["volumes"].outcome
    <Outcome.NOT_APPLICABLE: 'not applicable'>
    """
    listing = Listing(_with_regions(K))
    sample = None if sample is None else as_count(sample, "sample", 1)
    rng = np.random.default_rng(SEED) if rng is None else as_generator(rng)
    n_cells = len(listing) if sample is None else min(sample, len(listing))
    chosen = np.sort(rng.choice(len(listing), n_cells, replace=False)).tolist()
    bounded = regionwise.is_bounded(K.domain)
    every = n_cells == len(listing) and K.finished
    with_volume = bool(bounded) and every and listing.dim <= VERTEX_DIMENSION
    items = [regionwise.witnesses(listing), regionwise.distinct_codes(listing)]
    if items[-1].outcome is not Outcome.REFUTED:  # names of regions that are not unique lead nowhere
        items += regionwise.unreadable(listing)
    if items[-1].outcome is Outcome.REFUTED:
        return ComplexCheck((*items, partition.completeness(listing, items)))
    cells = [check_cell(listing, region, with_volume) for region in chosen]
    items += [
        regionwise.adjacency(listing),
        *regionwise.cell_items(listing, cells),
        regionwise.boundedness(listing, cells, bounded),
        partition.connected(listing),
        partition.points(listing, rng),
        partition.volumes(listing, cells, bounded),
    ]
    sound = all(item.outcome is not Outcome.REFUTED for item in items)
    items += [*partition.arrangement_items(listing, sound), partition.euler(listing, sound)]
    return ComplexCheck((*items, partition.completeness(listing, items)))


def _with_regions(K: PolyhedralComplex) -> PolyhedralComplex:
    """Return the complex, refused if there is nothing to check."""
    from polygeom.complexes import PolyhedralComplex

    if not isinstance(K, PolyhedralComplex):
        raise InputError(
            f"check_complex got a {type(K).__name__}, wanted a PolyhedralComplex. Likely cause: store='count', "
            "which keeps counts only. Remedy: enumerate with store='regions' or 'cells'."
        )
    if not len(K.arrays):
        raise InputError("The complex holds no regions: there is nothing to check.")
    return K
