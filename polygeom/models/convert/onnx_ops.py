"""What every ONNX operator becomes: one table from operator types to verbs of the `GraphBuilder`.

A handler gets the builder, the node's attributes (with their defaults), and its inputs: computed tensors as
`Traced`, constants as arrays, absent optional inputs as None.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from polygeom.errors import InputError
from polygeom.models.convert import arithmetic as verbs
from polygeom.models.convert.arithmetic import NotAffineError, Operand
from polygeom.models.convert.contraction import matmul
from polygeom.models.convert.layout import Traced
from polygeom.models.convert.lowering import Geometry, GraphBuilder
from polygeom.models.convert.pooling import (
    Window,
    average_pool,
    max_pool,
    pool_counts,
    reduce_max,
    reduce_sum,
    table,
)

__all__ = ["HANDLERS", "MOVES"]

Attributes = dict[str, object]

_MOVES = """
    DepthToSpace Expand Flatten Gather GatherElements GatherND Pad Reshape Slice SpaceToDepth Split Squeeze
    Tile Transpose Trilu Unsqueeze Where
"""

MOVES = frozenset(_MOVES.split())
"""Operators whose every result entry is an entry of an input or a constant, whatever the values are."""


def gemm(b: GraphBuilder, a: Attributes, x: Operand, y: Operand, c: Operand = None) -> Traced:
    """Return alpha * x' y' + beta * c."""
    factors = []
    for factor, flag in ((x, "transA"), (y, "transB")):
        if a.get(flag, 0):
            factor = b.move([factor], np.transpose) if isinstance(factor, Traced) else factor.T
        factors.append(factor)
    if isinstance(factors[0], Traced) and isinstance(factors[1], Traced):
        raise NotAffineError("the product of two computed values is not piecewise affine")
    result = matmul(b, *factors)
    result = result if a["alpha"] == 1.0 else b.affine(result, a["alpha"])
    return result if c is None else verbs.add(b, result, c, alpha=a["beta"])


def product(b: GraphBuilder, a: Attributes, x: Operand, y: Operand) -> Traced:
    """Return the matrix product with a constant factor."""
    return verbs.product(b, x, y)


def _windows(a: Attributes, spatial: tuple[int, ...], kernel: tuple[int, ...]) -> list[Window]:
    """Return the sliding windows of a convolution or pool, automatic padding worked out."""
    dims = len(kernel)
    strides, dilations = a.get("strides", [1] * dims), a.get("dilations", [1] * dims)
    pads, auto = a.get("pads", [0] * 2 * dims), a["auto_pad"]
    windows = []
    for i, (n, k, s, d) in enumerate(zip(spatial, kernel, strides, dilations, strict=True)):
        low, high = pads[i], pads[dims + i]
        if auto == b"VALID":
            low, high = 0, 0
        elif auto in (b"SAME_UPPER", b"SAME_LOWER"):
            span = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            low, high = span // 2, span - span // 2
            low, high = (high, low) if auto == b"SAME_LOWER" else (low, high)
        windows.append(Window(k, s, low, high, d, bool(a.get("ceil_mode", 0))))
    return windows


def convolution(b: GraphBuilder, a: Attributes, x: Traced, weight: Operand, bias: Operand = None) -> Traced:
    """Return a convolution over one or two axes."""
    if isinstance(weight, Traced) or isinstance(bias, Traced):
        raise NotAffineError("its weight or bias is a computed value")
    windows = _windows(a, x.shape[2:], weight.shape[2:])
    geometry = Geometry(
        tuple(w.stride for w in windows),
        tuple((w.low, w.high) for w in windows),
        tuple(w.dilation for w in windows),
        a["group"],
    )
    return b.convolve(x, weight, bias, geometry)


def _tables(windows: list[Window]) -> Callable[[tuple[int, ...]], list[np.ndarray]]:
    return lambda shape: [table(w, n) for w, n in zip(windows, shape[-len(windows) :], strict=True)]


def largest_pool(b: GraphBuilder, a: Attributes, x: Traced) -> tuple[Traced, None]:
    """Return max pooling; its indices are no tensor of the network."""
    return max_pool(b, x, _tables(_windows(a, x.shape[2:], a["kernel_shape"]))), None


def mean_pool(b: GraphBuilder, a: Attributes, x: Traced) -> Traced:
    """Return average pooling."""
    windows = _windows(a, x.shape[2:], a["kernel_shape"])
    counts = pool_counts(windows, x.shape[2:]) if a.get("count_include_pad", 0) else None
    return average_pool(b, x, _tables(windows), counts)


def _reduction(kind: str) -> Callable[..., Traced]:
    def handler(b: GraphBuilder, a: Attributes, x: Traced, axes: Operand = None) -> Traced:
        chosen = a.get("axes") if axes is None else [int(i) for i in np.ravel(axes)]
        if not chosen and a.get("noop_with_empty_axes", 0):
            return x
        keep = bool(a["keepdims"])
        if kind in ("mean", "sum"):
            return reduce_sum(b, x, chosen, keep, mean=kind == "mean")
        sign = 1.0 if kind == "max" else -1.0
        return b.affine(reduce_max(b, b.affine(x, sign), chosen, keep), sign)

    return handler


def _global(kind: str) -> Callable[..., Traced]:
    def handler(b: GraphBuilder, a: Attributes, x: Traced) -> Traced:
        axes = range(2, len(x.shape))
        return reduce_sum(b, x, axes, True, mean=True) if kind == "mean" else reduce_max(b, x, axes, True)

    return handler


def batch_norm(b: GraphBuilder, a: Attributes, x: Traced, *parameters: np.ndarray) -> Traced:
    """Return batch normalization with stored statistics."""
    if a.get("training_mode", 0):
        raise InputError(f"BatchNormalization '{b.path}' is in training mode. Export the model in eval mode.")
    weight, bias, mean, variance = parameters
    return b.normalize(x, (mean, variance), weight, bias, a["epsilon"])


def clip(b: GraphBuilder, a: Attributes, x: Traced, low: Operand = None, high: Operand = None) -> Traced:
    """Return min(max(x, low), high), bounds from inputs or attributes; infinite ones are absent."""
    bounds = [a.get("min") if low is None else low, a.get("max") if high is None else high]
    limit = np.nextafter(np.float32(np.inf), np.float32(0))  # the largest float: no bound, by default
    kept = [None if v is None or (np.ndim(v) == 0 and abs(v) >= limit) else v for v in bounds]
    return verbs.clamp(b, x, *kept)


def dropout(b: GraphBuilder, a: Attributes, x: Traced, *_: Operand) -> tuple[Traced, None]:
    """Return x: dropout in inference."""
    return x, None


def cast(b: GraphBuilder, a: Attributes, x: Traced) -> Traced:
    """Return x: casts to float and double (types 1, 11) change nothing in exact arithmetic."""
    if a["to"] in (10, 16):
        raise NotAffineError("a cast to 16 bits rounds, and rounding is not continuous")
    if a["to"] not in (1, 11):
        raise NotAffineError("converting to integers is not continuous")
    return x


def hard_sigmoid(b: GraphBuilder, a: Attributes, x: Traced) -> Traced:
    """Return min(max(alpha x + beta, 0), 1)."""
    return b.gate(b.affine(x, a["alpha"], a["beta"]), "clamp", 0.0, 1.0)


def _plain(verb: Callable[..., object]) -> Callable[..., object]:
    return lambda b, a, *inputs: verb(b, *inputs)


def _chain(verb: Callable[..., object]) -> Callable[..., object]:
    return lambda b, a, *inputs: functools.reduce(lambda x, y: verb(b, x, y), inputs)


HANDLERS: dict[str, Callable[..., object]] = {
    "Abs": lambda b, a, x: b.gate(x, "abs"),
    "Add": _plain(verbs.add),
    "AveragePool": mean_pool,
    "BatchNormalization": batch_norm,
    "Cast": cast,
    "Clip": clip,
    "Concat": lambda b, a, *inputs: verbs.concatenate(b, inputs, a["axis"]),
    "Conv": convolution,
    "Div": _plain(verbs.div),
    "Dropout": dropout,
    "Gemm": gemm,
    "GlobalAveragePool": _global("mean"),
    "GlobalMaxPool": _global("max"),
    "HardSigmoid": hard_sigmoid,
    "Identity": lambda b, a, x: x,
    "LeakyRelu": lambda b, a, x: b.gate(x, "leaky_relu", a["alpha"]),
    "MatMul": product,
    "Max": _chain(verbs.maximum),
    "MaxPool": largest_pool,
    "Min": _chain(verbs.minimum),
    "Mul": _plain(verbs.mul),
    "Neg": _plain(verbs.neg),
    "PRelu": lambda b, a, x, slope: b.gate(x, "prelu", slope),
    "ReduceMax": _reduction("max"),
    "ReduceMean": _reduction("mean"),
    "ReduceMin": _reduction("min"),
    "ReduceSum": _reduction("sum"),
    "Relu": lambda b, a, x: b.gate(x, "relu"),
    "Shape": lambda b, a, x: np.array(x.shape[a.get("start", 0) : a.get("end")], dtype=np.int64),
    "Sub": _plain(verbs.sub),
    "Sum": _chain(verbs.add),
}
