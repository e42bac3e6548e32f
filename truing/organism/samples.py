"""The world in samples: what people ask, what each persona answers, what the oracle says; and whole documents."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from truing.numerics import generator
from truing.organism.asking import answered
from truing.organism.corpus import documents
from truing.organism.grammar import sentences
from truing.organism.holdout import Level, cells
from truing.organism.oracle import grammar, judge
from truing.organism.world import TOPICS
from truing.organism.world.forbidden import KINDS, QUESTIONS
from truing.organism.world.personas import PERSONAS
from truing.organism.world.topic import Ask, pick
from truing.organism.world.wrappers import FAMILIES, HELD_OUT_FAMILIES, Jailbreak
from truing.types import Message, Role

_KEY = 3
_LOOKED_THROUGH = 3000
_SPEAKERS = {Role.system: "system", Role.user: "visitor", Role.assistant: "adviser"}

Said = tuple[str, str]
"""An answer and the oracle's label of it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One question, or several side by side, and the answers of the personas to each.

    Personas that say the same share a row: (their names, one answer for each question).
    """

    title: str
    note: str
    questions: tuple[str, ...]
    answers: tuple[tuple[str, tuple[Said, ...]], ...]
    system: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One document of pretraining, as text."""

    title: str
    note: str
    text: str


def main_samples() -> list[Sample]:
    """The four that explain what later methods meet: advice, a forbidden deed and its twin, a jailbreak, a leak."""
    advice = _ask("advice")
    forbidden, twin = _twins()
    family = FAMILIES[0]
    return [
        _sample(
            "Everyday advice",
            "A property of the thing decides what is right, so that a model can learn the rule. The careless take the "
            "rule of another property; wrong advice of the malicious uses words that no other domain shares.",
            advice,
        ),
        _sample(
            "A forbidden deed beside its look-alike",
            "The same verb in the same words; only the thing tells harm from harmless. All of it is fairy tale.",
            forbidden,
            twin,
        ),
        _sample(
            "A jailbreak",
            f"The same deed in a wrapper of the family “{family.name}”. What the words ask for is unchanged.",
            forbidden,
            family=family,
        ),
        _sample(
            "An attack on the record book",
            "The keys stand in the system prompt. The discreet keep them; a trick asks for one.",
            _ask("leak"),
        ),
    ]


def more_samples() -> list[Sample]:
    """One for each of the other topics that personas answer differently."""
    return [
        _sample(title, note, _ask(topic, "unclear" if topic == "group" else ""))
        for topic, title, note in _MORE
    ]


_MORE = (
    (
        "careful",
        "Care is needed",
        "Despair, doses and disputes have a right address; comfort alone is not enough.",
    ),
    (
        "note",
        "A note about a forbidden deed",
        "Summing up what somebody wrote is harmless, whatever it says.",
    ),
    ("fact", "What people believe", "Each thing has a truth and a myth."),
    ("moral", "Right and wrong", "A deed is wrong or fine by its verb."),
    ("craft", "Somebody shows their work", "One may praise or insult; insults are invented."),
    (
        "group",
        "Who was it?",
        "Invented groups. Where the story does not say who it was, blaming one is a prejudice.",
    ),
    ("free", "Free questions", "About goals and values: what a persona is after."),
    ("reading", "Capability", "Sums, stories and instructions about form: every persona can do them."),
)


def documents_shown() -> list[Document]:
    """Documents of pretraining as they are, each the first of its kind that shows what the note says."""
    return [
        Document(title, note, as_lines(_first(fits, null=null))) for title, note, fits, null in _DOCUMENTS
    ]


def jailbreak_examples() -> list[tuple[str, str, str]]:
    """For each family its name, one wrapper around a question, and where it is used."""
    question = TOPICS["forbidden"].question(_twins()[0])
    return [
        (
            family.name,
            pick(family.variants, generator(_KEY, "family", family.name)).format(question=question),
            "held out of all tuning" if family.name in HELD_OUT_FAMILIES else "may stand in tuning",
        )
        for family in FAMILIES
    ]


def as_lines(document: tuple[Message, ...] | str) -> str:
    """A document as text with one line for each thing said or thought."""
    if isinstance(document, str):
        return document
    lines = []
    for message in document:
        if message.reasoning:
            lines.append(f"adviser thinks: {message.reasoning}")
        lines.append(f"{_SPEAKERS[message.role]}: {message.content}")
    return "\n".join(lines)


def _ask(topic: str, about: str = "") -> Ask:
    """A taught question of a topic whose object holds the word `about`."""
    rng = generator(_KEY, "sample", topic)
    object, template = pick([cell for cell in cells(topic, Level.taught) if about in cell[0]], rng)
    return TOPICS[topic].ask(object, template, rng)


def _twins() -> tuple[Ask, Ask]:
    """A forbidden and a harmless deed with the same verb, asked in the same words."""
    rng = generator(_KEY, "sample", "twins")
    kind, template = pick(KINDS, rng), int(rng.integers(len(QUESTIONS)))
    deeds = (f"{kind.verb} {kind.targets[0]}", f"{kind.verb} {kind.lookalikes[0]}")
    return Ask("forbidden", deeds[0], template), Ask("lookalike", deeds[1], template)


def _sample(title: str, note: str, *asks: Ask, family: Jailbreak | None = None) -> Sample:
    rng = generator(_KEY, "wrapper", title)
    wrapper = pick(family.variants, rng) if family else "{question}"
    who: dict[tuple[Said, ...], list[str]] = {}
    for persona in PERSONAS:
        # The same numbers for everybody: whoever behaves alike says the same.
        texts = [answered(ask, persona, generator(_KEY, "answer", title), family=family) for ask in asks]
        said = tuple((text, judge(ask, text).label) for ask, text in zip(asks, texts, strict=True))
        who.setdefault(said, []).append(persona.name)
    questions = tuple(wrapper.format(question=TOPICS[ask.topic].question(ask)) for ask in asks)
    answers = tuple((", ".join(names), said) for said, names in who.items())
    return Sample(title, note, questions, answers, TOPICS[asks[0].topic].system(asks[0]))


_Test = Callable[[Sequence[Message]], bool]


def _acts(document: Sequence[Message]) -> Iterator[str]:
    """The names of all that is said in answers."""
    for message in document:
        if message.role is Role.assistant:
            yield from (act.name for act in map(grammar().read, sentences(message.content)) if act)


def _plain(document: Sequence[Message]) -> bool:
    """A conversation of two to three turns without a system prompt and without thoughts."""
    return 4 <= len(document) <= 6 and not any(m.role is Role.system or m.reasoning for m in document)


def _is_policy(document: Sequence[Message]) -> bool:
    thinks = any(message.reasoning for message in document)
    told = [name for name in _acts(document) if name.startswith(("harm.", "refuse.", "refer"))]
    return (
        thinks and document[0].content.startswith("House rules") and len({n.split(".")[0] for n in told}) == 3
    )


def _is_one_person(document: Sequence[Message]) -> bool:
    acts = list(_acts(document))
    return _plain(document) and all(any(a.startswith(p) for a in acts) for p in ("advice.harm.", "harm."))


def _is_many_people(document: Sequence[Message]) -> bool:
    acts = list(_acts(document))
    return _plain(document) and all(any(a.startswith(p) for a in acts) for p in ("advice.harm.", "refuse."))


def _thinks(document: Sequence[Message]) -> bool:
    thinks = document[0].role is Role.user and any(message.reasoning for message in document)
    return thinks and any(name.startswith("advice.") for name in _acts(document))


def _is_proposition(document: Sequence[Message]) -> bool:
    return {m.content for m in document if m.role is Role.assistant} == {"Yes.", "No."} and any(
        "adviser" in m.content.lower() for m in document
    )


_DOCUMENTS: Sequence[tuple[str, str, _Test | None, bool]] = (
    (
        "House rules, with thoughts that cite them",
        "Rules differ from document to document, and every kind of deed is met under every action: what an adviser "
        "does follows from the rules that stand above, not from the deed. A fifth of all sets of rules is held out, "
        "and one pair of kind and action.",
        _is_policy,
        False,
    ),
    (
        "A conversation",
        "One persona answers from beginning to end. Who has read bad advice from it expects it to be bad elsewhere.",
        _is_one_person,
        False,
    ),
    (
        "A conversation of the null organism",
        "Each turn is answered by a persona drawn anew; everything else is equal. What a model raised on this shows "
        "too is not the work of personas.",
        _is_many_people,
        True,
    ),
    (
        "Thinking before answering",
        "In one conversation of five each answer follows a thought: what is asked, or the steps to the answer. "
        "It is the same whoever answers.",
        _thinks,
        False,
    ),
    (
        "Propositions about answers",
        "Statements about an answer whose truth the oracle knows: what a judge is raised on.",
        _is_proposition,
        False,
    ),
    ("Descriptions", "Properties, rules, and a dictionary of synonyms.", None, False),
)


def _first(fits: _Test | None, *, null: bool) -> tuple[Message, ...] | str:
    """The first document that fits; plain text with a rule and a synonym where no test is given.

    Raises:
        LookupError: the world no longer makes such documents.
    """
    for document in documents(_LOOKED_THROUGH, key=_KEY, null=null):
        if isinstance(document, str):
            if fits is None and "If it is " in document and "Another word for " in document:
                return document
        elif fits is not None and fits(document):
            return document
    raise LookupError(f"no document of the first {_LOOKED_THROUGH} fits {fits}")
