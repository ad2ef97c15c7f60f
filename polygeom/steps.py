r"""The linear steps a network is made of.

Arrays are batches ``(N, *shape)``. A linear step is :math:`y = L(x_1, ..., x_r) + c`; it offers `forward`
(with or without the constant), `adjoint`, its entrywise absolute value (`magnitude`, for rounding bounds)
and its matrix (for rational arithmetic).

Rounding
--------
Every output of a linear step is a sum of at most `terms` products plus a constant, so with float inputs known
up to :math:`e`, the error of the output is at most

.. math:: |L| e + \mathrm{dot\_error}(|L| |x| + |c|, terms),

and likewise for the adjoint with `adjoint_terms` (`polygeom.rounding`). Convolutions in float64 are evaluated
as inner products; fast transforms (Winograd, Fourier), which would break this bound, exist for float32 only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from polygeom.rounding import round_up, smallest_nonzero

if TYPE_CHECKING:
    import scipy.sparse
    import torch

__all__ = [
    "Average", "Concatenate", "Convolution", "Dense", "Gather", "LinearStep", "Scale", "Step", "Sum",
    "TransposedConvolution", "as_tensor",
]  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class Step:
    """One node of a network's graph.

    Attributes
    ----------
    inputs : tuple of int
        Values read: 0 is the network's input, k + 1 the output of step k.
    shapes : tuple of shapes
        Shapes of the values read, without the batch axis.
    shape : tuple of int
        Shape of the value made, without the batch axis.
    path : str
        Dotted path of the module it came from, empty at the top level.
    call : int
        Which call of that module this is, from 0.
    """

    inputs: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    path: str = ""
    call: int = 0

    @property
    def size(self) -> int:
        """Number of entries of the value made."""
        return prod(self.shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearStep(Step):
    """A linear step y = L(x_1, ..., x_r) + constant; subclasses give L, its adjoint and its size."""

    constant: np.ndarray | None = None
    """Added after L, broadcastable to `shape`; None is zero."""

    moves_only: ClassVar[bool] = False
    """Whether L only moves entries around: then nothing is ever rounded."""

    @property
    def entries(self) -> np.ndarray | None:
        """The array of coefficients of L, None where all are 1."""
        return None

    @cached_property
    def smallest(self) -> float:
        """Smallest non-zero absolute coefficient: tells whether a product can underflow."""
        return smallest_nonzero(self.entries)

    @property
    def terms(self) -> int:
        """Most products summed into one output entry, the constant not counted."""
        raise NotImplementedError

    @property
    def adjoint_terms(self) -> int:
        """Most products summed into one entry of the adjoint's result."""
        raise NotImplementedError

    def linear(self, *values: np.ndarray) -> np.ndarray:
        """Return L(values), without the constant: (N, *shape)."""
        raise NotImplementedError

    def adjoint(self, gradient: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return L' applied to (N, *shape): one array (N, *shapes[r]) per input."""
        raise NotImplementedError

    def absolute(self) -> LinearStep:
        """Return the step with absolute coefficients and constant."""
        raise NotImplementedError

    @cached_property
    def magnitude(self) -> LinearStep:
        """The step with absolute coefficients and constant, kept."""
        return self.absolute()

    def forward(self, *values: np.ndarray) -> np.ndarray:
        """Return L(values) + constant: (N, *shape)."""
        result = self.linear(*values)
        return result if self.constant is None else result + self.constant

    def matrices(self) -> tuple[np.ndarray, ...]:
        """Return L as one float64 matrix (size, size of input r) per input, exactly, before `divisors`.

        Pushing unit vectors adds zeros to single coefficients, so no entry is rounded.
        Memory: size x inputs entries; the caller checks the budget.
        """
        blocks = []
        for r, shape in enumerate(self.shapes):
            n = int(np.prod(shape, dtype=np.int64))
            zeros = [np.zeros((n, *s)) for s in self.shapes]
            zeros[r] = np.eye(n).reshape(n, *shape)
            blocks.append(self._undivided(*zeros).reshape(n, -1).T)
        return tuple(blocks)

    def divisors(self) -> np.ndarray | None:
        """Return positive integers (size,) that divide each output exactly, or None for all ones."""
        return None

    def _undivided(self, *values: np.ndarray) -> np.ndarray:
        return self.linear(*values)


@dataclass(frozen=True, eq=False, kw_only=True)
class Dense(LinearStep):
    """y = x W' + c along the last axis."""

    weight: np.ndarray

    @property
    def entries(self) -> np.ndarray:
        return self.weight

    @property
    def terms(self) -> int:
        return self.weight.shape[1]

    @property
    def adjoint_terms(self) -> int:
        return self.weight.shape[0]

    def matrices(self) -> tuple[np.ndarray, ...]:
        return (self.weight,) if len(self.shape) == 1 else super().matrices()

    @cached_property
    def row_norms(self) -> np.ndarray:
        """Upper bounds on the Euclidean norms of the rows of the weight; rows are scaled, so none underflows."""
        largest = np.abs(self.weight).max(axis=1, initial=0.0)
        scaled = self.weight / np.where(largest > 0, largest, 1.0)[:, None]
        return round_up(largest * np.sqrt((scaled * scaled).sum(axis=1)), self.weight.shape[1] + 4)

    def linear(self, *values: np.ndarray) -> np.ndarray:
        return values[0] @ self.weight.T

    def adjoint(self, gradient: np.ndarray) -> tuple[np.ndarray, ...]:
        return (gradient @ self.weight,)

    def absolute(self) -> Dense:
        return replace(self, weight=np.abs(self.weight), constant=_absolute(self.constant))


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution(LinearStep):
    """Cross-correlation over one or two spatial axes, x (N, C, *spatial), weight (O, C / groups, *kernel).

    `padding` holds (before, after) zeros per spatial axis.
    """

    weight: np.ndarray
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int = 1

    @property
    def entries(self) -> np.ndarray:
        return self.weight

    @property
    def terms(self) -> int:
        return int(np.prod(self.weight.shape[1:]))

    @property
    def adjoint_terms(self) -> int:
        return self.weight.shape[0] // self.groups * int(np.prod(self.weight.shape[2:]))

    def linear(self, *values: np.ndarray) -> np.ndarray:
        return self.convolve(as_tensor(np.ascontiguousarray(values[0])), as_tensor(self.weight)).numpy()

    def convolve(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Return L(x) for tensors on any device, the weight among them."""
        import torch

        flat = [p for pair in reversed(self.padding) for p in pair]
        x = torch.nn.functional.pad(x, flat) if any(flat) else x
        convolve = torch.nn.functional.conv1d if self.weight.ndim == 3 else torch.nn.functional.conv2d
        with torch.no_grad():
            return convolve(x, weight, stride=self.stride, dilation=self.dilation, groups=self.groups)

    def adjoint(self, gradient: np.ndarray) -> tuple[np.ndarray, ...]:
        import torch

        g = as_tensor(np.ascontiguousarray(gradient))
        spatial = self.shapes[0][1:]
        padded = [n + low + high for n, (low, high) in zip(spatial, self.padding, strict=True)]
        input_gradient = torch.nn.grad.conv1d_input if self.weight.ndim == 3 else torch.nn.grad.conv2d_input
        with torch.no_grad():
            full = input_gradient(
                (len(g), self.shapes[0][0], *padded),
                as_tensor(self.weight),
                g,
                stride=self.stride,
                padding=0,
                dilation=self.dilation,
                groups=self.groups,
            ).numpy()
        inner = tuple(slice(low, low + n) for n, (low, _) in zip(spatial, self.padding, strict=True))
        return (full[(slice(None), slice(None), *inner)],)

    def absolute(self) -> Convolution:
        return replace(self, weight=np.abs(self.weight), constant=_absolute(self.constant))


@dataclass(frozen=True, eq=False, kw_only=True)
class TransposedConvolution(LinearStep):
    """The adjoint of a convolution, plus a constant: x has the shape of its values, y that of its inputs."""

    convolution: Convolution

    @property
    def entries(self) -> np.ndarray:
        return self.convolution.weight

    @property
    def terms(self) -> int:
        return self.convolution.adjoint_terms

    @property
    def adjoint_terms(self) -> int:
        return self.convolution.terms

    def linear(self, *values: np.ndarray) -> np.ndarray:
        return self.convolution.adjoint(values[0])[0]

    def adjoint(self, gradient: np.ndarray) -> tuple[np.ndarray, ...]:
        return (self.convolution.linear(gradient),)

    def absolute(self) -> TransposedConvolution:
        return replace(self, convolution=self.convolution.magnitude, constant=_absolute(self.constant))


@dataclass(frozen=True, eq=False, kw_only=True)
class Scale(LinearStep):
    """y = scale * x + c entry by entry (batch normalization in eval mode, element-wise affine maps)."""

    scale: np.ndarray

    terms: ClassVar[int] = 1
    adjoint_terms: ClassVar[int] = 1

    @property
    def entries(self) -> np.ndarray:
        return self.scale

    def linear(self, *values: np.ndarray) -> np.ndarray:
        return values[0] * self.scale

    def adjoint(self, gradient: np.ndarray) -> tuple[np.ndarray, ...]:
        return (gradient * self.scale,)

    def absolute(self) -> Scale:
        return replace(self, scale=np.abs(self.scale), constant=_absolute(self.constant))


@dataclass(frozen=True, eq=False, kw_only=True)
class Gather(LinearStep):
    """y[k] = x.flat[index[k]], 0 where the index is -1: reshaping, permuting, slicing, zero padding."""

    index: np.ndarray

    moves_only: ClassVar[bool] = True
    terms: ClassVar[int] = 1

    @cached_property
    def adjoint_terms(self) -> int:
        used = self.index[self.index >= 0]
        return int(np.bincount(used).max(initial=1)) if used.size else 1

    def linear(self, *values: np.ndarray) -> np.ndarray:
        flat = _rows(values[0])
        taken = flat[:, np.maximum(self.index, 0).ravel()]
        if (self.index < 0).any():
            taken = np.where(self.index.ravel() >= 0, taken, 0.0)
        return taken.reshape(len(flat), *self.shape)

    def adjoint(self, gradient: np.ndarray) -> tuple[np.ndarray, ...]:
        flat, index = _rows(gradient), self.index.ravel()
        result = np.zeros((len(gradient), int(np.prod(self.shapes[0], dtype=np.int64))))
        kept = index >= 0
        if self.adjoint_terms == 1:
            result[:, index[kept]] = flat[:, kept]
        else:
            np.add.at(result, (slice(None), index[kept]), flat[:, kept])
        return (result.reshape(len(gradient), *self.shapes[0]),)

    def absolute(self) -> Gather:
        return self if self.constant is None else replace(self, constant=np.abs(self.constant))


@dataclass(frozen=True, eq=False, kw_only=True)
class Average(LinearStep):
    """Sums over windows of the spatial positions, divided by integers: average and adaptive pooling.

    `windows` is a sparse 0/1 matrix (positions out, positions in), `counts` the divisor per position out.
    x is (N, C, *spatial). The division is by an exact integer: the exact network keeps the rational.
    """

    windows: scipy.sparse.csr_array
    counts: np.ndarray

    @property
    def entries(self) -> np.ndarray:
        return 1.0 / self.counts

    @cached_property
    def terms(self) -> int:
        return int(np.diff(self.windows.indptr).max(initial=1)) + 1

    @cached_property
    def adjoint_terms(self) -> int:
        return int(np.diff(self.windows.tocsc().indptr).max(initial=1)) + 1

    def linear(self, *values: np.ndarray) -> np.ndarray:
        sums = self._undivided(*values)
        return sums / self.counts.reshape(self.shape[1:])

    def _undivided(self, *values: np.ndarray) -> np.ndarray:
        x = values[0].reshape(-1, self.windows.shape[1])
        return np.ascontiguousarray((self.windows @ x.T).T).reshape(len(values[0]), *self.shape)

    def adjoint(self, gradient: np.ndarray) -> tuple[np.ndarray, ...]:
        g = (gradient / self.counts.reshape(self.shape[1:])).reshape(-1, self.windows.shape[0])
        spread = np.ascontiguousarray((self.windows.T @ g.T).T)
        return (spread.reshape(len(gradient), *self.shapes[0]),)

    def divisors(self) -> np.ndarray:
        return np.broadcast_to(self.counts.reshape(self.shape[1:]), self.shape).ravel()

    def absolute(self) -> Average:
        return self if self.constant is None else replace(self, constant=np.abs(self.constant))


@dataclass(frozen=True, eq=False, kw_only=True)
class Sum(LinearStep):
    """y = sum_r coefficients[r] x_r + c: residual additions, subtractions, negation."""

    coefficients: tuple[float, ...]

    @property
    def entries(self) -> np.ndarray:
        return np.asarray(self.coefficients)

    @property
    def terms(self) -> int:
        return len(self.coefficients)

    adjoint_terms: ClassVar[int] = 1

    def linear(self, *values: np.ndarray) -> np.ndarray:
        total = self.coefficients[0] * values[0]
        for coefficient, value in zip(self.coefficients[1:], values[1:], strict=True):
            total = total + coefficient * value
        return total

    def adjoint(self, gradient: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(c * gradient for c in self.coefficients)

    def absolute(self) -> Sum:
        return replace(
            self,
            coefficients=tuple(abs(c) for c in self.coefficients),
            constant=_absolute(self.constant),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Concatenate(LinearStep):
    """Values side by side along one axis (counted without the batch axis)."""

    axis: int

    moves_only: ClassVar[bool] = True
    terms: ClassVar[int] = 1
    adjoint_terms: ClassVar[int] = 1

    def linear(self, *values: np.ndarray) -> np.ndarray:
        return np.concatenate(values, axis=self.axis + 1)

    def adjoint(self, gradient: np.ndarray) -> tuple[np.ndarray, ...]:
        cuts = np.cumsum([shape[self.axis] for shape in self.shapes])[:-1]
        return tuple(np.split(gradient, cuts, axis=self.axis + 1))

    def absolute(self) -> Concatenate:
        return self if self.constant is None else replace(self, constant=np.abs(self.constant))


def _rows(array: np.ndarray) -> np.ndarray:
    """Return (N, *shape) as (N, size), for no rows and for no entries too."""
    return array.reshape(len(array), int(np.prod(array.shape[1:], dtype=np.int64)))


def _absolute(array: np.ndarray | None) -> np.ndarray | None:
    return None if array is None else np.abs(array)


def as_tensor(array: np.ndarray) -> torch.Tensor:
    """Return a torch view of a read-only numpy array, which torch only reads."""
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch cannot mark tensors read-only and says so
        return torch.from_numpy(array)
