"""Labelled texts as files: what is read, what is unknown, and what a wrong row is told."""

import gzip
import json
from pathlib import Path

import pytest
from shared_data import shared

from truing.grade import CATEGORIES, Reads, read_moderation_rows
from truing.types import InputError


def lines(path: Path, *rows: object) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_a_missing_empty_or_null_label_is_unknown(tmp_path: Path) -> None:
    jsonl = lines(
        tmp_path / "a.jsonl.gz",
        {"text": "one", "rude": 1, "off-topic": 0},
        {"text": "two", "rude": None, "off-topic": True, "id": "b", "group": "site"},
        {"text": "three"},
    )
    csv = lines(
        tmp_path / "a.csv", "text,rude,off-topic,id,group", "one,1,0,,", "two,,true,b,site", "three,,,,"
    )
    for path in (jsonl, csv):
        found = read_moderation_rows(path)
        assert [dict(row.known) for row in found.rows] == [
            {"rude": True, "off-topic": False},
            {"off-topic": True},
            {},
        ]
        assert found.heads == ("rude", "off-topic")
        assert [row.group for row in found.rows] == ["", "site", ""] and found.rows[1].id == "b"
        assert (found.reads, found.source) == (Reads.answer, path.name)
        assert found.truth(found.heads).tolist() == [[1, 0], [-1, 1], [-1, -1]]


def test_the_letters_of_the_published_set_are_categories_and_its_unknowns_stay_unknown() -> None:
    path = shared("moderation/dev.jsonl.gz")
    found = read_moderation_rows(path)
    raw = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert len(found.rows) == len(raw) and set(found.heads) == set(CATEGORIES.values())
    for letter, head in CATEGORIES.items():
        truth = found.truth([head])[:, 0].tolist()
        assert truth == [row.get(letter, -1) for row in raw]
    for part, whole in (
        ("sexual/minors", "sexual"),
        ("hate/threatening", "hate"),
        ("violence/graphic", "violence"),
    ):
        both = found.truth([part, whole])
        assert (both[both[:, 0] == 1, 1] == 1).all()


def test_a_prompt_with_an_answer_is_an_exchange(tmp_path: Path) -> None:
    found = read_moderation_rows(lines(tmp_path / "a.jsonl", {"prompt": "Go?", "answer": "No.", "rude": 0}))
    assert found.reads is Reads.exchange and found.rows[0].text == "Go?\n\nNo."


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"rude": 1}, "either `text` or `prompt`"),
        ({"text": "a", "prompt": "b"}, "either `text` or `prompt`"),
        ({"text": "a", "answer": "b"}, "has a `prompt`"),
        ({"text": 7, "rude": 1}, "is not text"),
        ({"text": "a", "rude": 2}, "the label rude is 2"),
        ({"text": "a", "rude": "maybe"}, "the label rude is 'maybe'"),
        ({"text": "a", "Rude one": 1}, "'Rude one' names no head"),
        ({"text": "a", "S": 1, "sexual": 1}, "says twice whether it is sexual"),
        ({"text": "a", "hate/threatening": 1, "hate": 0}, "is hate/threatening and not hate"),
        ({"prompt": "a", "answer": "b"}, "texts and exchanges are mixed"),
    ],
)
def test_a_wrong_row_is_one_sentence_with_file_and_row(
    tmp_path: Path, row: dict[str, object], why: str
) -> None:
    path = lines(tmp_path / "labels.jsonl", {"text": "fine", "rude": 0}, row)
    with pytest.raises(InputError) as caught:
        read_moderation_rows(path)
    said = str(caught.value)
    assert why in said and "labels.jsonl" in said and "row 2" in said and "\n" not in said


def test_no_rows_and_another_kind_of_file_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no text"):
        read_moderation_rows(lines(tmp_path / "a.jsonl"))
    with pytest.raises(InputError, match=r"neither .jsonl nor .csv"):
        read_moderation_rows(lines(tmp_path / "a.txt", {"text": "a"}))
