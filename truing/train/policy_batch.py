"""From a rollout and its rewards to what the policy learns: who takes part, and each token's advantage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from truing.numerics import gae, group_advantages, kl_estimate, kl_rewards, whiten
from truing.train.policy_config import PolicyConfig
from truing.train.rollout import Flat, Rollout
from truing.types import InputError, Stop

Floats = NDArray[np.float64]


class Rewards(Protocol):
    """What the completions of an update are paid, such as `MixedRewards`."""

    @property
    def total(self) -> Sequence[float | None]:
        """One for each completion; None where no reward applies."""

    @property
    def components(self) -> Mapping[str, Sequence[float | None]]:
        """Name -> weight times value for each completion; None where it does not apply."""


@dataclass(eq=False)
class PolicyBatch:
    """What an update learns from: n completions with M tokens."""

    flat: Flat
    old: Tensor | None
    """Log-probabilities under the policy that sampled [M], nats; None: it is the one that is trained."""
    ref: Tensor | None
    """The same under the reference [M]."""
    advantages: Tensor
    """Of each token [M]."""
    values: Tensor | None
    """What the value model expected before each token [M]."""
    returns: Tensor | None
    """What it is to learn [M]."""
    kl_coef: float
    """What a nat costs."""


def readable(rollout: Rollout) -> list[int]:
    """The completions that are what the policy wrote; the others failed or were withheld."""
    return [i for i, one in enumerate(rollout.completions) if one.stop not in (Stop.error, Stop.filtered)]


def settled(
    rollout: Rollout, paid: Sequence[int], total: Sequence[float | None], config: PolicyConfig
) -> Floats:
    """The reward that each completion learns from [N]; NaN where it takes no part.

    Raises:
        InputError: there are not as many rewards as completions, or one is no number.
    """
    if len(total) != len(paid):
        raise InputError(f"there are {len(paid)} completions and {len(total)} rewards")
    rewards = np.full(len(rollout.completions), np.nan)
    for i, reward in zip(paid, total, strict=True):
        if reward is not None and not np.isfinite(reward):
            one = rollout.completions[i]
            where = f"completion {one.sample + 1} of prompt {one.request_id}"
            raise InputError(f"the reward of {where} is {reward}", mend="give None where there is none")
        cut = rollout.completions[i].stop is Stop.length
        if cut and config.truncated == "penalty":
            rewards[i] = config.truncation_penalty
        elif reward is not None and not (cut and config.truncated == "mask"):
            rewards[i] = reward
    return rewards


def row_sums(per_token: Tensor, counts: NDArray[np.int64]) -> Tensor:
    """Sums [n] over each row's tokens of numbers [M]."""
    rows = torch.from_numpy(np.repeat(np.arange(len(counts)), counts)).to(per_token.device)
    return torch.zeros(len(counts), device=per_token.device).index_add(0, rows, per_token)


def learnt_from(
    rollout: Rollout,
    rewards: Floats,
    flat: Flat,
    config: PolicyConfig,
    *,
    old: Tensor | None,
    ref: Tensor | None,
    values: Tensor | None,
    kl_coef: float,
) -> PolicyBatch:
    """Advantages and returns of the tokens of `flat`, the completions whose reward is not NaN.

    With `kl_in="reward"` the divergence is taken off: of each token's reward where a value model tells
    what is expected, else of the completion's.
    """
    device = next((x.device for x in (old, ref, values) if x is not None), torch.device("cpu"))
    counts = torch.from_numpy(flat.counts).to(device)
    scores = torch.from_numpy(rewards[flat.of]).to(device)
    charged = config.kl_in == "reward" and kl_coef > 0
    returns = None
    if values is not None:
        nothing = torch.zeros_like(values)
        priced = (old, ref) if charged and old is not None and ref is not None else (nothing, nothing)
        each = kl_rewards(*priced, scores, counts, kl_coef)
        advantages = gae(each, values, counts, gamma=config.gamma, lam=config.lam)
        returns = advantages + values
    else:
        if charged and old is not None and ref is not None:
            scores = scores - kl_coef * row_sums(kl_estimate(old, ref, "k1"), flat.counts)
        known = torch.full((len(rewards),), torch.nan, dtype=torch.float64, device=device)
        known[torch.from_numpy(flat.of).to(device)] = scores
        borders = torch.from_numpy(rollout.groups).to(device)
        per_row = group_advantages(known, borders, config.advantage)  # type: ignore[arg-type]
        advantages = per_row[torch.from_numpy(flat.of).to(device)].float().repeat_interleave(counts)
    if config.whiten:
        advantages = whiten(advantages)
    return PolicyBatch(flat, old, ref, advantages, values, returns, kl_coef)
