"""A network of one's own, tested: its regions, a line through it, one polytope with all its proofs.

Then a deliberately wrong enumeration, to see that the test fails and what it says, and a wrong guess about all
networks, which ends in the smallest counterexample.
"""

from dataclasses import replace

import numpy as np
from hypothesis import find, settings

import polygeom as pg
from polygeom import testing
from polygeom.models import toy
from polygeom.testing.wording import written

net = toy.he((2, 5, 4, 1), np.random.default_rng(7))
K = pg.enumerate_regions(net)
testing.assert_partition(K)
testing.assert_pullback(net, pg.AffineMap.segment([-2, 0], [2, 1]))
testing.assert_certified(K.polyhedron(0))
print(f"{K.n_regions} regions cover the plane; a line through it and all answers about one polytope agree")

wrong = replace(K, arrays=replace(K.arrays, bounded=~K.bounded))
try:
    testing.assert_partition(wrong)
except AssertionError as error:
    said = str(error)
print(said.splitlines()[0])
assert "bounded" in said
assert written(net) in said


def has_a_bounded_region(drawn: pg.Network) -> bool:
    """Whether a ReLU network in the plane refutes the guess that none of its regions is bounded."""
    return drawn.dim_in == 2 and drawn.gates[0].name == "relu" and pg.enumerate_regions(drawn).n_bounded > 0


smallest = find(
    testing.networks(max_dim=2),
    has_a_bounded_region,
    settings=settings(max_examples=5000, deadline=None, derandomize=True),
)
print("the smallest network in the plane with a bounded region:", written(smallest))
assert smallest.n_units == 3
