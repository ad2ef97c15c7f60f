"""What an exploration has found so far: regions, how they hang together, and where it would go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from polygeom.affine import AffineMap
from polygeom.arrays import as_array, as_index, freeze
from polygeom.codes import SplineCodes
from polygeom.enumeration.arrays import RegionArrays
from polygeom.errors import UndecidedError
from polygeom.gates import MaxGate
from polygeom.network import Network
from polygeom.pieces import AffinePiece, piece_at, piece_with_code

if TYPE_CHECKING:
    import networkx as nx
    from scipy.sparse import csr_array

__all__ = ["Exploration", "Frontier", "packed_codes"]


@dataclass(frozen=True, eq=False)
class Frontier:
    """Regions that were seen across a facet, but whose own facets are not known yet.

    Attributes
    ----------
    codes : SplineCodes
        The letters, (M, n_units).
    points, directions : (M, k) arrays
        A point near a facet that leads to each region, and a direction into it.
    priorities : (M,) array
        The least is explored first.
    """

    codes: SplineCodes
    points: np.ndarray
    directions: np.ndarray
    priorities: np.ndarray

    def __len__(self) -> int:
        return len(self.priorities)


@dataclass(frozen=True, eq=False)
class Exploration:
    """The regions around a point, in the order in which they were explored.

    Region i is *explored*: its facets, and the codes across all of them, are known. Regions of the frontier were
    only seen from a neighbour; in `edges` they are numbered on from `n_regions`.

    Attributes
    ----------
    network : Network
    along : AffineMap or None
        The slice that everything is in; None for the input space.
    start : (k,) array
        The point it began at.
    order : str
        "distance" or "breadth" (`explore`).
    arrays : RegionArrays
        Packed codes, interior points and facets of the regions.
    frontier : Frontier
    edges : (E, 2) array
        Pairs of regions (explored or of the frontier) that share a facet, smaller number first, sorted.
    undecided : (U, 2) array
        Region and unit of rows that could not be decided: they may lead to regions that are missing.
    stopped_by : str or None
        "regions", "seconds", "bytes" (the budget), "interrupt" (Ctrl-C); None if nothing decidable was left.
    """

    network: Network
    along: AffineMap | None
    start: np.ndarray
    order: str
    arrays: RegionArrays = field(repr=False)
    frontier: Frontier = field(repr=False)
    edges: np.ndarray = field(repr=False)
    undecided: np.ndarray = field(repr=False)
    stopped_by: str | None

    def __repr__(self) -> str:
        why = f", stopped by {self.stopped_by}" if self.stopped_by else ""
        open_rows = f", {len(self.undecided)} rows undecided" if len(self.undecided) else ""
        state = (
            "complete" if self.complete else f"{len(self.frontier)} regions in the frontier{open_rows}{why}"
        )
        return f"Exploration({self.n_regions} regions, {len(self._inner_edges)} edges, {state}, of {self.network})"

    def __len__(self) -> int:
        return self.n_regions

    @property
    def n_regions(self) -> int:
        """Number of regions explored."""
        return len(self.arrays)

    @property
    def complete(self) -> bool:
        """Whether these are all regions of the network (of the slice): nothing is left to explore or to decide."""
        return not len(self.frontier) and not len(self.undecided)

    @cached_property
    def codes(self) -> SplineCodes:
        """The letters of the regions, (n_regions, n_units)."""
        return SplineCodes(_unpacked(self.arrays.packed, self.network))

    @property
    def witnesses(self) -> np.ndarray:
        """A point strictly inside every region, (n_regions, k); rounded where `arrays.exact_witnesses` has it."""
        return self.arrays.witnesses

    @property
    def n_facets(self) -> np.ndarray:
        """Number of facets of every region, (n_regions,)."""
        return np.diff(self.arrays.facet_start)

    @property
    def _inner_edges(self) -> np.ndarray:
        return self.edges[(self.edges < self.n_regions).all(axis=1)]

    @cached_property
    def adjacency(self) -> csr_array:
        """Which explored regions share a facet: a symmetric (n_regions, n_regions) CSR array of ones."""
        from scipy.sparse import csr_array

        i, j = self._inner_edges.T
        ends = np.concatenate([i, j]), np.concatenate([j, i])
        return csr_array((np.ones(2 * len(i), dtype=np.int8), ends), shape=(self.n_regions, self.n_regions))

    @cached_property
    def graph(self) -> nx.Graph:
        """The dual graph of the explored regions; edges carry `units`, the columns in which the codes differ."""
        import networkx as nx

        graph = nx.Graph()
        graph.add_nodes_from(range(self.n_regions))
        letters = self.codes.letters
        graph.add_edges_from(
            (i, j, {"units": tuple(np.flatnonzero(letters[i] != letters[j]).tolist())})
            for i, j in self._inner_edges.tolist()
        )
        return graph

    def piece(self, i: int) -> AffinePiece:
        """Return the affine piece of region i, at its interior point.

        Raises
        ------
        InputError
            If there is no such region.
        """
        i = as_index(i, self.n_regions, "region")
        witness = freeze(self.witnesses[i].copy())
        return piece_with_code(self.network, self.codes.letters[i].copy(), witness, self.along)

    def locate(self, x: object) -> np.ndarray:
        """Return the explored regions whose closed cell contains a point: several on a common boundary.

        Parameters
        ----------
        x : array
            A point of the input space, or of the slice.

        Notes
        -----
        Cost: one forward pass, and one product for every region that agrees with x wherever x is off boundaries.
        A unit whose breakpoints the point is surely off has the same letter in all cells around it.

        Raises
        ------
        UndecidedError
            If the point is within rounding distance of a boundary of a network too large for rationals.
        """
        piece = piece_at(self.network, as_array(x, "x").ravel(), self.along)
        if len(piece.undecided):
            raise UndecidedError(
                f"The letter of unit {int(piece.undecided[0])} at this point is within its rounding error of a "
                "boundary, and the network is too large for rational arithmetic. Remedy: move the point."
            )
        slack, error = (a[0] for a in piece.slacks(piece.witness))
        close = ~(slack > error)
        if not close.any():
            return np.flatnonzero((self.codes.letters == piece.code).all(axis=1))
        firm = np.zeros(self.network.n_units, dtype=bool)
        firm[piece.units] = True
        firm[piece.units[close]] = False
        for gate in self.network.gates:
            if isinstance(gate, MaxGate):  # equal entries that draw no row of this cell may draw one nearby
                firm[gate.columns] = False
        agree = np.flatnonzero((self.codes.letters[:, firm] == piece.code[firm]).all(axis=1))
        inside = [self.piece(int(i)).polyhedron.contains(piece.witness) for i in agree]
        return agree[np.array(inside, dtype=bool)]


def _unpacked(packed: np.ndarray, net: Network) -> np.ndarray:
    """Return the letters (N, n_units) of codes packed by `packed_codes`."""
    if all(gate.n_letters <= 2 for gate in net.gates):
        return np.unpackbits(packed, axis=1, count=net.n_units).astype(net.letter_dtype)
    return np.ascontiguousarray(packed).view(net.letter_dtype)


def packed_codes(letters: np.ndarray, net: Network) -> np.ndarray:
    """Return codes in the fewest bytes that the network's gates allow, whatever letters occur."""
    if all(gate.n_letters <= 2 for gate in net.gates):
        return np.packbits(letters.astype(bool), axis=1)
    return np.ascontiguousarray(letters).view(np.uint8)
