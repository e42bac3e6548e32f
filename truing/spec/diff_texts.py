"""How the texts of two specifications differ, clause by clause and example by example."""

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher

from truing.spec.changes import Change, Kind, change_of
from truing.spec.model import CLAUSED, Category, Clause, Spec

_ALIKE = 0.5
"""Two clauses that share this part of their words are one clause that was changed."""


def changed_texts(before: Spec, after: Spec) -> Iterator[Change]:
    """Principles, styles, categories, examples, in this order."""
    yield from change_of("title", "", before.title, after.title)
    principles = [
        {one.cite: f"{one.title}\n{one.text}" for one in spec.principles} for spec in (before, after)
    ]
    styles = [{one.cite: one.text for one in spec.styles} for spec in (before, after)]
    for what, (old, new) in (("principle", principles), ("style", styles)):
        for cite in old | new:
            yield from change_of(what, cite, old.get(cite, ""), new.get(cite, ""))
    categories = [{one.id: one for one in spec.categories} for spec in (before, after)]
    for id in sorted(categories[0] | categories[1]):
        was, is_ = categories[0].get(id), categories[1].get(id)
        if was and is_:
            yield from _category(was, is_)
        else:
            yield from change_of("category", id, was.summary if was else "", is_.summary if is_ else "")
    yield from _examples(before, after)


def _category(before: Category, after: Category) -> Iterator[Change]:
    yield from change_of("title", before.id, before.title, after.title)
    yield from change_of("summary", before.id, before.summary, after.summary)
    yield from change_of("definitions", before.id, before.definitions, after.definitions)
    yield from _clauses(before, after)
    for name in CLAUSED:
        between = [
            "\n\n".join(b.text for b in one.section(name).blocks if not b.cite) for one in (before, after)
        ]
        yield from change_of("text", f"{before.id}.{name}", *between)
    yield from change_of("style", before.id, before.style, after.style)


def _clauses(before: Category, after: Category) -> Iterator[Change]:
    """Clauses that are in both are left out, wherever in their section; then moved ones, then changed ones."""
    old, new = list(before.clauses), list(after.clauses)
    for same in (_is_same, _is_moved):
        for clause in list(old):
            other = next((one for one in new if same(clause, one)), None)
            if other:
                old.remove(clause)
                new.remove(other)
                if same is _is_moved:
                    yield Change(Kind.moved, "clause", other.cite, clause.cite, other.cite)
    for clause, other in _alike(old, new):
        old.remove(clause)
        new.remove(other)
        yield Change(Kind.changed, "clause", other.cite, clause.text, other.text)
    yield from (Change(Kind.removed, "clause", one.cite, before=one.text) for one in old)
    yield from (Change(Kind.added, "clause", one.cite, after=one.text) for one in new)


def _alike(old: Iterable[Clause], new: Iterable[Clause]) -> list[tuple[Clause, Clause]]:
    """Pairs of clauses of one section that share most of their words, the most alike first."""
    ratios = [
        (SequenceMatcher(None, a.text.split(), b.text.split(), autojunk=False).ratio(), a, b)
        for a in old
        for b in new
        if _section(a) == _section(b)
    ]
    pairs: list[tuple[Clause, Clause]] = []
    for ratio, a, b in sorted(ratios, key=lambda one: -one[0]):
        if ratio >= _ALIKE and not any(a is x or b is y for x, y in pairs):
            pairs.append((a, b))
    return pairs


def _examples(before: Spec, after: Spec) -> Iterator[Change]:
    old, new = (
        {
            example.prompt: (category.id, example)
            for category in spec.categories
            for example in category.examples
        }
        for spec in (before, after)
    )
    for prompt in old | new:
        if prompt not in new:
            id, example = old[prompt]
            yield Change(Kind.removed, "example", id, before=example.as_line)
        elif prompt not in old:
            id, example = new[prompt]
            yield Change(Kind.added, "example", id, after=example.as_line)
        else:
            (was, one), (id, other) = old[prompt], new[prompt]
            if one.expects != other.expects:
                yield Change(Kind.changed, "expects", id, one.as_line, other.as_line)
            if was != id:
                yield Change(Kind.moved, "example", id, was, id)


def _is_same(one: Clause, other: Clause) -> bool:
    return one.text == other.text and _section(one) == _section(other)


def _is_moved(one: Clause, other: Clause) -> bool:
    return one.text == other.text


def _section(clause: Clause) -> str:
    return clause.cite.rpartition(".")[0]
