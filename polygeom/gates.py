"""The gates a network is made of: piecewise-linear units and maxima, affine once their letters are known.

Arrays are batches ``(N, *shape)``. Every entry of a gate's output is a unit, one column of the spline code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from polygeom.errors import InputError
from polygeom.steps import Step

__all__ = ["Elementwise", "Gate", "MaxGate", "elementwise_gate"]


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
    """

    breakpoints: np.ndarray
    slopes: np.ndarray
    offsets: np.ndarray
    name: str = "relu"

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

    def window(self, x: np.ndarray, fill: float) -> np.ndarray:
        """Return the windows (N, size, k) of (N, *input shape), with `fill` in the padding."""
        flat = x.reshape(len(x), -1)
        return np.where(self.valid, flat[:, np.maximum(self.index, 0)], fill)

    def read(self, x: np.ndarray) -> np.ndarray:
        """Return the letters (N, *shape) of float inputs (N, *input shape)."""
        return self.window(x, -np.inf).argmax(axis=2).astype(self.letter_dtype).reshape(len(x), *self.shape)

    def winners(self, letters: np.ndarray) -> np.ndarray:
        """Return the flat input positions (N, size) that letters (N, *shape) choose."""
        chosen = letters.reshape(len(letters), -1).astype(np.intp)
        return self.index[np.arange(self.size)[None], chosen]


def elementwise_gate(name: str, *parameters: object) -> dict[str, object]:
    """Return name, breakpoints, slopes and offsets of a named unit, for `Elementwise`.

    Parameters
    ----------
    name : {"relu", "leaky_relu", "prelu", "abs", "clamp", "relu6", "hardtanh", "identity"}
    *parameters
        The slope of a leaky or parametric unit (number or array over channels, shaped to broadcast);
        the bounds (low, high) of clamp, each a number, an array or None for no bound.

    Raises
    ------
    InputError
        On an unknown name or bounds in the wrong order.
    """
    if name == "relu6":
        name, parameters = "clamp", (0.0, 6.0)
    elif name == "hardtanh":
        name, parameters = "clamp", parameters or (-1.0, 1.0)
    if name == "clamp":
        return _clamp(*parameters)
    negative = {"relu": 0.0, "abs": -1.0}.get(name)
    if name in ("leaky_relu", "prelu"):
        negative = parameters[0] if parameters else 0.01
    if negative is None:
        raise InputError(
            f"Unknown activation {name!r}; wanted relu, leaky_relu, prelu, abs, relu6, hardtanh or clamp."
        )
    low = np.asarray(negative, dtype=np.float64)
    return {
        "name": name,
        "breakpoints": np.zeros((1, *(1,) * low.ndim)),
        "slopes": np.stack([low, np.ones_like(low)]),
        "offsets": np.zeros((2, *(1,) * low.ndim)),
    }


def _clamp(low: object, high: object) -> dict[str, object]:
    """Return the gate min(max(z, low), high); a bound of None is absent."""
    bounds = [np.asarray(v, dtype=np.float64) for v in (low, high) if v is not None]
    if not bounds:
        raise InputError("clamp needs at least one bound.")
    if len(bounds) == 2 and not (bounds[0] <= bounds[1]).all():
        raise InputError(f"clamp bounds are in the wrong order: low {low}, high {high}.")
    bounds = list(np.broadcast_arrays(*bounds))
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
