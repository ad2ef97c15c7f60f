"""From cells whose letters are all known to the arrays of regions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from polygeom.enumeration.arrays import RegionArrays
from polygeom.enumeration.cell_batch import INFINITY, CellBatch, UnitSets, starts_of
from polygeom.enumeration.exact_signs import Row, crossing, unscaled
from polygeom.enumeration.splitter import Resolver
from polygeom.enumeration.staged_starts import Start
from polygeom.exact import nearest_float
from polygeom.network import Network
from polygeom.rounding import LARGEST, gamma

__all__ = ["RegionOutput", "bounded"]


def bounded(cells: CellBatch, start: Start) -> np.ndarray:
    """Tell which cells are bounded, (N,)."""
    if not len(cells) or start.lift is not None:
        return np.zeros(len(cells), dtype=bool)
    return np.minimum.reduceat(cells.coord[:, -1], cells.vertex_start[:-1]) > 0


def _facet_sets(cells: CellBatch) -> np.ndarray:
    """Return the facets each vertex lies on, as bits: those of units first, as listed, then the domain's."""
    owned = cells.owner >= 0
    of = np.repeat(np.arange(len(cells)), np.diff(cells.facet_start))
    first = cells.facet_start[:-1][of]
    before = np.concatenate([[0], np.cumsum(owned)])
    units, rank = before[cells.facet_start[1:]][of] - before[first], before[:-1] - before[first]
    inner = cells.owner < INFINITY
    outer = np.concatenate([[0], np.cumsum(inner)])
    place = np.where(owned, rank, units + outer[:-1] - outer[first])
    facets, vertices = cells.members()
    kept = cells.owner[facets] != INFINITY
    sets = np.zeros(len(cells.coord), dtype=np.int64)
    np.bitwise_or.at(sets, vertices[kept], np.int64(1) << place[facets[kept]])
    return sets


@dataclass(frozen=True, eq=False)
class RegionOutput:
    """Makes the arrays of regions.

    Attributes
    ----------
    network : Network
    start : Start
        The coordinates that the cells live in.
    resolver : Resolver
        Exact rows.
    sets : UnitSets
        What the cells' numbers of undecided units stand for.
    """

    network: Network
    start: Start
    resolver: Resolver
    sets: UnitSets

    def arrays(self, cells: CellBatch, keep: bool, tell: Callable[[int, int], None]) -> RegionArrays:
        """Return the arrays of cells, `keep` with vertices; `tell` hears of exact and unsure witnesses."""
        D = cells.coord.shape[1]
        owned = cells.owner >= 0
        tied = (cells.tied | np.repeat(cells.flat, np.diff(cells.facet_start))) & owned
        facets, vertices = cells.members()
        sums = np.zeros((len(cells.owner), D))
        np.add.at(sums, facets, cells.coord[vertices])
        of = np.repeat(np.arange(len(cells)), np.diff(cells.facet_start))
        on_domain = ~owned & (cells.owner != INFINITY)
        witnesses, exact, unsure = self._witnesses(cells)
        tell(len(exact), len(np.unique(unsure[:, 0])))
        return RegionArrays(
            self._packed(cells.letters),
            witnesses,
            exact,
            bounded(cells, self.start),
            starts_of(np.bincount(of[owned], minlength=len(cells))),
            cells.owner[owned].astype(np.int32),
            tied[owned],
            np.column_stack([self._lifted(sums[tied, :-1] * self.start.scale), sums[tied, -1]]),
            np.bincount(of[on_domain], minlength=len(cells)).astype(np.int32),
            cells.vertex_start if keep else None,
            self._user_rays(cells.coord) if keep else None,
            edge_units=np.maximum(cells.owner, -1).astype(np.int32) if keep and D == 3 else None,
            vertex_facets=_facet_sets(cells) if keep and D != 3 else None,
            undecided=self._undecided(cells, unsure),
        )

    def _undecided(self, cells: CellBatch, unsure: np.ndarray) -> np.ndarray:
        """Return region and unit (U, 2) of undecided signs, given those at witnesses."""
        open_ = np.flatnonzero(cells.undecided).tolist()
        named = [(i, unit) for i in open_ for unit in self.sets[int(cells.undecided[i])]]
        pairs = np.concatenate([np.array(named, dtype=np.int64).reshape(-1, 2), unsure])
        return np.unique(pairs, axis=0)

    def _packed(self, letters: np.ndarray) -> np.ndarray:
        """Return codes as `SplineCodes.packed`: bits where all gates have two letters."""
        if all(gate.n_letters <= 2 for gate in self.network.gates):
            return np.packbits(letters.astype(bool), axis=1)
        return np.ascontiguousarray(letters).view(np.uint8)

    def _user_rays(self, rays: np.ndarray) -> np.ndarray:
        """Return homogeneous rays in slice coordinates: points with t = 1, directions with t = 0."""
        y, t = self._lifted(rays[:, :-1] * self.start.scale), rays[:, -1:]
        with np.errstate(all="ignore"):
            return np.where(t > 0, np.column_stack([y / t, np.ones(len(y))]), np.column_stack([y, 0.0 * t]))

    def _lifted(self, points: np.ndarray) -> np.ndarray:
        """Return points in slice coordinates, with 0 for those that nothing depends on."""
        return points if self.start.lift is None else points @ self.start.lift.T

    # -- witnesses -------------------------------------------------------------------------------------------

    def _witnesses(self, cells: CellBatch) -> tuple[np.ndarray, dict[int, tuple[Fraction, ...]], np.ndarray]:
        r"""Return points inside the cells, exact ones where floats are not, and (cell, unit) where that is open.

        The sum of the vertices, dehomogenized, is a float point y. It is inside if the row of every facet
        at (y, 1) exceeds :math:`(s \gamma_{D+6} + 2 r) \max(1, |y|_\infty)`
        (`polygeom.kernels.cell_regions`).
        """
        if not len(cells):
            return self._lifted(np.zeros((0, len(self.start.scale)))), {}, np.zeros((0, 2), dtype=np.int64)
        sums = np.add.reduceat(cells.coord, cells.vertex_start[:-1], axis=0)
        with np.errstate(over="ignore"):
            points = np.clip(sums[:, :-1] / sums[:, -1:], -LARGEST, LARGEST)
        of = np.repeat(np.arange(len(cells)), np.diff(cells.facet_start))
        at = np.column_stack([points, np.ones(len(points))])[of]
        with np.errstate(over="ignore", invalid="ignore"):
            z = (cells.facet[:, :-2] * at).sum(axis=1) * (1 - 2 * cells.side)
        bound = cells.facet[:, -2] * gamma(at.shape[1] + 8) + 2.0 * cells.facet[:, -1]
        exact: dict[int, tuple[Fraction, ...]] = {}
        unsure = np.zeros(len(cells), dtype=bool)
        with np.errstate(over="ignore", invalid="ignore"):
            inside = z > bound * np.abs(at).max(axis=1)
        for i in np.unique(of[~inside]).tolist():
            point = self._exact_witness(cells.at(np.array([i])))
            if point is None:
                unsure[i] = True
                continue
            points[i] = np.clip([nearest_float(v) for v in point], -LARGEST, LARGEST)
            exact[i] = self._exactly_lifted(point)
        scaled, moved = unscaled(points, self.start.scale)
        for i in set(moved) - set(exact):
            exact[i] = self._exactly_lifted([Fraction(float(v)) for v in points[i]])
        at_facets = unsure[of] & ~inside
        return self._lifted(scaled), exact, np.column_stack([of, np.maximum(cells.owner, -1)])[at_facets]

    def _exactly_lifted(self, point: list[Fraction]) -> tuple[Fraction, ...]:
        """Return an exact point in slice coordinates."""
        scaled = [v * Fraction(float(s)) for v, s in zip(point, self.start.scale, strict=True)]
        if self.start.lift is None:
            return tuple(scaled)
        nothing = Fraction(0)
        return tuple(
            sum((int(e) * v for e, v in zip(row, scaled, strict=True)), nothing) for row in self.start.lift
        )

    def _exact_witness(self, cell: CellBatch) -> list[Fraction] | None:
        """Return the sum of a cell's exact vertices, dehomogenized; None if some row is out of reach."""
        rows: list[Row] = []
        for f in range(len(cell.owner)):
            row = self._inner_row(cell, f)
            if row is None:
                return None
            rows.append(row)
        facets, vertices = cell.members()
        k, D = len(cell.coord), cell.coord.shape[1]
        total, weight = [Fraction(0)] * (D - 1), Fraction(0)
        for v in range(k):
            on = [(v - 1) % k, v] if D == 3 else facets[vertices == v].tolist()
            other = next(row for f, row in enumerate(rows) if f not in on)
            ray = [int(c) for c in crossing([rows[f] for f in on], other)]
            size = ray[-1] or max(abs(c) for c in ray)
            total = [a + Fraction(c, size) for a, c in zip(total, ray[:-1], strict=True)]
            weight += ray[-1] != 0
        return [a / weight for a in total]

    def _inner_row(self, cell: CellBatch, f: int) -> Row | None:
        """Return the exact row of a facet, positive inside."""
        name = int(cell.owner[f]), int(cell.key[f])
        row = self.resolver(*name, cell.facet[f, :-2], cell.facet[f, -1], cell.letters[0])
        return [-v for v in row] if row is not None and cell.side[f] else row
