r"""The recursion over all regions: cells are split unit by unit until every unit has its letter.

A node is a cell, a layer and the units of that layer still undecided. Every undecided unit is tested at the cell's
vertices. One that is positive on the whole cell joins the rows of the next layer, one that is negative leaves (or
joins with its slope); the rest cut, and the most balanced of them splits the cell in two. A cell without undecided
units goes on to the next layer, or is a region. Cells are disjoint, so nothing found needs to be remembered, and
undecided lists make tests and updates amortized O(1) a region within a layer (Rada, Cerny 2018, for arrangements).

The rows of the domain are layer 0: of a cell that one of them cuts only the inner half is kept.

Every sign is exact (`cells`). A sign that floats cannot give stops the loop with `TIE`; the caller decides it over
the rationals, puts it into the table and calls again. Nothing has been changed by then, so the node is taken up
anew. In the same way the loop stops when an array is too short or the outputs are full.
"""

from __future__ import annotations

import numpy as np

from polygeom.kernels.cell_regions import COUNT, FILLED, MODE, NARROW, Regions, emit
from polygeom.kernels.cell_splits import FITS, FULL, split_cone, split_polygon
from polygeom.kernels.cell_tests import OFF, decide, join, judge, signs
from polygeom.kernels.cells import (
    ALIVE,
    BOUNDED,
    CUT,
    DEEPEST,
    FLAT,
    LAYER,
    LEFT,
    NEXT,
    NULL,
    PATH,
    REGION,
    SLOT,
    STRIDE,
    VERTEX,
    VERTICES,
    Cells,
    Chain,
    Scratch,
    compiled,
    inlined,
)

__all__ = ["DONE", "GROW", "NODES", "PAUSED", "REGIONS", "THIN", "TIE", "TOP", "WIDE", "recur"]

DONE, TIE, GROW, WIDE, PAUSED, THIN = 0, 1, 2, 3, 4, 5
"""Why the loop stopped: no cell left; exact signs wanted; an array is too short; a cell has more than `SLOTS`
facets; outputs full or enough done; a region has no provable float witness."""

TOP, REGIONS, NODES = 0, 1, 2
"""Places in `limits`: the node on top of the stack; regions and nodes still allowed."""


@inlined
def _descend(cells: Cells, chain: Chain, sp: int, dims: tuple[int, ...]) -> bool:
    """Take the next layer's rows as undecided units; False if they do not fit."""
    D = len(dims)
    layer, slot, source = cells.node[sp, LAYER] + 1, cells.node[sp, SLOT], cells.node[sp, NEXT]
    n = chain.widths[layer]
    after = chain.widths[layer + 1] if layer + 1 < len(chain.widths) else 0
    if slot + n > len(cells.unit) or source + D * after > len(cells.nexts):
        return False
    base = slot * (D + 1)
    unit, size = cells.unit[slot : slot + n], cells.rows[base + D * n : base + (D + 1) * n]
    for j in range(n):
        unit[j] = chain.starts[layer] + j
        size[j] = 0.0
    for c in range(D):
        row, made = (
            cells.rows[base + c * n : base + (c + 1) * n],
            cells.nexts[source + c * n : source + (c + 1) * n],
        )
        for j in range(n):
            row[j] = made[j]
            size[j] += abs(made[j]) * (1.0 + DEEPEST)
    if after > 0:
        begun = cells.nexts[source : source + D * after]
        bias = chain.bias[chain.starts[layer + 1] : chain.starts[layer + 1] + after]
        for i in range((D - 1) * after):
            begun[i] = 0.0
        for j in range(after):
            begun[(D - 1) * after + j] = bias[j]
    for v in range(cells.node[sp, VERTEX], cells.node[sp, VERTEX] + cells.node[sp, VERTICES]):
        dead = cells.marks[v] & NULL if layer == 1 else (0 if cells.marks[v] & ALIVE else NULL)
        cells.marks[v] = dead
    cells.node[sp, LAYER], cells.node[sp, STRIDE], cells.node[sp, LEFT] = layer, n, n
    return True


@inlined
def _record(cells: Cells, sp: int, u: int, dims: tuple[int, ...]) -> None:
    """Write the row of undecided unit u to the end of the path."""
    D = len(dims)
    slot, stride, at = cells.node[sp, SLOT], cells.node[sp, STRIDE], cells.node[sp, PATH]
    for c in range(D):
        cells.path[at * D + c] = cells.rows[slot * (D + 1) + c * stride + u]
    cells.path_size[at] = cells.rows[slot * (D + 1) + D * stride + u]
    cells.path_unit[at] = cells.unit[slot + u]


@inlined
def _inherit(cells: Cells, chain: Chain, scratch: Scratch, sp: int, u: int, dims: tuple[int, ...]) -> None:
    """Give the off half above node sp its units and rows, join the cut unit u, and take it off both lists."""
    D, above = len(dims), sp + 1
    layer, slot, stride, m = (
        cells.node[sp, LAYER],
        cells.node[sp, SLOT],
        cells.node[sp, STRIDE],
        cells.node[sp, LEFT],
    )
    unit, base = cells.unit[slot + u], slot * (D + 1)
    if 0 < layer < len(chain.widths) - 1:
        here, n = cells.node[sp, NEXT], chain.widths[layer + 1]
        there = here + D * n
        cells.node[above, NEXT] = there
        own, other_half = cells.nexts[here:there], cells.nexts[there : there + D * n]
        for i in range(D * n):
            other_half[i] = own[i]
        scratch.active[0] = 2 * u + 1
        join(cells, chain, scratch, sp, here, 1, dims)
        if chain.slopes[0, unit] != 0.0:
            scratch.active[0] = 2 * u
            join(cells, chain, scratch, sp, there, 1, dims)
    m -= 1
    for c in range(D + 1):
        cells.rows[base + c * stride + u] = cells.rows[base + c * stride + m]
    cells.unit[slot + u] = cells.unit[slot + m]
    other = slot + stride
    at = other * (D + 1)
    for c in range(D + 1):
        own, given = (
            cells.rows[base + c * stride : base + c * stride + m],
            cells.rows[at + c * m : at + (c + 1) * m],
        )
        for i in range(m):
            given[i] = own[i]
    for i in range(m):
        cells.unit[other + i] = cells.unit[slot + i]
    cells.node[sp, LEFT] = m
    cells.node[above, LEFT], cells.node[above, STRIDE], cells.node[above, SLOT] = m, m, other
    cells.node[above, LAYER], cells.node[above, FLAT] = layer, cells.node[sp, FLAT]


@inlined
def _split(cells: Cells, chain: Chain, scratch: Scratch, sp: int, u: int, dims: tuple[int, ...]) -> int:
    """Split node sp by its undecided unit u; return the new top, or -1 - status."""
    D = len(dims)
    layer, m, above = cells.node[sp, LAYER], cells.node[sp, LEFT], sp + 1
    if not signs(cells, chain, scratch, sp, u, dims):
        return -1 - TIE
    width = chain.widths[layer + 1] if layer + 1 < len(chain.widths) else 0
    fits = above < len(cells.share) and cells.node[sp, PATH] < len(cells.path_size)
    fits = fits and cells.node[sp, SLOT] + cells.node[sp, STRIDE] + m <= len(cells.unit)
    if not fits or cells.node[sp, NEXT] + 2 * D * width > len(cells.nexts):
        return -1 - GROW
    unit, size = (
        cells.unit[cells.node[sp, SLOT] + u],
        cells.rows[cells.node[sp, SLOT] * (D + 1) + D * cells.node[sp, STRIDE] + u],
    )
    _record(cells, sp, u, dims)
    if D == 3:
        outcome = split_polygon(cells, chain, scratch, sp, above, dims)
    else:
        outcome = split_cone(cells, chain, scratch, sp, above, size, dims)
    if outcome != FITS:
        return -1 - (GROW if outcome == FULL else WIDE)
    _inherit(cells, chain, scratch, sp, u, dims)
    cells.node[sp, PATH] += 1
    if layer == 0:
        cells.node[sp, CUT] = -1
        return sp
    cells.node[above, PATH] = cells.node[sp, PATH]
    cells.node[sp, CUT], cells.node[above, CUT] = 2 * unit + 1, 2 * unit
    cells.share[sp] *= 0.5
    cells.share[above] = cells.share[sp]
    return above


@inlined
def _count_halves(
    cells: Cells, chain: Chain, scratch: Scratch, sp: int, u: int, dims: tuple[int, ...]
) -> bool:
    """Count the two regions into which the only unit left cuts a cell; False for a tie.

    A half is unbounded if and only if it keeps a vertex at infinity.
    """
    D = len(dims)
    first, k = cells.node[sp, VERTEX], cells.node[sp, VERTICES]
    points, on, off, asked = cells.coord[first * D : (first + k) * D], True, True, False
    for v in range(k):
        if points[v * D + D - 1] == 0.0:
            if not asked and not signs(cells, chain, scratch, sp, u, dims):
                return False
            asked = True
            on, off = on and scratch.sign[v] < 0, off and scratch.sign[v] > 0
    cells.tally[REGION] += 2
    cells.tally[BOUNDED] += on
    cells.tally[BOUNDED] += off
    return True


@inlined
def _outside(cells: Cells, scratch: Scratch, sp: int) -> bool:
    """Tell whether a row of the domain leaves nothing of the cell."""
    for u in range(cells.node[sp, LEFT]):
        if scratch.verdict[u] == OFF:
            return True
    return False


@compiled
def recur(
    cells: Cells, chain: Chain, scratch: Scratch, regions: Regions, limits: np.ndarray, dims: tuple[int, ...]
) -> int:
    """Go on with the cells on the stack until none is left or something stops the loop; return what.

    ``limits`` holds the top of the stack and what is still allowed; `dims` is a tuple of D zeros, whose length
    the compiler knows.
    """
    sp = limits[TOP]
    while sp >= 0:
        if limits[REGIONS] <= 0 or limits[NODES] <= 0:
            limits[TOP] = sp
            return PAUSED
        limits[NODES] -= 1
        letter = cells.node[sp, CUT]
        if letter >= 0:
            cells.code[letter >> 1] = letter & 1
        cut = judge(cells, chain, scratch, sp, dims)
        status = DONE
        if cut == -2:
            status = TIE
        elif cells.node[sp, LAYER] == 0 and _outside(cells, scratch, sp):
            cells.done[0] += cells.share[sp]
            sp -= 1
        else:
            last = cells.node[sp, LAYER] + 1 == len(chain.widths)
            cut = decide(cells, chain, scratch, sp, cut, dims)
            if cut >= 0 and last and cells.node[sp, LEFT] == 1 and regions.fill[MODE] == COUNT:
                if _count_halves(cells, chain, scratch, sp, cut, dims):
                    limits[REGIONS] -= 2
                    cells.done[0] += cells.share[sp]
                    sp -= 1
                else:
                    status = TIE
            elif cut >= 0:
                top = _split(cells, chain, scratch, sp, cut, dims)
                if top < 0:
                    status = -1 - top
                else:
                    sp = top
            elif not last:
                if not _descend(cells, chain, sp, dims):
                    status = GROW
            else:
                outcome = emit(cells, chain, regions, scratch, sp, dims)
                if outcome == FILLED:
                    limits[REGIONS] -= 1
                    cells.done[0] += cells.share[sp]
                    sp -= 1
                else:
                    status = PAUSED if outcome == NARROW else THIN
        if status != DONE:
            limits[TOP] = sp
            return status
    limits[TOP] = sp
    return DONE
