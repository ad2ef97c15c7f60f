"""What a figure depends on, as hashes: the code its numbers come from, the code its picture comes from, its data.

Numbers depend on what `compute` reaches in its script, on the modules beside the script that it imports, on
the library without its pictures and its command line, on the versions of the packages that compute, and on the
contents of the data files. So a caption may be reworded and a line recolored without computing again.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

import polygeom

__all__ = ["STYLE", "of_compute", "of_files", "of_picture", "versions"]

HERE = Path(__file__).parent
STYLE = HERE / "style.mplstyle"
LIBRARY = Path(polygeom.__file__).parent
NOT_NUMBERS = {"plotting", "plotting.py", "cli", "__main__.py"}
"""Rooms of the library that no number of a figure comes from."""

NUMERIC = ("highspy", "numba", "numpy", "python-flint", "scipy", "torch")
DRAWING = ("matplotlib",)


def versions() -> dict[str, str]:
    """Return the versions of the packages that figures depend on."""
    return {name: version(name) for name in sorted(NUMERIC + DRAWING)}


@cache
def of_library(drawing: bool) -> str:
    """Return a hash of the sources of the library that numbers or, otherwise, pictures come from."""
    files = sorted(LIBRARY.rglob("*.py"))
    of_numbers = [path for path in files if path.relative_to(LIBRARY).parts[0] not in NOT_NUMBERS]
    chosen = (
        [path for path in files if "plotting" in str(path.relative_to(LIBRARY))] if drawing else of_numbers
    )
    return _digest(
        [
            *(f"{name} {version(name)}" for name in (DRAWING if drawing else NUMERIC)),
            *(f"{path.relative_to(LIBRARY)}\n{path.read_text(encoding='utf-8')}" for path in chosen),
        ]
    )


def of_compute(script: Path) -> str:
    """Return a hash of the code that a script's numbers come from."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    own = "\n".join(ast.dump(node) for node in reached(tree, "compute"))
    beside = [path.read_text(encoding="utf-8") for path in imported(script)]
    return _digest([own, *beside, of_library(drawing=False)])


def of_picture(script: Path, key: str) -> str:
    """Return a hash of all that the files of a figure come from; key is that of its numbers."""
    files = [script, *imported(script), STYLE, HERE / "pipeline.py"]
    return _digest([key, of_library(drawing=True), *(path.read_text(encoding="utf-8") for path in files)])


def of_files(files: Iterable[Path]) -> str:
    """Return a hash of the names and contents of files."""
    return _digest(
        f"{path.name} {_of_file(path, path.stat().st_size, path.stat().st_mtime_ns)}" for path in files
    )


@cache
def _of_file(path: Path, size: int, modified: int) -> str:
    """Return the hash of a file, which is read once as long as neither its size nor its time changes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def reached(tree: ast.Module, name: str) -> list[ast.stmt]:
    """Return the statements of a module that a function of it may run, in order: those it names, and they name.

    Imports and statements without a name always belong to them; without that function, all do.
    """
    defined = {own: node for node in tree.body for own in _names(node)}
    if name not in defined:
        return tree.body
    needed, open_ = set(), [node for node in tree.body if not list(_names(node))] + [defined[name]]
    while open_:
        node = open_.pop()
        if node not in needed:
            needed.add(node)
            used = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            open_ += [defined[own] for own in used & defined.keys()]
    return [node for node in tree.body if node in needed and not _is_text(node)]


def _names(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement of a module defines, those of imports aside."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def imported(script: Path) -> list[Path]:
    """Return the modules beside a script that it imports, directly or not, the pipeline's own left out."""
    found: set[Path] = set()
    open_ = [script]
    while open_:
        for node in ast.walk(ast.parse(open_.pop().read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(HERE.name):
                parts = [node.module.partition(".")[2], *(alias.name for alias in node.names)]
                paths = {HERE / f"{part}.py" for part in parts if part}
                new = {path for path in paths if path.is_file()} - found - {HERE / "pipeline.py", script}
                found |= new
                open_ += new
    return sorted(found)


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part.encode()).digest())
    return digest.hexdigest()
