"""Prediction-powered inference: a few labels by people, and a judge's word on everything."""

from collections.abc import Hashable, Sequence
from math import nan, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from truing.numerics.intervals import Interval
from truing.numerics.means import student_interval
from truing.numerics.paired import standard_error


def prediction_powered(
    judged: ArrayLike,
    labelled: Sequence[int],
    truth: ArrayLike,
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    bounds: tuple[float, float] = (-1.0, 1.0),
) -> tuple[float, Interval]:
    """The mean of the truth over all items, where a judge scored all [N] and people some of them [n].

    `judged` [N] are the judge's values, `truth` [n] what people say of the items at the positions
    `labelled`, and `clusters` [N] names their sources; both kinds of value lie in `bounds`. For the
    paired difference of two models the values are differences by item. The one assumption is that
    the labelled items (or clusters) are a random sample of all: how the judge errs is of no account.

    The estimate is mean(truth) + lambda (mean(judged) - mean(judged where labelled)), with the
    lambda in [0, 1] that makes its variance least: PPI++ (Angelopoulos et al. 2023, arXiv 2311.01453,
    section 6), with the labelled items among all, where lambda is cov(truth, judged) /
    var(judged). Where the judge is noise lambda is 0, and what remains is the mean of the labels.
    The interval is Student's from the clusters' totals of the influence function, to which one item
    that the judge took for 1 too much is added and one for 1 too little: labels that all agree with
    the judge are no proof that it never errs. Fewer than three labelled clusters give `bounds`.

    Raises:
        ValueError: a value is not finite or outside `bounds`, an item is labelled twice or is none,
            the lengths differ, or the level is outside (0, 1).
    """
    f, y = np.asarray(judged, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    at = np.asarray(labelled, dtype=np.int64)
    sources = list(range(len(f))) if clusters is None else list(clusters)
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies in (0, 1), not {level}")
    if f.ndim != 1 or y.shape != at.shape or len(sources) != len(f):
        raise ValueError("there is one truth for each labelled item, and one cluster for each judged one")
    if len(set(at.tolist())) < len(at) or ((at < 0) | (at >= len(f))).any():
        raise ValueError("the labelled items are positions among the judged ones, each once")
    values = np.concatenate([f, y])
    if not ((values >= bounds[0]) & (values <= bounds[1])).all():
        raise ValueError(f"a value lies outside the bounds {bounds}")
    n, groups = len(at), len({sources[i] for i in at})
    if n == 0:
        return nan, Interval(*bounds)
    weight = _weight(f, f[at], y)
    rest = y - weight * f[at]
    estimate = float(weight * f.mean() + rest.mean())
    if groups < 3:
        return float(np.clip(estimate, *bounds)), Interval(*bounds)
    # Two degrees of freedom went into the mean and lambda.
    influence, scale = weight * f, len(f) / n * sqrt(groups / (groups - 2))
    influence[at] += scale * (rest - rest.mean())
    size = round(n / groups)
    error = standard_error(
        np.concatenate([influence, influence.mean() + scale * np.repeat([1.0, -1.0], size)]),
        clusters=[*((0, source) for source in sources), *np.repeat([1, 2], size).tolist()],
    )
    ends = student_interval(estimate, error, groups - 2, level)
    low, high = np.clip([ends.low, ends.high], *bounds)
    return float(np.clip(estimate, *bounds)), Interval(float(low), float(high))


def _weight(f: NDArray[np.float64], f_labelled: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """cov(truth, judged) where labelled over var(judged) everywhere, in [0, 1]; 0 for a judge that never varies."""
    variance = float(f.var())
    if variance <= 1e-12:
        return 0.0
    covariance = float(((f_labelled - f_labelled.mean()) * (y - y.mean())).mean())
    return float(np.clip(covariance / variance, 0.0, 1.0))
