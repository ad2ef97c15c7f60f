r"""Dictionaries of the simplex method: one vertex of a cell, and every function on it in the vertex's coordinates.

The cell is :math:`\{y : n_i(y) \ge 0\}` for affine *path rows* n. At a vertex k of them are 0 (*nonbasic*);
every other affine function f, a path row or a unit not decided yet, is one row of the table:

.. math:: f = v + \sum_{j=1}^k T_j \, n_{B_j},

v its value at the vertex (place 0) and :math:`T_j` its slope along edge j of the vertex (place j). A pivot
exchanges a nonbasic function with that of a row. In a box functions come in pairs, n and span - n; a table
holds one of the two, and walks end at 0 and at the span. All numbers here are floats that steer; what they
suggest is proved elsewhere (`polygeom.kernels.dictionary_proofs`).

Nothing here makes an array, so the functions are compiled without reference counting; what is called once is
inlined, since handing over a tuple of arrays costs as much as a pivot of a small table.

Sources: V. Chvatal 1983, Linear Programming, chapters 2, 3 and 8 (dictionaries, bounded variables); R. G.
Bland 1977 (least indices against cycling).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from polygeom.rounding import U

__all__ = [
    "DEPTH",
    "DUBIOUS",
    "LAYER",
    "NEAR",
    "NOTHING",
    "OWN",
    "PATH",
    "PIVOTS",
    "ROWS",
    "Dictionary",
    "blocking_row",
    "entering_column",
    "exchange",
    "first_stop",
    "flip_column",
    "inlined",
    "inner",
    "largest_column",
    "negate_row",
    "one_sided",
    "one_sided_in_box",
    "pivot",
    "refresh",
    "remove_row",
    "swap_rows",
    "turn_column",
    "turn_row",
]

NEAR = 2.0**13 * U
"""Slopes and values below this count as 0 in the search, in rows scaled to slopes near 1; no proof uses it."""

DUBIOUS = 2.0**32 * U
"""A pivot below this may be a 0 that rounding errors of earlier pivots hide: it is looked at in a fresh table."""

NOTHING = np.int8(2)
"""The sign of a unit that is 0 on the whole cell."""

OWN = -2
"""What `first_stop` says where the edge itself ends."""

LAYER, PATH, ROWS, DEPTH, PIVOTS = 0, 1, 2, 3, 4  # places in `Dictionary.head`

inner = njit(cache=True, error_model="numpy", _nrt=False, fastmath={"contract", "nsz"})
inlined = njit(cache=True, error_model="numpy", _nrt=False, forceinline=True, fastmath={"contract", "nsz"})


class Dictionary(NamedTuple):
    """One vertex of one cell.

    Functions are named by *row numbers*: rows of the domain first, then the units in the order of the chain.

    Attributes
    ----------
    table : (n, k + 1)
        Rows of functions over the nonbasic ones. The first ``head[PATH]`` are path rows; the rest, up to
        ``head[ROWS]``, are undecided units.
    basic : (n,) int64, nonbasic : (k,) int64
        The functions of the rows, and of the columns 1 .. k.
    sign : (R,) int8
        1 or -1 for path rows (n = z or -z, non-negative on the cell), 0 while undecided, `NOTHING`.
    head : (5,) int64
        Layer, number of path rows, of rows, of splits on the way here, of pivots since the table was fresh.
    """

    table: np.ndarray
    basic: np.ndarray
    nonbasic: np.ndarray
    sign: np.ndarray
    head: np.ndarray


# -- rows and columns ------------------------------------------------------------------------------------------


@inner
def pivot(table, n, row, column):
    """Solve a row for the function of a column and put that into the n rows: the vertex walks along the edge.

    Cost: n (k + 1) multiplications.
    """
    width = table.shape[1]
    own = table[row]
    scale = 1.0 / own[column]
    for c in range(width):
        own[c] *= -scale
    own[column] = scale
    for i in range(n):
        factor = table[i, column]
        if i == row or factor == 0.0:
            continue
        other = table[i]
        other[column] = 0.0
        for c in range(width):
            other[c] += factor * own[c]


@inlined
def exchange(node, i, column):
    """Exchange the function of row i with that of a column."""
    pivot(node.table, node.head[ROWS], i, column)
    node.basic[i], node.nonbasic[column - 1] = node.nonbasic[column - 1], node.basic[i]
    node.head[PIVOTS] += 1


@inlined
def flip_column(node, column):
    """Let a nonbasic function change its sign."""
    for i in range(node.head[ROWS]):
        node.table[i, column] = -node.table[i, column]


@inlined
def negate_row(row):
    """Let the function of a row change its sign."""
    for c in range(row.shape[0]):
        row[c] = -row[c]


@inlined
def swap_rows(node, i, j):
    """Exchange the places of two rows."""
    if i == j:
        return
    for c in range(node.table.shape[1]):
        node.table[i, c], node.table[j, c] = node.table[j, c], node.table[i, c]
    node.basic[i], node.basic[j] = node.basic[j], node.basic[i]


@inlined
def remove_row(node, i):
    """Remove row i; the order of the rows may change."""
    head = node.head
    if i < head[PATH]:
        head[PATH] -= 1
        swap_rows(node, i, head[PATH])
        i = head[PATH]
    head[ROWS] -= 1
    swap_rows(node, i, head[ROWS])


@inlined
def turn_row(node, opposite, span, i):
    """Replace the function of a row, n, by its opposite, span - n."""
    negate_row(node.table[i])
    node.table[i, 0] += span[node.basic[i]]
    node.basic[i] = opposite[node.basic[i]]


@inlined
def turn_column(node, opposite, span, column):
    """Walk along an edge to the end of its own span: the opposite function replaces its own. Cost: one column."""
    table, number = node.table, node.nonbasic[column - 1]
    for i in range(node.head[ROWS]):
        table[i, 0] += table[i, column] * span[number]
        table[i, column] = -table[i, column]
    node.nonbasic[column - 1] = opposite[number]


# -- walks -----------------------------------------------------------------------------------------------------


@inner
def entering_column(row, side, least):
    """Return the column along which ``side * row`` grows fastest (Bland: the first), 0 if there is none."""
    largest = 1.0
    for c in range(1, row.shape[0]):
        largest = max(largest, abs(row[c]))
    column, steepest = 0, NEAR * largest
    for c in range(1, row.shape[0]):
        slope = side * row[c]
        if slope > steepest:
            column = c
            if least:
                break
            steepest = slope
    return column


@inner
def largest_column(row):
    """Return the column of the largest absolute slope."""
    column, steepest = 1, -1.0
    for c in range(1, row.shape[0]):
        if abs(row[c]) > steepest:
            column, steepest = c, abs(row[c])
    return column


@inner
def blocking_row(table, n_path, column):
    """Return the path row that first becomes 0 along an edge, and the length; -1 and infinity if none does.

    Among near ties the steepest row blocks, which keeps pivots large.
    """
    blocker, length, steepest = -1, np.inf, 0.0
    for i in range(n_path):
        slope = -table[i, column]
        if slope > NEAR:
            value = table[i, 0]
            reach = value / slope if value > 0.0 else 0.0
            if reach < length * (1.0 - NEAR) or (reach <= length * (1.0 + NEAR) and slope > steepest):
                blocker, length, steepest = i, min(reach, length), slope
    return blocker, length


@inner
def first_stop(node, span, column):
    """Return what stops a walk in a box: a row (-1: nothing, `OWN`: the edge's own span), the length, which end.

    The end is False for 0 and True for the span.
    """
    table = node.table
    row, length = blocking_row(table, node.head[PATH], column)
    at_span = False
    for i in range(node.head[PATH]):
        slope = table[i, column]
        if slope > NEAR and span[node.basic[i]] < np.inf:
            reach = max(span[node.basic[i]] - table[i, 0], 0.0) / slope
            if reach < length:
                row, length, at_span = i, reach, True
    if span[node.nonbasic[column - 1]] <= length:
        return OWN, span[node.nonbasic[column - 1]], True
    return row, length, at_span


@inner
def one_sided(row):
    """Return the sign that a function seems to have on the whole cell; 0 if it seems to have both.

    1 if value and slopes are non-negative, -1 if non-positive, 2 if all of them are near 0; slopes are
    compared with the largest one.
    """
    high, low = 0.0, 0.0
    for c in range(1, row.shape[0]):
        high, low = max(high, row[c]), min(low, row[c])
        if high > DUBIOUS and low < -DUBIOUS:
            return 0
    near = NEAR * max(1.0, high, -low)
    above, below = high > near or row[0] > NEAR, low < -near or row[0] < -NEAR
    if above and below:
        return 0
    return 1 if above else -1 if below else 2


@inner
def one_sided_in_box(row, nonbasic, span):
    """Return the same as `one_sided` where nonbasic functions keep to their spans."""
    largest = 1.0
    for c in range(1, row.shape[0]):
        largest = max(largest, abs(row[c]))
    near = NEAR * largest
    floor, ceiling = row[0], row[0]
    for c in range(1, row.shape[0]):
        if row[c] > near:
            ceiling += row[c] * span[nonbasic[c - 1]]
        elif row[c] < -near:
            floor += row[c] * span[nonbasic[c - 1]]
    above, below = ceiling > NEAR, floor < -NEAR
    if above and below:
        return 0
    return 1 if above else -1 if below else 2


# -- fresh tables ----------------------------------------------------------------------------------------------


@inner
def _invert(matrix, inverse):
    """Overwrite `inverse` with the inverse, `matrix` with rubbish (Gauss-Jordan, partial pivoting).

    Returns False where a pivot is 0.
    """
    k = matrix.shape[0]
    for i in range(k):
        for j in range(k):
            inverse[i, j] = 0.0
        inverse[i, i] = 1.0
    for c in range(k):
        best = c
        for i in range(c + 1, k):
            if abs(matrix[i, c]) > abs(matrix[best, c]):
                best = i
        if matrix[best, c] == 0.0:
            return False
        for j in range(k):
            matrix[c, j], matrix[best, j] = matrix[best, j], matrix[c, j]
            inverse[c, j], inverse[best, j] = inverse[best, j], inverse[c, j]
        scale = 1.0 / matrix[c, c]
        for j in range(k):
            matrix[c, j] *= scale
            inverse[c, j] *= scale
        for i in range(k):
            factor = matrix[i, c]
            if i != c and factor != 0.0:
                for j in range(k):
                    matrix[i, j] -= factor * matrix[c, j]
                    inverse[i, j] -= factor * inverse[c, j]
    return True


@inner
def refresh(node, coef, const, square, inverse):
    """Compute a table afresh from the functions' coefficients; the rounding errors of the pivots are forgotten.

    ``coef`` (R, k) and ``const`` (R,) are those of z, `square` and `inverse` (k, k) scratch. A table whose k
    functions are dependent in floats stays as it is. Cost: 2 k^3 + n k^2.
    """
    nonbasic, sign, head = node.nonbasic, node.sign, node.head
    k = nonbasic.shape[0]
    head[PIVOTS] = 0
    for j in range(k):
        for c in range(k):
            square[j, c] = sign[nonbasic[j]] * coef[nonbasic[j], c]
    if not _invert(square, inverse):
        return
    for i in range(head[ROWS]):
        number = node.basic[i]
        side = sign[number] if i < head[PATH] else 1
        row = node.table[i]
        for j in range(k + 1):
            row[j] = 0.0
        for c in range(k):
            factor = side * coef[number, c]
            if factor != 0.0:
                for j in range(k):
                    row[j + 1] += factor * inverse[c, j]
        row[0] = side * const[number]
        for j in range(k):
            row[0] -= row[j + 1] * sign[nonbasic[j]] * const[nonbasic[j]]
