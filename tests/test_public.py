"""Every public name is there, documented, and shows in a doctest how it is used."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest
import torch

import polygeom as pg
from polygeom.errors import InputError
from polygeom.models import toy, transformer

NAMES = sorted(n for n in dir(pg) if not n.startswith("_"))


@pytest.mark.parametrize("name", NAMES)
def test_public_names_load_and_are_documented(name: str) -> None:
    thing = getattr(pg, name)
    assert inspect.getdoc(thing)


@pytest.mark.parametrize("name", [n for n in NAMES if inspect.isfunction(getattr(pg, n))])
def test_public_functions_carry_a_doctest(name: str) -> None:
    assert ">>>" in inspect.getdoc(getattr(pg, name))


PACKAGES = {
    "claims": pg.claims,
    "lens": pg.lens,
    "plotting": pg.plotting,
    "testing": pg.testing,
    "toy": toy,
    "transformer": transformer,
}


@pytest.mark.parametrize(
    ("package", "name"),
    [(p, n) for p, m in PACKAGES.items() for n in m.__all__ if inspect.isfunction(getattr(m, n))],
)
def test_functions_of_public_packages_carry_a_doctest(package: str, name: str) -> None:
    assert ">>>" in inspect.getdoc(getattr(PACKAGES[package], name))


def test_models_are_found_without_their_own_import() -> None:
    asked = "import polygeom as pg; print(pg.models.toy.xor())"
    run = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert run.stdout == f"{toy.xor()}\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError):
        _ = pg.polytope


def test_a_torch_module_in_the_place_of_a_network_is_told_its_remedy():
    module, x, y = torch.nn.Linear(2, 3), np.zeros(2), np.ones(2)
    asked = [
        lambda: pg.piece_at(module, x),
        lambda: pg.spline_codes(module, [x]),
        lambda: pg.ray_exit(module, x, y),
        lambda: pg.nearest_boundaries(module, x, 2),
        lambda: pg.line_crossings(module, x, y),
        lambda: pg.scaling_crossings(module, y, 3),
        lambda: pg.sampled_density(module, x, y),
        lambda: pg.enumerate_regions(module),
        lambda: pg.explore(module, x),
        lambda: pg.verify("partition", net=module),
        lambda: pg.lens.follow_segments(module, np.eye(2), [[0, 1]]),
        lambda: pg.lens.scale_activations(module, np.eye(2)),
        lambda: pg.lens.code_cell(module, [0, 1, 1]),
    ]
    for ask in asked:
        with pytest.raises(InputError, match=r"wanted a Network.*from_torch"):
            ask()
    for ask in (transformer.image_hyperplanes, transformer.pairs_in_ball, transformer.boundary_cones):
        with pytest.raises(InputError, match=r"wanted a NormedMLP.*mlp_block"):
            ask(module)
