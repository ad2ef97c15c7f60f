"""Images as GoogLeNet was trained on them: scaled, cropped, blue-green-red, without the mean color of ImageNet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polygeom.errors import InputError

if TYPE_CHECKING:
    import PIL.Image
    import torch

__all__ = ["CROP", "preprocess"]

MEAN_BGR = (104.0, 117.0, 123.0)
SHORTER_SIDE, CROP = 256, 224
"""To what the shorter side is scaled, and the square that is kept of its middle."""


def preprocess(images: object) -> torch.Tensor:
    """Return images as the network wants them: (N, 3, 224, 224) float32, blue-green-red, minus the mean color.

    The shorter side is scaled to 256 (bilinear), the central 224 x 224 are kept. Greyscale, palette and
    transparent images are converted to red-green-blue first.

    Parameters
    ----------
    images : path, PIL image or uint8 array, or an iterable of them
        Arrays are (H, W, 3) red-green-blue or (H, W) grey, values 0..255.

    Raises
    ------
    InputError
        If a file is absent or no readable image (it is named), or an array has another shape or dtype.

    Examples
    --------
    >>> x = preprocess(np.zeros((300, 400, 3), dtype=np.uint8))
    >>> x.shape, x[0, :, 0, 0]
    (torch.Size([1, 3, 224, 224]), tensor([-104., -117., -123.]))
    """
    import torch

    single = isinstance(images, (str, Path, np.ndarray)) or hasattr(images, "convert")
    if not single and not isinstance(images, Iterable):
        raise InputError(f"images is a {type(images).__name__}, wanted paths, PIL images or arrays.")
    cropped = [_crop(image, i) for i, image in enumerate([images] if single else images)]
    if not cropped:
        raise InputError("preprocess got no images.")
    pixels = np.stack(cropped)[..., ::-1].astype(np.float32) - np.asarray(MEAN_BGR, dtype=np.float32)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))


def _crop(image: object, number: int) -> np.ndarray:
    """Return the central (224, 224, 3) uint8 pixels of one scaled image."""
    from PIL import Image

    picture = _opened(image, number)
    scale = SHORTER_SIDE / min(picture.size)
    picture = picture.resize([round(side * scale) for side in picture.size], Image.Resampling.BILINEAR)
    left, top = ((side - CROP) // 2 for side in picture.size)
    return np.asarray(picture.crop((left, top, left + CROP, top + CROP)))


def _opened(image: object, number: int) -> PIL.Image.Image:
    """Return a PIL image in mode RGB."""
    from PIL import Image

    if isinstance(image, (str, Path)):
        try:
            with Image.open(image) as file:
                return _colored(file, str(image))
        except (OSError, Image.DecompressionBombError) as error:
            raise InputError(f"{image} is not a readable image: {error}.") from error
    if isinstance(image, np.ndarray):
        colors = image.shape[2:]
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or colors not in ((), (3,)) or not image.size:
            raise InputError(
                f"Image {number} is {image.dtype} of shape {image.shape}; wanted uint8, (H, W, 3) or (H, W)."
            )
        image = Image.fromarray(image)
    if not isinstance(image, Image.Image):
        got = type(image).__name__
        raise InputError(f"Image {number} is a {got}; wanted a path, a PIL image or a uint8 array.")
    return _colored(image, f"Image {number}")


def _colored(image: PIL.Image.Image, name: str) -> PIL.Image.Image:
    """Return the image in mode RGB; deeper pixels would be clipped without a word."""
    if image.mode.startswith(("I", "F")):
        raise InputError(
            f"{name} has pixels of mode {image.mode}; wanted 8 bits. Scale them to 0..255 first."
        )
    return image.convert("RGB")
