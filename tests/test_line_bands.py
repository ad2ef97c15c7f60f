"""Lines without rationals: ties that floats cannot tell, what stands behind them, and lines that nearly meet."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.enclosures import enclose_pass
from polygeom.gates import Elementwise, MaxGate, elementwise_gate
from polygeom.lines import sweep
from polygeom.lines.segments import line_crossings
from polygeom.network import Network
from polygeom.pieces import spline_codes
from polygeom.rational_network import RationalNetwork
from polygeom.steps import Dense
from polygeom.testing import FAMILIES, overlapping_maxima
from tests.line_oracle import ExactWalk
from tests.test_lines import (
    CONVOLUTIONAL,
    assert_as_walked,
    assert_right_outside_bands,
    crossed,
    torch_net,
    without_rationals,
)

ACTIVATIONS = (("relu",), ("abs",), ("leaky_relu", 0.25), ("clamp", 0.0, 1.0))


def nearly_cancelling(activation: tuple, seed: int) -> Network:
    """Sums that cancel up to their rounding errors, and units behind them that see nothing else."""
    weight, bias = np.random.default_rng(seed).standard_normal(2)
    first = [[weight], [3 * weight]], [bias + 9, 3 * (bias + 9)]
    sums = [[3, -1], [-3, 1]], [0, 0]
    return Network.from_layers([first, sums, (np.eye(2), [0, 0]), ([[1, 1]], [0])], *activation)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: a[0])
def test_units_behind_an_undecided_one_are_undecided(activation):
    named = 0
    for seed in range(6):
        net = nearly_cancelling(activation, seed)
        hits = without_rationals(net, [-1], [1])
        assert_right_outside_bands(hits, net)
        named += sum(unit in band.units for band in hits.undecided for unit in (4, 5))
    assert named > 0


def fan(n: int, seed: int, *, relu: bool, overlap: bool) -> Network:
    """Maxima of lines that meet in one point up to rounding errors, and two layers of ReLUs behind them."""
    rng = np.random.default_rng(seed)
    weight, place, height = rng.standard_normal((n, 1)), rng.uniform(0.6, 2.4), rng.standard_normal()
    off = rng.standard_normal(n) * 10.0 ** -rng.integers(13, 18)
    steps = [
        Dense(
            inputs=(0,),
            shapes=((1,),),
            shape=(n,),
            weight=weight,
            constant=height - weight[:, 0] * place + off,
        )
    ]
    if relu:
        steps.append(Elementwise(inputs=(1,), shapes=((n,),), shape=(n,), **elementwise_gate("relu")))
    pairs = [[0, 1] + [-1] * (n - 2), list(range(n))]
    index = np.array([[i, i + 1, i + 2] for i in range(n - 2)] if overlap else pairs)
    k, m = len(steps), len(index)
    steps.append(MaxGate(inputs=(k,), shapes=((n,),), shape=(m,), index=index))
    width = m
    for weight, constant in (
        (rng.integers(-1, 2, (3, m)).astype(np.float64), np.array([0.0, -height, 0.0])),
        (np.eye(3), np.zeros(3)),
    ):
        k = len(steps)
        steps.append(Dense(inputs=(k,), shapes=((width,),), shape=(3,), weight=weight, constant=constant))
        steps.append(Elementwise(inputs=(k + 1,), shapes=((3,),), shape=(3,), **elementwise_gate("relu")))
        width = 3
    return Network(tuple(steps), (1,))


@given(st.integers(3, 6), st.integers(0, 2**16), st.booleans(), st.booleans(), st.booleans())
def test_windows_whose_entries_nearly_meet(n, seed, relu, overlap, parts):
    net = fan(n, seed, relu=relu, overlap=overlap)
    how = (
        {"memory": 3 * max(sweep._bytes_per_piece(net)), "refusal": "too short to be told apart"}
        if parts
        else {}
    )
    hits = without_rationals(net, [0], [3], **how)
    if hits is not None:
        assert_right_outside_bands(hits, net)
    exact = crossed(net, [0], [3], **how)
    if exact is not None:
        assert_as_walked(exact, net)


# Rivals dropped that overtake at once with another; bands that end before the winner is certain; roots of one pair
# of entries known to different widths.
@pytest.mark.parametrize("seed", [5, 15, 23, 48, 73, 158])
def test_windows_that_were_followed_wrongly(seed):
    net = fan(3 + seed % 4, seed, relu=bool(seed // 4 % 2), overlap=bool(seed // 8 % 2))
    assert_right_outside_bands(without_rationals(net, [0], [3]), net)


def equal_maxima(biases: tuple[float, float], weights: tuple[float, float]) -> Network:
    first = np.array(weights)[:, None], np.array(biases)
    second = np.array([[0.125, -0.125], [0.625, 0.125]]), np.array([0.125, -0.125])
    return overlapping_maxima((first, second), ("relu",), 1.0, np.ones((1, 3)))


def test_entries_with_equal_floats_are_not_taken_for_one():
    net = equal_maxima((3e-161, 8e-161), (1.0, 1.0))  # the second entry is larger, by what floats do not see
    hits = without_rationals(net, [0.125], [0])
    assert_right_outside_bands(hits, net)
    assert {unit for band in hits.undecided if band.low < 0.5 < band.high for unit in band.units} == {3, 4}


def test_a_band_names_units_that_need_another_flip_in_it():
    net = equal_maxima((3e-161, 8e-161), (0.0, 1.0))  # unit 4 follows when unit 1 has gone on
    hits = without_rationals(net, [-0.625], [0])
    assert_right_outside_bands(hits, net)
    assert any(band.high == 1.0 and {1, 4} <= set(band.units) for band in hits.undecided)


def test_an_undecided_class_is_the_number_after_the_last_unit():
    net = Network.from_layers([([[0.1], [0.3]], [9.0, 27.0]), ([[3.0, 0.0], [0.0, 1.0]], [0.0, 0.0])])
    hits = without_rationals(net, [-1], [1], classes=True)
    assert {unit for band in hits.undecided for unit in band.units} == {net.n_units}


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@pytest.mark.parametrize("exact", [False, True], ids=["floats", "integers"])
def test_floats_alone_are_right_outside_their_bands_behind_convolutions(name, exact):
    for seed in range(2):
        net = torch_net(name, seed, exact)
        rng = np.random.default_rng(seed)
        a, b = rng.integers(-2, 3, (2, 16)) if exact else rng.standard_normal((2, 16))
        assert_right_outside_bands(without_rationals(net, a, b), net)


# -- pins ----------------------------------------------------------------------------------------------------


def test_two_pieces_are_the_least_that_memory_must_hold():
    net = FAMILIES["generic"]((2, 6, 6, 1), 3)
    piece = max(sweep._bytes_per_piece(net))
    whole = line_crossings(net, [-3, -3], [3, 2.5])
    for pieces in (2, 3, 5):
        parts = line_crossings(net, [-3, -3], [3, 2.5], memory=pieces * piece)
        assert parts.parts > 1
        assert [u.tolist() for u in parts.units] == [u.tolist() for u in whole.units]


@pytest.mark.parametrize("end", [1e308, -1e308])
def test_a_chain_that_overflows_is_not_decided_by_infinities(end):
    net = Network.from_layers([([[0.0, 1.5]], [0.125]), ([[0.125]], [0.125])])
    hits = crossed(net, [0, 0], [0, end])  # refused, or right
    if hits is not None:
        assert_as_walked(hits, net)


@pytest.mark.parametrize("backwards", [False, True])
def test_inputs_that_tie_in_an_end_tie_nowhere_near_it(backwards):
    """The maxima read the inputs themselves, so their ties are exact although rationals are out of reach."""
    n = 24
    windows = np.array([[i, (i + 1) % n, (i + 5) % n] for i in range(n)])
    largest = MaxGate(inputs=(0,), shapes=((n,),), shape=(n,), index=windows)
    units = Elementwise(inputs=(1,), shapes=((n,),), shape=(n,), **elementwise_gate("relu"))
    net = Network((largest, units), (n,))
    mixed = np.random.default_rng(1).standard_normal(n).astype(np.float32)
    tied = np.repeat(np.float32([0, 1]), [n - 7, 7])
    hits = without_rationals(net, *((tied, mixed) if backwards else (mixed, tied)))
    walk = ExactWalk(net).along(hits.line)
    assert not hits.undecided
    assert len(hits) > 5
    assert [sorted(units.tolist()) for units in hits.units] == walk.units


# -- what looks like zero, and what looks like one function ------------------------------------------------------


def _dense(value: int, weight: list, bias: list) -> Dense:
    W = np.array(weight, dtype=np.float64)
    shapes = ((W.shape[1],),), (W.shape[0],)
    return Dense(
        inputs=(value,), shapes=shapes[0], shape=shapes[1], weight=W, constant=np.array(bias, np.float64)
    )


def _largest(value: int, n: int, windows: list) -> MaxGate:
    return MaxGate(inputs=(value,), shapes=((n,),), shape=(len(windows),), index=np.array(windows))


def _relu(value: int, n: int) -> Elementwise:
    return Elementwise(inputs=(value,), shapes=((n,),), shape=(n,), **elementwise_gate("relu"))


NEARLY = [[0.0, 0.0, 0.0], [0.3, 0.4, -0.7]]
"""The second row sums to 0 in floats, and is 2^-54 t on the diagonal."""

HIDDEN = {
    "behind a maximum": ((_dense(0, NEARLY, [-1, 0]), _relu(1, 2), _largest(2, 2, [[0, 1]])), -1.0, 1.0),
    "behind a ReLU": (
        (_dense(0, [[0, 0, 0], [1, 1e-30, -1]], [-1, 0]), _relu(1, 2), _relu(2, 2)), 0.5, 1.0
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN)
def test_units_that_are_on_but_zero_in_floats_are_not_zero(name):
    steps, a, b = HIDDEN[name]
    net = Network(steps, (3,))
    hits = line_crossings(net, [a] * 3, [b] * 3)
    assert_as_walked(hits, net)
    assert hits.check()
    assert_right_outside_bands(without_rationals(net, [a] * 3, [b] * 3), net)


def test_windows_whose_winners_are_open_are_not_one_function():
    steps = (
        _dense(0, [[1, 0], [1, 1e-17], [0, 0]], [0, 0, -9]),
        _largest(1, 3, [[0, 1], [0, 2]]),
        _largest(2, 2, [[1, 0]]),
    )
    net = Network(steps, (2,))
    assert_right_outside_bands(without_rationals(net, [1, -1], [2, 2]), net)


def test_a_point_behind_open_windows_is_not_decided_by_a_false_tie():
    first = _dense(0, [[1, 0, 0], [1, 1e-60, 0], [0, 0, 1]], [0, 0, 0])
    net = Network((first, _largest(1, 3, [[0, 1], [0, 2]]), _largest(2, 2, [[1, 0]])), (3,))
    passed = enclose_pass(net, np.array([[1.0, 1.0, -5.0]]))
    assert passed.undecided[0].tolist() == [True, False, True]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RationalNetwork, "is_feasible", False)
        codes = spline_codes(net, [[1.0, 1.0, -5.0]])
    assert codes.undecided[0, 2] or codes.letters[0].tolist() == [1, 0, 1]
