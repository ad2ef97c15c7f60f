"""The examples in the pages of the documentation run, and print what the pages say."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parent.parent / "docs"


LEAST = {
    "tutorial.md": 25,
    "regions.md": 20,
    "lines.md": 12,
    "facets_small.md": 5,
    "claims.md": 14,
    "cones.md": 5,
    "testing.md": 18,
    "transformers.md": 30,
    "radial_angular.md": 12,
    "code_directions.md": 12,
    "lens.md": 6,
    "lens_density.md": 20,
}
"""Pages with examples, and a number that each has more of."""


@pytest.mark.parametrize(("name", "least"), LEAST.items())
def test_examples_of_a_page_run(name, least):
    page = (PAGES / name).read_text(encoding="utf-8")
    examples = "\n".join(re.findall(r"```pycon\n(.*?)```", page, flags=re.DOTALL))
    test = doctest.DocTestParser().get_doctest(examples, {}, name, None, None)
    assert len(test.examples) > least
    told: list[str] = []
    doctest.DocTestRunner().run(test, out=told.append)
    assert not told, "".join(told)
