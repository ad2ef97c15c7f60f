"""The rows by which a gate splits cells, and the letters of the parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from polygeom.enumeration.carried_rows import Carried, Carrier
from polygeom.enumeration.cell_batch import CellBatch, Rows, sizes_of, spans, starts_of
from polygeom.enumeration.exact_rows import rounded_row
from polygeom.enumeration.exact_signs import Row
from polygeom.gates import Elementwise, Gate, MaxGate
from polygeom.rounding import TINY, U, gamma

if TYPE_CHECKING:
    from polygeom.kernels.gate_screens import Arriving

__all__ = [
    "COARSE",
    "exact_packed",
    "packed_rows",
    "read_letters",
    "unit_plane",
    "unit_tasks",
    "window_tasks",
]

LISTED = 1 << 20
"""Rows that one screen lists at most, unless a single cell may need more."""

NAME_BITS = 31
"""Bits of a name in the name of a hyperplane; names of entries use one less."""

COARSE = 2.0**27 * U
"""Error of a row, relative to its size, from which on an exact row is rounded anew. It steers the work alone."""


class Engine(Protocol):
    """What the rows of a gate are asked for."""

    carrier: Carrier

    def resolve(self, owner: int, key: int, row: np.ndarray, error: float, letters: np.ndarray) -> Row | None:
        """Return an exact row (`Resolver`)."""

    def repaired(
        self,
        cells: CellBatch,
        cell: np.ndarray,
        row: np.ndarray,
        error: np.ndarray,
        owner: np.ndarray,
        key: np.ndarray,
    ) -> np.ndarray:
        """Return rows at size 1, with error bounds."""

    def leave_open(self, cells: CellBatch, i: int, unit: int) -> None:
        """Note a sign of a unit on cell i that is taken as zero without proof."""

    def count_screened(self, rows: int) -> None:
        """Count rows tested by floats."""


@dataclass(frozen=True, eq=False)
class Waiting:
    """Cells before a gate, with the values alive there; letters are those known already, -1 for others."""

    cells: CellBatch
    states: dict[int, Carried]
    letters: np.ndarray | None = None

    def at(self, chosen: np.ndarray) -> Waiting:
        """Return some of the cells."""
        states = {i: s.at(chosen) for i, s in self.states.items()}
        return Waiting(self.cells.at(chosen), states, None if self.letters is None else self.letters[chosen])


def _arriving(engine: Engine, gate: Gate, states: dict[int, Carried]) -> Arriving:
    """Return what arrives at a gate as compiled code reads it."""
    from polygeom.kernels.gate_screens import Arriving

    state, carrier = states[gate.inputs[0]].compact(), engine.carrier
    n = len(state.value)
    return Arriving(
        np.ascontiguousarray(state.value.reshape(n, carrier.dim, -1)),
        np.ascontiguousarray(state.error.reshape(n, carrier.parts, -1)),
        state.index.astype(np.int64),
        state.names,
        carrier.owners,
        carrier.kinds,
    )


# -- elementwise gates -----------------------------------------------------------------------------------------


def unit_tasks(engine: Engine, gate: Elementwise, waiting: Waiting) -> tuple[int, Rows]:
    """Return how many cells were screened, and a task for each; letters that are constant are written."""
    from polygeom.kernels.gate_screens import screen_units

    cells, arriving = waiting.cells, _arriving(engine, gate, waiting.states)
    levels = np.ascontiguousarray(gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1))
    listed = np.empty((max(LISTED, levels.size), 4), dtype=np.int32)
    D = engine.carrier.dim
    done, made = screen_units(
        cells.geometry(), arriving, levels, waiting.letters, listed, np.zeros(D), cells.dims
    )
    engine.count_screened(done * levels.size)
    cell, unit, side = (listed[:made, c].astype(np.int64) for c in range(3))
    owner = gate.first_column + unit
    plane = unit_plane(gate, unit, side)
    known = _on_facets(cells, cell, owner, plane)
    np.add.at(waiting.letters, (cell[known > 0], unit[known > 0]), 1)
    cell, unit, side, owner, plane = (a[known == 0] for a in (cell, unit, side, owner, plane))
    at = arriving.index[cell]
    row, error = arriving.value[at, :, unit], arriving.error[at, :, unit].sum(axis=1)
    level = levels[side, unit]
    row[:, -1] -= level
    error = np.where(level != 0, (error + U * np.abs(row[:, -1])) * (1 + 4 * U), error)
    row_start = starts_of(np.bincount(cell, minlength=done))
    rows = engine.repaired(cells, cell, row, error, owner, side)
    return done, Rows(np.arange(done), row_start, np.diff(row_start), rows, owner, side, plane)


def unit_plane(gate: Elementwise, unit: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Return the names of the hyperplanes that units of an elementwise gate draw; breakpoints may be equal."""
    levels = gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1)
    first = (levels[:, unit] == levels[side, unit]).argmax(axis=0)
    return (gate.first_column + unit + 1 << NAME_BITS) + (1 << NAME_BITS - 1) + first


def _pair_plane(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the names of the hyperplanes where entries with two names are equal, for first minus second."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    return np.where(first < second, 1, -1) * ((low << NAME_BITS) + high)


def _on_facets(cells: CellBatch, cell: np.ndarray, owner: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """Return 1 or -1 for rows that vanish on a facet of their cell, by the side the cell is on, and 0 for others.

    Facets that were drawn by another unit are marked as tied.
    """
    sign = np.zeros(len(cell), dtype=np.int64)
    wanted = np.isin(np.abs(cells.plane), np.abs(plane)) & (cells.plane != 0)
    if not wanted.any():
        return sign
    of = np.repeat(np.arange(len(cells)), np.diff(cells.facet_start))
    facets = {(int(of[f]), abs(int(cells.plane[f]))): int(f) for f in np.flatnonzero(wanted)}
    for r in np.flatnonzero(np.isin(np.abs(plane), np.abs(cells.plane[wanted]))).tolist():
        f = facets.get((int(cell[r]), abs(int(plane[r]))))
        if f is not None:
            same = 1 if (cells.plane[f] > 0) == (plane[r] > 0) else -1
            sign[r] = same * (1 - 2 * int(cells.side[f]))
            cells.tied[f] |= cells.owner[f] != owner[r]
    return sign


# -- max gates ---------------------------------------------------------------------------------------------------


def window_tasks(engine: Engine, gate: MaxGate, waiting: Waiting) -> tuple[int, Rows]:
    """Return how many cells were screened, and their tasks; letters that are constant are written.

    A cell with windows of three or more possible winners has one task for each winner of the first of them;
    other cells have one task, a row a window.
    """
    from polygeom.kernels.gate_screens import screen_windows

    cells, arriving = waiting.cells, _arriving(engine, gate, waiting.states)
    W, K = gate.index.shape
    listed = np.empty((max(LISTED, W * (K - 1)), 4), dtype=np.int32)
    most = int(np.diff(cells.vertex_start).max(initial=0))
    room = np.empty((3 + most, arriving.value.shape[2]))
    done, made = screen_windows(
        cells.geometry(),
        arriving,
        gate.index,
        waiting.letters,
        listed,
        room,
        np.zeros(len(cells.dims)),
        cells.dims,
    )
    engine.count_screened(done * W)
    tasks = _Tasks(engine, gate, waiting, arriving)
    bounds = np.searchsorted(listed[:made, 0], np.arange(done + 1))
    for i in range(done):
        tasks.add(i, listed[bounds[i] : bounds[i + 1], 1:])
    return done, tasks.rows()


class _Tasks:
    """Collects the tasks of a max gate."""

    def __init__(self, engine: Engine, gate: MaxGate, waiting: Waiting, arriving: Arriving) -> None:
        self.engine, self.gate, self.waiting, self.arriving = engine, gate, waiting, arriving
        self.cell: list[int] = []
        self.units: list[int] = []
        self.counts: list[int] = []
        self.pairs: list[np.ndarray] = []

    def add(self, i: int, listed: np.ndarray) -> None:
        """Add the tasks of cell i, given window, winner and rival of what is open."""
        open_: list[np.ndarray] = []
        several: np.ndarray | None = None
        for window in np.unique(listed[:, 0]).tolist():
            own = listed[listed[:, 0] == window]
            pairs = self._pairs(i, window, sorted({int(own[0, 1]), *own[:, 2].tolist()}))
            if len(pairs) == 1:
                open_.append(pairs[0])
            elif len(pairs) and several is None:
                several = pairs
        if several is None:
            self._task(i, len(open_), np.array(open_, dtype=np.int64).reshape(-1, 4))
            return
        for winner in np.unique(several[:, 2:]):
            mine = several[(several[:, 2:] == winner).any(axis=1)].copy()
            turned = mine[:, 2] != winner
            mine[turned, 2:] = mine[turned, :1:-1]
            self._task(i, 0, mine)

    def _pairs(self, i: int, window: int, candidates: list[int]) -> np.ndarray:
        """Return (cell, window, b, a), a before b, for the positions that may win; write the letter if it is one.

        Positions that lose to another one because the cell lies on the side of a facet are left out.
        """
        kept = self._different(i, window, candidates)
        pairs = np.array([(i, window, b, a) for a in kept for b in kept if a < b], dtype=np.int64).reshape(
            -1, 4
        )
        unit = np.full(len(pairs), self.gate.first_column + window)
        signs = _on_facets(self.waiting.cells, pairs[:, 0], unit, self._planes(pairs))
        lost = {*pairs[signs > 0, 3].tolist(), *pairs[signs < 0, 2].tolist()}
        if len(kept) - len(lost) == 1:
            (self.waiting.letters[i, window],) = set(kept) - lost
        return pairs[(signs == 0) & ~np.isin(pairs[:, 2:], list(lost)).any(axis=1)]

    def _task(self, i: int, units: int, pairs: np.ndarray) -> None:
        self.cell.append(i)
        self.units.append(units)
        self.counts.append(len(pairs))
        self.pairs.append(pairs)

    def _different(self, i: int, window: int, candidates: list[int]) -> list[int]:
        """Return the positions whose entries are different functions on the cell, of equal ones the first."""
        kept: list[int] = []
        for p in candidates:
            if not any(self._equal(i, window, p, q) for q in kept):
                kept.append(p)
        return kept

    def _equal(self, i: int, window: int, p: int, q: int) -> bool:
        """Tell whether two entries are equal on a cell; where nobody can tell, they are taken as equal."""
        cells, K = self.waiting.cells, self.gate.index.shape[1]
        pairs = np.array([[i, window, p, q]])
        row, error = self._differences(pairs)
        first, last = cells.vertex_start[i], cells.vertex_start[i + 1]
        spread = cells.spread[first:last]
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is beyond no bound
            z = np.abs(cells.coord[first:last] @ row[0])
            bound = np.where(spread < 0.5, sizes_of(row)[0] * (spread + gamma(12)) + 2 * error[0], np.inf)
        if (z > bound).any():
            return False
        unit = self.gate.first_column + window
        exact = self.engine.resolve(unit, K * p + q, row[0], float(error[0]), cells.letters[i])
        if exact is None:
            self.engine.leave_open(cells, i, unit)
        same = exact is None or not any(exact)
        if same:
            cells.flat[i] = True
        return same

    def _planes(self, pairs: np.ndarray) -> np.ndarray:
        """Return the names of the hyperplanes of (cell, window, p, q)."""
        i, window, p, q = pairs.T
        names, index = self.arriving.names, self.gate.index
        at = self.arriving.index[i] if len(names) > 1 else np.zeros(len(i), dtype=np.intp)
        place = self.arriving.index[i]

        def named(entry: np.ndarray) -> np.ndarray:
            zero = ~self.arriving.value[place, :, entry].any(axis=1) & ~self.arriving.error[
                place, :, entry
            ].any(axis=1)
            return np.where(zero, 0, names[at, entry])

        return _pair_plane(named(index[window, p]), named(index[window, q]))

    def _differences(self, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of entry p minus entry q, for (cell, window, p, q), and bounds on their errors."""
        i, window, p, q = pairs.T
        at, index = self.arriving.index[i], self.gate.index
        a, b = index[window, p], index[window, q]
        left, right = self.arriving.value[at, :, a], self.arriving.value[at, :, b]
        row = left - right
        error = (self.arriving.error[at, :, a] + self.arriving.error[at, :, b]).sum(axis=1)
        rounded = np.where((left != 0) & (right != 0), U * np.abs(row), 0.0).sum(axis=1)
        total = error + rounded
        return row, np.where(total > 0, total * (1 + 16 * U), 0.0)

    def rows(self) -> Rows:
        """Return all tasks."""
        K, cells = self.gate.index.shape[1], self.waiting.cells
        pairs = np.concatenate([np.zeros((0, 4), dtype=np.int64), *self.pairs])
        row, error = self._differences(pairs)
        owner, key = self.gate.first_column + pairs[:, 1], K * pairs[:, 2] + pairs[:, 3]
        rows = self.engine.repaired(cells, pairs[:, 0], row, error, owner, key)
        row_start = starts_of(np.array(self.counts))
        cell, units = np.array(self.cell, dtype=np.int64), np.array(self.units, dtype=np.int64)
        return Rows(cell, row_start, units, rows, owner, key, self._planes(pairs))


# -- letters -----------------------------------------------------------------------------------------------------


def read_letters(
    gate: Gate, rows: Rows, task: np.ndarray, bits: np.ndarray, letters: np.ndarray
) -> np.ndarray:
    """Return the letters of parts: those of their cells, and what the splits have told.

    Parameters
    ----------
    task : (N,), bits : (N, bytes)
        The task of every part, and on which side of the rows that split it is.
    letters : (cells, size)
        Letters known before; of an elementwise unit the number of rows known to be positive.
    """
    result = letters[rows.cell[task]]
    counts = np.diff(rows.row_start)[task]
    _, at = spans(rows.row_start, task)
    part = np.repeat(np.arange(len(task)), counts)
    place = at - rows.row_start[task][part]
    unit = rows.owner[at] - gate.first_column
    splits = place < rows.units[task][part]
    side = np.ones(len(at), dtype=bool)
    if splits.any():
        on = np.unpackbits(bits, axis=1)
        side[splits] = on[part[splits], place[splits]] == 1
    if isinstance(gate, MaxGate):
        first, second = np.divmod(rows.key[at], gate.index.shape[1])
        result[part, unit] = np.where(side, first, second)
    else:
        np.add.at(result, (part[side], unit[side]), 1)
    return result


def packed_rows(row: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return rows scaled by powers of two to a size near 1, with the bounds on their errors."""
    size = np.abs(row).max(axis=1, initial=0.0)
    scale = np.exp2(-np.clip(np.frexp(size)[1], -1000, 1000))[:, None]
    scaled = row * scale
    lost = ((np.abs(scaled) < TINY) & (row != 0)).any(axis=1)
    return np.column_stack([scaled, error * scale[:, 0] + np.where(lost, row.shape[1] * TINY, 0.0)])


def exact_packed(row: list[object]) -> np.ndarray:
    """Return an exact row as one that is rounded, with the bound on its errors."""
    nearest = rounded_row(row)
    return np.append(nearest, len(nearest) * (U + TINY))
