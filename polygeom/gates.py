"""The gates a network is made of: piecewise-linear units and maxima, affine once their letters are known.

Arrays are batches ``(N, *shape)``. Every entry of a gate's output is a unit, one column of the spline code.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from polygeom.arrays import as_array
from polygeom.errors import InputError
from polygeom.steps import Step

__all__ = ["Elementwise", "Gate", "MaxGate", "elementwise_gate"]

_PARAMETERS = {
    "relu": (0,),
    "leaky_relu": (0, 1),
    "prelu": (0, 1),
    "abs": (0,),
    "relu6": (0,),
    "hardtanh": (0, 2),
    "clamp": (2,),
}
"""Named units, and how many parameters each takes."""

_SLOPES = {"relu": 0.0, "leaky_relu": 0.01, "prelu": 0.01, "abs": -1.0}
"""Slopes below 0 where none is given."""

_BOUNDS = {"relu6": (0.0, 6.0), "hardtanh": (-1.0, 1.0)}
"""Bounds where none are given."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Gate(Step):
    """A step whose units choose one of finitely many affine pieces; each unit is one column of the code."""

    first_column: int = 0
    """Column of the first unit in the network's codes; the units follow in row-major order."""

    @property
    def columns(self) -> slice:
        """Columns of this gate's units."""
        return slice(self.first_column, self.first_column + self.size)

    @property
    def n_letters(self) -> int:
        """Number of letters a unit can take."""
        raise NotImplementedError

    @property
    def letter_dtype(self) -> np.dtype:
        """The smallest unsigned integer type that holds every letter."""
        return np.min_scalar_type(self.n_letters - 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Elementwise(Gate):
    r"""A continuous piecewise-linear function of one pre-activation.

    ``breakpoints`` (k, ...) ascending, ``slopes`` and ``offsets`` (k + 1, ...), broadcastable to `shape` after
    the first axis. The letter is the number of breakpoints strictly below the pre-activation; on letter j the
    output is ``slopes[j] * z + offsets[j]``.

    Raises
    ------
    InputError
        If the parameters do not broadcast to `shape`.
    """

    breakpoints: np.ndarray
    slopes: np.ndarray
    offsets: np.ndarray
    name: str = "relu"

    def __post_init__(self) -> None:
        for array in (self.breakpoints, self.slopes, self.offsets):
            own = array.shape[1:]
            fits = len(own) <= len(self.shape) and all(
                n in (1, m) for n, m in zip(own[::-1], self.shape[::-1], strict=False)
            )
            if not fits:
                where = f" in module '{self.path}'" if self.path else ""
                raise InputError(
                    f"The parameters of {self.name}{where} have shape {own}, wanted numbers or an array that "
                    f"broadcasts to the shape {self.shape} of the values that arrive."
                )

    @property
    def n_letters(self) -> int:
        return len(self.slopes)

    @property
    def is_homogeneous(self) -> bool:
        """Whether gate(t z) = t gate(z) for t > 0: the only breakpoint is 0 and no offset is left."""
        return not (self.breakpoints.any() or self.offsets.any())

    def table(self, array: np.ndarray) -> np.ndarray:
        """Return breakpoints, slopes or offsets broadcast to (pieces, *shape)."""
        return np.broadcast_to(
            array.reshape(len(array), *(1,) * (len(self.shape) - array.ndim + 1), *array.shape[1:]),
            (len(array), *self.shape),
        )

    def chosen(self, array: np.ndarray, letters: np.ndarray) -> np.ndarray:
        """Return the entries of slopes or offsets that letters (N, *shape) choose."""
        return np.take_along_axis(self.table(array)[None], letters[:, None].astype(np.intp), axis=1)[:, 0]

    def read(self, z: np.ndarray) -> np.ndarray:
        """Return the letters of float pre-activations (N, *shape)."""
        letters = np.zeros(z.shape, dtype=self.letter_dtype)
        for breakpoint_ in self.table(self.breakpoints):
            letters += z > breakpoint_
        return letters


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxGate(Gate):
    """The largest of a window of entries: max-pooling, maxout, maximum of two values.

    ``index`` (size, k) holds flat positions of the input, -1 for padding (never the maximum). The letter is the
    first maximal position of the window.
    """

    index: np.ndarray

    @property
    def n_letters(self) -> int:
        return self.index.shape[1]

    is_homogeneous: ClassVar[bool] = True

    @property
    def valid(self) -> np.ndarray:
        """Which window positions are not padding, (size, k)."""
        return self.index >= 0

    @cached_property
    def is_padded(self) -> bool:
        """Whether some window position is padding."""
        return bool((self.index < 0).any())

    def window(self, x: np.ndarray, fill: float) -> np.ndarray:
        """Return the windows (N, size, k) of (N, *input shape), with `fill` in the padding."""
        flat = x.reshape(len(x), int(np.prod(x.shape[1:], dtype=np.int64)))
        if not self.is_padded:
            return np.take(flat, self.index, axis=1)
        padding = np.full((len(x), 1), fill)  # index -1 finds it
        return np.take(np.concatenate([flat, padding], axis=1), self.index, axis=1)

    def read(self, x: np.ndarray) -> np.ndarray:
        """Return the letters (N, *shape) of float inputs (N, *input shape)."""
        return self.window(x, -np.inf).argmax(axis=2).astype(self.letter_dtype).reshape(len(x), *self.shape)

    def winners(self, letters: np.ndarray) -> np.ndarray:
        """Return the flat input positions (N, size) that letters (N, *shape) choose."""
        chosen = letters.reshape(len(letters), self.size).astype(np.intp)
        return self.index[np.arange(self.size)[None], chosen]

    def sources(
        self, winners: np.ndarray, source: np.ndarray | None, open_: np.ndarray | None = None
    ) -> np.ndarray:
        """Return numbers (N, size) of the maxima, equal where they are one entry.

        Parameters
        ----------
        winners : (N, size) array
            Flat input positions.
        source : (N, input size) or (1, input size) array or None
            Numbers of the input's entries; None: their positions.
        open_ : (N, ...) or (1, size) bool array, optional
            Whose winner is not certain: each such maximum has a number of its own.
        """
        if source is None:
            found = winners
        else:
            found = np.take_along_axis(
                np.broadcast_to(source, (len(winners), source.shape[1])), winners, axis=1
            )
        if open_ is None or not open_.any():
            return found
        own = found.max(initial=0) + 1 + np.arange(self.size)
        return np.where(open_.reshape(-1, self.size), own, found)


def elementwise_gate(name: str, *parameters: object) -> dict[str, object]:
    """Return name, breakpoints, slopes and offsets of a named unit, for `Elementwise`.

    Parameters
    ----------
    name : {"relu", "leaky_relu", "prelu", "abs", "clamp", "relu6", "hardtanh"}
    *parameters
        The slope of a leaky or parametric unit (number or array over channels, shaped to broadcast), 0.01 by
        default; the bounds (low, high) of clamp and, if not (-1, 1), of hardtanh, each a number, an array, or
        None or an infinity for no bound. The others take none.

    Raises
    ------
    InputError
        On an unknown name, a wrong number of parameters, parameters that are no finite numbers, or bounds in the
        wrong order.
    """
    if not isinstance(name, str) or name not in _PARAMETERS:
        raise InputError(f"Unknown activation {name!r}; wanted {', '.join(_PARAMETERS)}.")
    if len(parameters) not in _PARAMETERS[name]:
        wanted = " or ".join(map(str, _PARAMETERS[name]))
        raise InputError(f"{name} got {len(parameters)} parameters, wanted {wanted}.")
    if name in ("clamp", "relu6", "hardtanh"):
        return _clamp(*(parameters or _BOUNDS[name]))
    negative = _SLOPES[name] if not parameters else parameters[0]
    low = as_array(negative, f"the slope of {name}")
    return {
        "name": name,
        "breakpoints": np.zeros((1, *(1,) * low.ndim)),
        "slopes": np.stack([low, np.ones_like(low)]),
        "offsets": np.zeros((2, *(1,) * low.ndim)),
    }


def _clamp(low: object, high: object) -> dict[str, object]:
    """Return the gate min(max(z, low), high); a bound of None or infinity is absent."""
    low, high = _bound(low, "low", -np.inf), _bound(high, "high", np.inf)
    bounds = [bound for bound in (low, high) if bound is not None]
    if not bounds:
        raise InputError("clamp needs at least one bound that is finite.")
    try:
        bounds = list(np.broadcast_arrays(*bounds))
    except ValueError:
        shapes = " and ".join(str(bound.shape) for bound in bounds)
        raise InputError(f"clamp bounds have shapes {shapes}, wanted shapes that broadcast.") from None
    if len(bounds) == 2 and not (bounds[0] <= bounds[1]).all():
        raise InputError(f"clamp bounds are in the wrong order: low {low}, high {high}.")
    zero, one = np.zeros_like(bounds[0]), np.ones_like(bounds[0])
    slopes = [one] if low is None else [zero, one]
    offsets = [zero] if low is None else [bounds[0], zero]
    if high is not None:
        slopes, offsets = [*slopes, zero], [*offsets, bounds[-1]]
    return {
        "name": "clamp",
        "breakpoints": np.stack(bounds),
        "slopes": np.stack(slopes),
        "offsets": np.stack(offsets),
    }


def _bound(value: object, name: str, absent: float) -> np.ndarray | None:
    """Return a bound of clamp, None where it bounds nothing."""
    if value is None:
        return None
    everywhere = isinstance(value, float | np.floating | np.ndarray) and np.all(np.equal(value, absent))
    return None if everywhere else as_array(value, f"the bound {name} of clamp")
