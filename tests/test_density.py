"""Density of boundaries: exact counts over lengths, and samples that never see more."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import polygeom as pg
from polygeom.certificates import Level
from polygeom.errors import InputError
from polygeom.lines.segments import crossings_on
from polygeom.models import toy
from polygeom.testing import any_networks, points

TOUCHING = pg.Network.from_layers([([[1], [-1]], [0, 0]), ([[1, 1]], [0]), ([[1]], [0])])
"""|x| behind a ReLU, which is off at 0 alone."""


@st.composite
def segments(draw: st.DrawFn) -> tuple[pg.Network, np.ndarray, np.ndarray]:
    net = draw(any_networks())
    a, b = draw(points(net.dim_in)), draw(points(net.dim_in))
    assume(not np.array_equal(a, b))
    return net, a, b


def swept(net: pg.Network, a: np.ndarray, b: np.ndarray) -> pg.LineCrossings:
    try:
        return pg.line_crossings(net, a, b)
    except InputError:  # an overflow of weights around 1e160
        assume(False)


@given(segments(), st.integers(2, 9))
@example((TOUCHING, np.array([-1.0]), np.array([1.0])), 3)
@example((TOUCHING, np.array([0.0]), np.array([1.0])), 2)
def test_samples_never_see_more_than_there_is(segment, samples):
    net, a, b = segment
    hits = swept(net, a, b)
    exact, seen = pg.density(hits), pg.sampled_density(net, a, b, samples)
    assert (seen.flips <= exact.flips).all()
    assert (seen.level, seen.samples, exact.samples) == (Level.SAMPLED, samples, None)
    assert exact.level is Level.EXACT
    assert exact.flips.sum() == hits.n_flips


@given(st.integers(0, 2**16))
def test_samples_between_all_boundaries_see_all_of_two_letters(seed):
    """A sample in every piece: each flip of a unit with two letters is seen."""
    rng = np.random.default_rng(seed)
    net, (a, b) = toy.he([2, 6, 6, 1], rng), 2 * rng.standard_normal((2, 2))
    hits = pg.line_crossings(net, a, b)
    shortest = np.diff(hits.cuts).min()
    assume(shortest > 1 / 3000)
    seen = pg.sampled_density(net, a, b, int(1 / shortest) + 3)
    assert np.array_equal(seen.flips, pg.density(hits).flips)


@given(segments())
def test_lengths_lie_between_their_bounds(segment):
    net, a, b = segment
    exact = pg.density(swept(net, a, b))
    low, high = (Fraction(bound) for bound in exact.bounds)
    matrix = pg.AffineMap.segment(a, b).matrix[:, 0]
    square = sum(Fraction(float(x)) ** 2 for x in matrix)
    assert low**2 <= square <= high**2
    assert exact.bounds[0] <= exact.length <= exact.bounds[1]
    if square > Fraction(2) ** -1900:
        assert high - low <= low / 2**40


def test_layers_are_told_apart():
    rng = np.random.default_rng(0)
    net, (a, b) = toy.he([3, 10, 20, 2], rng), 2 * rng.standard_normal((2, 3))
    hits = pg.line_crossings(net, a, b)
    exact = pg.density(hits)
    layer = hits.flips[1] >= 10
    assert exact.flips.tolist() == [(~layer).sum(), layer.sum()]
    assert exact.gates == tuple(gate.path for gate in net.gates)
    assert exact.total == pytest.approx(hits.n_flips / np.linalg.norm(b - a))
    assert sum(exact.by_gate.values()) == pytest.approx(exact.total)


def test_one_layer_is_seen_whole_by_its_ends():
    rng = np.random.default_rng(1)
    net, (a, b) = toy.he([3, 40, 2], rng), rng.standard_normal((2, 3))
    exact, seen = pg.density(pg.line_crossings(net, a, b)), pg.sampled_density(net, a, b)
    assert np.array_equal(seen.flips, exact.flips)
    assert exact.flips.sum() > 5
    codes = pg.spline_codes(net, np.stack([a, b]))
    assert seen.flips.sum() == codes.hamming()[0, 1]


def test_a_stopped_line_has_the_density_of_what_was_swept():
    rng = np.random.default_rng(2)
    net, (a, b) = toy.he([3, 64, 64, 2], rng), rng.standard_normal((2, 3))
    whole = pg.line_crossings(net, a, b)
    half = pg.density(crossings_on(net, whole.line, (0.25, 0.75)))
    assert half.length == pytest.approx(np.linalg.norm(b - a) / 2)
    assert half.flips.sum() == sum(len(u) for t, u in whole if 0.25 < t < 0.75)


@given(segments(), st.integers(2, 4))
def test_many_segments_give_what_each_gives(segment, samples):
    net, a, b = segment
    stops = np.stack([b, 0.5 * a + 0.25 * b, 1.0 + a + b])
    assume(np.isfinite(stops).all() and (stops != a).any(axis=1).all())
    together = pg.sampled_density(net, a, stops, samples)
    back = pg.sampled_density(net, stops, a, samples)
    assert isinstance(together, tuple)
    for stop, one, reverse in zip(stops, together, back, strict=True):
        alone = pg.sampled_density(net, a, stop, samples)
        assert np.array_equal(one.flips, alone.flips)
        assert one.length == alone.length
        assert reverse.length == alone.length


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(5)
    net, (a, b) = toy.he([3, 30, 30, 2], rng), rng.standard_normal((2, 7, 3))
    whole = pg.sampled_density(net, a, b, 5)
    monkeypatch.setattr("polygeom.lines.density.points_at_once", lambda net: 11)
    assert all(
        map(np.array_equal, (d.flips for d in whole), (d.flips for d in pg.sampled_density(net, a, b, 5)))
    )
    assert len(whole) == 7


def test_bad_input_is_refused():
    net = toy.he([3, 4, 2], np.random.default_rng(0))
    a, b = np.zeros(3), np.ones(3)
    with pytest.raises(InputError, match="wanted what line_crossings returns"):
        pg.density(net)
    with pytest.raises(InputError, match="same point"):
        pg.sampled_density(net, a, a)
    with pytest.raises(InputError, match="same point"):
        pg.sampled_density(net, a, np.stack([b, a]))
    with pytest.raises(InputError, match="2 starts and 3 stops"):
        pg.sampled_density(net, np.zeros((2, 3)), np.ones((3, 3)))
    with pytest.raises(InputError, match="finite"):
        pg.sampled_density(net, a, [1, 2, np.nan])
    with pytest.raises(InputError, match="start has shape"):
        pg.sampled_density(net, np.zeros(4), b)
    for samples in (1, 0, -3, 2.5, True, "many"):
        with pytest.raises(InputError, match="samples is"):
            pg.sampled_density(net, a, b, samples)


def test_gates_of_functional_activations_are_told_apart():
    import torch

    class Functional(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = torch.nn.Linear(2, 3), torch.nn.Linear(3, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.second(torch.relu(self.first(x))))

    torch.manual_seed(0)
    net = pg.from_torch(Functional().eval(), torch.zeros(1, 2))
    assert net.gate_names == (":0", ":1")
    found = pg.density(pg.line_crossings(net, [-9, 1], [9, 2]))
    assert found.flips.all()
    assert sum(found.by_gate.values()) == pytest.approx(found.total)
