"""What every command shares: networks by name, exit codes, JSON, tables."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from polygeom.errors import InputError
from polygeom.models import toy
from polygeom.models.convert import from_onnx
from polygeom.network import Network

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "DIFFERENT",
    "FINE",
    "REFUSED",
    "STOPPED",
    "add_json",
    "add_network",
    "console",
    "network",
    "new_table",
    "plain",
    "shown",
    "watched",
    "writable",
    "write_json",
]

FINE, DIFFERENT, REFUSED, STOPPED = 0, 1, 2, 130
"""Exit codes: all is well; it is not as it should be; the request cannot be answered; Ctrl-C."""

ONNX_OR_TOY = "FILE|toy:NAME"


def add_network(parser: argparse.ArgumentParser) -> None:
    """Let a command name a network."""
    parser.add_argument("net", metavar=ONNX_OR_TOY, help=f"an ONNX file, or a toy: {', '.join(toy.NAMED)}")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Let a command write what it found."""
    parser.add_argument(
        "--json",
        metavar="OUT",
        help="write what was found to a file, too; to standard output, instead, with -",
    )


def network(wanted: str) -> tuple[Network, str | None]:
    """Return a network, and its name if it is a toy.

    Raises
    ------
    InputError
        If there is no such file or toy.
    """
    kind, _, name = wanted.partition(":")
    if kind == "toy":
        return toy.named(name), name
    if not Path(wanted).is_file():
        raise InputError(f"There is no file {wanted}; wanted an ONNX file, or toy:NAME.")
    return from_onnx(wanted), None


def writable(option: str, where: str | Path | None) -> None:
    """Refuse a file that cannot be written before the work is done, not after it; None and ``-`` are no files.

    Raises
    ------
    InputError
        If it cannot be opened for writing. What it holds stays as it is.
    """
    if where in (None, "-"):
        return
    path = Path(where)
    try:
        there = path.exists()
        with path.open("ab"):
            pass
        if not there:
            path.unlink()
    except OSError as error:
        raise InputError(f"{option} {path} cannot be written: {error.strerror}.") from error


def write_json(where: str, content: object) -> None:
    """Write to a file, or to standard output.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    text = json.dumps(content, indent=2)
    if where == "-":
        sys.stdout.write(f"{text}\n")
        return
    try:
        Path(where).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--json {where} cannot be written: {error.strerror}.") from error


def console() -> Console:
    """Return a console on standard output."""
    from rich.console import Console

    return Console(highlight=False)


def new_table(*headings: str) -> Table:
    """Return a table; headings that end in ``>`` are of columns flush right. Without words there is no head."""
    from rich.table import Table

    table = Table(show_header=any(heading.strip(">") for heading in headings))
    for heading in headings:
        right = heading.endswith(">")
        table.add_column(heading.removesuffix(">"), justify="right" if right else "left", overflow="fold")
    return table


def shown(value: object, missing: str) -> str:
    """Return a value as a table shows it: counts with commas, answers as words, nothing as `missing`."""
    if value is None:
        return missing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else plain(value)


def plain(text: object) -> str:
    """Return a text in which brackets are brackets."""
    from rich.markup import escape

    return escape(str(text))


def watched() -> bool:
    """Tell whether somebody sees progress."""
    return sys.stderr.isatty()
