"""One line through a dense layer: products with the weights and with their absolute values in one pass."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["dense_image", "dense_line"]


in_any_order = njit(cache=True, error_model="numpy", _nrt=False, fastmath={"contract", "nsz", "reassoc"})


@in_any_order
def dense_image(weight: np.ndarray, line: np.ndarray, image: np.ndarray) -> None:
    """Write ``weight @ line`` (2, out)."""
    for i in range(weight.shape[0]):
        value = rate = 0.0
        for j in range(weight.shape[1]):
            value += weight[i, j] * line[0, j]
            rate += weight[i, j] * line[1, j]
        image[0, i], image[1, i] = value, rate


@in_any_order
def dense_line(
    weight: np.ndarray, line: np.ndarray, sizes: np.ndarray, image: np.ndarray, sums: np.ndarray
) -> None:
    """Write ``weight @ line`` (2, out) and ``|weight| @ sizes`` (3, out), sums taken in any order.

    For one line a layer is bound by reading its weights; the bounds hold whatever the order (`polygeom.rounding`).
    """
    for i in range(weight.shape[0]):
        value = rate = spread = drift = live = 0.0
        for j in range(weight.shape[1]):
            w = weight[i, j]
            value += w * line[0, j]
            rate += w * line[1, j]
            spread += abs(w) * sizes[0, j]
            drift += abs(w) * sizes[1, j]
            live += abs(w) * sizes[2, j]
        image[0, i], image[1, i] = value, rate
        sums[0, i], sums[1, i], sums[2, i] = spread, drift, live
