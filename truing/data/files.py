"""Opening files so that every failure is a sentence naming the file."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from truing.types import InputError, StorageError


@contextmanager
def place(file: str | Path, row: int | None = None) -> Iterator[None]:
    """Name the file and row in an InputError raised inside that does not name a file yet."""
    try:
        yield
    except InputError as why:
        if why.file is not None:
            raise
        raise InputError(why.problem, file=file, row=row, mend=why.mend) from None


@contextmanager
def reading(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for reading bytes; one that ends in `.gz` is decompressed.

    Raises:
        InputError: it is not there, is a folder, may not be read, or is not whole.
    """
    try:
        with _open(Path(path)) as file:
            yield file
    except FileNotFoundError:
        raise InputError("there is no such file", file=path, mend="check its name") from None
    except IsADirectoryError:
        raise InputError("is a folder, not a file", file=path, mend="name a file in it") from None
    except PermissionError:
        raise InputError("may not be read", file=path, mend="check its permissions") from None
    except (gzip.BadGzipFile, zlib.error, EOFError):
        raise InputError("is no whole gzip file", file=path, mend="fetch it again") from None
    except OSError as why:
        raise InputError(f"cannot be read ({why.strerror})", file=path) from why


@contextmanager
def writing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for writing bytes; it appears under its name when it is whole, or not at all.

    One that ends in `.gz` is compressed, and holds no clock, so equal data give equal files.

    Raises:
        StorageError: the disk refuses.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        try:
            with partial.open("wb") as raw:
                if path.suffix == ".gz":
                    with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
                        yield cast(BinaryIO, packed)
                else:
                    yield raw
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as why:
        raise StorageError(f"{path} cannot be written ({why.strerror}).") from why


def _open(path: Path) -> BinaryIO:
    if "\0" in str(path):
        raise FileNotFoundError
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")
