r"""LayerNorm, a linear layer, an activation, a linear layer: the MLP of a transformer block, and its codes.

.. math:: x \mapsto W_{out}\, \sigma(W_{in} (\gamma * y + \beta) + b_{in}) + b_{out}, \qquad
          y = Px / \sqrt{|Px|^2/d + \epsilon}

with :math:`P = 1 - 11'/d`. The parameters are the stored numbers as float64 and :math:`\epsilon` is the float64
given; whatever is called exact is exact for these. The letter of a unit is 1 where its pre-activation is positive,
else 0: the binarized code, for GELU and ReLU alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from polygeom.arrays import as_array, as_matrix, as_points, as_vector
from polygeom.codes import SplineCodes
from polygeom.errors import InputError
from polygeom.exact import rational, rational_matrix
from polygeom.models.transformer.activations import activation_name, apply
from polygeom.models.transformer.folded import Centered, FoldedRows, exact_variance, sign_with_root
from polygeom.rounding import TINY, U, gamma, round_up

__all__ = ["NormedMLP", "as_block"]

BLOCK = 2**22
"""Pre-activations computed at once, to bound memory."""


@dataclass(frozen=True, eq=False)
class NormedMLP:
    """The MLP of a transformer block with the LayerNorm in front of it, without the residual connection.

    Parameters
    ----------
    gamma, beta : (d,) arrays
        Gain and shift of the LayerNorm.
    eps : float
        What it adds to the variance; 0 is allowed.
    W_in, b_in : (m, d) and (m,) arrays
        The first linear layer, a unit a row.
    activation : str
        ``"gelu_tanh"`` (or ``"gelu_new"``, ``"gelu_pytorch_tanh"``), ``"gelu_erf"`` (or ``"gelu"``), ``"relu"``.
    W_out, b_out : (k, m) and (k,) arrays
        The second linear layer.

    Notes
    -----
    Half precision and float32 are converted exactly: what is computed is the network with these parameters, in
    float64.

    Raises
    ------
    InputError
        On NaN, infinities, shapes that do not match, fewer than two coordinates, a negative eps, or an
        activation that is not known.

    Examples
    --------
    >>> block = NormedMLP([1, 1], [0, 0], 0.0, [[1, 0], [0, 1], [1, 1]], [0, 0, -1], "relu", [[1, 1, 1]], [0])
    >>> block
    NormedMLP(2 -> 3 -> 1, relu, eps=0)
    >>> block.codes([[3, 1], [0, 5]]).letters
    array([[1, 0, 0],
           [0, 1, 0]], dtype=uint8)
    >>> block([[3, 1], [0, 5]])
    array([[1.],
           [1.]])
    """

    gamma: np.ndarray
    beta: np.ndarray
    eps: float
    W_in: np.ndarray
    b_in: np.ndarray
    activation: str
    W_out: np.ndarray
    b_out: np.ndarray

    def __post_init__(self) -> None:
        W_in = as_matrix(self.W_in, "W_in")
        m, d = W_in.shape
        if d < 2:
            raise InputError(f"W_in has shape {W_in.shape}: LayerNorm needs two coordinates or more.")
        W_out = as_matrix(self.W_out, "W_out", m)
        eps = as_array(self.eps, "eps")
        if eps.shape or eps < 0:
            raise InputError(f"eps is {self.eps!r}, wanted a finite number that is not negative.")
        fields = {
            "gamma": as_vector(self.gamma, "gamma", d),
            "beta": as_vector(self.beta, "beta", d),
            "eps": float(eps),
            "W_in": W_in,
            "b_in": as_vector(self.b_in, "b_in", m),
            "activation": activation_name(self.activation),
            "W_out": W_out,
            "b_out": as_vector(self.b_out, "b_out", len(W_out)),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        sizes = f"{self.dim} -> {self.n_units} -> {len(self.W_out)}"
        return f"NormedMLP({sizes}, {self.activation}, eps={self.eps:.3g})"

    @property
    def dim(self) -> int:
        """Dimension d of the residual stream."""
        return self.W_in.shape[1]

    @property
    def n_units(self) -> int:
        """Number m of hidden units."""
        return self.W_in.shape[0]

    @cached_property
    def folded(self) -> FoldedRows:
        """The rows w~ and offsets c~ with LayerNorm's gain, shift and centering folded in, and their bounds."""
        return FoldedRows.of(self.gamma, self.beta, self.W_in, self.b_in)

    def with_eps(self, eps: float) -> NormedMLP:
        """Return the same block with another epsilon; 0 makes every gate cell a cone."""
        other = replace(self, eps=eps)
        if "folded" in self.__dict__:
            other.__dict__["folded"] = self.folded  # they do not depend on epsilon
        return other

    # -- floats ----------------------------------------------------------------------------------------------

    def __call__(self, X: object) -> np.ndarray:
        """Return the outputs (N, k) at points of the residual stream (N, d), or (k,) at one point, in floats."""
        points = self._points(X)
        hidden = apply(self.activation, self.preactivations(points))
        out = hidden @ self.W_out.T + self.b_out
        return out[0] if np.ndim(X) == 1 else out

    def normalized(self, X: object) -> np.ndarray:
        """Return y = Px / sqrt(|Px|^2/d + eps), before gain and shift, in floats: (N, d), or (d,) at one point."""
        centered = self._centered(self._points(X))
        root = np.where(centered.root > 0, centered.root, 1.0)  # it is 0 where a tiny epsilon underflows
        y = centered.points / root[:, None]
        return y[0] if np.ndim(X) == 1 else y

    def preactivations(self, X: object) -> np.ndarray:
        """Return what arrives at the activation, in floats: (N, m), or (m,) at one point."""
        z = self.normalized(self._points(X)) @ self.folded.weights.T + self.folded.offsets
        return z[0] if np.ndim(X) == 1 else z

    def activations(self, X: object) -> np.ndarray:
        """Return what the activation makes of it, in floats: (N, m), or (m,) at one point."""
        return apply(self.activation, self.preactivations(X))

    # -- codes -----------------------------------------------------------------------------------------------

    def codes(self, X: object) -> SplineCodes:
        """Return the letters of all units at points (N, d) of the residual stream, exactly; `.packed` are bits.

        Cost: one product of 2 N m d flops; a rational row for each sign within rounding of 0.

        Raises
        ------
        InputError
            On wrong shapes, NaN or infinities, or if eps is 0 and all entries of a point are equal.
        """
        points = self._points(X)
        step = max(1, BLOCK // max(1, self.n_units))
        parts = [self.signs(points[i : i + step]) > 0 for i in range(0, len(points), step)]
        letters = np.concatenate(parts) if parts else np.zeros((0, self.n_units), bool)
        return SplineCodes(letters.astype(np.uint8))

    def signs(self, X: object, level: float = 0.0) -> np.ndarray:
        """Return the exact signs (N, m) of the pre-activations less a level, int8."""
        points = self._points(X)
        values, errors = self.enclosed(points, level)
        signs = (values > errors).astype(np.int8) - (values < -errors).astype(np.int8)
        for n in np.flatnonzero((signs == 0).any(axis=1)).tolist():
            units = np.flatnonzero(signs[n] == 0)
            signs[n, units] = self._exact_signs(points[n], units, level)
        return signs

    def enclosed(self, X: object, level: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Return w~.x + (c~ - level) r(x), (N, m), and bounds on its errors: three roundings more than w~.x.

        That is the pre-activation less the level, times r(x).
        """
        centered = self._centered(self._points(X))
        folded, (root, root_error) = self.folded, (centered.root, centered.root_error)
        with np.errstate(over="ignore", invalid="ignore"):
            values, errors = folded.along(centered)
            heights = folded.offsets - level
            doubt = round_up(folded.offset_errors + U * np.abs(heights), 2)
            across = np.multiply.outer(root, heights)
            values += across
            spread = np.multiply.outer(root_error, np.abs(heights) + doubt)
            spread += np.multiply.outer(root, doubt)
            errors = round_up(errors + spread + gamma(2) * (np.abs(across) + np.abs(values)) + TINY, 8)
        return values, np.where(np.isfinite(values) & np.isfinite(errors), errors, np.inf)

    def _exact_signs(self, x: np.ndarray, units: np.ndarray, level: float) -> list[int]:
        """Return the signs of some pre-activations less a level at one point, in rationals."""
        rows, offsets = self.folded.exact(units)
        along = (rows * rational_matrix(x)).entries()
        square, height = exact_variance(x) + rational(self.eps), rational(level)
        return [sign_with_root(a, c - height, square) for a, c in zip(along, offsets.entries(), strict=True)]

    def _points(self, X: object) -> np.ndarray:
        return as_points(X, "X", self.dim)

    def _centered(self, points: np.ndarray) -> Centered:
        """Center points; refuse those that LayerNorm without epsilon maps nowhere."""
        centered = Centered.of(points, self.eps)
        if self.eps == 0:
            flat = np.flatnonzero((points == points[:, :1]).all(axis=1))
            if flat.size:
                raise InputError(
                    f"Point {int(flat[0])} has equal entries: LayerNorm with eps = 0 divides by its variance, 0."
                )
        return centered


def as_block(value: object) -> NormedMLP:
    """Return a block; refuse what is none, a torch module for example."""
    if isinstance(value, NormedMLP):
        return value
    raise InputError(
        f"block is a {type(value).__name__}, wanted a NormedMLP. Likely cause: a model that was not taken apart. "
        "Remedy: models.gpt2.mlp_block(model, i), or NormedMLP(...) by hand."
    )
