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
from polygeom.lines.devices import Device
from polygeom.lines.nodes import Nodes
from polygeom.rounding import U, gamma, round_up, underflow
from polygeom.steps import Dense, LinearStep, Step

__all__ = ["Flips", "LineState", "must_fit", "pushed"]

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
    lines : (2, B, *shape) array
        Value at t = 0 and rate of the affine function of each piece (of the first children, with `flips`).
    errors : (2, *shape) array
        Bounds on their errors, for all pieces.
    clipped : (size,) bool array or None
        Which entries are straight from units that are 0 or positive, and 0 wherever value and rate are both 0
        (`polygeom.kernels.line_events`); None: none.
    source : (B, size) or (1, size) integer array or None
        Entries with equal numbers are one function, on each piece or on all.
    flips : Flips or None
        The other children.
    """

    cuts: np.ndarray
    lines: np.ndarray
    errors: np.ndarray
    clipped: np.ndarray | None = None
    source: np.ndarray | None = None
    flips: Flips | None = None

    @property
    def n_pieces(self) -> int:
        """Number of pieces, children counted."""
        return len(self.cuts) - 1

    @property
    def nbytes(self) -> int:
        """Bytes of the lines and their bounds."""
        return self.lines.nbytes + self.errors.nbytes

    def spelled_out(self) -> LineState:
        """Return the state with one row per piece."""
        if self.flips is None:
            return self
        from polygeom.kernels.line_events import apply_flips

        flips, shape = self.flips, self.lines.shape[2:]
        lines = np.empty((2, self.n_pieces, int(np.prod(shape))))
        for row, own, after in zip(lines, self.lines, flips.after, strict=True):
            apply_flips(own.reshape(len(own), -1), flips.children, flips.starts, flips.units, after, row)
        return replace(self, lines=lines.reshape(2, -1, *shape), flips=None)

    def taken(self, cuts: np.ndarray, pieces: np.ndarray) -> LineState:
        """Return the state with other cuts, whose pieces lie in these pieces of this one."""
        state = self.spelled_out()
        on_all = state.source is None or len(state.source) == 1
        source = state.source if on_all else state.source[pieces]
        return replace(state, cuts=cuts, lines=state.lines[:, pieces], source=source)

    def between(self, first: int, last: int) -> LineState:
        """Return pieces first to last - 1, children left as flips: only the row they begin with is spelled out."""
        cuts, on_all = self.cuts[first : last + 1], self.source is None or len(self.source) == 1
        source = self.source if on_all else self.source[first:last].copy()
        if self.flips is None:
            return replace(self, cuts=cuts, lines=self.lines[:, first:last].copy(), source=source)
        flips = self.flips
        parents = np.searchsorted(flips.children, [first, last - 1], side="right") - 1
        lines = self.lines[:, parents[0] : parents[1] + 1].copy()
        passed = slice(flips.starts[flips.children[parents[0]] + 1], flips.starts[first + 1])
        rows = lines.reshape(2, lines.shape[1], -1)
        for row, after in zip(rows, flips.after, strict=True):  # in order: the last flip of a unit stays
            row[0, flips.units[passed]] = after[passed]
        begin, end = flips.starts[[first + 1, last]]
        kept = Flips(
            np.clip(flips.children[parents[0] : parents[1] + 2], first, last) - first,
            np.append(0, flips.starts[first + 1 : last + 1] - begin),
            flips.units[begin:end],
            flips.before[:, begin:end],
            flips.after[:, begin:end],
        )
        return replace(self, cuts=cuts, lines=lines, source=source, flips=kept)

    def known(self, copies: np.ndarray | None) -> LineState:
        """Return the state with copies known on the whole line (`polygeom.lines.copies`), if it has no others."""
        if copies is None or self.source is not None:
            return self
        return replace(self, source=copies[None])

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


def pushed(
    step: LinearStep, states: list[LineState], nodes: Nodes, order: Order, device: Device | None = None
) -> LineState:
    """Carry states through a linear step, on a torch device if one is given.

    Several states are refined to one partition first.
    """
    if isinstance(step, Dense) and states[0].flips is not None and states[0].lines.ndim == 3:
        return _pushed_with_flips(step, states[0], device)
    if len(states) > 1:
        cuts = order(np.concatenate([s.cuts for s in states]))
        states = [s.refined(cuts, nodes) for s in states]
    states = [s.spelled_out() for s in states]
    if not step.moves_only:
        parts = [(s.lines, _largest(s.lines), s.errors) for s in states]
        lines, errors = _mapped(step, parts, step.terms, device)
        return LineState(states[0].cuts, lines, errors)
    lines = step.linear(*(s.lines.reshape(-1, *s.lines.shape[2:]) for s in states)).reshape(
        2, -1, *step.shape
    )
    errors = step.linear(*(s.errors for s in states))
    if step.constant is not None:
        lines[0] += step.constant
        errors[0] = round_up(errors[0], 1) + U * _largest(lines)[0]
        must_fit(errors, U, step)
        return LineState(states[0].cuts, lines, errors)
    source = states[0].source if len(states) == 1 else None
    if source is not None:  # 0 is what padding moves in
        moved = step.linear(source.reshape(-1, *step.shapes[0]) + 1.0)
        source = moved.reshape(len(moved), -1).astype(np.int64)
    clipped = None
    if all(s.clipped is not None for s in states):  # so is padding
        clipped = step.linear(*(1.0 - s.clipped.reshape(1, *s.lines.shape[2:]) for s in states)).ravel() == 0
    return LineState(states[0].cuts, lines, errors, clipped, source)


def _pushed_with_flips(step: Dense, state: LineState, device: Device | None) -> LineState:
    r"""Carry a state with flips through a dense step: one product per piece before the gate.

    A child is :math:`\hat z_b + \sum_f \Delta_f W_f` over the at most m flips up to it. Each term carries two
    roundings, each sum one, on top of the n of the product, so with :math:`D_u` the sum of the changes of entry u
    in one piece all are within :math:`|W| e + \gamma_{n + m + 3} (|W| (|h| + D) + |c|)` of the exact ones.
    """
    from polygeom.kernels.line_events import spread_flips

    flips = state.flips
    change = flips.after - flips.before
    most = int(np.diff(flips.starts[flips.children]).max(initial=0)) + 3
    moved = _most_changed(flips, np.abs(change), state.lines.shape[2])
    size = np.asarray(round_up(_largest(state.lines) + moved, most))
    (value, rate), errors = _mapped(step, [(state.lines, size, state.errors)], step.terms + most, device)
    lines = np.empty((2, state.n_pieces, step.shape[0]))
    columns = np.ascontiguousarray(step.weight.take(flips.units, axis=1).T)
    spread_flips(value, rate, flips.children, flips.starts, *change, columns, *lines)
    return LineState(state.cuts, lines, errors)


def _mapped(
    step: LinearStep,
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
    terms: int,
    device: Device | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lines (2, B, *shape) that a step makes, and bounds (2, *shape) on their errors.

    `parts` holds lines, their largest absolute values and their errors. As in `polygeom.enclosures`, with the
    largest absolute value of every entry in all pieces for the value. A result to which only zeros contribute is
    exact; any other may lose products to underflow in some piece.
    """
    g = gamma(2 * terms + 8)
    lines = [line for line, _, _ in parts]
    reach = [
        np.concatenate([error + g * size, ((error > 0) | (size > 0)).any(axis=0)[None]])
        for _, size, error in parts
    ]
    if isinstance(step, Dense) and lines[0].shape[:2] == (2, 1) and lines[0].ndim == 3:
        image, sums = _one_line(step, lines[0][:, 0], reach[0])
    else:
        rows = [a.reshape(-1, *a.shape[2:]) for a in lines]
        image = (_product(step, rows) if device is None else device.linear(step, rows)).reshape(
            2, -1, *step.shape
        )
        sums = step.magnitude.linear(*reach)
    if step.constant is not None:
        image[0] += step.constant
        sums[0] += g * step.magnitude.constant
    bounds = np.where(sums[2] > 0, round_up(sums[:2], terms + 4) + underflow(terms), 0.0)
    must_fit(bounds, g, step)
    return image, bounds


def must_fit(bounds: np.ndarray, share: float, step: Step) -> None:
    """Raise where values, of which the bounds on their errors hold this share, may overflow.

    Raises
    ------
    InputError
    """
    with np.errstate(over="ignore"):
        fits = np.isfinite(bounds / share).all()
    if not fits:
        where = f" of module '{step.path}'" if step.path else ""
        raise InputError(
            f"On this line a value{where} overflows float64: the true value, or a sum on the way to it, is beyond "
            "1.8e308. Give points of smaller size, or a shorter line."
        )


def _one_line(step: Dense, line: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the image of one line (2, 1, out) and the sums of its bounds (3, out)."""
    from polygeom.kernels.line_products import dense_line

    image, sums = np.empty((2, step.shape[0])), np.empty((3, step.shape[0]))
    dense_line(step.weight, line, sizes, image, sums)
    return image[:, None], sums


def _product(step: LinearStep, rows: list[np.ndarray]) -> np.ndarray:
    """Return the images of rows; entries of a dense step that are 0 in all rows are left out."""
    if not isinstance(step, Dense) or len(rows[0]) < SPARSE_ROWS or rows[0].ndim != 2:
        return step.linear(*rows)
    live = np.flatnonzero(rows[0].any(axis=0))
    if len(live) > SPARSE_SHARE * rows[0].shape[1]:
        return step.linear(*rows)
    return rows[0].take(live, axis=1) @ step.weight.take(live, axis=1).T


SPARSE_ROWS, SPARSE_SHARE = 16, 0.9
"""From how many rows on, and up to which share of live entries, a copy of the live columns pays."""


def _most_changed(flips: Flips, change: np.ndarray, width: int) -> np.ndarray:
    """Return for value and rate of every entry (2, width) the most that its flips in one piece add up to."""
    piece = np.repeat(flips.piece_of_child, np.diff(flips.starts))
    distinct, number = np.unique(piece * width + flips.units, return_inverse=True)
    most = np.zeros((2, width))
    for row, changed in zip(most, change, strict=True):
        np.maximum.at(row, distinct % width, np.bincount(number, weights=changed, minlength=len(distinct)))
    return most


def _largest(lines: np.ndarray) -> np.ndarray:
    """Return the largest absolute value and rate of every entry, (2, *shape)."""
    if lines.shape[1] == 1:
        return np.abs(lines[:, 0])
    return np.maximum(lines.max(axis=1), -lines.min(axis=1))
