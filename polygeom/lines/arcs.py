r"""Great-circle arcs through one layer: where all units flip, in closed form.

LayerNorm puts the inputs of a layer on a sphere; what joins two of them there is an arc

.. math:: w(\theta) = \cos\theta\, u + \sin\theta\, p, \qquad 0 \le \theta \le \angle(u, v),

with p orthogonal to u, in the plane of u and v, :math:`|p| = |u|`. On it a pre-activation, less its breakpoint, is
:math:`z = a \cos\theta + c \sin\theta + h`, and in :math:`\tau = \tan(\theta/2)`, which grows with :math:`\theta`,

.. math:: q(\tau) = (1 + \tau^2)\, z = \alpha \tau^2 + 2 c \tau + \beta, \qquad \alpha = h - a,\ \beta = h + a.

Floats decide as follows, everything else goes to `polygeom.lines.exact_arcs`.

Coefficients: p is e (exact) times :math:`\rho` (a ball of 128 bits), rounded once, so within gamma(4) of itself; a
and c are inner products of length n (`dot_error`), c with the error of p added. h is one subtraction.

Crossings: let s be the sign of z at the start. Where it is the opposite at the end, there is exactly one crossing;
else there are none or two (`exact_arcs`). With :math:`w = \sqrt{c^2 - \alpha\beta}` the one that leaves s is
:math:`\tau = \beta / (s w - c) = -(c + s w) / \alpha`, the one that returns the same with -s for s. However they
were computed, an interval of :math:`\tau` inside the arc counts only if q has opposite signs at its two ends,
beyond the error of evaluating it, by Horner's rule with at most five roundings per term:

.. math:: |\hat q - q| \le (\tau^2 E_\alpha + 2 \tau E_c + E_\beta) + \gamma_8 (\tau^2 |\alpha| + 2 \tau |c| +
          |\beta|) + 8 (1 + \tau) \mathrm{TINY}.

Two disjoint such intervals hold two crossings, and there are no more. None is proved by the sign of the derivative
at one end, or by :math:`|h| > \sqrt{a^2 + c^2}`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, cmp_to_key, partial
from itertools import pairwise
from typing import Protocol

import numpy as np

from polygeom.arrays import as_index, as_matrix, as_vector, freeze
from polygeom.errors import InputError
from polygeom.gates import Elementwise
from polygeom.lines.exact_arcs import (
    PRECISION,
    ExactArc,
    ExactCircle,
    ExactRoot,
    ExactUnit,
    float_bounds,
    order,
)
from polygeom.network import Network
from polygeom.rounding import TINY, U, dot_error, gamma, round_up
from polygeom.steps import Dense

__all__ = ["ArcCrossings", "RowsOnCircle", "arc_crossings", "crossings_of"]


@dataclass(frozen=True, eq=False)
class ArcCrossings:
    """All boundaries of a layer that a great-circle arc crosses, in order; all of it is proved.

    Attributes
    ----------
    start, tangent : (n,) arrays
        ``cos(theta) start + sin(theta) tangent`` is the point at angle theta; the tangent is rounded.
    angle : float
        Where the arc ends, in radians.
    theta : (m,) array
        Where the code changes, ascending, in radians.
    units : tuple of m integer arrays
        The units that flip there: several if they coincide.
    first_code : (n_units,) array
        The letters of the layer just behind the start.
    touch_theta, touch_units : arrays
        Places inside the arc where a unit's pre-activation reaches a breakpoint and turns back: no boundaries.
    at_ends : (array, array)
        Units whose pre-activation is on a breakpoint exactly at the start, and at the end.
    lying_on : array
        Units whose pre-activation stays on a breakpoint all along the circle.
    """

    start: np.ndarray
    tangent: np.ndarray
    angle: float
    theta: np.ndarray
    units: tuple[np.ndarray, ...]
    first_code: np.ndarray
    touch_theta: np.ndarray
    touch_units: np.ndarray
    at_ends: tuple[np.ndarray, np.ndarray]
    lying_on: np.ndarray
    _changes: tuple[np.ndarray, ...] = field(repr=False)
    _half_tangents: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.theta)

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yield angle and units of every boundary."""
        return zip(self.theta.tolist(), self.units, strict=True)

    def __repr__(self) -> str:
        flipping = len(np.unique(np.concatenate([np.zeros(0, dtype=np.intp), *self.units])))
        touches = f", {len(self.touch_theta)} touches" if len(self.touch_theta) else ""
        return (
            f"ArcCrossings({len(self)} boundaries, {self.n_flips} flips of {flipping} units on "
            f"{self.angle:.4g} rad{touches}, exact)"
        )

    @property
    def n_flips(self) -> int:
        """Number of unit flips."""
        return sum(map(len, self.units))

    @cached_property
    def bounds(self) -> np.ndarray:
        """Numbers (m, 2) between which `theta` and the exact angle lie. Cost: two balls per boundary."""
        import flint

        ends = (
            (float_bounds(2 * flint.arb(low).atan())[0], float_bounds(2 * flint.arb(high).atan())[1])
            for low, high in self._half_tangents.tolist()
        )
        low, high = np.array(list(ends)).reshape(-1, 2).T
        return freeze(np.stack([np.minimum(low, self.theta), np.maximum(high, self.theta)], axis=1))

    def point(self, theta: object) -> np.ndarray:
        """Return the points at angles () or (N,), rounded: (n,) or (N, n)."""
        angle = np.asarray(theta, dtype=np.float64)[..., None]
        return np.cos(angle) * self.start + np.sin(angle) * self.tangent

    def code(self, i: int) -> np.ndarray:
        """Return the letters (n_units,) on piece i, between boundaries i - 1 and i."""
        code, end = self.first_code.astype(np.int64), as_index(i, len(self) + 1, "piece")
        for units, change in zip(self.units[:end], self._changes[:end], strict=True):
            code[units] += change
        return code.astype(self.first_code.dtype)


def arc_crossings(layer: Network | tuple[object, object], u: object, v: object) -> ArcCrossings:
    """Return where the units of a layer flip on the great-circle arc from u towards v, exactly.

    The arc lies on the sphere through u about the origin and ends in the direction of v: at v itself if both have
    one length, as outputs of a LayerNorm without gain and bias do but for rounding; else at v scaled to the length
    of u. The whole circle is four such arcs, between u, v, -u and -v.

    Parameters
    ----------
    layer : Network, or pair of (W, b)
        A network that begins with a dense layer and its gate, of which only these are looked at; or weights
        (m, n) and biases (m,) of a layer of m ReLUs (fold gain and bias of a LayerNorm into them).
    u, v : (n,) arrays

    Raises
    ------
    InputError
        If u or v is zero, they are multiples of each other, on wrong shapes, NaN or infinities, or if the network
        begins with something else.

    Notes
    -----
    A boundary is a place inside the arc where the code changes; ends, touches, and units that stay on their
    breakpoint are reported apart. A unit crosses a breakpoint at most twice on a circle. Cost: a few products of
    W with three vectors; rationals for units within rounding of a doubt, for which no order stays open.

    Examples
    --------
    >>> arc = arc_crossings(([[1, 0], [0, 1], [1, 1]], [-0.5, 0, -1]), [1, 0], [0, 2])
    >>> arc.theta / np.pi, arc.units, arc.at_ends
    (array([0.33333333]), (array([0]),), (array([1, 2]), array([2])))
    >>> arc
    ArcCrossings(1 boundaries, 1 flips of 1 units on 1.571 rad, exact)
    """
    W, b, levels, dtype = _rows(layer)
    u, v = as_vector(u, "u", W.shape[1]), as_vector(v, "v", W.shape[1])
    return crossings_of(_LayerOnArc(W, b, levels, ExactArc(u, v), u), dtype)


class RowsOnCircle(Protocol):
    """Rows (breakpoints of units) on a circle: row r is breakpoint r // m of unit r % m.

    Attributes
    ----------
    circle : ExactCircle
    shape : (int, int)
        Breakpoints of a unit, and units.
    start, tangent : (n,) arrays
        What `ArcCrossings` makes points of.
    """

    circle: ExactCircle
    shape: tuple[int, int]
    start: np.ndarray
    tangent: np.ndarray

    def coefficients(self) -> tuple[np.ndarray, np.ndarray]:
        """Return a, c, h of ``z = a cos + c sin + h`` for all rows, and bounds on their errors, each (3, rows)."""

    def unit(self, row: int) -> ExactUnit:
        """Return one row in rationals."""


def crossings_of(rows: RowsOnCircle, dtype: np.dtype) -> ArcCrossings:
    """Return where rows on a circle vanish between its ends, for letters of this type (`arc_crossings`)."""
    return _Search(rows).crossings(dtype)


def _rows(layer: object) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.dtype]:
    """Return weights (m, n), biases (m,), breakpoints (k, m) and the type of letters of a layer."""
    if not isinstance(layer, Network):
        if not isinstance(layer, tuple | list) or len(layer) != 2:
            raise InputError(f"layer is a {type(layer).__name__}, wanted a Network or a pair (W, b).")
        W = as_matrix(layer[0], "W")
        b = np.zeros(len(W)) if layer[1] is None else as_vector(layer[1], "b", len(W))
        return W, b, np.zeros((1, len(W))), np.dtype(np.uint8)
    first, gate = (*layer.steps[:2], None, None)[:2]
    begins = isinstance(first, Dense) and first.inputs == (0,) and len(first.shape) == 1
    if not (begins and isinstance(gate, Elementwise) and gate.inputs == (1,)):
        kinds = ", ".join(type(step).__name__ for step in layer.steps[:2]) or "nothing"
        raise InputError(
            f"The network begins with {kinds}, wanted a dense layer and its elementwise gate. Cut it there with "
            "start=, or give the layer's (W, b)."
        )
    b = np.zeros(first.size) if first.constant is None else np.broadcast_to(first.constant, first.shape)
    levels = gate.table(gate.breakpoints).reshape(len(gate.breakpoints), -1)
    return first.weight, b, levels, gate.letter_dtype


@dataclass(frozen=True, eq=False)
class _Places:
    """Crossings of rows (breakpoints of units): intervals of tan(theta / 2), rows, and whether they go up."""

    half: np.ndarray
    low: np.ndarray
    high: np.ndarray
    row: np.ndarray
    up: np.ndarray
    which: np.ndarray

    @classmethod
    def joined(cls, parts: list[_Places]) -> _Places:
        names = cls.__dataclass_fields__
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class _LayerOnArc:
    """The rows of a layer of floats on the arc between two vectors of floats (`RowsOnCircle`)."""

    def __init__(
        self, W: np.ndarray, b: np.ndarray, levels: np.ndarray, circle: ExactArc, start: np.ndarray
    ) -> None:
        self._W, self._b, self._levels, self.circle = W, b, levels, circle
        self.shape = levels.shape
        self.start, self.tangent = start, freeze(circle.tangent())

    def coefficients(self) -> tuple[np.ndarray, np.ndarray]:
        """Return a, c, h and their bounds (module docstring)."""
        n, p, k = len(self.start), self.tangent, len(self._levels)
        a, c = (self._W @ np.stack([self.start, p], axis=1)).T
        sizes = np.stack([np.abs(self.start), np.abs(p), gamma(4) * np.abs(p) + TINY], axis=1)
        of_a, of_c, of_p = (np.abs(self._W) @ sizes).T
        h = (self._b - self._levels).ravel()
        lost = np.where(self._levels.ravel() == 0, 0.0, U * np.abs(h))
        errors = dot_error(of_a, n), round_up(dot_error(of_c, n) + of_p, n + 4)
        return np.stack([*np.tile([a, c], k), h]), np.stack([*np.tile(errors, k), lost])

    def unit(self, row: int) -> ExactUnit:
        """Return one row in rationals."""
        side, column = divmod(row, len(self._b))
        return self.circle.unit(self._W[column], float(self._b[column]), float(self._levels[side, column]))


class _Search:
    """All rows on one arc."""

    def __init__(self, rows: RowsOnCircle) -> None:
        self._rows, self._arc, self._shape = rows, rows.circle, rows.shape
        self._near = np.zeros(rows.shape[0] * rows.shape[1], dtype=np.intp)
        self._touches: list[tuple[float, int]] = []
        self._ends: tuple[list[int], list[int]] = ([], [])
        self._lying: list[int] = []
        self._exact: dict[tuple[int, int], ExactRoot] = {}

    def crossings(self, dtype: np.dtype) -> ArcCrossings:
        """Return everything on the arc."""
        with np.errstate(all="ignore"):  # what overflows is certain of nothing
            found, open_ = self._by_floats()
        places = _Places.joined([found, *(self._by_rationals(int(row)) for row in open_)])
        boundary, places = self._ordered(places)
        m = self._shape[1]
        starts = np.flatnonzero(np.diff(boundary, prepend=-1))
        flips, number = np.unique(boundary * m + places.row % m, return_inverse=True)
        change = np.bincount(number, weights=2 * places.up - 1).astype(np.int64)
        ends = (
            np.flatnonzero(np.diff(flips // m, prepend=-1, append=-1)) if len(flips) else np.zeros(1, np.intp)
        )
        spans = list(pairwise(ends.tolist()))  # np.split takes longer than all products
        units, changes = (tuple(x[i:j] for i, j in spans) for x in (freeze(flips % m), freeze(change)))
        touches = sorted(self._touches)
        return ArcCrossings(
            self._rows.start,
            self._rows.tangent,
            float(self._arc.angle(PRECISION)),
            freeze(np.maximum.accumulate(2 * np.arctan(places.half[starts]))),
            units,
            freeze((self._near.reshape(self._shape) > 0).sum(axis=0).astype(dtype)),
            freeze(np.array([t for t, _ in touches])),
            freeze(np.array([r % m for _, r in touches], dtype=np.intp)),
            tuple(freeze(np.unique(np.array(rows, dtype=np.intp) % m)) for rows in self._ends),
            freeze(np.unique(np.array(self._lying, dtype=np.intp) % m)),
            changes,
            np.stack([places.low[starts], places.high[starts]], axis=1),
        )

    # -- floats ----------------------------------------------------------------------------------------------

    def _by_floats(self) -> tuple[_Places, np.ndarray]:
        """Return the crossings that floats prove, and the rows that they leave open."""
        (a, c, h), (Ea, Ec, Eh) = values, errors = self._rows.coefficients()
        cosine, sine = map(float, self._arc.cosine_and_sine(PRECISION))
        first = _sign(a + h, Ea + Eh + U * np.abs(a + h))
        last = _sign_of_sum(values, errors, (cosine, sine, 1.0))
        climbs = _sign(c, Ec) == first
        sinks = _sign_of_sum(values, errors, (-sine, cosine, 0.0)) == -first
        steady = np.maximum(np.abs(h) - Eh, 0.0) ** 2 * (1 - gamma(8)) > (
            ((np.abs(a) + Ea) ** 2 + (np.abs(c) + Ec) ** 2) * (1 + gamma(8)) + 8 * TINY
        )
        self._near = first.copy()
        sure = (first != 0) & (last != 0)
        once = sure & (first != last)
        never = sure & (first == last) & (climbs | sinks | steady)
        twice = sure & ~once & ~never
        rows = np.flatnonzero(once | twice)
        leaving, left = self._enclosed(values[:, rows], errors[:, rows], first[rows], rows, 0)
        again = np.flatnonzero(twice[rows])
        back, came = self._enclosed(
            values[:, rows[again]], errors[:, rows[again]], -first[rows[again]], rows[again], 1
        )
        came &= left[again] & (leaving.high[again] < back.low)
        proved = left & once[rows]
        proved[again[came]] = True
        open_ = np.union1d(np.flatnonzero(~sure), rows[~proved])
        return _Places.joined([_chosen(leaving, proved), _chosen(back, came)]), open_

    def _enclosed(
        self, values: np.ndarray, errors: np.ndarray, sign: np.ndarray, rows: np.ndarray, which: int
    ) -> tuple[_Places, np.ndarray]:
        """Return intervals around the crossings that leave a sign, and which of them are proved."""
        (a, c, h), (Ea, Ec, Eh) = values, errors
        alpha, beta = h - a, h + a
        Ealpha, Ebeta = Ea + Eh + U * np.abs(alpha), Ea + Eh + U * np.abs(beta)
        width = np.sqrt(np.maximum(c * c - alpha * beta, 0.0))
        half = np.where(c * sign < 0, beta / (sign * width - c), (-c - sign * width) / alpha)

        def parabola(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            size = (np.abs(alpha) * t + 2 * np.abs(c)) * t + np.abs(beta)
            spread = (Ealpha * t + 2 * Ec) * t + Ebeta
            bound = round_up(spread + gamma(8) * size + 8 * TINY * (1 + t), 8)
            return (alpha * t + 2 * c) * t + beta, bound

        reach = parabola(half)[1] / width + 4 * U * half
        low, high = half - reach, half + reach
        end = float_bounds(self._arc.end(PRECISION))[0]
        before, after = _sign(*parabola(low)), _sign(*parabola(high))
        proved = (low > 0) & (high < end) & (before == sign) & (after == -sign)
        return _Places(half, low, high, rows, sign < 0, np.full(len(rows), which)), proved

    # -- rationals -------------------------------------------------------------------------------------------

    def _by_rationals(self, row: int) -> _Places:
        """Return the crossings of a row; note touches, ends, and whether it lies on its breakpoint."""
        unit = self._rows.unit(row)
        self._near[row] = unit.near_ends[0]
        if unit.is_zero:
            self._lying.append(row)
        else:
            for place, sign in zip(self._ends, unit.at_ends, strict=True):
                if sign == 0:
                    place.append(row)
        if unit.touches:
            self._touches.append((float(2 * unit.touch().ball(PRECISION).atan()), row))
        roots = unit.inside()
        self._exact.update({(row, which): root for which, root in enumerate(roots)})
        balls = [root.ball(PRECISION) for root in roots]
        bounds = np.array([float_bounds(ball) for ball in balls]).reshape(-1, 2)
        up = np.array([unit.near_ends[0] < 0, unit.near_ends[0] > 0][: len(roots)], dtype=bool)
        middles = np.array([float(ball.mid()) for ball in balls])
        low, high = bounds.T
        return _Places(middles, low, high, np.full(len(roots), row), up, np.arange(len(roots)))

    def _compared(self, places: _Places, i: int, j: int) -> int:
        """Return the order of two crossings, exactly."""
        roots = []
        for k in (i, j):
            name = int(places.row[k]), int(places.which[k])
            if name not in self._exact:
                self._by_rationals(name[0])
            roots.append(self._exact[name])
        return order(*roots)

    def _ordered(self, places: _Places) -> tuple[np.ndarray, _Places]:
        """Return the number of the boundary that each crossing belongs to, and the crossings in order."""
        index = np.argsort(places.half, kind="stable")
        # a wide interval may reach back over narrow ones, so all that follow a cut must lie behind it
        reached = np.maximum.accumulate(places.high[index])
        awaited = np.minimum.accumulate(places.low[index][::-1])[::-1]
        new = np.append(True, awaited[1:] > reached[:-1])[: len(index)]
        compare = partial(self._compared, places)
        for first, last in pairwise([*np.flatnonzero(new).tolist(), len(index)]):
            if last - first > 1:
                ranked = sorted(index[first:last].tolist(), key=cmp_to_key(compare))
                index[first:last] = ranked
                new[first + 1 : last] = [compare(i, j) != 0 for i, j in pairwise(ranked)]
        return np.cumsum(new) - 1, _chosen(places, index)


def _chosen(places: _Places, index: np.ndarray) -> _Places:
    return _Places(*(getattr(places, name)[index] for name in _Places.__dataclass_fields__))


def _sign(value: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return the signs of numbers known within errors, 0 where they are not certain."""
    return np.where(np.abs(value) > error, np.sign(value), 0.0).astype(np.intp)


def _sign_of_sum(values: np.ndarray, errors: np.ndarray, factors: tuple[float, float, float]) -> np.ndarray:
    """Return the signs of f a + g c + k h, each factor within two units in the last place, or TINY, of its own.

    A term takes one rounding for its product and four for its factor, two sums follow: gamma(8) of its size.
    """
    f = np.array(factors)[:, None]
    total = (f * values).sum(axis=0)
    size = (np.abs(f) * (errors + gamma(8) * np.abs(values)) + TINY * (np.abs(values) + 1)).sum(axis=0)
    return _sign(total, round_up(size, 8))
