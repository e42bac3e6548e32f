"""Immutable JSON values, and text that survives a JSON round trip exactly."""

import math
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | tuple[Json, ...] | FrozenDict | None"
"""A JSON value in its immutable form: arrays are tuples, objects are `FrozenDict`s."""

_SPLIT_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def canonical_text(text: str) -> str:
    """Join surrogate halves that stand next to each other into the character they encode.

    JSON cannot tell an escaped pair from the character itself, so the two spellings must be one
    value here. A *lone* surrogate is kept: it is what a broken file contained.
    """
    if text.isascii() or not _SPLIT_PAIR.search(text):
        return text
    return _SPLIT_PAIR.sub(lambda m: m[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le"), text)


class FrozenDict(Mapping[str, Any]):
    """A hashable, immutable mapping from text to JSON values. Order is kept but does not count."""

    __slots__ = ("_data", "_hash")

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        frozen: dict[str, Json] = {}
        for key, value in (data or {}).items():
            if not isinstance(key, str):
                raise ValueError(f"the keys of a JSON object are text, not {type(key).__name__} ({key!r})")
            frozen[canonical_text(key)] = freeze(value)
        self._data = frozen
        self._hash: int | None = None

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._data.items()))
        return self._hash

    def __repr__(self) -> str:
        return f"FrozenDict({self._data!r})"

    def __reduce__(self) -> tuple[type["FrozenDict"], tuple[dict[str, Any]]]:
        return FrozenDict, (self._data,)


def freeze(value: object) -> Json:
    """Make a JSON value immutable.

    Raises:
        ValueError: the value holds something JSON has no form for (NaN, infinities, other types).
    """
    if value is None or isinstance(value, (bool, FrozenDict)):
        return value
    if isinstance(value, Enum):
        return freeze(value.value)
    if isinstance(value, str):
        return canonical_text(value)
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"JSON has no form for {value!r}")
        return value
    if isinstance(value, Mapping):
        return FrozenDict(value)
    if isinstance(value, (list, tuple)):
        return tuple(freeze(v) for v in value)
    raise ValueError(f"JSON has no form for a {type(value).__name__}")


def thaw(value: Json) -> Any:
    """The plain dicts and lists behind a frozen value, for libraries that insist on them."""
    if isinstance(value, FrozenDict):
        return {k: thaw(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return [thaw(v) for v in value]
    return value
