"""What a model is shown of a specification when one category matters: spec(category).

Deliberative alignment (Guan et al. 2024, arXiv 2412.16339, section 2.3): the whole is too long for a
context, so it gets the summaries of all categories, the principles and styles, and one category in full.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from truing.types import InputError, Record, digest

if TYPE_CHECKING:
    from truing.spec.model import Category, Section, Spec


@dataclass(frozen=True, slots=True)
class Excerpt(Record):
    """A text for a model, and the citations of what was cut from it, in the order of cutting."""

    text: str
    cut: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the text: what depends on it depends on no other part of the specification."""
        return digest(self.text)


def rough_tokens(text: str) -> int:
    """About how many tokens a text takes, rather too many: one for three bytes of UTF-8."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // 3)


@dataclass(frozen=True, slots=True)
class _Group:
    """A heading and what stands below it: how each piece is cut (empty: never), and its text.

    Where all pieces are cut, the heading goes with them.
    """

    heading: str
    pieces: list[tuple[str, str]]
    between: str = "\n\n"

    def without(self, cut: Collection[str]) -> str:
        left = [text for cite, text in self.pieces if cite not in cut or not cite]
        return "\n\n".join([self.heading, self.between.join(left)]) if left else ""


def excerpt(
    spec: "Spec", category: "Category", budget: int | None, count_tokens: Callable[[str], int]
) -> Excerpt:
    """See `Spec.for_category`."""
    groups = _groups(spec, category)
    if budget is None:
        return _without(groups, [])
    order = _cutting_order(spec, category)
    shortest = _without(groups, order)
    if (least := count_tokens(shortest.text)) > budget:
        raise _too_long(category, groups[0], budget, least, count_tokens)
    fewest, most = 0, len(order)
    while fewest < most:  # the first `most` cuts are known to be enough
        middle = (fewest + most) // 2
        if count_tokens(_without(groups, order[:middle]).text) <= budget:
            most = middle
        else:
            fewest = middle + 1
    return _without(groups, order[:most])


def _groups(spec: "Spec", category: "Category") -> list[_Group]:
    summaries = "\n".join(f"- {one.id} ({one.title}): {one.summary}" for one in spec.categories)
    principles = [(one.cite, f"## {one.title} [{one.cite}]\n\n{one.text}") for one in spec.principles]
    styles = [(one.cite, f"## {one.id} [{one.cite}]\n\n{one.text}") for one in spec.styles]
    sections = [
        (
            "" if section.clauses else f"{category.id}.{section.name}",
            f"## {section.title}\n\n{_cited(section)}",
        )
        for section in category.sections
        if section.blocks
    ]
    examples = [
        (f"{category.id}.examples.{count}", f"- {one.as_line}")
        for count, one in enumerate(category.examples, start=1)
        if one.stated
    ]
    return [
        _Group("# All categories in short", [("", summaries)]),
        _Group("# Principles", principles),
        _Group("# Response styles", styles),
        _Group(f"# {category.title} [{category.id}]", [("", category.summary), *sections]),
        _Group("## Examples", examples, between="\n"),
    ]


def _cited(section: "Section") -> str:
    """The section as it stands, each clause beginning with its citation."""
    return "\n\n".join(
        f"[{block.cite}] {block.text}" if block.cite else block.text for block in section.blocks
    )


def _cutting_order(spec: "Spec", category: "Category") -> list[str]:
    named = {one.expects for one in category.examples}
    named |= {style.id for style in spec.styles if style.id in category.style}
    order = _examples_to_cut(category)
    order += [style.cite for style in reversed(spec.styles) if style.id not in named]
    order += [principle.cite for principle in reversed(spec.principles)]
    order += [style.cite for style in reversed(spec.styles) if style.id in named]
    return order + [
        f"{category.id}.{name}" for name in ("style", "definitions") if category.section(name).blocks
    ]


def _examples_to_cut(category: "Category") -> list[str]:
    """The last one of the response type that has most left, again and again, so that each keeps its share."""
    left: dict[str, list[str]] = {}
    for count, one in enumerate(category.examples, start=1):
        if one.stated:
            left.setdefault(one.expects, []).append(f"{category.id}.examples.{count}")
    order: list[str] = []
    for _ in range(sum(map(len, left.values()))):
        order.append(max(reversed(left.values()), key=len).pop())
    return order


def _without(groups: list[_Group], cut: Sequence[str]) -> Excerpt:
    texts = [text for group in groups if (text := group.without(set(cut)))]
    return Excerpt("\n\n".join(texts) + "\n", tuple(cut))


def _too_long(
    category: "Category", summaries: _Group, budget: int, least: int, count_tokens: Callable[[str], int]
) -> InputError:
    alone = count_tokens(summaries.without(()))
    if alone > budget:
        problem = (
            f"the summaries of all categories alone take {alone} tokens, more than the budget of {budget}"
        )
        return InputError(problem, mend="shorten the summaries, or give a larger budget")
    problem = f"the summaries and the clauses of {category.id} take {least} tokens, more than the budget of {budget}"
    return InputError(problem, mend=f"give at least {least}, or split the category: no clause is ever cut")
