"""Sentences with slots: written from a form, and read back into it. The same table does both."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

_SLOT = re.compile(r"\{(\w+)\}")
_END = re.compile(r"(?<=[.!?])\s+")
_CACHED = 200_000
"""How many different sentences a grammar remembers: some 50 MB at most."""


@dataclass(frozen=True, slots=True)
class Form:
    """One way to say something: `act` names what is said, `text` is a sentence with `{slots}`."""

    act: str
    text: str


@dataclass(frozen=True, slots=True)
class Act:
    """What one sentence was read as: the act of its form, and the surface of each slot."""

    name: str
    slots: tuple[tuple[str, str], ...] = ()

    def __getitem__(self, slot: str) -> str:
        return dict(self.slots)[slot]


class Grammar:
    """Reads sentences by a fixed list of forms; what no form writes, to the letter, is not read.

    Two forms may not read one sentence differently: `read` gives the first, and a test holds the
    tables to it. `forms` and `slots` are what it was made of.
    """

    def __init__(self, forms: Iterable[Form], slots: Mapping[str, Sequence[str]]) -> None:
        """Index the forms.

        Raises:
            ValueError: a form is not exactly one closed sentence, or names a slot that has no words.
        """
        self.forms = tuple(dict.fromkeys(forms))
        self.slots = dict(slots)
        self._plain: dict[str, Act] = {}
        self._open: dict[tuple[str, str], list[tuple[Form, re.Pattern[str]]]] = {}
        longest = {name: max(map(len, words)) for name, words in slots.items() if words}
        self._longest = 0
        for form in self.forms:
            _check(form, longest)
            length = len(form.text) + sum(longest[name] for name in _SLOT.findall(form.text))
            self._longest = max(self._longest, length)
            if _SLOT.search(form.text):
                self._open.setdefault(_edges(form.text), []).append((form, _pattern(form.text, slots)))
            else:
                self._plain.setdefault(form.text, Act(form.act))
        self._known = lru_cache(maxsize=_CACHED)(self._find)

    def read(self, sentence: str) -> Act | None:
        """The act of one sentence, or None: no form writes it."""
        return self._known(sentence) if len(sentence) <= self._longest else None

    def _find(self, sentence: str) -> Act | None:
        if sentence in self._plain:
            return self._plain[sentence]
        first, last = _outer_words(sentence)
        for edges in ((first, last), (first, ""), ("", last), ("", "")):
            for form, pattern in self._open.get(edges, ()):
                if match := pattern.fullmatch(sentence):
                    return Act(form.act, tuple(match.groupdict().items()))
        return None


def sentences(text: str) -> list[str]:
    """The sentences of `text`: cut after a full stop, question or exclamation mark before white space."""
    return [part for part in _END.split(text.strip()) if part]


def fill(text: str, **slots: str) -> str:
    """`text` with its slots filled, and a capital at its beginning."""
    said = text.format(**slots)
    return said[:1].upper() + said[1:]


def _check(form: Form, slots: Mapping[str, object]) -> None:
    if sentences(form.text) != [form.text] or form.text[-1] not in ".!?":
        raise ValueError(f"a form is one sentence with its full stop, not {form.text!r}")
    if missing := [name for name in _SLOT.findall(form.text) if name not in slots]:
        raise ValueError(f"{form.text!r} has a slot {missing[0]!r} for which there are no words")


def _outer_words(text: str) -> tuple[str, str]:
    return text.split(" ", 1)[0], text.rsplit(" ", 1)[-1]


def _edges(text: str) -> tuple[str, str]:
    """The first and the last word of a form; empty where a slot touches it."""
    first, last = _outer_words(text)
    return "" if "{" in first else first, "" if "}" in last else last


def _pattern(text: str, slots: Mapping[str, Sequence[str]]) -> re.Pattern[str]:
    parts, at, seen = [], 0, set[str]()
    for match in _SLOT.finditer(text):
        parts.append(re.escape(text[at : match.start()]))
        name, at = match[1], match.end()
        if name in seen:
            parts.append(f"(?P={name})")
        else:
            parts.append(f"(?P<{name}>{'|'.join(re.escape(word) for word in slots[name])})")
        seen.add(name)
    parts.append(re.escape(text[at:]))
    return re.compile("".join(parts))
