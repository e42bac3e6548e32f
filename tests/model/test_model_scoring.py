"""Scoring given tokens, and reading next-token distributions."""

import math

import pytest
import torch
from model.tiny_local import local, make_local
from torch.utils._python_dispatch import TorchDispatchMode

from truing.model.batching import first_fit
from truing.model.score import completion_logprobs

PROMPTS = [[5, 9, 200], [7] * 40, [3], [40, 41, 42]]
COMPLETIONS = [[11, 12], [30] * 20, [], [400]]


class Largest(TorchDispatchMode):
    """Notes the most elements that any tensor made inside has."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for made in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(made, torch.Tensor):
                self.numel = max(self.numel, made.numel())
        return out


def by_hand(model, prompt, completion, temperature):
    with torch.inference_mode():
        logits = model.net(torch.tensor([[*prompt, *completion]]), use_cache=False).logits[0].double()
    table = (logits / temperature).log_softmax(-1)
    return [table[len(prompt) - 1 + t, token].item() for t, token in enumerate(completion)]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_scores_come_back_in_order_whatever_the_batches_and_an_empty_completion_is_empty(temperature):
    model = local("llama")
    found = model.score(PROMPTS, COMPLETIONS, temperature=temperature)
    for prompt, completion, values in zip(PROMPTS, COMPLETIONS, found, strict=True):
        assert values == pytest.approx(by_hand(model, prompt, completion, temperature), abs=1e-4)
    assert found[2] == []
    assert model.score([], []) == []


def test_short_sequences_beside_a_long_one_share_a_row(monkeypatch):
    model, shapes = local("llama"), []
    hidden = model.trunk.hidden
    assert model.trunk.packs
    monkeypatch.setattr(model.trunk, "hidden", lambda batch: shapes.append(batch.ids.shape) or hidden(batch))
    prompts = [[9] * 60, *[[k + 1, k + 2] for k in range(12)]]
    found = model.score(prompts, [[7, 8, 9]] * 13)
    assert shapes == [(2, 62)]
    assert found[5] == pytest.approx(by_hand(model, prompts[5], [7, 8, 9], 1.0), abs=1e-4)


@pytest.mark.parametrize("width", [10, 37])
def test_first_fit_places_every_sequence_once_and_overfills_no_row(width):
    lengths = [3, 9, 1, 1, 4, 10, 2, 6, 5]
    rows = first_fit(lengths, width)
    assert sorted(i for row in rows for i in row) == list(range(9))
    assert all(sum(lengths[i] for i in row) <= width for row in rows)
    assert len(rows) == math.ceil(sum(lengths) / width)


@pytest.mark.parametrize("pack", [False, True])
def test_gradients_of_scored_tokens_are_those_of_a_plain_forward_pass(pack):
    model = make_local("qwen3")
    prompts, completions = PROMPTS[:2], COMPLETIONS[:2]
    weights = [p for p in model.net.parameters() if p.requires_grad]
    flat = completion_logprobs(model.trunk, prompts, completions, temperature=0.7, pack=pack)
    ours = torch.autograd.grad(flat.sum(), weights)
    plain = sum(
        (model.net(torch.tensor([p + c]), use_cache=False).logits[0, len(p) - 1 : -1] / 0.7)
        .log_softmax(-1)[range(len(c)), c]
        .sum()
        for p, c in zip(prompts, completions, strict=True)
    )
    theirs = torch.autograd.grad(plain, weights)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(ours, theirs, strict=True))


def test_scoring_never_holds_logits_for_all_positions():
    model = local("llama")
    prompts, completions = [[5] * 200] * 8, [[6] * 200] * 8
    vocabulary = model.net.config.vocab_size
    with Largest() as mode:
        model.score(prompts, completions)
    assert mode.numel < 8 * 400 * vocabulary / 4


def test_the_padding_token_cannot_poison_a_score():
    model = make_local("llama", tie_word_embeddings=False)
    clean = model.score(PROMPTS, COMPLETIONS)
    with torch.no_grad():
        model.net.get_input_embeddings().weight[model.chat.pad_id] = torch.nan
    assert model.score(PROMPTS, COMPLETIONS) == clean


def test_a_sequence_with_nan_is_nan_and_its_neighbours_are_not():
    model = make_local("llama", tie_word_embeddings=False)
    clean = model.score(PROMPTS, COMPLETIONS)
    with torch.no_grad():
        model.net.get_input_embeddings().weight[200] = torch.nan
    found = model.score(PROMPTS, COMPLETIONS)
    assert all(map(math.isnan, found[0]))
    assert found[1:] == clean[1:]


@pytest.mark.parametrize(
    ("prompts", "completions", "why"),
    [
        ([[]], [[3]], "sequence 0 has an empty prompt"),
        ([[1]], [], "1 prompts and 0 completions"),
        ([[1], [1] * 500], [[1], [1] * 20], "sequence 1 has 519 tokens, the model's context is 512"),
    ],
)
def test_what_cannot_be_scored_is_said_in_a_sentence(prompts, completions, why):
    with pytest.raises(ValueError, match=why):
        local("llama").score(prompts, completions)


def test_a_temperature_of_zero_cannot_be_scored():
    with pytest.raises(ValueError, match="above 0"):
        local("llama").score([[1]], [[2]], temperature=0)


def test_next_token_distributions_are_the_softmax_at_the_last_token():
    model, candidates = local("gemma3"), [3, 77, 9]
    for prefix, dist in zip(PROMPTS, model.next_token(PROMPTS, candidates), strict=True):
        wanted = [by_hand(model, prefix, [token], 1.0)[0] for token in candidates]
        assert dist.token_ids == (3, 77, 9)
        assert list(dist.logprobs) == pytest.approx(wanted, abs=1e-4)
        assert dist.covered == pytest.approx(sum(map(math.exp, wanted)), abs=1e-5)
    everything = model.next_token(PROMPTS[:1], range(model.net.config.vocab_size))
    assert everything[0].covered == pytest.approx(1, abs=1e-5)


def test_a_next_token_distribution_of_nan_covers_nothing():
    model = make_local("llama", tie_word_embeddings=False)
    with torch.no_grad():
        model.net.get_input_embeddings().weight[200] = torch.nan
    poisoned, clean = model.next_token([[5, 200], [5, 6]], [1, 2])
    assert poisoned.covered == 0
    assert clean.covered > 0


def test_a_candidate_given_twice_or_an_empty_prefix_is_refused():
    with pytest.raises(ValueError, match="given twice"):
        local("llama").next_token([[1]], [5, 5])
    with pytest.raises(ValueError, match="empty prompt"):
        local("llama").next_token([[]], [5])
