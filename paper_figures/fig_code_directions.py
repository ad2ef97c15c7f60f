"""Directions in spline-code space and how they interact: planted circuits, and networks trained on digits.

Every number of docs/code_directions.md is printed here: whether directions are there, whether interaction says how
wrong adding them is, when adding composes exactly, what one affine map leaves to polytopes, and what directions
and prefixes of codes say of clusters. Intervals are over networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

import polygeom as pg
from polygeom.lens.baseline import layer_values
from polygeom.lens.composition import ExactSecondDifferences, input_changes
from polygeom.models.toy.trained import digits

FIGURE = "F13"
SEED = 0
N_NETS, N_PLANTED, N_INPUTS, N_EXACT, N_SEGMENTS = (2, 8), (2, 12), (8, 50), (3, 10), (6, 50)
"""Quick, full: networks, planted circuits, inputs that directions are added to, parallelograms in rationals, and
segments on which class changes are looked for."""

WIDTHS, NARROW, IMAGES = (24, 24, 24), (6, 6, 6), 500
K_COMPARED, K_ADDED, K_PLANTED = 10, (10, 16), 8
"""Directions: to tell unseen letters and clusters by, to add (quick, full), and of planted circuits."""

SIDES = (1, 4, 16, 64, 256)
"""Sides of parallelograms are half the spread of the data over these."""

METHODS = (("nmf",), ("nmf", "dictionary"))
KINDS = ("trained", "untrained", "permuted")
PREDICTORS = ("interaction", "bends", "overlap", "cosine")
ENOUGH_IMAGES = 900
"""Images for affine maps: twice as many as pixels, on each half."""

MEMBERS = 8
"""Fewest members of a cluster of activations."""


# -- computing ---------------------------------------------------------------------------------------------


def compute(quick: bool) -> dict[str, np.ndarray]:
    """Measure planted circuits, then networks on digits, one after the other."""
    from tqdm import tqdm

    full = not quick
    data: dict[str, np.ndarray] = planted_graph() | planted_errors(N_PLANTED[full])
    seeds = tqdm(range(N_NETS[full]), desc="code directions", unit="network")
    found = [network_numbers(seed, full) for seed in seeds]
    data |= {
        name: np.stack([one[name] for one in found]) for name in found[0] if not name.startswith("graph")
    }
    data |= {name: found[0][name] for name in found[0] if name.startswith("graph")}
    return data | {"methods": np.array(METHODS[full])}


def planted_graph() -> dict[str, np.ndarray]:
    """Return the interaction graph of all units of two circuits that meet in one unit, by proof."""
    rng = np.random.default_rng(SEED)
    known = pg.lens.planted(rng, shared=True)
    X = 1.5 * rng.standard_normal((400, known.network.dim_in))
    codes = np.unique(pg.spline_codes(known.network, X).letters, axis=0)[:12]
    found = pg.lens.interactions(known.network, codes, pg.lens.unit_flips(known.network))
    circuit = np.full(known.network.n_units, 2)
    for c, units in enumerate(known.circuits):
        circuit[units] = c
    layer = known.network.units.gate_of(np.arange(known.network.n_units))
    without = found.graph
    without.remove_nodes_from(found.bridging())
    import networkx

    return {
        "planted_edges": np.array(list(found.graph.edges)),
        "planted_circuit": circuit,
        "planted_layer": layer,
        "planted_bridges": np.array(found.bridging()),
        "planted_parts": np.array(networkx.number_connected_components(without)),
        "planted_shared": known.shared,
        "planted_states": np.array(
            [(found.known[np.triu_indices(len(found), 1)] == k).sum() for k in (0, 1, -1)]
        ),
    }


def planted_errors(n: int) -> dict[str, np.ndarray]:
    """Return what adding gets wrong, for directions of different circuits and of the same, per network."""
    errors = []
    for seed in range(n):
        rng = np.random.default_rng(seed)
        known = pg.lens.planted(rng, width=6, dim=2)
        net, X = known.network, 1.5 * rng.standard_normal((400, 4))
        codes = pg.spline_codes(net, X).letters
        fits = [pg.lens.fit_directions(codes, K_PLANTED, seed=s) for s in range(5)]
        fit = max(fits, key=lambda one: one.explained(codes))
        found = pg.lens.compose(net, fit, X, rng, n_exact=0)
        kept = zip(fit.directions(), input_changes(fit, X), strict=True)
        circuits = [known.circuit_of(d.units) for d, change in kept if len(d) and change.any()]
        pairs = [(j, k) for j, k in found.pairs if len(circuits[j]) == len(circuits[k]) == 1]
        same = np.array([circuits[j] == circuits[k] for j, k in pairs], dtype=bool)
        values = np.array([found.error[j, k] for j, k in pairs])
        errors.append([values[some].mean() if some.any() else np.nan for some in (~same, same)])
    return {"planted_error": np.array(errors)}


def network_numbers(seed: int, full: bool) -> dict[str, np.ndarray]:
    """Return all that is asked of one network on digits, before training, and on permuted labels."""
    real, permuted = (digits(WIDTHS, labels, seed, images=IMAGES) for labels in ("real", "permuted"))
    nets = dict(zip(KINDS, (real.networks[-1], real.networks[0], permuted.networks[-1]), strict=True))
    X, rng = real.inputs, np.random.default_rng(seed)
    letters = {kind: pg.spline_codes(net, X).letters for kind, net in nets.items()}
    compared = [pg.lens.compare_directions(letters[kind], K_COMPARED, rng, ["nmf"], 2) for kind in KINDS]
    net, codes = nets["trained"], letters["trained"]
    how = {"n_inputs": N_INPUTS[full], "n_exact": N_EXACT[full]}
    added = {
        name: pg.lens.compose(net, fit, X, rng, **how, least_lift=lift)
        for name, fit, lift in fits(codes, seed, full, rng)
    }
    fit = pg.lens.fit_directions(codes, K_ADDED[full], seed=seed)
    own = added["nmf"]
    return (
        {
            "predicted": np.array([one.predicted.mean(axis=(1, 2)) for one in compared]),
            "stability": np.array([one.stability.mean(axis=(1, 2)) for one in compared]),
            "accuracy": np.array([real.held_out[-1], permuted.held_out[-1]]),
            "added": np.array([_correlations(one) for one in added.values()]),
            "dose": own.dose(),
            "pairs": np.array([len(own.pairs), own.error[tuple(own.pairs.T)].mean()]),
            "graph_strength": own.interaction.strength,
            "graph_community": _communities(own.interaction),
            "graph_modularity": np.array([one.interaction.modularity() for one in added.values()]),
            "tightness": np.median(own.exact.tightness),
        }
        | _sides(net, fit, X, rng, N_EXACT[full])
        | _baselines(seed, N_SEGMENTS[full])
        | _clusters(net, codes, X, rng)
        | _levels(seed, rng)
    )


def fits(codes: np.ndarray, seed: int, full: bool, rng: np.random.Generator) -> Iterator[tuple]:
    """Yield name, fit and least lift: every method, then directions of shuffled codes (with random changes)."""
    for method in METHODS[full]:
        yield method, pg.lens.fit_directions(codes, K_ADDED[full], method, seed), 2
    yield "shuffled", pg.lens.fit_directions(pg.lens.shuffled_codes(codes, rng), K_ADDED[full], seed=seed), 0


def _correlations(one: pg.lens.Composition) -> list[float]:
    """Return the rank correlations of `PREDICTORS` with the error."""
    others = (one.bends, one.overlap, np.abs(one.cosine))
    return [one.rank_correlation, *(one.correlation_with(predictor) for predictor in others)]


def _communities(found: pg.lens.Interactions) -> np.ndarray:
    community = np.zeros(len(found), dtype=np.intp)
    for c, members in enumerate(found.communities()):
        community[list(members)] = c
    return community


def _sides(
    net: pg.Network, fit: pg.lens.DirectionFit, X: np.ndarray, rng: np.random.Generator, n: int
) -> dict:
    """Return how many parallelograms compose and vanish, by the length of their sides."""
    changes = input_changes(fit, X)
    changes = changes[changes.any(axis=1)]
    drawn = [
        (X[rng.integers(len(X))], *changes[rng.choice(len(changes), 2, replace=False)]) for _ in range(n)
    ]
    found = [ExactSecondDifferences.of(net, [(x, u / k, v / k) for x, u, v in drawn]) for k in SIDES]
    return {"sides": np.array([[one.composing, one.vanishing, len(one.tightness)] for one in found])}


def _baselines(seed: int, n_segments: int) -> dict[str, np.ndarray]:
    """Return what the best affine map misses: variance, classes, class changes; real and permuted labels."""
    missed = []
    for labels in ("real", "permuted"):
        one = digits(WIDTHS, labels, seed, at=(300,), images=ENOUGH_IMAGES)
        rng = np.random.default_rng(seed)
        found = pg.lens.linear_baseline(one.networks[-1], one.inputs, rng, n_segments=n_segments)
        missed.append([found.unexplained[0], found.class_errors[0], found.missed_changes])
    return {"baseline": np.array(missed)}


def _clusters(
    net: pg.Network, codes: np.ndarray, X: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return how much of clusters of the last layer one, three and all directions tell; NaN without clusters."""
    last = list(layer_values(net, X).values())[-1]
    found = pg.lens.cluster(last, MEMBERS)
    if not (found.sizes >= MEMBERS).any():
        return {"clusters": np.full((2, 3), np.nan), "n_clusters": np.array(len(found))}
    told = pg.lens.clusters_by_directions(found.labels, codes, pg.lens.fit_directions(codes, K_COMPARED), rng)
    weights = told.sizes / told.sizes.sum()
    shares = [[weights @ told.explained[v, :, 0], weights @ told.explained[v, :, -1], weights @ told.whole[v]]
              for v in (0, 1)]  # fmt: skip
    return {"clusters": np.array(shares), "n_clusters": np.array(len(found))}


def _levels(seed: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return what cells of code prefixes say of the tree of clusters, for wide and narrow networks."""
    numbers = []
    for widths in (WIDTHS, NARROW):
        one = digits(widths, "real", seed, at=(300,), images=IMAGES)
        net, X = one.networks[-1], one.inputs
        last = list(layer_values(net, X).values())[-1]
        found = pg.lens.code_levels(net, pg.spline_codes(net, X), last, rng, min_cluster_size=MEMBERS)
        best = found.agreement[0].max(initial=0.0)
        numbers.append([found.alone[-1], best, found.correlation[0, -1], found.correlation[1, -1]])
    return {"levels": np.array(numbers)}


# -- what is said ------------------------------------------------------------------------------------------


def estimate(values: np.ndarray) -> pg.lens.Estimate:
    """Return the mean over networks with its interval; values that do not exist are left out."""
    kept = values[np.isfinite(values)]
    return pg.lens.bootstrapped(kept) if len(kept) > 1 else pg.lens.Estimate(*[float("nan")] * 3, len(kept))


def said(values: np.ndarray) -> str:
    """Return a mean with its interval as text."""
    return estimate(values).told(".2f")


def tables(data: Mapping[str, np.ndarray]) -> dict[str, dict[str, list[object]]]:
    """Return a line per network."""
    n = len(data["predicted"])
    columns: dict[str, list[object]] = {"network": list(range(n))}
    for k, kind in enumerate(KINDS):
        for v, version in enumerate(("codes", "shuffled")):
            columns[f"predicted_{kind}_{version}"] = data["predicted"][:, k, v].tolist()
            columns[f"stability_{kind}_{version}"] = data["stability"][:, k, v].tolist()
    for m, method in enumerate([*data["methods"].tolist(), "shuffled"]):
        for p, predictor in enumerate(PREDICTORS):
            columns[f"correlation_{method}_{predictor}"] = data["added"][:, m, p].tolist()
    for k, name in enumerate(("variance", "classes", "changes")):
        columns[f"affine_misses_{name}"] = data["baseline"][:, 0, k].tolist()
    for k, name in enumerate(("one", "three", "all")):
        columns[f"clusters_by_{name}"] = data["clusters"][:, 0, k].tolist()
    for k, name in enumerate(("alone", "agreement", "distances")):
        columns[f"levels_{name}"] = data["levels"][:, 0, k].tolist()
    return {"code_directions": columns}


def report(data: Mapping[str, np.ndarray]) -> object:
    """Return all numbers of docs/code_directions.md."""
    from rich.text import Text

    return Text(
        "\n".join([*_planted_lines(data), *_direction_lines(data), *_adding_lines(data), *_other_lines(data)])
    )


def _planted_lines(data: Mapping[str, np.ndarray]) -> list[str]:
    states = data["planted_states"]
    across, within = data["planted_error"].T
    return [
        f"Planted circuits: {states[0]} pairs of units interact, {states[1]} do not, {states[2]} undecided; "
        f"without unit {data['planted_bridges'].tolist()} (shared: {data['planted_shared'].tolist()}) the graph "
        f"has {data['planted_parts']} parts. Adding directions of different circuits is wrong by {said(across)} "
        f"of the changes, of the same circuit by {said(within)}.",
    ]


def _direction_lines(data: Mapping[str, np.ndarray]) -> list[str]:
    lines = [
        f"{len(data['predicted'])} networks on digits, {WIDTHS}, {IMAGES} images; held-out accuracy "
        f"{data['accuracy'][:, 0].mean():.2f}."
    ]
    for k, kind in enumerate(KINDS):
        predicted, stability = data["predicted"][:, k], data["stability"][:, k]
        lines.append(
            f"{K_COMPARED} directions, {kind}: unseen letters told {said(predicted[:, 0])} (shuffled "
            f"{said(predicted[:, 1])}), matched cosine of two seeds {said(stability[:, 0])} "
            f"({said(stability[:, 1])})."
        )
    return lines


def _adding_lines(data: Mapping[str, np.ndarray]) -> list[str]:
    lines = []
    for m, method in enumerate([*data["methods"].tolist(), "shuffled"]):
        told = (f"{name} {said(data['added'][:, m, p])}" for p, name in enumerate(PREDICTORS))
        lines.append(f"Rank correlation with the error of adding, {method}: {', '.join(told)}.")
    dose = ", ".join(f"{part:.2f}" for part in np.nanmean(data["dose"], axis=0))
    lines.append(
        f"Mean error {said(data['pairs'][:, 1])} over {data['pairs'][:, 0].mean():.0f} pairs; from the least to "
        f"the most interacting third {dose}."
    )
    for k, (composing, vanishing, n) in zip(SIDES, data["sides"].sum(axis=0), strict=True):
        lines.append(
            f"Sides {k} times shorter: of {n} parallelograms {composing} compose, {vanishing} vanish."
        )
    lines.append(
        f"Second difference over its bound at full size, median: {np.median(data['tightness']):.2f}."
    )
    return lines


def _other_lines(data: Mapping[str, np.ndarray]) -> list[str]:
    lines = []
    for k, labels in enumerate(("real", "permuted")):
        told = (f"{said(data['baseline'][:, k, j])} of the {name}" for j, name in enumerate(MISSED))
        lines.append(f"The best affine map from the input misses, {labels} labels: {', '.join(told)}.")
    own, null = ([said(data["clusters"][:, v, j]) for j in range(3)] for v in (0, 1))
    lines.append(
        f"Membership in {np.mean(data['n_clusters']):.1f} clusters of the last layer told by one direction "
        f"{own[0]}, by three {own[1]}, by all {own[2]} (shuffled codes {null[0]}, {null[1]}, {null[2]})."
    )
    for k, widths in enumerate((WIDTHS, NARROW)):
        alone, best, correlation, shuffled = (said(data["levels"][:, k, j]) for j in range(4))
        lines.append(
            f"Levels, {widths}: after three layers {alone} of the images have a cell of their own, best adjusted "
            f"Rand index {best}, rank correlation of distances {correlation} (shuffled {shuffled})."
        )
    return lines


MISSED = ("variance", "classes", "class changes on segments")


def caption(data: Mapping[str, np.ndarray]) -> str:
    """Say what is seen, with its numbers."""
    across, within = data["planted_error"].T
    predicted, added = data["predicted"], data["added"]
    first, last = (data["sides"].sum(axis=0)[k] for k in (0, -1))
    return (
        f"a: units of two planted circuits that share one unit; an edge is a proof that two units interact, and "
        f"without the shared unit (black) {data['planted_parts']} parts are left; adding directions of different "
        f"circuits is wrong by {said(across)} of the changes, of the same by {said(within)}. b: "
        f"{len(data['graph_strength'])} directions of the codes of a network on digits, edges by strength of "
        "interaction, colors its communities. c: share of the variance of unseen letters that directions tell, "
        f"{said(predicted[:, 0, 0])} after training and {said(predicted[:, 1, 0])} before (shuffled codes "
        f"{said(predicted[:, 0, 1])}). d: rank correlation with the error of adding two directions, for "
        f"interaction {said(added[:, 0, 0])}. e: parallelograms that meet the hypothesis of the claim "
        f"composition, {first[0]} of {first[2]} at full size and {last[0]} of {last[2]} with sides {SIDES[-1]} "
        f"times shorter; bars are 99 % intervals over {len(predicted)} networks."
    )


# -- picture -----------------------------------------------------------------------------------------------

COLORS = ("#26364d", "#d5772c", "#000000")
COMMUNITIES = ("#26364d", "#d5772c", "#2a8c82", "#8c5a97", "#9a9a9a", "#c9b458")


def draw(data: Mapping[str, np.ndarray]) -> object:
    """Draw both graphs, and below what directions tell, what tells the error, and when adding is exact."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(6.9, 4.9), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(2.6, 2.1))
    left, right = above.subplots(1, 2)
    _draw_planted(data, left)
    _draw_directions(data, right)
    panels = below.subplots(1, 3)
    _draw_bars(panels[0], data["predicted"].transpose(1, 2, 0), KINDS, ("codes", "shuffled codes"))
    panels[0].set(title="c", ylabel="variance of unseen letters told")
    versions = [0, len(data["methods"])]
    _draw_bars(
        panels[1], data["added"][:, versions].transpose(2, 1, 0), PREDICTORS, ("codes", "shuffled codes")
    )
    panels[1].set(title="d", ylabel="rank correlation with the error")
    counts = data["sides"].sum(axis=0)
    panels[2].plot(SIDES, counts[:, 0] / counts[:, 2], "o-", color=COLORS[0], ms=3)
    panels[2].set(
        title="e", xscale="log", xticks=SIDES, xlabel="sides shorter by", ylabel="share that composes"
    )
    panels[2].set(xticklabels=map(str, SIDES), ylim=(-0.02, 1.02))
    panels[2].minorticks_off()
    return figure


def _draw_planted(data: Mapping[str, np.ndarray], ax: object) -> None:
    """Draw units in their layers, the circuits above and below each other."""
    circuit, layer = data["planted_circuit"], data["planted_layer"]
    places = np.zeros((len(circuit), 2))
    for c, sign in ((0, 1), (1, -1)):
        for depth in np.unique(layer):
            mine = np.flatnonzero((circuit == c) & (layer == depth))
            height = 0.5 + np.arange(len(mine))
            places[mine] = np.column_stack([depth + 0.08 * (np.arange(len(mine)) % 2), sign * height])
    places[circuit == 2] = [layer.max() + 0.55, 0]
    edges = places[data["planted_edges"]]
    pg.plotting.draw_facets(edges, ax=ax, color="0.75", width=0.4)
    bridge = np.isin(data["planted_edges"], data["planted_bridges"]).any(axis=1)
    pg.plotting.draw_facets(edges[bridge], ax=ax, color="0.35", width=0.5)
    ax.scatter(*places.T, s=22, c=[COLORS[c] for c in circuit], zorder=3)
    ax.set(xticks=np.unique(layer), xticklabels=np.unique(layer) + 1, xlabel="layer", yticks=[])
    ax.spines["left"].set_visible(False)
    ax.set_title("a  planted circuits: units that interact")


def _draw_directions(data: Mapping[str, np.ndarray], ax: object) -> None:
    """Draw directions on a circle, by community; edges by strength."""
    strength, community = np.nan_to_num(data["graph_strength"]), data["graph_community"]
    order = np.argsort(community, kind="stable")
    angle = np.empty(len(order))
    angle[order] = (
        2
        * np.pi
        * (np.arange(len(order)) + 0.6 * community[order])
        / (len(order) + 0.6 * (community.max() + 1))
    )
    places = np.column_stack([np.cos(angle), np.sin(angle)])
    j, k = np.nonzero(np.triu(strength, 1))
    rank = np.argsort(np.argsort(strength[j, k])) / max(len(j) - 1, 1)
    colors = np.column_stack([np.full((len(j), 3), 0.25), 0.03 + 0.6 * rank**2])
    lines = pg.plotting.draw_facets(places[np.column_stack([j, k])], ax=ax, color=colors)
    lines.set_linewidth(0.3 + 1.5 * strength[j, k] / max(strength.max(), 0.1))
    ax.scatter(*places.T, s=30, c=[COMMUNITIES[c % len(COMMUNITIES)] for c in community], zorder=3)
    ax.set(aspect="equal", xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_title("b  digits: code directions, by interaction")


def _draw_bars(ax: object, values: np.ndarray, names: Sequence[str], legend: Sequence[str]) -> None:
    """Draw means with intervals of values (names, versions, networks); the null model hollow."""
    for v, label in enumerate(legend):
        found = [estimate(values[k, v]) for k in range(len(names))]
        x = np.arange(len(names)) + (-0.12, 0.12)[v]
        ax.vlines(x, [e.low for e in found], [e.high for e in found], color=COLORS[v], lw=0.9)
        ax.plot(
            x,
            [e.mean for e in found],
            "os"[v],
            color=COLORS[v],
            mfc=(COLORS[v], "white")[v],
            ms=3.5,
            label=label,
        )
    ax.axhline(0, color="0.6", lw=0.6, zorder=0)
    ax.set(xticks=np.arange(len(names)), xticklabels=names, xlim=(-0.5, len(names) - 0.5))
    ax.tick_params(axis="x", labelsize=6)
    low, high = ax.get_ylim()
    ax.set_ylim(low - 0.25 * (high - low), high)  # room for the legend
    ax.legend(fontsize=6, loc="lower right")
