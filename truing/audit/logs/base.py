"""What a log of any tool comes down to: one row for each answer, and an outcome in every row."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truing.data import reading
from truing.types import Expect, FrozenDict, InputError, Outcome, Record, Verdict, digest

_SHOWN = 200


@dataclass(frozen=True)
class LogRow(Record):
    """One answer as a log has it. What failed or was not scored is a row like any other.

    `prompt` digests what was asked and what the answer was held against, `answer` what was written
    (empty where nothing was). The verdict's score lies in [0, 1], and more is better; its grader is
    exact where a rule scored, so that there is no judge whose error would have to be known. `sample`
    counts the answers to one item. `expect` is known of our own items alone.
    """

    id: str
    task: str
    dimension: str
    prompt: str
    verdict: Verdict
    sample: int = 0
    cluster: str = ""
    answer: str = ""
    expect: Expect | None = None

    @property
    def outcome(self) -> Outcome:
        """How the judging of the answer ended."""
        return self.verdict.outcome

    @property
    def score(self) -> float | None:
        """Its score, None where there is no evidence."""
        return self.verdict.score

    @property
    def named_grader(self) -> str:
        """The grader that judged in place of the parser of what was expected; empty if that did."""
        return "" if self.verdict.criterion == self.expect else self.verdict.grader.name


@dataclass(frozen=True)
class Log(Record):
    """A finished evaluation of one model, from whatever tool.

    `version` is the tool's, empty where the log does not tell. `files` maps the names of the files
    read to the SHA-256 of their content. `scored_by` says what its scores are (task -> name of the
    score, grader -> its version): two logs that differ in one of these cannot be compared. `notes`
    are what a reader should know of how the log was read.
    """

    tool: str
    version: str
    model: str
    files: FrozenDict
    scored_by: FrozenDict
    rows: tuple[LogRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks or suites of the rows, in order."""
        return tuple(dict.fromkeys(row.task for row in self.rows))


def parse(text: bytes, *, file: Path, row: int | None = None) -> Any:
    """Read JSON as other tools write it: NaN and infinities, for which JSON has no form, are None.

    Raises:
        InputError: it is no JSON.
    """
    try:
        return _DECODER.decode(text.decode(json.detect_encoding(text), "surrogatepass"))
    except RecursionError:
        raise InputError("is nested too deeply", file=file, row=row, mend="log it again") from None
    except ValueError as why:
        raise InputError(f"is not JSON ({why})", file=file, row=row, mend="log it again") from None


def as_score(value: object, *, what: str, file: Path) -> float | None:
    """The number that a log has for a score; None for text, lists, NaN and nothing.

    Raises:
        InputError: a number outside [0, 1]: means and margins would be nonsense.
    """
    if not isinstance(value, (bool, int, float)) or not math.isfinite(value):
        return None
    if not 0 <= value <= 1:
        raise InputError(
            f"{what} is {value:g}, and a score lies in [0, 1]", file=file, mend="choose another with --score"
        )
    return float(value)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content; of one that ends in `.gz`, of what is packed in it."""
    sha = hashlib.sha256()
    with reading(path) as file:
        while part := file.read(2**20):
            sha.update(part)
    return sha.hexdigest()


def content_digest(value: object) -> str:
    """The digest of an answer, empty where there is none."""
    return digest(value) if value not in (None, "", [], {}) else ""


def first_line(text: object) -> str:
    """The first line of an error, and not more of it than a table can show."""
    return (str(text).strip().splitlines() or ["no reason given"])[0][:_SHOWN]


def _nothing(_: str) -> None:
    return None


def _finite(text: str) -> float | None:
    return number if math.isfinite(number := float(text)) else None


_DECODER = json.JSONDecoder(parse_constant=_nothing, parse_float=_finite)
