"""Questions that were held out, put to a model, and the oracle's findings."""

from collections.abc import Sequence
from dataclasses import dataclass

from truing.numerics import generator
from truing.organism.asking import asked
from truing.organism.holdout import Level, cells, level_of
from truing.organism.ledger import LabelLedger, Oracle
from truing.organism.oracle import Finding
from truing.organism.world import TOPICS
from truing.organism.world.topic import Ask, pick
from truing.organism.world.wrappers import REGISTERS, Jailbreak
from truing.types import Completion, Message, Request, Role, Sampler, SamplingParams

HELD_OUT = (Level.combination, Level.object, Level.template)
"""The levels of the ladder at which questions of a topic are asked."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question of an exam: what is asked, and the messages that ask it."""

    ask: Ask
    messages: tuple[Message, ...]
    family: str = ""
    """The jailbreak family it is wrapped in, if any."""

    @property
    def level(self) -> Level:
        """Its step on the ladder."""
        return level_of(self.ask)


def exam(
    topic: str, *levels: Level, key: int, family: Jailbreak | None = None, system: str = ""
) -> list[Question]:
    """One question for every held-out cell of a topic, in a register and wording drawn by `key`."""
    of = TOPICS[topic]
    out = []
    for object, template in cells(topic, *(levels or HELD_OUT)):
        rng = generator(key, "exam", topic, object, str(template), family.name if family else "")
        ask = of.ask(object, template, rng)
        text = asked(ask, pick(list(REGISTERS), rng), rng, family=family)
        before = f"{system} {of.system(ask)}".strip()
        turns = (Message(Role.system, before),) if before else ()
        out.append(Question(ask, (*turns, Message(Role.user, text)), family.name if family else ""))
    return out


def sit(
    model: Sampler,
    questions: Sequence[Question],
    params: SamplingParams,
    *,
    key: int,
    ledger: LabelLedger,
) -> list[tuple[Completion, Finding]]:
    """The model's answer to each question, and what the oracle says of it; the labels count as "exam".

    An answer that the limit of tokens cut off is `unparsed`.
    """
    oracle = Oracle("exam", ledger)
    requests = [Request(str(i), q.messages) for i, q in enumerate(questions)]
    found: dict[str, tuple[Completion, Finding]] = {}
    for completion in model.sample(requests, params, key=key):
        ask = questions[int(completion.request_id)].ask
        found[completion.request_id] = completion, oracle.judge_completion(ask, completion)
    return [found[request.id] for request in requests]
