"""As much of Markdown as a specification needs: front matter, headings outside of fences, list items."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from truing.data import Yaml, parse_yaml
from truing.types import InputError

MAX_FRONT = 10_000
_FENCE = re.compile(r"\s*((?:[-*+]\s+|\d+[.)]\s+)*)(`{3,}|~{3,})(.*)")
_ITEM = re.compile(r"[-*+] +(.*)")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file: its number from 1, its text without trailing space, and whether it is in a fence."""

    number: int
    text: str
    fenced: bool = False

    @property
    def heading(self) -> tuple[int, str] | None:
        """The level and the words of a heading."""
        words = self.text.lstrip("#")
        level = len(self.text) - len(words)
        if self.fenced or not 1 <= level <= 6 or (words and words[0] not in " \t"):
            return None
        title = words.rstrip("#")  # a heading may be closed by such marks, which a space sets apart
        closed = title != words and (not title or title[-1] in " \t")
        return level, (title if closed else words).strip()


@dataclass(frozen=True, slots=True)
class Part:
    """A heading (level 0: what comes before the first) and the lines below it, up to the next."""

    level: int
    title: str
    line: int
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """The lines as they stand, without blank ones around them."""
        return text_of(self.lines)


def front_matter(text: str, file: Path) -> tuple[Yaml, int]:
    """The YAML between two lines `---` at the top of a file, and the number of the line after it.

    Raises:
        InputError: the file does not begin so, or it is no mapping. Names the file and the line.
    """
    lines = text.split("\n")
    mend = "begin with ---, the lines of front matter, and ---"
    if lines[0].rstrip() != "---":
        raise InputError("has no front matter", file=file, row=1, mend=mend)
    ends = [at for at, line in enumerate(lines) if at and line.rstrip() == "---"]
    if not ends:
        raise InputError("has front matter that does not end", file=file, row=1, mend=mend)
    between = "\n".join(lines[1 : ends[0]])
    if len(between) > MAX_FRONT:
        problem = f"has front matter of more than {MAX_FRONT} characters"
        raise InputError(problem, file=file, row=1, mend="say that below it")
    yaml = parse_yaml("\n" + between, file=str(file))
    if not isinstance(yaml.data, dict):
        raise InputError(
            "has front matter that is no mapping", file=file, row=1, mend="write KEY: VALUE lines"
        )
    return yaml, ends[0] + 2


def lines_of(text: str, first: int = 1) -> list[Line]:
    """The lines of a text from number `first` on; a fence that is not closed ends with the text."""
    return _lines_and_fence(text, first)[0]


def fence_left_open(text: str) -> str:
    """The mark of the fence in which a text ends; empty, where it ends in none."""
    return _lines_and_fence(text, 1)[1]


def _lines_and_fence(text: str, first: int) -> tuple[list[Line], str]:
    lines, fence = list[Line](), ""
    for number, raw in enumerate(text.split("\n"), start=1):
        if number < first:
            continue
        line, mark = raw.rstrip(), _FENCE.fullmatch(raw.rstrip())
        closes = fence and mark and mark[2].startswith(fence) and not mark[1] and not mark[3]
        opens = not fence and mark and not (mark[2][0] == "`" and "`" in mark[3])
        # A list item that begins with a fence is still the line of a list item.
        lines.append(Line(number, line, bool(fence) or bool(opens and mark and not mark[1])))
        if mark and (closes or opens):
            fence = mark[2] if opens else ""
    return lines, fence


def parts_of(lines: Sequence[Line], deepest: int = 6) -> Iterator[Part]:
    """The lines by heading, of level `deepest` at most; deeper ones stay in the text."""
    level, title, line, below = 0, "", lines[0].number if lines else 1, list[Line]()
    for one in lines:
        heading = one.heading
        if heading and heading[0] <= deepest:
            yield Part(level, title, line, tuple(below))
            (level, title), line, below = heading, one.number, []
        else:
            below.append(one)
    yield Part(level, title, line, tuple(below))


def text_of(lines: Sequence[Line]) -> str:
    """The lines as they stand, without blank ones around them."""
    return "\n".join(line.text for line in lines).strip("\n")


def blocks_of(lines: Sequence[Line]) -> list[tuple[int, bool, str]]:
    """What stands in a section: the line on which each block begins, whether it is a list item, its text.

    A top-level list item is a block, without its mark; it goes on over lines that are indented or follow
    without a blank line. What stands between two items is a block.
    """
    blocks: list[tuple[int, bool, list[str]]] = []
    blank = fenced = False
    for line in lines:
        within = bool(blocks) and blocks[-1][1]
        goes_on = not line.heading and (not blank or line.text.startswith(("  ", "\t")))
        if not line.fenced and (match := _ITEM.fullmatch(line.text)):
            blocks.append((line.number, True, [match[1]]))
        elif fenced and line.fenced:
            blocks[-1][2].append(_outdented(line.text) if within else line.text)
        elif not line.text:
            if blocks:
                blocks[-1][2].append("")
        elif within and goes_on:
            blocks[-1][2].append(_outdented(line.text))
        elif blocks and not within:
            blocks[-1][2].append(line.text)
        else:
            blocks.append((line.number, False, [line.text]))
        blank, fenced = not line.text, line.fenced
    return [(number, item, "\n".join(text).strip("\n")) for number, item, text in blocks]


def _outdented(text: str) -> str:
    return text.removeprefix("  ") if text.startswith("  ") else text.lstrip("\t")


def slug(title: str) -> str:
    """A title as an id: lower case letters, digits and underscores; empty where it has neither letter nor digit."""
    plain = re.sub(r"[^a-z0-9]+", "_", title.lower().replace("'", "").replace("’", "")).strip("_")
    return f"n_{plain}" if plain[:1].isdigit() else plain
