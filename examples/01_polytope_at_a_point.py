r"""The polytope of a network at a point: half-spaces, the units that drew them, the affine map.

A ReLU network f: R^n -> R^m is affine on every cell: if the letters s of all units are fixed, each pre-activation
is an affine function z_i(x) = a_i . x + c_i of the input, and the inputs with these letters fill the polyhedron

    { x : (1 - 2 s_i) z_i(x) <= 0 for all i },

one half-space per unit whose z_i is not constant there. On it f(x) = M x + c. Not every half-space bounds the
cell: the irredundant ones are its facets, and each has a witness, a point beyond it and inside all others.
"""

import numpy as np

import polygeom as pg

rng = np.random.default_rng(0)
layers = [
    (rng.normal(size=(16, 2)), rng.normal(size=16)),
    (rng.normal(size=(16, 16)) / 4, rng.normal(size=16) / 4),
    (rng.normal(size=(1, 16)), rng.normal(size=1)),
]
net = pg.Network.from_layers(layers, activation="relu")

x = np.array([0.3, -0.2])
piece = pg.piece_at(net, x)
P = piece.polyhedron
print(f"{net}\n{P} around x = {x}")

report = pg.facets(P)
for row in report.facets:
    unit = net.units[piece.units[row]]
    print(f"facet {row}: drawn by unit {unit.channel} of layer {unit.path}")
print(f"{len(report.redundant)} half-spaces are redundant, {len(report.undecided)} undecided")

corners = pg.vertices(P)
print(f"vertices:\n{corners.points}")

# The network is the affine map on the whole closed cell: at its vertices, too.
inside = rng.dirichlet(np.ones(len(corners)), size=100) @ corners.points
agreement = np.abs(net(inside) - piece.affine_map(inside)).max()
print(f"largest difference between network and affine map at 100 points of the cell: {agreement:.1e}")

assert report.holds(P)
assert len(report.facets) == len(corners) > 2
assert np.allclose(net(inside), piece.affine_map(inside))
