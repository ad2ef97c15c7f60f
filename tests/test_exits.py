"""Ray exits and nearest boundaries against Fractions, small and as if large."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom import from_torch, pieces, stops
from polygeom.affine import AffineMap
from polygeom.certificates import Level
from polygeom.errors import InputError
from polygeom.exits import RayExit, nearest_boundaries, ray_exit
from polygeom.gates import MaxGate
from polygeom.models import inception
from polygeom.network import Network
from polygeom.pieces import piece_at
from polygeom.rational_network import RationalNetwork
from polygeom.steps import Convolution, Dense
from polygeom.testing import any_networks, points
from tests.oracles import exact_walk


@given(st.data())
def test_the_code_is_constant_up_to_the_exit_and_changes_there(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x, v = data.draw(points(net.dim_in)), data.draw(points(net.dim_in).filter(np.any))
    hit = ray_exit(net, x, v)
    assert hit.level is Level.EXACT

    def code(t: Fraction) -> np.ndarray:
        return exact_walk(
            net, [Fraction(float(a)) + t * Fraction(float(b)) for a, b in zip(x, v, strict=True)]
        )[1]

    if hit.exact is None:
        assert np.isinf(hit.t)
        assert np.array_equal(code(Fraction(2) ** 200), hit.piece.code)
        return
    assert hit.bounds[0] <= hit.exact <= hit.bounds[1]
    if hit.exact:
        assert np.array_equal(code(hit.exact / 2), hit.piece.code)
    # just beyond, the first unit that changed (later ones may follow it) is one that stopped the ray
    changed = np.flatnonzero(hit.piece.code != code(hit.exact + Fraction(1, 2**9000)))
    assert len(hit.units)
    assert not len(changed) or changed[0] in hit.units


@given(st.data())
def test_nearest_boundaries_are_the_smallest_slack_over_norm(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x = data.draw(points(net.dim_in))
    piece = piece_at(net, x)
    near = nearest_boundaries(net, x, k=3)
    A, b = piece.exact_rows(piece.labels)
    squares = []
    for row, (side,) in zip(A.table(), b.table(), strict=True):
        slack = Fraction(int(side.p), int(side.q)) - sum(
            Fraction(int(a.p), int(a.q)) * Fraction(float(t)) for a, t in zip(row, x, strict=True)
        )
        norm2 = sum(Fraction(int(a.p), int(a.q)) ** 2 for a in row)
        squares.append(slack**2 / norm2)
    apart = sorted(q for q in squares if q > 0)[:3]
    assert len(near.distances) == len(apart)
    for (low, high), true in zip(near.bounds, apart, strict=True):
        assert Fraction(low) ** 2 <= true
        assert np.isinf(high) or Fraction(high) ** 2 >= true
    assert len(near.touching) == sum(q == 0 for q in squares)
    # beyond the range of floats distances cannot be ordered, and the level says so
    ordinary = ((near.distances > 2.0**-1000) & (near.distances < 2.0**1000)).all()
    assert near.level is Level.EXACT or not ordinary


def test_an_exit_of_an_uncertain_cell_has_no_certain_place(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Network.from_layers([([[1, 1e-60, -1], [1, 0, 0]], [0, -5]), ([[1, 1]], [0])])
    assert ray_exit(net, [1, 1, 1], [1, 0, 0]).exact == 4
    monkeypatch.setattr(RationalNetwork, "is_feasible", False)
    hit = ray_exit(net, [1, 1, 1], [1, 0, 0])
    assert hit.level is Level.CERTIFIED
    assert hit.bounds[0] <= 4 <= hit.bounds[1]


def test_distances_below_the_normal_floats_are_enclosed() -> None:
    net = Network.from_layers([([[3e160]], [1e-160]), ([[0]], [0])])
    near = nearest_boundaries(net, [0.0], k=1)
    (low, high), true = near.bounds[0], Fraction(1e-160) / Fraction(3e160)
    assert low <= true <= high


def test_large_pieces_measure_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    net = Network.from_layers(
        [(rng.standard_normal((m, n)), rng.standard_normal(m)) for n, m in ((8, 400), (400, 3))]
    )
    x = rng.standard_normal(8)
    expected = nearest_boundaries(net, x, k=4)
    monkeypatch.setattr(pieces, "BYTE_BUDGET", 2**14)
    found = nearest_boundaries(net, x, k=4)
    assert np.array_equal(found.units, expected.units)
    assert found.distances == pytest.approx(expected.distances)
    assert found.rows_measured < 100


def test_networks_without_rationals_list_what_floats_leave_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polygeom.rational_network.BUDGET", 0)
    net = Network.from_layers([([[1.0, 0.1], [1.0, 0.1], [0, 1]], [-0.3, -0.3, 5]), ([[1.0, 1, 1]], [0])])
    hit = ray_exit(net, [0, 0], [0.7, 0.1])
    assert list(hit.units) == [0, 1]
    assert hit.level is Level.CERTIFIED
    assert hit.bounds[0] <= hit.t <= hit.bounds[1]
    assert ray_exit(net, [0, 0], [-0.7, 0.1]).t == np.inf


def _same(left: RayExit, right: RayExit) -> bool:
    return (left.t, left.bounds, left.exact, left.level) == (
        right.t,
        right.bounds,
        right.exact,
        right.level,
    ) and (np.array_equal(left.units, right.units) and np.array_equal(left.piece.code, right.piece.code))


@given(st.data())
def test_many_directions_give_what_each_gives(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x = data.draw(
        points(net.dim_in)
    )  # as often as not on a boundary, where every direction enters its own cell
    rays = np.array([data.draw(points(net.dim_in).filter(np.any)) for _ in range(4)])
    hits = ray_exit(net, x, rays)
    assert isinstance(hits, tuple)
    assert all(_same(hit, ray_exit(net, x, ray)) for hit, ray in zip(hits, rays, strict=True))


@given(st.data())
def test_many_directions_of_a_slice_give_what_each_gives(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    plane = AffineMap(
        np.eye(net.dim_in, 2) + 0.25, data.draw(points(net.dim_in).filter(lambda p: abs(p).max() < 9))
    )
    w, rays = data.draw(points(2)), np.array([data.draw(points(2).filter(np.any)) for _ in range(3)])
    hits = ray_exit(net, w, rays, along=plane)
    assert all(_same(hit, ray_exit(net, w, ray, along=plane)) for hit, ray in zip(hits, rays, strict=True))


def test_many_directions_share_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    net = Network.from_layers([(rng.normal(size=(m, n)), rng.normal(size=m)) for n, m in ((4, 30), (30, 2))])
    rays, carried, forward = rng.normal(size=(50, 4)), [], []
    rates, place = pieces.AffinePiece.rates, pieces.enclose_pass
    monkeypatch.setattr(pieces.AffinePiece, "rates", lambda p, d: carried.append(len(d)) or rates(p, d))
    monkeypatch.setattr(pieces, "enclose_pass", lambda *a, **k: forward.append(1) or place(*a, **k))
    hits = ray_exit(net, rng.normal(size=4), rays)
    assert carried == [50]
    assert len(forward) <= 6
    assert len({id(hit.piece) for hit in hits}) == 1
    monkeypatch.setattr("polygeom.exits.BYTE_BUDGET", 32 * 4 * 30 * 20)
    again = ray_exit(net, hits[0].piece.witness, rays)
    assert carried[1:] == [20, 20, 10]
    assert all(map(_same, hits, again))


def test_bad_input_is_refused() -> None:
    net = Network.from_layers([([[1.0, 0]], [0]), ([[1.0]], [0])])
    with pytest.raises(InputError, match="zero vector"):
        ray_exit(net, [0, 0], [0, 0])
    with pytest.raises(InputError, match="direction 1 is the zero vector"):
        ray_exit(net, [0, 0], [[1, 0], [0, 0]])
    with pytest.raises(InputError, match="wanted"):
        ray_exit(net, [0, 0], [[1, 0, 0]])
    with pytest.raises(InputError, match="finite"):
        ray_exit(net, [0, 0], [[1, np.nan]])
    assert ray_exit(net, [0, 0], np.zeros((0, 2))) == ()
    with pytest.raises(InputError, match="k is"):
        nearest_boundaries(net, [0, 0], k=0)


def test_windows_that_compare_the_same_two_entries_coincide_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polygeom.rational_network.BUDGET", 0)
    rng = np.random.default_rng(2)
    mix = Dense(inputs=(0,), shapes=((3,),), shape=(3,), weight=rng.standard_normal((3, 3)))
    pool = MaxGate(inputs=(1,), shapes=((3,),), shape=(2,), index=np.array([[0, 1, 2], [2, 1, 0]]))
    hit = ray_exit(Network((mix, pool), (3,)), rng.standard_normal(3), rng.standard_normal(3))
    assert list(hit.units) == [0, 1]
    assert hit.level is Level.EXACT


@given(st.data())
def test_exits_without_rationals_agree_with_those_with(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x, v = data.draw(points(net.dim_in)), data.draw(points(net.dim_in).filter(np.any))
    expected = ray_exit(net, x, v)
    for shallow in (0, 10):  # doubled from the start, and floats first
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("polygeom.rational_network.BUDGET", 0)
            patch.setattr(stops, "SHALLOW", shallow)
            found = ray_exit(net, x, v)
        if len(found.piece.undecided):
            assert found.level is Level.CERTIFIED
            continue
        assert np.array_equal(found.piece.code, expected.piece.code)
        if expected.exact is None:
            assert found.level is Level.CERTIFIED or not len(found.units)
            continue
        assert found.bounds[0] <= expected.exact <= found.bounds[1]
        assert set(expected.units) <= set(found.units)
        if found.level is Level.EXACT:
            assert np.array_equal(found.units, expected.units)


@given(st.data())
def test_rays_without_rationals_are_the_same_together_and_alone(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x = data.draw(points(net.dim_in))
    v = np.stack([data.draw(points(net.dim_in).filter(np.any)) for _ in range(3)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polygeom.rational_network.BUDGET", 0)
        alone = [ray_exit(net, x, w) for w in v]
        together = ray_exit(net, x, v)
    for one, other in zip(alone, together, strict=True):
        if not len(one.piece.undecided) and not len(other.piece.undecided):
            assert np.array_equal(one.piece.code, other.piece.code)
            assert max(one.bounds[0], other.bounds[0]) <= min(one.bounds[1], other.bounds[1])


def test_deep_networks_are_decided_in_doubled_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    widths = [20] * 25 + [1]
    layers = [
        (rng.standard_normal((m, n)) * np.sqrt(2 / n), 0.1 * rng.standard_normal(m))
        for n, m in itertools.pairwise(widths)
    ]
    net, x, v = Network.from_layers(layers), rng.standard_normal(20), rng.standard_normal(20)
    expected = ray_exit(net, x, v)
    monkeypatch.setattr("polygeom.rational_network.BUDGET", 0)
    found = ray_exit(net, x, v)
    assert found.level is Level.EXACT
    assert np.array_equal(found.units, expected.units)
    assert found.bounds[0] <= expected.exact <= found.bounds[1]


def test_one_ray_through_an_image_classifier(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = inception.load(data / "models" / "inceptionv1" / "googlenet.safetensors")
    pictures = [data / "data" / "images" / n for n in ("n01440764_tench.jpg", "n01518878_ostrich.jpg")]
    pixels = inception.preprocess(pictures)
    entering = inception.entering(model, pixels, ["inception_3a"])["inception_3a"]
    x, y = np.asarray(entering, dtype=np.float64).reshape(2, -1)
    net = from_torch(model, pixels[:1], start="inception_3a", stop="logits")
    products = 0
    convolve = Convolution.linear

    def counted(step: Convolution, *values: np.ndarray) -> np.ndarray:
        nonlocal products
        products += 1
        return convolve(step, *values)

    monkeypatch.setattr(Convolution, "linear", counted)
    hit = ray_exit(net, x, y - x)
    assert hit.level is Level.EXACT
    assert len(hit.units) == 1
    assert hit.bounds[0] <= hit.t <= hit.bounds[1] < 1.01 * hit.bounds[0]
    # values, derivatives and their bounds: at most 16 products a convolution, in one walk
    assert products <= 16 * sum(isinstance(step, Convolution) for step in net.steps)
