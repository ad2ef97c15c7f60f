r"""Exact ranks and exact solutions of linear equations, with floats to choose pivots and primes to save time.

A float is an integer times a power of two, hence a residue modulo any odd prime p (2 is invertible there). A
minor that is nonzero modulo p is nonzero, so the rank modulo p never exceeds the true rank: where it is full,
one elimination in word-size arithmetic is a proof.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from polygeom.exact import ScaledMatrix, rational_matrix

if TYPE_CHECKING:
    import flint

__all__ = ["PRIMES", "has_full_rank", "pivot_columns", "rank", "solve_near"]

PRIMES = (2**31 - 1, 2**31 - 19)
"""Primes for ranks modulo p: residues below 2^31, so that products of two fit into int64."""


def has_full_rank(A: np.ndarray) -> bool:
    """Tell whether rank A = min(n, d) was proved modulo a prime; False proves nothing.

    Module docstring. Cost: :math:`n d^2` word operations.

    Examples
    --------
    >>> has_full_rank(np.array([[1.0, 0.1], [0.1, 0.01 + 2.0**-59]]))
    True
    """
    return any(_rank_modulo(A, p) == min(A.shape) for p in PRIMES)


def rank(A: np.ndarray | flint.fmpq_mat) -> int:
    """Return the exact rank of a float64 matrix (n, d) or of a rational matrix.

    Modulo a prime first (a full rank there is a proof), then over the integers. Cost: :math:`n d^2`
    word operations; if the rank is short, an integer elimination, for d up to a few hundred.
    """
    if not isinstance(A, np.ndarray):
        return _integer_rank(A.numer_denom()[0])
    if min(A.shape) == 0 or not A.any():
        return 0
    # zero rows and columns, frequent in dead units and inputs, need no arithmetic
    core = A[np.ix_(A.any(axis=1), A.any(axis=0))]
    if has_full_rank(core):
        return min(core.shape)
    return ScaledMatrix.from_floats(core).numerators.rank()


def _integer_rank(matrix: flint.fmpz_mat) -> int:
    """Return the rank of an integer matrix: a full rank modulo a prime is a proof, else eliminate."""
    import flint

    full = min(matrix.nrows(), matrix.ncols())
    return full if any(flint.nmod_mat(matrix, p).rank() == full for p in PRIMES) else matrix.rank()


def pivot_columns(echelon: flint.fmpq_mat | flint.fmpz_mat | flint.nmod_mat, rank: int) -> list[int]:
    """Return the column of the first non-zero entry of each of the first rows of an echelon form."""
    pivots, column = [], 0
    for row in range(rank):
        while echelon[row, column] == 0:
            column += 1
        pivots.append(column)
    return pivots


def solve_near(M: flint.fmpq_mat, target: flint.fmpq_mat, guess: np.ndarray) -> flint.fmpq_mat | None:
    """Return an exact solution v of M v = target close to a float one, or None where this finds none.

    As many columns as the rank, chosen by pivoted QR, are solved for exactly; the other entries of v keep
    their float values. So v - guess is small when M guess is close to the target and those columns are not
    nearly dependent, and it is 0 where the guess is already exact.

    Parameters
    ----------
    M : (n, d) fmpq_mat
        Any rank.
    target : (n, 1) fmpq_mat
    guess : (d,) float64 array

    Returns
    -------
    (d, 1) fmpq_mat or None
        M v = target was checked. None if no solution exists, or the pivots picked in floats were dependent.

    Notes
    -----
    Cost: one exact solve of the size of the rank r (0.3 s at r = 200, 3 s at 400) and one product.
    """
    import flint
    from scipy.linalg import qr

    v = rational_matrix(guess)
    residual = target - M * v
    if _is_zero(residual):
        return v
    numerators = M.numer_denom()[0]
    r = max(flint.nmod_mat(numerators, p).rank() for p in PRIMES)
    floats = ScaledMatrix(numerators, flint.fmpz(1) << _bit_length(numerators)).to_floats()
    columns = qr(floats, mode="r", pivoting=True)[1][:r].tolist()
    rows = qr(floats[:, columns].T, mode="r", pivoting=True)[1][:r].tolist()
    block = flint.fmpq_mat(r, r, [M[i, j] for i in rows for j in columns])
    try:
        change = block.solve(flint.fmpq_mat(r, 1, [residual[i, 0] for i in rows]))
    except ZeroDivisionError:
        return None
    for k, j in enumerate(columns):
        v[j, 0] = v[j, 0] + change[k, 0]
    return v if _is_zero(target - M * v) else None


def _is_zero(matrix: flint.fmpq_mat) -> bool:
    """Tell whether all entries are 0."""
    return not any(matrix.entries())


def _bit_length(matrix: flint.fmpz_mat) -> int:
    """Return the number of bits of the largest entry, to bring a matrix into the range of floats."""
    return max((int(abs(entry)).bit_length() for entry in matrix.entries()), default=0)


def _rank_modulo(A: np.ndarray, prime: int) -> int:
    """Return the rank of a float matrix modulo an odd prime below 2^31."""
    import flint

    if min(A.shape) == 0:
        return 0
    return flint.nmod_mat(*A.shape, _residues(A, prime).ravel().tolist(), prime).rank()


def _residues(A: np.ndarray, prime: int) -> np.ndarray:
    """Return mantissa * 2^exponent modulo p for each float, in int64 (both factors stay below 2^31)."""
    mantissa, exponent = np.frexp(A)
    integers = (mantissa * 2.0**53).astype(np.int64) % prime
    lowest = int(exponent.min()) - 53
    powers = np.array([pow(2, e, prime) for e in range(lowest, int(exponent.max()) - 52)], dtype=np.int64)
    return integers * powers[exponent - 53 - lowest] % prime
