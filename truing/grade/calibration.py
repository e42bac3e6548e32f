"""A judge's calibration card: how often it errs, measured on answers whose truth people or an oracle told."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isclose, isfinite, nan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from truing.data import read_json, split_by_group
from truing.grade.labels import LabelledAnswer, Labels
from truing.grade.reading import Reading, number, usual_reading
from truing.grade.registry import Instrument
from truing.numerics import Calibration, Interval, accuracy, cohen_kappa, wilson, youden
from truing.run import replace_file
from truing.types import FrozenDict, GraderId, InputError, Outcome, Record, Verdict, digest

MOST_NEEDED = 200
"""Judged labels that a card needs for an audit to pass by it."""


class Ground(StrEnum):
    """Who told the truth."""

    people = "people"
    oracle = "oracle"


@dataclass(frozen=True, slots=True)
class Rate(Record):
    """A number with its 95 % interval; None where there is nothing to take it of."""

    value: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ErrorRates(Record):
    """A judge against the truth on `n` answers of one category (empty: all).

    `missing` counts by outcome what it did not judge: that lowers `coverage` and is in no other
    number. `youden` is sensitivity + specificity - 1. Intervals: Wilson's, kappa's large-sample one,
    and Newcombe's for `youden`.
    """

    category: str
    n: int
    missing: FrozenDict
    counts: Calibration
    coverage: Rate
    accuracy: Rate
    kappa: Rate
    sensitivity: Rate
    specificity: Rate
    youden: Rate

    @classmethod
    def of(cls, category: str, missing: FrozenDict, counts: Calibration) -> "ErrorRates":
        """All rates follow from the counts."""
        n = _judged(counts) + sum(missing.values())
        return cls(category, n, missing, counts, **_rates(n, counts))

    @property
    def judged(self) -> int:
        """Of how many answers the judge said something."""
        return _judged(self.counts)

    def check(self) -> None:
        """The rates are those of the counts: a card that was mended by hand is none."""
        if self.n != self.judged + sum(self.missing.values()):
            raise ValueError(f"{self.n} answers are not those judged and those missing")
        for name, right in _rates(self.n, self.counts).items():
            found = getattr(self, name)
            pairs = zip(
                (found.value, found.low, found.high), (right.value, right.low, right.high), strict=True
            )
            if not all(
                a is b or (a is not None and b is not None and isclose(a, b, abs_tol=1e-9)) for a, b in pairs
            ):
                raise ValueError(f"the {name} is not that of the counts")


@dataclass(frozen=True, slots=True)
class CalibrationCard(Record):
    """How far a judge can be trusted on one criterion; what `GraderId.card` is the digest of.

    `grader` is the judge without its card. `reading` says which of its verdicts are positive; where
    its threshold was tuned, that was on `tuned_on` other answers, to other prompts, split by `seed`.
    `categories` are empty where none was given.
    """

    grader: GraderId
    criterion: str
    reading: Reading
    ground: Ground
    source: str
    source_digest: str
    overall: ErrorRates
    categories: tuple[ErrorRates, ...] = ()
    tuned_on: int = 0
    seed: int | None = None

    def check(self) -> None:
        """The card is of a judge without a card, and its categories add up."""
        if self.grader.card:
            raise ValueError("the judge on a card carries no card itself")
        if self.categories and sum(part.n for part in self.categories) != self.overall.n:
            raise ValueError("the categories do not add up to all answers")

    @property
    def digest(self) -> str:
        """SHA-256 of the card."""
        return digest(self)

    @property
    def counts(self) -> Calibration:
        """The four counts that `truing.numerics` corrects with."""
        return self.overall.counts

    @property
    def suffices(self) -> bool:
        """Whether an audit may pass by it: enough judged labels, and the judge is clearly better than a coin."""
        return self.overall.judged >= MOST_NEEDED and self.overall.youden.low > 0

    def belongs_to(self, instrument: Instrument) -> bool:
        """Whether this is the card of that judge in this version, on the criterion that is asked of it."""
        same = replace(instrument.id, card="") == self.grader
        return same and instrument.criterion in ("", self.criterion)

    def __str__(self) -> str:
        """One sentence: does it suffice?"""
        judged = self.overall.judged
        if judged < MOST_NEEDED:
            return f"{judged} judged labels do not suffice for an audit to pass: {MOST_NEEDED} are needed."
        if not self.suffices:
            return f"{judged} labels were judged, but not clearly better than by a coin: no audit can pass by it."
        return f"{judged} judged labels suffice for an audit to pass ({MOST_NEEDED} are needed)."


def calibrate(
    instrument: Instrument,
    labels: Labels,
    *,
    reading: Reading,
    ground: Ground = Ground.people,
    tune: bool = False,
    key: int = 0,
) -> CalibrationCard:
    """Let a judge judge labelled answers, and count how often it is right.

    With `tune`, the threshold of its score (or else its p) is the one with the largest sensitivity +
    specificity on about half of the prompts, drawn by `key`, and the card is of the other half
    alone. Without, a judge is read by its classes where `reading` names some, else by its score or
    its p, at the threshold of `reading`.

    Raises:
        InputError: the judge has several criteria and none was chosen, says a class that is unknown,
            gives nothing that could be read or tuned, or is one of this package that is read by classes.
    """
    instrument.check_criterion()
    if usual_reading(instrument.id.name).positive and (tune or reading.value or not reading.positive):
        raise InputError(
            f"{instrument.spec} is read by its classes, and its p is that of the class it found",
            mend="calibrate it by its classes and without tuning",
        )
    try:
        verdicts = instrument.grade([answer.shown for answer in labels.answers])
    except ValueError as why:
        raise InputError(str(why), mend="name the criterion as NAME/CRITERION") from None
    rows = list(zip(labels.answers, verdicts, strict=True))
    tuned: list[_Judged] = []
    if tune:
        prompts = [answer.shown.request.prompt_digest for answer, _ in rows]
        parts = split_by_group(prompts, {"tune": 0.5, "report": 0.5}, key=key)
        tuned, rows = ([rows[i] for i in parts[part]] for part in ("tune", "report"))
        reading = _tuned(reading, tuned)
        if not rows:
            raise InputError("no answer is left to report on", mend="give more labels, or do not tune")
    elif not reading.positive and not reading.value:
        reading = replace(reading, value=_value(verdicts))
    names = sorted({answer.category for answer, _ in rows})
    return CalibrationCard(
        grader=replace(instrument.id, card=""),
        criterion=verdicts[0].criterion,
        reading=reading,
        ground=ground,
        source=labels.source,
        source_digest=labels.source_digest,
        overall=_error_rates("", rows, reading),
        categories=tuple(
            _error_rates(n, [r for r in rows if r[0].category == n], reading) for n in names if any(names)
        ),
        tuned_on=len(tuned),
        seed=key if tune else None,
    )


def write_card(path: str | Path, card: CalibrationCard) -> None:
    """Write a card as JSON; the file is whole or as before.

    Raises:
        StorageError: the disk refuses.
    """
    replace_file(Path(path), (json.dumps(card.to_json(), indent=1) + "\n").encode("ascii"))


def read_card(path: str | Path) -> CalibrationCard:
    """Read the card that `write_card` wrote.

    Raises:
        InputError: no such file, or no such card; its numbers contradict each other.
    """
    data = read_json(path)
    try:
        return CalibrationCard.from_json(data)
    except ValueError as why:
        raise InputError(
            f"is no calibration card ({why})", file=path, mend="make one with truing judge calibrate"
        ) from None


_Judged = tuple[LabelledAnswer, Verdict]


def _error_rates(category: str, rows: Sequence[_Judged], reading: Reading) -> ErrorRates:
    cells: Counter[tuple[bool, bool]] = Counter()
    missing: Counter[str] = Counter()
    for answer, verdict in rows:
        said = reading.says(verdict)
        if said is None:
            missing["no class" if verdict.outcome is Outcome.decided else str(verdict.outcome)] += 1
        else:
            cells[answer.positive, said] += 1
    counts = Calibration(
        tp=cells[True, True], fn=cells[True, False], tn=cells[False, False], fp=cells[False, True]
    )
    return ErrorRates.of(category, FrozenDict(dict(sorted(missing.items()))), counts)


def _value(verdicts: Sequence[Verdict]) -> str:
    """The number that every judged verdict has."""
    judged = [v for v in verdicts if v.outcome is Outcome.decided]
    for value in ("score", "p"):
        if all(number(verdict, value) is not None for verdict in judged):
            return value
    raise InputError(
        "the judge gives neither a score nor a p with every verdict",
        mend="say which of its classes are positive and which negative",
    )


def _tuned(reading: Reading, rows: Sequence[_Judged]) -> Reading:
    """The reading by value with the threshold that is best on these rows."""
    value = _value([verdict for _, verdict in rows])
    pairs = [(number(verdict, value), answer.positive) for answer, verdict in rows]
    judged = [(found, positive) for found, positive in pairs if found is not None]
    if len({positive for _, positive in judged}) < 2:
        raise InputError(
            f"the {len(judged)} judged answers for tuning are not of both classes",
            mend="give more labels, or calibrate without tuning",
        )
    values, truth = (np.array(column) for column in zip(*judged, strict=True))
    threshold, j = _best_threshold(values, truth)
    if j <= 0:
        raise InputError(
            f"the judge's {value} tells the classes apart at no threshold",
            mend="check which class is positive",
        )
    return replace(reading, value=value, threshold=threshold)


def _best_threshold(values: NDArray[np.float64], positive: NDArray[np.bool_]) -> tuple[float, float]:
    """The threshold between two of the values [N] that makes Youden's J the largest, and that J.

    Of several the nearest to 0.5: what was tuned on few answers should not stray for nothing.
    """
    found = np.unique(values)
    middles = (found[1:] + found[:-1]) / 2
    cuts = np.concatenate([found[:1], np.where(middles > found[:-1], middles, found[1:])])
    yes, no = (
        np.searchsorted(np.sort(part), cuts) / len(part) for part in (values[positive], values[~positive])
    )
    j = no - yes  # each is a share below the cut
    best = min(np.flatnonzero(j >= j.max() - 1e-12), key=lambda i: abs(cuts[i] - 0.5))
    return float(cuts[best]), float(j[best])


def _judged(c: Calibration) -> int:
    return c.tp + c.fn + c.tn + c.fp


def _rates(n: int, c: Calibration) -> dict[str, Rate]:
    table, judged = [[c.tp, c.fn], [c.fp, c.tn]], _judged(c)
    found: dict[str, tuple[float, Interval]] = {
        "coverage": (judged / n if n else nan, wilson(judged, n)),
        "accuracy": accuracy(table),
        "kappa": cohen_kappa(table),
        "sensitivity": (c.sensitivity, wilson(c.tp, c.tp + c.fn)),
        "specificity": (c.specificity, wilson(c.tn, c.tn + c.fp)),
        "youden": youden(c),
    }
    return {
        name: Rate(value if isfinite(value) else None, ends.low, ends.high)
        for name, (value, ends) in found.items()
    }
