r"""Regions in many dimensions: cells with a vertex and its dictionary, split by linear programs.

`polygeom.kernels.dictionary_cells` splits and proves in floats; this module runs it and answers in rationals
what it asks. Cost: one simplex walk of few pivots, (rows) x (k + 1) numbers each, per cell and undecided
unit.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from fractions import Fraction
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from polygeom.enumeration.arrays import Exactness, RegionArrays
from polygeom.enumeration.chain import DenseChain
from polygeom.enumeration.dictionary_start import make_start
from polygeom.enumeration.dictionary_ties import ExactCells, rounded
from polygeom.exact import fraction, rational
from polygeom.polyhedron import Polyhedron

if TYPE_CHECKING:
    from polygeom.kernels.dictionary_cells import Found

__all__ = ["DictionaryEngine"]

Arrays = TypeVar("Arrays", bound=tuple)

ROOM = 4096
"""Leaves that the kernel writes before it hands them over."""

PACE = 0.1
"""Seconds after which the kernel should come back, for interrupts and progress bars."""


class DictionaryEngine:
    """Enumerate the full-dimensional regions of a chain, exactly, one walk after the other.

    Parameters
    ----------
    chain : DenseChain
    domain : Polyhedron, optional
        In slice coordinates of the user; None is the whole slice.
    store : bool, optional
        Whether codes and witnesses are kept for `take`; without, regions are only counted, in constant
        memory.

    Attributes
    ----------
    n_regions : int
        Regions found so far.
    n_bounded : None
        Boundedness is not seen here.

    Raises
    ------
    InputError
        If the domain has no interior.

    Examples
    --------
    >>> from polygeom.enumeration.chain import dense_chain
    >>> from polygeom.network import Network
    >>> net = Network.from_layers([(np.eye(6), np.ones(6)), (np.ones((1, 6)), [0.0])])
    >>> engine = DictionaryEngine(dense_chain(net, None))
    >>> engine.run()
    True
    >>> engine.n_regions
    64
    """

    def __init__(self, chain: DenseChain, domain: Polyhedron | None = None, *, store: bool = True) -> None:
        from polygeom.kernels.dictionary import NOTHING
        from polygeom.kernels.dictionary_cells import Found

        start = make_start(chain, domain)
        self._chain, self._columns = chain, start.frame.columns
        self._arrays = start
        self._stack = start.stack
        self._exact = ExactCells(chain, start.frame.columns, start.frame.domain, int(NOTHING))
        n_units, room = chain.network.n_units, ROOM if store else 0
        self._found: Found = Found(
            np.zeros((room, (n_units + 7) // 8), np.uint8),
            np.zeros((room, len(start.frame.columns))),
            np.zeros(2, np.int64),
        )
        self._store, self._stride = store, 64
        self._packed: list[np.ndarray] = []
        self._points: list[np.ndarray] = []
        self._exact_points: dict[int, tuple[Fraction, ...]] = {}
        self._kept = 0
        self._rationals = 0
        self.n_regions = 0
        self.n_bounded = None

    @property
    def finished(self) -> bool:
        """Whether all regions have been found."""
        return self._top < 0

    @property
    def _top(self) -> int:
        """The node on top of the stack, -1 when it is empty."""
        from polygeom.kernels.dictionary_nodes import TOP

        return int(self._arrays.control.counts[TOP])

    @property
    def fraction(self) -> float:
        """The share of the tree that is done, every split halving the weight: a rough measure of progress."""
        return 1.0 if self.finished else float(self._arrays.control.finished[0])

    @property
    def exactness(self) -> Exactness:
        """How units that keep their sign on a cell were decided."""
        from polygeom.kernels.dictionary_nodes import BY_FLOATS, BY_STRUCTURE

        counts = self._arrays.control.counts
        return Exactness(int(counts[BY_FLOATS]), int(counts[BY_STRUCTURE]), self._rationals)

    def run(self, max_regions: int | None = None) -> bool:
        """Find at most this many more regions; return whether all are found.

        What was found stays valid whenever this is interrupted, and the next call goes on.
        """
        from polygeom.kernels import dictionary_cells as cells

        start, found = self._arrays, self._found
        goal = np.iinfo(np.int64).max if max_regions is None else self.n_regions + max_regions
        self._collect()  # what an interrupted call has left
        while not self.finished and self.n_regions < goal:
            found.count[1] = min(goal - self.n_regions, self._stride)
            began = perf_counter()
            outcome = cells.advance(
                start.chain, start.rows, self._stack, start.control, start.weights, start.proof, found
            )
            self._stride = 2 * self._stride if perf_counter() - began < PACE else max(self._stride // 2, 1)
            self._collect()
            if outcome == cells.DEEP:
                self._stack = type(self._stack)(*(np.concatenate([a, np.zeros_like(a)]) for a in self._stack))
            elif outcome == cells.ASK_UNIT:
                self._answer_unit()
            elif outcome == cells.ASK_LEAF:
                self._answer_leaf()
        return self.finished

    def take(self) -> RegionArrays:
        """Hand over codes and witnesses of the regions found since the last call."""
        width = self._found.packed.shape[1]
        packed = np.concatenate([np.zeros((0, width), np.uint8), *self._packed])
        points = np.concatenate([np.zeros((0, self._chain.dim)), *self._points])
        exact = self._exact_points
        self._packed, self._points, self._exact_points, self._kept = [], [], {}, 0
        return RegionArrays(packed, points, exact)

    def copy(self) -> DictionaryEngine:
        """Return an engine that goes on from here on its own."""
        other = copy(self)
        groups = {name: getattr(self._arrays, name) for name in ("rows", "control", "weights", "proof")}
        other._arrays = replace(self._arrays, **{name: _copied(group) for name, group in groups.items()})
        other._stack, other._found = _copied(self._stack), _copied(self._found)
        other._packed, other._points = list(self._packed), list(self._points)
        other._exact_points = dict(self._exact_points)
        return other

    # -- what the kernel wrote -----------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Take over the leaves written by the kernel."""
        n = int(self._found.count[0])
        if self._store and n:
            self._keep(self._found.packed[:n].copy(), self._found.point[:n])
        self.n_regions += n
        self._found.count[0] = 0

    def _keep(self, packed: np.ndarray, points: np.ndarray) -> None:
        """Keep codes and points y (n, r), given over the coordinates kept, for `take`."""
        x, scale = np.zeros((len(points), self._chain.dim)), self._chain.scale[self._columns]
        with np.errstate(over="ignore", under="ignore"):
            x[:, self._columns] = points * scale
            # powers of two change a point only beyond the range of floats
            moved = np.flatnonzero((x[:, self._columns] / scale != points).any(axis=1))
        for i in moved:
            if self._kept + i not in self._exact_points:
                self._exact_points[self._kept + int(i)] = self._in_slice(points[i])
        self._packed.append(packed)
        self._points.append(x)
        self._kept += len(points)

    # -- what the kernel asks ------------------------------------------------------------------------------------

    def _signs(self) -> np.ndarray:
        """Return the signs of all units at the node on top of the stack."""
        arrays = self._arrays.chain
        n_domain = int(arrays.first[0])
        sign = self._stack.sign[self._top]
        own = sign[arrays.leader]
        flips = (arrays.ratio < 0) & (np.abs(own) == 1)
        return np.where(flips, -own, own)[n_domain:]

    def _answer_unit(self) -> None:
        """Decide in rationals whether a unit cuts the cell on top of the stack."""
        from polygeom.kernels.dictionary import LAYER, NOTHING
        from polygeom.kernels.dictionary_cells import CUTS, DROP
        from polygeom.kernels.dictionary_nodes import ANSWER, UNIT

        counts, arrays = self._arrays.control.counts, self._arrays.chain
        top, n_domain = self._top, int(arrays.first[0])
        number, layer = int(self._stack.basic[top, counts[UNIT]]), int(self._stack.head[top, LAYER])
        signs = self._signs()
        signs[arrays.layer[n_domain:] > layer] = 0
        row = self._stack.table[top, counts[UNIT]]
        guess = -1 if row[np.abs(row).argmax()] < 0 else 1
        hint = self._stack.nonbasic[top].tolist()
        sides = self._exact.sides(signs, layer, number - n_domain, hint, guess)
        answers = {
            (True, True): CUTS,
            (True, False): 1,
            (False, True): -1,
            (False, False): int(NOTHING),
            None: DROP,
        }
        counts[ANSWER] = answers[sides]
        self._rationals += 1

    def _answer_leaf(self) -> None:
        """Find in rationals a point inside the leaf on top of the stack, or that it has no interior."""
        from polygeom.kernels.dictionary_cells import DROP, LISTED
        from polygeom.kernels.dictionary_nodes import ANSWER

        counts, signs = self._arrays.control.counts, self._signs()
        self._rationals += 1
        point = self._exact.interior_point(signs)
        if point is None:
            counts[ANSWER] = DROP
            return
        counts[ANSWER] = LISTED
        self.n_regions += 1
        if not self._store:
            return
        floats = rounded(point)
        if not (np.isfinite(floats).all() and self._exact.is_inside(signs, [rational(v) for v in floats])):
            self._exact_points[self._kept] = self._in_slice(point)
        letters = np.zeros((1, self._chain.network.n_units), bool)
        start = 0
        for layer in self._chain.layers:
            letters[0, layer.first_column : layer.first_column + layer.width] = (
                signs[start : start + layer.width] == 1
            )
            start += layer.width
        self._keep(np.packbits(letters, axis=1), floats[None])

    def _in_slice(self, point: list[object]) -> tuple[Fraction, ...]:
        """Return an exact point y over the coordinates kept in slice coordinates of the user."""
        x = [Fraction(0)] * self._chain.dim
        for c, v in zip(self._columns, point, strict=True):
            x[c] = fraction(v) * fraction(float(self._chain.scale[c]))
        return tuple(x)


def _copied(group: Arrays) -> Arrays:
    """Return a tuple of arrays of its own."""
    return type(group)(*(a.copy() for a in group))
