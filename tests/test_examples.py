"""Every example runs to its last assertion and says something on the way."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("[0-9][0-9]_*.py"))


def test_there_are_examples():
    assert len(EXAMPLES) >= 12


def test_all_stand_in_the_gallery():
    gallery = Path(__file__).parent.parent / "docs" / "gallery.md"
    assert re.findall(r"examples/(\S+)", gallery.read_text(encoding="utf-8"))[1:] == [
        e.name for e in EXAMPLES
    ]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs(path, capsys):
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_explains_itself_and_ends_in_an_assertion(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert len(ast.get_docstring(tree).splitlines()) > 3
    assert isinstance(tree.body[-1], ast.Assert)
