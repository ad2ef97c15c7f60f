"""Deep networks in R^3 whose regions have more than six facets on average.

The bent plane of one unit of the second layer in the grid of the first, drawn from the exact cells; and the mean
number of facets of a region against the number of such units, all counts from complete enumerations.
"""

from __future__ import annotations

import numpy as np

import polygeom as pg
from polygeom.models import toy

FIGURE = "F5b"
SEED = 0
GRIDS = (5, 7, 9)
MOST_LEVELS = 9
SHOWN = 4.0
"""The surface is drawn in the box [0, SHOWN]^3: two bumps along each axis."""

MOVED, LEVELS, TIMES = 9, (1.25, 1.5, 1.75), 5
"""The member whose parameters are moved a little, so many times."""

PERTURBATION = 1e-3
COLORS = ("#7a8aa0", "#d5772c", "#26364d")


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Enumerate every member of the family, and one random layer for comparison; quick or not is the same."""
    rows = [
        (p, n, *_counts(toy.three_axes((p, p, p), _levels(n))))
        for p in GRIDS
        for n in range(1, MOST_LEVELS + 1)
    ]
    K = pg.enumerate_regions(toy.three_axes(), store="cells")
    polygons = [
        _common_vertices(K, i, j) for (i, j), u in zip(K.edges, _single_units(K), strict=True) if u == 27
    ]
    inside = [polygon for polygon in polygons if ((polygon >= 0) & (polygon <= SHOWN)).all()]
    rng = np.random.default_rng(SEED)
    moved = [_counts(_perturbed(toy.three_axes((MOVED,) * 3, LEVELS), rng)) for _ in range(TIMES)]
    return {
        "breakpoints": np.array([row[0] for row in rows]),
        "surfaces": np.array([row[1] for row in rows]),
        "regions": np.array([row[2] for row in rows]),
        "adjacencies": np.array([row[3] for row in rows]),
        "perturbed": np.array(moved),
        "n_vertices": np.array([len(polygon) for polygon in inside]),
        "polygons": np.concatenate(inside),
    }


def _levels(n: int) -> list[float]:
    """Return n heights between 1 and 2, where a bent plane cuts every box of the grid in a hexagon."""
    return [1 + k / (n + 1) for k in range(1, n + 1)]


def _counts(net: pg.Network) -> tuple[int, int]:
    """Return the numbers of regions and of adjacencies."""
    K = pg.enumerate_regions(net)
    return K.n_regions, len(K.edges)


def _perturbed(net: pg.Network, rng: np.random.Generator) -> pg.Network:
    """Return the network with every parameter moved a little: in general position with probability one."""
    return pg.Network.from_layers(
        [
            tuple(a + PERTURBATION * rng.standard_normal(a.shape) for a in (step.weight, step.constant))
            for step in net.steps[::2]
        ]
    )


def _single_units(K: pg.PolyhedralComplex) -> np.ndarray:
    """Return the one unit that flips on every edge."""
    return K.edge_units.indices[K.edge_units.indptr[:-1]]


def _common_vertices(K: pg.PolyhedralComplex, i: int, j: int) -> np.ndarray:
    """Return the vertices that two cells share, in order around their facet."""
    one, other = ({tuple(v) for v in (K.vertices(r) + 0.0).tolist()} for r in (i, j))
    shared = np.array(sorted(one & other))
    if not len(shared):
        return np.full((1, 3), np.inf)
    middle = shared - shared.mean(axis=0)
    _, _, axes = np.linalg.svd(middle)
    return shared[np.argsort(np.arctan2(middle @ axes[0], middle @ axes[1]))]


def means(data: dict[str, np.ndarray]) -> np.ndarray:
    """Return the mean number of facets of every member."""
    return 2 * data["adjacencies"] / data["regions"]


def draw(data: dict[str, np.ndarray]) -> object:
    """Draw the bent plane, and the means against the number of such planes."""
    import matplotlib.pyplot as plt
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    figure = plt.figure(figsize=(6.9, 3.1), layout="constrained")
    left, right = figure.add_subplot(1, 2, 1, projection="3d"), figure.add_subplot(1, 2, 2)
    polygons = np.split(data["polygons"], np.cumsum(data["n_vertices"])[:-1])
    left.add_collection3d(
        Poly3DCollection(polygons, facecolors="#b9c6d6", edgecolors="#26364d", linewidths=0.4, shade=True)
    )
    ticks = [0, 2, 4]
    left.set(xlim=(0, SHOWN), ylim=(0, SHOWN), zlim=(0, SHOWN), xticks=ticks, yticks=ticks, zticks=ticks)
    left.set(xlabel="$x_1$", ylabel="$x_2$", zlabel="$x_3$", aspect="equal")
    left.view_init(elev=22, azim=-62)
    left.set_title("a bent plane: one unit behind a grid")
    for p, color in zip(GRIDS, COLORS, strict=True):
        own = data["breakpoints"] == p
        right.plot(data["surfaces"][own], means(data)[own], marker="o", markersize=3, color=color)
        right.annotate(
            f"{p} planes an axis",
            (MOST_LEVELS, means(data)[own][-1]),
            (-4, 6),
            textcoords="offset points",
            ha="right",
        )
    right.axhline(6, color="#888888", linewidth=0.8, linestyle="--")
    right.annotate("2 d", (MOST_LEVELS, 6), (2, -10), textcoords="offset points", ha="right", color="#666666")
    right.set(xlabel="bent planes (units of layer 2)", ylabel="mean facets per region", ylim=(5.4, 6.8))
    right.set_title("one layer alone stays below 2 d = 6")
    return figure


def tables(data: dict[str, np.ndarray]) -> dict[str, dict[str, list[object]]]:
    """Return one row per network."""
    columns = {name: data[name].tolist() for name in ("breakpoints", "surfaces", "regions", "adjacencies")}
    moved = {name: data["perturbed"][:, k].tolist() for k, name in enumerate(("regions", "adjacencies"))}
    return {"facets_small": {**columns, "mean": means(data).tolist()}, "facets_small_perturbed": moved}


def caption(data: dict[str, np.ndarray]) -> str:
    """Say what the largest mean is, and what perturbation leaves of one."""
    mean, most = means(data), int(np.argmax(means(data)))
    first = mean[data["surfaces"] == 1]
    moved = 2 * data["perturbed"][:, 1] / data["perturbed"][:, 0]
    return (
        "Left: in the grid of the first layer, one unit of the second draws a bent plane (here in [0, "
        f"{SHOWN:g}]^3, {len(data['n_vertices'])} polygons). Right: the mean number of facets of a region "
        f"against the number of such planes, from complete enumerations of {len(mean)} networks. With one "
        f"plane the mean is {first.min():.2f} to {first.max():.2f}; with {data['surfaces'][most]} planes in "
        f"a grid of {data['breakpoints'][most]} an axis it reaches {mean[most]:.3f}, over 2d = 6, which one "
        f"layer alone never exceeds. Of {len(moved)} networks with {len(LEVELS)} planes in a grid of {MOVED} "
        f"an axis whose parameters are all moved a little, the means are {moved.min():.3f} to "
        f"{moved.max():.3f}."
    )
