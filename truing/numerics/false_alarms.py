"""A threshold that what is harmless exceeds no more often than was promised."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite

from scipy.special import betaincinv

from truing.types import Record


@dataclass(frozen=True, slots=True)
class AlarmThreshold(Record):
    """What n harmless scores can promise about a next one."""

    n: int
    value: float | None
    """An alarm is a score above it; None where n scores support no threshold at this rate."""
    rate: float
    """The rate of false alarms is at most this, on average over what was calibrated on; at least 1 / (n + 1)."""
    own_rate: float
    """With 95 % confidence this very threshold has a rate below it."""
    needed: int
    """How many harmless scores it takes at least for the rate that was asked for."""


def alarm_threshold(harmless: Sequence[float], rate: float = 0.05) -> AlarmThreshold:
    """The order statistic of n harmless scores that a next one exceeds with probability at most `rate`.

    Nothing is assumed of the scores but that harmless ones are exchangeable: the next is then as likely
    to rank anywhere, and exceeds the j-th smallest with probability (n + 1 - j) / (n + 1) (less with ties).
    j is the least with which that is at most `rate` (Vovk, Gammerman and Shafer 2005, conformal
    prediction); it is one of the scores only where n >= 1 / rate - 1, which is 19 for 5 %. The rate of
    one given threshold differs from that average: it follows Beta(n + 1 - j, j).

    Raises:
        ValueError: there is no score, one is not finite, or the rate is outside (0, 1).
    """
    n = len(harmless)
    if not n or not all(map(isfinite, harmless)) or not 0 < rate < 1:
        raise ValueError("a threshold takes finite harmless scores and a rate in (0, 1)")
    above = floor(rate * (n + 1) + 1e-9)  # of n + 1 ranks so many may raise an alarm
    needed = max(1, ceil(1 / rate - 1 - 1e-9))
    value = sorted(harmless)[n - above] if above else None
    counted = above or 1  # without a threshold: what the largest score would promise
    own = float(betaincinv(counted, n + 1 - counted, 0.95))
    return AlarmThreshold(n, value, counted / (n + 1), own, needed)
