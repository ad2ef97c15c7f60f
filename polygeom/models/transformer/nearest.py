r"""The boundaries nearest to a token: straight, by rotation, by scaling.

At :math:`y = Px / r(x)` the hyperplane of unit i is :math:`|\tilde w_i \cdot y + \tilde c_i| / |\tilde w_i|` away.
Rotated at constant length :math:`R = |y|`, the token meets it after the angle

.. math:: |\arccos \frac{\tilde w_i \cdot y}{|\tilde w_i| R} - \arccos \frac{-\tilde c_i}{|\tilde w_i| R}|,

if :math:`|\tilde c_i| < |\tilde w_i| R`: the distance on the sphere between a point and a small circle around the
axis. The nearest hyperplane is always a facet of the token's gate cell, for the ball up to it meets no other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.arrays import as_vector, freeze
from polygeom.exact import rational, rational_matrix
from polygeom.lines.exact_arcs import PRECISION, float_bounds
from polygeom.models.transformer.folded import Centered, exact_variance
from polygeom.models.transformer.normed_mlp import NormedMLP, as_block
from polygeom.rounding import TINY, U, gamma, round_up

__all__ = ["NearestBoundaries", "nearest_boundaries"]


@dataclass(frozen=True, eq=False)
class NearestBoundaries:
    """All boundaries of a block by their distance from a token in y, nearest first.

    Attributes
    ----------
    units : (m,) array
        Units by distance; those without boundary come last.
    distances : (m,) array
        Their distances in y, rounded; infinite without boundary.
    bounds : (m, 2) array
        Numbers between which the exact distances lie.
    angles : (m,) array
        The angles by which the token must be rotated to meet each of them at constant length, in radians, rounded;
        infinite where no rotation does.
    """

    units: np.ndarray
    distances: np.ndarray
    bounds: np.ndarray
    angles: np.ndarray

    def __repr__(self) -> str:
        first = f", the nearest unit {self.units[0]} at {self.distances[0]:.4g}" if len(self.units) else ""
        return f"NearestBoundaries({len(self.units)} units{first})"

    @property
    def proved(self) -> int:
        """How many of the first units are proved to be the nearest ones, in this order."""
        apart = self.bounds[:-1, 1] < np.minimum.accumulate(self.bounds[1:, 0][::-1])[::-1]
        return len(apart) if apart.all() else int(np.argmin(apart))


def nearest_boundaries(block: NormedMLP, token: object) -> NearestBoundaries:
    r"""Return the boundaries of all units by their distance from a token, with bounds.

    Raises
    ------
    InputError
        If block is no `NormedMLP`, or token no finite vector of its dimension.

    Notes
    -----
    The distance is :math:`|\tilde w \cdot x + \tilde c r| / (r |\tilde w|)`; numerator, r and length come with
    bounds. Cost: one product of W with a vector; balls for units whose numbers leave the floats.

    Examples
    --------
    >>> block = NormedMLP([1, 1], [0, 0], 0, [[1, -1], [2, -2]], [1, -2], "gelu", [[1, 1]], [0])
    >>> near = nearest_boundaries(block, [3, 1])
    >>> near
    NearestBoundaries(2 units, the nearest unit 1 at 0.7071)
    >>> near.proved, (near.angles / np.pi).round(6)
    (1, array([0.333333, 0.666667]))
    """
    as_block(block)
    point = as_vector(token, "token", block.dim)
    values, errors = (part[0] for part in block.enclosed(point[None]))
    centered = Centered.of(point[None], block.eps)
    root, root_error = centered.root[0], centered.root_error[0]
    low, high = block.folded.sizes
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        top = high * (root + root_error)
        least = np.maximum(np.abs(values) - errors, 0.0) / top * (1 - gamma(8)) - TINY
        bottom = low * max(root - root_error, 0.0)
        most = np.where(bottom > 0, round_up((np.abs(values) + errors) / bottom, 6) + TINY, np.inf)
        length = 0.5 * (low + high)
        distance = np.clip(np.abs(values) / (root * length), least, most)
        angles = _angles(values / root, block.folded.offsets, length, centered.lengths[0] / root)
    constant = block.folded.is_zero
    floats = np.isfinite(most) & (bottom >= TINY / U) & (top < np.inf)
    for unit in np.flatnonzero(~constant & ~floats).tolist():
        least[unit], most[unit] = _distance(block, point, unit)
        distance[unit] = 0.5 * least[unit] + 0.5 * most[unit]
    distance[constant] = angles[constant] = most[constant] = np.inf
    order = np.argsort(distance, kind="stable")
    bounds = np.stack([np.maximum(least, 0.0), most], axis=1)[order]
    return NearestBoundaries(freeze(order), freeze(distance[order]), freeze(bounds), freeze(angles[order]))


def _distance(block: NormedMLP, x: np.ndarray, unit: int) -> tuple[float, float]:
    """Return bounds on the distance of one unit's hyperplane, by balls."""
    from flint import arb, ctx

    row, offset = block.folded.exact([unit])
    square = exact_variance(x) + rational(block.eps)
    with ctx.workprec(PRECISION):
        value = arb((row * rational_matrix(x))[0, 0]) + arb(offset[0, 0]) * arb(square).sqrt()
        low, high = float_bounds(abs(value) / (arb(square) * arb((row * row.transpose())[0, 0])).sqrt())
    return max(low, 0.0), high


def _angles(z: np.ndarray, c: np.ndarray, length: np.ndarray, radius: float) -> np.ndarray:
    """Return the angles of the module docstring, in floats."""
    circle = -c / (length * radius)
    here = np.clip((z - c) / (length * radius), -1.0, 1.0)
    return np.where(np.abs(circle) < 1.0, np.abs(np.arccos(here) - np.arccos(np.clip(circle, -1, 1))), np.inf)
