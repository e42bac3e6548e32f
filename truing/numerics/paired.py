"""Comparing two models on the same items: a difference is the candidate's score minus the baseline's.

So a negative difference is a loss, a positive one a gain. Items that share a source (one template,
one paraphrased question) are no independent evidence: name their source in `clusters`, one label
for each difference, and whole clusters are resampled.
"""

from collections.abc import Hashable, Sequence
from math import inf, sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, bdtrc, ndtr, ndtri, stdtrit

from truing.numerics.intervals import Interval
from truing.numerics.rng import generator

_CELLS = 2**20  # numbers drawn at a time, so that memory does not grow with the resamples
_EXACT = 16  # non-zero clusters up to which all 2^16 sign patterns are enumerated


def mcnemar_exact(losses: int, gains: int, alternative: Literal["worse", "two-sided"] = "worse") -> float:
    """The p-value of McNemar's exact test, from the pairs in which the two models differ.

    `losses` are the items that the baseline had right and the candidate has wrong, `gains` the
    reverse. "worse" is one-sided: a small p says that the candidate is worse. With neither, p is 1.
    Source: McNemar 1947, with the binomial distribution in place of its approximation.

    Raises:
        ValueError: a count is negative, or the alternative is unknown.
    """
    if losses < 0 or gains < 0:
        raise ValueError(f"losses and gains are counts, not {losses} and {gains}")
    if alternative == "worse":
        return _tail(losses, losses + gains)
    if alternative == "two-sided":
        return min(1.0, 2 * _tail(max(losses, gains), losses + gains))
    raise ValueError(f"the alternative is 'worse' or 'two-sided', not {alternative!r}")


def mcnemar_guarded(losses: int, gains: int, doubtful_losses: int, doubtful_gains: int) -> float:
    """The one-sided p-value of McNemar's exact test where some pairs may only speak against the candidate.

    What is tested is gains - losses + min(0, doubtful gains - doubtful losses). If neither model is
    better, every pair that differs is as likely to be a loss as a gain; p is the probability that they
    then sum to at most what was seen. Without doubtful pairs it is `mcnemar_exact`.

    Raises:
        ValueError: a count is negative.
    """
    if min(losses, gains, doubtful_losses, doubtful_gains) < 0:
        raise ValueError("losses and gains are counts, not negative")
    seen = gains - losses + min(0, doubtful_gains - doubtful_losses)
    certain, doubtful = losses + gains, doubtful_losses + doubtful_gains
    k = np.arange(doubtful + 1)  # of the doubtful pairs so many are losses
    chances = np.diff(bdtr(k, doubtful, 0.5), prepend=0.0)
    wanted = -((seen - np.minimum(0, doubtful - 2 * k) - certain) // 2)  # the fewest losses that then do it
    return float(min(1.0, sum(c * _tail(int(w), certain) for c, w in zip(chances, wanted, strict=True))))


def paired_bootstrap(
    differences: ArrayLike,
    *,
    clusters: Sequence[Hashable] | None = None,
    key: int,
    level: float = 0.95,
    resamples: int = 10_000,
    bounds: tuple[float, float] = (-1.0, 1.0),
) -> Interval:
    """A bootstrap interval for the mean of the differences [N], bias-corrected and accelerated (BCa).

    Whole clusters are drawn and weigh by their size. The order of the rows does not matter. BCa
    (Efron 1987) because rare losses make the mean skewed; its normal quantiles are widened to
    sqrt(G / (G - 1)) times Student's with G - 1 degrees, because with few clusters G any bootstrap
    is too narrow (Hesterberg 2015). It cannot see what the sample lacks: for wins and
    losses without clusters, `paired_interval` is better.

    Where all clusters agree there is nothing to resample, and a bootstrap would claim certainty.
    Then the interval says how much may have stayed unseen: of a kind of cluster that none of G shows,
    the share is at most 1 - ((1 - level) / 2)^(1/G), and its difference may be as far off as
    `bounds`, the range that a difference can have. No rows at all give `bounds`.

    Raises:
        ValueError: a difference is not finite or outside `bounds`, or the lengths differ.
    """
    totals, sizes = _clustered(differences, clusters)
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies in (0, 1), not {level}")
    values = np.asarray(differences)
    if (values < bounds[0]).any() or (values > bounds[1]).any():
        raise ValueError(f"a difference lies outside the bounds {bounds}")
    tail, means = (1 - level) / 2, totals / sizes
    if len(means) == 0 or np.ptp(means) <= 1e-12:
        unseen = 1 - tail ** (1 / len(means)) if len(means) else 1.0
        seen = float(means[0]) if len(means) else 0.0
        return Interval(*(float((1 - unseen) * seen + unseen * bound) for bound in bounds))
    kinds, counts = np.unique(np.stack([totals, sizes], axis=1), axis=0, return_counts=True)
    replicates = _bootstrap_means(kinds, counts, key, resamples)
    low, high = np.quantile(replicates, _bca_levels(replicates, kinds, counts, tail))
    return Interval(float(low), float(high))


def sign_flip_test(
    differences: ArrayLike,
    *,
    clusters: Sequence[Hashable] | None = None,
    doubtful: ArrayLike | None = None,
    key: int,
    resamples: int = 20_000,
) -> float:
    """The one-sided p-value of a randomisation test on differences [N]: small if the candidate is worse.

    If neither model is better, swapping the two within a cluster changes nothing, so each cluster's
    total is as likely with either sign; p is the share of sign patterns whose sum is at or below the
    one seen. All patterns are enumerated up to 16 clusters with a non-zero total (one cluster alone
    cannot fall below 1/2); beyond, p = (1 + hits) / (1 + resamples). Nothing but zeros gives 1.
    Wins and losses without clusters are `mcnemar_exact`'s.

    `doubtful` [N] marks rows that may only speak against the candidate: in the sum that is tested,
    theirs counts only where it is below 0, under every pattern alike.

    Raises:
        ValueError: a difference is not finite, or the lengths differ.
    """
    totals, _ = _clustered(differences, clusters)
    guarded = np.zeros_like(totals)
    if doubtful is not None:
        guarded, _ = _clustered(np.where(doubtful, differences, 0.0), clusters)
    columns = np.stack([totals - guarded, guarded], axis=1) if guarded.any() else totals[:, None]
    columns = columns[columns.any(axis=1)]
    # Equal sums that were added in another order must not count as different.
    seen = _against(columns.sum(axis=0)[None])[0] + 1e-12 * np.abs(columns).sum()
    if len(columns) <= _EXACT:
        sums = np.zeros((1, columns.shape[1]))
        for total in columns:
            sums = np.concatenate([sums + total, sums - total])
        return float(np.mean(_against(sums) <= seen))
    first = np.where(columns[:, :1] != 0, columns[:, :1], columns[:, -1:])
    oriented = columns * np.sign(first)
    oriented = oriented[np.lexsort(oriented.T)]
    rng, hits = generator(key, "sign flips"), 0
    for rows in _chunks(resamples, len(oriented)):
        positive = rng.integers(0, 2, size=(rows, len(oriented)), dtype=np.int8)
        hits += int(np.count_nonzero(_against(2 * (positive @ oriented) - oriented.sum(axis=0)) <= seen))
    return (1 + hits) / (1 + resamples)


def standard_error(differences: ArrayLike, *, clusters: Sequence[Hashable] | None = None) -> float:
    """The standard error of the mean of differences [N], from the spread of the clusters' totals.

    Source: Miller 2024 (arXiv 2411.00640), equation 4, with the factor G / (G - 1). Fewer than two
    clusters say nothing about it: then it is infinite.

    Raises:
        ValueError: a difference is not finite, or the lengths differ.
    """
    totals, sizes = _clustered(differences, clusters)
    groups, n = len(totals), float(sizes.sum())
    if groups < 2:
        return inf
    residuals = totals - sizes * (totals.sum() / n)
    return sqrt(float((residuals**2).sum()) * groups / (groups - 1)) / n


def design_effect(differences: ArrayLike, clusters: Sequence[Hashable]) -> float:
    """How many times larger clustering makes the variance of the mean difference; at least 1.

    N rows are worth N / design effect independent ones. Where the rows cannot tell (one cluster, or
    no variation) it is that of rows wholly determined by their cluster, sum(size^2) / N (Kish 1965).

    Raises:
        ValueError: a difference is not finite, or the lengths differ.
    """
    values = np.asarray(differences, dtype=np.float64)
    totals, sizes = _clustered(values, clusters)
    n, groups = len(values), len(totals)
    if n == 0:
        return 1.0
    mean = values.mean()
    independent = float(((values - mean) ** 2).sum()) / (n - 1) * n if n > 1 else 0.0
    if groups < 2 or independent <= 1e-12:
        return float((sizes**2).sum() / n)
    clustered = float(((totals - sizes * mean) ** 2).sum()) * groups / (groups - 1)
    return max(1.0, clustered / independent)


def _tail(k: int, n: int) -> float:
    """P(X >= k) for X ~ Binomial(n, 1/2)."""
    return float(bdtrc(k - 1, n, 0.5)) if 0 < k <= n else float(k <= 0)


def _against(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """[R, 1 or 2] -> [R]: the first sum, and the second where it is below 0."""
    guarded: NDArray[np.float64] = sums[:, 0] + np.minimum(0.0, sums[:, 1:]).sum(axis=1)
    return guarded


def _clustered(
    differences: ArrayLike, clusters: Sequence[Hashable] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The total and the size of each cluster ([G], [G]), in the order of first appearance."""
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError("differences are a list of finite numbers; what has no score is counted elsewhere")
    if clusters is None:
        return values, np.ones(len(values))
    if len(clusters) != len(values):
        raise ValueError(f"{len(values)} differences need as many cluster labels, not {len(clusters)}")
    index: dict[Hashable, int] = {}
    members = np.array([index.setdefault(label, len(index)) for label in clusters], dtype=np.int64)
    totals, sizes = np.zeros(len(index)), np.zeros(len(index))
    np.add.at(totals, members, values)
    np.add.at(sizes, members, 1)
    return totals, sizes


def _bootstrap_means(
    kinds: NDArray[np.float64], counts: NDArray[np.int64], key: int, resamples: int
) -> NDArray[np.float64]:
    """Means [R] of resampled clusters, of which `counts` [K] have the (total, size) in `kinds` [K, 2]."""
    rng, clusters = generator(key, "bootstrap"), int(counts.sum())
    sums: list[NDArray[np.float64]] = []
    # Wins and losses come in a few kinds: then how often each was drawn is far less to draw.
    if 4 * len(kinds) <= clusters:
        for rows in _chunks(resamples, len(kinds)):
            sums.append(rng.multinomial(clusters, counts / clusters, size=rows) @ kinds)
    else:
        every = np.repeat(kinds, counts, axis=0)
        for rows in _chunks(resamples, clusters):
            drawn = rng.integers(0, clusters, size=(rows, clusters))
            sums.append(np.stack([column[drawn].sum(axis=1) for column in every.T], axis=1))
    totals, sizes = np.concatenate(sums).T
    means: NDArray[np.float64] = totals / sizes
    return means


def _bca_levels(
    replicates: NDArray[np.float64], kinds: NDArray[np.float64], counts: NDArray[np.int64], tail: float
) -> NDArray[np.float64]:
    """The two quantiles of the replicates that end the interval (Efron 1987)."""
    total, size = counts @ kinds
    below = float(np.mean(replicates < total / size) + np.mean(replicates <= total / size)) / 2
    bias = ndtri(np.clip(below, 1 / len(replicates), 1 - 1 / len(replicates)))
    without = (total - kinds[:, 0]) / (size - kinds[:, 1])
    influence = np.average(without, weights=counts) - without
    acceleration = (counts @ influence**3) / (6 * sqrt(counts @ influence**2) ** 3)
    groups = counts.sum()
    widened = sqrt(groups / (groups - 1)) * stdtrit(groups - 1, 1 - tail)
    z = bias + np.array([-widened, widened])
    levels: NDArray[np.float64] = ndtr(bias + z / (1 - acceleration * z))
    return levels


def _chunks(rows: int, width: int) -> list[int]:
    """`rows` in parts of at most `_CELLS` numbers of `width` columns."""
    step = max(1, _CELLS // width)
    return [min(step, rows - start) for start in range(0, rows, step)]
