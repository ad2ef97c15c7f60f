"""Many cells side by side in flat arrays, with what they need to be split further and to become regions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from polygeom.rounding import gamma

if TYPE_CHECKING:
    from polygeom.kernels.cell_regions import Regions
    from polygeom.kernels.gate_screens import Geometry
    from polygeom.kernels.record_splits import Records

__all__ = ["INFINITY", "CellBatch", "Rows", "UnitSets", "domain_owner", "spans", "starts_of"]

INFINITY = -1
"""Owner of the facet at infinity; row i of the domain has `domain_owner`."""


def domain_owner(row: np.ndarray) -> np.ndarray:
    """Return the owner of facets that rows of the domain draw."""
    return -2 - row


def starts_of(counts: np.ndarray) -> np.ndarray:
    """Return where groups of these sizes begin, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def spans(starts: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the starts of some groups put side by side, and the places their members come from."""
    counts = starts[chosen + 1] - starts[chosen]
    packed = starts_of(counts)
    return packed, np.repeat(starts[chosen] - packed[:-1], counts) + np.arange(packed[-1])


class UnitSets:
    """Sets of units by number; set 0 is empty. Cells hold numbers, as hardly any set is not empty."""

    def __init__(self) -> None:
        self._numbers: dict[frozenset[int], int] = {frozenset(): 0}
        self._sets: list[frozenset[int]] = [frozenset()]

    def __getitem__(self, number: int) -> frozenset[int]:
        return self._sets[number]

    def joined(self, number: int, units: Iterable[int]) -> int:
        """Return the number of a set with some more units."""
        wanted = self._sets[number].union(units)
        if wanted not in self._numbers:
            self._numbers[wanted] = len(self._sets)
            self._sets.append(wanted)
        return self._numbers[wanted]


@dataclass(frozen=True, eq=False)
class CellBatch:
    """N cells in slice coordinates y, D = k + 1.

    Attributes
    ----------
    vertex_start : (N + 1,); coord : (V, D), spread : (V,), mask : (V,)
        Vertices as in `polygeom.kernels.cells`; ``mask`` holds the set of the cell's facets a vertex lies
        on, except in the plane, where facet v of a cell follows vertex v.
    facet_start : (N + 1,); facet : (F, D + 2), owner, key, plane, side : (F,), tied : (F,) bool
        Row of every facet, the sum of its absolute coefficients, the bound on their errors. The unit that
        draws it (or `INFINITY`, or `domain_owner`), and which of its rows (`GraphRows`). The name of its
        hyperplane, negative where the row points the other way, 0 without a name. 1 where the cell is on
        the negative side of the row. Whether another unit vanishes on it.
    flat : (N,) bool
        Whether a unit vanishes on the whole cell.
    letters : (N, columns)
        Letters of the units known so far, from the first column on.
    share : (N,)
        Share of the enumeration.
    undecided : (N,)
        The units with signs that were taken as zero without proof, a number of `UnitSets`.
    """

    vertex_start: np.ndarray
    coord: np.ndarray
    spread: np.ndarray
    mask: np.ndarray
    facet_start: np.ndarray
    facet: np.ndarray
    owner: np.ndarray
    key: np.ndarray
    plane: np.ndarray
    side: np.ndarray
    tied: np.ndarray
    flat: np.ndarray
    letters: np.ndarray
    share: np.ndarray
    undecided: np.ndarray

    def __len__(self) -> int:
        return len(self.flat)

    @property
    def dims(self) -> tuple[int, ...]:
        """D zeros, as compiled code wants them."""
        return (0,) * self.coord.shape[1]

    def at(self, cells: np.ndarray) -> CellBatch:
        """Return some of the cells, in order."""
        vertex_start, v = spans(self.vertex_start, cells)
        facet_start, f = spans(self.facet_start, cells)
        return CellBatch(
            vertex_start, self.coord[v], self.spread[v], self.mask[v], facet_start, self.facet[f],
            self.owner[f], self.key[f], self.plane[f], self.side[f], self.tied[f],
            self.flat[cells], self.letters[cells], self.share[cells], self.undecided[cells],
        )  # fmt: skip

    def with_letters(self, letters: np.ndarray) -> CellBatch:
        """Return the cells with one more gate's letters (N, size)."""
        joined = np.concatenate([self.letters, letters.astype(self.letters.dtype)], axis=1)
        return replace(self, letters=joined)

    @classmethod
    def joined(cls, batches: list[CellBatch]) -> CellBatch:
        """Return the cells of several batches."""
        if len(batches) == 1:
            return batches[0]
        parts = {f.name: np.concatenate([getattr(b, f.name) for b in batches]) for f in fields(cls)}
        for name in ("vertex_start", "facet_start"):
            parts[name] = starts_of(np.concatenate([np.diff(getattr(b, name)) for b in batches]))
        return cls(**parts)

    def geometry(self) -> Geometry:
        """Return what compiled screens read; `tied` and `flat` are written to."""
        from polygeom.kernels.gate_screens import Geometry

        return Geometry(
            self.vertex_start,
            self.coord,
            self.spread,
            self.mask,
            self.facet_start,
            self.owner,
            self.tied,
            self.flat,
        )

    def members(self) -> tuple[np.ndarray, np.ndarray]:
        """Return pairs (facet, vertex): the vertices on every facet, facet by facet."""
        facets, first = np.diff(self.facet_start), self.vertex_start[:-1]
        sizes = np.diff(self.vertex_start)
        owner = np.repeat(np.arange(len(self)), facets)
        local = np.arange(len(self.owner)) - self.facet_start[:-1][owner]
        if self.coord.shape[1] == 3:
            after = np.where(local + 1 < sizes[owner], local + 1, 0)
            pairs = np.column_stack([first[owner] + local, first[owner] + after])
            return np.repeat(np.arange(len(owner)), 2), pairs.ravel()
        _, v = spans(self.vertex_start, owner)
        f = np.repeat(np.arange(len(owner)), sizes[owner])
        on = (self.mask[v] >> local[f]) & 1 == 1
        return f[on], v[on]


@dataclass(frozen=True, eq=False)
class Rows:
    """Tasks: cells with the rows to split them by.

    Attributes
    ----------
    cell : (T,)
        The cell of each task, in its batch.
    row_start : (T + 1,), units : (T,)
        Rows of every task; the first `units` of them split, of the others the positive side is kept.
    row : (R, D + 1), owner, key, plane : (R,)
        Rows and error bounds; unit, `GraphRows` key and hyperplane as in `CellBatch`.
    """

    cell: np.ndarray
    row_start: np.ndarray
    units: np.ndarray
    row: np.ndarray
    owner: np.ndarray
    key: np.ndarray
    plane: np.ndarray

    def __len__(self) -> int:
        return len(self.cell)

    @property
    def twins(self) -> np.ndarray:
        """Number within the task of the first row with the same hyperplane, (R,)."""
        count = np.diff(self.row_start)
        task, number = np.repeat(np.arange(len(self)), count), np.arange(len(self.plane))
        name = np.where(self.plane == 0, -1 - number, np.abs(self.plane))
        order = np.lexsort((number, name, task))
        fresh = np.ones(len(order), dtype=bool)
        fresh[1:] = (np.diff(name[order]) != 0) | (np.diff(task[order]) != 0)
        first = np.empty(len(order), dtype=np.int64)
        first[order] = order[fresh][np.cumsum(fresh) - 1] if len(order) else order
        return first - np.repeat(self.row_start[:-1], count)

    def loaded(self, cells: CellBatch) -> Records:
        """Return the tasks as compiled code reads them."""
        from polygeom.kernels.record_splits import Records

        vertex_start, v = spans(cells.vertex_start, self.cell)
        facet_start, f = spans(cells.facet_start, self.cell)
        return Records(
            vertex_start, cells.coord[v], cells.spread[v], cells.mask[v],
            facet_start, cells.facet[f], cells.owner[f], cells.side[f], cells.tied[f],
            self.row_start, self.units, self.row, self.twins, cells.flat[self.cell],
            np.array([int((self.owner >= 0).all())]),
        )  # fmt: skip

    def parked(self, cells: CellBatch, out: Regions, share: np.ndarray) -> tuple[CellBatch, np.ndarray]:
        """Return the cells that were parked, and the task of each; `share` is that of the tasks."""
        from polygeom.kernels import cell_regions as parts

        n, f, v = (int(out.fill[i]) for i in (parts.N_REGIONS, parts.N_FACETS, parts.N_VERTICES))
        task = out.parent[:n].copy()
        facet_start = starts_of(out.n_facets[:n])
        number, side = out.facet[:f].astype(np.int64) >> 1, out.facet[:f].astype(np.int64) & 1
        of = np.repeat(task, out.n_facets[:n])
        own = np.diff(self.row_start)[of]
        old_start = cells.facet_start[self.cell[of]]
        last = own + cells.facet_start[self.cell[of] + 1] - old_start
        new = number < own
        # The facet at infinity has the number after all others; it is the last of the facets at the start.
        infinite = number == last
        here = np.where(new, self.row_start[of] + number, 0)
        there = np.where(new | infinite, 0, old_start + number - own)

        def chosen(old: np.ndarray, own_: np.ndarray, at_infinity: float) -> np.ndarray:
            values = np.where(infinite, at_infinity, old[there])
            return np.where(new, own_[here], values) if len(own_) else values

        owner, key = chosen(cells.owner, self.owner, INFINITY), chosen(cells.key, self.key, 0)
        plane, error = chosen(cells.plane, self.plane, 0), chosen(cells.facet[:, -1], self.row[:, -1], 0.0)
        batch = CellBatch(
            starts_of(out.n_vertices[:n]), out.vertex[:v].copy(), out.spread[:v].copy(), out.mask[:v].copy(),
            facet_start, np.column_stack([out.row[:f], error]), owner, key, plane, side, out.tied[:f].copy(),
            out.flat[:n].copy(), cells.letters[self.cell[task]], share[task] * out.share[:n],
            cells.undecided[self.cell[task]],
        )  # fmt: skip
        return batch, task


def sizes_of(rows: np.ndarray) -> np.ndarray:
    """Return upper bounds on the sums of absolute coefficients (..., D)."""
    return np.abs(rows).sum(axis=-1) * (1.0 + gamma(12))
