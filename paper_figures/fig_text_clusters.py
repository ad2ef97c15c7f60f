"""A transformer: clusters of MLP codes, with their tokens in context.

The protocol of the polytope lens: of every sequence six tokens, evenly spaced and not among the first, and of each
the whole hidden layer of the MLP. The codes say on which side of 0 the pre-activations are, exactly. The model is
MiniLM if its weights are installed, else the small GPT-2 of examples/train_small_gpt2.py; beside it stands the
same model before training. All tokens in clusters are in text_clusters_contexts.csv and, to read, in
text_clusters.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

import polygeom as pg
from paper_figures import cluster_rows as rows
from paper_figures.text_models import DOCUMENTS, TextModel, text_model
from polygeom.models.corpus import Plan, Recording

if TYPE_CHECKING:
    import transformers

FIGURE = "F11"
SEED = 0
DATA = (DOCUMENTS,)
N_DOCUMENTS, MOST_TOKENS = {"MiniLM": (14, 250), "a small GPT-2": (24, 300)}, 4000
"""Documents that are read, quick and full, and tokens that are clustered."""

TOP, HALVES, NULLS = (20, 50), (3, 12), (2, 4)
"""Quick, full: strongest tokens of a neuron, half-samples, and times that tokens are shuffled."""

COMPARED = ("codes", "directions")
"""How tokens are compared before training."""

SHOWN, CONTEXTS = 9, 5
"""Clusters in a column of the picture, and contexts of each."""

BEFORE, AFTER = 14, 8
"""Tokens of context."""


# -- computing ---------------------------------------------------------------------------------------------


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Study every block; the untrained model only if there is time."""
    given, full = text_model(), not quick
    networks = {"trained": given.trained} | ({"untrained": given.untrained} if full else {})
    studies, by_label = [], {}
    for network, model in networks.items():
        recording = recorded(given, network, model, full)
        chosen = np.arange(len(recording))[:MOST_TOKENS]
        labels = labels_of(recording, chosen)
        found = _studies(network, recording, chosen, labels["token"], full)
        studies += found
        if network == "trained":
            by_label = _by_label(found, labels)
            shown = _contexts({one.way: one for _, _, one in found[-3:]}, recording, given.reader)
            early = _contexts({one.way: one for _, _, one in found[:3]}, recording, given.reader)
    shown |= {f"early_{name}": value for name, value in early.items()}
    return (
        rows.columns(studies)
        | by_label
        | {f"text_{name}": value for name, value in shown.items()}
        | {
            "model": np.array(given.name),
            "layers": np.array(list(dict.fromkeys(layer for _, layer, _ in studies))),
            "tokens": np.array(
                [len(chosen), len(np.unique(labels["token"])), len(np.unique(labels["document"]))]
            ),
            "units": np.array(next(iter(recording.units.values()))),
        }
    )


def recorded(given: TextModel, network: str, model: transformers.PreTrainedModel, full: bool) -> Recording:
    """Run the documents through a model; what was kept by an earlier run is not computed again."""
    n = N_DOCUMENTS[given.name][full]
    depth = model.config.num_hidden_layers
    plan = Plan(given.protocol(), tuple(range(depth)) if full else (0, depth // 2, depth - 1))
    return given.recorded(network, model, n, plan)


def labels_of(recording: Recording, chosen: np.ndarray) -> dict[str, np.ndarray]:
    """Return what is known of every token: itself, the one before, and its document."""
    protocol, tokens = recording.plan.protocol, recording.tokens
    ends = tokens == protocol.separator
    ends[:, tokens.shape[1] - len(protocol.suffix) :] = False  # what closes a sequence ends no document
    documents = (np.cumsum(ends) - ends.ravel()).reshape(tokens.shape)
    found = {
        "token": tokens[:, protocol.positions],
        "token before": tokens[:, protocol.positions - 1],
        "document": documents[:, protocol.positions],
    }
    return {name: values.ravel()[chosen] for name, values in found.items()}


def _studies(network: str, recording: Recording, chosen: np.ndarray, labels: np.ndarray, full: bool) -> list:
    """Return (network, block, study) for every block and way; numbers of blocks count from 1."""
    from tqdm import tqdm

    how = {"n_null": NULLS[full], "n_halves": HALVES[full], "top": TOP[full]}
    studies = []
    for i in tqdm(recording.units, desc=f"clusters, {network}", unit="block"):
        activations = recording.activations(i)[chosen].astype(np.float64)
        codes = pg.SplineCodes(recording.codes(i).letters[chosen])
        studies += [
            (
                network,
                str(i + 1),
                pg.lens.study_clusters(activations, codes, labels, np.random.default_rng(SEED), way, **how),
            )
            for way in (rows.WAYS if network == "trained" else COMPARED)
        ]
    return studies


def _by_label(studies: list, labels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the log ratio of purity and purity by chance of the clusters of codes, for every label and block."""
    ratios = []
    for values in labels.values():
        for _, _, one in studies:
            if one.way != "codes":
                continue
            if not len(one.clustering):
                ratios.append([np.nan] * 3)
                continue
            told = pg.lens.meaning(one.clustering, values, np.random.default_rng(SEED))
            e = pg.lens.bootstrapped(np.log(told.purity / told.by_chance))
            ratios.append([e.mean, e.low, e.high])
    return {"labels": np.array(list(labels)), "by_label": np.exp(ratios).reshape(len(labels), -1, 3)}


def _contexts(
    here: Mapping[str, pg.lens.ClusterStudy],
    recording: Recording,
    reader: transformers.PreTrainedTokenizerBase,
) -> dict[str, np.ndarray]:
    """Return all tokens in clusters of codes with contexts, the largest cluster and the firmest token first."""
    one = here["codes"]
    order = np.argsort(-one.clustering.sizes, kind="stable")
    lines, owner = [], []
    for rank, i in enumerate(order):
        for row in one.clustering.members(int(i)):
            lines.append(context(recording, int(row), reader))
            owner.append(rank)
    names = [reader.decode([int(token)]) for token in one.top[order].astype(int)] if len(one.top) else []
    return {
        "lines": np.array(lines, dtype=np.str_).reshape(-1, 3),
        "owner": np.array(owner, dtype=np.intp),
        "sizes": one.clustering.sizes[order],
        "purity": one.purity[order],
        "by_chance": one.by_chance[order],
        "regions": one.regions[order],
        "names": np.array(names, dtype=np.str_),
    }


def context(
    recording: Recording, row: int, reader: transformers.PreTrainedTokenizerBase
) -> tuple[str, str, str]:
    """Return what stands before a token, the token, and what stands behind it."""
    sequence, k = divmod(row, recording.plan.protocol.count)
    tokens, place = recording.tokens[sequence], int(recording.plan.protocol.positions[k])
    end = len(tokens) - len(recording.plan.protocol.suffix)
    parts = tokens[max(0, place - BEFORE) : place], tokens[place : place + 1], tokens[place + 1 : end][:AFTER]
    before, token, after = (reader.decode(part.tolist()) for part in parts)
    return before, token, after


# -- what is said ------------------------------------------------------------------------------------------


def tables(data: Mapping[str, np.ndarray]) -> dict[str, dict[str, list[object]]]:
    """Return a line per network, block and way, and a line per token in a cluster of the last block."""
    before, token, after = data["text_lines"].T
    return {
        "text_clusters": rows.table(data),
        "text_clusters_contexts": {
            "cluster": data["text_owner"].tolist(),
            "before": before.tolist(),
            "token": token.tolist(),
            "after": after.tolist(),
        },
    }


def titles(data: Mapping[str, np.ndarray], early: bool = False) -> list[str]:
    """Return what is said above every cluster."""
    prefix = "text_early_" if early else "text_"
    parts = (data[prefix + name] for name in ("names", "sizes", "regions", "purity", "by_chance"))
    return [
        f"{size} tokens in {regions} cells: “{_word(name)}” {purity:.2f} ({chance:.2f})"
        for name, size, regions, purity, chance in zip(*parts, strict=True)
    ]


def _word(name: str) -> str:
    return name.strip() or repr(str(name))


def lines_of(data: Mapping[str, np.ndarray], early: bool = False) -> list[list[tuple[str, str, str]]]:
    """Return the tokens of every cluster in their contexts."""
    prefix = "text_early_" if early else "text_"
    owner = data[prefix + "owner"]
    return [
        [tuple(map(str, line)) for line in data[prefix + "lines"][owner == i]]
        for i in range(len(data[prefix + "sizes"]))
    ]


def pages(data: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return all clusters of the last block as a page."""
    note = (
        f"Block {data['layers'][-1]} of {data['model']}, {data['units']} units, {data['tokens'][0]} tokens; "
        f"{rows.CHOSEN}, Hamming distance of codes. Behind each cluster the share of its most frequent token, in "
        "brackets by chance."
    )
    page = pg.contact_sheets.contexts_as_html("Clusters of MLP codes", note, titles(data), lines_of(data))
    return {"text_clusters": page}


def report(data: Mapping[str, np.ndarray]) -> object:
    """Return all numbers, the first clusters in words, and the verdict."""
    from rich.text import Text

    n, distinct, documents = data["tokens"]
    title = (
        f"{data['model']}, {data['units']} units a block, {n} tokens ({distinct} different ones) of {documents} "
        f"documents; {rows.CHOSEN}; labels are tokens"
    )
    some = [few[:CONTEXTS] for few in lines_of(data)[:SHOWN]]
    return Text(
        "\n".join(
            [
                rows.report(data, title),
                pg.contact_sheets.contexts_as_text(titles(data)[:SHOWN], some),
                verdict(data),
            ]
        )
    )


def verdict(data: Mapping[str, np.ndarray]) -> str:
    """Say what became of the prediction, by the rule of the claims, and of the same before training."""
    parts = []
    for network in dict.fromkeys(data["network"].tolist()):
        for way in ("codes", "directions"):
            some = {layer: rows.line(data, network, layer, way) for layer in data["layers"].tolist()}
            holds = [
                layer
                for layer, s in some.items()
                if rows.outcome(s, "taken_apart") == rows.outcome(s, "pure") == "holds"
            ]
            parts.append(f"{network}, by {way}: {', '.join(holds) or 'none'}")
    regions, members = (
        sum(rows.line(data, "trained", layer, "codes")[name] for layer in data["layers"].tolist())
        for name in ("regions", "members")
    )
    return (
        "Blocks whose clusters are purer in tokens than chance and take neurons apart (both 99 % intervals above "
        f"a ratio of 1.05): {'; '.join(parts)}. Clusters are no single regions: {regions} codes of {members} "
        "members."
    )


def caption(data: Mapping[str, np.ndarray]) -> str:
    """Say what is seen, with its numbers."""
    layers = data["layers"].tolist()
    first, last = (rows.line(data, "trained", layer, "codes") for layer in (layers[0], layers[-1]))
    n, distinct, documents = data["tokens"]
    untrained = ""
    if "untrained" in data["network"]:
        before = rows.line(data, "untrained", layers[-1], "codes")
        untrained = f" (hollow: before training, in the last {rows.ratio(before, 'taken_apart')})"
    documents_ratio = data["by_label"][data["labels"].tolist().index("document"), -1]
    return (
        f"{n} tokens ({distinct} different ones) of {documents} documents in the MLPs of {data['model']}, "
        f"{data['units']} units each; {rows.CHOSEN}. a, b: the largest clusters by Hamming distance of codes in "
        f"the first block ({first['clusters']}; shuffled codes: {first['null_clusters']:.1f}) and in the last "
        f"({last['clusters']}; {last['null_clusters']:.1f}), the firmest tokens of each in context, with the "
        "share of the most frequent token (by chance). c, d: clusters by block (dotted: shuffled points) and "
        f"their purity in tokens, {first['purity']:.2f} ({first['purity_by_chance']:.2f}) in the first and "
        f"{last['purity']:.2f} ({last['purity_by_chance']:.2f}) in the last. e: the strongest tokens of a neuron, "
        f"parted by clusters, are {rows.ratio(first, 'taken_apart')} times as pure as random parts in the first "
        f"block and {rows.ratio(last, 'taken_apart')} times in the last{untrained}. f: purity of the clusters of "
        f"codes over chance by other labels; by document it is {rows.shown(documents_ratio)} in the last block; "
        "bars and bands are 99 % intervals."
    )


# -- picture -----------------------------------------------------------------------------------------------


def draw(data: Mapping[str, np.ndarray]) -> object:
    """Draw tokens in context of the first and the last block, and what becomes of clusters below."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(6.9, 8.2), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(6, 2.2))
    for ax, early, letter in zip(above.subplots(1, 2), (True, False), "ab", strict=True):
        some = [few[:CONTEXTS] for few in lines_of(data, early)[:SHOWN]]
        if some:
            pg.contact_sheets.draw_contexts(titles(data, early)[:SHOWN], some, ax=ax, width=26, size=4.5)
            ax.set_ylim(SHOWN * (CONTEXTS + 1.75), 0)  # the same spacing, however few there are
        else:
            ax.text(0.5, 0.5, "no clusters", ha="center")
            ax.axis("off")
        ax.set_title(f"{letter}  {data['model']}, block {data['layers'][0 if early else -1]}, Hamming, codes")
    panels, layers = below.subplots(1, 4), data["layers"].tolist()
    rows.draw_counts(data, panels[0], layers)
    for ax, name, label in zip(
        panels[1:3],
        ("pure", "taken_apart"),
        ("purity / by chance", "neurons' parts / by chance"),
        strict=True,
    ):
        rows.draw_ratios(data, name, ax, layers)
        ax.set_ylabel(label)
    _draw_labels(data, panels[3])
    for ax, letter in zip(panels, "cdef", strict=True):
        rows.draw_layers(ax, layers, "block")
        ax.set_title(letter)
    below.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _draw_labels(data: Mapping[str, np.ndarray], ax: object) -> None:
    """Draw the purity of clusters of codes by several labels."""
    shades = ("#26364d", "#d5772c", "#2a8c82")
    for name, ratios, color, marker in zip(
        data["labels"].tolist(), data["by_label"], shades, "osD", strict=True
    ):
        x = np.arange(len(ratios))
        ax.fill_between(x, ratios[:, 1], ratios[:, 2], color=color, alpha=0.2, lw=0)
        ax.plot(x, ratios[:, 0], marker + "-", color=color, ms=2.5, lw=0.8, label=name)
    ax.axhline(1, color="0.6", lw=0.6, zorder=0)
    ax.set(ylabel="purity / by chance", yscale="log")
    ticks = [1, 2, 4, 8, 16]
    ax.set_yticks(ticks, labels=map(str, ticks))
    ax.minorticks_off()
    ax.set_ylim(top=4 * data["by_label"][..., 2].max())
    ax.legend(fontsize=5.5, loc="upper left", handlelength=1.2)
