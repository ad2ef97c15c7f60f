"""Copies on a line: entries that are numbered alike are alike, and their ties leave less undecided."""

from __future__ import annotations

import numpy as np
import pytest

from polygeom.affine import AffineMap
from polygeom.lines import sweep
from polygeom.lines.copies import copies
from polygeom.network import Network, _forward, _open
from tests.test_lines import CONVOLUTIONAL, assert_right_outside_bands, torch_net, without_rationals


def flat_images(rng: np.random.Generator, *, exact: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return two images of 4 x 4 that are flat but for 1 to 3 pixels; float colors never pass one another."""
    pixel = tuple(rng.integers(0, 4, (2, rng.integers(1, 4))))

    def one() -> np.ndarray:
        colors = rng.integers(-3, 4, 4).astype(np.float64) if exact else rng.uniform(range(4), range(1, 5))
        image = np.full((4, 4), colors[0])
        image[pixel] = colors[1 : len(pixel[0]) + 1]
        return image.ravel()

    return one(), one()


def values_of(net: Network, x: np.ndarray) -> list[np.ndarray]:
    """Return the input's and every step's entries at points."""
    found = [x.reshape(len(x), -1)]

    def kept(value: np.ndarray) -> np.ndarray:
        found.append(value.reshape(len(x), -1))
        return value

    net.fold(
        x.reshape(len(x), *net.input_shape),
        lambda step, *values: kept(_forward(step, *values)),
        lambda gate, value: kept(_open(gate, value)),
    )
    return found


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_entries_with_equal_numbers_are_equal_everywhere(name):
    found = 0
    for seed in range(20):
        net = torch_net(name, seed, exact=True)
        rng = np.random.default_rng(seed)
        line = AffineMap.segment(*flat_images(rng, exact=True))
        at = values_of(net, line(np.arange(-3.0, 4.0)[:, None]))
        for numbers, values in zip(copies(net, line), at, strict=True):
            if numbers is not None:
                for number in np.unique(numbers):
                    same = values[:, numbers == number]
                    assert (same == same[:, :1]).all()
                found += len(numbers) - len(np.unique(numbers))
    assert found > 100


@pytest.mark.parametrize("name", ["max-pool", "overlapping max-pools", "pool before the ReLU"])
def test_known_copies_leave_less_undecided_without_rationals(name, monkeypatch):
    def undecided() -> float:
        total = 0.0
        for seed in range(6):
            net = torch_net(name, seed)
            hits = without_rationals(net, *flat_images(np.random.default_rng(seed), exact=False))
            assert_right_outside_bands(hits, net)
            total += sum((band.high - band.low) * len(band.units) for band in hits.undecided)
        return total

    with_copies = undecided()
    monkeypatch.setattr(sweep, "copies", lambda net, line: [None] * (len(net.steps) + 1))
    assert with_copies < 0.01 * undecided()
