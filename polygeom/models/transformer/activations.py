r"""Activations of transformer blocks, and where the two forms of GELU turn: their stationary points, proved.

.. math:: erf: \quad z\,\Phi(z), \qquad tanh: \quad \tfrac{z}{2} (1 + \tanh s(z)), \quad
          s(z) = \sqrt{2/\pi}\,(z + 0.044715 z^3).

Each falls up to one point and rises behind it.

- erf form: the derivative :math:`\Phi(z) + z \varphi(z)` has the derivative :math:`\varphi(z)(2 - z^2)`, so it
  falls up to :math:`-\sqrt 2`, where it comes from 0 at minus infinity, then rises up to :math:`\sqrt 2`, then
  falls towards 1. So it is negative up to its only zero, in :math:`(-\sqrt 2, \sqrt 2)`.
- tanh form: with :math:`1 - \tanh s = 2 / (1 + e^{2s})` the derivative is a positive multiple of
  :math:`F(z) = 1 + e^{2 s(z)} + 2 z s'(z)`; s and :math:`z s'` grow with z, so F grows, from minus infinity to
  infinity, and has one zero.

In both cases the derivative is negative before the zero and positive behind it, so two floats at which ball
arithmetic proves opposite signs hold the stationary point between them. `turning_point` returns neighboring
floats.

Source: D. Hendrycks, K. Gimpel 2016, Gaussian error linear units.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from polygeom.errors import InputError

if TYPE_CHECKING:
    import flint

__all__ = ["ALIASES", "activation_name", "apply", "turning_point"]

ALIASES = {
    "gelu_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_erf": "gelu_erf",
    "gelu": "gelu_erf",
    "relu": "relu",
}
"""Names of activations as checkpoints write them -> names used here."""

CUBIC = 44715, 1_000_000
"""The coefficient of the tanh form, as a ratio."""

PRECISION = 128
"""Bits of the balls that decide the sign of a derivative; they double while it stays open."""


def activation_name(name: object) -> str:
    """Return the name used here of an activation as a checkpoint names it.

    Raises
    ------
    InputError
        If it is not known.

    Examples
    --------
    >>> activation_name("gelu_new")
    'gelu_tanh'
    """
    if not isinstance(name, str) or name not in ALIASES:
        raise InputError(
            f"The activation {name!r} is not known here; known are {', '.join(sorted(ALIASES))}. Gate cells need "
            "a unit that is one smooth or affine function on each side of 0; gated ones (SwiGLU, GeGLU) multiply "
            "two pre-activations and have no hyperplanes."
        )
    return ALIASES[name]


def apply(name: str, z: np.ndarray) -> np.ndarray:
    """Return an activation's values, in floats."""
    if name == "relu":
        return np.maximum(z, 0.0)
    if name == "gelu_erf":
        from scipy.special import ndtr

        return z * ndtr(z)
    cubic = CUBIC[0] / CUBIC[1]
    return 0.5 * z * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (z + cubic * z * z * z)))


def turning_point(name: str) -> tuple[float, float]:
    """Return neighboring floats between which GELU stops falling and begins to rise, proved (module docstring).

    Raises
    ------
    InputError
        If the activation is not a form of GELU.

    Examples
    --------
    >>> low, high = turning_point("gelu_erf")
    >>> round(low, 6), bool(np.nextafter(low, 0) == high)
    (-0.751792, True)
    >>> round(turning_point("gelu_new")[0], 6)
    -0.752461
    """
    form = activation_name(name)
    if form == "relu":
        raise InputError("A ReLU does not turn: it is constant, then rises, and is affine on each side of 0.")
    return _turning_point(form)


@cache
def _turning_point(form: str) -> tuple[float, float]:
    low, high = -1.0, -0.5
    while np.nextafter(low, 0.0) < high:
        middle = 0.5 * (low + high)
        if derivative_sign(form, middle) < 0:
            low = middle
        else:
            high = middle
    return low, high


def derivative_sign(form: str, z: float) -> int:
    """Return the sign of GELU' at a float, by balls: no float is a zero of it (`turning_point` would not end)."""
    import flint

    bits = PRECISION
    while True:
        with flint.ctx.workprec(bits):
            value = _derivative(form, flint.arb(z))
            if value > 0 or value < 0:
                return 1 if value > 0 else -1
        bits *= 2


def _derivative(form: str, z: flint.arb) -> flint.arb:
    r"""Return a positive multiple of GELU'(z): :math:`\sqrt{2\pi} (\Phi + z \varphi)`, or F."""
    import flint

    pi = flint.arb.pi()
    if form == "gelu_erf":
        distribution = (1 + (z / flint.arb(2).sqrt()).erf()) / 2
        return (2 * pi).sqrt() * distribution + z * (-z * z / 2).exp()
    scale, cubic = (2 / pi).sqrt(), flint.arb(CUBIC[0]) / CUBIC[1]
    s = scale * (z + cubic * z**3)
    return 1 + (2 * s).exp() + 2 * scale * (z + 3 * cubic * z**3)
