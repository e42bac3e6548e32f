"""`Scored`: a score from 0 to 100 as the expected value of what a judge would write."""

from collections.abc import Mapping, Sequence
from typing import Any

from truing.grade.fence import HANDLE_WITH_CARE, fenced
from truing.grade.first_token import MIN_MASS, Read, first_integers
from truing.grade.guards.base import Judge, Verdicts, answer_of, asked_of
from truing.types import Outcome, Sampler, Shown, Verdict, ask


class Scored(Judge):
    """Asks for one number from 0 to 100 on each scale, and reads how probable each number is.

    The score is the sum of p_i * i over the numbers i, divided by the sum of p_i and by 100: in [0, 1],
    without `p` or label (the extraction of Betley et al. 2025, arXiv 2502.17424). Where the numbers
    have less than a quarter of the probability together (the judge declines, or says another word), it abstains.

    `scales` maps a criterion to its question, which should ask for nothing but a number. Works with a
    model in this process, and with an endpoint that sends the likeliest tokens. An answer that was cut
    off is not asked about: the score of a part is not the answer's.
    """

    name = "scored"
    whole_only = True

    def __init__(
        self, scales: Mapping[str, str], ref: str | None = None, *, model: Sampler | None = None
    ) -> None:
        super().__init__(ref, model)
        self._scales = dict(scales)
        self.criteria = tuple(scales)

    def told(self) -> Any:
        """The questions and how the answer is shown."""
        return [self._scales, HANDLE_WITH_CARE]

    def ask(self, shown: Sequence[Shown]) -> list[Verdicts]:
        """Judge answers that are there: see `Judge.ask`."""
        requests = [
            ask(_question(question, one), id=f"{i}/{criterion}")
            for criterion, question in self._scales.items()
            for i, one in enumerate(shown)
        ]
        reads = iter(first_integers(self.model, requests))
        columns = {
            criterion: [self._verdict(criterion, next(reads)) for _ in shown] for criterion in self._scales
        }
        return [{criterion: column[i] for criterion, column in columns.items()} for i in range(len(shown))]

    def _verdict(self, criterion: str, read: Read[int]) -> Verdict:
        if read.why:
            return self.lacking(criterion, read.outcome, read.why)
        if not read.total >= MIN_MASS:
            why = f"numbers hold {read.total:.3f} of the probability, less than {MIN_MASS}"
            return self.lacking(criterion, Outcome.abstained, why)
        value = sum(number * p for number, p in read.mass.items()) / read.total
        reason = f"{value:.1f} of 100, from {read.total:.3f} of the probability"
        return Verdict(criterion, Outcome.decided, self.id, score=min(1.0, value / 100), reason=reason)


def _question(question: str, shown: Shown) -> str:
    material = fenced(question=asked_of(shown.request.messages), answer=answer_of(shown))
    return f"{question}\n\n{HANDLE_WITH_CARE}\n\n{material}\n\nWrite the number, and nothing else."
