"""Density of boundaries between images of one WordNet group and of different groups, in InceptionV1, exactly.

From every image one segment leads to another image of its group and one to an image of another group. Followed
are, with all units and max-pooling included,

- whole segments from what enters block 5b to the logits, with the exact places where the class changes;
- shares of many more of them from 5b and from 5a, each in a place of its own along the segment: to images of other
  groups at random, to those about as far away as the one of the same group, and to these with the channels of all
  maps permuted;
- for every block the 1x1 convolutions that read the vector of all channels at the central position: one layer, so
  a boundary is a unit whose sign differs at the two ends. Beside them stand permuted groups, permuted channels,
  random weights, and partners at matched distance, with their channels as they are and permuted.

Every segment is kept on disk once it is finished: an interrupted run goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import polygeom as pg
from paper_figures.inception_images import DATA, Images, finished, images, label, untrained
from paper_figures.verdicts import effect_table, judged
from polygeom.lens import (
    ClassDensity,
    bootstrapped,
    class_density,
    euclidean_distances,
    line_contrasts,
    matched_partners,
    partners,
    profile,
)
from polygeom.lens.estimates import Estimate, sign_flips
from polygeom.models import inception

FIGURE = "F8"
SEED = 0
__all__ = ["DATA", "FIGURE", "SEED", "caption", "compute", "draw", "report", "tables"]

LINES = (1, 5)
"""Rows whose two segments are followed from 5b with classes: quick, full."""

REACH = ((0.49, 0.5), (0.0, 1.0))
"""Which part of these segments: quick, full."""

SHARES = {"inception_5b": ((0, 24), 0.02), "inception_5a": ((0, 8), 0.01)}
"""Of other rows a share of each segment: rows (quick, full), and how large a share."""

STACK_ROWS = (5, 400)
"""Rows at the central position: quick, full."""

BINS, HALF = 40, 0.05
"""Bins along a segment, and half the width of a window around a class change, in parts of a segment."""

GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it are spread evenly over [0, 1] modulo 1, however many there are."""

SEGMENTS = {
    "whole 5b": "whole segments from 5b",
    "shares 5b": "shares of segments from 5b",
    "matched 5b": "shares from 5b, matched distance",
    "mixed 5b": "the same, permuted channels",
    "shares 5a": "shares of segments from 5a",
    "matched 5a": "shares from 5a, matched distance",
    "mixed 5a": "the same, permuted channels",
}
"""Kinds of segments with all units behind a block, and their names."""

KINDS = (
    "trained",
    "permuted groups",
    "permuted channels",
    "random weights",
    "matched distance",
    "matched, permuted channels",
    "angle",
    "matched, angle",
)
"""What stands beside each other at the central position; the last two are angles over distances, no densities."""

DRAWN, DRAWN_PARTS = KINDS[:6], ("whole segments", "shares of segments", "matched distance")
"""Kinds that are drawn, at the central position and of all units."""


# -- computing -------------------------------------------------------------------------------------------


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Follow all segments; return densities, places, profiles and contrasts."""
    given, which = images(SEED), int(not quick)
    chosen = given.used(STACK_ROWS[which]) if quick else np.arange(len(given.files))
    maps, vectors = given.entering(chosen, {"inception_5b", *SHARES}, set(inception.BLOCKS))
    rows = np.searchsorted(chosen, given.rows[: STACK_ROWS[which]])
    data = followed(given, maps["inception_5b"], rows[: LINES[which]], REACH[which])
    for block, (n, share) in SHARES.items():
        if n[which]:
            data |= shares(given, block, maps[block], n[which], share)
    other = untrained(SEED)
    _, random = given.entering(chosen, set(), set(inception.BLOCKS), other)
    found = stacks(rows, given.groups[chosen], (given.model, vectors), (other, random))
    return data | {"stacks": found, "images": np.array(len(chosen)), "blocks": short(inception.BLOCKS)}


def short(names: Sequence[str]) -> np.ndarray:
    """Return names of blocks and gates without their common beginning."""
    return np.array([name.removeprefix("inception_") for name in names])


def followed(
    given: Images, inputs: np.ndarray, rows: np.ndarray, reach: tuple[float, float]
) -> dict[str, np.ndarray]:
    """Return what lies on segments from 5b to the logits, with class changes."""
    network, n = given.behind("inception_5b"), len(rows)
    found = class_density(network, inputs, rows, classes=True, reach=reach, cache=True, progress=True)
    lines = finished(found.segments)
    places = lines.places()
    data = {
        "reach": np.array(reach),
        "files": given.files[given.rows[:n]],
        "groups": given.groups[given.rows[:n]],
        "lengths": lines.lengths,
        "flips": lines.flips,
        "undecided": lines.undecided,
        "changes": np.diff(lines.class_ends),
        "example t": lines.t[lines.ends[0] : lines.ends[2]],
        "example kind": np.repeat([0, 1], np.diff(lines.ends)[:2]),
        "example change": lines.class_t[: lines.class_ends[2]],
        "example change kind": np.repeat([0, 1], np.diff(lines.class_ends)[:2]),
        "line contrasts": line_contrasts(places, HALF, reach),
    }
    for name, some in (("within", places[::2]), ("between", places[1::2])):
        seen = profile(some, reach, BINS)
        data |= {"edges": seen.edges, f"profile {name}": seen.flips}
    around = profile(places, reach, BINS)
    data |= {"offsets": around.offsets, "near": around.near, "elsewhere": around.elsewhere}
    return data | rates("whole 5b", found)


def rates(name: str, found: ClassDensity) -> dict[str, np.ndarray]:
    """Return flips per length within and between groups (rows, 2, gates) of one kind of segments."""
    each = found.segments.flips / found.segments.lengths[:, None]
    return {
        f"density {name}": each.reshape(len(found.rows), 2, -1),
        f"gates {name}": short(found.segments.gates),
        f"undecided {name}": found.segments.undecided,
    }


def shares(given: Images, block: str, inputs: np.ndarray, n: int, share: float) -> dict[str, np.ndarray]:
    """Return densities on a share of every segment behind a block, in places spread evenly over the rows.

    To the images of other groups that were drawn; to those at matched distance; to the same of them once more,
    with all maps' channels in another order.
    """
    network, rng = given.behind(block), np.random.default_rng(SEED)
    matched = matched_partners(given.groups, euclidean_distances(inputs), rng, len(given.rows))
    channels = inputs.reshape(len(inputs), network.input_shape[0], -1)
    mixed = channels[:, rng.permutation(network.input_shape[0])].reshape(inputs.shape)
    low = (np.arange(n) * GOLDEN) % 1 * (1 - share)
    reach, data = np.column_stack([low, low + share]), {}
    kinds = {"shares": (inputs, given.rows), "matched": (inputs, matched), "mixed": (mixed, matched)}
    for kind, (x, rows) in kinds.items():
        found = class_density(network, x, rows[:n], reach=reach, cache=True, progress=True)
        finished(found.segments)
        data |= rates(f"{kind} {block.removeprefix('inception_')}", found)
    return data


Reading = tuple[object, dict[str, np.ndarray]]
"""A model, and by block the vectors (N, channels) that enter it."""


def stacks(rows: np.ndarray, groups: np.ndarray, trained: Reading, random: Reading) -> np.ndarray:
    """Return densities at the central position of every block, (blocks, kinds, rows, 2)."""
    found = []
    for k, block in enumerate(inception.BLOCKS):
        rng = np.random.default_rng([SEED, k])
        x, other = trained[1][block], random[1][block]
        net, without = (inception.channel_stack(model, block) for model in (trained[0], random[0]))
        shuffled = partners(rng.permutation(groups), rng, len(rows))
        alike = matched_partners(groups, euclidean_distances(x), rng, len(rows))
        mixed = x[:, rng.permutation(net.dim_in)]
        kinds = (
            (net, x, rows),
            (net, x, shuffled),
            (net, mixed, rows),
            (without, other, rows),
            (net, x, alike),
            (net, mixed, alike),
        )
        counted = [class_density(*kind).density() for kind in kinds]
        found.append([*counted, angles(x, rows), angles(x, alike)])
    return np.array(found)


def angles(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return angle over distance within and between groups, (rows, 2).

    A random hyperplane through 0 parts two vectors with a probability that is proportional to the angle.
    """
    unit, apart = x / np.linalg.norm(x, axis=1, keepdims=True), euclidean_distances(x)
    cosines = np.clip(unit @ unit.T, -1, 1)
    first = rows[:, 0]
    return np.column_stack([np.arccos(cosines[first, to]) / apart[first, to] for to in rows.T[1:]])


# -- what it says ----------------------------------------------------------------------------------------


def effects(data: dict[str, np.ndarray]) -> list[tuple[str, str, Estimate, float]]:
    """Return kind of segments, gate, log(density between / within) over rows, p-value of permuted groups."""
    found = []
    for name in SEGMENTS:
        if f"density {name}" not in data:
            continue
        each, gates = data[f"density {name}"], data[f"gates {name}"].tolist()
        chosen = [("all", slice(None)), *((gate, slice(k, k + 1)) for k, gate in enumerate(gates))]
        found += [(name, gate, *contrast(each[..., k].sum(axis=2))) for gate, k in chosen]
    for block, kinds in zip(data["blocks"].tolist(), data["stacks"], strict=True):
        found += [
            (f"center, {kind}", block, *contrast(each)) for kind, each in zip(KINDS, kinds, strict=True)
        ]
    return found


def contrast(each: np.ndarray) -> tuple[Estimate, float]:
    """Return the mean of log(between / within) over rows (n, 2), and the p-value of permuted groups."""
    sample = logs(each)
    return bootstrapped(sample), sign_flips(sample)


def logs(each: np.ndarray) -> np.ndarray:
    """Return log(between / within) of densities (..., 2)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(each[..., 1] / each[..., 0])


def by_block(data: dict[str, np.ndarray], kind: str, null: str | None = None) -> list[Estimate]:
    """Return per block the contrast of one kind, or by how much it exceeds another on the same rows."""
    sample = logs(data["stacks"])
    less = 0 if null is None else sample[:, KINDS.index(null)]
    return [bootstrapped(one) for one in sample[:, KINDS.index(kind)] - less]


def over_mixed(data: dict[str, np.ndarray], layer: str) -> Estimate:
    """Return by how much the contrast at matched distance exceeds that with permuted channels, behind a block."""
    one, other = (logs(data[f"density {kind} {layer}"].sum(axis=2)) for kind in ("matched", "mixed"))
    return bootstrapped(one - other)


def statements(data: dict[str, np.ndarray]) -> list[tuple[str, Estimate, float]]:
    """Return what the prediction states of all units, each with its effect and the p-value of random signs."""
    said = []
    for name, text in SEGMENTS.items():
        if f"density {name}" in data:
            said.append((text, *contrast(data[f"density {name}"].sum(axis=2))))
        kind, layer = name.split()
        if kind == "mixed" and f"density {name}" in data:
            said.append(
                (f"{layer}, matched distance over permuted channels", over_mixed(data, layer), np.nan)
            )
    texts = (f"within {HALF} of class changes, over the segment", "the same, over other segments there")
    columns = data["line contrasts"].T
    return said + [(text, bootstrapped(c), sign_flips(c)) for text, c in zip(texts, columns, strict=True)]


COMPARED = {
    "as drawn": ("trained", None),
    "matched distance": ("matched distance", None),
    "its angles": ("matched, angle", None),
    "over permuted channels": ("matched distance", "matched, permuted channels"),
}
"""Kinds that stand beside each other block by block, and what they are compared with; the last is judged."""


def report(data: dict[str, np.ndarray]) -> object:
    """Return tables of verdicts."""
    from rich.console import Group

    lines = [
        (text, effect.ratio, "" if np.isnan(p) else f"{p:.2g}", effect.n, judged(effect))
        for text, effect, p in statements(data)
        if effect.n
    ]
    head = ("density, all units", "ratio", "p", "n", "verdict")
    told = {name: kinds for name, kinds in COMPARED.items() if name != "its angles"}
    columns = [by_block(data, *kinds) for kinds in told.values()]
    blocks = [
        (block, *(found[k].ratio for found in columns), judged(columns[-1][k]))
        for k, block in enumerate(data["blocks"].tolist())
    ]
    names = ("entering", *told, "verdict")
    return Group(
        effect_table("P2 on InceptionV1: between WordNet groups over within", lines, head),
        effect_table("P2 on InceptionV1: 1x1 convolutions at the central position", blocks, names),
    )


def tables(data: dict[str, np.ndarray]) -> dict[str, dict[str, list]]:
    """Return every contrast, and every whole segment."""
    kind, part, found, p = zip(*effects(data), strict=True)
    numbers = {end: [float(np.exp(getattr(one, at))) for one in found] for end, at in ENDS.items()}
    contrasts = {"segments": kind, "part": part, **numbers, "p": p, "rows": [one.n for one in found]}
    files, groups = data["files"], data["groups"]
    segments = {
        "from": [label(row[0]) for row in files for _ in range(2)],
        "to": [label(row[k]) for row in files for k in (1, 2)],
        "groups": [f"{row[0]}, {row[k]}" for row in groups for k in (1, 2)],
        "length": data["lengths"].tolist(),
        "boundaries": data["flips"].sum(axis=1).tolist(),
        "class_changes": data["changes"].tolist(),
        "undecided_bands": data["undecided"].tolist(),
    }
    return {"inception_density": contrasts, "inception_density_segments": segments}


ENDS = {"ratio": "mean", "low": "low", "high": "high"}


def caption(data: dict[str, np.ndarray]) -> str:
    """Return two to five sentences with the numbers."""
    of = {(kind, gate): effect for kind, gate, effect, _ in effects(data)}
    blocks, (first, last) = data["blocks"].tolist(), data["reach"]
    part = "whole segments" if (first, last) == (0, 1) else f"segments, t from {first:g} to {last:g},"
    text = (
        f"{len(data['lengths'])} {part} from block 5b of InceptionV1 to the logits have "
        f"{data['flips'].sum(axis=1).mean():,.0f} boundaries and {data['changes'].mean():.1f} class changes on "
        f"average ({data['undecided'].sum()} bands undecided, all else exact); between WordNet groups the density "
        f"is {of['whole 5b', 'all'].ratio} times that within. "
    )
    for layer in ("5b", "5a"):
        if (f"shares {layer}", "all") in of:
            one, other, mixed = (of[f"{kind} {layer}", "all"] for kind in ("shares", "matched", "mixed"))
            text += f"On shares of {one.n} pairs from {layer} it is {one.ratio}, at matched distance "
            text += f"{other.ratio}, and there with permuted channels {mixed.ratio}. "
    raw, alike, angle, rest = (by_block(data, *kinds)[-1] for kinds in COMPARED.values())
    text += (
        f"For the channels entering {blocks[-1]} at the central position of {data['images']} images ({raw.n} "
        f"pairs) it is {raw.ratio}, at matched distance {alike.ratio}, where angles alone are {angle.ratio} "
        f"times as large and permuted channels leave a factor of {rest.ratio}."
    )
    own, specific = (bootstrapped(column) for column in data["line contrasts"].T)
    if own.n < 2:
        return text
    return (
        f"{text} Within {HALF} of a class change there are {own.ratio} times as many boundaries as on the segment "
        f"and {specific.ratio} times as many as on other segments in the same place ({own.n} segments)."
    )


# -- picture ---------------------------------------------------------------------------------------------


def draw(data: dict[str, np.ndarray]) -> object:
    """Draw two segments, mean profiles, class changes; and contrasts by gate and by block."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(6.9, 6.0))
    grid = figure.add_gridspec(2, 6, height_ratios=(1, 1.35))
    draw_example(data, figure.add_subplot(grid[0, :2]))
    draw_profile(data, figure.add_subplot(grid[0, 2:4]))
    draw_around(data, figure.add_subplot(grid[0, 4:]))
    draw_gates(data, figure.add_subplot(grid[1, :3]))
    draw_blocks(data, figure.add_subplot(grid[1, 3:]))
    return figure


COLORS = ("C0", "C1", "C2", "C3", "C4", "black")
"""Within and between groups; kinds in their order."""


def draw_example(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw how many boundaries the two segments of the first row cross, and where the class changes."""
    edges, names = data["edges"], [label(file) for file in data["files"][0]]
    for k, color in enumerate(COLORS[:2]):
        counts = np.histogram(data["example t"][data["example kind"] == k], edges)[0] / np.diff(edges)
        ax.stairs(counts / 1000, edges, baseline=None, color=color, label=f"to {names[k + 1]}")
        for t in data["example change"][data["example change kind"] == k]:
            ax.axvline(t, color=color, linewidth=0.8, linestyle="--")
    ax.set(xlabel="place $t$ on the segment", ylabel="thousand boundaries per unit of $t$")
    ax.set(xlim=edges[[0, -1]], ylim=(0, None))
    ax.set_title(f"a  From {names[0]}")
    below(ax)


def draw_profile(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw the mean over all segments within and between groups."""
    edges = data["edges"]
    for kind, color in zip(("within", "between"), COLORS, strict=False):
        ax.stairs(data[f"profile {kind}"] / 1000, edges, baseline=None, color=color, label=f"{kind} groups")
    ax.set(xlabel="place $t$ on the segment", xlim=edges[[0, -1]], ylim=(0, None))
    ax.set_title(f"b  Mean of {len(data['lengths'])} segments")
    below(ax)


def draw_around(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw the density around class changes, beside that of other segments in the same places."""
    if not data["changes"].any():
        ax.text(
            0.5, 0.5, "the class changes\non no segment", transform=ax.transAxes, ha="center", va="center"
        )
        ax.set(xticks=[], yticks=[], title="c  Around class changes")
        return
    for name, color, text in (("near", "C2", "these segments"), ("elsewhere", "C4", "others, same places")):
        ax.stairs(data[name] / 1000, data["offsets"], baseline=None, color=color, label=text)
    ax.axvline(0, color="0.3", linewidth=0.8, linestyle="--")
    ax.set(xlabel="$t$ from a class change", xlim=data["offsets"][[0, -1]], ylim=(0, None))
    ax.set_title("c  Around class changes")
    below(ax)


def below(ax: object, columns: int = 1, drop: float = 0.24) -> None:
    """Put the legend below the axes: nothing is covered."""
    where = {"loc": "upper left", "bbox_to_anchor": (-0.05, -drop)}
    ax.legend(**where, ncols=columns, handlelength=1.6, borderaxespad=0, labelspacing=0.3, columnspacing=1)


def draw_gates(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw the contrast of every gate of a block, behind that block, for several kinds of segments."""
    of = {(kind, gate): effect for kind, gate, effect, _ in effects(data)}
    names = []
    for layer in ("5b", "5a"):
        kinds = [kind for kind in ("whole", "shares", "matched") if (f"{kind} {layer}", "all") in of]
        gates = [
            gate
            for kind, gate in of
            if kinds and kind == f"{kinds[0]} {layer}" and gate.startswith((f"{layer}.", "all"))
        ]
        for kind in kinds:
            number = ("whole", "shares", "matched").index(kind)
            at = -len(names) - np.arange(len(gates)) + 0.25 * (1 - number)
            found = [of[f"{kind} {layer}", gate] for gate in gates]
            label = DRAWN_PARTS[number] if layer == "5b" else None
            pg.plotting.draw_estimates(
                at, found, ax=ax, ratios=True, across=True, label=label, **marks(number)
            )
        names += [f"all behind {layer}", *(gate.removesuffix("_relu") for gate in gates[1:])] if kinds else []
    ax.axvline(1, color="0.6", linewidth=0.6, zorder=0)
    ax.set_yticks(-np.arange(len(names)), names)
    ax.set(xlabel="density between groups over within", xscale="log")
    plain_ratios(ax.xaxis)
    ax.set_title("d  All units, by gate")
    below(ax, 1, 0.17)


def draw_blocks(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw the contrast at the central position of every block, beside null models."""
    for j, kind in enumerate(DRAWN):
        found = by_block(data, kind)
        at = np.arange(len(found)) + 0.13 * (j - 2.5)
        pg.plotting.draw_estimates(at, found, ax=ax, ratios=True, label=kind, **marks(j))
    ax.axhline(1, color="0.6", linewidth=0.6, zorder=0)
    ax.set_xticks(np.arange(len(data["blocks"])), data["blocks"].tolist())
    ax.set(xlabel="channels entering block", ylabel="density between groups over within", yscale="log")
    plain_ratios(ax.yaxis)
    ax.set_title("e  $1\\times1$ convolutions at the center")
    below(ax, 2, 0.17)


def marks(number: int) -> dict[str, str]:
    """Return mark and color of a kind."""
    return {"fmt": "osDv^<"[number], "color": COLORS[number]}


def plain_ratios(axis: object) -> None:
    """Write the ticks of a logarithmic axis of ratios near 1 as numbers."""
    from matplotlib.ticker import FormatStrFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(6))
    axis.set_major_formatter(FormatStrFormatter("%.3g"))
    axis.set_minor_locator(MaxNLocator(1))
    axis.set_minor_formatter("")
