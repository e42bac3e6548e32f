"""Texts that people labelled head by head: what a moderation model learns from, and where labels are missing."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truing.data import Row, place, read_csv, read_jsonl
from truing.grade.moderation.model import Reads, whole_of
from truing.types import FrozenDict, InputError, Record

CATEGORIES = {
    "S": "sexual",
    "H": "hate",
    "V": "violence",
    "SH": "self-harm",
    "HR": "harassment",
    "S3": "sexual/minors",
    "H2": "hate/threatening",
    "V2": "violence/graphic",
}
"""The labels of Markov et al. 2022 (arXiv 2208.03274) -> the names of the same categories in OpenAI's moderation."""
_HEAD = re.compile(r"[a-z][a-z0-9_.-]*(?:/[a-z][a-z0-9_.-]*)*")
_ABOUT = {"text", "prompt", "answer", "id", "group", "picked"}
_VALUES = {"1": True, "true": True, "0": False, "false": False, "1.0": True, "0.0": False}

Truth = NDArray[np.int8]
"""[N, H]: 1 and 0 as people said, -1 where nobody said."""


@dataclass(frozen=True, slots=True)
class ModerationRow(Record):
    """A text with what is known of it: head -> whether it belongs there. A head that is missing is unknown.

    `id` is the row's own, else its number in the file; `group` where the text is from.
    """

    text: str
    known: FrozenDict
    id: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class ModerationRows(Record):
    """The rows of one file, with its name and SHA-256; `reads` says whether their texts are answers or exchanges."""

    rows: tuple[ModerationRow, ...]
    reads: Reads = Reads.answer
    source: str = ""
    source_digest: str = ""

    @property
    def heads(self) -> tuple[str, ...]:
        """All heads that a row knows something of, in the order in which they came."""
        return tuple(dict.fromkeys(head for row in self.rows for head in row.known))

    def truth(self, heads: Sequence[str]) -> Truth:
        """What is known, as numbers."""
        return np.array([[row.known.get(head, -1) for head in heads] for row in self.rows], dtype=np.int8)


def read_moderation_rows(path: str | Path) -> ModerationRows:
    """Read labelled texts from JSONL or CSV (`.gz` too).

    A row has `text` (or `prompt`, or `prompt` and `answer`: an exchange), perhaps `id` and `group`, and
    every other field is a head: 1, 0, true or false; a missing, empty or null one is unknown. The heads
    S, H, V, SH, HR, S3, H2 and V2 are read as the categories of OpenAI's moderation.

    Raises:
        InputError: no such file, no row, a row that cannot be read or contradicts itself (a part of a
            category without the category), or answers and exchanges in one file.
    """
    path = Path(path)
    rows = []
    reads = set()
    for row in _rows(path):
        with place(path, row.number):
            rows.append(_row(row))
            reads.add(Reads.exchange if "answer" in row.data else Reads.answer)
            if len(reads) > 1:
                raise InputError("texts and exchanges are mixed in one file", mend="give one kind in a file")
    if not rows:
        raise InputError("holds no text", file=path, mend="give one on each line")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ModerationRows(tuple(rows), reads.pop(), path.name, digest)


def _row(row: Row) -> ModerationRow:
    data = row.data
    if ("text" in data) == ("prompt" in data):
        raise InputError("a row has either `text` or `prompt`", mend="give one of them")
    if "text" in data and "answer" in data:
        raise InputError("a row with an `answer` has a `prompt`", mend="call the text `prompt`")
    parts = [data[field] for field in ("text", "prompt", "answer") if field in data]
    if not all(isinstance(part, str) for part in parts):
        raise InputError("the text of a row is not text", mend="quote it")
    id, group = (str(data.get(field) or "") for field in ("id", "group"))
    return ModerationRow("\n\n".join(parts), _known(data), id or str(row.number), group)


def _rows(path: Path) -> list[Row]:
    ending = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    if ending not in ("csv", "jsonl"):
        raise InputError("is neither .jsonl nor .csv", file=path, mend="rename or convert it")
    return list(read_csv(path) if ending == "csv" else read_jsonl(path))


def _known(data: Mapping[str, Any]) -> FrozenDict:
    known: dict[str, bool] = {}
    for field, value in data.items():
        if field in _ABOUT or value is None or value == "":
            continue
        head = CATEGORIES.get(field, field)
        if not _HEAD.fullmatch(head):
            raise InputError(f"{field!r} names no head", mend="write small letters, as in self-harm")
        if str(value).lower() not in _VALUES:
            raise InputError(f"the label {field} is {value!r}", mend="write 1 or 0, or leave it out")
        if head in known:
            raise InputError(f"says twice whether it is {head}", mend="remove one of the fields")
        known[head] = _VALUES[str(value).lower()]
    for head, positive in known.items():
        if positive and known.get(whole_of(head)) is False:
            raise InputError(f"is {head} and not {whole_of(head)}", mend="mend one of the two labels")
    return FrozenDict(known)
