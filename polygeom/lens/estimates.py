r"""Estimates with intervals: the mean of a sample with its bootstrap interval, a frequency with its exact one.

Intervals are of confidence `CONFIDENCE`. A bootstrap over few networks is a little too short (with 8 the nominal
99 % cover about 94 %); that is why the nominal confidence is high. What is decided by them stands in
`polygeom.claims.estimates`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum

import numpy as np

from polygeom.errors import InputError

__all__ = ["CONFIDENCE", "Estimate", "binomial", "bootstrapped", "sign_flips"]

CONFIDENCE = 0.99

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
        return self.told(".3g")

    def told(self, form: str) -> str:
        """Return the mean with its interval, if there is one, as text; `form` is that of a number.

        Examples
        --------
        >>> Estimate(0.5, 0.25, 1.0, 9).told(".2f"), Estimate(0.5, np.nan, np.nan, 1).told(".2f")
        ('0.50 [0.25, 1.00]', '0.50 (no interval)')
        """
        if np.isnan([self.low, self.high]).any():
            return f"{self.mean:{form}} (no interval)"
        return f"{self.mean:{form}} [{self.low:{form}}, {self.high:{form}}]"

    @property
    def ratio(self) -> str:
        """The ratio whose logarithm this is, with its interval."""
        mean, low, high = np.exp([self.mean, self.low, self.high]).tolist()
        return Estimate(mean, low, high, self.n).told(".2f")


def bootstrapped(sample: np.ndarray) -> Estimate:
    """Return the mean of a sample with its bias-corrected and accelerated bootstrap interval.

    The resampling is seeded: the same sample has the same interval. Without an interval (fewer than two
    values, some not finite, or all equal) its ends are NaN, which decides nothing. No interval leaves the range of
    the sample, so that of n values with a symmetric distribution it covers the mean with a probability of at most
    :math:`1 - 2^{1 - n}`: one half for two, 0.94 for five, and the nominal 0.99 not before eight.

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

    n = len(sample)
    mean = float(np.mean(sample)) if n else np.nan
    if n < 2 or not np.isfinite(sample).all() or np.ptp(sample) == 0:
        return Estimate(mean, np.nan, np.nan, n)
    found = bootstrap(
        (sample,), np.mean, n_resamples=RESAMPLES, confidence_level=CONFIDENCE, rng=np.random.default_rng(0)
    )
    low, high = found.confidence_interval
    return Estimate(mean, float(low), float(high), n)


def binomial(successes: int, trials: int, confidence: float = CONFIDENCE) -> Estimate:
    """Return a frequency with its exact interval.

    Raises
    ------
    InputError
        If there are no trials, or more successes than trials.

    References
    ----------
    Clopper and Pearson 1934.

    Examples
    --------
    >>> print(binomial(50, 100))
    0.5 [0.369, 0.631]
    """
    from scipy.stats import binomtest

    if not 0 <= successes <= trials or trials < 1:
        raise InputError(f"binomial got {successes} successes of {trials} trials, wanted at least one trial.")
    interval = binomtest(int(successes), int(trials)).proportion_ci(confidence, method="exact")
    return Estimate(successes / trials, float(interval.low), float(interval.high), int(trials))


def sign_flips(sample: np.ndarray) -> float:
    """Return how often a sample with signs drawn at random has a mean as far from 0, among `RESAMPLES` draws.

    The null model of differences in pairs: which of the two is which does not matter, as where groups are permuted
    among inputs. The draws are seeded, the sample itself counts as one of them. Sums are rounded once, so that two
    that are equal count as equal in every order. NaN for an empty sample, or values that are not finite.

    References
    ----------
    Fisher 1935, The design of experiments, section 21.

    Examples
    --------
    >>> sign_flips(np.array([1.0, -1.0])), sign_flips(np.ones(30))
    (1.0, 0.0001)
    """
    values = np.asarray(sample, dtype=np.float64)
    if not values.size or not np.isfinite(values).all():
        return float("nan")
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(RESAMPLES, len(values)))
    own, sums = abs(fsum(values)), [abs(fsum(row)) for row in signs * values]
    return float((1 + sum(one >= own for one in sums)) / (1 + RESAMPLES))
