"""What a judge's error does to a comparison: a wider interval, a larger smallest loss, or no answer at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

from truing.grade import CalibrationCard
from truing.numerics import Calibration, Interval, corrected_interval, detectable_true_loss, youden
from truing.types import GraderId, Item, Record, Verdict


@dataclass(frozen=True)
class JudgeNote(Record):
    """A judge that errs, in one dimension: on how many pairs it had a say, and what its card says.

    `youden` is sensitivity + specificity - 1, what it leaves of a true difference, with its interval;
    None without a card of enough labels.
    """

    grader: str
    pairs: int
    card: str = ""
    labels: int = 0
    youden: float | None = None
    youden_low: float | None = None
    youden_high: float | None = None


@dataclass(frozen=True)
class Stratum:
    """The pairs of one dimension that one instrument judged: their share, difference and its interval."""

    judge: str
    exact: bool
    pairs: int
    share: float
    difference: float
    interval: Interval


Cards = Mapping[str, tuple[str, int, Calibration]]
"""Instrument (see `called`) -> the digest of its card, its labels, and its counts."""


def called(grader: GraderId, criterion: str) -> str:
    """What identifies an instrument: all that its verdicts on one criterion depend on."""
    own = grader.name if criterion in ("", grader.name) else f"{grader.name}/{criterion}"
    return " ".join(part for part in (own, grader.version, grader.spec) if part)


def by_judge(cards: Sequence[CalibrationCard]) -> Cards:
    """The counts of each card by what identifies its instrument; a later card goes before an earlier one."""
    return {
        called(card.grader, card.criterion): (card.digest, card.overall.judged, card.counts) for card in cards
    }


def instrument_of(item: Item, verdict: Verdict) -> str:
    """The instrument behind a verdict; of a parser, whose criterion is what the item expects, its name."""
    return called(verdict.grader, verdict.criterion if item.grader else "")


def note(stratum: Stratum, cards: Cards) -> JudgeNote | None:
    """What is known of a stratum's judge; None for one that is right by construction."""
    if stratum.exact:
        return None
    if stratum.judge not in cards:
        return JudgeNote(stratum.judge, stratum.pairs)
    card, labels, counts = cards[stratum.judge]
    j, ends = youden(counts)
    if not isfinite(j):
        return JudgeNote(stratum.judge, stratum.pairs, card, labels)
    return JudgeNote(stratum.judge, stratum.pairs, card, labels, j, ends.low, ends.high)


def corrected(strata: Sequence[Stratum], cards: Cards, level: float = 0.95) -> tuple[float, Interval] | None:
    """The difference over all strata, each corrected for its judge; None where nothing had to be corrected.

    A judge without a card is taken at its word: that no such dimension passes is the gate's rule.
    The interval joins those of the strata as the hybrid method does (MOVER: Zou and Donner 2008).
    """
    known = [s for s in strata if not s.exact and s.judge in cards]
    if not known:
        return None
    total, below, above = 0.0, 0.0, 0.0
    for stratum in strata:
        difference, interval = stratum.difference, stratum.interval
        if stratum in known:
            counts = cards[stratum.judge][2]
            difference, interval = corrected_interval(difference, interval, counts, level)
        if not isfinite(difference):  # this judge says nothing: its labels stand, and anything may be true
            return sum(s.share * s.difference for s in strata), Interval(-1.0, 1.0)
        total += stratum.share * difference
        below += (stratum.share * (difference - interval.low)) ** 2
        above += (stratum.share * (interval.high - difference)) ** 2
    return total, Interval(max(-1.0, total - sqrt(below)), min(1.0, total + sqrt(above)))


def enlarged(detectable: float, notes: Sequence[JudgeNote]) -> float:
    """The smallest true loss that is seen behind the worst judge, where `detectable` is seen in the labels."""
    return detectable_true_loss(
        detectable, min((n.youden_low for n in notes if n.youden_low is not None), default=1.0)
    )
