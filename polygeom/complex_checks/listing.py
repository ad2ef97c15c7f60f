r"""A complex under suspicion: its codes made searchable, exact letters anywhere, the piece of any code.

Nothing is read from the enumeration but what it claims. Letters come from a forward pass with running error
bounds, ties from rationals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from polygeom.affine import AffineMap
from polygeom.certificates.feasibility import zero_rows
from polygeom.enclosures import EnclosedPass, enclose_pass
from polygeom.exact import rational_matrix
from polygeom.gates import Elementwise
from polygeom.network import Network
from polygeom.pieces import AffinePiece, piece_with_code, points_at_once
from polygeom.polyhedron import Polyhedron

if TYPE_CHECKING:
    import flint
    from scipy.sparse import csr_array

    from polygeom.complexes import PolyhedralComplex

__all__ = ["Listing"]


@dataclass(frozen=True, eq=False)
class Listing:
    """The regions that a complex lists."""

    claimed: PolyhedralComplex

    @property
    def network(self) -> Network:
        """The network."""
        return self.claimed.network

    @property
    def along(self) -> AffineMap | None:
        """The slice, or None for the input space."""
        return self.claimed.along

    @cached_property
    def domain(self) -> Polyhedron | None:
        """The domain without rows that have no normal, or None for the whole slice."""
        domain = self.claimed.domain
        return None if domain is None else domain.select(~zero_rows(domain, np.arange(domain.n_rows)))

    def in_domain(self, points: np.ndarray) -> np.ndarray:
        """Tell which points (N, k) are strictly inside the domain."""
        if self.domain is None:
            return np.ones(len(points), dtype=bool)
        return (self.domain.slack_signs(points) == 1).all(axis=1)

    @property
    def dim(self) -> int:
        """Number k of coordinates."""
        return self.network.dim_in if self.along is None else self.along.dim_in

    def __len__(self) -> int:
        return len(self.claimed.arrays)

    # -- codes -------------------------------------------------------------------------------------------

    @cached_property
    def letters(self) -> np.ndarray:
        """The listed codes (N, n_units)."""
        return np.asarray(self.claimed.codes.letters)

    @cached_property
    def _sorted_keys(self) -> tuple[np.ndarray, np.ndarray]:
        """The listed codes as sorted strings of bytes, and the region of each."""
        keys = self._keys(self.letters)
        order = np.argsort(keys, kind="stable")
        return keys[order], order

    def _keys(self, letters: np.ndarray) -> np.ndarray:
        """Return letters (M, n_units) as one string of bytes each.

        Letters are shifted by one: numpy ignores zero bytes at the end of a string.
        """
        if all(g.n_letters == 2 for g in self.network.gates):
            packed = np.packbits(letters.astype(bool), axis=1)
        else:
            packed = np.ascontiguousarray(letters).view(np.uint8)
        closed = np.column_stack([packed, np.ones(len(packed), dtype=np.uint8)])
        return np.ascontiguousarray(closed).view(f"S{closed.shape[1]}").ravel()

    @property
    def n_distinct(self) -> int:
        """Number of different codes."""
        keys, _ = self._sorted_keys
        return int(np.count_nonzero(keys[1:] != keys[:-1])) + 1 if len(keys) else 0

    def find(self, letters: np.ndarray) -> np.ndarray:
        """Return the region that each of some codes (M, n_units) belongs to, -1 where it is not listed."""
        keys, order = self._sorted_keys
        wanted = self._keys(np.asarray(letters, dtype=self.letters.dtype))
        place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        return np.where(keys[place] == wanted, order[place], -1)

    @cached_property
    def adjacency(self) -> csr_array:
        """The claimed graph of neighbors."""
        return self.claimed.adjacency.tocsr()

    # -- claims about one region ---------------------------------------------------------------------------

    def _claimed_facets(self, region: int) -> slice:
        start = self.claimed.arrays.facet_start
        return slice(int(start[region]), int(start[region + 1]))

    def claimed_units(self, region: int) -> np.ndarray | None:
        """Return the units that are claimed to draw the facets of a region, or None if nothing is claimed."""
        units = self.claimed.arrays.facet_units
        return None if units is None else units[self._claimed_facets(region)]

    def n_claimed_facets(self, region: int) -> int:
        """Return the claimed number of facets of a region."""
        units = self.claimed_units(region)
        return int(self.claimed.n_facets[region]) if units is None else len(units)

    def untied_units(self, region: int) -> Counter[int]:
        """Return the units that are claimed to flip alone, each with the number of facets on which it does."""
        units, tied = self.claimed_units(region), self.claimed.arrays.facet_tied
        return Counter() if units is None else Counter(units[~tied[self._claimed_facets(region)]].tolist())

    def claimed_bounded(self, region: int) -> bool | None:
        """Return whether a region is claimed to be bounded, or None if nothing is claimed."""
        flags = self.claimed.arrays.bounded
        return None if flags is None else bool(flags[region])

    def claimed_neighbors(self, region: int) -> set[int]:
        """Return the regions that are claimed to share a facet with a region."""
        graph = self.adjacency
        return set(graph.indices[graph.indptr[region] : graph.indptr[region + 1]].tolist())

    # -- points ------------------------------------------------------------------------------------------

    @cached_property
    def _exact_slice(self) -> tuple[flint.fmpq_mat, flint.fmpq_mat] | None:
        """The slice in rationals."""
        if self.along is None:
            return None
        return rational_matrix(self.along.matrix), rational_matrix(self.along.offset)

    def exact_letters(self, point: np.ndarray, toward: np.ndarray | None = None) -> np.ndarray:
        """Return the exact letters at a point (k,) of floats or Fractions, or of the cell entered from it."""
        rational = self.network.exact()
        x = rational_matrix(np.asarray(point))
        v = None if toward is None else rational_matrix(np.asarray(toward))
        if self._exact_slice is not None:
            M, c = self._exact_slice
            x, v = M * x + c, None if v is None else M * v
        return rational.letters(
            rational.point(x.entries()), None if v is None else rational.point(v.entries())
        )

    def _passes(self, points: np.ndarray) -> Iterator[tuple[slice, EnclosedPass]]:
        """Yield enclosed passes of points (N, k), a chunk at a time."""
        chunk = points_at_once(self.network)
        for first in range(0, len(points), chunk):
            part = slice(first, first + chunk)
            ambient, error = points[part], None
            if self.along is not None:
                ambient, error = self.along.enclose(ambient)
            yield part, enclose_pass(self.network, ambient, error=error, keep=True)

    def letters_and_margins(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return float letters (N, n_units) and whether a point is beyond rounding off every boundary, (N,).

        A unit that cannot depend on the coordinates has no boundary. Points where a maximum is taken
        never count as beyond: `AffinePiece` knows their rivals.
        """
        letters = np.zeros((len(points), self.network.n_units), dtype=self.network.letter_dtype)
        clear = np.ones(len(points), dtype=bool)
        for part, seen in self._passes(points):
            letters[part] = seen.letters
            for gate, state in zip(self.network.gates, seen.inputs, strict=True):
                if not isinstance(gate, Elementwise):
                    clear[part] = False
                    continue
                for breakpoint_ in gate.table(gate.breakpoints):
                    off = (np.abs(state.value - breakpoint_) > state.error) | ~state.live
                    clear[part] &= off.reshape(len(off), -1).all(axis=1)
            clear[part] &= ~seen.undecided.any(axis=1)
        return letters, clear

    # -- cells -------------------------------------------------------------------------------------------

    def witness(self, region: int) -> np.ndarray:
        """Return the claimed point inside a region, (k,): floats, or Fractions where those are claimed."""
        arrays = self.claimed.arrays
        if region in arrays.exact_witnesses:
            exact = np.empty(self.dim, dtype=object)
            exact[:] = arrays.exact_witnesses[region]
            return exact
        return arrays.witnesses[region]

    def piece(self, region: int) -> AffinePiece:
        """Return the piece with a listed code, whatever the code of its witness."""
        code = self.letters[region].astype(self.network.letter_dtype)
        return piece_with_code(self.network, code, self.claimed.arrays.witnesses[region], self.along)
