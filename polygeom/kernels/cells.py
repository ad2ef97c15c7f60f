r"""Cells on a stack: what the recursion over all regions keeps, and the exact sign of a unit at a vertex.

A cell is a pointed cone in homogeneous coordinates (y, t), t >= 0, given by its extreme rays (*vertices* here:
t > 0 a point y/t, t = 0 a direction). In the plane (D = 3) they stand in counterclockwise order, vertex v followed
by edge v; in other dimensions every vertex knows the set of facets it lies on.

How far a vertex may be off
---------------------------
Vertices are scaled to largest absolute coordinate 1, and ``spread[v]`` bounds every coordinate's distance from
the exact vertex, the one its facets define. With a computed row g, :math:`|g|_1 \le s`, whose coefficients are off
by at most r in sum, the computed product differs from the exact one by at most

.. math:: s (\mathrm{spread} + \gamma_{D+1}) + r (1 + \mathrm{spread})
          \;\le\; s (\mathrm{spread} + \gamma_{D+6}) + 2 r,

the right-hand side in floats, as long as spread <= 1/2. A product beyond this has the exact sign (`tolerance`).
Within it the sign is looked up: zero on the facets the unit itself drew; the bias where every active unit of the
layer before vanishes; else in a table that exact arithmetic fills on request.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from polygeom.rounding import gamma

__all__ = [
    "ALIVE",
    "BOUNDED",
    "CUT",
    "DEEPEST",
    "FACET",
    "FIELDS",
    "FLAT",
    "LAYER",
    "LEFT",
    "NEXT",
    "NULL",
    "PATH",
    "REGION",
    "SERIAL",
    "SIMPLE",
    "SLOT",
    "SLOTS",
    "STRIDE",
    "STRUCTURE",
    "TESTED",
    "TIED",
    "UNKNOWN",
    "VERTEX",
    "VERTICES",
    "Cells",
    "Chain",
    "Scratch",
    "compiled",
    "inlined",
    "keep_sign",
    "look_up",
    "rehashed",
    "sign_at",
    "tolerance",
]

inlined = njit(cache=True, error_model="numpy", _nrt=False, forceinline=True, fastmath={"contract", "nsz"})
compiled = njit(cache=True, error_model="numpy", _nrt=False, fastmath={"contract", "nsz"})

LAYER, VERTEX, VERTICES, SLOT, STRIDE, LEFT, NEXT, PATH, CUT, FLAT, TIED, SIMPLE = range(12)
"""Fields of a node: its layer; where its vertices begin and how many; where its undecided units begin, their
stride, how many are left; where the partial rows of the next layer begin; rows on its path; the letter its cut
gave (2 unit + letter, -1 for none); whether a unit vanishes on the whole cell; facets another unit vanishes on (a
bit a slot); whether every vertex lies on D - 1 facets only."""
FIELDS = 12

SLOTS = 64
"""Facets a cell of dimension other than two may have: bits of a word."""

NULL, ALIVE = 1, 2
"""Marks of a vertex: all active units of the layer before vanish at it; some unit of this layer does not."""

REGION, BOUNDED, FACET, SERIAL, TESTED, STRUCTURE = range(6)
"""Places in `Cells.tally`."""

UNKNOWN = 2
"""No sign yet: floats cannot tell."""

DEEPEST = gamma(12)
"""Roundings of a product over at most D = 6 coordinates, and of the bound itself."""


class Chain(NamedTuple):
    """A network as `DenseChain`, flattened; unit numbers run on over domain rows and the facet at infinity.

    Attributes
    ----------
    widths : (L + 1,)
        Rows of the domain, then units of every layer.
    starts : (L + 2,)
        First unit of every layer; ``starts[0]`` is the first domain row, ``starts[-1]`` the facet at infinity.
    weights, weight_at : flat array, (L + 1,)
        ``weights[weight_at[l] + i * widths[l + 1] + j]`` leads from unit i of layer l to unit j of the next.
    bias, bias_sign, slopes, row_error, plane : arrays over units
        Biases and their exact signs (`UNKNOWN` where composed); slopes (2, n); `ChainLayer.row_error`; units
        with equal numbers have the same hyperplane.
    """

    widths: np.ndarray
    starts: np.ndarray
    weights: np.ndarray
    weight_at: np.ndarray
    bias: np.ndarray
    bias_sign: np.ndarray
    slopes: np.ndarray
    row_error: np.ndarray
    plane: np.ndarray


class Cells(NamedTuple):
    """The stack of cells still to be split. Segments of a node lie above those of the nodes below it.

    Attributes
    ----------
    node : (depth, FIELDS) int64, share : (depth,)
        Fields of every cell, and its share of the recursion (every split halves it).
    coord : (V * D,), spread, serial, facets, marks : (V,)
        Vertices. `facets` holds, in the plane, the facet that follows (4 row + 2 tied + side), else the set of
        slots (bits). Equal serial numbers are the same exact point.
    rows : (S * (D + 1),), unit : (S,)
        Undecided units of a node: coefficient c of slot u at ``rows[SLOT * (D + 1) + c * STRIDE + u]``, the
        sum of absolute values as coefficient D.
    nexts : flat array
        Partial rows of the next layer, (D, width).
    path, path_size, path_unit : (P * D,), (P,), (P,)
        The rows that bound the cells on the path to the top of the stack.
    slot_row : (depth, SLOTS)
        In dimensions other than two: 2 row + side of the facet in each slot.
    code : (n,) uint8
        Letters of the cell on top; those of layers it has not reached are left over from others.
    table : (T, 3) int64
        Exact signs: serial number + 1, unit, sign; open addressing.
    tally : (8,) int64
        Places REGION .. STRUCTURE count regions, bounded regions, their facets, vertices made (the next serial
        number), units tested on a cell, signs known from structure.
    done : (1,)
        Share of the recursion that is finished.
    """

    node: np.ndarray
    share: np.ndarray
    coord: np.ndarray
    spread: np.ndarray
    serial: np.ndarray
    facets: np.ndarray
    marks: np.ndarray
    rows: np.ndarray
    unit: np.ndarray
    nexts: np.ndarray
    path: np.ndarray
    path_size: np.ndarray
    path_unit: np.ndarray
    slot_row: np.ndarray
    code: np.ndarray
    table: np.ndarray
    tally: np.ndarray
    done: np.ndarray


class Scratch(NamedTuple):
    """Room for one node: extremes and verdicts of its units, signs of a cut, the half that stays on top."""

    low: np.ndarray
    high: np.ndarray
    product: np.ndarray
    verdict: np.ndarray
    active: np.ndarray
    sign: np.ndarray
    value: np.ndarray
    coord: np.ndarray
    spread: np.ndarray
    serial: np.ndarray
    facets: np.ndarray
    marks: np.ndarray
    other: np.ndarray
    mask: np.ndarray
    tie: np.ndarray
    matrix: np.ndarray
    system: np.ndarray
    ray: np.ndarray
    rest: np.ndarray


@inlined
def tolerance(size: float, spread: float, row_error: float) -> float:
    """Return the bound of the module docstring; infinite where the vertex is hardly known."""
    return size * (spread + DEEPEST) + 2.0 * row_error if spread < 0.5 else np.inf


@inlined
def look_up(table: np.ndarray, serial: int, unit: int) -> int:
    """Return the exact sign kept for a vertex and a unit, or UNKNOWN."""
    mask = len(table) - 1
    at = (serial * 0x9E3779B1 + unit * 0x85EBCA77) & mask
    while table[at, 0] != 0:
        if table[at, 0] == serial + 1 and table[at, 1] == unit:
            return table[at, 2]
        at = (at + 1) & mask
    return UNKNOWN


@compiled
def keep_sign(table: np.ndarray, serial: int, unit: int, sign: int) -> None:
    """Put an exact sign into the table, which must have room."""
    mask = len(table) - 1
    at = (serial * 0x9E3779B1 + unit * 0x85EBCA77) & mask
    while table[at, 0] != 0:
        at = (at + 1) & mask
    table[at, 0], table[at, 1], table[at, 2] = serial + 1, unit, sign


def rehashed(table: np.ndarray) -> np.ndarray:
    """Return a table of twice the length with the same signs."""
    longer = np.zeros((2 * len(table), 3), dtype=np.int64)
    for serial, unit, sign in table[table[:, 0] != 0]:
        keep_sign(longer, serial - 1, unit, sign)
    return longer


@inlined
def _draws(cells: Cells, chain: Chain, sp: int, v: int, unit: int, planar: bool) -> bool:
    """Tell whether a unit's hyperplane is known to hold a facet through vertex v."""
    first, k = cells.node[sp, VERTEX], cells.node[sp, VERTICES]
    plane = chain.plane[unit]
    if planar:
        before = cells.facets[first + (v - 1 if v > 0 else k - 1)] >> 2
        after = cells.facets[first + v] >> 2
        return chain.plane[cells.path_unit[before]] == plane or chain.plane[cells.path_unit[after]] == plane
    for s in range(SLOTS):
        if (cells.facets[first + v] >> s) & 1 and chain.plane[
            cells.path_unit[cells.slot_row[sp, s] >> 1]
        ] == plane:
            return True
    return False


@inlined
def sign_at(cells: Cells, chain: Chain, sp: int, v: int, unit: int, dims: tuple[int, ...]) -> int:
    """Return the exact sign of a unit at vertex v of a node where floats cannot tell it, or UNKNOWN."""
    D = len(dims)
    at = cells.node[sp, VERTEX] + v
    if _draws(cells, chain, sp, v, unit, D == 3):
        return 0
    if cells.marks[at] & NULL and unit < chain.starts[0]:
        if cells.coord[at * D + D - 1] == 0.0:
            cells.tally[STRUCTURE] += 1
            return 0
        if chain.bias_sign[unit] != UNKNOWN:
            cells.tally[STRUCTURE] += 1
            return chain.bias_sign[unit]
    return look_up(cells.table, cells.serial[at], unit)
