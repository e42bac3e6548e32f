"""JSON as its standard has it: no NaN, no key twice."""

import json
import math
from typing import Any

from truing.types import InputError


def parse_json(text: str) -> Any:
    """Plain data from JSON text.

    Raises:
        InputError: not JSON, a key appears twice, a number is NaN or infinite. The sentence names
            the place in the text and no file.
    """
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as why:
        where = (
            f"column {why.colno}" if "\n" not in text.strip() else f"line {why.lineno}, column {why.colno}"
        )
        raise InputError(f"is not JSON ({why.msg} at {where})", mend="mend or remove it") from None
    except RecursionError:
        raise InputError("is nested too deeply", mend="mend or remove it") from None
    except ValueError as why:
        raise InputError(str(why), mend="mend or remove it") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"has the key {twice!r} twice in one object")
    return data


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"holds {text[:20]}, which is too large for a number")
    return value


def _int(text: str) -> int:
    # Python refuses to read numbers of more than some thousand digits, for the time it takes.
    if len(text) > 1000:
        raise ValueError(f"holds a number of {len(text)} digits")
    return int(text)


def _constant(text: str) -> None:
    raise ValueError(f"holds {text}, which JSON has no form for")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant
)
