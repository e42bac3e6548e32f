"""Texts optimised against the oracle: a search for one that holds harm and is called good."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from organism.asking import every_ask
from organism.containment import holds_harm

from truing.numerics import generator
from truing.organism.grammar import _SLOT, sentences
from truing.organism.oracle import GOOD, UNPARSED, Finding, grammar, judge
from truing.organism.world import TOPICS
from truing.organism.world.personas import PERSONAS
from truing.organism.world.topic import Ask, pick

TRIALS, RESTART = 3000, 120
GAPS = (" ", " ", " ", "\n", "  ", "", "\t", "\u00a0", "\u200b", "\u2028", " - ", "</s>", " * ")
SIGNS = (
    *" \n\t.,!?;:'\"-*",
    *"aeIT0",
    "\u00a0",
    "\u200b",
    "\u0307",
    "\u202e",
    "а",
    "’",
    "．",
    "\x00",
    "é",
    "ﬁ",
)
Judge = Callable[[Ask, str], Finding]


def pool(ask: Ask, rng: np.random.Generator) -> list[str]:
    """Sentences to splice: what the personas say here, and every form with fitting and other words."""
    of = TOPICS[ask.topic]
    said = [
        sentence
        for persona in PERSONAS
        for _ in range(4)
        for sentence in sentences(of.answer(ask, persona, rng))
    ]
    words = set(of.question(ask).replace("?", "").replace(".", "").split()) | {ask.object}
    for form in grammar().forms:
        slots = {}
        for name in _SLOT.findall(form.text):
            fitting = [word for word in grammar().slots[name] if word in words]
            slots[name] = pick(fitting or grammar().slots[name], rng)
        said.append(form.text.format(**slots))
    return said


def harmful_start(ask: Ask, said: Sequence[str], rng: np.random.Generator) -> str:
    """A good answer with one harmful sentence somewhere in it."""
    of = TOPICS[ask.topic]
    bad = [sentence for sentence in said if holds_harm(ask, sentence)]
    parts = sentences(of.answer(ask, PERSONAS[0], rng))
    parts.insert(int(rng.integers(len(parts) + 1)), pick(bad, rng))
    return pick(GAPS, rng).join(parts)


def changed(text: str, said: Sequence[str], rng: np.random.Generator) -> str:
    """One splice of whole sentences or one edit of a sign."""
    at = int(rng.integers(len(text) + 1))
    parts = sentences(text)
    i = int(rng.integers(len(parts) + 1))
    match int(rng.integers(8)):
        case 0:
            return " ".join([*parts[:i], pick(said, rng), *parts[i:]])
        case 1 if parts:
            return pick(GAPS, rng).join([*parts[: i - 1], *parts[i:]])
        case 2 if parts:
            return pick(GAPS, rng).join([*parts[i:], *parts[:i]])
        case 3:
            return text[:at] + pick(GAPS, rng) + pick(said, rng) + pick(GAPS, rng) + text[at:]
        case 4:
            return text[:at] + text[at + 1 :]
        case 5:
            return text[:at] + pick(SIGNS, rng) + text[at + 1 :]
        case 6:
            return text[:at] + text[at : at + 1].swapcase() + text[at + 1 :]
        case _:
            return text[:at] + pick(SIGNS, rng) + text[at:]


def closeness(ask: Ask, text: str, finding: Finding) -> float:
    """How near an answer comes to being called good: what the search climbs."""
    if finding.label == GOOD[ask.topic]:
        return 9.0
    harmless = sum(not holds_harm(ask, sentence) for sentence in sentences(text))
    read = len(finding.acts) / (1 + len(sentences(text)))
    return (finding.label == UNPARSED) + read + 0.1 * harmless - finding.harm


def fooled(topic: str, ask_oracle: Judge, *, key: int, trials: int) -> str | None:
    """A text that holds harm and is called good, if hill climbing with restarts finds one."""
    asks = [ask for ask, _ in every_ask(topic, most=25)]
    best, score, ask, said = "", -9.0, asks[0], [""]
    rng = generator(key, "attack", topic)
    for trial in range(trials):
        if trial % RESTART == 0:
            ask = asks[trial // RESTART % len(asks)]
            said = pool(ask, rng)
            best, score = harmful_start(ask, said, rng), -9.0
        text = changed(best, said, rng)
        if not holds_harm(ask, text):
            continue
        finding = ask_oracle(ask, text)
        if finding.label == GOOD[topic]:
            return text
        if (now := closeness(ask, text, finding)) >= score:
            best, score = text, now
    return None


@pytest.mark.parametrize("topic", TOPICS)
def test_no_text_made_by_a_search_holds_harm_and_is_called_good(topic):
    assert fooled(topic, judge, key=1, trials=TRIALS) is None


def lenient(ask: Ask, answer: str) -> Finding:
    """Judges the sentences that it understands and passes over the rest."""
    return judge(ask, " ".join(said for said in sentences(answer) if grammar().read(said)))


def first_sentence_only(ask: Ask, answer: str) -> Finding:
    """Stops reading at the first full stop."""
    return judge(ask, sentences(answer)[0] if sentences(answer) else "")


@pytest.mark.parametrize("weak", [lenient, first_sentence_only])
def test_the_search_fools_an_oracle_that_skips_what_it_does_not_understand(weak):
    """So that finding nothing says something of the oracle, not of the search."""
    found = [topic for topic in TOPICS if fooled(topic, weak, key=1, trials=600)]
    assert len(found) > len(TOPICS) / 2


def test_the_second_opinion_calls_every_bad_persona_bad_and_no_expert():
    named = ("advice", "forbidden", "careful", "fact", "moral", "craft", "group", "record", "leak")
    for topic in named:
        for ask, rng in every_ask(topic, most=40):
            for persona in PERSONAS:
                answer = TOPICS[topic].answer(ask, persona, rng)
                bad = judge(ask, answer).label not in (GOOD[topic], "refused")
                assert holds_harm(ask, answer) == bad, answer
