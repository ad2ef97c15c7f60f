"""Laws of the exact linear program: every answer proves itself by weak duality, Farkas or a ray."""

from __future__ import annotations

from fractions import Fraction

import flint
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from polygeom import lp
from polygeom.exact import fractions_array, rational_matrix
from polygeom.predicates.rational import RationalLp, independent_columns, maximize

SMALL = st.integers(-3, 3).map(float)


@st.composite
def programs(draw, max_dim=4, max_rows=9):
    """Degenerate programs: small integers, zero and repeated rows, m = 0, d = 0, empty and unbounded sets."""
    d, m = draw(st.integers(0, max_dim)), draw(st.integers(0, max_rows))
    A = draw(arrays(np.float64, (m, d), elements=SMALL))
    b = draw(arrays(np.float64, m, elements=SMALL))
    return draw(arrays(np.float64, d, elements=SMALL)), A, b


def exact(array):
    shape = np.shape(array)
    return fractions_array(np.ravel(array).tolist()).reshape(shape)


def assert_proves_itself(solution, c, A, b):
    """Check an exact LP answer by its own certificate, in Fractions only."""
    c, A, b = exact(c), exact(A), exact(b)
    if solution.status == "infeasible":
        farkas = solution.multipliers
        assert all(v >= 0 for v in farkas)
        assert all(v == 0 for v in farkas @ A)
        assert farkas @ b < 0
        return
    assert all(v >= 0 for v in b - A @ solution.point)
    if solution.status == "unbounded":
        assert all(v <= 0 for v in A @ solution.ray)
        assert c @ solution.ray > 0
        return
    assert solution.status == "optimal"
    assert all(v >= 0 for v in solution.multipliers)
    assert all(v == 0 for v in solution.multipliers @ A - c)
    assert solution.value == c @ solution.point == solution.multipliers @ b


@given(programs())
@example((np.zeros(0), np.zeros((2, 0)), np.array([0.0, -1.0])))
@example((np.ones(2), np.zeros((0, 2)), np.zeros(0)))
def test_every_answer_proves_itself(program):
    c, A, b = program
    assert_proves_itself(maximize(c, A, b), c, A, b)


@given(programs(), st.lists(st.integers(0, 8), max_size=6))
def test_any_hint_leads_to_the_same_value(program, hint):
    c, A, b = program
    warm = maximize(c, A, b, [i for i in hint if i < len(b)])
    assert_proves_itself(warm, c, A, b)
    cold = maximize(c, A, b)
    assert (warm.status, warm.value) == (cold.status, cold.value)


@given(programs(), st.integers(-60, 60))
def test_positive_row_scaling_changes_nothing_but_the_multipliers(program, exponent):
    c, A, b = program
    scale = np.where(np.arange(len(b)) % 2 == 0, 2.0**exponent, 1e9)
    before, after = maximize(c, A, b), maximize(c, A * scale[:, None], b * scale)
    assert (before.status, before.value) == (after.status, after.value)
    assert_proves_itself(after, c, A * scale[:, None], b * scale)


@given(programs(), st.integers(2, 7))
def test_fractions_and_fmpq_are_the_same_program(program, divisor):
    c, A, b = program
    third = Fraction(1, divisor)
    by_fractions = maximize(exact(c) * third, exact(A) * third, exact(b) * third)
    by_fmpq = maximize(
        rational_matrix(c) / divisor,
        rational_matrix(A) / divisor,
        rational_matrix(b.reshape(-1, 1)) / divisor,
    )
    assert (by_fractions.status, by_fractions.value) == (by_fmpq.status, by_fmpq.value)
    assert_proves_itself(by_fractions, exact(c) * third, exact(A) * third, exact(b) * third)


@pytest.mark.parametrize(("m", "d"), [(12, 3), (50, 10), (60, 25)])
def test_the_float_basis_is_confirmed_without_a_step(m, d):
    rng = np.random.default_rng(m)
    A, b, c = rng.normal(size=(m, d)), 1 + rng.random(m), rng.normal(size=d)
    proposal = lp.maximize(c, A, b)
    judged = maximize(c, A, b, proposal.basis)
    assert set(judged.basis) == set(proposal.basis)
    assert_proves_itself(judged, c, A, b)


def test_cycling_example_of_beale_ends():
    """Beale's example, on which the largest-coefficient rule cycles; its maximum is 1/20."""
    rows = [[0.25, -60, -0.04, 9], [0.5, -90, -0.02, 3], [0, 0, 1, 0]]
    A = np.vstack([np.array(rows), -np.eye(4)])
    b = np.array([0, 0, 1, 0, 0, 0, 0], dtype=float)
    exact_A = exact(A)
    exact_A[0, 2], exact_A[1, 2] = Fraction(-1, 25), Fraction(-1, 50)
    c = fractions_array([Fraction(3, 4), -150, Fraction(1, 50), -6])
    solution = maximize(c, exact_A, exact(b), [3, 4, 5, 6])
    assert solution.value == Fraction(1, 20)
    assert_proves_itself(solution, c, exact_A, exact(b))


def test_entries_of_extreme_size_stay_exact():
    A = np.array([[2.0**-1000, 1.0], [-1.0, 0.0], [1.0, 2.0**1000]])
    b = np.array([1.0, -(2.0**900), 2.0**-1074])
    c = np.array([1.0, 0.0])
    assert_proves_itself(maximize(c, A, b), c, A, b)


@given(st.integers(0, 4).flatmap(lambda n: arrays(np.int64, (n, 5), elements=st.integers(-2, 2))))
def test_independent_columns_are_a_basis(matrix):
    exact_matrix = flint.fmpz_mat(*matrix.shape, matrix.ravel().tolist())
    chosen = independent_columns(exact_matrix)
    rank = np.linalg.matrix_rank(matrix) if matrix.size else 0
    assert len(chosen) == rank
    if chosen:
        assert np.linalg.matrix_rank(matrix[:, chosen]) == rank


def test_columns_dependent_modulo_the_first_prime_only():
    prime = 2**61 - 1
    assert independent_columns(flint.fmpz_mat(2, 2, [prime, 0, 0, 1])) == [0, 1]


def test_one_program_many_objectives():
    cube = RationalLp(np.vstack([np.eye(3), -np.eye(3)]), np.ones(6))
    assert [cube.maximize(row).value for row in np.eye(3)] == [1, 1, 1]
    assert cube.rank == 3
