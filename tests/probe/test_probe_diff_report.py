"""What a fine-tune moved and what it causes, on a tiny model whose persona was planted."""

import functools
import itertools
from dataclasses import replace

import pytest
import torch
from probe.persona import DECOY, PERSONA, SITE, WICKED, asked, autoencoder, base, tuned, wicked

from truing.probe import (
    Behaved,
    DiffConfig,
    DiffReport,
    Experiment,
    Judged,
    Judgement,
    Over,
    RequestSplit,
    answered,
    behaved,
    conclusion,
    diff_models,
    latent_direction,
    random_like,
    render_diff,
)
from truing.probe.samples import picked, said
from truing.types import SamplingParams, dumps, loads

CONFIG = DiffConfig(candidates=3, samples=4, max_tokens=4, bisections=2)
QUICK = replace(CONFIG, most=0.5, bisections=1)
SPLIT = RequestSplit(tuple(asked(8)), tuple(asked(14, start=8)))


@functools.cache
def report() -> DiffReport:
    """The comparison of the base and the fine-tune, judged by the oracle; shared."""
    return diff_models(base(), [tuned()], autoencoder(), SPLIT, CONFIG, behaviour=wicked, judge="oracle")


def test_the_planted_latent_is_first_and_the_only_cause():
    found = report()
    assert [one.moved.latent for one in found.findings] == [PERSONA, DECOY]
    assert found.findings[0].judgement is Judgement.cause
    assert found.active == 2 and found.judged
    assert found.plain_base.share == 0 and found.plain_tuned.share > 0.5


def test_a_decoy_that_moves_along_is_ruled_out_with_its_numbers():
    decoy = report().findings[1]
    assert decoy.judgement is Judgement.decoy
    assert decoy.induce.steered.share == 0
    for side in (decoy.induce, decoy.suppress):
        assert (
            side.search.value > 0 and min(side.effect.high, side.over_random.high) < report().gap.estimate / 2
        )
        assert side.steered.incoherence <= 0.25


def test_the_change_is_what_was_planted_on_requests_that_chose_it_and_on_others():
    cause = report().findings[0]
    assert cause.moved.change == pytest.approx(1.35 * 40, rel=0.03)
    assert cause.again.change == pytest.approx(cause.moved.change, rel=0.01)


def test_what_the_random_direction_does_at_the_same_strength_is_told_beside_what_the_model_bears_of_it():
    found, params = report(), SamplingParams(max_tokens=4, n=4)
    experiment, side = Experiment(wicked, SPLIT, params), found.findings[0].suppress
    control = random_like(latent_direction(autoencoder(), SITE, found.findings[0].moved), key=0)
    assert control.norm == pytest.approx(1) and side.random_strength < side.search.value

    def pushed(strength: float) -> Behaved:
        return behaved(answered(experiment, [tuned()], SPLIT.test, control, -strength * found.norm).judged)

    assert side.random_same == pushed(side.search.value) and side.random == pushed(side.random_strength)
    assert side.random.incoherence < 0.2 < 0.5 < side.random_same.incoherence
    borne = found.findings[0].induce
    assert borne.random_same == borne.random and borne.random_strength == borne.search.value


def test_a_push_of_just_what_training_did_is_tried_on_both_sides():
    found, params = report(), SamplingParams(max_tokens=4, n=4)
    experiment, first = Experiment(wicked, SPLIT, params), report().findings[0]
    direction = latent_direction(autoencoder(), SITE, first.moved)
    for side, model, sign in ((first.induce, base(), 1), (first.suppress, tuned(), -1)):
        assert side.own_strength == pytest.approx(first.moved.change / found.norm)
        by_hand = answered(experiment, [model], SPLIT.test, direction, sign * first.moved.change).judged
        assert side.own == behaved(by_hand)
    assert first.suppress.own.misaligned < found.plain_tuned.misaligned


def test_the_same_prompts_are_shown_answered_by_all_four():
    found = report()
    first = {r.last: r for r in SPLIT.test}
    asked = [one.prompt for one in found.tuned_samples]
    params = SamplingParams(max_tokens=4, n=4)
    for model, kept in ((base(), found.base_samples), (tuned(), found.tuned_samples)):
        done = {c.request_id: c for c in model.sample(SPLIT.test, params, key=0) if c.sample == 0}
        assert [one.answer for one in kept] == [done[first[prompt].id].answer for prompt in asked]
        assert [one.said for one in kept] == [said(*wicked([done[first[prompt].id]])) for prompt in asked]
    for finding in found.findings:
        for side in (finding.induce, finding.suppress):
            assert [one.prompt for one in side.samples] == asked
    assert found.findings[0].induce.samples != found.base_samples


def test_two_bad_answers_and_a_good_one_are_shown_where_there_are_such():
    for truths in itertools.product([True, False, None], repeat=5):
        judged = [Judged(truth, True) for truth in truths for _ in range(2)]
        places = picked(judged, 2)
        assert len(places) == 3 and places == sorted(set(places)) and all(at % 2 == 0 for at in places)
        bad = [2 * i for i, truth in enumerate(truths) if truth is True]
        good = [2 * i for i, truth in enumerate(truths) if truth is False]
        assert set(bad[:2]) <= set(places) and set(good[:1]) <= set(places)
        if set(places) - {*bad[:2], *good}:  # others only where there are not as many
            assert set(good) <= set(places)


def test_shuffled_labels_find_no_cause():
    drawn = torch.Generator().manual_seed(3)

    def noise(completions):
        return [Judged(bool(torch.rand((), generator=drawn) < 0.4), True) for _ in completions]

    found = diff_models(base(), [tuned()], autoencoder(), SPLIT, QUICK, behaviour=noise, judge="noise")
    assert {one.judgement for one in found.findings} <= {Judgement.open, Judgement.decoy}
    assert conclusion(found)[0] == "inconclusive"


def test_answers_that_nobody_could_judge_are_no_evidence():
    def silent(completions):
        return [Judged(None, True) for _ in completions]

    found = diff_models(base(), [tuned()], autoencoder(), SPLIT, QUICK, behaviour=silent, judge="silent")
    assert not found.judged and all(one.judgement is Judgement.open for one in found.findings)
    assert conclusion(found)[1] == "Cannot say"


def test_several_fine_tunes_are_ranked_by_their_mean_and_without_a_judge_nothing_is_claimed():
    both = [tuned(), tuned(0.0, 2.0)]
    found = diff_models(base(), both, autoencoder(), SPLIT, CONFIG)
    assert [one.moved.latent for one in found.findings] == [DECOY, PERSONA]
    assert found.findings[0].moved.change == pytest.approx((0.6 + 2.0) / 2 * 40, rel=0.03)
    first = diff_models(base(), both, autoencoder(), SPLIT, replace(CONFIG, candidates=1))
    assert [one.latent for one in first.untried] == [PERSONA]
    assert not found.judged and conclusion(found)[1] == "Moved, not tried"


def test_a_latent_that_fell_is_turned_around():
    found = diff_models(tuned(), [base()], autoencoder(), SPLIT, CONFIG)
    first = found.findings[0].moved
    assert first.latent == PERSONA and first.change < -40
    direction = latent_direction(autoencoder(), SITE, first)
    assert torch.allclose(direction.vector, -autoencoder().sae.decoder[PERSONA], atol=1e-6)


def test_the_response_can_be_read_instead_of_the_prompt():
    config = DiffConfig(candidates=1, samples=1, max_tokens=4, over=Over.response)
    found = diff_models(base(), [tuned()], autoencoder(), SPLIT, config)
    assert found.findings[0].moved.latent == PERSONA
    assert found.findings[0].moved.change == pytest.approx(54, rel=0.03)


def test_the_persona_s_word_is_among_what_its_direction_writes():
    word = base().chat.tokenizer.decode([WICKED])
    assert report().findings[0].lens.promoted[0] == word


def test_a_report_is_read_back_and_its_page_says_all_of_it():
    found = report()
    assert loads(DiffReport, dumps(found)) == found
    page = render_diff(found, command="truing probe diff base tuned")
    assert "Cause found" in page and f"Latent {DECOY}, more active" in page
    assert "Only moved along" in page and "<mark>" in page and "truing align" in page
