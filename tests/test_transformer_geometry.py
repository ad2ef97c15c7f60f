"""Gate cells, LayerNorm's image, visible facets, nearest boundaries: against rationals, networks and programs."""

from __future__ import annotations

import warnings
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polygeom.errors import InputError, NotPiecewiseAffineError, UndecidedError
from polygeom.exact import rational_matrix
from polygeom.models.transformer import (
    NormedMLP,
    boundary_cones,
    gate_cell,
    image_hyperplanes,
    nearest_boundaries,
    pairs_in_ball,
    turning_point,
    visible_facets,
)
from polygeom.models.transformer.hyperplane import Hyperplane
from polygeom.models.transformer.visible import inside_ball, is_beyond_ball
from polygeom.models.transformer.visible_search import least_norm_by_program
from tests.test_transformer_block import random_block

small = st.integers(-3, 3).map(float)


@st.composite
def integer_blocks(draw, most=5):
    """Gain 1, shift 0: folded rows are W less its means, offsets b."""
    d, m = draw(st.integers(2, 4)), draw(st.integers(1, most))
    row = st.lists(small, min_size=d, max_size=d)
    W, b = draw(st.lists(row, min_size=m, max_size=m)), draw(st.lists(small, min_size=m, max_size=m))
    return NormedMLP(np.ones(d), np.zeros(d), 1.0, W, b, "gelu", np.ones((1, m)), [0])


def folded_rows(block) -> tuple[list[list[Fraction]], list[Fraction]]:
    rows = [[Fraction(v) for v in row] for row in block.W_in]
    return [[v - sum(r) / len(r) for v in r] for r in rows], [Fraction(v) for v in block.b_in]


def dot(u, v):
    return sum((a * b for a, b in zip(u, v, strict=True)), Fraction(0))


# -- the hyperplane and its coordinates ------------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 3, 4, 7, 64, 768])
def test_coordinates_are_exact_and_nearly_keep_lengths(d):
    plane = Hyperplane(d)
    if d <= 64:
        M = rational_matrix(plane.along.matrix)
        assert not any((rational_matrix(np.ones((1, d))) * M).entries())
        gram = M.transpose() * M
        delta = gram[0, 0] - 1
        wanted = [[delta + (i == j) for j in range(d - 1)] for i in range(d - 1)]
        assert gram.table() == wanted
        assert abs(Fraction(int(delta.p), int(delta.q))) * d <= Fraction(plane.distortion)
    y = np.random.default_rng(d).standard_normal(d)
    y -= y.mean()
    np.testing.assert_allclose(plane.along(plane.coordinates(y)), y, atol=1e-12)
    assert plane.distortion < 1e-10


# -- gate cells -----------------------------------------------------------------------------------------------


@given(integer_blocks(), st.lists(small, min_size=4, max_size=4))
def test_rows_of_a_cell_are_those_of_the_block(block, entries):
    """Float rows lie within their errors of the exact ones, and these are the folded rows along M."""
    x = np.array(entries[: block.dim])
    cell = gate_cell(block, x)
    P, (W, c) = cell.polyhedron, folded_rows(block)
    assert cell.units.tolist() == [i for i, row in enumerate(W) if any(row)]
    A, b = P.exact_rows(np.arange(P.n_rows))
    M = [[Fraction(float(v)) for v in row] for row in cell.along.matrix]
    A_error, b_error = P.errors
    for row, unit in enumerate(cell.units):
        sign = 1 - 2 * int(cell.code[unit])
        wanted = [sign * dot(W[unit], [line[k] for line in M]) for k in range(block.dim - 1)]
        exact = [Fraction(int(v.p), int(v.q)) for v in A.table()[row]]
        assert exact == wanted
        gaps = [abs(Fraction(float(a)) - v) for a, v in zip(P.A[row], exact, strict=True)]
        assert all(gap <= Fraction(float(e)) for gap, e in zip(gaps, A_error[row], strict=True))
        side = Fraction(int(b[row, 0].p), int(b[row, 0].q))
        assert side == -sign * c[unit]
        assert abs(side - Fraction(float(P.b[row]))) <= Fraction(float(b_error[row]))


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_errors_of_rows_hold_for_random_gains(seed):
    block = random_block(seed=seed, d=5, m=8)
    P = gate_cell(block, np.arange(5.0)).polyhedron
    A, _ = P.exact_rows(np.arange(P.n_rows))
    for exact, row, error in zip(A.table(), P.A, P.A_error, strict=True):
        for v, a, e in zip(exact, row, error, strict=True):
            assert abs(Fraction(int(v.p), int(v.q)) - Fraction(float(a))) <= Fraction(float(e))


def test_a_cell_is_the_set_of_inputs_with_its_code():
    block = random_block(d=5, m=6)
    rng = np.random.default_rng(3)
    X = rng.standard_normal((400, 5))
    x = X[0]
    cell = gate_cell(block, x)
    inside = cell.polyhedron.contains(cell.plane.coordinates(block.normalized(X)))
    assert inside[0]
    assert (inside == (block.codes(X).letters == cell.code).all(axis=1)).all()
    assert 1 < inside.sum() < 400


def test_everything_asked_of_polyhedra_is_answered_with_proofs():
    block = random_block(d=6, m=40)
    cell = gate_cell(block, np.random.default_rng(0).standard_normal(6))
    P = cell.polyhedron
    report, bounded, origin, cone = (
        cell.facets(),
        cell.boundedness(),
        cell.origin_test(),
        cell.recession_cone(),
    )
    assert report.holds(P)
    assert not len(report.undecided)
    assert bounded.holds(P)
    assert origin.holds(P)
    assert cone.holds(P)
    assert bounded.bounded == (cone.dim == 0)


def test_cells_are_bounded_within_the_hyperplane_only():
    """Two coordinates: the hyperplane is a line, and a cell between two points of it is a segment."""
    block = NormedMLP([1, 1], [0, 0], 1.0, [[1, -1], [-1, 1]], [1, 1], "gelu", [[1, 1]], [0])
    cell = gate_cell(block, [0.5, 0])
    assert cell.boundedness().bounded
    assert cell.origin_test().contains_origin
    apart = replace(block, b_in=np.array([1.0, -1.0]))
    assert not gate_cell(apart, [9, 0]).boundedness().bounded


def test_without_biases_every_cell_is_a_cone():
    block = replace(random_block(d=5, m=20), beta=np.zeros(5), b_in=np.zeros(20))
    assert gate_cell(block, np.arange(5.0) ** 2).origin_test().is_cone


def test_gelu_has_no_affine_map_and_relu_has():
    x = np.random.default_rng(2).standard_normal(6)
    with pytest.raises(NotPiecewiseAffineError, match="monotone"):
        _ = gate_cell(random_block(), x).affine_map
    block = random_block(activation="relu")
    cell = gate_cell(block, x)
    np.testing.assert_allclose(cell.affine_map(cell.witness), block(x), atol=1e-12)
    near = x + 1e-6 * np.arange(6)
    assert (block.codes(near).letters[0] == cell.code).all()
    np.testing.assert_allclose(
        cell.affine_map(cell.plane.coordinates(block.normalized(near))), block(near), atol=1e-12
    )


@pytest.mark.parametrize("form", ["gelu_tanh", "gelu_erf"])
def test_monotone_cells(form):
    block = random_block(activation=form)
    x = np.random.default_rng(4).standard_normal(6)
    cell, middle = gate_cell(block, x, monotone=True), sum(turning_point(form)) / 2
    assert cell.code.tolist() == (block.preactivations(x) > middle).tolist()
    assert cell.code.tolist() != gate_cell(block, x).code.tolist()
    report = cell.facets()
    assert report.holds(cell.polyhedron)
    assert not cell.polyhedron.has_exact_rows
    with pytest.raises(InputError, match="leave monotone"):
        gate_cell(random_block(activation="relu"), x, monotone=True)


def test_a_token_between_the_floats_around_the_turning_point_is_undecided():
    low, _ = turning_point("gelu")
    block = NormedMLP([1, 1], [0, 0], 0.0, [[0, 0], [1, -1]], [low, 0], "gelu", [[1, 1]], [0])
    with pytest.raises(UndecidedError, match="unit 0"):
        gate_cell(block, [1, 0], monotone=True)


# -- the image ------------------------------------------------------------------------------------------------


@given(integer_blocks())
def test_hyperplanes_meet_the_image_as_rationals_say(block):
    found, (W, c) = image_hyperplanes(block), folded_rows(block)
    gaps = [v * v - block.dim * dot(w, w) for w, v in zip(W, c, strict=True)]
    assert found.is_constant.tolist() == [not any(w) for w in W]
    assert found.meets.tolist() == [gap < 0 for gap in gaps]
    assert found.touches.tolist() == [gap == 0 and any(w) for gap, w in zip(gaps, W, strict=True)]


@given(integer_blocks())
def test_pairs_meet_in_the_ball_as_rationals_say(block):
    """By the nearest point of the intersection, from its two equations."""
    found, (W, c), d = pairs_in_ball(block), folded_rows(block), block.dim
    own = image_hyperplanes(block).meets
    assert (found.meet == found.meet.T).all()
    assert not found.meet.diagonal().any()
    for i, j in combinations(range(block.n_units), 2):
        aa, ab, bb = dot(W[i], W[i]), dot(W[i], W[j]), dot(W[j], W[j])
        det = aa * bb - ab * ab
        if not (own[i] and own[j]):
            expected = False
        elif det == 0:
            expected = [c[j] * v for v in W[i]] == [c[i] * v for v in W[j]]
        else:
            s, t = (ab * c[j] - bb * c[i]) / det, (ab * c[i] - aa * c[j]) / det
            point = [s * a + t * b for a, b in zip(W[i], W[j], strict=True)]
            assert dot(point, W[i]) == -c[i]
            expected = dot(point, point) < d
        assert found.meet[i, j] == expected


@pytest.mark.parametrize("exponent", [-1000, -540, -300, 300, 540, 1000])
def test_pairs_of_rows_of_any_size_are_told_in_silence(exponent):
    """Squares of lengths underflow or overflow: floats are certain of nothing, and rationals decide."""
    W, b = np.array([[1.0, -1, 0], [0, 1, -1], [2, -2, 0], [1, 1, -2]]), np.array([0.0, 1, 1, 3])
    plain, scaled = (
        NormedMLP(np.ones(3), np.zeros(3), 1.0, s * W, s * b, "gelu", np.ones((1, 4)), [0])
        for s in (1.0, 2.0**exponent)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(pairs_in_ball(scaled).meet, pairs_in_ball(plain).meet)
        image, cones = image_hyperplanes(scaled), boundary_cones(scaled)
        near = nearest_boundaries(scaled, [1.0, 2, 5])
    assert np.allclose(image.heights, image_hyperplanes(plain).heights)
    assert np.allclose(cones.axes, boundary_cones(plain).axes)
    assert np.allclose(cones.cosines, boundary_cones(plain).cosines)
    assert np.allclose(near.distances, nearest_boundaries(plain, [1.0, 2, 5]).distances)


def test_rows_beyond_the_floats_are_measured_in_balls():
    """gamma * w overflows, so folded rows are not finite; heights, axes and distances are."""
    W, b = np.array([[1.0, -1, 0], [0, 1, -1], [2, -2, 0]]), np.array([0.0, 1, 1])
    plain = NormedMLP(np.ones(3), np.zeros(3), 1.0, W, b, "gelu", np.ones((1, 3)), [0])
    huge = NormedMLP(
        np.full(3, 2.0**600), np.zeros(3), 1.0, 2.0**600 * W, 2.0**1000 * b, "gelu", np.ones((1, 3)), [0]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image, cones = image_hyperplanes(huge), boundary_cones(huge)
        near = nearest_boundaries(huge, [1.0, 2, 5])
    assert np.allclose(image.heights * 2.0**200, image_hyperplanes(plain).heights)
    assert np.allclose(cones.axes, boundary_cones(plain).axes)
    central = replace(plain, b_in=np.zeros(3))
    assert np.allclose(near.distances, nearest_boundaries(central, [1.0, 2, 5]).distances)
    assert (near.bounds[:, 0] <= near.distances).all()
    assert (near.distances <= near.bounds[:, 1]).all()


def test_convex_sides_and_cones():
    """Midpoints of points on the convex side stay there; the other side is left by some."""
    block = random_block(d=4, m=30, eps=0.5)
    cones = boundary_cones(block)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 4)) * 3
    on = block.codes(X).letters
    middle = block.codes(0.5 * (X[:300] + X[300:])).letters
    for unit in np.flatnonzero(cones.exists):
        side = int(cones.convex[unit])
        both = (on[:300, unit] == side) & (on[300:, unit] == side)
        assert (middle[both, unit] == side).all()
    left = [
        (middle[(on[:300, u] != s) & (on[300:, u] != s), u] == s).any()
        for u, s in enumerate(cones.convex)
        if s < 2 and cones.exists[u]
    ]
    assert any(left)
    flat = block.with_eps(0)
    angle = (X - X.mean(axis=1, keepdims=True)) @ cones.axes.T
    angle /= np.linalg.norm(X - X.mean(axis=1, keepdims=True), axis=1)[:, None]
    assert (flat.codes(X).letters[:, cones.exists] == (angle > cones.cosines)[:, cones.exists]).all()


# -- visible facets ---------------------------------------------------------------------------------------------


def heights(seed: int, low: float, high: float):
    """A block whose hyperplanes stand at heights between low and high of the radius; a token."""
    rng = np.random.default_rng(seed)
    d, m = 5, 30
    W = rng.standard_normal((m, d))
    W -= W.mean(axis=1, keepdims=True)
    b = rng.uniform(low, high, m) * rng.choice([-1, 1], m) * np.sqrt(d) * np.linalg.norm(W, axis=1)
    block = NormedMLP(np.ones(d), np.zeros(d), 0.5, W, b, "gelu", np.ones((1, m)), [0])
    return block, rng.standard_normal(d)


@pytest.mark.parametrize("seed", range(6))
def test_visible_facets_are_those_of_cone_programs(seed):
    import cvxpy as cp

    block, x = heights(seed, 0.3, 1.3)
    cell = gate_cell(block, x)
    found = visible_facets(cell)
    assert found.holds(cell)
    assert not len(found.undecided)
    P = cell.polyhedron
    for row in found.report.facets:
        y = cp.Variable(P.dim)
        problem = cp.Problem(cp.Minimize(cp.norm(y)), [P.A @ y <= P.b, P.A[row] @ y == P.b[row]])
        problem.solve(solver=cp.CLARABEL)
        assert abs(problem.value**2 - block.dim) > 1e-6
        assert (row in found.visible) == (problem.value**2 < block.dim)


def test_both_kinds_of_proof_occur_and_forged_ones_are_refused():
    kinds = set()
    for seed in range(12):
        block, x = heights(seed, 0.3, 1.3)
        cell = gate_cell(block, x)
        found = visible_facets(cell)
        kinds |= {len(support) > 1 for support, _ in found.multipliers.values()}
        if not (len(found.visible) and len(found.invisible)):
            continue
        assert not replace(found, witnesses=found.witnesses * 3.0).holds(cell)
        assert not replace(found, visible=found.invisible, invisible=found.visible).holds(cell)
        assert not replace(found, interior=found.interior * 100.0).holds(cell)
        row = int(found.visible[0])
        P = cell.polyhedron
        assert not is_beyond_ball(P, cell.plane, row, np.array([row]), np.array([-np.sign(P.b[row])]))
        free = int(found.invisible[0])
        assert (
            not is_beyond_ball(P, cell.plane, row, *found.multipliers[free])
            or (found.multipliers[free][1] >= 0).all()
        )
    assert kinds == {True, False}


def test_a_cone_program_proves_one_row():
    block, x = heights(2, 0.3, 1.3)
    cell = gate_cell(block, x)
    found = visible_facets(cell)
    P, plane = cell.polyhedron, cell.plane
    for row, wanted in [(int(found.visible[0]), True), (int(found.invisible[0]), False)]:
        proposal = least_norm_by_program(P.A, P.b, found.interior, row)
        support = np.flatnonzero(proposal.multipliers[0])
        beyond = is_beyond_ball(P, plane, row, support, proposal.multipliers[0][support])
        assert bool(inside_ball(plane, proposal.points)[0]) == wanted
        assert beyond != wanted


def test_in_the_ball_is_not_decided_within_rounding():
    plane = Hyperplane(4)
    u = np.array([2.0, 0.0, 0.0])
    assert not inside_ball(plane, u[None])[0]
    assert inside_ball(plane, 0.999999 * u[None])[0]


# -- nearest boundaries ------------------------------------------------------------------------------------------


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_distances_lie_within_their_bounds(seed):
    block = random_block(seed=seed, d=5, m=12)
    x = np.random.default_rng(seed).standard_normal(5)
    near = nearest_boundaries(block, x)
    rows, offsets = block.folded.exact(near.units)
    point = [Fraction(float(v)) for v in x]
    mean = sum(point) / 5
    square = sum((v - mean) ** 2 for v in point) / 5 + Fraction(block.eps)
    with np.errstate(all="raise"):
        for row, c, (low, high) in zip(rows.table(), offsets.entries(), near.bounds, strict=True):
            w = [Fraction(int(v.p), int(v.q)) for v in row]
            along, size = dot(w, point), dot(w, w)
            # |along + c r| between bound * r * |w|: compared through floats of 200 bits
            import flint

            with flint.ctx.workprec(200):
                r, length = flint.arb(flint.fmpq(square.numerator, square.denominator)).sqrt(), None
                length = flint.arb(flint.fmpq(size.numerator, size.denominator)).sqrt()
                z = abs(flint.arb(flint.fmpq(along.numerator, along.denominator)) + flint.arb(c) * r)
                distance = z / (r * length)
                assert distance >= flint.arb(float(low))
                assert distance <= flint.arb(float(high))
    assert near.proved == len(near.units) - 1


def test_the_nearest_boundary_is_a_facet_and_angles_lead_to_it():
    block = random_block(d=6, m=40)
    x = np.random.default_rng(5).standard_normal(6)
    near, cell = nearest_boundaries(block, x), gate_cell(block, x)
    assert near.units[0] in cell.units[cell.facets().facets]
    y = block.normalized(x)
    for unit, distance, angle in zip(near.units[:5], near.distances, near.angles, strict=False):
        axis = block.folded.weights[unit] / np.linalg.norm(block.folded.weights[unit])
        z = block.folded.weights[unit] @ y + block.folded.offsets[unit]
        assert distance == pytest.approx(abs(z) / np.linalg.norm(block.folded.weights[unit]))
        if np.isfinite(angle):
            across = axis - (axis @ y) / (y @ y) * y
            across *= np.linalg.norm(y) / np.linalg.norm(across)
            turned = np.cos(angle) * y - np.sign(z) * np.sin(angle) * across
            assert block.folded.weights[unit] @ turned + block.folded.offsets[unit] == pytest.approx(
                0, abs=1e-9
            )


def test_constant_units_come_last():
    block = NormedMLP([1, 1], [0, 0], 1, [[2, 2], [1, -1]], [0, 3], "gelu", [[1, 1]], [0])
    near = nearest_boundaries(block, [1, 0])
    assert near.units.tolist() == [1, 0]
    assert np.isinf(near.distances[1])
