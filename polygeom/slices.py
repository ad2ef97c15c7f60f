r"""Points and weights cut into slices of so few bits that sums of their products are exact.

A sum of products is exact in float64, in any order of summation and with or without fused multiply-add, when its
factors are short integers times powers of two. Let the factors on the left be multiples of a, their absolute
values adding up to at most A, and the factors on the right multiples of b and at most :math:`2^q b`. Then each
product, and each partial sum, is a multiple of ab and at most :math:`2^q b A`: a float64, if

.. math:: 2^q A \le 2^{53} a.

So inputs (scaled by a power of two per point to at most 1) and weights (per row) are cut into slices of q and p
bits: slice j is the rest rounded to the nearest multiple of :math:`2^{-jq}`. It is at most :math:`2^{-(j-1)q}`,
and what it leaves is at most :math:`2^{-jq}`: half of that by rounding, and :math:`2^{-52}` of the slice by the
low parts, which is less than the other half as q is at most 45.

Source: K. Ozaki, T. Ogita, S. Oishi, S. M. Rump 2012, Error-free transformations of matrix multiplication by using
fast routines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from polygeom.error_free import two_sum
from polygeom.rounding import round_up
from polygeom.steps import Average, Convolution, Dense, LinearStep, TransposedConvolution

__all__ = ["Summing", "WeightSlices", "input_slices", "weight_slices"]

WIDEST = 45
"""Most bits of a slice of points (module docstring)."""

Summing = Dense | Convolution | TransposedConvolution | Average
"""Steps whose outputs are sums of many products."""


def input_slices(
    value: np.ndarray, rest: np.ndarray, width: int, bits: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return slices of points value + rest, scaled to at most 1, and the exponents (N,) of the scales."""
    n = len(value)
    largest = np.abs(value).reshape(n, -1).max(axis=1, initial=0.0)
    exponents = np.frexp(np.where(np.isfinite(largest), largest, 1.0))[1]
    down = -exponents.reshape(n, *(1,) * (value.ndim - 1))
    value, rest = two_sum(np.ldexp(value, down), np.ldexp(rest, down))
    parts = []
    for j in range(1, ceil(bits / width) + 1):
        unit = 2.0 ** (-j * width)
        part = np.rint(value / unit) * unit
        value, rest = two_sum(value - part, rest)
        parts.append(part)
        if not value.any():
            break
    return parts, exponents


@dataclass(frozen=True, eq=False)
class WeightSlices:
    """The weight of a step in slices.

    Attributes
    ----------
    parts, norms : lists
        The slices, as steps, of rows scaled to at most 1; bounds on the sums of absolute values in their rows.
    dropped : float
        A bound on such sums of what no slice holds.
    exponents : array of int
        Of the scales of the rows.
    width, other : int
        Bits of a slice, and of the slices of inputs that go with them.
    """

    parts: list[LinearStep]
    norms: list[np.ndarray]
    dropped: float
    exponents: np.ndarray
    width: int
    other: int


def weight_slices(step: Summing) -> WeightSlices:
    """Return a step's weights in slices; kept."""
    kept = step.__dict__.get("_slices")
    if kept is None:
        kept = _cut_sums(step) if isinstance(step, Average) else _cut_weights(step)
        step.__dict__["_slices"] = kept
    return kept


def _cut_sums(step: Average) -> WeightSlices:
    """Return an average before its division: sums, whose weights of 1 are one slice of no bits."""
    sums = replace(step, counts=np.ones_like(step.counts), constant=None)
    terms = float(step.terms)
    return WeightSlices([sums], [np.array(terms)], 0.0, np.array(0), 0, min(WIDEST, 53 - _log2(terms)))


def _cut_weights(step: Dense | Convolution | TransposedConvolution) -> WeightSlices:
    """Return the slices of a weight: half of the bits that sums over its rows leave, each."""
    by_row = isinstance(step, Dense | Convolution)
    axes = tuple(range(1 if by_row else 0, step.entries.ndim))

    def norm(weight: np.ndarray) -> np.ndarray:
        size = np.abs(weight)
        return round_up(size.sum(axis=axes) if by_row else size.max() * step.terms, step.terms)

    exponents = np.frexp(np.abs(step.entries).max(axis=axes, keepdims=True, initial=0.0))[1]
    left, parts, norms = np.ldexp(step.entries, -exponents), [], []
    # slices are at most 1 + 2**-width of the weights they are rounded from: one more bit
    width = (52 - _log2(float(norm(left).max()))) // 2
    tail = (1,) * (0 if isinstance(step, Dense) else len(step.shape) - 1)
    while len(parts) * width < 2 * 53 and (left.any() or not parts):
        unit = 2.0 ** (-(len(parts) + 1) * width)
        part = np.rint(left / unit) * unit
        left = left - part
        parts.append(_with_weight(step, part))
        norms.append(norm(part).reshape(-1, *tail))
    room = (53 - (i + 1) * width - _log2(float(own.max())) for i, own in enumerate(norms))
    dropped = step.terms * 2.0 ** (-len(parts) * width) if left.any() else 0.0
    return WeightSlices(parts, norms, dropped, exponents.reshape(-1, *tail), width, min(WIDEST, *room))


def _log2(number: float) -> int:
    """Return the least exponent k with number <= 2**k, 0 for 0."""
    return int(np.frexp(number)[1]) if number > 0 else 0


def _with_weight(step: Dense | Convolution | TransposedConvolution, weight: np.ndarray) -> LinearStep:
    if isinstance(step, TransposedConvolution):
        return replace(
            step, convolution=replace(step.convolution, weight=weight, constant=None), constant=None
        )
    return replace(step, weight=weight, constant=None)
