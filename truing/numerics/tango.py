"""The score interval for a paired difference of two proportions, of items alone and of items in clusters."""

from collections.abc import Callable, Hashable, Sequence
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from truing.numerics.intervals import Interval
from truing.numerics.paired import design_effect


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
    return _score_interval(losses, gains, pairs, float(ndtri((1 + level) / 2)))


def clustered_paired_interval(
    differences: ArrayLike, clusters: Sequence[Hashable], level: float = 0.95
) -> Interval:
    """The same for wins, losses and ties [N], 1, -1 and 0, of items that share sources.

    All counts are divided by the design effect (Rao and Scott 1992), and the normal quantile is
    Student's with as many degrees as there are clusters, less one. Where differences are rare, resampling
    the few clusters that have one (`paired_bootstrap`) is far too sure. Nothing is known from fewer
    than two clusters: (-1, 1).

    Raises:
        ValueError: a difference is something else, the lengths differ, or the level is outside (0, 1).
    """
    values = np.asarray(differences, dtype=np.float64)
    if not np.isin(values, (-1.0, 0.0, 1.0)).all():
        raise ValueError("a win is 1, a loss -1 and a tie 0")
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies in (0, 1), not {level}")
    effect, groups = design_effect(values, clusters), len(set(clusters))
    if groups < 2:
        return Interval(-1.0, 1.0)
    losses, gains, pairs = (
        float(count) / effect for count in ((values < 0).sum(), (values > 0).sum(), len(values))
    )
    return _score_interval(losses, gains, pairs, float(stdtrit(groups - 1, (1 + level) / 2)))


def _score_interval(losses: float, gains: float, pairs: float, z: float) -> Interval:
    """All differences that the score test does not reject at the quantile z."""
    estimate = (gains - losses) / pairs

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


def _score(losses: float, gains: float, pairs: float, difference: float) -> tuple[float, float]:
    """The score statistic at a supposed difference: numerator, and its standard deviation there.

    The share of losses that the deviation needs is its maximum-likelihood estimate under that
    difference, the larger root of a quadratic.
    """
    b = (2 * pairs - gains + losses) * difference - gains - losses
    c = -losses * difference * (1 - difference)
    share = (sqrt(max(0.0, b * b - 8 * pairs * c)) - b) / (4 * pairs)
    variance = pairs * (2 * share + difference * (1 - difference))
    return gains - losses - pairs * difference, sqrt(max(0.0, variance))
