r"""Toy networks whose partitions are known: the answers to test against, and the smallest examples.

Every maker returns a `Network` of ReLU units (one hidden layer or more, then a linear output) and says how many
full-dimensional cells with distinct codes it has, wherever theory knows. Write :math:`S_k(n) = \sum_{i \le k}
\binom{n}{i}`. All fixed weights are small dyadic numbers, so the counts hold for the stored floats.

Sources: Zaslavsky 1975 (counts of arrangements); Telgarsky 2016 (the tent map). The degenerate networks are those
on which tools for partitions of ReLU networks are known to refuse, or to answer wrongly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from polygeom.errors import InputError
from polygeom.network import Network

__all__ = [
    "DEGENERATE",
    "absolute",
    "bias_free",
    "box_indicator",
    "cone",
    "degenerate",
    "grid",
    "he",
    "integer",
    "near_parallel",
    "tent",
    "xor",
]

Layer = tuple[np.ndarray, np.ndarray]


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
    eye = np.eye(_positive(dim, "dim"))
    hidden = (np.vstack([eye, -eye]), -np.ones(2 * dim))
    return Network.from_layers([hidden, (-np.ones((1, 2 * dim)), [1]), ([[1]], [0])])


def cone(dim: int) -> Network:
    """Return the sum of relu(x_i): the 2^d orthants, each a simplicial cone with apex 0.

    Examples
    --------
    >>> cone(3)([1.0, -2.0, 3.0])
    array([4.])
    """
    eye = np.eye(_positive(dim, "dim"))
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
    _positive(lines, "lines")
    weight = np.repeat(np.eye(_positive(dim, "dim")), lines, axis=0)
    offset = -np.tile(np.arange(lines, dtype=np.float64), dim)
    return Network.from_layers([(weight, offset), (np.ones((1, dim * lines)), [0])])


# -- random networks -----------------------------------------------------------------------------------------


def he(widths: Sequence[int], rng: np.random.Generator) -> Network:
    r"""Return a random network: weights :math:`N(0, 2 / n_{in})` (He et al. 2015), biases :math:`N(0, 1/4)`.

    In general position with probability one: with one hidden layer of m units in R^d it has :math:`S_d(m)` cells,
    :math:`\binom{m-1}{d}` of them bounded (Zaslavsky 1975).

    Parameters
    ----------
    widths : sequence of int
        Sizes of input, hidden layers and output.

    Examples
    --------
    >>> he([2, 8, 8, 1], np.random.default_rng(0))
    Network(R^2 -> R^1, 16 units (relu), 5 steps)
    """
    return Network.from_layers(_he_layers(widths, rng))


def bias_free(widths: Sequence[int], rng: np.random.Generator) -> Network:
    r"""Return `he` with zero biases: every cell is a cone with apex 0.

    One hidden layer of m units in R^d has :math:`2 S_{d-1}(m-1)` cells, none bounded.

    Examples
    --------
    >>> bias_free([2, 5, 1], np.random.default_rng(0))([0.0, 0.0])
    array([0.])
    """
    return Network.from_layers([(W, 0 * b) for W, b in _he_layers(widths, rng)])


def integer(widths: Sequence[int], rng: np.random.Generator, largest: int = 2) -> Network:
    """Return a network of random integers between -largest and largest: coincidences of all kinds occur.

    No count is known in advance; all arithmetic on integer or half-integer inputs is exact in floats.

    Examples
    --------
    >>> float(integer([2, 4, 1], np.random.default_rng(0))([1.0, 1.0])[0]).is_integer()
    True
    """

    def draw(*shape: int) -> np.ndarray:
        return rng.integers(-largest, largest, size=shape, endpoint=True).astype(np.float64)

    return Network.from_layers([(draw(out, into), draw(out)) for into, out in _steps_of(widths)])


def near_parallel(widths: Sequence[int], gap: float, rng: np.random.Generator) -> Network:
    """Return `he` whose second unit is the first one with its first weight moved by a relative `gap`.

    As long as the two rows stay different floats the hyperplanes cross, at a distance of order 1 / gap along
    them.

    Examples
    --------
    >>> net = near_parallel([2, 4, 1], 0.25, np.random.default_rng(0))
    >>> float(net.steps[0].weight[1, 0] / net.steps[0].weight[0, 0])
    1.25
    """
    (W, b), *rest = _he_layers(widths, rng)
    W[1], b[1] = W[0], b[0]
    W[1, 0] *= 1 + gap
    return Network.from_layers([(W, b), *rest])


def _he_layers(widths: Sequence[int], rng: np.random.Generator) -> list[Layer]:
    return [
        (rng.normal(scale=np.sqrt(2 / into), size=(out, into)), rng.normal(scale=0.5, size=out))
        for into, out in _steps_of(widths)
    ]


def _steps_of(widths: Sequence[int]) -> list[tuple[int, int]]:
    if len(widths) < 2 or min(widths) < 1:
        raise InputError(
            f"widths are {tuple(widths)}; wanted input, hidden and output sizes, all at least 1."
        )
    return list(pairwise(widths))


def _positive(number: int, name: str) -> int:
    if number < 1:
        raise InputError(f"{name} is {number}, wanted at least 1.")
    return number


# -- degenerate networks -------------------------------------------------------------------------------------


def _duplicate(W: np.ndarray, b: np.ndarray) -> None:
    W[1], b[1] = W[0], b[0]


def _scaled_duplicate(W: np.ndarray, b: np.ndarray) -> None:
    W[1], b[1] = 4 * W[0], 4 * b[0]


def _anti_parallel(W: np.ndarray, b: np.ndarray) -> None:
    W[1], b[1] = -W[0], -b[0]


def _parallel(W: np.ndarray, b: np.ndarray) -> None:
    W[1], b[1] = W[0], b[0] + 1


def _dead(W: np.ndarray, b: np.ndarray) -> None:
    W[1], b[1] = 0, -1


def _always_on(W: np.ndarray, b: np.ndarray) -> None:
    W[1], b[1] = 0, 1


def _zero(W: np.ndarray, b: np.ndarray) -> None:
    W[1], b[1] = 0, 0


DEGENERATE: dict[str, Callable[[np.ndarray, np.ndarray], None]] = {
    "duplicate": _duplicate,
    "scaled duplicate": _scaled_duplicate,
    "anti-parallel": _anti_parallel,
    "parallel": _parallel,
    "dead": _dead,
    "always on": _always_on,
    "zero": _zero,
}
"""What `degenerate` does to unit 1 of each hidden layer, by name: in place, on weight and bias."""


def degenerate(kind: str, rng: np.random.Generator, widths: Sequence[int] = (2, 12, 12, 1)) -> Network:
    """Return `he` with unit 1 of every hidden layer made degenerate.

    Parameters
    ----------
    kind : str
        A key of `DEGENERATE`. ``"duplicate"``, ``"scaled duplicate"`` (by 4, exact): unit 1 has the letters of
        unit 0 everywhere, both flip at once. ``"anti-parallel"``: opposite letters off their common hyperplane.
        ``"parallel"``: the same normal, another offset. ``"dead"``, ``"always on"``, ``"zero"``: zero weights
        with bias -1, 1, 0; the unit draws no boundary, its letter is 0, 1, 0.
    widths : sequence of int
        Sizes of input, hidden layers (2 units at least) and output.

    Notes
    -----
    In the first hidden layer all but ``"parallel"`` leave the partition that the other units draw as it is.

    Examples
    --------
    >>> net = degenerate("dead", np.random.default_rng(0))
    >>> net.n_units
    24
    """
    if kind not in DEGENERATE:
        raise InputError(f"Unknown kind {kind!r}; wanted one of {', '.join(map(repr, DEGENERATE))}.")
    layers = _he_layers(widths, rng)
    if min(widths[1:-1], default=0) < 2:
        raise InputError(
            f"widths are {tuple(widths)}; every hidden layer needs two units to make one degenerate."
        )
    for W, b in layers[:-1]:
        DEGENERATE[kind](W, b)
    return Network.from_layers(layers)
