r"""Networks trained on digits, and what is counted on them: exact boundaries on segments and on rays.

Every number here comes from counts of boundaries that are exact (`line_crossings`, `scaling_crossings`); random is
only which networks are trained and which images are joined. Contrasts are logarithms of ratios of densities, one
per network, so that networks of many and of few boundaries count alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from zlib import crc32

import numpy as np

from polygeom.lines.density import density
from polygeom.lines.scaling import ScalingCrossings
from polygeom.lines.segments import line_crossings
from polygeom.models.toy.trained import Training, digits
from polygeom.network import Network
from polygeom.steps import Dense

__all__ = [
    "around_changes",
    "behind_first_layer",
    "class_contrast",
    "partners",
    "scaled_places",
    "segment_places",
    "trainings",
]

NETWORKS = 8
"""Networks in an ensemble."""

WIDTHS, AT, IMAGES = (24, 24, 24), (0, 30, 300), 300
"""Hidden layers, the steps at which networks are looked at, and the images each is trained on."""

Places = list[tuple[np.ndarray, np.ndarray]]


@lru_cache(maxsize=8)
def trainings(seed: int, labels: str) -> tuple[Training, ...]:
    """Return an ensemble of networks on digits; real and permuted labels share images and first weights."""
    seeds = np.random.default_rng([seed, crc32(b"ensemble of digits")]).integers(2**32, size=NETWORKS)
    return tuple(digits(WIDTHS, labels, int(s), at=AT, images=IMAGES) for s in seeds)


def partners(classes: np.ndarray, rng: np.random.Generator, n: int) -> np.ndarray:
    """Return rows (input, another one of its class, one of another class), (n, 3); no first input twice.

    Examples
    --------
    >>> a, same, other = partners(np.array([0, 0, 1, 1]), np.random.default_rng(0), 4).T
    >>> a // 2 == same // 2, a // 2 == other // 2
    (array([ True,  True,  True,  True]), array([False, False, False, False]))
    """
    rows, everyone = [], np.arange(len(classes))
    for a in rng.choice(len(classes), n, replace=False):
        alike = classes == classes[a]
        rows.append([a, rng.choice(everyone[alike & (everyone != a)]), rng.choice(everyone[~alike])])
    return np.array(rows)


def class_contrast(net: Network, inputs: np.ndarray, rows: np.ndarray) -> float:
    """Return log(mean density between classes / mean density within classes), over rows of `partners`."""
    within, between = (
        np.mean([density(line_crossings(net, inputs[r[0]], inputs[r[k]])).total for r in rows])
        for k in (1, 2)
    )
    return float(np.log(between / within))


def segment_places(net: Network, inputs: np.ndarray, rows: np.ndarray) -> Places:
    """Return where units flip and where the class changes on segments between classes, in [0, 1]."""
    found = []
    for a, _, b in rows:
        hits = line_crossings(net, inputs[a], inputs[b], classes=True)
        found.append((hits.t[hits.flips[0]], hits.class_t))
    return found


def scaled_places(rays: Sequence[ScalingCrossings], octaves: float) -> Places:
    """Return where units flip and where the class changes on rays, in octaves from the input, up to a limit."""
    found = []
    for ray in rays:
        hits = ray.hits
        both = np.log2(hits.t[hits.flips[0]]), np.log2(hits.class_t)
        found.append(tuple(u[np.abs(u) <= octaves] for u in both))
    return found


def around_changes(places: Places, half: float, reach: tuple[float, float]) -> tuple[float, float]:
    """Return two contrasts of the density of flips within `half` of class changes.

    Parameters
    ----------
    places : list of (flips, changes)
        On lines that all have the same reach.
    half : float
        Half the width of a window; windows are cut where lines end.
    reach : (float, float)
        Where lines begin and end.

    Returns
    -------
    own : float
        log(density in windows / mean density of the lines, weighted as the windows are). Above 0: flips gather
        where the class changes.
    specific : float
        log(density in windows / density in the same windows on the other lines). Above 0: they gather because
        the class changes there, not because all lines have many flips in that place. 0 if they are as many.
        Minus infinity, or NaN, where there is nothing to compare.

    Examples
    --------
    >>> lines = [(np.array([0.2, 0.5]), np.array([0.5])), (np.array([0.1, 0.8]), np.array([0.1]))]
    >>> [round(float(np.exp(contrast)), 1) for contrast in around_changes(lines, 0.125, (0.0, 1.0))]
    [2.1, 2.0]
    """
    pooled = np.sort(np.concatenate([flips for flips, _ in places]))
    low, high = reach
    inside = elsewhere = width = mean = 0.0
    for flips, changes in places:
        a, b = np.maximum(changes - half, low), np.minimum(changes + half, high)
        own = _between(np.sort(flips), a, b)
        inside += own
        elsewhere += (_between(pooled, a, b) - own) / (len(places) - 1)
        width += (b - a).sum()
        mean += (b - a).sum() * len(flips) / (high - low)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.log(inside / np.float64(mean))), float(np.log(inside / np.float64(elsewhere)))


def _between(values: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Return how many of ascending values lie in closed intervals, added up over the intervals."""
    return float((np.searchsorted(values, b, "right") - np.searchsorted(values, a, "left")).sum())


def behind_first_layer(net: Network, inputs: np.ndarray) -> tuple[Network, np.ndarray]:
    """Return the rest of a plain network behind its first gate, and the activations that arrive there."""
    first, *rest = [(step.weight, step.constant) for step in net.steps if isinstance(step, Dense)]
    W, b = first
    return Network.from_layers(rest), np.maximum(inputs @ W.T + b, 0.0)
