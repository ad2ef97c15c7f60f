r"""Normalize the rows of a cell, and find facets by shooting from its interior point.

A cell with interior point :math:`x_0` is :math:`\{y : p_i \cdot y \le 1\}` with
:math:`y = x - x_0, p_i = a_i / (b_i - a_i \cdot x_0)`. With the Cholesky factor :math:`L L^T = \sum p_i p_i^T`
the rows :math:`q_i = L^{-1} p_i` no longer depend on the scale of rows or coordinates; their Gram matrix is
the hat matrix of the cell. Along any direction u the row with the largest :math:`q_i \cdot u > 0`, if it is
alone, is the first wall met: a facet.

Source of the relaxation method: T. S. Motzkin, I. J. Schoenberg, Canadian J. Math. 6 (1954).
"""

from __future__ import annotations

import numpy as np

from polygeom.kernels.edge_walk import PIVOT, dot, inlined, inner, multiply, subtract
from polygeom.rounding import TINY, U

__all__ = ["FACET", "OPEN", "REDUNDANT", "SHOTS", "normalize", "relax", "shoot", "shoot_along_rows"]

OPEN, FACET, REDUNDANT = 0, 1, 2

SHOTS, OVER = 12, 1.5
"""Most shots of the relaxation method for one row, and how far it moves, 1 being onto the hyperplane."""


@inner
def normalize(A, slack, active, cell, factor, inverse):
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
        multiply(cell.normals, cell.rows[k], d, factor[k])
    for k in range(d):
        for j in range(k + 1):
            diagonal = factor[k, j]
            entry = diagonal - dot(factor[k, :j], factor[j, :j])
            if j < k:
                factor[k, j] = entry / factor[j, j]
            else:
                factor[k, k] = np.sqrt(max(entry, ridge * diagonal, TINY))
    for k in range(d):
        for i in range(d):
            inverse[k, i] = 0.0
        inverse[k, k] = 1.0
        for j in range(k):
            subtract(inverse[k], factor[k, j], inverse[j])
            subtract(cell.rows[k], factor[k, j], cell.rows[j])
        _divide(inverse[k], factor[k, k])
        _divide(cell.rows[k], factor[k, k])
    for i in range(m):
        for k in range(d):
            cell.normals[i, k] = cell.rows[k, i]


@inner
def _divide(x, divisor):
    """Divide x by a number."""
    for i in range(x.shape[0]):
        x[i] /= divisor


@inner
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


@inlined
def _record(cell, direction, products):
    """Record the wall met first in a direction, given the products of all rows, and return it.

    Returns -1 if several walls are met together, or none beyond rounding. A wall with product r alone before
    the next one, s < r, is passed alone at distances between 1/r and 1/s: the target lies at their geometric
    mean, at most 2/r. The clearest target is kept.
    """
    wall, largest, second = _first_two(products, cell.normals.shape[0])
    parallel = PIVOT * PIVOT * dot(direction, direction)
    if not (largest > 0.0 and largest * largest > parallel and largest - second > PIVOT * largest):
        return -1
    second = max(second, 0.25 * largest)
    if cell.status[wall] != FACET or cell.gap[wall] * second < largest:
        cell.status[wall] = FACET
        cell.gap[wall] = largest / second
        distance = 1.0 / np.sqrt(largest * second)
        for k in range(direction.shape[0]):
            cell.target[wall, k] = distance * direction[k]
    return wall


@inner
def shoot_along_rows(cell, products):
    """Shoot along every row of the cell. Cost: m^2 d."""
    m = cell.normals.shape[0]
    for i in range(m):
        if cell.status[i] != REDUNDANT:
            multiply(cell.rows, cell.normals[i], m, products)
            _record(cell, cell.normals[i], products)


@inner
def relax(cell, products):
    """Turn the arrows of open rows away from the walls they meet first; find facets that way.

    If wall j is met before row i, then q_j . u > q_i . u, and u is moved beyond the hyperplane where both are
    equal: the relaxation method for the inequalities q_i . u > q_j . u. It pays where a shot, m d, is cheaper
    than the d or so pivots of a linear program, and stops where few rows are facets.
    """
    m, d = cell.normals.shape
    shots = min(SHOTS, d // 4) if d >= SHOTS else 0
    tried = hit = 0
    for i in range(m):
        if cell.status[i] != OPEN or shots == 0:
            continue
        tried += 1
        for k in range(d):
            cell.step[k] = cell.normals[i, k]
        for _ in range(shots):
            multiply(cell.rows, cell.step, m, products)
            if _record(cell, cell.step, products) == i:
                hit += 1
                break
            wall = _first_two(products, m)[0]
            length = 0.0
            for k in range(d):
                length += (cell.normals[i, k] - cell.normals[wall, k]) ** 2
            turn = OVER * (products[wall] - products[i]) / max(length, TINY)
            for k in range(d):
                cell.step[k] += turn * (cell.normals[i, k] - cell.normals[wall, k])
        if 4 * hit < tried - 8:
            return


@inner
def shoot(cell, row, products):
    """Shoot at `aim` and return the new wall met first, or -1 if no new wall is met alone.

    Where walls are met together the aim is shifted, in fixed pseudo-random directions of decreasing length.
    """
    m, d = cell.normals.shape
    for k in range(d):
        cell.step[k] = cell.aim[k]
    size = 2.0**-4 * np.sqrt(dot(cell.aim, cell.aim) / d)
    state = 12345 + row
    for _ in range(6):
        multiply(cell.rows, cell.step, m, products)
        before = cell.status[_first_two(products, m)[0]]
        wall = _record(cell, cell.step, products)
        if wall >= 0 and before != FACET:
            return wall
        for k in range(d):
            state = (1103515245 * state + 12345) % 2147483648
            cell.step[k] = cell.aim[k] + size * (state / 1073741824.0 - 1.0)
        size *= 2.0**-5
    return -1
