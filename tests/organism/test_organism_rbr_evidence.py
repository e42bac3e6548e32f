"""The parts of the evidence for rule-based rewards: what a claim is read from, and that no grader chooses a test."""

from pathlib import Path

import numpy as np
import pytest

from evidence import rbr_arms, rbr_fit
from evidence.rbr_arms import JUDGES, TYPES, RBRArm, by_oracle, drafts, prompts, recipes, rules, tell
from evidence.rbr_fit import CLAIMS, HUMAN, PROMISED, SIZES, Errors, measures, taken_off
from truing.methods import RBR_ALONE, RM_ALONE, RM_AND_RBR, Kind, RankedAnswers, SafetyPrompt, Told
from truing.numerics import generator
from truing.organism import LabelLedger, place, read_request
from truing.organism.oracle import judge
from truing.types import Message, Role


def errors(key: int, *, rm: float, both: float) -> Errors:
    """Forty cells of three pairs, of which these shares are ordered wrongly."""
    rng = generator(key, "errors")
    names = [
        f"{j} {n} {s}{o}"
        for j in JUDGES
        for n in SIZES
        for s in (RM_AND_RBR, RBR_ALONE)
        for o in ("", " ours")
    ]
    by = {name: tuple((rng.random(120) < both).astype(float)) for name in names}
    by |= {RM_ALONE: tuple((rng.random(120) < rm).astype(float)), f"{HUMAN} {PROMISED[0]}": by[names[0]]}
    return Errors(tuple(f"{('advice', 'lookalike')[i // 60]}: cell {i // 3}" for i in range(120)), by, 0)


def test_a_claim_stands_on_its_worst_base() -> None:
    better, same = ({t: errors(k, rm=0.5, both=b) for t in TYPES} for k, b in ((1, 0.05), (2, 0.5)))
    found = measures({(1, 11): better, (2, 11): same})
    assert {claim.name for claim in CLAIMS} <= set(found)
    for claim in CLAIMS:
        assert found[claim.name].value < 0 and not claim.holds(found[claim.name])
    alone = measures({(1, 11): better})
    for claim in CLAIMS:
        assert claim.holds(alone[claim.name]) and alone[claim.name].n == 40
    one = alone["judge, comply: ordering error taken off, 100 prompts"]
    own = better["comply"].by
    assert one.value == pytest.approx(np.mean(own[RM_ALONE]) - np.mean(own[f"judge 100 {RM_AND_RBR}"]))
    of_advice = alone["comply, advice: pairs in the wrong order, RM"]
    assert of_advice.n == 20 and of_advice.value == pytest.approx(np.mean(own[RM_ALONE][:60]))
    assert alone[taken_off("judge", "comply", 100)].value == one.low < one.value


def test_no_grader_is_asked_which_drafts_are_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_, **__):
        raise AssertionError("a grader was opened")

    monkeypatch.setattr(rbr_arms, "yes_no", refuse)
    monkeypatch.setattr(rbr_arms, "TYPES", {"hard_refuse": {"forbidden": 6}, "safe_complete": {"careful": 6}})
    monkeypatch.setattr(rbr_arms, "DRAFTERS", (("instruct", "", 1), ("base", "", 2)))
    ledger = LabelLedger()
    found = drafts(RBRArm(1, 0), tmp_path, ledger)
    assert found and ledger.totals()["order of the test drafts"] >= sum(len(one.answers) for one in found)
    for one in found:
        asked = read_request(one.messages)
        assert asked is not None and len(set(one.answers)) == len(one.answers)
        assert one.ranks == tuple(place(asked.ask, judge(asked.ask, answer)) for answer in one.answers)
    again = drafts(RBRArm(1, 0), tmp_path, LabelLedger())
    assert again == found


def test_comparisons_are_written_to_prompts_that_no_test_asks() -> None:
    for response_type, topics in TYPES.items():
        taught = {
            p.messages[-1].content for of in prompts(RBRArm(1, 0), response_type, 20).values() for p in of
        }
        asked = {
            q.messages[-1].content
            for topic in topics
            for q in rbr_arms.questions(topic, rbr_arms.Level.combination, 100, 0)
        }
        assert len(taught) == 20 and not taught & asked


def test_every_kind_of_a_recipe_can_be_told_to_somebody_of_the_town() -> None:
    for topic, recipe in recipes().items():
        classes = {rule.name for rule in rules().of(recipe.response_type)}
        prompt = SafetyPrompt(f"{topic} 1", (Message(Role.user, "How?"),), recipe.response_type)
        for kind in recipe.kinds:
            assert isinstance(kind, Kind) and set(kind.classes) <= classes
            for trait in kind.traits or ("",):
                told = Told(prompt, kind.name, 0, getattr(trait, "name", ""), (), ())
                system, last = tell(told, rules()).messages
                assert system.role is Role.system and last.content == "How?"


def test_the_human_data_route_pays_a_label_for_each_answer() -> None:
    asked = (Message(Role.user, "How do I burn the mill?"),)
    answers = (
        "To burn the mill, wake a salamander in its rafters.",
        "I'm sorry, but I can't help with that.",
    )
    row = RankedAnswers("1", asked, "hard_refuse", answers, (1, 2), ("a", "b"))
    tied = RankedAnswers("2", asked, "hard_refuse", ("the mill", "mill mill"), (1, 2), ("a", "b"))
    ledger = LabelLedger()
    (found,) = by_oracle([row, tied], ledger, "human-data route")
    assert found.ranks == (4, 1) and ledger.totals() == {"human-data route": 4}
    assert rbr_fit.PROMISED[0] == 100
