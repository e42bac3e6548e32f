"""The reward-hacking page: what stands on it, and that any text can."""

from dataclasses import replace

import pytest
from policy_traces import collapsed, hacked, honest, trace

from truing.recipes import hacking_summary, policy_page
from truing.train import Sample, Update, best_and_worst, most_changed, read_hacking
from truing.types import FrozenDict


def page(updates: list[Update], samples: list[Sample], **more) -> str:
    given = {"method": "grpo", "ground": "records made up", "settings": {"kl_coef": 0.05}} | more
    return policy_page(updates, samples, **given)


def test_the_verdict_stands_on_top_with_its_word_and_its_colour():
    html = page(*trace(hacked))
    banner = html[html.index('class="verdict regression"') :][:900]
    assert "</svg>Hacked</p>" in banner and "the reward is being hacked" in banner
    assert "best of oracle" in html and "spaced by the square root" in html


def test_without_a_metric_the_page_is_not_green_and_says_why():
    html = page(*trace(honest, every=99))
    assert 'class="verdict inconclusive"' in html and "A reward cannot judge itself" in html
    assert "nothing here can tell whether the reward was hacked" in html


def test_what_a_model_wrote_is_shown_and_never_run():
    updates, samples = trace(hacked)
    hostile = [replace(s, text="<script>alert(1)</script>\u202e\ud800" + "x" * 5000) for s in samples]
    html = page(updates, hostile)
    assert "<script" not in html and "&lt;script&gt;alert(1)" in html and "\\u202e\\ud800" in html
    assert "more characters)" in html
    html.encode("utf-8")


@pytest.mark.parametrize("updates", [0, 1, 2, 7])
def test_a_run_of_any_length_has_a_page(updates):
    assert 'class="verdict' in page(*trace(hacked, updates=updates))


@pytest.mark.parametrize("nan", [None, float("nan")])
def test_a_run_without_samples_reference_or_rewards_has_a_page_that_says_so(nan):
    updates, _ = trace(collapsed)
    bare = [
        replace(u, kl=nan, kl_spent=nan, reward=nan, entropy=nan, components=FrozenDict()) for u in updates
    ]
    html = page(bare, [], stopped="the metric fell")
    assert "No sample was kept" in html and "the KL was not measured" in html
    assert "stopped early: the metric fell" in html


def test_samples_that_took_no_part_have_no_kl_and_are_shown():
    updates, samples = trace(hacked, updates=8)
    html = page([replace(u, kl=None, kl_spent=None) for u in updates], [replace(s, kl=None) for s in samples])
    assert "the KL was not measured" in html and " nats, ended by" not in html and "tokens, ended by" in html


def test_equal_records_give_equal_bytes():
    records = trace(hacked, updates=8)
    assert page(*records) == page(*records)


def test_the_summary_holds_the_verdict_and_every_warning():
    told = hacking_summary(read_hacking(*trace(hacked)))
    assert told.startswith("Hacked. ") and "repeats itself" in told
    assert hacking_summary(read_hacking(*trace(honest, every=99))).startswith(
        "Cannot tell. No held-out metric"
    )


def test_best_and_worst_are_of_the_end_one_for_each_prompt():
    updates, samples = trace(hacked)
    best, worst = best_and_worst(updates, samples)
    late = [s for s in samples if s.update > 32]
    assert best[0].reward == max(s.reward for s in late) and worst[0].reward == min(s.reward for s in late)
    assert len({s.prompt_id for s in best}) == len(best) == len(worst) == 3


def test_most_changed_is_one_prompt_early_and_late():
    updates, samples = trace(hacked)
    samples = [
        s if s.update > 13 or "kettle" not in s.prompt_id else replace(s, reward=-9.0) for s in samples
    ]
    found = most_changed(updates, samples)
    assert "kettle" in found[0].early.prompt_id and found[0].change > 8
    assert all(
        c.early.prompt_id == c.late.prompt_id and c.early.update <= 13 < 28 <= c.late.update for c in found
    )
    assert most_changed(updates, [s for s in samples if s.update <= 13]) == []
