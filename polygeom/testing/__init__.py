"""Property tests for networks of your own: strategies, laws, and the networks on which tools are known to fail.

The strategies draw with Hypothesis (``pip install 'polygeom[testing]'``), the laws work without it; names are
loaded when first used (``__init__.pyi`` lists them with their homes).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
