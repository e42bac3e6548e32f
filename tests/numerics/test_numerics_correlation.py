"""Rank correlation, with ties, against scipy and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from truing.numerics import generator, spearman, without_line

INF = math.inf
ranked = st.lists(st.tuples(st.integers(-3, 3), st.floats(-9, 9)), min_size=2, max_size=9)


@given(ranked)
def test_spearman_is_scipys_also_with_ties(pairs):
    x, y = zip(*pairs, strict=True)
    found = spearman(x, y)
    assert found.n == len(pairs)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert math.isnan(found.value)
    else:
        assert found.value == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_spearman_by_hand():
    assert spearman([1, 2, 3, 4], [10, 20, 40, 30]).value == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)
    assert spearman([1, 2, INF], [-INF, 0, 5]).value == 1
    assert math.isnan(spearman([1], [2]).value) and math.isnan(spearman([], []).value)


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1]), ([1, math.nan], [1, 2]), ([[1, 2]], [[1, 2]])])
def test_what_has_no_ranks_is_refused(x, y):
    with pytest.raises(ValueError, match="of two lists of one length"):
        spearman(x, y)


def test_what_a_line_leaves_is_uncorrelated_with_what_it_was_drawn_through():
    x = generator(1, "line").standard_normal(50)
    y = 3 * x + np.cos(5 * x) + 7
    left = without_line(y, x)
    slope, offset = np.polyfit(x, y, 1)
    assert np.allclose(left, y - slope * x - offset + y.mean())
    assert without_line([1.0, 2.0], [4.0, 4.0]).tolist() == [1.0, 2.0]
    with pytest.raises(ValueError):
        without_line([1.0], [1.0, 2.0])
