"""Transformer blocks: LayerNorm, a linear layer, GELU or ReLU, and the exact geometry of their gate cells."""

from polygeom.models.transformer.activations import turning_point
from polygeom.models.transformer.normed_mlp import NormedMLP

__all__ = ["NormedMLP", "turning_point"]
