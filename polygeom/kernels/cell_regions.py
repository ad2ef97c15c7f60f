r"""What a finished cell leaves: its code, a witness, its facets and, if asked for, its vertices.

The witness is the sum of the extreme rays, dehomogenized: a float point y. It lies strictly inside the
exact cell if every facet's computed row exceeds :math:`(s \gamma_{D+6} + 2 r) \max(1, |y|_\infty)` at (y,
1), s and r as in `cells`. Where one does not, the caller finds a witness over the rationals.

A cell can also be parked whole (mode `PARK`): its vertices, the rows of its facets and the letters of its
units are written out such that the cell can be loaded again and split further by the units of a later gate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from polygeom.kernels.cells import (
    BOUNDED,
    DEEPEST,
    FACET,
    FLAT,
    REGION,
    SLOTS,
    TIED,
    VERTEX,
    VERTICES,
    Cells,
    Chain,
    Scratch,
    inlined,
)
from polygeom.kernels.intrinsics import eight, lowest

__all__ = [
    "COUNT",
    "FILLED",
    "GIVEN",
    "KEEP",
    "MODE",
    "NARROW",
    "NO_WITNESS",
    "N_FACETS",
    "N_REGIONS",
    "N_VERTICES",
    "PARENT",
    "PLACES",
    "PARK",
    "VERTICES_TOO",
    "Regions",
    "emit",
]

FILLED, NARROW, NO_WITNESS = 0, 1, 2
COUNT, KEEP, VERTICES_TOO, PARK = 0, 1, 2, 3
"""What is kept of a region: nothing but the tally; code, witness and facets; vertices too; the whole cell."""

PLACES = 7
N_REGIONS, N_FACETS, N_TIED, N_VERTICES, MODE, GIVEN, PARENT = range(PLACES)
"""Places in `Regions.fill`; GIVEN: the caller has put the witness of the next region into ``witness``; PARENT: the
number of the cell that is being split, for parked ones."""

NOTHING, NO_ROWS = np.zeros(0), np.zeros((0, 0))


class Regions(NamedTuple):
    """Outputs in flat arrays, with how far they are filled.

    Attributes
    ----------
    fill : (PLACES,) int64
    packed, witness, bounded, n_facets, n_domain, n_vertices : (R, ...)
        By region.
    facet, tied : (F,)
        Unit of every facet, and whether another unit vanishes on it.
    tied_point : (T, D)
        Sums of the vertices on tied facets.
    vertex : (V, D)
    parent, share, flat : (R,)
        Of parked cells: `PARENT`, the share of the parent's recursion, and `FLAT`. Their `facet` holds 2
        unit + side, their ``packed`` the letters of the first units.
    row : (F, D + 1)
        Of parked cells: the row of every facet, then the sum of its absolute coefficients.
    spread, mask : (V,)
        Of parked cells: ``Cells.spread``, and in dimensions other than two the set of facets a vertex lies
        on, numbered from the cell's first. In the plane facet v follows vertex v. Of regions with their vertices
        `mask` holds in the plane the unit of facet v, -1 for the domain's and infinity; else the set of facets,
        those of units first, as listed, then the domain's.
    """

    fill: np.ndarray
    packed: np.ndarray
    witness: np.ndarray
    bounded: np.ndarray
    n_facets: np.ndarray
    n_domain: np.ndarray
    n_vertices: np.ndarray
    facet: np.ndarray
    tied: np.ndarray
    tied_point: np.ndarray
    vertex: np.ndarray
    parent: np.ndarray = NOTHING.astype(np.int64)
    share: np.ndarray = NOTHING
    flat: np.ndarray = NOTHING.astype(bool)
    row: np.ndarray = NO_ROWS
    spread: np.ndarray = NOTHING
    mask: np.ndarray = NOTHING.astype(np.int64)


@inlined
def _is_bounded(cells: Cells, first: int, k: int, D: int) -> bool:
    """Tell whether no vertex is at infinity."""
    for v in range(first, first + k):
        if cells.coord[v * D + D - 1] == 0.0:
            return False
    return True


@inlined
def _used(cells: Cells, first: int, k: int) -> np.uint64:
    """Return the slots in use."""
    used = np.uint64(0)
    for v in range(first, first + k):
        used |= np.uint64(cells.facets[v])
    return used


@inlined
def _find_witness(
    cells: Cells, regions: Regions, first: int, k: int, at: int, dims: tuple[int, ...]
) -> float:
    """Write the dehomogenized sum of the vertices; return its largest coordinate, at least 1."""
    D = len(dims)
    t, largest = 0.0, 1.0
    for v in range(first, first + k):
        t += cells.coord[v * D + D - 1]
    for c in range(D - 1):
        total = 0.0
        for v in range(first, first + k):
            total += cells.coord[v * D + c]
        regions.witness[at, c] = total / t
        largest = max(largest, abs(regions.witness[at, c]))
    return largest


@inlined
def _holds(
    cells: Cells, chain: Chain, regions: Regions, code: int, at: int, largest: float, dims: tuple[int, ...]
) -> bool:
    """Tell whether the witness is provably on the inner side of a facet, 2 row + side."""
    D = len(dims)
    row, side = code >> 1, 1.0 - 2.0 * (code & 1)
    z = cells.path[row * D + D - 1]
    for c in range(D - 1):
        z += cells.path[row * D + c] * regions.witness[at, c]
    error = cells.path_size[row] * DEEPEST + 2.0 * chain.row_error[cells.path_unit[row]]
    return z * side > error * largest


@inlined
def _add_facet(cells: Cells, chain: Chain, regions: Regions, row: int, tied: bool, at: int) -> bool:
    """Add a facet to region `at`; tell whether it is a tied facet of the network."""
    unit, fill = cells.path_unit[row], regions.fill
    if unit >= chain.starts[0]:
        regions.n_domain[at] += unit != chain.starts[-1]
        return False
    regions.facet[fill[N_FACETS]], regions.tied[fill[N_FACETS]] = unit, tied
    fill[N_FACETS] += 1
    regions.n_facets[at] += 1
    return tied


@inlined
def _add_tied_point(
    cells: Cells, regions: Regions, sp: int, v: int, slot: np.uint64, dims: tuple[int, ...]
) -> None:
    """Add the sum of the vertices on a facet: edge v of a polygon, or all that lie in a slot (a bit)."""
    D = len(dims)
    first, k, at = cells.node[sp, VERTEX], cells.node[sp, VERTICES], regions.fill[N_TIED]
    after = v + 1 if v + 1 < k else 0
    for c in range(D):
        regions.tied_point[at, c] = 0.0
    for w in range(k):
        on = (w == v or w == after) if D == 3 else np.uint64(cells.facets[first + w]) & slot != 0
        if on:
            for c in range(D):
                regions.tied_point[at, c] += cells.coord[(first + w) * D + c]
    regions.fill[N_TIED] += 1


@inlined
def _park_facet(
    cells: Cells, regions: Regions, code: int, tied: bool, at: int, dims: tuple[int, ...]
) -> None:
    """Write a facet, 2 row + side, of a parked cell to place `at`."""
    D, row = len(dims), code >> 1
    regions.facet[at], regions.tied[at] = 2 * cells.path_unit[row] + (code & 1), tied
    for c in range(D):
        regions.row[at, c] = cells.path[row * D + c]
    regions.row[at, D] = cells.path_size[row]


GATHER = np.uint64(0x8040201008040201)


@inlined
def _pack(code: np.ndarray, packed: np.ndarray, n: int) -> None:
    """Write n letters as bits, the first in the highest bit of the first byte."""
    for i in range(n >> 3):
        # Letter j stands in bit 8 j; times 2^(63 - 9 j) it comes to bit 63 - j, and nothing else comes there.
        packed[i] = (eight(code, 8 * i) * GATHER) >> np.uint64(56)
    if n & 7:
        byte = np.uint8(0)
        for j in range(n & 7):
            byte |= code[8 * (n >> 3) + j] << np.uint8(7 - j)
        packed[n >> 3] = byte


@inlined
def _park(cells: Cells, chain: Chain, regions: Regions, sp: int, dims: tuple[int, ...]) -> int:
    """Write down the whole cell on top of the stack."""
    D = len(dims)
    first, k, fill = cells.node[sp, VERTEX], cells.node[sp, VERTICES], regions.fill
    at, row, v0, one = fill[N_REGIONS], fill[N_FACETS], fill[N_VERTICES], np.uint64(1)
    room = at < len(regions.parent) and row + max(k, SLOTS) <= len(regions.facet)
    if not room or v0 + k > len(regions.spread):
        return NARROW
    for v in range(k):
        for c in range(D):
            regions.vertex[v0 + v, c] = cells.coord[(first + v) * D + c]
        regions.spread[v0 + v], regions.mask[v0 + v] = cells.spread[first + v], 0
    if D == 3:
        for v in range(k):
            code = cells.facets[first + v]
            _park_facet(cells, regions, 2 * (code >> 2) + (code & 1), code & 2 != 0, row + v, dims)
        n = k
    else:
        used, tied, n = _used(cells, first, k), np.uint64(cells.node[sp, TIED]), 0
        for s in range(SLOTS):
            slot = one << np.uint64(s)
            if used & slot != 0:
                _park_facet(cells, regions, cells.slot_row[sp, s], tied & slot != 0, row + n, dims)
                for v in range(k):
                    if np.uint64(cells.facets[first + v]) & slot != 0:
                        regions.mask[v0 + v] |= np.int64(one << np.uint64(n))
                n += 1
    _pack(cells.code, regions.packed[at], chain.widths[1])
    regions.parent[at], regions.share[at] = fill[PARENT], cells.share[sp]
    regions.flat[at] = cells.node[sp, FLAT] == 1
    regions.n_facets[at], regions.n_vertices[at] = n, k
    fill[N_REGIONS] += 1
    fill[N_FACETS] += n
    fill[N_VERTICES] += k
    return FILLED


@inlined
def _write_facet_sets(
    cells: Cells, chain: Chain, regions: Regions, sp: int, used: np.uint64, at: int
) -> None:
    """Write the facets that each vertex of region `at` lies on: those of units as listed, then the domain's."""
    first, k, v0 = cells.node[sp, VERTEX], cells.node[sp, VERTICES], regions.fill[N_VERTICES]
    one = np.uint64(1)
    bit, outer = 0, int(regions.n_facets[at])
    regions.mask[v0 : v0 + k] = 0
    while used != 0:
        unit, slot = cells.path_unit[cells.slot_row[sp, lowest(used)] >> 1], used & (~used + one)
        used ^= slot
        if unit == chain.starts[-1]:
            continue
        place = bit if unit < chain.starts[0] else outer
        bit += unit < chain.starts[0]
        outer += unit >= chain.starts[0]
        for v in range(k):
            if np.uint64(cells.facets[first + v]) & slot != 0:
                regions.mask[v0 + v] |= np.int64(one << np.uint64(place))


@inlined
def emit(
    cells: Cells, chain: Chain, regions: Regions, scratch: Scratch, sp: int, dims: tuple[int, ...]
) -> int:
    """Write down the finished cell on top of the stack."""
    D = len(dims)
    first, k, fill = cells.node[sp, VERTEX], cells.node[sp, VERTICES], regions.fill
    at, most = fill[N_REGIONS], max(k, SLOTS)
    if fill[MODE] == PARK:
        return _park(cells, chain, regions, sp, dims)
    if fill[MODE] != COUNT:
        room = at < len(regions.packed) and fill[N_FACETS] + most <= len(regions.facet)
        room = room and fill[N_TIED] + most <= len(regions.tied_point)
        if not room or (fill[MODE] == VERTICES_TOO and fill[N_VERTICES] + k > len(regions.vertex)):
            return NARROW
    bounded = _is_bounded(cells, first, k, D)
    used = np.uint64(0) if D == 3 else _used(cells, first, k)
    if fill[MODE] == COUNT:
        cells.tally[REGION] += 1
        cells.tally[BOUNDED] += bounded
        return FILLED
    if fill[GIVEN] == 0:
        largest = _find_witness(cells, regions, first, k, at, dims)
        inside = True
        if D == 3:
            for v in range(k):
                code = cells.facets[first + v]
                inside = inside and _holds(
                    cells, chain, regions, 2 * (code >> 2) + (code & 1), at, largest, dims
                )
        else:
            left = used
            while left != 0:
                row = cells.slot_row[sp, lowest(left)]
                inside = inside and _holds(cells, chain, regions, row, at, largest, dims)
                left &= left - np.uint64(1)
        if not inside:
            return NO_WITNESS
    fill[GIVEN] = 0
    regions.n_facets[at], regions.n_domain[at] = 0, 0
    flat = cells.node[sp, FLAT] == 1
    if D == 3:
        for v in range(k):
            code = cells.facets[first + v]
            if _add_facet(cells, chain, regions, code >> 2, flat or code & 2 != 0, at):
                _add_tied_point(cells, regions, sp, v, np.uint64(0), dims)
    else:
        tied = np.uint64(cells.node[sp, TIED])
        while used != 0:
            row, slot = cells.slot_row[sp, lowest(used)] >> 1, used & (~used + np.uint64(1))
            if _add_facet(cells, chain, regions, row, flat or tied & slot != 0, at):
                _add_tied_point(cells, regions, sp, 0, slot, dims)
            used ^= slot
    _pack(cells.code, regions.packed[at], chain.starts[0])
    regions.bounded[at] = bounded
    if fill[MODE] == VERTICES_TOO:
        for i in range(k * D):
            regions.vertex[fill[N_VERTICES] + i // D, i % D] = cells.coord[first * D + i]
        if D == 3:
            for v in range(k):
                unit = cells.path_unit[cells.facets[first + v] >> 2]
                regions.mask[fill[N_VERTICES] + v] = unit if unit < chain.starts[0] else -1
        else:
            _write_facet_sets(cells, chain, regions, sp, _used(cells, first, k), at)
        regions.n_vertices[at] = k
        fill[N_VERTICES] += k
    fill[N_REGIONS] += 1
    cells.tally[REGION] += 1
    cells.tally[BOUNDED] += bounded
    cells.tally[FACET] += regions.n_facets[at]
    return FILLED
