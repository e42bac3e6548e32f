"""A binary judge errs: correcting shares and paired differences for that, with all of the uncertainty.

A judge was calibrated on answers that people (or an oracle) labelled good or not. Everything here
assumes that on the answers of the audit it errs as often as it did there, in either class; where it
may err differently on the two models, calibrate it on each (`separately_corrected_difference`) and
ask `differential_error`. Answers that the judge left undecided have no place in any of these counts.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import inf, nan, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, ndtri

from truing.numerics.intervals import Interval, wilson
from truing.numerics.means import student_interval
from truing.numerics.multiple import holm
from truing.numerics.paired import standard_error
from truing.numerics.tango import paired_interval
from truing.types import Record

_WIDEST = Interval(-1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Calibration(Record):
    """What a judge said of answers whose truth is known, in counts.

    Of the truly good it called `tp` good and `fn` not, of the others `tn` not and `fp` good.
    """

    tp: int
    fn: int
    tn: int
    fp: int

    def check(self) -> None:
        """Counts are not negative."""
        if min(self.tp, self.fn, self.tn, self.fp) < 0:
            raise ValueError("the counts of a calibration are at least 0")

    @property
    def sensitivity(self) -> float:
        """The share of the truly good that the judge called good; NaN where none was labelled."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else nan

    @property
    def specificity(self) -> float:
        """The share of the others that the judge did not call good; NaN where none was labelled."""
        return self.tn / (self.tn + self.fp) if self.tn + self.fp else nan

    def reversed(self) -> "Calibration":
        """The same judge where its negative class is the good one: a refusal of what should be refused."""
        return Calibration(tp=self.tn, fn=self.fp, tn=self.tp, fp=self.fn)


def youden(calibration: Calibration, level: float = 0.95) -> tuple[float, Interval]:
    """Youden's J = sensitivity + specificity - 1: what the judge leaves of a true difference.

    1 for a judge without error, 0 for a coin. As a difference of two independent proportions it has
    the hybrid score interval of Newcombe 1998 (method 10). NaN and (-1, 1) where a class has no label.

    Raises:
        ValueError: the level is outside (0, 1).
    """
    c = calibration
    positive, negative = wilson(c.tp, c.tp + c.fn, level), wilson(c.tn, c.tn + c.fp, level)
    if not c.tp + c.fn or not c.tn + c.fp:
        return nan, _WIDEST
    j = c.sensitivity + c.specificity - 1
    below = sqrt((c.sensitivity - positive.low) ** 2 + (c.specificity - negative.low) ** 2)
    above = sqrt((positive.high - c.sensitivity) ** 2 + (negative.high - c.specificity) ** 2)
    return j, Interval(max(-1.0, j - below), min(1.0, j + above))


def rogan_gladen(
    positive: int, n: int, calibration: Calibration, level: float = 0.95
) -> tuple[float, Interval]:
    """The share of truly good answers, where the judge called `positive` of `n` independent ones good.

    The estimate is (share + Sp - 1) / (Se + Sp - 1), cut to [0, 1] (Rogan and Gladen 1978). The
    interval carries the uncertainty of the share and of Se and Sp: Lang and Reiczigel 2014,
    equations 15 to 17, which Lee et al. 2025 (arXiv 2511.21140) use for judges. Where J is not
    clearly above 0 the judge says nothing, and the interval is (0, 1); the estimate is NaN for J <= 0.

    Raises:
        ValueError: not 0 <= positive <= n, or the level is outside (0, 1).
    """
    if not 0 <= positive <= n:
        raise ValueError(f"{positive} of {n} answers cannot be called good")
    j, ends = youden(calibration, level)
    share = positive / n if n else nan
    estimate = float(np.clip((share + calibration.specificity - 1) / j, 0.0, 1.0)) if j > 0 else nan
    if n == 0 or not ends.low > 0:
        return estimate, Interval(0.0, 1.0)
    z = float(ndtri((1 + level) / 2))
    (se, se_variance), (sp, sp_variance) = _adjusted(calibration)
    p = (positive + z * z / 2) / (n + z * z)
    middle = (p + sp - 1) / (se + sp - 1)
    shift = 2 * z * z * (middle * se_variance - (1 - middle) * sp_variance)
    variance = p * (1 - p) / (n + z * z) + middle**2 * se_variance + (1 - middle) ** 2 * sp_variance
    half = z * sqrt(variance) / (se + sp - 1)
    low, high = middle + shift - half, middle + shift + half
    return estimate, Interval(max(0.0, min(low, estimate)), min(1.0, max(high, estimate)))


def corrected_interval(
    difference: float, interval: Interval, calibration: Calibration, level: float = 0.95
) -> tuple[float, Interval]:
    """The true difference of good shares, from the judge's difference and that difference's interval.

    Where the judge errs alike on both models, what it shows is J times the truth: d_judge = (Se + Sp
    - 1) d_true, whatever the shares are. The interval of the ratio is made from those of d_judge and
    J (MOVER-R: Donner and Zou 2012; with symmetric ends it is Fieller's of 1954). It is (-1, 1) where
    J is not clearly above 0. `level` is that of `interval`, which is taken to reach `difference`.

    Dividing by a positive number changes no sign: the one-sided p-value for "the candidate is worse"
    is the one of the judge's labels.

    Raises:
        ValueError: the level is outside (0, 1).
    """
    j, ends = youden(calibration, level)
    estimate = float(np.clip(difference / j, -1.0, 1.0)) if j > 0 else nan
    if not ends.low > 0:
        return estimate, _WIDEST
    high = _upper_ratio(difference, max(difference, interval.high), j, ends)
    low = -_upper_ratio(-difference, max(-difference, -interval.low), j, ends)
    return estimate, Interval(max(-1.0, low), min(1.0, high))


def corrected_difference(
    differences: ArrayLike,
    calibration: Calibration,
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> tuple[float, Interval]:
    """The true difference of good shares, from the judge's labels of the same items under both models.

    `differences` [N] are the judge's scores of the candidate minus those of the baseline, each in
    [-1, 1], and `clusters` names the source of each. The judge's difference has Tango's interval
    where items are independent and differences -1, 0 or 1, and else Student's from the clusters'
    spread, with one lost and one gained cluster added as Bonett and Price 2012 do: no difference
    seen is no certainty. What then happens to it stands at `corrected_interval`.

    Raises:
        ValueError: a difference is not finite or outside [-1, 1], the lengths differ, or the level
            is outside (0, 1).
    """
    values = np.asarray(differences, dtype=np.float64)
    if not (np.abs(values) <= 1).all():
        raise ValueError("a difference of two scores lies in [-1, 1]")
    if clusters is not None and len(clusters) != len(values):
        raise ValueError(f"{len(values)} differences need as many cluster labels, not {len(clusters)}")
    if len(values) == 0:
        return nan, _WIDEST
    middle = float(values.mean())
    independent = clusters is None or len(set(clusters)) == len(values)
    if independent and np.isin(values, (-1.0, 0.0, 1.0)).all():
        losses, gains = int((values < 0).sum()), int((values > 0).sum())
        interval = paired_interval(losses, gains, len(values), level)
    else:
        error, degrees = _spread(values, clusters, lost=-1.0, gained=1.0)
        interval = student_interval(middle, error, degrees, level)
    return corrected_interval(middle, interval, calibration, level)


def separately_corrected_difference(
    baseline: ArrayLike,
    candidate: ArrayLike,
    *,
    on_baseline: Calibration,
    on_candidate: Calibration,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> tuple[float, Interval]:
    """The true difference of good shares where the judge may err differently on the two models.

    `baseline` and `candidate` [N] are its scores in [0, 1] of the same items; each share is corrected
    by the calibration on that model's answers (Rogan and Gladen 1978). The variance is the delta
    method's: of the paired values s_candidate / J_candidate - s_baseline / J_baseline (by cluster,
    with a lost and a gained one added), and of the four error rates. (-1, 1) where either J is not
    clearly above 0. Unlike with one calibration, the sign can turn: test on this interval.

    Raises:
        ValueError: a score is outside [0, 1], the lengths differ, or the level is outside (0, 1).
    """
    x, y = np.asarray(baseline, dtype=np.float64), np.asarray(candidate, dtype=np.float64)
    if clusters is not None and len(clusters) != len(x):
        raise ValueError(f"{len(x)} items need as many cluster labels, not {len(clusters)}")
    if x.shape != y.shape or not ((x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)).all():
        raise ValueError("two lists of as many scores in [0, 1] are compared")
    (before, j_before), (after, j_after) = youden(on_baseline, level), youden(on_candidate, level)
    if len(x) == 0 or not (before > 0 and after > 0):
        return nan, _WIDEST
    shares = [(x.mean() + on_baseline.specificity - 1) / before]
    shares += [(y.mean() + on_candidate.specificity - 1) / after]
    middle = float(shares[1] - shares[0])
    estimate = float(np.clip(middle, -1.0, 1.0))
    if not (j_before.low > 0 and j_after.low > 0):
        return estimate, _WIDEST
    error, degrees = _spread(y / after - x / before, clusters, lost=-1 / before, gained=1 / after)
    variance = error**2
    for share, c, j in zip(shares, (on_baseline, on_candidate), (before, after), strict=True):
        (_, se_variance), (_, sp_variance) = _adjusted(c)
        variance += (share**2 * se_variance + (1 - share) ** 2 * sp_variance) / j**2
    ends = student_interval(middle, sqrt(variance), degrees, level)
    return estimate, Interval(max(-1.0, min(ends.low, 1.0)), min(1.0, max(ends.high, -1.0)))


def differential_error(one: Calibration, other: Calibration) -> tuple[float, float]:
    """Does a judge err differently on two kinds of answers? p-values for sensitivity and for specificity.

    Fisher's exact test, two-sided, in each class, adjusted by Holm over both. A small p is a
    warning; a large one is none that the errors are alike: few labels see little, and without
    labels of a class on either side p is 1.
    """
    by_class = [(one.tp, one.fn, other.tp, other.fn), (one.tn, one.fp, other.tn, other.fp)]
    sensitivity, specificity = holm([_fisher(*counts) for counts in by_class])
    return sensitivity, specificity


def detectable_true_loss(shown: float, youden_low: float) -> float:
    """The smallest true loss that is found, where a loss of `shown` is found in a judge's labels.

    It is that loss divided by J; `youden_low` is the lower end of J's interval, for what is promised
    must hold with a judge as bad as it may be. `inf` where not even the loss of everything would be
    found: the judge is too weak for the question.

    Raises:
        ValueError: J is outside [-1, 1], or the loss is not above 0.
    """
    if not -1 <= youden_low <= 1 or not shown > 0:
        raise ValueError(f"no loss is {shown}, or no J of Youden's {youden_low}")
    return shown / youden_low if shown <= youden_low else inf


def _upper_ratio(d: float, high: float, j: float, ends: Interval) -> float:
    """The upper limit of d / j, where `high` is that of d: the root of (r j - d)^2 = a^2 + r^2 b^2 above d / j."""
    a = high - d
    b = j - ends.low if high >= 0 else ends.high - j
    square = j * j - b * b
    root = sqrt(max(0.0, a * a * square + b * b * d * d))
    return (j * d + root) / square if high >= 0 else (d * d - a * a) / (j * d - root)


def _adjusted(c: Calibration) -> list[tuple[float, float]]:
    """Sensitivity and specificity with one success and one failure added, and the variance of each."""
    shares = [((k + 1) / (m + 2), m + 2) for k, m in ((c.tp, c.tp + c.fn), (c.tn, c.tn + c.fp))]
    return [(share, share * (1 - share) / m) for share, m in shares]


def _spread(
    values: NDArray[np.float64], clusters: Sequence[Hashable] | None, *, lost: float, gained: float
) -> tuple[float, int]:
    """The standard error of the mean of values [N], and its degrees of freedom.

    Two clusters of average size are added, in which everything is `lost` and `gained`. Fewer than
    two clusters say nothing of their spread: then the error is infinite.
    """
    labels = list(range(len(values))) if clusters is None else list(clusters)
    if (groups := len(set(labels))) < 2:
        return inf, 1
    size = round(len(values) / groups)
    error = standard_error(
        np.concatenate([values, np.repeat([lost, gained], size)]),
        clusters=[*((0, label) for label in labels), *np.repeat([1, 2], size).tolist()],
    )
    return error, groups - 1


def _fisher(a: int, b: int, c: int, d: int) -> float:
    """The two-sided p-value of the table ((a, b), (c, d)): all tables at most as likely (Fisher 1935)."""
    k = np.arange(max(0, a - d), min(a + b, a + c) + 1)
    cells = (k, a + b - k, a + c - k, d - a + k)
    log = -sum(gammaln(cell + 1.0) for cell in cells)
    likely = np.exp(log - log.max())
    return float(min(1.0, likely[likely <= likely[k == a] * (1 + 1e-7)].sum() / likely.sum()))
