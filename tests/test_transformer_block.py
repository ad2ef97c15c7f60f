"""NormedMLP: values against torch, codes and folded rows against rationals."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.errors import InputError
from polygeom.models.transformer import NormedMLP, turning_point
from polygeom.models.transformer.activations import ALIASES, apply
from polygeom.models.transformer.folded import Centered


def random_block(d=6, m=20, seed=0, activation="gelu_tanh", eps=2.0**-17) -> NormedMLP:
    rng = np.random.default_rng(seed)
    gain, shift = 1 + 0.3 * rng.standard_normal(d), 0.3 * rng.standard_normal(d)
    W, b = rng.standard_normal((m, d)), 0.5 * rng.standard_normal(m)
    return NormedMLP(gain, shift, eps, W, b, activation, rng.standard_normal((d, m)), rng.standard_normal(d))


def rational_sign(block: NormedMLP, x: np.ndarray, unit: int) -> int:
    """The sign of one pre-activation, with Fractions and squares only."""
    d = block.dim
    x = [Fraction(float(v)) for v in x]
    mean = sum(x) / d
    g = [Fraction(float(a)) * Fraction(float(b)) for a, b in zip(block.gamma, block.W_in[unit], strict=True)]
    along = sum(a * (v - mean) for a, v in zip(g, x, strict=True))
    height = Fraction(float(block.b_in[unit]))
    height += sum(
        Fraction(float(a)) * Fraction(float(b)) for a, b in zip(block.W_in[unit], block.beta, strict=True)
    )
    square = sum((v - mean) ** 2 for v in x) / d + Fraction(block.eps)
    left, right = along * abs(along), -height * abs(height) * square
    return (left > right) - (left < right)


small = st.integers(-3, 3).map(float)


@st.composite
def integer_blocks(draw):
    """Small integers, so that signs vanish often; and a point."""
    d, m = draw(st.integers(2, 4)), draw(st.integers(1, 4))
    row = st.lists(small, min_size=d, max_size=d)
    W = draw(st.lists(row, min_size=m, max_size=m))
    b = draw(st.lists(small, min_size=m, max_size=m))
    eps = draw(st.sampled_from([0.0, 0.25, 1.0, 8.0]))
    block = NormedMLP(draw(row), draw(row), eps, W, b, "relu", np.ones((1, m)), [0])
    x = np.array(draw(row))
    return block, (x + np.arange(d) if eps == 0 and (x == x[0]).all() else x)


@given(integer_blocks())
def test_signs_are_those_of_rationals(case):
    block, x = case
    expected = [rational_sign(block, x, i) for i in range(block.n_units)]
    assert block.signs(x)[0].tolist() == expected
    assert block.codes(x).letters[0].tolist() == [s > 0 for s in expected]


@given(st.integers(0, 2**32 - 1), st.floats(-8, 8), st.floats(-12, 3))
def test_bounds_hold_for_rows_and_points(seed, offset, exponent):
    """Folded rows, offsets and products lie within their bounds of the rational ones, means large or small."""
    block = random_block(seed=seed)
    rng = np.random.default_rng(seed)
    x = 10.0**offset * (rng.standard_normal() + 10.0**exponent * rng.standard_normal(block.dim))
    folded = block.folded
    rows, offsets = folded.exact(np.arange(block.n_units))
    exact = np.array([[Fraction(int(v.p), int(v.q)) for v in row] for row in rows.table()])
    apart = [
        sum((Fraction(float(w)) - v) ** 2 for w, v in zip(*pair, strict=True))
        for pair in zip(folded.weights, exact, strict=True)
    ]
    assert all(gap <= Fraction(float(e)) ** 2 for gap, e in zip(apart, folded.weight_errors, strict=True))
    squares = [sum(v * v for v in row) for row in exact]
    low, high = folded.sizes
    assert all(
        Fraction(float(a)) ** 2 <= s <= Fraction(float(b)) ** 2
        for a, s, b in zip(low, squares, high, strict=True)
    )
    gaps = [
        abs(Fraction(float(c)) - Fraction(int(v.p), int(v.q)))
        for c, v in zip(folded.offsets, offsets.entries(), strict=True)
    ]
    assert all(gap <= Fraction(float(e)) for gap, e in zip(gaps, folded.offset_errors, strict=True))
    point = [Fraction(float(v)) for v in x]
    centered = Centered.of(x[None], block.eps)
    along, errors = folded.along(centered)
    for row, value, error in zip(exact, along[0], errors[0], strict=True):
        true = sum(w * v for w, v in zip(row, point, strict=True))
        assert abs(true - Fraction(float(value))) <= Fraction(float(error))
    mean = sum(point) / block.dim
    square = sum((v - mean) ** 2 for v in point) / block.dim + Fraction(block.eps)
    root, error = (Fraction(float(v[0])) for v in (centered.root, centered.root_error))
    assert max(root - error, 0) ** 2 <= square <= (root + error) ** 2


@pytest.mark.parametrize("activation", sorted(ALIASES))
def test_values_are_those_of_torch(activation):
    torch = pytest.importorskip("torch")
    block = random_block(activation=activation)
    x = np.random.default_rng(1).standard_normal((5, block.dim))
    y = torch.nn.functional.layer_norm(
        torch.tensor(x), (block.dim,), torch.tensor(block.gamma), torch.tensor(block.beta), block.eps
    )
    z = y @ torch.tensor(block.W_in).T + torch.tensor(block.b_in)
    form = {"gelu_tanh": "tanh", "gelu_erf": "none"}.get(block.activation)
    hidden = torch.relu(z) if form is None else torch.nn.functional.gelu(z, approximate=form)
    out = hidden @ torch.tensor(block.W_out).T + torch.tensor(block.b_out)
    np.testing.assert_allclose(block(x), out.numpy(), rtol=0, atol=1e-12)
    assert (block.codes(x).letters == (z.numpy() > 0)).all()
    assert (block.codes(x).packed == np.packbits(z.numpy() > 0, axis=1)).all()


@pytest.mark.parametrize("form", ["gelu_tanh", "gelu_erf"])
def test_gelu_turns_between_neighboring_floats(form):
    """Below the interval it falls, above it rises: seen in floats on a grid that leaves out the flat middle."""
    low, high = turning_point(form)
    assert high == np.nextafter(low, 0)
    falling, rising = np.linspace(-6, low - 1e-3, 500), np.linspace(high + 1e-3, 6, 500)
    assert (np.diff(apply(form, falling)) < 0).all()
    assert (np.diff(apply(form, rising)) > 0).all()


@pytest.mark.parametrize("exponent", [-1000, -600, 600, 1000])
def test_tokens_of_any_scale_are_normalized(exponent):
    """Squares of a token under- and overflow; what LayerNorm makes of it does not."""
    block, x = random_block(eps=0.0), np.random.default_rng(1).standard_normal(6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(block.normalized(2.0**exponent * x), block.normalized(x))
        assert np.array_equal(block.codes(2.0**exponent * x).letters, block.codes(x).letters)


def test_equal_entries_are_normalized_to_zero_whatever_epsilon():
    for eps in (5e-324, 2.0**-200, 1.0):
        assert not random_block(eps=eps).normalized(np.full(6, 0.1)).any()


def test_wrong_input_is_refused():
    good = {
        "gamma": [1, 1],
        "beta": [0, 0],
        "eps": 0,
        "W_in": [[1, 0]],
        "b_in": [0],
        "activation": "relu",
        "W_out": [[1]],
        "b_out": [0],
    }
    for name, value, told in (
        ("gamma", [1], "gamma has shape"),
        ("eps", -1, "eps is -1"),
        ("eps", float("nan"), "eps holds nan"),
        ("W_in", [[1]], "two coordinates"),
        ("W_out", [[1, 1]], "W_out has shape"),
        ("activation", "swiglu", "known are"),
        ("b_in", [np.inf], "b_in holds inf"),
    ):
        with pytest.raises(InputError, match=told):
            NormedMLP(**{**good, name: value})
    with pytest.raises(InputError, match="equal entries"):
        NormedMLP(**good).codes([2, 2])
    with pytest.raises(InputError, match="does not turn"):
        turning_point("relu")


def test_half_precision_is_taken_exactly():
    rng = np.random.default_rng(0)
    W = rng.standard_normal((4, 3)).astype(np.float16)
    block = NormedMLP(np.ones(3, np.float32), np.zeros(3), 1.0, W, np.zeros(4), "relu", W.T, np.zeros(3))
    assert (block.W_in == W).all()
    assert block.W_in.dtype == np.float64
