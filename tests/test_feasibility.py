"""Laws of emptiness, dimension, inclusion and the largest ball, against brute force in Fractions."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import flint
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from polygeom.affine import AffineMap
from polygeom.certificates.chebyshev import ChebyshevBall
from polygeom.certificates.check import Level
from polygeom.certificates.feasibility import Farkas, FeasiblePoint, ImplicitEquality, InteriorPoint, Outlier
from polygeom.errors import InputError, UndecidedError
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.chebyshev import chebyshev_ball
from polygeom.predicates.feasibility import (
    dimension,
    feasibility,
    implicit_equalities,
    interior_point,
    is_empty,
)
from polygeom.predicates.inclusion import inclusion, is_equal, is_subset

SMALL = st.integers(-2, 2).map(float)


@st.composite
def polyhedra(draw, max_dim=3, max_rows=7):
    """Degenerate polyhedra with small integers: empty, flat, unbounded, zero rows, m = 0."""
    d, m = draw(st.integers(1, max_dim)), draw(st.integers(0, max_rows))
    A = draw(arrays(np.float64, (m, d), elements=SMALL))
    return Polyhedron(A, draw(arrays(np.float64, m, elements=SMALL)))


# -- oracle: Fourier-Motzkin elimination in Fractions --------------------------------------------------------


def eliminate(rows):
    """Project rows (a_1..a_d, b, strict) along the first coordinate."""
    up, down = [r for r in rows if r[0] > 0], [r for r in rows if r[0] < 0]
    kept = {r[1:] for r in rows if r[0] == 0}
    for u in up:
        for v in down:
            mixed = [x / u[0] - y / v[0] for x, y in zip(u[1:-1], v[1:-1], strict=True)]
            size = max((abs(x) for x in mixed), default=0) or 1
            kept.add((*[x / size for x in mixed], u[-1] or v[-1]))
    return kept


def fourier_motzkin(P, strict_rows=()):
    """Tell whether A x <= b, with < in some rows, has a solution."""
    rows = {(*[Fraction(v) for v in P.A[i]], Fraction(P.b[i]), i in strict_rows) for i in range(P.n_rows)}
    for _ in range(P.dim):
        rows = eliminate(rows)
    return all(b > 0 or (b == 0 and not strict) for b, strict in rows)


def equality_rows(P):
    return {i for i in range(P.n_rows) if P.A[i].any() and not fourier_motzkin(P, {i})}


@given(polyhedra())
@example(Polyhedron(np.zeros((1, 2)), [-1.0]))
@example(Polyhedron(np.zeros((1, 2)), [0.0]))
def test_emptiness_and_dimension_agree_with_fourier_motzkin(P):
    found = feasibility(P)
    assert found.holds(P)
    assert found.holds(P).level is Level.EXACT
    assert found.feasible == fourier_motzkin(P) == (not is_empty(P))
    if not found.feasible:
        assert found.dim == dimension(P) == -1
        return
    equal = equality_rows(P)
    rank = np.linalg.matrix_rank(P.A[sorted(equal)]) if equal else 0
    assert found.dim == dimension(P) == P.dim - rank
    assert {e.row for e in implicit_equalities(P)} == equal
    assert (found.interior is not None) == (not equal) == (interior_point(P) is not None)


@given(
    polyhedra(),
    st.permutations(range(7)),
    st.lists(st.sampled_from([2.0**-30, 1.0, 1e9]), min_size=7, max_size=7),
)
def test_row_order_and_scale_do_not_matter(P, order, scales):
    """Small integers times these factors are exact, so the scaled rows are the same half-spaces."""
    order = [i for i in order if i < P.n_rows]
    scale = np.array(scales[: P.n_rows])
    Q = Polyhedron(P.A[order] * scale[:, None], P.b[order] * scale)
    assert dimension(Q) == dimension(P)
    assert is_equal(Q, P)


@given(polyhedra())
def test_second_opinion_agrees(P):
    first, second = feasibility(P), feasibility(P, method="lp")
    assert (second.feasible, second.dim) == (first.feasible, first.dim)
    assert second.holds(P).level is Level.EXACT
    assert {e.row for e in second.equalities} == {e.row for e in first.equalities}


@given(polyhedra(max_dim=2), polyhedra(max_dim=2))
def test_second_opinion_on_inclusion_never_contradicts(P, Q):
    if P.dim == Q.dim:
        second = inclusion(P, Q, method="lp")
        if second.included is not None:
            assert second.included == inclusion(P, Q).included
            assert second.holds(P, Q)


@pytest.mark.parametrize(("m", "d"), [(40, 8), (120, 30), (300, 80)])
def test_generic_polyhedra_are_decided_by_floats(m, d):
    rng = np.random.default_rng(d)
    A, x = rng.normal(size=(m, d)), rng.normal(size=d)
    full, empty = Polyhedron(A, A @ x + 0.1 * rng.random(m)), Polyhedron(A, -np.ones(m))
    for P, feasible in ((full, True), (empty, False)):
        for method in ("auto", "lp"):
            found = feasibility(P, method)
            assert found.feasible is feasible
            assert found.holds(P).level is Level.EXACT
    assert feasibility(empty).certificate.multipliers.dtype == np.float64


# -- hand-made cases ---------------------------------------------------------------------------------------


def square(side, center=(0.0, 0.0)):
    return Polyhedron.box(np.array(center) - side / 2, np.array(center) + side / 2)


@pytest.mark.parametrize("side", [1e-9, 1e-12, 1e-150, 1e9, 1e150])
def test_squares_of_any_size(side):
    P = square(side)
    assert dimension(P) == 2
    ball = chebyshev_ball(P)
    assert ball.holds(P)
    assert ball.radius == pytest.approx(side / 2) == ball.upper


def test_a_tiny_square_far_away():
    P = square(1e-9, (1e3, -1e3))
    assert dimension(P) == 2
    assert chebyshev_ball(P).holds(P)


def test_one_unit_in_the_last_place_decides():
    tight = Polyhedron([[1.0], [-1.0]], [1.0, -1.0])
    assert dimension(tight) == 0
    assert is_empty(Polyhedron([[1.0], [-1.0]], [1.0, -np.nextafter(1, 2)]))
    open_slit = Polyhedron([[1.0], [-1.0]], [np.nextafter(1, 2), -1.0])
    inside = interior_point(open_slit)
    assert InteriorPoint(inside).holds(open_slit)
    assert inside[0] == Fraction(1) + Fraction(1, 2**53)


def test_no_rows_no_dimensions_and_zero_rows():
    assert dimension(Polyhedron.whole(3)) == 3
    assert dimension(Polyhedron.whole(0)) == 0
    assert is_empty(Polyhedron(np.zeros((1, 0)), [-1.0]))
    assert dimension(Polyhedron(np.zeros((2, 2)), [0.0, 1.0])) == 2
    assert is_empty(Polyhedron(np.zeros((2, 2)), [0.0, -1e-300]))
    assert chebyshev_ball(Polyhedron(np.zeros((1, 2)), [0.0])).radius == np.inf


def test_flat_polytopes_in_general_position():
    rng = np.random.default_rng(3)
    A, x = rng.normal(size=(60, 12)), rng.normal(size=12)
    b = A @ x + 0.1 + rng.random(60)
    for k in (1, 3, 12):
        P = Polyhedron(np.vstack([A, -A[:k]]), np.concatenate([b, -b[:k]]))
        found = feasibility(P)
        assert found.holds(P)
        assert found.dim == (12 - k if found.feasible else -1)


def test_large_ties_are_undecided_and_say_so():
    d = 70
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(1, d))
    flat = Polyhedron(
        np.vstack([normal, -normal, np.eye(d), -np.eye(d)]), np.concatenate([[0.1, -0.1], np.ones(2 * d)])
    )
    with pytest.raises(UndecidedError, match="rounding"):
        dimension(flat)
    central = Polyhedron(np.vstack([normal, -normal]), [0.0, 0.0])
    assert not is_empty(central)
    assert feasibility(central).dim is None
    with pytest.raises(UndecidedError, match="dimension"):
        dimension(central)


# -- rounded rows ------------------------------------------------------------------------------------------


def test_rounded_rows_are_judged_by_their_true_values():
    third = Polyhedron([[3.0, 0.0], [-3.0, 0.0]], [1.0, -1.0])
    pulled = third.pullback(AffineMap(np.array([[1 / 3, 0], [0, 1.0]]), np.zeros(2)))
    assert pulled.is_rounded
    found = feasibility(pulled)
    assert found.dim == 1
    assert found.holds(pulled).level is Level.EXACT


def test_rounded_rows_without_source_leave_ties_undecided():
    error = np.full((2, 1), 1e-16)
    tied = Polyhedron([[1.0], [-1.0]], [1.0, -1.0], error, np.zeros(2))
    assert feasibility(tied).feasible is None
    assert not feasibility(tied).holds(tied)
    with pytest.raises(UndecidedError):
        is_empty(tied)
    wide = Polyhedron([[1.0], [-1.0]], [1.0, 1.0], error, np.zeros(2))
    assert feasibility(wide).holds(wide).level is Level.EXACT
    gap = Polyhedron([[1.0], [-1.0]], [-1.0, -1.0], error, np.zeros(2))
    assert is_empty(gap)


def test_exact_rows_decide_what_enclosures_cannot():
    source = (flint.fmpq_mat(2, 1, [1, -1]), flint.fmpq_mat(2, 1, [flint.fmpq(1, 3), flint.fmpq(-1, 3)]))

    def rows(index):
        picked = [int(i) for i in index]
        return (
            flint.fmpq_mat(len(picked), 1, [source[0][i, 0] for i in picked]),
            flint.fmpq_mat(len(picked), 1, [source[1][i, 0] for i in picked]),
        )

    P = Polyhedron([[1.0], [-1.0]], [1 / 3, -1 / 3], None, np.full(2, 1e-15), rows)
    found = feasibility(P)
    assert found.dim == 0
    assert found.point[0] == Fraction(1, 3)
    assert found.holds(P)


# -- inclusion ---------------------------------------------------------------------------------------------


@given(polyhedra(max_dim=2), polyhedra(max_dim=2))
def test_inclusion_agrees_with_emptiness_of_the_differences(P, Q):
    if P.dim != Q.dim:
        with pytest.raises(InputError, match="space"):
            inclusion(P, Q)
        return
    found = inclusion(P, Q)
    assert found.holds(P, Q).level is Level.EXACT
    # P minus the half-space i of Q is P with that row reversed and strict.
    outside = [
        fourier_motzkin(Polyhedron(np.vstack([P.A, -Q.A[i]]), np.append(P.b, -Q.b[i])), {P.n_rows})
        for i in range(Q.n_rows)
    ]
    assert found.included == (not any(outside)) == is_subset(P, Q)


@given(polyhedra())
def test_inclusion_laws(P):
    half = P.select(range(P.n_rows // 2))
    assert is_subset(P, half)
    assert is_equal(P, P.intersect(half))
    assert is_subset(P, Polyhedron.whole(P.dim))
    assert is_subset(Polyhedron(np.zeros((1, P.dim)), [-1.0]), P)


def test_inclusion_of_large_polyhedra_by_floats():
    rng = np.random.default_rng(1)
    A, x = rng.normal(size=(200, 65)), rng.normal(size=65)
    P = Polyhedron(A, A @ x + 0.1 + rng.random(200))
    larger, shifted = Polyhedron(A[:3] + 0.0, P.b[:3] + 1e-3), Polyhedron(A[:3], P.b[:3] - 1e-3)
    assert inclusion(P, larger).holds(P, larger)
    found = inclusion(P, shifted)
    assert found.included is False
    assert found.holds(P, shifted)


# -- the largest ball --------------------------------------------------------------------------------------


@given(polyhedra())
def test_the_largest_ball_holds_and_is_bounded(P):
    if is_empty(P):
        with pytest.raises(InputError, match="empty"):
            chebyshev_ball(P)
        return
    ball = chebyshev_ball(P)
    assert ball.holds(P)
    assert ball.radius <= ball.upper
    assert (ball.radius == 0) == (interior_point(P) is None)
    if np.isfinite(ball.radius) and ball.radius > 0:
        assert ball.upper <= ball.radius * (1 + 1e-6)
        assert not replace(ball, radius=ball.radius * (1 + 1e-6)).holds(P)
        assert not replace(ball, upper=ball.radius * (1 - 1e-6)).holds(P)


def test_ball_of_a_triangle():
    """The incircle of a 3-4-5 triangle has radius 1."""
    P = Polyhedron([[-1, 0], [0, -1], [4, 3]], [0, 0, 12])
    ball = chebyshev_ball(P)
    assert ball.center == pytest.approx([1, 1])
    assert ball.radius <= 1 <= ball.upper


# -- tampering ---------------------------------------------------------------------------------------------


def test_tampered_certificates_fail():
    P = Polyhedron.box(-1, 1, dim=2)
    empty = P.intersect(Polyhedron([[1.0, 1.0]], [-3.0]))
    proof = feasibility(empty).certificate
    assert proof.holds(empty)
    assert not proof.holds(P.intersect(Polyhedron([[1.0, 1.0]], [-2.0])))
    for row in range(5):
        changed = proof.multipliers.copy()
        changed[row] += 1
        assert not Farkas(changed).holds(empty)
    assert not Farkas(-proof.multipliers).holds(empty)
    assert not Farkas(np.full(5, np.nan)).holds(empty)
    assert not Farkas(np.full(5, np.inf)).holds(empty)
    assert not InteriorPoint(np.array([1.0, 0.0])).holds(P)
    assert FeasiblePoint(np.array([1.0, 0.0])).holds(P)
    assert not FeasiblePoint(np.array([1.0, np.nextafter(1, 2)])).holds(P)


def test_tampered_dimensions_and_equalities_fail():
    flat = Polyhedron([[1, 0], [-1, 0], [0, 1]], [1, -1, 5])
    found = feasibility(flat)
    assert found.holds(flat)
    assert not replace(found, dim=2).holds(flat)
    assert not replace(found, dim=0).holds(flat)
    assert not replace(found, equalities=found.equalities[:1], dim=2).holds(flat)
    assert not replace(found, feasible=False).holds(flat)
    wrong = ImplicitEquality(2, found.equalities[0].multipliers)
    assert not wrong.holds(flat)
    assert not replace(found, equalities=(*found.equalities, wrong)).holds(flat)
    full = feasibility(Polyhedron.box(0, 1, dim=2))
    assert not replace(full, dim=1).holds(Polyhedron.box(0, 1, dim=2))


def test_tampered_inclusions_fail():
    P, Q = Polyhedron.box(0, 1, dim=2), Polyhedron.box(0, 2, dim=2)
    found = inclusion(P, Q)
    assert found.holds(P, Q)
    assert not found.holds(Q, P)
    assert not replace(found, certificates=found.certificates[1:]).holds(P, Q)
    assert not replace(found, certificates=()).holds(P, Q)
    assert not replace(found, included=False).holds(P, Q)
    assert not Outlier(0, np.array([1.0, 1.0])).holds(P, Q)
    assert not Outlier(0, np.array([3.0, 1.0])).holds(P, Q)


@given(polyhedra())
def test_a_refuted_statement_has_no_certificate(P):
    """Certificates of one polyhedron, moved to a disjoint statement, never hold."""
    found = feasibility(P)
    if found.feasible:
        for rows in combinations(range(P.n_rows), min(2, P.n_rows)):
            weights = np.zeros(P.n_rows)
            weights[list(rows)] = 1.0
            assert not Farkas(weights).holds(P)
    else:
        assert not FeasiblePoint(np.zeros(P.dim)).holds(P)


def test_ball_certificates_are_strict():
    P = Polyhedron.box(-1, 1, dim=2)
    ball = chebyshev_ball(P)
    assert ball.holds(P)
    assert not ball.holds(Polyhedron.box(-0.9, 1, dim=2))
    assert not ChebyshevBall(np.zeros(2), np.inf, np.inf, None, np.array([1.0, 0.0])).holds(P)
    assert not replace(ball, radius=float("nan")).holds(P)
    assert not replace(ball, upper=float("nan")).holds(P)


# -- pieces of networks: rounded rows with exact sources ------------------------------------------------------


@given(polyhedra(max_dim=2), st.integers(0, 2**32 - 1))
def test_pullbacks_by_invertible_maps_keep_every_answer(P, seed):
    """Coordinates w with M w + c = x, M not dyadic-friendly: rows are rounded, answers are not."""
    rng = np.random.default_rng(seed)
    along = AffineMap(rng.normal(size=(P.dim, P.dim)), rng.normal(size=P.dim))
    pulled = P.pullback(along)
    found = feasibility(pulled)
    assert found.holds(pulled).level is Level.EXACT
    assert found.dim == dimension(P)
    assert {e.row for e in found.equalities} == {e.row for e in feasibility(P).equalities}
    half = P.select(range(P.n_rows // 2))
    included = inclusion(half.pullback(along), pulled)
    assert included.holds(half.pullback(along), pulled)
    assert included.included == is_subset(half, P)
