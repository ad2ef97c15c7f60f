"""Spline codes: the letters of all units of a network at many points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.arrays import freeze
from polygeom.errors import InputError

__all__ = ["SplineCodes", "as_codes"]


@dataclass(frozen=True, eq=False)
class SplineCodes:
    """Letters (N, n_units) of N points; usable as an array.

    Attributes
    ----------
    letters : (N, n_units) unsigned integer array
        The letter of every unit: the number of breakpoints strictly below its pre-activation, or the first
        maximal position of its window. Column i is unit i of the network.
    undecided : (N, n_units) bool array
        Letters read from floats within the rounding bound of a boundary, where rationals were out of reach.

    Examples
    --------
    >>> codes = SplineCodes(np.array([[0, 1], [1, 1]], dtype=np.uint8))
    >>> codes
    SplineCodes(2 x 2 letters)
    >>> codes.hamming()
    array([[0, 1],
           [1, 0]])
    """

    letters: np.ndarray
    undecided: np.ndarray | None = None

    def __post_init__(self) -> None:
        letters = np.asarray(self.letters).view()
        if letters.ndim != 2 or letters.dtype.kind != "u":
            raise InputError(
                f"letters must be (N, n_units) unsigned integers, got {letters.dtype} {letters.shape}."
            )
        undecided = (
            np.zeros(letters.shape, bool) if self.undecided is None else np.asarray(self.undecided).view()
        )
        object.__setattr__(self, "letters", freeze(letters))
        object.__setattr__(self, "undecided", freeze(undecided))

    def __repr__(self) -> str:
        points, units = self.letters.shape
        doubt = f", {np.count_nonzero(self.undecided)} letters undecided" if self.undecided.any() else ""
        return f"SplineCodes({points} x {units} letters{doubt})"

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        return (
            np.array(self.letters, dtype=dtype, copy=True) if copy else np.asarray(self.letters, dtype=dtype)
        )

    def __len__(self) -> int:
        return len(self.letters)

    def __getitem__(self, index: object) -> np.ndarray:
        return self.letters[index]

    @property
    def packed(self) -> np.ndarray:
        """Letters in the fewest bits: (N, bytes) uint8, one bit a letter where all letters are 0 or 1."""
        if self.letters.max(initial=0) <= 1:
            return np.packbits(self.letters.astype(bool), axis=1)
        return np.ascontiguousarray(self.letters).view(np.uint8)

    def hamming(self, other: SplineCodes | None = None) -> np.ndarray:
        """Return the numbers of differing letters (N, M) between two sets of codes, or within one.

        Cost: N M n_units comparisons, a row at a time.

        Raises
        ------
        InputError
            If other is no SplineCodes, or has another number of units.
        """
        if not isinstance(other, SplineCodes | None):
            raise InputError(
                f"hamming got a {type(other).__name__}, wanted the SplineCodes to compare with (or nothing)."
            )
        right = self.letters if other is None else other.letters
        if right.shape[1] != self.letters.shape[1]:
            raise InputError(
                f"Codes have {self.letters.shape[1]} and {right.shape[1]} units; they must agree."
            )
        distances = np.empty((len(self), len(right)), dtype=np.intp)
        for i, row in enumerate(self.letters):
            distances[i] = (row != right).sum(axis=1)
        return distances


def as_codes(value: object) -> SplineCodes:
    """Return codes; an array (N, n_units) of whole numbers from 0 to 255 or of bools is taken as their letters.

    Raises
    ------
    InputError
        If it is neither.

    Examples
    --------
    >>> as_codes(np.array([[1.5, -2.0]]) > 0)
    SplineCodes(1 x 2 letters)
    """
    if isinstance(value, SplineCodes):
        return value
    try:
        letters = np.asarray(value)
    except ValueError:  # rows of unequal length
        letters = np.array(None)
    wrong = letters.ndim != 2 or letters.dtype.kind not in "iub"
    if wrong or (letters.size and not 0 <= letters.min() <= letters.max() <= np.iinfo(np.uint8).max):
        raise InputError(
            f"codes are {letters.dtype} {letters.shape}, wanted SplineCodes or their letters (N, n_units), whole "
            "numbers from 0 to 255. Likely cause: activations; their letters are X > 0."
        )
    return SplineCodes(letters.astype(np.uint8))
