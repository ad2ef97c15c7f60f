"""Activations of InceptionV1 on images: one vector of all channels per image, and the letters that go with it.

The protocol of the polytope lens: of every image the vector of all channels at one fixed spatial position of a
layer. The code of a layer there has the letters of all its ReLUs at that position; of an inception block these are
the four outputs and the two reductions, while the letters of its max-pool are left out.

Vectors and letters are those of the network's own float32 arithmetic, not of the exact network: a pre-activation
within rounding of 0 may be read on the wrong side.

What was computed is kept on disk under the hash of an image's bytes and of the network, so that a run that was
interrupted goes on where it was, and images may be added.

Source: Black, Sharkey et al. 2022, Interpreting neural networks through the polytope lens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import as_count, as_path, freeze
from polygeom.codes import SplineCodes
from polygeom.data_folder import data_folder
from polygeom.errors import InputError
from polygeom.lens.kept_rows import KeptRows, Row
from polygeom.lens.saved import Saved
from polygeom.models import inception
from polygeom.models.pixels import CROP
from polygeom.network import Network

if TYPE_CHECKING:
    import torch

__all__ = ["ImageActivations", "behind_layer", "image_activations", "image_files"]

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}

GREY = {"1", "L", "LA"}
"""Modes of images without color."""


@dataclass(frozen=True, eq=False)
class ImageActivations(Saved):
    """Vectors and letters of some layers at one position, of N images.

    Attributes
    ----------
    files : (N,) string array
        The images that were read, in the order given.
    vectors : (N, channels) float32 array
        Of all layers side by side; `at` gives those of one.
    letters : (N, units) uint8 array
        Of all layers side by side: 1 where a ReLU is on; `codes` gives those of some.
    channels : tuple of (str, int)
        The layers, with their numbers of channels.
    gates : tuple of (str, str, int)
        Layer, path and number of channels of every ReLU, in the order of the letters.
    grey : (N,) bool array
        Images without color, which were converted.
    skipped : tuple of (str, str)
        Files that could not be read, and why.
    computed : int
        How many images went through the network; the others came from the disk.
    """

    files: np.ndarray
    vectors: np.ndarray
    letters: np.ndarray
    channels: tuple[tuple[str, int], ...]
    gates: tuple[tuple[str, str, int], ...]
    grey: np.ndarray
    skipped: tuple[tuple[str, str], ...]
    computed: int

    def __len__(self) -> int:
        return len(self.files)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}: {size} channels" for name, size in self.channels)
        odd = f"{self.grey.sum()} grey, {len(self.skipped)} skipped"
        return f"ImageActivations({len(self)} images, {sizes}; {odd})"

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers."""
        return tuple(name for name, _ in self.channels)

    def at(self, layer: str) -> np.ndarray:
        """Return the vectors (N, channels) of one layer.

        Raises
        ------
        InputError
            If the layer was not recorded.
        """
        self._known(layer)
        owner = np.repeat(np.arange(len(self.channels)), [size for _, size in self.channels])
        return freeze(self.vectors[:, owner == self.layers.index(layer)])

    def codes(self, *layers: str) -> SplineCodes:
        """Return the codes through some layers (all by default), side by side in the order of the network.

        Raises
        ------
        InputError
            If a layer was not recorded.
        """
        for name in layers:
            self._known(name)
        chosen = [layer in (layers or self.layers) for layer, _, _ in self.gates]
        return SplineCodes(self.letters[:, np.repeat(chosen, [size for _, _, size in self.gates])])

    def _known(self, layer: str) -> None:
        if layer not in self.layers:
            raise InputError(f"Layer {layer!r} was not recorded; there are {', '.join(self.layers)}.")


def image_files(folder: str | PathLike[str] | None = None) -> tuple[Path, ...]:
    """Return the image files in a folder, sorted by name.

    Parameters
    ----------
    folder : str or path, optional
        By default ``data/images`` in the folder named by POLYGEOM_DATA.

    Raises
    ------
    InputError
        If there is no such folder, or no image in it.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("cat.jpg", "ant.png", "notes.txt"):
    ...         Path(folder, name).touch()
    ...     [file.name for file in image_files(folder)]
    ['ant.png', 'cat.jpg']
    """
    if folder is None:
        root = data_folder()
        if root is None:
            raise InputError(
                "No images given. Run polygeom fetch images, set POLYGEOM_DATA to the folder that holds "
                "data/images, or give a folder."
            )
        folder = root / "data" / "images"
    place = as_path(folder, "folder")
    if not place.is_dir():
        raise InputError(f"There is no folder {place}. Give the folder that holds the images.")
    found = tuple(sorted(file for file in place.iterdir() if file.suffix.lower() in SUFFIXES))
    if not found:
        raise InputError(f"There is no image in {place}; wanted files {', '.join(sorted(SUFFIXES))}.")
    return found


def image_activations(
    model: torch.nn.Sequential,
    files: Iterable[str | PathLike[str]],
    layers: str | Sequence[str],
    *,
    position: tuple[float, float] = (0.5, 0.5),
    batch: int = 16,
    cache: bool | str | PathLike[str] = True,
    progress: bool = False,
) -> ImageActivations:
    """Return the vectors and letters of some layers at one position, for every image.

    Parameters
    ----------
    model : torch.nn.Sequential
        InceptionV1, as `polygeom.models.inception.load` returns it.
    files : iterable of path
        Images; as `image_files` lists those of a folder. Files that cannot be read are skipped and named in the
        result; images without color are converted and marked.
    layers : str or sequence of str
        Submodules whose outputs are wanted, ``"inception_4c"`` for example. A layer without a ReLU has no letters.
    position : (float, float)
        Row and column as shares of height and width: (0.5, 0.5) is position (7, 7) of 14 x 14.
    batch : int
        Images per forward pass, and per file on disk.
    cache : bool or path
        Where to keep what was computed: True for `kept_rows.cache_folder`, False for nowhere, or a folder.
    progress : bool
        Whether to show a bar.

    Raises
    ------
    InputError
        If there are no files or none can be read, on an unknown layer, or a position beyond the image.

    Notes
    -----
    Cost: the forward pass up to the last of the layers, 0.1 s per image on one core for all of InceptionV1.
    An interrupt loses one batch at most: call again to go on. The last bits of vectors may depend on the batch.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> with TemporaryDirectory() as folder:
    ...     Image.new("RGB", (256, 256), "red").save(f"{folder}/red.png")
    ...     image_activations(inception.architecture(), image_files(folder), "conv2_reduce", cache=False)
    ImageActivations(1 images, conv2_reduce: 64 channels; 0 grey, 0 skipped)
    """
    import torch

    names = _names(files)
    if not names:
        raise InputError("image_activations got no files; image_files(folder) lists those of a folder.")
    if np.shape(position) != (2,) or not all(0 <= share < 1 for share in position):
        raise InputError(f"position is {position!r}, wanted shares of height and width, each in [0, 1).")
    as_count(batch, "batch", 1)
    reader = _Reader(model, _relus(model, layers), tuple(position))
    hashes, skipped = _hashed(names)
    kept = KeptRows.of(cache, model, reader.relus, reader.position)
    rows = kept.read(set(hashes.values()))
    pending = {digest: name for name, digest in hashes.items() if digest not in rows}
    computed = 0
    with _bar(len(hashes), len(hashes) - len(pending), progress) as advance:
        for part in _batches(list(pending.items()), int(batch)):
            prepared = _prepared(part, skipped)
            if prepared:
                pixels = torch.cat([pixels for _, _, pixels in prepared])
                fresh = {
                    digest: (grey, vector, letters)
                    for (digest, grey, _), vector, letters in zip(prepared, *reader(pixels), strict=True)
                }
                kept.write(fresh)
                rows |= fresh
                computed += len(fresh)
            advance(len(part))
    missing = {name: digest for name, digest in hashes.items() if digest not in rows}
    skipped |= {
        name: skipped[pending[digest]] for name, digest in missing.items()
    }  # copies are skipped alike
    read = [name for name in names if hashes.get(name) in rows]
    if not read:
        name, why = next(iter(skipped.items()))
        raise InputError(f"None of {len(names)} files is a readable image; the first is {name}: {why}")
    return _assembled(read, [rows[hashes[name]] for name in read], reader, skipped, computed)


def _assembled(
    read: list[str], rows: list[Row], reader: _Reader, skipped: dict[str, str], computed: int
) -> ImageActivations:
    grey, vectors, letters = zip(*rows, strict=True)
    return ImageActivations(
        freeze(np.array(read, dtype=np.str_)),
        freeze(np.stack(vectors)),
        freeze(np.stack(letters)),
        *reader.sizes,
        freeze(np.array(grey)),
        tuple(skipped.items()),
        computed,
    )


def behind_layer(
    model: torch.nn.Module,
    files: Iterable[str | PathLike[str]],
    start: str = "inception_5b",
    stop: str = "logits",
) -> tuple[Network, np.ndarray]:
    """Return the network from a layer to the logits, exact end to end, and what enters it for images.

    On these go `class_density` and `scale_activations`; from ``inception_3a`` on there is nothing that is not
    piecewise affine.

    Parameters
    ----------
    model : torch.nn.Module
        InceptionV1, as `polygeom.models.inception.load` returns it.
    files : iterable of path
        Images that can be read.
    start, stop : str
        Submodules: from the input of the first to the output of the last.

    Returns
    -------
    Network, (N, dim_in) float64 array

    Raises
    ------
    InputError
        If a file is no readable image, or there is no such submodule.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> with TemporaryDirectory() as folder:
    ...     Image.new("RGB", (256, 256), "red").save(f"{folder}/red.png")
    ...     net, entering = behind_layer(inception.architecture(), image_files(folder), stop="inception_5b")
    >>> net, entering.shape
    (Network(R^40768 -> R^50176, 102704 units (max, relu), 14 steps), (1, 40768))
    """
    from polygeom.models.convert import from_torch

    pixels = inception.preprocess([Path(name) for name in _names(files)])
    entering = inception.entering(model, pixels, [start])[start]
    network = from_torch(model, pixels[:1], start=start, stop=stop)
    return network, freeze(entering.reshape(len(entering), -1))


# -- the network ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reader:
    """What is read off a model: of some layers the output and the ReLUs inside, at one position."""

    model: torch.nn.Sequential
    relus: Mapping[str, tuple[str, ...]]
    position: tuple[float, float]

    @cached_property
    def sizes(self) -> tuple[tuple[tuple[str, int], ...], tuple[tuple[str, str, int], ...]]:
        """The layers with their channels, and the ReLUs with theirs, seen on a grey image."""
        import torch

        seen = self._seen(torch.zeros(1, 3, CROP, CROP))
        channels = tuple((name, seen[name].shape[1]) for name in self.relus)
        gates = tuple((name, p, seen[p].shape[1]) for name, paths in self.relus.items() for p in paths)
        return channels, gates

    def __call__(self, pixels: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return vectors (N, channels) and letters (N, units) of a batch."""
        seen = self._seen(pixels)
        on = [seen[path] > 0 for paths in self.relus.values() for path in paths]
        none = np.zeros((len(pixels), 0), dtype=np.uint8)
        return np.hstack([seen[name] for name in self.relus]), np.hstack([none, *on]).astype(np.uint8)

    def _seen(self, pixels: torch.Tensor) -> dict[str, np.ndarray]:
        """Return the outputs (N, channels) of submodules at the position; run no further than the last one."""
        import torch

        children = [name for name, _ in self.model.named_children()]
        last = max(children.index(name.split(".")[0]) for name in self.relus)
        modules, seen = dict(self.model.named_modules()), {}

        def keep(path: str) -> Callable:
            def hook(_: object, inputs: object, output: torch.Tensor) -> None:
                sides = zip(self.position, output.shape[2:], strict=False)
                place = tuple(int(share * side) for share, side in sides)
                seen[path] = output[(slice(None), slice(None), *place)].numpy().copy()

            return hook

        paths = {path for gates in self.relus.values() for path in gates} | self.relus.keys()
        hooks = [modules[path].register_forward_hook(keep(path)) for path in paths]
        try:
            with torch.inference_mode():
                self.model[: last + 1](pixels.contiguous(memory_format=torch.channels_last))
        finally:
            for hook in hooks:
                hook.remove()
        return seen


def _names(files: Iterable[str | PathLike[str]]) -> list[str]:
    if isinstance(files, str | PathLike) or not isinstance(files, Iterable):
        raise InputError(f"files is {files!r}, wanted some paths of images: image_files(folder) lists them.")
    return [str(as_path(file, "A file")) for file in files]


def _relus(model: torch.nn.Sequential, layers: str | Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return layer -> paths of its ReLUs."""
    from torch import nn

    names = (layers,) if isinstance(layers, str) else tuple(layers if isinstance(layers, Iterable) else ())
    if not isinstance(model, nn.Sequential):
        raise InputError(
            f"model is a {type(model).__name__}, wanted InceptionV1 as models.inception makes it."
        )
    if not names:
        raise InputError("image_activations got no layers; give names of submodules.")
    for name in names:
        inception.submodule(model, name)
    modules = dict(model.named_modules())
    return {
        name: tuple(
            path
            for path, module in modules.items()
            if isinstance(module, nn.ReLU) and (path == name or path.startswith(f"{name}."))
        )
        for name in names
    }


# -- images ----------------------------------------------------------------------------------------------------


def _hashed(names: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return file -> hash of its bytes, and file -> why it cannot be read."""
    hashes, skipped = {}, {}
    for name in names:
        try:
            hashes[name] = sha256(Path(name).read_bytes()).hexdigest()
        except OSError as error:
            skipped[name] = f"it cannot be read: {error}."
    return hashes, skipped


def _prepared(part: list[tuple[str, str]], skipped: dict[str, str]) -> list[tuple[str, bool, torch.Tensor]]:
    """Return (hash, whether it is grey, pixels) of images that can be read; note the others."""
    found = []
    for digest, name in part:
        try:
            found.append((digest, _is_grey(name), inception.preprocess([name])))
        except InputError as error:
            skipped[name] = str(error)
    return found


def _is_grey(name: str) -> bool:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(name) as image:
            return image.mode in GREY
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise InputError(f"{name} is not a readable image: {error}.") from error


def _batches(items: list, size: int) -> Iterator[list]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


@contextmanager
def _bar(total: int, done: int, shown: bool) -> Iterator[Callable[[int], object]]:
    if not shown:
        yield lambda n: None
        return
    from tqdm import tqdm

    with tqdm(desc="images", total=total, initial=done, unit="image") as bar:
        yield bar.update
