"""Several figures at a time, each in a process of its own.

What runs in these processes stands here and not in ``__main__``: a spawned process imports no ``__main__`` of a
package, so it would find nothing of it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console

from paper_figures.pipeline import Script, make, scripts

__all__ = ["at_a_time"]


def at_a_time(
    wanted: Mapping[str, Script], out: Path, quick: bool, jobs: int
) -> Iterator[tuple[str, dict[str, object]]]:
    """Make figures in several processes that share the cores, without bars; yield them as they come."""
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    before = os.environ | {}
    os.environ.update({"OMP_NUM_THREADS": threads, "TQDM_DISABLE": "1"})
    try:
        with get_context("spawn").Pool(jobs, _leave_interrupts_to_the_parent) as pool:
            yield from pool.imap_unordered(partial(_made, out=out, quick=quick), wanted)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _leave_interrupts_to_the_parent() -> None:
    """Ignore Ctrl-C in a process of the pool: the parent ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _made(name: str, out: Path, quick: bool) -> tuple[str, dict[str, object]]:
    """Make one figure in a process of its own; its report comes as text, which travels."""
    entry = make(scripts([name])[name], out, quick)
    if "report" in entry:
        console = Console(width=80)
        with console.capture() as captured:
            console.print(entry["report"], highlight=False)
        entry["report"] = captured.get()
    return name, entry
