r"""Sharpening a ray from the rows it lies on.

Interpolating rays from rays passes errors on; they grow by some factor a generation. A ray whose bound has become
coarse is found again from D - 1 rows g_i of its facets: with the float ray w below them, M = [g; w], the exact ray
scaled to :math:`w \cdot \hat x = 1` solves :math:`\hat M \hat x = e_D`, where the computed rows of M are off by
:math:`\Delta`. One Newton step with an approximate inverse X gives x; its residual, roundings and :math:`\Delta`
included, is at most rho, and

.. math:: |\hat x - x|_\infty \le \frac{\|X\|_\infty \, \rho}{1 - \|I - X \hat M\|_\infty}

if the denominator is positive (Rump 2010, section 10). Otherwise the ray stays as it is.

That :math:`\hat x` is the ray and not its opposite needs :math:`w \cdot \hat w > 0` for the exact ray
:math:`\hat w` close to w. As :math:`|w|_\infty = 1` up to rounding,
:math:`w \cdot \hat w \ge |w|_2^2 - \mathrm{spread} \, |w|_1` is positive if (D + 1) spread < 1.
"""

from __future__ import annotations

import numpy as np

from polygeom.kernels.cells import DEEPEST, Cells, Chain, Scratch, compiled, inlined
from polygeom.kernels.intrinsics import count, lowest
from polygeom.rounding import TINY, U

__all__ = ["COARSE", "ROUNDED", "sharpen"]

COARSE = 2.0**22 * U
"""Distance of a ray from its exact one beyond which it is sharpened. It steers the work; no answer rests on it."""

ROUNDED = 8.0 * U
"""Relative roundings of scaling a vertex and of its interpolation, 3 in all, and of the bound's own arithmetic."""

ONE = np.uint64(1)


@inlined
def _set_up(
    cells: Cells, chain: Chain, scratch: Scratch, sp: int, mask: np.uint64, at: int, dims: tuple[int, ...]
) -> float:
    """Write [M | I] into ``scratch.matrix`` and M into ``scratch.system``; return the largest row of Delta."""
    D = len(dims)
    worst = 0.0
    for i in range(D - 1):
        row = cells.slot_row[sp, lowest(mask)] >> 1
        mask &= mask - ONE
        inverse = 1.0 / cells.path_size[row]
        for c in range(D):
            scratch.system[i * D + c] = cells.path[row * D + c] * inverse
        worst = max(worst, chain.row_error[cells.path_unit[row]] * inverse)
    for c in range(D):
        scratch.system[(D - 1) * D + c] = cells.coord[at * D + c]
    for i in range(D):
        for c in range(D):
            scratch.matrix[i * 2 * D + c] = scratch.system[i * D + c]
            scratch.matrix[i * 2 * D + D + c] = 1.0 if i == c else 0.0
    return worst * (1.0 + ROUNDED) + 2.0 * U


@inlined
def _invert(scratch: Scratch, dims: tuple[int, ...]) -> bool:
    """Turn [M | I] into [I | X] by Gauss and Jordan's elimination with row pivoting; False if M is singular."""
    D = len(dims)
    m, width = scratch.matrix, 2 * D
    for c in range(D):
        pivot = c
        for i in range(c + 1, D):
            if abs(m[i * width + c]) > abs(m[pivot * width + c]):
                pivot = i
        if m[pivot * width + c] == 0.0:
            return False
        inverse = 1.0 / m[pivot * width + c]
        for j in range(width):
            swap = m[pivot * width + j]
            m[pivot * width + j] = m[c * width + j]
            m[c * width + j] = swap * inverse
        for i in range(D):
            factor = m[i * width + c]
            if i != c and factor != 0.0:
                for j in range(width):
                    m[i * width + j] -= factor * m[c * width + j]
    return True


@inlined
def _residual(scratch: Scratch, shift: float, dims: tuple[int, ...]) -> float:
    """Write M x - e_D for the x in ``scratch.ray`` into ``scratch.rest``; return a bound on its largest entry.

    `shift` bounds the rows of Delta in sum; roundings of the D products of each entry are included.
    """
    D = len(dims)
    largest, size = 0.0, 0.0
    for c in range(D):
        size = max(size, abs(scratch.ray[c]))
    for i in range(D):
        z = -1.0 if i == D - 1 else 0.0
        for c in range(D):
            z += scratch.system[i * D + c] * scratch.ray[c]
        scratch.rest[i] = z
        # The rows have absolute sums of at most 1, the last one of at most D.
        largest = max(largest, abs(z) + (D * DEEPEST + shift) * (size + 1.0))
    return largest


@inlined
def _uncertainty(scratch: Scratch, shift: float, dims: tuple[int, ...]) -> float:
    """Return a bound on the norm of the exact inverse, infinite if none can be had."""
    D = len(dims)
    norm, defect = 0.0, 0.0
    for i in range(D):
        line, off = 0.0, 0.0
        for j in range(D):
            line += abs(scratch.matrix[i * 2 * D + D + j])
            z = -1.0 if i == j else 0.0
            for c in range(D):
                z += scratch.matrix[i * 2 * D + D + c] * scratch.system[c * D + j]
            off += abs(z)
        norm, defect = max(norm, line), max(defect, off + line * D * (D * DEEPEST + shift))
    return norm * (1.0 + ROUNDED) / (1.0 - defect) if defect < 0.5 else np.inf


@compiled
def sharpen(
    cells: Cells, chain: Chain, scratch: Scratch, sp: int, mask: np.uint64, at: int, dims: tuple[int, ...]
) -> None:
    """Sharpen the ray at place `at`, which lies on the facets in the slots of `mask` of node sp, if possible."""
    D = len(dims)
    if count(mask) < np.uint64(D - 1) or not cells.spread[at] * (D + 1) < 1.0:
        return
    shift = _set_up(cells, chain, scratch, sp, mask, at, dims)
    if not _invert(scratch, dims):
        return
    square = 0.0
    for c in range(D):
        square += cells.coord[at * D + c] * cells.coord[at * D + c]
    for c in range(D):
        scratch.ray[c] = cells.coord[at * D + c] / square
    _residual(scratch, shift, dims)
    for i in range(D):
        for c in range(D):
            scratch.ray[i] -= scratch.matrix[i * 2 * D + D + c] * scratch.rest[c]
    error = _residual(scratch, shift, dims) * _uncertainty(scratch, shift, dims)
    size = 0.0
    for c in range(D):
        size = max(size, abs(scratch.ray[c]))
    spread = error / size * (1.0 + ROUNDED) + ROUNDED
    if not spread < cells.spread[at]:
        return
    direction = cells.coord[at * D + D - 1] == 0.0
    for c in range(D):
        cells.coord[at * D + c] = scratch.ray[c] / size
    t = cells.coord[at * D + D - 1]
    cells.coord[at * D + D - 1] = 0.0 if direction else max(t, TINY)
    cells.spread[at] = spread
