"""The checker of complexes: what is right holds, and whatever is changed is noticed."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import flint
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import polygeom as pg
from polygeom.certificates import Level
from polygeom.complex_checks import Outcome, check_complex
from polygeom.complex_checks.arrangements import (
    Arrangement,
    arrangement_of,
    buck_faces,
    central_regions,
    simple_regions,
)
from polygeom.complexes import PolyhedralComplex
from polygeom.enumeration.arrays import Exactness, RegionArrays
from polygeom.network import Network
from polygeom.testing import FAMILIES, degenerate_networks
from tests.mutants import picked, with_arrays, without
from tests.region_oracle import PLANE, SPACE, oracle_regions, region_arrays

BOX = pg.Polyhedron.box(-1, 1, dim=2)
PLANE_OF_FOUR = pg.AffineMap([[1, 0], [0, 1], [1, -1], [0.5, 2]], [0, 0.25, 0, -1])


def complex_of(
    net: Network, domain: pg.Polyhedron | None = None, along: pg.AffineMap | None = None, cells: bool = False
) -> PolyhedralComplex:
    """Return the complex that the exact oracle finds."""
    arrays = region_arrays(net, oracle_regions(net, domain, along), cells=cells)
    return PolyhedralComplex(net, along, domain, arrays, Exactness(), True, None)


# -- what is right holds -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["generic", "duplicate unit", "tripled duplicate", "mirrored", "zero biases"]
)
@pytest.mark.parametrize("widths", [PLANE, SPACE])
def test_the_oracle_holds_in_the_whole_space(name: str, widths: tuple[int, ...]):
    report = check_complex(complex_of(FAMILIES[name](widths, 0)))
    assert report, report.text
    assert report.level is Level.EXACT
    assert report["completeness"].text == "No facet of any region leads out of the list."
    assert report["volumes"].outcome is Outcome.NOT_APPLICABLE


@given(net=degenerate_networks(dims=(2,)))
def test_the_oracle_fills_a_box(net: Network):
    report = check_complex(complex_of(net, BOX))
    assert report, report.text
    assert report["volumes"].outcome is Outcome.HOLDS
    assert report["completeness"].check.level is Level.EXACT


@pytest.mark.parametrize("name", ["generic", "scaled duplicate", "small integers"])
def test_the_oracle_holds_on_a_slice(name: str):
    net = FAMILIES[name]((4, 5, 3, 1), 2)
    report = check_complex(complex_of(net, along=PLANE_OF_FOUR))
    assert report, report.text
    assert report.level is Level.EXACT


@pytest.mark.parametrize("name", ["generic", "anti-parallel pair", "zero biases"])
def test_the_oracle_holds_in_four_dimensions(name: str):
    """Beyond three dimensions, certificates of all rows take the place of vertices."""
    report = check_complex(complex_of(FAMILIES[name]((4, 5, 1), 1)))
    assert report, report.text
    assert report["facets"].check.level is Level.EXACT
    assert report["Zaslavsky's theorem"].outcome is Outcome.HOLDS


@pytest.mark.parametrize(
    ("domain", "wanted"),
    [
        (BOX, 1),
        (None, 1),
        (pg.Polyhedron([[1.0, 2.0]], [1.0]), 0),
        (pg.Polyhedron([[1, 2], [-1, -2]], [1, 1]), -1),
        (pg.Polyhedron([[-1, 0], [0, -1]], [0, 0]), 0),
    ],
)
def test_eulers_relation(domain: pg.Polyhedron | None, wanted: int):
    item = check_complex(complex_of(FAMILIES["generic"](PLANE, 4), domain, cells=True))["Euler's relation"]
    assert item.outcome is Outcome.HOLDS, item.text
    assert item.text.endswith(f"to {wanted}.")


def test_bucks_formula():
    net = FAMILIES["generic"]((2, 5, 1), 1)
    item = check_complex(complex_of(net, cells=True))["Buck's formula"]
    assert item.outcome is Outcome.HOLDS
    assert str(buck_faces(5, 2)) in item.text


def test_a_sample_is_called_a_sample():
    K = complex_of(FAMILIES["generic"](PLANE, 0))
    report = check_complex(K, sample=10)
    assert report
    assert report.level is Level.SAMPLED
    assert report["facets"].counts["regions"] == 10
    assert report["facets"].check.residual == pytest.approx(0.3)
    assert report["witnesses"].check.level is Level.EXACT
    assert report.text == check_complex(K, sample=10, rng=np.random.default_rng(0)).text


def test_a_stopped_enumeration_is_called_incomplete():
    K = complex_of(FAMILIES["generic"](PLANE, 0))
    report = check_complex(replace(without(K, [0, 5]), finished=False))
    assert not report
    assert not report.refuted, report.text
    assert [item.name for item in report.open] == ["completeness"]
    assert report["neighbors"].counts["leaving"] > 0
    assert "stopped" in report["completeness"].text


# -- what is missing is noticed (tests/test_mutations.py has all other changes) ----------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_any_missing_region_is_noticed_without_volumes(seed: int):
    K = complex_of(FAMILIES["small integers"](PLANE, seed))
    report = check_complex(without(K, [seed % len(K.arrays)]))
    assert {"neighbors"} <= {item.name for item in report.refuted}, report.text


def test_a_unit_that_does_not_flip_alone_is_noticed():
    K = complex_of(FAMILIES["duplicate unit"](PLANE, 0))
    a = K.arrays
    assert a.facet_tied.any()
    untied = with_arrays(K, facet_tied=np.zeros_like(a.facet_tied), tied_points=a.tied_points[:0])
    assert not check_complex(untied)


def test_zaslavsky_notices_a_missing_region():
    K = complex_of(FAMILIES["generic"]((3, 5, 1), 0))
    report = check_complex(without(K, [0]), sample=1)
    assert report["Zaslavsky's theorem"].outcome is Outcome.REFUTED


def test_uniform_points_notice_a_missing_region():
    """With one cell proved again, every large region would be missed by nobody else."""
    K = complex_of(FAMILIES["generic"](PLANE, 6), BOX)
    largest = int(np.argmax(K.volumes()))
    kept = np.setdiff1d(np.arange(len(K.arrays)), [largest])
    smaller = replace(picked(K, kept), domain=pg.Polyhedron([[1, 0], [-1, 0], [0, 2], [0, -1]], [1, 1, 2, 1]))
    item = check_complex(smaller, sample=1)["points"]
    assert item.outcome is Outcome.REFUTED
    share = item.counts["missed"] / item.counts["points"]
    assert share == pytest.approx(K.volumes()[largest] / 4, rel=0.2)


# -- arrangements ------------------------------------------------------------------------------------------


def integer_arrangement(seed: int, n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(-1, 2, (n, d)).astype(float), rng.integers(-1, 2, n).astype(float)


def one_layer(W: np.ndarray, b: np.ndarray) -> Network:
    return Network.from_layers([(W, b), (np.ones((1, len(W))), None)])


def whitney(arrangement: Arrangement) -> tuple[int, ...]:
    """Return the characteristic polynomial as the sum over all central subsets (Whitney's theorem)."""
    d, coefficients = arrangement.dim, [0] * (arrangement.dim + 1)
    for size in range(len(arrangement) + 1):
        for rows in combinations(arrangement.rows, size):
            augmented = flint.fmpq_mat(size, d + 1, [v for row in rows for v in row])
            normals = flint.fmpq_mat(size, d, [v for row in rows for v in row[:-1]])
            rank = normals.rank() if size else 0
            if not size or augmented.rank() == rank:
                coefficients[d - rank] += (-1) ** size
    return tuple(coefficients)


@given(seed=st.integers(0, 2**16), d=st.integers(1, 4), n=st.integers(1, 7))
def test_deletion_and_restriction_agree_with_whitneys_theorem(seed: int, d: int, n: int):
    arrangement = arrangement_of(one_layer(*integer_arrangement(seed, n, d)), None)
    assert arrangement.characteristic() == whitney(arrangement)


@given(seed=st.integers(0, 2**16), d=st.integers(1, 3), n=st.integers(1, 5))
def test_counts_are_those_of_the_oracle(seed: int, d: int, n: int):
    net = one_layer(*integer_arrangement(seed, n, d))
    arrangement, regions = arrangement_of(net, None), oracle_regions(net)
    assert arrangement.n_regions() == len(regions)
    assert arrangement.n_bounded() == sum(r.bounded for r in regions.values())
    faces = arrangement.faces()
    assert faces[-1] == len(regions)
    assert sum((-1) ** k * f for k, f in enumerate(faces)) == (-1) ** d
    if arrangement.rank == d:
        assert faces[0] == len({p for r in regions.values() for p in r.points})


@pytest.mark.parametrize(("n", "d"), [(1, 1), (4, 2), (6, 3), (9, 4), (2, 3)])
def test_general_position_has_the_closed_formulas(n: int, d: int):
    rng = np.random.default_rng(n)
    normals, sides = rng.standard_normal((n, d)), rng.standard_normal(n)
    arrangement = arrangement_of(one_layer(normals, sides), None)
    assert arrangement.n_regions() == simple_regions(n, d)
    assert arrangement.faces() == buck_faces(n, d)
    central = arrangement_of(one_layer(normals, 0 * sides), None)
    assert central.is_central
    assert central.n_regions() == central_regions(n, d)
    assert central.n_bounded() == 0


def test_an_arrangement_of_several_breakpoints():
    """A unit with two breakpoints draws two parallel hyperplanes."""
    net = Network.from_layers([(np.eye(2), [0.0, 0.0]), (np.ones((1, 2)), None)], "hardtanh")
    arrangement = arrangement_of(net, None)
    assert len(arrangement) == 4
    assert (arrangement.n_regions(), arrangement.n_bounded()) == (9, 1)


def test_deeper_networks_are_no_arrangements():
    assert arrangement_of(FAMILIES["generic"](PLANE, 0), None) is None


def test_too_many_hyperplanes_are_counted_by_the_bound(monkeypatch: pytest.MonkeyPatch):
    from polygeom.complex_checks import partition

    monkeypatch.setattr(partition, "MOST_ELIMINATIONS", 0)
    generic, integers = FAMILIES["generic"]((2, 5, 1), 0), FAMILIES["small integers"]((2, 7, 1), 0)
    item = check_complex(complex_of(generic))["Zaslavsky's theorem"]
    assert item.outcome is Outcome.HOLDS
    assert (item.counts["regions"], item.counts["bounded"]) == (16, 6)
    assert check_complex(complex_of(integers))["Zaslavsky's theorem"].outcome is Outcome.NOT_CHECKED


# -- input -------------------------------------------------------------------------------------------------


def test_something_else_is_refused():
    with pytest.raises(pg.InputError, match="PolyhedralComplex"):
        check_complex(np.zeros(3))


@pytest.mark.parametrize("sample", [0, -1, 2.5, "all"])
def test_a_sample_is_a_positive_number(sample: object):
    with pytest.raises(pg.InputError, match="sample"):
        check_complex(complex_of(FAMILIES["generic"](PLANE, 0)), sample=sample)


def test_counts_alone_cannot_be_checked():
    with pytest.raises(pg.InputError, match="store='count'"):
        check_complex(pg.enumerate_regions(FAMILIES["generic"](PLANE, 0), store="count"))


def test_an_empty_complex_cannot_be_checked():
    K = complex_of(FAMILIES["generic"](PLANE, 0))
    nothing = RegionArrays(K.arrays.packed[:0], K.arrays.witnesses[:0])
    with pytest.raises(pg.InputError, match="no regions"):
        check_complex(replace(K, arrays=nothing))


def test_an_unknown_item_is_refused():
    with pytest.raises(pg.InputError, match="witnesses"):
        check_complex(complex_of(FAMILIES["generic"](PLANE, 0)), sample=1)["winesses"]


# -- what is left out, and what is open --------------------------------------------------------------------------


def test_what_was_left_out_is_told_from_what_says_nothing():
    """Volumes of a box are not checked on a sample; those of the whole space do not apply."""
    net = FAMILIES["generic"](PLANE, 0)
    whole, box = check_complex(complex_of(net), sample=2), check_complex(complex_of(net, BOX), sample=2)
    assert whole["volumes"].outcome is Outcome.NOT_APPLICABLE
    assert box["volumes"].outcome is Outcome.NOT_CHECKED
    assert "sample=None" in box["volumes"].text
    assert box["Euler's relation"].outcome is Outcome.NOT_CHECKED
    assert box
    assert "not checked: volumes" in box.text.splitlines()[0]
    assert check_complex(complex_of(net, BOX), sample=None)["volumes"].outcome is Outcome.HOLDS


def test_undecided_signs_leave_completeness_open_unless_all_is_proved_again():
    net = FAMILIES["generic"](PLANE, 0)
    K = complex_of(net)
    doubtful = replace(
        with_arrays(K, undecided=np.array([[2, 1], [2, 3], [4, 0]])),
        exactness=Exactness(floats=9, undecided=3),
    )
    assert not doubtful.complete
    assert "3 undecided, in 2 regions: not proved complete" in repr(doubtful)
    sampled = check_complex(doubtful, sample=2)
    assert sampled["completeness"].outcome is Outcome.OPEN
    assert "Region 2: units [1, 3]. Region 4: units [0]." in sampled["completeness"].text
    assert not sampled
    assert check_complex(doubtful, sample=None)["completeness"].check.level is Level.EXACT


def test_regions_beyond_the_largest_float_are_missed():
    """Kinks at 2^1060 and 2^1070: the region between holds no float, and points of lines must be exact."""
    W, b = np.full((2, 1), 2.0**-1000), np.array([-(2.0**60), -(2.0**70)])
    net = Network.from_layers([(W, b), (np.ones((1, 2)), None)])
    K = pg.enumerate_regions(net)
    assert len(K.arrays.exact_witnesses) == 2
    assert check_complex(K)
    near, between, far = (
        int(K.find(np.array([code], dtype=np.uint8))[0]) for code in ([0, 0], [1, 0], [1, 1])
    )
    gap = without(K, [between])
    points = check_complex(gap)["points"]
    assert points.outcome is Outcome.REFUTED
    assert "in no listed region" in points.text
    assert {near, between, far} == {0, 1, 2}


@pytest.mark.parametrize("domain", [None, pg.Polyhedron.box(-1, 1, dim=2)])
def test_a_network_without_units_has_one_region_that_checks(domain):
    net = pg.Network.from_layers([(np.eye(2), np.zeros(2))])
    report = pg.check_complex(pg.enumerate_regions(net, domain))
    assert report
    assert report.level is Level.EXACT
