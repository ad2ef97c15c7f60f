"""Command line: ``python -m paper_figures [--list | all | NAME ...] [--quick] [--out DIR]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from paper_figures.pipeline import data_folder, make, record, scripts


def main(arguments: list[str] | None = None) -> int:
    """Make the figures asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m paper_figures", description="Make the paper's figures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to make, or 'all'")
    parser.add_argument("--list", action="store_true", help="list the figures and stop")
    parser.add_argument("--quick", action="store_true", help="smaller samples: minutes, not hours")
    parser.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="folder of the results")
    chosen = parser.parse_args(arguments)
    console, known = Console(), scripts()
    if chosen.list or not chosen.names:
        for script in known.values():
            console.print(f"{script.name:<16} {script.title}", highlight=False)
        return 0
    unknown = sorted(set(chosen.names) - known.keys() - {"all"})
    if unknown:
        parser.error(f"unknown figure {', '.join(unknown)}; there are {', '.join(known)}")
    folder = data_folder()
    if folder is not None and not folder.is_dir():
        parser.error(f"POLYGEOM_DATA={folder} is not a folder")
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name in known if "all" in chosen.names else dict.fromkeys(chosen.names):
        entry = make(known[name], chosen.out, chosen.quick)
        record({name: entry}, chosen.out)
        _tell(console, name, entry, chosen.out)
    return 0


def _tell(console: Console, name: str, entry: dict[str, object], out: Path) -> None:
    if "skipped" in entry:
        console.print(f"\n{name}: skipped. {entry['skipped']}", highlight=False)
        return
    console.print(f"\n{name}: {entry['title']}", highlight=False, style="bold")
    if "report" in entry:
        console.print(entry["report"], highlight=False)
    files = ", ".join(str(out / file) for file in entry["outputs"])
    console.print(f"{files} ({entry['seconds']} s)", highlight=False, style="dim")


if __name__ == "__main__":
    raise SystemExit(main())
