"""Density within and between classes, places and profiles, and scaling."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import polygeom as pg
from polygeom.errors import InputError
from polygeom.lens.density import (
    ClassDensity,
    TrainingDensity,
    class_contrast,
    class_density,
    sampled_class_density,
    training_density,
)
from polygeom.lens.distances import euclidean_distances
from polygeom.lens.estimates import bootstrapped, sign_flips
from polygeom.lens.pairing import matched_partners, partners
from polygeom.lens.places import Profile, around_changes, line_contrasts, profile
from polygeom.lens.scaling import Scaling, nearest_changes, scale_activations
from polygeom.lens.segments import follow_segments
from polygeom.lines import segments as segments_module
from polygeom.models import toy
from polygeom.models.toy.trained import digits

SEEDS = st.integers(0, 2**32 - 1)


def small(seed: int) -> tuple[pg.Network, np.ndarray, np.ndarray]:
    """Return a network, inputs, and a class for each."""
    rng = np.random.default_rng(seed)
    return toy.he((2, 6, 5, 3), rng), 2 * rng.normal(size=(12, 2)), np.repeat([0, 1, 2], 4)


# -- partners ----------------------------------------------------------------------------------------------------


@given(SEEDS)
def test_matched_partners_are_the_nearest_in_length(seed):
    rng = np.random.default_rng(seed)
    X, classes = rng.normal(size=(15, 2)), np.repeat([0, 1, 2], 5)
    E = euclidean_distances(X)
    for a, same, other in matched_partners(classes, E, rng, 15):
        assert classes[a] == classes[same] != classes[other]
        off = np.abs(E[a, classes != classes[a]] - E[a, same])
        assert np.abs(E[a, other] - E[a, same]) == off.min()


def test_inputs_alone_in_their_class_lead_nowhere_but_are_led_to():
    rows = np.concatenate([partners(np.array([0, 0, 1]), np.random.default_rng(s), 2) for s in range(5)])
    assert set(rows[:, 0].tolist()) == {0, 1}
    assert set(rows[:, 2].tolist()) == {2}


@pytest.mark.parametrize(("classes", "n"), [([0, 0, 0], 1), ([0, 1, 2], 1), ([0, 0, 1, 1], 5)])
def test_too_few_inputs_with_company_are_named(classes, n):
    with pytest.raises(InputError, match="another of their class"):
        partners(np.array(classes), np.random.default_rng(0), n)
    with pytest.raises(InputError, match="another of their class"):
        matched_partners(np.array(classes), np.zeros((len(classes),) * 2), np.random.default_rng(0), n)


def test_distances_of_other_inputs_are_named():
    with pytest.raises(InputError, match=r"\(3, 3\)"):
        matched_partners(np.array([0, 0, 1, 1]), np.zeros((3, 3)), np.random.default_rng(0), 2)


# -- segments ----------------------------------------------------------------------------------------------------


@given(SEEDS)
def test_segments_are_those_that_line_crossings_follows(seed):
    net, X, _ = small(seed)
    pairs = np.array([[0, 5], [3, 7], [2, 11]])
    found = follow_segments(net, X, pairs, classes=True)
    gates = [g.path for g in net.gates]
    for i, (a, b) in enumerate(pairs):
        hits = pg.line_crossings(net, X[a], X[b], classes=True)
        flips, changes = found.places()[i]
        assert (flips == hits.t[hits.flips[0]]).all()
        assert (changes == hits.class_t).all()
        assert found.density()[i] == pytest.approx(pg.density(hits).total)
        for gate in gates:
            assert found.density(gate)[i] == pytest.approx(pg.density(hits).by_gate[gate])
            assert len(found.places(gate)[i][0]) == found.flips[i, gates.index(gate)]
    assert found.flips.sum() == len(found.t)


@given(SEEDS)
def test_sampled_densities_are_never_above_the_exact_ones(seed):
    net, X, classes = small(seed)
    rows = partners(classes, np.random.default_rng(seed), 8)
    exact = class_density(net, X, rows).density()
    sampled = sampled_class_density(X, pg.spline_codes(net, X), rows)
    assert (sampled <= exact * 1.001).all()
    flips = np.round(sampled * np.linalg.norm(X[rows[:, [0]]] - X[rows[:, 1:]], axis=2))
    assert (flips % 1 == 0).all()


def test_contrast_and_effect_of_a_planted_wall():
    """Boundaries lie between the classes only: 20 parallel walls at x = 0."""
    walls = np.linspace(-0.25, 0.25, 20)
    net = pg.Network.from_layers([(np.tile([[1.0, 0.0]], (20, 1)), walls), (np.ones((1, 20)), None)])
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 2)) * [0.125, 1] + np.repeat([[-2, 0], [2, 0]], 10, axis=0)
    found = class_density(net, X, partners(np.repeat([0, 1], 10), rng, 20))
    within, between = found.density().T
    assert (within == 0).all()
    assert (found.segments.flips.reshape(-1, 2)[:, 1] == 20).all()
    assert found.contrast() == np.inf
    assert np.isnan(found.effect().low)
    assert between.min() > 3


@given(SEEDS)
def test_classes_taken_for_each_other_turn_the_contrast_around(seed):
    net, X, classes = small(seed)
    rows = partners(classes, np.random.default_rng(seed), 6)
    one, other = (class_contrast(net, X, r) for r in (rows, rows[:, [0, 2, 1]]))
    assert one == pytest.approx(-other, nan_ok=True) or not np.isfinite(one)


def test_the_effect_of_one_network_is_over_its_rows():
    training = digits((48, 48), at=(60,), images=120)
    rows = partners(training.classes, np.random.default_rng(0), 60)
    found = class_density(training.networks[0], training.inputs, rows)
    effect = found.effect()
    logs = np.log(found.density()[:, 1] / found.density()[:, 0])
    assert effect.mean == pytest.approx(logs.mean())
    assert effect.low < effect.mean < effect.high
    assert effect.n == 60


def test_spent_seconds_and_interrupts_keep_what_was_finished(monkeypatch):
    net, X, classes = small(0)
    rows = partners(classes, np.random.default_rng(0), 6)
    whole = class_density(net, X, rows)
    clock = iter(np.arange(0, 100, 1.0))
    with monkeypatch.context() as patch:
        patch.setattr("polygeom.lens.segments.monotonic", lambda: next(clock))
        some = class_density(net, X, rows, classes=True, budget=pg.Budget(seconds=6))
    assert some.segments.stopped == "seconds"
    assert len(some.segments) == 4  # of five segments the odd one is dropped
    assert (some.density() == whole.density()[:2]).all()
    assert len(some.segments.t) == some.segments.flips.sum()
    with monkeypatch.context() as patch:
        patch.setattr("polygeom.lens.segments.monotonic", iter([0.0, 9.0]).__next__)
        with pytest.raises(InputError, match="seconds"):
            follow_segments(net, X, [[0, 1]], budget=pg.Budget(seconds=6))


def test_a_line_that_stops_ends_the_segments(monkeypatch):
    net, X, _ = small(0)
    calls, real = [], segments_module.crossings_on

    def stopping(*args, **kwargs):
        hits = real(*args, **kwargs)
        calls.append(1)
        if len(calls) == 3:
            object.__setattr__(hits, "stopped", "interrupt")
        return hits

    monkeypatch.setattr("polygeom.lens.segments.crossings_on", stopping)
    found = follow_segments(net, X, [[0, 1], [0, 2], [0, 3], [0, 4]])
    assert (len(found), found.stopped) == (2, "interrupt")
    assert "stopped (interrupt)" in repr(found)


@pytest.mark.parametrize(
    ("pairs", "word"),
    [([[0, 99]], "99"), ([[0, -1]], "input"), ([[0.5, 1]], "integers"), (np.zeros((0, 2), int), "0")],
)
def test_pairs_that_are_none_are_named(pairs, word):
    net, X, _ = small(0)
    with pytest.raises(InputError, match=word):
        follow_segments(net, X, pairs)
    with pytest.raises(InputError, match="no gate"):
        follow_segments(net, X, [[0, 1]]).density("nowhere")
    with pytest.raises(InputError, match="11 points"):
        sampled_class_density(X[1:], pg.spline_codes(net, X), [[0, 1, 2]])


def test_densities_come_back_from_a_file(tmp_path):
    net, X, classes = small(0)
    found = class_density(net, X, partners(classes, np.random.default_rng(0), 6), classes=True)
    found.save(tmp_path / "density.npz")
    back = ClassDensity.load(tmp_path / "density.npz")
    assert (back.density() == found.density()).all()
    assert [tuple(map(list, p)) for p in back.segments.places()] == [
        tuple(map(list, p)) for p in found.segments.places()
    ]


# -- parts, and what is kept on disk ------------------------------------------------------------------------------


@given(SEEDS)
def test_parts_of_segments_have_the_flips_of_the_whole_between_them(seed):
    net, X, _ = small(seed)
    pairs = np.array([[0, 5], [3, 7]])
    whole = follow_segments(net, X, pairs, classes=True)
    cuts = np.array([0.3, 0.6])
    first = follow_segments(net, X, pairs, classes=True, reach=np.column_stack([0 * cuts, cuts]))
    rest = follow_segments(net, X, pairs, classes=True, reach=np.column_stack([cuts, 0 * cuts + 1]))
    assert (first.flips + rest.flips == whole.flips).all()  # no boundary lies on a cut, with probability 1
    assert first.lengths == pytest.approx(cuts * whole.lengths)
    for (one, here), (other, there), (flips, changes) in zip(
        first.places(), rest.places(), whole.places(), strict=True
    ):
        assert np.allclose(np.concatenate([one, other]), flips)
        assert np.allclose(np.concatenate([here, there]), changes)


@pytest.mark.parametrize("reach", [(0.5, 0.5), (-0.1, 1.0), (0.0, 1.1), [[0.0, 1.0]] * 3, (0.0, np.nan), 0.5])
def test_a_reach_that_is_none_is_named(reach):
    net, X, _ = small(0)
    with pytest.raises(InputError, match="reach"):
        follow_segments(net, X, [[0, 1], [2, 3]], reach=reach)


def test_a_segment_between_equal_inputs_is_refused():
    net, X, _ = small(0)
    with pytest.raises(InputError, match="same point"):
        follow_segments(net, np.vstack([X, X[0]]), [[0, 12]])


@pytest.fixture
def counted(monkeypatch):
    """Count the lines that are swept, by segments and by scaling."""
    swept, real = [], segments_module.crossings_on

    def counting(*args, **kwargs):
        swept.append(1)
        return real(*args, **kwargs)

    for module in ("segments", "scaling"):
        monkeypatch.setattr(f"polygeom.lens.{module}.crossings_on", counting)
    return swept


def test_segments_that_were_finished_are_read_from_disk(counted, tmp_path):
    net, X, _ = small(0)
    pairs = np.array([[0, 5], [3, 7], [2, 11]])
    fresh = follow_segments(net, X, pairs, classes=True)
    follow_segments(net, X, pairs[:2], classes=True, cache=tmp_path)
    again = follow_segments(net, X, pairs, classes=True, cache=tmp_path)
    assert len(counted) == 3 + 2 + 1
    for name in ("pairs", "lengths", "flips", "t", "gate", "ends", "class_t", "class_ends", "undecided"):
        assert np.array_equal(getattr(again, name), getattr(fresh, name))
    assert again.gates == fresh.gates


def test_another_question_is_not_answered_from_disk(counted, tmp_path):
    net, X, _ = small(0)
    asked = ({}, {"classes": True}, {"reach": (0.0, 0.5)})
    for how in asked * 2:
        follow_segments(net, X, [[0, 5]], cache=tmp_path, **how)
    follow_segments(small(1)[0], X, [[0, 5]], cache=tmp_path)
    follow_segments(net, X[::-1], [[0, 5]], cache=tmp_path)
    assert len(counted) == len(asked) + 2


def test_a_broken_file_counts_as_absent(counted, tmp_path):
    net, X, _ = small(0)
    found = [follow_segments(net, X, [[0, 5]], cache=tmp_path)]
    (file,) = tmp_path.rglob("*.npz")
    for broken in (b"", file.read_bytes()[:-40]):
        file.write_bytes(broken)
        found.append(follow_segments(net, X, [[0, 5]], cache=tmp_path))
    assert len(counted) == 3
    assert all(np.array_equal(one.t, found[0].t) for one in found)
    assert [path.name for path in tmp_path.rglob("*.*")] == [file.name]


def test_rays_that_were_finished_are_read_from_disk(counted, tmp_path):
    rng = np.random.default_rng(0)
    net, x = toy.he((3, 6, 2), rng), rng.normal(size=(4, 3))
    fresh = scale_activations(net, x)
    scale_activations(net, x[1:3], cache=tmp_path)
    again = scale_activations(net, x, cache=tmp_path)
    scale_activations(net, x[:1], octaves=2, cache=tmp_path)
    assert len(counted) == 4 + 2 + 2 + 1
    for name in vars(fresh):
        assert np.array_equal(getattr(again, name), getattr(fresh, name), equal_nan=name == "cosine")


# -- training ----------------------------------------------------------------------------------------------------


def test_densities_along_training_are_those_of_each_network(tmp_path):
    trainings = [digits((8, 8), seed=s, at=(0, 40), images=60) for s in range(3)]
    found = training_density(trainings, np.random.default_rng(0), 10)
    rng = np.random.default_rng(0)
    for i, one in enumerate(trainings):
        rows = partners(one.classes, rng, 10)
        for k, net in enumerate(one.networks):
            assert found.contrasts()[i, k] == pytest.approx(class_contrast(net, one.inputs, rows))
            for gate in found.gates:
                by_gate = class_density(net, one.inputs, rows).contrast(gate)
                assert found.contrasts(gate)[i, k] == pytest.approx(by_gate)
    growth = found.contrasts()[:, 1] - found.contrasts()[:, 0]
    assert found.growth().mean == pytest.approx(growth.mean())
    found.save(tmp_path / "training.npz")
    assert (TrainingDensity.load(tmp_path / "training.npz").densities == found.densities).all()


def test_trainings_that_differ_are_refused():
    one, other = (digits((w,), at=(0,), images=40) for w in (4, 5))
    two = digits((4, 4), at=(0,), images=40)
    assert training_density([one, other], np.random.default_rng(0), 4).densities.shape == (2, 1, 1, 2)
    for trainings in ([one, two], []):
        with pytest.raises(InputError, match="kinds"):
            training_density(trainings, np.random.default_rng(0), 4)
    with pytest.raises(InputError, match="labels"):
        training_density([one], np.random.default_rng(0), 4, "names")
    for what in (None, 3, [one, one.networks[0]]):
        with pytest.raises(InputError, match="among trainings"):
            training_density(what, np.random.default_rng(0), 4)
    for n in (0, 2.5):
        with pytest.raises(InputError, match="n is"):
            training_density([one], np.random.default_rng(0), n)


# -- places ------------------------------------------------------------------------------------------------------


@given(SEEDS)
def test_a_profile_counts_every_flip_once(seed):
    rng = np.random.default_rng(seed)
    lines = [(rng.uniform(size=rng.integers(1, 30)), rng.uniform(size=rng.integers(0, 3))) for _ in range(5)]
    found = profile(lines, bins=7)
    widths = np.diff(found.edges)
    assert (found.flips * widths).sum() * 5 == pytest.approx(sum(len(f) for f, _ in lines))
    assert (found.changes * widths).sum() * 5 == pytest.approx(sum(len(c) for _, c in lines))


def test_profiles_tell_crowded_changes_from_crowded_places(tmp_path):
    spread = (np.arange(200) + 0.5) / 200
    at = (0.25, 0.375, 0.625, 0.75)
    lines = [(np.concatenate([spread, np.full(100, c)]), np.array([c])) for c in at]
    found = profile(lines, bins=9, half=0.09)
    middle = found.near[4] / found.elsewhere[4]
    assert middle > 20
    assert np.allclose(np.delete(found.near / found.elsewhere, 4), 1, atol=0.3)
    crowd = [(np.concatenate([spread, np.full(100, 0.5)]), np.array([0.5]))] * 4
    assert np.allclose(profile(crowd, bins=9, half=0.09).near, profile(crowd, bins=9, half=0.09).elsewhere)
    found.save(tmp_path / "profile.npz")
    assert (Profile.load(tmp_path / "profile.npz").near == found.near).all()


def test_one_line_has_no_others_to_compare_with():
    line = [(np.array([0.25, 0.5]), np.array([0.5]))]
    assert np.isnan(profile(line).elsewhere).all()
    assert np.isnan(around_changes(line, 0.125, (0.0, 1.0))[1])


def test_windows_and_lines_that_cannot_be_are_refused():
    line = [(np.array([0.25, 0.5]), np.array([0.5]))]
    for contrast in (around_changes, line_contrasts):
        with pytest.raises(InputError, match="no lines"):
            contrast([], 0.125, (0.0, 1.0))
        with pytest.raises(InputError, match="half"):
            contrast(line, -0.125, (0.0, 1.0))
        with pytest.raises(InputError, match="ascending"):
            contrast(line, 0.125, (1.0, 0.0))
    with pytest.raises(InputError, match="no lines"):
        profile([])
    with pytest.raises(InputError, match="bins"):
        profile(line, bins=2.5)


@given(SEEDS)
def test_contrasts_line_by_line_add_up_to_the_whole(seed):
    rng = np.random.default_rng(seed)
    lines = [(np.sort(rng.uniform(size=40)), rng.uniform(0.25, 0.75, size=1)) for _ in range(6)]
    alone = line_contrasts(lines[:1] + [(f, c[:0]) for f, c in lines[1:]], 0.25, (0.0, 1.0))
    pooled = around_changes([lines[0], *((f, c[:0]) for f, c in lines[1:])], 0.25, (0.0, 1.0))
    assert alone[0] == pytest.approx(pooled)
    assert line_contrasts(lines, 0.25, (0.0, 1.0)).shape == (6, 2)


# -- scaling -----------------------------------------------------------------------------------------------------


@given(SEEDS)
def test_scaling_agrees_with_the_network_at_every_scale(seed):
    rng = np.random.default_rng(seed)
    net, x = toy.he((3, 6, 5, 4), rng), rng.normal(size=(3, 3))
    found = scale_activations(net, x, octaves=3, samples=13)
    t = 2.0**found.octaves
    for i in range(3):
        outputs = net(t[:, None] * x[i])
        clear = np.sort(outputs, axis=1)[:, -1] > np.sort(outputs, axis=1)[:, -2] + 1e-9
        assert (outputs.argmax(axis=1) == found.classes[i])[clear].all()
        letters = pg.spline_codes(net, t[:, None] * x[i]).letters
        assert np.allclose((letters != letters[6]).mean(axis=1), found.code_change[i])
        assert (found.code_change[i] * net.n_units <= found.crossings[i] + 1e-9).all()
        assert found.cosine[i, 6] == pytest.approx(1)
        inside = (found.octaves > found.class_range[i, 0]) & (found.octaves < found.class_range[i, 1])
        assert len(set(found.classes[i, inside])) == 1
        same = (found.octaves > found.code_range[i, 0]) & (found.octaves < found.code_range[i, 1])
        assert (found.crossings[i, same] == 0).all()


@given(SEEDS)
def test_rays_meet_what_scaling_from_the_origin_meets(seed):
    """The sweep from 0 on is another one: it begins in another cell."""
    rng = np.random.default_rng(seed)
    net, x = toy.he((3, 6, 5, 4), rng), rng.normal(size=3)
    found = scale_activations(net, x[None], octaves=2)
    ray = pg.scaling_crossings(net, x, 4.0, classes=True).hits
    flips, changes = np.log2(ray.t[ray.flips[0]]), np.log2(ray.class_t)
    assert found.flip_u == pytest.approx(flips[flips > -2])
    assert found.change_u == pytest.approx(changes[changes > -2])
    assert found.undecided.tolist() == [0]


def test_without_biases_scaling_changes_nothing():
    rng = np.random.default_rng(0)
    found = scale_activations(toy.bias_free((3, 6, 6, 2), rng), rng.normal(size=(4, 3)))
    assert not found.crossings.any()
    assert not found.code_change.any()
    assert np.allclose(found.cosine, 1)
    assert found.kept(3.9).all()


def test_scaling_comes_back_from_a_file(tmp_path):
    rng = np.random.default_rng(0)
    found = scale_activations(toy.he((3, 6, 2), rng), rng.normal(size=(4, 3)))
    found.save(tmp_path / "scaling.npz")
    back = Scaling.load(tmp_path / "scaling.npz")
    assert repr(back) == repr(found)
    assert all(
        (a == c).all() and (b == d).all()
        for (a, b), (c, d) in zip(found.places(), back.places(), strict=True)
    )


def test_rays_that_were_finished_are_kept(monkeypatch):
    rng = np.random.default_rng(0)
    net, x = toy.he((3, 6, 2), rng), rng.normal(size=(4, 3))
    with monkeypatch.context() as patch:
        patch.setattr("polygeom.lens.scaling.monotonic", iter(np.arange(9.0)).__next__)
        found = scale_activations(net, x, budget=pg.Budget(seconds=3))
    assert (len(found), found.stopped) == (2, "seconds")
    assert (found.crossings == scale_activations(net, x[:2]).crossings).all()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"samples": 4}, "odd"),
        ({"samples": 5.0}, "samples"),
        ({"octaves": 0}, "octaves"),
        ({"octaves": 2000}, "octaves"),
        ({"octaves": "4"}, "octaves"),
        ({"activations": np.zeros((1, 3))}, "0"),
    ],
)
def test_scaling_that_cannot_be_is_named(change, word):
    net = toy.he((3, 6, 2), np.random.default_rng(0))
    with pytest.raises(InputError, match=word):
        scale_activations(**({"net": net, "activations": np.ones((1, 3))} | change))


def test_nearest_changes_end_where_scaling_does():
    assert nearest_changes(np.zeros(0), 4.0) == (-4.0, 4.0)


# -- null models -------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=7))
def test_signs_at_random_come_out_as_all_signs_do(values):
    sample = np.array(values, dtype=np.float64)
    signs = np.array(list(product([-1, 1], repeat=len(sample))))
    exact = (np.abs(signs @ sample) >= abs(sample.sum())).mean()
    assert sign_flips(sample) == pytest.approx(exact, abs=0.025)  # five standard errors of 9999 draws


def test_groups_that_mean_nothing_are_seldom_told_apart():
    rng = np.random.default_rng(0)
    p = np.array([sign_flips(rng.normal(size=20)) for _ in range(200)])
    assert 0.01 <= (p < 0.05).mean() <= 0.1
    assert sign_flips(rng.normal(size=20) + 2) < 0.001


def test_no_values_have_no_interval():
    for few in ([], [1.0]):
        found = bootstrapped(np.array(few))
        assert np.isnan([found.low, found.high]).all()
        assert found.n == len(few)


def test_rows_of_two_inputs_are_refused():
    with pytest.raises(InputError, match="partners"):
        sampled_class_density(np.eye(2), np.eye(2, dtype=int), [[0, 1]])


def test_values_that_are_no_numbers_are_no_evidence():
    for odd in ([np.nan, 1.0, 2.0], [np.inf, -np.inf, 2.0], []):
        assert np.isnan(sign_flips(np.array(odd)))


def test_equal_sums_count_as_equal_in_every_order():
    sample = np.array([0.1, 0.1, 0.1, 0.7, -0.1, -0.1])  # half of all signs have a sum as far from 0
    assert sign_flips(sample) == pytest.approx(0.5, abs=0.025)
    assert sign_flips(sample[::-1]) == pytest.approx(0.5, abs=0.025)


@pytest.mark.parametrize(("n", "most"), [(2, 0.5), (3, 0.75), (5, 0.9375)])
def test_few_values_do_not_have_intervals_of_the_nominal_confidence(n, most):
    rng = np.random.default_rng(0)
    found = [bootstrapped(sample) for sample in rng.normal(size=(150, n))]
    covering = np.mean([one.low < 0 < one.high for one in found])
    assert covering <= most + 3 * np.sqrt(most * (1 - most) / 150)


@pytest.mark.parametrize(
    ("points", "rows", "match"),
    [
        ([[0.0], [0.0], [1.0]], [[0, 1, 2]], "same"),
        ([[0.0], [2.0], [1.0]], [[0, 1, 3]], "there are 3"),
        ([[0.0], [2.0], [1.0]], [[0, 1, -1]], "there are 3"),
        ([0.0, 2.0, 1.0], [[0, 1, 2]], "points"),
    ],
)
def test_densities_between_points_that_are_no_two_are_refused(points, rows, match):
    with pytest.raises(InputError, match=match):
        sampled_class_density(points, np.array([[0], [0], [1]]), rows)


def test_distances_to_match_by_are_finite_and_may_be_lists():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="distances"):
        matched_partners([0, 0, 1, 1], np.full((4, 4), np.nan), rng, 2)
    assert matched_partners([0, 0, 1, 1], np.ones((4, 4)).tolist(), rng, 4).shape == (4, 3)


def test_profiles_of_nothing_are_refused():
    places = [(np.array([0.1]), np.array([0.5]))]
    for wrong, match in (({"half": -0.25}, "half"), ({"reach": (1.0, 0.0)}, "reach")):
        with pytest.raises(InputError, match=match):
            profile(places, **wrong)
