"""Where a transformer keeps its LayerNorms and MLPs: state dicts of GPT-2, BERT, GPT-NeoX and OPT -> `NormedMLP`.

Each family says under which names the LayerNorm that feeds the MLP, and the two linear layers, stand in its
state dict; whether weights are stored (inputs, outputs), as by GPT-2, the transpose of a linear layer's; and where
its configuration has the activation and the epsilon. What enters that LayerNorm is what `mlp_inputs` catches with
a forward hook:

- GPT-2 and OPT: the residual stream behind the attention.
- GPT-NeoX: the residual stream in front of the block where attention and MLP work side by side
  (``use_parallel_residual``), else behind the attention.
- BERT, and OPT with ``do_layer_norm_before=False``: the sum of attention and residual stream, which is normalized
  and then serves as the MLP's input and as the next residual stream.

Weights in half precision are read exactly, as float64.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import as_count, as_index, as_path
from polygeom.errors import InputError, PolygeomError
from polygeom.models.tokens import as_tokens, context_length
from polygeom.models.transformer.normed_mlp import NormedMLP

if TYPE_CHECKING:
    import torch
    import transformers

__all__ = [
    "FAMILIES",
    "Family",
    "family",
    "headless",
    "mlp_block",
    "mlp_inputs",
    "n_blocks",
    "normed_mlp",
    "read_checkpoint",
    "residuals",
]


@dataclass(frozen=True)
class Family:
    """The names that the checkpoints of one architecture use.

    Attributes
    ----------
    blocks : str
        Path of the list of blocks, without what a head's model puts before it.
    norm, linear_in, linear_out : str
        Paths inside a block of the LayerNorm and of the two linear layers.
    activation : str
        Entry of the configuration with the name of the activation.
    eps : str or None
        Entry with the LayerNorm's epsilon; None if the architecture takes that of PyTorch.
    depth : str
        Entry with the number of blocks.
    transposed : bool
        Whether weights are stored (inputs, outputs).
    """

    blocks: str
    norm: str
    linear_in: str
    linear_out: str
    activation: str
    eps: str | None
    depth: str = "num_hidden_layers"
    transposed: bool = False


_BERT = Family(
    "encoder.layer",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "hidden_act",
    "layer_norm_eps",
)

FAMILIES = {
    "gpt2": Family(
        "h", "ln_2", "mlp.c_fc", "mlp.c_proj", "activation_function", "layer_norm_epsilon", "n_layer", True
    ),
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "camembert": _BERT,
    "electra": _BERT,
    "gpt_neox": Family(
        "layers",
        "post_attention_layernorm",
        "mlp.dense_h_to_4h",
        "mlp.dense_4h_to_h",
        "hidden_act",
        "layer_norm_eps",
    ),
    "opt": Family("decoder.layers", "final_layer_norm", "fc1", "fc2", "activation_function", None),
}
"""Model types, as ``config.json`` names them, -> where their MLPs are."""


# -- state dicts ---------------------------------------------------------------------------------------------


def family(config: object) -> Family:
    """Return the family that a configuration belongs to.

    Parameters
    ----------
    config : mapping or transformers configuration
        The content of ``config.json``.

    Raises
    ------
    InputError
        If the model type is missing or none of `FAMILIES`.
    """
    settings = _settings(config)
    name = settings.get("model_type")
    if not isinstance(name, str) or name not in FAMILIES:
        raise InputError(
            f"Models of type {name!r} have no adapter; known are {', '.join(FAMILIES)}. Likely cause: another "
            "architecture (RMSNorm or gated MLPs have no LayerNorm -> linear -> activation). Remedy: build "
            "NormedMLP(gamma, beta, eps, W_in, b_in, activation, W_out, b_out) from its tensors."
        )
    found = FAMILIES[name]
    if name == "opt" and not settings.get("do_layer_norm_before", True):
        return replace(found, norm="self_attn_layer_norm")
    return found


def n_blocks(config: object) -> int:
    """Return the number of blocks of a model, or that a configuration names.

    Raises
    ------
    InputError
        If it names none, or the model type has no adapter.
    """
    name = family(config).depth
    return as_count(_entry(_settings(config), name), f"The configuration's {name}", 1)


def normed_mlp(state: Mapping[str, object], config: object, i: int) -> NormedMLP:
    """Return block i of a state dict, as float64.

    Parameters
    ----------
    state : mapping from str to array or tensor
        Tensors by name; a prefix such as ``transformer.`` or ``bert.`` may stand before the names.
    config : mapping or transformers configuration
        The content of ``config.json``.
    i : int
        Number of the block, from 0.

    Raises
    ------
    InputError
        If there is no such block, a tensor or an entry of the configuration is missing, or a shape, a value or
        the activation is not what a `NormedMLP` takes.

    Examples
    --------
    >>> config = {"model_type": "gpt2", "n_layer": 1, "layer_norm_epsilon": 0.0, "activation_function": "relu"}
    >>> state = {
    ...     "h.0.ln_2.weight": np.ones(2), "h.0.ln_2.bias": np.zeros(2),
    ...     "h.0.mlp.c_fc.weight": np.ones((2, 3)), "h.0.mlp.c_fc.bias": np.zeros(3),
    ...     "h.0.mlp.c_proj.weight": np.ones((3, 2)), "h.0.mlp.c_proj.bias": np.zeros(2),
    ... }
    >>> normed_mlp(state, config, 0)
    NormedMLP(2 -> 3 -> 2, relu, eps=0)
    """
    settings, names = _settings(config), family(config)
    block = f"{names.blocks}.{as_index(i, n_blocks(config), 'block')}"
    root = _root(state, f"{block}.{names.norm}.weight") + block

    def tensor(name: str) -> np.ndarray:
        full = f"{root}.{name}"
        if full not in state:
            raise InputError(f"The state dict has no {full!r}. Likely cause: a truncated checkpoint.")
        return _float64(state[full])

    def matrix(name: str) -> np.ndarray:
        weight = tensor(f"{name}.weight")
        return weight.T if names.transposed else weight

    return NormedMLP(
        tensor(f"{names.norm}.weight"),
        tensor(f"{names.norm}.bias"),
        _epsilon(settings, names),
        matrix(names.linear_in),
        tensor(f"{names.linear_in}.bias"),
        _entry(settings, names.activation),
        matrix(names.linear_out),
        tensor(f"{names.linear_out}.bias"),
    )


def read_checkpoint(folder: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    """Return the state dict and the configuration in a folder, without building the model.

    Reads ``config.json`` and ``model.safetensors``, or the parts that ``model.safetensors.index.json`` lists.

    Raises
    ------
    InputError
        If one of them is missing or unreadable.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = as_path(folder, "folder")
    config = _json(folder / "config.json")
    index = folder / "model.safetensors.index.json"
    files = _parts(index) if index.is_file() else ["model.safetensors"]
    state: dict[str, torch.Tensor] = {}
    for name in files:
        try:
            state |= load_file(folder / name)
        except FileNotFoundError as error:
            raise InputError(f"There are no weights at {folder / name}.") from error
        except (SafetensorError, OSError) as error:
            raise InputError(f"{folder / name} is not a readable safetensors file: {error}.") from error
    return state, config


def _parts(index: Path) -> list[str]:
    """Return the names of the files that an index lists."""
    content = _json(index)
    places = content.get("weight_map") if isinstance(content, Mapping) else None
    if not isinstance(places, Mapping) or not all(isinstance(name, str) for name in places.values()):
        raise InputError(
            f"{index} has no weight_map of tensors to files. Likely cause: a truncated download."
        )
    return sorted(set(places.values()))


def _json(file: Path) -> dict:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"There is no {file}. A checkpoint is a folder with config.json and safetensors."
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{file} is not readable: {error}.") from error


def _settings(config: object) -> Mapping[str, object]:
    config = getattr(config, "config", config)  # of a model
    settings = config.to_dict() if hasattr(config, "to_dict") else config
    if not isinstance(settings, Mapping):
        raise InputError(
            f"The configuration is a {type(config).__name__}, wanted the content of config.json."
        )
    return settings


def _entry(settings: Mapping[str, object], name: str) -> object:
    if settings.get(name) is None:
        raise InputError(
            f"The configuration has no {name!r}. Likely cause: a config.json that leaves out defaults. Remedy: "
            "transformers.AutoConfig.from_pretrained fills them in."
        )
    return settings[name]


def _epsilon(settings: Mapping[str, object], names: Family) -> object:
    if names.eps is not None:
        return _entry(settings, names.eps)
    from torch import nn

    return nn.LayerNorm(1).eps


def _root(state: Mapping[str, object], name: str) -> str:
    """Return what stands before a name in the state dict."""
    if not isinstance(state, Mapping):
        raise InputError(f"The state dict is a {type(state).__name__}, wanted tensors by name.")
    names = [key for key in state if isinstance(key, str)]
    roots = [key[: -len(name)] for key in names if key == name or key.endswith(f".{name}")]
    if len(roots) != 1:
        some = ", ".join(sorted(names)[:3]) or "nothing"
        raise InputError(
            f"The state dict has {len(roots)} tensors named ...{name}, wanted one; it begins with {some}. Likely "
            "cause: the configuration of another architecture, or an encoder and a decoder in one checkpoint."
        )
    return roots[0]


def _float64(tensor: object) -> np.ndarray:
    """Return a tensor or array as float64; numpy knows no bfloat16, so torch converts, exactly."""
    return tensor.detach().cpu().double().numpy() if hasattr(tensor, "detach") else np.asarray(tensor)


# -- models --------------------------------------------------------------------------------------------------


def mlp_block(model: transformers.PreTrainedModel, i: int) -> NormedMLP:
    """Return the LayerNorm and MLP of block i of a model, as float64.

    Raises
    ------
    InputError
        If the architecture has no adapter, there is no such block, or its activation is not known.

    Examples
    --------
    >>> from polygeom.models.small_gpt2 import Size, untrained
    >>> model = untrained(Size(vocabulary=32, width=8, blocks=2, heads=2, context=16))
    >>> mlp_block(model, 1)
    NormedMLP(8 -> 32 -> 8, gelu_tanh, eps=1e-05)
    """
    return normed_mlp(headless(model).state_dict(), model.config, i)


def mlp_inputs(model: transformers.PreTrainedModel, tokens: object, i: int) -> np.ndarray:
    """Return what enters the LayerNorm before the MLP of block i, at every token.

    The forward pass runs in the model's own precision and without dropout; its numbers are then read as float64.

    Parameters
    ----------
    model : transformers model
        Of one of `FAMILIES`.
    tokens : (L,) or (B, L) integers
        Full sequences: nothing is padded.
    i : int
        Number of the block.

    Returns
    -------
    (L, d) or (B, L, d) array

    Raises
    ------
    InputError
        If tokens are outside the vocabulary or more than the model reads, or there is no such block.

    Examples
    --------
    >>> from polygeom.models.small_gpt2 import Size, untrained
    >>> model = untrained(Size(vocabulary=32, width=8, blocks=2, heads=2, context=16))
    >>> mlp_inputs(model, [3, 1, 4], 1).shape
    (3, 8)
    """
    return residuals(model, tokens, [i])[i]


def residuals(
    model: transformers.PreTrainedModel,
    tokens: object,
    blocks: Iterable[int] | None = None,
    positions: np.ndarray | None = None,
) -> dict[int, np.ndarray]:
    """Return what enters the LayerNorm before the MLP, in several blocks from one forward pass.

    As `mlp_inputs`; at some positions of every sequence only, if they are given. Blocks default to all.

    Raises
    ------
    InputError
        As `mlp_inputs`, or if there is no such position.
    """
    import torch

    body, depth = headless(model), n_blocks(model.config)
    if blocks is not None and not isinstance(blocks, Iterable):
        raise InputError(f"blocks is {blocks!r}, wanted the numbers of some blocks.")
    wanted = sorted({as_index(i, depth, "block") for i in (range(depth) if blocks is None else blocks)})
    tokens = as_tokens(tokens, vocabulary=model.config.vocab_size)
    batch = np.atleast_2d(tokens)
    reach = context_length(model.config)
    if not 0 < batch.shape[1] <= reach:
        raise InputError(
            f"Sequences have {batch.shape[1]} tokens; the model reads 1 to {reach}. "
            "Remedy: cut them, as TokenProtocol.sequences does."
        )
    length = batch.shape[1]
    places = range(length) if positions is None else np.atleast_1d(positions).tolist()
    keep = torch.tensor([as_index(place, length, "position") for place in places], dtype=torch.int64)
    seen: dict[int, torch.Tensor] = {}

    def hook(i: int) -> object:
        def catch(module: object, inputs: tuple) -> None:
            seen[i] = inputs[0].reshape(*batch.shape, -1)[:, keep]
            if i == wanted[-1]:
                raise _ReadEnoughError

        return _norm(body, model.config, i).register_forward_pre_hook(catch)

    if not wanted:
        return {}
    hooks = [hook(i) for i in wanted]
    try:
        with torch.no_grad(), _evaluating(body), suppress(_ReadEnoughError):
            body(torch.from_numpy(batch).to(body.device), use_cache=False)
    finally:
        for handle in hooks:
            handle.remove()
    shape = tokens.shape[:-1]
    return {i: _float64(x).reshape(*shape, *x.shape[1:]) for i, x in sorted(seen.items())}


class _ReadEnoughError(PolygeomError):
    """Ends a forward pass: nothing behind is asked for."""


@contextmanager
def _evaluating(body: torch.nn.Module) -> Iterator[None]:
    """Turn dropout off, and back on behind."""
    training = [module for module in body.modules() if module.training]
    body.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def headless(model: transformers.PreTrainedModel) -> torch.nn.Module:
    """Return the model without its head: logits over a vocabulary would take most of the time.

    Raises
    ------
    InputError
        If it is no model of transformers, or of a type that has no adapter.
    """
    if not hasattr(model, "config") or not hasattr(model, "base_model"):
        raise InputError(f"Got a {type(model).__name__}, wanted a model of transformers.")
    family(model.config)
    return model.base_model


def _norm(body: torch.nn.Module, config: object, i: int) -> torch.nn.Module:
    names = family(config)
    return body.get_submodule(f"{names.blocks}.{i}.{names.norm}")
