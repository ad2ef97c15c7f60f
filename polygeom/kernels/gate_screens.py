r"""Which letters of a gate are constant on a cell, given the rows that arrive at it.

Rows are homogeneous over slice coordinates, t last, with bounds on the summed errors of their coefficients:
either one bound for all, or one for the slopes and one for the offset. A unit whose row is beyond
`cells.tolerance` on one side at every vertex has its letter. What is left is listed, for the recursion to
split by.

A zero is exact where nothing was rounded: the coefficients that are not zero meet coordinates that are.
Directions have t exactly zero; ``spread`` is zero for vertices that are exactly known.

Maxima
------
Entries of a window that are the same function on the cell (copies of one entry, or equal and exact, such as
zeros behind units that are off) draw no row, and the first of them stands for all. Their letter may change
where one of the units they come from flips: facets drawn by that unit are *tied*. An entry behind a ReLU
that is on is not negative, so it beats exact zeros without a test; where it vanishes, on the unit's own
facet, the window is tied too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from polygeom.kernels.cells import DEEPEST, compiled, inlined, tolerance
from polygeom.rounding import U

__all__ = ["MAXIMUM", "RECTIFIER", "Arriving", "Geometry", "screen_units", "screen_windows"]

RECTIFIER, MAXIMUM = 1, 2
"""Kinds of units that matter here."""


class Geometry(NamedTuple):
    """Vertices and facets of cells, one cell after the other; the last two are written to.

    Attributes
    ----------
    vertex_start : (N + 1,); coord : (V, D), spread : (V,), mask : (V,)
    facet_start : (N + 1,); owner : (F,)
        Unit that draws each facet, negative for others.
    tied : (F,) bool
        Facets on which another unit vanishes.
    flat : (N,) bool
        Cells on which a unit vanishes everywhere.
    """

    vertex_start: np.ndarray
    coord: np.ndarray
    spread: np.ndarray
    mask: np.ndarray
    facet_start: np.ndarray
    owner: np.ndarray
    tied: np.ndarray
    flat: np.ndarray


class Arriving(NamedTuple):
    """What arrives at a gate.

    Attributes
    ----------
    value : (n, D, E), error : (n, 1 or 2, E)
        Rows of all entries, and bounds on their errors.
    index : (N,)
        The rows of each cell.
    names : (n or 1, E)
        Entries with equal names are equal.
    owners : (names,)
        The unit whose output has a name, or -1.
    kinds : (n_units,)
        `RECTIFIER` for units whose output is never negative, and zero on their facets; `MAXIMUM` for windows.
    """

    value: np.ndarray
    error: np.ndarray
    index: np.ndarray
    names: np.ndarray
    owners: np.ndarray
    kinds: np.ndarray


@inlined
def _worst(geometry: Geometry, i: int) -> float:
    """Return the largest spread of a cell's vertices."""
    worst = 0.0
    for v in range(geometry.vertex_start[i], geometry.vertex_start[i + 1]):
        worst = max(worst, geometry.spread[v])
    return worst


@inlined
def _mark(geometry: Geometry, i: int, unit: int) -> None:
    """Note that whatever flips with a unit vanishes on the facets that it draws; everywhere if it is unknown."""
    if unit < 0:
        geometry.flat[i] = True
        return
    for f in range(geometry.facet_start[i], geometry.facet_start[i + 1]):
        if geometry.owner[f] == unit:
            geometry.tied[f] = True


@inlined
def _sign(
    geometry: Geometry, v: int, row: np.ndarray, error: float, slope_error: float, dims: tuple[int, ...]
) -> int:
    """Return the sign of a row at a vertex, 2 if floats cannot tell."""
    D = len(dims)
    z, size, vanish, still = 0.0, 0.0, True, True
    for c in range(D - 1):
        product = row[c] * geometry.coord[v, c]
        z += product
        size += abs(row[c])
        vanish, still = vanish and product == 0.0, still and row[c] == 0.0
    z += row[D - 1] * geometry.coord[v, D - 1]
    size += abs(row[D - 1])
    bound = tolerance(size * (1.0 + DEEPEST), geometry.spread[v], error)
    if z > bound:
        return 1
    if z < -bound:
        return -1
    level = slope_error == 0.0 and (still or (vanish and geometry.spread[v] == 0.0))
    constant = geometry.coord[v, D - 1] == 0.0 or (row[D - 1] == 0.0 and error == 0.0)
    return 0 if level and constant else 2


@inlined
def _verdict(
    geometry: Geometry, i: int, row: np.ndarray, error: float, slope_error: float, dims: tuple[int, ...]
) -> int:
    """Return 1 or -1 for a row of one sign on a cell, 0 for one that vanishes on it, 2 for others.

    Facets on which a row of one sign vanishes are marked as tied.
    """
    D = len(dims)
    first, last = geometry.vertex_start[i], geometry.vertex_start[i + 1]
    below, above, zeros = False, False, 0
    for v in range(first, last):
        sign = _sign(geometry, v, row, error, slope_error, dims)
        if sign == 2:
            return 2
        below, above, zeros = below or sign < 0, above or sign > 0, zeros + (sign == 0)
    if below and above:
        return 2
    if not below and not above:
        return 0
    if zeros > 0:
        for f in range(geometry.facet_start[i], geometry.facet_start[i + 1]):
            vanish, slot = True, f - geometry.facet_start[i]
            for v in range(first, last):
                local = v - first
                on = local == slot or local == (slot + 1 if first + slot + 1 < last else 0)
                if D != 3:
                    on = (geometry.mask[v] >> slot) & 1 == 1
                if on and _sign(geometry, v, row, error, slope_error, dims) != 0:
                    vanish = False
            geometry.tied[f] |= vanish
    return 1 if above else -1


@compiled
def screen_units(
    geometry: Geometry,
    arriving: Arriving,
    levels: np.ndarray,
    letters: np.ndarray,
    listed: np.ndarray,
    row: np.ndarray,
    dims: tuple[int, ...],
) -> tuple[int, int]:
    """Write the letters of an elementwise gate, as far as they are constant; list the other rows.

    Parameters
    ----------
    levels : (J, U)
        Breakpoints; row (u, j) is the pre-activation minus breakpoint j.
    letters : (N, U)
        Gets the number of rows that are positive.
    listed : (capacity, 4)
        Gets cell, unit, breakpoint and 0 of every row that is not of one sign.
    row : (D,)
        Room for a row.

    Returns
    -------
    cells done, rows listed
        A cell is not begun unless all its rows have room.
    """
    D = len(dims)
    J, n = levels.shape
    made, E = 0, arriving.error.shape[1]
    for i in range(len(arriving.index)):
        if made + J * n > len(listed):
            return i, made
        at, worst = arriving.index[i], _worst(geometry, i)
        name_at = at if len(arriving.names) > 1 else 0
        first, last = geometry.vertex_start[i], geometry.vertex_start[i + 1]
        slack = worst + 2.0 * DEEPEST if worst < 0.25 else np.inf
        for u in range(n):
            letter, error = 0, arriving.error[at, 0, u]
            if E == 2:
                error += arriving.error[at, 1, u]
            for j in range(J):
                size, level = 0.0, levels[j, u]
                for c in range(D):
                    row[c] = arriving.value[at, c, u]
                row[D - 1] -= level
                for c in range(D):
                    size += abs(row[c])
                off = error + U * abs(row[D - 1]) if level != 0.0 else error
                bound, low, high = size * slack + 2.0 * off, np.inf, -np.inf
                for v in range(first, last):
                    z = 0.0
                    for c in range(D):
                        z += row[c] * geometry.coord[v, c]
                    low, high = min(low, z), max(high, z)
                if low > bound:
                    letter += 1
                elif not high < -bound:
                    verdict = 2
                    if not (low < -bound and high > bound):
                        verdict = _verdict(geometry, i, row, off, arriving.error[at, 0, u], dims)
                    if verdict == 1:
                        letter += 1
                    elif verdict == 0:
                        _mark(geometry, i, arriving.owners[arriving.names[name_at, u]])
                    elif verdict == 2:
                        listed[made, 0], listed[made, 1], listed[made, 2], listed[made, 3] = i, u, j, 0
                        made += 1
            letters[i, u] = letter
    return len(arriving.index), made


@inlined
def _same(arriving: Arriving, at: int, name_at: int, a: int, b: int, dims: tuple[int, ...]) -> bool:
    """Tell whether two entries are known to be the same function."""
    if arriving.names[name_at, a] == arriving.names[name_at, b]:
        return True
    for e in range(arriving.error.shape[1]):
        if arriving.error[at, e, a] != 0.0 or arriving.error[at, e, b] != 0.0:
            return False
    equal = True
    for c in range(len(dims)):
        equal = equal and arriving.value[at, c, a] == arriving.value[at, c, b]
    return equal


@inlined
def _at_vertices(
    geometry: Geometry, arriving: Arriving, i: int, room: np.ndarray, dims: tuple[int, ...]
) -> None:
    """Write for all entries the bound on errors, 1 for exact zeros, values at an inner ray and the vertices."""
    D, at, worst = len(dims), arriving.index[i], _worst(geometry, i)
    slack = worst + 2.0 * DEEPEST if worst < 0.25 else np.inf
    first, last = geometry.vertex_start[i], geometry.vertex_start[i + 1]
    for e in range(arriving.value.shape[2]):
        error = arriving.error[at, 0, e]
        if arriving.error.shape[1] == 2:
            error += arriving.error[at, 1, e]
        size, total = 0.0, 0.0
        for c in range(D):
            size += abs(arriving.value[at, c, e])
        for v in range(first, last):
            z = 0.0
            for c in range(D):
                z += arriving.value[at, c, e] * geometry.coord[v, c]
            room[3 + v - first, e] = z
            total += z
        room[0, e], room[1, e], room[2, e] = size * slack + 2.0 * error, size == 0.0 and error == 0.0, total


@inlined
def _beats(
    geometry: Geometry,
    arriving: Arriving,
    i: int,
    a: int,
    b: int,
    room: np.ndarray,
    row: np.ndarray,
    dims: tuple[int, ...],
) -> bool:
    """Tell whether entry a is larger than entry b on the cell, with exact zeros at most on its boundary."""
    D, at = len(dims), arriving.index[i]
    gap = np.inf
    for v in range(geometry.vertex_start[i + 1] - geometry.vertex_start[i]):
        gap = min(gap, room[3 + v, a] - room[3 + v, b])
    if gap > room[0, a] + room[0, b]:
        return True
    error, slope_error = 0.0, arriving.error[at, 0, a] + arriving.error[at, 0, b]
    for e in range(arriving.error.shape[1]):
        error += arriving.error[at, e, a] + arriving.error[at, e, b]
    for c in range(D):
        row[c] = arriving.value[at, c, a] - arriving.value[at, c, b]
        if arriving.value[at, c, a] != 0.0 and arriving.value[at, c, b] != 0.0:
            error += U * abs(row[c])
            slope_error += U * abs(row[c])
    return _verdict(geometry, i, row, error * (1.0 + DEEPEST), slope_error, dims) == 1


@inlined
def _mark_ties(
    geometry: Geometry,
    arriving: Arriving,
    i: int,
    window: np.ndarray,
    p: int,
    zeros: bool,
    dims: tuple[int, ...],
) -> None:
    """Note the units with which a letter may flip where position p wins: those behind copies of its entry.

    Next to exact zeros (`zeros`) that includes the unit behind the entry itself. Copies that windows made (then
    names belong to cells) come apart where such a window flips.
    """
    at, a = arriving.index[i], window[p]
    name_at = at if len(arriving.names) > 1 else 0
    copies = False
    for q in range(len(window)):
        b = window[q]
        other = b >= 0 and arriving.names[name_at, a] != arriving.names[name_at, b]
        if b >= 0 and b != a and not other and len(arriving.names) > 1:
            for f in range(geometry.facet_start[i], geometry.facet_start[i + 1]):
                unit = geometry.owner[f]
                geometry.tied[f] |= unit >= 0 and arriving.kinds[unit] == MAXIMUM
        if other and _same(arriving, at, name_at, a, b, dims):
            _mark(geometry, i, arriving.owners[arriving.names[name_at, b]])
            copies = True
    owner = arriving.owners[arriving.names[name_at, a]]
    if copies or (zeros and owner >= 0):
        _mark(geometry, i, owner)


@compiled
def screen_windows(
    geometry: Geometry,
    arriving: Arriving,
    windows: np.ndarray,
    letters: np.ndarray,
    listed: np.ndarray,
    room: np.ndarray,
    row: np.ndarray,
    dims: tuple[int, ...],
) -> tuple[int, int]:
    """Write the letters of a max gate, as far as they are constant; list the rivals of the other windows.

    Parameters
    ----------
    windows : (W, K)
        Entries of every window, -1 for none.
    letters : (N, W)
        Letters that are known already; -1 for others, which are written if they are constant.
    listed : (capacity, 4)
        Gets cell, window, a position that wins somewhere, and the position of a rival that may do so too.
    room : (3 + most vertices, E), row : (D,)
        Room for the values of the entries of one cell, and for a row.

    Returns
    -------
    cells done, rivals listed
        A cell is not begun unless all its rivals have room.
    """
    W, K = windows.shape
    made = 0
    for i in range(len(arriving.index)):
        if made + W * (K - 1) > len(listed):
            return i, made
        at = arriving.index[i]
        name_at = at if len(arriving.names) > 1 else 0
        _at_vertices(geometry, arriving, i, room, dims)
        for w in range(W):
            if letters[i, w] >= 0:
                continue
            best, begun = -1, made
            for p in range(K):
                if windows[w, p] >= 0 and (best < 0 or room[2, windows[w, p]] > room[2, windows[w, best]]):
                    best = p
            a, copies, zeros = windows[w, best], False, False
            owner = arriving.owners[arriving.names[name_at, a]]
            positive = owner >= 0 and arriving.kinds[owner] == RECTIFIER and room[1, a] == 0.0
            for p in range(K):
                b = windows[w, p]
                if p == best or b < 0:
                    continue
                zeros = zeros or room[1, b] != 0.0
                if _same(arriving, at, name_at, a, b, dims):
                    copies = copies or a != b
                elif not (positive and room[1, b] != 0.0) and not _beats(
                    geometry, arriving, i, a, b, room, row, dims
                ):
                    first = True
                    for q in range(p):
                        if windows[w, q] >= 0 and _same(arriving, at, name_at, windows[w, q], b, dims):
                            first = False
                    if first:
                        listed[made, 0], listed[made, 1], listed[made, 2], listed[made, 3] = i, w, best, p
                        made += 1
            if copies or zeros or made > begun:
                _mark_ties(geometry, arriving, i, windows[w], best, zeros, dims)
                for q in range(begun, made):
                    _mark_ties(geometry, arriving, i, windows[w], listed[q, 3], zeros, dims)
            if made == begun:
                letters[i, w] = best
    return len(arriving.index), made
