"""Where models, images and texts are looked for: the folder that POLYGEOM_DATA names, else what was fetched."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["RECORD", "cache_folder", "data_folder"]

RECORD = "fetched.json"
"""What came, in the folder it came to: for every file its place of origin and SHA-256."""


def data_folder() -> Path | None:
    """Return the folder named by POLYGEOM_DATA, else the one of `polygeom fetch`, None if there is neither.

    It holds ``models/`` and ``data/``.
    """
    named = os.environ.get("POLYGEOM_DATA")
    if named:
        return Path(named)
    fetched = cache_folder()
    return fetched if (fetched / RECORD).is_file() else None


def cache_folder() -> Path:
    """Return the folder that `polygeom fetch` fills: in XDG_CACHE_HOME, by default ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "polygeom" / "fetched"
