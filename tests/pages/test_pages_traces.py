"""The plot of a run's course: what it shows, and what it refuses."""

import math
import re
import xml.etree.ElementTree as ET

import pytest

from truing.pages import TraceLine, TracePanel, trace_plot

SVG = "{http://www.w3.org/2000/svg}"


def plot(*panels: TracePanel, **options) -> str:
    return trace_plot(panels, axis="update", title="A run", **options)


def places(svg: str) -> dict[str, float]:
    """Text -> x of where it is written."""
    found = {}
    for text in ET.fromstring(svg).iter(f"{SVG}text"):
        x = text.get("x") or re.findall(r"translate\(([-\d.]+)", text.get("transform") or "translate(0")[0]
        found["".join(text.itertext())] = float(x)
    return found


REWARD = TracePanel("reward", (TraceLine("reward", (1.0, 2.0, 4.0, 100.0), (0.0, 0.5, -1.25, 2.0)),))
TWO = TracePanel("parts", (TraceLine("a", (1.0, 9.0), (0.0, 1.0)), TraceLine("b", (1.0, 9.0), (0.0, 1.0))))


def test_words_tell_where_each_line_begins_and_ends():
    described = ET.fromstring(plot(REWARD, TWO))[0].text or ""
    assert "reward: from 0 at 1 to 2 at 100" in described and "parts, b: from 0 at 1 to 1 at 9" in described


def test_a_goal_is_told_stands_on_the_scale_and_is_dashed():
    far = TracePanel("parts", (TraceLine("a", (1.0, 9.0), (0.5, 1.0), goal=500.0),))
    told = plot(far)
    assert "parts, a: from 0.5 at 1 to 1 at 9, where it should come to 500" in (
        ET.fromstring(told)[0].text or ""
    )
    assert "400" in places(told) and "400" not in places(plot(TWO))  # the axis reaches it
    assert told.count("stroke-dasharray") == plot(TWO).count("stroke-dasharray") + 1
    with pytest.raises(ValueError, match="not finite"):
        plot(TracePanel("parts", (TraceLine("a", (1.0, 9.0), (0.5, 1.0), goal=math.nan),)))


def test_on_an_axis_of_roots_steps_are_as_far_apart_as_their_roots():
    at = places(plot(REWARD, scale="root"))
    near, middle, far = at["10"] - at["0"], at["50"] - at["0"], at["100"] - at["0"]
    assert near / far == pytest.approx(math.sqrt(0.1), abs=0.05)
    assert middle / far == pytest.approx(math.sqrt(0.5), abs=0.03)


def test_lines_that_end_at_one_place_have_their_names_apart():
    root = ET.fromstring(plot(TWO))
    heights = [
        float(t.get("y") or re.findall(r"translate\([-\d.]+ ([-\d.]+)", t.get("transform") or "")[0])
        for t in root.iter(f"{SVG}text")
        if "".join(t.itertext()) in ("a", "b")
    ]
    assert abs(heights[0] - heights[1]) > 9


def test_what_is_drawn_around_a_line_stands_on_its_scale_and_equal_plots_are_equal_bytes():
    line = TraceLine(
        "m", (1.0, 2.0), (0.5, 0.6), ((0.4, 0.6), (0.5, 0.7)), (0.5, 0.6), ((0.0, 9.0), (0.5, 0.7))
    )
    svg = plot(TracePanel("m", (line,), floor=0.0), span=(1.0, 1.5), span_label="the best")
    assert {"0", "the best"} <= places(svg).keys() and max(float(t) for t in places(svg) if t.isdigit()) >= 6
    assert svg == plot(TracePanel("m", (line,), floor=0.0), span=(1.0, 1.5), span_label="the best")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (TraceLine("a", (), ()), "is empty"),
        (TraceLine("a", (1.0,), (1.0, 2.0)), "differ in length"),
        (TraceLine("a", (1.0,), (math.nan,)), "not finite"),
        (TraceLine("a", (1.0,), (1.0,), ((0.0, math.inf),)), "not finite"),
        (TraceLine("a", (-1.0,), (1.0,)), "negative x"),
    ],
)
def test_what_cannot_be_shown_is_an_error(line, why):
    with pytest.raises(ValueError, match=why):
        plot(TracePanel("p", (line,)), scale="root")


def test_a_panel_without_lines_is_an_error():
    with pytest.raises(ValueError, match="has panels"):
        plot(TracePanel("p", ()))
