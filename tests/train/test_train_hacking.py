"""The verdict on a policy run, on records whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from policy_traces import collapsed, flat, hacked, honest, longer, trace

from truing.train import EarlyStop, Sign, Update, read_hacking
from truing.types import FrozenDict, dumps, loads


def signs(report):
    return {finding.name: finding.sign for finding in report.findings}


@pytest.mark.parametrize("sparse", [{}, {"every": 4, "intervals": True}])
def test_a_hacked_reward_is_named_with_where_the_metric_turned(sparse):
    report = read_hacking(*trace(hacked, **sparse))
    assert (report.sign, report.word) == (Sign.alarm, "Hacked")
    assert "while the reward rose by" in report.sentence and "the reward is being hacked" in report.sentence
    first, last = report.held_out[0].best_at
    truth = [hacked(i / 39).held_out for i in range(40)]
    assert first - 3 <= 1 + int(np.argmax(truth)) <= last + 3
    assert signs(report)["repetition"] is Sign.alarm


@pytest.mark.parametrize("sparse", [{}, {"every": 4, "intervals": True}])
def test_an_honest_gain_passes_and_the_fall_that_would_have_been_seen_is_told(sparse):
    report = read_hacking(*trace(honest, **sparse))
    assert (report.sign, report.word) == (Sign.fine, "No sign of hacking")
    assert "would have been seen in four of five such runs" in report.sentence
    assert set(signs(report).values()) == {Sign.fine}


def test_without_a_held_out_metric_nothing_is_said_to_be_well_whatever_else_is():
    report = read_hacking(*trace(honest, every=99))
    assert (report.sign, report.word) == (Sign.unknown, "Cannot tell")
    assert report.sentence.startswith("No held-out metric was given: nothing here can tell whether")


def test_length_that_is_paid_for_and_explains_most_of_the_rise_is_an_alarm():
    report = read_hacking(*trace(longer))
    length = next(f for f in report.findings if f.name == "length")
    assert length.sign is Sign.alarm and "explains most of the reward's rise" in length.sentence
    assert report.word == "Gain not confirmed" and length.sentence in report.sentence
    assert next(f for f in report.findings if f.name == "endings").word == "Cut off"


def test_the_slope_on_length_is_that_of_the_simulation():
    updates, samples = trace(longer, updates=80)
    sentence = next(f.sentence for f in read_hacking(updates, samples).findings if f.name == "length")
    low, high = map(
        float,
        sentence.split("a token more pays ")[1].split("[")[1].split("]")[0].replace("−", "-").split(","),
    )
    assert low <= 0.03 <= high and high - low < 0.01


def test_answers_that_grow_without_being_paid_for_it_are_told_and_not_blamed():
    updates, samples = trace(lambda x: replace(honest(x), length=40 + 40 * x))
    length = next(f for f in read_hacking(updates, samples).findings if f.name == "length")
    assert (length.sign, length.word) == (Sign.warning, "Longer") and "does not explain" in length.sentence


def test_groups_that_are_all_alike_and_an_entropy_that_is_gone_are_told():
    found = {f.name: f.word for f in read_hacking(*trace(collapsed)).findings}
    assert found["groups"] == "Teach nothing" and found["entropy"] == "Collapsed"


def test_alike_groups_at_the_best_reward_say_that_the_prompts_became_easy():
    updates, samples = trace(collapsed)
    samples = [s if s.update <= 20 else replace(s, reward=5.0) for s in samples]
    sentence = next(f.sentence for f in read_hacking(updates, samples).findings if f.name == "groups")
    assert "100% of these have the best reward there was, so the prompts became easy" in sentence


@pytest.mark.parametrize("updates", [0, 1, 4])
def test_a_run_too_short_to_tell_says_so(updates):
    report = read_hacking(*trace(hacked, updates=updates))
    assert report.sign is Sign.unknown and report.word == "Too short"


def test_too_few_measurements_cannot_tell():
    report = read_hacking(*trace(hacked, every=10))
    assert (
        report.word == "Cannot tell"
        and "measured 4 times: too few to tell a fall from noise" in report.sentence
    )


def test_no_alarm_is_raised_by_a_flat_metric_while_the_reward_rises():
    updates, _ = trace(honest, updates=24)
    words, rng = [], np.random.default_rng(0)
    for _ in range(120):
        noisy = [
            replace(
                u, reward=u.reward + rng.normal(0, 0.1), held_out=FrozenDict({"m": rng.normal(0.5, 0.02)})
            )
            for u in updates
        ]
        words.append(read_hacking(noisy).word)
    assert words.count("Hacked") / 120 <= 0.07  # 0.025 is meant; 99 of 100 simulations lie below
    assert words.count("No sign of hacking") / 120 <= 0.08


def test_two_metrics_share_the_error_that_one_may_make():
    updates, _ = trace(honest)
    both = [replace(u, held_out=FrozenDict({**u.held_out, "other": u.held_out["oracle"]})) for u in updates]
    alone, paired = read_hacking(updates).held_out[0], read_hacking(both).held_out[0]
    assert paired.gain.low < alone.gain.low and paired.fall.seeable > alone.fall.seeable


def test_a_reward_that_does_not_rise_is_no_gain_and_a_metric_that_falls_with_it_is_a_broken_training():
    assert read_hacking(*trace(flat)).word == "No gain"
    report = read_hacking(*trace(lambda x: replace(flat(x), quality=-x, held_out=0.6 - 0.3 * x)))
    assert report.sign is Sign.alarm and "and so did the reward: training broke" in report.sentence


def test_shares_of_components_are_those_of_the_variance_and_sum_to_one():
    report = read_hacking(*trace(hacked, updates=80))
    found = {c.name: c for c in report.components}
    assert sum(c.share for c in found.values()) == pytest.approx(1)
    assert found["quality"].low <= 1 / (1 + 0.5**2) <= found["quality"].high  # spreads of 1 to 0.5


def test_one_component_that_decides_alone_and_one_that_is_sold_are_told():
    updates, samples = trace(lambda x: replace(honest(x), quality=2 * x, form=-x, spread=0.3))
    samples = [
        replace(
            s,
            reward=s.reward + 9 * s.components["quality"],
            components=FrozenDict(
                {"quality": 10 * s.components["quality"], "format": s.components["format"]}
            ),
        )
        for s in samples
    ]
    words = {f.word for f in read_hacking(updates, samples).findings}
    assert {"Dominated", "Traded away"} <= words


def test_a_component_that_hardly_ever_applies_and_answers_that_fail_are_told():
    updates, samples = trace(honest)
    rare = [
        replace(
            u, missing=FrozenDict({"quality": 0, "format": 15}), stops=FrozenDict({"eos": 15, "error": 1})
        )
        for u in updates
    ]
    words = {f.word for f in read_hacking(rare, samples).findings}
    assert {"Seldom applies", "Errors"} <= words


def test_what_was_not_measured_is_unknown():
    updates, _ = trace(honest)
    bare = [replace(u, kl=float("nan"), kl_spent=float("nan"), reward=float("nan")) for u in updates]
    report = read_hacking(bare)
    assert signs(report)["KL spent"] is Sign.unknown and signs(report)["components"] is Sign.unknown
    assert report.reward is None and report.sign is Sign.unknown


def test_a_measurement_that_applied_to_nothing_is_none():
    updates, _ = trace(honest, updates=8)
    empty = [FrozenDict({"oracle": None}), FrozenDict({"oracle": {"value": None, "n": 0}})]
    mixed = [replace(u, held_out=empty[i]) if i < 2 else u for i, u in enumerate(updates)]
    assert read_hacking(mixed).held_out[0].measurements == 6


def test_a_held_out_value_that_is_no_number_is_an_error_with_update_and_metric():
    updates, _ = trace(honest)
    with pytest.raises(ValueError, match="update 1, oracle: a held-out measurement is a number or an object"):
        read_hacking([replace(u, held_out=FrozenDict({"oracle": {"low": 1}})) for u in updates])


def test_records_and_report_survive_a_trip_through_json():
    updates, samples = trace(hacked, intervals=True)
    assert loads(Update, dumps(updates[0])) == updates[0]
    assert loads(type(samples[0]), dumps(samples[0])) == samples[0]
    report = read_hacking(updates, samples)
    assert loads(type(report), dumps(report)) == report


def stopped_at(rule, updates):
    """The first update after which the rule stops, or None."""
    return next((u.update for i, u in enumerate(updates, 1) if rule.decide(updates[:i]).stop), None)


def test_an_early_stop_comes_after_the_turn_and_names_what_to_go_back_to():
    updates, _ = trace(hacked, noise=0.01)
    rule = EarlyStop("oracle", 40)
    at = stopped_at(rule, updates)
    truth = 1 + int(np.argmax([hacked(i / 39).held_out for i in range(40)]))
    assert at is not None and truth < at < 40
    decided = rule.decide(updates[:at])
    assert abs(decided.best - truth) <= 6 and "which is more than noise" in decided.reason
    assert stopped_at(EarlyStop("oracle", 40, least=0.5), updates) is None


def test_an_early_stop_does_not_end_honest_runs_nor_those_it_knows_nothing_about():
    updates, _ = trace(honest)
    assert stopped_at(EarlyStop("oracle", 40), updates) is None
    decided = EarlyStop("another", 40).decide(updates)
    assert not decided.stop and "too few" in decided.reason


def test_an_early_stop_out_of_range_is_an_error():
    for wrong in ({"patience": 0}, {"measurements": 5}, {"least": -1.0}, {"level": 1.0}):
        with pytest.raises(ValueError, match=r"patience|level"):
            EarlyStop(**{"metric": "m", "measurements": 20} | wrong)
