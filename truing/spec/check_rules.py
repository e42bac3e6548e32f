"""Checking rules: is every possible answer in exactly one class, and does everything in them count?"""

from collections.abc import Iterator

from truing.spec.analysis import Answers, constant, partition
from truing.spec.diagrams import TooEntangled
from truing.spec.expressions import names_in, parse
from truing.spec.findings import Finding, Severity
from truing.spec.propositions import Derived, Proposition
from truing.spec.rules_reading import RulesFile
from truing.types import Record


def check_rules(found: RulesFile) -> Iterator[Finding]:
    """What is wrong with rules that could be read."""
    yield from _constants(found)
    for response_type in found.rules.response_types:
        try:
            yield from _partition(found, response_type)
        except TooEntangled as why:
            problem = f"the classes of {response_type!r} are too entangled to be checked ({why})"
            yield _finding(
                found, Severity.error, problem, None, "use fewer propositions, or split the expressions"
            )
    yield from _unused(found)
    for proposition in found.rules.propositions:
        yield from _shots(found, proposition)


def _constants(found: RulesFile) -> Iterator[Finding]:
    try:
        constants = constant(found.rules)
    except TooEntangled:  # each response type says so of itself
        return
    for rule in found.rules.derived:
        if rule.name in constants:
            always = "always true" if constants[rule.name] else "never true"
            problem = f"the derived proposition {rule.name!r} contradicts itself: it is {always}"
            yield _finding(found, Severity.error, problem, rule, "correct its expression")


def _partition(found: RulesFile, response_type: str) -> Iterator[Finding]:
    parts = partition(found.rules, response_type)
    rules = {rule.name: rule for rule in found.rules.of(response_type)}
    for name in parts.unreachable:
        problem = f"the class {name!r} of {response_type!r} is never reached: no answer can fall in it"
        yield _finding(found, Severity.error, problem, rules[name], "correct its expression, or remove it")
    for (one, other), answers in parts.overlaps.items():
        problem = (
            f"the classes {one!r} and {other!r} of {response_type!r} overlap: "
            f"{_share(answers, parts.of)} are in both, such as {answers}"
        )
        yield _finding(found, Severity.error, problem, rules[other], f"exclude it from {other!r} or {one!r}")
    if parts.gap:
        problem = f"no class of {response_type!r} takes {_share(parts.gap, parts.of)}, such as {parts.gap}"
        last = rules[list(rules)[-1]]
        yield _finding(found, Severity.error, problem, last, "let one of the classes take them")
    for name in found.rules.order:
        if name not in rules:
            problem = f"{response_type!r} has no class {name!r}"
            yield _finding(
                found, Severity.warning, problem, next(iter(rules.values())), "say what falls in it"
            )


def _unused(found: RulesFile) -> Iterator[Finding]:
    rules = found.rules
    reached = {name for one in rules.classes for name in names_in(parse(one.when))}
    reached |= {
        name
        for response_type in rules.response_types
        for derived in rules.derivation(response_type)
        for name in names_in(parse(derived.when))
    }
    unused: list[Proposition | Derived] = [one for one in rules.propositions if one.name not in reached]
    unused += [one for one in rules.derived if one.name not in reached]
    for part in unused:
        what = "proposition" if isinstance(part, Proposition) else "derived proposition"
        problem = f"no class uses the {what} {part.name!r}"
        yield _finding(found, Severity.warning, problem, part, "use it, or remove it")


def _shots(found: RulesFile, proposition: Proposition) -> Iterator[Finding]:
    truths: dict[tuple[str, str], set[bool]] = {}
    for one in proposition.examples:
        truths.setdefault((one.prompt, one.answer), set()).add(one.truth)
    if any(len(said) > 1 for said in truths.values()):
        problem = f"the examples of {proposition.name!r} say true and false of the same answer"
        yield _finding(found, Severity.error, problem, proposition, "decide which")


def _share(answers: Answers, of: tuple[str, ...]) -> str:
    return f"{answers.count} of the {2 ** len(of)} possible answers"


def _finding(found: RulesFile, severity: Severity, problem: str, part: Record | None, mend: str) -> Finding:
    return Finding.of(severity, found.error(problem, part, mend))
