"""Toys made by hand: a few units each, weights that are small dyadic numbers, all cells known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polygeom.errors import InputError
from polygeom.gates import Elementwise, MaxGate, elementwise_gate
from polygeom.models.toy.sizes import at_least
from polygeom.network import Network
from polygeom.steps import Dense, Sum

__all__ = ["absolute", "box_indicator", "maxima", "tent", "three_axes", "xor"]


def absolute() -> Network:
    """Return ``|x| = relu(x) + relu(-x)`` on R: 2 cells.

    Both units vanish at 0, where the code is (0, 0): a code of no full-dimensional cell. Both letters flip across
    the one boundary.

    Examples
    --------
    >>> absolute()([[-3.0], [2.0]]).ravel()
    array([3., 2.])
    """
    return Network.from_layers([([[1], [-1]], [0, 0]), ([[1, 1]], [0])])


def tent(depth: int) -> Network:
    r"""Return the tent map iterated `depth` times: :math:`2^L` linear pieces of equal length on [0, 1].

    One tent is :math:`T(x) = 2\,relu(x) - 4\,relu(x - 1/2)`; each layer holds its two units. On R there is one
    more cell below 0 and, for depth 2 and more, one above 1: :math:`2^L + 2` cells in all, 3 for depth 1. At
    the valleys inside (0, 1) a pre-activation touches 0 without changing sign: a point, no boundary.

    Source: Telgarsky 2016, Lemma 3.10.

    Raises
    ------
    InputError
        If depth is less than 1.

    Examples
    --------
    >>> tent(2)([[0.0], [0.25], [0.5], [0.75], [1.0]]).ravel()
    array([0., 1., 0., 1., 0.])
    """
    if depth < 1:
        raise InputError(f"tent got depth {depth}; a network needs at least one layer.")
    thresholds, slopes = np.array([0.0, -0.5]), np.array([2.0, -4.0])
    middle = [(np.outer(np.ones(2), slopes), thresholds)] * (depth - 1)
    return Network.from_layers([(np.ones((2, 1)), thresholds), *middle, (slopes[None], [0])])


def xor() -> Network:
    """Return relu(x + y) - 2 relu(x + y - 1): exclusive or of bits, 3 cells in R^2 between two parallel lines.

    No cell is a cone with apex 0 and none has an apex at all: each contains a whole line.

    Examples
    --------
    >>> xor()([[0, 0], [0, 1], [1, 0], [1, 1]]).ravel()
    array([0., 1., 1., 0.])
    """
    return Network.from_layers([([[1, 1], [1, 1]], [0, -1]), ([[1, -2]], [0])])


def box_indicator(dim: int) -> Network:
    r"""Return the bump that is 1 on the box :math:`[-1, 1]^d` and falls to 0 within l1-distance 1 of it.

    :math:`f(x) = relu(1 - \sum_i relu(x_i - 1) - \sum_i relu(-1 - x_i))`. The first layer draws the
    :math:`3^d` cells of a grid; on the box itself the last unit is constant, every other cell it cuts in two:
    :math:`2 \cdot 3^d - 1` cells, of which the :math:`3^d` with the last unit on are bounded.

    Examples
    --------
    >>> box_indicator(2)([[0.5, -1.0], [1.5, 0.0], [3.0, 3.0]]).ravel()
    array([1. , 0.5, 0. ])
    """
    eye = np.eye(at_least(1, dim, "dim"))
    hidden = (np.vstack([eye, -eye]), -np.ones(2 * dim))
    return Network.from_layers([hidden, (-np.ones((1, 2 * dim)), [1]), ([[1]], [0])])


def three_axes(breakpoints: Sequence[int] = (9, 9, 9), levels: Sequence[float] = (1.5,)) -> Network:
    r"""Return a network in R^3 whose cells may have more than 2 d = 6 facets on average: as it stands 1896 cells.

    The first layer is a grid, the units :math:`x_a - k`, k = 0, ..., p_a - 1. Unit j of the second is
    :math:`tri(x) + tri(y) + tri(z) - h_j`, with tri the zigzag of slopes 0, 1, -1, ..., 0 that is 0 at even and 1
    at odd k. With p = (9, 9, 9) and h = 3/2 it cuts 896 of the :math:`10^3` boxes of the grid, each by a plane
    that runs through none of their corners: 1000 + 896 cells. They share 5708 facets, and each counts for two
    cells: 6.021 a cell on average, where one layer of any width stays below 6 (docs/facets_small.md).

    Parameters
    ----------
    breakpoints : three odd numbers p_a
    levels : sequence of float
        The h_j, in (0, 3), none of them a whole number.

    Raises
    ------
    InputError
        If there are not three odd numbers of breakpoints, at least 3, or a level is whole or out of range.

    Examples
    --------
    >>> three_axes()([[1.0, 1.0, 1.0], [0.0, 0.5, 4.0]]).ravel()
    array([1.5, 0. ])
    """
    if len(breakpoints) != 3 or any(p < 3 or p % 2 == 0 for p in breakpoints):
        raise InputError(f"breakpoints are {tuple(breakpoints)}, wanted three odd numbers, at least 3.")
    if not len(levels) or any(not 0 < h < 3 or float(h).is_integer() for h in levels):
        raise InputError(f"levels are {tuple(levels)}, wanted numbers in (0, 3), none of them whole.")
    grid = (
        np.repeat(np.eye(3), breakpoints, axis=0),
        -np.concatenate([np.arange(float(p)) for p in breakpoints]),
    )
    zigzag = np.concatenate([[1.0, *(2.0 * (-1) ** k for k in range(1, p - 1)), 1.0] for p in breakpoints])
    surfaces = np.tile(zigzag, (len(levels), 1)), -np.array(levels, dtype=np.float64)
    return Network.from_layers([grid, surfaces, (np.ones((1, len(levels))), [0])])


def maxima() -> Network:
    r"""Return a network that is no chain, with a residual sum and two maxima: 14 cells in R^2.

    Three units draw the sides of a triangle, :math:`z = (x, y, 1 - x - y)`; the sum :math:`s = z + relu(z)` grows
    with z. One maximum is over all three :math:`s_i`, the other over the first two; the output is their sum. The
    sides make 7 cells, the line x = y of the second maximum runs through one corner and one side: 10. Of the three
    rays on which the first maximum is tied one lies on that line, each of the others starts on it inside the
    triangle and crosses one side: 14.

    Examples
    --------
    >>> maxima()([[0.25, 0.25], [-1.0, 0.5]]).ravel()
    array([1.5, 4. ])
    """
    W, b = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]), np.array([0.0, 0.0, 1.0])
    triple, pair = (3,), (2,)
    sides = Dense(inputs=(0,), shapes=(pair,), shape=triple, weight=W, constant=b, path="sides")
    units = Elementwise(inputs=(1,), shapes=(triple,), shape=triple, path="relu", **elementwise_gate("relu"))
    total = Sum(inputs=(2, 1), shapes=(triple, triple), shape=triple, coefficients=(1.0, 1.0), path="sum")
    windows = np.array([[0, 1, 2], [0, 1, -1]])
    largest = MaxGate(inputs=(3,), shapes=(triple,), shape=pair, index=windows, path="max")
    added = Dense(inputs=(4,), shapes=(pair,), shape=(1,), weight=np.ones((1, 2)), constant=np.zeros(1))
    return Network((sides, units, total, largest, added), pair)
