"""How far a student's next-token distributions are from a teacher's, with the student's gradient. torch only."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from truing.numerics.divergence import kl_of

_LEAST = -1e4
"""Log-probabilities are held above this: what a model rules out is far away, but not at infinity."""


def generalised_jsd(
    logits: Tensor, teacher_logits: Tensor, beta: float, *, temperature: float = 1.0
) -> Tensor:
    """The generalised Jensen-Shannon divergence of student and teacher [M], in nats, never negative.

    beta KL(teacher || m) + (1 - beta) KL(student || m) with m = beta teacher + (1 - beta) student (Agarwal et al.
    2024, "On-Policy Distillation of Language Models", equation 1). It goes to 0 with beta and with 1 - beta; divided
    by these it goes to the two KL divergences, which are what is given there: at 0 the forward one,
    KL(teacher || student), at 1 the reverse one, KL(student || teacher). So the values jump at both ends.
    Equal logits give exactly 0, with a gradient of exactly 0.

    Where one head is padded to more rows than the other, both distributions are those over the ids they share.

    Args:
        logits: the student's [M, V].
        teacher_logits: the teacher's [M, W], without gradient.
        beta: from 0 to 1.
        temperature: divides the logits of both; above 0.

    Raises:
        ValueError: beta or the temperature is out of its range.
    """
    if not 0 <= beta <= 1 or temperature <= 0:
        raise ValueError(f"there is no divergence of beta {beta} at the temperature {temperature}")
    width = min(logits.shape[-1], teacher_logits.shape[-1])
    student, teacher = (table[..., :width].float() / temperature for table in (logits, teacher_logits))
    return _divergence(student, teacher, beta)


def forward_kl(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """KL(teacher || student) [M], in nats: `generalised_jsd` at 0. The reverse one is `exact_kl`.

    Args:
        logits: the student's [M, V], with gradient.
        teacher_logits: the teacher's [M, W].
    """
    return generalised_jsd(logits, teacher_logits, 0.0)


def chunked_divergence(
    hidden: Tensor,
    head: Callable[[Tensor], Tensor],
    teacher_hidden: Tensor,
    teacher_head: Callable[[Tensor], Tensor],
    *,
    beta: float,
    temperature: float = 1.0,
    chunk: int = 256,
) -> Tensor:
    """`generalised_jsd` [N] from hidden states, at most `chunk` rows of each model's logits at a time.

    As in `chunked_logprobs` the logits are computed again in the backward pass, chunk by chunk.

    Args:
        hidden: the student's hidden states [N, D].
        head: makes the student's logits of them.
        teacher_hidden: the teacher's hidden states at the same tokens [N, E], without gradient.
        teacher_head: makes the teacher's logits of these.
        beta: see `generalised_jsd`.
        temperature: see there.
        chunk: rows of logits held at once.
    """

    def divergence(rows: Tensor, theirs: Tensor) -> Tensor:
        with torch.no_grad():
            teacher = teacher_head(theirs).to(rows.device)
        return generalised_jsd(head(rows), teacher, beta, temperature=temperature)

    parts = []
    for rows, theirs in zip(torch.split(hidden, chunk), torch.split(teacher_hidden, chunk), strict=True):
        if torch.is_grad_enabled():
            parts.append(checkpoint(divergence, rows, theirs, use_reentrant=False))
        else:
            parts.append(divergence(rows, theirs))
    return torch.cat(parts)


class _Divergence(torch.autograd.Function):
    """The gradient for the student's logits is made at once, so that one table [M, V] is kept and not ten."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, beta: float) -> Tensor:
        logp, logq = (table.log_softmax(-1).clamp(min=_LEAST) for table in (student, teacher))
        p = logp.exp()
        if beta == 0:
            value, gradient = kl_of(logq, logp), p - logq.exp()
        else:
            value, slope = kl_of(logp, logq), logp - logq
            if beta < 1:
                logm = logp + _towards(logq - logp, beta)
                value = beta * kl_of(logq, logm) + (1 - beta) * kl_of(logp, logm)
                slope = (1 - beta) * (logp - logm)
            gradient = p * (slope - (p * slope).sum(-1, keepdim=True))
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[..., None], None, None


_divergence: Callable[[Tensor, Tensor, float], Tensor] = _Divergence.apply


def _towards(gap: Tensor, beta: float) -> Tensor:
    """log(m/p) of m = beta q + (1 - beta) p, from gap = log(q/p): exactly 0 at 0, finite everywhere."""
    near = torch.log1p(beta * torch.expm1(gap.clamp(-1, 1)))
    ends = gap.new_tensor([math.log1p(-beta), math.log(beta)])
    return torch.where(gap.abs() < 1, near, torch.logaddexp(ends[0], ends[1] + gap))
