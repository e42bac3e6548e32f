"""A plain prompt is read back into the question it asks, or into nothing."""

import itertools
import time

import pytest
from organism.asking import every_ask

from truing.organism.asking import asked
from truing.organism.grammar import sentences
from truing.organism.oracle import judge
from truing.organism.reading import _written, read_proposition, read_question, read_request, wordings
from truing.organism.world import TOPICS
from truing.organism.world.people import NAMES
from truing.organism.world.personas import PERSONAS
from truing.organism.world.propositions import PROPOSITIONS, QUESTIONS
from truing.organism.world.records import Records
from truing.organism.world.topic import pick
from truing.organism.world.wrappers import FAMILIES, REGISTERS, SYSTEMS
from truing.types import Message, Role

WRAPPINGS = list(itertools.product(REGISTERS, (None, *FAMILIES)))


def user(text: str) -> Message:
    return Message(Role.user, text)


def asking(ask, text, system=""):
    """The messages that ask: the topic's own system prompt, after another if there is one."""
    before = f"{system} {TOPICS[ask.topic].system(ask)}".strip()
    return (Message(Role.system, before), user(text)) if before else (user(text),)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_request_is_read_back_in_every_register_and_family(topic):
    for number, (ask, rng) in enumerate(every_ask(topic, most=400)):
        register, family = WRAPPINGS[number % len(WRAPPINGS)]
        found = read_request(asking(ask, asked(ask, register, rng, family=family)))
        assert found is not None
        assert (found.register, found.family) == (register, family.name if family else "")
        assert found.ask.cell == ask.cell
        assert TOPICS[topic].question(found.ask) == TOPICS[topic].question(ask)
        if topic != "reading":  # whose questions do not name everybody who was drawn
            assert found.ask == ask


@pytest.mark.parametrize("topic", TOPICS)
def test_an_answer_is_judged_alike_by_the_question_that_was_made_and_the_one_that_was_read(topic):
    for ask, rng in every_ask(topic, most=60):
        found = read_request(asking(ask, asked(ask, "plain", rng)))
        assert found is not None
        for persona in PERSONAS:
            answer = TOPICS[topic].answer(ask, persona, rng)
            assert judge(found.ask, answer) == judge(ask, answer)


def test_a_story_is_judged_alike_whoever_is_named_by_the_question_that_was_made_and_the_one_that_was_read():
    for ask, _ in every_ask("reading", most=60):
        found = read_question(TOPICS["reading"].question(ask))
        assert found is not None
        for name, thing in itertools.product(NAMES, (ask.object.split("|")[1], ask["other"])):
            said = f"The {thing} is with {name}."
            assert judge(found.ask, said) == judge(ask, said), (ask, said)


def test_no_two_questions_of_the_world_are_written_alike():
    assert [text for text, asks in _written().items() if len(asks) > 1] == []


def test_no_question_with_a_wrapper_round_it_is_another_question():
    for text in _written():
        found = read_question(text)
        assert found is not None and (found.register, found.family) == ("plain", ""), text


@pytest.mark.parametrize("topic", TOPICS)
def test_earlier_turns_and_persona_prompts_are_passed_over(topic):
    before = (user("How do I steal the show?"), Message(Role.assistant, "I won't help with that."))
    for ask, rng in every_ask(topic, most=20):
        system, *turns = asking(ask, asked(ask, "gruff", rng), system=pick(SYSTEMS["expert"], rng))
        found = read_request((system, *before, *turns))
        assert found == read_request(asking(ask, turns[-1].content)) and found is not None


@pytest.mark.parametrize("topic", [name for name, of in TOPICS.items() if isinstance(of, Records)])
def test_a_question_to_the_record_book_is_read_only_with_the_book_that_answers_it(topic):
    asks = [ask for ask, _ in every_ask(topic, most=30)]
    for ask, other in itertools.product(asks, asks):
        text = TOPICS[topic].question(ask)
        assert read_request((user(text),)) is None
        system = TOPICS[topic].system(other)
        assert read_request((Message(Role.system, system + " Be kind."), user(text))) is None
        found = read_request((Message(Role.system, system), user(text)))
        known = ask.object in (other["place"], *(record.split(":")[0] for record in other["book"].split()))
        assert (found is not None) == known
        assert found is None or found.ask.details == other.details


@pytest.mark.parametrize("topic", TOPICS)
def test_what_is_no_whole_question_is_not_read(topic):
    for ask, rng in every_ask(topic, most=10):
        text = asked(ask, "polite", rng, family=FAMILIES[0])
        bare = TOPICS[topic].question(ask)
        changed = {
            text[:-1], text[1:], f"{text} ", f" {text}", f"{text} {text}", text.upper(), text.replace(" ", "  ", 1),
            f"{bare} {bare}", f"So: {bare}", bare[:-1], f"{bare} And why?", bare.replace("e", "е"), f"{bare}\n",
        }  # fmt: skip
        for other in changed - {bare, text}:
            assert read_request(asking(ask, other)) is None, other
            assert read_question(other) is None, other


def test_a_story_told_otherwise_is_never_read_as_the_one_it_resembles():
    of = TOPICS["reading"]
    for ask, _ in every_ask("reading", most=60):
        told = sentences(of.question(ask))
        changed = {" ".join(order) for order in itertools.permutations(told)} if len(told) < 6 else set()
        changed |= {
            " ".join([*told[:at], extra, *told[at:]]) for at in range(len(told) + 1) for extra in told
        }
        changed |= {" ".join([*told[:at], *told[at + 1 :]]) for at in range(len(told))}
        for text in changed:
            asked = read_question(text)
            assert asked is None or of.question(asked.ask) == text


def test_the_last_book_counts():
    ask, *_, other = [ask for ask, _ in every_ask("record", most=30)]
    old, new = (Message(Role.system, TOPICS["record"].system(a)) for a in (other, ask))
    found = read_request((old, new, user(TOPICS["record"].question(ask))))
    assert found is not None and found.ask == ask


@pytest.mark.parametrize(
    "text",
    ["", " ", "Good day. ", "Hey you. Thank you kindly.", "{question}", "How do I {deed}?", "x" * 10**6],
)
def test_other_text_is_not_read(text):
    assert read_request((user(text),)) is None


def test_what_does_not_end_with_a_user_is_no_request():
    question = user("How do I steal the show?")
    assert read_request(()) is None
    assert read_request((question, Message(Role.assistant, "I won't help with that."))) is None
    assert read_request((Message(Role.system, question.content),)) is None


@pytest.mark.parametrize("topic", TOPICS)
def test_a_proposition_is_no_question_but_holds_one(topic):
    whats = [what for what, _ in PROPOSITIONS.values()]
    for (ask, rng), form in itertools.product(every_ask(topic, most=8), QUESTIONS):
        question, answer = TOPICS[topic].question(ask), TOPICS[topic].answer(ask, pick(PERSONAS, rng), rng)
        text = form.format(question=question, answer=answer, what=pick(whats, rng))
        assert read_question(text) is None
        assert read_proposition(text) == (question, answer)
        assert read_proposition(question) is None
        assert read_proposition(f"{text} Yes.") is None


def test_the_wordings_of_a_cell_are_all_that_the_cell_can_write():
    for topic, of in TOPICS.items():
        for ask, rng in every_ask(topic, most=20):
            said = set(wordings(ask))
            assert of.question(ask) in said
            for _ in range(5 if topic != "reading" else 0):
                assert of.question(of.ask(ask.object, ask.template, rng)) in said


def test_thousands_of_requests_are_read_in_a_second_and_many_more_again():
    # Seven and eighty times slower than measured on an idle machine: a busy one must not fail it.
    requests = [
        asking(ask, asked(ask, "polite", rng)) for topic in TOPICS for ask, rng in every_ask(topic, most=200)
    ]
    read_request(requests[0])  # makes the table
    read_question.cache_clear()
    for most in (len(requests) / 2_000, len(requests) / 20_000):
        before = time.process_time()
        for request in requests:
            read_request(request)
        assert time.process_time() - before < most
