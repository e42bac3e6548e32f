import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from truing.numerics import Interval, clopper_pearson, wilson
from truing.types import dumps, loads

COUNTS = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
LEVELS = st.sampled_from([0.5, 0.9, 0.95, 0.99])


@given(COUNTS, LEVELS)
def test_wilson_equals_statsmodels(counts, level):
    k, n = counts
    ours = wilson(k, n, level)
    assert (ours.low, ours.high) == pytest.approx(
        proportion_confint(k, n, 1 - level, method="wilson"), abs=1e-12
    )


@given(COUNTS, LEVELS)
def test_clopper_pearson_equals_statsmodels(counts, level):
    k, n = counts
    ours = clopper_pearson(k, n, level)
    oracle = proportion_confint(k, n, 1 - level, method="beta")
    assert (ours.low, ours.high) == pytest.approx(oracle, abs=1e-10)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
def test_the_ends_of_the_scale_are_exact(interval):
    assert interval(0, 0) == Interval(0.0, 1.0)
    assert interval(0, 20).low == 0.0 and interval(0, 20).high < 0.2
    assert interval(20, 20).high == 1.0 and interval(20, 20).low > 0.8


def test_no_event_in_250_is_at_most_one_and_a_half_percent():
    assert clopper_pearson(0, 250, 0.9).high == pytest.approx(1 - 0.05 ** (1 / 250))  # the rule of three


def test_clopper_pearson_never_covers_less_than_it_says():
    from scipy.special import bdtr

    n = 30
    ends = [clopper_pearson(k, n) for k in range(n + 1)]
    for p in np.linspace(0.01, 0.99, 99):
        mass = np.diff([0.0, *(bdtr(k, n, p) for k in range(n + 1))])
        covered = sum(m for m, end in zip(mass, ends, strict=True) if end.low <= p <= end.high)
        assert covered >= 0.95


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
@pytest.mark.parametrize("bad", [(-1, 5), (6, 5), (0, -1), (1, 2, 0.0), (1, 2, 1.0), (1, 2, float("nan"))])
def test_impossible_counts_and_levels_are_refused(interval, bad):
    with pytest.raises(ValueError):
        interval(*bad)


def test_an_interval_survives_json():
    assert loads(Interval, dumps(wilson(3, 7))) == wilson(3, 7)
