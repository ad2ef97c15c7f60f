"""Networks from torch modules and ONNX files."""

from polygeom.models.convert.onnx import from_onnx
from polygeom.models.convert.torch_export import from_torch

__all__ = ["from_onnx", "from_torch"]
