"""Samples that share their prompts' keys and values against the decoding in which each has its own."""

from itertools import takewhile

import pytest
import torch
import transformers as hf
from model.tiny_local import ALL, local, make_local, requests

from truing.model import Add, LocalModel, Site, Trunk, decode, forked
from truing.model.forked import forks
from truing.types import Completion, Request, SamplingParams, Stop, ask

PLAIN = ("gemma3", "mistral+window", "phi3+window")
"""Sliding windows."""
FAMILIES = ("llama", "qwen3", "gemma3", "gpt_neox", "gpt2")

Rows = dict[tuple[str, int], Completion]


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """Prompts held, rows, and tokens of each row of every shared attention; however little sharing spares."""
    seen: list[tuple[int, int, int]] = []
    attention = forked.forked_attention

    def noting(module, query, key, value, mask, *, prompts, **more):
        seen.append((len(prompts.layers[0][0]), len(key), key.shape[2]))
        return attention(module, query, key, value, mask, prompts=prompts, **more)

    monkeypatch.setattr(decode, "_WORTH_SHARING", 0)
    monkeypatch.setattr(forked, "forked_attention", noting)
    return seen


def sampled(model: LocalModel, asked: list[Request], params: SamplingParams) -> Rows:
    return {(row.request_id, row.sample): row for row in model.sample(asked, params, key=2)}


def by_themselves(
    model: LocalModel, asked: list[Request], params: SamplingParams, monkeypatch: pytest.MonkeyPatch
) -> Rows:
    """The same samples, with the keys and values of its prompt for every row."""
    with monkeypatch.context() as patch:
        patch.setattr(decode, "forks", lambda _: False)
        return sampled(model, asked, params)


def assert_same(mine: Rows, theirs: Rows) -> None:
    """The same tokens at the same log-probabilities; one row may part where its quantile is between two tokens."""
    assert mine.keys() == theirs.keys()
    pairs = [(row, theirs[name]) for name, row in mine.items()]
    assert sum(a.token_ids != b.token_ids for a, b in pairs) <= (len(pairs) > 10)
    for a, b in pairs:
        alike = list(takewhile(lambda both: both[0] == both[1], zip(a.token_ids, b.token_ids, strict=False)))
        assert a.logprobs[: len(alike)] == pytest.approx(b.logprobs[: len(alike)], abs=1e-5)
        if a.token_ids == b.token_ids:
            assert (a.stop, a.text) == (b.stop, b.text)


@pytest.mark.parametrize("name", ALL)
def test_models_whose_attention_is_plain_and_full_can_share(name: str) -> None:
    assert forks(local(name).trunk) == (name not in PLAIN)


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_of_prompts_of_different_lengths_are_the_same(family, shapes, monkeypatch) -> None:
    """Rows end at different steps: one token in eight ends a text."""
    model, params = local(family), SamplingParams(max_tokens=20, n=5)
    rows = sampled(model, requests(7), params)
    assert_same(rows, by_themselves(model, requests(7), params, monkeypatch))
    assert bool(shapes) == (family not in PLAIN)
    assert len({len(row.token_ids) for row in rows.values()}) > 8


@pytest.mark.parametrize("count", [1, 6])
def test_one_sample_of_each_prompt_is_the_same(count, shapes, monkeypatch) -> None:
    model, params = local("qwen3"), SamplingParams(max_tokens=12)
    assert_same(
        sampled(model, requests(count), params), by_themselves(model, requests(count), params, monkeypatch)
    )
    assert shapes


def test_prompts_of_equal_length_need_no_mask(shapes, monkeypatch) -> None:
    model, params = local("llama"), SamplingParams(max_tokens=12, n=4)
    asked = [ask("the gulls", id="a"), ask("her gulls", id="b"), ask("the gulls", id="c")]
    assert len({len(model.chat.prompt_ids(one)) for one in asked}) == 1
    assert_same(sampled(model, asked, params), by_themselves(model, asked, params, monkeypatch))
    assert shapes[0][0] == 2, "the same prompt asked twice is one"


def test_rows_hold_what_they_wrote_and_prompts_without_a_row_are_forgotten(shapes) -> None:
    model = local("llama")
    rows = sampled(model, requests(12), SamplingParams(max_tokens=20, n=2))
    longest = max(len(row.token_ids) for row in rows.values())
    layers = len(model.trunk.layers)
    steps = shapes[::layers]
    assert [tokens for *_, tokens in steps] == list(range(1, longest))
    assert [count for _, count, _ in steps] == [
        sum(len(row.token_ids) > step for row in rows.values()) for step in range(1, longest)
    ]
    for held, _, step in steps:
        alive = {name for (name, _), row in rows.items() if len(row.token_ids) > step}
        assert len(alive) <= held < max(2 * len(alive), 2)


def test_when_every_row_ends_at_once_nothing_more_is_read(shapes) -> None:
    model = make_local("llama")
    model.chat.eos_ids = frozenset(range(model.trunk.vocabulary))
    shapes.clear()  # of the measurement
    rows = sampled(model, requests(3), SamplingParams(max_tokens=9, n=3))
    assert {(len(row.token_ids), row.stop) for row in rows.values()} == {(1, Stop.eos)}
    assert not shapes


def test_a_prompt_that_makes_no_numbers_leaves_the_others_alone(shapes) -> None:
    model = make_local("llama", tie_word_embeddings=False)
    asked, params = [*requests(3), ask("\u00e9", id="poison")], SamplingParams(max_tokens=6, n=3)
    clean = sampled(model, asked, params)
    others = {
        t for (name, _), row in clean.items() if name != "poison" for t in (*row.prompt_ids, *row.token_ids)
    }
    poison = next(t for t in clean["poison", 0].prompt_ids if t not in others)
    with torch.no_grad():
        model.net.get_input_embeddings().weight[poison] = torch.nan
    rows = sampled(model, asked, params)
    assert all(rows.pop(("poison", k)).stop is Stop.error for k in range(3))
    assert all(rows[name] == clean[name] for name in rows)


def test_steering_reaches_rows_that_share_their_prompts(shapes, monkeypatch) -> None:
    model, params = local("llama"), SamplingParams(max_tokens=8, n=3)
    vector = torch.randn(32, generator=torch.Generator().manual_seed(1))
    plain = sampled(model, requests(3), params)
    with model.steered([Add(Site(0), vector, 3.0)]):
        rows = sampled(model, requests(3), params)
        assert_same(rows, by_themselves(model, requests(3), params, monkeypatch))
    assert {n: row.token_ids for n, row in rows.items()} != {n: row.token_ids for n, row in plain.items()}


@pytest.mark.parametrize(("samples", "shares"), [(2, False), (8, True)])
def test_few_tokens_are_not_worth_sharing(samples, shares, monkeypatch) -> None:
    """A prompt of some 200 tokens: sharing pays from about a thousand repeated ones on."""
    used = []
    monkeypatch.setattr(decode, "forks", lambda trunk: bool(used.append(1)) or forks(trunk))
    asked = [ask("The keeper counts gulls. " * 28, id="x")]
    model = local("llama")
    assert 160 < len(model.chat.prompt_ids(asked[0])) < 400
    sampled(model, asked, SamplingParams(max_tokens=2, n=samples))
    assert bool(used) == shares


FULL = {"layer_types": ["full_attention"] * 2, "head_dim": 8, "num_key_value_heads": 2}
ODD = {
    "a soft cap on scores": (hf.Gemma2Config, FULL | {"query_pre_attn_scalar": 8}),
    "a sink": (hf.GptOssConfig, FULL | {"num_local_experts": 2, "num_experts_per_tok": 1}),
    "distances in the scores": (hf.BloomConfig, {}),
    "a state": (hf.MambaConfig, {"state_size": 4}),
}


@pytest.mark.parametrize("what", ODD)
def test_attention_that_is_more_than_products_is_not_shared(what, caplog) -> None:
    kind, more = ODD[what]
    config = kind(
        vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        bos_token_id=1, eos_token_id=1, pad_token_id=0, **more,
    )  # fmt: skip
    torch.manual_seed(0)
    assert not forks(Trunk(hf.AutoModelForCausalLM.from_config(config).eval()))
    assert "setting its attention implementation" not in caplog.text
