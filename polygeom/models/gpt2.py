"""GPT-2: its checkpoints, the MLP of a block, and what enters it at the tokens of a text.

GPT2-small has 12 blocks; in each a LayerNorm (epsilon 1e-5) normalizes the residual stream in R^768, a linear
layer takes it to 3072 units with the tanh form of GELU, another takes it back. `mlp_block` returns the three as a
`NormedMLP`, `mlp_inputs` the vectors of the residual stream that enter it.

Source: Radford et al. 2019, Language models are unsupervised multitask learners. Needs transformers
(``pip install 'polygeom[transformers]'``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polygeom.errors import InputError
from polygeom.models import adapters, pretrained
from polygeom.models.adapters import mlp_block
from polygeom.models.tokens import tokenizer

if TYPE_CHECKING:
    import transformers

__all__ = ["load", "mlp_block", "mlp_inputs", "tokenizer"]


def load(name_or_path: str | Path = "gpt2") -> transformers.GPT2LMHeadModel:
    """Return a GPT-2 in eval mode, float32, without gradients.

    Parameters
    ----------
    name_or_path : str or Path
        A folder with ``config.json`` and safetensors, or a name on the hub, which is fetched unless it is in the
        hub's cache. Half precision is read as float32, exactly.

    Raises
    ------
    InputError
        As `polygeom.models.pretrained.load`; or if the checkpoint is no GPT-2.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from polygeom.models.small_gpt2 import Size, untrained
    >>> with TemporaryDirectory() as folder:
    ...     untrained(Size(vocabulary=32, width=8, blocks=2, heads=2, context=16)).save_pretrained(folder)
    ...     model = load(folder)
    >>> mlp_block(model, 0)
    NormedMLP(8 -> 32 -> 8, gelu_tanh, eps=1e-05)
    """
    return pretrained.load(name_or_path, kind="gpt2")


def mlp_inputs(
    model: transformers.PreTrainedModel,
    text_or_tokens: object,
    i: int,
    reader: transformers.PreTrainedTokenizerBase | None = None,
) -> np.ndarray:
    """Return what enters the LayerNorm before the MLP of block i, at every token.

    Parameters
    ----------
    model : transformers model
    text_or_tokens : str, or (L,) or (B, L) integers
        A text becomes its tokens, nothing added.
    i : int
        Number of the block, from 0.
    reader : transformers tokenizer, optional
        For text; by default the one that lies beside the model's weights.

    Returns
    -------
    (L, d) or (B, L, d) array

    Raises
    ------
    InputError
        If the text is empty or there is no tokenizer beside the model; otherwise as
        `polygeom.models.adapters.mlp_inputs`.

    Examples
    --------
    >>> from polygeom.models.small_gpt2 import Size, untrained
    >>> model = untrained(Size(vocabulary=32, width=8, blocks=2, heads=2, context=16))
    >>> mlp_inputs(model, [[3, 1, 4], [1, 5, 9]], 0).shape
    (2, 3, 8)
    """
    if not isinstance(text_or_tokens, str):
        return adapters.mlp_inputs(model, text_or_tokens, i)
    if not text_or_tokens:
        raise InputError("The text is empty, so it has no tokens.")
    adapters.headless(model)
    reader = _beside(model) if reader is None else reader
    if not callable(reader):
        raise InputError(f"reader is a {type(reader).__name__}, wanted a tokenizer of transformers.")
    tokens = reader(text_or_tokens, add_special_tokens=False, verbose=False)["input_ids"]
    return adapters.mlp_inputs(model, tokens, i)


def _beside(model: transformers.PreTrainedModel) -> transformers.PreTrainedTokenizerBase:
    try:
        return tokenizer(model.name_or_path)
    except InputError as error:
        raise InputError(
            "The model was loaded from a place without a tokenizer. Give one: mlp_inputs(model, text, i, "
            f"reader=gpt2.tokenizer()), or give tokens. ({error})"
        ) from error
