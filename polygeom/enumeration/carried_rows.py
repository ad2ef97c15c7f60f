r"""The rows of all entries of a network on many cells, carried through its graph between gates.

On a cell every entry is affine in the slice coordinates y: a homogeneous row, :math:`z(y, t) = r \cdot (y,
t)`. All rows of all cells go through a linear step at once, as a batch of (cells x D) tensors; a gate with
its letters known multiplies them or selects among them. Cells that share what they read share the work:
`Carried` keeps each array once, with the place of every cell in it, so branches that do not depend on a new
letter are computed once for all cells behind it.

How far a computed row may be off
---------------------------------
Only sums of errors over the coefficients are carried, so they cost one or two tensors more. Summing the
bound of `polygeom.enclosures` over the coefficients c of a row,

.. math:: \sum_c |\hat y_c - y_c| \le |L| \Big(\sum_c e_c + \gamma \sum_c |\hat x_c|\Big) + \gamma |b|
          + D \cdot \mathrm{underflow}, \qquad \gamma = \gamma_{2n+8}.

With two sums, one over the slopes and one for the offset, a row whose slopes are exactly zero is known to
be constant: in unbounded domains that decides its sign at infinity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from polygeom.enclosures import OVERFLOW_IS_UNKNOWN
from polygeom.gates import Elementwise, Gate, MaxGate
from polygeom.network import Network
from polygeom.rounding import TINY, U, gamma, round_up, smallest_nonzero, underflow
from polygeom.steps import LinearStep

__all__ = ["Carried", "Carrier"]


@dataclass(frozen=True, eq=False)
class Carried:
    """Rows of one value of the network on N cells.

    Attributes
    ----------
    value : (n, D, *shape)
        Rows over (y, t) of every entry, for n classes of cells.
    error : (n, E, *shape)
        Bounds on the summed errors of all coefficients (E = 1), or of slopes and offset (E = 2).
    names : (n or 1, size)
        Entries with equal names are the same function on the cell; 0 is padding.
    index : (N,)
        Class of every cell.
    """

    value: np.ndarray
    error: np.ndarray
    names: np.ndarray
    index: np.ndarray

    def at(self, cells: np.ndarray) -> Carried:
        """Return the rows on some cells, in order."""
        return replace(self, index=self.index[cells])

    def compact(self) -> Carried:
        """Return the same rows without classes that no cell is in."""
        used, index = np.unique(self.index, return_inverse=True)
        return self if len(used) == len(self.value) else self._of(used, index)

    def spread(self) -> Carried:
        """Return the same rows with a class for every cell."""
        every = np.arange(len(self.index))
        same = len(self.value) == len(every) and np.array_equal(self.index, every)
        return self if same else self._of(self.index, every)

    def _of(self, classes: np.ndarray, index: np.ndarray) -> Carried:
        names = self.names if len(self.names) == 1 else self.names[classes]
        return Carried(self.value[classes], self.error[classes], names, index)


class Carrier:
    """Carries rows through one network.

    Parameters
    ----------
    matrix : (dim_in, k), offset : (dim_in,)
        The input as a map of y, taken as exact.
    parts : {1, 2}
        Number E of error sums.
    """

    def __init__(self, net: Network, matrix: np.ndarray, offset: np.ndarray, parts: int) -> None:
        from polygeom.kernels.gate_screens import MAXIMUM, RECTIFIER

        self.net, self.parts = net, parts
        columns = np.column_stack([matrix, offset]).T
        value = np.ascontiguousarray(columns).reshape(1, -1, *net.input_shape)
        self.dim = value.shape[1]
        error = np.zeros((1, parts, *net.input_shape))
        sizes = [net.dim_in, *(step.size for step in net.steps)]
        self.first_names = np.cumsum([1, *sizes])
        self.start = Carried(value, error, _equal_columns(columns)[None], np.zeros(1, dtype=np.intp))
        self.owners = np.full(self.first_names[-1], -1, dtype=np.int64)
        self.kinds = np.zeros(net.n_units, dtype=np.int8)
        for k, step in enumerate(net.steps, start=1):
            if isinstance(step, Elementwise):
                first = self.first_names[k]
                self.owners[first : first + step.size] = step.first_column + np.arange(step.size)
                self.kinds[step.columns] = np.where(_is_rectifier(step), RECTIFIER, 0)
            elif isinstance(step, MaxGate):
                self.kinds[step.columns] = MAXIMUM
        gates = [k for k, step in enumerate(net.steps) if isinstance(step, Gate)]
        self.gate_steps = gates
        self.last_readers = {i: k for k, step in enumerate(net.steps[: gates[-1] + 1]) for i in step.inputs}

    def _fresh(self, number: int, size: int) -> np.ndarray:
        return (self.first_names[number] + np.arange(size))[None]

    # -- from gate to gate -------------------------------------------------------------------------------------

    @OVERFLOW_IS_UNKNOWN
    def advance(self, states: dict[int, Carried], first: int, last: int) -> dict[int, Carried]:
        """Carry states through the linear steps first .. last - 1; keep what is read from step `last` on."""
        states = dict(states)
        for k in range(first, last):
            step = self.net.steps[k]
            states[k + 1] = self._linear(k, step, [states[i] for i in step.inputs])
            states = {i: s for i, s in states.items() if self.last_readers.get(i, -1) > k}
        return {i: s for i, s in states.items() if self.last_readers.get(i, -1) >= last}

    @OVERFLOW_IS_UNKNOWN
    def open_gate(self, number: int, state: Carried, letters: np.ndarray) -> Carried:
        """Carry rows through gate `number` (a step), with letters (N, size) for the cells."""
        from polygeom.kernels.row_passes import open_units, open_windows

        gate, n = self.net.steps[number], len(letters)
        value, error = (np.ascontiguousarray(a.reshape(*a.shape[:2], -1)) for a in (state.value, state.error))
        index = np.ascontiguousarray(state.index, dtype=np.int64)
        opened, bound = np.empty((n, self.dim, gate.size)), np.empty((n, self.parts, gate.size))
        if isinstance(gate, MaxGate):
            winners = gate.winners(letters)
            open_windows(value, error, index, winners, opened, bound)
            rows = np.zeros(n, dtype=np.intp) if len(state.names) == 1 else index
            names = state.names[rows[:, None], winners]
        else:
            slopes, offsets = (
                np.ascontiguousarray(gate.table(a).reshape(len(a), -1)) for a in (gate.slopes, gate.offsets)
            )
            rounded_up = round_up(1.0, 6 + self.dim), round_up(self.dim * underflow(1), 6 + self.dim)
            constants = np.array([gamma(4), *rounded_up])
            open_units(
                value, error, index, np.ascontiguousarray(letters), slopes, offsets, constants, opened, bound
            )
            opened, bound = _known(opened, bound)
            names = self._fresh(number + 1, gate.size)
        shaped = opened.reshape(n, self.dim, *gate.shape), bound.reshape(n, self.parts, *gate.shape)
        return Carried(*shaped, names, np.arange(n))

    # -- linear steps ------------------------------------------------------------------------------------------

    def _linear(self, number: int, step: LinearStep, states: list[Carried]) -> Carried:
        states = _aligned(states)
        n, names = len(states[0].value), self._names(number, step, states)
        value = step.linear(*(s.value.reshape(n * self.dim, *s.value.shape[2:]) for s in states))
        value = np.ascontiguousarray(value).reshape(n, self.dim, *step.shape)
        if step.moves_only:
            error = step.linear(*(s.error.reshape(n * self.parts, *s.error.shape[2:]) for s in states))
            error = np.ascontiguousarray(error).reshape(n, self.parts, *step.shape)
        else:
            error = self._linear_error(step, states)
        if step.constant is not None:
            value[:, -1] += step.constant
            if step.moves_only:
                error[:, -1] = np.where(
                    np.broadcast_to(step.constant, step.shape) == 0,
                    error[:, -1],
                    round_up(error[:, -1] + U * np.abs(value[:, -1]), 2),
                )
        return Carried(*_known(value, error), names, states[0].index)

    def _linear_error(self, step: LinearStep, states: list[Carried]) -> np.ndarray:
        """Return the bound of the module docstring; nothing is rounded where all products are zero."""
        from polygeom.kernels.row_passes import spreads

        n = len(states[0].value)
        if len(states) == 1 and step.divisors() is None and _is_diagonal(states[0], step.smallest):
            return np.zeros((n, self.parts, *step.shape))
        g, smallest, made = gamma(2 * step.terms + 8), 1.0, []
        for s in states:
            out = np.empty((n, self.parts, s.names.shape[1]))
            flat = (np.ascontiguousarray(a.reshape(*a.shape[:2], -1)) for a in (s.value, s.error))
            coefficient, error = spreads(*flat, g, out)
            smallest = min(smallest, g * coefficient, error)
            made.append(out.reshape(n * self.parts, *s.error.shape[2:]))
        lost = self.dim * underflow(step.terms, step.smallest * smallest)
        sums = step.magnitude.linear(*made)
        sums = np.ascontiguousarray(sums).reshape(n, self.parts, *step.shape)
        rounded = (sums != 0) | (lost > 0)
        if step.constant is not None:
            sums[:, -1] += g * np.abs(step.constant)
        return np.where(rounded, round_up(sums, step.terms + self.dim + 6) + lost, 0.0)

    def _names(self, number: int, step: LinearStep, states: list[Carried]) -> np.ndarray:
        """Return names of the entries that a step makes: those it moves keep theirs, padding is 0."""
        if not step.moves_only or step.constant is not None:
            return self._fresh(number + 1, step.size)
        n = max(len(s.names) for s in states)
        moved = step.linear(
            *(
                np.broadcast_to(s.names, (n, s.names.shape[1]))
                .reshape(n, *s.value.shape[2:])
                .astype(np.float64)
                for s in states
            )
        )
        return moved.reshape(n, -1).astype(np.int64)


def _equal_columns(columns: np.ndarray) -> np.ndarray:
    """Return names for the columns of an array, 1 + the first equal column, 0 for zeros."""
    _, first, group = np.unique(columns + 0.0, axis=1, return_index=True, return_inverse=True)
    return np.where(columns.any(axis=0), 1 + first[group.ravel()], 0)


def _is_rectifier(gate: Elementwise) -> np.ndarray | bool:
    """Tell which units of a gate give max(z, 0) times a positive number."""
    if gate.n_letters != 2 or not gate.is_homogeneous:
        return False
    below, above = gate.table(gate.slopes).reshape(2, -1)
    return (below == 0) & (above > 0)


def _aligned(states: list[Carried]) -> list[Carried]:
    """Return states with one and the same index, as short as can be."""
    if all(np.array_equal(s.index, states[0].index) for s in states[1:]):
        states = [s.compact() for s in states]
        if all(np.array_equal(s.index, states[0].index) for s in states[1:]):
            return states
    return [s.spread() for s in states]


def _is_diagonal(state: Carried, smallest: float) -> bool:
    """Tell whether all products with coefficients of at least `smallest` are exact.

    They are if every row of the batch is a signed power of two times a unit vector, or zero, and none
    underflows.
    """
    rows = state.value.reshape(state.value.shape[0] * state.value.shape[1], -1)
    if len(rows) > rows.shape[1] + 1 or state.error.any():
        return False
    nonzero = rows != 0
    if smallest * smallest_nonzero(rows) < TINY:
        return False
    return bool((nonzero.sum(axis=1) <= 1).all() and (np.abs(np.frexp(rows[nonzero])[0]) == 0.5).all())


def _known(value: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of 0 with an infinite bound where one of the coefficients overflowed."""
    if np.isfinite(value).all() and np.isfinite(error).all():
        return value, error
    known = np.isfinite(value).all(axis=1, keepdims=True) & np.isfinite(error).all(axis=1, keepdims=True)
    return np.where(known, value, 0.0), np.where(known, error, np.inf)
