"""Fitting a linear reward to comparisons: logistic regression on differences, which is the pairwise loss."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from truing.data import Comparison, leaks, split_by_group
from truing.grade.linear_reward import Described, LinearReward, Table, design
from truing.grade.moderation.features import inverse_frequency
from truing.grade.moderation.folds import near_copies
from truing.run import progress
from truing.types import Role

STRENGTHS, WORDS = (0.003, 0.01, 0.03, 0.1), (1.0, 3.0)
"""What is chosen from: the inverse of the penalty on the squared weights (`C` of scikit-learn), and how many times
as large the numbers of words, of length 1, are taken as they are: the larger, the less their weights are penalised."""
_INNER = 3
"""Parts of the training side, on each of which a choice is tried after fitting to the others."""

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CrossFittedReward:
    """A linear reward, and what rewards of its kind give to answers that they were not fitted to."""

    reward: LinearReward
    """Fitted to all comparisons; the mean of their answers' rewards is 0."""
    held_out: tuple[tuple[float, ...] | None, ...]
    """For each comparison the rewards of its answers, by a reward fitted to other folds; None where it leaks."""


def cross_fit_reward(
    rows: Sequence[Comparison], groups: Sequence[str], *, folds: int, key: int
) -> CrossFittedReward:
    """Fit a linear reward, and cross-fit others to score every comparison without having seen its group.

    A comparison whose prompt the other folds hold for the most part is not scored. Needs scikit-learn.
    """
    pairs = Pairs.of(rows, groups)
    asked = ["\n".join(turn.content for turn in row.prompt if turn.role is not Role.system) for row in rows]
    held_out: list[tuple[float, ...] | None] = [None] * len(rows)
    with progress(folds + 1, "fitting a linear reward", unit="folds") as advance:
        for train, test in pairs.folds(folds, key=key):
            reward = fit_linear_reward(pairs, train, key=key)
            seen, new = np.unique(pairs.owner[train]), np.unique(pairs.owner[test])
            leaked = {leak.heldout for leak in leaks([asked[m] for m in seen], [asked[m] for m in new])}
            kept = [m for place, m in enumerate(new) if place not in leaked]
            spans = [np.arange(pairs.starts[m], pairs.starts[m + 1]) for m in kept]
            if kept:
                scores = iter(reward.score_described(pairs.answers.part(np.concatenate(spans))).tolist())
                for m, span in zip(kept, spans, strict=True):
                    held_out[m] = tuple(next(scores) for _ in span)
            advance(1)
        whole = fit_linear_reward(pairs, np.arange(len(pairs.better)), key=key)
        advance(1)
    return CrossFittedReward(whole, tuple(held_out))


def dialogue_groups(rows: Sequence[Comparison]) -> list[str]:
    """A name for each comparison, the same where the first words of the user begin or end alike."""
    firsts = [next((t.content for t in row.prompt if t.role is Role.user), "") for row in rows]
    return [str(first) for first in near_copies(firsts)]


@dataclass(frozen=True, eq=False)
class Pairs:
    """M comparisons as N described answers and P pairs of them."""

    answers: Described
    better: Rows
    """Row of the better answer of each pair [P]."""
    worse: Rows
    """Row of the other [P]."""
    owner: Rows
    """Which comparison the pair is of [P]."""
    starts: Rows
    """Where the answers of each comparison begin [M + 1]."""
    weight: Table
    """1 over the number of the comparison's pairs, so that each comparison counts once [P]."""
    groups: tuple[str, ...]
    """What must not be on two sides: the group of each comparison [M]."""

    @classmethod
    def of(cls, rows: Sequence[Comparison], groups: Sequence[str]) -> "Pairs":
        """Describe the answers of comparisons."""
        starts = np.cumsum([0, *(len(row.answers) for row in rows)])
        pairs = [
            (starts[m] + i, starts[m] + j, m, 1 / len(row.pairs))
            for m, row in enumerate(rows)
            for i, j in row.pairs
        ]
        better, worse, owner, weight = (np.array(column) for column in zip(*pairs, strict=True))
        described = Described.of([(row.prompt, answer) for row in rows for answer in row.answers])
        return cls(described, better, worse, owner, starts, weight, tuple(groups))

    def folds(self, number: int, *, key: int) -> Iterator[tuple[Rows, Rows]]:
        """(pairs to fit to, pairs held out), by the groups of their comparisons; folds without pairs are left out."""
        names = [str(k) for k in range(number)]
        parts = split_by_group(self.groups, dict.fromkeys(names, 1 / number), key=key)
        for name in names:
            inside = np.isin(self.owner, parts[name])
            if inside.any() and not inside.all():
                yield np.flatnonzero(~inside), np.flatnonzero(inside)


def fit_linear_reward(pairs: Pairs, chosen: Rows, *, key: int) -> LinearReward:
    """Fit to the `chosen` pairs, with the penalty that did best where groups among them were held out.

    The mean reward of the answers that were fitted to is set to 0. Needs scikit-learn.
    """
    inner = replace(
        pairs,
        better=pairs.better[chosen],
        worse=pairs.worse[chosen],
        owner=pairs.owner[chosen],
        weight=pairs.weight[chosen],
    )
    choices = list(product(STRENGTHS, WORDS))
    losses = np.zeros(len(choices))
    for train, test in inner.folds(_INNER, key=key):
        base = _Base.of(inner, train)
        held_out = base.differences(inner, test)
        for number, choice in enumerate(choices):
            margins = held_out @ base.fit(inner, train, *choice)
            losses[number] += float(inner.weight[test] @ np.logaddexp(0, -margins))
    base = _Base.of(inner, np.arange(len(chosen)))
    weights = base.fit(inner, np.arange(len(chosen)), *choices[int(losses.argmin())])
    split = len(weights) - len(base.scale)
    reward = LinearReward(
        base.frequency.astype(np.float32), weights[:split].astype(np.float32), base.scale, weights[split:]
    )
    mean = reward.score_described(pairs.answers.part(base.rows)).mean()
    return replace(reward, bias=-float(mean))


@dataclass(frozen=True, eq=False)
class _Base:
    """Frequencies and spreads, of the answers that are fitted to alone."""

    rows: Rows
    frequency: Table
    scale: Table
    table: csr_array

    @classmethod
    def of(cls, pairs: Pairs, chosen: Rows) -> "_Base":
        rows = np.unique(np.concatenate([pairs.better[chosen], pairs.worse[chosen]]))
        answers = pairs.answers.part(rows)
        spread = answers.style.std(axis=0)
        frequency, scale = inverse_frequency(answers.counted), np.where(spread > 0, spread, 1.0)
        return cls(rows, frequency, scale, design(pairs.answers, frequency, scale))

    def differences(self, pairs: Pairs, chosen: Rows) -> csr_array:
        """What the better answer has more than the worse one [P, F + S]."""
        return self.table[pairs.better[chosen]] - self.table[pairs.worse[chosen]]

    def fit(self, pairs: Pairs, chosen: Rows, strength: float, words: float) -> Table:
        """-log sigmoid(R(better) - R(worse)), each comparison once, with a penalty on the squared weights."""
        from sklearn.linear_model import LogisticRegression

        table = self.differences(pairs, chosen)
        stretch = np.ones(table.shape[1])
        stretch[: len(self.frequency)] = words
        # Every other pair is turned round: the library wants both classes, and the loss is the same.
        sign = np.where(np.arange(len(chosen)) % 2, -1.0, 1.0)
        table = table.multiply(sign[:, None]).multiply(stretch[None, :]).tocsr()
        table.indices, table.indptr = table.indices.astype(np.int32), table.indptr.astype(np.int32)
        model = LogisticRegression(
            C=strength, fit_intercept=False, solver="liblinear", tol=1e-4, random_state=0
        )
        model.fit(table, sign > 0, sample_weight=pairs.weight[chosen])
        found: Table = model.coef_[0] * stretch
        return found
