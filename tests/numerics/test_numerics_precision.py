"""Average precision against its definition, scikit-learn's, and its interval against a simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from truing.numerics import (
    auroc,
    auroc_interval,
    average_precision,
    average_precision_interval,
    clopper_pearson,
    generator,
    wilson,
)

ROWS = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=20).filter(
    lambda rows: any(positive for _, positive in rows)
)


@given(ROWS)
def test_it_is_the_precision_at_each_threshold_weighted_by_the_recall_gained(
    rows: list[tuple[int, bool]],
) -> None:
    total, recall_before, area = sum(positive for _, positive in rows), 0.0, 0.0
    for threshold in sorted({score for score, _ in rows}, reverse=True):
        above = [positive for score, positive in rows if score >= threshold]
        recall = sum(above) / total
        area += (recall - recall_before) * sum(above) / len(above)
        recall_before = recall
    scores, positive = zip(*rows, strict=True)
    assert average_precision(scores, positive) == pytest.approx(area)


def test_it_is_the_one_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = generator(0, "ap")
    for _ in range(20):
        y = rng.random(60) < 0.2
        s = np.round(rng.normal(size=60) + y, 1)
        y[0] = True
        assert average_precision(s, y) == pytest.approx(metrics.average_precision_score(y, s))


def test_equal_scores_reach_the_prevalence() -> None:
    assert average_precision([0.3] * 10, [True] + [False] * 9) == pytest.approx(0.1)


def test_what_has_no_average_precision_is_refused() -> None:
    for scores, truth in (([0.1], [False]), ([float("nan")], [True]), ([0.1, 0.2], [True])):
        with pytest.raises(ValueError, match="average precision needs"):
            average_precision(scores, truth)
    for value, positives in ((0.0, 5), (1.1, 5), (0.5, 0)):
        with pytest.raises(ValueError, match="no interval has"):
            average_precision_interval(value, positives)


def test_the_interval_of_a_perfect_score_is_that_of_as_many_successes() -> None:
    assert average_precision_interval(1.0, 20).low == wilson(20, 20).low
    assert average_precision_interval(1.0, 20).high == 1


@pytest.mark.parametrize(("positives", "lift"), [(20, 1.0), (20, 2.5), (80, 1.5)])
def test_the_interval_covers_the_area_of_many_rows_at_least_93_times_in_a_hundred(
    positives: int, lift: float
) -> None:
    rng = generator(1, "coverage", str(positives), str(lift))

    def drawn(n: int) -> float:
        y = np.arange(n) < n // 10
        return average_precision(rng.normal(size=n) + lift * y, y)

    truth = drawn(400_000)
    covered = 0
    for _ in range(500):
        interval = average_precision_interval(drawn(10 * positives), positives)
        covered += interval.low <= truth <= interval.high
    assert covered / 500 >= 0.93


@given(ROWS.filter(lambda rows: not all(positive for _, positive in rows)))
def test_the_auroc_is_the_share_of_pairs_in_the_right_order_with_ties_half(rows):
    scores, positive = zip(*rows, strict=True)
    pairs = [(a > b) + (a == b) / 2 for a, yes in rows for b, no in rows if yes and not no]
    assert auroc(scores, positive) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("truths", [[True, True], [False, False], [True]])
def test_an_auroc_needs_both_kinds_and_a_truth_for_each(truths):
    with pytest.raises(ValueError):
        auroc([1.0, 2.0], truths)


def test_the_interval_of_an_area_is_delongs_where_nothing_is_shared() -> None:
    rng = generator(3, "area")
    pos, neg = rng.normal(1, 1, 40), rng.normal(0, 1, 60)
    above = (pos[:, None] > neg[None, :]).astype(float)
    area = above.mean()
    variance = above.mean(1).var(ddof=1) / 40 + above.mean(0).var(ddof=1) / 60
    half = 1.959964 * np.sqrt(variance) / (area * (1 - area))
    want = 1 / (1 + np.exp(-(np.log(area / (1 - area)) + np.array([-half, half]))))
    found = auroc_interval([*pos, *neg], [True] * 40 + [False] * 60)
    assert [found.low, found.high] == pytest.approx(want, abs=2e-3)


@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_the_interval_covers_the_area_also_of_rows_that_share_a_source(shared: float) -> None:
    rng, covered = generator(4, "covered"), 0
    truth = 0.7602  # of a difference of 1 with a deviation of sqrt(2)
    positive = np.tile([True, True, False, False], 30)
    for _ in range(300):
        source = np.repeat(rng.normal(size=(30, 2)), 2, axis=1).ravel()
        scores = positive + np.sqrt(shared) * source + np.sqrt(1 - shared) * rng.normal(size=120)
        # Rows of one kind and source are alike; those of two kinds are not.
        interval = auroc_interval(scores, positive, clusters=list(np.repeat(range(30), 4)))
        covered += interval.low <= truth <= interval.high
    assert covered / 300 >= 0.91


def test_kinds_that_are_parted_wholly_leave_the_doubt_of_so_many_clusters() -> None:
    scores, positive = [3.0, 3.0, 4.0, 0.0, 1.0, 2.0], [True] * 3 + [False] * 3
    assert auroc_interval(scores, positive) == clopper_pearson(3, 3)
    assert auroc_interval(scores, positive, clusters=list("aabcde")) == clopper_pearson(2, 2)
    assert auroc_interval([-s for s in scores], positive) == clopper_pearson(0, 3)
    for bad in ({"clusters": ["a"]}, {"level": 1.0}):
        with pytest.raises(ValueError, match=r"cluster labels|confidence level"):
            auroc_interval(scores, positive, **bad)
