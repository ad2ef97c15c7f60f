"""What the figures of densities and of scaling make of their arrays."""

from __future__ import annotations

import numpy as np
import pytest

from paper_figures import fig_density, fig_inception_density, fig_inception_scaling, pipeline, verdicts
from polygeom.lens import Estimate
from polygeom.models import inception


@pytest.mark.parametrize("script", [fig_inception_density, fig_inception_scaling])
def test_without_data_the_reason_is_given(script, nothing_fetched, monkeypatch, tmp_path):
    with pytest.raises(pipeline.SkippedError, match=r"fetched \(POLYGEOM_DATA is not set\).*polygeom fetch"):
        script.compute(quick=True)
    monkeypatch.setenv("POLYGEOM_DATA", str(tmp_path))
    with pytest.raises(pipeline.SkippedError, match=r"googlenet|images"):
        script.compute(quick=True)


@pytest.mark.parametrize(
    ("low", "high", "n", "word"),
    [
        (0.1, 0.2, 8, "supported"),
        (-0.2, 0.0, 8, "not supported"),
        (0.0, 0.2, 8, "undecided"),
        (0.1, 0.2, 7, "undecided"),
        (np.nan, np.nan, 0, "undecided"),
    ],
)
def test_verdicts_need_an_interval_and_a_sample(low, high, n, word):
    assert verdicts.judged(Estimate((low + high) / 2, low, high, n)) == word


def test_ratios_over_training_are_those_of_the_sums_over_layers():
    rng = np.random.default_rng(0)
    each = rng.uniform(1, 2, size=(5, 3, 2, 2))  # networks, steps, layers, kinds
    data = {"density real classes": each}
    total = each[:, :, 0] + each[:, :, 1]
    expected = np.log(total[..., 1]) - np.log(total[..., 0])
    assert fig_density.contrasts(data, "real", "classes") == pytest.approx(expected)
    one = fig_density.contrasts(data, "real", "classes", 1)
    assert np.exp(one) == pytest.approx(each[:, :, 1, 1] / each[:, :, 1, 0])


def test_angles_are_over_distances():
    x = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    found = fig_inception_density.angles(x, np.array([[0, 1, 2]]))
    assert found == pytest.approx(np.array([[np.pi / 2 / np.sqrt(5), np.pi / 4]]))


def test_blocks_are_compared_row_by_row():
    """The null model has a known multiple of the ratio in every row: what is left is its inverse."""
    kinds, rng = fig_inception_density.KINDS, np.random.default_rng(0)
    stacks = rng.uniform(1, 2, size=(2, len(kinds), 9, 2))
    stacks[:, kinds.index("permuted channels")] = stacks[:, kinds.index("trained")]
    factor = rng.uniform(1, 3, size=9)
    stacks[:, kinds.index("permuted channels"), :, 1] *= factor
    found = fig_inception_density.by_block({"stacks": stacks}, "trained", "permuted channels")
    assert [one.mean for one in found] == pytest.approx([-np.log(factor).mean()] * 2)


def test_random_weights_are_seeded_and_read_what_the_trained_ones_read():
    from paper_figures.inception_images import untrained

    one, again, other = (untrained(seed).state_dict() for seed in (0, 0, 1))
    name = "inception_5b.b1x1.conv.weight"
    assert bool((one[name] == again[name]).all())
    assert not bool((one[name] == other[name]).any())
    assert one[name].shape == inception.architecture().state_dict()[name].shape
    assert float(one[name].std()) == pytest.approx((2 / 832) ** 0.5, rel=0.02)


def test_where_the_class_stays_is_read_off_its_exact_range():
    data = {
        "octaves": np.linspace(-2, 2, 5),
        "class range": np.array([[-2.0, 2.0], [-0.5, 1.5]]),
        "all norms": np.array([1.0, 1.0]),
        "norms": np.array([1.0, 1.0]),
    }
    stays = fig_inception_scaling.stays_at(data)
    assert stays.tolist() == [[True] * 5, [False, False, True, True, False]]
    assert fig_inception_scaling.inside(data).tolist() == [True, True]
    data["all norms"] = np.array([0.5, 2.0])  # common from about 1/2 to 2 times the norm
    assert fig_inception_scaling.inside(data).tolist() == [True, False]
