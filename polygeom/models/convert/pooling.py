"""Windows: pooling of every kind, sums, means and maxima over axes.

A window table (out, k) holds, for every output position along one axis, the input positions of its window, -1
where the window leaves the input. Tables of several axes are combined to flat positions; no loop runs over
pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from polygeom.arrays import freeze
from polygeom.errors import ConversionError
from polygeom.models.convert.layout import BatchMixedError, Traced
from polygeom.models.convert.lowering import GraphBuilder
from polygeom.steps import Average

__all__ = [
    "Window",
    "adaptive_table",
    "average_pool",
    "max_pool",
    "pool_counts",
    "reduce_max",
    "reduce_sum",
    "table",
]


class Window(NamedTuple):
    """A sliding window along one axis; `low` and `high` are the paddings before and after."""

    kernel: int
    stride: int = 1
    low: int = 0
    high: int = 0
    dilation: int = 1
    ceil: bool = False

    def outputs(self, n: int) -> int:
        """Return the number of windows on an axis of n entries.

        With `ceil` the last window may hang over, but it must start inside the input or the padding before it.
        """
        room = n + self.low + self.high - self.dilation * (self.kernel - 1) - 1
        count = (-(-room // self.stride) if self.ceil else room // self.stride) + 1
        return count - (self.ceil and (count - 1) * self.stride >= n + self.low)


def table(window: Window, n: int) -> np.ndarray:
    """Return the window table (out, kernel) of an axis of n entries."""
    starts = np.arange(window.outputs(n))[:, None] * window.stride - window.low
    positions = starts + np.arange(window.kernel) * window.dilation
    return np.where((positions >= 0) & (positions < n), positions, -1)


def adaptive_table(n: int, outputs: int) -> np.ndarray:
    """Return the window table of adaptive pooling: window i is floor(i n / out) ... ceil((i + 1) n / out) - 1."""
    i = np.arange(outputs)
    starts, ends = i * n // outputs, -(-(i + 1) * n // outputs)
    positions = starts[:, None] + np.arange((ends - starts).max(initial=1))
    return np.where(positions < ends[:, None], positions, -1)


def pool_counts(windows: Sequence[Window], sizes: Sequence[int]) -> np.ndarray:
    """Return the divisors of average pooling that counts the padding: windows clipped to the padded input."""
    counts = np.ones(1, dtype=np.int64)
    for window, n in zip(windows, sizes, strict=True):
        starts = np.arange(window.outputs(n)) * window.stride - window.low
        positions = starts[:, None] + np.arange(window.kernel) * window.dilation
        counts = np.multiply.outer(counts, (positions < n + window.high).sum(axis=1))
    return counts.ravel()


def _combined(tables: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """Return flat positions (windows, entries of a window), -1 outside, of windows over several axes."""
    index = np.zeros((1, 1), dtype=np.intp)
    for positions, n in zip(tables, sizes, strict=True):
        outside = (index < 0)[:, None, :, None] | (positions < 0)[None, :, None, :]
        index = np.where(outside, -1, index[:, None, :, None] * n + positions[None, :, None, :])
        index = index.reshape(index.shape[0] * index.shape[1], -1)
    return index


def _pooled(value: Traced, dims: int, outputs: Sequence[int]) -> Traced:
    """Return the layout of the result of pooling the last `dims` axes."""
    if value.axis is not None and value.axis >= len(value.shape) - dims:
        raise BatchMixedError("pools over the batch axis")
    return replace(value, shape=(*value.shape[:-dims], *outputs))


def max_pool(builder: GraphBuilder, value: Traced, tables: Callable[[tuple[int, ...]], list]) -> Traced:
    """Return the maximum over windows of the last axes.

    Parameters
    ----------
    tables : callable
        The window tables, one per pooled axis, of the tensor's shape.
    """
    chosen = tables(value.shape)
    result = _pooled(value, len(chosen), [len(t) for t in chosen])
    spatial = value.sample_shape[-len(chosen) :]
    index = _combined(chosen, spatial)
    if (index < 0).all(axis=1).any():
        raise ConversionError(
            f"A window of the max-pool in module '{builder.path}' holds nothing but padding: its maximum is "
            "minus infinity. Pad less."
        )
    size = int(np.prod(spatial))
    offsets = np.arange(int(np.prod(value.sample_shape[: -len(chosen)]))) * size
    index = np.where(index >= 0, index + offsets[:, None, None], -1).reshape(-1, index.shape[1])
    return builder.largest(value, index, result)


def average_pool(
    builder: GraphBuilder,
    value: Traced,
    tables: Callable[[tuple[int, ...]], list],
    counts: np.ndarray | int | None = None,
) -> Traced:
    """Return the average over windows of the last axes; without `counts` over the entries inside the input."""
    chosen = tables(value.shape)
    result = _pooled(value, len(chosen), [len(t) for t in chosen])
    index = _combined(chosen, value.sample_shape[-len(chosen) :])
    counts = (index >= 0).sum(axis=1) if counts is None else np.broadcast_to(counts, len(index))
    outputs = tuple(len(t) for t in chosen)
    size = int(np.prod(value.sample_shape[-len(chosen) :]))
    number = _average(builder, value, _windows(index, size), counts, (-1, *outputs))
    return replace(result, number=builder.reshaped(number, result.sample_shape))


def _windows(index: np.ndarray, size: int) -> object:
    """Return the 0/1 matrix (windows, positions) of flat positions."""
    import scipy.sparse

    inside = index >= 0
    indptr = np.concatenate([[0], np.cumsum(inside.sum(axis=1))])
    return scipy.sparse.csr_array((np.ones(indptr[-1]), index[inside], indptr), shape=(len(index), size))


def _average(
    builder: GraphBuilder, value: Traced, windows: object, counts: np.ndarray, shape: tuple[int, ...]
) -> int:
    """Append the averages of (groups, positions); `shape` starts with -1 for the groups."""
    groups = int(np.prod(value.sample_shape, dtype=np.int64)) // windows.shape[1]
    fields = {"windows": windows, "counts": freeze(np.array(counts, dtype=np.int64))}
    return builder.append(Average, (value.number,), (groups, *shape[1:]), **fields)


def _axes(value: Traced, axes: Sequence[int] | None) -> tuple[list[int], list[int]]:
    """Return reduced axes of the trace, and the same counted in one input."""
    every = range(len(value.shape)) if axes is None or not len(axes) else axes
    traced = sorted({a % len(value.shape) for a in every})
    return traced, [value.sample_axis(a) for a in traced]


def _reduced(value: Traced, axes: list[int], keepdim: bool) -> Traced:
    """Return the layout of the result of a reduction over axes of the trace."""
    kept = [1 if a in axes else n for a, n in enumerate(value.shape) if keepdim or a not in axes]
    axis = value.axis
    if axis is not None and not keepdim:
        axis -= sum(a < axis for a in axes)
    return replace(value, shape=tuple(kept), axis=axis)


def reduce_sum(
    builder: GraphBuilder, value: Traced, axes: Sequence[int] | None, keepdim: bool, mean: bool
) -> Traced:
    """Return sums or means over axes of the trace; None or no axes are all of them."""
    traced, own = _axes(value, axes)
    result, shape = _reduced(value, traced, keepdim), value.sample_shape
    grouped = bool(shape) and 0 not in own  # the first axis stays: it is the axis of groups
    rest = shape[1:] if grouped else shape
    reduced = {a - grouped for a in own}
    kept = tuple(1 if a in reduced else n for a, n in enumerate(rest))
    into = np.broadcast_to(np.arange(int(np.prod(kept))).reshape(kept), rest).ravel()
    order = np.argsort(into, kind="stable").reshape(int(np.prod(kept)), -1)
    counts = np.full(len(order), order.shape[1] if mean else 1)
    number = _average(builder, value, _windows(order, into.size), counts, (-1, *kept))
    return replace(result, number=builder.reshaped(number, result.sample_shape))


def reduce_max(builder: GraphBuilder, value: Traced, axes: Sequence[int] | None, keepdim: bool) -> Traced:
    """Return maxima over axes of the trace."""
    traced, own = _axes(value, axes)
    shape = value.sample_shape
    positions = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.intp).reshape(shape)
    kept = [a for a in range(len(shape)) if a not in own]
    width = int(np.prod([shape[a] for a in own], dtype=np.int64))
    index = np.ascontiguousarray(positions.transpose(*kept, *own)).reshape(-1, width)
    return builder.largest(value, index, _reduced(value, traced, keepdim))
