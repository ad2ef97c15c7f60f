"""From a figure's script to its files: compute (cached on disk), draw, tabulate, and record what was made.

A script ``fig_NAME.py`` holds

- a docstring, whose first line is its title;
- ``compute(quick) -> dict`` of plain arrays (numbers, bools, strings), all randomness from its ``SEED``;
- ``draw(data) -> matplotlib figure``;
- optionally ``tables(data) -> dict``, for every CSV file its equally long columns;
- optionally ``report(data)``, a text or rich table that is printed;
- optionally ``DATA``, patterns of the files under POLYGEOM_DATA that it reads.

``compute`` runs again only if the script, a source of polygeom, a data file (name or size) or ``quick`` changed. A
script that cannot do without absent data raises `SkippedError` with the reason.
"""

from __future__ import annotations

import csv
import hashlib
import importlib
import json
import os
import pkgutil
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy as np

import paper_figures
import polygeom

__all__ = ["Script", "SkippedError", "data_folder", "make", "record", "scripts"]

HERE = Path(__file__).parent
LIBRARY = Path(polygeom.__file__).parent
PACKAGES = ("highspy", "matplotlib", "numba", "numpy", "python-flint", "scipy", "torch")


class SkippedError(Exception):
    """A figure cannot be made here; the text says why."""


@dataclass(frozen=True)
class Script:
    """One figure: its name and the module that makes it."""

    name: str
    module: ModuleType

    @property
    def title(self) -> str:
        """First line of the script's docstring."""
        return self.module.__doc__.strip().splitlines()[0]

    def files(self) -> list[Path]:
        """Return the data files the script reads, sorted; none without the folder."""
        folder = data_folder()
        patterns = getattr(self.module, "DATA", ()) if folder else ()
        return sorted(path for pattern in patterns for path in folder.glob(pattern))

    def key(self, quick: bool) -> str:
        """Return a hash of all that `compute` depends on."""
        digest = hashlib.sha256(b"quick" if quick else b"full")
        own = Path(self.module.__file__)
        shared = sorted(p for p in own.parent.glob("*.py") if not p.name.startswith("fig_"))
        for path in [own, *shared, *sorted(LIBRARY.rglob("*.py"))]:
            digest.update(path.name.encode() + path.read_bytes())
        for path in self.files():
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        return digest.hexdigest()[:16]


def scripts() -> dict[str, Script]:
    """Return every figure script by name, in alphabetical order."""
    names = [module.name for module in pkgutil.iter_modules(paper_figures.__path__)]
    found = sorted(name for name in names if name.startswith("fig_"))
    return {
        name.removeprefix("fig_"): Script(
            name.removeprefix("fig_"), importlib.import_module(f"paper_figures.{name}")
        )
        for name in found
    }


def data_folder() -> Path | None:
    """Return the folder named by POLYGEOM_DATA, None if it is not set."""
    named = os.environ.get("POLYGEOM_DATA")
    return Path(named) if named else None


def make(script: Script, out: Path, quick: bool) -> dict[str, object]:
    """Make one figure's files in a folder; return its entry of the manifest, the report still to be printed."""
    start = time.perf_counter()
    entry: dict[str, object] = {"title": script.title, "quick": quick, "key": script.key(quick)}
    if hasattr(script.module, "SEED"):
        entry["seed"] = script.module.SEED
    entry["data"] = {"files": len(script.files()), "bytes": sum(f.stat().st_size for f in script.files())}
    try:
        data = computed(script, out, quick)
    except SkippedError as reason:
        return entry | {"skipped": str(reason)}
    written = drawn(script, data, out)
    if hasattr(script.module, "tables"):
        written += [
            tabulated(columns, out / f"{name}.csv") for name, columns in script.module.tables(data).items()
        ]
    entry["outputs"] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in written}
    entry["seconds"] = round(time.perf_counter() - start, 1)
    if hasattr(script.module, "report"):
        entry["report"] = script.module.report(data)
    return entry


def computed(script: Script, out: Path, quick: bool) -> dict[str, np.ndarray]:
    """Return the script's arrays, from the cache if nothing they depend on has changed."""
    cache = out / ".cache" / f"{script.name}-{script.key(quick)}.npz"
    if not cache.is_file():
        data = script.module.compute(quick)
        cache.parent.mkdir(parents=True, exist_ok=True)
        for old in cache.parent.glob(f"{script.name}-*.npz"):
            old.unlink()
        partial = cache.with_suffix(".partial.npz")
        np.savez_compressed(partial, **data)
        partial.replace(cache)
    with np.load(cache, allow_pickle=False) as stored:
        return dict(stored)


def drawn(script: Script, data: Mapping[str, np.ndarray], out: Path) -> list[Path]:
    """Write the picture as PNG and PDF, without dates, so that equal pictures are equal files."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with plt.style.context(HERE / "style.mplstyle"):
        figure = script.module.draw(data)
        paths = [out / f"{script.name}.png", out / f"{script.name}.pdf"]
        figure.savefig(paths[0])
        figure.savefig(paths[1], metadata={"CreationDate": None})
        plt.close(figure)
    return paths


def tabulated(columns: Mapping[str, Sequence[object]], path: Path) -> Path:
    """Write columns as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def record(entries: Mapping[str, Mapping[str, object]], out: Path) -> Path:
    """Write manifest.json: versions, and per figure the seed, hashes and files; keep entries made earlier."""
    path = out / "manifest.json"
    figures = json.loads(path.read_text(encoding="utf-8"))["figures"] if path.is_file() else {}
    for name, entry in entries.items():
        figures[name] = {key: value for key, value in entry.items() if key != "report"}
    manifest = {
        "polygeom": polygeom.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": {name: version(name) for name in PACKAGES},
        "figures": dict(sorted(figures.items())),
    }
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return path
