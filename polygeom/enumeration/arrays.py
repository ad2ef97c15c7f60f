"""What an enumeration finds, as flat arrays: one entry a region, a facet, a vertex."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

__all__ = ["Exactness", "RegionArrays"]


@dataclass(frozen=True)
class Exactness:
    """How the signs that an enumeration rests on were decided.

    Attributes
    ----------
    floats : int
        Tests of a unit on a cell that every vertex passed beyond its rounding bound.
    structure : int
        Signs known from where a vertex comes from: every active unit of the layer before vanishes there, or no
        coordinate is read that is not 0.
    rationals : int
        Signs decided in exact arithmetic.
    undecided : int
        Signs that floats could not decide and rationals could not reach; the float sign was taken.
    """

    floats: int = 0
    structure: int = 0
    rationals: int = 0
    undecided: int = 0

    def __add__(self, other: Exactness) -> Exactness:
        return Exactness(
            self.floats + other.floats,
            self.structure + other.structure,
            self.rationals + other.rationals,
            self.undecided + other.undecided,
        )


@dataclass(frozen=True, eq=False)
class RegionArrays:
    """All regions found, in flat arrays; k is the dimension of the slice, D = k + 1.

    Attributes
    ----------
    packed : (N, bytes) uint8
        The codes as `SplineCodes.packed` packs them: one bit a unit where every gate has two letters.
    witnesses : (N, k)
        A point strictly inside every region, in slice coordinates.
    exact_witnesses : mapping from region to tuple of Fraction
        Where no float point is provably inside; `witnesses` then holds its rounding.
    bounded : (N,) bool or None
        None where the enumeration did not see it.
    facet_start : (N + 1,), facet_units : (F,), or None
        The column that draws each facet (one of them), region by region, without facets of the domain and at
        infinity. None where the enumeration did not see facets.
    facet_tied : (F,) bool or None
        Whether another unit vanishes on the whole facet too. Elsewhere the code across the facet differs in
        exactly ``facet_units[f]``.
    tied_points : (T, D) or None
        Homogeneous points near the relative interior of the tied facets, in order.
    domain_facets : (N,) or None
        Number of facets on the boundary of the domain.
    vertex_start : (N + 1,), vertices : (V, D), or None
        Vertices (t = 1) and extreme rays (t = 0) of every region, where they were asked for. In the plane they
        stand in order around the region.
    edge_units : (V,) or None
        In the plane, the column that draws the edge from each vertex to the next, -1 for edges of the domain and
        at infinity.
    vertex_facets : (V,) or None
        In other dimensions, the set of facets that each vertex lies on, as bits: bit j for the region's facet j in
        the order of `facet_units`, later ones for facets of the domain.
    undecided : (U, 2) or None
        Region and unit, sorted, of signs that were not proved: of the unit at a vertex of the region or of a cell
        that it is a part of, or of the unit's facet at the witness; -1 for a facet of the domain or at infinity.
        None where the enumeration leaves no sign undecided.
    """

    packed: np.ndarray
    witnesses: np.ndarray
    exact_witnesses: Mapping[int, tuple[Fraction, ...]] = field(default_factory=dict)
    bounded: np.ndarray | None = None
    facet_start: np.ndarray | None = None
    facet_units: np.ndarray | None = None
    facet_tied: np.ndarray | None = None
    tied_points: np.ndarray | None = None
    domain_facets: np.ndarray | None = None
    vertex_start: np.ndarray | None = None
    vertices: np.ndarray | None = None
    edge_units: np.ndarray | None = None
    vertex_facets: np.ndarray | None = None
    undecided: np.ndarray | None = None

    def __repr__(self) -> str:
        present = [n for n in (*_FLAT, *_STARTS, "undecided") if getattr(self, n) is not None]
        exact = f", {len(self.exact_witnesses)} exact witnesses" if self.exact_witnesses else ""
        return f"RegionArrays({len(self)} regions{exact}: {', '.join(present)}; {self.nbytes} bytes)"

    def __len__(self) -> int:
        return len(self.packed)

    @classmethod
    def joined(cls, parts: Sequence[RegionArrays]) -> RegionArrays:
        """Return batches one after the other; at least one, all with the same arrays present.

        Cost: one copy of everything.
        """
        if len(parts) == 1:
            return parts[0]
        first_regions = np.cumsum([0, *(len(p) for p in parts[:-1])])
        exact = {
            int(first) + i: point
            for first, part in zip(first_regions, parts, strict=True)
            for i, point in part.exact_witnesses.items()
        }
        together = {name: _end_to_end([getattr(p, name) for p in parts]) for name in _FLAT}
        starts = {name: _running([getattr(p, name) for p in parts]) for name in _STARTS}
        return cls(exact_witnesses=exact, **together, **starts, undecided=_shifted(parts, first_regions))

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (getattr(self, name) for name in (*_FLAT, *_STARTS, "undecided"))
        return sum(a.nbytes for a in arrays if a is not None)


_STARTS = ("facet_start", "vertex_start")
_FLAT = (
    "packed",
    "witnesses",
    "bounded",
    "facet_units",
    "facet_tied",
    "tied_points",
    "domain_facets",
    "vertices",
    "edge_units",
    "vertex_facets",
)


def _end_to_end(arrays: list[np.ndarray | None]) -> np.ndarray | None:
    """Return arrays one after the other."""
    return None if arrays[0] is None else np.concatenate(arrays)


def _shifted(parts: Sequence[RegionArrays], first_regions: np.ndarray) -> np.ndarray | None:
    """Return the undecided signs of batches whose regions are numbered from `first_regions` on."""
    pairs = [p.undecided for p in parts]
    if pairs[0] is None:
        return None
    shifts = np.column_stack([first_regions, np.zeros_like(first_regions)])
    return np.concatenate([p + shift for p, shift in zip(pairs, shifts, strict=True)])


def _running(starts: list[np.ndarray | None]) -> np.ndarray | None:
    """Return start positions of batches, each beginning at 0, as those of the whole."""
    if starts[0] is None:
        return None
    shifts = np.cumsum([0, *(int(s[-1]) for s in starts[:-1])])
    shifted = [s[:-1] + shift for s, shift in zip(starts, shifts, strict=True)]
    return np.concatenate([*shifted, [shifts[-1] + starts[-1][-1]]])
