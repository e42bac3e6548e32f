"""The fast ways of records to JSON and back do what the plain ones do, which are written out here."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_types_round_trip import json_values, records, text

from truing.types import (
    Completion,
    Dist,
    Fingerprint,
    FrozenDict,
    Message,
    Outcome,
    Record,
    Role,
    Stop,
    canonical_text,
    digest,
    dumps,
    freeze,
    thaw,
)

NUMBERS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def plain_dumps(value: object, **more: bool) -> str:
    data = plain_json(value) if isinstance(value, Record) else thaw(freeze(value))
    return json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"), **more)  # type: ignore[arg-type]


def plain_digest(value: object) -> str:
    return hashlib.sha256(plain_dumps(value, sort_keys=True).encode()).hexdigest()


def plain_json(record: Record) -> dict[str, Any]:
    hints = get_type_hints(type(record))
    told = {f.name: (getattr(record, f.name), f.default) for f in dataclasses.fields(record)}  # type: ignore[arg-type]
    return {n: plain_encode(hints[n], v) for n, (v, d) in told.items() if d is dataclasses.MISSING or v != d}


def plain_encode(hint: Any, value: Any) -> Any:
    if isinstance(value, Record):
        return plain_json(value)
    if isinstance(value, tuple):
        return [plain_encode(hint, one) for one in value]
    if isinstance(value, Enum):
        return value.value
    if "float" in str(hint) and value is not None:
        return float(value) if math.isfinite(value) else str(float(value))
    return thaw(value)


def plain_record(cls: type[Record], data: Any) -> Record:
    hints = get_type_hints(cls)
    if not isinstance(data, dict) or set(data) - set(hints):
        raise ValueError
    try:
        return cls(**{name: plain_decode(hints[name], value) for name, value in data.items()})
    except TypeError:
        raise ValueError from None


def plain_decode(hint: Any, value: Any) -> Any:
    if type(None) in get_args(hint):
        return None if value is None else plain_decode(get_args(hint)[0], value)
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(plain_decode(get_args(hint)[0], one) for one in value)
    if isinstance(hint, type) and issubclass(hint, Record):
        return plain_record(hint, value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if hint is float and isinstance(value, str) and value in NUMBERS:
        return NUMBERS[value]
    if hint is float and type(value) in (int, float):
        return float(value)
    if hint is str and isinstance(value, str):
        return canonical_text(value)
    if hint is FrozenDict and isinstance(value, dict):
        return FrozenDict(value)
    if hint in (bool, int) and type(value) is hint:
        return value
    raise ValueError


def outcome(function: Callable[..., Any], *values: Any) -> Any:
    """The result, or that there was none; an exception of another kind is a failure."""
    try:
        return function(*values)
    except ValueError:
        return "refused"


keys = text | st.sampled_from(["\ud83d\ude00", "\U0001f600", "\uffff", Role.user]) | st.integers(0, 3)
leaves = json_values | st.floats() | st.sampled_from([Role.user, Outcome.error, {1}, b"", Fingerprint("w")])
anything = st.recursive(
    leaves | st.dictionaries(text, json_values, max_size=2).map(FrozenDict),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=8,
)
mixed = st.lists(st.sampled_from([0, 1, -7, True, 0.5, -0.0, "inf", "nan", "x", None, [1]]), max_size=4)


@given(records | anything)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=400, deadline=None)
def test_text_and_digest_are_those_of_the_plain_way_or_both_refuse(value: object) -> None:
    assert outcome(dumps, value) == outcome(plain_dumps, value)
    assert outcome(digest, value) == outcome(plain_digest, value)


@pytest.mark.parametrize("value", [math.nan, {"a": [math.inf]}, {1: 2}, {"a": {1}}, Fingerprint])
def test_what_json_has_no_form_for_is_refused_in_the_same_words(value: object) -> None:
    with pytest.raises(ValueError, match="JSON") as plain:
        plain_dumps(value)
    with pytest.raises(ValueError, match="JSON") as fast:
        dumps(value)
    assert str(fast.value) == str(plain.value)


@given(records, st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=400, deadline=None)
def test_a_record_is_read_as_the_plain_way_reads_it_or_both_refuse(
    record: Record, data: st.DataObject
) -> None:
    told = json.loads(dumps(record))
    names = [f.name for f in dataclasses.fields(record)]  # type: ignore[arg-type]
    for name in data.draw(st.lists(st.sampled_from([*names, "mood"]), max_size=2)):
        told[name] = data.draw(json_values.map(thaw) | mixed)
    for name in data.draw(st.lists(st.sampled_from(names), max_size=1)):
        told.pop(name, None)
    # repr tells 1 from 1.0 and True, and NaN equals itself in it
    assert repr(outcome(type(record).from_json, told)) == repr(outcome(plain_record, type(record), told))


def test_a_record_that_is_built_of_lists_and_bare_text_is_the_record_of_tuples_and_members() -> None:
    bare: Any = {"stop": "eos", "token_ids": [1, 2], "logprobs": [-0.5, -1]}
    built = Completion("a", 0, "\ud83d" + "\ude00", "", model=Fingerprint("w"), **bare)
    assert built == Completion(
        "a", 0, "\U0001f600", "", Stop.eos, Fingerprint("w"), token_ids=(1, 2), logprobs=(-0.5, -1.0)
    )
    assert type(built.stop) is Stop and type(built.token_ids) is tuple
    assert dumps(built).endswith('"token_ids":[1,2],"logprobs":[-0.5,-1.0]}')
    with pytest.raises(ValueError, match="'boss' is none of"):
        Message("boss", "")  # type: ignore[arg-type]


@pytest.mark.parametrize("numbers", [(1e308, 1e308), (math.inf, -math.inf), (math.nan,), (-0.0, 3), ()])
def test_numbers_that_add_up_to_none_are_still_written_one_by_one(numbers: tuple[float, ...]) -> None:
    dist = Dist((), numbers, 1.0)
    assert dist.to_json() == plain_json(dist)
    assert repr(Dist.from_json(dist.to_json())) == repr(Dist((), tuple(map(float, numbers)), 1.0))
