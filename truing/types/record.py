"""`Record`: the base of every type here; canonical on construction, exact through JSON."""

import dataclasses
import hashlib
import json
import math
import types
import typing
from collections.abc import Callable
from enum import Enum
from typing import Any, Self, TypeVar

from truing.types.frozen import FrozenDict, canonical_text, freeze, thaw

R = TypeVar("R", bound="Record")


class Record:
    """A frozen dataclass whose values are equal after a trip through JSON, whatever text they hold.

    Subclasses are `@dataclass(frozen=True, slots=True)`; fields are text, numbers, enums, records,
    tuples of these, `FrozenDict`, or any of these or None. What must hold between fields goes in
    `check`.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        for name, codec in _codecs(type(self)).items():
            value = getattr(self, name)
            clean = codec.canonical(value)
            if clean is not value:
                object.__setattr__(self, name, clean)
        self.check()

    def check(self) -> None:
        """Raise ValueError, in one sentence, if the fields contradict each other."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data. A field that holds its default is left out."""
        out: dict[str, Any] = {}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.default is not dataclasses.MISSING and value == field.default:
                continue
            out[field.name] = _codecs(type(self))[field.name].encode(value)
        return out

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Rebuild a record from `to_json` data.

        Raises:
            ValueError: a field is unknown, missing or of the wrong type; the sentence names it.
        """
        if not isinstance(data, dict):
            raise ValueError(f"a {cls.__name__} is a JSON object, not {_kind(data)}")
        codecs = _codecs(cls)
        if unknown := sorted(set(data) - set(codecs)):
            raise ValueError(f"a {cls.__name__} has no field {unknown[0]!r}")
        fields: dict[str, Any] = {}
        for name, value in data.items():
            try:
                fields[name] = codecs[name].decode(value)
            except ValueError as why:
                raise ValueError(f"{cls.__name__}.{name}: {why}") from None
        try:
            return cls(**fields)
        except TypeError:
            missing = [f.name for f in dataclasses.fields(cls) if f.name not in fields and _required(f)]  # type: ignore[arg-type]
            raise ValueError(f"a {cls.__name__} needs the field {missing[0]!r}") from None


def dumps(value: object) -> str:
    """One line of ASCII JSON for a record or any JSON value; keys in the order given."""
    data = value.to_json() if isinstance(value, Record) else thaw(freeze(value))
    return json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def loads(cls: type[R], text: str) -> R:
    """The record of class `cls` that `dumps` wrote.

    Raises:
        ValueError: not JSON, or not such a record.
    """
    return cls.from_json(json.loads(text))


def digest(value: object) -> str:
    """SHA-256 (hex) of the canonical JSON of a record or JSON value; key order does not count."""
    data = value.to_json() if isinstance(value, Record) else thaw(freeze(value))
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@dataclasses.dataclass(frozen=True)
class _Codec:
    canonical: Callable[[Any], Any]
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def _required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _same(value: Any) -> Any:
    return value


def _exactly(kind: type, name: str) -> Callable[[Any], Any]:
    def decode(value: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"expected {name}, found {_kind(value)}")
        return value

    return decode


def _decode_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, found {_kind(value)}")
    return canonical_text(value)


# JSON has no infinities, and a log-probability can be -inf: they travel as text.
_NOT_FINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def _encode_float(value: float) -> float | str:
    return float(value) if math.isfinite(value) else str(float(value))


def _decode_float(value: Any) -> float:
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"expected a number, found {_kind(value)}")
    return float(value)


def _frozen_dict(value: Any) -> FrozenDict:
    if isinstance(value, FrozenDict):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, found {_kind(value)}")
    return FrozenDict(value)


def _enum_codec(kind: type[Enum]) -> _Codec:
    def decode(value: Any) -> Enum:
        try:
            return kind(value)
        except ValueError:
            known = ", ".join(str(member.value) for member in kind)
            raise ValueError(f"{value!r} is none of {known}") from None

    return _Codec(decode, lambda v: v.value, decode)


def _tuple_codec(item: _Codec) -> _Codec:
    def canonical(value: Any) -> tuple[Any, ...]:
        clean = tuple(item.canonical(v) for v in value)
        same = type(value) is tuple and all(a is b for a, b in zip(clean, value, strict=True))
        return value if same else clean

    def decode(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"expected an array, found {_kind(value)}")
        return tuple(item.decode(v) for v in value)

    return _Codec(canonical, lambda value: [item.encode(v) for v in value], decode)


def _optional(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else function(value)


def _codec(hint: Any) -> _Codec:
    if hint in _PLAIN:
        return _PLAIN[hint]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum_codec(hint)
    if isinstance(hint, type) and issubclass(hint, Record):
        return _Codec(_same, lambda v: v.to_json(), hint.from_json)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return _tuple_codec(_codec(args[0]))
    if origin in (typing.Union, types.UnionType) and len(args) == 2 and type(None) in args:
        inner = _codec(next(a for a in args if a is not type(None)))
        return _Codec(_optional(inner.canonical), _optional(inner.encode), _optional(inner.decode))
    raise TypeError(f"a Record cannot hold a field of type {hint!r}")


_PLAIN: dict[Any, _Codec] = {
    str: _Codec(canonical_text, _same, _decode_text),
    bool: _Codec(_same, _same, _exactly(bool, "true or false")),
    int: _Codec(_same, _same, _exactly(int, "a whole number")),
    float: _Codec(_same, _encode_float, _decode_float),
    FrozenDict: _Codec(_frozen_dict, thaw, _frozen_dict),
}


_CODECS: dict[type, dict[str, _Codec]] = {}


def _codecs(cls: type[Record]) -> dict[str, _Codec]:
    if cls not in _CODECS:
        hints = typing.get_type_hints(cls)
        _CODECS[cls] = {f.name: _codec(hints[f.name]) for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    return _CODECS[cls]
