"""Pictures of what the lens finds show its numbers."""

from __future__ import annotations

import numpy as np
import pytest

import polygeom as pg
from polygeom.errors import InputError
from polygeom.lens.estimates import Estimate
from polygeom.models import toy


@pytest.fixture
def ax():
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def walls() -> tuple[pg.Network, np.ndarray]:
    """Twelve parallel walls around x = 0 and a class on each side of them; points on both sides."""
    rows = np.column_stack([np.ones(12), np.zeros(12)]), np.linspace(-0.5, 0.5, 12)
    net = pg.Network.from_layers([rows, (np.vstack([np.ones(12), np.zeros(12)]), [-6, 0])])
    return net, np.array([[-2.0, 0], [-2, 3], [-1, 1], [2, 0], [2, 3], [1, 2]])


@pytest.mark.parametrize("across", [False, True])
def test_marks_stand_at_ratios_and_one_without_interval_stands_alone(ax, across):
    found = [Estimate(np.log(2.0), np.log(1.5), np.log(3.0), 9), Estimate(np.log(4.0), np.nan, np.nan, 1)]
    drawn = pg.plotting.draw_estimates([0, 1], found, ax=ax, ratios=True, across=across)
    marks, _, (bars,) = drawn.lines
    axis = 0 if across else 1
    assert marks.get_xydata()[:, axis] == pytest.approx([2, 4])
    ends = np.array([segment[:, axis] for segment in bars.get_segments()])
    assert ends == pytest.approx(np.array([[1.5, 3], [4, 4]]))
    with pytest.raises(InputError, match="a place for each"):
        pg.plotting.draw_estimates([0], found, ax=ax)


def test_profiles_along_lines_and_around_class_changes(ax):
    net, inputs = walls()
    rows = pg.lens.partners(np.array([0, 0, 0, 1, 1, 1]), np.random.default_rng(0), 6)
    places = pg.lens.class_density(net, inputs, rows, classes=True).segments.places()
    found = pg.lens.profile(places[1::2], bins=4)
    (steps,) = pg.plotting.draw_profile(found, ax=ax)
    assert np.array_equal(steps.get_data().values, found.flips)
    near, _ = pg.plotting.draw_profile(found, ax=ax, around=True)
    assert near.get_data().values == pytest.approx(np.nan_to_num(found.near))
    with pytest.raises(InputError, match="nothing around"):
        pg.plotting.draw_profile(pg.lens.profile(places[::2], bins=4), ax=ax, around=True)


def test_rays_are_drawn_with_their_class_changes(ax):
    net, inputs = walls()
    found = pg.lens.scale_activations(net, inputs[3:5], octaves=3)
    drawn = pg.plotting.draw_scaling(found, ax=ax)
    assert np.array_equal(drawn[0].get_ydata(), found.crossings[0])
    assert sum(len(dots.get_xdata()) for dots in drawn[1::2]) == len(found.change_u) > 0


def test_interactions_are_shades_of_their_strength(ax):
    net = toy.he([3, 4, 4, 1], np.random.default_rng(0))
    flips = pg.lens.unit_flips(net)
    codes = pg.spline_codes(net, np.random.default_rng(1).standard_normal((5, 3)))
    found = pg.lens.interactions(net, codes, flips)
    image = pg.plotting.draw_interactions(found, ax=ax)
    assert np.array_equal(image.get_array().filled(np.nan), found.strength, equal_nan=True)
    assert [label.get_text() for label in ax.get_xticklabels()] == list(found.names)
