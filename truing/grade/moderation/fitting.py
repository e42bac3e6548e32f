"""Fitting one logistic regression for each head, on the rows of which that head is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from truing.grade.moderation.features import HALF, counts, inverse_frequency, ranges, weighed, words
from truing.grade.moderation.model import Table, windows, worst
from truing.grade.moderation.rows import Truth

STRENGTH = 10.0
"""The inverse of the penalty on the weights (`C`): 1 and 100 do as well by cross-validation."""


@dataclass(frozen=True)
class Texts:
    """N texts as counts, whole (to learn from) and in windows (to be judged), with the truth of H heads."""

    whole: csr_array
    window: csr_array
    owner: NDArray[np.int64]
    truth: Truth

    @classmethod
    def of(cls, texts: Sequence[str], truth: Truth) -> "Texts":
        """Count the features of each."""
        split = [words(text) for text in texts]
        window, owner = windows(split)
        return cls(counts(split), counts(window), owner, truth)

    def part(self, rows: NDArray[np.int64]) -> "Texts":
        """Those rows alone."""
        starts, many = (
            np.searchsorted(self.owner, rows),
            np.bincount(self.owner, minlength=len(self.truth))[rows],
        )
        owner = np.repeat(np.arange(len(rows)), many)
        return Texts(self.whole[rows], self.window[ranges(starts, many)], owner, self.truth[rows])


@dataclass(frozen=True)
class Extra:
    """Texts from elsewhere that help a head to learn; each weighs as `weight` of a text."""

    texts: Texts
    weight: float


@dataclass(frozen=True)
class Linear:
    """`frequency` [F], `weights` [H, F] and `intercept` [H]; NaN for a head that could not be fitted."""

    frequency: Table
    weights: Table
    intercept: Table

    def margins(self, texts: Texts) -> Table:
        """The score of each head, of each text's worst window: `[N, H]`."""
        return worst(weighed(texts.window, self.frequency) @ self.weights.T + self.intercept, texts.owner)


def fit(texts: Texts, extra: Extra | None = None) -> Linear:
    """Fit every head on the texts of which it is known, both classes weighing alike.

    Frequencies are of `texts` alone. Needs scikit-learn.
    """
    frequency = inverse_frequency(texts.whole)
    table, truth = weighed(texts.whole, frequency), texts.truth
    weight = np.ones(len(truth))
    if extra is not None:
        table = vstack([table, weighed(extra.texts.whole, frequency)], format="csr")
        truth = np.concatenate([truth, extra.texts.truth])
        weight = np.concatenate([weight, np.full(len(extra.texts.truth), extra.weight)])
    found = [_head(table, truth[:, head], weight) for head in range(truth.shape[1])]
    return Linear(
        frequency, np.array([w for w, _ in found]).reshape(-1, 2 * HALF), np.array([b for _, b in found])
    )


def cross_margins(texts: Texts, folds: NDArray[np.int64], extra: Extra | None = None) -> Table:
    """The margins of each text by a model that was fitted on the other folds: `[N, H]`."""
    found = np.full(texts.truth.shape, np.nan)
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        found[inside] = fit(texts.part(outside), extra).margins(texts.part(inside))
    return found


def _head(table: csr_array, truth: NDArray[np.int8], weight: Table) -> tuple[Table, float]:
    from sklearn.linear_model import LogisticRegression

    known = np.flatnonzero(truth >= 0)
    y, w = truth[known] == 1, weight[known]
    if not 0 < y.sum() < len(y):
        return np.full(table.shape[1], np.nan), np.nan
    w = np.where(y, w / w[y].sum(), w / w[~y].sum()) * w.sum() / 2
    model = LogisticRegression(C=STRENGTH, solver="liblinear", tol=1e-4)
    model.fit(table[known], y, sample_weight=w)
    return model.coef_[0], float(model.intercept_[0])
