"""What a suite is, and how the registry opens it by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol, cast

from truing.types import InputError, Item


@dataclass(frozen=True)
class Unmeasured:
    """Something a report must not stay silent about: rows that were not asked, and why."""

    what: str
    rows: int
    why: str


@dataclass(frozen=True)
class Loaded:
    """A suite read from its files: items in file order, what was left out, SHA-256 of each file."""

    suite: str
    version: str
    items: tuple[Item, ...]
    files: dict[str, str]
    unmeasured: tuple[Unmeasured, ...] = ()


class Suite(Protocol):
    """A benchmark: turns its files into items. `version` moves whenever an item could change."""

    name: str
    version: str

    def load(self, source: str | None) -> Loaded:
        """Read the items from a file, a folder or a Hub id (None: the usual places).

        Raises:
            InputError: nothing is there, or a row cannot be read.
        """
        ...


def suite_names() -> list[str]:
    """The names of all registered suites, sorted."""
    return sorted({entry.name for entry in entry_points(group="truing.suites")})


def load_suites(specs: str) -> list[Loaded]:
    """Load every suite of `NAME[:FOLDER|FILE|HUB_ID],...`, in the order given.

    Raises:
        InputError: a suite is unknown, named twice, or holds no item; two items share an id.
    """
    parts = [part.strip() for part in specs.split(",")]
    if "" in parts or len(set(parts)) < len(parts):
        raise InputError(
            f"the suites {specs!r} hold an empty or a repeated name", mend="name each suite once"
        )
    loaded = [_open(name).load(source or None) for name, _, source in (part.partition(":") for part in parts)]
    for part, suite in zip(parts, loaded, strict=True):
        if not suite.items:
            raise InputError(f"the suite {part!r} holds no item that can be asked", mend="check its files")
    _refuse_equal_ids([item for suite in loaded for item in suite.items])
    return loaded


def _open(name: str) -> Suite:
    for entry in entry_points(group="truing.suites"):
        if entry.name == name:
            return cast(Suite, entry.load()())
    raise InputError(f"there is no suite {name!r}", mend=f"choose from {', '.join(suite_names())}")


def _refuse_equal_ids(items: Sequence[Item]) -> None:
    sources: dict[str, str] = {}
    for item in items:
        if item.id in sources:
            raise InputError(
                f"two items have the id {item.id!r} ({sources[item.id]} and {item.source})",
                mend="give every row an id of its own",
            )
        sources[item.id] = item.source
