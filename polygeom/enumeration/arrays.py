"""What an enumeration finds, as flat arrays: one entry a region, a facet, a vertex."""

from __future__ import annotations

from collections.abc import Mapping
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
        Signs known from where a vertex comes from: every active unit of the layer before vanishes there.
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
        Vertices (t = 1) and extreme rays (t = 0) of every region, where they were asked for.
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

    def __len__(self) -> int:
        return len(self.packed)
