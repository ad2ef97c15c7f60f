"""Every rounding bound holds against rationals, underflow included."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polygeom.rounding import TINY, U, dot_error, gamma, round_up, smallest_nonzero

floats = st.one_of(
    st.floats(-1e10, 1e10), st.floats(-1e-300, 1e-300), st.floats(min_value=-1e150, max_value=1e150)
)


@given(st.integers(1, 10**6))
def test_gamma_is_an_upper_bound(n: int) -> None:
    u = Fraction(U)
    assert Fraction(gamma(n)) >= n * u / (1 - n * u)


def test_gamma_refuses_sums_too_long_for_a_bound() -> None:
    with pytest.raises(OverflowError):
        gamma(2**52)


@given(st.lists(st.tuples(floats, floats), min_size=1, max_size=30))
@example([(1e-200, 1e-200), (1.0, 0.0)])
@example([(TINY, 0.5), (TINY, 0.25)])
def test_dot_error_covers_inner_products(pairs: list[tuple[float, float]]) -> None:
    x, y = (np.array(v) for v in zip(*pairs, strict=True))
    computed, magnitude = float(x @ y), float(np.abs(x) @ np.abs(y))
    exact = sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0))
    products = smallest_nonzero(x) * smallest_nonzero(y)
    assert abs(Fraction(computed) - exact) <= Fraction(float(dot_error(magnitude, len(pairs), products)))


@given(st.lists(st.floats(0, 1e10), min_size=1, max_size=30))
def test_round_up_bounds_sums_of_non_negative_terms(terms: list[float]) -> None:
    total = float(np.sum(terms))
    assert Fraction(float(round_up(total, len(terms)))) >= sum(map(Fraction, terms))
