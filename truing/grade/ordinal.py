"""`Ordinal`: a judge gives its reasons, and then one of a few labels in order."""

from collections.abc import Sequence
from typing import Any

from truing.grade.answer_line import answer_line, plain
from truing.grade.fence import HANDLE_WITH_CARE, fenced
from truing.grade.guards.base import Judge, Verdicts, answer_of, asked_of, broke_off, unread
from truing.types import Completion, InputError, Outcome, Sampler, Shown, Stop, Verdict, ask


class Ordinal(Judge):
    """Asks for reasons and a last line `ANSWER: x`, with x one of `labels`, which go from worst to best.

    The last `ANSWER:` line of the judge's own text decides (see `answer_line`); case and marks around
    the label do not count. The score is its place, from 0 for the worst to 1 for the best. A judge
    that declines, that writes any other word on that line, or no such line, abstains; so does one that was
    cut off (`max_tokens` leave it room for its reasons, and for a trace if it has one), for it had not
    finished. An answer that was cut off is truncated without asking.
    """

    name = "ordinal"
    version = "2"
    whole_only = True

    def __init__(
        self,
        question: str,
        labels: Sequence[str],
        ref: str | None = None,
        *,
        model: Sampler | None = None,
        criterion: str = "ordinal",
        max_tokens: int = 1024,
    ) -> None:
        """Put one question with its labels.

        Raises:
            InputError: there are fewer than two labels, two are alike, or one cannot stand on a line.
        """
        super().__init__(ref, model)
        self._labels = {plain(label): i for i, label in enumerate(labels)}
        if len(labels) < 2 or len(self._labels) < len(labels):
            raise InputError("an ordinal judge needs at least two different labels, from worst to best")
        if bad := [label for label in labels if not plain(label) or len(label.splitlines()) > 1]:
            raise InputError(f"{bad[0]!r} is no label", mend="write a few words on one line")
        self._question, self._names = question, tuple(labels)
        self.criteria = (criterion,)
        self._max_tokens = max_tokens

    def told(self) -> Any:
        """The question and its labels, and how the answer is shown."""
        return [self._question, self._names, HANDLE_WITH_CARE]

    def ask(self, shown: Sequence[Shown]) -> list[Verdicts]:
        """Judge answers that are there: see `Judge.ask`."""
        requests = [ask(self.question(one), id=str(i)) for i, one in enumerate(shown)]
        said = self.answers(requests, max_tokens=self._max_tokens)
        return [{self.criteria[0]: self._read(completion)} for completion in said]

    def question(self, shown: Shown) -> str:
        """What the judge is asked about one answer."""
        material = fenced(conversation=asked_of(shown.request.messages), answer=answer_of(shown))
        return (
            "You judge an AI assistant's answer to the last turn of a conversation.\n\n"
            f"{HANDLE_WITH_CARE}\n\n{material}\n\n{self._question}\n\n"
            "First give your reasons in a few sentences. Then end with one line of its own: ANSWER: followed "
            f"by one of these, which go from worst to best: {', '.join(self._names)}."
        )

    def _read(self, said: Completion) -> Verdict:
        (criterion,) = self.criteria
        if lack := broke_off(said):
            return self.lacking(criterion, *lack)
        if said.stop is Stop.length:
            return self.lacking(criterion, Outcome.abstained, "the judge was cut off")
        found = answer_line(said.answer)
        if found is None:
            return self.lacking(criterion, *unread(said.answer))
        label, reason = found
        if label not in self._labels:
            return self.lacking(criterion, Outcome.abstained, f"the judge's answer is {label[:80]!r}")
        place = self._labels[label]
        return Verdict(
            criterion,
            Outcome.decided,
            self.id,
            label=self._names[place],
            score=place / (len(self._names) - 1),
            reason=reason,
        )
