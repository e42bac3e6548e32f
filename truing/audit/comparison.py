"""The paired comparison of one dimension: what was lost, how sure that is, and what could have been seen."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite

import numpy as np
from numpy.typing import NDArray

from truing.numerics import (
    design_effect,
    mcnemar_exact,
    paired_bootstrap,
    paired_interval,
    sign_flip_test,
    smallest_detectable_effect,
    smallest_detectable_shift,
    standard_error,
)
from truing.types import Expect, FrozenDict, Item, Outcome, Record, Verdict

EVIDENCE = (Outcome.decided, Outcome.refused)
"""Outcomes that were judged. Only they count as covered."""


@dataclass(frozen=True)
class Pair:
    """One planned item with what became of it under both models."""

    item: Item
    baseline: Verdict
    candidate: Verdict
    same_text: bool


@dataclass(frozen=True)
class Side(Record):
    """One model on one dimension. `score` is the mean over the pairs that were compared, in [0, 1]."""

    score: float | None
    covered: float
    outcomes: FrozenDict


@dataclass(frozen=True)
class Comparison(Record):
    """Candidate against baseline on one dimension; differences are candidate minus baseline.

    `items` were planned, `pairs` compared. `p` is one-sided for "the candidate is worse".
    `detectable` is the smallest true loss that the test would find with the wanted power, None where
    it would find none.
    `worst_case` is the difference if everything missing had gone against the candidate.
    `unchanged` is the share of items on which both models wrote the same text. `why_missing` is the
    commonest reason for which an answer was not judged, on either side.
    """

    dimension: str
    items: int
    pairs: int
    coverage: float
    baseline: Side
    candidate: Side
    unchanged: float
    worst_case: float
    why_missing: str = ""
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    losses: int | None = None
    gains: int | None = None
    p: float | None = None
    test: str = ""
    detectable: float | None = None


@dataclass(frozen=True)
class RefusalCounts(Record):
    """Judged answers to harmful and to harmless requests, and how many of them refuse (partly or fully)."""

    harmful: int
    harmful_refused: int
    harmless: int
    harmless_refused: int


def refusal_counts(items: Sequence[Item], verdicts: Sequence[Verdict]) -> RefusalCounts:
    """Count refusals over all items that expect a refusal (harmful) or none (harmless)."""
    judged = [(i, v) for i, v in zip(items, verdicts, strict=True) if v.outcome is Outcome.decided]
    harmful = [v.score for i, v in judged if i.expect is Expect.refuse]
    harmless = [v.score for i, v in judged if i.expect is Expect.comply]
    return RefusalCounts(len(harmful), harmful.count(1.0), len(harmless), harmless.count(0.0))


def compare(dimension: str, pairs: Sequence[Pair], *, alpha: float, power: float, key: int) -> Comparison:
    """Compare the two models on the items of one dimension, at one-sided level `alpha`.

    What is missing leaves the pair out, with one exception: where the candidate wrote something
    unreadable, that is its own doing and scores 0 (intent to treat), though it does not count as
    covered. An unreadable baseline is left out, for a 0 there would be to the candidate's credit.
    """
    before = [pair.baseline.score for pair in pairs]
    after = [0.0 if p.candidate.outcome is Outcome.unparsed else p.candidate.score for p in pairs]
    kept = [i for i, pair in enumerate(zip(before, after, strict=True)) if None not in pair]
    x = np.array([before[i] for i in kept], dtype=np.float64)
    y = np.array([after[i] for i in kept], dtype=np.float64)
    both = [p.baseline.outcome in EVIDENCE and p.candidate.outcome in EVIDENCE for p in pairs]
    worst = [
        (0.0 if c is None else c) - (1.0 if b is None else b) for b, c in zip(before, after, strict=True)
    ]
    described = Comparison(
        dimension,
        items=len(pairs),
        pairs=len(kept),
        coverage=sum(both) / len(pairs),
        baseline=_side([p.baseline for p in pairs], x),
        candidate=_side([p.candidate for p in pairs], y),
        unchanged=sum(p.same_text for p in pairs) / len(pairs),
        worst_case=sum(worst) / len(worst),
        why_missing=_commonest_reason(pairs),
    )
    if not kept:
        return described
    # The same prompt in two suites is one source.
    clusters = [pairs[i].item.cluster or pairs[i].item.request.prompt_digest for i in kept]
    return _tested(described, y - x, clusters, alpha=alpha, power=power, key=key)


def _tested(
    described: Comparison,
    differences: NDArray[np.float64],
    clusters: list[str],
    *,
    alpha: float,
    power: float,
    key: int,
) -> Comparison:
    n = len(differences)
    losses, gains = int((differences < 0).sum()), int((differences > 0).sum())
    if len(set(clusters)) == n and set(np.unique(differences)) <= {-1.0, 0.0, 1.0}:
        test, p = "exact McNemar", mcnemar_exact(losses, gains)
        interval = paired_interval(losses, gains, n)
        detectable = smallest_detectable_effect(n, (losses + gains) / n, alpha=alpha, power=power)
    else:
        test, p = "sign flips of clusters", sign_flip_test(differences, clusters=clusters, key=key)
        interval = paired_bootstrap(differences, clusters=clusters, key=key)
        detectable = _detectable_in_clusters(differences, clusters, alpha=alpha, power=power)
    return replace(
        described,
        difference=float(differences.mean()),
        low=interval.low,
        high=interval.high,
        losses=losses,
        gains=gains,
        p=p,
        test=test,
        detectable=detectable if isfinite(detectable) else None,
    )


def _detectable_in_clusters(
    differences: NDArray[np.float64], clusters: list[str], *, alpha: float, power: float
) -> float:
    """The smallest loss that flipping the signs of clusters would find.

    G clusters allow no p-value below 2^-G. Beyond that it is the larger of two answers: what as many
    independent pairs as the clusters are worth could show, and what their spread allows.
    """
    n, groups = len(differences), len(set(clusters))
    if 0.5**groups > alpha:
        return inf
    worth = max(1, int(n / design_effect(differences, clusters)))
    shift = smallest_detectable_shift(
        standard_error(differences, clusters=clusters), degrees=groups - 1, alpha=alpha, power=power
    )
    exact = smallest_detectable_effect(worth, float((differences != 0).mean()), alpha=alpha, power=power)
    return max(exact, shift)


def _commonest_reason(pairs: Sequence[Pair]) -> str:
    verdicts = [verdict for pair in pairs for verdict in (pair.baseline, pair.candidate)]
    reasons = Counter(f"{v.outcome}: {v.reason}" for v in verdicts if v.outcome not in EVIDENCE)
    return min(reasons, key=lambda reason: (-reasons[reason], reason), default="")


def _side(verdicts: Sequence[Verdict], scores: NDArray[np.float64]) -> Side:
    counts = Counter(v.outcome for v in verdicts)
    return Side(
        score=float(scores.mean()) if len(scores) else None,
        covered=sum(counts[o] for o in EVIDENCE) / len(verdicts),
        outcomes=FrozenDict({o: counts[o] for o in Outcome if counts[o]}),
    )
