"""Active learning for rare categories: which texts should people label next, and how good are their labels?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count

import numpy as np
from numpy.typing import ArrayLike, NDArray

from truing.numerics import uniforms
from truing.types import Record


class Pipeline(StrEnum):
    """Why a text was picked."""

    random = "random"
    """At random among all."""
    above = "above"
    """At random among those whose probability on a head is at least the head's threshold."""
    unsure = "unsure"
    """Among those whose probability on a head is nearest to 0.5."""


@dataclass(frozen=True, slots=True)
class Pick(Record):
    """A text to label: its row, and by which pipeline and for which head (a number; None: any) it was picked."""

    row: int
    pipeline: Pipeline
    head: int | None = None


def select_for_labelling(
    probabilities: ArrayLike,
    n: int,
    *,
    key: int,
    thresholds: ArrayLike,
    groups: Sequence[str] | None = None,
) -> list[Pick]:
    """Pick `n` of N rows by their probabilities [N, H]: the three pipelines take turns, and in each the heads.

    The unsure rows of a head are its n / H nearest to 0.5. From its pool a pipeline draws at random; where
    rows have `groups`, one of k rows in the pool is drawn from in proportion to sqrt(k), not to k. Draws
    depend on `key` and the row alone. Fewer than `n` rows are picked only if there are fewer.
    Source: Markov et al. 2022, arXiv 2208.03274; the equal shares are ours, as theirs changed over time.

    Raises:
        ValueError: the shapes do not fit, or `n` is negative.
    """
    p, cut = np.asarray(probabilities, dtype=np.float64), np.asarray(thresholds, dtype=np.float64)
    if p.ndim != 2 or cut.shape != p.shape[1:] or n < 0:
        raise ValueError("a selection needs probabilities [N, H], thresholds [H] and n of at least 0")
    names = np.unique(groups if groups is not None else [""] * len(p), return_inverse=True)[1]
    if len(names) != len(p):
        raise ValueError("a selection needs a group for each row, or none")
    draw = uniforms(key, "select", np.arange(len(p)), 0)
    heads, near = range(p.shape[1]), -(-n // max(p.shape[1], 1))
    pools = (
        [(Pipeline.random, None, _drawn(np.arange(len(p)), names, draw))],
        [(Pipeline.above, h, _drawn(np.flatnonzero(p[:, h] >= cut[h]), names, draw)) for h in heads],
        [(Pipeline.unsure, h, _drawn(_nearest(p[:, h], near), names, draw)) for h in heads],
    )
    picks: dict[int, Pick] = {}
    turns = ((pool, round) for round in count() for pool in pools if pool)
    while len(picks) < min(n, len(p)):
        pool, round = next(turns)
        pipeline, head, rows = pool[round % len(pool)]
        row = next((row for row in rows if row not in picks), None)
        if row is not None:
            picks[row] = Pick(row, pipeline, head)
    return list(picks.values())


@dataclass(frozen=True, slots=True)
class HeadAudit(Record):
    """Rows of a head for an auditor: those `labelled` are positive by their labels, those `scored` by the model."""

    head: int
    labelled: tuple[int, ...]
    scored: tuple[int, ...]


def audit_sample(truth: ArrayLike, probabilities: ArrayLike, *, key: int, each: int = 10) -> list[HeadAudit]:
    """For each of H heads, `each` rows labelled positive, and as many others that have p > 0.5, at random.

    `truth` [N, H] is 1, 0 or -1 (unknown: not audited), `probabilities` [N, H]. Fewer where there are fewer.
    Source: Markov et al. 2022, arXiv 2208.03274.
    """
    y, p = np.asarray(truth), np.asarray(probabilities, dtype=np.float64)
    order = np.argsort(uniforms(key, "audit", np.arange(len(y)), 0), kind="stable")
    return [
        HeadAudit(
            head,
            tuple(row for row in order.tolist() if y[row, head] == 1)[:each],
            tuple(row for row in order.tolist() if y[row, head] == 0 and p[row, head] > 0.5)[:each],
        )
        for head in range(y.shape[1])
    ]


def audit_f1(labels: ArrayLike, audited: ArrayLike) -> float:
    """F1 of labels against an auditor's on the same rows: 2 tp / (2 tp + fp + fn); NaN where both say no to all.

    Accuracy would be high for a rare category whatever the labels are.
    """
    said, right = np.asarray(labels, dtype=np.bool_), np.asarray(audited, dtype=np.bool_)
    total = int(said.sum() + right.sum())
    return 2 * int((said & right).sum()) / total if total else float("nan")


def _nearest(p: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    return np.argsort(np.abs(p - 0.5), kind="stable")[:n]


def _drawn(pool: NDArray[np.int64], names: NDArray[np.int64], draw: NDArray[np.float64]) -> Iterator[int]:
    """The rows of a pool in the order of a draw without replacement, a row of a group of k weighing 1 / sqrt(k).

    The row with the largest u^(1 / weight) comes first (Efraimidis and Spirakis 2006).
    """
    weight = 1 / np.sqrt(np.bincount(names[pool], minlength=1)[names[pool]])
    with np.errstate(divide="ignore"):  # a draw of 0 comes last
        return iter(pool[np.argsort(-np.log(draw[pool]) / weight, kind="stable")].tolist())
