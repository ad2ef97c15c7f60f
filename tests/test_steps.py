"""Linear steps and gates: forward, adjoint, magnitude and matrix are the same linear map, on random instances."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from polygeom.errors import InputError
from polygeom.gates import Elementwise, MaxGate, elementwise_gate
from polygeom.rounding import dot_error
from polygeom.steps import (
    Average,
    Concatenate,
    Convolution,
    Dense,
    Gather,
    LinearStep,
    Scale,
    Sum,
    TransposedConvolution,
)


def shape(draw: st.DrawFn, axes: int) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.integers(1, 4), min_size=axes, max_size=axes)))


def array(draw: st.DrawFn, shape: tuple[int, ...]) -> np.ndarray:
    """Return small integers, or normal numbers with some zeros."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    if draw(st.booleans()):
        return rng.integers(-2, 3, shape).astype(np.float64)
    return rng.standard_normal(shape) * (rng.random(shape) > 0.2)


def dense(draw: st.DrawFn) -> Dense:
    leading, n, m = shape(draw, draw(st.integers(0, 1))), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    at = {"inputs": (0,), "shapes": ((*leading, n),), "shape": (*leading, m)}
    return Dense(weight=array(draw, (m, n)), constant=array(draw, (m,)), **at)


def convolution(draw: st.DrawFn) -> Convolution:
    dims, groups = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    per, made = draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    each = st.lists(st.integers(1, 3), min_size=dims, max_size=dims)
    kernel, stride, dilation = draw(each), draw(each), draw(each)
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(dims))
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    spatial = [max(s - sum(p), 1) + draw(st.integers(0, 3)) for s, p in zip(spans, padding, strict=True)]
    out = [(n + sum(p) - s) // t + 1 for n, p, s, t in zip(spatial, padding, spans, stride, strict=True)]
    return Convolution(
        inputs=(0,),
        shapes=((groups * per, *spatial),),
        shape=(made, *out),
        weight=array(draw, (made, per, *kernel)),
        constant=array(draw, (made, *(1,) * dims)),
        stride=tuple(stride),
        padding=padding,
        dilation=tuple(dilation),
        groups=groups,
    )


def transposed_convolution(draw: st.DrawFn) -> TransposedConvolution:
    inner = convolution(draw)
    at = {"inputs": (0,), "shapes": (inner.shape,), "shape": inner.shapes[0]}
    constant = array(draw, (inner.shapes[0][0], *(1,) * (len(inner.shape) - 1)))
    return TransposedConvolution(convolution=inner, constant=constant, **at)


def scale(draw: st.DrawFn) -> Scale:
    own = shape(draw, draw(st.integers(1, 3)))
    narrow = draw(st.sampled_from([own, (own[0], *(1,) * (len(own) - 1)), own[-1:]]))
    at = {"inputs": (0,), "shapes": (own,), "shape": own}
    return Scale(scale=array(draw, narrow), constant=array(draw, narrow), **at)


def gather(draw: st.DrawFn) -> Gather:
    own, made = shape(draw, 2), shape(draw, 2)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    index = rng.integers(-1, own[0] * own[1], made)
    return Gather(index=index, constant=array(draw, made), inputs=(0,), shapes=(own,), shape=made)


def average(draw: st.DrawFn) -> Average:
    channels, positions, windows = shape(draw, 3)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    matrix = scipy.sparse.csr_array((rng.random((windows, positions)) > 0.4).astype(np.float64))
    at = {"inputs": (0,), "shapes": ((channels, positions),), "shape": (channels, windows)}
    constant = array(draw, (channels, windows))
    return Average(windows=matrix, counts=rng.integers(1, 10, windows), constant=constant, **at)


def combination(draw: st.DrawFn) -> Sum:
    own, terms = shape(draw, 2), draw(st.integers(1, 3))
    coefficients = tuple(draw(st.sampled_from([1.0, -1.0, 0.5, 0.0, 0.1])) for _ in range(terms))
    at = {"inputs": tuple(range(terms)), "shapes": (own,) * terms, "shape": own}
    return Sum(coefficients=coefficients, constant=array(draw, own), **at)


def concatenation(draw: st.DrawFn) -> Concatenate:
    own, axis = shape(draw, 2), draw(st.integers(0, 1))
    shapes = [tuple(draw(st.integers(1, 3)) if a == axis else n for a, n in enumerate(own)) for _ in range(2)]
    made = tuple(sum(s[a] for s in shapes) if a == axis else n for a, n in enumerate(own))
    at = {"inputs": (0, 1), "shapes": tuple(shapes), "shape": made}
    return Concatenate(axis=axis, constant=array(draw, made), **at)


KINDS: list[Callable[[st.DrawFn], LinearStep]] = [
    dense,
    convolution,
    transposed_convolution,
    scale,
    gather,
    average,
    combination,
    concatenation,
]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def inputs(draw: st.DrawFn, step: LinearStep, rows: int = 2) -> list[np.ndarray]:
    return [array(draw, (rows, *own)) for own in step.shapes]


def exact(step: LinearStep, values: list[np.ndarray]) -> list[list[Fraction]]:
    """Return the outputs in rational arithmetic, from the matrices and divisors alone."""
    matrices, divisors = step.matrices(), step.divisors()
    divisors = np.ones(step.size, dtype=np.int64) if divisors is None else divisors
    constant = np.zeros(step.shape) if step.constant is None else step.constant
    constant = np.broadcast_to(constant, step.shape).ravel()
    rows = []
    for n in range(len(values[0])):
        flat = [[Fraction(v) for v in value[n].ravel()] for value in values]
        rows.append(
            [
                sum(
                    (
                        Fraction(w) * x
                        for M, f in zip(matrices, flat, strict=True)
                        for w, x in zip(M[i], f, strict=True)
                        if w
                    ),
                    Fraction(0),
                )
                / int(divisors[i])
                + Fraction(constant[i])
                for i in range(step.size)
            ]
        )
    return rows


@every_kind
@given(data=st.data())
def test_matrices_are_exact(kind, data):
    """The float forward pass is within its rounding bound of the rational map the matrices give."""
    step = kind(data.draw)
    values = inputs(data.draw, step)
    result = step.forward(*values)
    assert result.shape == (2, *step.shape)
    bound = dot_error(step.magnitude.forward(*map(np.abs, values)), step.terms).reshape(2, -1)
    truth = exact(step, values)
    assert all(
        abs(Fraction(result.reshape(2, -1)[n, i]) - truth[n][i]) <= Fraction(bound[n, i])
        for n in range(2)
        for i in range(step.size)
    )


@every_kind
@given(data=st.data())
def test_the_adjoint_is_the_transpose(kind, data):
    """<L x, y> = <x, L' y>, entry by entry: the adjoint is the product with the transposed matrices."""
    step = kind(data.draw)
    gradient = array(data.draw, (2, *step.shape))
    flat = gradient.reshape(2, -1)
    if (divisors := step.divisors()) is not None:
        flat = flat / divisors
    parts = step.adjoint(gradient)
    assert len(parts) == len(step.shapes)
    for part, own, matrix in zip(parts, step.shapes, step.matrices(), strict=True):
        assert part.shape == (2, *own)
        bound = 2 * dot_error(np.abs(flat) @ np.abs(matrix), max(step.adjoint_terms, len(matrix)))
        assert (np.abs(part.reshape(2, -1) - flat @ matrix) <= bound).all()


@every_kind
@given(data=st.data())
def test_the_magnitude_has_absolute_entries(kind, data):
    step = kind(data.draw)
    for own, absolute in zip(step.matrices(), step.magnitude.matrices(), strict=True):
        assert np.array_equal(np.abs(own), absolute)
    constant = 0.0 if step.constant is None else np.abs(step.constant)
    zero = [np.zeros((1, *own)) for own in step.shapes]
    assert np.array_equal(step.magnitude.forward(*zero)[0], np.broadcast_to(constant, step.shape))


@every_kind
@given(data=st.data())
def test_terms_count_the_products(kind, data):
    """No output adds more products than `terms` says (a division counts as one), nor the adjoint."""
    step = kind(data.draw)
    nonzero = np.concatenate([M != 0 for M in step.matrices()], axis=1)
    assert nonzero.sum(axis=1).max() <= step.terms
    assert max((M != 0).sum(axis=0).max() for M in step.matrices()) <= step.adjoint_terms


@every_kind
@given(data=st.data())
def test_smallest_is_below_every_coefficient(kind, data):
    step = kind(data.draw)
    divisors = step.divisors()
    for matrix in step.matrices():
        entries = np.abs(matrix if divisors is None else matrix / divisors[:, None])
        assert (entries[entries > 0] >= step.smallest).all()


# -- gates -----------------------------------------------------------------------------------------------------

NAMED = {
    "relu": (lambda z: np.maximum(z, 0), ()),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.25 * z), (0.25,)),
    "abs": (np.abs, ()),
    "relu6": (lambda z: np.clip(z, 0, 6), ()),
    "hardtanh": (lambda z: np.clip(z, -1, 1), ()),
    "clamp": (lambda z: np.clip(z, -2, None), (-2.0, None)),
}


@pytest.mark.parametrize("name", NAMED)
@given(data=st.data())
def test_a_letter_chooses_the_piece(name, data):
    function, parameters = NAMED[name]
    own = shape(data.draw, 2)
    gate = Elementwise(**elementwise_gate(name, *parameters), inputs=(0,), shapes=(own,), shape=own)
    z = 4 * array(data.draw, (3, *own))
    letters = gate.read(z)
    breaks = gate.table(gate.breakpoints)
    assert np.array_equal(letters, sum((z > t).astype(int) for t in breaks))
    assert np.array_equal(
        gate.chosen(gate.slopes, letters) * z + gate.chosen(gate.offsets, letters), function(z)
    )


@pytest.mark.parametrize("name", NAMED)
def test_pieces_meet_at_their_breakpoints(name):
    gate = elementwise_gate(name, *NAMED[name][1])
    for k, t in enumerate(gate["breakpoints"].ravel()):
        left, right = (s[k : k + 2].ravel() for s in (gate["slopes"], gate["offsets"]))
        assert left[0] * t + right[0] == left[1] * t + right[1]


@given(data=st.data())
def test_the_letter_of_a_maximum_is_the_first(data):
    n, size, k = (data.draw(st.integers(1, 5)) for _ in range(3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    index = rng.integers(-1, n, (size, k))
    index[:, 0] = rng.integers(0, n, size)
    gate = MaxGate(index=index, inputs=(0,), shapes=((n,),), shape=(size,))
    x = rng.integers(-1, 2, (3, n)).astype(np.float64)
    letters = gate.read(x)
    for row, chosen in zip(x, letters, strict=True):
        for unit in range(size):
            window = [row[i] if i >= 0 else -np.inf for i in index[unit]]
            assert chosen[unit] == window.index(max(window))
    assert np.array_equal(
        np.take_along_axis(x, gate.winners(letters), 1), gate.window(x, -np.inf).max(axis=2)
    )


def test_steps_and_gates_take_no_rows():
    window = MaxGate(index=np.array([[0, 1], [2, -1]]), inputs=(0,), shapes=((3,),), shape=(2,))
    assert window.winners(window.read(np.zeros((0, 3)))).shape == (0, 2)
    at = {"inputs": (0,), "shapes": ((2, 3),), "shape": (2, 2)}
    step = Gather(index=np.array([[0, 5], [-1, 5]]), **at)
    assert step.forward(np.zeros((0, 2, 3))).shape == (0, 2, 2)
    assert step.adjoint(np.zeros((0, 2, 2)))[0].shape == (0, 2, 3)


def test_unknown_units_and_crossed_bounds_are_refused():
    with pytest.raises(InputError, match="swish"):
        elementwise_gate("swish")
    with pytest.raises(InputError, match="wrong order"):
        elementwise_gate("clamp", 1.0, 0.0)
    with pytest.raises(InputError, match="bound"):
        elementwise_gate("clamp", None, None)
