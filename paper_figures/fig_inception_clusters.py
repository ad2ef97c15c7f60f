"""InceptionV1: clusters of codes and of activations at one position, with their images.

The protocol of the polytope lens: of every image the vector of all channels at one position. Codes are compared by
Hamming distance, activations by Euclidean distance, once as they are and once over their lengths. Clusters stand
beside those of shuffled points, their purity in WordNet groups beside shuffled labels and an untrained network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

import polygeom as pg
from paper_figures import cluster_rows as rows
from paper_figures.pipeline import absent, data_folder
from polygeom.models import inception

FIGURE = "F10"
SEED = 0
DATA = ("models/inceptionv1/*", "data/images/*.jpg")
LAYER, BEHIND = "inception_5a", "inception_5b"
"""The block whose clusters are shown, and the one whose 1x1 convolutions read its vectors at this position."""

LAYERS = (("inception_4a", "inception_4c", "inception_4e", LAYER, BEHIND), inception.BLOCKS)
N_IMAGES, TOP, HALVES, NULLS = (150, 1000), (20, 50), (4, 20), (3, 10)
"""Quick, full: images, strongest images of a neuron, half-samples, and times that points are shuffled."""

NEEDED = f"models/inceptionv1/googlenet.safetensors and {N_IMAGES[0]} images data/images/*.jpg"

SHEETS = ("codes", "directions")
SHOWN, EXEMPLARS, SIDE = 8, 7, 96
"""Clusters on a sheet, images of each, and their side in pixels."""


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Study all blocks; the untrained network only if there is time."""
    weights, files = _files()
    full = not quick
    files = [
        files[i] for i in np.linspace(0, len(files) - 1, min(N_IMAGES[full], len(files))).round().astype(int)
    ]
    layers, model = LAYERS[full], inception.load(weights)
    found = pg.lens.image_activations(model, files, layers, progress=True)
    studies = _studies("trained", found, layers, full)
    here = {one.way: one for _, layer, one in studies if layer == LAYER}
    if full:
        import torch

        torch.manual_seed(SEED)
        before = pg.lens.image_activations(inception.architecture().eval(), files, layers, progress=True)
        studies += _studies("untrained", before, layers, full)
    groups = pg.lens.wordnet_groups(found.files)
    ahead = pg.spline_codes(inception.channel_stack(model, BEHIND), found.at(LAYER))
    return (
        rows.columns(studies)
        | _sheets(here, found.files)
        | _ahead(here, found.at(LAYER), ahead)
        | {
            "layers": np.array(layers),
            "images": np.array([len(found), found.grey.sum(), len(found.skipped)]),
            "largest_group": np.array((groups == "artifact").mean()),
        }
    )


def _files() -> tuple[Path, list[Path]]:
    folder = data_folder()
    if folder is None:
        raise absent(NEEDED, "inceptionv1", "images")
    weights = folder / "models" / "inceptionv1" / "googlenet.safetensors"
    files = sorted((folder / "data" / "images").glob("*.jpg"))
    if not weights.is_file() or len(files) < N_IMAGES[0]:
        raise absent(NEEDED, "inceptionv1", "images")
    return weights, files


def _studies(network: str, found: pg.lens.ImageActivations, layers: tuple[str, ...], full: bool) -> list:
    """Return (network, layer, study) for every layer and way."""
    from tqdm import tqdm

    groups = pg.lens.wordnet_groups(found.files)
    how = {"n_null": NULLS[full], "n_halves": HALVES[full], "top": TOP[full]}
    pairs = [(layer, way) for layer in layers for way in rows.WAYS]
    return [
        (
            network,
            layer,
            pg.lens.study_clusters(
                found.at(layer), found.codes(layer), groups, np.random.default_rng(SEED), way, **how
            ),
        )
        for layer, way in tqdm(pairs, desc=f"clusters, {network}", unit="clustering")
    ]


def _sheets(here: Mapping[str, pg.lens.ClusterStudy], files: np.ndarray) -> dict[str, np.ndarray]:
    """Return the most central images of the largest clusters, and what is said of each."""
    data = {}
    for way in SHEETS:
        one = here[way]
        largest = np.argsort(-one.clustering.sizes, kind="stable")[:SHOWN]
        chosen = one.clustering.exemplars[largest][:, :EXEMPLARS]
        images = np.zeros((*chosen.shape, SIDE, SIDE, 3), dtype=np.uint8)
        for place in np.argwhere(chosen >= 0):
            images[tuple(place)] = thumbnail(files[chosen[tuple(place)]])
        data |= {
            f"sheet_{way}_images": images,
            f"sheet_{way}_there": chosen >= 0,
            f"sheet_{way}_sizes": one.clustering.sizes[largest],
            f"sheet_{way}_regions": one.regions[largest],
            f"sheet_{way}_labels": one.top[largest],
            f"sheet_{way}_purity": one.purity[largest],
            f"sheet_{way}_by_chance": one.by_chance[largest],
            f"sheet_{way}_p": one.p_values[largest],
        }
    return data


def thumbnail(file: str) -> np.ndarray:
    """Return the central square of an image, small."""
    from PIL import Image, ImageOps

    with Image.open(file) as image:
        return np.asarray(ImageOps.fit(image.convert("RGB"), (SIDE, SIDE)))


def _ahead(
    here: Mapping[str, pg.lens.ClusterStudy], vectors: np.ndarray, codes: pg.SplineCodes
) -> dict[str, np.ndarray]:
    """Return log ratios of the density outside and inside, by the hyperplanes that the next block draws."""
    some = [
        pg.lens.cluster_density(here[way].clustering, vectors, codes, np.random.default_rng(SEED))
        for way in SHEETS
    ]
    return {"ahead": np.exp([[e.mean, e.low, e.high] for e in some])}


# -- what is said ------------------------------------------------------------------------------------------


def tables(data: Mapping[str, np.ndarray]) -> dict[str, dict[str, list[object]]]:
    """Return a line per network, block and way."""
    return {"inception_clusters": rows.table(data)}


def report(data: Mapping[str, np.ndarray]) -> object:
    """Return all numbers with the verdict below."""
    from rich.text import Text

    n, grey, skipped = data["images"]
    title = (
        f"{n} images ({grey} grey, {skipped} skipped), all channels at the central position; {rows.CHOSEN}"
    )
    return Text(f"{rows.report(data, title)}\n{verdict(data)}")


def verdict(data: Mapping[str, np.ndarray]) -> str:
    """Say what became of the prediction, by the rule of the claims."""
    parts = []
    for way in SHEETS:
        some = {layer: rows.line(data, "trained", layer, way) for layer in data["layers"].tolist()}
        holds = [
            layer.removeprefix("inception_")
            for layer, s in some.items()
            if rows.outcome(s, "taken_apart") == rows.outcome(s, "pure") == "holds"
        ]
        parts.append(f"by {way} in {', '.join(holds) or 'no block'}")
    regions, members = (
        sum(rows.line(data, "trained", layer, "codes")[name] for layer in data["layers"].tolist())
        for name in ("regions", "members")
    )
    return (
        "Clusters purer than chance that take neurons apart (both 99 % intervals above a ratio of 1.05): "
        f"{'; '.join(parts)}. Clusters are no single regions: {regions} codes of {members} members."
    )


def caption(data: Mapping[str, np.ndarray]) -> str:
    """Say what is seen, with its numbers."""
    own, other, plain = (rows.line(data, "trained", LAYER, way) for way in rows.WAYS)
    most = max(
        rows.line(data, "trained", layer, "activations")["clusters"] for layer in data["layers"].tolist()
    )
    (codes, directions) = data["ahead"]
    untrained = " (hollow: an untrained network)" if "untrained" in data["network"] else ""
    return (
        f"InceptionV1 on {data['images'][0]} images, all channels at the central position, {rows.CHOSEN}. "
        f"a, b: the largest of {own['clusters']} clusters by Hamming distance of the codes of block 5a (shuffled "
        f"codes: {own['null_clusters']:.1f}) and of {other['clusters']} by Euclidean distance of directions "
        f"({other['null_clusters']:.1f}), the most central images of each, with the share of the most frequent "
        "WordNet group (by chance). c: activations that are not divided by their length have "
        f"{plain['clusters']} clusters in 5a and at most {most} in any block (dotted: shuffled points). "
        f"d, e: purity over chance, in 5a {rows.ratio(own, 'pure')} and {rows.ratio(other, 'pure')}, and the "
        f"strongest images of a neuron, which parted by clusters are {rows.ratio(own, 'taken_apart')} and "
        f"{rows.ratio(other, 'taken_apart')} times as pure as random parts{untrained}. f: density of boundaries "
        f"on segments out of a cluster over that within, {rows.ratio(own, 'density')} and "
        f"{rows.ratio(other, 'density')}, and by the hyperplanes that 5b draws ahead, exactly, "
        f"{rows.shown(codes)} and {rows.shown(directions)}; bars are 99 % intervals."
    )


# -- picture -----------------------------------------------------------------------------------------------


def draw(data: Mapping[str, np.ndarray]) -> object:
    """Draw the two contact sheets, and what becomes of clusters from block to block below."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(6.9, 7.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(5.5, 2.1))
    for ax, way, letter in zip(above.subplots(1, 2), SHEETS, "ab", strict=True):
        _draw_sheet(data, ax, way)
        ax.set_title(f"{letter}  {rows.WAYS[way]}, block 5a")
    panels = below.subplots(1, 4)
    layers = data["layers"].tolist()
    rows.draw_counts(data, panels[0], layers)
    labels = ("purity / by chance", "neurons' parts / by chance", "density outside / inside")
    for ax, name, label in zip(panels[1:], ("pure", "taken_apart", "density"), labels, strict=True):
        rows.draw_ratios(data, name, ax, layers)
        ax.set_ylabel(label)
    for ax, letter in zip(panels, "cdef", strict=True):
        rows.draw_layers(ax, [layer.removeprefix("inception_") for layer in layers], "block")
        ax.tick_params(axis="x", labelsize=5.5)
        ax.set_title(letter)
    below.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _draw_sheet(data: Mapping[str, np.ndarray], ax: object, way: str) -> None:
    images, there = data[f"sheet_{way}_images"], data[f"sheet_{way}_there"]
    if not len(images):
        ax.text(0.5, 0.5, "no clusters", ha="center")
        ax.axis("off")
        return
    names = ("sizes", "regions", "labels", "purity", "by_chance", "p")
    titles = [
        f"{size} images in {regions} cells: {label} {purity:.2f} ({chance:.2f}), p {_p(p)}"
        for size, regions, label, purity, chance, p in zip(
            *(data[f"sheet_{way}_{n}"] for n in names), strict=True
        )
    ]
    kept = [list(some[known]) for some, known in zip(images, there, strict=True)]
    pg.contact_sheets.draw_contact_sheet(kept, titles, ax=ax, size=6)


def _p(value: float) -> str:
    return "< 0.01" if value < 0.01 else f"= {value:.2f}"
