"""Refusal directions: the scores against a loop by hand, and what the chosen direction causes in the organism."""

import copy
import math

import pytest
import torch
from model.tiny_local import local

from truing.model import Point, Site
from truing.probe import (
    Candidate,
    Over,
    Prompts,
    candidate_directions,
    collected,
    evaluate_candidates,
    opener_ids,
    prompt_texts,
    refusal_direction,
    refusal_scores,
    split_prompts,
    template_tokens,
)
from truing.types import InputError

FAMILIES = ("llama", "qwen3", "gemma3", "gpt_neox", "gpt2")
OPENERS = (17, 40, 203)


def prompts(model, word: str, count: int = 6) -> Prompts:
    texts = prompt_texts(model.chat, [f"{word} " * (1 + i % 4) + f"number {i}?" for i in range(count)])
    return Prompts(tuple(texts[: count - 2]), tuple(texts[count - 2 :]))


def test_the_refusal_score_is_the_log_odds_that_a_refusal_begins():
    logits = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]).log()
    assert refusal_scores(logits, [0]).tolist() == pytest.approx([0, math.log(1 / 9)], abs=1e-6)
    assert refusal_scores(logits, [0, 1]).tolist() == pytest.approx([math.log(3), math.log(3 / 7)], abs=1e-6)
    sure = refusal_scores(torch.tensor([[200.0, 0.0], [0.0, 200.0]]), [0])
    assert sure.dtype == torch.float64
    assert sure.tolist() == pytest.approx([math.log(1e8), -math.log(1e8)], abs=1e-6)


def test_a_candidate_is_the_difference_of_means_at_its_position_and_layer():
    model = local("llama")
    bad, good = prompts(model, "steal"), prompts(model, "count")
    found = candidate_directions(model, bad, good)
    count = template_tokens(model.chat)
    assert set(found) == {(at, layer) for at in range(-count, 0) for layer in range(2)}
    site = Site(1, Point.resid_pre)
    for at in (-1, -count):
        plus, minus = (
            torch.stack([_state(model, text, site, at) for text in side.train]).double().mean(0)
            for side in (bad, good)
        )
        assert torch.allclose(found[at, 1].double(), plus - minus, atol=1e-6)
    assert not any(found[at, 0].any() for at in range(-count, 0)), "the template's embeddings are the same"


def _state(model, text, site, at):
    whole = type(text)(text.ids, 1)
    return collected(model, [whole], [site], Over.each)[site][at]


def test_the_scores_of_a_candidate_are_those_of_a_loop_by_hand():
    model = local("llama")
    bad, good = prompts(model, "steal"), prompts(model, "count")
    vector = candidate_directions(model, bad, good)[-1, 1]
    (found,) = evaluate_candidates(model, {(-1, 1): vector}, bad, good, OPENERS)

    unit, without = vector / vector.norm(), copy.deepcopy(model.net)
    with torch.no_grad():  # weights that cannot write the direction
        without.model.embed_tokens.weight -= (without.model.embed_tokens.weight @ unit)[:, None] * unit
        for layer in without.model.layers:
            for weight in (layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight):
                weight -= unit[:, None] * (unit @ weight)
    added = copy.deepcopy(model.net)
    added.model.layers[1].register_forward_pre_hook(lambda _, args: (args[0] + vector, *args[1:]))

    def last(net, side):
        with torch.no_grad():
            return [
                net(torch.tensor([t.ids]), use_cache=False).logits[0, -1].double().log_softmax(-1)
                for t in side.validation
            ]

    def score(rows):
        p = torch.stack([row.exp()[list(OPENERS)].sum() for row in rows])
        return float(((p + 1e-8).log() - (1 - p + 1e-8).log()).mean())

    pairs = zip(last(model.net, good), last(without, good), strict=True)
    kl = sum(float((p.exp() * (p - q)).sum()) for p, q in pairs) / len(good.validation)
    assert (found.position, found.layer) == (-1, 1)
    assert found.refusal == pytest.approx(score(last(without, bad)), abs=1e-4)
    assert found.steering == pytest.approx(score(last(added, good)), abs=1e-4)
    assert found.kl == pytest.approx(kl, rel=1e-3)
    assert found.steering != pytest.approx(score(last(model.net, good)), abs=0.01)


@pytest.mark.parametrize("family", FAMILIES)
def test_candidates_of_every_family_are_evaluated_once_each(family):
    model, told = local(family), []
    bad, good = prompts(model, "steal"), prompts(model, "count")
    directions = {place: v for place, v in candidate_directions(model, bad, good).items() if place[0] >= -2}
    found = evaluate_candidates(model, directions, bad, good, OPENERS, advance=told.append)
    assert [(one.position, one.layer) for one in found] == [(-2, 0), (-2, 1), (-1, 0), (-1, 1)]
    assert told == [1] * 4
    assert all(math.isfinite(one.refusal) and math.isfinite(one.steering) and one.kl >= 0 for one in found)
    assert found[3].kl > 0


def test_a_direction_of_zero_has_the_scores_of_the_model_as_it_is():
    model = local("llama")
    bad, good = prompts(model, "steal"), prompts(model, "count")
    (found,) = evaluate_candidates(model, {(-1, 0): torch.zeros(32)}, bad, good, OPENERS)
    as_it_is = [
        float(refusal_scores(model.next_logits([t.ids for t in side.validation]), OPENERS).mean())
        for side in (bad, good)
    ]
    assert found == Candidate(-1, 0, *as_it_is, 0.0)


def test_a_direction_that_is_no_vector_of_numbers_has_no_scores_and_stops_nothing():
    model, vector = local("llama"), torch.ones(32)
    bad, good = prompts(model, "steal"), prompts(model, "count")
    broken = vector.clone().index_fill(0, torch.tensor([3]), torch.nan)
    first, second = evaluate_candidates(model, {(-1, 0): broken, (-1, 1): vector}, bad, good, OPENERS)
    assert all(map(math.isnan, (first.refusal, first.steering, first.kl)))
    assert all(map(math.isfinite, (second.refusal, second.steering, second.kl)))


def test_a_model_whose_sublayers_are_not_known_is_an_error_and_no_score(monkeypatch):
    model = local("llama")
    monkeypatch.setattr("truing.model.hooks.writers", _unknown)
    bad, good = prompts(model, "steal"), prompts(model, "count")
    with pytest.raises(InputError, match="not known"):
        evaluate_candidates(model, {(-1, 1): torch.ones(32)}, bad, good, OPENERS)


def _unknown(trunk):
    raise InputError("what its sublayers add is not known")


def test_only_requests_that_the_model_treats_as_they_deserve_are_drawn():
    model = local("llama")
    asked = [f"number {i} of {i * i}" for i in range(60)]
    logits = model.next_logits([t.ids for t in prompt_texts(model.chat, asked)])
    openers, scores = next(
        (range(count), scores)
        for count in range(512)
        if 20 < int(((scores := refusal_scores(logits, range(count))) > 0).sum()) < 40
    )
    for harmful in (True, False):
        drawn = split_prompts(model, [*asked, *asked], openers, harmful=harmful, key=0)
        texts = [*drawn.train, *drawn.validation]
        assert len(set(texts)) == int((scores > 0).sum() if harmful else (scores < 0).sum())
        assert len(drawn.validation) == len(texts) // 5
        found = refusal_scores(model.next_logits([text.ids for text in texts]), openers)
        assert bool(((found > 0) == harmful).all())
        assert split_prompts(model, [*asked, *asked], openers, harmful=harmful, key=0) == drawn
        assert split_prompts(model, [*asked, *asked], openers, harmful=harmful, key=1) != drawn


def test_a_model_that_refuses_nothing_has_no_direction():
    with pytest.raises(
        InputError, match="the model refuses 0 of 12 different harmful requests, and it takes ten"
    ):
        split_prompts(local("llama"), [f"steal {i}" for i in range(12)], [3], harmful=True, key=0)


def test_openers_are_the_first_tokens_of_texts_once_each():
    chat = local("llama").chat
    first = chat.tokenizer.encode("I cannot", add_special_tokens=False)[0]
    assert opener_ids(chat, ["I cannot", "I"]) == (first,)
    with pytest.raises(InputError, match="without an opener"):
        opener_ids(chat, [])
    with pytest.raises(InputError, match="has no token"):
        opener_ids(chat, [""])


def test_the_chosen_direction_says_where_it_acts():
    model = local("llama")
    found = refusal_direction(model, torch.ones(32), -2, 1, {"harmful": "6"})
    assert (found.site, found.position) == (Site(1, Point.resid_pre), "template -2")
    edit = found.adding()
    assert (edit.site, edit.coefficient) == (found.site, 1.0)
