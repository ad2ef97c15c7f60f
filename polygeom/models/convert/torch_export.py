"""From a torch module to a Network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

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
        Checked against the module, operation by operation, on random inputs (`polygeom.models.convert.check`).

    Raises
    ------
    NotPiecewiseAffineError
        Naming the first operation that is not piecewise affine, and its module.
    InputError
        If the module or one of its submodules is in training mode, holds NaN or infinities, does not accept the
        example, or a name is unknown.
    ConversionError
        If the module mixes the rows of a batch (naming the operation and its module), the cut is crossed by a
        second value, the module returns several tensors, or the check fails.

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
            program = trace(module, example.new_zeros(shape))
        except TraceError as error:
            untraced[str(error)] = None
            continue
        begin, end, nodes = cut(program, start, stop)
        try:
            return _convert(program, begin, end, nodes, (batch, axis))
        except BatchMixedError as error:
            mixed.append(str(error))
            if len(own) > 1 and shape == (2, *own[1:]):
                readings = _readings_of_mixed_rows(own, _keeps_rows_apart(program, end, stop, own[1:]))
    if mixed:
        raise ConversionError(mixed[0])
    raise InputError(
        f"The module does not run on an input like the example, of shape {own}. "
        f"Tried {'; '.join(untraced)}. Give an example of the whole module's input, with a batch axis first."
    )


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


def _keeps_rows_apart(program: Program, end: Node, stop: str | None, shape: tuple[int, ...]) -> bool:
    """Whether the module up to a value treats the two rows of a batch alike and one by one."""
    import torch

    _, _, nodes = cut(program, None, stop)
    if any(is_higher_order(node) for node in nodes):
        return False

    def run(x: np.ndarray) -> np.ndarray:
        return dict(program.run(program.input, torch.from_numpy(x), nodes))[end].numpy()

    return keeps_rows_apart(run, shape)


def _convert(
    program: Program, begin: Node, end: Node, nodes: list[Node], batch: tuple[int, int | None]
) -> Network:
    """Lower the operations between two values and check the result against them."""
    import torch

    shape = shape_of(begin)
    if batch[1] is not None and (not shape or shape[0] != batch[0]):
        raise BatchMixedError(f"The value entering the cut has shape {shape}, without the batch axis first.")
    builder = GraphBuilder(shape, *batch)
    values = lower(program, builder, begin, nodes)

    def run(x: np.ndarray) -> Iterator[tuple[Traced, np.ndarray]]:
        for node, result in program.run(begin, torch.from_numpy(x), nodes):
            value = values.get(node)
            if isinstance(value, Traced):
                yield value, result.numpy()

    return checked_network(builder, values.get(end), run)
