"""Pieces: the closed cell is the set of points with the code, rows are exact, slices are pullbacks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polygeom import pieces
from polygeom.affine import AffineMap
from polygeom.enclosures import enclose_pass
from polygeom.errors import InputError, TooLargeError
from polygeom.exact import nearest_float
from polygeom.gates import Elementwise, MaxGate, elementwise_gate
from polygeom.network import Network
from polygeom.pieces import piece_at, spline_codes
from polygeom.predicates import dimension, facets
from polygeom.steps import Convolution, Dense, Gather
from polygeom.testing import any_networks, matrices, points
from tests.oracles import exact_walk, within

TWO_LAYERS = Network.from_layers(
    [([[1, 0], [0, 1], [1, 1]], [0, 0, 0]), ([[1, -1, 0], [1, 1, -1]], [0, 0]), ([[1, 1]], [0])]
)


def _fractions(matrix: object) -> list[list[Fraction]]:
    return [[Fraction(int(v.p), int(v.q)) for v in row] for row in matrix.table()]


@given(st.data())
def test_the_point_lies_in_its_closed_cell_and_the_map_is_the_network(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x = data.draw(points(net.dim_in))
    piece = piece_at(net, x)
    assert piece.polyhedron.contains(x)
    matrix, offset = (_fractions(m) for m in piece.exact_affine_map())
    value = [
        sum((a * Fraction(float(v)) for a, v in zip(row, x, strict=True)), c)
        for row, (c,) in zip(matrix, offset, strict=True)
    ]
    assert value == exact_walk(net, x)[0]
    floats = np.array([[nearest_float(v) for v in row] for row in matrix])
    if np.abs(floats).max(initial=0.0) < 1e6 and np.abs(net.steps[0].entries).max(initial=0.0) < 1e6:
        assert piece.affine_map.matrix == pytest.approx(floats, rel=1e-9, abs=1e-6)


@given(st.data())
def test_the_interior_has_the_code_and_the_outside_has_not(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x, y = data.draw(points(net.dim_in)), data.draw(points(net.dim_in))
    piece = piece_at(net, x)
    signs = piece.polyhedron.slack_signs(y[None])[0]
    same = np.array_equal(exact_walk(net, y)[1], piece.code)
    if (signs > 0).all() and piece.polyhedron.slack_signs(x[None]).all():
        assert same
    if (signs < 0).any():
        assert not same


@given(st.data())
def test_rows_are_within_their_error_bounds_whichever_way_they_come(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x = data.draw(points(net.dim_in))
    piece = piece_at(net, x)
    pushed, pulled = piece.polyhedron, piece.labeled_rows(piece.labels)
    exact_A, exact_b = (_fractions(m) for m in piece.exact_rows(piece.labels))
    for P in (pushed, pulled):
        A_error = np.zeros_like(P.A) if P.A_error is None else P.A_error
        b_error = np.zeros_like(P.b) if P.b_error is None else P.b_error
        for i, (row, (side,)) in enumerate(zip(exact_A, exact_b, strict=True)):
            assert within(P.b[i], b_error[i], side)
            assert all(within(P.A[i, j], A_error[i, j], t) for j, t in enumerate(row))
    assert all(any(row) for row in exact_A)


@given(st.data())
def test_the_piece_of_a_slice_is_the_pullback_of_the_piece(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    k = data.draw(st.integers(1, 2))
    along = AffineMap(data.draw(matrices(net.dim_in, k)), data.draw(points(net.dim_in)))
    w, v = data.draw(points(k)), data.draw(points(k))
    image = [
        sum(
            (Fraction(float(m)) * Fraction(float(t)) for m, t in zip(row, w, strict=True)), Fraction(float(c))
        )
        for row, c in zip(along.matrix, along.offset, strict=True)
    ]
    sliced = piece_at(net, w, along=along)
    assert np.array_equal(sliced.code, exact_walk(net, image)[1])
    floats = np.array([nearest_float(f) for f in image])
    if np.isfinite(floats).all() and all(Fraction(f) == g for f, g in zip(floats, image, strict=True)):
        whole = piece_at(net, floats)
        assert sliced.polyhedron.contains(v) == whole.polyhedron.pullback(along).contains(v)


@given(st.data())
def test_slacks_and_rates_of_all_rows(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x, y, v = (data.draw(points(net.dim_in)) for _ in range(3))
    piece = piece_at(net, x)
    slack, slack_error = piece.slacks(y)
    rate, rate_error = piece.rates(v)
    exact_A, exact_b = (_fractions(m) for m in piece.exact_rows(piece.labels))
    for i, (row, (side,)) in enumerate(zip(exact_A, exact_b, strict=True)):
        at_y = side - sum((a * Fraction(float(t)) for a, t in zip(row, y, strict=True)), Fraction(0))
        along_v = sum((a * Fraction(float(t)) for a, t in zip(row, v, strict=True)), Fraction(0))
        assert within(slack[0, i], slack_error[0, i], at_y)
        assert within(rate[0, i], rate_error[0, i], along_v)


@given(st.data())
@example(None)
def test_toward_takes_the_cell_that_the_ray_enters(data: st.DataObject | None) -> None:
    net, x, v = TWO_LAYERS, np.zeros(2), np.array([1.0, 2.0])
    if data is not None:
        net = data.draw(any_networks())
        x, v = data.draw(points(net.dim_in)), data.draw(points(net.dim_in).filter(np.any))
    piece = piece_at(net, x, toward=v)
    assert piece.polyhedron.contains(x)
    step = Fraction(1, 2**9000)
    beyond = [Fraction(float(a)) + step * Fraction(float(b)) for a, b in zip(x, v, strict=True)]
    assert np.array_equal(piece.code, exact_walk(net, beyond)[1])


def test_a_unit_that_vanishes_on_the_cell_draws_no_row() -> None:
    piece = piece_at(TWO_LAYERS, [1, 2])
    assert list(piece.units) == [0, 1, 2, 3]
    assert list(piece.code) == [1, 1, 1, 0, 0]


def test_units_with_two_breakpoints_draw_two_rows_between_them() -> None:
    net = Network.from_layers([([[1.0]], [0.0]), ([[1.0]], [0.0])], "hardtanh")
    inside, above = piece_at(net, [0.5]), piece_at(net, [2.0])
    assert (list(inside.units), list(inside.labels.sides)) == ([0, 0], [0, 1])
    assert (list(above.units), list(above.labels.sides)) == ([0], [1])
    assert above.polyhedron.ray_interval([1.0]).lower == 1


def test_max_gates_draw_rows_against_rivals_but_not_between_dead_values() -> None:
    window = np.array([[0, 1, 2, -1]])
    shapes = {"shapes": ((3,),), "shape": (3,)}
    relu = Elementwise(inputs=(0,), **shapes, **elementwise_gate("relu"))
    net = Network((relu, MaxGate(inputs=(1,), shapes=((3,),), shape=(1,), index=window)), (3,))
    alive = piece_at(net, [3.0, 2.0, -1.0])
    assert list(zip(alive.units[3:], alive.labels.sides[3:], strict=True)) == [(3, 1), (3, 2)]
    assert list(piece_at(net, [-1.0, -2.0, -1.0]).units) == [0, 1, 2]


def test_convolutions_push_and_pull_alike() -> None:
    rng = np.random.default_rng(3)
    convolution = Convolution(
        inputs=(0,), shapes=((2, 5, 4),), shape=(3, 3, 2), weight=rng.standard_normal((3, 2, 3, 3)),
        constant=rng.standard_normal((3, 1, 1)), stride=(2, 2), padding=((1, 1), (1, 1)), dilation=(1, 1),
    )  # fmt: skip
    relu = Elementwise(inputs=(1,), shapes=((3, 3, 2),), shape=(3, 3, 2), **elementwise_gate("relu"))
    flat = Gather(inputs=(2,), shapes=((3, 3, 2),), shape=(18,), index=np.arange(18))
    windows = np.arange(18).reshape(6, 3)
    net = Network(
        (convolution, relu, flat, MaxGate(inputs=(3,), shapes=((18,),), shape=(6,), index=windows)), (2, 5, 4)
    )
    x = rng.standard_normal((2, 5, 4))
    piece = piece_at(net, x)
    P, Q = piece.polyhedron, piece.labeled_rows(piece.labels)
    assert P.contains(x.ravel())
    assert (np.abs(Q.A - P.A) <= Q.A_error + P.A_error).all()
    assert np.array_equal(spline_codes(net, x).letters[0], exact_walk(net, x.ravel())[1])


def test_large_pieces_refuse_to_be_materialized_but_give_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = piece_at(TWO_LAYERS, [1, 2]).polyhedron
    monkeypatch.setattr(pieces, "BYTE_BUDGET", 64)
    piece = piece_at(TWO_LAYERS, [1, 2])
    with pytest.raises(TooLargeError, match=r"rows in R\^2"):
        _ = piece.polyhedron
    assert np.array_equal(piece.rows([1, 3]).A, whole.A[[1, 3]])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: piece_at(TWO_LAYERS, [1, 2, 3]), "wanted"),
        (lambda: piece_at(TWO_LAYERS, [[1, 2], [3, 4]]), "one point"),
        (lambda: piece_at(TWO_LAYERS, [1, np.nan]), "nan"),
        (lambda: piece_at(TWO_LAYERS, [1], along=AffineMap.identity(1)), "another layer"),
        (lambda: piece_at(TWO_LAYERS, [1, 2], toward=[1]), "wanted"),
        (lambda: spline_codes(TWO_LAYERS, [1, 2, 3]), "wanted"),
    ],
)
def test_bad_input_is_refused(call: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        call()


def test_copies_of_one_entry_in_overlapping_windows_draw_no_row() -> None:
    rng = np.random.default_rng(1)
    mix = Dense(inputs=(0,), shapes=((3,),), shape=(5,), weight=rng.standard_normal((5, 3)))
    windows = np.array([[0, 1, 2], [1, 2, 3], [2, 3, 4]])
    pool = MaxGate(inputs=(1,), shapes=((5,),), shape=(3,), index=windows)
    relu = Elementwise(inputs=(2,), shapes=((3,),), shape=(3,), **elementwise_gate("relu"))
    again = MaxGate(inputs=(3,), shapes=((3,),), shape=(1,), index=np.array([[0, 1, 2]]))
    net = Network((mix, pool, relu, again), (3,))
    for x in rng.standard_normal((50, 3)):
        seen = enclose_pass(net, x[None], keep=True)
        assert not seen.undecided.any()
        piece = piece_at(net, x)
        winners = [windows[k][piece.code[k]] for k in range(3)]
        rivals = {
            winners[side] for unit, side in zip(piece.units, piece.labels.sides, strict=True) if unit == 6
        }
        assert winners[piece.code[6]] not in rivals
        exact_A, _ = piece.exact_rows(piece.labels)
        assert all(any(v != 0 for v in row) for row in exact_A.table())


def test_no_points_and_no_units() -> None:
    assert spline_codes(TWO_LAYERS, np.zeros((0, 2))).letters.shape == (0, 5)
    linear = Network.from_layers([(np.eye(2), [0, 1])])
    piece = piece_at(linear, [1, 2])
    assert piece.polyhedron.n_rows == 0
    assert np.array_equal(piece.affine_map.offset, [0, 1])


@given(st.data())
def test_facets_of_a_piece_are_those_of_its_closed_cell(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x, v = data.draw(points(net.dim_in)), data.draw(points(net.dim_in).filter(np.any))
    piece = piece_at(net, x, toward=v)
    if dimension(piece) < piece.dim_in:
        return
    report = facets(piece)
    assert report.holds(piece.polyhedron)
    assert not len(report.undecided)


@given(st.data())
def test_letters_without_rationals_are_right_where_decided(data: st.DataObject) -> None:
    net = data.draw(any_networks())
    x, v = data.draw(points(net.dim_in)), data.draw(points(net.dim_in).filter(np.any))
    expected, entered = spline_codes(net, x).letters, piece_at(net, x, toward=v).code
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polygeom.rational_network.BUDGET", 0)
        found, piece = spline_codes(net, x), piece_at(net, x, toward=v)
    decided = ~found.undecided
    assert np.array_equal(found.letters[decided], expected[decided])
    if not len(piece.undecided):
        assert np.array_equal(piece.code, entered)
