r"""Letters of the cells entered from points on boundaries, in floats with error bounds.

Values and one-sided derivatives travel through the network together. Where a pre-activation is exactly on a
breakpoint, or maxima exactly tie, the derivative decides, lexicographically, gate by gate: just beyond p in the
direction v the pre-activation is :math:`z(p) + t\,z'(p; v)` with a small t > 0. `RationalNetwork.letters` is the
same in rationals.

A float point is hardly ever on a boundary, but an enclosure may contain one that is: where a segment leaves its
cell, a pre-activation is on its breakpoint although no float is. Such knowledge is given as `KnownTies`; a
pre-activation known to be on its breakpoint is exact from there on, so everything it alone feeds ties exactly too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.doubled import Doubled, double_linear, pass_doubled_gate, read_doubled_letters
from polygeom.enclosures import (
    OVERFLOW_IS_UNKNOWN,
    Enclosed,
    enclose_derivative,
    enclose_linear,
    pass_gate,
    pass_gate_directions,
    read_letters,
)
from polygeom.errors import UndecidedError
from polygeom.gates import Elementwise, Gate, MaxGate
from polygeom.network import Network
from polygeom.rounding import U
from polygeom.steps import LinearStep

__all__ = [
    "Enclosure",
    "KnownTies",
    "OneSidedPass",
    "doubled_one_sided_pass",
    "enclose_toward",
    "one_sided_pass",
]

Enclosure = tuple[np.ndarray, np.ndarray]
"""Values (N, dim_in) and bounds on their errors."""


@dataclass(frozen=True, eq=False)
class KnownTies:
    """Boundaries that points are known to lie on, as (t,) integer arrays.

    Attributes
    ----------
    points : (t,) array
        Which point.
    units, sides : (t,) arrays
        The unit, and the breakpoint its pre-activation is on or the window position whose entry equals the
        winner's (`RowLabels`).
    letters : (t,) array
        The letter of the unit on the side the point is reached from; of a max-pooling unit the winner.
    """

    points: np.ndarray
    units: np.ndarray
    sides: np.ndarray
    letters: np.ndarray

    def __getitem__(self, index: np.ndarray) -> KnownTies:
        return KnownTies(self.points[index], self.units[index], self.sides[index], self.letters[index])

    def of(self, gate: Gate) -> KnownTies:
        """Return the ties of one gate's units, numbered from the gate's first."""
        mine = self[(self.units >= gate.first_column) & (self.units < gate.first_column + gate.size)]
        return KnownTies(mine.points, mine.units - gate.first_column, mine.sides, mine.letters)

    def at(self, points: np.ndarray) -> KnownTies:
        """Return the ties of some points, given by a mask and numbered anew."""
        mine, number = self[points[self.points]], np.cumsum(points) - 1
        return KnownTies(number[mine.points], mine.units, mine.sides, mine.letters)


NO_TIES = KnownTies(*(np.zeros(0, dtype=np.intp) for _ in range(4)))


@OVERFLOW_IS_UNKNOWN
def enclose_toward(
    net: Network,
    points: Enclosure,
    directions: Enclosure,
    ties: KnownTies = NO_TIES,
    source: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the letters of the cells entered from points in directions, and which of them stay open.

    Parameters
    ----------
    points, directions : pairs of (N, dim_in) arrays
        Values and bounds on their errors.
    ties : KnownTies
        Boundaries that the exact points lie on.
    source : (dim_in,) array, optional
        Entries of the input with equal numbers are equal, all points and directions having equal floats there.

    Returns
    -------
    letters, undecided : (N, n_units) arrays
        A letter that the bounds leave open, by value or by derivative, stays open.

    Notes
    -----
    Cost: four forward passes per point.

    Examples
    --------
    >>> net = Network.from_layers([([[3.0, 0.0]], [-1.0]), ([[1.0]], [0.0])])
    >>> third = np.array([[1 / 3, 0.0]])
    >>> across = np.array([[1.0, 0.0]]), np.zeros((1, 2))
    >>> enclose_toward(net, (third, np.full((1, 2), 2.0**-50)), across)[1]
    array([[ True]])
    >>> on_it = KnownTies(*np.zeros((4, 1), dtype=int))
    >>> enclose_toward(net, (third, np.full((1, 2), 2.0**-50)), across, on_it)
    (array([[1]], dtype=uint8), array([[False]]))
    """
    n = len(points[0])
    letters = np.zeros((n, net.n_units), dtype=net.letter_dtype)
    undecided = np.zeros(letters.shape, dtype=bool)

    def gate(step: Gate, state: tuple[Enclosed, Enclosed]) -> tuple[Enclosed, Enclosed]:
        value, slope, known = *state, ties.of(step)
        if isinstance(step, Elementwise):
            value = _on_breakpoints(step, value, known)
        chosen, open_ = _break_ties(step, value, slope, *read_letters(step, value))
        if isinstance(step, MaxGate) and len(known.units):
            chosen, open_ = _break_known_ties(step, known, value, slope, chosen, open_)
        letters[:, step.columns], undecided[:, step.columns] = chosen.reshape(n, -1), open_.reshape(n, -1)
        return pass_gate(step, value, chosen, open_), pass_gate_directions(step, slope, chosen)

    net.fold(_start(net, points, directions, source), _linear, gate)
    return letters, undecided


@dataclass(frozen=True, eq=False)
class OneSidedPass:
    """What a point and a direction see on their way through the network.

    Attributes
    ----------
    letters, undecided : (n_units,) arrays
        Letters of the cell entered, and which of them stay open.
    values, slopes : tuples
        What arrives at each gate: the point's values and the direction's derivatives.
    """

    letters: np.ndarray
    undecided: np.ndarray
    values: tuple[Enclosed | Doubled, ...]
    slopes: tuple[Enclosed | Doubled, ...]


@OVERFLOW_IS_UNKNOWN
def one_sided_pass(net: Network, point: Enclosure, direction: Enclosure) -> OneSidedPass | None:
    """Return what a point and a direction, (1, dim_in) and their errors, see; None if floats leave a letter open.

    The pass ends at the first gate where they do: later ones know less still.
    """
    seen = _Recorder(net)

    def gate(step: Gate, state: tuple[Enclosed, Enclosed]) -> tuple[Enclosed, Enclosed]:
        value, slope = state
        chosen, open_ = _break_ties(step, value, slope, *read_letters(step, value))
        if open_.any():
            raise UndecidedError
        seen.note(step, chosen, open_, value, slope)
        return pass_gate(step, value, chosen, open_), pass_gate_directions(step, slope, chosen)

    try:
        net.fold(_start(net, point, direction), _linear, gate)
    except UndecidedError:
        return None
    return seen.result()


@OVERFLOW_IS_UNKNOWN
def doubled_one_sided_pass(
    net: Network, point: Enclosure, direction: Enclosure, bits: tuple[int, int]
) -> OneSidedPass:
    """Return what a point and a direction, (1, dim_in) and their errors, see in doubled precision.

    `bits` are those of values and of derivatives (`polygeom.doubled`).
    """
    seen = _Recorder(net)

    def linear(step: LinearStep, *states: tuple[Doubled, Doubled]) -> tuple[Doubled, Doubled]:
        values, slopes = zip(*states, strict=True)
        slope = double_linear(step, *slopes, bits=bits[1], homogeneous=True)
        return double_linear(step, *values, bits=bits[0]), slope

    def gate(step: Gate, state: tuple[Doubled, Doubled]) -> tuple[Doubled, Doubled]:
        value, slope = state
        read = read_doubled_letters(step, value)
        chosen, open_ = _break_ties(step, value.enclosed, slope.enclosed, *read)
        seen.note(step, chosen, open_, value, slope)
        passed = pass_doubled_gate(step, slope, chosen, None, homogeneous=True)
        return pass_doubled_gate(step, value, chosen, open_), passed

    start = (Doubled.of(s.value, s.error) for s in _start(net, point, direction))
    net.fold(tuple(start), linear, gate)
    return seen.result()


class _Recorder:
    """What the gates see of one point and one direction."""

    def __init__(self, net: Network) -> None:
        self.letters = np.zeros(net.n_units, dtype=net.letter_dtype)
        self.undecided = np.zeros(net.n_units, dtype=bool)
        self.values: list[Enclosed | Doubled] = []
        self.slopes: list[Enclosed | Doubled] = []

    def note(
        self,
        step: Gate,
        chosen: np.ndarray,
        open_: np.ndarray,
        value: Enclosed | Doubled,
        slope: Enclosed | Doubled,
    ) -> None:
        self.letters[step.columns], self.undecided[step.columns] = chosen.ravel(), open_.ravel()
        self.values.append(value)
        self.slopes.append(slope)

    def result(self) -> OneSidedPass:
        return OneSidedPass(self.letters, self.undecided, tuple(self.values), tuple(self.slopes))


def _start(
    net: Network, points: Enclosure, directions: Enclosure, source: np.ndarray | None = None
) -> tuple[Enclosed, Enclosed]:
    """Return points and directions in the input's own shape."""

    def shaped(value: np.ndarray, error: np.ndarray) -> Enclosed:
        shape = (len(value), *net.input_shape)
        numbers = None if source is None else np.repeat(source[None], len(value), axis=0)
        return Enclosed(value.reshape(shape), error.reshape(shape), None, numbers)

    return shaped(*points), shaped(*directions)


def _linear(step: LinearStep, *states: tuple[Enclosed, Enclosed]) -> tuple[Enclosed, Enclosed]:
    values, slopes = zip(*states, strict=True)
    return enclose_linear(step, *values), enclose_derivative(step, *slopes)


def _on_breakpoints(gate: Elementwise, value: Enclosed, ties: KnownTies) -> Enclosed:
    """Put the pre-activations that are known to be on a breakpoint exactly there."""
    n = len(value.value)
    exact, error = value.value.reshape(n, -1).copy(), value.error.reshape(n, -1).copy()
    levels = gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1)
    exact[ties.points, ties.units] = levels[ties.sides, ties.units]
    error[ties.points, ties.units] = 0.0
    return Enclosed(exact.reshape(value.value.shape), error.reshape(value.value.shape), None, value.source)


def _break_ties(
    gate: Gate, value: Enclosed, slope: Enclosed, letters: np.ndarray, open_: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return letters and open letters after exact ties are broken by derivatives."""
    if isinstance(gate, Elementwise):
        met = (value.value[:, None] == gate.table(gate.breakpoints)[None]).sum(axis=1)  # equal bounds: both
        tied = (met > 0) & (value.error == 0)
        rises, unsure = slope.value > slope.error, ~(np.abs(slope.value) > slope.error)
        passed = np.where(tied & rises, met, 0)
        return letters + passed.astype(letters.dtype), open_ | (tied & unsure & (slope.error > 0))
    if not ((value.error == 0) & ((slope.value != 0) | (slope.error != 0))).any():
        return letters, open_  # whatever ties exactly stays as it is: the first wins
    best = gate.window(value.value, -np.inf).max(axis=2, keepdims=True)
    tied = (gate.window(value.value, -np.inf) == best) & (gate.window(value.error, np.inf) == 0)
    several = (tied.sum(axis=2) > 1).reshape(letters.shape) & ~open_
    steepest, sure = _steepest(gate, slope, tied, _numbers(gate, value))
    chosen = np.where(several, steepest.reshape(letters.shape), letters).astype(letters.dtype)
    return chosen, open_ | (several & ~sure.reshape(letters.shape))


def _steepest(
    gate: MaxGate, slope: Enclosed, tied: np.ndarray, numbers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the tied position (N, size) with the largest derivative, and where that is certain."""
    steepest = np.where(tied, gate.window(slope.value, -np.inf), -np.inf).argmax(axis=2)
    spread = np.where(tied, gate.window(slope.error, 0.0), 0.0)
    top = np.take_along_axis(gate.window(slope.value - slope.error, -np.inf), steepest[..., None], axis=2)
    beaten = gate.window(slope.value + slope.error, -np.inf) < top
    exact = (spread == 0).all(axis=2)  # equal exact derivatives: the first position wins, as argmax does
    sure = exact | (beaten | ~tied | (numbers == _at(numbers, steepest))).all(axis=2)
    return steepest, sure


def _break_known_ties(
    gate: MaxGate, ties: KnownTies, value: Enclosed, slope: Enclosed, letters: np.ndarray, open_: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Decide open windows whose winner is known to tie: the steepest of the tied, if all others are below.

    Entries that tie in one window do so in all others of the gate, and their copies with them.
    """
    low = gate.window(value.value - value.error, -np.inf)
    high = gate.window(value.value + value.error, -np.inf)
    numbers = _numbers(gate, value)
    level = numbers.copy()  # equal where entries are known to tie
    for point, unit, side, letter in zip(ties.points, ties.units, ties.sides, ties.letters, strict=True):
        one, other = level[point, unit, side], level[point, unit, letter]
        level[point][level[point] == other] = one
    winner = letters.reshape(len(letters), -1)
    tied = gate.valid & (level == _at(level, winner))
    # the entries tied are one number, so each bounds it; one rounding in value -+ error is pushed apart
    floor = np.where(tied, low, -np.inf).max(axis=2, keepdims=True)
    slack = 2 * U * (np.abs(floor) + np.abs(np.where(gate.valid, high, 0.0)))
    alone = (tied | ~gate.valid | (high < floor - slack)).all(axis=2)
    steepest, sure = _steepest(gate, slope, tied, numbers)
    known = (tied & (numbers != _at(numbers, winner))).any(axis=2).reshape(letters.shape) & open_
    chosen = np.where(known, steepest.reshape(letters.shape), letters).astype(letters.dtype)
    return chosen, np.where(known, ~(alone & sure).reshape(letters.shape), open_)


def _numbers(gate: MaxGate, state: Enclosed) -> np.ndarray:
    """Return for every position of every window (N, W, K) the number of its entry; equal entries share it."""
    n, size = len(state.value), state.value[0].size
    source = np.broadcast_to(np.arange(size), (n, size)) if state.source is None else state.source
    return gate.window(source, -1)


def _at(windows: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return the entry of every window (N, W, K) at a position (N, W), as (N, W, 1)."""
    return np.take_along_axis(windows, positions.astype(np.intp)[..., None], axis=2)
