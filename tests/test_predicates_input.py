"""What every predicate is asked about: polyhedra and pieces; everything else is refused by name."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given

import polygeom as pg
from polygeom.certificates.check import Level
from polygeom.errors import InputError, UndecidedError
from tests.test_feasibility import polyhedra

LAST = (np.ones((1, 4)), [0.0])
NET = pg.Network.from_layers(
    [([[1.0, 2.0], [-1.0, 1.0], [0.5, -1.0], [1.0, 0.0]], [0.25, -0.5, 1.0, 3]), LAST]
)
PIECE = pg.piece_at(NET, [0.3, 0.2])
BOX = pg.Polyhedron.box(-4, 4, dim=2)

ABOUT_ONE = {
    "apex": lambda P: pg.apex(P).exists,
    "boundedness": lambda P: pg.boundedness(P).bounded,
    "chebyshev_ball": lambda P: pg.chebyshev_ball(P).radius,
    "dimension": pg.dimension,
    "feasibility": lambda P: (pg.feasibility(P).feasible, pg.feasibility(P).dim),
    "implicit_equalities": pg.implicit_equalities,
    "interior_point": lambda P: pg.interior_point(P).tolist(),
    "is_bounded": pg.is_bounded,
    "is_cone": pg.is_cone,
    "is_empty": pg.is_empty,
    "origin_test": lambda P: pg.origin_test(P).contains_origin,
    "project": lambda P: pg.project(P, [9.0, 9.0]).point.tolist(),
    "recession_cone": lambda P: pg.recession_cone(P).dim,
    "vertices": lambda P: pg.vertices(P).exact.tolist(),
    "volume": pg.volume,
}
ABOUT_TWO = {
    "inclusion": lambda P, Q: pg.inclusion(P, Q).included,
    "is_equal": pg.is_equal,
    "is_subset": pg.is_subset,
}
UNBOUNDED = {"inscribed_ellipsoid": pg.inscribed_ellipsoid}
FOREIGN = [None, "x", np.eye(2), [[1.0]], 3]
METHODS = [
    name for name in (*ABOUT_ONE, *ABOUT_TWO) if "method" in inspect.signature(getattr(pg, name)).parameters
]


def test_no_predicate_is_forgotten():
    public = {
        n
        for n in dir(pg.predicates)
        if not n.startswith("_") and inspect.isfunction(getattr(pg.predicates, n))
    }
    stacks = {"facets", "facets_batch"}  # their input is tried in their own tests
    assert public - stacks == ABOUT_ONE.keys() | ABOUT_TWO.keys() | UNBOUNDED.keys()


@pytest.mark.parametrize("name", ABOUT_ONE)
def test_a_piece_is_its_closed_cell(name):
    assert ABOUT_ONE[name](PIECE) == ABOUT_ONE[name](PIECE.polyhedron)


@pytest.mark.parametrize("name", ABOUT_TWO)
def test_a_piece_is_its_closed_cell_on_both_sides(name):
    ask = ABOUT_TWO[name]
    assert ask(PIECE, BOX) == ask(PIECE.polyhedron, BOX)
    assert ask(BOX, PIECE) == ask(BOX, PIECE.polyhedron)
    assert ask(PIECE, PIECE)


def test_the_ellipsoid_of_a_piece_is_that_of_its_cell():
    net = pg.Network.from_layers([(np.vstack([np.eye(2), -np.eye(2)]), np.ones(4)), LAST])
    piece = pg.piece_at(net, [0.1, 0.1])
    assert (pg.inscribed_ellipsoid(piece).shape == pg.inscribed_ellipsoid(piece.polyhedron).shape).all()


@pytest.mark.parametrize("junk", FOREIGN, ids=lambda junk: type(junk).__name__)
@pytest.mark.parametrize("name", [*ABOUT_ONE, *UNBOUNDED])
def test_anything_else_is_refused(name, junk):
    with pytest.raises(InputError, match="wanted a Polyhedron"):
        (ABOUT_ONE | UNBOUNDED)[name](junk)


@pytest.mark.parametrize("junk", FOREIGN, ids=lambda junk: type(junk).__name__)
@pytest.mark.parametrize("name", ABOUT_TWO)
def test_anything_else_is_refused_on_both_sides(name, junk):
    with pytest.raises(InputError, match="P is a"):
        ABOUT_TWO[name](junk, BOX)
    with pytest.raises(InputError, match="Q is a"):
        ABOUT_TWO[name](BOX, junk)


@pytest.mark.parametrize("method", ["guess", None, 1, "LP"])
@pytest.mark.parametrize("name", METHODS)
def test_methods_that_do_not_exist_are_refused(name, method):
    about = (BOX, BOX) if name in ABOUT_TWO else (BOX,)
    with pytest.raises(InputError, match="wanted one of 'auto', 'lp'"):
        getattr(pg, name)(*about, method=method)


def test_every_linear_question_has_a_second_opinion():
    programs = {
        "boundedness",
        "chebyshev_ball",
        "dimension",
        "feasibility",
        "implicit_equalities",
        "inclusion",
    }
    programs |= {"interior_point", "is_bounded", "is_empty", "is_equal", "is_subset", "recession_cone"}
    assert programs <= set(METHODS)


@given(polyhedra())
def test_second_opinions_agree(P):
    empty = pg.is_empty(P, method="lp")
    assert empty == pg.is_empty(P)
    assert pg.dimension(P, method="lp") == pg.dimension(P)
    assert pg.is_bounded(P, method="lp") == pg.is_bounded(P)
    first, second = pg.recession_cone(P), pg.recession_cone(P, method="lp")
    assert second.holds(P).level is Level.EXACT
    assert (second.dim, second.implicit.tolist()) == (first.dim, sorted(first.implicit.tolist()))
    assert (pg.interior_point(P, method="lp") is None) == (pg.interior_point(P) is None)
    if empty:
        return
    rows = {e.row for e in pg.implicit_equalities(P)}
    assert {e.row for e in pg.implicit_equalities(P, method="lp")} == rows
    ball, other = pg.chebyshev_ball(P), pg.chebyshev_ball(P, method="lp")
    assert other.holds(P)
    assert ball.radius <= other.upper
    assert other.radius <= ball.upper


@given(polyhedra(max_dim=2), polyhedra(max_dim=2))
def test_second_opinions_on_two_agree(P, Q):
    if P.dim != Q.dim:
        return
    for ask in (pg.is_subset, pg.is_equal):
        try:
            assert ask(P, Q, method="lp") == ask(P, Q)
        except UndecidedError:
            continue


def test_the_second_opinion_uses_no_other_method(monkeypatch):
    """Neither Newton's method nor the exact simplex method runs for method="lp"."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    from polygeom.predicates import cone_search, rational

    monkeypatch.setattr(cone_search.ConeSearch, "proposals", never)
    monkeypatch.setattr(rational.RationalLp, "maximize", never)
    strip = pg.Polyhedron([[1, 0], [-1, 0]], [1, 1])
    for P in (BOX, strip, pg.Polyhedron([[1, 0], [-1, 0]], [-1, -1])):
        pg.boundedness(P, method="lp")
        pg.recession_cone(P, method="lp")
        pg.feasibility(P, method="lp")
        pg.inclusion(P, BOX, method="lp")
        if not pg.is_empty(P, method="lp"):
            pg.chebyshev_ball(P, method="lp")
