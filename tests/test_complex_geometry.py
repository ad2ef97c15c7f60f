"""Faces, volumes and linear regions of complexes: closed formulas, Euler's relation, exact sums."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import comb
from unittest import mock

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from polygeom import Budget, Network, Polyhedron, complex_faces, enumerate_regions, vertices
from polygeom.certificates import Level
from polygeom.complexes import PolyhedralComplex
from polygeom.errors import InputError
from polygeom.exact import rational_matrix
from polygeom.testing import degenerate_networks, graph_networks, networks
from tests.region_oracle import oracle_regions, region_arrays

FEW = 40
"""Most regions a drawn network may have here."""


def complex_of(net: Network, domain: Polyhedron | None = None, **changes) -> PolyhedralComplex:
    arrays = replace(region_arrays(net, oracle_regions(net, domain)), **changes)
    return PolyhedralComplex(net, None, domain, arrays)


@st.composite
def small_complexes(draw: st.DrawFn) -> PolyhedralComplex:
    """Complexes of degenerate and ordinary networks, over the whole space or a box."""
    net = draw(st.one_of(networks(max_dim=3, max_width=3, max_depth=2), graph_networks()))
    domain = Polyhedron.box(-1, 1, dim=net.dim_in) if draw(st.booleans()) else None
    regions = oracle_regions(net, domain)
    largest = np.finfo(np.float64).max / 4
    points = [p for r in regions.values() for p in (r.interior, *r.points)]
    if len(regions) > FEW or any(abs(v) > largest for p in points for v in p):
        return layered([np.eye(2), np.ones((1, 2))], [np.zeros(2), None])
    return PolyhedralComplex(net, None, domain, region_arrays(net, regions))


def layered(weights, biases, domain=None) -> PolyhedralComplex:
    return complex_of(Network.from_layers(zip(weights, biases, strict=True)), domain)


def random_network(*widths: int, seed: int = 0, activation: str = "relu") -> Network:
    rng = np.random.default_rng(seed)
    layers = [(rng.standard_normal((m, n)), rng.standard_normal(m)) for n, m in pairwise(widths)]
    return Network.from_layers(layers, activation)


def grid(*counts: int) -> tuple[Network, Polyhedron]:
    """Return the network of parallel lines x_i = 1, ..., counts[i], and a box around their crossings."""
    rows = [(np.eye(len(counts))[axis], -float(j + 1)) for axis, n in enumerate(counts) for j in range(n)]
    W, b = np.array([a for a, _ in rows]), np.array([c for _, c in rows])
    box = Polyhedron.box(np.zeros(len(counts)), np.array(counts) + 1.0)
    return Network.from_layers([(W, b), (np.ones((1, len(rows))), [0])]), box


# -- faces -----------------------------------------------------------------------------------------------------


@given(small_complexes())
def test_eulers_relation(K):
    """The alternating sum of faces is 1 for a box, (-1)^k for all of R^k."""
    assert K.euler_characteristic == (1 if K.domain is not None else (-1) ** K.dim)
    assert K.f_vector[-1] == K.n_regions


@given(small_complexes())
def test_facets_are_edges_without_a_domain(K):
    """Every face of dimension k - 1 is the facet of two regions, or on the domain's boundary."""
    outside = 0 if K.domain is None else int(K.arrays.domain_facets.sum())
    assert K.f_vector[-2] == len(K.edges) + outside


@given(small_complexes())
def test_listed_facets_and_all_rows_give_the_same_faces(K):
    bare = replace(K.arrays, facet_start=None, facet_units=None, facet_tied=None, tied_points=None)
    assert K.f_vector == replace(K, arrays=bare).f_vector


@pytest.mark.parametrize(("n", "d"), [(4, 1), (5, 2), (4, 3)])
def test_bucks_numbers_of_a_simple_arrangement(n, d):
    """n hyperplanes in general position have C(n, d - k) S_k(n - d + k) faces of dimension k (Buck 1943)."""
    K = complex_of(random_network(d, n, 1))
    wanted = tuple(comb(n, d - k) * sum(comb(n - d + k, i) for i in range(k + 1)) for k in range(d + 1))
    assert K.f_vector == wanted
    assert K.n_bounded == comb(n - 1, d)
    assert len(K.distinct_vertices()) == comb(n, d)


def test_the_faces_of_a_grid():
    net, box = grid(2, 3)
    K = complex_of(net, box)
    assert K.f_vector == (4 * 5, 3 * 5 + 4 * 4, 3 * 4)
    assert complex_of(net).f_vector == (2 * 3, 3 * 3 + 2 * 4, 3 * 4)


def test_cells_with_lines_have_no_vertices():
    """Two parallel planes in R^3 make three slabs."""
    K = layered([[[1.0, 2, 3], [1, 2, 3]], np.ones((1, 2))], [[0.0, 1], None])
    assert K.f_vector == (0, 0, 2, 3)
    assert K.distinct_vertices().shape == (0, 3)
    assert np.isinf(K.volumes()).all()


def test_distinct_vertices_of_degenerate_cells():
    """Four lines through one point meet there only."""
    K = layered([[[1.0, 0], [0, 1], [1, 1], [1, -1]], np.ones((1, 4))], [np.zeros(4), None])
    assert K.distinct_vertices().tolist() == [[0, 0]]
    assert K.f_vector == (1, 8, 8)


# -- faces by codes ----------------------------------------------------------------------------------------------


@st.composite
def enumerated(draw: st.DrawFn) -> PolyhedralComplex:
    """Complexes with vertices from the enumeration, degenerate ones among them."""
    net = draw(st.one_of(networks(max_dim=3, max_width=4, max_depth=2), degenerate_networks(dims=(2, 3))))
    domain = draw(
        st.sampled_from([None, Polyhedron.box(-1, 1, dim=net.dim_in), Polyhedron.orthant(net.dim_in)])
    )
    try:
        K = enumerate_regions(net, domain, store="cells")
    except InputError:  # regions contain lines
        K = enumerate_regions(random_network(2, 3, 1), store="cells")
    assume(K.n_regions <= 2 * FEW)
    return K


@given(enumerated())
def test_faces_counted_by_codes_are_those_of_exact_points(K):
    assert K.f_vector == without_vertices(K).f_vector


@pytest.mark.parametrize(
    ("widths", "activation"),
    [((1, 6, 3, 1), "relu"), ((2, 7, 4, 1), "relu"), ((3, 5, 4, 1), "relu"), ((3, 4, 3, 1), "hardtanh"),
     ((4, 6, 1), "leaky_relu"), ((5, 6, 1), "relu")],
)  # fmt: skip
@pytest.mark.parametrize("bounded", [False, True])
def test_listed_facets_of_vertices_are_exact(widths, activation, bounded):
    """Bits of `vertex_facets` (ends of `edge_units` in the plane) are the tight rows of the exact vertices."""
    net = random_network(*widths, seed=len(widths), activation=activation)
    domain = Polyhedron.box(-1, 1, dim=widths[0]) if bounded else None
    K = enumerate_regions(net, domain, store="cells")
    regions, facets = complex_faces._facets_of_vertices(K)
    for i in range(0, K.n_regions, max(1, K.n_regions // 20)):
        P, V = complex_faces.skeleton(K, i)
        units = [*K.piece(i).units[np.isin(K.piece(i).units, units_of(K, i))].tolist()]
        units += [-1] * (P.n_rows - len(units))
        wanted = sorted(sorted(units[row] for row in tight) for tight in V.tight_rows)
        own = [[-1 if f < 0 else int(K.arrays.facet_units[f]) for f in row] for row in facets[regions == i]]
        assert sorted(sorted(row) for row in own) == wanted


def units_of(K: PolyhedralComplex, region: int) -> np.ndarray:
    return K.arrays.facet_units[slice(*K.arrays.facet_start[region : region + 2])]


def test_ordinary_complexes_need_no_exact_points():
    """All of R^3 by codes alone; in a box only the cells on its boundary by points."""
    net = random_network(3, 6, 5, 1)
    K = enumerate_regions(net, store="cells")
    with mock.patch("polygeom.complex_faces.skeleton", side_effect=AssertionError):
        assert K.euler_characteristic == -1
    boxed = enumerate_regions(net, Polyhedron.box(-4, 4, dim=3), store="cells")
    with mock.patch("polygeom.complex_faces.skeleton", side_effect=complex_faces.skeleton) as asked:
        assert boxed.euler_characteristic == 1
    assert asked.call_count == np.count_nonzero(boxed.arrays.domain_facets) < boxed.n_regions


def test_names_that_are_not_all_there_are_not_trusted():
    """A stopped enumeration lists some of the cells around a face."""
    K = enumerate_regions(random_network(3, 8, 1), store="cells", budget=Budget(regions=50))
    assert K.f_vector == without_vertices(K).f_vector


def test_counting_faces_can_show_a_bar(capsys):
    K = complex_of(random_network(2, 4, 1))
    assert K.count_faces(progress=True) == K.f_vector == replace(K).count_faces()
    shown = capsys.readouterr().err
    assert "faces" in shown
    assert f"{K.n_regions}/{K.n_regions}" in shown
    assert replace(K).f_vector
    assert not capsys.readouterr().err


# -- stored generators -------------------------------------------------------------------------------------------


def test_stored_vertices_and_rays():
    K = complex_of(random_network(2, 4, 1))
    for i, region in enumerate(oracle_regions(K.network).values()):
        assert K.vertices(i).tolist() == [[float(v) for v in p] for p in region.points]
        assert len(K.rays(i)) == len(region.rays)
        P = K.polyhedron(i).homogeneous()
        assert (K.rays(i) @ P.A.T <= np.abs(K.rays(i)) @ np.abs(P.A.T) * 2.0**-50).all()


def without_vertices(K: PolyhedralComplex) -> PolyhedralComplex:
    nothing = dict.fromkeys(("vertices", "vertex_start", "edge_units", "vertex_facets"))
    return replace(K, arrays=replace(K.arrays, **nothing))


def directions(rays: np.ndarray) -> list[list[float]]:
    """Return rays of any length by their directions, sorted."""
    return sorted(np.round(rays / np.abs(rays).max(axis=1, keepdims=True), 9).tolist())


@pytest.mark.parametrize("dim", [2, 3])
def test_vertices_and_rays_are_found_where_they_were_not_stored(dim):
    K = complex_of(random_network(dim, 5, 1, seed=dim))
    bare = without_vertices(K)
    for i in range(K.n_regions):
        assert sorted(bare.vertices(i).tolist()) == sorted(K.vertices(i).tolist())
        assert directions(bare.rays(i)) == directions(K.rays(i)) if len(K.rays(i)) else not len(bare.rays(i))
    with pytest.raises(InputError, match="no region"):
        bare.rays(K.n_regions)


def test_lines_are_two_rays():
    K = layered([[[1.0, 2, 3], [1, 2, 3]], np.ones((1, 2))], [[0.0, 1], None])
    bare = without_vertices(K)
    for i in range(K.n_regions):
        assert bare.vertices(i).shape == (0, 3)
        rays = bare.rays(i)
        assert np.linalg.matrix_rank(rays) == K.recession_cone(i).dim
        assert {tuple(r) for r in rays.tolist()} >= {tuple(-r) for r in rays if not (-r @ [1, 2, 3])}


@given(small_complexes())
def test_recession_cones_of_all_regions(K):
    """Of dimension 0 where bounded; they hold, hold all rays, and do not depend on what was stored."""
    bare = without_vertices(K)
    for i in range(K.n_regions):
        cone, other, P = K.recession_cone(i), bare.recession_cone(i), K.polyhedron(i)
        assert cone.holds(P).level is Level.EXACT
        assert (cone.dim, cone.implicit.tolist()) == (other.dim, other.implicit.tolist())
        assert (cone.dim == 0) == K.bounded[i]
        exact = vertices(P)
        assert cone.dim == rational_matrix(np.concatenate([exact.rays, exact.lines])).rank()
        assert cone.dim >= np.linalg.matrix_rank(bare.rays(i))  # a cone may be as thin as a rounding


def test_stored_rays_spare_a_search():
    K = complex_of(random_network(2, 5, 1))
    far = int(np.flatnonzero(~K.bounded)[0])
    with mock.patch("polygeom.complex_geometry.recession_cone", side_effect=AssertionError):
        assert K.recession_cone(far).dim == 2


# -- volumes -----------------------------------------------------------------------------------------------------


@given(small_complexes())
def test_volumes_add_up_to_the_box_exactly(K):
    if K.domain is None:
        assert np.isinf(K.volumes(exact=True)[~K.bounded].astype(float)).all()
        return
    exact = K.volumes(exact=True)
    assert exact.sum() == Fraction(2) ** K.dim
    assert K.volumes().sum() == pytest.approx(2.0**K.dim)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_float_volumes_are_near_the_exact_ones(dim):
    net, domain = random_network(dim, 6, 1), Polyhedron.box(-2, 2, dim=dim)
    K = complex_of(net, domain)
    exact = K.volumes(exact=True)
    assert exact.sum() == 4**dim
    assert K.volumes() == pytest.approx(exact.astype(float), rel=2.0**-30, abs=0)
    unstored = replace(K, arrays=replace(K.arrays, vertices=None, vertex_start=None))
    assert unstored.volumes().tolist() == [float(v) for v in exact]


def test_boundedness_is_proved_where_it_was_not_seen():
    for domain in (None, Polyhedron.box(-1, 1, dim=2), Polyhedron.orthant(2)):
        K = complex_of(random_network(2, 5, 1), domain)
        unseen = replace(K, arrays=replace(K.arrays, bounded=None))
        assert unseen.bounded.tolist() == K.bounded.tolist()
        assert unseen.n_bounded == K.n_bounded


# -- linear regions ----------------------------------------------------------------------------------------------


@given(small_complexes())
def test_linear_regions_join_exactly_equal_maps(K):
    """Compare all maps of neighbors in rationals."""
    maps = []
    for i in range(K.n_regions):
        matrix, offset = K.network.exact().affine_map(K.code(i))
        maps.append((matrix.to_rational().entries(), offset.to_rational().entries()))
    joined = nx.Graph([(i, j) for i, j in K.edges.tolist() if maps[i] == maps[j]])
    joined.add_nodes_from(range(K.n_regions))
    labels = K.linear_regions()
    wanted = [min(nx.node_connected_component(joined, i)) for i in range(K.n_regions)]
    pairs = set(zip(labels.tolist(), wanted, strict=True))
    assert len(pairs) == len(set(wanted)) == len(set(labels.tolist()))
    assert labels.max() + 1 == len(set(wanted))


def test_units_without_effect_draw_no_linear_regions():
    """A unit that nothing reads, and two equal ones that cancel: 2 linear regions among 6 cells or more."""
    W, b = np.array([[1.0, 0], [0, 1], [1, 1], [1, 1]]), np.array([0.0, 0, -1, -1])
    K = layered([W, [[1.0, 0, 1, -1]]], [b, [0.0]])
    assert K.n_regions == 7
    assert K.linear_regions().max() + 1 == 2


def test_linear_regions_need_not_be_convex():
    """max(x, 0) + max(y, 0) - max(x, 0) cancels x; where both hidden units are off the maps are equal too."""
    K = layered([[[1.0, 0], [0, 1]], [[-1.0, -1]], [[1.0]]], [None, [1.0], None])
    labels = K.linear_regions()
    flat = K.codes[:, 2] == 0
    assert flat.sum() > 1
    assert len(set(labels[flat].tolist())) == 1


def test_one_affine_map_is_one_linear_region():
    K = layered([[[1.0, 0], [0, 1], [1, 1]], np.zeros((1, 3))], [[0.0, 0, 1], [2.0]])
    assert K.n_regions == 7
    assert not K.linear_regions().any()
