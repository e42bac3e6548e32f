"""The Kullback-Leibler divergence of next-token distributions: exact, and estimated from drawn tokens.

KL(p || q) in nats, p being the distribution that the tokens are drawn from. Summed over the tokens of
a text drawn from p, each of the three has the expectation KL(p || q) over whole texts, by the chain
rule; `kl_exact` with the least noise, as it takes the mean over the next token instead of a draw of
it (Rao-Blackwell). Nothing here compares distributions at another temperature than the one that was
drawn at: there no estimate is unbiased. torch only.
"""

import math

import torch
from torch import Tensor

_SUM = 1e-2
"""How far from 1 the probabilities of a row may sum: rounding, not logits taken for log-probabilities."""
_STEEP = 60.0
"""Above so many nats `k3` goes on as a straight line: float32 ends at 88, and values are summed."""


def kl_exact(logp: Tensor, logq: Tensor) -> Tensor:
    """KL(p || q) over the whole vocabulary, one for each row: [N], never negative.

    Computed as the mean under p of `k3`, which for distributions is the same as the mean of
    log p - log q, but a sum of terms that are never negative: the rounding of the normalisers does not
    enter. Where q gives no probability to a token that p can draw, it is +inf; where p gives none, a
    token adds nothing whatever q says. For measuring, not for training: gradients may be NaN.

    Args:
        logp: log-probabilities [N, V] in nats, float32 or float64; -inf is a probability of zero.
        logq: the same [N, V], of q.

    Raises:
        ValueError: the shapes differ, a number is NaN, or the probabilities of a row do not sum to 1.
    """
    if logp.ndim != 2 or logp.shape != logq.shape:
        raise ValueError(f"two tables [N, V] of one shape are compared, not {logp.shape} and {logq.shape}")
    p, q = logp.exp(), logq.exp()
    for name, total in (("p", p.sum(-1)), ("q", q.sum(-1))):
        if not bool(((total - 1).abs() < _SUM).all()):  # false for NaN, too
            raise ValueError(f"the rows of {name} are no log-probabilities: they do not sum to 1")
    return kl_of(logp, logq)


def kl_of(logp: Tensor, logq: Tensor) -> Tensor:
    """`kl_exact` of tables [N, V] that are known to be log-probabilities, unchecked."""
    p, q = logp.exp(), logq.exp()
    never = logp == -torch.inf
    gap = (logq - logp).masked_fill(never, 2.0)  # there p is 0, and any gap above 1 leaves q
    # For a large gap exp(gap) may overflow, and p exp(gap) is q.
    terms = torch.where(gap > 1, q - p - p * gap, p * (torch.expm1(gap) - gap)).clamp(min=0)
    terms = terms.masked_fill((logq == -torch.inf) & ~never, torch.inf)
    return terms.sum(-1)


def k1(logp: Tensor, logq: Tensor) -> Tensor:
    """The log-ratio log(p/q) of drawn tokens, any shape, in nats: unbiased for the KL, with much noise.

    A single one, and the mean of a sample, can be negative, though no divergence is. +inf where q
    gives the token no probability. Source: Schulman 2020, "Approximating KL divergence".

    Args:
        logp: log-probabilities of the drawn tokens under p, which drew them.
        logq: the same under q.
    """
    return logp - logq


def k2(logp: Tensor, logq: Tensor) -> Tensor:
    """Half the square of the log-ratio of drawn tokens, any shape, in nats: biased, its gradient is not.

    Under draws of p the gradient has the expectation of that of KL(p || q), which is why it is here.
    Source: Schulman 2020.

    Args:
        logp: log-probabilities of the drawn tokens under p, which drew them.
        logq: the same under q.
    """
    return 0.5 * (logp - logq).square()


def k3(logp: Tensor, logq: Tensor) -> Tensor:
    """The value q/p - 1 - log(q/p) of drawn tokens, any shape, in nats: never negative, mostly with less noise.

    q/p goes on as a straight line above e^60, so that a token that p gave up is very large, not infinite.
    Unbiased where p can draw all that q can (true of a softmax, not of a nucleus). Where p hardly
    ever draws what q likes, its variance is large or infinite, and a sample looks too good. +inf where q
    gives the token no probability. Source: Schulman 2020.

    Args:
        logp: log-probabilities of the drawn tokens under p, which drew them.
        logq: the same under q.
    """
    gap = logq - logp
    beyond = (gap - _STEEP).clamp(min=0) * math.exp(_STEEP)
    return (torch.expm1(gap.clamp(max=_STEEP)) + beyond - gap).clamp(min=0)
