r"""Proofs in floats for cells of a chain: a unit keeps its sign on a cell; a point lies strictly inside.

A unit that keeps its sign
--------------------------
Let f be plus or minus a unit, and :math:`\alpha_j \ge 0` floats, its slopes in a table. With residuals
computed from the rows of a level (`polygeom.kernels.dictionary_rows`; all quantities are bounds for the true
rows),

.. math:: f = \sum_j \alpha_j n_j + \beta + \rho \cdot g, \qquad |\rho|_1 \le r, \; |\beta - \hat\beta| \le e .

On the cell all :math:`n_j \ge 0`; what remains is to bound the generators g. There is a function
:math:`\sigma`, the sum of the reference rows (at a level p > 0: of the generators themselves), which are
non-negative on the cell, with :math:`|g|_\infty \le \kappa_1 \sigma + \kappa_0`. For p > 0 :math:`\kappa_1 =
1, \kappa_0 = 0`. For level 0, if B are the reference rows and c their constants, :math:`y = B^{-1}(v - c)`
gives :math:`\kappa_1 = \max |B^{-1}|` and :math:`\kappa_0 = |B^{-1} c|_\infty`; in a box :math:`\kappa_1 = 0`
and :math:`\kappa_0` is its size. The table knows :math:`\sigma` too. With its slopes S, its value V and its
own residuals :math:`r_\sigma, e_\sigma`,

.. math:: \sigma \le \sum_j S_j^+ n_j + |V| + e_\sigma + r_\sigma (\kappa_1 \sigma + \kappa_0),

so if :math:`r_\sigma \kappa_1 \le 1/2` then
:math:`\sigma \le 2 (\sum_j S_j^+ n_j + |V| + e_\sigma + r_\sigma \kappa_0)`, and

.. math:: f \ge \sum_j (\alpha_j - 2 r \kappa_1 S_j^+) n_j
             + [\hat\beta - e - r \kappa_0 - 2 r \kappa_1 (|V| + e_\sigma + r_\sigma \kappa_0)].

If every parenthesis is non-negative, :math:`f \ge 0` on the cell; if one of them is positive, f is positive
inside. In a box, where sigma is not needed, a negative slope along n is a positive one along its opposite,
span - n. No inverse of the basis is needed: a proof costs about k^2 operations.

At a level whose generators the nonbasic functions determine, rows have no slopes along the other nonbasic
functions; those (rounding noise) are left out, and the residual pays if they should not be.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from polygeom.kernels.dictionary import LAYER, NOTHING, PATH, inlined, inner
from polygeom.kernels.dictionary_rows import grade
from polygeom.rounding import TINY

__all__ = ["STALE", "Proof", "is_inside", "prove"]

STALE = -1.0
"""What ``Proof.bound[2]`` holds at a new table."""


class Proof(NamedTuple):
    """Scratch of `prove` and `is_inside`.

    Attributes
    ----------
    multiplier, total, residual : (k + 1,)
        Multipliers alpha of a unit (negative: of the opposite function); slopes S of sigma; residuals rho.
    bound : (3,)
        2 kappa_1; the bracket's loss per r; the level for which these and `total` were computed, or `STALE`.
    value, reach, output, doubtful : (N + k,)
        Forward pass: pre-activations, outputs and bounds on their errors.
    """

    multiplier: np.ndarray
    total: np.ndarray
    residual: np.ndarray
    bound: np.ndarray
    value: np.ndarray
    reach: np.ndarray
    output: np.ndarray
    doubtful: np.ndarray


# -- units that keep their sign --------------------------------------------------------------------------------


@inlined
def _is_generated(chain, rows, level, number):
    """Tell whether a path row is a combination of the generators of a level."""
    return (
        level == 0 or chain.layer[number] >= level or (chain.layer[number] == level - 1 and rows.mark[number])
    )


@inlined
def _is_summand(chain, rows, level, number):
    """Tell whether a path row is one of those that sigma is the sum of."""
    if level == 0:
        return chain.slot[number] >= 0
    return chain.layer[number] == level - 1 and rows.mark[number]


@inner
def _level(chain, rows, node):
    """Return the highest level whose generators the nonbasic functions determine; 0 is always one."""
    for level in range(node.head[LAYER], 0, -1):
        if rows.count[level] < 0:
            continue
        inside = 0
        for j in range(node.nonbasic.shape[0]):
            if _is_generated(chain, rows, level, node.nonbasic[j]):
                inside += 1
        if inside == rows.count[level]:
            return level
    return 0


@inner
def _explain(chain, rows, node, level, multiplier, residual, const):
    """Subtract multiples of the nonbasic functions from coefficients and a constant, with bounds on the rounding.

    Returns r, the 1-norm of what is left of `residual` and may be hidden in it; the constant left; its error.
    The errors of the function itself are added by the caller.
    """
    k = rows.coef.shape[2]
    size, error, const_size, const_error = 0.0, 0.0, abs(const), 0.0
    for j in range(node.nonbasic.shape[0]):
        number, alpha = node.nonbasic[j], multiplier[j + 1]
        if alpha == 0.0 or not _is_generated(chain, rows, level, number):
            continue
        if alpha < 0.0 and chain.opposite[number] >= 0:
            number, alpha = chain.opposite[number], -alpha
        factor = alpha * node.sign[number]
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
    share = grade(k + 4)
    return (
        (left + error + share * size) * (1.0 + share),
        const,
        (const_error + share * const_size) * (1.0 + share),
    )


@inner
def _sum_summands(chain, rows, node, level, proof):
    """Write the slopes of sigma to `proof.total`, its coefficients to `proof.residual`.

    Returns its constant, and bounds on the constant's error, on the coefficients' and on their size.
    """
    k = node.nonbasic.shape[0]
    total, residual = proof.total, proof.residual
    for i in range(node.head[PATH]):
        if _is_summand(chain, rows, level, node.basic[i]):
            for c in range(k + 1):
                total[c] += node.table[i, c]
    for j in range(k):
        residual[j] = 0.0
        if _is_summand(chain, rows, level, node.nonbasic[j]):
            total[j + 1] += 1.0
    const, const_error, error, size = 0.0, 0.0, 0.0, 0.0
    summands = chain.reference if level == 0 else rows.generator[level, : rows.count[level]]
    for i in range(summands.shape[0]):
        number = summands[i]
        for c in range(k):
            residual[c] += node.sign[number] * rows.coef[level, number, c]
        const += node.sign[number] * rows.const[level, number]
        const_error += rows.const_error[level, number] + grade(2 * k) * abs(rows.const[level, number])
        error += rows.error[level, number]
        size += rows.size[level, number]
    return const, const_error, error, size


@inner
def _bound_generators(chain, rows, node, level, proof):
    """Bound the generators of a level over the cell: fill `proof.total` and `proof.bound` (module docstring)."""
    k = node.nonbasic.shape[0]
    kappa, rest = rows.kappa[level, 0], rows.kappa[level, 1]
    for c in range(k + 1):
        proof.total[c] = 0.0
    proof.bound[0], proof.bound[1], proof.bound[2] = 0.0, rest, level
    if kappa == 0.0:
        return
    const, const_error, error, size = _sum_summands(chain, rows, node, level, proof)
    left, value, off = _explain(chain, rows, node, level, proof.total, proof.residual, const)
    share = grade(2 * k)
    left = (left + error + share * size) * (1.0 + share)
    off = (off + const_error) * (1.0 + share)
    if left * kappa * (1.0 + share) <= 0.5:
        proof.bound[0] = 2.0 * kappa
        proof.bound[1] = (rest + 2.0 * kappa * (abs(value) + off + left * rest)) * (1.0 + share)
    else:
        proof.bound[0], proof.bound[1] = np.inf, np.inf


@inner
def prove(chain, rows, node, i, side, proof):
    """Prove that row i of a table, times `side`, is non-negative on the cell (module docstring).

    Returns the sign proved, `NOTHING` for a row that is exactly 0, or 0 where nothing is proved. Before the
    first call at a table set ``proof.bound[2]`` to `STALE`. Cost: k^2 operations, twice as many at the first
    call.
    """
    k, number, row = node.nonbasic.shape[0], node.basic[i], node.table[i]
    level = _level(chain, rows, node)
    if proof.bound[2] != level:
        _bound_generators(chain, rows, node, level, proof)
    size, error = rows.size[level, number], rows.error[level, number]
    const, const_error = rows.const[level, number], rows.const_error[level, number]
    if size == 0.0 and error == 0.0 and const == 0.0 and const_error == 0.0:
        return NOTHING
    for c in range(k):
        slope = side * row[c + 1]
        proof.multiplier[c + 1] = slope if slope > 0.0 or chain.opposite[node.nonbasic[c]] >= 0 else 0.0
        proof.residual[c] = side * rows.coef[level, number, c]
    left, value, off = _explain(chain, rows, node, level, proof.multiplier, proof.residual, side * const)
    share = grade(k + 4)
    left = (left + error + share * size) * (1.0 + share)
    floor = value - (off + const_error + (0.0 if left == 0.0 else left * proof.bound[1])) * (1.0 + share)
    if not floor >= 0.0:
        return 0
    strict = floor > 0.0
    rate = 0.0 if left == 0.0 else left * proof.bound[0] * (1.0 + share)
    for j in range(k):
        if not _is_generated(chain, rows, level, node.nonbasic[j]):
            continue
        needed = 0.0
        if rate != 0.0 and proof.total[j + 1] > 0.0:
            needed = rate * proof.total[j + 1] * (1.0 + share) + TINY
        multiplier = abs(proof.multiplier[j + 1])
        if not multiplier >= needed:
            return 0
        strict = strict or multiplier > needed
    return side if strict else 0


# -- points ----------------------------------------------------------------------------------------------------


@inner
def _is_in_domain(chain, rows, point):
    """Tell whether a point is provably strictly inside the domain."""
    k = point.shape[0]
    for number in range(chain.first[0]):
        slack, size = rows.const[0, number], abs(rows.const[0, number])
        error = rows.const_error[0, number]
        for c in range(k):
            product = rows.coef[0, number, c] * point[c]
            slack += product
            size += abs(product)
            error += rows.error[0, number] * abs(point[c])
        if not slack > (error + grade(k + 4) * size + (k + 4.0) * TINY) * (1.0 + grade(k)):
            return False
    return True


@inner
def _multiply_out(chain, layer, n_before, proof):
    """Write the pre-activations of a layer and bounds on their errors (`is_inside`)."""
    n, share, size = chain.width[layer], grade(n_before + 6), 0.0
    value, reach = proof.value, proof.reach
    for j in range(n):
        value[j] = chain.bias[layer, j]
        reach[j] = share * abs(value[j]) + chain.bias_error[layer, j] + (n_before + 4.0) * TINY
    for i in range(n_before):
        h, e = proof.output[i], proof.doubtful[i]
        if h == 0.0 and e == 0.0:
            continue
        size += abs(h) + e
        e += share * abs(h)
        own = chain.weight[layer, i]
        for j in range(n):
            value[j] += own[j] * h
            reach[j] += abs(own[j]) * e
    for j in range(n):
        reach[j] = (reach[j] + chain.weight_error[layer, j] * size) * (1.0 + share)


@inner
def is_inside(chain, rows, sign, point, proof):
    r"""Tell whether a point is provably strictly inside: on the sides of all rows that their signs name.

    A forward pass with running error bounds: for :math:`z_j = \sum_i W_{ji} h_i + b_j` with n inputs off by
    e_i,

    .. math:: |z_j - \hat z_j| \le \sum_i |W_{ji}| (\gamma_{n + 3} |h_i| + e_i) + dW_j \sum_i (|h_i| + e_i)
              + \gamma_{n + 3} |b_j| + db_j,

    and the product with the slope is one more rounding. Units that are 0 on the whole cell pass on an exact
    0.
    """
    if not _is_in_domain(chain, rows, point):
        return False
    n_before = point.shape[0]
    for c in range(n_before):
        proof.output[c] = point[c]
        proof.doubtful[c] = 0.0
    for layer in range(chain.width.shape[0]):
        _multiply_out(chain, layer, n_before, proof)
        n_before = chain.width[layer]
        for j in range(n_before):
            number = chain.first[layer] + j
            side = sign[chain.leader[number]]
            if side == NOTHING:
                proof.output[j], proof.doubtful[j] = 0.0, 0.0
                continue
            above = side * chain.ratio[number] > 0
            if not (proof.value[j] if above else -proof.value[j]) > proof.reach[j]:
                return False
            slope = chain.slopes[layer, 1 if above else 0, j]
            proof.output[j] = proof.value[j] * slope
            # a unit that passes on nothing passes on no error either
            doubt = proof.reach[j] * abs(slope) + grade(1) * abs(proof.output[j]) + TINY
            proof.doubtful[j] = doubt if slope != 0.0 else 0.0
    return True
