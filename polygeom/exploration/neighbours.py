"""The cells on the other side of a cell's facets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from polygeom.affine import AffineMap
from polygeom.arrays import as_index, freeze
from polygeom.certificates.check import nearest_floats
from polygeom.certificates.facets import FacetReport
from polygeom.codes import SplineCodes
from polygeom.errors import InputError, UndecidedError
from polygeom.exploration.crossings import Walls, crossings
from polygeom.network import Network, as_network
from polygeom.pieces import AffinePiece, piece_with_code
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.facets import facets
from polygeom.predicates.feasibility import feasibility

__all__ = ["Neighbour", "Neighbours", "inner_point", "neighbours", "neighbours_from"]


@dataclass(frozen=True, eq=False)
class Neighbour:
    """A cell that shares a facet with another one.

    Attributes
    ----------
    network : Network
    along : AffineMap or None
        The slice both cells are in.
    row : int
        The facet, by row of the other cell's polyhedron.
    code : (n_units,) array
        The letters of this cell.
    units : array of int
        The columns in which the two codes differ. They can include units that draw no row of either cell.
    point, direction : (k,) arrays
        A point near the relative interior of the facet, and a direction from there into this cell, in floats.
    """

    network: Network
    along: AffineMap | None
    row: int
    code: np.ndarray
    units: np.ndarray
    point: np.ndarray
    direction: np.ndarray

    def __repr__(self) -> str:
        return f"Neighbour(across row {self.row}, where units {self.units.tolist()} flip)"

    @cached_property
    def interior(self) -> np.ndarray:
        """A point strictly inside this cell, in floats, or in Fractions where no float was proved to be inside.

        Cost: one product with the rows of the cell; one linear program where that finds none.
        """
        cell = piece_with_code(self.network, self.code, self.point, self.along)
        return inner_point(cell, self.point, self.direction)

    @cached_property
    def piece(self) -> AffinePiece:
        """The affine piece of this cell; its witness is `interior`, rounded if that is in Fractions."""
        witness = freeze(nearest_floats(self.interior))
        return piece_with_code(self.network, self.code, witness, self.along)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The neighbours of a piece, one a facet, in the order of its rows: ``len``, an index, a loop.

    Attributes
    ----------
    piece : AffinePiece
    walls : Walls
        The rows of the piece, each half-space once as far as the network's structure tells.
    report : FacetReport
        The facets of ``walls.polyhedron``, with their certificates.
    codes : SplineCodes
        The letters of the neighbours.
    rows : (F,) array of int
        The row of the piece's polyhedron that is crossed to each neighbour; of coincident rows the lowest.
    points, directions : (F, k) arrays
        See `Neighbour`.
    undecided : array of int
        Rows that may be facets, or are facets across which a letter could not be decided.
    """

    piece: AffinePiece
    walls: Walls = field(repr=False)
    report: FacetReport = field(repr=False)
    codes: SplineCodes
    rows: np.ndarray
    points: np.ndarray
    directions: np.ndarray
    undecided: np.ndarray

    def __repr__(self) -> str:
        return f"Neighbours({len(self)} of {self.piece}, {len(self.undecided)} rows undecided)"

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Neighbour]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> Neighbour:
        i = as_index(i, len(self), "neighbour")
        code, row = self.codes[i], int(self.rows[i])
        at = {"point": self.points[i], "direction": self.directions[i]}
        return Neighbour(self.piece.network, self.piece.along, row, code, self.units[i], **at)

    @property
    def facets(self) -> np.ndarray:
        """All rows of the piece's polyhedron that are facets, whether the code across is decided or not."""
        return self.walls.kept[self.report.facets]

    @cached_property
    def units(self) -> tuple[np.ndarray, ...]:
        """For each neighbour the columns in which its code differs from the piece's."""
        return tuple(np.flatnonzero(code != self.piece.code) for code in self.codes.letters)


def neighbours(net: Network, piece: AffinePiece) -> Neighbours:
    """Return the cells across all facets of a piece, found by the exact lexicographic rule.

    Parameters
    ----------
    net : Network
    piece : AffinePiece
        Full-dimensional; in the coordinates of the input space or of a slice (`piece_at` with `along`).

    Returns
    -------
    Neighbours
        `undecided` is empty wherever the network is small enough for rationals.

    Raises
    ------
    InputError
        If the piece is of a network with other steps or parameters, or its cell is lower-dimensional.
    UndecidedError
        If letters of the piece itself are undecided, or no interior point could be proved.
    TooLargeError
        If the piece is too large to be materialized.

    Notes
    -----
    Cost: that of `facets`, and four forward passes a facet; nothing more where just the last gate's units draw
    facets, as in networks of one layer. Source: the letters follow from one-sided derivatives, see
    `polygeom.exploration.crossings`.

    Examples
    --------
    >>> from polygeom.pieces import piece_at
    >>> net = Network.from_layers([([[1, 0], [1, 0], [0, 1]], [0, 0, 0]), ([[1, 1, 1]], [0])])
    >>> found = neighbours(net, piece_at(net, [1, 1]))
    >>> [neighbour.units.tolist() for neighbour in found]
    [[0, 1], [2]]
    >>> found[1].piece.code, found.undecided
    (array([1, 1, 0], dtype=uint8), array([], dtype=int64))
    """
    if not isinstance(piece, AffinePiece):
        raise InputError(
            f"neighbours got a {type(piece).__name__}, wanted the AffinePiece that piece_at returns."
        )
    if not as_network(net).is_same(piece.network):
        raise InputError(
            f"The piece belongs to another network, {piece.network}, than the one given, {net}: their steps or "
            "parameters differ. Likely cause: the network was trained on in between; pass piece.network."
        )
    return neighbours_from(piece, inner_point(piece, piece.witness))


def neighbours_from(piece: AffinePiece, interior: np.ndarray) -> Neighbours:
    """Return the neighbours of a piece one interior point of which is known."""
    walls = Walls.of(piece)
    report = facets(walls.polyhedron, interior=interior)
    found, rows = crossings(walls, report), walls.kept[report.facets]
    known = ~found.undecided
    undecided = np.union1d(walls.kept[report.undecided], rows[found.undecided])
    codes, points, directions = found.letters[known], found.points[known], found.directions[known]
    return Neighbours(piece, walls, report, SplineCodes(codes), rows[known], points, directions, undecided)


def inner_point(piece: AffinePiece, point: np.ndarray, direction: np.ndarray | None = None) -> np.ndarray:
    """Return a point strictly inside a cell: half-way through it from a point in a direction, or any other.

    Parameters
    ----------
    piece : AffinePiece
    point : (k,) array
    direction : (k,) array, optional
        None: the point itself is tried.

    Returns
    -------
    (k,) array
        Floats; Fractions where no point of floats was proved to be inside.

    Raises
    ------
    InputError
        If the cell is empty or lower-dimensional.
    UndecidedError
        If neither was decided, or the piece's letters are undecided.
    """
    if len(piece.undecided):
        raise UndecidedError(
            f"{len(piece.undecided)} letters of the piece are within the rounding error of a boundary, the first "
            f"of unit {int(piece.undecided[0])}, and the network is too large for rational arithmetic. Remedy: "
            "move the point off the boundary."
        )
    P = piece.polyhedron
    guess = point if direction is None else _halfway(P, point, direction)
    if np.isfinite(guess).all():
        slack, error = P.slack_enclosure(guess[None])
        if (slack > error).all():
            return guess
    found = feasibility(P)
    if found.interior is not None:
        return found.interior
    if found.feasible is None or found.dim is None:
        raise UndecidedError(
            "No interior point of the cell was proved or excluded: its rows are too uncertain."
        )
    raise InputError(
        f"The cell has dimension {max(found.dim, 0)} in R^{P.dim}: neighbours are defined for full-dimensional "
        "cells. Likely cause: the point lies on a boundary. Remedy: piece_at(..., toward=direction) gives the "
        "full-dimensional cell in a direction."
    )


def _halfway(P: Polyhedron, point: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return the middle of the way through P from a point in a direction, one direction long if it never ends."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        slack, rate = P.b - P.A @ point, P.A @ direction
        times = slack / rate
        enters = np.max(times, initial=0.0, where=rate < 0)
        leaves = np.min(times, initial=np.inf, where=rate > 0)
        return point + (enters + 0.5 * min(leaves - enters, 2.0)) * direction
