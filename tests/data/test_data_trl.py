import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_data import shared

from truing.data import (
    DatasetType,
    LanguageModeling,
    Preference,
    PromptCompletion,
    PromptOnly,
    Row,
    Stepwise,
    UnpairedPreference,
    dataset_type,
    from_messages,
    read_example,
    read_jsonl,
    to_messages,
    write_example,
)
from truing.types import FrozenDict, InputError, Message, Role, ToolCall

USER = {"role": "user", "content": "Which bell rings first?"}
GOOD = {"role": "assistant", "content": "The north bell."}
BAD = {"role": "assistant", "content": "The south bell."}
U, G = Message(Role.user, USER["content"]), Message(Role.assistant, GOOD["content"])
SCHEMA = {"type": "function", "function": {"name": "ring", "parameters": {"type": "object"}}}

ROWS = [
    ({"text": "The bell rang."}, "language_modeling", LanguageModeling("The bell rang.")),
    ({"messages": [USER, GOOD]}, "language_modeling", LanguageModeling((U, G))),
    ({"prompt": "Ring"}, "prompt_only", PromptOnly("Ring")),
    ({"prompt": [USER], "tools": [SCHEMA]}, "prompt_only", PromptOnly((U,), (FrozenDict(SCHEMA),))),
    ({"prompt": "Ring", "completion": " it."}, "prompt_completion", PromptCompletion("Ring", " it.")),
    ({"prompt": [USER], "completion": [GOOD]}, "prompt_completion", PromptCompletion((U,), (G,))),
    ({"prompt": "a", "chosen": "b", "rejected": "c"}, "preference", Preference("a", "b", "c")),
    (
        {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]},
        "preference",
        Preference((U,), (G,), to_messages([BAD])),
    ),
    (
        {"prompt": "a", "completion": "b", "label": False},
        "unpaired_preference",
        UnpairedPreference("a", "b", False),
    ),
    (
        {"prompt": [USER], "completion": [GOOD], "label": True},
        "unpaired_preference",
        UnpairedPreference((U,), (G,), True),
    ),
    (
        {"prompt": "a", "completions": ["b", "c"], "labels": [True, False]},
        "stepwise_supervision",
        Stepwise("a", ("b", "c"), (True, False)),
    ),
]


@pytest.mark.parametrize(("row", "kind", "example"), ROWS)
def test_each_type_is_detected_read_and_written_back(row, kind, example):
    assert dataset_type([*row, "source", "score"]) is DatasetType[kind]
    assert read_example(Row(1, row), DatasetType[kind], file="f") == example
    assert write_example(example) == row
    assert json.loads(json.dumps(write_example(example))) == row


def test_null_columns_count_as_absent():
    row = Row(1, {"chosen": "a b", "rejected": "a c", "prompt": None, "tools": None})
    assert read_example(row, DatasetType.preference, file="f") == Preference("a", " b", " c")


def test_a_data_set_of_no_type_or_of_two_is_refused():
    with pytest.raises(InputError, match="none of TRL's data set types"):
        dataset_type(["question", "answer"])
    with pytest.raises(InputError, match=r"\(none\)"):
        dataset_type([])
    with pytest.raises(InputError, match="messages and prompt could each be"):
        dataset_type(["prompt", "messages"])
    with pytest.raises(InputError, match="messages and text"):
        dataset_type(["text", "messages"])
    assert dataset_type(["prompt", "messages", "chosen", "rejected"]) is DatasetType.preference


def preference(chosen, rejected):
    row = Row(1, {"chosen": chosen, "rejected": rejected})
    return read_example(row, DatasetType.preference, file="f")


def test_an_implicit_prompt_is_the_common_prefix():
    assert preference("The sky is blue.", "The sky is green.") == Preference(
        "The sky is", " blue.", " green."
    )
    assert preference([USER, GOOD], [USER, BAD]) == Preference((U,), (G,), to_messages([BAD]))
    longer = preference([USER, GOOD], [USER, GOOD, USER, BAD])
    assert longer.prompt == (U,) and longer.chosen == (G,) and len(longer.rejected) == 3
    assert preference("ab", "abc") == Preference("a", "b", "bc")


@given(st.text("ab ", max_size=6), st.text("ab ", max_size=6))
def test_an_extracted_prompt_loses_no_text_and_leaves_two_answers(chosen, rejected):
    try:
        pair = preference(chosen, rejected)
    except InputError:
        assert chosen == rejected or min(len(chosen), len(rejected)) <= 1 or chosen[:2] != rejected[:2]
    else:
        assert (pair.prompt + pair.chosen, pair.prompt + pair.rejected) == (chosen, rejected)
        assert pair.prompt and pair.chosen and pair.rejected


def test_a_text_prompt_beside_conversations_is_taken_from_them():
    row = {"prompt": USER["content"], "chosen": [USER, GOOD], "rejected": [USER, BAD]}
    assert read_example(Row(1, row), DatasetType.preference, file="f").prompt == (U,)


WRONG = [
    ("language_modeling", {"text": 5}, "the column text holds no text"),
    ("language_modeling", {"prompt": "x"}, "has neither messages nor text"),
    ("language_modeling", {"messages": None}, "has neither messages nor text"),
    ("language_modeling", {"messages": []}, "no list of turns"),
    ("language_modeling", {"messages": [USER, "x"]}, "turn 2 is not an object"),
    ("prompt_only", {"prompt": [{"role": "system", "content": "x"}]}, "ends with the system's turn"),
    ("prompt_completion", {"prompt": [USER], "completion": "x"}, "completion is not"),
    ("prompt_completion", {"prompt": "x", "completion": [GOOD]}, "completion holds no text"),
    ("prompt_completion", {"prompt": [USER], "completion": [USER, GOOD]}, "begins with the user's turn"),
    ("preference", {"prompt": [USER], "chosen": [USER, GOOD], "rejected": [BAD]}, "begins with the user's"),
    ("preference", {"chosen": "same", "rejected": "same"}, "are the same"),
    ("preference", {"chosen": "a", "rejected": "b"}, "share no prompt"),
    ("preference", {"chosen": [], "rejected": [GOOD]}, "share no prompt"),
    ("preference", {"chosen": "a", "rejected": [GOOD]}, "neither two texts nor two lists"),
    ("preference", {"chosen": "a"}, "neither two texts nor two lists"),
    ("preference", {"chosen": [GOOD], "rejected": [BAD]}, "share no prompt"),
    ("unpaired_preference", {"prompt": "a", "completion": "b", "label": 1}, "label is not true or false"),
    ("unpaired_preference", {"prompt": "a", "completion": "b"}, "label is not true or false"),
    ("stepwise_supervision", {"prompt": "a", "completions": ["b"], "labels": []}, "one label for each"),
    ("stepwise_supervision", {"prompt": "a", "completions": [], "labels": []}, "one label for each"),
    ("stepwise_supervision", {"prompt": "a", "completions": "b", "labels": [True]}, "no list of texts"),
    ("stepwise_supervision", {"prompt": "a", "completions": ["b"], "labels": [1]}, "a label is not true"),
    ("stepwise_supervision", {"prompt": [USER], "completions": ["b"], "labels": [True]}, "holds no text"),
    ("prompt_only", {"prompt": "a", "tools": "x"}, "tools are no list"),
]


@pytest.mark.parametrize(("kind", "row", "what"), WRONG)
def test_a_wrong_row_is_told_in_one_sentence(kind, row, what):
    with pytest.raises(InputError, match=what) as caught:
        read_example(Row(7, row), DatasetType[kind], file="data.jsonl")
    assert str(caught.value).startswith("data.jsonl, row 7: ") and "\n" not in str(caught.value)


CALL = {"id": "c1", "type": "function", "function": {"name": "ring", "arguments": {"times": 3}}}


def test_messages_with_traces_tools_and_parts_are_read():
    turns = to_messages(
        [
            {
                "role": "system",
                "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}],
            },
            {"role": "user", "content": "Ring it.", "reasoning_content": None, "tool_calls": None},
            {"role": "assistant", "content": None, "thinking": "a trace", "tool_calls": [CALL]},
            {"role": "tool", "content": "done", "tool_call_id": "c1"},
        ]
    )
    assert turns == (
        Message(Role.system, "Be kind."),
        Message(Role.user, "Ring it."),
        Message(Role.assistant, "", "a trace", (ToolCall("c1", "ring", FrozenDict({"times": 3})),)),
        Message(Role.tool, "done", tool_call_id="c1"),
    )
    assert to_messages(from_messages(turns)) == turns


def test_tool_arguments_may_be_json_text_and_calls_may_be_bare():
    for call in (
        {"function": {"name": "ring", "arguments": '{"times": 3}'}},
        {"name": "ring", "arguments": {"times": 3}},
        {"id": None, "type": "function", "function": {"name": "ring", "arguments": {"times": 3}}},
    ):
        (turn,) = to_messages([{"role": "assistant", "content": "", "tool_calls": [call]}])
        assert turn.tool_calls == (ToolCall("", "ring", FrozenDict({"times": 3})),)


@given(
    st.lists(
        st.builds(
            Message,
            st.just(Role.assistant),
            st.text(st.characters(exclude_categories=())),
            st.none() | st.text(),
            st.lists(
                st.builds(ToolCall, st.text(), st.text(), st.builds(FrozenDict, st.just({"a": [1, None]}))),
                max_size=2,
            ).map(tuple),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_messages_survive_the_way_out_and_back(turns):
    assert to_messages(json.loads(json.dumps(from_messages(turns)))) == tuple(turns)


@pytest.mark.parametrize(
    ("turn", "what"),
    [
        ({"content": "x"}, "turn 1 has no role"),
        ({"from": "human", "value": "x"}, "rename from and value"),
        ({"role": "human", "content": "x"}, "has the role 'human'; roles are system, user"),
        ({"role": ["user"], "content": "x"}, "has the role"),
        ({"role": "user"}, "no text in its content"),
        ({"role": "user", "content": None}, "no text in its content"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "part of type 'image_url'"),
        ({"role": "user", "content": ["x"]}, "part of type None"),
        ({"role": "user", "content": [{"type": "text"}]}, "text part without text"),
        ({"role": "user", "content": "x", "thinking": "y"}, "only an assistant has them"),
        ({"role": "user", "content": "x", "tool_calls": [CALL]}, "only an assistant has them"),
        ({"role": "assistant", "content": "x", "thinking": 5}, "reasoning that is not text"),
        ({"role": "assistant", "content": "x", "thinking": "a", "reasoning": "b"}, "two different traces"),
        ({"role": "assistant", "content": "x", "tool_calls": 5}, "no list"),
        ({"role": "assistant", "content": "x", "tool_calls": [5]}, "without a function name"),
        ({"role": "assistant", "content": "x", "tool_calls": [{"name": "f", "arguments": "{"}]}, "not JSON"),
        ({"role": "assistant", "content": "x", "tool_calls": [{"name": "f", "arguments": [1]}]}, "no object"),
        ({"role": "assistant", "content": "x", "tool_calls": [{"id": 1, "name": "f"}]}, "id is not text"),
        ({"role": "tool", "content": "x", "tool_call_id": 5}, "tool_call_id"),
    ],
)
def test_a_wrong_turn_is_told_in_one_sentence(turn, what):
    with pytest.raises(InputError, match=what):
        to_messages([turn])


def test_public_preference_pairs_are_read_with_an_implicit_prompt():
    path = shared("hh_rlhf/harmless-base/test.jsonl.gz")
    pairs = [(row, read_example(row, dataset_type(row.data), file=path.name)) for row in read_jsonl(path)]
    assert len(pairs) == 2312
    for row, pair in pairs:
        assert pair.prompt + pair.chosen == row.data["chosen"]
        assert pair.prompt + pair.rejected == row.data["rejected"]
        assert "Assistant:" in pair.prompt


def test_public_prompt_completion_rows_are_read():
    path = shared("rbr_gold/train.jsonl")
    kinds = {dataset_type(row.data) for row in read_jsonl(path)}
    assert kinds == {DatasetType.prompt_completion}
    for row in read_jsonl(path):
        example = read_example(row, DatasetType.prompt_completion, file=path.name)
        assert example.completion[0].role is Role.assistant


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "tool_calls", "function", "name", "arguments"]
            ),
            inner | st.sampled_from(["user", "assistant", "tool", "text"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)
COLUMNS = [
    "prompt", "completion", "chosen", "rejected", "label", "completions", "labels", "text", "messages", "tools",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(COLUMNS), ANYTHING, max_size=5), st.sampled_from(DatasetType))
def test_any_row_is_read_or_refused_in_one_sentence(data, kind):
    try:
        example = read_example(Row(3, data), kind, file="f")
    except InputError as why:
        assert (why.file, why.row) == ("f", 3) and str(why).endswith(".")
    else:
        assert read_example(Row(3, write_example(example)), kind, file="f") == example
