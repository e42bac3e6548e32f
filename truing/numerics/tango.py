"""The score interval for a paired difference of two proportions."""

from collections.abc import Callable
from math import sqrt

from scipy.special import ndtri

from truing.numerics.intervals import Interval


def paired_interval(losses: int, gains: int, pairs: int, level: float = 0.95) -> Interval:
    """Tango's score interval for (gains - losses) / pairs, the candidate's share minus the baseline's.

    It holds its level where the models hardly differ, and no difference seen is not certainty:
    without any it is +-z^2 / (pairs + z^2). Source: Tango 1998, equations 9 to 12. No pairs give
    (-1, 1).

    Raises:
        ValueError: the counts contradict each other, or the level is outside (0, 1).
    """
    if losses < 0 or gains < 0 or losses + gains > pairs:
        raise ValueError(f"{losses} losses and {gains} gains are no part of {pairs} pairs")
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies in (0, 1), not {level}")
    if pairs == 0:
        return Interval(-1.0, 1.0)
    z, estimate = float(ndtri((1 + level) / 2)), (gains - losses) / pairs

    def inside(difference: float) -> bool:
        score, deviation = _score(losses, gains, pairs, difference)
        return abs(score) <= z * deviation

    return Interval(_edge(inside, estimate, -1.0), _edge(inside, estimate, 1.0))


def _edge(inside: Callable[[float], bool], near: float, far: float) -> float:
    """Where `inside` ends on the way from `near`, which is inside, to `far`; to the last bit."""
    if inside(far):
        return far
    for _ in range(60):
        middle = (near + far) / 2
        near, far = (middle, far) if inside(middle) else (near, middle)
    return near


def _score(losses: int, gains: int, pairs: int, difference: float) -> tuple[float, float]:
    """The score statistic at a supposed difference: numerator, and its standard deviation there.

    The share of losses that the deviation needs is its maximum-likelihood estimate under that
    difference, the larger root of a quadratic.
    """
    b = (2 * pairs - gains + losses) * difference - gains - losses
    c = -losses * difference * (1 - difference)
    share = (sqrt(max(0.0, b * b - 8 * pairs * c)) - b) / (4 * pairs)
    variance = pairs * (2 * share + difference * (1 - difference))
    return gains - losses - pairs * difference, sqrt(max(0.0, variance))
