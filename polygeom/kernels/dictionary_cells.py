r"""All cells of a chain by splitting: every node of the recursion is a cell with a vertex and its dictionary.

A unit that is undecided on a cell is driven towards its other sign by the simplex method. Where an edge of a
vertex leads through its 0, the unit becomes nonbasic there, and the table is that of *both* halves, up to the
sign of one column: a split costs one pivot and one copy. Where no edge improves, its row of the table is of
one sign and proves that the unit keeps its sign (`polygeom.kernels.dictionary_proofs.prove`). When all units
of a layer are decided, the rows of the next one are combinations of those of its active units.

The unit farthest from the vertex is driven first: it probably keeps its sign, which is then known to all
cells inside; if it cuts off a small part, little is left to ask there. On [100,128] in a small box this saves
a factor of 100 over the units' own order.

Why the list is exact
---------------------
- *Complete*: a sign is dropped only where `prove`, `obvious_sign` or rationals show that it does not occur inside
  the cell. That a cell was split in vain loses nothing.
- *Sound*: a leaf is listed with a point at which a forward pass with running error bounds proves every letter
  (`is_inside`); else rationals give a point or show that the leaf has no interior.
- *Distinct*: two leaves differ in the unit at which their paths part.

What floats cannot prove stops the recursion with a question about the node on top of the stack: `ASK_UNIT`
(the sign of a unit), `ASK_LEAF` (a point inside). The answer is written to ``Control.counts[ANSWER]``, and
`advance` goes on.

Sources: M. Rada, M. Cerny 2018, A new algorithm for enumeration of cells of hyperplane arrangements
(incremental enumeration with one LP a cell and unit); D. Avis, K. Fukuda 1992 (dictionaries that walk).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from polygeom.kernels.dictionary import (
    DEPTH,
    DUBIOUS,
    LAYER,
    NEAR,
    NOTHING,
    OWN,
    PATH,
    PIVOTS,
    ROWS,
    blocking_row,
    entering_column,
    first_stop,
    inlined,
    inner,
    largest_column,
    one_sided,
    remove_row,
)
from polygeom.kernels.dictionary_nodes import (
    ANSWER,
    BY_FLOATS,
    BY_STRUCTURE,
    TOP,
    TRIES,
    UNIT,
    decide,
    fresh_table,
    leave,
    likely_sign,
    node_at,
    split_column,
    split_edge,
    split_row,
    walk,
)
from polygeom.kernels.dictionary_points import center, coordinates, middle
from polygeom.kernels.dictionary_proofs import STALE, is_inside, prove
from polygeom.kernels.dictionary_rows import new_layer, obvious_sign

__all__ = [
    "ASK_LEAF",
    "ASK_UNIT",
    "CUTS",
    "DEEP",
    "DONE",
    "DROP",
    "FULL",
    "LISTED",
    "NONE",
    "Found",
    "advance",
]

DONE, FULL, DEEP, ASK_UNIT, ASK_LEAF = 0, 1, 2, 3, 4
"""Outcomes of `advance`: nothing left; room or budget used up; the stack must grow; questions."""

NONE, CUTS, DROP, LISTED = 10, 11, 12, 13
"""Answers besides the signs 1, -1 and `NOTHING`: none yet; the unit has both signs; the cell has no interior; the
leaf has been listed."""

REFRESH = 60
"""Pivots between two fresh tables, plus twice k."""

PATIENCE = 3
"""Fresh tables that may lead to nothing before a question is asked."""


class Found(NamedTuple):
    """Room for leaves.

    Attributes
    ----------
    packed : (M, bytes) uint8
    point : (M, k)
        Coordinates y.
    count : (2,) int64
        Leaves written; leaves still wanted.
    """

    packed: np.ndarray
    point: np.ndarray
    count: np.ndarray


# -- one table: deciding, driving -----------------------------------------------------------------------------


@inlined
def _settle(chain, rows, node, control, proof):
    """Decide every unit whose row is of one sign; return -1, or the row that needs a question.

    A row that cannot be proved is tried once more at a fresh table, where it may have both signs after all.
    """
    head = node.head
    proof.bound[2] = STALE
    i = head[PATH]
    while i < head[ROWS]:
        side = likely_sign(chain, node, i)
        if side == 0:
            i += 1
            continue
        proved = prove(chain, rows, node, i, -1 if side == -1 else 1, proof)
        if proved == 0:
            if head[PIVOTS] == 0 or control.counts[TRIES] > PATIENCE:
                return i
            fresh_table(rows, node, control)
            proof.bound[2] = STALE
            i = head[PATH]
            continue
        control.counts[BY_FLOATS if proof.bound[2] == 0.0 else BY_STRUCTURE] += 1
        control.counts[TRIES] = 0
        n_rows = head[ROWS]
        decide(chain, node, i, proved)
        if head[ROWS] == n_rows:
            # the row has joined the path rows; the one that stood there was looked at before
            i += 1
    return -1


@inlined
def _drive(chain, rows, stack, node, control, i):
    """Drive the unit of row i to its other sign by pivots, and split where an edge leads there.

    Returns True if the cell was split, or the table computed afresh; else the row has become one of one sign,
    or the walk was too long. At a value near 0 both signs have to be found along edges of positive length.
    """
    head, table, row = node.head, node.table, node.table[i]
    seen_above, seen_below, stalled = False, False, 0
    for _ in range(20 * (row.shape[0] + head[PATH]) + 40):
        seen_above, seen_below = seen_above or row[0] > NEAR, seen_below or row[0] < -NEAR
        side = 1.0 if seen_below and not seen_above else -1.0
        column = entering_column(row, side, stalled > row.shape[0])
        if column == 0 or (chain.boxed and likely_sign(chain, node, i) != 0):
            return False
        at_span = False
        if chain.boxed:
            stop, length, at_span = first_stop(node, chain.span, column)
        else:
            stop, length = blocking_row(table, head[PATH], column)
        reached = side * (row[0] + length * row[column]) > NEAR
        steepness = abs(row[column]) if reached or stop == OWN else abs(table[stop, column])
        if steepness < DUBIOUS and head[PIVOTS] > 0 and control.counts[TRIES] <= PATIENCE:
            fresh_table(rows, node, control)
            return True
        if not reached:
            stalled = stalled + 1 if length <= NEAR else 0
            walk(chain, node, stop, column, at_span)
            continue
        if side * row[0] >= -NEAR:
            seen_above, seen_below = seen_above or side > 0.0, seen_below or side < 0.0
            column = largest_column(row)
        if (seen_above and seen_below) or side * row[0] < -NEAR:
            split_edge(stack, node, control, i, column)
            return True
    head[PIVOTS] += 1
    return False


@inlined
def _farthest(node):
    """Return the undecided row farthest from the vertex."""
    chosen, distance = node.head[PATH], -1.0
    for i in range(node.head[PATH], node.head[ROWS]):
        if abs(node.table[i, 0]) > distance:
            chosen, distance = i, abs(node.table[i, 0])
    return chosen


# -- layers and leaves -----------------------------------------------------------------------------------------


@inner
def _drop_old(chain, rows, node):
    """Drop the path rows that seem redundant and that no later row or proof reads."""
    i = 0
    while i < node.head[PATH]:
        number = node.basic[i]
        level = chain.layer[number] + 1
        needed = chain.slot[number] >= 0 or chain.opposite[number] >= 0
        needed = needed or (level > 0 and rows.count[level] >= 0 and rows.mark[number])
        if not needed and one_sided(node.table[i]) == 1:
            remove_row(node, i)
        else:
            i += 1


@inner
def _append_unit(chain, rows, node, unit, count, weights):
    """Append the row of a unit of the present layer, a combination of the rows it reads (`weights.place`)."""
    layer = node.head[LAYER]
    number, n = chain.first[layer] + unit, node.head[ROWS]
    row = node.table[n]
    for c in range(row.shape[0]):
        row[c] = 0.0
    row[0] = chain.bias[layer, unit]
    for g in range(count):
        factor, place = weights.factor[g, unit], weights.place[weights.source[g]]
        if place < 0:
            row[-place] += factor
        elif factor != 0.0:
            for c in range(row.shape[0]):
                row[c] += factor * node.table[place, c]
    for c in range(row.shape[0]):
        row[c] *= rows.scale[number]
    node.basic[n] = number
    node.head[ROWS] = n + 1


@inner
def _begin_layer(chain, rows, node, control, weights):
    """Begin the next layer: append the rows of its units, but for multiples of others, and drop old rows."""
    head = node.head
    head[LAYER] += 1
    count = new_layer(chain, rows, head[LAYER], node.sign, weights)
    for i in range(head[ROWS]):
        weights.place[node.basic[i]] = i
    for j in range(node.nonbasic.shape[0]):
        weights.place[node.nonbasic[j]] = -1 - j
    for unit in range(chain.width[head[LAYER]]):
        number = chain.first[head[LAYER]] + unit
        node.sign[number] = 0
        if chain.leader[number] != number:
            continue
        _append_unit(chain, rows, node, unit, count, weights)
        side = obvious_sign(chain, head[LAYER], unit, count, weights)
        if side != 0:
            control.counts[BY_STRUCTURE] += 1
            decide(chain, node, head[ROWS] - 1, side)
    _drop_old(chain, rows, node)


@inlined
def _find_point(chain, rows, node, control, proof):
    """Look for a point that is provably inside a leaf: the middle of its edges, then its center."""
    middle(node, chain.span, chain.boxed, control.share, control.edge)
    coordinates(chain, rows, node, control.edge, control.share, control.point)
    if is_inside(chain, rows, node.sign, control.point, proof):
        return True
    if center(node, chain.span, control.program, control.edge) <= 0.0:
        return False
    coordinates(chain, rows, node, control.edge, control.share, control.point)
    return is_inside(chain, rows, node.sign, control.point, proof)


@inlined
def _list_leaf(chain, node, control, found):
    """Count a leaf, and write its code and point if there is room for any."""
    row = found.count[0]
    found.count[0] += 1
    found.count[1] -= 1
    if found.packed.shape[0] == 0:
        return
    packed = found.packed[row]
    for b in range(packed.shape[0]):
        packed[b] = 0
    for layer in range(chain.width.shape[0]):
        for unit in range(chain.width[layer]):
            number = chain.first[layer] + unit
            side = node.sign[chain.leader[number]]
            if side != NOTHING and side * chain.ratio[number] > 0:
                bit = chain.column[layer] + unit
                packed[bit >> 3] |= np.uint8(128 >> (bit & 7))
    for c in range(control.point.shape[0]):
        found.point[row, c] = control.point[c]


@inlined
def _free_column(node):
    """Return a column whose unit is undecided (at the start, where units are references); 0 if there is none."""
    for j in range(node.nonbasic.shape[0]):
        if node.sign[node.nonbasic[j]] == 0:
            return j + 1
    return 0


@inner
def _apply_answer(chain, stack, control):
    """Act on the answer to a question about the node on top."""
    node, answer = node_at(stack, control.counts[TOP]), control.counts[ANSWER]
    control.counts[ANSWER] = NONE
    control.counts[TRIES] = 0
    if answer in (DROP, LISTED):
        leave(node, control)
    elif answer == CUTS:
        split_row(stack, control, control.counts[UNIT])
    else:
        decide(chain, node, control.counts[UNIT], answer)


@inner
def _advance(chain, rows, stack, control, weights, proof, found):
    """Do the work of `advance`; views of arrays may be handed around here, uncounted."""
    counts, room = control.counts, found.packed.shape[0]
    last, k = chain.width.shape[0] - 1, stack.nonbasic.shape[1]
    while counts[TOP] >= 0:
        if counts[TOP] + 2 > stack.head.shape[0]:
            return DEEP
        if counts[ANSWER] != NONE:
            _apply_answer(chain, stack, control)
            continue
        if found.count[1] <= 0 or (room > 0 and found.count[0] >= room):
            return FULL
        node = node_at(stack, counts[TOP])
        head = node.head
        column = _free_column(node) if head[DEPTH] < k else 0
        if column > 0:
            split_column(stack, control, column)
            continue
        if head[PIVOTS] > REFRESH + 2 * k:
            fresh_table(rows, node, control)
        counts[UNIT] = _settle(chain, rows, node, control, proof)
        if counts[UNIT] < 0 and head[PATH] < head[ROWS]:
            counts[UNIT] = _farthest(node)
            if (
                _drive(chain, rows, stack, node, control, counts[UNIT])
                or likely_sign(chain, node, counts[UNIT]) != 0
            ):
                continue
        if counts[UNIT] >= 0:
            return ASK_UNIT
        if head[LAYER] < last:
            _begin_layer(chain, rows, node, control, weights)
        elif _find_point(chain, rows, node, control, proof):
            _list_leaf(chain, node, control, found)
            leave(node, control)
        elif head[PIVOTS] == 0 or counts[TRIES] > PATIENCE:
            return ASK_LEAF
        else:
            fresh_table(rows, node, control)
    return DONE


@njit(cache=True, error_model="numpy", nogil=True)
def advance(chain, rows, stack, control, weights, proof, found):
    """Split cells until nothing is left, the room is used up, or a question needs an answer.

    Parameters
    ----------
    chain : Chain
    rows : Rows
    stack : Stack
    control : Control
    weights : Weights
    proof : Proof
    found : Found
        ``count[1]`` leaves are wanted at most; without rows in `packed` leaves are only counted.

    Returns
    -------
    int
        DONE, FULL, DEEP, ASK_UNIT or ASK_LEAF (module docstring).
    """
    return _advance(chain, rows, stack, control, weights, proof, found)
