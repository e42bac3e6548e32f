"""Finding wrong labels: each half of the texts is judged by a model that learned from the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from truing.grade.moderation.fitting import Texts, cross_margins
from truing.grade.moderation.folds import draw_folds
from truing.grade.moderation.rows import ModerationRows
from truing.grade.moderation.training import learnable
from truing.types import Record

RELABEL_FROM = 0.3
"""Share of wrong labels in an audited part of the disagreements above which all of them are labelled anew."""


@dataclass(frozen=True, slots=True)
class Disagreement(Record):
    """A label that the model of the other half would not have given; `strength` is in units of the head's spread."""

    row: int
    head: str
    labelled: bool
    strength: float


def find_mislabels(rows: ModerationRows, *, key: int = 0) -> list[Disagreement]:
    """The labels with which two-fold cross-scoring disagrees, the strongest disagreement first.

    A head calls as many texts positive as are labelled so, those with the largest margins, and
    disagrees on the rest of the labels; the strength is how far a margin lies beyond that cut, in standard
    deviations. Needs scikit-learn. Source: Markov et al. 2022, arXiv 2208.03274; the cut is ours.
    """
    heads, _ = learnable(rows)
    texts = [row.text for row in rows.rows]
    truth = rows.truth(heads)
    margins = cross_margins(Texts.of(texts, truth), draw_folds(texts, truth, 2, key=key))
    found = []
    for at, head in enumerate(heads):
        known = np.flatnonzero(truth[:, at] >= 0)
        margin, positive = margins[known, at], truth[known, at] == 1
        ordered = np.sort(margin)[::-1]
        cut = ordered[positive.sum() - 1 : positive.sum() + 1].mean()
        beyond = (margin - cut) / margin.std()
        for row, strength, labelled in zip(known.tolist(), beyond.tolist(), positive.tolist(), strict=True):
            if labelled != (strength > 0):
                found.append(Disagreement(row, head, labelled, abs(strength)))
    return sorted(found, key=lambda one: (-one.strength, one.row, one.head))


def relabel_all(wrong: Sequence[bool]) -> bool:
    """Whether all disagreements should be labelled anew, after an audit of a random part found these to be wrong."""
    return len(wrong) > 0 and sum(wrong) / len(wrong) > RELABEL_FROM
