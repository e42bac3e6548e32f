"""Confidence intervals for a proportion."""

from dataclasses import dataclass
from math import sqrt

from scipy.special import betaincinv, ndtri

from truing.types import Record


@dataclass(frozen=True, slots=True)
class Interval(Record):
    """A confidence interval; both ends belong to it."""

    low: float
    high: float


def wilson(k: float, n: float, level: float = 0.95) -> Interval:
    """Wilson's score interval for a proportion after `k` successes in `n` trials (Wilson 1927).

    Its coverage is close to `level` on average; `n = 0` gives (0, 1). Trials in clusters count as fewer:
    both numbers divided by their `design_effect`, which leaves no integers.

    Raises:
        ValueError: not 0 <= k <= n, or the level is outside (0, 1).
    """
    _check(k, n, level)
    if n == 0:
        return Interval(0.0, 1.0)
    z, p = float(ndtri((1 + level) / 2)), k / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2) / (1 + z * z / n)
    return Interval(0.0 if k == 0 else centre - half, 1.0 if k == n else centre + half)


def clopper_pearson(k: int, n: int, level: float = 0.95) -> Interval:
    """The exact interval for a proportion (Clopper and Pearson 1934): coverage is never below `level`.

    For `k = 0` the upper end is 1 - ((1 - level) / 2)^(1/n); `n = 0` gives (0, 1).

    Raises:
        ValueError: not 0 <= k <= n, or the level is outside (0, 1).
    """
    _check(k, n, level)
    tail = (1 - level) / 2
    low = float(betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
    high = float(betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return Interval(low, high)


def _check(k: float, n: float, level: float) -> None:
    if not 0 <= k <= n:
        raise ValueError(f"{k} successes in {n} trials cannot be")
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies in (0, 1), not {level}")
