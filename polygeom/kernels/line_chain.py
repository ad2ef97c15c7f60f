r"""One layer of a dense chain on a line, where every node is a single flip: a compiled pass over all pieces.

Across a node the affine function of every value jumps by a multiple of one vector, its *column* u: the piece right
of node k is that left of it plus :math:`(\Delta p_k, \Delta g_k) u_k`, and the two numbers never change again. A
layer maps columns, so a piece costs one product instead of two, and the nodes of the layer before cost none: their
columns are columns of the weight.

Rounding
--------
With the first piece off by at most :math:`e`, columns of earlier nodes by c, jumps by :math:`\epsilon_k`, and n
additions in a row, value and rate on the piece behind node k are off by at most

.. math:: e + c \sum_i (|\Delta_i| + \epsilon_i) + \sum_i (\epsilon_i + \gamma_{n + 2} |\Delta_i|) |u_i| +
          \gamma_{n + 2} |z_0|,

sums over the nodes up to k. The sums of non-negative terms are computed with at most n + 4 roundings each; a
factor :math:`1 + \gamma_{2(n + 4)}` on every term pays for them, and :math:`(n + 4) \gamma_8` exceeds that gamma.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from polygeom.rounding import TINY, gamma

__all__ = ["chain_layer"]

G8 = gamma(8)

fast = njit(cache=True, error_model="numpy", _nrt=False, fastmath={"contract", "nsz", "reassoc"})


@fast
def chain_layer(
    first: np.ndarray,
    spread: np.ndarray,
    columns: np.ndarray,
    loose: np.ndarray,
    jumps: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    letters: np.ndarray,
    piece: np.ndarray,
    bound: np.ndarray,
    rising: np.ndarray,
    undecided: np.ndarray,
    roots: np.ndarray,
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
    jumps : (4, n) array
        Jumps of value and rate at every node, and bounds on their errors.
    low, high : (n + 2,) arrays
        Intervals of the nodes, the two ends included.
    letters : (E,) bool array, written
        Which units are on on the first piece.
    piece, bound : (2, E) arrays, written
        Value and rate on the piece at hand, and bounds.
    rising : (E,) array, written
        Whether a unit is on, at hand.
    undecided : (E,) bool array, written
        Whether its sign is not certainly the same at both nodes of the piece at hand.
    roots : (capacity, 3) array, written
        Place and interval of every flip.
    found : (4, capacity) array, written
        Its jumps and bounds on their errors.
    owners : (capacity, 2) integer array, written
        Piece and unit of every flip.
    """
    n, E = columns.shape
    g = (n + 4.0) * G8
    push = 1.0 + g
    for j in range(E):
        for c in range(2):
            piece[c, j] = first[c, j]
            bound[c, j] = (spread[c, j] + g * abs(first[c, j])) * push
    count = 0
    for k in range(n + 1):
        if k > 0:
            dp, dg, ep, eg = jumps[0, k - 1], jumps[1, k - 1], jumps[2, k - 1], jumps[3, k - 1]
            value_by, rate_by = (ep + g * abs(dp)) * push, (eg + g * abs(dg)) * push
            loosely_p, loosely_g = (abs(dp) + ep) * push, (abs(dg) + eg) * push
            for j in range(E):
                u = columns[k - 1, j]
                piece[0, j] += dp * u
                piece[1, j] += dg * u
                bound[0, j] += value_by * abs(u) + loosely_p * loose[j] + TINY
                bound[1, j] += rate_by * abs(u) + loosely_g * loose[j] + TINY
                columns[k - 1, j] = u * rising[j]
        a, b, c, d = low[k], high[k], low[k + 1], high[k + 1]
        at = max(abs(a), abs(d))
        for j in range(E):
            p, s = piece[0, j], piece[1, j]
            error = (bound[0, j] + at * bound[1, j] + G8 * (abs(p) + at * abs(s))) * (1.0 + G8) + TINY
            v, w, x, y = p + a * s, p + b * s, p + c * s, p + d * s
            undecided[j] = (min(min(v, w), min(x, y)) <= error) & (max(max(v, w), max(x, y)) >= -error)
        if k == 0:
            for j in range(E):
                rising[j] = 1.0 if piece[0, j] + a * piece[1, j] > 0.0 else 0.0
        begin = count
        for j in range(E):
            if undecided[j]:
                if count == len(roots):
                    return -2
                owners[count, 0], owners[count, 1] = k, j
                count += 1
        for i in range(begin, count):
            j = owners[i, 1]
            p, s = piece[0, j], piece[1, j]
            error = (bound[0, j] + at * bound[1, j] + G8 * (abs(p) + at * abs(s))) * (1.0 + G8) + TINY
            v, w, x, y = p + a * s, p + b * s, p + c * s, p + d * s
            up = max(v, w) < -error and min(x, y) > error
            if not up and not (min(v, w) > error and max(x, y) < -error):
                return -1
            if k == 0:
                rising[j] = 0.0 if up else 1.0
            root, steep = -p / s, abs(s) - bound[1, j]
            if steep <= 0.0:
                return -1
            width = (bound[0, j] + abs(root) * bound[1, j] + G8 * (abs(p) + abs(root * s))) / steep
            width = width * (1.0 + G8) + TINY
            roots[i, 0] = min(max(root, b), c)
            roots[i, 1], roots[i, 2] = max(root - width, b), min(root + width, c)
            sign = 1.0 if up else -1.0
            found[0, i], found[1, i] = sign * p, sign * s
            found[2, i], found[3, i] = bound[0, j] * push, bound[1, j] * push
        if k == 0:
            for j in range(E):
                letters[j] = rising[j] > 0.0
        for i in range(begin, count):  # from left to right, by insertion: a piece holds few
            h = i
            while h > begin and roots[h - 1, 0] > roots[h, 0]:
                for c3 in range(3):
                    roots[h, c3], roots[h - 1, c3] = roots[h - 1, c3], roots[h, c3]
                for c4 in range(4):
                    found[c4, h], found[c4, h - 1] = found[c4, h - 1], found[c4, h]
                owners[h, 1], owners[h - 1, 1] = owners[h - 1, 1], owners[h, 1]
                h -= 1
        for i in range(begin, count):
            if i > begin and roots[i, 1] <= roots[i - 1, 2]:
                return -1
            rising[owners[i, 1]] = 1.0 - rising[owners[i, 1]]
    return count
