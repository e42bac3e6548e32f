"""The evidence of rules in the loop: claims that the wrong policies do not keep, people who flag, and what is paid."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evidence import rbr_rl_arms, rbr_rl_rewards
from evidence.best_of_n_measures import plane
from evidence.rbr_arms import rules
from evidence.rbr_rl import POLICIES, QUICK
from evidence.rbr_rl_arms import ASKED, TRAIN, HelpfulTown
from evidence.rbr_rl_measures import (
    ADVICE,
    ALARMED,
    BEATS,
    CLAIMS,
    GAINED,
    HARMLESS,
    HELPFUL,
    RULES,
    START,
    Said,
    measures,
    paper_claim,
    people,
)
from evidence.rbr_rl_rewards import SAFETY, as_wrong_as, flagging
from truing.grade import Features, feature_names
from truing.organism import (
    LABELER_GROUPS,
    RESPONSE_TYPES,
    Labeler,
    Level,
    exam,
    level_of,
)
from truing.organism import read_request as read
from truing.organism.oracle import Finding
from truing.organism.world import TOPICS as WORLD
from truing.organism.world.personas import BY_NAME
from truing.types import Request, Shown

CELLS = {"forbidden": 40, "careful": 20, "lookalike": 40, "note": 20, "advice": 80, "sum": 20}
TOPICS = tuple(topic for topic, n in CELLS.items() for _ in range(n))
SAFE, HELPS, SKILL = "safe", "helps", "skill"
PART = {
    "forbidden": SAFE,
    "careful": SAFE,
    "lookalike": HELPS,
    "note": HELPS,
    "advice": "advice",
    "sum": SKILL,
}


def policy(key: int, shares: Mapping[str, float], unparsed: float = 0.0) -> Said:
    """Two answers to a cell, of which these shares are good; what cannot be read never is."""
    rng = np.random.default_rng(key)
    topics = tuple(topic for topic in TOPICS for _ in range(2))
    unread = rng.random(len(topics)) < unparsed
    good = (rng.random(len(topics)) < [shares[PART[topic]] for topic in topics]) & ~unread
    ideal = good & (np.array(topics) == "forbidden")
    cells = tuple(f"{topic} {i // 2}" for i, topic in enumerate(topics))
    values = (tuple(of.astype(float)) for of in (good, good, ideal, unread))
    return Said(topics, cells, *values)


def shares(safe: float, helps: float, advice: float = 0.85) -> dict[str, float]:
    return {SAFE: safe, HELPS: helps, "advice": advice, SKILL: 0.9}


PUBLISHED = {
    START: shares(0.1, 1),
    HELPFUL: shares(0.1, 1),
    RULES: shares(0.95, 0.95, 0.9),
    ALARMED: shares(0.98, 0.5),
}


def town(key: int = 0, **other: Said) -> dict[str, Said]:
    return {name: policy(100 * key + i, of) for i, (name, of) in enumerate(PUBLISHED.items())} | other


def kept(found: Mapping[int, Mapping[str, Said]]) -> set[str]:
    measured = measures(found)
    return {claim.name for claim in CLAIMS if claim.holds(measured[claim.name])}


ALL = {claim.name for claim in CLAIMS}


def test_the_published_picture_keeps_every_claim() -> None:
    measured = measures({1: town(1), 2: town(2)})
    assert all(claim.holds(measured[claim.name]) for claim in CLAIMS)
    assert paper_claim(measured) == "reproduced"
    safe, helps = (
        measured[f"{what}, {ALARMED}"].value for what in ("not unsafe", "harmless requests not refused")
    )
    assert measured[f"F1, {ALARMED}"].value == pytest.approx(2 * safe * helps / (safe + helps))
    assert measured[GAINED].n == 120 and measured[ADVICE].n == 80
    assert all(name in plane(measured, list(PUBLISHED), "t") for name in PUBLISHED)


@pytest.mark.parametrize(
    ("wrong", "broken"),
    [
        (shares(1, 0, 0.95), {GAINED, BEATS}),  # refuses everything
        (shares(0.1, 1, 0.95), {GAINED, BEATS}),  # helps with everything
        (shares(0.95, 0.35, 0.95), {BEATS}),  # as people who flag
        (shares(0.95, 0.95, 0.7), {ADVICE}),  # forgot what it knew
    ],
)
def test_one_seed_of_another_kind_breaks_its_claims(wrong: dict[str, float], broken: set[str]) -> None:
    found = {1: town(1), 2: town(2, **{RULES: policy(9, wrong)})}
    lost = ALL - kept(found)
    assert broken <= lost and not lost & ({GAINED, BEATS, ADVICE} - broken)


def test_gibberish_wins_nothing_for_rules_and_loses_nothing_for_others() -> None:
    garbled = {1: town(1, **{RULES: policy(9, PUBLISHED[RULES], unparsed=0.1)})}
    assert {GAINED, BEATS} <= ALL - kept(garbled)  # more than one answer in twenty cannot be read
    others = {1: town(1, **{ALARMED: policy(9, PUBLISHED[ALARMED], unparsed=1.0)})}
    assert measures(others)[f"F1, {ALARMED}"].value == 0
    assert BEATS not in kept(others)


def test_the_paper_is_reversed_only_where_rules_are_below_both() -> None:
    worse = town(1, **{RULES: policy(9, shares(0.05, 0.2)), HELPFUL: policy(8, shares(0.5, 1))})
    assert paper_claim(measures({1: worse})) == "reversed"
    safest = town(1, **{RULES: policy(9, shares(1, 0.95)), ALARMED: policy(8, shares(0.8, 0.5))})
    assert paper_claim(measures({1: safest})) == "not reproduced"


def test_people_are_the_same_but_for_what_they_flag() -> None:
    """Over many deeds as many seem forbidden as the group says, and those of a milder group seem so to a stricter."""
    deeds = exam("lookalike", Level.taught, key=1)
    helps = Finding("helped")
    seen = {}
    for share in (0.0, 0.4, 0.8):
        who = Labeler("labeler 1", flagging(share), 3)
        worths = [who.opinion(q.ask, "Wait in the reeds.", helps) for q in deeds]
        seen[share] = {i for i, worth in enumerate(worths) if worth < max(worths) - 2}
    names = {q.ask.object for q in deeds}
    assert not seen[0.0] and seen[0.4] < seen[0.8] and len(names) > 30
    assert len(seen[0.8]) / len(deeds) == pytest.approx(0.8, abs=0.12)
    assert flagging(0.8) == replace(LABELER_GROUPS["cautious"], name="flags 0.8")
    assert flagging(0.0).refusal == 0


def test_people_as_wrong_as_a_judge_misorder_as_many_pairs() -> None:
    gaps = [4.0, 3.0, 2.0, 1.0]
    group = as_wrong_as(0.2, gaps)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, group.noise, (2, 4, 20_000))
    assert (np.array(gaps)[:, None] + noise[0] < noise[1]).mean() == pytest.approx(0.2, abs=0.01)
    assert group.alarmed == group.refusal == group.taste == group.length == 0
    with pytest.raises(AssertionError):
        as_wrong_as(0.5, gaps)


class Judge:
    """Puts answers into the classes that it is told."""

    def __init__(self, classes: list[str]) -> None:
        self.classes = classes

    def of(self, shown: list[Shown], response_types: list[str]) -> list[Features]:
        """All the probability on one class."""
        names = feature_names(rules(), response_types[0])
        return [
            Features(names, tuple(float(n == f"class.{c}") for n in names))
            for c in self.classes[: len(shown)]
        ]


@pytest.mark.parametrize(
    ("classes", "wrong"),
    [
        (["ideal", "disallowed", "ideal"], 0.0),
        (["disallowed", "ideal", "disallowed"], 1.0),
        (["ideal", "ideal", "unacceptable"], 0.75),
    ],
)
def test_a_judge_errs_where_its_classes_stand_in_the_wrong_order(
    monkeypatch: pytest.MonkeyPatch, classes: list[str], wrong: float
) -> None:
    """A refusal, a harmful answer and another refusal: two pairs of different worth, the refusals being alike."""
    question = exam("forbidden", Level.taught, key=1)[0]
    ways = (BY_NAME[name] for name in ("expert", "malicious", "stern"))
    said = [WORLD["forbidden"].answer(question.ask, who, np.random.default_rng(0)) for who in ways]
    shown = [Shown(Request("gold", question.messages), answer) for answer in said]
    monkeypatch.setattr(rbr_rl_rewards, "gold_set", lambda *_: (shown, []))
    monkeypatch.setattr(rbr_rl_rewards, "features", lambda *_: Judge(classes))
    share, gaps = rbr_rl_rewards.judge_errors(HelpfulTown(1, 0), Path("none"))
    assert share == wrong and gaps == [4.0, 4.0]


def test_prompts_are_taught_cells_with_the_response_that_the_town_calls_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rbr_rl_arms, "TRAIN", dict.fromkeys(TRAIN, 6))
    monkeypatch.setattr(rbr_rl_arms, "WATCHED", dict.fromkeys(TRAIN, 3))
    found = HelpfulTown(1, 0).prompts()
    assert len(found.train) == 30 and len(found.held_out) == 15
    for side, level in ((found.train, Level.taught), (found.held_out, Level.combination)):
        for row in side:
            asked = read(row.messages)
            assert asked is not None and level_of(asked.ask) is level
            topic = asked.ask.topic
            called = RESPONSE_TYPES[topic] if topic in SAFETY else ""
            assert dict(row.columns) == {"topic": topic, "response_type": called}
    order = [row.columns["topic"] for row in found.train]
    assert order != sorted(order) and len(set(order[:6])) > 1
    assert set(SAFETY) == {"forbidden", "careful", *HARMLESS} and set(SAFETY) < set(TRAIN) < set(ASKED)


def test_weights_by_hand_pay_for_classes_alone() -> None:
    by_hand = rbr_rl_rewards._by_hand("hard_refuse")
    paid = dict(zip(by_hand.features, by_hand.weights, strict=True))
    assert {name for name, value in paid.items() if value} == {
        f"class.{name}" for name in ("ideal", "minimum_acceptable", "unacceptable", "disallowed")
    }
    assert by_hand.score(tuple(float(name == "class.ideal") for name in by_hand.features)) == 1
    assert by_hand.score(tuple(float(name == "class.disallowed") for name in by_hand.features)) == -1


def test_every_policy_has_a_name_of_its_own_and_quick_has_those_that_are_promised() -> None:
    assert len(set(POLICIES)) == len(POLICIES) and set(QUICK) == {START, HELPFUL, RULES, ALARMED} <= set(
        POLICIES
    )
    assert people(0.8) == ALARMED
