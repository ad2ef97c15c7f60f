"""Every boundary between two inputs, and how sampling misses some.

Along a segment a network is piecewise affine. All its breakpoints are found exactly, with the units that flip at
each; the density of boundaries is compared with the usual sample, the Hamming distance of the codes at the ends.
"""

import numpy as np

import polygeom as pg
from polygeom.models import toy

rng = np.random.default_rng(3)
net = toy.he([3, 64, 64, 64, 5], rng)
start, stop = 3 * rng.standard_normal((2, 3))

hits = pg.line_crossings(net, start, stop, classes=True)
print(hits)
assert hits.check(), "each piece is valid exactly between its boundaries"

ends = pg.spline_codes(net, np.stack([start, stop]))
hamming = int(ends.hamming()[0, 1])
flips = np.bincount(hits.flips[1], minlength=net.n_units)
print(f"{hits.n_flips} flips, Hamming distance of the ends {hamming}; {(flips > 1).sum()} units flip again")
assert hits.n_flips >= hamming
assert ((ends[0] != ends[1]) == flips % 2).all()

exact = pg.density(hits)
for samples in (2, 10, 100, 1000):
    sampled = pg.sampled_density(net, start, stop, samples)
    print(
        f"{samples:4d} samples show {sampled.total:.3f} boundaries per unit length, there are {exact.total:.3f}"
    )
    assert sampled.flips.sum() <= exact.flips.sum()

print(
    "the largest output is", " then ".join(map(str, hits.classes)), "changing at t =", hits.class_t.round(4)
)
for before, after, t in zip(hits.classes, hits.classes[1:], hits.class_t, strict=False):
    at = hits.output(t)
    assert np.isclose(at[before], at[after]), "the two outputs meet where the largest changes"

ray = pg.scaling_crossings(net, start)
print(ray)
assert ray.is_forever
