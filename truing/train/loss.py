"""The loss of a batch and its gradient, with few rows of logits alive at a time."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LOGIT_ROWS = 512
"""Rows of logits that exist at a time."""


def backward_nll(hidden: Tensor, head: Callable[[Tensor], Tensor], targets: Tensor, share: float) -> Tensor:
    """Back-propagate `share` times the summed negative log-likelihood (nats) of the targets; return it.

    The head's backward pass follows its forward pass chunk by chunk, so that the logits of a chunk
    stay in the cache and are gone before the next.

    Args:
        hidden: hidden states [N, D] with the graph of the model's body.
        head: makes logits [M, V] of hidden states [M, D].
        targets: token ids [N].
        share: what the sum is multiplied by.
    """
    leaf = hidden.detach().requires_grad_()
    total = torch.zeros((), device=hidden.device)
    for states, ids in zip(torch.split(leaf, LOGIT_ROWS), torch.split(targets, LOGIT_ROWS), strict=True):
        loss = -logprobs_once(head(states), ids).sum() * share
        torch.autograd.backward(loss)
        total += loss.detach()
    if hidden.requires_grad:  # else the head alone is trained
        torch.autograd.backward(hidden, leaf.grad)
    return total


class _Logprobs(torch.autograd.Function):
    """As `log_softmax` gathered at the targets, whose backward pass makes two more arrays of logits."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        logprobs = logits.log_softmax(-1)
        ctx.save_for_backward(logprobs, targets)
        return logprobs.gather(-1, targets[:, None]).squeeze(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        logprobs, targets = ctx.saved_tensors
        probs = logprobs.exp_()  # in place: nobody reads them again
        probs[torch.arange(len(targets), device=targets.device), targets] -= 1
        return probs.mul_(-gradient[:, None]), None


logprobs_once: Callable[[Tensor, Tensor], Tensor] = _Logprobs.apply
"""Log-probabilities (nats) [N] of targets [N] from logits [N, V]; they can be gone back through once."""
