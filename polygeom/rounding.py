r"""Unit roundoff, running error bounds, and every small float literal of the library.

Model
-----
IEEE double precision, round to nearest, :math:`u = 2^{-53}`: for ``op`` in ``+ - * /`` and ``sqrt``

.. math:: fl(a \;op\; b) = (a \;op\; b)(1 + \delta) + \eta, \qquad |\delta| \le u,

with :math:`\eta = 0` for ``+`` and ``-`` and :math:`|\eta| \le` `TINY` for products and quotients. `TINY`
is the smallest normal number, so the model also covers gradual underflow and flushing of results to zero.

A sum of n products, in any order of summation, with or without fused multiply-add, satisfies
(Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1 and problem 3.3)

.. math:: |fl(x \cdot y) - x \cdot y| \le \gamma_n |x| \cdot |y| + 2 n\,\mathrm{TINY},
          \qquad \gamma_n = \frac{n u}{1 - n u}.

The bound itself is computed in floats. If :math:`\hat M = fl(|x| \cdot |y|)`, all terms are non-negative, so
:math:`|x| \cdot |y| \le (\hat M + 2 n\,\mathrm{TINY}) / (1 - \gamma_n)` and
:math:`\gamma_n / (1 - \gamma_n) = n u / (1 - 2 n u) \le \gamma_{2n}`. `dot_error` therefore returns
``gamma(2 n + 8) * M + underflow(n)``: the 8 spare roundings pay for the arithmetic on the bound itself and
for up to four further additions (a bias, a shift, a comparison difference) that callers fold in.

Source: N. J. Higham 2002, Lemma 3.1 (products of (1 + delta)), Theorem 3.1-3.3 (inner products);
S. M. Rump 2010 (verification methods).
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "LARGEST",
    "TINY",
    "U",
    "U32",
    "dot_error",
    "dot_error32",
    "gamma",
    "round_up",
    "smallest_nonzero",
    "unbounded_where_overflown",
    "underflow",
]

U = 2.0**-53
"""Unit roundoff of float64, a relative distance."""

TINY = 2.0**-1022
"""Smallest normal float64, an absolute distance: the most one rounding can lose to underflow."""

U32, TINY32 = 2.0**-24, 2.0**-126
"""Unit roundoff and smallest normal number of float32, for comparing with what others computed in it."""


LARGEST = (2.0 - 2.0 * U) * 2.0**1023
"""Largest finite float64."""


def gamma(n: int) -> float:
    """Return an upper bound on n u / (1 - n u), the relative error of n successive roundings.

    Raises
    ------
    OverflowError
        If n u >= 1/4, where the bound says nothing useful (n above 2e15).

    Examples
    --------
    >>> gamma(1) >= 2.0**-53
    True
    """
    if n * U >= 0.25:
        raise OverflowError(f"gamma({n}) is meaningless: n times the unit roundoff exceeds 1/4")
    # Three roundings are made here (n is exact below 2**53, the product is exact up to one); (1 + 4u) pays.
    return n * U / (1.0 - n * U) * (1.0 + 4.0 * U)


def underflow(n: int, smallest_product: float = 0.0) -> float:
    """Return what n products and their bound can lose to underflow, an absolute distance.

    0 when every non-zero product is known to be at least `TINY` in absolute value (`smallest_product`): sums
    never lose anything to underflow, so an exact zero stays an exact zero.
    """
    return 0.0 if smallest_product >= TINY else 8.0 * (n + 1) * TINY


def smallest_nonzero(array: np.ndarray | None) -> float:
    """Return the smallest non-zero absolute value, 1 for an array of zeros or None (all ones)."""
    if array is None:
        return 1.0
    values = np.abs(array)
    return float(values.min(initial=np.inf, where=values > 0)) if values.any() else 1.0


def dot_error(magnitude: np.ndarray, n: int, smallest_product: float = 0.0) -> np.ndarray:
    r"""Bound the error of inner products of length n.

    Parameters
    ----------
    magnitude : array
        :math:`fl(\sum_k |x_k| |y_k|)`, computed in float64, plus the absolute values of any terms added after.
    n : int
        Number of products in each sum.
    smallest_product : float
        A lower bound on the non-zero products, if one is known (`underflow`).

    Returns
    -------
    array
        ``gamma(2 n + 8) * magnitude + underflow(n)``, an upper bound on ``|fl(x.y) - x.y|`` with room
        for four further additions (module docstring).
    """
    return gamma(2 * n + 8) * magnitude + underflow(n, smallest_product)


def dot_error32(magnitude: np.ndarray, n: int) -> np.ndarray:
    """Bound the error of inner products of length n that were computed in float32.

    Parameters and result as for `dot_error`, with U32 and TINY32 for the roundoff; `magnitude` itself is computed
    in float64.

    Raises
    ------
    OverflowError
        If (2 n + 8) U32 >= 1/4, where the bound says nothing useful (n above two million).
    """
    k = 2 * n + 8
    if k * U32 >= 0.25:
        raise OverflowError(f"{n} products summed in float32 may lose every digit")
    return k * U32 / (1.0 - k * U32) * (1.0 + gamma(8)) * magnitude + 8.0 * (n + 1) * TINY32


def round_up(value: np.ndarray | float, operations: int = 1) -> np.ndarray | float:
    """Return an upper bound on a non-negative quantity computed with this many roundings.

    ``value = exact (1 + d_1)...(1 + d_n)`` with ``|d_k| <= u`` gives ``exact <= value (1 + gamma(2 n + 2))``;
    underflow is paid by `TINY` per operation.
    """
    return value * (1.0 + gamma(2 * operations + 2)) + 2.0 * operations * TINY


def unbounded_where_overflown(value: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values and error bounds with 0 and infinity wherever one of them overflowed: nothing is known."""
    known = np.isfinite(value) & np.isfinite(error)
    if known.all():
        return value, error
    return np.where(known, value, 0.0), np.where(known, error, np.inf)
