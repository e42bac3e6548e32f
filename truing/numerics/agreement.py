"""How well two raters agree, or a grader with people."""

from math import nan, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from truing.numerics.intervals import Interval, wilson


def accuracy(confusion: ArrayLike, level: float = 0.95) -> tuple[float, Interval]:
    """The share of items on the diagonal of a square table of counts, with Wilson's interval.

    Of no items the share is NaN and the interval (0, 1).

    Raises:
        ValueError: the table is not square, or an entry is no count.
    """
    table = _table(confusion)
    k, n = int(np.trace(table)), int(table.sum())
    return (k / n if n else nan), wilson(k, n, level)


def cohen_kappa(confusion: ArrayLike, level: float = 0.95) -> tuple[float, Interval]:
    """Cohen's kappa of a square table of counts (rows one rater, columns the other), with its interval.

    The interval is kappa +- z standard errors, cut to [-1, 1], with the large-sample error of
    Fleiss, Cohen and Everitt 1969. Where that error is 0 (all items agree, or none) it
    would claim certainty, and the interval follows from Wilson's for the agreement instead. Where
    both raters used one and the same class for everything, and for no items, kappa is undefined:
    NaN, with (-1, 1).

    Raises:
        ValueError: the table is not square, or an entry is no count.
    """
    table = _table(confusion)
    n = int(table.sum())
    p = table / max(n, 1)
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    agreed, chance = float(np.trace(p)), float(rows @ columns)
    if n == 0 or np.count_nonzero(table) == 1 == np.count_nonzero(np.diag(table)):
        return nan, Interval(-1.0, 1.0)
    kappa = (agreed - chance) / (1 - chance)
    error = _standard_error(p, kappa, chance) / sqrt(n)
    if error < 1e-6:  # 0, but for rounding
        share = wilson(int(np.trace(table)), n, level)
        low, high = ((end - chance) / (1 - chance) for end in (share.low, share.high))
    else:
        z = float(ndtri((1 + level) / 2))
        low, high = kappa - z * error, kappa + z * error
    return kappa, Interval(max(-1.0, low), min(1.0, high))


def _standard_error(p: NDArray[np.float64], kappa: float, chance: float) -> float:
    """The asymptotic standard error of kappa times the root of the number of items."""
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    diagonal = np.diag(p)
    off = (p - np.diag(diagonal)) * (columns[:, None] + rows[None, :]) ** 2
    agreeing = diagonal @ (1 - (rows + columns) * (1 - kappa)) ** 2
    variance = agreeing + (1 - kappa) ** 2 * off.sum() - (kappa - chance * (1 - kappa)) ** 2
    return sqrt(max(0.0, float(variance))) / (1 - chance)


def _table(confusion: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(confusion, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1]:
        raise ValueError(f"a confusion table is square, not {' x '.join(map(str, table.shape))}")
    if not (np.isfinite(table).all() and (table >= 0).all() and (table == np.floor(table)).all()):
        raise ValueError("the entries of a confusion table are counts")
    return table
