"""Density of boundaries within and between classes along trainings on digits, real against permuted labels.

Networks of three hidden layers are trained on handwritten digits, each once on its labels and once on the same
labels permuted among the images, from the same first weights. From every image one segment leads to another image
of its class and one to an image of another class; every boundary on them is found. A ratio is the mean density
between classes over that within. Segments join the same images at all steps and for both labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from paper_figures.verdicts import effect_table, judged
from polygeom.lens import (
    Estimate,
    Segments,
    around_changes,
    bootstrapped,
    class_density,
    euclidean_distances,
    follow_segments,
    matched_partners,
    partners,
    profile,
    training_density,
)
from polygeom.models.toy.trained import Training, digits

FIGURE = "F7"
SEED = 0

WIDTHS, IMAGES = (24, 24, 24), 300
"""Hidden layers, and the images that each network is trained on."""

NETWORKS = (4, 8)
"""How many networks: quick, full."""

STEPS = ((0, 30, 300), (0, 3, 10, 30, 100, 300, 1000))
"""Steps at which networks are looked at: quick, full."""

ROWS, LINES = (24, 100), (16, 60)
"""Rows whose densities are taken, and segments between classes on which class changes are sought: quick, full."""

HALF, BINS = 0.05, 24
"""Half the width of a window around class changes, in parts of a segment; bins of profiles."""

CONDITIONS = (("real", "classes"), ("permuted", "classes"), ("permuted", "labels"))
"""Labels trained on, and the classes that segments lie within or lead between."""


# -- computing -------------------------------------------------------------------------------------------


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Train networks; follow segments at every step."""
    which = int(not quick)
    seeds = np.random.default_rng(SEED).integers(2**32, size=NETWORKS[which]).tolist()
    trained = {
        labels: [
            digits(WIDTHS, labels, seed, at=STEPS[which], images=IMAGES)
            for seed in tqdm(seeds, desc=f"density: trainings, {labels}", unit="network")
        ]
        for labels in ("real", "permuted")
    }
    data: dict[str, np.ndarray] = {"steps": np.array(STEPS[which]), "rows": np.array(ROWS[which])}
    for labels, by in tqdm(CONDITIONS, desc="density: segments", unit="condition"):
        found = training_density(trained[labels], np.random.default_rng(SEED), ROWS[which], by)
        data |= {f"density {labels} {by}": found.densities, "gates": np.array(found.gates)}
    for labels, trainings in trained.items():
        data[f"held out {labels}"] = np.array([one.held_out for one in trainings])
        data[f"changes {labels}"] = changes(trainings, LINES[which])
    data["matched"] = np.array([matched(one, ROWS[which]) for one in trained["real"]])
    return data | profiles(trained["real"], LINES[which])


def changes(trainings: Sequence[Training], n: int) -> np.ndarray:
    """Return the two contrasts of `around_changes` for every network and step, (networks, steps, 2)."""
    return np.array(
        [
            [around_changes(between(one, k, n).places(), HALF, (0.0, 1.0)) for k in range(len(one.steps))]
            for one in tqdm(trainings, desc="density: class changes", unit="network")
        ]
    )


def between(training: Training, step: int, n: int, column: int = 2) -> Segments:
    """Return segments between classes (or within, column 1), with class changes, at one step of a training."""
    rows = partners(training.classes, np.random.default_rng(SEED), n)
    return follow_segments(training.networks[step], training.inputs, rows[:, [0, column]], classes=True)


def matched(training: Training, n: int) -> list[float]:
    """Return the contrast at every step where segments within and between classes are about equally long."""
    apart = euclidean_distances(training.inputs)
    rows = matched_partners(training.classes, apart, np.random.default_rng(SEED), n)
    return [class_density(net, training.inputs, rows).contrast() for net in training.networks]


def profiles(trainings: Sequence[Training], n: int) -> dict[str, np.ndarray]:
    """Return the mean profiles along segments before and after training, and around class changes after it."""
    data = {}
    for when, step in (("before", 0), ("after", -1)):
        for column, kind in ((1, "within"), (2, "between")):
            places = [one for t in trainings for one in between(t, step, n, column).places()]
            seen = profile(places, bins=BINS)
            data |= {"edges": seen.edges, f"profile {kind} {when}": seen.flips}
    around = [profile(between(one, -1, n).places(), bins=BINS) for one in trainings]
    data["offsets"] = around[0].offsets
    return data | {name: np.array([getattr(one, name) for one in around]) for name in ("near", "elsewhere")}


# -- what it says ----------------------------------------------------------------------------------------


def contrasts(data: dict[str, np.ndarray], labels: str, by: str, gate: int | None = None) -> np.ndarray:
    """Return log(between / within) of every network at every step, of all gates or of one."""
    each = data[f"density {labels} {by}"]
    both = each.sum(axis=2) if gate is None else each[:, :, gate]
    return np.log(both[..., 1] / both[..., 0])


def effects(data: dict[str, np.ndarray]) -> list[tuple[str, str, int, Estimate]]:
    """Return every contrast over networks: what, of which layer or window, after how many steps."""
    steps, found = data["steps"].tolist(), []
    gates = (("all", None), *((f"layer {k + 1}", k) for k in range(len(data["gates"]))))
    for labels, by in CONDITIONS:
        for name, gate in gates:
            sample = contrasts(data, labels, by, gate)
            found += [
                (f"{labels} labels, {by}", name, step, bootstrapped(column))
                for step, column in zip(steps, sample.T, strict=True)
            ]
    found += [
        ("real labels, matched length", "all", step, bootstrapped(column))
        for step, column in zip(steps, data["matched"].T, strict=True)
    ]
    for labels in ("real", "permuted"):
        for k, name in enumerate(("near changes / line", "near changes / other lines")):
            found += [
                (f"{labels} labels, changes", name, step, bootstrapped(column))
                for step, column in zip(steps, data[f"changes {labels}"][..., k].T, strict=True)
            ]
    return found


def statements(data: dict[str, np.ndarray]) -> dict[str, tuple[str, Estimate]]:
    """Return what the prediction states of these networks, each with its effect."""
    real, permuted = (contrasts(data, labels, "classes") for labels in ("real", "permuted"))
    own, specific = data["changes real"][:, -1].T
    return {
        "between": ("more boundaries per length between classes", bootstrapped(real[:, -1])),
        "matched": ("the same at matched length", bootstrapped(data["matched"][:, -1])),
        "growth": ("the surplus grows with training", bootstrapped(real[:, -1] - real[:, 0])),
        "permuted": ("it is larger than with permuted labels", bootstrapped(real[:, -1] - permuted[:, -1])),
        "own": (f"denser within {HALF} of class changes than on the segment", bootstrapped(own)),
        "specific": ("denser there than other segments in the same place", bootstrapped(specific)),
    }


def report(data: dict[str, np.ndarray]) -> object:
    """Return the verdicts, and the figure's caption."""
    from rich.console import Group

    lines = [(text, effect.ratio, judged(effect)) for text, effect in statements(data).values()]
    return Group(effect_table("P2 on digits", lines, ("statement", "ratio", "verdict")), caption(data))


def tables(data: dict[str, np.ndarray]) -> dict[str, dict[str, list]]:
    """Return every contrast as a line: ratio and interval over networks."""
    what, part, step, found = zip(*effects(data), strict=True)
    columns = {"what": what, "part": part, "step": step}
    numbers = {end: [float(np.exp(getattr(one, at))) for one in found] for end, at in ENDS.items()}
    return {"density": columns | numbers | {"networks": [one.n for one in found]}}


ENDS = {"ratio": "mean", "low": "low", "high": "high"}


def caption(data: dict[str, np.ndarray]) -> str:
    """Return two to five sentences with the numbers."""
    said, steps = {name: effect for name, (_, effect) in statements(data).items()}, data["steps"]
    n, accuracy = len(data["matched"]), 100 * data["held out real"][:, -1].mean()
    before = bootstrapped(contrasts(data, "real", "classes")[:, 0])
    by_label = bootstrapped(contrasts(data, "permuted", "labels")[:, -1])
    permuted = bootstrapped(contrasts(data, "permuted", "classes")[:, -1])
    return (
        f"Density of boundaries between classes over that within, {n} networks of widths {WIDTHS} trained on "
        f"{IMAGES} digits ({accuracy:.0f} % correct on held-out ones), {data['rows']} segments of each kind per "
        f"network, all boundaries exact, 99 % intervals over networks. The ratio goes from {before.ratio} to "
        f"{said['between'].ratio} in {steps[-1]} steps on real labels (at matched length {said['matched'].ratio}) "
        f"and to {permuted.ratio} on permuted ones, whose own labels are told apart by {by_label.ratio}. Within "
        f"{HALF} of a class change there are {said['own'].ratio} times as many boundaries as on the segment, and "
        f"{said['specific'].ratio} times as many as on other segments in the same place."
    )


# -- picture ---------------------------------------------------------------------------------------------


def draw(data: dict[str, np.ndarray]) -> object:
    """Draw densities and ratios over training above; profiles, changes and ratios there below."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(6.9, 5.4))
    draw_densities(data, axes[0, 0])
    draw_ratios(data, axes[0, 1])
    draw_layers(data, axes[0, 2])
    draw_profiles(data, axes[1, 0])
    draw_around(data, axes[1, 1])
    draw_changes(data, axes[1, 2])
    return figure


def over_steps(data: dict[str, np.ndarray], ax: object, sample: np.ndarray, **style: object) -> None:
    """Draw ratios over training with their intervals; sample (networks, steps) are logarithms."""
    found = [bootstrapped(column) for column in sample.T]
    middle, low, high = (np.exp([getattr(one, end) for one in found]) for end in ENDS.values())
    at = np.arange(len(found))
    (line,) = ax.plot(at, middle, marker=".", **style)
    ax.fill_between(at, low, high, color=line.get_color(), alpha=0.15, linewidth=0)


def steps_axis(data: dict[str, np.ndarray], ax: object, title: str, label: str) -> None:
    """Label an axis of steps, and the line at ratio 1."""
    ax.set_xticks(np.arange(len(data["steps"])), data["steps"].tolist())
    ax.set(xlabel="steps of training", ylabel=label)
    ax.set_title(title)


def below(ax: object) -> None:
    """Put the legend below the axes: nothing is covered."""
    ax.legend(
        loc="upper left", bbox_to_anchor=(-0.05, -0.24), handlelength=1.8, borderaxespad=0, labelspacing=0.3
    )


def draw_densities(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw mean densities over training."""
    at = np.arange(len(data["steps"]))
    for labels, color in (("real", "C0"), ("permuted", "C1")):
        mean = data[f"density {labels} classes"].sum(axis=2).mean(axis=0)
        for k, (kind, dash) in enumerate((("within", "--"), ("between", "-"))):
            name = f"{labels} labels, {kind}"
            ax.plot(at, mean[:, k], color=color, linestyle=dash, marker=".", label=name)
    steps_axis(data, ax, "a  Density of boundaries", "boundaries per unit length")
    ax.set_ylim(0, None)
    below(ax)


def draw_ratios(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw the ratio over training, for both labels and for two kinds of classes."""
    names = ("real labels", "permuted, by true classes", "permuted, by own labels")
    for (labels, by), name, color in zip(CONDITIONS, names, ("C0", "C1", "C3"), strict=True):
        over_steps(data, ax, contrasts(data, labels, by), label=name, color=color)
    over_steps(data, ax, data["matched"], label="real, matched length", color="C0", linestyle=":")
    ax.axhline(1, color="0.6", linewidth=0.6, zorder=0)
    steps_axis(data, ax, "b  Between classes over within", "ratio of densities")
    below(ax)


def draw_layers(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw the ratio over training for every layer."""
    for k, color in zip(range(len(data["gates"])), ("C0", "C2", "C3"), strict=True):
        over_steps(data, ax, contrasts(data, "real", "classes", k), label=f"layer {k + 1}, real", color=color)
    for k, color in zip(range(len(data["gates"])), ("C0", "C2", "C3"), strict=True):
        mean = np.exp(contrasts(data, "permuted", "classes", k).mean(axis=0))
        ax.plot(mean, color=color, linestyle="--", label=f"layer {k + 1}, permuted")
    ax.axhline(1, color="0.6", linewidth=0.6, zorder=0)
    steps_axis(data, ax, "c  The same, layer by layer", "ratio of densities")
    below(ax)


def draw_profiles(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw where on segments boundaries are, before and after training."""
    middle = (data["edges"][1:] + data["edges"][:-1]) / 2
    for when, color in (("before", "C4"), ("after", "C0")):
        for kind, dash in (("within", "--"), ("between", "-")):
            name = f"{when} training, {kind}"
            ax.plot(middle, data[f"profile {kind} {when}"], color=color, linestyle=dash, label=name)
    ax.set(
        xlabel="place $t$ on the segment",
        ylabel="boundaries per unit of $t$",
        xlim=(0, 1),
        ylim=(0, None),
    )
    ax.set_title("d  Along the segment, real labels")
    below(ax)


def draw_around(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw the density around class changes, beside that of other segments in the same places."""
    middle = (data["offsets"][1:] + data["offsets"][:-1]) / 2
    for name, color, text in (("near", "C1", "these segments"), ("elsewhere", "C4", "others, same places")):
        each = data[name]
        ax.plot(middle, each.mean(axis=0), color=color, label=text)
    ax.axvline(0, color="0.6", linewidth=0.6, zorder=0)
    ax.set(xlabel="$t$ from a class change", ylabel="boundaries per unit of $t$", ylim=(0, None))
    ax.set_title("e  Around class changes, trained")
    below(ax)


def draw_changes(data: dict[str, np.ndarray], ax: object) -> None:
    """Draw over training what panel e shows at its end."""
    for labels, color in (("real", "C0"), ("permuted", "C1")):
        for k, (text, dash) in enumerate((("over the segment", "-"), ("over other segments there", ":"))):
            sample = data[f"changes {labels}"][..., k]
            over_steps(data, ax, sample, label=f"{labels}, {text}", color=color, linestyle=dash)
    ax.axhline(1, color="0.6", linewidth=0.6, zorder=0)
    steps_axis(data, ax, f"f  Density within {HALF} of a change", "ratio of densities")
    below(ax)
