from math import isnan, sqrt

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.multitest import multipletests

from truing.numerics import Interval, accuracy, cohen_kappa, holm, wilson


@pytest.mark.filterwarnings("ignore:invalid value")
@given(st.integers(2, 4).flatmap(lambda k: arrays(np.int64, (k, k), elements=st.integers(0, 60))))
def test_kappa_and_its_error_equal_statsmodels(table):
    assume(table.sum() > 0 and np.count_nonzero(table) > 1)
    kappa, interval = cohen_kappa(table)
    oracle = cohens_kappa(table)
    assert kappa == pytest.approx(oracle.kappa, abs=1e-12)
    variance = oracle.var_kappa
    if variance > 1e-12:
        half = 1.959963984540054 * sqrt(variance)
        assert interval.low == pytest.approx(max(-1, kappa - half), abs=1e-9)
        assert interval.high == pytest.approx(min(1, kappa + half), abs=1e-9)


def test_the_interval_of_kappa_covers_the_truth():
    rng = np.random.default_rng(0)
    chances = np.array([[0.4, 0.08, 0.02], [0.05, 0.2, 0.05], [0.02, 0.03, 0.15]])
    agreed, chance = np.trace(chances), chances.sum(0) @ chances.sum(1)
    truth = (agreed - chance) / (1 - chance)
    hits = 0
    for table in rng.multinomial(200, chances.ravel(), size=600):
        _, interval = cohen_kappa(table.reshape(3, 3))
        hits += interval.low <= truth <= interval.high
    assert 0.925 <= hits / 600 <= 0.975


def test_perfect_agreement_on_few_items_is_not_taken_for_certainty():
    kappa, interval = cohen_kappa([[2, 0], [0, 2]])
    assert kappa == 1.0 and interval.high == 1.0 and interval.low < 0.1
    assert cohen_kappa([[500, 0], [0, 500]])[1].low > 0.98
    assert cohen_kappa([[0, 5], [5, 0]])[0] == -1.0


@pytest.mark.parametrize("table", [np.zeros((2, 2)), [[9, 0], [0, 0]], np.zeros((0, 0))])
def test_kappa_is_undefined_where_nothing_varies(table):
    kappa, interval = cohen_kappa(table)
    assert isnan(kappa) and interval == Interval(-1.0, 1.0)


def test_shuffled_labels_agree_by_chance_alone():
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 3, 2000), rng.integers(0, 3, 2000)
    table = np.zeros((3, 3), dtype=int)
    np.add.at(table, (first, second), 1)
    kappa, interval = cohen_kappa(table)
    assert abs(kappa) < 0.05 and interval.low < 0 < interval.high


def test_one_class_alone_in_a_rater_is_no_certainty_for_all_that_rounding_says():
    kappa, interval = cohen_kappa([[0, 0], [1, 23]])
    assert kappa == pytest.approx(0.0) and interval.high - interval.low > 1


def test_accuracy_has_wilsons_interval():
    assert accuracy([[40, 5], [3, 52]]) == (0.92, wilson(92, 100))
    share, interval = accuracy([[0, 0], [0, 0]])
    assert isnan(share) and interval == Interval(0.0, 1.0)


@pytest.mark.parametrize("bad", [[1, 2], [[1, 2]], [[-1, 0], [0, 1]], [[0.5, 0], [0, 1]], [[np.nan]]])
def test_a_table_that_holds_no_counts_is_refused(bad):
    for measure in (accuracy, cohen_kappa):
        with pytest.raises(ValueError, match="confusion table"):
            measure(bad)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=40)
def test_holm_equals_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist(), abs=1e-12)


def test_holm_keeps_the_order_and_refuses_what_is_no_probability():
    assert holm([0.04, 0.01, 0.5]) == pytest.approx([0.08, 0.03, 0.5])
    assert holm([]) == []
    for bad in (float("nan"), -0.1, 1.1):
        with pytest.raises(ValueError, match="p-value"):
            holm([0.1, bad])
