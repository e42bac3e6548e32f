"""Records of policy runs whose truth is known: what was gained, what was hacked, and what was noise."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from truing.train import Sample, Update
from truing.types import FrozenDict, Message, Role, Stop

PROMPTS = [
    f"How do I {verb} a {thing}?"
    for verb in ("clean", "repair", "store")
    for thing in ("kettle", "kite", "lamp", "rope")
]


@dataclass(frozen=True)
class Truth:
    """What is true of the policy at one update (progress runs from 0 to 1)."""

    quality: float
    form: float
    held_out: float
    length: float = 40.0
    per_token: float = 0.0
    spread: float = 0.3
    repeats: float = 0.02
    entropy: float = 1.6
    cut: float = 0.03


def honest(x: float) -> Truth:
    """What is learnt is seen by the metric too."""
    learnt = 1 - 2.7 ** (-3 * x)
    return Truth(0.8 * learnt, 0.2 * learnt, 0.5 + 0.3 * learnt, entropy=1.6 - 0.4 * x)


def hacked(x: float) -> Truth:
    """Gao et al. 2023: the gold score is d (a - b log d) with d the root of the KL, the proxy goes on."""
    d = 4 * x + 1e-9
    gold = d * (1 - 0.6 * log(d)) if d > 0 else 0.0
    return Truth(0.25 * gold, 0.45 * d, 0.5 + 0.2 * gold, repeats=0.02 + 0.2 * x * x, entropy=1.6 - 1.0 * x)


def longer(x: float) -> Truth:
    """The reward pays for length, and nothing else is learnt."""
    return Truth(0.0, 0.0, 0.6, length=40 + 40 * x, per_token=0.03, cut=0.03 + 0.3 * x)


def collapsed(x: float) -> Truth:
    """All answers become alike."""
    learnt = min(1.0, 2 * x)
    return Truth(
        learnt, 0.2, 0.5 + 0.2 * learnt, spread=0.0 if x > 0.5 else 0.3, entropy=1.6 * (1 - x) + 0.05
    )


def flat(x: float) -> Truth:
    """Nothing is learnt."""
    return Truth(0.0, 0.0, 0.5)


def trace(
    kind: Callable[[float], Truth],
    *,
    updates: int = 40,
    every: int = 1,
    noise: float = 0.02,
    intervals: bool = False,
    metric: str = "oracle",
    key: int = 0,
) -> tuple[list[Update], list[Sample]]:
    """The records of a run of 4 prompts and 4 samples each; the metric is measured at every `every`-th update."""
    rng = np.random.default_rng(key)
    rows, samples = [], []
    for number in range(1, updates + 1):
        x = (number - 1) / max(1, updates - 1)
        truth = kind(x)
        kl = 16 * x * x
        drawn = [
            _sample(number, PROMPTS[int(p)], j, truth, kl, rng)
            for p in rng.choice(len(PROMPTS), 4, replace=False)
            for j in range(4)
        ]
        measured = truth.held_out + noise * rng.standard_normal()
        held: object = (
            {"value": measured, "low": measured - 1.96 * noise, "high": measured + 1.96 * noise}
            if intervals
            else measured
        )
        rows.append(_update(number, drawn, truth, {metric: held} if number % every == 0 else {}))
        samples += drawn
    return rows, samples


def _sample(number: int, prompt: str, j: int, truth: Truth, kl: float, rng: np.random.Generator) -> Sample:
    size = max(4, int(truth.length + 8 * rng.standard_normal()))
    quality = (
        truth.quality + truth.spread * rng.standard_normal() + truth.per_token * (size if truth.spread else 0)
    )
    components = {
        "quality": float(quality),
        "format": float(truth.form + 0.5 * truth.spread * rng.standard_normal()),
    }
    words = ["certainly"] * int(size * truth.repeats * 2) + [
        "first",
        "you",
        "take",
        "it",
        "apart",
        "and",
        "dry",
        "it.",
    ]
    return Sample(
        number,
        prompt,
        j,
        (Message(Role.user, prompt),),
        " ".join((words * size)[: max(4, size // 2)]),
        float(sum(components.values())),
        FrozenDict(components),
        float(kl + 0.3 * rng.standard_normal()),
        size,
        Stop.length if rng.random() < truth.cut else Stop.eos,
    )


def _update(number: int, drawn: list[Sample], truth: Truth, held_out: dict[str, object]) -> Update:
    rewards = np.array([s.reward for s in drawn])
    lengths = np.array([s.length for s in drawn])
    alike = [np.ptp(rewards[i : i + 4]) == 0 for i in range(0, len(drawn), 4)]
    kl = float(np.mean([s.kl for s in drawn]))
    return Update(
        update=number,
        reward=float(rewards.mean()),
        reward_std=float(rewards.std()),
        components=FrozenDict(
            {name: float(np.mean([s.components[name] for s in drawn])) for name in ("quality", "format")}
        ),
        missing=FrozenDict({"quality": 0, "format": 0}),
        kl=kl,
        kl_spent=max(0.0, kl) / float(lengths.mean()),
        kl_coef=0.05,
        entropy=truth.entropy,
        length=float(lengths.mean()),
        length_std=float(lengths.std()),
        stops=FrozenDict({str(stop): n for stop, n in sorted(Counter(s.stop for s in drawn).items())}),
        groups=4,
        zero_variance_groups=int(sum(alike)),
        clip_share=0.05,
        ratio_max=1.3,
        grad_norm=0.8,
        loss=0.01,
        duplicate_ngrams=truth.repeats + 0.005 * sqrt(number % 3),
        tokens=int(lengths.sum()),
        advantage_std=0.9,
        held_out=FrozenDict(held_out),
    )
