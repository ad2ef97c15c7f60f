"""Interaction of code directions: theorems in rationals, planted circuits recovered, cells with certificates."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import polygeom as pg
from polygeom.errors import InputError
from polygeom.exact import fraction
from polygeom.lens.code_directions import CodeDirection, unit_flips
from polygeom.lens.code_maps import code_cell, enclosed_maps, exact_map, unit_letters
from polygeom.lens.interaction import (
    NONZERO,
    UNDEFINED,
    VANISHES,
    Interactions,
    code_interaction,
    interactions,
)
from polygeom.lens.parallelograms import SecondDifference
from polygeom.lens.planted import planted
from polygeom.models import toy
from polygeom.testing import any_networks

SEEDS = range(5)


def entries(matrix) -> list[Fraction]:
    return [fraction(v) for v in matrix.entries()]


def valid_code(data, net) -> np.ndarray:
    letters = [data.draw(st.sampled_from(some)) for some in unit_letters(net)]
    return np.array(letters, dtype=net.letter_dtype)


def some_direction(data, net, columns) -> CodeDirection:
    units = data.draw(st.sets(st.sampled_from(list(columns)), min_size=1, max_size=4))
    letters = unit_letters(net)
    return CodeDirection(list(units), [data.draw(st.sampled_from(letters[u])) for u in units])


def spread(data) -> tuple[np.random.Generator, np.ndarray]:
    rng = np.random.default_rng(data)
    return rng, rng.standard_normal((200, 2)) * 1.5


# -- maps of codes ---------------------------------------------------------------------------------------------


@given(st.data(), any_networks())
def test_maps_in_floats_enclose_the_exact_ones(data, net):
    code = valid_code(data, net)
    value, error = enclosed_maps(net, code[None])
    exact = entries(exact_map(net, code))
    for v, e, x in zip(value.ravel(), error.ravel(), exact, strict=True):
        assert not np.isfinite(e) or abs(Fraction(float(v)) - x) <= Fraction(float(e))


def test_the_map_of_a_points_code_is_the_network_there():
    net = toy.named("quick")
    X = np.random.default_rng(0).standard_normal((20, net.dim_in))
    value, _ = enclosed_maps(net, pg.spline_codes(net, X).letters)
    outputs = np.einsum("bij,bj->bi", value, np.column_stack([X, np.ones(20)]))
    assert np.allclose(outputs, net(X))


# -- theorems --------------------------------------------------------------------------------------------------


@given(st.data(), any_networks())
def test_disjoint_units_of_one_layer_never_interact(data, net):
    gates = [g for g in net.gates if g.size > 1]
    if not gates or not net.exact().is_feasible:
        return
    gate = data.draw(st.sampled_from(gates))
    columns = data.draw(st.permutations(range(gate.columns.start, gate.columns.stop)))
    half = len(columns) // 2
    U, V = some_direction(data, net, columns[:half]), some_direction(data, net, columns[half:])
    code = valid_code(data, net)
    maps = (exact_map(net, c) for c in (code, U.follow(code), V.follow(code), V.follow(U.follow(code))))
    base, by_u, by_v, both = maps
    assert not any((both - by_u - by_v + base).entries())


@given(st.data(), any_networks())
def test_directions_of_one_layer_interact_by_what_they_share(data, net):
    if not net.gates or not net.exact().is_feasible:
        return
    gate = data.draw(st.sampled_from(net.gates))
    if not gate.size:
        return
    columns = range(gate.columns.start, gate.columns.stop)
    U, V = some_direction(data, net, columns), some_direction(data, net, columns)
    if not U.agrees(V):
        return
    code, both = valid_code(data, net), U.shared(V)
    shared = CodeDirection(both, U.letters[np.isin(U.units, both)])
    T = {name: exact_map(net, c) for name, c in {
        "s": code, "u": U.follow(code), "v": V.follow(code), "uv": U.union(V).follow(code),
        "shared": shared.follow(code),
    }.items()}  # fmt: skip
    assert entries(T["uv"] - T["u"] - T["v"] + T["s"]) == entries(T["s"] - T["shared"])


def test_units_of_different_layers_interact_by_the_product_along_the_path():
    """In x -> 3 relu(5 relu(2 x)) flipping both units gives and takes the whole slope 30."""
    net = pg.Network.from_layers([([[2.0]], [0]), ([[5.0]], [0]), ([[3.0]], [0])])
    on = [CodeDirection([u], [1]) for u in (0, 1)]
    found = code_interaction(net, [0, 0], *on)
    assert found.value.tolist() == [[30, 0]]
    assert found.strength == pytest.approx(1.0)  # neither direction does anything alone
    assert not found.vanishes


@given(st.data(), any_networks())
def test_strength_is_between_0_and_1_and_symmetric(data, net):
    if net.n_units < 2:
        return
    flips = unit_flips(net, data.draw(st.permutations(range(net.n_units)))[:3])
    found = interactions(net, valid_code(data, net)[None], flips, exact=False)
    defined = found.strength[np.isfinite(found.strength)]
    slack = 8 * np.spacing(1.0)
    assert ((defined >= 0) & (defined <= 1 + slack)).all()
    assert np.array_equal(found.strength, found.strength.T, equal_nan=True)


@given(st.data(), any_networks())
def test_floats_and_rationals_agree_on_what_vanishes(data, net):
    if net.n_units < 2 or not net.exact().is_feasible:
        return
    U, V = unit_flips(net, data.draw(st.permutations(range(net.n_units)))[:2])
    if min(len(U.letters), len(V.letters)) < 2:
        return
    code = valid_code(data, net)
    alone = code_interaction(net, code, U, V)
    many = interactions(net, code[None], (U, V))
    assert alone.vanishes == (many.known[0, 1] == VANISHES)


def test_maps_beyond_the_largest_float_have_strengths():
    big = 1e200
    net = pg.Network.from_layers([([[big], [-big]], [0, 0]), ([[big, big]], [1]), ([[big]], [0])])
    found = code_interaction(net, [0, 0, 0], *(CodeDirection([unit], [1]) for unit in (0, 2)))
    assert not found.vanishes
    assert found.strength == 1
    many = interactions(net, [[0, 0, 0]], [CodeDirection([unit], [1]) for unit in (0, 2)])
    assert many.known[0, 1] == NONZERO
    assert np.isnan(many.strength[0, 1])


# -- cells -----------------------------------------------------------------------------------------------------


@given(st.data(), any_networks())
def test_cells_of_codes_carry_a_certificate_and_points_refute_emptiness(data, net):
    code = valid_code(data, net)
    cell = code_cell(net, code)
    assert cell.is_empty is None or cell.check()
    x = np.array(
        data.draw(st.lists(st.integers(-3, 3), min_size=net.dim_in, max_size=net.dim_in)), dtype=float
    )
    at_x = code_cell(net, pg.spline_codes(net, x).letters[0])
    assert at_x.is_empty is not True


def test_codes_with_a_cell_are_those_of_the_regions():
    """All 2^n codes of a small deep net: full-dimensional exactly where enumeration lists a region."""
    net = planted(np.random.default_rng(3), depth=3, width=1).network
    listed = {tuple(code) for code in pg.enumerate_regions(net).codes.letters.tolist()}
    every = np.array(np.meshgrid(*[[0, 1]] * net.n_units)).reshape(net.n_units, -1).T
    cells = [code_cell(net, code) for code in every]
    full = {tuple(code.tolist()) for code, cell in zip(every, cells, strict=True) if cell.dim == net.dim_in}
    assert all(cell.check() for cell in cells)
    assert listed <= full
    for code in full - listed:  # a unit that is constantly 0 may have either letter in a closed cell
        inside = pg.interior_point(code_cell(net, np.array(code)).polyhedron)
        assert tuple(pg.spline_codes(net, np.asarray(inside, dtype=float)).letters[0]) in listed


def test_a_unit_that_is_constant_on_the_cell_empties_it():
    """With the first unit off the second one sees the constant -1 and cannot be on."""
    net = pg.Network.from_layers([([[1.0]], [0]), ([[1.0]], [-1]), ([[1.0]], [0])])
    assert pg.piece_at(net, [-1.0]).polyhedron.n_rows == 1  # the piece has no row for it
    cell = code_cell(net, [0, 1])
    assert cell.is_empty
    assert cell.check()


# -- planted circuits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_two_circuits_are_the_two_components_by_proof(seed):
    rng, X = spread(seed)
    known = planted(rng)
    codes = pg.spline_codes(known.network, X).letters[:10]
    found = interactions(known.network, codes, unit_flips(known.network))
    assert {frozenset(c) for c in found.components()} == {frozenset(c.tolist()) for c in known.circuits}
    across = found.known[np.ix_(*known.circuits)]
    assert (across == VANISHES).all()
    assert found.bridging() == ()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_shared_unit_is_the_only_bridge(seed):
    rng, X = spread(seed)
    known = planted(rng, shared=True)
    codes = pg.spline_codes(known.network, X).letters[:10]
    found = interactions(known.network, codes, unit_flips(known.network))
    assert len(found.components()) == 1
    assert found.bridging() == tuple(known.shared)
    assert (found.known[np.ix_(*known.circuits)] == VANISHES).all()


def test_communities_of_the_graph_are_within_circuits():
    rng, X = spread(0)
    known = planted(rng, width=3)
    found = interactions(
        known.network, pg.spline_codes(known.network, X).letters[:5], unit_flips(known.network)
    )
    assert all(len(known.circuit_of(members)) == 1 for members in found.communities())
    assert found.modularity() > 0.3


def test_functions_of_two_circuits_compose_and_bend_at_the_shared_unit():
    x, u, v = np.array([-3.0, -3.0]), np.array([4.0, 0.0]), np.array([0.0, 4.0])
    bent = 0
    for seed in range(10):
        apart = SecondDifference(planted(np.random.default_rng(seed)).network, x, u, v)
        assert apart.composes
        assert not any(apart.value)
        bent += any(
            SecondDifference(planted(np.random.default_rng(seed), shared=True).network, x, u, v).value
        )
    assert bent > 0


# -- edges and bad input ---------------------------------------------------------------------------------------


def test_directions_that_disagree_have_no_second_difference():
    net = toy.named("quick")
    U, V = CodeDirection([0, 1], [1, 1]), CodeDirection([1], [0])
    codes = np.zeros((1, net.n_units), dtype=np.uint8)
    assert interactions(net, codes, [U, V]).known[0, 1] == UNDEFINED
    with pytest.raises(InputError, match="different letters"):
        code_interaction(net, codes[0], U, V)
    with pytest.raises(InputError, match="different letters"):
        U.union(V)


@pytest.mark.parametrize("code", [[0, 1, 2], [0] * 99, [[0.5, 1]], [9] * 4])
def test_what_is_no_code_is_refused(code):
    with pytest.raises(InputError, match=r"letters|wanted integers"):
        code_cell(pg.Network.from_layers([(np.ones((4, 2)), None), (np.ones((1, 4)), None)]), code)


def test_one_direction_and_units_named_twice_are_refused():
    net = toy.named("quick")
    with pytest.raises(InputError, match="at least two"):
        interactions(net, np.zeros((1, net.n_units), dtype=np.uint8), unit_flips(net)[:1])
    with pytest.raises(InputError, match="twice"):
        CodeDirection([1, 1], [0, 1])
    with pytest.raises(InputError, match="2 units and 1 letters"):
        CodeDirection([1, 2], [0])


@pytest.mark.parametrize("wrong", [None, 3, ["a", "b"], [CodeDirection([0], [1]), CodeDirection([99], [1])]])
def test_what_is_no_direction_of_the_network_is_refused(wrong):
    net = toy.named("quick")
    with pytest.raises(InputError, match=r"direction|unit 99"):
        interactions(net, np.zeros((1, net.n_units), dtype=np.uint8), wrong)


@pytest.mark.parametrize(
    ("units", "letters"), [([-1], [1]), ([0.5], [1]), ([0], [-1]), ([0], [0.5]), (["a"], [1])]
)
def test_units_and_letters_of_a_direction_are_whole_numbers(units, letters):
    with pytest.raises(InputError, match="whole numbers"):
        CodeDirection(units, letters)


def test_a_letter_that_does_not_exist_is_not_taken_for_another():
    net = toy.named("quick")
    code, wraps = np.zeros((1, net.n_units), dtype=np.uint8), CodeDirection([0], [256])
    assert wraps.follow(code)[0, 0] == 256
    with pytest.raises(InputError, match="letters"):
        interactions(net, code, [wraps, CodeDirection([1], [1])])


def test_interactions_are_read_as_they_were_saved(tmp_path):
    rng, X = spread(0)
    net = planted(rng, depth=2, width=2).network
    found = interactions(net, pg.spline_codes(net, X).letters[:3], unit_flips(net))
    found.save(tmp_path / "found.npz")
    again = Interactions.load(tmp_path / "found.npz")
    assert again.names == found.names
    assert np.array_equal(again.strengths, found.strengths, equal_nan=True)
    with pytest.raises(InputError, match="holds no CodeDirection"):
        CodeDirection.load(tmp_path / "found.npz")


def test_a_unit_that_is_not_there_does_not_flip():
    with pytest.raises(InputError, match="no unit 9"):
        unit_flips(toy.he([2, 3, 1], np.random.default_rng(0)), [9])


def test_one_interaction_is_that_of_one_code():
    net = pg.Network.from_layers([(np.eye(2), None), (np.ones((1, 2)), None)])
    with pytest.raises(InputError, match="2 codes, wanted one"):
        code_interaction(net, [[0, 0], [1, 1]], *unit_flips(net))


def test_strengths_stand_in_the_order_of_distinct_codes():
    net = planted(np.random.default_rng(0), depth=2, width=2).network
    codes = np.random.default_rng(1).integers(0, 2, (6, net.n_units))
    flips = unit_flips(net)
    together = interactions(net, np.concatenate([codes, codes]), flips).strengths
    alone = [interactions(net, code, flips).strengths[0] for code in np.unique(codes, axis=0)]
    assert np.array_equal(together, alone, equal_nan=True)
