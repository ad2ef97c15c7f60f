"""Cones and fans: theorems on any network, against what their proofs do not use; tampered witnesses refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import polygeom as pg
from paper_figures import fig_cones, fig_fan
from polygeom.claims import Outcome, Verdict, Witness
from polygeom.claims.cones import bias_free_cones, biased_steps, converse, letters_at_origin
from polygeom.claims.exact_walls import walls
from polygeom.claims.fan import deviation_bound, fan_at_infinity, without_biases
from polygeom.claims.instance import Instance
from polygeom.exact import fraction
from polygeom.gates import Elementwise, elementwise_gate
from polygeom.models import toy
from polygeom.models.toy import NAMED
from polygeom.steps import Concatenate, Dense
from polygeom.testing import FAMILIES, any_networks, degenerate_networks, residual_maxima

IDS = ("bias-free-cones", "cones-iff", "converse", "fan-at-infinity")
SMALL = pg.Budget(regions=60)
SEEDS = st.integers(0, 2**16)


def any_graph() -> st.SearchStrategy[pg.Network]:
    """Networks with coincidences, and graphs with residual sums and maxima."""
    gates = st.sampled_from([("relu",), ("leaky_relu", 0.25), ("abs",), ("prelu", -2.0)])
    return st.one_of(
        degenerate_networks(dims=(1, 2)),
        any_networks(),
        st.builds(residual_maxima, st.integers(1, 2), SEEDS, gates),
    )


def holds_again(verdict: Verdict) -> bool:
    return verdict.outcome is Outcome.HOLDS and verdict.level is pg.Level.EXACT and bool(verdict.check())


def tampered(verdict: Verdict, **changes: object) -> Witness:
    return replace(verdict.witness, data={**verdict.witness.data, **changes})


# -- on networks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NAMED if name != "three-axes"])
def test_toys_are_as_theory_expects(name):
    for verdict in pg.verify_all(toy.named(name), ids=IDS, name=name).values():
        assert verdict.as_expected, verdict
        assert verdict.outcome is Outcome.NOT_APPLICABLE or holds_again(verdict), verdict


@given(any_graph())
def test_no_network_refutes_a_theorem(net):
    """Whatever is decided holds, and is proved again without a solver."""
    for verdict in pg.verify_all(net, ids=IDS, budget=SMALL).values():
        assert verdict.outcome is not Outcome.FAILS, verdict
        assert verdict.error is None or "overflow" in verdict.error, verdict
        assert verdict.outcome is not Outcome.HOLDS or holds_again(verdict), verdict


@given(any_graph())
def test_without_biases_all_cells_are_cones_and_their_own_fan(net):
    assume(all(gate.is_homogeneous for gate in net.gates))
    verdicts = pg.verify_all(without_biases(net), ids=IDS, budget=SMALL)
    assume(verdicts["bias-free-cones"].outcome is not Outcome.UNDECIDED)
    assert holds_again(verdicts["bias-free-cones"])
    assert verdicts["converse"].outcome is Outcome.NOT_APPLICABLE
    n, fan = verdicts["bias-free-cones"].numbers["regions"], verdicts["fan-at-infinity"]
    assert (fan.numbers["wide"], fan.numbers["cones"], fan.numbers["bound"]) == (n, n, 0)
    assert verdicts["cones-iff"].numbers["cones"] == n


# -- what homogeneity and biases are -------------------------------------------------------------------------


def test_biases_behind_the_last_gate_do_not_matter():
    (W, b), (V, _) = toy.random_weights.he_layers([2, 5, 1], np.random.default_rng(0))
    assert holds_again(pg.verify(bias_free_cones, pg.Network.from_layers([(W, 0 * b), (V, [3.0])])))
    with_bias = pg.Network.from_layers([(W, b), (V, [0.0])])
    assert pg.verify(bias_free_cones, with_bias).outcome is Outcome.NOT_APPLICABLE


def test_batch_norm_is_a_bias_unless_it_moves_nothing():
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm1d(5)
    net = torch.nn.Sequential(
        torch.nn.Linear(2, 5, bias=False), norm, torch.nn.ReLU(), torch.nn.Linear(5, 1)
    ).eval()
    norm.running_var.uniform_(0.5, 2.0)
    assert holds_again(pg.verify(bias_free_cones, pg.from_torch(net, torch.zeros(1, 2))))
    for moved in (norm.running_mean, norm.bias.data):
        moved.fill_(0.5)
        folded = pg.from_torch(net, torch.zeros(1, 2))
        assert pg.verify(bias_free_cones, folded).outcome is Outcome.NOT_APPLICABLE
        assert holds_again(pg.verify("cones-iff", folded))
        moved.zero_()


def test_biases_of_units_that_never_change_leave_cones():
    """z = relu(x) + relu(-x) + 1 is always on: a bias, and still all cells are cones with apex 0."""
    net = pg.Network.from_layers([([[1], [-1]], [0, 0]), ([[1, 1]], [1]), ([[1]], [0])])
    verdicts = pg.verify_all(net, ids=IDS)
    assert verdicts["bias-free-cones"].outcome is Outcome.NOT_APPLICABLE
    assert holds_again(verdicts["cones-iff"])
    assert verdicts["cones-iff"].numbers["cones"] == verdicts["cones-iff"].numbers["regions"] == 2
    assert verdicts["converse"].outcome is Outcome.NOT_APPLICABLE


def test_letters_hold_at_the_origin_with_equality():
    clamped = pg.Network.from_layers([([[1], [1], [1]], [1, 0, -3]), ([[1, 1, 1]], [0])], "hardtanh")
    assert letters_at_origin(clamped).astype(int).tolist() == [[0, 1, 1], [0, 1, 0], [1, 0, 0]]
    assert letters_at_origin(toy.maxima()).astype(int).tolist()[3:] == [[0, 0, 1], [1, 1, 0]]


def test_the_equivalence_needs_no_homogeneous_gates():
    """max(x - 1, -1) bends where x = 0: two cones, though the gate is not homogeneous."""
    net = pg.Network.from_layers([([[1]], [-1]), ([[1]], [0])], "clamp", -1.0, None)
    assert pg.verify(bias_free_cones, net).outcome is Outcome.NOT_APPLICABLE
    verdict = pg.verify("cones-iff", net)
    assert holds_again(verdict)
    assert verdict.numbers["cones"] == verdict.numbers["regions"] == 2


@pytest.mark.parametrize("claim", IDS)
def test_a_domain_is_not_the_whole_space(claim):
    verdict = pg.verify(claim, toy.named("cones"), pg.Polyhedron.box(-1, 1, dim=2))
    assert verdict.outcome is Outcome.NOT_APPLICABLE


# -- against what the proofs do not use ----------------------------------------------------------------------


@given(SEEDS, st.sampled_from([(2, 4, 3, 1), (3, 4, 1), (1, 3, 3, 1)]), st.booleans())
def test_the_origin_decides_whether_scaling_changes_letters(seed, widths, biased):
    """A point of a cell, shrunk by 2^-300, keeps its letters exactly if the cell contains the origin."""
    rng = np.random.default_rng(seed)
    net = (toy.he if biased else toy.bias_free)(widths, rng)
    K, exact = pg.enumerate_regions(net), net.exact()
    tiny = [[Fraction(v) / 2**300 for v in x] for x in K.witnesses]
    stay = [
        np.array_equal(exact.letters(exact.point(x)), code)
        for x, code in zip(tiny, K.codes.letters, strict=True)
    ]
    verdict = pg.verify("cones-iff", net)
    assert sum(stay) == verdict.numbers["around_origin"] == (1 if biased else K.n_regions)
    assert verdict.numbers["cones"] == (0 if biased else K.n_regions)


@given(SEEDS, st.sampled_from([(2, 4, 3, 2), (3, 4, 1), (2, 3, 3, 1)]), st.data())
def test_far_out_a_network_is_its_fan(seed, widths, data):
    """At 2^300 d letters are those of d in the fan, and f is within B of f_0: rationals, no recession cone."""
    rng = np.random.default_rng(seed)
    net = toy.he(widths, rng)
    fan, bound = without_biases(net), deviation_bound(net)
    direction, far = rng.standard_normal(widths[0]), Fraction(2) ** data.draw(st.integers(0, 400))
    exact, central = net.exact(), fan.exact()
    point = [far * Fraction(v) for v in direction]
    gaps = [abs(a - far * b) for a, b in zip(exact(point), central(direction), strict=True)]
    assert all(gap <= b for gap, b in zip(gaps, bound, strict=True))
    end = [Fraction(2) ** 300 * Fraction(v) for v in direction]
    code, limit = exact.letters(exact.point(end)), central.letters(central.point(direction))
    on_cone = {wall.unit: wall.normal for wall in walls(fan, limit)}
    assert set(np.flatnonzero(code != limit)) <= set(range(net.n_units)) - set(on_cone)
    assert {w.normal for w in walls(net, code)} == set(on_cone.values())


@given(SEEDS)
def test_the_bound_of_a_relu_chain_is_the_product_of_absolute_weights(seed):
    rng = np.random.default_rng(seed)
    layers = toy.random_weights.he_layers([2, 4, 3, 2], rng)
    (_, a), (V, b), (U, c) = ((np.abs(W), np.abs(b)) for W, b in layers)
    wanted = U @ V @ a + U @ b + c
    found = np.array([float(v) for v in deviation_bound(pg.Network.from_layers(layers))])
    assert np.allclose(found, wanted)


def test_the_bound_is_reached_and_slopes_above_one_enter_it():
    """f = prelu(x + 1) with slope 3 below 0 is off by 3: the bound for slopes up to 1 would be 1."""
    net = pg.Network.from_layers([([[1]], [1]), ([[1]], [0])], "prelu", 3.0)
    gap = abs(net([-5.0]) - without_biases(net)([-5.0]))
    assert deviation_bound(net) == [Fraction(3)] == [Fraction(float(v)) for v in gap]


def test_cells_match_by_cone_where_codes_do_not():
    """z = relu(x) + 1 is on everywhere; without its bias it is 0, so off, where x < 0: no code of N has that."""
    net = pg.Network.from_layers([([[1]], [0]), ([[1]], [1]), ([[1]], [0])])
    verdict = pg.verify(fan_at_infinity, net)
    assert holds_again(verdict)
    assert (verdict.numbers["wide"], verdict.numbers["other_letters"]) == (2, 1)
    K, fan = pg.enumerate_regions(net), pg.enumerate_regions(without_biases(net))
    assert sorted(fan.find(K.codes.letters).tolist()) != list(range(fan.n_regions))


@given(SEEDS, st.floats(-1, 1))
def test_cones_on_which_a_unit_vanishes_match_too(seed, bias):
    """Second-layer units -relu(z) and relu(z) + bias: each is 0 on half of the fan."""
    net = FAMILIES["mirrored"]((2, 3, 2, 1), seed)
    moved = replace(net.steps[2], constant=np.full(2, bias))
    net = pg.Network((*net.steps[:2], moved, *net.steps[3:]), net.input_shape)
    assert holds_again(pg.verify(fan_at_infinity, net))


def test_ties_of_maxima_are_broken_by_constants():
    """max(relu(x), relu(x) + 1): two positions that are one on the fan."""
    made = toy.maxima()
    W, b = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([0.0, 1.0, 0.0])
    net = pg.Network((replace(made.steps[0], weight=W, constant=b), *made.steps[1:]), made.input_shape)
    verdict = pg.verify(fan_at_infinity, net)
    assert holds_again(verdict)
    assert verdict.numbers["other_letters"] > 0


# -- what biases change --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "m"), [(1, 1), (1, 3), (2, 2), (2, 3), (2, 5), (3, 3), (3, 4), (3, 5)])
def test_a_generic_layer_has_bounded_cells_from_d_plus_one_units_on(d, m):
    net = toy.he([d, m, 1], np.random.default_rng(m))
    verdict = pg.verify(converse, net)
    assert holds_again(verdict)
    assert (verdict.numbers["bounded"] > 0) == (m >= d + 1)
    assert (verdict.witness.data["layer"].bounded is not None) == (m >= d + 1)


def test_a_first_layer_of_low_rank_leaves_a_line_in_every_cell():
    (W, b), *rest = toy.random_weights.he_layers([3, 5, 4, 1], np.random.default_rng(0))
    W = np.round(4 * W)
    W[:, 2] = W[:, 0] - 2 * W[:, 1]
    net = pg.Network.from_layers([(W, b), *rest])
    verdict = pg.verify(converse, net)
    assert holds_again(verdict)
    line = [fraction(v) for v in verdict.witness.data["line"]]
    assert verdict.numbers["bounded"] == 0
    assert [v / line[2] for v in line] == [-1, 2, 1]


def test_two_first_layers_of_low_rank_share_no_line():
    """Two layers read the input, each of them one coordinate: a third one closes cells."""
    pair, single, three = (2,), (1,), (3,)
    units = elementwise_gate("relu")

    def reads(row: list[float], after: int) -> tuple[Dense, Elementwise]:
        dense = Dense(inputs=(0,), shapes=(pair,), shape=single, weight=np.array([row]), constant=np.zeros(1))
        return dense, Elementwise(inputs=(after,), shapes=(single,), shape=single, **units)

    both = Concatenate(inputs=(2, 4), shapes=(single, single), shape=pair, axis=0)
    W, b = np.array([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]]), np.array([1.0, 0.5, 0.5])
    last = Dense(inputs=(5,), shapes=(pair,), shape=three, weight=W, constant=b)
    closing = Elementwise(inputs=(6,), shapes=(three,), shape=three, **units)
    verdict = pg.verify(
        converse, pg.Network((*reads([1.0, 0.0], 1), *reads([0.0, 1.0], 3), both, last, closing), pair)
    )
    assert holds_again(verdict)
    assert verdict.witness.data["line"] is None
    assert verdict.numbers["bounded"] > 0


# -- tampered witnesses --------------------------------------------------------------------------------------


def test_rays_and_codes_of_cones_cannot_be_changed():
    verdict = pg.verify(bias_free_cones, toy.named("cones"))
    rays, codes = verdict.witness.data["rays"], verdict.witness.data["codes"]
    flipped = codes.copy()
    flipped[0, 0] ^= 1
    wrong = [
        {"rays": [-rays[0], *rays[1:]]},
        {"rays": [0 * rays[0], *rays[1:]]},
        {"rays": rays[1:]},
        {"codes": flipped},
        {"network": toy.named("quick")},
    ]
    assert not any(tampered(verdict, **change).holds() for change in wrong)


def test_both_sides_of_the_equivalence_are_proved():
    for name in ("cones", "grid"):
        verdict = pg.verify("cones-iff", toy.named(name))
        (i, test), *others = verdict.witness.data["tests"].items()
        lie = replace(test, is_cone=not test.is_cone)
        assert not tampered(verdict, tests={i: lie, **dict(others)}).holds()
        assert not tampered(verdict, tests={}).holds()
    all_but_one = dict(list(pg.verify("cones-iff", toy.named("cones")).witness.data["tests"].items())[1:])
    assert not tampered(pg.verify("cones-iff", toy.named("cones")), tests=all_but_one).holds()


def test_witnesses_of_the_converse_cannot_be_changed():
    verdict = pg.verify(converse, toy.named("quick"))
    K, outlier, layer = (verdict.witness.data[key] for key in ("K", "outlier", "layer"))
    _, proof = layer.bounded
    wrong = [
        {"outlier": replace(outlier, region=int(np.flatnonzero(K.bounded)[0]))},
        {"outlier": replace(outlier, without=pg.apex(pg.Polyhedron.orthant(2)))},
        {"layer": replace(layer, bounded=None)},
        {"layer": replace(layer, bounded=(int(np.flatnonzero(~layer.K.bounded)[0]), proof))},
        {"line": [1, 0]},
    ]
    assert not any(tampered(verdict, **change).holds() for change in wrong)
    strip = pg.verify(converse, toy.xor())
    assert tampered(strip, line=[-2, 2]).holds()
    assert not any(tampered(strip, line=line).holds() for line in ([1, 1], [0, 0]))


def test_partners_cones_and_the_bound_of_a_fan_cannot_be_changed():
    verdict = pg.verify(fan_at_infinity, toy.named("quick"))
    cones, partners, bound = (verdict.witness.data[key] for key in ("cones", "partners", "bound"))
    i, j, *_ = partners
    k = next(k for k in range(len(cones)) if k not in partners)
    wrong = [
        {"partners": {**partners, i: partners[j], j: partners[i]}},
        {"partners": {a: b for a, b in partners.items() if a != i}},
        {"partners": {**partners, k: partners[i]}},
        {"cones": [*cones[:k], cones[i], *cones[k + 1 :]]},
        {"cones": [replace(c, multipliers=-c.multipliers) if c.dim == 0 else c for c in cones]},
        {"bound": [b / 2 for b in bound]},
        {"fan": verdict.witness.data["K"]},
    ]
    assert not any(tampered(verdict, **change).holds() for change in wrong)


def test_a_wrong_list_of_regions_is_refuted():
    """Bounded cells are told from unbounded ones by every recession cone."""
    net = toy.named("quick")
    instance = Instance(net)
    K = instance.complex
    lie = np.array(K.bounded)
    lie[np.flatnonzero(lie)[0]] = False
    vars(instance)["complex"] = replace(K, arrays=replace(K.arrays, bounded=lie))
    verdict = fan_at_infinity.judge(instance)
    assert verdict.outcome is Outcome.FAILS
    assert verdict.check()
    central = Instance(toy.named("cones"))
    K = central.complex
    vars(central)["complex"] = replace(K, arrays=replace(K.arrays, bounded=np.arange(K.n_regions) == 0))
    assert bias_free_cones.judge(central).outcome is Outcome.FAILS


def test_steps_with_biases_are_named():
    assert biased_steps(toy.named("quick")) == [0, 2]
    assert biased_steps(toy.maxima()) == [0]


# -- pictures ------------------------------------------------------------------------------------------------


def test_the_picture_of_cones_counts_what_the_theorems_say():
    data = fig_cones.compute(quick=True)
    cones, apexes, open_ends, bounded = data["counts"].T
    assert cones[0] == data["counts"][0].sum()
    assert (cones[1:] == 0).all()
    assert (bounded > 0).tolist() == [False, True, False]
    assert apexes[2] == 2  # the half-planes at both ends of a row of strips
    assert open_ends[1] > 0
    assert data["rechecked"].all()


def test_the_picture_of_the_fan_stays_below_the_bound():
    data = fig_fan.compute(quick=True)
    near, far, fan = (set(data["cone"][data["panel"] == panel].tolist()) for panel in range(3))
    assert fan == set(range(int(data["regions"][2])))
    assert far - {-1} == fan >= near - {-1}
    assert (data["gap"] <= data["bound"] / fig_fan.STEPS).all()
