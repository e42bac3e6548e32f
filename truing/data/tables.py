"""CSV files."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from truing.data.files import reading
from truing.data.jsonl import Row
from truing.types import InputError

_NOT_DECODED = re.compile("[\udc80-\udcff]")
_LARGEST_FIELD = 2**31 - 1


def read_csv(path: str | Path, *, encoding: str = "utf-8") -> Iterator[Row]:
    """Read a CSV file with a header (`.gz` too) row by row; every value is text.

    Quoted fields may hold line breaks; a row is numbered by the line on which it starts. Blank
    lines and, in UTF-8, a byte order mark are skipped.

    Raises:
        InputError: no such file; the encoding is unknown or does not fit; there is no header, or it
            names a column twice; a row has more or fewer fields than the header, or an unclosed
            quote. Names the file and the row.
    """
    with reading(path) as file:
        try:
            # A byte that does not fit becomes a lone surrogate, so that its row can be named.
            codec = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
            lines = io.TextIOWrapper(file, codec, errors="surrogateescape", newline="")
        except LookupError:
            raise InputError(f"there is no encoding {encoding!r}", file=path, mend="try utf-8") from None
        rows = _records(lines, path, encoding)
        first, header = next(rows, (1, []))
        if not header:
            raise InputError("has no header", file=path, mend="name the columns in its first line")
        if len(set(header)) < len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise InputError(f"has the column {twice!r} twice", file=path, row=first, mend="rename one")
        for number, fields in rows:
            if len(fields) != len(header):
                problem = f"has {len(fields)} fields where the header has {len(header)}"
                raise InputError(problem, file=path, row=number, mend="check its commas and quotes")
            yield Row(number, dict(zip(header, fields, strict=True)))


def _records(lines: io.TextIOWrapper, path: str | Path, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """The line on which each record starts, and its fields."""
    reader = csv.reader(_decoded(lines, path, encoding), strict=True)
    while True:
        start = reader.line_num + 1
        # The limit on a field is one for the whole process: lift it only while a record is read.
        limit = csv.field_size_limit(_LARGEST_FIELD)
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as why:
            raise InputError(f"is not CSV ({why})", file=path, row=start, mend="check its quotes") from None
        finally:
            csv.field_size_limit(limit)
        if fields:
            yield start, fields


def _decoded(lines: io.TextIOWrapper, path: str | Path, encoding: str) -> Iterator[str]:
    number = 0
    try:
        for number, line in enumerate(lines, start=1):
            if not line.isascii() and _NOT_DECODED.search(line):
                raise InputError(f"is not {encoding}", file=path, row=number, mend="name the right encoding")
            yield line
    except UnicodeError:
        raise InputError(
            f"is not {encoding}", file=path, row=number + 1, mend="name the right encoding"
        ) from None
