r"""What estimates with intervals decide: the statistics behind claims at level SAMPLED.

An effect is a contrast, the logarithm of a ratio that is 0 where there is no effect. A claim "the effect is there"
is decided against `LEAST`, not against 0: with enough samples everything differs from 0 a little. HOLDS if the
interval lies above, FAILS if it lies below, UNDECIDED if it contains it. A claim of several effects holds if all
are there, and fails if one is not. The intervals are those of `polygeom.lens.estimates`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from polygeom.claims.verdict import Outcome
from polygeom.lens.estimates import CONFIDENCE, Estimate, binomial, bootstrapped

__all__ = ["CONFIDENCE", "LEAST", "Estimate", "binomial", "bootstrapped", "is_there", "together"]

LEAST = float(np.log(1.05))
"""An effect of less than five percent counts as none."""


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
