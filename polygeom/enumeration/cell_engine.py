"""Regions by their vertices: drives the compiled recursion, one start cone after the other.

The compiled loop stops when it wants an exact sign, a longer array or room for its outputs; everything it needs to
go on stands in its arrays, so an enumeration can stop anywhere and go on later.
"""

from __future__ import annotations

from copy import copy
from fractions import Fraction

import numpy as np

from polygeom.affine import AffineMap
from polygeom.enumeration.arrays import Exactness, RegionArrays
from polygeom.enumeration.cell_arrays import (
    flatten,
    grown,
    new_cells,
    new_regions,
    new_scratch,
    roomier,
    wider,
)
from polygeom.enumeration.chain import DenseChain, dense_chain
from polygeom.enumeration.exact_signs import ExactRows, crossing, dot, integer_row, nearest_ray, unscaled
from polygeom.enumeration.starts import Frame, InnerRows, StartCone, find_frame, inner_rows, start_cones
from polygeom.errors import InputError, TooLargeError
from polygeom.exact import nearest_float, rational
from polygeom.polyhedron import Polyhedron
from polygeom.rounding import LARGEST, U

__all__ = ["CellEngine"]

NODES = 100_000
"""Most nodes of one call of the compiled loop, so that Ctrl-C and time budgets are seen in time."""

LEAVES = 4096
"""Regions in one batch of outputs."""


class CellEngine:
    """Enumerate the regions of a chain within a domain by splitting cells given by vertices.

    Parameters
    ----------
    chain : DenseChain
        Its first layer must have rank k, together with the domain's normals.
    domain : InnerRows
        Rows of a full-dimensional polyhedron.
    frame : Frame
        Rows of the start cones.
    mode : {0, 1, 2}
        Count; codes, witnesses and facets; vertices too.
    lift : AffineMap, optional
        From the coordinates of the chain to those of the user, of which nothing else depends on.
    """

    def __init__(
        self, chain: DenseChain, domain: InnerRows, frame: Frame, mode: int, lift: AffineMap | None = None
    ) -> None:
        from polygeom.kernels import cell_regions

        self.chain, self.mode, self.dims, self.lift = chain, mode, (0,) * (chain.dim + 1), lift
        self.exact = ExactRows(chain, domain.exact)
        self.frame, self.starts = frame, start_cones(chain, frame, domain.exact)
        self.loop = flatten(chain, domain)
        self.cells = new_cells(chain, self.dims)
        self.scratch = new_scratch(int(self.loop.widths.max()), self.dims)
        room = 0 if mode == cell_regions.COUNT else LEAVES
        self.regions = new_regions(chain, mode == cell_regions.VERTICES_TOO, room, self.dims)
        self.regions.fill[cell_regions.MODE] = mode
        self.limits = np.array([-1, 0, 0])
        self.rationals, self.kept_signs, self.next_start = 0, 0, 0
        self.exact_witnesses: dict[int, tuple[Fraction, ...]] = {}
        self.finished = False
        self._lay_path(domain)

    # -- what was found ------------------------------------------------------------------------------------

    @property
    def n_regions(self) -> int:
        """Regions found so far."""
        return int(self.cells.tally[0])

    @property
    def n_bounded(self) -> int:
        """Bounded ones among them."""
        return int(self.cells.tally[1]) if self.lift is None else 0

    @property
    def fraction(self) -> float:
        """Share of the recursion that is done, every split halving it."""
        return float(self.cells.done[0]) / len(self.starts)

    @property
    def exactness(self) -> Exactness:
        """How signs were decided."""
        tally = self.cells.tally
        return Exactness(int(tally[4]), int(tally[5]), self.rationals)

    def take(self) -> RegionArrays:
        """Return what was found since the last call, and make room."""
        from polygeom.kernels import cell_regions as parts

        out, n = self.regions, self.regions.fill
        r, f, t, v = (int(n[i]) for i in range(4))
        counts = out.n_facets[:r].astype(np.int64)
        keep = self.mode == parts.VERTICES_TOO
        result = RegionArrays(
            out.packed[:r].copy(),
            self._lifted(self._unscaled(out.witness[:r])),
            self._exact_witnesses(),
            out.bounded[:r].copy() if self.lift is None else np.zeros(r, dtype=bool),
            np.concatenate([[0], np.cumsum(counts)]),
            out.facet[:f].copy(),
            out.tied[:f].copy(),
            self._homogeneous(out.tied_point[:t]),
            out.n_domain[:r].copy(),
            np.concatenate([[0], np.cumsum(out.n_vertices[:r].astype(np.int64))]) if keep else None,
            self._user_rays(out.vertex[:v]) if keep else None,
            edge_units=out.mask[:v].astype(np.int32) if keep and len(self.dims) == 3 else None,
            vertex_facets=out.mask[:v].copy() if keep and len(self.dims) != 3 else None,
        )
        self.exact_witnesses = {}
        n[:4] = 0
        return result

    def _unscaled(self, y: np.ndarray) -> np.ndarray:
        """Return witnesses y over the slice, and keep the exact points that floats cannot hold."""
        points, moved = unscaled(y, self.chain.scale)
        for i in moved:
            exact = (
                Fraction(float(v)) * Fraction(float(s)) for v, s in zip(y[i], self.chain.scale, strict=True)
            )
            self.exact_witnesses.setdefault(i, tuple(exact))
        return points

    def _user_rays(self, rays: np.ndarray) -> np.ndarray:
        """Return homogeneous rays in slice coordinates: points with t = 1, directions with t = 0."""
        user, is_point = np.empty_like(rays), rays[:, -1] > 0
        divisor = np.where(is_point, rays[:, -1], 1.0)
        for c, factor in enumerate(self.chain.scale):  # by columns: rows are too short for numpy
            user[:, c] = rays[:, c] * factor / divisor
        user[:, -1] = is_point
        return user

    def _homogeneous(self, rays: np.ndarray) -> np.ndarray:
        """Return homogeneous rays over slice coordinates."""
        return np.column_stack([self._lifted(rays[:, :-1] * self.chain.scale), rays[:, -1]])

    def _lifted(self, points: np.ndarray) -> np.ndarray:
        """Return points or directions in all coordinates of the slice."""
        return points if self.lift is None else points @ self.lift.matrix.T

    def _exact_witnesses(self) -> dict[int, tuple[Fraction, ...]]:
        """Return the exact witnesses in all coordinates of the slice."""
        if self.lift is None:
            return self.exact_witnesses
        at = self.lift.matrix.argmax(axis=0)
        lifted = {}
        for region, point in self.exact_witnesses.items():
            full = [Fraction(0)] * self.lift.dim_out
            for i, value in zip(at, point, strict=True):
                full[int(i)] = value
            lifted[region] = tuple(full)
        return lifted

    def copy(self) -> CellEngine:
        """Return an engine that goes on from here on its own."""
        other = copy(self)
        other.cells = self.cells._replace(**{name: a.copy() for name, a in self.cells._asdict().items()})
        other.scratch = self.scratch._replace(**{n: a.copy() for n, a in self.scratch._asdict().items()})
        other.regions = self.regions._replace(**{n: a.copy() for n, a in self.regions._asdict().items()})
        other.limits, other.exact_witnesses = self.limits.copy(), dict(self.exact_witnesses)
        return other

    # -- going on ------------------------------------------------------------------------------------------

    def run(self, regions: int) -> None:
        """Go on until this many more regions are found, the outputs are full, many nodes are done, or all is."""
        from polygeom.kernels import cell_recursion as loop

        self.limits[loop.REGIONS], self.limits[loop.NODES] = regions, NODES
        while True:
            if self.limits[loop.TOP] < 0:
                if self.next_start == len(self.starts):
                    self.finished = True
                    return
                self._load(self.starts[self.next_start])
                self.next_start += 1
            status = loop.recur(self.cells, self.loop, self.scratch, self.regions, self.limits, self.dims)
            if status == loop.PAUSED and self.limits[loop.NODES] > 0 and self.limits[loop.REGIONS] == regions:
                self.regions = roomier(self.regions)  # not even one region fits
            elif status == loop.PAUSED:
                return
            if status == loop.TIE:
                self._decide_tie()
            elif status == loop.GROW:
                self._grow()
            elif status == loop.THIN:
                self._give_witness()
            elif status == loop.WIDE:
                raise TooLargeError(
                    "A cell has more than 64 facets, too many for cells given by vertices in this dimension. "
                    "Ask for method='lp', which has no such limit."
                )

    def _lay_path(self, domain: InnerRows) -> None:
        """Put the rows that all start cones share on the path; keep those with which every cone begins."""
        from polygeom.kernels import cells as parts

        D, frame, chain = len(self.dims), self.frame, self.loop
        n, m, first = int(chain.starts[0]), len(domain.rows), self.chain.layers[0]
        layer = np.column_stack([first.weight, first.bias])
        infinity = np.zeros((1, D))
        infinity[0, -1] = 1.0
        rows = np.vstack([domain.rows[list(frame.domain_rows)], layer[list(frame.units)], infinity])
        self.rest = [i for i in range(m) if i not in frame.domain_rows]
        while len(self.rest) > len(self.cells.unit) or layer.size > len(self.cells.nexts):
            self._grow()
        cells = self.cells
        cells.path[: rows.size] = rows.ravel()
        cells.path_size[:D] = np.abs(rows).sum(axis=1) * (1.0 + parts.DEEPEST)
        cells.path_unit[:D] = [*(n + i for i in frame.domain_rows), *frame.units, n + m]
        rest = domain.rows[self.rest]
        sizes = np.abs(rest).sum(axis=1) * (1.0 + parts.DEEPEST)
        self.first_rows, self.first_nexts = np.column_stack([rest, sizes]).T.ravel(), layer.T.ravel()
        reads = [[domain.exact[i, c] != 0 for c in range(D)] for i in self.rest]
        self.reads = np.array(reads, dtype=bool).reshape(-1, D)

    def _load(self, start: StartCone) -> None:
        """Put a start cone on the stack: its rays and facets, the rest of the domain undecided."""
        from polygeom.kernels import cell_recursion as loop
        from polygeom.kernels import cells as parts

        D, frame, chain, cells = len(self.dims), self.frame, self.loop, self.cells
        sides = [0] * len(frame.domain_rows) + [int(s < 0) for s in start.signs] + [0]
        order = [0, 2, 1] if D == 3 and not start.is_positive else list(range(D))
        if D == 3:  # the edge from ray a to ray b lies on the third row
            cells.facets[:D] = [4 * i + sides[i] for i in (order[2], order[0], order[1])]
        else:
            cells.facets[:D] = [((1 << D) - 1) ^ (1 << i) for i in order]
            cells.slot_row[0, :D] = [2 * i + sides[i] for i in order]
        serial = int(cells.tally[parts.SERIAL])
        cells.coord[: D * D] = start.rays[order].ravel()
        cells.spread[:D], cells.marks[:D] = 2.0 * U, 0
        if start.at_origin:
            cells.marks[order.index(D - 1)] = parts.NULL
        cells.serial[:D] = range(serial, serial + D)
        cells.tally[parts.SERIAL] += D
        left = len(self.rest)
        if left > 0:
            for i, v in np.argwhere(~(self.reads @ start.support[order].T)).tolist():  # all products are 0
                self._keep_sign(serial + v, int(chain.starts[0]) + self.rest[i], 0)
                cells.tally[parts.STRUCTURE] += 1
        cells.rows[: len(self.first_rows)] = self.first_rows
        cells.unit[:left] = [chain.starts[0] + i for i in self.rest]
        cells.nexts[: len(self.first_nexts)] = self.first_nexts
        cells.node[0] = 0
        cells.node[0, [parts.VERTICES, parts.PATH, parts.CUT, parts.SIMPLE]] = D, D, -1, 1
        cells.node[0, [parts.STRIDE, parts.LEFT]] = left
        cells.share[0] = 1.0
        self.limits[loop.TOP] = 0

    # -- what the compiled loop asks for -----------------------------------------------------------------------

    def _grow(self) -> None:
        """Double the arrays of the stack."""
        self.cells, self.scratch = grown(self.cells), wider(self.scratch)

    def _facet_rows(self, sp: int, v: int, letters: np.ndarray) -> tuple[list, list | None]:
        """Return the exact inner rows of the facets through vertex v, and of one that does not hold it."""
        from polygeom.kernels import cells as parts

        cells, first = self.cells, int(self.cells.node[sp, parts.VERTEX])
        k = int(cells.node[sp, parts.VERTICES])
        if len(self.dims) == 3:
            codes = (int(cells.facets[first + (v - 1) % k]), int(cells.facets[first + v]))
            return [self._inner_row(2 * (c >> 2) + (c & 1), letters) for c in codes], None
        mask = int(cells.facets[first + v]) & (2**64 - 1)
        used = int(np.bitwise_or.reduce(cells.facets[first : first + k])) & (2**64 - 1)
        through = [s for s in range(parts.SLOTS) if mask >> s & 1]
        if not through:
            return [], None
        other = next(s for s in range(parts.SLOTS) if (used & ~mask) >> s & 1)
        rows = [self._inner_row(int(cells.slot_row[sp, s]), letters) for s in (*through, other)]
        return rows[:-1], rows[-1]

    def _inner_row(self, code: int, letters: np.ndarray) -> list:
        """Return the exact row of a facet (2 row + side), positive inside."""
        row = self.exact.row(int(self.cells.path_unit[code >> 1]), letters)
        return [-v for v in row] if code & 1 else row

    def _letters(self) -> np.ndarray:
        """Return the letters of the cell on top; those of layers not yet reached are left over from others."""
        return self.cells.code.copy()

    def _decide_tie(self) -> None:
        """Decide a unit's sign exactly at the vertices where floats could not, and sharpen those vertices."""
        from polygeom.kernels import cell_recursion as loop
        from polygeom.kernels import cells as parts

        cells, sp, D = self.cells, int(self.limits[loop.TOP]), len(self.dims)
        first, k = int(cells.node[sp, parts.VERTEX]), int(cells.node[sp, parts.VERTICES])
        unit = int(cells.unit[cells.node[sp, parts.SLOT] + self.scratch.tie[0]])
        letters = self._letters()
        row = self.exact.row(unit, letters)
        for v in np.flatnonzero(self.scratch.sign[:k] == parts.UNKNOWN):
            ray = crossing(*self._facet_rows(sp, int(v), letters))
            value, at = dot(row, ray), first + int(v)
            self._keep_sign(int(cells.serial[at]), unit, (value > 0) - (value < 0))
            cells.coord[at * D : at * D + D], cells.spread[at] = nearest_ray(ray), 2.0 * U
            self.rationals += 1

    def _keep_sign(self, serial: int, unit: int, sign: int) -> None:
        """Put an exact sign into the table."""
        from polygeom.kernels import cells as parts

        if 2 * self.kept_signs >= len(self.cells.table):
            self.cells = self.cells._replace(table=parts.rehashed(self.cells.table))
        parts.keep_sign(self.cells.table, serial, unit, sign)
        self.kept_signs += 1

    def _give_witness(self) -> None:
        """Find a witness of the region on top exactly; give its rounding, and keep it if that is not inside."""
        from polygeom.kernels import cell_recursion as loop
        from polygeom.kernels import cell_regions
        from polygeom.kernels import cells as parts

        sp, letters, D = int(self.limits[loop.TOP]), self._letters(), len(self.dims)
        total = [Fraction(0)] * (D - 1)
        weight, rows = Fraction(0), []
        for v in range(int(self.cells.node[sp, parts.VERTICES])):
            through, other = self._facet_rows(sp, v, letters)
            rows += through
            ray = [int(c) for c in crossing(through, other)]
            size = ray[-1] or max(abs(c) for c in ray)
            total = [a + Fraction(c, size) for a, c in zip(total, ray[:-1], strict=True)]
            weight += ray[-1] != 0
        point = [a / weight for a in total]
        floats = [min(max(nearest_float(a), -LARGEST), LARGEST) for a in point]
        rounded = integer_row([rational(a) for a in (*floats, 1)])
        at = int(self.regions.fill[0])
        if not all(dot(row, rounded) > 0 for row in rows):
            scale = [Fraction(float(s)) for s in self.chain.scale]
            self.exact_witnesses[at] = tuple(a * s for a, s in zip(point, scale, strict=True))
        self.regions.witness[at] = floats
        self.regions.fill[cell_regions.GIVEN] = 1
        self.rationals += 1


def cell_engine(chain: DenseChain, domain: Polyhedron | None, mode: int) -> CellEngine:
    """Return the engine of a chain; where normals do not span the space, over coordinates in which they do.

    Raises
    ------
    InputError
        If vertices are asked for and regions contain lines.
    """
    k = chain.dim
    whole = Polyhedron.whole(k) if domain is None else domain
    inner = inner_rows(whole, chain.scale)
    frame = find_frame(chain, inner.rows, inner.exact)
    if frame.dim == k:
        return CellEngine(chain, inner, frame, mode)
    if mode == 2:
        raise InputError(
            f"Rows span {frame.dim} of {k} dimensions: regions contain lines and have no vertices. Ask for "
            "store='regions', or give a bounded domain."
        )
    lift = AffineMap(np.eye(k)[:, list(frame.coordinates)], np.zeros(k))
    along = lift if chain.along is None else chain.along.compose(lift)
    less = dense_chain(chain.network, along)
    inner = inner_rows(whole.pullback(lift), less.scale)
    return CellEngine(less, inner, find_frame(less, inner.rows, inner.exact), mode, lift)
