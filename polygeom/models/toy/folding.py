"""Montufar's construction: layers that fold a cube onto itself, so that one arrangement is seen many times."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, prod

import numpy as np

from polygeom.errors import InputError
from polygeom.models.toy.sizes import at_least
from polygeom.network import Network

__all__ = ["montufar"]


def montufar(dim: int, widths: Sequence[int]) -> tuple[Network, int]:
    r"""Return a deep network with many regions, and the least number that theory promises.

    All layers but the last fold every axis of :math:`[0, 1]^d` :math:`p_l = \lfloor n_l / d \rfloor` times onto
    [0, 1] by :math:`relu(p x) - 2\,relu(p x - 1) + 2\,relu(p x - 2) - ...`; the last one draws hyperplanes in
    general position whose common points lie in the cube: :math:`\sum_k s_i^k y_k = s_i^d`, y around its center. So
    at least :math:`\prod_{l < L} p_l^d \, S_d(n_L)` regions.

    Parameters
    ----------
    dim : int
        Input size d.
    widths : sequence of int
        Sizes of the hidden layers, each at least d.

    Returns
    -------
    Network, int

    Raises
    ------
    InputError
        If a layer is narrower than the input.

    Notes
    -----
    Source: Montufar, Pascanu, Cho, Bengio 2014, Theorem 4.

    Examples
    --------
    >>> net, least = montufar(2, (4, 3))
    >>> net, least  # each axis folded twice, 7 regions of three lines in every copy
    (Network(R^2 -> R^3, 7 units (relu), 5 steps), 28)
    """
    at_least(1, dim, "dim")
    if not widths or min(widths) < dim:
        raise InputError(f"widths are {tuple(widths)}; wanted hidden layers, each of size {dim} or more.")
    *folding, last = widths
    copies = [n // dim for n in folding]
    layers, before = [], np.eye(dim)
    for p in copies:
        layers.append((p * np.repeat(before, p, axis=0), -np.tile(np.arange(p, dtype=np.float64), dim)))
        coefficients = np.array([1.0, *(2.0 * (-1) ** k for k in range(1, p))])
        before = np.kron(np.eye(dim), coefficients)
    s = 2.0 * np.arange(last) / max(last - 1, 1) - 1.0
    normals, scale = s[:, None] ** np.arange(dim), 2.0 ** (dim + 2)
    offsets = -(s**dim) - scale * normals.sum(axis=1) / 2
    layers += [(scale * normals @ before, offsets), (np.eye(last), np.zeros(last))]
    return Network.from_layers(layers), prod(p**dim for p in copies) * sum(
        comb(last, i) for i in range(dim + 1)
    )
