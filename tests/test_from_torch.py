"""from_torch: every supported operation against torch in float64, every refusal with name and place, cuts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from polygeom.enclosures import enclose
from polygeom.errors import ConversionError, InputError, NotPiecewiseAffineError
from polygeom.gates import Elementwise, MaxGate
from polygeom.models import inception
from polygeom.models.convert import from_torch
from polygeom.models.convert.check import _compare_steps
from polygeom.network import Network
from polygeom.steps import Average, Convolution, Dense, Scale, TransposedConvolution


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def randomized(module: nn.Module, seed: int = 0) -> nn.Module:
    """Return the module in eval mode, parameters and running statistics random."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            values = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(values.abs() + 0.1 if name.endswith("running_var") else values)
    return module.eval()


def agree(net: Network, module: nn.Module, shape: tuple[int, ...], rows: int = 5) -> None:
    """Compare with the module itself, run by torch in float64 on a batch of another size than the trace."""
    x = 3 * np.random.default_rng(1).standard_normal((rows, *shape))
    with torch.no_grad():
        expected = copy.deepcopy(module).double()(torch.from_numpy(x)).numpy()
    assert net.input_shape == shape
    assert net.output_shape == expected.shape[1:]
    size = np.abs(expected).max(initial=1.0)
    assert np.allclose(net(x), expected.reshape(rows, -1), rtol=1e-12, atol=1e-12 * size)


def convert(module: nn.Module, shape: tuple[int, ...], **cut: str) -> Network:
    return from_torch(module, torch.zeros(1, *shape, dtype=torch.float64), **cut)


# -- every operation -------------------------------------------------------------------------------------------

VECTOR, MAP, LINE = (6,), (4, 7, 6), (4, 9)

CASES: dict[str, tuple[tuple[int, ...], nn.Module | Callable[[torch.Tensor], torch.Tensor]]] = {
    # linear layers
    "linear": (VECTOR, nn.Linear(6, 4)),
    "linear without bias": (VECTOR, nn.Linear(6, 4, bias=False)),
    "linear over positions": ((3, 6), nn.Linear(6, 4)),
    "linear over folded positions": ((3, 6), lambda x: F.relu(x.reshape(-1, 6) @ FIXED).reshape(-1, 3, 4)),
    "conv2d": (MAP, nn.Conv2d(4, 5, 3)),
    "conv2d with everything": (MAP, nn.Conv2d(4, 6, (3, 2), (2, 1), (2, 1), (1, 2), groups=2)),
    "conv2d same": (MAP, nn.Conv2d(4, 3, (2, 3), padding="same", dilation=(1, 2))),
    "conv2d valid": (MAP, nn.Conv2d(4, 3, 3, padding="valid")),
    "conv2d circular": (MAP, nn.Conv2d(4, 3, 3, padding=1, padding_mode="circular")),
    "conv2d reflect": (MAP, nn.Conv2d(4, 3, 3, padding=1, padding_mode="reflect")),
    "conv2d replicate": (MAP, nn.Conv2d(4, 3, 3, padding=1, padding_mode="replicate")),
    "conv2d depthwise": (MAP, nn.Conv2d(4, 8, 3, groups=4, bias=False)),
    "conv1d": (LINE, nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2)),
    "conv1d same": (LINE, nn.Conv1d(4, 3, 4, padding="same")),
    "transposed conv2d": (
        MAP,
        nn.ConvTranspose2d(4, 6, (3, 2), (2, 3), (1, 0), (1, 2), groups=2, dilation=(1, 2)),
    ),
    "transposed conv2d without bias": (MAP, nn.ConvTranspose2d(4, 3, 2, 2, bias=False)),
    "transposed conv1d": (LINE, nn.ConvTranspose1d(4, 2, 3, 2, 1, output_padding=1)),
    "transposed conv1d, cropped": (LINE, nn.ConvTranspose1d(4, 2, 3, 1, 3)),
    "batch norm 1d": (VECTOR, nn.BatchNorm1d(6)),
    "batch norm 1d over a line": (LINE, nn.BatchNorm1d(4, affine=False)),
    "batch norm 2d": (MAP, nn.BatchNorm2d(4, eps=0.1)),
    "weight norm": (VECTOR, nn.utils.parametrizations.weight_norm(nn.Linear(6, 4))),
    # shapes
    "flatten": (MAP, nn.Flatten()),
    "unflatten": (VECTOR, nn.Unflatten(1, (2, 3))),
    "view": (MAP, lambda x: x.view(x.shape[0], -1, 6)),
    "view by number": (MAP, lambda x: x.view(-1, 4, 42)),
    "permute": (MAP, lambda x: x.permute(0, 2, 3, 1)),
    "permute with the batch": (MAP, lambda x: F.relu(x.permute(2, 3, 0, 1)).permute(2, 0, 3, 1)),
    "transpose": (MAP, lambda x: x.transpose(1, -1).contiguous()),
    "squeeze, unsqueeze": (VECTOR, lambda x: x[:, None].unsqueeze(-1).squeeze(1) + 1),
    "expand": (VECTOR, lambda x: x[:, :, None].expand(-1, -1, 3)),
    "repeat": (VECTOR, lambda x: x.repeat(1, 2) + x.repeat_interleave(2, 1)),
    "slice": (MAP, lambda x: x[:, 1:, ::2, -3:]),
    "select": (MAP, lambda x: x[:, 2, :, 1]),
    "index": (MAP, lambda x: x[:, [3, 0, 0]]),
    "index two axes": (MAP, lambda x: x[:, [3, 0], :, [1, 2]].transpose(0, 1)),
    "index_select": (VECTOR, lambda x: x.index_select(1, torch.tensor([5, 1]))),
    "narrow": (VECTOR, lambda x: x.narrow(1, 2, 3)),
    "chunk": (VECTOR, lambda x: x.chunk(2, 1)[1] - x.chunk(2, 1)[0]),
    "split": (VECTOR, lambda x: x.split([1, 2, 3], 1)[2]),
    "unbind": (MAP, lambda x: x.unbind(1)[1] + x.unbind(1)[3]),
    "cat": (MAP, lambda x: torch.cat([x, x.relu(), torch.ones(x.shape[0], 1, 7, 6, dtype=x.dtype)], 1)),
    "cat along the last axis": (MAP, lambda x: torch.cat([x, 2 * x], -1)),
    "stack": (VECTOR, lambda x: torch.stack([x, -x, x], 2)),
    "pad": (MAP, lambda x: F.pad(x, (1, 2, 0, 1), value=2.5)),
    "pad negative": (LINE, lambda x: F.pad(x, (-1, 2))),
    "flip, roll": (MAP, lambda x: x.flip(1, 2) + x.roll(1, -1)),
    "unfold": (LINE, lambda x: x.unfold(2, 3, 2)),
    "unfold patches": (MAP, lambda x: F.unfold(x, 3, padding=1)),
    "pixel shuffle": (MAP, lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2)),
    "upsample nearest": (MAP, lambda x: F.interpolate(x, scale_factor=2)),
    "masked fill": (VECTOR, lambda x: x.masked_fill(torch.arange(6) > 3, 2.0)),
    "where with a constant mask": (VECTOR, lambda x: torch.where(torch.arange(6) > 3, x, x.flip(1))),
    "triangular": ((4, 4), lambda x: x.tril() - x.triu(1)),
    "write into a slice": (VECTOR, lambda x: written(x)),
    # arithmetic
    "add, subtract": (VECTOR, lambda x: (x + 1) - 2 * x.relu() - x.flip(1)),
    "scalars on the left": (VECTOR, lambda x: 1 - 3 * x),
    "divide": (VECTOR, lambda x: x / 3 - x.div(torch.arange(1, 7))),
    "multiply by a tensor": (MAP, lambda x: x * torch.arange(4.0)[:, None, None] + torch.arange(6)),
    "add with alpha": (VECTOR, lambda x: torch.add(x, x.abs(), alpha=-0.5)),
    "rsub": (VECTOR, lambda x: torch.rsub(x, 2.0, alpha=3)),
    "negate": (VECTOR, lambda x: -x.relu()),
    "broadcast two values": (MAP, lambda x: x + x.mean((2, 3), keepdim=True) - x[:, :1]),
    "more constant axes": (VECTOR, lambda x: (x[:, None] * torch.arange(12.0).reshape(2, 6)).flatten(1)),
    "matmul": (VECTOR, lambda x: x @ FIXED),
    "matmul on the left": ((4, 3), lambda x: FIXED @ x),
    "matrix times vectors": (LINE, lambda x: x @ torch.arange(9, dtype=x.dtype)),
    "addmm": (VECTOR, lambda x: torch.addmm(torch.ones(4, dtype=x.dtype), x, FIXED, beta=0.5, alpha=2)),
    "einsum": (LINE, lambda x: torch.einsum("ncl,kc->nkl", x, FIXED[:, :4])),
    "einsum with dots": (VECTOR, lambda x: torch.einsum("...i,ij->...j", x, FIXED)),
    "einsum heads": (VECTOR, lambda x: torch.einsum("ni,hij->nhj", x, torch.stack([FIXED, FIXED + 1]))),
    "einsum alone": (LINE, lambda x: torch.einsum("ncl->nl", x)),
    "sum": (MAP, lambda x: x.sum(1) - x.sum((1, 2), keepdim=True)[:, 0]),
    "mean": (MAP, lambda x: x.mean((-1, -2))),
    "mean over channels": (MAP, lambda x: x.mean(1, keepdim=True)),
    "mean of a vector": (VECTOR, lambda x: x - x.mean(-1, keepdim=True)),
    "casts": (VECTOR, lambda x: x.to(torch.float64).relu().type_as(x)),
    "zeros like": (VECTOR, lambda x: torch.maximum(x, torch.zeros_like(x)) + torch.ones_like(x)),
    "full": (VECTOR, lambda x: x + torch.full((6,), 1.5, dtype=x.dtype) + x.new_ones(6)),
    # units
    "relu": (VECTOR, nn.ReLU()),
    "relu in place": (VECTOR, nn.Sequential(nn.Linear(6, 6), nn.ReLU(inplace=True), nn.Linear(6, 2))),
    "leaky relu": (VECTOR, nn.LeakyReLU(0.3)),
    "leaky relu negative slope": (VECTOR, lambda x: F.leaky_relu(x, -0.5)),
    "prelu": (MAP, nn.PReLU()),
    "prelu per channel": (MAP, nn.PReLU(4)),
    "prelu of a vector": (VECTOR, nn.PReLU(6)),
    "abs": (VECTOR, lambda x: x.abs() + torch.absolute(x)),
    "relu6": (VECTOR, lambda x: F.relu6(4 * x)),
    "hardtanh": (VECTOR, nn.Hardtanh(-0.5, 2)),
    "hardsigmoid": (VECTOR, nn.Hardsigmoid()),
    "rrelu in eval": (VECTOR, nn.RReLU()),
    "threshold": (VECTOR, lambda x: F.threshold(x, 0, 0) + F.threshold(x, 1.5, 1.5)),
    "clamp": (VECTOR, lambda x: x.clamp(-1, 0.5) + x.clamp(min=0) + x.clamp(max=1) + x.clip(0, 1)),
    "clamp_min, clamp_max": (VECTOR, lambda x: x.clamp_min(0.25) - x.clamp_max(-0.25)),
    "clamp by tensors": (VECTOR, lambda x: x.clamp(torch.arange(6.0) - 4, torch.arange(6.0))),
    "clamp by infinity": (VECTOR, lambda x: x.clamp(-torch.inf, 1.0)),
    "clamp by computed bounds": (VECTOR, lambda x: x.clamp(-x.flip(1).abs(), x.roll(1, 1).abs())),
    "maximum": (MAP, lambda x: torch.maximum(x, x.flip(1)) + torch.minimum(x[:, :1], 2 * x)),
    "maximum with constants": (
        VECTOR,
        lambda x: torch.maximum(torch.arange(6.0), x) + torch.fmin(x, x.new_ones(6)),
    ),
    "amax, amin": (MAP, lambda x: x.amax((1, 3)) - x.amin(2).amin(1)[:, :1]),
    "max over an axis": (MAP, lambda x: x.max(1)[0] + x.min(dim=1).values),
    "dropout in eval": (VECTOR, nn.Sequential(nn.Dropout(0.5), nn.AlphaDropout(0.5), nn.ReLU())),
    "identity": (VECTOR, nn.Sequential(nn.Identity(), nn.ReLU())),
    # pools
    "max pool": (MAP, nn.MaxPool2d(2)),
    "max pool with everything": (MAP, nn.MaxPool2d((3, 2), (1, 2), (1, 1), (2, 1), ceil_mode=True)),
    "max pool, ceil, overlap": (MAP, nn.MaxPool2d(3, 2, ceil_mode=True)),
    "max pool 1d": (LINE, nn.MaxPool1d(3, 2, 1, ceil_mode=True)),
    "max pool of a vector": (VECTOR, lambda x: F.max_pool1d(x, 2)),
    "max pool with indices": (MAP, lambda x: F.max_pool2d(x, 2, return_indices=True)[0]),
    "adaptive max pool": (MAP, lambda x: F.adaptive_max_pool2d(x, (3, 4))),
    "adaptive max pool 1d": (LINE, nn.AdaptiveMaxPool1d(4)),
    "average pool": (MAP, nn.AvgPool2d(2)),
    "average pool, padding": (MAP, nn.AvgPool2d(3, 2, 1)),
    "average pool, ceil": (MAP, nn.AvgPool2d((2, 3), 2, (0, 1), ceil_mode=True)),
    "average pool, inside only": (MAP, nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False)),
    "average pool, own divisor": (MAP, nn.AvgPool2d(3, 1, 1, divisor_override=5)),
    "average pool 1d": (LINE, nn.AvgPool1d(4, 3, 2, ceil_mode=True)),
    "adaptive average pool": (MAP, nn.AdaptiveAvgPool2d((3, 4))),
    "adaptive average pool, one axis": (MAP, nn.AdaptiveAvgPool2d((None, 1))),
    "global average": (MAP, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())),
    "pool over three axes": (MAP, lambda x: F.avg_pool3d(x[:, None], 2).squeeze(1)),
}
FIXED = torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(6, 4)


def written(x: torch.Tensor) -> torch.Tensor:
    y = x + 1
    y[:, 0] = 3.0
    y[:, 1:3].relu_()
    y[:, 4] = x[:, 0]
    return y


@pytest.mark.parametrize("name", CASES)
def test_an_operation_agrees_with_torch(name):
    shape, operation = CASES[name]
    module = operation if isinstance(operation, nn.Module) else Call(operation)
    module = randomized(module).double()
    agree(convert(module, shape), module, shape)


# -- random networks -------------------------------------------------------------------------------------------


class Residual(nn.Module):
    def __init__(self, body: nn.Module, join: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.body, self.join = body, join

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.join(x, self.body(x))


JOINS = {
    "add": torch.add,
    "subtract": torch.sub,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "concatenate": lambda x, y: torch.cat([y, x], 1)[:, : x.shape[1]],
}
VECTOR_UNITS = [
    nn.ReLU(),
    nn.LeakyReLU(0.2),
    nn.ReLU6(),
    nn.Hardtanh(),
    nn.ReLU(inplace=True),
    Call(torch.abs),
]


def _units(draw: st.DrawFn, channels: int) -> nn.Module:
    return draw(st.sampled_from([*VECTOR_UNITS, nn.PReLU(), nn.PReLU(channels)]))


@st.composite
def vector_modules(draw: st.DrawFn) -> tuple[tuple[int, ...], nn.Module]:
    """Nested dense modules with skip connections, normalization and shared units."""
    width = draw(st.integers(1, 5))
    start, layers = width, []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["linear", "linear", "unit", "norm", "residual", "dropout"]))
        if kind == "linear":
            width, before = draw(st.integers(1, 5)), width
            layers.append(nn.Linear(before, width, bias=draw(st.booleans())))
        elif kind == "unit":
            layers.append(_units(draw, width))
        elif kind == "norm":
            layers.append(nn.BatchNorm1d(width))
        elif kind == "dropout":
            layers.append(nn.Dropout(0.3))
        else:
            body = nn.Sequential(nn.Linear(width, 3), _units(draw, 3), nn.Linear(3, width))
            layers.append(Residual(body, JOINS[draw(st.sampled_from(sorted(JOINS)))]))
    layers.append(_units(draw, width))
    return (start,), nn.Sequential(*layers)


def _image_layer(draw: st.DrawFn, channels: int, kernel: int, dilation: int) -> nn.Module:
    stride, padding, ceil = draw(st.integers(1, 2)), draw(st.integers(0, kernel // 2)), draw(st.booleans())
    kind = draw(st.sampled_from(["conv", "same", "max", "average", "adaptive", "norm", "residual"]))
    if kind == "conv":
        return nn.Conv2d(channels, 2 * channels, kernel, stride, padding, dilation, groups=channels)
    if kind == "same":
        return nn.Conv2d(channels, 3, kernel, padding="same", dilation=dilation)
    if kind == "max":
        return nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil)
    if kind == "average":
        return nn.AvgPool2d(kernel, stride, padding, ceil, draw(st.booleans()))
    if kind == "adaptive":
        return nn.AdaptiveAvgPool2d((kernel, None))
    if kind == "norm":
        return nn.BatchNorm2d(channels)
    return Residual(nn.Conv2d(channels, channels, 3, padding=1), torch.add)


@st.composite
def image_modules(draw: st.DrawFn) -> tuple[tuple[int, ...], nn.Module]:
    """Convolutions and pools of every geometry, ending in a dense layer."""
    channels, height, width = draw(st.integers(1, 4)), draw(st.integers(4, 9)), draw(st.integers(4, 9))
    shape, layers = (channels, height, width), []
    x = torch.zeros(1, *shape)
    for _ in range(draw(st.integers(1, 3))):
        kernel, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
        if dilation * (kernel - 1) < min(x.shape[2:]):
            layers += [_image_layer(draw, channels, kernel, dilation)]
            x = layers[-1].eval()(x)
            channels = x.shape[1]
            layers.append(_units(draw, channels))
    size = draw(st.integers(1, 3))
    return shape, nn.Sequential(*layers, nn.Flatten(), nn.Linear(x[0].numel(), size))


@given(case=st.one_of(vector_modules(), image_modules()), seed=st.integers(0, 2**16))
def test_random_modules_agree_with_torch(case, seed):
    shape, module = case
    module = randomized(module, seed)
    agree(convert(module, shape), module, shape)


# -- what a network looks like ---------------------------------------------------------------------------------


class Reused(nn.Module):
    """One block called twice, with a functional unit between and shared weights."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
        self.other = nn.Linear(3, 3)
        self.other.weight = self.block[0].weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.hardtanh(self.block(x))
        return self.other(self.block(y)) + x


def test_units_follow_execution_order_with_path_and_call():
    net = convert(randomized(Reused()), (3,))
    assert [(net.units[i].path, net.units[i].call, net.units[i].kind) for i in (0, 3, 6)] == [
        ("block.1", 0, "relu"),
        ("", 0, "clamp"),
        ("block.1", 1, "relu"),
    ]
    assert net.n_units == 9
    agree(net, randomized(Reused()), (3,))


def test_a_trailing_unit_is_counted_and_dead_code_is_not():
    def forward(x):
        F.gelu(x.relu())  # reaches nothing
        return x.relu()

    net = convert(Call(forward).eval(), (3,))
    assert net.n_units == 3


def test_convolutions_and_pools_stay_what_they_are():
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.AvgPool2d(2))
    net = convert(randomized(layers), (3, 8, 8))
    assert [type(step) for step in net.steps] == [Convolution, Scale, Elementwise, MaxGate, Average]
    unit = net.units[net.gates[1].first_column + 5]
    assert (unit.kind, unit.path, unit.channel, unit.position) == ("max", "3", 0, (1, 2))


def test_a_unit_on_a_single_number_has_channel_0():
    net = convert(Call(lambda x: x.sum(1).relu()).eval(), (3,))
    assert (net.output_shape, net.units[0].channel, net.units[0].position) == ((), 0, ())


def test_a_bias_written_apart_becomes_the_bias():
    net = convert(Call(lambda x: F.relu(x @ FIXED + 1)).eval(), VECTOR)
    assert [type(step) for step in net.steps] == [Dense, Elementwise]


def test_constant_branches_are_folded():
    logits = torch.arange(3.0)
    net = convert(Call(lambda x: x * torch.softmax(logits, 0) + F.gelu(logits)).eval(), (3,))
    assert [type(step) for step in net.steps] == [Scale]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_parameters_are_converted_exactly(dtype):
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).to(dtype).eval()
    net = from_torch(module, torch.zeros(1, 3))
    assert np.array_equal(net.steps[0].weight, module[0].weight.detach().double().numpy())
    before = net.steps[0].weight.copy()
    module[0].weight.data.zero_()
    assert np.array_equal(net.steps[0].weight, before)
    assert not net.steps[0].weight.flags.writeable


def test_average_divisors_stay_integers():
    net = convert(nn.AvgPool2d(3, 2, 1, count_include_pad=False).eval(), (1, 5, 5))
    assert sorted(set(net.steps[0].divisors())) == [4, 6, 9]


@given(seed=st.integers(0, 2**16), exponents=st.tuples(*[st.integers(-12, 12)] * 4))
def test_any_statistics_fold_within_the_tolerance(seed, exponents):
    """Huge means over tiny variances cancel in the folded constant: the check must neither fail nor be blind."""
    module = randomized(nn.Sequential(nn.BatchNorm1d(3, eps=0.0), nn.ReLU()), seed).double()
    parts = (module[0].weight, module[0].bias, module[0].running_mean, module[0].running_var)
    for part, exponent in zip(parts, exponents, strict=True):
        part.data *= 10.0**exponent
    net = convert(module, (3,))
    scale = (module[0].weight / module[0].running_var.sqrt()).detach().numpy()
    assert np.allclose(net.steps[0].scale, scale, rtol=1e-15)


@pytest.mark.slow
def test_inception_converts_from_3a_on():
    model = inception.architecture().eval()
    net = from_torch(model, torch.zeros(1, 3, 224, 224), start="inception_3a")
    assert net.input_shape == (192, 28, 28)
    assert net.output_shape == (1000,)
    pools = [gate for gate in net.gates if isinstance(gate, MaxGate)]
    assert len(pools) == 11  # nine branches, pool3 and pool4
    assert {gate.index.shape[1] for gate in pools} == {9}


# -- the example -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", [(3, 8, 8), (1, 3, 8, 8), (2, 3, 8, 8), (5, 3, 8, 8)])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_batch_axis_is_found(example, channels):
    example = tuple(channels if n == 3 else n for n in example)
    module = randomized(nn.Sequential(nn.Conv2d(channels, 2, 3), nn.ReLU(), nn.Flatten(-3)))
    net = from_torch(module, np.zeros(example))
    agree(net, module, (channels, 8, 8))


@pytest.mark.parametrize("example", [(4,), (1, 4), (7, 4)])
def test_vectors_come_with_and_without_batch(example):
    module = randomized(nn.Sequential(nn.Linear(4, 3), nn.ReLU()))
    agree(from_torch(module, torch.zeros(example)), module, (4,))


def test_a_module_written_for_one_vector_is_taken_as_it_is():
    module = Call(lambda x: FIXED.float().T @ x).eval()
    net = from_torch(module, torch.zeros(6))
    x = np.arange(6.0)
    assert np.allclose(net(x), module.function(torch.arange(6.0)).numpy(), rtol=1e-5)


def test_a_batch_of_one_written_into_the_module_is_accepted():
    net = from_torch(Call(lambda x: x.view(1, 12).relu()).eval(), torch.zeros(1, 3, 4))
    assert (net.input_shape, net.output_shape) == ((3, 4), (12,))


MIXING = {
    "mean": lambda x: x - x.mean(0, keepdim=True),
    "sum": lambda x: x.relu().sum(0),
    "amax": lambda x: x - x.amax(0),
    "flip": lambda x: x.flip(0),
    "roll": lambda x: x + x.roll(1, 0),
    "mul": lambda x: x * torch.arange(len(x))[:, None],
}


class Mixer(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.ReLU(), Call(function))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


@pytest.mark.parametrize("rows", [1, 3, 5])
@pytest.mark.parametrize("name", MIXING)
def test_a_module_that_mixes_the_rows_of_a_batch_is_refused(name, rows):
    """The network of a batch of one would be a wrong answer for every other batch."""
    module = Mixer(MIXING[name]).eval()
    with pytest.raises(ConversionError, match=rf"^{name} in module 'inner\.1' .*function of one input"):
        from_torch(module, torch.zeros(rows, 4))


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize(
    "function", [lambda x: x / len(x), lambda x: x.sum(1) * x.shape[0], lambda x: x + 1 / x.shape[0]]
)
def test_a_module_that_computes_with_the_size_of_the_batch_is_refused(function, rows):
    with pytest.raises(ConversionError, match=r"in module 'inner\.1'.*with the size of the batch"):
        from_torch(Mixer(function).eval(), torch.zeros(rows, 4))


def test_a_batch_of_one_may_lose_its_axis():
    module = Call(lambda x: x[:, None].squeeze().relu().view(-1, 6)).eval()
    agree(convert(module, VECTOR), module, VECTOR)


def test_an_example_without_batch_axis_is_one_input():
    """Where no axis can be the batch, nothing is mixed: the module is a function of the vector."""
    module = Call(MIXING["mean"]).eval()
    net = from_torch(module, torch.zeros(4))
    x = torch.arange(4.0, dtype=torch.float64)
    assert net.input_shape == (4,)
    assert np.allclose(net(x), module(x), rtol=1e-15)


def test_an_input_of_two_axes_is_found_by_what_is_kept_apart():
    """The rows are mixed, examples are not: the example is one input, unless its rows are a batch of one."""
    module = Call(lambda x: x - x.mean(-2, keepdim=True)).eval()
    net = from_torch(module, torch.zeros(5, 3))
    assert net.input_shape == (5, 3)
    agree(net, module, (5, 3))
    with pytest.raises(ConversionError, match="mean at the top level"):
        from_torch(module, torch.zeros(1, 3))


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_rows_kept_apart_in_a_way_no_layout_shows_are_converted_one_by_one(rows):
    module = Call(lambda x: torch.stack([(r - r.mean()).relu() for r in x])).eval()
    agree(from_torch(module, torch.zeros(rows, 4)), module, (4,))


class Sequence(nn.Module):
    """The batch is the second axis inside."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x.transpose(0, 1)).transpose(0, 1)


def test_a_cut_may_start_where_the_batch_is_another_axis():
    apart = randomized(Sequence(nn.Sequential(nn.Linear(4, 2), nn.ReLU()))).double()
    net = convert(apart, (3, 4), start="body", stop="body")
    assert net.input_shape == (3, 1, 4)
    x = torch.randn(3, 1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert np.allclose(net(x), apart.body(x).detach().numpy().ravel(), rtol=1e-14)
    mixing = Sequence(Call(lambda x: x - x.mean(1, keepdim=True))).eval()
    with pytest.raises(ConversionError, match="without the batch axis first"):
        convert(mixing, (3, 4), start="body", stop="body")


# -- cuts ------------------------------------------------------------------------------------------------------


class Stages(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.LocalResponseNorm(3))
        self.first = Residual(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()), torch.add)
        self.pool = nn.MaxPool2d(2)
        self.second = Residual(nn.Conv2d(4, 4, 1), torch.sub)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(self.stem(x))
        y = self.second(self.pool(y))
        y = self.pool(y)
        return F.softmax(self.head(y.mean((2, 3))), -1)


@pytest.fixture(scope="module")
def stages() -> Stages:
    return randomized(Stages())


CUTS = {
    ("first", "first"): ((4, 8, 8), lambda m, x: m.first(x)),
    ("first.body.0", "first.body"): ((4, 8, 8), lambda m, x: m.first.body(x)),
    ("first", "head"): ((4, 8, 8), lambda m, x: m.head(m.pool(m.second(m.pool(m.first(x)))).mean((2, 3)))),
    ("pool:0", "pool:1"): ((4, 8, 8), lambda m, x: m.pool(m.second(m.pool(x)))),
    ("pool:1", "head"): ((4, 4, 4), lambda m, x: m.head(m.pool(x).mean((2, 3)))),
    ("second", "second.body"): ((4, 4, 4), lambda m, x: m.second.body(x)),
    (None, "stem.1"): ((2, 8, 8), lambda m, x: m.stem[1](m.stem[0](x))),
}


@pytest.mark.parametrize(("start", "stop"), CUTS)
def test_a_cut_is_the_part_between(stages, start, stop):
    shape, part = CUTS[start, stop]
    net = from_torch(stages, torch.zeros(1, 2, 8, 8), start=start, stop=stop)
    agree(net, Part(stages, part), shape)


class Part(nn.Module):
    def __init__(self, whole: nn.Module, part: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.whole, self.part = whole, part

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.part(self.whole, x)


@pytest.mark.parametrize(
    ("start", "stop", "error", "words"),
    [
        ("frist", None, InputError, "Did you mean 'first'"),
        (None, "second.bdy", InputError, "Did you mean 'second.body'"),
        ("pool", None, InputError, "called 2 times; say which: 'pool:0', 'pool:1'"),
        ("pool:2", None, InputError, r"out of \[0, 1\]"),
        ("pool:x", None, InputError, r"out of \[0, 1\]"),
        ("head", "first", ConversionError, "does not depend on what enters start='head'"),
        ("first.body.1", "first", ConversionError, "'div' of module 'stem.2' is used later"),
        ("head", "second", ConversionError, "does not depend on what enters"),
        ("first", None, NotPiecewiseAffineError, "softmax at the top level"),
        (None, "first", NotPiecewiseAffineError, "local_response_norm in module 'stem.2'"),
    ],
)
def test_a_wrong_cut_is_explained(stages, start, stop, error, words):
    with pytest.raises(error, match=words):
        from_torch(stages, torch.zeros(1, 2, 8, 8), start=start, stop=stop)


def test_an_input_used_later_is_a_crossing():
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x)) + x

    with pytest.raises(ConversionError, match="the network's input is used later"):
        convert(Skip().eval(), (3,), start="b")
    assert convert(Skip().eval(), (3,), start="a").dim_out == 3  # the value entering a is the input itself


def test_a_module_with_two_inputs_is_no_start():
    class Join(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x + y

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.join = nn.Linear(3, 3), nn.Linear(3, 3), Join()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.join(self.a(x), self.b(x))

    with pytest.raises(ConversionError, match="2 computed values enter"):
        convert(Whole().eval(), (3,), start="join")
    assert convert(Whole().eval(), (3,), stop="join").dim_out == 3


# -- refusals --------------------------------------------------------------------------------------------------

REFUSED: dict[str, nn.Module | Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": nn.GELU(),
    "layer_norm": nn.LayerNorm(6),
    "softmax": nn.Softmax(-1),
    "log_softmax": nn.LogSoftmax(-1),
    "silu": nn.SiLU(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "elu": nn.ELU(),
    "selu": nn.SELU(),
    "celu": nn.CELU(),
    "softplus": nn.Softplus(),
    "mish": nn.Mish(),
    "hardswish": nn.Hardswish(),
    "glu": nn.GLU(),
    "rms_norm": nn.RMSNorm(6),
    "group_norm": nn.GroupNorm(2, 6),
    "local_response_norm": lambda x: F.local_response_norm(x[:, :, None], 3),
    "instance_norm": lambda x: F.instance_norm(x.view(-1, 2, 3)),
    "normalize": lambda x: F.normalize(x),
    "mul": lambda x: x * x.relu(),
    "pow": lambda x: x**2,
    "square": lambda x: x.square(),
    "sqrt": lambda x: x.sqrt(),
    "exp": lambda x: x.exp(),
    "sin": lambda x: x.sin(),
    "reciprocal": lambda x: 1 / x,
    "div": lambda x: torch.div(x, x.abs() + 1),
    "floor": lambda x: x.floor(),
    "round": lambda x: x.round(),
    "sign": lambda x: x.sign(),
    "gt": lambda x: x * (x > 0),
    "long": lambda x: x.long() + x,
    "argmax": lambda x: x + x.argmax(1, keepdim=True),
    "max": lambda x: x + x.max(1, keepdim=True)[1],
    "sort": lambda x: x.sort(1)[0],
    "cumprod": lambda x: x.cumprod(1),
    "std": lambda x: x / x.std(),
    "matmul": lambda x: x @ x.mT,
    "linear": lambda x: F.linear(x, x),
    "einsum": lambda x: torch.einsum("ni,ni->n", x, x),
    "threshold": lambda x: F.threshold(x, 1.0, 0.0),
    "hardshrink": lambda x: F.hardshrink(x),
    "rand_like": lambda x: x + torch.rand_like(x),
    "scaled_dot_product_attention": lambda x: F.scaled_dot_product_attention(
        x[:, None], x[:, None], x[:, None]
    ),
}


class Nested(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.encoder = nn.ModuleList([nn.Linear(6, 6), nn.Sequential(inner)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.encoder:
            x = layer(x)
        return x


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_piecewise_affine_is_refused_by_name_and_place(name):
    operation = REFUSED[name]
    inner = operation if isinstance(operation, nn.Module) else Call(operation)
    with pytest.raises(NotPiecewiseAffineError) as caught:
        convert(Nested(inner).eval(), (6,))
    assert caught.value.path == "encoder.1.0"
    assert caught.value.operation == name
    assert "start=/stop=" in str(caught.value)


def test_an_lrn_written_by_hand_is_refused():
    def forward(x):
        squares = F.avg_pool3d((x * x)[:, None], (3, 1, 1), stride=1, padding=(1, 0, 0))[:, 0]
        return x / (1 + squares) ** 0.75

    with pytest.raises(NotPiecewiseAffineError, match="product of two computed values"):
        convert(Call(forward).eval(), (4, 5, 5))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x * float(x.max()),
        lambda x: [x, -x][int(x[0, 0])],
    ],
)
def test_data_dependent_control_flow_is_refused_where_it_stands(function, capfd):
    with pytest.raises(NotPiecewiseAffineError) as caught:
        convert(Nested(Call(function)).eval(), (6,))
    assert caught.value.path == "encoder.1.0"
    assert caught.value.operation == "data-dependent control flow"
    assert caught.value.__suppress_context__
    out, err = capfd.readouterr()
    assert not out
    assert not err


def test_a_shape_that_depends_on_data_is_refused():
    with pytest.raises(NotPiecewiseAffineError, match=r"gt in module 'encoder\.1\.0'"):
        convert(Nested(Call(lambda x: x[x > 0])).eval(), (6,))


@pytest.mark.parametrize(
    ("function", "operation", "words"),
    [
        (lambda x: autocast(x), "wrap_with_autocast", "branches, loops and contexts"),
        (lambda x: accumulated(x), "index_put", "adding into entries"),
        (lambda x: x.int() + x, "int", "integers"),
        (lambda x: x.cumsum(1), "cumsum", "or none that polygeom knows"),
    ],
)
def test_affine_operations_out_of_reach_are_refused_too(function, operation, words):
    with pytest.raises(NotPiecewiseAffineError, match=words) as caught:
        convert(Nested(Call(function)).eval(), (6,))
    assert (caught.value.operation, caught.value.path) == (operation, "encoder.1.0")


def test_a_transposed_convolution_stays_one_and_takes_the_constant():
    module = nn.ConvTranspose1d(4, 2, 3, output_padding=1, dilation=2).eval()
    with pytest.raises(ConversionError, match=r"output_padding \(1,\), wanted less than its stride \(1,\)"):
        convert(module, LINE)
    shifted = Call(lambda x: F.conv_transpose1d(x, torch.ones(4, 2, 3, dtype=x.dtype)) + 0.5).eval()
    (step,) = convert(shifted, LINE).steps
    assert isinstance(step, TransposedConvolution)
    assert np.array_equal(np.unique(step.constant), [0.5])


def test_a_transposed_convolution_has_a_rational_value():
    net = convert(randomized(nn.Sequential(nn.ConvTranspose1d(2, 2, 3, 2), nn.ReLU())), (2, 3))
    x = np.random.default_rng(0).standard_normal(net.dim_in)
    value, error = enclose(net, x[None])
    exact = net.exact()(x)
    assert any(exact)
    assert all(abs(Fraction(v) - t) <= Fraction(e) for v, e, t in zip(value[0], error[0], exact, strict=True))


def test_a_constant_matrix_per_entry_is_refused():
    weights = torch.arange(24.0, dtype=torch.float64).reshape(2, 3, 4)
    with pytest.raises(ConversionError, match="batched matrix product"):
        convert(Call(lambda x: x @ weights).eval(), (2, 5, 3))


def autocast(x: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", enabled=False):
        return 2 * x.relu()


def accumulated(x: torch.Tensor) -> torch.Tensor:
    return x.clone().index_put_((torch.tensor([0, 1]), torch.tensor([1, 1])), x[:, 0], accumulate=True)


def test_a_window_of_padding_alone_is_refused():
    with pytest.raises(ConversionError, match="nothing but padding"):
        convert(nn.MaxPool1d(2, 1, 1, 3).eval(), (1, 2))


def test_training_mode_is_refused():
    layers = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    with pytest.raises(InputError, match=r"\.eval\(\)"):
        convert(layers, (3,))
    layers.eval()[1].train()
    with pytest.raises(InputError, match=r"submodule '1' \(Dropout\) is in training mode.*\.eval\(\)"):
        convert(layers, (3,))
    inner = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.BatchNorm1d(3))).eval()
    inner[1][0].train()
    with pytest.raises(InputError, match=r"submodule '1\.0' \(BatchNorm1d\) is in training mode.*\.eval\(\)"):
        convert(inner, (3,))
    with pytest.raises(InputError, match=r"dropout in module ''.*training=self.training"):
        convert(Call(lambda x: F.dropout(x)).eval(), (3,))
    with pytest.raises(InputError, match="dropout in module"):
        convert(Call(lambda x: F.dropout(x).relu_()).eval(), (3,))  # functional before it is lowered
    norm = nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False)).eval()
    with pytest.raises(InputError, match="track_running_stats"):
        convert(norm, (3,))


class HalfWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.1, 1, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight.half()


@pytest.mark.parametrize(
    ("module", "dtype", "operation", "target"),
    [
        (Call(lambda x: x.half().float()), torch.float32, "half", "float16"),
        (Call(lambda x: x.to(torch.bfloat16).relu()), torch.float32, "to", "bfloat16"),
        (Call(lambda x: x.double().half()), torch.float32, "half", "float16"),
        (Call(lambda x: x.float().double()), torch.float64, "float", "float32"),
        (Call(lambda x: x.type_as(torch.zeros(1)).relu_()), torch.float64, "type_as", "float32"),
        (Call(lambda x: x.sum(1, dtype=torch.float16)), torch.float32, "sum", "float16"),
        (HalfWeight(), torch.float32, "half", "float16"),
    ],
)
def test_a_cast_to_fewer_digits_is_refused(module, dtype, operation, target):
    with pytest.raises(NotPiecewiseAffineError, match=f"a cast to {target} rounds") as caught:
        from_torch(Nested(module).to(dtype).eval(), torch.zeros(1, 6, dtype=dtype))
    assert (caught.value.operation, caught.value.path) == (operation, "encoder.1.0")


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_cast_that_keeps_the_precision_of_the_module_is_the_identity(dtype):
    module = Call(lambda x: 3 * x.double().relu().to(dtype).to(x.dtype)).eval()
    net = from_torch(module, torch.zeros(1, 6, dtype=dtype))
    assert np.array_equal(net(np.arange(-3.0, 3)), 3 * np.maximum(np.arange(-3.0, 3), 0))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_parameters_that_are_no_numbers_are_named(bad):
    module = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1)).eval()
    module[2].bias.data[0] = bad
    with pytest.raises(InputError, match=r"parameter '2\.bias' holds (nan|inf)"):
        convert(module, (3,))
    assert convert(module, (3,), stop="1").n_units == 3  # outside of the cut it does not matter


def test_a_wrong_example_is_explained(capfd):
    module = nn.Sequential(nn.Linear(3, 3), nn.ReLU()).eval()
    with pytest.raises(InputError, match=r"shape \(2, 4\).*in module '0'") as caught:
        from_torch(module, torch.zeros(2, 4))
    assert caught.value.__cause__ is None
    assert not capfd.readouterr().err
    with pytest.raises(InputError, match="holds no entry"):
        from_torch(module, torch.zeros(0, 3))
    with pytest.raises(InputError, match="2 tensors"):
        from_torch(module, (torch.zeros(1, 3), torch.zeros(1, 3)))
    with pytest.raises(InputError, match="dtype"):
        from_torch(module, ["a"])
    with pytest.raises(InputError, match="start=1: wanted the dotted name"):
        from_torch(module, torch.zeros(1, 3), start=1)
    with pytest.raises(InputError, match=r"stop=.*wanted the dotted name"):
        from_torch(module, torch.zeros(1, 3), stop=["1"])
    with pytest.raises(InputError, match=r"nn\.Module"):
        from_torch(torch.relu, torch.zeros(1, 3))


def test_parameters_without_values_are_named():
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(3, 3)).eval()
    with pytest.raises(InputError, match=r"parameter '0\.\w+' is on the meta device"):
        convert(module, (3,))


def test_several_outputs_need_a_stop():
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 2), nn.Linear(3, 1)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.a(x), self.b(x)

    with pytest.raises(ConversionError, match=r"returns 2 values.*stop="):
        convert(Pair().eval(), (3,))
    assert convert(Pair().eval(), (3,), stop="b").dim_out == 1


def test_a_constant_output_is_refused():
    with pytest.raises(ConversionError, match="does not depend on the input"):
        convert(Call(lambda x: torch.ones_like(x)).eval(), (3,))


def test_division_by_zero_and_infinite_constants_are_refused():
    with pytest.raises(InputError, match="Division by zero"):
        convert(Call(lambda x: x / 0).eval(), (3,))
    with pytest.raises(InputError, match="inf"):
        convert(Call(lambda x: x.masked_fill(torch.arange(3) > 1, -torch.inf)).eval(), (3,))


# -- the check -------------------------------------------------------------------------------------------------


def test_the_check_sees_a_difference_of_a_few_roundings():
    net = convert(randomized(nn.Sequential(nn.Linear(6, 4), nn.ReLU())), VECTOR)
    x = np.random.default_rng(0).standard_normal((2, 6))
    right = {0: x, 1: net.steps[0].forward(x), 2: np.maximum(net.steps[0].forward(x), 0)}
    _compare_steps(net, right, {}, np.float64)
    for k in (1, 2):
        wrong = {**right, k: right[k] + 2.0**-30}
        with pytest.raises(ConversionError, match=f"disagrees with the original in module '{k - 1}'"):
            _compare_steps(net, wrong, {}, np.float64)
    with pytest.raises(ConversionError, match="nan"):
        _compare_steps(net, {**right, 1: right[1] * np.nan}, {}, np.float64)


def test_the_check_catches_a_wrong_conversion(monkeypatch):
    from polygeom.models.convert import torch_ops

    monkeypatch.setitem(
        torch_ops.HANDLERS, "leaky_relu", lambda b, x, slope=0.01: b.gate(x, "leaky_relu", 2 * slope)
    )
    with pytest.raises(ConversionError, match="disagrees with the original in module '1'"):
        convert(nn.Sequential(nn.Linear(6, 4), nn.LeakyReLU()).eval(), VECTOR)


def test_a_module_that_reads_tokens_is_told_what_to_convert_instead():
    module = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2), nn.ReLU()).eval()
    with pytest.raises(InputError, match=r"embeddings.*mlp_block"):
        from_torch(module, torch.zeros(1, 4, dtype=torch.long))
