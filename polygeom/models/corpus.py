"""Codes and activations of a transformer over a corpus, in files that grow as it is read.

`record` cuts documents into sequences (`polygeom.models.tokens.TokenProtocol`), runs them through a model, and
keeps of every chosen token and block the letters of all hidden units (one bit each), their activations (float16)
and, if asked, what entered the LayerNorm. Every so many sequences a file is written, whole or not at all.
Interrupted and called again, it goes on where it stopped: files that are there are compared with the documents by
their tokens and not computed again. Sequences share a forward pass only within a file, in a fixed order, so the
files do not depend on where it was interrupted (on one machine, with the same number of threads).

Memory: the sequences of one file and the forward pass of one batch, whatever the size of the corpus.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import UNREADABLE, as_count, as_index, as_path, freeze
from polygeom.codes import SplineCodes
from polygeom.errors import InputError
from polygeom.models.adapters import headless, mlp_block, n_blocks, residuals
from polygeom.models.tokens import TokenProtocol, context_length
from polygeom.models.transformer.normed_mlp import NormedMLP

if TYPE_CHECKING:
    import transformers

__all__ = ["KINDS", "Plan", "Recording", "open_recording", "record"]

FORMAT = 1
"""Version of the layout of the files."""

KINDS = ("codes", "activations", "inputs")
"""What can be kept of a token: letters, hidden activations, the vector that enters the LayerNorm."""

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Plan:
    """What is kept of a corpus, and how it is cut into files.

    Attributes
    ----------
    protocol : TokenProtocol
        How documents become sequences, and which positions are kept.
    blocks : tuple of int, optional
        Numbers of the blocks; all by default.
    keep : tuple of str
        Some of `KINDS`.
    dtype : str
        Type of stored activations, ``"float16"`` or ``"float32"``.
    batch : int
        Sequences in a forward pass.
    sequences_per_file : int
    """

    protocol: TokenProtocol = field(default_factory=TokenProtocol)
    blocks: tuple[int, ...] | None = None
    keep: tuple[str, ...] = ("codes", "activations")
    dtype: str = "float16"
    batch: int = 8
    sequences_per_file: int = 32

    def __post_init__(self) -> None:
        if not isinstance(self.protocol, TokenProtocol):
            raise InputError(f"protocol is a {type(self.protocol).__name__}, wanted a TokenProtocol.")
        if self.blocks is not None:
            if not isinstance(self.blocks, Iterable):
                raise InputError(f"blocks is {self.blocks!r}, wanted the numbers of some blocks.")
            object.__setattr__(self, "blocks", tuple(as_count(i, "A block") for i in self.blocks))
        object.__setattr__(self, "keep", tuple(kind for kind in KINDS if kind in self._kept()))
        if self.dtype not in ("float16", "float32"):
            raise InputError(f"Activations are stored as float16 or float32, not {self.dtype!r}.")
        for name in ("batch", "sequences_per_file"):
            object.__setattr__(self, name, as_count(getattr(self, name), name, 1))

    def _kept(self) -> set[str]:
        keep = [self.keep] if isinstance(self.keep, str) else self.keep
        if (
            not isinstance(keep, Iterable)
            or not (kept := list(keep))
            or any(kind not in KINDS for kind in kept)
        ):
            raise InputError(f"Cannot keep {self.keep!r}; wanted some of {', '.join(KINDS)}.")
        return set(kept)


# -- writing -------------------------------------------------------------------------------------------------


def record(
    model: transformers.PreTrainedModel,
    documents: Iterable[Sequence[int]],
    folder: str | Path,
    plan: Plan | None = None,
    *,
    progress: bool = False,
) -> Recording:
    """Run a corpus through a model and keep codes and activations in a folder; go on if it was begun.

    Parameters
    ----------
    model : transformers model
        Of a family that `polygeom.models.adapters` knows.
    documents : iterable of sequences of int
        The tokens of every document, `polygeom.models.tokens.Documents` for example, which makes them from texts
        one at a time.
    folder : str or Path
        Made if it is not there.
    plan : Plan, optional
        By default the protocol of the paper with the end-of-text token of GPT-2.
    progress : bool
        Whether a bar counts the documents.

    Returns
    -------
    Recording

    Notes
    -----
    Codes are exact for the stored weights at the vectors of the residual stream that the forward pass, in the
    model's precision, arrived at. Ctrl-C loses the sequences since the last file.

    Raises
    ------
    InputError
        If sequences are longer than the model reads, tokens are outside its vocabulary, or the documents fill no
        sequence; if the folder holds what another model, plan or corpus left; if an activation overflows float16.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from polygeom.models.small_gpt2 import Size, untrained
    >>> model = untrained(Size(vocabulary=32, width=8, blocks=2, heads=2, context=16))
    >>> plan = Plan(TokenProtocol(length=4, separator=31, count=2, first=1))
    >>> with TemporaryDirectory() as folder:
    ...     recording = record(model, [[3, 1, 4], [1, 5, 9, 2, 6]], folder, plan)
    ...     recording, recording.codes(1).letters.shape
    (Recording(4 tokens x 2 blocks, codes+activations), (4, 32))
    """
    plan = Plan() if plan is None else plan
    if not isinstance(plan, Plan):
        raise InputError(f"plan is a {type(plan).__name__}, wanted a Plan.")
    if not isinstance(documents, Iterable):
        raise InputError(f"documents is a {type(documents).__name__}, wanted the tokens of each document.")
    headless(model)
    _check_length(plan, model)
    depth = n_blocks(model.config)
    numbers = range(depth) if plan.blocks is None else plan.blocks
    blocks = {as_index(i, depth, "block"): mlp_block(model, i) for i in numbers}
    folder = as_path(folder, "folder")
    manifest = _manifest(model, plan, blocks)
    _claim_folder(folder, manifest)
    written = 0
    with _bar(documents, progress) as (counted, show):
        sequences = plan.protocol.sequences(counted)
        for part, tokens in enumerate(_stacks(sequences, plan.sequences_per_file)):
            file = folder / _part_name(part)
            if file.exists():
                _check_tokens(file, tokens)
            else:
                _save(file, {"tokens": _small(tokens)} | _computed(model, tokens, plan, blocks))
            written += len(tokens)
            show(written)
    if not written:
        raise InputError(
            f"The documents do not fill one sequence of {plan.protocol.length} tokens. Give more text, or a "
            "protocol with shorter sequences: TokenProtocol(length=..., first=...)."
        )
    if (folder / _part_name(part + 1)).exists():
        raise InputError(f"{folder} was recorded from more documents than these. Give another folder.")
    _write_json(folder / MANIFEST, manifest | {"sequences": written})
    return open_recording(folder)


def _computed(
    model: transformers.PreTrainedModel, tokens: np.ndarray, plan: Plan, blocks: dict[int, NormedMLP]
) -> dict[str, np.ndarray]:
    """Return the arrays of one file but its tokens: ``codes_3`` and the like."""
    positions = plan.protocol.positions
    parts: dict[str, list[np.ndarray]] = {f"{kind}_{i}": [] for i in blocks for kind in plan.keep}
    for first in range(0, len(tokens), plan.batch):
        entering = residuals(model, tokens[first : first + plan.batch], blocks, positions)
        for i, block in blocks.items():
            x = entering[i].reshape(-1, block.dim)
            if "codes" in plan.keep:
                parts[f"codes_{i}"].append(np.packbits(block.codes(x).letters, axis=1))
            if "activations" in plan.keep:
                parts[f"activations_{i}"].append(_stored(block.activations(x), plan.dtype, i))
            if "inputs" in plan.keep:
                exact = x.astype(np.float32)
                parts[f"inputs_{i}"].append(exact if np.array_equal(exact, x) else x)
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _stored(values: np.ndarray, dtype: str, i: int) -> np.ndarray:
    with np.errstate(over="ignore"):
        stored = values.astype(dtype)
    if not np.isfinite(stored).all():
        raise InputError(
            f"An activation of block {i} is {np.abs(values).max():.3g}, beyond {dtype}. "
            "Give Plan(dtype='float32')."
        )
    return stored


def _check_length(plan: Plan, model: transformers.PreTrainedModel) -> None:
    reach = context_length(model.config)
    if plan.protocol.length > reach:
        raise InputError(
            f"The protocol has sequences of {plan.protocol.length} tokens; this model reads {reach}. Give "
            "TokenProtocol.of(model, tokenizer), or TokenProtocol(length=...)."
        )


def _stacks(sequences: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Yield sequences in stacks (size, length); the last may be smaller."""
    while rows := list(islice(sequences, size)):
        yield np.array(rows)


def _small(tokens: np.ndarray) -> np.ndarray:
    return tokens.astype(np.min_scalar_type(int(tokens.max())))


@contextmanager
def _bar(
    documents: Iterable[Sequence[int]], wanted: bool
) -> Iterator[tuple[Iterable, Callable[[int], None]]]:
    """Give the documents, counted by a bar as they are read, and what shows the number of sequences."""
    from tqdm import tqdm

    with tqdm(documents, unit="document", desc="recording", disable=not wanted) as counted:
        yield counted, lambda written: counted.set_postfix_str(f"{written} sequences")


# -- the folder ----------------------------------------------------------------------------------------------


def _part_name(part: int) -> str:
    return f"part-{part:06d}.npz"


def _manifest(
    model: transformers.PreTrainedModel, plan: Plan, blocks: dict[int, NormedMLP]
) -> dict[str, object]:
    return {
        "format": FORMAT,
        "model": _fingerprint(model),
        "plan": json.loads(json.dumps(asdict(plan) | {"blocks": sorted(blocks)})),
        "units": {str(i): block.n_units for i, block in sorted(blocks.items())},
    }


def _fingerprint(model: transformers.PreTrainedModel) -> str:
    """Return a hash of all parameters of the body, by name, type, shape and bytes."""
    import torch

    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.base_model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _claim_folder(folder: Path, manifest: dict[str, object]) -> None:
    """Make the folder, or check that what it holds was begun by the same model and plan."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made a folder: {error}. Give another place.") from error
    if not (folder / MANIFEST).exists():
        if any(path.suffix != ".draft" for path in folder.iterdir()):
            raise InputError(f"{folder} is not empty and holds no recording. Give a folder of its own.")
        _write_json(folder / MANIFEST, manifest)
        return
    found = _read_manifest(folder)
    odd = [name for name, value in manifest.items() if found.get(name) != value]
    if odd:
        raise InputError(
            f"{folder} holds a recording with another {' and '.join(odd)}. Give another folder, or delete it."
        )


def _check_tokens(file: Path, tokens: np.ndarray) -> None:
    if not np.array_equal(_read(file, "tokens"), tokens):
        raise InputError(
            f"{file} was recorded from other documents than these. Give another folder, or the documents in the "
            "order in which it was begun."
        )


def _save(file: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a file whole or not at all."""
    draft = file.with_suffix(".draft")
    with draft.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    os.replace(draft, file)


def _write_json(file: Path, value: dict[str, object]) -> None:
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(value, indent=1), encoding="utf-8")
    os.replace(draft, file)


def _read(file: Path, name: str) -> np.ndarray:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return arrays[name]
    except UNREADABLE as error:
        raise InputError(f"{file} cannot be read: {error}. Delete it and record again.") from error


def _read_manifest(folder: Path) -> dict:
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"There is no recording in {folder}.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{folder / MANIFEST} cannot be read: {error}.") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(f"{folder / MANIFEST} is not of format {FORMAT}. Record again.")
    return found


# -- reading -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recording:
    """What `record` left in a folder; read when asked for.

    Row n of all arrays is position ``n % count`` of `protocol.positions` in sequence ``n // count``.

    Attributes
    ----------
    folder : Path
    plan : Plan
    units : dict from int to int
        Number of hidden units per block recorded.
    finished : bool
        Whether the corpus was read to its end.
    """

    folder: Path
    plan: Plan
    units: dict[int, int]
    finished: bool

    def __repr__(self) -> str:
        state = "" if self.finished else ", unfinished"
        return f"Recording({len(self)} tokens x {len(self.units)} blocks, {'+'.join(self.plan.keep)}{state})"

    def __len__(self) -> int:
        return len(self.tokens) * self.plan.protocol.count

    @cached_property
    def tokens(self) -> np.ndarray:
        """The sequences (S, length), as int64."""
        empty = np.zeros((0, self.plan.protocol.length), np.int64)
        return freeze(np.concatenate([empty, *(_read(file, "tokens") for file in self._files())]))

    def codes(self, i: int) -> SplineCodes:
        """Return the letters of block i at all rows. Memory: a byte a letter; `batches` reads file by file."""
        bits = [np.unpackbits(part, axis=1, count=self.units[i]) for part in self.batches("codes", i)]
        return SplineCodes(np.concatenate([np.zeros((0, self.units[i]), np.uint8), *bits]))

    def activations(self, i: int) -> np.ndarray:
        """Return the hidden activations (N, m) of block i, in the type they are stored in."""
        return self._all("activations", i)

    def inputs(self, i: int) -> np.ndarray:
        """Return what entered the LayerNorm of block i, (N, d)."""
        return self._all("inputs", i)

    def batches(self, kind: str, i: int) -> Iterator[np.ndarray]:
        """Yield an array of `KINDS` of block i file by file; codes as packed bits.

        Raises
        ------
        InputError
            If it was not recorded.
        """
        if kind not in self.plan.keep or not isinstance(i, int | np.integer) or i not in self.units:
            raise InputError(
                f"No {kind} of block {i!r} were recorded; there are {', '.join(self.plan.keep)} of blocks "
                f"{sorted(self.units)}."
            )
        for file in self._files():
            yield _read(file, f"{kind}_{i}")

    def context(self, row: int, before: int = 20, after: int = 0) -> np.ndarray:
        """Return the tokens around that of a row: some before it, itself, some after it."""
        sequence, k = divmod(as_index(row, len(self), "row"), self.plan.protocol.count)
        before, after = as_count(before, "before"), as_count(after, "after")
        place = int(self.plan.protocol.positions[k])
        return self.tokens[sequence, max(0, place - before) : place + after + 1]

    def _all(self, kind: str, i: int) -> np.ndarray:
        parts = list(self.batches(kind, i))
        if not parts:
            raise InputError(
                f"{self.folder} holds no file yet: the recording was interrupted before the first."
            )
        return freeze(np.concatenate(parts))

    def _files(self) -> list[Path]:
        files = []
        while (file := self.folder / _part_name(len(files))).exists():
            files.append(file)
        return files


def open_recording(folder: str | Path) -> Recording:
    """Return what `record` left in a folder, finished or not.

    Raises
    ------
    InputError
        If there is none, or it cannot be read.
    """
    folder = as_path(folder, "folder")
    manifest = _read_manifest(folder)
    try:
        settings = dict(manifest["plan"])
        protocol = TokenProtocol(**settings.pop("protocol"))
        units = {int(i): units for i, units in manifest["units"].items()}
        return Recording(folder, Plan(protocol, **settings), units, "sequences" in manifest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{folder / MANIFEST} is damaged ({type(error).__name__}: {error}). Record again."
        ) from error
