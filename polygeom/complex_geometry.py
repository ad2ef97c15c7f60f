r"""Recession cones, volumes and linear regions of a complex.

Linear regions. If one elementwise unit u flips across a facet, the affine maps there differ by

.. math:: T - T' = J_u (s_u - s_u') (z_u - \beta_u),

J_u the derivative of the output by the output of u (the same on both cells), s_u and s_u' the slopes and
:math:`\beta_u` the breakpoint, and z_u is not constant. So the maps differ if the slopes do and a fixed
combination of the entries of J_u is not 0, beyond its error bound: one backward pass for all units of a cell.
Otherwise, T and T' agree on the facet's hyperplane, so they are equal if and only if they agree at one point off
it, the witness: enclosures of both values may tell them apart. Equal are maps where no path of non-zero weights
and slopes leads from a unit that flips to the output; the rest is decided in rationals.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from polygeom.arrays import freeze
from polygeom.certificates.boundedness import RecessionCone
from polygeom.certificates.check import nearest_floats
from polygeom.complex_cells import Cells
from polygeom.complex_faces import skeleton
from polygeom.enclosures import enclose_pass
from polygeom.errors import UndecidedError
from polygeom.gates import Gate, MaxGate
from polygeom.network import Network
from polygeom.pieces import points_at_once
from polygeom.predicates.boundedness import boundedness, is_bounded, recession_cone
from polygeom.predicates.volumes import volume
from polygeom.rounding import U, gamma, round_up, underflow
from polygeom.steps import LinearStep

__all__ = [
    "bounded_cells",
    "cell_volumes",
    "exact_generators",
    "linear_labels",
    "recession_cone_of",
]


# -- boundedness and volumes -----------------------------------------------------------------------------------


def bounded_cells(cells: Cells) -> np.ndarray:
    """Return which cells are bounded (N,), as seen by the enumeration or else by one proof a cell.

    Raises
    ------
    UndecidedError
        If one could not be proved.
    """
    N = len(cells.arrays)
    if cells.arrays.bounded is not None:
        return cells.arrays.bounded
    if cells.domain is not None and is_bounded(cells.domain):
        return freeze(np.ones(N, dtype=bool))
    answers = [boundedness(cells.polyhedron(i), point=cells.arrays.witnesses[i]).bounded for i in range(N)]
    if None in answers:
        raise UndecidedError(f"Whether region {answers.index(None)} is bounded could not be proved.")
    return freeze(np.array(answers, dtype=bool))


def recession_cone_of(cells: Cells, region: int) -> RecessionCone:
    """Return the recession cone of a cell: from the sum of stored rays where that proves it, else searched for."""
    P = cells.polyhedron(region)
    if cells.arrays.vertices is not None:
        start, stop = cells.arrays.vertex_start[region : region + 2]
        rays = cells.arrays.vertices[start:stop]
        rays = rays[rays[:, -1] == 0, :-1]
        if len(rays):
            direction = (rays / np.abs(rays).max(axis=1, keepdims=True)).sum(axis=0)
            zero = np.flatnonzero(~P.A.any(axis=1))
            cone = RecessionCone(P.dim, direction, zero, np.ones(len(zero)), np.empty((0, P.dim)))
            if cone.holds(P):
                return cone
    return recession_cone(P)


def exact_generators(cells: Cells, region: int) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (n, k) and rays (m, k) of a cell, found exactly and rounded; lines are two opposite rays.

    Rays have largest entry 1: as integers they could be beyond all floats.

    Cost: some milliseconds.
    """
    _, V = skeleton(cells, region)
    everywhere = np.concatenate([V.rays, V.lines, -V.lines]) if len(V.lines) else V.rays
    points = V.points[:0] if len(V.lines) else V.points
    largest = np.abs(everywhere).max(axis=1, keepdims=True, initial=Fraction(0))
    return points, nearest_floats(everywhere / largest)


def cell_volumes(cells: Cells, exact: bool) -> np.ndarray:
    """Return the k-dimensional volumes (N,), infinity where unbounded: floats, or Fractions.

    Floats come from the stored vertices where there are any. Cost: 10 ms a cell for Fractions; nothing worth
    mentioning in the plane for floats, 0.2 ms a cell above.
    """
    sizes = np.full(len(cells.arrays), float("inf"), dtype=object if exact else np.float64)
    for region in np.flatnonzero(bounded_cells(cells)).tolist():
        stored = not exact and cells.arrays.vertices is not None
        sizes[region] = (_float_volume if stored else _exact_volume)(cells, region)
    return freeze(sizes)


def _exact_volume(cells: Cells, region: int) -> Fraction:
    P, _ = skeleton(cells, region)
    return volume(P)


def _float_volume(cells: Cells, region: int) -> float:
    """Return the volume of the hull of the stored vertices, rounded."""
    start, stop = cells.arrays.vertex_start[region : region + 2]
    points = cells.arrays.vertices[start:stop]
    points = points[:, :-1] / points[:, -1:]
    points = points - points.mean(axis=0)
    if cells.dim == 1:
        return float(np.ptp(points))
    if cells.dim == 2:
        x, y = points[np.argsort(np.arctan2(points[:, 1], points[:, 0]))].T
        return float(0.5 * np.abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
    from scipy.spatial import ConvexHull, QhullError

    try:
        return float(ConvexHull(points).volume)
    except QhullError:  # too flat for floats
        return float(_exact_volume(cells, region))


# -- linear regions --------------------------------------------------------------------------------------------


def linear_labels(cells: Cells, edges: np.ndarray) -> np.ndarray:
    """Return the linear region (N,) of every cell: components of cells joined where their affine maps are equal.

    Parameters
    ----------
    edges : (E, 2) array
        Pairs of cells that share a facet.

    Raises
    ------
    UndecidedError
        If two maps could not be told apart, and the network is too large for rational arithmetic.
    """
    import scipy.sparse
    from scipy.sparse.csgraph import connected_components

    same = np.zeros(len(edges), dtype=bool)
    compare = _map_comparison(cells)
    at_once = points_at_once(cells.network)
    for first in range(0, len(edges), at_once):
        chosen = edges[first : first + at_once]
        unclear = first + np.flatnonzero(~_differ_by_one_unit(cells, chosen))
        unclear = unclear[~_apart(cells, *edges[unclear].T)] if len(unclear) else unclear
        if not len(unclear):
            continue
        same[unclear] = _is_cut_off(cells, *edges[unclear].T)
        for e in unclear[~same[unclear]].tolist():
            same[e] = compare(*edges[e].tolist())
    N, (i, j) = len(cells.arrays), edges[same].T
    joined = scipy.sparse.coo_array((np.ones(len(i), dtype=bool), (i, j)), shape=(N, N))
    return freeze(connected_components(joined, directed=False)[1])


@np.errstate(over="ignore", invalid="ignore")
def _differ_by_one_unit(cells: Cells, edges: np.ndarray) -> np.ndarray:
    """Tell where just one unit flips and its effect on the output is not 0 for sure (networks without maxima)."""
    net = cells.network
    if not net.gates or any(isinstance(gate, MaxGate) for gate in net.gates):
        return np.zeros(len(edges), dtype=bool)
    regions, place = np.unique(edges[:, 0], return_inverse=True)
    value, error = _effects(net, cells.unpack(cells.arrays.packed[regions]))
    ours, theirs = (cells.unpack(cells.arrays.packed[k]) for k in edges.T)
    unit, row = (ours != theirs).argmax(axis=1), np.arange(len(edges))
    slopes = np.zeros((max(g.n_letters for g in net.gates), net.n_units))
    for gate in net.gates:
        slopes[: gate.n_letters, gate.columns] = gate.table(gate.slopes).reshape(gate.n_letters, -1)
    bends = slopes[ours[row, unit], unit] != slopes[theirs[row, unit], unit]
    matters = np.abs(value[place, unit]) > error[place, unit]
    return bends & matters & ((ours != theirs).sum(axis=1) == 1)


def _effects(net: Network, letters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivative of one combination of the outputs by each unit's output, (N, n_units), with bounds.

    A backward pass with running error bounds, as `polygeom.enclosures.enclose_adjoint`, cell by cell.
    """
    N = len(letters)
    value, error = np.zeros(letters.shape), np.zeros(letters.shape)

    def linear(step: LinearStep, state: tuple[np.ndarray, np.ndarray]) -> tuple:
        terms, (v, e) = step.adjoint_terms, state
        errors = step.magnitude.adjoint(e + gamma(2 * terms + 8) * np.abs(v))
        bounds = (round_up(b, terms + 4) + underflow(terms) for b in errors)
        return tuple(zip(step.adjoint(v), bounds, strict=True))

    def gate(step: Gate, state: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        v, e = state
        value[:, step.columns], error[:, step.columns] = v.reshape(N, -1), e.reshape(N, -1)
        slope = step.chosen(step.slopes, letters[:, step.columns].reshape(N, *step.shape))
        opened = slope * v
        rounding = gamma(4) * np.abs(opened) + underflow(1)
        return opened, np.where(slope == 0, 0.0, round_up(np.abs(slope) * e + rounding, 3))

    def add(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> tuple:
        total = a[0] + b[0]
        return total, round_up(a[1] + b[1] + U * np.abs(total), 2)

    weights = np.random.default_rng(0).uniform(1.0, 2.0, net.output_shape)
    seed = np.broadcast_to(weights, (N, *net.output_shape))
    net.fold_back({net.output: (seed, np.zeros_like(seed))}, linear, gate, add)
    return value, error


def _apart(cells: Cells, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Tell where the affine maps of two cells certainly differ at the witness of the first."""
    points = cells.arrays.witnesses[i]
    ambient, error = (points, None) if cells.along is None else cells.along.enclose(points)
    here, there = (
        enclose_pass(cells.network, ambient, error=error, letters=cells.unpack(cells.arrays.packed[k])).output
        for k in (i, j)
    )
    gap, errors = np.abs(here.value - there.value), round_up(here.error + there.error, 3)
    return (gap > errors).reshape(len(i), -1).any(axis=1)


def _is_cut_off(cells: Cells, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Tell where no path of non-zero weights and slopes leads from a unit that flips to the output."""
    net: Network = cells.network
    ours, theirs = (cells.unpack(cells.arrays.packed[k]) for k in (i, j))
    reached = np.zeros(len(i), dtype=bool)

    def linear(step: LinearStep, state: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple((part > 0).astype(np.float64) for part in step.magnitude.adjoint(state))

    def gate(step: Gate, state: np.ndarray) -> np.ndarray:
        mine, other = (letters[:, step.columns].reshape(len(i), *step.shape) for letters in (ours, theirs))
        reached[:] |= ((state > 0) & (mine != other)).reshape(len(i), -1).any(axis=1)
        if isinstance(step, MaxGate):
            back = np.zeros((len(i), int(np.prod(step.shapes[0], dtype=np.int64))))
            np.add.at(back, (np.arange(len(i))[:, None], step.winners(mine)), state.reshape(len(i), -1))
            return back.reshape(len(i), *step.shapes[0])
        return state * (step.chosen(step.slopes, mine) != 0)

    seed = np.ones((len(i), *net.output_shape))
    net.fold_back({net.output: seed}, linear, gate, lambda a, b: ((a + b) > 0).astype(np.float64))
    return ~reached


def _map_comparison(cells: Cells) -> Callable[[int, int], bool]:
    """Return the exact comparison of two cells' affine maps; each map is made once."""
    kept: dict[int, tuple] = {}

    def exact_map(region: int) -> tuple:
        if region not in kept:
            if not cells.network.exact().is_feasible:
                raise UndecidedError(
                    f"Whether the affine map of region {region} equals a neighbor's is within rounding errors, "
                    "and the network is too large for rational arithmetic."
                )
            matrix, offset = cells.piece(region).exact_affine_map()
            kept[region] = (matrix.entries(), offset.entries())
        return kept[region]

    return lambda i, j: exact_map(i) == exact_map(j)
