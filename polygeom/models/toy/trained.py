r"""Toys that were trained: handwritten digits and two spirals, with snapshots along the way.

Full-batch Adam (Kingma and Ba 2015) on the cross-entropy, in float64 on one thread, from `he` weights: the same
seed gives the same networks, bit by bit on one machine. All takes seconds. Nothing is known about the number of
their cells but the bounds that hold for all networks of these widths.

Needs torch; the digits come with scikit-learn (``pip install 'polygeom[lens]'``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from polygeom.arrays import freeze
from polygeom.errors import InputError, MissingPackageError
from polygeom.models.toy.random_weights import he_layers
from polygeom.network import Network

if TYPE_CHECKING:
    import torch

__all__ = ["Training", "digits", "two_spirals"]

LEARNING_RATE = 0.003

DATA, WEIGHTS, LABELS = range(3)
"""What is drawn, each from a stream of its own: real and permuted labels share images and first weights."""


@dataclass(frozen=True, eq=False)
class Training:
    """Networks along a training.

    Attributes
    ----------
    steps : (S,) integer array
        Steps of the optimizer after which networks were kept, ascending.
    networks : tuple of S Network
        Outputs are logits.
    loss, accuracy : (S,) arrays
        Mean cross-entropy and share of correct answers on the inputs, with the labels trained on.
    held_out : (S,) array
        Share of correct answers, by the true classes, on inputs that were not trained on; NaN if there are none.
    inputs : (N, d) array
        What was trained on.
    classes, labels : (N,) integer arrays
        The true classes; and the labels trained on, which permuted labels tell apart.
    """

    steps: np.ndarray
    networks: tuple[Network, ...]
    loss: np.ndarray
    accuracy: np.ndarray
    held_out: np.ndarray
    inputs: np.ndarray
    classes: np.ndarray
    labels: np.ndarray

    def __repr__(self) -> str:
        return (
            f"Training({self.networks[-1]!r}, {len(self.networks)} networks up to step {self.steps[-1]}, "
            f"loss {self.loss[-1]:.3g}, accuracy {self.accuracy[-1]:.3g})"
        )


def digits(
    widths: Sequence[int] = (24, 24, 24),
    labels: str = "real",
    seed: int = 0,
    *,
    at: Sequence[int] = (0, 30, 300),
    images: int = 500,
) -> Training:
    """Train a network on the handwritten digits of scikit-learn: 8 x 8 pixels between 0 and 1, ten classes.

    Parameters
    ----------
    widths : sequence of int
        Sizes of the hidden layers.
    labels : str
        ``"real"``, or ``"permuted"``: the labels of the training images are shuffled among them, so there is
        nothing to learn but each image by heart (Zhang et al. 2017).
    seed : int
        From which images, first weights and permutation are drawn; the first two are the same for both labels.
    at : sequence of int
        Steps after which a network is kept, ascending; 0 is the one before training. The last ends the training.
    images : int
        How many of the 1797 images are trained on; the others are held out.

    Raises
    ------
    InputError
        On unknown labels, steps that do not ascend, or too many images.
    MissingPackageError
        If scikit-learn is not installed.

    Examples
    --------
    >>> training = digits((8,), at=(0, 20), images=200)
    >>> training.networks[-1], training.inputs.shape
    (Network(R^64 -> R^10, 8 units (relu), 3 steps), (200, 64))
    >>> bool(training.loss[1] < training.loss[0])
    True
    """
    if labels not in ("real", "permuted"):
        raise InputError(f"labels is {labels!r}, wanted 'real' or 'permuted'.")
    pixels, classes = _load_digits()
    if not 1 <= images <= len(pixels):
        raise InputError(f"images is {images}, wanted between 1 and {len(pixels)}.")
    order = _stream(seed, DATA).permutation(len(pixels))
    chosen, rest = order[:images], order[images:]
    learned = classes[chosen]
    if labels == "permuted":
        learned = _stream(seed, LABELS).permutation(learned)
    samples = _Samples(pixels[chosen], classes[chosen], learned, pixels[rest], classes[rest])
    return _train((pixels.shape[1], *widths, 10), samples, at, _stream(seed, WEIGHTS))


def two_spirals(
    widths: Sequence[int] = (16, 16),
    seed: int = 0,
    *,
    at: Sequence[int] = (0, 100, 1000),
    points: int = 97,
    turns: float = 1.5,
) -> Training:
    r"""Train a network to tell two spirals in the plane apart.

    Point k of the first spiral lies at radius :math:`(k + 1) / n` and angle :math:`2 \pi` times turns times the
    radius; the second spiral is the first one turned by half a circle. Nothing is held out.

    Parameters
    ----------
    widths : sequence of int
        Sizes of the hidden layers.
    seed : int
        From which the first weights are drawn.
    at : sequence of int
        Steps after which a network is kept, ascending; 0 is the one before training. The last ends the training.
    points : int
        On each spiral.
    turns : float
        Of each spiral around the origin.

    Raises
    ------
    InputError
        On steps that do not ascend, or no points.

    References
    ----------
    Lang and Witbrock 1988, Learning to tell two spirals apart (97 points on each).

    Examples
    --------
    >>> training = two_spirals((8,), at=(0, 20))
    >>> training.networks[0], training.inputs.shape
    (Network(R^2 -> R^2, 8 units (relu), 3 steps), (194, 2))
    """
    if points < 1:
        raise InputError(f"points is {points}, wanted at least 1.")
    radius = np.arange(1, points + 1) / points
    angle = 2 * np.pi * turns * radius
    spiral = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    classes = np.repeat([0, 1], points)
    nothing = np.empty((0, 2)), np.empty(0, dtype=np.intp)
    samples = _Samples(np.vstack([spiral, -spiral]), classes, classes, *nothing)
    return _train((2, *widths, 2), samples, at, _stream(seed, WEIGHTS))


def _load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (1797, 64) between 0 and 1, and classes."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingPackageError("The dataset of digits", "scikit-learn", extra="lens") from None
    pixels, classes = load_digits(return_X_y=True)
    return pixels / 16.0, classes.astype(np.intp)


def _stream(seed: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng([seed, purpose])


# -- training ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Samples:
    """What is trained on, and what is held out."""

    inputs: np.ndarray
    classes: np.ndarray
    labels: np.ndarray
    held_inputs: np.ndarray
    held_classes: np.ndarray


def _train(widths: Sequence[int], samples: _Samples, at: Sequence[int], rng: np.random.Generator) -> Training:
    """Train a network of these widths; keep it after every step of `at`."""
    import torch

    steps = _ascending(at)
    with _one_thread():
        layers = [(_leaf(W), _leaf(b)) for W, b in he_layers(widths, rng)]
        optimizer = torch.optim.Adam([p for layer in layers for p in layer], lr=LEARNING_RATE)
        inputs, labels = torch.tensor(samples.inputs), torch.tensor(samples.labels)
        networks, loss = [], []
        for step in range(steps[-1] + 1):
            entropy = torch.nn.functional.cross_entropy(_logits(layers, inputs), labels)
            if step in steps:
                networks.append(_network(layers))
                loss.append(entropy.item())
            optimizer.zero_grad()
            entropy.backward()
            optimizer.step()
    return Training(
        steps=freeze(np.array(steps)),
        networks=tuple(networks),
        loss=freeze(np.array(loss)),
        accuracy=_accuracies(networks, samples.inputs, samples.labels),
        held_out=_accuracies(networks, samples.held_inputs, samples.held_classes),
        inputs=freeze(samples.inputs),
        classes=freeze(samples.classes),
        labels=freeze(samples.labels),
    )


def _ascending(at: Sequence[int]) -> list[int]:
    steps = [int(step) for step in at]
    if not steps or steps[0] < 0 or any(b <= a for a, b in pairwise(steps)):
        raise InputError(f"at is {tuple(at)}, wanted steps from 0 on, ascending, at least one.")
    return steps


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch add up in one order, whatever the number of cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _leaf(array: np.ndarray) -> torch.Tensor:
    import torch

    return torch.tensor(array, requires_grad=True)


def _logits(layers: list[tuple[torch.Tensor, torch.Tensor]], x: torch.Tensor) -> torch.Tensor:
    *hidden, (W, b) = layers
    for weight, bias in hidden:
        x = (x @ weight.T + bias).relu()
    return x @ W.T + b


def _network(layers: list[tuple[torch.Tensor, torch.Tensor]]) -> Network:
    return Network.from_layers([(W.detach().numpy().copy(), b.detach().numpy().copy()) for W, b in layers])


def _accuracies(networks: list[Network], inputs: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the share of inputs whose largest logit is that of their class, for every network."""
    if not len(inputs):
        return freeze(np.full(len(networks), np.nan))
    return freeze(np.array([(net(inputs).argmax(axis=1) == classes).mean() for net in networks]))
