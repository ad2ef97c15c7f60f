r"""Where the recursion starts: simplicial cones that fill the domain, or all of the space.

Homogenized, a cell is a cone in (y, t), t >= 0. Take k rows with independent normals, rows of the domain first,
then units of the first layer, and the facet at infinity t >= 0: together an invertible matrix R, whose inverse
holds the extreme rays of the cone R (y, t) >= 0: one finite apex and k directions. Every choice of signs for the
units among them gives one cone; the cones fill the part of the space that the chosen rows of the domain allow. The
remaining rows of the domain cut later.

Where the normals have a smaller rank than k, nothing depends on some directions: the coordinates without a pivot
are held at 0, and every region is a cylinder over what is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from polygeom.enumeration.chain import DenseChain
from polygeom.enumeration.exact_signs import integer_row, nearest_ray
from polygeom.exact import rational_matrix
from polygeom.polyhedron import Polyhedron
from polygeom.ranks import pivot_columns
from polygeom.rounding import TINY, U, round_up

if TYPE_CHECKING:
    import flint

__all__ = ["Frame", "InnerRows", "StartCone", "find_frame", "inner_rows", "start_cones"]

ADDS_NOTHING = 2.0**20 * U
"""Share of a normal left over beside others below which floats do not pick it."""


@dataclass(frozen=True, eq=False)
class Frame:
    """The rows that the start cones are made of.

    Attributes
    ----------
    domain_rows, units : tuple of int
        Rows of the domain and units of the first layer with independent normals.
    coordinates : tuple of int
        Coordinates of y in which the normals are independent; the others are held at 0.
    """

    domain_rows: tuple[int, ...]
    units: tuple[int, ...]
    coordinates: tuple[int, ...]

    @property
    def dim(self) -> int:
        """Number of coordinates kept."""
        return len(self.coordinates)


@dataclass(frozen=True, eq=False)
class StartCone:
    """One simplicial cone; ray i lies on every facet but the i-th.

    Attributes
    ----------
    signs : tuple of {1, -1}
        Side of every unit of the frame.
    rays : (D, D) array
        Extreme rays as rows, largest absolute coordinate 1, each coordinate correctly rounded.
    support : (D, D) bool array
        Where the exact rays are not 0.
    at_origin : bool
        Whether the apex, the last ray, is exactly y = 0.
    is_positive : bool
        Whether det(rays) > 0: three rays then stand counterclockwise.
    """

    signs: tuple[int, ...]
    rays: np.ndarray
    support: np.ndarray
    at_origin: bool
    is_positive: bool


class InnerRows(NamedTuple):
    """The domain's rows as (m, k + 1) inner homogeneous rows over y, their summed errors, and exactly."""

    rows: np.ndarray
    errors: np.ndarray
    exact: flint.fmpq_mat


def inner_rows(domain: Polyhedron, scale: np.ndarray) -> InnerRows:
    """Return the rows of a domain over y, where the slice coordinates are ``scale * y``.

    Every row is multiplied by a power of two that brings its largest entry to [1/2, 1). Nothing overflows on the
    way; entries that underflow are off by `TINY` at most, and are kept exactly.
    """
    import flint

    given, along = np.column_stack([-domain.A, domain.b]), np.append(np.frexp(scale)[1] - 1, 0)
    sizes = np.where(given != 0, np.frexp(given)[1] + along, np.iinfo(np.int32).min)
    largest = np.where(given.any(axis=1), sizes.max(axis=1), 0)
    shifts = along - largest[:, None]
    rows = np.ldexp(given, shifts)
    lost = np.ldexp(rows, -shifts) != given
    errors = TINY * lost.sum(axis=1)
    if not domain.is_rounded and not lost.any():
        return InnerRows(rows, errors, rational_matrix(rows))
    if domain.is_rounded:
        off = np.ldexp(np.column_stack(domain.errors), shifts).sum(axis=1)
        errors = round_up(errors + off, given.shape[1] + 1)
    A, b = domain.exact_rows(np.arange(domain.n_rows))
    exact = [[*(-v for v in normal), side] for normal, (side,) in zip(A.table(), b.table(), strict=True)]
    entries = [
        v * flint.fmpq(2) ** int(shift)
        for row, powers in zip(exact, shifts, strict=True)
        for v, shift in zip(row, powers, strict=True)
    ]
    return InnerRows(rows, errors, flint.fmpq_mat(*given.shape, entries))


def find_frame(chain: DenseChain, domain_rows: np.ndarray, exact_domain: flint.fmpq_mat) -> Frame:
    """Return independent rows, of the domain first; well-conditioned ones before others.

    Floats pick the rows; an exact determinant confirms them. Where it is 0, or floats find too few, the exact
    echelon form of all rows takes the first independent ones.
    """
    import flint

    k, m = chain.dim, len(domain_rows)
    normals = np.vstack([domain_rows[:, :k], chain.layers[0].weight])
    picked = _independent(normals, m)
    if len(picked) == k:
        units = chain.first_rows([i - m for i in picked if i >= m])
        rows = [[exact_domain[i, j] for j in range(k)] for i in picked if i < m]
        rows += [[units[i, j] for j in range(k)] for i in range(units.nrows())]
        if flint.fmpq_mat(k, k, [v for row in rows for v in row]).det() != 0:
            return _frame(picked, m, range(k))
    units = chain.first_rows(range(len(normals) - m))
    entries = [exact_domain[i, j] for i in range(m) for j in range(k)]
    entries += [units[i, j] for i in range(units.nrows()) for j in range(k)]
    stacked = flint.fmpq_mat(len(normals), k, entries)
    echelon, rank = stacked.transpose().rref()
    chosen = pivot_columns(echelon, rank)
    echelon, _ = stacked.rref()
    return _frame(chosen, m, pivot_columns(echelon, rank))


def _frame(rows: Sequence[int], n_domain: int, coordinates: Sequence[int]) -> Frame:
    """Return the frame of some rows, the domain's first."""
    domain = tuple(i for i in rows if i < n_domain)
    return Frame(domain, tuple(i - n_domain for i in rows if i >= n_domain), tuple(coordinates))


def _independent(normals: np.ndarray, n_domain: int) -> list[int]:
    """Return rows, the domain's first, each adding as much as possible to those before (Gram and Schmidt)."""
    largest = np.abs(normals).max(axis=1, initial=0.0)
    left = normals / np.where(largest > 0, largest, 1.0)[:, None]
    picked: list[int] = []
    for group in (slice(0, n_domain), slice(n_domain, len(left))):
        while len(picked) < left.shape[1] and group.start < group.stop:
            squares = np.einsum("ij,ij->i", left[group], left[group])
            best = int(squares.argmax())
            if squares[best] < ADDS_NOTHING**2:
                break
            picked.append(group.start + best)
            axis = left[picked[-1]] / np.sqrt(squares[best])
            left = left - (left @ axis)[:, None] * axis
    return picked


def start_cones(chain: DenseChain, frame: Frame, exact_domain: flint.fmpq_mat) -> list[StartCone]:
    """Return the start cones of a frame, 2 to the number of its units."""
    import flint

    D, units, kept = frame.dim + 1, chain.first_rows(frame.units), (*frame.coordinates, chain.dim)
    rows = [[exact_domain[i, j] for j in kept] for i in frame.domain_rows]
    rows += [[units[i, j] for j in kept] for i in range(len(frame.units))]
    rows.append([flint.fmpq(0)] * (D - 1) + [flint.fmpq(1)])
    inverse = flint.fmpq_mat(D, D, [v for row in rows for v in row]).inv()
    columns = [[inverse[i, j] for i in range(D)] for j in range(D)]
    scaled = np.array([nearest_ray(integer_row(column)) for column in columns])
    positive, directions = inverse.det() > 0, slice(len(frame.domain_rows), D - 1)
    support = np.array([[v != 0 for v in column] for column in columns])
    at_origin = not support[-1, :-1].any()
    cones = []
    for signs in product((1, -1), repeat=len(frame.units)):
        rays = scaled.copy()
        rays[directions] *= np.array(signs).reshape(-1, 1)
        cones.append(StartCone(signs, rays, support, at_origin, positive == (prod(signs) > 0)))
    return cones
