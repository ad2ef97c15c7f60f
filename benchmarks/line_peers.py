"""What else finds the boundaries on a segment: a plain numpy sweep, the project's prototype and regioncam.

The numpy sweep is what a researcher would write: values at all breakpoints in float64, layer by layer, a root
wherever a sign changes, no rounding bound, no tie ever noticed. The prototype does the same in torch. regioncam
(MIT or Apache-2.0) works in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np

from benchmarks.region_peers import Layers, prototype, require

__all__ = ["numpy_sweep", "prototype_sweep", "regioncam_line"]

Points = tuple[np.ndarray, np.ndarray]


def numpy_sweep(layers: Layers, points: Points) -> Callable[[], int]:
    """Return the run of the plain sweep; it counts flips of units."""
    pairs = list(zip(*layers, strict=True))

    def run() -> int:
        t, values, flips = np.array([0.0, 1.0]), np.stack(points), 0
        for weight, bias in pairs:
            values = values @ weight.T + bias
            on = values > 0
            piece, unit = np.nonzero(on[1:] != on[:-1])
            first, last = values[piece, unit], values[piece + 1, unit]
            share = first / (first - last)
            roots = t[piece] + share * (t[piece + 1] - t[piece])
            order = np.argsort(roots, kind="stable")
            piece, share, roots = piece[order], share[order][:, None], roots[order]
            between = values[piece] + share * (values[piece + 1] - values[piece])
            between[np.arange(len(order)), unit[order]] = 0.0
            place = np.searchsorted(t, roots)
            t, values = np.insert(t, place, roots), np.insert(values, place, between, axis=0)
            values = np.maximum(values, 0.0)
            flips += len(roots)
        return flips

    return run


def prototype_sweep(layers: Layers, points: Points) -> Callable[[], int]:
    """Return the run of the prototype; it counts flips of units."""
    import torch

    line: ModuleType = prototype("line")
    tensors = [[torch.from_numpy(a) for a in pair] for pair in zip(*layers, strict=True)]
    ends = torch.from_numpy(np.stack(points))

    def run() -> int:
        with torch.no_grad():
            trace, t, values = line.Tr(10**7), torch.tensor([0.0, 1.0], dtype=torch.float64), ends
            for weight, bias in tensors:
                values, t = line.relu(trace, values @ weight.T + bias, t)
        return sum(len(found[0]) for found in trace.cross)

    return run


def regioncam_line(layers: Layers, points: Points) -> Callable[[], int]:
    """Return the run of regioncam in one dimension; it counts breakpoints.

    Raises
    ------
    MissingPeerError
        If it is not installed.
    """
    require("regioncam", "the extra `bench` brings it")
    from regioncam import Regioncam1D

    single = [(W.T.astype(np.float32).copy(), b.astype(np.float32)) for W, b in zip(*layers, strict=True)]
    ends = np.stack(points).astype(np.float32)

    def run() -> int:
        line = Regioncam1D.through_points(ends)
        for weight, bias in single:
            line.linear(weight, bias)
            line.relu()
        return line.num_vertices

    return run
