"""A small GPT-2 that is trained here, in minutes: real trained weights with GPT-2's geometry, without a download.

Four blocks, 128 -> 512 with the tanh form of GELU, 128 tokens of context, trained on the documents of OpenWebText
that `polygeom.models.tokens.read_documents` finds. Its vocabulary is GPT-2's byte-pair encoding stopped early:
the 256 bytes, the first merges and the end-of-text token. So numbers mean the same tokens as in GPT-2, but for the
end of text, which is the last; and most of the time goes into the blocks and not into the logits.

AdamW (Loshchilov and Hutter 2019) with a linear start and a cosine end, decay on matrices only, in float32. The
same seed draws the same first weights and the same order of the sequences; last bits depend on the number of
threads.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import freeze
from polygeom.errors import InputError
from polygeom.models import gpt2
from polygeom.models.tokens import Documents, TokenProtocol, data_folder

if TYPE_CHECKING:
    import torch
    import transformers

__all__ = ["Schedule", "Size", "Training", "cut_tokenizer", "folder", "train", "trained", "untrained"]

BYTES = 256
"""Tokens of GPT-2's vocabulary that stand for single bytes; those of the merges follow."""

BETAS, DECAY = (0.9, 0.95), 0.1


@dataclass(frozen=True)
class Size:
    """How large the model is: tokens, width of the residual stream, blocks, attention heads, longest sequence."""

    vocabulary: int = 4096
    width: int = 128
    blocks: int = 4
    heads: int = 4
    context: int = 128


@dataclass(frozen=True)
class Schedule:
    """How it is trained: steps of the optimizer, sequences per step, highest learning rate, seed.

    One document in `held_out` is kept for judging.
    """

    steps: int = 600
    batch: int = 32
    rate: float = 0.002
    seed: int = 0
    held_out: int = 20


@dataclass(frozen=True, eq=False)
class Training:
    """A trained model with the history of its loss.

    Attributes
    ----------
    model : GPT2LMHeadModel
        In eval mode, without gradients.
    reader : GPT2Tokenizer
        Its tokenizer.
    loss : (steps,) array
        Mean cross-entropy of the next token, in nats, on the batch of every step, before the step.
    held_out : float
        The same of the trained model on documents it was not trained on.
    unigram : float
        The same if every token were predicted with its frequency in training, which takes no context to know.
    """

    model: transformers.GPT2LMHeadModel
    reader: transformers.GPT2Tokenizer
    loss: np.ndarray
    held_out: float
    unigram: float

    def __repr__(self) -> str:
        return (
            f"Training({len(self.loss)} steps, loss {self.loss[0]:.2f} -> {self.loss[-1]:.2f}, held out "
            f"{self.held_out:.2f}, by frequencies {self.unigram:.2f})"
        )

    def save(self, path: str | Path) -> None:
        """Write a folder that `gpt2.load` and `gpt2.tokenizer` read: safetensors, vocabulary and history."""
        self.model.save_pretrained(path)
        self.reader.save_pretrained(path)
        history = {"loss": self.loss.tolist(), "held_out": self.held_out, "unigram": self.unigram}
        (Path(path) / "training.json").write_text(json.dumps(history), encoding="utf-8")


def folder() -> Path:
    """Return where the trained model is kept: in the user's cache, never beside the sources."""
    return Path.home() / ".cache" / "polygeom" / "small_gpt2"


def trained(path: str | Path | None = None) -> transformers.GPT2LMHeadModel:
    """Return the trained model of a folder.

    Raises
    ------
    InputError
        If it was not trained yet; otherwise as `gpt2.load`.
    """
    place = folder() if path is None else Path(path)
    if not (place / "training.json").is_file():
        raise InputError(
            f"There is no trained model in {place}. examples/train_small_gpt2.py trains one, in minutes."
        )
    return gpt2.load(place)


def untrained(size: Size = Size(), seed: int = 0) -> transformers.GPT2LMHeadModel:
    """Return the model before training, with the random weights of GPT-2, in eval mode and without gradients.

    The random state of torch is left as it was.
    """
    return _drawn(size, seed).eval().requires_grad_(False)


def _drawn(size: Size, seed: int) -> transformers.GPT2LMHeadModel:
    import torch
    import transformers

    end = size.vocabulary - 1
    config = transformers.GPT2Config(
        vocab_size=size.vocabulary,
        n_embd=size.width,
        n_layer=size.blocks,
        n_head=size.heads,
        n_positions=size.context,
        bos_token_id=end,
        eos_token_id=end,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return transformers.GPT2LMHeadModel(config)


# -- vocabulary ----------------------------------------------------------------------------------------------


def cut_tokenizer(vocabulary: int, source: str | Path | None = None) -> transformers.GPT2Tokenizer:
    """Return GPT-2's byte-pair encoding after its first merges only.

    Parameters
    ----------
    vocabulary : int
        Number of tokens: 256 bytes, merges, and the end of text as the last.
    source : str or Path, optional
        The folder with ``vocab.json`` and ``merges.txt``, by default ``data/gpt2_bpe`` in the folder named by
        POLYGEOM_DATA.

    Raises
    ------
    InputError
        If the files are missing or not numbered as GPT-2's, or have fewer merges.
    """
    import transformers

    place = data_folder("gpt2_bpe") if source is None else Path(source)
    try:
        numbers = json.loads((place / "vocab.json").read_text(encoding="utf-8"))
        lines = (place / "merges.txt").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise InputError(
            f"There is no {error.filename}; wanted vocab.json and merges.txt of GPT-2."
        ) from error
    merges = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
    wanted = vocabulary - BYTES - 1
    if not 0 <= wanted <= len(merges):
        raise InputError(
            f"A vocabulary of {vocabulary} tokens cannot be cut from {place}: wanted {BYTES + 1} to "
            f"{BYTES + 1 + len(merges)}."
        )
    if any(numbers.get("".join(pair)) != BYTES + k for k, pair in enumerate(merges[:wanted])):
        raise InputError(f"{place}/vocab.json does not number its merges from {BYTES} on, as GPT-2 does.")
    kept = {token: number for token, number in numbers.items() if number < vocabulary - 1}
    end = "<|endoftext|>"
    return transformers.GPT2Tokenizer(vocab=kept | {end: vocabulary - 1}, merges=merges[:wanted])


# -- training ------------------------------------------------------------------------------------------------


def train(
    texts: Sequence[str],
    size: Size = Size(),
    schedule: Schedule = Schedule(),
    reader: transformers.GPT2Tokenizer | None = None,
    *,
    progress: bool = False,
) -> Training:
    """Train a small GPT-2 to predict the next token.

    Parameters
    ----------
    texts : sequence of str
        Documents. They are joined and cut into full sequences; a sequence is read anew in every round.
    size : Size
    schedule : Schedule
    reader : GPT2Tokenizer, optional
        By default `cut_tokenizer` of the vocabulary's size.
    progress : bool
        Whether a bar shows the loss.

    Raises
    ------
    InputError
        If the texts fill fewer sequences than a step takes, or none is left to judge by.
    """
    import torch

    reader = cut_tokenizer(size.vocabulary) if reader is None else reader
    kept = [text for k, text in enumerate(texts) if k % schedule.held_out != 0]
    judging = [text for k, text in enumerate(texts) if k % schedule.held_out == 0]
    sequences, unseen = (_sequences(part, size, reader) for part in (kept, judging))
    if len(sequences) < schedule.batch or not len(unseen):
        raise InputError(
            f"{len(texts)} documents make {len(sequences)} sequences to train on and {len(unseen)} to judge by; "
            f"wanted {schedule.batch} and 1 at least. Give more text, or a smaller batch."
        )
    model = _drawn(size, schedule.seed).train()
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}], betas=BETAS
    )
    loss = np.empty(schedule.steps)
    for step, batch in enumerate(_bar(_batches(sequences, schedule), schedule, loss, progress)):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate * _share(step, schedule.steps)
        value = _loss(model, batch)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss[step] = value.item()
    model.eval().requires_grad_(False)
    return Training(
        model, reader, freeze(loss), _judged(model, unseen), _by_frequency(sequences, unseen, size)
    )


def _sequences(texts: Sequence[str], size: Size, reader: transformers.GPT2Tokenizer) -> np.ndarray:
    protocol = TokenProtocol(length=size.context, separator=reader.eos_token_id, count=1, first=0)
    rows = list(protocol.sequences(Documents(texts, reader)))
    return np.array(rows).reshape(-1, size.context)


def _batches(sequences: np.ndarray, schedule: Schedule) -> Iterator[torch.Tensor]:
    """Yield a batch for every step; the sequences are shuffled anew in every round."""
    import torch

    rng = np.random.default_rng(schedule.seed)
    per_round = len(sequences) // schedule.batch
    for step in range(schedule.steps):
        if step % per_round == 0:
            order = rng.permutation(len(sequences))
        first = (step % per_round) * schedule.batch
        yield torch.from_numpy(sequences[order[first : first + schedule.batch]])


def _share(step: int, steps: int) -> float:
    """Return the share of the highest learning rate: a straight line up over a twentieth, half a cosine down."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _loss(model: transformers.GPT2LMHeadModel, batch: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of the next token."""
    import torch

    logits = model(batch[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


def _judged(model: transformers.GPT2LMHeadModel, unseen: np.ndarray, batch: int = 32) -> float:
    import torch

    parts = np.array_split(unseen, math.ceil(len(unseen) / batch))
    with torch.no_grad():
        total = sum(_loss(model, torch.from_numpy(part)).item() * len(part) for part in parts)
    return total / len(unseen)


def _by_frequency(sequences: np.ndarray, unseen: np.ndarray, size: Size) -> float:
    """Return the cross-entropy of frequencies, one added to every count so that none is 0."""
    counts = np.bincount(sequences.ravel(), minlength=size.vocabulary) + 1
    return float(-np.log(counts / counts.sum())[unseen[:, 1:]].mean())


def _bar(
    batches: Iterator[torch.Tensor], schedule: Schedule, loss: np.ndarray, wanted: bool
) -> Iterator[torch.Tensor]:
    if not wanted:
        yield from batches
        return
    from tqdm import tqdm

    with tqdm(batches, total=schedule.steps, unit="step", desc="training") as bar:
        for step, batch in enumerate(bar):
            yield batch
            bar.set_postfix_str(f"loss {loss[step]:.3f}")
