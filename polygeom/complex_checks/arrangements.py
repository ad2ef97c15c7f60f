r"""Counting the regions of a hyperplane arrangement without enumerating them.

The regions of a one-layer network are those of an arrangement of n hyperplanes in R^d. Zaslavsky's theorem counts
them by the characteristic polynomial :math:`\chi(t)`:

.. math:: r = (-1)^d \chi(-1), \qquad b = (-1)^d \chi(1),

the regions and, if the normals span R^d, the bounded ones (otherwise there is none). Deletion and restriction,
:math:`\chi_A = \chi_{A \setminus H} - \chi_{A^H}`, unrolled over the hyperplanes gives

.. math:: \chi_A(t) = t^d - \sum_i \chi_{A_i}(t), \qquad A_i = \{H_j \cap H_i : j < i\} \text{ in } H_i,

where parallel hyperplanes leave nothing and coincident ones count once: exact for every arrangement. A simple one
(every k hyperplanes meet in dimension d - k or, if k > d, not at all) has

.. math:: r = \sum_{i \le d} \binom{n}{i}, \quad b = \binom{n-1}{d}, \quad
          f_k = \binom{n}{d-k} \sum_{i \le k} \binom{n-d+k}{i},

and no arrangement of n hyperplanes has more regions; a central one (all through one point) has at most
:math:`2 \sum_{i<d} \binom{n-1}{i}`. So a list of that many distinct regions is complete, whatever n is.

Sources: T. Zaslavsky 1975, Facing up to arrangements, Theorems A and C; R. C. Buck 1943, Partition of space;
R. P. Stanley 2007, An introduction to hyperplane arrangements, Lemma 2.2 and Theorem 2.5 (deletion and
restriction; Whitney's theorem is Theorem 2.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from polygeom.affine import AffineMap
from polygeom.exact import rational_matrix
from polygeom.gates import Elementwise
from polygeom.network import Network

if TYPE_CHECKING:
    import flint

__all__ = ["Arrangement", "arrangement_of", "buck_faces", "central_regions", "simple_regions"]

Row = tuple
"""A hyperplane a . x = b as rationals (*a, b), the first non-zero entry of a being 1."""


def simple_regions(n: int, d: int) -> int:
    """Return the number of regions of a simple arrangement: the most n hyperplanes can make in R^d.

    Examples
    --------
    >>> simple_regions(3, 2)
    7
    """
    return sum(comb(n, i) for i in range(d + 1))


def central_regions(n: int, d: int) -> int:
    """Return the most regions that n hyperplanes through one point can make in R^d.

    Examples
    --------
    >>> central_regions(3, 2)
    6
    """
    return 2 * sum(comb(n - 1, i) for i in range(d)) if n else 1


def buck_faces(n: int, d: int) -> tuple[int, ...]:
    """Return the numbers of faces of dimension 0, ..., d of a simple arrangement of n hyperplanes in R^d.

    Examples
    --------
    >>> buck_faces(3, 2)
    (3, 9, 7)
    """
    return tuple(comb(n, d - k) * simple_regions(n - d + k, k) if n >= d - k else 0 for k in range(d + 1))


@dataclass(frozen=True)
class Arrangement:
    """Distinct hyperplanes in R^dim.

    Attributes
    ----------
    rows : tuple of Row
    dim : int
    """

    rows: tuple[Row, ...]
    dim: int

    @classmethod
    def of(cls, A: flint.fmpq_mat, b: flint.fmpq_mat) -> Arrangement:
        """Return the distinct hyperplanes among the rows of A x = b, without zero rows."""
        rows = (_canonical((*normal, side)) for normal, side in zip(A.table(), b.entries(), strict=True))
        return cls(tuple(dict.fromkeys(r for r in rows if r is not None)), A.ncols())

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def work(self) -> int:
        """Rows that `characteristic` eliminates, at most."""
        n = len(self)
        return n * sum(comb(n, i) for i in range(1, self.dim)) if self.dim > 1 else n

    @property
    def rank(self) -> int:
        """Dimension that the normals span."""
        import flint

        if not self.rows or not self.dim:
            return 0
        return flint.fmpq_mat(len(self), self.dim, [v for row in self.rows for v in row[:-1]]).rank()

    @property
    def is_central(self) -> bool:
        """Whether all hyperplanes share a point."""
        import flint

        if not self.rows:
            return True
        augmented = flint.fmpq_mat(len(self), self.dim + 1, [v for row in self.rows for v in row])
        return augmented.rank() == self.rank

    def restricted(self, row: Row, others: tuple[Row, ...]) -> Arrangement:
        """Return the traces of other hyperplanes on one of them, in dim - 1 coordinates."""
        pivot = next(j for j, v in enumerate(row) if v)
        traces: dict[Row, None] = {}
        for other in others:
            factor = other[pivot]
            trace = tuple(
                v - factor * w for j, (v, w) in enumerate(zip(other, row, strict=True)) if j != pivot
            )
            if (canonical := _canonical(trace)) is not None:
                traces[canonical] = None
        return Arrangement(tuple(traces), self.dim - 1)

    def characteristic(self) -> tuple[int, ...]:
        """Return the coefficients of the characteristic polynomial, constant first. Cost: `work`.

        Examples
        --------
        >>> import flint
        >>> triangle = flint.fmpq_mat([[1, 0], [0, 1], [1, 1]]), flint.fmpq_mat([[0], [0], [1]])
        >>> Arrangement.of(*triangle).characteristic()
        (3, -3, 1)
        """
        if self.dim == 0:
            return (1,)
        if self.dim == 1:
            return (-len(self), 1)
        total = [0] * self.dim + [1]
        for i, row in enumerate(self.rows):
            for power, c in enumerate(self.restricted(row, self.rows[:i]).characteristic()):
                total[power] -= c
        return tuple(total)

    def n_regions(self) -> int:
        """Return the number of regions (Zaslavsky, Theorem A)."""
        return sum(map(abs, self.characteristic()))

    def n_bounded(self) -> int:
        """Return the number of bounded regions (Zaslavsky, Theorem C)."""
        return abs(sum(self.characteristic())) if self.rank == self.dim else 0

    def faces(self) -> tuple[int, ...]:
        r"""Return the numbers of faces of dimension 0, ..., dim.

        A flat X of dimension k holds as many k-faces as its own traces have regions. Cost: that of
        `characteristic` for each of the at most :math:`\sum_i \binom{n}{i}` flats.
        """
        counts = [0] * self.dim + [self.n_regions()]
        level: dict[tuple, Arrangement] = {(): self}
        for k in range(self.dim - 1, -1, -1):
            level = _flats_below(level)
            counts[k] = sum(flat.n_regions() for flat in level.values())
        return tuple(counts)


def _flats_below(level: dict[tuple, Arrangement]) -> dict[tuple, Arrangement]:
    """Return the flats one dimension lower, by the echelon form of their equations."""
    below: dict[tuple, Arrangement] = {}
    for equations, arrangement in level.items():
        for row in arrangement.rows:
            lifted = _lifted(equations, row)
            if lifted not in below:
                others = tuple(r for r in arrangement.rows if r != row)
                below[lifted] = arrangement.restricted(row, others)
    return below


def _lifted(equations: tuple, row: Row) -> tuple:
    """Return the reduced equations of a flat cut by one more row, given in the flat's coordinates.

    The flat's coordinates are those of the space without the pivots of its equations, in order.
    """
    import flint

    if not equations:
        return (row,)
    pivots = [next(j for j, v in enumerate(e) if v) for e in equations]
    full, rest = [flint.fmpq(0)] * len(equations[0]), iter(row)
    for j in range(len(full)):
        if j not in pivots:
            full[j] = next(rest)
    matrix = flint.fmpq_mat(len(equations) + 1, len(full), [v for e in (*equations, full) for v in e])
    reduced, rank = matrix.rref()
    return tuple(tuple(reduced.table()[i]) for i in range(rank))


def _canonical(row: Row) -> Row | None:
    """Return the row whose first non-zero normal entry is 1, or None if the normal is zero."""
    scale = next((v for v in row[:-1] if v), None)
    return None if scale is None else tuple(v / scale for v in row)


def arrangement_of(net: Network, along: AffineMap | None) -> Arrangement | None:
    """Return the hyperplanes of a network with one layer of elementwise units, exactly; None for another."""
    import flint

    if len(net.gates) != 1 or not isinstance(net.gates[0], Elementwise) or not net.exact().is_feasible:
        return None
    gate = net.gates[0]
    units = np.tile(np.arange(gate.size) + gate.first_column, len(gate.breakpoints))
    sides = np.repeat(np.arange(len(gate.breakpoints)), gate.size)
    letters = np.zeros(net.n_units, dtype=net.letter_dtype)
    rational = net.exact()
    A = rational.rows(letters, units, sides).to_rational()
    b = flint.fmpq_mat(len(units), 1, rational.offsets(letters, units, sides))
    if along is not None:
        A, b = A * rational_matrix(along.matrix), b - A * rational_matrix(along.offset)
    return Arrangement.of(A, b)
