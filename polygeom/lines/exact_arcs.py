r"""Arcs over the rationals: how often a unit flips on one, and in which order.

On the circle through u, with :math:`e = v - \frac{u \cdot v}{u \cdot u} u` and :math:`\rho = |u|/|e|`, the
pre-activation of a unit, less its breakpoint, is

.. math:: z(\theta) = a \cos\theta + \rho c \sin\theta + \sigma h, \qquad
          a = w \cdot u,\; c = w \cdot e

with a, c, h, :math:`\rho^2` and :math:`\sigma^2` rational; :math:`\sigma` is 1 unless the layer stands behind a
LayerNorm that moves u to another sphere. So the number of crossings is decided by signs of rationals:

- z changes its sign between the ends: one crossing;
- it does not, :math:`z > 0` near both (else look at -z): none, unless z falls at the start and rises at the end.
  Then the trough, at :math:`\sigma h - \sqrt{a^2 + \rho^2 c^2}`, lies between: two crossings if it is negative,
  a touch if 0. (On an arc shorter than :math:`\pi` the derivative, a sinusoid, vanishes at most once.)

In :math:`\tau = \tan(\theta/2)` crossings are roots of
:math:`(\sigma h - a)\tau^2 + 2 \rho c \tau + (\sigma h + a)`, which ball arithmetic encloses as narrowly as
wanted. Two that stay together are compared exactly: crossings of units with proportional (a, c, h) are roots of
one quadratic; others can only meet where two rational lines of the circle's plane do, in a rational point that
lies on the circle or not. Either way both places are then known to be roots of one quadratic, and the roots of one
quadratic part at some precision. So every order is decided.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from polygeom.errors import InputError, UndecidedError
from polygeom.exact import ScaledMatrix, rational

if TYPE_CHECKING:
    import flint

__all__ = ["PRECISION", "ExactArc", "ExactCircle", "ExactRoot", "ExactUnit", "float_bounds", "order"]

PRECISION = 128
"""Bits with which ball arithmetic starts; they double while a question is open."""

LARGEST_PRECISION = 2**24
"""Bits at which it gives up. Roots of quadratics over floats part long before."""

Answer = TypeVar("Answer")


class ExactCircle:
    """The arc from u towards v on the sphere through u, known by its Gram matrix.

    Parameters
    ----------
    uu, uv, vv : fmpq
        Inner products of u and v.
    height : fmpq
        The square of what multiplies the constants h (module docstring).

    Raises
    ------
    InputError
        If u or v is zero, or they are multiples of each other.
    """

    def __init__(self, uu: flint.fmpq, uv: flint.fmpq, vv: flint.fmpq, height: flint.fmpq) -> None:
        self.uu, self.uv, self.vv, self.height = uu, uv, vv, height
        if uu == 0 or vv == 0:
            raise InputError(f"{'u' if uu == 0 else 'v'} is the zero vector: it has no direction.")
        self.ee = vv - uv**2 / uu
        if self.ee == 0:
            side = "the same direction" if uv > 0 else "opposite directions"
            raise InputError(
                f"u and v point in {side}: no single great circle joins them. Give two vectors that are not "
                "multiples of each other (between opposite ends, go through a third one)."
            )
        self.stretch = uu / self.ee

    def rho(self, bits: int) -> flint.arb:
        """Return |u| / |e|."""
        return _root(self.stretch, bits)

    def sigma(self, bits: int) -> flint.arb:
        """Return what multiplies the constants."""
        return _root(self.height, bits)

    def angle(self, bits: int) -> flint.arb:
        """Return the length of the arc in radians, between 0 and pi."""
        import flint

        with _bits(bits):
            return flint.arb.atan2(_ball(self.ee * self.uu).sqrt(), _ball(self.uv))

    def cosine_and_sine(self, bits: int) -> tuple[flint.arb, flint.arb]:
        """Return cosine and sine of the angle."""
        with _bits(bits):
            return _ball(self.uv) / _ball(self.uu * self.vv).sqrt(), _ball(self.ee / self.vv).sqrt()

    def end(self, bits: int) -> flint.arb:
        """Return tan of half the angle, without cancellation."""
        with _bits(bits):
            both, across = _ball(self.uu * self.vv).sqrt(), _ball(self.ee * self.uu).sqrt()
            along = _ball(self.uv)
            return across / (both + along) if self.uv > 0 else (both - along) / across

    def through(self, wu: flint.fmpq, wv: flint.fmpq, constant: flint.fmpq) -> ExactUnit:
        """Return the unit with these products with u and v, and this constant."""
        return ExactUnit(self, wu, wv - self.uv / self.uu * wu, constant, wv)


class ExactArc(ExactCircle):
    """The arc between two vectors of floats, exactly."""

    def __init__(self, u: np.ndarray, v: np.ndarray) -> None:
        ends = ScaledMatrix.from_floats(np.stack([u, v]))
        gram = (ends @ ends.T).to_rational()
        super().__init__(gram[0, 0], gram[0, 1], gram[1, 1], rational(1))
        self._columns = ends.T

    def tangent(self) -> np.ndarray:
        r"""Return :math:`\rho e`, each entry within two units in the last place (gamma(4)), or TINY."""
        factor, rho = self.uv / self.uu, self.rho(PRECISION)
        rows = self._columns.to_rational().table()
        with _bits(PRECISION):
            return np.array([float(rho * _ball(v - factor * u)) for u, v in rows])

    def unit(self, weights: np.ndarray, bias: float, level: float) -> ExactUnit:
        """Return the unit with these weights (n,), bias and breakpoint."""
        import flint

        products = ScaledMatrix.from_floats(weights[None]) @ self._columns
        wu, wv = (flint.fmpq(products.numerators[0, k], products.denominator) for k in range(2))
        return self.through(wu, wv, rational(bias) - rational(level))


@dataclass(frozen=True, eq=False)
class ExactUnit:
    """One unit on the arc: the rationals a, c, h of the module docstring, and w . v."""

    arc: ExactCircle
    a: flint.fmpq
    c: flint.fmpq
    h: flint.fmpq
    wv: flint.fmpq

    @property
    def is_zero(self) -> bool:
        """Whether the pre-activation stays on the breakpoint."""
        return self.a == self.c == self.h == 0

    @cached_property
    def at_ends(self) -> tuple[int, int]:
        r"""Signs of z at the two ends; z at the second is :math:`\sigma h + (|u|/|v|) w \cdot v`."""
        last = self.squared_constant * self.arc.vv + _sign(self.wv) * self.wv**2 * self.arc.uu
        return _sign(_sign(self.a) * self.a**2 + self.squared_constant), _sign(last)

    @cached_property
    def squared_constant(self) -> flint.fmpq:
        r"""The square of :math:`\sigma h`, with the sign of h."""
        return _sign(self.h) * self.h**2 * self.arc.height

    @cached_property
    def slopes(self) -> tuple[int, int]:
        r"""Signs of the derivative at the ends, along e and :math:`\frac{u \cdot v}{v \cdot v} v - u`."""
        return _sign(self.c), _sign(self.arc.uv / self.arc.vv * self.wv - self.a)

    @cached_property
    def near_ends(self) -> tuple[int, int]:
        """Signs of z just inside the ends: by the first derivative that does not vanish (z'' = sigma h - z)."""
        (first, last), (rise, fall) = self.at_ends, self.slopes
        return first or rise or _sign(self.h), last or -fall or _sign(self.h)

    @cached_property
    def discriminant(self) -> flint.fmpq:
        """The squared amplitude minus the squared constant."""
        return self.a**2 + self.arc.stretch * self.c**2 - self.h**2 * self.arc.height

    @cached_property
    def n_inside(self) -> int:
        """Number of crossings inside the arc."""
        before, after = self.near_ends
        if before != after:
            return 1
        turns = self.slopes == (-before, before)
        return 2 if turns and self.discriminant > 0 else 0

    @property
    def touches(self) -> bool:
        """Whether z vanishes inside the arc without changing its sign."""
        before, after = self.near_ends
        return before == after != 0 and self.slopes == (-before, before) and self.discriminant == 0

    def roots(self, bits: int) -> list[flint.arb]:
        """Return enclosures of the finite roots of the quadratic, always in the same order; it must have some."""
        rho, width = self.arc.rho(bits), _root(self.discriminant, bits)
        with _bits(bits):
            half = rho * _ball(self.c)
            large = -(half + width) if self.c >= 0 else width - half
            roots = [self._constant_plus(self.a, bits) / large]
            level = self.squared_constant == _sign(self.a) * self.a**2
            return roots if level else [*roots, large / self._constant_plus(-self.a, bits)]

    def _constant_plus(self, term: flint.fmpq, bits: int) -> flint.arb:
        r"""Return :math:`\sigma h` plus a rational, without cancellation if sigma is 1."""
        if self.arc.height == 1:
            return _ball(self.h + term)
        return self.arc.sigma(bits) * _ball(self.h) + _ball(term)

    def inside(self) -> list[ExactRoot]:
        """Return the crossings inside the arc, in order."""

        def certain(bits: int) -> list[int] | None:
            roots, end = self.roots(bits), self.arc.end(bits)
            found = [k for k, t in enumerate(roots) if t > 0 and t < end]
            if len(found) < self.n_inside or (len(found) == 2 and roots[0].overlaps(roots[1])):
                return None
            return found[::-1] if len(found) == 2 and roots[1] < roots[0] else found

        return [ExactRoot(self, k) for k in _refined(certain)] if self.n_inside else []

    def touch(self) -> ExactRoot:
        """Return the place where the unit touches its boundary."""
        return ExactRoot(self, 0)


@dataclass(frozen=True, eq=False)
class ExactRoot:
    """One root of a unit's quadratic, by number."""

    unit: ExactUnit
    number: int

    def ball(self, bits: int) -> flint.arb:
        """Return an enclosure of tan(theta / 2)."""
        return self.unit.roots(bits)[self.number]

    def equals(self, other: ExactRoot) -> bool:
        """Tell whether two crossings are one place (module docstring)."""
        if not self.ball(PRECISION).overlaps(other.ball(PRECISION)):
            return False
        (a, c, h), (p, q, r) = ((unit.a, unit.c, unit.h) for unit in (self.unit, other.unit))
        x, s, w = c * r - h * q, h * p - a * r, a * q - c * p
        if x == s == w == 0:
            return self._is_at(other.ball)
        # the lines a x + c s + sigma h = 0 in the plane of the points x u + s e meet in sigma (x / w, s / w)
        arc = self.unit.arc
        on_circle = arc.height * (arc.stretch * x**2 + s**2) == arc.stretch * w**2
        if w == 0 or not on_circle or (s == 0 and _sign(x) == -_sign(w)):
            return False

        def meeting(bits: int) -> flint.arb:
            sigma = arc.sigma(bits)
            with _bits(bits):
                return sigma * _ball(s) / (_ball(w) + sigma * _ball(x)) / arc.rho(bits)

        # either unit may have its other crossing there, as near to this one as balls can see
        return self._is_at(meeting) and other._is_at(meeting)

    def _is_at(self, place: Callable[[int], flint.arb]) -> bool:
        """Tell whether this root is at a place that is known to be some root of its unit."""

        def answer(bits: int) -> bool | None:
            roots = self.unit.roots(bits)
            with _bits(bits):
                met = [k for k, t in enumerate(roots) if t.overlaps(place(bits))]
            return self.number in met if len(met) <= 1 else None

        return _refined(answer)


def order(first: ExactRoot, second: ExactRoot) -> int:
    """Return -1, 0 or 1 as the first crossing comes before, with or after the second."""
    if first.equals(second):
        return 0

    def answer(bits: int) -> int | None:
        one, other = first.ball(bits), second.ball(bits)
        return None if one.overlaps(other) else -1 if one < other else 1

    return _refined(answer)


def float_bounds(ball: flint.arb) -> tuple[float, float]:
    """Return floats below and above everything in a ball."""
    low, high = float(ball.lower()), float(ball.upper())
    return float(np.nextafter(low, -np.inf)), float(np.nextafter(high, np.inf))


def _refined(answer: Callable[[int], Answer | None]) -> Answer:
    """Return the first answer that is not None, at higher and higher precision."""
    bits = PRECISION
    while bits <= LARGEST_PRECISION:
        found = answer(bits)
        if found is not None:
            return found
        bits *= 2
    raise UndecidedError(f"Two places on the arc could not be told apart with {LARGEST_PRECISION} bits.")


def _bits(bits: int) -> object:
    import flint

    return flint.ctx.workprec(bits)


def _ball(value: flint.fmpq) -> flint.arb:
    import flint

    return flint.arb(value)


def _root(value: flint.fmpq, bits: int) -> flint.arb:
    with _bits(bits):
        return _ball(value).sqrt()


def _sign(value: flint.fmpq) -> int:
    return int(value > 0) - int(value < 0)
