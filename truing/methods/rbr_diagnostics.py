"""What a rule-based reward does to the order of answers, and which proposition pays for what."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truing.grade import TypeWeights
from truing.methods.rbr_tables import AnswerTable
from truing.numerics import paired_bootstrap

Floats = NDArray[np.float64]
RM_ALONE, RM_AND_RBR, RBR_ALONE = "RM", "RM + RBR", "RBR"
"""The rewards that are held against each other: the other model's alone, both, and that of the rules alone."""


@dataclass(frozen=True)
class Violations:
    """The share of pairs in which the worse answer is paid more (half where both are paid the same)."""

    value: float
    low: float
    high: float
    """A bootstrap interval over prompts."""
    pairs: int
    prompts: int


def reward_signals(table: AnswerTable, weights: TypeWeights) -> dict[str, Floats]:
    """What each answer is paid [N], by each of the three rewards."""
    rules = table.phi @ np.array(weights.weights)
    return {RM_ALONE: table.rm, RM_AND_RBR: table.rm + rules, RBR_ALONE: rules}


def order_errors(
    table: AnswerTable, rewards: Floats, *, ideal: bool = False
) -> tuple[Floats, tuple[str, ...]]:
    """For each pair whether its order is wrong (1), open (0.5) or right (0), and its prompt; [P] each.

    With `ideal`, of the pairs alone whose better answer is of the first rank.
    """
    pairs = table.pairs
    if ideal:
        pairs = pairs[table.ranks[pairs[:, 0]] == 1]
    better, worse = rewards[pairs[:, 0]], rewards[pairs[:, 1]]
    return (worse > better) + 0.5 * (worse == better), tuple(table.prompts[i] for i in pairs[:, 0])


def order_violations(table: AnswerTable, rewards: Floats, *, key: int, ideal: bool = True) -> Violations:
    """How often an answer that is not ideal is paid more than the ideal one; without `ideal`, of all pairs."""
    found, prompts = order_errors(table, rewards, ideal=ideal)
    ends = paired_bootstrap(found, clusters=prompts, key=key, resamples=2000, bounds=(0.0, 1.0))
    value = float(found.mean()) if len(found) else float("nan")
    return Violations(value, ends.low, ends.high, len(found), len(set(prompts)))


def centred_rewards(table: AnswerTable, rewards: Floats) -> Mapping[str, Floats]:
    """Rewards by kind, less the mean reward of the ideal answers to the same prompt; without such, none."""
    out: dict[str, list[float]] = {kind: [] for kind in _by_rank(table)}
    for row in np.unique(table.rows):
        mine = np.flatnonzero(table.rows == row)
        ideal = rewards[mine[table.ranks[mine] == 1]]
        if len(ideal):
            for i in mine:
                out[table.kinds[i]].append(float(rewards[i] - ideal.mean()))
    return {kind: np.array(values) for kind, values in out.items()}


@dataclass(frozen=True)
class FeatureContribution:
    """What a feature pays, on average, to answers of each kind: its weight times its mean value."""

    feature: str
    weight: float
    low: float
    high: float
    paid: Mapping[str, float]


def feature_contributions(table: AnswerTable, weights: TypeWeights) -> list[FeatureContribution]:
    """What each feature pays to answers of each kind, the one that sets kinds furthest apart first."""
    kinds = np.array(table.kinds)
    means = {kind: table.phi[kinds == kind].mean(axis=0) for kind in _by_rank(table)}
    lows, highs = weights.low or weights.weights, weights.high or weights.weights
    out = [
        FeatureContribution(
            name, weight, low, high, {kind: weight * float(mean[f]) for kind, mean in means.items()}
        )
        for f, (name, weight, low, high) in enumerate(
            zip(weights.features, weights.weights, lows, highs, strict=True)
        )
    ]
    return sorted(out, key=lambda one: min(one.paid.values()) - max(one.paid.values()))


def _by_rank(table: AnswerTable) -> list[str]:
    """The kinds, best first."""
    rank = {kind: int(table.ranks[i]) for i, kind in reversed(list(enumerate(table.kinds)))}
    return sorted(rank, key=lambda kind: (rank[kind], kind))
