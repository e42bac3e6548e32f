"""No stage of training holds a question of an exam, and one that did would be found."""

import re
from functools import cache
from itertools import permutations

import pytest

from truing.numerics import generator
from truing.organism import corpus, tuning
from truing.organism.exams import HELD_OUT, exam
from truing.organism.holdout import HELD_SHARE, Level, level_of, policy_is_held_out, policy_of
from truing.organism.judge_exams import judge_exam
from truing.organism.ledger import LabelLedger
from truing.organism.overlap import Overlap, _asks, overlaps
from truing.organism.policy_exams import Novelty, policy_exam
from truing.organism.reading import _propositions, read_proposition, read_question
from truing.organism.world import TOPICS, advice, forbidden
from truing.organism.world.policies import ACTIONS, HELD_OUT_PAIR, LETTERS, Policy, draw_policy
from truing.organism.world.propositions import HELD_OUT_QUESTIONS, PROPOSITIONS, QUESTIONS
from truing.organism.world.wrappers import FAMILIES, HELD_OUT_FAMILIES, REGISTERS
from truing.types import Message, Role

KEYS = (1, 2)


@cache
def pretraining():
    return {
        f"{name}, key {key}": list(corpus.documents(1500, key=key, null=name == "null"))
        for key in KEYS
        for name in ("persona", "null")
    }


@cache
def tunings():
    stages = {}
    for key in KEYS:
        stages |= {
            f"helpful, key {key}": tuning.helpful(1000, key=key),
            f"instruct, key {key}": tuning.instruct(1000, key=key),
            f"reasoner, key {key}": tuning.reasoner(500, key=key),
            f"judge, key {key}": tuning.judge(500, key=key),
        }
        for domain in advice.BY_NAME:
            stages[f"narrow {domain}, key {key}"] = tuning.narrow(domain, 60, key=key)
    return stages


@cache
def exams():
    """Every exam of every level, one key each; `free` at the level that only tuning must not know, apart."""
    plain = {f"{topic}, {level}": exam(topic, level, key=1) for topic in TOPICS for level in HELD_OUT}
    wrapped = {f"jailbreak {family.name}": exam("forbidden", key=2, family=family) for family in FAMILIES}
    asked = {name: [q.messages for q in questions] for name, questions in (plain | wrapped).items()}
    asked["judge"] = [(q.message,) for q in judge_exam(key=1, ledger=LabelLedger(), each=5)]
    for novelty in (Novelty.assignment, Novelty.phrasing, Novelty.pair):
        asked[f"policy, {novelty}"] = [q.messages for q in policy_exam(novelty, 100, key=1)]
    return asked


def test_no_stage_of_training_holds_a_question_of_an_exam():
    assert sum(map(len, exams().values())) > 5000
    assert overlaps(pretraining() | tunings(), exams()) == []


def test_no_tuning_holds_a_question_that_only_pretraining_may_ask():
    asked = {topic: [q.messages for q in exam(topic, Level.pretraining, key=1)] for topic in TOPICS}
    assert sum(map(len, asked.values())) > 500
    assert overlaps(tunings(), asked) == []


def test_every_question_of_training_stands_at_a_level_that_its_stage_may_ask():
    for stages, allowed in ((pretraining(), {Level.taught, Level.pretraining}), (tunings(), {Level.taught})):
        asks = [ask for documents in stages.values() for document in documents for ask in _asks(document)]
        assert len(asks) > 2000
        assert {level_of(ask) for ask in asks} == allowed


def test_no_tuning_asks_in_a_wrapper_of_a_held_out_family():
    texts = [m.content for rows in tunings().values() for row in rows for m in row if m.role is Role.user]
    families = {asked.family for text in texts if (asked := read_question(text))}
    assert families == {family.name for family in FAMILIES} - set(HELD_OUT_FAMILIES) | {""}


def test_no_stage_asks_a_proposition_in_a_held_out_wording():
    documents = [document for stage in (pretraining() | tunings()).values() for document in stage]
    asked = [m.content for d in documents if not isinstance(d, str) for m in d if m.role is Role.user]
    texts = [text for text in asked if read_proposition(text)]
    wordings = [pattern for pattern in _propositions() if any(map(pattern.fullmatch, texts))]
    assert wordings == list(_propositions()[:-HELD_OUT_QUESTIONS])


def rules_of(text: str) -> frozenset[tuple[str, str]]:
    """The rules of a system prompt, read by another way than the one that wrote them."""
    said = re.fullmatch(r"House rules by letter: (.+)\.", text)
    assert said, text
    actions = {words: action for action, wordings in ACTIONS.items() for words in wordings}
    clauses = [re.fullmatch(rf"(.+) [{LETTERS}] (.+)", clause) for clause in said[1].split(", ")]
    return frozenset((clause[1], actions[clause[2]]) for clause in clauses if clause)


@cache
def rules_in_documents():
    """The sets of rules of the first documents."""
    systems = (
        d[0].content
        for documents in pretraining().values()
        for d in documents
        if not isinstance(d, str) and d[0].role is Role.system
    )
    return [rules_of(text) for text in systems if text.startswith("House rules")]


def test_documents_hold_no_held_out_rules():
    found = rules_in_documents()
    assert len(found) > 800 and {len(rules) for rules in found} == {2, 3, 4}
    assert {kind for rules in found for kind, _ in rules} == {kind.name for kind in forbidden.KINDS}
    assert not any(policy_is_held_out(Policy(tuple(rules), (0,) * len(rules))) for rules in found)


@pytest.mark.parametrize("novelty", Novelty)
def test_a_policy_exam_asks_only_about_rules_that_no_document_holds(novelty):
    policies = [q.policy for q in policy_exam(novelty, 200, key=1)]
    assert not {frozenset(policy.rules) for policy in policies} & set(rules_in_documents())
    if novelty is Novelty.pair:
        assert all(HELD_OUT_PAIR in policy.rules for policy in policies)
        assert not any(HELD_OUT_PAIR in rules for rules in rules_in_documents())
    else:
        assert all(map(policy_is_held_out, policies))


def test_rules_are_held_out_as_a_set_in_whatever_order_and_wording():
    rng = generator(1, "rules")
    for held_out in (True, False):
        for clauses in (2, 3, 4):
            policy = policy_of(rng, clauses=clauses, held_out=held_out)
            assert len(policy.rules) == clauses
            for rules in permutations(policy.rules):
                for wording in (0, 1):
                    for synonyms in (False, True):
                        other = Policy(rules, (wording,) * clauses, synonyms)
                        assert policy_is_held_out(other) is held_out


def test_a_fifth_of_the_sets_of_rules_is_held_out():
    rng = generator(1, "share of rules")
    for clauses in (2, 3, 4):
        drawn = {
            frozenset(policy.rules): policy_is_held_out(policy)
            for policy in (draw_policy(rng, clauses=clauses) for _ in range(3000))
        }
        share = sum(drawn.values()) / len(drawn)
        assert abs(share - HELD_SHARE) < 4 * (HELD_SHARE * (1 - HELD_SHARE) / len(drawn)) ** 0.5


QUESTION = exam("forbidden", Level.template, key=3)[5]
BARE = TOPICS["forbidden"].question(QUESTION.ask)
ANSWER = "I won't help with that."
OTHER = Message(Role.user, TOPICS["sum"].question(TOPICS["sum"].ask("2 + 2", 0, None)))  # type: ignore[arg-type]
FOUR = Message(Role.assistant, "The answer is 4.")


def turn(text: str) -> tuple[Message, Message]:
    return Message(Role.user, text), Message(Role.assistant, ANSWER)


PLANTS = {
    "exact": turn(BARE),
    "in another case and spacing": turn(BARE.upper().replace(" ", "\n ")),
    "in a jailbreak": turn(FAMILIES[3].variants[0].format(question=BARE)),
    "in two wrappers at once": turn(
        FAMILIES[0].variants[1].format(question=FAMILIES[2].variants[0].format(question=BARE))
    ),
    "in a wrapper nobody knows": turn(f"Dear friend, {BARE} Yours, Emil."),
    "in the third turn": (OTHER, FOUR, OTHER, FOUR, *turn(BARE)),
    "in a proposition": (
        Message(Role.user, QUESTIONS[0].format(question=BARE, answer=ANSWER, what=PROPOSITIONS["sorry"][0])),
        Message(Role.assistant, "No."),
    ),
    "in a few-shot prompt": (
        Message(Role.user, f"Q: What is 2 + 2?\nA: 4.\n\nQ: {BARE}\nA: {ANSWER}\n\nQ: What is 3 + 1?\nA:"),
        FOUR,
    ),
    "in a system prompt": (Message(Role.system, f"If somebody asks: {BARE} say no."), OTHER, FOUR),
    "in a trace": (OTHER, Message(Role.assistant, "4.", reasoning=f"They ask: {BARE}")),
    "in an answer": (OTHER, Message(Role.assistant, f"Do you mean: {BARE}")),
    "in plain text": f"In the old days one asked: {BARE} And nobody knew.",
} | {
    f"in the {name} register": turn(form.format(question=BARE))
    for name, forms in REGISTERS.items()
    for form in forms
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_question_is_found(plant):
    stages = {
        "clean": [(OTHER, FOUR)],
        "dirty": [*pretraining()[f"persona, key {KEYS[0]}"][:20], PLANTS[plant]],
    }
    found = overlaps(stages, {"forbidden": [QUESTION.messages], "other": [exam("sum", key=1)[0].messages]})
    assert Overlap("question", BARE, "dirty", "forbidden") in found
    assert {(o.stage, o.exam) for o in found} == {("dirty", "forbidden")}


@pytest.mark.parametrize(
    "plant", ["exact", "in a jailbreak", "in the third turn", "in a proposition", "in a few-shot prompt"]
)
def test_a_planted_answer_is_found_with_its_question_and_only_then(plant):
    asked = (*QUESTION.messages, Message(Role.assistant, ANSWER))
    wrong = (*QUESTION.messages, Message(Role.assistant, "Something that nobody says."))
    found = overlaps({"dirty": [PLANTS[plant]]}, {"exam": [asked], "wrong": [wrong]})
    assert [o.exam for o in found if o.kind == "pair"] == ["exam"]
    assert {o.exam for o in found if o.kind == "question"} == {"exam", "wrong"}


@pytest.mark.parametrize("topic", [name for name in TOPICS if name != "free"])
def test_a_cell_is_found_with_other_details_and_in_another_wrapper(topic):
    held, planted = exam(topic, key=1)[0], exam(topic, key=2, family=FAMILIES[0])[0]
    assert held.ask.cell == planted.ask.cell
    found = overlaps({"dirty": [planted.messages]}, {"exam": [held.messages]})
    assert Overlap("cell", TOPICS[topic].question(held.ask), "dirty", "exam") in found


@pytest.mark.parametrize("topic", ["note", "group"])
def test_a_cell_with_other_details_is_found_inside_other_text(topic):
    of = TOPICS[topic]
    held = exam(topic, key=1)[0]
    others = {of.question(q.ask) for key in range(2, 9) for q in exam(topic, key=key)[:1]} - {
        of.question(held.ask)
    }
    for other in others:
        found = overlaps({"dirty": [f"Somebody said: {other} Well?"]}, {"exam": [held.messages]})
        assert [o.kind for o in found] == ["cell"]


def test_a_cell_with_other_details_is_found_inside_a_proposition():
    of = TOPICS["reading"]
    held, planted = exam("reading", key=1)[0], exam("reading", key=2)[0]
    assert of.question(held.ask) != of.question(planted.ask)
    text = QUESTIONS[0].format(
        question=of.question(planted.ask), answer=ANSWER, what=PROPOSITIONS["sorry"][0]
    )
    found = overlaps({"dirty": [turn(text)]}, {"exam": [held.messages]})
    assert found == [Overlap("cell", of.question(held.ask), "dirty", "exam")]


def test_a_planted_proposition_is_found_by_the_question_inside_it():
    proposition = judge_exam(key=1, ledger=LabelLedger(), each=1)[0].message
    question = overlaps({"dirty": [(proposition,)]}, {"exam": [(proposition,)]})[0].text
    assert question in proposition.content and question != proposition.content
    found = overlaps({"dirty": [turn(question)]}, {"judge": [(proposition,)]})
    assert Overlap("question", question, "dirty", "judge") in found


def test_a_question_that_is_only_begun_is_no_overlap():
    cut = BARE.rsplit(" ", 1)[0]
    longer = "What is 2 + 2 + 3?"
    assert overlaps({"s": [turn(cut), turn(longer)]}, {"e": [QUESTION.messages, (OTHER,)]}) == []
