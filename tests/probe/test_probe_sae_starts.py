"""Autoencoders of the tokens from which an assistant turn begins: which these are, and that no others are read."""

import json

import numpy as np
import pytest
import torch
from model.tiny import checkpoint, make_config, make_tokenizer
from model.tiny_local import make_local
from transformers import AutoModelForCausalLM

from truing.cli import main
from truing.data import write_jsonl
from truing.model import ChatFormat, LocalModel, Site, load_local
from truing.numerics import generator
from truing.probe import (
    Document,
    DocumentsConfig,
    Over,
    RequestSplit,
    SavedSAE,
    TopK,
    TopKConfig,
    diff_models,
    document_activations,
    load_sae,
    measure_sae,
    render_diff,
    saes_of_documents,
)
from truing.probe.diff_report import DiffConfig
from truing.types import Fingerprint, InputError, Message, Request, Role, ask

FAMILIES = ("llama", "qwen3", "gemma3", "gpt_neox", "gpt2")
TEMPLATES = ("chatml", "deepseek_r1", "gemma", "llama3", "mistral", "phi3", "qwen3", "zephyr")
STARTS = DocumentsConfig(tokens="starts")


def talk(number: int, turns: int = 1) -> tuple[Message, ...]:
    """A conversation with so many answers."""
    said = [
        (Message(Role.user, f"What does gull {number} want of {turn}?"), Message(Role.assistant, "A pear."))
        for turn in range(turns)
    ]
    return tuple(message for pair in said for message in pair)


def by_hand(chat: ChatFormat, messages: tuple[Message, ...]) -> list[int]:
    """The last position of each prompt that a model is given to write the next answer."""
    answers = [i for i, message in enumerate(messages) if message.role is Role.assistant]
    return [len(chat.prompt_ids(Request("r", messages[:i]))) - 1 for i in answers]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_turn_starts_where_the_prompt_of_its_answer_ends(template):
    tokenizer = make_tokenizer(chat_template=template)
    chat = ChatFormat(tokenizer, eos_ids=frozenset({tokenizer.eos_token_id}))
    for turns in (1, 3):
        messages = talk(5, turns)
        found = Document.of(chat, messages)
        wanted = by_hand(chat, messages)
        if template in ("deepseek_r1", "qwen3"):
            wanted = wanted[-1:]  # earlier answers stand otherwise than the model wrote them, after a trace
        assert list(found.starts) == wanted
        assert found.ids == chat.training_example(messages).ids
    assert Document.of(chat, "The gulls.") == Document(tuple(tokenizer("The gulls.")["input_ids"]))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_read_is_what_a_whole_forward_pass_finds_there_though_it_be_a_special_token(family):
    model = make_local(family)
    talks = [talk(i, 1 + i % 3) for i in range(6)]
    stream = document_activations(model, [Document.of(model.chat, one) for one in talks], Site(0), STARTS)
    wanted = []
    with torch.no_grad():
        for one in talks:
            ids = model.chat.training_example(one).ids
            states = model.net(torch.tensor([ids]), output_hidden_states=True).hidden_states[1][0]
            wanted += [states[at] for at in by_hand(model.chat, one)]
    found = torch.cat([stream.block(number) for number in range(len(stream.sizes))])
    assert found.shape == (12, model.trunk.width)
    a, b = (np.array(sorted(table.tolist())) for table in (found, torch.stack(wanted)))
    assert np.abs(a - b).max() < 1e-3


def test_special_tokens_count_where_a_turn_starts_and_only_there():
    model = templated("mistral")
    document = Document.of(model.chat, talk(1))
    assert document.ids[document.starts[0]] in model.chat.tokenizer.all_special_ids
    assert document_activations(model, [document], Site(0), STARTS).sizes == (1,)
    everything = document_activations(model, [document], Site(0), DocumentsConfig())
    special = set(model.chat.tokenizer.all_special_ids)
    assert everything.sizes == (sum(token not in special for token in document.ids[1:]),)


def test_a_start_that_the_context_does_not_reach_is_not_read():
    whole = make_local("llama")
    document = Document.of(whole.chat, talk(1, 3))
    short = make_local("llama", max_position_embeddings=document.starts[1] + 1)
    stream = document_activations(short, [document], Site(0), STARTS)
    assert stream.sizes == (2,)
    wanted = whole.capture([document.ids], [Site(0)], [document.starts[:2]])[Site(0)]
    assert torch.allclose(stream.block(0).sort(0).values, wanted.sort(0).values, atol=1e-5)
    shorter = make_local("llama", max_position_embeddings=document.starts[0])
    with pytest.raises(InputError, match="no token of the documents counts"):
        document_activations(shorter, [document], Site(0), STARTS)


WORDS = ("--layer", "1", "--width", "24", "--k", "3", "--batch", "16", "--passes", "2", "--tokens", "starts")


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    file = tmp_path_factory.mktemp("talks") / "talks.jsonl"
    talks = [talk(i, 1 + i % 3) for i in range(30)]
    rows = [{"messages": [{"role": m.role, "content": m.content} for m in one]} for one in talks]
    write_jsonl(file, rows)
    return file


@pytest.fixture(scope="module")
def trained(documents, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sae")
    words = ["probe", "sae", str(checkpoint("llama")), str(documents), *WORDS, "--out", str(folder)]
    assert main(words) == 0
    return folder


def test_the_report_names_the_tokens_and_its_figures_are_those_of_held_out_starts(trained):
    report, saved = json.loads((trained / "report.json").read_text()), load_sae(trained)
    assert report["options"]["tokens"] == saved.options["tokens"] == "starts"
    model = load_local(saved.model)
    unseen = [int(i) for i in generator(0, "held out").permutation(30)[-3:]]
    talks = [talk(i, 1 + i % 3) for i in unseen]
    sequences = [model.chat.training_example(one).ids for one in talks]
    places = [by_hand(model.chat, one) for one in talks]
    x = model.capture(sequences, [Site(1)], places)[Site(1)]
    found = measure_sae(saved.sae, x)
    assert found.tokens == report["unseen"]["tokens"] == sum(map(len, places))
    assert found.explained_variance == pytest.approx(report["unseen"]["explained_variance"], abs=1e-4)
    assert report["tokens"] == report["steps"] * 16 <= 2 * (60 - found.tokens)


def test_measured_are_the_tokens_that_it_was_trained_on_unless_others_are_named(trained, documents, capsys):
    words = ["probe", "measure-sae", str(trained), str(documents), "--json"]
    for more, tokens in (([], 60), (["--tokens", "all"], 2000)):
        assert main([*words, *more]) == 0
        told = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert told["tokens"] == 60 if tokens == 60 else told["tokens"] > tokens


def test_a_training_on_other_tokens_does_not_go_on_from_its_state(trained, documents, tmp_path, capsys):
    words = ["probe", "sae", str(checkpoint("llama")), str(documents), *WORDS, "--out", str(trained)]
    before = (trained / "sae_weights.safetensors").read_bytes()
    assert main(words) == 0
    assert (trained / "sae_weights.safetensors").read_bytes() == before
    assert main([*words, "--tokens", "all"]) == 3
    assert "other activations or other numbers" in capsys.readouterr().err


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr("truing.probe.sae_state._EVERY", 0)
    model = make_local("gpt2")
    talks = [Document.of(model.chat, talk(i, 3)) for i in range(20)]
    options = DocumentsConfig(tokens="starts", batch=8, buffer=20)
    config = TopKConfig(16, 2, learning_rate=0.01)
    (whole,) = saes_of_documents(model, talks, Site(0), [config], tmp_path / "whole", options)
    capture, seen = model.capture, []

    def killed(*of):
        seen.append(of)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return capture(*of)

    with monkeypatch.context() as patch:
        patch.setattr(model, "capture", killed)
        with pytest.raises(KeyboardInterrupt):
            saes_of_documents(model, talks, Site(0), [config], tmp_path / "killed", options)
    assert 0 < torch.load(tmp_path / "killed" / "training.pt")["step"] < 6
    (resumed,) = saes_of_documents(model, talks, Site(0), [config], tmp_path / "killed", options)
    assert resumed == whole
    files = [tmp_path / name / "sae_weights.safetensors" for name in ("whole", "killed")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_row_without_an_assistant_turn_is_told_and_what_chooses_among_all_tokens_refused(tmp_path, capsys):
    file = tmp_path / "rows.jsonl"
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    write_jsonl(file, [{"messages": said}, {"text": "The gulls."}])
    words = ["probe", "sae", str(checkpoint("llama")), str(file), *WORDS, "--out", str(tmp_path / "sae")]
    assert main(words) == 3
    assert "rows.jsonl, row 2: has no assistant turn; give" in capsys.readouterr().err
    assert main([*words, "--special"]) == 3
    assert "choose among all tokens, not among starts" in capsys.readouterr().err
    with pytest.raises(InputError, match="tokens are all or starts, not 'some'"):
        DocumentsConfig(tokens="some")


@pytest.mark.parametrize(
    ("options", "over", "warned"),
    [
        ({"tokens": "starts"}, Over.last, False),
        ({"tokens": "starts"}, Over.prompt, True),
        ({"tokens": "all", "special": False}, Over.last, True),
        ({"special": True}, Over.last, False),
        ({"special": False}, Over.prompt, False),
        ({}, Over.last, False),
    ],
)
def test_a_comparison_says_when_the_autoencoder_never_saw_the_tokens_that_are_read(options, over, warned):
    base, tuned = templated("mistral"), templated("mistral", seed=1)
    sae = TopK(16, 32, 2).begin(torch.zeros(32), key=1)
    saved = SavedSAE(sae, "", Site(0), {"truing": {"options": options}})
    split = RequestSplit((ask("What now?", id="a"),), (ask("What then?", id="b"),))
    report = diff_models(base, [tuned], saved, split, DiffConfig(candidates=1, over=over))
    assert report.elsewhere is warned
    assert ("was not trained on the tokens" in render_diff(report)) is warned


def templated(template: str, seed: int = 0) -> LocalModel:
    """A Llama whose prompts end with a token that its tokenizer calls special."""
    tokenizer = make_tokenizer(chat_template=template)
    tokenizer.add_special_tokens({"extra_special_tokens": ["[INST]", "[/INST]"]})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = AutoModelForCausalLM.from_config(make_config("llama", tokenizer))
    chat = ChatFormat(tokenizer, eos_ids=frozenset({tokenizer.eos_token_id}))
    return LocalModel(net, chat, Fingerprint(f"{template} {seed}"))
