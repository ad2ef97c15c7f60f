"""Exact polytopes from piecewise-affine networks, with proofs that re-check without a solver.

The public names stand in ``__init__.pyi``, each with its home; they are loaded when first used, so that
``import polygeom`` is quick.
"""

import lazy_loader

__version__ = "0.1.0.dev0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
