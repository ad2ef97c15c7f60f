"""Cells to begin with for any network graph: the domain cut into simplicial cones, all of its rows applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polygeom.affine import AffineMap
from polygeom.enumeration.cell_batch import INFINITY, CellBatch, Rows, domain_owner, sizes_of, starts_of
from polygeom.enumeration.chain import FARTHEST, exact_scale
from polygeom.enumeration.exact_rows import GraphRows, rounded_row
from polygeom.enumeration.exact_signs import Row, dot, integer_row
from polygeom.enumeration.gate_rows import unit_plane
from polygeom.enumeration.splitter import Splitter
from polygeom.enumeration.starts import Frame, StartCone, find_frame, inner_rows, start_cones
from polygeom.errors import InputError
from polygeom.exact import rational
from polygeom.gates import Elementwise
from polygeom.network import Network
from polygeom.polyhedron import Polyhedron
from polygeom.ranks import pivot_columns, rank
from polygeom.rounding import U

if TYPE_CHECKING:
    import flint

__all__ = ["Start", "has_start"]

ROOM = 1024
"""Cones in one batch."""


@dataclass(frozen=True, eq=False)
class _Layer:
    """Rows of hyperplanes in y, as `starts` reads those of a first layer."""

    weight: np.ndarray


@dataclass(frozen=True, eq=False)
class _Hyperplanes:
    """Hyperplanes that gates draw in y, as `starts` reads a chain: unit and key of each, exact rows, floats."""

    dim: int
    named: tuple[tuple[int, int], ...]
    rows: tuple[Row, ...]
    layers: tuple[_Layer]

    @classmethod
    def of(cls, dim: int, found: list[tuple[int, int, Row]]) -> _Hyperplanes:
        """Return the hyperplanes among rows; some rows may be constant."""
        found = [(unit, key, row) for unit, key, row in found if any(row[:-1])]
        rows = tuple(row for _, _, row in found)
        layer = _Layer(np.array([rounded_row(row) for row in rows]).reshape(-1, dim + 1)[:, :-1])
        return cls(dim, tuple((unit, key) for unit, key, _ in found), rows, (layer,))

    def first_rows(self, chosen: Sequence[int]) -> flint.fmpq_mat:
        """Return exact homogeneous rows (len(chosen), k + 1)."""
        import flint

        rows = [self.rows[i] for i in chosen]
        return flint.fmpq_mat(flint.fmpz_mat(len(rows), self.dim + 1, [v for row in rows for v in row]))


@dataclass(frozen=True, eq=False)
class Start:
    """The first cells, and the coordinates they live in: slice coordinates are ``scale * y``.

    Attributes
    ----------
    scale : (k,) array of powers of two
    lift : (slice coordinates, k) array or None
        From ``scale * y`` to slice coordinates, if some are held at 0.
    matrix : (dim_in, k), offset : (dim_in,)
        The input as a map of y, not rounded.
    exact_domain : (m, D) fmpq_mat
        Inner rows of the domain over y.
    cells : CellBatch
    splitter : Splitter
        What cut them.
    """

    scale: np.ndarray
    lift: np.ndarray | None
    matrix: np.ndarray
    offset: np.ndarray
    exact_domain: flint.fmpq_mat
    cells: CellBatch
    splitter: Splitter

    @classmethod
    def find(cls, net: Network, along: AffineMap | None, domain: Polyhedron) -> Start:
        """Return the first cells within a domain in slice coordinates.

        Where everything is constant along some directions, the coordinates that make up for them are held
        at 0: cells are then cross sections of those in slice coordinates (`lift`).

        Raises
        ------
        InputError
            If the domain's normals, with those of the gates that come first, do not separate all other
            directions.
        """
        k = net.dim_in if along is None else along.dim_in
        matrix = np.eye(k) if along is None else along.matrix
        offset = np.zeros(net.dim_in) if along is None else along.offset
        lift = None
        planes = _Hyperplanes.of(k, [])
        if rank(domain.A) < k:
            coordinates = _coordinates(net, matrix, offset, domain)
            if len(coordinates) < k:
                lift, matrix = np.eye(k)[:, coordinates], matrix[:, coordinates]
                domain, k = domain.pullback(AffineMap(lift, np.zeros(k))), len(coordinates)
            planes = _Hyperplanes.of(k, GraphRows(net, matrix, offset).drawn_hyperplanes())
        floats = np.array([rounded_row(row) for row in planes.rows]).reshape(-1, k + 1)
        scale = exact_scale(_balance(np.vstack([np.column_stack([domain.A, domain.b]), floats])), matrix)
        matrix = matrix * scale
        if planes.rows:
            planes = _Hyperplanes.of(k, GraphRows(net, matrix, offset).drawn_hyperplanes())
        cells, splitter, exact = _first_cells(net, planes, domain, scale)
        return cls(scale, lift, matrix, offset, exact, cells, splitter)

    def exact_row(self, owner: int) -> Row:
        """Return the exact row of the facet at infinity, or of one of the domain."""
        return _exact_row(self.exact_domain, owner)


def _exact_row(exact_domain: flint.fmpq_mat, owner: int) -> Row:
    import flint

    D = exact_domain.ncols()
    if owner == INFINITY:
        return [flint.fmpz(0)] * (D - 1) + [flint.fmpz(1)]
    return integer_row([exact_domain[int(domain_owner(owner)), c] for c in range(D)])


def has_start(net: Network, along: AffineMap | None) -> bool:
    """Tell whether hyperplanes of the first gates separate all directions of a whole space that matter."""
    matrix = np.eye(net.dim_in) if along is None else along.matrix
    rows = GraphRows(net, matrix, np.zeros(net.dim_in) if along is None else along.offset)
    if not rows.is_feasible:
        return True  # which `Start.find` refuses
    drawn = _pivots([row[:-1] for _, _, row in rows.drawn_hyperplanes()])
    return len(drawn) == len(_pivots(rows.first_normals()))


def _coordinates(net: Network, matrix: np.ndarray, offset: np.ndarray, domain: Polyhedron) -> list[int]:
    """Return slice coordinates such that nothing depends on the others once these are given.

    Raises
    ------
    InputError
        If rows drawn before any gate is passed do not separate all that matters, or if they are out of reach.
    """
    rows = GraphRows(net, matrix, offset)
    if net.gates and not rows.is_feasible:
        raise InputError(
            "The domain holds whole lines, and the network is too large for the rational arithmetic that finds "
            "cells to begin with there. Give a bounded domain."
        )
    known, _ = domain.exact_rows(np.arange(domain.n_rows))
    drawn = _pivots([*known.table(), *(row[:-1] for _, _, row in rows.drawn_hyperplanes())])
    read = _pivots([*known.table(), *rows.first_normals()])
    if len(drawn) < len(read):
        raise InputError(
            f"Rows of the domain and boundaries of the first gates have normals of rank {len(drawn)}, but gates "
            f"of this graph read {len(read)} directions: there are no cells with vertices to begin with. Give a "
            "bounded domain, or none and store='regions'."
        )
    return drawn


def _pivots(normals: list[list[object]]) -> list[int]:
    """Return the pivot columns of exact normals."""
    import flint

    if not normals:
        return []
    echelon, rank_ = flint.fmpq_mat(len(normals), len(normals[0]), [v for row in normals for v in row]).rref()
    return list(pivot_columns(echelon, rank_))


def _first_cells(
    net: Network, planes: _Hyperplanes, domain: Polyhedron, scale: np.ndarray
) -> tuple[CellBatch, Splitter, flint.fmpq_mat]:
    """Return the cells of hyperplanes that make up a frame, what cut them, and the exact rows of the domain."""
    k = planes.dim
    inner, errors, exact = inner_rows(domain, scale)
    if k == 0:
        return _point(net), Splitter((0,), _unknown, ROOM), exact
    frame = find_frame(planes, inner, exact)
    cones = start_cones(planes, frame, exact)
    parts = _cone_rows(planes, inner, errors, exact, frame)
    batch = CellBatch.joined([_cell(net, cone, parts, 1.0 / len(cones)) for cone in cones])
    by_name = dict(zip(parts.names, parts.exact, strict=True))

    def resolve(owner: int, key: int, row: np.ndarray, error: float, letters: np.ndarray) -> Row | None:
        return _exact_row(exact, owner) if owner < 0 else by_name[owner, key]

    splitter = Splitter((0,) * (k + 1), resolve, ROOM)
    rest = np.setdiff1d(np.arange(len(inner)), frame.domain_rows)
    cells = _cut(splitter, batch, inner[rest], errors[rest], domain_owner(rest)) if len(rest) else batch
    return cells, splitter, exact


def _balance(rows: np.ndarray) -> np.ndarray:
    """Return powers of two that bring the slopes of every coordinate to the size of the offsets (to 1 without)."""
    slopes = np.abs(rows[:, :-1]).max(axis=0, initial=0.0)
    offsets = np.abs(rows[rows[:, -1] != 0, -1])
    size = np.median(offsets) if len(offsets) else 1.0
    with np.errstate(divide="ignore"):
        wanted = np.where(slopes > 0, np.round(np.log2(size) - np.log2(slopes)), 0.0)
    return 2.0 ** np.clip(wanted, -FARTHEST, FARTHEST)


@dataclass(frozen=True, eq=False)
class _ConeRows:
    """The rows of start cones, of the domain, of units, at infinity: floats with bounds, names, exactly."""

    row: np.ndarray
    error: np.ndarray
    names: tuple[tuple[int, int], ...]
    exact: tuple[Row, ...]


def _cone_rows(
    planes: _Hyperplanes, inner: np.ndarray, errors: np.ndarray, exact_domain: flint.fmpq_mat, frame: Frame
) -> _ConeRows:
    k = planes.dim
    names = [(int(domain_owner(i)), 0) for i in frame.domain_rows]
    exact = [_exact_row(exact_domain, owner) for owner, _ in names]
    rows = [*inner[list(frame.domain_rows)]]
    bounds = [*errors[list(frame.domain_rows)]]
    for i in frame.units:
        names.append(planes.named[i])
        exact.append(planes.rows[i])
        rows.append(rounded_row(exact[-1]))
        bounds.append((k + 1) * U)
    names.append((INFINITY, 0))
    exact.append(_exact_row(exact_domain, INFINITY))
    rows.append(np.append(np.zeros(k), 1.0))
    bounds.append(0.0)
    return _ConeRows(np.array(rows), np.array(bounds), tuple(names), tuple(exact))


def _cell(net: Network, cone: StartCone, parts: _ConeRows, share: float) -> CellBatch:
    """Return a start cone as a cell."""
    D = len(parts.row)
    order, facets = np.arange(D), np.arange(D)
    mask = ((1 << D) - 1) ^ (1 << order)
    if D == 3:
        order = np.array([0, 1, 2] if cone.is_positive else [0, 2, 1])
        facets = np.roll(order, -2)  # the edge from ray a to ray b lies on the third row
        mask = np.zeros(D)
    names = np.array(parts.names)[facets]
    negative = np.zeros(D, dtype=np.int64)
    negative[D - 1 - len(cone.signs) : D - 1] = np.array(cone.signs, dtype=np.int64) < 0
    rows = parts.row[facets]
    exactly = []
    for i, ray in enumerate(cone.rays):
        point = integer_row([rational(float(v)) for v in ray])
        exactly.append(all(dot(row, point) == 0 for j, row in enumerate(parts.exact) if j != i))
    return CellBatch(
        starts_of(np.array([D])),
        cone.rays[order],
        np.where(np.array(exactly), 0.0, 2.0 * U)[order],
        mask.astype(np.int64),
        starts_of(np.array([D])),
        np.column_stack([rows, sizes_of(rows), parts.error[facets]]),
        names[:, 0].astype(np.int64),
        names[:, 1].astype(np.int64),
        np.array([_plane(net, int(owner), int(key)) for owner, key in names]),
        negative[facets],
        np.zeros(D, dtype=bool),
        np.zeros(1, dtype=bool),
        np.zeros((1, 0), dtype=net.letter_dtype),
        np.array([share]),
        np.zeros(1, dtype=np.int64),
    )


def _plane(net: Network, owner: int, key: int) -> int:
    """Return the name of a start facet's hyperplane, 0 for those that no elementwise unit draws."""
    gate = net.gates[int(net.units.gate_of(owner))] if owner >= 0 else None
    if not isinstance(gate, Elementwise):
        return 0
    return int(unit_plane(gate, np.array([owner - gate.first_column]), np.array([key]))[0])


def _point(net: Network) -> CellBatch:
    """Return the space without coordinates as a cell."""
    nothing = np.zeros(0, dtype=np.int64)
    return CellBatch(
        starts_of(np.array([1])), np.ones((1, 1)), np.zeros(1), np.zeros(1, dtype=np.int64),
        starts_of(np.array([0])), np.zeros((0, 3)), nothing, nothing, nothing, nothing, nothing.astype(bool),
        np.zeros(1, dtype=bool), np.zeros((1, 0), dtype=net.letter_dtype), np.ones(1),
        np.zeros(1, dtype=np.int64),
    )  # fmt: skip


def _unknown(owner: int, key: int, row: np.ndarray, error: float, letters: np.ndarray) -> None:
    """Know no exact row (`Resolver`)."""


def _cut(
    splitter: Splitter, cells: CellBatch, rows: np.ndarray, errors: np.ndarray, owners: np.ndarray
) -> CellBatch:
    """Return what rows of the domain leave of cells."""
    n, m = len(cells), len(rows)
    tasks = Rows(
        np.arange(n),
        np.arange(n + 1) * m,
        np.zeros(n, dtype=np.int64),
        np.tile(np.column_stack([rows, errors]), (n, 1)),
        np.tile(owners, n),
        np.zeros(n * m, dtype=np.int64),
        np.zeros(n * m, dtype=np.int64),
    )
    splitter.begin(cells, tasks, cells.share)
    found = []
    while splitter.is_busy:
        found.append(splitter.go_on()[0])
    return CellBatch.joined(found)
