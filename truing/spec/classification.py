"""Sorting labelled answers into the classes of a rule set."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truing.data import Row, read_jsonl
from truing.spec.rules import RuleSet
from truing.types import InputError, Record


@dataclass(frozen=True, slots=True)
class Placed(Record):
    """A record of a file: its row, what the request called for, and all classes that its answer falls in."""

    row: int
    response_type: str
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Classification:
    """The records of a file and the rules that sorted them."""

    rules: RuleSet
    placed: tuple[Placed, ...]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How many records of each response type are in each class, those in exactly one; zeros are told."""
        counts = {
            name: {rule.name: 0 for rule in self.rules.of(name)}
            for name in self.rules.response_types
            if any(one.response_type == name for one in self.placed)
        }
        for one in self.placed:
            if len(one.classes) == 1:
                counts[one.response_type][one.classes[0]] += 1
        return counts

    @property
    def in_none(self) -> tuple[Placed, ...]:
        """The records that no class takes."""
        return tuple(one for one in self.placed if not one.classes)

    @property
    def in_several(self) -> tuple[Placed, ...]:
        """The records that more than one class takes."""
        return tuple(one for one in self.placed if len(one.classes) > 1)


def classify_file(path: str | Path, rules: RuleSet) -> Classification:
    """Sort the records of a JSONL file: `response_type`, and `propositions` with a boolean for each.

    A response type is read whatever its case and spacing: `Safe Refuse 1` is `safe_refuse_1`. Other
    fields, and propositions that the rules do not use, do not count.

    Raises:
        InputError: no such file, no records, or malformed ones: the sentence is about the first, and
            names the rows of the others.
    """
    wrong: list[InputError] = []
    placed: list[Placed] = []
    for row in read_jsonl(path, on_error=wrong.append):
        try:
            placed.append(_placed(row, rules))
        except InputError as why:
            wrong.append(InputError(why.problem, file=path, row=row.number, mend=why.mend))
    if wrong:
        raise _all_of(wrong)
    if not placed:
        raise InputError("holds no records", file=path, mend="give one JSON object a line")
    return Classification(rules, tuple(placed))


def _placed(row: Row, rules: RuleSet) -> Placed:
    told, truths = row.data.get("response_type"), row.data.get("propositions")
    known = ", ".join(rules.response_types)
    if not isinstance(told, str):
        raise InputError("has no text response_type", mend=f"give it one of {known}")
    try:
        name = rules.response_type(told)
    except ValueError:
        raise InputError(f"has the response_type {told!r}", mend=f"the rules know {known}") from None
    if not isinstance(truths, dict):
        raise InputError(
            "has no object propositions", mend='write "propositions": {"NAME": true or false, ...}'
        )
    _check(truths, name, rules)
    return Placed(row.number, name, rules.matches(truths, name))


def _check(truths: Mapping[str, Any], response_type: str, rules: RuleSet) -> None:
    for name in rules.needed(response_type):
        if name not in truths:
            raise InputError(
                f"lacks the proposition {name!r}", mend=f"{response_type} needs it: say true or false"
            )
    for name, truth in truths.items():
        if not isinstance(truth, bool):
            problem = f"gives the proposition {name!r} the value {truth!r}"[:200]
            raise InputError(problem, mend="write true or false, without quotes")


def _all_of(wrong: list[InputError]) -> InputError:
    first, others = wrong[0], [str(why.row) for why in wrong[1:]]
    if not others:
        return first
    rows = ", ".join(others[:10]) + (f" and {len(others) - 10} more" if len(others) > 10 else "")
    problem = f"{first.problem} ({len(others) + 1} rows are malformed: also {rows})"
    return InputError(problem, file=first.file, row=first.row, mend=first.mend)
