"""Polysemantic neurons and directions, and the clusters that they cut through.

The prediction: a direction whose strongest inputs mean many things overlaps with several regions that mean one
thing each. So of every direction the strongest inputs are taken, once together and once parted by the clusters
they are in, and it is asked how pure each is in a label from outside.

Parts are smaller than the whole and purer for that reason alone. What clusters add is the purity of the parts
over that of parts of the same sizes drawn at random from the same inputs.

Source: Black, Sharkey et al. 2022, Interpreting neural networks through the polytope lens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.arrays import as_generator, as_matrix, freeze
from polygeom.errors import InputError
from polygeom.lens.clusters import Clustering
from polygeom.lens.estimates import Estimate, bootstrapped
from polygeom.lens.saved import Saved

__all__ = ["Polysemanticity", "polysemanticity"]

SHUFFLES = 100
"""Random parts that a direction is compared with, by default."""


@dataclass(frozen=True, eq=False)
class Polysemanticity(Saved):
    """Of M directions the strongest inputs, and what they mean together and cluster by cluster.

    Attributes
    ----------
    directions : (M,) integer array
        Numbers of the directions (of the columns, for neurons) that were looked at.
    dead : int
        How many were left out as constant on all inputs.
    top : (M, T) integer array
        The strongest inputs, the strongest first.
    clusters : (M,) integer array
        How many clusters these are in.
    noise : (M,) array
        Share of them in none.
    together : (M,) array
        Share of the most frequent label among those in clusters.
    apart : (M,) array
        The same within each cluster, on average over inputs; inputs alone in their cluster are left out. NaN where
        that leaves none.
    by_chance : (M,) array
        The same for parts drawn at random.
    """

    directions: np.ndarray
    dead: int
    top: np.ndarray
    clusters: np.ndarray
    noise: np.ndarray
    together: np.ndarray
    apart: np.ndarray
    by_chance: np.ndarray

    def __repr__(self) -> str:
        return (
            f"Polysemanticity({len(self.directions)} directions, {self.dead} dead, {self.judged.sum()} judged, "
            f"through {np.mean(self.clusters):.1f} clusters each; clusters add {self.gain} to their purity)"
        )

    @property
    def judged(self) -> np.ndarray:
        """Which directions cut through several clusters, one with at least two of their strongest inputs, (M,)."""
        return np.isfinite(self.apart) & (self.clusters > 1)

    @property
    def gain(self) -> Estimate:
        """What clusters add to purity over parts drawn at random, on average over the directions judged.

        NaN if none is judged. The interval takes directions as independent, which neurons of one layer are not.
        """
        if not self.judged.any():
            return Estimate(np.nan, np.nan, np.nan, 0)
        return bootstrapped((self.apart - self.by_chance)[self.judged])


def polysemanticity(
    activations: object,
    clustering: Clustering,
    labels: object,
    rng: np.random.Generator,
    *,
    directions: object = None,
    top: int = 50,
    shuffles: int = SHUFFLES,
) -> Polysemanticity:
    """Take the strongest inputs of every direction apart by clusters, and compare what labels say of both.

    Parameters
    ----------
    activations : (N, n) array
    clustering : Clustering
        Of the same points, by whatever was compared.
    labels : (N,) array
        From outside: WordNet groups, tokens.
    rng : np.random.Generator
        For the random parts.
    directions : (M, n) array, optional
        By default the neurons: the columns of the activations.
    top : int
        How many of the strongest inputs to look at.
    shuffles : int
        Random parts that each direction is compared with.

    Raises
    ------
    InputError
        If numbers do not agree, there are fewer inputs than `top`, no clusters, or all directions are dead.

    Examples
    --------
    >>> from polygeom.lens.clusters import cluster
    >>> rng = np.random.default_rng(0)
    >>> points = np.concatenate([rng.normal(size=(30, 2)) + center for center in ([50, 0], [50, 50], [0, 50])])
    >>> found = polysemanticity(points, cluster(points), np.repeat(["a", "b", "c"], 30), rng, top=40)
    >>> found.clusters, found.apart, bool((found.together < 1).all())
    (array([2, 2]), array([1., 1.]), True)
    """
    as_generator(rng)
    X = as_matrix(activations, "activations")
    given = np.asarray(labels)
    if not len(X) == len(given) == len(clustering.labels):
        raise InputError(
            f"There are {len(X)} activations, {len(given)} labels and {len(clustering.labels)} clustered points; "
            "wanted as many of each."
        )
    if not len(clustering):
        raise InputError("There are no clusters: all points are noise. Cluster with smaller sizes.")
    if not 2 <= top <= len(X):
        raise InputError(f"top is {top}, wanted between 2 and {len(X)}.")
    strengths = X if directions is None else X @ as_matrix(directions, "directions", X.shape[1]).T
    alive = np.flatnonzero(np.ptp(strengths, axis=0) > 0)
    if not len(alive):
        raise InputError(f"All {strengths.shape[1]} directions are constant on the inputs: dead units.")
    strongest = np.argsort(-strengths[:, alive], axis=0, kind="stable")[:top].T
    _, which = np.unique(given, return_inverse=True)
    found = [_taken_apart(clustering.labels[rows], which[rows], rng, shuffles) for rows in strongest]
    return Polysemanticity(
        freeze(alive),
        int(strengths.shape[1] - len(alive)),
        freeze(strongest),
        *(freeze(np.array(part)) for part in zip(*found, strict=True)),
    )


def _taken_apart(
    clusters: np.ndarray, labels: np.ndarray, rng: np.random.Generator, shuffles: int
) -> tuple[int, float, float, float, float]:
    """Return number of clusters, share of noise, purity together, apart, and apart by chance."""
    inside = clusters >= 0
    noise = 1 - inside.mean()
    clusters, labels = clusters[inside], labels[inside]
    if not len(labels):
        return 0, noise, np.nan, np.nan, np.nan
    together = np.bincount(labels).max() / len(labels)
    known, part, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    shared = sizes[part] > 1
    if not shared.any():
        return len(known), noise, together, np.nan, np.nan
    _, short = np.unique(labels, return_inverse=True)
    shuffled = rng.permuted(np.tile(short, (shuffles, 1)), axis=1)
    own, *others = _purities(part, np.vstack([short, shuffled]), shared)
    return len(known), noise, together, float(own), float(np.mean(others))


def _purities(part: np.ndarray, labels: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Return the share of inputs with the most frequent label of their part, over parts of more than one, (S,).

    `labels` (S, T) holds several orders of the same labels. Those that occur once are frequent in no part, so they
    need no column of the table: a part has at least one input of its most frequent label anyway.
    """
    _, short, counts = np.unique(labels[0], return_inverse=True, return_counts=True)
    column = np.where(counts > 1, np.cumsum(counts > 1) - 1, -1)
    width = int((counts > 1).sum())
    named = np.full(labels.max() + 1, -1)
    named[labels[0]] = column[short]
    _, row = np.unique(part[shared], return_inverse=True)
    chosen = named[labels[:, shared]]
    shape = (len(labels), row.max() + 1, width + 1)
    cells = (np.arange(shape[0])[:, None] * shape[1] + row) * shape[2] + chosen + 1  # column 0: once only
    table = np.bincount(cells.ravel(), minlength=shape[0] * shape[1] * shape[2]).reshape(shape)
    most = np.maximum(table[:, :, 1:].max(axis=2, initial=0), 1)
    return most.sum(axis=1) / shared.sum()
