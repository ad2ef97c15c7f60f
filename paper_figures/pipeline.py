"""From a figure's script to its files: compute, draw, tabulate, caption, and record what was made.

A script ``fig_NAME.py`` holds

- a docstring, whose first line is its title;
- ``FIGURE``, its number: ``"F1"`` to ``"F14"`` as in the theory, ``"F5b"`` beside one of them, ``"S1"`` beyond;
- ``compute(quick) -> dict`` of plain arrays (numbers, bools, strings), all randomness from its ``SEED``;
- ``draw(data) -> matplotlib figure``;
- ``tables(data) -> dict``, for every CSV file its equally long columns;
- ``caption(data) -> str``, two to five sentences of plain text, every number of which comes from the data;
- optionally ``pages(data) -> dict``, for every HTML file its text: pictures to turn and hover over;
- optionally ``report(data)``, a text or rich table that is printed;
- optionally ``DATA``, patterns of the files under POLYGEOM_DATA that it reads.

A script that cannot do without absent data raises `SkippedError` with the reason and the remedy. What is
computed is kept as NAME.npz until something it depends on changes (`paper_figures.sources`), and the other files
until they would differ.
"""

from __future__ import annotations

import csv
import hashlib
import importlib
import json
import os
import pkgutil
import platform
import re
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

import paper_figures
import polygeom
from paper_figures import sources
from polygeom.arrays import UNREADABLE
from polygeom.data_folder import cache_folder, data_folder

__all__ = ["Script", "SkippedError", "absent", "data_folder", "make", "read_manifest", "record", "scripts"]

KEY = "_made_from"
"""The array of NAME.npz that holds the hash of all that the others depend on."""


class SkippedError(Exception):
    """A figure cannot be made here; the text says why and what would help."""


def absent(needed: str, *names: str) -> SkippedError:
    """Return the reason to skip a figure that needs files which ``polygeom fetch`` brings, and that command."""
    named = os.environ.get("POLYGEOM_DATA")
    into = f" --into {shlex.quote(named)}" if named else ""
    return SkippedError(
        f"Needs {needed} in {named or f'{cache_folder()} (POLYGEOM_DATA is not set)'}. What brings them: "
        f"polygeom fetch {' '.join(names)}{into}"
    )


@dataclass(frozen=True)
class Script:
    """One figure: its name and the module that makes it."""

    name: str
    module: ModuleType

    @property
    def title(self) -> str:
        """First line of the script's docstring."""
        return self.module.__doc__.strip().splitlines()[0]

    @property
    def number(self) -> str:
        """Number of the figure, as in F12."""
        return getattr(self.module, "FIGURE", "")

    def files(self) -> list[Path]:
        """Return the data files the script reads, sorted; none without the folder."""
        folder = data_folder()
        patterns = getattr(self.module, "DATA", ()) if folder else ()
        return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})

    def key(self, quick: bool) -> str:
        """Return a hash of all that `compute` depends on."""
        text = sources.of_compute(Path(self.module.__file__)) + sources.of_files(self.files())
        return hashlib.sha256(f"{'quick' if quick else 'full'} {text}".encode()).hexdigest()[:16]


def scripts(names: Iterable[str] | None = None) -> dict[str, Script]:
    """Return the figure scripts, or those of the given names, in the order of their numbers."""
    found = names if names is not None else known_names()
    made = [Script(name, importlib.import_module(f"paper_figures.fig_{name}")) for name in found]
    return {script.name: script for script in sorted(made, key=lambda s: (place(s.number), s.name))}


def known_names() -> list[str]:
    """Return the name of every figure script, none of them imported."""
    modules = [module.name for module in pkgutil.iter_modules(paper_figures.__path__)]
    return sorted(name.removeprefix("fig_") for name in modules if name.startswith("fig_"))


def place(number: str) -> tuple[int, int, str]:
    """Return what sorts F2 before F10, F5 before F5b, figures before supplements, and these before the rest."""
    match = re.fullmatch(r"([FS])(\d+)([a-z]?)", number)
    return ("FS".index(match[1]), int(match[2]), match[3]) if match else (2, 0, number)


# -- making one figure -----------------------------------------------------------------------------------------


def make(script: Script, out: Path, quick: bool) -> dict[str, object]:
    """Make one figure's files in a folder; return its entry of the manifest.

    Beyond what is recorded the entry holds its ``state`` (computed, redrawn, unchanged or skipped) and, if files
    were written, the ``report`` still to be printed.
    """
    start = time.perf_counter()
    key = script.key(quick)
    picture_key = sources.of_picture(Path(script.module.__file__), key)
    old = read_manifest(out)["figures"].get(script.name, {})
    if old.get("picture_key") == picture_key and _intact(old.get("outputs", {}), out):
        return old | {"state": "unchanged"}
    entry: dict[str, object] = {"figure": script.number, "title": script.title, "quick": quick, "key": key}
    if hasattr(script.module, "SEED"):
        entry["seed"] = script.module.SEED
    files = script.files()
    entry["data"] = {
        "files": len(files),
        "bytes": sum(f.stat().st_size for f in files),
        "sha256": sources.of_files(files),
    }
    cache = out / f"{script.name}.npz"
    data = kept(cache, key)
    state = "redrawn" if data else "computed"
    if data is None:
        try:
            data = script.module.compute(quick)
        except SkippedError as reason:
            return entry | {"skipped": str(reason), "state": "skipped"}
        keep(data, cache, key)
    entry["caption"] = script.module.caption(data)
    written = [cache, *_write(script, data, out, str(entry["caption"]))]
    entry["outputs"] = {path.name: _hash(path) for path in written}
    entry["picture_key"] = picture_key
    entry["seconds"] = round(time.perf_counter() - start, 1)
    if hasattr(script.module, "report"):
        entry["report"] = script.module.report(data)
    return entry | {"state": state}


def _intact(outputs: Mapping[str, str], out: Path) -> bool:
    """Tell whether all files are there as they were written."""
    paths = {out / name: digest for name, digest in outputs.items()}
    return bool(paths) and all(path.is_file() and _hash(path) == digest for path, digest in paths.items())


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def kept(cache: Path, key: str) -> dict[str, np.ndarray] | None:
    """Return arrays kept earlier, None if there are none or they were made from something else."""
    try:
        with cache.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if KEY not in stored or str(stored[KEY]) != key:
                return None
            return {name: stored[name] for name in stored.files if name != KEY}
    except UNREADABLE:
        return None


def keep(data: Mapping[str, np.ndarray], cache: Path, key: str) -> None:
    """Keep arrays with the hash of what they were made from: all of them or, if this is interrupted, none."""
    partial = cache.with_suffix(".partial.npz")
    np.savez_compressed(partial, allow_pickle=False, **data, **{KEY: np.array(key)})
    partial.replace(cache)


def _write(script: Script, data: Mapping[str, np.ndarray], out: Path, caption: str) -> list[Path]:
    """Write the picture, its tables, its caption and its pages."""
    written = drawn(script, data, out)
    tables = script.module.tables(data)
    written += [tabulated(columns, out / f"{name}.csv") for name, columns in tables.items()]
    texts = {f"{script.name}.txt": f"Figure {script.number}. {script.title}\n\n{caption}\n"}
    if hasattr(script.module, "pages"):
        texts |= {f"{name}.html": text for name, text in script.module.pages(data).items()}
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    return [*written, *(out / name for name in texts)]


def drawn(script: Script, data: Mapping[str, np.ndarray], out: Path) -> list[Path]:
    """Write the picture as PNG and PDF, without dates, so that equal pictures are equal files."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with plt.style.context(sources.STYLE):
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


# -- the manifest ----------------------------------------------------------------------------------------------


def read_manifest(out: Path) -> dict[str, dict]:
    """Return the manifest of a folder, one without figures if there is none that can be read."""
    path = out / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        known = {name: entry for name, entry in manifest["figures"].items() if "figure" in entry}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):  # none, or another's
        return {"figures": {}}
    return manifest | {"figures": known}


def record(entries: Mapping[str, Mapping[str, object]], out: Path) -> Path:
    """Write manifest.json: versions, and per figure the seed, hashes and files; keep entries made earlier."""
    figures = read_manifest(out)["figures"]
    for name, entry in entries.items():
        figures[name] = {key: value for key, value in entry.items() if key not in ("report", "state")}
    manifest = {
        "polygeom": polygeom.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": sources.versions(),
        "figures": dict(sorted(figures.items(), key=lambda item: (place(item[1]["figure"]), item[0]))),
    }
    path = out / "manifest.json"
    partial = path.with_suffix(".partial.json")
    partial.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
    return path
