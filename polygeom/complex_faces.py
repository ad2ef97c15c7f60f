r"""Faces of a complex, counted: by codes and sets of facets where cells are simple, in rationals elsewhere.

Closed cells meet in common faces: the intersection of the cells with codes c and c' is the face of each on
which the units vanish in which c and c' differ.

**By points.** A face without lines is the hull of its vertices and the cone of its extreme rays, so it is known
by their exact coordinates, whichever cell it is seen from. Each cell's vertices come from the exact double
description of its facets (`polygeom.vertices`), its faces are the intersections of facets that hold a vertex.
Cells with lines all have the same ones (a line in a cell lies in its facets, and the pre-activations beyond a
facet jump by multiples of the facet's own form), so their faces are counted on fixed coordinates.

**By codes** (`_simple_counts`). The enumeration proves which facets each vertex lies on. Let every vertex of
every cell lie on exactly k of them. Then m facets through a vertex meet in a face of dimension k - m, which
lies on no other facet. Take a face of cell r that is on the facets of the units M, and on none of the domain:
its *name* is M and the letters of r outside M.

- *One name, one face.* Let r and s have faces named alike, F that of r. Units in which the codes differ vanish
  on F, so both codes give the same pre-activations there, and a point of F is weakly on the sides that s asks
  for: F is in the closed cell s, on all facets M of s, so in its face of that name; and the other way round.
- *One face, one name*, where a name is found in :math:`2^m` cells. Their codes are all those that differ in M
  only, so crossing a facet of M leads from one of these cells to another. Any two cells around an inner point
  of F are joined by steps across facets that hold F: they are all among the :math:`2^m`. None has a facet of
  the domain there, so F is not on the boundary of the domain, and every face that lies there is counted by its
  points.

So if every name is found in :math:`2^m` cells, there are as many inner faces as names. Facets on which several
units vanish, vertices on more facets, units with more than two letters: then all is counted by points.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

import numpy as np

from polygeom.arrays import freeze
from polygeom.certificates.vertices import Vertices
from polygeom.complex_cells import Cells
from polygeom.exact import fractions_array, rational_matrix
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.volumes import vertices

__all__ = ["distinct_vertices", "face_counts", "skeleton"]


def face_counts(cells: Cells, progress: bool = False) -> tuple[int, ...]:
    """Return the numbers of faces of dimension 0 to k of all cells, those on the domain's boundary included.

    Cost: 20 to 100 us a cell by codes, some milliseconds by points (cells on the domain's boundary, or all).
    """
    inner = _simple_counts(cells)
    if inner is None:
        found = _faces_by_points(cells, range(len(cells.arrays)), False, progress)
        return tuple(len(faces) for faces in found)
    outer = np.flatnonzero(cells.arrays.domain_facets).tolist()
    found = _faces_by_points(cells, outer, True, progress)
    return tuple(n + len(faces) for n, faces in zip(inner, found, strict=True))


# -- by codes --------------------------------------------------------------------------------------------------


def _simple_counts(cells: Cells) -> tuple[int, ...] | None:
    """Return the numbers of faces off the domain's boundary (module docstring), None where names do not tell."""
    arrays, k = cells.arrays, cells.dim
    known = (
        arrays.vertices is not None and arrays.facet_units is not None and arrays.domain_facets is not None
    )
    if not (known and k and cells.has_bits and len(arrays)) or arrays.facet_tied.any():
        return None
    on = _facets_of_vertices(cells)
    if on is None:
        return None
    regions, facets = on
    counts = []
    for m in range(k, 0, -1):
        several = [facets[:, list(chosen)] for chosen in combinations(range(k), m)]
        inner = [(part >= 0).all(axis=1) for part in several]
        sizes = _name_sizes(
            cells,
            np.concatenate([regions[kept] for kept in inner]),
            np.concatenate(
                [arrays.facet_units[part[kept]] for part, kept in zip(several, inner, strict=True)]
            ),
        )
        if (sizes != 2**m).any():
            return None
        counts.append(len(sizes))
    return (*counts, len(arrays))


def _facets_of_vertices(cells: Cells) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the regions (V,) of all vertices, and their facets (V, k): -1 on the domain. None if not simple."""
    arrays, k = cells.arrays, cells.dim
    sizes, first = np.diff(arrays.vertex_start), arrays.facet_start[:-1]
    region, finite = np.repeat(np.arange(len(arrays)), sizes), arrays.vertices[:, -1] != 0
    if k == 2 and arrays.edge_units is not None:
        drawn = arrays.edge_units >= 0
        edge = np.where(drawn, np.cumsum(drawn) - 1, -1)
        before = np.arange(len(edge)) - 1
        starts, stops = arrays.vertex_start[:-1], arrays.vertex_start[1:]
        before[starts[sizes > 0]] = stops[sizes > 0] - 1
        return region[finite], np.column_stack([edge[before], edge])[finite]
    if arrays.vertex_facets is None:
        return None
    left, region = arrays.vertex_facets[finite].view(np.uint64), region[finite]
    if (np.bitwise_count(left) != k).any():
        return None
    facets = np.empty((len(left), k), dtype=np.int64)
    for c in range(k):
        rest = left & (left - np.uint64(1))
        place = np.bitwise_count((left ^ rest) - np.uint64(1)).astype(np.int64)
        facets[:, c], left = (
            np.where(place < np.diff(arrays.facet_start)[region], first[region] + place, -1),
            rest,
        )
    return region, facets


def _name_sizes(cells: Cells, regions: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return in how many regions each name is found: faces by regions (R,) and units (R, m), with repetitions."""
    if not len(regions):
        return np.empty(0, dtype=np.int64)
    units = np.sort(units, axis=1)
    code = cells.arrays.packed[regions]
    row = np.arange(len(code))
    for unit in units.T:
        code[row, unit >> 3] &= ~(0x80 >> (unit & 7)).astype(np.uint8)
    name = np.hstack([code, np.ascontiguousarray(units, dtype=">u4").view(np.uint8).reshape(len(code), -1)])
    entry = np.hstack([name, regions.astype(">u4").view(np.uint8).reshape(-1, 4)])
    once = np.unique(_as_strings(entry))
    found = once.view(np.uint8).reshape(len(once), -1)[:, : name.shape[1]]
    fresh = np.ones(len(found), dtype=bool)
    fresh[1:] = (found[1:] != found[:-1]).any(axis=1)
    return np.diff(np.append(np.flatnonzero(fresh), len(found)))


def _as_strings(table: np.ndarray) -> np.ndarray:
    """Return the rows of a table of bytes as one thing each, to be sorted."""
    return np.ascontiguousarray(table).view([("row", "V", table.shape[1])])["row"]


# -- by points -------------------------------------------------------------------------------------------------


def _faces_by_points(
    cells: Cells, regions: Iterable[int], outer: bool, progress: bool
) -> list[set[frozenset[int]]]:
    """Return the faces of some regions by dimension, as sets of generators; `outer`: those on the domain only."""
    from tqdm import tqdm

    names: dict[tuple, int] = {}
    found: list[set[frozenset[int]]] = [set() for _ in range(cells.dim + 1)]
    for region in tqdm(regions, desc="faces", unit="region", disable=not progress):
        P, V = skeleton(cells, region)
        generators = [(1, *point) for point in V.exact] + [(0, *ray) for ray in V.rays]
        ids = [names.setdefault(g, len(names)) for g in generators]
        on_row = _generators_on_rows(P, V)
        rows = on_row[P.n_rows - (0 if cells.domain is None else cells.domain.n_rows) :]
        for dim, face in _faces(P.dim, on_row, V):
            if not outer or any(face & row == face for row in rows):
                found[dim].add(frozenset(ids[g] for g in _members(face)))
    return found


def distinct_vertices(cells: Cells) -> np.ndarray:
    """Return all vertices (f_0, k) of the cells, in Fractions; none where the cells contain lines."""
    points = {
        tuple(point)
        for region in range(len(cells.arrays))
        for V in [skeleton(cells, region)[1]]
        if not len(V.lines)
        for point in V.exact
    }
    flat = [v for point in sorted(points) for v in point]
    return freeze(fractions_array(flat).reshape(len(points), cells.dim))


def skeleton(cells: Cells, region: int) -> tuple[Polyhedron, Vertices]:
    """Return a region by the rows of its facets (of all units where facets are not listed), and its vertices."""
    P, units = cells.polyhedron(region), cells.piece(region).units
    if cells.arrays.facet_units is not None:
        start, stop = cells.arrays.facet_start[region : region + 2]
        drawing = np.isin(units, cells.arrays.facet_units[start:stop])
        P = P.select(np.concatenate([np.flatnonzero(drawing), np.arange(len(units), P.n_rows)]))
    return P, vertices(P)


def _generators_on_rows(P: Polyhedron, V: Vertices) -> list[int]:
    """Return for every row the vertices and rays on it, as bits: vertices first."""
    n = len(V.exact)
    on_row = [0] * P.n_rows
    for v, tight in enumerate(V.tight_rows):
        for row in tight:
            on_row[row] |= 1 << v
    if len(V.rays):
        A, _ = P.exact_rows(np.arange(P.n_rows))
        for row, rates in enumerate((A * rational_matrix(V.rays).transpose()).table()):
            on_row[row] |= sum(1 << (n + r) for r, rate in enumerate(rates) if rate == 0)
    return on_row


def _faces(k: int, on_row: list[int], V: Vertices) -> Iterator[tuple[int, int]]:
    """Yield (dimension, generators as bits) of all faces: facets of facets are maximal proper intersections."""
    n = len(V.exact)
    points, rows = (1 << n) - 1, set(on_row)
    level = {(1 << (n + len(V.rays))) - 1}
    for dim in range(k, len(V.lines) - 1, -1):
        yield from ((dim, face) for face in level)
        below: set[int] = set()
        for face in level:
            parts = {face & row for row in rows if face & row & points} - {face}
            below |= {f for f in parts if not any(f != g and f & g == f for g in parts)}
        level = below


def _members(face: int) -> Iterator[int]:
    while face:
        lowest = face & -face
        yield lowest.bit_length() - 1
        face ^= lowest
