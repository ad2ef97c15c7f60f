"""Plain records of what happens on a line: flips, and what was found at one gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import flint

__all__ = ["Events", "Located"]


@dataclass(frozen=True, eq=False)
class Events:
    """Flips of units, as (F,) integer arrays: node, unit (a column of the code), letter before and after."""

    node: np.ndarray
    unit: np.ndarray
    before: np.ndarray
    after: np.ndarray

    def __getitem__(self, index: np.ndarray) -> Events:
        return Events(self.node[index], self.unit[index], self.before[index], self.after[index])

    def __len__(self) -> int:
        return len(self.node)

    @classmethod
    def joined(cls, parts: list[Events]) -> Events:
        """Return the flips of several lists, one after another."""
        none = cls(*(np.zeros(0, dtype=np.intp) for _ in range(4)))
        fields = ("node", "unit", "before", "after")
        return cls(*(np.concatenate([getattr(p, field) for p in (none, *parts)]) for field in fields))


@dataclass(frozen=True, eq=False)
class Located:
    """What was found at one gate.

    Attributes
    ----------
    letters : (K, size) array
        Letters where each piece begins.
    roots : (F, 3) array
        Places inside pieces, and intervals that hold them.
    owners : (F, 4) integer array
        Piece, unit, letter before and letter after.
    doubts : (D, 2) integer array
        Piece and unit where floats could not tell; empty once settled.
    exact : list
        Exact places of the last roots, where rationals found them.
    errors : (2, *input shape) array or None
        What is added to the error bounds of value and rate.
    """

    letters: np.ndarray
    roots: np.ndarray
    owners: np.ndarray
    doubts: np.ndarray
    exact: tuple[flint.fmpq, ...] = ()
    errors: np.ndarray | None = None
