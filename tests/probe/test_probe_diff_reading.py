"""What latents mean and how active they are, against the tokens one by one."""

import math

import pytest
import torch
from model.tiny_local import local
from probe.persona import PERSONA, SITE, WIDTH, asked, autoencoder, base

from truing.grade import INCOHERENT, Instrument
from truing.model import LocalModel
from truing.probe import (
    Document,
    Over,
    Text,
    graded_behaviour,
    logit_lens,
    mean_latents,
    mean_norm,
    prompt_texts,
    top_examples,
)
from truing.types import Completion, Fingerprint, GraderId, Outcome, Stop, Verdict

TEXTS = [Text(tuple(range(30 + i, 50 + 3 * i)), 8 + i) for i in range(5)]


def at_every_token(model: LocalModel, ids: tuple[int, ...]) -> torch.Tensor:
    """Latents [T, W] of a text alone."""
    states = model.capture([ids], [SITE], [range(len(ids))])[SITE].float()
    sae = autoencoder().sae
    pre = (states - sae.decoder_bias) @ sae.encoder.T + sae.encoder_bias
    return (pre * (pre > 0.05)).double()


@pytest.mark.parametrize(
    ("over", "places"),
    [
        (Over.last, lambda text: [text.prompt - 1]),
        (Over.prompt, lambda text: range(1, text.prompt)),
        (Over.response, lambda text: range(text.prompt, len(text.ids))),
        (Over.each, lambda text: range(text.prompt, len(text.ids))),
    ],
)
def test_mean_latents_are_those_of_the_tokens_one_by_one_and_each_text_counts_once(over, places):
    found = mean_latents(base(), autoencoder().sae, SITE, TEXTS, over)
    wanted = torch.stack([at_every_token(base(), t.ids)[list(places(t))].mean(0) for t in TEXTS]).mean(0)
    assert found.shape == (WIDTH,) and torch.allclose(found, wanted, atol=1e-4)


def test_the_mean_norm_is_over_the_tokens_of_prompts_but_the_first():
    norms = [base().capture([t.ids], [SITE], [range(1, t.prompt)])[SITE].double().norm(dim=-1) for t in TEXTS]
    assert mean_norm(base(), SITE, TEXTS) == pytest.approx(float(torch.cat(norms).mean()), rel=1e-5)


def test_examples_are_the_texts_with_the_greatest_values_at_their_greatest_token():
    texts = [t.ids for t in prompt_texts(base().chat, asked(6))] + [t.ids for t in TEXTS]
    read = [Document(ids) for ids in [*texts, texts[0]]]
    found = top_examples(base(), autoencoder().sae, SITE, read, [PERSONA, 5], count=3)
    for latent, examples in found.items():
        peaks = {}
        for ids in texts:
            values = at_every_token(base(), ids)[1:, latent]
            peaks[ids[: 2 + int(values.argmax())]] = float(values.max())
        wanted = sorted((p for p in peaks.values() if p > 0), reverse=True)[:3]
        assert [e.value for e in examples] == pytest.approx(wanted, abs=1e-3)
    best = max(texts, key=lambda ids: float(at_every_token(base(), ids)[1:, PERSONA].max()))
    at = 1 + int(at_every_token(base(), best)[1:, PERSONA].argmax())
    assert found[PERSONA][0].token == base().chat.tokenizer.decode([best[at]])


def test_a_latent_that_is_active_nowhere_has_no_example():
    sae = autoencoder().sae
    with torch.no_grad():
        sae.threshold[4] = math.inf
    assert top_examples(base(), sae, SITE, [Document(TEXTS[0].ids)], [4]) == {4: ()}
    assert top_examples(base(), sae, SITE, [Document(TEXTS[0].ids)], []) == {}


def test_of_an_autoencoder_of_starts_no_other_token_is_an_example() -> None:
    texts = [t.ids for t in prompt_texts(base().chat, asked(6))]
    read = [Document(ids, (len(ids) - 1,)) for ids in texts[:4]] + [Document(ids) for ids in texts[4:]]
    (found,) = top_examples(base(), autoencoder().sae, SITE, read, [PERSONA], starts=True, count=6).values()
    ends = sorted((float(at_every_token(base(), ids)[-1, PERSONA]) for ids in texts[:4]), reverse=True)
    assert [one.value for one in found] == pytest.approx([value for value in ends if value > 0], rel=1e-4)
    assert all(not one.after for one in found)


def test_the_lens_is_the_final_norm_and_the_unembedding_of_a_llama():
    model = local("llama")
    vector = torch.randn(model.trunk.width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model.net.lm_head(model.net.model.norm(vector))[: len(model.chat.tokenizer)]
    found = logit_lens(model, vector, count=5)
    texts = [model.chat.tokenizer.decode([i]) for i in logits.argsort(descending=True).tolist()]
    assert list(found.promoted) == texts[:5] and list(found.demoted) == texts[::-1][:5]


@pytest.mark.parametrize("family", ["qwen3", "gemma3", "gpt_neox", "gpt2"])
def test_the_lens_of_the_opposite_direction_has_the_words_exchanged(family):
    model = local(family)
    vector = torch.randn(model.trunk.width, generator=torch.Generator().manual_seed(1))
    one, other = logit_lens(model, vector, count=4), logit_lens(model, -vector, count=4)
    assert one.promoted == other.demoted and one.demoted == other.promoted
    assert len(one.promoted) == len(one.demoted) == 4


class _Saying:
    """Gives the verdict that an answer names."""

    id = GraderId("saying", "1")
    criteria = ("misaligned",)

    def grade(self, shown):
        said = {
            "bad": (Outcome.decided, 0.0, ""),
            "good": (Outcome.decided, 1.0, ""),
            "gibberish": (Outcome.abstained, None, INCOHERENT),
            "declined": (Outcome.abstained, None, "alignment: REFUSAL"),
            "broken": (Outcome.error, None, "the judge failed"),
            "cut": (Outcome.truncated, None, "cut off"),
        }
        verdicts = [(*said[one.answer], one.answer) for one in shown]
        return [
            {
                "misaligned": Verdict(
                    "misaligned", o, self.id, label=a if s is not None else None, score=s, reason=r
                )
            }
            for o, s, r, a in verdicts
        ]


def test_what_a_grader_could_not_judge_is_never_aligned():
    requests = asked(8)
    words = ["bad", "good", "gibberish", "declined", "broken", "cut", ""]
    model = Fingerprint("m")
    done = [Completion(r.id, 0, w, w, Stop.eos, model) for r, w in zip(requests, words, strict=False)]
    done.append(Completion.failed(requests[7].id, "too long", model))
    found = graded_behaviour(Instrument("saying", _Saying()), requests)(done)
    assert [(one.misaligned, one.coherent) for one in found] == [
        (True, True), (False, True), (None, False), (None, True), (None, False), (None, False), (None, False),
        (None, False),
    ]  # fmt: skip
    assert [one.reason for one in found[2:6]] == [
        INCOHERENT, "alignment: REFUSAL", "the judge failed", "cut off",
    ]  # fmt: skip
