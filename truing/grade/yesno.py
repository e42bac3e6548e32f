"""`YesNo`: how probably would a judge say yes to each of some questions about an answer?"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from truing.grade.first_token import MIN_MASS, Read, share
from truing.grade.guards.base import Judge, Verdicts
from truing.grade.question_forms import find_form, worded
from truing.grade.spelled import spelled
from truing.types import InputError, Outcome, Sampler, Shown, Verdict

if TYPE_CHECKING:
    from truing.spec import Proposition

_WORDS = ("yes", "no")


class YesNo(Judge):
    """Asks yes-or-no questions, and reads how probable each of the two words is (Mu et al. 2024, arXiv 2411.01111).

    `questions` maps a criterion to its question, or to a proposition with examples. `p` and the score
    are P(yes) / (P(yes) + P(no)) over all spellings of the two (see `spelled`), the label is `yes`
    from 0.5 on, else `no`. Where the two have less than a quarter of the probability together, it abstains.

    `template` is `shared` (the default, ours: the question comes last, so that all questions about one
    answer share what comes before and a model in this process reads it once), `published` (the
    order of the paper: the conversation as turns, then the question, then the answer again), or a
    text with slots (see `Form`). A score of 1 means that the answer is yes, which for many
    propositions is nothing good. An answer that was cut off is not asked about.
    """

    name = "yesno"
    whole_only = True

    def __init__(
        self,
        questions: "Mapping[str, str | Proposition]",
        ref: str | None = None,
        *,
        model: Sampler | None = None,
        template: str = "shared",
    ) -> None:
        super().__init__(ref, model)
        self._questions = {criterion: worded(question) for criterion, question in questions.items()}
        self._form = find_form(template)
        self.criteria = tuple(questions)

    def only(self, criterion: str) -> "YesNo":
        """The same judge with one of its questions, the only one that is asked.

        Raises:
            InputError: it has no such question.
        """
        if criterion not in self._questions:
            raise InputError(
                f"there is no question {criterion!r}", mend=f"choose from {', '.join(self.criteria)}"
            )
        question = {criterion: self._questions[criterion]}
        return YesNo(question, self._ref, model=self._given, template=self._form.text)

    def told(self) -> Any:
        """The questions, their examples, and the text around them."""
        return [self._questions, self._form.text]

    def ask(self, shown: Sequence[Shown]) -> list[Verdicts]:
        """Judge answers that are there: see `Judge.ask`."""
        requests = [
            self._form.request(one, question, id=f"{i}/{criterion}")
            for i, one in enumerate(shown)
            for criterion, question in self._questions.items()
        ]
        reads = iter(spelled(self.model, requests, _WORDS))
        return [
            {criterion: self._verdict(criterion, next(reads)) for criterion in self.criteria} for _ in shown
        ]

    def _verdict(self, criterion: str, read: Read[str]) -> Verdict:
        if read.why:
            return self.lacking(criterion, read.outcome, read.why)
        p = share(read, "yes")
        if p is None:
            why = f"yes and no hold {read.total:.3f} of the probability, less than {MIN_MASS}"
            return self.lacking(criterion, Outcome.abstained, why)
        p = min(1.0, p)
        label = "yes" if p >= 0.5 else "no"
        reason = f"yes has {p:.3f} of what yes and no have, {read.total:.3f} of the probability"
        return Verdict(criterion, Outcome.decided, self.id, label=label, p=p, score=p, reason=reason)
