"""The cells of a plane toy network, layer by layer, and a proof that none is missing.

All regions within a box are enumerated and drawn from their vertices. Their areas, rationals, add up to that
of the box exactly: no full-dimensional cell of the box is missing. Which of them are bounded is read off an
enumeration of the whole plane.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

import polygeom as pg
from polygeom.models import toy

FIGURE = "F1"
SEED = 4
WIDTHS = (2, 9, 9, 9)
HALF_WIDTH = 3.0
LAYER_COLORS = ("#26364d", "#d5772c", "#2a8c82")


def truncations() -> list[pg.Network]:
    """Return the networks of the first one, two, ... hidden layers of one random network."""
    rng = np.random.default_rng(SEED)
    whole = toy.he([*WIDTHS, 1], rng)
    layers = [(step.weight, step.constant) for step in whole.steps[::2]]
    return [
        pg.Network.from_layers([*layers[:depth], (np.ones((1, WIDTHS[depth])), [0])])
        for depth in range(1, len(WIDTHS))
    ]


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Enumerate the cells of every truncation; there is nothing to save by being quick."""
    nets = truncations()
    box = pg.Polyhedron.box(-HALF_WIDTH, HALF_WIDTH, dim=2)
    found = [pg.enumerate_regions(net, box, store="cells") for net in nets]
    area = [sum(K.volumes(exact=True), Fraction(0)) for K in found]
    edges, units = zip(*(drawn_edges(K) for K in found), strict=True)
    return {
        "complete": np.array([total == Fraction(2 * HALF_WIDTH) ** 2 for total in area]),
        "panel": np.repeat(np.arange(len(found)), [K.n_regions for K in found]),
        "n_vertices": np.concatenate([np.diff(K.arrays.vertex_start) for K in found]),
        "vertices": np.concatenate([K.arrays.vertices[:, :2] for K in found]),
        "code": np.array(["".join(map(str, code)) for K in found for code in K.codes.letters]),
        "area": np.concatenate([K.volumes() for K in found]),
        "bounded": np.concatenate([bounded_in_plane(net, K) for net, K in zip(nets, found, strict=True)]),
        "edges": np.concatenate(edges),
        "edge_layer": np.concatenate([net.units.gate_of(u) for net, u in zip(nets, units, strict=True)]),
        "edge_panel": np.repeat(np.arange(len(found)), [len(u) for u in units]),
    }


def drawn_edges(K: pg.PolyhedralComplex) -> tuple[np.ndarray, np.ndarray]:
    """Return the segments (E, 2, 2) that units draw, and the units."""
    arrays = K.arrays
    after = np.arange(1, len(arrays.vertices) + 1)
    after[arrays.vertex_start[1:] - 1] = arrays.vertex_start[:-1]
    ends = np.stack([arrays.vertices[:, :2], arrays.vertices[after, :2]], axis=1)
    drawn = arrays.edge_units >= 0
    return ends[drawn], arrays.edge_units[drawn]


def bounded_in_plane(net: pg.Network, K: pg.PolyhedralComplex) -> np.ndarray:
    """Tell which regions of a box are bounded without the box."""
    whole = pg.enumerate_regions(net)
    bounded = dict(zip(map(bytes, whole.codes.letters), whole.bounded, strict=True))
    return np.array([bounded[bytes(code)] for code in K.codes.letters])


def counted(data: dict[str, np.ndarray], panel: int) -> str:
    """Say how many cells there are, and whether that is proved."""
    proved = "proved" if data["complete"][panel] else "not proved"
    return f"{int((data['panel'] == panel).sum())} cells, {proved}"


def draw(data: dict[str, np.ndarray]) -> object:
    """Draw a panel per depth: cells shaded by how many units are on, edges colored by the layer that drew them."""
    import matplotlib.pyplot as plt
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shades = LinearSegmentedColormap.from_list("on", ["#ffffff", "#b9c6d6"])
    n_panels = len(data["complete"])
    figure, axes = plt.subplots(1, n_panels, figsize=(6.9, 2.8), layout="compressed")
    polygons = np.split(data["vertices"], np.cumsum(data["n_vertices"])[:-1])
    for panel, ax in enumerate(axes):
        mine = np.flatnonzero(data["panel"] == panel)
        on = np.array([data["code"][i].count("1") for i in mine])
        pg.plotting.draw_cells(
            [polygons[i] for i in mine], ax=ax, colors=shades((on - on.min()) / max(np.ptp(on), 1))
        )
        for layer in range(panel, -1, -1):
            drawn = (data["edge_panel"] == panel) & (data["edge_layer"] == layer)
            pg.plotting.draw_facets(
                data["edges"][drawn], ax=ax, color=LAYER_COLORS[layer], width=0.8 - 0.15 * layer
            )
        layers = "layer 1" if panel == 0 else f"layers 1–{panel + 1}"
        ax.set_title(f"{layers}: {counted(data, panel)}")
        ax.set(aspect="equal", xlim=(-HALF_WIDTH, HALF_WIDTH), ylim=(-HALF_WIDTH, HALF_WIDTH))
        ax.set(xticks=[-3, 0, 3], yticks=[-3, 0, 3] if panel == 0 else [], xlabel="$x_1$")
        ax.spines[["top", "right"]].set_visible(True)
    axes[0].set_ylabel("$x_2$")
    handles = [
        Line2D([], [], color=color, linewidth=1.2, label=f"drawn by layer {layer + 1}")
        for layer, color in enumerate(LAYER_COLORS[:n_panels])
    ]
    handles.append(Patch(facecolor=shades(1.0), edgecolor="none", label="darker: more units on"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def pages(data: dict[str, np.ndarray]) -> dict[str, str]:
    """Return the last panel as a page: every cell says its code, its neighbors, and whether it is bounded."""
    box = pg.Polyhedron.box(-HALF_WIDTH, HALF_WIDTH, dim=2)
    K = pg.enumerate_regions(truncations()[-1], box, store="cells")
    return {"toy_partition": pg.plotting.html_page(pg.plotting.complex_figure(K, "Cells of a plane network"))}


def tables(data: dict[str, np.ndarray]) -> dict[str, dict[str, list[object]]]:
    """Return one row per cell."""
    columns = {
        "hidden_layers": (data["panel"] + 1).tolist(),
        "code": data["code"].tolist(),
        "units_on": [code.count("1") for code in data["code"]],
        "vertices_in_box": data["n_vertices"].tolist(),
        "area_in_box": data["area"].tolist(),
        "bounded_in_plane": data["bounded"].tolist(),
    }
    return {"toy_partition": columns}


def caption(data: dict[str, np.ndarray]) -> str:
    """Say how many cells there are after each layer."""
    panels = range(len(data["complete"]))
    cells = [int((data["panel"] == k).sum()) for k in panels]
    bounded = int(data["bounded"][data["panel"] == panels[-1]].sum())
    ground = (
        "The areas of the cells, rational numbers, add up to that of the box exactly: none is missing."
        if data["complete"].all()
        else "The areas of the cells do not add up to that of the box: some are missing."
    )
    return (
        f"A random network with {len(cells)} hidden layers of {WIDTHS[1]} units on the plane, in the box "
        f"[-{HALF_WIDTH:g}, {HALF_WIDTH:g}]^2: after {', '.join(str(k + 1) for k in panels)} layers there "
        f"are {', '.join(map(str, cells))} cells. {ground} Of the last {cells[-1]}, {bounded} are bounded in "
        "the plane. Lines have the color of the layer whose units draw them; those of deeper layers bend "
        "where they meet earlier ones. Darker cells have more units on."
    )


def report(data: dict[str, np.ndarray]) -> str:
    """Say what was counted, and how."""
    lines = []
    for panel, complete in enumerate(data["complete"]):
        bounded = int(data["bounded"][data["panel"] == panel].sum())
        ground = (
            "their areas add up to that of the box exactly" if complete else "their areas do not fill the box"
        )
        lines.append(
            f"hidden layers {panel + 1}, in the box: {counted(data, panel)} ({ground}); {bounded} bounded in R^2"
        )
    return "\n".join(lines)
