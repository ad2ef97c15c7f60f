r"""A network as a chain of dense maps between units that bend once, at zero: what the compiled recursion reads.

A chain is a network without skips whose gates are homogeneous and have two letters (ReLU, leaky and parametric
ReLU, absolute value). Neighboring linear steps are multiplied out, by carrying the columns of what arrives through
them, so a convolution of pixels is never a matrix over the pixels of a slice. Everything lives in the coordinates
y of a slice, x = B S y + c: S is diagonal with powers of two, chosen so that the first layer's slopes and offsets
are of one size. Rows are homogeneous, :math:`z(y, t) = r \cdot (y, t)`.

How far a computed row may be off
---------------------------------
On a cell the exact row of unit j of layer l is a polynomial in the stored numbers, a sum over the paths from the
input to j. Whatever the order of the sums, each path's product passes through at most

.. math:: N_l = \sum_{i \le l} (\text{terms}_i + 3)

roundings (one per product, at most one per addition, one per slope and per divisor), so the computed row differs
by at most :math:`\gamma_{N_l}` times the same sum over absolute values (Higham 2002, Lemma 3.1), which
`ChainLayer.reach` bounds for all cells at once: slopes enter with the larger absolute value of the two. Products
that underflow lose at most `TINY` each, magnified by what they are multiplied with later: an entry of a multiplied
map by the rows that arrive, a row by the weights of the layers that follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from polygeom.affine import AffineMap
from polygeom.arrays import freeze
from polygeom.enclosures import OVERFLOW_IS_UNKNOWN
from polygeom.exact import ScaledMatrix, rational_matrix
from polygeom.gates import Elementwise, Gate
from polygeom.network import Network
from polygeom.rounding import TINY, gamma, round_up, smallest_nonzero
from polygeom.steps import LinearStep

if TYPE_CHECKING:
    import flint

__all__ = ["ENTRIES", "FARTHEST", "ChainLayer", "DenseChain", "dense_chain", "exact_scale"]

FARTHEST = 300
"""Largest binary exponent of a coordinate's scale: powers of two up to here are floats, and their inverses too."""

ENTRIES = 8_000_000
"""Most entries of all that is multiplied out (64 MB an array of them; the chain and the recursion hold about six):
beyond, maps are pushed through the graph, cell by cell."""

BLOCK = 32
"""Rows of a step that are turned into integers at a time: few enough to read few entries, as convolutions do."""


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

    def with_unknown(self) -> ChainLayer:
        """Return the layer, read-only, with rows 0 and errors infinite where a number overflowed."""
        numbers = np.column_stack([self.weight, self.bias, self.row_error, self.bias_error])
        known, layer = np.isfinite(numbers).all(axis=1), self
        if not known.all():
            layer = replace(
                self,
                weight=np.where(known[:, None], self.weight, 0.0),
                bias=np.where(known, self.bias, 0.0),
                reach=np.nan_to_num(self.reach, nan=np.inf, posinf=np.inf),
                row_error=np.where(known, self.row_error, np.inf),
                bias_error=np.where(known, self.bias_error, np.inf),
            )
        for array in (layer.weight, layer.bias, layer.slopes, layer.reach, layer.row_error, layer.bias_error):
            freeze(array)
        return layer


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
            if layer == 0:
                weight, bias = _exact_start(self.chain)
            else:
                first, *group = group
                (M,) = first.matrices()
                weight, bias = _divided(first, ScaledMatrix.from_floats(M)), _exact_constant(first)
            for step in group:
                weight, bias = _exact_linear(step, weight), _exact_linear(step, bias) + _exact_constant(step)
            self._kept[layer] = weight, bias
        return self._kept[layer]


def dense_chain(net: Network, along: AffineMap | None) -> DenseChain | None:
    """Return the network as a chain over a slice (None: the input space), or None if it is no small chain.

    Cost: each linear step once for every column that arrives at its group, at most `ENTRIES` entries in all.
    """
    k = net.dim_in if along is None else along.dim_in
    if not net.gates or not _is_chain(net, k):
        return None
    group, _ = next(_groups(net))
    if along is None:
        first = _multiplied(group, None)
        scale = exact_scale(_balance(first), np.vstack([first.matrix, first.size]))
        first = first.stretched(scale)
    else:
        scale = exact_scale(_balance(_multiplied(group, _start(along, np.ones(k)))), along.matrix)
        first = _multiplied(group, _start(along, scale))
    return DenseChain(net, along, _layers(net, first, along is not None), freeze(scale))


def _is_chain(net: Network, k: int) -> bool:
    """Tell whether every step reads the one before, units bend once at zero, and the maps are small."""
    last = 1 + max(
        k for k, step in enumerate(net.steps) if isinstance(step, Elementwise) or step in net.gates
    )
    steps = net.steps[:last]
    if any(step.inputs != (k,) for k, step in enumerate(steps)):
        return False
    columns = [k, *(gate.size for gate in net.gates)]  # of what arrives at the steps before each gate
    entries = sum(
        arriving * step.size
        for arriving, (group, _) in zip(columns[:-1], _groups(net), strict=True)
        for step in group
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


def _balance(first: _Product) -> np.ndarray:
    """Return powers of two that bring the first layer's slopes to the size of its offsets (to 1 without)."""
    slopes, offsets = first.size.max(axis=0, initial=0.0), first.offset_size[first.offset_size != 0]
    size = np.sort(offsets)[len(offsets) // 2] if len(offsets) else 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.round(np.log2(size) - np.log2(slopes))
    return np.exp2(np.clip(np.where(np.isfinite(wanted), wanted, 0.0), -FARTHEST, FARTHEST))


def exact_scale(scale: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return powers of two, as far toward 1 as it takes for the columns times them to be rounded nowhere."""
    size = np.abs(matrix)
    largest = np.frexp(size.max(axis=0, initial=0.0))[1]
    smallest = np.frexp(np.min(size, axis=0, initial=1.0, where=size > 0))[1]
    low, high = np.minimum(-1021 - smallest, 0), np.minimum(1024 - largest, FARTHEST)
    return np.exp2(np.clip(np.log2(scale), low, high))


def _start(along: AffineMap | None, scale: np.ndarray) -> _Product:
    """Return x as a map of y, not rounded (`exact_scale`)."""
    if along is None:
        return _Product.exact(np.diag(scale), np.zeros(len(scale)))
    return _Product.exact(along.matrix * scale, along.offset)


def _exact_start(chain: DenseChain) -> tuple[ScaledMatrix, ScaledMatrix]:
    """Return x as an exact map of y."""
    start = _start(chain.along, chain.scale)
    return ScaledMatrix.from_floats(start.matrix), ScaledMatrix.from_floats(start.offset[:, None])


@OVERFLOW_IS_UNKNOWN
def _layers(net: Network, first: _Product, is_slice: bool) -> tuple[ChainLayer, ...]:
    """Return the layers of a chain, first to last; the map of the first one is given."""
    k, layers = first.matrix.shape[1], []
    reach, roundings, lost = np.eye(k + 1), 0, np.zeros(k)
    for group, gate in _groups(net):
        carried = _multiplied(group, None) if layers else first
        rounded = len(group) > 1 or group[0].divisors() is not None or (not layers and is_slice)
        rounded = rounded or bool(carried.lost.any())
        # `reach` maps what arrives (t last) to (y, t); the layer's own product is added to it.
        homogeneous = np.column_stack([carried.size, carried.offset_size])
        arriving = round_up(reach.sum(), reach.size)
        reach = round_up(homogeneous @ reach, homogeneous.shape[1] + 2)
        lost = round_up(carried.size @ lost + (carried.size.shape[1] + 2) * (k + 1) * TINY, 8)
        lost = round_up(lost + carried.lost * arriving, 2)
        roundings += sum(step.terms + 3 for step in group) + carried.matrix.shape[1] + 3
        relative = gamma(roundings)
        slopes = np.ascontiguousarray(gate.table(gate.slopes).reshape(2, -1))
        errors = round_up(relative * reach.sum(axis=1) + lost, k + 4)
        bias_errors = round_up(relative * carried.offset_size + lost, 4) if rounded else np.zeros(gate.size)
        numbers = (carried.matrix, carried.offset, slopes, reach, errors, bias_errors)
        layers.append(ChainLayer(gate.first_column, *numbers).with_unknown())
        steepest = np.abs(slopes).max(axis=0)
        reach, lost = np.vstack([steepest[:, None] * reach, np.eye(k + 1)[-1:]]), steepest * lost
    return tuple(layers)


@OVERFLOW_IS_UNKNOWN
def _multiplied(group: list[LinearStep], start: _Product | None) -> _Product:
    """Return the product of some steps, and of what comes before the first."""
    carried = start
    for step in group:
        carried = _Product.of(step) if carried is None else carried.then(step)
    return carried


@dataclass(frozen=True, eq=False)
class _Product:
    """An affine map carried through linear steps, the same with absolute values, and the underflow of an entry."""

    matrix: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    offset_size: np.ndarray
    lost: np.ndarray

    @classmethod
    def exact(cls, matrix: np.ndarray, offset: np.ndarray) -> _Product:
        """Return a map of which nothing was rounded."""
        return cls(matrix, offset, np.abs(matrix), np.abs(offset), np.zeros(len(offset)))

    @classmethod
    def of(cls, step: LinearStep) -> _Product:
        """Return one step alone, each entry divided once."""
        (M,), divisors = step.matrices(), step.divisors()
        return cls.exact(M if divisors is None else M / divisors.reshape(-1, 1), _constant(step))

    def stretched(self, scale: np.ndarray) -> _Product:
        """Return the map read from coordinates that powers of two stretch, none of which rounds an entry."""
        lost = self.lost * scale.max(initial=1.0)
        return _Product(self.matrix * scale, self.offset, self.size * scale, self.offset_size, lost)

    def then(self, step: LinearStep) -> _Product:
        """Return the map followed by one more step."""
        safe = step.smallest * min(smallest_nonzero(self.size), smallest_nonzero(self.offset_size)) >= TINY
        made = 0.0 if safe else 2.0 * (step.terms + 2) * TINY
        constant, n = _constant(step), step.terms + 2
        lost = _carried(step.magnitude, self.lost[:, None])[:, 0]
        size = _carried(step.magnitude, np.column_stack([self.size, self.offset_size]))
        return _Product(
            _carried(step, self.matrix),
            _carried(step, self.offset[:, None])[:, 0] + constant,
            round_up(size[:, :-1], n),
            round_up(size[:, -1] + np.abs(constant), n),
            round_up(lost + made, n) if made > 0 or lost.any() else lost,
        )


def _carried(step: LinearStep, columns: np.ndarray) -> np.ndarray:
    """Return L applied to columns (entries, m), without the constant."""
    m = columns.shape[1]
    made = step.linear(np.ascontiguousarray(columns.T).reshape(m, *step.shapes[0]))
    return np.ascontiguousarray(made.reshape(m, step.size).T)


def _constant(step: LinearStep) -> np.ndarray:
    """Return the constant of a step, (size,)."""
    if step.constant is None:
        return np.zeros(step.size)
    return np.broadcast_to(step.constant, step.shape).reshape(-1).astype(np.float64)


def _exact_constant(step: LinearStep) -> ScaledMatrix:
    return ScaledMatrix.from_floats(_constant(step)[:, None])


def _exact_linear(step: LinearStep, columns: ScaledMatrix) -> ScaledMatrix:
    """Return L applied to exact columns, without the constant: some rows of L at a time, where they are not 0.

    Carrying unit vectors back adds zeros to single coefficients, and v / v is 1: no entry is rounded.
    """
    import flint

    divisors = step.divisors()
    weights = np.ones(step.size) if divisors is None else divisors.astype(np.float64)
    arriving, m, parts = columns.numerators.table(), columns.shape[1], []
    for first in range(0, step.size, BLOCK):
        seeds = np.eye(min(BLOCK, step.size - first), step.size, first) * weights
        rows = step.adjoint(seeds.reshape(len(seeds), *step.shape))[0].reshape(len(seeds), -1)
        used = np.flatnonzero(rows.any(axis=0))
        read = flint.fmpz_mat(len(used), m, [v for i in used.tolist() for v in arriving[i]])
        part = ScaledMatrix.from_floats(rows[:, used])
        parts.append(ScaledMatrix(part.numerators * read, part.denominator))
    common = flint.fmpz(1)
    for part in parts:
        common = common.lcm(part.denominator)
    entries = [common // part.denominator * v for part in parts for v in part.numerators.entries()]
    made = ScaledMatrix(flint.fmpz_mat(step.size, m, entries), columns.denominator * common)
    return _divided(step, made)


def _divided(step: LinearStep, rows: ScaledMatrix) -> ScaledMatrix:
    """Return exact rows of a step over its divisors."""
    import flint

    divisors = step.divisors()
    if divisors is None:
        return rows
    common = flint.fmpz(1)
    for divisor in divisors:
        common = common.lcm(int(divisor))
    factors = [common // int(v) for v in divisors]
    table = [[f * v for v in row] for f, row in zip(factors, rows.numerators.table(), strict=True)]
    return ScaledMatrix(flint.fmpz_mat(table), rows.denominator * common)
