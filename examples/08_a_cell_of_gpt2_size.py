r"""A cell of a transformer's MLP at the size of GPT2-small: 3072 hyperplanes in 768 dimensions.

Before the MLP stands a LayerNorm. GELU bends everywhere, so the MLP is affine nowhere; what is exact is the
arrangement of the hyperplanes z_i = 0, one per unit. LayerNorm maps the residual stream into a ball of the
hyperplane orthogonal to (1, ..., 1), where they meet or miss it. Scaling a token crosses next to nothing, since
LayerNorm undoes it; rotating it crosses boundary after boundary.

Random weights here; `polygeom.models.gpt2.load("gpt2")` brings the trained ones.
"""

import numpy as np

from polygeom.models import transformer

rng = np.random.default_rng(0)
d, m = 768, 3072
block = transformer.NormedMLP(
    gamma=1 + 0.1 * rng.standard_normal(d),
    beta=0.02 * rng.standard_normal(d),
    eps=1e-5,
    W_in=0.02 * rng.standard_normal((m, d)),
    b_in=0.1 * rng.standard_normal(m),
    activation="gelu_new",
    W_out=0.02 * rng.standard_normal((d, m)),
    b_out=np.zeros(d),
)
token, other = rng.standard_normal((2, d))
print(block)

cell = transformer.gate_cell(block, token)
report = cell.facets()
print(cell, report, sep="\n")
assert report.holds(cell.polyhedron)
assert not len(report.undecided)

image = transformer.image_hyperplanes(block)
print(image)
near = transformer.nearest_boundaries(block, token)
print(f"the nearest boundary is unit {near.units[0]}: rotate by {near.angles[0]:.2e} rad to meet it")

scaled = transformer.radial_crossings(block, token)
rotated = transformer.angular_crossings(block, token, other)
print(f"scaling: {scaled}", f"rotating: {rotated}", sep="\n")
assert scaled.count(0.5, 2) == 0, "between half and twice the size nothing happens"
assert len(rotated) > 100
assert (rotated.code(len(rotated)) == block.codes(other)[0]).mean() > 0.99
