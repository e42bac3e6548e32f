"""What graders share that ask a language model: opening it, asking many at once, and how each answer ended."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from truing.grade.refusal import declines
from truing.types import (
    Completion,
    GraderId,
    InputError,
    Message,
    Outcome,
    Request,
    Role,
    Sampler,
    SamplingParams,
    Shown,
    Stop,
    Trace,
    TruingError,
    Verdict,
    digest,
)

Verdicts = Mapping[str, Verdict]
"""One verdict for each criterion."""


@dataclass(frozen=True, slots=True)
class Exchange(Request):
    """A conversation that ends with the assistant's answer.

    For the chat templates of guards, which turn a whole conversation into a question about its end.
    """

    def check(self) -> None:
        """The assistant has the last word, and not the first."""
        if len(self.messages) < 2 or self.messages[-1].role is not Role.assistant:
            raise ValueError("an exchange ends with the assistant's turn, after at least one other")


class Judge:
    """A grader that asks a model, opened at the first use.

    `model` is an opened model; otherwise `ref` names one (a folder, `hub:ID`, `endpoint:URL#MODEL`).
    The grader's `spec` is `TOLD@MODEL`: a digest of what the model is told, and the short fingerprint
    of the weights and the template that answer, so that verdicts of two models never look the same.

    An answer that is missing is an outcome of its own, and the model is not asked. Nothing is raised
    over an answer; what makes the model itself unusable is.

    Raises:
        InputError: no model is named or given, or both; at first use, the model cannot be opened.
        EndpointError: while grading, the endpoint cannot be used at all.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    criteria: tuple[str, ...]
    whole_only: ClassVar[bool] = False
    """Whether an answer that was cut off is not asked about at all."""

    def __init__(self, ref: str | None, model: Sampler | None) -> None:
        if ref is None and model is None:
            mend = f"write {self.name}:MODEL, a folder or endpoint:URL#MODEL"
            raise InputError(f"the grader {self.name} needs a model to ask", mend=mend)
        if ref is not None and model is not None:
            raise InputError(f"the grader {self.name} got a model, and the reference {ref!r} of another")
        self._ref, self._given = ref, model

    @cached_property
    def model(self) -> Sampler:
        """The model that is asked."""
        if self._given is not None:
            return self.prepared(self._given)
        from truing.model import load

        return self.prepared(load(str(self._ref)))

    @property
    def id(self) -> GraderId:
        """Name and version, and in `spec` what the model is told and which model it is."""
        return GraderId(self.name, self.version, spec=f"{self._told}@{self.model.fingerprint.short}")

    @cached_property
    def _told(self) -> str:
        """Twelve digits of the digest of what the model is told, which stays as it is."""
        return digest(self.told())[:12]

    def prepared(self, model: Sampler) -> Sampler:
        """The model as this grader uses it."""
        return model

    def told(self) -> Any:
        """All that this grader says to the model beside the conversation it judges, as JSON data."""
        return None

    def ask(self, shown: Sequence[Shown]) -> list[Verdicts]:
        """Judge answers that are there: a list of length `len(shown)`."""
        raise NotImplementedError

    def lacks(self, shown: Shown) -> tuple[Outcome, str] | None:
        """The outcome where there is nothing to ask about, and why."""
        if shown.stop is Stop.error:
            return Outcome.error, "the model failed"
        if shown.stop is Stop.filtered:
            return Outcome.error, "the endpoint filtered the answer"
        cut = shown.stop is Stop.length
        if not answer_of(shown).strip():
            return Outcome.truncated if cut else Outcome.unparsed, "the answer is empty"
        return (Outcome.truncated, "the answer was cut off") if cut and self.whole_only else None

    def grade(self, shown: Sequence[Shown]) -> list[Verdicts]:
        """Judge each answer: a list of length `len(shown)`."""
        lacks = [self.lacks(one) for one in shown]
        asked = [one for one, lack in zip(shown, lacks, strict=True) if lack is None]
        judged = iter(self.ask(asked) if asked else ())
        return [next(judged) if lack is None else self.undecided(*lack) for lack in lacks]

    def undecided(self, outcome: Outcome, reason: str) -> Verdicts:
        """The same outcome for all criteria."""
        return {criterion: self.lacking(criterion, outcome, reason) for criterion in self.criteria}

    def lacking(self, criterion: str, outcome: Outcome, reason: str) -> Verdict:
        """A verdict that decides nothing."""
        return Verdict(criterion, outcome, self.id, reason=reason[:500])

    def answers(self, requests: Sequence[Request], *, max_tokens: int) -> list[Completion]:
        """What the model says to each request, greedily; one that got no answer is an error of its own."""
        params = SamplingParams(temperature=0, max_tokens=max_tokens)
        found: dict[str, Completion] = {}
        why = "no answer came"
        try:
            for completion in self.model.sample(requests, params, key=0):
                found[completion.request_id] = completion
        except TruingError:
            raise
        except Exception as error:  # what was answered before is good
            why = f"{type(error).__name__}: {error}"
        lost = self.model.fingerprint
        return [found.get(r.id) or Completion.failed(r.id, why[:400], lost) for r in requests]


def broke_off(completion: Completion) -> tuple[Outcome, str] | None:
    """The outcome where a judge's answer cannot be read at all, and why. None: it is there, perhaps in part.

    A judge that says nothing readable abstains. `unparsed` would say that the model judged wrote gibberish.
    """
    if completion.stop is Stop.error:
        return Outcome.error, f"the judge failed: {completion.error}"
    if completion.stop is Stop.filtered:
        return Outcome.abstained, "the judge's answer was filtered"
    if completion.trace is Trace.unclosed:
        return Outcome.abstained, "the judge's reasoning never ended"
    if not completion.answer.strip():
        return Outcome.abstained, "the judge's answer is empty"
    return None


def unread(said: str) -> tuple[Outcome, str]:
    """The outcome of a judge's answer that has not the form asked for."""
    if declines(said):
        return Outcome.abstained, "the judge refused"
    return Outcome.abstained, f"the judge said {' '.join(said.split())[:80]!r}"


def answer_of(shown: Shown) -> str:
    """All that the assistant said in its turn, what was put into its mouth included."""
    return shown.request.prefill + shown.answer


def asked_of(messages: Sequence[Message]) -> str:
    """What was asked, as text: the one turn there is, or all of them with their roles."""
    if len(messages) == 1:
        return messages[0].content
    return "\n\n".join(f"{message.role.capitalize()}: {message.content}" for message in messages)


def dialogue(request: Request) -> tuple[Message, ...]:
    """The turns of a conversation that a guard is shown: without those of the system."""
    return tuple(message for message in request.messages if message.role is not Role.system)


def file_and_model(ref: str | None, suffix: str) -> tuple[str | None, str | None, str | None]:
    """The parts of `[FILE@]MODEL`: path and text of the file, and the model's reference.

    The file's name ends in `suffix`; the first `@` that follows such an ending parts the two, so that
    a model may be called anything (`FILE.md@endpoint:http://host/v1#name`). Without a model (the
    reference ends with the file) the third part is None.

    Raises:
        InputError: the file is missing or no UTF-8 text.
    """
    match = re.fullmatch(rf"(.+?{re.escape(suffix)})(?:@(.+))?", ref or "", re.DOTALL)
    if match is None:
        return None, None, ref
    path, model = match.groups()
    try:
        return path, Path(path).read_text(encoding="utf-8-sig"), model
    except UnicodeDecodeError:
        raise InputError("is not UTF-8", file=path, mend="save it as UTF-8") from None
    except OSError as why:
        raise InputError(f"cannot be read ({why.strerror})", file=path) from None
