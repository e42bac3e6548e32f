"""How well scores tell positives from others: the areas under the precision-recall and the ROC curve."""

from collections.abc import Hashable, Sequence
from math import exp, log, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from truing.numerics.intervals import Interval, clopper_pearson, wilson
from truing.numerics.paired import standard_error


def average_precision(scores: ArrayLike, positive: ArrayLike) -> float:
    """Mean precision at the rank of each positive, of scores [N] and truths [N].

    sum over thresholds of (R_n - R_{n-1}) * P_n, without interpolation; equal scores are one threshold.
    Scores that say nothing reach the prevalence, not 0.5.

    Raises:
        ValueError: the lengths differ, a score is NaN, or no row is positive.
    """
    s, y = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=np.bool_)
    if s.ndim != 1 or s.shape != y.shape or np.isnan(s).any() or not y.any():
        raise ValueError("average precision needs a score for each truth, none NaN, and a positive")
    order = np.argsort(-s, kind="stable")
    found = np.cumsum(y[order])
    last = np.flatnonzero(np.append(np.diff(s[order]) != 0, True))  # the last row of each threshold
    precision = found[last] / (last + 1)
    return float(np.sum(np.diff(found[last], prepend=0) * precision) / found[-1])


def auroc(scores: ArrayLike, positive: ArrayLike) -> float:
    """The chance that a positive has a higher score than one that is none, of scores [N] and truths [N].

    Equal scores count half (Mann and Whitney 1947): 0.5 says nothing, 1 parts the two.

    Raises:
        ValueError: the lengths differ, a score is NaN, or one of the two kinds is missing.
    """
    s, y = _two_kinds(scores, positive)
    return float(_placements(s[y], s[~y]).mean())


def auroc_interval(
    scores: ArrayLike,
    positive: ArrayLike,
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Interval:
    """The interval of `auroc`, on the logit scale; rows that share a source count together.

    The error is that of the rows' influences: of a positive the share of the others below it, of an other
    the share of positives above it, each less the area and over the size of its kind (DeLong et al. 1988;
    Obuchowski 1997 for clusters). Where the two are parted wholly nothing varies; then the end is the exact
    one after as many successes as the rarer kind has clusters.

    Raises:
        ValueError: as `auroc`; the clusters' number differs, or the level is outside (0, 1).
    """
    s, y = _two_kinds(scores, positive)
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies in (0, 1), not {level}")
    labels = range(len(s)) if clusters is None else clusters
    if len(labels) != len(s):
        raise ValueError(f"{len(s)} scores need as many cluster labels, not {len(labels)}")
    area = auroc(s, y)
    if area in (0, 1):
        least = min(
            len({c for c, is_one in zip(labels, y, strict=True) if is_one == kind}) for kind in (True, False)
        )
        return clopper_pearson(least if area else 0, least, level)
    influence = np.empty(len(s))
    influence[y] = (_placements(s[y], s[~y]) - area) * len(s) / y.sum()
    influence[~y] = (_placements(-s[~y], -s[y]) - area) * len(s) / (~y).sum()
    error = standard_error(influence, clusters=list(labels)) / (area * (1 - area))
    half = float(ndtri((1 + level) / 2)) * error
    low, high = (0.5 * (1 + np.tanh((log(area / (1 - area)) + end) / 2)) for end in (-half, half))
    return Interval(float(low), float(high))


def _two_kinds(scores: ArrayLike, positive: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    s, y = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=np.bool_)
    if s.ndim != 1 or s.shape != y.shape or np.isnan(s).any() or y.all() or not y.any():
        raise ValueError("an AUROC needs a score for each truth, none NaN, and both kinds")
    return s, y


def _placements(these: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each of these the share of the others below it; equal ones count half."""
    ranked = np.sort(others)
    below, up_to = (np.searchsorted(ranked, these, side=side) for side in ("left", "right"))
    shares: NDArray[np.float64] = (below + up_to) / 2 / len(ranked)
    return shares


def average_precision_interval(value: float, positives: int, level: float = 0.95) -> Interval:
    """The logit interval of an average precision over `positives` positive rows (Boyd, Eng and Page 2013).

    logit(value) +- z / sqrt(positives * value * (1 - value)). At 1 the lower end is Wilson's.

    Raises:
        ValueError: the value is outside (0, 1], there is no positive, or the level is outside (0, 1).
    """
    if not (0 < value <= 1 and positives >= 1 and 0 < level < 1):
        raise ValueError(f"no interval has the value {value}, {positives} positives and the level {level}")
    if value == 1:
        return Interval(wilson(positives, positives, level).low, 1.0)
    half = float(ndtri((1 + level) / 2)) / sqrt(positives * value * (1 - value))
    low, high = (1 / (1 + exp(-(log(value / (1 - value)) + end))) for end in (-half, half))
    return Interval(low, high)
