r"""The functions of a chain on one cell, as combinations of generators, with running error bounds.

Levels
------
Path rows and undecided units are kept as combinations of *generators*, and of 1. At level 0 the generators
are the coordinates y. At level p > 0 they are the path rows :math:`g_i \ge 0` of the units of layer p - 1
(counting from 0) that layer p reads; these units pass on multiples of g, so every function of a later layer
is exactly a combination of them. A level is kept where it has fewer generators than coordinates: then the
rows of later layers are confined to a subspace, multipliers in proofs have zeros that floats cannot prove in
y, and in the generators there are none.

Rounding
--------
An inner product of n terms is off by at most :math:`\gamma_n` times the sum of absolute values, plus `TINY`
for each product of non-zero factors (`polygeom.rounding`). Sums of absolute values are taken from the 1-norms
of the rows, and bounds, sums of non-negative floats, are enlarged by the roundings made on them. A row whose
factors are all 0 has error 0: exact zeros stay exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from polygeom.kernels.dictionary import NOTHING, inner
from polygeom.rounding import TINY, U

__all__ = ["Chain", "Rows", "Weights", "grade", "new_layer", "obvious_sign"]


class Chain(NamedTuple):
    """The network and the domain, as padded arrays; L layers of at most N units, k coordinates, R rows in all.

    Attributes
    ----------
    weight : (L, max(N, k), N), bias : (L, N)
        Transposed: ``weight[l, i, j]`` leads from output i of the layer before to unit j.
    weight_error, bias_error : (L, N)
        Bounds on the distance of every weight of a unit, and of its bias, from the exact ones.
    slopes : (L, 2, N)
        Below and above zero.
    width, first, column : (L,) int64
        Units of each layer; row number and column in the codes of its first unit.
    layer : (R,) int64
        Layer of every row; -1 for rows of the domain.
    leader : (R,) int64, ratio : (R,)
        Units whose rows are exact multiples of an earlier one of their layer: z = ratio * z[leader].
    passes : (2, R) bool
        Whether a unit below and above zero, or a multiple of it, passes anything on to the next layer.
    reference : (k,) int64, slot : (R,) int64
        The first k independent path rows; their place in `reference`, -1 for others.
    inverse : (k, k)
        Approximate inverse of the reference rows.
    opposite : (R,) int64, span : (R,)
        In a box: the row of the domain that bounds the same function from the other side, n + opposite =
        span; -1 and infinity elsewhere. Of two opposite rows a table holds one.
    boxed : bool
        Whether there are opposite rows.
    """

    weight: np.ndarray
    bias: np.ndarray
    weight_error: np.ndarray
    bias_error: np.ndarray
    slopes: np.ndarray
    width: np.ndarray
    first: np.ndarray
    column: np.ndarray
    layer: np.ndarray
    leader: np.ndarray
    ratio: np.ndarray
    passes: np.ndarray
    reference: np.ndarray
    slot: np.ndarray
    inverse: np.ndarray
    opposite: np.ndarray
    span: np.ndarray
    boxed: bool


class Rows(NamedTuple):
    """Functions over the generators of every level, on the cell at hand; each layer is written when it is begun.

    The recursion goes depth first, so all open cells of a layer have begun it together and share these
    arrays.

    Attributes
    ----------
    coef : (L, R, k), const : (L, R)
        Rows of z, each times the power of two ``scale[number]``.
    size : (L, R)
        Upper bounds on the 1-norms of the computed coefficients.
    error, const_error : (L, R)
        Bounds on the 1-norm of the coefficients' errors, and on the constant's.
    scale : (R,)
    generator : (L, k) int64, count : (L,) int64, mark : (R,) bool
        The row numbers of the generators of levels p > 0; how many, -1 where a level is not kept; whether a
        row is a generator of the level above its layer.
    kappa : (L, 2)
        What bounds the generators: see `polygeom.kernels.dictionary_proofs`.
    """

    coef: np.ndarray
    const: np.ndarray
    size: np.ndarray
    error: np.ndarray
    const_error: np.ndarray
    scale: np.ndarray
    generator: np.ndarray
    count: np.ndarray
    mark: np.ndarray
    kappa: np.ndarray


class Weights(NamedTuple):
    """The weights from the path rows that a new layer reads to its units.

    Attributes
    ----------
    factor, spread, doubt : (N, N)
        Weight from generator g to unit j, sum of the absolute values it was made of, bound on its error.
    source : (N,) int64
        Row numbers of the generators.
    place : (R,) int64
        For rows that are generators, which.
    """

    factor: np.ndarray
    spread: np.ndarray
    doubt: np.ndarray
    source: np.ndarray
    place: np.ndarray


@inner
def grade(n):
    """Return an upper bound on gamma_n (n u < 1/4), twice as large: room for n + 16 more roundings on a bound."""
    return 2.0 * (n + 8.0) * U


@inner
def _read_generators(chain, rows, layer, sign, weights):
    """Write which path rows of a layer the next one reads, and with which weights; return how many.

    Unit v passes on slope * z_v, and z_v = ratio * z_leader = ratio * sign * n_leader / scale: products of
    four numbers, three roundings, and one addition per unit that shares the leader.
    """
    n, first = chain.width[layer + 1], chain.first[layer]
    count = 0
    for number in range(first, first + chain.width[layer]):
        rows.mark[number] = False
    for v in range(chain.width[layer]):
        leader = chain.leader[first + v]
        side, ratio = sign[leader], chain.ratio[first + v]
        slope = chain.slopes[layer, 1 if side * ratio > 0 else 0, v]
        if side == NOTHING or slope == 0.0:
            continue
        if not rows.mark[leader]:
            rows.mark[leader] = True
            weights.source[count] = leader
            weights.place[leader] = count
            for j in range(n):
                weights.factor[count, j] = 0.0
                weights.spread[count, j] = 0.0
                weights.doubt[count, j] = 0.0
            count += 1
        g, passed = weights.place[leader], slope * ratio * side / rows.scale[leader]
        for j in range(n):
            weight = chain.weight[layer + 1, v, j] * passed
            weights.factor[g, j] += weight
            weights.spread[g, j] += abs(weight)
            weights.doubt[g, j] += chain.weight_error[layer + 1, j] * abs(passed)
    share = grade(4 + chain.width[layer] - count)
    for g in range(count):
        for j in range(n):
            weights.doubt[g, j] = (weights.doubt[g, j] + share * weights.spread[g, j]) * (1.0 + share)
            if weights.spread[g, j] != 0.0 or weights.doubt[g, j] != 0.0:
                weights.doubt[g, j] += 4.0 * chain.width[layer] * TINY
    return count


@inner
def _compose(chain, rows, level, number, unit, sign, count, weights):
    r"""Write the row of a unit at one level as a sum over the generators it reads, with running error bounds.

    With :math:`f = \sum_g F_g n_g + b`, errors dF of the weights and E_g of the rows n_g (in 1-norm, of size
    s_g),

    .. math:: E \le \sum_g |F_g| E_g + dF_g (s_g + E_g) + \gamma_{c + 2} |F_g| s_g,

    and likewise for the constant.
    """
    layer, k = chain.layer[number], rows.coef.shape[2]
    share = grade(count + 2)
    row = rows.coef[level, number]
    for c in range(k):
        row[c] = 0.0
    const, const_size = chain.bias[layer, unit], abs(chain.bias[layer, unit])
    size, error, const_error = 0.0, 0.0, chain.bias_error[layer, unit]
    for g in range(count):
        factor, doubt, n = weights.factor[g, unit], weights.doubt[g, unit], weights.source[g]
        if factor == 0.0 and doubt == 0.0:
            continue
        factor *= sign[n]
        own = rows.coef[level, n]
        for c in range(k):
            row[c] += factor * own[c]
        const += factor * rows.const[level, n]
        factor, offset = abs(factor), abs(rows.const[level, n])
        size += factor * rows.size[level, n]
        error += factor * rows.error[level, n] + doubt * (rows.size[level, n] + rows.error[level, n])
        const_size += factor * offset
        const_error += factor * rows.const_error[level, n] + doubt * (offset + rows.const_error[level, n])
        if rows.size[level, n] != 0.0 or rows.error[level, n] != 0.0:
            error += (k + 4.0) * TINY
        if offset != 0.0 or rows.const_error[level, n] != 0.0:
            const_error += 4.0 * TINY
    rows.const[level, number] = const
    rows.size[level, number] = size * (1.0 + 2.0 * share)
    rows.error[level, number] = (error + share * size) * (1.0 + 2.0 * share)
    rows.const_error[level, number] = (const_error + share * const_size) * (1.0 + 2.0 * share)


@inner
def _scale_row(rows, level, number, power):
    """Multiply one row by a power of two, exactly but for underflow."""
    for c in range(rows.coef.shape[2]):
        rows.coef[level, number, c] *= power
    rows.const[level, number] *= power
    if rows.size[level, number] != 0.0 or rows.error[level, number] != 0.0:
        rows.size[level, number] = rows.size[level, number] * power + TINY
        rows.error[level, number] = rows.error[level, number] * power + (rows.coef.shape[2] + 2.0) * TINY
    if rows.const[level, number] != 0.0 or rows.const_error[level, number] != 0.0:
        rows.const_error[level, number] = rows.const_error[level, number] * power + 2.0 * TINY


@inner
def _new_level(rows, level, count, sign, weights):
    """Make the path rows that a layer reads the generators of its level."""
    for g in range(count):
        number = weights.source[g]
        rows.generator[level, g] = number
        for c in range(rows.coef.shape[2]):
            rows.coef[level, number, c] = 0.0
        rows.coef[level, number, g] = sign[number]
        rows.const[level, number] = 0.0
        rows.size[level, number] = 1.0
        rows.error[level, number] = 0.0
        rows.const_error[level, number] = 0.0


@inner
def new_layer(chain, rows, layer, sign, weights):
    """Write the rows of a layer at every level kept, scaled to coefficients near 1 in y.

    Returns how many path rows of the layer before it reads; `weights` tells which.
    """
    k = rows.coef.shape[2]
    count = _read_generators(chain, rows, layer - 1, sign, weights)
    rows.count[layer] = count if count < k and rows.kappa[0, 0] != 0.0 else -1
    if rows.count[layer] >= 0:
        _new_level(rows, layer, count, sign, weights)
    for unit in range(chain.width[layer]):
        number = chain.first[layer] + unit
        for level in range(layer + 1):
            if rows.count[level] >= 0:
                _compose(chain, rows, level, number, unit, sign, count, weights)
        largest = 0.0
        for c in range(k):
            largest = max(largest, abs(rows.coef[0, number, c]))
        rows.scale[number] = 1.0
        if largest > rows.error[0, number]:
            rows.scale[number] = 2.0 ** -np.floor(np.log2(largest))
            for level in range(layer + 1):
                if rows.count[level] >= 0:
                    _scale_row(rows, level, number, rows.scale[number])
    return count


@inner
def obvious_sign(chain, layer, unit, count, weights):
    """Return the sign of a unit if its bias and all its weights from generators have it; 0 if there are both.

    Generators are positive inside the cell, so no rounding is involved but that of the weights: a unit z =
    relu(x) is on where x is, and exactly 0 (`NOTHING`) elsewhere.
    """
    bias, error = chain.bias[layer, unit], chain.bias_error[layer, unit]
    above, below = bias > -error, bias < error
    for g in range(count):
        factor, doubt = weights.factor[g, unit], weights.doubt[g, unit]
        above, below = above or factor > -doubt, below or factor < doubt
        if above and below:
            return 0
    return 1 if above else -1 if below else NOTHING
