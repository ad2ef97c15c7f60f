"""The gate for data: everything that enters polygeom passes here once.

Arrays come out as float64, C-contiguous, finite and read-only. Integers and float16/32 are converted exactly;
complex, object, string and masked arrays, NaN and infinities are refused by name.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import fields
from math import inf
from numbers import Real
from os import PathLike
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from polygeom.errors import InputError

__all__ = [
    "UNREADABLE",
    "as_array",
    "as_choice",
    "as_count",
    "as_generator",
    "as_index",
    "as_matrix",
    "as_path",
    "as_points",
    "as_positive",
    "as_rows",
    "as_vector",
    "brief_repr",
    "freeze",
]

UNREADABLE = (OSError, ValueError, EOFError, KeyError, RuntimeError, BadZipFile, zlib.error)
"""What numpy raises on a file that is absent, cut short or damaged; RuntimeError where it seems encrypted."""

LONGEST = 8
"""Entries of an array that a repr shows."""


def brief_repr(record: object) -> str:
    """Return the repr of a dataclass, with longer arrays as their shapes."""
    shown = ((field.name, getattr(record, field.name)) for field in fields(record) if field.repr)
    return f"{type(record).__name__}({', '.join(f'{name}={_brief(value)}' for name, value in shown)})"


def _brief(value: object) -> str:
    if isinstance(value, np.ndarray) and value.size > LONGEST:
        return f"array of shape {value.shape}"
    return repr(value)


def freeze(array: np.ndarray) -> np.ndarray:
    """Make an array read-only that its maker hands over, and return it."""
    array.flags.writeable = False
    return array


def as_index(value: object, length: int, noun: str) -> int:
    """Return a number from 0 to length - 1; there is no counting from the end.

    Raises
    ------
    InputError
        If the value is a bool, a float or another thing, or out of range.

    Examples
    --------
    >>> as_index(np.int64(2), 3, "region")
    2
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if whole and 0 <= value < length:
        return int(value)
    there_are = f"they are numbered 0 to {length - 1}" if length else "there are none"
    kind = "" if whole else f" (a {type(value).__name__}, wanted an integer)"
    raise InputError(f"There is no {noun} {value!r}{kind}; {there_are}.")


def as_count(value: object, name: str, least: int = 0) -> int:
    """Return an integer of at least so much.

    Raises
    ------
    InputError
        If the value is a bool, a float or another thing, or too small.

    Examples
    --------
    >>> as_count(np.int64(2), "batch", 1)
    2
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least:
        return int(value)
    raise InputError(f"{name} is {value!r}, wanted an integer, {least} or more.")


def as_positive(value: object, name: str, most: float = inf) -> float:
    """Return a positive, finite number as a float.

    Raises
    ------
    InputError
        If the value is a bool or no number, NaN, not positive, infinite, or more than `most`.

    Examples
    --------
    >>> as_positive(2, "octaves")
    2.0
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if is_number and 0 < value <= most and value < inf:
        return float(value)
    limit = "" if most == inf else f" of at most {most:g}"
    raise InputError(f"{name} is {value!r}, wanted a positive, finite number{limit}.")


def as_choice(value: object, choices: Iterable[str], name: str) -> str:
    """Return one of some words.

    Raises
    ------
    InputError
        If the value is none of them.

    Examples
    --------
    >>> as_choice("lp", ("auto", "lp"), "method")
    'lp'
    """
    words = tuple(choices)
    if isinstance(value, str) and value in words:
        return value
    raise InputError(f"{name} is {value!r}, wanted one of {', '.join(map(repr, words))}.")


def as_rows(value: object, n: int) -> np.ndarray:
    """Return numbers of some of n rows, given as such, as a mask or as a slice.

    Raises
    ------
    InputError
        If there is no such row, or they are given in another way.

    Examples
    --------
    >>> as_rows([True, False, True], 3), as_rows([2, 0], 3)
    (array([0, 2]), array([2, 0]))
    """
    try:
        rows = np.arange(n)[value] if isinstance(value, slice) else np.asarray(value)
    except (TypeError, ValueError):
        rows = np.array(None)  # ragged, or a slice of something else
    if rows.dtype == bool and rows.shape == (n,):
        return np.flatnonzero(rows)
    if rows.shape == (0,):
        return np.zeros(0, dtype=np.intp)
    if rows.ndim == 1 and rows.dtype.kind in "iu" and rows.min() >= 0 and rows.max() < n:
        return rows.astype(np.intp)
    raise InputError(f"rows are {value!r:.80}, wanted numbers below {n}, a mask of {n} or a slice.")


def as_path(value: object, name: str) -> Path:
    """Return a path.

    Raises
    ------
    InputError
        If the value is neither a string nor a path.
    """
    if isinstance(value, str | PathLike):
        return Path(value)
    raise InputError(f"{name} is a {type(value).__name__}, wanted a path.")


def as_generator(value: object) -> np.random.Generator:
    """Return a random generator; refuse a seed, which would draw the same again and again."""
    if isinstance(value, np.random.Generator):
        return value
    raise InputError(f"rng is {value!r}, wanted a generator. Remedy: numpy.random.default_rng(seed).")


def as_array(value: object, name: str) -> np.ndarray:
    """Return value as a finite, read-only, C-contiguous float64 array of any shape.

    A private copy is made whenever the caller could still write to the memory.

    Raises
    ------
    InputError
        If the value is not a rectangular array of real numbers, has a mask, or holds NaN or infinities.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise InputError(
            f"{name} is a masked array, wanted a plain one: its mask would be dropped in silence. "
            "Fill the masked entries (value.filled(...)) or leave them out (value.compressed()) first."
        )
    detach = getattr(value, "detach", None)  # a torch tensor, without importing torch
    try:
        array = np.asarray(detach().cpu().numpy() if callable(detach) else value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{name} is not a rectangular array of numbers: {error}") from None
    if array.dtype.kind not in "biuf":
        raise InputError(
            f"{name} has dtype {array.dtype}, wanted real numbers. "
            "Likely cause: a ragged list, strings or complex values; convert to float64 first."
        )
    if array.dtype.kind in "iu" and ((array > 2**53).any() or (array < -(2**53)).any()):
        raise InputError(f"{name} holds integers above 2**53, which float64 cannot represent exactly.")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8 and np.any(array.astype(np.float64) != array):
        raise InputError(f"{name} has dtype {array.dtype} with values that float64 cannot represent exactly.")
    plain = array.dtype == np.float64 and array.flags.c_contiguous and not _writeable(array)
    owned = array if plain else freeze(np.array(array, dtype=np.float64, order="C", copy=True))
    if not np.isfinite(owned).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(owned))[0])
        raise InputError(
            f"{name} holds {owned[where]} at index {where}; every entry must be finite. "
            "Likely cause: an overflow or a division by zero upstream."
        )
    return owned


def _writeable(array: np.ndarray) -> bool:
    """Tell whether anybody can still write to the memory behind an array."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return True
        array = array.base
    return array is not None


def as_vector(value: object, name: str, size: int | None = None) -> np.ndarray:
    """Return value as a read-only float64 vector, of the given size if one is named."""
    array = as_array(value, name)
    if array.ndim != 1 or (size is not None and array.shape[0] != size):
        wanted = "(n,)" if size is None else f"({size},)"
        raise InputError(f"{name} has shape {array.shape}, wanted {wanted}.")
    return array


def as_matrix(value: object, name: str, columns: int | None = None) -> np.ndarray:
    """Return value as a read-only float64 matrix, with the given number of columns if one is named."""
    array = as_array(value, name)
    if array.ndim != 2 or (columns is not None and array.shape[1] != columns):
        wanted = "(rows, columns)" if columns is None else f"(rows, {columns})"
        raise InputError(f"{name} has shape {array.shape}, wanted {wanted}.")
    return array


def as_points(value: object, name: str, dim: int) -> np.ndarray:
    """Return value as read-only points (N, dim); a single point (dim,) becomes (1, dim)."""
    array = as_array(value, name)
    if array.ndim == 1:
        array = array.reshape(1, -1)
    if array.ndim != 2 or array.shape[1] != dim:
        raise InputError(
            f"{name} has shape {np.shape(value)}, wanted ({dim},) or (N, {dim}): points are rows."
        )
    return array
