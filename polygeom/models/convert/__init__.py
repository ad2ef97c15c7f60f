"""Networks from torch modules and ONNX files."""

from polygeom.models.convert.torch_export import from_torch

__all__ = ["from_torch"]
