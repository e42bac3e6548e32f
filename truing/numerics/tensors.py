"""Log-probabilities of tokens: of given ones, chunk by chunk, and of drawn ones. torch only."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_HEAD_OF_SORT = 1024


def chunked_logprobs(
    hidden: Tensor,
    head: Callable[[Tensor], Tensor],
    targets: Tensor,
    *,
    temperature: float = 1.0,
    chunk: int = 256,
) -> Tensor:
    """Log-probability (nats, float32) of each target token: `[N]`.

    `head` turns hidden states [M, D] into logits [M, V]. At most `chunk` rows of logits exist at a
    time, in the backward pass too, where they are computed again (Chen et al. 2016, "Training Deep
    Nets with Sublinear Memory Cost"). Equal to `log_softmax(head(hidden) / temperature)` gathered at
    the targets, with gradients for `hidden` and whatever `head` holds.

    Args:
        hidden: hidden states [N, D].
        head: the model's output head.
        targets: token ids [N].
        temperature: divides the logits; above 0.
        chunk: rows of logits held at once.
    """
    if temperature <= 0:
        raise ValueError(f"a log-probability needs a temperature above 0, not {temperature}")

    def logprobs(rows: Tensor, ids: Tensor) -> Tensor:
        logits = head(rows).float()
        if temperature != 1:
            logits = logits / temperature
        chosen: Tensor = logits.gather(-1, ids[:, None]).squeeze(-1) - logits.logsumexp(-1)
        return chosen

    parts = []
    for rows, ids in zip(torch.split(hidden, chunk), torch.split(targets, chunk), strict=True):
        if torch.is_grad_enabled():
            parts.append(checkpoint(logprobs, rows, ids, use_reentrant=False))
        else:
            parts.append(logprobs(rows, ids))
    return torch.cat(parts)


def warp_logits(logits: Tensor, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Log-probabilities [B, V] (nats, float32) of the distribution that is sampled from.

    Temperature first, then the `top_k` likeliest tokens, then of these the smallest set that holds
    at least `top_p` of their mass (Holtzman et al. 2020), then renormalised; everything else is
    -inf. Tokens tied with the last one admitted are admitted too, so that the result does not depend
    on how a device sorts.

    Args:
        logits: [B, V].
        temperature: above 0.
        top_k: 0 is off.
        top_p: 1 is off.
    """
    if temperature <= 0:
        raise ValueError(f"sampling needs a temperature above 0, not {temperature}; greedy is argmax")
    scores = logits.float()
    if temperature != 1:
        scores = scores / temperature
    if 0 < top_k < scores.shape[-1]:
        last = scores.topk(top_k, dim=-1).values[:, -1:]
        scores = scores.masked_fill(scores < last, -torch.inf)
    logprobs = scores.log_softmax(-1)
    if top_p < 1:
        logprobs = logprobs.masked_fill(logprobs < _nucleus_edge(logprobs, top_p), -torch.inf)
        logprobs = logprobs.log_softmax(-1)
    return logprobs


def _nucleus_edge(logprobs: Tensor, top_p: float) -> Tensor:
    """Log-probability [B, 1] of the last token that the nucleus needs."""
    # Sorting 150k tokens can cost more than the model's own step, and the nucleus is nearly always small.
    ranked = logprobs.topk(min(_HEAD_OF_SORT, logprobs.shape[-1]), dim=-1).values
    before = _mass_before(ranked)
    if bool((before[:, -1] < top_p).any()):
        ranked = logprobs.sort(dim=-1, descending=True).values
        before = _mass_before(ranked)
    last = (before < top_p).sum(-1, keepdim=True) - 1
    # NaN logits compare false everywhere: such a row has no nucleus, and stays NaN.
    return ranked.gather(-1, last.clamp(min=0))


def _mass_before(ranked: Tensor) -> Tensor:
    probs = ranked.double().exp()
    return probs.cumsum(-1) - probs


def inverse_cdf(logprobs: Tensor, u: Tensor) -> Tensor:
    """The token ids [B] at the quantiles `u` [B] (float64, in [0, 1)) of log-probabilities [B, V].

    The distribution function is summed in float64 in the order of token ids. A token of probability
    zero is never returned, whatever the rounding. Rows that hold NaN return some valid id.
    """
    probs = logprobs.exp()
    cdf = probs.cumsum(-1, dtype=torch.float64)
    goal = u[:, None].to(cdf) * cdf[:, -1:]
    tokens = torch.searchsorted(cdf, goal, right=True).clamp(max=logprobs.shape[-1] - 1)
    if bool((probs.gather(-1, tokens) > 0).all()):
        return tokens.squeeze(-1)
    # A parallel prefix sum can step by a rounding error where the probability is zero.
    above = (cdf > goal) & (probs > 0)
    last = logprobs.shape[-1] - 1 - (probs > 0).flip(-1).int().argmax(-1)
    return torch.where(above.any(-1), above.int().argmax(-1), last)
