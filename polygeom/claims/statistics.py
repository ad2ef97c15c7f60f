r"""Statistical claims: crossings at initialization, and what the polytope lens predicts of trained networks.

These are statements about networks in general, so each claim judges an ensemble of its own, drawn from the seed of
the instance; the network given does not matter. Boundaries are counted exactly, random is only the ensemble and
where lines begin and end. The level is SAMPLED.

The predictions are about training. Each is judged on networks that the claim trains on scikit-learn's digits, and
says that some contrast is there (`polygeom.claims.estimates`): one number per network, a bootstrap interval over
networks. It is refuted by an interval that lies below an effect of five percent, and undecided by one that
contains it.

Source: Black, Sharkey et al. 2022, Interpreting neural networks through the polytope lens (arXiv 2211.12312), the
predictions on polysemanticity, semantic boundaries and scaling; Hanin and Rolnick 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from polygeom.certificates import Check, Level
from polygeom.certificates.check import REFUTED
from polygeom.claims.ensembles import AT, NETWORKS, trainings
from polygeom.claims.estimates import Estimate, binomial, bootstrapped, is_there, together
from polygeom.claims.initialization import (
    DEPTHS,
    LAYERS,
    Crossings,
    draw,
    flips_of_layers,
    flips_per_unit,
    parted_units,
)
from polygeom.claims.instance import Instance
from polygeom.claims.registry import claim
from polygeom.claims.verdict import Outcome, Verdict, Witness
from polygeom.lens.clusters import cluster
from polygeom.lens.density import class_contrast
from polygeom.lens.pairing import partners
from polygeom.lens.places import around_changes
from polygeom.lens.polysemantic import polysemanticity
from polygeom.lens.scaling import behind_first_layer, scale_activations
from polygeom.lens.segments import follow_segments
from polygeom.network import Network
from polygeom.pieces import spline_codes

__all__ = [
    "class_changes",
    "crossings_init",
    "density_classes",
    "permuted_labels",
    "polysemantic_neurons",
    "scaling_range",
]

ROWS, LINES = 100, 60
"""Images per network from which segments lead to others; and those whose lines are followed with classes."""

WINDOW = 0.05
"""Half the width of a window around a class change, in parts of a segment."""

OCTAVES, HALF_OCTAVE = 4, 0.25
"""How far activations are scaled up and down, and half the width of a window there."""

SMALLEST, SAMPLES = 5, 2
"""Of clusters: fewest members, and neighbors that density is taken from."""

SCALES = 3
"""Scales at which codes are compared, the fewest there can be: nothing here depends on them."""

ENSEMBLE = f"{NETWORKS} networks trained here on digits (the network given does not matter)"
REFUTED_BY = "refuted if the 99 % bootstrap interval over networks lies below a ratio of 1.05"
HYPOTHESIS = "networks trained on scikit-learn's digits; the network given is not looked at"
LENS = "Black, Sharkey et al. 2022"
ON_QUICK = {"quick": Outcome.HOLDS}

Sample = np.ndarray
Data = Mapping[str, object]


@dataclass(frozen=True)
class _Study:
    """How a claim is measured on an ensemble, and what its numbers decide.

    Attributes
    ----------
    measure : callable
        ``measure(**data)`` returns one row of numbers per network; it counts exactly and draws nothing.
    decide : callable
        From these numbers to an outcome.
    """

    measure: Callable[..., Sample]
    decide: Callable[[Sample], Outcome]

    def witness(self, data: Data, sample: Sample) -> Witness:
        """Return the ensemble, with its numbers and their outcome: all is counted again by the check."""
        return Witness({**data, "sample": sample, "outcome": self.decide(sample)}, self._again)

    def verdict(self, data: Data, sample: Sample, text: str, **numbers: object) -> Verdict:
        """Return the verdict on a sample, at level SAMPLED where there is one."""
        outcome = self.decide(sample)
        if outcome is Outcome.UNDECIDED:
            text += " The interval contains the least effect that counts: nothing is decided."
        level = None if outcome is Outcome.UNDECIDED else Level.SAMPLED
        return Verdict(outcome, level, text, self.witness(data, sample), numbers)

    def _again(self, sample: Sample, outcome: Outcome, **data: object) -> Check:
        if self.decide(sample) is not outcome:
            return REFUTED
        same = np.array_equal(self.measure(**data), sample, equal_nan=True)
        return Check(True, Level.SAMPLED, 0.0) if same else REFUTED


# -- at initialization -----------------------------------------------------------------------------------------


def _crossings_again(
    weights: np.ndarray, biases: tuple, nets: tuple, crossings: Crossings, outcome: Outcome
) -> Check:
    """Check first layers by their letters at both ends, deep networks by following the segment again."""
    again = Crossings(
        tuple(parted_units(weights, b, crossings.first) for b in biases),
        tuple(flips_per_unit(same_depth, crossings.deep) for same_depth in nets),
        crossings.first,
        crossings.deep,
    )
    agrees = again.same(crossings) and again.decide() is outcome
    return Check(True, Level.SAMPLED, 0.0) if agrees else REFUTED


@claim(
    "crossings-init",
    statement="At initialization m units of a first layer flip m theta / pi times on a segment on average, and "
    "units at any depth at most as often as a constant says that depends on neither depth nor width.",
    hypothesis="normal weights, biases normal or with a bounded symmetric density; the network given is not "
    "looked at",
    source="Hanin and Rolnick 2019, Theorem 1; the constants are derived in polygeom.claims.initialization",
    settled_by="exact crossings of random networks; refuted if an exact binomial interval misses the formula, or "
    "a bootstrap interval lies above the bound",
    expects=ON_QUICK,
)
def crossings_init(instance: Instance) -> Verdict:
    """Judge by 4000 random first layers, and by 800 random networks of depth 1 to 8, on two random segments.

    The first layers have four scales of biases; the intervals of the share of flips are those of Clopper and
    Pearson. UNDECIDED if an interval is wider than a tenth of its value to either side, or contains the bound.
    """
    drawn = draw(instance.rng("crossings-init"))
    first, deep = drawn.pop("first"), drawn.pop("deep")
    flips = tuple(flips_of_layers(drawn["weights"], b, first) for b in drawn["biases"])
    rates = tuple(flips_per_unit(same_depth, deep) for same_depth in drawn["nets"])
    crossings = Crossings(flips, rates, first, deep)
    outcome, shares, means = crossings.decide(), crossings.shares, crossings.means
    against = ", ".join(
        f"{share} where theta/pi is {value:.3g}"
        for share, value in zip(shares, crossings.expected, strict=True)
    )
    text = (
        f"Of the units of {LAYERS} random first layers each (drawn here; the network given does not matter) a "
        f"share flips of {against}. At depths {', '.join(map(str, DEPTHS))} units flip "
        f"{', '.join(map(str, means))} times each; the bound is {crossings.bound:.3g}."
    )
    witness = Witness({**drawn, "crossings": crossings, "outcome": outcome}, _crossings_again)
    numbers = {"shares": [s.mean for s in shares], "rates": [m.mean for m in means], "bound": crossings.bound}
    level = None if outcome is Outcome.UNDECIDED else Level.SAMPLED
    return Verdict(outcome, level, text, witness, numbers)


# -- boundaries between classes --------------------------------------------------------------------------------


def _class_contrasts(networks: tuple, inputs: tuple, rows: tuple) -> Sample:
    """Return the contrast of between to within classes of networks (N, k) on their inputs and rows (N, k)."""
    return np.array(
        [
            [class_contrast(net, points, pairs) for net, pairs in zip(nets, many, strict=True)]
            for nets, points, many in zip(networks, inputs, rows, strict=True)
        ]
    )


def _grows(sample: Sample) -> Outcome:
    last, growth = sample[:, -1], sample[:, -1] - sample[:, 0]
    return together(is_there(bootstrapped(part)) for part in (last, growth))


@claim(
    "density-classes",
    statement="Segments between images of different classes cross more boundaries per length than segments "
    "within a class, and training makes the difference larger.",
    hypothesis=HYPOTHESIS,
    source=f"{LENS}: polytope boundaries reflect semantic boundaries",
    settled_by=f"exact densities; {REFUTED_BY}, for the ratio after training or for its growth",
    expects=ON_QUICK,
)
def density_classes(instance: Instance) -> Verdict:
    """Judge by the ratio of mean densities between and within classes, before, during and after training.

    From each of 100 images of a network's training set one segment leads to another image of its class and one to
    an image of another class.
    """
    found = trainings(instance.seed, "real")
    rng = instance.rng("density-classes")
    rows = tuple((partners(one.classes, rng, ROWS),) * len(AT) for one in found)
    data = {
        "networks": tuple(one.networks for one in found),
        "inputs": tuple(one.inputs for one in found),
        "rows": rows,
    }
    sample = _class_contrasts(**data)
    effects = [bootstrapped(column) for column in sample.T]
    growth = bootstrapped(sample[:, -1] - sample[:, 0])
    steps = ", ".join(f"{effect.ratio} after {step} steps" for step, effect in zip(AT, effects, strict=True))
    text = (
        f"{ENSEMBLE}: density between classes over density within is {steps}; it grew by a factor of "
        f"{growth.ratio}."
    )
    numbers = {"contrast": effects[-1].mean, "low": effects[-1].low, "high": effects[-1].high}
    return _Study(_class_contrasts, _grows).verdict(
        data, sample, text, **numbers, growth=growth.mean, networks=len(sample)
    )


def _real_above_permuted(sample: Sample) -> Outcome:
    return is_there(bootstrapped(sample[:, 0] - sample[:, 1]))


@claim(
    "permuted-labels",
    statement="Networks trained on permuted labels have less of a surplus of boundaries between classes.",
    hypothesis=HYPOTHESIS,
    source=f"{LENS}: polytope boundaries reflect semantic boundaries",
    settled_by=f"exact densities; {REFUTED_BY}, for the quotient of the two ratios",
    expects=ON_QUICK,
)
def permuted_labels(instance: Instance) -> Verdict:
    """Judge by the ratios of `density_classes` after training, real against permuted labels, in pairs.

    The two networks of a pair share first weights, images, segments and steps; classes are the true ones. Beside
    it stands the ratio of the permuted networks between and within the labels that they learned.
    """
    real, permuted = (trainings(instance.seed, labels) for labels in ("real", "permuted"))
    rng = instance.rng("permuted-labels")
    by_class = [partners(one.classes, rng, ROWS) for one in real]
    by_label = [partners(one.labels, rng, ROWS) for one in permuted]
    data = {
        "networks": tuple(
            (a.networks[-1], b.networks[-1], b.networks[-1]) for a, b in zip(real, permuted, strict=True)
        ),
        "inputs": tuple(one.inputs for one in real),
        "rows": tuple((one, one, other) for one, other in zip(by_class, by_label, strict=True)),
    }
    sample = _class_contrasts(**data)
    true, shuffled, learned = (bootstrapped(column) for column in sample.T)
    effect = bootstrapped(sample[:, 0] - sample[:, 1])
    text = (
        f"{ENSEMBLE} and as many on permuted labels: density between classes over density within is "
        f"{true.ratio} with real and {shuffled.ratio} with permuted labels, a factor of {effect.ratio}. Between "
        f"and within the permuted labels themselves it is {learned.ratio}."
    )
    numbers = {"contrast": effect.mean, "low": effect.low, "high": effect.high}
    return _Study(_class_contrasts, _real_above_permuted).verdict(
        data, sample, text, **numbers, real=true.mean, permuted=shuffled.mean, by_label=learned.mean
    )


def _change_contrasts(networks: tuple, inputs: tuple, rows: tuple) -> Sample:
    """Return the two contrasts around class changes on segments between classes, for every network."""
    return np.array(
        [
            around_changes(
                follow_segments(net, points, triples[:, [0, 2]], classes=True).places(), WINDOW, (0.0, 1.0)
            )
            for net, points, triples in zip(networks, inputs, rows, strict=True)
        ]
    )


def _gathers(sample: Sample) -> Outcome:
    return is_there(bootstrapped(sample[:, 0]))


@claim(
    "class-changes",
    statement="On segments between images of different classes boundaries are densest around the places where "
    "the network's class changes.",
    hypothesis=HYPOTHESIS,
    source=f"{LENS}: polytope boundaries reflect semantic boundaries",
    settled_by=f"exact flips and class changes; {REFUTED_BY}, for flips near changes over the segments' mean",
)
def class_changes(instance: Instance) -> Verdict:
    """Judge by the density within 0.05 of class changes, against the mean density of the same segments.

    Theory expects no outcome by name: on these networks the prediction was found to fail. Beside it stands the
    density in the same windows on other segments, which tells a crowded place from a crowded change.
    """
    found = trainings(instance.seed, "real")
    rng = instance.rng("class-changes")
    data = {
        "networks": tuple(one.networks[-1] for one in found),
        "inputs": tuple(one.inputs for one in found),
        "rows": tuple(partners(one.classes, rng, LINES) for one in found),
    }
    sample = _change_contrasts(**data)
    own, specific = (bootstrapped(column) for column in sample.T)
    text = (
        f"{ENSEMBLE}, {LINES} segments between classes each: within {WINDOW} of a class change the density of "
        f"boundaries is {own.ratio} times that of the segment, and {specific.ratio} times that of other segments "
        "in the same place."
    )
    numbers = {"contrast": own.mean, "low": own.low, "high": own.high, "specific": specific.mean}
    return _Study(_change_contrasts, _gathers).verdict(data, sample, text, **numbers)


# -- clusters --------------------------------------------------------------------------------------------------


def _taken_apart(networks: tuple, inputs: tuple, classes: tuple) -> Sample:
    """Return per network what clusters add to the purity of neurons' strongest inputs, and what they are.

    These are log(purity of the parts by cluster / that of random parts) after training and before it, the clusters
    that a neuron cuts through, the distinct codes per member of a cluster, and the purity before the parting.
    """
    sample = []
    for (first, last), points, told in zip(networks, inputs, classes, strict=True):
        before, after = (_neurons_by_clusters(net, points, told) for net in (first, last))
        sample.append([after[0], before[0], *after[1:]])
    return np.array(sample)


def _neurons_by_clusters(net: Network, points: np.ndarray, classes: np.ndarray) -> tuple[float, ...]:
    _, activations = behind_first_layer(*behind_first_layer(net, points))
    clusters = cluster(activations, SMALLEST, SAMPLES, selection="leaf")
    if not len(clusters):
        return (np.nan,) * 4
    found = polysemanticity(activations, clusters, classes, np.random.default_rng(0))
    apart, chance, together = (a[found.judged].mean() for a in (found.apart, found.by_chance, found.together))
    codes = clusters.regions(spline_codes(net, points))
    return np.log(apart / chance), found.clusters.mean(), codes.sum() / clusters.sizes.sum(), together


def _apart(sample: Sample) -> Outcome:
    return is_there(bootstrapped(sample[:, 0]))


@claim(
    "polysemantic-neurons",
    statement="Neurons whose strongest inputs are of several classes cut through several clusters of activations, "
    "each of which is purer in class than inputs drawn at random from the same.",
    hypothesis=HYPOTHESIS,
    source=f"{LENS}: polysemantic directions overlap with several monosemantic polytope regions",
    settled_by=f"HDBSCAN and the classes of the inputs; {REFUTED_BY}, for purity by cluster over that by chance",
    expects=ON_QUICK,
)
def polysemantic_neurons(instance: Instance) -> Verdict:
    """Judge by the 50 strongest inputs of every neuron of the second layer, taken apart by clusters.

    Clusters are the finest of at least five activations. Beside the verdict stands what it does not claim: the
    same before training, since inputs of one class are alike from the start; and that clusters are no regions, as
    nearly every member of one has a code of its own.
    """
    found = trainings(instance.seed, "real")
    data = {
        "networks": tuple((one.networks[0], one.networks[-1]) for one in found),
        "inputs": tuple(one.inputs for one in found),
        "classes": tuple(one.classes for one in found),
    }
    sample = _taken_apart(**data)
    after, before, cut, codes, together_ = (bootstrapped(column) for column in sample.T)
    text = (
        f"{ENSEMBLE}: the strongest inputs of a neuron have one class with a share of {together_.mean:.2f}; "
        f"parted by the {cut.mean:.1f} clusters that they are in they are {after.ratio} times as pure as random "
        f"parts ({before.ratio} before training). Members of a cluster have {codes.mean:.2f} codes each."
    )
    numbers = {"contrast": after.mean, "low": after.low, "high": after.high, "untrained": before.mean}
    return _Study(_taken_apart, _apart).verdict(data, sample, text, **numbers, clusters=cut.mean)


# -- scaling ---------------------------------------------------------------------------------------------------


def _scaling_contrasts(networks: tuple, inputs: tuple) -> Sample:
    """Return, per network: classes kept on [1/2, 2], contrasts around class changes, ranges in octaves.

    The ranges are medians: of the class and of the code around 1, cut where scaling ends; and last the median of
    the boundaries crossed while the class stays.
    """
    sample = []
    for net, points in zip(networks, inputs, strict=True):
        found = scale_activations(*behind_first_layer(net, points), OCTAVES, SCALES)
        places, stays = found.places(), found.class_range
        own, specific = around_changes(places, HALF_OCTAVE, (-OCTAVES, OCTAVES))
        passed = [((u > low) & (u < high)).sum() for (u, _), (low, high) in zip(places, stays, strict=True)]
        sizes = [np.median(ends[:, 1] - ends[:, 0]) for ends in (stays, found.code_range)]
        sample.append([found.kept().sum(), own, specific, *sizes, np.median(passed)])
    return np.array(sample)


def _keeps_and_gathers(sample: Sample) -> Outcome:
    return together([is_there(_kept(sample), least=0.5), is_there(bootstrapped(sample[:, 1]))])


def _kept(sample: Sample) -> Estimate:
    """Return the share of classes that were kept."""
    return binomial(int(sample[:, 0].sum()), LINES * len(sample))


@claim(
    "scaling-range",
    statement="Scaled between half and twice its length an activation mostly keeps its class, and where scaling "
    "changes the class more boundaries are crossed per octave than elsewhere on the ray.",
    hypothesis=HYPOTHESIS,
    source=f"{LENS}: polytopes define where a feature direction is on- and off-distribution",
    settled_by="exact flips and class changes; refuted if at most half of the classes are kept, or by an interval "
    "below a ratio of 1.05 for flips near changes over the rays' mean",
    expects=ON_QUICK,
)
def scaling_range(instance: Instance) -> Verdict:
    """Judge by scaling activations behind the first layer by 1/16 to 16.

    Windows reach a quarter of an octave to both sides of a class change. Beside the verdict stands what it does
    not claim: the density in the same windows on the rays of other images. Where that is as large, scale alone
    tells where boundaries are crowded, and the change of class is no more than there, too.
    """
    found = trainings(instance.seed, "real")
    rng = instance.rng("scaling-range")
    data = {
        "networks": tuple(one.networks[-1] for one in found),
        "inputs": tuple(one.inputs[rng.choice(len(one.inputs), LINES, replace=False)] for one in found),
    }
    sample = _scaling_contrasts(**data)
    kept = _kept(sample)
    own, specific, by_class, by_code, passed = (bootstrapped(column) for column in sample.T[1:])
    text = (
        f"{ENSEMBLE}, {LINES} activations behind the first layer each, scaled by 1/16 to 16: a share of {kept} "
        f"keeps its class from half to twice its length. The class stays for {by_class.mean:.1f} octaves and "
        f"{passed.mean:.1f} boundaries, the code for {by_code.mean:.1f} octaves. Where the class changes there "
        f"are {own.ratio} times as many boundaries per octave as on the ray, but {specific.ratio} times as many "
        "as at the same scale on other rays."
    )
    numbers = {"contrast": own.mean, "low": own.low, "high": own.high, "specific": specific.mean}
    return _Study(_scaling_contrasts, _keeps_and_gathers).verdict(
        data, sample, text, **numbers, kept=kept.mean, class_octaves=by_class.mean, code_octaves=by_code.mean
    )
