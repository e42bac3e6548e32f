"""Activations against transformers' own, for every kind of position."""

import pytest
import torch
from model.tiny_local import local, make_local

from truing.model import Add, Point, Site
from truing.probe import (
    Over,
    Text,
    collect,
    collected,
    completion_texts,
    conversation_texts,
    mean_activations,
    prompt_texts,
    template_tokens,
)
from truing.types import InputError, Message, Role, SamplingParams, ask

FAMILIES = ("llama", "qwen3", "gemma3", "gpt_neox", "gpt2")
LAYERS = {"gpt2": "n_layer"}
TEXTS = [
    Text((5, 9, 200, 3, 11, 12, 13), 4),
    Text((7,) * 11 + (30, 31), 11),
    Text((300, 4, 4), 1),
    Text(tuple(range(40, 70)), 29),
]
TOLERANCE = 1e-4


def three_layers(family: str):
    changes = {LAYERS.get(family, "num_hidden_layers"): 3}
    if family == "gemma3":
        changes["layer_types"] = ["sliding_attention", "full_attention", "sliding_attention"]
    return make_local(family, **changes)


def hidden_states(model, text: Text) -> list[torch.Tensor]:
    """Of one text alone, unpadded, [T, D] for each index that transformers knows."""
    with torch.no_grad():
        out = model.net(torch.tensor([text.ids]), output_hidden_states=True, use_cache=False)
    return [states[0] for states in out.hidden_states]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_enters_layer_l_is_hidden_states_l_for_every_layer_and_text(family):
    model = three_layers(family)
    sites = [Site(layer, Point.resid_pre) for layer in range(3)]
    found = collected(model, TEXTS, sites, Over.each)
    wanted = [[states[text.prompt :] for states in hidden_states(model, text)] for text in TEXTS]
    for layer, site in enumerate(sites):
        assert torch.allclose(found[site], torch.cat([each[layer] for each in wanted]), atol=TOLERANCE)
    post = collected(model, TEXTS, [Site(1)], Over.each)[Site(1)]
    assert torch.equal(post, found[sites[2]]), "the output of block 1 is hidden_states[2]"


def test_the_last_hidden_state_of_transformers_is_behind_the_final_norm_and_no_layer_s_output():
    model = three_layers("llama")
    post = collected(model, TEXTS[:1], [Site(2)], Over.last)[Site(2)][0]
    theirs = hidden_states(model, TEXTS[0])[3][TEXTS[0].prompt - 1]
    assert not torch.allclose(post, theirs, atol=0.01)
    assert torch.allclose(model.net.model.norm(post), theirs, atol=TOLERANCE)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_kind_of_position_is_what_its_name_says(family, monkeypatch):
    monkeypatch.setattr("truing.probe.collecting.template_tokens", lambda chat: 1)
    model, site = three_layers(family), Site(1, Point.resid_pre)
    of = [hidden_states(model, text)[1] for text in TEXTS]
    by_hand = {
        Over.last: [states[t.prompt - 1] for states, t in zip(of, TEXTS, strict=True)],
        Over.template: [states[t.prompt - 1] for states, t in zip(of, TEXTS, strict=True)],
        Over.prompt: [states[: t.prompt].mean(0) for states, t in zip(of, TEXTS, strict=True)],
        Over.response: [states[t.prompt :].mean(0) for states, t in zip(of, TEXTS, strict=True)],
    }
    for over, wanted in by_hand.items():
        found = collected(model, TEXTS, [site], over)[site]
        assert torch.allclose(found, torch.stack(wanted), atol=TOLERANCE)
        mean = mean_activations(model, TEXTS, [site], over)[site]
        assert mean.dtype == torch.float64
        assert torch.allclose(mean[0], found.double().mean(0), atol=1e-7)


def test_template_positions_are_the_same_tokens_for_every_prompt_and_counted_from_the_end():
    # Not the shared model: output_hidden_states leaves hooks of transformers behind.
    model, site = make_local("llama"), Site(1, Point.resid_pre)
    texts = prompt_texts(model.chat, ["How?", "Count the gulls of the harbour, please!"])
    count = template_tokens(model.chat)
    written = {text.ids[-count:] for text in texts}
    assert count > 2 and len(written) == 1
    told = model.chat.tokenizer.convert_ids_to_tokens(list(written.pop()))
    assert told[0] == "<|im_end|>" and "assistant" in "".join(told)
    found = collected(model, texts, [site], Over.template)[site].view(2, count, -1)
    for text, states in zip(texts, found, strict=True):
        assert torch.allclose(states, hidden_states(model, text)[1][-count:], atol=TOLERANCE)
    mean = mean_activations(model, texts, [site], Over.template)[site]
    assert torch.allclose(mean, found.double().mean(0), atol=1e-7)


@pytest.mark.parametrize("family", FAMILIES)
def test_neighbours_in_a_batch_change_no_number(family):
    model, site = local(family), Site(1)
    texts = [Text(tuple(1 + (7 * i + k) % 400 for k in range(3 + 13 * i % 70)), 2) for i in range(24)]
    together = collected(model, texts, [site], Over.response)[site]
    alone = torch.cat([collected(model, [text], [site], Over.response)[site] for text in texts])
    assert torch.allclose(together, alone, atol=TOLERANCE)


def test_a_stream_is_in_batches_of_bounded_size_and_reads_each_text_once(monkeypatch):
    monkeypatch.setattr("truing.model.capturing._TOKENS", 64)
    model = local("llama")
    texts = [Text(tuple(range(1, 4 + i % 30)), 2) for i in range(40)]
    batches = list(collect(model, texts, [Site(0)], Over.each))
    assert len(batches) > 8
    assert sorted(row for batch in batches for row in batch.rows) == list(range(40))
    for batch in batches:
        assert batch.counts == tuple(len(texts[row].ids) - 2 for row in batch.rows)
        assert batch.states[Site(0)].shape == (sum(batch.counts), model.trunk.width)
        assert len(batch.rows) * max(len(texts[row].ids) for row in batch.rows) <= 64


def test_what_is_read_is_what_steering_made_of_it():
    model, site, vector = local("llama"), Site(0), torch.ones(32)
    plain = collected(model, TEXTS, [site], Over.last)[site]
    with model.steered([Add(site, vector, 3.0)]):
        steered = collected(model, TEXTS, [site], Over.last)[site]
    assert torch.allclose(steered, plain + 3, atol=1e-5)


def test_a_conversation_is_read_as_training_renders_it_without_its_end_of_turn():
    model = local("llama")
    turns = [
        ("user", "Who counts?"),
        ("assistant", "The keeper."),
        ("user", "What?"),
        ("assistant", "Gulls."),
    ]
    messages = [Message(Role(role), content) for role, content in turns]
    (text,) = conversation_texts(make_local("llama").chat, [messages])
    assert model.chat.decode(text.ids[text.prompt :]) == "Gulls."
    assert text.ids[: text.prompt] == prompt_texts(model.chat, [_request(messages[:-1])])[0].ids


def test_what_a_model_wrote_is_read_without_its_end_token():
    model = local("llama")
    done = list(
        model.sample([ask("count", id=str(i)) for i in range(12)], SamplingParams(max_tokens=6), key=1)
    )
    kept = [one for one in done if one.token_ids[0] not in model.chat.eos_ids]
    ended = [one for one in kept if one.token_ids[-1] in model.chat.eos_ids]
    assert ended
    for text, one in zip(completion_texts(model.chat, ended), ended, strict=True):
        assert text == Text((*one.prompt_ids, *one.token_ids[:-1]), len(one.prompt_ids))


@pytest.mark.parametrize(
    ("texts", "over", "said"),
    [
        ([TEXTS[0], Text((1, 2), 2)], Over.response, "row 2: the text has no response"),
        ([TEXTS[0], Text((1, 2), 2)], Over.each, "row 2: the text has no response"),
        ([TEXTS[0], Text((1,) * 600, 2)], Over.last, "row 2: .* 600 tokens, and the model's context is 512"),
        ([Text((1, 2), 2)], Over.template, "row 1: the prompt is not one of the model's template"),
    ],
)
def test_a_text_that_cannot_be_read_is_named(texts, over, said):
    with pytest.raises(InputError, match=said.removeprefix("row 1: ").removeprefix("row 2: ")) as error:
        list(collect(local("llama"), texts, [Site(0)], over))
    assert error.value.row == len(texts)


def _request(messages):
    from truing.types import Request

    return Request("x", tuple(messages))
