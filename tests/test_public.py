"""Every public name is there, documented, and shows in a doctest how it is used."""

from __future__ import annotations

import inspect

import pytest

import polygeom as pg

NAMES = sorted(n for n in dir(pg) if not n.startswith("_"))


@pytest.mark.parametrize("name", NAMES)
def test_public_names_load_and_are_documented(name: str) -> None:
    thing = getattr(pg, name)
    assert inspect.getdoc(thing)


@pytest.mark.parametrize("name", [n for n in NAMES if inspect.isfunction(getattr(pg, n))])
def test_public_functions_carry_a_doctest(name: str) -> None:
    assert ">>>" in inspect.getdoc(getattr(pg, name))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError):
        _ = pg.polytope
