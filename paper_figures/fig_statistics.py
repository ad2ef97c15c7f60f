"""Numbers of regions, facets and neighbors of random networks, beside what theory allows.

All of them from complete enumerations of the whole space: one layer, where the numbers are known exactly, and deep
networks, where they lie between bounds.
"""

from __future__ import annotations

import numpy as np

import polygeom as pg
from polygeom.claims.counts import pattern_bounds
from polygeom.complex_checks.arrangements import simple_regions
from polygeom.models import toy

FIGURE = "F5"
SEED = 0
ONE_LAYER = {2: (2, 4, 8, 16, 32), 3: (3, 6, 12, 24), 4: (4, 8, 12, 16), 5: (5, 8, 11, 14)}
"""Dimension -> numbers of units of one layer."""

UNITS = (6, 9, 12, 18, 24, 30)
"""Of plane networks of one, two and three layers, evenly spread."""

DEPTHS, APART = (1, 2, 3), 18
"""Layers of the plane networks; units of those whose regions' distances are measured."""

TIMES = (3, 12)
"""Random networks of each kind: quick, full."""

SPREAD = {2: (14, 14), 3: (9, 9), 4: (7, 7)}
"""Dimension -> widths of the networks whose regions are sorted by their facets."""

COLORS = ("#26364d", "#d5772c", "#2a8c82", "#8c5a97")
MARKERS = ("o", "s", "^", "D")


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Enumerate all networks."""
    times, rng = TIMES[0 if quick else 1], np.random.default_rng(SEED)
    flat = [(d, m, *_counts(toy.he((d, m, 1), rng))) for d, sizes in ONE_LAYER.items() for m in sizes]
    plane = [
        (depth, n, *_counts(toy.he((2, *[n // depth] * depth, 1), rng)))
        for depth in DEPTHS
        for n in UNITS
        for _ in range(times)
    ]
    facets = {d: _facets(d, widths, times, rng) for d, widths in SPREAD.items()}
    excess = [_distances(toy.he((2, *[APART // depth] * depth, 1), rng)) for depth in DEPTHS]
    return {
        "one_layer": np.array(flat),
        "plane": np.array(plane),
        "times": np.array(times),
        **{f"facets_{d}": found for d, found in facets.items()},
        **{f"excess_{depth}": found for depth, found in zip(DEPTHS, excess, strict=True)},
    }


def _counts(net: pg.Network) -> tuple[int, int]:
    """Return the numbers of regions and of adjacencies."""
    K = pg.enumerate_regions(net)
    return K.n_regions, len(K.edges)


def _facets(d: int, widths: tuple[int, ...], times: int, rng: np.random.Generator) -> np.ndarray:
    """Return how many regions have how many facets, over some random networks."""
    found = [pg.enumerate_regions(toy.he((d, *widths, 1), rng)).n_facets for _ in range(times)]
    return np.bincount(np.concatenate(found))


def _distances(net: pg.Network) -> np.ndarray:
    """Return for every pair of regions in how many letters they differ, and how many facets lie between: counts.

    Entry (h, k) is the number of pairs whose codes differ in h letters and whose shortest way crosses k facets.
    """
    from scipy.sparse.csgraph import shortest_path

    K = pg.enumerate_regions(net)
    letters = K.codes.letters.astype(int)
    apart = (letters[:, None] != letters[None]).sum(axis=2)
    steps = shortest_path(K.adjacency, unweighted=True, directed=False).astype(int)
    counts = np.zeros((apart.max() + 1, steps.max() + 1), dtype=int)
    pairs = np.triu_indices(K.n_regions, 1)
    np.add.at(counts, (apart[pairs], steps[pairs]), 1)
    return counts


def mean_facets(m: int, d: int) -> float:
    """Return the mean number of facets of m hyperplanes in general position in R^d: 2 m S_{d-1}(m-1) / S_d(m)."""
    return 2 * m * simple_regions(m - 1, d - 1) / simple_regions(m, d)


def draw(data: dict[str, np.ndarray]) -> object:
    """Draw counts, means of facets, their distribution, and distances."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(6.9, 5.0), layout="constrained")
    _draw_regions(data, axes[0, 0])
    _draw_means(data, axes[0, 1])
    _draw_spread(data, axes[1, 0])
    _draw_excess(data, axes[1, 1])
    return figure


def _draw_regions(data: dict[str, np.ndarray], ax: object) -> None:
    depth, n, regions, _ = data["plane"].T
    for k, layers in enumerate(DEPTHS):
        own = depth == layers
        bound = [min(pattern_bounds(2, (m // layers,) * layers)) for m in UNITS]
        ax.plot(UNITS, bound, color=COLORS[k], linestyle="--", linewidth=0.8)
        label = f"{layers} layer{'s' if layers > 1 else ''}"
        ax.plot(
            n[own] + 0.45 * (k - 1),
            regions[own],
            MARKERS[k],
            color=COLORS[k],
            markersize=3,
            linestyle="none",
            label=label,
        )
    ax.plot([], [], color="0.4", linestyle="--", linewidth=0.8, label="at most")
    ax.set(yscale="log", xticks=UNITS, xlabel="units, all layers together", ylabel="regions of the plane")
    ax.set_title("a  regions in $R^2$ and their bounds")
    ax.legend(loc="upper left")


def _draw_means(data: dict[str, np.ndarray], ax: object) -> None:
    d, m, regions, edges = data["one_layer"].T
    for k, dim in enumerate(ONE_LAYER):
        own = d == dim
        steps = np.arange(1, 33)
        ax.plot(steps, [mean_facets(int(s), dim) for s in steps], color=COLORS[k], linewidth=0.8)
        ax.plot(m[own], 2 * edges[own] / regions[own], MARKERS[k], color=COLORS[k], markersize=3.5)
        ax.axhline(2 * dim, color=COLORS[k], linewidth=0.6, linestyle="--")
        ax.annotate(
            f"$d = {dim}$", (33, mean_facets(32, dim)), (3, 0), textcoords="offset points", va="center"
        )
    ax.set(xlabel="units of one layer", ylabel="mean facets of a region", xlim=(0, 33), ylim=(0, 10.6))
    ax.set_title("b  one layer: exactly as predicted, below $2d$")


def _draw_spread(data: dict[str, np.ndarray], ax: object) -> None:
    most = 0
    for k, (d, widths) in enumerate(SPREAD.items()):
        counts = data[f"facets_{d}"]
        number = np.arange(len(counts))
        shown = counts > 0
        mean = (number * counts).sum() / counts.sum()
        label = f"$R^{d}$, {' + '.join(map(str, widths))} units"
        ax.plot(
            number[shown],
            100 * counts[shown] / counts.sum(),
            color=COLORS[k],
            marker=MARKERS[k],
            markersize=3,
            label=label,
        )
        ax.axvline(mean, color=COLORS[k], linewidth=0.6, linestyle=":")
        most = max(most, number[shown].max())
    ax.set(xlabel="facets of a region", ylabel="share of regions (%)", xticks=range(1, most + 1, 2))
    ax.set_title("c  how many neighbors a region has (dotted: mean)")
    ax.legend(loc="upper right")


def _draw_excess(data: dict[str, np.ndarray], ax: object) -> None:
    longest = 0
    for k, layers in enumerate(DEPTHS):
        counts = data[f"excess_{layers}"]
        steps = np.arange(counts.shape[1])
        apart = np.flatnonzero(counts.sum(axis=1))
        mean = (counts[apart] * steps).sum(axis=1) / counts[apart].sum(axis=1)
        most = np.array([steps[row > 0].max() for row in counts[apart]])
        ax.plot(apart, most - apart, color=COLORS[k], linestyle=":", linewidth=0.8)
        label = f"{layers} layer{'s' if layers > 1 else ''}"
        ax.plot(apart, mean - apart, color=COLORS[k], marker=MARKERS[k], markersize=2.5, label=label)
        longest = max(longest, int((most - apart).max()))
    ax.set(xlabel="letters in which two codes differ", ylabel="facets crossed beyond these")
    ax.set(ylim=(-0.2, longest + 0.6), xlim=(0, None), xticks=range(0, APART + 1, 3))
    ax.set_title("d  detours between regions: mean, dotted the longest")
    ax.legend(loc="upper left")


def tables(data: dict[str, np.ndarray]) -> dict[str, dict[str, list[object]]]:
    """Return one row per network of a and b, and the histograms of c and d."""
    d, m, regions, edges = data["one_layer"].T.tolist()
    depth, n, found, adjacent = data["plane"].T.tolist()
    histogram = [
        (dim, k, int(count)) for dim in SPREAD for k, count in enumerate(data[f"facets_{dim}"]) if count
    ]
    pairs = [
        (layers, int(h), int(k), int(data[f"excess_{layers}"][h, k]))
        for layers in DEPTHS
        for h, k in np.argwhere(data[f"excess_{layers}"])
    ]
    return {
        "statistics_one_layer": {
            "dim": d,
            "units": m,
            "regions": regions,
            "adjacencies": edges,
            "predicted_regions": [simple_regions(units, dim) for dim, units in zip(d, m, strict=True)],
            "predicted_adjacencies": [
                units * simple_regions(units - 1, dim - 1) for dim, units in zip(d, m, strict=True)
            ],
        },
        "statistics_plane": {
            "layers": depth,
            "units": n,
            "regions": found,
            "adjacencies": adjacent,
            "bound": [min(pattern_bounds(2, (u // k,) * k)) for k, u in zip(depth, n, strict=True)],
        },
        "statistics_facets": dict(
            zip(("dim", "facets", "regions"), zip(*histogram, strict=True), strict=True)
        ),
        "statistics_distances": dict(
            zip(("layers", "letters", "facets_crossed", "pairs"), zip(*pairs, strict=True), strict=True)
        ),
    }


def caption(data: dict[str, np.ndarray]) -> str:
    """Say where the numbers meet theory."""
    found = tables(data)
    one, plane = found["statistics_one_layer"], found["statistics_plane"]
    hits = sum(
        [regions, edges] == wanted for regions, edges, *wanted in zip(*list(one.values())[2:], strict=True)
    )
    share = np.array(plane["regions"]) / np.array(plane["bound"])
    deep = np.array(plane["layers"]) > 1
    means = {d: (np.arange(len(c)) * c).sum() / c.sum() for d in SPREAD for c in [data[f"facets_{d}"]]}
    most = {d: len(data[f"facets_{d}"]) - 1 for d in SPREAD}
    detours = {
        layers: 1 - sum(c[h, h] for h in range(min(c.shape))) / c.sum()
        for layers in DEPTHS
        for c in [data[f"excess_{layers}"]]
    }
    return (
        f"Complete enumerations of random networks. a: plane networks of {UNITS[0]} to {UNITS[-1]} units, "
        f"{int(data['times'])} of each kind (marks are shifted aside); one layer reaches its bound in "
        f"{int((share[~deep] == 1).sum())} of {int((~deep).sum())} networks, deep ones stay between "
        f"{share[deep].min():.1%} and {share[deep].max():.0%} of the bounds of Montufar and Serra. "
        f"b: one layer in general position; {hits} of {len(one['dim'])} networks have exactly the number of "
        "regions of Zaslavsky and the mean number of facets 2 m S(m-1, d-1) / S(m, d), which stays below 2d "
        "(dashed). c: regions of deep networks by their facets; the means are "
        f"{', '.join(f'{mean:.2f} in R^{d}' for d, mean in means.items())}, the most "
        f"{', '.join(str(m) for m in most.values())}. d: with {APART} units in the plane, the share of pairs "
        "of regions whose shortest way crosses more facets than their codes differ in letters is "
        f"{', '.join(f'{share:.1%} for {k}' for k, share in detours.items())} layers."
    )
