"""What a reward pays for within its groups, where alone a policy learns: its components, and length."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import inf

import numpy as np

from truing.numerics import Interval, change, ratio_of_sums, student_interval, windows
from truing.train.hacking_records import ComponentShare
from truing.train.policy_records import Sample, Update


def component_shares(updates: Sequence[Update], samples: Sequence[Sample]) -> tuple[ComponentShare, ...]:
    """For each reward of the mix its share of the variance within groups, and how it rose; the largest first.

    The groups are those of the last fifth of the updates; a component that did not apply to a row paid it 0.
    """
    names = sorted({name for u in updates for name in u.components} | {n for u in updates for n in u.missing})
    late = late_samples(updates, samples)
    found = []
    for name in names:
        share, ends = within_groups(late, partial(_paid, name), over_reward=True)
        means = [float(u.components[name]) for u in updates if u.components.get(name) is not None]
        found.append(ComponentShare(name, share, ends.low, ends.high, change(means)))
    return tuple(sorted(found, key=lambda one: -(one.share if one.share is not None else -inf)))


def _paid(name: str, sample: Sample) -> float:
    return float(sample.components.get(name, 0.0))


def late_samples(updates: Sequence[Update], samples: Sequence[Sample]) -> list[Sample]:
    """The samples of the last fifth of the updates."""
    last = [u.update for u in updates][-windows(len(updates)) :]
    return [s for s in samples if last and s.update >= last[0]]


def within_groups(
    samples: Sequence[Sample], of: Callable[[Sample], float], *, over_reward: bool
) -> tuple[float | None, Interval]:
    """cov(x, reward) / var(reward) where `over_reward`, else / var(x), with x = of(sample), pooled within groups.

    The first is x's share of what tells a group's rewards apart; the second the slope of the reward on x. The
    interval is Student's, of a ratio of sums over prompts (Cochran 1977). (None, all numbers) where it is
    undefined: no group of two or more rewards, or nothing that varies.
    """
    crossed, squared, prompts = [], [], []
    for group in _groups(samples):
        x = np.array([of(s) for s in group])
        r = np.array([s.reward for s in group], dtype=np.float64)
        x, r = x - x.mean(), r - r.mean()
        crossed.append(float(x @ r))
        squared.append(float(r @ r if over_reward else x @ x))
        prompts.append(group[0].prompt_id)
    if not sum(squared) > 1e-12:
        return None, Interval(-inf, inf)
    value, error = ratio_of_sums(crossed, squared, clusters=prompts)
    degrees = len(set(prompts)) - 1
    return value, student_interval(value, error, degrees) if degrees else Interval(-inf, inf)


def _groups(samples: Sequence[Sample]) -> Iterator[list[Sample]]:
    """The samples with a reward of one prompt in one update, where there are two or more."""
    groups: dict[tuple[int, str], list[Sample]] = {}
    for one in samples:
        if one.reward is not None:
            groups.setdefault((one.update, one.prompt_id), []).append(one)
    return (group for group in groups.values() if len(group) > 1)
