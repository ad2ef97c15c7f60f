r"""Splitting a cell by a unit's hyperplane: polygons edge by edge, cones ray by ray.

Both halves are full-dimensional whenever the exact signs of the unit at the vertices are strict on both sides.
Everything combinatorial rests on exact signs, so the halves are exact; coordinates are approximations with bounds.

*Polygons* (D = 3). A new vertex is the cross product of the rows of an edge and of the cut. With computed rows
a, b, :math:`|a|_1 \le s_a`, summed coefficient errors :math:`r_a`, likewise b, each coordinate of the cross
product is off by at most :math:`3 u s_a s_b + r_a s_b + s_a r_b + r_a r_b`: no error is passed on from vertex to
vertex.

*Cones*. A new ray :math:`w = p + \tau (q - p)`, :math:`\tau = z_p / (z_p - z_q)`, joins adjacent rays p, q on both
sides (double description, Motzkin et al. 1953). Adjacency is combinatorial: no third ray lies on all facets that
p and q share (Fukuda, Prodon 1996, Proposition 7). Let :math:`\delta` bound the errors of :math:`z_p, z_q`. The
exact ray is :math:`\hat p + \hat \tau (\hat q - \hat p)` with
:math:`|\hat\tau - \tau| \le \delta / (z_p - z_q - 2 \delta)` up to rounding, so

.. math:: |w - \hat w| \le \max(e_p, e_q) + |q - p| \, \delta / (z_p - z_q - 2 \delta) + 8 u.

A facet of the cell is a facet of a half if and only if it has a vertex strictly on that side.
"""

from __future__ import annotations

import numpy as np

from polygeom.kernels.cell_rays import COARSE, ROUNDED, sharpen
from polygeom.kernels.cells import (
    ALIVE,
    NULL,
    PATH,
    SERIAL,
    SIMPLE,
    SLOTS,
    TIED,
    VERTEX,
    VERTICES,
    Cells,
    Chain,
    Scratch,
    inlined,
    tolerance,
)
from polygeom.kernels.intrinsics import count, lowest
from polygeom.rounding import TINY, U

__all__ = ["FITS", "FULL", "NO_SLOT", "split_cone", "split_polygon"]

FITS, FULL, NO_SLOT = 0, 1, 2

HUGE = 2.0**900
"""Sizes of products between 1 / HUGE and HUGE neither overflow nor lose more than 4 u to underflow."""

ONE = np.uint64(1)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@inlined
def _shift(cells: Cells, source: int, target: int, dims: tuple[int, ...]) -> None:
    """Copy a vertex within the arena."""
    D = len(dims)
    for c in range(D):
        cells.coord[target * D + c] = cells.coord[source * D + c]
    cells.spread[target], cells.serial[target] = cells.spread[source], cells.serial[source]
    cells.marks[target], cells.facets[target] = cells.marks[source], cells.facets[source]


@inlined
def _cross(cells: Cells, chain: Chain, edge: int, cut: int, entering: bool, at: int) -> None:
    """Write the vertex where an edge meets the row `cut` to place `at`; entering: the edge comes from outside."""
    row = edge >> 2
    side = -1.0 if (edge & 1 == 1) != entering else 1.0
    one, other, made = (
        cells.path[3 * row : 3 * row + 3],
        cells.path[3 * cut : 3 * cut + 3],
        cells.coord[3 * at : 3 * at + 3],
    )
    x = (one[1] * other[2] - one[2] * other[1]) * side
    y = (one[2] * other[0] - one[0] * other[2]) * side
    t = (one[0] * other[1] - one[1] * other[0]) * side
    if t <= 0.0 and cells.path_unit[row] != chain.starts[-1]:
        t = TINY  # a point: only the facet at infinity holds directions that were not there before
    size = max(abs(x), abs(y), abs(t))
    a, b = cells.path_size[row], cells.path_size[cut]
    if not (a * b < HUGE and a * b * HUGE > 1.0):  # products may overflow or vanish: nothing is known
        x, y, t = (1.0, 0.0, 0.0) if cells.path_unit[row] == chain.starts[-1] else (0.0, 0.0, 1.0)
        a, size = np.inf, 1.0
    r, s = chain.row_error[cells.path_unit[row]], chain.row_error[cells.path_unit[cut]]
    error = 4.0 * U * a * b + r * (b + s) + a * s
    inverse = 1.0 / size if size > 0.0 else 0.0
    made[0], made[1], made[2] = x * inverse, y * inverse, t * inverse
    cells.spread[at] = error * inverse * (1.0 + ROUNDED) + ROUNDED if size > 2.0 * error else np.inf
    cells.serial[at] = cells.tally[SERIAL]
    cells.tally[SERIAL] += 1


@inlined
def split_polygon(
    cells: Cells, chain: Chain, scratch: Scratch, sp: int, above: int, dims: tuple[int, ...]
) -> int:
    """Split the polygon of node sp by the row at the end of its path; both halves are written behind it, on first.

    Signs of the vertices are in ``scratch.sign``. A vertex is followed by its old edge or by the new one; the tied
    bit of edges is kept.
    """
    first, k, cut = cells.node[sp, VERTEX], cells.node[sp, VERTICES], cells.node[sp, PATH]
    on, off = first + k, first + 2 * k + 2
    if off + k + 2 > len(cells.spread):
        return FULL
    below = ALIVE if chain.slopes[0, cells.path_unit[cut]] != 0.0 else 0
    sign, edges, marks = scratch.sign[:k], cells.facets[first:on], cells.marks[first:on]
    a, b = on, off
    for v in range(k):
        u = v + 1 if v + 1 < k else 0
        here, there, edge = sign[v], sign[u], edges[v]
        if here >= 0:
            _shift(cells, first + v, a, dims)
            cells.marks[a] = marks[v] | ALIVE if here > 0 else marks[v]
            cells.facets[a] = edge if here > 0 or there > 0 else 4 * cut
            a += 1
        if here <= 0:
            _shift(cells, first + v, b, dims)
            cells.marks[b] = marks[v] | below if here < 0 else marks[v]
            cells.facets[b] = edge if here < 0 or there < 0 else 4 * cut + 1
            b += 1
        if here * there < 0:
            _cross(cells, chain, edge, cut, here < 0, a)
            cells.marks[a] = (marks[v] & marks[u] & NULL) | ((marks[v] | marks[u]) & ALIVE)
            _shift(cells, a, b, dims)
            cells.facets[a] = 4 * cut if here > 0 else edge
            cells.facets[b] = 4 * cut + 1 if here < 0 else edge
            a += 1
            b += 1
    cells.node[sp, VERTEX], cells.node[sp, VERTICES] = on, a - on
    cells.node[above, VERTEX], cells.node[above, VERTICES] = off, b - off
    return FITS


@inlined
def _adjacent(facets: np.ndarray, p: int, q: int, common: np.uint64) -> bool:
    """Tell whether no third vertex of the cell lies on all facets that p and q share."""
    for w in range(len(facets)):
        if np.uint64(facets[w]) & common == common and w != p and w != q:
            return False
    return True


@inlined
def _meet(
    cells: Cells,
    chain: Chain,
    scratch: Scratch,
    pair: tuple[int, int],
    z: tuple[float, float, float],
    facets: tuple[int, np.uint64],
    at: int,
    dims: tuple[int, ...],
) -> None:
    """Write the ray where the cone of two vertices meets the cut to place `at`.

    z holds the cut's values at the two and the bound on their errors; `facets` the node and the slots in which the
    new ray lies.
    """
    (p, q), (sp, mask) = pair, facets
    D = len(dims)
    one, other, made = (
        cells.coord[p * D : p * D + D],
        cells.coord[q * D : q * D + D],
        cells.coord[at * D : at * D + D],
    )
    gap = z[0] - z[1]
    # Of vertices that are one in floats, or opposite, floats know nothing: any point between is as good.
    tau = min(max(z[0] / gap, 0.0), 1.0) if gap > 0.0 else 0.5
    size, apart = 0.0, 0.0
    for c in range(D):
        step = other[c] - one[c]
        made[c] = one[c] + tau * step
        size, apart = max(size, abs(made[c])), max(apart, abs(step))
    if size == 0.0:
        gap = 0.0
        for c in range(D):
            made[c] = one[c]
            size = max(size, abs(one[c]))
    if one[D - 1] + other[D - 1] > 0.0:
        made[D - 1] = max(made[D - 1], TINY)  # a point, no direction
    error = max(cells.spread[p], cells.spread[q]) + apart * z[2] / (gap - 2.0 * z[2]) + ROUNDED
    known = gap > 2.0 * z[2] and size > 2.0 * error
    inverse = 1.0 / size if size > 0.0 else 0.0
    for c in range(D):
        made[c] *= inverse
    cells.spread[at] = error * inverse * (1.0 + ROUNDED) + ROUNDED if known else np.inf
    cells.facets[at] = np.int64(mask)
    if cells.spread[at] > COARSE:
        sharpen(cells, chain, scratch, sp, mask, at, dims)
    cells.serial[at] = cells.tally[SERIAL]
    cells.tally[SERIAL] += 1
    marks = cells.marks[p], cells.marks[q]
    cells.marks[at] = (marks[0] & marks[1] & NULL) | ((marks[0] | marks[1]) & ALIVE)


@inlined
def _pair(
    cells: Cells, chain: Chain, scratch: Scratch, sp: int, slot: int, size: float, dims: tuple[int, ...]
) -> int:
    """Write the rays where the cut meets edges of node sp behind its vertices; return how many, -1 for no room."""
    D = len(dims)
    first, k, cut = cells.node[sp, VERTEX], cells.node[sp, VERTICES], cells.node[sp, PATH]
    facets, spread, sign = cells.facets[first : first + k], cells.spread[first : first + k], scratch.sign[:k]
    simple, new, made, outside = cells.node[sp, SIMPLE] == 1, ONE << np.uint64(slot), 0, 0
    for v in range(k):
        if sign[v] < 0:
            scratch.other[outside] = v
            scratch.mask[outside] = np.uint64(facets[v])
            outside += 1
    others, masks = scratch.other[:outside], scratch.mask[:outside]
    row_error = chain.row_error[cells.path_unit[cut]]
    for p in range(k):
        if sign[p] <= 0:
            continue
        mask = np.uint64(facets[p])
        for i in range(outside):
            common = mask & masks[i]
            if count(common) < np.uint64(D - 2):
                continue
            if not simple and not _adjacent(facets, p, others[i], common):
                continue
            if first + k + made == len(cells.spread):
                return -1
            error = tolerance(size, max(spread[p], spread[others[i]]), row_error)
            z = (scratch.value[p], scratch.value[others[i]], error)
            pair = first + p, first + others[i]
            _meet(cells, chain, scratch, pair, z, (sp, common | new), first + k + made, dims)
            made += 1
    return made


@inlined
def _part(
    cells: Cells,
    chain: Chain,
    scratch: Scratch,
    sp: int,
    made: int,
    kept: tuple[np.uint64, np.uint64, np.uint64],
    dims: tuple[int, ...],
) -> tuple[int, int]:
    """Part the vertices of node sp, `made` new ones behind the old: off goes behind all, on closes the gaps.

    `kept` holds the facets of either half and the new one's bit. Return how many vertices the halves have.
    """
    first, k = cells.node[sp, VERTEX], cells.node[sp, VERTICES]
    below = ALIVE if chain.slopes[0, cells.path_unit[cells.node[sp, PATH]]] != 0.0 else 0
    base, b, end = first + k + made, 0, k + made
    sign, facets, marks = scratch.sign[:k], cells.facets[first : first + k], cells.marks[first : first + k]
    for v in range(k):
        here = sign[v]
        if here <= 0:
            _shift(cells, first + v, base + b, dims)
            off = np.uint64(facets[v]) if here < 0 else (np.uint64(facets[v]) | kept[2]) & kept[1]
            cells.facets[base + b], cells.marks[base + b] = (
                np.int64(off),
                marks[v] | below if here < 0 else marks[v],
            )
            b += 1
        if here == 0:
            facets[v] = np.int64((np.uint64(facets[v]) | kept[2]) & kept[0])
        elif here > 0:
            marks[v] |= ALIVE
    for i in range(made):
        _shift(cells, first + k + i, base + b + i, dims)
    for v in range(k - 1, -1, -1):
        if sign[v] < 0:
            end -= 1
            if v != end:
                _shift(cells, first + end, first + v, dims)
    return end, b + made


@inlined
def _is_simple(cells: Cells, node: int, D: int) -> bool:
    """Tell whether every vertex lies on D - 1 facets only."""
    first, k = cells.node[node, VERTEX], cells.node[node, VERTICES]
    for v in range(first, first + k):
        if count(np.uint64(cells.facets[v])) != np.uint64(D - 1):
            return False
    return True


@inlined
def split_cone(
    cells: Cells, chain: Chain, scratch: Scratch, sp: int, above: int, size: float, dims: tuple[int, ...]
) -> int:
    """Split the cone of node sp by the row at the end of its path: on stays, off goes to `above`.

    Signs and values of the cut at the vertices are in ``scratch.sign`` and ``scratch.value``; `size` is the sum
    of its absolute coefficients. A facet of the cell survives in the half in which it has a vertex off the cut.
    """
    D = len(dims)
    first, k, cut = cells.node[sp, VERTEX], cells.node[sp, VERTICES], cells.node[sp, PATH]
    sign, facets = scratch.sign[:k], cells.facets[first : first + k]
    kept, given = np.uint64(0), np.uint64(0)
    for v in range(k):
        if sign[v] > 0:
            kept |= np.uint64(facets[v])
        elif sign[v] < 0:
            given |= np.uint64(facets[v])
    if kept | given == ALL:
        return NO_SLOT
    slot = lowest(~(kept | given))
    new = ONE << np.uint64(slot)
    cells.slot_row[sp, slot] = 2 * cut
    made = _pair(cells, chain, scratch, sp, slot, size, dims)
    base = first + k + made
    if made < 0 or base + k + made > len(cells.spread):
        return FULL
    kept, given = kept | new, given | new
    a, b = _part(cells, chain, scratch, sp, made, (kept, given, new), dims)
    cells.node[sp, VERTICES] = a
    cells.node[above, VERTEX], cells.node[above, VERTICES] = base, b
    cells.node[sp, SIMPLE], cells.node[above, SIMPLE] = _is_simple(cells, sp, D), _is_simple(cells, above, D)
    own, other = cells.slot_row[sp], cells.slot_row[above]
    for s in range(SLOTS):
        other[s] = own[s]
    other[slot] = 2 * cut + 1
    tied = np.uint64(cells.node[sp, TIED]) & ~new
    cells.node[sp, TIED], cells.node[above, TIED] = np.int64(tied & kept), np.int64(tied & given)
    return FITS
