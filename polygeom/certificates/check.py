"""What checking a proof returns, and the gate through which the numbers of a proof pass.

A certificate may come from anywhere: a file, another program, a forger. So its numbers are read before anything
is computed with them, and what is not a list of finite numbers of the right length proves nothing: REFUTED.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from math import isfinite

import numpy as np

from polygeom.exact import fractions_array, is_exact_array, nearest_float

__all__ = ["OPEN", "PROVED", "REFUTED", "Check", "Level", "are_rows", "finite_numbers", "nearest_floats"]

LARGEST_INTEGER = 2**53
"""Integers up to here are floats."""


class Level(Enum):
    """How strong an answer is."""

    EXACT = "exact"
    """Proved: by rational arithmetic, or by floats beyond a derived rounding bound."""

    CERTIFIED = "certified"
    """The proof's inequalities hold in floats up to the rounding bound, with a stated residual; not proved."""

    SAMPLED = "sampled"
    """Statistics, with a sample size and an interval."""


@dataclass(frozen=True)
class Check:
    """The outcome of re-checking one certificate, without any solver.

    Attributes
    ----------
    holds : bool
        Whether the certificate proves its statement at `level`.
    level : Level
        EXACT when proved; CERTIFIED when the floats satisfy it only up to rounding.
    residual : float
        The largest possible violation of the certificate's inequalities: 0 when proved EXACT, otherwise
        the violation found plus its rounding bound, in the units of the rows.

    Examples
    --------
    >>> bool(Check(True, Level.EXACT, 0.0))
    True
    """

    holds: bool
    level: Level
    residual: float

    def __bool__(self) -> bool:
        return self.holds


PROVED = Check(True, Level.EXACT, 0.0)
"""Proved."""

REFUTED = Check(False, Level.EXACT, float("inf"))
"""Not a proof of the statement: it has the wrong form, or a sign is wrong."""

OPEN = Check(False, Level.CERTIFIED, float("inf"))
"""Not a proof, and no refutation: the statement is undecided, or deciding it takes exact rows that are missing."""


# -- the gate ----------------------------------------------------------------------------------------------


def finite_numbers(values: object, *shape: int) -> np.ndarray | None:
    """Return the numbers of a certificate as an array, or None unless they are finite and of this shape.

    -1 stands for any number of rows; the empty list has 0 of them.

    Floats and small integers come out as float64, Fractions (and whatever stands beside one, and integers that
    are no floats) as an object array of Fractions. Lists will do.

    Examples
    --------
    >>> finite_numbers([1, 2.5], 2)
    array([1. , 2.5])
    >>> finite_numbers([1.0, float("nan")], 2) is None, finite_numbers([1.0], 2) is None
    (True, True)
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # ragged lists
        return None
    if array.shape == (0,) and shape[:1] in ((-1,), (0,)):
        return np.empty((0, *shape[1:]))
    if array.ndim != len(shape) or any(n != w for n, w in zip(array.shape, shape, strict=True) if w != -1):
        return None
    if array.dtype == np.float64:
        return array if np.isfinite(array).all() else None
    if array.dtype.kind in "biu" and ((array >= -LARGEST_INTEGER) & (array <= LARGEST_INTEGER)).all():
        return array.astype(np.float64)
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        return array.astype(np.float64) if np.isfinite(array).all() else None
    entries = array.ravel().tolist()
    if not all(isinstance(v, (int, Fraction)) or (isinstance(v, float) and isfinite(v)) for v in entries):
        return None
    return fractions_array(entries).reshape(array.shape)


def nearest_floats(numbers: np.ndarray) -> np.ndarray:
    """Return floats as they are and Fractions as the nearest floats; infinite beyond the largest."""
    if not is_exact_array(numbers):
        return numbers
    return np.array([nearest_float(v) for v in numbers.ravel()], dtype=np.float64).reshape(numbers.shape)


def are_rows(rows: object, n_rows: int, count: int | None = None) -> bool:
    """Tell whether these are row indices 0 .. n_rows - 1 (a list of `count` of them, or a single one)."""
    try:
        index = np.asarray(rows)
    except (TypeError, ValueError):  # ragged lists
        return False
    if index.shape != (() if count is None else (count,)):
        return False
    if not index.size:
        return True
    return index.dtype.kind in "iu" and bool((index >= 0).all() and (index < n_rows).all())
