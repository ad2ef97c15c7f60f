"""The arrays of the compiled recursion: made, flattened, and made longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from polygeom.enumeration.chain import DenseChain
from polygeom.enumeration.starts import InnerRows

if TYPE_CHECKING:
    import flint

    from polygeom.kernels.cell_regions import Regions
    from polygeom.kernels.cells import Cells, Chain, Scratch

__all__ = ["flatten", "grown", "new_cells", "new_regions", "new_scratch", "wider"]

DEPTH, VERTICES, SLOTS, NEXTS, TABLE, PATH = 128, 2048, 2048, 4096, 1 << 10, 256
"""First lengths of the stack's arrays; they double when they are too short."""


def flatten(chain: DenseChain, domain: InnerRows) -> Chain:
    """Return a chain as the compiled loop reads it, the rows of the domain as layer 0."""
    from polygeom.kernels import cells as parts

    layers = chain.layers
    n, m = sum(layer.width for layer in layers), len(domain.rows)
    spare = m + 1  # rows of the domain and the facet at infinity
    transposed = [layer.weight.T.ravel() for layer in layers[1:]]
    sizes = np.array([0, 0, *(len(t) for t in transposed)])
    signs = np.concatenate([np.sign(layer.bias).astype(np.int8) for layer in layers])
    sure = np.concatenate(
        [(layer.bias_error == 0) | (np.abs(layer.bias) > layer.bias_error) for layer in layers]
    )
    return parts.Chain(
        np.array([m, *(layer.width for layer in layers)], dtype=np.int64),
        np.array([n, *(layer.first_column for layer in layers), n + m], dtype=np.int64),
        np.concatenate([*transposed, np.zeros(1)]),
        np.cumsum(sizes),
        np.concatenate([layer.bias for layer in layers]),
        np.where(sure, signs, parts.UNKNOWN).astype(np.int8),
        np.ascontiguousarray(np.hstack([*(layer.slopes for layer in layers), np.zeros((2, spare))])),
        np.concatenate([*(layer.row_error for layer in layers), domain.errors, np.zeros(1)]),
        _planes(chain, domain, n),
    )


def _planes(chain: DenseChain, domain: InnerRows, n: int) -> np.ndarray:
    """Return one number per hyperplane: coincident units of the first layer and rows of the domain share it.

    Rows whose floats agree are compared exactly. A coincidence that floats overlook costs time, no more: its signs
    go to the rationals one by one.
    """
    first, m = chain.layers[0], len(domain.rows)
    rows = np.vstack([np.column_stack([first.weight, first.bias]), domain.rows])
    owners = np.concatenate([np.arange(first.width), n + np.arange(m)])
    lead = rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)]
    names = np.round(rows / np.where(lead == 0, 1.0, lead)[:, None] * 2.0**30)
    order = np.lexsort(names.T)
    same = (names[order[1:]] == names[order[:-1]]).all(axis=1)
    shared = np.zeros(len(rows), dtype=bool)
    shared[order[1:][same]] = shared[order[:-1][same]] = True
    planes = np.arange(n + m + 1)
    seen: dict[tuple[flint.fmpq, ...], int] = {}
    for i in np.flatnonzero(shared & (lead != 0)):
        if i < first.width:
            row = chain.first_rows([int(i)]).entries()
        else:
            row = [domain.exact[int(i) - first.width, c] for c in range(chain.dim + 1)]
        leading = next(v for v in row if v != 0)
        planes[owners[i]] = seen.setdefault(tuple(v / leading for v in row), owners[i])
    return planes


def new_cells(chain: DenseChain, dims: tuple[int, ...]) -> Cells:
    """Return an empty stack."""
    from polygeom.kernels import cells as parts

    D, n = len(dims), sum(layer.width for layer in chain.layers)
    return parts.Cells(
        node=np.zeros((DEPTH, parts.FIELDS), dtype=np.int64),
        share=np.zeros(DEPTH),
        coord=np.zeros(VERTICES * D),
        spread=np.zeros(VERTICES),
        serial=np.zeros(VERTICES, dtype=np.int64),
        facets=np.zeros(VERTICES, dtype=np.int64),
        marks=np.zeros(VERTICES, dtype=np.int64),
        rows=np.zeros(SLOTS * (D + 1)),
        unit=np.zeros(SLOTS, dtype=np.int64),
        nexts=np.zeros(NEXTS),
        path=np.zeros(PATH * D),
        path_size=np.zeros(PATH),
        path_unit=np.zeros(PATH, dtype=np.int64),
        slot_row=np.zeros((DEPTH, parts.SLOTS if D != 3 else 1), dtype=np.int64),
        code=np.zeros(n, dtype=np.uint8),
        table=np.zeros((TABLE, 3), dtype=np.int64),
        tally=np.zeros(8, dtype=np.int64),
        done=np.zeros(1),
    )


def new_scratch(width: int, dims: tuple[int, ...]) -> Scratch:
    """Return room for nodes with this many units."""
    from polygeom.kernels import cells as parts

    D, room = len(dims), VERTICES // 4
    return parts.Scratch(
        low=np.zeros(width),
        high=np.zeros(width),
        product=np.zeros(width),
        verdict=np.zeros(width, dtype=np.int64),
        active=np.zeros(width, dtype=np.int64),
        sign=np.zeros(room, dtype=np.int64),
        value=np.zeros(room),
        coord=np.zeros(room * D),
        spread=np.zeros(room),
        serial=np.zeros(room, dtype=np.int64),
        facets=np.zeros(room, dtype=np.int64),
        marks=np.zeros(room, dtype=np.int64),
        other=np.zeros(room, dtype=np.int64),
        mask=np.zeros(room, dtype=np.uint64),
        tie=np.zeros(2, dtype=np.int64),
        matrix=np.zeros(2 * D * D),
        system=np.zeros(D * D),
        ray=np.zeros(D),
        rest=np.zeros(D),
    )


def new_regions(chain: DenseChain, keep: bool, regions: int, dims: tuple[int, ...]) -> Regions:
    """Return room for a batch of regions; `keep`: their vertices too.

    On average cells of an arrangement have at most 2 k facets and 2^k vertices; where there are more, batches are
    shorter.
    """
    from polygeom.kernels import cell_regions as parts

    D, n = len(dims), sum(layer.width for layer in chain.layers)
    facets, tied, vertices = 2 * D * regions + 64, D * regions // 4 + 64, (1 << D - 1) * regions + 64
    return parts.Regions(
        fill=np.zeros(parts.PLACES, dtype=np.int64),
        packed=np.zeros((regions, (n + 7) // 8), dtype=np.uint8),
        witness=np.zeros((regions, D - 1)),
        bounded=np.zeros(regions, dtype=bool),
        n_facets=np.zeros(regions, dtype=np.int32),
        n_domain=np.zeros(regions, dtype=np.int32),
        n_vertices=np.zeros(regions, dtype=np.int32),
        facet=np.zeros(facets, dtype=np.int32),
        tied=np.zeros(facets, dtype=bool),
        tied_point=np.zeros((tied, D)),
        vertex=np.zeros((vertices if keep else 0, D)),
        mask=np.zeros(vertices if keep else 0, dtype=np.int64),
    )


def grown(cells: Cells) -> Cells:
    """Return the stack with arrays of twice the length; what must stay one length does."""
    fixed = {"code", "table", "tally", "done"}
    return cells._replace(**{name: _doubled(a) for name, a in cells._asdict().items() if name not in fixed})


def wider(scratch: Scratch) -> Scratch:
    """Return room for cells with twice as many vertices."""
    growing = ("sign", "value", "coord", "spread", "serial", "facets", "marks", "other", "mask")
    return scratch._replace(**{name: _doubled(getattr(scratch, name)) for name in growing})


def roomier(regions: Regions) -> Regions:
    """Return outputs with twice the room for facets and vertices."""
    doubled = ("facet", "tied", "tied_point", "vertex", "mask")
    return regions._replace(**{name: _doubled(getattr(regions, name)) for name in doubled})


def _doubled(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array, np.zeros_like(array)])
