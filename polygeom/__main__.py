"""The command line: ``polygeom verify`` judges claims on a network."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import polygeom as pg
from polygeom.claims.registry import Verdicts, registry, verify_all
from polygeom.claims.verdict import Outcome
from polygeom.errors import InputError, PolygeomError
from polygeom.models import toy
from polygeom.network import Network

__all__ = ["main"]

AS_EXPECTED, DIFFERENT, REFUSED, STOPPED = 0, 1, 2, 130
"""Exit codes: all is as theory expects; something is not; the request cannot be answered; Ctrl-C."""

COLORS = {
    Outcome.HOLDS: "green",
    Outcome.FAILS: "red",
    Outcome.UNDECIDED: "yellow",
    Outcome.NOT_APPLICABLE: "dim",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code.

    Examples
    --------
    >>> main(["verify", "partition", "--net", "toy:nowhere"])  # a message on standard error
    2
    """
    request = _parser().parse_args(arguments)
    try:
        return int(request.run(request))
    except PolygeomError as error:
        print(f"polygeom: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("polygeom: stopped.", file=sys.stderr)
        return STOPPED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="polygeom", description=pg.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"polygeom {pg.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    verify = commands.add_parser(
        "verify",
        help="judge claims on a network",
        description="Judge claims on a network. Exit code: 0 if every outcome is as theory expects (of a toy), "
        "1 if one is not or a claim failed itself, 2 if the request cannot be answered.",
    )
    verify.add_argument("ids", nargs="*", metavar="ID", help="claims to judge; none, or --all: every one")
    verify.add_argument("--all", action="store_true", help="judge every claim")
    verify.add_argument("--list", action="store_true", help="list the claims, judge none")
    verify.add_argument(
        "--net",
        default="toy:quick",
        metavar="FILE|toy:NAME",
        help=f"an ONNX file, or a toy: {', '.join(toy.NAMED)}",
    )
    verify.add_argument(
        "--seed", type=int, default=0, help="from which random numbers are drawn (default: 0)"
    )
    verify.add_argument("--json", type=Path, metavar="OUT", help="write the verdicts to a file, too")
    verify.set_defaults(run=_verify)
    return parser


def _verify(request: argparse.Namespace) -> int:
    if request.list:
        _print_claims()
        return AS_EXPECTED
    net, name = _network(request.net)
    ids = None if request.all or not request.ids else request.ids
    verdicts = verify_all(net, ids=ids, name=name, seed=request.seed, progress=sys.stderr.isatty())
    _print_verdicts(verdicts, request.net)
    if request.json is not None:
        _write(request.json, {"net": request.net, "verdicts": [v.as_json() for v in verdicts.values()]})
    if not verdicts.finished:
        return STOPPED
    return AS_EXPECTED if verdicts.as_expected else DIFFERENT


def _network(wanted: str) -> tuple[Network, str | None]:
    """Return a network, and its name if it is a toy."""
    kind, _, name = wanted.partition(":")
    if kind == "toy":
        return toy.named(name), name
    if not Path(wanted).is_file():
        raise InputError(f"--net got {wanted!r}, wanted an ONNX file or toy:NAME; there is no such file.")
    return pg.from_onnx(wanted), None


def _write(path: Path, content: object) -> None:
    try:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--json {path} cannot be written: {error.strerror}.") from error


def _print_verdicts(verdicts: Verdicts, net: str) -> None:
    """Print a table, and what is not as expected."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Claims on {net}", show_lines=False)
    for column in ("claim", "outcome", "level", "expected", "s"):
        table.add_column(column, no_wrap=True, justify="right" if column == "s" else "left")
    table.add_column("what was found", overflow="fold")
    for verdict in verdicts.values():
        outcome = f"[{COLORS[verdict.outcome]}]{verdict.outcome.value}[/]"
        expected = "" if verdict.expected is None else verdict.expected.value
        level = verdict.level.value if verdict.level else ""
        table.add_row(verdict.claim, outcome, level, expected, f"{verdict.seconds:.1f}", _plain(verdict.text))
    console = Console()
    console.print(table)
    for verdict in verdicts.values():
        if not verdict.as_expected:
            why = f"error: {verdict.error}" if verdict.error else f"theory expects {verdict.expected.value}"
            console.print(f"[bold red]{verdict.claim}[/] is {verdict.outcome.value}; {_plain(why)}")


def _print_claims() -> None:
    """Print every claim with its statement, hypothesis and source."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_lines=True)
    for column in ("claim", "statement", "hypothesis", "source"):
        table.add_column(column, overflow="fold")
    for one in registry.values():
        table.add_row(one.id, *map(_plain, (one.statement, one.hypothesis, one.source)))
    Console().print(table)


def _plain(text: str) -> str:
    """Return a text in which brackets are brackets."""
    from rich.markup import escape

    return escape(text)


if __name__ == "__main__":
    sys.exit(main())
