"""Networks: evaluation, rounding bounds and rational arithmetic against Fractions; shapes and bad input."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.affine import AffineMap
from polygeom.enclosures import enclose, enclose_adjoint, enclose_directions, enclose_pass
from polygeom.errors import InputError, TooLargeError
from polygeom.gates import elementwise_gate
from polygeom.network import Network
from polygeom.pieces import spline_codes
from tests.oracles import exact_walk
from tests.strategies import any_networks, points


@given(st.data())
def test_enclosures_hold(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x = data.draw(points(net.dim_in))
    value, error = enclose(net, x[None])
    exact, _ = exact_walk(net, x)
    assert np.array_equal(value[0], net(x))
    assert all(abs(Fraction(v) - t) <= Fraction(e) for v, e, t in zip(value[0], error[0], exact, strict=True))


@given(st.data())
def test_codes_are_exact(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x = data.draw(points(net.dim_in))
    codes = spline_codes(net, x)
    assert not codes.undecided.any()
    assert np.array_equal(codes.letters[0], exact_walk(net, x)[1])


@given(st.data())
def test_rational_networks_agree_with_fractions(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x = data.draw(points(net.dim_in))
    exact, letters = exact_walk(net, x)
    rational = net.exact()
    assert rational(x) == exact
    assert np.array_equal(rational.letters(rational.point(x)), letters)


@given(st.data())
def test_decided_letters_survive_a_perturbation_within_their_bounds(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x = data.draw(points(net.dim_in))
    error = np.full((1, net.dim_in), 2.0**-30)
    seen = enclose_pass(net, x[None], error=error)
    corner = x + 2.0**-30 * np.sign(np.random.default_rng(0).standard_normal(net.dim_in))
    letters = exact_walk(net, corner)[1]
    decided = ~seen.undecided[0]
    assert np.array_equal(letters[decided], seen.letters[0][decided])


@given(st.data())
def test_derivatives_and_their_adjoints_agree(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x, v = data.draw(points(net.dim_in)), data.draw(points(net.dim_in))
    code = spline_codes(net, x).letters[0]
    output, _ = enclose_directions(net, code, v[None])
    exact = net.exact().affine_map(code)[0]
    seed = np.eye(net.dim_out).reshape(net.dim_out, *net.output_shape)
    rows, rows_error = enclose_adjoint(net, code, net.output, seed)
    for i in range(net.dim_out):
        true = [exact[i, j] for j in range(net.dim_in)]
        moved = sum((a * Fraction(float(b)) for a, b in zip(true, v, strict=True)), Fraction(0))
        value, error = output.value.reshape(-1)[i], output.error.reshape(-1)[i]
        assert abs(Fraction(float(value)) - moved) <= Fraction(float(error))
        assert all(
            abs(Fraction(r) - t) <= Fraction(e) for r, e, t in zip(rows[i], rows_error[i], true, strict=True)
        )


def test_inputs_in_every_accepted_shape() -> None:
    net = Network.from_layers([(np.ones((2, 3)), None)])
    assert net([1, 2, 3]).shape == (2,)
    assert net(np.ones((4, 3))).shape == (4, 2)
    for wrong in (np.ones(2), np.ones((4, 2)), np.ones((1, 4, 3))):
        with pytest.raises(InputError, match="wanted"):
            net(wrong)
    with pytest.raises(InputError, match="nan"):
        net([1, np.nan, 0])


@pytest.mark.parametrize(
    ("layers", "activation", "said"),
    [
        ([], "relu", "no layers"),
        ([(np.ones((2, 3)), [0, 0]), (np.ones((1, 3)), [0])], "relu", "3 columns, but 2 values"),
        ([(np.ones((2, 3)), [0])], "relu", "wanted \\(2,\\)"),
        ([(np.ones((2, 3)), [0, np.inf])], "relu", "inf"),
        ([(np.ones((2, 3)), [0, 0])], "swish", "Unknown activation"),
    ],
)
def test_bad_layers_are_refused(layers: list, activation: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Network.from_layers(layers, activation)


def test_clamp_bounds_in_the_wrong_order() -> None:
    with pytest.raises(InputError, match="wrong order"):
        elementwise_gate("clamp", 1.0, 0.0)


def test_units_are_named() -> None:
    net = Network.from_layers([(np.ones((2, 3)), None), (np.ones((4, 2)), None), (np.ones((1, 4)), None)])
    assert [net.units[i].path for i in (0, 1, 2, 5)] == ["0.gate", "0.gate", "1.gate", "1.gate"]
    assert net.units[5].channel == 3
    with pytest.raises(InputError, match="does not exist"):
        net.units[6]


def test_rational_arithmetic_has_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polygeom.rational_network.BUDGET", 5)
    net = Network.from_layers([(np.ones((2, 3)), None)])
    assert not net.exact().is_feasible
    with pytest.raises(TooLargeError, match="6 matrix entries"):
        net.exact()([1, 2, 3])


@given(st.data())
def test_affine_maps_compose(data: st.DataObject) -> None:
    a, b = (data.draw(points(3)) for _ in range(2))
    outer, inner = AffineMap.through(a, b, a + b), AffineMap(np.array([[1.0], [2.0]]), np.zeros(2))
    w = data.draw(points(1))
    assert outer.compose(inner)(w) == pytest.approx(outer(inner(w)))
    assert np.array_equal(AffineMap.segment(a, b)(0.0), a)


def test_affine_maps_refuse_what_does_not_fit() -> None:
    with pytest.raises(InputError, match="at least two points"):
        AffineMap.through([1, 2])
    with pytest.raises(InputError, match="must agree"):
        AffineMap.segment([1], [1, 2])
    with pytest.raises(InputError, match="Cannot compose"):
        AffineMap.identity(2).compose(AffineMap.identity(3))
