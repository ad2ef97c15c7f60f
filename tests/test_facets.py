"""Laws of facets and their certificates, against rationals, qhull and linear programs."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import flint
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from polygeom.affine import AffineMap
from polygeom.certificates.check import Level
from polygeom.certificates.facet_stack import FACET, REDUNDANT, CellStack, prove_stack
from polygeom.certificates.facets import CoincidentRow, FacetReport, FacetWitness, RedundantRow
from polygeom.errors import InputError
from polygeom.exact import is_exact_array
from polygeom.pieces import piece_at
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.facets import facets, facets_batch
from polygeom.testing import overlapping_maxima
from tests.facet_oracles import facets_by_definition, facets_by_programs, facets_by_qhull, has_interior

seeds = st.integers(0, 2**32 - 1)


def assert_all_proved(P: Polyhedron, report: FacetReport) -> None:
    """Check that every row is decided, every certificate holds, and the bulk check agrees."""
    assert report.undecided.size == 0
    check = report.holds(P)
    assert check
    assert check.level is Level.EXACT
    assert sorted(report.certificates) == list(range(P.n_rows))
    for row, certificate in report.certificates.items():
        assert certificate.row == row
        check = certificate.holds(P)
        assert check, certificate
        assert check.level is Level.EXACT, certificate


@st.composite
def integer_cells(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Draw small integer rows with an interior point: ties of every kind."""
    d, m = draw(st.integers(1, 3)), draw(st.integers(0, 7))
    entries = st.integers(-2, 2)
    A = np.array(draw(st.lists(entries, min_size=m * d, max_size=m * d)), dtype=float).reshape(m, d)
    b = np.array(draw(st.lists(st.integers(-1, 3), min_size=m, max_size=m)), dtype=float)
    assume(has_interior(A, b))
    return A, b


def gauss(d: int, m: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, d)), np.abs(rng.standard_normal(m))


def random_polyhedron(d: int, m: int, seed: int) -> tuple[Polyhedron, np.ndarray]:
    """Return a Gaussian cell around a point that is not the origin, and that point."""
    A, s = gauss(d, m, seed)
    center = np.random.default_rng(seed + 1).standard_normal(d)
    return Polyhedron(A, s + A @ center), center


# -- against oracles -----------------------------------------------------------------------------------------


@given(integer_cells())
@example((np.array([[1.0, 0], [0, 1], [-1, -1], [1, 1]]), np.array([0.0, 0, 1, 0])))
@example((np.array([[1.0], [1.0], [-1.0]]), np.array([1.0, 2.0, 0.0])))
@example((np.zeros((2, 2)), np.array([0.0, 1.0])))
@example((np.zeros((0, 2)), np.zeros(0)))
def test_degenerate_cells_agree_with_the_definition(cell):
    A, b = cell
    P = Polyhedron(A, b)
    report = facets(P)
    assert report.facets.tolist() == facets_by_definition(A, b)
    assert_all_proved(P, report)


@given(integer_cells())
def test_one_linear_program_per_row_agrees(cell):
    P = Polyhedron(*cell)
    slow = facets(P, method="lp")
    assert_all_proved(P, slow)
    assert slow.facets.tolist() == facets(P).facets.tolist()


@given(st.integers(2, 5), st.integers(8, 40), seeds)
def test_random_cells_agree_with_qhull(d, m, seed):
    A, s = gauss(d, m, seed)
    A, s = np.vstack([A, np.eye(d), -np.eye(d)]), np.append(s, np.full(2 * d, 5.0))
    P = Polyhedron(A, s)
    report = facets(P, np.zeros(d))
    assert report.facets.tolist() == facets_by_qhull(A, s, np.zeros(d))
    assert_all_proved(P, report)


@given(st.integers(2, 12), st.integers(1, 30), seeds)
def test_random_cells_agree_with_linear_programs(d, m, seed):
    P, center = random_polyhedron(d, m, seed)
    report = facets(P, center)
    assert report.facets.tolist() == facets(P, center, method="lp").facets.tolist()
    assert_all_proved(P, report)


@pytest.mark.parametrize(("d", "m"), [(16, 200), (30, 120), (50, 200)])
def test_middle_dimensions_are_proved_by_floats_alone(d, m):
    P, center = random_polyhedron(d, m, d)
    report = facets(P, center)
    assert_all_proved(P, report)
    assert not report.exact


def test_high_dimension_uses_the_other_search_and_is_proved():
    P, center = random_polyhedron(160, 240, 3)
    report = facets(P, center)
    assert report.undecided.size == 0
    assert report.holds(P)


# -- degenerate cases, one by one ----------------------------------------------------------------------------

SQUARE = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])


def box_and(row: list[float], side: float) -> tuple[np.ndarray, np.ndarray]:
    return np.vstack([SQUARE, row]), np.array([1.0, 1, 1, 1, side])


DEGENERATE = {
    "plane touching a vertex": (*box_and([1, 1], 2), [0, 1, 2, 3]),
    "corner cut of 1e-12": (*box_and([1, 1], 2 - 1e-12), [0, 1, 2, 3, 4]),
    "corner missed by one unit in the last place": (*box_and([1, 1], np.nextafter(2, 3)), [0, 1, 2, 3]),
    "corner cut by one unit in the last place": (*box_and([1, 1], np.nextafter(2, 1)), [0, 1, 2, 3, 4]),
    "duplicate row": (*box_and([1, 0], 1), [0, 1, 2, 3]),
    "scaled duplicate": (*box_and([3e9, 0], 3e9), [0, 1, 2, 3]),
    "parallel and looser": (*box_and([1, 0], 2), [0, 1, 2, 3]),
    "zero row": (*box_and([0, 0], 0), [0, 1, 2, 3]),
    "square of side 1e-9": (SQUARE, np.full(4, 5e-10), [0, 1, 2, 3]),
    "square of side 1e-9 at (3, 4)": (SQUARE, np.array([3.0 + 1e-9, -3.0, 4.0 + 1e-9, -4.0]), [0, 1, 2, 3]),
    "quadrant with a redundant row": (-np.array([[1.0, 0], [0, 1], [1, 1]]), np.zeros(3), [0, 1]),
    "half-plane with a parallel row": (np.array([[1.0, 2], [1, 2]]), np.array([1.0, 3]), [0]),
    "half-plane with a parallel row, in other units": (np.array([[0.1, 0.3], [0.2, 0.6]]), np.ones(2), [1]),
    "no rows": (np.empty((0, 3)), np.empty(0), []),
    "only zero rows": (np.zeros((2, 3)), np.array([0.0, 1]), []),
    "slab": (np.array([[1.0, 1], [-1, -1]]), np.ones(2), [0, 1]),
    "wedge times a line": (np.array([[1.0, 1, 0], [-1, 1, 0], [0, 1, 0]]), np.array([1.0, 1, 1]), [0, 1]),
    "pyramid touched at its apex": (
        np.array([[1.0, 0, 1], [-1, 0, 1], [0, 1, 1], [0, -1, 1], [0, 0, 1], [0.1, 0.1, 1], [0, 0, -1]]),
        np.array([1.0, 1, 1, 1, 1, 1, 0]),
        [0, 1, 2, 3, 6],
    ),
    "cone at the origin": (
        np.array([[1.0, 0, -1], [-1, 0, -1], [0, 1, -1], [0, -1, -1], [1, 1, -2], [0, 0, -1]]),
        np.zeros(6),
        [0, 1, 2, 3],
    ),
    "octahedron with touching planes": (
        np.array([[a, b, c] for a in (1, -1) for b in (1, -1) for c in (1, -1)] + [[1.0, 0, 0], [0, -1, 0]]),
        np.ones(10),
        list(range(8)),
    ),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("method", ["auto", "lp"])
def test_degenerate_case(name, method):
    A, b, expected = DEGENERATE[name]
    P = Polyhedron(A, b)
    report = facets(P, method=method)
    assert report.facets.tolist() == expected
    assert_all_proved(P, report)


@pytest.mark.parametrize("angle", [1e-4, 1e-6, 1e-8, 1e-10, 1e-12])
@pytest.mark.parametrize("side", [-1.0, 0.0, 1.0])
def test_near_parallel_rows(angle, side):
    A = np.vstack([SQUARE, [1.0, angle]])
    b = np.array([1.0, 1, 1, 1, 1.0 + side * angle / 2])
    P = Polyhedron(A, b)
    report = facets(P)
    assert report.facets.tolist() == facets_by_definition(A, b)
    assert_all_proved(P, report)


@pytest.mark.parametrize("exponent", [-9, 9])
def test_rows_scaled_by_a_billion(exponent):
    P, center = random_polyhedron(5, 40, 8)
    scales = 10.0 ** (exponent * (np.arange(40) % 2))
    scaled = Polyhedron(P.A * scales[:, None], P.b * scales)
    report = facets(scaled, center)
    assert report.facets.tolist() == facets(P, center).facets.tolist()
    assert_all_proved(scaled, report)


# -- metamorphic laws ----------------------------------------------------------------------------------------


@given(integer_cells(), st.data())
def test_scaling_and_permuting_rows_changes_names_only(cell, data):
    A, b = cell
    order = np.array(data.draw(st.permutations(range(len(b)))), dtype=int)
    scales = 2.0 ** np.array(data.draw(st.lists(st.integers(-30, 30), min_size=len(b), max_size=len(b))))
    permuted = facets(Polyhedron((A * scales[:, None])[order], (b * scales)[order]))
    original = facets(Polyhedron(A, b))

    def lines(report, names):
        members = {g[0]: g for g in report.groups}
        return {frozenset(names[j] for j in members.get(i, (i,))) for i in report.facets.tolist()}

    assert lines(permuted, order.tolist()) == lines(original, list(range(len(b))))


@given(integer_cells(), seeds)
def test_an_implied_row_changes_nothing(cell, seed):
    A, b = cell
    assume(len(b) > 0)
    weights = np.random.default_rng(seed).integers(0, 3, len(b)).astype(float)
    extended = Polyhedron(np.vstack([A, weights @ A]), np.append(b, weights @ b + seed % 2))
    report = facets(extended)
    assert report.facets.tolist() == facets(Polyhedron(A, b)).facets.tolist()
    assert_all_proved(extended, report)


@given(integer_cells(), seeds)
def test_coordinates_do_not_matter(cell, seed):
    A, b = cell
    d = A.shape[1]
    rng = np.random.default_rng(seed)
    matrix = np.triu(rng.integers(-2, 3, (d, d)), 1) + np.eye(d)
    moved = Polyhedron(A, b).pullback(AffineMap(matrix, rng.integers(-3, 4, d).astype(float)))
    assert facets(moved).facets.tolist() == facets(Polyhedron(A, b)).facets.tolist()


@given(integer_cells())
def test_duplicates_join_the_group_of_the_lowest(cell):
    A, b = cell
    m = len(b)
    P = Polyhedron(np.vstack([A, 2 * A]), np.append(b, 2 * b))
    report = facets(P)
    assert report.facets.tolist() == facets(Polyhedron(A, b)).facets.tolist()
    for group in report.groups:
        assert {(i + m) % (2 * m) for i in group} == set(group)
    assert_all_proved(P, report)


# -- certificates --------------------------------------------------------------------------------------------


def tampered(report: FacetReport, name: str, change) -> FacetReport:
    array = getattr(report.proofs, name).copy()
    change(array)
    return FacetReport(replace(report.proofs, **{name: array}), report.exact)


def test_tampered_reports_do_not_hold():
    P, center = random_polyhedron(4, 30, 2)
    report = facets(P, center)
    assert report.holds(P)
    facet, redundant = int(report.facets[0]), int(report.redundant[0])

    def put(place, value):
        return lambda array: array.__setitem__(place, value)

    k = int(report.proofs.multipliers[0, redundant].argmax())
    largest = report.proofs.multipliers[0, redundant, k]
    changes = [
        ("status", put((0, facet), REDUNDANT)),
        ("status", put((0, redundant), FACET)),
        ("witness", put((0, facet), center)),
        ("witness", put((0, facet), 1e3 * (report.proofs.witness[0, facet] - center))),
        ("multipliers", put((0, redundant, k), 1.01 * largest)),
        ("multipliers", put((0, redundant, k), -largest)),
        ("multipliers", put((0, redundant, k), np.nan)),
        ("weight", put((0, redundant), 0.0)),
        ("weight", put((0, redundant), 1e3)),
        ("support", put((0, redundant, k), redundant)),
        ("inverse", put((0, 0), 0.0)),
        ("reference_weight", put((0, 0), -1.0)),
        ("closing_multipliers", put((0,), -1.0)),
        ("representative", put((0, facet + 1), facet)),
        ("interior", put((0,), P.A[facet] * 1e3)),
    ]
    for name, change in changes:
        assert not tampered(report, name, change).holds(P), name
    other = Polyhedron(P.A, P.b + 0.5 * np.abs(P.b[::-1]) + 1.0)
    assert not report.holds(Polyhedron(P.A[::-1], P.b[::-1]))
    assert not report.holds(other) or facets(other, center).facets.tolist() == report.facets.tolist()


def test_tampered_certificates_do_not_hold():
    corner = Polyhedron([[1, 0], [0, 1], [1, 1], [2, 2], [3, 0]], [1, 1, 2, 5, 3])
    report = facets(corner)
    assert report.facets.tolist() == [0, 1]
    proof = report.certificates[2]
    assert isinstance(proof, RedundantRow)
    assert proof.holds(corner)
    assert not replace(proof, row=0).holds(corner)
    assert not replace(proof, multipliers=proof.multipliers * Fraction(9, 10)).holds(corner)
    assert not replace(proof, multipliers=-proof.multipliers).holds(corner)
    assert not RedundantRow(2, np.array([3]), np.array([Fraction(1, 2)])).holds(corner)
    assert not RedundantRow(0, np.array([4]), np.array([1.0 / 3.0])).holds(corner)
    assert not FacetWitness(2, np.array([5.0, 5.0])).holds(corner)
    assert not FacetWitness(0, np.array([0.0, 0.0])).holds(corner)
    assert not FacetWitness(0, np.array([2.0, 0.0])).holds(corner)
    assert FacetWitness(0, np.array([1.25, 0.0])).holds(corner)
    assert CoincidentRow(4, 0).holds(corner)
    assert not CoincidentRow(3, 2).holds(corner)
    assert not CoincidentRow(0, 4).holds(corner)


@given(st.integers(1, 4), st.integers(4, 20), seeds)
def test_bulk_proofs_are_sound_in_rationals(d, m, seed):
    """Random claims near the truth: whatever `prove_stack` accepts, exact arithmetic confirms."""
    rng = np.random.default_rng(seed)
    P, center = random_polyhedron(d, m, seed % 1000)
    report = facets(P, center)
    noise = 2.0 ** rng.integers(-52, 1, report.proofs.multipliers.shape)
    claims = replace(
        report.proofs,
        status=np.where(rng.random((1, m)) < 0.3, 3 - report.proofs.status, report.proofs.status).astype(
            np.int8
        ),
        multipliers=report.proofs.multipliers * (1 - noise),
        witness=report.proofs.witness * (1 + noise),
    )
    accepted = prove_stack(CellStack.of(P), claims, np.ones((1, m), bool))[0]
    truth = facets_by_programs(P.A, P.b)
    for row in np.flatnonzero(accepted):
        assert (claims.status[0, row] == FACET) == (row in truth)


# -- stacks --------------------------------------------------------------------------------------------------


@given(st.integers(1, 6), st.integers(1, 25), seeds)
def test_a_stack_agrees_with_its_cells(d, m, seed):
    cells = [random_polyhedron(d, m, (seed + k) % 2**32) for k in range(4)]
    A, b = np.array([P.A for P, _ in cells]), np.array([P.b for P, _ in cells])
    batch = facets_batch(A, b, np.array([c for _, c in cells]))
    assert batch.is_decided.all()
    assert batch.holds(A, b)
    for k, (P, center) in enumerate(cells):
        assert batch[k].facets.tolist() == facets(P, center).facets.tolist()
        assert np.flatnonzero(batch.is_facet[k]).tolist() == batch[k].facets.tolist()
        assert_all_proved(P, batch[k])
    wrong = b.copy()
    wrong[-1] -= 10 * np.abs(b[-1]).max() + 10
    assert not batch.holds(A, wrong)


@given(st.lists(integer_cells(), min_size=1, max_size=3))
def test_degenerate_cells_in_stacks(cells):
    for A, b in cells:
        batch = facets_batch(A[None], b[None])
        assert batch[0].facets.tolist() == facets_by_definition(A, b)
        assert batch.holds(A[None], b[None])
        assert_all_proved(Polyhedron(A, b), batch[0])


# -- rounded rows --------------------------------------------------------------------------------------------


@given(integer_cells())
def test_rounded_rows_with_exact_source_are_decided_for_the_true_rows(cell):
    A, b = cell
    exact = Polyhedron(A, b)
    rng = np.random.default_rng(len(b))
    bound = 2.0**-40
    blurred = Polyhedron(
        A + bound * rng.uniform(-1, 1, A.shape),
        b + bound * rng.uniform(-1, 1, b.shape),
        np.full(A.shape, 2 * bound),
        np.full(b.shape, 2 * bound),
        exact.exact_rows,
    )
    report = facets(blurred)
    assert report.facets.tolist() == facets_by_definition(A, b)
    assert_all_proved(blurred, report)


def test_rounded_rows_without_source_list_what_is_left():
    A, b = box_and([1, 1], 2)
    A, b = np.vstack([A, [1, 1]]), np.append(b, 3.0)
    P = Polyhedron(A, b, np.full(A.shape, 2.0**-40), np.full(b.shape, 2.0**-40))
    report = facets(P)
    assert report.facets.tolist() == [0, 1, 2, 3]
    assert report.redundant.tolist() == [5]
    assert report.undecided.tolist() == [4]
    assert report.holds(P)


# -- errors --------------------------------------------------------------------------------------------------


def test_cells_without_interior_are_refused():
    with pytest.raises(InputError, match="empty"):
        facets(Polyhedron([[1.0], [-1.0]], [0, -1]))
    with pytest.raises(InputError, match="empty"):
        facets(Polyhedron([[0.0, 0.0]], [-1]))
    with pytest.raises(InputError, match="dimension 1 in R\\^2"):
        facets(Polyhedron([[1.0, 0], [-1, 0]], [1, -1]))
    with pytest.raises(InputError, match="not strictly inside"):
        facets(Polyhedron.box(0, 1, dim=2), interior=[0.0, 0.5])
    with pytest.raises(InputError, match="method"):
        facets(Polyhedron.box(0, 1, dim=2), method="guess")


def test_bad_stacks_are_refused():
    with pytest.raises(InputError, match="wanted"):
        facets_batch(np.zeros((2, 3)), np.zeros(2))
    with pytest.raises(InputError, match="not strictly inside"):
        facets_batch(SQUARE[None], np.ones((1, 4)), np.array([[2.0, 0.0]]))
    with pytest.raises(InputError, match="nan"):
        facets_batch(np.full((1, 4, 2), np.nan), np.ones((1, 4)))


def test_an_interior_point_may_be_given_in_fractions():
    thin = Polyhedron([[3.0], [-3.0]], [1.0, np.nextafter(-1.0, 0)])
    middle = np.array([(1 + Fraction(np.nextafter(1.0, 0))) / 6])
    report = facets(thin, interior=middle)
    assert is_exact_array(report.interior)
    assert (report.interior == middle).all()
    assert_all_proved(thin, report)


def test_cells_too_thin_for_floats_are_proved_in_rationals():
    # an interval strictly between 1 and the next float
    A = np.array([[1.75], [-(2.0 - 2.0**-51)]])
    b = np.array([1.75 + 2.0**-52, -(2.0 - 2.0**-52)])
    P = Polyhedron(A, b)
    report = facets(P)
    assert is_exact_array(report.interior)
    assert_all_proved(P, report)
    batch = facets_batch(A[None], b[None])
    assert batch.holds(A[None], b[None])
    assert batch[0].facets.tolist() == report.facets.tolist() == [0, 1]


def test_exact_certificates_are_rational():
    A, b, _ = DEGENERATE["pyramid touched at its apex"]
    report = facets(Polyhedron(A, b))
    proof = report.certificates[4]
    assert isinstance(proof, RedundantRow)
    weights = flint.fmpq_mat(
        1, len(proof.support), [flint.fmpq(v.numerator, v.denominator) for v in proof.multipliers]
    )
    rows = flint.fmpq_mat(len(proof.support), 3, [int(v) for v in A[proof.support].ravel()])
    assert weights * rows == flint.fmpq_mat(1, 3, [0, 0, 1])


def test_rows_lost_in_their_errors_coincide_with_others_exactly():
    # the fourth row is 1e-162 of the first; its float is 0, its rounding bound 1e-16
    first = np.array([[0.12573022], [-0.13210486]])
    second = np.array([[1.25730221e-161, -1.32104863e-161], [6.40422650e-161, 1.04900117e-161]])
    maps = (first, first.ravel()), (second, np.zeros(2))
    net = overlapping_maxima(maps, ("relu",), 1.0, np.ones((1, 3)))
    P = piece_at(net, [0.3]).polyhedron
    report = facets(P)
    assert report.facets.tolist() == [0]
    assert report.groups == (tuple(range(7)),)
    assert report.holds(P)
