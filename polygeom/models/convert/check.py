r"""The check every converted network passes: it agrees with the original, value by value.

The original program runs in its framework on random inputs. Each step of the network is then given the
original's values and must reproduce the original's result. This localizes every error and keeps the tolerance
honest: end to end, a rounding bound grows by the product of the layers' norms and says nothing in deep networks.

Tolerance
---------
Both sides round. With ``M = |L||x| + |c|`` and n products per entry, either side is within ``dot_error(M, n)``
of the exact step, in whatever order it sums; an original in float32 within ``dot_error32(M, n)``
(`polygeom.rounding`).

Where a normalization was folded, :math:`y = s x + (b - m s)`, five roundings make s (a sum, a root, a
quotient, two to spare), two more the shift, whose parts add up to ``F = |b| + |m s|`` before they cancel; the
original makes as many: at most ``dot_error(M + F, 8)`` on either side.
A step that matches no tensor of the original inherits the errors of the values it reads, through ``|L|``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from polygeom.errors import ConversionError
from polygeom.gates import Elementwise, Gate
from polygeom.models.convert.layout import Traced
from polygeom.models.convert.lowering import GraphBuilder
from polygeom.network import Network
from polygeom.rounding import dot_error, dot_error32
from polygeom.steps import LinearStep

__all__ = ["checked_network", "keeps_rows_apart"]

_SMALL = 2_000_000
"""Entries of all values of one input below which a network is checked at several scales of the input."""


def checked_network(
    builder: GraphBuilder,
    output: object,
    run: Callable[[np.ndarray], Iterable[tuple[Traced, np.ndarray]]],
    dtype: type = np.float64,
    others: Sequence[tuple[int, ...]] = (),
) -> Network:
    """Return the network up to `output`, after comparing it with the original on random inputs.

    Parameters
    ----------
    run : callable
        Takes a random input in its traced shape and yields what the original computes for every tensor.
    dtype : type
        The precision the original computes in.
    others : sequence of shapes
        Other shapes of the input that `run` takes, as batches of another size.

    Raises
    ------
    ConversionError
        If the output is a constant, or a step disagrees.
    """
    if not isinstance(output, Traced):
        raise ConversionError("The output does not depend on the input: the network would be a constant.")
    net, numbers = builder.finish(output)
    folding = {numbers[k]: v for k, v in builder.folding.items() if k in numbers}
    big = sum(step.size for step in net.steps) > _SMALL
    rng = np.random.default_rng(0)
    scales = (1.0,) if big else (1.0, 0.125, 8.0)
    for shape, scale in itertools.product((builder.input.shape, *others), scales):
        x = (scale * rng.standard_normal(shape)).astype(dtype)
        originals = {
            numbers[value.number]: value.samples(tensor)
            for value, tensor in run(x)
            if value.number in numbers
        }
        _compare_steps(net, originals, folding, dtype)
    return net


def keeps_rows_apart(
    run: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...], dtype: type = np.float64
) -> bool:
    """Whether a program treats the two rows of a batch alike and one by one, judged by random inputs.

    So it is if, along some axis, one half of its result never changes with the other row, and swapping the rows
    swaps the halves. Both are compared bit by bit: the operations on a row are the same, wherever it stands.

    Parameters
    ----------
    run : callable
        Takes (2, *shape), returns the program's result.
    """
    rng = np.random.default_rng(0)
    axes: set[int] | None = None
    for scale in (1.0, 0.125, 8.0):
        first, second, other = (scale * rng.standard_normal((3, *shape))).astype(dtype)
        result, swapped, low, high = (
            run(np.stack(rows))
            for rows in ((first, second), (second, first), (other, second), (first, other))
        )
        fit = {
            axis
            for axis, size in enumerate(result.shape)
            if size % 2 == 0 and _halves_agree(axis, result, swapped, low, high)
        }
        axes = fit if axes is None else axes & fit
    return bool(axes)


def _halves_agree(
    axis: int, result: np.ndarray, swapped: np.ndarray, low: np.ndarray, high: np.ndarray
) -> bool:
    """Whether halves along an axis belong to the rows: `low` has another first row, `high` another second."""
    if not result.shape == swapped.shape == low.shape == high.shape:
        return False
    mine, theirs, kept_second, kept_first = (
        np.split(array, 2, axis) for array in (result, swapped, low, high)
    )
    return (
        np.array_equal(mine[0], theirs[1])
        and np.array_equal(mine[1], theirs[0])
        and np.array_equal(mine[1], kept_second[1])
        and np.array_equal(mine[0], kept_first[0])
    )


def _compare_steps(
    net: Network, originals: dict[int, np.ndarray], folding: dict[int, np.ndarray], dtype: type
) -> None:
    """Compare every step with the original's tensors.

    Parameters
    ----------
    originals : dict
        For value numbers (0 included): what the original computed, (N, *shape of the value).
    folding : dict
        For values made by a folded normalization: F of the module docstring.
    dtype : type
        The precision the original computed in.

    Raises
    ------
    ConversionError
        Naming the first step that disagrees.
    """
    rounding = _Rounding(dtype)
    values = {0: np.asarray(originals[0], dtype=np.float64)}
    errors: dict[int, np.ndarray | float] = {0: 0.0}
    for k, step in enumerate(net.steps, start=1):
        read = [values[i] for i in step.inputs]
        doubts = [np.broadcast_to(errors[i], v.shape) for i, v in zip(step.inputs, read, strict=True)]
        if isinstance(step, Gate):
            value, error = rounding.gate(step, read[0], doubts[0])
        else:
            value, error = rounding.linear(step, read, doubts, folding.get(k))
        if k in originals:
            _compare(step, value, np.asarray(originals[k], dtype=np.float64), error)
            value, error = np.asarray(originals[k], dtype=np.float64), 0.0
        values[k], errors[k] = value, error


class _Rounding:
    """Values of steps, with bounds on the difference to what another float implementation gets."""

    def __init__(self, dtype: type) -> None:
        self.theirs = dot_error32 if dtype is np.float32 else dot_error

    def bound(self, magnitude: np.ndarray, n: int) -> np.ndarray:
        """Return both sides' distance from the exact step, together."""
        return dot_error(magnitude, n) + self.theirs(magnitude, n)

    def linear(
        self, step: LinearStep, read: list[np.ndarray], doubts: list[np.ndarray], folded: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        magnitude = step.magnitude.forward(*(np.abs(v) for v in read))
        error = self.bound(magnitude, step.terms)
        if folded is not None:
            error = error + self.bound(magnitude + folded, 8)
        if any(d.any() for d in doubts):
            error = error + step.magnitude.linear(*doubts)
        return step.forward(*read), error

    def gate(self, step: Gate, x: np.ndarray, doubt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        letters = step.read(x)
        if isinstance(step, Elementwise):
            slopes, offsets = step.chosen(step.slopes, letters), step.chosen(step.offsets, letters)
            steepest = np.abs(step.table(step.slopes)).max(axis=0)
            error = steepest * doubt + self.bound(np.abs(slopes * x) + np.abs(offsets), 2)
            return slopes * x + offsets, error
        error = step.window(doubt, 0.0).max(axis=2).reshape(len(x), *step.shape)
        largest = step.window(x, -np.inf).max(axis=2)
        return largest.reshape(len(x), *step.shape), error


def _compare(step: object, value: np.ndarray, original: np.ndarray, error: np.ndarray) -> None:
    if value.shape != original.shape:
        raise ConversionError(
            f"The converted network disagrees with the original in module '{step.path}': "
            f"{type(step).__name__} makes shape {value.shape[1:]}, the original {original.shape[1:]}."
        )
    distance = np.abs(value - original)
    wrong = ~(distance <= error)  # NaN is wrong
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        allowed = np.broadcast_to(error, value.shape)[at]
        raise ConversionError(
            f"The converted network disagrees with the original in module '{step.path}' ({type(step).__name__}): "
            f"{value[at]} instead of {original[at]} at {at[1:]}, more than rounding explains ({allowed:.1e}). "
            "Either the original computes with the size of the batch, or it is not the function its graph "
            "describes, or this is a bug in the conversion."
        )
