"""`Rubric`: any model judges by a text of yours."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from truing.data import parse_yaml
from truing.grade.answer_line import answer_line
from truing.grade.fence import HANDLE_WITH_CARE, fenced
from truing.grade.guards.base import (
    Judge,
    Verdicts,
    answer_of,
    asked_of,
    broke_off,
    file_and_model,
    unread,
)
from truing.types import Completion, InputError, Outcome, Sampler, Shown, Stop, Verdict, ask

_FRONT = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_CRITERION = re.compile(r"[a-z][a-z0-9_.-]*")

_SCALES = {
    "pass-fail": ("ANSWER: PASS or ANSWER: FAIL", {"pass": 1.0, "fail": 0.0}),
    "1-5": (
        "ANSWER: followed by a whole number from 1 (worst) to 5 (best)",
        {str(n): (n - 1) / 4 for n in range(1, 6)},
    ),
}


@dataclass(frozen=True, slots=True)
class RubricText:
    """A rubric: what is judged (`criterion`), how it is answered (`scale`), and the text that says what is good."""

    text: str
    criterion: str = "rubric"
    scale: str = "pass-fail"


class Rubric(Judge):
    """Asks a model for reasons and a last line `ANSWER: PASS` or `ANSWER: FAIL`, or a number from 1 to 5.

    The reference is `FILE.md@MODEL`: the file ends in `.md`, and what follows the first `.md@` is any
    reference to a model, such as `rubrics/kind.md@endpoint:http://localhost:8000/v1#judge`. The file
    is the rubric; it may begin with front matter between lines of `---`, with `criterion: NAME` (else
    `rubric`) and `scale: 1-5` (else `pass-fail`). With `model`, the reference is the file alone.

    The last `ANSWER:` line of the judge's own text decides, with its label in lower case and a score
    of 0 or 1, or of (n - 1) / 4. A judge that declines, is cut off, or writes any other value there, or
    none, abstains. What is judged stands in a fence that it
    cannot close (see `fenced`). An answer that was cut off is truncated without asking.
    """

    name = "rubric"
    version = "2"
    whole_only = True

    def __init__(
        self, ref: str | None = None, *, model: Sampler | None = None, max_tokens: int = 1024
    ) -> None:
        """Read the rubric; `max_tokens` leaves the judge room for its reasons, and for a trace if it has one."""
        file, text, ref = file_and_model(ref, ".md")
        if file is None or text is None or (ref is None and model is None):
            raise InputError(
                "a rubric judge needs a file and a model to ask", mend="write rubric:FILE.md@MODEL"
            )
        super().__init__(ref, model)
        self.rubric = parse_rubric(text, file=file)
        self.criteria = (self.rubric.criterion,)
        self._max_tokens = max_tokens

    def told(self) -> Any:
        """The rubric, and how it is put."""
        return [self.rubric.text, self.rubric.scale, HANDLE_WITH_CARE]

    def ask(self, shown: Sequence[Shown]) -> list[Verdicts]:
        """Judge answers that are there: see `Judge.ask`."""
        requests = [ask(self.question(one), id=str(i)) for i, one in enumerate(shown)]
        done = self.answers(requests, max_tokens=self._max_tokens)
        return [{self.rubric.criterion: self._read(said)} for said in done]

    def question(self, shown: Shown) -> str:
        """What the judge is asked about one answer."""
        material = fenced(conversation=asked_of(shown.request.messages), answer=answer_of(shown))
        return (
            "You judge an AI assistant's answer by the rubric below, and by nothing else.\n\n"
            f"Rubric:\n{self.rubric.text}\n\n{HANDLE_WITH_CARE}\n\n{material}\n\n"
            "First give your reasons in a few sentences. Then end with one line of its own: "
            f"{_SCALES[self.rubric.scale][0]}."
        )

    def _read(self, said: Completion) -> Verdict:
        criterion = self.rubric.criterion
        if lack := broke_off(said):
            return self.lacking(criterion, *lack)
        if said.stop is Stop.length:
            return self.lacking(criterion, Outcome.abstained, "the judge was cut off")
        found = answer_line(said.answer)
        if found is None:
            return self.lacking(criterion, *unread(said.answer))
        label, reason = found
        scores = _SCALES[self.rubric.scale][1]
        if label not in scores:
            return self.lacking(criterion, Outcome.abstained, f"the judge's answer is {label[:80]!r}")
        return Verdict(criterion, Outcome.decided, self.id, label=label, score=scores[label], reason=reason)


def parse_rubric(text: str, *, file: str) -> RubricText:
    """Read a rubric with or without front matter; `file` is for the error sentences.

    Raises:
        InputError: the front matter is no YAML mapping of `criterion` and `scale`, or the rubric is empty.
    """
    text = text.replace("\r\n", "\n")
    front = _FRONT.match(text)
    body = text[front.end() :].strip() if front else text.strip()
    if not body:
        raise InputError("holds no rubric", file=file, mend="write what makes an answer good")
    if front is None:
        return RubricText(body)
    head = parse_yaml("\n" + front[1], file=file)  # the line of `---`, so that rows are the file's
    if not isinstance(head.data, dict):
        raise head.error("has no names in its front matter", mend="write criterion: NAME or scale: 1-5")
    for key, value in head.data.items():
        if key not in ("criterion", "scale"):
            raise head.error(f"knows nothing of {key!r}", key, mend="write criterion or scale")
        if key == "scale" and value not in _SCALES:
            raise head.error(f"has no scale {value!r}", key, mend=f"choose from {', '.join(_SCALES)}")
        if key == "criterion" and not _CRITERION.fullmatch(str(value)):
            raise head.error(f"{value!r} names no criterion", key, mend="write it in small letters")
    return RubricText(body, **head.data)
