"""Which regions share a facet: the dual graph of a plane network, and that of one layer as a tiling.

A node is a region, an edge a common facet, colored by the layer whose unit changes its letter there. For one
layer in the plane every unit has one direction, its unit normal: with the sum of the directions of the units that
are on as its place, each node is a corner of a tiling by rhombi, one for every crossing of two lines (de Bruijn).
"""

from __future__ import annotations

import numpy as np

import polygeom as pg
from polygeom.models import toy

FIGURE = "F6"
SEED = 3
LINES = (7, 12)
"""Units of the first layer, in the deep network and in the flat one."""

BEHIND = 5
"""Units of the second layer of the deep network."""

SOLID = (3, 6, 4, 1)
"""Widths of the network that can be turned."""

HALF_WIDTHS = (2.0, 1.6)
LAYERS = ("#26364d", "#d5772c")
SHADES = ("#eef1f5", "#dbe2ea")


def networks() -> tuple[pg.Network, pg.Network]:
    """Return a network of two hidden layers, and one of a single layer."""
    rng = np.random.default_rng(SEED)
    (_, _), *behind = toy.random_weights.he_layers((2, LINES[0], BEHIND, 1), rng)
    deep = pg.Network.from_layers([_lines(LINES[0], rng), *behind])
    return deep, pg.Network.from_layers([_lines(LINES[1], rng), (np.ones((1, LINES[1])), [0])])


def _lines(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return n lines whose normals are evenly spread, at random distances up to 1 from 0 on random sides."""
    angle = np.pi * np.arange(n) / n
    side = rng.choice([-1.0, 1.0], size=n)
    return side[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), rng.uniform(-1, 1, size=n)


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Enumerate both boxes for the pictures, and both planes for the numbers; quick or not is the same."""
    data: dict[str, np.ndarray] = {}
    for k, (net, half) in enumerate(zip(networks(), HALF_WIDTHS, strict=True)):
        K = pg.enumerate_regions(net, pg.Polyhedron.box(-half, half, dim=2), store="cells")
        data |= {
            f"n_vertices_{k}": np.diff(K.arrays.vertex_start),
            f"vertices_{k}": K.arrays.vertices[:, :2],
            f"nodes_{k}": np.array([_centroid(K.vertices(i)) for i in range(K.n_regions)]),
            f"edges_{k}": K.edges,
            f"middles_{k}": _middles(K),
            f"layer_{k}": net.units.gate_of(K.edge_units.indices[K.edge_units.indptr[:-1]]),
        }
    whole = [pg.enumerate_regions(net) for net in networks()]
    flat = whole[1]
    weight = networks()[1].steps[0].weight
    directions = weight / np.linalg.norm(weight, axis=1, keepdims=True)
    return data | {
        "tiling_nodes": flat.codes.letters @ directions,
        "tiling_edges": flat.edges,
        "crossings": np.array([_simple_crossings(flat)]),
        "regions": np.array([K.n_regions for K in whole]),
        "adjacencies": np.array([len(K.edges) for K in whole]),
        "bounded": np.array([K.n_bounded for K in whole]),
        "degrees": whole[0].n_facets,
        "diameter": np.array([_distances(K).max() for K in whole], dtype=int),
        "farthest": np.array([_hamming(K).max() for K in whole], dtype=int),
        "longer": np.array([(_distances(K) > _hamming(K)).mean() for K in whole]),
        "flips": np.array([np.diff(K.edge_units.indptr).max() for K in whole]),
    }


def _middles(K: pg.PolyhedralComplex) -> np.ndarray:
    """Return the middle (E, 2) of the common facet of every pair: the edge that the flipping unit draws."""
    start, units = K.arrays.vertex_start, K.arrays.edge_units
    flipping = K.edge_units.indices[K.edge_units.indptr[:-1]]
    middles = []
    for (i, _), unit in zip(K.edges, flipping, strict=True):
        corners = K.arrays.vertices[start[i] : start[i + 1], :2]
        (k,) = np.flatnonzero(units[start[i] : start[i + 1]] == unit)
        middles.append((corners[k] + corners[(k + 1) % len(corners)]) / 2)
    return np.array(middles)


def _centroid(polygon: np.ndarray) -> np.ndarray:
    """Return the center of mass of a convex polygon."""
    corners = polygon - polygon[0]
    one, two = corners[1:-1], corners[2:]
    areas = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    return polygon[0] + (areas[:, None] * (one + two)).sum(axis=0) / (3 * areas.sum())


def _simple_crossings(K: pg.PolyhedralComplex) -> int:
    """Return the number of bounded faces of the drawn graph, by Euler's formula: 1 = nodes - edges + faces."""
    return 1 - K.n_regions + len(K.edges)


def _distances(K: pg.PolyhedralComplex) -> np.ndarray:
    """Return the numbers of facets on the shortest ways between all pairs of regions."""
    from scipy.sparse.csgraph import shortest_path

    return shortest_path(K.adjacency, unweighted=True, directed=False)


def _hamming(K: pg.PolyhedralComplex) -> np.ndarray:
    """Return the numbers of letters in which all pairs of codes differ."""
    letters = K.codes.letters.astype(int)
    return (letters[:, None] != letters[None]).sum(axis=2)


def draw(data: dict[str, np.ndarray]) -> object:
    """Draw both graphs over their cells, and the second as a tiling."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(6.9, 2.6), layout="constrained")
    for k, ax in enumerate(axes[:2]):
        half = HALF_WIDTHS[k]
        polygons = np.split(data[f"vertices_{k}"], np.cumsum(data[f"n_vertices_{k}"])[:-1])
        sides = [SHADES[len(p) % 2] for p in polygons]
        pg.plotting.draw_cells(polygons, ax=ax, colors=sides)
        walls = np.concatenate([np.stack([c, np.roll(c, -1, axis=0)], axis=1) for c in polygons])
        pg.plotting.draw_facets(walls, ax=ax, color="#b4bdc9", width=0.5)
        ends = data[f"nodes_{k}"][data[f"edges_{k}"]]
        ways = np.stack([ends[:, 0], data[f"middles_{k}"], ends[:, 1]], axis=1)
        _draw_graph(data[f"nodes_{k}"], ways, data[f"layer_{k}"], ax)
        ax.set(aspect="equal", xlim=(-half, half), ylim=(-half, half), xlabel="$x_1$", ylabel="$x_2$")
        ax.set(xticks=[-half, 0, half], yticks=[-half, 0, half])
        ax.spines[["top", "right"]].set_visible(True)
    last = axes[2]
    ways = data["tiling_nodes"][data["tiling_edges"]]
    _draw_graph(data["tiling_nodes"], ways, np.zeros(len(ways), dtype=int), last)
    last.set(aspect="equal", xticks=[], yticks=[])
    last.spines[["left", "bottom"]].set_visible(False)
    axes[0].set_title("a  two layers")
    axes[1].set_title(f"b  one layer, {LINES[1]} lines")
    last.set_title(f"c  the graph of b: {int(data['crossings'][0])} tiles")
    return figure


def _draw_graph(nodes: np.ndarray, ways: np.ndarray, layer: np.ndarray, ax: object) -> None:
    """Draw nodes and, in the color of its layer, the way (points in order) of every edge."""
    from matplotlib.collections import LineCollection

    colors = [LAYERS[number] for number in layer]
    ax.add_collection(LineCollection(list(ways), colors=colors, linewidths=0.8, joinstyle="round"))
    ax.plot(*nodes.T, "o", color="black", markersize=1.8, linestyle="none")


def pages(data: dict[str, np.ndarray]) -> dict[str, str]:
    """Return a network in space to be turned: its cells, and its dual graph."""
    net = toy.he(SOLID, np.random.default_rng(SEED))
    K = pg.enumerate_regions(net, pg.Polyhedron.box(-1, 1, dim=3), store="cells")
    cells = pg.plotting.complex_figure(K, f"{K.n_regions} cells of a network in space")
    graph = pg.plotting.graph_figure(
        K, f"The dual graph of {K.n_regions} cells: {len(K.edges)} common facets"
    )
    return {
        "dual_graph_cells": pg.plotting.html_page(cells),
        "dual_graph": pg.plotting.html_page(graph),
    }


def tables(data: dict[str, np.ndarray]) -> dict[str, dict[str, list[object]]]:
    """Return one row per network, and the edges drawn."""
    names = ("regions", "bounded", "adjacencies", "diameter", "farthest", "longer")
    drawn = {
        f"dual_graph_edges_{'ab'[k]}": {
            "one": data[f"edges_{k}"][:, 0].tolist(),
            "other": data[f"edges_{k}"][:, 1].tolist(),
            "layer": (data[f"layer_{k}"] + 1).tolist(),
        }
        for k in range(2)
    }
    return {
        "dual_graph": {"network": ["two layers", "one layer"], **{n: data[n].tolist() for n in names}}
    } | drawn


def caption(data: dict[str, np.ndarray]) -> str:
    """Say how large the graphs are, and how far apart their nodes."""
    regions, edges, longer = data["regions"].tolist(), data["adjacencies"].tolist(), data["longer"].tolist()
    mean = 2 * edges[0] / regions[0]
    return (
        f"a: cells of a network of {LINES[0]} units and {BEHIND} behind them in a box, a node in each, an "
        "edge through each common facet (blue: a unit of the first layer flips there, orange: of the "
        f"second). In the whole plane there are {regions[0]} regions and {edges[0]} edges, {mean:.3f} "
        f"neighbors on average and {data['degrees'].max()} at most; the farthest two regions are "
        f"{data['diameter'][0]} steps apart, while no two codes differ in more than {data['farthest'][0]} "
        f"letters, and {longer[0]:.0%} of all pairs are farther apart than their codes. b: the same for one "
        f"layer of {LINES[1]} lines, {regions[1]} regions and {edges[1]} edges; distances in the graph "
        f"differ from those of codes in {longer[1]:.0%} of pairs. c: the graph of b with every unit as one "
        f"direction, its unit normal: {int(data['crossings'][0])} rhombi, one for every crossing of two "
        "lines."
    )
