"""All regions on a plane through three images: a small convolutional network, and GoogLeNet from block 5a on.

Every region that a triangle on the plane meets is found and drawn from its vertices. Pixels for the first
network, activations entering block 5a for the second. Random points of the triangle all lie in listed regions, and
the areas add up to that of the triangle.
"""

from __future__ import annotations

import numpy as np

import polygeom as pg
from paper_figures.pipeline import absent, data_folder
from polygeom.models import inception

FIGURE = "S1"
DATA = ("models/onnx/cifar10_small.onnx", "models/inceptionv1/*", "data/images/*")

IMAGES = ("n01440764_tench.jpg", "n01518878_ostrich.jpg", "n01632458_spotted_salamander.jpg")
SHARE = {"cifar10_small": (0.05, 0.3), "GoogLeNet from 5a": (0.0004, 0.001)}
"""Side of the triangle drawn, about the center, as a share of the triangle of the images: quick, full."""

SEED = 5
SAMPLES = 200
"""Random points whose letters are compared with those of the region that holds them."""


def networks() -> dict[str, tuple[pg.Network, pg.AffineMap]]:
    """Return every network with the plane through its three inputs."""
    import torch
    from PIL import Image

    root = data_folder()
    weights = "models/inceptionv1/googlenet.safetensors"
    needed = (DATA[0], weights, *(f"data/images/{name}" for name in IMAGES))
    if root is None or not all((root / name).exists() for name in needed):
        raise absent(f"{DATA[0]}, {weights} and data/images/*.jpg", "cifar10", "inceptionv1", "images")
    paths = [root / "data" / "images" / name for name in IMAGES]
    pixels = [
        np.asarray(Image.open(p).convert("RGB").resize((32, 32)), dtype=np.float64) / 255 for p in paths
    ]
    small = pg.from_onnx(root / DATA[0])
    model = inception.load()
    with torch.no_grad():
        deep = inception.entering(model, inception.preprocess(paths), ["inception_5a"])["inception_5a"]
    late = pg.from_torch(model, inception.preprocess(paths[:1]), start="inception_5a", stop="logits")
    return {
        "cifar10_small": (small, pg.AffineMap.through(*(p.transpose(2, 0, 1) for p in pixels))),
        "GoogLeNet from 5a": (late, pg.AffineMap.through(*np.asarray(deep, dtype=np.float64))),
    }


def triangle(share: float) -> pg.Polyhedron:
    """Return the triangle of this side around the center of the three images, in coordinates of their plane."""
    low = (1 - share) / 3
    return pg.Polyhedron([[-1, 0], [0, -1], [1, 1]], [-low, -low, 2 * low + share])


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Enumerate the regions of both planes and check them."""
    data: dict[str, np.ndarray] = {}
    rng = np.random.default_rng(SEED)
    for k, (name, (net, plane)) in enumerate(networks().items()):
        share = SHARE[name][0 if quick else 1]
        K = pg.enumerate_regions(net, triangle(share), plane, store="cells", progress=True)
        w = rng.dirichlet(np.ones(3), size=SAMPLES)[:, 1:] * share + (1 - share) / 3
        letters = pg.spline_codes(net, plane(w)).letters
        found = np.asarray(K.find(letters))
        data |= {
            f"share_{k}": np.array(share),
            f"area_{k}": K.volumes(),
            f"located_{k}": np.array((found >= 0).mean()),
            f"undecided_{k}": np.array(K.exactness.undecided),
            f"on_{k}": (K.codes.letters > 0).sum(axis=1),
            f"n_vertices_{k}": np.diff(K.arrays.vertex_start),
            f"vertices_{k}": K.arrays.vertices[:, :2],
        }
    return data


def draw(data: dict[str, np.ndarray]) -> object:
    """Draw both planes, in coordinates in which the images are the corners of an equilateral triangle."""
    import matplotlib.pyplot as plt
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("on", ["#f5f1e8", "#d5772c", "#26364d"])
    figure, axes = plt.subplots(1, len(SHARE), figsize=(6.9, 3.4), layout="compressed")
    upright = np.array([[1.0, 0.0], [0.5, np.sqrt(3) / 2]])
    for k, (ax, name) in enumerate(zip(axes, SHARE, strict=True)):
        corners = (data[f"vertices_{k}"] - 1 / 3) / data[f"share_{k}"] @ upright
        polygons = np.split(corners, np.cumsum(data[f"n_vertices_{k}"])[:-1])
        rank = np.argsort(np.argsort(data[f"on_{k}"])) / max(len(polygons) - 1, 1)
        pg.plotting.draw_cells(polygons, ax=ax, colors=shades(rank))
        ax.set(aspect="equal", xticks=[], yticks=[])
        ax.set_title(
            f"{name}: {len(polygons)} regions\n{float(data[f'share_{k}']):.2%} of the triangle of three images"
        )
        ax.axis("off")
    return figure


def tables(data: dict[str, np.ndarray]) -> dict[str, dict[str, list[object]]]:
    """Return one row per network."""
    n = len(SHARE)
    columns = {
        "network": list(SHARE),
        "share_of_side": [float(data[f"share_{k}"]) for k in range(n)],
        "regions": [len(data[f"area_{k}"]) for k in range(n)],
        "area_over_triangle": [
            float(data[f"area_{k}"].sum() / (data[f"share_{k}"] ** 2 / 2)) for k in range(n)
        ],
        "random_points_located": [float(data[f"located_{k}"]) for k in range(n)],
        "undecided_signs": [int(data[f"undecided_{k}"]) for k in range(n)],
    }
    return {"slices": columns}


def caption(data: dict[str, np.ndarray]) -> str:
    """Say how many regions there are on each plane, and how that was checked."""
    parts = [
        f"{name}: {regions} regions in a triangle of {share:.2%} of the side, whose areas add up to "
        f"{area:.9f} of it, with {located:.0%} of {SAMPLES} random points in listed regions and {undecided} "
        "undecided signs"
        for name, share, regions, area, located, undecided in zip(
            *tables(data)["slices"].values(), strict=True
        )
    ]
    return (
        "All regions on the plane through three images, around the center of their triangle, of a small "
        "convolutional network from its pixels (left) and of GoogLeNet from what enters block 5a to the "
        f"logits, max-pooling included (right). {'. '.join(parts)}. Darker cells have more units on."
    )


def report(data: dict[str, np.ndarray]) -> str:
    """Say what was found, and how it was checked."""
    return "\n".join(
        f"{name}: {regions} regions, areas {area:.12f} of the triangle, {located:.2%} of {SAMPLES} random "
        f"points in listed regions, {undecided} undecided signs"
        for name, _, regions, area, located, undecided in zip(*tables(data)["slices"].values(), strict=True)
    )
