"""What every torch operation becomes: one table from operator names to verbs of the `GraphBuilder`.

A handler gets the builder and the operator's own arguments: computed tensors as `Traced`, constants as float64
tensors, the rest as it stands. Operators that only move entries have no handler of their own (`MOVES`).
Operators that are in neither are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from polygeom.errors import ConversionError, InputError
from polygeom.models.convert.arithmetic import (
    NotAffineError,
    Operand,
    add,
    as_constant,
    clamp,
    concatenate,
    div,
    maximum,
    minimum,
    mul,
    neg,
    product,
    sub,
)
from polygeom.models.convert.contraction import contract
from polygeom.models.convert.layout import Traced
from polygeom.models.convert.lowering import Geometry, GraphBuilder
from polygeom.models.convert.pooling import (
    Window,
    adaptive_table,
    average_pool,
    max_pool,
    pool_counts,
    reduce_max,
    reduce_sum,
    table,
)

if TYPE_CHECKING:
    import torch

__all__ = ["HANDLERS", "IDENTITIES", "MOVES", "training_message"]

_MOVES = """
    _unsafe_view adjoint atleast_1d atleast_2d atleast_3d broadcast_to channel_shuffle chunk column_stack
    constant_pad_nd copy diag diag_embed diagonal diagonal_scatter dstack expand expand_as fill flatten flip
    fliplr flipud full_like gather hsplit hstack im2col index index_put index_select mT masked_fill moveaxis
    movedim narrow new_full new_ones new_zeros numpy_T ones_like pad permute pixel_shuffle pixel_unshuffle
    reflection_pad1d reflection_pad2d repeat repeat_interleave replication_pad1d replication_pad2d reshape
    reshape_as roll rot90 select select_copy select_scatter slice slice_scatter split split_with_sizes squeeze
    stack swapaxes swapdims t take tensor_split tile transpose tril triu unbind unflatten unfold unsqueeze
    upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d
    _upsample_nearest_exact2d view view_as vsplit vstack where zeros_like
"""

_IDENTITIES = "alias clone contiguous detach lift lift_fresh lift_fresh_copy positive to type_as _to_copy"


MOVES = frozenset(_MOVES.split())
"""Operators whose every result entry is an entry of an argument or a constant, whatever the values are."""

IDENTITIES = frozenset(_IDENTITIES.split())
"""Operators that do nothing to a real number."""


# -- sums and maxima over axes -------------------------------------------------------------------------------


def rsub(b: GraphBuilder, x: Operand, other: Operand, alpha: float = 1) -> Traced:
    """Return other - alpha * x."""
    return add(b, other, x, alpha=-alpha)


def _sum(mean: bool) -> Callable[..., Traced]:
    def handler(
        b: GraphBuilder,
        x: Traced,
        dim: Sequence[int] | None = None,
        keepdim: bool = False,
        *,
        dtype: object = None,
    ) -> Traced:
        return reduce_sum(b, x, dim, keepdim, mean)

    return handler


def amax(b: GraphBuilder, x: Traced, dim: Sequence[int] = (), keepdim: bool = False) -> Traced:
    """Return maxima over axes."""
    return reduce_max(b, x, dim, keepdim)


def amin(b: GraphBuilder, x: Traced, dim: Sequence[int] = (), keepdim: bool = False) -> Traced:
    """Return minima over axes."""
    return neg(b, reduce_max(b, neg(b, x), dim, keepdim))


def max_(b: GraphBuilder, x: Operand, dim: object = None, keepdim: bool = False) -> object:
    """Return torch.max in its three meanings: of everything, of two tensors, over an axis with indices."""
    if dim is None:
        return amax(b, x)
    return (amax(b, x, [dim], keepdim), None) if isinstance(dim, int) else maximum(b, x, dim)


def min_(b: GraphBuilder, x: Operand, dim: object = None, keepdim: bool = False) -> object:
    """Return torch.min in its three meanings: of everything, of two tensors, over an axis with indices."""
    if dim is None:
        return amin(b, x)
    return (amin(b, x, [dim], keepdim), None) if isinstance(dim, int) else minimum(b, x, dim)


# -- units ---------------------------------------------------------------------------------------------------


def _unit(name: str) -> Callable[..., Traced]:
    def handler(b: GraphBuilder, x: Traced) -> Traced:
        return b.gate(x, name)

    return handler


def leaky_relu(b: GraphBuilder, x: Traced, negative_slope: float = 0.01) -> Traced:
    """Return the leaky ReLU."""
    return b.gate(x, "leaky_relu", negative_slope)


def rrelu(
    b: GraphBuilder, x: Traced, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False
) -> Traced:
    """Return the randomized leaky ReLU: in eval mode its slope is the mean of the two."""
    if training:
        raise InputError(training_message("rrelu", b.path))
    return b.gate(x, "leaky_relu", (lower + upper) / 2)


def prelu(b: GraphBuilder, x: Traced, weight: torch.Tensor) -> Traced:
    """Return the leaky ReLU with learned slopes, one for all or one per channel (axis 1)."""
    if isinstance(weight, Traced):
        raise NotAffineError("the slope is a computed value")
    slopes = as_constant(weight)
    if slopes.ndim == 1 and slopes.size > 1:
        slopes = slopes.reshape(-1, *(1,) * (len(x.shape) - 2))
    return b.gate(x, "prelu", slopes)


def clamp_max(b: GraphBuilder, x: Traced, max: Operand) -> Traced:
    """Return the smaller of x and the bound."""
    return clamp(b, x, None, max)


def hardtanh(b: GraphBuilder, x: Traced, min_val: float = -1.0, max_val: float = 1.0) -> Traced:
    """Return min(max(x, min_val), max_val)."""
    return clamp(b, x, min_val, max_val)


def hardsigmoid(b: GraphBuilder, x: Traced) -> Traced:
    """Return min(max(x, -3), 3) / 6 + 1/2."""
    return b.affine(b.gate(x, "clamp", -3.0, 3.0), 1.0 / 6.0, 0.5)


def threshold(b: GraphBuilder, x: Traced, threshold: float, value: float) -> Traced:
    """Return x above the threshold, else the value: continuous only if they agree."""
    if threshold != value:
        raise NotAffineError(f"it jumps from {value} to {threshold} at its threshold")
    return b.gate(x, "relu") if threshold == 0 else b.gate(x, "clamp", threshold, None)


def dropout(b: GraphBuilder, x: Traced, p: float = 0.5, train: bool = False) -> Traced:
    """Return x: dropout in eval mode."""
    if train and p > 0:
        raise InputError(training_message("dropout", b.path))
    return x


def training_message(name: str, path: str) -> str:
    """Return what to tell about an operation that runs in training mode."""
    return (
        f"{name} in module '{path}' runs in training mode, where its output is random. "
        "Call module.eval() first (and pass training=self.training to functional calls)."
    )


# -- linear maps ---------------------------------------------------------------------------------------------


def linear(b: GraphBuilder, x: Traced, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Traced:
    """Return x W' + c."""
    if not isinstance(x, Traced) or isinstance(weight, Traced) or isinstance(bias, Traced):
        raise NotAffineError("its weight or bias is a computed value")
    return b.dense(x, weight, bias)


def addmm(
    b: GraphBuilder, bias: Operand, x: Operand, other: Operand, *, beta: float = 1, alpha: float = 1
) -> Traced:
    """Return beta * bias + alpha * (x @ other)."""
    if not isinstance(x, Traced) and not isinstance(other, Traced):
        return add(b, as_constant(x @ other) * alpha, bias, alpha=beta)
    result = product(b, x, other)
    result = result if alpha == 1 else b.affine(result, alpha)
    return add(b, result, bias, alpha=beta)


def einsum(b: GraphBuilder, equation: str, operands: Sequence[Operand], *, path: object = None) -> Traced:
    """Return Einstein sums of a computed tensor, alone or with one constant."""
    if sum(isinstance(v, Traced) for v in operands) > 1:
        raise NotAffineError("the product of two computed values is not piecewise affine")
    letters, computed = _letters(equation, operands), next(v for v in operands if isinstance(v, Traced))
    k = operands.index(computed)
    if len(operands) > 2 or any(len(set(word)) < len(word) for word in letters):
        raise ConversionError(
            f"einsum('{equation}') in module '{b.path}' is not supported: wanted at most two operands, every "
            "letter at most once in each. Split it into several."
        )
    constant = np.ones(()) if len(operands) == 1 else as_constant(operands[1 - k])
    word = "" if len(operands) == 1 else letters[1 - k]
    return contract(b, computed, constant, (letters[k], word, letters[-1]))


def _letters(equation: str, operands: Sequence[Operand]) -> list[str]:
    """Return the letters of every operand and of the result, ellipses and implicit results written out."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in equation]
    words = left.split(",")
    hidden = [len(v.shape) - len(w.replace("...", "")) for v, w in zip(operands, words, strict=True)]
    dots = "".join(spare[: max([h for h, w in zip(hidden, words, strict=True) if "..." in w], default=0)])
    words = [w.replace("...", dots[len(dots) - h :] if h else "") for h, w in zip(hidden, words, strict=True)]
    if not arrow:
        once = sorted(c for c in set("".join(words)) - set(dots) if "".join(words).count(c) == 1)
        return [*words, dots + "".join(once)]
    return [*words, right.replace("...", dots)]


def convolution(
    b: GraphBuilder,
    x: Traced,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] | str = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Traced:
    """Return a convolution over one or two axes; 'same' pads the odd entry after."""
    if isinstance(weight, Traced) or isinstance(bias, Traced):
        raise NotAffineError("its weight or bias is a computed value")
    kernel = weight.shape[2:]
    stride, dilation = (_each(v, len(kernel)) for v in (stride, dilation))
    if isinstance(padding, str):
        spans = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, kernel, strict=True)]
        pads = tuple((span // 2, span - span // 2) for span in spans)
    else:
        pads = tuple((p, p) for p in _each(padding, len(kernel)))
    return b.convolve(x, weight, bias, Geometry(stride, pads, dilation, groups))


def transposed_convolution(
    b: GraphBuilder,
    x: Traced,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] = (0,),
    output_padding: Sequence[int] = (0,),
    groups: int = 1,
    dilation: Sequence[int] = (1,),
) -> Traced:
    """Return a transposed convolution over one or two axes."""
    if isinstance(weight, Traced) or isinstance(bias, Traced):
        raise NotAffineError("its weight or bias is a computed value")
    dims = len(weight.shape[2:])
    stride, padding, extra, dilation = (_each(v, dims) for v in (stride, padding, output_padding, dilation))
    geometry = Geometry(stride, tuple((p, p) for p in padding), dilation, groups)
    return b.convolve_transposed(x, (weight, bias), geometry, extra)


def batch_norm(
    b: GraphBuilder,
    x: Traced,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    mean: torch.Tensor | None,
    var: torch.Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn: bool = False,
) -> Traced:
    """Return batch normalization with running statistics."""
    if training or mean is None:
        raise InputError(
            f"batch_norm in module '{b.path}' normalizes with the statistics of the batch. "
            "Call module.eval() first; the layer needs track_running_stats=True."
        )
    return b.normalize(x, (mean, var), weight, bias, eps)


def batch_norm_inference(
    b: GraphBuilder, x: Traced, weight: object, bias: object, mean: object, var: object, *rates: float
) -> tuple[Traced, None, None]:
    """Return batch normalization as functional graphs write it, with two unused results."""
    _, eps = rates  # momentum is of no use here
    return b.normalize(x, (mean, var), weight, bias, eps), None, None


# -- pooling -------------------------------------------------------------------------------------------------


def _each(value: object, dims: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, Sequence) else (value,)
    return values * dims if len(values) == 1 else values


def _sliding(
    dims: int, kernel: object, stride: object, padding: object, dilation: object, ceil: bool
) -> list[Window]:
    each = [_each(v, dims) for v in (kernel, stride or kernel, padding, dilation)]
    return [Window(k, s, p, p, d, ceil) for k, s, p, d in zip(*each, strict=True)]


def _tables(windows: list[Window]) -> Callable[[tuple[int, ...]], list[np.ndarray]]:
    return lambda shape: [table(w, n) for w, n in zip(windows, shape[-len(windows) :], strict=True)]


def _max_pool(dims: int, with_indices: bool = False) -> Callable[..., object]:
    def handler(
        b: GraphBuilder,
        x: Traced,
        kernel_size: object,
        stride: object = (),
        padding: object = 0,
        dilation: object = 1,
        ceil_mode: bool = False,
    ) -> object:
        windows = _sliding(dims, kernel_size, stride, padding, dilation, ceil_mode)
        result = max_pool(b, x, _tables(windows))
        return (result, None) if with_indices else result

    return handler


def _average_pool(dims: int) -> Callable[..., Traced]:
    def handler(
        b: GraphBuilder,
        x: Traced,
        kernel_size: object,
        stride: object = (),
        padding: object = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Traced:
        windows = _sliding(dims, kernel_size, stride, padding, 1, ceil_mode)
        counts = divisor_override
        if counts is None and count_include_pad:
            counts = pool_counts(windows, x.shape[-dims:])
        return average_pool(b, x, _tables(windows), counts)

    return handler


def _adaptive(dims: int, largest: bool) -> Callable[..., object]:
    def tables(output_size: object) -> Callable[[tuple[int, ...]], list[np.ndarray]]:
        sizes = _each(output_size, dims)
        return lambda shape: [adaptive_table(n, o) for n, o in zip(shape[-dims:], sizes, strict=True)]

    def average_handler(b: GraphBuilder, x: Traced, output_size: object) -> Traced:
        return average_pool(b, x, tables(output_size))

    def max_handler(b: GraphBuilder, x: Traced, output_size: object) -> tuple[Traced, None]:
        return max_pool(b, x, tables(output_size)), None

    return max_handler if largest else average_handler


HANDLERS: dict[str, Callable[..., object]] = {
    "abs": _unit("abs"),
    "absolute": _unit("abs"),
    "add": add,
    "addmm": addmm,
    "addmv": addmm,
    "alpha_dropout": dropout,
    "amax": amax,
    "amin": amin,
    "batch_norm": batch_norm,
    "_native_batch_norm_legit_no_training": batch_norm_inference,
    "bmm": product,
    "cat": concatenate,
    "clamp": clamp,
    "clamp_max": clamp_max,
    "clamp_min": clamp,
    "clip": clamp,
    "concat": concatenate,
    "concatenate": concatenate,
    "div": div,
    "divide": div,
    "dropout": dropout,
    "einsum": einsum,
    "feature_alpha_dropout": dropout,
    "feature_dropout": dropout,
    "fmax": maximum,
    "fmin": minimum,
    "hardsigmoid": hardsigmoid,
    "hardtanh": hardtanh,
    "leaky_relu": leaky_relu,
    "linear": linear,
    "matmul": product,
    "max": max_,
    "maximum": maximum,
    "mean": _sum(mean=True),
    "min": min_,
    "minimum": minimum,
    "mm": product,
    "mul": mul,
    "multiply": mul,
    "mv": product,
    "neg": neg,
    "negative": neg,
    "_prelu_kernel": prelu,
    "prelu": prelu,
    "relu": _unit("relu"),
    "relu6": _unit("relu6"),
    "rrelu": rrelu,
    "rsub": rsub,
    "sub": sub,
    "subtract": sub,
    "sum": _sum(mean=False),
    "threshold": threshold,
    "true_divide": div,
}
for _dims in (1, 2, 3):
    HANDLERS[f"conv{_dims}d"] = convolution
    HANDLERS[f"conv_transpose{_dims}d"] = transposed_convolution
    HANDLERS[f"max_pool{_dims}d"] = _max_pool(_dims)
    HANDLERS[f"max_pool{_dims}d_with_indices"] = _max_pool(_dims, with_indices=True)
    HANDLERS[f"avg_pool{_dims}d"] = _average_pool(_dims)
    HANDLERS[f"adaptive_avg_pool{_dims}d"] = _adaptive(_dims, largest=False)
    HANDLERS[f"adaptive_max_pool{_dims}d"] = _adaptive(_dims, largest=True)
