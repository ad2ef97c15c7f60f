"""Geometric statements that judge themselves on a network: the claims of the theory, and users' own."""

from importlib import import_module

from polygeom.claims.instance import Instance
from polygeom.claims.registry import Claim, Registry, Verdicts, claim, registry, verify, verify_all
from polygeom.claims.verdict import Outcome, Verdict, Witness, fails, holds, not_applicable, undecided

FAMILIES = (
    "partition",
    "counts",
    "cones",
    "fan",
    "neighbors",
    "symmetries",
    "layers",
    "parallelograms",
    "layernorm",
    "statistics",
)
"""The modules whose claims are registered when this package is imported, in the order of the registry."""

for family in FAMILIES:
    import_module(f"polygeom.claims.{family}")

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
