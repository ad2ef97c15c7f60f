"""Building a network step by step from the operations of a traced program.

Both front ends (torch and ONNX) call the same verbs. Constants are folded before they arrive here; a verb takes
`Traced` tensors and arrays, looks up what belongs to one input (`layout`), and appends steps.

All data movement is one verb, `GraphBuilder.move`: the framework's own operation runs on an array of positions
(and on zeros, which shows the constants it fills in), and where each position arrives is the index of a
`Gather`. Reshaping, permuting, slicing, padding, indexing, pixel shuffling need no code of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeGuard

import numpy as np

from polygeom.arrays import as_array, freeze
from polygeom.errors import ConversionError
from polygeom.gates import Elementwise, MaxGate, elementwise_gate
from polygeom.models.convert.layout import BatchMixedError, Traced, find_batch
from polygeom.network import Network
from polygeom.steps import Concatenate, Convolution, Dense, Gather, Scale, Step, Sum, TransposedConvolution

__all__ = ["Geometry", "GraphBuilder"]

Moved = Traced | np.ndarray


class Geometry(NamedTuple):
    """How a convolution slides; one entry, or (before, after) pair, per spatial axis."""

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int = 1

    def outputs(self, spatial: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int, ...]:
        """Return the number of positions along every spatial axis."""
        axes = zip(spatial, kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple((n + low + high - d * (k - 1) - 1) // s + 1 for n, k, s, (low, high), d in axes)

    def inputs(self, spatial: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int, ...]:
        """Return the fewest entries along every spatial axis that give this many positions."""
        axes = zip(spatial, kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple((n - 1) * s + d * (k - 1) + 1 - low - high for n, k, s, (low, high), d in axes)


class GraphBuilder:
    """Appends steps; every verb returns the new `Traced` tensor.

    Parameters
    ----------
    shape : tuple of int
        Shape of the traced input.
    batch : int
        Number of inputs in it, along the first axis; 1 with ``axis=None`` when the tensor is one input.

    Attributes
    ----------
    path, call : str, int
        Written into the steps appended next.
    folding : dict
        For values made by folding a normalization: the absolute values that were added up (`check`).
    """

    def __init__(self, shape: tuple[int, ...], batch: int, axis: int | None = 0) -> None:
        self.input = Traced(0, tuple(shape), batch, axis)
        self.path, self.call = "", 0
        self.steps: list[Step] = []
        self.shapes: list[tuple[int, ...]] = [self.input.sample_shape]
        self.folding: dict[int, np.ndarray] = {}

    # -- plumbing ----------------------------------------------------------------------------------------

    def append(
        self, kind: type[Step], inputs: tuple[int, ...], shape: tuple[int, ...], **fields: object
    ) -> int:
        """Append a step that reads values by number; return the number of the value it makes."""
        at = {"inputs": inputs, "shapes": tuple(self.shapes[i] for i in inputs), "shape": tuple(shape)}
        self.steps.append(kind(**at, path=self.path, call=self.call, **fields))
        self.shapes.append(tuple(shape))
        return len(self.steps)

    def reshaped(self, number: int, shape: tuple[int, ...]) -> int:
        """Return the value with another shape of the same size, entries in row-major order."""
        if self.shapes[number] == tuple(shape):
            return number
        index = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.intp).reshape(shape)
        return self.append(Gather, (number,), shape, index=freeze(index))

    def finish(self, output: Traced) -> tuple[Network, dict[int, int]]:
        """Return the network up to `output`, without dead steps, and old value numbers -> new ones.

        A constant added right after a linear map that nothing else reads becomes that map's own constant.
        """
        needed, readers = {output.number}, dict.fromkeys(range(len(self.steps) + 1), 0)
        for k in range(len(self.steps), 0, -1):
            if k in needed:
                needed.update(self.steps[k - 1].inputs)
                for i in set(self.steps[k - 1].inputs):
                    readers[i] += 1
        numbers: dict[int, int] = {0: 0}
        steps: list[Step] = []
        for k, step in enumerate(self.steps, start=1):
            if k not in needed:
                continue
            step = replace(step, inputs=tuple(numbers[i] for i in step.inputs))
            previous = steps[step.inputs[0] - 1] if step.inputs[0] else step
            if _is_shift(step) and _takes_constant(previous) and readers[self.steps[k - 1].inputs[0]] == 1:
                steps[step.inputs[0] - 1] = replace(previous, constant=step.constant)
                numbers.pop(self.steps[k - 1].inputs[0])
                numbers[k] = step.inputs[0]
            else:
                steps.append(step)
                numbers[k] = len(steps)
        network = Network(tuple(steps), self.input.sample_shape, numbers[output.number])
        return network, numbers

    # -- movement ----------------------------------------------------------------------------------------

    def move(self, values: Sequence[Traced], run: Callable[..., object]) -> Moved | tuple[Moved, ...]:
        """Return what an operation that only moves, copies, drops and fills in entries makes of `values`.

        Parameters
        ----------
        values : sequence of Traced
            The computed tensors it reads.
        run : callable
            Takes one float64 array per tensor, in its traced shape; returns an array or a sequence of them.

        Returns
        -------
        Traced, array or tuple of them
            An array where no entry of `values` arrives: a constant.
        """
        sizes = [int(np.prod(v.sample_shape, dtype=np.int64)) for v in values]
        total, starts = sum(sizes), np.cumsum([0, *sizes])[:-1]
        positions = []
        for value, size, start in zip(values, sizes, starts, strict=True):
            own = np.arange(value.batch)[:, None] * total + start + np.arange(1, size + 1)
            positions.append(value.traced(own.astype(np.float64).reshape(-1, *value.sample_shape)))
        moved, filled = run(*positions), run(*(np.zeros(v.shape) for v in values))
        if isinstance(moved, np.ndarray):
            return self._moved(values, starts, moved, filled)
        return tuple(self._moved(values, starts, m, f) for m, f in zip(moved, filled, strict=True))

    def _moved(
        self, values: Sequence[Traced], starts: np.ndarray, moved: np.ndarray, fill: np.ndarray
    ) -> Moved:
        with np.errstate(invalid="ignore"):  # an infinite fill minus itself
            distance = np.where(moved == fill, 0.0, np.subtract(moved, fill, dtype=np.float64))
        index = distance.astype(np.intp) - 1
        if (index < 0).all():
            return fill
        total = int(starts[-1] + np.prod(values[-1].sample_shape, dtype=np.int64))
        found = find_batch(index, values[0].batch, total)
        if found is None:
            raise BatchMixedError("moves entries between the inputs of a batch")
        axis, fold, local = found
        result = Traced(0, index.shape, values[0].batch, axis, fold)
        owners = [0]
        if len(values) > 1:
            owners = np.unique(np.searchsorted(starts, local[local >= 0], side="right") - 1)
        if len(owners) == 1:
            number, local = values[owners[0]].number, np.where(local >= 0, local - starts[owners[0]], -1)
        else:
            flat = tuple(self.reshaped(v.number, (_size(v.sample_shape),)) for v in values)
            number = self.append(Concatenate, flat, (total,), axis=0)
        constant = self._same_for_all(result, fill) if fill.any() else None
        return replace(result, number=self._gather(number, local, constant))

    def _gather(self, number: int, index: np.ndarray, constant: np.ndarray | None) -> int:
        size = _size(self.shapes[number])
        if constant is None and index.size == size and (index.ravel() == np.arange(size)).all():
            return self.reshaped(number, index.shape)
        index = np.asarray(index, order="C")
        fields = {"index": freeze(index), "constant": None if constant is None else freeze(constant)}
        return self.append(Gather, (number,), index.shape, **fields)

    def expand(self, value: Traced, shape: tuple[int, ...]) -> Traced:
        """Return the tensor broadcast to a traced shape."""
        if value.shape == tuple(shape):
            return value
        return self.move((value,), lambda t: np.broadcast_to(t, shape))

    def align(self, values: Sequence[Traced]) -> list[Traced]:
        """Return tensors broadcast to their common shape, the batch along the same axis in all."""
        shape = np.broadcast_shapes(*(v.shape for v in values))
        return self._same_layout([self.expand(v, shape) for v in values])

    def _same_layout(self, values: Sequence[Traced]) -> list[Traced]:
        first, result = values[0], []
        for value in values:
            if (value.axis, value.fold) != (first.axis, first.fold):
                if value.batch > 1:
                    raise BatchMixedError("pairs entries of different inputs of a batch")
                # One input: the layouts differ by axes of size 1 only.
                layout = replace(first, shape=value.shape)
                value = replace(layout, number=self.reshaped(value.number, layout.sample_shape))
            result.append(value)
        return result

    def _same_for_all(self, value: Traced, constant: np.ndarray) -> np.ndarray:
        rows = value.samples(constant)
        if (rows != rows[0]).any():
            raise BatchMixedError("uses a constant that differs between the inputs of a batch")
        return as_array(np.array(rows[0], dtype=np.float64), f"a constant in module '{self.path}'")

    def fit(self, value: Traced, constant: object) -> tuple[Traced, np.ndarray]:
        """Return the tensor, broadcast against a constant, and the constant for one input.

        Raises
        ------
        InputError
            If the constant holds NaN or infinities.
        """
        array = as_array(constant, f"a constant in module '{self.path}'")
        if array.size == 1 and array.ndim <= len(value.shape):
            return value, array.reshape(())
        shape = np.broadcast_shapes(value.shape, array.shape)
        value = self.expand(value, shape)
        array = self._same_for_all(value, array.reshape(*(1,) * (len(shape) - array.ndim), *array.shape))
        return value, freeze(array)

    # -- linear steps ------------------------------------------------------------------------------------

    def affine(self, value: Traced, scale: object = 1.0, shift: object = None) -> Traced:
        """Return scale * x + shift, both numbers or arrays that broadcast against the tensor."""
        if shift is not None:
            value, shift = self.fit(value, shift)
            shift = shift if shift.any() else None
        value, scale = self.fit(value, scale)
        if scale.size > 1:
            fields = {"scale": scale, "constant": shift}
            return replace(value, number=self.append(Scale, (value.number,), value.sample_shape, **fields))
        if shift is None and scale.item() == 1.0:
            return value
        return self.add([value], [scale.item()], shift)

    def add(self, values: Sequence[Traced], coefficients: Sequence[float], constant: object = None) -> Traced:
        """Return the combination of tensors that broadcast against each other."""
        values = self.align(values)
        fields = {"coefficients": tuple(float(c) for c in coefficients), "constant": constant}
        number = self.append(Sum, tuple(v.number for v in values), values[0].sample_shape, **fields)
        return replace(values[0], number=number)

    def dense(self, value: Traced, weight: object, bias: object = None) -> Traced:
        """Return x W' + c along the last axis."""
        weight = as_array(weight, f"the weight in module '{self.path}'")
        value.sample_axis(-1)
        shape = (*value.sample_shape[:-1], len(weight))
        constant = None if bias is None else as_array(bias, f"the bias in module '{self.path}'")
        number = self.append(Dense, (value.number,), shape, weight=weight, constant=constant)
        return replace(value, number=number, shape=(*value.shape[:-1], len(weight)))

    def convolve(self, value: Traced, weight: object, bias: object, geometry: Geometry) -> Traced:
        """Return the convolution of (batch, channels, *spatial)."""
        weight, constant = self._kernel(value, weight, bias)
        shape = (len(weight), *geometry.outputs(value.sample_shape[1:], weight.shape[2:]))
        fields = {"weight": weight, "constant": constant, **geometry._asdict()}
        number = self.append(Convolution, (value.number,), shape, **fields)
        return replace(value, number=number, shape=shape if value.axis is None else (value.shape[0], *shape))

    def convolve_transposed(
        self, value: Traced, kernel: tuple[object, object], geometry: Geometry, extra: tuple[int, ...]
    ) -> Traced:
        """Return the transposed convolution of (batch, channels, *spatial) by a kernel (weight, bias).

        It is the adjoint of the convolution of this geometry, from an input with `extra` entries more than needed
        along every spatial axis.
        """
        weight, constant = self._kernel(value, *kernel)
        own, sizes = value.sample_shape, weight.shape[2:]
        spatial = tuple(n + e for n, e in zip(geometry.inputs(own[1:], sizes), extra, strict=True))
        if geometry.outputs(spatial, sizes) != own[1:]:
            raise ConversionError(
                f"The transposed convolution in module '{self.path}' has output_padding {extra}, wanted less than "
                f"its stride {geometry.stride}: it is the adjoint of no convolution."
            )
        shape = (weight.shape[1] * geometry.groups, *spatial)
        at = {"inputs": (0,), "shapes": (shape,), "shape": own, "path": self.path, "call": self.call}
        convolution = Convolution(weight=weight, **geometry._asdict(), **at)
        fields = {"convolution": convolution, "constant": constant}
        number = self.append(TransposedConvolution, (value.number,), shape, **fields)
        return replace(value, number=number, shape=shape if value.axis is None else (value.shape[0], *shape))

    def _kernel(self, value: Traced, weight: object, bias: object) -> tuple[np.ndarray, np.ndarray | None]:
        """Return weight and bias of a convolution of a tensor, the bias as its constant."""
        weight = as_array(weight, f"the weight in module '{self.path}'")
        dims = weight.ndim - 2
        if dims > 2:
            raise ConversionError(f"Module '{self.path}' convolves over {dims} spatial axes, wanted 1 or 2.")
        if value.fold > 1 or value.axis not in (0, None) or len(value.sample_shape) != dims + 1:
            raise BatchMixedError("convolves over the batch axis")
        if bias is None:
            return weight, None
        return weight, as_array(bias, f"the bias in module '{self.path}'").reshape(-1, *(1,) * dims)

    def normalize(
        self, value: Traced, statistics: tuple[object, object], weight: object, bias: object, eps: float
    ) -> Traced:
        r"""Return batch normalization with fixed statistics (mean, variance) along axis 1, folded in float64.

        .. math:: s = w / \sqrt{v + \epsilon}, \qquad y = s x + (b - m s).

        The rounded s and b - m s are the network's parameters from here on.
        """
        mean, variance = (as_array(a, f"the running statistics in module '{self.path}'") for a in statistics)
        weight = (
            np.ones_like(mean) if weight is None else as_array(weight, f"the weight in module '{self.path}'")
        )
        bias = np.zeros_like(mean) if bias is None else as_array(bias, f"the bias in module '{self.path}'")
        scale = weight / np.sqrt(variance + eps)
        along = (-1, *(1,) * (len(value.shape) - 2))
        result = self.affine(value, scale.reshape(along), (bias - mean * scale).reshape(along))
        if result.number != value.number:
            magnitude = (np.abs(bias) + np.abs(mean * scale)).reshape(along)
            self.folding[result.number] = self.fit(result, magnitude)[1]
        return result

    def concatenate(self, values: Sequence[Moved], axis: int) -> Traced:
        """Return tensors and constants side by side along an axis of the trace."""
        shapes = [v.shape for v in values]
        if all(isinstance(v, Traced) for v in values) and len({len(s) for s in shapes}) == 1:
            values = self._same_layout(values)
            along = values[0].sample_axis(axis)
            shape = list(values[0].shape)
            shape[axis] = sum(s[axis] for s in shapes)
            result = replace(values[0], shape=tuple(shape))
            numbers = tuple(v.number for v in values)
            return replace(result, number=self.append(Concatenate, numbers, result.sample_shape, axis=along))
        computed = [v for v in values if isinstance(v, Traced)]

        def run(*arrays: np.ndarray) -> np.ndarray:
            given = iter(arrays)
            return np.concatenate([next(given) if isinstance(v, Traced) else v for v in values], axis)

        return self.move(computed, run)

    # -- gates -------------------------------------------------------------------------------------------

    def gate(self, value: Traced, name: str, *parameters: object) -> Traced:
        """Return an element-wise unit that `elementwise_gate` knows; parameters broadcast against the tensor."""
        fitted = []
        for parameter in parameters:
            if parameter is not None:
                value, parameter = self.fit(value, parameter)
            fitted.append(parameter)
        tables = elementwise_gate(name, *fitted)
        tables = {k: v if isinstance(v, str) else freeze(v) for k, v in tables.items()}
        return replace(value, number=self.append(Elementwise, (value.number,), value.sample_shape, **tables))

    def largest(self, value: Traced, index: np.ndarray, result: Traced) -> Traced:
        """Return the maximum over windows (size, k) of flat positions of one input, laid out like `result`."""
        fields = {"index": freeze(index)}
        return replace(result, number=self.append(MaxGate, (value.number,), result.sample_shape, **fields))

    def maximum(self, first: Traced, second: Traced) -> Traced:
        """Return the larger of two computed tensors, entry by entry; ties go to the first."""
        first, second = self.align([first, second])
        size = _size(first.sample_shape)
        flat = tuple(self.reshaped(v.number, (size,)) for v in (first, second))
        both = self.append(Concatenate, flat, (2 * size,), axis=0)
        index = np.arange(size, dtype=np.intp)[:, None] + np.array([0, size])
        return self.largest(replace(first, number=both), index, first)


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _is_shift(step: Step) -> TypeGuard[Sum]:
    return isinstance(step, Sum) and step.coefficients == (1.0,) and step.constant is not None


def _takes_constant(step: Step) -> TypeGuard[Dense | Convolution | TransposedConvolution | Scale]:
    kinds = Dense | Convolution | TransposedConvolution | Scale
    return isinstance(step, kinds) and step.constant is None
