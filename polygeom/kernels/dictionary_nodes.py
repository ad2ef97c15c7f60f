r"""The stack of cells to be split, and what is done to the cell on top: decide a unit, split, walk.

Views of arrays are handed around uncounted (`polygeom.kernels.dictionary`), so none of this may be called
from functions that count references.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from polygeom.kernels.dictionary import (
    DEPTH,
    NOTHING,
    OWN,
    PATH,
    ROWS,
    Dictionary,
    exchange,
    flip_column,
    inlined,
    inner,
    negate_row,
    one_sided,
    one_sided_in_box,
    refresh,
    remove_row,
    swap_rows,
    turn_column,
    turn_row,
)

__all__ = [
    "ANSWER",
    "BY_FLOATS",
    "BY_STRUCTURE",
    "PLACES",
    "TOP",
    "TRIES",
    "UNIT",
    "Control",
    "Stack",
    "decide",
    "fresh_table",
    "leave",
    "likely_sign",
    "node_at",
    "split_column",
    "split_edge",
    "split_row",
    "walk",
]

TOP, UNIT, ANSWER, BY_FLOATS, BY_STRUCTURE, TRIES, PLACES = 0, 1, 2, 3, 4, 5, 6  # places in `Control.counts`


class Stack(NamedTuple):
    """The cells still to be split, as arrays of S dictionaries; see `Dictionary`."""

    table: np.ndarray
    basic: np.ndarray
    nonbasic: np.ndarray
    sign: np.ndarray
    head: np.ndarray


class Control(NamedTuple):
    """Where the recursion stands.

    Attributes
    ----------
    counts : (PLACES,) int64
        Top of the stack (-1: empty), row asked about, answer, units decided by floats and by structure,
        tables computed afresh since anything was decided.
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
def node_at(stack, top):
    """Return one dictionary of the stack."""
    return Dictionary(
        stack.table[top], stack.basic[top], stack.nonbasic[top], stack.sign[top], stack.head[top]
    )


# -- deciding units at one table -------------------------------------------------------------------------------


@inlined
def likely_sign(chain, node, i):
    """Return the sign that the function of a row seems to have on the cell."""
    if chain.boxed:
        return one_sided_in_box(node.table[i], node.nonbasic, chain.span)
    return one_sided(node.table[i])


@inlined
def decide(chain, node, i, side):
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
def fresh_table(rows, node, control):
    """Compute the table of a node afresh."""
    control.counts[TRIES] += 1
    refresh(node, rows.coef[0], rows.const[0], control.square, control.inverse)


# -- splitting -------------------------------------------------------------------------------------------------


@inlined
def _push(stack, control):
    """Copy the node on top; return both."""
    top = control.counts[TOP]
    node, copy = node_at(stack, top), node_at(stack, top + 1)
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
def split_column(stack, control, column):
    """Split the cell on top by the nonbasic unit of a column: two tables that differ in the sign of the column."""
    node, copy = _push(stack, control)
    number = node.nonbasic[column - 1]
    node.sign[number], copy.sign[number] = 1, -1
    flip_column(copy, column)


@inner
def split_row(stack, control, i):
    """Split the cell on top by the unit of row i where it stands, near 0."""
    node = node_at(stack, control.counts[TOP])
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
def split_edge(stack, node, control, i, column):
    """Let the unit of row i become nonbasic on an edge that leads through its 0, and split there."""
    exchange(node, i, column)
    swap_rows(node, i, node.head[PATH])
    node.head[PATH] += 1
    split_column(stack, control, column)


@inlined
def walk(chain, node, i, column, at_span):
    """Walk along an edge to what stops it: row i, at 0 or at its span, or the span of the edge itself."""
    if i == OWN:
        turn_column(node, chain.opposite, chain.span, column)
        return
    if at_span:
        turn_row(node, chain.opposite, chain.span, i)
    exchange(node, i, column)


@inlined
def leave(node, control):
    """Leave the node on top."""
    control.finished[0] += 2.0 ** -node.head[DEPTH]
    control.counts[TOP] -= 1
    control.counts[TRIES] = 0
