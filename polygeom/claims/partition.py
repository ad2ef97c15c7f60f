"""Claims on the partition itself: it covers, it is affine on every cell, continuous, and flips unit by unit."""

from __future__ import annotations

from polygeom.certificates import Check, Level
from polygeom.claims.instance import Instance
from polygeom.claims.registry import claim
from polygeom.claims.verdict import Outcome, Verdict, Witness, fails, holds, undecided
from polygeom.complex_checks import check_complex
from polygeom.complexes import PolyhedralComplex

__all__ = ["partition"]

EVERYWHERE = dict.fromkeys(("quick", "cones", "grid"), Outcome.HOLDS)


def _rechecked(K: PolyhedralComplex) -> Check:
    """Check a complex again, every region."""
    report = check_complex(K, sample=None)
    return Check(bool(report), report.level, 0.0)


@claim(
    "partition",
    statement="The regions cover the domain and have disjoint interiors.",
    source="Zaslavsky 1975; Hanin and Rolnick 2019",
    settled_by="every facet leads to a listed region; volumes add up in rationals where the domain is bounded",
    expects=EVERYWHERE,
)
def partition(instance: Instance) -> Verdict:
    """Judge by `check_complex`: distinct codes, proved facets, neighbors that are listed, exact volumes."""
    K = instance.complex
    report = check_complex(K, sample=None)
    witness = Witness({"K": K}, _rechecked, K.witnesses)
    if report.refuted:
        return fails(Level.EXACT, str(report.refuted[0]), witness)
    if report.open:
        return undecided(str(report.open[0]))
    text = f"{K.n_regions} regions; {report['completeness'].text}"
    return holds(report.level, text, witness, regions=K.n_regions)
