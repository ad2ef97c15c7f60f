r"""Clusters of activations beside codes: how few directions tell them, and nested cells beside their tree.

*Directions.* Membership in a cluster is a function of the point, 0 or 1. Directions of codes are added one by
one, each time the one that helps least squares most, on half of the members of every cluster and of the noise;
how much of the variance is explained is measured on the other half. A small region may show several features
at once: then a cluster needs several directions. Beside it stands the null model: directions of shuffled
codes, scored on the same codes.

*Levels.* The codes of the first l layers cut the points into cells, finer with every layer. HDBSCAN's
condensed tree (`polygeom.lens.cluster_tree`) is made of clusters within clusters. Both are compared at every split
of the tree (adjusted Rand index, share of a cluster that is in one cell), and, as cells of few points say little,
by the rank correlation of distances: Hamming distance of the codes of the first l layers, and height at which two
points part in the tree.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from polygeom.arrays import as_array, as_count, as_generator, freeze
from polygeom.codes import as_codes
from polygeom.errors import InputError
from polygeom.lens.cluster_tree import CondensedTree, condensed_tree
from polygeom.lens.directions import DirectionFit, fit_directions, shuffled_codes
from polygeom.lens.distances import euclidean_distances, hamming_distances
from polygeom.lens.saved import Saved
from polygeom.network import Network, as_network

__all__ = ["ClustersByDirections", "CodeLevels", "clusters_by_directions", "code_levels"]

MOST_POINTS = 5000
"""Points of which all distances are kept (200 MB each)."""

FEWEST_MEMBERS = 6
"""Members a cluster needs to be halved and judged."""


# -- clusters by directions ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ClustersByDirections(Saved):
    """How much of the membership in each cluster few directions explain (first axis: codes, shuffled codes).

    Attributes
    ----------
    labels, sizes : (C,) integer arrays
        The clusters judged; those of less than six members are left out.
    explained : (2, C, M) array
        Share of the variance explained by the best 1 to M directions, on points not used to choose them;
        negative if worse than the mean.
    chosen : (2, C, M) integer array
        Which direction was added at each step.
    whole : (2, C) array
        The same share by all directions.
    """

    labels: np.ndarray
    sizes: np.ndarray
    explained: np.ndarray
    chosen: np.ndarray = field(repr=False)
    whole: np.ndarray

    def needed(self, share: float = 0.9) -> np.ndarray:
        """Return the fewest directions that explain this share of what all do, by cluster; 0 if M do not."""
        enough = self.explained[0] >= share * self.whole[0][:, None]
        return np.where(enough.any(axis=1), enough.argmax(axis=1) + 1, 0)

    def __str__(self) -> str:
        weights = self.sizes / self.sizes.sum()
        one, most, whole = (
            f"{weights @ a[0]:.2f} ({weights @ a[1]:.2f})"
            for a in (self.explained[:, :, 0], self.explained[:, :, -1], self.whole)
        )
        return (
            f"{len(self.labels)} clusters: membership explained by one direction {one}, by "
            f"{self.explained.shape[2]} {most}, by all {whole}; in brackets by directions of shuffled codes"
        )


def clusters_by_directions(
    labels: object, codes: object, fit: DirectionFit, rng: np.random.Generator, most: int = 3
) -> ClustersByDirections:
    """Measure how much of each cluster few directions of codes explain.

    Parameters
    ----------
    labels : (N,) integer array
        The cluster of each point, -1 for noise.
    codes : (N, n_units) array or SplineCodes
    fit : DirectionFit
        Of such codes.
    rng : numpy.random.Generator
        Halves clusters, and shuffles codes.
    most : int
        Directions that are added.

    Raises
    ------
    InputError
        If labels and codes differ in number, no cluster has six members (all noise), or one has all points.

    Examples
    --------
    >>> on, off = [1, 1, 1], [0, 0, 0]
    >>> codes = np.array([on + off, off + on] * 10, dtype=np.uint8)
    >>> fit, rng = fit_directions(codes, 2), np.random.default_rng(0)
    >>> found = clusters_by_directions([0, 1] * 10, codes, fit, rng, most=1)
    >>> found.explained[0].round(3)
    array([[1.],
           [1.]])
    """
    as_generator(rng)
    if not isinstance(fit, DirectionFit):
        raise InputError(
            f"fit is a {type(fit).__name__}, wanted the DirectionFit that fit_directions returns."
        )
    assigned = np.asarray(labels).reshape(-1)
    if assigned.dtype.kind not in "iu":
        raise InputError(f"labels are {assigned.dtype}, wanted integers: the labels of a Clustering.")
    letters = as_codes(codes).letters
    if len(assigned) != len(letters):
        raise InputError(f"{len(assigned)} labels were given for {len(letters)} codes.")
    judged, sizes = np.unique(assigned[assigned >= 0], return_counts=True)
    judged, sizes = judged[sizes >= FEWEST_MEMBERS], sizes[sizes >= FEWEST_MEMBERS]
    if not len(judged):
        raise InputError(
            f"No cluster has {FEWEST_MEMBERS} members; {np.count_nonzero(assigned < 0)} of {len(assigned)} points "
            "are noise. Cluster with a smaller min_cluster_size, or more points."
        )
    if judged.size == 1 and sizes[0] == len(assigned):
        raise InputError(
            f"All {len(assigned)} points are in one cluster: membership does not vary, and nothing explains it. "
            "Give the labels of several clusters, or with noise (-1)."
        )
    if not 1 <= as_count(most, "most") <= len(fit):
        raise InputError(f"most is {most}, wanted between 1 and the {len(fit)} directions there are.")
    null = fit_directions(shuffled_codes(letters, rng), len(fit), fit.method, fit.seed)
    fitted = np.zeros(len(assigned), dtype=bool)
    for label in np.unique(assigned):
        members = rng.permutation(np.flatnonzero(assigned == label))
        fitted[members[::2]] = True
    results = [
        [_forward(one.transform(letters), assigned == label, fitted, most) for label in judged]
        for one in (fit, null)
    ]
    explained, chosen, whole = (np.array([[r[i] for r in row] for row in results]) for i in range(3))
    return ClustersByDirections(*(freeze(a) for a in (judged, sizes, explained, chosen, whole)))


def _forward(
    scores: np.ndarray, member: np.ndarray, fitted: np.ndarray, most: int
) -> tuple[list[float], list[int], float]:
    """Add directions by forward selection; return held-out shares, the directions, and the share by all."""
    target = member.astype(np.float64)
    chosen: list[int] = []
    shares = []
    for _ in range(most):
        others = [k for k in range(scores.shape[1]) if k not in chosen]
        left = [_explained(scores[:, [*chosen, k]], target, fitted, fitted) for k in others]
        chosen.append(others[int(np.argmax(left))])
        shares.append(_explained(scores[:, chosen], target, fitted, ~fitted))
    return shares, chosen, _explained(scores, target, fitted, ~fitted)


def _explained(scores: np.ndarray, target: np.ndarray, fitted: np.ndarray, judged: np.ndarray) -> float:
    """Return the share of variance that least squares on some points explains on others."""
    design = np.column_stack([scores, np.ones(len(scores))])
    weights = np.linalg.lstsq(design[fitted], target[fitted], rcond=None)[0]
    missed = target[judged] - design[judged] @ weights
    return 1.0 - float((missed**2).sum() / ((target[judged] - target[fitted].mean()) ** 2).sum())


# -- levels ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class CodeLevels(Saved):
    """Cells of code prefixes beside the condensed tree of HDBSCAN (an axis of 2: codes, shuffled codes).

    Attributes
    ----------
    layers : tuple of str
    cells : (L,) integer array
        Cells that the codes of the first l layers cut the points into.
    alone : (L,) array
        Share of the points that have a cell for themselves.
    heights : (T,) array
        Heights of the tree's splits, from the top.
    clusters, noise : (T,) integer arrays
        Clusters just below each split, and points in none.
    agreement : (2, L, T) array
        Adjusted Rand index of cells and clusters, over the points in clusters.
    together : (2, L, T) array
        Mean share of a cluster's points that are in one cell, clusters weighted by size.
    correlation : (2, L) array
        Rank correlation of Hamming distance and height in the tree, over all pairs of points; NaN if one of
        them does not vary.
    """

    layers: tuple[str, ...]
    cells: np.ndarray
    alone: np.ndarray
    heights: np.ndarray
    clusters: np.ndarray
    noise: np.ndarray
    agreement: np.ndarray
    together: np.ndarray
    correlation: np.ndarray

    def __str__(self) -> str:
        splits = len(self.heights)
        lines = [
            f"{splits} splits, up to {self.clusters.max(initial=1)} clusters; in brackets shuffled codes"
        ]
        for k, layer in enumerate(self.layers):
            best = [float(a[k].max()) if splits else float("nan") for a in self.agreement]
            lines.append(
                f"to {layer}: {self.cells[k]} cells, {self.alone[k]:.0%} of the points alone, rank correlation "
                f"{self.correlation[0, k]:.2f} ({self.correlation[1, k]:.2f}), best agreement {best[0]:.2f} "
                f"({best[1]:.2f})"
            )
        return "\n".join(lines)


def code_levels(
    net: Network,
    codes: object,
    activations: object,
    rng: np.random.Generator,
    *,
    min_cluster_size: int = 5,
) -> CodeLevels:
    """Compare nested cells of code prefixes with HDBSCAN's condensed tree.

    Parameters
    ----------
    net : Network
        Whose gates are the layers.
    codes : (N, n_units) array or SplineCodes
    activations : (N, n) array
        What is clustered, by Euclidean distance: of the same points.
    rng : numpy.random.Generator
        Shuffles codes for the null model.
    min_cluster_size : int
        Also the number of neighbors, itself included, that make a point's core distance.

    Raises
    ------
    InputError
        If codes and activations differ in number, on clusters of fewer than two, on too few points, or more than
        5000 (all distances are kept).

    Notes
    -----
    Cost: N^2 distances, several times.

    Examples
    --------
    >>> net = Network.from_layers([([[1.0]], [0]), ([[1.0]], [-3.0]), ([[1.0]], [0])])
    >>> x = np.concatenate([np.linspace(-2, -1, 20), np.linspace(1, 2, 20), np.linspace(5, 6, 20)])[:, None]
    >>> codes = np.column_stack([x > 0, x > 3]).astype(np.uint8)
    >>> found = code_levels(net, codes, x, np.random.default_rng(0))
    >>> found.cells, found.agreement[0].max(axis=1).round(2)
    (array([2, 3]), array([0.56, 1.  ]))
    """
    as_generator(rng)
    as_network(net)
    letters, X = as_codes(codes).letters, as_array(activations, "activations")
    if X.ndim != 2 or len(X) != len(letters) or letters.shape[1] != net.n_units:
        raise InputError(
            f"activations have shape {X.shape} and codes {letters.shape}; wanted (N, n) and (N, {net.n_units})."
        )
    as_count(min_cluster_size, "min_cluster_size", 2)
    if not 2 * min_cluster_size <= len(X) <= MOST_POINTS:
        raise InputError(
            f"{len(X)} points were given, wanted between {2 * min_cluster_size} (two clusters of "
            f"min_cluster_size={min_cluster_size}) and {MOST_POINTS}."
        )
    tree = condensed_tree(euclidean_distances(X), min_cluster_size, min_cluster_size)
    splits = np.unique(tree.births[1:])
    flat = [_clusters_at(tree, at) for at in splits]
    apart = -_parting(tree)[np.triu_indices(len(X), 1)]
    versions = (letters, shuffled_codes(letters, rng))
    ends = [gate.first_column + gate.size for gate in net.gates]
    cells = [[_cells(version[:, :end]) for end in ends] for version in versions]
    counts = [np.unique(c, return_counts=True)[1] for c in cells[0]]
    shape = (2, len(ends), len(splits))
    return CodeLevels(
        tuple(gate.path for gate in net.gates),
        freeze(np.array([len(c) for c in counts])),
        freeze(np.array([(c == 1).sum() / len(X) for c in counts])),
        freeze(1.0 / splits),
        freeze(np.array([len(np.unique(f[f >= 0])) for f in flat], dtype=np.intp)),
        freeze(np.array([np.count_nonzero(f < 0) for f in flat], dtype=np.intp)),
        freeze(np.array([[[_agreement(c, f) for f in flat] for c in row] for row in cells]).reshape(shape)),
        freeze(np.array([[[_together(c, f) for f in flat] for c in row] for row in cells]).reshape(shape)),
        freeze(np.array([[_correlation(v[:, :end], apart) for end in ends] for v in versions])),
    )


def _cells(codes: np.ndarray) -> np.ndarray:
    """Return the number of each point's cell."""
    return np.unique(codes, axis=0, return_inverse=True)[1].ravel()


def _exits(tree: CondensedTree, cluster: int) -> np.ndarray:
    """Return lambda where each point leaves a cluster, alone or with a part that comes off; NaN if never in it."""
    exits = np.full(len(tree.leaves_from), np.nan)
    alone = tree.leaves_from == cluster
    exits[alone] = tree.leaves_at[alone]
    for part in np.flatnonzero(tree.parents == cluster):
        exits[~np.isnan(_exits(tree, part))] = tree.births[part]
    return exits


def _clusters_at(tree: CondensedTree, split: float) -> np.ndarray:
    """Return the cluster of each point just beyond a lambda, -1 where it is in none."""
    found = np.full(len(tree.leaves_from), -1)
    for cluster in np.flatnonzero(tree.births <= split):
        found[_exits(tree, cluster) > split] = cluster
    return found


def _parting(tree: CondensedTree) -> np.ndarray:
    """Return lambda where two points part: the first of them leaves the smallest cluster that had both, (N, N)."""
    parting = np.zeros((len(tree.leaves_from),) * 2)
    for cluster in range(len(tree)):  # parts have larger numbers than the whole
        exits = _exits(tree, cluster)
        inside = np.flatnonzero(~np.isnan(exits))
        parting[np.ix_(inside, inside)] = np.minimum.outer(exits[inside], exits[inside])
    return parting


def _agreement(cells: np.ndarray, clusters: np.ndarray) -> float:
    from sklearn.metrics import adjusted_rand_score

    inside = clusters >= 0
    return float(adjusted_rand_score(clusters[inside], cells[inside]))


def _together(cells: np.ndarray, clusters: np.ndarray) -> float:
    """Return the mean share of a cluster's points that are in one cell, clusters weighted by size."""
    inside = clusters >= 0
    largest = sum(np.bincount(cells[clusters == c]).max() for c in np.unique(clusters[inside]))
    return float(largest / inside.sum())


def _correlation(codes: np.ndarray, apart: np.ndarray) -> float:
    """Return the rank correlation of Hamming distance and distance in the tree, over pairs."""
    from scipy.stats import rankdata

    hamming = hamming_distances(codes)[np.triu_indices(len(codes), 1)]
    if np.ptp(hamming) == 0 or np.ptp(apart) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(hamming), rankdata(apart))[0, 1])
