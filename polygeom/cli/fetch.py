"""``polygeom fetch``: models and images that are not part of polygeom."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from polygeom.cli.terminal import FINE, console, plain, watched
from polygeom.data_folder import cache_folder
from polygeom.models.fetch import NAMES, fetch

__all__ = ["add_fetch"]


def add_fetch(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "fetch",
        help="fetch models and images",
        description="Fetch models and images that figures, examples and tests read, each file by its hash, into a "
        f"folder where they are found if POLYGEOM_DATA is not set ({cache_folder()}). Exit code: 0, or 2 if "
        "something cannot be had; the message says what to place where by hand.",
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--into", type=Path, metavar="DIR", help="another folder")
    parser.set_defaults(run=_fetch)


def _fetch(request: argparse.Namespace) -> int:
    out = console()
    for name in request.names:
        found = fetch(name, request.into, progress=watched())
        files = [file for file in found.files if file.is_file()]
        shown = ", ".join(str(file) for file in files[:4]) + (", ..." if len(files) > 4 else "")
        out.print(f"[bold]{name}[/]: {len(files)} files, {plain(shown)}", soft_wrap=True)
        for note in found.notes:
            out.print(plain(note), soft_wrap=True)
    named, folder = os.environ.get("POLYGEOM_DATA"), request.into or cache_folder()
    if named and Path(named).resolve() != folder.resolve():
        out.print(f"POLYGEOM_DATA={plain(named)} is read instead: unset it, or let it name {plain(folder)}.")
    elif request.into and not named:
        out.print(f"To read them: export POLYGEOM_DATA={plain(folder.resolve())}", soft_wrap=True)
    return FINE
