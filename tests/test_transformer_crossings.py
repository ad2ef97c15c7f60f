"""Crossings behind a LayerNorm: scaling and rotating a token, against signs in rationals and in floats."""

from __future__ import annotations

import warnings
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.errors import InputError
from polygeom.models.transformer import NormedMLP, angular_crossings, radial_crossings
from tests.test_transformer_block import random_block, rational_sign

small = st.integers(-3, 3).map(float)


def plain_block(W, b, eps=1.0) -> NormedMLP:
    W = np.asarray(W, dtype=float)
    d = W.shape[1]
    return NormedMLP(np.ones(d), np.zeros(d), eps, W, b, "gelu", np.ones((1, len(W))), [0])


@st.composite
def integer_rays(draw):
    """Small integers: thresholds coincide, pre-activations vanish, rows are constant."""
    d, m = draw(st.integers(2, 4)), draw(st.integers(1, 5))
    row = st.lists(small, min_size=d, max_size=d)
    W = draw(st.lists(row, min_size=m, max_size=m))
    b = draw(st.lists(small, min_size=m, max_size=m))
    x = np.array(draw(row.filter(lambda values: len(set(values)) > 1)))
    return plain_block(W, b, draw(st.sampled_from([0.0, 0.5, 1.0, 9.0]))), x


def scaled_sign(block, x, unit, square: Fraction) -> int:
    """The sign of a unit at t x, with t^2 given, by squares."""
    exact = [Fraction(v) for v in x]
    mean = sum(exact) / len(exact)
    along = sum(Fraction(w) * (v - mean) for w, v in zip(block.W_in[unit], exact, strict=True))
    variance = sum((v - mean) ** 2 for v in exact) / len(exact)
    height = -Fraction(block.b_in[unit])
    left = along * abs(along) * square
    right = height * abs(height) * (variance * square + Fraction(block.eps))
    return (left > right) - (left < right)


@given(integer_rays())
def test_radial_crossings_are_those_of_rationals(case):
    block, x = case
    hits = radial_crossings(block, x)
    squares = [hits.squared(i) for i in range(len(hits))]
    assert squares == sorted(set(squares))
    assert all(
        Fraction(a) ** 2 <= s <= Fraction(b) ** 2 for (a, b), s in zip(hits.bounds, squares, strict=True)
    )
    cuts = [Fraction(0), *squares, max(squares, default=Fraction(1)) * 4]
    between = [(a + b) / 2 for a, b in pairwise(cuts)]
    for i, square in enumerate(between):
        signs = [scaled_sign(block, x, unit, square) for unit in range(block.n_units)]
        assert hits.code(i).tolist() == [s > 0 for s in signs]
    for square, units in zip(squares, hits.units, strict=True):
        vanishing = [u for u in range(block.n_units) if scaled_sign(block, x, u, square) == 0]
        assert set(units) <= set(vanishing)
    far = [scaled_sign(block, x, unit, Fraction(10**30)) for unit in range(block.n_units)]
    assert hits.code(len(hits)).tolist() == [s > 0 for s in far]


@pytest.mark.parametrize("seed", range(5))
def test_radial_crossings_of_a_random_block_are_where_codes_change(seed):
    block = random_block(d=8, m=60, seed=seed, eps=0.5)
    x = np.random.default_rng(seed).standard_normal(8)
    hits = radial_crossings(block, x)
    assert 0 < len(hits) == hits.n_flips
    cuts = [0.5 * hits.t[0], *np.sqrt(hits.t[1:] * hits.t[:-1]), 2 * hits.t[-1]]
    codes = block.codes(np.multiply.outer(cuts, x)).letters
    assert (codes == [hits.code(i) for i in range(len(hits) + 1)]).all()
    assert hits.count(cuts[1], np.inf) == len(hits) - 1
    assert len(radial_crossings(block.with_eps(0), x)) == 0


def test_without_epsilon_no_row_is_taken_in_rationals(monkeypatch):
    """On a ray without thresholds there is nothing to decide."""
    block = random_block(eps=0.0)
    monkeypatch.setattr(type(block.folded), "exact", None)
    assert len(radial_crossings(block, np.random.default_rng(4).standard_normal(6))) == 0


@pytest.mark.parametrize("exponent", [-900, -538, 538, 900])
@pytest.mark.parametrize("what", ["rows", "token"])
def test_radial_crossings_of_any_scale(what, exponent):
    """A block scaled by a power of two crosses where it did; a token scaled down crosses at t scaled up."""
    block, token = random_block(), np.random.default_rng(4).standard_normal(6)
    block = replace(block, beta=np.zeros(6), b_in=np.random.default_rng(5).standard_normal(20))
    plain = radial_crossings(block, token)
    assert len(plain) > 2
    if what == "rows":
        block = replace(block, W_in=2.0**exponent * block.W_in, b_in=2.0**exponent * block.b_in)
    else:
        token = 2.0**exponent * token
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = radial_crossings(block, token)
    assert [u.tolist() for u in found.units] == [u.tolist() for u in plain.units]
    for i, (low, high) in enumerate(found.bounds):
        assert Fraction(low) ** 2 <= found.squared(i) <= Fraction(high) ** 2
        if found.t[i] > 2.0**-1000:
            assert high <= low * (1 + 2.0**-30)


def test_count_is_exact_at_its_ends():
    block = plain_block([[1, 0], [-1, 0]], [-0.5, 1.0], eps=0.75)
    hits = radial_crossings(block, [2, 0])  # thresholds (c^2 eps / (a^2 - c^2 v)): 1/2 and none
    assert hits.t.tolist() == [0.5]
    assert [hits.count(0, 0.5), hits.count(0.5, 1), hits.count(0, np.inf), hits.count(0.25, 1)] == [
        0,
        0,
        1,
        1,
    ]
    with pytest.raises(InputError, match="low <= high"):
        hits.count(1, 0.5)


def on_arc(block, u, v, theta) -> np.ndarray:
    """A point of the residual stream on the arc: Pu turned towards Pv by theta."""
    u, v = u - u.mean(), v - v.mean()
    e = v - (u @ v) / (u @ u) * u
    return np.cos(theta) * u + np.sin(theta) * np.linalg.norm(u) / np.linalg.norm(e) * e


@pytest.mark.parametrize("eps", [0.0, 2.0**-17, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_angular_crossings_are_where_codes_change(seed, eps):
    block = random_block(d=8, m=60, seed=seed, eps=eps)
    u, v = np.random.default_rng(seed).standard_normal((2, 8)) + 3.0
    arc = angular_crossings(block, u, v)
    assert len(arc) == arc.n_flips > 5
    cuts = [0.0, *(0.5 * (arc.theta[1:] + arc.theta[:-1])), arc.angle]
    codes = block.codes(np.array([on_arc(block, u, v, theta) for theta in cuts])).letters
    assert (codes == [arc.code(i) for i in range(len(arc) + 1)]).all()
    y = block.normalized(np.array([on_arc(block, u, v, theta) for theta in cuts]))
    np.testing.assert_allclose(arc.point(np.array(cuts)), y, atol=1e-12)


@st.composite
def integer_arcs(draw):
    block, u = draw(integer_rays())
    v = np.array(draw(st.lists(small, min_size=block.dim, max_size=block.dim)))
    return block, u, v


@given(integer_arcs())
def test_angular_crossings_of_small_integers(case):
    """Coincidences, touches, units on their boundary at an end: the codes between the boundaries are exact."""
    block, u, v = case
    first, second = u - u.mean(), v - v.mean()
    if not second.any() or abs(first @ second) ** 2 > (1 - 1e-9) * (first @ first) * (second @ second):
        with pytest.raises(InputError):
            angular_crossings(block, u, v)
        return
    arc = angular_crossings(block, u, v)
    ends = [rational_sign(block, u, i) for i in range(block.n_units)]
    assert set(np.flatnonzero(np.array(ends) == 0)) == set(arc.at_ends[0]) | set(arc.lying_on)
    cuts = np.array([0.0, *arc.theta, arc.angle])
    middles = 0.5 * (cuts[1:] + cuts[:-1])
    z = block.preactivations(np.array([on_arc(block, u, v, theta) for theta in middles]))
    sure = np.abs(z) > 1e-9
    codes = np.array([arc.code(i) for i in range(len(arc) + 1)])
    assert ((z > 0) == codes)[sure].all()
    for theta, units in arc:
        at = block.preactivations(on_arc(block, u, v, theta))
        np.testing.assert_allclose(at[units], 0.0, atol=1e-7)


def test_twenty_units_through_one_point_of_the_arc():
    """Different weights and biases, one rational crossing: an arc of radius sqrt(2) at 60 degrees."""
    # y = (1, -1, 0) turns towards (0, 1, -1); all units vanish at one y that is irrational in length
    rows = [[k, 0, 0] for k in range(1, 21)]
    block = plain_block(rows, [-k for k in range(1, 21)], eps=0.0)
    arc = angular_crossings(block, [2, -2, 0], [0, 3, -3])
    assert [len(units) for units in arc.units] == [20]


def test_tokens_without_a_direction_are_refused():
    block = random_block()
    x = np.arange(6.0)
    for u, v, told in (
        (np.ones(6), x, "u has equal"),
        (x, np.ones(6), "v has equal"),
        (x, 2 * x + 1, "same dir"),
    ):
        with pytest.raises(InputError, match=told):
            angular_crossings(block, u, v)
    with pytest.raises(InputError, match="equal entries"):
        radial_crossings(block, np.full(6, 3.0))
