import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truing.pages import (
    DriftPoint,
    IntervalRow,
    OutcomeRow,
    RefusalPoint,
    drift_plot,
    outcome_bars,
    paired_interval_plot,
    refusal_plane,
)

SVG = "{http://www.w3.org/2000/svg}"


def intervals(label: str = "safety") -> str:
    rows = [
        IntervalRow(label, -0.124, -0.171, -0.078, "regression", 0.05),
        IntervalRow("capability", 0.008, -0.011, 0.031, "pass", 0.05),
        IntervalRow("privacy", None, None, None, "inconclusive", 0.05),
    ]
    return paired_interval_plot(rows)


def plane(label: str = "candidate") -> str:
    baseline = RefusalPoint("baseline", 0.94, 0.06, (0.9, 0.96), (0.03, 0.1))
    return refusal_plane([baseline, RefusalPoint(label, 0.81, 0.05, (0.76, 0.86), (0.03, 0.08))])


def bars(label: str = "safety") -> str:
    counts = {"decided": 60, "refused": 10, "unparsed": 10, "truncated": 10, "abstained": 5, "error": 5}
    return outcome_bars(
        [OutcomeRow(label, "baseline", {"decided": 8}), OutcomeRow(label, "candidate", counts)]
    )


def drifts(label: str = "safety") -> str:
    still = DriftPoint("privacy", 0.0, 0.008, (0.0, 0.0), (-0.011, 0.031))
    return drift_plot([DriftPoint(label, 0.21, 0.124, (0.15, 0.27), (0.078, 0.171)), still])


every_plot = pytest.mark.parametrize("plot", [intervals, plane, bars, drifts])


def words(svg: str) -> str:
    return " ".join(ET.fromstring(svg).itertext())


@every_plot
def test_a_plot_is_an_image_with_a_title_and_a_description_that_scales(plot: Callable[[], str]) -> None:
    root = ET.fromstring(plot())
    assert root.get("role") == "img" and root.get("aria-label") in words(plot())
    assert root.get("viewBox") and not root.get("width") and not root.get("height")
    assert root[0].tag == f"{SVG}desc" and len(root[0].text or "") > 40


@every_plot
def test_every_colour_is_a_variable_of_the_page_with_a_fallback(plot: Callable[[], str]) -> None:
    svg = plot()
    assert re.findall(r"#[0-9a-f]{6}\b", re.sub(r"var\(--[\w-]+, #[0-9a-f]{6}\)", "", svg)) == []
    assert not re.search(r"(fill|stroke): ?(black|white|rgb)", svg)


def test_the_description_tells_the_numbers() -> None:
    assert "safety: −12.4 [−17.1, −7.8], margin −5.0, regression" in words(intervals())
    assert "privacy: not measured, margin −5.0, inconclusive" in words(intervals())
    assert "candidate refuses 81% (76% to 86%) of harmful and 5% (3% to 8%) of harmless" in words(plane())
    assert "candidate: 60 decided, 10 refused, 10 unparsed" in words(bars())


@every_plot
def test_axes_say_what_they_show(plot: Callable[[], str]) -> None:
    assert re.search(
        r"difference in percentage points|requests refused, share|share of the answers|nats per token",
        words(plot()),
    )


def test_statuses_and_outcomes_are_told_apart_without_colour() -> None:
    for status in ("Regression", "Pass", "Inconclusive"):
        assert status in words(intervals())
    assert len(ET.fromstring(bars()).findall(f".//{SVG}pattern")) == 5  # one solid, five patterns


@every_plot
@pytest.mark.parametrize(
    "label", ["", "\0\ud800\u202e", "<b>&\"'", "$x_$ \\frac {", "x" * 500, "नमस्ते \U0001f642", "\n\n"]
)
def test_any_label_can_be_drawn(plot: Callable[[str], str], label: str) -> None:
    svg = plot(label)
    ET.fromstring(svg)
    svg.encode("utf-8")


@every_plot
def test_drawing_neither_reads_nor_changes_the_settings_of_matplotlib(plot: Callable[[], str]) -> None:
    import matplotlib

    calm = plot()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        assert plot() == calm
        assert dict(matplotlib.rcParams) == before


def test_drawing_opens_no_window_toolkit() -> None:
    code = (
        "import sys; from truing.pages import outcome_bars, OutcomeRow; "
        "outcome_bars([OutcomeRow('a', 'b', {'decided': 1})]); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@every_plot
def test_a_label_that_looks_like_a_part_of_the_drawing_stays_as_it_is(plot: Callable[[str], str]) -> None:
    label = ' id="a" #1c1f24 url(#b)'
    assert label.strip() in words(plot(label))


def test_a_plot_of_nothing_is_drawn() -> None:
    ET.fromstring(paired_interval_plot([]))
    ET.fromstring(outcome_bars([]))
    assert "no items" in words(outcome_bars([OutcomeRow("safety", "baseline", {})]))


shares = st.floats(0, 1).flatmap(lambda a: st.tuples(st.just(a), st.floats(0, a), st.floats(a, 1)))


@given(shares, shares)
@settings(max_examples=15, deadline=None)
def test_any_point_of_the_plane_lies_in_view(harmful: tuple[float, ...], harmless: tuple[float, ...]) -> None:
    (x, x0, x1), (y, y0, y1) = harmful, harmless
    ET.fromstring(refusal_plane([RefusalPoint("a", x, y, (x0, x1), (y0, y1))]))


@pytest.mark.parametrize(
    "row",
    [
        ("a", float("nan"), 0.0, 0.0, "pass"),
        ("a", 0.0, 0.0, float("inf"), "pass"),
        ("a", 0.0, 0.0, 0.0, "fine"),
    ],
)
def test_an_interval_that_cannot_be_shown_is_an_error(row: tuple[str, float, float, float, str]) -> None:
    with pytest.raises(ValueError, match=r"not finite|is none of"):
        paired_interval_plot([IntervalRow(*row, 0.05)])


@pytest.mark.parametrize("counts", [{"decided": -1}, {"fine": 3}])
def test_counts_of_no_outcome_are_an_error(counts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no counts of outcomes"):
        outcome_bars([OutcomeRow("a", "b", counts)])


def test_a_share_outside_0_and_1_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"shares in \[0, 1\]"):
        refusal_plane([RefusalPoint("a", 1.2, 0, (0, 1), (0, 1))])
