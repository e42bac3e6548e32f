import pytest
from hypothesis import given
from hypothesis import strategies as st

from truing.grade import parse_text

ACCEPTED = ("Marrow Point", "the Point of Marrow")
LONG = "It lies on the northern coast and has been kept by one family for more than two hundred years, who count gulls "


@pytest.mark.parametrize(
    "answer",
    [
        "Marrow Point",
        "marrow point!",
        "Point of Marrow",
        "It is Marrow Point.",
        "Marrow Point. " + LONG * 2,
        LONG * 2 + ". The answer is Marrow Point.",
    ],
)
def test_an_accepted_text_is_found(answer: str) -> None:
    assert parse_text(answer, ACCEPTED).value in ACCEPTED


@pytest.mark.parametrize("answer", ["Gull Bay", "Marrow Pointing", LONG * 3])
def test_an_answer_without_an_accepted_text_is_another_one(answer: str) -> None:
    assert parse_text(answer, ACCEPTED).value == ""


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "...",
        "It is not Marrow Point.",
        "Marrow Point or Gull Bay",
        LONG * 2 + "near Marrow Point " + LONG,
    ],
)
def test_a_denied_hedged_or_buried_text_is_not_counted(answer: str) -> None:
    assert parse_text(answer, ACCEPTED).value is None


@given(st.text())
def test_any_text_is_an_accepted_one_another_or_none(answer: str) -> None:
    assert parse_text(answer, ACCEPTED).value in (None, "", *ACCEPTED)
