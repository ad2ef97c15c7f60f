"""Laws of the float interface: two solvers and the rationals agree, scaling does not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from polygeom.errors import InputError
from polygeom.lp import WarmLp, maximize
from polygeom.predicates.rational import maximize as maximize_exactly
from tests.test_rational import programs

METHODS = ("highs", "cvxpy")


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60)
@given(program=programs())
def test_solvers_agree_with_rationals(method, program):
    c, A, b = program
    proposed, judged = maximize(c, A, b, method), maximize_exactly(c, A, b)
    assert proposed.status == judged.status
    scale = 1 + np.abs(b).sum()
    if proposed.status == "optimal":
        assert proposed.value == pytest.approx(float(judged.value), abs=1e-5 * scale)
        assert (A @ proposed.point - b).max(initial=0) < 1e-5 * scale
        assert np.abs(proposed.multipliers @ A - c).max(initial=0) < 1e-5
    elif proposed.status == "infeasible":
        assert np.abs(proposed.multipliers @ A).max(initial=0) < 1e-5
        assert proposed.multipliers @ b < 0
    else:
        assert (A @ proposed.ray).max(initial=0) < 1e-5
        assert c @ proposed.ray > 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_rows_and_sizes_of_any_scale(method, scale):
    A, b = np.vstack([np.eye(2), -np.eye(2)]), np.full(4, scale)
    for rows in (1.0, 1e9, 1e-9):
        solution = maximize([1, 2], A * rows, b * rows, method)
        assert solution.value == pytest.approx(3 * scale, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_every_row_of_an_infeasible_pair_is_in_the_proof(method):
    solution = maximize([0], [[1], [-1]], [-1e-9, -1e-9], method)
    assert solution.status == "infeasible"
    assert (solution.multipliers > 0).all()


def test_warm_program_equals_a_fresh_one():
    rng = np.random.default_rng(5)
    A, b = rng.normal(size=(30, 6)), 1 + rng.random(30)
    warm = WarmLp(A, b)
    for row in range(30):
        warm.set_bound(row, b[row] + 1)
        raised = b.copy()
        raised[row] += 1
        assert warm.maximize(A[row]).value == pytest.approx(maximize(A[row], A, raised).value, rel=1e-9)
        warm.restore(row)
    assert warm.maximize(A[0]).value == pytest.approx(maximize(A[0], A, b).value, rel=1e-9)


def test_relaxing_until_unbounded_and_infeasible():
    warm = WarmLp([[1], [-1]], [1, 1])
    warm.relax(0)
    assert warm.maximize([1]).status == "unbounded"
    warm.set_bound(0, -2)
    infeasible = warm.maximize([1])
    assert infeasible.status == "infeasible"
    assert infeasible.multipliers @ [-2, 1] < 0
    warm.restore(0)
    assert warm.maximize([1]).value == 1


def test_wrong_input_is_named():
    with pytest.raises(InputError, match="method"):
        maximize([1], [[1]], [1], "simplex")
    with pytest.raises(InputError, match="objective"):
        maximize([1, 2], [[1]], [1])
    with pytest.raises(InputError, match="nan"):
        maximize([1], [[np.nan]], [1])
