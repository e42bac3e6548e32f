"""Whether probabilities come true: bins of predictions against what happened."""

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
from numpy.typing import ArrayLike

from truing.numerics.intervals import wilson
from truing.types import Record


@dataclass(frozen=True, slots=True)
class ReliabilityBin(Record):
    """Events that were predicted to be about equally probable."""

    n: int
    predicted: float
    """The mean of their probabilities."""
    observed: float
    """The share of them that happened, with its 95 % interval by Wilson."""
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Reliability(Record):
    """How far probabilities are from what happened."""

    bins: tuple[ReliabilityBin, ...]
    error: float
    """The expected calibration error: the mean distance of observed from predicted, bins by size."""
    by_chance: float
    """The error that as many events would show on average if every probability were right."""


def reliability(probabilities: ArrayLike, happened: ArrayLike, *, bins: int = 10) -> Reliability:
    """Sort N events by their probability into bins of equal size, and compare (Naeini et al. 2015; Nguyen 2015).

    Equal probabilities may be in two bins. Of fewer events than bins each is its own; none give no bin
    and an error of 0.

    Raises:
        ValueError: the lengths differ, a probability is outside [0, 1], or there is no bin.
    """
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(happened, dtype=np.bool_)
    if p.ndim != 1 or p.shape != y.shape or not ((p >= 0) & (p <= 1)).all() or bins < 1:
        raise ValueError("reliability is of one probability in [0, 1] for each event, in at least one bin")
    found, error, by_chance = [], 0.0, 0.0
    for part in np.array_split(np.argsort(p, kind="stable"), min(bins, len(p)) or 1):
        if n := len(part):
            predicted, hits = float(p[part].mean()), int(y[part].sum())
            ends = wilson(hits, n)
            found.append(ReliabilityBin(n, predicted, hits / n, ends.low, ends.high))
            error += n / len(p) * abs(hits / n - predicted)
            # The mean distance of a normal variable from its mean is sqrt(2 / pi) standard deviations.
            spread = sqrt(float((p[part] * (1 - p[part])).sum())) / n
            by_chance += n / len(p) * sqrt(2 / pi) * spread
    return Reliability(tuple(found), error, by_chance)
