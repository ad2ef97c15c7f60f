"""Networks on which enumerations fail or lie: named families, at any widths, and strategies that draw them.

Every family takes widths (input, hidden layers, output) and a seed, and returns a network. They are the failures
of other tools: coincident and nearly coincident hyperplanes, units without a boundary, boundaries that no letter
crosses, central arrangements, integer ties, bad scales.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from polygeom.gates import Elementwise, MaxGate, elementwise_gate
from polygeom.network import Network
from polygeom.steps import Concatenate, Dense, Sum

Layers = list[tuple[np.ndarray, np.ndarray]]
Family = Callable[[tuple[int, ...], int], Network]

PLANE, SPACE = (2, 5, 4, 1), (3, 4, 3, 1)
"""Widths at which the exact oracle takes a tenth of a second."""

CLASSIC = (2, 12, 12, 1)
"""The widths other tools were tried on."""


def random_layers(widths: tuple[int, ...], seed: int) -> Layers:
    """Return Gaussian weights of variance 2 / fan-in and biases of size 0.3."""
    rng = np.random.default_rng(seed)
    return [
        (rng.standard_normal((m, n)) * np.sqrt(2 / n), rng.standard_normal(m) * 0.3)
        for n, m in pairwise(widths)
    ]


def generic(widths: tuple[int, ...], seed: int) -> Network:
    """A network in general position."""
    return Network.from_layers(random_layers(widths, seed))


# -- hyperplanes that coincide, or nearly --------------------------------------------------------------------


def _with_copies(widths: tuple[int, ...], seed: int, factor: float, shift: float = 0.0) -> Network:
    """In every hidden layer the last unit is the first one, scaled, one weight shifted."""
    layers = random_layers(widths, seed)
    for W, b in layers[:-1]:
        W[-1], b[-1] = factor * W[0], factor * b[0]
        W[-1, 0] += shift
    return Network.from_layers(layers)


def duplicate_unit(widths: tuple[int, ...], seed: int) -> Network:
    """Two equal units flip together: single flips lead to no region."""
    return _with_copies(widths, seed, 1.0)


def opposite_pair(widths: tuple[int, ...], seed: int) -> Network:
    """Of two units on one hyperplane one is on on either side."""
    return _with_copies(widths, seed, -1.0)


def scaled_duplicate(widths: tuple[int, ...], seed: int) -> Network:
    """The copy has twice the weights: exactly the same hyperplane."""
    return _with_copies(widths, seed, 2.0)


def tripled_duplicate(widths: tuple[int, ...], seed: int) -> Network:
    """Three times the weights are rounded: another hyperplane, an ulp away, and cells as thin as that."""
    return _with_copies(widths, seed, 3.0)


def nearly_parallel(digits: int) -> Family:
    """Return the family of a pair of units parallel up to 10^-digits."""

    def family(widths: tuple[int, ...], seed: int) -> Network:
        return _with_copies(widths, seed, 1.0, 10.0**-digits)

    return family


def parallel(widths: tuple[int, ...], seed: int) -> Network:
    """All hyperplanes of the first layer are parallel: its rank is 1, all cells hold lines."""
    layers = random_layers(widths, seed)
    W, _ = layers[0]
    W[:] = W[0] * np.arange(1.0, len(W) + 1)[:, None]
    return Network.from_layers(layers)


def rank_deficient(widths: tuple[int, ...], seed: int) -> Network:
    """The first layer ignores the last input."""
    layers = random_layers(widths, seed)
    layers[0][0][:, -1] = 0.0
    return Network.from_layers(layers)


def concurrent(widths: tuple[int, ...], seed: int) -> Network:
    """All hyperplanes of the first layer meet in one point other than 0."""
    layers = _integer_layers(widths, seed)
    W, b = layers[0]
    b[:] = -W.sum(axis=1)
    return Network.from_layers(layers)


# -- units without a boundary --------------------------------------------------------------------------------


def _with_last_unit(widths: tuple[int, ...], seed: int, bias: float) -> Network:
    """In every hidden layer the last unit has no weights."""
    layers = random_layers(widths, seed)
    for W, b in layers[:-1]:
        W[-1], b[-1] = 0.0, bias
    return Network.from_layers(layers)


def zero_weights(widths: tuple[int, ...], seed: int) -> Network:
    """Units that are constant and on."""
    return _with_last_unit(widths, seed, 0.5)


def dead_unit(widths: tuple[int, ...], seed: int) -> Network:
    """Units that are constant and exactly on their breakpoint: weights and bias are zero."""
    return _with_last_unit(widths, seed, 0.0)


def silent_layer(widths: tuple[int, ...], seed: int) -> Network:
    """A first layer that is mostly off: deeper maps have low rank, whole cells are mapped to a point."""
    layers = random_layers(widths, seed)
    layers[0][1][:] = -1.0
    return Network.from_layers(layers)


# -- boundaries that letters do not cross, or cross without a row --------------------------------------------


def mirrored(widths: tuple[int, ...], seed: int) -> Network:
    """Second-layer units z = -relu(x) and z = relu(x) of one unit: z vanishes on half of the space."""
    layers = random_layers(widths, seed)
    W, b = layers[1]
    W[:2], b[:2] = 0.0, 0.0
    W[0, 0] = -1.0
    W[-1], b[-1] = 0.0, 0.0
    W[-1, 0] = 1.0
    return Network.from_layers(layers)


def identity_layer(widths: tuple[int, ...], seed: int) -> Network:
    """A second layer that repeats the first: all its boundaries are old ones."""
    widths = (widths[0], widths[1], widths[1], *widths[2:])
    layers = random_layers(widths, seed)
    layers[1] = (np.eye(widths[1]), np.zeros(widths[1]))
    return Network.from_layers(layers)


def zero_biases(widths: tuple[int, ...], seed: int) -> Network:
    """All cells are cones, and units flip across facets that they do not draw."""
    return Network.from_layers([(W, 0 * b) for W, b in random_layers(widths, seed)])


def _integer_layers(widths: tuple[int, ...], seed: int) -> Layers:
    rng = np.random.default_rng(seed)
    return [
        (rng.integers(-2, 3, (m, n)).astype(np.float64), rng.integers(-2, 3, m).astype(np.float64))
        for n, m in pairwise(widths)
    ]


def small_integers(widths: tuple[int, ...], seed: int) -> Network:
    """Weights and biases of -2 .. 2: ties everywhere."""
    return Network.from_layers(_integer_layers(widths, seed))


def integer_cones(widths: tuple[int, ...], seed: int) -> Network:
    """Small integers, no biases."""
    return Network.from_layers([(W, 0 * b) for W, b in _integer_layers(widths, seed)])


# -- scales --------------------------------------------------------------------------------------------------


def scaled_inputs(factor: float) -> Family:
    """Return the family whose regions are 1 / factor as large."""

    def family(widths: tuple[int, ...], seed: int) -> Network:
        layers = random_layers(widths, seed)
        return Network.from_layers([(layers[0][0] * factor, layers[0][1]), *layers[1:]])

    return family


def scaled_input(factor: float) -> Family:
    """Return the family in which one coordinate is scaled."""

    def family(widths: tuple[int, ...], seed: int) -> Network:
        layers = random_layers(widths, seed)
        layers[0][0][:, 0] *= factor
        return Network.from_layers(layers)

    return family


def rescaled_hidden(factor: float) -> Family:
    """Return the family in which every other hidden unit is scaled, and undone by the next layer."""

    def family(widths: tuple[int, ...], seed: int) -> Network:
        layers = random_layers(widths, seed)
        for (W, b), (W_next, _) in pairwise(layers):
            W[::2] *= factor
            b[::2] *= factor
            W_next[:, ::2] /= factor
        return Network.from_layers(layers)

    return family


# -- other units, other shapes -------------------------------------------------------------------------------


def activated(activation: str, *parameters: float, base: Callable[..., Layers] = random_layers) -> Family:
    """Return the family of another activation."""

    def family(widths: tuple[int, ...], seed: int) -> Network:
        return Network.from_layers(base(widths, seed), activation, *parameters)

    return family


def narrow(widths: tuple[int, ...], seed: int) -> Network:
    """Layers of one unit, before and after wider ones."""
    return Network.from_layers(random_layers((widths[0], 1, *widths[1:-1], 1, widths[-1]), seed))


def residual_maxima(dim: int, seed: int, activation: tuple = ("relu",)) -> Network:
    """No chain: a residual sum, a concatenation, maxima of overlapping windows."""
    rng, m = np.random.default_rng(seed), 3

    def dense(source: int, n_in: int, n_out: int) -> Dense:
        W, b = rng.standard_normal((n_out, n_in)), rng.standard_normal(n_out)
        return Dense(inputs=(source,), shapes=((n_in,),), shape=(n_out,), weight=W, constant=b)

    units = Elementwise(inputs=(1,), shapes=((m,),), shape=(m,), **elementwise_gate(*activation))
    total = Sum(inputs=(3, 1), shapes=((m,), (m,)), shape=(m,), coefficients=(1.0, -1.0))
    both = Concatenate(inputs=(4, 2), shapes=((m,), (m,)), shape=(2 * m,), axis=0)
    windows = np.array([[0, 1, 2], [1, 2, 3], [3, 4, -1]])
    largest = MaxGate(inputs=(5,), shapes=((2 * m,),), shape=(3,), index=windows)
    return Network((dense(0, dim, m), units, dense(2, m, m), total, both, largest, dense(6, 3, 1)), (dim,))


FAMILIES: dict[str, Family] = {
    "generic": generic,
    "duplicate unit": duplicate_unit,
    "anti-parallel pair": opposite_pair,
    "scaled duplicate": scaled_duplicate,
    "tripled duplicate": tripled_duplicate,
    "nearly parallel 1e-4": nearly_parallel(4),
    "nearly parallel 1e-6": nearly_parallel(6),
    "nearly parallel 1e-8": nearly_parallel(8),
    "nearly parallel 1e-10": nearly_parallel(10),
    "nearly parallel 1e-12": nearly_parallel(12),
    "parallel": parallel,
    "rank-deficient": rank_deficient,
    "concurrent": concurrent,
    "zero weights": zero_weights,
    "dead unit": dead_unit,
    "silent layer": silent_layer,
    "mirrored": mirrored,
    "identity layer": identity_layer,
    "zero biases": zero_biases,
    "small integers": small_integers,
    "integer cones": integer_cones,
    "inputs times 1e6": scaled_inputs(1e6),
    "inputs times 1e-6": scaled_inputs(1e-6),
    "one input times 1e6": scaled_input(1e6),
    "one input times 1e-6": scaled_input(1e-6),
    "hidden times 1e6": rescaled_hidden(1e6),
    "hidden times 1e-6": rescaled_hidden(1e-6),
    "leaky": activated("leaky_relu", 0.125),
    "absolute value": activated("abs"),
    "leaky integers": activated("leaky_relu", 0.5, base=_integer_layers),
    "absolute integers": activated("abs", base=_integer_layers),
    "narrow": narrow,
}
"""Every family, by name."""


@st.composite
def degenerate_networks(draw: st.DrawFn, dims: tuple[int, ...] = (1, 2, 3), max_width: int = 4) -> Network:
    """A member of some family, with one or two hidden layers."""
    family = FAMILIES[draw(st.sampled_from(sorted(FAMILIES)))]
    widths = draw(st.lists(st.integers(2, max_width), min_size=1, max_size=2))
    dim = draw(st.sampled_from(dims))
    if family is mirrored and len(widths) == 1:
        widths = [*widths, 2]
    return family((dim, *widths, 1), draw(st.integers(0, 2**16)))
