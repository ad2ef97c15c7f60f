r"""What affine maps account for: the best one from every layer to the output, beside the network itself.

A statement about polytopes means little where one affine map says as much. For the input and for what leaves
every gate, the affine map to the output is fitted by least squares on half of the data and judged on the other
half. What it leaves unexplained is the share that needs the polytopes of the layers behind: of the output's
variance, of the classes, and of the changes of class. Changes of class are exact: on segments between held-out
points of different classes the network's are those of `polygeom.line_crossings`, and so are the affine map's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from polygeom.arrays import as_count, as_generator, as_points, freeze
from polygeom.errors import InputError
from polygeom.gates import Gate
from polygeom.lens.saved import Saved
from polygeom.lines.segments import line_crossings
from polygeom.network import Network, as_network

__all__ = ["LinearBaseline", "layer_values", "linear_baseline"]


@dataclass(frozen=True, eq=False)
class LinearBaseline(Saved):
    """The best affine map to the output from the input and from every gate, on points that were not fitted to.

    Attributes
    ----------
    layers : tuple of str
        ``"input"``, then the paths of the gates.
    widths : (L,) integer array
        Number of values the map reads.
    unexplained : (L,) array
        Share of the output's variance that it misses; above 1 is worse than the mean.
    fitted : (L,) array
        The same on the points fitted to: far below `unexplained` means too few points.
    class_errors : (L,) array
        Share of the points to which it gives another class than the network.
    pair_errors : (L,) array
        Share of pairs of points of different classes for one of which it gives another class.
    changes, reproduced : int
        Class changes of the network on segments between held-out points of different classes, and how many of
        them (from this class to that one, wherever on the segment) the affine map from the input has, too.
    n_fitted, n_held : int
    """

    layers: tuple[str, ...]
    widths: np.ndarray
    unexplained: np.ndarray
    fitted: np.ndarray
    class_errors: np.ndarray
    pair_errors: np.ndarray
    changes: int
    reproduced: int
    n_fitted: int
    n_held: int

    @property
    def missed_changes(self) -> float:
        """Share of the class changes on segments that the affine map from the input does not have."""
        return 1.0 - self.reproduced / self.changes if self.changes else float("nan")

    def __str__(self) -> str:
        rows = zip(self.layers, self.unexplained, self.class_errors, self.pair_errors, strict=True)
        lines = [
            f"{name}: {u:.1%} of the variance, {c:.1%} of the classes, {p:.1%} of the pairs"
            for name, u, c, p in rows
        ]
        return "\n".join(
            [
                f"What the best affine map misses, on {self.n_held} points not fitted to:",
                *lines,
                f"on segments, from the input: {self.missed_changes:.1%} of {self.changes} class changes",
            ]
        )


def layer_values(net: Network, X: np.ndarray) -> dict[str, np.ndarray]:
    """Return the input and what leaves every gate, flat, (N, width) each. Cost: a forward pass for each gate.

    Examples
    --------
    >>> net = Network.from_layers([([[1.0], [-1.0]], [0, 0]), ([[1, 1]], [0])])
    >>> layer_values(net, np.array([[2.0]]))
    {'input': array([[2.]]), '0.gate': array([[2., 0.]])}
    """
    values = {"input": X}
    for k, step in enumerate(net.steps, start=1):
        if isinstance(step, Gate):
            name = step.path or f"step {k}"
            values[f"{name} (call {step.call})" if name in values else name] = Network(
                net.steps[:k], net.input_shape
            )(X)
    return values


def linear_baseline(
    net: Network, inputs: object, rng: np.random.Generator, *, n_pairs: int = 1000, n_segments: int = 50
) -> LinearBaseline:
    """Fit affine maps from every layer to the output on half of the data, and judge them on the other half.

    Parameters
    ----------
    net : Network
    inputs : (N, dim_in) array
    rng : numpy.random.Generator
        Halves the data, and draws pairs and segments.
    n_pairs, n_segments : int
        Pairs of held-out points of different classes, and how many of them are joined by a segment.

    Raises
    ------
    InputError
        If half of the data are fewer than the widest layer's values and a constant (an affine map would fit
        them whatever they are), or if the output is constant.

    Notes
    -----
    Cost: least squares at every layer, and an exact sweep of every segment.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> net = Network.from_layers([([[1.0], [-1.0]], [0, 0]), ([[1, 1], [0, 0]], [0, 1])])
    >>> found = linear_baseline(net, rng.standard_normal((200, 1)), rng)
    >>> found.layers, found.unexplained.round(1)  # |x| is not affine in x; behind the gate it is
    (('input', '0.gate'), array([1., 0.]))
    """
    as_network(net)
    as_generator(rng)
    as_count(n_pairs, "n_pairs"), as_count(n_segments, "n_segments")
    X = as_points(inputs, "inputs", net.dim_in)
    order = rng.permutation(len(X))
    fitted, held = order[::2], order[1::2]
    output, values = net(X), layer_values(net, X)
    _check(values, output, len(held))
    classes = output.argmax(axis=1)
    pairs = _pairs(classes, held, rng, n_pairs)
    columns, maps = [], []
    for value in values.values():
        weights = np.linalg.lstsq(_homogeneous(value[fitted]), output[fitted], rcond=None)[0]
        guess = _homogeneous(value) @ weights
        wrong = guess.argmax(axis=1) != classes
        columns.append(
            (
                value.shape[1],
                _missed(output[held], guess[held], output[fitted].mean(axis=0)),
                _missed(output[fitted], guess[fitted], output[fitted].mean(axis=0)),
                wrong[held].mean(),
                wrong[pairs].any(axis=1).mean() if len(pairs) else np.nan,
            )
        )
        maps.append(weights)
    affine = Network.from_layers([(maps[0][:-1].T, maps[0][-1])])
    changes, reproduced = _changes(net, affine, X, pairs[:n_segments])
    widths, *shares = (np.array(column) for column in zip(*columns, strict=True))
    arrays = (freeze(a) for a in (widths, *shares))
    counts = {"changes": changes, "reproduced": reproduced, "n_fitted": len(fitted), "n_held": len(held)}
    return LinearBaseline(tuple(values), *arrays, **counts)


def _check(values: dict[str, np.ndarray], output: np.ndarray, n: int) -> None:
    widest = max(values, key=lambda name: values[name].shape[1])
    if n <= values[widest].shape[1] + 1:
        raise InputError(
            f"{n} points are fitted to, but '{widest}' has {values[widest].shape[1]} values: an affine map fits "
            "any output on so few points. Give more than twice as many inputs as the widest layer has values, or "
            "a part of the network."
        )
    if not np.ptp(output, axis=0).any():
        raise InputError("The output is the same at all inputs: there is nothing to explain.")


def _homogeneous(values: np.ndarray) -> np.ndarray:
    return np.column_stack([values, np.ones(len(values))])


def _missed(output: np.ndarray, guess: np.ndarray, mean: np.ndarray) -> float:
    """Return the share of the variance around a mean that a guess misses."""
    return float(((output - guess) ** 2).sum() / ((output - mean) ** 2).sum())


def _pairs(classes: np.ndarray, held: np.ndarray, rng: np.random.Generator, n: int) -> np.ndarray:
    """Return up to n pairs (n, 2) of held-out points of different classes; none if there is one class only."""
    drawn = rng.choice(held, (8 * n, 2))
    return drawn[classes[drawn[:, 0]] != classes[drawn[:, 1]]][:n]


def _changes(net: Network, affine: Network, X: np.ndarray, pairs: np.ndarray) -> tuple[int, int]:
    """Return the network's class changes on segments, and how many of them the affine map has, too."""
    changes = reproduced = 0
    for a, b in pairs:
        own, others = (_transitions(one, X[a], X[b]) for one in (net, affine))
        changes += own.total()
        reproduced += (own & others).total()
    return changes, reproduced


def _transitions(net: Network, a: np.ndarray, b: np.ndarray) -> Counter:
    """Return how often each class follows each other one on a segment."""
    classes = line_crossings(net, a, b, classes=True).classes.tolist()
    return Counter(pairwise(classes))
