"""Whether a noisy series of measurements changed: from its start to its end, and since its best.

The noise of one measurement is read from the differences of neighbours (von Neumann et al. 1941), which
a slow trend hardly touches, and is widened where neighbours go together around a cubic trend: by
(1 + r) / (1 - r)^2 in variance for an autocorrelation r above 0. Fewer than twelve measurements that come with
standard errors of their own are judged by these instead. More are not: measured on the same items each time, they
differ by less than their errors say.
"""

from dataclasses import dataclass
from functools import cache
from math import inf, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from truing.numerics.means import student_interval
from truing.numerics.rng import generator
from truing.types import Record

Floats = NDArray[np.float64]
_FEWEST = 6  # measurements that can tell their noise from their differences
_SHORT = 12  # measurements below which their own errors, where known, are the better witness
_MOST = 60  # points of a series; a longer one is averaged in blocks first
_DRAWS = 4000


@dataclass(frozen=True, slots=True)
class Change(Record):
    """By how much the mean of a window of measurements is above that of an earlier one, with its interval."""

    before: float
    after: float
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Fall(Record):
    """By how much the last window lies below the best earlier one."""

    best: float
    """Mean of the best window."""
    end: float
    """Mean of the last one."""
    value: float
    low: float
    """Allows for the best window having been chosen: above 0 in at most (1 - level) / 2 of flat series."""
    high: float
    first: int
    """Index of the first measurement of the best window."""
    stop: int
    """One past its last."""
    end_first: int
    """Index of the first measurement of the last window."""
    seeable: float
    """The fall that would have been seen in four of five such series."""


def windows(n: int) -> int:
    """How many of n measurements make a window: a fifth, and two where there are at least six."""
    return max(n // 5, 2) if n >= _FEWEST else 1


def change(
    values: ArrayLike,
    *,
    errors: ArrayLike | None = None,
    before: slice | None = None,
    after: slice | None = None,
    level: float = 0.95,
) -> Change | None:
    """The mean of the window `after` less that of `before`; by default the last and the first fifth.

    `errors` [N] are the measurements' own standard errors, where they are known. None where there are too
    few measurements to tell the noise: fewer than six without errors, fewer than two with them.

    Raises:
        ValueError: a number is not finite.
    """
    x = _finite(values)
    noise = _noise(x, errors)
    if noise is None:
        return None
    width = windows(len(x))
    early = x[before if before is not None else slice(0, width)]
    late = x[after if after is not None else slice(len(x) - width, len(x))]
    if not (len(early) and len(late)):
        return None
    sigma, degrees = noise
    value = float(late.mean() - early.mean())
    error = sigma * sqrt(1 / len(early) + 1 / len(late))
    ends = student_interval(value, error, degrees, level)
    return Change(float(early.mean()), float(late.mean()), value, ends.low, ends.high)


def fall_since_best(
    values: ArrayLike, *, errors: ArrayLike | None = None, level: float = 0.95
) -> Fall | None:
    """How far the last fifth of a series, in which more is better, lies below its best fifth before that.

    The best of many noisy windows is too good. So the lower end is drawn from the distribution of this very
    quantity in flat series of as many normal measurements with a noise estimated alike (4,000 draws). A series
    that only rises gives fewer false alarms than a flat one. None where there are too few measurements, as
    for `change`.

    Raises:
        ValueError: a number is not finite, or the level is outside (0, 1).
    """
    x = _finite(values)
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies in (0, 1), not {level}")
    noise = _noise(x, errors)
    if noise is None:
        return None
    blocks, size = _blocks(x)
    rest = len(x) - size * len(blocks)
    width, known = windows(len(blocks)), errors is not None and len(x) < _SHORT
    means = _rolling(blocks, width)
    best = int(np.argmax(means[: len(means) - width]))
    value = float(means[best] - means[-1])
    # The noise of a block, not of a measurement over its root: neighbours may go together.
    sigma, degrees = noise if size == 1 else _noise(blocks, None) or noise
    error = sigma * sqrt(2 / width)
    drawn = _flat(len(blocks), width, known, (1 + level) / 2)
    half = float(stdtrit(degrees, (1 + level) / 2))
    return Fall(
        best=float(means[best]),
        end=float(means[-1]),
        value=value,
        low=value - drawn * error,
        high=value + half * error,
        first=rest + best * size,
        stop=rest + (best + width) * size,
        end_first=len(x) - width * size,
        seeable=(drawn + 0.84) * error,
    )


def stop_threshold(measurements: int, width: int, level: float = 0.95) -> float:
    """The standardised fall that a flat series of `measurements` shows at no look in `level` of all cases.

    A look after each measurement compares the mean of the last `width` with the best earlier window of that
    size, in units of its standard error with the noise estimated so far (see `fall_since_best`).

    Raises:
        ValueError: there are fewer measurements than two windows or the noise need.
    """
    if measurements < max(2 * width, _FEWEST):
        raise ValueError(f"{measurements} measurements are too few for windows of {width}")
    return float(np.quantile(_looked(measurements, width), level))


def look(values: ArrayLike, width: int, errors: ArrayLike | None = None) -> tuple[int, float, float] | None:
    """(index of the best window of `width`, the fall since, its standard error); None where it cannot be told.

    Raises:
        ValueError: a number is not finite.
    """
    x = _finite(values)
    noise = _noise(x, errors)
    if noise is None or len(x) < max(2 * width, _FEWEST):
        return None
    means = _rolling(x, width)
    best = int(np.argmax(means[: len(means) - width]))
    return best, float(means[best] - means[-1]), noise[0] * sqrt(2 / width)


def _finite(values: ArrayLike) -> Floats:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not np.isfinite(x).all():
        raise ValueError("a series of measurements is one list of finite numbers")
    return x


def _noise(x: Floats, errors: ArrayLike | None) -> tuple[float, float] | None:
    """The standard deviation of a measurement around its trend, and its degrees of freedom."""
    n = len(x)
    if errors is not None and 2 <= n < _SHORT:
        return float(np.sqrt(np.mean(np.square(errors)))), inf
    if n < _FEWEST:
        return None
    sigma = float(_spread(x))
    # Of the mean squared difference of n normal numbers (von Neumann et al. 1941, equation 1.5).
    return sigma, 2 * (n - 1) ** 2 / (3 * n - 4)


def _spread(x: Floats) -> Floats:
    """The long-run standard deviation along the last axis."""
    n = x.shape[-1]
    basis = _trend(n)
    rest = x - (x @ basis) @ basis.T
    squares = np.maximum((rest**2).sum(axis=-1), 1e-300)
    # A fit of so many columns lowers the autocorrelation of pure noise by about as many n-ths.
    r = np.clip((rest[..., 1:] * rest[..., :-1]).sum(axis=-1) / squares + basis.shape[1] / n, 0.0, 0.8)
    spread: Floats = np.sqrt(np.mean(np.diff(x) ** 2, axis=-1) / 2 * (1 + r)) / (1 - r)
    return spread


@cache
def _trend(n: int) -> Floats:
    """Columns [n, d + 1], orthonormal, that span the polynomials of degree d: 3, fewer where n is small."""
    basis: Floats = np.linalg.qr(np.vander(np.linspace(-1, 1, n), min(3, n // 4) + 1))[0]
    return basis


def _blocks(x: Floats) -> tuple[Floats, int]:
    """Means of blocks of equal size, at most `_MOST`; what does not fill a block at the start is left out."""
    size = -(-len(x) // _MOST)
    rest = len(x) % size
    return x[rest:].reshape(-1, size).mean(axis=1), size


def _rolling(x: Floats, width: int) -> Floats:
    """Means of all windows along the last axis."""
    sums = np.cumsum(x, axis=-1)
    first = np.zeros_like(sums[..., :1])
    lagged = np.concatenate([first, sums[..., :-width]], axis=-1)
    means: Floats = (sums[..., width - 1 :] - lagged) / width
    return means


@cache
def _flat(n: int, width: int, known: bool, level: float) -> float:
    """What the standardised fall since the best stays below in `level` of flat series of n normal measurements."""
    x = generator(0, "flat series").standard_normal((_DRAWS, n))
    means = _rolling(x, width)
    sigma = 1.0 if known else _spread(x)
    falls = (means[:, : n - 2 * width + 1].max(axis=1) - means[:, -1]) / (sigma * sqrt(2 / width))
    return float(np.quantile(falls, level))


@cache
def _looked(n: int, width: int) -> Floats:
    """Draws of the greatest standardised fall over all looks at flat series of up to n normal measurements."""
    x = generator(0, "looks at flat series").standard_normal((_DRAWS, n))
    means = _rolling(x, width)
    best = np.maximum.accumulate(means[:, :-width], axis=1)
    greatest = np.full(_DRAWS, -inf)
    for seen in range(max(2 * width, _FEWEST), n + 1):
        at = seen - 2 * width
        fall = (best[:, at] - means[:, at + width]) / (_spread(x[:, :seen]) * sqrt(2 / width))
        greatest = np.maximum(greatest, fall)
    return greatest


def moving_mean(
    values: ArrayLike, *, errors: ArrayLike | None = None, level: float = 0.95
) -> tuple[Floats, Floats]:
    """A centred mean [N] over about a tenth of a series, and half of Student's interval around it [N].

    At the ends the window shrinks to both sides alike, so that a trend is not bent. Where the noise cannot be
    told (see `change`), the values themselves and NaN. For the eye: the intervals of neighbours share their data.

    Raises:
        ValueError: a number is not finite.
    """
    x = _finite(values)
    noise = _noise(x, errors)
    if noise is None:
        return x, np.full(len(x), np.nan)
    at = np.arange(len(x))
    reach = np.minimum(np.minimum(at, at[::-1]), len(x) // 20 + 1)
    sums = np.concatenate([[0.0], np.cumsum(x)])
    means: Floats = (sums[at + reach + 1] - sums[at - reach]) / (2 * reach + 1)
    halves: Floats = float(stdtrit(noise[1], (1 + level) / 2)) * noise[0] / np.sqrt(2 * reach + 1)
    return means, halves
