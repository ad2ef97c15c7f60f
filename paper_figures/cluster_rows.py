"""What the figures of clusters share: a line of numbers per study, and panels of such lines over layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from polygeom.claims.estimates import is_there
from polygeom.lens import ClusterStudy, Estimate

WAYS = {
    "codes": "Hamming, codes",
    "directions": "Euclidean, directions",
    "activations": "Euclidean, activations",
}
"""How points are compared, as the legend says it."""

COLORS = {"codes": "#26364d", "directions": "#d5772c", "activations": "#2a8c82"}
MARKERS = {"codes": "o", "directions": "s", "activations": "^"}
OFFSETS = {"codes": -0.12, "directions": 0.12, "activations": 0.0}

ESTIMATES = ("pure", "density", "taken_apart")
"""Log ratios of a study: purity over chance, density outside over inside, purity of neurons' parts over chance."""

CHOSEN = "HDBSCAN, leaves of at least 5 points, min_samples 2"

Columns = dict[str, np.ndarray]


def columns(studies: Sequence[tuple[str, str, ClusterStudy]]) -> Columns:
    """Return a line for every study (network, layer, study), column by column."""
    lines = [
        {
            "network": network,
            "layer": layer,
            "way": one.way,
            "points": len(one.clustering.labels),
            "clusters": len(one.clustering),
            "null_clusters": one.null_clusters.mean(),
            "null_most": one.null_clusters.max(),
            "noise": one.clustering.noise,
            "null_noise": one.null_noise.mean(),
            "purity": one.total,
            "purity_by_chance": one.total_by_chance,
            "significant": one.significant,
            "information": one.information,
            "regions": int(one.regions.sum()),
            "members": int(one.clustering.sizes.sum()),
            "together": one.together,
            "apart": one.apart,
            "apart_by_chance": one.apart_by_chance,
            "cut": one.cut,
            "judged": one.judged,
            "neurons": one.neurons,
        }
        | _ratios(one)
        for network, layer, one in studies
    ]
    return {name: np.array([line[name] for line in lines]) for name in lines[0]}


def _ratios(one: ClusterStudy) -> dict[str, float]:
    return {
        f"{name}_{part}": float(np.exp(getattr(getattr(one, name), part)))
        for name in ESTIMATES
        for part in ("mean", "low", "high")
    }


def line(data: Mapping[str, np.ndarray], network: str, layer: str, way: str) -> dict[str, object]:
    """Return the numbers of one study."""
    here = (data["network"] == network) & (data["layer"] == layer) & (data["way"] == way)
    (k,) = np.flatnonzero(here)
    return {name: data[name][k].item() for name in table(data)}


def table(data: Mapping[str, np.ndarray]) -> dict[str, list[object]]:
    """Return all lines as the columns of a table."""
    n = len(data["network"])
    names = [k for k, v in data.items() if v.ndim == 1 and len(v) == n and not k.startswith("sheet_")]
    return {name: data[name].tolist() for name in names}


def ratio(numbers: Mapping[str, object], name: str) -> str:
    """Return an estimated ratio with its interval."""
    return shown([numbers[f"{name}_{part}"] for part in ("mean", "low", "high")])


def shown(estimate: Sequence[float]) -> str:
    """Return a ratio with its interval, as text."""
    mean, low, high = estimate
    return Estimate(mean, low, high, 0).told(".2f")


def outcome(numbers: Mapping[str, object], name: str) -> str:
    """Decide whether an effect is there, as claims do: an interval above or below a ratio of 1.05."""
    logs = (float(np.log(numbers[f"{name}_{part}"])) for part in ("mean", "low", "high"))
    return is_there(Estimate(*logs, 0)).value


def draw_counts(data: Mapping[str, np.ndarray], ax: object, layers: Sequence[str]) -> None:
    """Draw how many clusters there are in every layer, and among shuffled points."""
    for way, name in WAYS.items():
        some = [line(data, "trained", layer, way) for layer in layers]
        x = np.arange(len(layers))
        ax.plot(
            x, [s["clusters"] for s in some], MARKERS[way] + "-", color=COLORS[way], ms=3, lw=0.8, label=name
        )
        ax.plot(x, [s["null_clusters"] for s in some], ":", color=COLORS[way], lw=0.8)
    ax.set(ylabel="clusters", ylim=(0, None))


def draw_ratios(data: Mapping[str, np.ndarray], name: str, ax: object, layers: Sequence[str]) -> None:
    """Draw a ratio with its interval in every layer; untrained networks hollow."""
    for network in ("untrained", "trained"):
        for way in ("codes", "directions"):
            for x, layer in enumerate(layers):
                if not ((data["network"] == network) & (data["layer"] == layer)).any():
                    continue
                one = line(data, network, layer, way)
                mean, low, high = (one[f"{name}_{part}"] for part in ("mean", "low", "high"))
                if not np.isfinite([mean, low, high]).all():
                    continue
                at = x + OFFSETS[way]
                filled = COLORS[way] if network == "trained" else "white"
                width = 0.9 if network == "trained" else 0.4
                ax.plot([at, at], [low, high], "-", color=COLORS[way], lw=width, zorder=2)
                ax.plot(at, mean, MARKERS[way], color=COLORS[way], mfc=filled, mew=0.6, ms=3, zorder=3)
    ax.axhline(1, color="0.6", lw=0.6, zorder=0)


def draw_layers(ax: object, names: Sequence[str], label: str) -> None:
    """Name the layers below an axis."""
    ax.set(xticks=np.arange(len(names)), xticklabels=names, xlabel=label, xlim=(-0.5, len(names) - 0.5))


def report(data: Mapping[str, np.ndarray], title: str) -> str:
    """Return the lines as plain text; what is in brackets is by chance."""
    lines = [f"{title}. In brackets shuffled points, shuffled labels, parts drawn at random."]
    keys = zip(data["network"], data["layer"], data["way"], strict=True)
    for s in (line(data, *map(str, key)) for key in keys):
        name = f"{s['network']} {s['layer'].removeprefix('inception_')}, {s['way']}"
        found = f"{s['clusters']} clusters ({s['null_clusters']:.1f})"
        found += f", {s['noise']:.0%} noise ({s['null_noise']:.0%})"
        if s["clusters"]:
            found += (
                f"; purity {s['purity']:.2f} ({s['purity_by_chance']:.2f}), ratio {ratio(s, 'pure')}, "
                f"{s['significant']} with p <= 0.01; {s['regions']} regions of {s['members']} members, density "
                f"outside over inside {ratio(s, 'density')}; {s['judged']} of {s['neurons']} neurons through "
                f"{s['cut']:.1f} clusters, purity {s['together']:.2f}, parted {s['apart']:.2f} "
                f"({s['apart_by_chance']:.2f}), ratio {ratio(s, 'taken_apart')}"
            )
        lines.append(f"{name}: {found}.")
    return "\n".join(lines)
