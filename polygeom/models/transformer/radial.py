r"""Scaling a token: where the units behind a LayerNorm flip on the ray from the origin of the residual stream.

With :math:`a = \tilde w \cdot x`, :math:`v = |Px|^2 / d` a unit has at tx, t > 0, the sign of
:math:`a t + \tilde c \sqrt{v t^2 + \epsilon}`. It flips once, at

.. math:: t^2 = \tilde c^2 \epsilon / (a^2 - \tilde c^2 v),

if :math:`\epsilon > 0`, :math:`a \tilde c < 0` and :math:`a^2 > \tilde c^2 v`, else never (claim ln-rays). So for
:math:`\epsilon = 0` scaling flips nothing, and the gate cell of a token is a cone of the residual stream. The
squares of the thresholds are rational: floats order them beyond rounding, rationals where they meet.

Rounding
--------
|a| lies in [a-, a+], :math:`|\tilde c|` in [c-, c+], :math:`|\tilde c| \sqrt v` in [s-, s+]; then the factors
:math:`|a| \mp |\tilde c| \sqrt v` of the denominator lie in [a- - s+, a+ - s-] and [a- + s-, a+ + s+]. t is
the product of :math:`|\tilde c|` over the root of one and :math:`\sqrt\epsilon` over that of the other: where
both are normal floats, each end of t takes eight roundings or fewer; else rationals decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cmp_to_key
from itertools import pairwise
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import as_index, as_vector, freeze
from polygeom.errors import InputError
from polygeom.exact import fraction, rational, rational_matrix
from polygeom.lines.exact_arcs import float_bounds
from polygeom.models.transformer.folded import Centered, exact_variance
from polygeom.models.transformer.normed_mlp import NormedMLP, as_block
from polygeom.rounding import TINY, gamma

if TYPE_CHECKING:
    import flint

__all__ = ["RadialCrossings", "radial_crossings"]


@dataclass(frozen=True, eq=False)
class RadialCrossings:
    """All boundaries on the ray through a token from the origin of the residual stream, in order; all is proved.

    Attributes
    ----------
    t : (k,) array
        Where the code of ``t * x`` changes, ascending; the token is at t = 1.
    units : tuple of k integer arrays
        The units that flip there: several if they coincide.
    bounds : (k, 2) array
        Numbers between which the exact thresholds lie.
    first_code : (m,) array
        The letters near the origin, for small t.
    """

    t: np.ndarray
    units: tuple[np.ndarray, ...]
    bounds: np.ndarray
    first_code: np.ndarray
    _thresholds: _Thresholds = field(repr=False)

    def __len__(self) -> int:
        return len(self.t)

    def __repr__(self) -> str:
        reach = f", t from {self.t[0]:.4g} to {self.t[-1]:.4g}" if len(self) else ""
        return f"RadialCrossings({len(self)} boundaries, {self.n_flips} flips{reach}, exact)"

    @property
    def n_flips(self) -> int:
        """Number of unit flips: no unit flips twice."""
        return sum(map(len, self.units))

    def squared(self, i: int) -> Fraction:
        """Return the square of a threshold, exactly."""
        return fraction(self._thresholds.square(int(self.units[as_index(i, len(self), "boundary")][0])))

    def code(self, i: int) -> np.ndarray:
        """Return the letters (m,) on piece i, between boundaries i - 1 and i."""
        code = self.first_code.copy()
        for units in self.units[: as_index(i, len(self) + 1, "piece")]:
            code[units] ^= 1
        return code

    def count(self, low: float, high: float) -> int:
        """Return the number of unit flips at low < t < high, exactly."""
        if not all(isinstance(t, Real | np.number) for t in (low, high)) or not 0 <= low <= high:
            raise InputError(f"count got the interval ({low!r}, {high!r}), wanted numbers 0 <= low <= high.")
        last, first = self._behind(float(high), strict=True), self._behind(float(low), strict=False)
        return sum(map(len, self.units[first : max(first, last)]))

    def _behind(self, t: float, *, strict: bool) -> int:
        """Return how many boundaries lie before t, or up to t if not strict."""
        if t == np.inf:
            return len(self)
        place = int(np.searchsorted(self.bounds[:, 1], t))  # all before this end at bounds below t
        while place < len(self) and self.bounds[place, 0] <= t:
            gap = self.squared(place) - Fraction(t) ** 2
            if gap > 0 or (strict and gap == 0):
                break
            place += 1
        return place


class _Thresholds:
    """The thresholds of all units of a block along one ray."""

    def __init__(self, block: NormedMLP, x: np.ndarray) -> None:
        self.block, self.x = block, x
        self._known: dict[int, tuple[flint.fmpq, flint.fmpq]] = {}
        self._variance: flint.fmpq | None = None
        folded, centered = block.folded, Centered.of(x[None], 0.0)
        (a,), (a_error,) = folded.along(centered)
        c, c_error = folded.offsets, folded.offset_errors
        root, root_error = float(centered.root[0]), float(centered.root_error[0])
        with np.errstate(all="ignore"):  # what overflows is certain of nothing
            a_low, a_high = _between(np.abs(a), a_error)
            c_low, c_high = _between(np.abs(c), c_error)
            s_low, s_high = _down(c_low * max(root - root_error, 0.0)), _up(c_high * (root + root_error))
            scale = np.sqrt(block.eps)
            self.low = _down(_product(c_low / np.sqrt(a_high - s_low), scale / np.sqrt(a_high + s_high)))
            self.high = _up(_product(c_high / np.sqrt(a_low - s_high), scale / np.sqrt(a_low + s_low)))
            certain = (a_low > 0) & (c_low > 0)
            never = certain & ((np.sign(a) == np.sign(c)) | (a_high < s_low)) | (a_high == 0) | (c_high == 0)
            never |= block.eps == 0
            self.flips = certain & ~never & (a_low > s_high) & (self.high < np.inf) & (self.low >= 0)
        self.signs = np.where(c_low > 0, np.sign(c), 0).astype(np.intp)
        level = (c_high == 0) & (a_low > 0)  # offsets that vanish exactly, as in blocks without biases
        self.signs[level] = np.sign(a[level])
        for unit in np.flatnonzero(~(self.flips | never)).tolist():
            self._decide(unit)
        for unit in np.flatnonzero(self.signs == 0).tolist():
            along, offset = self.exact(unit)
            first = offset or along
            self.signs[unit] = int(first > 0) - int(first < 0)

    def exact(self, unit: int) -> tuple[flint.fmpq, flint.fmpq]:
        """Return w~.x and c~ of one unit as rationals."""
        if unit not in self._known:
            rows, offsets = self.block.folded.exact([unit])
            self._known[unit] = (rows * rational_matrix(self.x))[0, 0], offsets[0, 0]
        return self._known[unit]

    def square(self, unit: int) -> flint.fmpq | None:
        """Return the squared threshold of one unit as a rational, None where it has none."""
        if self._variance is None:
            self._variance = exact_variance(self.x)
        (a, c), epsilon = self.exact(unit), rational(self.block.eps)
        beyond = a * a - c * c * self._variance
        return c * c * epsilon / beyond if a * c < 0 and beyond > 0 else None

    def _decide(self, unit: int) -> None:
        """Find out in rationals whether a unit flips, and bounds on where."""
        from flint import arb

        square = self.square(unit)
        self.flips[unit] = square is not None
        if square is not None:  # the square itself may lie beyond the floats
            self.low[unit], self.high[unit] = float_bounds(arb(square).sqrt())

    def ordered(self) -> tuple[list[np.ndarray], np.ndarray]:
        """Return the units of each boundary in order, and bounds (k, 2) on where they are."""
        units = np.flatnonzero(self.flips)
        units = units[np.argsort(self.low[units], kind="stable")]
        reached = np.maximum.accumulate(self.high[units])
        new = np.append(True, self.low[units][1:] > reached[:-1])[: len(units)]
        for first, last in pairwise([*np.flatnonzero(new).tolist(), len(units)]):
            if last - first > 1:
                ranked = sorted(units[first:last].tolist(), key=cmp_to_key(self._compare))
                units[first:last] = ranked
                new[first + 1 : last] = [self._compare(i, j) != 0 for i, j in pairwise(ranked)]
        starts = np.flatnonzero(new)
        if not starts.size:
            return [], np.zeros((0, 2))
        low = np.maximum.accumulate(np.maximum.reduceat(self.low[units], starts))
        high = np.minimum.accumulate(np.minimum.reduceat(self.high[units], starts)[::-1])[::-1]
        units = freeze(units[np.lexsort((units, np.cumsum(new)))])
        groups = [units[i:j] for i, j in pairwise([*starts.tolist(), len(units)])]
        return groups, np.stack([low, high], axis=1)

    def _compare(self, i: int, j: int) -> int:
        gap = self.square(i) - self.square(j)
        return int(gap > 0) - int(gap < 0)


def _between(value: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds on non-negative numbers known within errors."""
    return np.maximum(_down(value - error), 0.0), np.where(value + error == 0, 0.0, _up(value + error))


def _down(value: np.ndarray) -> np.ndarray:
    return value - gamma(16) * np.abs(value) - TINY


def _up(value: np.ndarray) -> np.ndarray:
    return value + gamma(16) * np.abs(value) + TINY


def _product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the product of factors that have lost nothing to underflow, NaN for others."""
    return np.where((first >= TINY) & (second >= TINY), first * second, np.nan)


def radial_crossings(block: NormedMLP, x: object) -> RadialCrossings:
    """Return where units flip when a token is scaled: on ``t * x``, t > 0, exactly.

    Parameters
    ----------
    block : NormedMLP
    x : (d,) array
        A point of the residual stream, whose entries are not all equal.

    Raises
    ------
    InputError
        On wrong shapes, NaN or infinities, or equal entries.

    Notes
    -----
    Cost: one product of W with a vector; rationals for the units within rounding of a doubt.

    Examples
    --------
    >>> rows, out = [[1, 0], [-1, 0], [3, 0]], [[1, 1, 1]]
    >>> block = NormedMLP([1, 1], [0, 0], 1.0, rows, [-0.5, 0.25, 0], "gelu", out, [0])
    >>> hits = radial_crossings(block, [2, 0])
    >>> hits
    RadialCrossings(2 boundaries, 2 flips, t from 0.2582 to 0.5774, exact)
    >>> hits.units, hits.squared(1), hits.count(0.5, 1)
    ((array([1]), array([0])), Fraction(1, 3), 1)
    >>> len(radial_crossings(block.with_eps(0), [2, 0]))
    0
    """
    as_block(block)
    point = as_vector(x, "x", block.dim)
    if (point == point[0]).all():
        raise InputError(
            "x has equal entries: it lies on the axis of LayerNorm, and all its multiples are mapped to 0."
        )
    found = _Thresholds(block, point)
    if block.eps == 0:
        code = freeze(block.codes(point).letters[0].copy())
        return RadialCrossings(freeze(np.zeros(0)), (), freeze(np.zeros((0, 2))), code, found)
    units, bounds = found.ordered()
    code = freeze((found.signs > 0).astype(np.uint8))
    places = 0.5 * bounds[:, 0] + 0.5 * bounds[:, 1]
    return RadialCrossings(freeze(places), tuple(units), freeze(bounds), code, found)
