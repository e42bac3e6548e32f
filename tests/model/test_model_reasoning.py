"""Splitting reasoning from answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truing.model.reasoning import split_reasoning, with_reasoning
from truing.types import Trace


@pytest.mark.parametrize(
    ("text", "opened", "reasoning", "answer", "trace"),
    [
        ("Yes", False, None, "Yes", Trace.none),
        ("", False, None, "", Trace.none),
        ("<think>a</think>b", False, "a", "b", Trace.closed),
        ("<think>\n\n</think>\n\nb", False, "", "b", Trace.closed),
        ("a</think>b", True, "a", "b", Trace.closed),
        ("a</think>b", False, "a", "b", Trace.closed),  # some models leave out the opening mark
        ("<think>a", False, "a", "", Trace.unclosed),
        ("a", True, "a", "", Trace.unclosed),
        ("", True, "", "", Trace.unclosed),
        ("<think>a</think> \n", False, "a", "", Trace.empty),
        ("<think>a<think>b</think>c", False, "a<think>b", "c", Trace.closed),  # an open mark inside is text
        (
            "<think>a<think>b</think>c</think>d",
            False,
            "a<think>b",
            "cd",
            Trace.closed,
        ),  # rather show than hide
        ("<think>a</think>b<think>c</think>d", False, "a\n\nc", "bd", Trace.closed),
        ("<think>a</think>b<think>c", False, "a\n\nc", "", Trace.unclosed),
        ("<think>a", True, "<think>a", "", Trace.unclosed),
        ("b <think>a</think>", False, "a", "b ", Trace.closed),
    ],
)
def test_marks_are_read_in_order(text, opened, reasoning, answer, trace):
    split = split_reasoning(text, opened=opened)
    assert (split.reasoning, split.answer, split.trace) == (reasoning, answer, trace)


PIECES = st.lists(st.sampled_from(["<think>", "</think>", "a", "b ", "\n"]), max_size=12).map("".join)


@given(text=PIECES, opened=st.booleans())
def test_no_answer_holds_a_mark_and_only_closed_traces_have_one(text, opened):
    split = split_reasoning(text, opened=opened)
    assert "think>" not in split.answer
    assert bool(split.answer) <= (split.trace in (Trace.closed, Trace.none))
    assert (split.reasoning is None) == (split.trace is Trace.none)


@given(content=st.text(alphabet="ab .", min_size=1), reasoning=st.text(alphabet="cd ", min_size=1))
@pytest.mark.parametrize("opened", [False, True])
def test_what_is_written_is_read_back(content, reasoning, opened):
    split = split_reasoning(with_reasoning(content, reasoning, opened=opened), opened=opened)
    assert (split.reasoning, split.answer) == (reasoning.strip(), content.lstrip())
