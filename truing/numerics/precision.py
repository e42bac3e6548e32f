"""How well scores tell positives from others: the areas under the precision-recall and the ROC curve."""

from math import exp, log, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from truing.numerics.intervals import Interval, wilson


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
    s, y = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=np.bool_)
    if s.ndim != 1 or s.shape != y.shape or np.isnan(s).any() or y.all() or not y.any():
        raise ValueError("an AUROC needs a score for each truth, none NaN, and both kinds")
    others = np.sort(s[~y])
    below, up_to = (np.searchsorted(others, s[y], side=side) for side in ("left", "right"))
    return float(np.mean((below + up_to) / 2) / len(others))


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
