"""Directions of codes, composition, baselines, levels: planted truth is found, null models find nothing."""

from __future__ import annotations

import numpy as np
import pytest

import polygeom as pg
from polygeom.errors import InputError
from polygeom.lens.baseline import LinearBaseline, linear_baseline
from polygeom.lens.cluster_tree import condensed_tree
from polygeom.lens.composition import Composition, compose, input_changes, rank_correlations
from polygeom.lens.directions import (
    METHODS,
    DirectionFit,
    compare_directions,
    fit_directions,
    matched_cosine,
    shuffled_codes,
)
from polygeom.lens.distances import euclidean_distances
from polygeom.lens.interaction import VANISHES, interactions
from polygeom.lens.levels import (
    ClustersByDirections,
    CodeLevels,
    _clusters_at,
    clusters_by_directions,
    code_levels,
)
from polygeom.lens.planted import Planted, planted

SEEDS = range(6)


def observed(seed: int, **kind: object) -> tuple[Planted, np.ndarray, np.ndarray, np.random.Generator]:
    """Return two planted circuits, inputs, their codes, and the generator that goes on."""
    rng = np.random.default_rng(seed)
    known = planted(rng, **kind)
    X = rng.standard_normal((400, known.network.dim_in)) * 1.5
    return known, X, pg.spline_codes(known.network, X).letters, rng


def best_fit(codes: np.ndarray, n: int, method: str = "nmf") -> DirectionFit:
    """Return the one of five fits that explains most: the usual remedy for starts that end badly."""
    return max(
        (fit_directions(codes, n, method, seed) for seed in range(5)), key=lambda fit: fit.explained(codes)
    )


def purity(known: Planted, fit: DirectionFit) -> float:
    """Return the mean share of a direction's units that are of its main circuit."""
    counts = [[np.isin(d.units, own).sum() for own in known.circuits] for d in fit.directions() if len(d)]
    return float(np.mean([max(c) / sum(c) for c in counts if sum(c)]))


# -- directions ------------------------------------------------------------------------------------------------


def test_directions_lie_within_planted_circuits_and_those_of_shuffled_codes_do_not():
    found, null = [], []
    for seed in SEEDS:
        known, _, codes, rng = observed(seed)
        found.append(purity(known, best_fit(codes, 6)))
        null.append(purity(known, best_fit(shuffled_codes(codes, rng), 6)))
    assert np.mean(found) > 0.95
    assert np.mean(null) < 0.8


@pytest.mark.parametrize("seed", SEEDS)
def test_directions_of_two_circuits_do_not_interact_by_proof(seed):
    known, _, codes, _ = observed(seed)
    directions = [d for d in best_fit(codes, 6).directions() if len(known.circuit_of(d.units)) == 1]
    circuit = np.array([min(known.circuit_of(d.units)) for d in directions])
    assert set(circuit) == {0, 1}
    found = interactions(known.network, codes[:5], directions)
    across = circuit[:, None] != circuit
    assert np.isin(found.known[across], [VANISHES, 2]).all()
    assert all(len(set(circuit[list(members)])) == 1 for members in found.components())


@pytest.mark.parametrize("method", METHODS)
def test_letters_are_predicted_from_those_of_other_units_but_not_if_shuffled(method):
    _, _, codes, rng = observed(1)
    found = compare_directions(codes, 4, rng, [method], n_seeds=2)
    assert found.predicted[0].mean() > 0.2 > 0.0 > found.predicted[1].mean()
    assert found.encoded[0].mean() > found.encoded[1].mean()
    assert found.encoded[0].mean() >= found.predicted[0].mean()
    assert f"{method}: stability" in str(found)


def test_seeds_matter_so_that_stability_means_something():
    _, _, codes, rng = observed(0)
    for method in METHODS:
        shuffled = shuffled_codes(codes, rng)
        fits = [fit_directions(shuffled, 6, method, seed) for seed in (0, 1)]
        assert matched_cosine(*fits) < 1 - 1e-3
        assert matched_cosine(fits[0], fit_directions(shuffled, 6, method, 0)) == pytest.approx(1.0)


def test_shuffling_keeps_how_often_letters_occur():
    _, _, codes, rng = observed(0)
    shuffled = shuffled_codes(codes, rng)
    assert np.array_equal(shuffled.sum(axis=0), codes.sum(axis=0))
    assert not np.array_equal(shuffled, codes)


def test_letters_beyond_on_and_off_have_columns_of_their_own():
    codes = np.array([[0, 2], [1, 1], [2, 0]] * 5, dtype=np.uint8)
    fit = fit_directions(codes, 3)
    assert fit.units.tolist() == [0, 0, 0, 1, 1, 1]
    assert sorted(str(d) for d in fit.directions()) == [f"CodeDirection(0:{k} 1:{2 - k})" for k in range(3)]


def test_constant_units_are_listed_and_in_no_direction():
    codes = np.array([[0, 1, 0], [0, 0, 1]] * 5, dtype=np.uint8)
    fit = fit_directions(codes, 2)
    assert fit.constant.tolist() == [0]
    assert all(0 not in d.units for d in fit.directions())


@pytest.mark.parametrize(
    ("codes", "n", "method", "message"),
    [
        (np.zeros((9, 3), dtype=np.uint8), 2, "nmf", "one letter at all 9 points"),
        (np.eye(3, dtype=np.uint8), 4, "nmf", "4 directions were asked of 3 codes"),
        (np.eye(3, dtype=np.uint8), 0, "nmf", "0 directions"),
        (np.eye(3, dtype=np.uint8), 2, "pca", "method is 'pca'"),
        (np.eye(3), 2, "nmf", r"letters \(N, n_units\)"),
    ],
)
def test_what_cannot_be_factored_is_refused(codes, n, method, message):
    with pytest.raises(InputError, match=message):
        fit_directions(codes, n, method)


# -- composition -----------------------------------------------------------------------------------------------


def test_adding_directions_of_different_circuits_is_much_less_wrong():
    """The positive control: what does not interact composes, up to how well inputs are told apart by samples."""
    across, within = [], []
    for seed in SEEDS:
        known, X, codes, rng = observed(seed, width=6, dim=2)
        fit = best_fit(codes, 8)
        found = compose(known.network, fit, X, rng, n_exact=0)
        kept = zip(fit.directions(), input_changes(fit, X), strict=True)
        circuits = [known.circuit_of(d.units) for d, change in kept if len(d) and change.any()]
        for j, k in found.pairs:
            if len(circuits[j]) == len(circuits[k]) == 1:
                (within if circuits[j] == circuits[k] else across).append(found.error[j, k])
    assert np.mean(within) > 2 * np.mean(across)


def test_exact_second_differences_keep_to_their_bound_and_results_are_saved(tmp_path):
    known, X, codes, rng = observed(0)
    found = compose(known.network, best_fit(codes, 4), X, rng, n_exact=5)
    assert (found.exact.tightness <= 1).all()
    assert found.exact.composing <= found.exact.vanishing <= len(found.exact.tightness) == 5
    found.save(tmp_path / "found.npz")
    again = Composition.load(tmp_path / "found.npz")
    assert np.array_equal(again.error, found.error, equal_nan=True)
    assert again.exact.vanishing == found.exact.vanishing
    assert str(again) == str(found)


def test_changes_have_one_length_and_lie_mostly_along_a_circuits_inputs():
    shares = []
    for seed in SEEDS:
        known, X, codes, _ = observed(seed)
        fit = best_fit(codes, 6)
        changes = input_changes(fit, X)
        lengths = np.linalg.norm(changes, axis=1)
        assert np.ptp(lengths[lengths > 0]) == pytest.approx(0.0)
        for direction, change in zip(fit.directions(), changes, strict=True):
            owners = known.circuit_of(direction.units)
            if len(owners) == 1 and change.any():
                shares.append((change[known.inputs[min(owners)]] ** 2).sum() / (change**2).sum())
    assert min(shares) > 0.5
    assert np.mean(shares) > 0.9


def test_rank_correlations_say_over_how_many_networks():
    found = []
    for seed in range(3):
        known, X, codes, rng = observed(seed)
        found.append(compose(known.network, best_fit(codes, 6), X, rng, n_exact=0))
    estimates = rank_correlations(found)
    assert estimates["cosine"].n == 3
    assert -1 <= estimates["cosine"].mean <= 1
    assert rank_correlations([])["interaction"].n == 0


def test_codes_that_say_nothing_of_the_inputs_have_no_changes():
    """Shuffled codes: a lift that is there by chance is not scaled up to the length of the others."""
    _, X, codes, rng = observed(0)
    null = fit_directions(shuffled_codes(codes, rng), 6)
    assert np.count_nonzero(input_changes(null, X).any(axis=1)) <= 1


def test_inputs_and_codes_must_fit():
    known, X, codes, rng = observed(0)
    with pytest.raises(InputError, match="7 inputs were given"):
        compose(known.network, best_fit(codes, 4), X[:7], rng)


# -- affine baselines ------------------------------------------------------------------------------------------


def test_an_affine_network_needs_no_polytopes_and_a_bent_one_does(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 2))
    affine = pg.Network.from_layers([(rng.standard_normal((4, 2)), np.full(4, 50.0)), (np.eye(4), None)])
    bent = pg.Network.from_layers(
        [(rng.standard_normal((16, 2)), None), (rng.standard_normal((3, 16)), None)]
    )
    none, some = (linear_baseline(net, X, rng, n_segments=10) for net in (affine, bent))
    assert none.unexplained.max() == pytest.approx(0.0)
    assert none.missed_changes == 0.0
    assert none.class_errors.max() == 0.0
    assert some.unexplained[0] > 0.05
    assert some.unexplained[1] == pytest.approx(0.0)
    some.save(tmp_path / "baseline.npz")
    assert str(LinearBaseline.load(tmp_path / "baseline.npz")) == str(some)


def test_a_baseline_on_too_few_points_or_a_constant_output_is_refused():
    rng = np.random.default_rng(0)
    net = planted(rng).network
    with pytest.raises(InputError, match="any output on so few points"):
        linear_baseline(net, rng.standard_normal((16, 2)), rng)
    flat = pg.Network.from_layers([([[1.0, 0.0]], None), ([[0.0]], [1.0])])
    with pytest.raises(InputError, match="nothing to explain"):
        linear_baseline(flat, rng.standard_normal((40, 2)), rng)


# -- clusters and levels ---------------------------------------------------------------------------------------


def blobs(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    centers = np.array([[-3.0, -3.0], [-3.0, 3.0], [3.0, -3.0], [3.0, 3.0]])
    labels = np.repeat(np.arange(4), 30)
    return labels, centers[labels] + rng.standard_normal((120, 2)) / 4


def test_a_cluster_that_is_a_conjunction_needs_two_directions(tmp_path):
    """Quadrants are x > 0 and y > 0: of four directions (x on, x off, y on, y off) one tells less than two."""
    rng = np.random.default_rng(0)
    labels, X = blobs(rng)
    codes = np.column_stack([np.repeat(X[:, :1] > 0, 4, axis=1), np.repeat(X[:, 1:] > 0, 4, axis=1)]).astype(
        np.uint8
    )
    found = clusters_by_directions(labels, codes, best_fit(codes, 4), rng)
    assert (found.explained[0, :, 1] > found.explained[0, :, 0] + 0.1).all()
    assert found.whole[0].mean() > found.whole[1].mean() - 1e-3
    found.save(tmp_path / "clusters.npz")
    assert np.array_equal(ClustersByDirections.load(tmp_path / "clusters.npz").chosen, found.chosen)


def test_all_noise_is_refused_with_the_count():
    codes = np.random.default_rng(0).integers(0, 2, (20, 4)).astype(np.uint8)
    fit = fit_directions(codes, 2)
    with pytest.raises(InputError, match="20 of 20 points are noise"):
        clusters_by_directions(np.full(20, -1), codes, fit, np.random.default_rng(0))
    with pytest.raises(InputError, match="3 labels were given for 20"):
        clusters_by_directions([0, 0, 0], codes, fit, np.random.default_rng(0))


def test_cells_that_are_the_clusters_agree_with_the_tree_and_shuffled_ones_do_not(tmp_path):
    rng = np.random.default_rng(0)
    _, X = blobs(rng)
    net = pg.Network.from_layers([([[1, 0]], None), ([[1]], None), ([[1]], None)])
    codes = (X > 0).astype(np.uint8)  # the first letter halves, the second quarters
    found = code_levels(net, codes, X, rng)
    assert found.cells.tolist() == [2, 4]
    assert found.agreement[0, 1].max() == 1.0
    assert found.agreement[0, 1].max() > found.agreement[0, 0].max() > found.agreement[1].max()
    assert (np.diff(found.cells) >= 0).all()
    assert found.correlation[0, 1] > 0.5 > abs(found.correlation[1, 1])
    found.save(tmp_path / "levels.npz")
    assert str(CodeLevels.load(tmp_path / "levels.npz")) == str(found)


def test_the_tree_has_the_clusters_of_hdbscan():
    """At some split of the condensed tree the parts are those that scikit-learn selects on clear blobs."""
    from sklearn.cluster import HDBSCAN
    from sklearn.metrics import adjusted_rand_score

    labels, X = blobs(np.random.default_rng(1))
    selected = HDBSCAN(min_cluster_size=5, copy=True).fit(X).labels_
    tree = condensed_tree(euclidean_distances(X), 5, 5)
    best = max(adjusted_rand_score(selected, _clusters_at(tree, at)) for at in np.unique(tree.births[1:]))
    assert best > 0.95
    assert adjusted_rand_score(labels, selected) > 0.9


def test_points_without_structure_or_too_few_are_no_error_or_a_clear_one():
    net = pg.Network.from_layers([([[1.0]], [0]), ([[1.0]], [0])])
    x = np.linspace(-1, 1, 12)[:, None]
    alone = code_levels(net, (x > 0).astype(np.uint8), x, np.random.default_rng(0), min_cluster_size=6)
    assert alone.agreement.shape[:2] == (2, 1)
    with pytest.raises(InputError, match="3 points were given"):
        code_levels(net, (x[:3] > 0).astype(np.uint8), x[:3], np.random.default_rng(0))


# -- what makes no sense is told, not answered --------------------------------------------------------------------


def composed(seed: int) -> Composition:
    rng = np.random.default_rng(seed)
    net, X = planted(rng).network, rng.standard_normal((100, 2))
    return compose(net, fit_directions(pg.spline_codes(net, X), 4), X, rng, n_inputs=10, n_exact=0)


def test_rank_correlations_are_those_of_all_results_however_they_are_given():
    found = [composed(seed) for seed in range(3)]
    listed = rank_correlations(found)
    assert repr(rank_correlations(one for one in found)) == repr(listed)
    alone = next(one for one in found if np.isfinite(one.rank_correlation))
    single = rank_correlations([alone])["interaction"]
    assert (single.mean, single.n) == (alone.rank_correlation, 1)
    assert np.isnan(single.low)


def test_membership_in_the_one_cluster_of_all_points_is_nothing_to_explain():
    codes = np.array([[1, 1, 0], [0, 0, 1]] * 10, dtype=np.uint8)
    fit, rng = fit_directions(codes, 2), np.random.default_rng(0)
    with pytest.raises(InputError, match="one cluster"):
        clusters_by_directions(np.zeros(20, dtype=int), codes, fit, rng, most=1)
    with pytest.raises(InputError, match="integers"):
        clusters_by_directions(["a"] * 20, codes, fit, rng, most=1)
    with pytest.raises(InputError, match="most"):
        clusters_by_directions([0, 1] * 10, codes, fit, rng, most="1")
    with pytest.raises(InputError, match="DirectionFit"):
        clusters_by_directions([0, 1] * 10, codes, None, rng, most=1)


@pytest.mark.parametrize(("least", "samples"), [(0, 2), (1, 2), (2, 0), (2, 5), (2.0, 2)])
def test_trees_of_no_clusters_or_no_neighbors_are_refused(least, samples):
    line = np.arange(4.0)
    with pytest.raises(InputError, match="min_"):
        condensed_tree(np.abs(line[:, None] - line), least, samples)


def test_levels_of_clusters_of_nothing_are_refused():
    net = pg.Network.from_layers([(np.eye(2), None), (np.ones((1, 2)), None)])
    X = np.random.default_rng(0).standard_normal((20, 2))
    for least in (0, 1, "5"):
        with pytest.raises(InputError, match="min_cluster_size"):
            code_levels(net, pg.spline_codes(net, X), X, np.random.default_rng(0), min_cluster_size=least)


def test_compose_refuses_what_is_no_fit_no_generator_and_no_inputs():
    rng = np.random.default_rng(0)
    net, X = planted(rng).network, rng.standard_normal((50, 2))
    fit = fit_directions(pg.spline_codes(net, X), 2)
    for wrong, match in (
        ({"fit": None}, "DirectionFit"),
        ({"rng": 0}, "rng"),
        ({"n_inputs": 0}, "n_inputs"),
        ({"n_exact": -1}, "n_exact"),
    ):
        given = {"fit": fit, "rng": rng} | wrong
        with pytest.raises(InputError, match=match):
            compose(net, inputs=X, **given)


def test_comparisons_and_baselines_refuse_what_draws_nothing():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, (40, 4)).astype(np.uint8)
    for wrong, match in (({"rng": 0}, "rng"), ({"methods": []}, "methods"), ({"n_seeds": "2"}, "n_seeds")):
        with pytest.raises(InputError, match=match):
            compare_directions(codes, 2, **({"rng": rng, "methods": ["nmf"]} | wrong))
    net = pg.Network.from_layers([(np.eye(2), None), (np.eye(2), None)])
    for given, match in (((None,), "rng"), ((rng,), "n_pairs")):
        with pytest.raises(InputError, match=match):
            linear_baseline(net, rng.standard_normal((40, 2)), *given, n_pairs=-1)
    for given, match in (((None,), "rng"), ((rng,), "depth")):
        with pytest.raises(InputError, match=match):
            planted(*given, depth=1.5)


@pytest.mark.parametrize("methods", ["nmf", ("nmf",), iter(["nmf"])])
def test_methods_may_be_given_by_name_or_drawn_from_an_iterator(methods):
    codes = np.random.default_rng(0).integers(0, 2, (40, 4)).astype(np.uint8)
    found = compare_directions(codes, 2, np.random.default_rng(0), methods, 2)
    assert found.methods == ("nmf",)
    assert found.stability.shape == (2, 1, 1)


def test_letters_that_do_not_vary_have_no_share_explained():
    codes = np.random.default_rng(0).integers(0, 2, (40, 2)).astype(np.uint8)
    fit = fit_directions(codes, 1)
    assert np.isnan(fit.explained(codes, np.ones(len(fit.units), dtype=bool)))  # nothing is hidden
    with pytest.raises(InputError, match="3 units, wanted the 2"):
        fit.explained(np.column_stack([codes, codes[:, 0]]))


@pytest.mark.parametrize(("n", "seed"), [("2", 0), (1.0, 0), (1, "a"), (1, -1)])
def test_numbers_of_directions_and_seeds_are_whole(n, seed):
    codes = np.random.default_rng(0).integers(0, 2, (10, 4)).astype(np.uint8)
    with pytest.raises(InputError, match=r"n_directions|seed"):
        fit_directions(codes, n, seed=seed)
