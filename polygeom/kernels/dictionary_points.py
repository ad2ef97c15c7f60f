r"""Points inside a cell, from its dictionary."""

from __future__ import annotations

import numpy as np

from polygeom.kernels.dictionary import NEAR, PATH, blocking_row, entering_column, inlined, inner, pivot
from polygeom.rounding import TINY

__all__ = ["center", "coordinates", "middle"]


@inner
def middle(node, span, boxed, share, edge):
    """Set `edge` (k,) to the values of the nonbasic functions in the middle of the simplex of the first edges.

    Edge j leads from the vertex to the next one, at least 1 / share[j] away (1 where it never ends); the
    barycenter of the vertex and the ends is interior if no path row is 0 at the vertex.
    """
    k = edge.shape[0]
    for c in range(1, k + 1):
        share[c] = 1.0 / span[node.nonbasic[c - 1]] if boxed else 0.0
    for i in range(node.head[PATH]):
        row = node.table[i]
        inverse = -1.0 / max(row[0], TINY)
        for c in range(1, k + 1):
            share[c] = max(share[c], row[c] * inverse)
        if boxed and span[node.basic[i]] < np.inf:
            inverse = 1.0 / max(span[node.basic[i]] - row[0], TINY)
            for c in range(1, k + 1):
                share[c] = max(share[c], row[c] * inverse)
    for c in range(1, k + 1):
        edge[c - 1] = 1.0 / ((k + 1.0) * share[c]) if share[c] > NEAR else 1.0


@inner
def _append_shifted(program, n, row, span, side):
    """Write ``span + side * row`` over functions shifted by tau (`center`) as row n; return n + 1."""
    total = -1.0
    for c in range(row.shape[0]):
        program[n, c] = side * row[c]
        if c > 0:
            total += side * row[c]
    program[n, 0] = max(program[n, 0] + span, 0.0)
    program[n, row.shape[0]] = total
    return n + 1


@inner
def _shifted_program(node, span, program):
    """Write the rows of the program of `center`; return how many."""
    k, n = node.nonbasic.shape[0], 0
    for i in range(node.head[PATH]):
        n = _append_shifted(program, n, node.table[i], 0.0, 1.0)
        if span[node.basic[i]] < np.inf:
            n = _append_shifted(program, n, node.table[i], span[node.basic[i]], -1.0)
    for j in range(k):
        if span[node.nonbasic[j]] < np.inf:
            for c in range(k + 1):
                program[n, c] = 0.0
            program[n, 0], program[n, j + 1], program[n, k + 1] = span[node.nonbasic[j]], -1.0, -2.0
            n += 1
    return n


@inner
def center(node, span, program, edge):
    r"""Set `edge` (k,) to values of the nonbasic functions at which all path rows are as large as possible.

    The program max tau with n_i >= tau, tau <= 1. With :math:`n_j = n'_j + \tau` row i becomes :math:`v +
    \sum_j T_j n'_j + (\sum_j T_j - 1) \tau`, so the vertex is feasible with tau = 0, and tau is one more
    column. Functions with a span are two rows. `program` is scratch; behind the rows it holds tau <= 1, the
    objective, and which function stands in each column (0: none, j: n'_j, k + 1: tau) and row. Returns tau.
    """
    k = edge.shape[0]
    ceiling = _shifted_program(node, span, program)
    objective, in_column, in_row = ceiling + 1, program[ceiling + 2], program[ceiling + 3]
    for c in range(k + 2):
        program[objective, c], program[ceiling, c], in_column[c] = 0.0, 0.0, c
    program[objective, k + 1], program[ceiling, 0], program[ceiling, k + 1] = 1.0, 1.0, -1.0
    for i in range(ceiling + 1):
        in_row[i] = 0.0
    table = program[: objective + 1, : k + 2]
    stalled = False
    for _ in range(20 * (ceiling + k) + 40):
        column = entering_column(table[objective], 1.0, stalled)
        if column == 0:
            break
        row, length = blocking_row(table, ceiling + 1, column)
        if row < 0:
            break
        stalled = length <= NEAR
        pivot(table, objective + 1, row, column)
        in_column[column], in_row[row] = in_row[row], in_column[column]
    tau = table[objective, 0]
    for j in range(k):
        edge[j] = tau
    for i in range(ceiling + 1):
        j = int(in_row[i])
        if 1 <= j <= k:
            edge[j - 1] += max(table[i, 0], 0.0)
    return tau


@inlined
def _write_reference(chain, number, value, found):
    """Write the value of a function to `found`, if it or its opposite is a reference."""
    opposite = chain.opposite[number]
    if chain.slot[number] >= 0:
        found[chain.slot[number]] = value
    elif opposite >= 0 and chain.slot[opposite] >= 0:
        found[chain.slot[opposite]] = chain.span[number] - value


@inner
def coordinates(chain, rows, node, edge, share, point):
    """Set `point` to the coordinates y of given values `edge` of the nonbasic functions. Cost: 2 k^2."""
    k = edge.shape[0]
    for j in range(k):
        _write_reference(chain, node.nonbasic[j], edge[j], share)
    for i in range(node.head[PATH]):
        number = node.basic[i]
        if chain.slot[number] >= 0 or chain.opposite[number] >= 0:
            value = node.table[i, 0]
            for j in range(k):
                value += node.table[i, j + 1] * edge[j]
            _write_reference(chain, number, value, share)
    for slot in range(k):
        number = chain.reference[slot]
        share[slot] = node.sign[number] * share[slot] - rows.const[0, number]
    for c in range(k):
        point[c] = 0.0
        for slot in range(k):
            point[c] += chain.inverse[c, slot] * share[slot]
