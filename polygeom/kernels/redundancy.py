r"""Facets and redundant rows of stacks of cells: candidates for proofs, found in floats.

Nothing here is trusted. The kernels return points and multipliers; `polygeom.certificates.facets` proves
them in the original coordinates or rejects them.

Method
------
A cell with interior point :math:`x_0` is :math:`\{y : p_i \cdot y \le 1\}` with
:math:`y = x - x_0, p_i = a_i / (b_i - a_i \cdot x_0)`. With the Cholesky factor :math:`L L^T = \sum p_i p_i^T`
the rows :math:`q_i = L^{-1} p_i` no longer depend on the scale of rows or coordinates; their Gram matrix is
the hat matrix of the cell.

1. *Shooting.* Along any direction u the row with the largest :math:`q_i \cdot u > 0`, if it is alone, is the
   first wall met from the interior point: a facet. All m rows serve as directions: one product; then, for
   rows not yet met, directions turned away from the walls that were (Motzkin and Schoenberg 1954).
2. *Clarkson.* A row not yet decided is maximized over the walls found so far. Optimum at most 1: the row is
   redundant, its multipliers are the prices of the last vertex. Otherwise the point reached lies beyond the
   row, and shooting at it finds a wall that was not known, often the row itself.
3. The linear programs share one vertex (`polygeom.kernels.edge_walk`). The next row is the one with the
   largest :math:`q_i \cdot v / |q_i|^2` at the present vertex v, which more than halves the pivots.

Sources: K. L. Clarkson, More output-sensitive geometric algorithms, FOCS 1994; J. Telgen, Minimal
representation of convex polyhedral sets, JOTA 1982; R. J. Caron, J. F. McDonald, C. M. Ponic, JOTA 1989.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from polygeom.kernels.edge_walk import (
    BEYOND,
    CLEAR,
    FREE,
    OPTIMAL,
    PIVOT,
    STALE,
    WALLS,
    add_wall,
    dot,
    inner,
    multiply,
    new_cell,
    optimize,
    recover,
    restart,
    smallest,
    subtract,
)
from polygeom.kernels.shooting import FACET, OPEN, REDUNDANT, SHOTS, normalize, relax, shoot, shoot_along_rows
from polygeom.rounding import TINY, U

__all__ = ["FACET", "OPEN", "REDUNDANT", "WEIGHT", "Candidates", "search_stack"]

ACCURATE = 2.0 * U
"""Length of a residual that needs no refinement."""
WEIGHT = 2.0**19 * U
"""Share of the reference in the multipliers of every redundant row: it absorbs their rounding errors."""


class Candidates(NamedTuple):
    """What the search found for a stack of N cells, in original coordinates.

    Attributes
    ----------
    status : (N, m) int8
        FACET, REDUNDANT, or OPEN where floats found neither.
    witness : (N, m, d)
        For facets a point beyond that row alone, relative to the interior point.
    support : (N, m, d) int32, multipliers : (N, m, d)
        Rows and multipliers that explain redundant rows, and the last vertex of the search for open rows;
        support -1 is unused. See `reference`.
    reference : (N, d) int32, inverse : (N, d, d)
        The walls of one vertex and the approximate inverse of ``A[reference] / slack[reference]``; -1 if no
        vertex was found.
    closing : (N, d) int32, closing_multipliers : (N, d)
        For bounded cells, rows and multipliers with ``pull = sum A[reference] / slack + closing_multipliers @
        A[closing]`` close to 0; otherwise -1, 0, and `pull` is the sum over the reference alone. With
        ``weight = WEIGHT slack[i]``, ``multipliers @ A[support] + weight pull`` is close to ``A[i]``.
    """

    status: np.ndarray
    witness: np.ndarray
    support: np.ndarray
    multipliers: np.ndarray
    reference: np.ndarray
    inverse: np.ndarray
    closing: np.ndarray
    closing_multipliers: np.ndarray


# -- deciding the rows of one cell ---------------------------------------------------------------------------


@inner
def _decide(cell, objective, row, limit, products):
    """Maximize a row up to its limit by Clarkson's method; every facet met on the way is recorded.

    Returns OPTIMAL when the basis and its prices explain why the limit is not passed, BEYOND when the row
    itself was met, STALE when floats do not decide; without a row or a limit, BEYOND means unbounded.
    """
    for _ in range(cell.normals.shape[0] + 1):
        outcome = optimize(cell, objective, limit)
        if outcome == STALE:
            return STALE
        if outcome == OPTIMAL:
            if dot(objective, cell.vertex) <= limit:
                return OPTIMAL
            for k in range(cell.aim.shape[0]):
                cell.aim[k] = cell.vertex[k]
        wall = shoot(cell, row, products)
        if wall < 0:
            return outcome
        if not add_wall(cell, wall):
            recover(cell)
        if wall == row:
            return BEYOND
    return STALE


@inner
def _next_row(cell, products):
    """Return the open row nearest to the present vertex (module docstring), or -1.

    `likeness` is 1 / |q|^2 for rows that may still be asked, 0 for the others. The row returned is not asked
    again.
    """
    m = cell.normals.shape[0]
    multiply(cell.rows, cell.vertex, m, products)
    for i in range(m):
        products[i] = -products[i] * cell.likeness[i] if cell.likeness[i] > 0.0 else np.inf
    while True:
        nearest = smallest(products, m)
        if nearest == np.inf:
            return -1
        row = 0
        while products[row] != nearest:
            row += 1
        cell.likeness[row] = 0.0
        if cell.status[row] == OPEN:
            return row
        products[row] = np.inf


@inner
def _explain(cell, objective, support, multipliers):
    """Write the basis and the non-negative prices of an objective, refined once if they are inaccurate.

    Returns the length of what they leave unexplained.
    """
    d = cell.vertex.shape[0]
    for k in range(d):
        cell.step[k] = objective[k]
        multipliers[k] = 0.0
        support[k] = -1 if cell.basis[k] < 0 else cell.owner[cell.basis[k]]
    for _ in range(2):
        multiply(cell.edges, cell.step, d, cell.price)
        for j in range(d):
            cell.step[j] = objective[j]
        for k in range(d):
            if support[k] >= 0:
                multipliers[k] = max(multipliers[k] + cell.price[k], 0.0)
                subtract(cell.step, multipliers[k], cell.normals[support[k]])
        square = dot(cell.step, cell.step)
        if square < ACCURATE * ACCURATE:
            break
    return np.sqrt(square)


@inner
def _settle(cell, objective, found, n, products):
    """Choose the reference vertex, and close the cell around it if it is bounded; tell if there is a vertex.

    The sum of all walls is bounded on the cell. If minus the sum of the walls of its vertex has an optimum
    too, the multipliers of that optimum complete a positive combination that vanishes: the cell is bounded.
    """
    d = cell.vertex.shape[0]
    for k in range(d):
        objective[k] = 0.0
    for i in range(cell.count[WALLS]):
        subtract(objective, -1.0, cell.normals[cell.owner[i]])
    if _decide(cell, objective, -1, np.inf, products) != OPTIMAL or cell.count[FREE] > 0:
        return False
    for k in range(d):
        objective[k] = 0.0
        for j in range(d):
            found.inverse[n, j, k] = cell.edges[j, k]
    for k in range(d):
        found.reference[n, k] = cell.owner[cell.basis[k]]
        subtract(objective, 1.0, cell.normals[found.reference[n, k]])
    closes = _decide(cell, objective, -1, np.inf, products) == OPTIMAL
    if closes:
        missed = _explain(cell, objective, found.closing[n], found.closing_multipliers[n])
        closes = missed < CLEAR
    for k in range(d):
        cell.pull[k] = 0.0 if closes else -WEIGHT * objective[k]
        if not closes:
            found.closing[n, k] = -1
            found.closing_multipliers[n, k] = 0.0
    return True


@inner
def _explain_row(cell, i, objective, products, found, n):
    """Decide one open row; if it is no facet, write its multipliers. Tell whether they explain it."""
    outcome = _decide(cell, cell.normals[i], i, 1.0, products)
    if cell.status[i] == FACET:
        return True
    for k in range(objective.shape[0]):
        objective[k] = cell.normals[i, k] - cell.pull[k]
    missed = _explain(cell, objective, found.support[n, i], found.multipliers[n, i])
    cell.status[i] = REDUNDANT if outcome == OPTIMAL else OPEN
    return missed < PIVOT


@inner
def _explain_again(cell, i, objective, products, found, n, settled):
    """Decide a row once more: with a reference, or from the origin where the inverse has gone bad."""
    if not settled:
        settled = _settle(cell, objective, found, n, products)
    else:
        restart(cell)
    _explain_row(cell, i, objective, products, found, n)
    return settled


@inner
def _search(cell, objective, products, found, n):
    """Search one prepared cell; multipliers are those of the normalized rows."""
    m, d = cell.normals.shape
    shoot_along_rows(cell, products)
    relax(cell, products)
    cell.count[WALLS] = 0
    restart(cell)
    for k in range(d):
        cell.pull[k] = 0.0
    for i in range(m):
        cell.likeness[i] = 0.0
        if cell.status[i] == FACET:
            add_wall(cell, i)
        elif cell.status[i] == OPEN:
            cell.likeness[i] = 1.0 / max(dot(cell.normals[i], cell.normals[i]), TINY)
    settled = False
    while True:
        i = _next_row(cell, products)
        if i < 0:
            return
        # where most rows may be facets, the reference waits until a redundant row needs it
        if d < SHOTS and not settled:
            settled = _settle(cell, objective, found, n, products)
        if cell.status[i] == FACET:
            continue
        if not _explain_row(cell, i, objective, products, found, n) or (
            cell.status[i] == REDUNDANT and d >= SHOTS and not settled
        ):
            settled = _explain_again(cell, i, objective, products, found, n, settled)


@inner
def _restore_units(cell, inverse, slack, found, n):
    """Write status, witnesses, multipliers and the reference's inverse in the original rows and coordinates.

    The normalized rows are a_i L^-T / slack_i, so points are multiplied by L^-T (`inverse` is L^-1).
    """
    m, d = cell.normals.shape
    for i in range(m):
        found.status[n, i] = cell.status[i]
        if cell.status[i] == FACET:
            multiply(inverse, cell.target[i], d, found.witness[n, i])
        for k in range(d):
            if found.support[n, i, k] >= 0:
                found.multipliers[n, i, k] *= slack[i] / slack[found.support[n, i, k]]
    for k in range(d):
        if found.closing[n, k] >= 0:
            found.closing_multipliers[n, k] /= slack[found.closing[n, k]]
    if found.reference[n, 0] >= 0:
        for k in range(d):
            for j in range(d):
                cell.step[j] = found.inverse[n, j, k]
            multiply(inverse, cell.step, d, cell.share)
            for j in range(d):
                found.inverse[n, j, k] = cell.share[j]


@njit(cache=True, error_model="numpy", nogil=True)
def search_stack(A, slack, active, found):
    """Search a stack of cells.

    Parameters
    ----------
    A : (N, m, d) array
        Rows.
    slack : (N, m) array
        Positive slacks at the interior points.
    active : (N, m) bool array
        False for rows to be left out: zero rows, and all but the lowest of coincident rows.
    found : Candidates
        Arrays to fill: 0 everywhere, -1 for rows.
    """
    N, m, d = A.shape
    cell = new_cell(m, d)
    factor, inverse, objective, products = (
        np.empty((d, d)),
        np.empty((d, d)),
        np.empty(d),
        np.empty(cell.rows.shape[1]),
    )
    for n in range(N):
        normalize(A[n], slack[n], active[n], cell, factor, inverse)
        for i in range(m):
            cell.status[i] = OPEN if active[n, i] else REDUNDANT
        _search(cell, objective, products, found, n)
        _restore_units(cell, inverse, slack[n], found, n)
