import numpy as np
import pytest

from truing.numerics import clustered_paired_interval, paired_bootstrap, paired_interval

Z2 = 1.959963984540054**2


def constrained_score(losses: int, gains: int, pairs: int, difference: float) -> float:
    """The squared score statistic with the nuisance share found by brute force over its range."""
    share = np.linspace(max(0, -difference) + 1e-9, (1 - difference) / 2 - 1e-9, 400_001)
    likelihood = losses * np.log(share) + gains * np.log(share + difference)
    likelihood += (pairs - losses - gains) * np.log(1 - 2 * share - difference)
    best = share[np.argmax(likelihood)]
    return float(
        (gains - losses - pairs * difference) ** 2 / (pairs * (2 * best + difference - difference**2))
    )


@pytest.mark.parametrize("counts", [(3, 7, 40), (0, 5, 30), (1, 12, 20), (9, 2, 200), (86, 150, 1600)])
def test_both_ends_are_where_the_brute_force_score_reaches_its_quantile(counts: tuple[int, int, int]) -> None:
    interval = paired_interval(*counts)
    for end in (interval.low, interval.high):
        assert constrained_score(*counts, end) == pytest.approx(Z2, rel=1e-3)


def test_swapping_the_models_mirrors_the_interval() -> None:
    one, other = paired_interval(3, 11, 60), paired_interval(11, 3, 60)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_no_difference_seen_is_not_certainty() -> None:
    interval = paired_interval(0, 0, 44)
    assert (interval.low, interval.high) == pytest.approx((-Z2 / (44 + Z2), Z2 / (44 + Z2)))


@pytest.mark.parametrize(
    ("losses", "gains", "pairs"), [(10, 0, 10), (0, 10, 10), (1, 0, 1), (5, 5, 10), (0, 0, 1)]
)
def test_extreme_counts_give_an_interval_around_the_estimate(losses: int, gains: int, pairs: int) -> None:
    interval = paired_interval(losses, gains, pairs)
    assert -1 <= interval.low <= (gains - losses) / pairs <= interval.high <= 1
    assert interval.low < interval.high


@pytest.mark.parametrize(("n", "losing", "gaining"), [(30, 0.2, 0.1), (50, 0.05, 0.02), (100, 0.01, 0.01)])
def test_it_covers_the_truth_as_often_as_it_says(n: int, losing: float, gaining: float) -> None:
    draws = np.random.default_rng(1).multinomial(n, [losing, gaining, 1 - losing - gaining], size=2000)
    counts, repeats = np.unique(draws[:, :2], axis=0, return_counts=True)
    intervals = [paired_interval(int(losses), int(gains), n) for losses, gains in counts]
    covered = [i.low <= gaining - losing <= i.high for i in intervals]
    assert 0.935 < np.average(covered, weights=repeats) < 0.995


def test_counts_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="no part of 3 pairs"):
        paired_interval(2, 2, 3)
    with pytest.raises(ValueError, match="level"):
        paired_interval(1, 1, 3, level=1.0)
    assert (paired_interval(0, 0, 0).low, paired_interval(0, 0, 0).high) == (-1, 1)


def test_copies_of_an_item_are_one_item() -> None:
    outcomes = [-1.0] * 9 + [1.0] * 4 + [0.0] * 87
    once = clustered_paired_interval(outcomes, range(100))
    thrice = clustered_paired_interval(outcomes * 3, [*range(100)] * 3)
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high), rel=0.02)
    alone = paired_interval(9, 4, 100)
    assert (once.low, once.high) == pytest.approx((alone.low, alone.high), abs=0.002)
    assert once.low < alone.low < alone.high < once.high  # Student's quantile is a little larger


def test_rare_differences_in_clusters_are_covered_as_often_as_it_says_and_not_by_the_bootstrap() -> None:
    rng, truth, wanted = np.random.default_rng(2), 0.0, 0.95
    score, resampled = [], []
    for trial in range(600):
        kinds = rng.choice([-1.0, 0.0, 1.0], 300, p=[0.008, 0.984, 0.008])  # of a source
        clusters = np.repeat(np.arange(300), rng.integers(1, 5, 300))
        same = rng.random(len(clusters)) < 0.8  # most items of a source share its fate
        values = np.where(same, kinds[clusters], 0.0)
        interval = clustered_paired_interval(values, clusters.tolist())
        score.append(interval.low <= truth <= interval.high)
        if trial % 3 == 0:
            interval = paired_bootstrap(values, clusters=clusters.tolist(), key=trial, resamples=1000)
            resampled.append(interval.low <= truth <= interval.high)
    assert np.mean(score) > wanted - 0.02
    assert np.mean(resampled) < np.mean(score)


@pytest.mark.parametrize(("groups", "each", "spread"), [(15, 12, 0.3), (40, 10, 0.1), (120, 4, 0.5)])
def test_clusters_are_covered_as_often_as_it_says(groups: int, each: int, spread: float) -> None:
    rng, shares = np.random.default_rng(groups), np.array([0.12, 0.06, 0.82])
    labels = np.repeat(np.arange(groups), each).tolist()
    hits = 0
    for _ in range(250):
        own = rng.dirichlet(shares * (1 - spread) / spread + 1e-9, groups)
        values = np.concatenate([rng.choice([-1.0, 1.0, 0.0], each, p=p / p.sum()) for p in own])
        interval = clustered_paired_interval(values, labels)
        hits += interval.low <= -0.06 <= interval.high
    assert 0.92 < hits / 250 < 0.995


def test_one_cluster_says_nothing_and_other_outcomes_are_refused() -> None:
    for outcomes in ([], [1.0, 0.0]):
        nothing = clustered_paired_interval(outcomes, ["a"] * len(outcomes))
        assert (nothing.low, nothing.high) == (-1, 1)
    with pytest.raises(ValueError, match="win"):
        clustered_paired_interval([0.5], ["a"])
    with pytest.raises(ValueError, match="labels"):
        clustered_paired_interval([1.0, 0.0], ["a"])
    with pytest.raises(ValueError, match="level"):
        clustered_paired_interval([1.0, 0.0], ["a", "b"], level=0.0)
