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
    writable,
    write_json,
)
from polygeom.errors import InputError
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
    writable("--json", request.json)
    if request.list:
        _list(request.json)
        return FINE
    if request.all and request.ids:
        raise InputError(f"Got --all and {' '.join(request.ids)}: leave one of them out.")
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
    """Print a table that can be read in 80 columns, and what is not as expected."""
    table = new_table("claim", "outcome", "s>", "what was found")
    table.show_lines = True
    for column in table.columns[:3]:
        column.no_wrap = True
    for verdict in verdicts.values():
        outcome = f"[{COLORS[verdict.outcome]}]{verdict.outcome.value}[/]"
        level = f"\n{verdict.level.value}" if verdict.level else ""
        table.add_row(verdict.claim, outcome + level, f"{verdict.seconds:.1f}", plain(verdict.text))
    out = console()
    out.print(f"[bold]Claims on {plain(net)}[/]")
    out.print(table)
    for verdict in verdicts.values():
        if not verdict.as_expected:
            why = f"error: {verdict.error}" if verdict.error else f"theory expects {verdict.expected.value}"
            out.print(f"[bold red]{verdict.claim}[/] is {verdict.outcome.value}; {plain(why)}")
    of_theory = [verdict for verdict in verdicts.values() if verdict.expected is not None]
    if of_theory:
        met = sum(verdict.as_expected for verdict in of_theory)
        out.print(f"Theory expects an outcome of {len(of_theory)} of these claims; {met} have it.")
    if not verdicts.finished:
        out.print("[bold]Stopped[/] before all claims were judged.")


def _list(json: str | None) -> None:
    """Print or write every claim with its statement, hypothesis and source."""
    if json is not None:
        fields = ("id", "statement", "hypothesis", "source")
        write_json(json, [{field: getattr(one, field) for field in fields} for one in registry.values()])
    if json == "-":
        return
    table = new_table("claim", "statement", "hypothesis", "source")
    table.show_lines = True
    for one in registry.values():
        table.add_row(one.id, *map(plain, (one.statement, one.hypothesis, one.source)))
    console().print(table)
