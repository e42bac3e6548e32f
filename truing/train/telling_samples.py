"""Which samples of a policy run are worth a reader's time: the best and worst at the end, and the most changed."""

from collections.abc import Sequence
from dataclasses import dataclass

from truing.train.policy_records import Sample, Update
from truing.train.reward_shares import late_samples
from truing.types import Record


@dataclass(frozen=True, slots=True)
class ChangedSample(Record):
    """An early and a late answer to one prompt, and by how much the prompt's mean reward rose between."""

    early: Sample
    late: Sample
    change: float


def best_and_worst(
    updates: Sequence[Update], samples: Sequence[Sample], most: int = 3
) -> tuple[list[Sample], list[Sample]]:
    """The highest and the lowest rewards of the last fifth of the updates, one for each prompt."""
    ranked = sorted(
        (s for s in late_samples(updates, samples) if s.reward is not None),
        key=lambda s: (-(s.reward or 0.0), s.update, s.prompt_id, s.sample),
    )
    best = _one_each(ranked)[:most]
    taken = {id(s) for s in best}
    return best, [s for s in _one_each(ranked[::-1])[:most] if id(s) not in taken]


def most_changed(updates: Sequence[Update], samples: Sequence[Sample], most: int = 3) -> list[ChangedSample]:
    """The prompts whose mean reward changed most from the first to the last third of the updates, largest first.

    Only prompts that were sampled in both can tell. Of each the answer nearest to the mean is shown.
    """
    third = len(updates) // 3
    first, last = {u.update for u in updates[:third]}, {u.update for u in updates[len(updates) - third :]}
    early, late = _by_prompt(samples, first), _by_prompt(samples, last)
    found = []
    for prompt in early.keys() & late.keys():
        before, after = _mean(early[prompt]), _mean(late[prompt])
        shown = _nearest(early[prompt], before), _nearest(late[prompt], after)
        found.append(ChangedSample(*shown, after - before))
    return sorted(found, key=lambda c: (-abs(c.change), c.late.prompt_id))[:most]


def _by_prompt(samples: Sequence[Sample], updates: set[int]) -> dict[str, list[Sample]]:
    out: dict[str, list[Sample]] = {}
    for one in samples:
        if one.reward is not None and one.update in updates:
            out.setdefault(one.prompt_id, []).append(one)
    return out


def _mean(samples: Sequence[Sample]) -> float:
    return sum(s.reward or 0.0 for s in samples) / len(samples)


def _nearest(samples: Sequence[Sample], mean: float) -> Sample:
    return min(samples, key=lambda s: abs((s.reward or 0.0) - mean))


def _one_each(ranked: Sequence[Sample]) -> list[Sample]:
    first: dict[str, Sample] = {}
    for one in ranked:
        first.setdefault(one.prompt_id, one)
    return list(first.values())
