r"""Proofs in floats for cells of a chain: a unit keeps its sign on a cell; a point lies strictly inside.

Levels
------
Path rows and undecided units are kept as combinations of *generators*. At level 0 these are the coordinates y. At
level p > 0 they are the path rows :math:`g_i \ge 0` of the units of layer p - 1 (counting from 0) that layer p
reads; since these units pass on multiples of g, every function of a later layer is exactly a combination of them
and of 1. A level is kept where it has fewer generators than coordinates: then rows of later layers are confined to
a subspace, the multipliers below have zeros that floats cannot prove in y, and in the generators there are none.

A unit that keeps its sign
--------------------------
Let f be a path row or plus or minus a unit, and :math:`\alpha_j \ge 0` floats (slopes of a table). With residuals
computed from the rows of a level (all quantities below are bounds for the true rows),

.. math:: f = \sum_j \alpha_j n_j + \beta + \rho \cdot g, \qquad |\rho|_1 \le r, \; |\beta - \hat\beta| \le e .

On the cell all :math:`n_j \ge 0`; what remains is to bound the generators. There is a function :math:`\sigma`, the sum
of the reference rows (of the generators themselves at a level p > 0), all non-negative on the cell, with
:math:`|g|_\infty \le \kappa_1 \sigma + \kappa_0`: :math:`\kappa_1 = 1, \kappa_0 = 0` for p > 0; for level 0, if B are the
reference rows and c their constants, :math:`y = B^{-1}(v - c)` gives :math:`\kappa_1 = \max |B^{-1}|,
\kappa_0 = |B^{-1} c|_\infty`; in a box :math:`\kappa_1 = 0` and :math:`\kappa_0` is its size. The table knows
:math:`\sigma` too: with slopes S, value V and their own residuals :math:`r_\sigma, e_\sigma`,

.. math:: \sigma \le \sum_j S_j^+ n_j + |V| + e_\sigma + r_\sigma (\kappa_1 \sigma + \kappa_0),

so if :math:`r_\sigma \kappa_1 \le 1/2` then :math:`\sigma \le 2 (\sum S_j^+ n_j + |V| + e_\sigma + r_\sigma\kappa_0)`, and

.. math:: f \ge \sum_j (\alpha_j - 2 r \kappa_1 S_j^+) n_j
             + [\hat\beta - e - r \kappa_0 - 2 r \kappa_1 (|V| + e_\sigma + r_\sigma \kappa_0)].

In a box, where sigma is not needed, a negative slope along n is a positive one along its opposite, span - n.

If every parenthesis is non-negative, :math:`f \ge 0` on the cell; if one of them is positive, f is positive inside.
No inverse of a basis is needed, and the proof costs about k^2 operations.

Rounding
--------
An inner product of n terms is off by at most :math:`\gamma_n` times the sum of absolute values, plus `TINY` for each
product of non-zero factors (`polygeom.rounding`). Sums of absolute values are taken from the 1-norms of the rows, and
all bounds, being sums of non-negative floats, are multiplied by 1 + `SPARE` of the roundings made on them. A row whose
factors are all 0 has error 0: exact zeros stay exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from polygeom.kernels.dictionary import NOTHING, PATH, inner
from polygeom.rounding import TINY, U

__all__ = ["Chain", "Proof", "Rows", "compose", "is_inside", "new_layer", "obvious_sign", "prove", "read_generators"]


class Chain(NamedTuple):
    """The network and the domain, as padded arrays; L layers of at most N units, k coordinates, R rows in all.

    Attributes
    ----------
    weight : (L, max(N, k), N), bias : (L, N)
        Transposed: ``weight[l, i, j]`` leads from output i of the layer before to unit j.
    weight_error, bias_error : (L, N)
        Bounds on the distance of every weight of a unit, and of its bias, from the exact ones.
    slopes : (L, 2, N)
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
        In a box: the row of the domain that bounds the same function from the other side, n + opposite = span; -1
        and infinity elsewhere. Of two opposite rows a table holds one.
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
        The row numbers of the generators of levels p > 0; how many, -1 where a level is not kept; whether a row is
        a generator of the level above its layer.
    kappa : (L, 2)
        The bounds kappa_1 and kappa_0 of the module docstring.
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


class Proof(NamedTuple):
    """Scratch of `prove` and `compose`.

    Attributes
    ----------
    multiplier, total, residual : (k + 1,)
        Multipliers of a unit; slopes of sigma (module docstring); residual coefficients.
    bound : (3,)
        2 kappa_1 and the rest of the bracket per unit of residual, valid while bound[2] is the level (-1: stale).
    factor, spread, doubt : (N, N)
        Weights from the generators of a new layer to its units, sums of absolute values and errors of them.
    source : (N,) int64
        Row numbers of these generators.
    place : (R,) int64
        Where a function stands in the table: row i as i, column c as -c.
    value, reach : (N + k,), output, doubtful : (N + k,)
        Forward pass of `is_inside`.
    """

    multiplier: np.ndarray
    total: np.ndarray
    residual: np.ndarray
    bound: np.ndarray
    factor: np.ndarray
    spread: np.ndarray
    doubt: np.ndarray
    source: np.ndarray
    place: np.ndarray
    value: np.ndarray
    reach: np.ndarray
    output: np.ndarray
    doubtful: np.ndarray


@inner
def _gamma(n):
    """Return an upper bound on gamma_n (n u < 1/4), with room for the rounding of n more operations."""
    return 2.0 * (n + 8.0) * U


# -- the functions of a new layer ------------------------------------------------------------------------------


@inner
def read_generators(chain, rows, layer, sign, proof):
    """Write which path rows of a layer the next one reads, and with which weights; return how many.

    ``factor[g, j]`` leads from path row g to unit j: unit v passes on slope * z_v, and
    z_v = ratio * z_leader = ratio * sign * n_leader / scale. Products of four numbers: gamma_4, and one addition
    per unit of a class.
    """
    n, first = chain.width[layer + 1], chain.first[layer]
    count = 0
    for number in range(first, first + chain.width[layer]):
        rows.mark[number] = False
    for v in range(chain.width[layer]):
        leader = chain.leader[first + v]
        s, ratio = sign[leader], chain.ratio[first + v]
        slope = chain.slopes[layer, 1 if s * ratio > 0 else 0, v]
        if s == NOTHING or slope == 0.0:
            continue
        if not rows.mark[leader]:
            rows.mark[leader] = True
            proof.source[count] = leader
            proof.place[leader] = count
            for j in range(n):
                proof.factor[count, j] = 0.0
                proof.spread[count, j] = 0.0
                proof.doubt[count, j] = 0.0
            count += 1
        g, passed = proof.place[leader], slope * ratio * s / rows.scale[leader]
        for j in range(n):
            weight = chain.weight[layer + 1, v, j] * passed
            proof.factor[g, j] += weight
            proof.spread[g, j] += abs(weight)
            proof.doubt[g, j] += chain.weight_error[layer + 1, j] * abs(passed)
    members = _gamma(4 + chain.width[layer] - count)
    for g in range(count):
        for j in range(n):
            proof.doubt[g, j] = (proof.doubt[g, j] + members * proof.spread[g, j]) * (1.0 + members)
            if proof.spread[g, j] != 0.0:
                proof.doubt[g, j] += chain.width[layer] * TINY
    return count


@inner
def compose(chain, rows, level, layer, sign, count, proof):
    r"""Write the rows of a layer at one level as sums over the generators it reads, with running error bounds.

    With :math:`f_j = \sum_g F_{gj} n_g + b_j`, errors dF and those of the rows n_g (1-norm E_g, size s_g),

    .. math:: E_j \le \sum_g |F_{gj}| E_g + dF_{gj} (s_g + E_g) + \gamma_{c + 2} |F_{gj}| s_g .
    """
    first, k = chain.first[layer], rows.coef.shape[2]
    grade = _gamma(count + 2)
    for j in range(chain.width[layer]):
        number = first + j
        row = rows.coef[level, number]
        for c in range(k):
            row[c] = 0.0
        const, const_size = chain.bias[layer, j], abs(chain.bias[layer, j])
        size, error, const_error = 0.0, 0.0, chain.bias_error[layer, j]
        for g in range(count):
            factor, doubt, n = proof.factor[g, j], proof.doubt[g, j], proof.source[g]
            if factor == 0.0 and doubt == 0.0:
                continue
            factor *= sign[n]
            own = rows.coef[level, n]
            for c in range(k):
                row[c] += factor * own[c]
            const += factor * rows.const[level, n]
            factor = abs(factor)
            error += factor * rows.error[level, n] + doubt * (rows.size[level, n] + rows.error[level, n])
            size += factor * rows.size[level, n]
            offset = abs(rows.const[level, n])
            const_error += factor * rows.const_error[level, n] + doubt * (offset + rows.const_error[level, n])
            const_size += factor * offset
            if rows.size[level, n] != 0.0:
                error += (k + 4.0) * TINY
            if offset != 0.0 or rows.const_error[level, n] != 0.0:
                const_error += 4.0 * TINY
        rows.const[level, number] = const
        rows.size[level, number] = size * (1.0 + 2.0 * grade)
        rows.error[level, number] = (error + grade * size) * (1.0 + 2.0 * grade)
        rows.const_error[level, number] = (const_error + grade * const_size) * (1.0 + 2.0 * grade)


@inner
def _scale_row(rows, level, number, power):
    """Multiply one row by a power of two, exactly but for underflow."""
    for c in range(rows.coef.shape[2]):
        rows.coef[level, number, c] *= power
    rows.const[level, number] *= power
    rows.size[level, number] *= power
    if rows.size[level, number] != 0.0:
        rows.error[level, number] = rows.error[level, number] * power + (rows.coef.shape[2] + 2.0) * TINY
    rows.const_error[level, number] *= power
    if rows.const[level, number] != 0.0 or rows.const_error[level, number] != 0.0:
        rows.const_error[level, number] += 2.0 * TINY


@inner
def new_layer(chain, rows, layer, sign, proof):
    """Write the rows of a layer at every level kept, scaled to coefficients near 1 in y; return their number.

    Returns how many generators the layer reads; `proof` holds them (`read_generators`).
    """
    k = rows.coef.shape[2]
    count = read_generators(chain, rows, layer - 1, sign, proof)
    rows.count[layer] = count if count < k and rows.kappa[0, 0] != 0.0 else -1
    if rows.count[layer] >= 0:
        for g in range(count):
            number = proof.source[g]
            rows.generator[layer, g] = number
            for c in range(k):
                rows.coef[layer, number, c] = 0.0
            rows.coef[layer, number, g] = sign[number]
            rows.const[layer, number] = 0.0
            rows.size[layer, number] = 1.0
            rows.error[layer, number] = 0.0
            rows.const_error[layer, number] = 0.0
    for level in range(layer + 1):
        if rows.count[level] >= 0:
            compose(chain, rows, level, layer, sign, count, proof)
    for number in range(chain.first[layer], chain.first[layer] + chain.width[layer]):
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
def obvious_sign(chain, layer, unit, count, proof):
    """Return the sign of a unit none of whose weights from the generators, and bias, has the other; 0 if it has both.

    Generators are non-negative on the cell, so no rounding is involved but that of the weights: a unit z = relu(x) is
    on where x is, and exactly 0 elsewhere.
    """
    bias, error = chain.bias[layer, unit], chain.bias_error[layer, unit]
    above, below = bias > -error, bias < error
    if bias == 0.0 and error == 0.0:
        above, below = False, False
    for g in range(count):
        factor, doubt = proof.factor[g, unit], proof.doubt[g, unit]
        if factor == 0.0 and doubt == 0.0:
            continue
        above, below = above or factor > -doubt, below or factor < doubt
        if above and below:
            return 0
    return 1 if above else -1 if below else NOTHING


# -- units that keep their sign --------------------------------------------------------------------------------


@inner
def _belongs(chain, rows, level, number):
    """Tell whether a path row is a combination of the generators of a level."""
    return (
        level == 0 or chain.layer[number] >= level or (chain.layer[number] == level - 1 and rows.mark[number])
    )


@inner
def _level(chain, rows, layer, nonbasic):
    """Return the highest level below a layer whose generators the nonbasic functions determine; 0 otherwise."""
    for level in range(layer, 0, -1):
        if rows.count[level] < 0:
            continue
        inside = 0
        for j in range(nonbasic.shape[0]):
            if _belongs(chain, rows, level, nonbasic[j]):
                inside += 1
        if inside == rows.count[level]:
            return level
    return 0


@inner
def _unexplained(chain, rows, level, nonbasic, sign, multiplier, residual, first):
    """Subtract multiples of the nonbasic functions from `residual` and `first` (constant).

    Returns bounds on the 1-norm of the coefficients left, on what the constant left is, and on its error, as far
    as the nonbasic functions are concerned: sizes of the multiples, to be completed by the caller.
    """
    k = rows.coef.shape[2]
    const = first
    size, error, const_size, const_error = 0.0, 0.0, abs(first), 0.0
    for j in range(nonbasic.shape[0]):
        number, alpha = nonbasic[j], multiplier[j + 1]
        if alpha == 0.0 or not _belongs(chain, rows, level, number):
            continue
        if alpha < 0.0 and chain.opposite[number] >= 0:
            number, alpha = chain.opposite[number], -alpha
        factor = alpha * sign[number]
        own = rows.coef[level, number]
        for c in range(k):
            residual[c] -= factor * own[c]
        const -= factor * rows.const[level, number]
        factor, offset = abs(factor), abs(rows.const[level, number])
        size += factor * rows.size[level, number]
        error += factor * rows.error[level, number] + (k + 4.0) * TINY
        const_size += factor * offset
        const_error += factor * rows.const_error[level, number]
        if offset != 0.0 or rows.const_error[level, number] != 0.0:
            const_error += 4.0 * TINY
    left = 0.0
    for c in range(k):
        left += abs(residual[c])
    grade = _gamma(k + 4)
    return (
        (left + error + grade * size) * (1.0 + grade),
        const,
        (const_error + grade * const_size) * (1.0 + grade),
    )


@inner
def _bound_generators(chain, rows, level, table, basic, nonbasic, sign, head, proof):
    """Bound the generators of a level over the cell: fill `proof.total` and `proof.bound` (module docstring)."""
    k = nonbasic.shape[0]
    kappa, rest = rows.kappa[level, 0], rows.kappa[level, 1]
    total, residual = proof.total, proof.residual
    for c in range(k + 1):
        total[c] = 0.0
    proof.bound[2] = level
    if kappa == 0.0:
        proof.bound[0], proof.bound[1] = 0.0, rest
        return
    const, error, const_error, size = 0.0, 0.0, 0.0, 0.0
    for c in range(k):
        residual[c] = 0.0
    references = chain.reference if level == 0 else rows.generator[level, : rows.count[level]]
    for i in range(references.shape[0]):
        number = references[i]
        s = sign[number]
        for c in range(k):
            residual[c] += s * rows.coef[level, number, c]
        const += s * rows.const[level, number]
        error += rows.error[level, number]
        size += rows.size[level, number]
        const_error += rows.const_error[level, number] + _gamma(2 * k) * abs(rows.const[level, number])
    for i in range(head[PATH]):
        number = basic[i]
        if (
            (chain.slot[number] >= 0)
            if level == 0
            else (chain.layer[number] == level - 1 and rows.mark[number])
        ):
            for c in range(k + 1):
                total[c] += table[i, c]
    for j in range(k):
        number = nonbasic[j]
        if (
            (chain.slot[number] >= 0)
            if level == 0
            else (chain.layer[number] == level - 1 and rows.mark[number])
        ):
            total[j + 1] += 1.0
    left, value, off = _unexplained(chain, rows, level, nonbasic, sign, total, residual, const)
    grade = _gamma(2 * k)
    left = (left + error + grade * size) * (1.0 + grade)
    off = (off + const_error) * (1.0 + grade)
    if not left * kappa * (1.0 + grade) <= 0.5:
        proof.bound[0], proof.bound[1] = np.inf, np.inf
        return
    proof.bound[0] = 2.0 * kappa
    proof.bound[1] = (rest + 2.0 * kappa * (abs(value) + off + left * rest)) * (1.0 + grade)


@inner
def prove(chain, rows, table, basic, nonbasic, sign, head, layer, i, side, proof):
    """Prove that row i of a table, times `side`, is non-negative on the cell (module docstring).

    Returns the sign proved, `NOTHING` for a row that is exactly 0, or 0 where nothing is proved. Before the first
    call at a table set ``proof.bound[2]`` to -1. Cost: k^2 operations, twice as many at the first call.
    """
    k = nonbasic.shape[0]
    number, row = basic[i], table[i]
    level = _level(chain, rows, layer, nonbasic)
    if proof.bound[2] != level:
        _bound_generators(chain, rows, level, table, basic, nonbasic, sign, head, proof)
    if rows.size[level, number] == 0.0 and rows.error[level, number] == 0.0:
        if rows.const[level, number] == 0.0 and rows.const_error[level, number] == 0.0:
            return NOTHING
    for c in range(1, k + 1):
        slope = side * row[c]
        proof.multiplier[c] = slope if slope > 0.0 or chain.opposite[nonbasic[c - 1]] >= 0 else 0.0
    for c in range(k):
        proof.residual[c] = side * rows.coef[level, number, c]
    left, value, off = _unexplained(
        chain, rows, level, nonbasic, sign, proof.multiplier, proof.residual, side * rows.const[level, number]
    )
    grade = _gamma(k + 4)
    left = (left + rows.error[level, number] + grade * rows.size[level, number]) * (1.0 + grade)
    off += rows.const_error[level, number]
    lost = 0.0 if left == 0.0 else left * proof.bound[1]
    floor = value - (off + lost) * (1.0 + grade)
    if not floor >= 0.0:
        return 0
    strict = floor > 0.0
    rate = 0.0 if left == 0.0 else left * proof.bound[0] * (1.0 + grade)
    for j in range(k):
        if not _belongs(chain, rows, level, nonbasic[j]):
            continue
        needed = rate * max(proof.total[j + 1], 0.0)
        if rate != 0.0 and proof.total[j + 1] > 0.0:
            needed = needed * (1.0 + grade) + TINY
        multiplier = abs(proof.multiplier[j + 1])
        if not multiplier >= needed:
            return 0
        strict = strict or multiplier > needed
    return side if strict else 0


# -- points ----------------------------------------------------------------------------------------------------


@inner
def is_inside(chain, rows, sign, point, proof):
    r"""Tell whether a point is provably strictly inside: on the sides of all rows that their signs name.

    A forward pass with running error bounds: for :math:`z_j = \sum_i W_{ji} h_i + b_j` with inputs off by e_i,

    .. math:: |z_j - \hat z_j| \le \sum_i |W_{ji}| (\gamma_{n + 3} |h_i| + e_i) + dW_j (|h_i| + e_i)
              + \gamma |b_j| + db_j,

    and rounding the product with the slope is one more (gamma_{n+4} covers it). Units that are 0 on the whole cell
    pass on an exact 0.
    """
    k = point.shape[0]
    value, reach, output, doubtful = proof.value, proof.reach, proof.output, proof.doubtful
    for number in range(chain.first[0]):
        slack, size = rows.const[0, number], abs(rows.const[0, number])
        for c in range(k):
            product = rows.coef[0, number, c] * point[c]
            slack += product
            size += abs(product)
        if not slack > _gamma(k + 4) * size + (k + 4.0) * TINY:
            return False
    n_before = k
    for c in range(k):
        output[c] = point[c]
        doubtful[c] = 0.0
    for layer in range(chain.width.shape[0]):
        n, first = chain.width[layer], chain.first[layer]
        grade = _gamma(n_before + 6)
        for j in range(n):
            value[j] = chain.bias[layer, j]
            reach[j] = grade * abs(value[j]) + chain.bias_error[layer, j] + (n_before + 4.0) * TINY
        for i in range(n_before):
            h, e = output[i], doubtful[i]
            if h == 0.0 and e == 0.0:
                continue
            e += grade * abs(h)
            own = chain.weight[layer, i]
            for j in range(n):
                value[j] += own[j] * h
                reach[j] += abs(own[j]) * e
        size = 0.0
        for i in range(n_before):
            size += abs(output[i]) + doubtful[i]
        for j in range(n):
            number = first + j
            error = (reach[j] + chain.weight_error[layer, j] * size) * (1.0 + grade)
            s = sign[chain.leader[number]]
            if s == NOTHING:
                output[j], doubtful[j] = 0.0, 0.0
                continue
            above = s * chain.ratio[number] > 0
            if not (value[j] if above else -value[j]) > error:
                return False
            slope = chain.slopes[layer, 1 if above else 0, j]
            output[j], doubtful[j] = value[j] * slope, error * abs(slope) * (1.0 + grade)
            if slope != 0.0:
                doubtful[j] += TINY
        n_before = n
    return True
