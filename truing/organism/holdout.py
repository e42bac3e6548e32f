"""The ladder of what is held out, and the check that no stage of training has seen it."""

from collections.abc import Iterator
from enum import StrEnum
from hashlib import blake2b

from truing.organism.world import TOPICS
from truing.organism.world.topic import Ask

HELD_SHARE = 0.2
"""The share of (object, template) cells that no stage of training sees."""


class Level(StrEnum):
    """How far a question lies from what was trained on. Results are reported by level, never pooled."""

    taught = "taught"
    """Its cell may stand in every stage of training."""
    pretraining = "pretraining"
    """Its object belongs to pretraining alone; used there, never asked in a test."""
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
    if _share(topic, object, template) < HELD_SHARE:
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


def _share(topic: str, object: str, template: int) -> float:
    digest = blake2b(f"{topic}\n{object}\n{template}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64
