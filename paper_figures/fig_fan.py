"""From far away a network is its fan: the cones of the network without biases, cone by cone.

Cells with full-dimensional recession cone have the color of that cone; the last panel shows how fast f(td)/t
approaches f0(d), beside the proved bound.
"""

from __future__ import annotations

import numpy as np

import polygeom as pg
from polygeom.claims.fan import deviation_bound, without_biases
from polygeom.models import toy

FIGURE = "F4"
SEED = 14
WIDTHS = (2, 7, 7, 1)
HALF_WIDTHS = (3.0, 30.0)
STEPS = np.logspace(-2, 4, 61)
DIRECTIONS = 720

GRAY = "#8f98a5"


def network() -> pg.Network:
    """Return the network that is looked at from far away."""
    return toy.he(WIDTHS, np.random.default_rng(SEED))


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Match cells and cones; enumerate two boxes around 0; follow f(td)/t; quick or not is the same."""
    net, fan = network(), without_biases(network())
    verdict = pg.verify("fan-at-infinity", net)
    K, K0, partners = (verdict.witness.data[name] for name in ("K", "fan", "partners"))
    partner = np.full(K.n_regions, -1)
    partner[list(partners)] = list(partners.values())
    views = [(net, r) for r in HALF_WIDTHS] + [(fan, HALF_WIDTHS[0])]
    drawn = [pg.enumerate_regions(one, pg.Polyhedron.box(-r, r, dim=2), store="cells") for one, r in views]
    cones = [partner[K.find(part.codes.letters)] for part in drawn[:2]] + [K0.find(drawn[2].codes.letters)]
    d = circle(DIRECTIONS)
    gaps = [np.abs(net(t * d) / t - fan(d)).max() for t in STEPS]
    return {
        "panel": np.repeat(np.arange(len(drawn)), [part.n_regions for part in drawn]),
        "n_vertices": np.concatenate([np.diff(part.arrays.vertex_start) for part in drawn]),
        "vertices": np.concatenate([part.arrays.vertices[:, :2] for part in drawn]),
        "cone": np.concatenate(cones),
        "angle": np.arctan2(*K0.witnesses.T[::-1]),
        "regions": np.array([K.n_regions, K.n_bounded, K0.n_regions]),
        "gap": np.array(gaps),
        "bound": np.array([float(max(deviation_bound(net)))]),
        "verdict": np.array([str(verdict), "holds again" if verdict.check() else "does not hold again"]),
    }


def circle(n: int) -> np.ndarray:
    """Return n directions in the plane."""
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def palette(angle: np.ndarray) -> np.ndarray:
    """Return a color per cone: hue by its angle, every other one lighter."""
    from matplotlib.colors import hsv_to_rgb

    place = np.argsort(np.argsort(angle))
    hue, light = place / len(angle), place % 2
    return hsv_to_rgb(np.stack([hue, np.where(light, 0.22, 0.42), np.where(light, 0.97, 0.90)], axis=1))


def draw(data: dict[str, np.ndarray]) -> object:
    """Draw the network near and far, its fan, and the distance to it."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(6.9, 2.1), layout="constrained")
    polygons = np.split(data["vertices"], np.cumsum(data["n_vertices"])[:-1])
    colors, (cells, bounded, cones) = palette(data["angle"]), data["regions"]
    titles = (f"{cells} cells, {bounded} gray: bounded", "ten times as far", f"no biases: {cones} cones")
    for panel, (ax, title) in enumerate(zip(axes[:3], titles, strict=True)):
        mine = np.flatnonzero(data["panel"] == panel)
        own = [GRAY if data["cone"][i] < 0 else colors[data["cone"][i]] for i in mine]
        pg.plotting.draw_cells([polygons[i] for i in mine], ax=ax, colors=own)
        edges = np.concatenate(
            [np.stack([c, np.roll(c, -1, axis=0)], axis=1) for c in (polygons[i] for i in mine)]
        )
        pg.plotting.draw_facets(edges, ax=ax, color="#26364d", width=(0.4, 0.3, 0.4)[panel])
        half = HALF_WIDTHS[panel % 2]
        ax.set(aspect="equal", xlim=(-half, half), ylim=(-half, half), title=title, xlabel="$x_1$")
        ax.set(xticks=[-half, 0, half], yticks=[-half, 0, half])
        ax.spines[["top", "right"]].set_visible(True)
    axes[0].set_ylabel("$x_2$")
    last = axes[3]
    last.loglog(STEPS, data["bound"][0] / STEPS, color="#9a9a9a", linestyle="--", label="$B/t$")
    last.loglog(STEPS, data["gap"], color="#26364d", label=r"$\max_d\, |f(td)/t - f_0(d)|$")
    last.set(box_aspect=1, xlabel="$t$", title="distance to the fan", xticks=[0.01, 1, 100, 10000])
    last.legend(loc="lower left", handlelength=1.4, borderaxespad=0.2)
    return figure


def tables(data: dict[str, np.ndarray]) -> dict[str, dict[str, list[object]]]:
    """Return how far the network is from its fan, and the cone of every cell drawn."""
    distance = {
        "t": STEPS.tolist(),
        "gap": data["gap"].tolist(),
        "bound": (data["bound"][0] / STEPS).tolist(),
    }
    cells = {name: data[name].tolist() for name in ("panel", "cone", "n_vertices")}
    return {"fan": distance, "fan_cells": cells}


def caption(data: dict[str, np.ndarray]) -> str:
    """Say how many cells and cones there are, and how far apart the functions are."""
    cells, bounded, cones = data["regions"].tolist()
    unmatched = len(set(range(cones)) - set(data["cone"][data["panel"] < 2].tolist()))
    seen = "all" if unmatched == 0 else f"{cones - unmatched}"
    share = (data["gap"] * STEPS / data["bound"][0]).max()
    return (
        f"A random network of widths {', '.join(map(str, WIDTHS))}: {cells} cells of the plane, {bounded} of "
        f"them bounded (gray), in the boxes [-{HALF_WIDTHS[0]:g}, {HALF_WIDTHS[0]:g}]^2 and "
        f"[-{HALF_WIDTHS[1]:g}, {HALF_WIDTHS[1]:g}]^2, beside the {cones} cones of the network without "
        f"biases. A cell has the color of the cone that is its recession cone; {seen} of the cones appear. "
        f"On the right the largest distance of f(td)/t from f0(d) over {DIRECTIONS} directions d, beside the "
        f"proved bound B/t with B = {data['bound'][0]:.3g}, of which it reaches at most {share:.0%}."
    )


def report(data: dict[str, np.ndarray]) -> str:
    """Return the verdict, and whether its witness was checked again."""
    return "\n".join(data["verdict"])
