"""All boundaries on a segment, in order: the result of a sweep, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from polygeom.affine import AffineMap
from polygeom.arrays import as_array, as_index, as_rows, freeze
from polygeom.certificates.check import Check, Level
from polygeom.codes import SplineCodes
from polygeom.enclosures import enclose_directions
from polygeom.errors import TooLargeError
from polygeom.exact import fraction, rational
from polygeom.intervals import stopping_bounds
from polygeom.lines.events import Events
from polygeom.lines.exact_lines import ExactLine
from polygeom.network import Network
from polygeom.pieces import BYTE_BUDGET, AffinePiece, piece_at, piece_with_code
from polygeom.rows import row_slacks

if TYPE_CHECKING:
    import flint

__all__ = ["LineCrossings", "UndecidedBand"]


@dataclass(frozen=True)
class UndecidedBand:
    """An interval of a line in which floats could not tell what happens, and rationals were out of reach.

    Attributes
    ----------
    low, high : float
        Its ends.
    units : tuple of int
        Units that flip inside in an order, or a number of times, that is not known, or perhaps not at all. The
        number after the last unit stands for the largest output, where `classes` were asked for.
    """

    low: float
    high: float
    units: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class LineCrossings:
    """All boundaries that a segment crosses, from left to right.

    Point t of the line is ``line(t)``. Piece i lies between boundaries i - 1 and i; there is one piece more than
    there are boundaries.

    Attributes
    ----------
    network : Network
    line : AffineMap
        From t to the input space; everything here is exact for this map.
    reach : (float, float)
        The t between which boundaries were sought; the ends themselves are not counted (`at_ends`).
    t : (m,) array
        Where the code changes, ascending; rounded, within the `bounds`.
    bounds : (m, 2) array
        The exact place of each lies between these.
    units : sequence of m integer arrays
        The units (columns of the code) that flip there: several if they coincide.
    first_code : (n_units,) array
        The letters on the first piece.
    class_t, classes : arrays
        Where the largest output changes, and which it is on each stretch between (one more), if asked for.
    undecided : tuple of UndecidedBand
        What floats could not tell in networks too large for rationals. Everything outside these is proved.
    parts : int
        In how many parts the memory cap allowed the line to be swept.
    stopped : str or None
        Why the sweep ended before the line did ("seconds", "interrupt"); `reach` then ends where it got to.

    Examples
    --------
    >>> from polygeom.lines.segments import line_crossings
    >>> net = Network.from_layers([([[1, 0], [0, 1]], [-1, -2]), ([[1, 1]], [0])])
    >>> hits = line_crossings(net, [0, 0], [4, 4])
    >>> hits.t, hits.units[1], hits.exact(1)
    (array([0.25, 0.5 ]), array([1]), Fraction(1, 2))
    >>> hits
    LineCrossings(2 boundaries, 2 flips of 2 units, 3 pieces, exact)
    """

    network: Network
    line: AffineMap
    reach: tuple[float, float]
    t: np.ndarray
    bounds: np.ndarray
    first_code: np.ndarray
    undecided: tuple[UndecidedBand, ...]
    parts: int
    stopped: str | None
    class_t: np.ndarray | None
    classes: np.ndarray | None
    _events: Events = field(repr=False)
    _starts: np.ndarray = field(repr=False)

    # -- boundaries ------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.t)

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yield t and units of every boundary."""
        return zip(self.t.tolist(), self.units, strict=True)

    def __repr__(self) -> str:
        flips, distinct = len(self._events), len(np.unique(self._events.unit))
        level = f"{len(self.undecided)} undecided bands" if self.undecided else "exact"
        end = f", stopped at t = {self.reach[1]:.6g} ({self.stopped})" if self.stopped else ""
        return (
            f"LineCrossings({len(self)} boundaries, {flips} flips of {distinct} units, {self.n_pieces} pieces, "
            f"{level}{end})"
        )

    @property
    def level(self) -> Level:
        """EXACT if nothing is undecided."""
        return Level.CERTIFIED if self.undecided else Level.EXACT

    @cached_property
    def units(self) -> tuple[np.ndarray, ...]:
        """The units that flip at each boundary."""
        return tuple(freeze(u) for u in np.split(self._events.unit, self._starts[1:-1])) if len(self) else ()

    @property
    def n_flips(self) -> int:
        """Number of unit flips: boundaries counted once for every unit that flips there."""
        return len(self._events)

    @property
    def flips(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """All flips as four arrays: number of the boundary, unit, letter before, letter after."""
        events = self._events
        return (
            np.repeat(np.arange(len(self)), np.diff(self._starts)),
            events.unit,
            events.before,
            events.after,
        )

    def exact(self, i: int) -> Fraction:
        """Return the exact place of boundary i.

        Raises
        ------
        TooLargeError
            If the network is too large for rational arithmetic.
        """
        i = as_index(i, len(self), "boundary")
        if self.bounds[i, 0] == self.bounds[i, 1]:
            return Fraction(float(self.t[i]))
        first = self._starts[i]
        unit, before, after = (
            int(a[first]) for a in (self._events.unit, self._events.before, self._events.after)
        )
        gate = self.network.gates[int(self.network.units.gate_of(unit))]
        place = ExactLine(self.network, self.line).place(
            self.code(i), gate, unit - gate.first_column, before, after
        )
        return fraction(place)

    # -- pieces ----------------------------------------------------------------------------------------------

    @property
    def n_pieces(self) -> int:
        """Number of pieces."""
        return len(self) + 1

    @property
    def cuts(self) -> np.ndarray:
        """The ends of all pieces: the first t, all boundaries, the last t."""
        return np.concatenate([[self.reach[0]], self.t, [self.reach[1]]])

    def code(self, i: int) -> np.ndarray:
        """Return the letters (n_units,) on piece i."""
        i = as_index(i, self.n_pieces, "piece")
        letters, end = self.first_code.copy(), self._starts[i]
        letters[self._events.unit[:end]] = self._events.after[:end]  # the last flip of a unit stays
        return letters

    def codes(self, pieces: object = None) -> SplineCodes:
        """Return the letters (n_pieces, n_units) on all pieces, or on some.

        Raises
        ------
        TooLargeError
            If they take more than a gigabyte: ask for some pieces at a time.
        """
        chosen = np.arange(self.n_pieces) if pieces is None else as_rows(pieces, self.n_pieces)
        size = len(chosen) * self.network.n_units * self.first_code.itemsize
        if size > BYTE_BUDGET:
            raise TooLargeError(
                f"The codes of {len(chosen)} pieces take {size} bytes, above {BYTE_BUDGET}. Ask for fewer pieces."
            )
        letters = np.empty((len(chosen), self.network.n_units), dtype=self.first_code.dtype)
        current, done, order = self.first_code.copy(), 0, np.argsort(chosen, kind="stable")
        for row in order.tolist():
            flips = slice(done, self._starts[chosen[row]])
            current[self._events.unit[flips]] = self._events.after[flips]
            letters[row], done = current, self._starts[chosen[row]]
        return SplineCodes(letters)

    def middle(self, i: int) -> float:
        """Return the middle of piece i."""
        i = as_index(i, self.n_pieces, "piece")
        first, last = self.cuts[i : i + 2]
        return float(first + 0.5 * (last - first))

    def piece(self, i: int) -> AffinePiece:
        """Return the affine piece on piece i, in the coordinate t."""
        return piece_with_code(self.network, self.code(i), np.array([self.middle(i)]), along=self.line)

    def output(self, t: object) -> np.ndarray:
        """Return the outputs at points t of the line: (dim_out,) or (N, dim_out).

        Between neighboring boundaries the output is affine, so its values at `cuts` are the whole function.
        """
        places = as_array(t, "t")
        return self.network(self.line(places.reshape(-1, 1)).reshape(*places.shape, self.network.dim_in))

    # -- ends, and units that never leave their boundary ------------------------------------------------------

    @cached_property
    def at_ends(self) -> tuple[np.ndarray, np.ndarray]:
        """The units whose boundary the prolonged line would cross exactly at its first and at its last point."""
        found = []
        for t, code, away in (
            (self.reach[0], self.code(0), -1.0),
            (self.reach[1], self.code(len(self)), 1.0),
        ):
            beyond = piece_at(self.network, np.array([t]), along=self.line, toward=np.array([away]))
            found.append(
                np.flatnonzero((beyond.code != code) & ~np.isin(np.arange(len(code)), beyond.undecided))
            )
        return found[0], found[1]

    def lying_on(self, i: int = 0) -> np.ndarray:
        """Return the units whose hyperplane the whole piece i lies in: their pre-activation stays at a breakpoint.

        Such units draw a half-space in the input space, but none on the line. Without rationals, units that stay
        within their rounding errors are returned.
        """
        piece = self.piece(i)
        ambient = piece_with_code(self.network, piece.code, self.line(piece.witness))
        labels = ambient.labels
        slack, error = (a[0] for a in piece._slacks_from(piece.witness[None], labels))
        _, arrivals = enclose_directions(self.network, piece.code, self.line.matrix.T)
        rate, drift = (a[0] for a in row_slacks(self.network, piece.code, labels, arrivals, homogeneous=True))
        close = labels[(np.abs(slack) <= error) & (np.abs(rate) <= drift)]
        if len(close) and self.network.exact().is_feasible:
            A, b = piece.exact_rows(close)
            zero = [a == 0 and c == 0 for a, c in zip(A.entries(), b.entries(), strict=True)]
            close = close[np.array(zero)]
        return np.unique(close.units)

    # -- proof -----------------------------------------------------------------------------------------------

    def check(self, pieces: object = None) -> Check:
        """Re-check pieces (all by default) from the network alone: each is valid exactly between its boundaries.

        For each piece the code is read afresh at its middle, and all half-spaces are computed from it; none may
        stop the line before the next boundary to the right or left, and those of the units that flip there stop it
        there, seen from the side where their letter is higher: on the other their pre-activation may be constant.
        Independent of the sweep.
        Cost: five forward passes and two Jacobian-vector products per piece.

        Returns
        -------
        Check
            EXACT if every half-space keeps its distance beyond its rounding bound; CERTIFIED with the largest
            possible overlap (in t) if some are only known to within it.
        """
        residual = 0.0
        for i in range(self.n_pieces) if pieces is None else pieces:
            read, undecided = self._read_inside(as_index(i, self.n_pieces, "piece"))
            decided = np.setdiff1d(np.arange(self.network.n_units), undecided)
            if (read[decided] != self.code(i)[decided]).any():
                return Check(False, Level.EXACT, float("inf"))
            for right in (False, True):
                overlap = self._overlap(as_index(i, self.n_pieces, "piece"), right)
                if overlap is None:
                    return Check(False, Level.EXACT, float("inf"))
                residual = max(residual, overlap)
        return Check(True, Level.CERTIFIED if residual or self.undecided else Level.EXACT, residual)

    def _read_inside(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the code read in the middle of piece i, and the units not decided; pieces may hold no float."""
        t, net = self.middle(i), self.network
        begins = self.bounds[i - 1, 1] if i > 0 else self.reach[0]
        ends = self.bounds[i, 0] if i < len(self) else self.reach[1]
        if begins < t < ends or not net.exact().is_feasible:
            there = piece_at(net, np.array([t]), along=self.line)
            return there.code, there.undecided if begins < t < ends else np.arange(net.n_units)
        first = self.exact(i - 1) if i > 0 else Fraction(self.reach[0])
        last = self.exact(i) if i < len(self) else Fraction(self.reach[1])
        start, rates = self.line.offset.tolist(), self.line.matrix[:, 0].tolist()
        middle = (first + last) / 2
        inside = [Fraction(p) + middle * Fraction(g) for p, g in zip(start, rates, strict=True)]
        return net.exact().letters(net.exact().point(inside)), np.zeros(0, dtype=np.intp)

    def _overlap(self, i: int, right: bool) -> float | None:
        """Return how far half-spaces of piece i may reach over its next boundary to one side; None if one does."""
        piece, middle = self.piece(i), self.middle(i)
        slack, error = (a[0] for a in piece.slacks(piece.witness))
        rate, drift = (a[0] for a in piece.rates(np.array([1.0 if right else -1.0])))
        earliest, latest = stopping_bounds(slack, error, rate, drift)
        boundary = i if right else i - 1
        inner = 0 <= boundary < len(self)
        ends = self.bounds[boundary] if inner else np.repeat(self.reach[1 if right else 0], 2)
        near, far = (ends - middle) if right else (middle - ends[::-1])
        near, far = np.nextafter(near, -np.inf), np.nextafter(far, np.inf)
        if (latest < near).any():
            return None
        flips = (
            self._events[self._starts[boundary] : self._starts[boundary + 1]] if inner else self._events[:0]
        )
        leaving = flips.before > flips.after if right else flips.after > flips.before
        for unit in flips.unit[leaving]:
            if earliest[piece.units == unit].min(initial=np.inf) > far:
                return None
        close = np.flatnonzero(earliest < far)
        if len(close) == 1 and piece.units[close[0]] in flips.unit:
            return 0.0  # what stops the piece here is the boundary by definition
        if len(close) and self.network.exact().is_feasible:
            end = rational(self.exact(boundary)) if inner else rational(float(self.reach[right]))
            return 0.0 if self._stops_at(piece, close, end) else None
        return float(max(far - earliest.min(initial=np.inf), 0.0))

    def _stops_at(self, piece: AffinePiece, close: np.ndarray, end: flint.fmpq) -> bool:
        """Tell, in rationals, whether no half-space among these ends before a place."""
        A, b = piece.exact_rows(piece.labels[close])
        rows = zip(A.entries(), b.entries(), strict=True)
        return all(b >= a * end for a, b in rows)
