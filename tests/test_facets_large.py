"""Laws of the search for facets in high dimension; in low dimension against exact linear programs."""

from __future__ import annotations

import importlib
from dataclasses import replace
from fractions import Fraction

import flint
import numpy as np
import pytest
from hypothesis import given, target
from hypothesis import strategies as st

from benchmarks import minilm
from polygeom.certificates.check import Level
from polygeom.errors import InputError
from polygeom.exact import is_exact_array, rational_matrix
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.boundedness import boundedness
from polygeom.predicates.facet_search import least_violation
from polygeom.predicates.facets_large import (
    EXACT_SUPPORT,
    LargeFacets,
    large_facets,
    redundancy_holds,
    witnesses_hold,
)
from polygeom.predicates.rational import maximize

seeds = st.integers(0, 2**32 - 1)


def redundant_oracle(P: Polyhedron) -> list[int]:
    """One exact linear program a row: redundant iff the others do not let it pass."""
    found = []
    for i in range(P.n_rows):
        others = np.delete(np.arange(P.n_rows), i)
        solution = maximize(P.A[i], P.A[others], P.b[others])
        if solution.status == "optimal" and solution.value <= Fraction(P.b[i]):
            found.append(i)
    return found


def assert_proved(P: Polyhedron, found: LargeFacets) -> None:
    """Check all witnesses in exact signs, and all combinations."""
    for row, point in zip(found.facets, found.witnesses, strict=True):
        signs = P.slack_signs(point[None])[0]
        assert signs[row] == -1
        assert (np.delete(signs, row) == 1).all()
    for row, support, multipliers in zip(found.redundant, found.supports, found.multipliers, strict=True):
        assert row not in support
        if is_exact_array(multipliers):
            A, b = P.exact_rows(support)
            exact = rational_matrix(multipliers)
            own, side = P.exact_rows(np.array([row]))
            assert min(exact.entries()) > 0
            assert A.transpose() * exact == own.transpose()
            assert (b.transpose() * exact)[0, 0] <= side[0, 0]
        else:
            assert redundancy_holds(P, int(row), support, multipliers)


def assert_decided(P: Polyhedron, interior: np.ndarray) -> LargeFacets:
    found = large_facets(P, interior)
    assert_proved(P, found)
    assert found.undecided.size == 0
    decided = np.concatenate([found.facets, found.redundant])
    assert sorted(decided.tolist()) == list(range(P.n_rows))
    return found


@given(seeds, st.integers(1, 6), st.integers(1, 20))
def test_agrees_with_the_oracle_on_random_rows(seed, d, m):
    rng = np.random.default_rng(seed)
    P = Polyhedron(rng.standard_normal((m, d)), np.abs(rng.standard_normal(m)) + 0.01)
    found = assert_decided(P, np.zeros(d))
    assert found.redundant.tolist() == redundant_oracle(P)


@st.composite
def integer_polyhedra(draw):
    """Small-integer rows without zero or parallel ones around 0: many rows only touch."""
    d = draw(st.integers(2, 4))
    rows = draw(st.lists(st.lists(st.integers(-2, 2), min_size=d, max_size=d), min_size=1, max_size=12))
    kept = {}
    for row in rows:
        if any(row):
            kept[tuple(Fraction(v, max(map(abs, row))) for v in row)] = row
    A = np.array(list(kept.values()), dtype=float).reshape(-1, d)
    b = draw(st.lists(st.integers(1, 3), min_size=len(A), max_size=len(A)))
    return Polyhedron(A, np.array(b, dtype=float))


@given(integer_polyhedra())
def test_touching_rows_are_decided_in_rationals(P):
    found = large_facets(P, np.zeros(P.dim))
    assert_proved(P, found)
    decided = set(found.facets.tolist()), set(found.redundant.tolist())
    expected = set(redundant_oracle(P))
    assert decided[1] <= expected
    assert not decided[0] & expected
    assert set(found.undecided.tolist()) <= expected  # a facet of integer rows is never missed
    target(float(len(found.undecided)))


@given(seeds, st.integers(2, 5))
def test_scaling_and_translation_change_nothing(seed, d):
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((4 * d, d)), np.abs(rng.standard_normal(4 * d)) + 0.1
    expected = large_facets(Polyhedron(A, b), np.zeros(d)).facets.tolist()
    scale = 10.0 ** rng.integers(-9, 10, 4 * d)
    assert large_facets(Polyhedron(A * scale[:, None], b * scale), np.zeros(d)).facets.tolist() == expected
    shift = rng.standard_normal(d) * 10
    moved = Polyhedron(A, b + A @ shift)
    assert assert_decided(moved, shift).facets.tolist() == expected
    units = 10.0 ** rng.integers(-6, 7, d)
    assert assert_decided(Polyhedron(A / units, b), np.zeros(d)).facets.tolist() == expected


NAMED = {
    "near-parallel rows": ([[1, 0], [1, 1e-6], [-1, 0], [0, 1], [0, -1]], [1, 1, 1, 1, 1], []),
    "a line through a vertex": ([[1, 0], [0, 1], [-1, -1], [1, 1]], [1, 1, 1, 2], [3]),
    "a square of side 1e-9": ([[1, 0], [-1, 0], [0, 1], [0, -1]], [5e-10] * 4, []),
    "a quadrant and a redundant row": ([[-1, 0], [0, -1], [-1, -1]], [1, 1, 3], [2]),
    "a half-plane and a slab": ([[1, 2], [-1, -2]], [1, 1], []),
    "a corner cut of 1e-9": ([[1, 0], [0, 1], [-1, -1], [1, 1]], [1, 1, 1, 2 - 1e-9], []),
    "a corner missed by 1e-9": ([[1, 0], [0, 1], [-1, -1], [1, 1]], [1, 1, 1, 2 + 1e-9], [3]),
    "pyramid, apex touched": (
        [[1, 0, 1], [-1, 0, 1], [0, 1, 1], [0, -1, 1], [0, 0, -1], [0, 0, 1]],
        [1, 1, 1, 1, 1, 1],
        [5],
    ),
    "one row": ([[1, 1, 1]], [1], []),
    "no rows": (np.empty((0, 3)), [], []),
}


@pytest.mark.parametrize("name", NAMED)
def test_named_cases(name):
    A, b, redundant = NAMED[name]
    A = np.array(A, dtype=float)
    found = assert_decided(Polyhedron(A, b), np.zeros(A.shape[1]))
    assert found.redundant.tolist() == redundant


@pytest.mark.parametrize("exponent", [-6, -9, -12, -14])
def test_near_ties_are_decided_rightly_or_listed(exponent):
    tiny = 10.0**exponent
    parallel = Polyhedron([[1, 0], [1, tiny], [-1, 0], [0, 1], [0, -1]], np.ones(5))
    cut = Polyhedron([[1, 0], [0, 1], [-1, -1], [1, 1]], [1, 1, 1, 2 - tiny])
    for P in (parallel, cut):
        found = large_facets(P, np.zeros(2))
        assert_proved(P, found)
        assert found.redundant.size == 0
        assert found.undecided.size == 0 or exponent < -9


@pytest.mark.parametrize(("d", "m"), [(160, 500), (200, 800)])
def test_all_rows_of_a_sparse_random_cell_are_facets(d, m):
    rng = np.random.default_rng(d)
    P = Polyhedron(rng.standard_normal((m, d)), np.abs(rng.standard_normal(m)))
    assert len(assert_decided(P, np.zeros(d)).facets) == m


def test_redundant_rows_in_high_dimension():
    """Combinations of rows with more offset are redundant, with as much they touch: both are found."""
    d, m, extra = 160, 400, 12
    rng = np.random.default_rng(0)
    A, b = np.round(rng.standard_normal((m, d)) * 64), np.round(np.abs(rng.standard_normal(m)) * 64) + 1
    weights = np.zeros((extra, m))
    for k in range(extra):
        weights[k, rng.choice(m, 3, replace=False)] = 1.0
    offsets = weights @ b + np.where(np.arange(extra) % 2, 0.0, 50.0)
    P = Polyhedron(np.vstack([A, weights @ A]), np.concatenate([b, offsets]))
    found = assert_decided(P, np.zeros(d))
    assert found.redundant.tolist() == list(range(m, m + extra))


def test_dead_inputs_and_wide_layers():
    """Zero columns ask nothing; m < d rows are independent, so all are facets."""
    rng = np.random.default_rng(0)
    A = np.hstack([rng.standard_normal((30, 6)), np.zeros((30, 5))])
    P = Polyhedron(A, np.ones(30))
    found = assert_decided(P, np.zeros(11))
    assert found.redundant.tolist() == redundant_oracle(P)
    wide = Polyhedron(rng.standard_normal((100, 256)), np.abs(rng.standard_normal(100)))
    assert len(assert_decided(wide, np.zeros(256)).facets) == 100


def test_every_row_of_trained_weights_is_decided():
    """The first feed-forward layer of MiniLM at a token of a sentence: 1536 half-spaces in R^384."""
    if minilm.folder() is None:
        pytest.skip(f"the package {minilm.PACKAGE}, which brings the weights, is not installed")
    P, x = minilm.cells()[0]
    found = large_facets(P, x)
    assert found.undecided.size == 0
    assert witnesses_hold(P, found.facets, found.witnesses).all()
    assert boundedness(P).holds(P)


def test_rounded_rows_are_proved_for_every_matrix_within_their_errors():
    rng = np.random.default_rng(3)
    A, b = rng.standard_normal((40, 10)), np.abs(rng.standard_normal(40)) + 0.1
    sharp = large_facets(Polyhedron(A, b), np.zeros(10))
    A_error, b_error = np.full(A.shape, 1e-6), np.full(40, 1e-6)
    found = large_facets(Polyhedron(A, b, A_error, b_error), np.zeros(10))
    assert set(found.facets) <= set(sharp.facets)
    assert set(found.redundant) <= set(sharp.redundant)
    assert len(found.undecided) < 6
    for _ in range(3):
        other = Polyhedron(A + rng.uniform(-1, 1, A.shape) * 9e-7, b + rng.uniform(-1, 1, 40) * 9e-7)
        signs = other.slack_signs(np.array(found.witnesses))
        assert (signs[np.arange(len(found.facets)), found.facets] == -1).all()
        assert (signs == -1).sum() == len(found.facets)
        assert not set(redundant_oracle(other)) & set(found.facets)
    blurred = large_facets(Polyhedron(A, b, np.full(A.shape, 10.0)), np.zeros(10))
    assert blurred.undecided.size == 40


def test_rounded_touching_rows_need_their_source():
    A, b = np.array([[1.0, 0], [0, 1], [-1, -1], [1, 1]]), np.array([1.0, 1, 1, 2])
    error = np.full(A.shape, 1e-12)

    def source(rows: np.ndarray) -> tuple[flint.fmpq_mat, flint.fmpq_mat]:
        return rational_matrix(A[rows]), rational_matrix(b[rows])

    assert large_facets(Polyhedron(A, b, error), np.zeros(2)).undecided.tolist() == [3]
    assert large_facets(Polyhedron(A, b, error, None, source), np.zeros(2)).redundant.tolist() == [3]


def test_an_outer_point_is_refused():
    with pytest.raises(InputError, match="not strictly inside row 1"):
        large_facets(Polyhedron([[1.0], [-1.0]], [1, 1]), np.array([-1.0]))


def test_false_claims_are_refused():
    square = Polyhedron.box(-1, 1, dim=2)
    corner, beyond, inside = [1.5, 1.5], [1.5, 0.0], [0.0, 0.0]
    rows = np.array([0, 0, 0, 1])
    points = np.array([corner, beyond, inside, beyond])
    assert witnesses_hold(square, rows, points).tolist() == [False, True, False, False]
    cut = Polyhedron(np.vstack([square.A, [[1.0, 1.0]]]), np.append(square.b, 2.5))
    support = np.array([0, 1])
    assert not redundancy_holds(cut, 4, support, np.ones(2) * 1.5)
    assert not redundancy_holds(square, 1, np.array([0, 2]), np.ones(2))


@given(seeds, st.integers(2, 6), st.integers(3, 20))
def test_least_violation_is_stationary(seed, d, m):
    """The gradient of the squared violations is a multiple of the fixed row."""
    rng = np.random.default_rng(seed)
    Z, own = rng.standard_normal((m, d)), rng.standard_normal(d)
    v, violation = least_violation(Z, 1.0, own, 3.0, None)
    assert own @ v == pytest.approx(3.0)
    gradient = violation @ Z
    gradient -= own * (own @ gradient) / (own @ own)
    assert np.abs(gradient).max() <= 1e-6 * (1.0 + violation.max())


def test_what_the_search_leaves_costs_a_float_program_and_no_rational_one(monkeypatch):
    """In many dimensions a rational program takes hours; a float one proves the same where there is no tie."""
    module = importlib.import_module("polygeom.predicates.facets")
    d = EXACT_SUPPORT + 10
    A, b = np.vstack([np.eye(d), -np.eye(d), np.ones((1, d))]), np.ones(2 * d + 1)
    P, left = Polyhedron(A, b), [0, 2 * d]

    def interrupted(Q: Polyhedron, interior: np.ndarray) -> LargeFacets:
        found = large_facets(Q, interior)
        known = ~np.isin(found.facets, left)
        return replace(
            found, facets=found.facets[known], witnesses=found.witnesses[known], undecided=np.array(left)
        )

    def refused(*_: object) -> None:
        raise AssertionError("a rational program was asked for")

    monkeypatch.setattr(module, "large_facets", interrupted)
    monkeypatch.setattr(module._RowByRow, "_by_rationals", refused)
    report = module.facets(P, np.zeros(d))
    assert len(report.facets) == P.n_rows
    assert report.holds(P).level is Level.EXACT
