r"""Values of twice the precision: what float64 leaves open, decided without rationals.

A state is a batch of unevaluated sums ``value + rest`` (value the float nearest to the sum) with bounds on their
distance from the exact values, as in `polygeom.enclosures`.

Linear steps
------------
Inputs, scaled by a power of two per point, and weights, per row, are at most 1 and cut into slices of q and p bits
whose products are exact (`polygeom.slices`). The products of slices i and j (from 0) with
:math:`ip + jq < T` are summed: for each i the first :math:`m_i` slices of the inputs, which leaves out at most
:math:`2^{-m_i q} |L_i|_1` (row sums of absolute values of slice i), and :math:`K 2^{-Ip}` for K weights beyond the
last of I slices. Scaling down may flush subnormals, which costs less than a further :math:`u^2 |L|_1`. Adding a
float to a doubled number errs by at most :math:`2 u^2` of the sum (`added`), and no partial sum exceeds
:math:`2 \sum_i |L_i|_1`. For rows scaled by :math:`2^s`, points scaled by :math:`2^t` and m products, the error
is at most

.. math:: |L| e + 2^{s + t} \Big(\sum_i (2^{-m_i q} + 4 (m + 1) u^2) |L_i|_1 + K 2^{-Ip}\Big).

Where all inputs of an output are exact zeros, it is the constant, exactly.

Source: K. Ozaki, T. Ogita, S. Oishi, S. M. Rump 2012, Error-free transformations of matrix multiplication by using
fast routines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np

from polygeom.enclosures import OVERFLOW_IS_UNKNOWN, Enclosed, moved_sources, read_letters
from polygeom.error_free import added, divided, doubled_difference, scaled
from polygeom.errors import InputError
from polygeom.gates import Elementwise, Gate, MaxGate
from polygeom.network import Network
from polygeom.rounding import TINY, U, round_up, smallest_nonzero, underflow
from polygeom.slices import Summing, input_slices, weight_slices
from polygeom.steps import Average, LinearStep, Scale, Sum

__all__ = [
    "BITS",
    "Doubled",
    "DoubledPass",
    "double_directions",
    "double_linear",
    "double_pass",
    "pass_doubled_gate",
    "read_doubled_letters",
]

BITS = 96
"""Bits behind the largest product of a step down to which products are summed."""


@dataclass(frozen=True, eq=False)
class Doubled:
    """Unevaluated sums value + rest, (N, *shape), with error bounds.

    Attributes
    ----------
    value, rest : (N, *shape) arrays
        ``value`` is the float nearest to ``value + rest``.
    error : (N, *shape) array
        The exact value is at most this far from ``value + rest``; 0 where that is exact.
    source : (N, size) integer array or None
        Entries with equal numbers are the same function on the whole cell (`Enclosed`).
    """

    value: np.ndarray
    rest: np.ndarray
    error: np.ndarray
    source: np.ndarray | None = None

    @classmethod
    def of(cls, value: np.ndarray, error: np.ndarray | None = None) -> Doubled:
        """Return floats as doubled numbers, exact unless an error is given."""
        return cls(value, np.zeros_like(value), np.zeros_like(value) if error is None else error)

    @cached_property
    def enclosed(self) -> Enclosed:
        """The nearest floats with bounds on their distance from the exact values."""
        distance = self.error + np.abs(self.rest)
        return Enclosed(self.value, np.where(distance > 0, round_up(distance, 1), 0.0), None, self.source)

    @cached_property
    def smallest(self) -> tuple[float, float]:
        """Smallest non-zero absolute value and error: tells whether a product can underflow."""
        return smallest_nonzero(self.value), smallest_nonzero(self.error)


@dataclass(frozen=True, eq=False)
class DoubledPass:
    """What one doubled forward pass saw: as `EnclosedPass`."""

    output: Doubled
    letters: np.ndarray
    undecided: np.ndarray
    inputs: tuple[Doubled, ...]


@OVERFLOW_IS_UNKNOWN
def double_pass(
    net: Network,
    X: np.ndarray,
    *,
    error: np.ndarray | None = None,
    letters: np.ndarray | None = None,
    keep: bool = False,
    bits: int = BITS,
) -> DoubledPass:
    """Carry flat points (N, dim_in) through the network in doubled precision, with running error bounds.

    Parameters
    ----------
    error, letters, keep
        As for `enclose_pass`.
    bits : int
        Precision of each step (module docstring). Cost for float32 weights: about 7 forward passes for 60 bits,
        13 for 96.

    Examples
    --------
    >>> net = Network.from_layers([([[0.1, -0.1]], [0]), ([[1]], [0])])
    >>> double_pass(net, np.array([[3.0, 3.0]])).output.value
    array([[0.]])
    """
    n = len(X)
    points = X.reshape(n, *net.input_shape)
    start = Doubled.of(points, None if error is None else error.reshape(points.shape))
    read = np.zeros((n, net.n_units), dtype=net.letter_dtype)
    undecided = np.zeros((n, net.n_units), dtype=bool)
    inputs: list[Doubled] = []

    def gate(step: Gate, state: Doubled) -> Doubled:
        if keep:
            inputs.append(state)
        if letters is None:
            chosen, open_ = read_doubled_letters(step, state)
            undecided[:, step.columns] = open_.reshape(n, -1)
        else:
            imposed = np.broadcast_to(letters, (n, net.n_units))[:, step.columns]
            chosen, open_ = imposed.reshape(n, *step.shape), None
        read[:, step.columns] = chosen.reshape(n, -1)
        return pass_doubled_gate(step, state, chosen, open_)

    output = net.fold(start, lambda step, *states: double_linear(step, *states, bits=bits), gate)
    return DoubledPass(output, read, undecided, tuple(inputs))


@OVERFLOW_IS_UNKNOWN
def double_directions(
    net: Network,
    letters: np.ndarray,
    directions: np.ndarray,
    error: np.ndarray | None = None,
    bits: int = BITS,
) -> tuple[Doubled, tuple[Doubled, ...]]:
    """Carry directions (k, dim_in) through the linear part of one piece: as `enclose_directions`.

    Examples
    --------
    >>> net = Network.from_layers([([[0.1, -0.1]], [0]), ([[1]], [0])])
    >>> slope, _ = double_directions(net, np.array([1]), np.array([[3.0, 1.0]]))
    >>> slope.value
    array([[0.2]])
    """
    arrivals: list[Doubled] = []

    def linear(step: LinearStep, *states: Doubled) -> Doubled:
        return double_linear(step, *states, bits=bits, homogeneous=True)

    def gate(step: Gate, state: Doubled) -> Doubled:
        arrivals.append(state)
        chosen = np.broadcast_to(
            letters[step.columns].reshape(1, *step.shape), (len(state.value), *step.shape)
        )
        return pass_doubled_gate(step, state, chosen, None, homogeneous=True)

    shape = (len(directions), *net.input_shape)
    start = Doubled.of(directions.reshape(shape), None if error is None else error.reshape(shape))
    return net.fold(start, linear, gate), tuple(arrivals)


# -- linear steps ------------------------------------------------------------------------------------------------


def double_linear(step: LinearStep, *states: Doubled, bits: int = BITS, homogeneous: bool = False) -> Doubled:
    """Carry doubled values through a linear step (module docstring), without its constant if homogeneous."""
    source = None
    if step.moves_only:
        value, rest, error = (
            step.linear(*(getattr(s, part) for s in states)) for part in ("value", "rest", "error")
        )
        source = None if homogeneous else moved_sources(step, states)
    elif isinstance(step, Scale):
        value, rest, error = _scale(states[0], step.scale)
    elif isinstance(step, Sum):
        value, rest, error = _sum(step, states)
    elif isinstance(step, Summing):
        value, rest, error = _sliced(step, states[0], bits)
    else:
        raise InputError(f"Steps of kind {type(step).__name__} have no doubled products.")
    if step.constant is not None and not homogeneous:
        moved = (error > 0) | (value != 0)
        value, rest = added(value, rest, np.asarray(step.constant))
        error = np.where(moved, round_up(error + 4 * U * U * np.abs(value), 2), 0.0)
    return _unbounded_where_overflown(Doubled(value, rest, error, source))


def _scale(state: Doubled, factor: np.ndarray | float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a doubled multiple, entry by entry; nothing is rounded for factors 0, 1 and -1."""
    factor = np.broadcast_to(np.asarray(factor, dtype=np.float64), state.value.shape)
    steepness = np.abs(factor)
    value, rest, error = factor * state.value, factor * state.rest, steepness * state.error
    plain = (steepness == 0) | (steepness == 1)
    if plain.all():
        return value, rest, error
    fine, left = scaled(state.value, state.rest, factor)
    is_zero = (state.value == 0) & (state.error == 0)
    bound = round_up(error + 8 * U * U * np.abs(fine), 3) + underflow(4)
    return (
        np.where(plain, value, fine),
        np.where(plain, rest, left),
        np.where(plain, error, np.where(is_zero, 0.0, bound)),
    )


def _sum(step: Sum, states: tuple[Doubled, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a doubled linear combination, entry by entry."""
    value, rest, error = _scale(states[0], step.coefficients[0])
    for coefficient, state in zip(step.coefficients[1:], states[1:], strict=True):
        more, low, spread = _scale(state, coefficient)
        size = np.abs(value) + np.abs(more)
        exact = (error + spread == 0) & ((value == 0) | (more == 0))
        value, rest = added(value, rest, more)
        value, rest = added(value, rest, low)
        error = np.where(exact, 0.0, round_up(error + spread + 8 * U * U * size, 4))
    return value, rest, error


def _sliced(step: Summing, state: Doubled, bits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return L times doubled values by products of slices, each of which is exact (module docstring)."""
    sums = step.magnitude.linear(state.error + 2.0**-bits * np.abs(state.value))
    smallest = state.smallest
    lost = underflow(step.terms, step.smallest * min(smallest[1], 2.0**-bits * smallest[0]))
    weights = weight_slices(step)
    inputs, scale = input_slices(state.value, state.rest, weights.other, bits)
    shape = (len(state.value), *step.shape)
    value, rest, products, dropped = np.zeros(shape), np.zeros(shape), 0, weights.dropped
    for i, (weight, norm) in enumerate(zip(weights.parts, weights.norms, strict=True)):
        used = max(0, ceil((bits - i * weights.width) / weights.other))
        for part in inputs[:used]:
            value, rest = added(value, rest, weight.linear(part))
        products, dropped = products + used, dropped + norm * 2.0 ** (-used * weights.other)
    dropped = round_up(dropped + 4 * (products + 2) * U * U * sum(weights.norms), 2 * len(weights.norms) + 6)
    if isinstance(step, Average):
        value, rest = divided(value, rest, step.counts.reshape(step.shape[1:]))
    exponent = np.broadcast_to(weights.exponents + scale.reshape(-1, *(1,) * len(step.shape)), shape)
    error = round_up(sums + np.ldexp(dropped, exponent), step.terms + 6) + lost + underflow(4)
    rounded = ~(sums == 0) | (lost > 0)
    return np.ldexp(value, exponent), np.ldexp(rest, exponent), np.where(rounded, error, 0.0)


def _unbounded_where_overflown(state: Doubled) -> Doubled:
    """Return 0 with an infinite bound wherever something overflowed."""
    known = np.isfinite(state.value + state.rest + state.error)
    if known.all():
        return state
    value, rest = (np.where(known, part, 0.0) for part in (state.value, state.rest))
    return Doubled(value, rest, np.where(known, state.error, np.inf), state.source)


# -- gates -------------------------------------------------------------------------------------------------------


def read_doubled_letters(gate: Gate, state: Doubled) -> tuple[np.ndarray, np.ndarray]:
    """Return letters and which of them stay open: what the nearest floats leave open is read in full."""
    letters, open_ = read_letters(gate, state.enclosed)
    points, units = np.nonzero(open_.reshape(len(open_), -1))
    if not len(units):
        return letters, open_
    read = _read_windows if isinstance(gate, MaxGate) else _read_sides
    flat, flat_open = letters.reshape(len(letters), -1).copy(), open_.reshape(len(open_), -1).copy()
    flat[points, units], flat_open[points, units] = read(gate, state, points, units)
    return flat.reshape(letters.shape), flat_open.reshape(open_.shape)


def _read_sides(
    gate: Elementwise, state: Doubled, points: np.ndarray, units: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the letters of some pre-activations, and which of them stay open."""
    value, rest, error = (
        a.reshape(len(a), -1)[points, units] for a in (state.value, state.rest, state.error)
    )
    letters, open_ = np.zeros(len(units), dtype=gate.letter_dtype), np.zeros(len(units), dtype=bool)
    for levels in gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1):
        gap, lost = doubled_difference((value, rest), (levels[units], np.zeros(len(units))))
        letters += gap > 0
        open_ |= ~(np.abs(gap) > round_up(error + lost, 1)) & (error + lost > 0)
    return letters, open_


def _read_windows(
    gate: MaxGate, state: Doubled, points: np.ndarray, units: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the winners of some windows, and which of them stay open."""
    index = gate.index[units]
    valid = index >= 0
    at = points[:, None], np.maximum(index, 0)
    value, rest, error = (a.reshape(len(a), -1)[at] for a in (state.value, state.rest, state.error))
    high = np.where(valid, value, -np.inf)
    leading = high == high.max(axis=1, keepdims=True)
    winner = np.where(leading, rest, -np.inf).argmax(axis=1)[:, None]

    def won(window: np.ndarray) -> np.ndarray:
        return np.take_along_axis(window, winner, axis=1)

    gap, lost = doubled_difference((won(value), won(rest)), (value, rest))
    spread = error + won(error) + lost
    # exact ties of floats are told (the first wins); ties of rests stay open, for nothing else looks at them
    tied = (spread == 0) & ((gap > 0) | (rest == 0))
    certain = (gap > round_up(spread, 2)) | tied | ~valid | (np.arange(index.shape[1]) == winner)
    if state.source is not None:
        numbers = state.source[at]
        certain |= numbers == won(numbers)
    return winner[:, 0].astype(gate.letter_dtype), ~certain.all(axis=1)


def pass_doubled_gate(
    gate: Gate, state: Doubled, letters: np.ndarray, open_: np.ndarray | None, *, homogeneous: bool = False
) -> Doubled:
    """Carry doubled values through a gate with given letters; open letters cost the largest slope."""
    n = len(state.value)
    is_open = open_ is not None and open_.any()
    if isinstance(gate, MaxGate):
        winners = gate.winners(letters)
        value, rest, error = (
            np.take_along_axis(a.reshape(n, -1), winners, axis=1).reshape(n, *gate.shape)
            for a in (state.value, state.rest, state.error)
        )
        if is_open:
            error = np.where(open_, gate.window(state.error, 0.0).max(axis=2).reshape(error.shape), error)
        return Doubled(value, rest, error, gate.sources(winners, state.source, open_))
    slope, offset = gate.chosen(gate.slopes, letters), gate.chosen(gate.offsets, letters)
    value, rest, error = _scale(state, slope)
    if is_open:
        steepest = np.abs(gate.table(gate.slopes)).max(axis=0)
        error = np.where(open_, np.maximum(error, round_up(steepest * state.error, 2)), error)
    if offset.any() and not homogeneous:
        is_exact = (error == 0) & ((offset == 0) | (value == 0))
        value, rest = added(value, rest, offset)
        error = np.where(is_exact, error, round_up(error + 4 * U * U * np.abs(value), 2) + TINY)
    scalar = gate.breakpoints[0].size == gate.slopes[0].size == gate.offsets[0].size == 1
    return _unbounded_where_overflown(Doubled(value, rest, error, state.source if scalar else None))
