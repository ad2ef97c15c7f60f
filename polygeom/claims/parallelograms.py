r"""The claim on composition: when adding two directions adds what they do, and how wrong that is otherwise.

What is measured, and why the statement is true, stands in `polygeom.lens.parallelograms`. (docs/claims.md)
"""

from __future__ import annotations

import numpy as np

from polygeom.certificates import Check, Level
from polygeom.certificates.check import PROVED, REFUTED
from polygeom.claims.instance import Instance
from polygeom.claims.registry import claim
from polygeom.claims.verdict import Outcome, Verdict, Witness, fails, holds, not_applicable
from polygeom.lens.parallelograms import SecondDifference
from polygeom.models.toy import NAMED
from polygeom.network import Network

__all__ = ["composition"]

N_PARALLELOGRAMS = 100
"""Parallelograms drawn at random, of sizes from 2^-6 to 2^3."""


def _bounded(network: Network, parallelograms: np.ndarray) -> Check:
    """Check hypothesis and bound on every parallelogram (x, u, v) again."""
    for x, u, v in parallelograms:
        found = SecondDifference(network, x, u, v)
        if found.composes and any(found.value):
            return REFUTED
        if any(abs(value) > bound for value, bound in zip(found.value, found.bound, strict=True)):
            return REFUTED
    return PROVED


@claim(
    "composition",
    statement="Where every unit meets equal pre-activations along one of two directions, or four equal letters, "
    "the network's second difference along both vanishes; it is always at most sum_l |W_L| ... |W_{l+1}| k_l.",
    source="docs/claims.md",
    settled_by="second differences and bounds in rationals, on random parallelograms and on some inside regions",
    expects=dict.fromkeys(NAMED, Outcome.HOLDS),
)
def composition(instance: Instance) -> Verdict:
    """Judge parallelograms of many sizes around random points: the hypothesis, the value and the bound of each."""
    net, rng = instance.net, instance.rng("composition")
    if not net.exact().is_feasible:
        return not_applicable("The network is too large for rational arithmetic.")
    size = 2.0 ** rng.integers(-6, 4, N_PARALLELOGRAMS)
    parallelograms = rng.standard_normal((N_PARALLELOGRAMS, 3, net.dim_in))
    parallelograms[:, 1:] *= size[:, None, None]
    parallelograms[::4, 1:] = _along_axes(rng, net.dim_in, len(parallelograms[::4]))
    found = [SecondDifference(net, *one) for one in parallelograms]
    composing = sum(one.composes for one in found)
    vanishing = sum(not any(one.value) for one in found)
    tight = sum(any(one.value) and [abs(v) for v in one.value] == one.bound for one in found)
    numbers = {"parallelograms": len(found), "composing": composing, "vanishing": vanishing, "tight": tight}
    witness = Witness({"network": net, "parallelograms": parallelograms}, _bounded)
    if not witness.holds():
        return fails(
            Level.EXACT, "On some parallelogram the statement is wrong.", witness.opposite, **numbers
        )
    text = (
        f"On {len(found)} parallelograms the bound holds, {tight} times with equality; on the {composing} that "
        f"meet the hypothesis the second difference vanishes (on {vanishing} in all)."
    )
    return holds(Level.EXACT, text, witness, **numbers)


def _along_axes(rng: np.random.Generator, dim: int, n: int) -> np.ndarray:
    """Return pairs (n, 2, dim) of directions along different axes, where there are two."""
    axes = np.array([rng.permutation(dim)[[0, -1]] for _ in range(n)])
    return np.eye(dim)[axes] * rng.standard_normal((n, 2, 1))
