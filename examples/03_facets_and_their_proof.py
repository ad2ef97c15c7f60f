r"""Which half-spaces of a cell are facets, and a proof of each answer that no solver is needed to check.

Row i of {x : A x <= b} is redundant if the others imply it. For a cell with interior points that is so, by Farkas'
lemma, exactly if multipliers lambda >= 0 of the others give lambda' A = a_i and lambda' b <= b_i. It is a facet
exactly if some point violates row i alone. Either is a handful of numbers, and to check them is a product or two.
"""

from dataclasses import replace

import numpy as np

import polygeom as pg
from polygeom.models import toy

rng = np.random.default_rng(4)
net = toy.he([6, 40, 40, 3], rng)
P = pg.piece_at(net, rng.standard_normal(6)).polyhedron
report = pg.facets(P)
print(P, report, sep="\n")
assert report.holds(P)
assert not len(report.undecided)

# a facet: a point beyond this row and inside all others
facet = int(report.facets[0])
witness = report.certificates[facet]
slack = P.b - P.A @ np.asarray(witness.point, dtype=float)
print(f"row {facet} is a facet: its witness lies {-slack[facet]:.3g} beyond it and inside the other rows")
assert slack[facet] < 0
assert (np.delete(slack, facet) > 0).all()

# a redundant row: other rows, combined with these multipliers, imply it
row = int(report.redundant[0])
implied = report.certificates[row]
used, multipliers = implied.support, np.asarray(implied.multipliers, dtype=float)
print(f"row {row} is redundant: rows {used.tolist()} imply it, with multipliers {multipliers.round(3)}")
assert (multipliers >= 0).all()
assert np.allclose(multipliers @ P.A[used], P.A[row])
assert implied.holds(P)

# no proof fits another statement: the facet moved outwards, or the witness of another row
moved = pg.Polyhedron(P.A, P.b + 1e6 * (np.arange(P.n_rows) == facet))
assert not report.holds(moved)
assert not replace(witness, row=row).holds(P)
