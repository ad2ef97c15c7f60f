r"""Where the recursion starts: simplicial cones that fill the domain, or all of the space.

Homogenized, a cell is a cone in (y, t), t >= 0. Take k rows with independent normals, rows of the domain first, then
units of the first layer, and the facet at infinity t >= 0: together an invertible matrix R, whose inverse holds the
extreme rays of the cone R (y, t) >= 0: one finite apex and k directions. Every choice of signs for the units among
them gives one cone; the cones fill the part of the space that the chosen rows of the domain allow. The remaining rows
of the domain cut later.

Where the normals have a smaller rank than k, nothing depends on some directions: the coordinates without a pivot are
held at 0, and every region is a cylinder over what is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from polygeom.enumeration.chain import DenseChain
from polygeom.enumeration.exact_signs import integer_row, nearest_ray
from polygeom.exact import rational, rational_matrix
from polygeom.polyhedron import Polyhedron
from polygeom.ranks import pivot_columns

if TYPE_CHECKING:
    import flint

__all__ = ["Frame", "StartCone", "find_frame", "inner_rows", "start_cones"]


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
    at_origin : bool
        Whether the apex, the last ray, is exactly y = 0.
    is_positive : bool
        Whether det(rays) > 0: three rays then stand counterclockwise.
    """

    signs: tuple[int, ...]
    rays: np.ndarray
    at_origin: bool
    is_positive: bool


def inner_rows(domain: Polyhedron, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray, flint.fmpq_mat]:
    """Return the domain's rows as (m, k + 1) inner homogeneous rows over y, their summed errors, and exactly.

    Every row is scaled by a power of two, so that its largest entry is of size 1.
    """
    import flint

    rows = np.column_stack([-domain.A * scale, domain.b])
    errors = np.column_stack([domain.errors[0] * scale, domain.errors[1]])
    A, b = domain.exact_rows(np.arange(domain.n_rows))
    stretch = flint.fmpq_mat(domain.dim, domain.dim, [0] * domain.dim**2)
    for i, s in enumerate(scale):
        stretch[i, i] = rational(float(s))
    normals = -(A * stretch)
    largest = np.abs(rows).max(axis=1, initial=0.0)
    powers = 2.0 ** -np.round(np.log2(np.where(largest > 0, largest, 1.0)))
    entries = [
        rational(float(p)) * v
        for i, p in enumerate(powers)
        for v in (*(normals[i, j] for j in range(domain.dim)), b[i, 0])
    ]
    exact = flint.fmpq_mat(domain.n_rows, domain.dim + 1, entries)
    return rows * powers[:, None], errors.sum(axis=1) * powers, exact


def find_frame(chain: DenseChain, domain_rows: np.ndarray, exact_domain: flint.fmpq_mat) -> Frame:
    """Return independent rows, of the domain first; well-conditioned ones before others.

    Floats order the rows by pivoted QR, the exact echelon form takes the first independent ones.
    """
    import flint

    k, units = chain.dim, chain.layers[0].weight
    order = _orders(domain_rows[:, :k], units)
    weight = chain.exact_maps[0][0].to_rational()
    stacked = [
        [exact_domain[i, j] for j in range(k)] if i < len(domain_rows) else
        [weight[i - len(domain_rows), j] for j in range(k)]
        for i in order
    ]
    if not stacked:
        return Frame((), (), ())
    by_row = flint.fmpq_mat(len(stacked), k, [v for row in stacked for v in row])
    echelon, rank = by_row.transpose().rref()
    chosen = [order[i] for i in pivot_columns(echelon, rank)]
    echelon, _ = by_row.rref()
    return Frame(
        tuple(i for i in chosen if i < len(domain_rows)),
        tuple(i - len(domain_rows) for i in chosen if i >= len(domain_rows)),
        tuple(pivot_columns(echelon, rank)),
    )


def _orders(domain_normals: np.ndarray, unit_normals: np.ndarray) -> list[int]:
    """Return all rows, the domain's first, each group ordered by how much it adds to those before."""
    from scipy.linalg import qr

    order: list[int] = []
    left = np.vstack([domain_normals, unit_normals])
    lengths = np.linalg.norm(left, axis=1)
    left = left / np.where(lengths > 0, lengths, 1.0)[:, None]
    for first, count in ((0, len(domain_normals)), (len(domain_normals), len(unit_normals))):
        if count:
            Q, _, pivots = qr(left[first : first + count].T, mode="economic", pivoting=True)
            order += [first + int(p) for p in pivots]
            left = left - (left @ Q[:, : min(Q.shape[1], count)]) @ Q[:, : min(Q.shape[1], count)].T
    return order


def start_cones(chain: DenseChain, frame: Frame, exact_domain: flint.fmpq_mat) -> list[StartCone]:
    """Return the start cones of a frame, 2 to the number of its units."""
    import flint

    weight, bias = (m.to_rational() for m in chain.exact_maps[0])
    D, k = frame.dim + 1, chain.dim
    rows = [[exact_domain[i, j] for j in (*frame.coordinates, k)] for i in frame.domain_rows]
    rows += [[*(weight[i, j] for j in frame.coordinates), bias[i, 0]] for i in frame.units]
    rows.append([flint.fmpq(0)] * (D - 1) + [flint.fmpq(1)])
    inverse = flint.fmpq_mat(D, D, [v for row in rows for v in row]).inv()
    columns = [[inverse[i, j] for i in range(D)] for j in range(D)]
    scaled = np.array([nearest_ray(integer_row(column)) for column in columns])
    positive, n_domain = inverse.det() > 0, len(frame.domain_rows)
    at_origin = not any(columns[-1][:-1])
    cones = []
    for signs in product((1, -1), repeat=len(frame.units)):
        sides = np.ones(D)
        sides[n_domain : D - 1] = signs
        cones.append(StartCone(signs, scaled * sides[:, None], at_origin, positive == (np.prod(sides) > 0)))
    return cones

