"""All regions of a network, and how they hang together.

A network of ReLUs cuts its input space into finitely many convex regions. Here all of them are found, in the
whole plane, not in a box; two facts that theory foretells are read off the result, and the result is checked
again without the enumeration.

One generic layer of n units in R^d has sum over i <= d of C(n, i) regions, C(n - 1, d) of them bounded (Zaslavsky
1975). On its dual graph, regions joined by common facets, the distance of two regions is the number of hyperplanes
between them.
"""

from math import comb

import networkx as nx
import numpy as np

import polygeom as pg
from polygeom.models import toy

rng = np.random.default_rng(7)

n, d = 12, 2
layer = toy.he([d, n, 1], rng)
K = pg.enumerate_regions(layer)
print(K)
assert K.n_regions == sum(comb(n, i) for i in range(d + 1))
assert K.n_bounded == comb(n - 1, d)

distances = dict(nx.all_pairs_shortest_path_length(K.graph))
letters = K.codes.letters.astype(int)
between = np.abs(letters[:, None] - letters[None]).sum(axis=2)
assert all(distances[i][j] == between[i, j] for i in range(K.n_regions) for j in range(K.n_regions))
print(f"graph distance = number of hyperplanes between, for all {K.n_regions**2} pairs of regions")

deep = toy.he([d, 10, 10, 1], rng)
K = pg.enumerate_regions(deep)
report = pg.check_complex(K)
print(report.text)
assert report

start, end = np.array([-3.0, -3.0]), np.array([3.0, 3.0])
path = pg.shortest_path(K, start, end)
print(f"from {start} to {end} through {len(path.regions)} regions")
assert (path.regions[0], path.regions[-1]) == (K.locate(start)[0], K.locate(end)[0])
