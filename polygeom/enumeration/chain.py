r"""A network as a chain of dense maps between units that bend once, at zero: what the compiled recursion reads.

A chain is a network without skips whose gates are homogeneous and have two letters (ReLU, leaky and parametric
ReLU, absolute value). Neighboring linear steps are multiplied out, and everything lives in the coordinates y of a
slice, x = B S y + c: S is diagonal with powers of two, chosen so that the first layer's slopes and offsets are of
one size. Rows are homogeneous, :math:`z(y, t) = r \cdot (y, t)`.

How far a computed row may be off
---------------------------------
On a cell the exact row of unit j of layer l is a polynomial in the stored numbers, a sum over the paths from the
input to j. Whatever the order of the sums, each path's product passes through at most

.. math:: N_l = \sum_{i \le l} (\text{terms}_i + 3)

roundings (one per product, at most one per addition, one per slope and per divisor), so the computed row differs
by at most :math:`\gamma_{N_l}` times the same sum over absolute values (Higham 2002, Lemma 3.1), which
`ChainLayer.reach` bounds for all cells at once: slopes enter with the larger absolute value of the two. Products
that underflow lose at most `TINY` each, magnified by the weights of the layers that follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from polygeom.affine import AffineMap
from polygeom.arrays import freeze
from polygeom.exact import ScaledMatrix, rational_matrix
from polygeom.gates import Elementwise, Gate
from polygeom.network import Network
from polygeom.rounding import TINY, gamma, round_up
from polygeom.steps import LinearStep, Step

if TYPE_CHECKING:
    import flint

__all__ = ["ENTRIES", "FARTHEST", "ChainLayer", "DenseChain", "dense_chain"]

FARTHEST = 300
"""Largest binary exponent of a coordinate's scale: powers of two up to here are floats, and their inverses too."""

ENTRIES = 8_000_000
"""Most entries of a chain's matrices: beyond, the maps are pushed through the graph instead of multiplied."""


@dataclass(frozen=True, eq=False)
class ChainLayer:
    """One dense map and the units that read it.

    Attributes
    ----------
    first_column : int
        Column of the first unit in the network's codes.
    weight : (n, n_before), bias : (n,)
        The map from the outputs of the layer before (of the first layer: from slice coordinates y).
    slopes : (2, n)
        Slope of every unit below and above zero.
    reach : (n, D)
        Upper bound on the absolute coefficients (y, t) of every unit's row, on any cell.
    row_error : (n,)
        Upper bound on the summed absolute errors of the D coefficients of a computed row, on any cell.
    bias_error : (n,)
        Upper bound on the error of ``bias`` alone; 0 where it is a stored number.
    """

    first_column: int
    weight: np.ndarray
    bias: np.ndarray
    slopes: np.ndarray
    reach: np.ndarray
    row_error: np.ndarray
    bias_error: np.ndarray

    @property
    def width(self) -> int:
        """Number of units."""
        return len(self.bias)


@dataclass(frozen=True, eq=False)
class DenseChain:
    """Layers in order, and the slice whose coordinates the first one reads.

    Attributes
    ----------
    layers : tuple of ChainLayer
    scale : (k,) array of powers of two
        Slice coordinates of the user are ``scale * y``.
    """

    network: Network
    along: AffineMap | None
    layers: tuple[ChainLayer, ...]
    scale: np.ndarray

    @property
    def dim(self) -> int:
        """Number k of slice coordinates."""
        return len(self.scale)

    def first_rows(self, units: Sequence[int]) -> flint.fmpq_mat:
        """Return the exact homogeneous rows of units of the first layer, (len(units), k + 1)."""
        import flint

        first, chosen = self.layers[0], list(units)
        if self.along is None and not first.bias_error.any():  # the numbers given, up to powers of two
            return rational_matrix(np.column_stack([first.weight[chosen], first.bias[chosen]]))
        weight, bias = (m.to_rational() for m in self.exact_maps[0])
        rows = [[*(weight[i, j] for j in range(self.dim)), bias[i, 0]] for i in chosen]
        return flint.fmpq_mat(len(rows), self.dim + 1, [v for row in rows for v in row])

    @cached_property
    def exact_maps(self) -> ExactMaps:
        """Exact weight and bias column of every layer, over y; ``exact_maps[l]`` is made when first read."""
        return ExactMaps(self)


@dataclass(frozen=True, eq=False)
class ExactMaps:
    """The maps of a chain as integers over one denominator, layer by layer, each made once."""

    chain: DenseChain

    @cached_property
    def _kept(self) -> dict[int, tuple[ScaledMatrix, ScaledMatrix]]:
        return {}

    def __len__(self) -> int:
        return len(self.chain.layers)

    def __getitem__(self, layer: int) -> tuple[ScaledMatrix, ScaledMatrix]:
        if layer not in self._kept:
            group, _ = list(_groups(self.chain.network))[layer]
            weight, bias = _exact_start(self.chain) if layer == 0 else (None, None)
            for step in group:
                M, constant = _exact_step(step)
                weight = M if weight is None else M @ weight
                bias = constant if bias is None else M @ bias + constant
            self._kept[layer] = weight, bias
        return self._kept[layer]


def dense_chain(net: Network, along: AffineMap | None) -> DenseChain | None:
    """Return the network as a chain over a slice (None: the input space), or None if it is no small chain.

    Cost: one product per linear step, with dense matrices of at most `ENTRIES` entries in all.
    """
    if not net.gates or not _is_chain(net):
        return None
    k = net.dim_in if along is None else along.dim_in
    scale = _balance(next(_layers(net, along, np.ones(k))))
    return DenseChain(net, along, tuple(_layers(net, along, scale)), freeze(scale))


def _is_chain(net: Network) -> bool:
    """Tell whether every step reads the one before, units bend once at zero, and the matrices are small."""
    last = 1 + max(
        k for k, step in enumerate(net.steps) if isinstance(step, Elementwise) or step in net.gates
    )
    steps = net.steps[:last]
    if any(step.inputs != (k,) for k, step in enumerate(steps)):
        return False
    entries = sum(
        step.size * int(np.prod(step.shapes[0], dtype=np.int64))
        for step in steps
        if isinstance(step, LinearStep)
    )
    return entries <= ENTRIES and all(
        isinstance(g, Elementwise) and g.is_homogeneous and g.n_letters == 2 for g in net.gates
    )


def _groups(net: Network) -> Iterator[tuple[list[LinearStep], Gate]]:
    """Yield the linear steps before each gate, with the gate."""
    group: list[LinearStep] = []
    for step in net.steps:
        if isinstance(step, LinearStep):
            group.append(step)
        elif isinstance(step, Gate):
            yield group, step
            group = []


def _balance(first: ChainLayer) -> np.ndarray:
    """Return powers of two that bring the first layer's slopes to the size of its offsets (to 1 without)."""
    slopes = np.abs(first.weight).max(axis=0, initial=0.0)
    offsets = np.abs(first.bias[first.bias != 0])
    size = np.median(offsets) if len(offsets) else 1.0
    with np.errstate(divide="ignore"):
        wanted = np.where(slopes > 0, np.round(np.log2(size) - np.log2(slopes)), 0.0)
    wanted = np.clip(wanted, -FARTHEST, FARTHEST)
    return 2.0**wanted


def _start(along: AffineMap | None, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return x as a map of y: matrix and offset, without rounding."""
    if along is None:
        return np.diag(scale), np.zeros(len(scale))
    return along.matrix * scale, along.offset


def _exact_start(chain: DenseChain) -> tuple[ScaledMatrix, ScaledMatrix]:
    """Return x as an exact map of y."""
    matrix, offset = _start(chain.along, chain.scale)
    return ScaledMatrix.from_floats(matrix), ScaledMatrix.from_floats(offset.reshape(-1, 1))


def _layers(net: Network, along: AffineMap | None, scale: np.ndarray) -> Iterator[ChainLayer]:
    """Yield the layers of a chain, first to last."""
    k = len(scale)
    matrix, offset = _start(along, scale)
    carried: _Product | None = _Product(matrix, offset, np.abs(matrix), np.abs(offset))
    reach, roundings, lost = np.eye(k + 1), 0, np.zeros(k)
    for layer, (group, gate) in enumerate(_groups(net)):
        rounded = len(group) > 1 or group[0].divisors() is not None or (layer == 0 and along is not None)
        for step in group:
            roundings += step.terms + 3
            carried = _Product.of(step) if carried is None else carried.then(step)
        # `reach` maps what arrives (t last) to (y, t); the layer's own product is added to it.
        homogeneous = np.column_stack([carried.size, carried.offset_size])
        reach = round_up(homogeneous @ reach, homogeneous.shape[1] + 2)
        lost = round_up(carried.size @ lost + (carried.size.shape[1] + 2) * (k + 1) * TINY, 8)
        roundings += carried.matrix.shape[1] + 3
        relative = gamma(roundings)
        slopes = np.ascontiguousarray(gate.table(gate.slopes).reshape(2, -1))
        yield ChainLayer(
            gate.first_column,
            freeze(np.ascontiguousarray(carried.matrix)),
            freeze(carried.offset),
            freeze(slopes),
            freeze(reach),
            freeze(round_up(relative * reach.sum(axis=1) + lost, k + 4)),
            freeze(round_up(relative * carried.offset_size + lost, 4) if rounded else np.zeros(gate.size)),
        )
        steepest = np.abs(slopes).max(axis=0)
        reach, lost = np.vstack([steepest[:, None] * reach, np.eye(k + 1)[-1:]]), steepest * lost
        carried = None


@dataclass(frozen=True, eq=False)
class _Product:
    """An affine map multiplied out of linear steps, and the same product of absolute values."""

    matrix: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    offset_size: np.ndarray

    @classmethod
    def of(cls, step: LinearStep) -> _Product:
        """Return one step alone."""
        M, constant = _float_step(step)
        return cls(M, constant, np.abs(M), np.abs(constant))

    def then(self, step: LinearStep) -> _Product:
        """Return the map followed by one more step."""
        M, constant = _float_step(step)
        size = np.abs(M)
        return _Product(
            M @ self.matrix,
            M @ self.offset + constant,
            round_up(size @ self.size, M.shape[1]),
            round_up(size @ self.offset_size + np.abs(constant), M.shape[1] + 1),
        )


def _float_step(step: Step) -> tuple[np.ndarray, np.ndarray]:
    """Return a linear step as a float matrix (divided, one rounding) and its constant."""
    (M,) = step.matrices()
    divisors = step.divisors()
    if divisors is not None:
        M = M / divisors.reshape(-1, 1)
    constant = np.zeros(step.size)
    if step.constant is not None:
        constant = np.broadcast_to(step.constant, step.shape).reshape(-1).astype(np.float64)
    return M, constant


def _exact_step(step: LinearStep) -> tuple[ScaledMatrix, ScaledMatrix]:
    """Return a linear step as an exact matrix and constant column."""
    import flint

    (M,) = step.matrices()
    exact, divisors = ScaledMatrix.from_floats(M), step.divisors()
    if divisors is not None:
        common = flint.fmpz(1)
        for divisor in divisors:
            common = common.lcm(int(divisor))
        factors = [common // int(v) for v in divisors]
        rows = [[f * v for v in row] for f, row in zip(factors, exact.numerators.table(), strict=True)]
        exact = ScaledMatrix(flint.fmpz_mat(rows), exact.denominator * common)
    constant = np.zeros((step.size, 1))
    if step.constant is not None:
        constant[:, 0] = np.broadcast_to(step.constant, step.shape).reshape(-1)
    return exact, ScaledMatrix.from_floats(constant)
