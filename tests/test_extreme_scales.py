"""Rows and cells of extreme size: an exact answer or an error of our own, and no floating-point warnings."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.certificates.check import Level
from polygeom.errors import InputError, SolverError
from polygeom.exact import fractions_array, rational_matrix
from polygeom.polyhedron import Polyhedron
from polygeom.predicates import (
    boundedness,
    chebyshev_ball,
    feasibility,
    inclusion,
    inscribed_ellipsoid,
    is_empty,
    project,
    recession_cone,
    vertices,
    volume,
)
from polygeom.predicates.active_set import nearest_point
from tests.test_feasibility import polyhedra

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

TRIANGLE = np.array([[1.0, 1], [-1, 2], [1, -3]])
STRIP = np.array([[1.0, 1], [-1, -1], [1, 0], [-1, 0]])
SCALE = 2.0 ** np.array([600, -600, 0])
EXTREME = {
    "rows 2^600 and 2^-600": Polyhedron(TRIANGLE * SCALE[:, None], np.array([-1.0, 1, 1]) * SCALE),
    "columns 2^600 and 2^-600": Polyhedron(TRIANGLE * SCALE[:2], [1.0, 1, -1]),
    "entries near the largest float": Polyhedron(STRIP * 1.7e308, np.array([1, -1, 1, 1]) * 1.7e308),
    "flat, near the smallest float": Polyhedron(STRIP * 1e-320, np.array([1, -1, 1, 1]) * 1e-320),
    "full, near the smallest float": Polyhedron(STRIP * 1e-320, np.array([1, 1, 1, 1]) * 1e-320),
    "box 1e160 by 1": Polyhedron([[1e-160, 0], [-1e160, 0], [0, 1], [0, -1]], [1, 1, 1e-160, 1]),
    "box 1e-160 by 1e160": Polyhedron.box([0, -1e160], [1e-160, 1e160]),
    "small b": Polyhedron([[-1, -1], [1, -1], [-2, -1], [-3, -3], [-1, -1]], [1e-12, 2e-12, 0, 3e-12, 1.0]),
    "thin interval": Polyhedron([[2.0001], [1e-12], [-1.999999999999], [-1], [1e-12]], [-1, 2, 1, 2, 2]),
    "far plane": Polyhedron([[2.000000000001], [-0.999999999999], [1e-12]], [0, 2, 2]),
    "one unit in the last place": Polyhedron(
        [[1, 1 / 3], [-1, -1 / 3], [0, 1], [0, -1]], [1 + 2.0**-52, -1, 1, 1]
    ),
}
OVERFLOWING = {
    "rank of entries 1 and 1e308": Polyhedron([[1.0, -0.999999999999], [1 / 3, 1.7e308]], [1.0, 1e-12]),
    "point beyond floats": Polyhedron(
        [[1.7e308, 1 / 3, -1.0], [-1.7e308, 1e-12, -0.999999999999]], [0.0, -1.7e308]
    ),
    "mean beyond floats": Polyhedron(
        [[1e-320, -1.0, -1.0], [0.0, -1.0, 1e-320], [-1.7e308, 0.0, 1.000000000001]],
        [-1.7e308, 1.000000000001, 1.000000000001],
    ),
}
TWINS = {"rows 2^600 and 2^-600": Polyhedron(TRIANGLE, [-1.0, 1, 1])}
BEYOND_THE_SOLVER = {
    "columns 2^600 and 2^-600",
    "box 1e160 by 1",
    "box 1e-160 by 1e160",
    "full, near the smallest float",
    "one unit in the last place",
}
"""Cells 1e16 times as long as wide, or multipliers beyond the largest float."""


@pytest.mark.parametrize("name", EXTREME)
def test_linear_questions_are_decided_and_proved(name):
    P = EXTREME[name]
    for answer in (feasibility(P), boundedness(P), recession_cone(P), chebyshev_ball(P), vertices(P)):
        assert answer.holds(P).level is Level.EXACT
    assert feasibility(P).dim == (1 if np.array_equal(P.A[0], -P.A[1]) and P.b[0] == -P.b[1] else P.dim)
    assert inclusion(P, P).holds(P, P).level is Level.EXACT
    assert boundedness(P).bounded == vertices(P).is_bounded
    assert (volume(P) > 0) == (feasibility(P).dim == P.dim)


@pytest.mark.parametrize("name", OVERFLOWING)
def test_overflow_on_the_way_does_no_harm(name):
    P = OVERFLOWING[name]
    for ask in (feasibility, boundedness, recession_cone):
        assert ask(P).holds(P).level is Level.EXACT
    for ask in (feasibility, boundedness):
        second = ask(P, method="lp")
        assert second.holds(P) or None in (getattr(second, "feasible", 1), getattr(second, "bounded", 1))


def test_row_scaling_does_not_change_the_answers():
    for name, Q in TWINS.items():
        P = EXTREME[name]
        assert (feasibility(P).dim, boundedness(P).bounded) == (feasibility(Q).dim, boundedness(Q).bounded)
        assert chebyshev_ball(P).radius == pytest.approx(chebyshev_ball(Q).radius)


@pytest.mark.parametrize("name", EXTREME)
@pytest.mark.parametrize("far", [5.0, -3e7])
def test_projections_are_exact(name, far):
    P = EXTREME[name]
    found = project(P, np.full(P.dim, far))
    assert found.holds(P).level is Level.EXACT
    assert found.error == 0.0


@pytest.mark.parametrize("name", EXTREME)
def test_balls_are_nearly_largest(name):
    ball = chebyshev_ball(EXTREME[name])
    assert ball.radius <= ball.upper <= 2 * ball.radius


@pytest.mark.parametrize("name", EXTREME)
def test_ellipsoids_hold_or_say_why_not(name):
    P = EXTREME[name]
    if feasibility(P).dim < P.dim or not boundedness(P):
        with pytest.raises(InputError):
            inscribed_ellipsoid(P)
        return
    try:
        found = inscribed_ellipsoid(P)
    except SolverError:
        assert name in BEYOND_THE_SOLVER
        return
    assert found.holds(P)
    assert name in BEYOND_THE_SOLVER or found.gap < 1e-3


def test_thin_cells_have_a_ball_with_an_exact_center():
    """A strip of width 2^-80 far from the origin: between two neighboring floats."""
    P = Polyhedron([[3.0, 1.0], [-3.0, -1.0], [0, 1], [0, -1]], [1.0, -1.0, 1, 1])
    wide = P.intersect(Polyhedron.whole(2))
    assert chebyshev_ball(wide).radius == 0.0
    slit = Polyhedron([[1.0], [-1.0]], [np.nextafter(1, 2), -1.0])
    ball = chebyshev_ball(slit)
    assert ball.center[0] == Fraction(1) + Fraction(1, 2**53)
    assert ball.radius == pytest.approx(2.0**-53, rel=1e-15)
    assert ball.upper == pytest.approx(2.0**-53, rel=1e-15)
    assert ball.holds(slit).level is Level.EXACT


@given(polyhedra(max_dim=3), st.lists(st.integers(-5, 5), min_size=3, max_size=3))
def test_the_active_set_method_finds_the_projection(P, target):
    target = np.array(target[: P.dim], dtype=float)
    A, b = P.exact_rows(np.arange(P.n_rows))
    found = nearest_point(A, b, rational_matrix(target))
    assert (found is None) == is_empty(P)
    if found is not None:
        point, multipliers = found
        rows = fractions_array(P.A.ravel()).reshape(P.A.shape)
        assert (multipliers @ rows == fractions_array(target) - point).all()
        slacks = fractions_array(P.b) - rows @ point
        assert all(s >= 0 and s * w == 0 and w >= 0 for s, w in zip(slacks, multipliers, strict=True))
        assert (point == project(P, target).point).all()
