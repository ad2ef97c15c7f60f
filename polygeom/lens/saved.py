"""Results on disk: one npz file of plain arrays, and one JSON text for everything else; no pickles."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from os import PathLike
from pathlib import Path
from typing import Self, get_type_hints

import numpy as np

from polygeom.arrays import UNREADABLE, freeze
from polygeom.errors import InputError

__all__ = ["Saved", "made_folder"]

_REST = "json"
"""The entry of the file that holds what is no array."""


class Saved:
    """A frozen dataclass that can be written to a file and read again.

    Fields are arrays, numbers, strings, booleans, None, lists or tuples of them, or dataclasses that are `Saved`
    themselves and named as such in their annotation.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from tempfile import TemporaryDirectory
    >>> @dataclass(frozen=True, eq=False)
    ... class Counted(Saved):
    ...     counts: np.ndarray
    ...     names: tuple[str, ...]
    >>> with TemporaryDirectory() as folder:
    ...     Counted(np.array([1, 2]), ("a", "b")).save(f"{folder}/counted.npz")
    ...     Counted.load(f"{folder}/counted.npz")
    Counted(counts=array([1, 2]), names=('a', 'b'))
    """

    def save(self, path: str | PathLike) -> None:
        """Write all fields to one npz file.

        Raises
        ------
        InputError
            If a field is nothing that can be written, or the file cannot be.
        """
        arrays, rest = _taken_apart(self)
        try:
            with Path(path).open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **{_REST: json.dumps(rest)}, **arrays)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error}. Give a place that exists.") from error

    @classmethod
    def load(cls, path: str | PathLike) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If the file cannot be read, or holds the result of another kind.
        """
        try:
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as stored:
                rest = json.loads(str(stored[_REST]))
                return _put_together(cls, {k: freeze(stored[k]) for k in stored if k != _REST}, rest)
        except UNREADABLE as error:
            raise InputError(
                f"{path} holds no {cls.__name__}: {error}. Give a file that {cls.__name__}.save has written."
            ) from None


def _taken_apart(thing: object) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Return the arrays of a dataclass by dotted name, and the rest."""
    arrays: dict[str, np.ndarray] = {}
    rest: dict[str, object] = {"kind": type(thing).__name__}
    for name in (f.name for f in fields(thing)):
        value = getattr(thing, name)
        if is_dataclass(value):
            inner, rest[name] = _taken_apart(value)
            arrays |= {f"{name}.{k}": array for k, array in inner.items()}
        elif isinstance(value, np.ndarray):
            if value.dtype == object:
                raise InputError(f"{name} of {rest['kind']} holds Python objects, which have no file format.")
            arrays[name] = value
        else:
            rest[name] = _plain(value, name)
    return arrays, rest


def _plain(value: object, name: str) -> object:
    """Return what JSON can hold."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list):
        return [_plain(v, name) for v in value]
    raise InputError(f"{name} is a {type(value).__name__}, which cannot be saved.")


def _put_together(cls: type, arrays: dict[str, np.ndarray], rest: dict[str, object]) -> object:
    """Return a dataclass from its arrays and the rest."""
    if rest["kind"] != cls.__name__:
        raise ValueError(f"it holds a {rest['kind']}")
    values, hints = {}, get_type_hints(cls)
    for name in (f.name for f in fields(cls)):
        if name in arrays:
            values[name] = arrays[name]
        elif isinstance(rest[name], dict):
            inner = {k.removeprefix(f"{name}."): a for k, a in arrays.items() if k.startswith(f"{name}.")}
            values[name] = _put_together(hints[name], inner, rest[name])
        else:
            values[name] = _tuples(rest[name])
    return cls(**values)


def _tuples(value: object) -> object:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def made_folder(folder: Path) -> Path:
    """Make a folder for results that are kept, and return it.

    Raises
    ------
    InputError
        If that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be made a folder: {error}. Give another place for what is kept, or cache=False."
        ) from error
    return folder
