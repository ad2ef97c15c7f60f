"""Command line: ``python -m paper_figures [--list | all | NAME ...] [--quick] [--jobs N] [--out DIR]``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from paper_figures.contact_sheet import write_contact_sheet
from paper_figures.jobs import at_a_time
from paper_figures.pipeline import Script, data_folder, known_names, make, read_manifest, record, scripts


def main(arguments: list[str] | None = None) -> int:
    """Make the figures asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m paper_figures", description="Make the paper's figures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to make, or 'all'")
    parser.add_argument("--list", action="store_true", help="list the figures and stop")
    parser.add_argument("--quick", action="store_true", help="smaller samples: minutes, not hours")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many to make at a time")
    parser.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="folder of the results")
    chosen = parser.parse_args(arguments)
    console, known = Console(), known_names()
    if chosen.list or not chosen.names:
        listed = Table.grid(padding=(0, 2))
        for script in scripts().values():
            listed.add_row(script.number, script.name, escape(script.title))
        console.print(listed)
        return 0
    unknown = sorted(set(chosen.names) - {*known, "all"})
    if unknown:
        parser.error(f"unknown figure {', '.join(unknown)}; there are {', '.join(known)}")
    if chosen.jobs < 1:
        parser.error(f"--jobs is {chosen.jobs}, wanted 1 or more")
    folder = data_folder()
    if folder is not None and not folder.is_dir():
        parser.error(f"POLYGEOM_DATA={folder} is not a folder")
    try:
        chosen.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out {chosen.out} cannot be made: {error.strerror}")
    wanted = scripts(None if "all" in chosen.names else dict.fromkeys(chosen.names))
    try:
        _make_all(console, wanted, chosen.out, chosen.quick, chosen.jobs)
    except KeyboardInterrupt:
        console.print("\nstopped; what was made is kept", highlight=False)
        return 130
    return 0


def _make_all(console: Console, wanted: Mapping[str, Script], out: Path, quick: bool, jobs: int) -> None:
    """Make figures, record each when it is there, and end with a table of all."""
    entries = {}
    if jobs > 1:
        console.print(f"{len(wanted)} figures, {jobs} at a time", highlight=False)
    made = _one_by_one(console, wanted, out, quick) if jobs == 1 else at_a_time(wanted, out, quick, jobs)
    for k, (name, entry) in enumerate(made, start=1):
        entries[name] = entry
        record({name: entry}, out)
        write_contact_sheet(read_manifest(out), out)
        if jobs > 1:
            _headline(console, k, wanted, name)
        if "report" in entry:
            console.print(entry["report"], highlight=False, markup=False)
        console.print(_told(entry), highlight=False, markup=False)
    console.print(_table({name: entries[name] for name in wanted}))
    console.print(f"All of them with captions: {out / 'index.html'}", highlight=False)


def _headline(console: Console, k: int, wanted: Mapping[str, Script], name: str) -> None:
    text = f"\n[{k}/{len(wanted)}] {wanted[name].number} {name}"
    console.print(text, highlight=False, style="bold", markup=False)


def _one_by_one(
    console: Console, wanted: Mapping[str, Script], out: Path, quick: bool
) -> Iterator[tuple[str, dict[str, object]]]:
    """Make figures in this process, with their progress bars."""
    for k, (name, script) in enumerate(wanted.items(), start=1):
        _headline(console, k, wanted, name)
        yield name, make(script, out, quick)


def _told(entry: Mapping[str, object]) -> str:
    """Return a line about one figure."""
    if entry["state"] == "skipped":
        return f"skipped: {entry['skipped']}"
    if entry["state"] == "unchanged":
        return "unchanged"
    return f"{entry['state']} in {entry['seconds']} s: {', '.join(entry['outputs'])}"


def _table(entries: Mapping[str, Mapping[str, object]]) -> Table:
    """Return a table of what was made and what was not."""
    table = Table("", "figure", "", "s", "title", title="Figures", title_justify="left")
    table.columns[3].justify = "right"
    for name, entry in entries.items():
        made = entry["state"] in ("computed", "redrawn")
        table.add_row(
            entry["figure"],
            name,
            entry["state"],
            f"{entry['seconds']:.1f}" if made else "",
            escape(entry["title"] if "skipped" not in entry else entry["skipped"]),
        )
    return table


if __name__ == "__main__":
    raise SystemExit(main())
