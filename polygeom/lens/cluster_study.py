r"""Everything that is asked of clusters of one layer, beside null models: the prediction on polysemantic neurons.

Points are compared in one of three ways: by their *codes* (Hamming distance), by their *activations* (Euclidean
distance), or by the *directions* of these, activations over their lengths. The last is what is left if length does
not matter, as it does not in a bias-free network: where clusters of directions say as much as clusters of codes,
they do not speak for polytopes.

Null models. *Shuffled points*: every unit shuffled over the points by itself, which keeps how often each letter
(each activation) occurs and destroys what units share; how many clusters are found there, and how many points are
in them. *Shuffled labels*: the purity that clusters, and parts of the strongest inputs of neurons, have by chance.

Intervals. Purity: a bootstrap over clusters of :math:`\log(\text{purity} / \text{purity by chance})`. Neurons of a
layer share their inputs and are no independent sample, so what clusters add to them is computed again on random
halves of the inputs, clusters as they are: with n/2 of n drawn without replacement the variance around the whole
is that of the whole (McCarthy 1969, balanced half-samples). Neither counts that the clusters themselves were found
on these points.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from polygeom.arrays import as_count, as_generator, as_matrix, freeze
from polygeom.codes import SplineCodes, as_codes
from polygeom.errors import InputError
from polygeom.lens.clusters import Clustering, cluster, meaning
from polygeom.lens.density import sampled_class_density
from polygeom.lens.distances import euclidean_distances
from polygeom.lens.estimates import CONFIDENCE, Estimate, bootstrapped
from polygeom.lens.pairing import matched_partners
from polygeom.lens.polysemantic import polysemanticity
from polygeom.lens.saved import Saved

__all__ = ["WAYS", "ClusterStudy", "cluster_density", "study_clusters"]

WAYS = ("codes", "directions", "activations")
"""How points may be compared."""

SMALLEST, SAMPLES = 5, 2
"""Fewest members of a cluster, and neighbors that density is taken from: as in *polysemantic-neurons*."""

MOST_PAIRS = 500
"""Pairs within clusters whose density is compared with that of pairs that leave them."""

FEW = 20
"""Random parts of a neuron's inputs on every half: the mean over neurons needs no more."""

SIGNIFICANT = 0.01
"""A cluster counts as pure beyond chance if so small a share of shuffles is as pure."""

RESAMPLES, BATCH = 2000, 200
"""Of pairs, for the interval of a ratio of densities; and how many at once."""

NOTHING = Estimate(float("nan"), float("nan"), float("nan"), 0)


@dataclass(frozen=True, eq=False)
class ClusterStudy(Saved):
    """Clusters of one layer, what they mean, and what they do to its neurons.

    Numbers about clusters are NaN where there are none.

    Attributes
    ----------
    way : str
        One of `WAYS`.
    clustering : Clustering
    null_clusters, null_noise : (S,) arrays
        Clusters found among shuffled points, and the share of these in none.
    top : (K,) string array
        The most frequent label of each cluster.
    purity, by_chance : (K,) arrays
        Share of that label, and what shuffled labels have on average.
    p_values : (K,) array
        Share of shuffles of labels with at least this purity.
    pure : Estimate
        Mean of log(purity / by chance) over clusters.
    information : float
        Adjusted mutual information of clusters and labels.
    regions : (K,) integer array
        Distinct codes of the members of each cluster.
    density : Estimate
        Log ratio of the density of boundaries on segments that leave a cluster to that within, equally long.
    together, apart, apart_by_chance : float
        Means over neurons judged: share of the most frequent label among the strongest inputs, the same parted by
        clusters, and parted at random.
    cut : float
        Clusters that a neuron's strongest inputs are in, on average.
    judged, neurons : int
        Neurons through several clusters, and neurons that are not dead.
    taken_apart : Estimate
        log(apart / apart by chance), with an interval over inputs.
    """

    way: str
    clustering: Clustering
    null_clusters: np.ndarray
    null_noise: np.ndarray
    top: np.ndarray
    purity: np.ndarray
    by_chance: np.ndarray
    p_values: np.ndarray
    pure: Estimate
    information: float
    regions: np.ndarray
    density: Estimate
    together: float
    apart: float
    apart_by_chance: float
    cut: float
    judged: int
    neurons: int
    taken_apart: Estimate

    def __str__(self) -> str:
        found = self.clustering
        beside = f"shuffled points: {self.null_clusters.mean():.1f}, {self.null_noise.mean():.0%}"
        if not len(found):
            return f"by {self.way}: no clusters, all {len(found.labels)} points are noise ({beside})"
        return (
            f"by {self.way}: {len(found)} clusters, {found.noise:.0%} noise ({beside}); "
            f"purity {self.total:.2f}, by chance {self.total_by_chance:.2f}, ratio {self.pure.ratio}, "
            f"{self.significant} with p <= {SIGNIFICANT}; {self.regions.sum()} regions of {found.sizes.sum()} "
            f"members; density outside over inside {self.density.ratio}; {self.judged} of {self.neurons} neurons "
            f"cut through {self.cut:.1f} clusters, purity {self.together:.2f} together, {self.apart:.2f} apart, "
            f"{self.apart_by_chance:.2f} apart by chance, ratio {self.taken_apart.ratio}"
        )

    @property
    def total(self) -> float:
        """Share of the points in clusters that have the most frequent label of theirs."""
        return _weighted(self.purity, self.clustering.sizes)

    @property
    def total_by_chance(self) -> float:
        """The same with labels shuffled."""
        return _weighted(self.by_chance, self.clustering.sizes)

    @property
    def significant(self) -> int:
        """Clusters that are pure beyond chance, each by itself (p <= 0.01)."""
        return int((self.p_values <= SIGNIFICANT).sum())


def _weighted(values: np.ndarray, sizes: np.ndarray) -> float:
    return float((values * sizes).sum() / sizes.sum()) if len(sizes) else float("nan")


def study_clusters(
    activations: object,
    codes: object,
    labels: object,
    rng: np.random.Generator,
    way: str = "codes",
    *,
    n_null: int = 10,
    n_halves: int = 20,
    top: int = 50,
    progress: bool = False,
) -> ClusterStudy:
    """Cluster the points of one layer, and ask everything of the clusters.

    Clusters are the finest ones (`leaf`) of at least five points.

    Parameters
    ----------
    activations : (N, n) array
        Whose columns are the neurons.
    codes : SplineCodes or (N, n_units) integer array
        Of the same points.
    labels : (N,) array
        From outside: WordNet groups, tokens.
    rng : numpy.random.Generator
        For the null models, pairs and halves.
    way : {"codes", "directions", "activations"}
        What is compared.
    n_null : int
        How many times points are shuffled and clustered.
    n_halves : int
        Halves of the inputs from which the interval of what neurons gain is taken, at least 2.
    top : int
        Strongest inputs of a neuron that are looked at, at least 4.
    progress : bool
        Whether a bar counts clusterings of shuffled points, and halves.

    Raises
    ------
    InputError
        On an unknown way, numbers of points that do not agree, or as `cluster`.

    Notes
    -----
    Cost: 1 + n_null clusterings, and 1 + n_halves times `polysemanticity`; 1000 x 832 with the defaults takes
    three seconds.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(size=(30, 2)) + center for center in ([50, 0], [50, 50], [0, 50])])
    >>> codes, labels = SplineCodes((X > 25).astype(np.uint8)), np.repeat(["a", "b", "c"], 30)
    >>> found = study_clusters(X, codes, labels, rng, "activations", n_null=2, n_halves=2, top=40)
    >>> found.total, found.apart, int(found.regions.max())  # each cluster lies in one cell of these codes
    (1.0, 1.0, 1)
    """
    as_generator(rng)
    X, codes, given = as_matrix(activations, "activations"), as_codes(codes), np.asarray(labels)
    if way not in WAYS:
        raise InputError(f"way is {way!r}, wanted one of {', '.join(map(repr, WAYS))}.")
    if not len(X) == len(codes) == len(given):
        raise InputError(
            f"There are {len(X)} activations, {len(codes)} codes and {len(given)} labels; wanted as many of each."
        )
    as_count(n_null, "n_null", 1), as_count(n_halves, "n_halves", 2)
    if not 4 <= as_count(top, "top") <= len(X):
        raise InputError(
            f"top is {top}, wanted between 4 (halves have half as many) and {len(X)}, the inputs."
        )
    from tqdm import tqdm

    compared = codes.letters if way == "codes" else X if way == "activations" else _directions(X)
    found = _clusters(compared)
    with tqdm(desc="study", total=n_null + n_halves, disable=not progress) as bar:
        null = []
        for _ in range(n_null):
            null.append(_clusters(rng.permuted(compared, axis=0)))
            bar.update()
        halves = _counted(_halves(len(X), n_halves, rng), bar.update)
        numbers = _meaning(found, given, rng) | _neurons(X, found, given, rng, top, halves)
    return ClusterStudy(
        way=way,
        clustering=found,
        null_clusters=freeze(np.array([len(one) for one in null])),
        null_noise=freeze(np.array([one.noise for one in null])),
        regions=freeze(found.regions(codes)),
        density=cluster_density(found, X, codes, rng),
        **numbers,
    )


def _clusters(points: np.ndarray) -> Clustering:
    whole = np.ascontiguousarray(points)
    return cluster(
        SplineCodes(whole) if whole.dtype.kind == "u" else whole, SMALLEST, SAMPLES, selection="leaf"
    )


def _directions(X: np.ndarray) -> np.ndarray:
    """Return vectors over their lengths; 0 stays 0."""
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    return np.divide(X, lengths, out=np.zeros_like(X, dtype=np.float64), where=lengths > 0)


def _meaning(found: Clustering, labels: np.ndarray, rng: np.random.Generator) -> dict[str, object]:
    if not len(found):
        none = freeze(np.zeros(0))
        numbers = dict.fromkeys(("purity", "by_chance", "p_values"), none)
        return numbers | {"top": freeze(np.zeros(0, np.str_)), "pure": NOTHING, "information": float("nan")}
    told = meaning(found, labels, rng)
    return {
        "top": freeze(told.top.astype(np.str_)),
        "purity": told.purity,
        "by_chance": told.by_chance,
        "p_values": told.p_values,
        "pure": bootstrapped(np.log(told.purity / told.by_chance)),
        "information": told.adjusted_information,
    }


def _counted(halves: Iterator[np.ndarray], advance: Callable[[], object]) -> Iterator[np.ndarray]:
    for half in halves:
        yield half
        advance()


def _neurons(
    X: np.ndarray,
    found: Clustering,
    labels: np.ndarray,
    rng: np.random.Generator,
    top: int,
    halves: Iterator[np.ndarray],
) -> dict[str, object]:
    """Return what clusters do to neurons, on all inputs and with an interval from halves of them."""
    names = ("together", "apart", "apart_by_chance", "cut")
    if not len(found):
        nothing = dict.fromkeys(names, float("nan"))
        return nothing | {"judged": 0, "neurons": 0, "taken_apart": NOTHING}
    whole = polysemanticity(X, found, labels, rng, top=top)
    some = whole.judged
    means = [
        float(a[some].mean()) if some.any() else float("nan")
        for a in (whole.together, whole.apart, whole.by_chance)
    ]
    gain = float(np.log(means[1] / means[2]))
    gains = np.array(
        [
            _gain(X[half], replace(found, labels=found.labels[half]), labels[half], rng, top // 2)
            for half in halves
        ]
    )
    return {
        **dict(zip(names, [*means, float(whole.clusters.mean())], strict=True)),
        "judged": int(some.sum()),
        "neurons": len(some),
        "taken_apart": _normal(gain, gains),
    }


def _halves(n: int, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    for _ in range(count):
        yield np.sort(rng.permutation(n)[: n // 2])


def _gain(X: np.ndarray, found: Clustering, labels: np.ndarray, rng: np.random.Generator, top: int) -> float:
    told = polysemanticity(X, found, labels, rng, top=top, shuffles=FEW)
    if not told.judged.any():
        return float("nan")
    return float(np.log(told.apart[told.judged].mean() / told.by_chance[told.judged].mean()))


def _normal(value: float, halves: np.ndarray) -> Estimate:
    """Return a value with the normal interval whose standard deviation is that of half-samples."""
    from scipy.stats import norm

    reach = float(norm.ppf((1 + CONFIDENCE) / 2) * halves.std(ddof=1))
    return Estimate(value, value - reach, value + reach, len(halves))


def cluster_density(found: Clustering, points: object, codes: object, rng: np.random.Generator) -> Estimate:
    """Return the log ratio of the density of boundaries on segments that leave a cluster to that within.

    Density is Hamming distance of codes over distance; for the codes of one layer that is affine in the points it
    is the exact number of boundaries on the segment. Every segment within a cluster stands beside one from the
    same point out of the cluster that is nearest to it in length. Where the clusters were made from the same
    codes, that they are dense outside is true in part by construction; for codes of the next layer it is not.
    The interval is over segments, taken for independent: those that share an end are not quite.

    Parameters
    ----------
    found : Clustering
    points : (N, n) array
        That were clustered, or from which codes were read.
    codes : SplineCodes or (N, n_units) integer array
        Whose boundaries are counted.
    rng : numpy.random.Generator
        Draws the pairs.

    Raises
    ------
    InputError
        If points or codes are not as many as were clustered, or rng is no generator of numpy.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(size=(30, 1)), 50 + rng.normal(size=(30, 1))])
    >>> walls = SplineCodes((X > np.arange(20, 30)).astype(np.uint8))
    >>> cluster_density(cluster(X), X, walls, rng).n  # no boundary within: there is no ratio
    0
    """
    as_generator(rng)
    if not isinstance(found, Clustering):
        raise InputError(f"found is a {type(found).__name__}, wanted the Clustering that cluster returns.")
    X, letters = as_matrix(points, "points"), as_codes(codes)
    for name, given in (("points", X), ("codes", letters)):
        if len(given) != len(found.labels):
            raise InputError(
                f"There are {len(given)} {name}, wanted the {len(found.labels)} that were clustered."
            )
    if not len(found):
        return NOTHING
    alone = found.labels < 0
    classes = np.where(alone, len(found) + np.cumsum(alone), found.labels)  # noise has no company
    n = min(MOST_PAIRS, int((~alone).sum()))
    rows = matched_partners(classes, euclidean_distances(X), rng, n)
    first, same, other = rows.T
    apart = [(X[first] != X[to]).any(axis=1) for to in (same, other)]
    within, between = sampled_class_density(X, letters, rows[apart[0] & apart[1]]).T
    return _ratio_of_means(between, within)


def _ratio_of_means(a: np.ndarray, b: np.ndarray) -> Estimate:
    """Return log(mean a / mean b) with its bootstrap interval over pairs; nothing where a mean is 0.

    Unlike the mean of logarithms it takes pairs without any boundary between them.
    """
    from scipy.stats import DegenerateDataWarning, bootstrap

    if len(a) < 2 or not a.any() or not b.any():
        return NOTHING

    def log_ratio(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        with np.errstate(divide="ignore"):  # a resample may be without any boundary
            return np.log(a.mean(axis=axis) / b.mean(axis=axis))

    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # an end between infinite resamples is NaN
        found = bootstrap(
            (a, b),
            log_ratio,
            paired=True,
            n_resamples=RESAMPLES,
            batch=BATCH,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
    return Estimate(float(log_ratio(a, b, 0)), float(found.low), float(found.high), len(a))
