"""Splits batches of cells by rows they bring along, with the compiled recursion; decides what floats cannot."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from polygeom.enumeration.cell_arrays import grown, roomier, wider
from polygeom.enumeration.cell_batch import INFINITY, CellBatch, Rows, UnitSets
from polygeom.enumeration.chain import DenseChain
from polygeom.enumeration.exact_signs import Row, crossing, dot, nearest_ray
from polygeom.errors import TooLargeError
from polygeom.network import Network
from polygeom.rounding import U

if TYPE_CHECKING:
    from polygeom.kernels.cell_regions import Regions
    from polygeom.kernels.cells import Cells, Chain, Scratch

__all__ = ["Resolver", "Splitter"]

NODES = 100_000
"""Most nodes of one call of the compiled loop, so that Ctrl-C is seen in time."""

TABLE = 1 << 10

Resolver = Callable[[int, int, np.ndarray, float, np.ndarray], "list[object] | None"]
"""Owner, key, float row, its error bound, letters -> the exact row, if it can be had."""


class Splitter:
    """The stack of one stage.

    Parameters
    ----------
    dims : tuple of D zeros
    resolver : Resolver
    room : int
        Most cells in one batch of results.
    sets : UnitSets, optional
        What cells' numbers of undecided units stand for.
    """

    def __init__(
        self, dims: tuple[int, ...], resolver: Resolver, room: int, sets: UnitSets | None = None
    ) -> None:
        self.dims, self.resolver, self.room, self.sets = dims, resolver, room, sets or UnitSets()
        self._open: list[tuple[int, int]] = []
        self.cells, self.scratch = _new_cells(dims), _new_scratch(dims)
        self.limits, self.position = np.array([-1, 0, 0]), np.zeros(1, dtype=np.int64)
        self.regions: Regions | None = None
        self.chain: Chain | None = None
        self.rationals, self.undecided, self.kept = 0, 0, 0
        self.is_busy = False

    @property
    def tests(self) -> int:
        """Rows tested on cells so far."""
        from polygeom.kernels.cells import TESTED

        return int(self.cells.tally[TESTED])

    def copy(self) -> Splitter:
        """Return a splitter that goes on from here on its own."""
        other = copy(self)
        for name in ("cells", "scratch", "regions", "chain"):
            arrays = getattr(self, name)
            if arrays is not None:
                setattr(
                    other, name, arrays._replace(**{key: a.copy() for key, a in arrays._asdict().items()})
                )
        other.limits, other.position = self.limits.copy(), self.position.copy()
        other._open = list(self._open)
        return other

    # -- tasks -----------------------------------------------------------------------------------------------

    def begin(self, batch: CellBatch, rows: Rows, share: np.ndarray) -> None:
        """Take up tasks; `share` is that of each."""
        self.batch, self.rows, self.share = batch, rows, share
        self.records = rows.loaded(batch)
        own, facets = np.diff(rows.row_start), np.diff(self.records.facet_start)
        vertices = np.diff(self.records.vertex_start)
        most = int((own + facets).max(initial=0)) + 1
        self.chain = _new_chain(most)
        self._fit(int(own.max(initial=0)), int(facets.max(initial=0)), int(vertices.max(initial=0)))
        width = int((rows.units.max(initial=0) + 7) // 8)
        if self.regions is None or self.regions.packed.shape[1] < width:
            self.regions = _new_regions(self.room, max(width, 1), self.dims)
        self.cells = self.cells._replace(
            code=np.zeros(most, dtype=np.uint8), table=np.zeros((TABLE, 3), dtype=np.int64)
        )
        self.kept, self.position[0], self.is_busy = 0, 0, True
        self._open = []

    def _fit(self, rows: int, facets: int, vertices: int) -> None:
        """Make the stack large enough to load the largest cell."""
        D = len(self.dims)
        while (
            len(self.cells.unit) < rows
            or len(self.cells.nexts) < D * rows
            or len(self.cells.path_size) < facets + 1
            or len(self.cells.spread) < 4 * vertices + 8
            or len(self.scratch.spread) < vertices + 2
        ):
            self._grow()
        if D != 3 and facets > self.cells.slot_row.shape[1]:
            self._refuse()
        if len(self.scratch.low) < rows:
            fresh = {
                name: np.zeros(2 * rows, dtype=getattr(self.scratch, name).dtype)
                for name in ("low", "high", "product", "verdict", "active")
                if hasattr(self.scratch, name)
            }
            self.scratch = self.scratch._replace(**fresh)

    def go_on(self) -> tuple[CellBatch, np.ndarray]:
        """Return more of the cells, and the task each belongs to; `is_busy` tells whether there may be others."""
        from polygeom.kernels import cell_recursion as loop
        from polygeom.kernels import cell_regions as parts
        from polygeom.kernels.record_splits import split_records

        fill = self.regions.fill
        fill[: parts.PARENT] = 0  # the cell that is being split stays
        fill[parts.MODE] = parts.PARK
        while True:
            self.limits[loop.REGIONS], self.limits[loop.NODES] = self.room, NODES
            status = split_records(
                self.records,
                self.position,
                self.cells,
                self.chain,
                self.scratch,
                self.regions,
                self.limits,
                self.dims,
            )
            if status == loop.DONE:
                self.is_busy = False
                break
            if status == loop.PAUSED and self.limits[loop.NODES] > 0:
                if fill[parts.N_REGIONS] > 0:
                    break
                self.regions = roomier(self.regions)
                self.regions = self.regions._replace(
                    row=_doubled(self.regions.row),
                    spread=_doubled(self.regions.spread),
                    mask=_doubled(self.regions.mask),
                )
            elif status == loop.TIE:
                self._decide()
            elif status == loop.GROW:
                self._grow()
            elif status == loop.WIDE:
                self._refuse()
        parts, task = self.rows.parked(self.batch, self.regions, self.share)
        self._leave_open(parts, task)
        return parts, task

    def _leave_open(self, parts: CellBatch, task: np.ndarray) -> None:
        """Note on all parts of a cell the units with undecided signs at vertices of the cell or its parts."""
        for t in {t for t, _ in self._open}:
            units = [unit for other, unit in self._open if other == t]
            for i in np.flatnonzero(task == t).tolist():
                parts.undecided[i] = self.sets.joined(int(parts.undecided[i]), units)
        at_work = int(self.position[0]) - 1
        self._open = [(t, unit) for t, unit in self._open if t == at_work]

    def _grow(self) -> None:
        self.cells, self.scratch = grown(self.cells), wider(self.scratch)

    def _refuse(self) -> None:
        raise TooLargeError(
            "A cell has more than 64 facets, too many for cells given by vertices in this dimension. "
            "Take a slice of lower dimension, or a smaller domain."
        )

    # -- exact signs -----------------------------------------------------------------------------------------

    def _decide(self) -> None:
        """Decide a row's sign exactly at the vertices where floats could not; undecided ones count as zero."""
        from polygeom.kernels import cell_recursion as loop
        from polygeom.kernels import cells as parts

        cells, sp, D = self.cells, int(self.limits[loop.TOP]), len(self.dims)
        first, k = int(cells.node[sp, parts.VERTEX]), int(cells.node[sp, parts.VERTICES])
        number = int(cells.unit[cells.node[sp, parts.SLOT] + self.scratch.tie[0]])
        row = self._exact(2 * number)
        for v in np.flatnonzero(self.scratch.sign[:k] == parts.UNKNOWN):
            ray, at, sign = None if row is None else self._vertex(sp, int(v)), first + int(v), 0
            if ray is None:
                self.undecided += 1
                self._open.append(self._own(number))
            else:
                value = dot(row, ray)
                sign = (value > 0) - (value < 0)
                cells.coord[at * D : at * D + D], cells.spread[at] = nearest_ray(ray), 2.0 * U
                self.rationals += 1
            if 2 * self.kept >= len(cells.table):
                self.cells = cells = cells._replace(table=parts.rehashed(cells.table))
            parts.keep_sign(cells.table, cells.serial[at], number, sign)
            self.kept += 1

    def _own(self, number: int) -> tuple[int, int]:
        """Return the task at work, and the unit of one of its own rows."""
        task = int(self.position[0]) - 1
        return task, int(self.rows.owner[self.rows.row_start[task] + number])

    def _exact(self, code: int) -> Row | None:
        """Return the exact inner row of 2 number + side, numbers as in `polygeom.kernels.record_splits`."""
        task = int(self.position[0]) - 1
        cell = int(self.rows.cell[task])
        first = int(self.rows.row_start[task])
        own = int(self.rows.row_start[task + 1]) - first
        number, facets = code >> 1, int(self.batch.facet_start[cell])
        letters = self.batch.letters[cell]
        if number < own:
            at = first + number
            row = self.rows.row[at]
            exact = self.resolver(
                int(self.rows.owner[at]), int(self.rows.key[at]), row[:-1], row[-1], letters
            )
        elif number - own == int(self.batch.facet_start[cell + 1]) - facets:
            exact = self.resolver(INFINITY, 0, self.rows.row[:0], 0.0, letters)
        else:
            at = facets + number - own
            row, owner = self.batch.facet[at], int(self.batch.owner[at])
            exact = self.resolver(owner, int(self.batch.key[at]), row[:-2], row[-1], letters)
        return [-v for v in exact] if exact is not None and code & 1 else exact

    def _vertex(self, sp: int, v: int) -> Row | None:
        """Return vertex v of a node exactly."""
        from polygeom.kernels import cells as parts

        cells, first = self.cells, int(self.cells.node[sp, parts.VERTEX])
        k, other = int(cells.node[sp, parts.VERTICES]), None
        if len(self.dims) == 3:
            codes = (int(cells.facets[first + (v - 1) % k]), int(cells.facets[first + v]))
            through = [self._path_row(2 * (c >> 2) + (c & 1)) for c in codes]
        else:
            mask = int(cells.facets[first + v]) & (2**64 - 1)
            used = int(np.bitwise_or.reduce(cells.facets[first : first + k])) & (2**64 - 1)
            slots = range(cells.slot_row.shape[1])
            through = [self._path_row(int(cells.slot_row[sp, s])) for s in slots if mask >> s & 1]
            others = (self._path_row(int(cells.slot_row[sp, s])) for s in slots if (used & ~mask) >> s & 1)
            other = next((row for row in others if row is not None), None)
            if other is None:
                return None
        return None if any(row is None for row in through) else crossing(through, other)

    def _path_row(self, code: int) -> Row | None:
        """Return the exact inner row of a facet, 2 row of the path + side."""
        return self._exact(2 * int(self.cells.path_unit[code >> 1]) + (code & 1))


# -- arrays --------------------------------------------------------------------------------------------------


def _new_chain(numbers: int) -> Chain:
    """Return room for the chain of one cell."""
    from polygeom.kernels.cells import Chain

    return Chain(
        np.zeros(2, dtype=np.int64),
        np.zeros(3, dtype=np.int64),
        np.zeros(1),
        np.zeros(2, dtype=np.int64),
        np.zeros(1),
        np.zeros(1, dtype=np.int8),
        np.vstack([np.zeros(numbers + 1), np.ones(numbers + 1)]),
        np.zeros(numbers + 1),
        np.zeros(numbers + 1, dtype=np.int64),
    )


def _new_cells(dims: tuple[int, ...]) -> Cells:
    """Return an empty stack."""
    from polygeom.enumeration.cell_arrays import new_cells

    return new_cells(DenseChain(Network((), (len(dims) - 1,)), None, (), np.ones(len(dims) - 1)), dims)


def _new_scratch(dims: tuple[int, ...]) -> Scratch:
    from polygeom.enumeration.cell_arrays import new_scratch

    return new_scratch(1, dims)


def _new_regions(room: int, width: int, dims: tuple[int, ...]) -> Regions:
    """Return room for parked cells, with letters of `width` bytes."""
    from polygeom.kernels.cell_regions import PLACES, Regions

    D, facets = len(dims), 8 * room + 256
    return Regions(
        fill=np.zeros(PLACES, dtype=np.int64),
        packed=np.zeros((room, width), dtype=np.uint8),
        witness=np.zeros((0, D - 1)),
        bounded=np.zeros(0, dtype=bool),
        n_facets=np.zeros(room, dtype=np.int32),
        n_domain=np.zeros(0, dtype=np.int32),
        n_vertices=np.zeros(room, dtype=np.int32),
        facet=np.zeros(facets, dtype=np.int32),
        tied=np.zeros(facets, dtype=bool),
        tied_point=np.zeros((0, D)),
        vertex=np.zeros((facets, D)),
        parent=np.zeros(room, dtype=np.int64),
        share=np.zeros(room),
        flat=np.zeros(room, dtype=bool),
        row=np.zeros((facets, D + 1)),
        spread=np.zeros(facets),
        mask=np.zeros(facets, dtype=np.int64),
    )


def _doubled(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array, np.zeros_like(array)])
