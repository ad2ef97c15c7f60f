"""The README's tour runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_tour_runs_and_its_proofs_hold():
    tour = "\n".join(re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL))
    names: dict[str, object] = {}
    exec(compile(tour, "<the tour>", "exec"), names)
    assert names["proof"].holds(names["P"])
    assert not names["report"].undecided.size


def test_the_two_commands_stand_in_the_readme():
    assert {"make figures", "make test"} <= set(re.findall(r"^(make \w+)", README, flags=re.MULTILINE))
