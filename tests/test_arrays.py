"""The gate for data refuses what is not a finite real array, and keeps what it takes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from polygeom.arrays import as_array, as_generator, as_matrix, as_points, as_vector, brief_repr
from polygeom.errors import InputError


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1.0, np.nan], "nan at index"),
        ([[1.0], [np.inf]], "inf at index"),
        ([[1, 2], [3]], "rectangular"),
        (["a"], "dtype"),
        ([1 + 2j], "dtype"),
        ([2**53 + 1], "above 2\\*\\*53"),
        (None, "dtype"),
    ],
)
def test_bad_values_are_named(value: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        as_array(value, "x")


def test_wrong_shapes_say_what_was_wanted() -> None:
    with pytest.raises(InputError, match=r"wanted \(3,\)"):
        as_vector([1, 2], "b", 3)
    with pytest.raises(InputError, match=r"wanted \(rows, 4\)"):
        as_matrix(np.ones((2, 3)), "A", 4)
    with pytest.raises(InputError, match="points are rows"):
        as_points(np.ones((2, 3)), "X", 2)


def test_arrays_are_owned_and_read_only() -> None:
    mine = np.ones(3)
    kept = as_array(mine, "x")
    mine[0] = 5
    assert kept[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 2


def test_a_read_only_array_is_not_copied() -> None:
    kept = as_array(np.ones(3), "x")
    assert np.shares_memory(as_array(kept, "x"), kept)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, np.uint16, bool])
def test_other_real_types_are_taken_exactly(dtype: type) -> None:
    assert as_array(np.array([0, 1], dtype=dtype), "x").dtype == np.float64


def test_torch_tensors_are_taken() -> None:
    import torch

    assert np.array_equal(as_array(torch.ones(2, requires_grad=True), "x"), [1.0, 1.0])


@pytest.mark.parametrize("mask", [[False, True], False])
def test_masked_arrays_are_refused(mask: object) -> None:
    with pytest.raises(InputError, match=r"x is a masked array.*filled"):
        as_array(np.ma.array([1.0, 2.0], mask=mask), "x")


def test_tensors_that_are_no_arrays_are_refused() -> None:
    import torch

    for tensor in (
        torch.ones(2, dtype=torch.bfloat16),
        torch.ones(2).to_sparse(),
        torch.ones(2, device="meta"),
    ):
        with pytest.raises(InputError, match="x is not a rectangular array of numbers"):
            as_array(tensor, "x")


def test_long_arrays_are_shown_by_their_shape():
    @dataclass(frozen=True)
    class Record:
        short: np.ndarray
        long: np.ndarray
        hidden: int = field(default=3, repr=False)

        __repr__ = brief_repr

    assert (
        repr(Record(np.zeros(2), np.zeros((9, 2))))
        == "Record(short=array([0., 0.]), long=array of shape (9, 2))"
    )


def test_a_seed_is_no_generator():
    with pytest.raises(InputError, match=r"default_rng\(seed\)"):
        as_generator(0)
    assert as_generator(rng := np.random.default_rng(0)) is rng
