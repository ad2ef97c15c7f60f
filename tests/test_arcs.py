"""Great-circle arcs against ball arithmetic in another parametrization, and against codes in between."""

from __future__ import annotations

from dataclasses import dataclass

import flint
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import polygeom as pg
from polygeom.errors import InputError
from polygeom.lines import arcs
from polygeom.lines.arcs import ArcCrossings, arc_crossings
from polygeom.lines.exact_arcs import ExactArc, order
from polygeom.testing import ACTIVATIONS, matrices, points

BITS, SAME = 20_000, flint.arb(2) ** -6000
"""Precision of the oracle, and the distance below which it takes two places for one. Entries from 1e-310 to 1e160
let numbers that differ be as near as 2**-3000."""


@dataclass
class Seen:
    """What the oracle found: crossings (angle, unit, change), touches (angle, unit), units on their breakpoint."""

    angle: flint.arb
    crossings: list[tuple[flint.arb, int, int]]
    touches: list[tuple[flint.arb, int]]
    lying: set[int]
    ends: tuple[set[int], set[int]]
    first: np.ndarray


def rationals(vector: np.ndarray) -> list[flint.fmpq]:
    return [flint.fmpq(*float(x).as_integer_ratio()) for x in vector]


def dot(x: list, y: list) -> object:
    return sum((a * b for a, b in zip(x, y, strict=True)), flint.fmpq(0))


def oracle(W: np.ndarray, b: np.ndarray, levels: np.ndarray, u: np.ndarray, v: np.ndarray) -> Seen:
    """Solve A cos(theta - phi) = -h for every unit and breakpoint, by angles."""
    with flint.ctx.workprec(BITS):
        x, y = rationals(u), rationals(v)
        radius, other = flint.arb(dot(x, x)).sqrt(), flint.arb(dot(y, y)).sqrt()
        angle = (flint.arb(dot(x, y)) / (radius * other)).acos()
        p = [
            (flint.arb(t) * radius / other - flint.arb(s) * angle.cos()) / angle.sin()
            for s, t in zip(x, y, strict=True)
        ]
        seen = Seen(angle, [], [], set(), (set(), set()), np.zeros(len(b), dtype=int))
        for unit, (row, bias) in enumerate(zip(W, b, strict=True)):
            w = rationals(row)
            a, c = flint.arb(dot(w, x)), dot([flint.arb(t) for t in w], p)
            for level in levels[:, unit]:
                h = flint.arb(
                    flint.fmpq(*float(bias).as_integer_ratio()) - flint.fmpq(*float(level).as_integer_ratio())
                )
                one_unit(seen, unit, a, c, h)
        return seen


def one_unit(seen: Seen, unit: int, a: flint.arb, c: flint.arb, h: flint.arb) -> None:
    def is_zero(t: flint.arb) -> bool:
        return abs(t) < SAME

    if is_zero(a) and is_zero(c):
        if is_zero(h):
            seen.lying.add(unit)
        seen.first[unit] += bool(h > SAME)
        return
    size, pi = (a * a + c * c).sqrt(), flint.arb.pi()
    if abs(a) > size / 2:  # away from the cut of atan2
        phi = (c / a).atan() + (pi if a < 0 else 0)
    else:
        phi = (pi if c > 0 else -pi) / 2 - (a / c).atan()
    if is_zero(abs(h) - size):
        roots = [phi + (0 if h < 0 else pi)]
    elif abs(h) > size:
        roots = []
    else:
        half = (-h / size).acos()
        roots = [phi - half, phi + half]
    turn, inside = 2 * pi, []
    for root in roots:
        while root > SAME:
            root -= turn
        while root < -SAME:
            root += turn
        if is_zero(root) or is_zero(root - turn):
            seen.ends[0].add(unit)
        elif is_zero(root - seen.angle):
            seen.ends[1].add(unit)
        elif root < seen.angle:
            inside.append(root)
    if len(roots) == 1:
        seen.touches += [(root, unit) for root in inside]
    else:
        for root in inside:
            seen.crossings.append((root, unit, 1 if -a * root.sin() + c * root.cos() > 0 else -1))
    near = min([seen.angle, *inside], key=lambda t: float(t.mid())) / 2 if len(roots) > 1 else seen.angle / 3
    seen.first[unit] += bool(a * near.cos() + c * near.sin() + h > 0)


def places(crossings: list[tuple[flint.arb, int, int]]) -> list[tuple[flint.arb, dict[int, int]]]:
    """Group crossings that are one place: angle, change of letter per unit."""
    found: list[tuple[flint.arb, dict[int, int]]] = []
    left = list(crossings)
    while left:
        first = left[0][0]
        for root, _, _ in left:
            first = root if root < first else first
        changes: dict[int, int] = {}
        for root, unit, change in left:
            if abs(root - first) < SAME:
                changes[unit] = changes.get(unit, 0) + change
        rest = [item for item in left if not abs(item[0] - first) < SAME]
        assert len(rest) < len(left), "the oracle is not precise enough"
        left = rest
        found.append((first, changes))
    return found


def agrees(found: ArcCrossings, seen: Seen) -> None:
    with flint.ctx.workprec(BITS):
        expected = places(seen.crossings)
        assert [set(units.tolist()) for units in found.units] == [set(changes) for _, changes in expected]
        assert np.array_equal(found.first_code, seen.first)
        letters = found.first_code.astype(int)
        for i, (_, changes) in enumerate(expected):
            for unit, change in changes.items():
                letters[unit] += change
            assert np.array_equal(found.code(i + 1), letters)
        for (low, high), theta, (angle, _) in zip(found.bounds, found.theta, expected, strict=True):
            assert low <= theta <= high
            assert flint.arb(float(low)) < angle < flint.arb(float(high))
        assert (np.diff(found.theta) >= 0).all()
        assert set(found.lying_on.tolist()) == seen.lying
        assert tuple(set(e.tolist()) for e in found.at_ends) == seen.ends
        assert sorted(found.touch_units.tolist()) == sorted(unit for _, unit in seen.touches)
        for theta, unit in zip(found.touch_theta, found.touch_units, strict=True):
            assert any(own == unit and abs(t - float(theta)) < 2.0**-40 for t, own in seen.touches)
        assert abs(seen.angle - found.angle) < 2.0**-50


SCALED = st.sampled_from([1.0, 1.0, 2.0**-500, 2.0**500])


@st.composite
def layers_and_ends(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Layers, integer as often as not, with copies and opposites; ends that are no multiples of each other."""
    n, m = draw(st.integers(2, 4)), draw(st.integers(1, 6))
    W, b = draw(matrices(m, n)), draw(matrices(m, 1)).ravel()
    if m > 1 and draw(st.booleans()):
        factor = draw(st.sampled_from([1.0, -1.0, 3.0, -0.5]))
        W[-1], b[-1] = factor * W[0], factor * b[0]
    ends = [draw(points(n).filter(lambda p: np.any(p) and abs(p).max() < 9)) for _ in range(2)]
    u, v = ends
    while np.linalg.matrix_rank([u, v]) < 2:
        v = v + np.random.default_rng(draw(st.integers(0, 99))).integers(-2, 3, n)
    return W, b, u, v


@given(layers_and_ends())
@example((np.array([[1.0, 0], [0, 1]]), np.array([-1.0, -1.0]), np.array([1.0, -1.0]), np.array([1.0, 2.0])))
def test_arcs_agree_with_the_oracle(case):
    W, b, u, v = case
    agrees(arc_crossings((W, b), u, v), oracle(W, b, np.zeros((1, len(b))), u, v))


@given(layers_and_ends(), st.sampled_from(ACTIVATIONS))
def test_networks_with_any_activation_agree_with_the_oracle(case, activation):
    W, b, u, v = case
    net = pg.Network.from_layers([(W, b), (np.ones((1, len(b))), [0])], *activation)
    gate = net.gates[0]
    levels = gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1)
    agrees(arc_crossings(net, u, v), oracle(W, b, levels, u, v))


def by_rationals(W: np.ndarray, b: np.ndarray, u: np.ndarray, v: np.ndarray) -> ArcCrossings:
    """Return the crossings with floats taken out of the search."""
    search = arcs._Search._by_floats

    def nothing(self):
        none, _ = search(self)
        return arcs._chosen(none, slice(0)), np.arange(len(b))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arcs._Search, "_by_floats", nothing)
        return arc_crossings((W, b), u, v)


@given(layers_and_ends())
def test_floats_and_rationals_find_the_same(case):
    W, b, u, v = case
    found, exact = arc_crossings((W, b), u, v), by_rationals(W, b, u, v)
    assert [x.tolist() for x in found.units] == [x.tolist() for x in exact.units]
    assert np.array_equal(found.first_code, exact.first_code)
    assert (found.bounds[:, 0] <= exact.bounds[:, 1]).all()
    assert (exact.bounds[:, 0] <= found.bounds[:, 1]).all()


@pytest.mark.parametrize("seed", range(40))
def test_wide_intervals_over_narrow_ones_are_ordered(seed):
    """A unit that nearly touches is known within a wide interval, in which many others cross."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 30))
    u, v = rng.standard_normal((2, n))
    circle = arc_crossings((np.zeros((0, n)), []), u, v)
    top, deficit = circle.angle * rng.uniform(0.3, 0.7), 2.0 ** -rng.uniform(20, 48)
    places = (
        top
        + rng.choice([-1, 1], 40) * np.sqrt(deficit)
        + 10.0 ** rng.uniform(-16, -8) * rng.uniform(-1, 1, 40)
    )
    normals, toward = rng.standard_normal((40, n)), circle.point(top) / np.linalg.norm(u)
    amplitude = np.hypot(toward @ u, toward @ circle.tangent)
    W = np.vstack([toward, normals])
    b = np.append(-amplitude * (1 - deficit / 2), -(normals * circle.point(places)).sum(axis=1))
    found, exact = arc_crossings((W, b), u, v), by_rationals(W, b, u, v)
    assert [x.tolist() for x in found.units] == [x.tolist() for x in exact.units]


# -- laws --------------------------------------------------------------------------------------------------------


def sphere_layer(seed: int, n: int = 8, m: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    W, b, ends = rng.standard_normal((m, n)), rng.standard_normal(m), rng.standard_normal((3, n))
    return W, b, ends / np.linalg.norm(ends, axis=1)[:, None]


@given(st.integers(0, 2**16))
def test_letters_between_boundaries_are_those_of_the_layer(seed):
    W, b, (u, v, _) = sphere_layer(seed)
    found = arc_crossings((W, b), u, v)
    cuts = np.concatenate([[0], found.theta, [found.angle]])
    z = found.point(0.5 * (cuts[1:] + cuts[:-1])) @ W.T + b
    codes = np.stack([found.code(i) for i in range(len(found) + 1)])
    clear = np.abs(z) > 1e-9
    assert (codes == (z > 0))[clear].all()
    assert clear.mean() > 0.99


@given(st.integers(0, 2**16))
def test_reversed_arcs_meet_the_same_boundaries(seed):
    W, b, (u, _, _) = sphere_layer(seed)
    v = np.roll(u, 1)  # of the very same length
    there, back = arc_crossings((W, b), u, v), arc_crossings((W, b), v, u)
    assert [x.tolist() for x in there.units] == [x.tolist() for x in back.units[::-1]]
    assert there.theta == pytest.approx(there.angle - back.theta[::-1])
    assert np.array_equal(there.code(len(there)), back.first_code)


@given(st.integers(0, 2**16))
def test_powers_of_two_change_nothing(seed):
    W, b, (u, v, _) = sphere_layer(seed)
    found = arc_crossings((W, b), u, v)
    for scaled in (arc_crossings((W * 2.0**70, b * 2.0**70), u, v), arc_crossings((W, b * 4.0), u * 4.0, v)):
        assert np.array_equal(found.theta, scaled.theta)
        assert all(map(np.array_equal, found.units, scaled.units))


@given(st.integers(0, 2**16))
def test_a_circle_crosses_a_unit_twice_or_never(seed):
    """Four arcs make the circle; null model: a unit whose hyperplane cuts the circle's disk is met twice."""
    W, b, (u, v, _) = sphere_layer(seed)
    flips = np.zeros(len(b), dtype=int)
    for start, stop in ((u, v), (v, -u), (-u, -v), (-v, u)):
        arc = arc_crossings((W, b), start, stop)
        assert not arc.at_ends[0].size
        np.add.at(flips, np.concatenate([np.zeros(0, int), *arc.units]), 1)
    p = arc_crossings((W, b), u, v).tangent
    gap = np.abs(b) - np.hypot(W @ u, W @ p)
    clear = np.abs(gap) > 1e-9
    assert np.array_equal(flips[clear], np.where(gap < 0, 2, 0)[clear])


@pytest.mark.parametrize("centered", [False, True])
def test_random_circles_meet_as_many_boundaries_as_the_null_model_says(centered):
    """A random circle of an s-dimensional space meets a hyperplane at distance h < 1 in the mean
    2 (1 - h^2)^((s - 2) / 2) times: its plane holds a share Beta(1, (s - 2) / 2) of the squared normal. Behind a
    LayerNorm inputs are orthogonal to ones: s = n - 1. Six standard errors; s - 1 and s + 1 are farther off.
    """
    n, m, rng = 12, 300, np.random.default_rng(5)
    W, b = rng.standard_normal((m, n)), 0.8 * rng.standard_normal(m)
    W -= W.mean(axis=1, keepdims=True) * centered
    found = []
    for _ in range(200):
        plane = rng.standard_normal((n, 2))
        plane -= plane.mean(axis=0) * centered
        u, v = np.linalg.qr(plane)[0].T
        found.append(
            sum(arc_crossings((W, b), *ends).n_flips for ends in ((u, v), (v, -u), (-u, -v), (-v, u)))
        )
        assert found[-1] == 2 * (np.hypot(W @ u, W @ v) > np.abs(b)).sum()
    error = np.std(found) / np.sqrt(len(found))
    rest = np.maximum(0, 1 - b**2 / (W**2).sum(axis=1))
    off = [
        abs(np.mean(found) - 2 * (rest ** ((s - 2) / 2)).sum()) / error
        for s in n - centered + np.arange(-1, 2)
    ]
    assert off[1] < 6 < min(off[0], off[2])


@given(st.integers(0, 2**16))
def test_a_circle_crosses_every_unit_without_bias_twice(seed):
    W, b, (u, v, _) = sphere_layer(seed, m=30)
    arcs_of_circle = [arc_crossings((W, 0 * b), *ends) for ends in ((u, v), (v, -u), (-u, -v), (-v, u))]
    flips = np.bincount(np.concatenate([x for arc in arcs_of_circle for x in arc.units]), minlength=30)
    assert (flips == 2).all()


def test_an_unequal_length_of_v_changes_nothing():
    W, b, (u, v, _) = sphere_layer(4)
    found, longer = arc_crossings((W, b), u, v), arc_crossings((W, b), u, 2.0**9 * v)
    assert np.array_equal(found.theta, longer.theta)
    assert longer.point(longer.angle) == pytest.approx(v)


# -- ties --------------------------------------------------------------------------------------------------------


def test_many_units_through_one_point_are_one_boundary():
    """Hyperplanes through (3, 4) / 5 in the plane of a circle of radius 1, none a multiple of another."""
    normals = np.array([[1.0, k] for k in range(-3, 4)])
    W, b = 5 * normals, -(normals @ [3.0, 4.0])
    found = arc_crossings((W, b), [1, 0], [-1, 1])
    together = [units.tolist() for units in found.units if len(units) > 1]
    assert together == [list(range(7))]
    place = [len(units) for units in found.units].index(7)
    assert found.theta[place] == pytest.approx(np.arctan2(4, 3))


def test_a_tangent_hyperplane_is_touched_and_a_bit_less_is_crossed_twice():
    W, u, v = [[3.0, 4.0]], [1, 0], [0, 1]
    touched = arc_crossings((W, [-5]), u, v)
    assert (len(touched), touched.touch_units.tolist()) == (0, [0])
    assert touched.touch_theta[0] == pytest.approx(np.arctan2(4, 3))
    nearer = arc_crossings((W, [np.nextafter(-5, 0)]), u, v)
    assert (len(nearer), len(nearer.touch_units)) == (2, 0)
    assert [nearer.code(i)[0] for i in range(3)] == [0, 1, 0]
    farther = arc_crossings((W, [np.nextafter(-5, -9)]), u, v)
    assert (len(farther), len(farther.touch_units)) == (0, 0)
    above = arc_crossings((-np.array(W), [5]), u, v)
    assert (len(above), above.first_code.tolist(), above.touch_units.tolist()) == (0, [1], [0])


@pytest.mark.parametrize("exponent", [-200, -20])
@pytest.mark.parametrize("side", [1, -1])
def test_the_other_crossing_beside_a_common_point_is_no_tie(exponent, side):
    """(3 + 4 d) cos + (4 - 3 d) sin - 5 meets 5 cos - 3 at tan = 4 / 3, and once more about 2 d before it."""
    d = side * 2.0**exponent
    W, b = np.array([[5, 0, 0, 0], [3, 4 * d, 4, -3 * d]]), np.array([-3.0, -5.0])
    u, v = np.array([1.0, 1, 0, 0]), np.array([0.0, 0, 1, 1])
    found = arc_crossings((W, b), u, v)
    assert [units.tolist() for units in found.units] == ([[1], [0, 1]] if d > 0 else [[0, 1], [1]])
    agrees(found, oracle(W, b, np.zeros((1, 2)), u, v))
    arc = ExactArc(u, v)
    one, both = (arc.unit(w, h, 0.0).inside() for w, h in zip(W, b.tolist(), strict=True))
    common = 1 if d > 0 else 0
    assert [order(one[0], root) for root in both] == ([1, 0] if common else [0, -1])
    assert [order(root, one[0]) for root in both] == ([-1, 0] if common else [0, 1])


def test_units_that_stay_on_their_boundary_are_told():
    found = arc_crossings(([[0, 0, 1], [0, 0, 0], [0, 0, 0]], [0, 0, 1]), [1, 0, 0], [0, 1, 0])
    assert found.lying_on.tolist() == [0, 1]
    assert found.first_code.tolist() == [0, 0, 1]
    assert not len(found)


def test_boundaries_a_float_apart_are_ordered():
    """Two hyperplanes that cross the arc closer than floats can tell, in the order that rationals say."""
    W = np.array([[1.0, 0.0], [1.0, 0.0]])
    for first, second in ((0, 1), (1, 0)):
        b = np.zeros(2)
        b[first], b[second] = -np.nextafter(0.7, 1), -0.7  # cos falls: the larger level is met first
        found = arc_crossings((W, b), [1, 0], [0, 1])
        assert [units.tolist() for units in found.units] == [[first], [second]]


def test_nearly_parallel_ends_are_followed():
    u = np.array([1.0, 0.0])
    v = np.array([1.0, 2.0**-400])
    arc = arc_crossings(([[-(2.0**-401), 1.0]], [0.0]), u, v)
    assert arc.angle == 2.0**-400
    assert arc.theta == pytest.approx([2.0**-401], rel=2.0**-50)
    nearly_round = arc_crossings(([[0.0, 1.0], [1.0, 1.0]], [-(2.0**-1000), 0]), u, [-1.0, 2.0**-600])
    assert [units.tolist() for units in nearly_round.units] == [[0], [1]]
    assert nearly_round.theta == pytest.approx([2.0**-1000, 0.75 * np.pi], rel=2.0**-50)


def test_the_oracle_sees_a_missing_crossing():
    W, b, (u, v, _) = sphere_layer(11, m=20)
    seen = oracle(W, b, np.zeros((1, 20)), u, v)
    assert seen.crossings
    seen.crossings.pop()
    with pytest.raises(AssertionError):
        agrees(arc_crossings((W, b), u, v), seen)


def test_precision_ends_in_an_error_of_our_own(monkeypatch):
    monkeypatch.setattr("polygeom.lines.exact_arcs.LARGEST_PRECISION", 64)
    unit = ExactArc(np.array([1.0, 0.0]), np.array([0.0, 1.0])).unit(np.array([1.0, 0.0]), -0.5, 0.0)
    with pytest.raises(pg.UndecidedError, match="64 bits"):
        unit.inside()


# -- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("u", "v", "text"),
    [
        ([1, 2], [2, 4], "same direction"),
        ([1, 2], [-3, -6], "opposite directions"),
        ([0, 0], [1, 0], "u is the zero vector"),
        ([1, 0], [0, 0], "v is the zero vector"),
        ([1, 0], [np.inf, 0], "finite"),
        ([1, 0, 0], [0, 1], "u has shape"),
    ],
)
def test_bad_ends_are_refused(u, v, text):
    with pytest.raises(InputError, match=text):
        arc_crossings((np.eye(2), [0, 0]), u, v)


def test_bad_layers_are_refused():
    with pytest.raises(InputError, match="wanted a Network or a pair"):
        arc_crossings(np.eye(3), [1, 0], [0, 1])
    with pytest.raises(InputError, match="b has shape"):
        arc_crossings((np.eye(2), [0]), [1, 0], [0, 1])
    with pytest.raises(InputError, match="begins with Dense"):
        arc_crossings(pg.Network.from_layers([(np.eye(2), [0, 0])]), [1, 0], [0, 1])
    found = arc_crossings((np.eye(2), None), [1, 1], [-1, 1])
    with pytest.raises(InputError, match="no piece"):
        found.code(len(found) + 1)


def test_a_layer_without_units_has_no_boundaries():
    found = arc_crossings((np.zeros((0, 2)), []), [1, 0], [0, 1])
    assert (len(found), found.n_flips, found.bounds.shape, found.code(0).shape) == (0, 0, (0, 2), (0,))
