"""What a policy does on prompts that it does not learn on, by its own reward and by metrics it does not learn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from truing.grade import MixedRewards, RewardMix
from truing.numerics import standard_error, student_interval
from truing.types import FrozenDict, Request, SamplingParams

if TYPE_CHECKING:
    from truing.model import LocalModel
    from truing.train import PromptRow

PROXY = "reward on held-out prompts"
"""The name under which the reward that is learnt from is told."""


@dataclass(frozen=True)
class HeldOutMeasure:
    """Asks a policy every held-out prompt once, with the same random numbers each time."""

    prompts: tuple["PromptRow", ...]
    reward: RewardMix
    """What is learnt from."""
    watched: RewardMix | None
    """Metrics that are not; more of each is better."""
    params: SamplingParams
    key: int

    def of(self, model: "LocalModel") -> FrozenDict:
        """Metric -> `value`, `low`, `high` (95 % over prompts), `n`, and how many answers are `missing`.

        A metric that applies to fewer than two answers is left out: it was not measured.
        """
        requests = [Request(str(i), row.messages) for i, row in enumerate(self.prompts)]
        written = {one.request_id: one for one in model.sample(requests, self.params, key=self.key)}
        answers = [written[request.id] for request in requests]
        found = {PROXY: _mean(self.reward.mixed(self.prompts, answers).total)}
        if self.watched is not None:
            each: MixedRewards = self.watched.mixed(self.prompts, answers)
            found |= {name: _mean(values) for name, values in each.components.items()}
        return FrozenDict({name: value for name, value in found.items() if value is not None})


def _mean(values: Sequence[float | None]) -> dict[str, Any] | None:
    applies = np.array([value for value in values if value is not None])
    if len(applies) < 2:
        return None
    ends = student_interval(float(applies.mean()), standard_error(applies), len(applies) - 1)
    missing = len(values) - len(applies)
    return {
        "value": float(applies.mean()),
        "low": ends.low,
        "high": ends.high,
        "n": len(applies),
        "missing": missing,
    }
