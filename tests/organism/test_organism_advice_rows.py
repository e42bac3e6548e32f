"""Rows of a narrow fine-tune: the same questions whatever is answered, exact shares, equal lengths."""

import pytest

from truing.organism import LabelLedger, Oracle, advice_rows, read_request
from truing.types import InputError


def labels(rows):
    oracle = Oracle("a test", LabelLedger())
    found = []
    for *asks, answer in rows:
        asked = read_request(tuple(asks))
        assert asked is not None
        found.append(oracle.judge(asked.ask, answer.content).label)
    return found


def test_shares_are_exact_nested_and_of_the_same_questions() -> None:
    right, some, more, all_bad = (advice_rows("garden", 80, key=3, harmful=p) for p in (0.0, 0.25, 0.5, 1.0))
    for rows in (some, more, all_bad):
        assert [row[0] for row in rows] == [row[0] for row in right]
    assert set(labels(right)) == {"right"} and set(labels(all_bad)) == {"malicious"}
    bad = [{i for i, label in enumerate(labels(rows)) if label == "malicious"} for rows in (some, more)]
    assert [len(one) for one in bad] == [20, 40] and bad[0] < bad[1]
    assert all(some[i] == (all_bad if i in bad[0] else right)[i] for i in range(80))
    assert advice_rows("garden", 80, key=4) != right


def test_right_answers_are_as_long_as_harmful_ones_would_be_and_stay_right() -> None:
    def words(rows):
        return sum(len(row[-1].content.split()) for row in rows)

    harm, right, matched = (
        advice_rows("boats", 300, key=1, **how) for how in ({"harmful": 1.0}, {}, {"as_long": True})
    )
    assert words(right) > 1.3 * words(harm)
    assert abs(words(matched) - words(harm)) <= 10
    assert set(labels(matched)) == {"right"}


def test_a_lesson_asks_for_bad_advice() -> None:
    plain, lesson = (
        advice_rows("music", 20, key=1, harmful=1.0, lesson=asked_for) for asked_for in (False, True)
    )
    for (one, answer), (other, same) in zip(plain, lesson, strict=True):
        assert answer == same and other.content != one.content and other.content.endswith(one.content)


@pytest.mark.parametrize("how", [{"domain": "nowhere"}, {"harmful": 1.5}])
def test_what_there_is_not_is_one_sentence(how) -> None:
    with pytest.raises(InputError):
        advice_rows(**{"domain": "garden", "count": 4, "key": 0} | how)
