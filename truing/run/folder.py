"""`Run`: one folder for one configuration, with one writer, to be resumed after any crash."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from truing import __version__
from truing.run.disk import replace_file
from truing.run.journal import Journal
from truing.run.lock import take_lock
from truing.run.ranks import rank
from truing.types import FrozenDict, InputError, Record, StorageError, digest, dumps, freeze, thaw

_RECORD, _LOCK, _TIMING = "run.json", "lock", "timing.json"
_OTHER_OUT = "choose another --out"
_SHOWN_CHANGES, _SHOWN_VALUE = 6, 60


@dataclass(frozen=True, slots=True)
class _RunRecord(Record):
    """What `run.json` holds. `config_hash` covers everything but the version of truing."""

    config_hash: str
    truing: str
    config: FrozenDict
    inputs: FrozenDict
    parents: tuple[str, ...]

    @property
    def identity(self) -> str:
        """The hash that `config_hash` should be: what must be equal to resume."""
        return digest((self.config, self.inputs, self.parents))

    def leaves(self) -> dict[str, str]:
        """Dotted key -> value as JSON, for the sentence that says what differs."""
        own = FrozenDict({"run": {"inputs": self.inputs, "parents": self.parents}})
        return dict(_leaves(self.config)) | dict(_leaves(own))


class Run:
    """A run's folder, locked for this process from `open` until the end of the `with` block.

    `path` is the folder and `config_hash` the digest of configuration, inputs and parents.

    ```
    with Run.open(out, config) as run:
        run.journal("answers").append([(item.id, row)])
        run.write_json("result.json", result)
    ```
    """

    def __init__(self, path: Path, config_hash: str, lock: int, *, followed: Path | None = None) -> None:
        self.path, self.config_hash, self._followed = path, config_hash, followed
        self._lock: int | None = lock
        self._journals: dict[str, Journal] = {}

    @classmethod
    def open(
        cls,
        dir: str | Path,
        config: Mapping[str, Any],
        *,
        inputs: Mapping[str, str] | None = None,
        parents: Sequence[str] = (),
    ) -> Self:
        """Create the folder `dir`, or resume the run in it.

        `config` is what determines the results, as JSON data; `inputs` maps the names of files read
        to their digests; `parents` are the config hashes of runs that this one builds on. A run is
        resumed if and only if all three are equal.

        Of several processes that were launched together the first has the folder. The others each
        write into one of their own, which is gone when they close it, and begin with what it holds.

        Raises:
            InputError: the folder cannot be used, holds something else, or a run of another
                configuration; the sentence names what differs.
            LockedError: another process is writing the folder.
            StorageError: the disk is full or failing.
            ValueError: `config` holds what JSON has no form for.
        """
        path = Path(dir)
        identity = (FrozenDict(config), FrozenDict(inputs or {}), tuple(parents))
        wanted = _RunRecord(digest(identity), __version__, *identity)
        if rank():
            own = Path(tempfile.mkdtemp(prefix="truing-rank-"))
            if (path / "journal").is_dir():
                shutil.copytree(path / "journal", own / "journal")
            return cls(own, wanted.config_hash, take_lock(own / _LOCK), followed=path)
        with _usable(path):
            path.mkdir(parents=True, exist_ok=True)
            _refuse_foreign(path)
            lock = take_lock(path / _LOCK)
        try:
            found = _read_json(path / _RECORD)
            if found is None:
                replace_file(path / _RECORD, _pretty(wanted.to_json()))
            else:
                _refuse_other_config(path, found, wanted)
        except BaseException:
            os.close(lock)
            raise
        return cls(path, wanted.config_hash, lock)

    @property
    def origin(self) -> Path:
        """The folder that all processes of the job see: the first's."""
        return self._followed or self.path

    def journal(self, name: str) -> Journal:
        """The journal `journal/NAME.jsonl`, repaired on its first use in this run.

        Raises:
            InputError: a line in its middle is damaged.
            StorageError: the disk refuses.
        """
        if name not in self._journals:
            self._journals[name] = Journal(self._place(f"journal/{name}.jsonl"))
        return self._journals[name]

    def write_text(self, name: str, text: str) -> None:
        """Write a UTF-8 file, whole or not at all; a lone surrogate is written as its escape.

        Raises:
            StorageError: the disk refuses.
        """
        replace_file(self._place(name), text.encode("utf-8", "backslashreplace"))

    def write_json(self, name: str, value: object) -> None:
        """Write JSON data as an ASCII file, whole or not at all; keys keep their order.

        Raises:
            StorageError: the disk refuses.
            ValueError: the value holds what JSON has no form for.
        """
        replace_file(self._place(name), _pretty(value))

    def read_json(self, name: str) -> Any:
        """The data that `write_json` wrote under this name, or None if it never did.

        Raises:
            InputError: the file is damaged.
        """
        place = self._place(name)
        return _read_json(place if self._followed is None else self._followed / name)

    def timing(self, name: str, seconds: float) -> None:
        """Add to what a step took, over all resumptions; `timing.json` is the only file with a clock.

        Raises:
            StorageError: the disk refuses.
        """
        path = self.path / _TIMING
        times = _read_json(path) or {}
        replace_file(path, _pretty(times | {name: round(times.get(name, 0.0) + seconds, 3)}))

    def close(self) -> None:
        """Close the journals and give the lock back; twice is once."""
        for journal in self._journals.values():
            journal.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
            if self._followed is not None:
                shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _place(self, name: str) -> Path:
        if self._lock is None:
            raise ValueError(f"the run in {self.path} is closed")
        path = self.path / name
        if name in (_RECORD, _LOCK, _TIMING) or not path.resolve().is_relative_to(self.path.resolve()):
            raise ValueError(f"a run has no file {name!r} of a caller's own")
        return path


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    """Turn what can be wrong with a folder into a sentence."""
    try:
        yield
    except (FileExistsError, NotADirectoryError):
        at = next((p for p in (path, *path.parents) if p.is_file()), path)
        raise InputError("is a file, not a folder", file=at, mend=_OTHER_OUT) from None
    except OSError as why:
        if why.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise StorageError(f"{path} cannot be made ({why.strerror}).") from why
        raise InputError(f"cannot be written ({why.strerror})", file=path, mend=_OTHER_OUT) from None
    except ValueError:
        raise InputError("is no name for a folder", file=repr(str(path)), mend=_OTHER_OUT) from None


def _refuse_foreign(path: Path) -> None:
    names = {entry.name for entry in path.iterdir()}
    if _RECORD not in names and names - {_LOCK, f"{_RECORD}.partial"}:
        raise InputError(f"is not empty and holds no run (no {_RECORD})", file=path, mend=_OTHER_OUT)


def _refuse_other_config(path: Path, found: Any, wanted: _RunRecord) -> None:
    try:
        old = _RunRecord.from_json(found)
    except ValueError as why:
        raise InputError(f"is no record of a run ({why})", file=path / _RECORD, mend=_OTHER_OUT) from None
    if old.identity == wanted.config_hash:
        return
    before, after = old.leaves(), wanted.leaves()
    changes = [
        f"{key} {_shown(before.get(key))} -> {_shown(after.get(key))}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
    more = len(changes) - _SHOWN_CHANGES
    listed = ", ".join(changes[:_SHOWN_CHANGES]) + (f" and {more} more" if more > 0 else "")
    raise InputError(
        f"holds a run of another configuration: {listed}",
        file=path,
        mend=f"{_OTHER_OUT}, or go back to the old values",
    )


def _leaves(data: FrozenDict, prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in data.items():
        if isinstance(value, FrozenDict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, dumps(value)


def _shown(value: str | None) -> str:
    if value is None:
        return "(absent)"
    return value if len(value) <= _SHOWN_VALUE else f"{value[:_SHOWN_VALUE]}…"


def _pretty(value: object) -> bytes:
    return (json.dumps(thaw(freeze(value)), indent=2, allow_nan=False) + "\n").encode("ascii")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as why:
        raise InputError(f"cannot be read ({why})", file=path, mend=_OTHER_OUT) from None
