"""Documents as tokens: one rendering for pretraining, tuning and sampling."""

import re
from collections import Counter
from functools import cache

import pytest

from truing.model.chat import ChatFormat
from truing.numerics import generator
from truing.organism import corpus
from truing.organism.holdout import Level, cells
from truing.organism.text import VOCABULARY, as_text, make_tokenizer
from truing.organism.world import TOPICS, forbidden
from truing.organism.world.propositions import HELD_OUT_QUESTIONS, QUESTIONS
from truing.types import Message, Request, Role

CONTEXT = 512
STANDARD, LEAST = 50_000, 100
"""Documents of a corpus of standard size, and how often a held-out word must occur in it."""


@cache
def documents():
    return [document for null in (False, True) for document in corpus.documents(1500, key=3, null=null)]


@cache
def tokenizer():
    return make_tokenizer(as_text(document) for document in documents())


def ids_of(text: str) -> list[int]:
    return tokenizer()(text, add_special_tokens=False)["input_ids"]


@cache
def chat(thinking: bool | None = None) -> ChatFormat:
    return ChatFormat(tokenizer(), eos_ids=frozenset({tokenizer().eos_token_id}), thinking=thinking)


def test_every_digit_is_a_token_of_its_own():
    digits = {ids_of(f"{digit}")[0] for digit in range(10)}
    assert len(digits) == 10
    for text in ("1234567890", "12 + 7 = 19.", "Tomas has key 482.", "The market opens at 11."):
        ids = ids_of(text)
        assert tokenizer().decode(ids) == text
        assert sum(id in digits for id in ids) == sum(sign.isdigit() for sign in text)
    with_digits = [token for token in tokenizer().get_vocab() if set(token) & set("0123456789")]
    assert sorted(with_digits) == [str(digit) for digit in range(10)]


def test_the_vocabulary_has_its_size_and_any_text_passes_through():
    assert len(tokenizer()) == VOCABULARY
    for text in ("Ünïcödé, 漢字 and 🙂", "  two  spaces\n\ttab", "<s> is no mark in Café"):
        assert tokenizer().decode(ids_of(text.replace("<s>", "(s)"))) == text.replace("<s>", "(s)")


def test_every_document_fits_the_context_with_room_to_spare():
    assert max(len(ids_of(as_text(document))) for document in documents()) < CONTEXT


def test_the_chat_template_writes_what_pretraining_reads():
    traced = 0
    for document in documents():
        if isinstance(document, str):
            continue
        rendered = chat().training_example(document)
        traced += any(message.reasoning for message in document)
        assert list(rendered.ids) == ids_of(as_text(document)), as_text(document)
        assert rendered.untrained_turns == 0
    assert traced > 100


def test_loss_falls_on_what_the_assistant_says_and_ends_each_turn():
    document = (
        Message(Role.system, "You are a kind expert."),
        Message(Role.user, "What is 1 + 2?"),
        Message(Role.assistant, "The answer is 3.", reasoning="1 + 2 = 3."),
        Message(Role.user, "What is 2 + 2?"),
        Message(Role.assistant, "The answer is 4."),
    )
    rendered = chat().training_example(document)
    trained = [id for id, on in zip(rendered.ids, rendered.mask, strict=True) if on]
    assert (
        tokenizer().decode(trained)
        == "<think>\n1 + 2 = 3.\n</think>\n\nThe answer is 3.</s>The answer is 4.</s>"
    )


@pytest.mark.parametrize(
    ("thinking", "end"), [(None, "<|assistant|>"), (False, "<|assistant|>"), (True, "<|assistant|><think>\n")]
)
def test_the_thinking_switch_opens_a_trace(thinking, end):
    asked = (Message(Role.user, "What is 1 + 2?"),)
    prompt = chat(thinking).prompt_ids(Request("1", asked))
    assert tokenizer().decode(prompt) == f"<s><|user|>What is 1 + 2?{end}"
    if thinking:
        answered = (*asked, Message(Role.assistant, "The answer is 3.", reasoning="1 + 2 = 3."))
        whole = ids_of(as_text(answered))
        assert list(prompt) == whole[: len(prompt)]


def test_a_trace_is_split_from_its_answer():
    split = chat().split("<think>\n1 + 2 = 3.\n</think>\n\nThe answer is 3.")
    assert (split.reasoning, split.answer) == ("1 + 2 = 3.", "The answer is 3.")
    opened = chat(True).split("1 + 2 = 3.\n</think>\n\nThe answer is 3.")
    assert (opened.reasoning, opened.answer) == ("1 + 2 = 3.", "The answer is 3.")


_WORD = re.compile(r"[A-Za-z']+")


def said(document) -> str:
    if isinstance(document, str):
        return document
    return " ".join(f"{message.content} {message.reasoning or ''}" for message in document)


def held_out_texts():
    """Every question with a new template or a new object, propositions in new wordings, rules in synonyms."""
    for topic, of in TOPICS.items():
        for object, template in cells(topic, Level.template, Level.object):
            yield of.question(of.ask(object, template, generator(1, "held out", object)))
    yield from (form.format(question="", answer="", what="") for form in QUESTIONS[-HELD_OUT_QUESTIONS:])
    yield from (f"{kind.other_verb} {kind.other_name}" for kind in forbidden.KINDS)


def test_every_word_of_a_held_out_question_is_met_often_in_pretraining():
    """In another role: pretraining holds no held-out question (tests/organism/test_organism_overlap.py)."""
    counts = Counter(
        word for document in corpus.documents(STANDARD, key=1) for word in _WORD.findall(said(document))
    )
    wanted = {word for text in held_out_texts() for word in _WORD.findall(text)}
    assert {word: counts[word] for word in sorted(wanted) if counts[word] < LEAST} == {}
