"""All distances between points, or between codes, as one product of matrices: what clusterings are made from."""

from __future__ import annotations

import numpy as np

from polygeom.arrays import as_array
from polygeom.codes import as_codes
from polygeom.errors import InputError, TooLargeError

__all__ = ["MEMORY", "euclidean_distances", "hamming_distances"]

MEMORY = 4 * 2**30
"""Bytes that a clustering may take: three times those of the distances."""


def hamming_distances(codes: object) -> np.ndarray:
    """Return the numbers of differing letters (N, N), float64.

    The agreeing letters are counted by one product per letter that occurs, of 0/1 matrices in float32; sums of so
    many ones are exact below 2^24.

    Parameters
    ----------
    codes : SplineCodes or (N, units) unsigned integer array

    Raises
    ------
    InputError
        If the codes are none.
    TooLargeError
        If N is too large for a matrix.

    Examples
    --------
    >>> hamming_distances(np.array([[0, 1, 2], [0, 1, 1], [1, 0, 0]], dtype=np.uint8))
    array([[0., 1., 3.],
           [1., 0., 3.],
           [3., 3., 0.]])
    """
    letters = as_codes(codes).letters
    _fits(len(letters))
    if letters.shape[1] >= 2**24:
        raise InputError(
            f"Codes have {letters.shape[1]} letters, wanted fewer than 2^24. Take some of the layers."
        )
    agreeing = np.zeros((len(letters), len(letters)), dtype=np.float32)
    for letter in np.unique(letters):
        has = (letters == letter).astype(np.float32)
        agreeing += has @ has.T
    return letters.shape[1] - agreeing.astype(np.float64)


def euclidean_distances(points: object) -> np.ndarray:
    """Return the Euclidean distances (N, N), by one product of matrices in float64.

    Distances that are small against the norms lose digits, as they do with every formula by inner products; the
    mean is taken away first, so that a common offset does no harm. Equal points have distance 0 up to that.

    Raises
    ------
    InputError
        If the points are not a finite matrix.
    TooLargeError
        If N is too large for a matrix.

    Examples
    --------
    >>> euclidean_distances([[0, 0], [3, 4]])
    array([[0., 5.],
           [5., 0.]])
    """
    X = as_array(points, "points")
    if X.ndim != 2:
        raise InputError(f"points has shape {X.shape}, wanted (N, n).")
    _fits(len(X))
    exponent = int(np.frexp(np.abs(X).max(initial=0.0))[1])
    centered = np.ldexp(X, -exponent)  # rounds nothing, and no square overflows or is lost
    centered -= centered.mean(axis=0)
    products = centered @ centered.T
    squares = np.diag(products).copy()
    products *= -2
    for i, row in enumerate(products):
        row += squares + squares[i]  # in this order the matrix stays symmetric, bit by bit
    np.maximum(products, 0, out=products)
    np.sqrt(products, out=products)
    np.ldexp(products, exponent, out=products)
    np.fill_diagonal(products, 0)
    return products


def _fits(n: int) -> None:
    most = int((MEMORY / (3 * 8)) ** 0.5)
    if n > most:
        raise TooLargeError(
            f"The distances between {n} points take {n * n * 8 / 2**30:.1f} GiB, and a clustering three times "
            f"that; at most {most} points fit. Take a sample of them."
        )
