"""`import polygeom` is quick, because what is heavy is imported where it is used."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import polygeom

HEAVY = {
    "cvxpy",
    "highspy",
    "matplotlib",
    "networkx",
    "numba",
    "onnx",
    "scipy.optimize",
    "sklearn",
    "torch",
}
LIMIT_MICROSECONDS = 500_000
ATTEMPTS = 5


def loaded_after(*modules: str) -> set[str]:
    """Return the names in sys.modules after importing these modules in a new interpreter."""
    lines = [f"import {name}" for name in modules]
    program = "\n".join(["import json, sys", *lines, "print(json.dumps(list(sys.modules)))"])
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout))


def import_microseconds(module: str) -> int:
    """Return the cumulative import time of a module in a new interpreter, everything it pulls in included."""
    command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    for line in run.stderr.splitlines():
        fields = line.removeprefix("import time:").split("|")
        if len(fields) == 3 and fields[2].strip() == module:
            return int(fields[1])
    raise LookupError(f"{module} does not stand in the import times")


def test_the_probe_sees_a_heavy_import():
    assert "networkx" in loaded_after("networkx")


def test_import_polygeom_loads_nothing_heavy():
    assert not HEAVY & loaded_after("polygeom")


def test_no_module_but_the_kernels_loads_anything_heavy():
    # matplotlib, torch ... arrive with the first function that needs them, whichever module is imported.
    names = [info.name for info in pkgutil.walk_packages(polygeom.__path__, "polygeom.")]
    light = [name for name in names if not name.startswith("polygeom.kernels.") and "__main__" not in name]
    assert not HEAVY & loaded_after("polygeom", *light)


def test_import_polygeom_takes_under_half_a_second():
    # The least of a few attempts: other work on the machine only ever adds.
    attempts = (import_microseconds("polygeom") for _ in range(ATTEMPTS))
    assert any(spent < LIMIT_MICROSECONDS for spent in attempts)
