"""The sweep of a line through a network: depth first in parts, so that memory stays under a cap.

A part is an interval of t whose states have reached some step of the graph. Where its pieces would outgrow the cap
it is cut in two at a float between two nodes; the left half goes on, the right half waits with the states it has.
So parts come to the end of the graph from left to right, nothing is computed twice, and at most one half per level
of cutting waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from numbers import Real
from time import monotonic

import numpy as np

from polygeom.affine import AffineMap
from polygeom.budget import Budget
from polygeom.errors import InputError
from polygeom.exact import rational
from polygeom.gates import Gate
from polygeom.graph import Graph
from polygeom.lines.chains import Chain, sweep_chain
from polygeom.lines.copies import copies
from polygeom.lines.devices import Device
from polygeom.lines.doubts import Doubts
from polygeom.lines.events import Events, Swept
from polygeom.lines.exact_lines import ExactLine
from polygeom.lines.gates import pass_gate
from polygeom.lines.nodes import Nodes
from polygeom.lines.states import LineState, pushed
from polygeom.network import Network

__all__ = ["sweep"]

COPIES = 5
"""Arrays of float64 per entry of a state that a step holds at most: values and rates before and behind it, and
what the step itself needs."""

LEAST_PIECES = 2
"""A cut lies inside a piece and shares it out, so two pieces are the least that a part can be cut down to."""

LEAST_SHARE = 8
"""The part at hand gets at least this share of the memory, however much waits: batches too small cost speed."""


@dataclass(eq=False)
class _Part:
    """An interval of the line: the next step, the states it needs, and what has been found in it."""

    step: int
    states: dict[int, LineState]
    doubts: Doubts


def sweep(
    net: Network,
    line: AffineMap,
    reach: tuple[float, float],
    memory: int,
    budget: Budget,
    report: Callable[[float], None],
    device: Device | None = None,
) -> Swept:
    """Find all flips on ``line(t)``, t in `reach`, within `memory` bytes; `report` hears the t reached.

    What is found when the budget is spent, or on Ctrl-C, is returned; Ctrl-C before a part is done raises.

    Raises
    ------
    InputError
        If the memory does not hold two pieces, or is no number, or a value overflows.
    """
    if isinstance(memory, bool) or not isinstance(memory, Real) or not memory > 0:
        raise InputError(
            f"The memory cap is memory={memory!r}; give a positive number of bytes, such as 2**30."
        )
    chain = Chain.of(net)
    if chain is not None and device is None:
        swept = sweep_chain(chain, net, line, reach, memory)
        if swept is not None:
            return swept
    walk, began = _Sweep(net, line, reach, memory, device), monotonic()
    found: list[Events] = []
    undecided: list[tuple[float, float, int]] = []
    letters, end, last, stopped, parts = None, None, 0, None, 0
    try:
        for doubts in walk.parts():
            events = walk.sorted_events(doubts)
            if letters is None:
                letters = doubts.letters
            else:
                found.append(_between(doubts.first, end, doubts.letters))
            found.append(events)
            undecided += doubts.undecided
            end, last, parts = doubts.letters.copy(), doubts.last, parts + 1
            end[events.unit] = events.after
            report(float(walk.nodes.t[last]))
            stopped = budget.spent(seconds=monotonic() - began)
            if stopped and last != 1:
                break
    except KeyboardInterrupt:
        if letters is None:
            raise
        stopped = "interrupt"
    stopped = None if last == 1 else stopped
    return Swept(walk.nodes, letters, Events.joined(found), undecided, parts, last, stopped)


def _between(node: int, before: np.ndarray, after: np.ndarray) -> Events:
    """Return the flips at the node where two parts meet."""
    unit = np.flatnonzero(before != after)
    return Events(np.full(len(unit), node), unit, before[unit].astype(np.intp), after[unit].astype(np.intp))


class _Sweep:
    """The stack of parts, and how one goes on."""

    def __init__(
        self, net: Network, line: AffineMap, reach: tuple[float, float], memory: int, device: Device | None
    ) -> None:
        self.nodes = Nodes(*reach)
        self._net, self._memory, self._device = net, memory, device
        self._exact = ExactLine(net, line) if net.exact().is_feasible else None
        self._sizes = _bytes_per_piece(net)
        least = LEAST_PIECES * max(self._sizes, default=0)
        if least > memory:
            raise InputError(
                f"Two neighboring pieces of this line need {least} bytes, the memory cap is {memory}. Give a "
                "larger memory=, or a smaller part of the network (start=/stop= of from_torch)."
            )
        self._copies = copies(net, line)
        shape = net.input_shape
        lines = np.stack([line.offset, line.matrix[:, 0]]).reshape(2, 1, *shape)
        self._start = LineState(np.arange(2), lines, np.zeros((2, *shape))).known(self._copies[0])

    def parts(self) -> Iterator[Doubts]:
        """Yield the record of every part that has reached the end, from left to right."""
        letters = np.zeros(self._net.n_units, dtype=self._net.letter_dtype)
        stack = [_Part(0, {0: self._start}, Doubts(self._net, self.nodes, self._exact, letters))]
        while stack:
            part = stack.pop()
            waiting = sum(state.nbytes for other in stack for state in other.states.values())
            room = max(self._memory - waiting, self._memory // LEAST_SHARE)
            rest = self._advance(part, room)
            if rest is not None:
                stack += [rest, part]
                continue
            yield part.doubts

    @np.errstate(over="ignore", invalid="ignore")  # `must_fit` raises where it matters
    def _advance(self, part: _Part, room: int) -> _Part | None:
        """Carry a part on to the end (None), or until it outgrows its room: then cut it, return the right half."""
        readers, net, doubts = self._net.last_readers, self._net, part.doubts
        while part.step < len(net.steps):
            step = net.steps[part.step]
            widest = max(s.n_pieces for s in part.states.values())
            if widest > LEAST_PIECES and widest * self._sizes[part.step] > room:
                return self._cut(part)
            states = [part.states[i] for i in step.inputs]
            k = part.step + 1
            if isinstance(step, Gate):
                passed = pass_gate(step, states[0], self.nodes, doubts)
                doubts.letters[step.columns] = passed.letters
                doubts.events.append(passed.events)
                part.states[k] = passed.state
            else:
                states = [s.renamed(self.nodes) for s in states]
                part.states[k] = pushed(step, states, self.nodes, doubts.in_order, self._device)
            part.states[k] = part.states[k].known(self._copies[k])
            for i in {*step.inputs, k}:
                if readers.get(i, 0) <= k:
                    del part.states[i]
            part.step = k
        return None

    def _cut(self, part: _Part) -> _Part:
        """Cut a part in two at a float in the middle of its pieces; return the right half."""
        node = self._gap(part)
        left, right = {}, {}
        for i, state in part.states.items():
            state = state.renamed(self.nodes)
            at = int(np.searchsorted(self.nodes.t[state.cuts], self.nodes.t[node]))
            cuts = state.cuts
            left[i] = replace(state.between(0, at), cuts=np.append(cuts[:at], node))
            right[i] = replace(state.between(at - 1, state.n_pieces), cuts=np.append(node, cuts[at:]))
        rest = _Part(part.step, right, part.doubts.cut(node))
        part.states = left
        return rest

    def _gap(self, part: _Part) -> int:
        """Add a node at a float that no node's interval holds, near the middle of the finest state's pieces.

        Not in the first or the last piece: the other half would be as long as the whole.
        """
        cuts = np.unique(np.concatenate([self.nodes.named(s.cuts) for s in part.states.values()]))
        low, high = np.sort(self.nodes.low[cuts]), np.sort(self.nodes.high[cuts])
        middles = 0.5 * (high[:-1] + low[1:])
        free = np.flatnonzero((middles > high[:-1]) & (middles < low[1:]))
        free = free[(free > 0) & (free < len(middles) - 1)]
        if not len(free):
            raise InputError(
                "The pieces of this line are too short to be told apart by floats, and do not fit into the memory "
                "cap together. Give a larger memory=, or a shorter line."
            )
        best = free[np.argmin(np.abs(free - len(middles) // 2))]
        return self.nodes.add_exact(rational(float(middles[best])))

    def sorted_events(self, doubts: Doubts) -> Events:
        """Return all flips of a part from left to right, equal places joined."""
        events = Events.joined(doubts.events)
        events = replace(events, node=self.nodes.named(events.node))
        order = doubts.in_order(events.node)
        events, _ = replace(events, node=self.nodes.named(events.node)).netted()
        rank = np.empty(int(order.max(initial=0)) + 1, dtype=np.intp)
        rank[order] = np.arange(len(order))
        return events[np.argsort(rank[events.node], kind="stable")] if len(events) else events


def _bytes_per_piece(net: Graph) -> list[int]:
    """Return for every step the bytes per piece that its inputs, its output and the values waiting take."""
    readers, sizes = net.last_readers, []
    size = [net.dim_in, *(s.size for s in net.steps)]
    for k, step in enumerate(net.steps, start=1):
        waiting = sum(16 * size[i] for i in range(k) if readers.get(i, 0) > k and i not in step.inputs)
        windows = 0 if not isinstance(step, Gate) else step.size
        sizes.append(waiting + windows + 8 * COPIES * (size[k] + sum(size[i] for i in step.inputs)))
    return sizes
