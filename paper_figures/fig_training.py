"""The cells of a plane network while it learns to tell two spirals apart.

All regions of a box, enumerated after so many steps of training, with the line where the two logits are equal,
cell by cell; and how many regions there are, in the box and in the whole plane, for several first weights.
"""

from __future__ import annotations

import numpy as np

import polygeom as pg
from polygeom.claims.counts import pattern_bounds
from polygeom.models import toy

FIGURE = "F2"
SEED = 1
SEEDS = (4, 16)
"""How many first weights are counted: quick, full."""

WIDTHS = (16, 16)
SHOWN = (0, 50, 300, 2000)
COUNTED = (0, 10, 20, 50, 100, 200, 300, 500, 1000, 2000)
HALF_WIDTH = 1.2
CLASSES = ("#d5772c", "#2a8c82")
LAYERS = ("#26364d", "#8c5a97")
MARKERS = ("o", "s")


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Train, enumerate the box at the steps shown, and count at all steps for every seed."""
    box = pg.Polyhedron.box(-HALF_WIDTH, HALF_WIDTH, dim=2)
    first = toy.trained.two_spirals(WIDTHS, SEED, at=COUNTED)
    shown = [first.networks[COUNTED.index(step)] for step in SHOWN]
    cells = [pg.enumerate_regions(net, box, store="cells") for net in shown]
    edges, units = zip(*map(drawn_edges, cells), strict=True)
    borders = [decision_line(net, K) for net, K in zip(shown, cells, strict=True)]
    runs = [first]
    runs += [
        toy.trained.two_spirals(WIDTHS, SEED + k, at=COUNTED) for k in range(1, SEEDS[0 if quick else 1])
    ]
    inside = [
        [pg.enumerate_regions(net, box, store="count").n_regions for net in run.networks] for run in runs
    ]
    whole = [[pg.enumerate_regions(net, store="count").n_regions for net in run.networks] for run in runs]
    return {
        "points": first.inputs,
        "classes": first.classes,
        "edges": np.concatenate(edges),
        "edge_panel": np.repeat(np.arange(len(SHOWN)), [len(u) for u in units]),
        "edge_layer": np.concatenate([net.units.gate_of(u) for net, u in zip(shown, units, strict=True)]),
        "border": np.concatenate(borders),
        "border_panel": np.repeat(np.arange(len(SHOWN)), [len(b) for b in borders]),
        "regions_in_box": np.array(inside),
        "regions": np.array(whole),
        "accuracy": np.array([run.accuracy for run in runs]),
        "bounds": np.array(pattern_bounds(2, WIDTHS)),
    }


def drawn_edges(K: pg.PolyhedralComplex) -> tuple[np.ndarray, np.ndarray]:
    """Return the segments (E, 2, 2) that units draw, and the units."""
    arrays = K.arrays
    after = np.arange(1, len(arrays.vertices) + 1)
    after[arrays.vertex_start[1:] - 1] = arrays.vertex_start[:-1]
    ends = np.stack([arrays.vertices[:, :2], arrays.vertices[after, :2]], axis=1)
    drawn = arrays.edge_units >= 0
    return ends[drawn], arrays.edge_units[drawn]


def decision_line(net: pg.Network, K: pg.PolyhedralComplex) -> np.ndarray:
    """Return the segments (S, 2, 2) on which the two logits are equal: one at most for every cell.

    On a cell the difference of the logits is affine, so the segment ends where it is 0 on two edges.
    """
    segments = []
    for i in range(K.n_regions):
        corners = K.vertices(i)
        logits = net(corners)
        gap = logits[:, 0] - logits[:, 1]
        after, corners_after = np.roll(gap, -1), np.roll(corners, -1, axis=0)
        crossed = np.flatnonzero((gap > 0) != (after > 0))
        if len(crossed) == 2:
            share = (gap[crossed] / (gap[crossed] - after[crossed]))[:, None]
            segments.append((1 - share) * corners[crossed] + share * corners_after[crossed])
    return np.array(segments).reshape(-1, 2, 2)


def draw(data: dict[str, np.ndarray]) -> object:
    """Draw the cells at four steps, and the numbers of regions and of correct answers below."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(6.9, 4.3), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.25, 1))
    for panel, (step, ax) in enumerate(zip(SHOWN, above.subplots(1, len(SHOWN)), strict=True)):
        _draw_cells(data, panel, ax)
        regions = data["regions_in_box"][0, COUNTED.index(step)]
        ax.set_title(f"{'' if panel else 'a  '}step {step}: {regions} cells")
        if panel:
            ax.set_yticks([])
        else:
            ax.set_ylabel("$x_2$")
    left, right = below.subplots(1, 2)
    _draw_counts(data, left)
    _draw_accuracy(data, right)
    return figure


def _draw_cells(data: dict[str, np.ndarray], panel: int, ax: object) -> None:
    for layer in (1, 0):
        own = (data["edge_panel"] == panel) & (data["edge_layer"] == layer)
        pg.plotting.draw_facets(data["edges"][own], ax=ax, color=LAYERS[layer], width=0.45 - 0.1 * layer)
    pg.plotting.draw_facets(data["border"][data["border_panel"] == panel], ax=ax, color="black", width=1.4)
    for label, (color, marker) in enumerate(zip(CLASSES, MARKERS, strict=True)):
        own = data["points"][data["classes"] == label]
        ax.plot(*own.T, marker, color=color, markersize=1.5, linestyle="none")
    ax.set(aspect="equal", xlim=(-HALF_WIDTH, HALF_WIDTH), ylim=(-HALF_WIDTH, HALF_WIDTH))
    ax.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], xlabel="$x_1$")
    ax.spines[["top", "right"]].set_visible(True)


def _draw_counts(data: dict[str, np.ndarray], ax: object) -> None:
    for name, color, label in (
        ("regions", "#26364d", "in the plane"),
        ("regions_in_box", "#d5772c", "in the box of a"),
    ):
        ax.plot(COUNTED, data[name].T, color=color, linewidth=0.5, alpha=0.5)
        ax.plot(COUNTED, np.median(data[name], axis=0), color=color, marker="o", markersize=2.5, label=label)
    ax.set_xscale("symlog", linthresh=10)
    ax.set(xlabel="steps of training", ylabel="regions", ylim=(0, None))
    ax.set(xticks=[0, 10, 100, 1000], xticklabels=["0", "10", "100", "1000"])
    ax.set_title(f"b  exact counts, {len(data['regions'])} first weights; line with dots: median")
    ax.legend(loc="lower right")


def _draw_accuracy(data: dict[str, np.ndarray], ax: object) -> None:
    ax.plot(COUNTED, 100 * data["accuracy"].T, color="#2a8c82", linewidth=0.5, alpha=0.6)
    ax.plot(COUNTED, 100 * np.median(data["accuracy"], axis=0), color="#2a8c82", marker="o", markersize=2.5)
    ax.set_xscale("symlog", linthresh=10)
    ax.set(xlabel="steps of training", ylabel="points on the right side (%)", ylim=(40, 102))
    ax.set(xticks=[0, 10, 100, 1000], xticklabels=["0", "10", "100", "1000"])
    ax.set_title("c  what is learned meanwhile")


def tables(data: dict[str, np.ndarray]) -> dict[str, dict[str, list[object]]]:
    """Return one row per first weights and step."""
    n_runs, n_steps = data["regions"].shape
    return {
        "training": {
            "seed": np.repeat(SEED + np.arange(n_runs), n_steps).tolist(),
            "step": list(COUNTED) * n_runs,
            **{name: data[name].ravel().tolist() for name in ("regions_in_box", "regions", "accuracy")},
        }
    }


def caption(data: dict[str, np.ndarray]) -> str:
    """Say how the counts change with training."""
    at = [COUNTED.index(step) for step in SHOWN]
    inside, whole = data["regions_in_box"], data["regions"]
    grew = int((inside[:, -1] > inside[:, 0]).sum())
    right = 100 * data["accuracy"][:, -1]
    return (
        f"A network with two hidden layers of {WIDTHS[0]} units learns two spirals of "
        f"{len(data['points']) // 2} points each. a: all cells in [-{HALF_WIDTH:g}, {HALF_WIDTH:g}]^2 after "
        f"{', '.join(map(str, SHOWN))} steps, {', '.join(map(str, inside[0, at]))} of them; thin lines are "
        "drawn by units (blue: of the first layer, violet: of the second), on the black line both logits "
        f"are equal. b: exact numbers of regions during training from {len(whole)} first weights; in the box "
        f"they grew in {grew} of {len(whole)}, from {np.median(inside[:, 0]):g} to "
        f"{np.median(inside[:, -1]):g} in the median, in the whole plane from {np.median(whole[:, 0]):g} to "
        f"{np.median(whole[:, -1]):g}; no network of these widths has more than {data['bounds'].min()} "
        f"(Montufar 2017; Serra et al. 2018). c: in the end at least {right.min():.1f} % of the points are "
        "on the right side."
    )
