"""Exact polytopes from piecewise-affine networks, with proofs that re-check without a solver.

Public names are loaded when first used, so ``import polygeom`` is quick and needs numpy alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0.dev0"

_HOMES = {
    "polygeom.affine": ("AffineMap",),
    "polygeom.certificates": ("Check", "Level"),
    "polygeom.codes": ("SplineCodes",),
    "polygeom.errors": (
        "ConversionError",
        "InputError",
        "NotPiecewiseAffineError",
        "PolygeomError",
        "SolverError",
        "TooLargeError",
        "UndecidedError",
    ),
    "polygeom.exits": ("nearest_boundaries", "ray_exit"),
    "polygeom.models.convert": ("from_onnx", "from_torch"),
    "polygeom.network": ("Network",),
    "polygeom.pieces": ("AffinePiece", "piece_at", "spline_codes"),
    "polygeom.polyhedron": ("Polyhedron",),
    "polygeom.predicates": (
        "boundedness",
        "chebyshev_ball",
        "dimension",
        "facets",
        "facets_batch",
        "feasibility",
        "implicit_equalities",
        "inscribed_ellipsoid",
        "is_bounded",
        "is_cone",
        "is_empty",
        "is_equal",
        "is_subset",
        "origin_test",
        "project",
        "recession_cone",
        "vertices",
        "volume",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_ROOMS = ("models", "plotting")

__all__ = sorted([*_HOME_OF, *_ROOMS, "__version__"])

if TYPE_CHECKING:
    from polygeom import models, plotting
    from polygeom.affine import AffineMap
    from polygeom.certificates import Check, Level
    from polygeom.codes import SplineCodes
    from polygeom.errors import (
        ConversionError,
        InputError,
        NotPiecewiseAffineError,
        PolygeomError,
        SolverError,
        TooLargeError,
        UndecidedError,
    )
    from polygeom.exits import nearest_boundaries, ray_exit
    from polygeom.models.convert import from_onnx, from_torch
    from polygeom.network import Network
    from polygeom.pieces import AffinePiece, piece_at, spline_codes
    from polygeom.polyhedron import Polyhedron
    from polygeom.predicates import (
        boundedness,
        chebyshev_ball,
        dimension,
        facets,
        facets_batch,
        feasibility,
        implicit_equalities,
        inscribed_ellipsoid,
        is_bounded,
        is_cone,
        is_empty,
        is_equal,
        is_subset,
        origin_test,
        project,
        recession_cone,
        vertices,
        volume,
    )


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    elif name in _ROOMS:
        value = import_module(f"polygeom.{name}")
    else:
        raise AttributeError(f"module 'polygeom' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
