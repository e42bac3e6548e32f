import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_data import shared

from truing.data import Leak, leaks, prefix_groups, read_jsonl, split_by_group

PARTS = {"train": 0.8, "dev": 0.1, "test": 0.1}


@given(st.lists(st.text(max_size=3)), st.integers(0, 2**64 - 1))
def test_every_row_is_in_one_part_and_no_group_in_two(groups, key):
    split = split_by_group(groups, PARTS, key=key)
    assert list(split) == list(PARTS)
    assert sorted(i for rows in split.values() for i in rows) == list(range(len(groups)))
    homes = [{groups[i] for i in rows} for rows in split.values()]
    assert sum(map(len, homes)) == len(set(groups))


@given(st.lists(st.text(max_size=3), max_size=20), st.lists(st.text(max_size=3), max_size=20))
def test_rows_added_later_move_no_other(first, more):
    before = split_by_group(first, PARTS, key=1)
    after = split_by_group(first + more, PARTS, key=1)
    for part, rows in before.items():
        assert [i for i in after[part] if i < len(first)] == rows


def test_shares_are_as_asked_and_keys_differ():
    groups = [f"group {i}" for i in range(20_000)]
    split = split_by_group(groups, PARTS, key=3)
    shares = np.array([len(rows) for rows in split.values()]) / 20_000
    assert np.abs(shares - [0.8, 0.1, 0.1]).max() < 0.01
    other = split_by_group(groups, PARTS, key=4)
    both = len(set(split["test"]) & set(other["test"])) / 20_000
    assert both == pytest.approx(0.01, abs=0.003)


def test_a_part_of_nothing_stays_empty():
    groups = [f"g{i}" for i in range(500)]
    assert split_by_group(groups, {"a": 0.0, "b": 1.0, "c": 0.0}, key=0)["b"] == list(range(500))
    assert split_by_group([], {"a": 1.0}, key=0) == {"a": []}
    thirds = split_by_group(groups, dict.fromkeys("abc", 1 / 3), key=0)
    assert sum(map(len, thirds.values())) == 500


@pytest.mark.parametrize("bad", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": float("nan")}])
def test_fractions_that_are_no_shares_are_refused(bad):
    with pytest.raises(ValueError, match="fractions"):
        split_by_group(["x"], bad, key=0)


@given(st.lists(st.text("ab", max_size=5), max_size=12), st.integers(1, 4))
def test_prefix_groups_are_those_of_comparing_all_pairs(texts, min_prefix):
    names = prefix_groups(texts, min_prefix)
    for a, first in zip(names, texts, strict=True):
        for b, second in zip(names, texts, strict=True):
            common = next(
                (i for i, (x, y) in enumerate(zip(first, second, strict=False)) if x != y),
                min(len(first), len(second)),
            )
            assert (a == b) == (common >= min_prefix or first == second)


def test_a_prefix_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        prefix_groups(["a"], 0)


LONG = "the keeper of the lamp walks down to the harbour every evening before the bells ring"


def test_equal_rows_leak_whatever_their_case_and_marks():
    train = ["Ring the bells.", "something else"]
    assert leaks(train, ["nothing", "  ring THE bells!!"]) == [Leak(1, 0, True, 1.0)]


def test_contained_rows_leak_with_their_share():
    found = leaks(["and so " + LONG + " again", "noise"], [LONG, LONG.replace("harbour", "tavern")])
    assert found[0] == Leak(0, 0, False, 1.0)
    assert len(found) == 1  # one word in the middle breaks 8 of the 9 n-grams
    loose = leaks(["and so " + LONG], [LONG.replace("harbour", "tavern")], ngram=4)
    assert loose[0].share == pytest.approx(9 / 13)


def test_unrelated_rows_do_not_leak_and_short_ones_only_if_equal():
    other = "a wholly different sentence about gardens that nobody has ever watered before"
    assert leaks([LONG], [other]) == []
    assert leaks([LONG], ["the keeper of the lamp"]) == []
    assert leaks([LONG, ""], ["", "!!!", "???"]) == []
    assert leaks(["!!!"], ["!!!", "???"]) == [Leak(0, 0, True, 1.0)]


def test_scripts_without_spaces_are_compared_by_the_character():
    train = "灯台守は毎晩港へ歩いて行く前に鐘を鳴らすのです"
    assert leaks([train], [train[3:20]]) == [Leak(0, 0, False, 1.0)]


def test_the_training_row_that_holds_most_is_named():
    halves = [LONG[:30], LONG[11:]]
    assert leaks(halves, [LONG], ngram=3)[0].train == 1


@pytest.mark.parametrize("bad", [{"ngram": 0}, {"containment": 0}, {"containment": 1.1}])
def test_meaningless_settings_are_refused(bad):
    with pytest.raises(ValueError):
        leaks([], [], **bad)


def test_planted_leaks_are_found_in_public_data_and_few_others():
    questions = [row.data["question"] for row in read_jsonl(shared("gsm8k/test.jsonl"))]
    train, heldout = questions[:1000], questions[1000:]
    clean = {leak.heldout for leak in leaks(train, heldout)}
    assert len(clean) <= 2
    quoted = [f"Please solve: {question} Thanks." for question in heldout[:50]]
    planted = [*train, *quoted, *(question.upper() for question in heldout[50:60])]
    found = {leak.heldout: leak for leak in leaks(planted, heldout)}
    assert set(range(60)) <= set(found) and len(found) <= 60 + len(clean)
    assert all(found[i].exact for i in range(50, 60))
    assert all(found[i].train == 1000 + i for i in range(60))
