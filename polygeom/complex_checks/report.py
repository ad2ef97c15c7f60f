"""What re-checking a complex returns: one check an item, with counts and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from polygeom.certificates import Check, Level
from polygeom.errors import InputError

__all__ = ["ComplexCheck", "Item", "Outcome", "not_applicable", "not_checked"]

_STRENGTH = (Level.EXACT, Level.CERTIFIED, Level.SAMPLED)


class Outcome(Enum):
    """What became of one item."""

    HOLDS = "holds"
    REFUTED = "refuted"
    OPEN = "open"
    NOT_APPLICABLE = "not applicable"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Item:
    """One thing that was checked.

    Attributes
    ----------
    name : str
    check : Check or None
        None where the item says nothing about this complex, or was left out.
    text : str
        What was found, in a sentence.
    counts : mapping of str to int
    applies : bool
        Whether the item says something about this complex.
    """

    name: str
    check: Check | None
    text: str
    counts: Mapping[str, int] = field(default_factory=dict)
    applies: bool = True

    @property
    def outcome(self) -> Outcome:
        """Whether the item holds, is refuted, stayed open, was left out, or does not apply."""
        if self.check is None:
            return Outcome.NOT_CHECKED if self.applies else Outcome.NOT_APPLICABLE
        if self.check:
            return Outcome.HOLDS
        return Outcome.REFUTED if self.check.level is Level.EXACT else Outcome.OPEN

    def __str__(self) -> str:
        level = f", {self.check.level.value}" if self.outcome is Outcome.HOLDS else ""
        return f"{self.name}: {self.outcome.value}{level}. {self.text}"


def not_applicable(name: str, reason: str) -> Item:
    """Return an item that says nothing about this complex, and why."""
    return Item(name, None, reason, applies=False)


def not_checked(name: str, reason: str) -> Item:
    """Return an item that would say something about this complex, but was left out, and why."""
    return Item(name, None, reason)


@dataclass(frozen=True)
class ComplexCheck:
    """The report of `check_complex`: true if nothing was refuted and nothing stayed open.

    Attributes
    ----------
    items : tuple of Item
        The last one is completeness, drawn from the others.
    """

    items: tuple[Item, ...]

    def __bool__(self) -> bool:
        return not self.refuted and not self.open

    def __getitem__(self, name: str) -> Item:
        for item in self.items:
            if item.name == name:
                return item
        raise InputError(f"There is no item {name!r}; wanted one of {', '.join(i.name for i in self.items)}.")

    @property
    def level(self) -> Level:
        """That of completeness, where it holds; else the weakest of what holds."""
        conclusion = self.items[-1]
        if conclusion.outcome is Outcome.HOLDS:
            return conclusion.check.level
        held = [i.check.level for i in self.items if i.outcome is Outcome.HOLDS]
        return max(held, key=_STRENGTH.index, default=Level.EXACT)

    @property
    def refuted(self) -> tuple[Item, ...]:
        """The items that are wrong."""
        return tuple(i for i in self.items if i.outcome is Outcome.REFUTED)

    @property
    def open(self) -> tuple[Item, ...]:
        """The items that were neither proved nor refuted."""
        return tuple(i for i in self.items if i.outcome is Outcome.OPEN)

    @property
    def text(self) -> str:
        """The whole story, an item a line."""
        if self.refuted:
            head = f"Refuted: {', '.join(i.name for i in self.refuted)}."
        elif self.open:
            head = f"Nothing refuted, but open: {', '.join(i.name for i in self.open)}."
        else:
            left_out = ", ".join(i.name for i in self.items if i.outcome is Outcome.NOT_CHECKED)
            but = f" (not checked: {left_out})" if left_out else ""
            head = f"Everything that applies holds{but}; completeness: {self.level.value}."
        return "\n".join([head, *map(str, self.items)])

    def __str__(self) -> str:
        return self.text
