"""Splitting what a model wrote into its reasoning trace and its answer."""

import re
from dataclasses import dataclass

from truing.types import Trace

OPEN, CLOSE = "<think>", "</think>"
"""The marks of Qwen 3, DeepSeek-R1 and those who followed them."""

_MARK = re.compile(f"{re.escape(OPEN)}|{re.escape(CLOSE)}")


@dataclass(frozen=True, slots=True)
class Split:
    """The two parts of a text; `reasoning` is None where there was no trace at all."""

    reasoning: str | None
    answer: str
    trace: Trace


def leaves_open(text: str) -> bool:
    """Whether `text` (a prompt, a prefill) ends inside a trace."""
    return text.rfind(OPEN) > text.rfind(CLOSE)


def split_reasoning(text: str, *, opened: bool = False) -> Split:
    """Split `text` at its marks; `opened` says that the prompt had opened the trace already.

    Inside a trace a further opening mark is ordinary text and the first closing mark ends it. A later
    trace is cut out of the answer in the same way. A closing mark that nothing opened ends a trace
    if it is the first mark of the text (some models leave out the opening one); anywhere else it is
    dropped and the words around it stay in the answer, so that a judge sees rather more than less.
    """
    reasoning: list[str] = []
    answer: list[str] = []
    inside, at = opened, 0
    first = _MARK.search(text)
    if first and first[0] == CLOSE:
        inside = True
    for mark in _MARK.finditer(text):
        if inside and mark[0] == OPEN:
            continue
        (reasoning if inside else answer).append(text[at : mark.start()])
        inside, at = mark[0] == OPEN, mark.end()
    (reasoning if inside else answer).append(text[at:])

    if inside:
        return Split(_joined(reasoning), "", Trace.unclosed)
    said = "".join(answer).lstrip()
    if not reasoning:
        return Split(None, said, Trace.none)
    return Split(_joined(reasoning), said, Trace.closed if said.strip() else Trace.empty)


def with_reasoning(content: str, reasoning: str | None, *, opened: bool = False) -> str:
    """An assistant turn as the model writes it: trace, closing mark, answer.

    With `opened` the prompt has written the opening mark, and even an empty trace has to be closed.
    """
    if reasoning is None and not opened:
        return content
    trace = f"{reasoning}\n" if reasoning else ""
    return f"{'' if opened else OPEN + chr(10)}{trace}{CLOSE}\n\n{content}"


def _joined(parts: list[str]) -> str:
    return "\n\n".join(part.strip() for part in parts if part.strip())
