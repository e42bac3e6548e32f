"""Where the rows of a suite come from: a file, a folder, the usual places, or the Hub."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from truing.data import Row, read_csv, read_json, read_jsonl
from truing.types import InputError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")


@dataclass(frozen=True)
class Source:
    """Rows of one file, or of one data set of the Hub, with the digest of what was read."""

    name: str
    rows: Sequence[Row]
    digest: str


def read_sources(
    suite: str, source: str | None, pattern: str, *, split: str, config: str | None = None
) -> list[Source]:
    """All rows of a suite, by file in the order of their names.

    `source` is a file, a folder searched for `pattern`, or a Hub id (`split` and `config` say which
    part); None looks for a folder called after the suite in `$TRUING_DATA`, `data`, `../shared/data`.

    Raises:
        InputError: nothing is there, or a row cannot be read.
    """
    if source and _names_hub(source):
        return [_hub(source, split, config)]
    return [
        Source(path.name, read_rows(path), file_digest(path)) for path in find_files(suite, source, pattern)
    ]


def _names_hub(source: str) -> bool:
    """Whether this is OWNER/NAME and no path with a slip in it: a misspelt folder must not go out to the Hub."""
    owner = source.partition("/")[0]
    looks_local = owner.startswith(".") or owner == "data" or Path(owner).exists()
    return _HUB_ID.fullmatch(source) is not None and not looks_local


def find_folder(suite: str, source: str | None) -> Path:
    """The folder of a suite: `source` itself, or the one called after the suite in the usual places.

    Raises:
        InputError: there is none.
    """
    found = Path(source) if source is not None else _usual_place(suite)
    if not found.is_dir():
        problem = "is no folder" if found.exists() else "there is no such folder"
        raise InputError(problem, file=found, mend=f"name the folder of the {suite} data")
    return found


def find_files(suite: str, source: str | None, pattern: str) -> list[Path]:
    """The files of a suite: `source` itself, or what matches `pattern` below it.

    Raises:
        InputError: nothing is found.
    """
    found = Path(source) if source is not None else _usual_place(suite)
    try:
        if found.is_dir():
            files = sorted(path for path in found.rglob(pattern) if path.is_file())
            if files:
                return files
            raise InputError(f"no file {pattern} lies here", file=found, mend=f"is it the {suite} data?")
        if found.is_file():
            return [found]
    except OSError as why:
        raise InputError(
            f"cannot be read ({why.strerror})", file=found, mend="check its permissions"
        ) from why
    raise InputError(
        "there is no such file or folder", file=found, mend=f"check the source of the suite {suite!r}"
    )


def read_rows(path: Path) -> list[Row]:
    """The rows of a CSV, JSONL or JSON-array file, by its ending.

    Raises:
        InputError: the ending is none of these, or a row cannot be read.
    """
    ending = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    if ending == "csv":
        return list(read_csv(path))
    if ending == "jsonl":
        return list(read_jsonl(path))
    if ending == "json":
        return rows_of(read_json(path), path)
    raise InputError("is neither .csv, .jsonl nor .json", file=path, mend="rename or convert it")


def rows_of(array: object, file: str | Path) -> list[Row]:
    """The objects of a JSON array as rows, counted from 1.

    Raises:
        InputError: not an array of objects; names the entry.
    """
    if not isinstance(array, list):
        raise InputError("is not a JSON array of objects", file=file, mend="give one object for each item")
    for number, data in enumerate(array, start=1):
        if not isinstance(data, dict):
            raise InputError(
                "is not a JSON object", file=file, row=number, mend="give one object for each item"
            )
    return [Row(number, data) for number, data in enumerate(array, start=1)]


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_field(row: Row, field: str, file: str | Path) -> str:
    """The text in `field` of a row.

    Raises:
        InputError: the field is missing or not text; names file, row and field.
    """
    value = row.data.get(field)
    if not isinstance(value, str):
        problem = f"is {type(value).__name__}, not text" if field in row.data else "is missing"
        raise InputError(
            f"the field {field!r} {problem}", file=file, row=row.number, mend="mend or remove the row"
        )
    return value


def _usual_place(suite: str) -> Path:
    places = [Path(p) / suite for p in (os.environ.get("TRUING_DATA"), "data", "../shared/data") if p]
    for place in places:
        if place.exists():
            return place
    raise InputError(
        f"the files of the suite {suite!r} are in none of {', '.join(map(str, places))}",
        mend=f"name them as {suite}:FOLDER, or set TRUING_DATA",
    )


def _hub(hub_id: str, split: str, config: str | None) -> Source:
    try:
        from datasets import load_dataset
    except ImportError:
        raise InputError(
            f"reading {hub_id!r} from the Hub needs the package datasets", mend="pip install 'truing[hub]'"
        ) from None
    path, _, revision = hub_id.partition("@")
    try:
        table = load_dataset(path, config, split=split, revision=revision or None)
    except Exception as why:  # the Hub client raises a dozen unrelated types
        raise InputError(
            f"the data set {hub_id!r} cannot be had from the Hub ({type(why).__name__})",
            mend="check the name, the network and HF_HUB_OFFLINE, or give a local file",
        ) from why
    rows = [Row(number, dict(data)) for number, data in enumerate(table, start=1)]
    seen = hashlib.sha256()
    for row in rows:
        seen.update(repr(sorted(row.data.items())).encode("utf-8", "surrogatepass"))
    return Source(hub_id, rows, seen.hexdigest())
