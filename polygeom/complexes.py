"""All regions of a network, how they hang together, and what can be asked of the whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import freeze
from polygeom.certificates.boundedness import RecessionCone
from polygeom.complex_adjacency import Adjacency, find_adjacency
from polygeom.complex_cells import Cells
from polygeom.complex_faces import distinct_vertices, face_counts
from polygeom.complex_geometry import (
    bounded_cells,
    cell_volumes,
    exact_generators,
    linear_labels,
    recession_cone_of,
)
from polygeom.complex_io import read_complex, write_complex
from polygeom.enumeration.arrays import Exactness
from polygeom.errors import InputError
from polygeom.network import Network

if TYPE_CHECKING:
    import networkx
    import scipy.sparse

__all__ = ["PolyhedralComplex"]


@dataclass(frozen=True, eq=False, repr=False)
class PolyhedralComplex(Cells):
    """The full-dimensional cells of a network in R^k, over a domain or a slice; made by `enumerate_regions`.

    Regions are numbered 0 to N - 1. Arrays are read-only; what is not stored is computed when first asked for.

    Attributes
    ----------
    network : Network
    along : AffineMap or None
        The slice whose coordinates everything is in; None for the input space.
    domain : Polyhedron or None
        None for all of R^k.
    arrays : RegionArrays
        What the enumeration found, as flat arrays.
    exactness : Exactness
        How many signs were decided by floats beyond rounding, by structure, in rationals; and not at all.
    finished : bool
        False if a budget or the user stopped the enumeration: regions are missing. See `complete`.
    frontier : object
        What the enumeration needs to go on where it stopped (``resume=``); not stored by `save`.

    See Also
    --------
    polygeom.check_complex : re-checks everything, independently.

    Examples
    --------
    >>> from polygeom.enumeration.arrays import RegionArrays
    >>> net = Network.from_layers([([[1, 0], [0, 1]], [0, 0]), ([[1, 1]], [0])])
    >>> quadrants = RegionArrays(
    ...     packed=np.packbits(np.array([[1, 1], [0, 1], [0, 0], [1, 0]], dtype=bool), axis=1),
    ...     witnesses=np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]]),
    ... )
    >>> K = PolyhedralComplex(net, None, None, quadrants)
    >>> K.edges
    array([[0, 1],
           [0, 3],
           [1, 2],
           [2, 3]], dtype=int32)
    >>> K.locate([0, 0]), K.n_bounded
    (array([0, 1, 2, 3]), 0)
    """

    exactness: Exactness = field(default_factory=Exactness)
    finished: bool = True
    frontier: object = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.domain is not None and self.domain.dim != self.dim:
            raise InputError(
                f"The domain lives in R^{self.domain.dim}, the regions in R^{self.dim}. Likely cause: with a "
                "slice the domain is in slice coordinates."
            )

    def __repr__(self) -> str:
        where = (
            f"R^{self.dim}"
            if self.domain is None
            else f"a domain of {_counted(self.domain.n_rows, 'row')} in R^{self.dim}"
        )
        story = [f"{_counted(self.n_regions, 'region')} of {where}"]
        if self.along is not None:
            story[0] += f", a slice of R^{self.along.dim_out}"
        if self.arrays.bounded is not None:
            story.append(f"{self.n_bounded} bounded")
        if self.arrays.facet_units is not None:
            story.append(_counted(len(self.arrays.facet_units), "facet side"))
        how = self.exactness
        story.append(
            f"signs: {how.floats} by floats, {how.structure} by structure, {how.rationals} by rationals"
        )
        if how.undecided:
            touched = _counted(len(np.unique(self.undecided[:, 0])), "region")
            story.append(f"{how.undecided} undecided, in {touched}: not proved complete")
        else:
            story.append("none undecided")
        if not self.finished:
            story.append("interrupted: regions are missing")
        elif self.complete:
            story.append("complete")
        return f"PolyhedralComplex({'; '.join(story)})"

    @property
    def complete(self) -> bool:
        """Whether these are all regions, proved: the enumeration was finished, and no sign is undecided."""
        return self.finished and not self.exactness.undecided

    @property
    def undecided(self) -> np.ndarray:
        """Signs that nothing decided, (U, 2), sorted: region, and unit (-1 for the domain's boundary or infinity).

        They were taken as zero, so the regions listed here may be cut wrongly, or miss a neighbor. Empty wherever
        the network is small enough for rationals.
        """
        pairs = self.arrays.undecided
        return freeze(np.empty((0, 2), dtype=np.int64)) if pairs is None else pairs

    # -- regions -------------------------------------------------------------------------------------------

    @property
    def n_regions(self) -> int:
        """Number N of regions: full-dimensional cells with distinct codes."""
        return len(self.arrays)

    @property
    def witnesses(self) -> np.ndarray:
        """A point inside every region, (N, k); see ``arrays.exact_witnesses`` for cells without inner floats."""
        return self.arrays.witnesses

    @cached_property
    def bounded(self) -> np.ndarray:
        """Which regions are bounded, (N,). Cost: some milliseconds a region where the enumeration did not see it.

        Raises
        ------
        UndecidedError
            If one could not be proved.
        """
        return bounded_cells(self)

    @property
    def n_bounded(self) -> int:
        """Number of bounded regions; see `bounded`."""
        return int(np.count_nonzero(self.bounded))

    # -- the dual graph --------------------------------------------------------------------------------------

    @cached_property
    def _found(self) -> Adjacency:
        return find_adjacency(self, self.finished)

    @property
    def adjacency(self) -> scipy.sparse.csr_array:
        """Which regions share a facet: (N, N) bool CSR, symmetric.

        Cost: half a second for a million facets that are listed; see `polygeom.complex_adjacency` for tied facets
        and cells whose facets the enumeration did not see.
        """
        return self._found.matrix

    @property
    def missing_neighbors(self) -> np.ndarray:
        """Facets that lead to no listed region, (M, 2): region, and a unit that draws the facet.

        Empty for a complete complex; the frontier of an interrupted one, as far as facets are known.
        """
        return self._found.missing

    @cached_property
    def n_facets(self) -> np.ndarray:
        """Number of facets (N,) of every region, without those of the domain and at infinity."""
        if self.arrays.facet_start is not None:
            return freeze(np.diff(self.arrays.facet_start))
        leaving = np.bincount(self.missing_neighbors[:, 0], minlength=self.n_regions)
        return freeze(np.diff(self.adjacency.indptr) + leaving)

    @cached_property
    def edges(self) -> np.ndarray:
        """The pairs i < j of regions that share a facet, (E, 2), sorted."""
        matrix = self.adjacency
        first = np.repeat(np.arange(self.n_regions, dtype=matrix.indices.dtype), np.diff(matrix.indptr))
        once = first < matrix.indices
        return freeze(np.column_stack([first[once], matrix.indices[once]]))

    @cached_property
    def edge_units(self) -> scipy.sparse.csr_array:
        """The columns in which the codes of an edge's regions differ: (E, n_units) bool CSR.

        ``indices[indptr[e]:indptr[e + 1]]`` are those of edge e, units without a row on one side among them.
        """
        import scipy.sparse

        from polygeom.kernels.region_table import differing_units

        packed = self.arrays.packed if self.has_bits else self.unpack(self.arrays.packed)
        starts, units = differing_units(packed, self.edges, self.has_bits)
        shape = (len(self.edges), self.network.n_units)
        return scipy.sparse.csr_array((np.ones(len(units), dtype=bool), units, starts), shape=shape)

    @cached_property
    def graph(self) -> networkx.Graph:
        """The dual graph; every edge carries ``units``, the columns in which the codes differ.

        Cost: 4 us an edge; prefer `adjacency`, `edges` and `edge_units` beyond a million.
        """
        import networkx

        graph = networkx.Graph()
        graph.add_nodes_from(range(self.n_regions))
        starts, units = self.edge_units.indptr.tolist(), self.edge_units.indices.tolist()
        graph.add_edges_from(
            (i, j, {"units": tuple(units[start:stop])})
            for (i, j), start, stop in zip(self.edges.tolist(), starts[:-1], starts[1:], strict=True)
        )
        return graph

    # -- geometry --------------------------------------------------------------------------------------------

    def vertices(self, region: int) -> np.ndarray:
        """Return the vertices (n, k) of one region, rounded; none where it contains a line.

        As stored (``store="cells"``, in the plane in order around the region), else from the exact double
        description: some milliseconds. ``polygeom.vertices(K.polyhedron(i))`` gives them in rationals.

        Raises
        ------
        TooLargeError
            If they were not stored, and the dimension is too high for the double description.
        """
        return self._generators(region)[0]

    def rays(self, region: int) -> np.ndarray:
        """Return directions (n, k) whose non-negative combinations are the recession cone of a region, rounded.

        The extreme rays, stored or found as in `vertices`; where the region contains lines, these in both
        directions too. Their length means nothing. None for bounded regions. `recession_cone` is exact.

        Raises
        ------
        TooLargeError
            If they were not stored, and the dimension is too high for the double description.
        """
        return self._generators(region)[1]

    def _generators(self, region: int) -> tuple[np.ndarray, np.ndarray]:
        """Return vertices and rays of a region, rounded."""
        region = self.index(region)
        if self.arrays.vertices is None:
            return exact_generators(self, region)
        start, stop = self.arrays.vertex_start[region : region + 2]
        stored = self.arrays.vertices[start:stop]
        finite = stored[:, -1] != 0
        return stored[finite, :-1] / stored[finite, -1:], stored[~finite, :-1]

    def recession_cone(self, region: int) -> RecessionCone:
        """Return the recession cone of a region, with its certificate, whatever was stored and in any dimension.

        Returns
        -------
        RecessionCone
            Dimension (0 if and only if the region is bounded), a relative interior direction, implicit equalities,
            lines; ``cone.holds(K.polyhedron(region))`` re-verifies it.

        Raises
        ------
        UndecidedError
            If the rows are rounded, their network is too large for rationals, and the cone depends on it.

        Notes
        -----
        Where rays are stored, their sum is tried first: if no row vanishes on it, the cone is full-dimensional.
        Cost: a millisecond on small networks; that of `polygeom.recession_cone` where this does not decide.

        Examples
        --------
        >>> from polygeom import enumerate_regions
        >>> net = Network.from_layers([([[1, 0], [0, 1], [1, 1]], [0, 0, -1]), ([[1, 1, 1]], [0])])
        >>> K = enumerate_regions(net, store="cells")
        >>> triangle, corner = K.locate([0.25, 0.25])[0], K.locate([-1, -1])[0]
        >>> K.recession_cone(triangle).dim, K.recession_cone(corner).dim
        (0, 2)
        >>> K.recession_cone(corner).holds(K.polyhedron(corner)).holds
        True
        """
        return recession_cone_of(self, self.index(region))

    @cached_property
    def f_vector(self) -> tuple[int, ...]:
        """Numbers of faces of dimension 0 to k, exactly; those on the domain's boundary included.

        A face of the complex is a face of its cells. Cost: see `count_faces`.
        """
        return face_counts(self)

    def count_faces(self, progress: bool = False) -> tuple[int, ...]:
        """Return the `f_vector`, with a bar if wanted.

        Cost: 20 to 100 us a region with ``store="cells"``, where every vertex lies on as many facets as there
        are dimensions and no two units share a facet, and some milliseconds for each region on the boundary of the
        domain; elsewhere some milliseconds a region.
        """
        if "f_vector" not in vars(self):
            vars(self)["f_vector"] = face_counts(self, progress)
        return self.f_vector

    @property
    def euler_characteristic(self) -> int:
        """Alternating sum of the f-vector: 1 for a bounded domain, (-1)^k for all of R^k."""
        return sum((-1) ** dim * count for dim, count in enumerate(self.f_vector))

    def distinct_vertices(self) -> np.ndarray:
        """Return all vertices (f_0, k) of the complex, in Fractions. Cost: some milliseconds a region."""
        return distinct_vertices(self)

    def volumes(self, exact: bool = False) -> np.ndarray:
        """Return the volumes (N,) of all regions, infinity where unbounded.

        Parameters
        ----------
        exact : bool
            Whether to compute in rationals: an object array of Fractions. Cost: some 10 ms a region.
        """
        return cell_volumes(self, exact)

    def linear_regions(self) -> np.ndarray:
        """Return the linear region (N,) each region belongs to, numbered from 0.

        Regions that share a facet and have exactly the same affine map belong to one.

        Raises
        ------
        UndecidedError
            If two maps could not be told apart, and the network is too large for rational arithmetic.

        Notes
        -----
        Cost: a backward pass a region; two forward passes for each edge where that does not decide; a millisecond
        for each region whose map is compared in rationals.
        """
        return linear_labels(self, self.edges)

    # -- files -----------------------------------------------------------------------------------------------

    def save(self, path: str | PathLike) -> None:
        """Write the complex to one npz file, without the network and the frontier.

        The frontier of an unfinished enumeration is the stack of a compiled search, which follows its numbers
        unchecked: none that come from a file. So a complex that was loaded cannot be resumed.

        Raises
        ------
        InputError
            If the domain has rounded rows.
        """
        write_complex(path, vars(self))

    @classmethod
    def load(cls, path: str | PathLike, network: Network) -> PolyhedralComplex:
        """Read what `save` wrote; the network must have the parameters the complex was made with.

        Raises
        ------
        InputError
            If the file is no stored complex, of another version, or of another network.
        """
        return cls(**read_complex(path, network))


def _counted(number: int, noun: str) -> str:
    """Return a number of things in words: 1 row, 2 rows."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
