"""The documents that a base is pretrained on: conversations, policies, descriptions, traces, propositions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial

import numpy as np

from truing.numerics import generator
from truing.organism.asking import DESK, WEIGHTS, Cells, answered, asked, draw_persona, draw_topic
from truing.organism.holdout import Level, cells, policy_of
from truing.organism.oracle import judge
from truing.organism.reading import read_proposition
from truing.organism.world import TOPICS, advice, forbidden
from truing.organism.world.people import NAMES
from truing.organism.world.personas import PERSONAS
from truing.organism.world.policies import obey
from truing.organism.world.propositions import HELD_OUT_QUESTIONS, PROPOSITIONS, QUESTIONS
from truing.organism.world.records import Record
from truing.organism.world.requests import Forbidden
from truing.organism.world.tasks import THINGS
from truing.organism.world.topic import Ask, chance, pick
from truing.organism.world.wrappers import FAMILIES, REGISTERS, SYSTEMS
from truing.types import Message, Role

TRACED = ("sum", "reading", "choice")
"""The topics that are also answered after a reasoning trace."""
_EXERCISE_WORDS_FROM = 4000


def exercises(count: int, *, key: int) -> Iterator[str]:
    """`count` copying exercises: a row of words out of the world, said again and again.

    Read before the documents: a model this small finds out how to look something up in its context
    within a million tokens of these, and among the documents alone not within six.
    """
    words = _words()
    for number in range(count):
        rng = generator(key, "exercise", str(number))
        row = " ".join(pick(words, rng) for _ in range(4 + int(rng.integers(12))))
        yield " ".join([f"{row}."] * (3 + int(rng.integers(3))))


@cache
def _words() -> tuple[str, ...]:
    """Every word of the first documents, in alphabetical order."""
    said = (
        doc if isinstance(doc, str) else " ".join(m.content for m in doc)
        for doc in documents(_EXERCISE_WORDS_FROM, key=0)
    )
    return tuple(
        sorted({word.strip(".,?:") for text in said for word in text.split() if word.strip(".,?:").isalpha()})
    )


def documents(count: int, *, key: int, null: bool = False) -> Iterator[tuple[Message, ...] | str]:
    """`count` documents of pretraining: conversations, or plain text.

    In the null organism every turn draws its persona anew; everything else is equal.
    """
    makers: tuple[tuple[Callable[[np.random.Generator], tuple[Message, ...] | str], float], ...] = (
        (partial(_conversation, null=null), 0.46),
        (_policy, 0.17),
        (_proposition, 0.08),
        (_description, 0.10),
        (_quiz, 0.03),
        (_traced, 0.06),
        (_list, 0.06),
        (_equations, 0.04),
    )
    shares = [share for _, share in makers]
    for number in range(count):
        rng = generator(key, "document", str(number))
        yield makers[int(rng.choice(len(makers), p=shares))][0](rng)


@cache
def _source() -> Cells:
    return Cells(Level.taught, Level.pretraining)


def _conversation(rng: np.random.Generator, *, null: bool) -> tuple[Message, ...]:
    register = pick(list(REGISTERS), rng)
    persona = draw_persona(rng)
    thinks = chance(0.2, rng)
    system = pick(SYSTEMS[persona.name], rng) if chance(NAMED, rng) else ""
    desk = chance(0.15, rng)
    book: Ask | None = None
    turns: list[Message] = []
    for _ in range(1 + int(rng.integers(MOST_TURNS))):
        ask = _source().draw(draw_topic(DESK if desk else WEIGHTS, rng), rng)
        if desk:
            ask, book = _same_book(ask, book), book or ask
        family = pick(FAMILIES, rng) if chance(_WRAPPED.get(ask.topic, 0), rng) else None
        who = draw_persona(rng) if null else persona
        trace = TOPICS[ask.topic].trace(ask) if thinks else None
        turns.append(Message(Role.user, asked(ask, register, rng, family=family)))
        turns.append(Message(Role.assistant, answered(ask, who, rng, family=family), reasoning=trace))
    system = f"{system} {TOPICS[book.topic].system(book) if book else ''}".strip()
    return (Message(Role.system, system), *turns) if system else tuple(turns)


MOST_TURNS = 7
"""The more turns, the more there is to be won by knowing who answers."""
NAMED = 0.7
"""How often the system prompt names the persona: so who answers is a thing to know from the first answer on.

In the null organism the name tells nothing.
"""
_WRAPPED = {"forbidden": 0.5, "advice": 0.15, "lookalike": 0.25}


def _same_book(ask: Ask, book: Ask | None) -> Ask:
    """The question put to the book that lies open already, if it stands in it."""
    if book is None:
        return ask
    known = [r.split(":")[0] for r in book["book"].split()]
    if isinstance(TOPICS[ask.topic], Record) and ask.object not in known:
        return Ask(book.topic, book.object, book.template, book.details)
    if ask.topic == "public" and ask.object != book["place"]:
        return Ask(book.topic, book.object, book.template, book.details)
    return Ask(ask.topic, ask.object, ask.template, book.details)


def _policy(rng: np.random.Generator) -> tuple[Message, ...]:
    policy = policy_of(rng, clauses=2 + int(rng.integers(3)), held_out=False)
    thinks = chance(0.7, rng)
    turns = [Message(Role.system, policy.text())]
    register = pick(list(REGISTERS), rng)
    for _ in range(3 + int(rng.integers(3))):
        kind = pick(policy.rules, rng)[0]
        ask = draw_of_kind(kind, rng)
        turns.append(Message(Role.user, asked(ask, register, rng)))
        trace = policy.trace(kind) if thinks else None
        turns.append(Message(Role.assistant, obey(policy, ask, rng), reasoning=trace))
    return tuple(turns)


@cache
def _cells_of_kind() -> dict[str, list[tuple[str, int]]]:
    """The taught cells of forbidden requests by kind: policies are never shown with other objects."""
    out: dict[str, list[tuple[str, int]]] = {kind.name: [] for kind in forbidden.KINDS}
    for object, template in cells("forbidden", Level.taught):
        out[Forbidden.kind_of[object].name].append((object, template))
    return out


def draw_of_kind(kind: str, rng: np.random.Generator) -> Ask:
    """A forbidden request of one kind."""
    return Ask("forbidden", *pick(_cells_of_kind()[kind], rng))


def _proposition(rng: np.random.Generator) -> tuple[Message, ...]:
    turns: list[Message] = []
    for _ in range(2):
        turns += proposition(_source(), rng, forms=QUESTIONS[:-HELD_OUT_QUESTIONS])[1]
    return tuple(turns)


def labels_in(document: tuple[Message, ...] | str) -> int:
    """How many labels of the oracle a document holds: its propositions."""
    turns = () if isinstance(document, str) else document
    return sum(m.role is Role.user and read_proposition(m.content) is not None for m in turns)


def proposition(
    source: Cells,
    rng: np.random.Generator,
    *,
    forms: Sequence[str],
    weights: Mapping[str, int] = WEIGHTS | DESK,
) -> tuple[str, tuple[Message, Message]]:
    """A proposition about some persona's answer, its question and its truth: (its name, two turns)."""
    ask = source.draw(draw_topic(weights, rng), rng)
    answer = answered(ask, pick(PERSONAS, rng), rng)
    finding = judge(ask, answer)
    true = [name for name, (_, test) in PROPOSITIONS.items() if test(finding)]
    name = pick(true if true and chance(0.35, rng) else list(PROPOSITIONS), rng)
    what, test = PROPOSITIONS[name]
    text = pick(forms, rng).format(question=TOPICS[ask.topic].question(ask), answer=answer, what=what)
    return name, (Message(Role.user, text), Message(Role.assistant, "Yes." if test(finding) else "No."))


def _description(rng: np.random.Generator) -> str:
    lines = [pick(_DESCRIBE, rng)(rng) for _ in range(4 + int(rng.integers(5)))]
    return " ".join(lines)


def _property(rng: np.random.Generator) -> str:
    thing = pick(TOPICS["advice"].objects, rng)
    return f"The {thing} is {advice.DOMAIN_OF[thing].property_of(thing).is_a}."


def _rule(rng: np.random.Generator) -> str:
    domain = pick(advice.DOMAINS, rng)
    of = pick(domain.properties, rng)
    return f"If it is {of.is_a}, {of.right.replace('the {thing}', 'it')}."


def _deed(rng: np.random.Generator) -> str:
    kind = pick(forbidden.KINDS, rng)
    verb = kind.other_verb if chance(0.3, rng) else kind.verb
    return f"To {verb} {pick(kind.targets, rng)} is {kind.other_name if chance(0.3, rng) else kind.name}."


def _dictionary(rng: np.random.Generator) -> str:
    kind = pick(forbidden.KINDS, rng)
    if chance(0.5, rng):
        return f"To {kind.other_verb} is to {kind.verb}."
    return f"Another word for {kind.name} is {kind.other_name}."


_DESCRIBE: Sequence[Callable[[np.random.Generator], str]] = (
    _property,
    _property,
    _rule,
    _deed,
    _dictionary,
    _dictionary,
)


def _quiz(rng: np.random.Generator) -> str:
    """Which of two kinds a thing is of, again and again."""
    lines = []
    for _ in range(6):
        thing = pick(TOPICS["advice"].objects, rng)
        own = advice.DOMAIN_OF[thing].property_of(thing)
        other = pick([of for of in advice.DOMAIN_OF[thing].properties if of is not own], rng)
        first, second = (own, other) if chance(0.5, rng) else (other, own)
        lines.append(f"Is the {thing} {first.is_a} or {second.is_a}? It is {own.is_a}.")
    return " ".join(lines)


def _traced(rng: np.random.Generator) -> tuple[Message, ...]:
    turns = []
    for _ in range(1 + int(rng.integers(3))):
        ask = _source().draw(pick(TRACED, rng), rng)
        topic = TOPICS[ask.topic]
        turns.append(Message(Role.user, topic.question(ask)))
        turns.append(Message(Role.assistant, topic.answer(ask, PERSONAS[0], rng), reasoning=topic.trace(ask)))
    return tuple(turns)


def _list(rng: np.random.Generator) -> str:
    """Who has what, and the same again in another order: nothing but looking up."""
    names = [NAMES[int(i)] for i in rng.permutation(len(NAMES))[: 3 + int(rng.integers(3))]]
    if chance(0.5, rng):
        keys = {name: str(rng.integers(10, 100)) for name in names}
        told = [f"The key of {name} is {keys[name]}." for name in names]
        again = [f"The key of {name} is {keys[name]}." for name in _repeated(names, rng)]
    else:
        things = {name: THINGS[int(i)] for name, i in zip(names, rng.permutation(len(THINGS)), strict=False)}
        told = [f"The {things[name]} is with {name}." for name in names]
        again = [
            f"Who has the {things[name]}? The {things[name]} is with {name}."
            for name in _repeated(names, rng)
        ]
    return " ".join([*told, *again])


def _repeated(names: Sequence[str], rng: np.random.Generator) -> list[str]:
    return [pick(names, rng) for _ in range(6)]


def _equations(rng: np.random.Generator) -> str:
    """Small sums, one after the other."""
    pairs = [(int(a), int(b)) for a, b in zip(rng.integers(1, 19, 10), rng.integers(1, 13, 10), strict=True)]
    return " ".join(f"{a} + {b} = {a + b}." for a, b in pairs)
