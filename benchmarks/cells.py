"""The cells that are timed: rows and right-hand sides (A, b) with the origin inside."""

from __future__ import annotations

import numpy as np

Cell = tuple[np.ndarray, np.ndarray]


def gaussian(d: int, m: int, seed: int) -> Cell:
    """Return standard normal rows at half-normal distances around the origin."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, d)), np.abs(rng.standard_normal(m))


def layer_like(d: int, m: int, seed: int) -> Cell:
    """Return the cell of a point in a layer: units and inputs of different scales, a common shift, biases below 0.

    The point is moved to the origin.
    """
    rng = np.random.default_rng(seed)
    scale = np.exp(0.7 * rng.standard_normal(d))
    A = rng.standard_normal((m, d)) * scale * np.exp(0.4 * rng.standard_normal((m, 1)))
    A += 0.5 * rng.standard_normal(d) * scale
    point = rng.standard_normal(d)
    z = A @ point - 0.8 * np.abs(rng.standard_normal(m)) * np.linalg.norm(A, axis=1)
    return -np.sign(z)[:, None] * A, np.abs(z)


FAMILIES = {"gaussian": gaussian, "layer-like": layer_like}
