r"""Which rows stop a ray first, gate by gate: a row that surely stops it no sooner than another is soon left out.

A row with slack s and rate r stops the ray at s / r. With bounds :math:`s \ge s^-`, :math:`r \le r^+`, and a time
T by which some row surely has, it need not be looked at if :math:`r^+ \le 0` or :math:`s^- > T r^+`. Both sides
are computed with at most four roundings of their terms, which 8 u times the terms' absolute values pay for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from polygeom.doubled import BITS, Doubled, double_directions, double_pass
from polygeom.enclosures import OVERFLOW_IS_UNKNOWN, Enclosed, enclose_directions
from polygeom.gates import Elementwise, Gate, MaxGate
from polygeom.intervals import stopping_bounds
from polygeom.network import Network
from polygeom.one_sided import Enclosure, OneSidedPass, doubled_one_sided_pass, one_sided_pass
from polygeom.rounding import TINY, U
from polygeom.rows import RowLabels, gate_slacks, row_functions
from polygeom.steps import LinearStep

__all__ = ["RayStops", "Stops", "first_stops", "ray_stops"]

SHALLOW = 10
"""Linear steps one after the other up to which values are carried in floats first: their bounds grow about tenfold
a step, and further on leave letters open. Doubled values cost no more than one such attempt in vain."""

FIRST_BITS = 86, 62
"""Bits of values and derivatives in a first doubled pass: 7 and 6 products a step for most float32 weights."""

SHARED_BYTES = 2**28
"""Bytes of derivatives of directions that are carried through the network together."""


@dataclass(frozen=True, eq=False)
class Stops:
    """Rows that may be the first to stop a ray.

    Attributes
    ----------
    labels : RowLabels
        The rows, (m,).
    earliest, latest : (m,) arrays
        Bounds on the t at which each stops the ray; the latest is inf where it may not.
    ratios : (m,) array
        Slack over rate, in floats.
    """

    labels: RowLabels
    earliest: np.ndarray
    latest: np.ndarray
    ratios: np.ndarray

    @property
    def deadline(self) -> float:
        """A time by which some row surely has stopped the ray; inf if none surely does."""
        return float(self.latest.min(initial=np.inf))

    def before(self, deadline: float) -> Stops:
        """Return the rows that may stop the ray by then."""
        kept = (self.earliest <= deadline) & (self.earliest < np.inf)
        return Stops(self.labels[kept], self.earliest[kept], self.latest[kept], self.ratios[kept])


@dataclass(frozen=True, eq=False)
class RayStops:
    """What stops one ray first.

    Attributes
    ----------
    letters, undecided : (n_units,) arrays
        Letters of the cell that the ray runs in, and which of them stay open.
    stops : Stops
        The rows that may stop it first.
    is_decided : bool
        Whether these rows are all one function, and surely stop it.
    """

    letters: np.ndarray
    undecided: np.ndarray
    stops: Stops
    is_decided: bool


def ray_stops(net: Network, point: Enclosure, directions: Enclosure) -> Iterator[RayStops]:
    """Yield what stops rays from one point first.

    Parameters
    ----------
    point, directions : pairs of arrays
        Values (1, dim_in) and (D, dim_in), with bounds on their errors.

    Notes
    -----
    Floats decide if they can, doubled numbers (`polygeom.doubled`) otherwise. Directions share the pass of the
    point, unless one of them enters another cell than the first.
    """
    count = len(directions[0])
    rays = [(directions[0][i : i + 1], directions[1][i : i + 1]) for i in range(count)]
    if not rays:
        return
    seen = _pass(net, point, rays[0])
    yield _settled(net, seen, seen.slopes, point, rays[0])
    at_once = max(1, SHARED_BYTES // (64 * max(1, net.n_units)))
    is_alone = _ties(net, seen.values, seen.slopes)  # then so is every other, most likely
    for first in range(1, count, at_once):
        chunk = slice(first, first + at_once)
        together = directions[0][chunk], directions[1][chunk]
        shared = [None] * len(rays[chunk]) if is_alone else _slopes(net, seen, together)
        for ray, slopes in zip(rays[chunk], shared, strict=True):
            if slopes is None or _ties(net, seen.values, slopes):
                own = _pass(net, point, ray)
                yield _settled(net, own, own.slopes, point, ray)
            else:
                yield _settled(net, seen, slopes, point, ray)


def _pass(net: Network, point: Enclosure, direction: Enclosure) -> OneSidedPass:
    """Return what a point and a direction see, in floats if these decide all letters."""
    seen = one_sided_pass(net, point, direction) if _depth(net) <= SHALLOW else None
    if seen is None:
        seen = doubled_one_sided_pass(net, point, direction, FIRST_BITS)
        if seen.undecided.any():
            seen = doubled_one_sided_pass(net, point, direction, (BITS, BITS))
    return seen


def _slopes(
    net: Network, seen: OneSidedPass, directions: Enclosure
) -> list[tuple[Enclosed, ...]] | list[tuple[Doubled, ...]]:
    """Return for each direction its derivatives at the gates, as precise as those of the pass."""
    if _is_doubled(seen.values):
        _, fine = double_directions(net, seen.letters, *directions, bits=FIRST_BITS[1])
        return [
            tuple(Doubled(s.value[i : i + 1], s.rest[i : i + 1], s.error[i : i + 1]) for s in fine)
            for i in range(len(directions[0]))
        ]
    _, slopes = enclose_directions(net, seen.letters, *directions)
    return [
        tuple(Enclosed(s.value[i : i + 1], s.error[i : i + 1]) for s in slopes)
        for i in range(len(directions[0]))
    ]


def _is_doubled(values: tuple[Enclosed | Doubled, ...]) -> bool:
    return any(isinstance(v, Doubled) for v in values)


def _depth(net: Network) -> int:
    """Return how many linear steps that compute something follow each other at most."""
    depths = {0: 0}
    for k, step in enumerate(net.steps, start=1):
        own = isinstance(step, LinearStep) and not step.moves_only
        depths[k] = own + max(depths[i] for i in step.inputs)
    return max(depths.values())


def _ties(
    net: Network, values: tuple[Enclosed | Doubled, ...], slopes: tuple[Enclosed | Doubled, ...]
) -> bool:
    """Tell whether the point may be on a boundary that the direction leaves, and so choose the cell."""
    return any(map(_gate_ties, net.gates, values, slopes))


def _gate_ties(gate: Gate, value: Enclosed | Doubled, slope: Enclosed | Doubled) -> bool:
    moves = (value.error == 0) & ((slope.value != 0) | (slope.error != 0))
    if not moves.any():
        return False
    if not isinstance(gate, MaxGate):
        return any((moves & (value.value == level)).any() for level in gate.table(gate.breakpoints))
    windows = gate.window(value.value, -np.inf)
    largest = windows == windows.max(axis=2, keepdims=True)
    moving = (largest & (gate.window(moves, 0.0) > 0)).any(axis=2)
    return bool((moving & (largest.sum(axis=2) > 1)).any())


def _settled(
    net: Network,
    seen: OneSidedPass,
    slopes: tuple[Enclosed | Doubled, ...],
    point: Enclosure,
    direction: Enclosure,
) -> RayStops:
    """Return what stops a ray first; in full doubled precision, if less leaves several rows."""
    letters, values = seen.letters, seen.values
    stops = first_stops(net, letters, values, slopes)
    if not _is_one(net, letters, stops):
        if not _is_doubled(values):
            values = double_pass(net, point[0], error=point[1], letters=letters, keep=True).inputs
        _, fine = double_directions(net, letters, *direction)
        stops = first_stops(net, letters, values, fine)
    return RayStops(letters, seen.undecided, stops, _is_one(net, letters, stops) and not seen.undecided.any())


def _is_one(net: Network, letters: np.ndarray, stops: Stops) -> bool:
    """Tell whether no row stops the ray, or rows of one function surely do."""
    if not len(stops.labels):
        return True
    if stops.deadline == np.inf:
        return False
    return len(stops.labels) == 1 or len(np.unique(row_functions(net, letters, stops.labels), axis=0)) == 1


@OVERFLOW_IS_UNKNOWN
def first_stops(
    net: Network,
    letters: np.ndarray,
    values: tuple[Enclosed | Doubled, ...],
    slopes: tuple[Enclosed | Doubled, ...],
) -> Stops:
    """Return the rows that may stop a ray first, given what its point and direction see at each gate.

    Cost: a few operations per row, and a few more for those that remain.
    """
    parts: dict[int, Stops] = {}
    deadline = np.inf
    # maxima have most rows: they come last, when most of these are too late
    for g in sorted(range(len(net.gates)), key=lambda g: isinstance(net.gates[g], MaxGate)):
        near, rate = (s[g].enclosed if isinstance(s[g], Doubled) else s[g] for s in (values, slopes))
        labels = _soon(net.gates[g], letters, near, rate, deadline)
        part = _stops(net.gates[g], letters, labels, values[g], slopes[g])
        deadline = min(deadline, part.deadline)
        parts[g] = part.before(deadline)
    return _joined([parts[g].before(deadline) for g in sorted(parts)])


def _joined(parts: list[Stops]) -> Stops:
    """Return the rows of all gates, in order."""
    no_rows = np.zeros(0, dtype=np.intp)
    labels = RowLabels(
        np.concatenate([no_rows, *(p.labels.units for p in parts)]),
        np.concatenate([no_rows, *(p.labels.sides for p in parts)]),
    )
    bounds = ([getattr(p, name) for p in parts] for name in ("earliest", "latest", "ratios"))
    return Stops(labels, *(np.concatenate([np.zeros(0), *column]) for column in bounds))


def _stops(
    gate: Gate, letters: np.ndarray, labels: RowLabels, value: Enclosed | Doubled, slope: Enclosed | Doubled
) -> Stops:
    """Return when rows of one gate stop the ray."""
    slack, slack_error = (a[0] for a in gate_slacks(gate, letters, labels, value, homogeneous=False))
    fall, rate_error = (a[0] for a in gate_slacks(gate, letters, labels, slope, homogeneous=True))
    earliest, latest = stopping_bounds(slack, slack_error, -fall, rate_error)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(fall < 0, slack / -fall, np.inf)
    return Stops(labels, np.maximum(earliest, 0.0), latest, ratios)  # the point lies in the closed cell


def _soon(gate: Gate, letters: np.ndarray, value: Enclosed, slope: Enclosed, deadline: float) -> RowLabels:
    """Return the rows of one gate that may stop the ray by a deadline (module docstring)."""
    letter = letters[gate.columns].astype(np.intp)
    z, e, r, f = (a[0].ravel() for a in (value.value, value.error, slope.value, slope.error))
    if isinstance(gate, MaxGate):
        rows = _soon_rivals(gate, letter, (z - e, z + e), (r - f, r + f), deadline)
        if value.source is not None:
            numbers, (unit, side) = value.source[0], rows
            drawn = numbers[gate.index[unit, side]] != numbers[gate.index[unit, letter[unit]]]
            rows = unit[drawn], side[drawn]
    else:
        rows = _soon_breakpoints(gate, letter, (z, e), (r, f), deadline)
    return RowLabels(gate.first_column + rows[0], rows[1])


Pair = tuple[np.ndarray, np.ndarray]


def _soon_breakpoints(
    gate: Elementwise, letter: np.ndarray, value: Pair, slope: Pair, deadline: float
) -> Pair:
    """Return unit and side of the breakpoints that may be reached by a deadline."""
    units, sides = [], []
    for side, level in enumerate(gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1)):
        above = side < letter
        fastest = np.where(above, -slope[0], slope[0]) + slope[1]
        own = np.flatnonzero((fastest > 0) & ((letter == side) | above & (letter == side + 1)))
        gap, error = value[0][own] - level[own], value[1][own]
        slack = np.where(above[own], gap, -gap)
        own = own[_is_soon(slack - error, np.abs(slack) + error, fastest[own], fastest[own], deadline)]
        units.append(own)
        sides.append(np.full(len(own), side))
    unit, side = np.concatenate(units), np.concatenate(sides)
    order = np.lexsort((side, unit))
    return unit[order], side[order]


def _soon_rivals(gate: MaxGate, letter: np.ndarray, value: Pair, slope: Pair, deadline: float) -> Pair:
    """Return unit and position of the rivals that may reach their winner by a deadline.

    Most are too far behind for any rate among the entries. Two that both stand still never meet.
    """
    winner = gate.index[np.arange(gate.size), letter]
    steep = np.maximum(np.abs(slope[0]), np.abs(slope[1]))
    size = np.maximum(np.abs(value[0]), np.abs(value[1]))
    reach = 16 * U * size.max(initial=0.0) + TINY
    reach += (1 + 16 * U) * 2 * deadline * steep.max(initial=0.0) if steep.any() else 0.0

    def near(units: np.ndarray, rivals: np.ndarray) -> Pair:
        """Return unit and position of rivals that are not too far behind; padding is at -inf."""
        level = value[0][winner[units]][:, None]
        behind = level - np.append(rivals, -np.inf)[gate.index[units]]
        row, side = np.divmod(np.flatnonzero(~(behind > reach)), gate.index.shape[1])
        return units[row], side

    moves = steep[winner] > 0
    parts = (
        near(np.flatnonzero(moves), value[1]),
        near(np.flatnonzero(~moves), np.where(steep > 0, value[1], -np.inf)),
    )
    unit, side = (np.concatenate(both) for both in zip(*parts, strict=True))
    first, other = winner[unit], gate.index[unit, side]
    apart = (side != letter[unit]) & (other >= 0)
    unit, side, first, other = unit[apart], side[apart], first[apart], other[apart]
    fastest, rate_size = slope[1][other] - slope[0][first], steep[other] + steep[first]
    slack, slack_size = value[0][first] - value[1][other], size[first] + size[other]
    soon = (fastest + 8 * U * rate_size > 0) & _is_soon(slack, slack_size, fastest, rate_size, deadline)
    order = np.lexsort((side[soon], unit[soon]))
    return unit[soon][order], side[soon][order]


def _is_soon(
    slack: np.ndarray, slack_size: np.ndarray, rate: np.ndarray, rate_size: np.ndarray, deadline: float
) -> np.ndarray:
    """Tell where a lower bound on the slack is at most the deadline times an upper bound on the rate."""
    if deadline == np.inf:
        return np.ones(len(slack), dtype=bool)
    return ~(slack > deadline * (rate + 8 * U * rate_size) + 8 * U * slack_size + TINY)
