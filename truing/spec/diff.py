"""What a new version of a specification changes: in behaviour where that can be told, and else in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truing.spec.analysis import Reclassified, reclassified
from truing.spec.changes import Change, Kind, change_of
from truing.spec.diagrams import TooEntangled
from truing.spec.diff_texts import changed_texts
from truing.spec.model import Spec
from truing.spec.propositions import Proposition
from truing.spec.rules import RuleSet
from truing.spec.rules_reading import read_rules
from truing.spec.shipped import is_rules, read_spec
from truing.types import InputError, dumps


@dataclass(frozen=True, slots=True)
class SpecDiff:
    """All differences between two specifications, or two rule sets.

    `classes` has the response types that both have and in which some possible answer changes its class.
    """

    before: str
    after: str
    changes: tuple[Change, ...]
    classes: tuple[Reclassified, ...]

    def __bool__(self) -> bool:
        return bool(self.changes or self.classes)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data: digests, changes, and for each response type the moves between classes."""
        return {
            "before": self.before,
            "after": self.after,
            "changes": [change.to_json() for change in self.changes],
            "classes": {
                one.response_type: {
                    "answers": 2 ** len(one.of),
                    "changed": one.count,
                    "moves": [
                        {"before": before, "after": after, **answers.to_json()}
                        for (before, after), answers in one.moves.items()
                    ],
                }
                for one in self.classes
            },
        }


def diff_specs(before: str | Path, after: str | Path) -> SpecDiff:
    """Compare two specifications (folders or names), or two files of rules.

    Raises:
        InputError: one of them cannot be read, or their classes are too entangled to be compared.
    """
    old, new = _read(before), _read(after)
    changes = [*changed_texts(old, new), *_changed_rules(old.rules, new.rules)]
    classes: list[Reclassified] = []
    if old.rules and new.rules:
        for name in _both(old.rules, new.rules):
            moved = _reclassified(old.rules, new.rules, name)
            if moved.moves:
                classes.append(moved)
            elif old.rules.rules_digest(name) != new.rules.rules_digest(name):
                changes.append(Change(Kind.rewritten, "rules", f"rules.{name}"))
    return SpecDiff(old.digest, new.digest, tuple(changes), tuple(classes))


def _read(path_or_name: str | Path) -> Spec:
    if is_rules(path_or_name):
        return Spec("", "", (), (), (), read_rules(path_or_name))
    return read_spec(path_or_name)


def _changed_rules(before: RuleSet | None, after: RuleSet | None) -> Iterator[Change]:
    """Propositions, the template, and response types that only one of the two has."""
    old, new = (
        {one.name: one for one in rules.propositions} if rules else dict[str, Proposition]()
        for rules in (before, after)
    )
    for name in old | new:
        was, is_ = old.get(name), new.get(name)
        cite = f"proposition.{name}"
        yield from change_of("question", cite, was.question if was else "", is_.question if is_ else "")
        if was and is_:
            yield from change_of("shots", cite, *("\n".join(map(dumps, one.examples)) for one in (was, is_)))
    types = [rules.response_types if rules else () for rules in (before, after)]
    for name in dict.fromkeys((*types[0], *types[1])):
        told = [name if name in some else "" for some in types]
        yield from change_of("rules", f"rules.{name}", *told)
    if before and after:
        yield from change_of("template", "template", before.template, after.template)
        yield from change_of("order", "order", " > ".join(before.order), " > ".join(after.order))


def _both(before: RuleSet, after: RuleSet) -> list[str]:
    return [name for name in before.response_types if name in after.response_types]


def _reclassified(before: RuleSet, after: RuleSet, response_type: str) -> Reclassified:
    try:
        return reclassified(before, after, response_type)
    except TooEntangled as why:
        problem = f"the classes of {response_type!r} are too entangled to be compared ({why})"
        raise InputError(problem, mend="use fewer propositions, or split the expressions") from None
