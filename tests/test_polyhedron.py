"""Signs, rays and pullbacks of polyhedra agree with Fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.affine import AffineMap
from polygeom.errors import InputError, UndecidedError
from polygeom.polyhedron import UNKNOWN, Polyhedron
from polygeom.testing import matrices, points, polyhedra
from tests.oracles import exact_product, within


def exact_slacks(P: Polyhedron, x: np.ndarray) -> list[Fraction]:
    products = exact_product(P.A, [Fraction(float(v)) for v in x])
    return [Fraction(float(b)) - a for b, a in zip(P.b, products, strict=True)]


@given(st.data())
def test_slack_enclosures_and_signs(data: st.DataObject) -> None:
    P = data.draw(polyhedra())
    x = data.draw(points(P.dim))
    slack, error = P.slack_enclosure(x[None])
    exact = exact_slacks(P, x)
    assert all(within(s, e, t) for s, e, t in zip(slack[0], error[0], exact, strict=True))
    assert list(P.slack_signs(x[None])[0]) == [(s > 0) - (s < 0) for s in exact]
    assert P.contains(x) == all(s >= 0 for s in exact)


@given(st.data())
def test_combinations_are_enclosed(data: st.DataObject) -> None:
    P = data.draw(polyhedra())
    weights = data.draw(points(P.n_rows)) if P.n_rows else np.zeros(0)
    normal, normal_error, offset, offset_error = P.combination_enclosure(weights)
    exact = exact_product(np.column_stack([P.A, P.b]).T, [Fraction(float(w)) for w in weights])
    pairs = zip([*normal, offset], [*normal_error, offset_error], exact, strict=True)
    assert all(within(v, e, t) for v, e, t in pairs)


@given(st.data())
def test_ray_interval_is_exact(data: st.DataObject) -> None:
    P = data.draw(polyhedra())
    direction = data.draw(points(P.dim).filter(np.any))
    found = P.ray_interval(direction)
    rates = exact_product(P.A, [Fraction(float(v)) for v in direction])
    offsets = [Fraction(float(b)) for b in P.b]
    low = max([b / r for r, b in zip(rates, offsets, strict=True) if r < 0], default=-np.inf)
    high = min([b / r for r, b in zip(rates, offsets, strict=True) if r > 0], default=np.inf)
    if low > high or any(r == 0 and b < 0 for r, b in zip(rates, offsets, strict=True)):
        assert found.is_empty
        return
    assert (found.lower, found.upper) == (low, high)
    assert all(rates[i] * high == offsets[i] for i in found.upper_rows)
    assert P.recedes(direction) == all(r <= 0 for r in rates)


@given(st.data())
def test_pullback_is_the_preimage(data: st.DataObject) -> None:
    P = data.draw(polyhedra())
    k = data.draw(st.integers(1, 2))
    along = AffineMap(data.draw(matrices(P.dim, k)), data.draw(points(P.dim)))
    w = data.draw(points(k))
    pulled = P.pullback(along)
    image = [
        a + Fraction(float(c))
        for a, c in zip(
            exact_product(along.matrix, [Fraction(float(v)) for v in w]), along.offset, strict=True
        )
    ]
    inside = all(a <= Fraction(float(b)) for a, b in zip(exact_product(P.A, image), P.b, strict=True))
    assert pulled.contains(w) == inside
    exact_A, _ = pulled.exact_rows(np.arange(pulled.n_rows))
    slop = np.zeros_like(pulled.A) if pulled.A_error is None else pulled.A_error
    for i in range(pulled.n_rows):
        for j in range(k):
            true = Fraction(int(exact_A[i, j].p), int(exact_A[i, j].q))
            assert within(pulled.A[i, j], slop[i, j], true)


@given(st.data())
def test_intersection_and_selection_keep_the_rows(data: st.DataObject) -> None:
    P = data.draw(polyhedra())
    Q = P.pullback(AffineMap.identity(P.dim))
    both = P.intersect(Q)
    x = data.draw(points(P.dim))
    assert both.contains(x) == P.contains(x)
    chosen = np.arange(both.n_rows)[::-1]
    assert np.array_equal(both.select(chosen).slack_signs(x[None]), both.slack_signs(x[None])[:, ::-1])
    exact = both.select(chosen).exact_rows(np.arange(both.n_rows))[1]
    assert [float(v.p) / float(v.q) for v in exact.entries()] == pytest.approx(list(both.b[::-1]))


def test_rounded_rows_without_a_source_leave_ties_unknown() -> None:
    P = Polyhedron([[1.0]], [1.0], A_error=[[1e-12]])
    assert P.slack_signs(np.array([[1.0]]))[0, 0] == UNKNOWN
    assert P.contains([0.5])
    with pytest.raises(UndecidedError, match="rounding error"):
        P.contains([1.0])
    with pytest.raises(UndecidedError):
        P.ray_interval([1.0])


def test_rationals_can_be_points() -> None:
    third = np.array([Fraction(1, 3)], dtype=object)
    assert Polyhedron([[3.0]], [1.0]).slack_signs(third[None])[0, 0] == 0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Polyhedron([[1, 2]], [1, 2]), "must agree"),
        (lambda: Polyhedron([[1, np.nan]], [1]), "nan at index"),
        (lambda: Polyhedron([1, 2], [1]), "shape"),
        (lambda: Polyhedron.box(0, 1), "dim="),
        (lambda: Polyhedron.box([0, 0], [1, 1, 1]), "wanted"),
        (lambda: Polyhedron([[1.0]], [1.0], A_error=[[-1.0]]), "non-negative"),
        (lambda: Polyhedron.box(0, 1, dim=2).ray_interval([0, 0]), "zero vector"),
        (lambda: Polyhedron.box(0, 1, dim=2).contains([1, 2, 3]), "points are rows"),
        (lambda: Polyhedron.box(0, 1, dim=2).intersect(Polyhedron.whole(3)), "wanted a Polyhedron in R\\^2"),
        (lambda: Polyhedron.box(0, 1, dim=2).pullback(AffineMap.identity(3)), "ends in R\\^3, wanted R\\^2"),
    ],
)
def test_bad_input_is_refused(make: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        make()


def test_no_rows_and_zero_rows() -> None:
    assert Polyhedron.whole(2).contains([[1, 2]]).all()
    assert Polyhedron([[0, 0]], [0]).contains([1, 1])
    assert not Polyhedron([[0, 0]], [-1]).contains([1, 1])
    assert Polyhedron([[0, 0]], [-1]).ray_interval([1, 0]).is_empty


def test_exact_zeros_need_no_rationals(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Polyhedron, "exact_rows", never)
    x = np.zeros((1, 5))
    x[0, 0] = 0.3
    assert list(Polyhedron.orthant(5).slack_signs(x)[0]) == [1, 0, 0, 0, 0]
