"""Checkpoints of transformers: what is read, what is refused, and that blocks do what the models do."""

from __future__ import annotations

import json
import runpy
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygeom.errors import InputError
from polygeom.models import gpt2, minilm, pretrained, small_gpt2
from polygeom.models.adapters import (
    FAMILIES,
    family,
    mlp_block,
    mlp_inputs,
    normed_mlp,
    read_checkpoint,
    residuals,
)
from polygeom.models.tokens import Documents, TokenProtocol, context_length, read_documents, tokenizer

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")
safetensors = pytest.importorskip("safetensors.torch")

TINY = {"vocab_size": 50, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
WIDTHS = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 16,
}
OPT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "ffn_dim": 64,
    "max_position_embeddings": 16,
    "word_embed_proj_dim": 32,
}


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    """No test asks the hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def shaken(model):
    """Give every parameter random values, gains and shifts of LayerNorms too: ones and zeros hide mistakes."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=rng)
    return model.eval()


def small(**changes):
    config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=16, **(TINY | changes))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return shaken(transformers.GPT2LMHeadModel(config))


MODELS = {
    "gpt2": small,
    "bert": lambda: transformers.BertForMaskedLM(transformers.BertConfig(**WIDTHS, **TINY)),
    "roberta": lambda: transformers.RobertaModel(transformers.RobertaConfig(**WIDTHS, **TINY)),
    "electra": lambda: transformers.ElectraModel(
        transformers.ElectraConfig(embedding_size=16, **WIDTHS, **TINY)
    ),
    "neox beside": lambda: transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(**WIDTHS, **TINY)),
    "neox behind": lambda: transformers.GPTNeoXForCausalLM(
        transformers.GPTNeoXConfig(use_parallel_residual=False, **WIDTHS, **TINY)
    ),
    "opt": lambda: transformers.OPTForCausalLM(transformers.OPTConfig(**OPT, **TINY)),
    "opt normed behind": lambda: transformers.OPTForCausalLM(
        transformers.OPTConfig(do_layer_norm_before=False, **OPT, **TINY)
    ),
}


def seen_by_hooks(model, tokens, i):
    """What the model's own linear layers of block i give: pre-activations and outputs, in double precision."""
    names = family(model.config)
    body, found = model.base_model, {}
    hooks = [
        body.get_submodule(f"{names.blocks}.{i}.{name}").register_forward_hook(
            lambda module, inputs, output, name=name: found.__setitem__(name, output.double().numpy())
        )
        for name in (names.linear_in, names.linear_out)
    ]
    with torch.no_grad():
        body(torch.from_numpy(tokens))
    for hook in hooks:
        hook.remove()
    return [found[name].reshape(tokens.size, -1) for name in (names.linear_in, names.linear_out)]


# -- blocks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("i", [0, 1])
def test_a_block_computes_what_the_model_computes(name, i):
    """In double precision the two differ by roundings only, whatever the family."""
    model = shaken(MODELS[name]()).double()
    tokens = np.random.default_rng(1).integers(1, 50, (2, 9))
    block, x = mlp_block(model, i), mlp_inputs(model, tokens, i)
    assert x.shape == (2, 9, 32)
    wanted_z, wanted = seen_by_hooks(model, tokens, i)
    np.testing.assert_allclose(block.preactivations(x.reshape(-1, 32)), wanted_z, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(block(x.reshape(-1, 32)), wanted, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(block.codes(x.reshape(-1, 32)).letters, wanted_z > 0)


def test_opt_is_relu_and_has_the_epsilon_of_pytorch():
    block = mlp_block(MODELS["opt"](), 0)
    assert (block.activation, block.eps) == ("relu", torch.nn.LayerNorm(1).eps)


def test_a_state_dict_is_enough():
    model = small()
    from_state = normed_mlp(model.state_dict(), model.config.to_dict(), 1)
    from_body = normed_mlp(model.transformer.state_dict(), model.config, 1)
    for name in ("gamma", "beta", "W_in", "b_in", "W_out", "b_out"):
        np.testing.assert_array_equal(getattr(from_state, name), getattr(mlp_block(model, 1), name))
        np.testing.assert_array_equal(getattr(from_body, name), getattr(from_state, name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "llama"}, "no adapter"),
        ({"model_type": None}, "no adapter"),
        ({"activation_function": "silu"}, "silu"),
        ({"activation_function": None}, "activation_function"),
        ({"layer_norm_epsilon": None}, "layer_norm_epsilon"),
        ({"model_type": "bert", "num_hidden_layers": 2}, "0 tensors"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(change, message):
    model = small()
    with pytest.raises(InputError, match=message):
        normed_mlp(model.state_dict(), model.config.to_dict() | change, 0)


def test_a_state_dict_without_a_tensor_is_refused_by_its_name():
    state = dict(small().state_dict())
    del state["transformer.h.1.mlp.c_proj.bias"]
    with pytest.raises(InputError, match=r"transformer\.h\.1\.mlp\.c_proj\.bias"):
        normed_mlp(state, small().config, 1)


@pytest.mark.parametrize("i", [-1, 2, True, 0.0])
def test_a_block_that_is_not_there_is_refused(i):
    with pytest.raises(InputError, match="block"):
        mlp_block(small(), i)


def test_something_else_than_a_model_is_refused():
    with pytest.raises(InputError, match="transformers"):
        mlp_block(torch.nn.Linear(2, 2), 0)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_weights_in_half_precision_are_read_exactly(kind):
    model = small().to(kind)
    block = mlp_block(model, 1)
    stored = model.transformer.h[1].mlp.c_fc.weight
    assert torch.equal(torch.from_numpy(block.W_in.copy()).T.to(kind), stored)
    assert mlp_inputs(model, [1, 2, 3], 1).dtype == np.float64


# -- what enters ---------------------------------------------------------------------------------------------


def test_blocks_and_positions_from_one_pass_are_those_from_many():
    model = small()
    tokens = np.random.default_rng(2).integers(0, 50, (3, 16))
    found = residuals(model, tokens, positions=np.array([2, 7]))
    assert sorted(found) == [0, 1]
    for i in found:
        np.testing.assert_array_equal(found[i], mlp_inputs(model, tokens, i)[:, [2, 7]])
    np.testing.assert_allclose(mlp_inputs(model, tokens[0], 1), mlp_inputs(model, tokens, 1)[0], atol=1e-5)


def test_the_mode_of_the_model_and_its_hooks_are_left_as_they_were():
    model = small(resid_pdrop=0.5).train()
    model.transformer.h[0].eval()
    before = [module.training for module in model.modules()]
    first, second = (mlp_inputs(model, [1, 2, 3], 1) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert [module.training for module in model.modules()] == before
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([50], "vocabulary"),
        ([-1], "vocabulary"),
        ([0.5], "integers"),
        ([[1, 2], [3]], "equally long"),
        ([], "0 tokens"),
        ([1] * 17, "17 tokens"),
        (["a"], "integers"),
    ],
)
def test_tokens_that_the_model_cannot_read_are_refused(tokens, message):
    with pytest.raises(InputError, match=message):
        mlp_inputs(small(), tokens, 0)


def test_text_without_a_tokenizer_is_refused(tmp_path):
    small().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="reader="):
        gpt2.mlp_inputs(gpt2.load(tmp_path), "text", 0)
    with pytest.raises(InputError, match="empty"):
        gpt2.mlp_inputs(gpt2.load(tmp_path), "", 0)


def test_a_roberta_reads_fewer_tokens_than_it_has_positions():
    model = MODELS["roberta"]().eval()
    reach = context_length(model.config)
    assert reach == 15
    mlp_inputs(model, [5] * reach, 0)
    with pytest.raises(InputError, match="16 tokens"):
        mlp_inputs(model, [5] * 16, 0)


# -- checkpoints ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpt2")
    small().save_pretrained(folder)
    return folder


def edited(checkpoint, target, **changes):
    """Copy a checkpoint, its configuration changed."""
    shutil.copytree(checkpoint, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | changes))
    return target


def reweighted(checkpoint, target, change):
    """Copy a checkpoint, its tensors changed."""
    shutil.copytree(checkpoint, target)
    state = safetensors.load_file(target / "model.safetensors")
    change(state)
    safetensors.save_file(state, target / "model.safetensors", metadata={"format": "pt"})
    return target


def test_load_gives_back_what_was_saved(checkpoint):
    model, saved = gpt2.load(checkpoint), small()
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    for name, tensor in saved.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)
    state, config = read_checkpoint(checkpoint)
    np.testing.assert_array_equal(normed_mlp(state, config, 1).W_in, gpt2.mlp_block(model, 1).W_in)


def test_a_checkpoint_in_parts_is_read(tmp_path):
    small().save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    state, config = read_checkpoint(tmp_path)
    np.testing.assert_array_equal(normed_mlp(state, config, 1).W_in, mlp_block(small(), 1).W_in)
    assert torch.equal(gpt2.load(tmp_path).transformer.wte.weight, small().transformer.wte.weight)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_loaded_as_float32_exactly(tmp_path, kind):
    halved = small().to(kind)
    halved.save_pretrained(tmp_path)
    model = gpt2.load(tmp_path)
    for name, tensor in halved.state_dict().items():
        assert model.state_dict()[name].dtype == torch.float32
        assert torch.equal(model.state_dict()[name], tensor.float())


@pytest.mark.parametrize("name", ["missing/folder/here", "no_such_folder/", "../up", "", 7])
def test_a_place_that_is_none_is_refused(name):
    with pytest.raises(InputError, match="folder"):
        gpt2.load(name)


def test_a_name_that_is_neither_cached_nor_reachable_is_refused():
    with pytest.raises(InputError, match="No configuration of a model in gpt2"):
        gpt2.load("gpt2")


def test_folders_that_are_no_checkpoints_are_refused(checkpoint, tmp_path):
    with pytest.raises(InputError, match=r"config\.json"):
        gpt2.load(tmp_path)
    with pytest.raises(InputError, match="is a file"):
        gpt2.load(checkpoint / "model.safetensors")
    bare, broken = (edited(checkpoint, tmp_path / name) for name in ("bare", "broken"))
    (bare / "model.safetensors").unlink()
    with pytest.raises(InputError, match="No weights"):
        gpt2.load(bare)
    with pytest.raises(InputError, match="no weights"):
        read_checkpoint(bare)
    (broken / "model.safetensors").write_bytes(b"not safetensors at all")
    with pytest.raises(InputError, match="No weights that can be read"):
        gpt2.load(broken)
    with pytest.raises(InputError, match="not a readable safetensors"):
        read_checkpoint(broken)
    (broken / "config.json").write_text("{")
    with pytest.raises(InputError, match="No configuration"):
        gpt2.load(broken)
    with pytest.raises(InputError, match="not readable"):
        read_checkpoint(broken)


def test_configurations_of_other_models_are_refused(checkpoint, tmp_path):
    with pytest.raises(InputError, match="'bert', wanted 'gpt2'"):
        gpt2.load(edited(checkpoint, tmp_path / "bert", model_type="bert"))
    with pytest.raises(InputError, match="swishy"):
        gpt2.load(edited(checkpoint, tmp_path / "act", activation_function="swishy"))
    with pytest.raises(InputError, match="silu"):
        gpt2.load(edited(checkpoint, tmp_path / "silu", activation_function="silu"))
    with pytest.raises(InputError, match="no adapter"):
        pretrained.load(edited(checkpoint, tmp_path / "llama", model_type="llama"))


def test_tensors_that_do_not_fit_are_refused(checkpoint, tmp_path):
    one, name = "transformer.h.1.", "mlp.c_fc.bias"
    with pytest.raises(InputError, match=r"lacks 1 tensors: transformer\.h\.1\.mlp\.c_fc\.bias"):
        gpt2.load(reweighted(checkpoint, tmp_path / "a", lambda state: state.pop(one + name)))
    with pytest.raises(InputError, match=r"mlp\.c_fc\.bias \(7,\) \(wanted \(128,\)\)"):
        gpt2.load(
            reweighted(checkpoint, tmp_path / "b", lambda state: state.update({one + name: torch.zeros(7)}))
        )
    with pytest.raises(InputError, match="NaN or infinities"):
        gpt2.load(reweighted(checkpoint, tmp_path / "c", lambda state: state[one + name].fill_(torch.nan)))
    with pytest.raises(InputError, match="smaller model"):
        gpt2.load(edited(checkpoint, tmp_path / "d", n_layer=1))
    with pytest.raises(InputError, match="lacks"):
        gpt2.load(edited(checkpoint, tmp_path / "e", n_layer=3))


@pytest.mark.slow
def test_gpt2_small_in_its_true_size(tmp_path):
    """12 blocks, 768 -> 3072, random weights: saved, loaded, and every block agrees with the forward pass."""
    torch.manual_seed(0)
    saved = transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval()
    saved.save_pretrained(tmp_path)
    model = gpt2.load(tmp_path)
    tokens = np.random.default_rng(0).integers(0, 50257, 24)
    entering = residuals(model, tokens)
    assert sorted(entering) == list(range(12))
    for i in (0, 11):
        block = gpt2.mlp_block(model, i)
        assert (block.dim, block.n_units, block.activation) == (768, 3072, "gelu_tanh")
        z, _ = seen_by_hooks(model, tokens[None], i)
        np.testing.assert_allclose(block.preactivations(entering[i]), z, atol=1e-5)


def test_minilm_from_the_weights_alone():
    try:
        folder = minilm.folder()
    except InputError as error:
        pytest.skip(str(error))
    model, reader = minilm.load(), tokenizer(folder)
    tokens = np.array(reader("the quick brown fox jumps over the lazy dog")["input_ids"])
    state, config = read_checkpoint(folder)
    entering = residuals(model, tokens)
    for i in range(6):
        block = minilm.mlp_block(model, i)
        assert (block.dim, block.n_units, block.activation) == (384, 1536, "gelu_erf")
        np.testing.assert_array_equal(normed_mlp(state, config, i).W_out, block.W_out)
        z, out = seen_by_hooks(model, tokens[None], i)
        np.testing.assert_allclose(block.preactivations(entering[i]), z, atol=1e-4)
        np.testing.assert_allclose(block(entering[i]), out, atol=1e-3)


def test_every_family_is_tried():
    tried = {MODELS[name]().config.model_type for name in MODELS}
    same = {name for name, names in FAMILIES.items() if names == FAMILIES["bert"]}
    assert set(FAMILIES) <= tried | same


# -- tokens --------------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(0, 30), st.integers(1, 8), st.integers(0, 2), st.integers(0, 2))
def test_positions_are_different_evenly_spaced_and_end_at_the_end(length, first, count, before, behind):
    try:
        protocol = TokenProtocol(length, 0, count, first, (1,) * before, (2,) * behind)
    except InputError:
        assert length < max(first, before) + count + behind
        return
    places = protocol.positions
    assert len(set(places.tolist())) == count
    assert places[0] == max(first, before)
    assert count == 1 or places[-1] == length - behind - 1
    gaps = np.diff(places)
    assert count < 2 or gaps.max() - gaps.min() <= 1


def test_the_protocol_of_the_paper():
    places = TokenProtocol().positions
    assert len(places) == 6
    assert places.min() == 100
    assert places.max() == 1023


@given(st.lists(st.lists(st.integers(3, 9), max_size=7), max_size=8), st.integers(1, 6), st.booleans())
def test_sequences_are_the_documents_one_behind_the_other(documents, room, framed):
    frame = {"prefix": (1,), "suffix": (2,)} if framed else {}
    protocol = TokenProtocol(room + 2 * framed, separator=0, count=1, first=0, **frame)
    found = list(protocol.sequences(documents))
    joined = [token for document in documents for token in [*document, 0]]
    assert len(found) == len(joined) // room
    inner = [s[1:-1] if framed else s for s in found]
    assert np.concatenate([[], *inner]).tolist() == joined[: len(found) * room]
    assert all(s.tolist()[0] == 1 and s.tolist()[-1] == 2 for s in found if framed)


@pytest.mark.parametrize(
    "settings",
    [{"length": 105}, {"count": 0}, {"first": -1}, {"separator": -1}, {"length": 10.5}, {"prefix": (-2,)}],
)
def test_protocols_that_make_no_sense_are_refused(settings):
    with pytest.raises(InputError):
        TokenProtocol(**settings)


def test_a_context_too_short_for_the_protocol_is_told(tmp_path):
    class Reader:
        cls_token_id = sep_token_id = None
        eos_token_id = 0

    with pytest.raises(InputError, match="16 tokens are shorter than the protocol needs"):
        TokenProtocol.of(small(), Reader())
    assert TokenProtocol.of(small(), Reader(), first=4).positions.tolist() == [4, 6, 8, 11, 13, 15]
    Reader.eos_token_id = None
    with pytest.raises(InputError, match="end-of-text"):
        TokenProtocol.of(small(), Reader(), first=4)


def test_documents_of_files(tmp_path):
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"text": "one"}\n{"text": "two"}\n')
    assert read_documents(lines) == ["one", "two"]
    assert read_documents(lines, limit=1) == ["one"]
    wiki = tmp_path / "b.txt"
    wiki.write_text(" \n = A = \n x \n = = Part = = \n y \n = B c = \n z \n")
    assert [text.split()[1] for text in read_documents(wiki)] == ["A", "B"]
    for name, text, message in (
        ("c.csv", "", "neither"),
        ("d.jsonl", "[1]\n", "Line 1"),
        ("e.jsonl", "{", "no readable"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=message):
            read_documents(tmp_path / name)
    with pytest.raises(InputError, match="no file"):
        read_documents(tmp_path / "absent.txt")
    (tmp_path / "f.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match="no readable"):
        read_documents(tmp_path / "f.jsonl.gz")


def test_folders_without_a_tokenizer_are_refused(nothing_fetched, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no tokenizer"):
        tokenizer(tmp_path)
    with pytest.raises(InputError, match="POLYGEOM_DATA"):
        tokenizer()
    monkeypatch.setenv("POLYGEOM_DATA", str(tmp_path))
    with pytest.raises(InputError, match="no folder"):
        read_documents()


# -- the small GPT-2 -----------------------------------------------------------------------------------------


def test_a_cut_vocabulary_numbers_the_tokens_of_gpt2(data):
    whole, cut = tokenizer(), small_gpt2.cut_tokenizer(2000)
    text = "The naïve café owner's 東京 trip, 1984; the theme then."
    numbers = cut(text)["input_ids"]
    assert cut.decode(numbers) == text
    assert max(numbers) < 1999 == cut.eos_token_id
    assert [whole.convert_ids_to_tokens(n) for n in numbers] == [
        cut.convert_ids_to_tokens(n) for n in numbers
    ]
    assert [whole.decode([n]) for n in whole("the in on")["input_ids"]] == [
        cut.decode([n]) for n in cut("the in on")["input_ids"]
    ]
    for size in (256, 60000):
        with pytest.raises(InputError, match="cannot be cut"):
            small_gpt2.cut_tokenizer(size)


def test_training_learns_and_is_read_back(data, tmp_path):
    """Forty steps of a tiny one: far below equal chances; the same numbers when trained again, and when loaded."""
    size, schedule = small_gpt2.Size(600, 32, 2, 2, 32), small_gpt2.Schedule(steps=40, batch=16, rate=0.01)
    texts = read_documents(limit=40)
    before = torch.random.get_rng_state()
    first, again = (small_gpt2.train(texts, size, schedule) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.loss[0] == pytest.approx(np.log(600), abs=0.2)
    assert first.held_out < np.log(600) - 0.5
    np.testing.assert_allclose(first.loss, again.loss, rtol=1e-3)
    first.save(tmp_path)
    model = small_gpt2.trained(tmp_path)
    text = "the model reads its own vocabulary"
    np.testing.assert_array_equal(
        gpt2.mlp_inputs(model, text, 1), gpt2.mlp_inputs(first.model, text, 1, first.reader)
    )
    start = small_gpt2.untrained(size)
    assert not torch.equal(start.transformer.h[1].mlp.c_fc.weight, model.transformer.h[1].mlp.c_fc.weight)
    assert torch.equal(small_gpt2.untrained(size).transformer.wte.weight, start.transformer.wte.weight)


def test_the_script_trains_reports_and_saves(data, tmp_path, monkeypatch, capsys):
    """The whole script, at a size that takes seconds; it ends in its own assertion."""

    @dataclass(frozen=True)
    class Size(small_gpt2.Size):
        vocabulary: int = 600
        width: int = 32
        blocks: int = 2
        heads: int = 2
        context: int = 32

    @dataclass(frozen=True)
    class Schedule(small_gpt2.Schedule):
        batch: int = 16
        rate: float = 0.01

    texts = read_documents(limit=40)
    monkeypatch.setattr(small_gpt2, "Size", Size)
    monkeypatch.setattr(small_gpt2, "Schedule", Schedule)
    monkeypatch.setattr("polygeom.models.tokens.read_documents", lambda: texts)
    monkeypatch.setattr("sys.argv", ["train_small_gpt2.py", "--steps", "120", "--out", str(tmp_path)])
    runpy.run_path(
        str(Path(__file__).parent.parent / "examples" / "train_small_gpt2.py"), run_name="__main__"
    )
    shown = capsys.readouterr().out
    history = json.loads((tmp_path / "training.json").read_text())
    assert f"{history['held_out']:.3f} nats" in shown
    assert len(history["loss"]) == 120
    assert gpt2.mlp_inputs(small_gpt2.trained(tmp_path), "some text", 1).shape[1] == 32


def test_too_little_text_and_an_untrained_folder_are_refused(data, tmp_path):
    with pytest.raises(InputError, match="Give more text"):
        small_gpt2.train(["short", "text"], small_gpt2.Size(300, 32, 1, 1, 32))
    with pytest.raises(InputError, match="train_small_gpt2"):
        small_gpt2.trained(tmp_path)


def test_documents_can_be_read_twice(data):
    documents = Documents(["one two", "three"], tokenizer())
    assert len(documents) == 2
    assert list(documents) == list(documents)
