"""`ANSWER: x`: the line by which a judge that gives its reasons first says what it decided."""

import re

_LINE = re.compile(r"[ \t*_#]*ANSWER[ \t*_]*:(.*)", re.IGNORECASE)
_MARKS = " \t\r*_.`"
_REASON = 300
"""Characters of the judge's reasons that are kept."""


def answer_line(text: str) -> tuple[str, str] | None:
    """What the last such line says, in lower case without marks around it, and the beginning of the reasons before.

    A judge may think aloud and change its mind, so that the last line decides; one that is quoted from what
    is judged begins with the bar of its fence, and is none. None where there is no such line.
    """
    lines = text.split("\n")
    for at in range(len(lines) - 1, -1, -1):
        if match := _LINE.fullmatch(lines[at]):
            return plain(match[1]), " ".join(" ".join(lines[:at]).split())[:_REASON]
    return None


def plain(label: str) -> str:
    """A label as it is compared: in lower case, without marks and white space around it."""
    return label.strip(_MARKS).lower()
