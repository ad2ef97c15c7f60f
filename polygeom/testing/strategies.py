"""Hypothesis strategies: networks ordinary and degenerate, points, polyhedra and slices with many coincidences.

What is drawn shrinks to small integers, few units and few layers, and a failing example is printed as the call
that makes it. So numbers are drawn one by one: each float shrinks to a whole number by itself, which the seed of a
generator would not.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from polygeom.affine import AffineMap
from polygeom.certificates.feasibility import InteriorPoint
from polygeom.errors import MissingPackageError
from polygeom.network import Network
from polygeom.pieces import piece_at
from polygeom.polyhedron import Polyhedron
from polygeom.ranks import has_full_rank
from polygeom.testing.families import FAMILIES, integer_layers, overlapping_maxima
from polygeom.testing.wording import as_numbers

try:
    from hypothesis import strategies as st
except ImportError:
    drawing = "Drawing networks (the laws, assert_partition and others, do without)"
    raise MissingPackageError(drawing, "hypothesis", extra="testing") from None

__all__ = [
    "ACTIVATIONS",
    "affine_maps",
    "any_networks",
    "degenerate_networks",
    "directions",
    "generic_points",
    "graph_networks",
    "matrices",
    "networks",
    "points",
    "polyhedra",
]

ACTIVATIONS = (("relu",), ("leaky_relu",), ("abs",), ("relu6",), ("hardtanh",), ("clamp", 1.0, 1.0))
"""Units of drawn networks, as `Network.from_layers` takes them; the last one is a constant with a breakpoint."""

INTEGERS, FLOATS = "integers", "floats"
"""Kinds of entries; Hypothesis shrinks towards the first."""

Layers = list[tuple[np.ndarray, np.ndarray]]


# -- numbers -----------------------------------------------------------------------------------------------------


LARGEST, SMALLEST = 3.0, 1 / 64
"""Sizes of drawn floats, if they are not 0; extreme ones come from a common scale."""

SCALES = (0, 0, 0, 0, -6, 6, -160, 160)
"""Powers of ten that floats are multiplied by."""


def _numbers(draw: st.DrawFn, kind: str, *shape: int) -> np.ndarray:
    """Draw an array of integers -2 .. 2, or of floats."""
    size = int(np.prod(shape))
    numbers = np.array(draw(st.lists(_entries(kind), min_size=size, max_size=size)), dtype=np.float64)
    return numbers.reshape(shape)


def _entries(kind: str) -> st.SearchStrategy:
    if kind == INTEGERS:
        return st.integers(-2, 2)
    return st.floats(-LARGEST, LARGEST).map(lambda v: v if abs(v) >= SMALLEST else 0.0)


def _scale(draw: st.DrawFn, kind: str) -> float:
    return 1.0 if kind == INTEGERS else 10.0 ** draw(st.sampled_from(SCALES))


def _kind(draw: st.DrawFn) -> str:
    return draw(st.sampled_from([INTEGERS, FLOATS]))


@st.composite
def matrices(draw: st.DrawFn, rows: int, columns: int) -> np.ndarray:
    """Draw small integers (ties everywhere), or floats at some power-of-ten scale.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(matrices(1, 2), lambda A: A.sum() > 2).tolist()
    [[1.0, 2.0]]
    """
    kind = _kind(draw)
    scale = _scale(draw, kind)
    return _numbers(draw, kind, rows, columns) * scale


@st.composite
def points(draw: st.DrawFn, dim: int) -> np.ndarray:
    """Draw small integers and halves (on boundaries of integer networks), generic or extreme floats.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(points(2), lambda x: x[0] > 0).tolist()
    [0.5, 0.0]
    """
    kind = draw(st.sampled_from([INTEGERS] * 10 + [FLOATS] * 9 + ["extremes"]))
    if kind == INTEGERS:
        return np.array(draw(st.lists(st.integers(-4, 4), min_size=dim, max_size=dim))) / 2
    if kind == FLOATS:
        return _numbers(draw, kind, dim)
    smallest, subnormal = np.ldexp(1.0, -1074), np.ldexp(1.0, -1030)
    extremes = st.sampled_from([0.0, -0.0, smallest, -smallest, subnormal, 1e308, -1e308])
    return np.array(draw(st.lists(extremes, min_size=dim, max_size=dim)))


@st.composite
def directions(draw: st.DrawFn, dim: int) -> np.ndarray:
    """Draw a vector other than 0: small integers, axes among them, or generic floats.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(directions(2), lambda v: True).tolist()
    [0.0, 1.0]
    """
    vector = _numbers(draw, _kind(draw), dim)
    if not vector.any():
        vector[-1] = 1.0
    return vector


@st.composite
def affine_maps(draw: st.DrawFn, dim_in: int, dim_out: int) -> AffineMap:
    """Draw an affine map R^dim_in -> R^dim_out of full rank: a slice, or a change of coordinates.

    Examples
    --------
    >>> from hypothesis import find
    >>> along = find(affine_maps(1, 2), lambda along: True)
    >>> along.matrix.ravel(), along.offset
    (array([1., 0.]), array([0., 0.]))
    """
    kind = _kind(draw)
    matrix, offset = _numbers(draw, kind, dim_out, dim_in), _numbers(draw, kind, dim_out)
    # det(M + t I) has at most as many roots as rows: some small t makes the rank full
    spread = (matrix + t * np.eye(dim_out, dim_in) for t in range(min(dim_in, dim_out) + 1))
    matrix = next(M for M in spread if has_full_rank(M))
    return draw(st.builds(AffineMap, st.just(as_numbers(matrix)), st.just(as_numbers(offset))))


# -- networks ----------------------------------------------------------------------------------------------------


def _degenerate(draw: st.DrawFn, W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make some unit of a layer a duplicate, an anti-parallel or scaled copy, nearly parallel, or dead."""
    W, b = W.copy(), b.copy()
    kind = draw(
        st.sampled_from(["none", "central", "zero", "dead", "duplicate", "opposite", "scaled", "near"])
    )
    if kind == "central":
        b[:] = 0
    elif kind == "zero":
        W[-1], b[-1] = 0, draw(st.sampled_from([0.0, 1.0, -1.0]))
    elif kind == "dead":
        W[-1], b[-1] = 0, -1.0
    elif kind != "none" and len(W) > 1:
        factor = {"duplicate": 1.0, "opposite": -1.0, "scaled": 3.0, "near": 1.0}[kind]
        W[-1], b[-1] = factor * W[0], factor * b[0]
        if kind == "near":
            W[-1, 0] += 10.0 ** -draw(st.integers(4, 12))
    return W, b


def _bias(draw: st.DrawFn, n: int) -> np.ndarray:
    return draw(matrices(n, 1)).ravel()


def _built(draw: st.DrawFn, layers: Layers, activation: Sequence) -> Network:
    """Return the dense network; drawn by `builds`, so that a report shows the call."""
    pairs = [(as_numbers(W), as_numbers(b)) for W, b in layers]
    return draw(st.builds(Network.from_layers, st.just(pairs), *map(st.just, activation)))


@st.composite
def networks(draw: st.DrawFn, max_dim: int = 3, max_width: int = 5, max_depth: int = 3) -> Network:
    """Draw dense networks, degenerate as often as not, of all kinds of units.

    Parameters
    ----------
    max_dim, max_width, max_depth : int
        Most inputs, units of a layer and hidden layers.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5, deadline=None)
    ... @given(networks(max_dim=2))
    ... def law(net):
    ...     assert net.dim_in <= 2
    >>> law()
    """
    width, depth = draw(st.integers(1, max_dim)), draw(st.integers(1, max_depth))
    activation = draw(st.sampled_from(ACTIVATIONS))
    layers = []
    for k in range(depth + 1):
        longest = max_width if k else max_dim
        layers.append(_degenerate(draw, *_layer(draw, width, longest, max_width if k < depth else 2)))
        width = len(layers[-1][0])
    return _built(draw, layers, activation)


def _layer(draw: st.DrawFn, width: int, longest: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw weights and biases of at most so many units.

    Every unit has `longest` weights, of which the first `width` are taken: so Hypothesis can take away any unit,
    of this layer or of the one before.
    """
    kind = _kind(draw)
    scales = _scale(draw, kind), _scale(draw, kind)
    unit = st.lists(_entries(kind), min_size=longest + 1, max_size=longest + 1)
    units = np.array(draw(st.lists(unit, min_size=1, max_size=most)), dtype=np.float64)
    return units[:, 1 : width + 1] * scales[0], units[:, 0] * scales[1]


@st.composite
def degenerate_networks(draw: st.DrawFn, dims: Sequence[int] = (1, 2, 3), max_width: int = 4) -> Network:
    """Draw a member of some family of `polygeom.testing.FAMILIES`, with one or two hidden layers.

    Parameters
    ----------
    dims : sequence of int
        Numbers of inputs to choose from.
    max_width : int
        Most units of a layer.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5, deadline=None)
    ... @given(degenerate_networks(dims=[2]))
    ... def law(net):
    ...     assert net(np.zeros((3, 2))).shape == (3, 1)
    >>> law()
    """
    family = FAMILIES[draw(st.sampled_from(list(FAMILIES)))]
    hidden = draw(st.lists(st.integers(2, max_width), min_size=1, max_size=2))
    widths = (draw(st.sampled_from(list(dims))), *hidden, 1)
    widths = family.widths(widths)
    kind = INTEGERS if family.draw is integer_layers else _kind(draw)
    layers = [(_numbers(draw, kind, m, n), _numbers(draw, kind, m)) for n, m in pairwise(widths)]
    return _built(draw, family.edited(layers), family.activation)


@st.composite
def graph_networks(draw: st.DrawFn) -> Network:
    """Draw a small graph: dense, units, residual sum, concatenation, maxima over overlapping windows, dense.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5, deadline=None)
    ... @given(graph_networks())
    ... def law(net):
    ...     assert len(net.gates) == 2
    >>> law()
    """
    n, m = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    gate, sign = draw(st.sampled_from(ACTIVATIONS)), draw(st.sampled_from([1.0, -1.0]))
    maps = (draw(matrices(m, n)), _bias(draw, m)), (draw(matrices(m, m)), _bias(draw, m))
    head = draw(matrices(1, 2 * m - 1))
    parts = as_numbers(maps), gate, sign, as_numbers(head)
    return draw(st.builds(overlapping_maxima, *map(st.just, parts)))


def any_networks() -> st.SearchStrategy[Network]:
    """Draw dense networks and graphs.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5, deadline=None)
    ... @given(any_networks())
    ... def law(net):
    ...     assert net.n_units
    >>> law()
    """
    return st.one_of(networks(), graph_networks())


# -- polyhedra, and points off boundaries ------------------------------------------------------------------------


@st.composite
def polyhedra(draw: st.DrawFn, max_dim: int = 3, max_rows: int = 7) -> Polyhedron:
    """Draw any polyhedron: empty, lower-dimensional, unbounded, with zero, duplicate and scaled rows.

    Examples
    --------
    >>> from hypothesis import find
    >>> from polygeom import is_empty
    >>> from polygeom.testing.wording import written
    >>> written(find(polyhedra(), is_empty))
    'Polyhedron([[0]], [-1])'
    """
    d, m = draw(st.integers(1, max_dim)), draw(st.integers(0, max_rows))
    A, b = draw(matrices(m, d)), _bias(draw, m)
    if m > 1 and draw(st.booleans()):
        A, b = _degenerate(draw, A, b)
    if not m:
        return Polyhedron.whole(d)
    return draw(st.builds(Polyhedron, st.just(as_numbers(A)), st.just(as_numbers(b))))


@st.composite
def generic_points(draw: st.DrawFn, net: Network) -> np.ndarray:
    """Draw a point off all boundaries of a network, proved: in the interior of its cell.

    Small multiples of 1/4, else floats near 0.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> net = Network.from_layers([([[1, 0], [0, 1]], [0, 0]), ([[1, 1]], None)])
    >>> @settings(max_examples=5, deadline=None)
    ... @given(generic_points(net))
    ... def law(x):
    ...     assert x.all()
    >>> law()
    """
    quarters = st.lists(st.integers(-16, 16), min_size=net.dim_in, max_size=net.dim_in)
    floats = st.lists(st.floats(-LARGEST, LARGEST), min_size=net.dim_in, max_size=net.dim_in)
    anywhere = st.one_of(quarters.map(lambda k: np.array(k, dtype=np.float64) / 4), floats.map(np.array))
    return draw(anywhere.filter(lambda x: InteriorPoint(x).holds(piece_at(net, x).polyhedron)))
