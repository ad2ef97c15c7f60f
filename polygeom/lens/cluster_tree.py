r"""HDBSCAN's tree of clusters, where many distances are equal.

Hamming distances are whole numbers, so single linkage has ties everywhere: many groups join at one distance at
once. The usual implementations join them two at a time, in the order of the points, and take each step for one
of the hierarchy. Chains of single points become clusters so: on codes with independently shuffled columns, which
have no clusters, scikit-learn finds some eighty of them in a thousand points, and others when the points are
permuted. Here all that joins at one distance joins in one step, so the tree depends on the distances alone.
Where no two distances are equal the two agree; distances to be reached tie wherever `min_samples` is above 2,
since the distance of a point to its neighbors then counts for several of them.

A cluster is born at :math:`\lambda = 1/d` when it comes off a larger one, and its points leave it one after the
other as :math:`\lambda` grows; its stability is the sum over points of the time spent in it. Distance 0, between
equal points, counts as half the smallest other one.

Source: Campello, Moulavi, Sander 2013, Density-based clustering based on hierarchical density estimates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.arrays import as_count, freeze
from polygeom.errors import InputError
from polygeom.lens.saved import Saved

__all__ = ["CondensedTree", "condensed_tree"]

ROWS_AT_ONCE = 256
"""Rows of distances that are sorted at a time."""


@dataclass(frozen=True, eq=False)
class CondensedTree(Saved):
    """Clusters within clusters of N points; cluster 0 holds all of them.

    Attributes
    ----------
    parents : (C,) integer array
        The cluster that each came off, a smaller number; -1 for cluster 0.
    births, deaths : (C,) arrays
        Lambda where it came off, and where its last point left or its parts came off.
    stabilities : (C,) array
    leaves_from : (N,) integer array
        The last cluster that each point belongs to.
    leaves_at : (N,) array
        Lambda where it leaves that.
    """

    parents: np.ndarray
    births: np.ndarray
    deaths: np.ndarray
    stabilities: np.ndarray
    leaves_from: np.ndarray
    leaves_at: np.ndarray

    def __len__(self) -> int:
        return len(self.parents)

    def most_stable(self) -> np.ndarray:
        """Return clusters, none in another and none of all points, with the largest sum of stabilities."""
        best, chosen = self.stabilities.copy(), np.ones(len(self), dtype=bool)
        inner = np.zeros(len(self))
        for c in range(len(self) - 1, 0, -1):  # parts have larger numbers than the whole
            if inner[c] > best[c]:
                best[c], chosen[c] = inner[c], False
            inner[self.parents[c]] += best[c]
        chosen[0] = False
        for c in range(1, len(self)):
            chosen[c] &= not self._inside(c, chosen)
        return np.flatnonzero(chosen)

    def finest(self) -> np.ndarray:
        """Return the clusters that no other came off."""
        whole = np.unique(self.parents)
        return np.setdiff1d(np.arange(1, len(self)), whole)

    def members(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the cluster of every point, -1 if it is in none, and how firmly it is in it.

        The clusters chosen are numbered in the order of their first points. Strength is lambda where the point
        leaves, over that of the last to leave, at most 1.
        """
        number = np.full(len(self), -1)
        number[chosen] = np.arange(len(chosen))
        for c in range(1, len(self)):
            if number[c] < 0:
                number[c] = number[self.parents[c]]
        labels = number[self.leaves_from]
        strengths = np.zeros(len(labels))
        inside = labels >= 0
        last = self.deaths[chosen][labels[inside]]
        strengths[inside] = np.minimum(self.leaves_at[inside] / last, 1.0)
        found, first = np.unique(labels[inside], return_index=True)
        order = np.full(len(chosen), -1)
        order[found[np.argsort(first)]] = np.arange(len(found))
        labels[inside] = order[labels[inside]]
        return labels, strengths

    def _inside(self, c: int, chosen: np.ndarray) -> bool:
        """Tell whether a larger cluster was chosen."""
        while (c := int(self.parents[c])) > 0:
            if chosen[c]:
                return True
        return False


def condensed_tree(distances: np.ndarray, min_cluster_size: int, min_samples: int) -> CondensedTree:
    """Return the tree of clusters of at least so many points.

    Parameters
    ----------
    distances : (N, N) float64 array
        Symmetric, with zeros on the diagonal. It is overwritten, by the mutual reachability distances.
    min_samples : int
        The distance to so many neighbors, the point itself included, is what a point needs to be reached.

    Raises
    ------
    InputError
        If clusters are to have fewer than two points, or min_samples is none of 1 to N.

    Notes
    -----
    Cost: N^2 log N, and half the memory of the distances.

    Examples
    --------
    >>> line = np.array([0.0, 1, 2, 10, 11, 12])
    >>> tree = condensed_tree(np.abs(line[:, None] - line), 3, 1)
    >>> tree.parents, tree.members(tree.finest())[0]
    (array([-1,  0,  0]), array([0, 0, 0, 1, 1, 1]))
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    n = len(distances)
    as_count(min_cluster_size, "min_cluster_size", 2)
    if not 1 <= as_count(min_samples, "min_samples") <= n:
        raise InputError(f"min_samples is {min_samples}, wanted between 1 and the {n} points there are.")
    cores = [
        np.partition(distances[i : i + ROWS_AT_ONCE], min_samples - 1, axis=1)[:, min_samples - 1]
        for i in range(0, n, ROWS_AT_ONCE)
    ]
    core = np.concatenate(cores)
    np.maximum(distances, core, out=distances)
    np.maximum(distances, core[:, None], out=distances)
    np.fill_diagonal(distances, 0)
    joins = linkage(squareform(distances, checks=False), "single")
    heights = joins[:, 2]
    positive = heights[heights > 0]
    least = positive.min() if len(positive) else 1.0
    lambdas = 1 / np.where(heights > 0, heights, least / 2)
    return _condensed(joins[:, :2].astype(np.intp), lambdas, joins[:, 3].astype(np.intp), min_cluster_size)


def _condensed(joins: np.ndarray, lambdas: np.ndarray, sizes: np.ndarray, least: int) -> CondensedTree:
    """Return the tree of single linkage without the groups smaller than `least`.

    Node n + k is what join k made, at lambdas[k]; nodes below n are points.
    """
    n = len(joins) + 1
    parents, births, deaths, stabilities = [-1], [0.0], [0.0], [0.0]
    leaves_from, leaves_at = np.zeros(n, dtype=np.intp), np.zeros(n)
    pending = [(2 * n - 2, 0)]
    while pending:
        node, cluster = pending.pop()
        at = lambdas[node - n]
        parts = _parts(node, joins, lambdas, n)
        large = [part for part in parts if part >= n and sizes[part - n] >= least]
        kept = large if len(large) > 1 else []
        leaving = [part for part in parts if part not in large]
        for part in leaving:
            points = _points(part, joins, n)
            leaves_from[points], leaves_at[points] = cluster, at
        left = sum(1 if part < n else sizes[part - n] for part in (*leaving, *kept))
        stabilities[cluster] += left * (at - births[cluster])
        if leaving or kept:
            deaths[cluster] = max(deaths[cluster], at)
        for part in kept:
            pending.append((part, len(parents)))
            parents.append(cluster)
            births.append(at)
            deaths.append(at)
            stabilities.append(0.0)
        if len(large) == 1:
            pending.append((large[0], cluster))
    arrays = (np.array(parents), *(np.array(a, dtype=np.float64) for a in (births, deaths, stabilities)))
    return CondensedTree(*map(freeze, (*arrays, leaves_from, leaves_at)))


def _parts(node: int, joins: np.ndarray, lambdas: np.ndarray, n: int) -> list[int]:
    """Return the nodes that join at the height of a node, all at once."""
    found, pending = [], joins[node - n].tolist()
    while pending:
        part = pending.pop()
        if part >= n and lambdas[part - n] == lambdas[node - n]:
            pending.extend(joins[part - n].tolist())
        else:
            found.append(part)
    return found


def _points(node: int, joins: np.ndarray, n: int) -> list[int]:
    """Return the points below a node."""
    found, pending = [], [node]
    while pending:
        part = pending.pop()
        if part < n:
            found.append(part)
        else:
            pending.extend(joins[part - n].tolist())
    return found
