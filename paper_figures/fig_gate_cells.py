"""The polytope lens table of transformers: the gate cells of real tokens, and what is proved about them.

For every block of MiniLM (or of the small GPT-2 of examples/train_small_gpt2.py, if that is there) the cells of a
few tokens among the hyperplanes of all units, within the hyperplane that LayerNorm maps to; and one cell of the
size of GPT2-small's, with random weights. Every proof is re-checked without a solver.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

import polygeom as pg
from paper_figures.pipeline import SkippedError
from paper_figures.text_models import DOCUMENTS, text_model
from polygeom.models.adapters import mlp_block
from polygeom.models.corpus import Plan
from polygeom.models.transformer import NormedMLP, gate_cell, nearest_boundaries, visible_facets

FIGURE = "F14b"
SEED = 0
DATA = (DOCUMENTS,)
N_DOCUMENTS, N_TOKENS = 8, (1, 3)
"""Documents that are read, and cells of each block: quick, full."""

GPT2_SMALL = "GPT2-small's size, random"


@dataclass(frozen=True)
class Row:
    """What is proved about one cell; all counts are of half-spaces."""

    model: str
    block: int
    dim: int
    units: int
    facets: int
    redundant: int
    undecided: int
    visible: int
    invisible: int
    bounded: bool
    recession_dim: int
    origin_inside: bool
    cone: bool
    nearest: float
    holds: bool


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Prove what there is to prove about every cell; which facets the ball shows only if there is time."""
    from tqdm import tqdm

    cells = list(_cells(not quick))
    rows = [
        _measured(*cell, seen=not quick and cell[0] != GPT2_SMALL)
        for cell in tqdm(cells, desc="gate cells", unit="cell")
    ]
    return {name: np.array([getattr(row, name) for row in rows]) for name in asdict(rows[0])} | {
        "seen": np.array(not quick)
    }


def _cells(full: bool) -> list[tuple[str, int, NormedMLP, np.ndarray]]:
    """Return model, number of the block, block and token of every cell."""
    rng, found = np.random.default_rng(SEED), []
    try:
        given = text_model()
    except SkippedError:
        given = None
    if given is not None:
        blocks = range(given.trained.config.num_hidden_layers)
        plan = Plan(given.protocol(), tuple(blocks), keep=("inputs",))
        recording = given.recorded("trained", given.trained, N_DOCUMENTS, plan)
        for i in blocks:
            X = np.asarray(recording.inputs(i), dtype=np.float64)
            chosen = rng.choice(len(X), N_TOKENS[full], replace=False)
            found += [(given.name, i + 1, mlp_block(given.trained, i), x) for x in X[chosen]]
    return [*found, (GPT2_SMALL, 0, *_random(rng))]


def _random(rng: np.random.Generator) -> tuple[NormedMLP, np.ndarray]:
    """Return a block of GPT2-small's size, its weights as large as they are there, and a token."""
    d, m = 768, 3072
    W, W_out = 0.02 * rng.standard_normal((2, m, d))
    gain, shift = 1 + 0.1 * rng.standard_normal(d), 0.02 * rng.standard_normal(d)
    b = 0.02 * rng.standard_normal(m)
    return NormedMLP(gain, shift, 1e-5, W, b, "gelu_new", W_out.T, np.zeros(d)), rng.standard_normal(d)


def _measured(model: str, number: int, block: NormedMLP, token: np.ndarray, *, seen: bool) -> Row:
    """Return the row of one cell."""
    cell = gate_cell(block, token)
    P, report, bounded, origin = cell.polyhedron, cell.facets(), cell.boundedness(), cell.origin_test()
    ball = visible_facets(cell, report) if seen else None
    proofs = [report.holds(P), bounded.holds(P), origin.holds(P), *([ball.holds(cell)] if ball else [])]
    return Row(
        model=model,
        block=number,
        dim=P.dim,
        units=P.n_rows,
        facets=len(report.facets),
        redundant=len(report.redundant),
        undecided=len(report.undecided),
        visible=len(ball.visible) if ball else -1,
        invisible=len(ball.invisible) if ball else -1,
        bounded=bool(bounded.bounded),
        recession_dim=cell.recession_cone().dim,
        origin_inside=bool(origin.contains_origin),
        cone=bool(origin.is_cone),
        nearest=float(nearest_boundaries(block, token).angles[0]),
        holds=all(map(bool, proofs)),
    )


# -- words and numbers -------------------------------------------------------------------------------------

HEADS = (
    "block",
    "units",
    "dim.",
    "cells",
    "facets",
    "in the ball",
    "bounded",
    "0 inside",
    "cones",
    "nearest (mrad)",
)


def lines(data: dict[str, np.ndarray]) -> list[list[str]]:
    """Return the table, a line for every block: means over its cells."""
    found = [list(HEADS)]
    keys = list(dict.fromkeys(zip(data["model"].tolist(), data["block"].tolist(), strict=True)))
    for model, number in keys:
        own = (data["model"] == model) & (data["block"] == number)
        seen = data["visible"][own]
        found.append(
            [
                f"{model} {number}" if number else model,
                f"{data['units'][own][0]}",
                f"{data['dim'][own][0]}",
                f"{own.sum()}",
                f"{data['facets'][own].mean():.1f}",
                f"{seen.mean():.1f}" if (seen >= 0).all() else "",
                *(f"{data[name][own].mean():.0%}" for name in ("bounded", "origin_inside", "cone")),
                f"{1000 * np.median(data['nearest'][own]):.2g}",
            ]
        )
    return found


def tables(data: dict[str, np.ndarray]) -> dict[str, dict[str, list[object]]]:
    """Return a line for every cell."""
    return {"gate_cells": {name: data[name].tolist() for name in Row.__dataclass_fields__}}


def caption(data: dict[str, np.ndarray]) -> str:
    """Return what was proved, in sentences."""
    n, real = len(data["model"]), data["model"] != GPT2_SMALL
    names = ", ".join(dict.fromkeys(data["model"][real].tolist())) or "no trained model was found"
    everything = data["facets"].sum() + data["redundant"].sum()
    told = (
        f"{n} gate cells ({names}; {GPT2_SMALL}). Of {everything + data['undecided'].sum()} half-spaces "
        f"{data['facets'].sum()} are proved to be facets, {data['redundant'].sum()} to be redundant, "
        f"{data['undecided'].sum()} are undecided. {data['bounded'].sum()} cells are bounded, "
        f"{data['origin_inside'].sum()} contain 0, {data['cone'].sum()} are cones with apex 0; the nearest "
        f"boundary is {1000 * np.median(data['nearest']):.2g} mrad of rotation away (median). "
        f"{data['holds'].sum()} of {n} pass all checks without a solver."
    )
    if not data["seen"]:
        return told
    some = data["visible"] >= 0
    open_ = (data["facets"] - data["visible"] - data["invisible"])[some].sum()
    return told + (
        f" Of {data['facets'][some].sum()} facets {data['visible'][some].sum()} meet the ball that LayerNorm maps "
        f"to, {data['invisible'][some].sum()} do not, {open_} are undecided."
    )


def report(data: dict[str, np.ndarray]) -> object:
    """Return the table for the terminal, without the sizes of blocks."""
    from rich.table import Table

    left_out = {HEADS.index(head) for head in ("units", "dim.", "cells")}
    heads, *rows = [[c for k, c in enumerate(line) if k not in left_out] for line in lines(data)]
    table = Table(title="Gate cells, means over cells")
    for head in heads:
        table.add_column(head, no_wrap=head == "block")
    for row in rows:
        table.add_row(*row)
    return table


def draw(data: dict[str, np.ndarray]) -> object:
    """Draw the table."""
    import matplotlib.pyplot as plt

    written = lines(data)
    figure, ax = plt.subplots(figsize=(6.9, 0.4 + 0.2 * len(written)))
    pg.plotting.draw_table(written, ax=ax)
    return figure
