"""The plot of drift against damage."""

import itertools
import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truing.pages import DriftPoint, drift_plot

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> dict[str, tuple[float, float]]:
    """What is written in the drawing, and where."""
    found = {}
    for text in ET.fromstring(svg).iter(f"{SVG}text"):
        x, y = re.findall(r"[-\d.]+", (text.get("transform") or "").partition("rotate")[0] or "0 0") or (0, 0)
        found["".join(text.itertext())] = (float(text.get("x") or x), float(text.get("y") or y))
    return found


def test_it_says_that_it_describes_and_proves_nothing() -> None:
    svg = drift_plot([DriftPoint("a", 0.1, 0.1)])
    note = "Descriptive: drift tells that something moved, not that it harms."
    assert note in texts(svg) and note in (ET.fromstring(svg)[0].text or "")


def test_the_description_tells_every_number() -> None:
    svg = drift_plot(
        [DriftPoint("safety", 0.21, 0.124, (0.15, 0.27), (0.078, 0.171)), DriftPoint("ethics", 0, -0.03)]
    )
    told = ET.fromstring(svg)[0].text or ""
    assert "safety: 0.21 [0.15, 0.27] nats per token, loss +12.4 [+7.8, +17.1] points" in told
    assert "ethics: 0 nats per token, loss −3.0 points" in told


def test_a_drift_of_zero_has_its_place_left_of_all_others_on_the_logarithmic_axis() -> None:
    at = texts(drift_plot([DriftPoint("b", 0.003, 0), DriftPoint("c", 4.0, 0.3), DriftPoint("a", 0.0, -0.3)]))
    ticks = ["0", "0.001", "0.01", "0.1", "1"]
    places = [at[tick][0] for tick in ticks]
    assert places == sorted(places)
    steps = [b - a for a, b in itertools.pairwise(places[1:])]
    assert steps == pytest.approx([steps[0]] * 3, abs=8)  # decades are equal, but for the width of the words
    assert at["a"][0] < at["b"][0] < at["c"][0]
    assert at["c"][1] < at["b"][1] < at["a"][1]  # what was lost is higher up


def test_names_of_points_that_lie_on_one_another_are_written_apart() -> None:
    names = [f"dimension {i}" for i in range(8)]
    at = texts(drift_plot([DriftPoint(name, 0.1, 0.02) for name in names]))
    boxes = [(x, y) for name, (x, y) in at.items() if name in names]
    assert len(boxes) == 8
    for i, (x, y) in enumerate(boxes):
        assert all(abs(y - v) > 9 or abs(x - u) > 55 for u, v in boxes[:i])


ends = st.floats(0, 1e6).flatmap(lambda a: st.tuples(st.just(a), st.floats(0, a), st.floats(a, 2e6)))
losses = st.floats(-1, 1)


@given(st.lists(st.tuples(ends, losses), max_size=4))
@settings(max_examples=15, deadline=None)
def test_any_drift_can_be_drawn(rows: list[tuple[tuple[float, float, float], float]]) -> None:
    points = [DriftPoint("a", x, y, (low, high), (y, y)) for (x, low, high), y in rows]
    ET.fromstring(drift_plot(points))


@pytest.mark.parametrize(
    "point",
    [
        DriftPoint("a", math.inf, 0.0),
        DriftPoint("a", 0.1, math.nan),
        DriftPoint("a", -0.1, 0.0),
        DriftPoint("a", 0.1, 0.0, (-0.1, 0.2)),
        DriftPoint("a", 0.1, 0.0, None, (0.0, math.inf)),
    ],
)
def test_what_cannot_be_shown_is_an_error(point: DriftPoint) -> None:
    with pytest.raises(ValueError, match="is not finite, or its drift is negative"):
        drift_plot([point])
