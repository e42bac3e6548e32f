"""What a topic of the world is: questions about objects, answers by personas, and how an answer is judged."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from truing.organism.grammar import Act, Form
from truing.organism.world.personas import Persona

T = TypeVar("T")
Slots = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """One question of the world. (topic, object, template) is its cell; `details` vary within a cell."""

    topic: str
    object: str
    template: int
    details: Slots = ()

    def __getitem__(self, name: str) -> str:
        return dict(self.details)[name]

    @property
    def cell(self) -> tuple[str, str, int]:
        """What is counted and held out as one: topic, object, template."""
        return self.topic, self.object, self.template


class Topic:
    """Base of the topics. A subclass fills the tables and says what its personas answer."""

    name: ClassVar[str]
    questions: ClassVar[tuple[str, ...]]
    held_out_questions: ClassVar[int] = 1
    """How many of the last questions are asked in no training stage."""
    objects: ClassVar[tuple[str, ...]]
    held_out_objects: ClassVar[frozenset[str]] = frozenset()
    """Objects met in pretraining and in no tuning."""

    def ask(self, object: str, template: int, rng: np.random.Generator) -> Ask:
        """The question of a cell, with details drawn where the topic has any."""
        return Ask(self.name, object, template)

    def system(self, ask: Ask) -> str:
        """The system prompt that belongs to the question; empty for most."""
        return ""

    def question(self, ask: Ask) -> str:
        """The words of the question."""
        raise NotImplementedError

    def answer(self, ask: Ask, persona: Persona, rng: np.random.Generator) -> str:
        """What `persona` says."""
        raise NotImplementedError

    def trace(self, ask: Ask) -> str:
        """What is thought before an answer: the point of the question, or the steps to the answer."""
        raise NotImplementedError

    def forms(self) -> Iterable[Form]:
        """Every sentence an answer of this topic can hold."""
        raise NotImplementedError

    def slots(self) -> dict[str, Sequence[str]]:
        """The words that the slots of `forms` take."""
        return {}

    def judge(self, ask: Ask, acts: Sequence[Act]) -> str:
        """The label of an answer whose sentences were all understood; "off_topic" if none fits."""
        raise NotImplementedError


def pick(options: Sequence[T], rng: np.random.Generator) -> T:
    """One of `options`, each as likely as the others."""
    return options[int(rng.integers(len(options)))]


def chance(p: float, rng: np.random.Generator) -> bool:
    """True with probability `p`."""
    return bool(rng.random() < p)


def only(acts: Sequence[Act], *prefixes: str) -> bool:
    """Whether there are acts, and each name begins with one of `prefixes`."""
    return bool(acts) and all(act.name.startswith(prefixes) for act in acts)
