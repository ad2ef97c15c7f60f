r"""Polytope density: boundaries per unit of Euclidean length, exactly, and as it is sampled.

The exact density of a segment is the number of unit flips on it over its length. The sampled one compares codes at
points of the segment: Hamming distance over Euclidean distance, summed over neighbors. A letter that differs at
two points has flipped at least once between them. A unit that flips an even number of times may not be seen, one
that passes through several letters is seen once. So

.. math:: \mathrm{sampled} \le \mathrm{exact},

for units of two letters with equality as soon as no unit flips twice between neighboring samples.

This holds for degenerate networks too, because samples are taken on the line that is swept, not beside it by a
rounding, and from one side: a sample on a boundary has the letters of the piece that follows, the last one those
of the piece before. By the convention for points (z = 0 is off) a unit that touches its boundary in a sample, and
one that leaves it at the start, would be seen to flip where no boundary is.

Source: Black, Sharkey et al. 2022, Interpreting neural networks through the polytope lens (the sampled form).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.affine import AffineMap
from polygeom.arrays import as_count, freeze
from polygeom.certificates.chebyshev import norm_interval
from polygeom.certificates.check import Level
from polygeom.errors import InputError
from polygeom.lines.crossings import LineCrossings
from polygeom.network import Network, as_network
from polygeom.one_sided import enclose_toward
from polygeom.pieces import piece_at, points_at_once
from polygeom.polyhedron import Polyhedron
from polygeom.rounding import TINY, gamma

__all__ = ["Density", "density", "sampled_density"]


@dataclass(frozen=True, eq=False)
class Density:
    """Boundaries per unit length on a segment, by layer.

    Attributes
    ----------
    flips : (G,) integer array
        Unit flips of every gate, in execution order.
    gates : tuple of str
        Names of the gates (`Network.gate_names`).
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
        """Flips per unit length of every gate."""
        return dict(zip(self.gates, (self.flips / self.length).tolist(), strict=True))


def density(hits: LineCrossings) -> Density:
    """Return the exact density of boundaries on a segment.

    Flips in undecided bands are counted as far as the letters on the two sides tell; the level is then CERTIFIED.

    Raises
    ------
    InputError
        If hits is not what `line_crossings` returns.

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
    return _counted(hits.network, hits.flips[1], _length(hits.line, hits.reach), hits.level)


def _length(line: AffineMap, reach: tuple[float, float]) -> tuple[float, float]:
    """Return bounds on the length of a part of a line.

    Difference, product and the step outward are three roundings; the last can underflow.
    """
    with np.errstate(over="ignore"):
        low, high = (float(n[0]) for n in norm_interval(Polyhedron(line.matrix.T, [0.0])))
    stretch = float(reach[1]) - float(reach[0])
    return max(low * stretch * (1 - gamma(4)) - TINY, 0.0), high * stretch * (1 + gamma(4)) + TINY


def sampled_density(
    net: Network, start: object, stop: object, samples: int = 2
) -> Density | tuple[Density, ...]:
    """Return the density that codes at equally spaced points show, both ends included.

    ``samples=2`` is the form of the paper: Hamming distance of the codes of two inputs over their distance.

    Parameters
    ----------
    start, stop : arrays
        Inputs, flat or in the input's own shape; or batches of P for P segments. A single one serves all.
    samples : int
        On each segment.

    Returns
    -------
    Density or tuple of P Density
        Never above the exact density (module docstring), where rationals are within reach; else a letter within
        its rounding bounds is the float's.

    Raises
    ------
    InputError
        If the two ends of a segment are equal or the batches differ in size, on wrong shapes, NaN or infinities,
        or fewer than two samples.

    Notes
    -----
    Cost: four forward passes per sample, of all segments together in chunks; rationals for ties.

    Examples
    --------
    >>> net = Network.from_layers([([[3, 4], [0, 1]], [-1, -2]), ([[1, 1]], [0])])
    >>> sampled_density(net, [0, 0], [3, 4]).total
    0.4
    >>> [found.flips.tolist() for found in sampled_density(net, [0, 0], [[3, 4], [1, 0]])]
    [[2], [1]]
    """
    as_network(net)
    samples = as_count(samples, "samples", 2)
    lines, single = _segments(net, start, stop)
    t = np.linspace(0.0, 1.0, samples)
    found = []
    at_once = max(1, points_at_once(net) // len(t))
    for first in range(0, len(lines), at_once):
        chunk = lines[first : first + at_once]
        letters = _letters_behind(net, chunk, t)
        for line, codes in zip(chunk, letters, strict=True):
            unit = np.nonzero(codes[1:] != codes[:-1])[1]
            found.append(_counted(net, unit, _length(line, (0.0, 1.0)), Level.SAMPLED, int(samples)))
    return found[0] if single else tuple(found)


def _segments(net: Network, start: object, stop: object) -> tuple[list[AffineMap], bool]:
    """Return the segments between inputs, or batches of inputs, and whether there is a single one."""
    (starts, one), (stops, other) = (net.shaped(p, name) for p, name in ((start, "start"), (stop, "stop")))
    if not (one or other) and len(starts) != len(stops):
        raise InputError(
            f"There are {len(starts)} starts and {len(stops)} stops; give as many, or one of them."
        )
    ends = [(a.ravel(), b.ravel()) for a, b in zip(*np.broadcast_arrays(starts, stops), strict=True)]
    if any(np.array_equal(a, b) for a, b in ends):
        raise InputError("start and stop are the same point: a density needs a length. Give two points.")
    return [AffineMap.segment(a, b) for a, b in ends], one and other


def _letters_behind(net: Network, lines: list[AffineMap], t: np.ndarray) -> np.ndarray:
    """Return the letters (P, n, n_units) just behind places on lines, just before the last of them."""
    points, errors = (
        np.concatenate(parts) for parts in zip(*(line.enclose(t[:, None]) for line in lines), strict=True)
    )
    sense = np.ones(len(t))
    sense[-1] = -1.0
    along = np.concatenate([sense[:, None] * line.matrix[:, 0] for line in lines])
    letters, open_ = enclose_toward(net, (points, errors), (along, np.zeros_like(along)))
    if net.exact().is_feasible:
        for row in np.flatnonzero(open_.any(axis=1)).tolist():
            line, place = lines[row // len(t)], np.array([t[row % len(t)]])
            toward = sense[row % len(t)] * np.ones(1)
            letters[row] = piece_at(net, place, along=line, toward=toward).code
    return letters.reshape(len(lines), len(t), net.n_units)


def _counted(
    net: Network, unit: np.ndarray, bounds: tuple[float, float], level: Level, samples: int | None = None
) -> Density:
    """Return the density of flips of units (columns) on a segment whose length has bounds."""
    flips = np.bincount(net.units.gate_of(unit), minlength=len(net.gates))
    middle = bounds[0] + 0.5 * (bounds[1] - bounds[0])
    return Density(freeze(flips), net.gate_names, middle, bounds, level, samples)
