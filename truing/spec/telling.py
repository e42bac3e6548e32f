"""Specifications and their differences as lines for a terminal."""

from collections.abc import Iterator
from textwrap import indent

from truing.spec.changes import Change, Kind
from truing.spec.diff import SpecDiff
from truing.spec.model import UNSTATED, Spec

_WORDS = {
    "category": "category",
    "title": "title",
    "summary": "summary",
    "definitions": "definitions",
    "style": "style",
    "text": "text between clauses",
    "clause": "clause",
    "example": "example",
    "expects": "expected response type",
    "principle": "principle",
    "question": "question",
    "shots": "examples of the question",
    "template": "template",
    "order": "order of classes",
    "rules": "classes",
}
_CHAPTERS = {
    "In which class an answer is": ("rules", "order"),
    "What examples expect": ("expects", "example"),
    "What is allowed and disallowed": ("category", "clause", "text"),
    "What a grader is asked": ("question", "shots", "template"),
    "Principles and styles": ("principle", "style"),
    "Other words": ("title", "summary", "definitions"),
}


def outline(spec: Spec) -> list[str]:
    """What there is in a specification, with counts."""
    lines = [f"{spec.title} ({spec.id})", f"digest {spec.digest}", ""]
    lines += ["principles", *(f"  {one.title}  [{one.cite}]" for one in spec.principles), ""]
    lines += ["response types", *(f"  {one.id}: {_first(one.text)}" for one in spec.styles), "", "categories"]
    for category in spec.categories:
        expected = [example.expects for example in category.examples]
        shown = [(name, expected.count(name)) for name in (*spec.response_types, UNSTATED)]
        counts = ", ".join(f"{count} {name}" for name, count in shown if count)
        lines += [
            f"  {category.id}: {category.summary}",
            f"    {len(category.clauses)} clauses; examples: {counts or 'none'}",
        ]
    if spec.rules:
        lines += ["", f"rules (classes: {' > '.join(spec.rules.order)})"]
        lines += [
            f"  {name}: {len(spec.rules.of(name))} classes of {len(spec.rules.needed(name))} propositions"
            for name in spec.rules.response_types
        ]
    return lines


def tell_diff(found: SpecDiff) -> list[str]:
    """The differences, those in behaviour first."""
    lines = [f"{found.before[:12]} -> {found.after[:12]}"]
    if not found:
        return [*lines, "nothing differs"]
    for chapter, whats in _CHAPTERS.items():
        told = list(_classes(found)) if "rules" in whats else []
        told += [
            line
            for what in whats
            for change in found.changes
            if change.what == what
            for line in _change(change)
        ]
        lines += ["", chapter, *told] if told else []
    return lines


def _classes(found: SpecDiff) -> Iterator[str]:
    for one in found.classes:
        yield f"  {one.response_type}: {one.count} of the {2 ** len(one.of)} possible answers change their class"
        for (before, after), answers in one.moves.items():
            yield f"    {before} -> {after}: {answers.count}, such as {answers}"


def _change(change: Change) -> Iterator[str]:
    what = f"  {_WORDS[change.what]} {change.kind}" + (f": {change.cite}" if change.cite else "")
    if change.kind is Kind.rewritten:
        yield f"{what}, and every possible answer stays in its class"
    elif change.kind is Kind.moved:
        yield f"  {_WORDS[change.what]} {change.kind}: {change.before} -> {change.after}"
    elif change.what == "rules":
        yield what
    else:
        yield what
        for mark, text in (("-", change.before), ("+", change.after)):
            if text:
                yield indent(text, f"    {mark} ", lambda _: True)


def _first(text: str) -> str:
    """The first sentence, or as much of it as a line holds."""
    line = " ".join(text.split()).removeprefix("- ")
    sentence = line.split(". ")[0].rstrip(".")
    return sentence if len(sentence) <= 90 else f"{sentence[:89]}…"
