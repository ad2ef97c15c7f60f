"""The polytope lens table: which cells real activations lie in, and what is proved about them.

For each image, the vector of all channels at the central position entering four blocks of InceptionV1, and the
half-spaces that the 1x1 convolutions of the block draw there (`paper_figures.lens_cells`). Then, deeper, the cell
of the whole 7 x 7 map entering block 5b: all its units, max-pooling included, without ever forming a matrix
(`paper_figures.lens_deep`). Without POLYGEOM_DATA the same is computed for random toy networks, and said so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import polygeom as pg
from paper_figures.lens_cells import COLUMNS, Vector, measure
from paper_figures.lens_deep import DEEP_COLUMNS, measure_deep
from paper_figures.pipeline import data_folder
from polygeom.models import inception, toy

FIGURE = "F14"
SEED = 0
DATA = ("models/inceptionv1/*", "data/images/*.jpg")
BLOCKS = ("inception_3b", "inception_4a", "inception_4e", "inception_5b")
DEEP_BLOCK = "inception_5b"
N_IMAGES, N_DEEP = (8, 256), (3, 16)
"""How many vectors per block and how many whole maps: quick, full."""

MOST_WORKERS = 8
"""Processes at most: each holds a network and two m x m arrays."""

TOYS = {"8-12": (8, 12), "24-24": (24, 24), "32-24": (32, 24), "bias-free": (16, 24)}
"""Dimension and units of the toy stacks."""


@dataclass(frozen=True, eq=False)
class Source:
    """What the table is about: named stacks with the vectors that enter them, and a deeper network.

    Attributes
    ----------
    names : list of str
        Of the images.
    stacks : dict
        Block -> (network, vectors (N, d)).
    deep, inputs : Network, array
        The deeper network and what enters it, flat.
    text, deep_text : str
        What the stacks and the deeper network are.
    """

    names: list[str]
    stacks: dict[str, tuple[pg.Network, np.ndarray]]
    deep: pg.Network
    inputs: np.ndarray
    text: str
    deep_text: str


# -- where the vectors come from -------------------------------------------------------------------------


def source(quick: bool) -> Source:
    """Return real activations if there is data, toy ones otherwise."""
    folder = data_folder()
    n_images, n_deep = N_IMAGES[not quick], N_DEEP[not quick]
    if folder is None:
        return toy_source(n_images, n_deep, "no weights here: polygeom fetch inceptionv1 images")
    weights = folder / "models" / "inceptionv1" / "googlenet.safetensors"
    images = sorted((folder / "data" / "images").glob("*.jpg"))
    if not weights.is_file() or len(images) < n_images:
        lacking = f"no weights or fewer than {n_images} images in {folder}: polygeom fetch inceptionv1 images"
        return toy_source(n_images, n_deep, lacking)
    return real_source(weights, images, n_images, n_deep)


def real_source(weights: Path, files: list[Path], n_images: int, n_deep: int) -> Source:
    """Return InceptionV1's stacks and activations on images spread evenly over the classes."""
    files = [files[i] for i in np.linspace(0, len(files) - 1, n_images).round().astype(int)]
    model = inception.load(weights)
    images = inception.preprocess(tqdm(files, desc="lens table: images", unit="image"))
    seen = inception.entering(model, images, BLOCKS)
    stacks = {}
    for block in BLOCKS:
        row, column = (side // 2 for side in seen[block].shape[2:])
        stacks[block] = (inception.channel_stack(model, block), seen[block][:, :, row, column])
    deep = pg.from_torch(model, images[:1], start=DEEP_BLOCK, stop=DEEP_BLOCK)
    chosen = np.linspace(0, len(files) - 1, n_deep + 1).round().astype(int)
    inputs = seen[DEEP_BLOCK].reshape(len(files), -1)[chosen]
    text = "InceptionV1 (BVLC weights), all channels at the central position, one image per class"
    deep_text = "The cell of the whole $7 \\times 7$ map entering 5b, max-pooling included, matrix-free"
    return Source([file.stem for file in files], stacks, deep, inputs, text, deep_text)


def toy_source(n_images: int, n_deep: int, reason: str) -> Source:
    """Return random stacks read by random vectors with about half of their coordinates 0, as after a ReLU."""
    rng = np.random.default_rng(SEED)
    stacks = {}
    for name, (dim, units) in TOYS.items():
        make = toy.bias_free if name.startswith("bias-free") else toy.he
        stacks[name] = (make([dim, units, 1], rng), np.maximum(rng.normal(size=(n_images, dim)), 0.0))
    inputs = np.maximum(rng.normal(size=(n_deep + 1, 16)), 0.0)
    text = f"Random toy networks, not a real model ({reason})"
    deep_text = "The cell of a random network of two hidden layers"
    names = [f"random {i}" for i in range(n_images)]
    return Source(names, stacks, toy.he([16, 48, 48, 8], rng), inputs, text, deep_text)


# -- computing -------------------------------------------------------------------------------------------


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Measure every vector of every stack, and the deep cells."""
    given = source(quick)
    total = len(given.names) * len(given.stacks)
    found = list(tqdm(measured(given.stacks), total=total, desc="lens table: cells", unit="cell"))
    data: dict[str, np.ndarray] = {
        "text": np.array(given.text),
        "deep_text": np.array(given.deep_text),
        "blocks": np.array(list(given.stacks)),
        "dims": np.array([net.dim_in for net, _ in given.stacks.values()]),
        "half_spaces": np.array([net.n_units for net, _ in given.stacks.values()]),
        "image": np.array(given.names * len(given.stacks)),
        "block": np.repeat(list(given.stacks), len(given.names)),
    }
    data |= {name: np.array([vector.cells[name] for vector in found]) for name in COLUMNS}
    for k, block in enumerate(given.stacks):
        mine = found[k * len(given.names) : (k + 1) * len(given.names)]
        data[f"crossings {block}"] = np.array([vector.crossings for vector in mine])
        data[f"origin distances {block}"] = mine[0].origin_distances
    rng = np.random.default_rng(SEED)
    chosen = np.linspace(0, len(given.names) - 1, len(given.inputs)).round().astype(int)
    deep = [
        {"image": given.names[chosen[i]], **measure_deep(given.deep, x, given.inputs[i + 1], rng)}
        for i, x in enumerate(tqdm(given.inputs[:-1], desc="lens table: deep cells", unit="cell"))
    ]
    return data | {f"deep_{name}": np.array([row[name] for row in deep]) for name in ("image", *DEEP_COLUMNS)}


def measured(stacks: dict[str, tuple[pg.Network, np.ndarray]]) -> Iterator[Vector]:
    """Measure all vectors in order, on all cores, with one linear-algebra thread each."""
    workers = min(os.cpu_count() or 1, MOST_WORKERS)
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_one_thread) as pool:
        parts = [pool.map(partial(measure, net), vectors, chunksize=1) for net, vectors in stacks.values()]
        for part in parts:
            yield from part


def _one_thread() -> None:
    threadpool_limits(1)


# -- summary ---------------------------------------------------------------------------------------------

FACTS = {
    "half-spaces": ("{half_spaces}, d = {dim}", "+ {dim}"),
    "on": ("{median[units_on]}", ""),
    "$x_k = 0$": ("{median[zeros]}", ""),
    "bounded": ("{share[bounded]}", "{share[bounded]}"),
    "facets": ("{facets}", "{facets}"),
    "0 inside": ("{share[contains_origin]}", "{share[contains_origin]}"),
    "cone at 0": ("{share[is_cone]}", "{share[is_cone]}"),
    "has an apex": ("{share[has_apex]}", "{share[has_apex]}"),
    "through 0": ("{range[through_origin]}", "{range[through_origin]}"),
    "$x$ lies on": ("{range[touching]}", "{range[touching]}"),
    "met, $t < 1$": ("{median[crossed_down]}", ""),
    "met, $t > 1$": ("{median[crossed_up]}", ""),
    "nearest": ("{nearest:#.2g}", "{nearest_in_orthant:#.2g}"),
    "exact": ("{exact}", "{exact}"),
}
"""Columns of the summary: what each holds for a block in R^d, and within the orthant."""

NOTE = (
    "on: units whose letter is on; met: hyperplanes that tx meets for t in (0, 1) and for t > 1; nearest: "
    "distance to\nthe nearest hyperplane of a unit (within x ≥ 0 in floats). These and the zeros are "
    "medians, the rest ranges.\nfacets: of units + of x ≥ 0; exact: vectors whose proofs were all "
    "re-checked, without a solver, at level EXACT."
)

DEEP_FACTS = {
    "half-spaces": "half_spaces",
    "$x$ lies on": "touching",
    "0 violates": "violated_at_origin",
    "through 0": "through_origin",
    "nearest": "nearest_0",
    "$t$ towards 0": "exit_down",
    "away from 0": "exit_up",
    "to next image": "exit_other",
    "at random": "exit_random",
    "level": "level",
}
"""Columns of the summary of the deep cells; the last numbers are t at which a ray leaves the cell."""


def summary(data: dict[str, np.ndarray]) -> list[list[str]]:
    """Return the lines of the summary: each block in R^d, then within the orthant."""
    lines = []
    for k, block in enumerate(data["blocks"]):
        for line, where in enumerate(("free", "orthant")):
            label = str(block).removeprefix("inception_") if where == "free" else "  and x ≥ 0"
            known = facts(data, k, where)
            lines.append([label, *(texts[line].format(**known) for texts in FACTS.values())])
    return lines


def facts(data: dict[str, np.ndarray], k: int, where: str) -> dict[str, object]:
    """Return what the columns of `FACTS` are filled with, for one block."""
    mine = data["block"] == data["blocks"][k]

    def column(name: str) -> np.ndarray:
        return data[name if name in data else f"{where}_{name}"][mine]

    facets = _range(column("facets"))
    if where == "orthant":
        facets += f" + {_range(column('coordinate_facets'))}"
    for name, word in (("redundant", "not"), ("undecided", "open")):
        if column(name).any():
            facets += f", {_range(column(name))} {word}"
    medians = ("units_on", "zeros", "crossed_down", "crossed_up")
    return {
        "half_spaces": data["half_spaces"][k],
        "dim": data["dims"][k],
        "median": {name: int(np.median(column(name))) for name in medians},
        "share": {n: _share(column(n)) for n in ("bounded", "contains_origin", "is_cone", "has_apex")},
        "range": {name: _range(column(name)) for name in ("through_origin", "touching")},
        "facets": facets,
        "nearest": np.median(column("nearest")),
        "nearest_in_orthant": np.median(column("nearest_in_orthant")),
        "exact": _share(np.where(column("nearest_level") == "exact", column("level"), "no"), "exact"),
    }


def _range(values: np.ndarray) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low}–{high}"


def _share(values: np.ndarray, wanted: str = "True") -> str:
    """Count answers: all, none, or how many; those left open apart."""
    n, undecided = int((values == wanted).sum()), int((values == "None").sum())
    text = "all" if n == len(values) else "none" if n == 0 else f"{n} of {len(values)}"
    return f"{text}, {undecided} open" if undecided else text


def tables(data: dict[str, np.ndarray]) -> dict[str, dict[str, list[object]]]:
    """Return a line per image and block, and a line per deep cell."""
    deep = ("image", *DEEP_COLUMNS)
    return {
        "lens_table": {name: data[name].tolist() for name in ("image", "block", *COLUMNS)},
        "lens_table_deep": {name: data[f"deep_{name}"].tolist() for name in deep},
    }


def caption(data: dict[str, np.ndarray]) -> str:
    """Say what was asked of which cells, and what came out."""
    n_images, n_deep = len(data["image"]) // len(data["blocks"]), len(data["deep_image"])
    exact = (data["free_level"] == "exact") & (data["orthant_level"] == "exact")
    free = {name: _share(data[f"free_{name}"]) for name in ("bounded", "contains_origin", "is_cone")}
    met = int(np.median(data["crossed_down"])), int(np.median(data["half_spaces"]))
    outside = int((data["deep_violated_at_origin"] > 0).sum())
    return (
        f"{data['text']}: {n_images} vectors in each of {len(data['blocks'])} layers of "
        f"{data['half_spaces'].min()} to {data['half_spaces'].max()} half-spaces in R^{data['dims'].min()} "
        f"to R^{data['dims'].max()}. a: the share of hyperplanes between x and tx. b: distances (median, 5 "
        f"to 95 %). c: of the {len(exact)} closed cells {free['bounded']} are bounded, "
        f"{free['contains_origin']} contain 0 and {free['is_cone']} are cones with apex 0; scaling x to 0 "
        f"meets {met[0]} hyperplanes in the median, of {met[1]}. All proofs were checked without a solver, "
        f"and {int(exact.sum())} cells are EXACT throughout. d: "
        f"{_unset(data['deep_text'])}; "
        f"{outside} of {n_deep} such cells do not contain 0."
    )


def report(data: dict[str, np.ndarray]) -> object:
    """Return the printed tables, transposed: facts down, blocks and images across."""
    from rich.console import Group
    from rich.table import Table

    n_images, lines = len(data["image"]) // len(data["blocks"]), summary(data)
    parts: list[object] = [f"{data['text']}: {n_images} vectors per block"]
    for where, title in enumerate(("The closed cells in R^d", "The same within the orthant x >= 0")):
        cells = Table(title=title, title_justify="left")
        cells.add_column("")
        for line in lines[::2]:
            cells.add_column(line[0], justify="right")
        for k, heading in enumerate(FACTS, start=1):
            if any(line[k] for line in lines[where::2]):
                cells.add_row(heading.replace("$", ""), *(line[k] for line in lines[where::2]))
        parts.append(cells)
    parts.append(NOTE.replace("\n", " "))
    deep = Table(title=_unset(data["deep_text"]), title_justify="left")
    deep.add_column("")
    for image in data["deep_image"]:
        deep.add_column(_label(image), justify="right")
    for name in DEEP_COLUMNS:
        if not name.endswith(("_unit", "_sha256")):
            deep.add_row(name.replace("_", " "), *(_short(value) for value in data[f"deep_{name}"].tolist()))
    return Group(*parts, deep)


def _unset(text: object) -> str:
    """Return a text with formulas as it is read in a terminal."""
    return str(text).replace("$", "").replace("\\times", "x")


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _printed(value: object) -> str:
    """Return a number as it is typeset: thin spaces between thousands, powers of ten."""
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u2009")
    if isinstance(value, float) and 0 < value < 0.01:
        digits, exponent = f"{value:.1e}".split("e")
        return f"${digits} \\times 10^{{{int(exponent)}}}$"
    return _short(value)


def _label(image: object) -> str:
    """Return an image's words without the WordNet id."""
    return str(image).split("_", 1)[-1].replace("_", " ")


# -- picture ---------------------------------------------------------------------------------------------


def draw(data: dict[str, np.ndarray]) -> object:
    """Draw what scaling meets, how far things are, and both summaries below."""
    import matplotlib.pyplot as plt

    lines = summary(data)
    deep = [
        [_label(image), *(_printed(data[f"deep_{name}"][i].item()) for name in DEEP_FACTS.values())]
        for i, image in enumerate(data["deep_image"])
    ]
    heights = (13, len(lines) + 5, len(deep) + 2.5)
    figure = plt.figure(figsize=(6.9, 0.162 * sum(heights)), layout="constrained")
    grid = figure.add_gridspec(3, 2, height_ratios=heights, width_ratios=(1.25, 1))
    draw_scaling(data, figure.add_subplot(grid[0, 0]))
    draw_distances(data, figure.add_subplot(grid[0, 1]))
    n_images = len(data["image"]) // len(data["blocks"])
    below = figure.add_subplot(grid[1, :])
    pg.plotting.draw_table([["block", *FACTS], *lines], ax=below, group=2)
    below.set_title(f"c  The closed cells of {n_images} vectors per block, in $R^d$ and within the orthant")
    below.text(0, len(lines) + 0.2, f"{data['text']}.\n{NOTE}", fontsize=5.5, va="top", color="0.3")
    below.set_ylim(len(lines) + 3, -1)
    last = figure.add_subplot(grid[2, :])
    pg.plotting.draw_table([["image", *DEEP_FACTS], *deep], ax=last)
    last.set_title(f"d  {data['deep_text']}; $t$ where rays from $x$ leave it")
    return figure


def draw_scaling(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw the share of hyperplanes met between x and t x: median over images, and the middle half of them."""
    t = np.geomspace(0.001, 100, 501)
    for block in data["blocks"]:
        crossings = data[f"crossings {block}"][:, :, None]
        met = (np.minimum(t, 1) < crossings) & (crossings < np.maximum(t, 1))
        low, middle, high = np.percentile(100 * met.mean(axis=1), (25, 50, 75), axis=0)
        (line,) = ax.plot(t, middle, label=str(block).removeprefix("inception_"))
        ax.fill_between(t, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    ax.axvline(1, color="0.6", linewidth=0.6, zorder=0)
    ax.set(xscale="log", xlim=(t[0], t[-1]), ylim=(0, None))
    ax.set(xlabel="$t$", ylabel="met between $x$ and $tx$ (%)")
    ax.set_title("a  Hyperplanes met when $x$ is scaled")
    ax.legend(loc="upper right")


def draw_distances(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw, per block, four distances: median, and the middle 90 %."""
    kinds = {
        "origin to $x$": ("o", "black", lambda block, mine: data["norm"][mine]),
        "origin to a hyperplane": ("s", "0.6", lambda block, mine: data[f"origin distances {block}"]),
        "$x$ to its nearest hyperplane": ("D", "black", lambda block, mine: data["nearest"][mine]),
        "the same within $x \\geq 0$": ("D", "white", lambda block, mine: data["nearest_in_orthant"][mine]),
    }
    for j, (label, (marker, face, values)) in enumerate(kinds.items()):
        for k, block in enumerate(data["blocks"]):
            low, middle, high = np.percentile(values(block, data["block"] == block), (5, 50, 95))
            at, color = k + (j - 1.5) * 0.16, "0.6" if face == "0.6" else "black"
            ax.plot([at, at], [low, high], color=color, linewidth=0.9, solid_capstyle="butt")
            style = {
                "marker": marker,
                "markerfacecolor": face,
                "markeredgecolor": color,
                "markeredgewidth": 0.7,
            }
            ax.plot(at, middle, linestyle="none", markersize=3.2, label=None if k else label, **style)
    ax.set(yscale="log", ylabel="distance")
    ax.set_xticks(range(len(data["blocks"])), [str(b).removeprefix("inception_") for b in data["blocks"]])
    ax.set_title("b  Where $x$ lies among them")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, handletextpad=0.2, columnspacing=1)
