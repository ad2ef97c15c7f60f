"""Regions found across facets, one after the other, where there are no cells with vertices to begin with.

The other engines cut a first cell by hyperplanes. In a whole space such cells need as many hyperplanes that are
boundaries all along, as the coordinates that matter. A window with three or more entries has none: the difference
of two entries is a boundary only where no third one is larger. Then the regions are searched as
`polygeom.exploration` does it, over the dual graph, which is connected: facets by linear programs with exact
proofs, and across each the code that is there.
"""

from __future__ import annotations

from copy import copy

import numpy as np

from polygeom.affine import AffineMap
from polygeom.budget import Budget
from polygeom.enumeration.arrays import Exactness, RegionArrays
from polygeom.exploration.search import Search
from polygeom.network import Network
from polygeom.pieces import piece_at

__all__ = ["TraversalEngine"]

SEED = 0
"""From which the point is drawn where the search begins."""


class TraversalEngine:
    """Enumerate the regions of any network over the whole input space, or a whole slice (module docstring).

    Parameters
    ----------
    network : Network
    along : AffineMap or None
        The slice; None for the input space.

    Attributes
    ----------
    n_bounded : None
        Boundedness is not seen here.

    Raises
    ------
    UndecidedError
        If letters at the point where it begins are undecided.

    Notes
    -----
    Cost: 3 ms a region on small networks; memory grows with the regions, also where they are only counted.

    Examples
    --------
    >>> from polygeom.models import toy
    >>> engine = TraversalEngine(toy.absolute(), None)
    >>> engine.run(10)
    >>> engine.n_regions, engine.finished, engine.take()
    (2, True, RegionArrays(2 regions: packed, witnesses, undecided; 18 bytes))
    """

    n_bounded = None

    def __init__(self, network: Network, along: AffineMap | None) -> None:
        k = network.dim_in if along is None else along.dim_in
        start, toward = np.random.default_rng(SEED).standard_normal((2, k))
        self._search = Search(
            piece_at(network, start, along, toward=toward if toward.any() else None), "breadth"
        )
        self._search.begin()
        self._taken = 0

    @property
    def n_regions(self) -> int:
        """Regions found so far."""
        return len(self._search.explored)

    @property
    def finished(self) -> bool:
        """Whether nothing that can be decided is left."""
        return not self._search.heap

    @property
    def fraction(self) -> float:
        """The share of the regions seen whose facets are known."""
        return self.n_regions / len(self._search.seen)

    @property
    def exactness(self) -> Exactness:
        """Rows that may or may not be facets, and regions behind facets that could not be looked into."""
        open_rows = sum(len(region.undecided_units) for region in self._search.explored.values())
        left = len(self._search.seen) - self.n_regions if self.finished else 0
        return Exactness(undecided=open_rows + left)

    def run(self, regions: int) -> None:
        """Find at most this many more regions."""
        self._search.run(Budget(regions=self.n_regions + regions), progress=False)

    def take(self) -> RegionArrays:
        """Return the regions found since the last call."""
        found = self._search.arrays(self._taken)
        open_units = [
            (i, unit)
            for i, region in enumerate(list(self._search.explored.values())[self._taken :])
            for unit in sorted(region.undecided_units.tolist())
        ]
        self._taken = self.n_regions
        undecided = np.array(open_units, dtype=np.int64).reshape(-1, 2)
        return RegionArrays(found.packed, found.witnesses, found.exact_witnesses, undecided=undecided)

    def copy(self) -> TraversalEngine:
        """Return an engine that goes on from here on its own."""
        other = copy(self)
        other._search = self._search.copy()
        return other
