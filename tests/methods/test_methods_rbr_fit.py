"""Fitting a rule-based reward: a test for each trap of the published fitter, and what the fit is to find."""

import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from grade.stated import SMALL, Stated

from truing.grade import RuleFeatures, TypeWeights
from truing.methods import (
    RBR_ALONE,
    RM_ALONE,
    RM_AND_RBR,
    RankedAnswers,
    RBRConfig,
    answer_tables,
    centred_rewards,
    feature_contributions,
    fit_rule_weights,
    order_errors,
    order_violations,
    reward_signals,
)
from truing.numerics import generator
from truing.types import InputError, Message, Role

FEATURES = RuleFeatures(SMALL, Stated())
KINDS = ("ideal", "bad", "bad", "disallowed")
RANKS = (1, 2, 2, 3)


def ranking(number: int, *, rm: bool = True, noise: float = 0.1) -> RankedAnswers:
    """Four answers of known kinds, whose stated probabilities and other reward vary with the number."""
    rng = generator(3, "ranking", str(number))
    low, high = rng.uniform(0, noise, size=4), rng.uniform(1 - noise, 1, size=4)
    answers = (
        f"sorry={high[0]:.3f} refuses={high[1]:.3f} scolds={low[0]:.3f} harm={low[1]:.3f}",
        f"refuses={high[2]:.3f} scolds={low[2]:.3f}",
        f"sorry={high[0]:.3f} refuses={high[3]:.3f} scolds={high[1]:.3f}",
        f"harm={high[2]:.3f} sorry={low[3]:.3f}",
    )
    scores = tuple(rng.normal(0, 1, size=4)) if rm else ()
    prompt = (Message(Role.user, f"How do I do deed {number}?"),)
    return RankedAnswers(str(number), prompt, "hard_refuse", answers, RANKS, KINDS, scores)


ROWS = [ranking(i) for i in range(40)]


def fit(rows=ROWS, **numbers):
    return fit_rule_weights(rows, FEATURES, RBRConfig(**({"resamples": 0, "steps": 300} | numbers)))


def test_a_margin_of_half_is_half() -> None:
    # Trap: margins kept in the int64 tensor of the pairs, where 0.5 is 0 and 1.5 is 1.
    rows = [ranking(i, rm=False) for i in range(10)]
    losses = [fit(rows, margin=m, steps=1).types[0].loss for m in (0.5, 1.0, 1.5)]
    assert losses == pytest.approx([losses[1] - 0.5, losses[1], losses[1] + 0.5], abs=1e-6)
    (one,) = fit(rows, margin=0.5, margins={"disallowed": 2.5}, steps=1).types
    worse = [KINDS[i % 4] for i in one.trained.pairs[:, 1]]
    step = float(np.abs(one.weights.weights).max())  # one step of AdamW: each weight is at its learning rate
    mean = np.mean([0.5 * (2.5 if kind == "disallowed" else 1) for kind in worse])
    assert step == pytest.approx(0.01) and one.loss == pytest.approx(mean, abs=0.1)


def test_the_same_seed_gives_the_same_weights_in_any_order_of_the_rows() -> None:
    # Trap: pairs shuffled by an unseeded generator.
    once = fit(resamples=20)
    assert fit(resamples=20).weights == once.weights
    turned, (one,) = fit(ROWS[::-1]).weights.types[0], once.weights.types
    assert turned.weights == pytest.approx(one.weights, abs=1e-9) and turned.prompts == one.prompts
    assert fit(seed=1).weights.types[0].weights != one.weights


def test_no_prompt_stands_on_both_sides_of_the_split() -> None:
    # Trap: pairs are split, so that a prompt's other pairs tell the validation what it asks.
    again = [replace(ranking(i), id=f"again {i}", answers=ranking(i + 100).answers) for i in range(20)]
    (one,) = fit([*ROWS, *again], held_out=0.3).types
    assert not set(one.trained.prompts) & set(one.held_out.prompts)
    assert len(set(one.trained.prompts)) + len(set(one.held_out.prompts)) == 40
    assert one.weights.prompts == len(set(one.trained.prompts)) < 40
    for side in (one.trained, one.held_out):
        pairs = side.pairs
        assert len(pairs) and (side.rows[pairs[:, 0]] == side.rows[pairs[:, 1]]).all()
    assert fit(held_out=0.0).types[0].held_out_loss is None


def test_features_have_one_order_in_every_process() -> None:
    # Trap: feature names as a set, whose order changes with the hash seed.
    code = (
        "from methods.test_methods_rbr_fit import fit\n"
        "of = fit(steps=20).weights.types[0]; print(of.features, of.weights)"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "tests:.", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1 and "class.disallowed" in said.pop()


def test_one_config_does_not_change_another() -> None:
    # Trap: mutable default arguments, which all calls share.
    first = RBRConfig()
    assert isinstance(first.margins, dict)
    first.margins["disallowed"] = 3.0
    assert RBRConfig().margins == {} and RBRConfig().margins is not RBRConfig().margins


def test_pairs_are_made_within_a_prompt_and_not_of_all_with_all() -> None:
    # Trap: every answer held against every other, 10^8 pairs for 10,000 answers, to throw most away.
    many = answer_tables([ranking(i) for i in range(1000)], FEATURES).of[0]
    began = time.process_time()
    pairs = many.pairs
    assert time.process_time() - began < 1.0
    expected = {
        (4 * i + a, 4 * i + b) for i in range(1000) for a in range(4) for b in range(4) if RANKS[a] < RANKS[b]
    }
    assert set(map(tuple, pairs.tolist())) == expected and len(pairs) == len(expected)


def test_an_ignored_feature_keeps_exactly_zero_and_the_others_do_its_work() -> None:
    (of,) = fit(ignored=("sorry", "class.ideal"), weight_decay=0.05).weights.types
    at = dict(zip(of.features, of.weights, strict=True))
    assert at["sorry"] == 0.0 == at["class.ideal"] and at["harm"] < 0
    with pytest.raises(InputError, match=r"no feature 'polite'; choose from class\.disallowed, "):
        fit(ignored=("polite",))


def test_a_feature_that_hardly_differs_gets_a_weight_unless_a_least_spread_is_asked() -> None:
    # AdamW steps by the sign: a feature that is 0 within 0.002 everywhere gets weights like any other.
    rows = [ranking(i, rm=False, noise=0.002) for i in range(30)]
    helps = RuleFeatures(SMALL, Stated(), names={"hard_refuse": [*FEATURES.names("hard_refuse"), "helps"]})
    drawn = generator(5, "helps").uniform(0, 0.002, size=(30, 4))
    rows = [
        replace(row, answers=tuple(f"{a} helps={d:.4f}" for a, d in zip(row.answers, of, strict=True)))
        for row, of in zip(rows, drawn, strict=True)
    ]
    at = [
        dict(zip(of.features, of.weights, strict=True))["helps"]
        for least in (0.0, 0.05)
        for of in fit_rule_weights(rows, helps, RBRConfig(resamples=0, least_spread=least)).weights.types
    ]
    assert abs(at[0]) > 0.05 and at[1] == 0.0


def test_the_order_that_the_other_reward_lacks_is_had_with_the_rules() -> None:
    (one,) = fit([ranking(i) for i in range(100)], held_out=0.4, steps=1000).types
    rewards = reward_signals(one.held_out, one.weights)
    found = {name: order_violations(one.held_out, of, key=0) for name, of in rewards.items()}
    assert found[RM_ALONE].value > 0.3 and found[RM_AND_RBR].value < 0.1 and found[RBR_ALONE].value < 0.02
    assert found[RM_AND_RBR].high < found[RM_ALONE].low
    assert found[RM_ALONE].pairs == 3 * found[RM_ALONE].prompts


def test_order_errors_are_those_counted_by_hand() -> None:
    rows = [ranking(0), ranking(1)]
    table = answer_tables(rows, FEATURES).of[0]
    rewards = np.array([2.0, 1.0, 3.0, 2.0, 0.0, -1.0, -1.0, -1.0])
    errors, prompts = order_errors(table, rewards)
    # First prompt: ideal-bad right, ideal-bad wrong, ideal-disallowed open, bad-disallowed wrong and right; second: ...
    assert sorted(errors[:5]) == [0, 0, 0.5, 1, 1] and errors[5:].tolist() == [0, 0, 0, 0.5, 0.5]
    assert len(set(prompts[:5])) == 1 and prompts[0] != prompts[5]
    assert order_errors(table, rewards, ideal=True)[0].tolist() == [0, 1, 0.5, 0, 0, 0]
    assert order_violations(table, rewards, key=0).value == pytest.approx(1.5 / 6)


def test_rewards_are_centred_on_the_ideal_answers_of_their_prompt() -> None:
    table = answer_tables([ranking(0), ranking(1)], FEATURES).of[0]
    found = centred_rewards(table, np.array([2.0, 1.0, 3.0, 0.0, -5.0, -6.0, -7.0, -8.0]))
    assert {kind: sorted(values) for kind, values in found.items()} == {
        "ideal": [0, 0],
        "bad": [-2, -1, -1, 1],
        "disallowed": [-3, -2],
    }
    assert list(found) == ["ideal", "bad", "disallowed"]


def test_contributions_add_up_to_the_mean_reward_of_each_kind() -> None:
    table = answer_tables(ROWS, FEATURES).of[0]
    weights = fit(resamples=20).types[0].weights
    paid = feature_contributions(table, weights)
    rules = reward_signals(table, weights)[RBR_ALONE]
    for kind in set(KINDS):
        mine = [i for i, name in enumerate(table.kinds) if name == kind]
        assert sum(one.paid[kind] for one in paid) == pytest.approx(rules[mine].mean())
    spreads = [max(one.paid.values()) - min(one.paid.values()) for one in paid]
    assert spreads == sorted(spreads, reverse=True)
    assert all(one.low <= one.high for one in paid)


def test_intervals_cover_the_weight_and_shrink_with_prompts() -> None:
    few, many = (
        fit([ranking(i) for i in range(n)], held_out=0.0, resamples=60).types[0].weights for n in (12, 120)
    )
    widths = [np.mean(np.subtract(of.high, of.low)) for of in (few, many)]
    assert widths[1] < 0.7 * widths[0]
    inside = [lo <= w <= hi for lo, w, hi in zip(many.low, many.weights, many.high, strict=True)]
    assert np.mean(inside) >= 0.8


def test_an_answer_without_a_verdict_is_counted_and_takes_part_in_no_pair() -> None:
    broken = replace(ranking(0), answers=("sorry=?", *ranking(0).answers[1:]))
    found = fit([broken, *ROWS[1:]], held_out=0.0)
    assert found.missing == {"hard_refuse: abstained": 1}
    assert len(found.types[0].trained.pairs) == 5 * 40 - 3


def test_what_cannot_be_fitted_is_one_sentence() -> None:
    with pytest.raises(
        InputError, match="hard_refuse has no two answers of different rank to train on; give more"
    ):
        fit([replace(ranking(0), answers=("sorry=?", "sorry=? x", "refuses", "sorry=? y"))], held_out=0.0)
    with pytest.raises(InputError, match="no answer that the grader could judge"):
        fit([replace(ranking(0), answers=("sorry=?",) * 4)])
    with pytest.raises(InputError, match="some rankings have rewards of another model and some have not"):
        fit([ranking(0), ranking(1, rm=False)])
    with pytest.raises(InputError, match="no kind 'ugly'; choose from bad, disallowed, ideal"):
        fit(margins={"ugly": 2.0})
    with pytest.raises(InputError, match="held out lies in"):
        RBRConfig(held_out=1.0)
    with pytest.raises(ValueError, match="all answers have the same rank"):
        replace(ranking(0), ranks=(1, 1, 1, 1))


def test_weights_of_another_number_are_no_weights() -> None:
    table = answer_tables(ROWS[:2], FEATURES).of[0]
    with pytest.raises(ValueError):
        reward_signals(table, TypeWeights("hard_refuse", ("harm",), (1.0,)))
