r"""The claim on rays behind LayerNorm: which units a ray from the origin of the residual stream meets, and where.

With :math:`P = 1 - 11'/d`, :math:`a_i = \tilde w_i \cdot x`, :math:`v = |Px|^2 / d`, the pre-activation of unit i
at tx, t > 0, has the sign of :math:`a_i t + \tilde c_i \sqrt{v t^2 + \epsilon}`. It changes where
:math:`(a_i^2 - \tilde c_i^2 v) t^2 = \tilde c_i^2 \epsilon`, affine in :math:`t^2`: at most once, exactly if
:math:`a_i \tilde c_i < 0` and :math:`a_i^2 > \tilde c_i^2 v`. For :math:`\epsilon = 0` never.
"""

from __future__ import annotations

from fractions import Fraction
from operator import mul

import numpy as np

from polygeom.certificates import Check, Level
from polygeom.certificates.check import PROVED, REFUTED
from polygeom.claims.instance import Instance
from polygeom.claims.registry import claim
from polygeom.claims.verdict import Outcome, Verdict, Witness, fails, holds, not_applicable
from polygeom.steps import Dense

__all__ = ["ln_rays"]

N_RAYS = 50
"""Rays drawn at random."""

EPSILONS = (Fraction(0), Fraction(1, 1024), Fraction(1))
"""The epsilons that are tried."""

NEAR = Fraction(1, 2**20)
"""Relative distance in t^2 at which a threshold is confirmed on both sides."""

FAR = (Fraction(1, 2**60), Fraction(1), Fraction(2**60))
"""Values of t^2 at which nothing else may change."""


def _sign(a: Fraction, c: Fraction, v: Fraction, epsilon: Fraction, square: Fraction) -> int:
    """Return the sign of a t + c sqrt(v t^2 + epsilon) for t > 0, by squares."""
    along, height = _signum(a), _signum(c) if v or epsilon else 0
    if along == height or not along or not height:
        return along or height
    return along * _signum(a * a * square - c * c * (v * square + epsilon))


def _signum(value: Fraction) -> int:
    return (value > 0) - (value < 0)


def _threshold(a: Fraction, c: Fraction, v: Fraction, epsilon: Fraction) -> Fraction | None:
    """Return t^2 where the unit changes sign, None where it never does."""
    if not epsilon or a * c >= 0 or a * a <= c * c * v:
        return None
    return c * c * epsilon / (a * a - c * c * v)


def _thresholds_hold(weight: np.ndarray, bias: np.ndarray, rays: np.ndarray) -> Check:
    """Confirm on every ray, for every unit and epsilon, one change at the threshold and none elsewhere."""
    for x in rays:
        for a, c, v in _folded(weight, bias, x):
            for epsilon in EPSILONS:
                at = _threshold(a, c, v, epsilon)
                squares = [s * (at if at is not None else 1) for s in (*FAR, 1 - NEAR, 1 + NEAR)]
                signs = [_sign(a, c, v, epsilon, s) for s in sorted(squares)]
                changes = [k for k in range(4) if signs[k] != signs[k + 1]]
                if at is None and changes:
                    return REFUTED
                if at is not None and (
                    _sign(a, c, v, epsilon, at) or signs != [signs[0]] * 2 + [0] + [-signs[0]] * 2
                ):
                    return REFUTED
    return PROVED


def _folded(weight: np.ndarray, bias: np.ndarray, x: np.ndarray) -> list[tuple[Fraction, Fraction, Fraction]]:
    """Return (a, c, v) of every unit, exactly; gain 1 and shift 0: c is the bias."""
    point = [Fraction(float(value)) for value in x]
    mean = sum(point, Fraction(0)) / len(point)
    centered = [value - mean for value in point]
    v = sum(value * value for value in centered) * Fraction(1, len(point))
    rows = [[Fraction(float(w)) for w in row] for row in weight]
    along = [sum(map(mul, row, centered), Fraction(0)) for row in rows]
    return [(a, Fraction(float(c)), v) for a, c in zip(along, bias, strict=True)]


@claim(
    "ln-rays",
    statement="A ray from the origin of the residual stream never changes the gate cell of LayerNorm + linear "
    "if eps = 0; else unit i changes at most once, at t_i = |c_i| sqrt(eps / (a_i^2 - c_i^2 v)), exactly if "
    "a_i c_i < 0 and a_i^2 > c_i^2 v.",
    hypothesis="the network begins with a dense layer, read as the one behind LayerNorm (gain 1, shift 0), d >= 2",
    source="docs/claims.md",
    settled_by="squares in rationals on random rays, on both sides of every threshold and far from it",
    expects={
        **dict.fromkeys(
            ("quick", "one-layer", "orthants", "grid", "braid", "three-axes", "xor"), Outcome.HOLDS
        ),
        **dict.fromkeys(("tent", "absolute"), Outcome.NOT_APPLICABLE),
    },
)
def ln_rays(instance: Instance) -> Verdict:
    """Judge the first layer's rows as those behind a LayerNorm."""
    first = instance.net.steps[0] if instance.net.steps else None
    if not isinstance(first, Dense) or instance.net.dim_in < 2:
        return not_applicable("The network does not begin with a dense layer of two inputs or more.")
    bias = np.broadcast_to(0.0 if first.constant is None else first.constant, first.shape).ravel()
    rays = instance.rng("ln-rays").standard_normal((N_RAYS, instance.net.dim_in))
    triples = [t for x in rays for t in _folded(first.weight, bias, x)]
    crossed = sum(_threshold(*t, EPSILONS[-1]) is not None for t in triples)
    witness = Witness({"weight": first.weight, "bias": bias, "rays": rays}, _thresholds_hold)
    numbers = {"rays": N_RAYS, "pairs": len(triples), "crossed": crossed}
    if not witness.holds():
        return fails(
            Level.EXACT, "Some unit changes elsewhere than at its threshold.", witness.opposite, **numbers
        )
    text = (
        f"On {N_RAYS} rays {crossed} of {len(triples)} units change, once, where they must; none if eps = 0."
    )
    return holds(Level.EXACT, text, witness, **numbers)
