"""Lines: as a rational walk finds them, whole in parts and in bands, confirmed on both sides of every boundary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from time import sleep

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.budget import Budget
from polygeom.certificates.check import Level
from polygeom.errors import InputError
from polygeom.gates import Elementwise, MaxGate, elementwise_gate
from polygeom.lines import segments
from polygeom.lines.crossings import LineCrossings
from polygeom.lines.segments import line_crossings
from polygeom.network import Network
from polygeom.pieces import spline_codes
from polygeom.rational_network import RationalNetwork
from polygeom.steps import Dense
from polygeom.testing import (
    FAMILIES,
    degenerate_networks,
    graph_networks,
    networks,
    overlapping_maxima,
    points,
    residual_maxima,
)
from tests.line_oracle import ExactWalk

Pair = tuple[np.ndarray, np.ndarray]


@st.composite
def ends(draw: st.DrawFn, dim: int) -> Pair:
    """Two different points, on boundaries of integer networks as often as not."""
    a = draw(points(dim))
    b = draw(points(dim).filter(lambda p: not np.array_equal(p, a)))
    return a, b


def crossed(
    net: Network, a: np.ndarray, b: np.ndarray, refusal: str = "overflow", **how: object
) -> LineCrossings | None:
    """Return all boundaries; None where a value on the line overflows, or a line is refused for a given reason."""
    try:
        return line_crossings(net, a, b, **how)
    except InputError as error:
        if refusal in str(error):
            return None
        raise


def assert_as_walked(hits: LineCrossings, net: Network) -> None:
    """Compare with the rational walk: places, units, letters, intervals."""
    walk = ExactWalk(net).along(hits.line, *hits.reach)
    assert not hits.undecided
    assert [hits.exact(i) for i in range(len(hits))] == walk.t
    assert [sorted(units.tolist()) for units in hits.units] == walk.units
    codes = [hits.code(i).tolist() for i in range(hits.n_pieces)]
    assert codes == [code.tolist() for code in walk.codes]
    assert np.array_equal(hits.codes().letters, walk.codes)
    for t, (low, high), place in zip(hits.t, hits.bounds, walk.t, strict=True):
        assert low <= place <= high
        assert low <= t <= high
    assert (np.diff(hits.t) >= 0).all()


# -- the law -------------------------------------------------------------------------------------------------


@given(st.data(), st.booleans())
def test_dense_networks_are_crossed_as_rationals_walk_them(data, classes):
    net = data.draw(networks())
    hits = crossed(net, *data.draw(ends(net.dim_in)), classes=classes)
    if hits is not None:
        assert_as_walked(hits, net)


@given(st.data(), st.booleans())
def test_graphs_with_maxima_are_crossed_as_rationals_walk_them(data, classes):
    net = data.draw(graph_networks())
    hits = crossed(net, *data.draw(ends(net.dim_in)), classes=classes)
    if hits is not None:
        assert_as_walked(hits, net)


@given(st.data(), st.booleans())
def test_degenerate_networks_are_crossed_as_rationals_walk_them(data, classes):
    net = data.draw(degenerate_networks())
    hits = crossed(net, *data.draw(ends(net.dim_in)), classes=classes)
    if hits is not None:
        assert_as_walked(hits, net)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("classes", [False, True])
def test_every_family_is_crossed_as_rationals_walk_it(name, classes):
    rng = np.random.default_rng(5)
    for seed in range(2):
        net = FAMILIES[name]((2, 5, 4, 2), seed)
        for a, b in (
            (rng.integers(-3, 4, 2), rng.standard_normal(2)),
            ([-4, 2], [4, -2]),
            ([-2, -2], [3, 3]),
        ):
            assert_as_walked(line_crossings(net, a, b, classes=classes), net)


def torch_net(name: str, seed: int = 0, exact: bool = False) -> Network:
    """Return a small convolutional network of torch, weights small integers or halves if `exact`."""
    import torch
    from torch import nn

    from polygeom.models.convert import from_torch

    modules = {
        "max-pool": (
            nn.Conv2d(1, 2, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8, 2),
        ),
        "overlapping max-pools": (
            nn.Conv2d(1, 2, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=1, padding=1),
            nn.MaxPool2d(3, stride=1, ceil_mode=True),
            nn.Flatten(),
            nn.Linear(8, 4),
            nn.ReLU(),
            nn.Linear(4, 2),
        ),
        "pool before the ReLU": (
            nn.Conv2d(1, 2, 3),
            nn.MaxPool2d(2, stride=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2, 2),
        ),
        "leaky, average": (
            nn.Conv2d(1, 2, 2),
            nn.LeakyReLU(0.25),
            nn.AvgPool2d(3, stride=1, padding=1),
            nn.ReLU6(),
            nn.Flatten(),
            nn.Linear(18, 2),
        ),
    }[name]
    module = nn.Sequential(*modules).double().eval()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            values = rng.integers(-2, 3, parameter.shape) if exact else rng.standard_normal(parameter.shape)
            parameter.copy_(torch.from_numpy(values.astype(np.float64)))
    return from_torch(module, torch.zeros(1, 1, 4, 4, dtype=torch.float64))


CONVOLUTIONAL = ("max-pool", "overlapping max-pools", "pool before the ReLU", "leaky, average")


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@pytest.mark.parametrize("exact", [False, True], ids=["floats", "integers"])
def test_convolutional_networks_are_crossed_as_rationals_walk_them(name, exact):
    found = 0
    for seed in range(3):
        net = torch_net(name, seed, exact)
        rng = np.random.default_rng(seed)
        a, b = rng.integers(-2, 3, (2, 16)) if exact else rng.standard_normal((2, 16))
        hits = line_crossings(net, a, b, classes=seed == 1)
        assert_as_walked(hits, net)
        found += len(hits)
    assert found > 5


# -- consequences --------------------------------------------------------------------------------------------


@given(st.data())
def test_flips_lead_from_code_to_code(data):
    net = data.draw(st.one_of(graph_networks(), degenerate_networks()))
    hits = crossed(net, *data.draw(ends(net.dim_in)), classes=True)
    if hits is None:
        return
    place, unit, before, after = hits.flips
    codes = hits.codes().letters
    assert hits.n_flips == len(unit) == sum(len(u) for u in hits.units)
    assert (codes[place, unit] == before).all()
    assert (codes[place + 1, unit] == after).all()
    hamming = (codes[1:] != codes[:-1]).sum(axis=1)
    assert hamming.tolist() == [len(u) for u in hits.units]
    assert (hamming > 0).all()
    n = hits.n_pieces
    chosen = data.draw(st.lists(st.integers(0, n - 1), max_size=5))
    assert np.array_equal(hits.codes(chosen).letters, codes[chosen])
    flips = np.bincount(unit, minlength=net.n_units)
    if all(len(getattr(gate, "breakpoints", ())) == 1 for gate in net.gates):
        assert ((flips % 2 == 1) == (codes[0] != codes[-1])).all()  # two letters take turns


def assert_same_backwards(hits: LineCrossings, back: LineCrossings, places: list) -> None:
    """Compare a line with its reverse, whose boundaries lie at these places."""
    assert [back.exact(i) for i in range(len(back))] == places
    assert [sorted(u.tolist()) for u in back.units] == [sorted(u.tolist()) for u in reversed(hits.units)]
    assert np.array_equal(back.codes().letters, hits.codes().letters[::-1])


@given(st.data())
def test_a_line_reversed_crosses_the_same_boundaries(data):
    net = data.draw(st.one_of(networks(), graph_networks()))
    whole = st.lists(st.integers(-5, 5), min_size=net.dim_in, max_size=net.dim_in)
    a = np.array(data.draw(whole)) * 0.5
    b = np.array(data.draw(whole.filter(lambda p: not np.array_equal(p, 2 * a)))) * 0.5
    hits, back = crossed(net, a, b), crossed(net, b, a)
    if hits is not None and back is not None:
        assert_same_backwards(hits, back, [1 - hits.exact(i) for i in reversed(range(len(hits)))])


@given(st.data())
def test_a_part_of_a_line_crosses_a_part_of_its_boundaries(data):
    net = data.draw(st.one_of(networks(), graph_networks()))
    whole = st.lists(st.integers(-4, 4), min_size=net.dim_in, max_size=net.dim_in)
    a = np.array(data.draw(whole), dtype=np.float64)
    step = np.array(data.draw(whole.filter(any)), dtype=np.float64)
    hits, part = crossed(net, a, a + 4 * step), crossed(net, a + step, a + 3 * step)
    if hits is None or part is None:
        return
    inside = [i for i in range(len(hits)) if 1 < 4 * hits.exact(i) < 3]
    assert [1 + 2 * part.exact(i) for i in range(len(part))] == [4 * hits.exact(i) for i in inside]
    assert [sorted(u.tolist()) for u in part.units] == [sorted(hits.units[i].tolist()) for i in inside]


@given(st.data())
def test_all_pieces_pass_the_check(data):
    net = data.draw(st.one_of(networks(), graph_networks(), degenerate_networks()))
    hits = crossed(net, *data.draw(ends(net.dim_in)))
    if hits is None:
        return
    check = hits.check()
    assert check, hits
    assert check.level is Level.EXACT


def test_a_window_that_ties_before_a_boundary_passes_the_check():
    """Its first two entries are 0 until a ReLU lets go of one; a third entry draws rows on both sides."""
    net = Network.from_layers([([[1.0], [1.0]], [0.0, 0.0])])
    gate = Elementwise(inputs=(1,), shapes=((2,),), shape=(2,), **elementwise_gate("relu"))
    apart = Dense(
        inputs=(2,),
        shapes=((2,),),
        shape=(3,),
        weight=np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]]),
        constant=np.array([0.0, 0.0, -5.0]),
    )
    largest = MaxGate(inputs=(3,), shapes=((3,),), shape=(1,), index=np.arange(3)[None])
    net = Network((*net.steps[:1], gate, apart, largest), (1,))
    hits = line_crossings(net, [-1], [1])
    assert [u.tolist() for u in hits.units] == [[0, 1, 2]]
    assert hits.check()


def test_wrong_boundaries_fail_the_check():
    net = FAMILIES["generic"]((3, 8, 8, 3), 3)
    hits = line_crossings(net, [-3, -3, 1], [4, 2, -2])
    assert hits.check()
    events, starts, m = hits._events, hits._starts, len(hits)
    rows = [i for i in range(m) if i != 2]
    missing = replace(
        hits, t=hits.t[rows], bounds=hits.bounds[rows], _events=events[rows], _starts=np.arange(m)
    )
    assert np.array_equal(starts, np.arange(m + 1))
    assert not missing.check()
    for shift in (-0.001, 0.001):
        t, bounds = hits.t.copy(), hits.bounds.copy()
        t[2] += shift
        bounds[2] += shift
        assert not replace(hits, t=t, bounds=bounds).check()
    letters = hits.first_code.copy()
    letters[0] = 1 - letters[0]
    assert not replace(hits, first_code=letters).check()
    other = replace(events, unit=np.where(np.arange(m) == 2, (events.unit + 1) % 16, events.unit))
    assert not replace(hits, _events=other).check()


@given(networks(max_depth=1), st.data())
def test_units_of_one_layer_flip_where_their_hyperplanes_are(net, data):
    hits = crossed(net, *data.draw(ends(net.dim_in)))
    if hits is None:
        return
    start, rate = ([Fraction(float(v)) for v in c] for c in (hits.line.offset, hits.line.matrix[:, 0]))
    gate, layer, expected = net.gates[0], net.steps[0], {}
    for unit, row in enumerate(layer.weight):
        value, slope = (
            sum(Fraction(float(w)) * c for w, c in zip(row, v, strict=True)) for v in (start, rate)
        )
        for level in gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1)[:, unit]:
            t = (
                (Fraction(float(level)) - value - Fraction(float(layer.constant[unit]))) / slope
                if slope
                else 0
            )
            if 0 < t < 1:
                expected.setdefault(t, set()).add(unit)
    assert {hits.exact(i): set(hits.units[i].tolist()) for i in range(len(hits))} == expected


@given(st.data())
def test_the_output_is_affine_between_cuts(data):
    net = data.draw(st.one_of(graph_networks(), degenerate_networks()))
    hits = crossed(net, *data.draw(ends(net.dim_in)), classes=True)
    if hits is None:
        return
    start, rate = ([Fraction(float(v)) for v in c] for c in (hits.line.offset, hits.line.matrix[:, 0]))

    def exact_output(t: Fraction) -> list[Fraction]:
        return net.exact()([p + t * g for p, g in zip(start, rate, strict=True)])

    cuts = [Fraction(0), *(hits.exact(i) for i in range(len(hits))), Fraction(1)]
    for t, u in pairwise(cuts):
        ends_and_middle = (exact_output(s) for s in (t, u, (t + u) / 2))
        assert all(p + q == 2 * m for p, q, m in zip(*ends_and_middle, strict=True))


@given(st.data(), st.sampled_from(sorted(FAMILIES)), st.integers(0, 2**16))
def test_classes_change_where_the_largest_output_does(data, name, seed):
    net = FAMILIES[name]((2, 4, 3, 3), seed)
    hits = crossed(net, *data.draw(ends(2)), classes=True)
    if hits is None:
        return
    largest = MaxGate(inputs=(net.output,), shapes=((3,),), shape=(1,), index=np.arange(3)[None])
    walk = ExactWalk(Network((*net.steps, largest), net.input_shape)).along(hits.line)
    winners = np.array([code[-1] for code in walk.codes])
    changes = np.flatnonzero(winners[1:] != winners[:-1])
    assert hits.classes.tolist() == [winners[0], *winners[changes + 1]]
    assert hits.class_t == pytest.approx([float(walk.t[i]) for i in changes], abs=1e-9)


def test_classes_are_those_of_the_output_in_the_middle_of_every_stretch():
    net = FAMILIES["generic"]((3, 20, 20, 5), 2)
    hits = line_crossings(net, [-6, 2, 1], [5, -3, 4], classes=True)
    cuts = np.concatenate([[0.0], hits.class_t, [1.0]])
    middles = 0.5 * (cuts[1:] + cuts[:-1])
    assert hits.output(middles).argmax(axis=1).tolist() == hits.classes.tolist()
    assert len(hits.classes) > 2


# -- ends, and units that lie on the line ----------------------------------------------------------------------


def test_boundaries_at_the_ends_are_told_apart():
    net = Network.from_layers([([[1.0], [1.0], [1.0]], [0.0, -1.0, -2.0]), ([[1.0, 1.0, 1.0]], [0.0])])
    hits = line_crossings(net, [0], [2])
    assert hits.t.tolist() == [0.5]
    assert [u.tolist() for u in hits.units] == [[1]]
    assert [u.tolist() for u in hits.at_ends] == [[0], [2]]
    inner = line_crossings(net, [0.5], [1.5])
    assert [u.tolist() for u in inner.at_ends] == [[], []]


def test_a_touched_boundary_is_none():
    """The kink of |x| - |x| at 0 reaches 0 and goes back: unit 2 is positive on both sides."""
    net = Network.from_layers([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0]), ([[1.0]], [0.0])])
    hits = line_crossings(net, [-1], [1])
    assert [u.tolist() for u in hits.units] == [[0, 1]]
    assert hits.exact(0) == Fraction(1, 2)
    assert hits.code(0)[2] == hits.code(1)[2] == 1


def test_units_whose_hyperplane_holds_the_line_are_reported():
    first = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [0.0, -1.0, 0.0]
    net = Network.from_layers([first, ([[1.0, 1.0, 1.0]], [0.0])])
    hits = line_crossings(net, [0, 0], [0, 3])
    assert [u.tolist() for u in hits.units] == [[1]]
    assert [hits.lying_on(i).tolist() for i in range(2)] == [[0], [0]]
    assert hits.check()


def test_the_same_unit_counts_once_where_its_breakpoints_coincide():
    net = Network.from_layers([([[1.0]], [0.0]), ([[1.0]], [0.0])], "clamp", 1.0, 1.0)
    for a, b, letters in ((0, 4, (0, 2)), (4, 0, (2, 0))):
        for classes in (False, True):
            hits = line_crossings(net, [a], [b], classes=classes)
            assert [u.tolist() for u in hits.units] == [[0]]
            assert (hits.code(0)[0], hits.code(1)[0]) == letters
            assert hits.check()


# -- memory, devices, budgets ----------------------------------------------------------------------------------


def assert_same(one: LineCrossings, other: LineCrossings) -> None:
    """Compare all boundaries exactly."""
    assert [u.tolist() for u in one.units] == [u.tolist() for u in other.units]
    assert [one.exact(i) for i in range(len(one))] == [other.exact(i) for i in range(len(other))]
    assert np.array_equal(one.codes().letters, other.codes().letters)
    if one.classes is not None:
        assert np.array_equal(one.classes, other.classes)
        assert np.allclose(one.class_t, other.class_t, rtol=0, atol=1e-12)


def least_memory(net: Network, a: object, b: object, **how: object) -> int:
    """Return the least memory cap that is accepted, as the error says."""
    with pytest.raises(InputError, match="larger memory") as error:
        line_crossings(net, a, b, memory=1, **how)
    return int(str(error.value).split(" need ")[1].split()[0])


@given(st.data(), st.booleans())
def test_parts_change_nothing(data, classes):
    net = data.draw(st.one_of(graph_networks(), degenerate_networks()))
    a, b = data.draw(ends(net.dim_in))
    whole = crossed(net, a, b, classes=classes)
    if whole is None:
        return
    least = least_memory(net, a, b, classes=classes)
    for memory in (least, 2 * least):
        parts = crossed(net, a, b, refusal="too short to be told apart", classes=classes, memory=memory)
        if parts is not None:
            assert_same(whole, parts)


@pytest.mark.parametrize("name", ["max-pool", "overlapping max-pools", "leaky, average"])
def test_parts_change_nothing_behind_convolutions(name):
    net = torch_net(name, 1)
    a, b = 4 * np.random.default_rng(1).standard_normal((2, 16))
    whole = line_crossings(net, a, b, classes=True)
    parts = line_crossings(net, a, b, classes=True, memory=least_memory(net, a, b, classes=True))
    assert parts.parts > 1
    assert_same(whole, parts)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_a_torch_device_changes_nothing(name):
    net = torch_net(name, 2)
    a, b = np.random.default_rng(2).standard_normal((2, 16))
    assert_same(
        line_crossings(net, a, b, classes=True), line_crossings(net, a, b, classes=True, device="cpu")
    )


def stopped_line(
    monkeypatch: pytest.MonkeyPatch, stop: Callable[[float], None], **how: object
) -> LineCrossings:
    """Return a line swept in parts, `stop` hearing the t that each one reached."""

    @contextmanager
    def bar(*_: object) -> Iterator[Callable[[float], None]]:
        yield stop

    monkeypatch.setattr(segments, "_bar", bar)
    net = FAMILIES["generic"]((3, 8, 8, 3), 3)
    a, b = [-3, -3, 1], [4, 2, -2]
    memory = 2 * least_memory(net, a, b, classes=True)
    return line_crossings(net, a, b, classes=True, memory=memory, **how)


def assert_begins(part: LineCrossings, whole: LineCrossings) -> None:
    """Compare a sweep that stopped with the beginning of the whole one."""
    assert part.reach[0] < part.reach[1] < whole.reach[1]
    n = sum(whole.exact(i) < part.reach[1] for i in range(len(whole)))
    assert 0 < len(part) == n
    assert [u.tolist() for u in part.units] == [u.tolist() for u in whole.units[:n]]
    assert part.check()
    assert part.classes.tolist() == whole.classes[: len(part.classes)].tolist()
    assert "stopped" in repr(part)


def test_what_is_found_before_an_interrupt_is_kept(monkeypatch):
    whole = stopped_line(monkeypatch, lambda t: None)
    assert whole.stopped is None
    heard: list[float] = []

    def stop(t: float) -> None:
        heard.append(t)
        if len(heard) == 3:
            raise KeyboardInterrupt

    part = stopped_line(monkeypatch, stop)
    assert part.stopped == "interrupt"
    assert part.reach[1] == heard[-1]
    assert_begins(part, whole)


def test_what_is_found_within_a_budget_is_kept(monkeypatch):
    whole = stopped_line(monkeypatch, lambda t: None)
    part = stopped_line(monkeypatch, lambda t: sleep(0.01), budget=Budget(seconds=0.015))
    assert part.stopped == "seconds"
    assert_begins(part, whole)


# -- without rationals ---------------------------------------------------------------------------------------


def without_rationals(net: Network, a: object, b: object, **how: object) -> LineCrossings | None:
    """Return what floats alone find."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RationalNetwork, "is_feasible", False)
        return crossed(net, a, b, **how)


def assert_right_outside_bands(hits: LineCrossings, net: Network) -> None:
    """Compare every letter between cuts with the rational walk, but for what bands leave open."""
    walk = ExactWalk(net).along(hits.line, *hits.reach)
    flips = {(unit, t) for t, units in zip(walk.t, walk.units, strict=True) for unit in units}
    certain = {
        (unit, t)
        for unit, t in flips
        if not any(unit in band.units and band.low <= t <= band.high for band in hits.undecided)
    }
    found = [
        (unit, low, high)
        for units, (low, high) in zip(hits.units, hits.bounds, strict=True)
        for unit in units.tolist()
        if not any(unit in band.units and band.low <= low and high <= band.high for band in hits.undecided)
    ]
    for unit, t in certain:
        assert any(u == unit and low <= t <= high for u, low, high in found), (unit, float(t), hits.undecided)
    assert len(found) == len(certain), (found, certain)


@given(st.data(), st.booleans())
def test_floats_alone_are_right_outside_their_bands(data, classes):
    net = data.draw(st.one_of(networks(), graph_networks(), degenerate_networks()))
    hits = without_rationals(net, *data.draw(ends(net.dim_in)), classes=classes)
    if hits is not None:
        assert_right_outside_bands(hits, net)


@pytest.mark.parametrize("name", FAMILIES)
def test_floats_alone_are_right_outside_their_bands_in_every_family(name):
    rng = np.random.default_rng(6)
    for seed in range(2):
        net = FAMILIES[name]((2, 5, 4, 2), seed)
        for a, b in (
            (rng.integers(-3, 4, 2), rng.standard_normal(2)),
            ([-4, 2], [4, -2]),
            ([-2, -2], [3, 3]),
        ):
            hits = without_rationals(net, a, b, classes=True)
            assert_right_outside_bands(hits, net)


def test_floats_alone_decide_what_is_in_general_position():
    net = FAMILIES["generic"]((3, 20, 20, 5), 2)
    hits = without_rationals(net, [-6, 2, 1], [5, -3, 4], classes=True)
    assert hits.undecided == ()
    assert_right_outside_bands(hits, net)


def test_a_tie_that_floats_cannot_tell_is_a_band():
    net = Network.from_layers([([[0.1], [0.3]], [-0.07, -0.21]), ([[1.0, 1.0]], [0.0])])
    hits = without_rationals(net, [0], [1])
    (band,) = hits.undecided
    assert band.units == (0, 1)
    assert band.low <= 0.7 <= band.high
    assert band.high - band.low < 1e-12
    assert hits.level is Level.CERTIFIED
    assert "1 undecided band" in repr(hits)


# -- bad input -----------------------------------------------------------------------------------------------

SMALL = Network.from_layers([([[1.0, 2.0], [0.5, -1.0]], [0.0, 1.0]), ([[1.0, 1.0]], [0.0])])


@pytest.mark.parametrize(
    ("a", "b", "how", "message"),
    [
        ([1, 2], [1, 2], {}, "same point.*Give two points"),
        ([0.0, 1], [-0.0, 1], {}, "same point"),
        ([np.nan, 0], [1, 2], {}, "start"),
        ([0, 0], [np.inf, 2], {}, "stop"),
        ([0, 0, 0], [1, 2], {}, "start"),
        ([0, 0], [[1, 2], [3, 4]], {}, "stop"),
        ([[0], [0]], [1, 2], {}, r"start has shape \(2, 1\)"),
        ([[1, 2], [3]], [1, 2], {}, "start is not a rectangular"),
        ([0, 0], ["one", "two"], {}, "stop"),
        ([0, 0], [1 + 1j, 2], {}, "stop"),
        ([0, 0], [1, 2], {"memory": 100}, "memory cap is 100.*larger memory="),
        ([0, 0], [1, 2], {"device": "nonsense"}, "device='nonsense'.*Give a torch device"),
        ([0, 0], [1, 2], {"device": 1.5}, "device=1.5"),
        ([-1e308, 0], [1e308, 0], {}, "1.8e308|overflow"),
    ],
)
def test_bad_input_is_refused(a, b, how, message):
    with pytest.raises(InputError, match=message):
        line_crossings(SMALL, a, b, **how)


@pytest.mark.parametrize("memory", [0, -5, 1.5, float("nan"), "1 GB", None, True])
def test_a_memory_cap_is_a_number_of_bytes(memory):
    with pytest.raises(InputError, match="memory"):
        line_crossings(SMALL, [0, 0], [1, 2], memory=memory)


def test_what_overflows_inside_is_refused_with_its_place():
    net = Network.from_layers([([[1e308], [1e308]], [0, 0]), ([[1e308, 1e308]], [0]), ([[1.0]], [0])])
    with pytest.raises(InputError, match=r"module '1' overflows.*smaller size"):
        line_crossings(net, [0.5], [1.5])


def test_boundaries_and_pieces_are_asked_for_by_number():
    hits = line_crossings(SMALL, [-3, 1], [3, 1])
    for ask in (hits.exact, hits.code, hits.piece, hits.middle, lambda i: hits.codes([i])):
        for number in (99, -1, 0.5, "first"):
            with pytest.raises(InputError):
                ask(number)
    with pytest.raises(InputError, match="finite"):
        hits.output([0.5, np.nan])
    with pytest.raises(InputError, match="real numbers"):
        hits.output("half")


def test_points_may_have_the_shape_of_the_input():
    net = torch_net("max-pool")
    a, b = np.random.default_rng(0).standard_normal((2, 1, 4, 4))
    assert_same(line_crossings(net, a, b), line_crossings(net, a.ravel(), b.ravel()))


def test_a_network_without_units_has_no_boundaries():
    net = Network.from_layers([([[1.0, 2.0], [2.0, 1.0]], [0.0, 0.0])])
    hits = line_crossings(net, [0, 1], [1, 0], classes=True)
    assert len(hits) == 0
    assert hits.units == ()
    assert hits.code(0).shape == (0,)
    assert hits.classes.tolist() == [0, 1]
    assert hits.class_t.tolist() == [0.5]
    assert hits.check()


# -- real networks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size"), [("acasxu_1_1", 1.0), ("mnist-net_256x2", 1.0), ("cifar10_small", 0.1)]
)
def test_segments_through_real_networks_pass_the_check(data, name, size):
    pytest.importorskip("onnx", reason="from_onnx needs the package onnx")
    from polygeom.models.convert import from_onnx

    net = from_onnx(data / "models" / "onnx" / f"{name}.onnx")
    rng = np.random.default_rng(11)
    a = rng.uniform(-0.5, 0.5, net.dim_in)
    b = a + size * (rng.uniform(-0.5, 0.5, net.dim_in) - a)
    hits = line_crossings(net, a, b, classes=True)
    assert len(hits) > 20
    chosen = np.unique(np.linspace(0, len(hits), 12).astype(int))
    assert hits.check(chosen)
    flips = np.bincount(hits.flips[1], minlength=net.n_units)
    seen = spline_codes(net, np.stack([a, b])).letters
    two = np.concatenate([np.full(g.size, len(getattr(g, "breakpoints", ())) == 1) for g in net.gates])
    assert ((flips % 2 == 1) == (seen[0] != seen[1]))[two].all()
    assert not hits.undecided
    assert hits.classes[0] == net(a).argmax()
    assert hits.classes[-1] == net(b).argmax()


# -- sampling ------------------------------------------------------------------------------------------------


def random_net(rng: np.random.Generator) -> Network:
    """Return a network of some family, or a graph with overlapping maxima, of random widths."""
    if rng.integers(5) == 0:
        return residual_maxima(int(rng.integers(1, 4)), int(rng.integers(2**31)))
    widths = (*rng.integers(2, 12, rng.integers(2, 5)), 2)
    name = rng.choice(["generic", "leaky", "absolute value", "duplicate unit", "silent layer", "zero biases"])
    return FAMILIES[name](tuple(int(w) for w in widths), int(rng.integers(2**31)))


@pytest.mark.slow
def test_sampling_never_sees_more_and_both_sides_confirm_every_boundary():
    rng, grid = np.random.default_rng(0), np.linspace(0, 1, 201)[1:-1, None]
    for _ in range(10_000):
        net = random_net(rng)
        a, b = 3 * rng.standard_normal((2, net.dim_in))
        hits = line_crossings(net, a, b)
        sampled = spline_codes(net, hits.line(grid)).letters
        changes = (sampled[1:] != sampled[:-1]).sum(axis=1)
        assert changes.sum() <= hits.n_flips
        assert (changes > 0).sum() <= len(hits)
        codes = hits.codes().letters
        # the float nearest to the middle lies inside the piece, and is mapped there, if the piece is wide enough
        widths = np.diff(hits.cuts)
        wide = np.flatnonzero(widths > 2.0**-30)
        middles = np.array([[hits.middle(i)] for i in wide])
        if len(wide):
            assert np.array_equal(spline_codes(net, hits.line(middles)).letters, codes[wide])
        assert hits.check(np.setdiff1d(np.arange(hits.n_pieces), wide))


def test_floats_of_exact_places_stand_in_order():
    """Two flips whose places floats cannot tell apart, found in the other order."""
    v = np.random.default_rng(0).standard_normal(9)
    maps = (v[:6].reshape(3, 2) * 1e6, v[:3]), (v.reshape(3, 3) * 1e-160, v[:3] * 1e-160)
    net = overlapping_maxima(maps, ("relu6",), 1.0, v[None, :5])
    hits = line_crossings(net, np.random.default_rng(1409).standard_normal(2), v[:2])
    assert_as_walked(hits, net)


def test_requests_of_the_wrong_kind_are_refused():
    net = Network.from_layers([([[1]], [0]), ([[1]], [0])])
    with pytest.raises(InputError, match="wanted a Network"):
        line_crossings(None, [0], [1])
    with pytest.raises(InputError, match="Budget\\(seconds"):
        line_crossings(net, [0], [1], budget=5)
