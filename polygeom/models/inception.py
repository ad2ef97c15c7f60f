"""GoogLeNet (InceptionV1) with the BVLC weights: the network, its images, and the polytopes of its channel stacks.

Convolutions, ReLU, pooling and concatenation are piecewise affine; the two local response normalizations before
block 3a are not. So everything from ``inception_3a`` to ``logits`` is exact end to end
(``from_torch(model, image, start="inception_3a", stop="logits")``), and so is every layer by itself.

At one spatial position the 1x1 convolutions of a block read one vector of all channels: `channel_stack` is that
arrangement of hyperplanes.

Sources: Szegedy et al. 2015 (the architecture); Krizhevsky et al. 2012, section 3.3 (local response
normalization); the BVLC GoogLeNet of Caffe's model zoo (the weights, for unrestricted use).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import as_count, as_path
from polygeom.data_folder import data_folder
from polygeom.errors import InputError
from polygeom.gates import Elementwise, elementwise_gate
from polygeom.models.pixels import preprocess
from polygeom.network import Network
from polygeom.steps import Concatenate, Dense, Step

if TYPE_CHECKING:
    import torch

__all__ = [
    "BLOCKS",
    "CHANNELS",
    "architecture",
    "channel_stack",
    "class_names",
    "entering",
    "load",
    "preprocess",
]

CHANNELS = {
    "inception_3a": (192, 64, 96, 128, 16, 32, 32),
    "inception_3b": (256, 128, 128, 192, 32, 96, 64),
    "inception_4a": (480, 192, 96, 208, 16, 48, 64),
    "inception_4b": (512, 160, 112, 224, 24, 64, 64),
    "inception_4c": (512, 128, 128, 256, 24, 64, 64),
    "inception_4d": (512, 112, 144, 288, 32, 64, 64),
    "inception_4e": (528, 256, 160, 320, 32, 128, 128),
    "inception_5a": (832, 256, 160, 320, 32, 128, 128),
    "inception_5b": (832, 384, 192, 384, 48, 128, 128),
}
"""Channels per block: input, 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection (Szegedy et al., table 1)."""

BLOCKS = tuple(CHANNELS)
"""Names of the inception blocks, from the image to the logits."""

STACK = (("b1x1.conv", "b1x1.relu"), ("b3x3.reduce", "b3x3.reduce_relu"), ("b5x5.reduce", "b5x5.reduce_relu"))
"""The 1x1 convolutions of a block's input, each with its ReLU."""


# -- the network ---------------------------------------------------------------------------------------------


def architecture() -> torch.nn.Module:
    """Return GoogLeNet with PyTorch's random weights, in eval mode: (N, 3, 224, 224) -> (N, 1000) logits.

    Submodules in order: ``conv1 relu1 pool1 norm1 conv2_reduce relu2_reduce conv2 relu2 norm2 pool2``, the nine
    `BLOCKS` with ``pool3``, ``pool4`` between them, ``average flatten logits``. Each block is its branches
    ``b1x1.conv b1x1.relu``, ``b3x3.reduce b3x3.reduce_relu b3x3.conv b3x3.relu``, ``b5x5`` likewise and
    ``pool.pool pool.project pool.relu``, concatenated. The auxiliary classifiers and the dropout, which act in
    training only, are left out.

    Examples
    --------
    >>> model = architecture()
    >>> sum(parameter.numel() for parameter in model.parameters())
    6998552
    """
    from torch import nn

    def normalization() -> nn.Module:
        return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)

    def halving() -> nn.Module:
        return nn.MaxPool2d(3, stride=2, ceil_mode=True)

    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(3, 64, 7, stride=2, padding=3),
        relu1=nn.ReLU(),
        pool1=halving(),
        norm1=normalization(),
        conv2_reduce=nn.Conv2d(64, 64, 1),
        relu2_reduce=nn.ReLU(),
        conv2=nn.Conv2d(64, 192, 3, padding=1),
        relu2=nn.ReLU(),
        norm2=normalization(),
        pool2=halving(),
    )
    for name, channels in CHANNELS.items():
        if name.endswith("a") and name != BLOCKS[0]:
            layers[f"pool{int(name[-2]) - 1}"] = halving()
        layers[name] = _block(*channels)
    layers.update(average=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), logits=nn.Linear(1024, 1000))
    return nn.Sequential(layers).eval()


def _block(channels: int, one: int, *widths: int) -> torch.nn.Module:
    """Return one inception block; `widths` are those of the 3x3, 5x5 and pool branches, as in `CHANNELS`."""
    from torch import nn

    reduce3, three, reduce5, five, project = widths

    def branch(reduce: int, width: int, kernel: int) -> nn.Sequential:
        return nn.Sequential(
            OrderedDict(
                reduce=nn.Conv2d(channels, reduce, 1),
                reduce_relu=nn.ReLU(),
                conv=nn.Conv2d(reduce, width, kernel, padding=kernel // 2),
                relu=nn.ReLU(),
            )
        )

    pool = nn.MaxPool2d(3, stride=1, padding=1)
    return _side_by_side()(
        OrderedDict(
            b1x1=nn.Sequential(OrderedDict(conv=nn.Conv2d(channels, one, 1), relu=nn.ReLU())),
            b3x3=branch(reduce3, three, 3),
            b5x5=branch(reduce5, five, 5),
            pool=nn.Sequential(
                OrderedDict(pool=pool, project=nn.Conv2d(channels, project, 1), relu=nn.ReLU())
            ),
        )
    )


@cache
def _side_by_side() -> type[torch.nn.Module]:
    """Return the class of modules that concatenate their children's outputs (torch is imported on first use)."""
    import torch

    class SideBySide(torch.nn.Sequential):
        """Children that read the same input; their outputs side by side along the channels."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([branch(x) for branch in self], dim=1)

    return SideBySide


def load(path: str | Path | None = None) -> torch.nn.Module:
    """Return GoogLeNet with the BVLC weights, in eval mode and float32.

    Parameters
    ----------
    path : str or Path, optional
        A safetensors file with the tensors named as in Caffe (``inception_4a/1x1.weight``, OIHW); by default
        ``models/inceptionv1/googlenet.safetensors`` in the folder named by POLYGEOM_DATA.

    Raises
    ------
    InputError
        If the file is absent, or its tensors are not those of GoogLeNet.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = _model_file("googlenet.safetensors") if path is None else as_path(path, "path")
    if not file.is_file():
        raise InputError(
            f"No weights of InceptionV1 at {file}. Give load() the path of the safetensors file."
        )
    try:
        stored = load_file(file)
    except SafetensorError as error:
        raise InputError(f"{file} is not a readable safetensors file: {error}.") from error
    model = architecture()
    wanted = {
        f"{ours}.{kind}": f"{caffe}.{kind}" for ours, caffe in _caffe_names() for kind in ("weight", "bias")
    }
    if set(wanted.values()) != set(stored):
        odd = sorted(set(wanted.values()) ^ set(stored))
        raise InputError(
            f"{file} does not hold GoogLeNet's tensors as Caffe names them: {', '.join(odd[:5])}, ..."
        )
    try:
        model.load_state_dict({ours: stored[caffe].to(torch.float32) for ours, caffe in wanted.items()})
    except RuntimeError as error:
        raise InputError(f"The tensors in {file} do not have GoogLeNet's shapes: {error}") from error
    return model.requires_grad_(False)


def _caffe_names() -> Iterator[tuple[str, str]]:
    """Yield the name of every layer with weights, here and in Caffe."""
    yield from (("conv1", "conv1/7x7_s2"), ("conv2_reduce", "conv2/3x3_reduce"), ("conv2", "conv2/3x3"))
    for block in BLOCKS:
        yield f"{block}.b1x1.conv", f"{block}/1x1"
        for kernel in ("3x3", "5x5"):
            yield f"{block}.b{kernel}.reduce", f"{block}/{kernel}_reduce"
            yield f"{block}.b{kernel}.conv", f"{block}/{kernel}"
        yield f"{block}.pool.project", f"{block}/pool_proj"
    yield "logits", "loss3/classifier"


def tensor_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor under its name in Caffe: weights OIHW, or (out, in), and biases."""
    own = {name: tuple(tensor.shape) for name, tensor in architecture().state_dict().items()}
    return {
        f"{caffe}.{kind}": own[f"{ours}.{kind}"]
        for ours, caffe in _caffe_names()
        for kind in ("weight", "bias")
    }


def _model_file(name: str) -> Path:
    folder = data_folder()
    if folder is None:
        raise InputError(
            "The weights of InceptionV1 are not part of polygeom: polygeom fetch inceptionv1. Or set "
            f"POLYGEOM_DATA to the folder that holds models/inceptionv1/{name}, or give the path."
        )
    return folder / "models" / "inceptionv1" / name


def class_names(path: str | Path | None = None) -> dict[str, str]:
    r"""Return the classes in the order of the logits: WordNet id -> words.

    Parameters
    ----------
    path : str or Path, optional
        A file with one ``id words`` per line; by default ``synset_words.txt`` beside the weights.

    Raises
    ------
    InputError
        If the file is absent.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "words.txt").write_text("n01440764 tench, Tinca tinca\n")
    ...     class_names(f"{folder}/words.txt")
    {'n01440764': 'tench, Tinca tinca'}
    """
    file = _model_file("synset_words.txt") if path is None else as_path(path, "path")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise InputError(
            f"No class names of InceptionV1 at {file}. Give class_names() their path."
        ) from error
    return dict(line.split(" ", 1) for line in lines if line.strip())


# -- what arrives inside ------------------------------------------------------------------------------------


def submodule(model: torch.nn.Module, name: str) -> torch.nn.Module:
    """Return a submodule by name.

    Raises
    ------
    InputError
        If there is none, or model is no module of PyTorch.
    """
    from torch import nn

    if not isinstance(model, nn.Module):
        raise InputError(
            f"model is a {type(model).__name__}, wanted InceptionV1 as models.inception.load() reads it."
        )
    found = dict(model.named_modules())
    if not name or name not in found:
        raise InputError(
            f"The model has no submodule {name!r}; InceptionV1 has the blocks {', '.join(BLOCKS)}."
        )
    return found[name]


def entering(
    model: torch.nn.Module, images: torch.Tensor, blocks: Iterable[str], batch: int = 32
) -> dict[str, np.ndarray]:
    """Return what enters some submodules: name -> (N, C, H, W) activations.

    The forward pass runs in the model's own precision, once per batch for all names; its float32 numbers are then
    read as float64, so zeros after a ReLU are exact zeros.

    Parameters
    ----------
    model : torch.nn.Module
    images : (N, 3, 224, 224) tensor
        As `preprocess` returns them.
    blocks : iterable of str
        Names of submodules, ``"inception_3b"`` for example.
    batch : int
        Images per forward pass.

    Raises
    ------
    InputError
        If a name is no submodule, or there are no images.

    Examples
    --------
    >>> grey = preprocess(np.full((224, 224, 3), 128, dtype=np.uint8))
    >>> {name: x.shape for name, x in entering(architecture(), grey, ["conv2", "inception_3a"]).items()}
    {'conv2': (1, 64, 56, 56), 'inception_3a': (1, 192, 28, 28)}
    """
    import torch

    names = [blocks] if isinstance(blocks, str) else list(blocks)
    modules = {name: submodule(model, name) for name in names}
    if not isinstance(images, torch.Tensor) or not len(images):
        raise InputError(f"images is {images!r:.40}, wanted a tensor (N, 3, 224, 224): preprocess(images).")
    as_count(batch, "batch", 1)
    seen: dict[str, list[np.ndarray]] = {name: [] for name in names}

    def keep(name: str) -> object:
        return modules[name].register_forward_pre_hook(
            lambda _, inputs: seen[name].append(inputs[0].numpy().astype(np.float64))
        )

    hooks = [keep(name) for name in seen]
    try:
        with torch.no_grad():
            for first in range(0, len(images), batch):
                model(images[first : first + batch])
    finally:
        for hook in hooks:
            hook.remove()
    return {name: np.concatenate(parts) for name, parts in seen.items()}


# -- the arrangement at one position -------------------------------------------------------------------------


def channel_stack(model: torch.nn.Module, block: str) -> Network:
    """Return the 1x1 convolutions of a block's input as a network of one channel vector, ReLU included.

    Parameters
    ----------
    model : torch.nn.Module
        Made by `architecture` or `load`.
    block : str
        One of `BLOCKS`.

    Returns
    -------
    Network
        R^channels -> R^units, units in the order 1x1, 3x3 reduce, 5x5 reduce: 288 hyperplanes in R^256 for
        ``inception_3b``, 304 in R^480 for 4a, 448 in R^528 for 4e, 624 in R^832 for 5b.

    Notes
    -----
    The pool branch reads maxima over a neighborhood, not the vector itself, and is left out. All blocks but 3b
    have fewer units than channels: with rows of full rank every cell is then unbounded and every row a facet.

    Raises
    ------
    InputError
        If there is no such block.

    Examples
    --------
    >>> net = channel_stack(architecture(), "inception_4a")
    >>> net.dim_in, net.n_units
    (480, 304)
    """
    if block not in BLOCKS:
        raise InputError(f"There is no block {block!r}; wanted one of {', '.join(BLOCKS)}.")
    relu = elementwise_gate("relu")
    steps: list[Step] = []
    outputs, shapes = [], []
    for conv, gate in STACK:
        layer = submodule(model, f"{block}.{conv}")
        weight = layer.weight.detach().numpy().astype(np.float64)[:, :, 0, 0]
        bias = layer.bias.detach().numpy().astype(np.float64)
        (units, channels) = weight.shape
        into = {"inputs": (0,), "shapes": ((channels,),)}
        steps.append(Dense(weight=weight, constant=bias, shape=(units,), path=f"{block}.{conv}", **into))
        into = {"inputs": (len(steps),), "shapes": ((units,),)}
        steps.append(Elementwise(shape=(units,), path=f"{block}.{gate}", **relu, **into))
        outputs.append(len(steps))
        shapes.append((units,))
    total = (sum(units for (units,) in shapes),)
    steps.append(Concatenate(inputs=tuple(outputs), shapes=tuple(shapes), shape=total, path=block, axis=0))
    return Network(tuple(steps), (channels,))
