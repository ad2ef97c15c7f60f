"""Weights in Caffe's own format, read without Caffe: a caffemodel is one message of protocol buffers.

Wire format: a message is a sequence of fields, each a key ``number << 3 | type`` and a value: a varint (type 0), 8
or 4 bytes (types 1, 5), or a length and so many bytes (type 2: text, nested messages, packed numbers). Caffe's
layers are field 100 of a network, in older files field 2; their weights are blobs of float32, with a shape or, in
older files, four sizes.

Source: ``caffe.proto`` of Caffe (BVLC); the encoding of protocol buffers.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import numpy as np

from polygeom.errors import InputError

__all__ = ["read_caffemodel"]

LAYERS = {100: (1, 7), 2: (4, 6)}
"""Field of a network that holds a layer -> fields of its name and of its blobs: now, and in older files."""

OLD_SIZES, DATA, SHAPE = (1, 2, 3, 4), 5, 7
"""Fields of a blob."""

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5


def read_caffemodel(path: str | PathLike[str]) -> dict[str, list[np.ndarray]]:
    """Return the blobs of every layer that has some: name -> arrays, float32, as they are shaped in the file.

    Weights come first, biases second. Old files shape all of them with four axes, sizes of 1 in front.

    Raises
    ------
    InputError
        If the file is absent, cut short, or not in this format.

    Examples
    --------
    >>> blob = bytes([5 << 3 | 2, 8]) + np.float32([1, 2]).tobytes() + bytes([7 << 3 | 2, 3, 10, 1, 2])
    >>> layer = bytes([1 << 3 | 2, 1]) + b"f" + bytes([7 << 3 | 2, len(blob)]) + blob
    >>> from tempfile import NamedTemporaryFile
    >>> with NamedTemporaryFile() as file:
    ...     _ = Path(file.name).write_bytes(bytes([0xA2, 6, len(layer)]) + layer)  # 100 << 3 | 2, as a varint
    ...     read_caffemodel(file.name)
    {'f': [array([1., 2.], dtype=float32)]}
    """
    try:
        content = memoryview(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return _network(content)
    except (IndexError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path} is no caffemodel, or is cut short: {error}.") from error


def _network(content: memoryview) -> dict[str, list[np.ndarray]]:
    found = {}
    for number, value in _fields(content):
        if number in LAYERS and isinstance(value, memoryview):
            name_field, blob_field = LAYERS[number]
            fields = list(_fields(value))
            names = [bytes(part).decode() for key, part in fields if key == name_field]
            blobs = [_blob(part) for key, part in fields if key == blob_field]
            if blobs:
                found[names[0]] = blobs
    if not found:
        raise ValueError("there is no layer with weights in it")
    return found


def _blob(content: memoryview) -> np.ndarray:
    sizes: dict[int, int] = {}
    shape: list[int] | None = None
    data: list[np.ndarray] = []
    for number, value in _fields(content):
        if number in OLD_SIZES and isinstance(value, int):
            sizes[number] = value
        elif number == SHAPE:
            shape = [size for _, packed in _fields(value) for size in _varints(packed)]
        elif number == DATA:
            data.append(np.frombuffer(value, dtype="<f4"))
    wanted = shape if shape is not None else [sizes.get(number, 1) for number in OLD_SIZES]
    return np.concatenate(data or [np.empty(0, np.float32)]).astype(np.float32).reshape(wanted)


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and the value of every field: an integer, or bytes."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        kind = key & 7
        if kind == VARINT:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        if kind not in (EIGHT, FOUR, BYTES):
            raise ValueError(f"field {key >> 3} is of the unknown type {kind}")
        size, at = _varint(content, at) if kind == BYTES else (8 if kind == EIGHT else 4, at)
        if at + size > len(content):
            raise ValueError(f"field {key >> 3} ends {at + size - len(content)} bytes behind the last")
        yield key >> 3, content[at : at + size]
        at += size


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """Return the integer that begins at a byte, seven bits a byte, and where it ends."""
    value, shift = 0, 0
    while True:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _varints(packed: int | memoryview) -> list[int]:
    """Return integers that were written one by one or in one field."""
    if isinstance(packed, int):
        return [packed]
    found, at = [], 0
    while at < len(packed):
        value, at = _varint(packed, at)
        found.append(value)
    return found
