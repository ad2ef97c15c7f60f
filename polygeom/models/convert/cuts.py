"""Cutting a sub-network out of a program: from the input of one module's call to the output of another's."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from polygeom.errors import ConversionError, InputError
from polygeom.models.convert.program import Program, place, places

if TYPE_CHECKING:
    import torch

    Node: TypeAlias = torch.fx.Node

__all__ = ["cut"]


def cut(program: Program, start: str | None, stop: str | None) -> tuple[Node, Node, list[Node]]:
    """Return the value a sub-network starts from, the value it ends with, and the operations between.

    Only operations that the end depends on are returned, in execution order: dead branches and everything
    before the start are left out.

    Raises
    ------
    InputError
        If a name is unknown, or a module called several times is named without its call index.
    ConversionError
        If more than one computed value enters `start`, leaves `stop`, or crosses the cut.
    """
    end = _output(program) if stop is None else _leaving(program, _operations(program, stop, "stop"), stop)
    behind = _ancestors(end, program.input)
    if start is None:
        begin = program.input
    else:
        begin = _entering(program, _operations(program, start, "start"), start, behind | {end})
    needed = _ancestors(end, begin) | ({end} if end is not begin else set())
    if start is not None:
        _refuse_crossings(program, needed, begin, end, start)
    nodes = [n for n in program.nodes if n in needed]
    return begin, end, nodes


def _operations(program: Program, name: str, role: str) -> list[Node]:
    """Return the operations inside one call of a module named "path" or "path:index"."""
    calls: dict[tuple[str, int], list[Node]] = {}
    for node in program.nodes:
        for at in places(node):
            calls.setdefault(at, []).append(node)
    path, colon, index = name.partition(":")
    indices = sorted(call for at, call in calls if at == path)
    if not indices or not path:
        known = sorted({at for at, _ in calls if at})
        close = difflib.get_close_matches(path, known, n=3) or known[:10]
        raise InputError(
            f"{role}={name!r} names no module with operations of its own in this network "
            f"(an Identity has none). Did you mean {', '.join(map(repr, close)) or 'no name at all'}?"
        )
    if not colon and len(indices) > 1:
        options = ", ".join(repr(f"{path}:{i}") for i in indices)
        raise InputError(
            f"{role}={name!r}: that module is called {len(indices)} times; say which: {options}."
        )
    if colon and (not index.isdecimal() or int(index) not in indices):
        raise InputError(
            f"{role}={name!r}: wanted a call index out of {indices}, as in '{path}:{indices[0]}'."
        )
    return calls[path, int(index) if colon else indices[0]]


def _output(program: Program) -> Node:
    if len(program.outputs) != 1 or not hasattr(program.outputs[0], "meta"):
        raise ConversionError(
            f"The module returns {len(program.outputs)} values, wanted one tensor. "
            "Name the module that makes the wanted one with stop=, or wrap the module to return only that."
        )
    return program.outputs[0]


def _leaving(program: Program, inside: list[Node], name: str) -> Node:
    """Return the one computed value that a module's call hands to the rest of the network."""
    own = set(inside)
    used = [n for n in inside if n in program.computed and any(user not in own for user in n.users)]
    if len(used) != 1:
        raise ConversionError(
            f"stop={name!r}: {len(used)} computed values leave that module and are used later, wanted one."
        )
    return used[0]


def _entering(program: Program, inside: list[Node], name: str, reached: set[Node]) -> Node:
    """Return the one computed value that enters a module's call."""
    own = set(inside)
    read = [
        a for n in inside if n in reached for a in n.all_input_nodes if a in program.computed and a not in own
    ]
    values = list(dict.fromkeys(read))
    if not values:
        raise ConversionError(f"The output does not depend on what enters start={name!r}.")
    if len(values) > 1:
        raise ConversionError(
            f"start={name!r}: {len(values)} computed values enter that module ({_named(values)}), wanted one. "
            "Start where they come from one value."
        )
    return values[0]


def _ancestors(end: Node, begin: Node) -> set[Node]:
    """Return the nodes that `end` depends on, stopping at `begin`, both left out."""
    found, stack = set(), [end]
    while stack:
        node = stack.pop()
        for argument in node.all_input_nodes if node is not begin else ():
            if argument not in found and argument is not begin:
                found.add(argument)
                stack.append(argument)
    return found


def _refuse_crossings(program: Program, needed: set[Node], begin: Node, end: Node, name: str) -> None:
    after = {begin}
    for node in program.nodes:
        if node in needed and any(a in after for a in node.all_input_nodes):
            after.add(node)
    if end not in after:
        raise ConversionError(f"The output does not depend on what enters start={name!r}: is it after stop=?")
    crossing = [
        a
        for node in program.nodes
        if node in after and node is not begin
        for a in node.all_input_nodes
        if a in program.computed and a not in after
    ]
    if crossing:
        raise ConversionError(
            f"start={name!r} does not cut the network: besides the value entering it, "
            f"{_named(dict.fromkeys(crossing))} is used later. "
            "Start before the values part (where the skip connection begins) or after they meet."
        )


def _named(nodes: Iterable[Node]) -> str:
    """Return the places where values are made, for an error message."""
    words = []
    for node in nodes:
        path = place(node)[0]
        if node.op == "placeholder":
            words.append("the network's input")
        else:
            words.append(f"the value '{node.name}' of " + (f"module '{path}'" if path else "the top level"))
    return " and ".join(words)
