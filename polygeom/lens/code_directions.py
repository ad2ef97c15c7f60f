"""A direction in spline-code space: a set of units with target letters.

To follow a direction from a code is to give these units these letters and keep all others. Following two of them
is defined if they agree where they overlap, and then the order does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polygeom.arrays import as_index, freeze
from polygeom.errors import InputError
from polygeom.lens.code_maps import unit_letters
from polygeom.lens.saved import Saved
from polygeom.network import Network, as_network

__all__ = ["CodeDirection", "Direction", "UnitFlip", "as_direction", "unit_flips"]


@dataclass(frozen=True, eq=False)
class CodeDirection(Saved):
    """Units and the letters they get.

    Parameters
    ----------
    units : (k,) integer array
        Columns of the code, each once; sorted here.
    letters : (k,) integer array

    Raises
    ------
    InputError
        If units or letters are no whole numbers from 0 on, a unit is named twice, or their numbers differ.

    Examples
    --------
    >>> U, V = CodeDirection([0, 2], [1, 1]), CodeDirection([2, 3], [1, 0])
    >>> U.follow(np.array([0, 0, 0, 1], dtype=np.uint8))
    array([1, 0, 1, 1], dtype=uint8)
    >>> U.agrees(V), U.union(V), U.agrees(CodeDirection([2], [0]))
    (True, CodeDirection(0:1 2:1 3:0), False)
    """

    units: np.ndarray
    letters: np.ndarray

    def __post_init__(self) -> None:
        units, letters = (_whole(getattr(self, name), name) for name in ("units", "letters"))
        if len(units) != len(letters):
            raise InputError(
                f"A direction got {len(units)} units and {len(letters)} letters, wanted as many."
            )
        if len(np.unique(units)) < len(units):
            raise InputError("A direction names a unit twice; wanted one target letter for each unit.")
        order = np.argsort(units)
        object.__setattr__(self, "units", freeze(units[order]))
        object.__setattr__(self, "letters", freeze(letters[order]))

    def __repr__(self) -> str:
        pairs = (f"{u}:{t}" for u, t in zip(self.units, self.letters, strict=True))
        return f"CodeDirection({' '.join(pairs)})"

    def __len__(self) -> int:
        return len(self.units)

    def follow(self, codes: np.ndarray) -> np.ndarray:
        """Return codes (..., n_units) with these letters at these units."""
        wide = np.min_scalar_type(self.letters.max(initial=0))
        moved = np.array(
            codes, dtype=np.result_type(codes, wide)
        )  # a letter that does not fit would wrap around
        moved[..., self.units] = self.letters
        return moved

    def shared(self, other: CodeDirection) -> np.ndarray:
        """Return the units that both name."""
        return np.intersect1d(self.units, other.units, assume_unique=True)

    def agrees(self, other: CodeDirection) -> bool:
        """Tell whether both give the same letters to the units that both name."""
        both = self.shared(other)
        own, others = (d.letters[np.isin(d.units, both)] for d in (self, other))
        return bool(np.array_equal(own, others))

    def union(self, other: CodeDirection) -> CodeDirection:
        """Return the direction that does what both do.

        Raises
        ------
        InputError
            If they do not agree.
        """
        if not self.agrees(other):
            raise InputError(f"{self} and {other} want different letters of one unit: nothing does both.")
        new = ~np.isin(other.units, self.units)
        return CodeDirection(
            np.concatenate([self.units, other.units[new]]), np.concatenate([self.letters, other.letters[new]])
        )


def _whole(value: object, name: str) -> np.ndarray:
    """Return whole numbers from 0 on, in one axis."""
    found = np.asarray(value).reshape(-1)
    if found.size and (found.dtype.kind not in "iub" or (found < 0).any()):
        raise InputError(f"{name} of a direction are {value!r}, wanted whole numbers from 0 on.")
    return found.astype(np.intp)


@dataclass(frozen=True)
class UnitFlip:
    """One unit that takes its next letter, and the first one after the last: a ReLU goes on or off.

    Unlike a `CodeDirection` it has an effect from every code.

    Attributes
    ----------
    unit : int
    letters : tuple of int
        The letters the unit can have, ascending.

    Examples
    --------
    >>> UnitFlip(1, (0, 1)).follow(np.array([[0, 1], [0, 0]], dtype=np.uint8))
    array([[0, 0],
           [0, 1]], dtype=uint8)
    """

    unit: int
    letters: tuple[int, ...]

    @property
    def units(self) -> np.ndarray:
        """The unit, as an array."""
        return np.array([self.unit])

    def follow(self, codes: np.ndarray) -> np.ndarray:
        """Return codes (..., n_units) with this unit flipped."""
        moved = np.array(codes)
        place = np.searchsorted(self.letters, moved[..., self.unit])
        moved[..., self.unit] = np.array(self.letters)[(place + 1) % len(self.letters)]
        return moved

    def agrees(self, other: UnitFlip) -> bool:
        """Tell whether these are flips of two units."""
        return self.unit != other.unit


def unit_flips(net: Network, units: Sequence[int] | None = None) -> tuple[UnitFlip, ...]:
    """Return the flips of some units, of all by default.

    Raises
    ------
    InputError
        If there is no such unit.

    Examples
    --------
    >>> unit_flips(Network.from_layers([([[1], [2]], None), ([[1, 1]], None)]))
    (UnitFlip(unit=0, letters=(0, 1)), UnitFlip(unit=1, letters=(0, 1)))
    """
    as_network(net)
    letters = unit_letters(net)
    chosen = range(net.n_units) if units is None else [as_index(u, net.n_units, "unit") for u in units]
    return tuple(UnitFlip(u, letters[u]) for u in chosen)


Direction = CodeDirection | UnitFlip


def as_direction(net: Network, value: object) -> Direction:
    """Return a direction of a network's codes.

    Raises
    ------
    InputError
        If it is none, or has units that the network has not.
    """
    if not isinstance(value, Direction):
        raise InputError(
            f"A direction is a {type(value).__name__}, wanted a CodeDirection or a UnitFlip. Remedy: "
            "unit_flips(net), or the directions() of a DirectionFit."
        )
    for unit in value.units.tolist():
        as_index(unit, net.n_units, "unit")
    return value
