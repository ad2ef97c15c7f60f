"""All regions of a plane through the inputs of a convolutional network.

The input space of an image network has too many regions to list, but a plane through three images does not. The
plane is an affine map w -> p + B w from R^2; the regions on it are the regions of f(p + B w), and their polygons
come from the same enumeration as those of a small network. No matrix of a convolution is ever formed.
"""

import numpy as np
import torch

import polygeom as pg

torch.manual_seed(0)
module = torch.nn.Sequential(
    torch.nn.Conv2d(1, 4, 3, padding=1),
    torch.nn.ReLU(),
    torch.nn.MaxPool2d(2),
    torch.nn.Conv2d(4, 8, 3),
    torch.nn.ReLU(),
    torch.nn.Flatten(),
    torch.nn.Linear(32, 10),
).eval()
net = pg.from_torch(module, torch.zeros(1, 1, 8, 8))
print(net)

images = np.random.default_rng(0).random((3, 1, 8, 8))
plane = pg.AffineMap.through(*images)
triangle = pg.Polyhedron([[-1, 0], [0, -1], [1, 1]], [0, 0, 1])  # its corners are the three images
K = pg.enumerate_regions(net, triangle, plane, store="cells")  # with their vertices
print(K)

# an independent look: random points of the triangle lie in listed regions, and the areas add up
weights = np.random.default_rng(1).dirichlet(np.ones(3), size=500)[:, 1:]
found = K.find(pg.spline_codes(net, plane(weights)).letters)
areas = K.volumes()
print(f"{(found >= 0).mean():.0%} of 500 random points lie in listed regions")
print(f"the areas add up to {areas.sum():.15f}")

largest = int(np.argmax(areas))
piece = K.piece(largest)
w = np.asarray(pg.interior_point(piece.polyhedron), dtype=float)
print(f"the largest region has {K.n_facets[largest]} edges; the network is one affine map on it")

assert (found >= 0).all()
assert np.isclose(areas.sum(), 0.5)
assert np.allclose(piece.affine_map(w), net(plane(w)))
