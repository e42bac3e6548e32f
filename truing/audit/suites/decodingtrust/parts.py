"""What the perspectives share: what they hand over, and how a field is read that the copies spell differently."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from truing.audit.suites.base import Unmeasured
from truing.audit.suites.sources import file_digest
from truing.data import Row
from truing.types import InputError, Item

NAME = "decodingtrust"


@dataclass
class Part:
    """What a perspective was read into: items, digests of files by their place in the folder, what was left out."""

    items: list[Item] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    unmeasured: list[Unmeasured] = field(default_factory=list)

    def used(self, folder: Path, file: Path) -> str:
        """Note the digest of a file of the perspective `folder`, and return the name it is known by."""
        name = f"{folder.name}/{file.relative_to(folder).as_posix()}"
        self.files[name] = file_digest(file)
        return name

    def leave(self, what: str, reasons: Iterable[str]) -> None:
        """List rows as not measured, counted by the reason of each."""
        for why, rows in Counter(reasons).items():
            self.unmeasured.append(Unmeasured(f"{NAME}/{what}", rows, why))


def first_of(folder: Path, *names: str) -> Path | None:
    """The first of these files that lies anywhere below a folder, those in fewer folders first."""
    for name in names:
        found = sorted(folder.rglob(name), key=lambda path: (len(path.parts), path))
        if found:
            return found[0]
    return None


def value_of(row: Row, file: str, *names: str) -> Any:
    """The value of the first of these fields that a row has.

    Raises:
        InputError: it has none; names file and row.
    """
    for name in names:
        if name in row.data:
            return row.data[name]
    raise InputError(
        f"the field {names[0]!r} is missing", file=file, row=row.number, mend="mend or remove the row"
    )


def text_of(row: Row, file: str, *names: str) -> str:
    """As `value_of`, for a text.

    Raises:
        InputError: the field is missing or no text.
    """
    value = value_of(row, file, *names)
    if not isinstance(value, str):
        problem = f"the field {names[0]!r} is {type(value).__name__}, not text"
        raise InputError(problem, file=file, row=row.number, mend="mend or remove the row")
    return value


def label_of(row: Row, file: str, *names: str) -> bool:
    """A label 0 or 1, written as a number, a text or a list of one.

    Raises:
        InputError: it is missing, or something else.
    """
    value = value_of(row, file, *names)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if str(value) not in ("0", "1"):
        problem = f"the label is {value!r}, neither 0 nor 1"
        raise InputError(problem, file=file, row=row.number, mend="mend or remove the row")
    return str(value) == "1"
