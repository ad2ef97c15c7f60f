"""Clusters: distances, the tree with its ties, what labels say, and directions taken apart."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import polygeom as pg
from polygeom.codes import SplineCodes
from polygeom.errors import InputError, MissingPackageError, TooLargeError
from polygeom.lens import distances as distances_module
from polygeom.lens.cluster_study import cluster_density
from polygeom.lens.cluster_tree import condensed_tree
from polygeom.lens.clusters import Clustering, cluster, meaning
from polygeom.lens.distances import euclidean_distances, hamming_distances
from polygeom.lens.polysemantic import Polysemanticity, polysemanticity
from polygeom.models import toy

SEEDS = st.integers(0, 2**32 - 1)


def blobs(rng: np.random.Generator, sizes: tuple[int, ...], dim: int = 3, apart: float = 50.0) -> np.ndarray:
    """Return points around well separated centers."""
    return np.concatenate([apart * i + rng.normal(size=(size, dim)) for i, size in enumerate(sizes)])


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    """Tell whether two labelings agree up to names, noise being noise in both."""
    together = {(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)}
    return len(together) == len({x for x, _ in together}) == len({y for _, y in together}) and all(
        (x < 0) == (y < 0) for x, y in together
    )


# -- distances ---------------------------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 9), st.integers(1, 40), st.integers(1, 5))
def test_products_count_differing_letters(seed, n, units, letters):
    codes = SplineCodes(np.random.default_rng(seed).integers(0, letters, (n, units), dtype=np.uint8))
    assert (hamming_distances(codes) == codes.hamming()).all()


@given(SEEDS, st.sampled_from([0.0, 1000.0]))
def test_products_give_euclidean_distances_wherever_the_points_lie(seed, offset):
    X = np.random.default_rng(seed).normal(size=(12, 7)) + offset
    direct = np.linalg.norm(X[:, None] - X, axis=2)
    assert np.allclose(euclidean_distances(X), direct, rtol=1e-6, atol=1e-5)
    assert (euclidean_distances(X) == euclidean_distances(X).T).all()


def test_too_many_points_are_refused_before_memory_is_taken(monkeypatch):
    monkeypatch.setattr(distances_module, "MEMORY", 10_000)
    for measure, points in (
        (euclidean_distances, np.ones((50, 2))),
        (hamming_distances, np.eye(50, dtype="u1")),
    ):
        with pytest.raises(TooLargeError, match="50 points"):
            measure(points)


# -- the tree ----------------------------------------------------------------------------------------------------


@given(SEEDS, st.integers(2, 7), st.integers(1, 2), st.sampled_from(["eom", "leaf"]))
def test_without_ties_the_clusters_are_those_of_scikit_learn(seed, least, samples, selection):
    """Up to two samples no two distances to be reached are equal, if no two distances are."""
    from sklearn.cluster import HDBSCAN

    rng = np.random.default_rng(seed)
    X = np.concatenate([rng.normal(size=(20, 2)) + rng.uniform(-6, 6, 2) for _ in range(4)])
    theirs = HDBSCAN(
        min_cluster_size=least,
        min_samples=samples,
        metric="precomputed",
        cluster_selection_method=selection,
        copy=True,
    ).fit(euclidean_distances(X))
    ours = cluster(X, least, samples, selection=selection)
    assert same_partition(theirs.labels_, ours.labels)
    assert np.allclose(theirs.probabilities_, ours.strengths)


@given(SEEDS, st.integers(2, 6), st.integers(1, 6), st.sampled_from(["eom", "leaf"]))
def test_the_order_of_points_does_not_matter_however_many_distances_tie(seed, least, samples, selection):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2, (60, 12), dtype=np.uint8)
    order = rng.permutation(60)
    one, other = (cluster(SplineCodes(c), least, samples, selection=selection) for c in (codes, codes[order]))
    assert same_partition(one.labels[order], other.labels)
    assert np.allclose(one.strengths[order], other.strengths)


def test_chains_of_points_at_one_distance_are_no_clusters():
    """All points are one apart from their neighbors: single linkage joins them in one step."""
    line = np.arange(30.0)
    tree = condensed_tree(np.abs(line[:, None] - line), 3, 1)
    assert len(tree) == 1
    assert (tree.members(tree.finest())[0] == -1).all()


def test_codes_without_structure_have_no_clusters_where_scikit_learn_finds_dozens():
    from sklearn.cluster import HDBSCAN

    codes = np.random.default_rng(0).integers(0, 2, (400, 300), dtype=np.uint8)
    theirs = HDBSCAN(
        min_cluster_size=5, metric="precomputed", cluster_selection_method="leaf", copy=True
    ).fit(hamming_distances(codes))
    assert theirs.labels_.max() > 20
    assert len(cluster(SplineCodes(codes), 5, selection="leaf")) < 3


def test_equal_points_are_a_cluster_of_their_own():
    codes = np.random.default_rng(0).integers(0, 2, (40, 64), dtype=np.uint8)
    codes[:8], codes[8:16] = codes[0], codes[8]
    found = cluster(SplineCodes(codes), 5, 1)
    firmest = [set(found.members(i)[:8].tolist()) for i in range(len(found))]
    assert firmest == [set(range(8)), set(range(8, 16))]
    assert np.isfinite(found.strengths).all()
    assert (found.regions(SplineCodes(codes)) == found.sizes - 7).all()
    assert found.n_distinct == 26


@given(SEEDS)
def test_stabilities_are_the_time_that_points_spend(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(30, 2))
    tree = condensed_tree(euclidean_distances(X), 3, 1)
    for c in range(len(tree)):
        below = np.zeros(len(tree), dtype=bool)
        below[c] = True
        for k in range(c + 1, len(tree)):
            below[k] = below[tree.parents[k]]
        inside = below[tree.leaves_from]
        ends = np.where(tree.leaves_from == c, tree.leaves_at, 0.0)
        for k in np.flatnonzero(tree.parents == c):
            under = np.zeros(len(tree), dtype=bool)
            under[k] = True
            for j in range(k + 1, len(tree)):
                under[j] = under[tree.parents[j]]
            ends[under[tree.leaves_from]] = tree.births[k]
        assert tree.stabilities[c] == pytest.approx((ends[inside] - tree.births[c]).sum())


# -- clusters ----------------------------------------------------------------------------------------------------


def test_separated_groups_are_found_with_members_and_exemplars():
    X = blobs(np.random.default_rng(0), (20, 30, 25))
    found = cluster(X, n_exemplars=4)
    assert found.sizes.tolist() == [20, 30, 25]
    for i, start in enumerate((0, 20, 50)):
        own = X[found.members(i)]
        center = found.exemplars[i, 0]
        means = np.linalg.norm(own[:, None] - own, axis=2).sum(axis=1) / (len(own) - 1)
        assert start <= center < start + found.sizes[i]
        assert found.radii[i] == pytest.approx(means.min(), rel=1e-4)
    assert found.noise == 0


def test_exemplars_of_small_clusters_are_filled_up():
    found = cluster(blobs(np.random.default_rng(0), (5, 6)), 5, 1)
    assert (found.exemplars >= 0).sum(axis=1).tolist() == [5, 6]


def test_all_noise_is_a_result_that_says_so():
    found = cluster(np.random.default_rng(0).normal(size=(40, 200)), 10)
    assert len(found) == 0
    assert found.noise == 1
    assert "all 40 points are noise" in repr(found)
    for ask in (
        lambda: meaning(found, np.zeros(40), np.random.default_rng(0)),
        lambda: polysemanticity(np.ones((40, 2)), found, np.zeros(40), np.random.default_rng(0)),
        lambda: found.members(0),
    ):
        with pytest.raises(InputError, match=r"noise|no cluster"):
            ask()


@pytest.mark.parametrize(
    ("points", "change", "word"),
    [
        (np.zeros((4, 2)), {}, "too few"),
        (np.ones((30, 2)), {}, "equal"),
        (SplineCodes(np.ones((30, 5), dtype=np.uint8)), {}, "equal"),
        (np.eye(30), {"min_cluster_size": 1}, "min_cluster_size"),
        (np.eye(30), {"min_samples": 0}, "min_samples"),
        (np.eye(30), {"selection": "root"}, "selection"),
        (np.full((30, 2), np.nan), {}, "nan"),
    ],
)
def test_bad_input_is_named(points, change, word):
    with pytest.raises(InputError, match=word):
        cluster(points, **change)


def test_clusters_come_back_from_a_file(tmp_path):
    found = cluster(blobs(np.random.default_rng(0), (20, 20)))
    found.save(tmp_path / "clusters.npz")
    back = Clustering.load(tmp_path / "clusters.npz")
    assert repr(back) == repr(found)
    assert (back.tree.parents == found.tree.parents).all()


def test_regions_are_distinct_codes_of_members():
    rng = np.random.default_rng(0)
    X = blobs(rng, (20, 20), dim=2)
    net = toy.he((2, 6, 1), rng)
    codes = pg.spline_codes(net, X)
    found = cluster(X)
    expected = [len({tuple(c) for c in codes.letters[found.members(i)]}) for i in range(2)]
    assert found.regions(codes).tolist() == expected
    with pytest.raises(InputError, match="39"):
        found.regions(SplineCodes(codes.letters[1:]))


@pytest.mark.slow
def test_ten_thousand_points_fit_in_four_gigabytes():
    """In a process of its own: the peak of this one may come from another test."""
    program = """
import resource
import numpy as np
from polygeom.lens import cluster
rng = np.random.default_rng(0)
points = 50 * rng.normal(size=(40, 3072))[rng.integers(40, size=10_000)] + rng.normal(size=(10_000, 3072))
print(len(cluster(points)), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    n_clusters, kilobytes = map(int, told.split())
    assert n_clusters == 40
    assert kilobytes < 4 * 2**20


# -- meaning ----------------------------------------------------------------------------------------------------


def test_purity_stands_beside_chance():
    rng = np.random.default_rng(0)
    found = cluster(blobs(rng, (30, 30)))
    right = meaning(found, ["a"] * 25 + ["b"] * 5 + ["b"] * 30, rng)
    assert right.purity.tolist() == [25 / 30, 1.0]
    assert right.counts.tolist() == [[25, 5], [0, 30]]
    assert right.total == 55 / 60
    assert (right.p_values < 0.02).all()
    wrong = meaning(found, rng.permutation(["a"] * 30 + ["b"] * 30), rng)
    assert (wrong.p_values > 0.02).all()
    assert wrong.total == pytest.approx(wrong.total_by_chance, abs=0.15)
    assert abs(wrong.adjusted_information) < 0.1


def test_one_label_for_all_is_pure_and_says_nothing():
    rng = np.random.default_rng(0)
    told = meaning(cluster(blobs(rng, (20, 20))), ["a"] * 40, rng)
    assert told.total == told.total_by_chance == 1
    assert (told.p_values == 1).all()


def test_missing_scikit_learn_is_named(monkeypatch):
    found = cluster(blobs(np.random.default_rng(0), (20, 20)))
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(MissingPackageError, match=r"polygeom\[lens\]"):
        meaning(found, ["a"] * 40, np.random.default_rng(0))


def test_another_number_of_labels_is_named():
    found = cluster(blobs(np.random.default_rng(0), (20, 20)))
    with pytest.raises(InputError, match="39"):
        meaning(found, ["a"] * 39, np.random.default_rng(0))


def test_other_points_or_codes_than_were_clustered_are_refused():
    X = blobs(np.random.default_rng(0), (20, 20))
    found, codes = cluster(X), (X > 0).astype(np.uint8)
    for points, letters in ((X[1:], codes), (X, codes[1:])):
        with pytest.raises(InputError, match="wanted the 40"):
            cluster_density(found, points, letters, np.random.default_rng(0))
    with pytest.raises(InputError, match="Clustering"):
        cluster_density(found.labels, X, codes, np.random.default_rng(0))


# -- directions --------------------------------------------------------------------------------------------------


def test_a_planted_polysemantic_neuron_is_taken_apart_by_clusters():
    """The first neuron is on for two groups with a meaning each; the second for one."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(30, 3)) + c for c in ([60, 0, 60], [60, 0, -60], [0, 60, 0])])
    labels = np.repeat(["cat", "car", "cup"], 30)
    found = polysemanticity(X, cluster(X), labels, rng, top=50)
    assert found.clusters[0] == 2
    assert found.together[0] < 0.7
    assert found.apart[0] == 1
    assert found.by_chance[0] < 0.75
    shuffled = polysemanticity(X, cluster(X), rng.permutation(labels), rng, top=50)
    assert abs((shuffled.apart - shuffled.by_chance).mean()) < 0.1


def test_directions_and_neurons_agree_and_dead_ones_are_counted():
    rng = np.random.default_rng(0)
    X = np.column_stack([blobs(rng, (20, 20)), np.zeros(40)])
    labels = np.repeat(["a", "b"], 20)
    found = cluster(X)
    neurons = polysemanticity(X, found, labels, np.random.default_rng(1), top=10)
    given_ = polysemanticity(X, found, labels, np.random.default_rng(1), directions=np.eye(4), top=10)
    assert neurons.dead == given_.dead == 1
    assert neurons.directions.tolist() == [0, 1, 2]
    assert (neurons.top == given_.top).all()
    with pytest.raises(InputError, match="dead"):
        polysemanticity(np.ones((40, 2)), found, labels, rng, top=10)


def test_directions_that_cut_through_one_cluster_only_are_not_judged():
    rng = np.random.default_rng(0)
    X = blobs(rng, (20, 20))
    found = polysemanticity(X, cluster(X), np.repeat(["a", "b"], 20), rng, top=10)
    assert not found.judged.any()
    assert np.isnan(found.gain.mean)
    assert "0 judged" in repr(found)


def test_what_does_not_fit_is_named(tmp_path):
    rng = np.random.default_rng(0)
    X, labels = blobs(rng, (20, 20)), np.repeat(["a", "b"], 20)
    found = cluster(X)
    with pytest.raises(InputError, match="39"):
        polysemanticity(X[1:], found, labels, rng)
    with pytest.raises(InputError, match="top"):
        polysemanticity(X, found, labels, rng, top=41)
    result = polysemanticity(X, found, labels, rng, top=30)
    result.save(tmp_path / "found.npz")
    assert (Polysemanticity.load(tmp_path / "found.npz").top == result.top).all()


@pytest.mark.parametrize("exponent", [-900, 900])
def test_distances_scale_with_the_points_however_large(exponent):
    X = np.random.default_rng(0).standard_normal((6, 3))
    assert np.array_equal(
        euclidean_distances(np.ldexp(X, exponent)), np.ldexp(euclidean_distances(X), exponent)
    )


def test_letters_in_an_array_are_codes_and_activations_are_none():
    X = np.random.default_rng(0).standard_normal((30, 4))
    letters = (X > 0).astype(int)
    assert np.array_equal(hamming_distances(letters), (letters[:, None] != letters).sum(axis=2))
    with pytest.raises(InputError, match="X > 0"):
        hamming_distances(X)


@pytest.mark.parametrize(
    ("points", "sizes", "match"),
    [
        (None, {}, "points"),
        (5, {}, "points"),
        (np.eye(30), {"min_cluster_size": 5.5}, "min_cluster_size"),
        (np.eye(30), {"min_cluster_size": "5"}, "min_cluster_size"),
        (np.eye(30), {"min_samples": 2.0}, "min_samples"),
        (np.eye(30), {"n_exemplars": 0}, "n_exemplars"),
    ],
)
def test_sizes_that_are_no_numbers_are_refused(points, sizes, match):
    with pytest.raises(InputError, match=match):
        cluster(points, **sizes)
