"""The order-statistic threshold: by hand, by simulation, and what few scores cannot support."""

import numpy as np
import pytest

from truing.numerics import alarm_threshold, generator


def test_nineteen_scores_support_five_percent_and_eighteen_do_not():
    assert alarm_threshold(range(18)).value is None
    assert alarm_threshold(range(18)).rate == pytest.approx(1 / 19)
    found = alarm_threshold([float(i) for i in range(19)][::-1])
    assert (found.n, found.value, found.rate, found.needed) == (19, 18.0, 0.05, 19)
    assert found.own_rate == pytest.approx(1 - 0.05 ** (1 / 19))  # the largest of n: 1 - F has Beta(1, n)


@pytest.mark.parametrize(("n", "rate", "rank"), [(39, 0.05, 38), (58, 0.05, 57), (59, 0.05, 57), (9, 0.1, 9)])
def test_the_rank_by_hand(n, rate, rank):
    found = alarm_threshold([float(i) for i in range(1, n + 1)], rate)
    assert found.value == rank and found.rate <= rate + 1e-12


@pytest.mark.parametrize("n", [19, 25, 59])
def test_the_false_alarm_rate_of_a_simulation_is_the_one_told(n):
    drawn = generator(3, "false alarms", str(n)).standard_cauchy((40_000, n + 1))
    alarms = np.array([row[n] > alarm_threshold(row[:n]).value for row in drawn[:8000].tolist()])
    told = alarm_threshold(drawn[0, :n].tolist()).rate
    error = 3.5 * (told * (1 - told) / len(alarms)) ** 0.5
    assert abs(alarms.mean() - told) < error and alarms.mean() <= 0.05 + error


def test_with_ties_there_are_no_more_alarms():
    drawn = generator(4, "ties").integers(0, 3, (4000, 20)).tolist()
    assert np.mean([row[19] > alarm_threshold(row[:19]).value for row in drawn]) <= 0.05


def test_the_own_rate_of_a_threshold_is_below_its_bound_in_95_of_100_calibrations():
    drawn = generator(5, "own rate").uniform(size=(4000, 59)).tolist()
    found = [alarm_threshold(row) for row in drawn]
    own = np.array([1 - one.value for one in found])  # of uniform scores the rate is 1 - the threshold
    assert abs(np.mean(own <= found[0].own_rate) - 0.95) < 0.015


@pytest.mark.parametrize(("scores", "rate"), [([], 0.05), ([1.0, float("nan")], 0.05), ([1.0], 0.0)])
def test_what_is_no_calibration_raises(scores, rate):
    with pytest.raises(ValueError):
        alarm_threshold(scores, rate)
