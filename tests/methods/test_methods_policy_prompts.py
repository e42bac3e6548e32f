"""Prompts of a file: TRL's two forms, columns for rewards, a held-out side that nothing leaks to; pretraining text."""

import json
from pathlib import Path
from typing import Any

import pytest
from model.tiny import checkpoint

from truing.methods import PolicyPrompts, read_pretraining, read_prompts
from truing.methods.policy_prompts import fitting
from truing.methods.pretraining import text_rows
from truing.model import load_local
from truing.types import InputError, Role

USER = {"role": "user", "content": "Who?"}


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_texts_and_messages_are_prompts_and_further_columns_go_to_the_rewards(tmp_path: Path) -> None:
    found = read_prompts(
        written(tmp_path, {"prompt": "Who?", "truth": [1]}, {"prompt": "Where?"}), held_out=0, key=0
    )
    assert found.texts and [row.id for row in found.train] == ["1", "2"] and not found.held_out
    assert found.train[0].messages[0].role is Role.user and dict(found.train[0].columns) == {"truth": (1,)}
    chats = written(
        tmp_path,
        {"id": "a", "prompt": [{"role": "system", "content": "Be kind."}, USER], "tools": None},
        {"id": 7, "prompt": [USER], "answer": "Ada"},
    )
    found = read_prompts(chats, held_out=0, key=0)
    assert not found.texts and [row.id for row in found.train] == ["a", "7"]
    assert [len(row.messages) for row in found.train] == [2, 1]
    assert dict(found.train[1].columns) == {"id": 7, "answer": "Ada"}


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "holds no prompt"),
        ([{"text": "a"}], "row 1: has no prompt; add the column prompt"),
        (
            [{"prompt": "a"}, {"prompt": [USER]}],
            "row 2: tells its prompt as a text where the first row has messages",
        ),
        ([{"prompt": 3}], "row 1: the column prompt holds no text"),
        (
            [{"prompt": [USER, {"role": "assistant", "content": "I"}]}],
            "row 1: ends with the assistant's turn",
        ),
        ([{"prompt": "a", "id": "x"}, {"prompt": "b", "id": "x"}], "row 1: the id 'x' is there twice"),
        (
            [{"prompt": "a", "completion_ids": []}],
            "row 1: has a column completion_ids, which rewards are given",
        ),
        ([{"prompt": "a", "tools": [{"type": "function"}]}], "row 1: has tools"),
    ],
)
def test_a_row_that_is_no_prompt_is_named(tmp_path: Path, rows: list, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_prompts(written(tmp_path, *rows), held_out=0, key=0)


def test_what_begins_alike_stays_together_and_what_leaks_is_left_out(tmp_path: Path) -> None:
    letter = "Dear neighbour, the kettle of the mill has been lost since Tuesday and nobody in town knows where it is. "
    long = letter * 2
    rows = [{"prompt": f"{long} Question {i}?"} for i in range(30)]
    rows += [{"prompt": f"{i} birds: tell me how the {i}th one sings."} for i in range(60)]
    rows += [{"prompt": f"Number {i} asks: {letter}"} for i in range(10)]
    found = read_prompts(written(tmp_path, *rows), held_out=0.3, key=1)
    sides = [
        {row.id for row in side if row.messages[0].content.startswith("Dear")}
        for side in (found.train, found.held_out)
    ]
    assert sorted(map(len, sides)) == [0, 30]
    # Of the ten that hold the letter, those on the held-out side leak, if others are on the training side.
    kept = len(found.train) + len(found.held_out)
    assert kept + sum(found.skipped.values()) == 100 and sum(found.skipped.values()) > 0
    assert not any(row.messages[0].content.startswith("Number") for row in found.held_out)
    again = read_prompts(written(tmp_path, *rows), held_out=0.3, key=1)
    assert again == found
    with pytest.raises(InputError, match="2 prompts leave nothing on one side"):
        read_prompts(written(tmp_path, *rows[:2]), held_out=0.5, key=0)


def test_prompts_that_leave_no_room_are_counted(tmp_path: Path) -> None:
    model = load_local(checkpoint("llama"), device="cpu")
    rows = [{"prompt": "Who?"}, {"prompt": "gull " * 600}, {"prompt": "Where?"}]
    found = read_prompts(written(tmp_path, *rows), held_out=0, key=0)
    kept = fitting(found, model.chat, context=model.trunk.context, room=50, data="x")
    assert [row.id for row in kept.train] == ["1", "3"] and list(kept.skipped.values()) == [1]
    with pytest.raises(
        InputError, match="no prompt leaves room for 511 tokens in the model's context of 512"
    ):
        fitting(PolicyPrompts(found.train), model.chat, context=512, room=511, data="x")


def test_pretraining_text_is_ended_and_cut_into_pieces_of_the_context(tmp_path: Path) -> None:
    chat = load_local(checkpoint("llama"), device="cpu").chat
    texts = read_pretraining(written(tmp_path, {"text": "The gull sings. " * 9}, {"text": "A kite."}))
    rows = text_rows(texts, chat, context=16)
    end = chat.tokenizer.eos_token_id
    assert max(len(row.ids) for row in rows) == 16 and all(all(row.mask) for row in rows)
    flat = [token for row in rows for token in row.ids]
    assert flat == [*chat.tokenizer(texts[0])["input_ids"], end, *chat.tokenizer(texts[1])["input_ids"], end]
    with pytest.raises(InputError, match="row 1: has no text"):
        read_pretraining(written(tmp_path, {"messages": [USER, {"role": "assistant", "content": "I"}]}))
    with pytest.raises(InputError, match="holds no text"):
        read_pretraining(written(tmp_path))
