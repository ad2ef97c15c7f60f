"""What sizes a toy can have."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from polygeom.errors import InputError

__all__ = ["at_least", "layer_sizes"]


def at_least(least: int, number: int, name: str) -> int:
    """Return a size that is large enough.

    Raises
    ------
    InputError
        If it is not.

    Examples
    --------
    >>> at_least(1, 3, "dim")
    3
    """
    if number < least:
        raise InputError(f"{name} is {number}, wanted at least {least}.")
    return number


def layer_sizes(widths: Sequence[int]) -> list[tuple[int, int]]:
    """Return (inputs, outputs) of every layer.

    Raises
    ------
    InputError
        If there are fewer than two widths, or one is below 1.

    Examples
    --------
    >>> layer_sizes([2, 8, 1])
    [(2, 8), (8, 1)]
    """
    if len(widths) < 2 or min(widths) < 1:
        raise InputError(
            f"widths are {tuple(widths)}; wanted input, hidden and output sizes, all at least 1."
        )
    return list(pairwise(widths))
