"""Changes of noisy series: false alarms where nothing happened, intervals that cover, falls that are found."""

import math

import numpy as np
import pytest

from truing.numerics import change, fall_since_best, look, moving_mean, stop_threshold, windows

RUNS = 400
"""Of a rate of 0.025 so many runs show at most 0.045 in 99 of 100 cases."""


def alarms(draw, *, errors: bool = False) -> float:
    rng = np.random.default_rng(0)
    series = [draw(rng) for _ in range(RUNS)]
    falls = [fall_since_best(x, errors=[1.0] * len(x) if errors else None) for x in series]
    return float(np.mean([fall.low > 0 for fall in falls]))


@pytest.mark.parametrize("n", [6, 10, 24, 150])
def test_a_flat_noisy_series_falls_in_one_of_forty_cases(n):
    assert alarms(lambda rng: rng.standard_normal(n)) <= 0.045


@pytest.mark.parametrize("n", [2, 4, 11])
def test_so_it_does_with_errors_of_its_own_and_few_measurements(n):
    assert alarms(lambda rng: rng.standard_normal(n), errors=True) <= 0.045


def test_a_series_that_rises_and_stays_there_gives_fewer_false_alarms_than_a_flat_one():
    assert alarms(lambda rng: np.minimum(np.linspace(0, 6, 30), 3) + rng.standard_normal(30)) <= 0.01


def test_neighbours_that_go_together_are_taken_for_noise_in_most_cases():
    def draw(rng: np.random.Generator) -> list[float]:
        x = [rng.standard_normal()]
        for _ in range(59):
            x.append(0.5 * x[-1] + math.sqrt(0.75) * rng.standard_normal())
        return x

    assert alarms(draw) <= 0.1  # without the widening it is 0.35


def test_a_fall_after_a_rise_is_found_with_its_place():
    truth = np.concatenate([np.linspace(0, 1, 15), np.linspace(1, 0.3, 15)])
    found = fall_since_best(truth + np.random.default_rng(1).normal(0, 0.05, 30))
    assert found.low > 0 and 9 <= found.first < found.stop <= 21
    assert found.low < truth[12:18].mean() - truth[24:].mean() < found.high
    assert found.value == pytest.approx(found.best - found.end) and found.end_first == 24


@pytest.mark.parametrize("n", [12, 40])
def test_the_interval_of_a_change_covers_it_in_95_of_100_cases(n):
    rng = np.random.default_rng(2)
    trend = np.linspace(0, 5, n)
    width = windows(n)
    truth = trend[-width:].mean() - trend[:width].mean()
    found = [change(trend + rng.standard_normal(n)) for _ in range(RUNS)]
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.93


def test_a_change_between_two_measurements_with_errors_is_that_of_two_normal_means():
    found = change([0.2, 0.5], errors=[0.03, 0.04])
    half = 1.959964 * math.sqrt((0.03**2 + 0.04**2) / 2 * 2)
    assert (found.value, found.low, found.high) == pytest.approx((0.3, 0.3 - half, 0.3 + half))


@pytest.mark.parametrize(("n", "errors"), [(0, None), (5, None), (1, [0.1])])
def test_too_few_measurements_tell_nothing(n, errors):
    assert change([0.0] * n, errors=errors) is None and fall_since_best([0.0] * n, errors=errors) is None


def test_a_series_without_noise_that_only_falls_is_a_fall_and_a_constant_one_is_none():
    assert fall_since_best(np.linspace(1, 0, 40)).low > 0
    found = fall_since_best([0.5] * 10)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_a_long_series_is_told_in_blocks_and_places_are_of_the_series_itself():
    truth = np.concatenate([np.linspace(0, 1, 500), np.linspace(1, 0.5, 507)])
    found = fall_since_best(truth + np.random.default_rng(3).normal(0, 0.1, 1007))
    assert found.low > 0 and found.first > 300
    assert found.first < 500 < found.stop and 1007 - found.end_first == found.stop - found.first


def test_looks_at_a_flat_series_stop_it_in_one_of_twenty_cases_over_all_looks():
    rng, threshold, stops = np.random.default_rng(4), stop_threshold(20, 3), 0
    runs = 200
    for _ in range(runs):
        x = rng.standard_normal(20)
        seen = [look(x[:n], 3) for n in range(1, 21)]
        stops += any(one is not None and one[1] > threshold * one[2] for one in seen)
    assert stops / runs <= 0.09  # 0.05, and 99 of 100 cases lie below


def test_numbers_that_are_not_finite_are_an_error():
    for function in (change, fall_since_best):
        with pytest.raises(ValueError, match="finite"):
            function([0.1, math.nan, 0.2])


def test_a_moving_mean_keeps_a_straight_line_and_its_band_covers_the_truth():
    line = np.linspace(0, 3, 50)
    assert moving_mean(line)[0] == pytest.approx(line)
    rng, inside = np.random.default_rng(5), []
    for _ in range(100):
        means, halves = moving_mean(line + rng.standard_normal(50))
        inside.append(np.abs(means - line) <= halves)
    assert np.mean(inside) >= 0.93


def test_a_moving_mean_of_too_few_measurements_is_themselves_without_a_band():
    means, halves = moving_mean([1.0, 5.0])
    assert means.tolist() == [1.0, 5.0] and np.isnan(halves).all()
