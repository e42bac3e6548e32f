"""The plots of shares and of calibration: what they tell, where things stand, what they refuse."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages.test_pages_drift import texts

from truing.numerics import ReliabilityBin, reliability
from truing.pages import ShareRow, reliability_plot, share_plot

ROWS = [
    ShareRow("the reward", 0.643, 0.624, 0.662, 2343),
    ShareRow("length", 0.598, 0.579, 0.617, 2343, muted=True),
]


def plot(rows: list[ShareRow]) -> str:
    return share_plot(rows, chance=0.5, axis="right", title="Accuracy")


def test_shares_are_told_in_the_description_and_beside_their_rows() -> None:
    told = ET.fromstring(plot(ROWS))[0].text or ""
    assert (
        "the reward: 64.3% [62.4%, 66.2%] of 2343 pairs; length: 59.8% [57.9%, 61.7%] of 2343 pairs." in told
    )
    at = texts(plot(ROWS))
    assert at["the reward"][1] < at["length"][1] and "64.3% [62.4%, 66.2%]" in at and "2,343 pairs" in at


def test_chance_is_in_view_even_where_every_share_is_far_from_it() -> None:
    assert "50%" in texts(plot([ShareRow("a", 0.93, 0.9, 0.95, 10)]))


@pytest.mark.parametrize("rows", [[], [ShareRow("a", 1.2, 0.9, 1.3, 3)]])
def test_what_is_no_share_is_refused(rows: list[ShareRow]) -> None:
    with pytest.raises(ValueError, match="a plot of shares has rows"):
        plot(rows)


def test_bins_are_told_and_a_prediction_below_the_axis_is_refused() -> None:
    bins = [ReliabilityBin(100, 0.55, 0.5, 0.4, 0.6), ReliabilityBin(100, 0.9, 0.7, 0.6, 0.78)]
    told = ET.fromstring(reliability_plot(bins, low=0.5))[0].text or ""
    assert "predicted 90%, observed 70% (60% to 78%) of 100." in told
    assert "nothing was predicted" in (ET.fromstring(reliability_plot([]))[0].text or "")
    with pytest.raises(ValueError, match=r"below 0\.6"):
        reliability_plot(bins, low=0.6)


shares = st.floats(0, 1).flatmap(lambda v: st.tuples(st.just(v), st.floats(0, v), st.floats(v, 1)))


@given(
    st.lists(shares, min_size=1, max_size=5), st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=30)
)
@settings(max_examples=4, deadline=None)
def test_any_shares_and_bins_can_be_drawn(rows: list, events: list[tuple[float, bool]]) -> None:
    ET.fromstring(plot([ShareRow("<a> & b", *row, 3) for row in rows]))
    ET.fromstring(reliability_plot(reliability([p for p, _ in events], [y for _, y in events]).bins))
