r"""Toys with random weights. :math:`S_k(n) = \sum_{i \le k} \binom{n}{i}`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polygeom.arrays import as_generator
from polygeom.models.toy.sizes import layer_sizes
from polygeom.network import Network

__all__ = ["bias_free", "he", "he_layers", "integer", "near_parallel", "uniform"]

Layer = tuple[np.ndarray, np.ndarray]


def he(widths: Sequence[int], rng: np.random.Generator, activation: str = "relu") -> Network:
    r"""Return a random network: weights :math:`N(0, 2 / n_{in})` (He et al. 2015), biases :math:`N(0, 1/4)`.

    In general position with probability one: with one hidden layer of m units in R^d it has :math:`S_d(m)` cells,
    :math:`\binom{m-1}{d}` of them bounded (Zaslavsky 1975).

    Parameters
    ----------
    widths : sequence of int
        Sizes of input, hidden layers and output.
    activation : str
        Of the units; the counts are those of ReLU.

    Examples
    --------
    >>> he([2, 8, 8, 1], np.random.default_rng(0))
    Network(R^2 -> R^1, 16 units (relu), 5 steps)
    """
    return Network.from_layers(he_layers(widths, rng), activation)


def uniform(widths: Sequence[int], rng: np.random.Generator, reach: float = 1.0) -> Network:
    r"""Return `he` with biases that are uniform between -reach and reach.

    Bounded densities are what bounds on the number of crossings ask of biases (Hanin and Rolnick 2019). With one
    hidden layer of m units in R^d it has :math:`S_d(m)` cells, :math:`\binom{m-1}{d}` of them bounded.

    Raises
    ------
    InputError
        If rng is no generator, or widths are no sizes of layers.

    Examples
    --------
    >>> net = uniform([2, 8, 1], np.random.default_rng(0), reach=0.5)
    >>> bool(np.abs(net.steps[0].constant).max() <= 0.5)
    True
    """
    as_generator(rng)
    return Network.from_layers(
        [(W, rng.uniform(-reach, reach, size=len(b))) for W, b in he_layers(widths, rng)]
    )


def bias_free(widths: Sequence[int], rng: np.random.Generator) -> Network:
    r"""Return `he` with zero biases: every cell is a cone with apex 0.

    One hidden layer of m units in R^d has :math:`2 S_{d-1}(m-1)` cells, none bounded.

    Examples
    --------
    >>> bias_free([2, 5, 1], np.random.default_rng(0))([0.0, 0.0])
    array([0.])
    """
    return Network.from_layers([(W, 0 * b) for W, b in he_layers(widths, rng)])


def integer(widths: Sequence[int], rng: np.random.Generator, largest: int = 2) -> Network:
    """Return a network of random integers between -largest and largest: coincidences of all kinds occur.

    No count is known in advance; all arithmetic on integer or half-integer inputs is exact in floats.

    Raises
    ------
    InputError
        If rng is no generator, or widths are no sizes of layers.

    Examples
    --------
    >>> float(integer([2, 4, 1], np.random.default_rng(0))([1.0, 1.0])[0]).is_integer()
    True
    """
    as_generator(rng)

    def draw(*shape: int) -> np.ndarray:
        return rng.integers(-largest, largest, size=shape, endpoint=True).astype(np.float64)

    return Network.from_layers([(draw(out, into), draw(out)) for into, out in layer_sizes(widths)])


def near_parallel(widths: Sequence[int], gap: float, rng: np.random.Generator) -> Network:
    """Return `he` whose second unit is the first one with its first weight moved by a relative `gap`.

    As long as the two rows stay different floats the hyperplanes cross, at a distance of order 1 / gap along
    them.

    Raises
    ------
    InputError
        If rng is no generator, or widths are no sizes of layers.

    Examples
    --------
    >>> net = near_parallel([2, 4, 1], 0.25, np.random.default_rng(0))
    >>> float(net.steps[0].weight[1, 0] / net.steps[0].weight[0, 0])
    1.25
    """
    as_generator(rng)
    (W, b), *rest = he_layers(widths, rng)
    W[1], b[1] = W[0], b[0]
    W[1, 0] *= 1 + gap
    return Network.from_layers([(W, b), *rest])


def he_layers(widths: Sequence[int], rng: np.random.Generator) -> list[Layer]:
    """Return the weights and biases of `he`, to be changed.

    Examples
    --------
    >>> [W.shape for W, b in he_layers([2, 8, 1], np.random.default_rng(0))]
    [(8, 2), (1, 8)]
    """
    as_generator(rng)
    return [
        (rng.normal(scale=np.sqrt(2 / into), size=(out, into)), rng.normal(scale=0.5, size=out))
        for into, out in layer_sizes(widths)
    ]
