"""from_onnx: every supported operator against the reference evaluator, the three public files, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from polygeom.errors import ConversionError, InputError, NotPiecewiseAffineError, PolygeomError
from polygeom.gates import Elementwise
from polygeom.models.convert import from_onnx
from polygeom.network import Network
from polygeom.rounding import dot_error32
from polygeom.steps import Convolution, Dense

onnx = pytest.importorskip("onnx", reason="from_onnx needs the package onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

Node = tuple  # operator, inputs, attributes


def array(*shape: int, seed: int = 0, dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def model(
    nodes: list[onnx.NodeProto], shape: tuple[object, ...], constants: dict[str, np.ndarray], opset: int = 21
) -> onnx.ModelProto:
    """Return the model whose nodes read "x" and make "y"."""
    held = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "test", [x], [y], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def saved(made: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(made, path)
    return path


def agree(net: Network, made: onnx.ModelProto, rows: int = 4) -> None:
    """Compare with the reference evaluator in float32, one input at a time."""
    evaluator = ReferenceEvaluator(made)
    x = 2 * array(rows, *net.input_shape, seed=1)
    (name,) = {i.name for i in made.graph.input} - {t.name for t in made.graph.initializer}
    expected = np.stack([evaluator.run(None, {name: row[None]})[0].ravel() for row in x])
    assert expected.shape == (rows, net.dim_out)
    size = np.abs(expected).max(initial=1.0)
    assert np.allclose(net(x.reshape(rows, -1)), expected, rtol=1e-5, atol=1e-5 * size)


# -- every operator --------------------------------------------------------------------------------------------

VECTOR, MAP, LINE = ("N", 6), ("N", 4, 7, 6), (1, 4, 9)
I64 = np.int64

# name: (shape of x, operator, attributes, constant inputs in order; None stands for x)
CASES: dict[str, tuple[tuple[object, ...], str, dict, list]] = {
    "Gemm": (VECTOR, "Gemm", {"alpha": 0.5, "beta": 2.0}, [None, array(6, 3), array(3)]),
    "Gemm transposed": (VECTOR, "Gemm", {"transB": 1}, [None, array(3, 6), array(3)]),
    "Gemm without bias": (VECTOR, "Gemm", {}, [None, array(6, 3)]),
    "MatMul": (VECTOR, "MatMul", {}, [None, array(6, 3)]),
    "MatMul on the left": (LINE, "MatMul", {}, [array(3, 4), None]),
    "MatMul of a vector": (LINE, "MatMul", {}, [None, array(9)]),
    "Conv": (MAP, "Conv", {"strides": [2, 1], "pads": [1, 0, 2, 1]}, [None, array(5, 4, 3, 2), array(5)]),
    "Conv grouped": (MAP, "Conv", {"group": 2, "dilations": [2, 1]}, [None, array(6, 2, 2, 3)]),
    "Conv same upper": (
        MAP,
        "Conv",
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        [None, array(3, 4, 2, 4)],
    ),
    "Conv same lower": (MAP, "Conv", {"auto_pad": "SAME_LOWER"}, [None, array(3, 4, 2, 4)]),
    "Conv 1d": (LINE, "Conv", {"pads": [1, 2]}, [None, array(3, 4, 4)]),
    "BatchNormalization": (
        MAP,
        "BatchNormalization",
        {"epsilon": 0.01},
        [None, array(4), array(4, seed=1), array(4, seed=2), array(4, seed=3) ** 2],
    ),
    "Add": (MAP, "Add", {}, [None, array(4, 1, 1)]),
    "Sub from a constant": (VECTOR, "Sub", {}, [array(6), None]),
    "Mul": (MAP, "Mul", {}, [array(6), None]),
    "Div": (VECTOR, "Div", {}, [None, array(6)]),
    "Neg": (VECTOR, "Neg", {}, [None]),
    "Sum": (VECTOR, "Sum", {}, [None, array(6), None]),
    "Relu": (VECTOR, "Relu", {}, [None]),
    "LeakyRelu": (VECTOR, "LeakyRelu", {"alpha": 0.3}, [None]),
    "LeakyRelu by default": (VECTOR, "LeakyRelu", {}, [None]),
    "PRelu": (MAP, "PRelu", {}, [None, array(4, 1, 1)]),
    "Abs": (VECTOR, "Abs", {}, [None]),
    "Clip": (VECTOR, "Clip", {}, [None, np.float32(-0.5), np.float32(1)]),
    "HardSigmoid": (VECTOR, "HardSigmoid", {}, [None]),
    "Max": (VECTOR, "Max", {}, [None, array(6)]),
    "Min": (VECTOR, "Min", {}, [array(6), None]),
    "MaxPool": (MAP, "MaxPool", {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}, [None]),
    "MaxPool ceil": (MAP, "MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, [None]),
    "MaxPool dilated": (MAP, "MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 3]}, [None]),
    "AveragePool": (
        MAP,
        "AveragePool",
        {"kernel_shape": [2, 3], "strides": [2, 1], "pads": [0, 1, 1, 1]},
        [None],
    ),
    "AveragePool with padding": (
        MAP,
        "AveragePool",
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
        [None],
    ),
    "GlobalAveragePool": (MAP, "GlobalAveragePool", {}, [None]),
    "GlobalMaxPool": (MAP, "GlobalMaxPool", {}, [None]),
    "ReduceMean": (MAP, "ReduceMean", {"keepdims": 0}, [None, np.array([2, 3], I64)]),
    "ReduceSum": (MAP, "ReduceSum", {}, [None, np.array([1], I64)]),
    "ReduceMax": (MAP, "ReduceMax", {"keepdims": 0}, [None, np.array([1, -1], I64)]),
    "ReduceMin": (MAP, "ReduceMin", {}, [None, np.array([3], I64)]),
    "Flatten": (MAP, "Flatten", {}, [None]),
    "Reshape": (MAP, "Reshape", {}, [None, np.array([0, 2, -1], I64)]),
    "Transpose": (MAP, "Transpose", {"perm": [0, 2, 3, 1]}, [None]),
    "Squeeze": ((1, 1, 5), "Squeeze", {}, [None, np.array([1], I64)]),
    "Unsqueeze": (VECTOR, "Unsqueeze", {}, [None, np.array([1, 3], I64)]),
    "Slice": (
        MAP,
        "Slice",
        {},
        [None, np.array([1, -4], I64), np.array([9, -1], I64), np.array([1, 2], I64), np.array([2, 1], I64)],
    ),
    "Gather": (MAP, "Gather", {"axis": 1}, [None, np.array([3, 0, 0], I64)]),
    "Concat": (VECTOR, "Concat", {"axis": 1}, [None, None]),
    "Pad": (LINE, "Pad", {}, [None, np.array([0, 0, 1, 0, 1, 0], I64), np.float32(2.5)]),
    "Expand": ((1, 1, 6), "Expand", {}, [None, np.array([1, 3, 1], I64)]),
    "Tile": (VECTOR, "Tile", {}, [None, np.array([1, 2], I64)]),
    "DepthToSpace": (MAP, "DepthToSpace", {"blocksize": 2}, [None]),
    "Where": (VECTOR, "Where", {}, [np.arange(6) > 2, None, array(6)]),
    "Cast": (VECTOR, "Cast", {"to": TensorProto.DOUBLE}, [None]),
    "Identity": (VECTOR, "Identity", {}, [None]),
}


def single(case: tuple) -> onnx.ModelProto:
    shape, operator, attributes, inputs = case
    names = ["h" if value is None else f"c{i}" for i, value in enumerate(inputs)]
    constants = {n: np.asarray(v) for n, v in zip(names, inputs, strict=True) if v is not None}
    nodes = [
        helper.make_node("LeakyRelu", ["x"], ["h"], alpha=0.5),
        helper.make_node(operator, names, ["z"], **attributes),
        helper.make_node("Relu", ["z"], ["y"]),
    ]
    return model(nodes, shape, constants)


@pytest.mark.parametrize("name", CASES)
def test_an_operator_agrees_with_the_reference(name, tmp_path):
    made = single(CASES[name])
    net = from_onnx(saved(made, tmp_path))
    assert net.input_shape == tuple(CASES[name][0][1:])
    agree(net, made)


def test_old_operators_take_attributes(tmp_path):
    nodes = [
        helper.make_node("Squeeze", ["x"], ["a"], axes=[1]),
        helper.make_node("Pad", ["a"], ["b"], pads=[0, 1, 0, 2], value=1.5),
        helper.make_node("Clip", ["b"], ["c"], min=-1.0),
        helper.make_node("Split", ["c"], ["d", "e"], axis=1, split=[3, 5]),
        helper.make_node("ReduceSum", ["e"], ["f"], axes=[1], keepdims=1),
        helper.make_node("Dropout", ["d"], ["g"], ratio=0.5),
        helper.make_node("Add", ["f", "g"], ["y"]),
    ]
    made = model(nodes, (1, 1, 5), {}, opset=9)
    agree(from_onnx(saved(made, tmp_path)), made)


def test_shapes_and_constants_are_folded(tmp_path):
    """Shape -> Gather -> Concat -> Reshape, as exporters write x.view(x.size(0), -1); dead nodes are left out."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Concat", ["n", "rest"], ["t"], axis=0),
        helper.make_node("Reshape", ["x", "t"], ["a"]),
        helper.make_node("Mul", ["w", "w"], ["v"]),
        helper.make_node("MatMul", ["a", "v"], ["b"]),
        helper.make_node("Add", ["b", "bias"], ["c"]),
        helper.make_node("Relu", ["c"], ["y"], name="unit"),
        helper.make_node("Erf", ["c"], ["dead"]),
    ]
    constants = {"zero": np.array([0], I64), "rest": np.array([-1], I64), "w": array(6, 3), "bias": array(3)}
    made = model(nodes, ("N", 2, 3), constants)
    net = from_onnx(saved(made, tmp_path))
    agree(net, made)
    assert [type(step) for step in net.steps[1:]] == [Dense, Elementwise]
    assert net.units[2].path == "unit"


def test_a_reshape_to_one_row_is_read_as_one_input(tmp_path):
    nodes = [
        helper.make_node("Reshape", ["x", "s"], ["a"]),
        helper.make_node("Relu", ["a"], ["y"]),
    ]
    net = from_onnx(saved(model(nodes, ("N", 2, 3), {"s": np.array([1, 6], I64)}), tmp_path))
    assert (net.input_shape, net.output_shape) == ((2, 3), (6,))


def test_a_fixed_batch_is_a_batch(tmp_path):
    made = model([helper.make_node("MatMul", ["x", "w"], ["y"])], (4, 3), {"w": array(3, 2)})
    assert from_onnx(saved(made, tmp_path)).input_shape == (3,)


@pytest.mark.parametrize(
    "nodes",
    [
        [helper.make_node("ReduceMean", ["x"], ["m"], axes=[0]), helper.make_node("Sub", ["x", "m"], ["y"])],
        [
            helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]),
            helper.make_node("ReduceMean", ["t"], ["m"], axes=[1]),
            helper.make_node("Sub", ["t", "m"], ["y"]),
        ],
    ],
)
def test_a_model_that_mixes_the_rows_of_a_free_batch_is_refused(nodes, tmp_path):
    with pytest.raises(ConversionError, match=r"ReduceMean at 'm' .*batch axis"):
        from_onnx(saved(model(nodes, ("N", 3), {}, opset=13), tmp_path))


def test_rows_kept_apart_in_a_way_no_layout_shows_are_converted_one_by_one(tmp_path):
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Reshape", ["b", "rows"], ["y"]),
    ]
    made = model(nodes, ("N", 3), {"flat": np.array([1, -1], I64), "rows": np.array([-1, 3], I64)})
    net = from_onnx(saved(made, tmp_path))
    assert net.input_shape == (3,)
    agree(net, made)


# -- the public files ------------------------------------------------------------------------------------------

FILES = {"acasxu_1_1": (5, 5, 300), "mnist-net_256x2": (784, 10, 512), "cifar10_small": (3072, 10, 2568)}


@pytest.mark.parametrize("name", FILES)
def test_a_public_file_agrees_with_the_reference(name, data):
    path = data / "models" / "onnx" / f"{name}.onnx"
    net = from_onnx(path)
    assert (net.dim_in, net.dim_out, net.n_units) == FILES[name]
    agree(net, onnx.load(path))


def test_a_public_file_is_its_weights(data):
    """The dense steps of the ACAS Xu network hold the file's own float32 numbers."""
    path = data / "models" / "onnx" / "acasxu_1_1.onnx"
    held = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    dense = [step for step in from_onnx(path).steps if isinstance(step, Dense)]
    assert len(dense) == 7
    assert np.array_equal(dense[0].weight, held["Operation_1_MatMul_W"].T.astype(np.float64))
    assert np.array_equal(dense[0].constant, held["Operation_1_Add_B"].astype(np.float64))


def test_convolutions_of_a_public_file_stay_convolutions(data):
    net = from_onnx(data / "models" / "onnx" / "cifar10_small.onnx")
    assert sum(isinstance(step, Convolution) for step in net.steps) == 2
    assert net.units[0].position == (0, 0)


# -- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operator", ["Sigmoid", "Tanh", "Softmax", "Elu", "Erf", "Gelu", "Exp", "Sign", "Softplus"]
)
def test_what_is_not_piecewise_affine_is_refused_by_name(operator, tmp_path):
    nodes = [helper.make_node(operator, ["x"], ["h"], name="here"), helper.make_node("Relu", ["h"], ["y"])]
    with pytest.raises(NotPiecewiseAffineError) as caught:
        from_onnx(saved(model(nodes, VECTOR, {}), tmp_path))
    assert (caught.value.operation, caught.value.path) == (operator, "here")


@pytest.mark.parametrize(
    ("nodes", "name"),
    [
        ([helper.make_node("Mul", ["x", "x"], ["y"])], "Mul"),
        ([helper.make_node("MatMul", ["x", "x"], ["y"])], "MatMul"),
        ([helper.make_node("LRN", ["x"], ["y"], size=3)], "LRN"),
        ([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT64)], "Cast"),
        ([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT16)], "Cast"),
        ([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.BFLOAT16)], "Cast"),
        ([helper.make_node("Relu", ["x"], ["y"], domain="my.own")], "Relu"),
    ],
)
def test_products_casts_and_foreign_operators_are_refused(nodes, name, tmp_path):
    made = model(nodes, (1, 2, 3, 3), {})
    made.opset_import.append(helper.make_opsetid("my.own", 1))
    with pytest.raises(NotPiecewiseAffineError) as caught:
        from_onnx(saved(made, tmp_path))
    assert (caught.value.operation, caught.value.path) == (name, "y")


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_file_is_refused_in_the_library_s_own_words(seed, tmp_path):
    rng = np.random.default_rng(seed)
    nodes = [helper.make_node("Gemm", ["x", "W"], ["h"], transB=1), helper.make_node("Relu", ["h"], ["y"])]
    whole = model(nodes, (1, 2), {"W": np.eye(3, 2, dtype=np.float32)}).SerializeToString()
    path, refused = tmp_path / "damaged.onnx", 0
    for _ in range(100):
        damaged = bytearray(whole)
        at = rng.integers(len(damaged))
        if rng.random() < 0.3:
            del damaged[at : at + rng.integers(1, 9)]
        else:
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            from_onnx(path)
        except PolygeomError:
            refused += 1
    assert refused > 20


def test_a_file_in_another_of_onnx_s_formats_is_refused(tmp_path):
    for suffix in (".json", ".textproto", ".onnxtxt"):
        path = tmp_path / f"model{suffix}"
        path.write_text('{"graph":')
        with pytest.raises(InputError, match="cannot be decoded"):
            from_onnx(path)


def test_bad_files_are_explained(tmp_path):
    with pytest.raises(InputError, match="no file"):
        from_onnx(tmp_path / "absent.onnx")
    with pytest.raises(InputError, match="got a NoneType, wanted the path"):
        from_onnx(None)
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"\xff" * 100)
    with pytest.raises(InputError, match="not an ONNX model"):
        from_onnx(garbage)
    relu = [helper.make_node("Relu", ["x"], ["y"])]
    with pytest.raises(InputError, match="fixed sizes"):
        from_onnx(saved(model(relu, ("N", "C"), {}), tmp_path))
    add = [helper.make_node("Add", ["x", "c"], ["y"])]
    with pytest.raises(InputError, match="holds nan"):
        from_onnx(saved(model(add, (1, 2), {"c": np.array([np.nan, 1], np.float32)}), tmp_path))
    two = model(relu, (1, 2), {})
    two.graph.output.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2)))
    with pytest.raises(InputError, match=r"2 outputs \(y, x\)"):
        from_onnx(saved(two, tmp_path))
    whole = model(relu, (1, 2), {})
    whole.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(InputError, match="element type"):
        from_onnx(saved(whole, tmp_path))


def test_the_bound_for_float32_holds():
    """The bound used by the check: sums of float32 products stay within it, and it is no wider than needed."""
    rng = np.random.default_rng(0)
    for n in (1, 10, 1000):
        x, y = (rng.standard_normal((200, n)).astype(np.float32) for _ in range(2))
        exact = np.sum(x.astype(np.float64) * y, axis=1)
        bound = dot_error32(np.sum(np.abs(x.astype(np.float64) * y), axis=1), n)
        error = np.abs(np.einsum("ij,ij->i", x, y).astype(np.float64) - exact)
        assert (error <= bound).all()
        assert bound.max() < 1e-6 * (2 * n + 8) * n
    with pytest.raises(OverflowError):
        dot_error32(np.ones(1), 10**8)


def test_the_check_catches_a_wrong_conversion(monkeypatch, tmp_path):
    from polygeom.models.convert import onnx_ops

    monkeypatch.setitem(onnx_ops.HANDLERS, "Relu", lambda b, a, x: b.gate(x, "abs"))
    with pytest.raises(ConversionError, match="disagrees with the original in module 'y'"):
        from_onnx(saved(model([helper.make_node("Relu", ["x"], ["y"])], VECTOR, {}), tmp_path))
