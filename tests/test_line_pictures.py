"""Pictures of lines show what was found: every flip a mark, every change of class named."""

from __future__ import annotations

import numpy as np
import pytest

import polygeom as pg
from polygeom.models import toy

pytest.importorskip("matplotlib")


@pytest.fixture
def axes():
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(9, 1.5))
    yield ax
    plt.close(figure)


@pytest.mark.parametrize("dpi", [72, 100, 150])
def test_no_tick_is_lost_between_pixels(axes, dpi):
    places = np.linspace(0.02, 0.98, 40)
    net = pg.Network.from_layers([(np.ones((40, 1)), -places), (np.ones((1, 40)), [0])])
    pg.plotting.draw_crossings(pg.line_crossings(net, [0], [1]), ax=axes)
    axes.set_axis_off()
    axes.figure.set_dpi(dpi)
    axes.figure.canvas.draw()
    picture = np.asarray(axes.figure.canvas.buffer_rgba())[..., :3].mean(axis=2)
    marked = picture[len(picture) // 2] < 250
    assert (marked[1:] & ~marked[:-1]).sum() == 40


def test_rows_hold_the_flips_of_their_gates_and_classes_are_marked(axes):
    rng = np.random.default_rng(1)
    net, x = toy.he([3, 400, 6, 5], rng), rng.standard_normal((2, 3))
    hits = pg.line_crossings(net, 9 * x[0], 9 * x[1], classes=True)
    rows = pg.plotting.draw_crossings(hits, ax=axes)
    by_gate = np.bincount(net.units.gate_of(hits.flips[1]), minlength=2)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert all(label.endswith(f"({count})") for label, count in zip(labels, by_gate, strict=True))
    ticks = np.array([path.vertices[:4] for path in rows[1].get_paths()])
    assert len(ticks) == by_gate[1] > 0
    assert ticks[:, :, 0].mean(axis=1) == pytest.approx(hits.t[hits.flips[0][hits.flips[1] >= 400]])
    assert len(axes.lines) == len(hits.class_t) > 0
    assert axes.get_xlim() == hits.reach
