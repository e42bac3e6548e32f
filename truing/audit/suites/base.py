"""What a suite is, and how the registry opens it by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    """A suite read from its files: items in file order, what was left out, SHA-256 of each file.

    `margins` are for dimensions of which it holds too few items to show a small loss: the smallest
    loss worth asking for, by dimension. `max_tokens` is what its answers need, where that is known.
    """

    suite: str
    version: str
    items: tuple[Item, ...]
    files: dict[str, str]
    unmeasured: tuple[Unmeasured, ...] = ()
    margins: Mapping[str, float] = field(default_factory=dict)
    max_tokens: int | None = None


class Plan(Protocol):
    """How many items of a dimension are needed."""

    def __call__(self, dimensions: int, margin: float) -> int:
        """Items with which a loss of `margin` (or what the policy asks, if that is more) is found."""
        ...


class Suite(Protocol):
    """A benchmark: turns its files into items. `version` moves whenever an item could change.

    A suite that makes its questions has a method `draw(source, *, plan: Plan, key: int)` besides, and
    is asked for as many as the plan needs.
    """

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


def usual_suite(*refs: str) -> str:
    """The suite that is made for models of one scheme and called like it, as `organism` is.

    Raises:
        InputError: the references have no scheme in common, or there is no such suite.
    """
    schemes = {ref.partition(":")[0] for ref in refs}
    if len(schemes) == 1 and (scheme := schemes.pop()) in suite_names():
        return scheme
    raise InputError("nothing says what is to be asked", mend=f"name a suite: {', '.join(suite_names())}")


def load_suites(specs: str, *, plan: Plan | None = None, key: int = 0) -> list[Loaded]:
    """Load every suite of `NAME[:FOLDER|FILE|HUB_ID],...`, in the order given.

    Suites that make their questions draw them by `key`, as many as `plan` asks for.

    Raises:
        InputError: a suite is unknown, named twice, or holds no item; two items share an id.
    """
    parts = [part.strip() for part in specs.split(",")]
    if "" in parts or len(set(parts)) < len(parts):
        raise InputError(
            f"the suites {specs!r} hold an empty or a repeated name", mend="name each suite once"
        )
    loaded: list[Loaded] = []
    for name, _, source in (part.partition(":") for part in parts):
        suite = _open(name)
        makes = getattr(suite, "draw", None) if plan is not None else None
        loaded.append(makes(source or None, plan=plan, key=key) if makes else suite.load(source or None))
    for part, read in zip(parts, loaded, strict=True):
        if not read.items:
            raise InputError(f"the suite {part!r} holds no item that can be asked", mend="check its files")
    _refuse_equal_ids([item for read in loaded for item in read.items])
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
