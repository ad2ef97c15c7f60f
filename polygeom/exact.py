"""Exact arithmetic: floats as dyadic rationals over python-flint.

Every finite float64 is an integer times a power of two, so a float matrix is an integer matrix over a common
power-of-two denominator. `ScaledMatrix` keeps that form (numerators ``fmpz_mat``, one denominator ``fmpz``):
products cost one integer matrix product and no gcd. Single numbers are ``fractions.Fraction`` towards the
user and ``fmpq`` inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import as_vector
from polygeom.errors import InputError

if TYPE_CHECKING:
    import flint

__all__ = [
    "ScaledMatrix",
    "as_point",
    "fraction",
    "fractions_array",
    "is_exact_array",
    "nearest_float",
    "rational",
    "rational_matrix",
]


def rational(value: object) -> flint.fmpq:
    """Return an int, float, Fraction, fmpz or fmpq as fmpq, without rounding."""
    import flint

    if isinstance(value, flint.fmpq):
        return value
    if isinstance(value, (float, np.floating)):
        numerator, denominator = float(value).as_integer_ratio()
        return flint.fmpq(numerator, denominator)
    if isinstance(value, Fraction):
        return flint.fmpq(value.numerator, value.denominator)
    return flint.fmpq(value if isinstance(value, flint.fmpz) else int(value))


def fraction(value: object) -> Fraction:
    """Return an int, float, fmpz or fmpq as fractions.Fraction, without rounding."""
    if isinstance(value, (int, float, Fraction)):
        return Fraction(value)
    exact = rational(value)
    return Fraction(int(exact.p), int(exact.q))


def nearest_float(value: object) -> float:
    """Return the float64 nearest to an exact number; infinity beyond the largest float."""
    exact = fraction(value)
    try:
        return float(exact)
    except OverflowError:
        return float("inf") if exact > 0 else float("-inf")


def fractions_array(values: object) -> np.ndarray:
    """Return numbers of any exact kind as a one-dimensional object array of Fractions."""
    items = [fraction(v) for v in values]
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def as_point(value: object, name: str, dim: int) -> np.ndarray:
    """Return a point (dim,) as float64, or as Fractions where some of its coordinates are.

    Raises
    ------
    InputError
        If it is no such point.

    Examples
    --------
    >>> as_point([0.5, 2], "x", 2), as_point([Fraction(1, 3), 0], "x", 2)
    (array([0.5, 2. ]), array([Fraction(1, 3), Fraction(0, 1)], dtype=object))
    """
    given = np.asarray(value, dtype=object)
    if given.shape == (dim,) and any(isinstance(v, Fraction) for v in given):
        if all(isinstance(v, int | np.integer | Fraction) for v in given):
            return fractions_array(given)
        raise InputError(f"{name} has coordinates that are neither Fractions nor integers: {value!r:.80}.")
    return as_vector(value, name, dim)


def is_exact_array(array: np.ndarray) -> bool:
    """Tell whether an array holds Fractions (a rational certificate) rather than floats."""
    return array.dtype == object


def rational_matrix(array: np.ndarray) -> flint.fmpq_mat:
    """Return a float64 or Fraction matrix (m, n), or vector (n,) as one column, as an exact fmpq_mat."""
    import flint

    matrix = array.reshape(-1, 1) if array.ndim == 1 else array
    if is_exact_array(matrix):
        return flint.fmpq_mat(*matrix.shape, [rational(v) for v in matrix.ravel()])
    return ScaledMatrix.from_floats(matrix).to_rational()


@dataclass(frozen=True)
class ScaledMatrix:
    """A rational matrix: integer numerators over one positive integer denominator.

    Examples
    --------
    >>> import numpy as np
    >>> half = ScaledMatrix.from_floats(np.array([[0.5, 0.25]]))
    >>> (half @ half.T)[0, 0]
    Fraction(5, 16)
    """

    numerators: flint.fmpz_mat
    denominator: flint.fmpz

    @classmethod
    def from_floats(cls, array: np.ndarray) -> ScaledMatrix:
        """Return a finite float64 matrix (m, n), exactly. Cost: one integer per entry.

        Raises
        ------
        InputError
            On NaN or infinities, which are no rationals.
        """
        import flint

        if not np.isfinite(array).all():
            raise InputError("NaN and infinities have no exact value; every entry must be finite.")
        mantissa, exponent = np.frexp(array)
        integers = (mantissa * 2.0**53).astype(np.int64).ravel()
        exponents = exponent.astype(np.int64).ravel() - 53
        nonzero = integers != 0
        if not nonzero.any():
            return cls(flint.fmpz_mat(*array.shape), flint.fmpz(1))
        # Strip common trailing zeros so that small integers stay small.
        trailing = np.zeros_like(integers)
        low = integers[nonzero] & -integers[nonzero]
        trailing[nonzero] = np.round(np.log2(low.astype(np.float64))).astype(np.int64)
        lowest = min(int((exponents + trailing)[nonzero].min()), 0)
        shifts = exponents - lowest
        entries = [
            0 if i == 0 else (i << s if s >= 0 else i >> -s)
            for i, s in zip(integers.tolist(), shifts.tolist(), strict=True)
        ]
        return cls(flint.fmpz_mat(*array.shape, entries), flint.fmpz(1) << -lowest)

    @classmethod
    def from_rationals(cls, rows: int, columns: int, entries: list[flint.fmpq]) -> ScaledMatrix:
        """Return the matrix with these row-major fmpq entries over their least common denominator."""
        import flint

        denominator = flint.fmpz(1)
        for entry in entries:
            denominator = denominator.lcm(entry.q)
        integers = [entry.p * (denominator // entry.q) for entry in entries]
        return cls(flint.fmpz_mat(rows, columns, integers), denominator)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.numerators.nrows(), self.numerators.ncols()

    @property
    def T(self) -> ScaledMatrix:
        """The transpose."""
        return ScaledMatrix(self.numerators.transpose(), self.denominator)

    def __matmul__(self, other: ScaledMatrix) -> ScaledMatrix:
        return ScaledMatrix(self.numerators * other.numerators, self.denominator * other.denominator)

    def __add__(self, other: ScaledMatrix) -> ScaledMatrix:
        common = self.denominator.lcm(other.denominator)
        left, right = common // self.denominator, common // other.denominator
        return ScaledMatrix(self.numerators * left + other.numerators * right, common)

    def __neg__(self) -> ScaledMatrix:
        return ScaledMatrix(-self.numerators, self.denominator)

    def __getitem__(self, index: tuple[int, int]) -> Fraction:
        return fraction(rational(self.numerators[index]) / self.denominator)

    def to_rational(self) -> flint.fmpq_mat:
        """Return the same matrix as fmpq_mat."""
        import flint

        return flint.fmpq_mat(self.numerators) / self.denominator

    def to_floats(self) -> np.ndarray:
        """Return the nearest float64 matrix (each entry correctly rounded)."""
        denominator = int(self.denominator)
        entries = [float(Fraction(int(n), denominator)) for n in self.numerators.entries()]
        return np.array(entries, dtype=np.float64).reshape(self.shape)
