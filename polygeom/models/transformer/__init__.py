"""Transformer blocks: LayerNorm, a linear layer, GELU or ReLU, and the exact geometry of their gate cells."""

from polygeom.models.transformer.activations import turning_point
from polygeom.models.transformer.angular import angular_crossings
from polygeom.models.transformer.gate_cells import GateCell, gate_cell
from polygeom.models.transformer.normed_mlp import NormedMLP
from polygeom.models.transformer.radial import RadialCrossings, radial_crossings

__all__ = [
    "GateCell",
    "NormedMLP",
    "RadialCrossings",
    "angular_crossings",
    "gate_cell",
    "radial_crossings",
    "turning_point",
]
