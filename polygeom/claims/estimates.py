r"""Estimates with intervals, and what they decide: the statistics behind claims at level SAMPLED.

An effect is a contrast, the logarithm of a ratio that is 0 where there is no effect. A claim "the effect is there"
is decided against `LEAST`, not against 0: with enough samples everything differs from 0 a little. HOLDS if the
interval lies above, FAILS if it lies below, UNDECIDED if it contains it. A claim of several effects holds if all
are there, and fails if one is not.

Intervals are of confidence `CONFIDENCE`. A bootstrap over few networks is a little too short (with 8 the nominal
99 % cover about 94 %); that is why the nominal confidence is high.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from polygeom.claims.verdict import Outcome

__all__ = ["CONFIDENCE", "LEAST", "Estimate", "binomial", "bootstrapped", "is_there", "together"]

CONFIDENCE = 0.99

LEAST = float(np.log(1.05))
"""An effect of less than five percent counts as none."""

RESAMPLES = 9999


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Attributes
    ----------
    mean, low, high : float
    n : int
        Sample size.
    """

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}]"

    @property
    def ratio(self) -> str:
        """The ratio whose logarithm this is, with its interval."""
        mean, low, high = np.exp([self.mean, self.low, self.high])
        return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def bootstrapped(sample: np.ndarray) -> Estimate:
    """Return the mean of a sample with its bias-corrected and accelerated bootstrap interval.

    The resampling is seeded: the same sample has the same interval. Without an interval (values that are not
    finite, or all equal) its ends are NaN, which decides nothing.

    References
    ----------
    Efron 1987, Better bootstrap confidence intervals.

    Examples
    --------
    >>> bootstrapped(np.array([1.0, 2.0, 3.0, 4.0, 5.0])).mean
    3.0
    >>> bootstrapped(np.array([1.0, 1.0, 1.0])).low
    nan
    """
    from scipy.stats import bootstrap

    mean, n = float(np.mean(sample)), len(sample)
    if not np.isfinite(sample).all() or np.ptp(sample) == 0:
        return Estimate(mean, np.nan, np.nan, n)
    found = bootstrap(
        (sample,), np.mean, n_resamples=RESAMPLES, confidence_level=CONFIDENCE, rng=np.random.default_rng(0)
    )
    low, high = found.confidence_interval
    return Estimate(mean, float(low), float(high), n)


def binomial(successes: int, trials: int, confidence: float = CONFIDENCE) -> Estimate:
    """Return a frequency with its exact interval.

    References
    ----------
    Clopper and Pearson 1934.

    Examples
    --------
    >>> print(binomial(50, 100))
    0.5 [0.369, 0.631]
    """
    from scipy.stats import binomtest

    interval = binomtest(int(successes), int(trials)).proportion_ci(confidence, method="exact")
    return Estimate(successes / trials, float(interval.low), float(interval.high), int(trials))


def is_there(effect: Estimate, least: float = LEAST) -> Outcome:
    """Decide whether an effect is at least so large.

    Examples
    --------
    >>> [is_there(Estimate(0.2, low, high, 9)).value for low, high in [(0.1, 0.3), (0.0, 0.3), (-0.2, 0.02)]]
    ['holds', 'undecided', 'fails']
    """
    if effect.low > least:
        return Outcome.HOLDS
    return Outcome.FAILS if effect.high < least else Outcome.UNDECIDED


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """Return what becomes of a claim that states several things.

    Examples
    --------
    >>> together([Outcome.HOLDS, Outcome.UNDECIDED]).value
    'undecided'
    """
    found = set(outcomes)
    if Outcome.FAILS in found:
        return Outcome.FAILS
    return Outcome.UNDECIDED if Outcome.UNDECIDED in found else Outcome.HOLDS
