"""The public kit for property tests: what it draws, how that shrinks, and that its laws can be broken."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, find, given, settings
from hypothesis import strategies as st

import polygeom as pg
from polygeom import testing
from polygeom.certificates.check import PROVED
from polygeom.certificates.feasibility import InteriorPoint
from polygeom.claims import Witness, fails, holds, undecided
from polygeom.errors import InputError
from polygeom.models import toy
from polygeom.testing.wording import as_numbers, named_unit, written

MANY = settings(max_examples=500, deadline=None, derandomize=True, database=None)
FEWER = settings(MANY, max_examples=100)
FEW = settings(max_examples=20)
TRIANGLE = pg.Network.from_layers([([[1, 0], [0, 1], [1, 1]], [0, 0, -1]), ([[1, 1, 1]], None)])
SQUARE = pg.Polyhedron.box(-1, 1, dim=2)


def weights(net: pg.Network) -> list[np.ndarray]:
    return [step.weight for step in net.steps[::2]]


def biases(net: pg.Network) -> list[np.ndarray]:
    return [step.constant for step in net.steps[::2]]


# -- what is drawn -------------------------------------------------------------------------------------------

KINDS: dict[str, Callable[[pg.Network], bool]] = {
    "copies": lambda net: len(np.unique(weights(net)[0], axis=0)) < len(weights(net)[0]),
    "units without weights": lambda net: not weights(net)[0].any(axis=1).all(),
    "no biases": lambda net: not any(b.any() for b in biases(net)),
    "fractions": lambda net: any((W % 1).any() for W in weights(net)),
    "integers": lambda net: not any((W % 1).any() for W in weights(net)),
    "large numbers": lambda net: any(np.abs(W).max() > 1e100 for W in weights(net)),
    "three letters": lambda net: net.gates[0].n_letters == 3,
    "many layers": lambda net: len(net.gates) == 3,
}


@pytest.mark.parametrize("kind", KINDS)
def test_networks_of_every_kind_are_drawn(kind: str):
    assert KINDS[kind](find(testing.networks(), KINDS[kind], settings=MANY))


@given(testing.networks(max_dim=2, max_width=3, max_depth=2))
def test_networks_are_as_large_as_allowed(net: pg.Network):
    assert net.dim_in <= 2
    assert len(net.gates) <= 2
    assert all(gate.size <= 3 for gate in net.gates)


@pytest.mark.parametrize("name", testing.FAMILIES)
def test_a_family_edits_copies_of_layers(name: str):
    family = testing.FAMILIES[name]
    layers = testing.integer_layers(family.widths((2, 3, 2, 1)), 0)
    before = [(W.copy(), b.copy()) for W, b in layers]
    net = pg.Network.from_layers(family.edited(layers), *family.activation)
    assert net.dim_in == 2
    for (W, b), (V, c) in zip(layers, before, strict=True):
        assert np.array_equal(W, V)
        assert np.array_equal(b, c)


@given(st.data(), st.integers(1, 3))
def test_directions_and_maps_are_not_degenerate(data, dim):
    assert data.draw(testing.directions(dim)).any()
    along = data.draw(testing.affine_maps(dim, 3))
    assert np.linalg.matrix_rank(along.matrix) == dim
    assert along.offset.shape == (3,)


@FEW
@given(testing.networks(max_dim=2, max_width=3, max_depth=2), st.data())
def test_generic_points_are_inside_their_cells(net, data):
    assume(max(np.abs(W).max() for W in weights(net)) < 1e9)  # of extreme cells no point may be at hand
    x = data.draw(testing.generic_points(net))
    assert InteriorPoint(x).holds(pg.piece_at(net, x).polyhedron)


# -- how it shrinks ------------------------------------------------------------------------------------------


def n_bounded(net: pg.Network) -> int:
    return pg.enumerate_regions(net).n_bounded


def test_a_counterexample_is_small():
    """No net in the plane has a bounded region: refuted by three units with weights of 0 and 1."""

    def is_counterexample(net: pg.Network) -> bool:
        return net.dim_in == 2 and net.gates[0].name == "relu" and n_bounded(net) > 0

    net = find(testing.networks(), is_counterexample, settings=MANY)
    assert net.n_units == 3
    assert len(net.gates) == 1
    assert set(np.concatenate([W.ravel() for W in weights(net)])) <= {0, 1, -1}
    assert np.abs(np.concatenate(biases(net))).sum() <= 1


def test_a_degenerate_counterexample_is_small():
    net = find(
        testing.degenerate_networks(dims=[2]),
        lambda net: (weights(net)[0] == 0).all(axis=1).any(),
        settings=MANY,
    )
    assert net.n_units == 2
    assert not any(W.any() for W in weights(net))


def test_a_counterexample_in_a_graph_is_small():
    net = find(testing.graph_networks(), lambda net: n_bounded(net) > 0, settings=FEWER)
    assert net.n_units <= 5
    assert net.dim_in == 1


def test_a_polyhedron_that_is_a_counterexample_is_small():
    P = find(
        testing.polyhedra(), lambda P: P.dim == 2 and not pg.is_empty(P) and pg.is_bounded(P), settings=MANY
    )
    assert P.n_rows == 3
    assert np.abs(P.A).sum() <= 4


def test_a_failing_example_is_printed_as_the_call_that_makes_it():
    @settings(MANY, report_multiple_bugs=False)
    @given(testing.networks())
    def no_unit_ever_flips(net):
        assert pg.enumerate_regions(net).n_regions == 1

    with pytest.raises(AssertionError) as caught:
        no_unit_ever_flips()
    assert "net=from_layers([([[1]], [0]), ([[0]], [0])], 'relu')" in "\n".join(caught.value.__notes__)


# -- laws that hold ------------------------------------------------------------------------------------------


@FEW
@given(testing.degenerate_networks(dims=[1, 2], max_width=3))
def test_degenerate_networks_obey_the_laws(net: pg.Network):
    box = pg.Polyhedron.box(-2, 2, dim=net.dim_in)
    testing.assert_partition(net, box)
    K = pg.enumerate_regions(net, box)
    testing.assert_same_complex(K, K)


@FEW
@given(st.data(), testing.networks(max_dim=3, max_width=3, max_depth=2), st.integers(1, 2))
def test_slices_are_pulled_back(data, net, dim):
    along = data.draw(testing.affine_maps(min(dim, net.dim_in), net.dim_in))
    testing.assert_pullback(net, along)


@given(testing.polyhedra())
def test_all_answers_about_polyhedra_are_certified(P: pg.Polyhedron):
    testing.assert_certified(P)


@FEW
@given(testing.networks(max_dim=2, max_width=4, max_depth=1), st.data())
def test_permuted_and_added_units_change_nothing(net, data):
    (W, b), last = zip(weights(net), biases(net), strict=True)
    order = np.array(data.draw(st.permutations(range(len(W)))))
    more = np.vstack([W[order], W[:1]]), np.append(b[order], b[0])
    columns = np.hstack([last[0][:, order], np.zeros((len(last[0]), 1))])
    net = pg.Network.from_layers([(W, b), last])
    other = pg.Network.from_layers([more, (columns, last[1])])
    K, L = pg.enumerate_regions(net), pg.enumerate_regions(other)
    testing.assert_same_complex(K, L, units=np.argsort(order))


# -- laws that are broken, and what they say -----------------------------------------------------------------


def test_a_broken_partition_names_region_and_network():
    K = pg.enumerate_regions(TRIANGLE)
    bounded = K.arrays.bounded.copy()
    bounded[5] ^= True
    with pytest.raises(
        AssertionError, match=r"(?s)Region 5.*region 5 \(code [01]+, witness.*from_layers\(\["
    ) as e:
        testing.assert_partition(replace(K, arrays=replace(K.arrays, bounded=bounded)))
    assert written(TRIANGLE) in str(e.value)


def test_a_broken_pullback_names_region_and_unit(monkeypatch: pytest.MonkeyPatch):
    along = pg.AffineMap.segment([0, -1], [1, 2])
    other = pg.enumerate_regions(TRIANGLE, along=pg.AffineMap.segment([0, -2], [1, 2]))
    monkeypatch.setattr("polygeom.testing.laws.enumerate_regions", lambda *a, **k: other)
    with pytest.raises(AssertionError, match=r"region \d \(code.*unit \d \(relu of '0.gate', channel \d\)"):
        testing.assert_pullback(TRIANGLE, along)


def test_a_certificate_of_something_else_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "polygeom.testing.tampering.boundedness", lambda P: pg.boundedness(pg.Polyhedron.orthant(2))
    )
    with pytest.raises(AssertionError, match=r"(?s)boundedness is not proved.*Polyhedron\(\[\[1, 0\]"):
        testing.assert_certified(SQUARE)


def test_a_checker_that_believes_anything_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(InteriorPoint, "holds", lambda self, P: PROVED)
    with pytest.raises(AssertionError, match=r"A forgery of feasibility passes.*not a number"):
        testing.assert_certified(SQUARE)


def test_different_complexes_are_told_apart():
    K = pg.enumerate_regions(TRIANGLE)
    moved = pg.Network.from_layers([([[1, 0], [0, 1], [1, 1]], [0, 0, -2]), ([[1, 1, 1]], None)])
    with pytest.raises(AssertionError, match="Two cells differ"):
        testing.assert_same_complex(K, pg.enumerate_regions(moved))
    boxed = pg.enumerate_regions(TRIANGLE, pg.Polyhedron.box(0.1, 3, dim=2))
    with pytest.raises(AssertionError, match="first has no counterpart: region"):
        testing.assert_same_complex(K, boxed)
    with pytest.raises(AssertionError, match="second has no counterpart: region"):
        testing.assert_same_complex(boxed, K)
    fourth = pg.Network.from_layers(
        [([[1, 0], [0, 1], [1, 1], [1, -1]], [0, 0, -1, 0]), ([[1, 1, 1, 1]], None)]
    )
    with pytest.raises(AssertionError, match="same letters on the units that correspond"):
        testing.assert_same_complex(K, pg.enumerate_regions(fourth), units=[0, 1, 2])
    with pytest.raises(InputError, match="3 different columns"):
        testing.assert_same_complex(K, K, units=[0, 1, 1])


def test_verdicts_without_evidence_are_noticed():
    def anything(**data):
        return PROVED

    def positive(root):
        return PROVED if root > 0 else pg.Check(False, pg.Level.EXACT, 0.0)

    def nearly(root):
        return pg.Check(root > 0, pg.Level.CERTIFIED, 0.5)

    testing.assert_witnessed(holds(pg.Level.EXACT, "", Witness({"root": 1}, positive)))
    testing.assert_witnessed(undecided("who knows"))
    testing.assert_witnessed(holds(pg.Level.SAMPLED, "of 100 points"))
    with pytest.raises(AssertionError, match="no witness"):
        testing.assert_witnessed(holds(pg.Level.EXACT, "trust me"))
    with pytest.raises(AssertionError, match="does not hold"):
        testing.assert_witnessed(fails(pg.Level.EXACT, "", Witness({"root": -1}, positive)))
    with pytest.raises(AssertionError, match="did not earn its level"):
        testing.assert_witnessed(holds(pg.Level.EXACT, "", Witness({"root": 1}, nearly)))
    with pytest.raises(AssertionError, match="not read"):
        testing.assert_witnessed(holds(pg.Level.EXACT, "", Witness({"root": 1}, anything)))


# -- words, input, what is not installed ---------------------------------------------------------------------


@given(testing.networks())
def test_networks_are_written_so_that_they_can_be_typed_again(net: pg.Network):
    text = written(net)
    assert "from_layers" in text
    assert eval(text, {"Network": pg.Network}).is_same(net)


def test_what_is_large_or_no_chain_is_not_written_out():
    assert written(toy.named("maxima")) == repr(toy.named("maxima"))
    large = toy.he((20, 20, 1), np.random.default_rng(0))
    assert written(large) == repr(large)
    assert as_numbers([2.0, 0.5, 1e300]) == [2, 0.5, 1e300]
    assert named_unit(toy.named("maxima"), 3) == "unit 3 (max of 'max', channel 0)"


@pytest.mark.parametrize("law", [testing.assert_partition, testing.assert_certified])
def test_what_is_no_network_is_refused(law):
    with pytest.raises(InputError, match="got a list, wanted a"):
        law([1, 2])


def test_laws_work_without_hypothesis_and_strategies_say_what_is_missing():
    program = """
import sys
sys.modules["hypothesis"] = None
import polygeom as pg
pg.testing.assert_partition(pg.models.toy.named("xor"))
try:
    pg.testing.networks
except ImportError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'polygeom[testing]'" in run.stdout
