"""Hypothesis strategies: networks (ordinary and degenerate), points and polyhedra with many coincidences."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from polygeom.gates import Elementwise, MaxGate, elementwise_gate
from polygeom.network import Network
from polygeom.polyhedron import Polyhedron
from polygeom.steps import Concatenate, Dense, Sum

ACTIVATIONS = (("relu",), ("leaky_relu",), ("abs",), ("relu6",), ("hardtanh",), ("clamp", 1.0, 1.0))


@st.composite
def matrices(draw: st.DrawFn, rows: int, columns: int) -> np.ndarray:
    """Small integers (ties everywhere), or floats of one seed at some power-of-ten scale."""
    if draw(st.booleans()):
        entries = draw(st.lists(st.integers(-2, 2), min_size=rows * columns, max_size=rows * columns))
        return np.array(entries, dtype=np.float64).reshape(rows, columns)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return rng.standard_normal((rows, columns)) * 10.0 ** draw(
        st.sampled_from([0, 0, 0, 0, -6, 6, -160, 160])
    )


def _degenerate(draw: st.DrawFn, W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make some unit of a layer a duplicate, an anti-parallel or scaled copy, nearly parallel, or dead."""
    W, b = W.copy(), b.copy()
    kind = draw(
        st.sampled_from(["none", "duplicate", "opposite", "scaled", "near", "zero", "dead", "central"])
    )
    if kind == "central":
        b[:] = 0
    elif kind == "zero":
        W[-1], b[-1] = 0, draw(st.sampled_from([-1.0, 0.0, 1.0]))
    elif kind == "dead":
        W[-1], b[-1] = 0, -1.0
    elif kind != "none" and len(W) > 1:
        factor = {"duplicate": 1.0, "opposite": -1.0, "scaled": 3.0, "near": 1.0}[kind]
        W[-1], b[-1] = factor * W[0], factor * b[0]
        if kind == "near":
            W[-1, 0] += 10.0 ** -draw(st.integers(4, 12))
    return W, b


@st.composite
def networks(draw: st.DrawFn, max_dim: int = 3, max_width: int = 5, max_depth: int = 3) -> Network:
    """Dense networks, degenerate as often as not."""
    widths = [draw(st.integers(1, max_dim))]
    widths += draw(st.lists(st.integers(1, max_width), min_size=1, max_size=max_depth))
    widths.append(draw(st.integers(1, 2)))
    layers = []
    for n_in, n_out in pairwise(widths):
        W, b = draw(matrices(n_out, n_in)), draw(matrices(n_out, 1)).ravel()
        layers.append(_degenerate(draw, W, b))
    return Network.from_layers(layers, *draw(st.sampled_from(ACTIVATIONS)))


@st.composite
def graph_networks(draw: st.DrawFn) -> Network:
    """A small graph: dense, ReLU, residual sum, concatenation, maximum over overlapping windows, dense."""
    n, m = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    maps = (draw(matrices(m, n)), _bias(draw, m)), (draw(matrices(m, m)), _bias(draw, m))
    gate, sign = draw(st.sampled_from(ACTIVATIONS)), draw(st.sampled_from([1.0, -1.0]))
    return overlapping_maxima(maps, gate, sign, draw(matrices(1, 2 * m - 1)))


def overlapping_maxima(
    maps: tuple[tuple[np.ndarray, np.ndarray], ...], gate: tuple, sign: float, head: np.ndarray
) -> Network:
    """The graph of `graph_networks` with these two maps, activation, sign of the residual and last weights."""
    (A, a), (B, b) = maps
    m, n = A.shape
    first = Dense(inputs=(0,), shapes=((n,),), shape=(m,), weight=A, constant=a)
    units = Elementwise(inputs=(1,), shapes=((m,),), shape=(m,), **elementwise_gate(*gate))
    second = Dense(inputs=(2,), shapes=((m,),), shape=(m,), weight=B, constant=b)
    total = Sum(inputs=(3, 1), shapes=((m,), (m,)), shape=(m,), coefficients=(1.0, sign))
    both = Concatenate(inputs=(4, 2), shapes=((m,), (m,)), shape=(2 * m,), axis=0)
    windows = np.array([[i, i + 1, i + 2 if i + 2 < 2 * m else -1] for i in range(2 * m - 1)])
    largest = MaxGate(inputs=(5,), shapes=((2 * m,),), shape=(2 * m - 1,), index=windows)
    last = Dense(inputs=(6,), shapes=((2 * m - 1,),), shape=(1,), weight=head)
    return Network((first, units, second, total, both, largest, last), (n,))


def _bias(draw: st.DrawFn, n: int) -> np.ndarray:
    return draw(matrices(n, 1)).ravel()


def any_networks() -> st.SearchStrategy[Network]:
    """Dense and graph networks."""
    return st.one_of(networks(), graph_networks())


@st.composite
def points(draw: st.DrawFn, dim: int) -> np.ndarray:
    """Small integers and halves (on boundaries of integer networks), zeros, generic or extreme floats."""
    if draw(st.booleans()):
        entries = draw(st.lists(st.integers(-4, 4), min_size=dim, max_size=dim))
        return np.array(entries, dtype=np.float64) / 2
    if draw(st.integers(0, 9)) == 0:
        extremes = st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e-310, 1e308, -1e308])
        return np.array(draw(st.lists(extremes, min_size=dim, max_size=dim)))
    return np.random.default_rng(draw(st.integers(0, 2**16))).standard_normal(dim)


@st.composite
def polyhedra(draw: st.DrawFn, max_dim: int = 3, max_rows: int = 7) -> Polyhedron:
    """Any polyhedron: empty, lower-dimensional, unbounded, with zero, duplicate and scaled rows."""
    d, m = draw(st.integers(1, max_dim)), draw(st.integers(0, max_rows))
    A, b = draw(matrices(m, d)), draw(matrices(m, 1)).ravel()
    if m > 1 and draw(st.booleans()):
        A, b = _degenerate(draw, A, b)
    return Polyhedron(A, b)
