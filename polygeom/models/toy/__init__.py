r"""Toy networks whose partitions are known: the answers to test against, and the smallest examples.

Every maker returns a `Network` and says how many full-dimensional cells with distinct codes it has, wherever
theory knows. Write :math:`S_k(n) = \sum_{i \le k} \binom{n}{i}`. All fixed weights are small dyadic numbers, so
the counts hold for the stored floats. What is trained stands in `polygeom.models.toy.trained`.

Sources: Zaslavsky 1975 (counts of arrangements); Telgarsky 2016 (the tent map). The degenerate networks are those
on which tools for partitions of ReLU networks are known to refuse, or to answer wrongly.
"""

from polygeom.models.toy import trained
from polygeom.models.toy.arrangements import b_arrangement, braid, cone, grid
from polygeom.models.toy.catalog import NAMED, named
from polygeom.models.toy.degeneracies import DEGENERATE, degenerate
from polygeom.models.toy.folding import montufar
from polygeom.models.toy.handmade import absolute, box_indicator, maxima, tent, three_axes, xor
from polygeom.models.toy.random_weights import bias_free, he, integer, near_parallel, uniform

__all__ = [
    "DEGENERATE",
    "NAMED",
    "absolute",
    "b_arrangement",
    "bias_free",
    "box_indicator",
    "braid",
    "cone",
    "degenerate",
    "grid",
    "he",
    "integer",
    "maxima",
    "montufar",
    "named",
    "near_parallel",
    "tent",
    "three_axes",
    "trained",
    "uniform",
    "xor",
]
