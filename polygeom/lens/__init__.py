"""The polytope lens: what regions and spline codes say about a network's features, measured.

The lens measures, claims judge. The names stand in ``__init__.pyi``, each with its home; they are loaded when
first used. What needs scikit-learn comes with ``pip install 'polygeom[lens]'``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
