"""Numbers by name or by the model's size, the options that win over them, and what they would take."""

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from truing.cli.app import Exit, options_given
from truing.methods import SIZE_PRESETS
from truing.types import InputError

C = TypeVar("C")


def with_preset(given: C, preset: str, presets: Mapping[str, C], *, method: str) -> C:
    """The numbers of a size or of a preset of the method's own, but for those that stand on the command line.

    Raises:
        InputError: there is no preset of that name.
    """
    if not preset:
        return given
    usual: Any = type(given)()
    sizes = {size: replace(usual, **numbers) for size, numbers in SIZE_PRESETS[method].items()}
    known: dict[str, Any] = {**presets, **sizes}
    if preset not in known:
        raise InputError(f"there is no preset {preset!r}", mend=f"choose from {', '.join(known)}")
    options = options_given()
    found: C = replace(
        known[preset], **{f.name: getattr(given, f.name) for f in fields(usual) if f.name in options}
    )
    return found


def dry(method: str, model: str, config: Any, *, as_json: bool) -> int:
    """Print the peak memory of a training that is not begun."""
    from truing.recipes import DryMethod, dry_run, dry_table

    rows = getattr(config, "prompts_per_update", 0) * getattr(config, "samples_per_prompt", 0)
    found = dry_run(model, DryMethod(method, config.recompute, getattr(config, "lora_rank", 0), rows))
    print(dry_table(found))
    if as_json:
        print(json.dumps(found))
    return Exit.passed
