"""Toy networks have the number of cells their docstrings claim."""

from __future__ import annotations

import inspect
import re
from itertools import permutations
from math import comb, factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.complexes import PolyhedralComplex
from polygeom.enumeration.regions import enumerate_regions
from polygeom.errors import InputError
from polygeom.models import toy
from polygeom.network import Network
from polygeom.pieces import piece_at, spline_codes

SEEDS = st.integers(0, 2**32 - 1)


def lattice(dim: int, low: float, high: float, step: float) -> np.ndarray:
    """Return all points of a lattice with dyadic step in a box, (N, dim)."""
    axis = np.arange(low, high + step, step)
    return np.stack(np.meshgrid(*[axis] * dim, indexing="ij"), axis=-1).reshape(-1, dim)


def cells_hit(net: Network, points: np.ndarray) -> int:
    """Return how many codes occur at points none of which lies on a boundary."""
    return len(np.unique(spline_codes(net, points).letters, axis=0))


def enumerated(net: Network) -> PolyhedralComplex:
    """Return all regions, none left open."""
    K = enumerate_regions(net, store="regions")
    assert K.finished
    assert K.complete
    return K


def test_the_absolute_value_has_two_cells_and_a_code_of_none():
    net = toy.absolute()
    assert cells_hit(net, np.array([[-1.0], [1.0]])) == 2
    assert spline_codes(net, [[0.0]]).letters.tolist() == [[0, 0]]


@pytest.mark.parametrize("depth", [1, 2, 3, 6, 10])
def test_the_tent_has_two_to_the_depth_pieces(depth):
    net = toy.tent(depth)
    middles = (np.arange(2**depth) + 0.5) / 2**depth
    assert cells_hit(net, middles[:, None]) == 2**depth
    cell = piece_at(net, middles[:1]).polyhedron
    interval = cell.intersect(type(cell)([[-1.0]], [0.0])).ray_interval([1.0])
    assert (interval.lower, interval.upper) == (0, 2.0**-depth)
    ends = net(np.arange(2**depth + 1)[:, None] / 2**depth).ravel()
    assert ends.tolist() == [k % 2 for k in range(2**depth + 1)]
    outside = np.concatenate([[-9.0, -0.25], middles, [1.25, 9.0]])
    assert cells_hit(net, outside[:, None]) == (3 if depth == 1 else 2**depth + 2)


def test_xor_is_exclusive_or_and_has_three_cells():
    net = toy.xor()
    assert net([[0, 0], [0, 1], [1, 0], [1, 1]]).ravel().tolist() == [0, 1, 1, 0]
    assert cells_hit(net, lattice(2, -2.125, 2.125, 0.25)) == 3


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_box_indicator_cuts_every_cell_of_its_grid_but_the_box(dim):
    net = toy.box_indicator(dim)
    offsets = np.arange(1, dim + 1) / 64  # sums of coordinates stay off the last unit's boundary
    points = lattice(dim, -3.0, 3.0, 0.25 if dim == 3 else 0.125) + 1 / 128 + offsets
    assert cells_hit(net, points) == 2 * 3**dim - 1
    bounded = np.unique(spline_codes(net, points[net(points)[:, 0] > 0]).letters, axis=0)
    assert len(bounded) == 3**dim
    inside = np.abs(points).max(axis=1) <= 1
    assert (net(points[inside]) == 1).all()


@pytest.mark.parametrize("dim", [1, 2, 4])
def test_the_orthants_are_all_there(dim):
    net = toy.cone(dim)
    assert cells_hit(net, lattice(dim, -1, 1, 2)) == 2**dim
    assert not piece_at(net, np.ones(dim)).polyhedron.b.any()


@pytest.mark.parametrize(("dim", "lines"), [(1, 4), (2, 3), (3, 2)])
def test_the_grid_is_a_grid(dim, lines):
    net = toy.grid(dim, lines)
    assert cells_hit(net, lattice(dim, -0.5, lines - 0.5, 0.5) + 0.25) == (lines + 1) ** dim


@pytest.mark.parametrize("dim", [2, 3, 4])
def test_the_braid_arrangement_has_a_cell_for_every_order(dim):
    net = toy.braid(dim)
    orders = np.array(list(permutations(range(dim))), dtype=np.float64)
    assert cells_hit(net, orders) == factorial(dim)
    K = enumerated(net)
    assert K.n_regions == factorial(dim)
    assert K.n_bounded == 0
    assert (K.n_facets == dim - 1).all()  # a wall for every two neighbors in the order


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_arrangement_of_type_b_has_a_cell_for_every_signed_order(dim):
    K = enumerated(toy.b_arrangement(dim))
    assert K.n_regions == 2**dim * factorial(dim)
    assert K.n_bounded == 0
    assert (K.n_facets == dim).all()


def test_the_cells_of_three_axes_have_more_than_six_facets_on_average():
    net = toy.three_axes()
    x = np.arange(-1, 10, 0.5)
    tri = np.interp(x, range(9), [0, 1] * 4 + [0])
    points = np.column_stack([x, np.zeros_like(x), np.full_like(x, 1.0)])
    assert net(points).ravel().tolist() == np.maximum(tri - 0.5, 0).tolist()
    K = enumerated(net)
    assert K.n_regions == 1896
    assert K.adjacency.nnz == 2 * 5708
    assert K.n_facets.sum() == 2 * 5708 > 6 * 1896


def test_the_box_indicator_is_enumerated_with_its_bounded_cells():
    K = enumerated(toy.box_indicator(2))
    assert (K.n_regions, K.n_bounded) == (17, 9)


def test_the_network_of_maxima_has_fourteen_cells():
    net = toy.maxima()
    assert enumerated(net).n_regions == 14
    points = lattice(2, -3, 3, 0.125) + np.array([1 / 64, 1 / 128])
    assert cells_hit(net, points) == 14
    z = np.column_stack([points, 1 - points.sum(axis=1)])
    s = z + np.maximum(z, 0)
    assert np.array_equal(net(points).ravel(), s.max(axis=1) + s[:, :2].max(axis=1))


@pytest.mark.parametrize("name", toy.NAMED)
def test_a_named_toy_is_always_the_same_and_has_the_cells_it_documents(name):
    net = toy.named(name)
    assert net.is_same(toy.named(name))
    documented = re.search(rf"^ *{name}  .* (\d+)$", inspect.getdoc(toy.named), re.MULTILINE)
    assert enumerated(net).n_regions == int(documented.group(1))


def test_an_unknown_toy_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"'tend'.*Nearest: tent"):
        toy.named("tend")


@given(seed=SEEDS, units=st.integers(1, 6), reach=st.sampled_from([0.25, 1.0]))
def test_uniform_biases_stay_in_reach_and_draw_zaslavskys_number_of_cells(seed, units, reach):
    net = toy.uniform([2, units, 1], np.random.default_rng(seed), reach)
    assert np.abs(net.steps[0].constant).max() <= reach
    assert enumerated(net).n_regions == sum(comb(units, k) for k in range(3))


@given(seed=SEEDS, units=st.integers(1, 6))
def test_a_layer_in_general_position_has_zaslavskys_number_of_cells(seed, units):
    """Every cell of lines in general position touches a crossing, or the foot of the only line."""
    net = toy.he([2, units, 1], np.random.default_rng(seed))
    W, b = net.steps[0].weight, net.steps[0].constant
    pairs = [[i, j] for i in range(units) for j in range(i)]
    vertices = np.array([-np.linalg.solve(W[p], b[p]) for p in pairs] or [-b[0] * W[0] / (W[0] @ W[0])])
    gaps = np.abs(vertices @ W.T + b) / np.linalg.norm(W, axis=1)
    for gap, pair in zip(gaps, pairs, strict=False):
        gap[pair] = np.inf  # how far the other lines are
    radius = min(1.0, gaps.min()) / 2 if pairs else 1.0
    points = (vertices[:, None] + radius * between(W)).reshape(-1, 2)
    assert cells_hit(net, points) == sum(comb(units, k) for k in range(3))


@given(seed=SEEDS, units=st.integers(1, 6))
def test_a_central_layer_has_twice_as_many_cells_as_lines(seed, units):
    net = toy.bias_free([2, units, 1], np.random.default_rng(seed))
    assert cells_hit(net, between(net.steps[0].weight)) == 2 * units


def between(normals: np.ndarray) -> np.ndarray:
    """Return a unit vector inside every angle between lines through 0 with these normals, (2 m, 2)."""
    angles = np.sort(np.arctan2(normals[:, 0], -normals[:, 1]) % np.pi)
    both = np.concatenate([angles, angles + np.pi])
    middle = (both + np.append(both[1:], both[0] + 2 * np.pi)) / 2
    return np.column_stack([np.cos(middle), np.sin(middle)])


@given(seed=SEEDS)
def test_bias_free_networks_are_homogeneous(seed):
    rng = np.random.default_rng(seed)
    net = toy.bias_free([3, 6, 6, 2], rng)
    x = rng.normal(size=3)
    assert np.array_equal(net(4 * x), 4 * net(x))  # powers of two commute with rounding
    assert np.array_equal(*spline_codes(net, [x, 4 * x]).letters)


@given(seed=SEEDS, kind=st.sampled_from(sorted(toy.DEGENERATE)))
def test_degenerate_units_do_what_their_name_says(seed, kind):
    rng = np.random.default_rng(seed)
    net = toy.degenerate(kind, rng)
    letters = spline_codes(net, rng.normal(size=(50, 2))).letters.astype(int)
    for first in (0, 12):
        one, other = letters[:, first], letters[:, first + 1]
        match kind:
            case "duplicate" | "scaled duplicate":
                assert (one == other).all()
            case "anti-parallel":
                assert (one + other <= 1).all()
                assert (one[letters[:, :12].any(axis=1)] + other[letters[:, :12].any(axis=1)] == 1).all()
            case "parallel":
                assert (one <= other).all()
            case _:
                assert (other == (kind == "always on")).all()
    drawn = set(piece_at(net, rng.normal(size=2)).units.tolist())
    assert (1 in drawn) == (kind not in ("dead", "always on", "zero"))


@given(seed=SEEDS)
def test_near_parallel_units_differ_in_one_weight(seed):
    net = toy.near_parallel([3, 4, 1], 2.0**-30, np.random.default_rng(seed))
    different = net.steps[0].weight[0] != net.steps[0].weight[1]
    assert different.tolist() == [True, False, False]


@given(seed=SEEDS)
def test_integer_networks_have_integers(seed):
    net = toy.integer([2, 5, 5, 1], np.random.default_rng(seed), largest=3)
    for step in net.steps[::2]:
        assert (step.weight == np.round(step.weight)).all()
        assert np.abs(step.weight).max() <= 3


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: toy.tent(0), "depth 0"),
        (lambda: toy.cone(0), "dim is 0"),
        (lambda: toy.grid(2, 0), "lines is 0"),
        (lambda: toy.braid(1), "dim is 1"),
        (lambda: toy.b_arrangement(0), "dim is 0"),
        (lambda: toy.he([3], np.random.default_rng(0)), "widths"),
        (lambda: toy.degenerate("odd", np.random.default_rng(0)), "duplicate"),
        (lambda: toy.degenerate("dead", np.random.default_rng(0), (2, 1, 1)), "two units"),
    ],
)
def test_impossible_sizes_are_refused(call, word):
    with pytest.raises(InputError, match=word):
        call()
