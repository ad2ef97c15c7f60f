"""Regions of network graphs: as the exact oracle finds them, wherever they begin, however they stop."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import flint
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import polygeom as pg
from polygeom.complex_adjacency import _beyond_tied
from polygeom.enumeration.arrays import RegionArrays
from polygeom.enumeration.chain import ENTRIES, dense_chain
from polygeom.enumeration.staged import StagedEngine
from polygeom.enumeration.starts import inner_rows
from polygeom.exact import ScaledMatrix, rational
from polygeom.gates import Elementwise, MaxGate, elementwise_gate
from polygeom.network import Network
from polygeom.steps import Average, Concatenate, Convolution, Dense, Gather, Sum
from polygeom.testing import FAMILIES, graph_networks, networks
from tests.region_oracle import PLANE, SPACE, Code, oracle_regions

DOMAINS = {
    1: [None, pg.Polyhedron.box(-1, 2, dim=1)],
    2: [
        None,
        pg.Polyhedron.box(-2, 2, dim=2),
        pg.Polyhedron([[-1, 0], [0, -1], [1, 1]], [0, 0, 1]),
        pg.Polyhedron([[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [2, 0]], [1, 1, 1, 1, 2, 2]),
        pg.Polyhedron([[-1, 0], [0, -1]], [-3, -5]),
    ],
    3: [None, pg.Polyhedron.box(-2, 2, dim=3)],
}


# -- what is compared ----------------------------------------------------------------------------------------


def everything(engine: StagedEngine, regions: int = 1000) -> RegionArrays:
    """Run an engine to its end, some regions at a time."""
    parts = []
    while not engine.finished:
        engine.run(regions)
        parts.append(engine.take())
    return RegionArrays.joined(parts)


def letters_of(net: Network, arrays: RegionArrays) -> list[Code]:
    if all(g.n_letters <= 2 for g in net.gates):
        letters = np.unpackbits(arrays.packed, axis=1)[:, : net.n_units]
    else:
        letters = arrays.packed.view(net.letter_dtype)
    return [tuple(code) for code in letters.tolist()]


def assert_equals_oracle(net: Network, domain: object = None, along: object = None, mode: int = 2):
    """Codes, facets, boundedness and vertices are those of the oracle; untied facets flip their unit alone."""
    engine = StagedEngine(net, domain, along, mode)
    arrays, truth = everything(engine), oracle_regions(net, domain, along)
    codes = letters_of(net, arrays)
    assert len(codes) == len(set(codes)) == engine.n_regions
    assert set(codes) == set(truth)
    assert engine.exactness.undecided == 0
    assert engine.n_bounded == sum(r.bounded for r in truth.values())
    for i, code in enumerate(codes):
        region, own = truth[code], slice(arrays.facet_start[i], arrays.facet_start[i + 1])
        units, tied = arrays.facet_units[own].tolist(), arrays.facet_tied[own].tolist()
        assert len(units) == len(region.facets)
        assert all(any(u in f.units for f in region.facets) for u in units)
        assert arrays.domain_facets[i] == region.domain_facets
        assert arrays.bounded[i] == region.bounded
        flips = [
            ({j for j, (a, b) in enumerate(zip(code, f.neighbor, strict=True)) if a != b})
            for f in region.facets
        ]
        assert all({u} in flips for u, t in zip(units, tied, strict=True) if not t)
        if mode == 2:
            rays = arrays.vertices[arrays.vertex_start[i] : arrays.vertex_start[i + 1]]
            assert (rays[:, -1] == 1).sum() == len(region.points)
            assert (rays[:, -1] == 0).sum() == len(region.rays)
    if mode == 2 and arrays.vertices.shape[1] == 3:
        assert sorted(arrays.edge_units[arrays.edge_units >= 0]) == sorted(arrays.facet_units)
    assert_witnesses_inside(net, arrays, codes, along)


def assert_witnesses_inside(net: Network, arrays: RegionArrays, codes: list[Code], along: object) -> None:
    """Every witness has its region's letters, exactly."""
    exact = net.exact()
    for i, code in enumerate(codes):
        point = arrays.exact_witnesses.get(i, arrays.witnesses[i])
        x = point if along is None else _exactly_along(along, point)
        assert tuple(exact.letters(exact.point(x)).tolist()) == code


def _exactly_along(along: pg.AffineMap, point: object) -> list[object]:
    from fractions import Fraction

    y = [Fraction(v) for v in point]
    return [
        Fraction(c) + sum(Fraction(a) * v for a, v in zip(row, y, strict=True))
        for row, c in zip(along.matrix.tolist(), along.offset.tolist(), strict=True)
    ]


# -- networks --------------------------------------------------------------------------------------------------


def convolutional(seed: int = 0, integers: bool = False) -> Network:
    """Convolution, ReLU, overlapping max-pooling, a residual convolution, average-pooling, ReLU6."""
    import scipy.sparse

    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return rng.integers(-2, 3, shape).astype(np.float64) if integers else rng.standard_normal(shape)

    at = {"stride": (1, 1), "dilation": (1, 1)}
    image, kept = (1, 3, 3), (2, 3, 3)
    first = Convolution(
        inputs=(0,), shapes=(image,), shape=kept, weight=draw(2, 1, 3, 3), constant=draw(2, 1, 1),
        padding=((1, 1), (1, 1)), **at,
    )  # fmt: skip
    relu = Elementwise(inputs=(1,), shapes=(kept,), shape=kept, **elementwise_gate("relu"))
    cells = np.arange(18).reshape(2, 3, 3)
    windows = np.array(
        [cells[c, i : i + 2, j : j + 2].ravel() for c in range(2) for i in range(2) for j in range(2)]
    )
    pooled = MaxGate(inputs=(2,), shapes=(kept,), shape=(2, 2, 2), index=windows)
    second = Convolution(
        inputs=(3,), shapes=((2, 2, 2),), shape=(2, 2, 2), weight=draw(2, 2, 1, 1), padding=((0, 0), (0, 0)), **at
    )  # fmt: skip
    total = Sum(inputs=(4, 3), shapes=((2, 2, 2),) * 2, shape=(2, 2, 2), coefficients=(1.0, -1.0))
    average = Average(
        inputs=(5,), shapes=((2, 2, 2),), shape=(2, 1, 1), counts=np.array([3.0]),
        windows=scipy.sparse.csr_array(np.ones((1, 4))),
    )  # fmt: skip
    last = Elementwise(inputs=(6,), shapes=((2, 1, 1),), shape=(2, 1, 1), **elementwise_gate("relu6"))
    return Network((first, relu, pooled, second, total, average, last), image)


def pooled_twice() -> Network:
    """Overlapping maxima of overlapping maxima of ReLUs: copies of entries, zeros behind units that are off."""
    rng = np.random.default_rng(4)
    first = Dense(
        inputs=(0,),
        shapes=((2,),),
        shape=(5,),
        weight=rng.standard_normal((5, 2)),
        constant=rng.standard_normal(5),
    )
    relu = Elementwise(inputs=(1,), shapes=((5,),), shape=(5,), **elementwise_gate("relu"))
    inner = MaxGate(
        inputs=(2,), shapes=((5,),), shape=(3,), index=np.array([[0, 1, 2], [1, 2, 3], [2, 3, 4]])
    )
    outer = MaxGate(inputs=(3,), shapes=((3,),), shape=(2,), index=np.array([[0, 1], [1, 2]]))
    both = Concatenate(inputs=(4, 1), shapes=((2,), (5,)), shape=(7,), axis=0)
    last = Dense(inputs=(5,), shapes=((7,),), shape=(2,), weight=rng.standard_normal((2, 7)))
    gate = Elementwise(inputs=(6,), shapes=((2,),), shape=(2,), **elementwise_gate("leaky_relu", 0.25))
    return Network((first, relu, inner, outer, both, last, gate), (2,))


def skipping(weight: object) -> Network:
    """A unit reads x + relu(w . x): the first gate sees one direction, the second all of them."""
    W = np.array([weight], dtype=np.float64)
    n = W.shape[1]
    first = Dense(inputs=(0,), shapes=((n,),), shape=(1,), weight=W)
    relu = Elementwise(inputs=(1,), shapes=((1,),), shape=(1,), **elementwise_gate("relu"))
    spread = Gather(inputs=(2,), shapes=((1,),), shape=(n,), index=np.zeros(n, dtype=np.intp))
    total = Sum(inputs=(3, 0), shapes=((n,), (n,)), shape=(n,), coefficients=(1.0, 1.0))
    last = Elementwise(inputs=(4,), shapes=((n,),), shape=(n,), **elementwise_gate("relu"))
    return Network((first, relu, spread, total, last), (n,))


# -- equal to the oracle -------------------------------------------------------------------------------------


@given(net=st.one_of(graph_networks(), networks(max_width=4, max_depth=2)), choice=st.integers(0, 9))
def test_graphs_in_domains_and_in_all_of_space(net: Network, choice: int):
    domain = DOMAINS[net.dim_in][choice % len(DOMAINS[net.dim_in])]
    bounded = domain is not None and domain.n_rows > domain.dim  # else cells may have no vertices
    assert_equals_oracle(net, domain, mode=2 if bounded else 1)


@pytest.mark.parametrize("name", FAMILIES)
def test_degenerate_networks(name: str):
    for widths in (PLANE, SPACE):
        net = FAMILIES[name](widths, 3)
        assert_equals_oracle(net, pg.Polyhedron.box(-1, 2, dim=widths[0]))
        assert_equals_oracle(net, mode=1)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("integers", [False, True])
def test_slices_of_convolutional_networks(dim: int, integers: bool):
    net = convolutional(2, integers)
    points = np.random.default_rng(5).integers(-3, 4, (dim + 1, 9))
    along = pg.AffineMap.through(*points)
    box = pg.Polyhedron.box(-0.5, 1, dim=dim) if dim < 3 else pg.Polyhedron.box(0, 0.5, dim=3)
    assert_equals_oracle(net, box, along)


def test_a_whole_plane_through_a_convolutional_network():
    along = pg.AffineMap.through(*np.random.default_rng(6).standard_normal((3, 9)))
    assert_equals_oracle(convolutional(3), None, along)


@pytest.mark.parametrize("domain", range(5))
def test_maxima_of_maxima(domain: int):
    assert_equals_oracle(pooled_twice(), DOMAINS[2][domain])


# -- where to begin --------------------------------------------------------------------------------------------


def test_directions_that_nothing_reads_are_left_out():
    net = FAMILIES["rank-deficient"](SPACE, 5)
    engine = StagedEngine(net, None, None, 1)
    arrays = everything(engine)
    assert set(letters_of(net, arrays)) == set(oracle_regions(net))
    assert arrays.witnesses.shape[1] == 3
    assert not arrays.bounded.any()


def test_vertices_of_cells_with_lines_are_refused():
    with pytest.raises(pg.InputError, match="contain lines"):
        StagedEngine(FAMILIES["rank-deficient"](SPACE, 5), None, None, 2)


def test_directions_that_only_deeper_gates_read_are_searched_from_facet_to_facet():
    with pytest.raises(pg.InputError, match="no cells with vertices"):
        StagedEngine(skipping([1, 2]), None, None, 1)
    assert_equals_oracle(skipping([1, 2]), pg.Polyhedron.box(-1, 1, dim=2))
    K = pg.enumerate_regions(skipping([1, 2]))
    assert set(map(tuple, K.codes.letters.tolist())) == set(oracle_regions(skipping([1, 2])))
    assert K.complete


def test_constant_networks_have_one_region():
    constant = Network.from_layers([(np.zeros((2, 2)), [1, 0]), ([[1, 1]], [0])])
    assert letters_of(constant, everything(StagedEngine(constant, None, None, 1))) == [(1, 0)]
    linear = Network.from_layers([([[1, 1]], [0])])
    assert len(everything(StagedEngine(linear, None, None, 1))) == 1
    assert len(everything(StagedEngine(linear, pg.Polyhedron.box(0, 1, dim=2), None, 2))) == 1


def test_an_empty_domain_has_no_region():
    empty = pg.Polyhedron([[1, 0], [-1, 0], [0, 1], [0, -1]], [0, -1, 1, 1])
    engine = StagedEngine(pooled_twice(), empty, None, 1)
    assert len(everything(engine)) == engine.n_regions == 0


# -- stopping and going on -------------------------------------------------------------------------------------


def test_stopping_anywhere_finds_the_same_regions():
    net, box = pooled_twice(), DOMAINS[2][1]
    whole = letters_of(net, everything(StagedEngine(net, box, None, 1)))
    engine = StagedEngine(net, box, None, 1)
    engine.run(3)
    assert engine.n_regions <= 3
    other = engine.copy()
    first = engine.take()
    rest, again = everything(engine, 2), everything(other, 1)
    assert letters_of(net, RegionArrays.joined([first, rest])) == whole
    assert letters_of(net, again) == whole
    assert engine.fraction == pytest.approx(1)


@pytest.mark.parametrize("net", [pooled_twice(), convolutional(7)], ids=["maxima of maxima", "convolutional"])
def test_results_in_small_batches_are_the_same(net: Network, monkeypatch: pytest.MonkeyPatch):
    """The recursion stops in the middle of a cell when its results are full, and goes on there."""
    along = (
        None if net.dim_in == 2 else pg.AffineMap.through(*np.random.default_rng(8).standard_normal((3, 9)))
    )
    monkeypatch.setattr("polygeom.enumeration.staged.PARTS", 3)
    monkeypatch.setattr("polygeom.enumeration.staged.BYTES", 4096)
    assert_equals_oracle(net, DOMAINS[2][1], along)


def test_counting_keeps_nothing():
    net = pooled_twice()
    engine = StagedEngine(net, DOMAINS[2][1], None, 0)
    while not engine.finished:
        engine.run(1000)
    assert len(engine.take()) == 0
    assert engine.n_regions == len(oracle_regions(net, DOMAINS[2][1]))


# -- what floats cannot decide -----------------------------------------------------------------------------------


def test_what_neither_floats_nor_rationals_decide_is_counted(monkeypatch: pytest.MonkeyPatch):
    """Without rationals, coincident units of a second layer are ties that nobody decides."""
    net = FAMILIES["identity layer"](PLANE, 3)
    monkeypatch.setattr("polygeom.rational_network.BUDGET", 0)
    engine = StagedEngine(net, pg.Polyhedron.box(-1, 2, dim=2), None, 1)
    arrays = everything(engine)
    assert engine.exactness.undecided > 0
    assert set(letters_of(net, arrays)) == set(oracle_regions(net, pg.Polyhedron.box(-1, 2, dim=2)))
    assert len(arrays.undecided) > 0
    assert (
        arrays.undecided[:, 1] >= net.gates[1].first_column
    ).all()  # the first layer's rows are not rounded
    assert len(np.unique(arrays.undecided, axis=0)) == len(arrays.undecided)
    halves = np.split(RegionArrays.joined([arrays, arrays]).undecided, 2)
    assert np.array_equal(halves[1] - halves[0], np.tile([len(arrays), 0], (len(halves[1]), 1)))


def test_signs_that_are_proved_are_not_listed_as_undecided():
    net = FAMILIES["identity layer"](PLANE, 3)
    arrays = everything(StagedEngine(net, pg.Polyhedron.box(-1, 2, dim=2), None, 1))
    assert arrays.undecided.shape == (0, 2)


@pytest.mark.parametrize(("name", "share"), [("convolutional", 0.9), ("maxima of maxima", 0.25)])
def test_neighbors_across_tied_facets_without_rationals(
    name: str, share: float, monkeypatch: pytest.MonkeyPatch
):
    """Zeros behind units that are off, copies of entries and overlapping windows tie by structure.

    What is found is right; at least this share is found, without knowing which maxima of maxima are equal.
    """
    make = {"convolutional": lambda: convolutional(2), "maxima of maxima": pooled_twice}[name]
    points = np.random.default_rng(5).integers(-3, 4, (3, 9))
    points[:, 1] = points[:, 0]  # two pixels that are equal on the slice
    along = pg.AffineMap.through(*points) if name == "convolutional" else None
    exact = pg.enumerate_regions(make(), DOMAINS[2][1], along)
    edges = {frozenset(pair) for pair in exact.edges.tolist()}
    monkeypatch.setattr("polygeom.rational_network.BUDGET", 0)
    K = pg.enumerate_regions(make(), DOMAINS[2][1], along)
    assert K.arrays.facet_tied.sum() > 20
    same = exact.find(K.codes.letters)
    assert sorted(same) == list(range(exact.n_regions))
    regions, found = np.repeat(np.arange(len(K.arrays)), K.n_facets)[K.arrays.facet_tied].tolist(), []
    for region, unit, point in zip(
        regions, K.arrays.facet_units[K.arrays.facet_tied].tolist(), K.arrays.tied_points, strict=True
    ):
        beyond = _beyond_tied(K, region, unit, point)
        if beyond is not None:
            found.append(frozenset((int(same[region]), int(exact.find(beyond[None])[0]))))
    assert set(found) <= edges
    assert len(found) > share * len(regions)


# -- numbers of any size ---------------------------------------------------------------------------------------

FAR = (0, 0, -300, -250, -150, 100, 150, 217, 250, 300)
"""Decimal exponents of weights, offsets, domains and slices."""


def far_apart(seed: int) -> tuple[Network, pg.Polyhedron | None, pg.AffineMap | None]:
    """Return a network, a domain and a slice whose numbers are hundreds of orders of magnitude apart."""
    rng = np.random.default_rng(seed)
    power = [10.0**e for e in rng.choice(FAR, 8)]
    first = rng.standard_normal((3, 2)) * power[0], rng.standard_normal(3) * power[1]
    second = rng.standard_normal((2, 3)) * power[2], rng.standard_normal(2) * power[3]
    sides = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    domains = [
        None,
        pg.Polyhedron(sides * power[4], np.ones(4) * power[5]),
        pg.Polyhedron(np.array([[-1, 0], [0, -1], [1, 1]]) * power[4], np.array([0, 0, 1]) * power[5]),
    ]
    turn = pg.AffineMap(np.array([[1, 0.5], [0.25, -1]]) * power[6], rng.standard_normal(2) * power[7])
    return Network.from_layers([first, second, ([[1, 1]], [0])]), domains[seed % 3], (None, turn)[seed % 2]


@pytest.mark.parametrize("seed", [*range(24), 31, 93, 101, 119, 206, 242])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_numbers_hundreds_of_orders_of_magnitude_apart(seed: int):
    net, domain, along = far_apart(seed)
    truth = set(oracle_regions(net, domain, along))
    engine = StagedEngine(net, domain, along, 1)
    assert set(letters_of(net, everything(engine))) == truth
    assert engine.exactness.undecided == 0
    K = pg.enumerate_regions(net, domain, along)
    assert {tuple(code) for code in K.codes.letters.tolist()} == truth


def test_a_slice_is_not_rounded_by_its_scale():
    """Weights, bounds and entries of the slice would underflow times the scale that balances the rows best."""
    net = Network.from_layers([([[1e200, 1e-100]], [1e-100])])
    along = pg.AffineMap([[1e100, 0.0], [1e-250, 1.0]], [0.0, 0.0])
    domain = pg.Polyhedron.box(-1, 1, dim=2)
    start = StagedEngine(net, domain, along, 1).start
    assert (start.matrix == along.matrix * start.scale).all()
    assert (start.matrix / start.scale == along.matrix).all()
    assert_equals_oracle(net, domain, along)


def test_rows_of_domains_keep_entries_that_underflow():
    """In floats the second entry of the row is lost beside the first; exactly it is there."""
    rows, errors, exact = inner_rows(pg.Polyhedron([[1e300, 1e-300]], [1.0]), np.array([2.0**100, 2.0**-100]))
    assert np.isfinite(rows).all()
    assert errors[0] > 0
    assert exact[0, 1] / exact[0, 0] == rational(1e-300) / rational(1e300) / flint.fmpz(2) ** 200


# -- chains ------------------------------------------------------------------------------------------------------


def convolutional_chain(pixels: int) -> Network:
    """Pixels moved to channels first, a strided convolution, average-pooling, a dense layer; ReLUs between."""
    import scipy.sparse

    rng, side = np.random.default_rng(1), pixels // 4
    image, kept, pooled = (2, pixels, pixels), (3, side, side), (3, side // 2, side // 2)
    order = np.arange(2 * pixels**2).reshape(pixels, pixels, 2).transpose(2, 0, 1)
    moved = Gather(inputs=(0,), shapes=((pixels, pixels, 2),), shape=image, index=order)
    first = Convolution(
        inputs=(1,), shapes=(image,), shape=kept, weight=rng.standard_normal((3, 2, 5, 5)),
        constant=rng.standard_normal((3, 1, 1)), padding=((1, 0), (1, 0)), stride=(4, 4), dilation=(1, 1),
    )  # fmt: skip
    relu = Elementwise(inputs=(2,), shapes=(kept,), shape=kept, **elementwise_gate("relu"))
    half = scipy.sparse.csr_array(np.kron(np.eye(side // 2), np.ones((1, 2))))
    average = Average(
        inputs=(3,), shapes=(kept,), shape=pooled, counts=np.full((side // 2) ** 2, 3.0),
        windows=scipy.sparse.csr_array(scipy.sparse.kron(half, half)),
    )  # fmt: skip
    n = 3 * (side // 2) ** 2
    flat = Gather(inputs=(4,), shapes=(pooled,), shape=(n,), index=np.arange(n))
    weight, constant = rng.standard_normal((4, n)), rng.standard_normal(4)
    dense = Dense(inputs=(5,), shapes=((n,),), shape=(4,), weight=weight, constant=constant)
    last = Elementwise(inputs=(6,), shapes=((4,),), shape=(4,), **elementwise_gate("leaky_relu", 0.125))
    return Network((moved, first, relu, average, flat, dense, last), (pixels, pixels, 2))


def test_a_convolutional_chain_is_multiplied_out_as_it_is():
    """Exact maps of the layers are those of the network in rationals; floats differ by the bounds at most."""
    net = convolutional_chain(8)
    along = pg.AffineMap.through(*np.random.default_rng(2).standard_normal((3, net.dim_in)))
    chain = dense_chain(net, along)
    first, n = np.column_stack([along.offset, along.matrix * chain.scale]), chain.layers[0].width
    groups = [(first, net.steps[:2]), (np.eye(n, n + 1, 1), net.steps[3:6])]
    for part, (columns, steps), (weight, bias) in zip(chain.layers, groups, chain.exact_maps, strict=True):
        state = ScaledMatrix.from_floats(columns)
        for step in steps:
            state = net.exact().linear(step, state)
        assert weight.to_rational() == rational_block(state.to_rational(), 1)
        assert bias.to_rational() == rational_block(state.to_rational(), 0)
        off = np.abs(bias.to_floats()[:, 0] - part.bias)
        assert (off <= part.bias_error).all()
        if part is chain.layers[0]:
            off = off + np.abs(weight.to_floats() - part.weight).sum(axis=1)
            assert (off <= part.row_error).all()


def rational_block(columns: flint.fmpq_mat, first: int) -> flint.fmpq_mat:
    """Return the first column alone (0), or all others (1)."""
    kept = range(1, columns.ncols()) if first else range(1)
    entries = [columns[i, j] for i in range(columns.nrows()) for j in kept]
    return flint.fmpq_mat(columns.nrows(), len(kept), entries)


def test_pixels_of_a_slice_do_not_count():
    """As matrices over the pixels the first steps have 20 times the entries a chain may have."""
    net = convolutional_chain(80)
    along = pg.AffineMap.through(*np.random.default_rng(3).standard_normal((3, net.dim_in)))
    assert net.exact().n_entries > 20 * ENTRIES
    assert dense_chain(net, along) is not None
    assert dense_chain(net, None) is None


def test_the_graph_finds_the_regions_of_a_convolutional_chain():
    net = convolutional_chain(8)
    along = pg.AffineMap.through(*np.random.default_rng(2).standard_normal((3, net.dim_in)))
    domain = pg.Polyhedron.box(-1, 1, dim=2)
    K = pg.enumerate_regions(net, domain, along)
    assert len(K.arrays) > 20
    assert K.arrays.undecided is None  # the chain's engine leaves nothing undecided
    arrays = everything(StagedEngine(net, domain, along, 1))
    assert set(letters_of(net, arrays)) == {tuple(code) for code in K.codes.letters.tolist()}


@pytest.mark.slow
def test_compiled_code_stays_inside_its_arrays(tmp_path: Path):
    """Screens, splits and passes compiled anew with checks of every index, on a network with all of them."""
    script = (
        "import numpy as np, polygeom as pg\n"
        "from tests.test_staged import DOMAINS, StagedEngine, convolutional, everything\n"
        "along = pg.AffineMap.through(*np.random.default_rng(5).integers(-3, 4, (3, 9)))\n"
        "print(len(everything(StagedEngine(convolutional(2), DOMAINS[2][1], along, 2))))\n"
    )
    checked = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    root = Path(__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=root, env=checked, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    along = pg.AffineMap.through(*np.random.default_rng(5).integers(-3, 4, (3, 9)))
    assert int(run.stdout) == len(everything(StagedEngine(convolutional(2), DOMAINS[2][1], along, 2)))


# -- real networks -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_dense_chain_and_the_graph_find_the_same_regions():
    rng = np.random.default_rng(0)
    layers = [(rng.standard_normal((m, n)), rng.standard_normal(m)) for n, m in ((2, 24), (24, 24), (24, 1))]
    net, box = Network.from_layers(layers), pg.Polyhedron.box(-1, 1, dim=2)
    arrays = everything(StagedEngine(net, box, None, 1))
    K = pg.enumerate_regions(net, box)
    assert set(letters_of(net, arrays)) == {tuple(code) for code in K.codes.letters.tolist()}
