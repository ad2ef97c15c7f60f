"""Claims: as theory expects on every toy, true on any network if they are theorems, and none stops the others."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import polygeom as pg
from polygeom.__main__ import main
from polygeom.claims import Outcome, Witness, fails, holds, registry, undecided
from polygeom.claims.counts import pattern_bounds
from polygeom.claims.symmetries import symmetric_copy
from polygeom.cli.terminal import DIFFERENT, FINE, REFUSED
from polygeom.errors import ClaimError, InputError
from polygeom.lens import SecondDifference
from polygeom.models import toy
from polygeom.models.toy import NAMED
from polygeom.testing import any_networks, points
from polygeom.testing.families import overlapping_maxima

IN_THEORY = {
    "partition", "affine", "continuity", "one-flip", "count-one-layer", "count-bounds", "bias-free-cones",
    "converse", "fan-at-infinity", "facets-small", "partial-cube", "euler", "crossings-init", "power-diagram",
    "symmetries", "ln-rays", "composition", "leverage", "density-classes", "permuted-labels", "scaling-range",
}  # fmt: skip

THEOREMS = ("partition", "affine", "continuity", "one-flip", "euler", "power-diagram", "symmetries", "leverage",
             "count-one-layer", "count-general-position", "ln-rays")  # fmt: skip
"""Claims that are true of every network that meets their hypothesis."""

GEOMETRIC = [name for name, one in registry.items() if one.judge.__module__ != "polygeom.claims.statistics"]
"""Claims on the network itself; the others train their own."""

SMALL = pg.Budget(regions=60)


def test_every_claim_of_the_theory_is_registered():
    assert set(registry) >= IN_THEORY
    for one in registry.values():
        assert one.statement.endswith(".")
        assert one.source
        assert one.settled_by


@pytest.mark.parametrize("name", [name for name in NAMED if name != "three-axes"])
def test_claims_on_toys_are_as_theory_expects(name):
    verdicts = pg.verify_all(toy.named(name), ids=GEOMETRIC, name=name)
    for claim, verdict in verdicts.items():
        assert verdict.as_expected, f"{claim}: {verdict}, expected {verdict.expected}"
        assert verdict.outcome is not Outcome.UNDECIDED, verdict
        if verdict.outcome is Outcome.NOT_APPLICABLE:
            continue
        assert verdict.level is not pg.Level.SAMPLED, verdict
        assert verdict.check(), claim


def test_three_axes_have_more_facets_than_twice_the_dimension():
    verdict = pg.verify("facets-small", toy.three_axes())
    assert verdict.outcome is Outcome.FAILS
    assert verdict.level is pg.Level.EXACT
    assert (verdict.numbers["regions"], verdict.numbers["adjacencies"]) == (1896, 5708)


@settings(max_examples=settings.default.max_examples // 3)
@given(any_networks())
@example(
    overlapping_maxima(
        [[[[0, 0, 1e-160], [1e-160, 0, 0]], [0, 0]], [[[0, 0], [0, 0]], [0, 1e160]]],
        ("relu",),
        1.0,
        [[0, 0, 0]],
    )
)
def test_theorems_hold_on_any_network(net):
    verdicts = pg.verify_all(net, ids=THEOREMS, budget=SMALL)
    for verdict in verdicts.values():
        assert verdict.outcome is not Outcome.FAILS, verdict
        assert verdict.error is None or "overflow" in verdict.error, verdict


@given(st.data(), any_networks())
def test_second_differences_vanish_or_are_bounded(data, net):
    x, u, v = (data.draw(points(net.dim_in)) for _ in range(3))
    found = SecondDifference(net, x, u, v)
    assert not (found.composes and any(found.value))
    assert all(abs(value) <= bound for value, bound in zip(found.value, found.bound, strict=True))


def test_one_layer_in_general_position_has_exactly_the_mean_of_fukuda():
    verdict = pg.verify("facets-small", toy.named("one-layer"))
    assert "128/37" in verdict.text


def test_the_bounds_are_those_of_the_papers():
    assert pattern_bounds(2, (4,)) == (11, 11)
    montufar, serra = pattern_bounds(2, (3, 3))
    assert montufar == 49
    assert serra == sum(  # written out from the definition
        np.prod([[1, 3, 3][j], [1, 3, 3][k]]) for j in range(3) for k in range(3) if k <= min(2, 3 - j)
    )


@given(any_networks())
def test_symmetric_copies_compute_the_same(net):
    from polygeom.claims.symmetries import is_dense_chain

    if not is_dense_chain(net):
        return
    copy, columns = symmetric_copy(net, np.random.default_rng(0))
    x = np.linspace(-2, 2, 3 * net.dim_in).reshape(3, -1)
    letters = pg.spline_codes(net, x).letters
    assert np.array_equal(pg.spline_codes(copy, x).letters, letters[:, columns])


# -- witnesses -----------------------------------------------------------------------------------------------


def tampered(name: str, net: pg.Network, **changes: object) -> Witness:
    """Return the witness of a verdict with some of its data changed."""
    witness = pg.verify(name, net).witness
    return replace(witness, data={**witness.data, **{k: f(witness.data[k]) for k, f in changes.items()}})


def flipped(codes: np.ndarray) -> np.ndarray:
    """Return codes with one letter changed."""
    codes = np.array(codes)
    codes[0, 0] = 1 - codes[0, 0]
    return codes


def one_less(numbers: object) -> object:
    return numbers[:-1]


@pytest.mark.parametrize(
    ("name", "net", "changes"),
    [
        ("affine", "quick", {"codes": flipped}),
        ("affine", "quick", {"simplices": one_less}),
        ("affine", "quick", {"simplices": lambda s: [[c[0]] * 3 for c in s]}),
        ("affine", "quick", {"simplices": lambda s: [[[100 * v for v in x] for x in c] for c in s]}),
        ("count-one-layer", "quick", {"regions": lambda n: n + 1}),
        ("count-one-layer", "quick", {"bounded": lambda n: n - 1}),
        ("count-bounds", "one-layer", {"widths": lambda w: (w[0] - 1,)}),
        ("count-bounds", "one-layer", {"tents": lambda t: {**t, 3: 9}}),
        ("euler", "quick", {"wanted": lambda n: -n}),
        ("facets-small", "quick", {"mean": lambda m: m - 1}),
        ("facets-small", "quick", {"bound": lambda b: b - 1}),
        ("leverage", "quick", {"claimed": lambda c: {r: u[:-1] for r, u in c.items()}}),
        ("leverage", "quick", {"claimed": lambda c: {r: [*u, 0, 1, 2, 3, 4, 5] for r, u in c.items()}}),
        ("partial-cube", "quick", {"triple": lambda t: (t[0], t[0], t[0])}),
        ("partial-cube", "one-layer", {"edges": one_less}),
        ("symmetries", "quick", {"columns": lambda c: c[::-1]}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tampered_witnesses_are_refused(name, net, changes):
    assert not tampered(name, toy.named(net), **changes).holds()


# -- claims that go wrong ----------------------------------------------------------------------------------------


@pytest.fixture
def own_claims():
    """Register claims for one test."""
    known = set(registry)
    yield pg.claims.claim
    for name in set(registry) - known:
        registry.remove(name)


def test_unknown_claims_name_the_nearest():
    with pytest.raises(InputError, match="Nearest: partition"):
        pg.verify("partitoin", toy.cone(2))
    with pytest.raises(InputError, match="wanted the id"):
        pg.verify(3, toy.cone(2))


def test_nets_that_are_none_are_refused():
    with pytest.raises(InputError, match="wanted a Network"):
        pg.verify("partition", net=lambda x: x)
    with pytest.raises(InputError, match="Polyhedron in R\\^2"):
        pg.verify("partition", toy.cone(2), pg.Polyhedron.box(0, 1, dim=3))


def test_claims_that_raise_or_return_something_else_stop_no_other(own_claims):
    @own_claims("raises", statement="It raises.", source="this test")
    def raises(instance):
        return 1 / 0

    @own_claims("no-verdict", statement="It returns True.", source="this test")
    def no_verdict(instance):
        return True

    @own_claims("fine", statement="It holds.", source="this test")
    def fine(instance):
        return holds(pg.Level.EXACT, "Yes.")

    with pytest.raises(ClaimError, match="ZeroDivisionError"):
        pg.verify("raises", toy.cone(2))
    with pytest.raises(ClaimError, match="wanted a Verdict"):
        pg.verify("no-verdict", toy.cone(2))
    verdicts = pg.verify_all(toy.cone(2), ids=["raises", "no-verdict", "fine"])
    assert [v.outcome for v in verdicts.values()] == [Outcome.UNDECIDED, Outcome.UNDECIDED, Outcome.HOLDS]
    assert not verdicts.as_expected
    assert verdicts["fine"].as_expected
    with pytest.raises(InputError, match="no witness"):
        verdicts["fine"].check()


def test_ids_are_taken_once(own_claims):
    with pytest.raises(InputError, match="is taken by"):
        own_claims("partition", statement="Another.", source="this test")(lambda instance: undecided("?"))


def test_ctrl_c_keeps_what_was_judged(own_claims):
    @own_claims("stopped", statement="It is stopped.", source="this test")
    def stopped(instance):
        raise KeyboardInterrupt

    verdicts = pg.verify_all(toy.cone(2), ids=["partition", "stopped", "affine"])
    assert list(verdicts) == ["partition"]
    assert not verdicts.finished


@pytest.mark.parametrize("ids", [3, "partition", [3], [["partition"]], ["partitoin"]])
def test_what_is_no_list_of_ids_is_refused(ids):
    with pytest.raises(InputError, match=r"ids is|no claim"):
        pg.verify_all(toy.cone(2), ids=ids)


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"seed": 0.5}, {"budget": 3}, {"budget": None}])
def test_seeds_and_budgets_are_looked_at(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        pg.verify("affine", toy.cone(2), **wrong)


def test_budgets_leave_claims_undecided():
    verdict = pg.verify("partition", toy.named("quick"), budget=pg.Budget(regions=5))
    assert verdict.outcome is Outcome.UNDECIDED
    assert "larger budget" in verdict.text


def test_verdicts_have_a_level_if_they_answer():
    with pytest.raises(InputError, match="need a level"):
        holds(None, "Yes.")


def test_domains_are_looked_at_where_claims_can():
    square = pg.Polyhedron.box(-1, 1, dim=2)
    net = toy.named("quick")
    verdicts = pg.verify_all(
        net, square, ids=["partition", "euler", "affine", "count-one-layer", "symmetries"]
    )
    assert [v.outcome.value for v in verdicts.values()] == ["holds"] * 3 + ["not applicable", "holds"]
    assert "sum alternatingly to 1" in verdicts["euler"].text


# -- the command line ----------------------------------------------------------------------------------------


def test_the_command_judges_and_writes(tmp_path, capsys):
    out = tmp_path / "verdicts.json"
    assert main(["verify", "partition", "partial-cube", "--json", str(out)]) == FINE
    assert "no partial cube" in capsys.readouterr().out.replace("\n", " ")
    written = json.loads(out.read_text())
    assert [v["outcome"] for v in written["verdicts"]] == ["HOLDS", "FAILS"]


def test_the_command_tells_what_is_not_as_expected(own_claims, capsys):
    @own_claims("wrong", statement="It fails.", source="this test", expects={"quick": Outcome.HOLDS})
    def wrong(instance):
        return fails(pg.Level.EXACT, "No.")

    assert main(["verify", "wrong"]) == DIFFERENT
    assert "theory expects holds" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["--net", "toy:nowhere"],
        ["--net", "no/such/file.onnx"],
        ["xor", "--json", "/no/such/folder/x"],
    ],
)
def test_the_command_refuses_with_a_message(arguments, capsys):
    assert main(["verify", "euler", *arguments]) == REFUSED
    assert capsys.readouterr().err.startswith("polygeom: ")


def test_the_command_lists_claims(capsys):
    assert main(["verify", "--list"]) == FINE
    assert "partial-cube" in capsys.readouterr().out
