"""Claims on the dual graph: how many neighbors a region has, and how far regions are apart.

Sources: Fukuda, Saito, Tamura, Tokuyama 1991 (facets of arrangements); Fan et al. 2023; Gaines and Bi 2026 (ReLU
networks); Djokovic 1973, Winkler 1984 (partial cubes).
"""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import scipy.sparse

from polygeom.certificates import Check, Level
from polygeom.certificates.check import PROVED, REFUTED
from polygeom.claims.instance import Instance
from polygeom.claims.registry import claim
from polygeom.claims.verdict import Outcome, Verdict, Witness, fails, holds, not_applicable, undecided
from polygeom.complex_checks import check_complex
from polygeom.complex_checks.arrangements import arrangement_of, simple_regions
from polygeom.complexes import PolyhedralComplex
from polygeom.gates import Elementwise
from polygeom.models.toy import NAMED

__all__ = ["facets_small", "partial_cube"]

MOST_REGIONS = 4000
"""Regions whose distances are all computed: N^2 numbers."""

MOST_EDGES = 6000
"""Edges whose relation is written out: E^2 bytes."""

DEEP = ("quick", "cones", "hardtanh", "maxima")


# -- facets ------------------------------------------------------------------------------------------------------


def _mean_facets(K: PolyhedralComplex) -> Fraction:
    """Return the mean number of facets of a region."""
    return Fraction(int(K.n_facets.sum()), K.n_regions)


def _mean_again(K: PolyhedralComplex, mean: Fraction, bound: int) -> Check:
    """Prove the complex again, all its regions, and compare its mean number of facets with the bound."""
    report = check_complex(K, sample=None)
    if not report or bound != 2 * K.dim or _mean_facets(K) != mean or mean >= bound:
        return REFUTED
    return Check(True, report.level, 0.0)


def _exceeds_again(K: PolyhedralComplex, mean: Fraction, bound: int) -> Check:
    """Prove the complex again, all its regions, and find its mean number of facets at or above the bound."""
    report = check_complex(K, sample=None)
    exceeds = bound == 2 * K.dim and _mean_facets(K) == mean >= bound
    return Check(True, report.level, 0.0) if report and exceeds else REFUTED


@claim(
    "facets-small",
    statement="The mean number of facets per region is less than 2 d, twice the input dimension.",
    hypothesis="a theorem for one layer in R^d, any arrangement, and for transversal ReLU networks in the plane; "
    "deep networks with d >= 3 may break it",
    source="Fukuda, Saito, Tamura, Tokuyama 1991; docs/facets_small.md for the counterexample",
    settled_by="enumeration; every facet of every region proved again",
    expects={**dict.fromkeys(NAMED, Outcome.HOLDS), "three-axes": Outcome.FAILS, "braid": Outcome.HOLDS},
)
def facets_small(instance: Instance) -> Verdict:
    """Judge by the count; a simple arrangement must have exactly 2 m S_{d-1}(m-1) / S_d(m)."""
    if instance.domain is not None:
        return not_applicable("The statement counts facets in the whole space; a domain was given.")
    K, d = instance.complex, instance.net.dim_in
    mean, bound = _mean_facets(K), 2 * d
    numbers = {"regions": K.n_regions, "adjacencies": len(K.edges), "mean": float(mean)}
    text = (
        f"{K.n_regions} regions in R^{d} have {len(K.edges)} adjacencies, {float(mean):.4f} facets on average"
    )
    data = {"K": K, "mean": mean, "bound": bound}
    if mean >= bound:
        witness = Witness(data, _exceeds_again, K.witnesses)
        if not instance.report:
            return undecided(f"{text}, not less than {bound}; but not every facet could be proved again.")
        return fails(instance.report.level, f"{text}, not less than {bound}.", witness, **numbers)
    exactly = _simple_mean(instance)
    if exactly is not None and exactly != mean:
        return fails(
            Level.EXACT, f"{text}; a simple arrangement has {exactly}.", Witness(data, _mean_again), **numbers
        )
    witness = Witness(data, _mean_again, K.witnesses)
    if not instance.report:
        return undecided(f"{text}; but not every facet could be proved again.")
    also = "" if exactly is None else f", exactly as a simple arrangement must have: {exactly}"
    return holds(instance.report.level, f"{text}, less than {bound}{also}.", witness, **numbers)


def _simple_mean(instance: Instance) -> Fraction | None:
    """Return 2 m S_{d-1}(m-1) / S_d(m) for one layer in general position, else None."""
    arrangement = arrangement_of(instance.net, None)
    if arrangement is None or not len(arrangement):
        return None
    m, d = len(arrangement), arrangement.dim
    if instance.complex.n_regions != simple_regions(m, d) or instance.complex.n_bounded != comb(m - 1, d):
        return None
    return Fraction(2 * m * simple_regions(m - 1, d - 1), simple_regions(m, d))


# -- distances ---------------------------------------------------------------------------------------------------


def _graph_of(n: int, edges: np.ndarray) -> scipy.sparse.csr_array:
    ones = np.ones(2 * len(edges), dtype=np.int8)
    both = np.concatenate([edges, edges[:, ::-1]])
    return scipy.sparse.csr_array((ones, both.T), shape=(n, n))


def _distances(n: int, edges: np.ndarray) -> np.ndarray:
    """Return the lengths (n, n) of shortest paths."""
    from scipy.sparse.csgraph import shortest_path

    return shortest_path(_graph_of(n, edges), unweighted=True, directed=False)


def _relation(distance: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return for all pairs of edges xy, uv whether d(x, u) + d(y, v) differs from d(x, v) + d(y, u)."""
    x, y = edges.T
    return (
        distance[x[:, None], x] + distance[y[:, None], y] != distance[x[:, None], y] + distance[y[:, None], x]
    )


def _broken_triple(relation: np.ndarray) -> tuple[int, int, int] | None:
    """Return edges e, f, g with e ~ f, f ~ g and not e ~ g; None where the relation is transitive."""
    from scipy.sparse.csgraph import connected_components

    _, label = connected_components(scipy.sparse.csr_array(relation), directed=False)
    missing = np.argwhere((label[:, None] == label) & ~relation)
    if not len(missing):
        return None
    e = int(missing[0, 0])  # not related to all of its class: some edge is two steps away from it
    g = int(np.flatnonzero(relation[relation[e]].any(axis=0) & ~relation[e])[0])
    return e, int(np.flatnonzero(relation[e] & relation[g])[0]), g


def _is_partial_cube(n: int, edges: np.ndarray) -> Check:
    """Test Winkler's criterion again: connected, bipartite, the relation of Djokovic transitive."""
    distance = _distances(n, edges)
    if not np.isfinite(distance).all() or not _is_bipartite(distance, edges):
        return REFUTED
    return PROVED if _broken_triple(_relation(distance, edges)) is None else REFUTED


def _is_bipartite(distance: np.ndarray, edges: np.ndarray) -> bool:
    """Tell whether the ends of every edge are at distances of different parity from the first node."""
    return bool(((distance[0, edges[:, 0]] + distance[0, edges[:, 1]]) % 2 == 1).all())


def _is_farther(n: int, edges: np.ndarray, pair: tuple[int, int], separating: int) -> Check:
    """Find again that the distance of two regions is not the number of boundaries that separate them."""
    return PROVED if _distances(n, edges)[pair] != separating else REFUTED


def _is_no_cube(n: int, edges: np.ndarray, triple: tuple[int, int, int] | None) -> Check:
    """Find again that the graph is no partial cube: an odd cycle, or a triple on which the relation breaks."""
    distance = _distances(n, edges)
    if triple is None:
        return REFUTED if _is_bipartite(distance, edges) else PROVED
    e, f, g = triple
    relation = _relation(distance, edges[[e, f, g]])
    return PROVED if relation[0, 1] and relation[1, 2] and not relation[0, 2] else REFUTED


@claim(
    "partial-cube",
    statement="The dual graph is a partial cube, and distance the number of boundaries between two regions.",
    hypothesis="a theorem for one layer of two-letter units on a convex domain, coincident hyperplanes counted "
    "once; deep networks usually break it",
    source="tope graphs of oriented matroids: Bjorner et al. 1999, Proposition 4.2.3; Winkler 1984",
    settled_by="all distances; bipartite, and the relation of Djokovic and Winkler transitive",
    expects={
        **dict.fromkeys(("one-layer", "orthants", "grid", "braid", "xor", "absolute", "tent"), Outcome.HOLDS),
        **dict.fromkeys(("quick", "three-axes"), Outcome.FAILS),
    },
)
def partial_cube(instance: Instance) -> Verdict:
    """Judge distances on one layer, Winkler's criterion on any network."""
    K = instance.complex
    if K.n_regions > MOST_REGIONS or len(K.edges) > MOST_EDGES:
        return undecided(f"{K.n_regions} regions and {len(K.edges)} edges: their relation is too large.")
    n, edges = K.n_regions, np.array(K.edges, dtype=np.intp)
    distance = _distances(n, edges)
    separating = _separating(instance)
    if separating is not None and (separating != distance).any():
        pair = tuple(int(v) for v in np.argwhere(separating != distance)[0])
        between = int(separating[pair])
        witness = Witness({"n": n, "edges": edges, "pair": pair, "separating": between}, _is_farther)
        text = f"Regions {pair} are {int(distance[pair])} apart, {between} hyperplanes separate them."
        return fails(Level.EXACT, text, witness, regions=n)
    bipartite = _is_bipartite(distance, edges)
    triple = _broken_triple(_relation(distance, edges)) if bipartite else None
    if bipartite and triple is None:
        witness = Witness({"n": n, "edges": edges}, _is_partial_cube)
        also = ""
        if separating is not None:
            also = ", and all distances are numbers of separating hyperplanes"
        return holds(Level.EXACT, f"The graph of {n} regions is a partial cube{also}.", witness, regions=n)
    why = f"edges {triple} break the relation" if bipartite else "it has an odd cycle"
    witness = Witness({"n": n, "edges": edges, "triple": triple}, _is_no_cube, K.witnesses)
    return fails(Level.EXACT, f"The graph of {n} regions is no partial cube: {why}.", witness, regions=n)


def _separating(instance: Instance) -> np.ndarray | None:
    """Return the numbers (N, N) of hyperplanes between regions of one layer of two-letter units, else None.

    Units of one hyperplane flip together, so one of them counts.
    """
    gates = instance.net.gates
    if len(gates) != 1 or not isinstance(gates[0], Elementwise) or gates[0].n_letters != 2:
        return None
    letters = instance.complex.codes.letters
    relative = letters ^ letters[:1]  # units of one hyperplane have equal or opposite letters: now equal ones
    distinct = np.unique(relative, axis=1).astype(np.float64)
    return distinct @ (1 - distinct).T + (1 - distinct) @ distinct.T
