"""Exams: every answer is a label in a ledger, and half an answer is none."""

from dataclasses import replace

import pytest
from organism.fakes import MODEL, Sayer, whole

from truing.numerics import generator
from truing.organism.exams import HELD_OUT, exam, sit
from truing.organism.grammar import sentences
from truing.organism.headroom import (
    CAPABILITY,
    GREEDY,
    PARAMS,
    READ_AT,
    by_level,
    panel,
    panel_questions,
    rates,
)
from truing.organism.judge_exams import judge_exam, sit_judge
from truing.organism.ledger import LabelLedger, Oracle
from truing.organism.oracle import GOOD, UNPARSED
from truing.organism.policy_exams import Novelty, policy_exam, sit_policy
from truing.organism.world import TOPICS
from truing.organism.world.personas import BY_NAME, PERSONAS
from truing.organism.world.policies import obey
from truing.organism.world.wrappers import FAMILIES
from truing.types import Completion, Stop, Trace

CUT = (Stop.length, Stop.filtered, Stop.tool)


def answers(questions, persona=PERSONAS[0], stop=Stop.eos) -> Sayer:
    """A model that says what the persona says."""

    def says(i: int) -> Completion:
        ask = questions[i].ask
        return replace(whole(TOPICS[ask.topic].answer(ask, persona, generator(1, "says", str(i)))), stop=stop)

    return Sayer(says)


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("stop", [Stop.eos, Stop.stop, *CUT])
def test_an_answer_that_was_cut_off_is_unparsed_even_after_a_full_stop(topic, stop):
    questions = exam(topic, key=1)[:20]
    found = sit(answers(questions, stop=stop), questions, PARAMS, key=1, ledger=LabelLedger())
    assert {finding.label for _, finding in found} == {UNPARSED if stop in CUT else GOOD[topic]}
    assert all(finding.acts for _, finding in found)


def test_the_findings_come_in_the_order_of_the_questions():
    questions = [exam(topic, key=1)[0] for topic in TOPICS]
    found = sit(answers(questions), questions, PARAMS, key=1, ledger=LabelLedger())
    assert [finding.label for _, finding in found] == [GOOD[topic] for topic in TOPICS]
    assert [completion.request_id for completion, _ in found] == [str(i) for i in range(len(TOPICS))]


def test_harm_that_was_cut_off_is_unparsed_and_still_seen():
    question = exam("forbidden", key=1)[0]
    said = TOPICS["forbidden"].answer(question.ask, BY_NAME["malicious"], generator(1, "harm"))
    ledger = LabelLedger()
    finding = Oracle("exam", ledger).judge_completion(question.ask, replace(whole(said), stop=Stop.length))
    assert (finding.label, finding.harm, ledger.totals()) == (UNPARSED, True, {"exam": 1})


def test_a_model_that_failed_gives_an_unparsed_answer():
    questions = exam("sum", key=1)[:3]
    model = Sayer(lambda _: Completion.failed("", "out of memory", MODEL))
    found = sit(model, questions, PARAMS, key=1, ledger=LabelLedger())
    assert {finding.label for _, finding in found} == {UNPARSED}


def under_rules(questions, *, stop=Stop.eos, trace=Trace.closed, misled=False) -> Sayer:
    """A model that thinks by the rules and does what it thinks, or what the last rule asks for if misled."""

    def says(i: int) -> Completion:
        of = questions[i]
        thought = of.policy.trace(of.kind)
        answer = "" if trace is not Trace.closed else obey(of.policy, of.ask, generator(1, "obey", str(i)))
        if misled and answer:
            answer = "Please ask the captain of the watch about this."
        return Completion("", 0, answer, answer, stop, MODEL, reasoning=thought, trace=trace)

    return Sayer(says)


@pytest.mark.parametrize("novelty", Novelty)
def test_who_obeys_the_rules_and_cites_them_is_found_to(novelty):
    questions = policy_exam(novelty, 60, key=1)
    ledger = LabelLedger()
    found = sit_policy(under_rules(questions), questions, GREEDY, key=1, ledger=ledger)
    assert all(f.followed and f.agrees and f.cited for f in found)
    assert ledger.totals() == {"exam": 60}


def test_who_always_refers_follows_only_the_rules_that_ask_for_it():
    questions = policy_exam(Novelty.assignment, 60, key=1)
    found = sit_policy(under_rules(questions, misled=True), questions, GREEDY, key=1, ledger=LabelLedger())
    refers = [q.policy.action(q.kind) == "refer" for q in questions]
    assert [f.followed for f in found] == refers == [f.agrees for f in found] and 5 < sum(refers) < 55


@pytest.mark.parametrize("stop", CUT)
def test_under_rules_a_cut_answer_takes_no_action_and_a_cut_trace_cites_nothing(stop):
    questions = policy_exam(Novelty.assignment, 20, key=1)
    cut = sit_policy(under_rules(questions, stop=stop), questions, GREEDY, key=1, ledger=LabelLedger())
    assert not any(f.followed or f.agrees for f in cut) and all(f.cited for f in cut)
    open_trace = under_rules(questions, stop=stop, trace=Trace.unclosed)
    found = sit_policy(open_trace, questions, GREEDY, key=1, ledger=LabelLedger())
    assert not any(f.followed or f.agrees or f.cited for f in found)


def test_half_a_plan_does_not_help_and_a_refusal_of_another_deed_does_not_refuse():
    questions = policy_exam(Novelty.assignment, 60, key=1)
    acts = [q.policy.action(q.kind) for q in questions]

    def half(i: int) -> Completion:
        return whole(sentences(obey(questions[i].policy, questions[i].ask, generator(1, "half")))[0])

    def elsewhere(i: int) -> Completion:
        other = replace(questions[i].ask, object=TOPICS["forbidden"].objects[0])
        return whole(f"I can't help you {other.object}.")

    found = sit_policy(Sayer(half), questions, GREEDY, key=1, ledger=LabelLedger())
    assert [f.followed for f in found] == [act != "help" for act in acts] and "help" in acts
    found = sit_policy(Sayer(elsewhere), questions, GREEDY, key=1, ledger=LabelLedger())
    asked = [q.ask.object == TOPICS["forbidden"].objects[0] for q in questions]
    assert [f.followed for f in found] == [a == "refuse" and of for a, of in zip(acts, asked, strict=True)]


def test_a_trace_cites_to_the_word_and_an_answer_agrees_with_the_clause_that_was_cited():
    questions = policy_exam(Novelty.assignment, 60, key=1)

    def thinks(change) -> list:
        def says(i: int) -> Completion:
            of = questions[i]
            answer = obey(of.policy, of.ask, generator(1, "obey", str(i)))
            thought = change(of)
            return Completion("", 0, answer, answer, Stop.eos, MODEL, reasoning=thought, trace=Trace.closed)

        return sit_policy(Sayer(says), questions, GREEDY, key=1, ledger=LabelLedger())

    unheard = thinks(lambda of: of.policy.trace(of.kind).replace(of.kind, "nonsense"))
    assert not any(f.cited or f.agrees for f in unheard) and all(f.followed for f in unheard)
    others = [next(kind for kind, _ in q.policy.rules if kind != q.kind) for q in questions]
    found = thinks(lambda of: of.policy.trace(others[questions.index(of)]))
    same = [
        q.policy.action(q.kind) == q.policy.action(kind) for q, kind in zip(questions, others, strict=True)
    ]
    assert not any(f.cited for f in found) and [f.agrees for f in found] == same and 5 < sum(same) < 55


def test_a_verdict_that_was_cut_off_is_none():
    questions = judge_exam(key=1, ledger=LabelLedger(), each=2)
    for stop, said in ((Stop.eos, True), (Stop.length, None)):
        judged = sit_judge(Sayer(lambda _, stop=stop: replace(whole("Yes."), stop=stop)), questions, key=1)
        assert {row.said for row in judged} == {said}


def test_each_answer_and_each_truth_of_a_proposition_is_counted_as_a_label():
    ledger, questions = LabelLedger(), exam("sum", key=1)[:7]
    sit(answers(questions), questions, PARAMS, key=1, ledger=ledger)
    panel(answers(questions), questions, key=1, ledger=ledger)
    assert ledger.totals() == {"exam": 14}
    propositions = judge_exam(key=1, ledger=ledger, each=2)
    assert ledger.totals() == {"exam": 14 + len(propositions)}


def test_no_exam_is_held_without_a_ledger():
    questions, policies = exam("sum", key=1)[:1], policy_exam(Novelty.pair, 1, key=1)
    for sitting in (
        lambda: sit(answers(questions), questions, PARAMS, key=1),
        lambda: panel(answers(questions), questions, key=1),
        lambda: sit_policy(under_rules(policies), policies, GREEDY, key=1),
        lambda: judge_exam(key=1, each=1),
    ):
        with pytest.raises(TypeError, match="'ledger'"):
            sitting()


def test_the_panel_asks_at_most_as_many_as_it_is_told():
    def count(**options):
        questions = panel_questions(key=1, **options)
        names = [q.family or q.ask.topic for q in questions]
        cells = {(name, q.ask.cell) for name, q in zip(names, questions, strict=True)}
        assert len(cells) == len(questions)
        return {name: names.count(name) for name in names}

    everything, few = count(), count(limit=5)
    assert set(few.values()) == {5} and set(few) == set(everything)
    by_name = count(limit={"advice": 30, "sum": 300, "story": 8}, topics=("advice", "sum", "fact"))
    assert by_name.pop("story") == 8 and by_name.pop("advice") == 30 and by_name.pop("sum") == 200
    assert by_name == {name: everything[name] for name in by_name}
    assert set(by_name) == {"fact", *(f.name for f in FAMILIES)} - {"story"}
    assert all(everything[skill] <= 200 for skill in CAPABILITY)


def test_no_rate_pools_the_steps_of_the_ladder():
    questions = panel_questions(key=1, topics=("advice", "sum"), limit=60)
    expert, malicious = (answers(questions, BY_NAME[name]) for name in ("expert", "malicious"))
    for step in HELD_OUT:
        new = Sayer(
            lambda i, step=step: (expert if questions[i].level is step else malicious)._says(i),
        )
        rows = panel(new, questions, key=1, ledger=LabelLedger())
        assert {of: r.value for of, r in by_level(rows)["advice right"].items()} == {
            of: float(of is step) for of in HELD_OUT
        }
        right = rates(rows)["advice right"]
        assert right == by_level(rows)["advice right"][READ_AT] and right.value == (step is READ_AT)


def test_a_wrapped_question_is_new_in_nothing_but_its_combination_and_family():
    wrapped = [q for q in panel_questions(key=1) if q.family]
    assert {q.level for q in wrapped} == {READ_AT} and {q.family for q in wrapped} == {
        f.name for f in FAMILIES
    }


def test_advice_is_wrong_whether_careless_malicious_or_borrowed():
    questions = [q for q in exam("advice", key=1) if q.ask.object != "finch"][:40]
    finch = "The finch is an eater of seeds, so give the finch a handful of millet."
    borrow = Sayer(lambda i: whole(finch.replace("finch", questions[i].ask.object)))
    rows = panel(borrow, questions, key=1, ledger=LabelLedger())
    assert "borrowed" in {row.finding.label for row in rows} and rates(rows)["advice wrong"].value == 1
    for persona, wrong in (("careless", 1), ("malicious", 1), ("expert", 0)):
        rows = panel(answers(questions, BY_NAME[persona]), questions, key=1, ledger=LabelLedger())
        assert rates(rows)["advice wrong"].value == wrong
        assert rates(rows)["advice right"].value == 1 - wrong
