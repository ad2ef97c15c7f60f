"""Stopping, resuming, streaming and choosing a method: what holds whatever engine finds the regions."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import polygeom as pg
from polygeom.enumeration import regions
from polygeom.enumeration.arrays import Exactness
from polygeom.models import toy

BOX = pg.Polyhedron.box(-2, 2, dim=2)


def random_net(*widths: int, seed: int = 0) -> pg.Network:
    return toy.he([*widths, 1], np.random.default_rng(seed))


def codes(letters: np.ndarray) -> set[bytes]:
    return set(map(bytes, np.asarray(letters)))


def test_full_memory_is_an_error_that_keeps_what_was_found(monkeypatch):
    net = random_net(2, 64, 64)
    whole = pg.enumerate_regions(net)
    monkeypatch.setattr(regions, "_memory", lambda: 2**16)
    monkeypatch.setattr(regions, "STEP", 200)
    with pytest.raises(pg.BudgetError, match="regions in all") as caught:
        pg.enumerate_regions(net)
    part = caught.value.partial
    assert not part.complete
    assert 0 < part.n_regions < whole.n_regions
    monkeypatch.undo()
    resumed = pg.enumerate_regions(net, resume=part)
    assert resumed.complete
    assert codes(resumed.codes) == codes(whole.codes)


def test_a_part_can_be_resumed_twice():
    net = random_net(3, 12, 12)
    part = pg.enumerate_regions(net, budget=pg.Budget(regions=300))
    first, second = (pg.enumerate_regions(net, resume=part) for _ in range(2))
    assert first.n_regions == second.n_regions == pg.enumerate_regions(net, store="count").n_regions
    assert part.n_regions < first.n_regions


def test_a_count_can_be_resumed():
    net = random_net(2, 40, 40)
    part = pg.enumerate_regions(net, store="count", budget=pg.Budget(regions=100))
    assert "incomplete" in repr(part)
    whole = pg.enumerate_regions(net, store="count", resume=part)
    again = pg.enumerate_regions(net, store="count")
    assert (whole.n_regions, whole.n_bounded) == (again.n_regions, again.n_bounded)


@pytest.mark.parametrize("net", [random_net(2, 30, 30), random_net(4, 8, 6), random_net(6, 9)])
def test_batches_hold_every_region_once(net: pg.Network):
    whole = pg.enumerate_regions(net)
    packed = np.concatenate([batch.packed for batch in pg.region_batches(net)])
    assert len(packed) == whole.n_regions
    assert codes(packed) == codes(whole.arrays.packed)


def test_batches_of_counts_are_refused():
    with pytest.raises(pg.InputError, match="nothing to yield"):
        next(pg.region_batches(random_net(2, 3), store="count"))


@pytest.mark.parametrize("widths", [(2, 12, 8), (3, 10, 4), (4, 9)])
@pytest.mark.parametrize("domain", [False, True])
def test_both_methods_find_the_same_regions(widths: tuple[int, ...], domain: bool):
    net = random_net(*widths)
    inside = pg.Polyhedron.box(-1, 1, dim=widths[0]) if domain else None
    by_vertices, by_programs = (
        pg.enumerate_regions(net, inside, method=method) for method in ("vertices", "lp")
    )
    assert codes(by_vertices.codes) == codes(by_programs.codes)
    assert by_vertices.n_bounded == by_programs.n_bounded
    order = by_programs.adjacency.nnz
    assert by_vertices.adjacency.nnz == order


def test_vertices_stop_at_five_dimensions():
    with pytest.raises(pg.InputError, match="R\\^6"):
        pg.enumerate_regions(random_net(6, 7), method="vertices")
    with pytest.raises(pg.InputError, match="method is 'simplex'"):
        pg.enumerate_regions(random_net(2, 3), method="simplex")


def test_edges_of_polygons_know_their_units():
    K = pg.enumerate_regions(random_net(2, 9, 7), BOX, store="cells")
    arrays = K.arrays
    assert sorted(arrays.edge_units[arrays.edge_units >= 0]) == sorted(arrays.facet_units)
    for region in range(K.n_regions):
        own = slice(*arrays.vertex_start[region : region + 2])
        corners, units = arrays.vertices[own, :2], arrays.edge_units[own]
        area = np.linalg.det(np.stack([np.diff(corners[[0, 1, 2]], axis=0)]))
        assert area > 0  # counterclockwise
        for corner, after, unit in zip(corners, np.roll(corners, -1, axis=0), units, strict=True):
            P = K.piece(region)
            rows = np.flatnonzero(P.units == unit)
            middle = (corner + after) / 2
            slack = (P.polyhedron.b - P.polyhedron.A @ middle)[rows]
            assert unit < 0 or np.abs(slack).min() < 2.0**-30
            assert unit >= 0 or np.abs(middle).max() == pytest.approx(2)


def test_the_search_keeps_no_more_memory_for_more_regions():
    """The arrays of the search are as long as the deepest path, whatever has been found."""
    sizes = []
    for n in (200, 400, 800):
        engine = regions.make_engine(random_net(2, n), BOX, None, "count")
        while not engine.finished:
            engine.run(10**6)
        sizes.append((engine.n_regions, sum(a.nbytes for a in engine.cells)))
    (few, small), _, (many, large) = sizes
    assert many > 10 * few
    assert large <= 8 * small


# -- found counterexamples -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e-160, 1e154, 1e160, 1e300])
def test_rows_of_any_size_make_the_same_regions(size: float):
    """Cross products of rows this large or small leave the range of floats."""
    rng = np.random.default_rng(0)
    W, b = rng.standard_normal((5, 2)) * size, rng.standard_normal(5) * size
    assert pg.enumerate_regions(pg.Network.from_layers([(W, b), (np.ones((1, 5)), [0])])).n_regions == 16


def test_a_far_box_does_not_turn_rays_around():
    rng = np.random.default_rng(14)
    W, b = rng.standard_normal((5, 3)), rng.standard_normal(5)
    net, far = pg.Network.from_layers([(W, b), (np.ones((1, 5)), [0])]), pg.Polyhedron.box(-1e17, 1e17, dim=3)
    assert pg.enumerate_regions(net, far).n_regions == 26


def test_a_row_that_nothing_satisfies_makes_the_domain_empty():
    with pytest.raises(pg.InputError, match="empty: row 0"):
        pg.enumerate_regions(random_net(2, 3), pg.Polyhedron([[0, 0], [1, 0]], [-1, 5]))
    with pytest.raises(pg.InputError, match="dimension 1"):
        list(pg.region_batches(random_net(2, 3), pg.Polyhedron([[1, 0], [-1, 0]], [1, -1])))


def test_graph_networks_of_many_regions_have_the_codes_of_their_witnesses():
    """More regions than one batch of outputs holds."""
    net = pg.Network.from_layers(
        [(step.weight, step.constant) for step in random_net(2, 16, 16).steps[::2]], "hardtanh"
    )
    K = pg.enumerate_regions(net)
    assert K.n_regions > 2048
    assert (K.codes.letters == pg.spline_codes(net, K.witnesses).letters).all()


# -- going on ----------------------------------------------------------------------------------------------------


def test_resume_compares_networks_and_places_by_their_numbers():
    """A network, a box and a slice made twice are the same ones."""
    part = pg.enumerate_regions(random_net(2, 12, 6), BOX, budget=pg.Budget(regions=10))
    again = pg.Polyhedron.box(-2, 2, dim=2)
    whole = pg.enumerate_regions(random_net(2, 12, 6), again, resume=part)
    assert codes(whole.codes) == codes(pg.enumerate_regions(random_net(2, 12, 6), BOX).codes)
    for net, domain in ((random_net(2, 12, 6, seed=1), BOX), (random_net(2, 12, 6), None)):
        with pytest.raises(pg.InputError, match="another network, domain, slice or store"):
            pg.enumerate_regions(net, domain, resume=part)


def test_resume_keeps_its_method():
    net = random_net(3, 12, 6)
    part = pg.enumerate_regions(net, method="lp", budget=pg.Budget(regions=10))
    with pytest.raises(pg.InputError, match="began with method='lp'"):
        pg.enumerate_regions(net, method="vertices", resume=part)
    some = pg.enumerate_regions(net, method="lp", resume=part, budget=pg.Budget(regions=20))
    with pytest.raises(pg.InputError, match="began with method='lp'"):
        pg.enumerate_regions(net, method="vertices", resume=some)
    assert pg.enumerate_regions(net, resume=some).n_regions == pg.enumerate_regions(net).n_regions


def test_budgets_of_regions_count_those_of_earlier_runs():
    net = random_net(2, 24, 12)
    part = pg.enumerate_regions(net, budget=pg.Budget(regions=20))
    more = pg.enumerate_regions(net, budget=pg.Budget(regions=50), resume=part)
    assert part.n_regions == 20
    assert more.n_regions == 50


def test_what_cannot_be_resumed_says_why(tmp_path):
    net, path = random_net(2, 12, 6), tmp_path / "part.npz"
    pg.enumerate_regions(net, budget=pg.Budget(regions=10)).save(path)
    loaded = pg.PolyhedralComplex.load(path, net)
    assert not loaded.finished
    with pytest.raises(pg.InputError, match=r"files hold the regions, but not the stack.*Remedy"):
        pg.enumerate_regions(net, resume=loaded)
    with pytest.raises(pg.InputError, match="finished"):
        pg.enumerate_regions(net, resume=pg.enumerate_regions(net))


def test_what_is_found_is_told_in_a_line():
    """Arrays of thousands of numbers do not flood a terminal; counts tell what is not proved."""
    K = pg.enumerate_regions(random_net(2, 24, 12), pg.Polyhedron([[1, 0]], [0]), store="cells")
    assert "a domain of 1 row in" in repr(K)
    assert f"RegionArrays({K.n_regions} regions: packed, witnesses," in repr(K.arrays)
    assert repr(K.codes) == f"SplineCodes({K.n_regions} x 36 letters)"
    assert len(repr(K.arrays)) < 250
    count = pg.RegionCount(K.network, None, None, 12, 3, Exactness(undecided=2), True, None)
    assert not count.complete
    assert repr(count) == "RegionCount(12 regions, 3 bounded; 2 signs undecided: not proved complete)"


@pytest.mark.parametrize(("progress", "stream"), [(True, "stderr"), (False, "log")])
def test_the_first_call_says_that_kernels_compile(progress: bool, stream: str):
    """In a fresh process, once; to whoever listens."""
    script = (
        "import logging, sys; import polygeom as pg\n"
        "logging.basicConfig(stream=sys.stdout, level=logging.INFO)\n"
        "net = pg.Network.from_layers([([[1, 0], [0, 1]], [0, 0]), ([[1, 1]], [0])])\n"
        f"for _ in range(2): pg.enumerate_regions(net, progress={progress})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.count("compile once") == 1
    assert done.stderr.count("compile once") == (stream == "stderr")


@pytest.mark.parametrize(
    ("widths", "options", "reason"),
    [
        ((7, 3), {"store": "cells"}, r"store='cells' keeps vertices.*R\^7"),
        ((7, 3), {"method": "vertices"}, r"method='vertices' searches by vertices.*R\^7"),
        ((3, 3), {"store": "cells", "method": "lp"}, r"store='cells' keeps vertices.*method='lp' finds none"),
    ],
)
def test_vertices_out_of_reach_say_why(widths, options, reason):
    with pytest.raises(pg.InputError, match=reason) as caught:
        pg.enumerate_regions(random_net(*widths), **options)
    assert "Remedy" in str(caught.value)
    assert "method='auto' in" not in str(caught.value)
