r"""How many boundaries a segment crosses in a network that has just been drawn: formula, bound and counts.

**First layer.** With :math:`w \sim N(0, s_w^2 I)` and :math:`b \sim N(0, s_b^2)` the pre-activations at x and y
are the products of one standard normal vector with :math:`(s_w x, s_b)` and :math:`(s_w y, s_b)`. A random
hyperplane through 0 parts two vectors at angle :math:`\theta` with probability :math:`\theta / \pi`. A unit flips
at most once on a segment, and units are independent: m units flip :math:`m \theta / \pi` times on average, and the
number of flips has the binomial distribution.

**Any depth.** Let weights be independent, :math:`N(0, 2 / n_{in})`, and biases independent of everything else,
symmetric, with a density of at most C. On the segment from x to :math:`x + u` a pre-activation is
:math:`z(t) = g(t) + b`, g piecewise linear and independent of b. The number of t with :math:`g(t) = -b` is on
average at most C times the total variation of g (Banach's indicatrix), so a unit flips at most
:math:`C \int E|z'(t)| dt` times. Let h be the activations of a layer of n units and :math:`q = E|h'|^2 / n`, for
the input :math:`q_0 = |u|^2 / n_0`. Given h, the derivative z' of a unit behind it is normal with variance
:math:`2 |h'|^2 / n`, so :math:`E z'^2 = 2q`. Turning the signs of its weights and its bias turns both z and z', so
the gate passes half of that, and the next layer has the same q. By Jensen
:math:`E|z'| \le \sqrt{2 / \pi} \sqrt{2 q_0}`, hence

.. math:: \frac{E(\mathrm{flips})}{\mathrm{units}} \le \frac{2 C |u|}{\sqrt{\pi n_0}}

in every layer, at any depth and any width.

Source: Hanin and Rolnick 2019, Complexity of linear regions in deep networks, Theorem 1 (the same idea, other
constants).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.claims.estimates import Estimate, binomial, bootstrapped, together
from polygeom.claims.verdict import Outcome
from polygeom.lines.segments import line_crossings
from polygeom.models.toy.random_weights import uniform
from polygeom.network import Network
from polygeom.pieces import spline_codes

__all__ = [
    "Crossings",
    "bound_per_unit",
    "draw",
    "expected_share",
    "flips_of_layers",
    "flips_per_unit",
    "parted_units",
]

DIM, BIAS_SCALES = 4, (0.0, 0.5, 1.0, 2.0)
"""Inputs, and the standard deviations of biases beside weights of standard deviation 1."""

LAYERS, UNITS = 1000, 16
"""First layers drawn for each scale, and units in each."""

CERTAIN = 0.9999
"""Confidence where an equality is tested: four intervals miss a true value together once in 2500 times."""

SHARP = 0.1
"""Half the width of an interval, relative to the value, above which containing the value says nothing."""

DEPTHS, DRAWN, WIDTH, REACH = (1, 2, 4, 8), 200, 8, 1.0
"""Deep networks: how deep, how many of each, hidden widths; biases are uniform on [-REACH, REACH]."""

Segment = tuple[np.ndarray, np.ndarray]


def expected_share(segment: Segment, weight_scale: float, bias_scale: float) -> float:
    r"""Return the expected share of units that flip on a segment, :math:`\theta / \pi`.

    Examples
    --------
    >>> expected_share((np.array([1.0, 0.0]), np.array([0.0, 2.0])), 1.0, 0.0)
    0.5
    """
    x, y = (np.append(weight_scale * end, bias_scale) for end in segment)
    cosine = x @ y / (np.linalg.norm(x) * np.linalg.norm(y))
    return float(np.arccos(np.clip(cosine, -1.0, 1.0)) / np.pi)


def bound_per_unit(segment: Segment, density: float) -> float:
    """Return the bound on flips per unit for biases whose density is at most so large (module docstring).

    Examples
    --------
    >>> round(bound_per_unit((np.zeros(4), np.array([0.0, 0.0, 3.0, 4.0])), 0.5), 3)
    1.41
    """
    x, y = segment
    return float(2 * density * np.linalg.norm(y - x) / np.sqrt(np.pi * len(x)))


def draw(rng: np.random.Generator) -> dict[str, object]:
    """Return two random segments, first layers (weights, and biases of every scale) and deep networks."""
    first, deep = ((rng.normal(size=DIM), rng.normal(size=DIM)) for _ in range(2))
    return {
        "weights": rng.normal(size=(LAYERS, UNITS, DIM)),
        "biases": tuple(rng.normal(scale=scale, size=(LAYERS, UNITS)) for scale in BIAS_SCALES),
        "nets": tuple(
            tuple(uniform((DIM, *[WIDTH] * depth, 1), rng, REACH) for _ in range(DRAWN)) for depth in DEPTHS
        ),
        "first": first,
        "deep": deep,
    }


def flips_of_layers(weights: np.ndarray, biases: np.ndarray, segment: Segment) -> int:
    """Count the flips on a segment in every layer of a stack, and add them up."""
    return sum(line_crossings(_layer(W, b), *segment).n_flips for W, b in zip(weights, biases, strict=True))


def parted_units(weights: np.ndarray, biases: np.ndarray, segment: Segment) -> int:
    """Count the units of a stack of layers whose letters differ at the ends: the same number, by another way."""
    stacked = _layer(weights.reshape(-1, weights.shape[-1]), biases.ravel())
    here, there = spline_codes(stacked, np.array(segment)).letters
    return int((here != there).sum())


def flips_per_unit(nets: tuple[Network, ...], segment: Segment) -> np.ndarray:
    """Return how often the units of every network flip on a segment, on average."""
    return np.array([line_crossings(net, *segment).n_flips / net.n_units for net in nets])


@dataclass(frozen=True, eq=False)
class Crossings:
    """What was counted, and what it decides.

    Attributes
    ----------
    flips : tuple of int
        In all first layers of every scale of biases.
    rates : tuple of (DRAWN,) arrays
        Flips per unit in every network of every depth.
    first, deep : (x, y)
        On which segments.
    """

    flips: tuple[int, ...]
    rates: tuple[np.ndarray, ...]
    first: Segment
    deep: Segment

    @property
    def shares(self) -> list[Estimate]:
        """The share of first-layer units that flip."""
        return [binomial(count, LAYERS * UNITS, CERTAIN) for count in self.flips]

    @property
    def expected(self) -> list[float]:
        """What the formula says these are."""
        return [expected_share(self.first, 1.0, scale) for scale in BIAS_SCALES]

    @property
    def means(self) -> list[Estimate]:
        """Flips per unit at every depth."""
        return [bootstrapped(rate) for rate in self.rates]

    @property
    def bound(self) -> float:
        """What bounds these at any depth."""
        return bound_per_unit(self.deep, 1 / (2 * REACH))

    def decide(self) -> Outcome:
        """Tell whether all intervals contain the formula, and lie below the bound."""
        equal = [_equals(share, value) for share, value in zip(self.shares, self.expected, strict=True)]
        return together([*equal, *(_stays_below(mean, self.bound) for mean in self.means)])

    def same(self, other: Crossings) -> bool:
        """Tell whether the same was counted."""
        return self.flips == other.flips and all(map(np.array_equal, self.rates, other.rates))


def _layer(W: np.ndarray, b: np.ndarray) -> Network:
    return Network.from_layers([(W, b), (np.ones((1, len(b))), [0])])


def _equals(share: Estimate, expected: float) -> Outcome:
    if not share.low <= expected <= share.high:
        return Outcome.FAILS
    return Outcome.HOLDS if share.high - share.low <= 2 * SHARP * expected else Outcome.UNDECIDED


def _stays_below(rate: Estimate, bound: float) -> Outcome:
    if rate.high <= bound:
        return Outcome.HOLDS
    return Outcome.FAILS if rate.low > bound else Outcome.UNDECIDED
