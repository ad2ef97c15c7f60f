"""Regions by dictionaries and linear programs: as the exact oracle finds them, as many as theorems say."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import polygeom as pg
from polygeom.enumeration.chain import DenseChain, dense_chain
from polygeom.enumeration.dictionary import DictionaryEngine
from polygeom.errors import InputError
from polygeom.exact import nearest_float
from polygeom.network import Network
from polygeom.testing import FAMILIES, degenerate_networks, generic
from tests.region_oracle import CLASSIC, PLANE, SPACE, Code, oracle_regions

DOMAINS = {
    "box": pg.Polyhedron.box(-1, 1, dim=2),
    "uneven box": pg.Polyhedron([[1, 0], [-2, 0], [0, 1], [0, -4], [0, 1]], [1, 1, 2, 1, 3]),
    "triangle": pg.Polyhedron([[-1, 0], [0, -1], [1, 1]], [1, 1, 1]),
    "wedge": pg.Polyhedron([[-1, 0.25], [0.5, -1]], [0.5, 0.25]),
    "strip": pg.Polyhedron([[1, 2], [-1, -2]], [1, 1]),
    "half-plane": pg.Polyhedron([[3, -1]], [0.5]),
    "far corner": pg.Polyhedron([[-1, 0], [0, -1]], [-3, -5]),
    "redundant rows": pg.Polyhedron([[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [2, 0]], [1, 1, 1, 1, 2, 2]),
    "rows without a normal": pg.Polyhedron([[0, 0], [1, 1], [0, 0]], [0, 1, 2]),
    "no rows that matter": pg.Polyhedron([[0, 0]], [0]),
    "thin sliver": pg.Polyhedron([[0, 1], [0, -1], [1, 0], [-1, 0]], [2.0**-30, 0, 1, 1]),
}

# counted by the independent recursion over LPs of the prototypes, and by rays
KNOWN = {(6, 10, 10, 1): 38538, (10, 14, 1): 15914, (10, 12, 6, 1): 123757, (4, 12, 12, 1): 13373}


def chain_of(net: Network, along: pg.AffineMap | None = None) -> DenseChain:
    chain = dense_chain(net, along)
    assert chain is not None
    return chain


def found(engine: DictionaryEngine, net: Network, along: pg.AffineMap | None = None) -> set[Code]:
    """Run to the end and return all codes; hold every region to its witness, exactly."""
    assert engine.run()
    found = engine.take()
    packed, witnesses, exact = found.packed, found.witnesses, found.exact_witnesses
    assert len(packed) == len(witnesses) == engine.n_regions
    assert engine.fraction == 1.0
    assert engine.exactness.undecided == 0
    letters = np.unpackbits(packed, axis=1, count=net.n_units)
    codes = [tuple(code) for code in letters.tolist()]
    assert len(set(codes)) == len(codes)
    for i, (code, witness) in enumerate(zip(codes, witnesses, strict=True)):
        point = exact[i] if i in exact else tuple(map(Fraction, witness))
        assert np.array_equal(witness, [nearest_float(v) for v in point])
        assert code == letters_at(net, point, along)
    return set(codes)


def letters_at(net: Network, point: tuple[Fraction, ...], along: pg.AffineMap | None) -> Code:
    """Return the exact letters at a point of the slice."""
    if along is not None:
        point = [
            sum((Fraction(a) * v for a, v in zip(row, point, strict=True)), Fraction(c))
            for row, c in zip(along.matrix, along.offset, strict=True)
        ]
    exact = net.exact()
    return tuple(exact.letters(exact.point(point)).tolist())


# -- against the oracle ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("widths", [PLANE, SPACE], ids=["plane", "space"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_the_regions_of_the_oracle(family, widths):
    net = FAMILIES[family](widths, 3)
    assert found(DictionaryEngine(chain_of(net)), net) == set(oracle_regions(net))


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize(
    "family", ["generic", "duplicate unit", "small integers", "zero biases", "leaky", "parallel"]
)
def test_every_domain_has_the_regions_of_the_oracle(family, domain):
    net = FAMILIES[family](PLANE, 5)
    engine = DictionaryEngine(chain_of(net), DOMAINS[domain])
    assert found(engine, net) == set(oracle_regions(net, DOMAINS[domain]))


@pytest.mark.parametrize("family", ["generic", "small integers", "absolute value", "one input times 1e6"])
def test_slices_have_the_regions_of_the_oracle(family):
    net = FAMILIES[family]((4, 6, 4, 1), 2)
    along = pg.AffineMap([[1.0, 0.5], [0.0, 1.0], [-1.0, 2.0], [0.25, 0.0]], [0.5, 0.0, 1.0, -1.0])
    assert found(DictionaryEngine(chain_of(net, along)), net, along) == set(oracle_regions(net, along=along))


@given(degenerate_networks(), st.booleans())
def test_degenerate_networks_have_the_regions_of_the_oracle(net, boxed):
    domain = pg.Polyhedron.box(-1, 1, dim=net.dim_in) if boxed else None
    assert found(DictionaryEngine(chain_of(net), domain), net) == set(oracle_regions(net, domain))


@pytest.mark.parametrize(
    "family", ["duplicate unit", "tripled duplicate", "zero biases", "nearly parallel 1e-12"]
)
def test_classic_widths_agree_with_cells_by_rays(family):
    net = FAMILIES[family](CLASSIC, 0)
    truth = pg.enumerate_regions(net)
    codes = {tuple(code) for code in np.asarray(truth.codes.letters).tolist()}
    assert found(DictionaryEngine(chain_of(net)), net) == codes


# -- against theorems ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "n"), [(1, 5), (4, 9), (6, 12), (9, 7)])
def test_simple_arrangements_have_as_many_regions_as_buck_says(d, n):
    engine = DictionaryEngine(chain_of(generic((d, n, 1), 1)), store=False)
    assert engine.run()
    assert engine.n_regions == sum(comb(n, i) for i in range(min(d, n) + 1))


@pytest.mark.parametrize(("d", "n"), [(3, 6), (6, 9)])
def test_central_arrangements_have_as_many_regions_as_schlafli_says(d, n):
    engine = DictionaryEngine(chain_of(FAMILIES["zero biases"]((d, n, 1), 1)), store=False)
    assert engine.run()
    assert engine.n_regions == 2 * sum(comb(n - 1, i) for i in range(d))
    assert engine.exactness.rationals == 0


@pytest.mark.parametrize("widths", KNOWN)
def test_deep_nets_have_as_many_regions_as_two_other_methods_count(widths):
    rng = np.random.default_rng(0)
    layers = []
    for n, m in pairwise(widths[:-1]):
        layers.append((rng.standard_normal((m, n)) * np.sqrt(2 / n), rng.standard_normal(m) * 0.3))
    net = Network.from_layers([*layers, (np.ones((1, widths[-2])), [0.0])])
    engine = DictionaryEngine(chain_of(net))
    assert engine.run()
    assert engine.n_regions == KNOWN[widths]
    found = engine.take()
    packed, witnesses, exact = found.packed, found.witnesses, found.exact_witnesses
    assert len(np.unique(packed, axis=0)) == len(packed)
    float_ones = np.setdiff1d(np.arange(0, len(packed), 10), list(exact))
    assert np.array_equal(pg.spline_codes(net, witnesses[float_ones]).packed, packed[float_ones])


def test_signs_of_generic_nets_are_decided_without_rationals():
    engine = DictionaryEngine(chain_of(generic((6, 10, 8, 1), 4)))
    assert engine.run()
    assert engine.exactness.rationals == 0
    assert engine.exactness.floats > 0
    assert engine.exactness.structure > 0


def test_thin_slabs_get_exact_witnesses():
    # between the planes x = 1 and x = 1 + 2^-52 there is no float
    net = Network.from_layers([([[1.0, 0.0], [1.0, 0.0]], [-1.0, -1.0 - 2.0**-52]), ([[1.0, 1.0]], [0.0])])
    engine = DictionaryEngine(chain_of(net))
    assert found(engine, net) == {(0, 0), (1, 0), (1, 1)}


# -- running ---------------------------------------------------------------------------------------------------


def test_an_enumeration_in_small_walks_finds_the_same():
    net = generic((6, 9, 6, 1), 2)
    whole = DictionaryEngine(chain_of(net))
    whole.run()
    steps = DictionaryEngine(chain_of(net))
    parts, fractions = [], [0.0]
    while not steps.run(97):
        found = steps.take()
        packed, witnesses = found.packed, found.witnesses
        assert len(packed) == len(witnesses) == 97
        parts.append(packed)
        fractions.append(steps.fraction)
    parts.append(steps.take().packed)
    assert np.array_equal(np.concatenate(parts), whole.take().packed)
    assert steps.n_regions == whole.n_regions
    assert all(a <= b <= 1 for a, b in pairwise(fractions))


def test_a_copy_goes_on_on_its_own():
    net = generic((5, 8, 4, 1), 0)
    engine = DictionaryEngine(chain_of(net))
    engine.run(50)
    other = engine.copy()
    assert other.run()
    assert engine.n_regions == 50
    assert engine.run()
    assert np.array_equal(engine.take().packed, other.take().packed)


def test_counting_keeps_nothing():
    net = generic((5, 8, 4, 1), 0)
    kept, counted = DictionaryEngine(chain_of(net)), DictionaryEngine(chain_of(net), store=False)
    assert kept.run()
    assert counted.run()
    assert counted.n_regions == kept.n_regions
    assert len(counted.take()) == 0


def test_coordinates_that_nothing_reads_are_zero_in_witnesses():
    net = FAMILIES["rank-deficient"]((4, 5, 3, 1), 1)
    engine = DictionaryEngine(chain_of(net))
    engine.run()
    witnesses = engine.take().witnesses
    assert np.linalg.matrix_rank(witnesses) == 3
    assert not witnesses[:, -1].any()


def test_a_network_without_weights_has_one_region():
    net = Network.from_layers(
        [(np.zeros((2, 3)), [1.0, 0.0]), (np.ones((2, 2)), [0.0, -1.0]), (np.ones((1, 2)), [0.0])]
    )
    assert found(DictionaryEngine(chain_of(net)), net) == {(1, 0, 1, 0)}


@pytest.mark.parametrize(
    "domain",
    [
        pg.Polyhedron([[1, 0], [-1, 0]], [0, -1]),
        pg.Polyhedron([[1, 0], [-1, 0]], [0, 0]),
        pg.Polyhedron([[0, 0]], [-1]),
    ],
    ids=["empty", "flat", "contradiction"],
)
def test_a_domain_without_interior_is_refused(domain):
    with pytest.raises(InputError, match="no interior"):
        DictionaryEngine(chain_of(generic(PLANE, 0)), domain)
