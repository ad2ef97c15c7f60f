"""Clusters of activations and of spline codes, by HDBSCAN.

The protocol of the polytope lens: activations by Euclidean distance, codes by Hamming distance; clustering and
not a reduction of dimension, since it keeps what holds locally. All distances come from one product of matrices.
The hierarchy is that of `polygeom.lens.cluster_tree`, since Hamming distances tie, which scikit-learn's
HDBSCAN is not made for; without ties the clusters are the same.

What clusters mean is told by labels from outside (WordNet groups, tokens), always beside what chance would give:
large groups make large purities.

Source: Campello, Moulavi, Sander 2013 (HDBSCAN); Black, Sharkey et al. 2022, Interpreting neural networks
through the polytope lens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.arrays import as_count, as_generator, as_index, freeze
from polygeom.codes import SplineCodes, as_codes
from polygeom.errors import InputError, MissingPackageError
from polygeom.lens.cluster_tree import CondensedTree, condensed_tree
from polygeom.lens.distances import euclidean_distances, hamming_distances
from polygeom.lens.saved import Saved
from polygeom.threads import one_blas_thread

__all__ = ["Clustering", "Meaning", "cluster", "meaning"]

SHUFFLES = 200
"""Permutations of labels from which the purity by chance is taken."""


@dataclass(frozen=True, eq=False)
class Clustering(Saved):
    """Clusters of N points, and how they were found.

    Attributes
    ----------
    labels : (N,) integer array
        The cluster of each point, from 0; -1 is noise.
    strengths : (N,) array
        How firmly each belongs to its cluster, from 0 to 1; 0 for noise.
    exemplars : (K, E) integer array
        Of every cluster the members with the smallest mean distance to the others, the most central first; -1
        where there are fewer.
    radii : (K,) array
        Mean distance of the first exemplar to the other members.
    tree : CondensedTree
        Clusters within clusters, from which these were chosen.
    metric : str
        ``"euclidean"`` or ``"hamming"`` (numbers of letters).
    min_cluster_size, min_samples : int
    selection : str
        ``"eom"`` or ``"leaf"``: how clusters were chosen from the tree.
    n_distinct : int
        Distinct points; codes may coincide.
    """

    labels: np.ndarray
    strengths: np.ndarray
    exemplars: np.ndarray
    radii: np.ndarray
    tree: CondensedTree
    metric: str
    min_cluster_size: int
    min_samples: int
    selection: str
    n_distinct: int

    def __len__(self) -> int:
        return len(self.exemplars)

    def __repr__(self) -> str:
        how = f"{self.metric}, at least {self.min_cluster_size}, min_samples {self.min_samples}, {self.selection}"
        if not len(self):
            return (
                f"Clustering(all {len(self.labels)} points are noise; {how}; smaller sizes may find clusters)"
            )
        return f"Clustering({len(self)} clusters of {len(self.labels)} points, {self.noise:.0%} noise; {how})"

    @property
    def noise(self) -> float:
        """Share of points in no cluster."""
        return float((self.labels < 0).mean())

    @property
    def sizes(self) -> np.ndarray:
        """Numbers of members (K,)."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self))

    def members(self, i: int) -> np.ndarray:
        """Return the points of a cluster, the firmest first.

        Raises
        ------
        InputError
            If there is no such cluster.
        """
        as_index(i, len(self), "cluster")
        found = np.flatnonzero(self.labels == i)
        return found[np.argsort(-self.strengths[found], kind="stable")]

    def regions(self, codes: object) -> np.ndarray:
        """Return how many distinct codes the members of each cluster have, (K,).

        Raises
        ------
        InputError
            If the codes are not those of the same points.
        """
        if len(codes) != len(self.labels):
            raise InputError(f"There are {len(codes)} codes and {len(self.labels)} points; wanted as many.")
        packed = as_codes(codes).packed
        return np.array([len(np.unique(packed[self.labels == i], axis=0)) for i in range(len(self))], int)


def cluster(
    points: object,
    min_cluster_size: int = 5,
    min_samples: int | None = None,
    *,
    selection: str = "eom",
    n_exemplars: int = 9,
) -> Clustering:
    """Return the clusters that HDBSCAN finds among activations, or among codes.

    Parameters
    ----------
    points : (N, n) array or SplineCodes
        Activations are compared by Euclidean distance, codes by Hamming distance.
    min_cluster_size : int
        Fewer are noise.
    min_samples : int, optional
        Neighbors, a point itself included, that its density is taken from; min_cluster_size by default.
    selection : str
        ``"eom"``: the clusters that last longest; ``"leaf"``: the finest ones.
    n_exemplars : int
        Per cluster.

    Returns
    -------
    Clustering
        Perhaps without a cluster, where all points are noise; its text says so.

    Raises
    ------
    InputError
        If there are too few points, all are equal, or a parameter is out of range.
    TooLargeError
        If there are too many points for a matrix of distances.

    Notes
    -----
    Cost: one product N x n x N and three N x N matrices of float64; 1000 x 832 takes a second, 10 000 x 3072 half
    a minute and 3 GB.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> points = np.concatenate([rng.normal(size=(20, 3)), 50 + rng.normal(size=(20, 3))])
    >>> found = cluster(points)
    >>> found
    Clustering(2 clusters of 40 points, 0% noise; euclidean, at least 5, min_samples 5, eom)
    >>> [set(found.labels[:20].tolist()), set(found.labels[20:].tolist())]
    [{0}, {1}]
    """
    if not hasattr(points, "__len__"):
        raise InputError(f"points is a {type(points).__name__}, wanted an array (N, n) or SplineCodes.")
    n = len(points)
    as_count(min_cluster_size, "min_cluster_size", 2)
    samples = min_cluster_size if min_samples is None else as_count(min_samples, "min_samples", 1)
    as_count(n_exemplars, "n_exemplars", 1)
    if selection not in ("eom", "leaf"):
        raise InputError(f"selection is {selection!r}, wanted 'eom' or 'leaf'.")
    if n < max(min_cluster_size, samples) + 1:
        raise InputError(
            f"There are {n} points, too few for clusters of at least {min_cluster_size} with min_samples "
            f"{samples}. Give more points, or smaller sizes."
        )
    metric = "hamming" if isinstance(points, SplineCodes) else "euclidean"
    rows = points.packed if metric == "hamming" else np.asarray(points)
    with one_blas_thread(rows.size):
        distances = hamming_distances(points) if metric == "hamming" else euclidean_distances(points)
    n_distinct = len(np.unique(rows, axis=0))
    if n_distinct == 1:
        raise InputError(
            f"All {n} points are equal: there is nothing to cluster. Likely cause: dead units, or constant codes."
        )
    tree = condensed_tree(distances.copy(), min_cluster_size, samples)
    labels, strengths = tree.members(tree.most_stable() if selection == "eom" else tree.finest())
    exemplars, radii = _central(distances, labels, n_exemplars)
    return Clustering(
        labels=freeze(labels),
        strengths=freeze(strengths),
        exemplars=freeze(exemplars),
        radii=freeze(radii),
        tree=tree,
        metric=metric,
        min_cluster_size=int(min_cluster_size),
        min_samples=int(samples),
        selection=selection,
        n_distinct=n_distinct,
    )


def _central(distances: np.ndarray, labels: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the n most central members of every cluster, and the mean distance of the first to the others."""
    k = labels.max(initial=-1) + 1
    exemplars, radii = np.full((k, n), -1), np.zeros(k)
    for i in range(k):
        members = np.flatnonzero(labels == i)
        means = distances[np.ix_(members, members)].sum(axis=1) / (len(members) - 1)
        order = np.argsort(means, kind="stable")[:n]
        exemplars[i, : len(order)] = members[order]
        radii[i] = means[order[0]]
    return exemplars, radii


# -- meaning ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Meaning(Saved):
    """What labels from outside say of clusters.

    Attributes
    ----------
    names : (L,) array
        The labels that occur.
    counts : (K, L) integer array
        Members of every cluster by label.
    purity : (K,) array
        Share of the most frequent label in each cluster.
    by_chance : (K,) array
        The same with the labels of all clustered points shuffled, on average.
    p_values : (K,) array
        Share of shuffles (the true labels counted in) with at least this purity.
    adjusted_information : float
        Mutual information of clusters and labels of the clustered points, 0 by chance and 1 where they agree.
    """

    names: np.ndarray
    counts: np.ndarray
    purity: np.ndarray
    by_chance: np.ndarray
    p_values: np.ndarray
    adjusted_information: float

    @property
    def total(self) -> float:
        """Share of the clustered points whose label is the most frequent one of their cluster."""
        return float(self.counts.max(axis=1).sum() / self.counts.sum())

    @property
    def total_by_chance(self) -> float:
        """The same with labels shuffled."""
        sizes = self.counts.sum(axis=1)
        return float((self.by_chance * sizes).sum() / sizes.sum())

    @property
    def top(self) -> np.ndarray:
        """The most frequent label of every cluster (K,)."""
        return self.names[self.counts.argmax(axis=1)]


def meaning(clustering: Clustering, labels: object, rng: np.random.Generator) -> Meaning:
    """Compare clusters with labels from outside.

    Parameters
    ----------
    labels : (N,) array
        Of the points that were clustered: WordNet groups, tokens.
    rng : np.random.Generator
        For the shuffles.

    Raises
    ------
    InputError
        If there are no clusters, or another number of labels.
    MissingPackageError
        If scikit-learn is not installed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = cluster(np.concatenate([rng.normal(size=(20, 3)), 50 + rng.normal(size=(20, 3))]))
    >>> told = meaning(found, ["a"] * 20 + ["b"] * 20, rng)
    >>> told.purity, told.top.tolist(), told.adjusted_information
    (array([1., 1.]), ['a', 'b'], 1.0)
    """
    as_generator(rng)
    try:
        from sklearn.metrics import adjusted_mutual_info_score
    except ImportError:
        raise MissingPackageError("Comparing clusters with labels", "scikit-learn", extra="lens") from None
    given = np.asarray(labels)
    if given.shape != clustering.labels.shape:
        raise InputError(
            f"labels has shape {given.shape}, wanted one for each of {len(clustering.labels)} points."
        )
    if not len(clustering):
        raise InputError("There are no clusters: all points are noise. Cluster with smaller sizes.")
    inside = clustering.labels >= 0
    names, which = np.unique(given, return_inverse=True)
    clusters, which = clustering.labels[inside], which[inside]
    shape = (len(clustering), len(names))
    counts = _table(clusters, which, shape)
    sizes = counts.sum(axis=1)
    shuffled = np.stack(
        [_table(clusters, rng.permutation(which), shape).max(axis=1) / sizes for _ in range(SHUFFLES)]
    )
    purity = counts.max(axis=1) / sizes
    return Meaning(
        freeze(names),
        freeze(counts),
        freeze(purity),
        freeze(shuffled.mean(axis=0)),
        freeze((1 + (shuffled >= purity).sum(axis=0)) / (1 + SHUFFLES)),
        float(adjusted_mutual_info_score(which, clusters)),
    )


def _table(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)
