import numpy as np
import pytest
from scipy import stats

from truing.numerics import Interval, prediction_powered

TRIALS = 1000
LEAST = 0.95 - 3.5 * (0.95 * 0.05 / TRIALS) ** 0.5


def judged(rng, truth, se, sp):
    return np.where(truth, rng.random(truth.shape) < se, rng.random(truth.shape) >= sp).astype(float)


def sample(rng, items, labels):
    return rng.permutation(items)[:labels].tolist()


def test_the_estimate_equals_the_published_form_with_labelled_items_set_apart():
    rng = np.random.default_rng(0)
    truth = rng.random(500) < 0.7
    f, y = judged(rng, truth, 0.9, 0.8), truth.astype(float)
    at = sample(rng, 500, 120)
    rest = np.setdiff1d(np.arange(500), at)
    # Angelopoulos et al. 2023, section 6, with n labelled and N unlabelled items
    n, unlabelled = len(at), len(rest)
    weight = np.cov(f[at], y[at], bias=True)[0, 1] / ((1 + n / unlabelled) * f.var())
    published = y[at].mean() + weight * (f[rest].mean() - f[at].mean())
    assert prediction_powered(f, at, y[at], bounds=(0, 1))[0] == pytest.approx(published)


@pytest.mark.parametrize(
    ("se", "sp", "labels"), [(0.9, 0.9, 100), (0.5, 0.5, 100), (0.85, 0.85, 40), (0.97, 0.97, 50)]
)
def test_shares_and_paired_differences_are_covered_as_often_as_it_says(se, sp, labels):
    rng, shares, differences = np.random.default_rng(1), 0, 0
    for _ in range(TRIALS):
        before = rng.random(600) < 0.8
        after = before & (rng.random(600) < 0.85)
        x, y = judged(rng, before, se, sp), judged(rng, after, se, sp)
        at = sample(rng, 600, labels)
        ends = prediction_powered(y, at, after[at], bounds=(0, 1))[1]
        shares += ends.low <= 0.68 <= ends.high
        ends = prediction_powered(y - x, at, after[at].astype(float) - before[at])[1]
        differences += ends.low <= -0.12 <= ends.high
    assert shares / TRIALS >= LEAST
    assert differences / TRIALS >= LEAST


def test_clusters_are_covered():
    rng, hits, plain = np.random.default_rng(2), 0, 0
    sources = np.repeat(np.arange(60), 10).tolist()
    for _ in range(400):
        truth = np.repeat(rng.random(60) < 0.7, 10)
        f, at = judged(rng, truth, 0.85, 0.85), sample(rng, 600, 200)
        ends = prediction_powered(f, at, truth[at], clusters=sources, bounds=(0, 1))[1]
        hits += ends.low <= 0.7 <= ends.high
        ends = prediction_powered(f, at, truth[at], bounds=(0, 1))[1]
        plain += ends.low <= 0.7 <= ends.high
    assert hits / 400 > 0.95 - 3 * 0.011
    assert plain / 400 < 0.8


def test_a_judge_that_is_noise_leaves_the_mean_of_the_labels_and_hardly_a_wider_interval():
    rng = np.random.default_rng(3)
    ratios, shifts = [], []
    for _ in range(300):
        truth = rng.random(1000) < 0.7
        at = sample(rng, 1000, 100)
        y = truth[at].astype(float)
        share, ends = prediction_powered(rng.random(1000), at, y, bounds=(0, 1))
        half = stats.t.ppf(0.975, 99) * y.std(ddof=1) / 10
        ratios.append((ends.high - ends.low) / (2 * half))
        shifts.append(abs(share - y.mean()) / half)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.06) and max(ratios) < 1.15
    assert np.mean(shifts) < 0.1
    constant = prediction_powered(np.ones(1000), at, y, bounds=(0, 1))[0]
    contrary = prediction_powered(1.0 - truth, at, y, bounds=(0, 1))[0]
    assert constant == contrary == pytest.approx(y.mean())  # a judge that is worse than none has no weight


def test_a_good_judge_makes_up_for_labels():
    rng = np.random.default_rng(4)
    truth = rng.random(4000) < 0.7
    f, at = judged(rng, truth, 0.97, 0.97), sample(rng, 4000, 100)
    share, ends = prediction_powered(f, at, truth[at], bounds=(0, 1))
    alone = stats.t.ppf(0.975, 99) * truth[at].std(ddof=1) / 10
    assert abs(share - truth.mean()) < 0.04
    assert (ends.high - ends.low) / 2 < 0.65 * alone


def test_with_every_item_labelled_the_judge_does_not_matter():
    rng = np.random.default_rng(5)
    truth = (rng.random(200) < 0.7).astype(float)
    share, ends = prediction_powered(judged(rng, truth > 0, 0.6, 0.9), list(range(200)), truth, bounds=(0, 1))
    half = stats.t.ppf(0.975, 199) * truth.std(ddof=1) / 200**0.5
    assert share == pytest.approx(truth.mean())
    assert (ends.high - ends.low) / 2 == pytest.approx(half, rel=0.05)


def test_labels_that_all_agree_with_the_judge_are_no_certainty():
    assert prediction_powered(np.zeros(500), list(range(40)), np.zeros(40))[1].high > 0.05
    assert prediction_powered(np.zeros(500), [3, 4], [0.0, 0.0])[1] == Interval(-1.0, 1.0)
    one = prediction_powered(np.zeros(500), list(range(40)), np.zeros(40), clusters=["a"] * 500)
    assert one[1] == Interval(-1.0, 1.0)
    none, ends = prediction_powered(np.zeros(500), [], [])
    assert np.isnan(none) and ends == Interval(-1.0, 1.0)


@pytest.mark.parametrize(
    ("labelled", "truth", "more"),
    [
        ([0, 0], [1.0, 1.0], {}),
        ([7], [1.0], {}),
        ([-1], [1.0], {}),
        ([0], [1.0, 0.0], {}),
        ([0], [float("nan")], {}),
        ([0], [3.0], {}),
        ([0], [1.0], {"clusters": ["a"]}),
        ([0], [1.0], {"level": 1.0}),
    ],
)
def test_impossible_arguments_are_refused(labelled, truth, more):
    with pytest.raises(ValueError):
        prediction_powered([0.0, 1.0, 0.0], labelled, truth, **more)
