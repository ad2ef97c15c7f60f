r"""Facets and redundant rows of stacks of cells: candidates for proofs, found in floats.

Nothing here is trusted. The kernels return points and multipliers; `polygeom.certificates.facets` proves
them in the original coordinates or rejects them.

Method
------
A cell with interior point :math:`x_0` is :math:`\{y : p_i \cdot y \le 1\}` with
:math:`y = x - x_0, p_i = a_i / (b_i - a_i \cdot x_0)`. With the Cholesky factor :math:`L L^T = \sum p_i p_i^T`
the rows :math:`q_i = L^{-1} p_i` no longer depend on the scale of rows or coordinates; their Gram matrix is
the hat matrix of the cell.

1. *Shooting.* Along any direction u the row with the largest :math:`q_i \cdot u > 0`, if it is alone, is the
   first wall met from the interior point: a facet. All m rows serve as directions: one product.
2. *Clarkson.* A row not yet decided is maximized over the walls found so far. Optimum at most 1: the row is
   redundant, its multipliers are the prices of the last vertex. Otherwise the point reached lies beyond the
   row, and shooting at it finds a wall that was not known, often the row itself.
3. The linear programs share one vertex and the inverse of its basis (the d edges of the vertex). Steepest edge
   costs little because the edges are at hand; a new wall that cuts the vertex off is repaired by the dual
   simplex method. The next row is the one with the largest :math:`q_i \cdot v / |q_i|^2` at the present vertex
   v, which more than halves the pivots.

Sources: K. L. Clarkson, More output-sensitive geometric algorithms, FOCS 1994; J. Telgen, Minimal
representation of convex polyhedral sets, JOTA 1982; R. J. Caron, J. F. McDonald, C. M. Ponic, JOTA 1989.

Layout
------
Matrices swept over many rows are stored transposed, (d, m), so that inner loops run over contiguous memory
without reordering any sum. Functions that make no arrays are compiled without reference counting, whose atomic
operations would take half of the time of a small cell.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from polygeom.rounding import TINY, U

__all__ = ["FACET", "OPEN", "REDUNDANT", "WEIGHT", "Candidates", "search_stack"]

OPEN, FACET, REDUNDANT = 0, 1, 2
OPTIMAL, BEYOND, STALE = 0, 1, 2

PIVOT = 2.0**13 * U
"""Rates below this share of the edge's length count as parallel, products this close as equal. Like the two
constants below it steers the search; no answer rests on it."""
CLEAR = 2.0**-20
"""How far beyond its bound a row is driven before shooting at the point reached."""
WEIGHT = 2.0**-34
"""Share of the reference in the multipliers of every redundant row: it absorbs their rounding errors."""
REFRESH = 50
"""Pivots between two sharpened inverses of the basis, plus d."""

WALLS, PIVOTS, FREE = 0, 1, 2  # places in `_Cell.count`

_inner = njit(cache=True, error_model="numpy", _nrt=False)
_inlined = njit(cache=True, error_model="numpy", _nrt=False, forceinline=True)


class Candidates(NamedTuple):
    """What the search found for a stack of N cells, in original coordinates.

    Attributes
    ----------
    status : (N, m) int8
        FACET, REDUNDANT, or OPEN where floats found neither.
    witness : (N, m, d)
        For facets a point beyond that row alone, relative to the interior point.
    support : (N, m, d) int32, multipliers : (N, m, d)
        Rows and multipliers that explain redundant rows, and the last vertex of the search for open rows;
        support -1 is unused. See `reference`.
    reference : (N, d) int32, inverse : (N, d, d)
        The walls of one vertex and the approximate inverse of ``A[reference] / slack[reference]``; -1 if no
        vertex was found.
    closing : (N, d) int32, closing_multipliers : (N, d)
        For bounded cells, rows and multipliers with ``pull = sum A[reference] / slack + closing_multipliers @
        A[closing]`` close to 0; otherwise -1, 0, and `pull` is the sum over the reference alone. With
        ``weight = WEIGHT slack[i]``, ``multipliers @ A[support] + weight pull`` is close to ``A[i]``.
    """

    status: np.ndarray
    witness: np.ndarray
    support: np.ndarray
    multipliers: np.ndarray
    reference: np.ndarray
    inverse: np.ndarray
    closing: np.ndarray
    closing_multipliers: np.ndarray

    @classmethod
    def empty(cls, cells: int, rows: int, dim: int) -> Candidates:
        """Return arrays for `search_stack` to fill."""
        return cls(
            np.zeros((cells, rows), np.int8),
            np.zeros((cells, rows, dim)),
            np.full((cells, rows, dim), -1, np.int32),
            np.zeros((cells, rows, dim)),
            np.full((cells, dim), -1, np.int32),
            np.zeros((cells, dim, dim)),
            np.full((cells, dim), -1, np.int32),
            np.zeros((cells, dim)),
        )


class _Cell(NamedTuple):
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


# -- small linear algebra ------------------------------------------------------------------------------------


@_inner
def _products(columns, vector, n, out):
    """Set out[i] to the product of column i with the vector, for the first n columns."""
    d = columns.shape[0]
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


@_inner
def _dot(x, y):
    """Return the inner product of two short vectors."""
    total = 0.0
    for k in range(x.shape[0]):
        total += x[k] * y[k]
    return total


@_inner
def _smallest(value, n):
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


@_inner
def _first_two(value, n):
    """Return the index and size of the largest entry and the size of the second largest, without branches."""
    a, b, a2, b2 = -np.inf, -np.inf, -np.inf, -np.inf
    for i in range(0, n - 1, 2):
        v, w = value[i], value[i + 1]
        low, low_w = (v if v < a else a), (w if w < b else b)
        a2, b2 = (low if low > a2 else a2), (low_w if low_w > b2 else b2)
        a, b = (v if v > a else a), (w if w > b else b)
    if n % 2:
        a2 = max(a2, min(a, value[n - 1]))
        a = max(a, value[n - 1])
    largest, second = max(a, b), max(min(a, b), max(a2, b2))
    first = 0
    while first < n - 1 and value[first] != largest:
        first += 1
    return first, largest, second


@_inner
def _normalize(A, slack, active, cell, factor, inverse):
    """Write the normalized rows of one cell; `factor` becomes their Cholesky factor, `inverse` its inverse.

    Dependent columns would make the Gram matrix singular: a ridge of some units of roundoff keeps it positive
    definite and only weakens the shooting. Rows that are not active become 0.
    """
    m, d = A.shape
    for i in range(m):
        unit = 1.0 / slack[i] if active[i] else 0.0
        for k in range(d):
            cell.normals[i, k] = A[i, k] * unit
            cell.rows[k, i] = A[i, k] * unit
    ridge = 4.0 * (m + d) * U
    for k in range(d):
        _products(cell.normals, cell.rows[k], d, factor[k])
    for k in range(d):
        for j in range(k + 1):
            diagonal = factor[k, j]
            entry = diagonal - _dot(factor[k, :j], factor[j, :j])
            if j < k:
                factor[k, j] = entry / factor[j, j]
            else:
                factor[k, k] = np.sqrt(max(entry, ridge * diagonal, TINY))
    for k in range(d):
        for i in range(d):
            inverse[k, i] = 0.0
        inverse[k, k] = 1.0
        for j in range(k):
            _subtract(inverse[k], factor[k, j], inverse[j])
            _subtract(cell.rows[k], factor[k, j], cell.rows[j])
        _divide(inverse[k], factor[k, k])
        _divide(cell.rows[k], factor[k, k])
    for i in range(m):
        for k in range(d):
            cell.normals[i, k] = cell.rows[k, i]


@_inner
def _subtract(x, factor, y):
    """Subtract a multiple of y from x."""
    for i in range(x.shape[0]):
        x[i] -= factor * y[i]


@_inner
def _divide(x, divisor):
    """Divide x by a number."""
    for i in range(x.shape[0]):
        x[i] /= divisor


# -- shooting ------------------------------------------------------------------------------------------------


@_inner
def _record(cell, direction, products):
    """Record the wall met first in a direction, given the products of all rows, and return it.

    Returns -1 if several walls are met together, or none. A wall with product r alone before the next one,
    s < r, is passed alone at distances between 1/r and 1/s: the target lies at their geometric mean, at most
    2/r. The clearest target is kept.
    """
    wall, largest, second = _first_two(products, products.shape[0])
    if not (largest > 0.0 and largest - second > PIVOT * largest):
        return -1
    second = max(second, 0.25 * largest)
    if cell.status[wall] != FACET or cell.gap[wall] * second < largest:
        cell.status[wall] = FACET
        cell.gap[wall] = largest / second
        distance = 1.0 / np.sqrt(largest * second)
        for k in range(direction.shape[0]):
            cell.target[wall, k] = distance * direction[k]
    return wall


@_inner
def _shoot_along_rows(cell, products):
    """Shoot along every row of the cell. Cost: m^2 d."""
    m = cell.normals.shape[0]
    for i in range(m):
        if cell.status[i] != REDUNDANT:
            _products(cell.rows, cell.normals[i], m, products)
            _record(cell, cell.normals[i], products)


@_inner
def _shoot(cell, row, products):
    """Shoot at `aim` and return the new wall met first, or -1 if no new wall is met alone.

    Where walls are met together the aim is shifted, in fixed pseudo-random directions of decreasing length.
    """
    m, d = cell.normals.shape
    for k in range(d):
        cell.step[k] = cell.aim[k]
    size = 2.0**-4 * np.sqrt(_dot(cell.aim, cell.aim) / d)
    state = 12345 + row
    for _ in range(6):
        _products(cell.rows, cell.step, m, products)
        before = cell.status[_first_two(products, m)[0]]
        wall = _record(cell, cell.step, products)
        if wall >= 0 and before != FACET:
            return wall
        for k in range(d):
            state = (1103515245 * state + 12345) % 2147483648
            cell.step[k] = cell.aim[k] + size * (state / 1073741824.0 - 1.0)
        size *= 2.0**-5
    return -1


# -- one vertex walking over the known walls -----------------------------------------------------------------


@_inner
def _restart(cell):
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


@_inner
def _refresh(cell):
    """Sharpen the edges by one Newton step for the inverse, and recompute vertex and slacks from them.

    Newton squares the residual R = W B - I of the basis W and its inverse B (B becomes B - B R), so the
    rounding errors of the pivots are forgotten; where R is not small, the search restarts.
    """
    d, n = cell.vertex.shape[0], cell.count[WALLS]
    largest = 0.0
    for k in range(d):
        _products(cell.edges, cell.normals[cell.owner[cell.basis[k]]], d, cell.residual[k])
        cell.residual[k, k] -= 1.0
        for j in range(d):
            largest = max(largest, abs(cell.residual[k, j]))
    if not largest < 0.5 / d:
        _restart(cell)
        return
    for k in range(d):
        cell.square[k] = 0.0
    for j in range(d):
        _products(cell.residual, cell.edges[j], d, cell.share)
        cell.vertex[j] = 0.0
        for k in range(d):
            cell.edges[j, k] -= cell.share[k]
            cell.vertex[j] += cell.edges[j, k]
            cell.square[k] += cell.edges[j, k] * cell.edges[j, k]
    _products(cell.walls, cell.vertex, n, cell.slack)
    for i in range(n):
        cell.slack[i] = 1.0 - cell.slack[i]
    cell.count[PIVOTS] = 0


@_inlined
def _pivot(cell, k, wall, distance):
    """Walk `distance` along `step` to a wall and let it replace slot k of the basis.

    `rate` holds the rates of the walls along `step`. Prices follow. Cost: 4 d^2 + n.
    """
    d = cell.vertex.shape[0]
    for i in range(cell.count[WALLS]):
        cell.slack[i] -= distance * cell.rate[i]
    cell.slack[wall] = 0.0
    _products(cell.edges, cell.normals[cell.owner[wall]], d, cell.share)
    scale = 1.0 / cell.share[k]
    price = cell.price[k] * scale
    for slot in range(d):
        cell.square[slot] = 0.0
        cell.price[slot] -= cell.share[slot] * price
    cell.price[k] = price
    # with this share the update turns column k into column k / share[k]
    cell.share[k] -= 1.0
    for j in range(d):
        cell.vertex[j] += distance * cell.step[j]
        entry = cell.edges[j, k] * scale
        for slot in range(d):
            cell.edges[j, slot] -= cell.share[slot] * entry
            cell.square[slot] += cell.edges[j, slot] * cell.edges[j, slot]
    if cell.basis[k] < 0:
        cell.count[FREE] -= 1
    cell.basis[k] = wall
    cell.count[PIVOTS] += 1


@_inlined
def _add_wall(cell, row):
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


@_inner
def _recover(cell):
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
        _products(cell.edges, cell.normals[cell.owner[wall]], d, cell.share)
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
        _products(cell.walls, cell.step, cell.count[WALLS], cell.rate)
        _pivot(cell, leaving, wall, cell.slack[wall] / cell.rate[wall])
    _restart(cell)


@_inlined
def _entering(cell):
    """Return the slot whose edge improves the objective fastest per length, or -1 at an optimum."""
    d = cell.vertex.shape[0]
    for k in range(d):
        gain = cell.price[k] if cell.price[k] < 0.0 else 0.0
        cell.share[k] = -gain * gain / cell.square[k]
    if cell.count[FREE] > 0:
        for k in range(d):
            if cell.basis[k] < 0:
                cell.share[k] = -cell.price[k] * cell.price[k] / cell.square[k]
    steepest = _smallest(cell.share, d)
    if steepest >= -PIVOT * PIVOT:
        return -1
    slot = 0
    while cell.share[slot] != steepest:
        slot += 1
    return slot


@_inlined
def _first_wall(cell, length):
    """Return the wall that stops the present step, and the distance; among near ties the steepest wall."""
    n = cell.count[WALLS]
    threshold = PIVOT * length
    for i in range(n):
        cell.ratio[i] = cell.slack[i] / cell.rate[i] if cell.rate[i] > threshold else np.inf
    best = _smallest(cell.ratio, n)
    if best == np.inf:
        return -1, best
    best = max(best, 0.0) * (1.0 + PIVOT) + PIVOT / length
    wall, fastest = -1, 0.0
    for i in range(n):
        if cell.ratio[i] <= best and cell.rate[i] > fastest:
            fastest = cell.rate[i]
            wall = i
    return wall, max(cell.ratio[wall], 0.0)


@_inner
def _maximize(cell, objective, limit, pivots):
    """Maximize objective . z over the walls, from the present vertex, until it clearly passes the limit.

    Returns OPTIMAL, BEYOND (then `aim` is a point of the walls' cell beyond the limit, or a direction in which
    the objective grows for ever) or STALE after the given number of pivots.
    """
    d = cell.vertex.shape[0]
    _products(cell.edges, objective, d, cell.price)
    value = _dot(objective, cell.vertex)
    for _ in range(pivots):
        k = _entering(cell)
        if k < 0:
            return OPTIMAL
        sign = 1.0 if cell.price[k] > 0.0 else -1.0
        for j in range(d):
            cell.step[j] = sign * cell.edges[j, k]
        _products(cell.walls, cell.step, cell.count[WALLS], cell.rate)
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


@_inner
def _run(cell, objective, limit):
    """Maximize with fresh inverses in between; STALE means that the search cycled."""
    pivots = REFRESH + cell.vertex.shape[0]
    for _ in range(20):
        if cell.count[PIVOTS] >= pivots and cell.count[FREE] == 0:
            _refresh(cell)
        outcome = _maximize(cell, objective, limit, pivots)
        if outcome != STALE:
            return outcome
    return STALE


# -- deciding the rows of one cell ---------------------------------------------------------------------------


@_inner
def _decide(cell, objective, row, limit, products):
    """Maximize a row up to its limit by Clarkson's method; every facet met on the way is recorded.

    Returns OPTIMAL when the basis and its prices explain why the limit is not passed, BEYOND when the row
    itself was met, STALE when floats do not decide; without a row or a limit, BEYOND means unbounded.
    """
    for _ in range(cell.normals.shape[0] + 1):
        outcome = _run(cell, objective, limit)
        if outcome == STALE:
            return STALE
        if outcome == OPTIMAL:
            if _dot(objective, cell.vertex) <= limit:
                return OPTIMAL
            for k in range(cell.aim.shape[0]):
                cell.aim[k] = cell.vertex[k]
        wall = _shoot(cell, row, products)
        if wall < 0:
            return outcome
        if not _add_wall(cell, wall):
            _recover(cell)
        if wall == row:
            return BEYOND
    return STALE


@_inlined
def _next_row(cell, products):
    """Return the open row nearest to the present vertex (module docstring), or -1.

    `likeness` is 1 / |q|^2 for rows that may still be asked, 0 for the others. The row returned is not asked
    again.
    """
    m = cell.normals.shape[0]
    _products(cell.rows, cell.vertex, m, products)
    for i in range(m):
        products[i] = -products[i] * cell.likeness[i] if cell.likeness[i] > 0.0 else np.inf
    while True:
        nearest = _smallest(products, m)
        if nearest == np.inf:
            return -1
        row = 0
        while products[row] != nearest:
            row += 1
        cell.likeness[row] = 0.0
        if cell.status[row] == OPEN:
            return row
        products[row] = np.inf


@_inlined
def _explain(cell, objective, support, multipliers):
    """Write the basis and the prices of an objective, with one step of iterative refinement."""
    d = cell.vertex.shape[0]
    _products(cell.edges, objective, d, cell.price)
    for j in range(d):
        cell.step[j] = objective[j]
    for k in range(d):
        if cell.basis[k] >= 0:
            normal = cell.normals[cell.owner[cell.basis[k]]]
            for j in range(d):
                cell.step[j] -= cell.price[k] * normal[j]
    _products(cell.edges, cell.step, d, cell.share)
    for k in range(d):
        support[k] = -1
        multipliers[k] = 0.0
        if cell.basis[k] >= 0:
            support[k] = cell.owner[cell.basis[k]]
            multipliers[k] = max(cell.price[k] + cell.share[k], 0.0)


@_inner
def _settle(cell, objective, found, n, products):
    """Choose the reference vertex, and close the cell around it if it is bounded; tell if there is a vertex.

    The sum of all walls is bounded on the cell. If minus the sum of the walls of its vertex has an optimum
    too, the multipliers of that optimum complete a positive combination that vanishes: the cell is bounded.
    """
    d = cell.vertex.shape[0]
    for k in range(d):
        objective[k] = 0.0
    for i in range(cell.count[WALLS]):
        _subtract(objective, -1.0, cell.normals[cell.owner[i]])
    if _decide(cell, objective, -1, np.inf, products) != OPTIMAL or cell.count[FREE] > 0:
        return False
    for k in range(d):
        objective[k] = 0.0
        for j in range(d):
            found.inverse[n, j, k] = cell.edges[j, k]
    for k in range(d):
        found.reference[n, k] = cell.owner[cell.basis[k]]
        _subtract(objective, 1.0, cell.normals[found.reference[n, k]])
    weight = WEIGHT
    if _decide(cell, objective, -1, np.inf, products) == OPTIMAL:
        _explain(cell, objective, found.closing[n], found.closing_multipliers[n])
        weight = 0.0
    for k in range(d):
        cell.pull[k] = -weight * objective[k]
    return True


@_inner
def _search(cell, objective, products, found, n):
    """Search one prepared cell; multipliers are those of the normalized rows."""
    m, d = cell.normals.shape
    _shoot_along_rows(cell, products)
    cell.count[WALLS] = 0
    _restart(cell)
    for k in range(d):
        cell.pull[k] = 0.0
    for i in range(m):
        cell.likeness[i] = 0.0
        if cell.status[i] == FACET:
            _add_wall(cell, i)
        elif cell.status[i] == OPEN:
            cell.likeness[i] = 1.0 / max(_dot(cell.normals[i], cell.normals[i]), TINY)
    settled = False
    while True:
        i = _next_row(cell, products)
        if i < 0:
            return
        if not settled:
            settled = _settle(cell, objective, found, n, products)
        if cell.status[i] == FACET:
            continue
        outcome = _decide(cell, cell.normals[i], i, 1.0, products)
        if cell.status[i] == FACET:
            continue
        for k in range(d):
            objective[k] = cell.normals[i, k] - cell.pull[k]
        _explain(cell, objective, found.support[n, i], found.multipliers[n, i])
        if outcome == OPTIMAL:
            cell.status[i] = REDUNDANT


@_inner
def _restore_units(cell, inverse, slack, found, n):
    """Write status, witnesses, multipliers and the reference's inverse in the original rows and coordinates.

    The normalized rows are a_i L^-T / slack_i, so points are multiplied by L^-T (`inverse` is L^-1).
    """
    m, d = cell.normals.shape
    for i in range(m):
        found.status[n, i] = cell.status[i]
        if cell.status[i] == FACET:
            _products(inverse, cell.target[i], d, found.witness[n, i])
        for k in range(d):
            if found.support[n, i, k] >= 0:
                found.multipliers[n, i, k] *= slack[i] / slack[found.support[n, i, k]]
    for k in range(d):
        if found.closing[n, k] >= 0:
            found.closing_multipliers[n, k] /= slack[found.closing[n, k]]
    if found.reference[n, 0] >= 0:
        for k in range(d):
            for j in range(d):
                cell.step[j] = found.inverse[n, j, k]
            _products(inverse, cell.step, d, cell.share)
            for j in range(d):
                found.inverse[n, j, k] = cell.share[j]


@njit(cache=True, error_model="numpy", nogil=True)
def search_stack(A, slack, active, found):
    """Search a stack of cells.

    Parameters
    ----------
    A : (N, m, d) array
        Rows.
    slack : (N, m) array
        Positive slacks at the interior points.
    active : (N, m) bool array
        False for rows to be left out: zero rows, and all but the lowest of coincident rows.
    found : Candidates
        Made by `Candidates.empty`, to be filled.
    """
    N, m, d = A.shape
    cell = _Cell(
        np.empty((d, m)),
        np.empty((m, d)),
        np.empty(m, np.int8),
        np.empty((m, d)),
        np.empty(m),
        np.empty(m),
        np.empty((d, m)),
        np.empty(m, np.int64),
        np.empty(m),
        np.empty((d, d)),
        np.empty((d, d)),
        np.empty(d),
        np.empty(d, np.int64),
        np.empty(d),
        np.empty(d),
        np.empty(d),
        np.empty(m),
        np.empty(m),
        np.empty(d),
        np.empty(d),
        np.empty(d),
        np.zeros(3, np.int64),
    )
    factor, inverse, objective, products = np.empty((d, d)), np.empty((d, d)), np.empty(d), np.empty(m)
    for n in range(N):
        _normalize(A[n], slack[n], active[n], cell, factor, inverse)
        for i in range(m):
            cell.status[i] = OPEN if active[n, i] else REDUNDANT
        _search(cell, objective, products, found, n)
        _restore_units(cell, inverse, slack[n], found, n)
