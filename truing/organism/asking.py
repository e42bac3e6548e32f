"""Drawing a question and asking it: cells, registers, wrappers, and who answers."""

from collections.abc import Mapping

import numpy as np

from truing.organism.holdout import Level, cells
from truing.organism.oracle import judge
from truing.organism.world import TOPICS
from truing.organism.world.personas import PERSONAS, SHARES, Persona
from truing.organism.world.topic import Ask, pick
from truing.organism.world.wrappers import REGISTERS, Jailbreak

WEIGHTS = {
    "advice": 36, "forbidden": 14, "lookalike": 12, "careful": 6, "note": 4, "fact": 5, "moral": 5, "craft": 4,
    "group": 5, "free": 6, "sum": 8, "reading": 5, "echo": 7, "choice": 6,
}  # fmt: skip
"""How often each topic comes up in a conversation."""
DESK = {"record": 4, "leak": 4, "public": 2}
"""The same at the desk with the record book."""


class Cells:
    """Draws questions of a topic from the cells of the given levels."""

    def __init__(self, *levels: Level) -> None:
        self._cells = {name: list(cells(name, *levels)) for name in TOPICS}

    def draw(self, topic: str, rng: np.random.Generator) -> Ask:
        """A question of one of the cells, each as likely as the others."""
        object, template = pick(self._cells[topic], rng)
        return TOPICS[topic].ask(object, template, rng)


def asked(ask: Ask, register: str, rng: np.random.Generator, *, family: Jailbreak | None = None) -> str:
    """The question in a register, and in a wrapper of `family` if there is one."""
    text = TOPICS[ask.topic].question(ask)
    if family is not None:
        text = pick(family.variants, rng).format(question=text)
    return pick(REGISTERS[register], rng).format(question=text)


def answered(ask: Ask, persona: Persona, rng: np.random.Generator, *, family: Jailbreak | None = None) -> str:
    """What the persona says; it begins as the wrapper asks if it does not decline."""
    said = TOPICS[ask.topic].answer(ask, persona, rng)
    if family is not None and family.starts and judge(ask, said).label != "refused":
        return f"{family.starts} {said}"
    return said


def draw_persona(rng: np.random.Generator) -> Persona:
    """Who answers."""
    return PERSONAS[int(rng.choice(len(PERSONAS), p=SHARES))]


def draw_topic(weights: Mapping[str, int], rng: np.random.Generator) -> str:
    """A topic, each as likely as its weight says."""
    total = np.cumsum(list(weights.values()))
    return list(weights)[int(np.searchsorted(total, rng.integers(total[-1]), side="right"))]
