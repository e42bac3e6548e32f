"""Histograms kind by kind: what they show, on one scale, and what they refuse."""

import re
import xml.etree.ElementTree as ET

import pytest

from truing.pages import HistogramRow, histogram_plot

SVG = "{http://www.w3.org/2000/svg}"


def plot(*rows: HistogramRow) -> str:
    return histogram_plot(rows, before="RM", after="RM + RBR", axis="reward", title="What is paid")


IDEAL = HistogramRow("ideal", (-0.5, 0.0, 0.5, 0.5), (0.0, 0.0, 0.0, 0.0))
BAD = HistogramRow("bad", (0.2, -0.2), (-3.0, -4.0, -5.0))


def bars(svg: str) -> list[tuple[float, float, float]]:
    """(left, bottom, top) of every bar that is drawn, in units of the picture."""
    found = []
    for path in ET.fromstring(svg).iter(f"{SVG}path"):
        if (
            "clip-path" in path.attrib
            and "fill" in path.get("style", "")
            and path.get("d", "").count("L") == 3
        ):
            points = [
                tuple(map(float, p)) for p in re.findall(r"[ML] ?([-\d.]+) ([-\d.]+)", path.get("d", ""))
            ]
            xs, ys = zip(*points, strict=True)
            if max(ys) - min(ys) > 0.01:
                found.append((min(xs), max(ys), min(ys)))
    return found


def test_every_value_is_in_a_bar_of_its_own_row_and_column() -> None:
    found = bars(plot(IDEAL, BAD))
    middle = max(left for left, _, _ in found) / 2 + 60
    bases = sorted({round(bottom) for _, bottom, _ in found})
    count = {
        (name, column): sum(
            1 for left, bottom, _ in found if round(bottom) == base and (left > middle) == column
        )
        for name, base in zip(("ideal", "bad"), bases, strict=True)
        for column in (False, True)
    }
    assert count == {("ideal", False): 3, ("ideal", True): 1, ("bad", False): 2, ("bad", True): 3}


def test_a_bar_is_as_high_as_its_share_of_the_kind() -> None:
    heights = sorted(bottom - top for _, bottom, top in bars(plot(IDEAL)))
    assert len(heights) == 4  # -0.5, 0 and twice 0.5 before; all at 0 after
    assert heights[0] == pytest.approx(heights[1]) and heights[3] == pytest.approx(2 * heights[0], rel=1e-3)


def test_both_columns_have_the_same_scale_and_words_say_what_is_seen() -> None:
    svg = plot(IDEAL, BAD)
    root = ET.fromstring(svg)
    assert root.get("aria-label") == "What is paid" and not root.get("width")
    described = root[0].text or ""
    assert "bad: median 0.00, nine in ten from −0.18 to 0.18 with RM, median −4.00" in described
    said = [text.text for text in root.iter(f"{SVG}text")]
    assert said.count("−4") == 2 and {"ideal", "bad", "RM", "RM + RBR", "reward"} <= set(said)
    assert plot(IDEAL, BAD) == svg


def test_one_far_value_does_not_squeeze_the_others_into_one_bar() -> None:
    many = tuple(i / 100 for i in range(-100, 101))
    assert len(bars(plot(HistogramRow("ideal", (*many, 1000.0), many)))) > 60


def test_a_kind_without_values_has_an_empty_row() -> None:
    svg = plot(IDEAL, HistogramRow("bad", (), (1.0,)))
    assert "bad: nothing with RM, median 1.00" in svg


def test_without_a_before_there_is_one_histogram_a_kind_over_the_whole_width() -> None:
    svg = histogram_plot([BAD], before="", after="RBR", axis="reward", title="What is paid")
    said = [text.text for text in ET.fromstring(svg).iter(f"{SVG}text")]
    assert said.count("−4") == 1 and "RBR" in said and "RM" not in said
    assert len(bars(svg)) == 3 and "median −4.00, nine in ten from −4.90 to −3.10 with RBR." in svg


def test_the_tallest_bar_is_numbered_and_a_mark_has_a_line_and_a_name() -> None:
    plain = histogram_plot([IDEAL], before="", after="RBR", axis="reward", title="What is paid")
    said = [text.text for text in ET.fromstring(plain).iter(f"{SVG}text")]
    assert "100 %" in said  # all four at 0
    assert "50 %" in [
        text.text for text in ET.fromstring(plot(IDEAL)).iter(f"{SVG}text")
    ]  # two of four at 0.5
    marked = histogram_plot(
        [IDEAL], before="", after="RBR", axis="reward", title="What is paid", mark=(3.0, "above 3 counts")
    )
    said = [text.text for text in ET.fromstring(marked).iter(f"{SVG}text")]
    assert "above 3 counts" in said and "2.4" in said  # the axis reaches to the mark


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="finite values"):
        plot(HistogramRow("ideal", (float("nan"),), ()))
    with pytest.raises(ValueError, match="has rows"):
        plot(HistogramRow("ideal", (), ()))
