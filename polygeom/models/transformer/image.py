r"""The image of LayerNorm and a block's hyperplanes: which meet it, which pairs meet in it, which cones they are.

Before gain and shift the image is the open ball :math:`|y|^2 < d` of the hyperplane orthogonal to ones, or for
:math:`\epsilon = 0` the sphere around it. With the height :math:`h_i = |\tilde c_i| / (\sqrt d |\tilde w_i|)`

- unit i changes its sign on the image iff :math:`h_i < 1`, that is :math:`\tilde c_i^2 < d |\tilde w_i|^2`: a
  comparison of rationals, no root in it. At :math:`h_i = 1` the hyperplane touches the sphere; a unit with
  :math:`\tilde w_i = 0` draws no boundary.
- the hyperplanes of two units meet in the open ball iff the point of their intersection nearest to 0 lies in it.
  With signed heights :math:`k = \tilde c / (\sqrt d |\tilde w|)` and the cosine :math:`\rho` of the angle between
  the rows

  .. math:: k_i^2 - 2 \rho k_i k_j + k_j^2 < 1 - \rho^2;

  for parallel rows (:math:`\rho = \pm 1`) iff they are one hyperplane with :math:`h < 1`.
- in the residual stream the boundary of unit i is :math:`\tilde w_i \cdot x + \tilde c_i r(x) = 0`, for
  :math:`\epsilon = 0` a circular cone around :math:`\tilde w_i` with the cosine :math:`-k_i`. r is convex, so
  :math:`\{\operatorname{sign}(\tilde c_i) z_i \le 0\}` is; the other side is so only for :math:`\tilde c_i = 0`.

Rounding
--------
A cosine :math:`\hat\rho` of rounded rows errs by :math:`E_\rho = \gamma_{2d+16} + e_i + e_j` with e the relative
error of a row, divided by a length that is rounded as well; a height by :math:`E_k`. The difference of
the two sides, f, has derivatives at most :math:`2 |\rho| + 2 |k_i k_j| \le 4` and :math:`2 |k| + 2 |k| \le 4`
while heights are at most 1, so it errs by :math:`4 (E_\rho + E_{k_i} + E_{k_j})` and as many squares, and
:math:`16 u`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.arrays import freeze
from polygeom.models.transformer.normed_mlp import NormedMLP, as_block
from polygeom.rounding import TINY, gamma, round_up
from polygeom.threads import one_blas_thread

__all__ = [
    "BoundaryCones",
    "ImageHyperplanes",
    "PairsInBall",
    "boundary_cones",
    "image_hyperplanes",
    "pairs_in_ball",
]

BLOCK = 512
"""Rows of the Gram matrix treated at once, to bound memory."""

CONVEX_OFF, CONVEX_ON, CONVEX_BOTH = 0, 1, 2


@dataclass(frozen=True, eq=False)
class ImageHyperplanes:
    """How the hyperplanes of a block lie to the image of its LayerNorm; every sign is exact.

    Attributes
    ----------
    meets : (m,) bool array
        Which units change their sign on the image.
    touches : (m,) bool array
        Which hyperplanes touch the sphere: the unit vanishes at one point of it and changes no sign.
    is_constant : (m,) bool array
        Which units have a folded row of zeros, and draw no boundary.
    heights : (m,) array
        h, rounded: distance from 0 over the radius of the ball; infinite for constant units.
    """

    meets: np.ndarray
    touches: np.ndarray
    is_constant: np.ndarray
    heights: np.ndarray

    def __repr__(self) -> str:
        return f"ImageHyperplanes({np.count_nonzero(self.meets)} of {len(self.meets)} meet the image)"


def image_hyperplanes(block: NormedMLP) -> ImageHyperplanes:
    """Tell exactly which hyperplanes of a block meet the image of its LayerNorm.

    Raises
    ------
    InputError
        If block is no `NormedMLP`.

    Notes
    -----
    Floats with their bounds; a rational comparison for each unit they leave open. Cost: a pass over the rows.

    Examples
    --------
    >>> W = [[1, -1], [3, -3], [1, 1], [1, -1]]
    >>> block = NormedMLP([1, 1], [0, 0], 1e-5, W, [3, 3, 1, 2], "gelu", [[1] * 4], [0])
    >>> found = image_hyperplanes(block)
    >>> found.meets, found.touches, found.is_constant
    (array([False,  True, False, False]), array([False, False, False,  True]), array([False, False,  True, False]))
    """
    as_block(block)
    folded, d = block.folded, block.dim
    (low, high), root = folded.sizes, np.sqrt(d)
    sizes = np.abs(folded.offsets)
    most = round_up(sizes + folded.offset_errors, 2)
    with np.errstate(invalid="ignore"):
        least = np.maximum((sizes - folded.offset_errors) * (1 - gamma(2)), 0.0)
    meets = most < low * root * (1 - gamma(8)) - TINY
    misses = least > round_up(high * root, 4)
    touches, is_constant = np.zeros_like(meets), folded.is_zero
    for unit in np.flatnonzero(~(meets | misses | is_constant)).tolist():
        rows, offsets = folded.exact([unit])
        square = sum((v * v for v in rows.entries()), 0 * offsets[0, 0])
        gap = offsets[0, 0] ** 2 - d * square
        meets[unit], touches[unit] = gap < 0, gap == 0
    with np.errstate(all="ignore"):
        heights = np.where(is_constant, np.inf, sizes / (root * (0.5 * low + 0.5 * high)))
    for unit in np.flatnonzero(~is_constant & ~((low > 0) & np.isfinite(sizes))).tolist():
        heights[unit] = _height(block, unit)
    return ImageHyperplanes(freeze(meets), freeze(touches), is_constant, freeze(heights))


def _height(block: NormedMLP, unit: int) -> float:
    """Return the height of a hyperplane whose row or offset leaves the floats."""
    from flint import arb

    row, offset = block.folded.exact([unit])
    return float((arb(offset[0, 0] ** 2) / arb(block.dim * (row * row.transpose())[0, 0])).sqrt())


def _axis(block: NormedMLP, unit: int) -> np.ndarray:
    """Return a row over its length where it leaves the floats."""
    from flint import arb

    row, _ = block.folded.exact([unit])
    length = arb((row * row.transpose())[0, 0]).sqrt()
    return np.array([float(arb(entry) / length) for entry in row.entries()])


@dataclass(frozen=True, eq=False)
class PairsInBall:
    """Which pairs of hyperplanes of a block meet in the open ball.

    Attributes
    ----------
    meet : (m, m) bool array
        Symmetric, exact; False on the diagonal, and for units whose own hyperplane misses the ball.
    """

    meet: np.ndarray

    def __len__(self) -> int:
        return int(np.count_nonzero(self.meet)) // 2

    def __repr__(self) -> str:
        m = len(self.meet)
        return f"PairsInBall({len(self)} of {m * (m - 1) // 2} pairs of {m} units)"


@np.errstate(over="ignore", invalid="ignore")  # what overflows is certain of nothing
def pairs_in_ball(block: NormedMLP) -> PairsInBall:
    """Tell exactly which pairs of hyperplanes meet in the open ball of radius sqrt(d).

    Raises
    ------
    InputError
        If block is no `NormedMLP`.

    Notes
    -----
    Cost: one Gram product of m^2 d flops; rationals for pairs within rounding of a tie, as units with parallel
    rows.

    Examples
    --------
    >>> W = [[1, -1, 0], [0, 1, -1], [2, -2, 0]]
    >>> block = NormedMLP([1, 1, 1], [0, 0, 0], 1e-5, W, [0, 1, 1], "gelu", [[1, 1, 1]], [0])
    >>> pairs_in_ball(block).meet
    array([[False,  True, False],
           [ True, False,  True],
           [False,  True, False]])
    """
    as_block(block)
    folded, m = block.folded, block.n_units
    units = np.flatnonzero(image_hyperplanes(block).meets)
    low, high = (bound[units] for bound in folded.sizes)
    doubtful = ~(low > 0)
    low = np.where(doubtful, 1.0, low)
    lengths = 0.5 * (low + high)
    rows, k = folded.weights[units] / lengths[:, None], folded.offsets[units] / (np.sqrt(block.dim) * lengths)
    direction = round_up((folded.weight_errors[units] + high - low) / low, 4)
    height = round_up(folded.offset_errors[units] / low + np.abs(k) * ((high - low) / low + gamma(8)), 6)
    doubt = np.where(doubtful, np.inf, 4 * (direction + height))
    meet = np.zeros((m, m), dtype=bool)
    with one_blas_thread(rows.size):
        for start in range(0, len(units), BLOCK):
            part = slice(start, start + BLOCK)
            cosines = rows[part] @ rows.T
            own = k[part, None]
            gap = 1.0 - cosines**2 - (own * own - 2 * cosines * own * k + k * k)
            error = doubt[part, None] + doubt
            error = round_up(error * (1 + error) + 8 * gamma(2 * block.dim + 16), 8)
            sure = gap > error
            open_ = np.argwhere(~sure & ~(gap < -error))
            meet[np.ix_(units[part], units)] = sure
            for i, j in open_[open_[:, 0] + start < open_[:, 1]].tolist():
                answer = _meet_exactly(block, int(units[start + i]), int(units[j]))
                meet[units[start + i], units[j]] = answer
    meet = np.triu(meet, 1)
    return PairsInBall(freeze(meet | meet.T))


def _meet_exactly(block: NormedMLP, i: int, j: int) -> bool:
    """Tell in rationals whether two hyperplanes that meet the ball meet in it."""
    rows, offsets = block.folded.exact([i, j])
    gram = rows * rows.transpose()
    c, e = offsets.entries()
    determinant = gram[0, 0] * gram[1, 1] - gram[0, 1] ** 2
    if determinant == 0:
        return c * gram[0, 1] == e * gram[0, 0]
    numerator = c * c * gram[1, 1] - 2 * c * e * gram[0, 1] + e * e * gram[0, 0]
    return numerator < block.dim * determinant


@dataclass(frozen=True, eq=False)
class BoundaryCones:
    """The boundaries of a block's units in the residual stream.

    For eps = 0 unit i vanishes on the points x whose Px makes the angle arccos(cosines[i]) with axes[i]; for eps >
    0 on a hyperboloid inside that cone or its complement, with the same convex side.

    Attributes
    ----------
    axes : (m, d) array
        w~ over its length, rounded; zero for units without boundary.
    cosines : (m,) array
        -c~ / (sqrt(d) |w~|), rounded; a boundary is there where it lies strictly between -1 and 1.
    exists : (m,) bool array
        Which units have one; exact.
    convex : (m,) array
        The letter of the convex side (0 or 1), 2 where both sides are convex; exact.
    """

    axes: np.ndarray
    cosines: np.ndarray
    exists: np.ndarray
    convex: np.ndarray

    def __repr__(self) -> str:
        return f"BoundaryCones({np.count_nonzero(self.exists)} of {len(self.exists)} units)"


def boundary_cones(block: NormedMLP) -> BoundaryCones:
    """Return the boundaries of a block's units in the residual stream, with their convex sides.

    Raises
    ------
    InputError
        If block is no `NormedMLP`.

    Examples
    --------
    >>> W, c = [[1, -1], [1, -1], [1, -1]], [1, 0, -1]
    >>> cones = boundary_cones(NormedMLP([1, 1], [0, 0], 0, W, c, "gelu", [[1, 1, 1]], [0]))
    >>> cones.cosines, cones.convex
    (array([-0.5,  0. ,  0.5]), array([0, 2, 1], dtype=uint8))
    """
    as_block(block)
    folded, image = block.folded, image_hyperplanes(block)
    c = folded.offsets
    signs = np.where(np.abs(c) > folded.offset_errors, np.sign(c), 0).astype(np.intp)
    for unit in np.flatnonzero((signs == 0) & (folded.offset_errors > 0)).tolist():
        _, offsets = folded.exact([unit])
        signs[unit] = int(offsets[0, 0] > 0) - int(offsets[0, 0] < 0)
    length = np.where(image.is_constant, np.inf, 0.5 * folded.sizes[0] + 0.5 * folded.sizes[1])
    with np.errstate(invalid="ignore"):
        axes = np.where(image.is_constant[:, None], 0.0, folded.weights) / length[:, None]
    for unit in np.flatnonzero(~image.is_constant & ~(np.isfinite(length) & (folded.sizes[0] > 0))).tolist():
        axes[unit] = _axis(block, unit)
    convex = np.where(signs > 0, CONVEX_OFF, np.where(signs < 0, CONVEX_ON, CONVEX_BOTH)).astype(np.uint8)
    cosines = -np.sign(c) * np.where(image.is_constant, 0.0, image.heights) + 0.0
    return BoundaryCones(freeze(axes), freeze(cosines), image.meets, freeze(convex))
