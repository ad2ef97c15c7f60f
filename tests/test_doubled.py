"""Doubled precision against rationals: every value within its bound, every decided letter right."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.doubled import (
    Doubled,
    double_directions,
    double_linear,
    double_pass,
)
from polygeom.enclosures import enclose_pass
from polygeom.error_free import doubled_difference, two_product, two_sum
from polygeom.exact import ScaledMatrix
from polygeom.network import Network
from polygeom.steps import Gather, LinearStep
from polygeom.testing import any_networks, points
from tests.oracles import exact_walk
from tests.test_steps import KINDS

SMALL = st.floats(-(2.0**300), 2.0**300).filter(lambda a: a == 0 or abs(a) > 2.0**-300)


def _exact(state: Doubled, i: int) -> tuple[Fraction, Fraction]:
    """Return entry i of the first point, and its error bound."""
    value, rest, error = (a[0].ravel()[i] for a in (state.value, state.rest, state.error))
    return Fraction(float(value)) + Fraction(float(rest)), Fraction(float(error))


def _assert_within(state: Doubled, exact: list[Fraction]) -> None:
    for i, true in enumerate(exact):
        if np.isfinite(state.error[0].ravel()[i]):
            value, error = _exact(state, i)
            assert abs(value - true) <= error


@given(SMALL, SMALL)
def test_sums_and_products_lose_nothing(a: float, b: float) -> None:
    for transform, exact in ((two_sum, Fraction(a) + Fraction(b)), (two_product, Fraction(a) * Fraction(b))):
        value, rest = transform(np.array([a]), np.array([b]))
        assert Fraction(float(value[0])) + Fraction(float(rest[0])) == exact
        assert value[0] == float(exact)


@given(st.tuples(SMALL, SMALL), st.tuples(SMALL, SMALL))
def test_differences_know_their_rounding(left: tuple[float, float], right: tuple[float, float]) -> None:
    one, other = (two_sum(*(np.array([a]) for a in pair)) for pair in (left, right))
    gap, bound = doubled_difference(one, other)
    exact = sum(map(Fraction, left)) - sum(map(Fraction, right))
    assert abs(Fraction(float(gap[0])) - exact) <= Fraction(float(bound[0]))


@given(st.data())
def test_values_and_letters_agree_with_rationals(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x = data.draw(points(net.dim_in))
    seen = double_pass(net, x[None])
    output, letters = exact_walk(net, x)
    _assert_within(seen.output, output)
    decided = ~seen.undecided[0]
    assert np.array_equal(seen.letters[0][decided], letters[decided])


@given(st.data())
def test_derivatives_agree_with_rationals(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x, v = data.draw(points(net.dim_in)), data.draw(points(net.dim_in))
    letters = exact_walk(net, x)[1]
    slope, _ = double_directions(net, letters, v[None])
    matrix, _ = net.exact().affine_map(letters)
    exact = (matrix.to_rational() * ScaledMatrix.from_floats(v.reshape(-1, 1)).to_rational()).entries()
    _assert_within(slope, [Fraction(int(a.p), int(a.q)) for a in exact])


def _exact_step(step: LinearStep, numbers: list[list[Fraction]]) -> list[Fraction]:
    """Return L(numbers) + constant from the matrices of the step."""
    total = [Fraction(0)] * step.size
    for matrix, entries in zip(step.matrices(), numbers, strict=True):
        for i, row in enumerate(matrix):
            total[i] += sum(Fraction(float(a)) * x for a, x in zip(row, entries, strict=True) if a)
    divisors = step.divisors()
    constant = np.broadcast_to(0.0 if step.constant is None else step.constant, step.shape).ravel()
    return [
        t / (1 if divisors is None else int(divisors[i])) + Fraction(float(constant[i]))
        for i, t in enumerate(total)
    ]


@given(st.data(), st.sampled_from(KINDS), st.sampled_from([40, 64, 96]), st.booleans())
def test_every_linear_step_errs_by_no_more_than_its_bound(
    data: st.DataObject, make: object, bits: int, spread: bool
) -> None:
    step = make(data.draw)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    states, numbers = [], []
    for shape in step.shapes:
        value = rng.standard_normal((1, *shape)) * 2.0 ** (rng.integers(-60, 60, shape) if spread else 0)
        rest = value * rng.uniform(-(2.0**-54), 2.0**-54, shape)
        states.append(Doubled(*two_sum(value, rest), np.zeros_like(value)))
        numbers.append([_exact(states[-1], i)[0] for i in range(value[0].size)])
    made = double_linear(step, *states, bits=bits)
    exact = _exact_step(step, numbers)
    _assert_within(made, exact)
    # the bound is what the bits promise: relative to the largest product, and no more than the terms times that
    largest = max(float(abs(x)) for row in numbers for x in row)
    weight = 1.0 if step.entries is None else float(np.abs(step.entries).max(initial=0.0))
    constant = 0.0 if step.constant is None else float(np.abs(step.constant).max(initial=0.0))
    promised = 8 * (step.terms + 1) * 2.0 ** (2 - min(bits, 96)) * (largest * max(weight, 1.0) + constant)
    assert (made.error <= promised).all()


def test_what_floats_leave_open_is_decided() -> None:
    rng = np.random.default_rng(3)
    layers = [(rng.standard_normal((m, n)), rng.standard_normal(m)) for n, m in ((6, 40), (40, 40), (40, 1))]
    net = Network.from_layers([(W / np.sqrt(W.shape[1]), b) for W, b in layers])
    x = rng.standard_normal(6)
    # put the pre-activation of one unit of the second layer as near to 0 as a float bias can
    value = float(net.exact().arrivals(net.exact().point(x), exact_walk(net, x)[1])[1].to_rational()[0, 0])
    second = net.steps[2]
    constant = second.constant.copy()
    constant[0] -= value
    close = Network((*net.steps[:2], replace(second, constant=constant), *net.steps[3:]), net.input_shape)
    assert enclose_pass(close, x[None]).undecided.any()
    seen = double_pass(close, x[None])
    assert not seen.undecided.any()
    assert np.array_equal(seen.letters[0], exact_walk(close, x)[1])


def test_exact_zeros_stay_exact_and_overflow_is_unknown() -> None:
    net = Network.from_layers([([[1.0], [1.0]], [-1.0, -2.0]), ([[1.0, 1.0]], [0.0]), ([[1.0]], [0.5])])
    seen = double_pass(net, np.array([[0.0]]))
    assert not seen.undecided.any()
    assert seen.output.value == 0.5
    assert seen.output.error == 0
    huge = double_pass(Network.from_layers([([[1e300]], [0.0])]), np.array([[1e300]]))
    assert np.isinf(huge.output.error).all()


@pytest.mark.parametrize("constant", [None, np.array([2.0, 0.0])])
def test_moved_entries_keep_both_parts(constant: np.ndarray | None) -> None:
    state = Doubled(np.array([[1.0, 3.0]]), np.array([[2.0**-60, 0.0]]), np.zeros((1, 2)))
    swap = Gather(inputs=(0,), shapes=((2,),), shape=(2,), index=np.array([1, 0]), constant=constant)
    moved = double_linear(swap, state)
    expected = [Fraction(3) + (0 if constant is None else 2), 1 + Fraction(1, 2**60)]
    assert [_exact(moved, i)[0] for i in range(2)] == expected
