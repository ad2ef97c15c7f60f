r"""Rotating a token towards another: where the units behind a LayerNorm flip on the great-circle arc between them.

On the arc x keeps the length of Px = u and turns towards Pv; LayerNorm maps it to a circle of radius
:math:`R = \sqrt d |u| / \sqrt{|u|^2 + d\epsilon}`, so :math:`R = |u| / \sigma` with
:math:`\sigma^2 = |u|^2/d + \epsilon`. With :math:`e = Pv - \frac{u \cdot v}{u \cdot u} u`, :math:`\rho = |u|/|e|`

.. math:: \sigma z(\theta) = a \cos\theta + \rho c \sin\theta + \sigma \tilde c, \qquad
          a = \tilde w \cdot u, \; c = \tilde w \cdot e,

and :math:`a, c, \tilde c, \rho^2, \sigma^2` are rational: `polygeom.lines.exact_arcs` decides every count and
order.

Rounding
--------
:math:`\tilde w \cdot u` and :math:`\tilde w \cdot v` come with bounds (`FoldedRows.along`); :math:`\rho`, :math:`f
= \rho\, u \cdot v / u \cdot u` and :math:`\sigma` are balls rounded to floats, within gamma(4) of themselves. So
:math:`\rho c = \rho\, \tilde w \cdot v - f\, \tilde w \cdot u` errs by the bounds times these factors and gamma(8)
of the two products, :math:`\sigma \tilde c` likewise.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import as_vector, freeze
from polygeom.errors import InputError
from polygeom.exact import ScaledMatrix, rational, rational_matrix
from polygeom.lines.arcs import ArcCrossings, crossings_of
from polygeom.lines.exact_arcs import PRECISION, ExactCircle, ExactUnit
from polygeom.models.transformer.folded import Centered
from polygeom.models.transformer.normed_mlp import NormedMLP, as_block
from polygeom.rounding import TINY, gamma, round_up

if TYPE_CHECKING:
    import flint

__all__ = ["angular_crossings"]


class _BlockOnCircle:
    """The units of a block on the circle through two tokens (`polygeom.lines.arcs.RowsOnCircle`)."""

    def __init__(self, block: NormedMLP, u: np.ndarray, v: np.ndarray) -> None:
        self._block, self._ends = block, np.stack([u, v])
        self.shape = 1, block.n_units
        uu, uv, vv = _projected_gram(self._ends)
        self.circle = ExactCircle(uu, uv, vv, uu / block.dim + rational(block.eps))
        self._centered = Centered.of(self._ends, block.eps)
        rho, factor, sigma = self._factors
        first, second = self._centered.points
        self.start, self.tangent = freeze(first / sigma), freeze((rho * second - factor * first) / sigma)

    @cached_property
    def _factors(self) -> tuple[float, float, float]:
        """rho, f and sigma of the module docstring, rounded."""
        circle = self.circle
        rho = circle.rho(PRECISION)
        return float(rho), float(rho * (circle.uv / circle.uu)), float(circle.sigma(PRECISION))

    def coefficients(self) -> tuple[np.ndarray, np.ndarray]:
        """Return a, rho c, sigma c~ of all units and bounds on their errors, each (3, m)."""
        folded, (rho, factor, sigma) = self._block.folded, self._factors
        (a, b), (a_error, b_error) = folded.along(self._centered)
        forward, back, height = rho * b, factor * a, sigma * folded.offsets
        c_error = rho * b_error + abs(factor) * a_error + gamma(8) * (np.abs(forward) + np.abs(back))
        h_error = sigma * folded.offset_errors + gamma(8) * np.abs(height)
        errors = a_error, round_up(c_error + 4 * TINY, 8), round_up(h_error + 4 * TINY, 8)
        return np.stack([a, forward - back, height]), np.stack(errors)

    def unit(self, row: int) -> ExactUnit:
        """Return one unit in rationals."""
        rows, offsets = self._block.folded.exact([row])
        wu, wv = (rows * rational_matrix(self._ends.T)).entries()
        return self.circle.through(wu, wv, offsets[0, 0])


def _projected_gram(ends: np.ndarray) -> tuple[flint.fmpq, flint.fmpq, flint.fmpq]:
    """Return the inner products of Pu and Pv: those of u and v less the products of their sums over d."""
    d = ends.shape[1]
    both = ScaledMatrix.from_floats(np.vstack([ends, np.ones(d)]))
    gram = (both @ both.T).to_rational()
    first, second = gram[0, 2], gram[1, 2]
    return (
        gram[0, 0] - first * first / d,
        gram[0, 1] - first * second / d,
        gram[1, 1] - second * second / d,
    )


def angular_crossings(block: NormedMLP, u: object, v: object) -> ArcCrossings:
    """Return where units flip when one token is rotated towards another, exactly.

    Parameters
    ----------
    block : NormedMLP
    u, v : (d,) arrays
        Points of the residual stream. The arc keeps the length of u less its mean, and ends in the direction of v.

    Returns
    -------
    ArcCrossings
        `point` gives y, what LayerNorm hands on before gain and shift.

    Raises
    ------
    InputError
        On wrong shapes, NaN or infinities, if all entries of u or v are equal, or if u and v less their means are
        multiples of each other.

    Notes
    -----
    Cost: one product of W with two vectors; rationals for the units within rounding of a doubt, after which
    nothing is left undecided. A unit flips at most twice on a circle.

    Examples
    --------
    >>> rows = [[1, -1, 0], [0, 0, 1], [1, 0, 0]]
    >>> block = NormedMLP([1, 1, 1], [0, 0, 0], 0, rows, [0, 0, 9], "relu", [[1, 1, 1]], [0])
    >>> arc = angular_crossings(block, [2, 0, 0], [0, 3, 0])
    >>> arc
    ArcCrossings(1 boundaries, 1 flips of 1 units on 2.094 rad, exact)
    >>> arc.theta / np.pi, arc.units
    (array([0.33333333]), (array([0]),))
    """
    as_block(block)
    ends = [as_vector(x, name, block.dim) for x, name in ((u, "u"), (v, "v"))]
    for x, name in zip(ends, "uv", strict=True):
        if (x == x[0]).all():
            raise InputError(
                f"{name} has equal entries: it lies on the axis of LayerNorm and has no direction."
            )
    return crossings_of(_BlockOnCircle(block, *ends), np.dtype(np.uint8))
