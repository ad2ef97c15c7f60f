"""Networks trained on digits: the ensembles on which statistical claims are judged.

What is counted on them is the lens's: `polygeom.lens.density`, `polygeom.lens.places`, `polygeom.lens.scaling`.
"""

from __future__ import annotations

from functools import lru_cache
from zlib import crc32

import numpy as np

from polygeom.models.toy.trained import Training, digits

__all__ = ["trainings"]

NETWORKS = 8
"""Networks in an ensemble."""

WIDTHS, AT, IMAGES = (24, 24, 24), (0, 30, 300), 300
"""Hidden layers, the steps at which networks are looked at, and the images each is trained on."""


@lru_cache(maxsize=8)
def trainings(seed: int, labels: str) -> tuple[Training, ...]:
    """Return an ensemble of networks on digits; real and permuted labels share images and first weights."""
    seeds = np.random.default_rng([seed, crc32(b"ensemble of digits")]).integers(2**32, size=NETWORKS)
    return tuple(digits(WIDTHS, labels, int(s), at=AT, images=IMAGES) for s in seeds)
