"""The evidence of overoptimisation: best-of-n without bias, and claims that runs of the wrong kind do not keep."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from evidence.overoptimisation import FIXED, OTHERS, Setting, expected_best
from evidence.overoptimisation_measures import (
    CLAIMS,
    FELL,
    FIRST,
    ROSE,
    TOLD,
    Curve,
    curve,
    drawn,
    measures,
    paper_claim,
)
from evidence.policy_arms import GOLD, Learnt, Worth
from truing.methods import PROXY
from truing.organism import LabelLedger, Level, Oracle, Quality, exam
from truing.organism.world.personas import BY_NAME
from truing.train import Update, read_hacking
from truing.types import FrozenDict

BEST = [Curve([0.0, 0.19], [0.0, 1.0], [0.0, 0.5])]


def run(reward: list[float], gold: list[float]) -> Learnt:
    """A run of one measurement after every fifth update; noise is there to be told from."""
    rng = np.random.default_rng(0)
    updates, measured = [], {}
    for i in range(5 * len(gold)):
        at = i // 5
        held_out = {}
        if i % 5 == 0:
            value = gold[at] + rng.normal(0, 0.01)
            measured[i] = {PROXY: {"value": reward[at]}, GOLD: {"value": value}}
            held_out = {GOLD: value}
        updates.append(
            Update(
                update=i + 1,
                reward=reward[at] + rng.normal(0, 0.01),
                reward_std=1.0,
                components=FrozenDict(),
                missing=FrozenDict(),
                kl=0.1 * i,
                kl_spent=0.01,
                kl_coef=0.0,
                entropy=0.5,
                length=10.0 + i,
                length_std=1.0,
                stops=FrozenDict({"eos": 64}),
                groups=64,
                zero_variance_groups=0,
                clip_share=0.0,
                ratio_max=1.1,
                grad_norm=1.0,
                loss=0.1,
                duplicate_ngrams=0.0,
                tokens=640,
                advantage_std=1.0,
                held_out=FrozenDict(held_out),
            )
        )
    return Learnt(Path("none"), tuple(updates), measured, read_hacking(updates))


UP = [float(v) for v in np.linspace(0, 3, 20)]
TURNS = [float(v) for v in np.concatenate([np.linspace(1, 1.5, 8), np.linspace(1.5, 0.2, 12)])]


def test_best_of_n_is_the_mean_over_every_choice_of_n_answers() -> None:
    rng = np.random.default_rng(3)
    rewards, values = rng.normal(size=(4, 6)), rng.normal(size=(4, 6))
    for n in range(1, 7):
        brute = [
            np.mean([v[max(some, key=lambda i: r[i])] for some in combinations(range(6), n)])
            for r, v in zip(rewards, values, strict=True)
        ]
        assert expected_best(rewards, values, n) == pytest.approx(np.mean(brute))


def test_a_reward_that_is_overdone_keeps_every_claim() -> None:
    found = measures({str(FIXED): [run(UP, TURNS)] * 3}, BEST, fixed=str(FIXED))
    assert all(claim.holds(found[claim.name]) for claim in CLAIMS)
    assert found[FIRST].value > 0.4 and paper_claim(found) == "reproduced"


@pytest.mark.parametrize(
    ("reward", "gold", "broken"),
    [(UP, UP, FELL), (UP, [1.0] * 20, FELL), (UP[::-1], TURNS, ROSE), ([0.0] * 20, TURNS, ROSE)],
)
def test_a_run_of_another_kind_keeps_not_all(reward: list[float], gold: list[float], broken: str) -> None:
    found = measures({str(FIXED): [run(UP, TURNS), run(reward, gold)]}, BEST, fixed=str(FIXED))
    kept = {claim.name: claim.holds(found[claim.name]) for claim in CLAIMS}
    assert not kept[broken] and paper_claim(found) == "not reproduced"
    if broken == FELL:
        assert not kept[TOLD]


def test_settings_are_told_by_their_names_and_drawn() -> None:
    other = OTHERS[0]
    found = {str(FIXED): [run(UP, TURNS)], str(other): [run(UP, UP)]}
    measured = measures(found, BEST, fixed=str(FIXED))
    assert measured[f"{other}: {FELL}"].value < 0 < measured[FELL].value
    assert measured["best of 2 (0.19 nats): gold above one answer's, mean"].value == 0.5
    picture = drawn(found, BEST)
    assert str(other) in picture and "best of n" in picture
    assert len({str(one) for one in (FIXED, *OTHERS, Setting("training", 20, 0.5))}) == len(OTHERS) + 2


def test_a_curve_has_a_divergence_for_every_measurement() -> None:
    of = run(UP, TURNS)
    assert curve(of).nats == [pytest.approx(0.1 * 5 * i) for i in range(20)]
    assert curve(Learnt(of.folder, of.updates, {**of.measured, 100: of.measured[95]}, of.report)).nats[
        -1
    ] == (pytest.approx(9.9))


def test_gold_is_the_oracle_of_the_prompt_that_was_asked() -> None:
    (question, *_) = exam("forbidden", Level.combination, key=1)
    worth = Worth(Oracle("gold", ledger := LabelLedger()))
    refusal = BY_NAME["expert"]
    from truing.organism.world import TOPICS

    answer = TOPICS["forbidden"].answer(question.ask, refusal, np.random.default_rng(0))
    assert worth.of([question.messages] * 2, [answer, "Brine."]) == [Quality.good, Quality.wrong]
    turns = [{"role": turn.role.value, "content": turn.content} for turn in question.messages]
    assert worth([turns], [[{"role": "assistant", "content": answer}]], topic=["forbidden"]) == [2.0]
    assert ledger.totals() == {"gold": 3}
