"""The headings of a foreign document: which become categories, principles, response styles or sections."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from truing.spec.markdown import Part, slug
from truing.spec.model import SECTIONS
from truing.spec.reading import RESERVED

_ATTRIBUTES = re.compile(r" ?\{([^{}]*)\}$")
_SECTIONS = {title.casefold(): name for name, title in SECTIONS.items()}
_STYLES = ("response styles", "response types")


class Role(StrEnum):
    """What a heading becomes."""

    category = "category"
    principle = "principle"
    style = "style"
    section = "section"
    group = "group"
    """Nothing of its own: it only holds other headings."""


@dataclass(slots=True)
class Heading:
    """A heading, what it becomes, and under which id; `section` is its name, where it is a section of `parent`."""

    part: Part
    title: str
    id: str
    attributes: str
    parent: "Heading | None"
    anchor: str
    """What references in the document call it."""
    role: Role = Role.group
    section: str = ""
    children: list["Heading"] = field(default_factory=list)


def headings_of(parts: Sequence[Part]) -> list[Heading]:
    """The headings in their order, each with its role.

    A heading called like a section of a category (Definitions, Allowed, ...) is that section of the
    heading above it. Those below "Response styles" are styles. One whose title speaks of principles is
    a principle. Any other that has text of its own, or such sections, is a category; where there would
    be none, every heading with text is one.
    """
    found: list[Heading] = []
    above: list[Heading] = []
    for part in parts:
        while above and above[-1].part.level >= part.level:
            above.pop()
        title = " ".join(part.title.split())
        match = _ATTRIBUTES.search(title)
        title = title[: match.start()] if match else title
        words = match[1].split() if match else []
        anchor = next((word[1:] for word in words if word.startswith("#")), "")
        others = " ".join(word for word in words if not word.startswith("#"))
        name = slug(anchor or title)[:80].strip("_")
        heading = Heading(part, title, name, others, above[-1] if above else None, name)
        if heading.parent:
            heading.parent.children.append(heading)
        found.append(heading)
        above.append(heading)
    taken: dict[str, set[str]] = {}
    for heading in found:
        _give_role(heading)
    for heading in found:
        if heading.role is Role.group and any(child.role is Role.section for child in heading.children):
            heading.role = Role.category
    if not any(heading.role is Role.category for heading in found):
        for heading in found:
            heading.role = Role.category if heading.part.text else Role.group
    for heading in found:
        heading.id = _free(
            heading.id or str(heading.role), taken.setdefault(heading.role, set()), heading.role
        )
    return found


def _give_role(heading: Heading) -> None:
    parent, name = heading.parent, heading.title.casefold()
    if not heading.part.text:
        heading.role = Role.group
    elif parent and parent.role in (Role.category, Role.group) and name in _SECTIONS:
        heading.role, heading.section = Role.section, _SECTIONS[name]
    elif parent and parent.title.casefold() in _STYLES:
        heading.role = Role.style
    elif "principle" in name:
        heading.role = Role.principle
    else:
        heading.role = Role.category


def _free(id: str, taken: set[str], role: Role) -> str:
    """The id, or with the first number that nobody has; what citations begin with is taken."""
    reserved = RESERVED if role is Role.category else ("unstated",)
    free, count = id, 1
    while free in taken or free in reserved:
        count += 1
        free = f"{id}_{count}"
    taken.add(free)
    return free
