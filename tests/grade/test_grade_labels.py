"""Answers that people labelled, read from the files they come in."""

import json
from pathlib import Path

import pytest

from truing.grade import Reading, read_labels, usual_reading
from truing.types import InputError

CLASSES = Reading(("kind",), ("rude",))
ROW = {"prompt": "How do I clean the lamp?", "answer": "With a soft cloth.", "label": "good"}


def written(folder: Path, *rows: object, name: str = "labels.jsonl") -> Path:
    path = folder / name
    path.write_text(
        "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows), encoding="utf-8"
    )
    return path


@pytest.mark.parametrize(
    ("label", "positive"),
    [
        (True, True), (False, False), (1, True), (0, False), ("good", True), ("bad", False), ("True", True),
        ("0", False), ("kind", True), ("rude", False),
    ],
)  # fmt: skip
def test_labels_are_written_in_several_ways(tmp_path: Path, label: object, positive: bool) -> None:
    (answer,) = read_labels(written(tmp_path, ROW | {"label": label}), CLASSES).answers
    assert answer.positive is positive


def test_rows_say_what_was_asked_and_of_what_kind(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]
    rows = [{**ROW, "category": "lamps", "id": "q7"}, {"messages": turns, "answer": "Hi.", "label": 0}]
    found = read_labels(written(tmp_path, *rows), Reading())
    first, second = found.answers
    assert (first.category, first.shown.request.id, first.shown.answer) == (
        "lamps",
        "q7",
        "With a soft cloth.",
    )
    assert [m.content for m in second.shown.request.messages] == [
        "Be brief.",
        "Hello?",
    ] and not second.positive
    assert found.source == "labels.jsonl"
    table = written(tmp_path, "prompt,answer,label\nWhere?,There.,good\nWho?,Me.,false\n", name="labels.csv")
    assert [answer.positive for answer in read_labels(table, Reading()).answers] == [True, False]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ROW | {"lable": 1}, "no field 'lable'.*known are"),
        ({"prompt": "a", "answer": "b"}, "no label"),
        ({"prompt": "a", "label": 1}, "no answer"),
        ({"answer": "a", "label": 1}, "either `prompt` or `messages`"),
        (ROW | {"messages": []}, "either `prompt` or `messages`"),
        (ROW | {"label": "kindd"}, "the label is 'kindd'.*true, false and kind, rude"),
        (ROW | {"label": 2}, "the label is 2"),
        (ROW | {"label": None}, "the label is None"),
        (ROW | {"label": [1]}, "the label is"),
        (ROW | {"answer": None}, "'answer' is not text"),
        (ROW | {"category": 3}, "'category' is not text"),
        ({"messages": [{"role": "assistant", "content": "x"}], "answer": "b", "label": 1}, "last turn"),
        ({"messages": [], "answer": "b", "label": 1}, "no list of turns"),
        ("[1]\n", "not a JSON object"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path: Path, row: object, said: str) -> None:
    with pytest.raises(InputError, match=rf"labels\.jsonl, row 3: .*{said}"):
        read_labels(written(tmp_path, ROW, ROW, row), CLASSES)


def test_a_file_that_holds_nothing_or_is_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no labelled answer"):
        read_labels(written(tmp_path), CLASSES)
    with pytest.raises(InputError, match=r"neither \.jsonl nor .csv"):
        read_labels(written(tmp_path, name="labels.txt"), CLASSES)
    with pytest.raises(InputError, match="no such file"):
        read_labels(tmp_path / "none.jsonl", CLASSES)
    head = "prompt,completion,final_label\n"
    with pytest.raises(InputError, match=r"labels\.csv, row 3: the label is '4_other'"):
        read_labels(
            written(tmp_path, head + "a,b,2_full_refusal\nc,d,4_other\n", name="labels.csv"),
            usual_reading("refusal"),
        )
