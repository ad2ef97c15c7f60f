r"""Proof that a list of vertices, rays and lines is complete.

The vertices and edges of a pointed polyhedron form a connected graph (the simplex method walks along it from
any vertex to any other), and every extreme ray of its recession cone is the direction of an unbounded edge. So
a non-empty list of vertices is complete if every edge that leaves one of them ends at another or runs along a
listed ray. The edges at a vertex are found from its tight rows alone: r - 1 independent ones leave one line,
and a direction of it is an edge if no tight row objects.

A polyhedron that contains lines is treated on the coordinates of r independent columns of A, r the rank, with
the other coordinates fixed at 0: there it is pointed, and P is the sum of that part and the lines.

Source: G. M. Ziegler 1995, Lectures on Polytopes, section 3.2 (the graph of a polytope, linear programming).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import brief_repr
from polygeom.certificates.check import OPEN, PROVED, REFUTED, Check, finite_numbers, nearest_floats
from polygeom.certificates.feasibility import Farkas
from polygeom.errors import TooLargeError
from polygeom.exact import fractions_array, rational_matrix
from polygeom.polyhedron import Polyhedron
from polygeom.ranks import pivot_columns

if TYPE_CHECKING:
    import flint

__all__ = ["Vertices"]

MOST_EDGE_CANDIDATES = 500_000
"""Subsets of tight rows the checker will try: about half a minute."""


@dataclass(frozen=True, eq=False)
class Vertices:
    """The polyhedron as convex hull of points plus cone of rays plus span of lines, exactly.

    Attributes
    ----------
    exact : (n, d) array of Fractions
        The vertices. With lines there are none: then one point of each minimal face, 0 on the dependent
        coordinates.
    tight_rows : tuple of n tuples of int
        The rows of P that are equalities at each point.
    rays : (k, d) array of Fractions
        Directions of the extreme rays of the recession cone, as coprime integers.
    lines : (d - r, d) array of Fractions
        A basis of the lineality space.
    emptiness : Farkas or None
        The proof that P is empty, when it is.
    """

    exact: np.ndarray
    tight_rows: tuple[tuple[int, ...], ...]
    rays: np.ndarray
    lines: np.ndarray
    emptiness: Farkas | None = None

    __repr__ = brief_repr

    @property
    def points(self) -> np.ndarray:
        """The points (n, d) as the nearest floats."""
        return nearest_floats(self.exact)

    @property
    def is_bounded(self) -> bool:
        """Whether there are neither rays nor lines."""
        return not len(self.rays) and not len(self.lines)

    def __len__(self) -> int:
        return len(self.exact)

    def holds(self, P: Polyhedron) -> Check:
        """Check every entry and that none is missing. Cost: a kernel per point and r - 1 of its tight rows.

        Raises
        ------
        TooLargeError
            If that makes more than `MOST_EDGE_CANDIDATES` kernels.
        """
        exact, rays, lines = (finite_numbers(a, -1, P.dim) for a in (self.exact, self.rays, self.lines))
        if exact is None or rays is None or lines is None or len(self.tight_rows) != len(exact):
            return REFUTED
        if not len(exact):
            return self.emptiness.holds(P) if self.emptiness is not None else REFUTED
        if not P.has_exact_rows:
            return OPEN
        A, b = P.exact_rows(np.arange(P.n_rows))
        rank = A.rank() if P.n_rows and P.dim else 0
        checker = _Checker(A, b, rank, Vertices(exact, self.tight_rows, rays, lines))
        sound = checker.points_hold() and checker.directions_hold()
        return PROVED if sound and checker.edges_end_in_the_list() else REFUTED


class _Checker:
    """One check: exact rows, and the list under suspicion."""

    def __init__(self, A: flint.fmpq_mat, b: flint.fmpq_mat, rank: int, listed: Vertices) -> None:
        self.A, self.b, self.rank, self.listed = A, b, rank, listed
        self.dim = listed.exact.shape[1]

    def rows(self, index: tuple[int, ...]) -> flint.fmpq_mat:
        """Return some rows of A."""
        import flint

        return flint.fmpq_mat(len(index), self.dim, [self.A[i, j] for i in index for j in range(self.dim)])

    def rank_of(self, index: tuple[int, ...]) -> int:
        """Return the rank of some rows of A."""
        return self.rows(index).rank() if index and self.dim else 0

    def along(self, direction: np.ndarray) -> list[flint.fmpq]:
        """Return the rates A direction."""
        return (self.A * rational_matrix(direction)).entries() if self.dim else [0] * self.A.nrows()

    def slacks(self, point: np.ndarray) -> list[flint.fmpq]:
        """Return b - A point."""
        return [b - a for a, b in zip(self.along(point), self.b.entries(), strict=True)]

    def points_hold(self) -> bool:
        """Tell whether each point is in P, tight exactly where stated, with tight rows of full rank."""
        for point, tight in zip(self.listed.exact, self.listed.tight_rows, strict=True):
            slacks = self.slacks(point)
            found = tuple(i for i, s in enumerate(slacks) if s == 0)
            if any(s < 0 for s in slacks) or found != tuple(tight) or self.rank_of(found) != self.rank:
                return False
        return True

    def directions_hold(self) -> bool:
        """Tell whether the lines are a basis of the kernel and each ray is extreme modulo the lines."""
        lines = self.listed.lines
        if len(lines) != self.dim - self.rank or any(any(self.along(line)) for line in lines):
            return False
        if len(lines) and rational_matrix(lines).rank() != len(lines):
            return False
        for ray in self.listed.rays:
            rates = self.along(ray)
            level = tuple(i for i, r in enumerate(rates) if r == 0)
            if any(r > 0 for r in rates) or self.rank_of(level) != self.rank - 1:
                return False
        return True

    def edges_end_in_the_list(self) -> bool:
        """Tell whether every edge leaving a listed point ends at a listed one or runs along a listed ray."""
        candidates = sum(comb(len(t), max(self.rank - 1, 0)) for t in self.listed.tight_rows)
        if candidates > MOST_EDGE_CANDIDATES:
            raise TooLargeError(
                f"Checking these {len(self.listed)} points takes {candidates} kernels, more than "
                f"{MOST_EDGE_CANDIDATES}: the vertices are too degenerate or too many."
            )
        columns = self._pointed_columns()
        points = {tuple(point[columns]) for point in self.listed.exact}
        if any(any(v != 0 for v in np.delete(p, columns)) for p in self.listed.exact):
            return False
        rays = {_direction(ray[columns]) for ray in self.listed.rays}
        return all(
            self._edge_is_listed(point, direction, columns, points, rays)
            for point, tight in zip(self.listed.exact, self.listed.tight_rows, strict=True)
            for direction in self._edges(tight, columns)
        )

    def _pointed_columns(self) -> list[int]:
        """Return r independent columns of A: the coordinates that are not all 0 off them by convention."""
        if self.rank == self.dim:
            return list(range(self.dim))
        echelon, rank = self.A.rref() if self.A.nrows() else (self.A, 0)
        return pivot_columns(echelon, rank)

    def _edges(self, tight: tuple[int, ...], columns: list[int]) -> list[np.ndarray]:
        """Return the directions (d,) of the edges at a point: extreme rays of its cone of directions."""
        import flint

        found: dict[tuple[Fraction, ...], np.ndarray] = {}
        if not self.rank:
            return []
        local = [[self.A[i, j] for j in columns] for i in range(self.A.nrows())]
        for subset in combinations(tight, self.rank - 1):
            block = flint.fmpq_mat(len(subset), self.rank, [v for i in subset for v in local[i]])
            kernel, nullity = block.numer_denom()[0].nullspace()
            if nullity != 1:
                continue
            inside = fractions_array([kernel[k, 0] for k in range(self.rank)])
            for sign in (1, -1):
                direction = fractions_array([0] * self.dim)
                direction[columns] = sign * inside
                if all(sum(self.A[i, j] * w for j, w in _sparse(direction)) <= 0 for i in tight):
                    found[_direction(direction[columns])] = direction
        return list(found.values())

    def _edge_is_listed(
        self, point: np.ndarray, direction: np.ndarray, columns: list[int], points: set, rays: set
    ) -> bool:
        slacks, rates = self.slacks(point), self.along(direction)
        stops = [s / r for s, r in zip(slacks, rates, strict=True) if r > 0]
        if not stops:
            return _direction(direction[columns]) in rays
        step = min(stops)
        end = point[columns] + Fraction(int(step.p), int(step.q)) * direction[columns]
        return tuple(end) in points


def _sparse(direction: np.ndarray) -> list[tuple[int, flint.fmpq]]:
    """Return the non-zero coordinates of a direction as rationals."""
    import flint

    return [(j, flint.fmpq(v.numerator, v.denominator)) for j, v in enumerate(direction) if v != 0]


def _direction(vector: np.ndarray) -> tuple[Fraction, ...]:
    """Return the positive multiple whose absolute values add up to 1, to compare directions."""
    size = sum(abs(v) for v in vector)
    return tuple(v / size for v in vector)
