"""Requests of a file, as the published splits and TRL's data sets write them."""

from pathlib import Path
from typing import Any

from truing.data import place, read_json, read_jsonl, to_messages
from truing.types import InputError, Request, ask

_COLUMNS = ("prompt", "instruction")


def read_prompts(file: str | Path) -> list[Request]:
    """The requests of a JSONL file, or of a JSON file that holds a list; the id of each is its row.

    A row has a `prompt`, which is a text or messages, or an `instruction`, which is a text.

    Raises:
        InputError: no such file, no row, or a row that asks nothing; names the row.
    """
    if str(file).removesuffix(".gz").endswith(".json"):
        data = read_json(file)
        if not isinstance(data, list):
            raise InputError("holds no list of requests", file=file, mend="write a list, or JSONL")
        rows: list[tuple[int, Any]] = list(enumerate(data, start=1))
    else:
        rows = [(row.number, row.data) for row in read_jsonl(file)]
    if not rows:
        raise InputError("holds no request", file=file, mend="write one on each line")
    out = []
    for number, row in rows:
        with place(file, number):
            out.append(_request(row, number))
    return out


def _request(row: Any, number: int) -> Request:
    found = [row[key] for key in _COLUMNS if row.get(key)] if isinstance(row, dict) else []
    if len(found) != 1:
        raise InputError("is no request", mend="give it one prompt or instruction")
    if isinstance(found[0], str):
        return ask(found[0], id=str(number))
    try:
        return Request(str(number), to_messages(found[0]))
    except ValueError as why:
        raise InputError(str(why), mend="end it with the user's turn") from None
