"""Toys on which tools for partitions of ReLU networks are known to refuse, or to answer wrongly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from polygeom.arrays import as_choice, as_generator
from polygeom.errors import InputError
from polygeom.models.toy.random_weights import he_layers
from polygeom.network import Network

__all__ = ["DEGENERATE", "degenerate"]


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

    Raises
    ------
    InputError
        If the kind is unknown, a hidden layer has less than two units, or rng is no generator.

    Examples
    --------
    >>> net = degenerate("dead", np.random.default_rng(0))
    >>> net.n_units
    24
    """
    as_generator(rng)
    as_choice(kind, DEGENERATE, "kind")
    layers = he_layers(widths, rng)
    if min(widths[1:-1], default=0) < 2:
        raise InputError(
            f"widths are {tuple(widths)}; every hidden layer needs two units to make one degenerate."
        )
    for W, b in layers[:-1]:
        DEGENERATE[kind](W, b)
    return Network.from_layers(layers)
