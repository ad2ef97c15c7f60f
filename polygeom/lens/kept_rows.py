"""Activations of images on disk, under the hash of an image's bytes and of the network.

A run that was interrupted finds what it had, and images may be added to a later one. Numbers depend a little on
the version of torch, so its version is part of the name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import UNREADABLE, as_path
from polygeom.errors import InputError
from polygeom.lens.saved import made_folder

if TYPE_CHECKING:
    import torch

__all__ = ["KeptRows", "Row", "cache_folder"]

FORMAT = 1
"""Version of what is kept."""

Row = tuple[bool, np.ndarray, np.ndarray]
"""Of one image: whether it is grey, its vector and its letters."""


def cache_folder() -> Path:
    r"""Return the folder where this user's caches of polygeom live, by the convention of the platform.

    ``~/.cache/polygeom`` (or ``$XDG_CACHE_HOME/polygeom``), ``~/Library/Caches/polygeom`` on macOS,
    ``%LOCALAPPDATA%\polygeom\Cache`` on Windows.
    """
    if sys.platform == "win32":
        return (
            Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "polygeom" / "Cache"
        )
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "polygeom"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "polygeom"


@dataclass(frozen=True)
class KeptRows:
    """Rows of one network, some layers and one position: a file for every batch.

    A file is written beside its place and then moved there: it is whole, or not there.

    Attributes
    ----------
    folder : Path or None
        None to keep nothing.
    """

    folder: Path | None

    @classmethod
    def of(
        cls,
        cache: bool | str | PathLike[str],
        model: torch.nn.Module,
        relus: Mapping[str, tuple[str, ...]],
        position: tuple[float, float],
    ) -> KeptRows:
        """Return the rows that belong to a model, layers with their ReLUs, and a position."""
        import torch

        if cache is False:
            return cls(None)
        about = (FORMAT, torch.__version__, str(model), tuple(relus.items()), position)
        digest = sha256(repr(about).encode())
        for name, tensor in model.state_dict().items():
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        root = cache_folder() if cache is True else as_path(cache, "cache")
        return cls(root / "activations" / digest.hexdigest()[:32])

    def read(self, hashes: set[str]) -> dict[str, Row]:
        """Return hash -> row of what is there; a file that cannot be read counts as absent."""
        rows: dict[str, Row] = {}
        for file in sorted(self.folder.glob("*.npz")) if self.folder is not None else ():
            try:
                with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
                    kept = [stored[name] for name in ("hashes", "grey", "vectors", "letters")]
            except UNREADABLE:
                continue
            for digest, grey, vector, letters in zip(*kept, strict=False):
                if str(digest) in hashes:
                    rows[str(digest)] = (bool(grey), vector, letters)
        return rows

    def write(self, rows: dict[str, Row]) -> None:
        """Keep some more rows."""
        if self.folder is None:
            return
        grey, vectors, letters = map(np.stack, zip(*rows.values(), strict=True))
        stored = {"hashes": np.array(list(rows)), "grey": grey, "vectors": vectors, "letters": letters}
        made_folder(self.folder)
        name = sha256("".join(rows).encode()).hexdigest()[:16]
        beside = self.folder / f"{name}.{os.getpid()}.part"
        try:
            with beside.open("wb") as file:
                np.savez(file, allow_pickle=False, **stored)
            beside.replace(self.folder / f"{name}.npz")
        except OSError as error:
            raise InputError(
                f"{self.folder} cannot be written to: {error}. Give another cache=, or False."
            ) from error
