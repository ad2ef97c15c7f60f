"""The graph of a network: linear steps and gates in execution order, with named units, and how to walk it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from polygeom.errors import InputError
from polygeom.gates import Elementwise, Gate
from polygeom.steps import LinearStep, Step

__all__ = ["Graph", "Unit", "Units"]

State = TypeVar("State")


@dataclass(frozen=True)
class Unit:
    """One unit: a column of the spline code.

    Attributes
    ----------
    column : int
        Its column in every code.
    path, call : str, int
        Dotted path of its module, and which call of that module.
    kind : str
        ``"relu"``, ``"leaky_relu"``, ``"prelu"``, ``"abs"``, ``"clamp"`` or ``"max"``.
    channel : int
        First index of its position in the gate's output.
    position : tuple of int
        The remaining (spatial) indices.
    """

    column: int
    path: str
    call: int
    kind: str
    channel: int
    position: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Units:
    """The units of a network in column order; ``units[i]`` names one, ``units.gate_of`` maps columns to gates."""

    gates: tuple[Gate, ...]

    def __len__(self) -> int:
        return sum(g.size for g in self.gates)

    @cached_property
    def starts(self) -> np.ndarray:
        """First column of every gate."""
        return np.array([g.first_column for g in self.gates], dtype=np.intp)

    def gate_of(self, columns: object) -> np.ndarray:
        """Return the index of the gate that owns each column."""
        return np.searchsorted(self.starts, np.asarray(columns), side="right") - 1

    def __getitem__(self, column: int) -> Unit:
        column = int(column)
        if not 0 <= column < len(self):
            raise InputError(f"Unit {column} does not exist: the network has {len(self)} units.")
        gate = self.gates[int(self.gate_of(column))]
        index = np.unravel_index(column - gate.first_column, gate.shape)
        kind = gate.name if isinstance(gate, Elementwise) else "max"
        channel, *position = (int(i) for i in index or (0,))  # a gate on one number has no axes
        return Unit(column, gate.path, gate.call, kind, channel, tuple(position))


@dataclass(frozen=True, eq=False)
class Graph:
    """Steps in execution order: the shape of a network, and every walk through it.

    Parameters
    ----------
    steps : tuple of Step
        Step k makes value k + 1, value 0 is the input.
    input_shape : tuple of int
        Shape of one input, without batch axis.
    output : int
        The value that is the output; the last one by default.
    """

    steps: tuple[Step, ...]
    input_shape: tuple[int, ...]
    output: int = -1

    def __post_init__(self) -> None:
        steps, column = [], 0
        for k, step in enumerate(self.steps):
            if any(not 0 <= i <= k for i in step.inputs):
                raise InputError(f"Step {k} reads values {step.inputs}, but only 0..{k} exist by then.")
            if isinstance(step, Gate):
                step = replace(step, first_column=column)
                column += step.size
            steps.append(step)
        object.__setattr__(self, "steps", tuple(steps))
        object.__setattr__(self, "input_shape", tuple(int(n) for n in self.input_shape))
        object.__setattr__(self, "output", len(steps) if self.output == -1 else self.output)

    # -- shape -------------------------------------------------------------------------------------------

    @property
    def dim_in(self) -> int:
        """Number of input coordinates."""
        return int(np.prod(self.input_shape, dtype=np.int64))

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one output, without batch axis."""
        return self.steps[self.output - 1].shape if self.output else self.input_shape

    @property
    def dim_out(self) -> int:
        """Number of output coordinates."""
        return int(np.prod(self.output_shape, dtype=np.int64))

    @cached_property
    def gates(self) -> tuple[Gate, ...]:
        """The gates, in execution order."""
        return tuple(s for s in self.steps if isinstance(s, Gate))

    @cached_property
    def units(self) -> Units:
        """The units, in column order."""
        return Units(self.gates)

    @property
    def n_units(self) -> int:
        """Number of units: columns of the spline code."""
        return len(self.units)

    @cached_property
    def letter_dtype(self) -> np.dtype:
        """Integer type that holds every letter."""
        return np.result_type(np.uint8, *(g.letter_dtype for g in self.gates))

    # -- walking -----------------------------------------------------------------------------------------

    def fold(
        self,
        start: State,
        linear: Callable[..., State],
        gate: Callable[..., State],
    ) -> State:
        """Carry a state through the graph: ``linear(step, *states)`` and ``gate(step, state)`` make the next.

        Every walk (values, running error bounds, columns, rationals) is this one; states are dropped after
        their last reader, so memory is that of the widest cut of the graph.
        """
        readers = self.last_readers
        states: dict[int, State] = {0: start}
        for k, step in enumerate(self.steps, start=1):
            arguments = [states[i] for i in step.inputs]
            states[k] = gate(step, *arguments) if isinstance(step, Gate) else linear(step, *arguments)
            for i in {*step.inputs, k}:
                if readers.get(i, 0) <= k and i != self.output:
                    del states[i]
        return states[self.output]

    def fold_back(
        self,
        seeds: dict[int, State],
        linear: Callable[[LinearStep, State], tuple[State, ...]],
        gate: Callable[[Gate, State], State],
        add: Callable[[State, State], State],
    ) -> State | None:
        """Carry states back from values to the input: the adjoint of `fold`; None if nothing reaches it.

        `seeds` maps value numbers to states; ``linear`` returns one state per input of the step.
        """
        states = dict(seeds)
        for k in range(len(self.steps), 0, -1):
            if k not in states:
                continue
            step, state = self.steps[k - 1], states.pop(k)
            parts = (gate(step, state),) if isinstance(step, Gate) else linear(step, state)
            for i, part in zip(step.inputs, parts, strict=True):
                states[i] = add(states[i], part) if i in states else part
        return states.get(0)

    @cached_property
    def last_readers(self) -> dict[int, int]:
        """For each value that is read, the last step (counted from 1) that reads it."""
        return {i: k for k, step in enumerate(self.steps, start=1) for i in step.inputs}
