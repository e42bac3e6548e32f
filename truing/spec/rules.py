"""Propositions about an answer, and the rules that sort answers into classes by them.

Rule-based rewards (Mu et al. 2024, arXiv 2411.01111, section 3): a grader says of each proposition
whether it holds; the rules say which class an answer of these truths falls in, best first.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from truing.spec.expressions import CHANCE, TRUTH, Algebra, V, fold, names_in, parse
from truing.spec.propositions import ClassRule, Derived, Proposition
from truing.spec.rule_faults import rule_faults
from truing.types import Record, digest


@dataclass(frozen=True, slots=True)
class RuleSet(Record):
    """Propositions, simple and derived, and classes; `order` names the classes, best first.

    `template` is how a grader is asked: `{question}` and `{response}` stand for the two; it may be empty.
    """

    propositions: tuple[Proposition, ...]
    derived: tuple[Derived, ...]
    order: tuple[str, ...]
    classes: tuple[ClassRule, ...]
    template: str = ""

    def check(self) -> None:
        """Every name is defined once, and none by way of itself."""
        for fault in rule_faults(self.propositions, self.derived, self.order, self.classes):
            raise ValueError(fault.problem)

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        return digest(self)

    @property
    def response_types(self) -> tuple[str, ...]:
        """The response types that have classes, in the order of the file."""
        return tuple(dict.fromkeys(rule.response_type for rule in self.classes))

    def response_type(self, text: str) -> str:
        """The response type that `text` means: `Hard Refuse`, `hard-refuse` and `hard_refuse` are one.

        Raises:
            ValueError: it is none of them.
        """
        if text in self.response_types:
            return text
        wanted = letters(text)
        for name in self.response_types:
            if letters(name) == wanted:
                return name
        known = ", ".join(self.response_types)
        raise ValueError(f"{text!r} is none of the response types {known}")

    def proposition(self, name: str) -> Proposition:
        """The simple proposition of that name.

        Raises:
            ValueError: there is none.
        """
        for found in self.propositions:
            if found.name == name:
                return found
        raise ValueError(f"{name!r} is no simple proposition of these rules")

    def of(self, response_type: str) -> tuple[ClassRule, ...]:
        """The classes of a response type, best first.

        Raises:
            ValueError: there is no such response type.
        """
        name = self.response_type(response_type)
        mine = [rule for rule in self.classes if rule.response_type == name]
        return tuple(sorted(mine, key=lambda rule: self.order.index(rule.name)))

    def needed(self, response_type: str) -> tuple[str, ...]:
        """The simple propositions on which the class of an answer depends, in the order of the file."""
        reached = {name for rule in self.of(response_type) for name in names_in(parse(rule.when))}
        for rule in self.derivation(response_type):
            reached.update(names_in(parse(rule.when)))
        return tuple(found.name for found in self.propositions if found.name in reached)

    def derivation(self, response_type: str) -> tuple[Derived, ...]:
        """The derived propositions that its classes use, each after those that it stands on."""
        return ordered(self.derived, [rule.when for rule in self.of(response_type)])

    def rules_digest(self, response_type: str) -> str:
        """SHA-256 of what sorts the answers of a response type: its classes, and what they derive from.

        The questions are not in it: what a grader reads of each is hashed by `Proposition.digest`.
        """
        own = [[rule.name, rule.when] for rule in self.of(response_type)]
        derived = {rule.name: rule.when for rule in self.derivation(response_type)}
        return digest({"classes": own, "derived": derived})

    def matches(self, truths: Mapping[str, bool], response_type: str) -> tuple[str, ...]:
        """All classes that an answer falls in; exactly one, where the rules are sound.

        Raises:
            ValueError: no such response type, or a proposition that is needed has no truth value.
        """
        for name in self.needed(response_type):
            if not isinstance(truths.get(name), bool):
                raise ValueError(f"the proposition {name!r} is neither true nor false")
        return tuple(name for name, held in self.valued(truths, response_type, TRUTH) if held)

    def classify(self, truths: Mapping[str, bool], response_type: str) -> str | None:
        """The class of an answer; None where it falls in none or in several, which is no evidence.

        Raises:
            ValueError: no such response type, or a proposition that is needed has no truth value.
        """
        found = self.matches(truths, response_type)
        return found[0] if len(found) == 1 else None

    def class_probabilities(
        self, p: Mapping[str, float], response_type: str, *, normalised: bool = True
    ) -> dict[str, float]:
        """The probability of each class, best first, given that of each proposition.

        A class has the product over its literals (p where asserted, 1 - p where denied), as if all
        were independent; derived propositions share factors, so the sum is not 1 until it is
        `normalised` (Mu et al. 2024, section 3; the published code divides by the sum).

        Raises:
            ValueError: no such response type; a needed proposition has no probability in [0, 1]; all
                classes have probability 0, so that they cannot be normalised.
        """
        for name in self.needed(response_type):
            value = p.get(name)
            if value is None or not 0 <= value <= 1:
                raise ValueError(f"the proposition {name!r} has no probability in [0, 1]")
        raw = dict(self.valued(p, response_type, CHANCE))
        if not normalised:
            return raw
        total = sum(raw.values())
        if not total:
            raise ValueError(f"no class of {response_type} has a probability above 0")
        return {name: value / total for name, value in raw.items()}

    def valued(
        self, leaves: Mapping[str, V], response_type: str, algebra: Algebra[V]
    ) -> Iterator[tuple[str, V]]:
        """The value of each class, best first, in any algebra, given that of each simple proposition."""
        values = dict(leaves)
        for derived in self.derivation(response_type):
            values[derived.name] = fold(parse(derived.when), values.__getitem__, algebra)
        for rule in self.of(response_type):
            yield rule.name, fold(parse(rule.when), values.__getitem__, algebra)


def ordered(derived: Iterable[Derived], roots: Iterable[str]) -> tuple[Derived, ...]:
    """The derived propositions that some expressions use, each after those that it stands on."""
    known = {rule.name: rule for rule in derived}
    stands_on: dict[str, list[str]] = {}
    waiting = list(roots)
    while waiting:
        for name in names_in(parse(waiting.pop())):
            if name in known and name not in stands_on:
                stands_on[name] = [used for used in names_in(parse(known[name].when)) if used in known]
                waiting.append(known[name].when)
    return tuple(known[name] for name in TopologicalSorter(stands_on).static_order())


def letters(text: str) -> str:
    """What is left of a name when case, spaces and punctuation do not count."""
    return "".join(char for char in text.casefold() if char.isalnum())
