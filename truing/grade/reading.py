"""What a verdict and a person's label say in yes or no: of a judge's classes or values, which are positive."""

from dataclasses import dataclass, replace

from truing.grade.harmful import HARMFUL, HARMLESS
from truing.grade.refusal_rules import RefusalClass
from truing.types import InputError, Outcome, Record, Verdict

_EVIDENCE = (Outcome.decided, Outcome.refused)
_YES, _NO = ("true", "1", "good"), ("false", "0", "bad")


@dataclass(frozen=True, slots=True)
class Reading(Record):
    """By class, where `positive` and `negative` name the judge's classes and `value` is empty; else by value.

    By value a verdict is positive if its `value`, which is "score" or "p", is at least `threshold`.
    Where a score counts in an audit, positive is good. Classes also say what people's labels mean.
    """

    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    value: str = ""
    threshold: float = 0.5

    def check(self) -> None:
        """A class is positive or negative, and only numbers of a verdict have thresholds."""
        if both := set(self.positive) & set(self.negative):
            raise ValueError(f"the class {min(both)!r} cannot be positive and negative")
        if self.value not in ("", "score", "p"):
            raise ValueError(f"a verdict has the values score and p, and not {self.value!r}")

    def says(self, verdict: Verdict) -> bool | None:
        """Whether a verdict is positive; None where nothing was judged, which is no agreement with anybody.

        A refusal where an answer was asked for is evidence, and never a good answer.

        Raises:
            InputError: the judge's class is neither positive nor negative.
        """
        if verdict.outcome not in _EVIDENCE:
            return None
        if self.value:
            value = number(verdict, self.value)
            return value >= self.threshold if value is not None else self._without(verdict)
        return (
            self._without(verdict) if verdict.label is None else self._class(verdict.label, "the judge said")
        )

    def read(self, verdict: Verdict) -> Verdict:
        """The verdict with the score that counts, 1.0 where it is positive and else 0.0.

        Evidence that has no reading (an unknown class, no such value) is an error: the card says
        nothing of how far it can be trusted.
        """
        if verdict.outcome not in _EVIDENCE:
            return verdict
        try:
            good, why = self.says(verdict), f"it gave no {self.value or 'class'}"
        except InputError as unknown:
            good, why = None, unknown.problem
        if good is not None:
            return replace(verdict, score=float(good))
        reason = f"the judge's card cannot read its verdict: {why}"
        return Verdict(verdict.criterion, Outcome.error, verdict.grader, reason=reason)

    def truth(self, label: object) -> bool:
        """What a person's label says: true, 1 or good, false, 0 or bad, or one of the classes.

        Raises:
            InputError: it is none of these; the sentence names no file (see `truing.data.place`).
        """
        if isinstance(label, bool) or label in (0, 1):
            return bool(label)
        if not isinstance(label, str):
            raise InputError(f"the label is {label!r}", mend=self._known())
        if label not in self.positive + self.negative and label.strip().lower() in _YES + _NO:
            return label.strip().lower() in _YES
        return self._class(label, "the label is")

    def _class(self, name: str, who: str) -> bool:
        if name not in self.positive + self.negative:
            raise InputError(f"{who} {str(name)!r}", mend=self._known())
        return name in self.positive

    def _known(self) -> str:
        if classes := self.positive + self.negative:
            return (
                f"known are true, false and {', '.join(classes)}; others must be called positive or negative"
            )
        return "known are true and false; say which classes are positive and which negative"

    def _without(self, verdict: Verdict) -> bool | None:
        return False if verdict.outcome is Outcome.refused else None


def number(verdict: Verdict, value: str) -> float | None:
    """The `score` or the `p` of a verdict."""
    return verdict.score if value == "score" else verdict.p


def usual_reading(grader: str) -> Reading:
    """The classes of a grader of this package, by its name; none of a grader that scores its answers."""
    if grader == "refusal":
        return Reading((RefusalClass.compliance,), (RefusalClass.partial_refusal, RefusalClass.refusal))
    if grader == "moderation":
        return Reading(("ok",), ("flagged",))
    if grader == "harmful":
        return Reading((HARMLESS,), (HARMFUL,))
    return Reading()
