"""Numbers that say how an answer is made, whatever it is about: for rewards that can be read."""

import re
from collections.abc import Sequence
from itertools import pairwise
from math import log1p

from truing.grade.moderation.features import words
from truing.grade.refusal_signs import Signs
from truing.grade.refusal_words import IMPOSSIBLE, INSTEAD, OFFERING, RESOURCE
from truing.types import Message, Role

STYLE = (
    # how long it is
    "length (log)",
    "length (log, squared)",
    "length up to 600 characters",
    "under 40 characters",
    "under 90 characters",
    "sentences (log)",
    "words of a sentence (log)",
    "letters of a word",
    # how it is written
    "asks something",
    "ends with a question",
    "questions",
    "exclaims",
    "lines",
    "a list",
    "numbers",
    "stops in mid-sentence",
    "I, share of words",
    "you, share of words",
    "hedges",
    "different words, share",
    "different word triples, share",
    # what it does with the request
    "declines",
    "condemns",
    "does not know",
    "lectures, share of sentences",
    "speaks of what is impossible",
    "names a resource",
    "offers more help",
    "proposes something else",
    # what it takes from the conversation
    "share of the request's words taken up",
    "takes up none of them",
    "new words, share",
    "new words (log)",
    "repeats earlier answers",
)
"""The name of each number of `answer_style`."""
_LIST = re.compile(r"^\s*(?:\d+[.)]|[-*•])\s", re.MULTILINE)
_HEDGE = re.compile(
    r"\b(?:maybe|might|perhaps|possibly|probably|i think|i guess|i believe|not (?:\w+ )?sure|seems?)\b"
)
_END = re.compile(r"[.!?:;)\]}\"'”’…]\s*$")
_COMMON = frozenset((
    "a", "about", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do", "does",
    "for", "from", "had", "has", "have", "how", "i", "if", "in", "is", "it", "its", "just", "me", "my", "not", "of",
    "on", "or", "our", "she", "he", "so", "than", "that", "the", "their", "them", "then", "there", "they", "this",
    "to", "us", "was", "we", "were", "what", "when", "which", "who", "will", "with", "would", "you", "your",
))  # fmt: skip


def answer_style(prompt: Sequence[Message], answer: Sequence[Message]) -> tuple[float, ...]:
    """The numbers that `STYLE` names, of the assistant's words in `answer` after the conversation `prompt`."""
    text = said(answer)
    asked = next((turn.content for turn in reversed(prompt) if turn.role is Role.user), "")
    found, lower = words(text), text.lower()
    signs = Signs.of(asked, text)
    sentences = max(1, len(signs.sentences))
    letters, length = sum(map(len, found)), log1p(len(text))
    return (
        length,
        length * length,
        min(len(text), 600) / 100,
        float(len(text) < 40),
        float(len(text) < 90),
        log1p(sentences),
        log1p(len(found) / sentences),
        letters / max(1, len(found)),
        float("?" in text),
        float(text.rstrip().endswith("?")),
        float(min(text.count("?"), 4)),
        float("!" in text),
        float(min(text.count("\n"), 12)),
        float(bool(_LIST.search(text))),
        float(min(sum(word.isdigit() for word in found), 8)),
        float(not _END.search(text)),
        _share(found, {"i", "i'm", "i'd", "i'll", "i've"}),
        _share(found, {"you", "your", "you're", "you'll", "you'd"}),
        float(min(len(_HEDGE.findall(lower)), 4)),
        len(set(found)) / max(1, len(found)),
        *_taken(signs, sentences, found),
        *_from_conversation(prompt, asked, found),
    )


def said(answer: Sequence[Message]) -> str:
    """What the assistant says in the turns of an answer."""
    return "\n".join(turn.content for turn in answer if turn.role is Role.assistant)


def _taken(signs: Signs, sentences: int, found: Sequence[str]) -> tuple[float, ...]:
    triples = list(zip(found, found[1:], found[2:], strict=False))
    has = [
        sum(bool(marks & bit) for marks in signs.marks) for bit in (IMPOSSIBLE, RESOURCE, OFFERING, INSTEAD)
    ]
    return (
        len(set(triples)) / max(1, len(triples)),
        float(signs.declines is not None),
        float(signs.condemns is not None),
        float(signs.lacks_access),
        signs.lectures / sentences,
        *(float(min(n, 3)) for n in has),
    )


def _from_conversation(prompt: Sequence[Message], asked: str, found: Sequence[str]) -> tuple[float, ...]:
    wanted, own = set(words(asked)) - _COMMON, set(found) - _COMMON
    known = {word for turn in prompt for word in words(turn.content)}
    told = [words(turn.content) for turn in prompt if turn.role is Role.assistant]
    earlier = {pair for turn in told for pair in pairwise(turn)}
    pairs, taken = list(pairwise(found)), len(own & wanted)
    return (
        taken / max(1, len(wanted)),
        float(not taken),
        len(own - known) / max(1, len(own)),
        log1p(len(own - known)),
        sum(pair in earlier for pair in pairs) / max(1, len(pairs)),
    )


def _share(found: Sequence[str], which: set[str]) -> float:
    return sum(word in which for word in found) / max(1, len(found))
