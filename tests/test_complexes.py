"""Complexes: the dual graph against the rational oracle, whatever is known of the cells, and files."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import polygeom as pg
from polygeom import AffineMap, Network, Polyhedron
from polygeom.complex_flips import single_flips
from polygeom.complexes import PolyhedralComplex
from polygeom.enumeration.arrays import Exactness, RegionArrays
from polygeom.errors import InputError
from polygeom.exact import fractions_array
from polygeom.models import toy
from polygeom.testing import graph_networks, networks
from tests.region_oracle import OracleRegion, adjacent_codes, letters_toward, oracle_regions, region_arrays

FEW = 100
"""Most regions a drawn network may have."""

WITHOUT_FACETS = {"facet_start": None, "facet_units": None, "facet_tied": None, "tied_points": None}


def small_networks() -> st.SearchStrategy[Network]:
    return st.one_of(networks(max_dim=3, max_width=4, max_depth=2), graph_networks())


@st.composite
def complexes(draw: st.DrawFn) -> tuple[PolyhedralComplex, dict[tuple, OracleRegion]]:
    """A complex of the oracle's regions, with or without facets, and the regions in the same order."""
    net = draw(small_networks())
    domain = Polyhedron.box(-1, 1, dim=net.dim_in) if draw(st.booleans()) else None
    regions = oracle_regions(net, domain)
    if len(regions) > FEW or not are_floats(regions):
        net = Network.from_layers([(np.eye(2), [0, 0]), (np.ones((1, 2)), [0])])
        domain, regions = None, oracle_regions(net)
    arrays = region_arrays(net, regions)
    if draw(st.booleans()):
        arrays = replace(arrays, **WITHOUT_FACETS, bounded=None)
    return PolyhedralComplex(net, None, domain, arrays), regions


def are_floats(regions: dict[tuple, OracleRegion]) -> bool:
    """Tell whether all points of the regions are within the range of floats."""
    largest = np.finfo(np.float64).max / 4
    return all(abs(v) < largest for r in regions.values() for p in (r.interior, *r.points) for v in p)


def complex_of(net: Network, domain: Polyhedron | None = None, along: AffineMap | None = None, **changes):
    arrays = replace(region_arrays(net, oracle_regions(net, domain, along)), **changes)
    return PolyhedralComplex(net, along, domain, arrays)


def random_network(*widths: int, seed: int = 0, activation: str = "relu") -> Network:
    rng = np.random.default_rng(seed)
    layers = [(rng.standard_normal((m, n)), rng.standard_normal(m)) for n, m in pairwise(widths)]
    return Network.from_layers(layers, activation)


def grid(*counts: int) -> tuple[Network, Polyhedron]:
    """Return the network of parallel lines x_i = 1, ..., counts[i], and a box around their crossings."""
    rows = [(np.eye(len(counts))[axis], -float(j + 1)) for axis, n in enumerate(counts) for j in range(n)]
    W, b = np.array([a for a, _ in rows]), np.array([c for _, c in rows])
    box = Polyhedron.box(np.zeros(len(counts)), np.array(counts) + 1.0)
    return Network.from_layers([(W, b), (np.ones((1, len(rows))), [0])]), box


def numbered(regions: dict[tuple, OracleRegion]) -> dict[tuple, int]:
    return {code: i for i, code in enumerate(regions)}


def wanted_edges(regions: dict[tuple, OracleRegion]) -> list[tuple[int, int]]:
    number = numbered(regions)
    return sorted(tuple(sorted(number[code] for code in pair)) for pair in adjacent_codes(regions))


# -- the dual graph --------------------------------------------------------------------------------------------


@given(complexes())
def test_the_dual_graph_is_that_of_the_oracle(drawn):
    """Degenerate networks, skips, maxima and clamps included; with listed facets and without."""
    K, regions = drawn
    assert [tuple(e) for e in K.edges.tolist()] == wanted_edges(regions)
    assert K.n_facets.tolist() == [len(r.facets) for r in regions.values()]
    assert K.bounded.tolist() == [r.bounded for r in regions.values()]
    assert not len(K.missing_neighbors)


@given(complexes())
def test_the_units_of_an_edge_are_the_columns_that_differ(drawn):
    K, _ = drawn
    assert K.edge_units.shape == (len(K.edges), K.network.n_units)
    for e, (i, j) in enumerate(K.edges.tolist()):
        differing = np.flatnonzero(K.codes[i] != K.codes[j]).tolist()
        assert K.edge_units.indices[K.edge_units.indptr[e] : K.edge_units.indptr[e + 1]].tolist() == differing
        assert list(K.graph.edges[i, j]["units"]) == differing
    assert nx.is_isomorphic(K.graph, nx.from_scipy_sparse_array(K.adjacency)) or len(K.edges) > FEW
    assert nx.is_connected(K.graph)


@given(complexes(), st.data())
def test_an_interrupted_complex_knows_its_frontier(drawn, data):
    """Regions left out are missing neighbors of those that are listed."""
    whole, regions = drawn
    if whole.arrays.facet_start is None or len(regions) < 2:
        return
    kept = data.draw(
        st.lists(st.sampled_from(list(regions)), unique=True, min_size=1, max_size=len(regions) - 1)
    )
    part = {code: regions[code] for code in kept}
    K = PolyhedralComplex(
        whole.network, None, whole.domain, region_arrays(whole.network, part), finished=False
    )
    inner = {frozenset(pair) for pair in adjacent_codes(part) if pair <= set(kept)}
    number = numbered(part)
    assert {frozenset(e) for e in K.edges.tolist()} == {frozenset(number[c] for c in pair) for pair in inner}
    leaving = sorted(
        (number[r.code], f.units[0]) for r in part.values() for f in r.facets if f.neighbor not in part
    )
    assert sorted(map(tuple, K.missing_neighbors.tolist())) == leaving
    assert "interrupted" in repr(K)


@given(complexes())
def test_a_useless_tied_point_does_no_harm(drawn):
    """Points far from their facets are noticed, and the facets found anew."""
    K, regions = drawn
    if K.arrays.facet_start is None or not len(K.arrays.tied_points):
        return
    elsewhere = K.arrays.tied_points + np.append(np.full(K.dim, 1e3), 0)
    K = PolyhedralComplex(K.network, None, K.domain, replace(K.arrays, tied_points=elsewhere))
    assert [tuple(e) for e in K.edges.tolist()] == wanted_edges(regions)


@given(networks(max_dim=3, max_width=4, max_depth=2))
def test_cells_where_several_units_flip_are_recognized(net):
    """A tie is suspected wherever a neighbor differs in other units than one set of coincident ones."""
    regions = oracle_regions(net)
    if not are_floats(regions):
        return
    K = PolyhedralComplex(net, None, None, replace(region_arrays(net, regions), **WITHOUT_FACETS))
    flips = single_flips(K)
    if flips is None or len(regions) > FEW:
        return
    number = numbered(regions)
    listed = {frozenset(pair) for pair in flips.pairs.tolist()}
    proved = {frozenset(pair) for pair in flips.pairs[flips.adjacent].tolist()}
    wanted = {frozenset(e) for e in wanted_edges(regions)}
    assert proved <= wanted
    for r in regions.values():
        for f in r.facets:
            i, j = number[r.code], number[f.neighbor]
            assert flips.tied[i] or flips.tied[j] or {i, j} in listed


def test_coincident_first_layer_units_need_no_programs():
    """Duplicate and anti-parallel units flip together; one layer more, all pairs are proved or found by facets."""
    rng = np.random.default_rng(3)
    W, b = rng.standard_normal((5, 2)), rng.standard_normal(5)
    W, b = np.vstack([W, 2 * W[0], -W[1]]), np.append(b, [2 * b[0], -b[1]])
    net = Network.from_layers([(W, b), (np.ones((1, 7)), [0])])
    K = complex_of(net, **WITHOUT_FACETS)
    assert len(K.edges) == len(adjacent_codes(oracle_regions(net)))
    assert not len(K._found.by_pieces)


@pytest.mark.parametrize("domain", [None, Polyhedron.box(-1, 1, dim=3)])
def test_ordinary_deep_cells_are_decided_in_stacks(domain):
    """Segments and stacked rows settle all pairs of a generic network, and exactly as the listed facets do."""
    K = complex_of(random_network(3, 6, 6, 1), domain)
    bare = replace(K, arrays=replace(K.arrays, **WITHOUT_FACETS))
    flips = single_flips(bare)
    assert flips.adjacent.sum() == len(K.edges)
    assert not flips.undecided.any()
    assert (~flips.adjacent).any() or domain is not None
    assert not flips.tied.any()
    assert (bare.adjacency != K.adjacency).nnz == 0


def test_zero_biases_flip_units_without_rows():
    """z = relu(x) is 0 on all of x < 0 and positive beyond: its letter flips with x, without a row on one side."""
    net = Network.from_layers([(np.eye(2), None), ([[1.0, 0.0]], None), ([[1.0]], None)])
    for changes in ({}, WITHOUT_FACETS):
        K = complex_of(net, **changes)
        number = {tuple(code): i for i, code in enumerate(K.codes.letters.tolist())}
        i, j = number[0, 1, 0], number[1, 1, 1]
        assert K.graph.edges[i, j]["units"] == (0, 2)
        assert K.piece(i).units.tolist() == [0, 1]
        assert (K.n_regions, K.n_bounded, len(K.edges)) == (4, 0, 4)


def test_a_slice_of_a_deeper_network():
    net = random_network(4, 6, 5, 1, seed=5)
    along = AffineMap(np.random.default_rng(1).standard_normal((4, 2)), np.full(4, 0.25))
    for changes in ({}, {**WITHOUT_FACETS, "bounded": None}):
        K = complex_of(net, None, along, **changes)
        regions = oracle_regions(net, None, along)
        assert [tuple(e) for e in K.edges.tolist()] == wanted_edges(regions)
        assert np.array_equal(K.piece(3).code, K.codes[3])
        assert "a slice of R^4" in repr(K)


# -- the table of codes ----------------------------------------------------------------------------------------


def test_collisions_of_hashes_do_not_matter():
    """With words of 0 all hashes are equal; comparing codes still finds each of them."""
    from polygeom.kernels.region_table import CodeTable, _fill

    net, box = grid(4, 5)
    K = complex_of(net, box)
    table = K.table
    slots = np.full_like(table.slots, -1)
    nothing = np.zeros_like(table.hashes)
    assert _fill(table.packed, nothing, slots) == (-1, -1)
    blind = CodeTable(table.packed, np.zeros_like(table.words), nothing, slots)
    assert blind.find(table.packed).tolist() == list(range(K.n_regions))
    starts, units = K.arrays.facet_start, K.arrays.facet_units
    assert np.array_equal(blind.across_bits(starts, units), table.across_bits(starts, units))


def test_a_code_listed_twice_is_refused():
    net = random_network(2, 3, 1)
    arrays = region_arrays(net, oracle_regions(net))
    twice = RegionArrays(
        np.concatenate([arrays.packed, arrays.packed[:1]]),
        np.concatenate([arrays.witnesses, arrays.witnesses[:1]]),
    )
    with pytest.raises(InputError, match="same code"):
        _ = PolyhedralComplex(net, None, None, twice).adjacency


def test_codes_are_packed_and_unpacked():
    for net in (random_network(2, 3, 1), random_network(2, 3, 1, activation="relu6")):
        K = complex_of(net)
        assert np.array_equal(K.pack(K.codes.letters), K.arrays.packed)
        assert K.find(K.codes.letters).tolist() == list(range(K.n_regions))
        assert [tuple(c) for c in K.codes.letters.tolist()] == list(oracle_regions(net))


# -- grids: everything is known ----------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [(3,), (3, 4), (2, 3, 2)])
@pytest.mark.parametrize("listed", [True, False])
def test_a_grid(counts, listed):
    """n_1 x ... x n_k parallel lines: a product of paths."""
    net, box = grid(*counts)
    K = complex_of(net, box, **({} if listed else WITHOUT_FACETS))
    sides = np.array(counts) + 1
    assert K.n_regions == K.n_bounded == sides.prod()
    assert len(K.edges) == sum(n * sides.prod() // (n + 1) for n in counts)
    assert nx.is_isomorphic(K.graph, nx.grid_graph([int(n) for n in sides]))
    whole = complex_of(net, None, **({} if listed else WITHOUT_FACETS))
    assert whole.n_bounded == (np.array(counts) - 1).prod()


# -- single cells ------------------------------------------------------------------------------------------------


@given(complexes())
def test_pieces_have_the_listed_codes(drawn):
    K, regions = drawn
    for i, code in enumerate(regions):
        piece = K.piece(i)
        assert tuple(piece.code) == code
        assert K.polyhedron(i).contains(K.witnesses[i]) or i in K.arrays.exact_witnesses
        if i == 5:
            break


def _exact(K: PolyhedralComplex, region: int) -> tuple[Fraction, ...]:
    return tuple(Fraction(v) for v in K.interior(region))


def test_the_witnesses_of_another_network_are_refused():
    ours, other = random_network(2, 5, 1), random_network(2, 5, 1, seed=1)
    K = PolyhedralComplex(other, None, None, region_arrays(ours, oracle_regions(ours)))
    foreign = next(
        i for i in range(K.n_regions) if tuple(K.codes[i]) != letters_toward(other, None, _exact(K, i))
    )
    with pytest.raises(InputError, match="another network"):
        K.piece(foreign)
    with pytest.raises(InputError, match="packed codes"):
        PolyhedralComplex(random_network(2, 9, 1), None, None, K.arrays)
    with pytest.raises(InputError, match="domain lives"):
        PolyhedralComplex(ours, None, Polyhedron.orthant(3), K.arrays)
    for region in (K.n_regions, -1, True, False, 1.0, "1"):
        for ask in (K.piece, K.polyhedron, K.vertices, K.rays, K.recession_cone):
            with pytest.raises(InputError, match="no region"):
                ask(region)


def test_a_cell_without_inner_floats_has_its_piece():
    """Between 1 - 2^-53 and 1 there is no float: the witness is a Fraction."""
    net = Network.from_layers([([[1.0], [1.0]], [-1.0, -(1.0 - 2.0**-53)]), ([[1.0, 1.0]], [0.0])])
    K = complex_of(net, **WITHOUT_FACETS)
    thin = int(K.find(np.array([[0, 1]]))[0])
    assert K.piece(thin).code.tolist() == [0, 1]
    assert sorted(np.diff(K.adjacency.indptr).tolist()) == [1, 1, 2]
    inside = Fraction(2**54 - 1, 2**54)
    assert K.locate(fractions_array([inside])).tolist() == [thin]


# -- which cells a point lies in ---------------------------------------------------------------------------------


@given(complexes(), st.data())
def test_locate_finds_every_cell_around_a_point(drawn, data):
    """Vertices, points of facets and interior points of the oracle, in Fractions."""
    K, regions = drawn
    region = regions[data.draw(st.sampled_from(list(regions)))]
    x = data.draw(st.sampled_from([region.interior, *region.points, *(f.point for f in region.facets)]))
    around = []
    for i, other in enumerate(regions.values()):
        P = K.polyhedron(i)
        slacks = P.exact_slacks(fractions_array(x), np.arange(P.n_rows))
        around += [i] if all(s >= 0 for s in slacks) else []
        assert other.code in regions
    assert K.locate(fractions_array(x)).tolist() == around


def test_locate_outside_and_in_gaps():
    net, box = grid(2, 2)
    K = complex_of(net, box)
    assert K.locate([1, 1]).tolist() == K.locate([1.0, 1.0]).tolist()
    assert len(K.locate([1, 1])) == 4
    assert len(K.locate([0, 0])) == 1
    assert len(K.locate([0, 1])) == 2
    assert len(K.locate([-1, 1])) == 0
    regions = oracle_regions(net, box)
    half = dict(list(regions.items())[: len(regions) // 2])
    part = PolyhedralComplex(net, None, box, region_arrays(net, half), finished=False)
    assert sum(len(part.locate(r.interior)) for r in regions.values()) == len(half)
    with pytest.raises(InputError, match="shape"):
        K.locate([1, 2, 3])
    with pytest.raises(InputError, match="finite"):
        K.locate([1, np.nan])


@given(complexes(), st.integers(0, 2**16))
def test_locate_agrees_with_the_letters_of_generic_points(drawn, seed):
    K, regions = drawn
    x = np.random.default_rng(seed).uniform(-1, 1, K.dim)
    code = letters_toward(K.network, None, tuple(Fraction(v) for v in x))
    found = K.locate(x).tolist()
    assert found == [numbered(regions)[code]] or len(found) > 1


# -- files -----------------------------------------------------------------------------------------------------


@given(complexes())
def test_a_complex_comes_back_from_its_file(tmp_path_factory, drawn):
    K, _ = drawn
    K = replace(K, exactness=Exactness(5, 4, 3, 2), finished=False)
    path = tmp_path_factory.mktemp("complex") / "K"
    K.save(path)
    back = PolyhedralComplex.load(path, K.network)
    for name, array in vars(K.arrays).items():
        if name != "exact_witnesses":
            assert (
                np.array_equal(array, getattr(back.arrays, name))
                or array is getattr(back.arrays, name) is None
            )
    assert dict(back.arrays.exact_witnesses) == dict(K.arrays.exact_witnesses)
    assert (back.exactness, back.finished, back.along) == (K.exactness, False, None)
    assert (back.domain is None) == (K.domain is None)
    assert repr(back) == repr(K)


def test_files_keep_slices_and_refuse_other_networks(tmp_path):
    net, along = random_network(3, 4, 1), AffineMap.through([0, 0, 0], [1, 0, 0], [0, 1, 1])
    K = complex_of(net, Polyhedron.box(-1, 1, dim=2), along)
    path = tmp_path / "K.npz"
    K.save(path)
    back = PolyhedralComplex.load(path, net)
    assert np.array_equal(back.along.matrix, along.matrix)
    assert np.array_equal(back.domain.b, K.domain.b)
    assert (back.adjacency != K.adjacency).nnz == 0
    with pytest.raises(InputError, match="another network"):
        PolyhedralComplex.load(path, random_network(3, 4, 1, seed=1))


def test_other_files_are_refused(tmp_path):
    net = random_network(2, 3, 1)
    path = tmp_path / "file"
    whole = tmp_path / "whole"
    K = complex_of(net)
    K.save(whole)
    cut, damaged = whole.read_bytes()[:-40], bytearray(whole.read_bytes())
    damaged[damaged.index(K.witnesses.tobytes())] ^= 255
    for garbage in (
        b"",
        b"no zip archive",
        b"PK\x03\x04" + bytes(60),
        b"\x80\x04]q\x00.",
        cut,
        bytes(damaged),
    ):
        path.write_bytes(garbage)
        with pytest.raises(InputError, match="no stored complex") as caught:
            PolyhedralComplex.load(path, net)
        assert "pickle" not in str(caught.value)
        assert "zip file" not in str(caught.value)
    with pytest.raises(InputError, match="no file"):
        PolyhedralComplex.load(tmp_path / "absent", net)
    with pytest.raises(InputError, match="no file"):
        PolyhedralComplex.load(tmp_path, net)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match="other arrays"):
        PolyhedralComplex.load(path, net)
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))
    with pytest.raises(InputError, match="other arrays"):
        PolyhedralComplex.load(path, net)
    with path.open("wb") as file:
        np.savez(file, packed=np.zeros(3), format=10**6)
    with pytest.raises(InputError, match="format 1000000"):
        PolyhedralComplex.load(path, net)


def test_files_with_other_entries_are_refused(tmp_path):
    net = random_network(2, 3, 1)
    whole, path = tmp_path / "whole", tmp_path / "part"
    complex_of(net).save(whole)
    stored = dict(np.load(whole))
    for name in ("witnesses", "exactness", "fingerprint"):
        with path.open("wb") as file:
            np.savez(file, **{key: a for key, a in stored.items() if key != name})
        with pytest.raises(InputError, match=f"lacks {name}"):
            PolyhedralComplex.load(path, net)
    with path.open("wb") as file:
        np.savez(file, **{**stored, "format": np.array(["1", "2"])})
    with pytest.raises(InputError, match="other arrays"):
        PolyhedralComplex.load(path, net)


@pytest.mark.parametrize("network", [None, "net", lambda x: x])
def test_loading_needs_the_network(tmp_path, network):
    path = tmp_path / "K"
    complex_of(random_network(2, 3, 1)).save(path)
    with pytest.raises(InputError, match="wanted the Network"):
        PolyhedralComplex.load(path, network)


def test_rounded_domains_cannot_be_stored(tmp_path):
    net = random_network(2, 3, 1)
    K = complex_of(net, Polyhedron.box(-1, 1, dim=2))
    rounded = Polyhedron(K.domain.A, K.domain.b, np.full_like(K.domain.A, 2.0**-50))
    with pytest.raises(InputError, match="rounded"):
        replace(K, domain=rounded).save(tmp_path / "K")


def test_the_story_is_told():
    net, box = grid(2, 3)
    K = replace(complex_of(net, box), exactness=Exactness(7, 1, 2))
    assert repr(K) == (
        "PolyhedralComplex(12 regions of a domain of 4 rows in R^2; 12 bounded; 34 facet sides; "
        "signs: 7 by floats, 1 by structure, 2 by rationals; none undecided; complete)"
    )


def test_undecided_signs_are_told():
    """Listed by region and unit; a complex with some is not proved complete, and keeps them in its file."""
    K = complex_of(random_network(2, 3, 1))
    assert K.complete
    assert K.undecided.shape == (0, 2)
    doubtful = replace(
        K,
        exactness=Exactness(undecided=3),
        arrays=replace(K.arrays, undecided=np.array([[1, 0], [1, 2], [3, 1]])),
    )
    assert doubtful.finished
    assert not doubtful.complete
    assert doubtful.undecided.tolist() == [[1, 0], [1, 2], [3, 1]]
    assert repr(doubtful).endswith("3 undecided, in 2 regions: not proved complete)")


def test_letters_that_do_not_exist_are_found_nowhere():
    K = pg.enumerate_regions(toy.named("quick"))
    codes = K.codes.letters.astype(np.int64)
    assert (K.find(codes) == np.arange(len(codes))).all()
    assert (K.find(codes + 2) == -1).all()  # packed into bits, any letter but 0 would be 1
    assert (K.find(-codes - 1) == -1).all()
    for wrong in (codes[:, 1:], codes[0], codes + 0.5, "letters"):
        with pytest.raises(InputError, match=r"integers|whole numbers"):
            K.find(wrong)
    with pytest.raises(InputError, match="no region -1"):
        K.code(-1)
