from fractions import Fraction

import pytest
from grade.corpora import sums
from hypothesis import given
from hypothesis import strategies as st

from truing.grade import parse_number, same_number


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("#### 18", "18"),
        ("First 5, then 6.\n#### 1,800", "1800"),
        ("#### $18 per day", "18"),
        (r"\boxed{18}", "18"),
        (r"The answer is $\boxed{-7}$, out of 12.", "-7"),
        (r"\boxed{\frac{7}{2}}", "7/2"),
        ("The answer is 18 dollars, which is 3 per person.", "18"),
        ("The answer is 3 + 4 = 7.", "7"),
        ("The answer is x = 4", "4"),
        ("The answer is five.", "5"),
        ("The final answer is **$1,000**", "1000"),
        ("She has 3 and 4, so she has 7.", "7"),
        ("18 apples", "18"),
        ("18%", "18"),
        ("$18.00", "18"),
        ("-5", "-5"),
        ("− 7", "-7"),
        ("5-3 is 2", "2"),
        ("1/2", "1/2"),
        ("1 1/2 cups", "3/2"),
        ("3.50", "7/2"),
    ],
)
def test_an_answer_gives_its_number(answer: str, number: str) -> None:
    assert parse_number(answer).value == number


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "no number",
        "The answer is 5. The answer is 7.",
        "#### 5\n#### 6",
        "4/0",
        "version 1.2.3",
        "9" * 5000,
        "1e9",
    ],
)
def test_what_gives_no_single_number_is_not_guessed(answer: str) -> None:
    assert parse_number(answer).value is None


def test_an_answer_that_is_taken_back_is_replaced() -> None:
    assert parse_number("The answer is 5. Wait, I forgot one. The answer is 6.").value == "6"


def test_hashes_beat_every_other_number() -> None:
    assert parse_number("The answer is 7.\n#### 8\nThat took 3 steps.").value == "8"


def test_numbers_are_compared_exactly() -> None:
    assert same_number("18.0", "18")
    assert same_number("70,000", "$70000")
    assert same_number("0.5", "1/2")
    assert not same_number("0.3333333333333333333", "1/3")
    assert not same_number("eighteen apples", "eighteen apples")


def test_every_worked_answer_of_gsm8k_gives_its_gold_number() -> None:
    for answer in sums(0) + sums(1):
        assert same_number(str(parse_number(answer).value), answer.rpartition("####")[2])


@given(st.text())
def test_any_text_gives_an_exact_number_or_none(answer: str) -> None:
    value = parse_number(answer).value
    assert value is None or str(Fraction(value)) == value


@given(st.fractions(max_denominator=1000))
def test_a_fraction_is_read_back(value: Fraction) -> None:
    assert parse_number(f"The answer is {value}.").value == str(value)


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("Solution:\nStep 1: 16 - 3 = 13\nStep 2: 13 * 2 = 26", "26"),
        ("Answer: Tom has 5 apples and buys 7, so he has 12.", "12"),
        ("The answer is found by adding 5 and 7, which gives 12.", "12"),
        ("The answer: 5 + 7 makes 12.", "12"),
        ("The answer is 5 + 7 = 12.", "12"),
    ],
)
def test_an_announcement_that_works_towards_its_number_is_read_to_its_end(answer, number):
    assert parse_number(answer).value == number
