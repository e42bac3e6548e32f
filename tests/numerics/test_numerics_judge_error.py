import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from truing.numerics import (
    Calibration,
    Interval,
    corrected_difference,
    corrected_interval,
    detectable_true_loss,
    differential_error,
    paired_interval,
    rogan_gladen,
    separately_corrected_difference,
    smallest_detectable_effect,
    wilson,
    youden,
)
from truing.numerics.judge_error import _upper_ratio
from truing.types import dumps, loads

TRIALS = 2000
LEAST = 0.95 - 3.5 * (0.95 * 0.05 / TRIALS) ** 0.5  # what 95 % coverage may look like in so many trials
FAULTLESS = Calibration(10**7, 0, 10**7, 0)
COUNTS = st.integers(0, 60)
CALIBRATIONS = st.builds(Calibration, COUNTS, COUNTS, COUNTS, COUNTS)


def calibrated(rng, se, sp, good, bad):
    tp, tn = int(rng.binomial(good, se)), int(rng.binomial(bad, sp))
    return Calibration(tp, good - tp, tn, bad - tn)


def judged(rng, truth, se, sp):
    """What a judge with these error rates says of each answer."""
    return np.where(truth, rng.random(truth.shape) < se, rng.random(truth.shape) >= sp).astype(float)


def answered(rng, shape, good, lost):
    """Whether baseline and candidate gave a good answer; of the baseline's good ones the candidate loses some."""
    baseline = rng.random(shape) < good
    return baseline, baseline & (rng.random(shape) >= lost)


def covers(interval, truth):
    return interval.low <= truth <= interval.high


def test_youdens_interval_is_newcombes_published_example():
    """56 of 70 against 48 of 80, method 10 in the examples of Newcombe 1998."""
    j, ends = youden(Calibration(tp=56, fn=14, tn=32, fp=48))
    assert j == pytest.approx(0.2)
    assert (ends.low, ends.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_a_class_without_labels_says_nothing_of_the_judge():
    for calibration in (Calibration(50, 0, 0, 0), Calibration(0, 0, 50, 0), Calibration(0, 0, 0, 0)):
        j, ends = youden(calibration)
        assert np.isnan(j) and ends == Interval(-1.0, 1.0)
        assert rogan_gladen(30, 40, calibration)[1] == Interval(0.0, 1.0)
        assert corrected_difference([0.0, -1.0, 0.0], calibration)[1] == Interval(-1.0, 1.0)


def test_the_share_of_good_answers_equals_a_computation_by_hand():
    """Se 90/100, Sp 80/100, 80 of 200 called good; Lang and Reiczigel's limits worked out on paper."""
    share, ends = rogan_gladen(80, 200, Calibration(tp=90, fn=10, tn=80, fp=20))
    assert share == pytest.approx(0.2 / 0.7)
    assert (ends.low, ends.high) == pytest.approx((0.14880, 0.40894), abs=2e-5)


@pytest.mark.parametrize(
    ("se", "sp", "good", "bad", "share", "n"),
    [
        (0.85, 0.85, 100, 100, 0.9, 400),
        (0.85, 0.85, 100, 100, 0.5, 400),
        (0.97, 0.97, 200, 60, 0.99, 1000),
        (0.9, 0.7, 30, 30, 0.95, 200),
        (0.7, 0.6, 60, 60, 0.2, 300),
    ],
)
def test_the_corrected_share_covers_as_often_as_it_says(se, sp, good, bad, share, n):
    rng, hits = np.random.default_rng(1), 0
    for k in rng.binomial(n, share * se + (1 - share) * (1 - sp), TRIALS):
        hits += covers(rogan_gladen(int(k), n, calibrated(rng, se, sp, good, bad))[1], share)
    assert hits / TRIALS >= LEAST


def test_the_share_that_a_judge_of_85_percent_shows_misses_the_truth():
    rng = np.random.default_rng(2)
    counts = rng.binomial(400, 0.9 * 0.85 + 0.1 * 0.15, TRIALS)
    assert np.mean([covers(wilson(int(k), 400), 0.9) for k in counts]) < 0.01


@given(st.integers(0, 200), CALIBRATIONS)
def test_a_share_lies_within_its_interval_and_within_bounds(positive, calibration):
    share, ends = rogan_gladen(positive, 200, calibration)
    assert 0 <= ends.low <= ends.high <= 1
    assert np.isnan(share) or covers(ends, share)


def test_a_faultless_judge_changes_nothing():
    differences = np.repeat([-1.0, 0.0, 1.0], [20, 375, 5])
    raw = paired_interval(20, 5, 400)
    difference, ends = corrected_difference(differences, FAULTLESS)
    assert difference == pytest.approx(-15 / 400)
    assert (ends.low, ends.high) == pytest.approx((raw.low, raw.high), abs=1e-5)
    assert rogan_gladen(360, 400, FAULTLESS)[0] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("se", "sp", "labels", "good", "lost"),
    [
        (0.85, 0.85, 100, 0.9, 0.3),
        (0.85, 0.85, 100, 0.9, 0.1),
        (0.85, 0.85, 100, 0.95, 0.0),
        (0.7, 0.65, 60, 0.8, 0.2),
    ],
)
def test_the_corrected_difference_covers_as_often_as_it_says(se, sp, labels, good, lost):
    rng, hits = np.random.default_rng(3), 0
    before, after = answered(rng, (TRIALS, 400), good, lost)
    differences = judged(rng, after, se, sp) - judged(rng, before, se, sp)
    for row in differences:
        hits += covers(corrected_difference(row, calibrated(rng, se, sp, labels, labels))[1], -good * lost)
    assert hits / TRIALS >= LEAST


def test_the_difference_that_a_judge_of_85_percent_shows_misses_the_truth():
    """A true loss of 27 points looks like one of 19."""
    rng = np.random.default_rng(4)
    before, after = answered(rng, (TRIALS, 400), 0.9, 0.3)
    differences = judged(rng, after, 0.85, 0.85) - judged(rng, before, 0.85, 0.85)
    assert differences.mean() == pytest.approx(-0.7 * 0.27, abs=0.002)
    losses, gains = (differences < 0).sum(axis=1), (differences > 0).sum(axis=1)
    raw = [paired_interval(int(a), int(b), 400) for a, b in zip(losses, gains, strict=True)]
    assert np.mean([covers(interval, -0.27) for interval in raw]) < 0.4


def test_clusters_and_graded_differences_are_covered():
    rng, hits, plain = np.random.default_rng(5), 0, 0
    labels = np.repeat(np.arange(50), 8)
    for _ in range(400):
        before, after = answered(rng, 50, 0.9, 0.2)
        differences = np.mean(
            [
                judged(rng, np.repeat(after, 8), 0.85, 0.85) - judged(rng, np.repeat(before, 8), 0.85, 0.85)
                for _ in range(2)
            ],
            axis=0,
        )
        calibration = calibrated(rng, 0.85, 0.85, 150, 150)
        hits += covers(corrected_difference(differences, calibration, clusters=labels.tolist())[1], -0.18)
        plain += covers(corrected_difference(differences, calibration)[1], -0.18)
    assert hits / 400 > 0.95 - 3 * 0.011
    assert plain / 400 < 0.9


@given(
    st.floats(-1, 1),
    st.floats(0.001, 0.5),
    st.floats(0.001, 0.5),
    st.floats(0.05, 1),
    st.floats(0.001, 0.99),
    st.floats(0.001, 1),
)
def test_the_limits_of_the_ratio_are_where_its_test_turns(d, below, above, j, inner, outer):
    """The set of r for which d - r j may be 0, found by bisection from d / j outwards."""
    low, ends = d - below, Interval(j * (1 - inner), min(1.0, j + outer))

    def inside(r, side):
        gap = (r - d / j) * j
        slack = (d + above if side > 0 else low) - d
        spread = j - ends.low if side * r >= 0 else ends.high - j
        return gap * gap <= slack * slack + r * r * spread * spread

    for side, found in (
        (1, _upper_ratio(d, d + above, j, ends)),
        (-1, -_upper_ratio(-d, below - d, j, ends)),
    ):
        near, far = d / j, d / j + side * 1e9
        for _ in range(200):
            middle = (near + far) / 2
            near, far = (middle, far) if inside(middle, side) else (near, middle)
        assert found == pytest.approx(near, rel=1e-6, abs=1e-6)


def test_with_symmetric_ends_the_ratio_has_fiellers_limits():
    d, error, j, j_error, z = -0.1, 0.03, 0.7, 0.05, 1.96
    # Fieller 1954: the roots of (j^2 - z^2 s_j^2) r^2 - 2 d j r + d^2 - z^2 s_d^2
    roots = np.roots([j**2 - (z * j_error) ** 2, -2 * d * j, d**2 - (z * error) ** 2])
    ends = Interval(j - z * j_error, j + z * j_error)
    assert _upper_ratio(d, d + z * error, j, ends) == pytest.approx(max(roots))
    assert -_upper_ratio(-d, z * error - d, j, ends) == pytest.approx(min(roots))


def test_a_judge_that_may_be_a_coin_says_nothing_of_a_difference():
    coin, few = Calibration(55, 45, 50, 50), Calibration(4, 1, 3, 2)
    for calibration in (coin, few):
        estimate, ends = corrected_difference(np.repeat([-1.0, 0.0], [100, 300]), calibration)
        assert -1 <= estimate <= 0 and ends == Interval(-1.0, 1.0)
    worse_than_a_coin = Calibration(10, 90, 10, 90)
    estimate, ends = corrected_difference([-1.0, 0.0, 0.0], worse_than_a_coin)
    assert np.isnan(estimate) and ends == Interval(-1.0, 1.0)


@given(st.integers(0, 60), st.integers(0, 60), CALIBRATIONS)
def test_the_correction_turns_no_sign_and_makes_nothing_surer(losses, gains, calibration):
    """So the one-sided p-value of the judge's labels is that of the truth."""
    raw = paired_interval(losses, gains, 150 + losses + gains)
    difference = (gains - losses) / (150 + losses + gains)
    estimate, ends = corrected_interval(difference, raw, calibration)
    assert -1 <= ends.low <= ends.high <= 1
    if youden(calibration)[1].low > 0:
        assert (np.sign(ends.low), np.sign(ends.high)) == (np.sign(raw.low), np.sign(raw.high))
        assert covers(ends, estimate) and np.sign(estimate) == np.sign(difference)
        assert ends.high - ends.low >= min(raw.high - raw.low, 1 + abs(estimate)) - 1e-9


def test_no_difference_seen_is_no_certainty():
    none = np.zeros(40)
    labels = np.repeat(np.arange(10), 4).tolist()
    for clusters in (None, labels):
        ends = corrected_difference(none, FAULTLESS, clusters=clusters)[1]
        assert ends.low == pytest.approx(-ends.high) and ends.high > 0.05
    assert corrected_difference(none, FAULTLESS, clusters=["one"] * 40)[1] == Interval(-1.0, 1.0)
    estimate, ends = corrected_difference([], FAULTLESS)
    assert np.isnan(estimate) and ends == Interval(-1.0, 1.0)
    assert separately_corrected_difference(
        none, none, on_baseline=FAULTLESS, on_candidate=FAULTLESS, clusters=["one"] * 40
    )[1] == Interval(-1.0, 1.0)


def test_an_error_that_differs_between_the_models_is_covered_only_by_a_calibration_on_each():
    """No true loss, but the judge takes to the candidate's style: it calls 95 % of its bad answers bad, not 75 %."""
    rng, apart, shared = np.random.default_rng(6), 0, 0
    for _ in range(TRIALS // 2):
        before, after = answered(rng, 400, 0.7, 0.0)
        x, y = judged(rng, before, 0.9, 0.75), judged(rng, after, 0.9, 0.95)
        on_baseline, on_candidate = calibrated(rng, 0.9, 0.75, 150, 150), calibrated(rng, 0.9, 0.95, 150, 150)
        apart += covers(
            separately_corrected_difference(x, y, on_baseline=on_baseline, on_candidate=on_candidate)[1], 0.0
        )
        both = Calibration(
            *(getattr(on_baseline, n) + getattr(on_candidate, n) for n in ("tp", "fn", "tn", "fp"))
        )
        shared += covers(corrected_difference(y - x, both)[1], 0.0)
    assert apart / (TRIALS // 2) >= 0.95 - 3.5 * 0.0069
    assert shared / (TRIALS // 2) < 0.6


def test_a_separate_correction_equals_two_corrected_shares():
    x, y = np.repeat([1.0, 0.0], [160, 40]), np.repeat([1.0, 0.0], [120, 80])
    one, other = Calibration(90, 10, 80, 20), Calibration(95, 5, 70, 30)
    difference, ends = separately_corrected_difference(x, y, on_baseline=one, on_candidate=other)
    assert difference == pytest.approx(rogan_gladen(120, 200, other)[0] - rogan_gladen(160, 200, one)[0])
    assert covers(ends, difference)


@given(CALIBRATIONS, CALIBRATIONS)
def test_differential_error_is_fishers_exact_test_in_each_class(one, other):
    raw = [
        stats.fisher_exact([[one.tp, one.fn], [other.tp, other.fn]]).pvalue,
        stats.fisher_exact([[one.tn, one.fp], [other.tn, other.fp]]).pvalue,
    ]
    small, large = min(raw), max(raw)
    adjusted = sorted([min(1.0, 2 * small), max(large, min(1.0, 2 * small))])
    assert sorted(differential_error(one, other)) == pytest.approx(adjusted, rel=1e-6)


def test_differential_error_warns_of_a_difference_and_seldom_of_none():
    assert differential_error(Calibration(90, 10, 75, 25), Calibration(90, 10, 97, 3))[1] < 0.001
    assert differential_error(Calibration(90, 10, 75, 25), Calibration(90, 10, 97, 3))[0] == 1.0
    assert differential_error(Calibration(90, 10, 75, 25), Calibration(0, 0, 0, 0)) == (1.0, 1.0)
    rng = np.random.default_rng(7)
    p = [
        min(differential_error(calibrated(rng, 0.85, 0.8, 60, 60), calibrated(rng, 0.85, 0.8, 60, 60)))
        for _ in range(TRIALS)
    ]
    assert np.mean(np.array(p) <= 0.05) <= 0.05


def test_a_weak_judge_sees_only_large_losses():
    shown = smallest_detectable_effect(400, 0.1)
    assert detectable_true_loss(shown, 1.0) == shown
    assert detectable_true_loss(shown, 0.5) == pytest.approx(2 * shown)
    for weak in (0.0, -0.3, shown / 2):
        assert detectable_true_loss(shown, weak) == np.inf
    assert detectable_true_loss(np.inf, 1.0) == np.inf
    for loss, j in ((shown, 1.5), (0.0, 1.0)):
        with pytest.raises(ValueError, match="Youden"):
            detectable_true_loss(loss, j)


def test_where_refusing_is_good_the_classes_change_places():
    calibration = Calibration(tp=90, fn=10, tn=40, fp=20)
    assert calibration.reversed() == Calibration(tp=40, fn=20, tn=90, fp=10)
    assert calibration.reversed().sensitivity == calibration.specificity
    assert calibration.reversed().reversed() == calibration == loads(Calibration, dumps(calibration))


def test_impossible_arguments_are_refused():
    with pytest.raises(ValueError, match="at least 0"):
        Calibration(1, 2, 3, -1)
    with pytest.raises(ValueError, match="called good"):
        rogan_gladen(5, 4, FAULTLESS)
    with pytest.raises(ValueError, match="level"):
        rogan_gladen(1, 4, FAULTLESS, level=1.0)
    for bad in ([-2.0], [float("nan")]):
        with pytest.raises(ValueError, match=r"\[-1, 1\]"):
            corrected_difference(bad, FAULTLESS)
    with pytest.raises(ValueError, match="cluster labels"):
        corrected_difference([0.0, 0.0], FAULTLESS, clusters=["a"])
    with pytest.raises(ValueError, match="as many scores"):
        separately_corrected_difference([0.0], [0.0, 1.0], on_baseline=FAULTLESS, on_candidate=FAULTLESS)
