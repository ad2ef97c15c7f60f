"""Best-first search over the dual graph: regions around a point, across certified facets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from polygeom.affine import AffineMap
from polygeom.arrays import as_choice, freeze
from polygeom.budget import Budget
from polygeom.certificates.check import nearest_floats
from polygeom.codes import SplineCodes
from polygeom.enumeration.arrays import RegionArrays
from polygeom.errors import InputError, SolverError, TooLargeError, UndecidedError
from polygeom.exact import is_exact_array
from polygeom.exploration.explored import Exploration, Frontier, packed_codes
from polygeom.exploration.neighbours import inner_point, neighbours_from
from polygeom.network import Network, as_network
from polygeom.pieces import AffinePiece, piece_at, piece_with_code

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["Search", "explore"]

ORDERS = "distance", "breadth"
A_THOUSAND = Budget(regions=1000)


def explore(
    net: Network,
    x: object,
    budget: Budget = A_THOUSAND,
    *,
    along: AffineMap | None = None,
    order: str = "distance",
    resume: Exploration | None = None,
    progress: bool = False,
) -> Exploration:
    r"""Explore the regions around a point, best first, across certified facets.

    Parameters
    ----------
    net : Network
    x : array or AffinePiece
        Where to begin: a point of the input space (of the slice, with `along`), or a piece, for a point on a
        boundary that of `piece_at(..., toward=...)`.
    budget : Budget
        Of this run; with `resume`, `Budget.regions` counts those of the earlier runs too.
    along : AffineMap, optional
        A slice of the input space to stay in.
    order : {"distance", "breadth"}
        "distance": next comes the region with the least distance from x to a point of its boundary, the one
        where a segment from a neighbour's interior point entered it (an upper bound on the region's distance).
        "breadth": next comes the region fewest facets away.
    resume : Exploration, optional
        An earlier result from the same point, to go on from. Two runs find what one run finds.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    Exploration
        Ctrl-C ends the search like a budget does: what was found is returned, with the frontier to go on from.

    Raises
    ------
    InputError
        If the cell of x is lower-dimensional, or `resume` is from another network, point, slice or order.
    UndecidedError
        If letters at x, or an interior point of its cell, are undecided. Regions met later whose facets cannot
        be found stay in the frontier.

    Notes
    -----
    Cost: per region one `neighbours` and an interior point: 3 ms on small networks, 2 s on one layer 768 -> 3072.

    Examples
    --------
    >>> net = Network.from_layers([([[1, 0], [0, 1], [1, 1]], [0, 0, -1]), ([[1, 1, 1]], [0])])
    >>> explore(net, [2, 2])
    Exploration(7 regions, 9 edges, complete, of Network(R^2 -> R^1, 3 units (relu), 3 steps))
    >>> some = explore(net, [2, 2], Budget(regions=3))
    >>> some.complete, some.stopped_by, explore(net, [2, 2], resume=some).n_regions
    (False, 'regions', 7)
    """
    as_network(net)
    _check_choices(budget, order)
    if isinstance(x, AffinePiece) and (not net.is_same(x.network) or along is not None):
        raise InputError("x is a piece: it must be of this network, and along= is that of the piece already.")
    piece = x if isinstance(x, AffinePiece) else piece_at(net, x, along)
    search = Search(piece, order)
    if resume is None:
        search.begin()
    else:
        search.take_up(resume)
    stopped_by = search.run(budget, progress)
    return search.result(stopped_by)


def _check_choices(budget: object, order: object) -> None:
    if not isinstance(budget, Budget):
        raise InputError(f"budget is a {type(budget).__name__}, wanted a Budget, e.g. Budget(regions=1000).")
    as_choice(order, ORDERS, "order")


@dataclass(eq=False)
class _Seen:
    """A region whose code is known: its number, and the best way there so far."""

    number: int
    code: np.ndarray
    point: np.ndarray
    direction: np.ndarray
    priority: float


@dataclass(frozen=True, eq=False)
class _Explored:
    """A region whose facets are known: its number, interior point, and the units of its rows."""

    number: int
    interior: np.ndarray
    facet_units: np.ndarray
    undecided_units: np.ndarray


class Search:
    """The regions seen so far, by code; those explored, in order; and a heap of the others.

    A region is added to `seen` and to `explored` by one assignment each, and edges form a set: a search that is
    interrupted between any two statements holds nothing false, and repeating a step changes nothing.
    """

    def __init__(self, piece: AffinePiece, order: str) -> None:
        self.piece, self.net, self.along, self.order = piece, piece.network, piece.along, order
        self.seen: dict[bytes, _Seen] = {}
        self.explored: dict[int, _Explored] = {}
        self.edges: set[tuple[int, int]] = set()
        self.heap: list[tuple[float, int, bytes]] = []

    def copy(self) -> Search:
        """Return a search that goes on from here on its own."""
        other = copy(self)
        other.seen, other.explored = dict(self.seen), dict(self.explored)
        other.edges, other.heap = set(self.edges), list(self.heap)
        return other

    @property
    def n_bytes(self) -> int:
        """Memory of the arrays kept."""
        letters, k = self.piece.code.nbytes, self.piece.dim_in
        return len(self.seen) * (letters + 24 * k) + 16 * len(self.edges)

    def begin(self) -> None:
        """See the region of the start; refuse it if it cannot be explored."""
        start = inner_point(self.piece, self.piece.witness)
        self._see(self.piece.code, nearest_floats(start), np.zeros(self.piece.dim_in), 0.0)

    def take_up(self, earlier: Exploration) -> None:
        """See and know what an earlier search did, in its order."""
        self._check_earlier(earlier)
        waiting, n, zero = earlier.frontier, earlier.n_regions, np.zeros(self.piece.dim_in)
        for i, code in enumerate(earlier.codes.letters):
            self._see(code, earlier.witnesses[i], zero, 0.0)
            interior = np.array(earlier.arrays.exact_witnesses.get(i, earlier.witnesses[i]))
            first, last = earlier.arrays.facet_start[i : i + 2]
            undecided = earlier.undecided[earlier.undecided[:, 0] == i, 1]
            self.explored[i] = _Explored(i, interior, earlier.arrays.facet_units[first:last], undecided)
        for i, code in enumerate(waiting.codes.letters):
            self._see(code, waiting.points[i], waiting.directions[i], float(waiting.priorities[i]))
        self.heap = [(s.priority, s.number, key) for key, s in self.seen.items() if s.number >= n]
        heapify(self.heap)
        self.edges = {(i, j) for i, j in earlier.edges.tolist()}

    def _check_earlier(self, earlier: object) -> None:
        """Refuse to resume what was another search."""
        if not isinstance(earlier, Exploration):
            raise InputError(f"resume is a {type(earlier).__name__}, wanted an earlier Exploration.")
        own, other = ((a.matrix, a.offset) if a is not None else () for a in (self.along, earlier.along))
        same = {
            "network": self.net.is_same(earlier.network),
            "point": np.array_equal(earlier.start, self.piece.witness),
            "order": earlier.order == self.order,
            "slice": len(own) == len(other) and all(map(np.array_equal, own, other)),
        }
        different = [name for name, equal in same.items() if not equal]
        if different:
            raise InputError(
                f"resume= began with another {' and another '.join(different)}. Remedy: pass the same arguments "
                "as then, or leave resume away."
            )

    # -- the search ----------------------------------------------------------------------------------------

    def run(self, budget: Budget, progress: bool) -> str | None:
        """Explore until nothing is left or something stops the search; return what did."""
        begun = monotonic()
        with _bar(progress, budget, len(self.explored)) as bar:
            try:
                while self.heap:
                    used = {
                        "regions": len(self.explored),
                        "seconds": monotonic() - begun,
                        "bytes": self.n_bytes,
                    }
                    stopped_by = budget.spent(**used)
                    if stopped_by is not None:
                        return stopped_by
                    region = self._next()
                    if region is None or not self._explore(region):
                        continue
                    if bar is not None:
                        bar.update()
                        bar.set_postfix(frontier=len(self.seen) - len(self.explored), refresh=False)
            except KeyboardInterrupt:
                return "interrupt"
        return None

    def _next(self) -> _Seen | None:
        """Take the least entry off the heap; None if it is out of date."""
        priority, _, key = heappop(self.heap)
        region = self.seen[key]
        return region if priority == region.priority and region.number not in self.explored else None

    def _explore(self, region: _Seen) -> bool:
        """Find the facets and neighbours of a region; leave it in the frontier if that cannot be decided."""
        try:
            cell = piece_with_code(self.net, region.code.copy(), region.point, self.along)
            interior = inner_point(cell, region.point, region.direction)
            found = neighbours_from(cell, interior)
        except (SolverError, TooLargeError, UndecidedError):
            return False
        if self.order == "distance":
            with np.errstate(over="ignore"):
                priorities = np.linalg.norm(found.points - self.piece.witness, axis=1)
        else:
            priorities = np.full(len(found), region.priority + 1.0)
        ways = zip(found.codes.letters, found.points, found.directions, priorities.tolist(), strict=True)
        for way in ways:
            other = self._see(*way)
            self.edges.add((min(region.number, other), max(region.number, other)))
        units = cell.units
        self.explored[region.number] = _Explored(
            region.number, interior, units[found.facets], units[found.undecided]
        )
        return True

    def _see(self, code: np.ndarray, point: np.ndarray, direction: np.ndarray, priority: float) -> int:
        """Note a way to a region; return its number."""
        key = code.tobytes()
        known = self.seen.get(key)
        number = len(self.seen) if known is None else known.number
        if number not in self.explored and (known is None or priority < known.priority):
            self.seen[key] = _Seen(number, code, point, direction, priority)
            heappush(self.heap, (priority, number, key))
        return number

    # -- the result ----------------------------------------------------------------------------------------

    def result(self, stopped_by: str | None) -> Exploration:
        """Return what was found, regions numbered as they were explored, then the frontier as it was seen."""
        explored = list(self.explored.values())
        seen = sorted(self.seen.values(), key=lambda region: region.number)
        waiting = [region for region in seen if region.number not in self.explored]
        place = np.empty(len(seen), dtype=np.int64)
        place[[r.number for r in explored] + [r.number for r in waiting]] = np.arange(len(seen))
        edges = np.array(sorted(self.edges), dtype=np.int64).reshape(-1, 2)
        edges = np.sort(place[edges], axis=1)
        edges = edges[np.lexsort((edges[:, 1], edges[:, 0]))]
        undecided = [(place[r.number], unit) for r in explored for unit in r.undecided_units]
        return Exploration(
            self.net,
            self.along,
            self.piece.witness,
            self.order,
            self.arrays(),
            self._frontier(waiting),
            freeze(edges),
            freeze(np.array(undecided, dtype=np.int64).reshape(-1, 2)),
            stopped_by,
        )

    def arrays(self, first: int = 0) -> RegionArrays:
        """Return codes, interior points and facets of the regions explored, but for the `first` ones."""
        explored = list(self.explored.values())[first:]
        by_number = {region.number: region for region in self.seen.values()}
        codes = self._letters([by_number[region.number] for region in explored])
        exact = {i: tuple(r.interior) for i, r in enumerate(explored) if is_exact_array(r.interior)}
        lengths = [len(r.facet_units) for r in explored]
        return RegionArrays(
            freeze(packed_codes(codes, self.net)),
            freeze(self._points([nearest_floats(r.interior) for r in explored])),
            exact,
            facet_start=freeze(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)),
            facet_units=freeze(np.concatenate([[], *(r.facet_units for r in explored)]).astype(np.int32)),
        )

    def _frontier(self, waiting: list[_Seen]) -> Frontier:
        points, directions = (self._points([getattr(r, n) for r in waiting]) for n in ("point", "direction"))
        priorities = np.array([r.priority for r in waiting], dtype=np.float64)
        return Frontier(
            SplineCodes(self._letters(waiting)), freeze(points), freeze(directions), freeze(priorities)
        )

    def _letters(self, seen: list[_Seen]) -> np.ndarray:
        codes = np.array([r.code for r in seen], dtype=self.net.letter_dtype)
        return codes.reshape(len(seen), self.net.n_units)

    def _points(self, points: list[np.ndarray]) -> np.ndarray:
        return np.array(points, dtype=np.float64).reshape(len(points), self.piece.dim_in)


@contextmanager
def _bar(wanted: bool, budget: Budget, done: int) -> Iterator[tqdm | None]:
    """Show a bar of regions, if wanted."""
    if not wanted:
        yield None
        return
    from tqdm import tqdm

    with tqdm(desc="explore", unit="region", total=budget.regions, initial=done) as bar:
        yield bar
