"""Lines: as a rational walk finds them, whole in parts and in bands, confirmed on both sides of every boundary."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.errors import InputError
from polygeom.gates import MaxGate
from polygeom.lines.crossings import LineCrossings
from polygeom.lines.segments import line_crossings
from polygeom.network import Network
from tests.degenerate_nets import FAMILIES, degenerate_networks, residual_maxima
from tests.line_oracle import ExactWalk
from tests.strategies import graph_networks, networks, points

Pair = tuple[np.ndarray, np.ndarray]


@st.composite
def ends(draw: st.DrawFn, dim: int) -> Pair:
    """Two different points, on boundaries of integer networks as often as not."""
    a = draw(points(dim))
    b = draw(points(dim).filter(lambda p: not np.array_equal(p, a)))
    return a, b


def crossed(net: Network, a: np.ndarray, b: np.ndarray, **how: object) -> LineCrossings | None:
    """Return all boundaries; None where a value on the line overflows."""
    try:
        return line_crossings(net, a, b, **how)
    except InputError as error:
        if "overflow" in str(error):
            return None
        raise


def assert_as_walked(hits: LineCrossings, net: Network) -> None:
    """Compare with the rational walk: places, units, letters, intervals."""
    walk = ExactWalk(net).along(hits.line, *hits.reach)
    assert not hits.undecided
    assert [hits.exact(i) for i in range(len(hits))] == walk.t
    assert [sorted(units.tolist()) for units in hits.units] == walk.units
    codes = [hits.code(i).tolist() for i in range(hits.n_pieces)]
    assert codes == [code.tolist() for code in walk.codes]
    assert np.array_equal(hits.codes().letters, walk.codes)
    for t, (low, high), place in zip(hits.t, hits.bounds, walk.t, strict=True):
        assert low <= place <= high
        assert low <= t <= high
    assert (np.diff(hits.t) >= 0).all()


# -- the law -------------------------------------------------------------------------------------------------


@given(st.data(), st.booleans())
def test_dense_networks_are_crossed_as_rationals_walk_them(data, classes):
    net = data.draw(networks())
    hits = crossed(net, *data.draw(ends(net.dim_in)), classes=classes)
    if hits is not None:
        assert_as_walked(hits, net)


@given(st.data(), st.booleans())
def test_graphs_with_maxima_are_crossed_as_rationals_walk_them(data, classes):
    net = data.draw(graph_networks())
    hits = crossed(net, *data.draw(ends(net.dim_in)), classes=classes)
    if hits is not None:
        assert_as_walked(hits, net)


@given(st.data(), st.booleans())
def test_degenerate_networks_are_crossed_as_rationals_walk_them(data, classes):
    net = data.draw(degenerate_networks())
    hits = crossed(net, *data.draw(ends(net.dim_in)), classes=classes)
    if hits is not None:
        assert_as_walked(hits, net)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("classes", [False, True])
def test_every_family_is_crossed_as_rationals_walk_it(name, classes):
    rng = np.random.default_rng(5)
    for seed in range(2):
        net = FAMILIES[name]((2, 5, 4, 2), seed)
        for a, b in ((rng.integers(-3, 4, 2), rng.standard_normal(2)), ([-4, 2], [4, -2]), ([-2, -2], [3, 3])):
            assert_as_walked(line_crossings(net, a, b, classes=classes), net)


def torch_net(name: str, seed: int = 0, exact: bool = False) -> Network:
    """Return a small convolutional network of torch, weights small integers or halves if `exact`."""
    import torch
    from torch import nn

    from polygeom.models.convert import from_torch

    modules = {
        "max-pool": (nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2)),
        "overlapping max-pools": (
            nn.Conv2d(1, 2, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=1, padding=1),
            nn.MaxPool2d(3, stride=1, ceil_mode=True),
            nn.Flatten(),
            nn.Linear(8, 4),
            nn.ReLU(),
            nn.Linear(4, 2),
        ),
        "pool before the ReLU": (
            nn.Conv2d(1, 2, 3),
            nn.MaxPool2d(2, stride=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2, 2),
        ),
        "leaky, average": (
            nn.Conv2d(1, 2, 2),
            nn.LeakyReLU(0.25),
            nn.AvgPool2d(3, stride=1, padding=1),
            nn.ReLU6(),
            nn.Flatten(),
            nn.Linear(18, 2),
        ),
    }[name]
    module = nn.Sequential(*modules).double().eval()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            values = rng.integers(-2, 3, parameter.shape) if exact else rng.standard_normal(parameter.shape)
            parameter.copy_(torch.from_numpy(values.astype(np.float64)))
    return from_torch(module, torch.zeros(1, 1, 4, 4, dtype=torch.float64))


CONVOLUTIONAL = ("max-pool", "overlapping max-pools", "pool before the ReLU", "leaky, average")


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@pytest.mark.parametrize("exact", [False, True], ids=["floats", "integers"])
def test_convolutional_networks_are_crossed_as_rationals_walk_them(name, exact):
    found = 0
    for seed in range(3):
        net = torch_net(name, seed, exact)
        rng = np.random.default_rng(seed)
        a, b = rng.integers(-2, 3, (2, 16)) if exact else rng.standard_normal((2, 16))
        hits = line_crossings(net, a, b, classes=seed == 1)
        assert_as_walked(hits, net)
        found += len(hits)
    assert found > 5
