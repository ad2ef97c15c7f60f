r"""What a value of the graph is along a part of a line, one affine function of t per piece; how steps carry it.

On piece k, between two nodes, the value is :math:`p_k + t g_k`. Both are pushed through the network by the piece's
own letters, so no error of a node's place ever enters them: only rounding does, and one bound serves all pieces of
a part (`spread` for p, `drift` for g), so that the bounds cost one product per step and not one per piece.

Flips are kept aside until a step needs them. Behind a gate the pieces that one piece was split into differ in
single entries, so a dense step multiplies only the first of them and adds columns of its weight for the others:
all pieces cost one product per piece *of the gate before*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from polygeom.errors import InputError
from polygeom.lines.nodes import Nodes
from polygeom.rounding import U, gamma, round_up, underflow
from polygeom.steps import Dense, LinearStep

__all__ = ["Flips", "LineState", "pushed"]

Order = Callable[[np.ndarray], np.ndarray]
"""Puts nodes in order (`Nodes.in_order`)."""


@dataclass(frozen=True, eq=False)
class Flips:
    """How the children of pieces differ from the pieces they were split off.

    Attributes
    ----------
    children : (B + 1,) array
        First child of each piece: itself, cut short.
    starts : (K + 1,) array
        First flip of each child.
    units : (F,) array
        Entry that changes.
    before, after : (2, F) arrays
        Its value and rate before and after the flip.
    """

    children: np.ndarray
    starts: np.ndarray
    units: np.ndarray
    before: np.ndarray
    after: np.ndarray

    @cached_property
    def piece_of_child(self) -> np.ndarray:
        """The piece each child was split off."""
        return np.repeat(np.arange(len(self.children) - 1), np.diff(self.children))


@dataclass(frozen=True, eq=False)
class LineState:
    """A value of the graph along a part of a line.

    Attributes
    ----------
    cuts : (K + 1,) integer array
        Nodes between which the pieces lie.
    value, rate : (B, *shape) arrays
        Value at t = 0 and derivative of the affine function of each piece (of the first children, with `flips`).
    spread, drift : (*shape) arrays
        Bounds on the errors of value and rate, for all pieces.
    clipped : bool
        Whether entries are straight from units that are 0 or positive (`polygeom.kernels.line_events`).
    source : (B, size) integer array or None
        Entries with equal numbers are copies of one entry.
    flips : Flips or None
        The other children.
    """

    cuts: np.ndarray
    value: np.ndarray
    rate: np.ndarray
    spread: np.ndarray
    drift: np.ndarray
    clipped: bool = False
    source: np.ndarray | None = None
    flips: Flips | None = None

    @property
    def n_pieces(self) -> int:
        """Number of pieces, children counted."""
        return len(self.cuts) - 1

    def spelled_out(self) -> LineState:
        """Return the state with one row per piece."""
        if self.flips is None:
            return self
        from polygeom.kernels.line_events import apply_flips

        flips, shape = self.flips, self.value.shape[1:]
        rows = [np.empty((self.n_pieces, self.value[0].size)) for _ in range(2)]
        for row, own, after in zip(rows, (self.value, self.rate), flips.after, strict=True):
            apply_flips(own.reshape(len(own), -1), flips.children, flips.starts, flips.units, after, row)
        value, rate = (row.reshape(-1, *shape) for row in rows)
        return replace(self, value=value, rate=rate, flips=None)

    def taken(self, cuts: np.ndarray, pieces: np.ndarray) -> LineState:
        """Return the state with other cuts, whose pieces lie in these pieces of this one."""
        state = self.spelled_out()
        source = None if state.source is None else state.source[pieces]
        return replace(state, cuts=cuts, value=state.value[pieces], rate=state.rate[pieces], source=source)

    def refined(self, cuts: np.ndarray, nodes: Nodes) -> LineState:
        """Return the state with the cuts of a finer partition of the same part, given in order."""
        own = nodes.named(self.cuts)
        if np.array_equal(own, cuts):
            return replace(self, cuts=own)
        place = np.empty(int(max(cuts.max(), own.max())) + 1, dtype=np.intp)
        place[cuts] = np.arange(len(cuts))
        return self.taken(cuts, np.searchsorted(place[own], np.arange(len(cuts) - 1), side="right") - 1)

    def renamed(self, nodes: Nodes) -> LineState:
        """Return the state without the pieces that vanished when their nodes became one."""
        own = nodes.named(self.cuts)
        if np.array_equal(own, self.cuts):
            return self
        kept = np.flatnonzero(own[1:] != own[:-1])
        if len(kept) == self.n_pieces:
            return replace(self, cuts=own)
        return self.taken(np.append(own[kept], own[-1]), kept)


def pushed(step: LinearStep, states: list[LineState], nodes: Nodes, order: Order) -> LineState:
    """Carry states through a linear step; several are refined to one partition first."""
    if isinstance(step, Dense) and states[0].flips is not None and states[0].value.ndim == 2:
        return _pushed_with_flips(step, states[0])
    if len(states) > 1:
        cuts = order(np.concatenate([s.cuts for s in states]))
        states = [s.refined(cuts, nodes) for s in states]
    states = [s.spelled_out() for s in states]
    value = step.forward(*(s.value for s in states))
    rate = step.linear(*(s.rate for s in states))
    if step.moves_only:
        spread, drift = (
            step.linear(*(e[None] for e in errors))[0]
            for errors in ([s.spread for s in states], [s.drift for s in states])
        )
        if step.constant is None:
            clipped = all(s.clipped for s in states)
            source = states[0].source if len(states) == 1 else None
            moved = None if source is None else step.linear(source.reshape(-1, *step.shapes[0]) + 1.0)
            source = None if moved is None else moved.reshape(len(moved), -1).astype(np.int64)
            return LineState(states[0].cuts, value, rate, spread, drift, clipped, source)
        spread = round_up(spread, 1) + U * _largest(value)
        return LineState(states[0].cuts, value, rate, spread, drift)
    spread = _rounding(step, [(_largest(s.value), s.spread) for s in states], constant=True)
    drift = _rounding(step, [(_largest(s.rate), s.drift) for s in states], constant=False)
    return LineState(states[0].cuts, value, rate, *_finite(step, spread, drift))


def _pushed_with_flips(step: Dense, state: LineState) -> LineState:
    r"""Carry a state with flips through a dense step: one product per piece before the gate.

    A child is :math:`\hat z_b + \sum_f \Delta_f W_f` over the at most m flips up to it. Each term carries two
    roundings, each sum one, on top of the n of the product, so with :math:`D_u` the sum of the changes of entry u
    in one piece all are within :math:`|W| e + \gamma_{n + m + 3} (|W| (|h| + D) + |c|)` of the exact ones.
    """
    from polygeom.kernels.line_events import spread_flips

    flips = state.flips
    value, rate = _product(step, state.value), _product(step, state.rate)
    if step.constant is not None:
        value += step.constant
    columns = np.ascontiguousarray(step.weight[:, flips.units].T)
    change = flips.after - flips.before
    rows = [np.empty((state.n_pieces, step.shape[0])) for _ in range(2)]
    spread_flips(value, rate, flips.children, flips.starts, *change, columns, *rows)
    most = int(np.diff(flips.starts[flips.children]).max(initial=0)) + 3
    errors = []
    for own, moved, error, constant in (
        (state.value, change[0], state.spread, True),
        (state.rate, change[1], state.drift, False),
    ):
        size = _largest(own) + _most_changed(flips, np.abs(moved), own.shape[1])
        errors.append(
            _rounding(step, [(round_up(size, most), error)], constant=constant, terms=step.terms + most)
        )
    return LineState(state.cuts, *rows, *_finite(step, *errors))


def _product(step: Dense, rows: np.ndarray) -> np.ndarray:
    """Return rows times the weight; entries that are 0 in all of them are left out."""
    live = np.flatnonzero(rows.any(axis=0))
    if len(rows) < SPARSE_ROWS or len(live) > SPARSE_SHARE * rows.shape[1]:
        return rows @ step.weight.T
    return rows[:, live] @ step.weight[:, live].T


SPARSE_ROWS, SPARSE_SHARE = 16, 0.9
"""From how many rows on, and up to which share of live entries, a copy of the live columns pays."""


def _most_changed(flips: Flips, change: np.ndarray, size: int) -> np.ndarray:
    """Return for every entry the most that its flips in one piece add up to."""
    piece = np.repeat(flips.piece_of_child, np.diff(flips.starts))
    key = piece * size + flips.units
    distinct, number = np.unique(key, return_inverse=True)
    totals = np.bincount(number, weights=change, minlength=len(distinct))
    most = np.zeros(size)
    np.maximum.at(most, distinct % size, totals)
    return most


def _largest(rows: np.ndarray) -> np.ndarray:
    """Return the largest absolute value of every entry."""
    return np.maximum(rows.max(axis=0), -rows.min(axis=0))


def _rounding(
    step: LinearStep, parts: list[tuple[np.ndarray, np.ndarray]], *, constant: bool, terms: int | None = None
) -> np.ndarray:
    """Return the error bound of a step's results, for all pieces, from the largest inputs and their errors.

    As in `polygeom.enclosures`, with the largest absolute value of every entry for the value. A result to which
    only zeros contribute is exact; any other may lose products to underflow in some piece.
    """
    terms = step.terms if terms is None else terms
    g = gamma(2 * terms + 8)
    reach = step.magnitude.linear(
        *(np.stack([error + g * size, (error > 0) | (size > 0)]) for size, error in parts)
    )
    sums = reach[0]
    if constant and step.constant is not None:
        sums = sums + g * np.abs(step.constant)
    return np.where(reach[1] > 0, round_up(sums, terms + 4) + underflow(terms), 0.0)


def _finite(step: LinearStep, *errors: np.ndarray) -> tuple[np.ndarray, ...]:
    if not all(np.isfinite(e).all() for e in errors):
        where = f" of module '{step.path}'" if step.path else ""
        raise InputError(
            f"On this line a value{where} overflows float64: the true value, or a sum on the way to it, is beyond "
            "1.8e308. Give points of smaller size, or a shorter line."
        )
    return errors
