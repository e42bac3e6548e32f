"""The town's judges through `YesNo`: the words and verdicts of their exam, and what the evidence counts."""

import math
from dataclasses import replace

import pytest

from evidence import judges_organism
from evidence.claims import Options
from truing.grade import YesNo
from truing.model import TopTokens, load
from truing.organism import LabelLedger, as_shown, judge_exam, judge_forms, sit_judge
from truing.organism.world.propositions import PROPOSITIONS
from truing.types import Fingerprint, Message, Role


def questions(each=2):
    return judge_exam(key=5, ledger=LabelLedger(), each=each)


def test_every_question_of_the_exam_is_put_in_its_own_words_again():
    asked = questions(each=6)
    for question in asked:
        form, shown = as_shown(question)
        assert form in judge_forms(held_out=True)
        slots = {"conversation": shown.request.last, "response": shown.answer}
        text = form.template.format(question=form.questions[question.proposition], **slots)
        assert text == question.message.content
    assert len({as_shown(question)[0].template for question in asked}) > 1


def test_held_out_wordings_are_none_of_those_that_judges_are_raised_on():
    told = {(form.template, form.questions["myth"]) for form in judge_forms(held_out=False)}
    held_out = {(form.template, form.questions["myth"]) for form in judge_forms(held_out=True)}
    assert (len(told), len(held_out)) == (13, 3)
    assert not told & held_out
    assert all(set(form.questions) == set(PROPOSITIONS) for form in judge_forms(held_out=True))


def test_what_is_no_question_of_the_exam_is_refused():
    odd = replace(questions()[0], message=Message(Role.user, "Is it raining?"))
    with pytest.raises(ValueError, match="no held-out wording asks so: 'Is it raining"):
        as_shown(odd)


def test_the_judge_says_through_yes_no_what_it_says_when_it_is_sampled():
    judge, asked = load("organism:judge"), questions()
    sampled = sit_judge(judge, asked, key=1)
    read = judges_organism.sit(judge, asked)
    assert [one.judged for one in read] == sampled
    assert sum(row.said == row.truth for row in sampled) > 0.9 * len(asked)


def test_all_propositions_of_an_answer_are_asked_at_once():
    judge = load("organism:judge")
    form, shown = as_shown(questions()[0])
    (verdicts,) = YesNo(form.questions, model=judge, template=form.template).grade([shown])
    assert set(verdicts) == set(PROPOSITIONS)
    for name, verdict in verdicts.items():
        (alone,) = YesNo({name: form.questions[name]}, model=judge, template=form.template).grade([shown])
        assert alone[name].p == pytest.approx(verdict.p, abs=1e-5)


class Knows:
    """A judge that knows the truth of every question but of those of one proposition."""

    fingerprint = Fingerprint("knows")

    def __init__(self, asked, but):
        self.truths = {q.message.content: q.truth if q.proposition != but else None for q in asked}

    def top_tokens(self, requests):
        words = {True: "Yes.", False: " no", None: "Perhaps"}
        return [TopTokens((words[self.truths[r.last]],), (math.log(0.9),)) for r in requests]


def test_a_perfect_judge_is_right_everywhere_and_a_proposition_left_open_counts_as_wrong():
    asked = questions(each=3)
    found = judges_organism._told("judge", judges_organism.sit(Knows(asked, but="myth"), asked))
    mean = found["judge: mean of propositions"]
    assert mean.value == pytest.approx(12 / 13)
    assert mean.unparsed == pytest.approx(1 / 13)
    assert {name: m.value for name, m in found.items() if m.value not in (1.0, mean.value)} == {
        "judge: myth": 0.0
    }


def test_the_evidence_measures_all_that_it_promises_and_counts_its_labels(monkeypatch):
    monkeypatch.setattr(judges_organism, "EACH", 2)
    ledger = LabelLedger()
    found = judges_organism.measure(Options(quick=True), ledger)
    assert {claim.name for claim in judges_organism.CLAIMS} <= set(found)
    assert found["a judge that always says yes: mean of propositions"].value == 0.5
    assert {f"weak judge: {name}" for name in PROPOSITIONS} <= set(found)
    assert ledger.totals()["exam"] == 2 * 2 * len(PROPOSITIONS)
    assert ledger.totals()["judge training"] == 16_000 + 2300
