"""JSON files: one object a line, or one value in all."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truing.data.files import place, reading, writing
from truing.data.strict_json import parse_json
from truing.types import InputError, Record, dumps

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file; `number` is the line on which it starts, from 1."""

    number: int
    data: dict[str, Any]


def read_jsonl(path: str | Path, *, on_error: Callable[[InputError], None] | None = None) -> Iterator[Row]:
    """Read the objects of a JSONL file (UTF-8, `.gz` too) one by one; blank lines are skipped.

    With `on_error`, a row that cannot be read is handed to it and the reading goes on; a file that
    cannot be read raises in either case.

    Raises:
        InputError: no such file; a row is not UTF-8, not JSON (NaN and infinities are not), no
            object, or has a key twice. Names the file and the row.
    """
    with reading(path) as file:
        for number, line in enumerate(file, start=1):
            text = line.removeprefix(_BOM) if number == 1 else line
            if not text.strip():
                continue
            try:
                with place(path, number):
                    row = Row(number, _object(text))
            except InputError as why:
                if on_error is None:
                    raise
                on_error(why)
            else:
                yield row


def write_jsonl(path: str | Path, rows: Iterable[Record | Mapping[str, Any]]) -> None:
    """Write one line of ASCII JSON for each row; the file appears when it is whole, or not at all.

    Raises:
        StorageError: the disk refuses.
        ValueError: a row holds what JSON has no form for.
    """
    with writing(path) as file:
        for row in rows:
            file.write(dumps(row).encode("ascii") + b"\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file (UTF-8, `.gz` too), as strictly as `read_jsonl`.

    Raises:
        InputError: no such file, or not such JSON.
    """
    with reading(path) as file:
        data = file.read()
    with place(path):
        return parse_json(_utf8(data.removeprefix(_BOM)))


def _object(line: bytes) -> dict[str, Any]:
    data = parse_json(_utf8(line))
    if not isinstance(data, dict):
        raise InputError("is not a JSON object", mend="write one {...} on each line")
    return data


def _utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as why:
        raise InputError(
            f"is not UTF-8 (byte {why.start + 1} is 0x{data[why.start]:02x})", mend="save it as UTF-8"
        ) from None
