"""Numbers, texts and commands as pages write them."""

import shlex

import pytest

from truing.pages import bar, cut, minus, points, signed
from truing.pages.words import shell


def test_a_number_has_its_sign_and_a_text_its_mark_where_it_was_cut():
    assert [signed(-0.5), signed(2.0, ".2f"), signed(-12.4, ".0f")] == ["−0.5", "+2.00", "−12"]
    assert [points(-0.0525), points(0.1)] == ["−5.2", "+10.0"] and minus("-3 to -1") == "−3 to −1"
    assert cut("abc", 3) == "abc" and cut("abcd", 3) == "abc…"


def test_a_bar_is_of_a_share_and_its_text_is_escaped():
    assert bar(0.25, "<b>") == '<span class="bar">&lt;b&gt;<i style="--share: 0.25"></i></span>'
    with pytest.raises(ValueError, match=r"not of 1\.5"):
        bar(1.5, "")


@pytest.mark.parametrize(
    "command",
    [
        "truing audit",
        "truing audit './my model' --suite a:'b c' --baseline x ...",
        f"truing probe diff {'/long' * 30} tuned --sae s --prompts {'p' * 70} --json --out 'it''s'",
    ],
)
def test_a_command_on_several_lines_is_the_same_command(command: str):
    told = shell(command)
    assert shlex.split(told.replace("\\\n", " ")) == shlex.split(command)
    lines = told.split("\n")
    assert all(line.endswith(" \\") for line in lines[:-1]) and not lines[-1].endswith("\\")
    for line in lines[1:]:
        assert line.startswith("    --")  # parted before options alone
    for line in lines:
        assert len(line) <= 82 or len(line.split()) <= 6


def test_a_short_command_stays_on_its_line():
    assert (
        shell("truing probe screen base rows.jsonl --out seen")
        == "truing probe screen base rows.jsonl --out seen"
    )
