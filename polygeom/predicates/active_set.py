r"""Find the nearest point of a polyhedron exactly: the dual active-set method in rationals.

Start at the target, the nearest point of all of R^d, and add violated rows one by one. With S the active rows
(independent, multipliers :math:`\lambda \ge 0`, :math:`x = p - A_S'\lambda`) and i a violated row, solve
:math:`A_S A_S' r = A_S a_i` and move along :math:`z = a_i - A_S' r`: x by -t z, :math:`\lambda_S` by -t r,
:math:`\lambda_i` by t. The step ends where row i holds with equality (it joins S), or earlier where a multiplier
becomes 0 (that row leaves S, and the step goes on). If z = 0 and no r is positive, P is empty.

Every row that joins raises the distance to the target, so no S comes back, and there are finitely many.

Source: D. Goldfarb, A. Idnani 1983, A numerically stable dual method for solving strictly convex quadratic
programs (here the Hessian is the identity).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from polygeom.exact import fractions_array

if TYPE_CHECKING:
    import flint

__all__ = ["nearest_point"]


def nearest_point(
    A: flint.fmpq_mat, b: flint.fmpq_mat, target: flint.fmpq_mat
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the nearest point (d,) and its multipliers (m,) as Fractions, or None if there is no point.

    Parameters
    ----------
    A, b : (m, d) and (m, 1) fmpq_mat
    target : (d, 1) fmpq_mat

    Notes
    -----
    Cost: a product with A and a solve of size ``|S|`` a step, and about as many steps as rows at the nearest
    point.

    Examples
    --------
    >>> from polygeom.exact import rational_matrix
    >>> corner = [rational_matrix(np.array(v)) for v in ([[1.0, 0], [0, 1]], [0.0, 0], [2.0, -1])]
    >>> point, multipliers = nearest_point(*corner)
    >>> [int(v) for v in point], [int(v) for v in multipliers]
    ([0, -1], [2, 0])
    """
    import flint

    x, multipliers = target, {}
    while True:
        slacks = (b - A * x).entries()
        worst = min(range(len(slacks)), key=slacks.__getitem__, default=None)
        if worst is None or slacks[worst] >= 0:
            break
        row, gained = _rows(A, [worst]).transpose(), flint.fmpq(0)
        while worst not in multipliers:
            active = list(multipliers)
            z, r = _split(_rows(A, active), row)
            excess = (row.transpose() * x)[0, 0] - b[worst, 0]
            full = None if not any(z.entries()) else excess / (z.transpose() * z)[0, 0]
            first = min(
                ((multipliers[i] / v, i) for i, v in zip(active, r, strict=True) if v > 0), default=None
            )
            if full is None and first is None:
                return None
            joins = first is None or (full is not None and full <= first[0])
            step = full if joins else first[0]
            x, gained = x - z * step, gained + step
            multipliers = {i: multipliers[i] - step * v for i, v in zip(active, r, strict=True)}
            if joins:
                multipliers[worst] = gained
            else:
                del multipliers[first[1]]
    weights = [multipliers.get(i, 0) for i in range(A.nrows())]
    return fractions_array(x.entries()), fractions_array(weights)


def _rows(A: flint.fmpq_mat, index: list[int]) -> flint.fmpq_mat:
    import flint

    return flint.fmpq_mat(len(index), A.ncols(), [A[i, j] for i in index for j in range(A.ncols())])


def _split(active: flint.fmpq_mat, row: flint.fmpq_mat) -> tuple[flint.fmpq_mat, list[flint.fmpq]]:
    """Return the part z of a row orthogonal to the independent active rows, and the weights r of the rest."""
    if not active.nrows():
        return row, []
    r = (active * active.transpose()).solve(active * row)
    return row - active.transpose() * r, r.entries()
