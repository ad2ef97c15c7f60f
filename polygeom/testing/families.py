"""Networks on which enumerations fail or lie: named families, at any widths.

They are the failures of other tools: coincident and nearly coincident hyperplanes, units without a boundary,
boundaries that no letter crosses, central arrangements, integer ties, bad scales. A family says what is done to
the layers of a network; called with widths and a seed it draws the layers too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from polygeom.gates import Elementwise, MaxGate, elementwise_gate
from polygeom.models.toy.random_weights import he_layers
from polygeom.network import Network
from polygeom.steps import Concatenate, Dense, Sum

__all__ = [
    "FAMILIES",
    "Family",
    "generic",
    "integer_layers",
    "overlapping_maxima",
    "random_layers",
    "residual_maxima",
]

Widths = tuple[int, ...]
Layers = list[tuple[np.ndarray, np.ndarray]]
Maps = tuple[tuple[np.ndarray, np.ndarray], ...]


def random_layers(widths: Widths, seed: int) -> Layers:
    """Return Gaussian weights of variance 2 / fan-in and biases of size 0.3.

    Examples
    --------
    >>> [(W.shape, b.shape) for W, b in random_layers((2, 3, 1), seed=0)]
    [((3, 2), (3,)), ((1, 3), (1,))]
    """
    return [(W, 0.6 * b) for W, b in he_layers(widths, np.random.default_rng(seed))]


def integer_layers(widths: Widths, seed: int) -> Layers:
    """Return weights and biases of -2 .. 2: ties everywhere.

    Examples
    --------
    >>> Network.from_layers(integer_layers((2, 3, 1), seed=0))
    Network(R^2 -> R^1, 3 units (relu), 3 steps)
    """
    rng = np.random.default_rng(seed)
    return [
        (rng.integers(-2, 3, (m, n)).astype(np.float64), rng.integers(-2, 3, m).astype(np.float64))
        for n, m in pairwise(widths)
    ]


@dataclass(frozen=True)
class Family:
    """One kind of degeneracy.

    Attributes
    ----------
    edit : callable or None
        What is done to the layers, (weight, bias) pairs, in place; at least one is hidden.
    activation : tuple
        Of the units, as `Network.from_layers` takes it.
    shape : callable or None
        From the widths asked for to those that the layers have.
    draw : callable
        Makes layers from widths and a seed.

    Examples
    --------
    >>> FAMILIES["duplicate unit"]((2, 3, 1), seed=0)
    Network(R^2 -> R^1, 3 units (relu), 3 steps)
    """

    edit: Callable[[Layers], None] | None = None
    activation: tuple = ("relu",)
    shape: Callable[[Widths], Widths] | None = None
    draw: Callable[[Widths, int], Layers] = random_layers

    def __call__(self, widths: Widths, seed: int) -> Network:
        """Return a member with hidden layers of these widths (input, hidden layers, output)."""
        layers = self.draw(self.widths(widths), seed)
        return Network.from_layers(self.edited(layers), *self.activation)

    def widths(self, widths: Widths) -> Widths:
        """Return the widths of the layers that `edited` takes."""
        return tuple(widths) if self.shape is None else self.shape(tuple(widths))

    def edited(self, layers: Layers) -> Layers:
        """Return layers made degenerate; those given stay as they are."""
        layers = [(np.array(W, dtype=np.float64), np.array(b, dtype=np.float64)) for W, b in layers]
        if self.edit is not None:
            self.edit(layers)
        return layers


# -- hyperplanes that coincide, or nearly --------------------------------------------------------------------


def _copies(factor: float, digits: int | None = None) -> Callable[[Layers], None]:
    """In every hidden layer the last unit becomes the first one, scaled, one weight moved by 10^-digits."""

    def edit(layers: Layers) -> None:
        for W, b in layers[:-1]:
            W[-1], b[-1] = factor * W[0], factor * b[0]
            W[-1, 0] += 0.0 if digits is None else 10.0**-digits

    return edit


def _parallel(layers: Layers) -> None:
    W, _ = layers[0]
    W[:] = W[0] * np.arange(1.0, len(W) + 1)[:, None]


def _ignore_the_last_input(layers: Layers) -> None:
    layers[0][0][:, -1] = 0.0


def _meet_in_one_point(layers: Layers) -> None:
    W, b = layers[0]
    b[:] = -W.sum(axis=1)


# -- units without a boundary --------------------------------------------------------------------------------


def _without_weights(bias: float) -> Callable[[Layers], None]:
    """In every hidden layer the last unit loses its weights."""

    def edit(layers: Layers) -> None:
        for W, b in layers[:-1]:
            W[-1], b[-1] = 0.0, bias

    return edit


def _mostly_off(layers: Layers) -> None:
    layers[0][1][:] = -1.0


# -- boundaries that letters do not cross, or cross without a row --------------------------------------------


def _mirror(layers: Layers) -> None:
    W, b = layers[1]
    W[:2], b[:2] = 0.0, 0.0
    W[0, 0] = -1.0
    W[-1], b[-1] = 0.0, 0.0
    W[-1, 0] = 1.0


def _two_hidden_layers(widths: Widths) -> Widths:
    """`_mirror` takes two hidden layers, and two units in the second."""
    return widths if len(widths) > 3 else (*widths[:-1], 2, widths[-1])


def _repeat_the_first_layer(layers: Layers) -> None:
    width = len(layers[0][0])
    layers[1] = np.eye(width), np.zeros(width)


def _without_biases(layers: Layers) -> None:
    for _, b in layers:
        b[:] = 0.0


# -- scales --------------------------------------------------------------------------------------------------


def _inputs_times(exponent: int, first_only: bool = False) -> Callable[[Layers], None]:
    """All coordinates of the input, or the first, are multiplied by a power of ten."""

    def edit(layers: Layers) -> None:
        layers[0][0][:, : 1 if first_only else None] *= 10.0**exponent

    return edit


def _hidden_times(exponent: int) -> Callable[[Layers], None]:
    """Every other hidden unit is multiplied by a power of ten, and divided by it in the next layer."""

    def edit(layers: Layers) -> None:
        for (W, b), (W_next, _) in pairwise(layers):
            W[::2] *= 10.0**exponent
            b[::2] *= 10.0**exponent
            W_next[:, ::2] /= 10.0**exponent

    return edit


# -- all of them -----------------------------------------------------------------------------------------------

generic = Family()
"""A network in general position."""

FAMILIES: dict[str, Family] = {
    "generic": generic,
    # equal units flip together: single flips lead to no region
    "duplicate unit": Family(_copies(1.0)),
    # of two units on one hyperplane one is on on either side
    "anti-parallel pair": Family(_copies(-1.0)),
    # exactly the same hyperplane
    "scaled duplicate": Family(_copies(2.0)),
    # three times the weights are rounded: another hyperplane, an ulp away, and cells as thin as that
    "tripled duplicate": Family(_copies(3.0)),
    **{f"nearly parallel 1e-{digits}": Family(_copies(1.0, digits)) for digits in (4, 6, 8, 10, 12)},
    # the first layer has rank 1, all cells hold lines
    "parallel": Family(_parallel),
    "rank-deficient": Family(_ignore_the_last_input),
    "concurrent": Family(_meet_in_one_point, draw=integer_layers),
    # units that are constant: on, and exactly on their breakpoint
    "zero weights": Family(_without_weights(0.5)),
    "dead unit": Family(_without_weights(0.0)),
    # deeper maps have low rank, whole cells are mapped to a point
    "silent layer": Family(_mostly_off),
    # second-layer units -relu(z) and relu(z): they vanish on half of the space
    "mirrored": Family(_mirror, shape=_two_hidden_layers),
    # all boundaries of the second layer are old ones
    "identity layer": Family(_repeat_the_first_layer, shape=lambda w: (w[0], w[1], w[1], *w[2:])),
    # all cells are cones, and units flip across facets that they do not draw
    "zero biases": Family(_without_biases),
    "small integers": Family(draw=integer_layers),
    "integer cones": Family(_without_biases, draw=integer_layers),
    "inputs times 1e6": Family(_inputs_times(6)),
    "inputs times 1e-6": Family(_inputs_times(-6)),
    "one input times 1e6": Family(_inputs_times(6, first_only=True)),
    "one input times 1e-6": Family(_inputs_times(-6, first_only=True)),
    "hidden times 1e6": Family(_hidden_times(6)),
    "hidden times 1e-6": Family(_hidden_times(-6)),
    "leaky": Family(activation=("leaky_relu", 0.125)),
    "absolute value": Family(activation=("abs",)),
    "leaky integers": Family(activation=("leaky_relu", 0.5), draw=integer_layers),
    "absolute integers": Family(activation=("abs",), draw=integer_layers),
    # layers of one unit, before and after wider ones
    "narrow": Family(shape=lambda w: (w[0], 1, *w[1:-1], 1, w[-1])),
}
"""Every family, by name; the simplest first."""


# -- no chains -------------------------------------------------------------------------------------------------


def overlapping_maxima(
    maps: Maps,
    activation: tuple,
    sign: float,
    head: np.ndarray,
    windows: np.ndarray | None = None,
) -> Network:
    """Return a graph: dense, units, dense, residual sum, concatenation, maxima over windows, dense.

    Parameters
    ----------
    maps : two pairs of (m, n) and (m, m) weights with (m,) biases
    activation : tuple
        Of the units behind the first map, as `elementwise_gate` takes it.
    sign : float
        The second map's values plus `sign` times the first's are joined with the units' values: 2 m entries.
    head : (k, w) array
        The weights behind the maxima.
    windows : (w, p) int array, optional
        Entries each maximum is over, -1 for none; overlapping ones of up to three neighbors by default.

    Examples
    --------
    >>> maps = (np.eye(2), np.zeros(2)), (np.eye(2), np.zeros(2))
    >>> overlapping_maxima(maps, ("relu",), -1.0, np.ones((1, 3)))([1.0, -1.0])
    array([3.])
    """
    A, a, B, b, head = (np.asarray(v, dtype=np.float64) for v in (*maps[0], *maps[1], head))
    m, n = A.shape
    if windows is None:
        windows = np.array([[i, i + 1, i + 2 if i + 2 < 2 * m else -1] for i in range(2 * m - 1)])
    w = len(windows)
    first = Dense(inputs=(0,), shapes=((n,),), shape=(m,), weight=A, constant=a)
    units = Elementwise(inputs=(1,), shapes=((m,),), shape=(m,), **elementwise_gate(*activation))
    second = Dense(inputs=(2,), shapes=((m,),), shape=(m,), weight=B, constant=b)
    total = Sum(inputs=(3, 1), shapes=((m,), (m,)), shape=(m,), coefficients=(1.0, sign))
    both = Concatenate(inputs=(4, 2), shapes=((m,), (m,)), shape=(2 * m,), axis=0)
    largest = MaxGate(inputs=(5,), shapes=((2 * m,),), shape=(w,), index=windows)
    last = Dense(inputs=(6,), shapes=((w,),), shape=(len(head),), weight=head)
    return Network((first, units, second, total, both, largest, last), (n,))


def residual_maxima(dim: int, seed: int, activation: tuple = ("relu",)) -> Network:
    """Return random weights in the graph of `overlapping_maxima`: 3 units, 3 maxima.

    Examples
    --------
    >>> residual_maxima(2, seed=0)
    Network(R^2 -> R^1, 6 units (max, relu), 7 steps)
    """
    rng = np.random.default_rng(seed)
    shapes = (3, dim), (3,), (3, 3), (3,), (1, 3), (1,)
    A, a, B, b, head, _ = (rng.standard_normal(shape) for shape in shapes)
    return overlapping_maxima(
        ((A, a), (B, b)), activation, -1.0, head, np.array([[0, 1, 2], [1, 2, 3], [3, 4, -1]])
    )
