"""Scaling what enters block 5b of InceptionV1: boundaries, code, output and class against the scale, exactly.

The whole map of activations of one image is multiplied by t, from 1/16 to 16. Every boundary from there to the
logits is found, max-pooling included, and every place where the class changes; at 65 scales the share of letters
that differ from those at t = 1, and the cosine between the logits and those at t = 1. Where maps of real
images are is told by their norms: the middle 90 % of them, over the image's own.

Every ray is kept on disk once it is finished: an interrupted run goes on where it was.
"""

from __future__ import annotations

import numpy as np

from paper_figures.inception_images import DATA, finished, images, label
from paper_figures.verdicts import effect_table, judged
from polygeom.lens import (
    Estimate,
    around_changes,
    binomial,
    bootstrapped,
    line_contrasts,
    profile,
    scale_activations,
)

FIGURE = "F9"
SEED = 0
__all__ = ["DATA", "FIGURE", "SEED", "caption", "compute", "draw", "report", "tables"]

BLOCK = "inception_5b"
RAYS, ROWS = (1, 8), (2, 400)
"""Images that are scaled, and rows of images whose norms are taken: quick, full."""

OCTAVES, SAMPLES = (0.25, 4.0), (17, 65)
"""How far to scale down and up, and at how many scales codes and outputs are compared: quick, full."""

HALF = 0.25
"""Half the width of a window around a class change, in octaves."""

COMMON = (5, 95)
"""Percentiles of norms between which a map of activations is common."""

BINS = 32


# -- computing -------------------------------------------------------------------------------------------


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Scale the maps of the first images of the rows; return what changes, and the norms of all images."""
    which = int(not quick)
    given, octaves = images(SEED), OCTAVES[which]
    network = given.behind(BLOCK)
    chosen = given.rows[: RAYS[which], 0]
    everyone = np.union1d(chosen, given.used(ROWS[which]))
    entering, _ = given.entering(everyone, {BLOCK})
    maps = entering[BLOCK][np.searchsorted(everyone, chosen)]
    found = finished(scale_activations(network, maps, octaves, SAMPLES[which], cache=True, progress=True))
    places, reach = found.places(), (-octaves, octaves)
    seen = profile(places, reach, BINS, min(1.0, octaves))
    changing = any(len(changes) for _, changes in places)
    return {
        "files": given.files[chosen],
        "units": np.array(network.n_units),
        "octaves": found.octaves,
        "crossings": found.crossings,
        "code change": found.code_change,
        "cosine": found.cosine,
        "class range": found.class_range,
        "code range": found.code_range,
        "kept": found.kept(min(1.0, octaves / 2)),
        "flips": np.diff(found.flip_ends),
        "undecided": found.undecided,
        "change u": found.change_u,
        "change ray": np.repeat(np.arange(len(found)), np.diff(found.change_ends)),
        "norms": np.linalg.norm(maps, axis=1),
        "all norms": np.linalg.norm(entering[BLOCK], axis=1),
        "edges": seen.edges,
        "per octave": np.array([np.histogram(flips, seen.edges)[0] for flips, _ in places])
        / np.diff(seen.edges),
        "offsets": seen.offsets,
        "near": seen.near,
        "elsewhere": seen.elsewhere,
        "pooled": np.array(around_changes(places, HALF, reach) if changing else (np.nan, np.nan)),
        "ray contrasts": line_contrasts(places, HALF, reach) if changing else np.zeros((0, 2)),
    }


def common(data: dict[str, np.ndarray]) -> np.ndarray:
    """Return per ray the octaves between which its norm is common, (rays, 2)."""
    return np.log2(np.percentile(data["all norms"], COMMON) / data["norms"][:, None])


# -- what it says ----------------------------------------------------------------------------------------


def reach_kept(data: dict[str, np.ndarray]) -> float:
    """Return the octaves up and down on which the class is asked to stay."""
    return min(1.0, float(data["octaves"][-1]) / 2)


def kept(data: dict[str, np.ndarray]) -> Estimate:
    """Return the share of images that keep their class between half and twice the scale."""
    return binomial(int(data["kept"].sum()), len(data["kept"]))


def contrasts(data: dict[str, np.ndarray]) -> list[Estimate]:
    """Return over rays the log densities near class changes over the ray's, and over other rays' there."""
    return [bootstrapped(column) for column in data["ray contrasts"].T]


def inside(data: dict[str, np.ndarray]) -> np.ndarray:
    """Return per ray whether the class stays wherever the norm is common."""
    end = data["octaves"][-1]
    low, high = np.clip(common(data), -end, end).T
    return (data["class range"][:, 0] <= low) & (data["class range"][:, 1] >= high)


def within_common(data: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Return per ray the mean of a quantity over the scales looked at where the norm is common."""
    u = data["octaves"]
    return np.array(
        [
            row[(u >= low) & (u <= high)].mean()
            for row, (low, high) in zip(data[name], common(data), strict=True)
        ]
    )


def report(data: dict[str, np.ndarray]) -> object:
    """Return a table of verdicts."""
    stays, (own, specific) = kept(data), contrasts(data)
    lines = [
        (
            f"keeps its class on [-{reach_kept(data):g}, {reach_kept(data):g}] octaves",
            str(stays),
            stays.n,
            judged(stays, 0.5),
        ),
        (f"denser within {HALF} octaves of class changes than on the ray", own.ratio, own.n, judged(own)),
        ("denser there than other rays at the same scale", specific.ratio, specific.n, judged(specific)),
    ]
    return effect_table("P3 on InceptionV1", lines, ("statement", "share or ratio", "n", "verdict"))


def tables(data: dict[str, np.ndarray]) -> dict[str, dict[str, list]]:
    """Return a line per ray, and the curves."""
    low, high = common(data).T
    rays = {
        "image": [label(file) for file in data["files"]],
        "norm": data["norms"].tolist(),
        "norm_common_from": (2.0**low).tolist(),
        "norm_common_to": (2.0**high).tolist(),
        "class_from": (2.0 ** data["class range"][:, 0]).tolist(),
        "class_to": (2.0 ** data["class range"][:, 1]).tolist(),
        "code_from": (2.0 ** data["code range"][:, 0]).tolist(),
        "code_to": (2.0 ** data["code range"][:, 1]).tolist(),
        "boundaries": data["flips"].tolist(),
        "undecided_bands": data["undecided"].tolist(),
        "class_changes": np.bincount(data["change ray"], minlength=len(data["files"])).tolist(),
    }
    curves = {"scale": (2.0 ** data["octaves"]).tolist()}
    for name in ("crossings", "code change", "cosine"):
        curves[f"median_{name.replace(' ', '_')}"] = np.median(data[name], axis=0).tolist()
    curves["class_kept"] = stays_at(data).mean(axis=0).tolist()
    return {"inception_scaling": rays, "inception_scaling_curves": curves}


def stays_at(data: dict[str, np.ndarray]) -> np.ndarray:
    """Return per ray and scale whether the class has not changed between 1 and there."""
    u, (low, high) = data["octaves"], data["class range"].T[:, :, None]
    end = u[-1]
    return ((u > low) | (low == -end)) & ((u < high) | (high == end))


def caption(data: dict[str, np.ndarray]) -> str:
    """Return two to five sentences with the numbers."""
    stays, (own, specific), n = kept(data), contrasts(data), len(data["files"])
    end, asked = float(2.0 ** data["octaves"][-1]), 2.0 ** reach_kept(data)
    low, high = (2.0 ** np.median(common(data), axis=0)).tolist()
    code = 2.0 ** np.median(np.diff(data["code range"]))
    down, up = (100 * np.median(letters_at(data, 1 / asked)), 100 * np.median(letters_at(data, asked)))
    text = (
        f"{n} maps entering block 5b of InceptionV1 scaled by 1/{end:g} to {end:g} meet "
        f"{np.median(data['flips']):,.0f} boundaries at the median ({data['undecided'].sum()} bands undecided, "
        f"all else exact). A share of {stays} keeps its class from 1/{asked:.3g} to {asked:.3g}, where {down:.1f} "
        f"and {up:.1f} % of the letters differ from those at 1; the median cell holds a factor of {code:.5f}. "
        f"Norms of the middle {COMMON[1] - COMMON[0]} % of {len(data['all norms'])} images are {low:.2f} to "
        f"{high:.2f} times the median ray's own; there {inside(data).sum()} of {n} keep their class, with "
        f"a mean cosine of {within_common(data, 'cosine').mean():.3f} to the logits at 1. "
    )
    if own.n < 2:
        return f"{text}{own.n} of these rays change their class."
    return text + (
        f"Within {HALF} octaves of a class change ({own.n} rays) there are {own.ratio} times as many boundaries "
        f"per octave as on the ray, and {specific.ratio} times as many as at the same scale on other rays."
    )


def letters_at(data: dict[str, np.ndarray], scale: float) -> np.ndarray:
    """Return per ray the share of letters that differ at the scale looked at that is nearest."""
    return data["code change"][:, np.abs(data["octaves"] - np.log2(scale)).argmin()]


# -- picture ---------------------------------------------------------------------------------------------


def draw(data: dict[str, np.ndarray]) -> object:
    """Draw boundaries, letters, outputs and classes against the scale, and density near class changes."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(6.9, 4.3))
    draw_rates(data, axes[0, 0])
    draw_curve(
        data, axes[0, 1], "crossings", "b  Boundaries between 1 and $t$", "boundaries (thousands)", 1000
    )
    draw_curve(data, axes[0, 2], "code change", "c  Letters that differ", "share of letters (%)", 0.01)
    draw_curve(data, axes[1, 0], "cosine", "d  Direction of the logits", "cosine to the logits at 1", 1)
    draw_classes(data, axes[1, 1])
    draw_around(data, axes[1, 2])
    return figure


def scale_axis(data: dict[str, np.ndarray], ax: object) -> None:
    """Label the axis of scales, and shade those where the norm is common."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    low, high = np.median(common(data), axis=0)
    end = data["octaves"][-1]
    ax.axvspan(max(low, -end), min(high, end), color="C4", alpha=0.2, linewidth=0, zorder=0)
    ax.axvline(0, color="0.5", linewidth=0.6, zorder=0)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5)))
    ax.xaxis.set_major_formatter(
        FuncFormatter(lambda u, _: f"{2.0**u:.3g}" if u >= 0 else f"1/{2.0**-u:.3g}")
    )
    ax.set(xlabel="scale $t$", xlim=(-end, end))


def draw_curve(
    data: dict[str, np.ndarray], ax: object, name: str, title: str, label_: str, unit: float
) -> None:
    """Draw every ray thin, and the median."""
    u, each = data["octaves"], data[name] / unit
    ax.plot(u, each.T, color="C4", linewidth=0.4)
    ax.plot(u, np.median(each, axis=0), color="C0", linewidth=1.4)
    scale_axis(data, ax)
    ax.set(ylabel=label_)
    ax.set_title(title)


def draw_rates(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw boundaries per octave, and the class changes."""
    edges, each = data["edges"], data["per octave"] / 1000
    for row in each:
        ax.stairs(row, edges, baseline=None, color="C4", linewidth=0.4)
    ax.stairs(np.median(each, axis=0), edges, baseline=None, color="C0", linewidth=1.4)
    at = np.clip(np.searchsorted(edges, data["change u"]) - 1, 0, len(edges) - 2)
    rates = each[data["change ray"], at]
    ax.plot(data["change u"], rates, ".", color="C1", markersize=4, label="class changes")
    scale_axis(data, ax)
    ax.set(ylabel="boundaries per octave (thousands)", ylim=(0, None))
    ax.set_title("a  Boundaries along the ray")
    if len(rates):
        ax.legend(loc="upper right")


def draw_classes(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw for every image the scales of its class, those where its norm is common, and its class changes."""
    end = data["octaves"][-1]
    for row, ((low, high), (first, last)) in enumerate(zip(data["class range"], common(data), strict=True)):
        ax.plot([first, last], [row, row], color="C4", linewidth=4, alpha=0.5, solid_capstyle="butt")
        ax.plot([low, high], [row, row], color="C0", linewidth=1.4, solid_capstyle="butt")
    ax.plot(data["change u"], data["change ray"], "|", color="C1", markersize=5)
    ax.axvline(0, color="0.5", linewidth=0.6, zorder=0)
    scale_axis(data, ax)
    for span in ax.patches:
        span.remove()
    ax.set(xlim=(-end, end), ylim=(len(data["files"]) - 0.5, -0.5))
    ax.set_yticks(range(len(data["files"])), [shortened(label(file)) for file in data["files"]])
    ax.tick_params(axis="y", length=0, labelsize=5.5)
    ax.set_title("e  Where the class stays")


def shortened(words: str) -> str:
    """Return words cut to what fits beside the axes."""
    return words if len(words) <= MOST_LETTERS else f"{words[: MOST_LETTERS - 1]}\u2026"


MOST_LETTERS = 16


def draw_around(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw boundaries around class changes, beside other rays at the same scales."""
    if not np.isfinite(data["near"]).any():
        ax.text(0.5, 0.5, "the class changes\non no ray", transform=ax.transAxes, ha="center", va="center")
        ax.set(xticks=[], yticks=[], title="f  Around class changes")
        return
    for name, color, text in (("near", "C2", "these rays"), ("elsewhere", "C4", "other rays")):
        ax.stairs(np.nan_to_num(data[name]) / 1000, data["offsets"], baseline=None, color=color, label=text)
    ax.axvline(0, color="0.3", linewidth=0.8, linestyle="--")
    ax.set(xlabel="octaves from a class change", ylabel="boundaries per octave (thousands)", ylim=(0, None))
    ax.set_title("f  Around class changes")
    ax.legend(loc="lower left", handlelength=1.2)
