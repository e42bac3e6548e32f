"""How far two lists rise together, and what of one the other does not explain."""

from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from truing.types import Record


@dataclass(frozen=True, slots=True)
class Correlation(Record):
    """A coefficient in [-1, 1], NaN where it is undefined, and the number of pairs that it describes."""

    value: float
    n: int


def spearman(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Spearman's rank correlation of N pairs; ties share the mean of their ranks (Spearman 1904).

    A description of these pairs and no test: dimensions of one audit share a model, and are few.
    Undefined (NaN) for fewer than two pairs, and where one of the lists is constant.

    Raises:
        ValueError: the lengths differ, or a number is NaN; infinities have a rank.
    """
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or np.isnan(a).any() or np.isnan(b).any():
        raise ValueError("a rank correlation is of two lists of one length, without NaN")
    n = len(a)
    if n < 2:
        return Correlation(nan, n)
    u, v = _ranks(a) - (n + 1) / 2, _ranks(b) - (n + 1) / 2
    scale = sqrt(float(u @ u) * float(v @ v))
    return Correlation(max(-1.0, min(1.0, float(u @ v) / scale)) if scale else nan, n)


def without_line(y: ArrayLike, x: ArrayLike) -> NDArray[np.float64]:
    """Y [N] less what a straight line through x [N] explains of it, by least squares; its mean stays.

    Where x does not vary it explains nothing.

    Raises:
        ValueError: the lengths differ, or a number is not finite.
    """
    a, b = np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a line goes through two lists of finite numbers of one length")
    if not len(a) or np.ptp(b) == 0:
        return a
    centred = b - b.mean()
    left: NDArray[np.float64] = a - centred * float(centred @ a) / float(centred @ centred)
    return left


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rank of each value from 1, the mean rank where values are equal."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[group]
    return ranks
