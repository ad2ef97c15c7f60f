"""``polygeom verify``: judge claims on a network."""

from __future__ import annotations

import argparse

from polygeom.claims.registry import Verdicts, registry, verify_all
from polygeom.claims.verdict import Outcome
from polygeom.cli.terminal import (
    DIFFERENT,
    FINE,
    ONNX_OR_TOY,
    STOPPED,
    add_json,
    console,
    network,
    new_table,
    plain,
    watched,
    write_json,
)
from polygeom.models import toy

__all__ = ["add_verify"]

COLORS = {
    Outcome.HOLDS: "green",
    Outcome.FAILS: "red",
    Outcome.UNDECIDED: "yellow",
    Outcome.NOT_APPLICABLE: "dim",
}


def add_verify(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "verify",
        help="judge claims on a network",
        description="Judge claims on a network. Exit code: 0 if every outcome is as theory expects (of a toy), "
        "1 if one is not or a claim failed itself, 2 if the request cannot be answered.",
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help="claims to judge; none, or --all: every one")
    parser.add_argument("--all", action="store_true", help="judge every claim")
    parser.add_argument("--list", action="store_true", help="list the claims, judge none")
    parser.add_argument(
        "--net",
        default="toy:quick",
        metavar=ONNX_OR_TOY,
        help=f"an ONNX file, or a toy: {', '.join(toy.NAMED)} (default: toy:quick)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="from which random numbers are drawn (default: 0)"
    )
    add_json(parser)
    parser.set_defaults(run=_verify)


def _verify(request: argparse.Namespace) -> int:
    if request.list:
        _print_claims()
        return FINE
    net, name = network(request.net)
    ids = None if request.all or not request.ids else request.ids
    verdicts = verify_all(net, ids=ids, name=name, seed=request.seed, progress=watched())
    if request.json != "-":
        _print_verdicts(verdicts, request.net)
    if request.json is not None:
        write_json(request.json, {"net": request.net, "verdicts": [v.as_json() for v in verdicts.values()]})
    if not verdicts.finished:
        return STOPPED
    return FINE if verdicts.as_expected else DIFFERENT


def _print_verdicts(verdicts: Verdicts, net: str) -> None:
    """Print a table, and what is not as expected."""
    table = new_table("claim", "outcome", "level", "expected", "s>", "what was found")
    for column in table.columns[:5]:
        column.no_wrap = True
    for verdict in verdicts.values():
        outcome = f"[{COLORS[verdict.outcome]}]{verdict.outcome.value}[/]"
        expected = "" if verdict.expected is None else verdict.expected.value
        level = verdict.level.value if verdict.level else ""
        table.add_row(verdict.claim, outcome, level, expected, f"{verdict.seconds:.1f}", plain(verdict.text))
    out = console()
    out.print(f"[bold]Claims on {plain(net)}[/]")
    out.print(table)
    for verdict in verdicts.values():
        if not verdict.as_expected:
            why = f"error: {verdict.error}" if verdict.error else f"theory expects {verdict.expected.value}"
            out.print(f"[bold red]{verdict.claim}[/] is {verdict.outcome.value}; {plain(why)}")


def _print_claims() -> None:
    """Print every claim with its statement, hypothesis and source."""
    table = new_table("claim", "statement", "hypothesis", "source")
    table.show_lines = True
    for one in registry.values():
        table.add_row(one.id, *map(plain, (one.statement, one.hypothesis, one.source)))
    console().print(table)
