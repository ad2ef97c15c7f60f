r"""Testing the undecided units of a cell, and joining the decided ones to the rows of the next layer.

A unit whose least value at the vertices lies beyond the bound of `cells.tolerance` is on, one whose largest value
lies below is off; a unit beyond it on both sides cuts. What is left is called by the exact signs at the vertices.
"""

from __future__ import annotations

import numpy as np

from polygeom.kernels.cells import (
    ALIVE,
    DEEPEST,
    FLAT,
    LAYER,
    LEFT,
    NEXT,
    SLOT,
    SLOTS,
    STRIDE,
    TESTED,
    TIED,
    UNKNOWN,
    VERTEX,
    VERTICES,
    Cells,
    Chain,
    Scratch,
    inlined,
    sign_at,
    tolerance,
)
from polygeom.kernels.intrinsics import choose, larger, smaller

__all__ = ["CUTS", "OFF", "ON", "decide", "join", "judge", "signs"]

VECTOR = 12
"""Units from which on a loop over units beats a loop over vertices."""

OFF, ON, CUTS, CLOSE = 0, 1, 2, 3
"""Verdicts on a unit: decided, cutting, or too close to call in floats."""


@inlined
def _planar_extremes(rows: np.ndarray, points: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Widen least and largest values to those at the vertices of a polygon, which go in twos."""
    m, stride, k = len(low), len(rows) // 3, len(points) // 3
    a, b, c = rows[:m], rows[stride : stride + m], rows[2 * stride : 2 * stride + m]
    for v in range(0, k, 2):
        w = v + 1 if v + 1 < k else v
        x0, y0, t0 = points[3 * v], points[3 * v + 1], points[3 * v + 2]
        x1, y1, t1 = points[3 * w], points[3 * w + 1], points[3 * w + 2]
        for u in range(m):
            one, other = a[u] * x0 + b[u] * y0 + c[u] * t0, a[u] * x1 + b[u] * y1 + c[u] * t1
            low[u] = smaller(smaller(one, other), low[u])
            high[u] = larger(larger(one, other), high[u])


@inlined
def _extremes(cells: Cells, scratch: Scratch, sp: int, dims: tuple[int, ...]) -> float:
    """Write every undecided unit's least and largest value at the vertices; return the largest spread."""
    D = len(dims)
    first, k = cells.node[sp, VERTEX], cells.node[sp, VERTICES]
    base, stride, m = cells.node[sp, SLOT] * (D + 1), cells.node[sp, STRIDE], cells.node[sp, LEFT]
    worst = 0.0
    for v in range(k):
        worst = max(worst, cells.spread[first + v])
    low, high, z, points = (
        scratch.low[:m],
        scratch.high[:m],
        scratch.product[:m],
        cells.coord[first * D : (first + k) * D],
    )
    if m < VECTOR:
        for u in range(m):
            least, most = np.inf, -np.inf
            for v in range(k):
                value = 0.0
                for c in range(D):
                    value += cells.rows[base + c * stride + u] * points[v * D + c]
                least, most = smaller(value, least), larger(value, most)
            low[u], high[u] = least, most
        return worst
    for u in range(m):
        low[u], high[u] = np.inf, -np.inf
    if D == 3:
        _planar_extremes(cells.rows[base : base + 3 * stride], points, low, high)
        return worst
    for v in range(k):
        for u in range(m):
            z[u] = 0.0
        for c in range(D):
            row, x = cells.rows[base + c * stride : base + c * stride + m], points[v * D + c]
            for u in range(m):
                z[u] += row[u] * x
        for u in range(m):
            low[u], high[u] = smaller(z[u], low[u]), larger(z[u], high[u])
    return worst


@inlined
def signs(cells: Cells, chain: Chain, scratch: Scratch, sp: int, u: int, dims: tuple[int, ...]) -> bool:
    """Write the exact signs and values of undecided unit u at all vertices; False (and TIE) if one is unknown."""
    D = len(dims)
    first, k = cells.node[sp, VERTEX], cells.node[sp, VERTICES]
    base, stride = cells.node[sp, SLOT] * (D + 1), cells.node[sp, STRIDE]
    unit, size = cells.unit[cells.node[sp, SLOT] + u], cells.rows[base + D * stride + u]
    points, spread = cells.coord[first * D : (first + k) * D], cells.spread[first : first + k]
    values, found, row_error = scratch.value[:k], scratch.sign[:k], chain.row_error[unit]
    zeros, known = 0, True
    for v in range(k):
        z = 0.0
        for c in range(D):
            z += cells.rows[base + c * stride + u] * points[v * D + c]
        bound = tolerance(size, spread[v], row_error)
        values[v], found[v] = z, np.int64(z > bound) - np.int64(z < -bound)
        zeros += found[v] == 0
    if zeros == 0:
        return True
    for v in range(k):
        if found[v] == 0:
            found[v] = sign_at(cells, chain, sp, v, unit, dims)
            known = known and found[v] != UNKNOWN
    if not known:
        scratch.tie[0] = u
    return known


@inlined
def _call_close(cells: Cells, chain: Chain, scratch: Scratch, sp: int, u: int, dims: tuple[int, ...]) -> int:
    """Return the verdict on a unit that floats cannot call, CLOSE if exact signs are still wanted."""
    if not signs(cells, chain, scratch, sp, u, dims):
        return CLOSE
    below, above = False, False
    for v in range(cells.node[sp, VERTICES]):
        below, above = below or scratch.sign[v] < 0, above or scratch.sign[v] > 0
    if below and above:
        return CUTS
    return ON if above else OFF


@inlined
def _note_zeros(cells: Cells, chain: Chain, scratch: Scratch, sp: int, u: int, dims: tuple[int, ...]) -> None:
    """Mark the facets on which a decided unit vanishes altogether, and its vertices that come alive.

    The signs of the unit are in ``scratch.sign``. The zeros of a unit of one sign are a face of the cell.
    """
    first, k = cells.node[sp, VERTEX], cells.node[sp, VERTICES]
    unit, zeros = cells.unit[cells.node[sp, SLOT] + u], 0
    outside = np.uint64(0)
    for v in range(k):
        if scratch.sign[v] == 0:
            zeros += 1
        else:
            outside |= np.uint64(cells.facets[first + v])
            bends = 1 if scratch.sign[v] > 0 else 0
            if unit < chain.starts[0] and chain.slopes[bends, unit] != 0.0:
                cells.marks[first + v] |= ALIVE
    if zeros == 0 or unit >= chain.starts[0]:
        return
    if zeros == k:
        cells.node[sp, FLAT] = 1
    elif len(dims) == 3:
        for v in range(k):
            u_next = v + 1 if v + 1 < k else 0
            other = cells.path_unit[cells.facets[first + v] >> 2] != unit
            if other and scratch.sign[v] == 0 and scratch.sign[u_next] == 0:
                cells.facets[first + v] |= 2
    else:
        for s in range(SLOTS):
            bit = np.uint64(1) << np.uint64(s)
            if outside & bit == 0 and cells.path_unit[cells.slot_row[sp, s] >> 1] != unit:
                cells.node[sp, TIED] = np.int64(np.uint64(cells.node[sp, TIED]) | bit)


@inlined
def judge(cells: Cells, chain: Chain, scratch: Scratch, sp: int, dims: tuple[int, ...]) -> int:
    """Write the verdicts on all undecided units; return the most balanced cut, -1 for none, -2 for a tie.

    ``scratch.tie[1]`` tells whether some unit that goes on is strict at every vertex: they all come alive.
    """
    D = len(dims)
    m, slot = cells.node[sp, LEFT], cells.node[sp, SLOT]
    size_at = slot * (D + 1) + D * cells.node[sp, STRIDE]
    worst = _extremes(cells, scratch, sp, dims)
    slack = worst + DEEPEST if worst < 0.5 else np.inf
    lows, highs, verdict = scratch.low[:m], scratch.high[:m], scratch.verdict[:m]
    units, sizes = cells.unit[slot : slot + m], cells.rows[size_at : size_at + m]
    goes_on = cells.node[sp, LAYER] + 1 < len(chain.widths)
    best, cut, strict, close, balance = -1.0, -1, False, 0, scratch.product[:m]
    for u in range(m):
        balance[u] = chain.row_error[units[u]]
    for u in range(m):
        low, high, bound = lows[u], highs[u], sizes[u] * slack + 2.0 * balance[u]
        called = choose(low > bound, ON, choose(high < -bound, OFF, CLOSE))
        verdict[u] = choose((low < -bound) & (high > bound), CUTS, called)
        balance[u] = smaller(-low, high) / (high - low)
    for u in range(m):
        close += verdict[u] == CLOSE
    for u in range(m):
        if close > 0 and verdict[u] == CLOSE:
            verdict[u] = _call_close(cells, chain, scratch, sp, u, dims)
            if verdict[u] == CLOSE:
                return -2
            if verdict[u] != CUTS:
                _note_zeros(cells, chain, scratch, sp, u, dims)
        elif goes_on and not strict and verdict[u] != CUTS:
            strict = chain.slopes[verdict[u], units[u]] != 0.0
        if verdict[u] == CUTS and (balance[u] > best or cut < 0):
            best, cut = balance[u], u
    scratch.tie[1] = strict
    cells.tally[TESTED] += m - close
    return cut


@inlined
def join(
    cells: Cells, chain: Chain, scratch: Scratch, sp: int, target: int, count: int, dims: tuple[int, ...]
) -> None:
    """Add the rows of the first `count` units of ``scratch.active`` to the next layer's rows at `target`.

    ``scratch.active`` holds 2 slot + letter. Units go in fours, so that the next layer's rows are read and
    written once for four of them.
    """
    D = len(dims)
    layer = cells.node[sp, LAYER]
    n, weight_at, start = chain.widths[layer + 1], chain.weight_at[layer], chain.starts[layer]
    slot, stride = cells.node[sp, SLOT], cells.node[sp, STRIDE]
    base, w, at, q = slot * (D + 1), chain.weights, cells.nexts, 0
    while q + 4 <= count:
        i0, i1, i2, i3 = (
            scratch.active[q],
            scratch.active[q + 1],
            scratch.active[q + 2],
            scratch.active[q + 3],
        )
        u0, u1, u2, u3 = i0 >> 1, i1 >> 1, i2 >> 1, i3 >> 1
        n0, n1, n2, n3 = (
            cells.unit[slot + u0],
            cells.unit[slot + u1],
            cells.unit[slot + u2],
            cells.unit[slot + u3],
        )
        w0, w1 = weight_at + (n0 - start) * n, weight_at + (n1 - start) * n
        w2, w3 = weight_at + (n2 - start) * n, weight_at + (n3 - start) * n
        for c in range(D):
            row = base + c * stride
            g0, g1 = (
                cells.rows[row + u0] * chain.slopes[i0 & 1, n0],
                cells.rows[row + u1] * chain.slopes[i1 & 1, n1],
            )
            g2, g3 = (
                cells.rows[row + u2] * chain.slopes[i2 & 1, n2],
                cells.rows[row + u3] * chain.slopes[i3 & 1, n3],
            )
            out = at[target + c * n : target + (c + 1) * n]
            a0, a1, a2, a3 = w[w0 : w0 + n], w[w1 : w1 + n], w[w2 : w2 + n], w[w3 : w3 + n]
            for j in range(n):
                out[j] += (a0[j] * g0 + a1[j] * g1) + (a2[j] * g2 + a3[j] * g3)
        q += 4
    while q < count:
        u, letter = scratch.active[q] >> 1, scratch.active[q] & 1
        unit = cells.unit[slot + u]
        w0 = weight_at + (unit - start) * n
        for c in range(D):
            g0 = cells.rows[base + c * stride + u] * chain.slopes[letter, unit]
            out, a0 = at[target + c * n : target + (c + 1) * n], w[w0 : w0 + n]
            for j in range(n):
                out[j] += a0[j] * g0
        q += 1


@inlined
def decide(cells: Cells, chain: Chain, scratch: Scratch, sp: int, cut: int, dims: tuple[int, ...]) -> int:
    """Write letters of decided units, join them to the next layer, close the list; return the cut's new slot."""
    D = len(dims)
    layer, slot, m = cells.node[sp, LAYER], cells.node[sp, SLOT], cells.node[sp, LEFT]
    base, stride, goes_on = slot * (D + 1), cells.node[sp, STRIDE], layer + 1 < len(chain.widths)
    units, verdict, active = cells.unit[slot : slot + m], scratch.verdict[:m], scratch.active[:m]
    if layer > 0:
        count = 0
        for u in range(m):
            cells.code[units[u]] = verdict[u]  # of units that cut, too: they are given letters later
        for u in range(m if goes_on else 0):
            active[count] = 2 * u + verdict[u]
            count += (verdict[u] == ON) | ((verdict[u] == OFF) & (chain.slopes[OFF, units[u]] != 0.0))
        if count > 0:
            join(cells, chain, scratch, sp, cells.node[sp, NEXT], count, dims)
        if scratch.tie[1]:
            for v in range(cells.node[sp, VERTICES]):
                cells.marks[cells.node[sp, VERTEX] + v] |= ALIVE
    left, moved = 0, -1
    for u in range(m):
        active[left] = u
        moved = choose(u == cut, left, moved)
        left += verdict[u] == CUTS
    if left < m:
        for i in range(left):
            units[i] = units[active[i]]
        for c in range(D + 1):
            row = cells.rows[base + c * stride : base + c * stride + m]
            for i in range(left):
                row[i] = row[active[i]]
    cells.node[sp, LEFT] = left
    return moved
