"""What a completion, or each of its tokens, was worth beyond what was expected. torch only, no gradients.

Tokens of all rows lie end to end [M] with `counts` [N] per row; rows that answer the same prompt lie
side by side, groups[g] : groups[g + 1] being those of prompt g.
"""

from typing import Literal

import torch
from torch import Tensor

from truing.numerics.kl import last_tokens

GroupKind = Literal["grpo", "dr_grpo", "rloo"]

_STD = 1e-4
_VARIANCE = 1e-8
_ROUNDING = 1e-24
"""Rewards of one group whose squared differences are below this share of their squares are equal."""


def gae(rewards: Tensor, values: Tensor, counts: Tensor, *, gamma: float, lam: float) -> Tensor:
    """Generalised advantage estimates [M]; each row ends in a terminal state, worth nothing after its last token.

    Schulman et al. 2016, equation 16. The returns that a value model learns are the advantages + `values`.

    Args:
        rewards: of each token [M].
        values: what the value model expects from each token on, that token's reward included [M].
        counts: tokens of each row, at least one [N].
        gamma: discount per token; InstructGPT has 1.
        lam: 0 trusts the values, 1 the rewards that came.

    Raises:
        ValueError: a row has no token.
    """
    rewards, values = rewards.detach(), values.detach()
    last = last_tokens(counts)
    after = torch.cat([values[1:], values.new_zeros(1)])[: len(values)].index_fill(0, last, 0)
    advantages = rewards + gamma * after - values
    # From the end of the rows backwards, all rows at once, the longest first.
    lengths, order = counts.sort(descending=True)
    ends = last[order]
    # A negated ascending list, so that one search tells how many rows reach back so far.
    reach = torch.searchsorted(-lengths, -torch.arange(1, int(lengths[0]) if len(lengths) else 1).to(lengths))
    for back, rows in enumerate(reach.tolist(), start=1):
        at = ends[:rows] - back
        advantages[at] += gamma * lam * advantages[at + 1]
    return advantages


def group_advantages(rewards: Tensor, groups: Tensor, kind: GroupKind) -> Tensor:
    """Each completion's reward against those of the same prompt [N].

    "grpo": minus the group's mean, over its sample standard deviation (+ 1e-4) (Shao et al. 2024,
    section 4.1.2); "dr_grpo": minus the mean (Liu et al. 2025, section 3.2); "rloo": minus the mean of
    the others (Ahmadian et al. 2024, equation 8). A reward of NaN was not applicable: it takes no part
    and its advantage is 0. So is every advantage of a group whose rewards are all equal, or that has
    fewer than two.

    Args:
        rewards: of each completion, NaN where none applies [N].
        groups: the borders of the prompts [G + 1].
        kind: the estimate.

    Raises:
        ValueError: a reward is infinite.
    """
    if bool(rewards.isinf().any()):
        raise ValueError(f"the reward of completion {int(rewards.isinf().int().argmax())} is infinite")
    applies = ~rewards.isnan()
    prompts = len(groups) - 1
    group = torch.repeat_interleave(torch.arange(prompts, device=rewards.device), groups.diff())

    def per_group(x: Tensor) -> Tensor:
        return x.new_zeros(prompts).index_add(0, group, x)

    known = rewards.detach().double().nan_to_num(0.0)
    number = per_group(applies.double())
    deviation = torch.where(applies, known - (per_group(known) / number.clamp(min=1))[group], 0.0)
    # Equal rewards leave a rounding of their mean, which must not count as a difference.
    squares = per_group(deviation.square())
    deviation = torch.where((squares > _ROUNDING * per_group(known.square()))[group], deviation, 0.0)
    if kind == "rloo":
        deviation = deviation * (number / (number - 1).clamp(min=1))[group]
    elif kind == "grpo":
        deviation = deviation / ((squares / (number - 1).clamp(min=1)).sqrt() + _STD)[group]
    return deviation.to(rewards.dtype)


def whiten(x: Tensor, *, shift_mean: bool = True) -> Tensor:
    """`x` [M] scaled to variance 1 and, with `shift_mean`, moved to mean 0.

    (x - mean) rsqrt(variance + 1e-8), the variance being that of the numbers at hand (divided by M), as in
    Ziegler et al. 2019's code. Without `shift_mean` the mean is added again.

    Args:
        x: what takes part, and nothing else: one NaN makes all NaN.
        shift_mean: whether the mean becomes 0 or stays.
    """
    if not len(x):
        return x
    mean = x.mean()
    scaled = (x - mean) * torch.rsqrt(x.var(correction=0) + _VARIANCE)
    return scaled if shift_mean else scaled + mean
