"""No certificate is believed for its form: what is not finite, or does not fit, is refuted without an error."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction

import numpy as np
import pytest

from polygeom.certificates.boundedness import Boundedness, PositiveSpan, RecessionCone, RecessionRay
from polygeom.certificates.chebyshev import ChebyshevBall
from polygeom.certificates.check import REFUTED, are_rows, finite_numbers, nearest_floats
from polygeom.certificates.feasibility import (
    Farkas,
    FeasiblePoint,
    ImplicitEquality,
    ImpliedRow,
    InteriorPoint,
    Outlier,
)
from polygeom.polyhedron import Polyhedron
from polygeom.predicates import (
    boundedness,
    chebyshev_ball,
    feasibility,
    inclusion,
    inscribed_ellipsoid,
    project,
    recession_cone,
    vertices,
)

SQUARE = Polyhedron.box(0, 1, dim=2)
LARGER = Polyhedron.box(-1, 2, dim=2)
SEGMENT = Polyhedron([[1, 0], [-1, 0], [0, 1], [0, -1]], [1, -1, 5, 5])
GAP = Polyhedron([[1, 0], [-1, 0], [0, 1]], [0, -1, 1])
WEDGE = Polyhedron([[1, 0], [-1, 0], [0, -1]], [1, 1, 1])

PROOFS = {
    "interior point": (feasibility(SQUARE).certificate, SQUARE),
    "feasible point": (feasibility(SEGMENT).certificate, SEGMENT),
    "farkas": (feasibility(GAP).certificate, GAP),
    "equality": (feasibility(SEGMENT).equalities[0], SEGMENT),
    "implied row": (inclusion(SQUARE, LARGER).certificates[0], SQUARE, LARGER),
    "outlier": (inclusion(LARGER, SQUARE).certificates[0], LARGER, SQUARE),
    "positive span": (boundedness(SQUARE).certificate, SQUARE),
    "ray": (boundedness(WEDGE).certificate, WEDGE),
    "cone": (recession_cone(WEDGE), WEDGE),
    "cone of a square": (recession_cone(SQUARE), SQUARE),
    "ball": (chebyshev_ball(SQUARE), SQUARE),
    "endless ball": (chebyshev_ball(Polyhedron.orthant(2)), Polyhedron.orthant(2)),
    "projection": (project(SQUARE, [3.0, 0.5]), SQUARE),
    "ellipsoid": (inscribed_ellipsoid(SQUARE), SQUARE),
    "vertices": (vertices(SQUARE), SQUARE),
}
SINGLE = [
    (name, field.name)
    for name, (proof, *_) in PROOFS.items()
    for field in fields(proof)
    if isinstance(getattr(proof, field.name), np.ndarray) and getattr(proof, field.name).dtype.kind in "fO"
]


@pytest.mark.parametrize("name", PROOFS)
def test_every_proof_holds_and_takes_lists(name):
    proof, *about = PROOFS[name]
    assert proof.holds(*about)
    lists = {
        f.name: getattr(proof, f.name).tolist()
        for f in fields(proof)
        if isinstance(getattr(proof, f.name), np.ndarray)
    }
    assert replace(proof, **lists).holds(*about)


@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf, None, "1", 1j])
@pytest.mark.parametrize(("name", "field"), SINGLE)
def test_one_entry_that_is_no_finite_number_refutes(name, field, junk):
    proof, *about = PROOFS[name]
    entries = getattr(proof, field)
    if not entries.size:
        return
    forged = entries.astype(object)
    forged.flat[0] = junk
    assert not replace(proof, **{field: forged}).holds(*about)
    if isinstance(junk, float):
        floats = nearest_floats(entries).copy()
        floats.flat[0] = junk
        assert not replace(proof, **{field: floats}).holds(*about)


@pytest.mark.parametrize(("name", "field"), SINGLE)
def test_a_wrong_length_refutes(name, field):
    proof, *about = PROOFS[name]
    entries = getattr(proof, field)
    for wrong in (np.append(entries.ravel(), entries.ravel()[:1]), [[0.0], [0.0, 1.0]], 1.0, [entries]):
        if np.size(entries):
            assert not replace(proof, **{field: wrong}).holds(*about)


@pytest.mark.parametrize("name", PROOFS)
@pytest.mark.parametrize(
    "other", [Polyhedron([[1.0, 0.0]], [-9.0]), Polyhedron([[1.0]], [-9.0]), Polyhedron.box(8, 9, dim=3)]
)
def test_a_proof_about_another_polyhedron_is_refuted(name, other):
    proof, _, *more = PROOFS[name]
    if name not in ("ray", "cone"):
        assert not proof.holds(other, *more)
    else:  # whose b does not matter
        assert bool(proof.holds(other)) in (False, other.dim == 2 and name == "ray")


def test_infinite_points_prove_nothing():
    half = Polyhedron([[1.0, 0]], [1])
    assert InteriorPoint(np.array([np.inf, 0])).holds(half) == REFUTED
    assert FeasiblePoint(np.array([-np.inf, np.nan])).holds(half) == REFUTED
    assert RecessionRay(np.array([-np.inf, np.nan])).holds(half) == REFUTED


def test_rows_that_do_not_exist_prove_nothing():
    lists = [1, 1, 1, 1]
    assert not Farkas(lists).holds(SQUARE)
    for row in (99, -1, 4, 1.0, "0", None, True):
        assert not ImpliedRow(row, lists).holds(SQUARE, LARGER)
        assert not Outlier(row, [1.5, 1.5]).holds(LARGER, SQUARE)
        assert not ImplicitEquality(row, [1, 1, 0, 0]).holds(SEGMENT)
        assert not PositiveSpan(np.ones(4), [0, 1, 2, row]).holds(SQUARE)
        assert not RecessionCone(0, np.zeros(2), [0, 1, 2, row], np.ones(4), np.empty((0, 2))).holds(SQUARE)


def test_points_of_another_space_prove_nothing():
    line = Polyhedron([[1.0], [-1.0]], [2, 0])
    assert not Outlier(0, [1.5]).holds(line, SQUARE)
    assert not ImpliedRow(0, [1.0, 0.0]).holds(line, SQUARE)
    assert not ChebyshevBall([1.0], 1.0, 2.0).holds(SQUARE)


def test_overflowing_products_prove_nothing():
    """1e308 * 100 - 1e308 * 10 is inf - inf in floats and positive in truth."""
    P = Polyhedron([[1e308, -1e308]], [1.0])
    for numbers in ([100.0, 10.0], [Fraction(100), Fraction(10)]):
        assert not RecessionRay(numbers).holds(P)
        assert not FeasiblePoint(numbers).holds(P)
        assert not InteriorPoint(numbers).holds(P)
    assert RecessionRay([10.0, 100.0]).holds(P)
    assert FeasiblePoint([10.0, 100.0]).holds(P)
    assert not Farkas([1e308, 1e308]).holds(Polyhedron([[1e308], [-1e308]], [1e308, 1e308]))


def test_a_ray_alone_proves_nothing_about_an_empty_polyhedron():
    empty = Polyhedron([[1, 0], [-1, 0]], [-1, -1])
    ray = RecessionRay(np.array([0.0, 1.0]))
    assert ray.holds(empty)
    assert not Boundedness(False, ray).holds(empty)
    assert not Boundedness(False, ray, point=FeasiblePoint([0.0, 0.0])).holds(empty)


def test_the_gate_keeps_the_kind_of_numbers():
    assert finite_numbers([1, 2], 2).dtype == np.float64
    assert finite_numbers([Fraction(1, 3), 1.0], 2).tolist() == [Fraction(1, 3), 1]
    assert finite_numbers([2**53 + 1], 1).tolist() == [2**53 + 1]
    assert finite_numbers(np.float32([0.5]), 1).dtype == np.float64
    assert finite_numbers([10**400], 1).tolist() == [10**400]
    assert nearest_floats(np.array([Fraction(10) ** 400, Fraction(-(10**400))], dtype=object)).tolist() == [
        np.inf,
        -np.inf,
    ]
    assert finite_numbers([], 0).shape == (0,)
    assert are_rows([], 0, 0)
    assert not are_rows([0.0], 1, 1)
