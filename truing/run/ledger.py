"""`Ledger`: what was spent of scarce things, counted once, and which runs there were."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from truing.types import InputError, StorageError, digest

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine, Table
    from sqlalchemy.dialects import postgresql, sqlite

_BUSY_SECONDS = 30
_SQLITE_DISK = (5, 6, 8, 10, 13)  # SQLITE_BUSY, LOCKED, READONLY, IOERR, FULL


@dataclass(frozen=True)
class RunRow:
    """One registered run."""

    path: str
    config_hash: str
    verb: str
    verdict: str


class Ledger:
    """Counts oracle labels, judge calls, tokens, money: shared by runs and safe for several processes.

    `where` is the path of an SQLite file, created where absent, or a database URL such as
    `postgresql+psycopg://host/name`.

    ```
    with Ledger("ledger.sqlite") as ledger:
        ledger.record("oracle label", item.id, 1, component="reward model")
        ledger.totals(by=("kind",))  # {("oracle label",): 1.0}
    ```
    """

    def __init__(self, where: str | Path) -> None:
        """Open or create the ledger.

        Raises:
            InputError: the file is no ledger, the URL is none, or its driver is not installed.
            StorageError: the disk or the database refuses.
        """
        from sqlalchemy.schema import CreateTable

        self._name, self._engine = _engine(where)
        self._uses, self._runs = _tables()
        with self._begin() as connection:
            for table in (self._uses, self._runs):
                connection.execute(CreateTable(table, if_not_exists=True))

    def record(self, kind: str, key: str, amount: float, *, component: str) -> None:
        """Count that `component` used `amount` of `kind` for `key`; `record_many` tells the rules."""
        self.record_many(kind, {key: amount}, component=component)

    def record_many(self, kind: str, amounts: Mapping[str, float], *, component: str) -> None:
        """Count what `component` used of `kind`, by key, in one transaction.

        The same (kind, key, component) is counted once, with the amount that came first, so that a
        resumed run counts nothing twice.

        Raises:
            StorageError: the disk or the database refuses; nothing was counted.
            ValueError: an amount is negative or not finite.
        """
        if bad := [amount for amount in amounts.values() if not (isfinite(amount) and amount >= 0)]:
            raise ValueError(f"an amount is a finite number of at least 0, not {bad[0]}")
        names = [{"kind": kind, "key": key, "component": component} for key in amounts]
        rows = [
            {"id": digest(row), **_escaped(row), "amount": amount}
            for row, amount in zip(names, amounts.values(), strict=True)
        ]
        if rows:
            with self._begin() as connection:
                connection.execute(self._insert(self._uses).on_conflict_do_nothing(), rows)

    def totals(self, by: Sequence[str] = ("kind", "component")) -> dict[tuple[str, ...], float]:
        """The sums of amounts for each combination of `by`, a choice of kind, key and component.

        Raises:
            StorageError: the disk or the database refuses.
        """
        from sqlalchemy import func, select

        columns = [self._uses.c[name] for name in by]
        query = select(*columns, func.sum(self._uses.c.amount)).group_by(*columns).order_by(*columns)
        with self._begin() as connection:
            rows = connection.execute(query).all()
        return {tuple(map(_unescaped, row[:-1])): float(row[-1]) for row in rows if row[-1] is not None}

    def register_run(self, path: str | Path, config_hash: str, verb: str, verdict: str) -> None:
        """Note how the run with this path and configuration ended; a later verdict replaces an earlier.

        Raises:
            StorageError: the disk or the database refuses.
        """
        row = {"path": str(path), "config_hash": config_hash}
        late = _escaped({"verb": verb, "verdict": verdict})
        insert = self._insert(self._runs).values(id=digest(row), **_escaped(row), **late)
        with self._begin() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=late))

    def runs(self) -> list[RunRow]:
        """All registered runs, by path.

        Raises:
            StorageError: the disk or the database refuses.
        """
        from sqlalchemy import select

        c = self._runs.c
        query = select(c.path, c.config_hash, c.verb, c.verdict).order_by(c.path, c.config_hash)
        with self._begin() as connection:
            return [RunRow(*map(_unescaped, row)) for row in connection.execute(query)]

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _insert(self, table: "Table") -> "sqlite.Insert | postgresql.Insert":
        from sqlalchemy.dialects import postgresql, sqlite

        if self._engine.dialect.name == "postgresql":
            return postgresql.insert(table)
        return sqlite.insert(table)

    @contextmanager
    def _begin(self) -> "Iterator[Connection]":
        """A transaction; what goes wrong in it becomes a sentence."""
        from sqlalchemy.exc import DBAPIError

        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as why:
            reason = str(why.orig).strip().splitlines()[0]
            code = getattr(why.orig, "sqlite_errorcode", None)
            # The extended codes of SQLite hold the primary one in their low byte.
            if code is not None and code & 0xFF not in _SQLITE_DISK:
                raise InputError(
                    f"is no ledger ({reason})", file=self._name, mend="name another file"
                ) from None
            raise StorageError(f"The ledger {self._name} cannot be used ({reason}).") from why


def _escaped(row: dict[str, str]) -> dict[str, str]:
    """Text for a database: NUL and lone surrogates, which PostgreSQL or UTF-8 refuse, as JSON escapes."""
    return {name: json.dumps(text)[1:-1] for name, text in row.items()}


def _unescaped(text: str) -> str:
    return str(json.loads(f'"{text}"'))


def _engine(where: str | Path) -> "tuple[str, Engine]":
    """The name for messages, without a password, and the engine."""
    from sqlalchemy import create_engine, event

    url = _url(where)
    name = url.render_as_string()
    try:
        engine = create_engine(url)
    except ModuleNotFoundError as why:
        raise InputError(f"needs the package {why.name}", file=name, mend="install it") from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        name = url.database or name
    return name, engine


def _url(where: str | Path) -> "URL":
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        if "://" not in str(where):
            return URL.create("sqlite", database=str(where))
        url = make_url(str(where))
        if url.get_dialect().name in ("sqlite", "postgresql"):
            return url
    except (ArgumentError, NoSuchModuleError):
        pass
    # The rest of the URL may hold a password.
    scheme = str(where).partition("://")[0]
    raise InputError(f"no ledger can be kept at {scheme}://", mend="name a file or postgresql+psycopg://...")


def _prepare_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={1000 * _BUSY_SECONDS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _tables() -> "tuple[Table, Table]":
    from sqlalchemy import Column, Double, MetaData, String, Table, Text

    metadata = MetaData()
    # Ids are digests: PostgreSQL indexes no text of several kB, and a key may be a prompt.
    uses = Table(
        "uses",
        metadata,
        Column("id", String(64), primary_key=True),
        *(Column(name, Text, nullable=False) for name in ("kind", "key", "component")),
        Column("amount", Double, nullable=False),
    )
    runs = Table(
        "runs",
        metadata,
        Column("id", String(64), primary_key=True),
        *(Column(name, Text, nullable=False) for name in ("path", "config_hash", "verb", "verdict")),
    )
    return uses, runs
