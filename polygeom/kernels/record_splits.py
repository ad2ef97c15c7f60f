r"""Cells that come from somewhere else: loaded onto the stack one by one, split by rows of their own, parked.

The recursion over all regions (`cell_recursion`) knows chains of dense maps. Here every cell brings its own
rows: *units* cut it in two, *demands* are rows of which only the positive side is kept. To the recursion
that is a chain with one layer and a domain, made anew for every cell.

Numbers of rows within a cell: units, demands, then the facets it has already, the facet at infinity last of
all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from polygeom.kernels.cell_rays import count
from polygeom.kernels.cell_recursion import DONE, TOP, recur
from polygeom.kernels.cell_regions import PARENT, Regions
from polygeom.kernels.cells import (
    CUT,
    DEEPEST,
    FIELDS,
    FLAT,
    LEFT,
    PATH,
    SERIAL,
    SIMPLE,
    STRIDE,
    TIED,
    VERTICES,
    Cells,
    Chain,
    Scratch,
    compiled,
    inlined,
)

__all__ = ["INFINITY", "Records", "split_records"]

INFINITY = -1
"""Owner of the facet at infinity."""


class Records(NamedTuple):
    """Cells with the rows to split them by, one after the other; ``x_start`` tells where each cell's x begin.

    Attributes
    ----------
    vertex_start : (N + 1,); coord : (V, D), spread : (V,), mask : (V,)
        Vertices as in `cells`; mask as in `Regions.mask`.
    facet_start : (N + 1,); facet : (F, D + 2), owner, side, tied : (F,)
        Row of every facet, the sum of its absolute coefficients, the bound on their errors; `INFINITY` or
        any other number; 1 where the cell is on the negative side; whether another unit vanishes on it.
    row_start : (N + 1,), units : (N,); row : (R, D + 1), plane : (R,)
        Rows to split by, with the bound on their errors: first `units` of them, then demands. `plane` is
        the number within the cell of a row with the same hyperplane, its own if there is none.
    flat : (N,)
        Whether a unit vanishes on the whole cell.
    owned : (1,)
        Whether the demands are rows of units: those may share facets with others.
    """

    vertex_start: np.ndarray
    coord: np.ndarray
    spread: np.ndarray
    mask: np.ndarray
    facet_start: np.ndarray
    facet: np.ndarray
    owner: np.ndarray
    side: np.ndarray
    tied: np.ndarray
    row_start: np.ndarray
    units: np.ndarray
    row: np.ndarray
    plane: np.ndarray
    flat: np.ndarray
    owned: np.ndarray


@inlined
def _load_rows(records: Records, i: int, cells: Cells, chain: Chain, dims: tuple[int, ...]) -> None:
    """Make the chain of one cell: its units are the next layer, its demands are undecided."""
    D = len(dims)
    first, n = records.row_start[i], records.units[i]
    m = records.row_start[i + 1] - first - n
    facets = records.facet_start[i + 1] - records.facet_start[i]
    chain.widths[0], chain.widths[1] = m, n
    chain.starts[0], chain.starts[1], chain.starts[2] = n + m * records.owned[0], 0, n + m + facets
    for j in range(n + m):
        chain.row_error[j], chain.plane[j] = records.row[first + j, D], records.plane[first + j]
    for j in range(n):
        for c in range(D):
            cells.nexts[c * n + j] = records.row[first + j, c]
    for j in range(m):
        size = 0.0
        for c in range(D):
            value = records.row[first + n + j, c]
            cells.rows[c * m + j] = value
            size += abs(value)
        cells.rows[D * m + j] = size * (1.0 + DEEPEST)
        cells.unit[j] = n + j
    for c in range(FIELDS):
        cells.node[0, c] = 0
    cells.node[0, STRIDE], cells.node[0, LEFT] = m, m


@inlined
def _load_facets(records: Records, i: int, cells: Cells, chain: Chain, dims: tuple[int, ...]) -> None:
    """Put the facets of one cell on the path."""
    D = len(dims)
    first, n = records.facet_start[i], records.facet_start[i + 1] - records.facet_start[i]
    base, tied = chain.starts[2] - n, 0
    for f in range(n):
        at = first + f
        unit = chain.starts[2] if records.owner[at] == INFINITY else base + f
        for c in range(D):
            cells.path[f * D + c] = records.facet[at, c]
        cells.path_size[f], cells.path_unit[f] = records.facet[at, D], unit
        chain.row_error[unit], chain.plane[unit] = records.facet[at, D + 1], unit
        if D != 3:
            cells.slot_row[0, f] = 2 * f + records.side[at]
            tied |= np.int64(records.tied[at]) << f
    cells.node[0, PATH], cells.node[0, TIED] = n, tied
    cells.node[0, FLAT], cells.node[0, CUT] = records.flat[i], -1


@inlined
def _load(records: Records, i: int, cells: Cells, chain: Chain, dims: tuple[int, ...]) -> None:
    """Put one cell on the empty stack."""
    D = len(dims)
    _load_rows(records, i, cells, chain, dims)
    _load_facets(records, i, cells, chain, dims)
    first, k = records.vertex_start[i], records.vertex_start[i + 1] - records.vertex_start[i]
    simple = 1
    for v in range(k):
        for c in range(D):
            cells.coord[v * D + c] = records.coord[first + v, c]
        cells.spread[v], cells.marks[v] = records.spread[first + v], 0
        cells.serial[v] = cells.tally[SERIAL] + v
        if D == 3:
            at = records.facet_start[i] + v
            cells.facets[v] = 4 * v + 2 * records.tied[at] + records.side[at]
        else:
            cells.facets[v] = records.mask[first + v]
            if count(np.uint64(records.mask[first + v])) != np.uint64(D - 1):
                simple = 0
    cells.tally[SERIAL] += k
    cells.node[0, VERTICES], cells.node[0, SIMPLE] = k, simple
    cells.share[0] = 1.0


@compiled
def split_records(
    records: Records,
    position: np.ndarray,
    cells: Cells,
    chain: Chain,
    scratch: Scratch,
    regions: Regions,
    limits: np.ndarray,
    dims: tuple[int, ...],
) -> int:
    """Split cell after cell until none is left, or the recursion stops; return why.

    ``position[0]`` is the number of cells taken up so far.
    """
    while True:
        if limits[TOP] < 0:
            if position[0] == len(records.units):
                return DONE
            _load(records, position[0], cells, chain, dims)
            regions.fill[PARENT] = position[0]
            position[0] += 1
            limits[TOP] = 0
        status = recur(cells, chain, scratch, regions, limits, dims)
        if status != DONE:
            return status
