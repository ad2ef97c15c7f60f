r"""Directions of spline-code space added up: does that compose the function, and how wrong is it if not.

This is the test the authors of the polytope lens ask for. Directions k of codes (`polygeom.lens.directions`)
become changes of the input: :math:`u_k` is the *lift* of the inputs, their mean weighted by the scores of k minus
their mean, as a direction's letters are the lift of the letters. (Least squares on the scores would not do: scores
of one factorization nearly add up to a constant, and what they share then leaks into every slope.) All are scaled
to one length, half the root mean square distance of the data from their mean: longer changes cross more
boundaries, whatever their direction. Then for pairs j, k

- *interaction*: the strength of :math:`D_{U_j} D_{U_k} T` on the codes of data (`polygeom.lens.interaction`),
  which knows codes and letters only;
- *bends*: the share of units whose letters at the four corners of a parallelogram differ; where there are
  none, the function composes (docs/claims.md, *composition*);
- *error*: the second difference of the function,
  :math:`\Delta f = f(x + u_j + u_k) - f(x + u_j) - f(x + u_k) + f(x)`, as a share of the changes it is made of,
  :math:`|\Delta f| / (|f(x + u_j) - f(x)| + |f(x + u_k) - f(x)| + |f(x + u_j + u_k) - f(x)|)`, between 0 and 1;
  its mean over data x.

If interaction is what makes composition fail, the two are correlated over pairs. Pairs share directions, so
they are no independent sample: the p-value is that of Mantel's test, which permutes directions, and intervals
are over networks. Simpler predictors stand beside it: units in common (Jaccard), and the cosine of the two
changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from polygeom.arrays import as_count, as_generator, as_points, freeze
from polygeom.errors import InputError
from polygeom.lens.code_directions import CodeDirection
from polygeom.lens.directions import DirectionFit
from polygeom.lens.estimates import Estimate, bootstrapped
from polygeom.lens.interaction import VANISHES, Interactions, interactions
from polygeom.lens.parallelograms import SecondDifference
from polygeom.lens.saved import Saved
from polygeom.network import Network, as_network
from polygeom.pieces import spline_codes

__all__ = ["Composition", "ExactSecondDifferences", "compose", "input_changes", "mantel", "rank_correlations"]

PERMUTATIONS = 999
"""Relabelings of the directions in Mantel's test."""

LEAST_LIFT = 2
"""Size of a lift of the inputs, in multiples of what is expected by chance, below which a direction has none."""


@dataclass(frozen=True, eq=False)
class ExactSecondDifferences(Saved):
    """Second differences of a function on some parallelograms, in rationals.

    Attributes
    ----------
    composing, vanishing : int
        How many meet the hypothesis of the claim *composition*, and on how many the second difference is zero.
    tightness : (n,) array
        The largest second difference of an output over its bound, rounded; 0 where it vanishes.
    """

    composing: int
    vanishing: int
    tightness: np.ndarray

    def __str__(self) -> str:
        n = len(self.tightness)
        median = float(np.median(self.tightness)) if n else float("nan")
        return (
            f"of {n} parallelograms {self.composing} meet the hypothesis of composition and {self.vanishing} "
            f"vanish; the second difference is {median:.2g} of its bound (median)"
        )

    @classmethod
    def of(cls, net: Network, parallelograms: Sequence[tuple]) -> ExactSecondDifferences:
        """Measure parallelograms (x, u, v). Cost: four rational passes each.

        Raises
        ------
        TooLargeError
            If the network is too large for rational arithmetic.
        """
        found = [SecondDifference(net, *one) for one in parallelograms]
        ratios = (
            max((float(abs(v) / b) for v, b in zip(one.value, one.bound, strict=True) if b), default=0.0)
            for one in found
        )
        return cls(
            sum(one.composes for one in found),
            sum(not any(one.value) for one in found),
            freeze(np.array(list(ratios), dtype=np.float64)),
        )


@dataclass(frozen=True, eq=False)
class Composition(Saved):
    """Interaction of directions beside what adding them gets wrong.

    Attributes
    ----------
    interaction : Interactions
        Of the K directions that have units and change the input.
    error : (K, K) array
        Mean relative second difference of the function; the diagonal is NaN.
    bends : (K, K) array
        Mean share of units whose four letters differ.
    overlap, cosine : (K, K) arrays
        Units in common over units in all; cosine of the changes of the input.
    changes : (K, dim_in) array
        The change of the input that stands for each direction.
    exact : ExactSecondDifferences
        A sample of the parallelograms, in rationals.
    p_value : float
        Share of relabelings with a rank correlation at least as large (Mantel 1967); NaN if there is none.
    """

    interaction: Interactions
    error: np.ndarray
    bends: np.ndarray = field(repr=False)
    overlap: np.ndarray = field(repr=False)
    cosine: np.ndarray = field(repr=False)
    changes: np.ndarray = field(repr=False)
    exact: ExactSecondDifferences
    p_value: float

    @property
    def pairs(self) -> np.ndarray:
        """Pairs (P, 2) of directions that have an interaction and an error."""
        both = np.isfinite(self.interaction.strength) & np.isfinite(self.error)
        return np.argwhere(np.triu(both, 1))

    @property
    def rank_correlation(self) -> float:
        """Spearman's correlation over pairs of interaction and error; NaN if one of them does not vary."""
        return self.correlation_with(self.interaction.strength)

    def correlation_with(self, predictor: np.ndarray) -> float:
        """Return Spearman's correlation over pairs of a predictor (K, K) and the error."""
        rows, columns = self.pairs.T
        return _spearman(predictor[rows, columns], self.error[rows, columns])

    @property
    def non_interacting_error(self) -> float:
        """Mean error over the pairs proved not to interact, but disjoint ones of one layer; NaN if none."""
        rows, columns = self.pairs.T
        proved = (self.interaction.known == VANISHES) & ~self.interaction.one_layer
        errors = self.error[rows, columns][proved[rows, columns]]
        return float(errors.mean()) if errors.size else float("nan")

    def dose(self, groups: int = 3) -> np.ndarray:
        """Return the mean error of pairs grouped by rank in interaction, from least to most; NaN for none."""
        rows, columns = self.pairs.T
        order = np.argsort(self.interaction.strength[rows, columns], kind="stable")
        parts = np.array_split(self.error[rows, columns][order], groups)
        return np.array([part.mean() if len(part) else np.nan for part in parts])

    def __str__(self) -> str:
        pairs = self.pairs
        mean = float(self.error[tuple(pairs.T)].mean()) if len(pairs) else float("nan")
        return (
            f"{len(pairs)} pairs: mean error {mean:.2f}, rank correlation with interaction "
            f"{self.rank_correlation:.2f} (p = {self.p_value:.3f}); {self.exact}"
        )


def input_changes(fit: DirectionFit, inputs: np.ndarray, least_lift: float = LEAST_LIFT) -> np.ndarray:
    """Return the change of the input (K, dim) that stands for each direction, all of one length.

    0 for a direction that has none: no code uses it, or its lift is not `least_lift` times the size expected of a
    mean of as many inputs drawn at random. (One that is used on both sides of the mean has no lift; scaled to the
    common length it would be noise.)

    Raises
    ------
    InputError
        If there are not as many inputs as codes were fitted to.
    """
    if len(inputs) != len(fit.scores):
        raise InputError(f"{len(inputs)} inputs were given, but {len(fit.scores)} codes were fitted to.")
    total = fit.scores.sum(axis=0)[:, None]
    weights = np.divide(fit.scores.T, total, out=np.zeros_like(fit.scores.T), where=total > 0)
    lift = np.where(total > 0, weights @ inputs - inputs.mean(axis=0), 0.0)
    lengths = np.linalg.norm(lift, axis=1, keepdims=True)
    spread = np.sqrt(((inputs - inputs.mean(axis=0)) ** 2).sum(axis=1).mean())
    by_chance = spread * np.linalg.norm(weights, axis=1, keepdims=True)
    has_one = lengths > least_lift * by_chance
    return np.divide(lift, lengths, out=np.zeros_like(lift), where=has_one) * spread / 2


def compose(
    net: Network,
    fit: DirectionFit,
    inputs: object,
    rng: np.random.Generator,
    *,
    n_inputs: int = 50,
    n_exact: int = 20,
    least_lift: float = LEAST_LIFT,
) -> Composition:
    """Measure whether directions of one fit compose the function.

    Parameters
    ----------
    net : Network
    fit : DirectionFit
        Of the network's codes at the inputs (for the null model, of `shuffled_codes`).
    inputs : (N, dim_in) array
    rng : numpy.random.Generator
        Draws the inputs from which directions are added, and the relabelings of the test.
    n_inputs : int
        How many inputs directions are added to.
    n_exact : int
        How many parallelograms are looked at in rationals (none if the network is too large).
    least_lift : float
        See `input_changes`. With 0, directions of shuffled codes have changes too: they are random ones.

    Raises
    ------
    InputError
        If less than two directions have units and change the input, inputs and codes do not fit, no input is to
        be drawn, or fit or rng are something else.

    Examples
    --------
    >>> from polygeom.lens.directions import fit_directions
    >>> from polygeom.lens.planted import planted
    >>> rng = np.random.default_rng(0)
    >>> toy, X = planted(rng), rng.standard_normal((200, 2))
    >>> fit = fit_directions(spline_codes(toy.network, X), 4)
    >>> found = compose(toy.network, fit, X, rng, n_exact=2)
    >>> found.error.shape, len(found.exact.tightness)
    ((4, 4), 2)
    """
    as_network(net)
    as_generator(rng)
    if not isinstance(fit, DirectionFit):
        raise InputError(
            f"fit is a {type(fit).__name__}, wanted the DirectionFit that fit_directions returns."
        )
    as_count(n_inputs, "n_inputs", 1), as_count(n_exact, "n_exact")
    X = as_points(inputs, "inputs", net.dim_in)
    changes = input_changes(fit, X, least_lift)
    directions = fit.directions()
    kept = [k for k, d in enumerate(directions) if len(d) and changes[k].any()]
    if len(kept) < 2:
        raise InputError(
            f"{len(kept)} directions have units and change the input, wanted two or more. "
            "Fit other codes, or more directions."
        )
    changes, directions = changes[kept], [directions[k] for k in kept]
    some = X[np.sort(rng.choice(len(X), min(n_inputs, len(X)), replace=False))]
    found = interactions(net, spline_codes(net, some).letters, directions, X, exact=False)
    error, bends = _errors(net, some, changes)
    pairs = np.argwhere(np.triu(np.isfinite(found.strength) & np.isfinite(error), 1))
    n_drawn = n_exact if len(pairs) and net.exact().is_feasible else 0
    drawn = [
        (some[rng.integers(len(some))], *changes[pairs[rng.integers(len(pairs))]]) for _ in range(n_drawn)
    ]
    exact = ExactSecondDifferences.of(net, drawn)
    return Composition(
        interaction=found,
        error=freeze(error),
        bends=freeze(bends),
        overlap=freeze(_overlap(directions)),
        cosine=freeze(_cosine(changes)),
        changes=freeze(changes),
        exact=exact,
        p_value=mantel(found.strength, error, rng),
    )


def _errors(net: Network, X: np.ndarray, changes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean relative second difference of the function, and the mean share of bends."""
    base, code = net(X), _letters(net, X)
    single = [net(X + u) - base for u in changes]
    flips = [_letters(net, X + u) != code for u in changes]
    error, bends = np.full((2, len(changes), len(changes)), np.nan)
    for j in range(len(changes)):
        for k in range(j + 1, len(changes)):
            corner = X + changes[j] + changes[k]
            both = net(corner) - base
            second = np.linalg.norm(both - single[j] - single[k], axis=1)
            whole = sum(np.linalg.norm(d, axis=1) for d in (both, single[j], single[k]))
            relative = np.divide(second, whole, out=np.zeros_like(whole), where=whole > 0)
            error[j, k] = error[k, j] = relative.mean()
            bent = flips[j] | flips[k] | (_letters(net, corner) != code)
            bends[j, k] = bends[k, j] = bent.mean()
    return error, bends


def _letters(net: Network, X: np.ndarray) -> np.ndarray:
    return spline_codes(net, X).letters


def _overlap(directions: Sequence[CodeDirection]) -> np.ndarray:
    """Return units in common over units in all, (K, K)."""
    shared = np.array([[len(U.shared(V)) for V in directions] for U in directions])
    sizes = np.array([len(U) for U in directions])
    return shared / (sizes[:, None] + sizes[None] - shared)


def _cosine(changes: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(changes, axis=1)
    scale = np.outer(lengths, lengths)
    return np.divide(changes @ changes.T, scale, out=np.zeros_like(scale), where=scale > 0)


# -- statistics ------------------------------------------------------------------------------------------------


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's rank correlation; NaN for less than three values, or if one side does not vary."""
    from scipy.stats import rankdata

    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def mantel(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> float:
    """Return the one-sided p-value of the rank correlation of symmetric matrices, by relabeling one.

    NaN where the correlation is. Entries that are NaN in either matrix are left out.

    References
    ----------
    Mantel 1967, The detection of disease clustering and a generalized regression approach.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal(8)
    >>> distance = np.abs(x[:, None] - x)
    >>> mantel(distance, distance**2, np.random.default_rng(1)) < 0.01
    True
    """
    rows, columns = np.triu_indices(len(a), 1)

    def correlation(order: np.ndarray) -> float:
        left, right = a[np.ix_(order, order)][rows, columns], b[rows, columns]
        both = np.isfinite(left) & np.isfinite(right)
        return _spearman(left[both], right[both])

    observed = correlation(np.arange(len(a)))
    if np.isnan(observed):
        return float("nan")
    as_large = sum(correlation(rng.permutation(len(a))) >= observed for _ in range(PERMUTATIONS))
    return (1 + as_large) / (1 + PERMUTATIONS)


def rank_correlations(found: Sequence[Composition]) -> dict[str, Estimate]:
    """Return mean rank correlations with the error over networks, with bootstrap intervals, by predictor.

    The interaction, the bends, and the simpler predictors *overlap* and *cosine*. A network whose correlation
    does not exist is left out; n says how many are left.

    Raises
    ------
    InputError
        If one of them is no `Composition`.

    Examples
    --------
    >>> from polygeom.lens.directions import fit_directions
    >>> from polygeom.lens.planted import planted
    >>> def studied(seed):
    ...     rng = np.random.default_rng(seed)
    ...     net, X = planted(rng).network, rng.standard_normal((200, 2))
    ...     return compose(net, fit_directions(spline_codes(net, X), 4), X, rng, n_exact=0)
    >>> rank_correlations([studied(seed) for seed in range(3)])["interaction"].n  # one has no correlation
    2
    """
    every = tuple(found) if isinstance(found, Iterable) else (None,)
    if not all(isinstance(one, Composition) for one in every):
        raise InputError(f"found is {found!r:.60}, wanted some results of compose.")
    values = {
        "interaction": [one.rank_correlation for one in every],
        "bends": [one.correlation_with(one.bends) for one in every],
        "overlap": [one.correlation_with(one.overlap) for one in every],
        "cosine": [one.correlation_with(np.abs(one.cosine)) for one in every],
    }
    return {
        name: bootstrapped(np.array([v for v in some if np.isfinite(v)])) for name, some in values.items()
    }
