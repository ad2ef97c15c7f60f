"""Lowering the operations of a torch program, one by one, onto a `GraphBuilder`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from polygeom.errors import InputError, NotPiecewiseAffineError
from polygeom.models.convert.arithmetic import UNKNOWN, NotAffineError
from polygeom.models.convert.layout import BatchMixedError, Traced
from polygeom.models.convert.lowering import GraphBuilder
from polygeom.models.convert.program import (
    Program,
    digits,
    in_float64,
    is_getitem,
    is_higher_order,
    operation,
    place,
)
from polygeom.models.convert.torch_ops import HANDLERS, IDENTITIES, MOVES, training_message

if TYPE_CHECKING:
    import torch

    Node: TypeAlias = torch.fx.Node

__all__ = ["lower"]


def lower(program: Program, builder: GraphBuilder, begin: Node, nodes: list[Node]) -> dict[Node, object]:
    """Append the steps of every operation; return what each node became: `Traced`, constant or tuple.

    Raises
    ------
    NotPiecewiseAffineError
        Naming the first operation on computed values that is not piecewise affine, and its module.
    """
    values: dict[Node, object] = {begin: builder.input}
    working = min(digits(begin), digits(program.input))

    def value(node: Node) -> object:
        if node not in values:
            values[node] = program.constant(node)
        return values[node]

    for node in nodes:
        if node in values or node.op == "get_attr":  # the body of a higher-order operator, refused below
            continue
        builder.path, builder.call = place(node)
        if is_higher_order(node):
            reason = "polygeom does not look into branches, loops and contexts"
            raise NotPiecewiseAffineError(operation(node), builder.path, reason)
        _refuse_rounding(node, working)
        if any(isinstance(v, Traced | tuple | list) for v in map(value, node.all_input_nodes)):
            values[node] = _lowered(builder, node, value)
        else:
            values[node] = program.evaluate(node, value)
    return values


def _lowered(builder: GraphBuilder, node: Node, value: Callable[[Node], object]) -> object:
    """Return what one operation on computed values becomes, errors with its name and place."""
    import torch

    path, name = builder.path, operation(node)
    try:
        arguments, keywords = torch.fx.node.map_arg((node.args, dict(node.kwargs)), value)
        if is_getitem(node):
            return _item(*arguments)
        schema = getattr(node.target, "_schema", None)
        own = schema.name.removeprefix("aten::") if schema else ""
        if own in IDENTITIES or own in MOVES:
            _refuse_impure(node, own, arguments, keywords)
            return arguments[0] if own in IDENTITIES else _move(builder, node, arguments, keywords)
        if own not in HANDLERS and "dropout" in name:
            raise InputError(training_message(name, path))
        if own not in HANDLERS:
            raise NotAffineError(UNKNOWN)
        if not _fits(HANDLERS[own], builder, arguments, keywords):
            raise NotAffineError(f"the form {node.target} of it is not supported")
        return HANDLERS[own](builder, *arguments, **keywords)
    except NotAffineError as error:
        raise NotPiecewiseAffineError(name, path, str(error)) from None
    except BatchMixedError as error:
        where = f"in module '{path}'" if path else "at the top level of the module"
        raise BatchMixedError(f"{name} {where} {error}. Wanted a function of one input.") from None


def _item(results: tuple[object, ...], index: int) -> object:
    """Return one of several results; what no network can hold was left as None."""
    if results[index] is None:
        raise NotAffineError("the indices of a maximum are no continuous function of the input")
    return results[index]


def _refuse_impure(node: Node, own: str, arguments: tuple, keywords: dict[str, Any]) -> None:
    """Refuse the forms of moving operations that do more than move: rounding, adding up."""
    made = node.meta.get("val")
    tensors = made if isinstance(made, tuple | list) else (made,)
    constant = own.startswith("new_") or own.endswith("_like")
    if not constant and not all(t.is_floating_point() for t in tensors):
        raise NotAffineError("converting to integers is not continuous")
    if own == "index_put" and (*arguments[3:], keywords.get("accumulate", False))[0]:
        raise NotAffineError("adding into entries by index is not supported")


def _refuse_rounding(node: Node, working: int) -> None:
    """Refuse an operation that makes floats of fewer digits than it reads, and than the module works with."""
    made, read = digits(node), max((digits(n) for n in node.all_input_nodes), default=0)
    if 0 < made < min(working, read):
        dtype = str(node.meta["val"].dtype).removeprefix("torch.")
        reason = f"a cast to {dtype} rounds the module's values, and rounding is not continuous"
        raise NotPiecewiseAffineError(operation(node), place(node)[0], reason)


def _fits(
    handler: Callable[..., object], builder: GraphBuilder, arguments: tuple, keywords: dict[str, Any]
) -> bool:
    """Whether a handler takes these arguments."""
    try:
        inspect.signature(handler).bind(builder, *arguments, **keywords)
    except TypeError:
        return False
    return True


def _move(builder: GraphBuilder, node: Node, arguments: tuple, keywords: dict[str, Any]) -> object:
    """Return what an operation that only moves entries makes of its computed arguments."""
    import torch

    computed: list[Traced] = []

    def collect(item: object) -> object:
        if isinstance(item, Traced):
            computed.append(item)
        return in_float64(item)

    given = _mapped((arguments, keywords), collect)

    def run(*arrays: np.ndarray) -> object:
        tensors = iter([torch.from_numpy(np.array(a)) for a in arrays])
        positional, named = _mapped(given, lambda item: next(tensors) if isinstance(item, Traced) else item)
        result = node.target(*positional, **named)
        return result.numpy() if isinstance(result, torch.Tensor) else [r.numpy() for r in result]

    def constant(item: Traced | np.ndarray) -> object:
        return item if isinstance(item, Traced) else torch.from_numpy(np.array(item))

    made = builder.move(computed, run)
    return tuple(map(constant, made)) if isinstance(made, tuple) else constant(made)


def _mapped(item: Any, function: Callable[[Any], Any]) -> Any:
    """Apply a function to every leaf of nested lists, tuples and dicts."""
    if isinstance(item, list | tuple):
        return type(item)(_mapped(part, function) for part in item)
    if isinstance(item, dict):
        return {key: _mapped(part, function) for key, part in item.items()}
    return function(item)
