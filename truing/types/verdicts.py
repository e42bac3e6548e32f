"""What a grader sees and what it says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from truing.types.completions import Completion, Stop
from truing.types.messages import Request
from truing.types.record import Record


class Outcome(StrEnum):
    """How the judging of one answer ended. Only `decided` and `refused` are evidence about the model."""

    decided = "decided"
    """The grader reached a label."""
    refused = "refused"
    """The model declined where an answer was asked for: evidence, and never a correct answer."""
    unparsed = "unparsed"
    """The model wrote something in which no answer can be found, gibberish included."""
    truncated = "truncated"
    """The text was cut off before the answer could be seen."""
    abstained = "abstained"
    """The grader cannot say."""
    error = "error"
    """The model or the grader failed."""


@dataclass(frozen=True, slots=True)
class GraderId(Record):
    """Which instrument judged: `version` moves whenever a verdict could change.

    `spec` is the content hash of the specification it read, `card` that of its calibration card;
    an empty card means uncalibrated. `exact` graders are right by construction, as a parser of closed
    answers is: there is no error to measure.
    """

    name: str
    version: str
    spec: str = ""
    card: str = ""
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Verdict(Record):
    """One judgement of one answer on one criterion.

    `label` is the class found, `p` a probability in [0, 1], `score` the value that counts (higher
    is better, in [0, 1] for audit tasks). All three are None where nothing was decided; `reason`
    says why in a few words.
    """

    criterion: str
    outcome: Outcome
    grader: GraderId
    label: str | None = None
    p: float | None = None
    score: float | None = None
    reason: str = ""
    cites: tuple[str, ...] = ()

    def check(self) -> None:
        """Missing evidence carries no value that could be averaged by mistake."""
        decided = self.outcome in (Outcome.decided, Outcome.refused)
        if not decided and (self.label is not None or self.p is not None or self.score is not None):
            raise ValueError(f"a verdict that is {self.outcome} carries no label, p or score")
        if self.p is not None and not 0 <= self.p <= 1:
            raise ValueError(f"p lies in [0, 1], not {self.p}")


@dataclass(frozen=True, slots=True)
class Shown(Record):
    """What a judge of answers sees: the request and the answer, never the reasoning.

    `stop` tells whether the answer was cut off.
    """

    request: Request
    answer: str
    stop: Stop = Stop.eos

    @classmethod
    def of(cls, request: Request, completion: Completion) -> "Shown":
        """The judge's view of a completion."""
        return cls(request, completion.answer, completion.stop)


@dataclass(frozen=True, slots=True)
class ShownTrace(Record):
    """What a judge of traces sees: the request and the reasoning alone."""

    request: Request
    reasoning: str
    stop: Stop = Stop.eos


class Grader(Protocol):
    """Judges answers, many at a time; entry i of the result maps criterion to verdict for `shown[i]`.

    A grader never raises over an answer: what it cannot judge is a verdict with that outcome.
    """

    @property
    def id(self) -> GraderId:
        """Name and version of this instrument."""
        ...

    def grade(self, shown: Sequence[Shown]) -> list[Mapping[str, Verdict]]:
        """Judge each answer: a list of length `len(shown)`."""
        ...
