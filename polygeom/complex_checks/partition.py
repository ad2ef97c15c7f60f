"""What is said about all regions together: connected, filling the domain, as many as the theorems say."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np

from polygeom.certificates import Check, Level
from polygeom.certificates.check import OPEN, PROVED, REFUTED
from polygeom.complex_checks.arrangements import (
    Arrangement,
    arrangement_of,
    buck_faces,
    central_regions,
    simple_regions,
)
from polygeom.complex_checks.cells import VERTEX_DIMENSION, CellCheck
from polygeom.complex_checks.listing import Listing
from polygeom.complex_checks.regionwise import quoted
from polygeom.complex_checks.report import Item, Outcome, not_applicable, not_checked
from polygeom.exact import fractions_array
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.boundedness import recession_cone
from polygeom.predicates.volumes import volume

__all__ = ["arrangement_items", "completeness", "connected", "euler", "points", "volumes"]

MOST_ELIMINATIONS = 400_000
"""Rows that counting an arrangement may eliminate: about three seconds."""

MOST_HYPERPLANES = 14
"""Hyperplanes of an arrangement whose flats are listed, to count faces that are not in general position."""

N_POINTS = 10_000
"""Random points that are located."""

MOST_EXACT = 1_000
"""Points near boundaries whose letters are read in rationals; the others are left out."""

UNSOUND = "Something above is wrong, so faces were not counted."

INCOMPLETE = "The enumeration was stopped: this holds for complete complexes."


def connected(listing: Listing) -> Item:
    """Check that the graph of neighbors is connected."""
    from scipy.sparse.csgraph import connected_components

    parts, _ = connected_components(listing.adjacency, directed=False)
    if parts == 1:
        return Item("connected", PROVED, "From every region a path leads to every other.", {"parts": 1})
    if not listing.claimed.finished:
        return not_applicable("connected", INCOMPLETE)
    return Item("connected", REFUTED, f"The graph falls into {parts} parts.", {"parts": int(parts)})


def points(listing: Listing, rng: np.random.Generator) -> Item:
    """Look for a point that no listed region holds.

    Points are uniform in a box, else they lie on lines through two witnesses. On or near a boundary the side of a
    random direction is taken.
    """
    if not listing.claimed.finished:
        return not_applicable("points", INCOMPLETE)
    X, where = _uniform(listing, rng), "uniform in the domain"
    beyond: list[np.ndarray] = []
    if X is None:
        X, beyond = _between_witnesses(listing, rng)
        where = "on lines through two witnesses"
    letters, decided = listing.letters_and_margins(X)
    if listing.network.exact().is_feasible:
        for i in np.flatnonzero(~decided)[:MOST_EXACT].tolist():
            letters[i], decided[i] = listing.exact_letters(X[i], rng.standard_normal(listing.dim)), True
        more = [listing.exact_letters(x, rng.standard_normal(listing.dim)) for x in beyond]
        letters = np.concatenate(
            [letters, np.array(more, dtype=letters.dtype).reshape(len(more), letters.shape[1])]
        )
        decided = np.concatenate([decided, np.ones(len(more), dtype=bool)])
    missed = np.flatnonzero(decided & (listing.find(letters) < 0)).tolist()
    counts = {"points": int(np.count_nonzero(decided)), "missed": len(missed)}
    if missed:
        places = [*X.tolist(), *([str(v) for v in x] for x in beyond)]
        faults = [f"The point {places[i]} is in no listed region." for i in missed]
        return Item("points", REFUTED, quoted(faults), counts)
    if not counts["points"]:
        return not_checked("points", "No point was provably off all boundaries.")
    text = f"{counts['points']} random points, {where}, are all in listed regions."
    return Item("points", Check(True, Level.SAMPLED, 3.0 / counts["points"]), text, counts)


def _uniform(listing: Listing, rng: np.random.Generator) -> np.ndarray | None:
    """Return points that are uniform in the domain if it is a box, None otherwise."""
    P = listing.domain
    if P is None or P.is_rounded or (np.count_nonzero(P.A, axis=1) != 1).any():
        return None
    columns, slopes = np.abs(P.A).argmax(axis=1), P.A.sum(axis=1)
    lower, upper = np.full(P.dim, -np.inf), np.full(P.dim, np.inf)
    np.minimum.at(upper, columns[slopes > 0], (P.b / slopes)[slopes > 0])
    np.maximum.at(lower, columns[slopes < 0], (P.b / slopes)[slopes < 0])
    if not np.isfinite(upper - lower).all():
        return None
    X = rng.uniform(lower, upper, (N_POINTS, P.dim))
    return X[listing.in_domain(X)]


def _between_witnesses(listing: Listing, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return points of the domain on lines through pairs of witnesses, near the witness if there is one only.

    In floats where both witnesses and the point are; at most `MOST_EXACT` others in Fractions.
    """
    arrays = listing.claimed.arrays
    W, N = arrays.witnesses, len(arrays)
    first, second = rng.integers(N, size=(2, N_POINTS))
    steps = rng.uniform(-1.0, 2.0, N_POINTS)
    aside = rng.standard_normal((N_POINTS, listing.dim)) if N == 1 else np.zeros((N_POINTS, listing.dim))
    with np.errstate(over="ignore", invalid="ignore"):
        X = W[first] + steps[:, None] * (W[second] - W[first]) + aside
    exact = np.isin([first, second], list(arrays.exact_witnesses)).any(axis=0) | ~np.isfinite(X).all(axis=1)
    beyond = []
    for i in np.flatnonzero(exact)[:MOST_EXACT].tolist():
        a, b = (fractions_array(listing.witness(int(region[i]))) for region in (first, second))
        point = a + Fraction(float(steps[i])) * (b - a) + fractions_array(aside[i])
        beyond += [point] if listing.in_domain(point[None])[0] else []
    X = X[~exact]
    return X[listing.in_domain(X)], beyond


def volumes(listing: Listing, cells: list[CellCheck], domain_bounded: bool | None) -> Item:
    """Check that the volumes of the cells sum to that of the domain, in rationals."""
    if not listing.claimed.finished:
        return not_applicable("volumes", INCOMPLETE)
    if domain_bounded is None:
        return not_checked("volumes", "Whether the domain is bounded could not be proved.")
    if not domain_bounded:
        return not_applicable("volumes", "The domain has no finite volume.")
    reason = None
    if listing.dim > VERTEX_DIMENSION:
        reason = f"Exact volumes are summed in dimension {VERTEX_DIMENSION} or less."
    elif len(cells) < len(listing):
        reason = f"Only {len(cells)} of {len(listing)} cells were proved again; sample=None takes all."
    if reason is not None:
        return not_checked("volumes", reason)
    sizes = [c.volume for c in cells if c.volume is not None]
    if len(sizes) < len(cells):
        return Item("volumes", OPEN, "Some cells could not be measured.")
    total, whole = sum(sizes, Fraction(0)), volume(listing.domain)
    if total == whole:
        text = f"{len(cells)} exact volumes sum to that of the domain, {float(whole):.6g}, exactly."
        return Item("volumes", PROVED, text, {"cells": len(cells)})
    share = float(1 - total / whole)
    return Item("volumes", REFUTED, f"The volumes sum to the domain's but for a share of {share:.3g}.")


# -- arrangements ----------------------------------------------------------------------------------------------


def arrangement_items(listing: Listing, sound: bool) -> list[Item]:
    """Compare the numbers of regions, bounded regions and, of sound cells, faces with those of the arrangement."""
    names = ("Zaslavsky's theorem", "Buck's formula")
    arrangement = None
    if not listing.claimed.finished:
        reason = INCOMPLETE
    elif listing.domain is not None:
        reason = "The formulas count the regions of a whole space."
    else:
        arrangement = arrangement_of(listing.network, listing.along)
        reason = "The network is not one layer of elementwise units (of a size that rationals reach)."
    if arrangement is None:
        return [not_applicable(name, reason) for name in names]
    return [
        _zaslavsky(listing, arrangement),
        _buck(listing, arrangement) if sound else not_checked(names[1], UNSOUND),
    ]


def _zaslavsky(listing: Listing, arrangement: Arrangement) -> Item:
    """Compare the numbers of regions and of bounded regions."""
    name, n, d, N = "Zaslavsky's theorem", len(arrangement), arrangement.dim, len(listing)
    flags = listing.claimed.arrays.bounded
    found = (N, None if flags is None else int(np.count_nonzero(flags)))
    if arrangement.work <= MOST_ELIMINATIONS:
        wanted = (arrangement.n_regions(), arrangement.n_bounded())
    else:
        central = arrangement.is_central
        most = central_regions(n, d) if central else simple_regions(n, d)
        if most > N:
            text = (
                f"{n} hyperplanes in R^{d} make at most {most} regions; these are too many to count exactly."
            )
            return not_checked(name, text)
        # as many as there can be: the arrangement is in general position (through the common point)
        wanted = (most, 0 if central else comb(n - 1, d))
    counts = {"hyperplanes": n, "regions": wanted[0], "bounded": wanted[1]}
    if found[0] != wanted[0] or found[1] not in (None, wanted[1]):
        text = f"{n} hyperplanes in R^{d} make {wanted} (bounded) regions, {found} are listed."
        return Item(name, REFUTED, text, counts)
    text = f"{n} distinct hyperplanes in R^{d} make {wanted[0]} regions, {wanted[1]} of them bounded."
    return Item(name, PROVED, text, counts)


def _buck(listing: Listing, arrangement: Arrangement) -> Item:
    """Compare the numbers of faces of every dimension."""
    name, n, d = "Buck's formula", len(arrangement), arrangement.dim
    if listing.claimed.arrays.vertices is None:
        return not_checked(name, "The vertices were not stored: enumerate with store='cells'.")
    found = tuple(int(v) for v in listing.claimed.f_vector)
    if n <= MOST_HYPERPLANES:
        wanted, kind = arrangement.faces(), "all flats and their traces"
    elif len(listing) == simple_regions(n, d):
        wanted, kind = buck_faces(n, d), "general position"
    else:
        return not_checked(name, f"{n} hyperplanes that are not in general position are too many.")
    if found != wanted:
        return Item(name, REFUTED, f"{n} hyperplanes have {wanted} faces, {found} are listed.")
    return Item(name, PROVED, f"The numbers of faces are {found} ({kind}).")


# -- topology --------------------------------------------------------------------------------------------------


def euler(listing: Listing, sound: bool) -> Item:
    r"""Compare the alternating sum of the numbers of faces with the Euler characteristic of the domain.

    Relatively open faces partition the domain, so :math:`\sum_i (-1)^i f_i` is its Euler characteristic with
    compact support: 1 for a polytope, :math:`(-1)^l` for one times :math:`R^l`, 0 for a closed polyhedron with
    any other recession cone.
    """
    if not listing.claimed.finished:
        return not_applicable("Euler's relation", INCOMPLETE)
    if listing.claimed.arrays.vertices is None:
        return not_checked("Euler's relation", "The vertices were not stored: enumerate with store='cells'.")
    if not sound:
        return not_checked("Euler's relation", UNSOUND)
    faces = tuple(int(v) for v in listing.claimed.f_vector)
    found = sum((-1) ** i * f for i, f in enumerate(faces))
    wanted = _characteristic_of(listing.domain, listing.dim)
    if found != wanted:
        return Item("Euler's relation", REFUTED, f"The faces {faces} sum to {found}, wanted {wanted}.")
    return Item("Euler's relation", PROVED, f"The numbers of faces {faces} sum alternatingly to {wanted}.")


def _characteristic_of(domain: Polyhedron | None, dim: int) -> int:
    """Return the Euler characteristic with compact support of a closed polyhedron."""
    if domain is None:
        return (-1) ** dim
    cone = recession_cone(domain)
    lines = len(cone.lineality)
    return (-1) ** lines if cone.dim == lines else 0


# -- the conclusion --------------------------------------------------------------------------------------------


def completeness(listing: Listing, items: list[Item]) -> Item:
    """Conclude that nothing is missing: by count, by volume, or because no facet leads out of the list.

    The last is a proof: a path between interior points of the domain that avoids all faces of dimension k - 2
    leaves cells through facets only, so from listed cells it reaches listed cells only.
    """
    name = "completeness"
    if not listing.claimed.finished:
        text = f"The enumeration was stopped after {len(listing)} regions: regions are missing."
        return Item(name, OPEN, text)
    by_name = {item.name: item for item in items}
    if any(i.outcome is Outcome.REFUTED for i in items):
        return Item(name, OPEN, "Something above is wrong, so nothing follows.")
    if all(_is_proved(by_name[n]) for n in ("witnesses", "distinct codes")):
        if _is_proved(by_name["Zaslavsky's theorem"]):
            return Item(name, PROVED, "There are as many regions as hyperplanes make.")
        if _is_proved(by_name["volumes"]):
            return Item(name, PROVED, "The regions fill the domain.")
        if all(_is_proved(by_name[n]) for n in ("facets", "neighbors")):
            return Item(name, PROVED, "No facet of any region leads out of the list.")
    if listing.claimed.exactness.undecided:
        return Item(name, OPEN, _undecided(listing))
    checks = [by_name[n].check for n in ("neighbors", "points") if by_name[n].check is not None]
    if not checks or any(i.outcome is Outcome.OPEN for i in items):
        return Item(name, OPEN, "Neither a count, nor the volumes, nor all facets prove it.")
    text = "Neither sampled cells nor sampled points lead out of the list."
    return Item(name, Check(True, Level.SAMPLED, max(c.residual for c in checks)), text)


def _undecided(listing: Listing) -> str:
    """Say where the enumeration took signs as zero without proof."""
    pairs = listing.claimed.undecided
    where = [
        f"Region {i}: units {np.unique(pairs[pairs[:, 0] == i, 1]).tolist()}." for i in np.unique(pairs[:, 0])
    ]
    count = listing.claimed.exactness.undecided
    return f"{count} signs are undecided, so regions may be cut wrongly or missing. {quoted(where)}".rstrip()


def _is_proved(item: Item) -> bool:
    return item.outcome is Outcome.HOLDS and item.check.level is Level.EXACT
