"""What the answer parsers share: their result, and the marks by which a text says "this is my answer"."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum


class Place(IntEnum):
    """Where an answer was found: the surer, the higher."""

    mentioned = 0
    """Somewhere in the text."""
    placed = 1
    """Where a text puts its answer: alone, at its very beginning, in its conclusion."""
    announced = 2
    """After "the answer is", `####`, or in a box: gibberish does not do that."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """The answer that was found, or None and why there is none.

    `at_end`: nothing follows the answer, so where the text was cut off, it may have been cut too.
    """

    value: str | None
    why: str
    place: Place = Place.mentioned
    at_end: bool = False


_READ = 20_000  # characters at either end
_MARK = re.compile(
    r"\b(?:answer|solution|correct (?:option|choice|one)|(?:my|final) (?:choice|option|pick))\b(?: here)?"
    r"(?: (?:is|was|would be|should be|must be)\b(?! not\b)|\s*[:=])[\s:]*"
    r"|\b(?:I|I'd|I'll|I would|I will|we)(?: would| will)? (?:choose|chose|pick|select|opt for|go with|"
    r"vote for)\b[\s:]*",
    re.IGNORECASE,
)
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_IN_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}")
_TURN = re.compile(
    r"\b(?:but|wait|actually|however|so|therefore|thus|hence|final|finally|instead|correction|sorry|mistake|"
    r"conclusion|rather|"
    r"reconsider\w*|checking|overall)\b|\\(?:boxed|fbox)",
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """The text without Markdown emphasis and LaTeX text commands; of a very long text its two ends."""
    if len(text) > 2 * _READ:
        text = f"{text[:_READ]}\n{text[-_READ:]}"
    text = _IN_TEXT.sub(r"\1", text.replace("’", "'").replace("−", "-"))
    return re.sub(r"[*`$]|(?<!\w)_+|_+(?!\w)|\\[()\[\]]", "", text)


def boxed(text: str) -> list[tuple[int, int, str]]:
    """(start, end, inside) of each LaTeX box."""
    return [(found.start(), found.end(), found[1].strip()) for found in _BOX.finditer(text)]


def marks(text: str) -> list[tuple[int, int]]:
    """(start, end) of each phrase after which an answer is to be read."""
    return [found.span() for found in _MARK.finditer(text)]


def settle(
    text: str, found: list[tuple[int, int, str]], same: Callable[[str, str], bool] = str.__eq__
) -> Parsed | None:
    """The last of several marked answers (start, end, value), if the text takes back those that differ.

    "The answer is A. Wait, ... the answer is B" is B; "The answer is A. The answer is B." is neither.
    """
    if not found:
        return None
    found = sorted(found)
    _start, end, value = found[-1]
    if not value:
        return Parsed(None, "the marked answer names two choices or none")
    differing = [other for other in found if not same(other[2], value)]
    if differing and not _TURN.search(text[differing[-1][1] : end]):
        return Parsed(None, "two answers contradict each other")
    return Parsed(value, "marked as the answer", Place.announced, not text[end:].strip(" .)}$*\n"))
