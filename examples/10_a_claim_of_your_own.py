"""A statement about networks that judges itself, on your network and on others.

A claim is a function from a network to a verdict: it holds, it fails, it is undecided, or it does not apply. A
refutation carries a witness, data and a rule that reads nothing else, so that anyone can check it without the
enumeration that found it. The guess here: every bounded region in the plane is a triangle.
"""

import polygeom as pg
from polygeom.certificates.check import PROVED, REFUTED, Check
from polygeom.claims import Instance, Outcome, Verdict, Witness, claim, fails, holds, not_applicable
from polygeom.models import toy


def has_more_than_three_facets(piece: pg.AffinePiece) -> Check:
    """Tell whether a piece refutes the guess; the rule of a witness reads nothing else."""
    return PROVED if len(pg.facets(piece.polyhedron).facets) > 3 else REFUTED


@claim(
    "triangles",
    statement="Every bounded region in the plane is a triangle.",
    source="nobody",
    hypothesis="two inputs, and a bounded region",
    settled_by="the number of facets of each region",
)
def triangles(instance: Instance) -> Verdict:
    """Judge one network, all of whose regions `instance.complex` has."""
    K = instance.complex
    if K.dim != 2 or not K.n_bounded:
        return not_applicable("There is no bounded region in a plane.")
    others = [i for i in range(K.n_regions) if K.bounded[i] and K.n_facets[i] > 3]
    if not others:
        return holds(pg.Level.EXACT, f"All {K.n_bounded} bounded regions are triangles.")
    witness = Witness({"piece": K.piece(others[0])}, has_more_than_three_facets)
    return fails(pg.Level.EXACT, f"Region {others[0]} has {K.n_facets[others[0]]} edges.", witness)


nets = {name: toy.named(name) for name in ("one-layer", "quick", "orthants")}
nets["three lines"] = pg.Network.from_layers([([[1, 0], [0, 1], [1, 1]], [0, 0, -1]), ([[1, 1, 1]], [0])])
found = {name: pg.verify("triangles", net=net) for name, net in nets.items()}
for name, verdict in found.items():
    print(f"{name}: {verdict}")

assert found["three lines"].outcome is Outcome.HOLDS
assert found["orthants"].outcome is Outcome.NOT_APPLICABLE
refuted = [verdict for verdict in found.values() if verdict.outcome is Outcome.FAILS]
assert len(refuted) == 2
assert all(verdict.check() for verdict in refuted)
