"""Images in groups by meaning, what enters blocks of InceptionV1 for them, and the pairs that are joined."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

import polygeom as pg
from paper_figures.pipeline import absent, data_folder
from polygeom.lens import Scaling, Segments, partners, wordnet_groups
from polygeom.models import inception

if TYPE_CHECKING:
    import torch

__all__ = ["DATA", "Images", "finished", "images", "label", "untrained"]

DATA = ("models/inceptionv1/*", "data/images/*.jpg")

NEEDED = "models/inceptionv1/googlenet.safetensors and data/images/*.jpg"

SMALLEST_GROUP = 8
"""Members of a WordNet group that counts."""

MIXED = "artifact"
"""The group that is none: everything made by hand."""

MOST_ROWS = 400
"""First images drawn; fewer are the first of them, so that what is kept on disk serves small and large runs."""


@dataclass(frozen=True, eq=False)
class Images:
    """InceptionV1, images in groups, and from each image one of its group and one of another.

    Attributes
    ----------
    model : torch.nn.Module
    files : (N,) array of str
    groups : (N,) array of str
    rows : (400, 3) integer array
        As `partners` returns them.
    """

    model: torch.nn.Module
    files: np.ndarray
    groups: np.ndarray
    rows: np.ndarray

    def used(self, n: int) -> np.ndarray:
        """Return the images of the first n rows, ascending."""
        return np.unique(self.rows[:n])

    def entering(
        self,
        chosen: np.ndarray,
        whole: Set[str],
        center: Set[str] = frozenset(),
        model: torch.nn.Module | None = None,
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Return what enters blocks for some images: whole maps, flat, and the channels at the central position.

        One image at a time: in batches the last bits would depend on the company.
        """
        maps: dict[str, list[np.ndarray]] = {name: [] for name in whole}
        vectors: dict[str, list[np.ndarray]] = {name: [] for name in center}
        for i in tqdm(chosen, desc="images", unit="image"):
            pixels = inception.preprocess([str(self.files[i])])
            seen = inception.entering(model or self.model, pixels, {*whole, *center})
            for name in whole:
                maps[name].append(seen[name].ravel())
            for name in center:
                _, _, height, width = seen[name].shape
                vectors[name].append(seen[name][0, :, height // 2, width // 2])
        stacked = [{name: np.stack(rows) for name, rows in found.items()} for found in (maps, vectors)]
        return stacked[0], stacked[1]

    def behind(self, block: str) -> pg.Network:
        """Return the network from what enters a block to the logits."""
        return pg.from_torch(self.model, self._example, start=block, stop="logits")

    @cached_property
    def _example(self) -> torch.Tensor:
        return inception.preprocess([str(self.files[0])])


def images(seed: int) -> Images:
    """Return the model and its images.

    Raises
    ------
    SkippedError
        If weights or images are absent.
    """
    folder = data_folder()
    if folder is None:
        raise absent(NEEDED, "inceptionv1", "images")
    weights = folder / "models" / "inceptionv1" / "googlenet.safetensors"
    files = np.array([str(file) for file in sorted((folder / "data" / "images").glob("*.jpg"))])
    if not weights.is_file() or not len(files):
        raise absent(NEEDED, "inceptionv1", "images")
    groups = wordnet_groups(files)
    names, counts = np.unique(groups, return_counts=True)
    large = names[(counts >= SMALLEST_GROUP) & (names != MIXED)]
    kept = np.isin(groups, large)
    if kept.sum() < MOST_ROWS:
        raise absent(f"{MOST_ROWS} images in groups, not {kept.sum()},", "images")
    files, groups = files[kept], groups[kept]
    rows = partners(groups, np.random.default_rng(seed), MOST_ROWS)
    return Images(inception.load(weights), files, groups, rows)


def untrained(seed: int) -> torch.nn.Module:
    """Return the same architecture with random weights (He et al. 2015) and no biases."""
    import torch
    from torch import nn

    model = inception.architecture()
    with torch.no_grad():
        draw = torch.Generator().manual_seed(seed)
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                spread = (2.0 / layer.weight[0].numel()) ** 0.5
                layer.weight.copy_(spread * torch.randn(layer.weight.shape, generator=draw))
                layer.bias.zero_()
    return model.requires_grad_(False)


def finished(found: Segments | Scaling) -> Segments | Scaling:
    """Return what was followed to its end; go on with an interrupt (what was finished is on disk)."""
    if found.stopped:
        raise KeyboardInterrupt(f"Stopped ({found.stopped}); the next run goes on from there.")
    return found


def label(file: str) -> str:
    """Return an image's words without the WordNet id."""
    return Path(file).stem.split("_", 1)[-1].replace("_", " ")
