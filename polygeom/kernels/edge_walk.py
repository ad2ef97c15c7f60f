r"""A vertex that walks over the known walls of a cell :math:`\{z : q_j \cdot z \le 1\}`, one step per pivot.

The simplex method in its geometric form. The vertex carries the inverse of its basis: the d edges that leave it,
so prices are products of the objective with the edges and steepest edge costs little. A new wall that cuts the
vertex off is repaired by the dual simplex method. Slots of the basis without a wall are *free*: their edges may
be walked both ways, so the walk may start at the origin and the cell need not have a vertex.

Layout
------
Matrices swept over many rows are stored transposed, (d, m), so that inner loops run over contiguous memory
without reordering any sum. Nothing here makes an array, so the functions are compiled without reference counting,
whose atomic operations would take half of the time of a small cell.

Sources: G. B. Dantzig 1963, Linear Programming and Extensions; J. J. Forrest, D. Goldfarb 1992, Steepest-edge
simplex algorithms (here with exact lengths instead of updates).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from polygeom.rounding import U

__all__ = [
    "BEYOND",
    "CLEAR",
    "FREE",
    "OPTIMAL",
    "PIVOT",
    "STALE",
    "WALLS",
    "Cell",
    "add_wall",
    "dot",
    "inlined",
    "inner",
    "multiply",
    "new_cell",
    "optimize",
    "recover",
    "restart",
    "smallest",
    "subtract",
]

PIVOT = 2.0**13 * U
"""Rates below this share of the edge's length count as parallel, products this close as equal. Like the other
constants of these kernels it steers the search; no answer rests on it."""
CLEAR = 2.0**33 * U
"""How far beyond its bound an objective is driven before the walk ends."""
REFRESH = 50
"""Pivots between two sharpened inverses of the basis, plus d."""

VECTOR = 8
"""Numbers in the longest vector register: loops over fewer run one number at a time."""

OPTIMAL, BEYOND, STALE = 0, 1, 2
WALLS, PIVOTS, FREE = 0, 1, 2  # places in `Cell.count`

inner = njit(cache=True, error_model="numpy", _nrt=False)
inlined = njit(cache=True, error_model="numpy", _nrt=False, forceinline=True)


class Cell(NamedTuple):
    """The state of the search in one cell; the arrays are reused from cell to cell.

    Attributes
    ----------
    rows : (d, m), normals : (m, d)
        The normalized rows, as columns and as rows.
    status : (m,) int8, target : (m, d), gap : (m,)
        For each facet the end of the arrow that leaves through it alone, and how clearly: its own product over
        the next one.
    likeness : (m,)
        See `_next_row`.
    walls : (d, m), owner : (m,), slack : (m,)
        The first count[WALLS] columns are the known facets with their row indices and their slacks
        1 - wall . vertex, never much below 0.
    edges : (d, d)
        Column k has product 1 with wall ``basis[k]`` and 0 with the other walls of the basis. A slot with
        basis -1 is free: its edge may be walked both ways.
    square : (d,)
        Squared lengths of the edges.
    vertex : (d,)
        The point where the walls of the basis meet (the origin while all slots are free).
    price : (d,)
        Multipliers of the present objective.
    share : (d,), rate : (m,), ratio : (m,), step : (d,), residual : (d, d)
        Scratch: products of the entering wall with the edges; rates of the walls along the present step and
        the distances they allow; see `_refresh`.
    pull : (d,)
        WEIGHT times the sum of the reference's rows, in unbounded cells; 0 otherwise.
    aim : (d,)
        Where `_maximize` got beyond the limit: a point or, if nothing stops the objective, a direction.
    count : (3,) int64
        Number of walls, of pivots since the last `_refresh`, of free slots.
    """

    rows: np.ndarray
    normals: np.ndarray
    status: np.ndarray
    target: np.ndarray
    gap: np.ndarray
    likeness: np.ndarray
    walls: np.ndarray
    owner: np.ndarray
    slack: np.ndarray
    edges: np.ndarray
    residual: np.ndarray
    square: np.ndarray
    basis: np.ndarray
    vertex: np.ndarray
    price: np.ndarray
    share: np.ndarray
    rate: np.ndarray
    ratio: np.ndarray
    step: np.ndarray
    pull: np.ndarray
    aim: np.ndarray
    count: np.ndarray


@inlined
def _padded(n):
    """Return the next multiple of VECTOR."""
    return (n + VECTOR - 1) // VECTOR * VECTOR


@njit(cache=True)
def new_cell(m, d):
    """Return the arrays for cells with m rows in R^d, rows and slots padded to full vectors."""
    rows, slots = _padded(m), _padded(d)
    return Cell(
        np.zeros((d, rows)),
        np.empty((m, d)),
        np.empty(m, np.int8),
        np.empty((m, d)),
        np.empty(m),
        np.empty(m),
        np.zeros((d, rows)),
        np.empty(m, np.int64),
        np.zeros(rows),
        np.zeros((d, slots)),
        np.zeros((d, slots)),
        np.ones(slots),
        np.empty(d, np.int64),
        np.empty(d),
        np.zeros(slots),
        np.zeros(slots),
        np.empty(rows),
        np.empty(rows),
        np.empty(d),
        np.empty(d),
        np.empty(d),
        np.zeros(3, np.int64),
    )


@inner
def multiply(columns, vector, n, out):
    """Set out[i] to the product of column i with the vector, for the first n columns.

    Where the columns are padded, up to full vectors: `out` must have room.
    """
    d = columns.shape[0]
    n = min(_padded(n), columns.shape[1])
    for i in range(n):
        out[i] = 0.0
    k = 0
    while k + 4 <= d:
        v0, v1, v2, v3 = vector[k], vector[k + 1], vector[k + 2], vector[k + 3]
        c0, c1, c2, c3 = columns[k], columns[k + 1], columns[k + 2], columns[k + 3]
        for i in range(n):
            out[i] += (c0[i] * v0 + c1[i] * v1) + (c2[i] * v2 + c3[i] * v3)
        k += 4
    while k < d:
        v0 = vector[k]
        c0 = columns[k]
        for i in range(n):
            out[i] += c0[i] * v0
        k += 1


@inner
def dot(x, y):
    """Return the inner product of two short vectors."""
    total = 0.0
    for k in range(x.shape[0]):
        total += x[k] * y[k]
    return total


@inner
def smallest(value, n):
    """Return the smallest of n entries; four running minima instead of one hide the latency."""
    a, b, c, e = np.inf, np.inf, np.inf, np.inf
    i = 0
    while i + 4 <= n:
        a = value[i] if value[i] < a else a
        b = value[i + 1] if value[i + 1] < b else b
        c = value[i + 2] if value[i + 2] < c else c
        e = value[i + 3] if value[i + 3] < e else e
        i += 4
    while i < n:
        a = value[i] if value[i] < a else a
        i += 1
    return min(min(a, b), min(c, e))


@inner
def subtract(x, factor, y):
    """Subtract a multiple of y from x."""
    for i in range(x.shape[0]):
        x[i] -= factor * y[i]


# -- one vertex walking over the known walls -----------------------------------------------------------------


@inner
def restart(cell):
    """Put the vertex back to the origin, with all slots free."""
    d = cell.vertex.shape[0]
    for k in range(d):
        cell.vertex[k] = 0.0
        cell.basis[k] = -1
        for j in range(d):
            cell.edges[k, j] = 0.0
        cell.edges[k, k] = 1.0
        cell.square[k] = 1.0
    for i in range(cell.count[WALLS]):
        cell.slack[i] = 1.0
    cell.count[PIVOTS] = 0
    cell.count[FREE] = d


@inner
def _refresh(cell):
    """Sharpen the edges by one Newton step for the inverse, and recompute vertex and slacks from them.

    Newton squares the residual R = W B - I of the basis W and its inverse B (B becomes B - B R), so the
    rounding errors of the pivots are forgotten; where R is not small, the search restarts.
    """
    d, n = cell.vertex.shape[0], cell.count[WALLS]
    largest = 0.0
    for k in range(d):
        multiply(cell.edges, cell.normals[cell.owner[cell.basis[k]]], d, cell.residual[k])
        cell.residual[k, k] -= 1.0
        for j in range(d):
            largest = max(largest, abs(cell.residual[k, j]))
    if not largest < 0.5 / d:
        restart(cell)
        return
    for k in range(d):
        cell.square[k] = 0.0
    for j in range(d):
        multiply(cell.residual, cell.edges[j], d, cell.share)
        cell.vertex[j] = 0.0
        for k in range(d):
            cell.edges[j, k] -= cell.share[k]
            cell.vertex[j] += cell.edges[j, k]
            cell.square[k] += cell.edges[j, k] * cell.edges[j, k]
    multiply(cell.walls, cell.vertex, n, cell.slack)
    for i in range(n):
        cell.slack[i] = 1.0 - cell.slack[i]
    cell.count[PIVOTS] = 0


@inlined
def _pivot(cell, k, wall, distance):
    """Walk `distance` along `step` to a wall and let it replace slot k of the basis.

    `rate` holds the rates of the walls along `step`. Prices follow. Cost: 4 d^2 + n.
    """
    d, slots = cell.edges.shape
    for i in range(_padded(cell.count[WALLS])):
        cell.slack[i] -= distance * cell.rate[i]
    cell.slack[wall] = 0.0
    multiply(cell.edges, cell.normals[cell.owner[wall]], d, cell.share)
    scale = 1.0 / cell.share[k]
    price = cell.price[k] * scale
    for slot in range(slots):
        cell.square[slot] = 0.0
        cell.price[slot] -= cell.share[slot] * price
    cell.price[k] = price
    # with this share the update turns column k into column k / share[k]
    cell.share[k] -= 1.0
    for j in range(d):
        cell.vertex[j] += distance * cell.step[j]
        entry = cell.edges[j, k] * scale
        for slot in range(slots):
            cell.edges[j, slot] -= cell.share[slot] * entry
            cell.square[slot] += cell.edges[j, slot] * cell.edges[j, slot]
    if cell.basis[k] < 0:
        cell.count[FREE] -= 1
    cell.basis[k] = wall
    cell.count[PIVOTS] += 1


@inner
def add_wall(cell, row):
    """Append a row to the walls; return whether the present vertex satisfies it."""
    n = cell.count[WALLS]
    value = 0.0
    for j in range(cell.vertex.shape[0]):
        cell.walls[j, n] = cell.normals[row, j]
        value += cell.normals[row, j] * cell.vertex[j]
    cell.owner[n] = row
    cell.slack[n] = 1.0 - value
    cell.count[WALLS] = n + 1
    return value <= 1.0


@inner
def recover(cell):
    """Make the vertex satisfy all walls again, by the dual simplex method.

    The objective is the sum of the normals of the present basis, for which the present vertex is optimal with
    all prices 1 (0 in free slots, which therefore leave first).
    """
    d = cell.vertex.shape[0]
    for k in range(d):
        cell.price[k] = 0.0 if cell.basis[k] < 0 else 1.0
    for _ in range(4 * d + 40):
        wall, worst = -1, -PIVOT
        for i in range(cell.count[WALLS]):
            if cell.slack[i] < worst:
                worst = cell.slack[i]
                wall = i
        if wall < 0:
            return
        multiply(cell.edges, cell.normals[cell.owner[wall]], d, cell.share)
        leaving, best = -1, np.inf
        for k in range(d):
            share = abs(cell.share[k]) if cell.basis[k] < 0 else cell.share[k]
            if share > PIVOT and cell.price[k] < best * share:
                best = cell.price[k] / share
                leaving = k
        if leaving < 0:
            break
        for j in range(d):
            cell.step[j] = -cell.edges[j, leaving]
        multiply(cell.walls, cell.step, cell.count[WALLS], cell.rate)
        _pivot(cell, leaving, wall, cell.slack[wall] / cell.rate[wall])
    restart(cell)


@inlined
def _entering(cell):
    """Return the slot whose edge improves the objective fastest per length, or -1 at an optimum."""
    d, slots = cell.edges.shape
    for k in range(slots):
        gain = cell.price[k] if cell.price[k] < 0.0 else 0.0
        cell.share[k] = -gain * gain / cell.square[k]
    if cell.count[FREE] > 0:
        for k in range(d):
            if cell.basis[k] < 0:
                cell.share[k] = -cell.price[k] * cell.price[k] / cell.square[k]
    steepest = smallest(cell.share, d)
    if steepest >= -PIVOT * PIVOT:
        return -1
    slot = 0
    while cell.share[slot] != steepest:
        slot += 1
    return slot


@inlined
def _first_wall(cell, length):
    """Return the wall that stops the present step, and the distance; among near ties the steepest wall."""
    n = cell.count[WALLS]
    threshold = PIVOT * length
    for i in range(_padded(n)):
        cell.ratio[i] = cell.slack[i] / cell.rate[i] if cell.rate[i] > threshold else np.inf
    best = smallest(cell.ratio, n)
    if best == np.inf:
        return -1, best
    best = max(best, 0.0) * (1.0 + PIVOT) + PIVOT / length
    wall, fastest = -1, 0.0
    for i in range(n):
        if cell.ratio[i] <= best and cell.rate[i] > fastest:
            fastest = cell.rate[i]
            wall = i
    return wall, max(cell.ratio[wall], 0.0)


@inner
def _maximize(cell, objective, limit, pivots):
    """Maximize objective . z over the walls, from the present vertex, until it clearly passes the limit.

    Returns OPTIMAL, BEYOND (then `aim` is a point of the walls' cell beyond the limit, or a direction in which
    the objective grows for ever) or STALE after the given number of pivots.
    """
    d = cell.vertex.shape[0]
    multiply(cell.edges, objective, d, cell.price)
    value = dot(objective, cell.vertex)
    for _ in range(pivots):
        k = _entering(cell)
        if k < 0:
            return OPTIMAL
        sign = 1.0 if cell.price[k] > 0.0 else -1.0
        for j in range(d):
            cell.step[j] = sign * cell.edges[j, k]
        multiply(cell.walls, cell.step, cell.count[WALLS], cell.rate)
        wall, distance = _first_wall(cell, np.sqrt(cell.square[k]))
        if wall < 0:
            for j in range(d):
                cell.aim[j] = cell.step[j]
            return BEYOND
        value += distance * abs(cell.price[k])
        if value > limit + CLEAR:
            for j in range(d):
                cell.aim[j] = cell.vertex[j] + distance * cell.step[j]
            return BEYOND
        _pivot(cell, k, wall, distance)
    return STALE


@inner
def optimize(cell, objective, limit):
    """Maximize with fresh inverses in between; STALE means that the search cycled."""
    pivots = REFRESH + cell.vertex.shape[0]
    for _ in range(20):
        if cell.count[PIVOTS] >= pivots and cell.count[FREE] == 0:
            _refresh(cell)
        outcome = _maximize(cell, objective, limit, pivots)
        if outcome != STALE:
            return outcome
    return STALE
