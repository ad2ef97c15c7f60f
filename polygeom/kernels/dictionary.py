r"""Dictionaries of the simplex method: one vertex of a cell, and every function on it in the vertex's coordinates.

The cell is :math:`\{y : n_i(y) \ge 0\}` for affine *path rows* n. At a vertex k of them are 0 (*nonbasic*); every
other affine function f, a path row or a unit not decided yet, is one row of the table:

.. math:: f = v + \sum_{j=1}^k T_j \, n_{B_j},

v its value at the vertex (place 0) and :math:`T_j` its slope along edge j of the vertex (place j). A pivot exchanges
a nonbasic function with that of a row. All numbers here are floats that steer; what they suggest is proved
elsewhere (`polygeom.kernels.dictionary_proofs`).

Layout
------
Rows are contiguous. The first ``head[PATH]`` rows of a table are path rows, up to ``head[ROWS]`` undecided units.
Functions are named by *row numbers*, rows of the domain first, then the units in the order of the chain; the sign
of a row is 1 or -1 for path rows (:math:`n = \pm z \ge 0` on the cell), 0 while undecided and `NOTHING` for
functions that are 0 on the whole cell. Here, too, nothing makes an array (see `polygeom.kernels.edge_walk`).

Source: V. Chvatal 1983, Linear Programming (dictionaries); R. G. Bland 1977 (least indices against cycling).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from polygeom.rounding import TINY, U

__all__ = [
    "one_sided_in_box",
    "turn_column",
    "turn_row",
    "first_stop",
    "OWN",
    "DEPTH",
    "DUBIOUS",
    "LAYER",
    "NEAR",
    "NOTHING",
    "PATH",
    "PIVOTS",
    "ROWS",
    "blocking_row",
    "center",
    "entering_column",
    "flip_column",
    "inlined",
    "inner",
    "largest_column",
    "middle",
    "one_sided",
    "pivot",
    "refresh",
    "remove_row",
    "swap_rows",
]

NEAR = 2.0**13 * U
"""Slopes and values below this count as 0 in the search (rows are scaled to slopes near 1); no answer rests on it."""

DUBIOUS = 2.0**32 * U
"""A pivot below this may be a 0 that rounding errors of earlier pivots hide: it is looked at in a fresh table."""

NOTHING = np.int8(2)
"""The sign of a unit that is 0 on the whole cell."""

OWN = -2
"""What `first_stop` says where the edge itself ends."""

LAYER, PATH, ROWS, DEPTH, PIVOTS = 0, 1, 2, 3, 4  # places in a node's `head`

inner = njit(cache=True, error_model="numpy", _nrt=False, fastmath={"contract", "nsz"})
inlined = njit(cache=True, error_model="numpy", _nrt=False, forceinline=True, fastmath={"contract", "nsz"})


@inner
def pivot(table, n, row, column):
    """Exchange the function of a row with that of a column: the vertex walks along edge `column`.

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


@inner
def flip_column(table, n, column):
    """Let a nonbasic function change its sign."""
    for i in range(n):
        table[i, column] = -table[i, column]


@inner
def swap_rows(table, basic, i, j):
    """Exchange two rows of a table."""
    if i == j:
        return
    for c in range(table.shape[1]):
        table[i, c], table[j, c] = table[j, c], table[i, c]
    basic[i], basic[j] = basic[j], basic[i]


@inner
def remove_row(table, basic, head, i):
    """Remove row i; the order within path rows and within undecided rows may change."""
    if i < head[PATH]:
        head[PATH] -= 1
        swap_rows(table, basic, i, head[PATH])
        i = head[PATH]
    head[ROWS] -= 1
    swap_rows(table, basic, i, head[ROWS])


@inner
def entering_column(row, k, side, least):
    """Return the column along which ``side * row`` grows fastest (Bland: the first), 0 if there is none."""
    largest = 1.0
    for c in range(1, k + 1):
        largest = max(largest, abs(row[c]))
    column, steepest = 0, NEAR * largest
    for c in range(1, k + 1):
        slope = side * row[c]
        if slope > steepest:
            column = c
            if least:
                break
            steepest = slope
    return column


@inner
def largest_column(row, k):
    """Return the column of the largest absolute slope."""
    column, steepest = 1, -1.0
    for c in range(1, k + 1):
        if abs(row[c]) > steepest:
            column, steepest = c, abs(row[c])
    return column


@inner
def blocking_row(table, n_path, column):
    """Return the first path row met along an edge, and the length; -1, infinity if none is.

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
def first_stop(table, basic, nonbasic, span, n_path, column):
    """Return what stops the walk along an edge: a row (-1: nothing, OWN: the edge's own span), length, which end.

    Functions with an opposite (a box) are bounded on both sides, 0 <= n <= span, and end at 0 (False) or at their
    span (True).
    """
    row, length = blocking_row(table, n_path, column)
    top = False
    for i in range(n_path):
        slope = table[i, column]
        if slope > NEAR and span[basic[i]] < np.inf:
            reach = max(span[basic[i]] - table[i, 0], 0.0) / slope
            if reach < length:
                row, length, top = i, reach, True
    if span[nonbasic[column - 1]] <= length:
        return OWN, span[nonbasic[column - 1]], True
    return row, length, top


@inner
def turn_row(table, basic, opposite, span, i):
    """Replace the function of a row, n, by its opposite, span - n."""
    row = table[i]
    for c in range(row.shape[0]):
        row[c] = -row[c]
    row[0] += span[basic[i]]
    basic[i] = opposite[basic[i]]


@inner
def turn_column(table, nonbasic, opposite, span, n, column):
    """Walk along an edge to the end of its own span: its function is replaced by the opposite one. Cost: n."""
    length = span[nonbasic[column - 1]]
    for i in range(n):
        table[i, 0] += table[i, column] * length
        table[i, column] = -table[i, column]
    nonbasic[column - 1] = opposite[nonbasic[column - 1]]


@inner
def one_sided_in_box(row, nonbasic, span):
    """Return the sign a function seems to have where nonbasic functions keep to their spans; 0 if it has both."""
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


@inner
def one_sided(row):
    """Return the sign that a function seems to have on the whole cell; 0 if it seems to have both.

    1 if value and slopes are non-negative, -1 if non-positive, 2 if all of them are near 0; slopes are compared with
    the largest one.
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
def refresh(table, basic, nonbasic, sign, head, coef, const, square, inverse):
    """Compute a table afresh from the functions' coefficients; the rounding errors of the pivots are forgotten.

    ``coef`` (R, k) and ``const`` (R,) are those of z, `square` and `inverse` (k, k) scratch. A table whose k
    functions are dependent in floats stays as it is. Cost: 2 k^3 + n k^2.
    """
    k = nonbasic.shape[0]
    head[PIVOTS] = 0
    for j in range(k):
        s = sign[nonbasic[j]]
        for c in range(k):
            square[j, c] = s * coef[nonbasic[j], c]
    if not _invert(square, inverse):
        return
    for i in range(head[ROWS]):
        number = basic[i]
        s = sign[number] if i < head[PATH] else 1
        row = table[i]
        for j in range(k + 1):
            row[j] = 0.0
        for c in range(k):
            factor = s * coef[number, c]
            if factor != 0.0:
                for j in range(k):
                    row[j + 1] += factor * inverse[c, j]
        value = s * const[number]
        for j in range(k):
            value -= row[j + 1] * sign[nonbasic[j]] * const[nonbasic[j]]
        row[0] = value


# -- interior points -------------------------------------------------------------------------------------------


@inner
def _shifted(copy, n, row, span, side):
    """Write ``span + side * row`` in terms of shifted functions (`center`) as row n; return n + 1."""
    total = -1.0
    for c in range(row.shape[0]):
        copy[n, c] = side * row[c]
        if c > 0:
            total += side * row[c]
    copy[n, 0] = max(copy[n, 0] + span, 0.0)
    copy[n, row.shape[0]] = total
    return n + 1


@inner
def center(table, basic, nonbasic, span, n_path, copy, point):
    r"""Set `point` (k,) to values of the nonbasic functions at which all path rows are as large as possible.

    The program max tau with n_i >= tau, tau <= 1: with :math:`n_j = n'_j + \tau` row i becomes
    :math:`v + \sum_j T_j n'_j + (\sum_j T_j - 1) \tau`, so the vertex is feasible with tau = 0, and tau is one more
    column. Functions with a span are two rows here. `copy` is scratch, one more row than functions and four, of
    which the first ones are the program's. Returns tau.
    """
    k = nonbasic.shape[0]
    n = 0
    for i in range(n_path):
        n = _shifted(copy, n, table[i], 0.0, 1.0)
        if span[basic[i]] < np.inf:
            n = _shifted(copy, n, table[i], span[basic[i]], -1.0)
    for j in range(k):
        if span[nonbasic[j]] < np.inf:
            for c in range(k + 1):
                copy[n, c] = 0.0
            copy[n, 0], copy[n, j + 1], copy[n, k + 1] = span[nonbasic[j]], -1.0, -2.0
            n += 1
    n_path = n
    objective, ceiling = n_path + 1, n_path
    for c in range(k + 2):
        copy[objective, c] = 0.0
        copy[ceiling, c] = 0.0
    copy[objective, k + 1] = 1.0
    copy[ceiling, 0], copy[ceiling, k + 1] = 1.0, -1.0
    # owner[c]: which shifted function is nonbasic; the values of the others are read off at the end
    work = copy[: n_path + 2, : k + 2]
    owner = copy[n_path + 2]
    place = copy[n_path + 3]
    for c in range(k + 2):
        owner[c] = c
    for i in range(n_path + 1):
        place[i] = -1.0
    stalled = False
    for _ in range(20 * (n_path + k) + 40):
        column = entering_column(work[objective], k + 1, 1.0, stalled)
        if column == 0:
            break
        row, length = blocking_row(work, n_path + 1, column)
        if row < 0:
            break
        stalled = length <= NEAR
        pivot(work, n_path + 2, row, column)
        owner[column], place[row] = place[row], owner[column]
    tau = copy[objective, 0]
    for j in range(k):
        point[j] = tau
    for i in range(n_path + 1):
        j = int(place[i])
        if 1 <= j <= k:
            point[j - 1] += max(copy[i, 0], 0.0)
    return tau


@inner
def middle(table, basic, nonbasic, span, boxed, n_path, share, point):
    """Set `point` (k,) to the values of the nonbasic functions in the middle of the simplex of the first edges.

    Edge j leads from the vertex to the next one, at most 1 / share[j] away (1 where it never ends); the barycenter
    of vertex and ends is interior if no path row is 0 at the vertex.
    """
    k = nonbasic.shape[0]
    for c in range(1, k + 1):
        share[c] = 1.0 / span[nonbasic[c - 1]] if boxed else 0.0
    for i in range(n_path):
        row = table[i]
        inverse = -1.0 / max(row[0], TINY)
        for c in range(1, k + 1):
            share[c] = max(share[c], row[c] * inverse)
        if boxed and span[basic[i]] < np.inf:
            inverse = 1.0 / max(span[basic[i]] - row[0], TINY)
            for c in range(1, k + 1):
                share[c] = max(share[c], row[c] * inverse)
    for c in range(1, k + 1):
        point[c - 1] = 1.0 / ((k + 1.0) * share[c]) if share[c] > NEAR else 1.0
