"""Requests of files in every form that is met."""

import json

import pytest
from shared_data import shared

from truing.probe import read_prompts
from truing.types import InputError


def test_a_list_and_jsonl_are_read_alike(tmp_path):
    rows = [{"instruction": "Mend it.", "category": None}, {"prompt": "Count."}]
    rows.append({"prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]})
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_prompts(tmp_path / "a.json")
    assert found == read_prompts(tmp_path / "a.jsonl")
    assert [request.last for request in found] == ["Mend it.", "Count.", "Why?"]
    assert [request.id for request in found] == ["1", "2", "3"]
    assert found[2].messages[0].content == "Be brief."


def test_the_published_splits_are_read():
    assert len(read_prompts(shared("refusal_direction/splits/harmful_val.json"))) == 39
    assert len(read_prompts(shared("refusal_direction/splits/harmless_val.json"))) > 400


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{}", "no list of requests"),
        ("a.json", "[]", "holds no request"),
        ("a.jsonl", "", "holds no request"),
        ("a.json", '[{"prompt": "x"}, 3]', "row 2: is no request"),
        ("a.jsonl", '{"prompt": "x"}\n{"text": "y"}\n', "row 2: is no request"),
        ("a.jsonl", '{"prompt": "x", "instruction": "y"}\n', "row 1: is no request"),
        ("a.jsonl", '{"prompt": [{"role": "assistant", "content": "y"}]}\n', "row 1: .*last turn"),
        ("a.jsonl", '{"prompt": 3}\n', "row 1: the messages are no list"),
    ],
)
def test_what_asks_nothing_is_named(name, text, said, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        read_prompts(tmp_path / name)
