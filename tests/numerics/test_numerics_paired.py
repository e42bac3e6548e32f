from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from truing.numerics import (
    Interval,
    design_effect,
    mcnemar_exact,
    mcnemar_guarded,
    paired_bootstrap,
    sign_flip_test,
)
from truing.numerics.paired import _chunks

SMALL = st.integers(0, 40)


@given(SMALL, SMALL)
def test_mcnemar_equals_the_binomial_test(losses, gains):
    n = losses + gains
    worse = stats.binomtest(losses, n, alternative="greater").pvalue if n else 1.0
    either = stats.binomtest(losses, n).pvalue if n else 1.0
    assert mcnemar_exact(losses, gains) == pytest.approx(worse, abs=1e-12)
    assert mcnemar_exact(losses, gains, "two-sided") == pytest.approx(either, abs=1e-12)


def test_mcnemar_points_at_the_candidate_that_lost():
    assert mcnemar_exact(losses=12, gains=1) < 0.01
    assert mcnemar_exact(losses=1, gains=12) > 0.99
    assert mcnemar_exact(0, 0) == mcnemar_exact(0, 0, "two-sided") == 1.0


@pytest.mark.parametrize("bad", [(-1, 0), (0, -1), (1, 1, "less")])
def test_mcnemar_refuses_what_makes_no_sense(bad):
    with pytest.raises(ValueError):
        mcnemar_exact(*bad)


def test_mcnemar_rejects_a_true_null_at_most_as_often_as_alpha():
    for n in (1, 5, 20, 60, 200):
        mass = stats.binom.pmf(np.arange(n + 1), n, 0.5)
        rejected = sum(m for k, m in enumerate(mass) if mcnemar_exact(k, n - k) <= 0.05)
        assert rejected <= 0.05


def guarded_by_hand(certain, doubtful):
    """The share of all sign patterns whose guarded sum is at most that of the differences."""

    def guarded(signs):
        one, other = signs[: len(certain)], signs[len(certain) :]
        return sum(one) + min(0, sum(other))

    seen = guarded([*certain, *doubtful])
    sizes = np.abs([*certain, *doubtful])
    patterns = [guarded(signs * sizes) for signs in product((1, -1), repeat=len(sizes))]
    return np.mean([value <= seen + 1e-12 for value in patterns])


@pytest.mark.parametrize("counts", [*product((0, 1, 4), (0, 2, 3), (0, 3), (0, 1, 2)), (5, 1, 0, 4)])
def test_a_guarded_test_counts_the_sign_patterns(counts):
    losses, gains, doubtful_losses, doubtful_gains = counts
    certain = [-1] * losses + [1] * gains
    doubtful = [-1] * doubtful_losses + [1] * doubtful_gains
    marked = [False] * len(certain) + [True] * len(doubtful)
    expected = guarded_by_hand(certain, doubtful)
    assert mcnemar_guarded(*counts) == pytest.approx(expected, abs=1e-12)
    flipped = sign_flip_test([*certain, *doubtful], doubtful=marked, key=0)
    assert flipped == pytest.approx(expected, abs=1e-12)


def test_many_guarded_clusters_are_flipped_as_whole_clusters():
    # A source may hold doubtful rows and others: both turn with it.
    rng = np.random.default_rng(5)
    values = rng.choice([-1.0, 0.0, 1.0], 90, p=[0.4, 0.3, 0.3])
    labels, marked = np.repeat(np.arange(30), 3), rng.random(90) < 0.3
    one, other = (np.bincount(labels, np.where(of, values, 0.0)) for of in (~marked, marked))
    signs = rng.choice([-1.0, 1.0], (200_000, 30))
    guarded = signs @ one + np.minimum(0, signs @ other)
    expected = np.mean(guarded <= one.sum() + min(0, other.sum()))
    assert sign_flip_test(values, clusters=labels.tolist(), doubtful=marked, key=1) == pytest.approx(
        expected, abs=0.012
    )


def test_without_doubtful_pairs_nothing_is_guarded():
    assert mcnemar_guarded(12, 3, 0, 0) == pytest.approx(mcnemar_exact(12, 3), abs=1e-12)
    values = np.random.default_rng(0).normal(size=40)
    assert sign_flip_test(values, doubtful=[False] * 40, key=3) == sign_flip_test(values, key=3)
    with pytest.raises(ValueError, match="counts"):
        mcnemar_guarded(1, 1, -1, 0)


def test_a_guarded_test_rejects_a_true_null_at_most_as_often_as_alpha():
    for certain, doubtful in ((20, 12), (60, 5), (8, 30)):
        mass = np.outer(*(stats.binom.pmf(np.arange(n + 1), n, 0.5) for n in (certain, doubtful)))
        p = [
            [mcnemar_guarded(k, certain - k, d, doubtful - d) for d in range(doubtful + 1)]
            for k in range(certain + 1)
        ]
        assert mass[np.array(p) <= 0.05].sum() <= 0.05


def test_the_bootstrap_equals_scipys_bca():
    rng = np.random.default_rng(0)
    graded = np.clip(rng.exponential(0.2, 80) - 0.25, -1, 1)
    binary = rng.choice([-1.0, 0.0, 1.0], 150, p=[0.2, 0.7, 0.1])
    for differences in (graded, binary):
        ours = paired_bootstrap(differences, key=1, resamples=40_000)
        oracle = stats.bootstrap(
            (differences,), np.mean, n_resamples=40_000, method="BCa", rng=np.random.default_rng(2)
        ).confidence_interval
        width = oracle.high - oracle.low
        assert ours.low == pytest.approx(oracle.low, abs=0.03 * width)
        assert ours.high == pytest.approx(oracle.high, abs=0.03 * width)


def test_the_bootstrap_covers_as_often_as_it_says():
    rng, truth = np.random.default_rng(3), -0.05
    hits = 0
    for trial in range(300):
        sample = rng.choice([-1.0, 0.0, 1.0], 120, p=[0.1, 0.85, 0.05])
        interval = paired_bootstrap(sample, key=trial, resamples=2000)
        hits += interval.low <= truth <= interval.high
    assert 0.91 <= hits / 300 <= 0.985


def test_clusters_are_covered_by_the_cluster_bootstrap_and_missed_by_the_plain_one():
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(40), 10)
    plain = clustered = 0
    for trial in range(150):
        sample = np.repeat(rng.normal(0, 0.2, 40), 10) + rng.normal(0, 0.02, 400)
        sample = np.clip(sample, -1, 1)
        narrow = paired_bootstrap(sample, key=trial, resamples=1000)
        wide = paired_bootstrap(sample, clusters=labels.tolist(), key=trial, resamples=1000)
        plain += narrow.low <= 0 <= narrow.high
        clustered += wide.low <= 0 <= wide.high
    assert clustered / 150 > 0.88
    assert plain / 150 < 0.6


def test_clusters_weigh_by_their_size():
    differences = [-1.0] * 90 + [0.0] * 10
    labels = ["large"] * 90 + [f"small {i}" for i in range(10)]
    interval = paired_bootstrap(differences, clusters=labels, key=0)
    assert interval.low < -0.9 <= interval.high


def test_the_order_of_the_rows_does_not_matter():
    rng = np.random.default_rng(5)
    differences, labels = rng.choice([-1.0, 0.0, 0.25, 0.5], 60), rng.integers(0, 20, 60)
    order = rng.permutation(60)
    first = paired_bootstrap(differences, clusters=labels.tolist(), key=7)
    assert first == paired_bootstrap(differences[order], clusters=labels[order].tolist(), key=7)
    assert sign_flip_test(differences, key=7) == sign_flip_test(differences[order], key=7)


def test_no_variation_is_not_taken_for_certainty():
    assert paired_bootstrap([], key=0) == Interval(-1.0, 1.0)
    for n, most in ((1, 0.975), (10, 0.31), (1000, 0.0037)):
        interval = paired_bootstrap(np.zeros(n), key=0)
        assert interval.high == -interval.low == pytest.approx(most, rel=0.01)
    one_cluster = paired_bootstrap([0.0, 0.5, -0.5], clusters=["a"] * 3, key=0)
    assert one_cluster.high - one_cluster.low > 1.9
    assert paired_bootstrap(np.ones(5), key=0).high == 1.0
    assert paired_bootstrap(np.zeros(5), key=0, bounds=(-4, 4)).high == pytest.approx(4 * (1 - 0.025**0.2))


@given(st.lists(st.sampled_from([-1.0, -0.3, 0.0, 0.1, 0.5, 1.0]), max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_a_bootstrap_interval_is_ordered_and_within_bounds(differences, data):
    labels = data.draw(st.lists(st.integers(0, 3), min_size=len(differences), max_size=len(differences)))
    interval = paired_bootstrap(differences, clusters=labels, key=0, resamples=200)
    assert -1 - 1e-9 <= interval.low <= interval.high <= 1 + 1e-9


def test_the_sign_flip_test_equals_scipys_permutation_test():
    rng = np.random.default_rng(6)
    for n in (2, 5, 12):
        differences = rng.normal(-0.1, 0.3, n)
        oracle = stats.permutation_test(
            (differences,),
            lambda x, axis=-1: x.sum(axis=axis),
            permutation_type="samples",
            alternative="less",
            n_resamples=np.inf,
            vectorized=True,
        ).pvalue
        assert sign_flip_test(differences, key=0) == pytest.approx(oracle, abs=1e-12)


def test_the_sign_flip_test_equals_mcnemar_on_wins_and_losses():
    for losses, gains in ((5, 2), (12, 4), (30, 14)):
        differences = np.repeat([-1.0, 0.0, 1.0], [losses, 50, gains])
        assert sign_flip_test(differences, key=1) == pytest.approx(mcnemar_exact(losses, gains), abs=0.005)


def test_a_true_null_is_rejected_as_often_as_alpha_says():
    rng = np.random.default_rng(7)
    p = [sign_flip_test(rng.normal(0, 0.2, 25), key=i, resamples=999) for i in range(400)]
    assert 0.02 <= np.mean(np.array(p) <= 0.05) <= 0.085


def test_one_cluster_can_never_be_significant():
    assert sign_flip_test([-1.0] * 100, clusters=["a"] * 100, key=0) == 0.5
    assert sign_flip_test([-1.0] * 100, key=0) == 1 / 20_001
    assert sign_flip_test([0.0] * 100, key=0) == sign_flip_test([], key=0) == 1.0


def test_ties_in_floating_point_count_as_ties():
    assert sign_flip_test([0.3, -0.1, -0.2], key=0) == 5 / 8


@pytest.mark.parametrize("bad", [[float("nan")], [0.0, float("inf")], [[0.0], [1.0]]])
def test_differences_without_a_value_are_refused(bad):
    for test in (paired_bootstrap, sign_flip_test):
        with pytest.raises(ValueError, match="finite"):
            test(bad, key=0)
    with pytest.raises(ValueError, match="finite"):
        design_effect(bad, ["a"] * len(bad))


def test_bounds_levels_and_labels_are_checked():
    with pytest.raises(ValueError, match="bounds"):
        paired_bootstrap([-2.0, 2.0], key=0)
    with pytest.raises(ValueError, match="level"):
        paired_bootstrap([0.0], key=0, level=1.0)
    with pytest.raises(ValueError, match="cluster labels"):
        sign_flip_test([0.0, 1.0], clusters=["a"], key=0)


def test_the_design_effect_equals_the_clustered_variance_of_statsmodels():
    import statsmodels.api as sm

    rng = np.random.default_rng(8)
    labels = rng.integers(0, 30, 300)
    differences = rng.normal(0, 0.3, 30)[labels] + rng.normal(0, 0.1, 300)
    groups, n = len(set(labels.tolist())), 300
    clustered = sm.OLS(differences, np.ones(n)).fit(
        cov_type="cluster",
        cov_kwds={"groups": labels, "use_correction": False},
    )
    plain = differences.var(ddof=1) / n
    oracle = clustered.cov_params()[0, 0] * groups / (groups - 1) / plain
    assert design_effect(differences, labels.tolist()) == pytest.approx(oracle, rel=1e-9)


def test_the_design_effect_of_copies_is_their_number_and_of_singles_is_one():
    rng = np.random.default_rng(9)
    values = rng.normal(0, 0.3, 50)
    assert design_effect(np.repeat(values, 4), np.repeat(np.arange(50), 4).tolist()) == pytest.approx(
        4, rel=0.05
    )
    assert design_effect(values, list(range(50))) == pytest.approx(1.0)
    assert design_effect(np.zeros(12), ["a", "b", "c"] * 4) == 4.0
    assert design_effect(values, ["one"] * 50) == 50.0
    assert design_effect([], []) == design_effect([1.0], ["a"]) == 1.0


def test_labels_that_numpy_would_confuse_stay_apart():
    assert design_effect([0.0, 0.0], ["a", "a\0"]) == 1.0


def test_chunks_add_up_and_stay_small():
    assert sum(_chunks(10_000, 1_000)) == 10_000
    assert max(_chunks(10_000, 1_000)) * 1_000 <= 2**20
    assert set(_chunks(5, 2**21)) == {1}
