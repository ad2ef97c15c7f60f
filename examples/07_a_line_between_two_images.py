"""Every boundary between two images, and how sampling misses some.

Along a segment a network is piecewise affine. All its breakpoints are found exactly, with the units that flip at
each and the places where the decision changes; the density of boundaries is compared with the usual sample, the
codes at equally spaced points, of which the Hamming distance of the ends is the coarsest.
"""

import numpy as np

import polygeom as pg
from polygeom.models.toy import trained

training = trained.digits(widths=(48,) * 5, labels="permuted", at=(0, 150))  # every image learned by heart
net, images, digits = training.networks[-1], training.inputs, training.classes
start, stop = images[np.argmax(digits == 1)], images[np.argmax(digits == 7)]

hits = pg.line_crossings(net, start, stop, classes=True)
print(f"from a 1 to a 7: {hits}")
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
        f"{samples:4d} samples show {sampled.total:.2f} boundaries per unit length, there are {exact.total:.2f}"
    )
    assert sampled.flips.sum() <= exact.flips.sum()
assert hits.n_flips > hamming, "some units flip forth and back, which the ends do not show"

print("decisions:", " then ".join(map(str, hits.classes)), "changing at t =", hits.class_t.round(4))
for before, after, t in zip(hits.classes, hits.classes[1:], hits.class_t, strict=False):
    at = hits.output(t)
    assert np.isclose(at[before], at[after]), "the two outputs meet where the decision changes"

ray = pg.scaling_crossings(net, start)
print(f"scaling the 1 from 0 to infinity: {ray}")
assert ray.is_forever
