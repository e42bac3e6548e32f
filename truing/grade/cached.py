"""`CachedGrader`: what a judge said once is not asked again, by any process that shares the file."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from truing.types import Grader, GraderId, InputError, Outcome, Shown, StorageError, Verdict, digest, dumps

_PART = 256
"""Answers that are judged before their verdicts are kept; so many at most are judged again after a crash."""
_AT_ONCE = 500
"""Keys in one query; SQLite takes no more than 999 in all its builds."""
_BUSY_SECONDS = 60
_MARK = 0x54525644
"""Tells the file from other SQLite files: its application_id."""


class CachedGrader:
    """A grader that keeps its verdicts in an SQLite file and looks there first.

    A verdict is found again for the same instrument (name, version, specification, card), the same
    conversation whatever its id, the same answer and the same end of it; it is then equal in every
    field. Anything else is asked. An answer that came out as an error on any criterion is not
    kept: what failed may be well tomorrow. What a judge cannot say for what it was shown (it
    abstained, or could not be parsed) is a verdict on that, and is kept. Sampling judges
    are asked greedily, so a second opinion would be no other; an endpoint that answers differently from one
    day to the next keeps its first word.

    Several processes may use one file. Within a call, equal answers are asked about once.

    Raises:
        InputError: at first use, the file is there and is no such cache.
        StorageError: the disk refuses, or the file is locked for a minute.
    """

    def __init__(self, grader: Grader, path: str | Path) -> None:
        self.grader = grader
        self.path = Path(path)

    @property
    def id(self) -> GraderId:
        """The grader's own."""
        return self.grader.id

    def grade(self, shown: Sequence[Shown]) -> list[Mapping[str, Verdict]]:
        """Judge each answer that has not been judged, and look the others up: a list of length `len(shown)`."""
        id = self.id
        keys = [verdict_key(id, one) for one in shown]
        with self._open() as file:
            found = _read(file, self.path, list(dict.fromkeys(keys)))
        missing = {key: one for key, one in zip(keys, shown, strict=True) if key not in found}
        for at in range(0, len(missing), _PART):
            part = dict(list(missing.items())[at : at + _PART])
            judged = dict(zip(part, self.grader.grade(list(part.values())), strict=True))
            kept = {key: verdicts for key, verdicts in judged.items() if not _failed(verdicts)}
            with self._open() as file:
                _write(file, kept)
            found |= judged
        return [found[key] for key in keys]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for one look or one transaction; what goes wrong in it becomes a sentence."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # No transaction is begun behind our back, and a connection never outlives a fork.
            with closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)) as file:
                _prepare(file, self.path)
                yield file
        except sqlite3.OperationalError as why:
            raise StorageError(f"the cache {self.path} cannot be used ({why})") from why
        except sqlite3.DatabaseError as why:
            raise _no_cache(self.path, str(why)) from why
        except OSError as why:
            raise StorageError(f"the cache {self.path} cannot be used ({why.strerror})") from why


def verdict_key(id: GraderId, shown: Shown) -> str:
    """SHA-256 of the instrument and of all that it is shown."""
    return digest([id.to_json(), shown.request.prompt_digest, shown.answer, shown.stop])


def _failed(verdicts: Mapping[str, Verdict]) -> bool:
    return any(verdict.outcome is Outcome.error for verdict in verdicts.values())


def _prepare(file: sqlite3.Connection, path: Path) -> None:
    """Make the table where the file is new."""
    if _mark(file) == _MARK:
        return
    file.execute("BEGIN IMMEDIATE")  # of two processes that find it new, one makes the table
    if _mark(file) != _MARK:
        if _mark(file) or file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise _no_cache(path, "it holds something else")
        file.execute("CREATE TABLE verdicts (key TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID")
        file.execute(f"PRAGMA application_id = {_MARK}")
    file.execute("COMMIT")


def _mark(file: sqlite3.Connection) -> int:
    mark: int = file.execute("PRAGMA application_id").fetchone()[0]
    return mark


def _read(file: sqlite3.Connection, path: Path, keys: Sequence[str]) -> dict[str, Mapping[str, Verdict]]:
    found: dict[str, Mapping[str, Verdict]] = {}
    for at in range(0, len(keys), _AT_ONCE):
        some = keys[at : at + _AT_ONCE]
        query = f"SELECT key, row FROM verdicts WHERE key IN ({','.join('?' * len(some))})"
        for key, row in file.execute(query, some):
            try:
                verdicts = [Verdict.from_json(data) for data in json.loads(row)]
            except ValueError as why:
                raise _no_cache(path, f"a verdict in it is damaged: {why}") from why
            found[key] = {verdict.criterion: verdict for verdict in verdicts}
    return found


def _write(file: sqlite3.Connection, judged: Mapping[str, Mapping[str, Verdict]]) -> None:
    """All or none; what another process wrote meanwhile stays."""
    rows = [(key, dumps([v.to_json() for v in verdicts.values()])) for key, verdicts in judged.items()]
    file.execute("BEGIN IMMEDIATE")
    file.executemany("INSERT OR IGNORE INTO verdicts VALUES (?, ?)", rows)
    file.execute("COMMIT")


def _no_cache(path: Path, why: str) -> InputError:
    return InputError(f"is no cache of verdicts ({why})", file=path, mend="name another file, or delete it")
