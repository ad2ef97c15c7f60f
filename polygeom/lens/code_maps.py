r"""The affine map of every spline code, whether or not any point has it: :math:`T(s) = (A(s), c(s))`.

A network with letters imposed is affine. T is a function on codes: linear steps do not depend on them, and a gate
is affine in the indicators of its own units' letters. So *T is affine in one layer's letters* (each indicator
enters one factor of the product), and a product over layers otherwise.

Not every code is that of a point: its closed cell may be empty, or flat. `code_cell` decides, with a certificate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import freeze
from polygeom.certificates.check import Check
from polygeom.certificates.feasibility import Feasibility
from polygeom.enclosures import (
    OVERFLOW_IS_UNKNOWN,
    Enclosed,
    enclose_derivative,
    enclose_pass,
    pass_gate_directions,
)
from polygeom.errors import InputError
from polygeom.gates import Gate, MaxGate
from polygeom.network import Network, as_network
from polygeom.pieces import piece_with_code, points_at_once
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.feasibility import feasibility
from polygeom.rows import RowLabels

if TYPE_CHECKING:
    import flint

__all__ = ["CodeCell", "code_cell", "enclosed_maps", "exact_map", "one_code", "some_codes", "unit_letters"]


def unit_letters(net: Network) -> tuple[tuple[int, ...], ...]:
    """Return the letters each unit can have: of a maximum, the positions of its window that are not padding.

    Examples
    --------
    >>> unit_letters(Network.from_layers([([[1], [2]], None), ([[1, 1]], None)], "hardtanh"))
    ((0, 1, 2), (0, 1, 2))
    """
    found: list[tuple[int, ...]] = []
    for gate in net.gates:
        if isinstance(gate, MaxGate):
            found += (tuple(np.flatnonzero(valid).tolist()) for valid in gate.valid)
        else:
            found += [tuple(range(gate.n_letters))] * gate.size
    return tuple(found)


def some_codes(net: Network, codes: object, name: str = "codes") -> np.ndarray:
    """Return codes as letters (B, n_units) of the network's type.

    Raises
    ------
    InputError
        If they are no codes of this network.
    """
    as_network(net)
    letters = np.atleast_2d(np.asarray(codes))
    if letters.ndim != 2 or letters.shape[1] != net.n_units or letters.dtype.kind not in "iub":
        raise InputError(
            f"{name} has shape {np.shape(codes)} and type {letters.dtype}, wanted integers (B, {net.n_units}): "
            "letters of all units, as spline_codes returns them."
        )
    if not all(_exist(gate, letters[:, gate.columns]) for gate in net.gates):
        raise InputError(f"{name} holds letters that a unit does not have. Likely cause: another network.")
    return letters.astype(net.letter_dtype)


def one_code(net: Network, code: object) -> np.ndarray:
    """Return the letters (n_units,) of one code.

    Raises
    ------
    InputError
        If it is no code of this network, or more than one.
    """
    letters = some_codes(net, code, "code")
    if len(letters) != 1:
        raise InputError(f"code holds {len(letters)} codes, wanted one.")
    return letters[0]


def _exist(gate: Gate, letters: np.ndarray) -> bool:
    """Tell whether the units of a gate have these letters (B, size)."""
    if (letters < 0).any() or (letters >= gate.n_letters).any():
        return False
    return not isinstance(gate, MaxGate) or bool(gate.valid[np.arange(gate.size), letters].all())


# -- the affine map of a code ----------------------------------------------------------------------------------


@OVERFLOW_IS_UNKNOWN
def enclosed_maps(net: Network, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the affine maps of codes in floats, with bounds on their errors.

    Parameters
    ----------
    codes : (B, n_units) array

    Returns
    -------
    value, error : (B, dim_out, dim_in + 1) arrays
        [A | c]; 0 with infinite errors where something overflowed.

    Notes
    -----
    Cost: 2 (dim_in + 1) forward passes a code.

    Examples
    --------
    >>> net = Network.from_layers([([[1.0, -1.0]], [0.5]), ([[2.0]], [1.0])])
    >>> value, error = enclosed_maps(net, np.array([[0], [1]], dtype=np.uint8))
    >>> value
    array([[[ 0.,  0.,  1.]],
           [[ 2., -2.,  2.]]])
    """
    value = np.empty((len(codes), net.dim_out, net.dim_in + 1))
    error = np.empty_like(value)
    chunk = max(1, points_at_once(net) // (net.dim_in + 1))
    for first in range(0, len(codes), chunk):
        some = slice(first, first + chunk)
        constant = enclose_pass(net, np.zeros((len(codes[some]), net.dim_in)), letters=codes[some]).output
        linear = _derivatives(net, codes[some])
        for target, a, c in (
            (value, linear.value, constant.value),
            (error, linear.error, constant.error),
        ):
            n = len(codes[some])
            target[some, :, :-1] = a.reshape(n, net.dim_in, net.dim_out).swapaxes(1, 2)
            target[some, :, -1] = c.reshape(n, net.dim_out)
    unknown = ~(np.isfinite(value) & np.isfinite(error))
    value[unknown], error[unknown] = 0.0, np.inf
    return value, error


def _derivatives(net: Network, codes: np.ndarray) -> Enclosed:
    """Return the derivatives along all unit vectors for every code, codes outside and vectors inside."""
    vectors = np.tile(np.eye(net.dim_in), (len(codes), 1)).reshape(-1, *net.input_shape)
    letters = np.repeat(codes, net.dim_in, axis=0)

    def gate(step: Gate, state: Enclosed) -> Enclosed:
        return pass_gate_directions(step, state, letters[:, step.columns].reshape(-1, *step.shape))

    return net.fold(Enclosed(vectors, np.zeros_like(vectors)), enclose_derivative, gate)


def exact_map(net: Network, code: np.ndarray) -> flint.fmpq_mat:
    """Return [A | c] of one code as a rational matrix (dim_out, dim_in + 1).

    Raises
    ------
    TooLargeError
        If the network is too large for rational arithmetic.

    Examples
    --------
    >>> net = Network.from_layers([([[1.0, -1.0]], [0.5]), ([[2.0]], [1.0])])
    >>> exact_map(net, np.array([1], dtype=np.uint8))
    [2, -2, 2]
    """
    import flint

    A, c = (part.to_rational() for part in net.exact().affine_map(code))
    rows = zip(A.table(), c.entries(), strict=True)
    return flint.fmpq_mat([[*row, offset] for row, offset in rows])


# -- the cell of a code ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class CodeCell:
    """Whether any input has a code: the feasibility of its closed cell, with a certificate.

    Attributes
    ----------
    code : (n_units,) array
    polyhedron : Polyhedron
        All half-spaces of all units. Unlike those of a piece they include units that are constant on the cell:
        a row 0 <= b, which no point satisfies if b < 0.
    feasibility : Feasibility
        Of this polyhedron.
    """

    code: np.ndarray
    polyhedron: Polyhedron = field(repr=False)
    feasibility: Feasibility

    @property
    def is_empty(self) -> bool | None:
        """Whether no input is in the closed cell; None if undecided."""
        return None if self.feasibility.feasible is None else not self.feasibility.feasible

    @property
    def dim(self) -> int | None:
        """Dimension of the closed cell, -1 if it is empty; None if undecided."""
        return self.feasibility.dim

    def check(self) -> Check:
        """Re-check the certificate, without a solver."""
        return self.feasibility.holds(self.polyhedron)


def code_cell(net: Network, code: object) -> CodeCell:
    """Decide whether the closed cell of a code is empty, flat or full-dimensional.

    Parameters
    ----------
    code : (n_units,) array
        Any letters, also those that no point has.

    Returns
    -------
    CodeCell
        Closed: a unit that is constantly 0 satisfies both letters.

    Raises
    ------
    InputError
        If code is not one code of the network's units.

    Notes
    -----
    Cost: a backward pass per half-space, then `polygeom.feasibility`.

    Examples
    --------
    >>> net = Network.from_layers([([[1.0], [1.0]], [0.0, -1.0]), ([[1.0, 1.0]], [0.0])])
    >>> [code_cell(net, code).is_empty for code in ([1, 0], [0, 1])]  # x > 0 >= x - 1; x - 1 > 0 >= x
    [False, True]
    """
    as_network(net)
    letters = one_code(net, code)
    piece = piece_with_code(net, letters, freeze(np.zeros(net.dim_in)))
    P = piece.labeled_rows(_all_rows(net, letters))
    return CodeCell(piece.code, P, feasibility(P))


def _all_rows(net: Network, code: np.ndarray) -> RowLabels:
    """Return the half-spaces of all units, those that are constant on the cell included."""
    units, sides = [np.zeros(0, dtype=np.intp)], [np.zeros(0, dtype=np.intp)]
    for gate in net.gates:
        letters = code[gate.columns].astype(np.intp)
        if isinstance(gate, MaxGate):
            beside = gate.valid & (np.arange(gate.n_letters)[None] != letters[:, None])
        else:
            side = np.arange(gate.n_letters - 1)
            beside = (side[None] == letters[:, None]) | (side[None] == letters[:, None] - 1)
        own, side = np.nonzero(beside)
        units.append(gate.first_column + own)
        sides.append(side)
    return RowLabels(np.concatenate(units), np.concatenate(sides))
