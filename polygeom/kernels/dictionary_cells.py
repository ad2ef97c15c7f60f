r"""All cells of a chain by splitting: every node of the recursion is a cell with a vertex and its dictionary.

A unit that is undecided on a cell is driven towards its other sign by the simplex method. Where an edge of a
vertex leads through 0, the unit becomes nonbasic there, and the table is that of *both* halves, up to the sign of one
column: a split costs one pivot and one copy. Where no edge improves, its row of the table is of one sign and
proves that the unit keeps its sign (`polygeom.kernels.dictionary_proofs.prove`). When all units of a layer are
decided, the rows of the next one are combinations of those of its active units.

Why the list is exact
---------------------
- *Complete*: a sign is dropped only where `prove`, or rationals, show that it does not occur inside the cell.
  That a cell was split in vain loses nothing.
- *Sound*: a leaf is listed with a point at which a forward pass with running error bounds proves every letter
  (`is_inside`); else rationals give a point or show that the leaf has no interior.
- *Distinct*: two leaves differ in the unit at which their paths part.

What floats cannot prove stops the recursion with an outcome that asks: `ASK_UNIT` (a unit at the node on top of the
stack), `ASK_LEAF` (a point inside it). The answer is written to `Control.answer`, and `advance` goes on.

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
    center,
    blocking_row,
    entering_column,
    first_stop,
    flip_column,
    inlined,
    inner,
    largest_column,
    middle,
    one_sided,
    one_sided_in_box,
    pivot,
    refresh,
    remove_row,
    swap_rows,
    turn_column,
    turn_row,
)
from polygeom.kernels.dictionary_proofs import is_inside, new_layer, obvious_sign, prove

__all__ = [
    "ASK_LEAF",
    "ASK_UNIT",
    "CUTS",
    "DEEP",
    "DONE",
    "DROP",
    "FULL",
    "NONE",
    "POINT",
    "Control",
    "Found",
    "Stack",
    "advance",
]

DONE, FULL, DEEP, ASK_UNIT, ASK_LEAF = 0, 1, 2, 3, 4
"""Outcomes of `advance`: nothing left; room or budget used up; the stack must grow; questions."""

NONE, CUTS, DROP, POINT = 10, 11, 12, 13
"""Answers besides the signs 1, -1 and `NOTHING`: none yet; the unit has both signs; the cell has no interior; the
point has been listed."""

REFRESH = 60
"""Pivots between two fresh tables, plus twice k."""

PATIENCE = 3
"""Fresh tables that may lead to nothing before a question is asked."""

TOP, UNIT, ANSWER, BY_FLOATS, BY_STRUCTURE, SPLITS, WALKED, TRIES = 0, 1, 2, 3, 4, 5, 6, 7  # places in `counts`


class Stack(NamedTuple):
    """The cells still to be split; the last one is at hand.

    Attributes
    ----------
    table : (S, n, k + 1), basic : (S, n) int64, nonbasic : (S, k) int64
        Dictionaries (`polygeom.kernels.dictionary`).
    sign : (S, R) int8
    head : (S, 5) int64
        Layer, number of path rows, of rows, of splits on the path to the node, of pivots since the last refresh.
    """

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
    counts : (8,) int64
        Top of the stack (-1: empty), row asked about, answer, units decided by floats and by structure (at a level
        above 0), splits, pivots, tables computed afresh since anything was decided.
    finished : (1,)
        Share of the tree that is done, every split halving the weight.
    square, inverse : (k, k)
        Scratch of `refresh`.
    copy : (n + k + 6, k + 2), edge : (k,), share : (k + 1,), point : (k,)
        Scratch of interior points.
    """

    counts: np.ndarray
    finished: np.ndarray
    square: np.ndarray
    inverse: np.ndarray
    copy: np.ndarray
    edge: np.ndarray
    share: np.ndarray
    point: np.ndarray


# -- deciding units at one table -------------------------------------------------------------------------------


@inner
def _decide(chain, stack, top, i, side):
    """Give the unit of row i its sign; keep the row only if a later layer may read it."""
    head, table, basic = stack.head[top], stack.table[top], stack.basic[top]
    number = basic[i]
    stack.sign[top, number] = side
    if side == NOTHING or not chain.passes[(side + 1) // 2, number]:
        remove_row(table, basic, head, i)
        return
    swap_rows(table, basic, i, head[PATH])
    i = head[PATH]
    head[PATH] += 1
    if side < 0:
        row = table[i]
        for c in range(table.shape[1]):
            row[c] = -row[c]


@inner
def _refresh(rows, stack, control, top):
    """Compute the table of a node afresh."""
    control.counts[TRIES] += 1
    refresh(
        stack.table[top],
        stack.basic[top],
        stack.nonbasic[top],
        stack.sign[top],
        stack.head[top],
        rows.coef[0],
        rows.const[0],
        control.square,
        control.inverse,
    )


@inlined
def _side(chain, row, nonbasic):
    """Return the sign that a function seems to have on the cell."""
    if chain.boxed:
        return one_sided_in_box(row, nonbasic, chain.span)
    return one_sided(row)


@inlined
def _settle(chain, rows, stack, control, proof, top):
    """Decide every unit whose row is of one sign; return -1, or the row that needs a question.

    A row that cannot be proved is tried once more at a fresh table, where it may have both signs after all.
    """
    head, table, basic = stack.head[top], stack.table[top], stack.basic[top]
    k = stack.nonbasic.shape[1]
    proof.bound[2] = -1.0
    i = head[PATH]
    while i < head[ROWS]:
        side = _side(chain, table[i], stack.nonbasic[top])
        if side == 0:
            i += 1
            continue
        proved = prove(
            chain,
            rows,
            table,
            basic,
            stack.nonbasic[top],
            stack.sign[top],
            head,
            head[LAYER],
            i,
            -1 if side == -1 else 1,
            proof,
        )
        if proved == 0:
            if head[PIVOTS] == 0 or control.counts[TRIES] > PATIENCE:
                return i
            _refresh(rows, stack, control, top)
            proof.bound[2] = -1.0
            i = head[PATH]
            continue
        control.counts[BY_FLOATS if proof.bound[2] == 0.0 else BY_STRUCTURE] += 1
        control.counts[TRIES] = 0
        kept = head[ROWS]
        _decide(chain, stack, top, i, proved)
        if head[ROWS] == kept:
            i += 1  # the row has joined the path rows; another undecided one took its place, before i
            i = max(head[PATH], i)
    return -1


@inlined
def _push(stack, control, top):
    """Copy the node on top."""
    n, k = stack.head[top, ROWS], stack.nonbasic.shape[1]
    for i in range(n):
        for c in range(k + 1):
            stack.table[top + 1, i, c] = stack.table[top, i, c]
        stack.basic[top + 1, i] = stack.basic[top, i]
    for j in range(k):
        stack.nonbasic[top + 1, j] = stack.nonbasic[top, j]
    for i in range(stack.sign.shape[1]):
        stack.sign[top + 1, i] = stack.sign[top, i]
    stack.head[top, DEPTH] += 1
    for i in range(stack.head.shape[1]):
        stack.head[top + 1, i] = stack.head[top, i]
    control.counts[TOP] = top + 1
    control.counts[SPLITS] += 1
    control.counts[TRIES] = 0


@inlined
def _split_nonbasic(stack, control, top, column):
    """Split the cell by the nonbasic unit of a column: the same table up to the sign of the column."""
    number = stack.nonbasic[top, column - 1]
    stack.sign[top, number] = 1
    _push(stack, control, top)
    stack.sign[top + 1, number] = -1
    flip_column(stack.table[top + 1], stack.head[top + 1, ROWS], column)


@inner
def _split_basic(stack, control, top, i):
    """Split the cell by the unit of row i where it stands, near 0."""
    head, table, basic = stack.head[top], stack.table[top], stack.basic[top]
    swap_rows(table, basic, i, head[PATH])
    i = head[PATH]
    head[PATH] += 1
    stack.sign[top, basic[i]] = 1
    _push(stack, control, top)
    stack.sign[top + 1, basic[i]] = -1
    row = stack.table[top + 1, i]
    for c in range(table.shape[1]):
        row[c] = -row[c]
    row[0] = max(row[0], 0.0)
    table[i, 0] = max(table[i, 0], 0.0)


@inlined
def _exchange(stack, control, top, i, column):
    """Pivot row i with a column."""
    pivot(stack.table[top], stack.head[top, ROWS], i, column)
    basic, nonbasic = stack.basic[top], stack.nonbasic[top]
    basic[i], nonbasic[column - 1] = nonbasic[column - 1], basic[i]
    stack.head[top, PIVOTS] += 1
    control.counts[WALKED] += 1


@inlined
def _split(stack, control, top, i, column):
    """Let the unit of row i become nonbasic on an edge that leads through its 0, and split there."""
    head = stack.head[top]
    _exchange(stack, control, top, i, column)
    swap_rows(stack.table[top], stack.basic[top], i, head[PATH])
    head[PATH] += 1
    _split_nonbasic(stack, control, top, column)


@inlined
def _choose(stack, top):
    """Return the undecided row farthest from the vertex."""
    table, head = stack.table[top], stack.head[top]
    chosen, farthest = head[PATH], -1.0
    for i in range(head[PATH], head[ROWS]):
        distance = abs(table[i, 0])
        if distance > farthest:
            chosen, farthest = i, distance
    return chosen


@inlined
def _drive(chain, rows, stack, control, top, i):
    """Drive the unit of row i to its other sign by pivots, and split where an edge leads there.

    Returns True if the cell was split, or the table computed afresh; else the row has become one of one sign, or the
    walk was too long. At a value near 0 both signs have to be found along edges of positive length.
    """
    head, table, k = stack.head[top], stack.table[top], stack.nonbasic.shape[1]
    basic, nonbasic = stack.basic[top], stack.nonbasic[top]
    seen_above, seen_below, stalled = False, False, 0
    for _ in range(20 * (k + head[PATH]) + 40):
        row = table[i]
        value = row[0]
        seen_above = seen_above or value > NEAR
        seen_below = seen_below or value < -NEAR
        side = 1.0 if seen_below and not seen_above else -1.0
        column = entering_column(row, k, side, stalled > k)
        if column == 0:
            return False
        if chain.boxed and _side(chain, row, nonbasic) != 0:
            return False
        at_top = False
        if chain.boxed:
            blocker, length, at_top = first_stop(table, basic, nonbasic, chain.span, head[PATH], column)
        else:
            blocker, length = blocking_row(table, head[PATH], column)
        goal = value + length * row[column]
        steepness = abs(row[column]) if side * goal > NEAR or blocker == OWN else abs(table[blocker, column])
        if steepness < DUBIOUS and head[PIVOTS] > 0 and control.counts[TRIES] <= PATIENCE:
            _refresh(rows, stack, control, top)
            return True
        if side * goal > NEAR:
            if side * value < -NEAR:
                _split(stack, control, top, i, column)
                return True
            if side < 0.0:
                seen_below = True
            else:
                seen_above = True
            if seen_above and seen_below:
                _split(stack, control, top, i, largest_column(row, k))
                return True
            continue
        stalled = stalled + 1 if length <= NEAR else 0
        if blocker == OWN:
            turn_column(table, nonbasic, chain.opposite, chain.span, head[ROWS], column)
            continue
        if at_top:
            turn_row(table, basic, chain.opposite, chain.span, blocker)
        _exchange(stack, control, top, blocker, column)
    head[PIVOTS] += 1
    return False


# -- layers and leaves -----------------------------------------------------------------------------------------


@inner
def _drop_old(chain, rows, stack, top, layer):
    """Drop the path rows that seem redundant and that no later row or proof reads."""
    head, table, basic = stack.head[top], stack.table[top], stack.basic[top]
    i = 0
    while i < head[PATH]:
        number = basic[i]
        level = chain.layer[number] + 1
        needed = chain.slot[number] >= 0 or chain.opposite[number] >= 0 or (level > 0 and rows.count[level] >= 0 and rows.mark[number])
        if not needed and one_sided(table[i]) == 1:
            remove_row(table, basic, head, i)
        else:
            i += 1


@inner
def _begin_layer(chain, rows, stack, control, proof, top):
    """Begin the next layer: append the rows of its units, which are combinations of those the layer reads."""
    head, table, basic, sign = stack.head[top], stack.table[top], stack.basic[top], stack.sign[top]
    k = stack.nonbasic.shape[1]
    layer = head[LAYER] + 1
    count = new_layer(chain, rows, layer, sign, proof)
    for i in range(head[ROWS]):
        proof.place[basic[i]] = i
    for j in range(k):
        proof.place[stack.nonbasic[top, j]] = -1 - j
    n = head[ROWS]
    for j in range(chain.width[layer]):
        number = chain.first[layer] + j
        sign[number] = 0
        if chain.leader[number] != number:
            continue
        row = table[n]
        for c in range(k + 1):
            row[c] = 0.0
        row[0] = chain.bias[layer, j]
        for g in range(count):
            factor, place = proof.factor[g, j], proof.place[proof.source[g]]
            if place < 0:
                row[-place] += factor
            elif factor != 0.0:
                for c in range(k + 1):
                    row[c] += factor * table[place, c]
        for c in range(k + 1):
            row[c] *= rows.scale[number]
        basic[n] = number
        head[ROWS] = n + 1
        side = obvious_sign(chain, layer, j, count, proof)
        if side != 0:
            control.counts[BY_STRUCTURE] += 1
            _decide(chain, stack, top, n, side)
        n = head[ROWS]
    head[LAYER] = layer
    _drop_old(chain, rows, stack, top, layer)


@inner
def _point_of(chain, rows, stack, control, top):
    """Set `control.point` to the coordinates y of given values `control.edge` of the nonbasic functions."""
    table, head, k = stack.table[top], stack.head[top], stack.nonbasic.shape[1]
    point, share = control.point, control.share
    for j in range(k):
        number = stack.nonbasic[top, j]
        if chain.slot[number] >= 0:
            share[chain.slot[number]] = control.edge[j]
        elif chain.opposite[number] >= 0 and chain.slot[chain.opposite[number]] >= 0:
            share[chain.slot[chain.opposite[number]]] = chain.span[number] - control.edge[j]
    for i in range(head[PATH]):
        number = stack.basic[top, i]
        opposite = chain.opposite[number]
        if chain.slot[number] >= 0 or (opposite >= 0 and chain.slot[opposite] >= 0):
            value = table[i, 0]
            for j in range(k):
                value += table[i, j + 1] * control.edge[j]
            if chain.slot[number] >= 0:
                share[chain.slot[number]] = value
            else:
                share[chain.slot[opposite]] = chain.span[number] - value
    for slot in range(k):
        number = chain.reference[slot]
        share[slot] = stack.sign[top, number] * share[slot] - rows.const[0, number]
    for c in range(k):
        point[c] = 0.0
        for slot in range(k):
            point[c] += chain.inverse[c, slot] * share[slot]


@inlined
def _find_point(chain, rows, stack, control, proof, top):
    """Look for a point that is provably inside a leaf: the middle of its edges, then its center."""
    table, head = stack.table[top], stack.head[top]
    basic, nonbasic = stack.basic[top], stack.nonbasic[top]
    middle(table, basic, nonbasic, chain.span, chain.boxed, head[PATH], control.share, control.edge)
    _point_of(chain, rows, stack, control, top)
    if is_inside(chain, rows, stack.sign[top], control.point, proof):
        return True
    if center(table, basic, nonbasic, chain.span, head[PATH], control.copy, control.edge) <= 0.0:
        return False
    _point_of(chain, rows, stack, control, top)
    return is_inside(chain, rows, stack.sign[top], control.point, proof)


@inlined
def _list_leaf(chain, stack, control, found, top):
    """Write the code and the point of a leaf, if there is room for them, and count it."""
    count = found.count[0]
    found.count[0] += 1
    found.count[1] -= 1
    if found.packed.shape[0] == 0:
        return
    packed = found.packed[count]
    for b in range(packed.shape[0]):
        packed[b] = 0
    for layer in range(chain.width.shape[0]):
        for j in range(chain.width[layer]):
            number = chain.first[layer] + j
            s = stack.sign[top, chain.leader[number]]
            if s != NOTHING and s * chain.ratio[number] > 0:
                bit = chain.column[layer] + j
                packed[bit >> 3] |= np.uint8(128 >> (bit & 7))
    for c in range(control.point.shape[0]):
        found.point[count, c] = control.point[c]


@inlined
def _pop(stack, control, top):
    """Leave the node on top."""
    control.finished[0] += 2.0 ** -stack.head[top, DEPTH]
    control.counts[TOP] = top - 1
    control.counts[TRIES] = 0


@inlined
def _free_column(stack, top):
    """Return a column whose function is undecided (only at the start, where references are units); 0 if none."""
    for j in range(stack.nonbasic.shape[1]):
        if stack.sign[top, stack.nonbasic[top, j]] == 0:
            return j + 1
    return 0


@inner
def _apply_answer(chain, stack, control, top):
    """Act on the answer to a question about the node on top."""
    answer = control.counts[ANSWER]
    control.counts[ANSWER] = NONE
    control.counts[TRIES] = 0
    if answer == DROP or answer == POINT:
        _pop(stack, control, top)
    elif answer == CUTS:
        _split_basic(stack, control, top, control.counts[UNIT])
    else:
        _decide(chain, stack, top, control.counts[UNIT], answer)


@njit(cache=True, error_model="numpy", nogil=True)
def advance(chain, rows, stack, control, proof, found):
    """Split cells until nothing is left, the room is used up, or a question needs an answer.

    Parameters
    ----------
    chain : Chain
    rows : Rows
    stack : Stack
    control : Control
    proof : Proof
    found : Found
        ``count[1]`` leaves are wanted at most; without rows in `packed` leaves are only counted.

    Returns
    -------
    int
        DONE, FULL, DEEP, ASK_UNIT or ASK_LEAF (module docstring).
    """
    counts = control.counts
    last = chain.width.shape[0] - 1
    k = stack.nonbasic.shape[1]
    while counts[TOP] >= 0:
        top = counts[TOP]
        if top + 2 > stack.head.shape[0]:
            return DEEP
        if counts[ANSWER] != NONE:
            _apply_answer(chain, stack, control, top)
            continue
        if found.count[1] <= 0 or (found.packed.shape[0] > 0 and found.count[0] >= found.packed.shape[0]):
            return FULL
        head = stack.head[top]
        column = _free_column(stack, top) if head[DEPTH] < k else 0
        if column > 0:
            _split_nonbasic(stack, control, top, column)
            continue
        if head[PIVOTS] > REFRESH + 2 * k:
            _refresh(rows, stack, control, top)
        asked = _settle(chain, rows, stack, control, proof, top)
        if asked < 0 and head[PATH] < head[ROWS]:
            asked = _choose(stack, top)
            if _drive(chain, rows, stack, control, top, asked):
                continue
            if _side(chain, stack.table[top, asked], stack.nonbasic[top]) != 0:
                continue
        if asked >= 0:
            counts[UNIT] = asked
            return ASK_UNIT
        if head[LAYER] < last:
            _begin_layer(chain, rows, stack, control, proof, top)
            continue
        if not _find_point(chain, rows, stack, control, proof, top):
            if head[PIVOTS] == 0 or counts[TRIES] > PATIENCE:
                return ASK_LEAF
            _refresh(rows, stack, control, top)
            continue
        _list_leaf(chain, stack, control, found, top)
        _pop(stack, control, top)
    return DONE
