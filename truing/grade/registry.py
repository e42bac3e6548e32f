"""Graders by name: `NAME[/CRITERION][:REFERENCE]` opens one, and says which of its criteria is meant."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points

from truing.grade.reading import Reading
from truing.types import Grader, GraderId, InputError, Outcome, Shown, ShownTrace, Verdict

GRADERS = "truing.graders"
"""The entry-point group; an entry is a callable that takes the text after `NAME:` (or None) and returns a grader."""

_SPEC = re.compile(r"([a-z][a-z0-9_.-]*)(?:/([a-z][a-z0-9_./-]*))?(?::(.+))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Instrument:
    """A grader with the one criterion of it that counts; empty where it has but one.

    `reading` is how its verdicts are read where it is calibrated: its error rates are those of that
    reading, so the score that counts is 1.0 where it is positive and else 0.0.
    """

    spec: str
    grader: Grader
    criterion: str = ""
    reading: Reading | None = None

    @property
    def id(self) -> GraderId:
        """The grader's own."""
        return self.grader.id

    def on(self, criterion: str) -> "Instrument":
        """The instrument with that criterion; a grader that can leave its others out (`only`) does so.

        Raises:
            InputError: the grader has no such criterion and says so.
        """
        narrow = getattr(self.grader, "only", None)
        return replace(self, grader=narrow(criterion) if narrow else self.grader, criterion=criterion)

    def grade(self, shown: Sequence[Shown]) -> list[Verdict]:
        """The verdict on that criterion for each answer; one whose score lies outside [0, 1] is an error.

        Raises:
            ValueError: the grader judged another number of answers, or has no such criterion.
        """
        return self._of(len(shown), self.grader.grade(shown))

    @property
    def judges_traces(self) -> bool:
        """Whether the grader can judge reasoning, too: it has a method `grade_traces`."""
        return hasattr(self.grader, "grade_traces")

    def grade_traces(self, shown: Sequence[ShownTrace]) -> list[Verdict]:
        """The verdict on that criterion for each trace; one whose score lies outside [0, 1] is an error.

        Raises:
            ValueError: the grader cannot judge traces, judged another number of them, or has no such
                criterion.
        """
        judge = getattr(self.grader, "grade_traces", None)
        if judge is None:
            raise ValueError(f"{self.spec} judges answers, not traces")
        return self._of(len(shown), judge(shown))

    def check_criterion(self) -> None:
        """Refuse a criterion that the grader has not, before anything was asked; it may not tell which it has.

        Raises:
            InputError: there is no such criterion, or there are several and none is named.
        """
        known: Sequence[str] = getattr(self.grader, "criteria", ())
        named = self.criterion in known if self.criterion else len(known) == 1
        if known and not named:
            mend = f"write {self.spec.partition(':')[0].partition('/')[0]}/CRITERION"
            raise InputError(f"{self.spec} has the criteria {', '.join(known)}: name one of them", mend=mend)

    def _of(self, wanted: int, judged: Sequence[Mapping[str, Verdict]]) -> list[Verdict]:
        if len(judged) != wanted:
            raise ValueError(f"{self.spec} judged {len(judged)} of {wanted} texts")
        chosen = (_within(self._chosen(verdicts)) for verdicts in judged)
        return [self.reading.read(verdict) if self.reading else verdict for verdict in chosen]

    def _chosen(self, verdicts: Mapping[str, Verdict]) -> Verdict:
        if self.criterion in verdicts:
            return verdicts[self.criterion]
        if self.criterion or len(verdicts) != 1:
            raise ValueError(f"{self.spec} has the criteria {', '.join(sorted(verdicts))}: name one of them")
        return next(iter(verdicts.values()))


def _within(verdict: Verdict) -> Verdict:
    """A score that is no number, or none in [0, 1], says nothing that could be counted with others."""
    if verdict.score is None or 0 <= verdict.score <= 1:
        return verdict
    reason = f"the grader gave the score {verdict.score:g}, which does not lie in [0, 1]"
    return Verdict(verdict.criterion, Outcome.error, verdict.grader, reason=reason)


def open_refusal(ref: str | None) -> Grader:
    """The refusal grader of this package; it takes no reference.

    Raises:
        InputError: a reference was given.
    """
    from truing.grade.refusal import Refusal

    if ref is not None:
        raise InputError(f"the grader refusal takes no reference, not {ref!r}", mend="write refusal")
    return Refusal()


def grader_names() -> list[str]:
    """The names of all registered graders, sorted."""
    return sorted({entry.name for entry in entry_points(group=GRADERS)})


def open_grader(spec: str) -> Instrument:
    """Open the grader `NAME[/CRITERION][:REFERENCE]`, such as `llama-guard:PATH`.

    Raises:
        InputError: no grader has that name, or it cannot use the reference.
    """
    match = _SPEC.fullmatch(spec)
    if not match:
        raise InputError(f"{spec!r} names no grader", mend="write NAME[/CRITERION][:REFERENCE]")
    name, criterion, ref = match.groups()
    for entry in entry_points(group=GRADERS):
        if entry.name == name:
            instrument = Instrument(spec, entry.load()(ref))
            return instrument.on(criterion) if criterion else instrument
    raise InputError(f"there is no grader {name!r}", mend=f"choose from {', '.join(grader_names())}")
