r"""One layer of a dense chain on a line, where every node is a single flip: a compiled pass over all pieces.

Across a node the affine function of every value jumps by a multiple of one vector, its *column* u: the piece right
of node k is that left of it plus :math:`(\Delta p_k, \Delta g_k) u_k`, and the two numbers never change again. A
layer maps columns, so a piece costs one product instead of two, and the nodes of the layer before cost none: their
columns are columns of the weight.

Rounding
--------
Signs at a node are decided at the outer end of its interval, with the width of the interval times the rate added
to the bound. With the first piece off by at most :math:`e`, columns of earlier nodes by c, jumps by
:math:`\epsilon_k`, and n additions in a row, value and rate on the piece behind node k are off by at most

.. math:: e + c \sum_i (|\Delta_i| + \epsilon_i) + \sum_i (\epsilon_i + \gamma_{n + 2} |\Delta_i|) |u_i| +
          \gamma_{n + 2} |z_0|,

sums over the nodes up to k. The sums of non-negative terms are computed with at most n + 4 roundings each; a
factor :math:`1 + \gamma_{2(n + 4)}` on every term pays for them, and :math:`(n + 4) \gamma_8` exceeds that gamma.
"""

from __future__ import annotations

import numpy as np

from polygeom.kernels.line_products import in_any_order
from polygeom.rounding import TINY, gamma

__all__ = ["HIGH", "LOW", "PLACE", "chain_layer"]

G8 = gamma(8)


PLACE, LOW, HIGH, VALUE, RATE, VALUE_ERROR, RATE_ERROR = range(7)
"""Columns of a table of nodes: place and interval, jumps of value and rate, bounds on their errors."""


@in_any_order
def chain_layer(
    first: np.ndarray,
    spread: np.ndarray,
    columns: np.ndarray,
    loose: np.ndarray,
    nodes: np.ndarray,
    piece: np.ndarray,
    letters: np.ndarray,
    undecided: np.ndarray,
    found: np.ndarray,
    owners: np.ndarray,
) -> int:
    """Find the flips of a layer of ReLUs on all pieces; return their number, -1 in doubt, -2 if there is no room.

    Parameters
    ----------
    first, spread : (2, E) arrays
        Value and rate on the first piece, and bounds on their errors.
    columns : (n, E) array
        Column of every node; on return those behind the layer, switched-off entries 0.
    loose : (E,) array
        Bounds on the errors of columns.
    nodes : (n + 2, 7) array
        Table of nodes, the two ends included.
    piece : (5, E) array, written
        Scratch: value, rate and their bounds on the piece at hand, and whether units are on.
    letters : (E,) bool array, written
        Which units are on on the first piece.
    undecided : (E,) bool array, written
        Scratch: whether a unit's sign is not certainly the same at both nodes of the piece at hand.
    found : (capacity, 7) array, written
        Table of the flips.
    owners : (2, capacity) integer array, written
        Piece and unit of every flip.
    """
    n, E = columns.shape
    value, rate, spreads, drifts, rising = piece[0], piece[1], piece[2], piece[3], piece[4]
    g = (n + 4.0) * G8
    push = 1.0 + g
    for j in range(E):
        value[j], rate[j] = first[0, j], first[1, j]
        spreads[j] = (spread[0, j] + g * abs(first[0, j])) * push
        drifts[j] = (spread[1, j] + g * abs(first[1, j])) * push
        rising[j] = 1.0 if value[j] + nodes[0, HIGH] * rate[j] > 0.0 else 0.0
    count = 0
    for k in range(n + 1):
        if k > 0:
            dp, dg, ep, eg = nodes[k, VALUE], nodes[k, RATE], nodes[k, VALUE_ERROR], nodes[k, RATE_ERROR]
            value_by, rate_by = (ep + g * abs(dp)) * push, (eg + g * abs(dg)) * push
            value_loosely, rate_loosely = (abs(dp) + ep) * push, (abs(dg) + eg) * push
            column = columns[k - 1]
            for j in range(E):
                value[j] += dp * column[j]
                rate[j] += dg * column[j]
            for j in range(E):
                spreads[j] += value_by * abs(column[j]) + value_loosely * loose[j] + TINY
                drifts[j] += rate_by * abs(column[j]) + rate_loosely * loose[j] + TINY
            for j in range(E):
                column[j] *= rising[j]
        a, b, c, d = nodes[k, LOW], nodes[k, HIGH], nodes[k + 1, LOW], nodes[k + 1, HIGH]
        at, wide = max(abs(a), abs(d)), max(b - a, d - c) * (1.0 + G8)
        for j in range(E):
            error = (
                spreads[j] + at * drifts[j] + G8 * (abs(value[j]) + at * abs(rate[j])) + wide * abs(rate[j])
            )
            error = error * (1.0 + G8) + TINY
            v, w = value[j] + a * rate[j], value[j] + d * rate[j]
            undecided[j] = not ((min(v, w) > error) | (max(v, w) < -error))  # overflows are undecided, too
        begin = count
        for j in range(E):
            if not undecided[j]:
                continue
            if count == len(found):
                return -2
            p, s = value[j], rate[j]
            error = spreads[j] + at * drifts[j] + G8 * (abs(p) + at * abs(s)) + wide * abs(s)
            error = error * (1.0 + G8) + TINY
            v, w, steep = p + a * s, p + d * s, abs(s) - drifts[j]
            up = v < -error and w > error
            if steep <= 0.0 or not (up or (v > error and w < -error)):
                return -1
            root, sign = -p / s, 1.0 if up else -1.0
            width = (spreads[j] + abs(root) * drifts[j] + G8 * (abs(p) + abs(root * s))) / steep
            width = width * (1.0 + G8) + TINY
            h = count  # from left to right, by insertion: a piece holds few
            while h > begin and found[h - 1, PLACE] > root:
                for field in range(7):
                    found[h, field] = found[h - 1, field]
                owners[1, h] = owners[1, h - 1]
                h -= 1
            found[h, PLACE] = min(max(root, b), c)
            found[h, LOW], found[h, HIGH] = max(root - width, b), min(root + width, c)
            found[h, VALUE], found[h, RATE] = sign * p, sign * s
            found[h, VALUE_ERROR], found[h, RATE_ERROR] = spreads[j] * push, drifts[j] * push
            owners[0, count], owners[1, h] = k, j
            count += 1
        if k == 0:
            for j in range(E):
                letters[j] = rising[j] > 0.0
        for i in range(begin, count):
            if i > begin and found[i, LOW] <= found[i - 1, HIGH]:
                return -1
            rising[owners[1, i]] = 1.0 - rising[owners[1, i]]
    return count
