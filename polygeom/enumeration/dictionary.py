r"""Regions in many dimensions: cells with a vertex and its dictionary, split by linear programs.

`polygeom.kernels.dictionary_cells` splits and proves in floats; this module prepares the chain for it and answers in
rationals what it asks.

The first dictionary
--------------------
Everything on the first layer and the domain is a function of the rows of both. If their rank r is less than k, r
coordinates on which the rows keep their rank are enough: every cell is a cylinder, and witnesses get 0 elsewhere. A
vertex of the domain (all of its rows, where there are lines in it, as far as they go) gives the first of r
independent *reference* rows, units of the first layer the others. Those units cut everything: restricted to the
lines in the domain they are independent, so all combinations of their signs have interior.

Sources as in `polygeom.kernels.dictionary_cells`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from polygeom.enumeration.arrays import Exactness
from polygeom.enumeration.chain import ChainLayer, DenseChain
from polygeom.enumeration.dictionary_ties import ExactCells
from polygeom.errors import InputError
from polygeom.exact import ScaledMatrix, fraction, nearest_float, rational
from polygeom.polyhedron import Polyhedron
from polygeom.predicates.rational import RationalLp, independent_columns
from polygeom.rounding import TINY, U, dot_error, gamma, round_up

if TYPE_CHECKING:
    import flint

__all__ = ["DictionaryEngine"]
