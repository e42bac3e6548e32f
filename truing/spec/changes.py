"""One difference between two specifications."""

from dataclasses import dataclass
from enum import StrEnum

from truing.types import Record


class Kind(StrEnum):
    """What became of a part."""

    added = "added"
    removed = "removed"
    moved = "moved"
    """The same words in another place: a clause in another section, an example in another category."""
    changed = "changed"
    rewritten = "rewritten"
    """Other words that mean exactly the same: rules that put every possible answer in the class it was in."""


@dataclass(frozen=True, slots=True)
class Change(Record):
    """A part that differs: `what` it is, how it is cited, and its words before and after.

    `what` is category, title, summary, definitions, style, text, clause, example, expects, principle,
    question, shots, template, order or rules. Of a part that moved, `before` and `after` are the places.
    """

    kind: Kind
    what: str
    cite: str
    before: str = ""
    after: str = ""


def change_of(what: str, cite: str, before: str, after: str) -> list[Change]:
    """The change from one text to another, where an empty one is none at all; nothing, if they are equal."""
    if before == after:
        return []
    kind = Kind.added if not before else Kind.removed if not after else Kind.changed
    return [Change(kind, what, cite, before, after)]
