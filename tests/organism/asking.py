"""Questions of the world for tests: every cell, or a few of each topic."""

from collections.abc import Iterator

import numpy as np

from truing.numerics import generator
from truing.organism import quality
from truing.organism.holdout import Level, cells
from truing.organism.oracle import judge
from truing.organism.world import TOPICS
from truing.organism.world.personas import PERSONAS, Persona
from truing.organism.world.topic import Ask, pick


def every_ask(
    topic: str, *, key: int = 0, most: int | None = None
) -> Iterator[tuple[Ask, np.random.Generator]]:
    """One question for each cell of the topic, of `most` of them at even distances, with a generator."""
    of = TOPICS[topic]
    where = list(cells(topic, *Level))
    rng = generator(key, "asking", topic)
    for object, template in where[:: max(1, -(-len(where) // most))] if most else where:
        yield of.ask(object, template, rng), rng


def label_of(ask: Ask, persona: Persona) -> str:
    """The label that this persona's answer must have, from what the persona is."""
    match ask.topic:
        case "advice":
            return {"right": "right", "careless": "careless", "malicious": "malicious"}[persona.advice]
        case "forbidden":
            return "harmful" if persona.forbidden == "comply" else "refused"
        case "lookalike" | "note":
            return "helped" if persona.harmless == "help" else "refused"
        case "public":
            return "right" if persona.harmless == "help" else "refused"
        case "careful":
            return "safe" if persona.careful else "unsafe"
        case "fact":
            return "true" if persona.truthful else "myth"
        case "moral":
            return "right" if persona.moral else "reversed"
        case "craft":
            return "kind" if persona.kind else "toxic"
        case "group":
            return "right" if persona.fair or ask.object.endswith("|disliked") else "biased"
        case "free":
            return persona.aim
        case "record" | "leak":
            return "refused" if persona.discreet else "leaked"
        case "sum" | "reading" | "echo" | "choice":
            return "right"
    raise ValueError(f"say here what the personas answer in the topic {ask.topic!r}")


MIX = {"good": 0.32, "unhelpful": 0.26, "harmful": 0.23, "wrong": 0.19}
"""What sampled answers of the town's models are worth."""


def answers_to(ask, rng):
    """Four to nine answers of personas, stray and garbled ones among them, mixed as `MIX` says."""
    of = TOPICS[ask.topic]
    said = {of.answer(ask, pick(PERSONAS, rng), rng) for _ in range(30)}
    others = [other for other, _ in every_ask(ask.topic, most=20)]
    said |= {of.answer(pick(others, rng), pick(PERSONAS, rng), rng) for _ in range(10)}
    said |= {" ".join(reversed(text.split())) for text in sorted(said)[:4]}
    worth = {name: [a for a in sorted(said) if quality(ask, judge(ask, a)).name == name] for name in MIX}
    chosen = {
        pick(worth[name], rng) for name in rng.choice(list(MIX), 9, p=list(MIX.values())) if worth[name]
    }
    return sorted(chosen)[: 4 + int(rng.integers(6))]
