"""All regions: as the exact oracle finds them, as many as theorems say, unmoved by changes of coordinates."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import shortest_path

import polygeom as pg
from polygeom.complex_checks import Outcome
from polygeom.complex_checks.arrangements import central_regions, simple_regions
from polygeom.network import Network
from polygeom.testing import (
    FAMILIES,
    degenerate_networks,
    graph_networks,
    networks,
    overlapping_maxima,
    random_layers,
    residual_maxima,
)
from tests.region_oracle import CLASSIC, PLANE, SPACE, Code, oracle_regions

Graph = dict[Code, frozenset[Code]]

BOX = pg.Polyhedron.box(-1, 1, dim=2)
DOMAINS = {
    "box": BOX,
    "triangle": pg.Polyhedron([[-1, 0], [0, -1], [1, 1]], [1, 1, 1]),
    "wedge": pg.Polyhedron([[-1, 0.25], [0.5, -1]], [0.5, 0.25]),
    "strip": pg.Polyhedron([[1, 2], [-1, -2]], [1, 1]),
    "half-plane": pg.Polyhedron([[3, -1]], [0.5]),
    "far corner": pg.Polyhedron([[-1, 0], [0, -1]], [-3, -5]),
    "redundant rows": pg.Polyhedron([[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [2, 0]], [1, 1, 1, 1, 2, 2]),
    "rows without a normal": pg.Polyhedron([[0, 0], [1, 1], [0, 0]], [0, 1, 2]),
    "no rows that matter": pg.Polyhedron([[0, 0]], [0]),
    "thin sliver": pg.Polyhedron([[0, 1], [0, -1], [1, 0], [-1, 0]], [2.0**-30, 0, 1, 1]),
}


# -- what is compared ----------------------------------------------------------------------------------------


def listed(K: pg.PolyhedralComplex) -> list[Code]:
    """Return the codes as tuples, in the order of the regions."""
    return [tuple(code) for code in np.asarray(K.codes.letters).tolist()]


def graph_of(K: pg.PolyhedralComplex) -> Graph:
    """Return the codes next to every code."""
    codes, A = listed(K), K.adjacency.tocsr()
    return {
        code: frozenset(codes[j] for j in A.indices[A.indptr[i] : A.indptr[i + 1]])
        for i, code in enumerate(codes)
    }


def bounded_codes(K: pg.PolyhedralComplex) -> set[Code]:
    return {code for code, flag in zip(listed(K), K.arrays.bounded, strict=True) if flag}


def assert_equals_oracle(K: pg.PolyhedralComplex, net: Network, domain: object = None, along: object = None):
    """Codes, neighbors, numbers of facets, facet units, domain facets and boundedness are those of the oracle."""
    truth = oracle_regions(net, domain, along)
    codes = listed(K)
    assert K.complete
    assert K.n_regions == len(codes) == len(truth)
    assert set(codes) == set(truth)
    assert graph_of(K) == {code: frozenset(f.neighbor for f in r.facets) for code, r in truth.items()}
    assert np.asarray(K.n_facets).tolist() == [len(truth[code].facets) for code in codes]
    assert bounded_codes(K) == {code for code, r in truth.items() if r.bounded}
    assert K.n_bounded == sum(r.bounded for r in truth.values())
    arrays = K.arrays
    if arrays.domain_facets is not None:
        assert arrays.domain_facets.tolist() == [truth[code].domain_facets for code in codes]
    if arrays.facet_units is not None:
        for i, code in enumerate(codes):
            units = arrays.facet_units[arrays.facet_start[i] : arrays.facet_start[i + 1]].tolist()
            owners = [f.units for f in truth[code].facets]
            assert all(any(unit in owner for owner in owners) for unit in units)
            assert all(any(unit in owner for unit in units) for owner in owners)


def prototype(*widths: int) -> Network:
    """Return the network of the reference counts: all layers but an output that draws nothing."""
    rng = np.random.default_rng(0)
    layers = [
        (rng.standard_normal((m, n)) * np.sqrt(2 / n), rng.standard_normal(m) * 0.3)
        for n, m in pairwise(widths)
    ]
    return Network.from_layers([*layers, (np.ones((1, widths[-1])), None)])


def one_layer(W: object, b: object) -> Network:
    W = np.asarray(W, dtype=np.float64)
    return Network.from_layers([(W, b), (np.ones((1, len(W))), None)])


# -- equal to the oracle -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_degenerate_networks_in_the_plane(name: str):
    net = FAMILIES[name](PLANE, 3)
    assert_equals_oracle(pg.enumerate_regions(net), net)


@pytest.mark.parametrize("name", FAMILIES)
def test_degenerate_networks_in_space(name: str):
    net = FAMILIES[name](SPACE, 5)
    assert_equals_oracle(pg.enumerate_regions(net), net)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize(
    "name", ["generic", "anti-parallel pair", "small integers", "zero biases", "mirrored"]
)
def test_polyhedral_domains(name: str, domain: str):
    net = FAMILIES[name](PLANE, 7)
    assert_equals_oracle(pg.enumerate_regions(net, DOMAINS[domain]), net, DOMAINS[domain])


@given(net=degenerate_networks(dims=(2,)), domain=st.sampled_from(sorted(DOMAINS)))
def test_degenerate_networks_in_domains(net: Network, domain: str):
    assert_equals_oracle(pg.enumerate_regions(net, DOMAINS[domain]), net, DOMAINS[domain])


@given(net=degenerate_networks())
def test_degenerate_networks_in_boxes_of_any_dimension(net: Network):
    box = pg.Polyhedron.box(-1, 2, dim=net.dim_in)
    assert_equals_oracle(pg.enumerate_regions(net, box), net, box)


@given(net=networks(max_dim=3, max_width=3, max_depth=2))
def test_random_networks(net: Network):
    assert_equals_oracle(pg.enumerate_regions(net), net)


TWO_FACETS_OF_ONE_MAXIMUM = overlapping_maxima(
    (
        (np.array([[2.0, 0, -1], [0, 0, 2], [-1, 2, 1], [0, 2, 2]]), np.array([2.0, -1, 0, 2])),
        (
            np.array([[12, 8, 2, 6], [23, 8, 3, -15], [-7, -6, 5, -7], [-13, 7, 10, -5]]) / 10,
            np.array([2.0, -1, 2, 2]),
        ),
    ),
    ("abs",),
    -1.0,
    np.ones((1, 7)),
)
"""A region with two facets of one maximum, tied points nearer to the other one, and facets that are ambiguous."""


@example(net=TWO_FACETS_OF_ONE_MAXIMUM)
@given(net=graph_networks())
def test_residual_sums_concatenations_and_maxima(net: Network):
    box = pg.Polyhedron.box(-2, 2, dim=net.dim_in)
    assert_equals_oracle(pg.enumerate_regions(net, box), net, box)


@given(net=degenerate_networks(dims=(4,), max_width=4))
def test_slices_of_networks_with_many_inputs(net: Network):
    plane = pg.AffineMap([[1, 0], [0.5, 1], [-1, 0.25], [0, 3]], [0.1, 0, -0.2, 0])
    assert_equals_oracle(pg.enumerate_regions(net, along=plane), net, along=plane)


@pytest.mark.parametrize("activation", [("relu",), ("hardtanh",), ("leaky_relu", -0.5)])
def test_graph_networks_on_slices_and_unbounded_domains(activation: tuple):
    net = residual_maxima(3, 1, activation)
    plane = pg.AffineMap([[1, 0], [0.5, 1], [-1, 0.25]], [0.1, 0, -0.2])
    assert_equals_oracle(pg.enumerate_regions(net, along=plane), net, along=plane)
    wedge = DOMAINS["wedge"]
    assert_equals_oracle(pg.enumerate_regions(net, wedge, plane), net, wedge, plane)


@pytest.mark.parametrize("name", ["generic", "tripled duplicate", "small integers", "zero biases"])
def test_stored_cells_have_the_vertices_and_rays_of_the_oracle(name: str):
    net = FAMILIES[name](PLANE, 11)
    K, truth = pg.enumerate_regions(net, store="cells"), oracle_regions(net)
    for i, code in enumerate(listed(K)):
        assert len(K.vertices(i)) == len(truth[code].points)
        assert len(K.rays(i)) == len(truth[code].rays) + 2 * len(truth[code].lines)


# -- proved again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_classic_failures_are_proved_complete(name: str):
    """The networks other tools were tried on, with a box: the exact volumes fill it."""
    K = pg.enumerate_regions(FAMILIES[name](CLASSIC, 1), BOX)
    report = pg.check_complex(K, sample=40)
    assert report, report.text
    assert report["witnesses"].outcome is Outcome.HOLDS


@pytest.mark.parametrize("name", ["duplicate unit", "nearly parallel 1e-12", "zero biases", "small integers"])
def test_classic_failures_fill_the_box(name: str):
    report = pg.check_complex(pg.enumerate_regions(FAMILIES[name](CLASSIC, 2), BOX), sample=None)
    assert report, report.text
    assert report["volumes"].outcome is Outcome.HOLDS
    assert report["completeness"].text == "The regions fill the domain."


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
def test_boxes_around_generic_networks_need_no_rational_signs(dim: int):
    """The rows of a box vanish at directions along the others, which their zeros alone tell."""
    net = Network.from_layers(random_layers((dim, 6, 4, 1), dim))
    exactness = pg.enumerate_regions(net, pg.Polyhedron.box(-1, 1, dim=dim), store="count").exactness
    assert exactness.rationals == 0
    assert exactness.structure >= dim * (dim - 1)


# -- theorems ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "n"), [(1, 9), (2, 40), (3, 16), (4, 10), (5, 9), (7, 9), (8, 8), (3, 2)])
def test_hyperplanes_in_general_position_make_zaslavskys_number_of_regions(d: int, n: int):
    rng = np.random.default_rng(d)
    K = pg.enumerate_regions(one_layer(rng.standard_normal((n, d)), rng.standard_normal(n)))
    assert K.n_regions == simple_regions(n, d)
    report = pg.check_complex(K, sample=5)
    assert report["Zaslavsky's theorem"].outcome is Outcome.HOLDS, report.text


@pytest.mark.parametrize(("d", "n"), [(1, 3), (2, 12), (3, 9), (4, 8), (6, 8)])
def test_hyperplanes_through_the_origin(d: int, n: int):
    rng = np.random.default_rng(d)
    K = pg.enumerate_regions(one_layer(rng.standard_normal((n, d)), np.zeros(n)))
    assert K.n_regions == central_regions(n, d)
    assert K.n_bounded == 0


@given(seed=st.integers(0, 2**16), d=st.integers(1, 4))
def test_integer_arrangements_have_as_many_regions_as_their_polynomial_says(seed: int, d: int):
    rng = np.random.default_rng(seed)
    W, b = rng.integers(-1, 2, (7, d)), rng.integers(-1, 2, 7).astype(float)
    report = pg.check_complex(pg.enumerate_regions(one_layer(W, b)), sample=3)
    assert report["Zaslavsky's theorem"].outcome is Outcome.HOLDS, report.text


REFERENCE = [
    ((2, 32, 32), 1.0, 1_382),
    ((2, 32, 32), None, 2_034),
    ((2, 64, 64, 64), 1.0, 11_285),
    ((2, 64, 64, 64), None, 16_123),
    ((4, 12, 12), None, 13_373),
    ((6, 10, 10), None, 38_538),
    ((10, 14), None, 15_914),
    pytest.param((3, 64, 64), None, 334_936, marks=pytest.mark.slow),
    pytest.param((10, 12, 6), None, 123_757, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("widths", "radius", "n_regions"), REFERENCE)
def test_reference_counts(widths: tuple[int, ...], radius: float | None, n_regions: int):
    domain = None if radius is None else pg.Polyhedron.box(-radius, radius, dim=widths[0])
    assert pg.enumerate_regions(prototype(*widths), domain, store="count").n_regions == n_regions


# -- one layer: distances ------------------------------------------------------------------------------------


def separating(W: np.ndarray, b: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the numbers of distinct hyperplanes between all pairs of regions."""
    planes: dict[tuple, list[int]] = {}
    for unit, row in enumerate(np.column_stack([W, b])):
        exact = [Fraction(v) for v in row]
        lead = next((v for v in exact[:-1] if v), None)
        if lead is not None:
            planes.setdefault(tuple(v / lead for v in exact), []).append(unit)
    return sum(
        (codes[:, None, units[0]] != codes[None, :, units[0]]).astype(int) for units in planes.values()
    )


@given(seed=st.integers(0, 2**16), dim=st.integers(1, 3), integers=st.booleans())
@example(seed=3, dim=2, integers=True)
def test_graph_distance_is_the_number_of_separating_hyperplanes(seed: int, dim: int, integers: bool):
    rng = np.random.default_rng(seed)
    W, b = rng.standard_normal((7, dim)), rng.standard_normal(7)
    if integers:
        W, b = rng.integers(-2, 3, (7, dim)).astype(float), rng.integers(-1, 2, 7).astype(float)
    W[5], b[5] = -2 * W[0], -2 * b[0]  # coincident, counted once
    K = pg.enumerate_regions(one_layer(W, b))
    distance = shortest_path(K.adjacency, unweighted=True)
    assert np.array_equal(distance, separating(W, b, np.asarray(K.codes.letters)))


# -- metamorphic laws ----------------------------------------------------------------------------------------


def renamed(graph: Graph, rename: Callable[[Code], Code]) -> Graph:
    return {rename(code): frozenset(map(rename, others)) for code, others in graph.items()}


FEWER = settings(max_examples=settings.default.max_examples // 4)
"""For laws that compare two enumerations of networks with many coincidences, a tenth of a second each."""

LAWS = st.sampled_from(["generic", "duplicate unit", "small integers", "zero biases", "mirrored"])
SEEDS = st.integers(0, 100)


def layers_of(name: str, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the weights of a family's member."""
    net = FAMILIES[name](PLANE, seed)
    return [(s.weight.copy(), s.constant.copy()) for s in net.steps if hasattr(s, "weight")]


@FEWER
@given(name=LAWS, seed=SEEDS)
def test_permuted_units_permute_the_codes(name: str, seed: int):
    (W, b), (V, c), last = layers_of(name, seed)
    order = np.random.default_rng(seed).permutation(len(b))
    plain = graph_of(pg.enumerate_regions(Network.from_layers([(W, b), (V, c), last])))
    permuted = graph_of(
        pg.enumerate_regions(Network.from_layers([(W[order], b[order]), (V[:, order], c), last]))
    )
    assert permuted == renamed(plain, lambda code: tuple(code[i] for i in order) + code[len(b) :])


@FEWER
@given(name=LAWS, seed=SEEDS, factor=st.sampled_from([1.0, -1.0, 4.0]))
def test_a_copied_unit_adds_a_column(name: str, seed: int, factor: float):
    (W, b), (V, c), last = layers_of(name, seed)
    n = len(b)
    first = np.vstack([W, factor * W[:1]]), np.append(b, factor * b[0])
    copied = [first, (np.pad(V, ((0, 0), (0, 1))), c), last]
    plain = graph_of(pg.enumerate_regions(Network.from_layers([(W, b), (V, c), last])))
    wider = graph_of(pg.enumerate_regions(Network.from_layers(copied)))
    assert renamed(wider, lambda code: code[:n] + code[n + 1 :]) == plain


@FEWER
@given(name=LAWS, seed=SEEDS, bias=st.sampled_from([-1.0, 0.0, 1.0]))
def test_a_unit_without_weights_adds_a_constant_column(name: str, seed: int, bias: float):
    (W, b), (V, c), last = layers_of(name, seed)
    n = len(b)
    wider = [(np.vstack([W, 0 * W[:1]]), np.append(b, bias)), (np.pad(V, ((0, 0), (0, 1))), c), last]
    plain = graph_of(pg.enumerate_regions(Network.from_layers([(W, b), (V, c), last])))
    found = graph_of(pg.enumerate_regions(Network.from_layers(wider)))
    assert found == renamed(plain, lambda code: (*code[:n], int(bias > 0), *code[n:]))


@FEWER
@given(name=LAWS, seed=SEEDS)
def test_positive_rescaling_between_layers_changes_nothing(name: str, seed: int):
    (W, b), (V, c), last = layers_of(name, seed)
    scale = 2.0 ** np.random.default_rng(seed).integers(-20, 20, len(b))
    rescaled = [(W * scale[:, None], b * scale), (V / scale, c), last]
    plain = graph_of(pg.enumerate_regions(Network.from_layers([(W, b), (V, c), last])))
    assert graph_of(pg.enumerate_regions(Network.from_layers(rescaled))) == plain


@FEWER
@given(name=LAWS, seed=SEEDS)
def test_an_invertible_change_of_coordinates_changes_nothing(name: str, seed: int):
    net = FAMILIES[name](PLANE, seed)
    plain = pg.enumerate_regions(net)
    moved = pg.enumerate_regions(net, along=pg.AffineMap([[3, 1], [-1, 0.5]], [0.1, -7]))
    assert graph_of(moved) == graph_of(plain)
    assert bounded_codes(moved) == bounded_codes(plain)


@FEWER
@given(name=LAWS, seed=SEEDS)
def test_an_identity_layer_repeats_its_columns(name: str, seed: int):
    first, second, last = layers_of(name, seed)
    n = len(first[1])
    plain = graph_of(pg.enumerate_regions(Network.from_layers([first, second, last])))
    longer = Network.from_layers([first, (np.eye(n), np.zeros(n)), second, last])
    assert graph_of(pg.enumerate_regions(longer)) == renamed(plain, lambda code: code[:n] + code)


@FEWER
@given(seed=SEEDS)
def test_a_slice_is_the_composed_network(seed: int):
    """With integers nothing is rounded when the plane is multiplied into the first layer."""
    rng = np.random.default_rng(seed)
    layers = [(rng.integers(-2, 3, (m, n)), rng.integers(-2, 3, m)) for n, m in pairwise((5, 6, 4, 1))]
    M, offset = np.vstack([np.eye(3, dtype=int), rng.integers(-2, 3, (2, 3))]), rng.integers(-2, 3, 5)
    (W, b), *rest = layers
    sliced = pg.enumerate_regions(Network.from_layers(layers), along=pg.AffineMap(M, offset))
    composed = pg.enumerate_regions(Network.from_layers([(W @ M, W @ offset + b), *rest]))
    assert graph_of(sliced) == graph_of(composed)
    assert bounded_codes(sliced) == bounded_codes(composed)


# -- counting, streaming, stopping ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["generic", "duplicate unit", "zero biases", "nearly parallel 1e-12"])
@pytest.mark.parametrize("domain", [None, BOX, DOMAINS["wedge"]])
def test_counting_finds_as_many_regions_as_storing(name: str, domain: pg.Polyhedron | None):
    net = FAMILIES[name](CLASSIC, 4)
    counted, stored = (pg.enumerate_regions(net, domain, store=s) for s in ("count", "regions"))
    assert (counted.n_regions, counted.n_bounded) == (stored.n_regions, stored.n_bounded)


@pytest.mark.parametrize("name", ["generic", "duplicate unit", "zero biases"])
def test_batches_hold_every_region_once(name: str):
    net = FAMILIES[name]((2, 40, 40, 1), 4)  # more than one batch
    batches = list(pg.region_batches(net, BOX))
    whole = pg.enumerate_regions(net, BOX)
    rows = [row.tobytes() for batch in batches for row in batch.packed]
    assert len(rows) == len(set(rows)) == whole.n_regions
    assert set(rows) == {row.tobytes() for row in whole.arrays.packed}
    assert sum(int(batch.bounded.sum()) for batch in batches) == whole.n_regions
    assert sum(len(batch.facet_units) for batch in batches) == whole.n_facets.sum()


def test_batches_of_counts_are_refused():
    with pytest.raises(pg.InputError, match="count"):
        next(iter(pg.region_batches(NET, store="count")))


def test_progress_shows_a_bar_on_demand(capsys: pytest.CaptureFixture):
    pg.enumerate_regions(FAMILIES["generic"](PLANE, 0))
    assert capsys.readouterr().err == ""
    pg.enumerate_regions(FAMILIES["generic"](PLANE, 0), progress=True)
    assert "regions" in capsys.readouterr().err


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_a_budget_leaves_a_part_that_can_be_resumed(limit: int):
    net = FAMILIES["generic"](CLASSIC, 5)
    whole = pg.enumerate_regions(net)
    part = pg.enumerate_regions(net, budget=pg.Budget(regions=limit))
    assert not part.complete
    assert limit <= part.n_regions < whole.n_regions
    assert set(listed(part)) < set(listed(whole))
    report = pg.check_complex(part, sample=10)
    assert not report
    assert report["completeness"].outcome is Outcome.OPEN
    assert not report.refuted, report.text
    resumed = pg.enumerate_regions(net, resume=part)
    assert resumed.complete
    assert graph_of(resumed) == graph_of(whole)
    assert bounded_codes(resumed) == bounded_codes(whole)


def test_a_counting_budget_can_be_resumed():
    net = FAMILIES["generic"](CLASSIC, 5)
    part = pg.enumerate_regions(net, store="count", budget=pg.Budget(regions=20))
    assert not part.complete
    rest = pg.enumerate_regions(net, store="count", resume=part)
    assert rest.complete
    assert rest.n_regions == pg.enumerate_regions(net, store="count").n_regions > part.n_regions


def test_full_memory_keeps_what_was_found(monkeypatch: pytest.MonkeyPatch):
    from polygeom.enumeration import regions

    net = prototype(2, 40, 40)
    with monkeypatch.context() as patched:
        patched.setattr(regions, "_memory", lambda: 1000)
        patched.setattr(regions, "STEP", 100)
        with pytest.raises(pg.BudgetError, match="count") as caught:
            pg.enumerate_regions(net)
    part = caught.value.partial
    assert not part.complete
    assert graph_of(pg.enumerate_regions(net, resume=part)) == graph_of(pg.enumerate_regions(net))


def test_a_budget_larger_than_needed_changes_nothing():
    net = FAMILIES["generic"](PLANE, 5)
    K = pg.enumerate_regions(net, budget=pg.Budget(regions=10_000, seconds=600.0))
    assert K.complete
    assert graph_of(K) == graph_of(pg.enumerate_regions(net))


def test_an_interrupt_leaves_what_was_found():
    net = prototype(3, 64, 64, 64)  # millions of regions
    timer = threading.Timer(0.2, _thread.interrupt_main)
    pg.enumerate_regions(prototype(3, 4))  # compiled
    timer.start()
    K = pg.enumerate_regions(net)
    timer.join()
    assert not K.complete
    assert K.n_regions > 0
    assert pg.check_complex(K, sample=3)["witnesses"].outcome is Outcome.HOLDS


# -- bad input -----------------------------------------------------------------------------------------------

NET = Network.from_layers(random_layers((2, 3, 1), 0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"domain": pg.Polyhedron([[1, 0], [-1, 0]], [-1, -1])}, "empty"),
        ({"domain": pg.Polyhedron([[1, 0], [-1, 0]], [1, -1])}, "dimension"),
        ({"domain": pg.Polyhedron.box(0, 1, dim=3)}, "R\\^3"),
        ({"domain": "box"}, "Polyhedron"),
        ({"along": pg.AffineMap([[1, 1], [2, 2]], [0, 0])}, "rank"),
        ({"along": pg.AffineMap([[1], [1], [1]], [0, 0, 0])}, "R\\^3"),
        ({"along": np.eye(2)}, "AffineMap"),
        ({"along": pg.AffineMap([[1], [0]], [0, 0]), "domain": BOX}, "R\\^2"),
        ({"store": "everything"}, "everything"),
        ({"budget": 100}, "Budget"),
        ({"resume": 3}, "resume"),
    ],
)
def test_bad_input_is_refused(arguments: dict, message: str):
    with pytest.raises(pg.InputError, match=message):
        pg.enumerate_regions(NET, **arguments)


def test_a_network_is_wanted():
    with pytest.raises(pg.InputError, match="Network"):
        pg.enumerate_regions(lambda x: x)


def test_resume_wants_the_same_network_and_an_unfinished_complex():
    net = FAMILIES["generic"](CLASSIC, 5)
    part = pg.enumerate_regions(net, budget=pg.Budget(regions=10))
    with pytest.raises(pg.InputError, match="network"):
        pg.enumerate_regions(NET, resume=part)


def test_nothing_to_cut_is_one_region():
    K = pg.enumerate_regions(Network.from_layers([(np.ones((1, 2)), None)]))
    assert (K.n_regions, K.n_bounded) == (1, 0)
    flat = Network.from_layers([(np.zeros((3, 2)), np.ones(3)), (np.ones((1, 3)), None)])
    assert pg.enumerate_regions(flat).n_regions == 1
    boxed = pg.enumerate_regions(flat, BOX)
    assert (boxed.n_regions, boxed.n_bounded) == (1, 1)
    assert np.asarray(boxed.n_facets).tolist() == [0]


@pytest.mark.parametrize(
    ("activation", "widths", "seed"),
    [
        ("leaky_relu", (4, 4, 2, 1), 0),
        ("leaky_relu", (3, 3, 2, 1), 7),
        ("leaky_relu", (3, 3, 3, 1), 8),
        ("relu6", (3, 3, 3, 1), 0),
    ],
)
def test_normals_that_are_dependent_up_to_a_rounding(activation: str, widths: tuple[int, ...], seed: int):
    """Cells reach as far as 1e16, and some of them have no end: no float tells which."""
    layers = random_layers(widths, seed)
    for W, b in layers[:-1]:
        W[-1], b[-1] = 3 * W[0], 3 * b[0]
    net = Network.from_layers(layers, activation)
    assert_equals_oracle(pg.enumerate_regions(net), net)
