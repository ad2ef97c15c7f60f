r"""Prove that no two units of a cell vanish on the same hyperplane, without rationals.

On a cell every unit's pre-activation is a linear form of (y, t). Evaluate all forms at two fixed points P, Q of
:math:`F_p^{k+1}`, all numbers reduced modulo a prime p: parameters are dyadic rationals, so they have residues.
If two forms are multiples of each other, then :math:`z_u(P) z_v(Q) = z_u(Q) z_v(P)`; if a form is 0, both its
values are. So where no such equation holds modulo p, no two units are tied on the cell, and that is a proof. The
converse fails with probability about 1 / p for a pair, which costs time and nothing else.

A form that does not depend on y is (0, ..., 0, c). It vanishes nowhere if c is not 0, and ties with nobody. Which
forms are constant is seen from structure: no path of non-zero weights and slopes leads to them.
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["PRIME", "have_ties", "push_layer"]

PRIME = 2**31 - 1
"""A prime below 2^31: products of two residues fit in 63 bits."""


@numba.njit(cache=True)
def push_layer(weight, bias, moves, values, live):
    """Return the residues of one layer's pre-activations at both points, and which of them are no constants.

    Parameters
    ----------
    weight : (n, n_before) int64, bias : (n,) int64
        Residues.
    moves : (n, n_before) bool
        Which weights are not 0.
    values : (N, n_before + 1, 2) int64
        Residues of what arrives, cell by cell, at both points; last the coordinate t.
    live : (N, n_before) bool
        Which of it may depend on the cell's coordinates.
    """
    N, (n, before) = len(values), weight.shape
    z = np.empty((N, n, 2), dtype=np.int64)
    alive = np.zeros((N, n), dtype=np.bool_)
    for i in range(N):
        for u in range(n):
            for point in range(2):
                total = bias[u] * values[i, before, point] % PRIME
                for k in range(before):
                    total = (total + weight[u, k] * values[i, k, point]) % PRIME
                z[i, u, point] = total
            for k in range(before):
                alive[i, u] |= moves[u, k] and live[i, k]
    return z, alive


@numba.njit(cache=True)
def have_ties(z, alive):
    """Return for every cell whether two of its forms may be multiples of each other, or one may be 0.

    ``z`` (N, m, 2) are the residues at both points, ``alive`` (N, m) tells which forms may be no constants.
    """
    N, m = alive.shape
    tied = np.zeros(N, dtype=np.bool_)
    for i in range(N):
        for u in range(m):
            if z[i, u, 0] == 0 and z[i, u, 1] == 0:
                tied[i] = True
            if tied[i] or not alive[i, u]:
                continue
            for v in range(u):
                if alive[i, v] and (z[i, u, 0] * z[i, v, 1] - z[i, u, 1] * z[i, v, 0]) % PRIME == 0:
                    tied[i] = True
                    break
    return tied
