"""Documents, tokens, and which of them are looked at.

The protocol of Black et al. 2022 (arXiv 2211.12312): documents are concatenated with the end-of-text token
between them and cut into full sequences of 1024 tokens, and of each sequence 6 tokens are kept, evenly spaced from
token 100 to the end. A model whose context is shorter gets sequences of its own length.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import as_count, as_path, freeze
from polygeom.data_folder import data_folder as root_folder
from polygeom.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    import transformers

__all__ = [
    "END_OF_TEXT",
    "Documents",
    "TokenProtocol",
    "as_tokens",
    "context_length",
    "read_documents",
    "tokenizer",
]

END_OF_TEXT = 50256
"""The end-of-text token of GPT-2's vocabulary."""

LONGEST = 1024
"""Tokens of a sequence in the protocol of the paper."""

VOCABULARIES = {"tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"}
"""Files of which a folder with a tokenizer has at least one."""


# -- the protocol --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TokenProtocol:
    """How a corpus becomes sequences, and which positions of a sequence are kept.

    Attributes
    ----------
    length : int
        Tokens per sequence, prefix and suffix included.
    separator : int
        The token that ends every document.
    count : int
        Positions kept per sequence.
    first : int
        The first of them, counted from 0; the last is the end of the sequence (before the suffix).
    prefix, suffix : tuple of int
        Tokens that open and close every sequence, [CLS] and [SEP] of a BERT; none by default.

    Raises
    ------
    InputError
        If a sequence is too short to keep `count` different positions from `first` on.

    Examples
    --------
    >>> TokenProtocol().positions
    array([ 100,  285,  469,  654,  838, 1023])
    >>> short = TokenProtocol(length=4, separator=0, count=2, first=1)
    >>> short.positions
    array([1, 3])
    >>> [s.tolist() for s in short.sequences([[5, 6, 7], [8], [9, 9]])]
    [[5, 6, 7, 0], [8, 0, 9, 9]]
    """

    length: int = LONGEST
    separator: int = END_OF_TEXT
    count: int = 6
    first: int = 100
    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("prefix", "suffix"):
            if not isinstance(getattr(self, name), tuple | list | np.ndarray):
                raise InputError(f"{name} is {getattr(self, name)!r}, wanted a tuple of tokens.")
            object.__setattr__(self, name, tuple(getattr(self, name)))
        numbers = (self.length, self.separator, self.count, self.first, *self.prefix, *self.suffix)
        if not all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in numbers):
            raise InputError(f"A token protocol is made of integers, got {self}.")
        for name in ("prefix", "suffix"):
            object.__setattr__(self, name, tuple(map(int, getattr(self, name))))
        if self.count < 1 or self.first < 0 or min(self.separator, *self.prefix, *self.suffix, 0) < 0:
            raise InputError(f"A token protocol needs count >= 1, first >= 0 and tokens >= 0, got {self}.")
        needed = max(self.first, len(self.prefix)) + self.count + len(self.suffix)
        if self.length < needed:
            raise InputError(
                f"Sequences of {self.length} tokens are shorter than the protocol needs: {self.count} positions "
                f"from {self.first} on take {needed} tokens. Likely cause: a model with a short context. "
                "Remedy: TokenProtocol(length=..., first=..., count=...) with a smaller first or count."
            )

    @classmethod
    def of(
        cls, model: transformers.PreTrainedModel, reader: transformers.PreTrainedTokenizerBase, **changes: int
    ) -> TokenProtocol:
        """Return the protocol of the paper for a model and its tokenizer.

        The length is 1024 or the longest sequence of the model, whichever is shorter. Documents end with the
        tokenizer's end-of-text token. A BERT has none: its documents end with [SEP], which closes every sequence
        as well, and [CLS] opens it, as in its training. `changes` overrides any attribute.
        """
        for thing, wanted, kind in ((model, "config", "model"), (reader, "eos_token_id", "tokenizer")):
            if not hasattr(thing, wanted):
                raise InputError(f"Got a {type(thing).__name__}, wanted a {kind} of transformers.")
        settings: dict[str, object] = {"length": min(LONGEST, context_length(model.config))}
        if reader.cls_token_id is not None and reader.sep_token_id is not None:
            settings |= {"prefix": (reader.cls_token_id,), "suffix": (reader.sep_token_id,)}
            settings["separator"] = reader.sep_token_id
        elif reader.eos_token_id is not None:
            settings["separator"] = reader.eos_token_id
        elif "separator" not in changes:
            raise InputError(
                f"The {type(reader).__name__} names no end-of-text token. Give the token that parts documents: "
                "TokenProtocol.of(model, tokenizer, separator=...)."
            )
        return cls(**(settings | changes))

    @cached_property
    def positions(self) -> np.ndarray:
        """The positions kept: `count` of them, evenly spaced from `first` to the end, rounded to the nearest."""
        last = self.length - len(self.suffix) - 1
        start = max(self.first, len(self.prefix))
        gaps = max(self.count - 1, 1)
        places = [start + (2 * k * (last - start) + gaps) // (2 * gaps) for k in range(self.count)]
        return freeze(np.array(places))

    def sequences(self, documents: Iterable[Sequence[int]]) -> Iterator[np.ndarray]:
        """Concatenate documents, each followed by the separator, and yield full sequences (length,).

        What is left at the end and fills no sequence is dropped. Memory: one document and one sequence.
        """
        room = self.length - len(self.prefix) - len(self.suffix)
        waiting = np.empty(0, dtype=np.int64)
        if not isinstance(documents, Iterable):
            raise InputError(
                f"documents is a {type(documents).__name__}, wanted the tokens of each document."
            )
        for document in documents:
            waiting = np.concatenate([waiting, as_tokens(document, ndim=1), [self.separator]])
            for start in range(0, len(waiting) - room + 1, room):
                yield np.concatenate([self.prefix, waiting[start : start + room], self.suffix]).astype(
                    np.int64
                )
            waiting = waiting[len(waiting) - len(waiting) % room :]


def context_length(config: transformers.PretrainedConfig) -> int:
    """Return how many tokens a model reads; the positions of a RoBERTa begin behind that of its padding."""
    shift = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0
    return config.max_position_embeddings - shift


def as_tokens(value: object, *, ndim: int | None = None, vocabulary: int | None = None) -> np.ndarray:
    """Return token numbers as int64, (L,) or (B, L).

    Raises
    ------
    InputError
        If they are no integers, negative, of another shape, or beyond the vocabulary.

    Examples
    --------
    >>> as_tokens([[3, 1], [4, 1]], vocabulary=10).shape
    (2, 2)
    """
    detach = getattr(value, "detach", None)
    try:
        tokens = np.asarray(detach().cpu().numpy() if callable(detach) else value)
    except ValueError as error:
        raise InputError(
            f"The tokens are no rectangular array: {error}. Sequences of a batch must be equally long."
        ) from None
    if tokens.size == 0 and tokens.dtype.kind == "f":
        tokens = tokens.astype(np.int64)
    if tokens.dtype.kind not in "iu" or tokens.ndim not in ((1, 2) if ndim is None else (ndim,)):
        raise InputError(
            f"The tokens are {tokens.dtype} of shape {tokens.shape}; wanted integers, (L,)"
            f"{' or (B, L)' if ndim is None else ''}. Text is turned into tokens by a tokenizer."
        )
    if tokens.size and (tokens.min() < 0 or (vocabulary is not None and tokens.max() >= vocabulary)):
        odd = int(tokens.min() if tokens.min() < 0 else tokens.max())
        size = "" if vocabulary is None else f" of {vocabulary}"
        raise InputError(
            f"There is a token {odd}, outside the vocabulary{size}. Likely cause: the tokenizer of another model."
        )
    return tokens.astype(np.int64)


# -- text ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Documents:
    """Texts that are turned into tokens as they are read, one at a time; can be read again.

    Parameters
    ----------
    texts : sequence of str
    reader : transformers tokenizer
        No special tokens are added: the protocol does that.

    Examples
    --------
    >>> class Letters:
    ...     def __call__(self, text, **settings):
    ...         return {"input_ids": [ord(letter) - 97 for letter in text]}
    >>> list(Documents(["ab", "c"], Letters()))
    [[0, 1], [2]]
    """

    texts: Sequence[str]
    reader: transformers.PreTrainedTokenizerBase

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[list[int]]:
        for text in self.texts:
            yield self.reader(text, add_special_tokens=False, verbose=False)["input_ids"]


def tokenizer(source: str | Path | None = None) -> transformers.PreTrainedTokenizerBase:
    """Return the tokenizer in a folder, or of a name on the hub; by default GPT-2's byte-pair encoding.

    Parameters
    ----------
    source : str or Path, optional
        By default ``data/gpt2_bpe`` in the folder named by POLYGEOM_DATA.

    Raises
    ------
    InputError
        If there is no tokenizer.
    MissingPackageError
        If transformers is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingPackageError("A tokenizer", str(error.name), extra="transformers") from None
    place = data_folder("gpt2_bpe") if source is None else source
    if not isinstance(place, str | Path):
        raise InputError(f"Got a {type(place).__name__}, wanted a folder or a name on the hub.")
    files = {path.name for path in Path(place).iterdir()} if Path(place).is_dir() else None
    if files is not None and not files & VOCABULARIES:
        raise InputError(  # transformers would make one without any words
            f"There is no tokenizer in {place}: it has none of {', '.join(sorted(VOCABULARIES))}."
        )
    bare = files is not None and not files & {"tokenizer.json", "tokenizer_config.json", "config.json"}
    maker = transformers.GPT2Tokenizer if bare else transformers.AutoTokenizer
    try:
        return maker.from_pretrained(place)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"There is no tokenizer in {place}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def data_folder(name: str) -> Path:
    """Return the folder data/NAME below the one that POLYGEOM_DATA names."""
    root = root_folder()
    if root is None:
        raise InputError(
            f"Texts and vocabularies are not part of polygeom. Set POLYGEOM_DATA to the folder that holds "
            f"data/{name}, or give a path."
        )
    folder = root / "data" / name
    if not folder.is_dir():
        raise InputError(
            f"There is no folder {folder}; POLYGEOM_DATA should hold data/{name}. Or give a path."
        )
    return folder


def read_documents(path: str | Path | None = None, limit: int | None = None) -> list[str]:
    r"""Return the documents of a file.

    Parameters
    ----------
    path : str or Path, optional
        ``.jsonl`` or ``.jsonl.gz`` with a field ``text`` per line, or a ``.txt`` in the format of WikiText,
        where a line ``= Title =`` opens a document. By default the 1000 documents of OpenWebText in ``data/text``
        below the folder named by POLYGEOM_DATA.
    limit : int, optional
        Stop after so many documents.

    Raises
    ------
    InputError
        If the file is absent or of another format.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "two.jsonl").write_text('{"text": "A cat."}\n{"text": "A dog."}\n')
    ...     read_documents(f"{folder}/two.jsonl")
    ['A cat.', 'A dog.']
    """
    file = data_folder("text") / "openwebtext_1000docs.jsonl.gz" if path is None else as_path(path, "path")
    limit = None if limit is None else as_count(limit, "limit")
    suffixes = "".join(file.suffixes[-2:])
    readers = {".jsonl.gz": _jsonl, ".jsonl": _jsonl, ".txt": _wikitext}
    kind = next((ending for ending in readers if suffixes.endswith(ending)), None)
    if kind is None:
        raise InputError(f"{file} is neither .jsonl, .jsonl.gz nor .txt.")
    found: list[str] = []
    opened = gzip.open if kind.endswith(".gz") else open
    try:
        with opened(file, "rt", encoding="utf-8") as lines:
            for text in readers[kind](lines):
                if limit is not None and len(found) >= limit:
                    break
                found.append(text)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {file}.") from error
    except (OSError, EOFError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{file} is no readable text: {error}.") from error
    return found


def _jsonl(lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        record = json.loads(line)
        if not isinstance(record, Mapping) or not isinstance(record.get("text"), str):
            raise InputError(f'Line {number} has no text; wanted {{"text": "..."}}.')
        yield record["text"]


def _wikitext(lines: Iterable[str]) -> Iterator[str]:
    """Yield articles; a heading of the first level opens one, ` = = Section = = ` does not."""
    article: list[str] = []
    for line in lines:
        words = line.split()
        title = len(words) > 2 and words[0] == words[-1] == "=" and words[1] != "=" and words[-2] != "="
        if title and any(part.strip() for part in article):
            yield "".join(article)
            article = []
        article.append(line)
    if any(part.strip() for part in article):
        yield "".join(article)
