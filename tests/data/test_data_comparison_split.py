from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_data import shared

from truing.data import Comparison, leaks, read_comparisons, split_comparisons
from truing.types import InputError, Message, Role

TWIN, MANY, LEAK = (
    "the prompt begins like an earlier one",
    "the customer has more prompts than the cap",
    "the prompt leaks from the training side",
)


def compared(prompt, *, labeler="", customer="", system=""):
    turns = (Message(Role.system, system),) if system else ()
    answers = tuple((Message(Role.assistant, text),) for text in ("yes", "no"))
    who = {"labeler": labeler, "customer": customer}
    return Comparison("x", (*turns, Message(Role.user, prompt)), answers, (1, 2), **who)


def asked(row):
    return row.prompt[-1].content


def total(side):
    return len(side) + sum(side.skipped.values())


ROWS = st.lists(
    st.builds(
        compared,
        st.text("ab", min_size=1, max_size=4),
        labeler=st.sampled_from("lmnopq"),
        customer=st.sampled_from("uvwxyz"),
    ),
    min_size=1,
    max_size=30,
)


@given(ROWS, st.sampled_from(["prompt", "customer", "labeler"]), st.integers(0, 99), st.integers(1, 3))
def test_the_sides_share_nothing_and_every_row_is_kept_or_counted(rows, by, key, cap):
    try:
        sides = split_comparisons(rows, by=by, held_out=0.4, key=key, per_customer=cap, min_prefix=3)
    except InputError as why:
        assert "empty" in str(why)
        return
    assert sum(map(total, sides)) == len(rows)
    train, held = ({getattr(row, by) if by != "prompt" else asked(row) for row in side} for side in sides)
    assert not train & held
    prompts = [{asked(row) for row in side} for side in sides]
    assert not prompts[0] & prompts[1]
    for a, b in combinations(prompts[0] | prompts[1], 2):
        assert a[:3] != b[:3]
    for side in sides:
        for customer in {row.customer for row in side}:
            assert len({asked(row) for row in side if row.customer == customer}) <= cap


def test_the_first_of_prompts_that_begin_alike_is_kept_with_all_its_rows():
    rows = [compared(text) for text in ("abcd", "abce", "abcd", "xbcd", "abce", "ybcd", "zbcd")]
    sides = split_comparisons(rows, by="prompt", held_out=0.5, key=1, min_prefix=3)
    kept = [asked(row) for side in sides for row in side]
    assert sorted(kept) == ["abcd", "abcd", "xbcd", "ybcd", "zbcd"]
    assert sum(side.skipped.get(TWIN, 0) for side in sides) == 2


def test_the_first_prompts_of_a_customer_are_kept_and_each_counts_once():
    rows = [compared(text, customer="c") for text in ("a", "b", "a", "c", "b", "d")]
    rows += [compared(str(number), customer=f"other {number}") for number in range(8)]
    rows += [compared(f"nobody {number}") for number in range(4)]
    sides = split_comparisons(rows, by="prompt", held_out=0.5, key=0, per_customer=2)
    kept = [asked(row) for side in sides for row in side]
    assert sorted(text for text in kept if text in "abcd") == ["a", "a", "b", "b"]
    assert sum(side.skipped.get(MANY, 0) for side in sides) == 2
    assert len(kept) == 4 + 8 + 4


LONG = "the keeper of the lamp walks down to the harbour every evening before the bells ring"


def test_a_held_out_prompt_that_the_training_side_contains_is_taken_out_and_counted():
    rows = [compared(f"number {i}: {chr(97 + i) * 3}", customer=f"c{i}") for i in range(20)]
    train, held = split_comparisons(rows, by="customer", held_out=0.5, key=0)
    rows.append(compared(f"Once more: {LONG}", customer=train.rows[0].customer))
    rows.append(compared(f"And now: {LONG}", customer=held.rows[0].customer))
    after = split_comparisons(rows, by="customer", held_out=0.5, key=0)
    assert after[0].rows == (*train, rows[-2])
    assert (after[1].rows, after[1].skipped) == (held.rows, {LEAK: 1})


def test_labelers_are_split_with_the_prompts_that_they_compared():
    rows = [compared(f"prompt {i % 5}", labeler=f"l{i % 4}") for i in range(20)]
    with pytest.raises(InputError, match=r"side 'held out' empty \(\d+ rows: the prompt leaks") as why:
        split_comparisons(rows, by="labeler", held_out=0.5, key=0)
    assert str(why.value).endswith("what is split by.")
    own = [compared(f"prompt {i}", labeler=f"l{i % 4}") for i in range(20)]
    sides = split_comparisons(own, by="labeler", held_out=0.5, key=0)
    assert [side.skipped for side in sides] == [{}, {}]


def test_the_same_system_turn_makes_no_two_prompts_alike():
    rows = [compared(f"prompt {i}", system=LONG * 5) for i in range(40)]
    sides = split_comparisons(rows, by="prompt", held_out=0.3, key=0)
    assert sum(map(len, sides)) == 40


def test_a_row_without_its_group_is_named():
    with pytest.raises(InputError, match="the comparison x does not say its customer; split by prompt"):
        split_comparisons([compared("a")], by="customer", held_out=0.5, key=0)
    with pytest.raises(ValueError, match="fractions"):
        split_comparisons([compared("a")], by="prompt", held_out=1.5, key=0)


def test_real_dialogues_are_parted_without_leaks():
    rows = read_comparisons(shared("hh_rlhf/helpful-base/test.jsonl.gz")).rows
    train, held = split_comparisons(rows, by="prompt", held_out=0.2, key=0)
    assert total(train) + total(held) == len(rows)
    assert len(held) / len(rows) == pytest.approx(0.2, abs=0.03)
    texts = [["\n".join(turn.content for turn in row.prompt) for row in side] for side in (train, held)]
    assert not leaks(*texts)
    assert not {text[:200] for text in texts[0]} & {text[:200] for text in texts[1]}
