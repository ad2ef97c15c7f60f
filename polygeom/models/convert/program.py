"""A module as torch.export sees it: operations in order, with values and places, and its evaluation in float64."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import operator
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from polygeom.arrays import as_array
from polygeom.errors import ConversionError, InputError, NotPiecewiseAffineError

if TYPE_CHECKING:
    import torch

    Node: TypeAlias = torch.fx.Node

__all__ = [
    "Program",
    "TraceError",
    "digits",
    "in_float64",
    "is_getitem",
    "is_higher_order",
    "operation",
    "place",
    "places",
    "shape_of",
    "trace",
]

_LOGGERS = ("torch._subclasses.fake_tensor", "torch.fx.experimental.symbolic_shapes")

_DIGITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
"""Binary digits of the significand; every other float type has fewer."""

# What a forward pass on a tensor of a wrong shape or kind raises: torch's own errors are RuntimeErrors.
_FORWARD_ERRORS = (RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError)


class TraceError(ConversionError):
    """The module could not be run on a tensor of the given shape."""


@dataclass(frozen=True, eq=False)
class Program:
    """The graph of one module, its constants in float64, and where every operation stands.

    Attributes
    ----------
    nodes : tuple of torch.fx.Node
        Operations in execution order.
    constants : dict
        Placeholder nodes of parameters, buffers and literal tensors, with their value and name.
    input : torch.fx.Node
        The placeholder of the module's input.
    outputs : tuple
        What the module returns, flattened.
    """

    nodes: tuple[Node, ...]
    constants: dict[Node, tuple[torch.Tensor, str]]
    input: Node
    outputs: tuple[object, ...]

    @cached_property
    def computed(self) -> frozenset[Node]:
        """The nodes whose value depends on the module's input."""
        found = {self.input}
        for node in self.nodes:
            if any(n in found for n in node.all_input_nodes):
                found.add(node)
        return frozenset(found)

    @cached_property
    def parameters(self) -> dict[Node, torch.Tensor]:
        """The constants as float64 tensors, converted exactly on first use; integers as they are."""
        return {}

    def constant(self, node: Node) -> torch.Tensor:
        """Return a parameter, buffer or literal tensor in float64.

        Raises
        ------
        InputError
            If it has no values, or they are NaN or infinite.
        """
        import torch

        if node not in self.parameters:
            tensor, name = self.constants[node]
            if tensor.is_meta:
                raise InputError(f"The parameter '{name}' is on the meta device and has no values.")
            tensor = tensor.detach().cpu()
            if tensor.is_floating_point():
                tensor = tensor.to(torch.float64, copy=True)
                as_array(tensor, f"the parameter '{name}'")
            self.parameters[node] = tensor
        return self.parameters[node]

    def evaluate(self, node: Node, value: object) -> object:
        """Run one operation in float64; `value` maps its argument nodes to tensors."""
        import torch

        def double(item: object) -> object:
            if isinstance(item, torch.fx.Node):
                return value(item)
            return in_float64(item)

        arguments = torch.fx.node.map_aggregate((node.args, dict(node.kwargs)), double)
        with torch.no_grad(), _default_float64():
            return node.target(*arguments[0], **arguments[1])

    def run(self, start: Node, x: torch.Tensor, needed: list[Node]) -> Iterator[tuple[Node, object]]:
        """Run the needed operations in float64 from the value of `start`; yield every node and its value."""
        values = {start: x}

        def value(node: Node) -> object:
            if node not in values:
                values[node] = self.constant(node)
            return values[node]

        yield start, x
        for node in needed:
            values[node] = self.evaluate(node, value)
            yield node, values[node]


def in_float64(item: object) -> object:
    """Return an argument of an operation, float types and devices replaced by float64 on the CPU."""
    import torch

    if isinstance(item, torch.dtype) and item.is_floating_point:
        return torch.float64
    return torch.device("cpu") if isinstance(item, torch.device) else item


@contextlib.contextmanager
def _default_float64() -> Iterator[None]:
    """Let factories without a dtype (`torch.full`) make float64."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def place(node: Node) -> tuple[str, int]:
    """Return the dotted path of the innermost module an operation stands in, and which call of it this is."""
    stack = list((node.meta.get("nn_module_stack") or {}).items())
    return _entry(*stack[-1]) if stack else ("", 0)


def places(node: Node) -> list[tuple[str, int]]:
    """Return path and call of every module around an operation, outermost first."""
    return [_entry(*item) for item in (node.meta.get("nn_module_stack") or {}).items()]


def _entry(key: str, entry: tuple[str, object]) -> tuple[str, int]:
    # torch.export marks the second and later calls of a module in the key: "L__self__block.relu@1"
    call = key.rpartition("@")[2] if "@" in key else "0"
    return entry[0], int(call)


def operation(node: Node) -> str:
    """Return the name of an operation as its user wrote it ("local_response_norm" for each of its parts)."""
    written = str((node.meta.get("torch_fn") or ("", ""))[1]).rpartition(".")[2]
    schema = getattr(node.target, "_schema", None)
    own = schema.name.partition("::")[2] if schema else getattr(node.target, "__name__", "?")
    public = written and not written.startswith("__") and written != "default"
    return (written if public else own).strip("_")


def trace(module: torch.nn.Module, example: torch.Tensor) -> Program:
    """Return the program of a module on an example.

    The graph is lowered as torch.export records it, before decompositions; only a graph that writes in place is
    made functional first (with an empty table of decompositions).

    Raises
    ------
    TraceError
        If the module cannot run on the example.
    NotPiecewiseAffineError
        If its control flow depends on the data.
    """
    import torch
    from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

    with _quiet(), _track(module) as running:
        try:
            with torch.no_grad():
                exported = torch.export.export(module, (example,), strict=False)
            if any(_writes(node) for node in exported.graph.nodes):
                exported = exported.run_decompositions({})
        except GuardOnDataDependentSymNode:
            reason = "which operations run depends on the values of the input"
            raise NotPiecewiseAffineError("data-dependent control flow", running[-1], reason) from None
        except _FORWARD_ERRORS as error:
            where = f" in module '{running[-1]}'" if running and running[-1] else ""
            text = str(error).strip().partition("\n")[0]
            shape = tuple(example.shape)
            raise TraceError(f"on a tensor of shape {shape}: {type(error).__name__}{where}: {text}") from None
    return _program(exported)


def _program(exported: torch.export.ExportedProgram) -> Program:
    from torch.export.graph_signature import InputKind

    nodes = {node.name: node for node in exported.graph.nodes if node.op == "placeholder"}
    constants, inputs = {}, []
    for spec in exported.graph_signature.input_specs:
        node = nodes[spec.arg.name]
        if spec.kind == InputKind.USER_INPUT:
            inputs.append(node)
            continue
        held = exported.state_dict if spec.target in exported.state_dict else exported.constants
        constants[node] = (held[spec.target], spec.target)
    output = next(node for node in exported.graph.nodes if node.op == "output")
    operations = tuple(node for node in exported.graph.nodes if node.op not in ("placeholder", "output"))
    # In-place writes to buffers are returned before what the module returns.
    outputs = tuple(output.args[0])[-len(exported.graph_signature.user_outputs) :]
    return Program(operations, constants, inputs[0], outputs)


def _writes(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return bool(schema and schema.is_mutable)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from printing and logging what is caught here and said in our own words."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.disabled for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.disabled = True
            yield
        finally:
            for logger, disabled in zip(loggers, before, strict=True):
                logger.disabled = disabled


@contextlib.contextmanager
def _track(module: torch.nn.Module) -> Iterator[list[str]]:
    """Keep the paths of the modules that are running; after an error the last one is where it happened."""
    import torch

    names = {id(m): name for name, m in module.named_modules()}
    running: list[str] = [""]

    def enter(m: torch.nn.Module, _: object) -> None:
        running.append(names.get(id(m), running[-1]))

    def leave(m: torch.nn.Module, _: object, __: object) -> None:
        running.pop()

    hooks = torch.nn.modules.module
    handles = hooks.register_module_forward_pre_hook(enter), hooks.register_module_forward_hook(leave)
    try:
        yield running
    finally:
        for handle in handles:
            handle.remove()


def is_getitem(node: Node) -> bool:
    """Whether a node picks one of several results."""
    return node.target is operator.getitem


def is_higher_order(node: Node) -> bool:
    """Whether a node runs other graphs: a branch, a loop, a context such as autocast."""
    import torch

    return isinstance(node.target, torch._ops.HigherOrderOperator)


def digits(node: Node) -> int:
    """Return the binary digits of the float type a node is traced in, 0 if it holds no floats."""
    dtype = getattr(node.meta.get("val"), "dtype", None)
    if dtype is None or not dtype.is_floating_point:
        return 0
    return _DIGITS.get(str(dtype).removeprefix("torch."), 1)


def shape_of(node: Node) -> tuple[int, ...]:
    """Return the traced shape of a node's value.

    Raises
    ------
    NotPiecewiseAffineError
        If the shape depends on the data, or the value is not one tensor.
    """
    value = node.meta.get("val")
    shape = tuple(getattr(value, "shape", (math.nan,)))
    if not all(isinstance(n, int) for n in shape):
        raise NotPiecewiseAffineError(
            operation(node), place(node)[0], "the shape of its result depends on data"
        )
    return shape
