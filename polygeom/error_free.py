"""Error-free sums and products of floats, and unevaluated sums of two of them ("double-double").

A doubled number is ``value + rest``, value being the float nearest to the sum. Where nothing overflows, and up to
`polygeom.rounding.TINY` where a product underflows, the relative errors stated below hold.

Source: J.-M. Muller et al., Handbook of Floating-Point Arithmetic, 2nd ed., section 4; M. Joldes, J.-M. Muller,
V. Popescu 2017, Tight and rigorous error bounds for basic building blocks of double-word arithmetic.
"""

from __future__ import annotations

import numpy as np

from polygeom.rounding import round_up

__all__ = ["added", "divided", "doubled_difference", "scaled", "two_product", "two_sum"]


def two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return fl(a + b) and its error, exactly (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def two_product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return fl(a b) and its error, exactly but for underflow (Dekker, Veltkamp)."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _halves(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a as a sum of two floats of 26 bits."""
    big = (2.0**27 + 1.0) * a
    high = big - (big - a)
    return high, a - high


def added(value: np.ndarray, rest: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return value + rest + a doubled, off by at most 2 u^2 of the sum (Joldes et al., theorem 2)."""
    total, lost = two_sum(value, a)
    return two_sum(total, rest + lost)


def scaled(value: np.ndarray, rest: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (value + rest) a doubled, off by at most 4 u^2 of it (Joldes et al., theorem 6)."""
    product, lost = two_product(value, a)
    return two_sum(product, rest * a + lost)


def divided(value: np.ndarray, rest: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (value + rest) / a doubled, off by at most 4 u^2 of it (Joldes et al., theorem 11)."""
    quotient = value / a
    product, lost = two_product(quotient, a)
    return two_sum(quotient, ((value - product) - lost + rest) / a)


def doubled_difference(
    left: tuple[np.ndarray, np.ndarray], right: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the float difference of doubled numbers (value, rest), and a bound on its rounding error.

    Every rounding error is known exactly; they are added up. An exact difference has bound 0.
    """
    values, lost = two_sum(left[0], -right[0])
    rests, first = two_sum(left[1], -right[1])
    low, second = two_sum(lost, rests)
    gap, third = two_sum(values, low)
    bound = np.abs(first) + np.abs(second) + np.abs(third)
    return gap, np.where(bound > 0, round_up(bound, 2), 0.0)
