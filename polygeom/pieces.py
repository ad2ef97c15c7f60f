"""The affine piece of a network at a point: its code, half-spaces, owning units and affine map.

One deep function: an affine map (the identity, a segment, a plane) is pushed through the network; linear steps
act on its columns, gates read their letters and emit half-spaces. Finding the piece costs one forward pass with
running error bounds; everything else is computed when first asked for. Small pieces are materialized by pushing
all columns at once; of large ones (a convolutional block has 10^5 half-spaces in R^40000) single rows come from
vector-Jacobian products, slacks of all rows at a point from one forward pass, rates along a direction from one
Jacobian-vector product: a convolution never becomes a matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from polygeom.affine import AffineMap, as_slice
from polygeom.arrays import as_points, as_vector, freeze
from polygeom.codes import SplineCodes
from polygeom.enclosures import EnclosedPass, enclose_adjoint, enclose_directions, enclose_pass
from polygeom.errors import InputError, TooLargeError
from polygeom.exact import rational_matrix
from polygeom.gates import MaxGate
from polygeom.letters import ambient_directions, ambient_points, decided_letters, letters_at
from polygeom.network import Network, as_network
from polygeom.polyhedron import Polyhedron
from polygeom.rows import Arrival, RowLabels, drawn_rows, row_seeds, row_slacks

if TYPE_CHECKING:
    import flint

__all__ = [
    "BYTE_BUDGET",
    "AffinePiece",
    "piece_at",
    "piece_with_code",
    "points_at_once",
    "spline_codes",
    "witness_of",
]

BYTE_BUDGET = 2**30
"""Bytes a materialized polyhedron may take, its error bounds included, and chunks of work in between."""


def spline_codes(net: Network, X: object) -> SplineCodes:
    """Return the letters of all units at points, exactly where rationals are within reach.

    Parameters
    ----------
    X : (n,), (N, n) array or a batch of the input's own shape

    Returns
    -------
    SplineCodes
        Letters (N, n_units). A pre-activation exactly on a breakpoint takes the lower letter, a tie of maxima
        the first position. `undecided` marks letters that even doubled precision leaves open in networks too
        large for rational arithmetic; their floats decide.

    Notes
    -----
    Cost: two forward passes per point (values and error bounds), one rational or doubled pass per undecided
    point.

    Raises
    ------
    InputError
        On another shape, NaN or infinities, or anything but a Network.

    Examples
    --------
    >>> net = Network.from_layers([([[1, -1], [1, 1]], [0, 0]), ([[1, 2]], [0.5])])
    >>> spline_codes(net, [[2, 1], [0, 0], [1, 1]]).letters
    array([[1, 1],
           [0, 0],
           [0, 1]], dtype=uint8)
    """
    as_network(net)
    points, _ = net.shaped(X, "X")
    flat = points.reshape(len(points), net.dim_in)
    letters = np.zeros((len(flat), net.n_units), dtype=net.letter_dtype)
    undecided = np.zeros(letters.shape, dtype=bool)
    chunk = points_at_once(net)
    for first in range(0, len(flat), chunk):
        seen = enclose_pass(net, flat[first : first + chunk])
        letters[first : first + chunk], undecided[first : first + chunk] = seen.letters, seen.undecided
    for i in np.flatnonzero(undecided.any(axis=1)):
        letters[i], undecided[i] = decided_letters(net, flat[i])
    return SplineCodes(letters, undecided)


def piece_at(net: Network, x: object, along: AffineMap | None = None, toward: object = None) -> AffinePiece:
    """Return the affine piece whose closed cell contains x.

    Parameters
    ----------
    x : array
        A point of the input space (flat, or in the input's own shape); of the slice's coordinates with `along`.
    along : AffineMap, optional
        A slice of the input space: the piece then lives in the slice's coordinates.
    toward : array, optional
        At a point on a boundary, take the cell entered in this direction (same coordinates as x).

    Returns
    -------
    AffinePiece
        Its closed cell contains x. On a boundary the convention decides (z <= 0 is off, the first maximum
        wins); the cell may then have lower dimension: pass `toward` for a full-dimensional one (it is
        flat only if the direction runs within a boundary).

    Raises
    ------
    InputError
        On wrong shapes, NaN or infinities.

    Notes
    -----
    Cost: three forward passes (values, error bounds, liveness); one rational pass if x is within rounding
    distance of a boundary and the network is small enough. Source: THEORY, Montufar et al. 2014.

    Examples
    --------
    >>> net = Network.from_layers([([[1, -1], [1, 1]], [0, 0]), ([[1, 2]], [0.5])])
    >>> piece = piece_at(net, [2, 1])
    >>> piece.polyhedron.A
    array([[-1.,  1.],
           [-1., -1.]])
    >>> piece.affine_map.matrix
    array([[3., 1.]])
    """
    as_network(net)
    witness = witness_of(net, x, along)
    direction = None if toward is None else witness_of(net, toward, along, "toward")
    if direction is not None and not direction.any():
        raise InputError("toward is the zero vector: it enters no cell. Give a non-zero direction.")
    code, undecided, seen = letters_at(net, witness, along, direction)
    arrivals = _arrivals(net, code, along, seen)
    return AffinePiece(net, freeze(code), along, witness, undecided, arrivals)


def piece_with_code(
    net: Network, code: np.ndarray, witness: np.ndarray, along: AffineMap | None = None
) -> AffinePiece:
    """Return the affine piece with letters that are known already; the witness should lie in its closed cell."""
    return AffinePiece(net, freeze(code), along, witness, np.zeros(0, dtype=np.intp))


@dataclass(frozen=True, eq=False)
class AffinePiece:
    """One affine piece of a network, in the coordinates of the input space or of a slice.

    Made by `piece_at`. Everything past the code is computed when first read.

    Attributes
    ----------
    network : Network
    code : (n_units,) array
        The letters.
    along : AffineMap or None
        The slice whose coordinates everything is in; None for the input space.
    witness : (k,) array
        The point the piece was taken at; it lies in the closed cell.
    undecided : array of int
        Units whose letter floats could not decide and rationals could not reach: the cell is then that of
        the float letters, and statements about the point's own cell are not EXACT.
    seen_arrivals : tuple of Arrival or None
        `arrivals`, where the pass that found the letters has seen them.
    """

    network: Network
    code: np.ndarray
    along: AffineMap | None
    witness: np.ndarray
    undecided: np.ndarray
    seen_arrivals: tuple[Arrival, ...] | None = None

    def __repr__(self) -> str:
        return f"AffinePiece({len(self._candidates)} half-spaces in R^{self.dim_in}, of {self.network})"

    @property
    def dim_in(self) -> int:
        """Number of coordinates the cell lives in."""
        return self.network.dim_in if self.along is None else self.along.dim_in

    # -- rows --------------------------------------------------------------------------------------------

    @cached_property
    def arrivals(self) -> tuple[Arrival, ...]:
        """Per gate, which arriving entries depend on the coordinates at all, and which are the same."""
        return self.seen_arrivals or _arrivals(self.network, self.code, self.along, None)

    @cached_property
    def _candidates(self) -> RowLabels:
        """Rows of all live units; a few may vanish on the cell by cancellation, found when materialized."""
        return drawn_rows(self.network, self.code, self.arrivals)

    @property
    def is_large(self) -> bool:
        """Whether materializing all rows would exceed `BYTE_BUDGET`."""
        return self._bytes > BYTE_BUDGET

    @property
    def _bytes(self) -> int:
        return 16 * len(self._candidates) * self.dim_in

    @property
    def labels(self) -> RowLabels:
        """Unit and side of every row of `polyhedron` (of every live unit where that is too large)."""
        return self._candidates if self.is_large else self._materialized[0]

    @property
    def units(self) -> np.ndarray:
        """The unit that draws each row of `polyhedron`, (m,) columns."""
        return self.labels.units

    @property
    def polyhedron(self) -> Polyhedron:
        """The closed cell: one row per drawing unit and breakpoint or rival, none merged.

        A unit whose pre-activation is constant on the cell draws no row. Rows of a first layer are exact;
        deeper ones carry rounding bounds, and exact rows where the network is small enough.

        Raises
        ------
        TooLargeError
            If rows and bounds would exceed `BYTE_BUDGET`; use `rows(units)`, `slacks`, `rates`.
        """
        if self.is_large:
            raise TooLargeError(
                f"The polyhedron has {len(self._candidates)} rows in R^{self.dim_in}: "
                f"{self._bytes / 2**30:.1f} GiB with error bounds, above the budget of "
                f"{BYTE_BUDGET / 2**30:.1f} GiB. Ask for single rows with piece.rows(units), or "
                "for slacks and rates of all rows with piece.slacks / piece.rates."
            )
        return self._materialized[1]

    @cached_property
    def _materialized(self) -> tuple[RowLabels, Polyhedron]:
        """Push all columns; drop rows that vanish exactly on the cell."""
        labels = self._candidates
        A, A_error = self._normals(labels)
        b, b_error = (a[0] for a in self._slacks_from(np.zeros((1, self.dim_in)), labels))
        suspects = np.flatnonzero((np.abs(A) <= A_error).all(axis=1))
        if len(suspects) and self.network.exact().is_feasible:
            exact_A, _ = self.exact_rows(labels[suspects])
            vanish = [not any(row) for row in exact_A.table()]
        else:
            vanish = [not A_error[i].any() for i in suspects]
        kept = np.setdiff1d(np.arange(len(labels)), suspects[np.array(vanish, dtype=bool)])
        return labels[kept], self._assemble(labels[kept], A[kept], A_error[kept], b[kept], b_error[kept])

    def _normals(self, labels: RowLabels) -> tuple[np.ndarray, np.ndarray]:
        """Return outward normals (m, k) and their error bounds, pushing columns in chunks."""
        A, A_error = np.empty((len(labels), self.dim_in)), np.empty((len(labels), self.dim_in))
        chunk = points_at_once(self.network)
        for first in range(0, self.dim_in, chunk):
            columns = np.arange(first, min(first + chunk, self.dim_in))
            if self.along is None:
                directions = np.zeros((len(columns), self.dim_in))
                directions[np.arange(len(columns)), columns] = 1.0
            else:
                directions = self.along.matrix.T[columns]
            _, arrivals = enclose_directions(self.network, self.code, directions)
            rates, errors = row_slacks(self.network, self.code, labels, arrivals, homogeneous=True)
            A[:, columns], A_error[:, columns] = 0.0 - rates.T, errors.T  # no negative zeros
        return A, A_error

    def _assemble(
        self, labels: RowLabels, A: np.ndarray, A_error: np.ndarray, b: np.ndarray, b_error: np.ndarray
    ) -> Polyhedron:
        def source(rows: np.ndarray) -> tuple[flint.fmpq_mat, flint.fmpq_mat]:
            return self.exact_rows(labels[rows])

        exact = source if self.network.exact().is_feasible else None
        return Polyhedron(A, b, A_error, b_error, exact if A_error.any() or b_error.any() else None)

    def exact_rows(self, labels: RowLabels) -> tuple[flint.fmpq_mat, flint.fmpq_mat]:
        """Return exact rows (m, k) and right-hand sides (m, 1) in the piece's coordinates."""
        import flint

        rational = self.network.exact()
        A = rational.rows(self.code, labels.units, labels.sides).to_rational()
        b = flint.fmpq_mat(len(labels), 1, rational.offsets(self.code, labels.units, labels.sides))
        if self.along is None:
            return A, b
        return A * rational_matrix(self.along.matrix), b - A * rational_matrix(self.along.offset)

    def rows(self, units: object) -> Polyhedron:
        """Return the half-spaces that some units draw, by vector-Jacobian products.

        Rows follow `labels` order restricted to these units. Cost: two backward passes per row.
        """
        wanted = np.flatnonzero(np.isin(self._candidates.units, np.asarray(units)))
        return self.labeled_rows(self._candidates[wanted])

    def labeled_rows(self, labels: RowLabels) -> Polyhedron:
        """Return the half-spaces with these labels, in order, by vector-Jacobian products."""
        net = self.network
        A, A_error = np.zeros((len(labels), net.dim_in)), np.zeros((len(labels), net.dim_in))
        owners, chunk = net.units.gate_of(labels.units), points_at_once(net)
        for g in np.unique(owners):
            gate, members = net.gates[g], np.flatnonzero(owners == g)
            for first in range(0, len(members), chunk):
                rows = members[first : first + chunk]
                seed = row_seeds(gate, self.code, labels[rows])
                A[rows], A_error[rows] = enclose_adjoint(net, self.code, gate.inputs[0], seed)
        ambient = AffinePiece(net, self.code, None, np.zeros(net.dim_in), self.undecided, self.arrivals)
        b, b_error = (a[0] for a in ambient._slacks_from(np.zeros((1, net.dim_in)), labels))
        P = ambient._assemble(labels, A, A_error, b, b_error)
        return P if self.along is None else P.pullback(self.along)

    # -- slacks and rates of all rows, matrix-free ---------------------------------------------------------

    def slacks(self, points: object) -> tuple[np.ndarray, np.ndarray]:
        """Return slacks b - A w of all rows at points (N, k), and rigorous bounds on their errors, (N, m).

        Cost: two forward passes per point, whatever the number of rows.
        """
        return self._slacks_from(as_points(points, "points", self.dim_in), self.labels)

    def _slacks_from(self, points: np.ndarray, labels: RowLabels) -> tuple[np.ndarray, np.ndarray]:
        ambient, error = ambient_points(self.along, points)
        seen = enclose_pass(self.network, ambient, error=error, letters=self.code, keep=True)
        return row_slacks(self.network, self.code, labels, seen.inputs, homogeneous=False)

    def rates(self, directions: object) -> tuple[np.ndarray, np.ndarray]:
        """Return how fast the slacks of all rows fall along directions (N, k), A v, with error bounds (N, m).

        Cost: two Jacobian-vector products per direction, whatever the number of rows.
        """
        vectors = as_points(directions, "directions", self.dim_in)
        ambient, error = ambient_directions(self.along, vectors)
        _, arrivals = enclose_directions(self.network, self.code, ambient, error)
        slopes, errors = row_slacks(self.network, self.code, self.labels, arrivals, homogeneous=True)
        return -slopes, errors

    # -- the affine map ----------------------------------------------------------------------------------

    @cached_property
    def affine_map(self) -> AffineMap:
        """The network on this cell, from the piece's coordinates to the output, in floats.

        Raises
        ------
        TooLargeError
            If the matrix would exceed `BYTE_BUDGET`.
        """
        net, k = self.network, self.dim_in
        if 8 * net.dim_out * k > BYTE_BUDGET:
            raise TooLargeError(
                f"The affine map is {net.dim_out} x {k}: above {BYTE_BUDGET / 2**30:.1f} GiB."
            )
        offset_at, _ = ambient_points(self.along, np.zeros((1, k)))
        offset = enclose_pass(net, offset_at, letters=self.code).output.value.ravel()
        seed = np.eye(net.dim_out).reshape(net.dim_out, *net.output_shape)
        matrix, _ = enclose_adjoint(net, self.code, net.output, seed)
        return AffineMap(matrix if self.along is None else matrix @ self.along.matrix, offset)

    def exact_affine_map(self) -> tuple[flint.fmpq_mat, flint.fmpq_mat]:
        """Return the exact matrix (dim_out, k) and offset (dim_out, 1) as rationals.

        Raises
        ------
        TooLargeError
            If the network is too large for rational arithmetic.
        """
        matrix, offset = (m.to_rational() for m in self.network.exact().affine_map(self.code))
        if self.along is None:
            return matrix, offset
        return (
            matrix * rational_matrix(self.along.matrix),
            matrix * rational_matrix(self.along.offset) + offset,
        )


# -- helpers: slices, rows of a gate ---------------------------------------------------------------------------


def witness_of(net: Network, x: object, along: AffineMap | None, name: str = "x") -> np.ndarray:
    """Return one point of the input space, or of the slice's coordinates, as a flat array."""
    if along is not None:
        return as_vector(x, name, as_slice(along, net.dim_in).dim_in)
    return net.flat_point(x, name)


def _arrivals(
    net: Network, code: np.ndarray, along: AffineMap | None, seen: EnclosedPass | None
) -> tuple[Arrival, ...]:
    """Return per gate what is known of the arriving entries on the cell."""
    moving = None if along is None else along.matrix.any(axis=1)
    if seen is None or not (moving is None or moving.all()):
        seen = enclose_pass(net, np.zeros((1, net.dim_in)), letters=code, keep=True, live=moving)
    return tuple(Arrival.of(s) for s in seen.inputs)


def points_at_once(net: Network) -> int:
    """Return how many points or columns go through the network at once within a quarter of the budget."""
    widest = max([net.dim_in, *(s.size for s in net.steps)], default=1)
    windows = max([g.index.size for g in net.gates if isinstance(g, MaxGate)], default=0)
    return max(1, BYTE_BUDGET // 4 // (8 * (6 * widest + 4 * windows)))
