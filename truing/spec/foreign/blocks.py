"""Taking foreign Markdown apart: blocks below a heading, and on which side of a policy each belongs."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from truing.spec.markdown import Line, text_of

_LIST = re.compile(r"(?:[-*+]|\d+[.)])\s+\S")
_EXAMPLE = re.compile(r"\*\*Examples?\b[^*]*\*\*:?\s*(.*)")
_UNDERLINE = re.compile(r"(=+|-{2,})")

_FORBIDS = re.compile(
    r"\b(?:must|should|may|shall|can)\s+(?:\w+ly\s+|also\s+)?(?:not|never)\b(?!\s+only)"
    r"|\b(?:must|should|shall)\s+(?:\w+\s+)?(?:refuse|refrain|avoid|decline)\b"
    r"|\b(?:mustn|shouldn)['’]t\b|\bcannot\b|\bprohibit(?:s|ed)\b|\bdisallowed\b|\bforbidden\b"
    r"|\bnot\s+(?:allowed|permitted|acceptable)\b|\bunacceptable\b"
    r"|(?:^|[.;:]\s+)(?:Never|Do\s+not|Don['’]t)\b",
    re.MULTILINE,
)
_PERMITS = re.compile(
    r"\b(?:assistant|models?|AI|agents?|staff|employees?|it|they|you|we)\s+(?:may|can)\b"
    r"(?!\s+(?:\w+ly\s+|also\s+)?(?:not|never|be|have|make|face|sometimes|encounter|cause|create|interact)\b)"
    r"|\bshould\s+(?:still\s+|also\s+|\w+ly\s+)*(?:comply|help|provide|answer|assist|engage|discuss|offer)\b"
    r"|(?<!not )\b(?:is|are)\s+(?:allowed|permitted|permissible|acceptable|fine)\b"
)
_COMPLETES = re.compile(r"\bsafe[- ]complet", re.IGNORECASE)


class Sort(StrEnum):
    """What a block is."""

    paragraph = "paragraph"
    list = "list"
    fence = "fence"
    aside = "aside"
    """An admonition: `!!! note` and the lines that are indented below it."""
    example = "example"
    """A line `**Example**: title` and the fence below it."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines that belong together; `title` is that of an example."""

    sort: Sort
    lines: tuple[Line, ...]
    title: str = ""

    @property
    def text(self) -> str:
        """The lines as they stand."""
        return text_of(self.lines)

    @property
    def items(self) -> list[str]:
        """The items of a list, each with its mark and what is indented below it."""
        starts = [i for i, line in enumerate(self.lines) if not line.fenced and _LIST.match(line.text)]
        ends = [*starts[1:], len(self.lines)]
        return [text_of(self.lines[start:end]).strip() for start, end in zip(starts, ends, strict=True)]


def blocks_below(lines: Sequence[Line]) -> Iterator[Block]:
    """The blocks of a part of a document."""
    at = 0
    while at < len(lines):
        if not lines[at].text:
            at += 1
            continue
        sort, end = _end(lines, at)
        example = _EXAMPLE.fullmatch(lines[at].text) if sort is Sort.paragraph else None
        following = next((i for i in range(end, len(lines)) if lines[i].text), end)
        if example and following < len(lines) and lines[following].fenced:
            end = _end(lines, following)[1]
            yield Block(Sort.example, tuple(lines[at:end]), example[1].strip())
        else:
            yield Block(sort, tuple(lines[at:end]))
        at = end


def _end(lines: Sequence[Line], at: int) -> tuple[Sort, int]:
    """What begins on a line, and the index after its last."""
    first = lines[at]
    if first.fenced:
        # Two fences that touch are one block: nothing is lost by that.
        return Sort.fence, next((i for i in range(at, len(lines)) if not lines[i].fenced), len(lines))
    sort = (
        Sort.aside
        if first.text.startswith("!!!")
        else Sort.list
        if _LIST.match(first.text)
        else Sort.paragraph
    )
    end = at + 1
    while end < len(lines) and _goes_on(sort, lines[end], lines[end - 1]):
        end += 1
    return sort, end


def _goes_on(sort: Sort, line: Line, before: Line) -> bool:
    """Whether a block takes one more line."""
    item = not line.fenced and _LIST.match(line.text) is not None
    if sort is Sort.paragraph:
        return bool(line.text) and not line.fenced and not item
    if not line.text or line.text.startswith((" ", "\t")) or (line.fenced and before.fenced):
        return True
    return sort is Sort.list and (item or (bool(before.text) and not line.fenced))


def side(text: str) -> str | None:
    """The section that a paragraph belongs in: what it forbids, permits, or completes safely.

    Empty where it does none of these; None where it does more than one, and a person has to split it.
    """
    sides = [
        name
        for name, pattern in (
            ("disallowed", _FORBIDS),
            ("allowed", _PERMITS),
            ("safe_completion", _COMPLETES),
        )
        if pattern.search(text)
    ]
    return sides[0] if len(sides) == 1 else None if sides else ""


def with_hash_headings(lines: Sequence[Line]) -> list[Line]:
    """Headings that are underlined (=== or ---) written as those with #; no line is lost or added."""
    out = list(lines)
    for i in range(1, len(out)):
        mark = None if out[i].fenced else _UNDERLINE.fullmatch(out[i].text)
        title = out[i - 1]
        alone = i == 1 or not out[i - 2].text or out[i - 2].heading
        if (
            mark
            and alone
            and title.text
            and not title.fenced
            and not title.heading
            and not _LIST.match(title.text)
        ):
            level = 1 if mark[1][0] == "=" else 2
            out[i - 1] = Line(title.number, f"{'#' * level} {title.text.strip()}")
            out[i] = Line(out[i].number, "")
    return out
