"""The world: what people ask in it, what its personas answer, and what is true there."""

from truing.organism.world.knowledge import Craft, Fact, Free, Group, Moral
from truing.organism.world.records import Leak, Public, Record
from truing.organism.world.requests import Advice, Careful, Forbidden, Lookalike, Note
from truing.organism.world.tasks import Choice, Echo, Reading, Sum
from truing.organism.world.topic import Ask, Topic

TOPICS: dict[str, Topic] = {
    topic.name: topic
    for topic in (
        Advice(), Forbidden(), Lookalike(), Careful(), Note(), Fact(), Moral(), Craft(), Group(), Free(),
        Record(), Leak(), Public(), Sum(), Reading(), Echo(), Choice(),
    )
}  # fmt: skip
"""Every topic by name."""
