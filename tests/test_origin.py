"""Origin tests against scaling points of the polyhedron, and their certificates against tampering."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.certificates import Level
from polygeom.certificates.origin import Escape
from polygeom.errors import InputError, UndecidedError
from polygeom.network import Network
from polygeom.pieces import piece_at
from polygeom.polyhedron import Polyhedron
from polygeom.predicates import apex, dimension, is_cone, is_empty, is_equal, origin_test
from polygeom.predicates.origin import _matrix_free
from polygeom.testing import networks, points, polyhedra


@given(st.data())
def test_signs_and_cones(data: st.DataObject) -> None:
    P = data.draw(polyhedra())
    found = origin_test(P, data.draw(st.one_of(st.none(), points(P.dim))))
    assert found.contains_origin == bool((P.b >= 0).all())
    assert list(found.through_origin) == [i for i in range(P.n_rows) if P.b[i] == 0 and P.A[i].any()]
    for row, side, distance in zip(P.A, P.b, found.distances, strict=True):
        if row.any() and np.isfinite(distance):
            square = Fraction(side) ** 2 / sum(Fraction(a) ** 2 for a in row)
            assert np.sign(distance) in (np.sign(side), 0.0)
            assert abs(Fraction(distance) ** 2 - square) <= square / 2**40 + Fraction(1, 2**1000)
    assert found.holds(P)
    # a closed polyhedron with 0 inside is a cone exactly if it is its own recession cone
    assert found.is_cone == (found.contains_origin and is_equal(P, P.homogeneous()))


@given(st.data())
def test_tampered_proofs_fail(data: st.DataObject) -> None:
    P = data.draw(polyhedra())
    found = origin_test(P)
    assert not replace(found, is_cone=not found.is_cone).holds(P)
    assert not replace(found, through_origin=np.append(found.through_origin, P.n_rows)).holds(P)
    if isinstance(found.cone, Escape):
        backwards = replace(found.cone, direction=-found.cone.direction)
        assert not backwards.holds(P.intersect(Polyhedron(-found.cone.direction[None].astype(float), [0.0])))


@given(networks())
def test_cells_of_networks_without_biases_are_cones(net: Network) -> None:
    bare = Network.from_layers(
        [(s.weight, None) for s in net.steps if hasattr(s, "weight")], "leaky_relu", 0.25
    )
    rng = np.random.default_rng(0)
    piece = piece_at(bare, rng.standard_normal(net.dim_in))
    found = origin_test(piece.polyhedron, piece.witness)
    assert found.is_cone
    assert found.holds(piece.polyhedron).level is Level.EXACT
    assert len(found.through_origin) == len(piece.units)


def test_a_redundant_row_off_the_origin_does_not_spoil_a_cone() -> None:
    P = Polyhedron([[-1, 0], [0, -1], [-1, -1]], [0, 0, 1])
    found = origin_test(P)
    assert found.is_cone
    assert found.holds(P).level is Level.EXACT
    assert is_cone(P)


def test_forged_distances_fail() -> None:
    P = Polyhedron([[3, 4], [0, 0], [1e-170, 0]], [10, 1, 1e-170])
    found = origin_test(P)
    assert found.distances == pytest.approx([2.0, np.inf, 1.0])
    for forged in (
        [2.1, np.inf, 1.0],
        [2.0, 1.0, 1.0],
        [2.0, np.inf, 1.1],
        [2.0, np.inf],
        [2.0, np.nan, 1.0],
    ):
        assert not replace(found, distances=np.array(forged)).holds(P)


def test_whole_space_and_half_spaces() -> None:
    assert is_cone(Polyhedron.whole(2))
    assert is_cone(Polyhedron([[0, 0]], [3]))
    assert not is_cone(Polyhedron([[1, 0]], [3]))
    assert origin_test(Polyhedron([[0, 0], [3, 4]], [1, 10])).distances == pytest.approx([np.inf, 2.0])


def test_rounded_rows_leave_the_origin_undecided() -> None:
    P = Polyhedron([[1.0]], [0.0], b_error=[1e-12])
    found = origin_test(P)
    assert found.contains_origin is None
    assert found.is_cone is None
    assert list(found.undecided) == [0]
    assert not found.holds(P)
    with pytest.raises(UndecidedError, match="neither proved"):
        is_cone(P)


@given(st.data())
def test_apex_is_a_point_on_every_facet(data: st.DataObject) -> None:
    P = data.draw(polyhedra(max_rows=5))
    shift = data.draw(points(P.dim))
    if is_empty(P) or origin_test(P).is_cone is not True:
        return
    x = Polyhedron(P.A, P.A @ shift)
    if dimension(x) < x.dim:
        return
    if np.array_equal(np.round(P.A), P.A) and max(np.abs(P.A).max(initial=0), np.abs(shift).max()) < 10:
        found = apex(x)
        assert found.exists
        assert found.holds(x)
        for facet in found.report.facets:
            beyond = found.point + np.array([Fraction(a) for a in x.A[facet]])
            assert not replace(found, point=beyond).holds(x)
        assert (x.select(found.report.facets).slack_signs(found.point[None]) == 0).all()


def test_cells_that_are_no_cones_have_no_apex() -> None:
    assert apex(Polyhedron.box(0, 1, dim=3)).exists is False
    assert apex(Polyhedron.orthant(3)).exists
    rng = np.random.default_rng(0)
    wide = Polyhedron(rng.standard_normal((60, 400)), rng.random(60))
    assert apex(wide).exists
    assert apex(wide).holds(wide)
    tall = Polyhedron(rng.standard_normal((160, 150)), 1 + rng.random(160))
    found = apex(tall)
    assert found.exists is False
    assert found.holds(tall).level is Level.EXACT


@given(networks(), st.data())
def test_large_pieces_agree_with_small_ones(net: Network, data: st.DataObject) -> None:
    piece = piece_at(net, data.draw(points(net.dim_in)))
    small, free = origin_test(piece), _matrix_free(piece)
    for name in ("contains_origin", "is_cone"):
        assert getattr(free, name) in (None, getattr(small, name))
    assert set(free.through_origin) <= set(small.through_origin)
    if free.is_cone is not None:
        assert free.holds(piece)
        assert not replace(free, is_cone=not free.is_cone).holds(piece)


def test_bare_arrays_are_refused() -> None:
    with pytest.raises(InputError, match="write Polyhedron"):
        origin_test(np.eye(2))
