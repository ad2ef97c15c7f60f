r"""Directions in the space of spline codes, and which of them interact.

A spline code says for every unit of several layers which piece it is on. A code direction is a set of units with
target letters; from a code s it leads to s[U], and the network with these letters is an affine map T(s[U]). Two
directions U, V interact at s if the second difference

    T(s[U, V]) - T(s[U]) - T(s[V]) + T(s)

is not zero; it is computed in rationals, so "does not interact" is proved. Here two circuits are planted side by
side in one network, and found again from its weights and codes alone.
"""

import numpy as np

import polygeom as pg

rng = np.random.default_rng(0)
known = pg.lens.planted(rng, depth=3, width=3, dim=2)
net = known.network
X = rng.standard_normal((400, net.dim_in))
codes = pg.spline_codes(net, X)
print(net, codes, sep="\n")

# every unit as a direction: the graph of interactions falls into the two circuits
found = pg.lens.interactions(net, codes.letters[:8], pg.lens.unit_flips(net))
print(found)
components = found.components()
for units in components:
    print(f"a component of {len(units)} units: {units}")

# the same with one unit that reads both circuits: it alone holds the graph together
joined = pg.lens.planted(np.random.default_rng(0), depth=3, width=3, dim=2, shared=True)
letters = pg.spline_codes(joined.network, X).letters
bridges = pg.lens.interactions(joined.network, letters[:8], pg.lens.unit_flips(joined.network)).bridging()
print(f"with a shared unit {joined.shared.tolist()} the bridges are {list(bridges)}")

# directions that a factorization finds in the codes, beside those of shuffled codes
compared = pg.lens.compare_directions(codes, 4, np.random.default_rng(2), ["nmf"])
real, shuffled = compared.predicted.mean(axis=(1, 2))
print(f"variance of unseen letters that four directions tell: {real:.2f}, of shuffled codes {shuffled:.2f}")

assert {frozenset(units) for units in components} == {frozenset(c.tolist()) for c in known.circuits}
assert tuple(joined.shared) == bridges
assert real > 0 > shuffled
