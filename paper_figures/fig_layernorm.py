"""LayerNorm: what scaling a token crosses and what rotating it does, and where the hyperplanes lie.

For every block of a trained transformer, tokens of documents: exact counts of the boundaries met when a token is
scaled from half to twice its size, and when it is rotated towards other tokens, random directions and the
directions that units write. Beside it the same block with its weights in random order, and random circles. Then
how the output moves on the way to other tokens, with ReLU in the place of GELU as well. MiniLM if its weights are
installed, else the small GPT-2 of examples/train_small_gpt2.py.
"""

from __future__ import annotations

from dataclasses import replace
from math import comb

import numpy as np

import polygeom as pg
from paper_figures.text_models import DOCUMENTS, TextModel, text_model
from polygeom.lens.estimates import Estimate
from polygeom.lens.rotation import ArcSmoothness, CrossingRates
from polygeom.models.adapters import mlp_block
from polygeom.models.corpus import Plan

FIGURE = "F12"
SEED = 0
DATA = (DOCUMENTS,)
N_DOCUMENTS, N_TOKENS = (8, 40), (16, 200)
"""Documents that are read and tokens of each block that are scaled and rotated: quick, full."""

WEIGHTS = ("trained", "permuted")
KINDS = {"tokens": "other tokens", "random": "random directions", "features": "what units write"}


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Count on every block, trained and with weights in random order."""
    from tqdm import tqdm

    given, full = text_model(), not quick
    blocks = range(given.trained.config.num_hidden_layers)
    plan = Plan(given.protocol(), tuple(blocks), keep=("inputs",))
    recording = given.recorded("trained", given.trained, N_DOCUMENTS[full], plan)
    found: dict[str, list] = {}
    for i in tqdm(blocks, desc="layer norms", unit="block"):
        block, rng = mlp_block(given.trained, i), np.random.default_rng([SEED, i])
        X = np.asarray(recording.inputs(i), dtype=np.float64)
        order = rng.permutation(len(X))
        tokens, others = X[order[: N_TOKENS[full]]], X[np.roll(order, 1)[: N_TOKENS[full]]]
        written = block.W_out.T[rng.integers(block.n_units, size=len(tokens))]
        targets = {"tokens": others, "random": rng.standard_normal(tokens.shape), "features": written}
        sharp = replace(block, activation="relu")
        for name, value in _along_arcs(pg.lens.arc_smoothness(sharp, tokens, others)).items():
            found.setdefault(f"sharp_{name}", []).append(value)
        for weights, one in zip(WEIGHTS, (block, pg.lens.permuted_weights(block, rng)), strict=True):
            rates = pg.lens.crossing_rates(one, tokens, targets)
            smooth = pg.lens.arc_smoothness(one, tokens, others)
            for name, value in (_counted(rates) | _along_arcs(smooth)).items():
                found.setdefault(f"{weights}_{name}", []).append(value)
            if one is block:
                found.setdefault("heights", []).append(rates.heights)
                found.setdefault("thresholds", []).append(_shares(rates))
                found.setdefault("pairs", []).append(_pairs(block))
    return {name: np.array(values) for name, values in found.items()} | {
        "model": np.array(given.name),
        "size": np.array([block.dim, block.n_units]),
        "n_tokens": np.array(len(tokens)),
        "sigma": np.array(_deviations(given, recording, blocks)),
    }


def _counted(rates: CrossingRates) -> dict[str, np.ndarray]:
    """Return the boundaries met in one block: estimates as (mean, low, high)."""
    estimates = {
        "radial": rates.radial(),
        "in_band": rates.radial_in_band(),
        "touched": rates.touched(),
        "null": rates.null(),
    }
    for kind in KINDS:
        estimates |= {kind: rates.angular(kind), f"{kind}_over_null": rates.over_null(kind)}
    return _as_rows(estimates) | {
        "on_rays": rates.on_rays.mean(),
        "radius": rates.radius.mean(),
    }


def _along_arcs(smooth: ArcSmoothness) -> dict[str, np.ndarray]:
    """Return what the output of one block does: estimates as (mean, low, high)."""
    estimates = {
        "bend": smooth.correlation("bend"),
        "bend_by_chance": smooth.by_chance("bend"),
        "bend_beyond_chance": smooth.beyond_chance("bend"),
        "speed_beyond_chance": smooth.beyond_chance("speed"),
        "unevenness": smooth.unevenness(),
        "unexplained": pg.lens.bootstrapped(smooth.unexplained),
        "extrapolated": pg.lens.bootstrapped(smooth.extrapolated),
        "straightness": pg.lens.bootstrapped(smooth.straightness),
    }
    return _as_rows(estimates)


def _as_rows(estimates: dict[str, Estimate]) -> dict[str, np.ndarray]:
    return {name: np.array([e.mean, e.low, e.high]) for name, e in estimates.items()}


def _shares(rates: CrossingRates) -> np.ndarray:
    """Return the places of flips on rays that stand for them all: the 200 quantiles of their thresholds."""
    return np.quantile(rates.thresholds, np.linspace(0, 1, 201))


def _pairs(block: pg.models.transformer.NormedMLP) -> float:
    """Return the share of pairs of hyperplanes that meet within the ball."""
    found = pg.models.transformer.pairs_in_ball(block)
    return len(found) / comb(block.n_units, 2)


def _deviations(given: TextModel, recording: object, blocks: range) -> list[float]:
    """Return the median standard deviation of tokens over the root of epsilon, block by block."""
    found = []
    for i in blocks:
        eps = mlp_block(given.trained, i).eps
        found.append(
            float(np.median(np.std(np.asarray(recording.inputs(i), dtype=float), axis=1)) / np.sqrt(eps))
        )
    return found


# -- words and numbers -------------------------------------------------------------------------------------


def tables(data: dict[str, np.ndarray]) -> dict[str, dict[str, list[object]]]:
    """Return a line for every block and kind of weights; every estimate with its interval."""
    columns: dict[str, list[object]] = {"block": [], "weights": []}
    n = len(data["heights"])
    for weights in WEIGHTS:
        columns["block"] += list(range(1, n + 1))
        columns["weights"] += [weights] * n
        for name, values in data.items():
            if name.startswith(f"{weights}_"):
                _extend(columns, name.removeprefix(f"{weights}_"), values)
    for name, values in data.items():
        if name.startswith("sharp_"):  # known of trained weights only
            _extend(columns, name, np.concatenate([values, np.full_like(values, np.nan)]))
    return {"layernorm": columns}


def _extend(columns: dict[str, list[object]], name: str, values: np.ndarray) -> None:
    """Append a quantity of all blocks, or an estimate as three columns."""
    names = [name] if values.ndim == 1 else [name, f"{name}_low", f"{name}_high"]
    parts = dict(zip(names, values.reshape(len(values), -1).T, strict=True))
    for part, column in parts.items():
        columns.setdefault(part, []).extend(column.tolist())


def _span(values: np.ndarray, form: str = ".2f") -> str:
    """Return the range of a quantity over blocks."""
    low, high = (f"{value:{form}}" for value in (float(np.min(values)), float(np.max(values))))
    return low if low == high else f"{low} to {high}"


def caption(data: dict[str, np.ndarray]) -> str:
    """Return what was found, in sentences."""
    d, m = data["size"].tolist()
    touched, ratio = (
        data["trained_touched"][:, 0],
        {k: np.exp(data[f"trained_{k}_over_null"][:, 0]) for k in KINDS},
    )
    met = (data["heights"] < 1).mean(axis=1)
    shuffled = np.exp(np.concatenate([data[f"permuted_{k}_over_null"][:, 0] for k in KINDS]))
    return (
        f"The blocks of {data['model']} ({d} to {m}), {data['n_tokens']} tokens each. Between half and twice its "
        f"size {_span(100 * touched, '.1f')} % of a block's tokens meet any boundary; the "
        f"{_span(data['trained_on_rays'], '.0f')} on the whole ray, "
        f"{_span(data['trained_in_band'][:, 0], '.0f')} per unit of log t in the middle, lie where the token's "
        f"deviation is near the root of epsilon (it is {_span(data['sigma'], '.0f')} times as large). Rotating "
        f"meets {_span(data['trained_tokens'][:, 0], '.0f')} boundaries per radian towards other tokens, "
        f"{_span(ratio['tokens'])} times what random circles meet, {_span(ratio['random'])} times towards random "
        f"directions and {_span(ratio['features'])} times towards what units write; with weights in random order "
        f"{_span(shuffled)} times. Of the hyperplanes {_span(100 * met, '.1f')} %, of their pairs "
        f"{_span(100 * data['pairs'], '.1f')} % meet the ball; the median height is "
        f"{_span(np.median(data['heights'], axis=1), '.3f')}. Along an arc the best affine map leaves "
        f"{_span(100 * data['trained_unexplained'][:, 0], '.1f')} % of the output's variance, the one that "
        "touches the block at the token misses the other end by "
        f"{_span(data['trained_extrapolated'][:, 0], '.1f')} times the change; the output "
        "bends where boundaries are met with a rank correlation, less that by chance, of "
        f"{_span(data['trained_bend_beyond_chance'][:, 0])} "
        f"({_span(data['sharp_bend_beyond_chance'][:, 0])} with ReLU in the place of GELU)."
    )


def report(data: dict[str, np.ndarray]) -> object:
    """Return a table of the blocks, means over tokens: a part of the figure's CSV, which has the intervals."""
    from rich.table import Table

    mean = {name: values[:, 0] for name, values in data.items() if values.ndim == 2 and values.shape[1] == 3}
    columns = {
        "block": (range(1, len(data["heights"]) + 1), "d"),
        "touched": (mean["trained_touched"], ".0%"),
        "per radian": (mean["trained_tokens"], ".0f"),
        "over circles": (np.exp(mean["trained_tokens_over_null"]), ".2f"),
        "bend": (mean["trained_bend_beyond_chance"], ".2f"),
        "bend, ReLU": (mean["sharp_bend_beyond_chance"], ".2f"),
        "affine": (mean["trained_unexplained"], ".1%"),
        "tangent": (mean["trained_extrapolated"], ".2f"),
    }
    table = Table(title=f"{data['model']}: scaling and rotating {data['n_tokens']} tokens of each block")
    for head in columns:
        table.add_column(head)
    for row in zip(*(values for values, _ in columns.values()), strict=True):
        table.add_row(*(f"{v:{form}}" for v, (_, form) in zip(row, columns.values(), strict=True)))
    return table


# -- picture -----------------------------------------------------------------------------------------------


def draw(data: dict[str, np.ndarray]) -> object:
    """Draw counts, ratios, thresholds, heights and what the output does, block by block."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(6.9, 5.6))
    _draw_counts(data, axes[0, 0])
    _draw_ratios(data, axes[0, 1])
    _draw_shares(
        data["thresholds"], axes[0, 2], "c  Where scaling crosses", "scale $t$ of the token", end=1.0
    )
    _draw_shares(
        np.sort(data["heights"], axis=1),
        axes[1, 0],
        "d  Where hyperplanes lie",
        "height over radius of the ball",
        end=1.0,
    )
    _draw_bends(data, axes[1, 1])
    _draw_misses(data, axes[1, 2])
    for ax in (axes[0, 0], axes[0, 1], axes[1, 1], axes[1, 2]):
        ax.set(xlabel="block", xticks=_blocks(data))
    return figure


def _blocks(data: dict[str, np.ndarray]) -> np.ndarray:
    return np.arange(1, len(data["heights"]) + 1)


def _dots(ax: object, at: np.ndarray, estimates: np.ndarray, **style: object) -> None:
    """Draw means with their intervals; a mean without interval is a dot."""
    found = [Estimate(*row.tolist(), 0) for row in estimates]
    pg.plotting.draw_estimates(at, found, ax=ax, **style)


def _legend(ax: object) -> None:
    """Put the legend below the axes, where it covers nothing."""
    ax.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.24), borderaxespad=0.0)


def _draw_counts(data: dict[str, np.ndarray], ax: object) -> None:
    at = _blocks(data)
    ax.plot(at, data["trained_null"][:, 0], color="C4", label="random circles")
    for k, kind in enumerate(KINDS):
        _dots(ax, at + 0.12 * (k - 1), data[f"trained_{kind}"], color=f"C{k + 1}", label=KINDS[kind])
    _dots(ax, at, data["trained_radial"], color="C0", label="scaling")
    ax.set(
        title="a  Boundaries met",
        ylabel="per radian, or unit of log $t$",
        ylim=(-0.04 * ax.get_ylim()[1], None),
    )
    _legend(ax)


def _draw_ratios(data: dict[str, np.ndarray], ax: object) -> None:
    at = _blocks(data)
    ax.axhline(1.0, color="C4")
    for k, kind in enumerate(KINDS):
        shift = 0.12 * (k - 1)
        _dots(ax, at + shift, np.exp(data[f"trained_{kind}_over_null"]), color=f"C{k + 1}")
        open_ = {"color": f"C{k + 1}", "markerfacecolor": "white", "alpha": 0.6}
        _dots(ax, at + shift + 0.05, np.exp(data[f"permuted_{kind}_over_null"]), **open_)
    ax.plot([], [], "o", color="black", markersize=3, label="trained")
    ax.plot(
        [], [], "o", color="black", markerfacecolor="white", markersize=3, label="weights in random order"
    )
    ax.set(title="b  Over random circles", ylabel="ratio of boundaries met")
    _legend(ax)


def _draw_shares(values: np.ndarray, ax: object, title: str, label: str, end: float) -> None:
    """Draw the share of values up to x for every block, from light to dark."""
    shades = np.linspace(0.25, 1.0, len(values))
    for i, (row, shade) in enumerate(zip(values, shades, strict=True)):
        named = f"block {i + 1}" if i in (0, len(values) - 1) else None
        ax.plot(row, np.linspace(0, 1, len(row)), color="C0", alpha=shade, label=named)
    ax.axvline(end, color="C1", linestyle="--")
    finite = values[(values > 0) & np.isfinite(values)]
    ax.set(xscale="log", xlim=(np.quantile(finite, 0.002), max(2 * end, finite.max())), ylim=(0, 1.02))
    ax.set(title=title, xlabel=label, ylabel="share up to there")
    _legend(ax)


def _draw_bends(data: dict[str, np.ndarray], ax: object) -> None:
    at = _blocks(data)
    ax.axhline(0.0, color="C4")
    series = (
        ("sharp", "ReLU in the place of GELU", {"color": "C2"}),
        ("trained", "trained", {"color": "C1"}),
        ("permuted", "weights in random order", {"color": "C1", "markerfacecolor": "white"}),
    )
    for k, (name, label, style) in enumerate(series):
        _dots(ax, at + 0.12 * (k - 1), data[f"{name}_bend_beyond_chance"], label=label, **style)
    ax.set(title="e  Does the output bend at boundaries?", ylabel="rank correlation less chance")
    _legend(ax)


def _draw_misses(data: dict[str, np.ndarray], ax: object) -> None:
    at = _blocks(data)
    named = {"extrapolated": "touching at the token", "unexplained": "best on the arc"}
    for name, color in zip(named, ("C3", "C0"), strict=True):
        _dots(ax, at - 0.06, data[f"trained_{name}"], color=color, label=named[name])
        _dots(ax, at + 0.06, data[f"permuted_{name}"], color=color, markerfacecolor="white")
    ax.plot(
        [], [], "o", color="black", markerfacecolor="white", markersize=3, label="weights in random order"
    )
    ax.set(title="f  What affine maps miss", yscale="log", ylabel="share missed")
    _legend(ax)
