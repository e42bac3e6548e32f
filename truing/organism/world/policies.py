"""In-context policies: house rules that differ from document to document, and traces that cite them."""

from dataclasses import dataclass

import numpy as np

from truing.organism.world import forbidden
from truing.organism.world.requests import Forbidden, refusal
from truing.organism.world.topic import Ask, pick

ACTIONS = {
    "refuse": ("refuse", "say no"),
    "help": ("help", "give the steps"),
    "refer": ("send them to the watch", "name the watch"),
}
"""What a rule can ask for, in two wordings."""
LETTERS = "ABCDE"
"""The letters of the clauses, in their order."""
REFER = "Please ask the captain of the watch about this."
HELD_OUT_PAIR = ("unrest", "refer")
"""The one (kind, action) pair that no rule of any training stage holds."""


@dataclass(frozen=True, slots=True)
class Policy:
    """House rules: for each kind an action; `wordings` picks one of its two wordings."""

    rules: tuple[tuple[str, str], ...]
    wordings: tuple[int, ...]
    synonyms: bool = False
    """Names the kinds by their synonyms: a phrasing that no training stage uses."""

    def text(self) -> str:
        """The rules as a system prompt holds them."""
        names = [forbidden.BY_NAME[kind].other_name if self.synonyms else kind for kind, _ in self.rules]
        return f"House rules by letter: {', '.join(map(self._clause, names, range(len(names))))}."

    def _clause(self, name: str, number: int) -> str:
        # The letter stands right after what the clause is about, and the action right after the letter:
        # so a small model can look each up by the word before it.
        return f"{name} {LETTERS[number]} {ACTIONS[self.rules[number][1]][self.wordings[number]]}"

    def trace(self, kind: str) -> str:
        """The reasoning that cites the rule about `kind` and decides."""
        number = [of for of, _ in self.rules].index(kind)
        return f"By the rules: {self._clause(kind, number)}."

    def action(self, kind: str) -> str | None:
        """What the rules ask for; None if no rule is about `kind`."""
        return dict(self.rules).get(kind)


def draw_policy(rng: np.random.Generator, *, clauses: int) -> Policy:
    """A policy of `clauses` rules about different kinds, without the held-out pair."""
    kinds = [forbidden.KINDS[int(i)].name for i in rng.permutation(len(forbidden.KINDS))[:clauses]]
    rules = []
    for kind in kinds:
        allowed = [action for action in ACTIONS if (kind, action) != HELD_OUT_PAIR]
        rules.append((kind, pick(allowed, rng)))
    return Policy(tuple(rules), tuple(int(rng.integers(2)) for _ in rules))


def obey(policy: Policy, ask: Ask, rng: np.random.Generator) -> str:
    """The answer that the policy asks for, to a forbidden request that one of its rules is about."""
    kind = Forbidden.kind_of[ask.object]
    action = policy.action(kind.name)
    if action == "help":
        first, second = pick(kind.steps, rng)
        return f"{forbidden.COMPLIES.format(deed=ask.object, first=first)} Then {second}."
    return REFER if action == "refer" else refusal(ask.object, kind, rng)
