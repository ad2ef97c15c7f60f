r"""Is a cell bounded? Two kinds of proof, and no third case.

A non-empty polyhedron {x : A x <= b} is unbounded exactly if some direction y != 0 never leaves it: A y <= 0. By
Stiemke's lemma there is no such y exactly if the rows of A span R^d and positive multipliers lambda > 0 combine
them to zero, A' lambda = 0. So either a ray or multipliers prove the answer, and a product or two check it:
no solver has to be trusted.

One generic layer has bounded cells as soon as it has d + 1 units; without biases it never has any, since every
cell is a cone.
"""

import numpy as np

import polygeom as pg
from polygeom.models import toy

rng = np.random.default_rng(1)
dim = 3

simplex = pg.Polyhedron(np.vstack([-np.eye(dim), np.ones((1, dim))]), np.array([0.0, 0.0, 0.0, 1.0]))
answer = pg.boundedness(simplex)
print(f"simplex: bounded = {answer.bounded}, multipliers {answer.certificate.multipliers}")
assert answer.bounded
assert answer.holds(simplex)


def bounded_share(net: pg.Network, n_points: int = 200) -> float:
    """Return the share of random points whose cell is bounded; every proof is re-checked."""
    n_bounded = 0
    for x in rng.normal(size=(n_points, net.dim_in)):
        P = pg.piece_at(net, x).polyhedron
        answer = pg.boundedness(P)
        assert answer.holds(P)
        n_bounded += answer.bounded
    return n_bounded / n_points


biased = bounded_share(toy.he([dim, 12, 1], rng))
bias_free = bounded_share(toy.bias_free([dim, 12, 1], rng))
too_few = bounded_share(toy.he([dim, dim, 1], rng))
print(
    f"points in bounded cells: {biased:.0%} with biases, {bias_free:.0%} without, {too_few:.0%} with d units"
)

assert biased > 0
assert bias_free == 0
assert too_few == 0
