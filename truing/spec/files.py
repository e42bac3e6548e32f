"""Reading one file of a specification: text of bounded size that lies where it says it lies."""

import re
from pathlib import Path

from truing.data import reading
from truing.types import InputError

MAX_BYTES = 1_000_000
"""Of one file; a specification is read by people."""
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Characters that a terminal would obey."""


def read_text(path: Path, most: int = MAX_BYTES) -> str:
    """The text of a file (UTF-8) of at most so many bytes, its lines ending in newline characters alone.

    Raises:
        InputError: no such file, no ordinary file, too large, not UTF-8, or it holds control
            characters. Names the file and the line.
    """
    if path.exists() and not path.is_file():
        raise InputError("is no ordinary file", file=path, mend="put a text file there")
    with reading(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise InputError(f"is larger than {most // 1000} kB", file=path, mend="shorten or split it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as why:
        line = data.count(b"\n", 0, why.start) + 1
        raise InputError("is not UTF-8", file=path, row=line, mend="save it as UTF-8") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if found := CONTROL.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise InputError("holds a control character", file=path, row=line, mend="remove it")
    return text


def inside(path: Path, folder: Path) -> Path:
    """The path, if it lies in the folder once links are followed.

    Raises:
        InputError: it is a link that leads out of the folder, or in a circle.
    """
    try:
        within = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a link to itself
        within = False
    if not within:
        raise InputError(
            "is a link that leads out of the specification", file=path, mend="put the file itself there"
        )
    return path
