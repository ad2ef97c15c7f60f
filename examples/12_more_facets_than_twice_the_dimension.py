"""Deep networks whose regions have more than 2 d facets on average.

The regions that m hyperplanes make in R^d have fewer than 2 d facets on average (Fukuda et al. 1991): one layer of
any width. Two layers suffice to break it in R^3. A unit of the second layer draws a plane that is bent wherever it
crosses one of the first; in a grid it may have as many handles as there are boxes, and every handle adds facets
faster than regions. docs/facets_small.md has the proof.
"""

import numpy as np

import polygeom as pg
from polygeom.models import toy

d = 3
one_layer = pg.enumerate_regions(toy.he([d, 24, 1], np.random.default_rng(0)))
mean = one_layer.n_facets.mean()
print(f"one random layer of 24 units: {one_layer.n_regions} regions, {mean:.4f} facets each")
assert one_layer.complete
assert mean < 2 * d

members = {
    ((5, 7, 7), 3): (1320, 3980),
    ((5, 5, 5), 7): (1336, 4012),
    ((7, 7, 7), 2): (1376, 4152),
    ((5, 5, 7), 5): (1408, 4252),
    ((9, 9, 9), 1): (1896, 5708),
    ((9, 9, 9), 9): (9064, 29772),
}
means = []
for (planes, n), known in members.items():
    levels = [1 + k / (n + 1) for k in range(1, n + 1)]
    K = pg.enumerate_regions(toy.three_axes(planes, levels))
    means.append(2 * len(K.edges) / K.n_regions)
    print(
        f"{sum(planes)} planes, {n} bent: {K.n_regions} regions, {len(K.edges)} adjacencies, mean {means[-1]:.4f}"
    )
    assert K.complete
    assert (K.n_regions, len(K.edges)) == known
assert min(means) > 2 * d
