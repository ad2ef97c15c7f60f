"""Transformer blocks: LayerNorm, a linear layer, GELU or ReLU, and the exact geometry of their gate cells."""

from polygeom.models.transformer.activations import turning_point
from polygeom.models.transformer.angular import angular_crossings
from polygeom.models.transformer.gate_cells import GateCell, gate_cell
from polygeom.models.transformer.image import (
    BoundaryCones,
    ImageHyperplanes,
    PairsInBall,
    boundary_cones,
    image_hyperplanes,
    pairs_in_ball,
)
from polygeom.models.transformer.nearest import NearestBoundaries, nearest_boundaries
from polygeom.models.transformer.normed_mlp import NormedMLP
from polygeom.models.transformer.radial import RadialCrossings, radial_crossings
from polygeom.models.transformer.visible import VisibleFacets, visible_facets

__all__ = [
    "BoundaryCones",
    "GateCell",
    "ImageHyperplanes",
    "NearestBoundaries",
    "NormedMLP",
    "PairsInBall",
    "RadialCrossings",
    "VisibleFacets",
    "angular_crossings",
    "boundary_cones",
    "gate_cell",
    "image_hyperplanes",
    "nearest_boundaries",
    "pairs_in_ball",
    "radial_crossings",
    "turning_point",
    "visible_facets",
]
