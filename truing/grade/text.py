"""Is an answer one of the accepted short texts?"""

import re
import string
import unicodedata
from collections.abc import Sequence

from truing.grade.parsed import Parsed, Place, marks, plain

_SHORT = 30  # words: a longer answer that contains an accepted text may say anything about it
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation + "“”‘’«»…–—", " ") | {"'": "", "’": ""})
_HEDGED = re.compile(r"\b(?:or|either|perhaps both)\b")
_NEGATED = re.compile(r"\b(?:not|never|no|isnt|wasnt|arent|cannot|cant|nor|neither)\b")


def normalised(text: str) -> str:
    """Lower case without punctuation, articles and surplus space (as SQuAD's scorer, Rajpurkar et al. 2016)."""
    text = unicodedata.normalize("NFKC", text).lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLE.sub(" ", text).split())


def parse_text(answer: str, accepted: Sequence[str]) -> Parsed:
    """Find one of the `accepted` texts in `answer`; the value is "" where the answer is another one.

    An answer that equals an accepted text (after `normalised`) is that one. So is an answer of at most
    30 words, or its first sentence, that contains one as whole words without a negation before it and
    without alternatives ("X or Y"). A longer answer counts only where it marks its answer.
    """
    text = plain(answer).strip()
    if not text:
        return Parsed(None, "the answer is empty")
    wanted = [(normalised(one), one) for one in accepted]
    whole = normalised(text)
    if not whole:
        return Parsed(None, "nothing but punctuation")
    for bare, one in wanted:
        if bare == whole:
            return Parsed(one, "the whole answer", Place.placed, True)
    found = [one for bare, one in wanted if bare and _holds(whole, bare)]
    if not found:
        return Parsed("", "no accepted text in it")
    for part in _short_parts(text, whole):
        for bare, one in wanted:
            if not bare or not _holds(part, bare):
                continue
            before = part[: f" {part} ".index(f" {bare} ")]
            if _NEGATED.search(before) and not _NEGATED.search(bare):
                return Parsed(None, "an accepted text is in it, but perhaps denied")
            if _HEDGED.search(part) and not _HEDGED.search(bare):
                return Parsed(None, "an accepted text is in it, beside alternatives")
            return Parsed(one, "contains it", Place.placed)
    return Parsed(None, "a long answer that mentions an accepted text and marks none")


def _holds(text: str, words: str) -> bool:
    return f" {words} " in f" {text} "


def _short_parts(text: str, whole: str) -> list[str]:
    """What may be searched: the whole if it is short, else what is marked as the answer, and the first sentence."""
    if len(whole.split()) <= _SHORT:
        return [whole]
    said = [
        re.split(r"[.!?](?=\s|$)|\n", text[end : end + 400], maxsplit=1)[0] for _, end in marks(text)[-1:]
    ]
    first = re.split(r"(?<=[.!?])\s|\n", text, maxsplit=1)[0]
    return [bare for part in (*said, first) if len((bare := normalised(part)).split()) <= _SHORT]
