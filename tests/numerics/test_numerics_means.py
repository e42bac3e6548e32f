"""Ratios of sums with their errors, and Student's interval."""

import math

import numpy as np
import pytest
from scipy import stats

from truing.numerics import ratio_of_sums, standard_error, student_interval


def test_a_ratio_over_units_of_size_1_is_the_mean_with_its_standard_error():
    values, clusters = [0.3, 1.2, 0.1, 4.0, 2.5], ["a", "a", "b", "c", "c"]
    value, error = ratio_of_sums(values, [1] * 5, clusters=clusters)
    assert value == pytest.approx(np.mean(values))
    assert error == pytest.approx(standard_error(values, clusters=clusters))


def test_the_error_of_a_ratio_is_the_spread_that_a_simulation_shows():
    rng = np.random.default_rng(0)
    estimates, errors = [], []
    for _ in range(400):
        sizes = rng.integers(1, 40, size=150)
        totals = sizes * rng.gamma(2, 0.5, size=150) + rng.normal(size=150)
        ratio, error = ratio_of_sums(totals, sizes)
        estimates.append(ratio)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.12)


@pytest.mark.parametrize(("totals", "sizes"), [([1.0], [0]), ([], []), ([1.0], [1, 2])])
def test_a_ratio_to_nothing_is_refused(totals, sizes):
    with pytest.raises(ValueError, match="a ratio of sums"):
        ratio_of_sums(totals, sizes)


def test_students_interval_is_scipys():
    wanted = stats.t.interval(0.9, 4, loc=2.0, scale=0.5)
    found = student_interval(2.0, 0.5, 4, level=0.9)
    assert (found.low, found.high) == pytest.approx(wanted)
    with pytest.raises(ValueError, match="no interval"):
        student_interval(2.0, math.nan, 4)
