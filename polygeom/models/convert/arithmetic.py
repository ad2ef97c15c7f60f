"""Verbs on operands that may be computed or constant; both front ends share them.

A constant operand is a number, an array or a tensor. Products and quotients of computed values are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from polygeom.errors import ConversionError, InputError
from polygeom.models.convert.contraction import matmul
from polygeom.models.convert.layout import Traced
from polygeom.models.convert.lowering import GraphBuilder

__all__ = [
    "UNKNOWN",
    "NotAffineError",
    "Operand",
    "add",
    "as_constant",
    "clamp",
    "concatenate",
    "div",
    "maximum",
    "minimum",
    "mul",
    "neg",
    "product",
    "sub",
]

Operand: TypeAlias = Any
"""A `Traced` tensor, or a constant: a tensor, an array or a number."""


UNKNOWN = "it is not a piecewise-affine function of the input, or none that polygeom knows"


class NotAffineError(ConversionError):
    """What an operator computes is not piecewise affine; the text is the reason, the caller adds the place."""


def as_constant(tensor: object) -> np.ndarray:
    """Return a number, array or tensor as an array."""
    return tensor.numpy() if hasattr(tensor, "numpy") else np.asarray(tensor, dtype=np.float64)


def add(b: GraphBuilder, x: Operand, other: Operand, *, alpha: float = 1) -> Traced:
    """Return x + alpha * other."""
    if isinstance(x, Traced) and isinstance(other, Traced):
        return b.add([x, other], [1, alpha])
    if isinstance(x, Traced):
        return b.affine(x, shift=alpha * as_constant(other))
    return b.affine(other, alpha, as_constant(x))


def sub(b: GraphBuilder, x: Operand, other: Operand, *, alpha: float = 1) -> Traced:
    """Return x - alpha * other."""
    return add(b, x, other, alpha=-alpha)


def mul(b: GraphBuilder, x: Operand, other: Operand) -> Traced:
    """Return x * other, one of them constant."""
    if isinstance(x, Traced) and isinstance(other, Traced):
        raise NotAffineError("the product of two computed values is not piecewise affine")
    return b.affine(x, as_constant(other)) if isinstance(x, Traced) else b.affine(other, as_constant(x))


def div(b: GraphBuilder, x: Operand, other: Operand, *, rounding_mode: str | None = None) -> Traced:
    """Return x / other for a constant divisor: x times its reciprocal, rounded to float64."""
    if isinstance(other, Traced):
        raise NotAffineError("the divisor is a computed value")
    if rounding_mode is not None:
        raise NotAffineError("rounding is not continuous")
    divisor = as_constant(other)
    if not divisor.all():
        raise InputError(f"Division by zero in module '{b.path}'.")
    return b.affine(x, 1.0 / divisor)


def neg(b: GraphBuilder, x: Traced) -> Traced:
    """Return -x."""
    return b.affine(x, -1.0)


def maximum(b: GraphBuilder, x: Operand, other: Operand) -> Traced:
    """Return the larger of two values, one or both computed."""
    if isinstance(x, Traced) and isinstance(other, Traced):
        return b.maximum(x, other)
    return b.gate(x, "clamp", as_constant(other), None) if isinstance(x, Traced) else maximum(b, other, x)


def minimum(b: GraphBuilder, x: Operand, other: Operand) -> Traced:
    """Return the smaller of two values: -max(-x, -y) where both are computed."""
    if isinstance(x, Traced) and isinstance(other, Traced):
        return neg(b, b.maximum(neg(b, x), neg(b, other)))
    return b.gate(x, "clamp", None, as_constant(other)) if isinstance(x, Traced) else minimum(b, other, x)


def clamp(b: GraphBuilder, x: Traced, min: Operand | None = None, max: Operand | None = None) -> Traced:
    """Return min(max(x, min), max) for numbers, constants or computed bounds."""
    if isinstance(x, Traced) and not isinstance(min, Traced) and not isinstance(max, Traced):
        bounds = _bound(min, -np.inf), _bound(max, np.inf)
        return x if bounds[0] is None and bounds[1] is None else b.gate(x, "clamp", *bounds)
    x = x if min is None else maximum(b, x, min)
    return x if max is None else minimum(b, x, max)


def _bound(value: Operand | None, free: float) -> np.ndarray | None:
    """Return a bound of clamp, None where it bounds nothing."""
    if value is None:
        return None
    bound = as_constant(value)
    return None if bound.ndim == 0 and bound == free else bound


def product(b: GraphBuilder, x: Operand, other: Operand) -> Traced:
    """Return the matrix product with a constant factor."""
    if isinstance(x, Traced) and isinstance(other, Traced):
        raise NotAffineError("the product of two computed values is not piecewise affine")
    return matmul(b, *(v if isinstance(v, Traced) else as_constant(v) for v in (x, other)))


def concatenate(b: GraphBuilder, tensors: Sequence[Operand], dim: int = 0) -> Traced:
    """Return tensors side by side; torch lets empty ones of one axis join anything."""
    filled = [v if isinstance(v, Traced) else as_constant(v) for v in tensors if tuple(v.shape) != (0,)]
    return b.concatenate(filled, dim % len(filled[0].shape))
