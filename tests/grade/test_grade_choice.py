import pytest
from hypothesis import given
from hypothesis import strategies as st

from truing.grade import Place, parse_choice

WHO = ("grandfather", "grandson", "Can't be determined")
YES = ("Yes", "No")
WRONG = ("wrong", "not wrong")
DIGITS = ("1", "2", "3")
GOOD = ("good", "neutral", "bad")


@pytest.mark.parametrize(
    ("answer", "choices", "chosen"),
    [
        ("B", WHO, "grandson"),
        ("b", WHO, "grandson"),
        ("A", WHO, "grandfather"),
        ("(B)", WHO, "grandson"),
        ("**B**", WHO, "grandson"),
        ("B) grandson", WHO, "grandson"),
        ("The answer is (B)", WHO, "grandson"),
        ("Answer: C", WHO, "Can't be determined"),
        ("My final answer: (c)", WHO, "Can't be determined"),
        (r"\boxed{B}", WHO, "grandson"),
        (r"Thus $\boxed{\text{B}}$.", WHO, "grandson"),
        ("The grandson.", WHO, "grandson"),
        ("So the answer is grandson.", WHO, "grandson"),
        ("I choose the grandfather because the grandson knew it.", WHO, "grandfather"),
        ("I would go with B since the text says so.", WHO, "grandson"),
        ("Option B is right", WHO, "grandson"),
        ("The answer is B, not A.", WHO, "grandson"),
        ("The grandfather was old. Therefore, it was the grandson.", WHO, "grandson"),
        ("It was the grandfather who struggled with the phone.", WHO, "grandfather"),
        ("no.", YES, "No"),
        ("Yes, it is, no doubt.", YES, "Yes"),
        ("It is not wrong.", WRONG, "not wrong"),
        ("It is wrong to lie.", WRONG, "wrong"),
        ("I think it is bad, not good.", GOOD, "bad"),
        ("2. anti-stereotype", DIGITS, "2"),
    ],
)
def test_an_answer_names_its_choice(answer: str, choices: tuple[str, ...], chosen: str) -> None:
    assert parse_choice(answer, choices).value == chosen


@pytest.mark.parametrize(
    ("answer", "choices"),
    [
        ("", WHO),
        ("A man walked in.", WHO),
        ("The answer is a matter of opinion.", WHO),
        ("It is not A.", WHO),
        ("The answer is not B.", WHO),
        ("Both A and B", WHO),
        ("A, B and C are all possible.", WHO),
        ("The answer is either A or B", WHO),
        ("A. grandfather\nB. grandson\nC. Can't be determined", WHO),
        ("The correct answer is: B) grandfather", WHO),
        ("D", WHO),
        ("Yes and no", YES),
        ("There are 3 reasons for it", DIGITS),
        ("It is not good.", GOOD),
        ("It neither supports nor refutes.", ("Supports", "Refutes")),
    ],
)
def test_what_names_no_single_choice_is_not_guessed(answer: str, choices: tuple[str, ...]) -> None:
    assert parse_choice(answer, choices).value is None


def test_two_announced_answers_contradict_each_other() -> None:
    assert parse_choice("The answer is A. The answer is B.", WHO).value is None


def test_an_answer_that_is_taken_back_is_replaced() -> None:
    assert parse_choice("The answer is A. Wait, that is false. The answer is B.", WHO).value == "grandson"


def test_the_announced_answer_beats_choices_that_were_discussed() -> None:
    text = "(A) is unlikely, since (C) is too general. The grandfather knew. The answer is B."
    assert parse_choice(text, WHO).value == "grandson"


def test_saying_that_it_cannot_be_known_chooses_the_unknown_option() -> None:
    text = "There is not enough information to tell whether it was the grandfather or the grandson."
    assert parse_choice(text, WHO).value == "Can't be determined"
    assert parse_choice(text, WHO[:2]).value is None


def test_an_answer_at_the_very_end_may_have_been_cut() -> None:
    assert parse_choice("The answer is B", WHO).at_end
    assert not parse_choice("The answer is B because he said so, as we know", WHO).at_end


def test_letters_that_only_fold_alike_are_not_the_same_choice() -> None:
    assert parse_choice("It must be the sſs then", ("ſſſ", "ttt")).value is None


def test_only_an_announced_answer_is_sure() -> None:
    assert parse_choice("The answer is B.", WHO).place is Place.announced
    assert parse_choice("He met the grandson there, it seems", WHO).place is Place.mentioned


@given(st.text(), st.lists(st.text(min_size=1), min_size=1, max_size=5, unique=True))
def test_any_text_is_parsed_to_a_given_choice_or_to_none(answer: str, choices: list[str]) -> None:
    assert parse_choice(answer, choices).value in (None, *choices)


@given(
    st.sampled_from(WHO), st.sampled_from(["The answer is {}.", "Answer: {}", "I choose {}", "**{}**", "{}"])
)
def test_every_choice_is_read_back_from_the_usual_phrases(choice: str, phrase: str) -> None:
    assert parse_choice(phrase.format(choice), WHO).value == choice
    assert parse_choice(phrase.format("ABC"[WHO.index(choice)]), WHO).value == choice


@pytest.mark.parametrize("answer", ["I cannot tell from the text.", "C tell writes", "I don't know"])
def test_a_letter_that_begins_a_sentence_is_no_choice(answer):
    assert parse_choice(answer, [f"option{i}" for i in range(10)]).value is None
