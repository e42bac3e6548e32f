"""A ratio of sums with its standard error, and Student's interval around an estimate."""

from collections.abc import Hashable, Sequence
from math import inf

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from truing.numerics.intervals import Interval
from truing.numerics.paired import standard_error


def ratio_of_sums(
    totals: ArrayLike, sizes: ArrayLike, *, clusters: Sequence[Hashable] | None = None
) -> tuple[float, float]:
    """sum(totals) / sum(sizes) of N units, and its standard error over units (or clusters of them).

    For a mean per token, where the unit that was drawn is a text: `totals` [N] are sums over its
    tokens, `sizes` [N] how many it has. The error is the delta method's, that of the mean of
    totals - ratio * sizes divided by the mean size (Cochran 1977, section 6.4); with fewer than two
    clusters it is infinite.

    Raises:
        ValueError: a number is not finite, the lengths differ, or the sizes do not sum to more than 0.
    """
    y, x = np.asarray(totals, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    if y.shape != x.shape or not x.sum() > 0:
        raise ValueError("a ratio of sums needs as many totals as sizes, and sizes that sum to more than 0")
    ratio = float(y.sum() / x.sum())
    return ratio, standard_error(y - ratio * x, clusters=clusters) / float(x.mean())


def student_interval(estimate: float, error: float, degrees: float, level: float = 0.95) -> Interval:
    """`estimate` +- t * `error`, with Student's t of `degrees` degrees of freedom (of G clusters, G - 1).

    Raises:
        ValueError: the error is negative or NaN, degrees are not above 0, or the level is outside (0, 1).
    """
    if not (0 <= error <= inf and degrees > 0 and 0 < level < 1):
        raise ValueError(f"no interval has the error {error}, {degrees} degrees and the level {level}")
    half = float(stdtrit(degrees, (1 + level) / 2)) * error
    return Interval(estimate - half, estimate + half)
