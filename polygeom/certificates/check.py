"""What checking a proof returns: whether it holds, at which level, with which residual."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Check", "Level"]


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
