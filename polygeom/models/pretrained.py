"""Checkpoints of transformers, read with nothing left to chance: what is missing in a file is an error.

`transformers` fills what a checkpoint lacks with random numbers and says so in its log. Here every tensor of the
body has to be there, in its shape and finite. Weights in half precision are read as float32, exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from polygeom.errors import InputError, MissingPackageError
from polygeom.models.adapters import FAMILIES, family, n_blocks
from polygeom.models.transformer.activations import activation_name

if TYPE_CHECKING:
    import transformers

__all__ = ["load"]

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
"""What a name on the hub looks like: OWNER/NAME or NAME."""

NAMED = 3
"""How many of the tensors at fault a message names."""


def load(name_or_path: str | Path, kind: str | None = None) -> transformers.PreTrainedModel:
    """Return a pretrained model in eval mode, float32, without gradients.

    Parameters
    ----------
    name_or_path : str or Path
        A folder with ``config.json`` and safetensors, or a name on the hub, which is fetched unless it is in the
        hub's cache.
    kind : str, optional
        The model type wanted, ``"gpt2"`` for example; any that has an adapter by default. A GPT-2 comes with its
        language-model head, others without one.

    Raises
    ------
    InputError
        If there is no such folder or name (without a connection, the hub's client tries for some twenty seconds),
        no configuration or no weights; if the model is of another type or has an activation that is not known; if
        tensors are missing, too many, of other shapes, or not finite.
    MissingPackageError
        If transformers is not installed.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from polygeom.models.small_gpt2 import Size, untrained
    >>> with TemporaryDirectory() as folder:
    ...     untrained(Size(vocabulary=32, width=8, blocks=2, heads=2, context=16)).save_pretrained(folder)
    ...     model = load(folder)
    >>> model.config.n_layer, model.training
    (2, False)
    """
    try:
        import transformers
        from huggingface_hub.errors import StrictDataclassError
        from safetensors import SafetensorError
    except ImportError as error:
        raise MissingPackageError("A checkpoint", str(error.name), extra="transformers") from None
    source = _source(name_or_path)
    try:
        config = transformers.AutoConfig.from_pretrained(source)
    except (OSError, ValueError, KeyError, TypeError, StrictDataclassError) as error:
        raise InputError(f"No configuration of a model in {source}: {_reason(error)}") from error
    _check_kind(config, kind, source)
    model_class = transformers.GPT2LMHeadModel if config.model_type == "gpt2" else transformers.AutoModel
    with _quiet(transformers):
        try:
            model, report = model_class.from_pretrained(
                source,
                config=config,
                dtype="float32",
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are in the report, where they can be named
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise InputError(f"No weights that can be read in {source}: {_reason(error)}") from error
    _check_tensors(model, report, source)
    return model.eval().requires_grad_(False)


def _source(name_or_path: str | Path) -> str:
    """Return a folder that is there, or a name that the hub could know."""
    if not isinstance(name_or_path, str | Path):
        raise InputError(f"Got a {type(name_or_path).__name__}, wanted a folder or a name on the hub.")
    path = Path(name_or_path)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(f"{path} has no config.json: wanted a folder made by save_pretrained.")
    elif path.exists():
        raise InputError(f"{path} is a file, wanted the folder with config.json that it lies in.")
    elif isinstance(name_or_path, Path) or not HUB_NAME.fullmatch(name_or_path):
        raise InputError(f"There is no folder {name_or_path}.")
    return str(name_or_path)


def _check_kind(config: transformers.PretrainedConfig, kind: str | None, source: str) -> None:
    if kind is not None and config.model_type != kind:
        raise InputError(
            f"{source} holds a model of type {config.model_type!r}, wanted {kind!r}. "
            f"polygeom.models.pretrained.load reads {', '.join(FAMILIES)}."
        )
    names = family(config)
    try:
        activation_name(getattr(config, names.activation, None))
    except InputError as error:
        raise InputError(f"In the configuration of {source}: {error}") from None


def _check_tensors(model: transformers.PreTrainedModel, report: dict, source: str) -> None:
    """Refuse what transformers would have drawn at random, what does not fit, and NaN."""
    import torch

    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise InputError(
            f"{source} lacks {len(missing)} tensors: {_some(missing)}. Likely cause: a truncated checkpoint, "
            "one of another architecture, or a configuration with more blocks."
        )
    shapes = sorted(
        f"{name} {tuple(got)} (wanted {tuple(want)})" for name, got, want in report["mismatched_keys"]
    )
    if shapes:
        raise InputError(
            f"{source} has {len(shapes)} tensors of shapes that its configuration does not have: {_some(shapes)}."
        )
    inside = re.compile(rf"(^|\.){re.escape(family(model.config).blocks)}\.\d+\.")
    odd = sorted(name for name in report["unexpected_keys"] if inside.search(name))
    if odd:
        raise InputError(
            f"{source} has {len(odd)} tensors in its blocks for which a model of {n_blocks(model.config)} blocks "
            f"has no place: {_some(odd)}. Likely cause: the configuration of a smaller model."
        )
    bad = [name for name, tensor in model.state_dict().items() if not torch.isfinite(tensor).all()]
    if bad:
        raise InputError(f"{source} holds NaN or infinities in {len(bad)} tensors: {_some(bad)}.")


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def _reason(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") + "." if lines else f"{type(error).__name__}."


@contextmanager
def _quiet(transformers: object) -> Iterator[None]:
    """Keep the log and the progress bar of transformers still: what they would say is checked."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
