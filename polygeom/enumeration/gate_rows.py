"""The rows by which a gate splits cells, and the letters of the parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from polygeom.enumeration.carried_rows import Carried
from polygeom.enumeration.cell_batch import CellBatch, Rows, sizes_of, spans, starts_of
from polygeom.enumeration.exact_rows import rounded_row
from polygeom.gates import Elementwise, Gate, MaxGate
from polygeom.rounding import TINY, U, gamma

if TYPE_CHECKING:
    from polygeom.enumeration.staged import StagedEngine, _Waiting
    from polygeom.kernels.gate_screens import Arriving

__all__ = ["read_letters", "unit_tasks", "window_tasks"]

LISTED = 1 << 20
"""Rows that one screen lists at most, unless a single cell may need more."""

COARSE = 2.0**-26
"""Error of a row, relative to its size, from which on an exact row is rounded anew. It steers the work alone."""


def _arriving(engine: StagedEngine, gate: Gate, states: dict[int, Carried]) -> Arriving:
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
        carrier.rectified,
    )


# -- elementwise gates -----------------------------------------------------------------------------------------


def unit_tasks(engine: StagedEngine, gate: Elementwise, waiting: _Waiting) -> tuple[int, Rows]:
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
    known = _on_facets(cells, cell, owner, side)
    np.add.at(waiting.letters, (cell[known > 0], unit[known > 0]), 1)
    cell, unit, side, owner = (a[known == 0] for a in (cell, unit, side, owner))
    at = arriving.index[cell]
    row, error = arriving.value[at, :, unit], arriving.error[at, :, unit].sum(axis=1)
    level = levels[side, unit]
    row[:, -1] -= level
    error = np.where(level != 0, (error + U * np.abs(row[:, -1])) * (1 + 4 * U), error)
    # Breakpoints of one unit may be equal.
    twin = side.copy()
    for j in range(1, len(levels)):
        here = side == j
        same = levels[:, unit[here]] == levels[j, unit[here]]
        twin[here] = same.argmax(axis=0)
    row_start = starts_of(np.bincount(cell, minlength=done))
    plane = np.arange(len(cell)) - row_start[cell] - (side - twin)
    rows = engine.repaired(cells, cell, row, error, owner, side)
    return done, Rows(np.arange(done), row_start, np.diff(row_start), rows, owner, side, plane)


def _on_facets(cells: CellBatch, cell: np.ndarray, owner: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Return 1 or -1 for rows that draw a facet of their cell, by the side the cell is on, and 0 for others."""
    sign = np.zeros(len(cell), dtype=np.int64)
    drawn = np.flatnonzero(cells.owner >= 0)
    if not len(cell) or not len(drawn):
        return sign
    of = np.repeat(np.arange(len(cells)), np.diff(cells.facet_start))[drawn]
    names = {
        (int(i), int(u), int(k)): 1 - 2 * int(s)
        for i, u, k, s in zip(of, cells.owner[drawn], cells.key[drawn], cells.side[drawn], strict=True)
        if owner.min() <= u <= owner.max()
    }
    if names:
        for r, name in enumerate(zip(cell.tolist(), owner.tolist(), key.tolist(), strict=True)):
            sign[r] = names.get(name, 0)
    return sign


# -- max gates ---------------------------------------------------------------------------------------------------


def window_tasks(engine: StagedEngine, gate: MaxGate, waiting: _Waiting) -> tuple[int, Rows]:
    """Return how many cells were screened, and their tasks; letters that are constant are written.

    A cell with windows of three or more possible winners has one task for each winner of the first of them; other
    cells have one task, a row a window.
    """
    from polygeom.kernels.gate_screens import screen_windows

    cells, arriving = waiting.cells, _arriving(engine, gate, waiting.states)
    W, K = gate.index.shape
    listed = np.empty((max(LISTED, W * (K - 1)), 4), dtype=np.int32)
    most = int(np.diff(cells.vertex_start).max(initial=0))
    room = np.empty((3 + most, arriving.value.shape[2]))
    done, made = screen_windows(
        cells.geometry(), arriving, gate.index, waiting.letters, listed, room, np.zeros(len(cells.dims)), cells.dims
    )
    engine.count_screened(done * W)
    tasks = _Tasks(engine, gate, waiting, arriving)
    bounds = np.searchsorted(listed[:made, 0], np.arange(done + 1))
    for i in range(done):
        tasks.add(i, listed[bounds[i] : bounds[i + 1], 1:])
    return done, tasks.rows()


class _Tasks:
    """Collects the tasks of a max gate."""

    def __init__(self, engine: StagedEngine, gate: MaxGate, waiting: _Waiting, arriving: Arriving) -> None:
        self.engine, self.gate, self.waiting, self.arriving = engine, gate, waiting, arriving
        self.cell: list[int] = []
        self.units: list[int] = []
        self.counts: list[int] = []
        self.pairs: list[tuple[int, int, int, int]] = []

    def add(self, i: int, listed: np.ndarray) -> None:
        """Add the tasks of cell i, given window, winner and rival of what is open."""
        open_: list[tuple[int, list[int]]] = []
        for window in np.unique(listed[:, 0]).tolist():
            own = listed[listed[:, 0] == window]
            candidates = self._different(i, window, sorted({int(own[0, 1]), *own[:, 2].tolist()}))
            if len(candidates) == 1:
                self.waiting.letters[i, window] = candidates[0]
            else:
                open_.append((window, candidates))
        several = next(((w, c) for w, c in open_ if len(c) > 2), None)
        if several is None:
            drawn = [(i, w, c[1], c[0]) for w, c in open_]
            self._task(i, len(drawn), self._undrawn(i, drawn))
            return
        window, candidates = several
        for winner in candidates:
            self._task(i, 0, [(i, window, winner, rival) for rival in candidates if rival != winner])

    def _task(self, i: int, units: int, pairs: list[tuple[int, int, int, int]]) -> None:
        self.cell.append(i)
        self.units.append(min(units, len(pairs)))
        self.counts.append(len(pairs))
        self.pairs += pairs

    def _undrawn(self, i: int, pairs: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
        """Return pairs that draw no facet of the cell yet; write the letters of the others."""
        K = self.gate.index.shape[1]
        owner = np.array([self.gate.first_column + w for _, w, _, _ in pairs], dtype=np.int64)
        key = np.array([K * a + b for _, _, a, b in pairs], dtype=np.int64)
        signs = _on_facets(self.waiting.cells, np.full(len(pairs), i), owner, key)
        for (_, window, a, b), sign in zip(pairs, signs, strict=True):
            if sign:
                self.waiting.letters[i, window] = a if sign > 0 else b
        return [pair for pair, sign in zip(pairs, signs, strict=True) if not sign]

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
        z = np.abs(cells.coord[first:last] @ row[0])
        spread = cells.spread[first:last]
        with np.errstate(invalid="ignore"):
            bound = np.where(spread < 0.5, sizes_of(row)[0] * (spread + gamma(12)) + 2 * error[0], np.inf)
        if (z > bound).any():
            return False
        unit = self.gate.first_column + window
        exact = self.engine.resolve(unit, K * p + q, row[0], float(error[0]), cells.letters[i])
        if exact is None:
            self.engine.count_undecided(1)
        same = exact is None or not any(exact)
        if same:
            cells.flat[i] = True
        return same

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
        pairs = np.array(self.pairs, dtype=np.int64).reshape(-1, 4)
        row, error = self._differences(pairs)
        owner, key = self.gate.first_column + pairs[:, 1], K * pairs[:, 2] + pairs[:, 3]
        rows = self.engine.repaired(cells, pairs[:, 0], row, error, owner, key)
        row_start = starts_of(np.array(self.counts))
        plane = np.arange(len(pairs)) - np.repeat(row_start[:-1], self.counts)
        cell, units = np.array(self.cell, dtype=np.int64), np.array(self.units, dtype=np.int64)
        return Rows(cell, row_start, units, rows, owner, key, plane)


# -- letters -----------------------------------------------------------------------------------------------------


def read_letters(gate: Gate, rows: Rows, task: np.ndarray, bits: np.ndarray, letters: np.ndarray) -> np.ndarray:
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
