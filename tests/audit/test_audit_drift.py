"""Drift: nothing where nothing moved, the naive number where something did, and no evidence lost in silence."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from model.tiny import make_config, make_tokenizer
from transformers import AutoModelForCausalLM

from truing.audit import Drift, DriftPart, measure_drift, tokenizer_mismatch, why_no_drift
from truing.audit.drift import OVERALL, DriftRow, summarise_drift
from truing.audit.drift_measuring import drift_items
from truing.model import ChatFormat, EndpointModel, LocalModel
from truing.run import Journal
from truing.types import Expect, Fingerprint, InputError, Item, ask, dumps, loads

torch.set_num_threads(1)


def make(name: str = "a", *, noise: float = 0.0, template: str = "chatml", **changes: object) -> LocalModel:
    """A tiny model that ends one text in eight tokens or so; with `noise` in its output head."""
    tokenizer = make_tokenizer(chat_template=template)
    config = make_config("llama", tokenizer, tie_word_embeddings=False, **changes)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        net = AutoModelForCausalLM.from_config(config)
        weight = net.get_output_embeddings().weight
        weight += noise * weight.std() * torch.randn(weight.shape)
    chat = ChatFormat(tokenizer, eos_ids=frozenset(range(0, 470, 8)))
    return LocalModel(net, chat, Fingerprint(f"{name}{noise}", template=chat.template_digest))


def item(i: int, dimension: str = "safety", **more: str) -> Item:
    request = ask("The keeper counts gulls. " * (1 + i % 5) + str(i), id=f"i{i}")
    return Item(f"i{i}", request, "s", dimension, Expect.comply, **more)


ITEMS = [item(i, ("safety", "privacy")[i % 2]) for i in range(48)]


def measured(candidate: LocalModel, baseline: LocalModel, items: list[Item] = ITEMS, **more) -> list[Drift]:
    settings = {"per_dimension": 24, "key": 3, "max_tokens": 12}
    return measure_drift(candidate, baseline, items, **(settings | more))


@pytest.fixture(scope="module")
def moved() -> tuple[LocalModel, LocalModel]:
    return make("candidate", noise=0.2), make("baseline")


@pytest.fixture(scope="module")
def drifts(moved) -> list[Drift]:
    return measured(*moved)


def test_a_model_does_not_drift_from_itself_by_any_estimate() -> None:
    for drift in measured(make(), make("copy")):
        for part in (drift.whole, drift.answer):
            for name in ("exact", "k1", "k3"):
                assert getattr(part, name).value == getattr(part, f"{name}_per_token").value == 0
                assert getattr(part, name).high == 0
        assert drift.p95 == 0


def test_one_record_for_each_dimension_and_one_for_all(drifts) -> None:
    assert [d.dimension for d in drifts] == ["safety", "privacy", OVERALL]
    assert [d.prompts for d in drifts] == [24, 24, 48]
    safety, privacy, overall = drifts
    assert overall.whole.exact.value == pytest.approx(
        (safety.whole.exact.value + privacy.whole.exact.value) / 2
    )
    tokens = safety.whole.tokens, privacy.whole.tokens
    pooled = np.average([d.whole.exact_per_token.value for d in (safety, privacy)], weights=tokens)
    assert overall.whole.exact_per_token.value == pytest.approx(pooled)


def test_what_moved_is_seen_by_all_estimates_within_their_errors(drifts) -> None:
    for drift in drifts:
        whole = drift.whole
        assert whole.exact.low > 0
        for estimate in (whole.k1, whole.k3):
            assert abs(estimate.value - whole.exact.value) < 4 * estimate.error
        assert whole.exact.error < whole.k1.error
        assert whole.exact_per_token.value * whole.tokens == pytest.approx(whole.exact.value * drift.prompts)


def test_the_drift_of_the_first_token_is_that_of_a_naive_forward_pass(moved) -> None:
    totals = []
    for asked in ITEMS:
        ids = torch.tensor([moved[0].chat.prompt_ids(asked.request)])
        with torch.inference_mode():
            p, q = (model.net(ids).logits[0, -1].double().log_softmax(-1) for model in moved)
        totals.append((p.exp() * (p - q)).sum().item())
    found = measured(*moved, max_tokens=1)[-1]
    assert found.whole.exact.value == pytest.approx(np.mean(totals), rel=1e-4)
    assert found.whole.exact.error == pytest.approx(np.std(totals, ddof=1) / math.sqrt(48), rel=1e-3)
    assert found.p95 == pytest.approx(sorted(totals)[math.ceil(0.95 * 48) - 1], rel=1e-4)
    most = sorted(zip(totals, ITEMS, strict=True), key=lambda pair: -pair[0])[:10]
    assert [p.id for p in found.largest] == [i.id for _, i in most]


def test_the_end_token_counts(moved) -> None:
    rows = list(moved[0].sample([i.request for i in ITEMS], params(12), key=3))
    assert measured(*moved)[-1].whole.tokens == sum(len(row.token_ids) for row in rows)
    assert any(row.token_ids[-1] in moved[0].chat.eos_ids for row in rows)


def params(max_tokens: int):
    from truing.types import SamplingParams

    return SamplingParams(temperature=1.0, max_tokens=max_tokens)


@pytest.fixture(scope="module")
def traced() -> Drift:
    """The prompts open a trace, and the models close it after a few tokens more often than not."""
    candidate, baseline = make("a", noise=0.2, template="deepseek_r1"), make("b", template="deepseek_r1")
    close = candidate.chat.tokenizer.convert_tokens_to_ids("</think>")

    def likely(module, inputs, logits):
        return logits + 6 * torch.nn.functional.one_hot(torch.tensor(close), logits.shape[-1])

    for model in (candidate, baseline):
        model.net.lm_head.register_forward_hook(likely)
    return measured(candidate, baseline, max_tokens=8)[-1]


def test_trace_and_answer_add_up_to_the_whole(traced: Drift) -> None:
    whole, trace, answer = traced.whole, traced.trace, traced.answer
    assert traced.traced == 48 and min(trace.tokens, answer.tokens) > 20
    assert trace.tokens + answer.tokens == whole.tokens
    for name in ("exact", "k1", "k3"):
        parts = [getattr(part, name).value for part in (trace, answer)]
        assert sum(parts) == pytest.approx(getattr(whole, name).value, rel=1e-12)
    assert trace.exact.value > 0 and answer.exact.value > 0


def test_a_completion_without_a_trace_is_all_answer(drifts) -> None:
    for drift in drifts:
        assert drift.traced == drift.trace.tokens == 0
        assert drift.answer == drift.whole
        assert drift.trace.exact.value == 0 and drift.trace.exact_per_token.value is None


def test_what_was_cut_off_is_counted_and_said(traced: Drift) -> None:
    assert 0 < traced.truncated < 48
    assert any(f"{traced.truncated} of 48 completions were cut off" in flag for flag in traced.flags)


def test_prompts_are_drawn_by_key_and_evenly_over_dimensions() -> None:
    items = [item(i, "big" if i < 40 else "small") for i in range(44)]
    drawn = drift_items(items, 6, key=1)
    assert Counter(i.dimension for i in drawn) == {"big": 6, "small": 4}
    assert drawn == drift_items(list(items), 6, key=1) != drift_items(items, 6, key=2)
    assert {i.id for i in drawn} <= {i.id for i in drift_items(items, 9, key=1)}


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("truing.model.local.BATCH_ROWS", 5)


def test_a_run_that_lost_half_of_its_journal_ends_with_the_same_numbers(
    moved, small_batches: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, half = tmp_path / "whole.jsonl", tmp_path / "half.jsonl"
    calm = measured(*moved, journal=Journal(whole))
    lines = whole.read_bytes().splitlines(keepends=True)
    half.write_bytes(b"".join(lines[:23]) + lines[23][:9])  # in the middle of a batch, and of a line
    asked: list[str] = []
    sample = LocalModel.sample

    def counting(self, requests, *more, **named):
        asked.extend(request.id for request in requests)
        return sample(self, requests, *more, **named)

    monkeypatch.setattr(LocalModel, "sample", counting)
    assert measured(*moved, journal=Journal(half)) == calm == measured(*moved)
    assert half.read_bytes() == whole.read_bytes()
    assert len(asked) == 48 - 20 + 48  # four whole batches of five were kept


def test_a_finished_journal_is_not_measured_again(
    moved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "drift.jsonl")
    first = measured(*moved, journal=journal)
    monkeypatch.setattr(LocalModel, "sample", lambda *_, **__: pytest.fail("nothing is missing"))
    assert measured(*moved, journal=journal) == first


def test_rows_of_other_models_are_refused(moved, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "drift.jsonl")
    measured(*moved, journal=journal, per_dimension=2)
    with pytest.raises(InputError, match=r"drift\.jsonl: the drift so far was measured on other models"):
        measured(make("another"), moved[1], journal=journal, per_dimension=2)


def relabelled(model: LocalModel, old: str, new: str) -> LocalModel:
    """The model with one token's text changed."""
    from tokenizers import Tokenizer

    tokenizer = make_tokenizer()
    text = tokenizer.backend_tokenizer.to_str().replace(f'"{old}"', f'"{new}"')
    tokenizer._tokenizer = Tokenizer.from_str(text)
    return LocalModel(model.net, ChatFormat(tokenizer, eos_ids=frozenset()), Fingerprint("relabelled"))


def test_models_with_two_tokenizers_are_refused_with_what_differs_and_what_to_do(moved) -> None:
    candidate, other = moved[0], make(template="zephyr")
    sentence = tokenizer_mismatch(candidate, other)
    sizes = [len(model.chat.tokenizer) for model in (candidate, other)]
    assert f"the candidate's tokenizer has {sizes[0]} tokens and the baseline's {sizes[1]}" in sentence
    assert sentence.endswith("name a baseline that shares the candidate's tokenizer, or go without drift.")
    with pytest.raises(InputError) as refused:
        measured(candidate, other)
    assert str(refused.value) == sentence == why_no_drift(candidate, other)


def test_the_first_token_that_differs_is_named(moved) -> None:
    id = moved[0].chat.tokenizer.convert_tokens_to_ids("~")
    assert f"token {id} is '~' for the candidate and '☃' for the baseline" in tokenizer_mismatch(
        moved[0], relabelled(moved[0], "~", "☃")
    )


def test_a_control_token_that_is_plain_text_elsewhere_is_a_difference(moved) -> None:
    other = make()
    tokenizer = other.chat.tokenizer
    id = tokenizer.convert_tokens_to_ids("<tool_call>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<tool_call>"]})
    assert tokenizer.convert_tokens_to_ids("<tool_call>") == id
    assert (
        f"token {id} is '<tool_call>' for the candidate and the control token '<tool_call>'"
        in tokenizer_mismatch(moved[0], other)
    )


def test_one_tokenizer_is_no_obstacle_and_an_endpoint_is(moved) -> None:
    assert why_no_drift(*moved) == tokenizer_mismatch(*moved) == ""
    endpoint = EndpointModel.from_ref("endpoint:http://127.0.0.1:9/v1#m")
    for pair in ((endpoint, moved[0]), (moved[0], endpoint)):
        assert (
            why_no_drift(*pair)
            == "An endpoint gives no log-probabilities of given text, so drift is not measured."
        )


def test_a_prompt_that_the_baseline_has_no_room_for_is_counted_and_not_averaged(moved) -> None:
    room = 70
    drift = measured(moved[0], make("short", max_position_embeddings=room))[-1]
    lengths = [len(moved[0].chat.prompt_ids(i.request)) for i in ITEMS]
    assert drift.failed == sum(length + 12 > room for length in lengths)
    assert 0 < drift.failed < 48 and drift.prompts == 48 - drift.failed
    assert f"{drift.failed} of 48 prompts were not measured, most often: the prompt has" in drift.flags[0]


def test_a_baseline_without_numbers_measures_nothing() -> None:
    broken = make("broken")
    with torch.no_grad():
        broken.net.lm_head.weight[:] = torch.nan
    drift = measured(make(), broken)[-1]
    assert (drift.prompts, drift.failed, drift.p95, drift.largest) == (0, 48, None, ())
    assert drift.whole.exact.value is drift.whole.exact_per_token.value is None
    assert "is not a number" in drift.flags[0]


def test_where_the_baseline_rules_something_out_the_divergence_is_infinite_and_reported_apart(moved) -> None:
    strict = make("strict")
    strict.net.lm_head.register_forward_hook(
        lambda module, inputs, logits: logits.index_fill(-1, torch.arange(100, 110), -torch.inf)
    )
    drift = measured(moved[0], strict)[-1]
    assert drift.whole.ruled_out == drift.whole.tokens > drift.whole.drawn_ruled_out > 0
    assert drift.p95 == math.inf and {p.kl for p in drift.largest} == {math.inf}
    assert drift.infinite == 48 and drift.whole.exact.value is drift.whole.exact_per_token.value is None
    assert drift.whole.k3_per_token.value > 0
    assert any("gives no probability to what the candidate can write" in flag for flag in drift.flags)
    assert any("have no probability under the baseline" in flag for flag in drift.flags)
    assert loads(Drift, dumps(drift)) == drift


def test_an_id_that_no_token_has_is_a_prompt_not_measured() -> None:
    wide = make("wide", vocab_size=4000)
    drift = measured(wide, make("b"), max_tokens=4)[-1]
    assert drift.failed > 0 and "stands for no token" in drift.flags[0]


def test_another_chat_format_of_the_same_tokenizer_is_measured_and_said(moved) -> None:
    other = make("other")
    other.chat.template_digest = "another"
    assert any("which is not the baseline's own" in flag for flag in measured(moved[0], other)[-1].flags)
    assert not any("chat format" in flag for flag in measured(*moved)[-1].flags)


def row(id: str, kl: float, tokens: int = 4, **more) -> DriftRow:
    pair = {"exact": (0.0, kl), "k1": (0.0, kl), "k3": (0.0, kl), "tokens": (0, tokens)}
    return DriftRow(id, "safety", more.pop("cluster", id), "p", "q", **(pair | more))


def whole(*rows: DriftRow) -> DriftPart:
    return summarise_drift(rows)[-1].whole


def test_errors_are_those_of_the_textbook() -> None:
    part = whole(row("a", 1.0, 10), row("b", 2.0, 10), row("c", 6.0, 20))
    assert part.exact.value == 3 and part.exact.error == pytest.approx(math.sqrt(7 / 3))
    assert part.exact_per_token.value == pytest.approx(9 / 40)
    residuals = np.array([1 - 2.25, 2 - 2.25, 6 - 4.5])
    wanted = math.sqrt((residuals**2).sum() * 3 / 2) / 40
    assert part.exact_per_token.error == pytest.approx(wanted)
    assert part.exact.high == pytest.approx(3 + 4.302653 * math.sqrt(7 / 3))
    assert part.exact.low == 0  # a divergence is not negative, though the interval of k1 may be
    assert part.k1.low < 0


def test_prompts_of_one_cluster_count_as_one() -> None:
    alone = [row(f"{i}", float(i % 3)) for i in range(12)]
    doubled = [replace(r, id=r.id + c, cluster=r.cluster) for r in alone for c in "xy"]
    factor = whole(*doubled).exact.error / whole(*alone).exact.error
    assert factor == pytest.approx(1)
    single = summarise_drift([row("a", 1.0, cluster="c"), row("b", 2.0, cluster="c")])[-1]
    assert single.whole.exact.error is single.whole.exact.low is None and single.whole.exact.value == 1.5
    assert any("no intervals" in flag for flag in single.flags)


def test_a_negative_k1_is_flagged() -> None:
    drift = summarise_drift([row("a", 0.2, k1=(0.0, -0.5)), row("b", 0.2, k1=(0.0, 0.1))])[-1]
    assert drift.whole.k1.value == pytest.approx(-0.2)
    assert any("k1 of the whole is negative (-0.2 nats)" in flag for flag in drift.flags)


def test_what_is_infinite_is_in_no_mean_and_no_denominator() -> None:
    part = whole(row("a", 3.0, 4, ruled_out=(0, 1)), row("b", 5.0, 5), row("c", 6.0, 6))
    assert part.exact.value == 5.5 and part.k1.value == pytest.approx(14 / 3)
    assert part.exact_per_token.value == 1 and part.ruled_out == 1
    assert part.k1_per_token.value == pytest.approx(14 / 15)


def test_where_every_completion_is_infinite_there_is_no_mean_that_would_look_small() -> None:
    drift = summarise_drift([row("a", 0.0, 1, ruled_out=(0, 1)), row("b", 0.0, 2, ruled_out=(0, 2))])[-1]
    assert drift.whole.exact.value is drift.whole.exact_per_token.value is None
    assert (drift.infinite, drift.p95) == (2, math.inf)


def test_nothing_measured_is_no_number() -> None:
    assert summarise_drift([])[-1].whole.exact.value is None
    failed = summarise_drift([row("a", 0.0, error="the disk melted.")])[-1]
    assert failed.p95 is None and "the disk melted" in failed.flags[0]
