r"""LayerNorm folded into the layer behind it: rows :math:`\tilde w_i = P(\gamma * w_i)`, :math:`\tilde c_i`.

With :math:`P = 1 - 11'/d` and :math:`r(x) = \sqrt{|Px|^2/d + \epsilon}` the pre-activation of unit i is

.. math:: z_i(x) = w_i \cdot (\gamma * Px / r(x) + \beta) + b_i = \tilde w_i \cdot x / r(x) + \tilde c_i,
          \qquad \tilde c_i = w_i \cdot \beta + b_i,

because :math:`(\gamma * w_i) \cdot Px = P(\gamma * w_i) \cdot x`. So its sign is that of
:math:`\tilde w_i \cdot x + \tilde c_i r(x)`, the sum of a rational and a rational times the root of one.

Rounding
--------
:math:`g = \gamma * w` errs by u of itself, its mean :math:`\mu` by :math:`\gamma_{d+2}` of the mean of
:math:`|g|`, and the difference by u of itself: as vectors, :math:`|\hat w - \tilde w| \le u |g| + \sqrt d\,
\gamma_{d+2} \overline{|g|} + u |\hat w|`. As :math:`\tilde w \perp 1`, :math:`\tilde w \cdot x = \tilde w \cdot (x
- m 1)` for *every* m, so the error of the mean of x that is subtracted does no harm: with
:math:`\hat y = fl(x - m 1)`

.. math:: |fl(\hat w \cdot \hat y) - \tilde w \cdot x| \le (\gamma_{d + 1} |\hat w| + |\hat w - \tilde w|)\,
          |\hat y| (1 + 2 u)

by Cauchy-Schwarz, without a second product. For the variance the mean matters: :math:`|Px|^2 = |x - m 1|^2 -
d (m - \bar x)^2`, and :math:`|m - \bar x| \le \gamma_{d+1} \overline{|x|}`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import freeze
from polygeom.exact import ScaledMatrix, rational, rational_matrix
from polygeom.rounding import TINY, U, dot_error, gamma, round_up

if TYPE_CHECKING:
    import flint

__all__ = ["Centered", "FoldedRows", "sign_with_root"]


@dataclass(frozen=True, eq=False)
class FoldedRows:
    """The folded rows of a layer behind LayerNorm, rounded, with bounds and an exact source.

    Attributes
    ----------
    weights : (m, d) array
        The rows w~, rounded; the true ones are orthogonal to the ones vector.
    offsets : (m,) array
        c~, rounded.
    weight_errors : (m,) array
        Upper bounds on the Euclidean distances of the rows from the true ones.
    offset_errors : (m,) array
        Upper bounds on the distances of the offsets from the true ones.
    gamma, beta, W, b : arrays
        What they were made of.
    """

    weights: np.ndarray
    offsets: np.ndarray
    weight_errors: np.ndarray
    offset_errors: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray
    W: np.ndarray
    b: np.ndarray

    @classmethod
    def of(cls, gain: np.ndarray, shift: np.ndarray, W: np.ndarray, b: np.ndarray) -> FoldedRows:
        """Fold gain and shift of a LayerNorm into the rows W (m, d), b (m,). Cost: a few passes over W."""
        d = W.shape[1]
        with np.errstate(over="ignore", invalid="ignore"):  # rows that overflow have no finite bounds
            scaled = W * gain
            mean = scaled.mean(axis=1, keepdims=True)
            weights = scaled - mean
            spread = np.abs(scaled).mean(axis=1)
            of_mean = gamma(2 * d + 8) * spread + 4 * TINY
            lengths, sizes = (_lengths(v)[0] for v in (scaled, weights))
            errors = round_up(U * (lengths + sizes) + np.sqrt(d) * (of_mean + TINY), 2 * d + 8)
            offsets = W @ shift + b
            offset_errors = np.zeros(len(b))
            if shift.any():  # otherwise the offsets are the biases, exactly
                offset_errors = dot_error(np.abs(W) @ np.abs(shift) + np.abs(b), d)
        for part in (weights, offsets, errors, offset_errors):
            freeze(part)
        return cls(weights, offsets, errors, offset_errors, gain, shift, W, b)

    @property
    def dim(self) -> int:
        """The dimension d of the residual stream."""
        return self.weights.shape[1]

    @cached_property
    def sizes(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds (m,) on the lengths of the true rows.

        A sum of d squares under a root errs by gamma(d + 2) of itself, squares that underflow by d TINY of the
        largest in all; rows beyond the floats have no upper bound.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            lengths, underflow = _lengths(self.weights)
            lost = round_up(gamma(2 * self.dim + 8) * lengths + self.weight_errors + underflow, 4)
            low, high = np.maximum(lengths * (1 - 4 * U) - lost, 0.0), round_up(lengths + lost, 1)
        known = np.isfinite(high)
        return freeze(np.where(known, low, 0.0)), freeze(np.where(known, high, np.inf))

    @cached_property
    def is_zero(self) -> np.ndarray:
        """Which true rows are zero, (m,) bool, exactly: these units draw no boundary."""
        zero = ~(self.sizes[0] > 0)
        doubtful = np.flatnonzero(zero)
        if doubtful.size:
            rows, _ = self.exact(doubtful)
            zero[doubtful] = [not any(row) for row in rows.table()]
        return freeze(zero)

    def exact(self, units: object) -> tuple[flint.fmpq_mat, flint.fmpq_mat]:
        """Return the true rows (k, d) and offsets (k, 1) of some units as rationals. Cost: d rationals a unit."""
        import flint

        rows = np.asarray(units, dtype=np.intp)
        plain = rational_matrix(self.W[rows])
        d, gain = self.dim, rational_matrix(self.gamma).entries()
        entries: list[flint.fmpq] = []
        for row in plain.table():
            scaled = [w * g for w, g in zip(row, gain, strict=True)]
            mean = sum(scaled, flint.fmpq(0)) / d
            entries += [value - mean for value in scaled]
        offsets = plain * rational_matrix(self.beta) + rational_matrix(self.b[rows])
        return flint.fmpq_mat(len(rows), d, entries), offsets

    def along(self, centered: Centered) -> tuple[np.ndarray, np.ndarray]:
        """Return w~.x for all units and points, (N, m), and bounds on the errors (module docstring)."""
        d = self.dim
        with np.errstate(over="ignore", invalid="ignore"):
            values = centered.points @ self.weights.T
            share = round_up(gamma(2 * d + 8) * self.sizes[1] + 2 * self.weight_errors, 4)
            errors = round_up(np.multiply.outer(centered.lengths, share), 4) + 8 * (d + 1) * TINY
        return values, errors


@dataclass(frozen=True, eq=False)
class Centered:
    """Points of the residual stream less their means, rounded, and what LayerNorm divides them by.

    Attributes
    ----------
    points : (N, d) array
        x - m, each entry rounded once, m the mean of x in floats.
    lengths : (N,) array
        Upper bounds on their Euclidean lengths.
    root, root_error : (N,) arrays
        r(x), the root of variance plus epsilon, in floats, and bounds on its errors.
    """

    points: np.ndarray
    lengths: np.ndarray
    root: np.ndarray
    root_error: np.ndarray

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")
    def of(cls, X: np.ndarray, epsilon: float) -> Centered:
        """Center points (N, d).

        The sum of squares errs by gamma(d + 4) of itself, roundings of the points included; `shift` bounds what
        the error of the mean takes off. A root in doubt by e has the distance e / root from the true one, since
        the two roots add up to at least the computed one. A power of two near the largest entry is the unit, so
        no square leaves the floats and what underflows is lost for good only beside it.
        """
        d = X.shape[1]
        unit = _power_of_two(np.maximum(np.abs(X).max(axis=1), np.sqrt(epsilon)))
        scaled = np.ldexp(X, -unit[:, None])
        # the mean of equal entries is what they are, even where their sum is rounded
        mean = np.where((X[:, :1] == X).all(axis=1), scaled[:, 0], scaled.mean(axis=1))
        centered = scaled - mean[:, None]
        squares = np.einsum("ij,ij->i", centered, centered)
        shift = round_up(gamma(2 * d + 8) * np.abs(scaled).mean(axis=1), d + 4) + TINY
        variance = squares / d + np.ldexp(epsilon, -2 * unit)
        doubt = round_up(gamma(2 * d + 16) * variance + shift * shift, 4) + 8 * (d + 1) * TINY
        root = np.sqrt(variance)
        with np.errstate(divide="ignore"):
            error = np.where(root > 0, doubt / root, np.sqrt(doubt))
        error = np.ldexp(round_up(error + 4 * U * root, 4), unit) + TINY
        lengths = np.ldexp(round_up(np.sqrt(squares), d + 4) + d * np.sqrt(TINY), unit) + TINY
        points = X - np.ldexp(mean, unit)[:, None]
        return cls(points, lengths, np.ldexp(root, unit), np.where(np.isfinite(error), error, np.inf))


def _lengths(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lengths of rows, in units of their largest entries, and what they may lose to underflow."""
    unit = _power_of_two(np.abs(rows).max(axis=1))
    scaled = np.ldexp(rows, -unit[:, None])
    lengths = np.ldexp(np.sqrt(np.einsum("ij,ij->i", scaled, scaled)), unit)
    return lengths, np.ldexp(rows.shape[1] * np.sqrt(TINY), unit) + TINY


def _power_of_two(sizes: np.ndarray) -> np.ndarray:
    """Return the least exponents e with sizes < 2^e; 0 for 0 and what is not finite."""
    return np.frexp(sizes)[1]


def sign_with_root(a: flint.fmpq, c: flint.fmpq, square: flint.fmpq) -> int:
    """Return the sign of a + c sqrt(square), exactly.

    Examples
    --------
    >>> import flint
    >>> sign_with_root(flint.fmpq(-3), flint.fmpq(2), flint.fmpq(9, 4))
    0
    """
    along, across = _sign(a), _sign(c) if square else 0
    if along == across or not along or not across:
        return along or across
    return along * _sign(a * a - c * c * square)


def _sign(value: flint.fmpq) -> int:
    return int(value > 0) - int(value < 0)


def exact_variance(x: np.ndarray) -> flint.fmpq:
    r"""Return :math:`|Px|^2 / d` of one point, exactly: the mean square less the squared mean."""
    d = len(x)
    row = ScaledMatrix.from_floats(x[None])
    square = rational((row @ row.T).to_rational()[0, 0])
    total = sum(row.to_rational().entries(), rational(0))
    return square / d - (total / d) ** 2
