r"""Directions in spline-code space: few patterns of letters that many codes are made of.

Codes of N points become a binary matrix with a column for every letter of every unit that varies; units that do
not (dead, or always on) are listed and left out. It is factored by a library:

- ``"nmf"``: :math:`F \approx H W` with :math:`H, W \ge 0` (Lee and Seung 1999);
- ``"dictionary"``: sparse non-negative scores on a dictionary for F minus its mean (Mairal et al. 2009).

(No established library has logistic PCA.) What a direction does is read off the data, in the same way for every
method: its *lift* is the mean of the letters weighted by its scores, minus their mean. Its units are those whose
largest lift is at least a given share of the largest of all, each with the letter that is lifted most.

A factorization always finds something. So everything stands beside a *null model*: the same codes with every unit
shuffled over the points by itself. That keeps how often each letter occurs, and destroys what units share.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from polygeom.arrays import as_count, as_generator, freeze
from polygeom.codes import as_codes
from polygeom.errors import InputError, MissingPackageError
from polygeom.lens.code_directions import CodeDirection
from polygeom.lens.saved import Saved
from polygeom.rounding import TINY

__all__ = [
    "METHODS",
    "DirectionComparison",
    "DirectionFit",
    "compare_directions",
    "fit_directions",
    "matched_cosine",
    "shuffled_codes",
]

METHODS = ("nmf", "dictionary")

SPARSITY = 0.5
"""Weight of the l1 norm of the scores in dictionary learning."""

ITERATIONS, PASSES = 500, 20
"""Most steps of a non-negative factorization, and most passes of dictionary learning over the data."""

LEAST_SHARE = 0.5
"""A unit belongs to a direction if its lift is at least this share of the direction's largest."""


def shuffled_codes(codes: object, rng: np.random.Generator) -> np.ndarray:
    """Return codes with every unit shuffled over the points by itself: the null model.

    Raises
    ------
    InputError
        If codes are no letters, or rng is no generator of numpy.

    Examples
    --------
    >>> codes = np.array([[0, 0], [0, 0], [1, 1], [1, 1]], dtype=np.uint8)
    >>> shuffled_codes(codes, np.random.default_rng(0)).mean(axis=0)
    array([0.5, 0.5])
    """
    as_generator(rng)
    return rng.permuted(as_codes(codes).letters, axis=0)


# -- one factorization -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class DirectionFit(Saved):
    """A factorization of codes.

    Attributes
    ----------
    method, seed : str, int
    units, letters : (M,) integer arrays
        What each column of the binary matrix says: this unit has this letter.
    constant : integer array
        Units that have one letter at all points; they are in no direction.
    components : (K, M) array
    mean : (M,) array
        How often each letter occurs.
    scores : (N, K) array
        How much of each component is in each code.
    lift : (K, M) array
        Mean of the letters weighted by scores, minus their mean; 0 for a component that no code uses.
    """

    method: str
    seed: int
    units: np.ndarray
    letters: np.ndarray
    constant: np.ndarray
    components: np.ndarray
    mean: np.ndarray
    scores: np.ndarray
    lift: np.ndarray

    def __repr__(self) -> str:
        return (
            f"DirectionFit({self.method}: {len(self)} directions of {len(np.unique(self.units))} units, "
            f"{len(self.constant)} units constant)"
        )

    def __len__(self) -> int:
        return len(self.components)

    def features(self, codes: object) -> np.ndarray:
        """Return the binary matrix (N, M) of codes.

        Raises
        ------
        InputError
            If they have other units than the codes fitted to.
        """
        letters = as_codes(codes).letters
        n = len(np.unique(self.units)) + len(self.constant)
        if letters.shape[1] != n:
            raise InputError(f"Codes have {letters.shape[1]} units, wanted the {n} that were fitted to.")
        return (letters[:, self.units] == self.letters).astype(np.float64)

    def transform(self, codes: object, visible: np.ndarray | None = None) -> np.ndarray:
        """Return the scores (N, K) of codes, from all columns or from some."""
        F = self.features(codes)
        some = slice(None) if visible is None else visible
        return _scores(self.method, F[:, some], self.components[:, some], self.mean[some])

    def reconstruct(self, scores: np.ndarray) -> np.ndarray:
        """Return the matrix (N, M) that scores stand for."""
        return scores @ self.components + (0.0 if self.method == "nmf" else self.mean)

    def explained(self, codes: object, visible: np.ndarray | None = None) -> float:
        """Return the share of the variance of codes that is explained; if some columns are visible, of the others.

        Against the means of the codes fitted to: 0 is as good as these, below 0 is worse. NaN if there are no
        others, or they do not vary.
        """
        F = self.features(codes)
        hidden = np.ones(F.shape[1], bool) if visible is None else ~visible
        missed = F - self.reconstruct(self.transform(codes, visible))
        varied = ((F - self.mean)[:, hidden] ** 2).sum()
        return 1.0 - float((missed[:, hidden] ** 2).sum() / varied) if varied else float("nan")

    def directions(self, share: float = LEAST_SHARE) -> tuple[CodeDirection, ...]:
        """Return every direction as units with target letters; one that no code uses has none.

        Parameters
        ----------
        share : float
            A unit belongs to a direction if its lift is at least this share of the direction's largest.
        """
        return tuple(self._direction(lift, share) for lift in self.lift)

    def _direction(self, lift: np.ndarray, share: float) -> CodeDirection:
        order = np.lexsort((-lift, self.units))
        _, first = np.unique(self.units[order], return_index=True)
        best = order[first]  # the letter of each unit that is lifted most
        chosen = best[(lift[best] >= share * lift.max()) & (lift[best] > 0)]
        return CodeDirection(self.units[chosen], self.letters[chosen])


def fit_directions(codes: object, n_directions: int, method: str = "nmf", seed: int = 0) -> DirectionFit:
    """Factor codes into few directions.

    Parameters
    ----------
    codes : SplineCodes or (N, n_units) integer array
        Units of as many layers as wanted.
    n_directions : int
    method : {"nmf", "dictionary"}
    seed : int
        Of the factorization's first guess.

    Raises
    ------
    InputError
        On an unknown method, fewer points or varying columns than directions, codes that are all the same, or
        without scikit-learn.

    Notes
    -----
    Cost: of the library; for 400 codes of 24 units 0.02 s (nmf), about a second (dictionary: a program a row).

    Examples
    --------
    >>> on, off = [1, 1, 1], [0, 0, 0]
    >>> fit = fit_directions(np.array([on + off, off + on] * 4, dtype=np.uint8), 2)
    >>> sorted(map(str, fit.directions()))[1]
    'CodeDirection(0:1 1:1 2:1 3:0 4:0 5:0)'
    """
    if method not in METHODS:
        raise InputError(f"method is {method!r}, wanted one of {', '.join(map(repr, METHODS))}.")
    as_count(n_directions, "n_directions"), as_count(seed, "seed")
    letters = as_codes(codes).letters
    units, values, constant = _table(letters)
    F = (letters[:, units] == values).astype(np.float64)
    if not 1 <= n_directions <= min(F.shape):
        raise InputError(
            f"{n_directions} directions were asked of {len(F)} codes with {F.shape[1]} letters that vary; wanted "
            "at least one, and no more than either. Give more points, or fewer directions."
        )
    mean = F.mean(axis=0)
    components = _components(method, F, n_directions, seed)
    scores = _scores(method, F, components, mean)
    total = scores.sum(axis=0)
    weights = np.divide(scores, total, out=np.zeros_like(scores), where=total > 0)
    lift = np.where(total[:, None] > 0, weights.T @ F - mean, 0.0)
    arrays = (units, values, constant, components, mean, scores, lift)
    return DirectionFit(method, seed, *(freeze(a) for a in arrays))


def _table(letters: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return unit and letter of every column of the binary matrix, and the units that do not vary."""
    found = [np.unique(column) for column in letters.T]
    varying = [u for u, values in enumerate(found) if len(values) > 1]
    constant = np.array([u for u, values in enumerate(found) if len(values) <= 1], dtype=np.intp)
    if not varying:
        raise InputError(
            f"All {letters.shape[1]} units have one letter at all {len(letters)} points: there is nothing to "
            "factor. Likely cause: points that are all the same, or units that are all dead."
        )
    units = np.concatenate([np.full(len(found[u]), u) for u in varying])
    return units, np.concatenate([found[u] for u in varying]).astype(np.intp), constant


def _decomposition() -> object:
    """Return scikit-learn's module of factorizations."""
    try:
        import sklearn.decomposition
    except ImportError:
        raise MissingPackageError("Finding directions", "scikit-learn", extra="lens") from None
    return sklearn.decomposition


def _components(method: str, F: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return components (n, M), scaled to unit length; a component that vanished stays zero.

    A dictionary starts from n rows drawn at random: the library's own start is a singular value decomposition,
    which is the same for every seed, so that stability across seeds would mean nothing.
    """
    library = _decomposition()
    with _quiet():
        if method == "nmf":
            found = library.NMF(n, init="random", random_state=seed, max_iter=ITERATIONS).fit(F)
        else:
            centered = F - F.mean(axis=0)
            start = np.random.default_rng(seed).choice(centered, n, replace=False)
            found = library.MiniBatchDictionaryLearning(
                n,
                alpha=SPARSITY,
                fit_algorithm="cd",
                positive_code=True,
                dict_init=start,
                random_state=seed,
                max_iter=PASSES,
            ).fit(centered)
    length = np.linalg.norm(found.components_, axis=1, keepdims=True)
    return found.components_ / np.where(length > 0, length, 1.0)


def _scores(method: str, F: np.ndarray, components: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the scores of rows on components of which perhaps only some columns are seen."""
    library = _decomposition()
    with _quiet():
        if method == "nmf":
            H = np.ascontiguousarray(components)
            W, _, _ = library.non_negative_factorization(
                F, H=H, n_components=len(H), init="custom", update_H=False, max_iter=ITERATIONS
            )
            return W
        dictionary = np.ascontiguousarray(components)
        return library.sparse_encode(
            F - mean, dictionary, algorithm="lasso_cd", alpha=SPARSITY, positive=True, max_iter=ITERATIONS
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the library's notes on having stopped at `ITERATIONS`: quality is measured, not assumed."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


# -- comparisons -----------------------------------------------------------------------------------------------


def matched_cosine(a: DirectionFit, b: DirectionFit) -> float:
    """Return the mean cosine of the lifts of two fits to the same codes, directions matched in the best way.

    References
    ----------
    Kuhn 1955, The Hungarian method for the assignment problem.

    Examples
    --------
    >>> codes = np.random.default_rng(0).integers(0, 2, (40, 6)).astype(np.uint8)
    >>> fit = fit_directions(codes, 2)
    >>> round(matched_cosine(fit, fit), 9)
    1.0
    """
    from scipy.optimize import linear_sum_assignment

    unit = [fit.lift / np.maximum(np.linalg.norm(fit.lift, axis=1, keepdims=True), TINY) for fit in (a, b)]
    cosine = unit[0] @ unit[1].T
    return float(cosine[linear_sum_assignment(cosine, maximize=True)].mean())


@dataclass(frozen=True, eq=False)
class DirectionComparison(Saved):
    """How well methods find directions, on codes and on their null model (first axis: codes, shuffled codes).

    Attributes
    ----------
    methods : tuple of str
    n_directions, n_points : int
    stability : (2, methods, pairs of seeds) array
        Matched cosine of two fits to the same points that differ by their seed.
    encoded : (2, methods, seeds) array
        Share of variance explained on points not fitted to, scores from all of their letters.
    predicted : (2, methods, seeds) array
        Share explained of the letters of half of the units, on points not fitted to, scores from the other half:
        0 or less where units have nothing in common.
    """

    methods: tuple[str, ...]
    n_directions: int
    n_points: int
    stability: np.ndarray
    encoded: np.ndarray
    predicted: np.ndarray

    def __str__(self) -> str:
        lines = [f"{self.n_directions} directions, {self.n_points} points; each beside shuffled codes"]
        for m, method in enumerate(self.methods):
            parts = (
                f"{name} {values[0, m].mean():.2f} ({values[1, m].mean():.2f})"
                for name, values in (
                    ("stability", self.stability),
                    ("encoded", self.encoded),
                    ("predicted", self.predicted),
                )
            )
            lines.append(f"{method}: {', '.join(parts)}")
        return "\n".join(lines)


def compare_directions(
    codes: object,
    n_directions: int,
    rng: np.random.Generator,
    methods: Sequence[str] = METHODS,
    n_seeds: int = 5,
) -> DirectionComparison:
    """Compare methods by stability across seeds and held-out reconstruction, beside the null model.

    Half of the points, drawn at random, are fitted to; the others are held out.

    Raises
    ------
    InputError
        As `fit_directions`; with less than two seeds, no method, or rng that is no generator of numpy.

    Notes
    -----
    Cost: 2 n_seeds factorizations for each method.

    Examples
    --------
    >>> on = np.random.default_rng(0).integers(0, 2, (200, 2))
    >>> found = compare_directions(np.repeat(on, 4, axis=1), 4, np.random.default_rng(0), ["nmf"], 2)
    >>> bool(found.predicted[0].mean() > 0.9), bool(found.predicted[1].mean() < 0.1)
    (True, True)
    """
    as_generator(rng)
    as_count(n_seeds, "n_seeds", 2)  # stability compares fits of two seeds
    methods = (methods,) if isinstance(methods, str) else tuple(methods)
    if not methods:
        raise InputError(f"There are no methods to compare, wanted some of {', '.join(map(repr, METHODS))}.")
    letters = as_codes(codes).letters
    order = rng.permutation(len(letters))
    hidden_units = rng.permutation(letters.shape[1])[: letters.shape[1] // 2]
    stability, encoded, predicted = [], [], []
    for version in (letters, shuffled_codes(letters, rng)):
        fitted, held = version[order[::2]], version[order[1::2]]
        fits = [[fit_directions(fitted, n_directions, m, seed) for seed in range(n_seeds)] for m in methods]
        stability.append([[matched_cosine(a, b) for a, b in combinations(row, 2)] for row in fits])
        encoded.append([[fit.explained(held) for fit in row] for row in fits])
        predicted.append(
            [[fit.explained(held, ~np.isin(fit.units, hidden_units)) for fit in row] for row in fits]
        )
    arrays = (freeze(np.array(a)) for a in (stability, encoded, predicted))
    return DirectionComparison(tuple(methods), n_directions, len(letters), *arrays)
