"""Laws of boundedness and recession cones; the oracle is an exact linear program per coordinate."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import flint
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.certificates.boundedness import PositiveSpan, RecessionRay, recession_signs
from polygeom.certificates.check import Level
from polygeom.certificates.feasibility import Farkas
from polygeom.errors import InputError, UndecidedError
from polygeom.exact import rational_matrix
from polygeom.polyhedron import UNKNOWN, Polyhedron
from polygeom.predicates.boundedness import boundedness, is_bounded, recession_cone
from polygeom.predicates.rational import RationalLp
from tests.test_feasibility import polyhedra


@st.composite
def degenerate_matrices(draw):
    """Small-integer matrices: parallel, duplicate, zero rows, lines and lower-dimensional cones abound."""
    d = draw(st.integers(1, 4))
    entry = st.integers(-2, 2)
    rows = draw(st.lists(st.lists(entry, min_size=d, max_size=d), max_size=9))
    return np.array(rows, dtype=float).reshape(-1, d)


def cone_rows(A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return {A y <= 0, -1 <= y <= 1}."""
    d = A.shape[1]
    return np.vstack([A, np.eye(d), -np.eye(d)]), np.concatenate([np.zeros(len(A)), np.ones(2 * d)])


def is_bounded_oracle(A: np.ndarray) -> bool:
    program = RationalLp(*cone_rows(A))
    return all(program.maximize(sign * row).value == 0 for row in np.eye(A.shape[1]) for sign in (1.0, -1.0))


def implicit_oracle(A: np.ndarray) -> list[int]:
    program = RationalLp(*cone_rows(A))
    return [i for i, row in enumerate(A) if program.maximize(-row).value == 0]


BEYOND_FLOATS = {"nearly a slab"}
"""Entries that a float solver takes for zero: the second opinion is silent."""


def assert_proved(A: np.ndarray, bounded: bool, **options) -> None:
    P = Polyhedron(A, np.ones(len(A)))
    result = boundedness(P, **options)
    assert result.bounded is bounded
    check = result.holds(P)
    assert check
    assert check.level is Level.EXACT


@given(degenerate_matrices())
def test_agrees_with_the_oracle_on_degenerate_rows(A):
    bounded = is_bounded_oracle(A)
    assert_proved(A, bounded)
    assert_proved(A, bounded, method="lp")


@given(degenerate_matrices(), st.integers(0, 2**32 - 1))
def test_row_and_column_scaling_change_nothing(A, seed):
    rng = np.random.default_rng(seed)
    bounded = is_bounded_oracle(A)
    scaled = A * 10.0 ** rng.integers(-9, 10, (len(A), 1))  # rounds, so the oracle runs again
    assert_proved(scaled, is_bounded_oracle(scaled))
    assert_proved(A * 2.0 ** rng.integers(-30, 31, A.shape[1]), bounded)
    assert_proved(A[rng.permutation(len(A))], bounded)
    assert_proved(np.vstack([A, A[:1] * 3, np.zeros((1, A.shape[1]))]), bounded)


@given(degenerate_matrices(), st.integers(0, 2**32 - 1))
def test_rotated_degenerate_rows(A, seed):
    """After a random float change of coordinates ties are decided by the last bits; still no false answer."""
    moved = A @ np.random.default_rng(seed).standard_normal((A.shape[1], A.shape[1]))
    assert_proved(moved, is_bounded_oracle(moved))


@given(degenerate_matrices())
def test_recession_cone_agrees_with_the_oracle(A):
    P = Polyhedron(A, np.ones(len(A)))
    cone = recession_cone(P)
    assert cone.holds(P)
    implicit = implicit_oracle(A)
    assert sorted(cone.implicit.tolist()) == implicit
    rank = rational_matrix(A).rank() if len(A) else 0
    face_rank = rational_matrix(A[implicit]).rank() if implicit else 0
    assert cone.dim == A.shape[1] - face_rank
    assert len(cone.lineality) == A.shape[1] - rank
    assert cone.is_pointed == (rank == A.shape[1])
    assert (cone.dim == 0) == boundedness(P).bounded


@given(degenerate_matrices())
def test_a_wrong_cone_is_refused(A):
    P = Polyhedron(A, np.ones(len(A)))
    cone = recession_cone(P)
    assert not dataclasses.replace(cone, dim=cone.dim + 1).holds(P)
    if len(cone.implicit):
        fewer = {"implicit": cone.implicit[1:], "multipliers": cone.multipliers[1:]}
        assert not dataclasses.replace(cone, **fewer).holds(P)
    if len(cone.lineality):
        assert not dataclasses.replace(cone, lineality=cone.lineality[1:]).holds(P)
    if cone.dim and any(v != 0 for v in recession_signs(P, cone.direction)):
        assert not dataclasses.replace(cone, direction=-cone.direction).holds(P)


NAMED = {
    "square": ([[1, 0], [-1, 0], [0, 1], [0, -1]], True),
    "tiny and huge rows": ([[1e9, 0], [-1e-9, 0], [0, 1e9], [0, -1e-9]], True),
    "columns in other units": ([[1e9, 0], [-1e9, 5e-10], [0, 1e-9], [3e8, -1e-9]], True),
    "slab": ([[1, 0], [-1, 0]], False),
    "half-space": ([[1, 2, 3]], False),
    "whole space": (np.empty((0, 3)), False),
    "zero rows only": (np.zeros((2, 3)), False),
    "square prism": ([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1]], False),
    "interval": ([[3.0], [-1e-300]], True),
    "half-line": ([[3.0], [2.0]], False),
    "nearly a slab": ([[1, 1e-12], [-1, 1e-12], [0, -1]], True),
    "nearly a triangle": ([[1, 1e-12], [-1, 1e-12], [0, 1]], False),
    "dead input": ([[1, 0], [-1, 0], [2, 0]], False),
    "dead unit": ([[1, 1], [0, 0], [-1, 0], [0, -1]], True),
}


@pytest.mark.parametrize("method", ["auto", "lp"])
@pytest.mark.parametrize("name", NAMED)
def test_named_cases(name, method):
    A, bounded = NAMED[name]
    if method == "lp" and name in BEYOND_FLOATS:
        assert boundedness(Polyhedron(A, np.ones(len(A))), method="lp").bounded is None
        return
    assert_proved(np.array(A, dtype=float), bounded, method=method)


@pytest.mark.parametrize(("d", "m"), [(10, 50), (50, 200), (200, 500), (400, 1000)])
@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_random_layers(d, m, shift):
    """Standard normal rows span (m > 2 d, Wendel 1962); a common shift leaves a ray against it."""
    rng = np.random.default_rng(d)
    A = rng.standard_normal((m, d)) + shift * rng.standard_normal(d)
    assert_proved(A, shift == 0.0)


@pytest.mark.parametrize(("d", "m", "lines"), [(20, 60, 1), (60, 150, 5)])
def test_prisms_over_random_polytopes(d, m, lines):
    """A bounded base times half-lines, in integer coordinates sheared exactly: a lower-dimensional cone."""
    rng = np.random.default_rng(d)
    base = np.round(rng.standard_normal((m, d)) * 1000)
    A = np.block([[base, np.zeros((m, lines))], [rng.integers(-3, 4, (lines, d)), -np.eye(lines)]])
    shear = np.eye(d + lines) + np.triu(rng.integers(-1, 2, (d + lines, d + lines)), 1)
    P = Polyhedron(A @ shear, np.ones(m + lines))
    assert boundedness(P).bounded is False
    cone = recession_cone(P)
    assert cone.dim == lines
    assert cone.implicit.tolist() == list(range(m))
    assert cone.holds(P)


def test_rounded_rows_are_decided_only_beyond_their_errors():
    A = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    b = np.ones(4)
    small, large = np.full(A.shape, 1e-3), np.full(A.shape, 0.9)
    P = Polyhedron(A, b, A_error=small)
    assert boundedness(P).bounded
    assert boundedness(P).holds(P)
    assert boundedness(Polyhedron(A, b, A_error=large)).bounded is None
    slab = Polyhedron(A[:2], b[:2], A_error=small[:2])
    undecided = boundedness(slab)
    assert undecided.bounded is None
    assert undecided.reason
    assert not undecided.holds(slab)
    with pytest.raises(UndecidedError):
        bool(undecided)
    with pytest.raises(UndecidedError):
        recession_cone(slab)
    ray = boundedness(Polyhedron(A[::2], b[::2], A_error=small[::2]))
    assert ray.bounded is False


def test_rounded_rows_with_a_source_are_decided_exactly():
    """The true rows are a slab of thirds, the floats are not parallel."""
    third = flint.fmpq(1, 3)
    exact = flint.fmpq_mat(2, 2, [third, 1, -2 * third, -2])

    def source(rows):
        rows = [int(r) for r in rows]
        entries = [exact[r, j] for r in rows for j in range(2)]
        return flint.fmpq_mat(len(rows), 2, entries), flint.fmpq_mat(len(rows), 1, [1] * len(rows))

    A = np.array([[1 / 3, 1.0], [-2 / 3, -2.0 * (1 + 2**-50)]])
    P = Polyhedron(A, np.ones(2), np.full((2, 2), 1e-14), np.zeros(2), source)
    result = boundedness(P)
    assert result.bounded is False
    assert result.holds(P)
    cone = recession_cone(P)
    assert (cone.dim, len(cone.lineality), cone.implicit.tolist()) == (1, 1, [0, 1])
    assert cone.holds(P)


def test_signs_are_exact():
    P = Polyhedron([[0.1, 0.2], [1e-320, 0.0], [0.0, 1e300], [0.0, 0.0]], np.zeros(4))
    assert recession_signs(P, np.array([-2.0, 1.0])).tolist() == [0, -1, 1, 0]  # fl(0.2) = 2 fl(0.1)
    thirds = np.array([Fraction(-2, 3), Fraction(1, 3)], dtype=object)
    assert recession_signs(P, thirds).tolist() == [0, -1, 1, 0]
    rounded = Polyhedron(P.A, P.b, A_error=np.full((4, 2), 1e-9))
    signs = recession_signs(rounded, np.array([-2.0, 1.0])).tolist()
    assert signs == [UNKNOWN, UNKNOWN, 1, UNKNOWN]


def test_forged_certificates_are_refused():
    square = Polyhedron.box(-1, 1, dim=2)
    quadrant = Polyhedron([[-1, 0], [0, -1]], [0, 0])
    assert PositiveSpan(np.ones(4), np.arange(4)).holds(square)
    assert not PositiveSpan(np.ones(4), np.array([0, 1, 2, 7])).holds(square)
    assert not PositiveSpan(np.array([1, 1, 1, -1.0]), np.arange(4)).holds(square)
    assert not PositiveSpan(np.array([1, 1, 1, np.nan]), np.arange(4)).holds(square)
    unequal = np.array([1, 1, 1, 2])
    assert PositiveSpan(unequal.astype(float), np.arange(4)).holds(square)  # floats may be repaired
    assert not PositiveSpan(np.array([Fraction(int(v)) for v in unequal]), np.arange(4)).holds(square)
    assert not PositiveSpan(np.ones(2), np.arange(2)).holds(quadrant)
    assert RecessionRay(np.array([1.0, 0.0])).holds(quadrant)
    assert not RecessionRay(np.zeros(2)).holds(quadrant)
    assert not RecessionRay(np.ones(3)).holds(quadrant)
    assert not RecessionRay(np.array([-1e-300, 1.0])).holds(quadrant)
    with pytest.raises(InputError):
        boundedness(square, method="guess")


def test_zero_dimensional_space_is_bounded():
    P = Polyhedron(np.empty((2, 0)), np.ones(2))
    assert boundedness(P).bounded
    assert boundedness(P).holds(P)


def test_overflow_is_decided_in_rationals():
    P = Polyhedron([[1e308, -1e308], [1.0, 0.0]], [1.0, 1.0])
    assert recession_signs(P, np.array([100.0, 10.0])).tolist() == [1, 1]
    assert recession_signs(P, np.array([10.0, 100.0])).tolist() == [-1, 1]


# -- the empty polyhedron is bounded -------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", "lp"])
@given(polyhedra())
def test_bounded_means_empty_or_no_ray(method, P):
    result = boundedness(P, method=method)
    empty = RationalLp(P.A, P.b).maximize(np.zeros(P.dim)).status == "infeasible"
    assert result.bounded is (empty or is_bounded_oracle(P.A))
    assert result.holds(P).level is Level.EXACT
    assert is_bounded(P, method) == result.bounded


def test_an_empty_strip_is_bounded_by_its_contradiction():
    strip = Polyhedron([[1, 0], [-1, 0]], [-1, -1])
    assert boundedness(strip).bounded is is_bounded(strip) is True
    assert isinstance(boundedness(strip).certificate, Farkas)
    assert recession_cone(strip).dim == 1  # the cone of its rows


def test_an_empty_polyhedron_with_an_undecided_cone_is_bounded():
    error = np.full((2, 2), 1e-9)
    P = Polyhedron([[1, 0], [-1, 0]], [-1, -1], A_error=error).intersect(Polyhedron.box(-1e3, 1e3, dim=2))
    slab = Polyhedron([[1, 0], [-1, 0], [0, 0]], [-1, -1, -1], A_error=np.vstack([error, [[0, 0]]]))
    assert is_bounded(P)
    assert is_bounded(slab)


def test_far_polyhedra_are_not_taken_for_empty():
    far = Polyhedron([[-1, 0], [0, -1], [-1, -1e-3]], [-1e300, 5, -3])
    result = boundedness(far)
    assert result.bounded is False
    assert result.holds(far)
    assert boundedness(far, point=[2e300, 0.0]).holds(far)
    assert boundedness(far, point=[0.0, 0.0]).bounded is False  # a wrong point does no harm
