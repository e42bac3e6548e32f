"""What is wrong with the names of a rule set: unknown, given twice, or derived from themselves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from truing.spec.expressions import NAME, names_in, parse
from truing.spec.propositions import ClassRule, Derived, Proposition

MAX_PROPOSITIONS, MAX_CLASSES = 200, 50
"""Simple propositions and classes of a rule set, so that it can be checked exactly."""


@dataclass(frozen=True, slots=True)
class RuleFault:
    """A sentence without its subject, the part of the rules that it is about, and how to mend it."""

    problem: str
    part: Proposition | Derived | ClassRule | None
    mend: str


def rule_faults(
    propositions: Sequence[Proposition],
    derived: Sequence[Derived],
    order: Sequence[str],
    classes: Sequence[ClassRule],
) -> Iterator[RuleFault]:
    """All faults because of which rules could not be evaluated at all."""
    yield from _sizes(propositions, order, classes)
    yield from _names(propositions, derived, order, classes)
    known = {part.name for part in propositions} | {part.name for part in derived}
    using: list[Derived | ClassRule] = [*derived, *classes]
    for part in using:
        for name in names_in(parse(part.when)):
            if name not in known:
                mend = "define it under propositions or derived, or correct the name"
                yield RuleFault(f"{_called(part)} uses {name!r}, which is not defined", part, mend)
    own = {rule.name: rule for rule in derived}
    graph = {rule.name: [name for name in names_in(parse(rule.when)) if name in own] for rule in derived}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as why:
        circle = " -> ".join(reversed(why.args[1]))
        problem = f"the derived propositions go in a circle: {circle}"
        yield RuleFault(problem, own[why.args[1][-1]], "break the circle")


def _sizes(
    propositions: Sequence[Proposition], order: Sequence[str], classes: Sequence[ClassRule]
) -> Iterator[RuleFault]:
    if not propositions:
        yield RuleFault("has no propositions", None, "name at least one")
    if len(propositions) > MAX_PROPOSITIONS:
        problem = f"has {len(propositions)} propositions, more than {MAX_PROPOSITIONS}"
        yield RuleFault(problem, None, "split the rules")
    if len(order) > MAX_CLASSES:
        yield RuleFault(f"has {len(order)} classes, more than {MAX_CLASSES}", None, "join some of them")
    if not classes:
        yield RuleFault("has no classes", None, "give the classes of at least one response type")
    if len(set(order)) < len(order):
        yield RuleFault("names a class twice in the order of classes", None, "name each once, best first")


def _names(
    propositions: Sequence[Proposition],
    derived: Sequence[Derived],
    order: Sequence[str],
    classes: Sequence[ClassRule],
) -> Iterator[RuleFault]:
    seen: set[str] = set()
    named: list[Proposition | Derived] = [*propositions, *derived]
    for part in named:
        if part.name in seen:
            yield RuleFault(f"defines {part.name!r} a second time", part, "give one of them another name")
        seen.add(part.name)
    given: list[tuple[str, Proposition | Derived | ClassRule]] = [(part.name, part) for part in named]
    given += [(name, rule) for rule in classes for name in (rule.response_type, rule.name)]
    for name, about in given:
        if not NAME.fullmatch(name) or name in ("and", "or", "not"):
            mend = "use lower case letters, digits and underscores, and none of and, or, not"
            yield RuleFault(f"calls something {name!r}", about, mend)
    pairs: set[tuple[str, str]] = set()
    for rule in classes:
        if rule.name not in order:
            problem = f"{_called(rule)} is not in the order of classes"
            yield RuleFault(problem, rule, f"add it, or choose from {', '.join(order)}")
        if (rule.response_type, rule.name) in pairs:
            yield RuleFault(f"gives {_called(rule)} a second time", rule, "join them with or")
        pairs.add((rule.response_type, rule.name))


def _called(part: Derived | ClassRule) -> str:
    if isinstance(part, ClassRule):
        return f"the class {part.name!r} of {part.response_type!r}"
    return f"the derived proposition {part.name!r}"
