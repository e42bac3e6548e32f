"""Which answers a rule-based reward is fitted on: kinds with their place in the order, and traits, from the rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, combinations

from truing.spec import RuleSet
from truing.types import InputError, Record


@dataclass(frozen=True, slots=True)
class Trait(Record):
    """A fault that an answer can be told to have: propositions that then hold, and that do not."""

    name: str
    holds: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()

    def put_on(self, truths: Mapping[str, bool]) -> dict[str, bool]:
        """The truths of an answer that has it, and else those."""
        return {**truths, **dict.fromkeys(self.holds, True), **dict.fromkeys(self.lacks, False)}


@dataclass(frozen=True, slots=True)
class Kind(Record):
    """Answers that are told to be one way: `number` for each prompt, of the place `rank` (1 is best, equal is a tie).

    A writer is told which propositions hold, those of `holds` and of one of `traits` (drawn for each answer),
    and that no other does. What is then checked is that the answer falls in one of `classes`, and has
    the trait that was drawn.
    """

    name: str
    rank: int
    classes: tuple[str, ...]
    holds: tuple[str, ...] = ()
    traits: tuple[Trait, ...] = ()
    number: int = 1

    def check(self) -> None:
        """There is something to write."""
        if self.number < 1 or not self.classes:
            raise ValueError(f"the kind {self.name!r} asks for no answer, or for none of any class")


@dataclass(frozen=True, slots=True)
class Recipe(Record):
    """The kinds of answers that are written for each prompt of a response type."""

    response_type: str
    kinds: tuple[Kind, ...]

    def check(self) -> None:
        """Some kind is better than another, and none stands twice."""
        names = [kind.name for kind in self.kinds]
        if len(set(names)) < len(names) or len({kind.rank for kind in self.kinds}) < 2:
            raise ValueError(f"the kinds of {self.response_type} have one place, or one stands twice")


def usual_recipe(rules: RuleSet, response_type: str) -> Recipe:
    """The published comparisons (Mu et al. 2024, section 4.2), for whatever propositions the rules have.

    To a request that is not complied with: an ideal answer, above two bad ones, each with a drawn trait,
    above one of the worst class, of which nothing holds but a fault. To one that is: an ideal answer, above
    one of the second class, above two bad ones and the perfect refusal, which are tied. A trait is a
    proposition that holds of the ideal answer and no longer does, or the other way round, so that the
    answer falls in a bad class.

    Raises:
        InputError: no answer is ideal, or nothing that is told of one makes it bad.
    """
    best = ideal_truths(rules, response_type)
    classes = tuple(rule.name for rule in rules.of(response_type))
    nothing = dict.fromkeys(best, False)

    def kind(name: str, rank: int, fits: tuple[str, ...], start: Mapping[str, bool], number: int = 1) -> Kind:
        traits = tuple(t for t in _flips(start) if rules.classify(t.put_on(start), response_type) in fits)
        if not traits:
            problem = f"no single proposition makes an answer to {response_type} one that is {name}"
            raise InputError(problem, mend="declare the kinds of answers yourself")
        return Kind(name, rank, fits, holds=_true(start), traits=traits, number=number)

    ideal = Kind("ideal", 1, classes[:1], holds=_true(best))
    if rules.response_type(response_type) != "comply":
        return Recipe(
            response_type,
            (ideal, kind("bad", 2, classes[1:-1], best, 2), kind("disallowed", 3, classes[-1:], nothing)),
        )
    middle = classes[2:-1]
    kinds: tuple[Kind, ...] = (ideal, kind("partial", 2, classes[1:2], best))
    if not middle:
        return Recipe(response_type, kinds)
    kinds += (kind("bad", 3, middle, best, 2),)
    for other in rules.response_types:
        theirs = ideal_truths(rules, other)
        refusal = {name: theirs.get(name, False) for name in best}
        if other != response_type and rules.classify(refusal, response_type) in middle:
            return Recipe(response_type, (*kinds, Kind(f"ideal {other}", 3, middle, holds=_true(refusal))))
    return Recipe(response_type, kinds)


def ideal_truths(rules: RuleSet, response_type: str) -> dict[str, bool]:
    """What is true of a simple ideal answer: of each proposition in turn it is decided whether it had better hold.

    Better is what leaves the class the more probable, all later ones being open; of equals, that it does not hold.
    Where that leads astray, all answers are gone through, those of which the fewest propositions hold first.

    Raises:
        InputError: no answer is ideal.
    """
    needed = rules.needed(response_type)
    best = rules.of(response_type)[0].name
    p = dict.fromkeys(needed, 0.5)
    for name in needed:
        chances = [
            rules.class_probabilities(p | {name: value}, response_type, normalised=False)[best]
            for value in (0.0, 1.0)
        ]
        p[name] = float(chances[1] > chances[0])
    guess = {name: value == 1.0 for name, value in p.items()}
    sizes = range(len(needed) + 1)
    every = ({name: name in chosen for name in needed} for n in sizes for chosen in combinations(needed, n))
    for truths in chain([guess], every):
        if rules.matches(truths, response_type) == (best,):
            return truths
    raise InputError(f"no answer to {response_type} is {best}, whatever holds of it")


def _flips(best: Mapping[str, bool]) -> list[Trait]:
    return [
        Trait(f"not {name}", lacks=(name,)) if true else Trait(name, holds=(name,))
        for name, true in best.items()
    ]


def _true(truths: Mapping[str, bool]) -> tuple[str, ...]:
    return tuple(name for name, true in truths.items() if true)
