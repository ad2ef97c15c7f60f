"""The cells of a plane toy network, layer by layer, and a proof that none is missing.

Cells are found by evaluating pieces at the points of a grid, and once more across every edge of a cell found.
Each is drawn from the exact vertices of its closed cell within the box. If their areas, rationals, add up to that
of the box exactly, no full-dimensional cell of the box is missing: the count is proved. Otherwise the count is
said to be what was found from so many points.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from tqdm import tqdm

import polygeom as pg
from polygeom.models import toy

SEED = 4
WIDTHS = (2, 9, 9, 9)
HALF_WIDTH = 3.0
ACROSS = 2.0**-20
"""How far beyond an edge the neighbor is looked for, in input units; what this misses, the areas betray."""

LAYER_COLORS = ("#26364d", "#d5772c", "#2a8c82")


@dataclass(frozen=True)
class Cell:
    """One cell within the box: its piece, polygon and edges."""

    piece: pg.AffinePiece
    polygon: np.ndarray
    edges: np.ndarray
    layers: np.ndarray
    beyond: np.ndarray
    area: Fraction


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
    """Find and measure the cells of every truncation."""
    side = 24 if quick else 96
    axis = (np.arange(side) + 0.5) / side * 2 * HALF_WIDTH - HALF_WIDTH
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    found = [cells(net, grid) for net in tqdm(truncations(), desc="toy partition", unit="net")]
    box = Fraction(2 * HALF_WIDTH) ** 2
    listed = [(depth, cell) for depth, some in enumerate(found) for cell in some]
    return {
        "n_points": np.array(side**2),
        "complete": np.array([sum(cell.area for cell in some) == box for some in found]),
        "panel": np.array([depth for depth, _ in listed]),
        "n_vertices": np.array([len(cell.polygon) for _, cell in listed]),
        "vertices": np.concatenate([cell.polygon for _, cell in listed]),
        "code": np.array(["".join(map(str, cell.piece.code)) for _, cell in listed]),
        "area": np.array([float(cell.area) for _, cell in listed]),
        "bounded": np.array([bool(pg.boundedness(cell.piece.polyhedron).bounded) for _, cell in listed]),
        "edges": np.concatenate([cell.edges for _, cell in listed]),
        "edge_layer": np.concatenate([cell.layers for _, cell in listed]),
        "edge_panel": np.repeat([depth for depth, _ in listed], [len(cell.edges) for _, cell in listed]),
    }


def cells(net: pg.Network, grid: np.ndarray) -> list[Cell]:
    """Return the cells met at grid points, and those reached across their edges."""
    known: dict[bytes, Cell] = {}
    waiting = [grid]
    while waiting:
        points = waiting.pop()
        letters = pg.spline_codes(net, points).letters
        for first in np.unique(letters, axis=0, return_index=True)[1]:
            code = letters[first].tobytes()
            if code not in known:
                known[code] = cell_at(net, points[first])
                inside = np.abs(known[code].beyond).max(axis=1, initial=0.0) < HALF_WIDTH
                if inside.any():
                    waiting.append(known[code].beyond[inside])
    return list(known.values())


def cell_at(net: pg.Network, point: np.ndarray) -> Cell:
    """Return the cell of a point within the box; an edge joins two vertices tight on a common row."""
    piece = pg.piece_at(net, point)
    P = piece.polyhedron.intersect(pg.Polyhedron.box(-HALF_WIDTH, HALF_WIDTH, dim=2))
    corners = pg.vertices(P)
    corner = np.asarray(corners.points, dtype=np.float64)
    offsets = corner - corner.mean(axis=0)
    polygon = corner[np.argsort(np.arctan2(offsets[:, 1], offsets[:, 0]))]
    edges, rows = [], []
    for row in range(len(piece.units)):
        ends = [k for k, tight in enumerate(corners.tight_rows) if row in tight]
        if len(ends) == 2:
            edges.append(corner[ends])
            rows.append(row)
    edges = np.array(edges).reshape(-1, 2, 2)
    outward = P.A[rows] / np.linalg.norm(P.A[rows], axis=1, keepdims=True)
    layers = net.units.gate_of(piece.units[rows])
    return Cell(piece, polygon, edges, layers, edges.mean(axis=1) + ACROSS * outward, pg.volume(P))


def counted(data: dict[str, np.ndarray], panel: int) -> str:
    """Say how many cells there are, and on what ground."""
    n = int((data["panel"] == panel).sum())
    if data["complete"][panel]:
        return f"{n} cells, proved"
    return f"{n} cells found from {int(data['n_points'])} points"


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


def report(data: dict[str, np.ndarray]) -> str:
    """Say what was counted, and how."""
    lines = []
    for panel, complete in enumerate(data["complete"]):
        bounded = int(data["bounded"][data["panel"] == panel].sum())
        ground = "the areas add up to that of the box exactly" if complete else "not proved complete"
        lines.append(
            f"hidden layers {panel + 1}, in the box: {counted(data, panel)} ({ground}); {bounded} bounded in R^2"
        )
    return "\n".join(lines)
