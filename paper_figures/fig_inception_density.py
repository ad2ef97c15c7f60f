"""Density of boundaries between images of one WordNet group and of different groups, in InceptionV1, exactly.

From every image one segment leads to another image of its group and one to an image of another group. Followed
are, with all units and max-pooling included,

- whole segments from what enters block 5b to the logits, with the exact places where the class changes;
- shares of many more of them from 5b and from 5a, each in a place of its own along the segment, to images of other
  groups at random, and to those that are about as far away as the one of the same group;
- for every block the 1x1 convolutions that read the vector of all channels at the central position: one layer, so
  a boundary is a unit whose sign differs at the two ends. Beside them stand permuted groups, partners at matched
  distance, a network with its channels permuted and one with random weights.

Every segment is kept on disk once it is finished: an interrupted run goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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

LINES = (1, 8)
"""Rows whose two segments are followed from 5b with classes: quick, full."""

REACH = ((0.49, 0.5), (0.0, 1.0))
"""Which part of these segments: quick, full."""

SHARES = {"inception_5b": ((0, 48), 0.02), "inception_5a": ((0, 12), 0.01)}
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
    "matched 5b": "the same at matched distance",
    "shares 5a": "shares of segments from 5a",
    "matched 5a": "the same at matched distance",
}
"""Kinds of segments with all units behind a block, and their names."""

KINDS = ("trained", "permuted groups", "matched distance", "permuted channels", "random weights")
"""What stands beside each other at the central position."""


# -- computing -------------------------------------------------------------------------------------------


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Follow all segments; return densities, places, profiles and contrasts."""
    given, which = images(SEED), int(not quick)
    data = followed(given, LINES[which], REACH[which])
    for block, (rows, share) in SHARES.items():
        if rows[which]:
            data |= shares(given, block, rows[which], share)
    return data | stacks(given, STACK_ROWS[which])


def followed(given: Images, n: int, reach: tuple[float, float]) -> dict[str, np.ndarray]:
    """Return what lies on segments from 5b to the logits, with class changes."""
    network = given.behind("inception_5b")
    inputs = given.entering(given.used(n), ("inception_5b",))["inception_5b"].reshape(-1, network.dim_in)
    found = class_density(
        network, inputs, given.among(n), classes=True, reach=reach, cache=True, progress=True
    )
    lines = finished(found.segments)
    places = lines.places()
    data = {
        "reach": np.array(reach),
        "gates": np.array([path.removeprefix("inception_") for path in lines.gates]),
        "files": given.files[given.rows[:n]],
        "groups": given.groups[given.rows[:n]],
        "lengths": lines.lengths,
        "flips": lines.flips,
        "undecided": lines.undecided,
        "changes": np.diff(lines.class_ends),
        "example t": lines.t[lines.ends[0] : lines.ends[2]],
        "example kind": np.repeat([0, 1], np.diff(lines.ends)[:2]),
        "example gate": lines.gate[lines.ends[0] : lines.ends[2]],
        "example change": lines.class_t[: lines.class_ends[2]],
        "example change kind": np.repeat([0, 1], np.diff(lines.class_ends)[:2]),
    }
    for name, some in (("within", places[::2]), ("between", places[1::2])):
        seen = profile(some, reach, BINS)
        data |= {"edges": seen.edges, f"profile {name}": seen.flips}
    around = profile(places, reach, BINS)
    data |= {"offsets": around.offsets, "near": around.near, "elsewhere": around.elsewhere}
    data["line contrasts"] = line_contrasts(places, HALF, reach)
    data |= rates("whole 5b", found)
    return data


def rates(name: str, found: ClassDensity) -> dict[str, np.ndarray]:
    """Return flips per length within and between groups (rows, 2, gates) of one kind of segments."""
    each = found.segments.flips / found.segments.lengths[:, None]
    short = [path.removeprefix("inception_") for path in found.segments.gates]
    return {
        f"density {name}": each.reshape(len(found.rows), 2, -1),
        f"gates {name}": np.array(short),
        f"undecided {name}": found.segments.undecided,
    }


def shares(given: Images, block: str, n: int, share: float) -> dict[str, np.ndarray]:
    """Return densities on a share of every segment behind a block, in places spread evenly over the rows."""
    network, everyone = given.behind(block), np.arange(len(given.files))
    inputs = given.entering(everyone, (block,))[block].reshape(-1, network.dim_in)
    rng = np.random.default_rng(SEED)
    matched = matched_partners(given.groups, euclidean_distances(inputs), rng, len(given.rows))
    low = (np.arange(n) * GOLDEN) % 1 * (1 - share)
    reach, data = np.column_stack([low, low + share]), {}
    for kind, rows in (("shares", given.rows), ("matched", matched)):
        found = class_density(network, inputs, rows[:n], reach=reach, cache=True, progress=True)
        finished(found.segments)
        data |= rates(f"{kind} {block.removeprefix('inception_')}", found)
    return data


def stacks(given: Images, n: int) -> dict[str, np.ndarray]:
    """Return densities at the central position of every block, (blocks, kinds, rows, 2)."""
    chosen, rows = given.used(n), given.among(n)
    other = untrained(SEED)
    trained, random = (central(given.entering(chosen, inception.BLOCKS, m)) for m in (given.model, other))
    groups = given.groups[chosen]
    found = []
    for k, block in enumerate(inception.BLOCKS):
        rng = np.random.default_rng([SEED, k])
        x, net = trained[block], inception.channel_stack(given.model, block)
        apart = euclidean_distances(x)
        kinds = (
            (net, x, rows),
            (net, x, partners(rng.permutation(groups), rng, n)),
            (net, x, matched_partners(groups, apart, rng, n)),
            (net, x[:, rng.permutation(net.dim_in)], rows),
            (inception.channel_stack(other, block), random[block], rows),
        )
        found.append([class_density(*kind).density() for kind in kinds])
    short = [block.removeprefix("inception_") for block in inception.BLOCKS]
    return {"blocks": np.array(short), "stacks": np.array(found), "images": np.array(len(chosen))}


def central(maps: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the vectors of all channels at the central position."""
    return {name: x[:, :, x.shape[2] // 2, x.shape[3] // 2] for name, x in maps.items()}


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
    with np.errstate(divide="ignore", invalid="ignore"):
        sample = np.log(each[:, 1] / each[:, 0])
    return bootstrapped(sample), sign_flips(sample)


def above(data: dict[str, np.ndarray], kind: str) -> list[Estimate]:
    """Return per block the contrast of the trained network over that of another kind on the same rows."""
    logs = np.log(data["stacks"])
    sample = logs[..., 1] - logs[..., 0]
    return [bootstrapped(one) for one in sample[:, 0] - sample[:, KINDS.index(kind)]]


def statements(data: dict[str, np.ndarray]) -> list[tuple[str, Estimate, float]]:
    """Return what the prediction states, each with its effect and the p-value of permuted groups or signs."""
    of = {(kind, gate): (effect, p) for kind, gate, effect, p in effects(data)}
    asked = [((name, "all"), text) for name, text in SEGMENTS.items()]
    for kind in ("trained", "matched distance"):
        asked += [((f"center, {kind}", b), f"channels entering {b}, {kind}") for b in data["blocks"].tolist()]
    said = [(f"between groups over within, {text}", *of[key]) for key, text in asked if key in of]
    texts = (f"within {HALF} of class changes over the segment", "over other segments in the same place")
    columns = data["line contrasts"].T
    return said + [(text, bootstrapped(c), sign_flips(c)) for text, c in zip(texts, columns, strict=True)]


def report(data: dict[str, np.ndarray]) -> object:
    """Return a table of verdicts."""
    lines = [
        (text, effect.ratio, f"{p:.2g}", effect.n, judged(effect)) for text, effect, p in statements(data)
    ]
    return effect_table("P2 on InceptionV1", lines, ("density", "ratio", "p", "n", "verdict"))


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
    raw, alike = ([of[f"center, {kind}", b] for b in blocks] for kind in ("trained", "matched distance"))
    text = (
        f"{len(data['lengths'])} {part} from block 5b of InceptionV1 to the logits have "
        f"{data['flips'].sum(axis=1).mean():,.0f} boundaries and {data['changes'].mean():.1f} class changes on "
        f"average ({data['undecided'].sum()} bands undecided, all else exact); between WordNet groups the density "
        f"is {of['whole 5b', 'all'].ratio} times that within. "
    )
    for layer in ("5b", "5a"):
        if (f"shares {layer}", "all") in of:
            one, other = (of[f"{kind} {layer}", "all"] for kind in ("shares", "matched"))
            text += f"On shares of {one.n} pairs from {layer} it is {one.ratio}, at matched distance "
            text += f"{other.ratio}. "
    text += (
        f"For the channels at the central position of {data['images']} images, {raw[0].n} pairs, it is "
        f"{raw[0].ratio} entering {blocks[0]} and {raw[-1].ratio} entering {blocks[-1]}, at matched distance "
        f"{alike[0].ratio} and {alike[-1].ratio}."
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


COLORS = ("C0", "C1")
"""Within, and between groups."""


def draw_example(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw how many boundaries the two segments of the first row cross, and where the class changes."""
    edges, names = data["edges"], [label(file) for file in data["files"][0]]
    for k, color in enumerate(COLORS):
        counts = np.histogram(data["example t"][data["example kind"] == k], edges)[0] / np.diff(edges)
        ax.stairs(counts / 1000, edges, color=color, label=f"to {names[k + 1]}")
        for t in data["example change"][data["example change kind"] == k]:
            ax.axvline(t, color=color, linewidth=0.8, linestyle="--")
    ax.set(xlabel="place $t$ on the segment", ylabel="thousand boundaries per unit of $t$")
    ax.set(xlim=edges[[0, -1]], ylim=(0, None))
    ax.set_title(f"a  From {names[0]}")
    below(ax)


def draw_profile(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw the mean over all segments within and between groups."""
    edges = data["edges"]
    for kind, color in zip(("within", "between"), COLORS, strict=True):
        ax.stairs(data[f"profile {kind}"] / 1000, edges, color=color, label=f"{kind} groups")
    ax.set(xlabel="place $t$ on the segment", xlim=edges[[0, -1]], ylim=(0, None))
    ax.set_title(f"b  Mean of {len(data['lengths'])} segments")
    below(ax)


def draw_around(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw the density around class changes, beside that of other segments in the same places."""
    for name, color, text in (("near", "C2", "these segments"), ("elsewhere", "C4", "others, same places")):
        ax.stairs(data[name] / 1000, data["offsets"], color=color, label=text)
    ax.axvline(0, color="0.3", linewidth=0.8, linestyle="--")
    ax.set(xlabel="$t$ from a class change", xlim=data["offsets"][[0, -1]], ylim=(0, None))
    ax.set_title("c  Around class changes")
    below(ax)


def below(ax: object, columns: int = 1, drop: float = 0.24) -> None:
    """Put the legend below the axes: nothing is covered."""
    where = {"loc": "upper left", "bbox_to_anchor": (-0.05, -drop)}
    ax.legend(**where, ncols=columns, handlelength=1.6, borderaxespad=0, labelspacing=0.3, columnspacing=1)


def draw_gates(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw the contrast of every gate, for every kind of segments."""
    of = {(kind, gate): effect for kind, gate, effect, _ in effects(data)}
    kinds = [name for name in SEGMENTS if (name, "all") in of]
    gates = list(dict.fromkeys(gate for kind, gate in of if kind in kinds))
    places = {gate: -k for k, gate in enumerate(gates)}
    for j, kind in enumerate(kinds):
        mine = [gate for gate in gates if (kind, gate) in of]
        at = np.array([places[gate] for gate in mine]) + 0.15 * ((len(kinds) - 1) / 2 - j)
        effect_marks(ax, at, [of[kind, gate] for gate in mine], kind, j, across=True)
    ax.axvline(1, color="0.6", linewidth=0.6, zorder=0)
    ax.set_yticks(list(places.values()), gates)
    ax.set(xlabel="density between groups over within", xscale="log")
    plain_ratios(ax.xaxis)
    ax.set_title("d  All units behind 5b and 5a, by gate")
    below(ax, 2, 0.17)


def draw_blocks(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw the contrast at the central position of every block, beside null models."""
    for j, kind in enumerate(KINDS):
        found = [contrast(each)[0] for each in data["stacks"][:, j]]
        effect_marks(ax, np.arange(len(found)) + 0.15 * (j - 2), found, kind, j, across=False)
    ax.axhline(1, color="0.6", linewidth=0.6, zorder=0)
    ax.set_xticks(np.arange(len(data["blocks"])), data["blocks"].tolist())
    ax.set(xlabel="channels entering block", ylabel="density between groups over within", yscale="log")
    plain_ratios(ax.yaxis)
    ax.set_title("e  $1\\times1$ convolutions at the center")
    below(ax, 2, 0.17)


def effect_marks(
    ax: object, at: np.ndarray, found: Sequence[Estimate], name: str, number: int, *, across: bool
) -> None:
    """Draw ratios with their intervals, lying or standing."""
    middle, low, high = (np.exp([getattr(one, end) for one in found]) for end in ENDS.values())
    error = np.nan_to_num([middle - low, high - middle])
    style = {"fmt": "os^Dv"[number], "markersize": 3, "linewidth": 0.9, "color": f"C{number}", "label": name}
    if across:
        ax.errorbar(middle, at, xerr=error, **style)
    else:
        ax.errorbar(at, middle, yerr=error, **style)


def plain_ratios(axis: object) -> None:
    """Write the ticks of a logarithmic axis of ratios near 1 as numbers."""
    from matplotlib.ticker import FormatStrFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(6))
    axis.set_major_formatter(FormatStrFormatter("%.2g"))
    axis.set_minor_locator(MaxNLocator(1))
    axis.set_minor_formatter("")
