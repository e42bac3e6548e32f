"""`Journal`: rows that are on the disk once `append` has returned, and never twice.

A journal is JSONL. Each line is

    {"key":"item-7","row":{...},"batch":[1,3],"crc":"9ae0daaf"}

the row, its place in its batch (here the second of three) and the CRC-32 of all bytes before
`,"crc"`. A batch is one write. A process that dies while writing therefore leaves a line without an
end, or a batch without its last line; both were never acknowledged, and opening cuts them off.
"""

import json
import os
import zlib
from collections.abc import Collection, Iterator, KeysView, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from truing.run.disk import refused, replace_file, sync_folder
from truing.types import InputError, canonical_text, dumps

_CRC = b',"crc":"%08x"}\n'
_CRC_LENGTH = len(_CRC % 0)


class Journal:
    """Append-only rows by key, in the order in which they were appended. One writer: see `Run`.

    `dropped` is the number of bytes that opening cut off. Memory holds the keys, not the rows.
    """

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        """Open or create the file and cut what the last writer did not finish.

        With `writable=False` the file is left as it is, and has to be there: what was not finished is
        passed over, and nothing can be appended.

        Raises:
            InputError: a line before the end is damaged; the sentence names it.
            StorageError: the disk refuses.
        """
        self.path = path
        self._file: int | None = None
        self._open(writable=writable)

    def _open(self, *, writable: bool) -> None:
        self._keys: dict[str, None] = {}
        self._end = 0
        try:
            if not writable:
                self._find_end()
                self.dropped = self.path.stat().st_size - self._end
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            sync_folder(self.path.parent)
            self._find_end()
            self.dropped = os.fstat(self._file).st_size - self._end
            if self.dropped:
                os.ftruncate(self._file, self._end)
                os.fsync(self._file)
        except BaseException as why:
            self.close()
            if isinstance(why, OSError):
                raise refused(self.path, why) from why
            raise

    def append(self, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Write the rows as one batch, which is found whole or not at all when the journal is opened again.

        Raises:
            StorageError: the disk refuses; the batches before are kept and this journal is closed.
            ValueError: a key is there already, or a row holds what JSON has no form for; nothing is
                written.
        """
        if self._file is None:
            raise ValueError(f"the journal {self.path} is closed")
        keys = [canonical_text(key) for key, _ in rows]
        fresh = dict.fromkeys(keys)
        if len(fresh) < len(keys) or self._keys.keys() & fresh:
            twice = next(key for key in keys if key in self._keys or keys.count(key) > 1)
            raise ValueError(f"the journal {self.path} already has the key {twice!r}")
        data = b"".join(_line(key, row, i, len(rows)) for i, (key, row) in enumerate(rows))
        try:
            _write_all(self._file, data)
            os.fsync(self._file)
        except BaseException as why:
            self._undo()
            if isinstance(why, OSError):
                raise refused(self.path, why) from why
            raise
        self._keys |= fresh
        self._end += len(data)

    def forget(self, keys: Collection[str]) -> None:
        """Write the journal anew without the rows of these keys; after a crash it is the old one or the new.

        Raises:
            StorageError: the disk refuses; the journal is as before.
            ValueError: it is closed.
        """
        if self._file is None:
            raise ValueError(f"the journal {self.path} is closed")
        if not self._keys.keys() & keys:
            return
        data = b"".join(_line(key, row, 0, 1) for key, row in self.rows() if key not in keys)
        replace_file(self.path, data)
        self.close()
        self._open(writable=True)

    def done(self) -> KeysView[str]:
        """The keys of all rows, in order; a view that follows what is appended."""
        return self._keys.keys()

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Read (key, row) from the disk one by one, up to what was written when the reading began.

        Raises:
            InputError: a line was damaged since the journal was opened.
        """
        for key, row, _, _ in self._read(self._end):
            yield key, row

    def close(self) -> None:
        """Close the file; twice is once."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _find_end(self) -> None:
        """Read keys batch by batch; the end is that of the last whole batch."""
        batch: dict[str, None] = {}
        for key, _, (place, size), end in self._read(None):
            if place != len(batch) or key in batch or key in self._keys:
                raise self._damaged(len(self._keys) + len(batch) + 1)
            batch[key] = None
            if place + 1 == size:
                self._keys |= batch
                self._end, batch = end, {}

    def _read(self, until: int | None) -> Iterator[tuple[str, dict[str, Any], tuple[int, int], int]]:
        """(key, row, place in the batch and its size, offset after the line), to the last whole line."""
        end = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if end == until or not line.endswith(b"\n"):
                    return
                end += len(line)
                try:
                    body = line[:-_CRC_LENGTH] + b"}"
                    if line[-_CRC_LENGTH:] != _CRC % zlib.crc32(body[:-1]):
                        raise ValueError
                    data = json.loads(body)
                    key, row, (place, size) = data["key"], data["row"], data["batch"]
                except (ValueError, KeyError, TypeError):
                    raise self._damaged(number) from None
                yield key, row, (place, size), end

    def _damaged(self, number: int) -> InputError:
        return InputError(
            "is damaged: it is not the line that was written here",
            file=self.path,
            row=number,
            mend="restore the file, or delete this line and all after it to have them done again",
        )

    def _undo(self) -> None:
        # Where even this is refused, the next opening does it.
        if self._file is not None:
            with suppress(OSError):
                os.ftruncate(self._file, self._end)
        self.close()


def _line(key: str, row: Mapping[str, Any], place: int, size: int) -> bytes:
    body = dumps({"key": key, "row": row, "batch": [place, size]}).encode("ascii")[:-1]
    return body + _CRC % zlib.crc32(body)


def _write_all(file: int, data: bytes) -> None:
    """One write, and more only where the system took a part."""
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
