r"""Regions of any network graph over a slice: gate by gate, cells by their vertices.

A cell with known letters up to some gate is a record of vertices and facets (`CellBatch`). The rows that
arrive at the next gate are carried to it through the graph for a batch of cells at once (`Carrier`). Most
units have one letter on the whole cell, which is seen at the vertices (`gate_screens`); the rows of the
others split the cell in the compiled recursion (`Splitter`), and the parts go on to the gate after. Depth
first: the parts of one batch are finished before the next is begun, so memory is that of one batch a gate,
whatever the number of regions.

*Maxima.* A window with two entries that may win is split by their difference. One with more is split by the
differences of each to all others: a part a winner. Other windows of the cell are looked at again on the
parts.

*Exactness.* Floats decide beyond `polygeom.kernels.cells.tolerance`. Ties go to structure (rows that are
the same), then to rationals, where the network is small enough for them or the rows were never rounded.
What is left is counted as undecided (`Exactness.undecided`) and taken as zero: the unit passes through the
vertex. All parts of the cell name the unit (`RegionArrays.undecided`).
"""

from __future__ import annotations

from collections import deque
from copy import copy
from dataclasses import replace

import numpy as np

from polygeom.affine import AffineMap
from polygeom.enumeration.arrays import Exactness, RegionArrays
from polygeom.enumeration.carried_rows import Carried, Carrier
from polygeom.enumeration.cell_batch import CellBatch, Rows, UnitSets, sizes_of
from polygeom.enumeration.exact_rows import GraphRows, float_row
from polygeom.enumeration.exact_signs import Row
from polygeom.enumeration.gate_rows import (
    COARSE,
    Waiting,
    exact_packed,
    packed_rows,
    read_letters,
    unit_tasks,
    window_tasks,
)
from polygeom.enumeration.region_output import RegionOutput, bounded
from polygeom.enumeration.splitter import Splitter
from polygeom.enumeration.staged_starts import Start
from polygeom.errors import InputError
from polygeom.gates import Gate, MaxGate
from polygeom.network import Network
from polygeom.polyhedron import Polyhedron

__all__ = ["StagedEngine"]

BYTES = 2**28
"""Bytes of rows carried at once."""

PARTS = 2048
"""Most parts of cells waiting at one gate."""

STEPS = 32
"""Batches of one call of `run`, so that Ctrl-C and time budgets are seen in time."""

States = dict[int, Carried]


class StagedEngine:
    """Enumerate the regions of any network over a slice (module docstring).

    Parameters
    ----------
    network : Network
    domain : Polyhedron or None
        In slice coordinates; None for all of them.
    along : AffineMap or None
        The slice; None for the input space.
    mode : {0, 1, 2}
        Count; codes, witnesses and facets; vertices too.

    Raises
    ------
    InputError
        If there are no cells with vertices to begin with (`Start.find`), or vertices are asked for and
        regions contain lines.
    """

    def __init__(
        self, network: Network, domain: Polyhedron | None, along: AffineMap | None, mode: int
    ) -> None:
        self.network, self.mode = network, mode
        k = network.dim_in if along is None else along.dim_in
        start = Start.find(network, along, Polyhedron.whole(k) if domain is None else domain)
        if start.lift is not None and mode == 2:
            raise InputError(
                f"Rows span {len(start.scale)} of {k} dimensions: regions contain lines and have no vertices. Ask "
                "for store='regions', or give a bounded domain."
            )
        self.start, self.scale = start, start.scale
        self.exact = GraphRows(network, start.matrix, start.offset)
        self.n_regions = self.n_bounded = 0
        self.fraction = 0.0
        self.finished = False
        self._found: list[CellBatch] = []
        self._spare: deque[CellBatch] = deque()
        self._rationals = self._undecided = self._screened = 0
        self._stages: list[_Stage] = []
        self._splitters: dict[int, Splitter] = {}
        self.sets = UnitSets()
        unbounded = bool((start.cells.coord[:, -1] == 0).any())
        if not len(self.scale):
            constant = network.exact().letters(network.exact().point(start.offset))
            self._spare.append(start.cells.with_letters(constant[None]))
        elif network.gates and len(start.cells):
            self.carrier = Carrier(network, start.matrix, start.offset, 2 if unbounded else 1)
            index = np.zeros(len(start.cells), dtype=np.intp)
            states = {0: replace(self.carrier.start, index=index)}
            self._stages.append(_Stage(self, 0, start.cells, states))
        elif not network.gates:
            self._spare.append(start.cells)

    # -- what was found --------------------------------------------------------------------------------------

    @property
    def exactness(self) -> Exactness:
        """How signs were decided."""
        splitters = [*self._splitters.values(), self.start.splitter]
        return Exactness(
            self._screened + sum(s.tests for s in splitters),
            0,
            self._rationals + sum(s.rationals for s in splitters),
            self._undecided + sum(s.undecided for s in splitters),
        )

    def take(self) -> RegionArrays:
        """Return what was found since the last call."""
        nothing = self.start.cells.at(np.zeros(0, dtype=np.intp))
        unread = np.zeros((0, self.network.n_units), dtype=self.network.letter_dtype)
        cells, self._found = CellBatch.joined(self._found or [replace(nothing, letters=unread)]), []
        return RegionOutput(self.network, self.start, self.resolve, self.sets).arrays(
            cells, self.mode == 2, self.tell
        )

    def resolve(self, owner: int, key: int, row: np.ndarray, error: float, letters: np.ndarray) -> Row | None:
        """Return an exact row, None if rationals are out of reach (`Resolver`)."""
        if owner < 0:
            return self.start.exact_row(owner)
        if self.exact.is_feasible:
            return self.exact.row(owner, key, letters)
        return float_row(row) if error == 0 else None

    def repaired(
        self,
        cells: CellBatch,
        cell: np.ndarray,
        row: np.ndarray,
        error: np.ndarray,
        owner: np.ndarray,
        key: np.ndarray,
    ) -> np.ndarray:
        """Return rows of units on cells at size 1, with error bounds; hardly known ones from rationals."""
        packed = packed_rows(row, error)
        if self.exact.is_feasible:
            for r in np.flatnonzero(~(packed[:, -1] <= COARSE * sizes_of(packed[:, :-1]))):
                exact = self.exact.row(int(owner[r]), int(key[r]), cells.letters[cell[r]])
                packed[r] = exact_packed(exact)
        return packed

    def tell(self, rationals: int, undecided: int) -> None:
        """Count signs decided by rationals, and by nothing."""
        self._rationals += rationals
        self._undecided += undecided

    def leave_open(self, cells: CellBatch, i: int, unit: int) -> None:
        """Note a sign of a unit on cell i that is taken as zero without proof."""
        self._undecided += 1
        cells.undecided[i] = self.sets.joined(int(cells.undecided[i]), [unit])

    def count_screened(self, rows: int) -> None:
        """Count rows tested by floats."""
        self._screened += rows

    def copy(self) -> StagedEngine:
        """Return an engine that goes on from here on its own."""
        other = copy(self)
        other._found, other._spare = list(self._found), deque(self._spare)
        other._splitters = {number: splitter.copy() for number, splitter in self._splitters.items()}
        other._stages = [stage.copy(other) for stage in self._stages]
        return other

    # -- going on ----------------------------------------------------------------------------------------------

    def run(self, regions: int) -> None:
        """Go on until this many more regions are found, some batches are done, or all is."""
        for _ in range(STEPS):
            while self._spare and regions > 0:
                regions -= self._count(self._spare.popleft(), regions)
            if regions <= 0 or not self._stages:
                break
            stage = self._stages[-1]
            found = stage.go_on()
            if found is None:
                self._stages.pop()
            elif stage.number + 1 < len(self.network.gates):
                self._stages.append(_Stage(self, stage.number + 1, *found))
            else:
                self._spare.append(found[0])
        self.finished = not self._stages and not self._spare

    def _count(self, cells: CellBatch, most: int) -> int:
        """Count regions; put those back that are too many."""
        if len(cells) > most:
            self._spare.appendleft(cells.at(np.arange(most, len(cells))))
            cells = cells.at(np.arange(most))
        self.n_regions += len(cells)
        self.n_bounded += int(bounded(cells, self.start).sum())
        self.fraction = min(1.0, self.fraction + float(cells.share.sum()))
        if self.mode > 0:
            self._found.append(cells)
        return len(cells)

    def splitter(self, number: int) -> Splitter:
        """Return the stack of a stage, kept."""
        if number not in self._splitters:
            self._splitters[number] = Splitter((0,) * (len(self.scale) + 1), self.resolve, PARTS, self.sets)
        return self._splitters[number]


class _Stage:
    """One gate at work on the cells of one batch."""

    def __init__(self, engine: StagedEngine, number: int, cells: CellBatch, states: States) -> None:
        self.engine, self.number = engine, number
        self.gate: Gate = engine.network.gates[number]
        self.step = engine.carrier.gate_steps[number]
        self.before = engine.carrier.gate_steps[number - 1] if number else None
        self.waiting = deque([Waiting(cells, states)])
        self.splitter = engine.splitter(number)
        self.at_work: tuple[Waiting, Rows] | None = None
        self.share = 0.0
        sizes = [engine.network.steps[k].size for k in range(self.before or 0, self.step + 1)]
        per_cell = 8 * (len(engine.scale) + 3) * (sum(sizes) + int(np.prod(self.gate.shapes[0])))
        self.chunk = max(1, BYTES // max(per_cell, 1))

    def copy(self, engine: StagedEngine) -> _Stage:
        """Return the stage at the same point, of another engine."""
        other = copy(self)
        other.engine, other.splitter = engine, engine.splitter(self.number)
        other.waiting = deque(self.waiting)
        return other

    def go_on(self) -> tuple[CellBatch, States] | None:
        """Return more cells whose letters of this gate are known, with the values alive; None if all are done."""
        while True:
            if self.at_work is not None:
                found = self._collect()
                if found is not None:
                    return found
                continue
            if not self.waiting:
                return None
            self._take_up(self._arrive(self.waiting.popleft()))

    def _arrive(self, waiting: Waiting) -> Waiting:
        """Carry the rows of the next cells to the gate."""
        cells, states, carrier = waiting.cells, waiting.states, self.engine.carrier
        if waiting.letters is not None:
            return waiting
        if len(cells) > self.chunk:
            self.waiting.appendleft(waiting.at(np.arange(self.chunk, len(cells))))
            waiting = waiting.at(np.arange(self.chunk))
            cells, states = waiting.cells, waiting.states
        if self.before is not None:
            gate = self.engine.network.steps[self.before]
            arrived = states[gate.inputs[0]]
            letters = cells.letters[:, gate.columns]
            states = {**states, self.before + 1: carrier.open_gate(self.before, arrived, letters)}
        first = 0 if self.before is None else self.before + 1
        states = carrier.advance(states, first, self.step)
        dtype = np.int32 if isinstance(self.gate, MaxGate) else cells.letters.dtype
        fresh = -1 if isinstance(self.gate, MaxGate) else 0
        return Waiting(cells, states, np.full((len(cells), self.gate.size), fresh, dtype=dtype))

    def _take_up(self, waiting: Waiting) -> None:
        """Screen cells, and give the rows that are left to the splitter."""
        make = window_tasks if isinstance(self.gate, MaxGate) else unit_tasks
        done, rows = make(self.engine, self.gate, waiting)
        if done < len(waiting.cells):
            rest = np.arange(done, len(waiting.cells))
            self.waiting.appendleft(waiting.at(rest))
            waiting = waiting.at(np.arange(done))
        tasks = np.bincount(rows.cell, minlength=done)
        self.share = float(waiting.cells.share.sum())
        self.splitter.begin(waiting.cells, rows, (waiting.cells.share / np.maximum(tasks, 1))[rows.cell])
        self.at_work = waiting, rows

    def _collect(self) -> tuple[CellBatch, States] | None:
        """Return the next parts whose letters are all known; others wait for another turn."""
        if self.at_work is None:
            return None
        waiting, rows = self.at_work
        parts, task = self.splitter.go_on()
        bits = self.splitter.regions.packed[: len(parts)]
        self.share -= float(parts.share.sum())
        if not self.splitter.is_busy:
            self.at_work = None
            self.engine.fraction += self.share  # tasks of which nothing was left
        letters = read_letters(self.gate, rows, task, bits, waiting.letters)
        states = {i: s.at(rows.cell[task]) for i, s in waiting.states.items()}
        if isinstance(self.gate, MaxGate):
            open_ = (letters < 0).any(axis=1)
            if open_.any():
                rest = np.flatnonzero(open_)
                self.waiting.appendleft(Waiting(parts, states, letters).at(rest))
                kept = np.flatnonzero(~open_)
                parts, letters = parts.at(kept), letters[kept]
                states = {i: s.at(kept) for i, s in states.items()}
        return (parts.with_letters(letters), states) if len(parts) else None
