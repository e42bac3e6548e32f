"""How completions are drawn, and how they end."""

import math
from collections import Counter

import pytest
import torch
from model.tiny_local import local, make_local, requests
from scipy.stats import chisquare

from truing.model.batching import length_buckets
from truing.model.decode import Ends, Row, decode
from truing.types import Completion, InputError, SamplingParams, Stop, ask


def sampled(model, asked, params, key=1) -> dict[tuple[str, int], Completion]:
    return {(row.request_id, row.sample): row for row in model.sample(asked, params, key=key)}


def tokens(rows) -> dict:
    return {name: row.token_ids for name, row in rows.items()}


def spy_on_batches(model, monkeypatch) -> list[tuple[int, int]]:
    """The shape [B, T] of every forward pass from now on."""
    shapes, hidden = [], model.trunk.hidden

    def noting(batch, cache=None):
        shapes.append(tuple(batch.ids.shape))
        return hidden(batch, cache)

    monkeypatch.setattr(model.trunk, "hidden", noting)
    return shapes


def test_a_draw_does_not_depend_on_the_order_of_requests_or_on_the_number_of_samples():
    asked, three = requests(9), SamplingParams(max_tokens=10, n=3)
    rows = sampled(local("llama"), asked, three)
    assert tokens(sampled(local("llama"), asked[::-1], three)) == tokens(rows)
    one = sampled(local("llama"), asked, SamplingParams(max_tokens=10))
    assert tokens(one) == {name: ids for name, ids in tokens(rows).items() if name[1] == 0}
    assert len(set(tokens(rows).values())) > 20, "samples differ"


def test_equal_prompts_with_different_ids_are_drawn_apart_and_keys_change_everything():
    asked = [ask("the gulls", id="a"), ask("the gulls", id="b")]
    params = SamplingParams(max_tokens=10)
    rows = tokens(sampled(local("llama"), asked, params))
    assert rows["a", 0] != rows["b", 0]
    assert tokens(sampled(local("llama"), asked, params, key=2)) != rows


def test_drawn_tokens_are_as_frequent_as_the_distribution_says():
    model = local("llama")
    rows = sampled(model, [ask("the gulls", id="x")], SamplingParams(temperature=0.25, max_tokens=1, n=3000))
    prompt = rows["x", 0].prompt_ids
    with torch.inference_mode():
        logits = model.net(torch.tensor([prompt])).logits[0, -1]
    wanted = 3000 * (logits / 0.25).softmax(-1).double()
    found = torch.zeros(len(wanted), dtype=torch.float64)
    for row in rows.values():
        found[row.token_ids[0]] += 1
    common = wanted >= 5
    observed = [*found[common].tolist(), found[~common].sum().item()]
    expected = torch.tensor([*wanted[common].tolist(), wanted[~common].sum().item()]).double()
    assert common.sum() > 10
    assert chisquare(observed, (expected * 3000 / expected.sum()).numpy()).pvalue > 0.01


def test_greedy_takes_the_likeliest_token_and_reports_its_probability_at_temperature_one():
    model = local("llama")
    row = sampled(model, [ask("the gulls", id="x")], SamplingParams(temperature=0, max_tokens=8))["x", 0]
    with torch.inference_mode():
        logits = model.net(torch.tensor([[*row.prompt_ids, *row.token_ids]])).logits[0]
    table = logits[len(row.prompt_ids) - 1 : -1].log_softmax(-1)
    assert table.argmax(-1).tolist() == list(row.token_ids)
    assert torch.allclose(table.amax(-1), torch.tensor(row.logprobs), atol=1e-4)


def test_of_equally_likely_tokens_greedy_takes_the_lowest_id():
    model = make_local("llama", tie_word_embeddings=False)
    torch.nn.init.zeros_(model.net.get_output_embeddings().weight)
    row = sampled(model, [ask("a", id="x")], SamplingParams(temperature=0, max_tokens=3))["x", 0]
    assert set(row.token_ids) == {0}
    assert row.logprobs[0] == pytest.approx(-math.log(model.net.config.vocab_size), abs=1e-5)


def test_a_row_ends_at_any_of_several_end_tokens_which_it_reports_and_does_not_say():
    model = local("llama")
    rows = sampled(model, requests(16), SamplingParams(max_tokens=20))
    ended = [row for row in rows.values() if row.stop is Stop.eos]
    assert len(ended) > 8
    assert len({row.token_ids[-1] for row in ended}) > 3
    for row in rows.values():
        assert [t in model.chat.eos_ids for t in row.token_ids[:-1]] == [False] * (len(row.token_ids) - 1)
        assert (row.token_ids[-1] in model.chat.eos_ids) == (row.stop is Stop.eos)
        said = row.token_ids[:-1] if row.stop is Stop.eos else row.token_ids
        assert row.text == model.chat.decode(said)
        assert row.usage.completion_tokens == len(row.token_ids) == len(row.logprobs)
        assert row.usage.prompt_tokens == len(row.prompt_ids)
        assert (row.stop is Stop.length) == (len(row.token_ids) == 20 and row.stop is not Stop.eos)


def test_rows_that_ended_leave_the_batch(monkeypatch):
    shapes = spy_on_batches(local("llama"), monkeypatch)
    rows = sampled(local("llama"), requests(16), SamplingParams(max_tokens=20))
    lengths = [len(row.token_ids) for row in rows.values()]
    steps = [shape for shape in shapes if shape[1] == 1]
    assert [b for b, _ in steps] == [sum(n > step for n in lengths) for step in range(1, max(lengths))]


def test_a_prompt_is_read_once_for_all_its_samples(monkeypatch):
    shapes = spy_on_batches(local("llama"), monkeypatch)
    rows = sampled(local("llama"), [ask("count the gulls", id="x")], SamplingParams(max_tokens=2, n=12))
    assert shapes[0] == (1, len(rows["x", 0].prompt_ids))
    assert shapes[1][1] == 1


def test_samples_of_a_shared_prefill_are_those_of_separate_ones():
    model, params = local("gemma3"), SamplingParams(max_tokens=12, n=5)
    rows = sampled(model, requests(2), params)
    ends = Ends(model.chat.eos_ids, (), model.chat.decode)
    for (item, sample), row in rows.items():
        with torch.inference_mode():
            alone = decode(model.trunk, [Row(row.prompt_ids, item, sample)], params, ends, key=1)[0]
        assert tuple(alone.token_ids) == row.token_ids
        assert alone.logprobs == pytest.approx(row.logprobs, abs=1e-4)


def test_logits_are_made_for_the_last_prompt_token_only(monkeypatch):
    model, sizes = local("llama"), []
    logits = model.trunk.logits
    monkeypatch.setattr(
        model.trunk, "logits", lambda hidden: sizes.append(hidden.shape[:-1]) or logits(hidden)
    )
    sampled(model, requests(4), SamplingParams(max_tokens=4))
    assert sizes[0] == (4,)
    assert all(len(size) == 1 for size in sizes)


def test_a_stop_string_ends_the_text_before_it_and_the_tokens_right_after_it():
    model = make_local("llama")
    asked = requests(12)
    free = sampled(model, asked, SamplingParams(max_tokens=40))
    # A character that random models write often, alone and inside longer tokens.
    held = sampled(model, asked, SamplingParams(max_tokens=40, stop=("t", "zq\u00e9")))
    stopped = [name for name, row in held.items() if row.stop is Stop.stop]
    assert len(stopped) > 4
    for name, row in held.items():
        assert row.token_ids == free[name].token_ids[: len(row.token_ids)]
        assert row.text == free[name].text.split("t")[0]
        if row.stop is Stop.stop:
            assert "t" in model.chat.decode(row.token_ids)
            assert "t" not in model.chat.decode(row.token_ids[:-1])


def test_a_stop_string_made_of_many_tokens_far_into_the_text_is_found():
    model = make_local("llama")
    text = "x" * 300 + " \u00e9\U0001f300 end" + "tail"
    ids = model.chat.tokenizer(text, add_special_tokens=False).input_ids
    ends = Ends(frozenset(), ("\u00e9\U0001f300 end", "never"), model.chat.decode)
    first = next(n for n in range(1, len(ids) + 1) if ends.stopped(ids[:n]))
    assert ends.text(ids[:first], Stop.stop) == "x" * 300 + " "
    assert "\u00e9\U0001f300 end" in model.chat.decode(ids[:first])
    assert "\u00e9\U0001f300 end" not in model.chat.decode(ids[: first - 1])


def test_a_prompt_without_room_or_that_cannot_be_rendered_is_a_row_and_not_a_raise(monkeypatch):
    model = make_local("llama")
    render = model.chat.prompt_ids

    def refusing(request):
        if request.id == "odd":
            raise InputError("the chat template refuses the conversation")
        return render(request)

    monkeypatch.setattr(model.chat, "prompt_ids", refusing)
    asked = [ask("a", id="odd"), ask("gulls " * 600, id="long"), ask("gulls", id="fine")]
    params = SamplingParams(max_tokens=5, n=2)
    rows = sampled(model, asked, params)
    assert len(rows) == 6
    assert [rows["fine", k].stop for k in (0, 1)] != [Stop.error] * 2
    assert all(rows[name, k].stop is Stop.error for name in ("odd", "long") for k in (0, 1))
    assert rows["odd", 0].error == "the chat template refuses the conversation."
    assert "the model's context is 512 tokens" in rows["long", 0].error
    assert tokens(sampled(model, asked[2:], params))["fine", 1] == rows["fine", 1].token_ids


def test_a_row_whose_logits_are_not_finite_ends_with_an_error_and_the_others_go_on():
    model = make_local("llama", tie_word_embeddings=False)
    asked = [*requests(5), ask("\u00e9", id="poison")]
    params = SamplingParams(max_tokens=6, top_p=0.9)
    clean = sampled(model, asked, params)
    shared = {
        token
        for row in clean.values()
        for token in (*row.prompt_ids, *row.token_ids)
        if row.request_id != "poison"
    }
    poison = next(t for t in clean["poison", 0].prompt_ids if t not in shared)
    with torch.no_grad():
        model.net.get_input_embeddings().weight[poison] = torch.nan
    rows = sampled(model, asked, params)
    assert rows.pop(("poison", 0)).error == "The logits of token 1 are not finite."
    assert all(rows[name] == clean[name] for name in rows)


def test_when_memory_runs_out_the_batch_is_halved_and_the_result_is_the_same(monkeypatch):
    model, params = local("llama"), SamplingParams(max_tokens=8, n=2)
    rows = sampled(model, requests(6), params)
    hidden = model.trunk.hidden

    def small(batch, cache=None):
        if batch.ids.shape[0] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return hidden(batch, cache)

    monkeypatch.setattr(model.trunk, "hidden", small)
    assert tokens(sampled(model, requests(6), params)) == tokens(rows)

    def none(batch, cache=None):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(model.trunk, "hidden", none)
    rows = sampled(model, requests(2), params)
    assert {row.error for row in rows.values()} == {
        "The device's memory does not suffice for this request alone."
    }


def test_other_failures_are_not_mistaken_for_a_lack_of_memory(monkeypatch):
    def broken(batch, cache=None):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(local("llama").trunk, "hidden", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        sampled(local("llama"), requests(2), SamplingParams(max_tokens=2))


def test_dropout_is_off_in_sampling_and_scoring_and_the_net_keeps_its_mode():
    model = make_local("gpt2", resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5)
    params = SamplingParams(max_tokens=6)
    quiet = sampled(model, requests(3), params)
    model.net.train()
    model.net.base_model.h[0].eval()
    assert sampled(model, requests(3), params) == quiet
    ids = [row.token_ids for row in quiet.values()]
    again = model.score([row.prompt_ids for row in quiet.values()], ids)
    assert again[0] == pytest.approx(next(iter(quiet.values())).logprobs, abs=1e-4)
    assert model.net.training
    assert not model.net.base_model.h[0].training


def test_batches_cover_every_request_once_within_their_budget():
    lengths = [3, 50, 0, 7, 50, 1, 200, 9, 0, 12]
    batches = length_buckets(lengths, tokens=100, rows=3)
    assert Counter(i for batch in batches for i in batch) == Counter(range(10))
    assert all(len(b) == 1 or max(lengths[i] for i in b) * len(b) <= 100 for b in batches)
    assert max(map(len, batches)) == 3
    assert batches[0] == [6], "a sequence longer than the budget is a batch alone"


def test_each_planned_batch_is_one_batch_again_when_planned_alone():
    model, params = local("llama"), SamplingParams(max_tokens=100, n=5)
    asked = [*requests(40), ask("gulls " * 600, id="long")]
    plan = model.plan(asked, params)
    assert len(plan) > 3
    for batch in plan:
        assert model.plan([asked[i] for i in batch], params) == [list(range(len(batch)))]
    order = [row.request_id for row in model.sample(asked, SamplingParams(max_tokens=1, n=5), key=1)][::5]
    planned = model.plan(asked, SamplingParams(max_tokens=1, n=5))
    assert order == [asked[i].id for batch in planned for i in batch]


def test_nothing_is_planned_or_written_for_no_requests():
    assert local("llama").plan([], SamplingParams()) == []
    assert list(local("llama").sample([], SamplingParams(), key=1)) == []
