"""Studies of clusters: planted truth is found and shuffled is not, numbers are those of direct counts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.codes import SplineCodes
from polygeom.contact_sheets import contexts_as_html, contexts_as_text, draw_contact_sheet, draw_contexts
from polygeom.errors import InputError
from polygeom.lens.cluster_study import WAYS, ClusterStudy, cluster_density, study_clusters
from polygeom.lens.clusters import cluster
from polygeom.lens.levels import _clusters_at
from polygeom.lens.planted import planted
from polygeom.lens.polysemantic import _purities, polysemanticity
from polygeom.lens.saved import Saved, made_folder
from polygeom.pieces import spline_codes

SEEDS = st.integers(0, 2**32 - 1)
FEW = {"n_null": 2, "n_halves": 4, "top": 30}


def grouped(rng: np.random.Generator, units: int = 60) -> tuple[np.ndarray, SplineCodes, np.ndarray]:
    """Return activations of four groups, whose lengths vary a lot and whose directions tell the group."""
    centers = np.maximum(rng.normal(size=(4, units)), 0.0)
    labels = np.repeat(np.arange(4), 30)
    X = np.maximum(centers[labels] + 0.2 * rng.normal(size=(120, units)), 0.0)
    X *= np.exp(3 * rng.normal(size=(120, 1)))
    return X, SplineCodes((X > 0).astype(np.uint8)), labels


# -- purity of parts ---------------------------------------------------------------------------------------------


@given(SEEDS, st.integers(2, 20), st.integers(1, 6), st.integers(1, 6))
def test_purity_of_parts_is_that_of_counting_one_by_one(seed, n, parts, labels):
    rng = np.random.default_rng(seed)
    _, part = np.unique(rng.integers(parts, size=n), return_inverse=True)
    _, names = np.unique(rng.integers(labels, size=n), return_inverse=True)
    shared = np.bincount(part)[part] > 1
    if not shared.any():
        return
    orders = rng.permuted(np.tile(names, (5, 1)), axis=1)
    expected = [
        sum(np.bincount(one[part == p]).max() for p in np.unique(part[shared])) / shared.sum()
        for one in orders
    ]
    assert _purities(part, orders, shared) == pytest.approx(expected)


def test_fewer_shuffles_change_nothing_but_what_is_by_chance():
    rng = np.random.default_rng(0)
    X, _, labels = grouped(rng)
    found = cluster(X / np.linalg.norm(X, axis=1, keepdims=True))
    many, few = (
        polysemanticity(X, found, labels, np.random.default_rng(1), top=30, shuffles=k) for k in (200, 5)
    )
    assert np.array_equal(many.apart, few.apart, equal_nan=True)
    assert np.nanmean(many.by_chance - few.by_chance) == pytest.approx(0, abs=0.05)


# -- studies -----------------------------------------------------------------------------------------------------


def test_where_only_directions_tell_the_groups_activations_do_not():
    rng = np.random.default_rng(0)
    X, codes, labels = grouped(rng)
    found = {way: study_clusters(X, codes, labels, np.random.default_rng(1), way, **FEW) for way in WAYS}
    assert found["directions"].total == 1
    assert found["codes"].total > 0.9 > 2 * found["codes"].total_by_chance
    assert found["activations"].clustering.noise > found["directions"].clustering.noise
    assert (found["directions"].null_noise > 2 * found["directions"].clustering.noise).all()
    assert found["directions"].taken_apart.low > 0
    assert found["directions"].significant == len(found["directions"].clustering)


def test_shuffled_labels_are_no_purer_than_chance_and_take_nothing_apart():
    rng = np.random.default_rng(0)
    X, codes, labels = grouped(rng)
    found = study_clusters(X, codes, rng.permutation(labels), rng, "directions", **FEW)
    assert found.total == pytest.approx(found.total_by_chance, abs=0.15)
    assert found.taken_apart.low < 0
    assert found.taken_apart.high > 0
    assert abs(found.information) < 0.1


def test_all_noise_is_a_study_without_numbers(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 300))
    found = study_clusters(X, SplineCodes((X > 0).astype(np.uint8)), np.zeros(60), rng, "activations", **FEW)
    assert len(found.clustering) == 0
    assert np.isnan([found.total, found.pure.mean, found.density.mean, found.taken_apart.mean]).all()
    assert "all 60 points are noise" in str(found)
    found.save(tmp_path / "study.npz")
    assert str(ClusterStudy.load(tmp_path / "study.npz")) == str(found)


def test_studies_come_back_from_a_file(tmp_path):
    rng = np.random.default_rng(0)
    X, codes, labels = grouped(rng)
    found = study_clusters(X, codes, labels.astype(str), rng, **FEW)
    found.save(tmp_path / "study.npz")
    back = ClusterStudy.load(tmp_path / "study.npz")
    assert str(back) == str(found)
    assert (back.top == found.top).all()
    assert (back.clustering.labels == found.clustering.labels).all()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"way": "lengths"}, "lengths"),
        ({"labels": np.zeros(119)}, "119 labels"),
        ({"n_null": 0}, "n_null"),
        ({"n_halves": 1}, "n_halves"),
        ({"codes": SplineCodes(np.ones((120, 3), np.uint8)), "way": "codes"}, "equal"),
        ({"top": 121}, "top"),
    ],
)
def test_bad_arguments_of_a_study_are_named(change, word):
    X, codes, labels = grouped(np.random.default_rng(0))
    given_ = {"activations": X, "codes": codes, "labels": labels, "way": "directions", **FEW} | change
    with pytest.raises(InputError, match=word):
        study_clusters(rng=np.random.default_rng(0), **given_)


def test_a_point_at_zero_has_a_direction_too():
    X, codes, labels = grouped(np.random.default_rng(0))
    X[0] = 0
    found = study_clusters(X, codes, labels, np.random.default_rng(0), "directions", **FEW)
    assert found.total == 1


def test_density_around_clusters_is_that_of_planted_walls():
    """Ten walls per unit of length in the gap between the groups, two within them."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.uniform(0, 4, (40, 1)), rng.uniform(6, 10, (40, 1))])
    clusters = cluster(X, 20, 5)
    assert len(clusters) == 2
    dense, even = (np.concatenate([np.arange(0, 10, 0.5), np.arange(4, 6, gap)]) for gap in (0.125, 10.0))
    found, level = (
        cluster_density(
            clusters, X, SplineCodes((walls + 0.01 < X).astype(np.uint8)), np.random.default_rng(1)
        )
        for walls in (dense, even)
    )
    assert np.exp(found.low) > 1.5
    assert np.exp(abs(level.mean)) < 1.5
    assert cluster_density(cluster(rng.normal(size=(40, 200)), 10), X[:40], (X > 5)[:40], rng).n == 0


# -- planted circuits and the tree -------------------------------------------------------------------------------


@given(SEEDS, st.booleans())
def test_planted_circuits_add_up_exactly_and_share_what_they_say(seed, shared):
    """f(x, y) = f(x, 0) + f(0, y) - f(0, 0) without a shared unit; with one, wherever it stays off."""
    rng = np.random.default_rng(seed)
    known = planted(rng, depth=3, width=3, dim=2, shared=shared)
    net = known.network
    x = rng.integers(-8, 9, (20, 4)) / 4.0
    alone = [x * np.isin(np.arange(4), own) for own in known.inputs]
    points = (x, *alone, np.zeros_like(x))
    both, first, second, zero = (net(p) for p in points)
    exact = np.ones(len(x), dtype=bool)
    if shared:
        letters = np.array([spline_codes(net, p).letters[:, known.shared[0]] for p in points])
        exact = ~letters.any(axis=0)
    assert (both[exact] == (first + second - zero)[exact]).all()
    assert sorted(np.concatenate([*known.circuits, known.shared]).tolist()) == list(range(net.n_units))
    assert known.circuit_of(known.shared) == set()


@given(SEEDS)
def test_clusters_at_a_split_are_nested_in_those_at_an_earlier_one(seed):
    rng = np.random.default_rng(seed)
    X = np.concatenate([rng.normal(size=(15, 2)) + 5 * rng.normal(size=2) for _ in range(4)])
    tree = cluster(X, 4, 2).tree
    flat = [_clusters_at(tree, at) for at in np.unique(tree.births[1:])]
    for coarse, fine in pairwise(flat):
        for c in np.unique(fine[fine >= 0]):
            assert len(np.unique(coarse[fine == c])) == 1


# -- sheets ------------------------------------------------------------------------------------------------------


@pytest.fixture
def ax():
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def test_a_sheet_has_every_image_in_its_row(ax):
    rows = [[np.zeros((4, 4, 3)), np.ones((4, 4, 3))], [np.zeros((8, 8))]]
    drawn = draw_contact_sheet(rows, ["two", "one"], ax=ax)
    extents = np.array([image.get_extent() for image in drawn])
    assert (extents[:2, 2] == extents[0, 2]).all()
    assert extents[2, 2] > extents[0, 2]
    assert extents[1, 0] >= extents[0, 1]
    assert [text.get_text() for text in ax.texts] == ["two", "one"]
    for bad in (([], []), (rows, ["two"]), ([[np.zeros(3)]], ["flat"])):
        with pytest.raises(InputError):
            draw_contact_sheet(*bad, ax=ax)


def test_contexts_line_up_and_nothing_in_them_is_markup(ax):
    some = [[("a <b> ", "$x^2$", " & so on\n"), ("x" * 99, "y", "z" * 99)]]
    text = contexts_as_text(["it's <here>"], some, width=10)
    assert len({line.index("[") for line in text.splitlines()[1:]}) == 1
    page = contexts_as_html("T", "n", ["it's <here>"], some, width=10)
    assert "<b>" not in page
    assert "&lt;here&gt;" in page
    assert "x" * 11 not in page
    drawn = draw_contexts(["$open"], some, ax=ax)
    ax.figure.canvas.draw()  # dollars are dollars
    assert drawn[0].get_text() == "$open"
    for write in (
        contexts_as_text,
        lambda *a: contexts_as_html("T", "n", *a),
        lambda *a: draw_contexts(*a, ax=ax),
    ):
        with pytest.raises(InputError, match="2 titles"):
            write(["a", "b"], some)


def test_places_that_cannot_be_written_are_told(tmp_path):
    (tmp_path / "file").write_text("")
    found = Counted(np.array([1]))
    with pytest.raises(InputError, match="Give a place"):
        found.save(tmp_path / "none" / "result")
    with pytest.raises(InputError, match="cache=False"):
        made_folder(tmp_path / "file" / "below")


@dataclass(frozen=True, eq=False)
class Counted(Saved):
    counts: np.ndarray


@pytest.mark.parametrize("top", [3, 100, "50"])
def test_strongest_inputs_that_are_not_there_are_told_before_anything_is_clustered(top, monkeypatch):
    monkeypatch.setattr("polygeom.lens.cluster_study._clusters", lambda _: pytest.fail("clustered"))
    X = np.random.default_rng(0).normal(size=(60, 3))
    with pytest.raises(InputError, match="top"):
        study_clusters(X, (X > 0).astype(np.uint8), ["a"] * 60, np.random.default_rng(0), top=top)


def test_one_boundary_in_few_pairs_has_an_interval_without_end():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(30, 2)), 50 + rng.normal(size=(30, 2))])
    codes = np.eye(60, 1, dtype=np.uint8)  # one point has a letter of its own
    found = cluster_density(cluster(X), X, codes, rng)
    assert found.n == 60
    assert not np.isfinite([found.low, found.high]).all()
