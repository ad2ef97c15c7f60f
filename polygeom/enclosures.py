r"""Running error bounds: a network's float values together with rigorous bounds on their rounding errors.

A state is a batch of float values, bounds on their distance from the exact values, and (on request) which
entries can depend on the input at all. Through a linear step :math:`y = Lx + c` with at most n products per sum

.. math:: |\hat y - y| \le |L| (e + \gamma |\hat x|) + \gamma |c| + \mathrm{underflow},\; \gamma = \gamma_{2n+8}

(`polygeom.steps`, `polygeom.rounding`): one extra product with :math:`|L|` per step. A gate with its letter
known is affine; with its letter unknown it is Lipschitz with its largest slope, which bounds the error across
the kink. An error of exactly 0 means the value is exact: units switched off are exact zeros, and ties between
them are no boundaries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.gates import Elementwise, Gate, MaxGate
from polygeom.network import Network
from polygeom.rounding import (
    U,
    gamma,
    round_up,
    smallest_nonzero,
    unbounded_where_overflown,
    underflow,
)
from polygeom.steps import LinearStep

__all__ = [
    "Enclosed",
    "EnclosedPass",
    "enclose",
    "enclose_adjoint",
    "enclose_derivative",
    "enclose_directions",
    "enclose_linear",
    "enclose_pass",
    "moved_sources",
    "pass_gate",
    "pass_gate_directions",
    "read_letters",
]

OVERFLOW_IS_UNKNOWN = np.errstate(over="ignore", invalid="ignore")
"""Overflows are expected and become values of 0 with an infinite bound."""


@dataclass(frozen=True, eq=False)
class Enclosed:
    """Float values (N, *shape) with error bounds, and optionally which entries depend on the input.

    Attributes
    ----------
    value, error : (N, *shape) arrays
        The exact value lies in ``[value - error, value + error]``.
    live : (N, *shape) bool array or None
        False only where the value is a constant of the cell: no path of non-zero slopes leads to it.
    source : (N, size) integer array or None
        Entries with equal numbers are the same function on the whole cell: overlapping max-pooling windows
        copy one entry to several places. None: no two entries are known to be the same.
    """

    value: np.ndarray
    error: np.ndarray
    live: np.ndarray | None = None
    source: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class EnclosedPass:
    """What one enclosed forward pass saw.

    Attributes
    ----------
    output : Enclosed
        The network's output, (N, *output_shape).
    letters, undecided : (N, n_units) arrays
        Letters, and which of them the enclosures leave open.
    inputs : tuple of Enclosed
        What arrived at each gate: the pre-activations, or the windows' values (kept on request).
    """

    output: Enclosed
    letters: np.ndarray
    undecided: np.ndarray
    inputs: tuple[Enclosed, ...]


def enclose(net: Network, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return outputs (N, dim_out) of flat inputs (N, dim_in) and bounds on their rounding errors.

    Cost: two forward passes.

    Examples
    --------
    >>> net = Network.from_layers([([[1, -1]], [0])])
    >>> value, error = enclose(net, np.array([[0.5, 0.25]]))
    >>> bool(abs(value[0, 0] - 0.25) <= error[0, 0])
    True
    """
    output = enclose_pass(net, X).output
    return output.value.reshape(len(X), net.dim_out), output.error.reshape(len(X), net.dim_out)


@OVERFLOW_IS_UNKNOWN
def enclose_pass(
    net: Network,
    X: np.ndarray,
    *,
    error: np.ndarray | None = None,
    letters: np.ndarray | None = None,
    live: np.ndarray | None = None,
    keep: bool = False,
) -> EnclosedPass:
    """Carry flat points (N, dim_in) through the network with running error bounds.

    Parameters
    ----------
    error : (N, dim_in) array, optional
        Bounds on the errors of the points themselves.
    letters : (n_units,) or (N, n_units) array, optional
        Letters to impose: the affine extension of one piece instead of the network.
    live : (dim_in,) bool array, optional
        Which input coordinates move at all; all of them by default.
    keep : bool
        Whether to keep what arrives at the gates, with liveness (for pieces).
    """
    n = len(X)
    points = X.reshape(n, *net.input_shape)
    start = Enclosed(
        points,
        np.zeros_like(points) if error is None else error.reshape(points.shape),
        _initial_liveness(points, live) if keep else None,
    )
    read = np.zeros((n, net.n_units), dtype=net.letter_dtype)
    undecided = np.zeros((n, net.n_units), dtype=bool)
    inputs: list[Enclosed] = []

    def gate(step: Gate, state: Enclosed) -> Enclosed:
        if keep:
            inputs.append(state)
        if letters is None:
            chosen, open_ = read_letters(step, state)
            undecided[:, step.columns] = open_.reshape(n, -1)
        else:
            imposed = np.broadcast_to(letters, (n, net.n_units))[:, step.columns]
            chosen, open_ = imposed.reshape(n, *step.shape), None
        read[:, step.columns] = chosen.reshape(n, -1)
        return pass_gate(step, state, chosen, open_)

    output = net.fold(start, enclose_linear, gate)
    return EnclosedPass(output, read, undecided, tuple(inputs))


def _initial_liveness(points: np.ndarray, live: np.ndarray | None) -> np.ndarray:
    if live is None:
        return np.ones(points.shape, dtype=bool)
    return np.broadcast_to(live.reshape(points.shape[1:]), points.shape)


def enclose_linear(step: LinearStep, *states: Enclosed) -> Enclosed:
    """Carry enclosures through a linear step (module docstring)."""
    value = step.forward(*(s.value for s in states))
    live = None
    if states[0].live is not None:
        live = step.magnitude.linear(*(s.live.astype(np.float64) for s in states)) > 0
    if step.moves_only:
        error = step.linear(*(s.error for s in states))
        constant = step.constant
        if constant is not None:
            error = np.where(error > 0, round_up(error, 1), 0.0) + U * np.abs(value)
        return Enclosed(*unbounded_where_overflown(value, error), live, moved_sources(step, states))
    error = _linear_error(step, states, constant=True)
    return Enclosed(*unbounded_where_overflown(value, error), live)


def moved_sources(step: LinearStep, states: tuple[Enclosed, ...]) -> np.ndarray | None:
    """Return the source numbers of entries that a step moved around, or None if no two are the same.

    Numbers stay below 2**53, so the step itself can move them as floats; padding moves in zeros, hence the 1.
    """
    if step.constant is not None or (all(s.source is None for s in states) and step.adjoint_terms == 1):
        return None
    numbers, first = [], 1
    for state in states:
        n, size = len(state.value), state.value[0].size
        own = np.broadcast_to(np.arange(size), (n, size)) if state.source is None else state.source
        numbers.append((first + own).reshape(state.value.shape).astype(np.float64))
        first += int(own.max(initial=0)) + 1
    return step.linear(*numbers).reshape(len(numbers[0]), -1).astype(np.int64)


def _linear_error(step: LinearStep, states: tuple[Enclosed, ...], *, constant: bool) -> np.ndarray:
    """Return the error bound of a linear step's float result (module docstring).

    Where every product is zero, and none can have underflowed, the constant is added to an exact zero.
    """
    g = gamma(2 * step.terms + 8)
    lost = underflow(step.terms, step.smallest * min(_smallest_spread(s, g) for s in states))
    sums = step.magnitude.linear(*(s.error + g * np.abs(s.value) for s in states))
    rounded = ~(sums == 0) | (lost > 0)
    if constant and step.constant is not None:
        sums = sums + g * np.abs(step.constant)
    return np.where(rounded, round_up(sums, step.terms + 4) + lost, 0.0)


def _smallest_spread(state: Enclosed, g: float) -> float:
    """Return a lower bound on the non-zero factors that an error bound multiplies: g |value| and error."""
    return min(g * smallest_nonzero(state.value), smallest_nonzero(state.error))


def read_letters(gate: Gate, state: Enclosed) -> tuple[np.ndarray, np.ndarray]:
    """Return letters and which of them the enclosure leaves open, both (N, *shape)."""
    letters = gate.read(state.value)
    if isinstance(gate, Elementwise):
        gaps = np.abs(state.value[:, None] - gate.table(gate.breakpoints)[None])
        open_ = ~(gaps > round_up(state.error, 1)[:, None]).all(axis=1) & (state.error > 0)
        return letters, open_
    winners = gate.winners(letters)
    floor, high = (_flat(state.value - state.error), _flat(state.value + state.error))
    floor = np.take_along_axis(floor, winners, axis=1)
    rivals = gate.window(high, -np.inf)
    np.put_along_axis(rivals, letters.reshape(*winners.shape, 1).astype(np.intp), -np.inf, axis=2)
    reach = rivals.max(axis=2)
    with np.errstate(invalid="ignore"):  # infinite bounds
        # value -+ error and their difference are rounded once each
        open_ = ~(floor - reach > 4 * U * (np.abs(floor) + np.abs(reach)))
    # the first maximum of exact values is the letter: windows of zeros behind units that are off are many
    open_ &= gate.window(_flat(state.error > 0), 0.0).any(axis=2)
    points, units = np.nonzero(open_)
    if len(units):
        open_[points, units] = _open_windows(gate, state, letters, points, units)
    return letters, open_.reshape(letters.shape)


def _open_windows(
    gate: MaxGate, state: Enclosed, letters: np.ndarray, points: np.ndarray, units: np.ndarray
) -> np.ndarray:
    """Return which of some windows of points the enclosures leave open, ties and copies considered."""
    index = gate.index[units]
    at = points[:, None], np.maximum(index, 0)
    winner = letters.reshape(len(letters), -1)[points, units].astype(np.intp)[:, None]
    value, error = _flat(state.value)[at], _flat(state.error)[at]
    top, spread = (np.take_along_axis(a, winner, axis=1) for a in (value, error))
    floor, high = top - spread, value + error
    slack = 2 * U * (np.abs(floor) + np.abs(high))
    exact = (error == 0) & (spread == 0)
    # the first maximum wins: an exact tie with an earlier position would have made that one the letter
    certain = np.where(exact, floor >= high, floor > high + slack)
    certain |= (np.arange(index.shape[1]) == winner) | (index < 0)
    if state.source is not None:
        numbers = state.source[at]
        certain |= numbers == np.take_along_axis(numbers, winner, axis=1)
    return ~certain.all(axis=1)


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), int(np.prod(array.shape[1:], dtype=np.int64)))


def pass_gate(gate: Gate, state: Enclosed, letters: np.ndarray, open_: np.ndarray | None) -> Enclosed:
    """Carry an enclosure through a gate with given letters; open letters cost the largest slope."""
    n = len(state.value)
    if isinstance(gate, MaxGate):
        winners = gate.winners(letters)

        def won(entries: np.ndarray) -> np.ndarray:
            return np.take_along_axis(entries.reshape(n, -1), winners, axis=1).reshape(n, *gate.shape)

        error = won(state.error)
        if open_ is not None and open_.any():
            widest = gate.window(state.error, 0.0).max(axis=2).reshape(n, *gate.shape)
            error = np.where(open_, widest, error)
        source = gate.sources(winners, state.source, open_)
        live = None if state.live is None else won(state.live)
        return Enclosed(won(state.value), error, live, source)
    slope, offset = gate.chosen(gate.slopes, letters), gate.chosen(gate.offsets, letters)
    product = slope * state.value
    value = product + offset
    steepness = np.abs(slope)
    if open_ is not None and open_.any():
        steepness = np.where(open_, np.abs(gate.table(gate.slopes)).max(axis=0), steepness)
    error = np.where(steepness == 0, 0.0, steepness * state.error)
    exact = (steepness == 0) | ((steepness == 1) & (offset == 0))
    rounding = gamma(4) * (np.abs(product) + np.abs(offset)) + underflow(1)
    error = np.where(exact, error, round_up(error + rounding, 3))
    live = None if state.live is None else state.live & (slope != 0)
    # one scalar function of equal entries gives equal entries
    scalar = gate.breakpoints[0].size == gate.slopes[0].size == gate.offsets[0].size == 1
    return Enclosed(*unbounded_where_overflown(value, error), live, state.source if scalar else None)


@OVERFLOW_IS_UNKNOWN
def enclose_directions(
    net: Network, letters: np.ndarray, directions: np.ndarray, error: np.ndarray | None = None
) -> tuple[Enclosed, tuple[Enclosed, ...]]:
    """Carry directions (k, dim_in) through the linear part of one piece: a Jacobian-vector product each.

    Unit vectors are not rounded by the first linear steps, so the rows of a first layer come out exact. `error`
    bounds the errors of the directions themselves.

    Returns
    -------
    output : Enclosed
        Derivatives of the output, (k, *output_shape).
    arrivals : tuple of Enclosed
        Derivatives of what arrives at each gate.
    """
    start = directions.reshape(len(directions), *net.input_shape)
    arrivals: list[Enclosed] = []

    def gate(step: Gate, state: Enclosed) -> Enclosed:
        arrivals.append(state)
        return pass_gate_directions(step, state, letters[step.columns].reshape(1, *step.shape))

    spread = np.zeros_like(start) if error is None else error.reshape(start.shape)
    return net.fold(Enclosed(start, spread), enclose_derivative, gate), tuple(arrivals)


def enclose_derivative(step: LinearStep, *states: Enclosed) -> Enclosed:
    """Carry enclosed derivatives through the linear part of a step."""
    value = step.linear(*(s.value for s in states))
    if step.moves_only:
        return Enclosed(value, step.linear(*(s.error for s in states)))
    if len(states) == 1 and step.divisors() is None and _is_signed_unit(states[0]):
        return Enclosed(value, np.zeros_like(value))
    return Enclosed(*unbounded_where_overflown(value, _linear_error(step, states, constant=False)))


def _is_signed_unit(state: Enclosed) -> bool:
    """Tell whether every row is an exact signed unit vector or zero: products with it are not rounded."""
    rows = state.value.reshape(len(state.value), -1)
    nonzero = rows != 0
    return bool(
        not state.error.any() and (nonzero.sum(axis=1) <= 1).all() and (np.abs(rows[nonzero]) == 1).all()
    )


def pass_gate_directions(gate: Gate, state: Enclosed, letters: np.ndarray) -> Enclosed:
    """Carry derivatives through a gate with given letters, (1, *shape) or (k, *shape): offsets do not matter."""
    k = len(state.value)
    if isinstance(gate, MaxGate):
        winners = np.broadcast_to(gate.winners(letters), (k, gate.size))
        value, error = (
            np.take_along_axis(a.reshape(k, -1), winners, axis=1).reshape(k, *gate.shape)
            for a in (state.value, state.error)
        )
        return Enclosed(value, error)
    slope = gate.chosen(gate.slopes, letters)
    return Enclosed(slope * state.value, _scaled_error(slope, state))


def _scaled_error(slope: np.ndarray, state: Enclosed) -> np.ndarray:
    """Return the error bound of slope * value: nothing is rounded where the slope is 0, 1 or -1."""
    steepness = np.abs(slope)
    rounding = gamma(4) * steepness * np.abs(state.value) + underflow(1)
    error = np.where(steepness == 1, state.error, round_up(steepness * state.error + rounding, 3))
    return np.where(steepness == 0, 0.0, error)


@OVERFLOW_IS_UNKNOWN
def enclose_adjoint(
    net: Network, letters: np.ndarray, value: int, seed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Carry rows (r, *shape of a value) back to the input of one piece: a vector-Jacobian product each.

    Returns the rows (r, dim_in) and bounds on their errors. A seed of signed unit vectors is exact.
    """

    def linear(step: LinearStep, state: Enclosed) -> tuple[Enclosed, ...]:
        values = step.adjoint(state.value)
        if step.divisors() is None and _is_signed_unit(state):
            return tuple(Enclosed(v, np.zeros_like(v)) for v in values)
        if step.moves_only and step.adjoint_terms == 1:
            return tuple(Enclosed(v, e) for v, e in zip(values, step.adjoint(state.error), strict=True))
        g = gamma(2 * step.adjoint_terms + 8)
        lost = underflow(step.adjoint_terms, step.smallest * _smallest_spread(state, g))
        errors = step.magnitude.adjoint(state.error + g * np.abs(state.value))
        return tuple(
            Enclosed(*unbounded_where_overflown(v, round_up(e, step.adjoint_terms + 4) + lost))
            for v, e in zip(values, errors, strict=True)
        )

    def gate(step: Gate, state: Enclosed) -> Enclosed:
        imposed = letters[step.columns].reshape(1, *step.shape)
        if isinstance(step, Elementwise):
            slope = step.chosen(step.slopes, imposed)
            return Enclosed(slope * state.value, _scaled_error(slope, state))
        return _spread_winners(step, step.winners(imposed)[0], state)

    def add(left: Enclosed, right: Enclosed) -> Enclosed:
        value = left.value + right.value
        return Enclosed(value, round_up(left.error + right.error + U * np.abs(value), 2))

    back = net.fold_back({value: Enclosed(seed, np.zeros_like(seed))}, linear, gate, add)
    if back is None:
        zero = np.zeros((len(seed), net.dim_in))
        return zero, zero
    return back.value.reshape(len(seed), net.dim_in), back.error.reshape(len(seed), net.dim_in)


def _spread_winners(gate: MaxGate, winners: np.ndarray, state: Enclosed) -> Enclosed:
    """Carry rows back through a max gate: each unit's entry goes to its winner; shared winners add up."""
    rows = len(state.value)
    shape = (rows, *gate.shapes[0])
    repeats = int(np.bincount(winners).max(initial=1))
    parts = [state.value, state.error, np.abs(state.value)]
    sums = []
    for part in parts[: 2 if repeats == 1 else 3]:
        total = np.zeros((rows, int(np.prod(gate.shapes[0], dtype=np.int64))))
        np.add.at(total, (slice(None), winners), part.reshape(rows, -1))
        sums.append(total.reshape(shape))
    if repeats == 1:
        return Enclosed(*sums)
    return Enclosed(sums[0], round_up(sums[1] + gamma(2 * repeats) * sums[2], repeats + 3))
