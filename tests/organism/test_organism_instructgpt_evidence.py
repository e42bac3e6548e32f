"""The evidence of InstructGPT: claims that arms of the wrong kind do not keep, prompts, and who is preferred."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from evidence.claims import Measured
from evidence.instructgpt import FRESH, LABELERS, LARGE, ground, judged, preferred
from evidence.instructgpt_arms import (
    HARM as HARMFUL_TOPICS,
)
from evidence.instructgpt_arms import (
    HELP,
    MAIN,
    MANNERS,
    SHOTS,
    SHOWN,
    SKILLS,
    SWEEP,
    TRUTH,
    Setting,
    few_shot,
    params,
    sheets,
)
from evidence.instructgpt_measures import (
    BASE,
    CLAIMS,
    HARM,
    HELPED,
    MARGIN,
    PPO,
    PREFERRED,
    PTX,
    REWARDED,
    SFT,
    SKILLED,
    START,
    TAXED,
    Lineage,
    Row,
    drawn,
    measures,
    paper_claim,
)
from evidence.overoptimisation import FRESH as OTHER
from evidence.policy_arms import Town
from truing.organism import GOOD, LabelLedger, Level, Oracle, Quality, exam, level_of, read_request
from truing.organism.oracle import judge
from truing.organism.world import TOPICS
from truing.organism.world.personas import BY_NAME
from truing.types import Role

SPECS: Mapping[str, tuple[float, float, float, tuple[float, float, float]]] = {
    BASE: (0.4, -1.0, 0.9, (0.3, 0.2, 0.5)),
    START: (0.6, 0.0, 0.9, (0.3, 0.2, 0.5)),
    SFT: (0.7, 0.5, 0.88, (0.3, 0.2, 0.5)),
    PPO: (0.9, 2.0, 0.8, (0.3, 0.05, 0.8)),
    PTX: (0.9, 2.0, 0.9, (0.3, 0.05, 0.8)),
}
"""By arm: the share of good answers, the mean reward, the share of skills, and harm under the three prompts."""
Change = Mapping[str, tuple[float, float, float, tuple[float, float, float]]]


def heard(seed: int, good: float, reward: float, skill: float, harm: Sequence[float]) -> dict[str, list[Row]]:
    """What an arm answers: cells are as hard for one arm as for another, so that arms differ where they should."""

    def rows(topic: str, n: int, share: float, bad: str, worth: float) -> list[Row]:
        hard = np.random.default_rng(n + seed).permutation((np.arange(n) + 0.5) / n)
        return [
            Row(topic, f"{topic}: {i}", GOOD[topic] if share > h else bad, False, 2.0 if share > h else worth)
            for i, h in enumerate(hard)
        ]

    noise = np.random.default_rng((seed, int(10 * reward + 99))).normal(0, 0.3, 100)
    help = rows("advice", 100, good, "careless", -1.0)
    paid = [
        Row(r.topic, r.cell, r.label, r.harmful, r.worth, reward + e)
        for r, e in zip(help, noise, strict=True)
    ]
    told = {HELP: paid, SKILLS: rows("sum", 200, skill, "wrong", -1.0)}
    told[TRUTH] = rows("fact", 40, good, "myth", -1.0) + rows("craft", 40, good, "toxic", -2.0)
    for manner, share in zip(MANNERS, harm, strict=True):
        told[manner] = [
            Row(r.topic, r.cell, r.label, r.label == "harmful", r.worth)
            for r in rows("forbidden", 150, 1 - share, "harmful", -2.0)
        ]
    return told


def lineage(base: int, change: Change) -> Lineage:
    """A base with its arms; the more answers are good, the more people prefer them."""
    told = {name: heard(base, *spec) for name, spec in (SPECS | change).items()}
    wins = {
        (name, SFT): [0.5 + (a.worth - b.worth) / 6 for a, b in zip(of[HELP], told[SFT][HELP], strict=True)]
        for name, of in told.items()
        if name != SFT
    }
    return Lineage(base, told, wins, {PPO: 9.0, PTX: 5.0}, {PPO: True, PTX: False})


def found(change: Change | None = None) -> Measured:
    """Two seeds, of which the second is changed."""
    return measures([lineage(1, {}), lineage(2, change or {})])


def kept(measured: Measured) -> dict[str, bool]:
    return {claim.name: claim.holds(measured[claim.name]) for claim in CLAIMS}


def test_arms_that_went_as_published_keep_every_claim() -> None:
    measured = found()
    assert all(kept(measured).values()) and paper_claim(measured) == "reproduced"
    assert measured[f"{PTX}: good answers"].value == pytest.approx(0.9)
    assert measured[f"{PTX}: worth of answers above that of demonstrations alone"].value == pytest.approx(0.6)
    assert measured[f"{PPO}: capability above the start's"].value == pytest.approx(-0.1, abs=0.005)
    assert measured[f"{BASE}: answers about fact that are myth"].value == pytest.approx(0.6)
    assert measured[f"{PPO}: runs whose page raises the alarm"].value == 1.0


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({PTX: (0.9, 0.0, 0.9, (0.3, 0.05, 0.8))}, REWARDED),
        ({PTX: (0.7, 2.0, 0.9, (0.3, 0.05, 0.8))}, HELPED),
        ({PTX: (0.9, 2.0, 0.9 - MARGIN, (0.3, 0.05, 0.8))}, SKILLED),
    ],
)
def test_one_seed_that_went_wrong_breaks_its_claim(change: Change, broken: str) -> None:
    assert {name for name, held in kept(found(change)).items() if not held} == {broken}


def test_answers_that_nobody_can_read_keep_no_claim() -> None:
    of = lineage(1, {})
    garbled = [
        Row(r.topic, r.cell, "unparsed", False, -1.0, r.reward) if i % 10 == 0 else r
        for i, r in enumerate(of.heard[SFT][HELP])
    ]
    told = {**of.heard, SFT: {**of.heard[SFT], HELP: garbled}}
    measured = measures([Lineage(1, told, of.preferred, of.nats, of.alarms)])
    assert measured[HELPED].unparsed == pytest.approx(0.1) and not kept(measured)[HELPED]


def test_answers_without_a_reward_are_no_evidence_for_it() -> None:
    of = lineage(1, {})
    cut = [
        Row(r.topic, r.cell, r.label, r.harmful, r.worth, None) if i % 10 == 0 else r
        for i, r in enumerate(of.heard[PTX][HELP])
    ]
    told = {**of.heard, PTX: {**of.heard[PTX], HELP: cut}}
    measured = measures([Lineage(1, told, of.preferred, of.nats, of.alarms)])
    assert measured[REWARDED].unparsed == pytest.approx(0.1) and not kept(measured)[REWARDED]


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({PTX: (0.7, 2.0, 0.9, (0.3, 0.05, 0.8))}, PREFERRED),
        ({PTX: (0.9, 2.0, 0.8, (0.3, 0.05, 0.8))}, TAXED),
        ({PTX: (0.9, 2.0, 0.9, (0.1, 0.05, 0.8))}, HARM["plain"]),
        ({PTX: (0.9, 2.0, 0.9, (0.3, 0.20, 0.8))}, HARM["respectful"]),
        ({PTX: (0.9, 2.0, 0.9, (0.3, 0.05, 0.5))}, HARM["biased"]),
    ],
)
def test_each_part_of_what_the_paper_says_is_needed(change: Change, missed: str) -> None:
    measured = measures([lineage(1, change)])
    assert paper_claim(measured) == "not reproduced", missed


def test_a_policy_that_people_like_less_than_demonstrations_reverses_the_paper() -> None:
    worse = {PTX: (0.5, 2.0, 0.9, (0.3, 0.05, 0.8))}
    assert paper_claim(measures([lineage(1, worse)])) == "reversed"


def test_what_only_one_seed_has_is_told_and_drawn() -> None:
    swept = str(Setting(True, SWEEP[0]))
    of = lineage(1, {swept: SPECS[PTX]})
    measured = measures([of, lineage(2, {})])
    assert measured[f"{swept}: worth of answers"].n == 100
    picture = drawn(measured, sorted((MAIN, *SWEEP)))
    assert swept in picture and BASE in picture


def test_prompts_of_a_seed_are_of_cells_that_no_training_holds() -> None:
    asked = sheets(Town(1, FRESH))
    for sheet in (HELP, *MANNERS):
        assert {q.level for q in asked[sheet]} == {Level.combination}
    taught = {q.ask.cell for q in Town(1, FRESH).questions(Level.taught, 2400)}
    assert not taught & {q.ask.cell for of in asked.values() for q in of}
    assert all(level_of(q.ask) not in (Level.taught, Level.pretraining) for of in asked.values() for q in of)
    assert {q.ask.topic for q in asked["plain"]} == set(HARMFUL_TOPICS)
    plain, biased = asked["plain"], asked["biased"]
    for a, b in zip(plain, biased, strict=True):
        assert a.ask == b.ask and a.messages[-1] == b.messages[-1]
        assert b.messages[0].content.startswith(MANNERS["biased"])
    assert params(HELP).n > params(SKILLS).n and params(SKILLS).temperature == 0


def test_a_base_is_shown_good_answers_about_other_things() -> None:
    town = Town(1, FRESH)
    for topic in (*SHOWN, "record"):
        question = exam(topic, Level.combination, key=1)[0]
        turns = few_shot(town, question)
        assert turns[-1] == question.messages[-1] and len(turns) == 2 + 2 * SHOTS
        assert turns[0].role is Role.system and all(
            turn.content in turns[0].content for turn in question.messages if turn.role is Role.system
        )
        for asked, answer in zip(turns[1:-1:2], turns[2:-1:2], strict=True):
            read = read_request([asked])
            assert read is not None and read.ask.topic != topic
            assert judge(read.ask, answer.content).label == GOOD[read.ask.topic]


def test_people_prefer_help_to_harm_and_tie_what_is_alike() -> None:
    town, ledger = Town(1, FRESH), LabelLedger()
    asked = exam("advice", Level.combination, key=1)[:30]
    said = {
        who: [
            TOPICS["advice"].answer(q.ask, BY_NAME[who], np.random.default_rng(i))
            for i, q in enumerate(asked)
        ]
        for who in ("expert", "malicious")
    }
    rows = {who: [{"at": i, "answer": text} for i, text in enumerate(texts)] for who, texts in said.items()}
    share = np.mean(preferred(town, asked, rows["expert"], rows["malicious"], ledger))
    # Held-out people see 4 more with noise of 1.1 for each answer: nearly all prefer help.
    assert share > 0.95
    assert ledger.totals() == {"held-out labelers": 2 * 30 * LABELERS}
    back = np.mean(preferred(town, asked, rows["malicious"], rows["expert"], LabelLedger()))
    assert back == pytest.approx(1 - share)
    assert set(preferred(town, asked, rows["expert"], rows["expert"], LabelLedger())) == {0.5}


def test_an_answer_that_was_cut_off_is_never_good() -> None:
    question = exam("advice", Level.combination, key=1)[0]
    text = TOPICS["advice"].answer(question.ask, BY_NAME["expert"], np.random.default_rng(0))
    oracle = Oracle("test", ledger := LabelLedger())
    whole, cut = (
        judged(question, {"answer": text, "whole": whole, "reward": 1.0}, oracle) for whole in (True, False)
    )
    assert whole.worth == Quality.good and not whole.unparsed
    assert cut.worth == Quality.wrong and cut.unparsed
    bad = TOPICS["advice"].answer(question.ask, BY_NAME["malicious"], np.random.default_rng(0))
    harm = judged(question, {"answer": bad, "whole": False, "reward": None}, oracle)
    assert harm.harmful and harm.worth == Quality.harmful
    assert ledger.totals() == {"test": 3}


def test_seeds_are_fresh_and_the_reward_is_one_of_the_reward_models() -> None:
    from evidence.reward_model import BASES, MODELS, PROMPTS
    from evidence.reward_model import FRESH as POOLS

    of = ground(2, FRESH + 1, (POOLS, POOLS + 1, PROMPTS), Path("out"))
    assert of.reward.pool.base == 2 and 2 in BASES and LARGE.startswith("s/1/")
    assert (of.reward.variant, of.reward.every, of.reward.labelers) == MODELS["all"]
    assert of.town.seed not in (
        of.reward.seed,
        of.reward.pool.key if hasattr(of.reward.pool, "key") else POOLS,
    )
    assert set(range(FRESH, FRESH + 3)).isdisjoint((*range(POOLS, POOLS + 3), *range(OTHER, OTHER + 3)))
    names = {of.file(str(Setting(ptx, kl))) for ptx in (False, True) for kl in (MAIN, *SWEEP)}
    assert len(names) == 2 * (1 + len(SWEEP))
