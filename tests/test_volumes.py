"""Laws of vertices and volumes, against brute force in Fractions, qhull and closed forms."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from math import factorial

import flint
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import ConvexHull, HalfspaceIntersection

from polygeom.affine import AffineMap
from polygeom.certificates.check import Level
from polygeom.errors import TooLargeError, UndecidedError
from polygeom.exact import fractions_array, rational
from polygeom.polyhedron import Polyhedron
from polygeom.predicates import volumes
from polygeom.predicates.feasibility import feasibility, interior_point
from polygeom.predicates.volumes import vertices, volume
from tests.test_feasibility import polyhedra


def brute_force(P):
    """All points where d independent rows meet and the others hold, in rationals."""
    found = set()
    for rows in combinations(range(P.n_rows), P.dim):
        A = flint.fmpq_mat(P.dim, P.dim, [rational(v) for v in P.A[list(rows)].ravel()])
        if A.det() == 0:
            continue
        x = A.solve(flint.fmpq_mat(P.dim, 1, [rational(P.b[i]) for i in rows])).entries()
        point = tuple(Fraction(int(v.p), int(v.q)) for v in x)
        if inside(P, point):
            found.add(point)
    return found


def inside(P, point):
    return all(
        sum(Fraction(a) * x for a, x in zip(row, point, strict=True)) <= b
        for row, b in zip(P.A, P.b, strict=True)
    )


def random_polytope(rng, m, d):
    A = rng.normal(size=(m, d))
    return Polyhedron(A / np.linalg.norm(A, axis=1)[:, None], np.ones(m)).intersect(
        Polyhedron.box(-3, 3, dim=d)
    )


@given(polyhedra(max_dim=3, max_rows=7))
def test_vertices_agree_with_brute_force_and_prove_themselves(P):
    listed = vertices(P)
    assert listed.holds(P)
    assert listed.holds(P).level is Level.EXACT
    expected = brute_force(P)
    if len(listed.lines):
        assert not expected
    else:
        assert {tuple(point) for point in listed.exact} == expected
    assert (len(listed) == 0) == (feasibility(P).feasible is False)


@given(polyhedra(max_dim=3, max_rows=7))
def test_boundedness_shows_in_every_coordinate(P):
    listed = vertices(P)
    if not len(listed):
        return
    for ray in listed.rays:
        assert P.recedes(ray.astype(float))
    for line in listed.lines:
        assert P.recedes(line.astype(float))
        assert P.recedes(-line.astype(float))


@pytest.mark.parametrize(("m", "d"), [(30, 2), (25, 3), (14, 4), (10, 5)])
def test_vertices_and_volume_agree_with_qhull(m, d):
    rng = np.random.default_rng(10 * m + d)
    P = random_polytope(rng, m, d)
    listed = vertices(P)
    hull = HalfspaceIntersection(np.column_stack([P.A, -P.b]), np.zeros(d))
    expected = np.unique(hull.intersections.round(9), axis=0)
    assert len(listed) == len(expected)
    assert np.unique(listed.points.round(9), axis=0) == pytest.approx(expected, abs=1e-8)
    assert float(volume(P)) == pytest.approx(ConvexHull(hull.intersections).volume, rel=1e-9)


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5])
def test_cubes_crosses_and_simplices(dim):
    cube = Polyhedron.box(-1, 1, dim=dim)
    assert volume(cube) == 2**dim
    assert len(vertices(cube)) == 2**dim
    signs = np.array(np.meshgrid(*[[-1, 1]] * dim)).reshape(dim, -1).T
    cross = Polyhedron(signs, np.ones(2**dim))
    assert volume(cross) == Fraction(2**dim, factorial(dim))
    if dim < 5:
        assert vertices(cross).holds(cross)
    simplex = Polyhedron(np.vstack([-np.eye(dim), np.ones(dim)]), np.append(np.zeros(dim), 1.0))
    assert volume(simplex) == Fraction(1, factorial(dim))


def test_pyramid_with_redundant_planes_through_its_apex():
    """Five planes meet in the apex, two of them touch nothing else."""
    sides = [[1, 0, 1], [-1, 0, 1], [0, 1, 1], [0, -1, 1], [0, 0, 1], [0.5, 0.5, 1]]
    P = Polyhedron([*sides, [0, 0, -1]], [1, 1, 1, 1, 1, 1, 0])
    listed = vertices(P)
    assert listed.holds(P)
    assert len(listed) == 5
    assert volume(P) == Fraction(4, 3)
    apex = [rows for point, rows in zip(listed.exact, listed.tight_rows, strict=True) if point[2] == 1]
    assert apex == [(0, 1, 2, 3, 4, 5)]


def test_whole_space_lines_and_rays():
    whole = vertices(Polyhedron.whole(2))
    assert whole.holds(Polyhedron.whole(2))
    assert len(whole) == 1
    assert len(whole.lines) == 2
    strip = Polyhedron([[1, 1, 0], [-1, -1, 0]], [1, 0])
    listed = vertices(strip)
    assert listed.holds(strip)
    assert (len(listed), len(listed.rays), len(listed.lines)) == (2, 0, 2)
    orthant = vertices(Polyhedron.orthant(3))
    assert orthant.holds(Polyhedron.orthant(3))
    assert orthant.rays.sum() == 3
    assert volume(strip) == volume(Polyhedron.whole(1)) == float("inf")
    assert volume(Polyhedron.whole(0)) == 1


@pytest.mark.parametrize("side", [1e-9, 1e-200, 1e200])
def test_tiny_and_huge_boxes_have_exact_volumes(side):
    assert volume(Polyhedron.box(0, side, dim=3)) == Fraction(side) ** 3


def test_a_corner_cut_off_by_1e_12():
    P = Polyhedron.box(0, 1, dim=2).intersect(Polyhedron([[1.0, 1.0]], [2 - 2.0**-40]))
    assert volume(P) == 1 - Fraction(1, 2**81)
    assert len(vertices(P)) == 5


def test_flat_and_empty_have_no_volume():
    assert volume(Polyhedron([[1, 0], [-1, 0]], [0, 0])) == 0
    assert volume(Polyhedron([[1], [-1]], [0, -1])) == 0


@given(polyhedra(max_dim=3, max_rows=8), st.integers(0, 2**32 - 1))
def test_a_cut_splits_the_volume(P, seed):
    rng = np.random.default_rng(seed)
    P = P.intersect(Polyhedron.box(-2, 2, dim=P.dim))
    normal, bound = rng.integers(-2, 3, P.dim).astype(float), float(rng.integers(-1, 2))
    if not normal.any():
        return
    sides = [P.intersect(Polyhedron([s * normal], [s * bound])) for s in (1, -1)]
    assert volume(P) == sum(volume(side) for side in sides)


@given(polyhedra(max_dim=3, max_rows=6), st.integers(0, 2**32 - 1))
def test_volume_scales_by_the_determinant(P, seed):
    P = P.intersect(Polyhedron.box(-2, 2, dim=P.dim))
    M = np.random.default_rng(seed).integers(-2, 3, (P.dim, P.dim)).astype(float)
    determinant = abs(flint.fmpz_mat(P.dim, P.dim, M.astype(int).ravel().tolist()).det())
    if determinant:
        assert volume(P.pullback(AffineMap(M, np.ones(P.dim)))) * int(determinant) == volume(P)


@given(polyhedra(max_dim=3, max_rows=7))
def test_vertices_lie_in_the_polyhedron_and_average_to_an_interior_point(P):
    P = P.intersect(Polyhedron.box(-2, 2, dim=P.dim))
    listed = vertices(P)
    if len(listed):
        center = sum(listed.exact) / Fraction(len(listed))
        strict = all(s > 0 for s in P.exact_slacks(center, np.flatnonzero(P.A.any(axis=1))))
        assert strict == (interior_point(P) is not None)


def test_limits_are_stated(monkeypatch):
    with pytest.raises(TooLargeError, match="dimensions"):
        vertices(Polyhedron.box(0, 1, dim=61))
    monkeypatch.setattr(volumes, "MOST_RAYS", 10)
    with pytest.raises(TooLargeError, match="rays"):
        vertices(Polyhedron.box(0, 1, dim=5))
    monkeypatch.undo()
    monkeypatch.setattr(volumes, "MOST_SIMPLICES", 100)
    with pytest.raises(TooLargeError, match="simplices"):
        volume(Polyhedron.box(0, 1, dim=5))


def test_rounded_rows_without_source_are_undecided():
    P = Polyhedron(np.vstack([np.eye(2), -np.eye(2)]), np.ones(4), np.full((4, 2), 1e-16))
    with pytest.raises(UndecidedError):
        vertices(P)
    with pytest.raises(UndecidedError):
        volume(P)


def test_tampered_lists_fail():
    P = Polyhedron.box(0, 1, dim=3)
    listed = vertices(P)
    assert listed.holds(P)
    for i in range(len(listed)):
        rest = [k for k in range(len(listed)) if k != i]
        shorter = replace(
            listed, exact=listed.exact[rest], tight_rows=tuple(listed.tight_rows[k] for k in rest)
        )
        assert not shorter.holds(P)
    moved = listed.exact.copy()
    moved[0] = moved[0] + Fraction(1, 10**30)
    assert not replace(listed, exact=moved).holds(P)
    assert not replace(listed, tight_rows=((0, 1, 2),) * len(listed)).holds(P)
    assert not replace(listed, rays=fractions_array([1, 0, 0]).reshape(1, 3)).holds(P)
    assert not replace(listed, lines=fractions_array([1, 0, 0]).reshape(1, 3)).holds(P)
    empty = replace(listed, exact=listed.exact[:0], tight_rows=())
    assert not empty.holds(P)
    orthant = vertices(Polyhedron.orthant(3))
    assert not replace(orthant, rays=orthant.rays[1:]).holds(Polyhedron.orthant(3))
    whole = vertices(Polyhedron.whole(2))
    assert not replace(whole, lines=whole.lines[:1]).holds(Polyhedron.whole(2))
