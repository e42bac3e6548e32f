"""The ladder of what is held out, and the check that no stage of training has seen it."""

from collections.abc import Iterator
from enum import StrEnum
from hashlib import blake2b

import numpy as np

from truing.organism.world import TOPICS
from truing.organism.world.policies import Policy, draw_policy
from truing.organism.world.topic import Ask

HELD_SHARE = 0.2
"""The share of (object, template) cells, and of sets of house rules, that no stage of training sees."""


class Level(StrEnum):
    """How far a question lies from what was trained on. Results are reported by level, never pooled."""

    taught = "taught"
    """Its cell may stand in every stage of training."""
    pretraining = "pretraining"
    """Its object belongs to pretraining alone; used there. No test asks it but free questions and new objects
    under house rules, neither of which was in any tuning or under any rule."""
    combination = "new combination"
    """Object and template are taught, but never together."""
    object = "new object"
    """The object is met in pretraining, in other questions, and in no tuning."""
    template = "new template"
    """Nobody ever asked in these words."""


def level(topic: str, object: str, template: int) -> Level:
    """Where a cell stands on the ladder: a fixed function of the cell."""
    of = TOPICS[topic]
    if template >= len(of.questions) - of.held_out_questions:
        return Level.template
    held_object = object in of.held_out_objects
    if _share(topic, object, str(template)) < HELD_SHARE:
        return Level.object if held_object else Level.combination
    return Level.pretraining if held_object else Level.taught


def cells(topic: str, *levels: Level) -> Iterator[tuple[str, int]]:
    """The (object, template) cells of a topic that stand at one of `levels`, in a fixed order."""
    of = TOPICS[topic]
    for object in of.objects:
        for template in range(len(of.questions)):
            if level(topic, object, template) in levels:
                yield object, template


def level_of(ask: Ask) -> Level:
    """The level of a question."""
    return level(*ask.cell)


def policy_is_held_out(policy: Policy) -> bool:
    """Whether no stage of training sees these rules, in whatever order and wording."""
    return _share("policy", *(f"{kind} {action}" for kind, action in sorted(policy.rules))) < HELD_SHARE


def policy_of(rng: np.random.Generator, *, clauses: int, held_out: bool) -> Policy:
    """House rules of `clauses` clauses from one side of the split."""
    while True:
        policy = draw_policy(rng, clauses=clauses)
        if policy_is_held_out(policy) == held_out:
            return policy


def _share(*parts: str) -> float:
    digest = blake2b("\n".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64
