"""Recordings over a corpus: what is kept, that an interruption changes nothing, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from polygeom.errors import InputError
from polygeom.models import corpus
from polygeom.models.adapters import mlp_block, mlp_inputs
from polygeom.models.tokens import TokenProtocol

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

PROTOCOL = TokenProtocol(length=12, separator=0, count=3, first=4)
PLAN = corpus.Plan(PROTOCOL, keep=corpus.KINDS, batch=2, sequences_per_file=5)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        n_embd=16, n_layer=3, n_head=2, n_positions=12, vocab_size=300, bos_token_id=0, eos_token_id=0
    )
    return transformers.GPT2LMHeadModel(config).eval()


@pytest.fixture(scope="module")
def documents():
    rng = np.random.default_rng(0)
    return [rng.integers(1, 300, rng.integers(1, 30)) for _ in range(20)]


def content(folder):
    """All arrays of all files."""
    found = {}
    for file in sorted(folder.glob("*.npz")):
        with np.load(file) as arrays:
            found |= {(file.name, name): arrays[name] for name in arrays.files}
    return found


def same(left, right):
    assert left.keys() == right.keys()
    for name, array in left.items():
        assert array.dtype == right[name].dtype
        np.testing.assert_array_equal(array, right[name])


class Interrupting:
    """Documents whose reader presses Ctrl-C after some of them."""

    def __init__(self, documents, after):
        self.documents, self.after = documents, after

    def __iter__(self):
        for k, document in enumerate(self.documents):
            if k == self.after:
                raise KeyboardInterrupt
            yield document


def test_what_is_kept_is_what_the_model_computes(model, documents, tmp_path):
    found = corpus.record(model, documents, tmp_path, PLAN)
    sequences = np.array(list(PROTOCOL.sequences(documents)))
    np.testing.assert_array_equal(found.tokens, sequences)
    assert found.finished
    assert len(found) == 3 * len(sequences)
    assert len(list(tmp_path.glob("*.npz"))) == -(-len(sequences) // 5)
    for i in range(3):
        block = mlp_block(model, i)
        x = mlp_inputs(model, sequences, i)[:, PROTOCOL.positions].reshape(-1, 16)
        np.testing.assert_allclose(found.inputs(i), x, atol=1e-5)
        exact = found.inputs(i).astype(np.float64)
        np.testing.assert_array_equal(found.codes(i).letters, block.codes(exact).letters)
        np.testing.assert_array_equal(found.activations(i), block.activations(exact).astype(np.float16))
        packed = np.concatenate(list(found.batches("codes", i)))
        np.testing.assert_array_equal(packed, found.codes(i).packed)


def test_rows_find_their_tokens(model, documents, tmp_path):
    found = corpus.record(model, documents, tmp_path, PLAN)
    for row in (0, 1, len(found) - 1):
        sequence, place = found.tokens[row // 3], PROTOCOL.positions[row % 3]
        assert found.context(row, before=0).tolist() == [sequence[place]]
        np.testing.assert_array_equal(found.context(row, before=2, after=50), sequence[place - 2 :])
    with pytest.raises(InputError, match="row"):
        found.context(len(found))


@pytest.mark.parametrize("after", [0, 3, 9, 19])
def test_an_interruption_changes_nothing(model, documents, tmp_path, after):
    whole = corpus.record(model, documents, tmp_path / "whole", PLAN)
    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        corpus.record(model, Interrupting(documents, after), folder, PLAN)
    begun = corpus.open_recording(folder)
    assert not begun.finished
    np.testing.assert_array_equal(begun.tokens, whole.tokens[: len(begun.tokens)])
    corpus.record(model, documents, folder, PLAN)
    same(content(folder), content(whole.folder))


def test_what_is_there_is_not_computed_again(model, documents, tmp_path, monkeypatch):
    corpus.record(model, documents, tmp_path, PLAN)
    before = content(tmp_path)
    (tmp_path / "part-000001.npz").unlink()
    calls, real = [], corpus.residuals
    monkeypatch.setattr(corpus, "residuals", lambda *given: calls.append(1) or real(*given))
    corpus.record(model, documents, tmp_path, PLAN)
    assert len(calls) == 3  # one file of five sequences, two at a time
    same(content(tmp_path), before)


def test_a_write_that_fails_leaves_no_file(model, documents, tmp_path, monkeypatch):
    def full(stream, **arrays):
        stream.write(b"half a file")
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(corpus.np, "savez", full)
        with pytest.raises(OSError, match="no space"):
            corpus.record(model, documents, tmp_path, PLAN)
    assert not list(tmp_path.glob("*.npz"))
    whole = corpus.record(model, documents, tmp_path / "whole", PLAN)
    corpus.record(model, documents, tmp_path / "again", PLAN)
    same(content(whole.folder), content(tmp_path / "again"))


def test_blocks_and_kinds_can_be_chosen(model, documents, tmp_path):
    found = corpus.record(model, documents, tmp_path, corpus.Plan(PROTOCOL, blocks=(1,), keep="codes"))
    assert found.units == {1: 64}
    assert repr(found).endswith("tokens x 1 blocks, codes)")
    for kind, i in (("activations", 1), ("codes", 0)):
        with pytest.raises(InputError, match="recorded"):
            next(found.batches(kind, i))


def test_activations_beyond_float16_are_refused(model, documents, tmp_path):
    config = transformers.GPT2Config(**model.config.to_dict())
    large = transformers.GPT2LMHeadModel(config).eval()
    large.load_state_dict(model.state_dict())
    with torch.no_grad():
        large.transformer.h[2].mlp.c_fc.bias.fill_(1e5)
    with pytest.raises(InputError, match="float32"):
        corpus.record(large, documents, tmp_path / "half", PLAN)
    plan = corpus.Plan(PROTOCOL, dtype="float32")
    found = corpus.record(large, documents, tmp_path / "single", plan)
    assert found.activations(2).dtype == np.float32
    assert found.activations(2).max() > 65504


def test_a_folder_of_something_else_is_refused(model, documents, tmp_path):
    corpus.record(model, documents, tmp_path / "a", PLAN)
    with pytest.raises(InputError, match="another plan"):
        corpus.record(model, documents, tmp_path / "a", corpus.Plan(PROTOCOL, batch=2, sequences_per_file=5))
    with pytest.raises(InputError, match="other documents"):
        corpus.record(model, documents[1:], tmp_path / "a", PLAN)
    beginning = corpus.open_recording(tmp_path / "a").tokens[:5].ravel()
    with pytest.raises(InputError, match="more documents"):
        corpus.record(model, [beginning], tmp_path / "a", PLAN)
    other = transformers.GPT2LMHeadModel(model.config).eval()
    with pytest.raises(InputError, match="another model"):
        corpus.record(other, documents, tmp_path / "a", PLAN)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        corpus.record(model, documents, tmp_path / "b", PLAN)
    with pytest.raises(InputError, match="no recording"):
        corpus.open_recording(tmp_path / "b")
    (tmp_path / "a" / "part-000000.npz").write_bytes(b"broken")
    with pytest.raises(InputError, match="Delete it"):
        corpus.record(model, documents, tmp_path / "a", PLAN)
    manifest = tmp_path / "a" / "manifest.json"
    manifest.write_text(json.dumps({"format": 0}))
    with pytest.raises(InputError, match="format"):
        corpus.open_recording(tmp_path / "a")
    manifest.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        corpus.open_recording(tmp_path / "a")


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (corpus.Plan(TokenProtocol()), "1024 tokens; this model reads 12"),
        (corpus.Plan(PROTOCOL, blocks=(3,)), "no block 3"),
    ],
)
def test_plans_that_do_not_fit_the_model_are_refused(model, documents, tmp_path, plan, message):
    with pytest.raises(InputError, match=message):
        corpus.record(model, documents, tmp_path, plan)


@pytest.mark.parametrize(
    "settings",
    [{"keep": ("logits",)}, {"keep": ()}, {"dtype": "int8"}, {"batch": 0}, {"sequences_per_file": 0}],
)
def test_plans_that_make_no_sense_are_refused(settings):
    with pytest.raises(InputError):
        corpus.Plan(PROTOCOL, **settings)


def test_a_corpus_that_fills_no_sequence_is_refused(model, tmp_path):
    with pytest.raises(InputError, match="one sequence of 12"):
        corpus.record(model, [[1, 2, 3]], tmp_path, PLAN)
    with pytest.raises(InputError, match="vocabulary"):
        corpus.record(model, [[999] * 20], tmp_path, PLAN)


def test_a_bar_counts_the_documents(model, documents, tmp_path, capsys):
    corpus.record(model, documents, tmp_path, PLAN, progress=True)
    shown = capsys.readouterr().err
    assert "20/20" in shown
    assert "sequences" in shown
