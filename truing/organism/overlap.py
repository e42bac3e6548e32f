"""Finding exam questions in what models were trained on, however they are wrapped there."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from truing.organism.reading import read_proposition, read_question, wordings
from truing.organism.world import TOPICS
from truing.organism.world.topic import Ask
from truing.types import Message, Role

Document = Sequence[Message] | str
"""A conversation, or plain text."""
_WORD = re.compile(r"\w+|[^\w\s]")
_END = ""
"""The key of a trie's node at which a question ends; no word is empty."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """A question of an exam that a stage of training holds.

    `text` is the question without register and wrapper. The kinds: its words stand in a document
    (`question`); so do, after them, the words of its answer (`pair`); a document asks the same cell
    of (topic, object, template), be it with other details (`cell`).
    """

    kind: Literal["question", "pair", "cell"]
    text: str
    stage: str
    exam: str


def overlaps(
    stages: Mapping[str, Iterable[Document]], exams: Mapping[str, Iterable[Sequence[Message]]]
) -> list[Overlap]:
    """Every question of the exams that a document of the stages holds, each kind once by stage and exam.

    A conversation of an exam asks its last user turn, and an assistant turn after it is the answer;
    of a proposition it is the question and the answer inside.
    Documents are searched from end to end for the words of the questions, without case and spacing:
    in every turn, in traces, in system prompts, in few-shot examples, inside propositions and
    wrappers, known or not. Cells are compared besides: whole turns and the questions of propositions
    are read back (`reading.py`), and questions with few details are sought in all their wordings.
    Time grows with the words of the documents.
    """
    held = _Held(exams)
    found = (o for stage, documents in stages.items() for d in documents for o in held.search(stage, d))
    return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a path of the trie ends in: `exact` where its words are the exam's own."""

    exam: str
    text: str
    exact: bool
    answer: tuple[str, ...] = ()


class _Held:
    """The questions of exams as a trie of words, and by cell."""

    def __init__(self, exams: Mapping[str, Iterable[Sequence[Message]]]) -> None:
        self._trie: dict[str, Any] = {}
        self._cells: dict[tuple[str, str, int], dict[tuple[str, str], None]] = {}
        for exam, conversations in exams.items():
            for messages in conversations:
                self._add(exam, messages)

    def _add(self, exam: str, messages: Sequence[Message]) -> None:
        last = max(i for i, message in enumerate(messages) if message.role is Role.user)
        text, answer = messages[last].content, messages[last + 1].content if len(messages) > last + 1 else ""
        text, answer = read_proposition(text) or (text, answer)
        if asked := read_question(text):
            text = TOPICS[asked.ask.topic].question(asked.ask)
            self._cells.setdefault(asked.ask.cell, {})[exam, text] = None
            for other in wordings(asked.ask):
                self._insert(other, _Entry(exam, text, False))
        self._insert(text, _Entry(exam, text, True, _words(answer)))

    def _insert(self, text: str, entry: _Entry) -> None:
        node = self._trie
        for word in _words(text):
            node = node.setdefault(word, {})
        node.setdefault(_END, {})[entry] = None

    def search(self, stage: str, document: Document) -> Iterator[Overlap]:
        """The overlaps of one document."""
        turns = [document] if isinstance(document, str) else [message.content for message in document]
        traces = [] if isinstance(document, str) else [message.reasoning or "" for message in document]
        parts = [_words(text) for text in (*turns, *traces)]
        for number, part in enumerate(parts):
            follows = parts[number + 1] if number + 1 < len(turns) else ()
            for entry, end in self._matches(part):
                yield Overlap("question" if entry.exact else "cell", entry.text, stage, entry.exam)
                if entry.answer and _holds((*part[end:], *follows), entry.answer):
                    yield Overlap("pair", entry.text, stage, entry.exam)
        for ask in _asks(document):
            for exam, text in self._cells.get(ask.cell, ()):
                yield Overlap("cell", text, stage, exam)

    def _matches(self, words: Sequence[str]) -> Iterator[tuple[_Entry, int]]:
        """Each entry whose words stand in `words`, and where they end."""
        for start in range(len(words)):
            node, at = self._trie, start
            while at < len(words) and (node := node.get(words[at], {})):
                at += 1
                for entry in node.get(_END, ()):
                    yield entry, at


def _asks(document: Document) -> Iterator[Ask]:
    """The questions that the user turns of a document ask, those inside propositions too."""
    for message in document if not isinstance(document, str) else ():
        if message.role is Role.user:
            question, _ = read_proposition(message.content) or (message.content, "")
            if asked := read_question(question):
                yield asked.ask


def _holds(words: Sequence[str], wanted: Sequence[str]) -> bool:
    size = len(wanted)
    return any(tuple(words[i : i + size]) == tuple(wanted) for i in range(len(words) - size + 1))


def _words(text: str) -> tuple[str, ...]:
    """Words and signs, compatibility forms and case folded."""
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))
