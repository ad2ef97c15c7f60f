r"""Origin tests: when a polytope is a direction.

If every hyperplane of a cell passes through the origin, the cell is a cone: with x it contains t x for every
t > 0, and what the network does there depends on the direction of x alone. Three questions measure how far a cell
is from that, all answered exactly:

- Is 0 in the closed cell? (b >= 0.) Which hyperplanes pass through 0? (b_i = 0.)
- Is the cell a cone with apex 0: do the rows with b_i = 0 imply all others? Is it a cone with another apex?
- For which t does t x stay inside? The end points are rational numbers, b_i / (a_i . x).
"""

import numpy as np

import polygeom as pg
from polygeom.models import toy

rng = np.random.default_rng(2)
x = np.array([1.0, 0.5])

nets = {
    "no biases": toy.bias_free([2, 6, 6, 1], rng),
    "biases": toy.he([2, 6, 6, 1], rng),
    "box": toy.box_indicator(2),
}
tests = {}
for name, net in nets.items():
    P = pg.piece_at(net, x).polyhedron
    origin, stays = pg.origin_test(P, point=x), P.ray_interval(x)
    assert origin.holds(P)
    tests[name] = origin
    print(
        f"{name}: 0 inside {origin.contains_origin}, rows through 0: {len(origin.through_origin)} of {P.n_rows}, "
        f"cone {origin.is_cone}, t x inside for t in [{float(stays.lower):.4g}, {float(stays.upper):.4g}]"
    )

shifted = pg.Polyhedron([[-1, 0], [0, -1], [-1, -1]], [-1, -2, 0])
tip = pg.apex(shifted)
print(
    f"a shifted quadrant: apex at ({', '.join(map(str, tip.point))}), a cone with apex 0 {pg.is_cone(shifted)}"
)

assert tests["no biases"].is_cone
assert tests["box"].contains_origin
assert not tests["box"].is_cone
assert tip.exists
assert not pg.is_cone(shifted)
