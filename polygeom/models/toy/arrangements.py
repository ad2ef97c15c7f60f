r"""One layer over a famous arrangement of hyperplanes: reflections, grids.

Sources: Zaslavsky 1975; Stanley 2007, An introduction to hyperplane arrangements, Section 5.1 (the reflection
arrangements of types A and B).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from polygeom.models.toy.sizes import at_least
from polygeom.network import Network

__all__ = ["b_arrangement", "braid", "cone", "grid"]


def cone(dim: int) -> Network:
    """Return the sum of relu(x_i): the 2^d orthants, each a simplicial cone with apex 0.

    Examples
    --------
    >>> cone(3)([1.0, -2.0, 3.0])
    array([4.])
    """
    eye = np.eye(at_least(1, dim, "dim"))
    return Network.from_layers([(eye, np.zeros(dim)), (np.ones((1, dim)), [0])])


def grid(dim: int, lines: int) -> Network:
    """Return one layer of units x_i - k, k = 0, ..., lines - 1: (lines + 1)^d cells, (lines - 1)^d bounded.

    Far from general position: a vertex of the grid lies on d hyperplanes, but any two units of one axis are
    parallel.

    Examples
    --------
    >>> grid(2, 3).n_units
    6
    """
    at_least(1, lines, "lines")
    weight = np.repeat(np.eye(at_least(1, dim, "dim")), lines, axis=0)
    offset = -np.tile(np.arange(lines, dtype=np.float64), dim)
    return Network.from_layers([(weight, offset), (np.ones((1, dim * lines)), [0])])


def braid(dim: int) -> Network:
    """Return the braid arrangement x_i = x_j in R^n: n! cells, one for every order of the coordinates.

    Every cell is a cone that contains the line of equal coordinates: none has an apex.

    Parameters
    ----------
    dim : int
        n, at least 2.

    Examples
    --------
    >>> braid(3).steps[0].weight
    array([[ 1., -1.,  0.],
           [ 1.,  0., -1.],
           [ 0.,  1., -1.]])
    """
    return _central(_differences(np.eye(at_least(2, dim, "dim"))))


def b_arrangement(dim: int) -> Network:
    """Return the reflection arrangement of type B, x_i = 0 and x_i = +-x_j in R^n: 2^n n! cells.

    One cell for every order of the absolute values and every choice of signs, each a simplicial cone with apex 0.

    Examples
    --------
    >>> b_arrangement(2).steps[0].weight
    array([[ 1.,  0.],
           [ 0.,  1.],
           [ 1., -1.],
           [ 1.,  1.]])
    """
    eye = np.eye(at_least(1, dim, "dim"))
    return _central(np.vstack([eye, _differences(eye), _differences(eye, sign=1.0)]))


def _differences(rows: np.ndarray, sign: float = -1.0) -> np.ndarray:
    """Return row i plus sign times row j for all i < j."""
    pairs = np.array(list(combinations(range(len(rows)), 2)), dtype=np.intp).reshape(-1, 2)
    return rows[pairs[:, 0]] + sign * rows[pairs[:, 1]]


def _central(weight: np.ndarray) -> Network:
    """Return the sum of units without biases."""
    m = len(weight)
    return Network.from_layers([(weight, np.zeros(m)), (np.ones((1, m)), [0])])
