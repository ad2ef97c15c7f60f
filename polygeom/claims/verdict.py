"""What judging a claim returns: an outcome, the level it earned, and a witness that anyone can re-check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from math import isfinite
from types import MappingProxyType

import numpy as np

from polygeom.certificates import Check, Level
from polygeom.certificates.check import PROVED, REFUTED
from polygeom.errors import InputError

__all__ = ["Outcome", "Verdict", "Witness", "fails", "holds", "not_applicable", "undecided"]


class Outcome(Enum):
    """What became of a claim on an instance."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Witness:
    """What a verdict rests on: data, and the rule that reads nothing else and needs no solver.

    Parameters
    ----------
    data : mapping of str to object
        Arrays, rationals, certificates, networks.
    rule : callable
        ``rule(**data)`` returns a `Check`.
    points : (N, n) array, optional
        Where it happens, to be drawn.

    Examples
    --------
    >>> from polygeom.certificates.check import PROVED, REFUTED
    >>> def three_squared(root):
    ...     return PROVED if root * root == 9 else REFUTED
    >>> bool(Witness({"root": -3}, three_squared).holds())
    True
    >>> bool(Witness({"root": 4}, three_squared).holds())
    False
    """

    data: Mapping[str, object]
    rule: Callable[..., Check]
    points: np.ndarray | None = None

    def holds(self) -> Check:
        """Check the data again."""
        return self.rule(**self.data)

    @property
    def opposite(self) -> Witness:
        """The witness of the opposite: the same data, proved to break the rule. For claims that fail."""
        return replace(self, rule=partial(_is_refuted, self.rule))


def _is_refuted(rule: Callable[..., Check], **data: object) -> Check:
    """Check that data is refuted by a rule, exactly."""
    check = rule(**data)
    return PROVED if not check and check.level is Level.EXACT else REFUTED


@dataclass(frozen=True)
class Verdict:
    """The answer of a claim.

    Attributes
    ----------
    outcome : Outcome
    level : Level or None
        How strong the answer is; None where there is none (UNDECIDED, NOT_APPLICABLE).
    text : str
        What was found, in a sentence or two with its numbers.
    witness : Witness or None
        What proves the outcome, or the counterexample; None where the text is a reason.
    numbers : mapping of str to number
        What the text quotes, and more.
    seconds : float
        Wall-clock time.
    claim : str
        The claim's id; these two and the next are filled in by `polygeom.verify`.
    expected : Outcome or None
        What theory expects on a network whose name is known.
    error : str or None
        Set where the claim itself failed: it raised, or returned something else than a verdict.

    Examples
    --------
    >>> verdict = holds(Level.EXACT, "All 7 regions are cones.", regions=7)
    >>> verdict.outcome, verdict.as_expected
    (<Outcome.HOLDS: 'holds'>, True)
    """

    outcome: Outcome
    level: Level | None
    text: str
    witness: Witness | None = None
    numbers: Mapping[str, object] = field(default_factory=dict)
    seconds: float = 0.0
    claim: str = ""
    expected: Outcome | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        answered = self.outcome in (Outcome.HOLDS, Outcome.FAILS)
        if answered != (self.level is not None):
            raise InputError(
                f"A verdict {self.outcome.value!r} got level {self.level}. HOLDS and FAILS need a level, "
                "UNDECIDED and NOT_APPLICABLE have none."
            )
        object.__setattr__(self, "numbers", MappingProxyType(dict(self.numbers)))

    @property
    def as_expected(self) -> bool:
        """Whether nothing went wrong: no error, and the outcome that theory expects, where it expects one."""
        return self.error is None and self.expected in (None, self.outcome)

    def check(self) -> Check:
        """Check the witness again, without a solver.

        Raises
        ------
        InputError
            If the verdict has no witness.
        """
        if self.witness is None:
            raise InputError(
                f"The verdict on {self.claim!r} is {self.outcome.value}: it rests on no witness."
            )
        return self.witness.holds()

    def __str__(self) -> str:
        level = f", {self.level.value}" if self.level else ""
        return f"{self.claim or 'claim'}: {self.outcome.value}{level}. {self.text}"

    def as_json(self) -> dict[str, object]:
        """Return the verdict as plain numbers and strings."""
        return {
            "claim": self.claim,
            "outcome": self.outcome.name,
            "level": self.level.name if self.level else None,
            "expected": self.expected.name if self.expected else None,
            "text": self.text,
            "numbers": {name: _plain(value) for name, value in self.numbers.items()},
            "seconds": self.seconds,
            "error": self.error,
        }


def _plain(value: object) -> object:
    """Return a value as JSON can hold it; rationals, infinities and nan as strings."""
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def holds(level: Level, text: str, witness: Witness | None = None, **numbers: object) -> Verdict:
    """Return the verdict of a claim that holds, at the level it earned.

    Examples
    --------
    >>> verdict = holds(Level.EXACT, "7 regions, as Zaslavsky counts.", regions=7)
    >>> verdict.outcome.value, verdict.level.value, verdict.numbers["regions"]
    ('holds', 'exact', 7)
    """
    return Verdict(Outcome.HOLDS, level, text, witness, numbers)


def fails(level: Level, text: str, witness: Witness | None = None, **numbers: object) -> Verdict:
    """Return the verdict of a claim that fails, with its counterexample.

    Examples
    --------
    >>> fails(Level.EXACT, "The cell of (1, 0) is no cone.").outcome.value
    'fails'
    """
    return Verdict(Outcome.FAILS, level, text, witness, numbers)


def undecided(text: str, **numbers: object) -> Verdict:
    """Return the verdict of a claim that nothing decided, and why.

    Examples
    --------
    >>> undecided("3 letters are closer to 0 than their rounding errors.").level is None
    True
    """
    return Verdict(Outcome.UNDECIDED, None, text, None, numbers)


def not_applicable(text: str, **numbers: object) -> Verdict:
    """Return the verdict of a claim whose hypothesis is not met, and which.

    Examples
    --------
    >>> not_applicable("There are biases.").outcome.value
    'not applicable'
    """
    return Verdict(Outcome.NOT_APPLICABLE, None, text, None, numbers)
