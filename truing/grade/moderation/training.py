"""From labelled texts to a moderation model, what it reaches by cross-validation, and its calibration cards."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from truing.grade.calibration import CalibrationCard, ErrorRates, Ground, Rate
from truing.grade.moderation.features import words
from truing.grade.moderation.fitting import Extra, Texts, cross_margins, fit
from truing.grade.moderation.folds import draw_folds
from truing.grade.moderation.grader import Moderation, identity, unjudged
from truing.grade.moderation.model import ModerationModel, Table, flagged, nested
from truing.grade.moderation.rows import ModerationRows, Truth
from truing.grade.reading import usual_reading
from truing.numerics import Calibration, average_precision, average_precision_interval
from truing.types import FrozenDict, InputError, Record

FEWEST = 10
"""Texts of either kind that a head needs to be learned."""
_EXTRA = 0.1  # what a text from elsewhere weighs


@dataclass(frozen=True, slots=True)
class HeadFigures(Record):
    """What is known of a head: `known` texts, `positives` among them, and the area reached by cross-validation.

    `average_precision` is None for a head that was not learned; without any skill it is `prevalence`.
    """

    head: str
    known: int
    positives: int
    average_precision: Rate | None = None

    @property
    def prevalence(self) -> float:
        """Positives among the known; NaN of none."""
        return self.positives / self.known if self.known else float("nan")


@dataclass(frozen=True)
class TrainedModeration:
    """A model, its figures head by head, and for each learned head a card."""

    model: ModerationModel
    figures: tuple[HeadFigures, ...]
    cards: tuple[CalibrationCard, ...]


@dataclass(frozen=True)
class CrossFitted:
    """What N texts get from models that have seen neither them nor their near copies.

    `probabilities` [N, H] come from margins by one `slope` and `offset` [H] for all folds. `flags` [N, H] are
    stricter: their calibration and thresholds were fitted on the other folds, too. `truth` is -1 where unknown.
    """

    heads: tuple[str, ...]
    truth: Truth
    slope: Table
    offset: Table
    probabilities: Table
    flags: NDArray[np.bool_]


def train_moderation(
    rows: ModerationRows, *, extra: ModerationRows | None = None, folds: int = 5, key: int = 0
) -> TrainedModeration:
    """Fit a head for each label of the rows, and measure each by cross-validation with folds drawn by `key`.

    `extra` are texts from elsewhere: they help to learn, and nothing is measured or calibrated on them.
    Needs scikit-learn.

    Raises:
        InputError: no label has enough texts of both kinds.
    """
    heads, unlearned = learnable(rows)
    if not heads:
        raise InputError(f"no label has {FEWEST} texts of either kind", mend="label more texts")
    crossed = cross_fit(rows, extra=extra, folds=folds, key=key)
    texts = _texts(rows, heads)
    linear = fit(texts, _extra(extra, heads))
    model = ModerationModel(
        heads,
        unlearned,
        rows.reads,
        linear.frequency.astype(np.float16),
        linear.weights.astype(np.float16),
        linear.intercept,
        crossed.slope,
        crossed.offset,
        _thresholds(crossed.probabilities, crossed.truth),
    )
    cards = tuple(_card(model, rows, crossed, head) for head in range(len(heads)))
    return TrainedModeration(model, _figures(rows, crossed, unlearned), cards)


def cross_fit(
    rows: ModerationRows, *, extra: ModerationRows | None = None, folds: int = 5, key: int = 0
) -> CrossFitted:
    """Let each text be judged by a model that learned without its fold, `folds` of them drawn by `key`."""
    heads, _ = learnable(rows)
    texts = _texts(rows, heads)
    home = draw_folds([row.text for row in rows.rows], texts.truth, folds, key=key)
    margins = cross_margins(texts, home, _extra(extra, heads))
    flags = np.empty(margins.shape, np.bool_)
    for fold in range(folds):
        own, other = home == fold, home != fold
        slope, offset = _platt(margins[other], texts.truth[other])
        p = nested(expit(margins * slope + offset), heads)
        flags[own] = flagged(p[own], _thresholds(p[other], texts.truth[other]), heads)
    slope, offset = _platt(margins, texts.truth)
    p = nested(expit(margins * slope + offset), heads)
    return CrossFitted(heads, texts.truth, slope, offset, p, flags)


def learnable(rows: ModerationRows) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The heads with enough texts of either kind, and those without."""
    truth = rows.truth(rows.heads)
    enough = np.minimum((truth == 1).sum(0), (truth == 0).sum(0)) >= FEWEST
    learned = tuple(head for head, ok in zip(rows.heads, enough, strict=True) if ok)
    return learned, tuple(head for head in rows.heads if head not in learned)


def _texts(rows: ModerationRows, heads: Sequence[str]) -> Texts:
    return Texts.of([row.text for row in rows.rows], rows.truth(heads))


def _extra(rows: ModerationRows | None, heads: Sequence[str]) -> Extra | None:
    return None if rows is None else Extra(_texts(rows, heads), _EXTRA)


def _platt(margins: Table, truth: Truth) -> tuple[Table, Table]:
    """Slope and offset [H] of the probability of a margin (Platt 1999, with his targets that are never 0 or 1).

    A slope is never below 0: margins that say nothing give every text the same probability.
    """
    from sklearn.linear_model import LogisticRegression

    slope, offset = np.zeros(margins.shape[1]), np.zeros(margins.shape[1])
    for head in range(margins.shape[1]):
        known = truth[:, head] >= 0
        y = truth[known, head] == 1
        yes, no = (y.sum() + 1) / (y.sum() + 2), 1 / ((~y).sum() + 2)
        target = np.where(y, yes, no)
        both = np.tile(margins[known, head], 2)[:, None]
        labels, weight = np.repeat([1, 0], len(y)), np.concatenate([target, 1 - target])
        model = LogisticRegression(C=1e6, tol=1e-8, max_iter=1000).fit(both, labels, sample_weight=weight)
        slope[head], offset[head] = model.coef_[0, 0], model.intercept_[0]
        if slope[head] <= 0:
            slope[head], offset[head] = 0.0, np.log(target.mean() / (1 - target.mean()))
    return slope, offset


def _thresholds(p: Table, truth: Truth) -> Table:
    """Between two probabilities of each head, where F1 is the largest: `[H]`."""
    found = np.empty(p.shape[1])
    for head in range(p.shape[1]):
        known = truth[:, head] >= 0
        order = np.argsort(-p[known, head], kind="stable")
        value, y = p[known, head][order], truth[known, head][order] == 1
        last = np.flatnonzero(np.append(np.diff(value) != 0, True))
        f1 = 2 * np.cumsum(y)[last] / (last + 1 + y.sum())
        best = int(np.argmax(f1))
        below = value[last[best] + 1] if last[best] + 1 < len(value) else 0.0
        found[head] = (value[last[best]] + below) / 2
    return found


def _figures(rows: ModerationRows, crossed: CrossFitted, unlearned: Sequence[str]) -> tuple[HeadFigures, ...]:
    figures = []
    truth = rows.truth(rows.heads)
    for at, head in enumerate(rows.heads):
        known, positives = int((truth[:, at] >= 0).sum()), int((truth[:, at] == 1).sum())
        area = None if head in unlearned else area_of(crossed, crossed.heads.index(head))
        figures.append(HeadFigures(head, known, positives, area))
    return tuple(figures)


def area_of(crossed: CrossFitted, head: int) -> Rate:
    """The average precision of a head on the texts of which it is known, with its 95 % interval."""
    known = crossed.truth[:, head] >= 0
    positive = crossed.truth[known, head] == 1
    value = average_precision(crossed.probabilities[known, head], positive)
    ends = average_precision_interval(value, int(positive.sum()))
    return Rate(value, ends.low, ends.high)


def _card(model: ModerationModel, rows: ModerationRows, crossed: CrossFitted, head: int) -> CalibrationCard:
    """Sensitivity is of texts that are in order, as a card's positive class is the good one."""
    cells: Counter[tuple[bool, bool]] = Counter()
    missing: Counter[str] = Counter()
    for row, truth, flag in zip(rows.rows, crossed.truth[:, head], crossed.flags[:, head], strict=True):
        if truth < 0:
            continue
        if lack := unjudged(row.text, words(row.text)):
            missing[str(lack[0])] += 1
        else:
            cells[bool(truth == 0), not flag] += 1
    counts = Calibration(
        tp=cells[True, True], fn=cells[True, False], tn=cells[False, False], fp=cells[False, True]
    )
    return CalibrationCard(
        grader=identity(model),
        criterion=model.heads[head],
        reading=usual_reading(Moderation.name),
        ground=Ground.people,
        source=f"{rows.source}, each text judged by a model fitted without its fold",
        source_digest=rows.source_digest,
        overall=ErrorRates.of("", FrozenDict(dict(sorted(missing.items()))), counts),
    )
