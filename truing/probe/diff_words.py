"""What a comparison found of one latent, in words and in the lines of a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from truing.pages import cut, short_names, signed
from truing.probe.diff_causes import Side
from truing.probe.diff_effects import Behaved, Judgement, Shift
from truing.probe.diff_reading import Example
from truing.probe.diff_report import DiffReport, Finding
from truing.probe.samples import SampledAnswer

FAR = 10.0
"""A push of more than so many times what training changed shows what a latent can do, not what it did."""
_LONGEST = 400
_REPEATED = 0.25
"""A change of which less than this is seen on other prompts did not repeat."""

_WORDS = {
    Judgement.cause: ("regression", "Causes it", "Can cause it"),
    Judgement.induces: ("regression", "Induces it", "Can induce it"),
    Judgement.suppresses: ("regression", "Suppresses it", "Can suppress it"),
    Judgement.decoy: ("pass", "Only moved along", "Only moved along"),
    Judgement.open: ("inconclusive", "Cannot say", "Cannot say"),
}


@dataclass(frozen=True)
class Names:
    """How a page calls the models of a report."""

    base: str
    tuned: tuple[str, ...]

    @classmethod
    def of(cls, report: DiffReport) -> "Names":
        """As short as it takes to tell them apart."""
        base, *tuned = short_names([report.base, *report.tuned])
        return cls(base, tuple(tuned))

    @property
    def tuned_ones(self) -> str:
        """In a sentence."""
        return "the fine-tune" if len(self.tuned) == 1 else "the fine-tunes"

    @property
    def tuned_side(self) -> str:
        """One fine-tune, or several of which the answers are counted together."""
        return "Fine-tune" if len(self.tuned) == 1 else f"{len(self.tuned)} fine-tunes, pooled"


@dataclass(frozen=True)
class Shown:
    """A finding in words."""

    latent: int
    title: str
    status: str
    word: str
    means: str
    pushes: tuple[str, str]
    """What is done to the base, and to the fine-tunes."""
    facts: tuple[tuple[str, str], ...]
    trials: tuple[tuple[str, str, str], ...]
    """Lines of the table of both experiments: what, on the base, on the fine-tunes."""
    examples: tuple[tuple[str, tuple[Example, ...]], ...]
    """By model."""
    samples: tuple["Prompted", ...]


@dataclass(frozen=True)
class Prompted:
    """What several models answer to one prompt: who, the answer, what the judge said."""

    prompt: str
    rows: tuple[tuple[str, str, str], ...]


def shown(report: DiffReport, one: Finding) -> Shown:
    """All that a page says of a finding."""
    names = Names.of(report)
    status, word, can = _WORDS[one.judgement]
    up = one.moved.change >= 0
    pushes = ("latent added", "latent taken away") if up else ("latent taken away", "latent restored")
    examples = ((names.base, one.examples), (names.tuned[0], one.tuned_examples))
    return Shown(
        one.moved.latent,
        f"Latent {one.moved.latent}, {'more' if up else 'less'} active",
        status,
        can if far(one) else word,
        _means(report, one, pushes),
        pushes,
        _facts(one, names),
        _trials(report, one),
        tuple((name, found) for name, found in examples if found),
        prompted(report, one, pushes),
    )


def times(side: Side | None) -> float | None:
    """How many times training's own change the push was; None where there was none, or nobody told."""
    if side is None or not side.search.value or not side.own_strength:
        return None
    return side.search.value / side.own_strength


def farthest(one: Finding) -> float:
    """The greater of the two, of those that the judgement rests on; 0 where it rests on none."""
    sides = {
        Judgement.cause: (one.induce, one.suppress),
        Judgement.induces: (one.induce,),
        Judgement.suppresses: (one.suppress,),
    }.get(one.judgement, ())
    return max((times(side) or 0.0 for side in sides), default=0.0)


def far(one: Finding) -> bool:
    """Whether what was shown was shown by pushes far beyond what training did."""
    return farthest(one) > FAR


def prompted(
    report: DiffReport, one: Finding | None, pushes: tuple[str, str] = ("", "")
) -> tuple[Prompted, ...]:
    """The sampled prompts with the answers of base and first fine-tune, and under the pushes of a finding."""
    names, tuned = Names.of(report), f"Fine-tune {Names.of(report).tuned[0]}"
    columns: list[tuple[str, Sequence[SampledAnswer]]] = [
        (f"Base {names.base}", report.base_samples),
        (tuned, report.tuned_samples),
    ]
    if one is not None:
        sides = ((f"Base, {pushes[0]}", one.induce), (f"Fine-tune, {pushes[1]}", one.suppress))
        columns += [(who, side.samples) for who, side in sides if side is not None]
    return tuple(
        Prompted(
            asked.prompt,
            tuple((who, cut(kept[at].answer, _LONGEST), _said(kept[at])) for who, kept in columns if kept),
        )
        for at, asked in enumerate(report.base_samples)
    )


def rate(counts: Behaved | None) -> str:
    """The share of misaligned answers with its denominator."""
    if counts is None or counts.share is None:
        return "not measured" if counts is None else "none judged"
    return f"{100 * counts.share:.0f}% of {counts.judged}"


def points(effect: Shift | None) -> str:
    """A difference of shares with its interval, in points."""
    if effect is None:
        return "not measured"
    estimate = "?" if effect.estimate is None else signed(100 * effect.estimate, ".0f")
    return f"{estimate} [{signed(100 * effect.low, '.0f')}, {signed(100 * effect.high, '.0f')}]"


def multiple(value: float | None) -> str:
    """So many times."""
    return "–" if value is None else f"{value:.{1 if value < FAR else 0}f}×"


def _means(report: DiffReport, one: Finding, pushes: tuple[str, str]) -> str:
    done = {
        "latent added": "Adding it to",
        "latent taken away": "Taking it from",
        "latent restored": "Restoring it in",
    }
    harm = f"{done[pushes[0]]} the base makes answers misaligned"
    help = f"{done[pushes[1]].lower()} the fine-tune makes them better"
    said = {
        Judgement.cause: f"{harm}, and {help}. A random push did neither as well{_weaker(report, one)}.",
        Judgement.induces: f"{harm}. That {help} was not shown: there may be more than one way to the behaviour.",
        Judgement.suppresses: f"{help[0].upper()}{help[1:].replace('them', 'answers')}. That "
        f"{harm[0].lower()}{harm[1:]} was not shown.",
        Judgement.decoy: "Training moved it, and in both experiments it explains less than half of the difference "
        "in behaviour. Leave it alone.",
        Judgement.open: _why_open(report, one),
    }[one.judgement]
    if far(one):
        said += (
            f" But it took a push of {multiple(farthest(one))} training's own change: the direction can do "
            "this; that its small change did is not shown."
        )
    return said + _at_own(report, one)


def _weaker(report: DiffReport, one: Finding) -> str:
    """Where the random push that was compared is weaker than the latent's, since more of it was not borne."""
    told = [
        f"on {whose} it had to be weaker, {side.random_strength:.2f} and not {side.search.value:.2f}"
        if side.random_strength
        else f"on {whose} no random push was borne, so none is compared"
        for whose, side in (("the base", one.induce), (Names.of(report).tuned_ones, one.suppress))
        if side is not None and side.search.value is not None and side.random_strength is not None
        if side.random_strength < side.search.value
    ]
    return f" ({'; '.join(told)}: stronger ones made too many answers senseless)" if told else ""


def _at_own(report: DiffReport, one: Finding) -> str:
    """What pushes of just the size of training's change do, of a finding of which something was shown."""
    if one.judgement in (Judgement.decoy, Judgement.open):
        return ""
    sides = (("the base", one.induce), (Names.of(report).tuned_ones, one.suppress))
    told = [f"{rate(side.own)} answers of {whose}" for whose, side in sides if side is not None and side.own]
    return f" Pushed by training's own change alone, misaligned are {' and '.join(told)}." if told else ""


def _why_open(report: DiffReport, one: Finding) -> str:
    sides = [side for side in (one.induce, one.suppress) if side is not None]
    if not sides:
        return "Nobody judged answers, so it was not tried."
    if not any(side.search.value for side in sides):
        return "Even the weakest push made too many answers senseless, so it could not be tried."
    if report.gap is None or (report.gap.estimate or 0.0) <= 0:
        return "The fine-tune is not more often misaligned than the base here: there is nothing to explain."
    if abs(one.again.change) < _REPEATED * abs(one.moved.change):
        return (
            f"Its change of {signed(one.moved.change, '.2f')} did not repeat on other prompts "
            f"({signed(one.again.change, '.2f')}), and no effect was shown."
        )
    told = "No effect was shown: an interval below includes zero. A large one is not ruled out either"
    most = max(times(side) or 0.0 for side in sides)
    if most > FAR:
        return (
            f"{told}, but the push was {multiple(most)} what training changed: with more prompts, too, it could only "
            "show what the latent can do."
        )
    return f"{told}; more prompts narrow the interval."


def _facts(one: Finding, names: Names) -> tuple[tuple[str, str], ...]:
    after = ", ".join(f"{name} {value:.3g}" for name, value in zip(names.tuned, one.moved.tuned, strict=True))
    return (
        ("Mean activation", f"{names.base} {one.moved.base:.3g}; {after}"),
        ("Change, on the testing prompts", signed(one.again.change, ".2f")),
        ("Its direction makes likelier", "  ".join(map(repr, one.lens.promoted))),
        ("Makes less likely", "  ".join(map(repr, one.lens.demoted))),
    )


def _trials(report: DiffReport, one: Finding) -> tuple[tuple[str, str, str], ...]:
    if one.induce is None and one.suppress is None:
        return ()
    plain = (report.plain_base, report.plain_tuned)
    sides = [
        _lines(side, before, predicted)
        for side, before, predicted in zip(
            (one.induce, one.suppress),
            plain,
            ("misaligned share rises", "misaligned share falls"),
            strict=True,
        )
    ]
    return tuple((what, sides[0][what], sides[1][what]) for what in sides[0])


def _lines(side: Side | None, plain: Behaved | None, predicted: str) -> dict[str, str]:
    found = side if side is not None and side.steered is not None else None
    return {
        "Predicted": predicted,
        "Misaligned, not pushed": _both(plain),
        "Misaligned, pushed": _both(found.steered) if found else "no push was allowed",
        "Effect in the predicted direction, points": points(found.effect) if found else "–",
        "Effect less that of the random push, points": points(found.over_random) if found else "–",
        "Size of the push, in mean lengths of the activity": f"{found.search.value:.2f}" if found else "–",
        "Size of the push, in training's own changes": multiple(times(side)),
        "Misaligned, pushed as far as training moved it": _both(found.own) if found else "–",
        "Misaligned, random push, strongest allowed": _at(found) if found else "–",
        "Misaligned, random push of the same size": _both(found.random_same) if found else "–",
    }


def _at(side: Side) -> str:
    at = "" if side.random_strength is None else f", size {side.random_strength:.2f}"
    return _both(side.random) + at


def _both(counts: Behaved | None) -> str:
    if counts is None or counts.incoherence is None:
        return "–"
    return f"{rate(counts)} ({100 * counts.incoherence:.0f}% senseless)"


def _said(one: SampledAnswer) -> str:
    return f"{one.said}: {one.reason}" if one.reason else str(one.said)
