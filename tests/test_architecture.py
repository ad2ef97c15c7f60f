"""The rules of docs/architecture.md, read off the syntax trees of the library.

Each rule is a generator of offenses in one module, and is itself tried on a line that breaks it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARY = ROOT / "polygeom"
LONGEST_MODULE = 450
SMALLEST_PLAIN_FLOAT = 1e-3
HEAVY = {"cvxpy", "highspy", "matplotlib", "networkx", "numba", "onnx", "scipy.optimize", "sklearn", "torch"}
SOLVERS = {"cvxpy", "highspy", "scipy.optimize", "polygeom.lp"}
NAMELESS = {"base", "common", "core", "helpers", "misc", "util", "utils"}
# Constants that a published architecture fixes; they decide nothing.
PUBLISHED = {("polygeom.models.inception", 1e-4)}  # the alpha of local response normalization


@dataclass(frozen=True)
class Module:
    """One source file: dotted name, tree, number of lines."""

    name: str
    tree: ast.Module
    lines: int = 1

    @property
    def room(self) -> str:
        """The first part below polygeom: what stands on a floor."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else "__init__"


@cache
def library() -> dict[str, Module]:
    """Return every module of the library by its dotted name."""
    modules = {}
    for path in sorted(LIBRARY.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        source = path.read_text(encoding="utf-8")
        modules[name] = Module(name, ast.parse(source, str(path)), source.count("\n"))
    return modules


@cache
def floors() -> dict[str, int]:
    """Return the floor of every room, read off the picture in docs/architecture.md.

    A line of the picture is ``F2  room  room      remark``: two spaces part the rooms, more begin the remark.
    """
    picture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    found: dict[str, int] = {}
    for floor, rooms in re.findall(r"^F(\d)  (.+?)(?:   .*)?$", picture, flags=re.MULTILINE):
        for room in rooms.split():
            assert room not in found, f"{room} stands on two floors"
            found[room.rstrip("/")] = int(floor)
    return found


def nodes(tree: ast.AST, *, into_functions: bool = True) -> Iterator[ast.AST]:
    """Walk a tree; leave out what only type checkers read and, if asked, the bodies of functions."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if not into_functions and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        yield child
        yield from nodes(child, into_functions=into_functions)


def imported(found: Iterator[ast.AST]) -> Iterator[str]:
    """Yield every dotted name that import statements could load: `from a import b` gives a and a.b."""
    for node in found:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(module: Module) -> set[str]:
    """Return the modules of the library that a module imports anywhere, for type checkers included."""
    names: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in library() else node.module for name in full}
    return names & library().keys()


def relative_imports(module: Module) -> Iterator[str]:
    """Modules name each other in full, so that a reader sees the floor."""
    for name in imported(ast.walk(module.tree)):
        if name.startswith("."):
            yield f"relative import {name}"


def heavy_imports(module: Module) -> Iterator[str]:
    """Nothing heavy is imported when a module is; numba inside kernels/ is the one exception."""
    kernel = module.room == "kernels"
    for name in imported(nodes(module.tree, into_functions=False)):
        heavy = any(name == h or name.startswith(f"{h}.") for h in HEAVY - ({"numba"} if kernel else set()))
        if heavy or (not kernel and name.startswith("polygeom.kernels.")):
            yield f"imports {name} at module level"


def small_floats(module: Module) -> Iterator[str]:
    """Tolerances live in rounding.py: no small literal or power, no machine epsilon elsewhere."""
    if module.name == "polygeom.rounding":
        return
    for node in ast.walk(module.tree):
        value = constant(node)
        if 0 < abs(value) < SMALLEST_PLAIN_FLOAT and (module.name, value) not in PUBLISHED:
            yield f"line {node.lineno}: the small float {value}"
        if isinstance(node, ast.Attribute) and node.attr == "finfo":
            yield f"line {node.lineno}: finfo"


def constant(node: ast.AST) -> float:
    """Return the value of a float literal, or of a power of literals; 0 for anything else."""
    if isinstance(node, ast.Constant) and type(node.value) is float:
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        try:
            base, exponent = ast.literal_eval(node.left), ast.literal_eval(node.right)
        except ValueError:
            return 0.0
        return float(base**exponent) if exponent < 0 else 0.0
    return 0.0


def caught_everything(module: Module) -> Iterator[str]:
    """Handlers name what they expect; only what a user's own claim raises is not ours to name."""
    if module.name == "polygeom.claims.registry":
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = "BaseException" if node.type is None else ast.unparse(node.type)
            if {"Exception", "BaseException"} & set(re.findall(r"\w+", caught)):
                yield f"line {node.lineno}: catches {caught}"


def asserts_and_prints(module: Module) -> Iterator[str]:
    """User input is answered by exceptions of our own; only the command line prints."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assert):
            yield f"line {node.lineno}: assert"
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Name) and called.id == "print" and module.room != "__main__":
            yield f"line {node.lineno}: print"


def nameless(module: Module) -> Iterator[str]:
    """A module is named after what it knows."""
    yield from (f"a part called {part}" for part in module.name.split(".") if part in NAMELESS)


def too_long(module: Module) -> Iterator[str]:
    """A module fits in a head."""
    if module.lines > LONGEST_MODULE:
        yield f"{module.lines} lines, more than {LONGEST_MODULE}"


RULES: dict[Callable[[Module], Iterator[str]], str] = {
    relative_imports: "from .errors import InputError",
    heavy_imports: "import torch",
    small_floats: "close = gap < 1e-9",
    caught_everything: "try:\n    f()\nexcept (ValueError, Exception):\n    pass",
    asserts_and_prints: "assert x > 0",
}
MORE_OFFENSES = [
    (heavy_imports, "from scipy import optimize"),
    (heavy_imports, "from scipy.optimize import linprog"),
    (heavy_imports, "try:\n    import numba\nfinally:\n    pass"),
    (heavy_imports, "from polygeom.kernels import tableau"),
    (small_floats, "close = gap < -1e-9"),
    (small_floats, "close = gap < 2.0**-40"),
    (small_floats, "close = gap < np.finfo(float).eps"),
    (caught_everything, "try:\n    f()\nexcept:\n    pass"),
    (asserts_and_prints, "print(x)"),
]
FINE = [
    (heavy_imports, "def f():\n    import torch\n    return torch"),
    (heavy_imports, "if TYPE_CHECKING:\n    import torch"),
    (heavy_imports, "import scipy.sparse"),
    (small_floats, "half, zero, big = 0.5, 0.0, 2.0**53"),
    (caught_everything, "try:\n    f()\nexcept ValueError:\n    pass"),
]


@pytest.mark.parametrize(("rule", "line"), [*RULES.items(), *MORE_OFFENSES])
def test_a_rule_sees_what_it_forbids(rule, line):
    assert list(rule(Module("polygeom.example", ast.parse(line))))


@pytest.mark.parametrize(("rule", "line"), FINE)
def test_a_rule_lets_pass_what_is_fine(rule, line):
    assert not list(rule(Module("polygeom.example", ast.parse(line))))


@pytest.mark.parametrize("rule", [*RULES, nameless, too_long], ids=lambda rule: rule.__name__)
def test_the_library_keeps_the_rule(rule):
    offenses = [f"{module.name}: {offense}" for module in library().values() for offense in rule(module)]
    assert not offenses, "\n".join(offenses)


def test_the_picture_shows_the_rooms_that_are_there():
    assert set(floors()) == {module.room for module in library().values()}


def test_imports_go_strictly_downward():
    """Down a floor, or between siblings (the test below sees circles)."""
    offenses = [
        f"{module.name} (F{floors()[module.room]}) imports {target} (F{floors()[library()[target].room]})"
        for module in library().values()
        for target in own_imports(module)
        if floors()[library()[target].room] > floors()[module.room]
    ]
    assert not offenses, "\n".join(offenses)


def test_imports_have_no_circle():
    TopologicalSorter({module.name: own_imports(module) for module in library().values()}).prepare()


def test_the_checker_of_proofs_reaches_no_solver():
    """Whatever certificates.py imports, however deep and however late, is free of solvers."""
    reached, frontier = set(), {"polygeom.certificates"}
    while frontier:
        reached |= frontier
        frontier = set().union(*(own_imports(library()[name]) for name in frontier)) - reached
    loaded = {name for module in reached for name in imported(ast.walk(library()[module].tree))} | reached
    assert not {name for name in loaded if any(name == s or name.startswith(f"{s}.") for s in SOLVERS)}
