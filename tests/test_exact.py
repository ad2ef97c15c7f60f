"""Scaled integer matrices compute as Fractions do."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from polygeom.exact import ScaledMatrix, fraction, rational_matrix

entries = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-3, 3).map(float))


@given(arrays(np.float64, (2, 3), elements=entries))
def test_floats_survive_the_round_trip(array: np.ndarray) -> None:
    exact = ScaledMatrix.from_floats(array)
    assert all(exact[i, j] == Fraction(array[i, j]) for i in range(2) for j in range(3))
    assert np.array_equal(exact.to_floats(), array + 0.0)


@given(arrays(np.float64, (2, 3), elements=entries), arrays(np.float64, (3, 2), elements=entries))
def test_products_and_sums_are_exact(left: np.ndarray, right: np.ndarray) -> None:
    product = ScaledMatrix.from_floats(left) @ ScaledMatrix.from_floats(right)
    total = ScaledMatrix.from_floats(left) + -ScaledMatrix.from_floats(right).T
    for i in range(2):
        for j in range(2):
            terms = (Fraction(left[i, k]) * Fraction(right[k, j]) for k in range(3))
            assert product[i, j] == sum(terms, Fraction(0))
        assert all(total[i, j] == Fraction(left[i, j]) - Fraction(right[j, i]) for j in range(3))


@given(st.lists(st.fractions(), min_size=1, max_size=4))
def test_rational_vectors_become_columns(values: list[Fraction]) -> None:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    column = rational_matrix(array)
    assert [fraction(v) for v in column.entries()] == values
