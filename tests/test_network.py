"""Networks: evaluation, rounding bounds and rational arithmetic against Fractions; shapes and bad input."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from polygeom.affine import AffineMap
from polygeom.codes import SplineCodes
from polygeom.enclosures import enclose, enclose_adjoint, enclose_directions, enclose_pass
from polygeom.errors import InputError, TooLargeError
from polygeom.gates import elementwise_gate
from polygeom.network import Network
from polygeom.pieces import spline_codes
from polygeom.testing import any_networks, points
from tests.oracles import exact_walk, within


@given(st.data())
def test_enclosures_hold(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x = data.draw(points(net.dim_in))
    value, error = enclose(net, x[None])
    assume(np.isfinite(value).all() and np.isfinite(error).all())  # an overflow encloses nothing
    exact, _ = exact_walk(net, x)
    if np.isfinite(error).all():
        assert np.array_equal(value[0], net(x))
    assert all(within(v, e, t) for v, e, t in zip(value[0], error[0], exact, strict=True))


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
        assert within(output.value.reshape(-1)[i], output.error.reshape(-1)[i], moved)
        assert all(within(r, e, t) for r, e, t in zip(rows[i], rows_error[i], true, strict=True))


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


ONE = ([[1.0]], [0.0])


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (None, "got None, wanted a sequence of"),
        ([[[[1]]]], "Layer 1 is a list of 1, wanted"),
        ([ONE, 3], "Layer 2 is of type int, wanted"),
        ("ab", "Layer 1 is of type str, wanted"),
    ],
)
def test_what_is_no_sequence_of_pairs_is_refused(layers: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Network.from_layers(layers)


@pytest.mark.parametrize(
    ("activation", "said"),
    [
        (("clamp", "a", "b"), "bound low of clamp has dtype"),
        (("clamp", 1, 2, 3), "clamp got 3 parameters, wanted 2"),
        (("clamp",), "clamp got 0 parameters"),
        (("relu", 0.5), "relu got 1 parameters, wanted 0"),
        (("leaky_relu", np.nan), "slope of leaky_relu holds nan"),
        (("leaky_relu", np.inf), "slope of leaky_relu holds inf"),
        (("clamp", np.inf, None), "bound low of clamp holds inf"),
        (("clamp", -np.inf, np.inf), "at least one bound that is finite"),
        (("clamp", [0, 1], [1, 2, 3]), r"shapes \(2,\) and \(3,\)"),
        (("prelu", [1, 2, 3]), r"prelu in module '0\.gate' have shape \(3,\), wanted .* shape \(1,\)"),
        ((["relu"],), "Unknown activation"),
    ],
)
def test_parameters_that_do_not_fit_their_unit_are_refused(activation: tuple, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Network.from_layers([ONE, ONE], *activation)


def test_an_infinite_bound_is_no_bound() -> None:
    below = Network.from_layers([ONE, ONE], "clamp", 0, np.inf)
    above = Network.from_layers([ONE, ONE], "clamp", np.full(1, -np.inf), 2)
    assert np.array_equal(below([[-3], [5]]), [[0], [5]])
    assert np.array_equal(above([[-3], [5]]), [[-3], [2]])
    assert [len(net.gates[0].breakpoints) for net in (below, above)] == [1, 1]


def test_no_rows_and_no_coordinates_are_evaluated() -> None:
    net = Network.from_layers([(np.ones((3, 2)), None), (np.ones((1, 3)), None)])
    assert net(np.zeros((0, 2))).shape == (0, 1)
    assert net.shaped(np.zeros((0, 2)))[0].shape == (0, 2)
    constant = Network.from_layers([(np.zeros((2, 0)), [1, 2]), (np.eye(2), None)])
    assert np.array_equal(constant(np.zeros((3, 0))), [[1, 2]] * 3)
    assert np.array_equal(constant(np.zeros(0)), [1, 2])
    assert constant(np.zeros((0, 0))).shape == (0, 2)


@pytest.mark.parametrize(
    ("layers", "activation"),
    [
        ([([[10, -10]], [0])], "relu"),
        ([([[10]], [0]), ONE], "relu6"),  # the true value is 6, but the float on the way is infinite
        ([ONE, ([[10]], [0]), ([[0]], [0])], "relu"),
    ],
)
def test_an_overflow_is_refused_even_where_a_later_unit_would_hide_it(layers: list, activation: str) -> None:
    net = Network.from_layers(layers, activation)
    fine = np.ones(net.dim_in)
    with pytest.raises(InputError, match=r"At input 1 a value of module '\d' overflows float64"):
        net([fine, 1e308 * fine])
    assert np.isfinite(net(fine)).all()


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
    a, b = (data.draw(points(3).filter(lambda p: np.abs(p).max() < 1e100)) for _ in range(2))
    assume(max(np.abs(a).max(), np.abs(b).max()) < 1e100)
    outer, inner = AffineMap.through(a, b, a + b), AffineMap(np.array([[1.0], [2.0]]), np.zeros(2))
    w = data.draw(points(1).filter(lambda p: np.abs(p).max() < 1e100))
    assert outer.compose(inner)(w) == pytest.approx(outer(inner(w)))
    assert np.array_equal(AffineMap.segment(a, b)(0.0), a)


def test_affine_maps_refuse_what_does_not_fit() -> None:
    with pytest.raises(InputError, match="at least two points"):
        AffineMap.through([1, 2])
    with pytest.raises(InputError, match="must agree"):
        AffineMap.segment([1], [1, 2])
    with pytest.raises(InputError, match="Cannot compose"):
        AffineMap.identity(2).compose(AffineMap.identity(3))
    with pytest.raises(InputError, match="got a NoneType, wanted the AffineMap"):
        AffineMap.identity(2).compose(None)


@pytest.mark.parametrize("dim", [-1, 2.0, None])
def test_a_dimension_is_a_natural_number(dim: object) -> None:
    with pytest.raises(InputError, match="wanted a non-negative integer"):
        AffineMap.identity(dim)


def test_affine_maps_do_not_overflow_in_silence() -> None:
    steep = AffineMap.segment([0], [1e308])
    with pytest.raises(InputError, match="overflows"):
        steep(10)
    for make in (
        lambda: AffineMap.segment([-1e308], [1e308]),
        lambda: AffineMap.through([-1e308], [1e308]),
        lambda: steep.compose(steep),
    ):
        with pytest.raises(InputError, match="matrix holds inf"):
            make()


# -- codes -----------------------------------------------------------------------------------------------------


@given(st.data())
def test_packed_codes_are_the_codes(data: st.DataObject) -> None:
    """Packing loses nothing: the letters come back, and rows are equal exactly when their bytes are."""
    rows, units, letters = (data.draw(st.integers(*ends)) for ends in ((0, 6), (0, 19), (1, 400)))
    dtype = np.min_scalar_type(letters - 1)
    drawn = np.random.default_rng(data.draw(st.integers(0, 2**16))).integers(0, letters, (rows, units))
    codes = SplineCodes(np.concatenate([drawn, drawn[:2]]).astype(dtype))
    packed = codes.packed
    assert packed.dtype == np.uint8
    if codes.letters.max(initial=0) <= 1:
        assert packed.shape == (len(codes), -(-units // 8))
        assert np.array_equal(np.unpackbits(packed, axis=1, count=units), codes.letters)
    else:
        assert np.array_equal(packed.view(dtype), codes.letters)
    same = np.array([[p.tobytes() == q.tobytes() for q in packed] for p in packed], dtype=bool)
    assert np.array_equal(same.reshape(len(codes), len(codes)), codes.hamming() == 0)


@given(st.data())
def test_hamming_distances_count_the_differing_letters(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    left, right = (rng.integers(0, 3, (data.draw(st.integers(0, 4)), 5)).astype(np.uint8) for _ in range(2))
    counted = [[sum(a != b for a, b in zip(row, other, strict=True)) for other in right] for row in left]
    distances = SplineCodes(left).hamming(SplineCodes(right))
    assert distances.tolist() == counted
    assert distances.shape == (len(left), len(right))


def test_hamming_refuses_what_is_no_codes() -> None:
    codes = SplineCodes(np.zeros((2, 3), dtype=np.uint8))
    with pytest.raises(InputError, match="got a int, wanted the SplineCodes"):
        codes.hamming(3)
    with pytest.raises(InputError, match="3 and 2 units"):
        codes.hamming(SplineCodes(np.zeros((2, 2), dtype=np.uint8)))
