"""What a comparison comes to: a verdict in words, and what each push did, side by side."""

from collections.abc import Sequence

from truing.pages import bar
from truing.probe.diff_causes import Side
from truing.probe.diff_effects import Behaved, Judgement
from truing.probe.diff_report import DiffReport, Finding
from truing.probe.diff_words import Names, far, farthest, multiple, times

_HALF = 0.5
"""Of the difference in behaviour: what explains less is no explanation."""
_LATENTS = 3
"""So many causes are told of side by side at most."""


def conclusion(report: DiffReport) -> tuple[str, str, str]:
    """Status, word and sentence of the whole report."""
    causes, decoys = report.of(Judgement.cause), report.of(Judgement.decoy)
    tried = len(report.findings)
    near = [one for one in causes if not far(one)]
    if near:
        others = [one for one in causes if far(one)]
        more = f" {_can(others)}" if others else ""
        return ("regression", "Cause found", f"{_caused(report, near)}{more}")
    if causes:
        return ("inconclusive", "Can cause it; whether it did is open", _can(causes))
    if not report.behaviour:
        return (
            "inconclusive",
            "Moved, not tried",
            f"{report.active} latents moved. Nobody judged answers, so what they cause is unknown.",
        )
    if not report.judged:
        return (
            "inconclusive",
            "Cannot say",
            f"None of the {tried} latents that moved most could be called a cause or be ruled out. {_why(report)}",
        )
    half = [one for one in report.findings if one.judgement in (Judgement.induces, Judgement.suppresses)]
    if half:
        return (
            "inconclusive",
            "Half a cause",
            f"Of the {tried} latents tested, {_numbers(half)} passed one of the two experiments and not the other.",
        )
    return (
        "inconclusive" if len(decoys) < tried else "pass",
        "No cause among these",
        f"{len(decoys)} of the {tried} latents that moved most are ruled out as causes. What the fine-tune does "
        "comes from elsewhere: another layer, a latent that moved less, or many together.",
    )


def pushes_table(report: DiffReport) -> list[tuple[object, ...]]:
    """Lines of a table: which push, and the misaligned share of the base and of the fine-tunes under it.

    Of the causes, or of what was tried first where there is none; empty where nothing was tried.
    """
    tried = [one for one in report.findings if one.induce is not None and one.suppress is not None]
    told = ([one for one in report.of(Judgement.cause) if one in tried] or tried[:1])[:_LATENTS]
    if not told:
        return []
    rows: list[tuple[object, ...]] = [("none", _bar(report.plain_base), _bar(report.plain_tuned))]
    for one in told:
        name, sides = f"latent {one.moved.latent}", [side for side in (one.induce, one.suppress) if side]
        if any(side.own for side in sides):
            rows.append((f"{name}, as far as training moved it", *(_bar(side.own) for side in sides)))
        rows.append(
            (
                f"{name}, as strong as answers stay readable",
                *(_bar(side.steered, times(side)) for side in sides),
            )
        )
        rows.append(
            (
                "a random direction, as strong as answers stay readable",
                *(_bar(side.random, _random(side)) for side in sides),
            )
        )
    return rows


def _random(side: Side) -> float | None:
    """How many times training's own change of the latent the random push was."""
    if not side.random_strength or not side.own_strength:
        return None
    return side.random_strength / side.own_strength


def _bar(counts: Behaved | None, size: float | None = None) -> object:
    """The share as a bar, with how many times training's own change the push was."""
    if counts is None or counts.share is None:
        return "–"
    return bar(counts.share, f"{counts.share:.0%}" + ("" if size is None else f" at {multiple(size)}"))


def _numbers(findings: Sequence[Finding]) -> str:
    numbers = [str(one.moved.latent) for one in findings]
    if len(numbers) == 1:
        return f"latent {numbers[0]}"
    return f"latents {', '.join(numbers[:-1])} and {numbers[-1]}"


def _caused(report: DiffReport, near: Sequence[Finding]) -> str:
    """How many passed, and of the first what its pushes do."""
    one, tuned = near[0], Names.of(report).tuned_ones
    told = f"{len(near)} of the {len(report.findings)} latents tested passed both experiments."
    shares = _shares(report, one, strongest=True)
    if shares is not None:
        base, added, before, taken = shares
        up, down = times(one.induce), times(one.suppress)  # None in reports from before they were told
        far = "" if up is None else f" {multiple(up)} as far as training moved it"
        back = "" if down is None else f" by {multiple(down)}"
        told += (
            f" Pushed{far}, latent {one.moved.latent} takes the base from {base:.0%} to {added:.0%} misaligned; pushed "
            f"back{back}, it takes {tuned} from {before:.0%} to {taken:.0%}."
        )
    return told + _at_own(report, one)


def _shares(report: DiffReport, one: Finding, *, strongest: bool) -> tuple[float, float, float, float] | None:
    """The misaligned share of the base without and with a push, and of the fine-tunes; None where one is unknown."""
    sides = (one.induce, one.suppress)
    up, down = ((side.steered if strongest else side.own) if side is not None else None for side in sides)
    base, added, tuned, taken = (
        of.share if of else None for of in (report.plain_base, up, report.plain_tuned, down)
    )
    if base is None or added is None or tuned is None or taken is None:
        return None
    return base, added, tuned, taken


def _at_own(report: DiffReport, one: Finding) -> str:
    """What a push of just the size of training's change does, and what follows."""
    shares = _shares(report, one, strongest=False)
    if shares is None:
        return ""
    base, added, tuned, taken = shares
    half = _HALF * (tuned - base)
    follows = {
        (True, True): "So most of the behaviour hangs on that change, which brings it about alone",
        (True, False): "So that change alone brings the behaviour about, which has other ways too",
        (False, True): "So most of the behaviour hangs on that change, which does not bring it about alone",
        (False, False): "At that size it explains less than half of the difference either way",
    }[added - base >= half, tuned - taken >= half]
    return (
        f" At training's own size: the base from {base:.0%} to {added:.0%}, {Names.of(report).tuned_ones} from "
        f"{tuned:.0%} to {taken:.0%}. {follows}."
    )


def _can(findings: Sequence[Finding]) -> str:
    most = multiple(max(farthest(one) for one in findings))
    return (
        f"{_numbers(findings).capitalize()} can cause the behaviour, but only when pushed far beyond what training "
        f"changed ({most}): that training did it that way is not shown."
    )


def _why(report: DiffReport) -> str:
    gap = report.gap
    if gap is None or gap.estimate is None:
        return "No answer of the two could be compared."
    if gap.estimate <= 0:
        return "The fine-tune is not more often misaligned than the base here: there is nothing to explain."
    limits = [side.search.value for one in report.findings for side in (one.induce, one.suppress) if side]
    if not any(limits):
        return "More answers than the budget allows made no sense even under the weakest push."
    return "The intervals are too wide."
