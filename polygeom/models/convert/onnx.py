"""From an ONNX file to a Network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polygeom.errors import ConversionError, InputError, MissingPackageError, NotPiecewiseAffineError
from polygeom.models.convert.arithmetic import UNKNOWN, NotAffineError
from polygeom.models.convert.check import checked_network, keeps_rows_apart
from polygeom.models.convert.layout import BatchMixedError, Traced
from polygeom.models.convert.lowering import GraphBuilder
from polygeom.models.convert.onnx_ops import HANDLERS, MOVES
from polygeom.network import Network

if TYPE_CHECKING:
    import onnx

__all__ = ["from_onnx"]

_FLOATS = {1: np.float32, 11: np.float64}


def from_onnx(path: str | os.PathLike[str]) -> Network:
    """Return the piecewise-affine network of an ONNX file.

    Constants are folded by ONNX's reference evaluator in the file's own precision; everything computed from the
    input is exact for the resulting parameters in float64. Needs the package onnx.

    Parameters
    ----------
    path : path
        A model with one input and one output; the first axis of the input is the batch, of any fixed size or
        free. Every other axis must have a fixed size. Where a fixed first axis turns out to be no batch (the
        model mixes its rows), the model is a function of all of it; `Network.input_shape` tells.

    Returns
    -------
    Network
        Checked against `onnx.reference.ReferenceEvaluator`, operation by operation, on random inputs. Units
        carry the name of their node (of its output where the node has none) as their path.

    Raises
    ------
    NotPiecewiseAffineError
        Naming the first operator that is not piecewise affine, and its node.
    InputError
        If the file is missing, is no ONNX model, or its input is not one float tensor of fixed shape.
    ConversionError
        If the model mixes the rows of a free batch, or the network disagrees with the reference evaluator.

    Examples
    --------
    >>> import tempfile
    >>> import onnx.parser
    >>> text = '<ir_version: 8, opset_import: ["" : 17]> g (float[1, 2] x) => (float[1, 2] y) { y = Relu(x) }'
    >>> with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
    ...     onnx.save(onnx.parser.parse_model(text), file.name)
    ...     net = from_onnx(file.name)
    >>> net([1, -1])
    array([1., 0.])
    """
    model = _Model(_load(path))
    size, shape = model.input_shape
    failures = []
    for batch, axis in [(size, 0), (1, None)] if size else [(2, 0), (1, 0)]:
        try:
            return _convert(model, (size or batch, *shape), batch, axis)
        except BatchMixedError as error:
            failures.append(error)
            if not size and model.mixes_rows():
                break
    raise ConversionError(str(failures[0]))


def _load(path: str | os.PathLike[str]) -> onnx.ModelProto:
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise MissingPackageError("from_onnx", "onnx", extra="onnx") from None
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"from_onnx got a {type(path).__name__}, wanted the path of an ONNX file.")
    if not os.path.isfile(path):
        raise InputError(f"There is no file {os.fspath(path)!r}; wanted an ONNX model.")
    try:
        model = onnx.load(path, format="protobuf")
    except DecodeError:
        raise InputError(f"{os.fspath(path)!r} is not an ONNX model: it cannot be decoded.") from None
    _check(model, os.fspath(path))
    return model


def _check(model: onnx.ModelProto, path: str) -> None:
    """Let ONNX's checker and its inference of shapes judge the model, but for the types its outputs declare.

    Exporters leave these out, and nothing here reads them. The checker takes no more bytes than one message of
    protobuf may have.

    Raises
    ------
    InputError
        If the model is no valid one, as those of damaged files are not.
    """
    from onnx.checker import MAXIMUM_PROTOBUF, ValidationError, check_model
    from onnx.shape_inference import InferenceError

    if model.ByteSize() >= MAXIMUM_PROTOBUF:
        return
    outputs = list(model.graph.output)
    del model.graph.output[:]
    try:
        check_model(model, full_check=True)
    except (ValidationError, InferenceError, ValueError) as error:  # ValueError: no text, or no such type
        raise InputError(
            f"{path!r} is not a valid ONNX model: {str(error).strip().splitlines()[0].removesuffix('.')}. "
            "Likely cause: the file was damaged, or made by hand."
        ) from None
    model.graph.output.extend(outputs)


@dataclass(frozen=True, eq=False)
class _Model:
    """An ONNX model with its single input and output."""

    proto: onnx.ModelProto

    def __post_init__(self) -> None:
        held = {t.name for t in self.proto.graph.initializer}
        inputs = [i for i in self.proto.graph.input if i.name not in held]
        for kind, values in (("inputs", inputs), ("outputs", self.proto.graph.output)):
            if len(values) != 1:
                names = ", ".join(v.name for v in values)
                raise InputError(f"The ONNX model has {len(values)} {kind} ({names}), wanted one.")
        made = (
            {i.name for i in inputs} | held | {out for node in self.proto.graph.node for out in node.output}
        )
        if self.output not in made:
            raise InputError(f"No node of the ONNX model makes its output {self.output!r}.")
        object.__setattr__(self, "input", inputs[0])

    @property
    def output(self) -> str:
        return self.proto.graph.output[0].name

    @property
    def dtype(self) -> type:
        """The numpy type of the input."""
        kind = self.input.type.tensor_type.elem_type
        if kind not in _FLOATS:
            raise InputError(
                f"The ONNX model's input has element type {kind}, wanted float (1) or double (11)."
            )
        return _FLOATS[kind]

    @property
    def input_shape(self) -> tuple[int, tuple[int, ...]]:
        """The batch size, 0 where it is free, and the shape of one input."""
        dims = [d.dim_value for d in self.input.type.tensor_type.shape.dim]
        if not dims or not all(dims[1:]):
            raise InputError(
                f"The ONNX model's input '{self.input.name}' has shape {dims} (0: free), wanted fixed sizes "
                "after the first axis. Export the model with a fixed input shape."
            )
        return dims[0], tuple(dims[1:])

    @property
    def opsets(self) -> dict[str, int]:
        return {o.domain: o.version for o in self.proto.opset_import}

    def needed(self) -> list[onnx.NodeProto]:
        """Return the nodes the output depends on, in execution order."""
        wanted, found = {self.output}, []
        for node in reversed(self.proto.graph.node):
            if wanted & set(node.output):
                wanted |= set(node.input)
                found.append(node)
        return found[::-1]

    def attributes(self, node: onnx.NodeProto) -> dict[str, object]:
        """Return the attributes of a node of ONNX's own domain, defaults included."""
        from onnx import defs, helper

        known = defs.get_schema(
            node.op_type, self.opsets.get("", self.opsets.get("ai.onnx", 1)), ""
        ).attributes
        found = [a.default_value for a in known.values() if a.default_value.name] + list(node.attribute)
        return {a.name: helper.get_attribute_value(a) for a in found}

    def evaluate(self, node: onnx.NodeProto, inputs: list[np.ndarray | None]) -> list[np.ndarray]:
        """Run one node in the reference evaluator."""
        from onnx import TensorProto, helper
        from onnx.reference import ReferenceEvaluator

        feeds = {name: v for name, v in zip(node.input, inputs, strict=True) if name}
        # The evaluator goes by the values' own types; the declared ones are placeholders.
        ends = [
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names]
            for names in (feeds, node.output)
        ]
        graph = helper.make_graph([node], "node", *ends)
        single = helper.make_model(graph, opset_imports=self.proto.opset_import)
        try:
            return ReferenceEvaluator(single).run(None, feeds)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            text = str(error).strip().partition("\n")[0]
            raise BatchMixedError(f"does not run on a batch of this size ({text})") from None

    def run(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Run the model in the reference evaluator; return every tensor by name."""
        from onnx.reference import ReferenceEvaluator

        return ReferenceEvaluator(self.proto).run(None, {self.input.name: x}, intermediate=True)

    def mixes_rows(self) -> bool:
        """Whether the model runs on a batch of two and its rows depend on each other, or on their place."""
        shape = self.input_shape[1]
        try:
            self.run(np.zeros((2, *shape), self.dtype))
        except (RuntimeError, TypeError, ValueError, IndexError):
            return False  # written for one input, whatever the file declares
        return not keeps_rows_apart(lambda x: self.run(x)[self.output], shape, self.dtype)


def _convert(model: _Model, shape: tuple[int, ...], batch: int, axis: int | None) -> Network:
    """Lower the graph for one reading of the batch axis and check the result."""
    builder = GraphBuilder(shape, batch, axis)
    values = _lower(model, builder)

    def run(x: np.ndarray) -> Iterator[tuple[Traced, np.ndarray]]:
        computed = model.run(x)
        for name, value in values.items():
            if isinstance(value, Traced) and name in computed:
                yield value, computed[name]

    return checked_network(builder, values[model.output], run, model.dtype)


def _lower(model: _Model, builder: GraphBuilder) -> dict[str, object]:
    """Append the steps of every node; return what each tensor became by name: `Traced`, array or None."""
    from onnx import numpy_helper

    values: dict[str, object] = {t.name: numpy_helper.to_array(t) for t in model.proto.graph.initializer}
    values[""] = None
    values[model.input.name] = builder.input
    for node in model.needed():
        builder.path = node.name or node.output[0]
        inputs = [values[name] for name in node.input]
        if any(isinstance(v, Traced) for v in inputs):
            results = _lowered(model, builder, node, inputs)
        else:
            results = model.evaluate(node, inputs)
        values.update(zip(node.output, results, strict=False))
    return values


def _lowered(
    model: _Model, builder: GraphBuilder, node: onnx.NodeProto, inputs: list[object]
) -> tuple[object, ...]:
    """Return what the outputs of one node on computed values become."""
    own = node.domain in ("", "ai.onnx")
    try:
        if own and node.op_type in MOVES:
            return _move(model, builder, node, inputs)
        if not own or node.op_type not in HANDLERS:
            raise NotPiecewiseAffineError(node.op_type, builder.path, UNKNOWN)
        result = HANDLERS[node.op_type](builder, model.attributes(node), *inputs)
    except NotAffineError as error:
        raise NotPiecewiseAffineError(node.op_type, builder.path, str(error)) from None
    except BatchMixedError as error:
        raise BatchMixedError(
            f"{node.op_type} at '{builder.path}' {error}. Wanted a function of one input."
        ) from None
    return result if isinstance(result, tuple) else (result,)


def _move(
    model: _Model, builder: GraphBuilder, node: onnx.NodeProto, inputs: list[object]
) -> tuple[object, ...]:
    """Return what a node that only moves entries makes of its computed inputs."""
    computed = [v for v in inputs if isinstance(v, Traced)]

    def run(*arrays: np.ndarray) -> list[np.ndarray]:
        given = iter(arrays)
        filled = [next(given) if isinstance(v, Traced) else _doubled(v) for v in inputs]
        return model.evaluate(node, filled)

    return builder.move(computed, run)


def _doubled(value: np.ndarray | None) -> np.ndarray | None:
    """Return float constants in float64, the type of positions."""
    return value.astype(np.float64) if value is not None and value.dtype.kind == "f" else value
