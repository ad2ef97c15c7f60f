"""Whole spaces in which no boundary runs all along: maxima of three and more, graphs with deeper directions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import polygeom as pg
from polygeom.enumeration.traversal import TraversalEngine
from polygeom.errors import InputError
from polygeom.exploration import search
from polygeom.gates import MaxGate
from polygeom.network import Network
from polygeom.steps import Dense
from tests.region_oracle import oracle_regions


def maxout(widths: tuple[int, ...], window: int, rng: np.random.Generator, integers: bool = False) -> Network:
    """Return dense layers, each followed by maxima over disjoint windows; `widths` counts what goes on."""
    steps, width = [], widths[0]
    for i, units in enumerate(widths[1:]):
        shape = (units * window, width)
        weight = rng.integers(-2, 3, shape) if integers else rng.standard_normal(shape)
        bias = rng.integers(-2, 3, shape[0]) if integers else rng.standard_normal(shape[0])
        at = {"path": str(i), "call": 0}
        steps.append(
            Dense(
                inputs=(len(steps),),
                shapes=((width,),),
                shape=(shape[0],),
                weight=weight.astype(float),
                constant=bias.astype(float),
                **at,
            )
        )
        index = np.arange(shape[0]).reshape(units, window)
        steps.append(MaxGate(inputs=(len(steps),), shapes=((shape[0],),), shape=(units,), index=index, **at))
        width = units
    return Network(tuple(steps), (widths[0],))


def assert_equals_oracle(net: Network, along: pg.AffineMap | None = None) -> None:
    """Codes and boundedness are those of the oracle, and everything holds again."""
    K, truth = pg.enumerate_regions(net, along=along), oracle_regions(net, along=along)
    codes = [tuple(code) for code in K.codes.letters.tolist()]
    assert K.complete
    assert len(codes) == len(set(codes)) == pg.enumerate_regions(net, along=along, store="count").n_regions
    assert set(codes) == set(truth)
    assert [truth[code].bounded for code in codes] == K.bounded.tolist()
    assert [len(truth[code].facets) for code in codes] == K.n_facets.tolist()
    assert pg.check_complex(K)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(
        [((1, 2), 3), ((2, 1), 3), ((2, 2), 3), ((2, 3), 4), ((3, 2), 3), ((2, 2, 1), 3), ((2, 1, 1), 4)]
    ),
    st.booleans(),
)
def test_maxima_of_three_and_more(seed, shape, integers):
    assert_equals_oracle(maxout(*shape, np.random.default_rng(seed), integers))


@pytest.mark.parametrize(("dim", "units", "regions"), [(2, 4, 26), (3, 4, 49)])
def test_a_difference_that_a_third_entry_exceeds_parts_nothing(dim, units, regions):
    """Cells cut by all of its line would be listed twice."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(dim, 3 * units)
    weight, bias = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
    first, maxima = maxout((dim, units), 3, np.random.default_rng(0)).steps
    net = Network((replace(first, weight=weight, constant=bias), maxima), (dim,))
    K = pg.enumerate_regions(net)
    assert isinstance(pg.enumerate_regions(net, budget=pg.Budget(regions=1)).frontier.engine, TraversalEngine)
    assert K.n_regions == len(np.unique(K.codes.letters, axis=0)) == regions
    box = pg.Polyhedron.box(-1e4, 1e4, dim=dim)
    assert pg.enumerate_regions(net, box).n_regions == regions
    assert pg.check_complex(K)


def test_slices_and_directions_that_nothing_reads():
    net = maxout((3, 3), 3, np.random.default_rng(1))
    along = pg.AffineMap([[1.0, 0.5], [0.0, 1.0], [2.0, -1.0]], [0.5, 0.0, 1.0])
    assert_equals_oracle(net, along)
    first = net.steps[0]
    flat = Network((replace(first, weight=first.weight * [1.0, 1.0, 0.0]), net.steps[1]), (3,))
    assert not pg.enumerate_regions(flat).bounded.any()
    assert_equals_oracle(flat)


def test_a_search_that_stopped_goes_on_to_the_same_regions():
    net = maxout((2, 3), 3, np.random.default_rng(2))
    whole = pg.enumerate_regions(net)
    some = pg.enumerate_regions(net, budget=pg.Budget(regions=4))
    assert (some.n_regions, some.finished, some.complete) == (4, False, False)
    for _ in range(2):  # what goes on leaves what it began from as it was
        again = pg.enumerate_regions(net, resume=some)
        assert again.complete
        assert (again.codes.letters == whole.codes.letters).all()
    assert sum(len(batch) for batch in pg.region_batches(net)) == whole.n_regions
    count = pg.enumerate_regions(net, store="count", budget=pg.Budget(regions=4))
    assert pg.enumerate_regions(net, store="count", resume=count).n_regions == whole.n_regions


def test_vertices_of_all_cells_want_a_bounded_domain():
    net = maxout((2, 3), 3, np.random.default_rng(3))
    with pytest.raises(InputError, match="bounded domain"):
        pg.enumerate_regions(net, store="cells")
    with pytest.raises(InputError, match="bounded domain"):
        pg.enumerate_regions(net, pg.Polyhedron([[1, 0]], [0]))
    box = pg.Polyhedron.box(-50, 50, dim=2)
    assert pg.enumerate_regions(net, box, store="cells").n_regions == pg.enumerate_regions(net).n_regions


def test_what_cannot_be_decided_is_not_called_complete(monkeypatch):
    net = maxout((2, 2), 3, np.random.default_rng(4))

    def nothing(*_: object) -> None:
        raise pg.UndecidedError("A row lies within its rounding errors.")

    some = pg.enumerate_regions(net, budget=pg.Budget(regions=2))
    monkeypatch.setattr(search, "neighbours_from", nothing)
    K = pg.enumerate_regions(net, resume=some)
    assert K.n_regions == 2
    assert K.finished
    assert not K.complete
    assert K.exactness.undecided > 0
