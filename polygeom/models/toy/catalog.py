"""Toys by name: networks that need no arguments, on which theory knows what claims must answer."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

import numpy as np

from polygeom.errors import InputError
from polygeom.models.toy.arrangements import braid, cone, grid
from polygeom.models.toy.handmade import absolute, maxima, tent, three_axes, xor
from polygeom.models.toy.random_weights import bias_free, he
from polygeom.network import Network

__all__ = ["NAMED", "named"]


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


NAMED: dict[str, Callable[[], Network]] = {
    "quick": lambda: he((2, 6, 6, 2), _rng()),
    "one-layer": lambda: he((2, 8, 1), _rng()),
    "cones": lambda: bias_free((2, 6, 6, 2), _rng()),
    "orthants": lambda: cone(3),
    "grid": lambda: grid(2, 3),
    "braid": lambda: braid(3),
    "tent": lambda: tent(3),
    "absolute": absolute,
    "xor": xor,
    "three-axes": three_axes,
    "hardtanh": lambda: he((2, 4, 3, 1), _rng(), "hardtanh"),
    "maxima": maxima,
}
"""Makers by name. The random ones are drawn from seed 0."""


def named(name: str) -> Network:
    """Return the toy of a name.

    ============  ==========================================  =====
    name          what it is                                  cells
    ============  ==========================================  =====
    quick         `he` in the plane, two layers of 6          92
    one-layer     `he` in the plane, 8 units                  37
    cones         `bias_free` in the plane, two layers of 6   22
    orthants      ``cone(3)``                                 8
    grid          ``grid(2, 3)``                              16
    braid         ``braid(3)``                                6
    tent          ``tent(3)``                                 10
    absolute      `absolute`                                  2
    xor           `xor`                                       3
    three-axes    `three_axes`, on average 6.02 facets        1896
    hardtanh      `he` in the plane, 4 and 3 hard-tanh units  89
    maxima        `maxima`, residual and no chain             14
    ============  ==========================================  =====

    Parameters
    ----------
    name : str
        A key of `NAMED`.

    Raises
    ------
    InputError
        If there is none; the nearest name is given.

    Examples
    --------
    >>> named("quick")
    Network(R^2 -> R^2, 12 units (relu), 5 steps)
    """
    if name not in NAMED:
        (near,) = get_close_matches(str(name), NAMED, n=1, cutoff=0.0)
        raise InputError(f"There is no toy {name!r}. Nearest: {near}. All: {', '.join(NAMED)}.")
    return NAMED[name]()
