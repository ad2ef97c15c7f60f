"""Cells as directions: cones without biases, what biases change, and a first layer of rank one.

The same weights three times: without biases, with them, and with a first layer that sees one direction only.
Every cell of the plane is asked whether it is bounded and whether it has an apex, with proofs; a box is drawn.
"""

from __future__ import annotations

import numpy as np

import polygeom as pg
from polygeom.models import toy

FIGURE = "F3"
SEED = 5
WIDTHS = (2, 6, 6, 1)
HALF_WIDTH = 3.0
TITLES = ("no biases", "biases", "biases, rank $W_1 = 1$")
KINDS = ("a cone with apex 0", "a cone with another apex", "unbounded, no apex", "bounded")
COLORS = ("#bfe0db", "#f6dfc4", "#e9b07c", "#aab6c8")


def networks() -> list[pg.Network]:
    """Return the three networks."""
    layers = toy.random_weights.he_layers(WIDTHS, np.random.default_rng(SEED))
    (W, b), *rest = layers
    flat = np.outer(W[:, 0], [1.0, 0.5])  # exactly of rank 1
    bare = [(V, 0 * c) for V, c in layers]
    return [pg.Network.from_layers(chosen) for chosen in (bare, layers, [(flat, b), *rest])]


def kinds(K: pg.PolyhedralComplex) -> np.ndarray:
    """Return for every region of the plane which of `KINDS` it is."""
    return np.array([_kind(K.polyhedron(i), bool(K.bounded[i])) for i in range(K.n_regions)])


def _kind(P: pg.Polyhedron, bounded: bool) -> int:
    if bounded:
        return 3
    if pg.is_cone(P):
        return 0
    return 1 if pg.apex(P).exists else 2


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Ask every cell of the plane, and find its part of the box; there is nothing to save by being quick."""
    nets = networks()
    whole = [pg.enumerate_regions(net) for net in nets]
    box = pg.Polyhedron.box(-HALF_WIDTH, HALF_WIDTH, dim=2)
    drawn = [pg.enumerate_regions(net, box, store="cells") for net in nets]
    verdicts = [pg.verify_all(net, ids=["bias-free-cones", "cones-iff", "converse"]) for net in nets]
    found = [kinds(K) for K in whole]
    return {
        "panel": np.repeat(np.arange(len(nets)), [K.n_regions for K in drawn]),
        "n_vertices": np.concatenate([np.diff(K.arrays.vertex_start) for K in drawn]),
        "vertices": np.concatenate([K.arrays.vertices[:, :2] for K in drawn]),
        "kind": np.concatenate(
            [kind[K.find(part.codes.letters)] for kind, K, part in zip(found, whole, drawn, strict=True)]
        ),
        "counts": np.array([np.bincount(kind, minlength=len(KINDS)) for kind in found]),
        "rays": whole[0].witnesses / np.abs(whole[0].witnesses).max(axis=1, keepdims=True),
        "verdicts": np.array([[str(verdict) for verdict in v.values()] for v in verdicts]),
        "rechecked": np.array([all(v.check() for v in vs.values() if v.witness) for vs in verdicts]),
    }


def draw(data: dict[str, np.ndarray]) -> object:
    """Draw a panel per network; in the first one the ray that proves each cell to be a cone."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    figure, axes = plt.subplots(1, len(TITLES), figsize=(6.9, 2.8), layout="compressed")
    polygons = np.split(data["vertices"], np.cumsum(data["n_vertices"])[:-1])
    for panel, ax in enumerate(axes):
        mine = np.flatnonzero(data["panel"] == panel)
        cells = [polygons[i] for i in mine]
        pg.plotting.draw_cells(cells, ax=ax, colors=[COLORS[k] for k in data["kind"][mine]])
        edges = np.concatenate([np.stack([c, np.roll(c, -1, axis=0)], axis=1) for c in cells])
        pg.plotting.draw_facets(edges, ax=ax, color="#26364d", width=0.5)
        if panel == 0:
            rays = np.stack([0 * data["rays"], 0.8 * HALF_WIDTH * data["rays"]], axis=1)
            pg.plotting.draw_facets(rays, ax=ax, color="#2a8c82", width=0.6)
            ax.plot(*rays[:, 1].T, ".", color="#2a8c82", markersize=2.5)
        ax.plot(0, 0, "o", color="black", markersize=2.5)
        total = int(data["counts"][panel].sum())
        ax.set_title(f"{TITLES[panel]}: {total} cells, {int(data['counts'][panel][3])} bounded")
        ax.set(aspect="equal", xlim=(-HALF_WIDTH, HALF_WIDTH), ylim=(-HALF_WIDTH, HALF_WIDTH))
        ax.set(xticks=[-3, 0, 3], yticks=[-3, 0, 3] if panel == 0 else [], xlabel="$x_1$")
        ax.spines[["top", "right"]].set_visible(True)
    axes[0].set_ylabel("$x_2$")
    handles = [
        Patch(facecolor=color, edgecolor="none", label=kind)
        for color, kind in zip(COLORS, KINDS, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def tables(data: dict[str, np.ndarray]) -> dict[str, dict[str, list[object]]]:
    """Return one row per network: how many cells of each kind."""
    counts = {kind: data["counts"][:, k].tolist() for k, kind in enumerate(KINDS)}
    return {"cones": {"network": ["no biases", "biases", "biases, rank 1"], **counts}}


def caption(data: dict[str, np.ndarray]) -> str:
    """Say how many cells of each kind there are."""
    bare, biased, flat = data["counts"].tolist()
    again = "was checked" if data["rechecked"].all() else "could not be checked in every case"
    return (
        f"One random plane network of widths {', '.join(map(str, WIDTHS))}, all cells of the plane. Without "
        f"biases {bare[0]} of {sum(bare)} cells are cones with apex 0; the ray drawn in each proves it. "
        f"With biases, of {sum(biased)} cells {biased[3]} are bounded, {biased[1]} are unbounded cones with "
        f"another apex and {biased[2]} are unbounded without apex. With a first layer of rank 1 each of the "
        f"{sum(flat)} cells contains a line, {flat[1]} of them half-planes and {flat[2]} without apex, and "
        f"{flat[3]} are bounded. What proves each verdict {again} again without a solver."
    )


def report(data: dict[str, np.ndarray]) -> str:
    """Return the verdicts of the claims on each network."""
    lines = [f"{title}: {line}" for title, v in zip(TITLES, data["verdicts"], strict=True) for line in v]
    again = "all witnesses hold again" if data["rechecked"].all() else "a witness does not hold again"
    return "\n".join([*lines, again])
