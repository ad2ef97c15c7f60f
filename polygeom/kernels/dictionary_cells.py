r"""All cells of a chain by splitting: every node of the recursion is a cell with a vertex and its dictionary.

A unit that is undecided on a cell is driven towards its other sign by the simplex method. Where an edge of a
vertex leads through its 0, the unit becomes nonbasic there, and the table is that of *both* halves, up to the sign of
one column: a split costs one pivot and one copy. Where no edge improves, its row of the table is of one sign and
proves that the unit keeps its sign (`polygeom.kernels.dictionary_proofs.prove`). When all units of a layer are
decided, the rows of the next one are combinations of those of its active units.

The unit farthest from the vertex is driven first: it probably keeps its sign, which is then known to all cells
inside; if it cuts off a small part, little is left to ask there. On [100,128] in a small box this saves a factor of
100 over the units' own order.

Why the list is exact
---------------------
- *Complete*: a sign is dropped only where `prove`, `obvious_sign` or rationals show that it does not occur inside
  the cell. That a cell was split in vain loses nothing.
- *Sound*: a leaf is listed with a point at which a forward pass with running error bounds proves every letter
  (`is_inside`); else rationals give a point or show that the leaf has no interior.
- *Distinct*: two leaves differ in the unit at which their paths part.

What floats cannot prove stops the recursion with a question about the node on top of the stack: `ASK_UNIT` (the sign
of a unit), `ASK_LEAF` (a point inside). The answer is written to ``Control.counts[ANSWER]``, and `advance` goes on.

Sources: M. Rada, M. Cerny 2018, A new algorithm for enumeration of cells of hyperplane arrangements (incremental
enumeration with one LP a cell and unit); D. Avis, K. Fukuda 1992 (dictionaries that walk).
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
    Dictionary,
    blocking_row,
    entering_column,
    exchange,
    first_stop,
    flip_column,
    inlined,
    inner,
    largest_column,
    negate_row,
    one_sided,
    one_sided_in_box,
    refresh,
    remove_row,
    swap_rows,
    turn_column,
    turn_row,
)
from polygeom.kernels.dictionary_points import center, coordinates, middle
from polygeom.kernels.dictionary_proofs import STALE, is_inside, prove
from polygeom.kernels.dictionary_rows import new_layer, obvious_sign

__all__ = [
    "ANSWER",
    "ASK_LEAF",
    "ASK_UNIT",
    "BY_FLOATS",
    "BY_STRUCTURE",
    "CUTS",
    "DEEP",
    "DONE",
    "DROP",
    "FULL",
    "LISTED",
    "NONE",
    "PLACES",
    "TOP",
    "UNIT",
    "Control",
    "Found",
    "Stack",
    "advance",
]

DONE, FULL, DEEP, ASK_UNIT, ASK_LEAF = 0, 1, 2, 3, 4
"""Outcomes of `advance`: nothing left; room or budget used up; the stack must grow; questions."""

NONE, CUTS, DROP, LISTED = 10, 11, 12, 13
"""Answers besides the signs 1, -1 and `NOTHING`: none yet; the unit has both signs; the cell has no interior; the
leaf has been listed."""

TOP, UNIT, ANSWER, BY_FLOATS, BY_STRUCTURE, TRIES, PLACES = 0, 1, 2, 3, 4, 5, 6  # places in `Control.counts`

REFRESH = 60
"""Pivots between two fresh tables, plus twice k."""

PATIENCE = 3
"""Fresh tables that may lead to nothing before a question is asked."""


class Stack(NamedTuple):
    """The cells still to be split, as arrays of S dictionaries; see `Dictionary`."""

    table: np.ndarray
    basic: np.ndarray
    nonbasic: np.ndarray
    sign: np.ndarray
    head: np.ndarray


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


class Control(NamedTuple):
    """Where the recursion stands.

    Attributes
    ----------
    counts : (PLACES,) int64
        Top of the stack (-1: empty), row asked about, answer, units decided by floats and by structure, tables
        computed afresh since anything was decided.
    finished : (1,)
        Share of the tree that is done, every split halving the weight.
    square, inverse : (k, k)
        Scratch of `refresh`.
    program : (2 n + k + 4, k + 2), edge : (k,), share : (k + 1,), point : (k,)
        Scratch of interior points; behind the rows `program` is wide enough to number them.
    """

    counts: np.ndarray
    finished: np.ndarray
    square: np.ndarray
    inverse: np.ndarray
    program: np.ndarray
    edge: np.ndarray
    share: np.ndarray
    point: np.ndarray


@inlined
def _node(stack, top):
    """Return one dictionary of the stack."""
    return Dictionary(stack.table[top], stack.basic[top], stack.nonbasic[top], stack.sign[top], stack.head[top])


# -- deciding units at one table -------------------------------------------------------------------------------


@inlined
def _side(chain, node, i):
    """Return the sign that the function of a row seems to have on the cell."""
    if chain.boxed:
        return one_sided_in_box(node.table[i], node.nonbasic, chain.span)
    return one_sided(node.table[i])


@inlined
def _decide(chain, node, i, side):
    """Give the unit of row i its sign; keep the row only if a later layer reads it."""
    number = node.basic[i]
    node.sign[number] = side
    if side == NOTHING or not chain.passes[(side + 1) // 2, number]:
        remove_row(node, i)
        return
    i_path = node.head[PATH]
    swap_rows(node, i, i_path)
    node.head[PATH] += 1
    if side < 0:
        negate_row(node.table[i_path])


@inlined
def _refresh(rows, node, control):
    """Compute the table of a node afresh."""
    control.counts[TRIES] += 1
    refresh(node, rows.coef[0], rows.const[0], control.square, control.inverse)


@inlined
def _settle(chain, rows, node, control, proof):
    """Decide every unit whose row is of one sign; return -1, or the row that needs a question.

    A row that cannot be proved is tried once more at a fresh table, where it may have both signs after all.
    """
    head = node.head
    proof.bound[2] = STALE
    i = head[PATH]
    while i < head[ROWS]:
        side = _side(chain, node, i)
        if side == 0:
            i += 1
            continue
        proved = prove(chain, rows, node, i, -1 if side == -1 else 1, proof)
        if proved == 0:
            if head[PIVOTS] == 0 or control.counts[TRIES] > PATIENCE:
                return i
            _refresh(rows, node, control)
            proof.bound[2] = STALE
            i = head[PATH]
            continue
        control.counts[BY_FLOATS if proof.bound[2] == 0.0 else BY_STRUCTURE] += 1
        control.counts[TRIES] = 0
        n_rows = head[ROWS]
        _decide(chain, node, i, proved)
        if head[ROWS] == n_rows:
            # the row has joined the path rows; the one that stood there was looked at before
            i += 1
    return -1


# -- splitting -------------------------------------------------------------------------------------------------


@inlined
def _push(stack, control):
    """Copy the node on top; return both."""
    top = control.counts[TOP]
    node, copy = _node(stack, top), _node(stack, top + 1)
    k = node.nonbasic.shape[0]
    node.head[DEPTH] += 1
    for i in range(node.head[ROWS]):
        for c in range(k + 1):
            copy.table[i, c] = node.table[i, c]
        copy.basic[i] = node.basic[i]
    for j in range(k):
        copy.nonbasic[j] = node.nonbasic[j]
    for i in range(node.sign.shape[0]):
        copy.sign[i] = node.sign[i]
    for i in range(node.head.shape[0]):
        copy.head[i] = node.head[i]
    control.counts[TOP] = top + 1
    control.counts[TRIES] = 0
    return node, copy


@inner
def _split_column(stack, control, column):
    """Split the cell on top by the nonbasic unit of a column: two tables that differ in the sign of the column."""
    node, copy = _push(stack, control)
    number = node.nonbasic[column - 1]
    node.sign[number], copy.sign[number] = 1, -1
    flip_column(copy, column)


@inner
def _split_row(stack, control, i):
    """Split the cell on top by the unit of row i where it stands, near 0."""
    node = _node(stack, control.counts[TOP])
    i_path = node.head[PATH]
    swap_rows(node, i, i_path)
    node.head[PATH] += 1
    node, copy = _push(stack, control)
    number = node.basic[i_path]
    node.sign[number], copy.sign[number] = 1, -1
    negate_row(copy.table[i_path])
    copy.table[i_path, 0] = max(copy.table[i_path, 0], 0.0)
    node.table[i_path, 0] = max(node.table[i_path, 0], 0.0)


@inlined
def _split_edge(stack, node, control, i, column):
    """Let the unit of row i become nonbasic on an edge that leads through its 0, and split there."""
    exchange(node, i, column)
    swap_rows(node, i, node.head[PATH])
    node.head[PATH] += 1
    _split_column(stack, control, column)


@inlined
def _walk(chain, node, i, column, at_span):
    """Walk along an edge to what stops it: row i, at 0 or at its span, or the span of the edge itself."""
    if i == OWN:
        turn_column(node, chain.opposite, chain.span, column)
        return
    if at_span:
        turn_row(node, chain.opposite, chain.span, i)
    exchange(node, i, column)


@inlined
def _drive(chain, rows, stack, node, control, i):
    """Drive the unit of row i to its other sign by pivots, and split where an edge leads there.

    Returns True if the cell was split, or the table computed afresh; else the row has become one of one sign, or the
    walk was too long. At a value near 0 both signs have to be found along edges of positive length.
    """
    head, table, row = node.head, node.table, node.table[i]
    seen_above, seen_below, stalled = False, False, 0
    for _ in range(20 * (row.shape[0] + head[PATH]) + 40):
        seen_above, seen_below = seen_above or row[0] > NEAR, seen_below or row[0] < -NEAR
        side = 1.0 if seen_below and not seen_above else -1.0
        column = entering_column(row, side, stalled > row.shape[0])
        if column == 0 or (chain.boxed and _side(chain, node, i) != 0):
            return False
        at_span = False
        if chain.boxed:
            stop, length, at_span = first_stop(node, chain.span, column)
        else:
            stop, length = blocking_row(table, head[PATH], column)
        reached = side * (row[0] + length * row[column]) > NEAR
        steepness = abs(row[column]) if reached or stop == OWN else abs(table[stop, column])
        if steepness < DUBIOUS and head[PIVOTS] > 0 and control.counts[TRIES] <= PATIENCE:
            _refresh(rows, node, control)
            return True
        if not reached:
            stalled = stalled + 1 if length <= NEAR else 0
            _walk(chain, node, stop, column, at_span)
            continue
        if side * row[0] >= -NEAR:
            seen_above, seen_below = seen_above or side > 0.0, seen_below or side < 0.0
            column = largest_column(row)
        if seen_above and seen_below or side * row[0] < -NEAR:
            _split_edge(stack, node, control, i, column)
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
            _decide(chain, node, head[ROWS] - 1, side)
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
def _pop(node, control):
    """Leave the node on top."""
    control.finished[0] += 2.0 ** -node.head[DEPTH]
    control.counts[TOP] -= 1
    control.counts[TRIES] = 0


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
    node, answer = _node(stack, control.counts[TOP]), control.counts[ANSWER]
    control.counts[ANSWER] = NONE
    control.counts[TRIES] = 0
    if answer == DROP or answer == LISTED:
        _pop(node, control)
    elif answer == CUTS:
        _split_row(stack, control, control.counts[UNIT])
    else:
        _decide(chain, node, control.counts[UNIT], answer)


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
        node = _node(stack, counts[TOP])
        head = node.head
        column = _free_column(node) if head[DEPTH] < k else 0
        if column > 0:
            _split_column(stack, control, column)
            continue
        if head[PIVOTS] > REFRESH + 2 * k:
            _refresh(rows, node, control)
        counts[UNIT] = _settle(chain, rows, node, control, proof)
        if counts[UNIT] < 0 and head[PATH] < head[ROWS]:
            counts[UNIT] = _farthest(node)
            if _drive(chain, rows, stack, node, control, counts[UNIT]) or _side(chain, node, counts[UNIT]) != 0:
                continue
        if counts[UNIT] >= 0:
            return ASK_UNIT
        if head[LAYER] < last:
            _begin_layer(chain, rows, node, control, weights)
        elif _find_point(chain, rows, node, control, proof):
            _list_leaf(chain, node, control, found)
            _pop(node, control)
        elif head[PIVOTS] == 0 or counts[TRIES] > PATIENCE:
            return ASK_LEAF
        else:
            _refresh(rows, node, control)
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
