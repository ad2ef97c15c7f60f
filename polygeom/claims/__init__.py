"""Geometric statements that judge themselves on a network: the claims of the theory, and users' own."""

from polygeom.claims import counts, layernorm, layers, neighbors, parallelograms, partition
from polygeom.claims.instance import Instance
from polygeom.claims.registry import Claim, Registry, Verdicts, claim, registry, verify, verify_all
from polygeom.claims.verdict import Outcome, Verdict, Witness, fails, holds, not_applicable, undecided

FAMILIES = (partition, counts, neighbors, layers, parallelograms, layernorm)
"""The modules whose claims are registered when this package is imported."""

__all__ = [
    "FAMILIES",
    "Claim",
    "Instance",
    "Outcome",
    "Registry",
    "Verdict",
    "Verdicts",
    "Witness",
    "claim",
    "fails",
    "holds",
    "not_applicable",
    "registry",
    "undecided",
    "verify",
    "verify_all",
]
