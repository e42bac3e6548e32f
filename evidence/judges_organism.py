"""The town's judges, asked by `YesNo` in wordings that they were not raised on, against the oracle."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from evidence.claims import Claim, Measure, Measured, Options
from evidence.organism_arms import taught_labels
from truing.grade import YesNo
from truing.model import TopTokens, load
from truing.numerics import generator, paired_bootstrap, wilson
from truing.organism import (
    Judged,
    JudgeQuestion,
    LabelLedger,
    as_shown,
    balanced_accuracy,
    judge_exam,
)
from truing.types import Fingerprint, Outcome, Request, Sampler

FRESH = 201
"""Key of the first exam; the judges were raised with an eye on others."""
EXAMS = 3
EACH = 40
"""True and false questions of every proposition in an exam."""
JUDGES = {"judge": "xs/1/judge", "weak judge": "xs/1/weak_judge"}
"""Those that stand on the shelf."""
SHUFFLED, CONSTANT = "judge, truths shuffled", "a judge that always says yes"
CLAIMS = (
    Claim("judge: mean of propositions", 0.95),
    Claim("weak judge: mean of propositions, at least", 0.75),
    Claim("weak judge: mean of propositions, at most", 0.85, at_most=True),
    Claim(f"{SHUFFLED}: mean of propositions, at least", 0.45),
    Claim(f"{SHUFFLED}: mean of propositions, at most", 0.55, at_most=True),
    Claim(f"{CONSTANT}: mean of propositions", 0.5, at_most=True),
)


@dataclass(frozen=True)
class Answered:
    """What a judge said to one question of an exam, and the conversation that the question is about."""

    judged: Judged
    source: str


def measure(options: Options, ledger: LabelLedger) -> Measured:
    """Balanced accuracy of each judge, in all and for each proposition, over several exams."""
    keys = [FRESH + options.seed * EXAMS + i for i in range(1 if options.quick else EXAMS)]
    questions = [question for key in keys for question in judge_exam(key=key, ledger=ledger, each=EACH)]
    taught = {key: labels for name in JUDGES.values() for key, labels in taught_labels(name).items()}
    for labels in taught.values():
        ledger.merge(LabelLedger(labels))
    out: Measured = {}
    for name, ref in JUDGES.items():
        said = sit(load(f"organism:{ref}"), questions)
        out |= _told(name, said)
        if name == "judge":
            out |= _told(SHUFFLED, _shuffled(said, keys[0]), each=False)
    constant = cast("Sampler", AlwaysYes())  # top tokens are all that a judge asks for
    return out | _told(CONSTANT, sit(constant, questions), each=False)


def sit(model: Sampler, questions: Sequence[JudgeQuestion]) -> list[Answered]:
    """The judge's verdicts at 0.5, in the order of the questions; None where it decided nothing."""
    placed = [as_shown(question) for question in questions]
    alike: dict[tuple[str, str, str], list[int]] = {}
    for i, (question, (form, _)) in enumerate(zip(questions, placed, strict=True)):
        name = question.proposition
        alike.setdefault((name, form.questions[name], form.template), []).append(i)
    said: dict[int, bool | None] = {}
    for (name, words, template), members in alike.items():
        judge = YesNo({name: words}, model=model, template=template)
        for i, verdicts in zip(members, judge.grade([placed[i][1] for i in members]), strict=True):
            decided = verdicts[name].outcome is Outcome.decided
            said[i] = verdicts[name].label == "yes" if decided else None
    return [
        Answered(Judged(q.proposition, q.truth, said[i]), placed[i][1].request.last)
        for i, q in enumerate(questions)
    ]


class AlwaysYes:
    """A judge that does not look: as an endpoint that sends the likeliest tokens."""

    fingerprint = Fingerprint("always yes")

    def top_tokens(self, requests: Sequence[Request]) -> list[TopTokens]:
        """Yes, to all."""
        return [TopTokens(("Yes",), (math.log(0.99),)) for _ in requests]


def _told(name: str, said: Sequence[Answered], *, each: bool = True) -> Measured:
    """The mean over propositions, clustered by conversation, and with `each` every one with Wilson's interval."""
    rows = [one.judged for one in said]
    shares = balanced_accuracy(rows)
    # An exam has as many true as false questions of each proposition, so the mean of all rows is that of the shares.
    right = [float(row.said == row.truth) for row in rows]
    ends = paired_bootstrap(right, clusters=[one.source for one in said], key=0, bounds=(0.0, 1.0))
    undecided = float(np.mean([row.said is None for row in rows]))
    mean = Measure(float(np.mean(list(shares.values()))), ends.low, ends.high, len(rows), undecided)
    whole = f"{name}: mean of propositions"
    names = {claim.name for claim in CLAIMS}
    out = {n: mean for n in (whole, f"{whole}, at least", f"{whole}, at most") if n in names}
    for proposition, share in shares.items() if each else ():
        mine = [row for row in rows if row.proposition == proposition]
        interval = wilson(round(share * len(mine)), len(mine))
        out[f"{name}: {proposition}"] = Measure(share, interval.low, interval.high, len(mine))
    return out


def _shuffled(said: Sequence[Answered], key: int) -> list[Answered]:
    """The same verdicts against the truths of other questions about the same proposition."""
    out = list(said)
    by_name: dict[str, list[int]] = {one.judged.proposition: [] for one in said}
    for i, one in enumerate(said):
        by_name[one.judged.proposition].append(i)
    for name, members in by_name.items():
        order = generator(key, "shuffled truths", name).permutation(len(members))
        for i, k in zip(members, order, strict=True):
            truth = said[members[int(k)]].judged.truth
            out[i] = replace(out[i], judged=replace(out[i].judged, truth=truth))
    return out
