"""Which of the given choices did an answer choose?"""

import re
from collections.abc import Sequence

from truing.grade.parsed import Parsed, Place, boxed, marks, plain, settle

_UNKNOWN_CHOICE = re.compile(
    r"^(?:unknown|undetermined|not (?:known|answerable|enough info(?:rmation)?|determinable)|"
    r"(?:can(?:not|'t| not)|impossible to) (?:be )?(?:determined?|known?|answer(?:ed)?|tell|say)|"
    r"(?:insufficient|no) information)\b",
    re.IGNORECASE,
)
_UNKNOWN_SAID = re.compile(
    r"\b(?:(?:can(?:not|'t| not)|(?:im|not )possible to|unable to|no way to) (?:be )?(?:determin\w+|know\w*|"
    r"tell|say|conclude|infer\w*)|"
    r"(?:not|isn't|insufficient|doesn't (?:give|provide)|does not (?:give|provide)) (?:\w+ ){0,2}?information|"
    r"(?:is|are|remains?) (?:unknown|unclear|undetermined|not known)|not (?:specified|stated|mentioned)|"
    r"(?:doesn't|does not|didn't) (?:say|specify|state|mention|tell))\b",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"(?:\b(?:not|never|neither|nor|cannot|isn't|wasn't|aren't|rather than|instead of|unlike|eliminate|"
    r"rule out|except)|n't)"
    r"(?: \w+){0,2}[\s\"'(]*\Z",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(r"\b(?:so|therefore|thus|hence|in conclusion|overall)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_SHORT = 2  # a choice of fewer characters (a digit, a letter) is too common a word to count when mentioned


def parse_choice(answer: str, choices: Sequence[str]) -> Parsed:
    """Find the one of `choices` that `answer` chose; the value is the choice's text.

    Prompts show the choices lettered from A. In this order: the whole answer; what is marked as the
    answer; what the answer begins with; a concluding sentence; that it cannot be known, where one
    choice says so; the only choice that is mentioned and not negated.
    """
    text = plain(answer).strip()
    if not text:
        return Parsed(None, "the answer is empty")
    reader = _Reader(choices)
    if (whole := reader.whole(text)) is not None:
        return Parsed(whole, "the whole answer", Place.placed, True)
    if (said := settle(text, reader.marked(text))) is not None:
        return said
    repeats = len(set(_LISTED.findall(text))) > 1
    if not repeats and (first := reader.leading(text)) is not None:
        return first
    concluding = [s for s in _SENTENCE.split(text) if _CONCLUDES.search(s)]
    if concluding and len(last := reader.mentioned(concluding[-1])) == 1:
        return Parsed(last.pop(), "the conclusion", Place.placed)
    if repeats:
        return Parsed(None, "repeats the list of choices")
    unknown = [choice for choice in choices if _UNKNOWN_CHOICE.search(choice.replace("’", "'"))]
    if len(unknown) == 1 and _UNKNOWN_SAID.search(text):
        return Parsed(unknown[0], "says that it cannot be known", Place.placed)
    mentioned = reader.mentioned(text)
    if len(mentioned) == 1:
        return Parsed(mentioned.pop(), "the only choice it mentions")
    return Parsed(None, "several choices and none marked" if mentioned else "none of the choices")


_LETTER = re.compile(
    r"[\s\"']{0,9}(?:(?i:option|choice|letter)\s+)?"
    r"(?:\(([A-Za-z])\)|([A-Za-z])[).:](?!\w)|([A-Za-z])(?=\s*(?:[,;!?\"'–-]|$)|[^\S\n]*\n)|"
    r"([A-HJ-Z])(?=\s+(?:because|since|as)\b)|(?P<bare>[B-HJ-Z])(?=\s))"
    r"[\s:.–\"'-]{0,9}"
)
_LETTER_NAMED = re.compile(r"\(([A-Z])\)|\b(?i:option|choice|answer|letter)\s+\(?([A-Z])\b")
_LISTED = re.compile(r"(?m)^\s*\(?([A-Z])[).:]\s")
_AND = re.compile(r"\s*(?:,? ?(?:or|and|nor)\b|,|/|&)\s*")
_DISAGREE = "the answer names two choices at once"
_AFTER_LEAD = re.compile(r"\s*(?:[.,;:!?)\n–-]|$|(?:because|since|as)\b)")


class _Reader:
    """Reads options of one set of choices; a letter and the text beside it have to agree."""

    def __init__(self, choices: Sequence[str]) -> None:
        self.choices = choices
        self.by_text = {_bare(choice): choice for choice in choices if _bare(choice)}
        longest = sorted(
            (re.escape(bare).replace(r"\ ", r"\s+") for bare in self.by_text), key=len, reverse=True
        )
        self.named = re.compile(rf"(?<!\w)({'|'.join(longest) or '(?!)'})(?!\w)", re.IGNORECASE)
        self.text_here = re.compile(
            rf"[\s\"'(]{{0,9}}(?:(?:the|an?)\s+)?[\"'(]{{0,9}}{self.named.pattern}", re.IGNORECASE
        )

    def whole(self, text: str) -> str | None:
        """The choice that the whole text is, by its letter or its words."""
        bare = _bare(text)
        return self.by_text.get(bare, self._lettered(bare))

    def marked(self, text: str) -> list[tuple[int, int, str]]:
        """(start, end, choice) of what stands in a box or after a phrase that announces the answer."""
        boxes = [(a, b, self.whole(inside) or "") for a, b, inside in boxed(text)]
        said = [(start, *self._option(text, end)) for start, end in marks(text)]
        return boxes + [(start, end, choice) for start, end, choice in said if choice is not None]

    def leading(self, text: str) -> Parsed | None:
        """The choice that the text begins with."""
        end, choice = self._option(text, 0)
        if choice is None:
            return None
        if not choice:
            return Parsed(None, _DISAGREE)
        letter = _LETTER.match(text)
        # A letter with neither a mark nor its option's text behind it may begin any sentence.
        alone = letter is not None and letter["bare"] is not None and end == letter.end()
        by_letter = letter is not None and self._letter_of(letter) == choice and not alone
        if not by_letter and not _AFTER_LEAD.match(text, end):
            return None
        return Parsed(choice, "the answer begins with it", Place.placed)

    def mentioned(self, text: str) -> set[str]:
        """The choices named in the text, those that are negated left out."""
        found = [(m.start(), self._lettered((m[1] or m[2]).lower())) for m in _LETTER_NAMED.finditer(text)]
        found += [
            (m.start(), self.by_text.get(_bare(m[1])))
            for m in self.named.finditer(text)
            if len(m[1]) >= _SHORT
        ]
        return {
            choice
            for at, choice in found
            if choice is not None and not _NEGATED.search(text, max(0, at - 60), at)
        }

    def _option(self, text: str, start: int) -> tuple[int, str | None]:
        """(end, choice) of the option at `start`: None if there is none, "" if it names two."""
        end, choice = self._single(text, start)
        more = _AND.match(text, end)
        second = self._single(text, more.end())[1] if choice and more else None
        return end, "" if second and second != choice else choice

    def _single(self, text: str, start: int) -> tuple[int, str | None]:
        letter = _LETTER.match(text, start)
        by_letter = self._letter_of(letter) if letter else None
        after = letter.end() if letter and by_letter is not None else start
        words = self.text_here.match(text, after)
        by_words = self.by_text.get(_bare(words[1])) if words else None
        end = words.end() if words else after
        if by_letter is not None and by_words is not None and by_letter != by_words:
            return end, ""
        return end, by_letter if by_letter is not None else by_words

    def _letter_of(self, found: re.Match[str]) -> str | None:
        return self._lettered(next(group for group in found.groups() if group).lower())

    def _lettered(self, letter: str) -> str | None:
        at = ord(letter) - ord("a") if len(letter) == 1 and "a" <= letter <= "z" else len(self.choices)
        return self.choices[at] if at < len(self.choices) else None


def _bare(text: str) -> str:
    """Lower case, one space between words, no quotes, brackets or closing marks around."""
    return " ".join(plain(text).lower().split()).strip(" .,;:!?\"'()[]")
