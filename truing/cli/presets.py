"""Numbers by name, and the options that win over them."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from truing.types import InputError

C = TypeVar("C")


def with_preset(given: C, preset: str, presets: Mapping[str, C]) -> C:
    """The preset's numbers, but for those that were given as options.

    Raises:
        InputError: there is no preset of that name.
    """
    if not preset:
        return given
    if preset not in presets:
        raise InputError(f"there is no preset {preset!r}", mend=f"choose from {', '.join(presets)}")
    usual: Any = type(given)()
    named = {f.name: getattr(given, f.name) for f in fields(usual)}
    chosen: Any = presets[preset]
    found: C = replace(chosen, **{name: v for name, v in named.items() if v != getattr(usual, name)})
    return found
