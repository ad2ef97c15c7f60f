"""The transformer that figures read: MiniLM if its weights are installed, else the small GPT-2, and its text."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from paper_figures.pipeline import SkippedError, data_folder
from polygeom.errors import InputError
from polygeom.lens.kept_rows import cache_folder
from polygeom.models import minilm, small_gpt2
from polygeom.models.corpus import Plan, Recording, record
from polygeom.models.tokens import Documents, TokenProtocol, read_documents, tokenizer

if TYPE_CHECKING:
    import transformers

DOCUMENTS = "data/text/openwebtext_1000docs.jsonl.gz"
SEED = 0

FIRST = 12
"""First position that is kept where 100 is too late: a tenth of a context of 128, as 100 is of 1024."""


@dataclass(frozen=True, eq=False)
class TextModel:
    """A model that is installed, and what it is read with.

    Attributes
    ----------
    name : str
    trained, untrained : model
    reader : tokenizer
    weights : Path
        The file with the trained weights.
    """

    name: str
    trained: transformers.PreTrainedModel
    untrained: transformers.PreTrainedModel
    reader: transformers.PreTrainedTokenizerBase
    weights: Path

    def protocol(self) -> TokenProtocol:
        """Return the protocol of the model, from an earlier position on where its context is short."""
        try:
            return TokenProtocol.of(self.trained, self.reader)
        except InputError:
            return TokenProtocol.of(self.trained, self.reader, first=FIRST)

    def recorded(
        self, network: str, model: transformers.PreTrainedModel, n_documents: int, plan: Plan
    ) -> Recording:
        """Run documents through a model; what was kept by an earlier run is not computed again."""
        about = f"{network} {n_documents} {plan}".encode()
        digest = hashlib.sha256(self.weights.read_bytes() + about).hexdigest()[:16]
        documents = Documents(read_documents(limit=n_documents), self.reader)
        return record(model, documents, cache_folder() / "recordings" / digest, plan, progress=True)


def text_model() -> TextModel:
    """Return MiniLM, or the small GPT-2.

    Raises
    ------
    SkippedError
        If there is neither, or no text.
    """
    folder = data_folder()
    if folder is None or not (folder / DOCUMENTS).is_file():
        raise SkippedError(
            f"Needs {DOCUMENTS} in the folder that POLYGEOM_DATA names: documents, one a line, as "
            '{"text": "..."}, compressed by gzip. polygeom fetch has none: place some there by hand.'
        )
    try:
        model, place = minilm.load(), minilm.folder()
        return TextModel(
            "MiniLM", model, _before_training(model), tokenizer(place), place / "model.safetensors"
        )
    except InputError as first:
        missing = str(first)
    try:
        place = small_gpt2.folder()
        model = small_gpt2.trained()
    except InputError as second:
        raise SkippedError(f"No transformer here. {missing} Or: {second}") from second
    return TextModel(
        "a small GPT-2", model, small_gpt2.untrained(), tokenizer(place), place / "model.safetensors"
    )


def _before_training(model: transformers.PreTrainedModel) -> transformers.PreTrainedModel:
    """Return the same model with the random weights it is drawn with."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return type(model)(model.config).eval().requires_grad_(False)
