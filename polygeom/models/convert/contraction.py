"""Products of a computed tensor with a constant one, in Einstein notation: matmul on either side, einsum."""

from __future__ import annotations

import string

import numpy as np

from polygeom.errors import ConversionError
from polygeom.models.convert.layout import Traced
from polygeom.models.convert.lowering import GraphBuilder

__all__ = ["contract", "matmul"]


def contract(
    builder: GraphBuilder, value: Traced, weight: np.ndarray, letters: tuple[str, str, str]
) -> Traced:
    """Return ``einsum("x,w->y", value, weight)`` for letters (x, w, y) of distinct axes.

    Letters of x alone are summed, letters of x and w are summed or, in y, matched; a matched axis is only
    supported where w has size 1 along it.

    Raises
    ------
    ConversionError
        If the constant multiplies along a matched axis: that is a different matrix for every entry.
    """
    x, w, y = letters
    for letter in [a for a in w if a in x and a in y]:
        if weight.shape[w.index(letter)] > 1 and value.shape[x.index(letter)] == 1:
            axis = x.index(letter)  # the computed tensor is repeated: the letter is the constant's own
            value = builder.move([value], lambda t, axis=axis: t.squeeze(axis))
            x = x.replace(letter, "")
            continue
        if weight.shape[w.index(letter)] > 1:
            raise ConversionError(
                f"A product in module '{builder.path}' uses another constant matrix for every entry along one "
                "axis (a batched matrix product with a constant). Write it as separate linear maps."
            )
        weight, w = np.squeeze(weight, w.index(letter)), w.replace(letter, "")
    alone = [a for a in w if a not in x and a not in y]
    weight = weight.sum(axis=tuple(w.index(a) for a in alone))
    w = "".join(a for a in w if a not in alone)
    summed, kept, made = [a for a in x if a not in y], [a for a in x if a in y], [a for a in w if a not in x]
    absent = [a for a in summed if a not in w]
    weight = np.broadcast_to(
        weight.reshape(*weight.shape, *(1,) * len(absent)),
        (*weight.shape, *(value.shape[x.index(a)] for a in absent)),
    )
    w = w + "".join(absent)
    sizes = [value.shape[x.index(a)] for a in kept]
    width = int(np.prod([value.shape[x.index(a)] for a in summed], dtype=np.int64))
    matrix = weight.transpose([w.index(a) for a in (*made, *summed)]).reshape(-1, width)
    order = [x.index(a) for a in (*kept, *summed)]
    flat = builder.move([value], lambda t: t.transpose(order).reshape(*sizes, width))
    product = builder.dense(flat, matrix)
    last = (*kept, *made)
    shape = (*sizes, *(weight.shape[w.index(a)] for a in made))
    return builder.move([product], lambda t: t.reshape(shape).transpose([last.index(a) for a in y]))


def matmul(builder: GraphBuilder, first: Traced | np.ndarray, second: Traced | np.ndarray) -> Traced:
    """Return the matrix product as torch and numpy define it; one factor is a constant."""
    if isinstance(first, Traced) and np.ndim(second) == 2:
        return builder.dense(first, np.ascontiguousarray(np.asarray(second).T))
    dims = [len(np.shape(v)) if not isinstance(v, Traced) else len(v.shape) for v in (first, second)]
    batch = max(*dims, 2) - 2
    shared = string.ascii_lowercase[:batch]
    a = shared[len(shared) - max(dims[0] - 2, 0) :] + ("I" if dims[0] > 1 else "") + "K"
    b = shared[len(shared) - max(dims[1] - 2, 0) :] + "K" + ("J" if dims[1] > 1 else "")
    out = shared + ("I" if dims[0] > 1 else "") + ("J" if dims[1] > 1 else "")
    if isinstance(first, Traced):
        x, w, value, weight = a, b, first, np.asarray(second)
    else:
        x, w, value, weight = b, a, second, np.asarray(first)
    missing = [letter for letter in shared if letter not in x]
    if missing:  # the constant has more batch axes: give the computed tensor axes of size 1 first
        value = builder.move([value], lambda t: t.reshape(*(1,) * len(missing), *t.shape))
        x = "".join(missing) + x
    return contract(builder, value, weight, (x, w, out))
