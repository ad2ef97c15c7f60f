"""Where the batch lies in a traced tensor, and what belongs to one input.

A front end traces its program on a batch of N inputs. The network is the function of one input, so for every
computed tensor polygeom keeps which entries belong to which input: along one `axis` the tensor holds N runs of
`fold` rows, run s belonging to input s (``x.view(-1, C)`` folds tokens into the batch: fold is their number).
A trace of one input may have lost the axis (`squeeze`); then `axis` is None and the tensor is the input's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polygeom.errors import ConversionError

__all__ = ["BatchMixedError", "Traced", "find_batch"]


class BatchMixedError(ConversionError):
    """An operation mixes the inputs of a batch: read that way, the program is not a function of one input."""


@dataclass(frozen=True)
class Traced:
    """A computed tensor of the traced program.

    Attributes
    ----------
    number : int
        The network's value that holds it.
    shape : tuple of int
        Its shape in the trace, batch included.
    batch : int
        Number of inputs in the trace, N.
    axis : int or None
        The axis along which the inputs follow each other.
    fold : int
        Rows of every input along that axis.
    """

    number: int
    shape: tuple[int, ...]
    batch: int
    axis: int | None = 0
    fold: int = 1

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of the part that belongs to one input."""
        if self.axis is None:
            return self.shape
        kept = (self.fold,) if self.fold > 1 else ()
        return (*self.shape[: self.axis], *kept, *self.shape[self.axis + 1 :])

    def samples(self, array: np.ndarray) -> np.ndarray:
        """Return an array laid out like this tensor as (N, *sample_shape); sizes of 1 may stand for any."""
        if self.axis is None:
            return array[None]
        a, rows = self.axis, array.shape[self.axis]
        batch, fold = (1, 1) if rows == 1 else (self.batch, self.fold)
        split = array.reshape(*array.shape[:a], batch, fold, *array.shape[a + 1 :])
        moved = np.moveaxis(split, a, 0)
        return moved if self.fold > 1 else moved.reshape(batch, *array.shape[:a], *array.shape[a + 1 :])

    def traced(self, samples: np.ndarray) -> np.ndarray:
        """Return (N, *sample_shape) laid out like this tensor: the inverse of `samples`."""
        if self.axis is None:
            return samples[0]
        a = self.axis
        split = samples.reshape(self.batch, *self.shape[:a], self.fold, *self.shape[a + 1 :])
        return np.ascontiguousarray(np.moveaxis(split, 0, a)).reshape(self.shape)

    def sample_axis(self, axis: int) -> int:
        """Return the axis of `sample_shape` that an axis of the tensor is.

        Raises
        ------
        BatchMixedError
            If it is the axis of the batch.
        """
        axis %= len(self.shape)
        if axis == self.axis:
            raise BatchMixedError("acts along the batch axis")
        return axis - (self.axis is not None and axis > self.axis and self.fold == 1)


def find_batch(index: np.ndarray, batch: int, size: int) -> tuple[int | None, int, np.ndarray] | None:
    """Find the axis along which the inputs follow each other, in an array of positions.

    Parameters
    ----------
    index : (traced shape) int array
        ``s * size + k`` for entry k of input s, -1 for an entry that belongs to none.
    batch, size : int
        Number of inputs and of entries of each.

    Returns
    -------
    (axis, fold, local) or None
        `local` holds the positions k (or -1) in the layout of one input; None if the inputs are mixed.
    """
    if batch == 1:
        return (0, 1, index[0]) if index.ndim and index.shape[0] == 1 else (None, 1, index)
    first = np.arange(batch) * size
    for axis, rows in enumerate(index.shape):
        if rows < batch or rows % batch:
            continue
        layout = Traced(0, index.shape, batch, axis, rows // batch)
        runs = layout.samples(index)
        local = np.where(runs >= 0, runs - first.reshape(-1, *(1,) * (runs.ndim - 1)), -1)
        if (local == local[0]).all() and (local[0] < size).all() and ((runs < 0) == (local < 0)).all():
            return axis, rows // batch, local[0]
    return None
