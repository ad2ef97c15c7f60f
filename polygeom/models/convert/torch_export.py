"""From a torch module to a Network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from polygeom.errors import ConversionError, InputError
from polygeom.models.convert.check import checked_network, keeps_rows_apart
from polygeom.models.convert.cuts import cut
from polygeom.models.convert.layout import BatchMixedError, Traced
from polygeom.models.convert.lowering import GraphBuilder
from polygeom.models.convert.program import Program, TraceError, is_higher_order, shape_of, trace
from polygeom.models.convert.torch_lowering import lower
from polygeom.network import Network

if TYPE_CHECKING:
    import torch

    Node: TypeAlias = torch.fx.Node

__all__ = ["from_torch"]


def from_torch(
    module: torch.nn.Module, example_input: object, start: str | None = None, stop: str | None = None
) -> Network:
    """Return the piecewise-affine network of a torch module in eval mode.

    The module is traced by torch.export; every operation must be affine or piecewise linear in the values
    computed from the input. Parameters are converted to float64 exactly; batch normalization is folded once in
    float64; a division by a constant multiplies by its rounded reciprocal. Constant branches are folded,
    branches that do not reach the output are left out, whatever they hold.

    Casts between float types are the identity, as long as they keep the module's own precision, that of the
    example (`.float()` in a float32 module, `.double()` anywhere); a cast to fewer digits rounds and is refused.

    Parameters
    ----------
    module : torch.nn.Module
        In eval mode, of any float dtype.
    example_input : array or tensor
        Only its shape matters: the whole module's input, with the batch axis first. (n,) is one input. Where
        the module runs on no batch of such rows, or keeps apart a batch of such examples rather than their rows,
        the example is taken as one input without a batch axis; `Network.input_shape` tells. A module that mixes
        the rows of a batch (a mean over the batch) is no function of one input and is refused.
    start, stop : str, optional
        Dotted names of submodules: the network from the input of `start` to the output of `stop`, inclusive.
        "name:1" is the second call of a module that is called several times. What lies outside may be anything.

    Returns
    -------
    Network
        Checked against the module, operation by operation, on random batches of two and of one
        (`polygeom.models.convert.check`).

    Raises
    ------
    NotPiecewiseAffineError
        Naming the first operation that is not piecewise affine, and its module.
    InputError
        If the module or one of its submodules is in training mode, holds NaN or infinities, does not accept the
        example, or a name is unknown.
    ConversionError
        If the module mixes the rows of a batch or computes with their number (naming the operation or step and
        its module), the cut is crossed by a second value, the module returns several tensors, or the check fails.

    Examples
    --------
    >>> import torch
    >>> layers = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> from_torch(layers.eval(), torch.zeros(1, 2))
    Network(R^2 -> R^1, 3 units (relu), 3 steps)
    >>> from_torch(layers, torch.zeros(1, 2), stop="1").output_shape
    (3,)
    """
    _refuse_arguments(module, start, stop)
    example = _example(module, example_input)
    own = tuple(example.shape)
    untraced: dict[str, None] = {}
    mixed: list[str] = []
    readings = _readings(own)
    while readings:
        shape, batch, axis = readings.pop(0)
        try:
            part = _part(module, example.new_zeros(shape), start, stop)
        except TraceError as error:
            untraced[str(error)] = None
            continue
        try:
            builder, values = _lowered(part, batch, axis)
        except BatchMixedError as error:
            mixed.append(str(error))
            if len(own) > 1 and shape == (2, *own[1:]):
                readings = _readings_of_mixed_rows(own, _keeps_rows_apart(part, stop, own[1:]))
            continue
        alone = None
        if batch == 2:
            alone = _alike(module, example.new_zeros((1, *shape[1:])), part, (start, stop))
        return _checked(part, builder, values, alone)
    if mixed:
        raise ConversionError(mixed[0])
    raise InputError(
        f"The module does not run on an input like the example, of shape {own}. "
        f"Tried {'; '.join(untraced)}. {_advice(module)}"
    )


def _advice(module: torch.nn.Module) -> str:
    """Return what may help where a module does not run."""
    import torch

    if any(isinstance(part, torch.nn.Embedding) for part in module.modules()):
        return (
            "It looks up embeddings, and numbers of tokens are no real numbers: convert what comes behind them as "
            "a module of its own. Of a transformer, models.adapters.mlp_block(model, i) takes one MLP."
        )
    return "Give an example of the whole module's input, with a batch axis first."


def _refuse_arguments(module: object, start: object, stop: object) -> None:
    """Refuse what is no module in eval mode, and names that are no strings."""
    import torch

    if not isinstance(module, torch.nn.Module):
        raise InputError(f"from_torch got a {type(module).__name__}, wanted a torch.nn.Module.")
    for role, name in (("start", start), ("stop", stop)):
        if not isinstance(name, str | None):
            raise InputError(f"{role}={name!r}: wanted the dotted name of a submodule, a string.")
    reason = "where dropout and batch normalization are not functions of one input. Call module.eval() first"
    if module.training:
        raise InputError(f"The module is in training mode, {reason}.")
    for path, inner in module.named_modules():
        if inner.training:
            raise InputError(
                f"The submodule '{path}' ({type(inner).__name__}) is in training mode, {reason}: the module "
                "around it is in eval mode already, so something switched this one back, or added it later."
            )


def _example(module: torch.nn.Module, example: object) -> torch.Tensor:
    """Return a tensor of the example's shape in the module's own dtype, on its device."""
    import torch

    if isinstance(example, tuple) and len(example) == 1:
        example = example[0]
    if isinstance(example, tuple | dict) and any(isinstance(e, torch.Tensor) for e in _parts(example)):
        raise InputError(
            f"example_input holds {len(example)} tensors; a network has one input. "
            "Wrap the module so that it takes one tensor."
        )
    if not isinstance(example, torch.Tensor):
        array = np.asarray(example)
        if array.dtype.kind not in "biuf":
            raise InputError(f"example_input has dtype {array.dtype}, wanted an array of real numbers.")
        example = torch.zeros(array.shape)
    if not example.numel():
        raise InputError(f"example_input has shape {tuple(example.shape)}: it holds no entry.")
    held = [t for t in (*module.parameters(), *module.buffers()) if t.is_floating_point()]
    fits = example.is_floating_point() and (not held or any(t.dtype == example.dtype for t in held))
    dtype = example.dtype if fits else held[0].dtype if held else torch.get_default_dtype()
    return torch.zeros(example.shape, dtype=dtype, device=held[0].device if held else example.device)


def _parts(example: tuple | dict) -> Sequence[object]:
    return tuple(example.values()) if isinstance(example, dict) else example


def _readings(shape: tuple[int, ...]) -> list[tuple[tuple[int, ...], int, int | None]]:
    """Return the ways to read an example, most likely first: (traced shape, number of inputs, batch axis).

    Two inputs rather than one, so that what mixes them shows.
    """
    rows, single = ((2, *shape[1:]), 2, 0), ((2, *shape), 2, 0)
    if len(shape) < 2:
        return [single, (shape, 1, None)]
    return list(dict.fromkeys([rows, single, (shape, shape[0], 0), (shape, 1, None)]))


def _readings_of_mixed_rows(
    shape: tuple[int, ...], apart: bool
) -> list[tuple[tuple[int, ...], int, int | None]]:
    """Return the readings left after the layout of two rows was lost on the way.

    The network of a single row is the module's only if the rows are independent of each other all the same (a
    loop over the rows, a cut where the batch is not the first axis). If they are not, the rows may be parts of
    one input (the channels of an image without batch axis), but not where there is only one.
    """
    single, one = (2, *shape), (1, *shape[1:])
    if apart:
        return [(one, 1, 0), (one, 1, None)]
    return [(single, 2, 0)] if shape[0] > 1 else []


def _keeps_rows_apart(part: _Part, stop: str | None, shape: tuple[int, ...]) -> bool:
    """Whether the module up to a value treats the two rows of a batch alike and one by one."""
    import torch

    program, _, end, _ = part
    _, _, nodes = cut(program, None, stop)
    if any(is_higher_order(node) for node in nodes):
        return False

    def run(x: np.ndarray) -> np.ndarray:
        return dict(program.run(program.input, torch.from_numpy(x), nodes))[end].numpy()

    return keeps_rows_apart(run, shape)


class _Part(NamedTuple):
    """A traced module, and the operations between two of its values."""

    program: Program
    begin: Node
    end: Node
    nodes: list[Node]


def _part(module: torch.nn.Module, example: torch.Tensor, start: str | None, stop: str | None) -> _Part:
    program = trace(module, example)
    return _Part(program, *cut(program, start, stop))


def _alike(
    module: torch.nn.Module, example: torch.Tensor, part: _Part, names: tuple[str | None, str | None]
) -> _Part | None:
    """Return the same part traced on another batch, None where the module does not run there or runs otherwise."""
    try:
        other = _part(module, example, *names)
    except (ConversionError, InputError):
        return None
    same = [node.target for node in other.nodes] == [node.target for node in part.nodes]
    return other if same and shape_of(other.begin) == (1, *shape_of(part.begin)[1:]) else None


def _lowered(part: _Part, batch: int, axis: int | None) -> tuple[GraphBuilder, dict[Node, object]]:
    """Lower the operations between two values."""
    shape = shape_of(part.begin)
    if axis is not None and (not shape or shape[0] != batch):
        raise BatchMixedError(f"The value entering the cut has shape {shape}, without the batch axis first.")
    builder = GraphBuilder(shape, batch, axis)
    return builder, lower(part.program, builder, part.begin, part.nodes)


def _checked(part: _Part, builder: GraphBuilder, values: dict[Node, object], alone: _Part | None) -> Network:
    """Return the network, checked against the operations and, where traced, those on a batch of one."""
    import torch

    def run(x: np.ndarray) -> Iterator[tuple[Traced, np.ndarray]]:
        traced = part if alone is None or x.shape == builder.input.shape else alone
        whole, (program, begin, _, nodes) = traced is part, traced
        results = program.run(begin, torch.from_numpy(x), nodes)
        for node, (_, result) in zip((part.begin, *part.nodes), results, strict=True):
            value = values.get(node)
            if isinstance(value, Traced):
                value = value if whole else _of_one(value)
                if whole or result.shape == value.shape:  # a batch of one may have lost its axis (squeeze)
                    yield value, result.numpy()

    others = [] if alone is None else [shape_of(alone.begin)]
    return checked_network(builder, values.get(part.end), run, others=others)


def _of_one(value: Traced) -> Traced:
    """Return the layout of the tensor on a batch of one."""
    shape = tuple(value.fold if a == value.axis else n for a, n in enumerate(value.shape))
    return replace(value, shape=shape, batch=1)
