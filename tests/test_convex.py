"""Laws of the nearest point and the largest ellipsoid."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.certificates.check import Level
from polygeom.errors import InputError
from polygeom.exact import fractions_array
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.convex import inscribed_ellipsoid, project
from polygeom.predicates.feasibility import interior_point, is_empty
from polygeom.predicates.volumes import volume
from tests.test_feasibility import polyhedra


@given(polyhedra(max_dim=3), st.lists(st.integers(-5, 5), min_size=3, max_size=3))
def test_projections_prove_themselves(P, target):
    target = np.array(target[: P.dim], dtype=float)
    if is_empty(P):
        with pytest.raises(InputError, match="empty"):
            project(P, target)
        return
    found = project(P, target)
    assert found.holds(P)
    assert found.holds(P).level is Level.EXACT
    assert found.error == 0
    if P.contains(target):
        assert (found.point == fractions_array(target)).all()


@given(polyhedra(max_dim=3), st.lists(st.integers(-5, 5), min_size=6, max_size=6))
def test_projection_does_not_expand_distances(P, numbers):
    if is_empty(P):
        return
    x, y = (np.array(numbers[k : k + P.dim], dtype=float) for k in (0, 3))
    a, b = project(P, x).point, project(P, y).point
    assert sum((a - b) ** 2) <= Fraction(float(((x - y) ** 2).sum()))


def test_projection_onto_a_box_clips():
    target = np.array([3.0, -7.0, 0.25])
    assert (project(Polyhedron.box(-1, 1, dim=3), target).point == np.clip(target, -1, 1)).all()


def test_projection_onto_one_half_space_has_its_formula():
    P = Polyhedron([[1.0, 2.0]], [1.0])
    found = project(P, [3.0, 4.0])
    assert list(found.point) == [Fraction(1), Fraction(0)]
    assert found.multipliers[0] == 2


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_projection_is_scale_free(scale):
    rng = np.random.default_rng(0)
    A = rng.normal(size=(20, 4))
    P = Polyhedron(A * scale, np.ones(20))
    assert project(P, np.full(4, 3.0) / scale).holds(P)


def test_large_projections_state_their_error():
    rng = np.random.default_rng(1)
    A = rng.normal(size=(150, 70))
    P = Polyhedron(A, np.ones(150))
    found = project(P, 2 * rng.normal(size=70))
    assert found.holds(P).level is Level.EXACT
    # the root of what rounding leaves of lambda . s, with |lambda| about 50 and distances about 15
    assert 0 < found.error < 1e-5
    assert not replace(found, error=found.error / 1e6).holds(P)
    assert project(P, np.zeros(70)).error == 0


def test_tampered_projections_fail():
    P = Polyhedron.box(0, 1, dim=2)
    found = project(P, [3.0, 0.5])
    assert found.holds(P)
    assert not replace(found, point=fractions_array([1, Fraction(1, 3)])).holds(P)
    assert not replace(found, point=fractions_array([2, Fraction(1, 2)])).holds(P)
    assert not replace(found, multipliers=-found.multipliers).holds(P)
    assert not replace(found, multipliers=found.multipliers * 2).holds(P)
    assert not replace(found, multipliers=found.multipliers[1:]).holds(P)


@given(polyhedra(max_dim=3))
def test_ellipsoids_are_inside_and_nearly_largest(P):
    P = P.intersect(Polyhedron.box(-3, 3, dim=P.dim))
    if interior_point(P) is None:
        return
    found = inscribed_ellipsoid(P)
    check = found.holds(P)
    assert check
    assert check.level is Level.CERTIFIED
    assert check.residual < 1e-4
    assert found.gap < 1e-4
    # John 1948: the polytope lies in the ellipsoid dilated d times about its center.
    ball = {1: 2.0, 2: np.pi, 3: 4 / 3 * np.pi}[P.dim] * np.linalg.det(found.shape)
    assert ball <= float(volume(P)) <= P.dim**P.dim * ball * (1 + 1e-6)


def test_the_ellipsoid_of_a_box_and_its_image():
    P = Polyhedron.box([-1, -2, -3], [1, 2, 3])
    assert inscribed_ellipsoid(P).shape == pytest.approx(np.diag([1, 2, 3]), abs=1e-5)


def test_ellipsoids_need_a_bounded_interior():
    with pytest.raises(InputError, match="unbounded"):
        inscribed_ellipsoid(Polyhedron.orthant(2))
    with pytest.raises(InputError, match="unbounded"):
        inscribed_ellipsoid(Polyhedron([[1, 0], [-1, 0]], [1, 1]))
    with pytest.raises(InputError, match="interior"):
        inscribed_ellipsoid(Polyhedron.box(0, 0, dim=2))
    with pytest.raises(InputError, match="empty"):
        inscribed_ellipsoid(Polyhedron([[1], [-1]], [0, -1]))


def test_tampered_ellipsoids_fail():
    P = Polyhedron.box(-1, 1, dim=2)
    found = inscribed_ellipsoid(P)
    assert found.holds(P)
    assert not replace(found, shape=found.shape * (1 + 1e-6)).holds(P)
    assert not replace(found, center=found.center + 1e-3).holds(P)
    assert not replace(found, shape=found.shape / 2).holds(P)
    assert not replace(found, multipliers=found.multipliers * 2).holds(P)
