"""Where a ray leaves its cell, and which boundaries are nearest: matrix-free, so also through large networks.

Both compare quotients of enclosed numbers: a row that could stop the ray no earlier than another surely does is
discarded; what is left is decided in rationals where the network allows it, in doubled precision elsewhere, and
listed where that does not tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from polygeom.affine import AffineMap, as_slice
from polygeom.arrays import as_array, as_count, as_points, freeze
from polygeom.certificates.chebyshev import norm_interval
from polygeom.certificates.check import Level
from polygeom.errors import InputError
from polygeom.exact import fraction, nearest_float, rational_matrix
from polygeom.gates import Elementwise, Gate, MaxGate
from polygeom.intervals import stopping_bounds
from polygeom.letters import ambient_directions, ambient_points
from polygeom.network import Network, as_network
from polygeom.pieces import BYTE_BUDGET, AffinePiece, piece_at, witness_of
from polygeom.polyhedron import Polyhedron
from polygeom.rounding import TINY, gamma, round_up
from polygeom.rows import RowLabels, row_functions
from polygeom.steps import Convolution, Dense, LinearStep
from polygeom.stops import ray_stops

if TYPE_CHECKING:
    import flint

__all__ = ["NearestBoundaries", "RayExit", "nearest_boundaries", "ray_exit"]


@dataclass(frozen=True, eq=False)
class RayExit:
    """The first boundary on a ray.

    Attributes
    ----------
    t : float
        x + t direction is where the ray leaves the cell of x; inf if it never does.
    bounds : (float, float)
        The exact t lies between them: 0 and infinity if the cell of x itself is not certain.
    exact : Fraction or None
        The exact t, where rationals gave it.
    units : array of int
        The unit (several if they coincide there) whose boundary stops the ray; empty at infinity. Letters
        of others may change there with it, or its own may not: where a ReLU leaves 0 the winner of a max-pooling
        window changes too, and only one of the two draws the half-space. `line_crossings` lists what changes.
    level : Level
        EXACT if these units, and no others, stop the ray; CERTIFIED if `units` lists several candidates that
        floats cannot tell apart and rationals cannot reach.
    piece : AffinePiece
        The piece left.
    """

    t: float
    bounds: tuple[float, float]
    exact: Fraction | None
    units: np.ndarray
    level: Level
    piece: AffinePiece


def ray_exit(
    net: Network, x: object, direction: object, along: AffineMap | None = None
) -> RayExit | tuple[RayExit, ...]:
    """Return the first boundary met from x in a direction, or in each of many, among all units of the network.

    Parameters
    ----------
    x : array
        Point of the input space (flat, or in the input's own shape), or in slice coordinates.
    direction : array
        One direction, likewise, or D of them as rows.
    along : AffineMap, optional
        The slice.

    Returns
    -------
    RayExit or tuple of D RayExit

    Notes
    -----
    At a point on a boundary the cell entered in the direction counts. Cost: a few forward passes and one
    Jacobian-vector product per direction, whatever the number of units; rationals only for ties, or, in networks
    too large for them, doubled precision (`polygeom.doubled`): some 15 forward passes. Directions given
    together share the passes, and are carried through the network together; from a point on a boundary each
    direction enters its own cell and is followed by itself.

    Raises
    ------
    InputError
        On a zero direction, wrong shapes, NaN or infinities.

    Examples
    --------
    >>> net = Network.from_layers([([[1, 0], [0, 1]], [-1, -2]), ([[1, 1]], [0])])
    >>> hit = ray_exit(net, [0, 0], [1, 1])
    >>> hit.t, hit.exact, hit.units
    (1.0, Fraction(1, 1), array([0]))
    >>> [hit.t for hit in ray_exit(net, [0, 0], [[1, 1], [0, 1], [-1, -1]])]
    [1.0, 2.0, inf]
    """
    as_network(net)
    vectors, single = _directions(net, direction, along)
    if not net.exact().is_feasible:
        hits = _exits_without_rationals(net, witness_of(net, x, along), vectors, along)
        return hits[0] if single else tuple(hits)
    if single:
        return _exits(piece_at(net, x, along=along, toward=vectors[0]), vectors)[0]
    piece = piece_at(net, x, along=along)
    slack, error = piece.slacks(piece.witness)
    if (slack > error).all():  # x lies inside its cell, which is then the one that every direction enters
        return tuple(_exits(piece, vectors))
    return tuple(_exits(piece_at(net, x, along=along, toward=v), v[None])[0] for v in vectors)


def _directions(net: Network, direction: object, along: AffineMap | None) -> tuple[np.ndarray, bool]:
    """Return directions as rows, and whether a single one was given."""
    if along is None:
        shaped, single = net.shaped(direction, "direction")
        vectors = shaped.reshape(len(shaped), net.dim_in)
    else:
        vectors = as_points(direction, "direction", as_slice(along, net.dim_in).dim_in)
        single = np.ndim(direction) < 2
    still = np.flatnonzero(~vectors.any(axis=1))
    if len(still):
        which = "direction" if single else f"direction {still[0]}"
        raise InputError(f"{which} is the zero vector: the ray never leaves x. Give a non-zero direction.")
    return vectors, single


def _exits(piece: AffinePiece, vectors: np.ndarray) -> list[RayExit]:
    """Return where rays leave a piece, carrying as many directions together as memory allows."""
    slacks = tuple(a[0] for a in piece.slacks(piece.witness))
    at_once = max(1, BYTE_BUDGET // 4 // (32 * max(1, len(piece.labels))))
    found: list[RayExit] = []
    for first in range(0, len(vectors), at_once):
        chunk = vectors[first : first + at_once]
        for vector, *rates in zip(chunk, *piece.rates(chunk), strict=True):
            found.append(_exit(piece, vector, slacks, rates))
    return found


def _exit(
    piece: AffinePiece, vector: np.ndarray, slacks: Sequence[np.ndarray], rates: Sequence[np.ndarray]
) -> RayExit:
    """Return where a ray leaves a piece, from slacks and rates of all rows, each with error bounds."""
    labels = piece.labels
    earliest, latest = stopping_bounds(*slacks, *rates)
    earliest = np.maximum(earliest, 0.0)  # the witness lies in the closed cell
    first = latest.min(initial=np.inf)
    candidates = np.flatnonzero((earliest <= first) & (earliest < np.inf))
    level = Level.EXACT if not len(piece.undecided) else Level.CERTIFIED
    if not len(candidates):
        return RayExit(np.inf, (np.inf, np.inf), None, np.zeros(0, dtype=np.intp), level, piece)
    return _exact_exit(piece, vector, labels[candidates], level)


def _exits_without_rationals(
    net: Network, witness: np.ndarray, vectors: np.ndarray, along: AffineMap | None
) -> list[RayExit]:
    """Return where rays leave their cells, as far as doubled numbers can tell."""
    found: list[RayExit] = []
    for seen in ray_stops(net, ambient_points(along, witness[None]), ambient_directions(along, vectors)):
        piece = AffinePiece(net, freeze(seen.letters), along, witness, np.flatnonzero(seen.undecided))
        level, stops = Level.EXACT if seen.is_decided else Level.CERTIFIED, seen.stops
        low, first = float(stops.earliest.min(initial=np.inf)), stops.deadline
        if seen.undecided.any():  # the cell itself is not certain, so neither is where it ends
            low, first = 0.0, np.inf
        t = float(np.clip(stops.ratios.min(initial=np.inf), low, first))
        found.append(RayExit(t, (low, first), None, np.unique(stops.labels.units), level, piece))
    return found


def _exact_exit(piece: AffinePiece, vector: np.ndarray, labels: RowLabels, level: Level) -> RayExit:
    """Decide between the last candidates in rationals."""
    A, b = piece.exact_rows(labels)
    slacks = (b - A * rational_matrix(piece.witness)).entries()
    rates = (A * rational_matrix(vector)).entries()
    stops = {i: s / r for i, (s, r) in enumerate(zip(slacks, rates, strict=True)) if r > 0}
    if not stops:
        return RayExit(np.inf, (np.inf, np.inf), None, np.zeros(0, dtype=np.intp), level, piece)
    first = min(stops.values())
    units = np.unique(labels.units[[i for i, t in stops.items() if t == first]])
    t, nearest = fraction(first), nearest_float(first)
    bounds = (float(np.nextafter(nearest, -np.inf)), float(np.nextafter(nearest, np.inf)))
    is_float = np.isfinite(nearest) and Fraction(nearest) == t
    return RayExit(nearest, (nearest, nearest) if is_float else bounds, t, units, level, piece)


Measure = tuple[float, float, float, int]
"""Upper bound, lower bound, distance and row of one boundary."""


# -- nearest boundaries ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class NearestBoundaries:
    """The hyperplanes of a cell nearest to its witness, in Euclidean distance, nearest first.

    The nearest one (if unique) is a facet: the foot of its perpendicular violates no other row.

    Attributes
    ----------
    distances : (k,) array
        Distances ``slack / |a|``, positive.
    bounds : (k, 2) array
        Rigorous bounds on each.
    labels : RowLabels
        Unit and side of each.
    touching : RowLabels
        Rows the witness lies exactly on (distance 0), which are not among the above.
    level : Level
        EXACT if every row left out is proved to be at least as far as the last listed, or touching.
    rows_measured : int
        How many rows had to be computed.
    """

    distances: np.ndarray
    bounds: np.ndarray
    labels: RowLabels
    touching: RowLabels
    level: Level
    rows_measured: int

    @property
    def units(self) -> np.ndarray:
        """The units of the nearest boundaries, nearest first."""
        return self.labels.units


def nearest_boundaries(
    net: Network, x: object, k: int = 1, along: AffineMap | None = None, piece: AffinePiece | None = None
) -> NearestBoundaries:
    """Return the k hyperplanes of the cell of x that are nearest to x, apart from those x lies on.

    Parameters
    ----------
    net : Network
    x : (n,) or (k,) array
        A point of the input space, or of the slice.
    k : int
        How many; all there are, if fewer.
    along : AffineMap, optional
        The slice R^k -> R^n; distances are then those in its coordinates.
    piece : AffinePiece, optional
        The piece of x, if it is known already.

    Raises
    ------
    InputError
        If k is not a positive whole number, x is not a point of that space, or `piece` is another one.

    Notes
    -----
    Rows are measured best first: the row norm is at most what the absolute values of the layers give
    (exact for a first layer), so a row with slack s is no nearer than s over that bound; rows are computed by
    vector-Jacobian products until the k-th nearest is nearer than all bounds left.

    Examples
    --------
    >>> net = Network.from_layers([([[3, 4], [0, 1]], [0, -2]), ([[1, 1]], [0])])
    >>> near = nearest_boundaries(net, [1, 1], k=2)
    >>> near.distances, near.units
    (array([1. , 1.4]), array([1, 0]))
    """
    as_network(net)
    as_count(k, "k", 1)
    if piece is None:
        piece = piece_at(net, x, along=along)
    elif not isinstance(piece, AffinePiece) or not (
        piece.network is net and np.array_equal(piece.witness, as_array(x, "x").ravel())
    ):
        raise InputError(
            "piece is not the AffinePiece of this network at x; leave it out or pass piece.witness as x."
        )
    labels = piece.labels
    slack, error = (a[0] for a in piece.slacks(piece.witness))
    level = Level.CERTIFIED if len(piece.undecided) else Level.EXACT
    undecided = np.flatnonzero((slack <= error) & (error > 0))
    if len(undecided) and net.exact().is_feasible:
        A, b = piece.exact_rows(labels[undecided])
        exact = (b - A * rational_matrix(piece.witness)).entries()
        slack[undecided] = [nearest_float(s) for s in exact]
        error[undecided] = gamma(1) * np.abs(slack[undecided]) + TINY
        touches = ~(slack > error)
        touches[undecided] = [s == 0 for s in exact]
    else:
        touches = ~(slack > error)
        level = Level.CERTIFIED if len(undecided) else level
    touching, apart = np.flatnonzero(touches), np.flatnonzero(~touches)
    ceiling = _norm_bounds(piece, labels[apart])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        floor = _at_least(slack[apart] - error[apart], ceiling)
    distances, bounds, rows, measured, proved = _best_first(piece, apart, floor, (slack, error), int(k))
    level = level if proved else Level.CERTIFIED
    return NearestBoundaries(distances, bounds, labels[rows], labels[touching], level, measured)


def _best_first(
    piece: AffinePiece, apart: np.ndarray, floor: np.ndarray, slacks: tuple[np.ndarray, np.ndarray], k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, bool]:
    """Measure rows in order of their least possible distance until the k nearest are known.

    Returns distances, bounds, rows, how many rows were measured, and whether no other row can be nearer.
    """
    order = np.argsort(floor, kind="stable")
    found: list[Measure] = []
    batch, measured = max(32, k), 0
    while measured < len(order):
        if len(found) >= k and floor[order[measured]] > found[k - 1][0]:
            break
        rows = apart[order[measured : measured + batch]]
        found = sorted(found + _measured(piece, rows, slacks))
        measured += len(rows)
    best, proved = _settled(piece, found, k)
    bounds = np.array([(low, high) for high, low, _, _ in best]).reshape(-1, 2)
    rows = np.array([r for *_, r in best], dtype=np.intp)
    return np.array([m for _, _, m, _ in best]), bounds, rows, measured, proved


def _measured(piece: AffinePiece, rows: np.ndarray, slacks: tuple[np.ndarray, np.ndarray]) -> list[Measure]:
    """Measure some rows; those proved to vanish are left out."""
    slack, error = slacks[0][rows], slacks[1][rows]
    P = _rows_of(piece, rows)
    low, high = norm_interval(P)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        upper = np.where(low > 0, (slack + error) / low * (1 + gamma(8)) + TINY, np.inf)
        lower = _at_least(slack - error, high)
        middle = np.where(low > 0, slack / (0.5 * low + 0.5 * high), lower)
    kept = high > 0
    return [
        (u, v, m, r)
        for u, v, m, r in zip(
            upper[kept].tolist(),
            lower[kept].tolist(),
            middle[kept].tolist(),
            rows[kept].tolist(),
            strict=True,
        )
    ]


def _at_least(slack: np.ndarray, norm: np.ndarray) -> np.ndarray:
    """Return lower bounds on distances slack / norm, 0 where the slack is not positive.

    Four roundings, within gamma(8) of the truth; below the normal floats those of quotient and product lose at
    most half of the smallest float each, far less than TINY.
    """
    distance = np.nan_to_num(np.maximum(slack, 0.0) / norm) * (1 - gamma(8))
    return np.maximum(distance - TINY, 0.0)


def _settled(piece: AffinePiece, found: list[Measure], k: int) -> tuple[list[Measure], bool]:
    """Return the k nearest of the measured rows, and whether no other can be nearer.

    Rows whose bounds overlap those of the last one listed are compared in rationals, where their exact rows are
    within reach; the same half-space drawn twice needs no comparison.
    """
    best, last = found[:k], found[min(k, len(found)) - 1][0] if found else 0.0
    rivals = [measure for measure in found[k:] if measure[1] < last]
    if not rivals or not np.isfinite(last):
        return best, bool(np.isfinite(last))
    contenders = best + rivals
    P = _rows_of(piece, np.array([r for *_, r in contenders]))
    if P.has_exact_rows:
        squares = _exact_squares(P, piece.witness)
        order = sorted(range(len(contenders)), key=squares.__getitem__)
        return [contenders[i] for i in order[:k]], True
    names = row_functions(piece.network, piece.code, piece.labels)
    listed = {tuple(names[r]) for *_, r in best}
    return best, all(tuple(names[r]) in listed for *_, r in rivals)


def _rows_of(piece: AffinePiece, rows: np.ndarray) -> Polyhedron:
    """Return some half-spaces of a piece of any size."""
    return piece.labeled_rows(piece.labels[rows]) if piece.is_large else piece.polyhedron.select(rows)


def _exact_squares(P: Polyhedron, point: np.ndarray) -> list[flint.fmpq]:
    """Return the exact squared distances of a point to all hyperplanes."""
    A, b = P.exact_rows(np.arange(P.n_rows))
    slacks = (b - A * rational_matrix(point)).entries()
    return [s * s / sum(a * a for a in row) for s, row in zip(slacks, A.table(), strict=True)]


def _norm_bounds(piece: AffinePiece, labels: RowLabels) -> np.ndarray:
    """Return upper bounds on the norms of rows without computing them (small pieces: from the rows)."""
    if not piece.is_large:
        return norm_interval(piece.polyhedron.select(_mask(piece.labels, labels)))[1]
    arrivals = _arrival_norms(piece)
    net, bounds = piece.network, np.zeros(len(labels))
    owners = net.units.gate_of(labels.units)
    for g in np.unique(owners):
        gate, rows = net.gates[g], np.flatnonzero(owners == g)
        local = labels.units[rows] - gate.first_column
        norm = arrivals[g].ravel()
        if isinstance(gate, MaxGate):
            letter = piece.code[labels.units[rows]].astype(np.intp)
            bounds[rows] = norm[gate.index[local, letter]] + norm[gate.index[local, labels.sides[rows]]]
        else:
            bounds[rows] = norm[local]
    return round_up(bounds, 2)


def _mask(labels: RowLabels, chosen: RowLabels) -> np.ndarray:
    width = int(labels.sides.max(initial=0)) + 1
    return np.isin(labels.units * width + labels.sides, chosen.units * width + chosen.sides)


def _arrival_norms(piece: AffinePiece) -> list[np.ndarray]:
    """Return per gate upper bounds on the Jacobian row norms of its arriving entries.

    Norms add up at most by the triangle inequality, |sum_j L_j row_j| <= sum_j |L_j| |row_j|. Straight from the
    input the rows are orthonormal, and the norm is that of the coefficients.
    """
    net, stretch = piece.network, 1.0
    if piece.along is not None:
        stretch = float(np.linalg.norm(piece.along.matrix)) * (1 + gamma(2 * piece.along.matrix.size))
    arrivals: list[np.ndarray] = []

    def linear(step: LinearStep, *norms: np.ndarray) -> np.ndarray:
        if isinstance(step, (Dense, Convolution)) and step.inputs == (0,):
            squared = replace(step, weight=step.weight**2, constant=None)
            return round_up(np.sqrt(round_up(squared.linear(*norms), step.terms + 2)), 1)
        return round_up(step.magnitude.linear(*norms), step.terms + 2)

    def gate(step: Gate, norms: np.ndarray) -> np.ndarray:
        arrivals.append(norms * stretch)
        letters = piece.code[step.columns].reshape(1, *step.shape)
        if isinstance(step, Elementwise):
            return round_up(np.abs(step.chosen(step.slopes, letters)) * norms, 1)
        return norms.reshape(1, -1)[:, step.winners(letters)[0]].reshape(1, *step.shape)

    net.fold(np.ones((1, *net.input_shape)), linear, gate)
    return arrivals
