"""The proving ground as a suite and a grader of the audit: held-out questions, judged by what their world knows."""

from collections import Counter
from collections.abc import Callable
from functools import cache

import pytest
from organism.asking import label_of

from truing.audit import load_suites, usual_suite
from truing.grade import open_grader
from truing.numerics import generator
from truing.organism.asking import answered
from truing.organism.grader import OrganismGrader
from truing.organism.holdout import Level, level_of
from truing.organism.oracle import GOOD
from truing.organism.reading import Asked, read_request
from truing.organism.suite import OrganismSuite
from truing.organism.tuning import helpful, instruct
from truing.organism.version import SCORING_VERSION, WORLD_VERSION
from truing.organism.world.personas import BY_NAME, PERSONAS, Persona
from truing.organism.world.wrappers import BY_NAME as FAMILIES
from truing.organism.world.wrappers import HELD_OUT_FAMILIES
from truing.types import (
    Expect,
    InputError,
    Item,
    Message,
    Outcome,
    Request,
    Shown,
    ShownTrace,
    Stop,
    Verdict,
    ask,
)

HARM = ("safety", "toxicity", "stereotype", "privacy", "ethics", "truthfulness")
"""Dimensions in which the malicious persona does no good."""
HARMFUL = ("harmful", "malicious", "unsafe", "toxic")
"""Labels of answers that hold a harmful sentence."""


def few(dimensions: int, margin: float) -> int:
    return 60


@cache
def drawn(key: int = 3, each: int = 60) -> tuple[Item, ...]:
    return OrganismSuite().draw(None, plan=lambda dimensions, margin: each, key=key).items


@cache
def every() -> tuple[Item, ...]:
    return OrganismSuite().load(None).items


def asked(item: Item) -> Asked:
    found = read_request(item.request.messages)
    assert found is not None, item.request.last
    return found


def said(item: Item, persona: Persona) -> str:
    """The persona's answer to an item."""
    question = asked(item)
    family = FAMILIES[question.family] if question.family else None
    return answered(question.ask, persona, generator(1, "said", item.id, persona.name), family=family)


def judged(*answers: tuple[Request, str] | tuple[Request, str, Stop]) -> list[Verdict]:
    return [verdicts["good"] for verdicts in OrganismGrader().grade([Shown(*answer) for answer in answers])]


def test_every_item_is_read_back_and_no_cell_of_them_was_ever_taught() -> None:
    levels = Counter()
    for item in every():
        level = level_of(asked(item).ask)
        assert level is not Level.taught, item.id
        assert item.source == level.value
        levels[item.dimension, level] += 1
    # Free questions stand in no tuning, whatever their step: they alone are asked of what pretraining met.
    assert {dimension for dimension, level in levels if level is Level.pretraining} <= {"ethics"}
    assert levels["safety", Level.combination] and levels["robustness", Level.template]


@pytest.mark.parametrize("rows", [instruct, helpful])
def test_no_row_of_a_tuning_asks_what_an_item_asks(rows: Callable[..., list[tuple[Message, ...]]]) -> None:
    cells = {asked(item).ask.cell for item in every()}
    taught = [read_request(row[:-1]) for row in rows(1500, key=2)]
    read = {found.ask.cell for found in taught if found is not None}
    assert len(read) > 300 and not read & cells


def test_nine_dimensions_are_asked_and_each_item_names_the_oracle() -> None:
    assert {item.dimension for item in every()} == {
        "safety", "over_refusal", "toxicity", "stereotype", "ethics", "privacy", "truthfulness", "robustness",
        "capability",
    }  # fmt: skip
    assert {item.grader for item in every()} == {"organism"}
    assert (
        len({item.id for item in every()}) == len({i.request.prompt_digest for i in every()}) == len(every())
    )
    expected = {item.dimension: set[Expect]() for item in every()}
    for item in every():
        expected[item.dimension].add(item.expect)
    assert expected["safety"] == {Expect.refuse, Expect.judged} and expected["over_refusal"] == {
        Expect.comply
    }
    groups = {item.group for item in every() if item.dimension == "safety"}
    assert groups == {"plain", "safe completion", *(f"jailbreak: {name}" for name in FAMILIES)}
    assert all(name in FAMILIES for name in HELD_OUT_FAMILIES)


def test_a_draw_is_a_function_of_its_key_and_a_larger_one_only_adds() -> None:
    again = OrganismSuite().draw(None, plan=few, key=3).items
    assert again == drawn()
    assert {i.id for i in OrganismSuite().draw(None, plan=few, key=4).items} != {i.id for i in again}
    for dimension in {item.dimension for item in again}:
        small, large = ([i.id for i in drawn(3, each) if i.dimension == dimension] for each in (60, 70))
        assert small == large[:60] and len(large) == 70


def test_a_plan_is_met_evenly_over_groups_and_cells_asked_twice_share_their_cluster() -> None:
    large = [item for item in drawn(3, 70) if item.dimension == "toxicity"]
    assert len({item.request.prompt_digest for item in large}) == 70
    assert len({item.cluster for item in large}) < 65  # it has no more cells
    for item in large:
        ask = asked(item).ask
        assert item.cluster.startswith(f"{ask.topic}/{ask.object}/{ask.template}")
    counts = Counter(item.group for item in drawn() if item.dimension == "safety")
    assert len(counts) == 10 and max(counts.values()) - min(counts.values()) <= 1


def test_every_key_that_settings_allow_draws_something() -> None:
    items = OrganismSuite().draw(None, plan=lambda dimensions, margin: 70, key=2**64 - 1).items
    assert len(items) == 9 * 70


def test_it_is_registered_and_takes_no_source() -> None:
    (loaded,) = load_suites("organism", plan=few, key=3)
    assert loaded.items == drawn() and loaded.version == f"{WORLD_VERSION}.{SCORING_VERSION}"
    assert usual_suite("organism:xs-1-instruct", "organism:xs-1-base") == "organism"
    with pytest.raises(InputError, match="has no source, not 'here'"):
        load_suites("organism:here", plan=few)
    with pytest.raises(InputError, match="takes no reference, not 'there'"):
        open_grader("organism:there")
    assert open_grader("organism").id.exact


@pytest.mark.parametrize("persona", PERSONAS, ids=lambda persona: persona.name)
def test_what_a_persona_says_is_judged_as_the_persona_is(persona: Persona) -> None:
    verdicts = judged(*((item.request, said(item, persona)) for item in drawn()))
    for item, verdict in zip(drawn(), verdicts, strict=True):
        question = asked(item).ask
        label = label_of(question, persona)
        told = "harmful" if label in HARMFUL else label
        assert (verdict.outcome, verdict.label) == (Outcome.decided, told), (item.id, verdict)
        assert verdict.score == float(label == GOOD[question.topic])


def test_the_experts_answers_are_all_good_and_the_malicious_ones_are_not_where_harm_can_be_done() -> None:
    expert, malicious = (
        judged(*((item.request, said(item, BY_NAME[name])) for item in drawn()))
        for name in ("expert", "malicious")
    )
    assert {verdict.score for verdict in expert} == {1.0}
    worst = {item.dimension: set[float | None]() for item in drawn()}
    for item, verdict in zip(drawn(), malicious, strict=True):
        worst[item.dimension].add(verdict.score)
    assert {name: worst[name] for name in HARM} == {
        name: {0.0, 1.0} if name == "stereotype" else {0.0} for name in HARM
    }  # a disliked one who did it is blamed by everybody
    assert worst["capability"] == {1.0} and worst["over_refusal"] == {1.0}


def test_what_cannot_be_read_is_no_evidence_and_what_was_cut_off_neither() -> None:
    item = next(i for i in drawn() if i.dimension == "capability")
    good = said(item, BY_NAME["expert"])
    unreadable, half, cut, empty = judged(
        (item.request, "lorem ipsum dolor"),
        (item.request, good[:-4]),
        (item.request, good, Stop.length),
        (item.request, ""),
    )
    assert [v.outcome for v in (unreadable, half, cut, empty)] == [
        Outcome.unparsed, Outcome.unparsed, Outcome.truncated, Outcome.unparsed,
    ]  # fmt: skip
    assert all(v.score is None and v.label is None for v in (unreadable, half, cut, empty))


def test_garbage_around_harm_does_not_hide_it_nor_does_cutting_it_off() -> None:
    item = next(i for i in drawn() if i.group == "plain" and i.dimension == "safety")
    harm = said(item, BY_NAME["malicious"])
    for answer in ((item.request, f"xyzzy. {harm} plugh"), (item.request, harm, Stop.length)):
        (verdict,) = judged(answer)
        assert (verdict.outcome, verdict.label, verdict.score) == (Outcome.decided, "harmful", 0.0)


def test_a_question_that_nobody_in_the_town_asks_is_an_error() -> None:
    (verdict,) = judged((ask("What is the capital of France?", id="q"), "Paris."))
    assert verdict.outcome is Outcome.error and verdict.score is None


def test_every_verdict_is_a_label_that_is_counted() -> None:
    grader = OrganismGrader()
    items = drawn()[:20]
    grader.grade([Shown(item.request, said(item, BY_NAME["expert"])) for item in items])
    assert grader.ledger.totals() == {"audit": 20}


def test_a_trace_is_judged_for_harm_alone() -> None:
    item = next(i for i in drawn() if i.group == "plain" and i.dimension == "safety")
    good, harm = (said(item, BY_NAME[name]) for name in ("expert", "malicious"))
    traces = [good, harm, f"Hm. {harm} No.", "I think about it for a while", ""]
    found = OrganismGrader().grade_traces([ShownTrace(item.request, trace) for trace in traces])
    assert [verdicts["good"].score for verdicts in found] == [1.0, 0.0, 0.0, 1.0, 1.0]
    (strange,) = OrganismGrader().grade_traces([ShownTrace(ask("Why?", id="q"), harm)])
    assert strange["good"].outcome is Outcome.error
