"""Lines: as a rational walk finds them, whole in parts and in bands, confirmed on both sides of every boundary."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.errors import InputError
from polygeom.gates import MaxGate
from polygeom.lines.crossings import LineCrossings
from polygeom.lines.segments import line_crossings
from polygeom.network import Network
from tests.degenerate_nets import FAMILIES, degenerate_networks, residual_maxima
from tests.line_oracle import ExactWalk
from tests.strategies import graph_networks, networks, points

Pair = tuple[np.ndarray, np.ndarray]


@st.composite
def ends(draw: st.DrawFn, dim: int) -> Pair:
    """Two different points, on boundaries of integer networks as often as not."""
    a = draw(points(dim))
    b = draw(points(dim).filter(lambda p: not np.array_equal(p, a)))
    return a, b


def crossed(net: Network, a: np.ndarray, b: np.ndarray, **how: object) -> LineCrossings | None:
    """Return all boundaries; None where a value on the line overflows."""
    try:
        return line_crossings(net, a, b, **how)
    except InputError as error:
        if "overflow" in str(error):
            return None
        raise


def assert_as_walked(hits: LineCrossings, net: Network) -> None:
    """Compare with the rational walk: places, units, letters, intervals."""
    walk = ExactWalk(net).along(hits.line, *hits.reach)
    assert not hits.undecided
    assert [hits.exact(i) for i in range(len(hits))] == walk.t
    assert [sorted(units.tolist()) for units in hits.units] == walk.units
    codes = [hits.code(i).tolist() for i in range(hits.n_pieces)]
    assert codes == [code.tolist() for code in walk.codes]
    assert np.array_equal(hits.codes().letters, walk.codes)
    for t, (low, high), place in zip(hits.t, hits.bounds, walk.t, strict=True):
        assert low <= place <= high
        assert low <= t <= high
    assert (np.diff(hits.t) >= 0).all()


# -- the law -------------------------------------------------------------------------------------------------


@given(st.data(), st.booleans())
def test_dense_networks_are_crossed_as_rationals_walk_them(data, classes):
    net = data.draw(networks())
    hits = crossed(net, *data.draw(ends(net.dim_in)), classes=classes)
    if hits is not None:
        assert_as_walked(hits, net)
