"""What rules do to every possible answer: classes that are never reached, that overlap, that leave gaps.

Exact: an answer is an assignment of truth values to the simple propositions, and all 2^k of them count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from truing.spec.diagrams import FALSE, TRUE, Diagrams
from truing.spec.expressions import fold, names_in, parse
from truing.spec.propositions import Derived
from truing.spec.rules import RuleSet, ordered
from truing.types import FrozenDict, Record

NONE, SEVERAL = "(none)", "(several)"
"""Where an answer is that no class takes, or more than one."""


@dataclass(frozen=True, slots=True)
class Answers(Record):
    """Some of the possible answers: how many, and one of them.

    `witness` holds as few truth values as suffice; the other propositions may be either.
    """

    count: int
    witness: FrozenDict

    def __str__(self) -> str:
        said = [name if truth else f"not {name}" for name, truth in self.witness.items()]
        return " and ".join(said) or "always"


@dataclass(frozen=True, slots=True)
class Partition:
    """The possible answers to a response type, by class; sound if each is in exactly one.

    `of` are the simple propositions on which it depends; there are 2^len(of) possible answers.
    """

    response_type: str
    of: tuple[str, ...]
    counts: dict[str, int]
    overlaps: dict[tuple[str, str], Answers]
    gap: Answers | None

    @property
    def unreachable(self) -> tuple[str, ...]:
        """Classes that no answer can fall in."""
        return tuple(name for name, count in self.counts.items() if not count)


@dataclass(frozen=True, slots=True)
class Reclassified:
    """How the class of the possible answers differs between two rule sets.

    `moves` are (class before, class after); the counts are over `of`, the propositions of both.
    """

    response_type: str
    of: tuple[str, ...]
    moves: dict[tuple[str, str], Answers]

    @property
    def count(self) -> int:
        """How many of the 2^len(of) possible answers are in another class."""
        return sum(answers.count for answers in self.moves.values())


def partition(rules: RuleSet, response_type: str) -> Partition:
    """The classes of a response type over all possible answers.

    Raises:
        TooEntangled: the rules cannot be held as a diagram.
    """
    diagrams, name = Diagrams(_order(rules, response_type)), rules.response_type(response_type)
    classes = dict(rules.valued(diagrams.variables(), name, diagrams.algebra))
    labels = list(classes)
    overlaps = {
        (one, other): answers
        for i, one in enumerate(labels)
        for other in labels[i + 1 :]
        if (answers := _answers(diagrams, diagrams.both(classes[one], classes[other])))
    }
    counts = {label: diagrams.count(root) for label, root in classes.items()}
    gap = _answers(diagrams, diagrams.without(TRUE, classes.values()))
    return Partition(name, diagrams.names, counts, overlaps, gap)


def reclassified(before: RuleSet, after: RuleSet, response_type: str) -> Reclassified:
    """Which possible answers change their class, for a response type that both rule sets have.

    Raises:
        TooEntangled: the rules cannot be held as a diagram.
    """
    old = _order(before, response_type)
    diagrams = Diagrams([*old, *(name for name in _order(after, response_type) if name not in old)])
    a, b = (_regions(diagrams, rules, response_type) for rules in (before, after))
    moves = {
        (one, other): answers
        for one, left in a.items()
        for other, right in b.items()
        if one != other and (answers := _answers(diagrams, diagrams.both(left, right)))
    }
    return Reclassified(before.response_type(response_type), diagrams.names, moves)


def constant(rules: RuleSet) -> dict[str, bool]:
    """The derived propositions that are true of every possible answer, or of none.

    Raises:
        TooEntangled: the rules cannot be held as a diagram.
    """
    derived = ordered(rules.derived, [rule.name for rule in rules.derived])
    diagrams = Diagrams(_appearing(derived, [], {one.name for one in rules.propositions}))
    values = diagrams.variables()
    for rule in derived:
        values[rule.name] = fold(parse(rule.when), values.__getitem__, diagrams.algebra)
    return {
        rule.name: values[rule.name] == TRUE for rule in rules.derived if values[rule.name] in (FALSE, TRUE)
    }


def _regions(diagrams: Diagrams, rules: RuleSet, response_type: str) -> dict[str, int]:
    """The answers that are in one class alone, in none, in several."""
    classes = dict(rules.valued(diagrams.variables(), response_type, diagrams.algebra))
    regions = {
        label: diagrams.without(root, [other for name, other in classes.items() if name != label])
        for label, root in classes.items()
    }
    regions[NONE] = diagrams.without(TRUE, classes.values())
    regions[SEVERAL] = diagrams.without(TRUE, regions.values())
    return regions


def _answers(diagrams: Diagrams, root: int) -> Answers | None:
    witness = diagrams.witness(root)
    return None if witness is None else Answers(diagrams.count(root), FrozenDict(witness))


def _order(rules: RuleSet, response_type: str) -> list[str]:
    whens = [rule.when for rule in rules.of(response_type)]
    return _appearing(rules.derivation(response_type), whens, {one.name for one in rules.propositions})


def _appearing(derived: Sequence[Derived], whens: Sequence[str], simple: set[str]) -> list[str]:
    """Simple propositions in the order in which the expressions use them: what belongs together stays so."""
    used = [name for when in (*(rule.when for rule in derived), *whens) for name in names_in(parse(when))]
    return [name for name in dict.fromkeys(used) if name in simple]
