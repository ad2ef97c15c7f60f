r"""The cells of a complex, one by one: code, witness, polyhedron, and which of them a point lies in.

A point x lies in the closure of the cell with code c and interior point w if and only if the letters of the cell
entered from x towards w are c. If x is in the closed cell, the half-open segment from w to x is inside the cell
(it is convex and w is an interior point), so the letters just after x are c. If the letters are c, points of the
cell come arbitrarily close to x.

Only cells that agree with x in all units whose pre-activation is off its breakpoints there can contain it: the
pre-activations are continuous. So one enclosed forward pass and a masked comparison with all codes leave few
candidates, and the rule above decides each of them exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from polygeom.affine import AffineMap
from polygeom.arrays import as_index, freeze
from polygeom.certificates.check import nearest_floats
from polygeom.codes import SplineCodes, as_codes
from polygeom.enclosures import Enclosed, EnclosedPass, enclose_pass
from polygeom.enumeration.arrays import RegionArrays
from polygeom.errors import InputError, UndecidedError
from polygeom.exact import ScaledMatrix, as_point, fractions_array, is_exact_array, rational
from polygeom.gates import Gate, MaxGate
from polygeom.network import Network
from polygeom.pieces import AffinePiece, piece_with_code
from polygeom.polyhedron import UNKNOWN, Polyhedron
from polygeom.rounding import TINY, U, round_up

if TYPE_CHECKING:
    from polygeom.kernels.region_table import CodeTable

__all__ = ["Cells"]


@dataclass(frozen=True, eq=False)
class Cells:
    """Regions of a network as a sequence of cells in k coordinates.

    Attributes
    ----------
    network : Network
    along : AffineMap or None
        The slice whose coordinates everything is in; None for the input space.
    domain : Polyhedron or None
        Where regions were looked for; None for all of R^k.
    arrays : RegionArrays
        What was found.
    """

    network: Network
    along: AffineMap | None
    domain: Polyhedron | None
    arrays: RegionArrays

    def __post_init__(self) -> None:
        width = (self.network.n_units + 7) // 8 if self.has_bits else self.network.n_units * self._itemsize
        if self.arrays.packed.ndim != 2 or self.arrays.packed.shape[1] != width:
            raise InputError(
                f"The packed codes have shape {self.arrays.packed.shape}, wanted (N, {width}) for the "
                f"{self.network.n_units} units of {self.network}. Likely cause: the regions of another network."
            )
        if self.arrays.witnesses.shape != (len(self.arrays), self.dim):
            raise InputError(
                f"The witnesses have shape {self.arrays.witnesses.shape}, wanted {(len(self.arrays), self.dim)}."
            )

    # -- codes -------------------------------------------------------------------------------------------

    @property
    def dim(self) -> int:
        """Number k of coordinates."""
        return self.network.dim_in if self.along is None else self.along.dim_in

    @property
    def has_bits(self) -> bool:
        """Whether packed codes hold one bit a letter: no gate has more than two letters."""
        return all(g.n_letters <= 2 for g in self.network.gates)

    @property
    def _itemsize(self) -> int:
        return self.network.letter_dtype.itemsize

    def pack(self, letters: np.ndarray) -> np.ndarray:
        """Return letters (M, n_units) as packed codes (M, bytes)."""
        if self.has_bits:
            return np.packbits(letters.astype(bool), axis=1)
        exact = np.ascontiguousarray(letters, dtype=self.network.letter_dtype)
        return exact.view(np.uint8).reshape(len(letters), self.network.n_units * self._itemsize)

    def unpack(self, packed: np.ndarray) -> np.ndarray:
        """Return packed codes (M, bytes) as letters (M, n_units)."""
        if self.has_bits:
            return np.unpackbits(packed, axis=1, count=self.network.n_units)
        return np.ascontiguousarray(packed).view(self.network.letter_dtype)

    def code(self, region: int) -> np.ndarray:
        """Return the letters (n_units,) of one region."""
        return self.unpack(self.arrays.packed[self.index(region)][None])[0]

    @cached_property
    def codes(self) -> SplineCodes:
        """The letters (N, n_units) of all regions, unpacked when first read."""
        return SplineCodes(self.unpack(self.arrays.packed))

    @cached_property
    def table(self) -> CodeTable:
        """The hash table of all codes. Cost: 0.1 us a region.

        Raises
        ------
        InputError
            If two regions have the same code.
        """
        from polygeom.kernels.region_table import CodeTable

        table, twins = CodeTable.of(self.arrays.packed)
        if twins is not None:
            raise InputError(
                f"Regions {twins[0]} and {twins[1]} have the same code: the arrays list a region twice."
            )
        return table

    def find(self, letters: np.ndarray) -> np.ndarray:
        """Return the regions with these letters (M, n_units), -1 where none is listed.

        Raises
        ------
        InputError
            If the letters are no integers of that shape.
        """
        letters = letters if isinstance(letters, np.ndarray) else as_codes(letters).letters
        if letters.ndim != 2 or letters.shape[1] != self.network.n_units or letters.dtype.kind not in "iub":
            raise InputError(
                f"letters are {letters.dtype} {letters.shape}, wanted integers (M, {self.network.n_units}): those "
                "of all units, as spline_codes returns them."
            )
        found = self.table.find(self.pack(letters))
        most = 1 if self.has_bits else np.iinfo(self.network.letter_dtype).max
        if letters.min(initial=0) < 0 or letters.max(initial=0) > most:  # packed they would be others
            found[((letters < 0) | (letters > most)).any(axis=1)] = -1
        return found

    # -- points, exactly -----------------------------------------------------------------------------------

    def interior(self, region: int) -> np.ndarray:
        """Return a point (k,) inside a region: its witness, in Fractions where floats are not provably inside."""
        exact = self.arrays.exact_witnesses.get(int(region))
        return self.arrays.witnesses[region] if exact is None else fractions_array(exact)

    def exact_letters(self, point: Sequence[object], toward: Sequence[object] | None = None) -> np.ndarray:
        """Return the exact letters at a point of floats or Fractions, or of the cell entered in a direction.

        Raises
        ------
        TooLargeError
            If the network is too large for rational arithmetic.
        """
        columns = [_column(v) for v in ([point] if toward is None else [point, toward])]
        if self.along is not None:
            matrix, offset = self._exact_slice
            columns = [matrix @ column for column in columns]
            columns[0] = columns[0] + offset
        return self.network.exact().letters(*columns)

    def exact_rows(
        self, code: np.ndarray, units: np.ndarray, sides: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return exact rows (m, k) and right-hand sides (m,), in Fractions, of the cell with some letters."""
        rational_net = self.network.exact()
        A = rational_net.rows(code, units, sides)
        b = fractions_array(rational_net.offsets(code, units, sides))
        if self.along is not None:
            matrix, offset = self._exact_slice
            b = b - fractions_array((A @ offset).to_rational().entries())
            A = A @ matrix
        return fractions_array(A.to_rational().entries()).reshape(len(units), self.dim), b

    @cached_property
    def _exact_slice(self) -> tuple[ScaledMatrix, ScaledMatrix]:
        return (
            ScaledMatrix.from_floats(self.along.matrix),
            ScaledMatrix.from_floats(self.along.offset.reshape(-1, 1)),
        )

    # -- pieces --------------------------------------------------------------------------------------------

    def piece(self, region: int) -> AffinePiece:
        """Return the affine piece of a region; its code was checked at the witness.

        Cost: three forward passes; a rational pass where floats do not decide the code.

        Raises
        ------
        InputError
            If there is no such region, or the witness has another code than the one listed.
        UndecidedError
            If neither floats nor rationals decide the code at the witness.
        """
        region = self.index(region)
        code, witness = self.code(region), self.arrays.witnesses[region]
        inside = self.interior(region)
        found = None if is_exact_array(inside) else self._float_letters(witness)
        if found is None:
            if not self.network.exact().is_feasible:
                raise UndecidedError(
                    f"The code of region {region} could not be checked: its witness is within rounding distance "
                    "of a boundary, and the network is too large for rational arithmetic."
                )
            found = self.exact_letters(inside)
        if not np.array_equal(found, code):
            raise InputError(
                f"The witness of region {region} has another code than the one listed (unit "
                f"{int(np.flatnonzero(found != code)[0])} differs). Likely cause: the regions of another network."
            )
        return piece_with_code(self.network, code, freeze(np.array(witness)), self.along)

    def _float_letters(self, point: np.ndarray) -> np.ndarray | None:
        """Return the letters at a point of floats, or None if the enclosures leave one open."""
        seen = self.enclosed_pass(point[None], np.zeros((1, self.dim)))
        return None if seen.undecided.any() else seen.letters[0]

    def enclosed_pass(self, points: np.ndarray, error: np.ndarray) -> EnclosedPass:
        """Carry points (N, k), known up to an error, through the network; what arrives at gates is kept."""
        ambient = (points, error) if self.along is None else self.along.enclose(points, error)
        return enclose_pass(self.network, ambient[0], error=ambient[1], keep=True)

    def polyhedron(self, region: int) -> Polyhedron:
        """Return the closed cell: the rows of the piece, then those of the domain."""
        P = self.piece(region).polyhedron
        return P if self.domain is None else P.intersect(self.domain)

    def index(self, region: int) -> int:
        """Return a region number that is in range, or refuse it."""
        return as_index(region, len(self.arrays), "region")

    # -- which cells a point lies in -------------------------------------------------------------------------

    def locate(self, x: object) -> np.ndarray:
        """Return the regions whose closed cell contains a point, ascending: exactly (module docstring).

        Parameters
        ----------
        x : (k,) array
            Floats or Fractions, in slice coordinates.

        Returns
        -------
        array of int
            One region for a point inside a cell, several on a boundary; none outside the domain, or where an
            incomplete complex lists no region.

        Raises
        ------
        InputError
            On another shape, NaN or infinities.
        UndecidedError
            If the point is near a boundary and the network is too large for rational arithmetic.

        Notes
        -----
        Cost: two forward passes and a comparison with all codes; one rational pass for each cell around the point.
        """
        point = as_point([x] if isinstance(x, Real) else x, "x", self.dim)
        if self.domain is not None:
            signs = self.domain.slack_signs(point[None])[0]
            if (signs == -1).any():
                return np.empty(0, dtype=np.int64)
            if (signs == UNKNOWN).any():
                raise UndecidedError(
                    "Whether the point lies in the domain is within the domain's rounding errors."
                )
        candidates, near = self._candidates(point)
        if not near:
            return candidates
        if len(candidates) and not self.network.exact().is_feasible:
            raise UndecidedError(
                f"The point is within rounding distance of a boundary of {len(candidates)} cells, and the network "
                "is too large for rational arithmetic."
            )
        exact = fractions_array(point)
        around = [c for c in candidates.tolist() if self._is_around(c, exact)]
        return np.array(around, dtype=np.int64)

    def _is_around(self, region: int, point: np.ndarray) -> bool:
        """Tell whether the closed cell of a region contains an exact point."""
        direction = fractions_array(self.interior(region)) - point
        return np.array_equal(self.exact_letters(point, direction), self.code(region))

    def _candidates(self, point: np.ndarray) -> tuple[np.ndarray, bool]:
        """Return the regions that agree with a point wherever it is off all boundaries, and if it is near one.

        A nearest float is within u |x| + TINY of its point.
        """
        near = nearest_floats(point)
        if not np.isfinite(near).all():
            raise InputError("x lies beyond the largest float64, about 1.8e308; give smaller coordinates.")
        error = U * np.abs(near) + TINY if is_exact_array(point) else np.zeros(self.dim)
        seen = self.enclosed_pass(near[None], round_up(error, 2)[None] if error.any() else error[None])
        close = np.zeros(self.network.n_units, dtype=bool)
        for gate, state in zip(self.network.gates, seen.inputs, strict=True):
            close[gate.columns] = _may_tie(gate, state)
        mask = self.pack(np.where(close, 0, self._ones)[None])[0]
        differs = (self.arrays.packed ^ self.pack(seen.letters)) & mask
        return np.flatnonzero(~differs.any(axis=1)), bool(close.any())

    @property
    def _ones(self) -> int:
        return 1 if self.has_bits else int(np.iinfo(self.network.letter_dtype).max)


def _column(values: Sequence[object]) -> ScaledMatrix:
    """Return floats or Fractions as an exact column."""
    return ScaledMatrix.from_rationals(len(values), 1, [rational(v) for v in values])


def _may_tie(gate: Gate, state: Enclosed) -> np.ndarray:
    """Return which units of a gate may be exactly on a breakpoint, or tie with a rival, at the one point seen."""
    value, error = state.value.reshape(-1), state.error.reshape(-1)
    if isinstance(gate, MaxGate):
        low = gate.window((value - error)[None], -np.inf)[0].max(axis=1)
        high = gate.window((value + error)[None], -np.inf)[0]
        # value -+ error are rounded once each
        room = 2.0 * U * (np.abs(low)[:, None] + np.abs(np.where(gate.valid, high, 0.0)))
        return (gate.valid & (high + room >= low[:, None])).sum(axis=1) > 1
    levels = gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1)
    return (np.abs(value - levels) <= round_up(error, 2)).any(axis=0)
