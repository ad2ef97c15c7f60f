r"""Facets and redundant rows of stacks of cells: candidates for proofs, found in floats.

Nothing here is trusted. The kernels return directions and multipliers; `polygeom.certificates.facets` proves
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
   costs nothing extra because the edges are at hand; a new wall that cuts the vertex off is repaired by the
   dual simplex method.

Sources: K. L. Clarkson, More output-sensitive geometric algorithms, FOCS 1994; J. Telgen, Minimal
representation of convex polyhedral sets, JOTA 1982; R. J. Caron, J. F. McDonald, C. M. Ponic, JOTA 1989.

Layout
------
Matrices that are swept over many rows are stored transposed, (d, m), so that the inner loop runs over
contiguous memory without reordering any sum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from polygeom.rounding import U

__all__ = ["FACET", "OPEN", "REDUNDANT", "Candidates", "search_stack"]

OPEN, FACET, REDUNDANT = 0, 1, 2

PIVOT = 2.0**13 * U
"""Rates below this share of the edge's length count as parallel; only the search depends on it."""
CLEAR = 2.0**-20
"""How far beyond its bound a row is driven before shooting at the point reached."""
REFRESH = 60
"""Pivots between two fresh inverses of the basis."""

OPTIMAL, BEYOND, STALLED = 0, 1, 2


class Candidates(NamedTuple):
    """What the search found, in original coordinates (shapes for a stack of N cells).

    Attributes
    ----------
    status : (N, m) int8
        FACET, REDUNDANT, or OPEN where floats found neither.
    witness : (N, m, d)
        A point beyond row i alone, for facets.
    support : (N, m, d) int32, multipliers : (N, m, d)
        Rows and multipliers with ``multipliers @ A[support]`` close to ``A[i]``; support -1 is unused. Filled
        for redundant rows, and for open rows with the last vertex of the search.
    reference : (N, d) int32, closing : (N, d) int32, closing_multipliers : (N, d)
        For bounded cells: ``sum A[reference] / slack + closing_multipliers @ A[closing]`` is close to 0.
    bounded : (N,) bool
        Whether the three arrays before are filled.
    """

    status: np.ndarray
    witness: np.ndarray
    support: np.ndarray
    multipliers: np.ndarray
    reference: np.ndarray
    closing: np.ndarray
    closing_multipliers: np.ndarray
    bounded: np.ndarray


class _Cell(NamedTuple):
    """The state of the search in one cell.

    Attributes
    ----------
    rows : (d, m)
        The normalized rows as columns.
    walls : (d, m)
        Columns 0 .. count[0] - 1: the rows known to be facets; ``owner`` names them.
    slack : (m,)
        1 - wall . vertex for every wall, never much below 0.
    edges : (d, d)
        ``edges[k]`` has product 1 with wall ``basis[k]`` and 0 with the other walls of the basis. A slot with
        basis -1 is free: its edge may be walked both ways.
    vertex : (d,)
        The point where the walls of the basis meet (the origin while all slots are free).
    price, rate, step : scratch of sizes d, m, d
        Multipliers of the present objective, rates of the walls and the direction of the present step.
    target : (d,)
        Where `_maximize` got beyond the bound: a point or, for an unbounded objective, a direction.
    count : (3,) int64
        Number of walls, pivots since the last fresh inverse, free slots.
    """

    rows: np.ndarray
    walls: np.ndarray
    owner: np.ndarray
    slack: np.ndarray
    edges: np.ndarray
    basis: np.ndarray
    vertex: np.ndarray
    price: np.ndarray
    rate: np.ndarray
    step: np.ndarray
    target: np.ndarray
    count: np.ndarray


@njit(cache=True)
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


@njit(cache=True)
def _dot(x, y):
    """Return the inner product of two short vectors."""
    total = 0.0
    for k in range(x.shape[0]):
        total += x[k] * y[k]
    return total


@njit(cache=True)
def _restart(cell):
    """Put the vertex back to the origin, with all slots free."""
    d = cell.vertex.shape[0]
    for k in range(d):
        cell.vertex[k] = 0.0
        cell.basis[k] = -1
        for j in range(d):
            cell.edges[k, j] = 0.0
        cell.edges[k, k] = 1.0
    for i in range(cell.count[0]):
        cell.slack[i] = 1.0
    cell.count[1] = 0
    cell.count[2] = d


@njit(cache=True)
def _refresh(cell):
    """Sharpen the edges by one Newton step for the inverse, and recompute vertex and slacks from them.

    Newton squares the residual I - W B of the basis W and its inverse B, so the rounding errors of the pivots
    are forgotten; a residual above 1/2 means that nothing is left to sharpen, and the search restarts.
    """
    d = cell.vertex.shape[0]
    basis = np.empty((d, d))
    for k in range(d):
        for j in range(d):
            basis[k, j] = cell.walls[j, cell.basis[k]]
    product = np.dot(cell.edges, basis.T)
    for k in range(d):
        product[k, k] -= 1.0
    if not np.max(np.abs(product)) < 0.5 / d:
        _restart(cell)
        return
    cell.edges[:, :] -= np.dot(product, cell.edges)
    for j in range(d):
        cell.vertex[j] = 0.0
        for k in range(d):
            cell.vertex[j] += cell.edges[k, j]
    n = cell.count[0]
    _products(cell.walls, cell.vertex, n, cell.slack)
    for i in range(n):
        cell.slack[i] = 1.0 - cell.slack[i]
    for k in range(d):
        cell.slack[cell.basis[k]] = 0.0
    cell.count[1] = 0


@njit(cache=True)
def _pivot(cell, k, wall, distance):
    """Walk `distance` along `step` to a wall and let it replace slot k of the basis.

    `rate` holds the rates of the walls along `step`. Prices follow. Cost: 2 d^2 + n.
    """
    d = cell.vertex.shape[0]
    for j in range(d):
        cell.vertex[j] += distance * cell.step[j]
    for i in range(cell.count[0]):
        cell.slack[i] -= distance * cell.rate[i]
    cell.slack[wall] = 0.0
    normal = cell.walls[:, wall]
    scale = 1.0 / _dot(normal, cell.edges[k])
    cell.price[k] *= scale
    for j in range(d):
        cell.edges[k, j] *= scale
    for slot in range(d):
        if slot != k:
            share = _dot(normal, cell.edges[slot])
            if share != 0.0:
                cell.price[slot] -= share * cell.price[k]
                for j in range(d):
                    cell.edges[slot, j] -= share * cell.edges[k, j]
    if cell.basis[k] < 0:
        cell.count[2] -= 1
    cell.basis[k] = wall
    cell.count[1] += 1


@njit(cache=True)
def _add_wall(cell, row):
    """Append a row to the walls; return False if it cuts the present vertex off."""
    n = cell.count[0]
    value = 0.0
    for j in range(cell.vertex.shape[0]):
        cell.walls[j, n] = cell.rows[j, row]
        value += cell.rows[j, row] * cell.vertex[j]
    cell.owner[n] = row
    cell.slack[n] = 1.0 - value
    cell.count[0] = n + 1
    return value <= 1.0


@njit(cache=True)
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
        for i in range(cell.count[0]):
            if cell.slack[i] < worst:
                worst = cell.slack[i]
                wall = i
        if wall < 0:
            return
        leaving, best = -1, np.inf
        normal = cell.walls[:, wall]
        for k in range(d):
            share = _dot(normal, cell.edges[k])
            if cell.basis[k] < 0:
                share = abs(share)
            if share > PIVOT and cell.price[k] < best * share:
                best = cell.price[k] / share
                leaving = k
        if leaving < 0:
            break
        for j in range(d):
            cell.step[j] = -cell.edges[leaving, j]
        _products(cell.walls, cell.step, cell.count[0], cell.rate)
        _pivot(cell, leaving, wall, cell.slack[wall] / cell.rate[wall])
    _restart(cell)


@njit(cache=True)
def _entering(cell):
    """Return the slot whose edge improves the objective fastest per length, or -1 at an optimum."""
    d = cell.vertex.shape[0]
    slot, steepest = -1, 0.0
    for k in range(d):
        gain = abs(cell.price[k]) if cell.basis[k] < 0 else -cell.price[k]
        if gain > 0.0:
            square = _dot(cell.edges[k], cell.edges[k])
            if gain * gain > square * max(steepest, PIVOT * PIVOT):
                steepest = gain * gain / square
                slot = k
    return slot


@njit(cache=True)
def _first_wall(cell, length):
    """Return the wall that stops the present step, and the distance; among near ties the steepest wall."""
    n = cell.count[0]
    threshold = PIVOT * length
    best = np.inf
    for i in range(n):
        if cell.rate[i] > threshold and cell.slack[i] < best * cell.rate[i]:
            best = max(cell.slack[i], 0.0) / cell.rate[i]
    if best == np.inf:
        return -1, best
    wall, fastest = -1, 0.0
    for i in range(n):
        if cell.rate[i] > threshold and cell.rate[i] > fastest:
            if cell.slack[i] <= best * cell.rate[i] + PIVOT:
                fastest = cell.rate[i]
                wall = i
    return wall, max(cell.slack[wall], 0.0) / cell.rate[wall]


@njit(cache=True)
def _maximize(cell, objective, limit):
    """Maximize objective . z over the walls, from the present vertex, until it clearly passes the limit.

    Returns OPTIMAL, BEYOND (then `target` is a point of the walls' cell beyond the limit, or a direction in
    which the objective grows for ever) or STALLED.
    """
    d = cell.vertex.shape[0]
    for k in range(d):
        cell.price[k] = _dot(cell.edges[k], objective)
    value = _dot(objective, cell.vertex)
    for _ in range(20 * d + 100):
        if cell.count[1] > REFRESH and cell.count[2] == 0:
            _refresh(cell)
            for k in range(d):
                cell.price[k] = _dot(cell.edges[k], objective)
            value = _dot(objective, cell.vertex)
        k = _entering(cell)
        if k < 0:
            return OPTIMAL
        sign = 1.0 if cell.price[k] > 0.0 else -1.0
        square = 0.0
        for j in range(d):
            cell.step[j] = sign * cell.edges[k, j]
            square += cell.step[j] ** 2
        growth = abs(cell.price[k])
        _products(cell.walls, cell.step, cell.count[0], cell.rate)
        wall, distance = _first_wall(cell, np.sqrt(square))
        if wall < 0:
            cell.target[:] = cell.step
            return BEYOND
        value += distance * growth
        if value > limit + CLEAR:
            for j in range(d):
                cell.target[j] = cell.vertex[j] + distance * cell.step[j]
            return BEYOND
        _pivot(cell, k, wall, distance)
    return STALLED


@njit(cache=True)
def _first_two(value, n):
    """Return the index and size of the largest entry and the size of the second largest."""
    first, largest, second = 0, -np.inf, -np.inf
    for i in range(n):
        v = value[i]
        if v > second:
            if v > largest:
                second = largest
                largest = v
                first = i
            else:
                second = v
    return first, largest, second


@njit(cache=True)
def _normalize(A, slack):
    """Return the transposed normalized rows (d, m) and the inverse of their Cholesky factor.

    Dependent columns would make the Gram matrix singular: a ridge of some units of roundoff keeps it positive
    definite and only weakens the hat test.
    """
    m, d = A.shape
    scaled = np.empty((d, m))
    for i in range(m):
        for k in range(d):
            scaled[k, i] = A[i, k] / slack[i]
    gram = np.dot(scaled, scaled.T)
    inverse = np.zeros((d, d))
    factor = np.zeros((d, d))
    ridge = 4.0 * (m + d) * U
    for k in range(d):
        for j in range(k):
            gram[k, j] -= _dot(factor[k, :j], factor[j, :j])
            factor[k, j] = gram[k, j] / factor[j, j]
        pivot = gram[k, k] - _dot(factor[k, :k], factor[k, :k])
        factor[k, k] = np.sqrt(max(pivot, ridge * gram[k, k]))
        if factor[k, k] == 0.0:
            factor[k, k] = 1.0
    for k in range(d):
        for j in range(k):
            share = factor[k, j]
            for i in range(m):
                scaled[k, i] -= share * scaled[j, i]
            for i in range(j + 1):
                inverse[k, i] -= share * inverse[j, i]
        unit = 1.0 / factor[k, k]
        for i in range(m):
            scaled[k, i] *= unit
        inverse[k, k] = 1.0
        for i in range(k + 1):
            inverse[k, i] *= unit
    return scaled, inverse


@njit(cache=True)
def _shoot_along_rows(cell, status, target, gap):
    """Shoot along every row of the cell; a wall met alone is a facet. Cost: m^2 d.

    `target[j]` becomes the direction in which wall j is met with the largest share `gap[j]` between its own
    product and the next one.
    """
    d, m = cell.rows.shape
    block = max(1, min(m, 8192 // m + 1))
    normals = np.ascontiguousarray(cell.rows.T)
    for start in range(0, m, block):
        stop = min(m, start + block)
        products = np.dot(normals[start:stop], cell.rows)
        for i in range(start, stop):
            if status[i] == REDUNDANT:
                continue
            j, largest, second = _first_two(products[i - start], m)
            if _is_alone(largest, second) and (status[j] == OPEN or second * gap[j] < largest):
                status[j] = FACET
                gap[j] = largest / second if second > 0.0 else np.inf
                target[j] = normals[i]


@njit(cache=True)
def _is_alone(largest, second):
    """Tell whether a wall with this product is met clearly before the next one."""
    return largest > 0.0 and largest - second > PIVOT * largest


@njit(cache=True)
def _shoot(cell, direction, products):
    """Return the wall met first in a direction, or -1 if several are met together."""
    m = cell.rows.shape[1]
    _products(cell.rows, direction, m, products)
    j, largest, second = _first_two(products, m)
    return j if _is_alone(largest, second) else -1


@njit(cache=True)
def _decide(cell, row, status, target, products):
    """Decide one open row by Clarkson's method; every facet met on the way is recorded.

    Returns True when the search ended at an optimum (`cell.price` and `cell.basis` then explain the row).
    """
    objective = cell.rows[:, row].copy()
    for _ in range(cell.rows.shape[1]):
        outcome = _maximize(cell, objective, 1.0)
        if outcome == STALLED:
            return False
        if outcome == OPTIMAL:
            if _dot(objective, cell.vertex) <= 1.0:
                return True
            cell.target[:] = cell.vertex
        wall = _shoot(cell, cell.target, products)
        if wall < 0:
            wall = _shoot_beside(cell, row, products)
        if wall < 0 or status[wall] == FACET:
            return outcome == OPTIMAL
        status[wall] = FACET
        target[wall] = cell.target
        kept = _add_wall(cell, wall)
        if not kept:
            _recover(cell)
        if wall == row:
            return False
    return False


@njit(cache=True)
def _shoot_beside(cell, row, products):
    """Shoot at points near the target, where several walls are met together; -1 if no new one is met alone.

    The offsets are fixed pseudo-random directions of decreasing length, kept only if the point stays beyond
    the row.
    """
    d = cell.target.shape[0]
    state = 12345 + row
    original = cell.target.copy()
    size = 2.0**-4 * max(1.0, np.sqrt(_dot(original, original)))
    for _ in range(6):
        for k in range(d):
            state = (1103515245 * state + 12345) % 2147483648
            cell.target[k] = original[k] + size * (state / 1073741824.0 - 1.0) / np.sqrt(d)
        wall = _shoot(cell, cell.target, products)
        if wall >= 0 and products[row] > 1.0:
            return wall
        size *= 2.0**-5
    cell.target[:] = original
    return -1


@njit(cache=True)
def _explain(cell, objective, support, multipliers):
    """Write the basis and its prices, improved by one step of iterative refinement."""
    d = cell.vertex.shape[0]
    residual = objective.copy()
    for k in range(d):
        if cell.basis[k] >= 0:
            cell.price[k] = max(cell.price[k], 0.0)
            for j in range(d):
                residual[j] -= cell.price[k] * cell.walls[j, cell.basis[k]]
    for k in range(d):
        support[k] = -1
        multipliers[k] = 0.0
        if cell.basis[k] >= 0:
            support[k] = cell.owner[cell.basis[k]]
            multipliers[k] = max(cell.price[k] + _dot(cell.edges[k], residual), 0.0)


@njit(cache=True)
def _close(cell, reference, closing, multipliers):
    """Find multipliers that, added to the walls of a vertex, make a vanishing combination; tell if there are.

    Maximizing minus the sum of the basis' normals from its vertex: an optimum proves the cell bounded.
    """
    d = cell.vertex.shape[0]
    if cell.count[2] > 0:
        return False
    objective = np.zeros(d)
    for k in range(d):
        reference[k] = cell.owner[cell.basis[k]]
        for j in range(d):
            objective[j] -= cell.walls[j, cell.basis[k]]
    if _maximize(cell, objective, np.inf) != OPTIMAL:
        return False
    _explain(cell, objective, closing, multipliers)
    return True


@njit(cache=True)
def _search(A, slack, active, found, cell_index):
    """Search one cell and write what was found into the stack's arrays."""
    m, d = A.shape
    status = found.status[cell_index]
    rows, inverse = _normalize(A, slack)
    for i in range(m):
        if not active[i]:
            status[i] = REDUNDANT
            rows[:, i] = 0.0
    cell = _Cell(
        rows,
        np.empty((d, m)),
        np.empty(m, np.int64),
        np.empty(m),
        np.empty((d, d)),
        np.empty(d, np.int64),
        np.empty(d),
        np.empty(d),
        np.empty(m),
        np.empty(d),
        np.empty(d),
        np.zeros(3, np.int64),
    )
    target = np.zeros((m, d))
    _shoot_along_rows(cell, status, target, np.empty(m))
    _restart(cell)
    leverage = np.empty(m)
    for i in range(m):
        leverage[i] = -_dot(rows[:, i], rows[:, i])
        if status[i] == FACET:
            _add_wall(cell, i)
    products = np.empty(m)
    searched = False
    for i in np.argsort(leverage):
        if status[i] != OPEN:
            continue
        searched = True
        support, multipliers = found.support[cell_index, i], found.multipliers[cell_index, i]
        explained = _decide(cell, i, status, target, products)
        _explain(cell, rows[:, i].copy(), support, multipliers)
        for k in range(d):
            if support[k] >= 0:
                multipliers[k] *= slack[i] / slack[support[k]]
        if explained:
            status[i] = REDUNDANT
    _place(cell, target, inverse, status, found.witness[cell_index])
    if searched:
        closing, weights = found.closing[cell_index], found.closing_multipliers[cell_index]
        if _close(cell, found.reference[cell_index], closing, weights):
            found.bounded[cell_index] = True
            for k in range(d):
                if closing[k] >= 0:
                    weights[k] /= slack[closing[k]]


@njit(cache=True)
def _place(cell, target, inverse, status, witness):
    """Turn directions into points beyond one wall only, relative to the interior point.

    A direction z with products r (own) > s (next) leaves through the wall alone between 1/r and 1/s; the
    geometric mean lies there, at most 2/r. Original coordinates are L^-T z.
    """
    m = status.shape[0]
    products = np.empty(m)
    for i in range(m):
        if status[i] == FACET:
            _products(cell.rows, target[i], m, products)
            own = products[i]
            products[i] = -np.inf
            second = max(products.max(), 0.25 * own)
            if own > 0.0:
                target[i] *= 1.0 / np.sqrt(own * second)
        else:
            target[i] = 0.0
    witness[:, :] = np.dot(target, inverse)


@njit(cache=True, nogil=True)
def search_stack(A, slack, active, found):
    """Search a stack of cells.

    Parameters
    ----------
    A : (N, m, d) array
        Rows.
    slack : (N, m) array
        Positive slacks at the interior points; the witnesses are written relative to these points.
    active : (N, m) bool array
        False for rows to be left out: zero rows, and all but the lowest of coincident rows.
    found : Candidates
        Arrays to fill; ``status`` must be 0 and ``support`` -1.
    """
    for n in range(A.shape[0]):
        _search(A[n], slack[n], active[n], found, n)
