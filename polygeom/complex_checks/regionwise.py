"""What is said about single regions: witnesses, codes, facets, neighbors, boundedness."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from polygeom.certificates import Check, Level
from polygeom.certificates.check import OPEN, PROVED, REFUTED
from polygeom.complex_checks.cells import CellCheck
from polygeom.complex_checks.listing import Listing
from polygeom.complex_checks.report import Item, not_applicable
from polygeom.errors import InputError
from polygeom.polyhedron import Polyhedron

__all__ = ["adjacency", "boundedness", "cell_items", "distinct_codes", "sampled", "unreadable", "witnesses"]

SHOWN = 3
"""Faults quoted in a report; the others are counted."""


def sampled(n_seen: int, n_all: int) -> Check:
    r"""Return what n_seen successes out of n_all say.

    PROVED if all were seen. Otherwise SAMPLED with residual 3 / n_seen: were a larger share wrong, a random sample
    would have met a fault with probability :math:`1 - (1 - 3/n)^n \ge 95\%` (the rule of three).
    """
    return PROVED if n_seen >= n_all else Check(True, Level.SAMPLED, 3.0 / max(n_seen, 1))


def quoted(faults: list[str]) -> str:
    """Return the first few sentences, and how many more there are."""
    more = f" And {len(faults) - SHOWN} more." if len(faults) > SHOWN else ""
    return " ".join(faults[:SHOWN]) + more


def witnesses(listing: Listing) -> Item:
    """Check that every witness is strictly inside the cell of its code, and inside the domain."""
    letters, clear = listing.letters_and_margins(listing.claimed.arrays.witnesses)
    exact = listing.claimed.arrays.exact_witnesses
    clear[list(exact)] = False
    wrong = np.flatnonzero(clear & (letters != listing.letters).any(axis=1)).tolist()
    near = np.flatnonzero(~clear).tolist()
    counts = {"regions": len(listing), "decided in rationals": len(near)}
    if near and not listing.network.exact().is_feasible:
        text = (
            f"{len(near)} witnesses are within rounding of a boundary of a network too large for rationals."
        )
        return Item("witnesses", OPEN, text, counts)
    wrong += [i for i in near if not _is_inside(listing, i)]
    faults = [f"The witness of region {i} is not inside the cell of its code." for i in sorted(wrong)]
    faults += [f"The witness of region {i} is not inside the domain." for i in _outside(listing)]
    if faults:
        return Item("witnesses", REFUTED, quoted(faults), counts)
    text = f"{len(listing)} points are strictly inside the cells of their codes, {len(near)} of them by rationals."
    return Item("witnesses", PROVED, text, counts)


def _is_inside(listing: Listing, region: int) -> bool:
    """Tell exactly whether a witness has the listed code and is on no boundary of its cell."""
    point = listing.witness(region)
    if not np.array_equal(listing.exact_letters(point), listing.letters[region]):
        return False
    return bool((listing.piece(region).polyhedron.slack_signs(point[None]) == 1).all())


def _outside(listing: Listing) -> Iterator[int]:
    """Yield the regions whose witnesses are not inside every row of the domain."""
    inside = listing.in_domain(listing.claimed.arrays.witnesses)
    for region in listing.claimed.arrays.exact_witnesses:
        inside[region] = listing.in_domain(listing.witness(region)[None])[0]
    yield from np.flatnonzero(~inside).tolist()


def distinct_codes(listing: Listing) -> Item:
    """Check that all codes are different: then the interiors of the cells share no point."""
    twice = len(listing) - listing.n_distinct
    if twice:
        return Item("distinct codes", REFUTED, f"{twice} codes are listed again.", {"again": twice})
    return Item("distinct codes", PROVED, f"{len(listing)} codes, all different.")


def unreadable(listing: Listing) -> list[Item]:
    """Return what keeps neighbors from being found at all: regions whose codes and witnesses do not fit."""
    try:
        _ = listing.adjacency
    except InputError as error:
        return [Item("adjacency", REFUTED, str(error))]
    return []


def adjacency(listing: Listing) -> Item:
    """Check that adjacency is symmetric, an entry a facet, and that units which flip alone lead to regions."""
    K, graph = listing.claimed, listing.adjacency
    degrees = np.diff(graph.indptr)
    counts = {"edges": int(degrees.sum()) // 2, "facets": int(np.sum(K.n_facets))}
    faults = []
    if (graph != graph.T).nnz or graph.diagonal().any():
        faults.append("The adjacency is not symmetric or joins a region to itself.")
    odd = np.flatnonzero(degrees != K.n_facets) if K.finished else np.flatnonzero(degrees > K.n_facets)
    faults += [f"Region {i} has {K.n_facets[i]} facets and {degrees[i]} neighbors." for i in odd.tolist()]
    lost = _lost_flips(listing)
    if len(lost) and K.finished:
        faults.append(
            f"{len(lost)} facets lead to codes that are not listed, the first from region {lost[0]}."
        )
    if faults:
        return Item("adjacency", REFUTED, quoted(faults), counts)
    leaving = counts["facets"] - 2 * counts["edges"]
    text = (
        f"{counts['edges']} edges, symmetric; {leaving or 'none'} of {counts['facets']} facet sides lead out."
    )
    return Item("adjacency", PROVED, text, counts)


def _lost_flips(listing: Listing) -> np.ndarray:
    """Return the regions of untied facets across which no code is listed (networks of two letters)."""
    arrays = listing.claimed.arrays
    if arrays.facet_units is None or any(g.n_letters != 2 for g in listing.network.gates):
        return np.empty(0, dtype=np.intp)
    region = np.repeat(np.arange(len(listing)), np.diff(arrays.facet_start))
    facet = np.flatnonzero(~arrays.facet_tied)
    lost = []
    for part in np.array_split(facet, 1 + len(facet) * listing.network.n_units // 2**26):
        beyond = listing.letters[region[part]].copy()
        beyond[np.arange(len(part)), arrays.facet_units[part]] ^= 1
        lost.append(region[part][listing.find(beyond) < 0])
    return np.concatenate(lost)


def cell_items(listing: Listing, cells: list[CellCheck]) -> list[Item]:
    """Return what proving some cells again says about facets and neighbors."""
    n, N = len(cells), len(listing)
    which = f"all {N} regions" if n == N else f"a random sample of {n} of {N} regions"
    facets, redundant = sum(c.n_facets for c in cells), sum(c.n_redundant for c in cells)
    leaving = sum(c.n_leaving for c in cells)
    across = f"the exact letters across {facets} facets belong to listed, adjacent regions"
    across += "." if listing.claimed.finished else f", but for {leaving} that lead out of the list."
    stories = {
        "facets": f"In {which}, {facets} rows are facets as listed, {redundant} others are redundant.",
        "neighbors": f"In {which}: {across}",
    }
    counts = {"regions": n, "facets": facets, "redundant rows": redundant, "leaving": leaving}
    return [_cell_item(name, story, counts, cells, N) for name, story in stories.items()]


def _cell_item(name: str, story: str, counts: dict, cells: list[CellCheck], n_all: int) -> Item:
    faults = [text for c in cells for item, text in c.faults if item == name]
    doubts = [text for c in cells for item, text in c.doubts if item == name]
    if faults:
        return Item(name, REFUTED, quoted(faults), counts)
    if doubts:
        return Item(name, OPEN, quoted(doubts), counts)
    return Item(name, sampled(len(cells), n_all), story, counts)


def boundedness(listing: Listing, cells: list[CellCheck], domain_bounded: bool | None) -> Item:
    """Compare the flags with the cells proved again, with listed rays, and with a bounded domain."""
    arrays = listing.claimed.arrays
    flags, counts = arrays.bounded, {"regions": len(cells)}
    faults = [text for c in cells for item, text in c.faults if item == "boundedness"]
    if flags is not None:
        counts["bounded"] = int(np.count_nonzero(flags))
        if domain_bounded and not flags.all():
            faults.append(f"{np.count_nonzero(~flags)} regions of a bounded domain are listed as unbounded.")
        if arrays.vertices is not None:
            goes_far = arrays.vertices[:, -1] == 0
            has_ray = np.logical_or.reduceat(goes_far, arrays.vertex_start[:-1])
            faults += [
                f"Region {i}: rays and flag disagree." for i in np.flatnonzero(has_ray == flags).tolist()
            ]
    if faults:
        return Item("boundedness", REFUTED, quoted(faults), counts)
    if flags is None:
        return not_applicable("boundedness", "The enumeration made no statement.")
    if doubts := [text for c in cells for item, text in c.doubts if item == "boundedness"]:
        return Item("boundedness", OPEN, quoted(doubts), counts)
    check = PROVED if domain_bounded else sampled(len(cells), len(listing))
    return Item("boundedness", check, f"{counts['bounded']} of {len(listing)} regions are bounded.", counts)


def is_bounded(domain: Polyhedron | None) -> bool | None:
    """Tell whether a domain is bounded; None if that is open."""
    from polygeom.predicates.boundedness import boundedness as ask

    return False if domain is None else ask(domain).bounded
