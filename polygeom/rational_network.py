"""A network over the rationals: exact letters, exact rows, exact values.

The float64 parameters are dyadic rationals and pooling divisors are integers, so every value at a dyadic point
is rational. Values are `ScaledMatrix` columns (integers over one denominator): a step costs one integer matrix
product. Convolutions become matrices here, which bounds the size of network this is for (`BUDGET`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from polygeom.errors import TooLargeError
from polygeom.exact import ScaledMatrix, rational
from polygeom.gates import Elementwise, Gate, MaxGate
from polygeom.graph import Graph
from polygeom.steps import LinearStep

if TYPE_CHECKING:
    import flint


__all__ = ["BUDGET", "RationalNetwork", "apply_letters"]

BUDGET = 8_000_000
"""Most matrix entries, over all steps, that are turned into integers (about 1 GB and 10 s)."""


@dataclass(frozen=True, eq=False)
class RationalNetwork:
    """Exact evaluation of a network; made by `Network.exact`.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from polygeom.network import Network
    >>> net = Network.from_layers([([[1.0, -1.0]], [0.0]), ([[0.1]], [0.0])])
    >>> net.exact()([3, 1])[0] == 2 * Fraction(0.1)
    True
    """

    network: Graph

    @property
    def n_entries(self) -> int:
        """Matrix entries of all linear steps, as dense matrices."""
        linear = (s for s in self.network.steps if isinstance(s, LinearStep))
        return sum(s.size * sum(int(np.prod(shape, dtype=np.int64)) for shape in s.shapes) for s in linear)

    @property
    def is_feasible(self) -> bool:
        """Whether the network is small enough for rational arithmetic."""
        return self.n_entries <= BUDGET

    def __call__(self, x: object) -> list[object]:
        """Return the exact output at one flat point (floats or Fractions) as a list of Fractions."""
        point = self.point(x)
        letters = self.letters(point)
        output = self._forward(point, letters)[1]
        return [output[i, 0] for i in range(output.shape[0])]

    def point(self, x: object) -> ScaledMatrix:
        """Return one point (n,) of floats or Fractions as an exact column."""
        return ScaledMatrix.from_rationals(len(x), 1, [rational(v) for v in x])

    # -- letters -----------------------------------------------------------------------------------------

    def letters(self, point: ScaledMatrix, toward: ScaledMatrix | None = None) -> np.ndarray:
        """Return the exact letters (n_units,) at a point, or of the cell entered from it in a direction.

        A pre-activation exactly on a breakpoint takes the lower letter, a tie of maxima the first position (the
        closed-cell convention). With `toward`, ties are broken by the one-sided derivative, lexicographically,
        carried through the gates layer by layer.
        """
        columns = point if toward is None else _beside(point, toward)
        letters = np.zeros(self.network.n_units, dtype=self.network.letter_dtype)

        def read(gate: Gate, value: ScaledMatrix) -> ScaledMatrix:
            chosen = _read(gate, value)
            letters[gate.columns] = chosen
            return apply_letters(gate, chosen, value)

        self.network.fold(columns, self.linear, read)
        return letters

    # -- one piece ---------------------------------------------------------------------------------------

    def rows(self, letters: np.ndarray, units: np.ndarray, sides: np.ndarray) -> ScaledMatrix:
        """Return exact half-space normals (k, dim_in) of the piece with these letters.

        Row i belongs to ``units[i]``; ``sides[i]`` is the breakpoint, or the rival window position, it keeps the
        unit away from.
        """
        owners = self.network.units.gate_of(units)
        parts: list[tuple[np.ndarray, ScaledMatrix]] = []
        for g in np.unique(owners):
            chosen = np.flatnonzero(owners == g)
            seed = self._seed(self.network.gates[g], letters, units[chosen], sides[chosen])
            parts.append((chosen, self._back(self.network.gates[g].inputs[0], seed, letters)))
        return _stacked(len(units), self.network.dim_in, parts)

    def offsets(self, letters: np.ndarray, units: np.ndarray, sides: np.ndarray) -> list[flint.fmpq]:
        """Return exact right-hand sides of the same rows: the piece's affine maps at the origin, signed."""
        arrivals = self._arrivals(letters.tobytes())
        owners = self.network.units.gate_of(units)
        result = []
        for g, unit, side in zip(owners, units, sides, strict=True):
            gate, local = self.network.gates[g], int(unit) - self.network.gates[g].first_column
            arrival, letter = arrivals[g], int(letters[unit])
            if isinstance(gate, MaxGate):
                winner, rival = gate.index[local, letter], gate.index[local, side]
                result.append(_entry(arrival, winner) - _entry(arrival, rival))
                continue
            breakpoint_ = rational(float(gate.table(gate.breakpoints)[side].ravel()[local]))
            gap = breakpoint_ - _entry(arrival, local)
            result.append(gap if side >= letter else -gap)
        return result

    def affine_map(self, letters: np.ndarray) -> tuple[ScaledMatrix, ScaledMatrix]:
        """Return the exact matrix (dim_out, dim_in) and offset (dim_out, 1) of the piece."""
        seed = ScaledMatrix.from_floats(np.eye(self.network.dim_out))
        origin = self.point([0] * self.network.dim_in)
        return self._back(self.network.output, seed, letters), self._forward(origin, letters)[1]

    def _arrivals(self, key: bytes) -> list[ScaledMatrix]:
        """Return what arrives at every gate at the origin, for the piece with these letters; kept."""
        if key not in self._arrival_cache:
            letters = np.frombuffer(key, dtype=self.network.letter_dtype)
            origin = self.point([0] * self.network.dim_in)
            self._arrival_cache.clear()
            self._arrival_cache[key] = self._forward(origin, letters)[0]
        return self._arrival_cache[key]

    @cached_property
    def _arrival_cache(self) -> dict[bytes, list[ScaledMatrix]]:
        return {}

    def arrivals(self, columns: ScaledMatrix, letters: np.ndarray) -> list[ScaledMatrix]:
        """Return what arrives at every gate of one piece, for a point and, in more columns, directions."""
        return self._forward(columns, letters)[0]

    def _forward(self, point: ScaledMatrix, letters: np.ndarray) -> tuple[list[ScaledMatrix], ScaledMatrix]:
        """Return what arrives at each gate, and the output, of the affine extension of one piece."""
        arrivals: list[ScaledMatrix] = []

        def impose(gate: Gate, value: ScaledMatrix) -> ScaledMatrix:
            arrivals.append(value)
            return apply_letters(gate, letters[gate.columns], value)

        output = self.network.fold(point, self.linear, impose)
        return arrivals, output

    def _seed(self, gate: Gate, letters: np.ndarray, units: np.ndarray, sides: np.ndarray) -> ScaledMatrix:
        """Return the rows over the gate's input entries: signed unit vectors, differences for max gates."""
        width = int(np.prod(gate.shapes[0], dtype=np.int64))
        seed = np.zeros((len(units), width))
        local = units - gate.first_column
        row = np.arange(len(units))
        if isinstance(gate, MaxGate):
            seed[row, gate.index[local, sides]] += 1
            seed[row, gate.index[local, letters[units].astype(np.intp)]] -= 1
        else:
            seed[row, local] = np.where(sides >= letters[units], 1.0, -1.0)
        return ScaledMatrix.from_floats(seed)

    def _back(self, value: int, seed: ScaledMatrix, letters: np.ndarray) -> ScaledMatrix:
        """Return seed times the exact Jacobian of a value with respect to the input."""

        def linear(step: LinearStep, rows: ScaledMatrix) -> tuple[ScaledMatrix, ...]:
            matrices, _ = self.matrices(step)
            return tuple(rows @ m for m in matrices)

        def gate(step: Gate, rows: ScaledMatrix) -> ScaledMatrix:
            return _apply_adjoint(step, letters[step.columns], rows)

        back = self.network.fold_back({value: seed}, linear, gate, ScaledMatrix.__add__)
        return (
            ScaledMatrix.from_floats(np.zeros((seed.shape[0], self.network.dim_in))) if back is None else back
        )

    # -- linear steps ------------------------------------------------------------------------------------

    def linear(self, step: LinearStep, *values: ScaledMatrix) -> ScaledMatrix:
        """Carry exact columns through a linear step; the constant joins the first column only."""
        matrices, constant = self.matrices(step)
        total = matrices[0] @ values[0]
        for matrix, value in zip(matrices[1:], values[1:], strict=True):
            total = total + matrix @ value
        if constant is None:
            return total
        if total.shape[1] == 1:
            return total + constant
        zeros = ScaledMatrix.from_floats(np.zeros((step.size, total.shape[1] - 1)))
        return total + _beside(constant, zeros)

    def matrices(self, step: LinearStep) -> tuple[tuple[ScaledMatrix, ...], ScaledMatrix | None]:
        """Return the exact matrices and constant of a linear step; kept."""
        if not self.is_feasible:
            raise TooLargeError(
                f"Rational arithmetic on this network needs {self.n_entries} matrix entries, above the budget of "
                f"{BUDGET}. Cut a smaller part with start=/stop=."
            )
        if id(step) not in self._kept:
            self._kept[id(step)] = _exact_matrices(step)
        return self._kept[id(step)]

    @cached_property
    def _kept(self) -> dict[int, tuple[tuple[ScaledMatrix, ...], ScaledMatrix | None]]:
        return {}


def _exact_matrices(step: LinearStep) -> tuple[tuple[ScaledMatrix, ...], ScaledMatrix | None]:
    """Return the matrices of a linear step, divided exactly, and its constant."""
    matrices = tuple(ScaledMatrix.from_floats(m) for m in step.matrices())
    divisors = step.divisors()
    if divisors is not None:
        import flint

        inverse = ScaledMatrix.from_rationals(len(divisors), 1, [flint.fmpq(1, int(v)) for v in divisors])
        matrices = tuple(_scale_rows(m, inverse) for m in matrices)
    if step.constant is None:
        return matrices, None
    constant = np.ascontiguousarray(np.broadcast_to(step.constant, step.shape), dtype=np.float64)
    return matrices, ScaledMatrix.from_floats(constant.reshape(-1, 1))


# -- gates ---------------------------------------------------------------------------------------------------


def _read(gate: Gate, value: ScaledMatrix) -> np.ndarray:
    """Return the exact letters at the point (first column), ties broken by a direction (second column)."""
    rows = value.numerators.table()
    if isinstance(gate, MaxGate):
        letters = np.zeros(gate.size, dtype=gate.letter_dtype)
        for unit, window in enumerate(gate.index):
            best = max(rows[i] for i in window if i >= 0)
            letters[unit] = next(p for p, i in enumerate(window) if i >= 0 and rows[i] == best)
        return letters
    tables = gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1)
    letters = np.zeros(gate.size, dtype=gate.letter_dtype)
    for breakpoints in tables:
        levels = [rational(float(t)) * value.denominator for t in breakpoints]
        letters += np.array(
            [
                (row[0] > t or (row[0] == t and len(row) > 1 and row[1] > 0))
                for row, t in zip(rows, levels, strict=True)
            ]
        ).astype(letters.dtype)
    return letters


def apply_letters(gate: Gate, letters: np.ndarray, value: ScaledMatrix) -> ScaledMatrix:
    """Apply the affine piece that letters (size,) choose; offsets join the first column."""
    import flint

    if isinstance(gate, MaxGate):
        rows = value.numerators.table()
        winners = gate.index[np.arange(gate.size), letters.astype(np.intp)]
        return ScaledMatrix(flint.fmpz_mat([rows[i] for i in winners]), value.denominator)
    scaled = _scale_rows(value, _column(gate, gate.slopes, letters))
    offsets = gate.chosen(gate.offsets, letters.reshape(1, *gate.shape)).reshape(-1, 1)
    if not offsets.any():
        return scaled
    joined = np.zeros((gate.size, value.shape[1]))
    joined[:, :1] = offsets
    return scaled + ScaledMatrix.from_floats(joined)


def _apply_adjoint(gate: Gate, letters: np.ndarray, rows: ScaledMatrix) -> ScaledMatrix:
    """Carry rows (r, gate size) back to the gate's input entries (r, input size)."""
    if isinstance(gate, MaxGate):
        width = int(np.prod(gate.shapes[0], dtype=np.int64))
        selection = np.zeros((gate.size, width))
        selection[np.arange(gate.size), gate.index[np.arange(gate.size), letters.astype(np.intp)]] = 1.0
        return rows @ ScaledMatrix.from_floats(selection)
    return _scale_rows(rows.T, _column(gate, gate.slopes, letters)).T


def _column(gate: Elementwise, array: np.ndarray, letters: np.ndarray) -> ScaledMatrix:
    """Return the chosen slopes as an exact column."""
    chosen = gate.chosen(array, letters.reshape(1, *gate.shape)).reshape(-1, 1)
    return ScaledMatrix.from_floats(chosen)


# -- small matrix helpers ------------------------------------------------------------------------------------


def _entry(column: ScaledMatrix, row: int) -> flint.fmpq:
    import flint

    return flint.fmpq(column.numerators[int(row), 0], column.denominator)


def _scale_rows(matrix: ScaledMatrix, factors: ScaledMatrix) -> ScaledMatrix:
    """Return diag(factors) matrix, factors an exact column."""
    import flint

    scales = factors.numerators.entries()
    rows = [
        row if s == 1 else [s * v for v in row]
        for s, row in zip(scales, matrix.numerators.table(), strict=True)
    ]
    return ScaledMatrix(
        flint.fmpz_mat(*matrix.shape, [v for row in rows for v in row]),
        matrix.denominator * factors.denominator,
    )


def _beside(left: ScaledMatrix, right: ScaledMatrix) -> ScaledMatrix:
    """Return [left | right]."""
    import flint

    common = left.denominator.lcm(right.denominator)
    a, b = common // left.denominator, common // right.denominator
    rows = zip(left.numerators.table(), right.numerators.table(), strict=True)
    entries = [v for x, y in rows for v in [*(a * n for n in x), *(b * n for n in y)]]
    return ScaledMatrix(flint.fmpz_mat(left.shape[0], left.shape[1] + right.shape[1], entries), common)


def _stacked(n_rows: int, n_columns: int, parts: list[tuple[np.ndarray, ScaledMatrix]]) -> ScaledMatrix:
    """Return the matrix whose rows are given in groups: (positions, rows)."""
    import flint

    common = flint.fmpz(1)
    for _, part in parts:
        common = common.lcm(part.denominator)
    table: list[list[flint.fmpz]] = [[]] * n_rows
    for positions, part in parts:
        factor = common // part.denominator
        for position, row in zip(positions, part.numerators.table(), strict=True):
            table[position] = [factor * v for v in row]
    return ScaledMatrix(flint.fmpz_mat(n_rows, n_columns, [v for row in table for v in row]), common)
