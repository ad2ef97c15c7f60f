"""Trained toys: the same for the same seed, in float64, and they learn what they are said to learn."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from polygeom.enumeration.regions import enumerate_regions
from polygeom.errors import InputError, MissingPackageError
from polygeom.models import toy
from polygeom.models.toy import trained

WIDTHS, AT = (24, 24), (0, 10, 400)


@pytest.fixture(scope="module")
def both() -> dict[str, trained.Training]:
    """Trainings on real and on permuted labels, from the same seed."""
    return {
        labels: trained.digits(WIDTHS, labels, seed=3, at=AT, images=150) for labels in ("real", "permuted")
    }


def test_the_same_seed_gives_the_same_networks(both):
    again = trained.digits(WIDTHS, "real", seed=3, at=AT, images=150)
    other = trained.digits(WIDTHS, "real", seed=4, at=(0,), images=150)
    assert all(one.is_same(two) for one, two in zip(both["real"].networks, again.networks, strict=True))
    assert np.array_equal(both["real"].loss, again.loss)
    assert not other.networks[0].is_same(again.networks[0])
    assert not np.array_equal(other.inputs, again.inputs)


def test_neither_the_number_of_threads_nor_torchs_own_seed_matters(both):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.manual_seed(17)
    state = torch.get_rng_state()
    try:
        again = trained.digits(WIDTHS, "real", seed=3, at=AT, images=150)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), state)
    assert again.networks[-1].is_same(both["real"].networks[-1])


def test_training_to_fewer_steps_is_the_beginning_of_training_to_more(both):
    short = trained.digits(WIDTHS, "real", seed=3, at=(10,), images=150)
    assert short.networks[0].is_same(both["real"].networks[1])


def test_real_labels_are_learned_and_permuted_ones_memorized(both):
    real, permuted = both["real"], both["permuted"]
    assert (real.steps == AT).all()
    for training in both.values():
        assert training.loss[2] < training.loss[1] < training.loss[0]
        assert training.accuracy[2] > 0.95
    assert real.held_out[2] > 0.8
    assert permuted.held_out[2] < 0.3  # one in ten by chance


def test_permuted_labels_share_images_weights_and_frequencies(both):
    real, permuted = both["real"], both["permuted"]
    assert real.networks[0].is_same(permuted.networks[0])
    assert np.array_equal(real.inputs, permuted.inputs)
    assert np.array_equal(real.labels, real.classes)
    assert np.array_equal(permuted.classes, real.classes)
    assert (permuted.labels != real.labels).mean() > 0.5
    assert np.array_equal(np.bincount(permuted.labels), np.bincount(real.labels))


def test_what_is_recorded_is_what_the_networks_do(both):
    for training in both.values():
        for net, loss, accuracy in zip(training.networks, training.loss, training.accuracy, strict=True):
            logits = net(training.inputs)
            entropy = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(training.labels))
            assert loss == pytest.approx(entropy.item(), rel=1e-12)
            assert accuracy == (logits.argmax(axis=1) == training.labels).mean()
            assert net.steps[0].weight.dtype == np.float64


def test_the_spirals_are_told_apart_in_the_plane():
    training = trained.two_spirals(at=(0, 50, 1000))
    assert training.accuracy[0] < 0.8
    assert training.accuracy[-1] == 1
    assert np.isnan(training.held_out).all()
    assert np.array_equal(training.inputs[:97], -training.inputs[97:])
    before, *_, after = (enumerate_regions(net).n_regions for net in training.networks)
    assert min(before, after) > 1
    again = trained.two_spirals(at=(1000,))
    assert again.networks[0].is_same(training.networks[-1])


def test_training_starts_from_he_weights():
    net = trained.two_spirals((5, 4), seed=2, at=(0,)).networks[0]
    assert net.is_same(toy.he((2, 5, 4, 2), np.random.default_rng([2, trained.WEIGHTS])))


def test_a_training_says_what_it_is():
    text = repr(trained.two_spirals((4,), at=(0, 5)))
    assert "R^2 -> R^2" in text
    assert "step 5" in text


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: trained.digits((4,), "random"), "'random'"),
        (lambda: trained.digits((4,), images=1798), "1797"),
        (lambda: trained.digits((4,), at=()), "ascending"),
        (lambda: trained.digits((4,), at=(3, 3)), "ascending"),
        (lambda: trained.digits((0,)), "widths"),
        (lambda: trained.two_spirals((4,), at=(-1, 3)), "ascending"),
        (lambda: trained.two_spirals((4,), points=0), "points is 0"),
    ],
)
def test_impossible_trainings_are_refused(call, word):
    with pytest.raises(InputError, match=word):
        call()


def test_missing_scikit_learn_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingPackageError, match=r"polygeom\[lens\]"):
        trained.digits()
