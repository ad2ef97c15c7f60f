"""Shortest paths between regions in the dual graph."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from polygeom.codes import SplineCodes
from polygeom.errors import InputError

__all__ = ["RegionPath", "shortest_path"]


class Regions(Protocol):
    """What a shortest path needs: an `Exploration`, or a complex of all regions."""

    adjacency: object
    codes: SplineCodes

    def locate(self, x: object) -> np.ndarray:
        """Return the regions whose closed cell contains a point."""


@dataclass(frozen=True, eq=False)
class RegionPath:
    """Regions each of which shares a facet with the next.

    Attributes
    ----------
    regions : (L + 1,) array of int
    units : tuple of L arrays
        The columns that flip at each step.
    """

    regions: np.ndarray
    units: tuple[np.ndarray, ...]

    def __repr__(self) -> str:
        return f"RegionPath({len(self)} steps, {sum(len(u) for u in self.units)} flips)"

    def __len__(self) -> int:
        """Return the number of steps L: facets crossed."""
        return len(self.units)


def shortest_path(regions: Regions, x: object, y: object) -> RegionPath:
    """Return a path with the fewest facets between the regions of two points.

    Parameters
    ----------
    regions : Exploration or PolyhedralComplex
        Only the regions and edges it lists are used: in an incomplete exploration a shorter path may lead outside.
    x, y : arrays
        Points of the input space, or of the slice. On a boundary any of the regions around counts.

    Raises
    ------
    InputError
        If `regions` lists none (a RegionCount), the region of a point is not listed, or no path is.

    Notes
    -----
    Cost: one shortest-path search over the edges listed. In a network of one layer, completely listed, the number
    of steps is that of the hyperplanes that separate x from y, coincident ones counted once: a segment from x to
    y, moved off the intersections, crosses each of these once and no other, and every path must cross them.

    Examples
    --------
    >>> from polygeom.exploration.search import explore
    >>> from polygeom.network import Network
    >>> net = Network.from_layers([([[1, 0], [0, 1], [1, 1]], [0, 0, -1]), ([[1, 1, 1]], [0])])
    >>> found = explore(net, [2, 2])
    >>> path = shortest_path(found, [2, 2], [-1, -1])
    >>> path, sorted(np.concatenate(path.units).tolist())
    (RegionPath(3 steps, 3 flips), [0, 1, 2])
    """
    from scipy.sparse.csgraph import dijkstra

    if not all(hasattr(type(regions), name) for name in ("adjacency", "codes", "locate")):
        raise InputError(
            f"shortest_path got a {type(regions).__name__}, wanted an Exploration or a PolyhedralComplex. Likely "
            "cause: store='count', which keeps no regions. Remedy: enumerate with store='regions', or explore."
        )
    starts, ends = _located(regions, x, "x"), _located(regions, y, "y")
    steps, before, _ = dijkstra(
        regions.adjacency, indices=starts, unweighted=True, return_predecessors=True, min_only=True
    )
    end = ends[np.argmin(steps[ends])]
    if not np.isfinite(steps[end]):
        raise InputError(
            "No path between the regions of x and y is listed. Likely cause: the listing is incomplete, or "
            "restricted to a part of the space."
        )
    route = [int(end)]
    while steps[route[-1]] > 0:
        route.append(int(before[route[-1]]))
    route.reverse()
    letters = np.array([regions.codes[i] for i in route])
    units = tuple(np.flatnonzero(a != b) for a, b in pairwise(letters))
    return RegionPath(np.array(route), units)


def _located(regions: Regions, point: object, name: str) -> np.ndarray:
    found = regions.locate(point)
    if not len(found):
        raise InputError(
            f"The region of {name} is not among those listed in {regions!r}. Remedy: explore on from there "
            "(resume= with a larger budget), or choose a nearer point."
        )
    return found
