"""Rays from the origin: against walks in Fractions, and what holds beyond the last boundary."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import polygeom as pg
from polygeom.certificates import Level
from polygeom.errors import InputError
from polygeom.models import toy
from polygeom.testing import any_networks, points
from tests.oracles import exact_walk


def scaled(net: pg.Network, x: np.ndarray, t: Fraction) -> np.ndarray:
    return exact_walk(net, [t * Fraction(float(a)) for a in x])[1]


def modest(x: np.ndarray) -> bool:
    return bool(x.any()) and 2.0**-50 < abs(x).max() < 2.0**50


@st.composite
def rays(draw: st.DrawFn) -> tuple[pg.Network, np.ndarray, pg.ScalingCrossings]:
    net = draw(any_networks())
    x = draw(points(net.dim_in).filter(modest))
    try:
        return net, x, pg.scaling_crossings(net, x)
    except InputError:  # overflow, or boundaries beyond 2**200, of weights around 1e160
        assume(False)


@given(rays())
def test_the_last_cell_holds_the_rest_of_the_ray(case):
    net, x, ray = case
    assert ray.is_forever is True
    assert ray.check()
    assert ray.check().level is Level.EXACT
    last, final = Fraction(ray.hits.reach[1]), ray.hits.code(len(ray.hits))
    for t in (last * 2, last * 3**40, last * 2**900):
        assert np.array_equal(scaled(net, x, t), final)


@given(rays())
def test_every_boundary_is_confirmed_on_both_sides(case):
    net, x, ray = case
    hits = ray.hits
    places = [Fraction(0), *(hits.exact(i) for i in range(len(hits))), Fraction(hits.reach[1])]
    assert places == sorted(set(places))
    for i, (begin, end) in enumerate(pairwise(places)):
        for share in (Fraction(1, 10**9), Fraction(1, 2), 1 - Fraction(1, 10**9)):
            assert np.array_equal(scaled(net, x, begin + share * (end - begin)), hits.code(i))
    if len(hits):
        assert (ray.first, ray.last) == (hits.t[0], hits.t[-1])
    else:
        assert (ray.first, ray.last) == (np.inf, 0.0)


@given(rays(), st.floats(0.01, 30))
def test_a_shorter_ray_has_the_first_of_the_boundaries(case, t_max):
    net, x, ray = case
    short = pg.scaling_crossings(net, x, t_max)
    before = [i for i in range(len(ray.hits)) if ray.hits.exact(i) < Fraction(t_max)]
    assert len(short.hits) == len(before)
    assert all(short.hits.exact(i) == ray.hits.exact(i) for i in before)
    left = [i for i in range(len(ray.hits)) if ray.hits.exact(i) >= Fraction(t_max)]
    if any(ray.hits.exact(i) > Fraction(t_max) for i in left):
        assert short.is_forever is False
        assert not short.check()


@given(st.integers(0, 2**16))
def test_without_biases_scaling_crosses_nothing(seed):
    rng = np.random.default_rng(seed)
    layers = [(rng.standard_normal((m, n)), None) for n, m in ((3, 8), (8, 8), (8, 2))]
    ray = pg.scaling_crossings(pg.Network.from_layers(layers), rng.standard_normal(3))
    assert (len(ray.hits), ray.is_forever, ray.around) == (0, True, (0.0, np.inf))


@given(st.integers(0, 2**16))
def test_one_layer_is_crossed_where_the_closed_form_says(seed):
    rng = np.random.default_rng(seed)
    W, b, x = rng.standard_normal((20, 4)), rng.standard_normal(20), rng.standard_normal(4)
    ray = pg.scaling_crossings(pg.Network.from_layers([(W, b), (np.ones((1, 20)), [0])]), x)
    expected = -b / (W @ x)
    assert ray.hits.t == pytest.approx(np.sort(expected[expected > 0]))
    low, high = ray.around
    assert low == pytest.approx(expected[(expected > 0) & (expected < 1)].max(initial=0.0))
    assert high == pytest.approx(expected[expected > 1].min(initial=np.inf))


def test_scaling_the_point_scales_the_places():
    rng = np.random.default_rng(2)
    net, x = toy.he([3, 12, 12, 2], rng), rng.standard_normal(3)
    ray, double = pg.scaling_crossings(net, x), pg.scaling_crossings(net, 4 * x)
    assert np.array_equal(ray.hits.t, 4 * double.hits.t)


def test_classes_along_a_ray_are_those_of_the_outputs():
    rng = np.random.default_rng(1)
    net, x = toy.he([3, 16, 16, 6], rng), rng.standard_normal(3)
    hits = pg.scaling_crossings(net, x, classes=True).hits
    cuts = np.concatenate([[0], hits.class_t, [hits.reach[1]]])
    middles = 0.5 * (cuts[1:] + cuts[:-1])
    assert net(middles[:, None] * x).argmax(axis=1).tolist() == hits.classes.tolist()
    assert len(hits.class_t)


def test_a_forged_end_is_refuted():
    net = pg.Network.from_layers([([[1, 0], [0, 1]], [-1, -2]), ([[1, 1]], [0])])
    short = pg.scaling_crossings(net, [1, 1], t_max=1.5)
    forged = replace(short, is_forever=True)
    assert not forged.check()
    other = pg.Network.from_layers([([[1, 0], [0, 1]], [-1, -200]), ([[1, 1]], [0])])
    ray = pg.scaling_crossings(net, [1, 1])
    assert not replace(ray, hits=replace(ray.hits, network=other)).check()


def test_bad_input_is_refused():
    net = pg.Network.from_layers([([[1.0, 0]], [-1]), ([[1.0]], [0])])
    with pytest.raises(InputError, match="x is 0"):
        pg.scaling_crossings(net, [0, 0])
    with pytest.raises(InputError, match="finite"):
        pg.scaling_crossings(net, [0, np.nan])
    with pytest.raises(InputError, match="shape"):
        pg.scaling_crossings(net, [1, 2, 3])
    for t_max in (0, -1, np.inf, np.nan, "far", True):
        with pytest.raises(InputError, match="t_max is"):
            pg.scaling_crossings(net, [1, 0], t_max)
    with pytest.raises(InputError, match="nearly parallel"):
        pg.scaling_crossings(net, [2.0**-300, 1])
