r"""Does LayerNorm leave anything to polytopes? Boundaries met by scaling a token and by rotating it, exactly.

Behind a LayerNorm scaling crosses boundaries only where a token is about as small as :math:`\sqrt\epsilon`;
rotating crosses them all along. Counts are per unit of what does not depend on a choice of length: per unit of
log t on the ray t x, per radian on the great-circle arc from x towards something else.

The null model is a great circle drawn uniformly at the token's distance R from 0 in the hyperplane orthogonal to
ones, of dimension d - 1. Of a hyperplane at distance h R it meets

.. math:: E[\text{crossings}] = 2\,(1 - h^2)^{(d - 3)/2}, \qquad h < 1,

two if its plane comes nearer to the hyperplane's normal than the angle whose cosine is h: the normal's part in a
random plane has a squared length that is Beta(1, (d - 3)/2), which exceeds h^2 with probability
:math:`(1 - h^2)^{(d - 3)/2}`. A uniform point of the ball's radius, from 0 to R, crosses it with probability
:math:`\tfrac12 I_{1 - h^2}(\tfrac{d - 2}{2}, \tfrac12)`, the share of the sphere that lies behind it.

Source: open question on LayerNorm in Black, Sharkey et al. 2022, Interpreting neural networks through the polytope
lens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from polygeom.arrays import as_count, as_generator, as_points, as_positive, freeze
from polygeom.errors import InputError
from polygeom.lens.estimates import Estimate, binomial, bootstrapped
from polygeom.lens.saved import Saved
from polygeom.lens.scaling import MOST_OCTAVES
from polygeom.lines.arcs import ArcCrossings
from polygeom.models.transformer.activations import apply
from polygeom.models.transformer.angular import angular_crossings
from polygeom.models.transformer.image import image_hyperplanes
from polygeom.models.transformer.normed_mlp import NormedMLP, as_block
from polygeom.models.transformer.radial import radial_crossings
from polygeom.rounding import U

__all__ = ["ArcSmoothness", "CrossingRates", "arc_smoothness", "crossing_rates", "permuted_weights"]

OCTAVES = 1.0
"""Scaling is looked at from 2^-1 to 2 times the token, unless said otherwise."""

MIDDLE = 0.05, 0.95
"""Quantiles between which the middle thresholds lie."""

NUDGE = 2**41 * U
"""Share of the way to the other end that a derivative is taken over; it errs by the square of this."""


@dataclass(frozen=True, eq=False)
class CrossingRates(Saved):
    """Boundaries of a block met from N tokens by scaling and by rotating; counts are exact.

    Attributes
    ----------
    kinds : tuple of K str
        What the tokens are rotated towards.
    octaves : float
        Scaling is from 2^-octaves to 2^octaves.
    scaled : (N,) integer array
        Flips there.
    on_rays : (N,) integer array
        Flips on the whole ray, from 0 to infinity.
    thresholds : (T,) array
        Where on the rays, as t, all rays together: the tokens are at 1.
    band : (2,) array
        Between these t the middle nine tenths of all thresholds lie.
    in_band : (N,) integer array
        Flips there.
    rotated : (K, N) integer array
        Flips on the arcs.
    angles : (K, N) array
        Their lengths in radians.
    circle : (N,) array
        Expected flips on a random great circle at the token's distance from 0.
    radius : (N,) array
        Expected flips between 0 and a random point at this distance.
    heights : (m,) array
        Distance of every hyperplane from 0 over the radius of the ball; infinite for units that draw none.
    """

    kinds: tuple[str, ...]
    octaves: float
    scaled: np.ndarray
    on_rays: np.ndarray
    thresholds: np.ndarray
    band: np.ndarray
    in_band: np.ndarray
    rotated: np.ndarray
    angles: np.ndarray
    circle: np.ndarray
    radius: np.ndarray
    heights: np.ndarray

    def __repr__(self) -> str:
        rotated = ", ".join(f"{self.angular(kind).mean:.4g} ({kind})" for kind in self.kinds)
        radial, n = self.radial().mean, len(self.scaled)
        return f"CrossingRates({radial:.4g} per unit of log-scale; per radian {rotated}; {n} tokens)"

    def radial(self) -> Estimate:
        """Return flips per unit of log t around the tokens, with an interval over tokens."""
        return bootstrapped(self.scaled / (2 * self.octaves * np.log(2)))

    def touched(self) -> Estimate:
        """Return the share of tokens whose code scaling changes at all within these octaves."""
        return binomial(int((self.scaled > 0).sum()), len(self.scaled))

    def radial_in_band(self) -> Estimate:
        """Return flips per unit of log t where thresholds are; NaN if there are none."""
        return bootstrapped(self.in_band / np.log(self.band[1] / self.band[0]))

    def angular(self, kind: str) -> Estimate:
        """Return flips per radian towards one kind of thing, with an interval over tokens."""
        k = self._kind(kind)
        return bootstrapped(self.rotated[k] / self.angles[k])

    def null(self) -> Estimate:
        """Return what random great circles meet per radian."""
        return bootstrapped(self.circle / (2 * np.pi))

    def over_null(self, kind: str) -> Estimate:
        """Return the logarithm of flips per radian over those of random circles, token by token.

        Minus infinity, without an interval, if an arc meets none; NaN if nothing is met by random circles either.
        """
        k = self._kind(kind)
        with np.errstate(divide="ignore", invalid="ignore"):
            return bootstrapped(np.log(self.rotated[k] / self.angles[k] / (self.circle / (2 * np.pi))))

    @property
    def share_meeting(self) -> float:
        """Share of the units whose hyperplane meets the ball, by rounded heights."""
        return float((self.heights < 1).mean())

    def _kind(self, kind: str) -> int:
        if kind not in self.kinds:
            raise InputError(f"Nothing was rotated towards {kind!r}; there are {', '.join(self.kinds)}.")
        return self.kinds.index(kind)


def crossing_rates(
    block: NormedMLP, tokens: object, targets: Mapping[str, object], *, octaves: float = OCTAVES
) -> CrossingRates:
    """Count the boundaries that N tokens meet when they are scaled, and rotated towards targets.

    Parameters
    ----------
    block : NormedMLP
    tokens : (N, d) array
        Points of the residual stream.
    targets : mapping of str to (N, d) array
        For every kind of target one for each token: other tokens, random directions, directions of features.
    octaves : float
        How far the tokens are scaled up and down.

    Raises
    ------
    InputError
        On wrong shapes, a token or target without a direction, or one that is a multiple of the other.

    Notes
    -----
    Cost: for each token a product of W with it for the ray, and one with two vectors for each arc.

    Examples
    --------
    Without shift and biases all hyperplanes pass through 0: rays cross none, half-circles each once.

    >>> rng = np.random.default_rng(0)
    >>> zeros, W = np.zeros(8), rng.standard_normal((40, 8))
    >>> block = NormedMLP(np.ones(8), zeros, 1e-5, W, np.zeros(40), "gelu", W.T, zeros)
    >>> X, Y = rng.standard_normal((2, 50, 8))
    >>> found = crossing_rates(block, X, {"random": Y})
    >>> int(found.on_rays.sum()), round(found.null().mean * np.pi, 6)
    (0, 40.0)
    >>> found.angular("random").low * np.pi < 40 < found.angular("random").high * np.pi
    True
    """
    as_block(block)
    X = _tokens(tokens, block)
    if not isinstance(targets, Mapping):
        raise InputError(f"targets is a {type(targets).__name__}, wanted a mapping of kinds to points.")
    ends = {name: as_points(Y, f"targets[{name!r}]", block.dim) for name, Y in targets.items()}
    for name, Y in ends.items():
        if len(Y) != len(X):
            raise InputError(f"There are {len(Y)} targets {name!r} for {len(X)} tokens; give one for each.")
    octaves = as_positive(octaves, "octaves", MOST_OCTAVES)
    rays = [radial_crossings(block, x) for x in X]
    arcs = [[angular_crossings(block, x, y) for x, y in zip(X, Y, strict=True)] for Y in ends.values()]
    heights = image_hyperplanes(block).heights
    circle, radius = _expected(block, X, heights)
    places = np.sort(np.concatenate([np.repeat(ray.t, [len(u) for u in ray.units]) for ray in rays]))
    band = np.quantile(places, MIDDLE) if len(places) else np.full(2, np.nan)
    arrays = {
        "scaled": np.array([ray.count(2.0**-octaves, 2.0**octaves) for ray in rays]),
        "on_rays": np.array([ray.n_flips for ray in rays]),
        "thresholds": places,
        "band": band,
        "in_band": np.array([ray.count(*band.tolist()) if len(places) else 0 for ray in rays]),
        "rotated": np.array([[arc.n_flips for arc in row] for row in arcs]),
        "angles": np.array([[arc.angle for arc in row] for row in arcs]),
        "circle": circle,
        "radius": radius,
        "heights": np.array(heights),
    }
    return CrossingRates(
        tuple(ends), float(octaves), **{name: freeze(array) for name, array in arrays.items()}
    )


def _tokens(tokens: object, block: NormedMLP) -> np.ndarray:
    """Return tokens (N, d), at least one, in a space where there are circles."""
    X = as_points(tokens, "tokens", block.dim)
    if not len(X):
        raise InputError("tokens is empty: there is nothing to scale or to rotate.")
    if block.dim < 3:
        raise InputError(
            "The block has two coordinates: less their mean, tokens lie on a line, and nothing rotates."
        )
    return X


def _expected(block: NormedMLP, X: np.ndarray, heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what random circles and random radii meet at the distance of every token from 0."""
    from scipy.special import betainc

    d = block.dim
    lengths = np.linalg.norm(block.normalized(X), axis=1) / np.sqrt(d)
    h = np.minimum(heights[None, :] / lengths[:, None], 1.0)
    inside = 1.0 - h * h
    met = np.where(inside > 0, inside ** ((d - 3) / 2), 0.0)  # 0 to the power 0 is not
    return 2 * met.sum(axis=1), 0.5 * betainc((d - 2) / 2, 0.5, inside).sum(axis=1)


def permuted_weights(block: NormedMLP, rng: np.random.Generator) -> NormedMLP:
    """Return the block with the entries of each weight matrix and of each bias in random order: the same numbers.

    Raises
    ------
    InputError
        If block is no `NormedMLP`, or rng no generator of numpy.

    Examples
    --------
    >>> block = NormedMLP([1, 1], [0, 0], 1e-5, [[1, 2], [3, 4]], [5, 6], "gelu", [[1, 0], [0, 1]], [0, 0])
    >>> sorted(permuted_weights(block, np.random.default_rng(0)).W_in.ravel().tolist())
    [1.0, 2.0, 3.0, 4.0]
    """
    as_generator(rng)
    as_block(block)
    names = "W_in", "b_in", "W_out", "b_out"
    shuffled = {name: rng.permuted(getattr(block, name).ravel()) for name in names}
    return replace(block, **{name: a.reshape(getattr(block, name).shape) for name, a in shuffled.items()})


# -- the output along an arc -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ArcSmoothness(Saved):
    """How the output of a block changes along arcs, beside the boundaries met; arcs are cut into B equal parts.

    Attributes
    ----------
    angles : (N,) array
        Lengths of the arcs in radians.
    flips : (N, B) integer array
        Flips on every part.
    speed : (N, B) array
        Length of the output's change on every part, over its angle.
    bend : (N, B) array
        Twice the distance of the output at the middle of a part's chord from the mean of those at its ends, over
        the square of half its angle: how fast the derivative changes. A part without flips lies in one cell, and
        so does its chord: there it is 0 for a ReLU, up to rounding.
    unexplained : (N,) array
        Share of the output's variance along an arc that the best affine map from y leaves.
    extrapolated : (N,) array
        How wrong the affine map that touches the block at the token is at the other end, over the output's change.
    straightness : (N,) array
        Distance of the outputs at the two ends over the length of the path between them: 1 if it is straight.
    """

    angles: np.ndarray
    flips: np.ndarray
    speed: np.ndarray
    bend: np.ndarray
    unexplained: np.ndarray
    extrapolated: np.ndarray
    straightness: np.ndarray

    def correlation(self, what: str = "bend") -> Estimate:
        """Return the rank correlation of flips with speed or bend, within arcs; an interval over arcs.

        Raises
        ------
        InputError
            If `what` is neither.
        """
        return bootstrapped(self._correlations(what)[0])

    def by_chance(self, what: str = "bend") -> Estimate:
        """Return the same with the flips of every other arc: what unrelated arcs have in common."""
        return bootstrapped(self._correlations(what)[1])

    def beyond_chance(self, what: str = "bend") -> Estimate:
        """Return the difference of the two, arc by arc."""
        own, others = self._correlations(what)
        return bootstrapped(own - others)

    def unevenness(self) -> Estimate:
        """Return the ratio of the largest to the mean speed of every arc: 1 if the output moves evenly."""
        return bootstrapped(self.speed.max(axis=1) / self.speed.mean(axis=1))

    def _correlations(self, what: str) -> tuple[np.ndarray, np.ndarray]:
        """Return correlations with an arc's own flips, and the mean of those with the flips of the others."""
        if what not in ("speed", "bend"):
            raise InputError(f"what is {what!r}, wanted 'speed' or 'bend'.")
        values = getattr(self, what)
        varying = (np.ptp(self.flips, axis=1) > 0) & (np.ptp(values, axis=1) > 0)
        all_pairs = _standard_ranks(values[varying]) @ _standard_ranks(self.flips[varying]).T
        own = np.diag(all_pairs)
        return own, (all_pairs.sum(axis=1) - own) / max(len(own) - 1, 1)


def _standard_ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks along rows, centered and of length 1: their inner products are Spearman's correlations."""
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    return ranks / np.linalg.norm(ranks, axis=1, keepdims=True)


def arc_smoothness(block: NormedMLP, tokens: object, targets: object, parts: int = 32) -> ArcSmoothness:
    """Follow the output of a block on the arcs from tokens towards targets.

    Parameters
    ----------
    block : NormedMLP
    tokens, targets : (N, d) arrays
    parts : int
        Number of parts B of every arc, at least three.

    Raises
    ------
    InputError
        On wrong shapes or fewer than three parts.

    Notes
    -----
    Flips are exact but for those within rounding of an end of a part; outputs are floats. Cost: 2 B + 3 forward
    passes an arc.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> zeros, W = np.zeros(8), rng.standard_normal((40, 8))
    >>> block = NormedMLP(np.ones(8), zeros, 1e-5, W, rng.standard_normal(40), "relu", W.T, zeros)
    >>> found = arc_smoothness(block, *rng.standard_normal((2, 30, 8)))
    >>> found.correlation().low > found.by_chance().high
    True
    """
    as_block(block)
    X, Y = _tokens(tokens, block), as_points(targets, "targets", block.dim)
    if len(X) != len(Y):
        raise InputError(f"There are {len(Y)} targets for {len(X)} tokens; give one for each.")
    parts = as_count(parts, "parts", 3)
    arcs = [_followed(block, angular_crossings(block, x, y), parts) for x, y in zip(X, Y, strict=True)]
    return ArcSmoothness(*(freeze(np.array(column)) for column in zip(*arcs, strict=True)))


def _followed(block: NormedMLP, arc: ArcCrossings, parts: int) -> tuple[object, ...]:
    """Return what is known of one arc, in the order of `ArcSmoothness`."""
    at = np.linspace(0.0, arc.angle, parts + 1)
    flips = np.histogram(np.repeat(arc.theta, [len(units) for units in arc.units]), at)[0]
    y, width = arc.point(at), arc.angle / parts
    out, middle = _outputs(block, y), _outputs(block, 0.5 * (y[1:] + y[:-1]))
    steps = np.linalg.norm(np.diff(out, axis=0), axis=1)
    bend = np.linalg.norm(out[1:] + out[:-1] - 2 * middle, axis=1) / (0.5 * width) ** 2
    basis = np.stack([np.ones_like(at), np.cos(at), np.sin(at)], axis=1)
    left = out - basis @ np.linalg.lstsq(basis, out, rcond=None)[0]
    change, nudge = out[-1] - out[0], NUDGE * (y[-1] - y[0])
    ahead, behind = _outputs(block, np.stack([y[0] + nudge, y[0] - nudge]))
    wrong = np.linalg.norm(change - (ahead - behind) / (2 * NUDGE))
    whole = np.linalg.norm(change)
    unexplained = (left**2).sum() / ((out - out.mean(axis=0)) ** 2).sum()
    return arc.angle, flips, steps / width, bend, unexplained, wrong / whole, whole / steps.sum()


def _outputs(block: NormedMLP, y: np.ndarray) -> np.ndarray:
    """Return the outputs (N, k) at what LayerNorm hands on before gain and shift, inside the ball too."""
    hidden = apply(block.activation, y @ block.folded.weights.T + block.folded.offsets)
    return hidden @ block.W_out.T + block.b_out
