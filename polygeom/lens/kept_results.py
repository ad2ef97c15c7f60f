"""Results of long runs on disk: one file each, named by the hash of the network and of all they depend on.

What is proved about a network does not depend on machine or version, so a result is found again whenever the same
question is asked of the same network.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from os import PathLike
from pathlib import Path

import numpy as np

from polygeom.arrays import as_path
from polygeom.errors import InputError
from polygeom.lens.kept_rows import cache_folder
from polygeom.lens.saved import Saved, made_folder
from polygeom.network import Network

__all__ = ["KeptResults"]

FORMAT = 1
"""Version of what is kept: to be raised when the same question gets another answer."""


@dataclass(frozen=True)
class KeptResults:
    """Results about one network.

    A file is written beside its place and then moved there: it is whole, or not there.

    Attributes
    ----------
    folder : Path or None
        None to keep nothing.
    """

    folder: Path | None

    @classmethod
    def of(cls, cache: bool | str | PathLike[str], net: Network) -> KeptResults:
        """Return the results on a network: in `kept_rows.cache_folder` (True), nowhere (False), or in a folder."""
        if cache is False:
            return cls(None)
        root = cache_folder() if cache is True else as_path(cache, "cache")
        return cls(root / "lines" / net.fingerprint[:32])

    def file(self, kind: type[Saved], *about: object) -> Path | None:
        """Return where the result is kept that depends on arrays and plain values."""
        if self.folder is None:
            return None
        digest = sha256(repr((FORMAT, kind.__name__)).encode())
        for part in about:
            is_array = isinstance(part, np.ndarray)
            digest.update(repr((part.dtype.str, part.shape) if is_array else part).encode())
            digest.update(part.tobytes() if is_array else b";")
        return self.folder / f"{digest.hexdigest()[:32]}.npz"

    @staticmethod
    def read(file: Path | None, kind: type[Saved]) -> Saved | None:
        """Return what a file holds, None if it is absent or cannot be read."""
        if file is None or not file.is_file():
            return None
        try:
            return kind.load(file)
        except InputError:
            return None

    @staticmethod
    def write(file: Path | None, result: Saved) -> None:
        """Keep a result."""
        if file is None:
            return
        made_folder(file.parent)
        beside = file.with_suffix(f".{os.getpid()}.part")
        result.save(beside)
        beside.replace(file)
