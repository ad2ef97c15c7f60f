"""Intervals of a ray: where rows can stop it, in floats with bounds, and what is left, in rationals."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from polygeom.rounding import TINY, U

__all__ = ["RayInterval", "stopping_bounds"]


@dataclass(frozen=True)
class RayInterval:
    """The t with t * direction inside a polyhedron: a closed interval of the line, possibly empty.

    Attributes
    ----------
    lower, upper : Fraction or float
        End points as exact rationals; ``-inf`` / ``inf`` where the line stays inside for ever.
        An empty interval has lower > upper.
    lower_rows, upper_rows : tuple of int
        The rows that stop the line there; empty at infinity.
    """

    lower: Fraction | float
    upper: Fraction | float
    lower_rows: tuple[int, ...]
    upper_rows: tuple[int, ...]

    @property
    def is_empty(self) -> bool:
        """Whether no t qualifies."""
        return self.lower > self.upper


def stopping_bounds(
    slack: np.ndarray, slack_error: np.ndarray, rate: np.ndarray, rate_error: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the earliest and latest t at which slack - t * rate can reach 0, given error bounds on both.

    With slack in [s - e, s + e] and rate in [r - f, r + f] the quotient is largest at s + e over r - f (r + f if
    the numerator is negative) and smallest the other way round. Both are inf where the rate cannot be positive,
    and the latest is inf where it may not be. Three roundings, pushed outward by a relative 4 u.
    """
    high, low = slack + slack_error, slack - slack_error
    slowest, fastest = rate - rate_error, rate + rate_error
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        latest = high / np.where(high >= 0, slowest, fastest)
        earliest = low / np.where(low >= 0, fastest, np.maximum(slowest, 0.0))
        latest = np.where(slowest > 0, latest + 4 * U * np.abs(latest) + TINY, np.inf)
        earliest = np.where(fastest <= 0, np.inf, earliest - 4 * U * np.abs(earliest) - TINY)
    # nothing is known of a quotient of infinities
    return np.where(np.isnan(earliest), -np.inf, earliest), np.where(np.isnan(latest), np.inf, latest)
