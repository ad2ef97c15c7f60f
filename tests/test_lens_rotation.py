"""Scaling against rotating behind a LayerNorm: planted truths, the null model, what the output does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.errors import InputError
from polygeom.lens.rotation import (
    ArcSmoothness,
    CrossingRates,
    arc_smoothness,
    crossing_rates,
    permuted_weights,
)
from polygeom.models.transformer import NormedMLP, angular_crossings

SEEDS = st.integers(0, 2**32 - 1)


def some_block(
    rng: np.random.Generator, d: int = 8, m: int = 40, shift: float = 1.0, eps: float = 1e-5
) -> NormedMLP:
    W = rng.standard_normal((m, d))
    gain, offsets = 1 + 0.1 * rng.standard_normal(d), shift * rng.standard_normal(m)
    return NormedMLP(gain, np.zeros(d), eps, W, offsets, "relu", W.T, np.zeros(d))


# -- counts ------------------------------------------------------------------------------------------------------


@given(SEEDS)
def test_without_offsets_only_rotating_crosses_and_each_boundary_at_most_once(seed):
    rng = np.random.default_rng(seed)
    block, (X, Y) = some_block(rng, shift=0.0), rng.standard_normal((2, 5, 8))
    found = crossing_rates(block, X, {"other": Y})
    distances = [int(block.codes(pair).hamming()[0, 1]) for pair in zip(X, Y, strict=True)]
    assert not found.on_rays.any()
    assert not len(found.thresholds)
    assert found.rotated[0].tolist() == distances
    assert found.circle == pytest.approx(np.full(5, 80.0))  # every hyperplane twice


@given(SEEDS)
def test_codes_at_both_ends_bound_the_counts(seed):
    """A unit that flips twice is not seen at the ends: counts are at least the distance, and of its parity."""
    rng = np.random.default_rng(seed)
    block, (X, Y) = some_block(rng), rng.standard_normal((2, 5, 8))
    found = crossing_rates(block, X, {"other": Y})
    sizes = np.linalg.norm(X - X.mean(axis=1, keepdims=True), axis=1)
    turned = (Y - Y.mean(axis=1, keepdims=True)) * (
        sizes / np.linalg.norm(Y - Y.mean(axis=1, keepdims=True), axis=1)
    )[:, None]
    for k, (x, y) in enumerate(zip(X, turned, strict=True)):
        distance = int(block.codes([x, y]).hamming()[0, 1])
        assert found.rotated[0, k] >= distance
        assert (found.rotated[0, k] - distance) % 2 == 0
        ends = block.codes([0.5 * x, 2.0 * x])
        assert found.scaled[k] == int(ends.hamming()[0, 1])  # on a ray no unit flips twice


def test_without_epsilon_scaling_crosses_nothing():
    rng = np.random.default_rng(0)
    found = crossing_rates(some_block(rng, eps=0.0), *[rng.standard_normal((20, 8)), {}])
    assert not found.on_rays.any()
    assert found.radial().mean == 0
    assert found.touched().high < 0.3


def test_tokens_as_small_as_epsilon_are_where_scaling_crosses():
    rng = np.random.default_rng(0)
    block, X = some_block(rng, eps=1.0), rng.standard_normal((50, 8))
    found = crossing_rates(block, X, {})
    assert found.touched().low > 0.8
    assert 0.1 < np.median(found.thresholds) < 10
    assert found.radial().low > 0


# -- the null model ----------------------------------------------------------------------------------------------


def test_random_circles_and_radii_meet_as_many_as_foretold():
    """Counted on circles through pairs of Gaussian points of the hyperplane; four standard errors."""
    rng = np.random.default_rng(1)
    block, (X, Y) = some_block(rng, d=7, m=30, eps=0.0), rng.standard_normal((2, 1500, 7))
    found = crossing_rates(block, X[:1], {})
    y, z = block.normalized(X), block.normalized(Y)
    sideways = z - (z * y).sum(axis=1, keepdims=True) / 7 * y
    sideways *= np.sqrt(7) / np.linalg.norm(sideways, axis=1, keepdims=True)
    rows, offsets = block.folded.weights, block.folded.offsets
    reach = np.hypot(y @ rows.T, sideways @ rows.T)
    on_circles = 2.0 * (reach > np.abs(offsets)).sum(axis=1)
    z_end = y @ rows.T + offsets
    on_radii = (np.sign(z_end) != np.sign(offsets)).sum(axis=1)
    for counts, expected in ((on_circles, found.circle[0]), (on_radii, found.radius[0])):
        assert abs(counts.mean() - expected) < 4 * counts.std() / np.sqrt(len(counts))


def test_hyperplanes_that_miss_the_ball_are_met_by_nothing():
    block = some_block(np.random.default_rng(0))
    far = replace(block, b_in=np.full(40, 1e6))
    found = crossing_rates(far, *[np.random.default_rng(1).standard_normal((3, 8)), {}])
    assert found.share_meeting == 0
    assert not found.circle.any()
    assert not found.radius.any()


def test_permuted_weights_are_the_same_numbers():
    block = some_block(np.random.default_rng(0))
    other = permuted_weights(block, np.random.default_rng(1))
    for name in ("W_in", "b_in", "W_out", "b_out"):
        assert np.array_equal(
            np.sort(getattr(block, name), axis=None), np.sort(getattr(other, name), axis=None)
        )
    assert not np.array_equal(block.W_in, other.W_in)
    assert np.array_equal(block.gamma, other.gamma)


# -- the output along arcs ---------------------------------------------------------------------------------------


def test_parts_of_arcs_add_up():
    rng = np.random.default_rng(0)
    block, (X, Y) = some_block(rng), rng.standard_normal((2, 10, 8))
    found = arc_smoothness(block, X, Y, parts=16)
    arcs = [angular_crossings(block, x, y) for x, y in zip(X, Y, strict=True)]
    assert found.flips.sum(axis=1).tolist() == [arc.n_flips for arc in arcs]
    assert found.angles.tolist() == [arc.angle for arc in arcs]
    for k, (x, arc) in enumerate(zip(X, arcs, strict=True)):
        size = np.linalg.norm(x - x.mean()) / np.linalg.norm(arc.start)
        path = found.speed[k].sum() * arc.angle / 16
        whole = np.linalg.norm(block(size * arc.point(arc.angle)) - block(x))
        assert whole / path == pytest.approx(found.straightness[k])
    assert (found.straightness <= 1 + 1e-12).all()


def test_a_block_that_bends_at_one_place_is_found_out():
    """One ReLU: off on one side of its boundary, where the output stands still."""
    W = np.array([[1.0, -1.0, 0.0]])
    block = NormedMLP(np.ones(3), np.zeros(3), 0.0, W, [0.0], "relu", W.T, np.zeros(3))
    found = arc_smoothness(block, [[-1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]], parts=8)
    (part,) = np.flatnonzero(found.flips[0])
    assert not found.speed[0, :part].any()
    assert found.speed[0, part:].all()
    assert abs(int(found.bend[0].argmax()) + 1 - part) <= 1


def test_bends_go_with_boundaries_of_the_same_arc():
    rng = np.random.default_rng(0)
    found = arc_smoothness(some_block(rng), *rng.standard_normal((2, 60, 8)))
    assert found.correlation("bend").low > found.by_chance("bend").high


# -- files and input ---------------------------------------------------------------------------------------------


def test_results_come_back_from_their_files(tmp_path):
    rng = np.random.default_rng(0)
    block, (X, Y) = some_block(rng), rng.standard_normal((2, 4, 8))
    for found in (crossing_rates(block, X, {"other": Y}), arc_smoothness(block, X, Y)):
        found.save(tmp_path / "kept.npz")
        again = type(found).load(tmp_path / "kept.npz")
        assert repr(again) == repr(found)
    assert isinstance(again, ArcSmoothness)
    assert "other" in repr(crossing_rates(block, X, {"other": Y}))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda b, X: crossing_rates(b, X, {"other": X[:2]}), "2 targets 'other' for 4 tokens"),
        (lambda b, X: crossing_rates(b, X[:, :5], {}), "tokens"),
        (lambda b, X: crossing_rates(b, X, {}, octaves=0), "octaves"),
        (lambda b, X: crossing_rates(b, X, {"other": X}), "multiples"),
        (lambda b, X: crossing_rates(b, X, {}).angular("words"), "'words'"),
        (lambda b, X: arc_smoothness(b, X, X[::-1], parts=2), "3 or more"),
        (lambda b, X: arc_smoothness(b, X, X[:3]), "3 targets"),
        (lambda b, X: arc_smoothness(b, X, X[::-1]).correlation("length"), "'length'"),
    ],
)
def test_bad_input_is_named(call, said):
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=said):
        call(some_block(rng), rng.standard_normal((4, 8)))


def test_kinds_are_kept_apart():
    rng = np.random.default_rng(0)
    block, (X, Y, Z) = some_block(rng), rng.standard_normal((3, 6, 8))
    found = crossing_rates(block, X, {"a": Y, "b": Z})
    assert isinstance(found, CrossingRates)
    alone = crossing_rates(block, X, {"b": Z})
    assert found.angular("b").mean == alone.angular("b").mean
    assert found.over_null("b").mean == pytest.approx(
        np.log(alone.rotated[0] / alone.angles[0] / (alone.circle / (2 * np.pi))).mean()
    )
