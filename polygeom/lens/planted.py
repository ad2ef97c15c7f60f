r"""Networks whose circuits are known: what a method for directions and interactions must recover.

Two circuits of the same depth read different inputs, have no weight between them, and are added by the output:
:math:`f(x, y) = g(x) + h(y)`. Nothing of one interacts with anything of the other, on no code. The same with a
shared unit in the last hidden layer, which reads both: flipping it interacts with units of both, and the circuits
still do not interact with each other as long as its letter stays; as functions they do, wherever it bends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.arrays import as_count, as_generator, freeze
from polygeom.errors import InputError
from polygeom.network import Network

__all__ = ["Planted", "planted"]


@dataclass(frozen=True, eq=False)
class Planted:
    """A network, and which units and inputs belong to which circuit.

    Attributes
    ----------
    network : Network
    circuits : tuple of two integer arrays
        The units of each circuit, over all layers.
    inputs : tuple of two integer arrays
        The coordinates each circuit reads.
    shared : integer array
        The unit that reads both, if there is one.
    """

    network: Network
    circuits: tuple[np.ndarray, np.ndarray]
    inputs: tuple[np.ndarray, np.ndarray]
    shared: np.ndarray

    def circuit_of(self, units: object) -> set[int]:
        """Return the circuits (0 and 1) that own some of these units; the shared unit belongs to neither."""
        return {c for c, own in enumerate(self.circuits) if np.isin(np.asarray(units), own).any()}


def planted(
    rng: np.random.Generator, *, depth: int = 3, width: int = 4, dim: int = 1, shared: bool = False
) -> Planted:
    """Return two independent circuits in one network, or two that meet in one unit of the last hidden layer.

    Parameters
    ----------
    rng : numpy.random.Generator
        Weights are small dyadic numbers, so that all values are exact.
    depth, width : int
        Hidden layers, and units of each circuit in each of them.
    dim : int
        Inputs of each circuit.
    shared : bool
        Whether there is a unit that reads both.

    Raises
    ------
    InputError
        If there is less than one layer, unit or input; a shared unit needs two layers.

    Examples
    --------
    >>> toy = planted(np.random.default_rng(0), depth=2, width=2)
    >>> toy.network, toy.circuits
    (Network(R^2 -> R^2, 8 units (relu), 5 steps), (array([0, 1, 4, 5]), array([2, 3, 6, 7])))
    >>> planted(np.random.default_rng(0), depth=2, width=2, shared=True).shared
    array([8])
    """
    as_generator(rng)
    for name, value in (("depth", depth), ("width", width), ("dim", dim)):
        as_count(value, name)
    if min(depth - shared, width, dim) < 1:
        raise InputError(
            f"planted got depth {depth}, width {width}, dim {dim}; wanted at least {1 + shared}, 1, 1."
        )
    layers, before = [], dim
    for layer in range(depth):
        W = np.zeros((2 * width, 2 * before))
        W[:width, :before] = _weights(rng, width, before)
        W[width:, before:] = _weights(rng, width, before)
        b = rng.integers(-4, 5, 2 * width) / 4
        if shared and layer == depth - 1:
            W = np.vstack([W, np.abs(_weights(rng, 1, 2 * before))])
            b = np.append(b, -np.abs(W[-1]).sum() / 2)
        layers.append((W, b))
        before = width
    layers.append((_weights(rng, 2, 2 * width + shared), np.zeros(2)))
    columns = np.arange(2 * width * depth).reshape(depth, 2, width)
    return Planted(
        network=Network.from_layers(layers),
        circuits=(freeze(columns[:, 0].ravel()), freeze(columns[:, 1].ravel())),
        inputs=(freeze(np.arange(dim)), freeze(np.arange(dim, 2 * dim))),
        shared=freeze(np.arange(2 * width * depth, 2 * width * depth + shared)),
    )


def _weights(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Return non-zero quarters between -1 and 1."""
    return rng.choice([-4, -3, -2, -1, 1, 2, 3, 4], (rows, columns)) / 4
