"""Two models on the same tokens, against a naive forward pass; and where a completion's answer begins."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model.chats import chat
from model.test_model_scoring import Largest
from model.tiny_local import local, make_local
from transformers import AutoModelForCausalLM

from truing.model import LocalModel, paired_kl
from truing.model.reasoning import CLOSE, split_reasoning
from truing.types import Fingerprint, Trace

PROMPTS = [[5, 9, 200], [7] * 40, [3], [40, 41, 42]]
COMPLETIONS = [[11, 12], [30] * 20, [], [400]]


def changed(model: LocalModel, *, rows: int | None = None) -> LocalModel:
    """The model with noise in its output head, which gets `rows` rows."""
    config = type(model.net.config)(**model.net.config.to_dict())
    config.vocab_size = rows or config.vocab_size
    net = AutoModelForCausalLM.from_config(config)
    make = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for (name, ours), (_, theirs) in zip(
            net.named_parameters(), model.net.named_parameters(), strict=True
        ):
            size = min(len(ours), len(theirs))
            ours[:size] = theirs[:size]
            if name == "lm_head.weight":
                ours += 0.1 * torch.randn(ours.shape, generator=make)
    return LocalModel(net, model.chat, Fingerprint("changed"))


def by_hand(model, prompt, completion):
    with torch.inference_mode():
        logits = model.net(torch.tensor([[*prompt, *completion]]), use_cache=False).logits[0].double()
    return logits.log_softmax(-1)[len(prompt) - 1 : -1]


@pytest.fixture(scope="module")
def pair() -> tuple[LocalModel, LocalModel]:
    model = make_local("llama", tie_word_embeddings=False)
    return model, changed(model)


def scored(pair, prompts=PROMPTS, completions=COMPLETIONS):
    return paired_kl(pair[0].trunk, pair[1].trunk, prompts, completions)


def test_every_position_is_that_of_a_naive_forward_pass_in_the_order_asked(pair):
    for prompt, completion, found in zip(PROMPTS, COMPLETIONS, scored(pair), strict=True):
        p, q = (by_hand(model, prompt, completion) for model in pair)
        assert found.kl == pytest.approx(tuple((p.exp() * (p - q)).sum(-1).tolist()), abs=1e-5)
        assert all(value > 1e-3 for value in found.kl)
        at = torch.arange(len(completion))
        assert found.candidate == pytest.approx(p[at, completion].tolist(), abs=1e-4)
        assert found.baseline == pytest.approx(q[at, completion].tolist(), abs=1e-4)
    assert scored(pair, [], []) == []


def test_families_that_change_their_logits_are_scored_with_the_change():
    model = local("gemma3")
    found = scored((model, model))
    assert found[0].candidate == pytest.approx(
        by_hand(model, PROMPTS[0], COMPLETIONS[0])[[0, 1], COMPLETIONS[0]].tolist(), abs=1e-4
    )


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2"])
def test_a_model_does_not_diverge_from_itself_at_all(family):
    first, second = local(family), make_local(family)
    for found in scored((first, second)):
        assert found.kl == (0.0,) * len(found.kl)
        assert found.candidate == found.baseline


def test_dropout_is_off_in_both_and_their_modes_are_given_back():
    pair = [make_local("gpt2", attn_pdrop=0.5, resid_pdrop=0.5) for _ in range(2)]
    for model in pair:
        model.net.train()
    assert set(scored(pair)[1].kl) == {0.0}
    assert all(model.net.training for model in pair)


def test_the_tables_of_both_models_exist_for_a_few_positions_only(pair):
    prompts, completions = [[5] * 100] * 8, [[6] * 300] * 8
    with Largest() as mode:
        scored(pair, prompts, completions)
    assert mode.numel <= 8 * 400 * 64  # the widest activation; all tables would be 8 * 300 * 512


def test_a_head_that_is_padded_to_more_rows_is_compared_over_the_ids_that_both_have(pair):
    wide, size = changed(pair[0], rows=640), pair[0].net.config.vocab_size
    both = (wide, pair[1])
    p, q = (by_hand(model, PROMPTS[0], COMPLETIONS[0])[:, :size].log_softmax(-1) for model in both)
    wanted = (p.exp() * (p - q)).sum(-1).tolist()
    assert scored(both)[0].kl == pytest.approx(wanted, abs=1e-5)
    with pytest.raises(ValueError, match=f"sequence 0 has the token 600, and a model has {size} of them"):
        scored(both, [[1]], [[600]])


def test_what_the_baseline_rules_out_is_infinite_and_what_both_rule_out_is_not():
    model = make_local("llama", tie_word_embeddings=False)
    strict = changed(model)

    def ruling_out(*ids):
        def hook(module, inputs, logits):
            return logits.index_fill(-1, torch.tensor(ids), -torch.inf)

        return hook

    with torch.no_grad():
        strict.net.lm_head.register_forward_hook(ruling_out(300))
    found = scored((model, strict), [[5, 6]], [[7, 300]])[0]
    assert found.kl == (math.inf, math.inf)
    assert math.isfinite(found.baseline[0]) and found.baseline[1] == -math.inf
    model.net.lm_head.register_forward_hook(ruling_out(300))
    found = scored((model, strict), [[5, 6]], [[7, 8]])[0]
    assert all(0 < value < math.inf for value in found.kl)


@pytest.mark.parametrize("side", [0, 1])
def test_a_sequence_with_nan_is_nan_and_its_neighbours_are_not(side):
    pair = [make_local("llama", tie_word_embeddings=False) for _ in range(2)]
    with torch.no_grad():
        pair[side].net.get_input_embeddings().weight[200] = torch.nan
    found = scored(pair)
    assert all(map(math.isnan, (*found[0].kl, *found[0].candidate, *found[0].baseline)))
    assert found[1].kl == (0.0,) * 20


@pytest.mark.parametrize(
    ("prompts", "completions", "why"),
    [
        ([[]], [[3]], "sequence 0 has an empty prompt"),
        ([[1]], [], "1 prompts and 0 completions"),
        ([[1], [1] * 500], [[1], [1] * 20], "sequence 1 has 519 tokens, the model's context is 512"),
    ],
)
def test_what_cannot_be_scored_is_said_in_a_sentence(pair, prompts, completions, why):
    with pytest.raises(ValueError, match=why):
        scored(pair, prompts, completions)


PIECES = st.lists(st.sampled_from(["<think>", "</think>", "gulls ", "é", "\n"]), max_size=10).map("".join)


@pytest.mark.parametrize(("template", "opened"), [("chatml", False), ("qwen3", False), ("deepseek_r1", True)])
@given(text=PIECES)
@settings(max_examples=40, deadline=None)
def test_the_answer_begins_after_the_first_token_that_closes_the_trace(template, opened, text):
    format = _formats[template]
    ids = format.tokenizer(text, add_special_tokens=False).input_ids
    start, trace = format.answer_start(ids), split_reasoning(text, opened=opened).trace
    if trace in (Trace.none, Trace.unclosed):
        assert start == (0 if trace is Trace.none else len(ids))
        return
    closed = [CLOSE in format.decode(ids[:n]) for n in range(len(ids) + 1)]
    assert start == closed.index(True)


_formats = {name: chat(name) for name in ("chatml", "qwen3", "deepseek_r1")}


def test_an_end_token_belongs_to_the_answer_and_a_prefill_may_have_opened_the_trace():
    format = _formats["chatml"]
    end = format.tokenizer.eos_token_id
    ids = [*format.tokenizer("<think>a</think>b", add_special_tokens=False).input_ids, end]
    head = format.tokenizer("<think>a</think>", add_special_tokens=False).input_ids
    assert format.answer_start(ids) == len(head)
    assert format.answer_start([end]) == 0
    words = format.tokenizer("a while", add_special_tokens=False).input_ids
    assert format.answer_start(words) == 0
    assert format.answer_start(words, prefill="<think>so") == len(words)
