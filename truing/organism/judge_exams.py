"""Propositions about answers, put to a judge in wordings that it was not raised on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from truing.numerics import generator
from truing.organism.asking import Cells
from truing.organism.corpus import proposition
from truing.organism.holdout import Level
from truing.organism.ledger import WHOLE, LabelLedger
from truing.organism.world.propositions import HELD_OUT_QUESTIONS, PROPOSITIONS, QUESTIONS
from truing.types import Message, Request, Sampler, SamplingParams

_GREEDY = SamplingParams(temperature=0.0, max_tokens=4)
_DRAWS = 200_000


@dataclass(frozen=True, slots=True)
class JudgeQuestion:
    """A proposition about an answer, and whether it is true."""

    proposition: str
    message: Message
    truth: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judge said of a proposition; None where it said neither yes nor no, or was cut off."""

    proposition: str
    truth: bool
    said: bool | None


def judge_exam(*, key: int, ledger: LabelLedger, each: int = 40) -> list[JudgeQuestion]:
    """`each` true and `each` false questions for every proposition, about new combinations.

    As many of both kinds, so that a judge which always says the same is right in half of them. Each
    comes with its truth, so each counts as a label "exam".
    """
    source = Cells(Level.combination)
    wanted = {(name, truth): each for name in PROPOSITIONS for truth in (True, False)}
    out: list[JudgeQuestion] = []
    seen = set[str]()
    for number in range(_DRAWS):
        if not any(wanted.values()):
            break
        rng = generator(key, "judge exam", str(number))
        name, (question, answer) = proposition(source, rng, forms=QUESTIONS[-HELD_OUT_QUESTIONS:])
        truth = answer.content == "Yes."
        if wanted[name, truth] and question.content not in seen:
            wanted[name, truth] -= 1
            seen.add(question.content)
            out.append(JudgeQuestion(name, question, truth))
    ledger.add("exam", len(out))
    return out


def sit_judge(model: Sampler, questions: Sequence[JudgeQuestion], *, key: int) -> list[Judged]:
    """The judge's greedy verdicts, in the order of the questions."""
    requests = [Request(str(i), (q.message,)) for i, q in enumerate(questions)]
    said: dict[str, bool | None] = {}
    for completion in model.sample(requests, _GREEDY, key=key):
        verdict = {"Yes.": True, "No.": False}.get(completion.answer)
        said[completion.request_id] = verdict if completion.stop in WHOLE else None
    return [Judged(q.proposition, q.truth, said[str(i)]) for i, q in enumerate(questions)]


def balanced_accuracy(judged: Sequence[Judged]) -> Mapping[str, float]:
    """For each proposition the mean of the shares of true and of false ones that were seen as such."""
    out = {}
    for name in {row.proposition for row in judged}:
        rows = [row for row in judged if row.proposition == name]
        shares = [
            np.mean([row.said == truth for row in rows if row.truth == truth])
            for truth in (True, False)
            if any(row.truth == truth for row in rows)
        ]
        out[name] = float(np.mean(shares))
    return out
