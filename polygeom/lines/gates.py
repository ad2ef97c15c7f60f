"""A gate on a line: which of its units flip where.

Roots strictly inside a piece split it. A flip at a node that is there already shows in the letters on its two
sides. Doubts, where floats cannot tell, are settled by `polygeom.lines.doubts`; where that moved a node, the gate
is looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from polygeom.gates import Elementwise, Gate, MaxGate
from polygeom.lines.doubts import Doubts
from polygeom.lines.events import Events, Located
from polygeom.lines.nodes import Nodes
from polygeom.lines.states import Flips, LineState, must_fit
from polygeom.rounding import gamma, round_up, underflow

__all__ = ["Passed", "pass_gate"]


@dataclass(frozen=True, eq=False)
class Passed:
    """What a gate made of a state: the state behind it, the letters where it begins, and the flips."""

    state: LineState
    letters: np.ndarray
    events: Events


def pass_gate(gate: Gate, state: LineState, nodes: Nodes, doubts: Doubts) -> Passed:
    """Carry a state through a gate; new nodes are added, doubts settled."""
    while True:
        state = state.renamed(nodes).spelled_out()
        located = _located(gate, state, nodes)
        settled = doubts.settled(gate, state, located)
        if settled is not None:
            break
    if settled.errors is not None:
        state = replace(state, errors=state.errors + settled.errors)
    inside, node = _placed(gate, state, settled, nodes, doubts)
    events = _events(gate, state, settled.letters, inside, node)
    settled = replace(settled, doubts=located.doubts)
    return Passed(_behind(gate, state, settled, inside, node), settled.letters[0], events)


def _located(gate: Gate, state: LineState, nodes: Nodes) -> Located:
    """Return letters, roots and doubts of all pieces, from floats."""
    from polygeom.kernels.line_events import crossed_breakpoints, follow_windows

    K = state.n_pieces
    letters = np.empty((K, gate.size), dtype=gate.letter_dtype)
    lines, errors = state.lines.reshape(2, K, -1), state.errors.reshape(2, -1)
    ends = nodes.low[state.cuts], nodes.high[state.cuts]
    clipped = np.zeros(errors.shape[1], dtype=bool) if state.clipped is None else state.clipped
    if isinstance(gate, Elementwise):
        levels = np.ascontiguousarray(gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1))
        find, parameters = crossed_breakpoints, (levels, clipped)
    else:
        source = np.zeros((K, 0), dtype=np.int64) if state.source is None else state.source
        find, parameters = follow_windows, (gate.index, source, _are_clipped(gate, clipped))
    room = gate.size + 64
    while True:
        roots, owners = np.empty((room, 3)), np.empty((room, 4), dtype=np.intp)
        doubts = np.empty((room, 2), dtype=np.intp)
        found, doubtful = find(*lines, *errors, *ends, *parameters, letters, roots, owners, doubts)
        if max(found, doubtful) <= room:
            return Located(letters, roots[:found], owners[:found], doubts[:doubtful])
        room = max(found, doubtful)


def _placed(
    gate: Gate, state: LineState, settled: Located, nodes: Nodes, doubts: Doubts
) -> tuple[np.ndarray, np.ndarray]:
    """Return the flips inside pieces (F, 4) from left to right, and the node of each."""
    firsts, number = _distinct_roots(gate, state, settled)
    places = settled.roots[firsts]
    if len(firsts) < len(number):  # one of them may stand for several flips in an order that is not known
        np.minimum.at(places[:, 1], number, settled.roots[:, 1])
        np.maximum.at(places[:, 2], number, settled.roots[:, 2])
    numbers = nodes.add(places)
    doubts.define(numbers, settled.owners[firsts])
    floats = len(settled.roots) - len(settled.exact)
    for i in np.flatnonzero(firsts >= floats).tolist():
        nodes.exact[int(numbers[i])] = settled.exact[firsts[i] - floats]
    node = numbers[number]
    order = np.lexsort((node, nodes.t[node], settled.owners[:, 0]))
    inside, node = settled.owners[order], node[order]
    if not len(node):
        return inside, node
    reach = np.maximum.accumulate(nodes.high[node])[:-1]
    differ = (inside[1:, 0] == inside[:-1, 0]) & (node[1:] != node[:-1])
    overlap = differ & (nodes.low[node][1:] <= reach)
    # runs of overlapping nodes, each with all its flips
    breaks = np.flatnonzero(~(overlap | (node[1:] == node[:-1]))) + 1
    for run in np.split(np.arange(len(node)), breaks) if overlap.any() else []:
        if node[run[0]] != node[run[-1]]:
            ordered = nodes.in_order(node[run], doubts.find)
            rank = {int(n): r for r, n in enumerate(ordered)}
            names = nodes.named(node[run])
            by_rank = np.argsort([rank[int(n)] for n in names], kind="stable")
            inside[run], node[run] = inside[run][by_rank], names[by_rank]
    if isinstance(gate, Elementwise) and len(gate.breakpoints) == 1:
        return inside, node
    flips, kept = Events(node, *inside.T[1:]).netted()
    return np.column_stack([inside[kept, 0], flips.unit, flips.before, flips.after]), flips.node


def _distinct_roots(gate: Gate, state: LineState, settled: Located) -> tuple[np.ndarray, np.ndarray]:
    """Return the first of each group of roots of one function, and the group of every root.

    Overlapping windows in which one entry overtakes the same other, and units that read copies of one entry, flip
    at one place by construction.
    """
    piece, unit, before, after = settled.owners.T
    if not len(piece) or (isinstance(gate, Elementwise) and state.source is None):
        each = np.arange(len(piece))
        return each, each
    source = np.arange(state.errors[0].size)[None] if state.source is None else state.source
    row = 0 if len(source) == 1 else piece
    if isinstance(gate, MaxGate):
        pair = np.sort([source[row, gate.index[unit, letter]] for letter in (before, after)], axis=0)
    else:
        levels = gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1)
        pair = np.stack([source[row, unit], levels[np.minimum(before, after), unit]])
    keys = np.column_stack([piece, *pair])
    _, firsts, number = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return firsts, number.ravel()


def _events(
    gate: Gate, state: LineState, letters: np.ndarray, inside: np.ndarray, node: np.ndarray
) -> Events:
    """Return the flips inside pieces, and those at the nodes between them, from left to right."""
    ends = letters[:-1].copy()
    inner = inside[:, 0] < len(ends)
    ends[inside[inner, 0], inside[inner, 1]] = inside[inner, 3]  # the last flip of a unit stays
    piece, unit = np.nonzero(ends != letters[1:])
    at_nodes = Events(
        state.cuts[piece + 1],
        unit + gate.first_column,
        ends[piece, unit].astype(np.intp),
        letters[piece + 1, unit].astype(np.intp),
    )
    events = Events.joined(
        [Events(node, inside[:, 1] + gate.first_column, inside[:, 2], inside[:, 3]), at_nodes]
    )
    return events[np.argsort(np.concatenate([2 * inside[:, 0], 2 * piece + 1]), kind="stable")]


def _behind(
    gate: Gate, state: LineState, settled: Located, inside: np.ndarray, node: np.ndarray
) -> LineState:
    """Return the state behind a gate, its new pieces kept aside as flips."""
    K = state.n_pieces
    piece, unit = inside[:, 0], inside[:, 1]
    splits = np.ones(len(node), dtype=bool)
    splits[1:] = (node[1:] != node[:-1]) | (piece[1:] != piece[:-1])
    per_piece = np.bincount(piece[splits], minlength=K)
    children = np.concatenate([[0], np.cumsum(per_piece + 1)])
    cuts = np.empty(children[-1] + 1, dtype=np.intp)
    is_first = np.zeros(len(cuts), dtype=bool)
    is_first[children] = True
    cuts[is_first], cuts[~is_first] = state.cuts, node[splits]
    opened = _open_entries if isinstance(gate, Elementwise) else _open_winners
    behind = opened(gate, state, settled, unit)
    if not len(node):
        return replace(behind, cuts=cuts)
    child = np.flatnonzero(~is_first)[np.cumsum(splits) - 1]
    starts = np.searchsorted(child, np.arange(children[-1] + 1))
    before, after = (_entries(gate, state, piece, unit, inside[:, c]) for c in (2, 3))
    behind = replace(behind, cuts=cuts, flips=Flips(children, starts, unit, before, after))
    if behind.source is None:
        return behind
    winners = gate.index[unit, inside[:, 3]]
    moved = winners if state.source is None else state.source[piece if len(state.source) > 1 else 0, winners]
    if settled.open is not None:  # they keep the numbers of their own
        moved = np.where(settled.open[unit], behind.source[0, unit], moved)
    return replace(behind, source=_source_of_children(behind, moved))


def _open_entries(gate: Elementwise, state: LineState, settled: Located, flipped: np.ndarray) -> LineState:
    """Return the state behind an elementwise gate with the letters settled, some units of which flip later.

    A unit that is on although its floats are 0 and 0 (rationals settled that) is not clipped: where they are both
    0 a clipped entry is the zero function.
    """
    chosen = settled.letters.reshape(-1, *gate.shape)
    if gate.name == "relu":
        clipped = np.ones(gate.size, dtype=bool) if settled.open is None else ~settled.open
        piece, unit = settled.doubts.T
        hidden = (state.lines.reshape(2, state.lines.shape[1], -1)[:, piece, unit] == 0.0).all(axis=0)
        clipped[unit[hidden]] = False
        on = settled.letters.any(axis=0) | ~clipped
        on[flipped] = True
        lines = np.where(chosen, state.lines, 0.0)
        errors = np.where(on.reshape(gate.shape), state.errors, 0.0)
        return replace(state, lines=lines, errors=errors, clipped=clipped, source=None)
    slope, offset = gate.chosen(gate.slopes, chosen), gate.chosen(gate.offsets, chosen)
    lines = slope * state.lines
    lines[0] += offset
    steep = np.abs(gate.table(gate.slopes)).max(axis=0)
    rounded = gamma(4) * np.abs(state.lines).max(axis=1) * steep
    rounded[0] += gamma(4) * np.abs(gate.table(gate.offsets)).max(axis=0)
    errors = round_up(steep * state.errors + rounded, 4) + underflow(1)
    must_fit(errors, gamma(4), gate)
    return replace(state, lines=lines, errors=errors, clipped=None, source=None)


def _open_winners(gate: MaxGate, state: LineState, settled: Located, _: np.ndarray) -> LineState:
    """Return the state behind a max gate with the letters settled."""
    K = len(settled.letters)
    winners = gate.winners(settled.letters)
    lines = np.take_along_axis(state.lines.reshape(2, K, -1), winners[None], axis=2).reshape(
        2, K, *gate.shape
    )
    errors = gate.window(state.errors, 0.0).max(axis=2).reshape(2, *gate.shape)
    source = gate.sources(winners, state.source, settled.open)
    clipped = None if state.clipped is None else _are_clipped(gate, state.clipped)
    return replace(state, lines=lines, errors=errors, clipped=clipped, source=source)


def _are_clipped(gate: MaxGate, clipped: np.ndarray) -> np.ndarray:
    """Return for which windows all entries are clipped."""
    return gate.window(clipped[None], True).all(axis=2)[0]


def _entries(
    gate: Gate, state: LineState, piece: np.ndarray, unit: np.ndarray, letter: np.ndarray
) -> np.ndarray:
    """Return value and rate (2, F) of units on pieces with given letters."""
    lines = state.lines.reshape(2, state.lines.shape[1], -1)
    if isinstance(gate, MaxGate):
        return lines[:, piece, gate.index[unit, letter]]
    slope, offset = (gate.table(a).reshape(len(a), -1)[letter, unit] for a in (gate.slopes, gate.offsets))
    entries = slope * lines[:, piece, unit]
    entries[0] += offset
    return entries


def _source_of_children(state: LineState, after: np.ndarray) -> np.ndarray:
    """Return the sources of all children's entries."""
    from polygeom.kernels.line_events import apply_flips

    flips, source = state.flips, np.empty((state.n_pieces, state.source.shape[1]), dtype=np.int64)
    own = np.ascontiguousarray(state.source, dtype=np.int64)
    apply_flips(own, flips.children, flips.starts, flips.units, after.astype(np.int64), source)
    return source
