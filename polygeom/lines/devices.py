"""Products of linear steps on a torch device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from polygeom.steps import Convolution, Dense, LinearStep, as_tensor

if TYPE_CHECKING:
    import torch

__all__ = ["Device"]


class Device:
    """A torch device, and the weights that have been moved there.

    In float64 convolutions are inner products there too (`polygeom.steps`), so all bounds hold.
    """

    def __init__(self, place: torch.device) -> None:
        self._place = place
        self._weights: dict[int, torch.Tensor] = {}

    def linear(self, step: LinearStep, rows: list[np.ndarray]) -> np.ndarray:
        """Return L(rows) of a step: dense steps and convolutions on the device, others here."""
        if not isinstance(step, Dense | Convolution):
            return step.linear(*rows)
        if id(step) not in self._weights:
            self._weights[id(step)] = as_tensor(step.weight).to(self._place)
        x, weight = as_tensor(np.ascontiguousarray(rows[0])).to(self._place), self._weights[id(step)]
        image = x @ weight.T if isinstance(step, Dense) else step.convolve(x, weight)
        return image.cpu().numpy()
