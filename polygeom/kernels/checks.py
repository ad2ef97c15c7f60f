"""Sums of products for the proofs of `polygeom.certificates.facet_stack`, over stacks of small cells.

Plain sums of products in the order written; rounding is bounded by the caller.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["combine_supports", "leave_alone"]


@njit(cache=True, error_model="numpy", nogil=True)
def combine_supports(A, frame, columns, claimed, support, multipliers, weight):
    r"""Return for each claimed row the sizes of its residual and of the bound its multipliers give.

    Parameters
    ----------
    A : (N, m, d) array
    frame : (N, 2, d) array
        The vectors w and g of each cell.
    columns : (N, 2, m) array
        Per row its rounding spread, and its largest slack.
    claimed : (N, m) bool array
    support : (N, m, d) int array, multipliers : (N, m, d) array, weight : (N, m) array
        Entries of `support` outside 0 .. m - 1, or equal to the row itself, make both results infinite, and so
        do negative multipliers; -1 with multiplier 0 is unused.

    Returns
    -------
    (N, m, 2) array
        :math:`|a_i - A'\lambda - \eta g| \cdot w + \mathrm{spread} \cdot \lambda` and
        :math:`\mathrm{largest\ slack} \cdot \lambda`; infinite for rows not claimed.
    """
    N, m, d = A.shape
    sums = np.full((N, m, 2), np.inf)
    residual = np.empty(d)
    for n in range(N):
        w, g = frame[n, 0], frame[n, 1]
        for i in range(m):
            if not claimed[n, i]:
                continue
            for k in range(d):
                residual[k] = A[n, i, k] - weight[n, i] * g[k]
            rounding = bound = 0.0
            for slot in range(d):
                j, factor = support[n, i, slot], multipliers[n, i, slot]
                if j == -1 and factor == 0.0:
                    continue
                if j < 0 or j >= m or j == i or not factor >= 0.0:
                    bound = np.inf
                    break
                for k in range(d):
                    residual[k] -= factor * A[n, j, k]
                rounding += factor * columns[n, 0, j]
                bound += factor * columns[n, 1, j]
            for k in range(d):
                rounding += abs(residual[k]) * w[k]
            sums[n, i, 0], sums[n, i, 1] = rounding, bound
    return sums


@njit(cache=True, error_model="numpy", nogil=True)
def leave_alone(A, witness, inner, outer, claimed):
    """Tell which points lie beyond their own row and inside all others, by products alone.

    Parameters
    ----------
    A : (N, m, d) array
    witness : (N, m, d) array
        One point per row.
    inner, outer : (N, m) arrays
        A product below `inner` is inside the row, one above `outer` beyond it; `inner` is infinite for rows that
        do not matter.
    claimed : (N, m) bool array

    Returns
    -------
    (N, m) bool array
        False for rows not claimed.
    """
    N, m, d = A.shape
    holds = np.zeros((N, m), np.bool_)
    columns, products = np.empty((d, m)), np.empty(m)
    for n in range(N):
        for k in range(d):
            for j in range(m):
                columns[k, j] = A[n, j, k]
        for i in range(m):
            if not claimed[n, i]:
                continue
            products[:] = 0.0
            for k in range(d):
                entry = witness[n, i, k]
                for j in range(m):
                    products[j] += entry * columns[k, j]
            crossed = 0
            for j in range(m):
                crossed += not products[j] < inner[n, j]
            holds[n, i] = crossed == 1 and products[i] > outer[n, i]
    return holds
