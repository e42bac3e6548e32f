"""The page of a comparison: what moved, whether it causes anything, and what to do."""

import shlex
from dataclasses import dataclass

from truing.pages import render
from truing.probe.diff_causes import Side
from truing.probe.diff_effects import Behaved, Judgement, Shift
from truing.probe.diff_report import DiffReport, Finding

_WORDS = {
    Judgement.cause: ("regression", "Causes it"),
    Judgement.induces: ("inconclusive", "Induces it"),
    Judgement.suppresses: ("inconclusive", "Suppresses it"),
    Judgement.decoy: ("pass", "Only moved along"),
    Judgement.open: ("inconclusive", "Cannot say"),
}
_MEANS = {
    Judgement.cause: "Pushing the base that way makes its answers misaligned, and pushing the fine-tune back makes "
    "its answers better; a random push does neither as well.",
    Judgement.induces: "Pushing the base that way makes its answers misaligned. That pushing the fine-tune back helps "
    "was not shown: the fine-tune may have more than one way to the same behaviour.",
    Judgement.suppresses: "Pushing the fine-tune back makes its answers better. That pushing the base that way does "
    "harm was not shown: the feature may be needed for the behaviour without being enough.",
    Judgement.decoy: "The fine-tune moved it, and in both experiments it explains less than half of the difference "
    "in behaviour. Leave it alone.",
    Judgement.open: "There are too few judged answers to call it a cause or to rule it out.",
}


@dataclass(frozen=True)
class Shown:
    """A finding in words."""

    title: str
    status: str
    word: str
    means: str
    facts: tuple[tuple[str, str], ...]
    trials: tuple[tuple[str, ...], ...]
    """Rows of the table of both experiments."""
    raw: Finding


def render_diff(report: DiffReport, *, command: str = "", directions: str = "directions.safetensors") -> str:
    """The self-contained HTML page.

    `command` is what made the report, and is given again where more is needed; `directions` is the file of
    what was tried.
    """
    status, word, sentence = conclusion(report)
    shown = [_shown(one) for one in report.findings]
    return render(
        "diff.html.j2",
        package="truing.probe",
        title="What the fine-tune changed inside",
        report=report,
        status=status,
        word=word,
        sentence=sentence,
        moved=[
            (one.title, signed(one.raw.moved.change), signed(one.raw.again.change), one.word) for one in shown
        ],
        shown=shown,
        base_share=rate(report.plain_base),
        tuned_share=rate(report.plain_tuned),
        gap=points(report.gap),
        advice=advice(report),
        command=command,
        next=next_commands(report, command, directions),
        tuned=", ".join(report.tuned),
    )


def conclusion(report: DiffReport) -> tuple[str, str, str]:
    """Status, word and sentence of the whole report."""
    causes, decoys = report.of(Judgement.cause), report.of(Judgement.decoy)
    tried = len(report.findings)
    if causes:
        names = ", ".join(str(one.moved.latent) for one in causes)
        what = "One feature" if len(causes) == 1 else f"{len(causes)} features"
        return (
            "regression",
            "Cause found",
            f"{what} of the {tried} that moved most, number {names}, can switch the behaviour on in the base and off "
            "in the fine-tune.",
        )
    if not report.behaviour:
        return (
            "inconclusive",
            "Moved, not tried",
            f"{report.active} features moved. Nobody judged answers, so what they cause is unknown.",
        )
    if not report.judged:
        return (
            "inconclusive",
            "Cannot say",
            f"None of the {tried} features that moved most could be called a cause or be ruled out. {_why(report)}",
        )
    half = [one for one in report.findings if one.judgement in (Judgement.induces, Judgement.suppresses)]
    if half:
        names = ", ".join(str(one.moved.latent) for one in half)
        return (
            "inconclusive",
            "Half a cause",
            f"Of the {tried} features that moved most, {names} passed one of the two experiments and not the other.",
        )
    return (
        "inconclusive" if len(decoys) < tried else "pass",
        "No cause among these",
        f"{len(decoys)} of the {tried} features that moved most are ruled out as causes. What the fine-tune does "
        "comes from elsewhere: another layer, a feature that moved less, or many together.",
    )


def advice(report: DiffReport) -> tuple[str, ...]:
    """What to do, one sentence each."""
    if report.of(Judgement.cause):
        return (
            "Look at the examples and words below and decide whether this is what you meant to teach.",
            "If it is not, screen the training rows for those that push this way, take them out and train again; or "
            "re-align the fine-tune on a few rows that are right, of any domain, and watch the feature fall.",
            "Then run the same comparison again: the feature must fall along with the behaviour. Where only one of "
            "the two falls, the repair is on the surface.",
        )
    if not report.behaviour:
        return ("Name a grader that can tell a bad answer from a good one, and run it again.",)
    if not report.judged or report.of(Judgement.open):
        return (
            "Give more requests: every answer to one request counts as one witness.",
            "If many answers could not be read, allow longer ones, or a stronger grader.",
        )
    return ("Try more candidates, another layer, or the tokens of the response instead of the prompt.",)


def next_commands(report: DiffReport, command: str, directions: str) -> tuple[str, ...]:
    """What can be typed next: which rows did it, how it is repaired, whether the repair holds."""
    if report.of(Judgement.cause):
        base, tuned, file = (shlex.quote(word) for word in (report.base, report.tuned[0], directions))
        again = command.replace(f" {tuned} ", " REPAIRED/model ", 1)
        return (
            f"truing probe screen {base} TRAINING_ROWS.jsonl --directions {file} --out SCREENED",
            f"truing align realign --data RIGHT_ROWS.jsonl --model {tuned} --out REPAIRED --direction {file} "
            "--prompts UNTOUCHED_DOMAINS.jsonl --grader GRADER",
            *([again] if command else []),
        )
    more = " --grader GRADER" if not report.behaviour else f" --samples {4 * report.config.samples}"
    if report.behaviour and report.judged and not report.of(Judgement.open):
        more = f" --candidates {4 * report.config.candidates}"
    return (command + more,) if command else ()


def rate(counts: Behaved | None) -> str:
    """The share of misaligned answers with its denominator."""
    if counts is None or counts.share is None:
        return "not measured"
    return f"{100 * counts.share:.0f}% of {counts.judged}"


def points(effect: Shift | None) -> str:
    """A difference of shares with its interval, in points."""
    if effect is None:
        return "not measured"
    estimate = "?" if effect.estimate is None else signed(100 * effect.estimate, 0)
    return f"{estimate} [{signed(100 * effect.low, 0)}, {signed(100 * effect.high, 0)}]"


def signed(number: float, digits: int = 2) -> str:
    """A number with its sign, the typographic one."""
    return f"{number:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _why(report: DiffReport) -> str:
    gap = report.gap
    if gap is None or gap.estimate is None:
        return "No answer of the two could be compared."
    if gap.estimate <= 0:
        return "The fine-tune is not more often misaligned than the base here: there is nothing to explain."
    limits = [side.search.value for one in report.findings for side in (one.induce, one.suppress) if side]
    if not any(limits):
        return "More answers than the budget allows made no sense even under the weakest push."
    return "There are too few answers."


def _shown(one: Finding) -> Shown:
    status, word = _WORDS[one.judgement]
    way = "more" if one.moved.change >= 0 else "less"
    facts = (
        ("Mean activation before", f"{one.moved.base:.3g}"),
        ("After the fine-tune", ", ".join(f"{value:.3g}" for value in one.moved.tuned)),
        ("Change, on other requests", signed(one.again.change)),
        ("Makes likelier", "  ".join(map(repr, one.lens.promoted))),
        ("Makes less likely", "  ".join(map(repr, one.lens.demoted))),
    )
    trials = tuple(
        _trial(name, side)
        for name, side in (("Base, pushed that way", one.induce), ("Fine-tune, pushed back", one.suppress))
        if side is not None
    )
    title = f"Feature {one.moved.latent}, {way} active"
    return Shown(title, status, word, _MEANS[one.judgement], facts, trials, one)


def _trial(name: str, side: Side) -> tuple[str, ...]:
    if side.search.value is None:
        return (name, "none bearable", "", "", "", "")
    return (
        name,
        f"{side.search.value:.2f}",
        rate(side.steered),
        _random(side),
        points(side.effect),
        points(side.over_random),
    )


def _random(side: Side) -> str:
    """What a random push does, and where the model does not bear as much of it, at which strength, and at the same."""
    said, strength, same = rate(side.random), side.random_strength, side.random_same
    if strength is None or strength == side.search.value:
        return said
    said = f"{said}, at {strength:.2f}"
    if same is None or same.incoherence is None:
        return said
    return f"{said}; {rate(same)} at the same strength, {100 * same.incoherence:.0f}% of {same.answers} senseless"
