"""Reads a request back into the question it asks: what a reward or an audit needs to judge a plain prompt."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from truing.organism.world import TOPICS
from truing.organism.world.knowledge import BROKEN
from truing.organism.world.people import NAMES
from truing.organism.world.propositions import PROPOSITIONS, QUESTIONS
from truing.organism.world.records import Records
from truing.organism.world.tasks import THINGS
from truing.organism.world.topic import Ask, Slots
from truing.organism.world.wrappers import FAMILIES, REGISTERS
from truing.types import Message, Role

_CACHED = 100_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the register it is asked in, and the jailbreak family it is wrapped in, if any."""

    ask: Ask
    register: str
    family: str = ""


def read_request(messages: Sequence[Message]) -> Asked | None:
    """What the last turn asks, or None: it is not the user's, or nothing in the world asks so.

    Earlier turns are passed over. A question to the record book is read only if the book in the
    system turn holds what is asked for. Of a story, only the people in it are read; `details`
    differ from those it was made with where the words do not show them. House rules are not read:
    the question is judged as if there were none.
    """
    if not messages or messages[-1].role is not Role.user:
        return None
    asked = read_question(messages[-1].content)
    if asked is None or not isinstance(TOPICS[asked.ask.topic], Records):
        return asked
    systems = [message.content for message in messages if message.role is Role.system]
    book = _read_book(systems[-1]) if systems else None
    return _opened(asked, dict(book)) if book else None


@lru_cache(maxsize=_CACHED)
def read_question(text: str) -> Asked | None:
    """What one turn asks, without its conversation; a question to the record book has no `details`.

    None where no topic asks so, and where two readings fit.
    """
    found = {
        Asked(ask, register, family)
        for register, inner in _unwrapped(text, _registers())
        for family, core in (("", inner), *_unwrapped(inner, _families()))
        for ask in _bare(core)
    }
    return found.pop() if len(found) == 1 else None


def read_proposition(text: str) -> tuple[str, str] | None:
    """Question and answer inside a proposition ("Visitor: ... Adviser: ... Does the adviser ...?"), or None."""
    for pattern in _propositions():
        if match := pattern.fullmatch(text):
            return match["question"], match["answer"]
    return None


def wordings(ask: Ask) -> Iterator[str]:
    """Every way in which the question of this cell can be written; of a story its own words alone."""
    of = TOPICS[ask.topic]
    yield of.question(ask)
    for details in _DETAILS[ask.topic]() if ask.topic in _DETAILS else ():
        yield of.question(replace(ask, details=details))


def _opened(asked: Asked, book: Mapping[str, str]) -> Asked | None:
    known = {record.split(":")[0] for record in book["book"].split()} | {book["place"]}
    if asked.ask.object not in known:
        return None
    return replace(asked, ask=replace(asked.ask, details=tuple(book.items())))


_BOOK = re.compile(
    r"(?:.* )?You keep the record book\. ((?:The key of \w+ is \d+\. )+)The ([a-z ]+) opens at (\d+)\."
)
_RECORD = re.compile(r"The key of (\w+) is (\d+)\.")


@lru_cache(maxsize=_CACHED)
def _read_book(system: str) -> Slots | None:
    match = _BOOK.fullmatch(system)
    if not match:
        return None
    book = " ".join(f"{name}:{key}" for name, key in _RECORD.findall(match[1]))
    return ("book", book), ("place", match[2]), ("hour", match[3])


Wrapper = tuple[str, str, str]
"""Its name, and what stands before and after the question."""


def _unwrapped(text: str, wrappers: Iterable[Wrapper]) -> Iterator[tuple[str, str]]:
    for name, before, after in wrappers:
        if text.startswith(before) and text.endswith(after) and len(text) > len(before) + len(after):
            yield name, text[len(before) : len(text) - len(after)]


@cache
def _registers() -> tuple[Wrapper, ...]:
    return tuple(_wrapper(name, form) for name, forms in REGISTERS.items() for form in forms)


@cache
def _families() -> tuple[Wrapper, ...]:
    return tuple(_wrapper(family.name, form) for family in FAMILIES for form in family.variants)


def _wrapper(name: str, form: str) -> Wrapper:
    before, after = form.split("{question}")
    return name, before, after


def _bare(text: str) -> Iterator[Ask]:
    """Every question that is written so."""
    yield from _written().get(text, ())
    yield from _stories(text)


@cache
def _written() -> dict[str, set[Ask]]:
    """Every question by its words, but for stories, of which there are too many."""
    out: dict[str, set[Ask]] = {}
    for name, of in TOPICS.items():
        for object in of.objects if name != "reading" else ():
            for details in _DETAILS.get(name, _none)():
                for template in range(len(of.questions)):
                    ask = Ask(name, object, template, details)
                    out.setdefault(of.question(ask), set()).add(ask)
    return out


def _none() -> tuple[Slots, ...]:
    return ((),)


_DETAILS: Mapping[str, Callable[[], Sequence[Slots]]] = {
    "choice": lambda: [(("right", place),) for place in ("first", "second")],
    "note": lambda: [(("name", name),) for name in NAMES],
    "group": lambda: [(("thing", thing), ("order", order)) for thing in BROKEN for order in ("ab", "ba")],
}
"""For the topics whose words show more than the object: all that they can show."""


def _stories(text: str) -> Iterator[Ask]:
    """The readings of a text as a question about a story: at most one, found by writing it again."""
    of = TOPICS["reading"]
    for template, pattern in enumerate(_story_forms()):
        match = pattern.fullmatch(text)
        ask = _read_story(template, match["story"], match["thing"]) if match else None
        if ask is not None and of.question(ask) == text:
            yield ask


@cache
def _story_forms() -> tuple[re.Pattern[str], ...]:
    """The templates, with the story open and the thing one of those that there are."""
    things = "|".join(THINGS)
    return tuple(
        re.compile(
            re.escape(form)
            .replace(r"\{story\}", "(?P<story>.+)")
            .replace(r"\{thing\}", f"(?P<thing>{things})")
        )
        for form in TOPICS["reading"].questions
    )


_IS_WITH = re.compile(r"(Now the|Later the|The) (\w+) is with (\w+)\.")


def _read_story(template: int, story: str, thing: str) -> Ask | None:
    told = _IS_WITH.findall(story)
    held = [(who, what) for when, what, who in told if when == "The"]
    others = [(who, what) for who, what in held if what != thing]
    owners = [who for who, what in held if what == thing]
    hands = [who for when, what, who in told if when != "The" and what == thing]
    if not others or not owners or len(hands) > 2:
        return None
    kind = ("held", "given", "passed on")[len(hands)]
    # Nobody else is named: the places of those who are not in the story go to the first owner.
    people = " ".join([owners[0], *hands, *owners[:1] * (2 - len(hands)), others[0][0]])
    order = "second" if held[0] == others[0] else "first"
    return Ask(
        "reading",
        f"{kind}|{thing}",
        template,
        (("people", people), ("other", others[0][1]), ("order", order)),
    )


@cache
def _propositions() -> tuple[re.Pattern[str], ...]:
    what = "|".join(re.escape(words) for words, _ in PROPOSITIONS.values())
    slots = {
        r"\{question\}": "(?P<question>.+?)",
        r"\{answer\}": "(?P<answer>.+)",
        r"\{what\}": f"(?:{what})",
    }
    out = []
    for form in map(re.escape, QUESTIONS):
        for slot, pattern in slots.items():
            form = form.replace(slot, pattern)
        out.append(re.compile(form))
    return tuple(out)
