"""What a proof is: frozen certificates that re-check themselves against a polyhedron without any solver."""

from polygeom.certificates.check import Check, Level

__all__ = ["Check", "Level"]
