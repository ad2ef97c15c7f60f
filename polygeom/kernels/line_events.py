r"""Where units change their letters along a line, piece by piece.

On a piece every pre-activation is a line :math:`p + t g`, known up to the errors :math:`e_p, e_g` that all pieces
share. A node (an end of a piece) is known to lie in ``[low, high]``. A computed :math:`p + t g - s` differs from
the exact one by at most

.. math:: e_p + |t| e_g + \gamma_8 (|p| + |s| + |t g|),

which decides the sign at a node when it has this sign at both ends of the node's interval. Opposite signs at the
two nodes of a piece mean exactly one root between them, equal ones none; all else is *doubtful* and left to the
caller. Roots come with an interval that holds the exact one, clipped by the nodes of their piece.

Entries straight from a ReLU are *clipped*: exactly the zero function where both numbers are 0, else positive
inside the piece, even where they reach 0 at its nodes. So switched-off units tie without being a boundary. Units
whose letter was not decided on some piece are not.
"""

from __future__ import annotations

import numpy as np

from polygeom.kernels.cells import compiled, inlined
from polygeom.rounding import TINY, gamma

__all__ = [
    "apply_flips",
    "crossed_breakpoints",
    "follow_windows",
    "root_interval",
    "sign_over",
    "spread_flips",
]

G8 = gamma(8)

EXACT_ZERO = 2
"""Sign of what is known to be 0."""


@inlined
def sign_over(
    value: float, rate: float, low: float, high: float, spread: float, drift: float, size: float
) -> int:
    """Return the certain sign of value + t rate for all t in [low, high], or 0.

    `spread` and `drift` bound the errors of value and rate; `size` bounds what value was computed from.
    """
    at = max(abs(low), abs(high))
    bound = spread + at * drift + G8 * (size + at * abs(rate)) + TINY
    first, last = value + low * rate, value + high * rate
    if min(first, last) > bound:
        return 1
    if max(first, last) < -bound:
        return -1
    return 0


@inlined
def _meets_zero(value: float, rate: float, low: float, high: float) -> bool:
    """Tell whether an exact line is exactly 0 at t = 0 or t = 1: a float sum is 0 only if the exact one is."""
    if low != high:
        return False
    return value == 0.0 if low == 0.0 else (low == 1.0 and value + rate == 0.0)


@inlined
def _window_sign(
    value: np.ndarray,
    rate: np.ndarray,
    spread: np.ndarray,
    drift: np.ndarray,
    k: int,
    i: int,
    j: int,
    low: float,
    high: float,
) -> int:
    """Return the sign of entry i minus entry j at a node as `sign_over`, EXACT_ZERO where they certainly tie."""
    e, f = spread[i] + spread[j], drift[i] + drift[j]
    if e == 0.0 and f == 0.0:
        if low == high == 0.0 and value[k, i] == value[k, j]:
            return EXACT_ZERO
        if _meets_zero(value[k, i], rate[k, i], low, high) and _meets_zero(
            value[k, j], rate[k, j], low, high
        ):
            return EXACT_ZERO
    size, steep = abs(value[k, i]) + abs(value[k, j]), abs(rate[k, i]) + abs(rate[k, j])
    return sign_over(value[k, i] - value[k, j], rate[k, i] - rate[k, j], low, high, e, f + G8 * steep, size)


@inlined
def root_interval(
    value: float, rate: float, spread: float, drift: float, size: float, low: float, high: float
) -> tuple[float, float, float]:
    """Return the root of value + t rate and an interval that holds the exact one, clipped to [low, high]."""
    root = -value / rate
    steepness = abs(rate) - drift
    if steepness <= 0.0:
        return min(max(root, low), high), low, high
    width = (spread + abs(root) * drift + G8 * (size + abs(root * rate))) / steepness * (1.0 + G8) + TINY
    return min(max(root, low), high), max(root - width, low), min(root + width, high)


@inlined
def _is_zero(value: np.ndarray, rate: np.ndarray, k: int, i: int) -> bool:
    return value[k, i] == 0.0 and rate[k, i] == 0.0


@compiled
def crossed_breakpoints(
    value: np.ndarray,
    rate: np.ndarray,
    spread: np.ndarray,
    drift: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    breakpoints: np.ndarray,
    clipped: np.ndarray,
    letters: np.ndarray,
    roots: np.ndarray,
    owners: np.ndarray,
    doubts: np.ndarray,
) -> tuple[int, int]:
    """Find the roots of elementwise units on all pieces; return the numbers of roots and of doubts.

    Parameters
    ----------
    value, rate : (K, size) arrays
    spread, drift : (size,) arrays
        Their error bounds.
    low, high : (K + 1,) arrays
        The intervals of the nodes; piece k lies between nodes k and k + 1.
    breakpoints : (B, size) array
    clipped : (size,) bool array
        Which entries are clipped (module docstring).
    letters : (K, size) array, written
        The letter where each piece begins.
    roots : (capacity, 3) array, written
        Root, and the ends of its interval. Beyond the capacity roots and doubts are only counted.
    owners : (capacity, 4) integer array, written
        Piece, unit, letter before and letter after.
    doubts : (capacity, 2) integer array, written
        Piece and unit where a sign at a node is not certain; none of its roots is listed.
    """
    n_roots, n_doubts = 0, 0
    for k in range(len(value)):
        for j in range(value.shape[1]):
            v, g, e, f = value[k, j], rate[k, j], spread[j], drift[j]
            is_exact = v == 0.0 and g == 0.0 and (clipped[j] or (e == 0.0 and f == 0.0))
            letter, sure, first = 0, True, n_roots
            for i in range(len(breakpoints)):  # in the order in which the line meets them
                s = i if g > 0.0 else len(breakpoints) - 1 - i
                level = breakpoints[s, j]
                if is_exact or (clipped[j] and level == 0.0):
                    letter += level < 0.0 or (level == 0.0 and not is_exact)
                    continue
                gap, size = v - level, abs(v) + abs(level)
                begin = sign_over(gap, g, low[k], high[k], e, f, size)
                end = sign_over(gap, g, low[k + 1], high[k + 1], e, f, size)
                if e == 0.0 and f == 0.0 and level == 0.0:
                    if _meets_zero(v, g, low[k], high[k]):
                        begin = end
                    elif _meets_zero(v, g, low[k + 1], high[k + 1]):
                        end = begin
                if begin == 0 or end == 0:
                    sure = False
                    break
                letter += begin > 0
                if begin == end:
                    continue
                if n_roots < len(roots):
                    t, t_low, t_high = root_interval(gap, g, e, f, size, high[k], low[k + 1])
                    roots[n_roots, 0], roots[n_roots, 1], roots[n_roots, 2] = t, t_low, t_high
                    owners[n_roots, 0], owners[n_roots, 1] = k, j
                    owners[n_roots, 2] = s + 1 if begin > 0 else s
                    owners[n_roots, 3] = s + 1 if end > 0 else s
                n_roots += 1
            letters[k, j] = letter
            if not sure:
                n_roots = first
                if n_doubts < len(doubts):
                    doubts[n_doubts, 0], doubts[n_doubts, 1] = k, j
                n_doubts += 1
    return n_roots, n_doubts


@inlined
def _same(
    value: np.ndarray,
    rate: np.ndarray,
    spread: np.ndarray,
    drift: np.ndarray,
    source: np.ndarray,
    k: int,
    i: int,
    j: int,
    clipped: bool,
) -> bool:
    """Tell whether two entries are known to be one function on piece k."""
    if i == j:
        return True
    if source.shape[1] > 0:
        row = k if len(source) > 1 else 0
        if source[row, i] == source[row, j]:
            return True
    if spread[i] + spread[j] + drift[i] + drift[j] == 0.0:
        return value[k, i] == value[k, j] and rate[k, i] == rate[k, j]
    return clipped and _is_zero(value, rate, k, i) and _is_zero(value, rate, k, j)


@inlined
def _first_winner(
    value: np.ndarray, rate: np.ndarray, index: np.ndarray, k: int, u: int, t: float, clipped: bool
) -> int:
    """Return the first position of the largest float at t; the zero function only if there is nothing else."""
    winner, best, is_live = -1, 0.0, False
    for w in range(index.shape[1]):
        i = index[u, w]
        if i < 0:
            continue
        here, live = value[k, i] + t * rate[k, i], not (clipped and _is_zero(value, rate, k, i))
        steeper = winner >= 0 and here == best and rate[k, i] > rate[k, index[u, winner]]
        if winner < 0 or (live and not is_live) or (live == is_live and (here > best or steeper)):
            winner, best, is_live = w, here, live
    return winner


@inlined
def _overtaker(
    value: np.ndarray,
    rate: np.ndarray,
    spread: np.ndarray,
    drift: np.ndarray,
    index: np.ndarray,
    source: np.ndarray,
    clipped: bool,
    place: tuple[int, int, int, int],
    begin: tuple[float, float],
    end: tuple[float, float],
) -> tuple[int, float, float, float]:
    """Return which rival overtakes a winner first on a piece, and when; -1 if none does, -2 in doubt.

    `place` holds piece, unit, winner and the position that the winner has just overtaken (or -1); `begin` is the
    interval of the node, or root, from which on it wins.
    """
    k, u, winner, beaten = place
    i = index[u, winner]
    first, at, at_low, at_high, next_low = -1, np.inf, np.inf, np.inf, np.inf
    for w in range(index.shape[1]):
        j = index[u, w]
        if j < 0 or _same(value, rate, spread, drift, source, k, i, j, clipped):
            continue
        if clipped and _is_zero(value, rate, k, j):
            continue  # the winner is positive inside the piece
        if beaten >= 0 and _same(value, rate, spread, drift, source, k, index[u, beaten], j, clipped):
            continue  # two lines cross once, and they just have
        gap, slope = value[k, i] - value[k, j], rate[k, i] - rate[k, j]
        size, steep = abs(value[k, i]) + abs(value[k, j]), abs(rate[k, i]) + abs(rate[k, j])
        e, f = spread[i] + spread[j], drift[i] + drift[j] + G8 * steep
        begins = _window_sign(value, rate, spread, drift, k, i, j, begin[0], begin[1])
        ends = _window_sign(value, rate, spread, drift, k, i, j, end[0], end[1])
        if begins <= 0 or ends == 0 or (begins == EXACT_ZERO and ends < 0):
            return -2, at, at_low, at_high
        if ends > 0 or (
            first >= 0 and _same(value, rate, spread, drift, source, k, index[u, first], j, clipped)
        ):
            continue
        t, t_low, t_high = root_interval(gap, slope, e, f, size, begin[1], end[0])
        if t < at:
            next_low = min(next_low, at_low)
            first, at, at_low, at_high = w, t, t_low, t_high
        else:
            next_low = min(next_low, t_low)
    if first >= 0 and next_low <= at_high:
        return -2, at, at_low, at_high
    return first, at, at_low, at_high


@compiled
def follow_windows(
    value: np.ndarray,
    rate: np.ndarray,
    spread: np.ndarray,
    drift: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    index: np.ndarray,
    source: np.ndarray,
    clipped: np.ndarray,
    letters: np.ndarray,
    roots: np.ndarray,
    owners: np.ndarray,
    doubts: np.ndarray,
) -> tuple[int, int]:
    """Follow the largest entry of every window along all pieces; return the numbers of roots and of doubts.

    The winner where a piece begins beats every rival certainly at the first node. A rival that it also beats at
    the last node never overtakes it (both are lines); of the others the one that overtakes first, certainly before
    all others, wins next. Windows in which one of these is not certain are doubtful as a whole.

    Parameters
    ----------
    value, rate, spread, drift, low, high, roots, doubts
        As for `crossed_breakpoints`; entries are those of the gate's input.
    clipped : (units,) bool array
        For which windows all entries are clipped.
    index : (units, window) integer array
        Positions of the entries, -1 for padding.
    source : (K, size) or (1, size) integer array, or (K, 0)
        Entries with equal numbers are one function, on each piece or on all.
    letters : (K, units) array, written
        The position of the winner where each piece begins.
    owners : (capacity, 4) integer array, written
        Piece, unit, letter before and letter after.
    """
    n_roots, n_doubts = 0, 0
    for k in range(len(value)):
        end = (low[k + 1], high[k + 1])
        for u in range(len(index)):
            first_root, begin, beaten = n_roots, (low[k], high[k]), -1
            winner = _first_winner(value, rate, index, k, u, 0.5 * (low[k] + high[k]), clipped[u])
            for w in range(winner):  # of several that are one function the first wins
                if index[u, w] >= 0 and _same(
                    value, rate, spread, drift, source, k, index[u, winner], index[u, w], clipped[u]
                ):
                    winner = w
                    break
            letters[k, u] = winner
            while True:
                place = (k, u, winner, beaten)
                overtaker, t, t_low, t_high = _overtaker(
                    value, rate, spread, drift, index, source, clipped[u], place, begin, end
                )
                if overtaker < 0:
                    break
                if n_roots < len(roots):
                    roots[n_roots, 0], roots[n_roots, 1], roots[n_roots, 2] = t, t_low, t_high
                    owners[n_roots, 0], owners[n_roots, 1] = k, u
                    owners[n_roots, 2], owners[n_roots, 3] = winner, overtaker
                n_roots += 1
                winner, beaten, begin = overtaker, winner, (t_low, t_high)
            if overtaker == -2:
                n_roots = first_root
                if n_doubts < len(doubts):
                    doubts[n_doubts, 0], doubts[n_doubts, 1] = k, u
                n_doubts += 1
    return n_roots, n_doubts


@compiled
def spread_flips(
    value: np.ndarray,
    rate: np.ndarray,
    children: np.ndarray,
    flips: np.ndarray,
    value_change: np.ndarray,
    rate_change: np.ndarray,
    columns: np.ndarray,
    all_values: np.ndarray,
    all_rates: np.ndarray,
) -> None:
    """Write the lines of all children of pieces: each differs from the one before by multiples of a few columns.

    ``children[b]`` is the first child of piece b, which is piece b itself; a later child c has the flips
    ``flips[c]:flips[c + 1]``, each adding a multiple of row f of ``columns``.
    """
    for b in range(len(value)):
        first = children[b]
        for j in range(value.shape[1]):
            all_values[first, j], all_rates[first, j] = value[b, j], rate[b, j]
        for c in range(first + 1, children[b + 1]):
            for j in range(value.shape[1]):
                all_values[c, j], all_rates[c, j] = all_values[c - 1, j], all_rates[c - 1, j]
            for f in range(flips[c], flips[c + 1]):
                for j in range(value.shape[1]):
                    all_values[c, j] += value_change[f] * columns[f, j]
                    all_rates[c, j] += rate_change[f] * columns[f, j]


@compiled
def apply_flips(
    rows: np.ndarray,
    children: np.ndarray,
    flips: np.ndarray,
    units: np.ndarray,
    after: np.ndarray,
    all_rows: np.ndarray,
) -> None:
    """Write the rows of all children (`spread_flips`): flip f sets entry ``units[f]`` to ``after[f]``."""
    for b in range(len(rows)):
        first = children[b]
        for j in range(rows.shape[1]):
            all_rows[first, j] = rows[b, j]
        for c in range(first + 1, children[b + 1]):
            for j in range(rows.shape[1]):
                all_rows[c, j] = all_rows[c - 1, j]
            for f in range(flips[c], flips[c + 1]):
                all_rows[c, units[f]] = after[f]
