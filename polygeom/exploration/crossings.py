r"""The codes of the cells on the other side of a cell's facets.

Let C be the cell, F a facet, x inside C, w the facet's witness: beyond F and strictly inside every row that does
not coincide with F. The segment from x to w leaves C at

.. math:: p = x + \tau (w - x), \qquad \tau = \frac{s(x)}{s(x) - s(w)} \quad (s \text{ the slack of F's row}),

a point of the relative interior of F: all other rows are strictly satisfied there. The cell across is the one
entered from p in the direction w - x. It is the same for all such p: where a unit vanishes somewhere in the
relative interior of F, its row would cut C there, so it vanishes on all of F, and beyond F its sign is constant.

Flipping the facet's own unit is not enough: units of later layers may flip without drawing a row of C, others
may vanish on F and flip back. So the letters are those of the lexicographic rule (`RationalNetwork.letters`),
found

1. from structure, where nothing follows the units that draw F: just their own letters change;
2. in floats (`polygeom.one_sided`), with p in an enclosure and the units that draw F exactly on their breakpoints;
3. in rationals where floats leave letters open and the network is small enough; else they are undecided.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.certificates.facets import FacetReport
from polygeom.exact import ScaledMatrix, is_exact_array, nearest_float, rational_matrix
from polygeom.gates import Elementwise, Gate
from polygeom.network import Network
from polygeom.one_sided import KnownTies, enclose_toward
from polygeom.pieces import AffinePiece, points_at_once
from polygeom.polyhedron import Polyhedron
from polygeom.rounding import LARGEST, dot_error, gamma, round_up
from polygeom.rows import row_functions

__all__ = ["Crossings", "Walls", "crossings"]


@dataclass(frozen=True, eq=False)
class Crossings:
    """Where segments leave a cell through its facets, and the letters beyond.

    Attributes
    ----------
    points : (F, k) array
        The points p of the module docstring, rounded.
    directions : (F, k) array
        The directions w - x, rounded.
    letters : (F, n_units) array
        The letters of the cell across.
    undecided : (F,) bool array
        Where some letter could not be decided.
    """

    points: np.ndarray
    directions: np.ndarray
    letters: np.ndarray
    undecided: np.ndarray


@dataclass(frozen=True, eq=False)
class Walls:
    """The rows of a cell, those left out that structure shows to be the same half-space as a lower one.

    Attributes
    ----------
    piece : AffinePiece
    polyhedron : Polyhedron
        The cell, by the rows kept.
    kept : (m,) array of int
        Which rows of ``piece.polyhedron`` they are.
    leads : (n,) array of int
        For each row of ``piece.polyhedron`` the one kept for it.
    """

    piece: AffinePiece
    polyhedron: Polyhedron
    kept: np.ndarray
    leads: np.ndarray

    @classmethod
    def of(cls, piece: AffinePiece) -> Walls:
        """Compare the functions behind the rows: exact even where the rows are rounded (`row_functions`)."""
        names = row_functions(piece.network, piece.code, piece.labels)
        _, first, name = np.unique(names, axis=0, return_index=True, return_inverse=True)
        leads = first[name.ravel()]
        kept = np.unique(leads)
        whole = piece.polyhedron
        return cls(piece, whole if len(kept) == whole.n_rows else whole.select(kept), kept, leads)

    def ties(self, report: FacetReport) -> KnownTies:
        """Return which units vanish on which facet of the report: the owners of all rows that coincide with it."""
        facet = np.full(len(self.leads), -1)
        facet[self.kept[report.facets]] = np.arange(len(report.facets))
        for group in report.groups:
            facet[self.kept[list(group)]] = facet[self.kept[group[0]]]
        on = facet[self.leads]
        rows = np.flatnonzero(on >= 0)
        labels = self.piece.labels[rows]
        return KnownTies(on[rows], labels.units, labels.sides, self.piece.code[labels.units].astype(np.intp))


def crossings(walls: Walls, report: FacetReport) -> Crossings:
    """Return the letters across all facets of a piece with decided letters.

    Parameters
    ----------
    walls : Walls
    report : FacetReport
        The facets of ``walls.polyhedron``.

    Notes
    -----
    Cost: nothing but a product for units of the last layer, four forward passes for others.
    """
    piece, P = walls.piece, walls.polyhedron
    ways, ties = _Ways.of(P, report), walls.ties(report)
    F, net = len(report.facets), piece.network
    letters, undecided = np.repeat(piece.code[None], F, axis=0), np.ones(F, dtype=bool)
    last = _are_last(net)[net.units.gate_of(ties.units)]
    by_structure = np.bincount(ties.points[last], minlength=F) == np.bincount(ties.points, minlength=F)
    _flip(net, letters, ties[by_structure[ties.points]])
    undecided[by_structure] = False
    for first in range(0, F, points_at_once(net)):
        facets = np.arange(first, min(first + points_at_once(net), F))
        facets = facets[undecided[facets] & ways.sound[facets]]
        if len(facets):
            letters[facets], undecided[facets] = _by_floats(piece, ways, facets, ties)
    if net.exact().is_feasible:
        for f in np.flatnonzero(undecided):
            letters[f], undecided[f] = _by_rationals(walls, report, int(report.facets[f])), False
    return Crossings(ways.points, ways.directions, letters, undecided)


# -- where segments leave the cell ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Ways:
    """The segments from the interior point to the witnesses, and enclosures of where they leave the cell."""

    points: np.ndarray
    errors: np.ndarray
    directions: np.ndarray
    sound: np.ndarray  # whether the enclosure holds and the direction surely leaves the cell

    @classmethod
    def of(cls, P: Polyhedron, report: FacetReport) -> _Ways:
        r"""Enclose the crossing points.

        tau grows with s(x) and falls with -s(w), so bounds on both slacks bound it: two roundings each. The float
        point fl(x + fl(tau fl(w - x))) has three roundings more (`dot_error` with n = 2).
        """
        rows = report.facets
        certificates = [report.certificates[row].point for row in rows.tolist()]
        rounded = np.array([is_exact_array(point) for point in certificates], dtype=bool)
        rounded |= is_exact_array(report.interior)
        center = _floats(report.interior)
        witnesses = np.array([_floats(w) for w in certificates]).reshape(len(rows), P.dim)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            directions = witnesses - center
            inside, inside_error = _slacks(P, rows, np.broadcast_to(center, witnesses.shape))
            beyond, beyond_error = _slacks(P, rows, witnesses)
            rate, rate_error = _slacks(P.homogeneous(), rows, directions)
            high = _share(inside + inside_error, -beyond - beyond_error) * (1.0 + gamma(8))
            low = _share(inside - inside_error, -beyond + beyond_error) * (1.0 - gamma(8))
            share = 0.5 * (low + high)
            steps = share[:, None] * directions
            errors = dot_error(np.abs(center) + np.abs(steps), 2)
            errors = round_up(errors + round_up(high - low, 1)[:, None] * np.abs(directions), 4)
            points = center + steps
        sound = ~rounded & (inside > inside_error) & (beyond < -beyond_error) & (rate < -rate_error)
        sound &= np.isfinite(errors).all(axis=1) & np.isfinite(directions).all(axis=1)
        points, directions = (np.clip(np.nan_to_num(a), -LARGEST, LARGEST) for a in (points, directions))
        return cls(points, errors, directions, sound)


def _floats(point: np.ndarray) -> np.ndarray:
    """Return a point of floats or Fractions in floats."""
    return np.array([nearest_float(v) for v in point]) if is_exact_array(point) else point


def _share(inside: np.ndarray, beyond: np.ndarray) -> np.ndarray:
    return inside / (inside + beyond)


def _slacks(P: Polyhedron, rows: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the slack of row i at point i, and error bounds, as `Polyhedron.slack_enclosure` does."""
    A, b, spread = P.A[rows], P.b[rows], np.abs(points)
    magnitude = np.einsum("ij,ij->i", np.abs(A), spread) + np.abs(b)
    error = dot_error(magnitude, P.dim + 1)
    if P.A_error is not None:
        error = error + round_up(np.einsum("ij,ij->i", P.A_error[rows], spread), 2 * P.dim + 2)
    if P.b_error is not None:
        error = error + P.b_error[rows]
    return b - np.einsum("ij,ij->i", A, points), round_up(error, 3)


# -- letters from structure ------------------------------------------------------------------------------------


def _are_last(net: Network) -> np.ndarray:
    """Tell for every gate whether it is elementwise and no other gate depends on it."""
    reaches = np.zeros(len(net.steps) + 1, dtype=bool)  # whether a value reaches a gate
    for k in range(len(net.steps) - 1, -1, -1):
        step = net.steps[k]
        if isinstance(step, Gate) or reaches[k + 1]:
            reaches[list(step.inputs)] = True
    values = {id(step): k + 1 for k, step in enumerate(net.steps)}
    return np.array(
        [isinstance(g, Elementwise) and not reaches[values[id(g)]] for g in net.gates], dtype=bool
    )


def _flip(net: Network, letters: np.ndarray, ties: KnownTies) -> None:
    """Change in place the letters of elementwise units that cross their breakpoint.

    Upward the new letter counts the breakpoints up to the one crossed, downward those below it.
    """
    owners = net.units.gate_of(ties.units)
    for g in np.unique(owners):
        gate, mine = net.gates[g], owners == g
        local, sides = ties.units[mine] - gate.first_column, ties.sides[mine]
        levels = gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1)[:, local]
        crossed = levels[sides, np.arange(len(local))]
        up = sides >= ties.letters[mine]
        letters[ties.points[mine], ties.units[mine]] = np.where(
            up, (levels <= crossed).sum(axis=0), (levels < crossed).sum(axis=0)
        )


# -- letters by evaluation -------------------------------------------------------------------------------------


def _by_floats(
    piece: AffinePiece, ways: _Ways, facets: np.ndarray, ties: KnownTies
) -> tuple[np.ndarray, np.ndarray]:
    """Return letters across some facets from enclosures, and which facets have letters left open."""
    chosen = np.zeros(len(ways.points), dtype=bool)
    chosen[facets] = True
    points, directions = ways.points[facets], ways.directions[facets]
    start, along = (points, ways.errors[facets]), (directions, np.zeros_like(directions))
    if piece.along is not None:
        start, along = piece.along.enclose(*start), piece.along.linear_part.enclose(directions)
    letters, open_ = enclose_toward(piece.network, start, along, ties.at(chosen))
    return letters, open_.any(axis=1)


def _by_rationals(walls: Walls, report: FacetReport, row: int) -> np.ndarray:
    """Return the exact letters across one facet."""
    piece, witness = walls.piece, report.certificates[row].point
    ends = report.interior, witness
    inside, beyond = (walls.polyhedron.exact_slacks(point, np.array([row]))[0] for point in ends)
    center = rational_matrix(report.interior)
    direction = rational_matrix(witness) - center
    point = center + direction * (inside / (inside - beyond))
    if piece.along is not None:
        matrix = rational_matrix(piece.along.matrix)
        point, direction = matrix * point + rational_matrix(piece.along.offset), matrix * direction
    columns = (ScaledMatrix.from_rationals(v.nrows(), 1, v.entries()) for v in (point, direction))
    return piece.network.exact().letters(*columns)
