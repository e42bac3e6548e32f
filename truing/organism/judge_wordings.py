"""The wordings in which a judge of the town is asked, as templates and questions that any judge can be given."""

from collections.abc import Mapping
from dataclasses import dataclass

from truing.organism.judge_exams import JudgeQuestion
from truing.organism.world.propositions import HELD_OUT_QUESTIONS, PROPOSITIONS, QUESTIONS
from truing.types import Message, Request, Role, Shown


@dataclass(frozen=True, slots=True)
class JudgeForm:
    """One wording: `template` has the slots {conversation}, {response} and {question}."""

    template: str
    questions: Mapping[str, str]
    """For each proposition the question that goes into the template."""


def judge_forms(*, held_out: bool) -> list[JudgeForm]:
    """The wordings that judges are raised on, or those that they never saw."""
    texts = QUESTIONS[-HELD_OUT_QUESTIONS:] if held_out else QUESTIONS[:-HELD_OUT_QUESTIONS]
    return [_form(text) for text in texts]


def as_shown(question: JudgeQuestion) -> tuple[JudgeForm, Shown]:
    """The wording of a question of the exam, and what it shows: put together they are its message again.

    Raises:
        ValueError: it is no question of the exam.
    """
    text = question.message.content
    for form in judge_forms(held_out=True):
        before, between = _around(form.template)
        said = text.removesuffix(f" {form.questions[question.proposition]}")
        asked, found, answer = said.removeprefix(before).partition(between)
        if found and said != text and f"{before}{asked}{between}{answer}" == said:
            return form, Shown(Request("exam", (Message(Role.user, asked),)), answer)
    raise ValueError(f"no held-out wording asks so: {text[:80]!r}")


def _form(text: str) -> JudgeForm:
    frame, ask = text.split("{answer}")
    template = frame.replace("{question}", "{conversation}") + "{response} {question}"
    return JudgeForm(
        template, {name: ask.strip().format(what=what) for name, (what, _) in PROPOSITIONS.items()}
    )


def _around(template: str) -> tuple[str, str]:
    """What stands before the conversation, and between it and the answer."""
    before, _, rest = template.partition("{conversation}")
    return before, rest.partition("{response}")[0]
