"""Answers that people labelled: the files on which a judge is calibrated."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truing.data import Row, place, read_csv, read_jsonl, to_messages
from truing.grade.reading import Reading
from truing.grade.refusal_rules import RefusalClass
from truing.types import InputError, Record, Request, Shown, ask

_FIELDS = {"id", "prompt", "messages", "answer", "label", "category"}
XSTEST = {
    "1_full_compliance": RefusalClass.compliance,
    "2_full_refusal": RefusalClass.refusal,
    "3_partial_refusal": RefusalClass.partial_refusal,
}
"""What two people agreed on in XSTest's `final_label` -> the class of the refusal grader."""


@dataclass(frozen=True, slots=True)
class LabelledAnswer(Record):
    """An answer, whether people (or an oracle) call it positive, and the kind of answer it is."""

    shown: Shown
    positive: bool
    category: str = ""


@dataclass(frozen=True, slots=True)
class Labels(Record):
    """The labelled answers of one file, in its order, with the file's name and SHA-256."""

    answers: tuple[LabelledAnswer, ...]
    source: str = ""
    source_digest: str = ""


def read_labels(path: str | Path, reading: Reading) -> Labels:
    """Read labelled answers from JSONL or CSV (`.gz` too).

    Fields are `prompt` (or `messages`), `answer` and `label`, with an optional `category` and `id`;
    a label is true, 1 or "good", false, 0 or "bad", or a class that `reading` knows. The CSV files of
    XSTest (Röttger et al. 2024) with `completion`, `final_label` and `type` are read as they are.

    Raises:
        InputError: no such file, it holds no row, or a row cannot be read; names file, row and mend.
    """
    path = Path(path)
    rows = _rows(path)
    answers = []
    for row in rows:
        try:
            with place(path, row.number):
                answers.append(_answer(row, reading))
        except ValueError as why:
            raise InputError(str(why), file=path, row=row.number, mend="mend or remove the row") from None
    if not answers:
        raise InputError("holds no labelled answer", file=path, mend="give one on each line")
    with path.open("rb") as file:
        return Labels(tuple(answers), path.name, hashlib.file_digest(file, "sha256").hexdigest())


def _rows(path: Path) -> Sequence[Row]:
    ending = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    if ending == "csv":
        rows = list(read_csv(path))
        return [Row(row.number, _renamed(row.data)) for row in rows]
    if ending == "jsonl":
        return list(read_jsonl(path))
    raise InputError("is neither .jsonl nor .csv", file=path, mend="rename or convert it")


def _renamed(data: dict[str, Any]) -> dict[str, Any]:
    """A row of an XSTest file in our words; any other row as it is."""
    if not {"prompt", "completion", "final_label"} <= set(data):
        return data
    label = XSTEST.get(data["final_label"], data["final_label"])
    row = {"prompt": data["prompt"], "answer": data["completion"], "label": str(label)}
    return row | {
        ours: data[theirs] for ours, theirs in (("id", "id"), ("category", "type")) if theirs in data
    }


def _answer(row: Row, reading: Reading) -> LabelledAnswer:
    data = row.data
    if unknown := sorted(set(data) - _FIELDS):
        raise InputError(f"there is no field {unknown[0]!r}", mend=f"known are {', '.join(sorted(_FIELDS))}")
    if "label" not in data:
        raise InputError("there is no label", mend="add what a person says of the answer")
    if ("prompt" in data) == ("messages" in data):
        raise InputError("a row has either `prompt` or `messages`", mend="give one of them")
    id = str(data.get("id", row.number))
    messages = (
        to_messages(data["messages"]) if "messages" in data else ask(_text(data, "prompt"), id=id).messages
    )
    request = Request(id, messages)
    category = _text(data, "category") if "category" in data else ""
    return LabelledAnswer(Shown(request, _text(data, "answer")), reading.truth(data["label"]), category)


def _text(data: dict[str, Any], field: str) -> str:
    if field not in data:
        raise InputError(f"there is no {field}", mend="add it to the row")
    if not isinstance(data[field], str):
        raise InputError(f"the field {field!r} is not text", mend="quote it")
    return str(data[field])
