"""What floats cannot tell on a line: rationals decide, and where they are out of reach, bands remain.

A sign at a node that is 0 for floats is 0 within rounding errors. In rationals the node's place and the unit's
line are computed for the letters of the piece, and everything follows. Without rationals

- a unit that is certain at one node of a piece takes its letter from there, and the other node becomes a band
  that reaches to where the unit could flip;
- a piece on which a unit is certain nowhere, although its line is no constant, is shorter than what floats
  resolve: its two nodes become one band;
- a unit that stays within its rounding errors all along a piece may as well be at its breakpoint: the error bounds
  grow by its line, and it is reported as not decided there.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np

from polygeom.gates import Gate
from polygeom.lines.events import Events, Located
from polygeom.lines.exact_lines import ExactLine
from polygeom.lines.nodes import Nodes, place_around
from polygeom.lines.states import LineState
from polygeom.network import Network

if TYPE_CHECKING:
    import flint

__all__ = ["Doubts"]


class Doubts:
    """Settles doubts on one part of a line.

    Attributes
    ----------
    first, last : int
        The nodes between which the part lies.
    letters : (n_units,) array
        Letters where the part begins, of the gates passed so far.
    events : list of Events
        Flips inside the part so far, of one gate after another, each from left to right.
    undecided : list of (float, float, int)
        Intervals of t in which a unit's letter is not decided.
    """

    def __init__(self, net: Network, nodes: Nodes, exact: ExactLine | None, letters: np.ndarray) -> None:
        self.letters, self.events = letters, list[Events]()
        self.first, self.last = 0, 1
        self.undecided: list[tuple[float, float, int]] = []
        self._net, self._nodes, self._exact = net, nodes, exact
        self._firsts: list[int] = []
        self._definitions: list[tuple[Gate, np.ndarray]] = []
        self._gate: Gate | None = None

    def cut(self, node: int) -> Doubts:
        """Keep what lies left of a node, and return the record of the part that begins there."""
        rest = Doubts(self._net, self._nodes, self._exact, self.code(node))
        rest.first, rest.last, self.last = node, self.last, node
        rest._firsts, rest._definitions = list(self._firsts), list(self._definitions)
        passed = self._nodes.precedes(node)
        left = [passed[self._nodes.named(events.node)] for events in self.events]
        rest.events = [events[~kept] for events, kept in zip(self.events, left, strict=True)]
        self.events = [events[kept] for events, kept in zip(self.events, left, strict=True)]
        return rest

    def in_order(self, nodes: np.ndarray) -> np.ndarray:
        """Return the distinct nodes among some of this part from left to right (`Nodes.in_order`)."""
        return self._nodes.in_order(nodes, self.find)

    # -- exact places ----------------------------------------------------------------------------------------

    def define(self, node: np.ndarray, inside: np.ndarray) -> None:
        """Remember what defines new nodes: flips (piece, unit, before, after) of the current gate."""
        if len(node):
            self._firsts.append(int(node[0]))
            self._definitions.append((self._gate, inside))

    def find(self, node: int) -> flint.fmpq | None:
        """Return the exact place of a node of this part; None if rationals are out of reach."""
        if self._exact is None or node in self._nodes.exact:
            return self._nodes.exact.get(node)
        i = bisect_right(self._firsts, node) - 1
        gate, inside = self._definitions[i]
        _, unit, before, after = inside[node - self._firsts[i]].tolist()
        return self._exact.place(self._code(self._nodes.precedes(node)), gate, unit, before, after)

    def place(self, node: int) -> flint.fmpq:
        """Return the exact place of a node, kept."""
        node = int(self._nodes.named(np.array([node]))[0])
        if node not in self._nodes.exact:
            self._nodes.fix(node, self.find(node))
        return self._nodes.exact[node]

    def code(self, node: int) -> np.ndarray:
        """Return the letters (n_units,) on the piece that begins at a node, of the gates passed so far."""
        passed = self._nodes.precedes(node)
        passed[node] = True
        return self._code(passed)

    def _code(self, passed: np.ndarray) -> np.ndarray:
        """Return the letters behind all nodes that are passed."""
        letters = self.letters.copy()
        for events in self.events:
            kept = passed[self._nodes.named(events.node)]
            letters[events.unit[kept]] = events.after[
                kept
            ]  # from left to right: the last flip of a unit stays
        return letters

    # -- doubts of one gate ----------------------------------------------------------------------------------

    def settled(self, gate: Gate, state: LineState, located: Located) -> Located | None:
        """Return what was found at a gate with all doubts settled; None if nodes have moved on the way."""
        self._gate = gate
        if not len(located.doubts):
            return located
        if self._exact is not None:
            return self._exactly(gate, state, located)
        return self._without_rationals(gate, state, located)

    def _exactly(self, gate: Gate, state: LineState, located: Located) -> Located:
        """Settle all doubts in rationals."""
        letters, owners, exact = located.letters, [], []
        for k in np.unique(located.doubts[:, 0]).tolist():
            begin, end = (self.place(state.cuts[k + i]) for i in range(2))
            code = self.code(int(self._nodes.named(state.cuts[k : k + 1])[0]))
            for unit in located.doubts[located.doubts[:, 0] == k, 1].tolist():
                letters[k, unit], roots = self._exact.follow(code, gate, unit, begin, end)
                owners += [(k, unit, before, after) for _, before, after in roots]
                exact += [t for t, _, _ in roots]
        roots = np.array([place_around(t) for t in exact]).reshape(-1, 3)
        more = np.array(owners, dtype=np.intp).reshape(-1, 4)
        return Located(
            letters,
            np.concatenate([located.roots, roots]),
            np.concatenate([located.owners, more]),
            located.doubts[:0],
            tuple(exact),
        )

    def _without_rationals(self, gate: Gate, state: LineState, located: Located) -> Located | None:
        """Settle doubts by bands and wider bounds; None if a node has moved."""
        from polygeom.lines.bands import Fallback

        fallback = Fallback(gate, state, located, self._nodes)
        for k, unit in located.doubts.tolist():
            fallback.take(k, unit)
        if fallback.moved:
            return None
        self.undecided += fallback.undecided
        return fallback.located()
