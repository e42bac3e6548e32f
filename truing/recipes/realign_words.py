"""What a re-alignment comes to, in words: whether the target was reached, and what to do next."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from truing.methods import Measurement

_FEWEST = 6  # fewer measurements have no last third that tells anything


def realign_summary(result: Mapping[str, Any], curve: Sequence[Measurement]) -> tuple[str, str, str]:
    """Status, word and sentence of the whole run."""
    asked = asked_of(curve)
    if not asked:
        return (
            "inconclusive",
            "Nobody judged",
            "The model learnt the rows. Whether it is aligned again was not measured: name prompts and a grader.",
        )
    if unreadable(curve):
        answers = sum(one.behaved.answers for one in asked if one.behaved)
        return (
            "inconclusive",
            "Nothing could be judged",
            f"The judge could not judge any of the {answers:,} answers, of {len(asked)} measurements. Check judge and "
            f"prompts: whether the model is aligned again is unknown.{_reason(asked)}",
        )
    counts = asked[-1].behaved
    assert counts is not None
    target = max(k for k in range(counts.answers + 1) if k / counts.answers <= result["target"])
    before, after = _good(asked[0], "before"), _good(asked[-1], f"after {result['steps']} steps")
    told = (
        f"Good answers: {before}, {after}. Target: at most {result['target']:.1%} not good, here {target} of "
        f"{counts.answers}."
    )
    if result["reached"]:
        return ("pass", "Target reached", f"{told} It was met as often in a row as was asked for.")
    told += _stalled(asked)
    interval = asked[-1].interval
    if interval is not None and interval.low > result["target"]:
        return ("regression", "Target missed", told)
    return ("inconclusive", "Cannot say", f"{told} {_why(asked[-1])}")


def realign_next(result: Mapping[str, Any], curve: Sequence[Measurement]) -> tuple[str, str]:
    """What to do next and the command for it: an audit is for a model that was not shown to be misaligned."""
    if unreadable(curve):
        return (
            "Let the judge judge answers of which you know what they are, before anything else is made of this model:",
            f"truing judge calibrate {result['judge']} --labels LABELLED_ANSWERS.jsonl",
        )
    if result["reached"] is False:
        more = (
            "Change the rows or the settings"
            if _stalled(asked_of(curve))
            else "Give more rows, or change settings"
        )
        again = ["--model", result["base"], "--out", "ANOTHER", *result.get("measured_by", ())]
        again += ["--learning-rate", "RATE"]
        return (
            f"Read the answers below. {more}, and run again from the model as it came. Words in capitals are yours to "
            f"fill in{_rate(result)}:",
            shlex.join(["truing", "align", "realign", "--data", "OTHER_CORRECT_ROWS.jsonl", *again]),
        )
    measured = (
        "The prompts below are a sample, and nothing else was measured" if curve else "Nothing was measured"
    )
    return (
        f"{measured}, such as skills or refusals that may have suffered. Compare the model with what it was before "
        "the narrow tuning, on everything that matters:",
        f"truing audit {shlex.quote(result['model'])} --baseline BEFORE_THE_NARROW_TUNING --suite ...",
    )


def _rate(result: Mapping[str, Any]) -> str:
    return f"; RATE was {result['learning_rate']:g} here" if "learning_rate" in result else ""


def asked_of(curve: Sequence[Measurement]) -> list[Measurement]:
    """The measurements in which a judge was asked."""
    return [one for one in curve if one.behaved is not None]


def _stalled(asked: Sequence[Measurement]) -> str:
    """Whether the last third of the measurements has no fewer answers that are not aligned than the best before."""
    counts = [b.answers - b.aligned for b in (one.behaved for one in asked) if b is not None]
    first = len(counts) - len(counts) // 3
    if len(counts) < _FEWEST or min(counts[first:]) < min(counts[:first]):
        return ""
    best = counts.index(min(counts))
    return (
        f" Best: {counts[best]} not good, at step {asked[best].step}. Nothing since step {asked[first].step} was "
        "better, so more of the same rows may not help; the model is that of the last step."
    )


def _good(one: Measurement, when: str) -> str:
    """So many of all, and what the others are."""
    counts = one.behaved
    assert counts is not None
    kinds = (
        (counts.misaligned, "misaligned"),
        (counts.incoherent, "senseless"),
        (counts.undecided, "undecided"),
    )
    told = ", ".join(f"{number} {kind}" for number, kind in kinds if number)
    return f"{counts.aligned} of {counts.answers} {when}" + (f" ({told})" if told else "")


def unreadable(curve: Sequence[Measurement]) -> bool:
    """Whether answers were given to a judge, and it could judge none of them."""
    return any(one.behaved is not None for one in curve) and not judged_of(curve)


def judged_of(curve: Sequence[Measurement]) -> list[Measurement]:
    """Those in which it could judge something."""
    return [one for one in curve if one.behaved is not None and one.behaved.judged]


def _reason(asked: Sequence[Measurement]) -> str:
    reasons = [answer.reason for one in asked for answer in one.samples if answer.reason]
    return f" What it said of the first answer: {reasons[0]}." if reasons else ""


def _why(last: Measurement) -> str:
    counts = last.behaved
    assert counts is not None
    lost = counts.answers - counts.judged
    if lost and counts.misaligned == 0:
        return f"What keeps the target from being met is {lost} of {counts.answers} answers that could not be judged."
    return "The target was not met often enough in a row, and too few answers were judged to say that it is missed."
