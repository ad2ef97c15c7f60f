"""Statistical claims: counted exactly, refutable, and re-checked from their witnesses."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import polygeom as pg
from polygeom.claims import Outcome, Verdict, ensembles, estimates, initialization, registry, statistics
from polygeom.claims.estimates import Estimate, binomial, bootstrapped, is_there, together
from polygeom.errors import InputError
from polygeom.lens import density, pairing, places, scaling
from polygeom.models import toy
from polygeom.models.toy import trained

FOUND = {
    "crossings-init": Outcome.HOLDS,
    "density-classes": Outcome.HOLDS,
    "permuted-labels": Outcome.HOLDS,
    "class-changes": Outcome.FAILS,
    "scaling-range": Outcome.HOLDS,
    "polysemantic-neurons": Outcome.HOLDS,
}
"""What was found on the ensembles of seed 0."""

TRAINED = [name for name in FOUND if name != "crossings-init"]
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Verdict]:
    """Every statistical claim, judged once."""
    return dict(pg.verify_all(toy.named("quick"), ids=FOUND, name="quick"))


# -- verdicts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "outcome"), FOUND.items())
def test_a_claim_has_its_outcome_and_says_on_what(verdicts, name, outcome):
    verdict = verdicts[name]
    assert verdict.outcome is outcome, verdict
    assert verdict.as_expected
    assert verdict.level is pg.Level.SAMPLED
    assert "the network given" in verdict.text
    assert "refuted if" in registry[name].settled_by
    check = verdict.check()
    assert check
    assert check.level is pg.Level.SAMPLED


def test_the_network_given_does_not_matter(verdicts):
    other = pg.verify("scaling-range", net=toy.xor())
    assert other.text == verdicts["scaling-range"].text


@pytest.mark.parametrize("name", TRAINED)
def test_an_interval_holds_its_effect_and_stands_in_the_text(verdicts, name):
    numbers = verdicts[name].numbers
    assert numbers["low"] < numbers["contrast"] < numbers["high"]
    assert f"{np.exp(numbers['contrast']):.2f} [{np.exp(numbers['low']):.2f}" in verdicts[name].text


@pytest.mark.parametrize("name", TRAINED)
def test_a_witness_with_other_numbers_or_networks_is_refused(verdicts, name):
    witness = verdicts[name].witness
    sample = witness.data["sample"].copy()
    sample[0, 0] = np.nextafter(sample[0, 0], np.inf)
    networks = (witness.data["networks"][1], *witness.data["networks"][1:])
    for lie in ({"sample": sample}, {"networks": networks}, {"outcome": Outcome.UNDECIDED}):
        assert not replace(witness, data={**witness.data, **lie}).holds(), lie.keys()


def test_a_witness_of_other_crossings_is_refused(verdicts):
    witness = verdicts["crossings-init"].witness
    counted = witness.data["crossings"]
    rates = (np.zeros_like(counted.rates[0]), *counted.rates[1:])
    lies = (
        {"crossings": replace(counted, flips=(counted.flips[0] + 1, *counted.flips[1:]))},
        {"crossings": replace(counted, rates=rates)},
        {"weights": witness.data["weights"][::-1] + 1},
        {"outcome": Outcome.FAILS},
    )
    for lie in lies:
        assert not replace(witness, data={**witness.data, **lie}).holds()


def test_a_seed_is_an_ensemble_of_its_own():
    one, two = (
        initialization.draw(pg.claims.Instance(toy.xor(), seed=s).rng("crossings-init")) for s in (0, 1)
    )
    assert not np.array_equal(one["first"][0], two["first"][0])
    a, b = (ensembles.trainings(s, "real")[0].networks[0] for s in (0, 1))
    assert not a.is_same(b)


def test_without_scikit_learn_the_question_stays_open(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    found = pg.verify_all(toy.xor(), ids=["class-changes", "partition"], seed=987)
    assert found["class-changes"].outcome is Outcome.UNDECIDED
    assert found["class-changes"].error is None
    assert "polygeom[lens]" in found["class-changes"].text
    assert found["class-changes"].outcome is Outcome.UNDECIDED
    assert found["partition"].outcome is Outcome.HOLDS


# -- what would refute them ------------------------------------------------------------------------------------


def test_density_classes_does_not_hold_of_permuted_labels(monkeypatch):
    monkeypatch.setattr(statistics, "trainings", lambda seed, _: ensembles.trainings(seed, "permuted"))
    assert pg.verify("density-classes", net=toy.xor()).outcome is not Outcome.HOLDS


def test_classes_taken_for_each_other_refute_density_classes(monkeypatch):
    monkeypatch.setattr(statistics, "partners", lambda *given: pairing.partners(*given)[:, [0, 2, 1]])
    assert pg.verify("density-classes", net=toy.xor()).outcome is Outcome.FAILS


def test_labels_taken_for_each_other_refute_permuted_labels(monkeypatch):
    other = {"real": "permuted", "permuted": "real"}
    monkeypatch.setattr(statistics, "trainings", lambda seed, of: ensembles.trainings(seed, other[of]))
    assert pg.verify("permuted-labels", net=toy.xor()).outcome is Outcome.FAILS


def test_shuffled_classes_refute_polysemantic_neurons(monkeypatch):
    def shuffled(seed: int, labels: str) -> tuple[trained.Training, ...]:
        rng = np.random.default_rng(0)
        return tuple(
            replace(t, classes=rng.permutation(t.classes)) for t in ensembles.trainings(seed, labels)
        )

    monkeypatch.setattr(statistics, "trainings", shuffled)
    assert pg.verify("polysemantic-neurons", net=toy.xor()).outcome is Outcome.FAILS


def test_networks_without_class_changes_decide_nothing_on_them(monkeypatch):
    """One class wins everywhere: there is nothing to look around."""

    def constant(net: pg.Network) -> pg.Network:
        layers = [(s.weight, s.constant) for s in net.steps[::2]]
        return pg.Network.from_layers([*layers[:-1], (0 * layers[-1][0], np.arange(10.0))])

    def changeless(seed: int, labels: str) -> tuple[trained.Training, ...]:
        found = ensembles.trainings(seed, labels)
        return tuple(replace(one, networks=tuple(map(constant, one.networks))) for one in found)

    monkeypatch.setattr(statistics, "trainings", changeless)
    for name in ("class-changes", "scaling-range"):
        verdict = pg.verify(name, net=toy.xor())
        assert verdict.outcome is Outcome.UNDECIDED
        assert verdict.level is None


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("expected_share", lambda segment, *scales: 1.1 * TRUE_SHARE(segment, *scales)),
        ("expected_share", lambda segment, w, b: TRUE_SHARE(segment, w, 0.0)),
        ("bound_per_unit", lambda segment, density: 0.25 * TRUE_BOUND(segment, density)),
    ],
    ids=["a share too large", "biases forgotten", "a bound too small"],
)
def test_wrong_formulas_are_refuted_by_the_same_crossings(verdicts, monkeypatch, name, wrong):
    crossings = verdicts["crossings-init"].witness.data["crossings"]
    assert crossings.decide() is Outcome.HOLDS
    monkeypatch.setattr(initialization, name, wrong)
    assert crossings.decide() is Outcome.FAILS


TRUE_SHARE, TRUE_BOUND = initialization.expected_share, initialization.bound_per_unit


# -- counts ----------------------------------------------------------------------------------------------------


@given(seed=SEEDS, scale=st.sampled_from([0.0, 0.5, 2.0]))
def test_first_layers_flip_where_letters_at_the_ends_differ(seed, scale):
    rng = np.random.default_rng(seed)
    weights, biases = rng.normal(size=(5, 3, 2)), rng.normal(scale=scale, size=(5, 3))
    segment = rng.normal(size=2), rng.normal(size=2)
    flips = initialization.flips_of_layers(weights, biases, segment)
    assert flips == initialization.parted_units(weights, biases, segment)


def test_the_bound_is_sharp_in_the_first_layer_where_biases_cover_the_segment():
    """With uniform biases beyond all pre-activations the density is C everywhere on the way."""
    segment, reach = (np.array([0.25, -0.5]), np.array([-0.5, 0.25])), 4.0
    rng = np.random.default_rng(0)
    nets = [toy.uniform((2, 8, 1), rng, reach) for _ in range(2000)]
    rate = bootstrapped(initialization.flips_per_unit(nets, segment))
    assert rate.low < initialization.bound_per_unit(segment, 1 / (2 * reach)) < rate.high
    assert rate.high - rate.low < 0.2 * rate.mean


@given(seed=SEEDS)
def test_the_contrast_of_one_layer_is_that_of_hamming_distances(seed):
    """A unit of one layer flips at most once on a segment, exactly if the codes of the ends differ."""
    rng = np.random.default_rng(seed)
    net, inputs, classes = toy.he((2, 8, 1), rng), rng.normal(size=(6, 2)) * 3, np.array([0, 0, 0, 1, 1, 1])
    rows = pairing.partners(classes, rng, 6)
    letters = pg.spline_codes(net, inputs).letters
    flips = (letters[:, None] != letters).sum(axis=2)
    length = np.linalg.norm(inputs[:, None] - inputs, axis=2)
    near, far = (np.mean(flips[rows[:, 0], rows[:, k]] / length[rows[:, 0], rows[:, k]]) for k in (1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.log(far / near)
    assert density.class_contrast(net, inputs, rows) == pytest.approx(expected, rel=1e-12, nan_ok=True)


@given(seed=SEEDS)
def test_partners_are_others_of_the_same_and_of_another_class(seed):
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(3), 4)
    first, same, other = pairing.partners(classes, rng, 10).T
    assert len(set(first)) == 10
    assert (first != same).all()
    assert (classes[first] == classes[same]).all()
    assert (classes[first] != classes[other]).all()


@given(seed=SEEDS)
def test_evenly_spread_flips_have_no_contrast_around_changes(seed):
    rng = np.random.default_rng(seed)
    spread = (np.arange(1000) + 0.5) / 1000
    lines = [(spread, rng.uniform(size=3)) for _ in range(4)]
    own, specific = places.around_changes(lines, 0.1, (0.0, 1.0))
    assert own == pytest.approx(0, abs=0.02)
    assert specific == pytest.approx(0, abs=0.02)


def test_crowded_changes_are_told_from_crowded_places():
    spread = (np.arange(100) + 0.5) / 100
    crowd = np.concatenate([spread, np.full(100, 0.5)])
    place = [(crowd, np.array([0.5]))] * 5  # all lines have many flips there
    own, specific = places.around_changes(place, 0.05, (0.0, 1.0))
    assert own == pytest.approx(np.log(110 / 0.1 / 200))
    assert specific == 0
    change = [
        (np.concatenate([spread, np.full(100, c)]), np.array([c])) for c in (0.125, 0.375, 0.625, 0.875)
    ]
    own, specific = places.around_changes(change, 0.0625, (0.0, 1.0))
    assert own > 1
    assert specific == pytest.approx(np.log(9), rel=0.2)  # 112 or 113 flips against 12 or 13


def test_windows_end_where_lines_do():
    spread = (np.arange(100) + 0.5) / 100
    own, _ = places.around_changes([(spread, np.array([0.0, 1.0]))] * 2, 0.1, (0.0, 1.0))
    assert own == pytest.approx(0)


def test_behind_the_first_layer_the_network_goes_on_as_before():
    rng = np.random.default_rng(0)
    net, x = toy.he((3, 5, 4, 2), rng), rng.normal(size=(7, 3))
    rest, activations = scaling.behind_first_layer(net, x)
    assert np.allclose(rest(activations), net(x), rtol=1e-14)
    assert rest.n_units == 4


def test_behind_the_first_gate_of_any_kind():
    rng = np.random.default_rng(0)
    layers = [(rng.normal(size=(n, m)), rng.normal(size=n)) for m, n in ((3, 4), (4, 2), (2, 2))]
    net, x = pg.Network.from_layers(layers, "leaky_relu", 0.25), rng.normal(size=(5, 3))
    rest, activations = scaling.behind_first_layer(net, x)
    assert (activations < 0).any()
    assert np.array_equal(rest(activations), net(x))
    assert np.array_equal(pg.spline_codes(rest, activations).letters, pg.spline_codes(net, x).letters[:, 4:])


@pytest.mark.parametrize("net", [pg.Network.from_layers([([[1.0]], [0.0])]), toy.maxima()])
def test_networks_that_do_not_go_on_behind_their_first_gate_are_refused(net):
    with pytest.raises(InputError, match="first gate"):
        scaling.behind_first_layer(net, np.zeros((1, net.dim_in)))


# -- intervals -------------------------------------------------------------------------------------------------


def test_bootstrap_intervals_of_eight_cover_as_often_as_documented():
    rng = np.random.default_rng(0)
    intervals = [bootstrapped(rng.normal(size=8)) for _ in range(600)]
    covered = np.mean([one.low <= 0 <= one.high for one in intervals])
    assert 0.91 < covered < 0.97  # 94 percent, standard error 1


@settings(max_examples=25)
@given(st.lists(st.integers(-50, 50), min_size=4, max_size=10, unique=True), st.integers(-4, 4))
def test_an_interval_holds_the_mean_and_moves_with_the_sample(values, shift):
    sample = np.array(values, dtype=np.float64)
    here, there = bootstrapped(sample), bootstrapped(sample + shift)
    assert here.low <= here.mean <= here.high
    assert there.mean - here.mean == pytest.approx(shift)
    assert there.low - here.low == pytest.approx(shift, abs=1e-9)


@pytest.mark.parametrize("sample", [[1.0, 1.0, 1.0], [1.0, np.nan, 2.0], [1.0, -np.inf, 2.0]])
def test_a_sample_without_an_interval_decides_nothing(sample):
    assert is_there(bootstrapped(np.array(sample))) is Outcome.UNDECIDED


@given(st.integers(1, 200), st.data())
def test_a_binomial_interval_is_the_set_of_frequencies_that_are_not_rejected(trials, data):
    from scipy.stats import binom

    successes = data.draw(st.integers(0, trials))
    share = binomial(successes, trials, 0.95)
    assert share.low <= share.mean <= share.high
    if successes:
        assert binom.sf(successes - 1, trials, share.low) == pytest.approx(0.025, rel=1e-6)
    if successes < trials:
        assert binom.cdf(successes, trials, share.high) == pytest.approx(0.025, rel=1e-6)


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1))
@example(0.0, 0.0, 0.0)
def test_an_effect_is_there_or_not_as_its_interval_lies(low, high, least):
    low, high = sorted((low, high))
    outcome = is_there(Estimate((low + high) / 2, low, high, 8), least)
    assert (outcome is Outcome.HOLDS) == (low > least)
    assert (outcome is Outcome.UNDECIDED) == (low <= least <= high)


@given(st.lists(st.sampled_from([Outcome.HOLDS, Outcome.FAILS, Outcome.UNDECIDED]), min_size=1))
def test_a_claim_of_several_effects_is_as_good_as_the_worst(outcomes):
    order = [Outcome.FAILS, Outcome.UNDECIDED, Outcome.HOLDS]
    assert together(outcomes) is min(outcomes, key=order.index)


def test_the_least_effect_is_five_percent():
    assert np.exp(estimates.LEAST) == pytest.approx(1.05)
