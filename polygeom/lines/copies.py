"""Entries that are one function on a whole line, by construction: equal pixels, and all that sees only those.

Where two images agree, or are flat, their windows tie at every point of the line. Floats cannot tell such a tie
from a boundary, and rationals are out of reach in large networks; but entries that one function of equal entries
makes are equal, whatever the letters. Numbers are carried through the graph once per line: equal numbers, equal
functions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from polygeom.affine import AffineMap
from polygeom.gates import Elementwise, Gate
from polygeom.graph import Graph
from polygeom.steps import Concatenate, Convolution, Gather, LinearStep, Scale, Sum

__all__ = ["copies"]

Numbers = np.ndarray | None
"""One number per entry (size,), equal ones for one function; None if no two entries are known to be one."""


def copies(net: Graph, line: AffineMap) -> list[Numbers]:
    """Return the numbers of the input's and all steps' entries on a line.

    Convolutions are followed by positions: two positions are one if all their channels are. Entries of dense
    layers and averages are taken for different. Cost: sorting one integer per weight of a kernel and position.
    """
    found = [_numbered(line.offset, line.matrix[:, 0])]
    if found[0] is None:
        return [None] * (len(net.steps) + 1)
    for step in net.steps:
        arriving = [found[i] for i in step.inputs]
        if all(numbers is None for numbers in arriving):
            found.append(None)
        elif isinstance(step, Gate):
            found.append(_behind_gate(step, arriving[0]))
        else:
            found.append(_behind_linear(step, _spelled_out(arriving, step.shapes)))
    return found


def _numbered(*columns: np.ndarray) -> Numbers:
    """Return equal numbers for equal rows of some columns, None if all rows differ."""
    distinct, number = np.unique(np.column_stack(columns), axis=0, return_inverse=True)
    return number.ravel().astype(np.int64) if len(distinct) < number.size else None


def _spelled_out(arriving: list[Numbers], shapes: tuple[tuple[int, ...], ...]) -> list[np.ndarray]:
    """Return numbers from 1 on, in the shapes of the values, of different values different ones."""
    spelled, first = [], 1
    for numbers, shape in zip(arriving, shapes, strict=True):
        size = int(np.prod(shape, dtype=np.int64))
        spelled.append(first + (np.arange(size) if numbers is None else numbers).reshape(shape))
        first += size
    return spelled


def _behind_gate(gate: Gate, numbers: np.ndarray) -> Numbers:
    """Return the numbers behind a gate: one function of equal entries, the maxima of equal windows."""
    if isinstance(gate, Elementwise):
        tables = (gate.table(a).reshape(len(a), -1) for a in (gate.breakpoints, gate.slopes, gate.offsets))
        return _numbered(numbers, *np.concatenate(list(tables)))
    window = np.where(gate.valid, numbers[np.maximum(gate.index, 0)], -1)
    return _numbered(*np.sort(window, axis=1).T)


def _behind_linear(step: LinearStep, arriving: list[np.ndarray]) -> Numbers:
    """Return the numbers behind a linear step."""
    constant = np.zeros(1) if step.constant is None else step.constant
    constant = np.broadcast_to(constant, step.shape).ravel()
    if isinstance(step, (Gather, Concatenate)):  # 0 is what padding moves in
        moved = step.linear(*(numbers[None].astype(np.float64) for numbers in arriving))
        return _numbered(moved.ravel(), constant)
    if isinstance(step, Scale):
        return _numbered(arriving[0].ravel(), np.broadcast_to(step.scale, step.shape).ravel(), constant)
    if isinstance(step, Sum):
        return _numbered(*(np.broadcast_to(n, step.shape).ravel() for n in arriving), constant)
    if isinstance(step, Convolution):
        seen = _seen_positions(step, arriving[0])
        if seen is None:
            return None
        channel = np.repeat(np.arange(step.shape[0]), len(seen))
        return _numbered(channel, np.tile(seen, step.shape[0]), constant)
    return None


def _seen_positions(step: Convolution, numbers: np.ndarray) -> Numbers:
    """Return equal numbers for positions behind a convolution that see equal entries in all channels."""
    channels, kernel, spatial = len(numbers), step.weight.shape[2:], step.shapes[0][1:]
    position = _numbered(*numbers.reshape(channels, -1))
    if position is None:
        return None
    taps = int(np.prod(kernel))
    one_each = replace(
        step,
        weight=np.eye(taps).reshape(taps, 1, *kernel),
        constant=None,
        groups=1,
        shapes=((1, *spatial),),
        shape=(taps, *step.shape[1:]),
    )
    seen = one_each.linear(1.0 + position.reshape(1, 1, *spatial))  # 0 is padding
    return _numbered(*seen.reshape(taps, -1))
