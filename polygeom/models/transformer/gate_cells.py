r"""Gate cells of a transformer block: the polyhedron of all inputs of the first linear layer with one code.

In y, what LayerNorm hands on before gain and shift, unit i keeps one side of :math:`\tilde w_i \cdot y + \tilde
c_i = t`; t is 0, or the stationary point of GELU for the cells on which every unit is monotone. The cell is a
polyhedron in the hyperplane orthogonal to the ones vector, in the coordinates u of `Hyperplane`, and everything
the library asks of polyhedra can be asked of it. Whether the cell reaches beyond the image of LayerNorm, a ball in
that hyperplane, is for `polygeom.models.transformer.visible`.

Rows
----
With :math:`g = \gamma * w`, the row over u is :math:`g_k - s` with :math:`s = \alpha \sum_{k < d} g_k + \omega
g_d`, for y is orthogonal to 1 whether g is or not. g errs by u of itself, s by :math:`\gamma_{d + 1}` of the same
sum over :math:`|g|`, the difference by u of itself. Exact rows come from the parameters. A unit whose exact row is
zero draws no boundary and no row. The stationary point is known between neighboring floats only: those cells have
no exact right-hand sides, and what depends on the last bit of one is undecided.

Activations that are not affine on a cell (GELU) have no affine map there; `GateCell.affine_map` refuses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from polygeom.affine import AffineMap
from polygeom.arrays import as_vector, freeze
from polygeom.certificates.boundedness import Boundedness, RecessionCone
from polygeom.certificates.facets import FacetReport
from polygeom.certificates.origin import OriginTest
from polygeom.errors import InputError, NotPiecewiseAffineError, UndecidedError
from polygeom.exact import rational_matrix
from polygeom.models.transformer.activations import turning_point
from polygeom.models.transformer.hyperplane import Hyperplane
from polygeom.models.transformer.normed_mlp import NormedMLP, as_block
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.boundedness import boundedness, recession_cone
from polygeom.predicates.facets import facets
from polygeom.predicates.origin import origin_test
from polygeom.rounding import TINY, U, dot_error, gamma, round_up

if TYPE_CHECKING:
    import flint

__all__ = ["GateCell", "gate_cell"]


@dataclass(frozen=True, eq=False)
class GateCell:
    """The cell of all y with the code of one token, in coordinates u of the hyperplane orthogonal to ones.

    Attributes
    ----------
    block : NormedMLP
    token : (d,) array
        The point of the residual stream whose code it is.
    code : (m,) array
        Its letters: 1 where the pre-activation is above the breakpoint.
    units : (r,) array
        The unit that draws each row, ascending: all but those whose folded row is zero.
    breakpoint : (float, float)
        Floats between which the breakpoint lies: (0, 0), or neighbors around GELU's stationary point.
    """

    block: NormedMLP
    token: np.ndarray
    code: np.ndarray
    units: np.ndarray
    breakpoint: tuple[float, float]

    def __repr__(self) -> str:
        kind = "gate" if self.breakpoint == (0.0, 0.0) else "monotone"
        return f"GateCell({len(self.units)} {kind} rows in R^{self.block.dim - 1}, {self.block.activation})"

    @cached_property
    def plane(self) -> Hyperplane:
        """The hyperplane and its coordinates."""
        return Hyperplane(self.block.dim)

    @property
    def along(self) -> AffineMap:
        """The exact map u -> y into R^d."""
        return self.plane.along

    @cached_property
    def witness(self) -> np.ndarray:
        """The token in coordinates u, rounded."""
        return freeze(self.plane.coordinates(self.block.normalized(self.token)))

    @cached_property
    def polyhedron(self) -> Polyhedron:
        """The closed cell over u: row i belongs to ``units[i]``. Cost: a few passes over the weights."""
        A, A_error = self._normals()
        folded, side = self.block.folded, self._sides()
        low, high = self.breakpoint
        middle = 0.5 * (low + high)
        offsets = folded.offsets[self.units]
        b = side * (middle - offsets)
        b_error = folded.offset_errors[self.units] + (high - low)
        b_error = round_up(b_error + (U * np.abs(b) if middle else 0.0), 3)
        source = self._exact_rows if low == high else None
        return Polyhedron(A, freeze(b), A_error, b_error, source)

    def _sides(self) -> np.ndarray:
        """Return -1 for rows that keep y above the breakpoint, 1 for those that keep it below."""
        return 1.0 - 2.0 * self.code[self.units]

    def _normals(self) -> tuple[np.ndarray, np.ndarray]:
        """Return outward normals (r, d - 1) and bounds on their errors."""
        block, plane = self.block, self.plane
        scaled = block.W_in[self.units] * block.gamma
        share = np.append(np.full(block.dim - 1, plane.alpha), plane.omega)
        s, spread = scaled @ share, np.abs(scaled) @ share
        lost = round_up(dot_error(spread, block.dim) + gamma(4) * spread + block.dim * TINY, 4)
        A = scaled[:, :-1] - s[:, None]
        error = np.abs(scaled[:, :-1])
        error += np.abs(A)
        error *= gamma(3)
        error += round_up(lost, 4)[:, None]
        A *= self._sides()[:, None]
        return freeze(A), error

    def _exact_rows(self, rows: np.ndarray) -> tuple[flint.fmpq_mat, flint.fmpq_mat]:
        """Return true rows and right-hand sides of a cell whose breakpoint is 0."""
        import flint

        units = self.units[rows]
        normals, offsets = self.block.folded.exact(units)
        signs = [1 - 2 * int(letter) for letter in self.code[units]]
        pulled = normals * rational_matrix(self.along.matrix)
        entries = [sign * value for sign, row in zip(signs, pulled.table(), strict=True) for value in row]
        sides = [-sign * c for sign, c in zip(signs, offsets.entries(), strict=True)]
        return flint.fmpq_mat(len(units), self.block.dim - 1, entries), flint.fmpq_mat(len(units), 1, sides)

    # -- what the library asks of polyhedra --------------------------------------------------------------------

    def facets(self) -> FacetReport:
        """Decide which rows are facets, with proofs; see `polygeom.facets`. Rows are numbered as in `units`."""
        inside = self.polyhedron.slack_signs(self.witness[None])[0]
        return facets(self.polyhedron, self.witness if (inside == 1).all() else None)

    def boundedness(self) -> Boundedness:
        """Decide whether the cell is bounded within the hyperplane; see `polygeom.boundedness`."""
        return boundedness(self.polyhedron, point=self.witness)

    def recession_cone(self) -> RecessionCone:
        """Return the directions that stay in the cell for ever; see `polygeom.recession_cone`."""
        return recession_cone(self.polyhedron)

    def origin_test(self) -> OriginTest:
        """Decide how the cell lies to y = 0, the center of LayerNorm's image; see `polygeom.origin_test`."""
        return origin_test(self.polyhedron, point=self.witness)

    @property
    def affine_map(self) -> AffineMap:
        """The map from u to the output of the block on this cell, in floats; only for ReLU.

        Raises
        ------
        NotPiecewiseAffineError
            For GELU, which bends everywhere.
        """
        block = self.block
        if block.activation != "relu":
            raise NotPiecewiseAffineError(
                block.activation,
                "",
                "its second derivative vanishes nowhere on an interval, so no gate cell has an affine map. What "
                "is exact is the cell itself, and cells on which every unit is monotone (monotone=True)",
            )
        on = self.code.astype(bool)
        out, folded = block.W_out[:, on], block.folded
        offset = out @ folded.offsets[on] + block.b_out
        return AffineMap(out @ (folded.weights[on] @ self.along.matrix), offset)


def gate_cell(block: NormedMLP, token: object, *, monotone: bool = False) -> GateCell:
    """Return the gate cell of a block at one token.

    Parameters
    ----------
    block : NormedMLP
    token : (d,) array
        A point of the residual stream, as it enters the LayerNorm.
    monotone : bool
        Put the breakpoints where GELU turns (z = -0.752...) instead of 0: every unit is monotone on the cell.

    Raises
    ------
    InputError
        On wrong shapes, NaN or infinities, or if monotone cells are asked of a ReLU.
    UndecidedError
        If a pre-activation of the token lies within rounding of GELU's stationary point, an irrational number.

    Notes
    -----
    Letters at 0 are exact. Cost at (d, m) = (768, 3072): 1 ms, and 60 ms when the rows are first asked for.

    Examples
    --------
    >>> block = NormedMLP([1, 1, 1], [0, 0, 0], 0.5, [[1, 0, 0], [0, 1, 0]], [-1, 1], "gelu", [[1, 1]], [0])
    >>> cell = gate_cell(block, [4, 1, 1])
    >>> cell, cell.code
    (GateCell(2 gate rows in R^2, gelu_erf), array([1, 1], dtype=uint8))
    >>> cell.boundedness().bounded, cell.origin_test().contains_origin
    (False, False)
    """
    as_block(block)
    point = as_vector(token, "token", block.dim)
    if not monotone:
        return GateCell(
            block, point, freeze(block.codes(point).letters[0].copy()), _drawing(block), (0.0, 0.0)
        )
    if block.activation == "relu":
        raise InputError("The gate cells of a ReLU are its monotone cells; leave monotone=False.")
    low, high = turning_point(block.activation)
    above, below = (block.signs(point, level)[0] for level in (high, low))
    open_ = np.flatnonzero((above <= 0) & (below >= 0))
    if open_.size:
        raise UndecidedError(
            f"The pre-activation of unit {int(open_[0])} lies between the floats around GELU's stationary point, "
            f"{low!r} and {high!r}: which side it is on is not known."
        )
    return GateCell(block, point, freeze((above > 0).astype(np.uint8)), _drawing(block), (low, high))


def _drawing(block: NormedMLP) -> np.ndarray:
    """Return the units that draw a boundary."""
    return freeze(np.flatnonzero(~block.folded.is_zero))
