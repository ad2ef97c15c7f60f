"""What estimates say of the predictions of the polytope lens, in words."""

from __future__ import annotations

from collections.abc import Sequence

from polygeom.claims.estimates import LEAST, Estimate, is_there
from polygeom.claims.verdict import Outcome

__all__ = ["FEWEST", "WORDS", "effect_table", "judged"]

WORDS = {Outcome.HOLDS: "supported", Outcome.FAILS: "not supported", Outcome.UNDECIDED: "undecided"}


FEWEST = 8
"""Of a sample: bootstrap intervals over fewer are far too short to decide anything."""


def judged(effect: Estimate, least: float = LEAST) -> str:
    """Return whether an effect of at least this size is supported by its interval."""
    return WORDS[is_there(effect, least) if effect.n >= FEWEST else Outcome.UNDECIDED]


def effect_table(title: str, lines: Sequence[Sequence[str]], headings: Sequence[str]) -> object:
    """Return a table to be printed."""
    from rich import box
    from rich.table import Table

    table = Table(*headings, title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for line in lines:
        table.add_row(*map(str, line))
    return table
