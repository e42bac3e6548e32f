"""Two models on the same tokens: full-vocabulary divergence and log-probabilities, position by position."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nan

from truing.model.batching import halving, length_buckets, right_padded
from truing.model.trunk import Trunk, evaluating
from truing.numerics import kl_exact

Ids = Sequence[int]

_TOKENS, _ROWS = 4096, 256
_CHUNK = 64
"""Positions whose whole tables of log-probabilities, of both models, exist at once."""


@dataclass(frozen=True, slots=True)
class PairedScores:
    """One completion under two models: for each of its tokens, in nats, [T] each.

    `kl` is KL(candidate || baseline) of the distributions that the token was drawn from, `candidate`
    and `baseline` are the token's log-probabilities. All three are NaN where either model's output is
    not a number; `kl` is +inf where the baseline rules out what the candidate can write, and
    `baseline` -inf where it rules out this token.
    """

    kl: tuple[float, ...]
    candidate: tuple[float, ...]
    baseline: tuple[float, ...]


def paired_kl(
    candidate: Trunk, baseline: Trunk, prompts: Sequence[Ids], completions: Sequence[Ids]
) -> list[PairedScores]:
    """Score each completion after its prompt under both models, at temperature 1: [N].

    Forward passes are teacher-forced and batched by length; the tables of log-probabilities
    (float32) exist for a few positions at a time. Where one head is padded to more rows than the other, both
    distributions are those over the ids that the two share. A model against itself gives exactly 0.

    Raises:
        ValueError: a prompt is empty, a sequence is longer than a model's context, a token is none of
            both models', or there are not as many prompts as completions.
    """
    if len(prompts) != len(completions):
        raise ValueError(f"there are {len(prompts)} prompts and {len(completions)} completions")
    for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        _check(row, prompt, completion, (candidate, baseline))

    def run(rows: Sequence[int]) -> list[PairedScores]:
        return _scored(candidate, baseline, [prompts[i] for i in rows], [completions[i] for i in rows])

    found = [PairedScores((), (), ()) for _ in prompts]
    filled = [i for i, completion in enumerate(completions) if completion]
    lengths = [len(prompts[i]) + len(completions[i]) for i in filled]
    with evaluating(candidate.net), evaluating(baseline.net), torch.inference_mode():
        for bucket in length_buckets(lengths, tokens=_TOKENS, rows=_ROWS):
            chosen = [filled[k] for k in bucket]
            for i, scores in zip(chosen, halving(run, chosen), strict=True):
                found[i] = scores
    return found


def _scored(
    candidate: Trunk, baseline: Trunk, prompts: Sequence[Ids], completions: Sequence[Ids]
) -> list[PairedScores]:
    p_hidden = _predicting(candidate, prompts, completions)
    q_hidden = _predicting(baseline, prompts, completions)
    targets = torch.tensor([token for completion in completions for token in completion])
    width = min(candidate.vocabulary, baseline.vocabulary)
    parts = []
    chunks = (torch.split(rows, _CHUNK) for rows in (p_hidden, q_hidden, targets))
    for p, q, ids in zip(*chunks, strict=True):
        logp = candidate.logits(p)[:, :width].log_softmax(-1)
        logq = baseline.logits(q)[:, :width].log_softmax(-1).to(logp.device)
        parts.append(_positions(logp, logq, ids.to(logp.device)).cpu())
    sizes = [len(completion) for completion in completions]
    return [PairedScores(*map(tuple, part.tolist())) for part in torch.split(torch.cat(parts, 1), sizes, 1)]


def _positions(logp: Tensor, logq: Tensor, ids: Tensor) -> Tensor:
    """KL and both log-probabilities of `ids` [M], from log-probabilities [M, V]: [3, M]."""
    finite = ~(logp.isnan().any(-1) | logq.isnan().any(-1))
    kl = torch.full_like(logp[:, 0], nan)
    kl[finite] = kl_exact(logp[finite], logq[finite])
    chosen = [table.gather(-1, ids[:, None]).squeeze(-1).where(finite, nan) for table in (logp, logq)]
    return torch.stack([kl, *chosen])


def _predicting(trunk: Trunk, prompts: Sequence[Ids], completions: Sequence[Ids]) -> Tensor:
    """The hidden state before each completion token, one completion after another: [sum of T_n, D]."""
    sequences = [[*p, *c[:-1]] for p, c in zip(prompts, completions, strict=True)]
    hidden = trunk.hidden(right_padded(sequences, [len(prompt) for prompt in prompts], trunk.device))
    return torch.cat([row[len(p) - 1 : len(s)] for row, p, s in zip(hidden, prompts, sequences, strict=True)])


def _check(row: int, prompt: Ids, completion: Ids, trunks: Sequence[Trunk]) -> None:
    if not prompt:
        raise ValueError(f"sequence {row} has an empty prompt: nothing predicts its first token")
    length = len(prompt) + max(len(completion) - 1, 0)
    for trunk in trunks:
        if trunk.context is not None and length > trunk.context:
            raise ValueError(f"sequence {row} has {length} tokens, the model's context is {trunk.context}")
        if max(completion, default=0) >= trunk.vocabulary:
            raise ValueError(
                f"sequence {row} has the token {max(completion)}, and a model has {trunk.vocabulary} of them"
            )
