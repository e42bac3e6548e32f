"""Losses over answers that were compared: rankings of several answers, and DPO's rewards. torch only.

The answers of G prompts lie side by side in flat tensors [N]; `groups` [G + 1] are the borders, so that
the answers of prompt g are groups[g] : groups[g + 1].
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def ranked_pairs(ranks: Tensor, groups: Tensor) -> Tensor:
    """The pairs (better, worse) [P, 2] of answers of one prompt, ties dropped, as indices into `ranks` [N].

    A lower rank is a better answer; only the order of the ranks of one prompt counts.
    """
    group = _group_of(groups)
    better = (group[:, None] == group) & (ranks[:, None] < ranks)
    return better.nonzero()


def ranking_loss(
    rewards: Tensor, ranks: Tensor, groups: Tensor, *, divide_by: Literal["kept", "all"] = "kept"
) -> Tensor:
    """Mean over prompts of the mean over their pairs of -log sigmoid(better - worse), in nats (a scalar).

    Ouyang et al. 2022 (InstructGPT), equation 1; with two answers to a prompt it is the model of Bradley
    and Terry. A pair of tied answers is dropped.

    Args:
        rewards: one for each answer [N].
        ranks: 1 is best, equal is a tie [N].
        groups: the borders of the prompts [G + 1].
        divide_by: the sum over a prompt's pairs is divided by the number of those that are `kept`, or by
            that of `all` K(K - 1)/2 pairs of its K answers, so that a prompt with ties weighs less.

    Raises:
        ValueError: a prompt has no two answers of different rank.
    """
    pairs = ranked_pairs(ranks, groups)
    better, worse = pairs.unbind(1)
    sizes = groups.diff()
    group = _group_of(groups)[better]
    kept = torch.bincount(group, minlength=len(sizes))
    if bool((kept == 0).any()):
        raise ValueError(f"prompt {int((kept == 0).int().argmax())} has no two answers of different rank")
    counted = kept if divide_by == "kept" else sizes * (sizes - 1) // 2
    nats = F.softplus(rewards[worse] - rewards[better])  # -log sigmoid(x) = softplus(-x)
    return (nats / counted[group]).sum() / len(sizes)


def implicit_rewards(policy: Tensor, reference: Tensor, beta: float) -> Tensor:
    """DPO's reward of each answer [N], up to a constant of its prompt: beta log(policy / reference).

    Rafailov et al. 2023, equation 5. With these, `ranking_loss` of two answers is the loss of DPO
    (equation 7); of more, the mean over their pairs.

    Args:
        policy: summed log-probability (nats) of each answer under the model that is trained [N].
        reference: the same under the model that it began as [N].
        beta: what a nat of divergence from the reference costs.
    """
    return beta * (policy - reference)


def _group_of(groups: Tensor) -> Tensor:
    """The prompt of each answer [N]."""
    return torch.repeat_interleave(torch.arange(len(groups) - 1, device=groups.device), groups.diff())
