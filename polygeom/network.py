"""A network: a graph of linear steps and gates in execution order, with named units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np

from polygeom.arrays import as_array, as_matrix, as_vector
from polygeom.errors import InputError
from polygeom.gates import Elementwise, Gate, elementwise_gate
from polygeom.graph import Graph
from polygeom.rational_network import RationalNetwork
from polygeom.steps import Dense, LinearStep, Step

__all__ = ["Network", "as_network"]


@dataclass(frozen=True, eq=False)
class Network(Graph):
    """A piecewise-affine network R^dim_in -> R^dim_out.

    The network is exactly the function of its stored float64 parameters (rational divisors of average pools
    included): everything proved at level EXACT is proved for that function.

    Parameters
    ----------
    steps : tuple of Step
        In execution order; step k makes value k + 1, value 0 is the input.
    input_shape : tuple of int
        Shape of one input, without batch axis. Points are flat vectors everywhere but in `__call__`.
    output : int
        The value that is the network's output; the last one by default.

    Examples
    --------
    >>> net = Network.from_layers([([[1, -1], [1, 1]], [0, 0]), ([[1, 2]], [0.5])])
    >>> net([2, 1])
    array([7.5])
    >>> net.n_units, net.units[1].channel
    (2, 1)
    """

    def __repr__(self) -> str:
        kinds = {g.name if isinstance(g, Elementwise) else "max" for g in self.gates}
        units = f"{self.n_units} units ({', '.join(sorted(kinds))})" if kinds else "no units"
        return f"Network(R^{self.dim_in} -> R^{self.dim_out}, {units}, {len(self.steps)} steps)"

    @cached_property
    def gate_names(self) -> tuple[str, ...]:
        """A name for every gate: the path of its module, numbered, ``path:0``, where several gates share it."""
        paths = [g.path for g in self.gates]
        return tuple(p if paths.count(p) == 1 else f"{p}:{paths[:i].count(p)}" for i, p in enumerate(paths))

    # -- makers ------------------------------------------------------------------------------------------

    @classmethod
    def from_layers(
        cls, layers: Iterable[tuple[object, object]], activation: str = "relu", *parameters: object
    ) -> Network:
        """Return the dense network of (weight, bias) pairs with one activation between them.

        Parameters
        ----------
        layers : sequence of (W, b)
            W is (out, in), b (out,) or None. No activation follows the last pair.
        activation : str
            A name `polygeom.gates.elementwise_gate` knows, with its parameters.

        Raises
        ------
        InputError
            If the layers are no pairs or their shapes do not chain, on NaN or infinities, an unknown activation
            or parameters that do not fit it.
        """
        pairs = _pairs(layers)
        steps: list[Step] = []
        width = pairs[0][0].shape[1]
        gate = elementwise_gate(activation, *parameters)
        for i, (W, b) in enumerate(pairs):
            if W.shape[1] != width:
                raise InputError(f"W{i + 1} has {W.shape[1]} columns, but {width} values arrive.")
            bias = None if b is None else as_vector(b, f"b{i + 1}", W.shape[0])
            at = {"inputs": (len(steps),), "shapes": ((width,),), "shape": (W.shape[0],), "path": str(i)}
            steps.append(Dense(weight=W, constant=bias, **at))
            width = W.shape[0]
            if i < len(pairs) - 1:
                at = {"inputs": (len(steps),), "shapes": ((width,),), "shape": (width,), "path": f"{i}.gate"}
                steps.append(Elementwise(**gate, **at))
        return cls(tuple(steps), (pairs[0][0].shape[1],))

    # -- evaluation --------------------------------------------------------------------------------------

    def shaped(self, x: object, name: str = "x") -> tuple[np.ndarray, bool]:
        """Return inputs as (N, *input_shape) and whether a single one was given.

        Accepted: (n,), (N, n), the input's own shape, or a batch of it.

        Raises
        ------
        InputError
            On any other shape, NaN or infinities.
        """
        array = as_array(x, name)
        own, flat = self.input_shape, (self.dim_in,)
        for shape, single in ((own, True), (flat, True), (own, False), (flat, False)):
            if array.shape[0 if single else 1 :] == shape and array.ndim == len(shape) + (not single):
                return array.reshape(1 if single else len(array), *own), single
        raise InputError(
            f"{name} has shape {array.shape}, wanted ({self.dim_in},), (N, {self.dim_in}), "
            f"{own} or (N, {', '.join(map(str, own))})."
        )

    def flat_point(self, x: object, name: str = "x") -> np.ndarray:
        """Return one input, flat or in the input's own shape, as (dim_in,).

        Raises
        ------
        InputError
            On any other shape, a batch too, NaN or infinities.
        """
        array = as_array(x, name)
        if array.shape not in (self.input_shape, (self.dim_in,)):
            shapes = dict.fromkeys([(self.dim_in,), self.input_shape])
            raise InputError(
                f"{name} has shape {array.shape}, wanted one point: {' or '.join(map(str, shapes))}. "
                "Likely cause: a batch, or axes in another order (channels come first)."
            )
        return array.reshape(-1)

    def __call__(self, x: object) -> np.ndarray:
        """Return the outputs, (dim_out,) for one input or (N, dim_out), in float64.

        Raises
        ------
        InputError
            If x has another shape, holds NaN or infinities, or a value on the way overflows float64.
        """
        inputs, single = self.shaped(x)
        with np.errstate(over="ignore", invalid="ignore"):  # refused by name in `_finite`
            outputs = self.fold(inputs, _forward, _open).reshape(len(inputs), self.dim_out)
        return outputs[0] if single else outputs

    @cached_property
    def _rational(self) -> RationalNetwork:
        return RationalNetwork(self)

    def exact(self) -> RationalNetwork:
        """Return the same network over the rationals; made once, kept, its matrices built when first read."""
        return self._rational

    # -- identity ----------------------------------------------------------------------------------------

    @cached_property
    def fingerprint(self) -> str:
        """A hash of structure and parameters, the same for equal steps, whatever these are called.

        Examples
        --------
        >>> net = Network.from_layers([([[1, -1]], [0]), ([[2]], None)])
        >>> again = Network.from_layers([([[1, -1]], [0]), ([[2]], None)])
        >>> other = Network.from_layers([([[1, -1]], [0]), ([[3]], None)])
        >>> net.fingerprint == again.fingerprint, net.fingerprint == other.fingerprint
        (True, False)
        """
        digest = sha256(repr((self.input_shape, self.output)).encode())
        for step in self.steps:
            for part in _described(step):
                digest.update(part)
        return digest.hexdigest()

    def is_same(self, other: Network) -> bool:
        """Tell whether another network has the same steps and parameters. Cost: a hash of both, kept."""
        return self is other or self.fingerprint == other.fingerprint


_NAMES_ONLY = {"path", "call", "first_column", "name"}
"""What a step is called, which does not change the function."""


def _described(value: object) -> Iterator[bytes]:
    """Yield bytes that tell a step, an array or a number apart from others."""
    if is_dataclass(value):
        yield type(value).__name__.encode()
        for f in fields(value):
            if f.name not in _NAMES_ONLY:
                yield f.name.encode()
                yield from _described(getattr(value, f.name))
    elif hasattr(value, "indptr"):  # a sparse matrix
        for part in (value.data, value.indices, value.indptr):
            yield from _described(part)
    elif isinstance(value, np.ndarray):
        plain = value.astype(np.float64) if value.dtype.kind == "f" else value.astype(np.int64)
        yield repr(plain.shape).encode() + np.ascontiguousarray(plain).tobytes()
    else:
        yield repr(value).encode()


def _pairs(layers: object) -> list[tuple[np.ndarray, object]]:
    """Return (weight, bias) pairs, the weights as matrices."""
    wanted = "wanted a sequence of (weight, bias) pairs"
    if not isinstance(layers, Iterable):
        raise InputError(f"from_layers got {layers!r}, {wanted}.")
    pairs = []
    for i, pair in enumerate(layers, start=1):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            kind = type(pair).__name__
            got = f"a {kind} of {len(pair)}" if isinstance(pair, tuple | list) else f"of type {kind}"
            raise InputError(f"Layer {i} is {got}, {wanted}; the bias may be None.")
        pairs.append((as_matrix(pair[0], f"W{i}"), pair[1]))
    if not pairs:
        raise InputError("from_layers got no layers; give at least one (weight, bias) pair.")
    return pairs


def _forward(step: LinearStep, *values: np.ndarray) -> np.ndarray:
    return _finite(step, step.forward(*values))


def _open(gate: Gate, value: np.ndarray) -> np.ndarray:
    """Return the gate's float output."""
    letters = gate.read(value)
    if isinstance(gate, Elementwise):
        opened = gate.chosen(gate.slopes, letters) * value + gate.chosen(gate.offsets, letters)
        return _finite(gate, opened)
    flat = value.reshape(len(value), int(np.prod(value.shape[1:], dtype=np.int64)))
    return np.take_along_axis(flat, gate.winners(letters), axis=1).reshape(len(value), *gate.shape)


def _finite(step: Step, value: np.ndarray) -> np.ndarray:
    """Return the value a step makes, refused where it overflows: a later unit could hide the overflow."""
    if not np.isfinite(value).all():
        row = int(np.argwhere(~np.isfinite(value))[0][0])
        where = f" of module '{step.path}'" if step.path else ""
        raise InputError(
            f"At input {row} a value{where} overflows float64: the true value is beyond 1.8e308, or sums on the "
            "way to it are. Give a smaller input, or ask net.exact() for the rational value."
        )
    return value


def as_network(value: object) -> Network:
    """Return a network; refuse what is none, a torch module for example."""
    if isinstance(value, Network):
        return value
    raise InputError(
        f"net is a {type(value).__name__}, wanted a Network. Likely cause: a module or a file that was not "
        "converted. Remedy: polygeom.from_torch(module, example_input), from_onnx or Network.from_layers."
    )
