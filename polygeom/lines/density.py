r"""Polytope density: boundaries per unit of Euclidean length, exactly, and as it is sampled.

The exact density of a segment is the number of unit flips on it over its length. The sampled one compares codes at
points of the segment: Hamming distance over Euclidean distance, summed over neighbors. A unit that flips an even
number of times between two samples is not seen, and one that flips an odd number of times is seen once, so

.. math:: \mathrm{sampled} \le \mathrm{exact},

for units of two letters with equality as soon as no unit flips twice between neighboring samples.

Source: Black, Sharkey et al. 2022, Interpreting neural networks through the polytope lens (the sampled form).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.arrays import as_vector, freeze
from polygeom.certificates.chebyshev import norm_interval
from polygeom.certificates.check import Level
from polygeom.errors import InputError
from polygeom.lines.crossings import LineCrossings
from polygeom.network import Network
from polygeom.pieces import points_at_once, spline_codes
from polygeom.polyhedron import Polyhedron

__all__ = ["Density", "density", "sampled_density"]


@dataclass(frozen=True, eq=False)
class Density:
    """Boundaries per unit length on a segment, by layer.

    Attributes
    ----------
    flips : (G,) integer array
        Unit flips of every gate, in execution order.
    gates : tuple of str
        Paths of the gates.
    length : float
        Euclidean length of the segment.
    bounds : (float, float)
        The exact length lies between them.
    level : Level
        EXACT for exact counts, SAMPLED for samples.
    samples : int or None
        Number of samples, if sampled.
    """

    flips: np.ndarray
    gates: tuple[str, ...]
    length: float
    bounds: tuple[float, float]
    level: Level
    samples: int | None = None

    @property
    def total(self) -> float:
        """Flips per unit length, of all gates."""
        return float(self.flips.sum() / self.length)

    @property
    def by_gate(self) -> dict[str, float]:
        """Flips per unit length of every gate; calls of one module add up."""
        rates: dict[str, float] = {}
        for path, count in zip(self.gates, self.flips.tolist(), strict=True):
            rates[path] = rates.get(path, 0.0) + count / self.length
        return rates


def density(hits: LineCrossings) -> Density:
    """Return the exact density of boundaries on a segment.

    Flips in undecided bands are counted as far as the letters on the two sides tell; the level is then CERTIFIED.

    Examples
    --------
    >>> from polygeom.lines.segments import line_crossings
    >>> net = Network.from_layers([([[3, 4], [0, 1]], [-1, -2]), ([[1, 1]], [0])])
    >>> dense = density(line_crossings(net, [0, 0], [3, 4]))
    >>> dense.flips, dense.length, dense.total
    (array([2]), 5.0, 0.4)
    """
    if not isinstance(hits, LineCrossings):
        raise InputError(f"density got a {type(hits).__name__}, wanted what line_crossings returns.")
    first, last = hits.reach
    low, high = norm_interval(Polyhedron(hits.line.matrix.T, [0.0]))
    low, high = (float(n[0]) * (last - first) for n in (low, high))
    _, unit, _, _ = hits.flips
    return _counted(hits.network, unit, (np.nextafter(low, 0.0), np.nextafter(high, np.inf)), hits.level)


def sampled_density(net: Network, start: object, stop: object, samples: int = 2) -> Density:
    """Return the density that codes at equally spaced points show, both ends included.

    ``samples=2`` is the form of the paper: Hamming distance of the codes of two inputs over their distance. Cost:
    two forward passes per sample.

    Examples
    --------
    >>> net = Network.from_layers([([[3, 4], [0, 1]], [-1, -2]), ([[1, 1]], [0])])
    >>> sampled_density(net, [0, 0], [3, 4]).total
    0.4
    """
    a, b = (as_vector(np.ravel(p), name, net.dim_in) for p, name in ((start, "start"), (stop, "stop")))
    if np.array_equal(a, b):
        raise InputError("start and stop are the same point: a density needs a length. Give two points.")
    if isinstance(samples, bool) or not isinstance(samples, int | np.integer) or samples < 2:
        raise InputError(f"samples is {samples!r}, wanted a whole number of at least 2.")
    t = np.linspace(0.0, 1.0, samples)[:, None]
    unit, chunk, previous = [], max(points_at_once(net), 2), None
    for begin in range(0, samples, chunk):
        share = t[begin : begin + chunk]
        letters = spline_codes(net, (1.0 - share) * a + share * b).letters
        letters = letters if previous is None else np.concatenate([previous, letters])
        unit.append(np.nonzero(letters[1:] != letters[:-1])[1])
        previous = letters[-1:]
    length = float(np.linalg.norm(b - a))
    return _counted(net, np.concatenate(unit), (length, length), Level.SAMPLED, int(samples))


def _counted(
    net: Network, unit: np.ndarray, bounds: tuple[float, float], level: Level, samples: int | None = None
) -> Density:
    """Return the density of flips of units (columns) on a segment whose length has bounds."""
    flips = np.bincount(net.units.gate_of(unit), minlength=len(net.gates))
    middle = 0.5 * (bounds[0] + bounds[1])
    ends = float(bounds[0]), float(bounds[1])
    return Density(freeze(flips), tuple(g.path for g in net.gates), float(middle), ends, level, samples)
