"""Complexes changed on purpose, one thing at a time: what a wrong enumeration would return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

import polygeom as pg
from polygeom.complexes import PolyhedralComplex
from polygeom.exact import fraction, fractions_array

Mutant = Callable[[PolyhedralComplex, np.random.Generator], PolyhedralComplex | None]
"""From a right complex to a wrong one; None if there is nothing of this kind to change."""


def with_arrays(K: PolyhedralComplex, **changes: object) -> PolyhedralComplex:
    return replace(K, arrays=replace(K.arrays, **changes))


def with_adjacency(K: PolyhedralComplex, *pairs: tuple[int, int]) -> PolyhedralComplex:
    """Return the complex with some edges turned round: added where there was none, else taken away."""
    wrong = with_arrays(K)
    matrix = K.adjacency.tolil(copy=True)
    for i, j in pairs:
        matrix[i, j] = matrix[j, i] = not matrix[i, j]
    vars(wrong)["_found"] = replace(K._found, matrix=matrix.tocsr())
    return wrong


def picked(K: PolyhedralComplex, kept: np.ndarray) -> PolyhedralComplex:
    """Return the complex of some regions, repeated if they are named twice."""
    a = K.arrays
    facets = _slices(a.facet_start, kept)
    number_of_tied = np.cumsum(a.facet_tied) - 1
    numbers = np.asarray(kept).tolist()
    changes = {
        "packed": a.packed[kept],
        "witnesses": a.witnesses[kept],
        "exact_witnesses": {n: a.exact_witnesses[i] for n, i in enumerate(numbers) if i in a.exact_witnesses},
        "bounded": a.bounded[kept],
        "facet_start": _starts(a.facet_start, kept),
        "facet_units": a.facet_units[facets],
        "facet_tied": a.facet_tied[facets],
        "tied_points": a.tied_points[number_of_tied[facets[a.facet_tied[facets]]]],
        "domain_facets": a.domain_facets[kept],
    }
    if a.vertices is not None:
        corners = _slices(a.vertex_start, kept)
        changes |= {"vertex_start": _starts(a.vertex_start, kept), "vertices": a.vertices[corners]}
        for name in ("edge_units", "vertex_facets"):
            stored = getattr(a, name)
            changes[name] = None if stored is None else stored[corners]
    return with_arrays(K, **changes)


def _slices(start: np.ndarray, kept: np.ndarray) -> np.ndarray:
    return np.concatenate([np.arange(start[i], start[i + 1]) for i in kept])


def _starts(start: np.ndarray, kept: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.diff(start)[kept])])


def without(K: PolyhedralComplex, regions: list[int]) -> PolyhedralComplex:
    """Return the complex without some regions."""
    return picked(K, np.setdiff1d(np.arange(len(K.arrays)), regions))


def with_letters(K: PolyhedralComplex, letters: np.ndarray) -> PolyhedralComplex:
    return with_arrays(K, packed=K.pack(letters))


def with_facets(
    K: PolyhedralComplex, region: int, units: list[int], tied: list[bool]
) -> PolyhedralComplex | None:
    """Return the complex with other facets of one region; the tied ones stay those of the region, in order."""
    a = K.arrays
    start, stop = a.facet_start[region : region + 2]
    if sum(tied) != a.facet_tied[start:stop].sum():
        return None
    moved = a.facet_start + np.where(np.arange(len(a) + 1) > region, len(units) - (stop - start), 0)
    return with_arrays(
        K,
        facet_start=moved,
        facet_units=np.concatenate([a.facet_units[:start], units, a.facet_units[stop:]]).astype(np.int32),
        facet_tied=np.concatenate([a.facet_tied[:start], tied, a.facet_tied[stop:]]).astype(bool),
    )


def _facets_of(K: PolyhedralComplex, region: int) -> tuple[list[int], list[bool]]:
    start, stop = K.arrays.facet_start[region : region + 2]
    return K.arrays.facet_units[start:stop].tolist(), K.arrays.facet_tied[start:stop].tolist()


def _region(K: PolyhedralComplex, rng: np.random.Generator) -> int:
    return int(rng.integers(K.n_regions))


# -- regions and codes -------------------------------------------------------------------------------------------


def region_dropped(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex:
    return without(K, [_region(K, rng)])


def region_duplicated(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex:
    return picked(K, np.append(np.arange(K.n_regions), _region(K, rng)))


def _flips(K: PolyhedralComplex, rng: np.random.Generator, listed: bool) -> list[tuple[int, int, int]]:
    """Return region, unit and letter of all changes of one letter to a code that is listed, or not; shuffled."""
    letters = K.codes.letters
    codes = {tuple(code) for code in letters.tolist()}
    found = []
    for i, code in enumerate(letters.tolist()):
        for unit, own in enumerate(code):
            for letter in range(K.network.gates[K.network.units.gate_of(unit)].n_letters):
                other = (*code[:unit], letter, *code[unit + 1 :])
                if letter != own and (other in codes) == listed:
                    found.append((i, unit, letter))
    return [found[k] for k in rng.permutation(len(found))]


def _flipped(K: PolyhedralComplex, rng: np.random.Generator, listed: bool) -> PolyhedralComplex | None:
    for region, unit, letter in _flips(K, rng, listed)[:1]:
        letters = K.codes.letters.copy()
        letters[region, unit] = letter
        return with_letters(K, letters)
    return None


def sign_flipped(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex | None:
    """A letter is wrong, and the code no region's."""
    return _flipped(K, rng, listed=False)


def sign_of_the_neighbor(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex | None:
    """A letter is wrong, and the code that of another region."""
    return _flipped(K, rng, listed=True)


def region_invented(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex | None:
    """One more region, that of a code that has none."""
    for region, unit, letter in _flips(K, rng, listed=False)[:1]:
        wrong = picked(K, np.append(np.arange(K.n_regions), region))
        letters = wrong.codes.letters.copy()
        letters[-1, unit] = letter
        return with_letters(wrong, letters)
    return None


def codes_exchanged(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex:
    """Two regions have each other's code: all codes are right, each by itself."""
    i, j = rng.choice(K.n_regions, 2, replace=False)
    order = np.arange(K.n_regions)
    order[[i, j]] = j, i
    return with_arrays(K, packed=K.arrays.packed[order])


# -- facets and edges --------------------------------------------------------------------------------------------


def facet_dropped(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex | None:
    region = _region(K, rng)
    units, tied = _facets_of(K, region)
    alone = [k for k, t in enumerate(tied) if not t]
    if not alone:
        return None
    k = int(rng.choice(alone))
    return with_facets(K, region, units[:k] + units[k + 1 :], tied[:k] + tied[k + 1 :])


def facet_invented(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex | None:
    region = _region(K, rng)
    units, tied = _facets_of(K, region)
    others = sorted(set(range(K.network.n_units)) - set(units))
    if not others:
        return None
    return with_facets(K, region, [*units, int(rng.choice(others))], [*tied, False])


def facet_duplicated(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex | None:
    region = _region(K, rng)
    units, tied = _facets_of(K, region)
    return with_facets(K, region, [*units, units[0]], [*tied, False]) if units else None


def facet_renamed(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex | None:
    region = _region(K, rng)
    units, tied = _facets_of(K, region)
    others = sorted(set(range(K.network.n_units)) - set(units))
    alone = [k for k, t in enumerate(tied) if not t]
    if not others or not alone:
        return None
    units[int(rng.choice(alone))] = int(rng.choice(others))
    return with_facets(K, region, units, tied)


def ties_forgotten(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex | None:
    """Units that flip together are said to flip alone."""
    a = K.arrays
    if not a.facet_tied.any():
        return None
    return with_arrays(K, facet_tied=np.zeros_like(a.facet_tied), tied_points=a.tied_points[:0])


def edge_added(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex | None:
    strangers = np.argwhere(np.triu(~K.adjacency.toarray(), 1))
    return with_adjacency(K, tuple(rng.choice(strangers))) if len(strangers) else None


def edge_dropped(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex | None:
    return with_adjacency(K, tuple(rng.choice(K.edges))) if len(K.edges) else None


def edges_crossed(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex | None:
    """Edges a-b and c-d become a-d and c-b: every region has as many neighbors as before."""
    joined = K.adjacency.toarray()
    for (a, b), (c, d) in rng.permutation(K.edges[rng.integers(len(K.edges), size=(200, 2))]):
        if len({a, b, c, d}) == 4 and not joined[a, d] and not joined[c, b]:
            return with_adjacency(K, (a, b), (c, d), (a, d), (c, b))
    return None


# -- flags, points, what the complex is about ---------------------------------------------------------------------


def bounded_mislabelled(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex:
    bounded = K.arrays.bounded.copy()
    bounded[_region(K, rng)] ^= True
    return with_arrays(K, bounded=bounded)


def witnesses_exchanged(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex:
    i, j = rng.choice(K.n_regions, 2, replace=False)
    order = np.arange(K.n_regions)
    order[[i, j]] = j, i
    exact = {int(order[n]): x for n, x in K.arrays.exact_witnesses.items()}
    return with_arrays(K, witnesses=K.arrays.witnesses[order], exact_witnesses=exact)


def witness_on_a_facet(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex | None:
    """A point of the closed cell, but not inside: where the segment to a neighbor's witness leaves it."""
    i, j = (int(n) for n in rng.choice(K.edges))
    start, stop = (fractions_array(K.interior(n)) for n in (i, j))
    P = K.polyhedron(i)
    slacks = [(fraction(s), fraction(t)) for s, t in zip(_slacks(P, start), _slacks(P, stop), strict=True)]
    step = min(s / (s - t) for s, t in slacks if t < s and s >= 0 > t)
    return with_arrays(
        K, exact_witnesses={**K.arrays.exact_witnesses, i: tuple(start + step * (stop - start))}
    )


def _slacks(P: pg.Polyhedron, point: np.ndarray) -> list:
    return P.exact_slacks(point, np.arange(P.n_rows))


def domain_facet_invented(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex:
    counts = K.arrays.domain_facets.copy()
    counts[_region(K, rng)] += 1
    return with_arrays(K, domain_facets=counts)


def weight_negated(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex:
    """The regions are those of another network."""
    first, *others = K.network.steps
    weight = first.weight.copy()
    row = int(rng.choice(np.flatnonzero(weight.any(axis=1))))
    weight[row] *= -1
    return replace(K, network=pg.Network((replace(first, weight=weight), *others), K.network.input_shape))


def domain_halved(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex | None:
    if K.domain is None:
        return None
    return replace(K, domain=pg.Polyhedron(K.domain.A, K.domain.b / 2))


def domain_doubled(K: PolyhedralComplex, rng: np.random.Generator) -> PolyhedralComplex | None:
    if K.domain is None:
        return None
    return replace(K, domain=pg.Polyhedron(K.domain.A, K.domain.b * 2))


MUTANTS: dict[Mutant, set[str]] = {
    region_dropped: {"adjacency", "neighbors"},
    region_duplicated: {"distinct codes"},
    region_invented: {"witnesses"},
    sign_flipped: {"witnesses"},
    sign_of_the_neighbor: {"witnesses", "distinct codes"},
    codes_exchanged: {"witnesses"},
    facet_dropped: {"adjacency", "facets"},
    facet_invented: {"adjacency", "facets", "neighbors"},
    facet_duplicated: {"adjacency", "facets"},
    facet_renamed: {"facets"},
    ties_forgotten: {"adjacency", "neighbors"},
    edge_added: {"adjacency", "neighbors"},
    edge_dropped: {"adjacency", "neighbors"},
    edges_crossed: {"neighbors"},
    bounded_mislabelled: {"boundedness"},
    witnesses_exchanged: {"witnesses"},
    witness_on_a_facet: {"witnesses"},
    domain_facet_invented: {"facets"},
    weight_negated: {"witnesses"},
    domain_halved: {"witnesses"},
    domain_doubled: {"facets", "points"},
}
"""Every mutant, and the items of `polygeom.check_complex` that refute it wherever it can be made."""
