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
        for name, canonical in _LAYOUTS[type(self)].cleaned:
            value = getattr(self, name)
            clean = canonical(value)
            if clean is not value:
                object.__setattr__(self, name, clean)
        self.check()

    def check(self) -> None:
        """Raise ValueError, in one sentence, if the fields contradict each other."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data. A field that holds its default is left out."""
        out: dict[str, Any] = {}
        for name, default, encode in _LAYOUTS[type(self)].written:
            value = getattr(self, name)
            if value is not default and (default is dataclasses.MISSING or value != default):
                out[name] = encode(value)
        return out

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Rebuild a record from `to_json` data.

        Raises:
            ValueError: a field is unknown, missing or of the wrong type; the sentence names it.
        """
        decoders = _LAYOUTS[cls].decoders
        try:
            return cls(**{name: decoders[name](value) for name, value in data.items()})  # type: ignore[attr-defined]
        except Exception:
            return cls._by_field(data)

    @classmethod
    def _by_field(cls, data: object) -> Self:
        """As `from_json`, field by field, so that what is wrong can be named."""
        if not isinstance(data, dict):
            raise ValueError(f"a {cls.__name__} is a JSON object, not {_kind(data)}")
        decoders = _LAYOUTS[cls].decoders
        if unknown := sorted(set(data) - set(decoders)):
            raise ValueError(f"a {cls.__name__} has no field {unknown[0]!r}")
        fields: dict[str, Any] = {}
        for name, value in data.items():
            try:
                fields[name] = decoders[name](value)
            except ValueError as why:
                raise ValueError(f"{cls.__name__}.{name}: {why}") from None
        try:
            return cls(**fields)
        except TypeError:
            missing = [f.name for f in dataclasses.fields(cls) if f.name not in fields and _required(f)]  # type: ignore[arg-type]
            raise ValueError(f"a {cls.__name__} needs the field {missing[0]!r}") from None


def dumps(value: object) -> str:
    """One line of ASCII JSON for a record or any JSON value; keys in the order given."""
    return _written(value, _IN_ORDER)


def loads(cls: type[R], text: str) -> R:
    """The record of class `cls` that `dumps` wrote.

    Raises:
        ValueError: not JSON, or not such a record.
    """
    return cls.from_json(json.loads(text))


def digest(value: object) -> str:
    """SHA-256 (hex) of the canonical JSON of a record or JSON value; key order does not count."""
    return hashlib.sha256(_written(value, _SORTED).encode("ascii")).hexdigest()


_IN_ORDER = json.JSONEncoder(check_circular=False, allow_nan=False, separators=(",", ":"), default=thaw)
_SORTED = json.JSONEncoder(
    check_circular=False, allow_nan=False, separators=(",", ":"), default=thaw, sort_keys=True
)
_TEXT = frozenset((str,))
_ATOMS = frozenset((str, int, float, bool, type(None), FrozenDict))


def _written(value: object, encoder: json.JSONEncoder) -> str:
    if isinstance(value, Record):
        return encoder.encode(value.to_json())
    try:
        if _is_plain(value):
            return encoder.encode(value)
    except ValueError:  # a number that JSON has no form for: below, the sentence says which
        pass
    return encoder.encode(thaw(freeze(value)))


def _is_plain(value: Any) -> bool:
    """Whether the encoder writes a value just as it would write what `freeze` makes of it.

    Halves of a surrogate pair are written alike, joined or not; only among keys they could matter.
    """
    kind = type(value)
    if kind in _ATOMS:
        return True
    if kind is dict:
        if not (_TEXT.issuperset(map(type, value)) and "".join(value).isascii()):
            return False
        value = value.values()
    elif kind is not list and kind is not tuple:
        return False
    return _ATOMS.issuperset(map(type, value)) or all(map(_is_plain, value))


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
    members = {member.value: member for member in kind if type(member.value) is str}

    def decode(value: Any) -> Enum:
        if type(value) is kind:
            return value
        if type(value) is str and value in members:
            return members[value]
        try:
            return kind(value)
        except ValueError:
            known = ", ".join(str(member.value) for member in kind)
            raise ValueError(f"{value!r} is none of {known}") from None

    return _Codec(decode, lambda v: v.value, decode)


def _tuple_codec(item: _Codec, kind: Any) -> _Codec:
    """Of numbers, which are many, all are taken at once where nothing can be wrong with them."""

    def canonical(value: Any) -> tuple[Any, ...]:
        if item.canonical is _same:
            return value if type(value) is tuple else tuple(value)
        clean = tuple(item.canonical(v) for v in value)
        same = type(value) is tuple and all(a is b for a, b in zip(clean, value, strict=True))
        return value if same else clean

    def encode(value: Any) -> list[Any]:
        if item.encode is _same:
            return list(value)
        if kind is float and math.isfinite(sum(value)):
            return list(map(float, value))
        return [item.encode(v) for v in value]

    def decode(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"expected an array, found {_kind(value)}")
        if kind in (int, float, bool) and {kind}.issuperset(map(type, value)):
            return tuple(value)
        return tuple(item.decode(v) for v in value)

    return _Codec(canonical, encode, decode)


def _optional(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    if function is _same:
        return _same
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
        return _tuple_codec(_codec(args[0]), args[0])
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


@dataclasses.dataclass(frozen=True)
class _Layout:
    """The fields of a class as its records need them: to clean, to write, to read."""

    cleaned: tuple[tuple[str, Callable[[Any], Any]], ...]
    written: tuple[tuple[str, Any, Callable[[Any], Any]], ...]
    decoders: dict[str, Callable[[Any], Any]]


class _Layouts(dict[type, _Layout]):
    def __missing__(self, cls: type[Record]) -> _Layout:
        hints, fields = typing.get_type_hints(cls), dataclasses.fields(cls)  # type: ignore[arg-type]
        codecs = [(field, _codec(hints[field.name])) for field in fields]
        self[cls] = _Layout(
            tuple((f.name, codec.canonical) for f, codec in codecs if codec.canonical is not _same),
            tuple((f.name, f.default, codec.encode) for f, codec in codecs),
            {f.name: codec.decode for f, codec in codecs},
        )
        return self[cls]


_LAYOUTS = _Layouts()
